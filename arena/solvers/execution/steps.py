"""The execution game in discrete time: its exact feedback Nash equilibrium, exact regrets, and open-loop deviations.

n steps of length h, simultaneous rates, S_0 = 0, net = noise_buy - noise_sell, everything averaged over the step:

    S' = S + h (alpha/N) sum v + h alpha net ,   Q' = Q + h v ,   at T: S Q - A Q^2

`accounting` says what a step costs:
    'euler'  h v^i (S + (C v)_i) + phi h Q^2                         (prices and inventories at the start of the step)
    'exact'  h v^i (S + h (alpha/2N) sum v + h alpha net / 2 + (C v)_i) + phi h (Q^2 + Q Q' + Q'^2)/3        (integrals)

With X = (Q, S, 1) every step is quadratic in (X, v): values are X' V^i X / 2, rates v = K X, and one backward sweep of
linear systems gives the feedback Nash (N first-order conditions at once) or one trader's best reply (its own condition
only). Shapes: K [n, N, N+2], V [n+1, N, N+2, N+2]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.execution.game import ExecutionGame
from arena.solvers.execution.solve import solve_execution
from arena.solvers.makers_traders.deviations import cells, penalty_matrix


@dataclass(frozen=True)
class DiscreteNash:
    """Feedback Nash of the discrete game: gain K [n, N, d] on X = (Q, S, 1), objectives [N], rates [n, N] and
    inventories [n+1, N] from the start."""

    gain: Array
    objectives: Array
    rate: Array
    inventory: Array


@dataclass(frozen=True)
class _Steps:
    """Each step as matrices: X' = F X + G v, rewards (X, v)' W^i (X, v) / 2, terminal Hessians."""

    f: Array
    g: Array
    w: Array
    end: Array
    start: Array


def discrete_feedback_nash(game: ExecutionGame, steps: int, accounting: str = "euler") -> DiscreteNash:
    """Feedback Nash of the game with that many steps; raises NoEquilibrium where a step has none (a reply would be
    unbounded)."""
    parts = _assemble(game, steps, accounting)
    n = game.traders
    d = n + 2
    value = parts.end
    gains = np.empty((steps, n, d))
    index = np.arange(n)
    for k in range(steps - 1, -1, -1):
        total = _stage(parts, k, value)
        own = total[index, d + index]
        if np.any(own[index, d + index] >= 0.0):
            worst = int(np.argmax(own[index, d + index]))
            raise NoEquilibrium(
                f"trader {worst} has no best rate in step {k} of {steps}: its objective curves by "
                f"{own[worst, d + worst]:.4g} >= 0 there"
            )
        gains[k] = -np.linalg.solve(own[:, d:], own[:, :d])
        value = _fold(total, gains[k])
    rate, inventory = _roll(parts, gains)
    return DiscreteNash(gains, 0.5 * np.einsum("nij,i,j->n", value, parts.start, parts.start), rate, inventory)


def discrete_values(game: ExecutionGame, gain: Array, accounting: str = "euler") -> Array:
    """Objectives [N] when all play the affine feedback v = K_k X [n, N, N+2] in the discrete game."""
    parts = _assemble(game, gain.shape[0], accounting)
    return 0.5 * np.einsum("nij,i,j->n", _staying(parts, gain)[0], parts.start, parts.start)


@dataclass(frozen=True)
class Replies:
    """Best replies to affine feedback: own rates v^i = reply[k, i] X, and values X' V[k, i] X / 2 of staying and of
    replying from any X = (Q, S, 1) at any step k. Shapes: reply [n, N, d], stay and best [n+1, N, d, d]."""

    reply: Array
    stay: Array
    best: Array


def discrete_replies(game: ExecutionGame, gain: Array, accounting: str = "exact") -> Replies:
    """Each trader's best reply, from every state, to the others' affine feedback v = K_k X [n, N, N+2].

    Raises NoEquilibrium where a reply is unbounded.
    """
    steps, n, d = gain.shape
    parts = _assemble(game, steps, accounting)
    reply, best = np.empty((steps, n, d)), np.empty((steps + 1, n, d, d))
    for i in range(n):
        value, others = parts.end, np.delete(np.arange(n), i)
        best[steps, i] = value[i]
        for k in range(steps - 1, -1, -1):
            total = _stage(parts, k, value)
            own = total[i, d + i]
            if own[d + i] >= 0.0:
                raise NoEquilibrium(
                    f"trader {i} has no best reply in step {k} of {steps}: its objective curves by {own[d + i]:.4g} "
                    ">= 0 there"
                )
            reply[k, i] = -(own[:d] + own[d + others] @ gain[k][others]) / own[d + i]
            moves = gain[k].copy()
            moves[i] = reply[k, i]
            value = _fold(total, moves)
            best[k, i] = value[i]
    return Replies(reply, _staying(parts, gain), best)


def discrete_regret(game: ExecutionGame, gain: Array, accounting: str = "euler") -> Array:
    """Exact gain [N] of each trader's best response to the others' affine feedback v = K_k X [n, N, N+2] in the
    discrete game."""
    found = discrete_replies(game, gain, accounting)
    x = np.concatenate([game.inventory, [0.0, 1.0]])
    return 0.5 * np.einsum("nij,i,j->n", found.best[0] - found.stay[0], x, x)


def equilibrium_rates(game: ExecutionGame, steps: int) -> Array:
    """Open-loop equilibrium rates [n, N] in the middle of each step."""
    return solve_execution(game, t=game.horizon * (np.arange(steps) + 0.5) / steps).stack("rate").T


def naive_rates(game: ExecutionGame, steps: int) -> Array:
    """Everybody trades -q_0/T throughout [n, N]."""
    return np.tile(-game.inventory / game.horizon, (steps, 1))


def open_loop_gains(game: ExecutionGame, rate: Array, accounting: str = "exact") -> Array:
    """Gain [N] of each trader's best path against the others' given paths [n, N]; raises NoEquilibrium where a
    reply is unbounded, ValueError for a rate that is not finite."""
    if not np.isfinite(rate).all():
        raise ValueError(f"rate: found {rate[~np.isfinite(rate)][0]:g}; allowed are finite numbers")
    steps, n = rate.shape
    alpha, beta, phi, shift = _averages(game, steps)
    h = game.horizon / steps
    below = np.tril(np.ones((steps + 1, steps)), -1)
    inside = h * (below[:-1] + (0.5 * np.eye(steps) if accounting == "exact" else 0.0))
    gains = np.empty(n)
    for i in range(n):
        if accounting == "exact":
            penalty = penalty_matrix(phi[:, i], game.terminal[i], game.horizon)
        else:
            penalty = np.diag(np.append(h * phi[:, i], game.terminal[i]))
        others = np.delete(rate, i, axis=1)
        push = alpha / n
        drift = push * others.sum(axis=1) + shift
        own = beta * game.impact_shape[i, i]
        paid = beta * (rate @ game.impact_shape[i]) - own * rate[:, i]
        q0, total = game.inventory[i], h * np.ones(steps)
        hessian = (
            -h * (inside * push + (inside * push).T) - 2.0 * h * np.diag(own) - 2.0 * h * h * below.T @ penalty @ below
        )
        hessian += h * (np.outer(push, total) + np.outer(total, push))
        gradient = (
            -h * (inside @ drift + paid)
            + h * push * q0
            + total * h * drift.sum()
            - 2.0 * h * q0 * below.T @ penalty.sum(axis=1)
        )
        top = float(np.linalg.eigvalsh(hessian).max())
        if top >= 0.0:
            raise NoEquilibrium(
                f"trader {i}'s best path is unbounded: its objective curves by {top:.4g} >= 0 in some direction"
            )
        best = -np.linalg.solve(hessian, gradient)

        def worth(v: Array, hessian: Array = hessian, gradient: Array = gradient) -> float:
            return float(gradient @ v + 0.5 * v @ hessian @ v)

        gains[i] = worth(best) - worth(rate[:, i])
    return gains


def nashconv_open_loop(game: ExecutionGame, steps: int, rate: Array | None = None) -> float:
    """NashConv of rate paths [n, N] (default: the open-loop equilibrium at midpoints) in the discrete game with exact
    accounting."""
    return float(open_loop_gains(game, equilibrium_rates(game, steps) if rate is None else rate).sum())


def _averages(game: ExecutionGame, steps: int) -> tuple[Array, Array, Array, Array]:
    """Averages over each step of alpha, beta [n], phi [n, N] and alpha (noise_buy - noise_sell) [n]."""
    if game.flow is not None:
        raise ValueError("flow: the discrete game knows deterministic noise only; give noise_buy and noise_sell")
    grid = cells(game.horizon, steps, game.knots)
    t = grid.times
    alpha, phi = game.permanent(t), np.stack([entry(t) for entry in game.running], axis=1)
    shift = alpha * (game.noise_buy(t) - game.noise_sell(t))
    return grid.average(alpha), grid.average(game.temporary(t)), grid.average(phi), grid.average(shift)


def _assemble(game: ExecutionGame, steps: int, accounting: str) -> _Steps:
    if accounting not in ("euler", "exact"):
        raise ValueError(f"accounting: found {accounting!r}; allowed are 'euler' and 'exact'")
    n = game.traders
    d = n + 2
    h = game.horizon / steps
    alpha, beta, phi, shift = _averages(game, steps)
    f = np.tile(np.eye(d), (steps, 1, 1))
    f[:, n, n + 1] = h * shift
    g = np.zeros((steps, d, n))
    g[:, :n] = h * np.eye(n)
    g[:, n] = (h * alpha / n)[:, None]
    w = np.zeros((steps, n, d + n, d + n))
    index = np.arange(n)
    # half-Hessians first (reward = (X, v)' half (X, v)), symmetrised at the end
    w[:, index, d + index, n] -= h
    for i in range(n):
        w[:, i, d + i, d:] -= h * beta[:, None] * game.impact_shape[i]
        w[:, i, i, i] -= h * phi[:, i]
        if accounting == "exact":
            w[:, i, d + i, d:] -= (h * h * alpha / (2 * n))[:, None]
            w[:, i, d + i, n + 1] -= h * h * shift / 2.0
            w[:, i, i, d + i] -= h * h * phi[:, i]
            w[:, i, d + i, d + i] -= h**3 * phi[:, i] / 3.0
    end = np.zeros((n, d, d))
    end[index, index, index] = -2.0 * game.terminal
    end[index, index, n] = end[index, n, index] = 1.0
    return _Steps(f, g, w + w.transpose(0, 1, 3, 2), end, np.concatenate([game.inventory, [0.0, 1.0]]))


def _staying(parts: _Steps, gain: Array) -> Array:
    """Values V [n+1, N, d, d] of following the feedback from every step on."""
    out = np.empty((len(gain) + 1, *parts.end.shape))
    out[-1] = parts.end
    for k in range(len(gain) - 1, -1, -1):
        out[k] = _fold(_stage(parts, k, out[k + 1]), gain[k])
    return out


def _stage(parts: _Steps, k: int, value: Array) -> Array:
    """Hessians [N, d+N, d+N] in (X, v) of the step's reward plus the value after it."""
    move = np.concatenate([parts.f[k], parts.g[k]], axis=1)
    return parts.w[k] + move.T @ value @ move


def _fold(total: Array, gain: Array) -> Array:
    stack = np.concatenate([np.eye(gain.shape[1]), gain])
    return stack.T @ total @ stack


def _roll(parts: _Steps, gain: Array) -> tuple[Array, Array]:
    steps, n, _ = gain.shape
    x = parts.start
    rate, inventory = np.empty((steps, n)), np.empty((steps + 1, n))
    for k in range(steps):
        inventory[k], rate[k] = x[:n], gain[k] @ x
        x = parts.f[k] @ x + parts.g[k] @ rate[k]
    inventory[steps] = x[:n]
    return rate, inventory
