"""Policy iteration for one maker: evaluate, improve, repeat; every step raises the value everywhere (Fang & Xu 2025,
Thms 1-2).

    evaluate   v^l_t + q g - phi/2 q^2 + sum_s [ rho_s + lambda_s (v^l(q +- 1) - v^l(q)) ] = 0,   v^l(T) = -c q^2
    improve    (rho, lambda) = those of the maximiser at the gaps d of v^{l-1}:  lambda = H'(d), rho = H(d) - d H'(d)

rho holds the spread and, with a temperature, the entropy bonus. Because the policy of round l at time t depends on
round l - 1 at the same t only, all rounds are integrated backward together, stage by stage: nothing is interpolated,
and the improvement v^l >= v^{l-1} (from H(d') >= H(d) + H'(d)(d' - d), H convex) survives discretisation. Convergence
is Newton's. With a known model this is a demonstration: `maker.solve` needs one sweep.

Arguments of the kernels: those of `maker`, but

    value                 [N+1, L+1, 2Q+1]: the values of all rounds
    v, out                [L+1, 2Q+1]: those at one time, and their slopes in time to go
    intensity, reward     [2]: the start policy's, while a side is live
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.options.option_model import profile
from arena.solvers.quoting.gibbs import gain_kernel, intensity_kernel, moments
from arena.solvers.quoting.maker import Maker, fine_steps, gains_table
from arena.solvers.quoting.value import Rates


class StartPolicy(NamedTuple):
    """A first policy that ignores the state: per side its intensity [2] and reward (with entropy bonus) [2] while
    live."""

    intensity: Array
    reward: Array


class Rounds(NamedTuple):
    """Values [L+1, N+1, 2Q+1] of the start policy (row 0) and of L improvements, at times k T / N."""

    times: Array
    inventory: NDArray[np.int64]
    value: Array


def uniform_start(maker: Maker) -> StartPolicy:
    """Distances drawn uniformly from [min_distance, max_distance], the policy of highest entropy.

    Raises ValueError when that range is not finite.
    """
    low, high = maker.min_distance, maker.max_distance
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"a uniform start needs a finite range of distances, found [{low:g}, {high:g}]")
    k, width = maker.decays, high - low
    near, far = np.exp(-k * low), np.exp(-k * high)
    intensity = maker.rates * (near - far) / (k * width)
    spread = maker.rates * ((low + 1 / k) * near - (high + 1 / k) * far) / (k * width)
    bonus = maker.temperature * math.log(width) if maker.entropy == "lebesgue" else 0.0
    return StartPolicy(intensity, spread + bonus)


def constant_start(maker: Maker, distance: float) -> StartPolicy:
    """One fixed distance on both sides. Raises ValueError with a temperature: a fixed quote has no finite entropy."""
    if maker.temperature > 0:
        raise ValueError("a constant start needs temperature 0: a fixed quote has entropy -inf")
    intensity = maker.rates * np.exp(-maker.decays * distance)
    return StartPolicy(intensity, intensity * distance)


def iterate(maker: Maker, start: StartPolicy, rounds: int, *, steps: int = 100) -> Rounds:
    """Values of `start` and of `rounds` policies, each the maximiser at the value before it.

    Raises ValueError for fewer than one round, or when the problem is too stiff to step through.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, found {rounds}")
    q = maker.inventory.astype(float)
    value = np.empty((steps + 1, rounds + 1, q.size))
    value[-1] = -maker.terminal_cost * q**2
    gap = float(np.abs(np.diff(value[-1, 0])).max())
    for _ in range(12):
        reach = 4.0 * (gap + 8.0 / float(maker.decays.min()))
        total = fine_steps(maker, gap, steps)
        edges = np.linspace(0.0, maker.horizon, total + 1)
        drift = profile(maker.drift).integral(edges[:-1], edges[1:]) * total / maker.horizon
        _backward(value, maker.horizon / total, total // steps, start.intensity, start.reward, maker.rates,
                  maker.decays, maker.min_distance, maker.max_distance, maker.running_penalty, drift,
                  *gains_table(maker, reach))  # fmt: skip
        if np.isfinite(value).all():
            found = float(np.abs(np.diff(value, axis=2)).max())
            if fine_steps(maker, found, steps) <= total:
                times = np.linspace(0.0, maker.horizon, steps + 1)
                return Rounds(times, maker.inventory, np.ascontiguousarray(value.transpose(1, 0, 2)))
            gap = found
        else:
            gap = 2.0 * gap + 1.0 / float(maker.decays.max())
    raise ValueError(f"the value differs by {gap:g} or more between neighbouring inventories; check the penalties")


def improve(maker: Maker, value: Array, *, plain: bool = False) -> Rates:
    """The maximiser's intensities and rewards at a value table [N+1, 2Q+1]: one improvement step.

    With a temperature the reward includes the entropy bonus unless `plain`: then `value.value_of` gives the
    money the exploratory policy makes, in the objective without entropy."""
    gap = np.diff(value, axis=-1)
    intensity, reward = np.zeros((*value.shape, 2)), np.zeros(value.shape)
    for side, d in ((0, gap), (1, -gap)):
        live = slice(None, -1) if side == 0 else slice(1, None)
        rate, decay = maker.rates[side], maker.decays[side]
        if maker.temperature > 0:
            found = moments(d, rate, decay, maker.min_distance, maker.max_distance, maker.temperature, maker.entropy)
            intensity[:, live, side] = found.intensity
            reward[:, live] += found.reward + (0.0 if plain else maker.temperature * found.entropy)
        else:
            eps = np.clip(1.0 / decay - d, maker.min_distance, maker.max_distance)
            intensity[:, live, side] = rate * np.exp(-decay * eps)
            reward[:, live] += intensity[:, live, side] * eps
    return Rates(intensity, reward)


@njit(cache=True, error_model="numpy")
def _slope(v, out, intensity, reward, rate, decay, low, high, phi, g, table, origin, pitch):
    """Slopes of all rounds: each evaluates the policy that improves on the round before."""
    limit = v.shape[1] // 2
    for level in range(v.shape[0]):
        for i in range(v.shape[1]):
            q = i - limit
            total = q * g - 0.5 * phi * q * q
            for side in range(2):
                j = i + 1 - 2 * side
                if 0 <= j < v.shape[1]:
                    here = v[level, j] - v[level, i]
                    if level == 0:
                        total += reward[side] + intensity[side] * here
                    else:
                        d, a, k = v[level - 1, j] - v[level - 1, i], rate[side], decay[side]
                        gain = gain_kernel(d, side, a, k, low, high, table, origin, pitch)
                        fills = intensity_kernel(d, side, a, k, low, high, table, origin, pitch)
                        total += gain + fills * (here - d)
            out[level, i] = total


@njit(cache=True, error_model="numpy")
def _backward(value, dt, per_row, intensity, reward, rate, decay, low, high, phi, drift, table, origin, pitch):
    """Fills `value` from its last row on, by classical Runge-Kutta."""
    shape = value[-1].shape
    v, trial, work = value[-1].copy(), np.empty(shape), np.empty((4, *shape))
    for row in range(value.shape[0] - 2, -1, -1):
        for fine in range(per_row - 1, -1, -1):
            g = drift[row * per_row + fine]
            for stage in range(4):
                trial[:] = v
                if stage > 0:
                    trial += (0.0, 0.5, 0.5, 1.0)[stage] * dt * work[stage - 1]
                _slope(trial, work[stage], intensity, reward, rate, decay, low, high, phi, g, table, origin, pitch)
            v += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
        value[row] = v
