"""Exploratory policy iteration from sampled paths only (Fang & Xu 2025, Algorithm 1, corrected), and the printed loss.

    V_theta(t, q) = -c q^2 + sum_ij theta_ij (tau/T)^i (q/s)^{2j or j},  i >= 1: the terminal condition is exact
    each round:  freeze pi = Gibbs(V_theta); play paths from q_0 ~ U{-Q'..Q'}, drawing eps ~ pi, then Poisson fills;
                 r_k = sum fills * eps + gamma * entropy(pi) dt  (+ q g dt - phi/2 q^2 dt)
    lstd         theta solves   E[ phi_k (r_k + V_{k+1} - V_k) ] = 0     (TD(0)'s fixed point: martingale orthogonality)
    naive        theta minimises E[ (r_k + V_{k+1} - V_k)^2 ]            (the paper's eq. 21, one path per expectation)

The naive loss is the Bellman residual PLUS the variance of one transition, which is of order 1/dt larger and is
smallest for a V flat in q: the level comes out right and the slope, which is all that quotes depend on, does not (Jia &
Zhou 2022).

Arguments of the kernels:

    times, known          [N, n, n]: how often q_i was left for q_j in each step, and the sum of r_k + base_j - base_i
    start                 [P]: index of each path's first inventory
    uniform               [P, N, 4]: random numbers: a distance and a count of fills per side
    quantile              [N, n, 2, cells+1]: distances of the frozen policy, by share of its mass
    bonus                 [N, n]: reward of a step that no fill brings
    base                  [n]: the terminal condition
    rate, decay, dt       [2] A and k, bid and ask; the length of a step
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.options.option_model import profile
from arena.solvers.quoting.gibbs import moments
from arena.solvers.quoting.maker import Maker

_CELLS = 512


@dataclass(frozen=True)
class Sampling:
    """How Algorithm 1 learns: rounds of `paths` paths in `steps` steps, starts within +-`start_range` lots, features.

    Features are (tau/T)^i (q/inventory_scale)^j for i = 1..time_powers and j = 0..2 inventory_powers, even j only
    unless `odd`. The answer is the average of the last `averaged` rounds. Raises ValueError for numbers that cannot
    work."""

    rounds: int = 8
    averaged: int = 4
    paths: int = 20_000
    steps: int = 100
    start_range: int = 10
    inventory_scale: float = 10.0
    time_powers: int = 5
    inventory_powers: int = 2
    odd: bool = False
    loss: Literal["lstd", "naive"] = "lstd"

    def __post_init__(self) -> None:
        for name in ("rounds", "averaged", "paths", "steps", "time_powers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.averaged > self.rounds:
            raise ValueError(f"averaged {self.averaged} must not exceed rounds {self.rounds}")
        if self.loss not in ("lstd", "naive"):
            raise ValueError(f"loss must be lstd or naive, found {self.loss!r}")


class Learned(NamedTuple):
    """The learned critic at times k T / N, its coefficients, and the coefficients after every round [rounds,
    features]."""

    times: Array  # [N+1]
    inventory: NDArray[np.int64]  # [2Q+1]
    value: Array  # [N+1, 2Q+1]
    theta: Array
    history: Array


def learn(maker: Maker, sampling: Sampling, seed: int) -> Learned:
    """Run Algorithm 1 from theta = 0. Raises ValueError when the maker has no temperature or start_range is too
    wide."""
    if maker.temperature == 0:
        raise ValueError("Algorithm 1 explores: temperature must be positive, found 0")
    if not 0 <= sampling.start_range <= maker.inventory_limit:
        raise ValueError(f"start_range must be in [0, {maker.inventory_limit}], found {sampling.start_range}")
    rng, n = np.random.default_rng(seed), 2 * maker.inventory_limit + 1
    feature, base = features(maker, sampling), -maker.terminal_cost * maker.inventory.astype(float) ** 2
    theta: Array = np.zeros(feature.shape[-1])
    history: list[Array] = []
    for _ in range(sampling.rounds):
        value = base + feature @ theta
        quantile, bonus = _policy(maker, value[:-1])
        starts = rng.integers(-sampling.start_range, sampling.start_range, sampling.paths, endpoint=True)
        times, known = np.zeros((sampling.steps, n, n)), np.zeros((sampling.steps, n, n))
        for block in np.array_split(starts, math.ceil(sampling.paths / 5000)):  # bounded memory
            uniform = rng.random((block.size, sampling.steps, 4))
            _play(times, known, block + maker.inventory_limit, uniform, quantile, bonus, base, maker.rates,
                  maker.decays, maker.horizon / sampling.steps)  # fmt: skip
        gram, load = _equations(feature, times, known, naive=sampling.loss == "naive")
        theta = np.asarray(np.linalg.solve(gram, load), dtype=np.float64)
        history.append(theta)
    theta = np.array(history[-sampling.averaged :]).mean(axis=0)
    times = np.linspace(0.0, maker.horizon, sampling.steps + 1)
    return Learned(times, maker.inventory, base + feature @ theta, theta, np.array(history))


def features(maker: Maker, sampling: Sampling) -> Array:
    """phi [N+1, 2Q+1, features]; zero at the horizon."""
    left = np.linspace(1.0, 0.0, sampling.steps + 1)
    x = maker.inventory / sampling.inventory_scale
    powers = range(0, 2 * sampling.inventory_powers + 1, 1 if sampling.odd else 2)
    columns = [np.outer(left**i, x**j) for i in range(1, sampling.time_powers + 1) for j in powers]
    return np.ascontiguousarray(np.stack(columns, axis=-1))


def _policy(maker: Maker, value: Array) -> tuple[Array, Array]:
    """Quantile tables [N, 2Q+1, 2, cells+1] of the Gibbs distances and the reward per step that no fill brings [N,
    2Q+1]."""
    steps, n = value.shape
    edges = np.linspace(0.0, maker.horizon, steps + 1)
    q = maker.inventory.astype(float)
    bonus = profile(maker.drift).integral(edges[:-1], edges[1:])[:, None] * q
    bonus = bonus - 0.5 * maker.running_penalty * q**2 * maker.horizon / steps
    gap, quantile = np.diff(value, axis=1), np.zeros((steps, n, 2, _CELLS + 1))
    grid = np.linspace(maker.min_distance, maker.max_distance, _CELLS + 1)
    for side, d in ((0, gap), (1, -gap)):
        live = slice(None, -1) if side == 0 else slice(1, None)
        rate, decay = maker.rates[side], maker.decays[side]
        table = np.zeros((steps, n - 1, _CELLS + 1))
        _quantiles(d, grid, rate * np.exp(-decay * grid), maker.temperature, table)
        quantile[:, live, side] = table
        found = moments(d, rate, decay, maker.min_distance, maker.max_distance, maker.temperature, maker.entropy)
        bonus[:, live] += maker.temperature * found.entropy * maker.horizon / steps
    return quantile, bonus


@njit(cache=True, error_model="numpy")
def _quantiles(d, grid, fill, temperature, table):
    """table[k, i, c]: the distance below which a share c / cells of the Gibbs mass at gap d[k, i] lies."""
    cells = table.shape[2] - 1
    cumulative = np.empty(grid.size)
    for k in range(d.shape[0]):
        for i in range(d.shape[1]):
            peak = -math.inf
            for j in range(grid.size):
                peak = max(peak, fill[j] * (grid[j] + d[k, i]))
            before = math.exp((fill[0] * (grid[0] + d[k, i]) - peak) / temperature)
            cumulative[0] = 0.0
            for j in range(1, grid.size):
                here = math.exp((fill[j] * (grid[j] + d[k, i]) - peak) / temperature)
                cumulative[j] = cumulative[j - 1] + 0.5 * (before + here)
                before = here
            j = 1
            for c in range(cells + 1):
                target = cumulative[-1] * c / cells
                while j < grid.size - 1 and cumulative[j] < target:
                    j += 1
                width = cumulative[j] - cumulative[j - 1]
                share = (target - cumulative[j - 1]) / width if width > 0.0 else 0.0
                table[k, i, c] = grid[j - 1] + min(max(share, 0.0), 1.0) * (grid[j] - grid[j - 1])


@njit(cache=True, error_model="numpy")
def _fills(mean, uniform, room):
    """min(Poisson(mean), room) by inversion."""
    mass, count = math.exp(-mean), 0
    total = mass
    while uniform > total and count < room:
        count += 1
        mass *= mean / count
        total += mass
    return count


@njit(cache=True, error_model="numpy")
def _play(times, known, start, uniform, quantile, bonus, base, rate, decay, dt):
    """Adds each transition of the paths, played all of them a step at a time (its tables fit the cache)."""
    n, cells, now = base.size, quantile.shape[3] - 1, start.copy()
    for k in range(uniform.shape[1]):
        for path in range(start.size):
            i = now[path]
            reward, move = bonus[k, i], 0
            for side in range(2):
                room = n - 1 - i if side == 0 else i
                if room > 0:
                    position = uniform[path, k, side] * cells
                    cell = min(int(position), cells - 1)
                    row = quantile[k, i, side]
                    eps = row[cell] + (position - cell) * (row[cell + 1] - row[cell])
                    mean = rate[side] * math.exp(-decay[side] * eps) * dt
                    count = _fills(mean, uniform[path, k, 2 + side], room)
                    reward += count * eps
                    move += count * (1 - 2 * side)
            j = i + move
            times[k, i, j] += 1.0
            known[k, i, j] += reward + base[j] - base[i]
            now[path] = j


def _equations(feature: Array, times: Array, known: Array, *, naive: bool) -> tuple[Array, Array]:
    """The linear equations [F, F] and [F] of theta: sums over transitions, which phi sees only by step, q_i and q_j."""
    here, ahead = feature[:-1], feature[1:]
    pairs = ([0, 1], [0, 1])
    drop = times.sum(axis=2)[..., None] * here - times @ ahead  # sum over j of phi_k - phi_{k+1}
    gram, load = np.tensordot(here, drop, pairs), np.tensordot(here, known.sum(axis=2), pairs)
    if naive:
        back = times.transpose(0, 2, 1)
        gram -= np.tensordot(ahead, back @ here - times.sum(axis=1)[..., None] * ahead, pairs)
        load -= np.tensordot(ahead, known.sum(axis=1), pairs)
    return gram, load
