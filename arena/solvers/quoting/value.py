"""What a given quoting policy of (t, q) is worth, and where it takes the inventory: linear equations, no optimisation.

    continuous:  v_t + q g - phi/2 q^2 + sum_s lambda_s (eps_s + v(q +- 1) - v(q)) = 0            v(T) = -c q^2
                 p_t = L' p  for the law of the inventory                                         p(0) = given
    in N steps:  each step both sides draw Poisson(lambda_s dt) fills, each capped by its own room Q -+ q at the start;
                 the running penalty is charged on the inventory after the fills

A policy is a table of distances [N+1, 2Q+1, 2] at times k T / N (inf = withdrawn) or of intensities and rewards
(`rates`), for exploratory policies. Rows are interpolated (`hold="linear"`) or kept over the step (`hold="step"`)."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit

from arena.layout import Array
from arena.solvers.options.option_model import profile
from arena.solvers.quoting.maker import Maker

Hold = Literal["linear", "step"]


class Rates(NamedTuple):
    """Effective fill intensities [N+1, 2Q+1, 2] and running reward per unit of time [N+1, 2Q+1] of a policy."""

    intensity: Array
    reward: Array


class InventoryLaw(NamedTuple):
    """Distribution of the inventory at times k T / N: probability [N+1, 2Q+1], mean [N+1], std [N+1]."""

    times: Array
    probability: Array
    mean: Array
    std: Array


def rates_of(maker: Maker, distance: Array) -> Rates:
    """Intensities A e^{-k eps} and spread earned per unit of time, sum_s lambda_s eps_s, of a distance table.

    Raises ValueError for a wrong shape, a nan, or a live quote whose fill would break the inventory bound.
    """
    n = 2 * maker.inventory_limit + 1
    if distance.ndim != 3 or distance.shape[0] < 2 or distance.shape[1:] != (n, 2):
        raise ValueError(f"a policy must be [N+1 >= 2, {n}, 2], found {list(distance.shape)}")
    if np.isnan(distance).any() or np.isneginf(distance).any():
        raise ValueError("distances must be numbers or inf (withdrawn), found nan or -inf")
    if np.isfinite(distance[:, -1, 0]).any() or np.isfinite(distance[:, 0, 1]).any():
        raise ValueError("the bid at +Q and the ask at -Q must be withdrawn (inf): the fill would break the bound")
    intensity = maker.rates * np.exp(-maker.decays * distance)
    return Rates(intensity, (intensity * np.where(np.isinf(distance), 0.0, distance)).sum(axis=-1))


def value_of(maker: Maker, policy: Array | Rates, *, hold: Hold = "linear") -> Array:
    """Value [N+1, 2Q+1] in continuous time of a distance table or of Rates; raises ValueError as `rates_of`
    does."""
    rates = policy if isinstance(policy, Rates) else rates_of(maker, policy)
    per_row, dt = _fine(maker, rates)
    reward = rates.reward + _carry(maker, rates.reward.shape[0] - 1)
    value = np.empty_like(reward)
    value[-1] = -maker.terminal_cost * maker.inventory.astype(float) ** 2
    _backward(value, dt, per_row, np.ascontiguousarray(rates.intensity), np.ascontiguousarray(reward), hold == "step")
    return value


def inventory_law(maker: Maker, policy: Array | Rates, start: int = 0, *, hold: Hold = "linear") -> InventoryLaw:
    """Law of the inventory that starts at `start` lots, in continuous time; raises ValueError for a start beyond
    the limit, and as `rates_of` does."""
    rates = policy if isinstance(policy, Rates) else rates_of(maker, policy)
    if abs(start) > maker.inventory_limit:
        raise ValueError(f"start must be within the inventory limit {maker.inventory_limit}, found {start}")
    per_row, dt = _fine(maker, rates)
    probability = np.zeros(rates.reward.shape)
    probability[0, start + maker.inventory_limit] = 1.0
    _forward(probability, dt, per_row, np.ascontiguousarray(rates.intensity), hold == "step")
    q = maker.inventory.astype(float)
    mean = probability @ q
    std = np.sqrt(np.maximum(probability @ q**2 - mean**2, 0.0))
    return InventoryLaw(np.linspace(0.0, maker.horizon, mean.size), probability, mean, std)


def spread_income(maker: Maker, distance: Array, start: int = 0) -> float:
    """Expected spread earned over the horizon, before penalties (trapezoid over the table's rows)."""
    law = inventory_law(maker, distance, start)
    earned = (law.probability * rates_of(maker, distance).reward).sum(axis=1)
    return float(np.trapezoid(earned, law.times))


def value_in_steps(maker: Maker, distance: Array) -> Array:
    """Value [N+1, 2Q+1] of a table [N or N+1, 2Q+1, 2] played in a market of N = len(value) - 1 Poisson steps.

    A table with N+1 rows is read without its last. Exact up to rounding; tends to `value_of` at first order in T/N.
    Raises ValueError as `rates_of` does.
    """
    rates_of(maker, distance)
    steps = distance.shape[0] - 1
    dt = maker.horizon / steps
    q = maker.inventory.astype(float)
    value = np.empty((steps + 1, q.size))
    value[-1] = -maker.terminal_cost * q**2
    edges = np.linspace(0.0, maker.horizon, steps + 1)
    drift = profile(maker.drift).integral(edges[:-1], edges[1:])
    held = drift[:, None] * q - 0.5 * maker.running_penalty * dt * q**2
    _steps(value, dt, np.ascontiguousarray(distance), maker.rates, maker.decays, held)
    return value


def _carry(maker: Maker, steps: int) -> Array:
    """q g(t) - phi/2 q^2 [N+1, 2Q+1]."""
    q = maker.inventory.astype(float)
    drift = profile(maker.drift).at(np.linspace(0.0, maker.horizon, steps + 1))
    return drift[:, None] * q - 0.5 * maker.running_penalty * q**2


def _fine(maker: Maker, rates: Rates) -> tuple[int, float]:
    """Runge-Kutta steps per row, for (both intensities) x (step) <= 0.15, and their width."""
    steps = rates.reward.shape[0] - 1
    fastest = float(rates.intensity.sum(axis=-1).max())
    per_row = max(1, math.ceil(max(fastest * maker.horizon / 0.15, 400.0) / steps))
    return per_row, maker.horizon / steps / per_row


@njit(cache=True, error_model="numpy")
def _backward(value, dt, per_row, intensity, reward, step):
    n = value.shape[1]
    v, trial, work = value[-1].copy(), np.empty(n), np.empty((4, n))
    for row in range(value.shape[0] - 2, -1, -1):
        above = row if step else row + 1
        for fine in range(per_row - 1, -1, -1):
            for stage in range(4):
                back = (0.0, 0.5, 0.5, 1.0)[stage]
                trial[:] = v
                if stage > 0:
                    trial += back * dt * work[stage - 1]
                share = (fine + 1.0 - back) / per_row
                for i in range(n):
                    total = (1.0 - share) * reward[row, i] + share * reward[above, i]
                    if i + 1 < n:
                        rate = (1.0 - share) * intensity[row, i, 0] + share * intensity[above, i, 0]
                        total += rate * (trial[i + 1] - trial[i])
                    if i > 0:
                        rate = (1.0 - share) * intensity[row, i, 1] + share * intensity[above, i, 1]
                        total += rate * (trial[i - 1] - trial[i])
                    work[stage, i] = total
            v += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
        value[row] = v


@njit(cache=True, error_model="numpy")
def _forward(probability, dt, per_row, intensity, step):
    n = probability.shape[1]
    p, trial, work = probability[0].copy(), np.empty(n), np.empty((4, n))
    for row in range(probability.shape[0] - 1):
        above = row if step else row + 1
        for fine in range(per_row):
            for stage in range(4):
                ahead = (0.0, 0.5, 0.5, 1.0)[stage]
                trial[:] = p
                if stage > 0:
                    trial += ahead * dt * work[stage - 1]
                share = (fine + ahead) / per_row
                work[stage, :] = 0.0
                for i in range(n):
                    if i + 1 < n:
                        rate = (1.0 - share) * intensity[row, i, 0] + share * intensity[above, i, 0]
                        work[stage, i] -= rate * trial[i]
                        work[stage, i + 1] += rate * trial[i]
                    if i > 0:
                        rate = (1.0 - share) * intensity[row, i, 1] + share * intensity[above, i, 1]
                        work[stage, i] -= rate * trial[i]
                        work[stage, i - 1] += rate * trial[i]
            p += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
        probability[row + 1] = p


@njit(cache=True, error_model="numpy")
def capped_poisson_kernel(mean: float, room: int, mass: Array) -> float:
    """Probabilities mass[0..room] of min(Poisson(mean), room); returns its expectation."""
    mass[0] = math.exp(-mean)
    below, expected = mass[0], 0.0
    for count in range(1, room + 1):
        mass[count] = mass[count - 1] * mean / count
        if count < room:
            below += mass[count]
            expected += count * mass[count]
    if room > 0:
        mass[room] = max(1.0 - below, 0.0)
        expected += room * mass[room]
    else:
        mass[0] = 1.0
    return expected


@njit(cache=True, error_model="numpy")
def _steps(value, dt, distance, rate, decay, held):
    n = value.shape[1]
    bids, asks = np.zeros(n), np.zeros(n)
    for row in range(value.shape[0] - 2, -1, -1):
        for i in range(n):
            earned = 0.0
            rooms = (n - 1 - i, i)
            for side in range(2):
                eps = distance[row, i, side]
                mean = 0.0 if eps == math.inf else rate[side] * math.exp(-decay[side] * eps) * dt
                expected = capped_poisson_kernel(mean, rooms[side], bids if side == 0 else asks)
                if expected > 0.0:
                    earned += eps * expected
            for bought in range(rooms[0] + 1):
                for sold in range(rooms[1] + 1):
                    chance = bids[bought] * asks[sold]
                    if chance > 1e-18:
                        j = i + bought - sold
                        earned += chance * (value[row + 1, j] + held[row, j])
            value[row, i] = earned
