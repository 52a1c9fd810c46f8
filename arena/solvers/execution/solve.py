"""The N-trader execution game with permanent and temporary impact (Guo & Jin, section 2): open-loop and feedback Nash.

Trader i holds Q^i, trades at rate v^i and moves everybody's price (w is the price moved by noise, noise_buy minus
noise_sell):

    Q^i' = v^i ,   S = P + int (alpha/N) sum_j v^j dt + w ,   w' = alpha (noise_buy - noise_sell)
    J^i  = E[ -int v^i (S + (C v)_i) dt + S_T Q^i_T - int phi^i (Q^i)^2 dt - A^i (Q^i_T)^2 ]         (P_0 q_0 left out)

with C v = (beta/N) sum_j v^j for everybody, or, with `cross_impact` omega (remark 2.1(3)), (C v)_i = beta (v^i +
omega/(N-1) sum_{j != i} v^j). Everything is linear in the state X = (Q, w, 1), or X = (Q, w, n, 1) when the net noise
flow n reverts to a mean (n' = reversion (mean - n) + volatility dW). At marginal values Y = y X the rates are v = K X
with

    (C + diag C) v = Y + (alpha/N) Q - w 1                                        (first-order condition (1)-(2))

Open loop:  y = (R, H) solves  y' = (2 diag phi, 0) - (alpha/N) 1 1' K - y Z ,   y_T = (-2 diag A, 1 on w)
(Riccati R and linear H) Feedback:   V^i = X' V^i X / 2 solves  V^i' = -(V^i Z + Z' V^i) - r^i(K) ,   row i of y is row
i of V^i ,   Z = (K; drift of w, n, 1)

where r^i is the Hessian of trader i's running reward. Shapes: K, y [N, d], V [N, d, d], d = N + 2 or N + 3. Units:
rates in shares / time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import expm

from arena.layout import Array
from arena.solvers.execution.game import ExecutionGame, MeanRevertingFlow, conditions, execution_game
from arena.solvers.execution.riccati import Gain, closed_loop_regret, feedback_gain, integrate, open_loop_gain
from arena.solvers.solution import Condition, Player, Solution

__all__ = [
    "ExecutionGame",
    "MeanRevertingFlow",
    "almgren_chriss",
    "closed_loop_regret",
    "execution_game",
    "feedback_gain",
    "homogeneous_modes",
    "open_loop_gain",
    "solve_execution",
]


def solve_execution(
    game: ExecutionGame,
    t: Sequence[float] | Array | None = None,
    information: str = "open_loop",
    tolerance: float = 1e-12,
) -> Solution:
    """Nash equilibrium of the execution game: rates, inventories and objectives over time.

    information: 'open_loop' (paths; the paper's equilibrium) or 'feedback' (rates react to all inventories). t: output
    times (default 101 equal steps). With a random flow, paths and objectives are expectations. `policy(t, state [n, d -
    1])` gives rates at any (Q, w[, n]); with deterministic noise the price w may be left out. Raises NoEquilibrium,
    naming the time, when the Riccati equation blows up, and ValueError for another `information` or times outside the
    horizon.

    One trader who must buy two shares is quick at first, since waiting costs too:

    >>> game = execution_game([-2.0], horizon=1.0, temporary_impact=0.1, running_penalty=0.4, terminal_penalty=1.0)
    >>> buyer = solve_execution(game, t=[0.0, 0.5, 1.0]).players[0]
    >>> buyer.rate.round(3), buyer.inventory.round(3)
    (array([4.099, 1.624, 0.913]), array([-2.   , -0.678, -0.091]))
    """
    if information not in ("open_loop", "feedback"):
        raise ValueError(f"information: found {information!r}; allowed are 'open_loop' and 'feedback'")
    times = np.linspace(0.0, game.horizon, 101) if t is None else np.asarray(t, dtype=float)
    if times.ndim != 1 or times.size == 0 or np.any(np.diff(times) <= 0) or times[0] < 0 or times[-1] > game.horizon:
        raise ValueError(f"t: the output times must increase and lie between 0 and the horizon {game.horizon:g}")
    n = game.traders
    gain, marginal = open_loop_gain(game, tolerance) if information == "open_loop" else feedback_gain(game, tolerance)
    state, objective = _play(game, gain, times, tolerance)
    rates = np.stack([gain(x) @ state[k] for k, x in enumerate(times)])
    adjoint = np.stack([marginal(x) @ state[k] for k, x in enumerate(times)])
    checks = conditions(game)
    r0 = marginal(0.0)[:, :n]
    spectrum = np.linalg.eigvals(r0)
    diagnostics: dict[str, Any] = {
        "riccati_at_0": r0,
        "riccati_symmetry_defect": float(np.abs(r0 - r0.T).max()),
        "riccati_largest_eigenvalue": float(spectrum.real.max()),
        "price_impact_of_noise_at_T": float(state[-1, n]),
    }
    players = [
        Player(f"trader_{i}", "trader", float(objective[i]), state[:, i], rate=rates[:, i], adjoint=adjoint[:, i])
        for i in range(n)
    ]
    exogenous = _exogenous_path(game, tolerance)

    def policy(now: float, given: Array) -> Array:
        given = np.atleast_2d(np.asarray(given, dtype=float))
        if given.shape[1] == n and game.flow is None:
            given = np.concatenate([given, np.full((given.shape[0], 1), exogenous(now))], axis=1)
        return np.concatenate([given, np.ones((given.shape[0], 1))], axis=1) @ gain(now).T

    return Solution(
        "execution", information, _theorem(game, checks, information), checks, times, players, diagnostics, policy
    )


def almgren_chriss(
    inventory: float, *, horizon: float, temporary_impact: float, permanent_impact: float, running_penalty: float,
    terminal_penalty: float, t: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """One trader alone, in closed form (Almgren & Chriss 2001): inventory and rate at times t.

    Q = q [k cosh k(T-t) + (a/beta) sinh k(T-t)] / [k cosh kT + (a/beta) sinh kT],  k = sqrt(phi/beta),  a = A -
    alpha/2."""
    left, a = horizon - np.asarray(t, dtype=float), terminal_penalty - permanent_impact / 2.0
    if running_penalty == 0.0:
        scale = 1.0 + a / temporary_impact * horizon
        return inventory * (1.0 + a / temporary_impact * left) / scale, np.full(
            left.shape, -inventory * a / temporary_impact / scale
        )
    k = np.sqrt(running_penalty / temporary_impact)
    scale = k * np.cosh(k * horizon) + a / temporary_impact * np.sinh(k * horizon)
    path = inventory * (k * np.cosh(k * left) + a / temporary_impact * np.sinh(k * left)) / scale
    return path, -inventory * k * (k * np.sinh(k * left) + a / temporary_impact * np.cosh(k * left)) / scale


def homogeneous_modes(game: ExecutionGame, t: Array) -> tuple[Array, Array, Array]:
    """The closed two-mode structure: eigenvalues of R on the mean and on differences [n, 2], and inventories [n, N],
    without noise flow.

    Homogeneous penalties, constant coefficients: r' = p - (alpha/beta) r - k r^2, r_T = -2A, with p = 2 phi -
    alpha^2/((N+1) beta), k = N/((N+1) beta) on the mean and p = 2 phi, k = N/beta on differences, linearised as r =
    x/y, (x, y)' = [[-alpha/beta, p], [k, 0]] (x, y). Raises ValueError when the game has no such structure."""
    alpha, beta, phi = game.permanent.constant, game.temporary.constant, game.running[0].constant
    quiet = (
        game.flow is None
        and game.noise_buy.constant is not None
        and game.noise_buy.constant == game.noise_sell.constant
    )
    if (
        alpha is None
        or beta is None
        or phi is None
        or not game.homogeneous
        or not quiet
        or game.cross_impact is not None
    ):
        raise ValueError(
            "the two-mode structure needs constant coefficients, equal penalties, no net noise flow and the common "
            "impact"
        )
    n, left = game.traders, game.horizon - np.asarray(t, dtype=float)
    mean = np.full(game.inventory.shape, game.inventory.mean())
    modes = [
        (2.0 * phi - alpha**2 / ((n + 1) * beta), n / ((n + 1) * beta), alpha / ((n + 1) * beta), mean),
        (2.0 * phi, n / beta, alpha / beta, game.inventory - mean),
    ]
    eigenvalues, path = np.empty((left.size, 2)), np.zeros((left.size, n))
    for column, (p, k, growth, start) in enumerate(modes):
        flow = np.array([[-alpha / beta, p], [k, 0.0]])
        pair = np.stack([expm(-flow * s) @ np.array([-2.0 * game.terminal[0], 1.0]) for s in left])
        first = expm(-flow * game.horizon) @ np.array([-2.0 * game.terminal[0], 1.0])
        eigenvalues[:, column] = pair[:, 0] / pair[:, 1]
        path += (pair[:, 1] / first[1] * np.exp(growth * (game.horizon - left)))[:, None] * start
    return eigenvalues[:, 0], eigenvalues[:, 1], path


def _play(game: ExecutionGame, gain: Gain, times: Array, tolerance: float) -> tuple[Array, Array]:
    """Expected state [n, d] at the output times and expected objectives [N] when all play v = K(t) X."""
    n, d = game.traders, game.start.size
    noise = np.zeros((d, d))
    if game.flow is not None:
        noise[n + 1, n + 1] = game.flow.volatility**2

    def slope(t: float, flat: Array) -> Array:
        alpha, beta, phi, net = game.at(t)
        rates = gain(t)
        drift = game.closed_loop(rates, alpha, net)
        x = flat[:d]
        moment = np.outer(x, x)
        change = [drift @ x]
        if game.flow is not None:
            spread = flat[d : d + d * d].reshape(d, d)
            moment += spread
            half = drift @ spread
            change.append((half + half.T + noise).ravel())
        change.append(0.5 * np.einsum("nij,ij->n", game.running_reward(rates, alpha, beta, phi), moment))
        return np.concatenate(change)

    width = d * d if game.flow is not None else 0
    path = integrate(
        slope,
        0.0,
        game.horizon,
        np.concatenate([game.start, np.zeros(width + n)]),
        game.knots,
        tolerance,
        "the path of the equilibrium",
    )
    last = path(game.horizon)
    moment = np.outer(last[:d], last[:d]) + (last[d : d + width].reshape(d, d) if width else 0.0)
    objective = last[d + width :] + 0.5 * np.einsum("nij,ij->n", game.terminal_value(), moment)
    return np.stack([path(x)[:d] for x in times]), objective


def _exogenous_path(game: ExecutionGame, tolerance: float) -> Callable[[float], float]:
    if game.flow is not None:
        return lambda t: 0.0
    net, alpha = game.noise_buy, game.permanent
    if alpha.constant == 0.0 or (net.constant is not None and net.constant == game.noise_sell.constant):
        return lambda t: 0.0

    def slope(t: float, w: Array) -> Array:
        level, _, _, flow = game.at(t)
        return np.array([level * flow])

    path = integrate(slope, 0.0, game.horizon, np.zeros(1), game.knots, tolerance, "the price moved by noise")
    return lambda t: float(path(t)[0])


def _theorem(game: ExecutionGame, checks: list[Condition], information: str) -> str:
    holds = {entry.name: entry.holds for entry in checks}
    if not holds["Assumption 2.4: concavity"]:
        value = next(entry.value for entry in checks if entry.name == "Assumption 2.4: concavity")
        return (
            f"none: Assumption 2.4 fails (4 N beta phi - alpha^2 goes down to {value:.4g}), the first-order condition "
            "may be no maximum"
        )
    if information == "feedback":
        return (
            "none: the paper's theorems are about open-loop equilibria; this one solves the coupled Riccati equations "
            "on the whole horizon"
        )
    if game.cross_impact is not None:
        return "Remark 2.1 (3) (individual plus cross impact); existence by this computation"
    if holds["Theorem 2.7 (1): no permanent impact"]:
        return "Theorem 2.7 (1)"
    if holds["Theorem 2.7 (2): homogeneous penalties"] and holds["Theorem 2.7 (2): inequality"]:
        return "Theorem 2.7 (2)"
    if holds["Theorem 2.10: terminal penalty"] and holds["Theorem 2.10: inequality"]:
        return "Theorem 2.10"
    return (
        "Theorem 2.5 (a solution of the system is a Nash equilibrium); existence is by this computation, Theorems 2.7 "
        "and 2.10 do not apply"
    )
