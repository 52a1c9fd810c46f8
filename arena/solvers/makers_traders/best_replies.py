"""What two makers and one trader gain by the best reply to opponents who keep reacting to all inventories.

With f and r^i at the profile's controls, the value of staying solves -V^i_t = f . grad V^i + r^i, the value of replying
the same equation with player i's own controls chosen best; both V^i(T) = -A^i Q_i^2. The profile is the open-loop
equilibrium as a rule of the current inventories, or any smooth policy. Solved by collocation on a box that moves with
the profile's path (tube.py): exact up to the box's polynomials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from arena.layout import Array
from arena.solvers.makers_traders.game import MakersTraders
from arena.solvers.makers_traders.stage import (
    check_game,
    check_nodes,
    check_rates,
    commit,
    game_box,
    game_radius,
    leader,
    open_loop_start,
    outcome,
    reply,
    without_bounds,
)
from arena.solvers.makers_traders.tube import (
    Box,
    Curve,
    as_curve,
    box,
    by_inventories,
    solve_fields,
    to_coordinates,
    to_inventories,
)

Policy = Callable[[float, Array], Array]


def closed_loop_regret(
    game: MakersTraders, *, nodes: int = 7, radius: float | None = None, tolerance: float = 1e-8
) -> Array:
    """Gain [3] of each player's best reply when all others play the open-loop equilibrium as a rule of the inventories.

    The rule is the field of marginal values itself, solved together with everybody's value of staying and of replying.
    """
    centre, lead, times, rates = open_loop_start(game)
    check_rates(game, times, rates)
    game = without_bounds(game)
    grid = game_box(game, nodes, radius)
    end = -2.0 * game.terminal * (to_inventories(centre(game.horizon)[0]) + to_inventories(grid.radius * grid.nodes))

    def rule(now: float, q: Array, marginal: Array) -> tuple[Array, Array, Array]:
        return commit(game, lead, now, marginal)

    def change(now: float, q: Array, f: Array, marginal: Array, slope: Array) -> Array:
        return 2.0 * game.penalty(np.array([now])) * q - np.einsum("mj,mij->mi", f, slope)

    return _replies(game, lead, grid, centre, end, rule, change, tolerance)


def open_loop_rule(
    game: MakersTraders, *, nodes: int = 7, radius: float | None = None, tolerance: float = 1e-8
) -> Policy:
    """The open-loop equilibrium as a rule of the current inventories, policy(t, Q [m, 3]) -> [m, 5], near its own path.

    Its marginal values solve u_t = 2 phi Q - f . grad u with u(T) = -2 A Q, f at the controls that u commits to.
    """
    centre, lead, times, rates = open_loop_start(game)
    check_rates(game, times, rates)
    game = without_bounds(game)
    grid = game_box(game, nodes, radius)
    end = -2.0 * game.terminal * (to_inventories(centre(game.horizon)[0]) + to_inventories(grid.radius * grid.nodes))

    def change(now: float, c: Array, fields: Array) -> Array:
        q = to_inventories(c)
        f, _ = outcome(game, lead, now, q, *commit(game, lead, now, fields))
        slope = by_inventories(grid.gradient(fields))
        return 2.0 * game.penalty(np.array([now])) * q - np.einsum("mj,mij->mi", f, slope)

    fields = solve_fields(grid, centre, game.horizon, end, change, game.knots, tolerance, "the open-loop rule")

    def policy(now: float, given: Array) -> Array:
        q = np.atleast_2d(np.asarray(given, dtype=float))
        return np.concatenate(commit(game, lead, now, fields.read(now, to_coordinates(q))[0]), axis=1)

    return policy


def policy_gains(
    game: MakersTraders,
    policy: Policy,
    *,
    nodes: int = 7,
    radius: float | None = None,
    tolerance: float = 1e-8,
) -> Array:
    """Gain [3] of each player's best reply when all others keep playing `policy` and react to the inventories.

    policy(t, Q [m, 3]) -> [m, 5]: both asks, both bids, the trader's rate; it has to be smooth near the path it takes
    from the start, which is where the box is. Raises NoEquilibrium when a reply's value blows up, ValueError for games
    that are not covered."""
    check_game(game)

    def rule(now: float, q: Array, marginal: Array) -> tuple[Array, Array, Array]:
        controls = np.asarray(policy(now, q), dtype=float)
        return controls[:, :2], controls[:, 2:4], controls[:, 4:]

    nothing = np.zeros((1, 0))
    ask, bid, _ = rule(0.0, game.start[None], nothing)
    lead = leader(game, ask, bid)
    times = np.union1d(np.linspace(0.0, game.horizon, 301), game.knots)

    def speed(now: float, q: Array) -> Array:
        return outcome(game, lead, now, q[None], *rule(now, q[None], nothing))[0][0]

    rolled = solve_ivp(speed, (0.0, game.horizon), game.start, method="DOP853", rtol=1e-8, atol=1e-8, t_eval=times)
    q = rolled.y.T
    pace = np.stack([speed(now, row) for now, row in zip(times, q, strict=True)])
    centre = as_curve(times, to_coordinates(q), to_coordinates(pace))
    check_rates(
        game, times, np.concatenate([rule(now, row[None], nothing)[2] for now, row in zip(times, q, strict=True)])
    )
    check_nodes(nodes)
    grid = box((nodes,) * 3, np.full(3, game_radius(game) if radius is None else float(radius)))

    def change(now: float, q: Array, f: Array, marginal: Array, slope: Array) -> Array:
        return np.zeros_like(marginal)

    empty = np.zeros((grid.nodes.shape[0], 0))
    return _replies(without_bounds(game), lead, grid, centre, empty, rule, change, tolerance)


def _replies(
    game: MakersTraders,
    lead: int,
    grid: Box,
    centre: Curve,
    end: Array,
    rule: Callable[[float, Array, Array], tuple[Array, Array, Array]],
    change: Callable[[float, Array, Array, Array, Array], Array],
    tolerance: float,
) -> Array:
    """Best minus staying value [3] at the start, for a rule that may depend on own fields (terminal values `end`, u_t
    by `change`)."""
    own = end.shape[1]
    value = -game.terminal * (to_inventories(centre(game.horizon)[0]) + to_inventories(grid.radius * grid.nodes)) ** 2

    def slopes(now: float, c: Array, fields: Array) -> Array:
        slope = by_inventories(grid.gradient(fields))
        q = to_inventories(c)
        profile = rule(now, q, fields[:, :own])
        f, reward = outcome(game, lead, now, q, *profile)
        stay, best = slope[:, own : own + 3], slope[:, own + 3 :]
        parts = [change(now, q, f, fields[:, :own], slope[:, :own])]
        parts.append(-(np.einsum("mj,mij->mi", f, stay) + reward))
        replies = np.empty_like(q)
        for i in range(3):
            drift, gained = outcome(game, lead, now, q, *reply(game, lead, now, i, profile, best[:, i]))
            replies[:, i] = -(np.einsum("mj,mj->m", drift, best[:, i]) + gained[:, i])
        return np.concatenate([*parts, replies], axis=1)

    what = "the equation of the best replies"
    whole = np.concatenate([end, value, value], axis=1)
    fields = solve_fields(grid, centre, game.horizon, whole, slopes, game.knots, tolerance, what)
    found = fields.read(0.0, to_coordinates(game.start))[0]
    return found[own + 3 :] - found[own : own + 3]
