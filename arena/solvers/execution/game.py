"""The N-trader execution game: its parameters, checked once, and its linear algebra (equations in execution.py).

The state is X = (Q, w, 1), or X = (Q, w, n, 1) with a mean-reverting net noise flow n; rates are v = K X. Shapes: K [N,
d], Hessians [N, d, d]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.solvers.coefficients import Coefficient, coefficient, knots_of, per_player, require
from arena.solvers.solution import Condition


@dataclass(frozen=True)
class MeanRevertingFlow:
    """Net noise flow n (buying minus selling, shares / time): n' = reversion (mean - n) + volatility dW, n_0 =
    initial."""

    initial: float
    mean: float
    reversion: float
    volatility: float


@dataclass(frozen=True)
class ExecutionGame:
    """The game itself, checked once: inventories [N], coefficients of time, and the shape of the impact."""

    inventory: Array
    horizon: float
    permanent: Coefficient
    temporary: Coefficient
    running: tuple[Coefficient, ...]
    terminal: Array
    noise_buy: Coefficient
    noise_sell: Coefficient
    flow: MeanRevertingFlow | None = None
    cross_impact: float | None = None

    @property
    def traders(self) -> int:
        return self.inventory.size

    @property
    def start(self) -> Array:
        """Initial state (q, w = 0, [n,] 1)."""
        extra = [0.0, 1.0] if self.flow is None else [0.0, self.flow.initial, 1.0]
        return np.concatenate([self.inventory, extra])

    @property
    def knots(self) -> Array:
        return knots_of([self.permanent, self.temporary, self.noise_buy, self.noise_sell, *self.running], self.horizon)

    @property
    def impact_shape(self) -> Array:
        """C / beta [N, N]."""
        n = self.traders
        if self.cross_impact is None:
            return np.full((n, n), 1.0 / n)
        cross = self.cross_impact / (n - 1) if n > 1 else 0.0
        return np.full((n, n), cross) + (1.0 - cross) * np.eye(n)

    @property
    def homogeneous(self) -> bool:
        """Do all traders have the same penalties?"""
        first = self.running[0]
        same = all(
            entry is first or (entry.constant is not None and entry.constant == first.constant)
            for entry in self.running
        )
        return same and bool(np.all(self.terminal == self.terminal[0]))

    def at(self, t: float) -> tuple[float, float, Array, float]:
        """alpha, beta, phi [N] and the deterministic net noise flow at one time."""
        read = {entry: entry.at(t) for entry in dict.fromkeys((self.permanent, self.temporary, *self.running))}
        phi = np.array([read[entry] for entry in self.running])
        net = 0.0 if self.flow is not None else self.noise_buy.at(t) - self.noise_sell.at(t)
        return read[self.permanent], read[self.temporary], phi, net

    def exogenous(self, alpha: float, net: float) -> Array:
        """Drift matrix of (w, 1) or (w, n, 1)."""
        if self.flow is None:
            return np.array([[0.0, alpha * net], [0.0, 0.0]])
        flow = self.flow
        return np.array([[0.0, alpha, 0.0], [0.0, -flow.reversion, flow.reversion * flow.mean], [0.0, 0.0, 0.0]])

    def rates(self, alpha: float, beta: float, marginal: Array) -> Array:
        """K [N, d] from the marginal values y [N, d]: the first-order conditions of all traders at once."""
        n = self.traders
        cost = beta * self.impact_shape
        right = marginal.copy()
        right[:, :n] += alpha / n * np.eye(n)
        right[:, n] -= 1.0
        return np.asarray(np.linalg.solve(cost + np.diag(np.diag(cost)), right), float)

    def closed_loop(self, gain: Array, alpha: float, net: float) -> Array:
        """Drift matrix Z [d, d] of the state under rates K X."""
        n, d = gain.shape
        drift = np.zeros((d, d))
        drift[:n] = gain
        drift[n:, n:] = self.exogenous(alpha, net)
        return drift

    def running_reward(self, gain: Array, alpha: float, beta: float, phi: Array) -> Array:
        """Hessians r [N, d, d] of the running rewards (alpha/N) q_i sum v - v_i (C v)_i - v_i w - phi_i q_i^2 at v = K
        X."""
        n, d = gain.shape
        unit = np.eye(d)
        paid = beta * self.impact_shape @ gain + unit[n]
        half = alpha / n * unit[:n, :, None] * gain.sum(axis=0)[None, None, :] - gain[:, :, None] * paid[:, None, :]
        half[np.arange(n), np.arange(n), np.arange(n)] -= phi
        return half + half.transpose(0, 2, 1)

    def terminal_value(self) -> Array:
        """Hessians [N, d, d] of Q_T w_T - A Q_T^2."""
        n, d = self.traders, self.start.size
        value = np.zeros((n, d, d))
        index = np.arange(n)
        value[index, index, index] = -2.0 * self.terminal
        value[index, index, n] = value[index, n, index] = 1.0
        return value


def execution_game(
    inventory: Sequence[float],
    *,
    horizon: float,
    temporary_impact: Any,
    permanent_impact: Any = 0.0,
    running_penalty: Any = 0.0,
    terminal_penalty: Any = 0.0,
    noise_buy: Any = 0.0,
    noise_sell: Any = 0.0,
    flow: MeanRevertingFlow | None = None,
    cross_impact: float | None = None,
) -> ExecutionGame:
    """Read and check an execution game.

    Penalties are one value for all, or a list with one per trader. `flow` replaces noise_buy and noise_sell;
    `cross_impact` replaces the common temporary impact (beta/N) sum v by individual plus cross impact.
    Raises ValueError, one sentence that names the parameter, what was found and what is allowed."""
    start = np.asarray(inventory, dtype=float)
    if start.ndim != 1 or start.size == 0 or not np.isfinite(start).all():
        raise ValueError("inventory: give a flat list of finite numbers, one per trader")
    if not (np.isfinite(horizon) and horizon > 0.0):
        raise ValueError(f"horizon: found {horizon}; it must be a finite number above 0")
    if cross_impact is not None and not 0.0 <= cross_impact < 2.0:
        raise ValueError(f"cross_impact: found {cross_impact}; 0 <= cross_impact < 2 is needed")
    n = start.size
    alpha, beta = coefficient(permanent_impact, "permanent_impact"), coefficient(temporary_impact, "temporary_impact")
    buy, sell = coefficient(noise_buy, "noise_buy"), coefficient(noise_sell, "noise_sell")
    require(alpha, horizon, "permanent_impact", least=0.0)
    require(beta, horizon, "temporary_impact", least=0.0, strict=True)
    require(buy, horizon, "noise_buy", least=0.0)
    require(sell, horizon, "noise_sell", least=0.0)
    running = per_player(running_penalty, n, "running_penalty")
    for entry in dict.fromkeys(running):
        require(entry, horizon, "running_penalty", least=0.0)
    terminal = np.array(
        [float(entry(np.array([horizon]))[0]) for entry in per_player(terminal_penalty, n, "terminal_penalty")]
    )
    if terminal.min() < 0.0:
        raise ValueError(f"terminal_penalty: found {terminal.min()}; it must be at least 0")
    if flow is not None:
        if flow.reversion < 0.0 or flow.volatility < 0.0:
            raise ValueError(
                f"flow: found reversion {flow.reversion} and volatility {flow.volatility}; both must be at least 0"
            )
        if buy.constant != 0.0 or sell.constant != 0.0:
            raise ValueError("flow: give either a mean-reverting flow or noise_buy and noise_sell, not both")
    return ExecutionGame(start, float(horizon), alpha, beta, tuple(running), terminal, buy, sell, flow, cross_impact)


def conditions(game: ExecutionGame) -> list[Condition]:
    """Assumption 2.4 and the hypotheses of Theorems 2.7 and 2.10 with the numbers that decide them (smallest over time
    and traders)."""
    t = np.union1d(np.linspace(0.0, game.horizon, 1025), game.knots)
    alpha, beta = game.permanent(t), game.temporary(t)
    phi = np.stack([entry(t) for entry in game.running])
    n = game.traders
    own = beta * n * game.impact_shape[0, 0]
    least = float((4.0 * n * own * phi - alpha**2).min())
    homogeneous = game.homogeneous
    found = [
        Condition("Assumption 2.4: temporary impact", bool(beta.min() > 0.0), float(beta.min()), "min beta > 0"),
        Condition("Assumption 2.4: concavity", least >= 0.0, least, "min of 4 N beta phi - alpha^2 >= 0"),
    ]
    if game.cross_impact is not None:
        found[1] = Condition(
            "Assumption 2.4: concavity", least >= 0.0, least, "min of 4 N^2 beta phi - alpha^2 >= 0 (individual impact)"
        )
        return found
    second = float((2.0 * (n + 1) * beta * phi - alpha**2).min())
    third = float((phi - (n + 1) * alpha**2 / (8.0 * n * beta)).min())
    found += [
        Condition(
            "Theorem 2.7 (1): no permanent impact",
            bool(np.all(alpha == 0.0)),
            float(np.abs(alpha).max()),
            "max alpha = 0",
        ),
        Condition("Theorem 2.7 (2): homogeneous penalties", homogeneous, float(homogeneous), "1"),
        Condition("Theorem 2.7 (2): inequality", second >= 0.0, second, "min of 2 (N+1) beta phi - alpha^2 >= 0"),
        Condition(
            "Theorem 2.10: terminal penalty", bool(game.terminal.min() > 0.0), float(game.terminal.min()), "min A > 0"
        ),
        Condition("Theorem 2.10: inequality", third > 0.0, third, "min of phi - (N+1) alpha^2 / (8 N beta) > 0"),
    ]
    return found
