"""One maker's optimal quotes inside a market of N Poisson steps: what a learner in the dealer market can reach at best.

At each step the maker quotes both sides; side s draws Poisson(A_s e^{-k_s eps_s} dt) fills, independently, each capped
by its room Q -+ q at the start of the step (the rest is unfilled). With W the value one step later,

    V(q) = max over (bid, ask) of E[ bid n_b + ask n_a + W(q + n_b - n_a) ],   W includes the drift and running penalty
                                                                              on the inventory after the fills

The two distances are improved in turn, each by a scan and a golden-section search, until the value stops rising. The
limit for N -> infinity is `maker.solve`, reached at first order in T/N; a given table is valued in the same steps by
`value.value_in_steps`.

Arguments of the kernels:

    eps, guess            a distance; where the search also looks
    rate, k, dt           A and k of this side; the length of a step
    room, u               how many fills fit; u[n]: what n fills leave behind, value and the other side's
    mass                  scratch for the law of the fills
    low, high             bounds of a distance
"""

import math

import numpy as np
from numba import njit

from arena.solvers.options.option_model import profile
from arena.solvers.quoting.maker import Maker, QuoteTable
from arena.solvers.quoting.value import capped_poisson_kernel

_REACH = 6.0  # in units of 1/k: how far beyond the closest distance the scan of an unbounded range looks


def solve_in_steps(maker: Maker, steps: int) -> QuoteTable:
    """Optimal value and quotes in `steps` Poisson steps; the last row of quotes, not played, repeats the row above.

    Raises ValueError for no steps, a temperature (there is no Gibbs form in steps) or an unbounded min_distance.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, found {steps}")
    if maker.temperature > 0:
        raise ValueError(f"temperature must be 0 in a market of steps, found {maker.temperature:g}")
    if not math.isfinite(maker.min_distance):
        raise ValueError(f"min_distance must be finite in a market of steps, found {maker.min_distance:g}")
    q = maker.inventory.astype(float)
    dt = maker.horizon / steps
    edges = np.linspace(0.0, maker.horizon, steps + 1)
    drift = profile(maker.drift).integral(edges[:-1], edges[1:])
    held = drift[:, None] * q - 0.5 * maker.running_penalty * dt * q**2
    value, distance = np.empty((steps + 1, q.size)), np.full((steps + 1, q.size, 2), np.inf)
    value[-1] = -maker.terminal_cost * q**2
    _sweep(value, distance, dt, maker.rates, maker.decays, held, maker.min_distance, maker.max_distance)
    distance[-1] = distance[-2]
    return QuoteTable(edges, maker.inventory, value, distance)


@njit(cache=True, error_model="numpy")
def _worth(eps, rate, k, dt, room, u, mass):
    """E[eps n + u(n)] of one side at the distance eps; leaves the law of n in `mass`."""
    expected = capped_poisson_kernel(rate * math.exp(-k * eps) * dt, room, mass)
    total = eps * expected
    for count in range(room + 1):
        total += mass[count] * u[count]
    return total


@njit(cache=True, error_model="numpy")
def _best(guess, rate, k, dt, room, u, mass, low, high):
    """Maximise `_worth` over [low, high]: the best of 15 points, then golden section around it."""
    top = min(high, max(low, guess) + _REACH / k)
    width = (top - low) / 13.0
    best, worth = low, -math.inf
    for point in range(15):
        eps = low + width * point if point < 14 else min(max(guess, low), high)
        here = _worth(eps, rate, k, dt, room, u, mass)
        if here > worth:
            best, worth = eps, here
    golden = 0.6180339887498949
    left, right = max(best - width, low), min(best + width, high)
    inner, outer = right - golden * (right - left), left + golden * (right - left)
    f_inner = _worth(inner, rate, k, dt, room, u, mass)
    f_outer = _worth(outer, rate, k, dt, room, u, mass)
    while right - left > 1e-8:
        if f_inner >= f_outer:
            right, outer, f_outer = outer, inner, f_inner
            inner = right - golden * (right - left)
            f_inner = _worth(inner, rate, k, dt, room, u, mass)
        else:
            left, inner, f_inner = inner, outer, f_outer
            outer = left + golden * (right - left)
            f_outer = _worth(outer, rate, k, dt, room, u, mass)
    middle = 0.5 * (left + right)
    return middle if _worth(middle, rate, k, dt, room, u, mass) >= worth else best


@njit(cache=True, error_model="numpy")
def _sweep(value, distance, dt, rate, decay, held, low, high):
    n = value.shape[1]
    later, u, mass = np.empty(n), np.empty(n), np.zeros((2, n))
    for row in range(value.shape[0] - 2, -1, -1):
        for i in range(n):
            later[i] = value[row + 1, i] + held[row, i]
        for i in range(n):
            rooms = (n - 1 - i, i)
            for side in range(2):
                mass[side, 0] = 1.0
                if rooms[side] > 0:
                    gain = later[i + 1 - 2 * side] - later[i]
                    distance[row, i, side] = min(max(1.0 / decay[side] - gain, low), high)
                    mean = rate[side] * math.exp(-decay[side] * distance[row, i, side]) * dt
                    capped_poisson_kernel(mean, rooms[side], mass[side])
            total = -math.inf
            for _ in range(40):
                before = total
                for side in range(2):
                    other, sign = 1 - side, 1 - 2 * side
                    if rooms[side] == 0:
                        continue
                    for count in range(rooms[side] + 1):
                        u[count] = 0.0
                        for back in range(rooms[other] + 1):
                            chance = mass[other, back]
                            if chance > 1e-18:
                                u[count] += chance * later[i + sign * (count - back)]
                    distance[row, i, side] = _best(distance[row, i, side], rate[side], decay[side], dt, rooms[side], u,
                                                   mass[side], low, high)  # fmt: skip
                    total = _worth(distance[row, i, side], rate[side], decay[side], dt, rooms[side], u, mass[side])
                    if rooms[other] > 0:
                        expected = 0.0
                        for count in range(rooms[other] + 1):
                            expected += count * mass[other, count]
                        total += distance[row, i, other] * expected
                if total - before < 1e-12:
                    break
            value[row, i] = total
