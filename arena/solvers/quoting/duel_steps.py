"""The two-maker duel inside a market of N Poisson steps: exact value of two policies and exact best response to one.

At each step both makers quote simultaneously; per side each maker draws Poisson(lambda_m dt) fills, independently given
the quotes, each capped by its own room at the start of the step (the rest is unfilled). With W the value one step
later,

    V(own, rival) = max over (bid, ask) of E[ bid n_b + ask n_a - phi/2 own'^2 dt + W(own', rival') ],
    own' = own + n_b - n_a,  rival' = rival + m_b - m_a

The two distances are improved in turn, each by a scan and a golden-section search, until the value stops rising. This
is the game that learners in the dealer market play (flow `soft_best`, one option, both inventories seen, held quotes),
so a gain measured here has no discretisation in it; `duel` is its limit for N -> infinity, reached at first order.
Tables as in `duel`: [N+1, own, rival, 2], inf = withdrawn, last row not played.

Arguments of the kernels, n = 2Q+1 inventories:

    value, distance       [N+1, n, n] and [N+1, n, n, 2]: V, whose last row is given, and the own quotes
    later, held           [n, n]: value one step later, with [n] the running penalty (negative) of that step
    rival, respond        the rival's quotes (table, or one of them); whether the own quotes are the best response
    i, j, sign            own and rival inventory (index); +1 on the bid, -1 on the ask
    eps, guess            a distance; where the search also looks
    rate, decay           A and k, of both sides [2] or of this one
    kappa, dt             the sharpness; the length of a step
    k                     k of this side
    caps, other_caps      room for own and for rival fills, on this side and on the other
    most                  largest count of fills that is told apart
    mine, theirs          laws of own and rival fills on one side, or scratch for them
    u, scratch            u[x, y]: expected value after x own and y rival fills of this side
    low, high             bounds of a distance
"""

import math

import numpy as np
from numba import njit

from arena.layout import Array
from arena.solvers.quoting.duel import Duel, DuelTable, check_policy
from arena.solvers.quoting.maker import both_sides
from arena.solvers.quoting.soft_best import flow_kernel, respond_kernel

_TAIL = 1e-13  # Poisson mass that is put on the last count


def evaluate_in_steps(duel: Duel, own: Array, rival: Array) -> DuelTable:
    """Exact value of playing `own` against `rival` in N = rows - 1 steps; raises ValueError as `duel.evaluate`
    does."""
    check_policy(duel, own)
    check_policy(duel, rival)
    if own.shape != rival.shape:
        raise ValueError(f"the two tables have {own.shape[0]} and {rival.shape[0]} rows of time; they must be as many")
    return _solve(duel, own, rival, respond=False)


def best_response_in_steps(duel: Duel, rival: Array) -> DuelTable:
    """The highest value any policy of (step, own, rival) can earn against `rival`; raises ValueError as
    `duel.best_response` does."""
    check_policy(duel, rival)
    return _solve(duel, np.full_like(rival, np.inf), rival, respond=True)


def _solve(duel: Duel, own: Array, rival: Array, *, respond: bool) -> DuelTable:
    steps, q = own.shape[0] - 1, np.arange(-duel.inventory_limit, duel.inventory_limit + 1)
    rates, decays = both_sides(duel.arrival_rate), both_sides(duel.fill_decay)
    dt = duel.horizon / steps
    most = 1
    mean = float((rates * np.exp(-decays * duel.min_distance)).max()) * dt
    mass = total = math.exp(-mean)
    while 1.0 - total > _TAIL and most < 2 * duel.inventory_limit:
        mass *= mean / most
        total += mass
        most += 1
    value = np.empty((steps + 1, q.size, q.size))
    value[-1] = -duel.terminal_cost * np.square(q, dtype=np.float64)[:, None]
    distance = own.copy()
    held = -0.5 * duel.running_penalty * dt * np.square(q, dtype=np.float64)
    _backward(value, distance, np.ascontiguousarray(rival), held, dt, most, respond, rates, decays,
              float(duel.sharpness), float(duel.min_distance), float(duel.max_distance))  # fmt: skip
    return DuelTable(np.linspace(0.0, duel.horizon, steps + 1), q, value, distance)


@njit(cache=True, error_model="numpy")
def _poisson(mean, most, out):
    """out[0..most] = law of min(Poisson(mean), most); returns its expectation."""
    out[0] = 1.0
    if most == 0:
        return 0.0
    out[0] = math.exp(-mean)
    below, expected = out[0], 0.0
    for count in range(1, most):
        out[count] = out[count - 1] * mean / count
        below += out[count]
        expected += count * out[count]
    out[most] = max(1.0 - below, 0.0)
    return expected + most * out[most]


@njit(cache=True, error_model="numpy")
def _after_other_side(later, i, j, sign, mine, theirs, caps, other_caps, u, scratch):
    """u[x, y] = E later[i + sign (x - n), j + sign (y - m)] over the other side's fills n ~ mine, m ~ theirs."""
    for x in range(caps[0] + 1):
        for y in range(-other_caps[1], caps[1] + 1):
            total = 0.0
            for n in range(other_caps[0] + 1):
                total += mine[n] * later[i + sign * (x - n), j + sign * y]
            scratch[y + other_caps[1]] = total
        for y in range(caps[1] + 1):
            total = 0.0
            for m in range(other_caps[1] + 1):
                total += theirs[m] * scratch[y - m + other_caps[1]]
            u[x, y] = total


@njit(cache=True, error_model="numpy")
def _side_worth(eps, rival, rate, k, kappa, dt, caps, u, mine, theirs):
    """E[eps n + u(n, m)] of one side at the distance eps; leaves the laws of n and m in `mine` and `theirs`."""
    fills, rival_fills = flow_kernel(eps, rival, rate, k, kappa)
    expected = _poisson(fills * dt, caps[0], mine)
    _poisson(rival_fills * dt, caps[1], theirs)
    total = eps * expected if expected > 0.0 else 0.0
    for n in range(caps[0] + 1):
        part = 0.0
        for m in range(caps[1] + 1):
            part += theirs[m] * u[n, m]
        total += mine[n] * part
    return total


@njit(cache=True, error_model="numpy")
def _best_side(guess, rival, rate, k, kappa, dt, caps, u, mine, theirs, low, high):
    """Maximise `_side_worth`: the best of 12 points from low to past the guess, then golden section around it."""
    top = min(high, max(guess, low) + 1.0 / k)
    width = (top - low) / 11.0
    best, worth = low, -math.inf
    for point in range(13):
        eps = low + width * point if point < 12 else min(max(guess, low), high)
        here = _side_worth(eps, rival, rate, k, kappa, dt, caps, u, mine, theirs)
        if here > worth:
            best, worth = eps, here
    golden = 0.6180339887498949
    left, right = max(best - width, low), min(best + width, high)
    inner, outer = right - golden * (right - left), left + golden * (right - left)
    f_inner = _side_worth(inner, rival, rate, k, kappa, dt, caps, u, mine, theirs)
    f_outer = _side_worth(outer, rival, rate, k, kappa, dt, caps, u, mine, theirs)
    while right - left > 1e-7:
        if f_inner >= f_outer:
            right, outer, f_outer = outer, inner, f_inner
            inner = right - golden * (right - left)
            f_inner = _side_worth(inner, rival, rate, k, kappa, dt, caps, u, mine, theirs)
        else:
            left, inner, f_inner = inner, outer, f_outer
            outer = left + golden * (right - left)
            f_outer = _side_worth(outer, rival, rate, k, kappa, dt, caps, u, mine, theirs)
    middle = 0.5 * (left + right)
    return middle if _side_worth(middle, rival, rate, k, kappa, dt, caps, u, mine, theirs) >= worth else best


@njit(cache=True, error_model="numpy")
def _backward(value, distance, rival, held, dt, most, respond, rate, decay, kappa, low, high):
    """Fills `value`, and `distance` where it responds, from the last row on."""
    rows, n = value.shape[0] - 1, value.shape[1]
    later, u, scratch = np.empty((n, n)), np.empty((most + 1, most + 1)), np.empty(2 * most + 1)
    mine, theirs = np.empty((2, most + 1)), np.empty((2, most + 1))
    for row in range(rows - 1, -1, -1):
        for i in range(n):
            for j in range(n):
                later[i, j] = value[row + 1, i, j] + held[i]
        for i in range(n):
            for j in range(n):
                caps = ((min(n - 1 - i, most), min(n - 1 - j, most)), (min(i, most), min(j, most)))
                own = distance[row, i, j]
                if respond:
                    for side in range(2):
                        sign = 1 - 2 * side
                        if caps[side][0] > 0:
                            a = later[i + sign, j] - later[i, j]
                            b = later[i, j + sign] - later[i, j] if caps[side][1] > 0 else 0.0
                            own[side] = respond_kernel(rival[row, j, i, side], a, b, low, high, decay[side], kappa)
                for side in range(2):
                    fills, rival_fills = flow_kernel(own[side], rival[row, j, i, side], rate[side], decay[side], kappa)
                    _poisson(fills * dt, caps[side][0], mine[side])
                    _poisson(rival_fills * dt, caps[side][1], theirs[side])
                total, earned = -math.inf, 0.0
                for _ in range(20 if respond else 1):
                    before = total
                    for side in range(1 if respond and caps[0][0] > 0 and caps[1][0] == 0 else 2):
                        other = 1 - side
                        _after_other_side(later, i, j, 1 - 2 * side, mine[other], theirs[other], caps[side],
                                          caps[other], u, scratch)  # fmt: skip
                        quote, k = rival[row, j, i, side], decay[side]
                        if respond and caps[side][0] > 0:
                            own[side] = _best_side(own[side], quote, rate[side], k, kappa, dt, caps[side], u,
                                                   mine[side], theirs[side], low, high)  # fmt: skip
                        total = _side_worth(own[side], quote, rate[side], k, kappa, dt, caps[side], u, mine[side],
                                            theirs[side])  # fmt: skip
                        fills, _unused = flow_kernel(
                            own[other], rival[row, j, i, other], rate[other], decay[other], kappa
                        )
                        earned = _poisson(fills * dt, caps[other][0], scratch)
                        if earned > 0.0:
                            total += own[other] * earned
                    if total - before < 1e-12:
                        break
                value[row, i, j] = total
    distance[rows] = distance[rows - 1]
