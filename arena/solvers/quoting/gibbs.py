"""The exploratory quote of one side: a Gibbs density over distances, its gain, its moments, and how to draw from it.

    g(eps) = A e^{-k eps} (eps + d),      d = change of value at a fill of this side
    f(eps | d) = exp(g(eps)/gamma) / Z(d)  on [low, high],     gain  H_gamma(d) = gamma log Z(d)
    dH_gamma/dd = E_f[lambda],             H_gamma = E_f[g] + gamma * (differential entropy of f)

(Fang & Xu 2025, eqs. 14-15, where 1/gamma must multiply both sums and the domain must be bounded: on the half line g
tends to zero, so Z diverges.) Entropy is counted against Lebesgue measure (`lebesgue`, the paper; depends on the
unit of eps) or against the uniform density on [low, high] (`uniform`: a bonus <= 0, and H_gamma rises to the plain H
as gamma -> 0).

Arguments of the kernels:

    d, side               change of value at a fill of this side; 0 bid, 1 ask
    rate, decay           A and k of this side
    low, high             bounds of a distance
    table, origin, pitch  `GainTable`; without nodes: the plain maximum, temperature 0
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from arena.layout import Array

Entropy = Literal["uniform", "lebesgue"]

_PANELS, _ORDER = 48, 12


class Moments(NamedTuple):
    """What a Gibbs side does on average, each of the shape of d."""

    gain: Array  # H_gamma(d)
    intensity: Array  # E_f[lambda]
    reward: Array  # E_f[lambda * eps]
    entropy: Array  # of f against the chosen measure
    mode: Array
    mean: Array
    std: Array


class GainTable(NamedTuple):
    """H_gamma and its slope on a uniform grid of d for both sides, for cubic Hermite interpolation in a kernel.

    table [2, m, 2]: side, node, (H_gamma, dH_gamma/dd); node j sits at origin + j * pitch. An empty table means
    gamma = 0.
    """

    table: Array
    origin: float
    pitch: float


NO_TABLE = GainTable(np.empty((2, 0, 2)), 0.0, 1.0)


def check_domain(low: float, high: float, temperature: float) -> None:
    """Raises ValueError unless a Gibbs density exists on [low, high]."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be finite and at least 0, found {temperature:g}")
    if temperature > 0 and not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"temperature {temperature:g} needs finite min_distance < max_distance, found [{low:g}, {high:g}]: "
            "on an unbounded range the Gibbs density cannot be normalised"
        )


def moments(
    d: ArrayLike, rate: float, decay: float, low: float, high: float, temperature: float, entropy: Entropy = "uniform"
) -> Moments:
    """Gain, effective intensity and reward, entropy, mode, mean and std of the Gibbs density at each d (gamma > 0).

    12 x 48 composite Gauss-Legendre with a shifted exponent. Raises ValueError when the density does not exist.
    """
    check_domain(low, high, temperature)
    if temperature == 0:
        raise ValueError("temperature must be positive for a Gibbs density, found 0")
    d = np.asarray(d, dtype=np.float64)
    flat = d.ravel()
    nodes, weights = _quadrature(low, high)
    fill = rate * np.exp(-decay * nodes)
    out = np.empty((6, flat.size))
    for start in range(0, flat.size, 4096):  # bounded memory
        part = slice(start, start + 4096)
        energy = fill * (nodes + flat[part, None])
        peak = energy.max(axis=1)
        mass = np.exp((energy - peak[:, None]) / temperature) * weights
        total = mass.sum(axis=1)
        f = mass / total[:, None]
        mean = f @ nodes
        log_z = peak / temperature + np.log(total)
        out[:, part] = (
            log_z,
            f @ fill,
            f @ (fill * nodes),
            log_z - (f * energy).sum(axis=1) / temperature,
            mean,
            np.sqrt(np.maximum((f * (nodes - mean[:, None]) ** 2).sum(axis=1), 0.0)),
        )
    log_z, intensity, reward, differential, mean, std = out.reshape((6, *d.shape))
    shift = math.log(high - low) if entropy == "uniform" else 0.0
    mode = np.clip(1.0 / decay - d, low, high)
    return Moments(temperature * (log_z - shift), intensity, reward, differential - shift, mode, mean, std)


def gain_table(
    reach: float,
    rate: Array,
    decay: Array,
    low: float,
    high: float,
    temperature: float,
    entropy: Entropy = "uniform",
    nodes: int = 2049,
) -> GainTable:
    """Tabulate both sides' gain on d in [-reach, reach]; error below 1e-9 for a pitch under 0.01 / k."""
    grid = np.linspace(-reach, reach, nodes)
    sides = [moments(grid, rate[s], decay[s], low, high, temperature, entropy) for s in (0, 1)]
    table = np.stack([np.stack([m.gain, m.intensity], axis=1) for m in sides])
    return GainTable(table, -reach, 2 * reach / (nodes - 1))


@njit(cache=True, error_model="numpy")
def gain_kernel(
    d: float, side: int, rate: float, decay: float, low: float, high: float, table: Array, origin: float, pitch: float
) -> float:
    """max over eps (empty table) or Gibbs gain of one side; nan where d is off the table."""
    if table.shape[1] == 0:
        eps = min(max(1.0 / decay - d, low), high)
        return rate * math.exp(-decay * eps) * (eps + d)
    position = (d - origin) / pitch
    if not 0.0 <= position <= table.shape[1] - 1:
        return math.nan
    j = min(int(position), table.shape[1] - 2)
    t = position - j
    u = 1.0 - t
    return (
        (1.0 + 2.0 * t) * u * u * table[side, j, 0]
        + t * t * (3.0 - 2.0 * t) * table[side, j + 1, 0]
        + pitch * t * u * (u * table[side, j, 1] - t * table[side, j + 1, 1])
    )


@njit(cache=True, error_model="numpy")
def intensity_kernel(
    d: float, side: int, rate: float, decay: float, low: float, high: float, table: Array, origin: float, pitch: float
) -> float:
    """dH/dd of `gain_kernel`: the (effective) fill intensity of the maximiser, by the envelope theorem."""
    if table.shape[1] == 0:
        return rate * math.exp(-decay * min(max(1.0 / decay - d, low), high))
    position = (d - origin) / pitch
    if not 0.0 <= position <= table.shape[1] - 1:
        return math.nan
    j = min(int(position), table.shape[1] - 2)
    t = position - j
    rise = (table[side, j + 1, 0] - table[side, j, 0]) / pitch
    ends = (1.0 - t) * (1.0 - 3.0 * t) * table[side, j, 1] + t * (3.0 * t - 2.0) * table[side, j + 1, 1]
    return 6.0 * t * (1.0 - t) * rise + ends


def density(eps: ArrayLike, d: float, rate: float, decay: float, low: float, high: float, temperature: float) -> Array:
    """f(eps | d), zero outside [low, high]."""
    log_z = float(moments(d, rate, decay, low, high, temperature, "lebesgue").gain) / temperature
    eps = np.asarray(eps, dtype=np.float64)
    inside = (eps >= low) & (eps <= high)
    return np.where(inside, np.exp(rate * np.exp(-decay * eps) * (eps + d) / temperature - log_z), 0.0)


def sample(
    uniform: ArrayLike, d: ArrayLike, rate: float, decay: float, low: float, high: float, temperature: float
) -> Array:
    """Quantile of f(. | d) at each `uniform` in [0, 1], by the trapezoid distribution function on 1025 nodes.

    uniform and d broadcast. Inside a cell the quantile is linear, so the law differs from f by O(cell^2).
    """
    check_domain(low, high, temperature)
    uniform, d = np.broadcast_arrays(np.asarray(uniform, dtype=np.float64), np.asarray(d, dtype=np.float64))
    out = np.empty(uniform.size)
    grid = np.linspace(low, high, 1025)
    _quantiles(uniform.ravel(), d.ravel(), grid, rate * np.exp(-decay * grid), temperature, out)
    return out.reshape(uniform.shape)


@njit(cache=True, error_model="numpy")
def _quantiles(uniform, d, grid, fill, temperature, out):
    cumulative = np.empty(grid.size)
    for i in range(out.size):
        if i == 0 or d[i] != d[i - 1]:  # equal neighbours share one distribution function
            peak = -math.inf
            for j in range(grid.size):
                peak = max(peak, fill[j] * (grid[j] + d[i]))
            before = math.exp((fill[0] * (grid[0] + d[i]) - peak) / temperature)
            cumulative[0] = 0.0
            for j in range(1, grid.size):
                here = math.exp((fill[j] * (grid[j] + d[i]) - peak) / temperature)
                cumulative[j] = cumulative[j - 1] + 0.5 * (before + here)
                before = here
        target = uniform[i] * cumulative[-1]
        j = min(max(np.searchsorted(cumulative, target), 1), grid.size - 1)
        cell = cumulative[j] - cumulative[j - 1]
        share = (target - cumulative[j - 1]) / cell if cell > 0.0 else 0.0
        out[i] = grid[j - 1] + share * (grid[j] - grid[j - 1])


def _quadrature(low: float, high: float) -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(_ORDER)
    edges = np.linspace(low, high, _PANELS + 1)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1.0 + x)).ravel(), (half * w).ravel()
