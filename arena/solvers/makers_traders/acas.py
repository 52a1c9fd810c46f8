"""Two makers and one buyer with exponential best-quote shares: the Almgren-Chriss-Avellaneda-Stoikov game (Guo & Jin,
section 4).

Equal penalties, lambda = beta v^2, Lambda = exp(-gamma x), maker 1 at least as long as maker 2 (relabelled if not). In
the differences x2 = Q1 - Q2, xe = Qe - Q1, y2 = Y1 - Y2 <= 0, ye = Ye - Y1 the game closes (system (22)), with v =
max((ye - 1/gamma) / (2 beta), min_rate):

    x2' = (a+b+v)(e^{gamma y2} - e^{-gamma y2}) ,  xe' = v (1 + e^{-gamma y2}) + a e^{-gamma y2} - b e^{gamma y2} ,
    y' = 2 phi x ,  y_T = -2A x_T

    Q1' = -(a+v) e^{-gamma y2} + b e^{gamma y2} ,  ask^i = 1/gamma + Y^i ,  bid^i = 1/gamma - Y^i

Three ways to the same numbers: collocation ('system'); for phi = 0 the marginal values are constant and solve two
algebraic equations ('algebraic', Theorem 4.3); for equal makers and constant coefficients cosh and sinh ('closed')."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.coefficients import Coefficient
from arena.solvers.collocation import NoEquilibrium, Trajectory, solve_trajectory
from arena.solvers.makers_traders.costs import QuadraticCost
from arena.solvers.makers_traders.game import MakersTraders, makers_traders
from arena.solvers.makers_traders.open_loop import describe, output_times
from arena.solvers.makers_traders.shares import Relative
from arena.solvers.solution import Condition, Solution

_points, _weights = np.polynomial.legendre.leggauss(8)
POINTS, WEIGHTS = (_points + 1.0) / 2.0, _weights / 2.0


def acas_game(
    maker_inventory: Sequence[float],
    trader_inventory: float,
    *,
    horizon: float,
    fill_decay: float,
    temporary_impact: Any,
    running_penalty: Any = 0.0,
    terminal_penalty: float = 0.0,
    noise_buy: Any = 0.0,
    noise_sell: Any = 0.0,
    min_rate: float = 0.0,
) -> MakersTraders:
    """Read and check an ACAS game: two makers' inventories and one buyer's (negative) inventory; penalties are shared
    by all three. Raises ValueError for another number of makers or a seller."""
    if len(maker_inventory) != 2:
        raise ValueError(
            f"maker_inventory: found {len(maker_inventory)} makers; the ACAS game has 2 (use solve_makers_traders for "
            "more)"
        )
    if not trader_inventory < 0.0:
        raise ValueError(
            f"trader_inventory: found {trader_inventory}; the ACAS game has one buyer, whose inventory is below 0"
        )
    return makers_traders(
        maker_inventory,
        [trader_inventory],
        horizon=horizon,
        share=Relative(fill_decay),
        temporary_impact=temporary_impact,
        running_penalty=running_penalty,
        terminal_penalty=terminal_penalty,
        noise_buy=noise_buy,
        noise_sell=noise_sell,
        min_rate=min_rate,
    )


def solve_acas(game: MakersTraders, t: Sequence[float] | Array | None = None, method: str = "auto") -> Solution:
    """Open-loop Nash of the ACAS game, with the conditions of section 4 checked along it.

    method: 'system', 'algebraic' (needs phi = 0), 'closed' (needs equal makers, constant a, b, beta, phi, and v above
    min_rate), or 'auto': the most explicit one that applies. Conditions: order of the makers, M-matrix (24) and
    boundedness of the Riccati solution of Theorem 4.2 along the path, Theorem 4.3's bound (26) where a = b = 0 and phi
    = 0, and min v above min_rate afterwards. Raises ValueError for another game or a method that does not apply,
    NoEquilibrium where the closed form does not hold."""
    _, beta, phi, _ = _parameters(game)
    times = output_times(t, game.horizon)
    flat = all(entry.constant is not None for entry in (game.noise_buy, game.noise_sell, beta, phi))
    equal = game.maker_inventory[0] == game.maker_inventory[1]
    if method == "auto":
        found = _closed(game, times) if flat and equal else None
        used = "closed"
        if found is None:
            used = "algebraic" if phi.constant == 0.0 else "system"
            found = _algebraic(game, times) if used == "algebraic" else _system(game, times)
    else:
        ways = {"system": True, "algebraic": phi.constant == 0.0, "closed": flat and equal}
        if method not in ways:
            raise ValueError(f"method: found {method!r}; allowed are 'auto', 'system', 'algebraic' and 'closed'")
        if not ways[method]:
            needs = (
                "running_penalty 0" if method == "algebraic" else "equal maker inventories and constant coefficients"
            )
            raise ValueError(f"method: {method!r} needs {needs}")
        used = method
        answer = {"system": _system, "algebraic": _algebraic, "closed": _closed}[method](game, times)
        if answer is None:
            raise NoEquilibrium("the closed form does not hold: the buyer's rate meets min_rate on the way")
        found = answer
    solution = describe(game, found, times, "acas", theorem="Theorem 4.3" if phi.constant == 0.0 else None)
    extra, diagnostics = _section_4(game, found)
    solution.conditions.extend(extra)
    solution.diagnostics.update(diagnostics, method=used)
    return Solution(
        "acas",
        "open_loop",
        _theorem(phi, solution.conditions),
        solution.conditions,
        times,
        solution.players,
        solution.diagnostics,
    )


def no_truncation_bound(game: MakersTraders, t: Array) -> Array:
    """Theorem 4.3 / (26): with phi = 0 and no noise, v_t >= rho X / (2 beta_t) at times t, X = q1 - qe - 1/(2 A gamma)
    > 0.

    rho = 2A / (1 + (A T / min beta)(1 + exp(2 A gamma (q1 - q2)))). Raises ValueError when X <= 0, with its number.
    """
    gamma, beta, _, terminal = _parameters(game)
    first, second = np.sort(game.maker_inventory)[::-1]
    gap = first - game.trader_inventory[0] - 1.0 / (2.0 * terminal * gamma) if terminal > 0.0 else -np.inf
    if gap <= 0.0:
        raise ValueError(f"the bound (26) needs q1 - qe > 1/(2 A gamma); the difference is {gap:.4g}")
    least = float(beta(np.linspace(0.0, game.horizon, 1025)).min())
    rho = (
        2.0
        * terminal
        / (1.0 + terminal * game.horizon / least * (1.0 + np.exp(2.0 * terminal * gamma * (first - second))))
    )
    return rho * gap / (2.0 * beta(t))


def _parameters(game: MakersTraders) -> tuple[float, Coefficient, Coefficient, float]:
    if (
        not isinstance(game.share, Relative)
        or game.share.intensity is not None
        or not isinstance(game.cost, QuadraticCost)
    ):
        raise ValueError(
            "the ACAS game has exponential best-quote shares and quadratic costs; use solve_makers_traders for others"
        )
    if (game.makers, game.traders) != (2, 1) or game.direction[0] < 0 or not game.homogeneous:
        raise ValueError(
            "the ACAS game has 2 makers and 1 buyer with equal penalties; use solve_makers_traders for others"
        )
    if np.isfinite(game.max_rate) or np.isfinite(game.max_distance) or game.vwap:
        raise ValueError(
            "the ACAS game has no max_rate, no max_distance and trader_price 'best'; use solve_makers_traders for "
            "others"
        )
    return game.share.fill_decay, game.cost.temporary_impact, game.running[0], float(game.terminal[0])


def _ordered(game: MakersTraders) -> NDArray[np.intp]:
    """Positions of the longer and the shorter maker."""
    return np.argsort(-game.maker_inventory, kind="stable")


def _drift(game: MakersTraders, t: Array, y: Array) -> tuple[Array, Array]:
    """(x2', xe', Q1') [n, 3] and derivatives by (y2, ye, Y1); upper left block is (24), or (25) where v is
    truncated."""
    gamma, beta, _, _ = _parameters(game)
    b, impact = game.noise_sell(t), beta(t)
    wanted = (y[:, 1] - 1.0 / gamma) / (2.0 * impact)
    v = np.maximum(wanted, game.min_rate)
    dv = np.where(wanted > game.min_rate, 1.0 / (2.0 * impact), 0.0)
    flow = game.noise_buy(t) + v
    up, down = np.exp(-gamma * y[:, 0]), np.exp(gamma * y[:, 0])
    f = np.stack([(flow + b) * (down - up), v + flow * up - b * down, -flow * up + b * down], axis=1)
    jacobian = np.zeros((t.size, 3, 3))
    jacobian[:, 0, 0] = gamma * (flow + b) * (up + down)
    jacobian[:, 0, 1] = dv * (down - up)
    jacobian[:, 1, 0] = -gamma * (flow * up + b * down)
    jacobian[:, 1, 1] = dv * (1.0 + up)
    jacobian[:, 2, 0] = gamma * (flow * up + b * down)
    jacobian[:, 2, 1] = -dv * up
    return f, jacobian


def _expand(game: MakersTraders, x: Array, y: Array) -> tuple[Array, Array]:
    """Inventories and marginal values [n, 3] of (maker 0, maker 1, trader) from (x2, xe, Q1) and (y2, ye, Y1)."""
    both = []
    for z in (x, y):
        makers = np.empty((z.shape[0], 2))
        makers[:, _ordered(game)] = np.stack([z[:, 2], z[:, 2] - z[:, 0]], axis=1)
        both.append(np.concatenate([makers, z[:, [1]] + z[:, [2]]], axis=1))
    return both[0], both[1]


def _system(game: MakersTraders, times: Array) -> Trajectory:
    _, _, phi, terminal = _parameters(game)
    start = _reduced_start(game)

    def reward(t: Array, x: Array, y: Array) -> Array:
        return game.reward(t, *_expand(game, x, y))

    def running(t: Array) -> Array:
        return np.repeat(phi(t)[:, None], 3, axis=1)

    found = solve_trajectory(
        lambda t, y: _drift(game, t, y), reward, start, running, np.full(3, terminal), game.mesh(times)
    )
    q, y = _expand(game, found.q, found.y)
    objective = found.objective + terminal * (found.q[-1] ** 2 - q[-1] ** 2)
    return Trajectory(
        found.t, q, y, objective, found.error, found.newton_steps, found.continuation_steps, found.refinements
    )


def _reduced_start(game: MakersTraders) -> Array:
    first, second = game.maker_inventory[_ordered(game)]
    return np.array([first - second, game.trader_inventory[0] - first, first])


def _algebraic(game: MakersTraders, times: Array) -> Trajectory:
    """phi = 0: y = -2A (x_0 + int_0^T f(t, y) dt) in (y2, ye, Y1), by damped Newton steps on numbers instead of
    paths."""
    terminal = _parameters(game)[3]
    start, mesh = _reduced_start(game), game.mesh(times)
    h = np.diff(mesh)
    nodes = (mesh[:-1, None] + h[:, None] * POINTS).ravel()
    weight = (h[:, None] * WEIGHTS).ravel()

    def fault(y: Array) -> tuple[Array, Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            f, jacobian = _drift(game, nodes, np.tile(y, (nodes.size, 1)))
            return y + 2.0 * terminal * (start + weight @ f), np.eye(3) + 2.0 * terminal * np.tensordot(
                weight, jacobian, axes=(0, 0)
            )

    y = np.zeros(3)
    gap, slope = fault(y)
    for _ in range(200):
        step, length = -np.linalg.solve(slope, gap), 1.0
        while True:
            trial = y + length * step
            trial_gap, trial_slope = fault(trial)
            if np.linalg.norm(trial_gap) < np.linalg.norm(gap) or length < 1e-8:
                break
            length /= 2.0
        y, gap, slope = trial, trial_gap, trial_slope
        if np.abs(step).max() < 1e-14 * (1.0 + np.abs(y).max()) or length < 1e-8:
            break
    if not np.abs(gap).max() <= 1e-10 * (1.0 + np.abs(y).max()):
        raise NoEquilibrium(
            "the algebraic system of the game without running penalty does not converge (residual "
            f"{np.abs(gap).max():.2e})"
        )
    f = _drift(game, nodes, np.tile(y, (nodes.size, 1)))[0]
    x = start + np.concatenate(
        [np.zeros((1, 3)), np.cumsum(np.einsum("nk,nkc->nc", h[:, None] * WEIGHTS, f.reshape(h.size, -1, 3)), axis=0)]
    )
    q, values = _expand(game, x, np.tile(y, (mesh.size, 1)))
    reward = game.reward(nodes, np.zeros((nodes.size, 3)), np.tile(values[0], (nodes.size, 1)))
    return Trajectory(mesh, q, values, weight @ reward - terminal * q[-1] ** 2, float(np.abs(gap).max()), 0, 0, 0)


def _closed(game: MakersTraders, times: Array) -> Trajectory | None:
    """Equal makers, constant a, b, beta, phi: cosh and sinh in x = Qe - Qm; None when v meets min_rate."""
    gamma, impact, penalty, terminal = _parameters(game)
    horizon, mesh = game.horizon, game.mesh(times)
    beta, phi = float(impact.constant or 0.0), float(penalty.constant or 0.0)
    d = float(game.noise_buy.constant or 0.0) - float(game.noise_sell.constant or 0.0)
    makers, trader = float(game.maker_inventory[0]), float(game.trader_inventory[0])
    kappa = np.sqrt(2.0 * phi / beta)

    def sinh(s: Array) -> Array:
        return np.sinh(kappa * s) / kappa if kappa > 0.0 else s

    x0, end = trader - makers, np.array([horizon])
    c1 = float(
        ((x0 - sinh(end) * (1.0 / (gamma * beta) - d)) / (np.cosh(kappa * end) + 2.0 * terminal / beta * sinh(end)))[0]
    )
    c2 = (2.0 * terminal * c1 + 1.0 / gamma) / beta - d

    def inventories(t: Array) -> Array:
        left = horizon - t
        x = c1 * np.cosh(kappa * left) + c2 * sinh(left)
        held = trader + (x - x0 - d * t) / 2.0
        return np.stack([held - x, held - x, held], axis=1)

    def rate(t: Array) -> Array:
        left = horizon - t
        return (-(kappa**2) * c1 * sinh(left) - c2 * np.cosh(kappa * left) - d) / 2.0

    if rate(mesh).min() <= game.min_rate:
        return None
    h = np.diff(mesh)
    nodes = mesh[:-1, None] + h[:, None] * POINTS
    q = inventories(mesh)
    held = inventories(nodes.ravel())[:, 0].reshape(nodes.shape)
    later = np.concatenate([np.cumsum((h * (held @ WEIGHTS))[::-1])[::-1], [0.0]])
    y = -2.0 * terminal * q[-1, 0] - 2.0 * phi * later
    values = np.stack([y, y, y + 2.0 * beta * rate(mesh) + 1.0 / gamma], axis=1)
    # running rewards at the nodes; the makers' value there is the mesh value plus 2 phi int Q since the mesh point
    inner = np.einsum("nj,kj->nk", held, _partial_integrals()) * h[:, None]
    own = (y[:-1, None] + 2.0 * phi * inner).ravel()
    flat = nodes.ravel()
    marginal = np.stack([own, own, own + 2.0 * beta * rate(flat) + 1.0 / gamma], axis=1)
    reward = game.reward(flat, inventories(flat), marginal)
    return Trajectory(mesh, q, values, (h[:, None] * WEIGHTS).ravel() @ reward - terminal * q[-1] ** 2, 0.0, 0, 0, 0)


def _partial_integrals() -> Array:
    """Weights [8, 8]: the integral of the interpolating polynomial from 0 to each Gauss point."""
    powers = np.arange(1, POINTS.size + 1)
    return (POINTS[:, None] ** powers / powers) @ np.linalg.inv(POINTS[:, None] ** (powers - 1))


def _section_4(game: MakersTraders, found: Trajectory) -> tuple[list[Condition], dict[str, Any]]:
    """Order, M-matrix, Riccati and truncation conditions along a solution."""
    gamma, _, phi, terminal = _parameters(game)
    first, second = _ordered(game)
    x2, y2 = found.q[:, first] - found.q[:, second], found.y[:, first] - found.y[:, second]
    reduced = np.stack([y2, found.y[:, 2] - found.y[:, first], found.y[:, first]], axis=1)
    jacobian = _drift(game, found.t, reduced)[1][:, :2, :2]
    off = float(np.maximum(jacobian[:, 0, 1], jacobian[:, 1, 0]).max())
    columns = float(jacobian.sum(axis=1).min())
    least = float(game.controls(found.t, found.y)[2].min())
    riccati = _riccati(found.t, jacobian, phi, terminal)
    scale = 1e-9 * (1.0 + float(np.abs(jacobian).max()))
    extra = [
        Condition("order of inventories kept", bool(x2.min() >= -1e-9), float(x2.min()), "min Q1 - Q2 >= 0"),
        Condition("order of marginal values kept", bool(y2.max() <= 1e-9), float(y2.max()), "max Y1 - Y2 <= 0"),
        Condition("(24): off-diagonal entries", off <= scale, off, "max <= 0"),
        Condition("(24): column sums", columns >= -scale, columns, "min >= 0"),
        Condition(
            "Theorem 4.2: Riccati solution bounded along the path",
            bool(np.isfinite(riccati).all()),
            float(np.abs(riccati).max()),
            "finite",
        ),
        Condition("a-posteriori: rate above min_rate", least > game.min_rate, least, f"min v > {game.min_rate:g}"),
    ]
    if phi.constant == 0.0:
        extra.append(
            Condition("Theorem 4.3: Riccati entries", bool(riccati.max() <= 1e-9), float(riccati.max()), "max <= 0")
        )
        gap = (
            found.q[0, first]
            - game.trader_inventory[0]
            - (1.0 / (2.0 * terminal * gamma) if terminal > 0.0 else np.inf)
        )
        extra.append(Condition("Assumption 4.4: q1 - qe > 1/(2 A gamma)", bool(gap > 0.0), float(gap), "> 0"))
        if game.noise_buy.constant == 0.0 and game.noise_sell.constant == 0.0 and gap > 0.0:
            bound = no_truncation_bound(game, found.t)
            slack = float((game.controls(found.t, found.y)[2][:, 0] - bound).min())
            extra.append(
                Condition(
                    "Theorem 4.3: bound (26) on the rate",
                    slack >= 0.0,
                    slack,
                    f"v - bound >= 0, bound {bound.min():.6g}",
                )
            )
    return extra, {"riccati_at_0": riccati[0]}


def _riccati(t: Array, jacobian: Array, phi: Coefficient, terminal: float) -> Array:
    """R' = 2 phi I - R G R, R_T = -2A I along a path of G [n, 2, 2], by exact steps of its linearisation with G held
    constant per cell."""
    from scipy.linalg import expm

    r = np.empty_like(jacobian)
    r[-1] = -2.0 * terminal * np.eye(2)
    middle = (jacobian[1:] + jacobian[:-1]) / 2.0
    penalty = phi((t[1:] + t[:-1]) / 2.0)
    for k in range(t.size - 2, -1, -1):
        linear = np.zeros((4, 4))
        linear[:2, 2:] = 2.0 * penalty[k] * np.eye(2)
        linear[2:, :2] = middle[k]
        pair = expm(-linear * (t[k + 1] - t[k])) @ np.concatenate([r[k + 1], np.eye(2)])
        r[k] = pair[:2] @ np.linalg.inv(pair[2:])
    return r


def _theorem(phi: Coefficient, conditions: list[Condition]) -> str:
    kept = {entry.name: entry.holds for entry in conditions}
    if not (kept["order of inventories kept"] and kept["order of marginal values kept"]):
        return "none: the order of the two makers is not kept along the solution, which section 4 needs"
    if phi.constant == 0.0:
        return "Theorem 4.3 (unique on every horizon: no running penalty, deterministic flow)"
    if kept["Theorem 4.2: Riccati solution bounded along the path"]:
        return (
            "Theorem 4.1 (open-loop Nash); the Riccati condition of Theorem 4.2 holds along the solution, which is "
            "what was checked"
        )
    return (
        "Theorem 4.1 (open-loop Nash); the Riccati condition of Theorem 4.2 fails along the solution, uniqueness is "
        "open"
    )
