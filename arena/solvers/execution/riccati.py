"""Riccati equations of the execution game: open-loop and feedback Nash as rates v = K(t) X, and exact replies to them
(equations in execution.py)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.execution.game import ExecutionGame

Gain = Callable[[float], Array]
GROWTH = 1e12
EVALUATIONS = 40_000
"""Slopes of one integration; the games that are solved take hundreds to a few thousand."""


def open_loop_gain(game: ExecutionGame, tolerance: float = 1e-12) -> tuple[Gain, Gain]:
    """Open-loop Nash as a decoupling field: K(t) [N, d] and the marginal values y(t) = (R, H) [N, d], from the Riccati
    system."""
    n, d = game.traders, game.start.size
    end = np.zeros((n, d))
    end[:, :n] = -2.0 * np.diag(game.terminal)
    end[:, n] = 1.0

    def slope(t: float, flat: Array) -> Array:
        alpha, beta, phi, net = game.at(t)
        y = flat.reshape(n, d)
        gain = game.rates(alpha, beta, y)
        change = -y @ game.closed_loop(gain, alpha, net) - alpha / n * gain.sum(axis=0)
        change[:, :n] += 2.0 * np.diag(phi)
        return change.ravel()

    path = integrate(
        slope,
        game.horizon,
        0.0,
        end.ravel(),
        game.knots,
        tolerance,
        "the Riccati equation of the open-loop equilibrium",
    )

    def marginal(t: float) -> Array:
        return path(t).reshape(n, d)

    def gain(t: float) -> Array:
        alpha, beta, _, _ = game.at(t)
        return game.rates(alpha, beta, marginal(t))

    return gain, marginal


def feedback_gain(game: ExecutionGame, tolerance: float = 1e-12) -> tuple[Gain, Gain]:
    """Feedback (Markov) Nash: K(t) [N, d] and the own marginal values y(t) [N, d], from the coupled Riccati equations
    of all V^i."""
    n, d = game.traders, game.start.size
    index = np.arange(n)

    def slope(t: float, flat: Array) -> Array:
        alpha, beta, phi, net = game.at(t)
        value = flat.reshape(n, d, d)
        gain = game.rates(alpha, beta, value[index, index])
        half = value @ game.closed_loop(gain, alpha, net)
        return (-(half + half.transpose(0, 2, 1)) - game.running_reward(gain, alpha, beta, phi)).ravel()

    end = game.terminal_value().ravel()
    path = integrate(
        slope, game.horizon, 0.0, end, game.knots, tolerance, "the coupled Riccati equation of the feedback equilibrium"
    )

    def marginal(t: float) -> Array:
        return path(t).reshape(n, d, d)[index, index]

    def gain(t: float) -> Array:
        alpha, beta, _, _ = game.at(t)
        return game.rates(alpha, beta, marginal(t))

    return gain, marginal


def closed_loop_regret(game: ExecutionGame, gain: Gain, tolerance: float = 1e-12) -> Array:
    """Exact gain [N] of each trader's best response when all others keep playing v = K(t) X and react to inventories.

    Two Riccati equations per trader: the value of staying on the profile, and of the best reply to the others' rows of
    K."""
    n, d = game.traders, game.start.size
    shape = game.impact_shape
    noise = np.zeros(d)
    if game.flow is not None:
        noise[n + 1] = game.flow.volatility

    def slope(t: float, flat: Array) -> Array:
        alpha, beta, phi, net = game.at(t)
        profile = gain(t)
        values = flat[: 2 * n * d * d].reshape(2, n, d, d)
        change = np.empty_like(values)
        for i in range(n):
            reply = profile.copy()
            right = values[1, i, i] - beta * (shape[i] @ profile - shape[i, i] * profile[i])
            right[i] += alpha / n
            right[n] -= 1.0
            reply[i] = right / (2.0 * beta * shape[i, i])
            for row, rates in enumerate((profile, reply)):
                half = values[row, i] @ game.closed_loop(rates, alpha, net)
                change[row, i] = -(half + half.T) - game.running_reward(rates, alpha, beta, phi)[i]
        spread = -0.5 * np.einsum("rnij,i,j->rn", values, noise, noise)
        return np.concatenate([change.ravel(), spread.ravel()])

    end = np.concatenate([np.tile(game.terminal_value().ravel(), 2), np.zeros(2 * n)])
    path = integrate(slope, game.horizon, 0.0, end, game.knots, tolerance, "the Riccati equation of the best response")
    first = path(0.0)
    values, constants = first[: 2 * n * d * d].reshape(2, n, d, d), first[2 * n * d * d :].reshape(2, n)
    x = game.start
    worth = 0.5 * np.einsum("rnij,i,j->rn", values, x, x) + constants
    return worth[1] - worth[0]


def integrate(
    slope: Callable[[float, Array], Array],
    begin: float,
    end: float,
    start: Array,
    knots: Array,
    tolerance: float,
    what: str,
) -> Callable[[float], Array]:
    """Integrate an ODE piece by piece between knots and return its dense solution; raises NoEquilibrium, which names
    the time, at a blow-up: where it outgrows the state it starts from by GROWTH, or takes EVALUATIONS of its slope.

    Shares have no scale of their own, so the bound is relative to the start."""
    largest, asked = GROWTH * max(1.0, float(np.abs(start).max())), 0

    def counted(t: float, state: Array) -> Array:
        nonlocal asked
        asked += 1
        if asked > EVALUATIONS:
            raise NoEquilibrium(
                f"{what} is at t = {t:.6g} after {EVALUATIONS} evaluations: a coefficient is singular near it, or the "
                "equation is too stiff"
            )
        return slope(t, state)

    low, high = min(begin, end), max(begin, end)
    marks = np.concatenate([[low], knots[(knots > low) & (knots < high)], [high]])
    if end < begin:
        marks = marks[::-1]
    pieces = []
    state = np.asarray(start, dtype=float)
    for left, right in pairwise(marks):
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                found = solve_ivp(
                    counted,
                    (left, right),
                    state,
                    method="DOP853",
                    rtol=tolerance,
                    atol=tolerance,
                    dense_output=True,
                    first_step=None,
                )
            except NoEquilibrium:
                raise
            except (np.linalg.LinAlgError, ValueError) as error:
                raise NoEquilibrium(
                    f"{what} breaks down between t = {right:.4g} and t = {left:.4g} ({error})"
                ) from error
        if not found.success or not np.all(np.isfinite(found.y[:, -1])) or np.abs(found.y[:, -1]).max() > largest:
            raise NoEquilibrium(
                f"{what} blows up near t = {found.t[-1]:.6g} (horizon {high:g}): the parameters admit no equilibrium "
                "of this kind on it"
            )
        pieces.append(found.sol)
        state = found.y[:, -1]
    edges = np.sort(marks)
    ordered = pieces if end > begin else pieces[::-1]

    def dense(t: float) -> Array:
        return ordered[min(max(int(np.searchsorted(edges, t, side="right")) - 1, 0), len(ordered) - 1)](t)

    return dense
