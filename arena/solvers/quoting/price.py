"""One maker's optimal quotes when they may also depend on the option's price: the exact problem in (t, S, xi, q).

    0 = V_t + 1/2 sigma^2 S^2 V_SS + 1/2 Sigma^2 V_xixi + q (g(t,S) + drift) - phi/2 q^2 + H_b + H_a
    V(T) = -(c + psi0 (p(T,S) + xi)^2) q^2

(Fang & Xu 2025, eq. 13, with S and xi as the state, so that there are no cross terms, and the corrected drift g.) The
Markov diffusion of ln S and of xi is applied exactly in time by the exponential of its three-point operator; the jumps
in q by Runge-Kutta; the two alternate (Strang, second order in the split width). Grids reach six standard deviations.

Arguments of the kernels: those of `maker`.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import expm

from arena.layout import Array
from arena.solvers.options.option_model import OptionModel, profile
from arena.solvers.quoting.maker import Maker, fine_steps, gains_table, quotes, step_kernel

_REACH = 6.0  # standard deviations at the horizon


class PriceTable(NamedTuple):
    """Value and quotes at times k T / N over spot, shock and inventory; an axis without risk has one node."""

    times: Array  # [N+1]
    spots: Array  # [s]
    shocks: Array  # [x]
    inventory: NDArray[np.int64]  # [2Q+1]
    value: Array  # [N+1, s, x, 2Q+1]
    distance: Array  # [N+1, s, x, 2Q+1, 2]

    @property
    def start(self) -> Array:
        """Value [2Q+1] at time 0, the initial spot and no shock (the middle nodes)."""
        return self.value[0, self.spots.size // 2, self.shocks.size // 2]


def solve_with_price(
    option: OptionModel,
    maker: Maker,
    terminal_penalty: float,
    *,
    steps: int = 20,
    splits: int = 100,
    spot_nodes: int = 121,
    shock_nodes: int = 41,
) -> PriceTable:
    """Optimal value and quotes that see the price; `maker` gives flow, bounds, temperature and its own c, phi and
    drift.

    splits alternations in all (rounded up to a multiple of `steps`). Raises ValueError when the horizon does not end
    before the expiry, a node count is even, or the problem is too stiff."""
    if not maker.horizon < option.expiry:
        raise ValueError(f"horizon {maker.horizon:g} must end before the option's expiry {option.expiry:g}")
    spread = math.sqrt(float(option.realised_vol.integral(0.0, maker.horizon, power=2)))
    x, by_variance = _axis(spread, spot_nodes, lognormal=True)
    spots = option.spot * np.exp(x)
    shock_spread = math.sqrt(float(option.loading.integral(0.0, maker.horizon, power=2)))
    shocks, by_shock = _axis(shock_spread, shock_nodes, lognormal=False)
    prices = option.price(maker.horizon, spots)[:, None] + shocks

    total = math.ceil(splits / steps) * steps
    edges = np.linspace(0.0, maker.horizon, total + 1)
    spot_variance = option.realised_vol.integral(edges[:-1], edges[1:], power=2)
    shock_variance = option.loading.integral(edges[:-1], edges[1:], power=2)
    own = profile(maker.drift).integral(edges[:-1], edges[1:]) / np.diff(edges)
    middle = 0.5 * (edges[:-1] + edges[1:])
    drift = np.stack([option.hedged_drift(t, spots) + g for t, g in zip(middle, own, strict=True)])
    value = _sweep(
        maker, terminal_penalty * prices**2, drift, by_variance, spot_variance, by_shock, shock_variance, steps
    )
    times = np.linspace(0.0, maker.horizon, steps + 1)
    return PriceTable(times, spots, shocks, maker.inventory, value, quotes(maker, value))


def solve_bachelier(option: OptionModel, maker: Maker, terminal_penalty: float, *, nodes: int = 121) -> PriceTable:
    """An approximation: P = P_0 + nu B, nu^2 = (Delta_0 S_0 sigma_0)^2 + Sigma_0^2, so that one price axis suffices."""
    bump = 1e-4 * option.spot
    low, high = option.price(0.0, np.array([option.spot - bump, option.spot + bump]))
    delta = float(high - low) / (2.0 * bump)
    nu = math.hypot(delta * option.spot * float(option.realised_vol.at(0.0)), float(option.loading.at(0.0)))
    shocks, by_shock = _axis(nu * math.sqrt(maker.horizon), nodes, lognormal=False)
    prices = float(option.price(0.0, option.spot)) + shocks[None]
    still, splits = np.zeros((1, 1)), 100
    own = profile(maker.drift).integral(np.arange(splits) / splits * maker.horizon, np.arange(1, splits + 1) / splits
                                        * maker.horizon) * splits / maker.horizon  # fmt: skip
    moved = np.full(splits, nu * nu * maker.horizon / splits)
    value = _sweep(maker, terminal_penalty * prices**2, own[:, None], still, np.zeros(splits), by_shock, moved, 1)
    times = np.array([0.0, maker.horizon])
    return PriceTable(times, np.array([option.spot]), shocks, maker.inventory, value, quotes(maker, value))


def _axis(spread: float, nodes: int, *, lognormal: bool) -> tuple[Array, Array]:
    """Grid of +-6 standard deviations and the generator per unit of variance, 1/2 d_xx (- 1/2 d_x for a log spot)."""
    if nodes % 2 == 0 or nodes < 5:
        raise ValueError(f"an axis needs an odd number of at least 5 nodes, found {nodes}")
    if spread == 0.0:
        return np.zeros(1), np.zeros((1, 1))
    grid = np.linspace(-_REACH * spread, _REACH * spread, nodes)
    h = grid[1] - grid[0]
    second, first = np.zeros((nodes, nodes)), np.zeros((nodes, nodes))
    for i in range(1, nodes - 1):  # at the edges the second derivative is taken as zero
        second[i, i - 1 : i + 2] = np.array([1.0, -2.0, 1.0]) / h**2
        first[i, i - 1 : i + 2] = np.array([-0.5, 0.0, 0.5]) / h
    first[0, :2], first[-1, -2:] = np.array([-1.0, 1.0]) / h, np.array([-1.0, 1.0]) / h
    return grid, 0.5 * second - (0.5 * first if lognormal else 0.0)


def _sweep(
    maker: Maker,
    penalty: Array,
    drift: Array,
    by_variance: Array,
    spot_variance: Array,
    by_shock: Array,
    shock_variance: Array,
    steps: int,
) -> Array:
    """Value [steps+1, s, x, 2Q+1] from terminal penalties [s, x] and drifts [splits, s]."""
    q = maker.inventory.astype(float)
    splits, terminal = drift.shape[0], -(maker.terminal_cost + penalty)[:, :, None] * q**2
    gap = float(np.abs(np.diff(terminal, axis=-1)).max())
    carried = maker.horizon * (maker.running_penalty * (maker.inventory_limit + 0.5) + float(np.abs(drift).max()))
    inner = math.ceil(fine_steps(maker, gap + carried, splits) / (3 * splits))  # a third as fine as the blind solver
    gains = gains_table(maker, gap + carried + 8.0 / float(maker.decays.min()))
    width = maker.horizon / splits
    v, value = terminal.copy(), np.empty((steps + 1, *terminal.shape))
    value[-1] = v
    kernels: dict[tuple[int, float], Array] = {}

    def diffuse(v: Array, axis: int, generator: Array, variance: float) -> Array:
        if variance == 0.0:
            return v
        key = (axis, round(variance, 15))
        if key not in kernels:
            kernels[key] = expm(generator * variance)
        return np.ascontiguousarray(np.moveaxis(np.tensordot(kernels[key], v, axes=(1, axis)), 0, axis))

    for split in range(splits - 1, -1, -1):
        half_spot, half_shock = 0.5 * float(spot_variance[split]), 0.5 * float(shock_variance[split])
        v = diffuse(diffuse(v, 0, by_variance, half_spot), 1, by_shock, half_shock)
        _jump(v, width / inner, inner, maker.rates, maker.decays, maker.min_distance, maker.max_distance,
              maker.running_penalty, drift[split], *gains)  # fmt: skip
        v = diffuse(diffuse(v, 1, by_shock, half_shock), 0, by_variance, half_spot)
        if split % (splits // steps) == 0:
            value[split // (splits // steps)] = v
    if not np.isfinite(value).all():
        raise ValueError("the value grew beyond the tabulated range of one lot's worth; check drift and penalties")
    return value


@njit(cache=True, error_model="numpy")
def _jump(v, dt, count, rate, decay, low, high, phi, drift, table, origin, pitch):
    """Takes v [s, x, 2Q+1] back by `count` steps of the jumps in q alone; drift [s] is that of each spot."""
    work = np.empty((5, v.shape[2]))
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            for _ in range(count):
                step_kernel(v[i, j], dt, work, rate, decay, low, high, phi, drift[i], table, origin, pitch)
