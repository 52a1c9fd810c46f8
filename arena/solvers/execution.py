"""The N-trader execution game with permanent and temporary impact (Guo & Jin, section 2): open-loop and feedback Nash.

Trader i holds Q^i, trades at rate v^i and moves everybody's price (w is the price moved by noise, noise_buy minus noise_sell):

    Q^i' = v^i ,   S = P + int (alpha/N) sum_j v^j dt + w ,   w' = alpha (noise_buy - noise_sell)
    J^i  = E[ -int v^i (S + (C v)_i) dt + S_T Q^i_T - int phi^i (Q^i)^2 dt - A^i (Q^i_T)^2 ]         (P_0 q_0 left out)

with C v = (beta/N) sum_j v^j for everybody, or, with `cross_impact` omega (remark 2.1(3)), (C v)_i = beta (v^i + omega/(N-1) sum_{j != i} v^j).
Everything is linear in the state X = (Q, w, 1), or X = (Q, w, n, 1) when the net noise flow n reverts to a mean
(n' = reversion (mean - n) + volatility dW). At marginal values Y = y X the rates are v = K X with

    (C + diag C) v = Y + (alpha/N) Q - w 1                                        (first-order condition (1)-(2))

Open loop:  y = (R, H) solves  y' = (2 diag phi, 0) - (alpha/N) 1 1' K - y Z ,   y_T = (-2 diag A, 1 on w)        (Riccati R and linear H)
Feedback:   V^i = X' V^i X / 2 solves  V^i' = -(V^i Z + Z' V^i) - r^i(K) ,   row i of y is row i of V^i ,   Z = (K; drift of w, n, 1)

where r^i is the Hessian of trader i's running reward. Shapes: K, y [N, d], V [N, d, d], d = N + 2 or N + 3. Units: rates in shares / time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from arena.solvers.coefficients import Coefficient, coefficient, knots_of, per_player, require
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.solution import Condition, Player, Solution

Array = NDArray[np.float64]
Gain = Callable[[float], Array]


@dataclass(frozen=True)
class MeanRevertingFlow:
    """Net noise flow n (buying minus selling, shares / time): n' = reversion (mean - n) + volatility dW, n_0 = initial."""

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
        same = all(entry is first or (entry.constant is not None and entry.constant == first.constant) for entry in self.running)
        return same and bool(np.all(self.terminal == self.terminal[0]))

    def at(self, t: float) -> tuple[float, float, Array, float]:
        """alpha, beta, phi [N] and the deterministic net noise flow at one time."""
        now = np.array([t])
        phi = np.array([entry(now)[0] for entry in dict.fromkeys(self.running)])
        if phi.size != self.traders:
            position = {entry: k for k, entry in enumerate(dict.fromkeys(self.running))}
            phi = phi[[position[entry] for entry in self.running]]
        net = 0.0 if self.flow is not None else float(self.noise_buy(now)[0] - self.noise_sell(now)[0])
        return float(self.permanent(now)[0]), float(self.temporary(now)[0]), phi, net

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
        return np.linalg.solve(cost + np.diag(np.diag(cost)), right)

    def closed_loop(self, gain: Array, alpha: float, net: float) -> Array:
        """Drift matrix Z [d, d] of the state under rates K X."""
        n, d = gain.shape
        drift = np.zeros((d, d))
        drift[:n] = gain
        drift[n:, n:] = self.exogenous(alpha, net)
        return drift

    def running_reward(self, gain: Array, alpha: float, beta: float, phi: Array) -> Array:
        """Hessians r [N, d, d] of the running rewards (alpha/N) q_i sum v - v_i (C v)_i - v_i w - phi_i q_i^2 at v = K X."""
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
    """Read and check an execution game; every ValueError is one sentence naming the parameter, what was found and what is allowed.

    Penalties are one value for all, or a list with one per trader. `flow` replaces noise_buy and noise_sell; `cross_impact` replaces the common
    temporary impact (beta/N) sum v by individual plus cross impact.
    """
    start = np.asarray(inventory, dtype=float)
    if start.ndim != 1 or start.size == 0 or not np.isfinite(start).all():
        raise ValueError("inventory: give a flat list of finite numbers, one per trader.")
    if not (np.isfinite(horizon) and horizon > 0.0):
        raise ValueError(f"horizon: found {horizon}; it must be a finite number above 0.")
    if cross_impact is not None and not 0.0 <= cross_impact < 2.0:
        raise ValueError(f"cross_impact: found {cross_impact}; 0 <= cross_impact < 2 is needed.")
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
    terminal = np.array([float(entry(np.array([horizon]))[0]) for entry in per_player(terminal_penalty, n, "terminal_penalty")])
    if terminal.min() < 0.0:
        raise ValueError(f"terminal_penalty: found {terminal.min()}; it must be at least 0.")
    if flow is not None:
        if flow.reversion < 0.0 or flow.volatility < 0.0:
            raise ValueError(f"flow: found reversion {flow.reversion} and volatility {flow.volatility}; both must be at least 0.")
        if buy.constant != 0.0 or sell.constant != 0.0:
            raise ValueError("flow: give either a mean-reverting flow or noise_buy and noise_sell, not both.")
    return ExecutionGame(start, float(horizon), alpha, beta, tuple(running), terminal, buy, sell, flow, cross_impact)


def conditions(game: ExecutionGame) -> list[Condition]:
    """Assumption 2.4 and the hypotheses of Theorems 2.7 and 2.10 with the numbers that decide them (smallest over time and traders)."""
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
        found[1] = Condition("Assumption 2.4: concavity", least >= 0.0, least, "min of 4 N^2 beta phi - alpha^2 >= 0 (individual impact)")
        return found
    second = float((2.0 * (n + 1) * beta * phi - alpha**2).min())
    third = float((phi - (n + 1) * alpha**2 / (8.0 * n * beta)).min())
    found += [
        Condition("Theorem 2.7 (1): no permanent impact", bool(np.all(alpha == 0.0)), float(np.abs(alpha).max()), "max alpha = 0"),
        Condition("Theorem 2.7 (2): homogeneous penalties", homogeneous, float(homogeneous), "1"),
        Condition("Theorem 2.7 (2): inequality", second >= 0.0, second, "min of 2 (N+1) beta phi - alpha^2 >= 0"),
        Condition("Theorem 2.10: terminal penalty", bool(game.terminal.min() > 0.0), float(game.terminal.min()), "min A > 0"),
        Condition("Theorem 2.10: inequality", third > 0.0, third, "min of phi - (N+1) alpha^2 / (8 N beta) > 0"),
    ]
    return found


def solve_execution(
    game: ExecutionGame, t: Sequence[float] | Array | None = None, information: str = "open_loop", tolerance: float = 1e-12
) -> Solution:
    """Nash equilibrium of the execution game: rates, inventories and objectives over time.

    information: 'open_loop' (paths; the paper's equilibrium) or 'feedback' (rates react to all inventories). t: output times (default 101 equal
    steps). With a random flow, paths and objectives are expectations. `policy(t, state [n, d - 1])` gives rates at any (Q, w[, n]); with
    deterministic noise the price w may be left out. Raises NoEquilibrium, naming the time, when the Riccati equation blows up.
    """
    if information not in ("open_loop", "feedback"):
        raise ValueError(f"information: found {information!r}; allowed are 'open_loop' and 'feedback'.")
    times = np.linspace(0.0, game.horizon, 101) if t is None else np.asarray(t, dtype=float)
    if times.ndim != 1 or times.size == 0 or np.any(np.diff(times) <= 0) or times[0] < 0 or times[-1] > game.horizon:
        raise ValueError(f"t: the output times must increase and lie between 0 and the horizon {game.horizon:g}.")
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
        Player(f"trader_{i}", "trader", float(objective[i]), state[:, i], rate=rates[:, i], adjoint=adjoint[:, i]) for i in range(n)
    ]
    exogenous = _exogenous_path(game, tolerance)

    def policy(now: float, given: Array) -> Array:
        given = np.atleast_2d(np.asarray(given, dtype=float))
        if given.shape[1] == n and game.flow is None:
            given = np.concatenate([given, np.full((given.shape[0], 1), exogenous(now))], axis=1)
        return np.concatenate([given, np.ones((given.shape[0], 1))], axis=1) @ gain(now).T

    return Solution("execution", information, _theorem(game, checks, information), checks, times, players, diagnostics, policy)


def open_loop_gain(game: ExecutionGame, tolerance: float = 1e-12) -> tuple[Gain, Gain]:
    """Open-loop Nash as a decoupling field: K(t) [N, d] and the marginal values y(t) = (R, H) [N, d], from the Riccati system."""
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

    path = integrate(slope, game.horizon, 0.0, end.ravel(), game.knots, tolerance, "the Riccati equation of the open-loop equilibrium")

    def marginal(t: float) -> Array:
        return path(t).reshape(n, d)

    def gain(t: float) -> Array:
        alpha, beta, _, _ = game.at(t)
        return game.rates(alpha, beta, marginal(t))

    return gain, marginal


def feedback_gain(game: ExecutionGame, tolerance: float = 1e-12) -> tuple[Gain, Gain]:
    """Feedback (Markov) Nash: K(t) [N, d] and the own marginal values y(t) [N, d], from the coupled Riccati equations of all V^i."""
    n, d = game.traders, game.start.size
    index = np.arange(n)

    def slope(t: float, flat: Array) -> Array:
        alpha, beta, phi, net = game.at(t)
        value = flat.reshape(n, d, d)
        gain = game.rates(alpha, beta, value[index, index])
        half = value @ game.closed_loop(gain, alpha, net)
        return (-(half + half.transpose(0, 2, 1)) - game.running_reward(gain, alpha, beta, phi)).ravel()

    end = game.terminal_value().ravel()
    path = integrate(slope, game.horizon, 0.0, end, game.knots, tolerance, "the coupled Riccati equation of the feedback equilibrium")

    def marginal(t: float) -> Array:
        return path(t).reshape(n, d, d)[index, index]

    def gain(t: float) -> Array:
        alpha, beta, _, _ = game.at(t)
        return game.rates(alpha, beta, marginal(t))

    return gain, marginal


def closed_loop_regret(game: ExecutionGame, gain: Gain, tolerance: float = 1e-12) -> Array:
    """Exact gain [N] of each trader's best response when all others keep playing v = K(t) X and react to inventories.

    Two Riccati equations per trader: the value of staying on the profile, and of the best reply to the others' rows of K.
    """
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


def almgren_chriss(
    inventory: float, *, horizon: float, temporary_impact: float, permanent_impact: float, running_penalty: float,
    terminal_penalty: float, t: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """One trader alone, in closed form (Almgren & Chriss 2001): inventory and rate at times t.

    Q = q [k cosh k(T-t) + (a/beta) sinh k(T-t)] / [k cosh kT + (a/beta) sinh kT],  k = sqrt(phi/beta),  a = A - alpha/2.
    """
    left, a = horizon - np.asarray(t, dtype=float), terminal_penalty - permanent_impact / 2.0
    if running_penalty == 0.0:
        scale = 1.0 + a / temporary_impact * horizon
        return inventory * (1.0 + a / temporary_impact * left) / scale, np.full(left.shape, -inventory * a / temporary_impact / scale)
    k = np.sqrt(running_penalty / temporary_impact)
    scale = k * np.cosh(k * horizon) + a / temporary_impact * np.sinh(k * horizon)
    path = inventory * (k * np.cosh(k * left) + a / temporary_impact * np.sinh(k * left)) / scale
    return path, -inventory * k * (k * np.sinh(k * left) + a / temporary_impact * np.cosh(k * left)) / scale


def homogeneous_modes(game: ExecutionGame, t: Array) -> tuple[Array, Array, Array]:
    """The closed two-mode structure: eigenvalues of R on the mean and on differences [n, 2], and inventories [n, N], without noise flow.

    Homogeneous penalties, constant coefficients: r' = p - (alpha/beta) r - k r^2, r_T = -2A, with p = 2 phi - alpha^2/((N+1) beta),
    k = N/((N+1) beta) on the mean and p = 2 phi, k = N/beta on differences, linearised as r = x/y, (x, y)' = [[-alpha/beta, p], [k, 0]] (x, y).
    Raises ValueError when the game has no such structure.
    """
    alpha, beta, phi = game.permanent.constant, game.temporary.constant, game.running[0].constant
    quiet = game.flow is None and game.noise_buy.constant is not None and game.noise_buy.constant == game.noise_sell.constant
    if alpha is None or beta is None or phi is None or not game.homogeneous or not quiet or game.cross_impact is not None:
        raise ValueError("the two-mode structure needs constant coefficients, equal penalties, no net noise flow and the common impact.")
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


def integrate(
    slope: Callable[[float, Array], Array], begin: float, end: float, start: Array, knots: Array, tolerance: float, what: str
) -> Callable[[float], Array]:
    """Integrate an ODE piece by piece between knots and return its dense solution; NoEquilibrium names the time of a blow-up."""
    low, high = min(begin, end), max(begin, end)
    marks = np.concatenate([[low], knots[(knots > low) & (knots < high)], [high]])
    if end < begin:
        marks = marks[::-1]
    pieces = []
    state = np.asarray(start, dtype=float)
    for left, right in zip(marks[:-1], marks[1:], strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                found = solve_ivp(
                    slope, (left, right), state, method="DOP853", rtol=tolerance, atol=tolerance, dense_output=True, first_step=None
                )
            except (np.linalg.LinAlgError, ValueError) as error:
                raise NoEquilibrium(f"{what} breaks down between t = {right:.4g} and t = {left:.4g} ({error}).") from error
        if not found.success or not np.all(np.isfinite(found.y[:, -1])) or np.abs(found.y[:, -1]).max() > 1e12:
            raise NoEquilibrium(
                f"{what} blows up near t = {found.t[-1]:.6g} (horizon {high:g}): the parameters admit no equilibrium of this kind on it."
            )
        pieces.append(found.sol)
        state = found.y[:, -1]
    edges = np.sort(marks)
    ordered = pieces if end > begin else pieces[::-1]

    def dense(t: float) -> Array:
        return ordered[min(max(int(np.searchsorted(edges, t, side="right")) - 1, 0), len(ordered) - 1)](t)

    return dense


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
        slope, 0.0, game.horizon, np.concatenate([game.start, np.zeros(width + n)]), game.knots, tolerance, "the path of the equilibrium"
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
        return f"none: Assumption 2.4 fails (4 N beta phi - alpha^2 goes down to {value:.4g}), the first-order condition may be no maximum"
    if information == "feedback":
        return "none: the paper's theorems are about open-loop equilibria; this one solves the coupled Riccati equations on the whole horizon"
    if game.cross_impact is not None:
        return "Remark 2.1 (3) (individual plus cross impact); existence by this computation"
    if holds["Theorem 2.7 (1): no permanent impact"]:
        return "Theorem 2.7 (1)"
    if holds["Theorem 2.7 (2): homogeneous penalties"] and holds["Theorem 2.7 (2): inequality"]:
        return "Theorem 2.7 (2)"
    if holds["Theorem 2.10: terminal penalty"] and holds["Theorem 2.10: inequality"]:
        return "Theorem 2.10"
    return "Theorem 2.5 (a solution of the system is a Nash equilibrium); existence is by this computation, Theorems 2.7 and 2.10 do not apply"
