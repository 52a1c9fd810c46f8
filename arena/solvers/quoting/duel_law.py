"""Where two given policies of the option duel take both inventories, and what each maker earns on the way.

    p_t(q1, q2) = sum over makers and sides of [ lambda(from) p(from) - lambda(q1, q2) p ],      p(0) = given
    income_1 = int sum over sides of E[lambda_1 delta_1] dt,     value_1 = income_1 - penalties of the law

Linear equations, no optimisation; policies are tables as in `duel`, interpolated between rows. `value_1` equals
`duel.evaluate` at the start, which the tests use."""

import math
from typing import NamedTuple

import numpy as np

from arena.layout import Array
from arena.solvers.quoting.duel import Duel, check_policy
from arena.solvers.quoting.maker import both_sides


class DuelLaw(NamedTuple):
    """Law of both inventories at times k T / N, the first maker's mean and standard deviation, and its mean income."""

    times: Array  # [N+1]
    probability: Array  # [N+1, own, rival]
    mean: Array  # [N+1]
    std: Array  # [N+1]
    income: float  # currency, spread earned over the horizon
    terminal_penalty: float
    running_penalty: float


def law(duel: Duel, own: Array, rival: Array, start: tuple[int, int] = (0, 0)) -> DuelLaw:
    """The law when the first maker plays `own` and the second `rival` (each indexed by its own inventory first).

    Raises ValueError as `duel.check_policy`, and for a start beyond the inventory limit.
    """
    check_policy(duel, own)
    check_policy(duel, rival)
    if max(abs(q) for q in start) > duel.inventory_limit:
        raise ValueError(f"start must be within the inventory limit {duel.inventory_limit}, found {start}")
    rows, n = own.shape[0] - 1, 2 * duel.inventory_limit + 1
    mine, theirs = _intensities(duel, own, np.swapaxes(rival, 1, 2))
    earning = (mine * np.where(np.isinf(own), 0.0, own)).sum(axis=-1)
    fastest = float((mine + theirs).sum(axis=-1).max())
    fine = max(1, math.ceil(fastest * duel.horizon / rows / 0.5))
    dt = duel.horizon / rows / fine
    probability, income = np.zeros((rows + 1, n, n)), np.zeros(rows + 1)
    p = probability[0]
    p[start[0] + duel.inventory_limit, start[1] + duel.inventory_limit] = 1.0
    for row in range(rows):
        p, earned = probability[row].copy(), 0.0
        for step in range(fine):
            shares = [(step + back) / fine for back in (0.0, 0.5, 1.0)]
            at = [((1 - s) * mine[row] + s * mine[row + 1], (1 - s) * theirs[row] + s * theirs[row + 1])
                  for s in shares]  # fmt: skip
            pay = [(1 - s) * earning[row] + s * earning[row + 1] for s in shares]
            k1 = _slope(p, *at[0])
            k2 = _slope(p + 0.5 * dt * k1, *at[1])
            k3 = _slope(p + 0.5 * dt * k2, *at[1])
            k4 = _slope(p + dt * k3, *at[2])
            middle = p + 0.5 * dt * k2
            after = p + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            earned += dt / 6.0 * float((pay[0] * p + 4.0 * pay[1] * middle + pay[2] * after).sum())
            p = after
        probability[row + 1], income[row + 1] = p, income[row] + earned
    q = np.arange(-duel.inventory_limit, duel.inventory_limit + 1.0)
    own_law = probability.sum(axis=2)
    mean, square = own_law @ q, own_law @ q**2
    times = np.linspace(0.0, duel.horizon, rows + 1)
    return DuelLaw(
        times, probability, mean, np.sqrt(np.maximum(square - mean**2, 0.0)), float(income[-1]),
        duel.terminal_cost * float(square[-1]), 0.5 * duel.running_penalty * float(np.trapezoid(square, times)),
    )  # fmt: skip


def _intensities(duel: Duel, own: Array, rival: Array) -> tuple[Array, Array]:
    """Fill intensities [N+1, own, rival, 2] of both makers under `soft_best`, both tables indexed [own, rival]."""
    rates, decays, kappa = both_sides(duel.arrival_rate), both_sides(duel.fill_decay), duel.sharpness
    best = np.minimum(own, rival)
    floor = np.where(np.isinf(best), 0.0, best)
    first, second = np.exp(-kappa * (own - floor)), np.exp(-kappa * (rival - floor))
    together = np.maximum(first + second, 1e-300)
    total = np.where(np.isinf(best), 0.0, rates * np.exp(-decays * floor) * (0.5 * together) ** (decays / kappa))
    return total * first / together, total * second / together


def _slope(p: Array, mine: Array, theirs: Array) -> Array:
    """dp/dt [own, rival]."""
    out = -(mine + theirs).sum(axis=-1) * p
    out[1:] += (mine[..., 0] * p)[:-1]
    out[:-1] += (mine[..., 1] * p)[1:]
    out[:, 1:] += (theirs[..., 0] * p)[:, :-1]
    out[:, :-1] += (theirs[..., 1] * p)[:, 1:]
    return out
