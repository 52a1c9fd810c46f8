"""Optimal quotes in any number of options when only the book's vega costs: one or two state variables whatever n.

    0 = v_t + a_P v_nu + 1/2 nu xi^2 v_nunu + G (a_P - a_Q) / (2 sqrt(nu)) - (ra xi^2 / 8) G^2
        + sum over options and sides of H( v(nu, G +- vega_i) - v ),       G = sum_i q_i vega_i,  v(T) = 0, |G| <= limit

(Baldacci, Bergault & Guéant 2021: stochastic variance d nu = a_P dt + sqrt(nu) xi dW, vegas w.r.t. sqrt(nu) frozen,
delta hedged.) With volatility risk that does not depend on nu the state is G alone and the penalty (ra/2) vol_of_vol^2
G^2: the `vega` risk of `two_options` with a bound on the vega instead of on each inventory. v between nodes is cubic
in G.

Arguments of the kernels, n options, w nodes of the variance, m of the vega:

    value                 [N+1, w, m]: its last row is given, the others are filled backward
    v, out, carry         [m]: the value at one time and variance, its slope in time to go, the running terms ([w, m])
    dt, per_row           a Runge-Kutta step, and how many of them lie between two rows
    move                  [w, w]: half a step of the variance
    index, weight         [m, n, 2, 4]: where G after a fill lies between the nodes
    live                  [m, n, 2]: whether that is within the bound
    rate, decay           [n, 2]: A and k, bid and ask
    low, high             bounds of a distance
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm

from arena.layout import Array
from arena.solvers.quoting.maker import check_flow


@dataclass(frozen=True)
class VegaBook:
    """Options with flow (arrival_rate, fill_decay [n, 2], bid and ask) and vegas [n]; |G| <= vega_limit.

    Raises ValueError, a sentence, when sizes differ or a number is out of range.
    """

    vega: tuple[float, ...]
    arrival_rate: tuple[tuple[float, float], ...]
    fill_decay: tuple[tuple[float, float], ...]
    horizon: float
    vega_limit: float
    risk_aversion: float
    min_distance: float = 0.0
    max_distance: float = math.inf

    def __post_init__(self) -> None:
        n = len(self.vega)
        if n == 0 or len(self.arrival_rate) != n or len(self.fill_decay) != n:
            sizes = f"{n} vegas, {len(self.arrival_rate)} arrival rates and {len(self.fill_decay)} fill decays"
            raise ValueError(f"found {sizes}; there must be as many of each, at least one")  # fmt: skip
        for rate, decay in zip(self.arrival_rate, self.fill_decay, strict=True):
            check_flow(rate, decay, self.horizon, 1)
        if min(self.vega) <= 0 or not math.isfinite(max(self.vega)):
            raise ValueError(f"vegas must be positive, found {min(self.vega):g}")
        if not (math.isfinite(self.vega_limit) and self.vega_limit >= max(self.vega)):
            raise ValueError(
                f"vega_limit must be at least the largest vega {max(self.vega):g}, found {self.vega_limit:g}"
            )
        if not (math.isfinite(self.risk_aversion) and self.risk_aversion >= 0):
            raise ValueError(f"risk_aversion must be at least 0, found {self.risk_aversion:g}")
        if not (math.isfinite(self.min_distance) and self.min_distance < self.max_distance):
            raise ValueError(
                f"min_distance {self.min_distance} must be finite and below max_distance {self.max_distance}"
            )


@dataclass(frozen=True)
class Variance:
    """Square-root variance d nu = speed (level - nu) dt + xi sqrt(nu) dW; `priced_*` are the drift used for pricing
    (a_Q). Raises ValueError for a level that is not positive or a negative speed or xi."""

    start: float
    speed: float
    level: float
    xi: float
    priced_speed: float
    priced_level: float

    def __post_init__(self) -> None:
        if min(self.start, self.level, self.priced_level) <= 0 or min(self.speed, self.priced_speed, self.xi) < 0:
            raise ValueError("variance levels must be positive, speeds and xi at least 0")


class VegaTable(NamedTuple):
    """Value and quotes at times k T / N over variance (one node without a Variance) and vega."""

    times: Array  # [N+1]
    variances: Array  # [w]
    vegas: Array  # [m]
    value: Array  # [N+1, w, m]
    distance: Array  # [N+1, w, m, n, 2]; inf where a fill would pass the limit

    @property
    def start(self) -> float:
        """Value at time 0, the initial variance and no vega (the middle nodes)."""
        return float(self.value[0, self.variances.size // 2, self.vegas.size // 2])


def solve_vega(
    book: VegaBook, vol_of_vol: float | Variance, *, steps: int = 10, nodes: int = 201, variance_nodes: int = 21
) -> VegaTable:
    """Value and quotes; `vol_of_vol` is a constant (std of volatility per root of time) or a stochastic Variance.

    Raises ValueError for an even number of nodes or fewer than 5.
    """
    for count in (nodes, variance_nodes):
        if count % 2 == 0 or count < 5:
            raise ValueError(f"an axis needs an odd number of at least 5 nodes, found {count}")
    vegas = np.linspace(-book.vega_limit, book.vega_limit, nodes)
    rates, decays = np.array(book.arrival_rate), np.array(book.fill_decay)
    fastest = float((rates * np.exp(-decays * book.min_distance)).sum())
    total = math.ceil(max(200.0, fastest * book.horizon / 0.3) / steps) * steps
    dt = book.horizon / total
    if isinstance(vol_of_vol, Variance):
        variances, generator = _variance_axis(vol_of_vol, book.horizon, variance_nodes)
        move = expm(0.5 * dt * generator)
        premium = vol_of_vol.speed * (vol_of_vol.level - variances)
        premium -= vol_of_vol.priced_speed * (vol_of_vol.priced_level - variances)
        carry = (premium / (2.0 * np.sqrt(variances)))[:, None] * vegas
        carry = carry - book.risk_aversion * vol_of_vol.xi**2 / 8.0 * vegas**2
    else:
        variances, move = np.zeros(1), np.ones((1, 1))
        carry = -0.5 * book.risk_aversion * vol_of_vol**2 * vegas[None] ** 2
    index, weight, live = _jumps(vegas, np.array(book.vega))
    value = np.zeros((steps + 1, variances.size, nodes))
    _backward(
        value, dt, total // steps, move, carry, index, weight, live, rates, decays, book.min_distance, book.max_distance
    )
    change = np.where(live, (value[..., index] * weight).sum(axis=-1), np.nan) - value[..., :, None, None]
    distance = np.where(live, np.clip(1.0 / decays - change, book.min_distance, book.max_distance), np.inf)
    return VegaTable(np.linspace(0.0, book.horizon, steps + 1), variances, vegas, value, distance)


def _variance_axis(variance: Variance, horizon: float, nodes: int) -> tuple[Array, Array]:
    """Nodes around the start within 5 standard deviations (kept positive) and the generator on them."""
    spread = 5.0 * variance.xi * math.sqrt(variance.start * horizon)
    drift = abs(variance.speed * (variance.level - variance.start)) * horizon
    width = min(max(spread + drift, 1e-3 * variance.start), 0.95 * variance.start)
    nu = variance.start + np.linspace(-width, width, nodes)
    h, generator = nu[1] - nu[0], np.zeros((nodes, nodes))
    slope, spreading = variance.speed * (variance.level - nu), 0.5 * nu * variance.xi**2 / h**2
    for i in range(nodes):
        if 0 < i < nodes - 1:
            generator[i, i - 1 : i + 2] += (
                np.array([-0.5, 0.0, 0.5]) * slope[i] / h + np.array([1, -2, 1]) * spreading[i]
            )
        elif (i == 0) == (slope[i] > 0):  # at an edge only an inward drift is kept
            generator[i, i] -= abs(slope[i]) / h
            generator[i, i + (1 if i == 0 else -1)] += abs(slope[i]) / h
    return nu, generator


def _jumps(vegas: Array, vega: Array) -> tuple[NDArray[np.int64], Array, NDArray[np.bool_]]:
    """Four-point Lagrange stencils of G + vega_i (bid, column 0) and G - vega_i (ask): index, weight [m, n, 2, 4],
    live."""
    target = vegas[:, None, None] + vega[:, None] * np.array([1.0, -1.0])
    live = np.abs(target) <= vegas[-1] * (1 + 1e-12)
    position = (target - vegas[0]) / (vegas[1] - vegas[0])
    first = np.clip(np.floor(position).astype(np.int64) - 1, 0, vegas.size - 4)
    t = position - first
    weight = np.stack([-(t - 1) * (t - 2) * (t - 3) / 6, t * (t - 2) * (t - 3) / 2, -t * (t - 1) * (t - 3) / 2,
                       t * (t - 1) * (t - 2) / 6], axis=-1)  # fmt: skip
    return first[..., None] + np.arange(4), weight, live


@njit(cache=True, error_model="numpy")
def _slope(v, out, carry, index, weight, live, rate, decay, low, high):
    """dv/dtau without the motion of the variance."""
    for g in range(v.size):
        total = carry[g]
        for i in range(rate.shape[0]):
            for side in range(2):
                if live[g, i, side]:
                    ahead = 0.0
                    for p in range(4):
                        ahead += weight[g, i, side, p] * v[index[g, i, side, p]]
                    d, k = ahead - v[g], decay[i, side]
                    eps = min(max(1.0 / k - d, low), high)
                    total += rate[i, side] * math.exp(-k * eps) * (eps + d)
        out[g] = total


@njit(cache=True, error_model="numpy")
def _backward(value, dt, per_row, move, carry, index, weight, live, rate, decay, low, high):
    """Fills `value` from its last row on: half a step of the variance, a step of the fills, half a step again."""
    v, m = value[-1].copy(), value.shape[2]
    work, trial = np.empty((4, m)), np.empty(m)
    for row in range(value.shape[0] - 2, -1, -1):
        for _ in range(per_row):
            v = move @ v
            for w in range(v.shape[0]):
                for stage in range(4):
                    trial[:] = v[w]
                    if stage > 0:
                        trial += (0.0, 0.5, 0.5, 1.0)[stage] * dt * work[stage - 1]
                    _slope(trial, work[stage], carry[w], index, weight, live, rate, decay, low, high)
                v[w] += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
            v = move @ v
        value[row] = v


def aggregate_vega(inventory: ArrayLike, vega: ArrayLike) -> Array:
    """G = sum_i q_i vega_i [...] of inventories [..., n]."""
    return np.asarray(inventory, dtype=np.float64) @ np.asarray(vega, dtype=np.float64)
