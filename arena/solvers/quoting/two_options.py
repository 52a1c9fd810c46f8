"""One maker's optimal quotes in two options at once, when a shared risk couples their inventories.

    v_t - 1/2 q'Rq + sum_i [ H_i,b(v(q + e_i) - v) + H_i,a(v(q - e_i) - v) ] = 0,    v(T, q) = -q'Cq,   |q_i| <= Q_i

    separable   C = psi0 diag E[P_i^2]                        (Fang & Xu 2025: then v = v_1 + v_2 exactly: rewards,
                                                              penalties and controls are sums over the options)
    portfolio   C = psi0 E[P P']                              terminal penalty on the book's value (sum P_i q_i)^2
    running     R = any covariance rate times risk aversion   e.g. ra Sigma Sigma'
    vega        R = ra nu^2 vega vega'                        (ra/2) nu^2 (sum vega_i q_i)^2, vegas frozen
    rebalance   R = ra 1/2 S^4 sigma^4 dt gamma gamma'        what a delta hedge every dt leaves (Stoikov & Saglam 2009)

Policies are blind to the price, as in `maker`. Risks add: sum the matrices. For more than two options see `vega`.

Arguments of the kernels: those of `maker`, with 1 and 2 for the two options (low1, tab2, org2, pit2, ...), but

    value                 [N+1, 2Q_1+1, 2Q_2+1]: its last row is given, the others are filled backward
    v, out, cost          [2Q_1+1, 2Q_2+1]: the value at one time, its slope in time to go, running cost
    here, up, down        the value now and after a fill of the bid, of the ask, of one option
    has_up, has_down      whether that fill stays within the bound
    rate1, rate2          [2]: A of each option, bid and ask
    decay1, decay2        [2]: k
    low1, low2            least distance
    high1, high2          largest distance
    tab1, org1, pit1      `gibbs.GainTable` of the first option
    tab2, org2, pit2      that of the second
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from arena.layout import Array
from arena.solvers.options.option_model import OptionModel, cross_moments
from arena.solvers.quoting.gibbs import gain_kernel
from arena.solvers.quoting.maker import Maker, fine_steps, gains_table


class PairTable(NamedTuple):
    """Value and quotes at times k T / N over both inventories; the option axis of `distance` comes before (bid,
    ask)."""

    times: Array  # [N+1]
    inventories: tuple[NDArray[np.int64], NDArray[np.int64]]
    value: Array  # [N+1, 2Q_1+1, 2Q_2+1]
    distance: Array  # [N+1, 2Q_1+1, 2Q_2+1, 2 (option), 2 (side)]


def separable_penalty(options: Sequence[OptionModel], terminal_penalty: float, horizon: float) -> Array:
    """C = psi0 diag E[P_i^2] [n, n]."""
    return terminal_penalty * np.diag([option.second_moment(horizon) for option in options])


def portfolio_penalty(options: Sequence[OptionModel], terminal_penalty: float, horizon: float) -> Array:
    """C = psi0 E[P P'] [n, n]."""
    return terminal_penalty * cross_moments(options, horizon)


def vega_risk(vega: ArrayLike, risk_aversion: float, vol_of_vol: float) -> Array:
    """R = ra nu^2 vega vega' [n, n]; nu = std of volatility per root of time."""
    vega = np.asarray(vega, dtype=np.float64)
    return risk_aversion * vol_of_vol**2 * np.outer(vega, vega)


def rebalancing_risk(gamma: ArrayLike, risk_aversion: float, spot: float, vol: float, interval: float) -> Array:
    """R = ra (1/2) S^4 sigma^4 dt gamma gamma' [n, n] of a delta hedge every `interval`."""
    gamma = np.asarray(gamma, dtype=np.float64)
    return risk_aversion * 0.5 * spot**4 * vol**4 * interval * np.outer(gamma, gamma)


def solve_pair(
    makers: tuple[Maker, Maker], terminal: Array, running: Array | None = None, *, steps: int = 20
) -> PairTable:
    """Optimal value and quotes of two options; `makers` give each option's flow, bound, clamps and temperature.

    terminal C [2, 2] and running R [2, 2] replace the makers' own penalties, which must be zero. Raises ValueError for
    penalties that are not symmetric positive semi-definite, unequal horizons, or a problem too stiff to step through.
    """
    running = np.zeros((2, 2)) if running is None else np.asarray(running, dtype=np.float64)
    for name, matrix in (("terminal", terminal), ("running", running)):
        check_penalty(name, matrix, 2)
    first, second = makers
    if first.horizon != second.horizon:
        raise ValueError(f"both options need one horizon, found {first.horizon:g} and {second.horizon:g}")
    if any(m.terminal_cost or m.running_penalty or m.drift for m in makers):
        raise ValueError("the makers' own terminal_cost, running_penalty and drift must be 0; use terminal and running")
    one, two = (m.inventory.astype(float) for m in makers)
    grid = np.stack(np.meshgrid(one, two, indexing="ij"), axis=-1)
    value = np.empty((steps + 1, one.size, two.size))
    value[-1] = -np.einsum("ijk,kl,ijl->ij", grid, terminal, grid)
    cost = 0.5 * np.einsum("ijk,kl,ijl->ij", grid, running, grid)
    gap = max(float(np.abs(np.diff(value[-1], axis=axis)).max()) for axis in (0, 1))

    def wanted(gap: float) -> int:  # half as fine as one option alone: enough for 1e-8
        return math.ceil(sum(fine_steps(m, gap, steps) for m in makers) / (4 * steps)) * steps

    for _ in range(12):
        total = wanted(gap)
        reach = gap + 8.0 / float(min(m.decays.min() for m in makers))
        tables = [gains_table(m, reach) for m in makers]
        _backward(value, first.horizon / total, total // steps, cost, first.rates, first.decays, first.min_distance,
                  first.max_distance, *tables[0], second.rates, second.decays, second.min_distance, second.max_distance,
                  *tables[1])  # fmt: skip
        if not np.isfinite(value).all():
            gap = 2.0 * gap + 1.0 / float(first.decays.max())
            continue
        found = max(float(np.abs(np.diff(value, axis=axis)).max()) for axis in (1, 2))
        if found <= reach and wanted(found) <= total:
            break
        gap = found
    else:
        raise ValueError(f"the value differs by {gap:g} or more between neighbouring inventories; check the penalties")
    distance = np.full((*value.shape, 2, 2), np.inf)
    for option, maker in enumerate(makers):
        change = np.diff(value, axis=1 + option)
        low, high, k = maker.min_distance, maker.max_distance, maker.decays
        ahead = tuple(slice(None, -1) if axis == 1 + option else slice(None) for axis in range(3))
        behind = tuple(slice(1, None) if axis == 1 + option else slice(None) for axis in range(3))
        distance[(*ahead, option, 0)] = np.clip(1.0 / k[0] - change, low, high)
        distance[(*behind, option, 1)] = np.clip(1.0 / k[1] + change, low, high)
    return PairTable(np.linspace(0.0, first.horizon, steps + 1), (first.inventory, second.inventory), value, distance)


def check_penalty(name: str, matrix: Array, count: int) -> None:
    """Raises ValueError unless `matrix` is [count, count], finite, symmetric and positive semi-definite."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape != (count, count) or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a finite [{count}, {count}] matrix, found shape {list(matrix.shape)}")
    if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() < -1e-12 * max(1.0, np.abs(matrix).max()):
        raise ValueError(f"{name} must be symmetric and positive semi-definite, found {matrix.tolist()}")


@njit(cache=True, error_model="numpy")
def _gain_pair(here, up, down, has_up, has_down, rate, decay, low, high, table, origin, pitch):
    """The gains of both sides of one option."""
    total = 0.0
    if has_up:
        total += gain_kernel(up - here, 0, rate[0], decay[0], low, high, table, origin, pitch)
    if has_down:
        total += gain_kernel(down - here, 1, rate[1], decay[1], low, high, table, origin, pitch)
    return total


@njit(cache=True, error_model="numpy")
def _slope(v, out, cost, rate1, decay1, low1, high1, tab1, org1, pit1, rate2, decay2, low2, high2, tab2, org2, pit2):
    """dv/dtau of the equation above."""
    n, m = v.shape
    for i in range(n):
        for j in range(m):
            here = v[i, j]
            first = _gain_pair(here, v[min(i + 1, n - 1), j], v[max(i - 1, 0), j], i + 1 < n, i > 0, rate1, decay1,
                               low1, high1, tab1, org1, pit1)  # fmt: skip
            second = _gain_pair(here, v[i, min(j + 1, m - 1)], v[i, max(j - 1, 0)], j + 1 < m, j > 0, rate2, decay2,
                                low2, high2, tab2, org2, pit2)  # fmt: skip
            out[i, j] = first + second - cost[i, j]


@njit(cache=True, error_model="numpy")
def _backward(
    value, dt, per_row, cost, rate1, decay1, low1, high1, tab1, org1, pit1, rate2, decay2, low2, high2, tab2, org2, pit2
):
    """Fills `value` from its last row on, by classical Runge-Kutta."""
    v, trial, work = value[-1].copy(), np.empty_like(value[-1]), np.empty((4, *value[-1].shape))
    for row in range(value.shape[0] - 2, -1, -1):
        for _ in range(per_row):
            for stage in range(4):
                back = (0.0, 0.5, 0.5, 1.0)[stage]
                trial[:] = v
                if stage > 0:
                    trial += back * dt * work[stage - 1]
                _slope(trial, work[stage], cost, rate1, decay1, low1, high1, tab1, org1, pit1, rate2, decay2, low2,
                       high2, tab2, org2, pit2)  # fmt: skip
            v += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
        value[row] = v
