"""The approximation game: inventories with noise and a random noise-flow factor (Guo & Jin, section 5, eqs. 40-41,
Theorems 5.4 and 5.5).

Two makers and one trader with shares that clear; W are independent Brownian motions, L is common:

    dQ^{i,m} = (-a~ zeta^i(ask) + b~ zeta^i(bid)) dt + eps dW^i ,  dQ^e = v dt + eps dW^e ,
    dL = Gamma(t, L) dt + Sigma(t, L) dW^0
    a~ = kappa^a(t, L) + buyers' v ,  b~ = kappa^b(t, L) - sellers' v ,     dY = 2 phi Q dt + dM ,  Y_T = -2A Q_T

The marginal values are fields of the state, Y = y(t, Q, L), and so are expected objectives J(t, Q, L):

    y_t + f . grad y + eps^2/2 lap y + Gamma y_L + Sigma^2/2 y_LL = 2 phi Q ,  y_T = -2A Q ,
    the same operator on J = -reward ,  J_T = -A Q^2

solved by collocation around the path without noise (tube.py; with equal penalties exact in the common shift of
inventories). A deterministic `noise_buy`, `noise_sell` is the case without factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from arena.layout import Array
from arena.solvers.coefficients import Coefficient
from arena.solvers.makers_traders.game import MakersTraders
from arena.solvers.makers_traders.open_loop import conditions_along, output_times, trajectory
from arena.solvers.makers_traders.stage import (
    check_game,
    check_nodes,
    check_rates,
    commit,
    game_radius,
    leader,
    order,
    outcome,
    without_bounds,
)
from arena.solvers.makers_traders.tube import (
    as_curve,
    box,
    by_inventories,
    solve_fields,
    to_coordinates,
    to_inventories,
)
from arena.solvers.solution import Condition, Player, Solution

TimeState = Callable[[float, Array], Array]
MIXING = np.array(
    [[2.0, -1.0, 1.0], [-1.0, 2.0, -1.0], [1.0, -1.0, 1.0]]
)  # covariance of (Q1-Q2, Qe-Q1, Q1) under independent unit noises


@dataclass(frozen=True)
class NoiseFactor:
    """A diffusion L that moves the noise flows: functions of (t, L [m]) -> [m]; dL = drift dt + volatility dW,
    noise_buy and noise_sell of it.

    radius: half-width of the box in L (default: 3 standard deviations at constant volatility); nodes: odd number of
    nodes in L."""

    initial: float
    drift: TimeState
    volatility: TimeState
    noise_buy: TimeState
    noise_sell: TimeState
    radius: float | None = None
    nodes: int = 9


def approximation_game(
    game: MakersTraders,
    epsilon: float,
    factor: NoiseFactor | None = None,
    t: Sequence[float] | Array | None = None,
    *,
    nodes: int = 9,
    radius: float | None = None,
    tolerance: float = 1e-9,
) -> Solution:
    """Open-loop Nash equilibrium with inventory noise `epsilon` and, if given, a random noise factor.

    Objectives are expectations; inventories and controls are those along the path on which no noise arrives; `policy(t,
    state [n, 3 or 4])` gives asks, bids and rate (five columns) at any (Q1, Q2, Qe[, L]) near it. Raises ValueError for
    games it does not cover, in one sentence."""
    if not epsilon >= 0.0:
        raise ValueError(f"epsilon: found {epsilon}; it must be at least 0")
    times = output_times(t, game.horizon)
    check_game(game)
    check_nodes(nodes)
    width = game_radius(game) if radius is None else float(radius)
    counts: tuple[int, ...] = (nodes, nodes, 3 if game.homogeneous else nodes)
    radii = np.full(3, width)
    path_of_factor: Callable[[float], float] = lambda now: 0.0  # noqa: E731
    if factor is not None:
        path_of_factor, spread = _mean_factor(factor, game.horizon)
        counts = (*counts, factor.nodes)
        radii = np.append(radii, factor.radius or 3.0 * spread)
        quiet = replace(
            game,
            noise_buy=_along(factor.noise_buy, path_of_factor),
            noise_sell=_along(factor.noise_sell, path_of_factor),
        )
    else:
        quiet = game
    grid = box(counts, radii)
    found = trajectory(quiet, np.linspace(0.0, game.horizon, 301), 1e-9)
    open_ask, open_bid, open_rate = quiet.controls(found.t, found.y)
    lead = leader(quiet, open_ask, open_bid)
    check_rates(quiet, found.t, open_rate)
    bounded, game = quiet, without_bounds(game)
    c, speed = to_coordinates(found.q), to_coordinates(quiet.drift(found.t, found.y)[0])
    if factor is not None:
        level = np.array([path_of_factor(x) for x in found.t])
        pace = np.array([float(factor.drift(x, np.array([y]))[0]) for x, y in zip(found.t, level, strict=True)])
        c, speed = np.column_stack([c, level]), np.column_stack([speed, pace])
    centre = as_curve(found.t, c, speed)
    q_end = to_inventories(centre(game.horizon)[0] + grid.radius * grid.nodes)
    end = np.concatenate([-2.0 * game.terminal * q_end, -game.terminal * q_end**2], axis=1)

    def at(now: float, level: Array) -> MakersTraders:
        if factor is None:
            return game
        buy, sell = np.asarray(factor.noise_buy(now, level), float), np.asarray(factor.noise_sell(now, level), float)
        return replace(game, noise_buy=Coefficient(lambda _: buy), noise_sell=Coefficient(lambda _: sell))

    def change(now: float, where: Array, values: Array) -> Array:
        gradient = grid.gradient(values)
        level = where[:, 3] if factor is not None else where[:, 0]
        here = at(now, level)
        q = to_inventories(where)
        f, reward = outcome(here, lead, now, q, *commit(here, lead, now, values[:, :3]))
        moved = np.einsum("mj,mij->mi", f, by_inventories(gradient))
        hessian = grid.hessian(values) if epsilon > 0.0 or factor is not None else None
        if hessian is not None and epsilon > 0.0:
            moved += 0.5 * epsilon**2 * np.einsum("jk,mijk->mi", MIXING, hessian[:, :, :3, :3])
        if hessian is not None and factor is not None:
            moved += np.asarray(factor.drift(now, level))[:, None] * gradient[:, :, 3]
            moved += 0.5 * np.asarray(factor.volatility(now, level))[:, None] ** 2 * hessian[:, :, 3, 3]
        penalty = 2.0 * game.penalty(np.array([now])) * q
        return np.concatenate([penalty, -reward], axis=1) - moved

    fields = solve_fields(
        grid, centre, game.horizon, end, change, game.knots, tolerance, "the equation of the approximation game"
    )

    def follow(now: float, state: Array) -> Array:
        level = np.array([path_of_factor(now)])
        here = at(now, level)
        value = fields.read(now, np.append(to_coordinates(state), level[: len(counts) - 3]))[0][None, :3]
        return outcome(here, lead, now, state[None], *commit(here, lead, now, value))[0][0]

    marks = np.union1d(times, [0.0, game.horizon])
    rolled = solve_ivp(
        follow, (0.0, game.horizon), game.start, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=marks
    )
    q = rolled.y.T[np.isin(marks, times)]

    def policy(now: float, given: Array) -> Array:
        given = np.atleast_2d(np.asarray(given, dtype=float))
        where = np.concatenate([to_coordinates(given[:, :3]), given[:, 3:]], axis=1)
        y = fields.read(now, where)[0][:, :3]
        return np.concatenate(commit(game, lead, now, y), axis=1)

    states = q if factor is None else np.column_stack([q, [path_of_factor(x) for x in times]])
    controls = np.concatenate([policy(x, row) for x, row in zip(times, states, strict=True)])
    ask, bid, rate = controls[:, :2], controls[:, 2:4], controls[:, 4:]
    y = np.stack(
        [
            fields.read(x, np.append(to_coordinates(row[:3]), row[3:]))[0][:3]
            for x, row in zip(times, states, strict=True)
        ]
    )
    start = np.append(to_coordinates(game.start), [] if factor is None else [factor.initial])
    value = fields.read(0.0, start)[0]
    checks = [
        *conditions_along(bounded, times, ask, bid, rate),
        *order(game, lead, ask, bid),
        Condition("inventory noise", epsilon > 0.0, epsilon, "epsilon > 0"),
    ]
    if factor is not None:
        checks += _factor_conditions(factor, fields.centre, radii[3], game.horizon)
    players = [
        Player(name, "maker", float(value[3 + i]), q[:, i], ask=ask[:, i], bid=bid[:, i], adjoint=y[:, i])
        for i, name in enumerate(game.names[:2])
    ]
    players.append(Player(game.names[2], "trader", float(value[5]), q[:, 2], rate=rate[:, 0], adjoint=y[:, 2]))
    diagnostics: dict[str, Any] = {
        "epsilon": epsilon,
        "nodes": list(counts),
        "radius": radii,
    }
    return Solution("approximation", "open_loop", _theorem(checks), checks, times, players, diagnostics, policy)


def _mean_factor(factor: NoiseFactor, horizon: float) -> tuple[Callable[[float], float], float]:
    """Path of L without noise and a bound on its standard deviation at T (drift's stretching left out)."""

    def slope(now: float, level: Array) -> Array:
        return np.asarray(factor.drift(now, level), dtype=float)

    found = solve_ivp(
        slope, (0.0, horizon), [factor.initial], method="DOP853", rtol=1e-11, atol=1e-11, dense_output=True
    )
    times = np.linspace(0.0, horizon, 101)
    volatility = np.array([float(np.asarray(factor.volatility(x, found.sol(x)))[0]) for x in times])
    return lambda now: float(found.sol(now)[0]), float(np.sqrt(np.trapezoid(volatility**2, times)))


def _along(function: TimeState, path: Callable[[float], float]) -> Coefficient:
    return Coefficient(
        lambda t: np.array(
            [float(np.asarray(function(float(x), np.array([path(float(x))])))[0]) for x in t.ravel()]
        ).reshape(t.shape)
    )


def _factor_conditions(factor: NoiseFactor, centre: Any, radius: float, horizon: float) -> list[Condition]:
    """Assumption 5.3 on the box of L: volatility away from zero, flows positive, drift bounded."""
    volatility, flow, drift = [], [], []
    for now in np.linspace(0.0, horizon, 21):
        level = centre(now)[0][3] + radius * np.linspace(-1.0, 1.0, 41)
        volatility.append(np.abs(factor.volatility(now, level)).min())
        flow.append(min(np.min(factor.noise_buy(now, level)), np.min(factor.noise_sell(now, level))))
        drift.append(np.abs(factor.drift(now, level)).max())
    return [
        Condition(
            "Assumption 5.3: factor elliptic",
            bool(min(volatility) > 0.0),
            float(min(volatility)),
            "min volatility > 0 on the box",
        ),
        Condition(
            "Assumption 5.3: noise flows positive", bool(min(flow) > 0.0), float(min(flow)), "min flow > 0 on the box"
        ),
        Condition(
            "Assumption 5.3: drift bounded", bool(np.isfinite(max(drift))), float(max(drift)), "finite on the box"
        ),
    ]


def _theorem(checks: list[Condition]) -> str:
    broken = [entry.name for entry in checks if not entry.holds]
    if broken == ["inventory noise"]:
        return (
            "Theorem 5.4 (open-loop Nash, at zero inventory noise); Theorem 5.5's uniqueness needs noise, existence is "
            "by this computation"
        )
    if broken:
        return f"none: not satisfied along the solution: {'; '.join(broken)}"
    return "Theorem 5.4 (open-loop Nash) and Theorem 5.5 (unique bounded solution with truncations)"
