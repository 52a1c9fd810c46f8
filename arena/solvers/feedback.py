"""Two makers and one trader who react to all inventories: feedback Nash equilibrium, and what a best reply to reacting
opponents gains.

Values V^i(t, Q1, Q2, Qe) solve, with f the drift of the inventories and r^i the running reward (both at the controls
below),

    -V^i_t = f . grad V^i + r^i ,     V^i(T) = -A^i Q_i^2
    maker i quotes the stage game (shares.py) at y^i = d_i V^i - d_j V^i   (j the other maker: it sells what i does not)
    the trader's net worth of a share is d_e V^e - zeta_1 d_1 V^e - zeta_2 d_2 V^e, minus the ask (buyer) / plus the bid

The open-loop equilibrium as a rule of the current inventories is the field Y^i_t + f . grad Y^i = 2 phi^i Q_i, Y^i(T) =
-2 A^i Q_i. All of them are solved by collocation on a box that moves with the path (tube.py). The trader pays the quote
of the maker who is longer (buyer; shorter for a seller) at the start, which is the best quote as long as that order
lasts; the order along the path is reported.

The relative rule is refused: with two makers who see inventories, raising one's own ask multiplies the rival's fills,
and the best reply is unbounded; the normalised rule, logistic with sharpness 2 fill_decay, is the well-posed game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from arena.solvers.collocation import NoEquilibrium
from arena.solvers.costs import QuadraticCost, stage_rates
from arena.solvers.equilibrium import conditions_along, output_times, trajectory
from arena.solvers.makers_traders import MakersTraders
from arena.solvers.shares import Logistic, stage_quotes
from arena.solvers.solution import Condition, Player, Solution
from arena.solvers.tube import (
    Box,
    Fields,
    Path,
    as_path,
    box,
    by_inventories,
    solve_fields,
    to_coordinates,
    to_inventories,
)

Array = NDArray[np.float64]


def feedback_nash(
    game: MakersTraders,
    t: Sequence[float] | Array | None = None,
    *,
    nodes: int = 7,
    radius: float | None = None,
    tolerance: float = 1e-9,
) -> Solution:
    """Feedback Nash equilibrium of two makers and one trader, from its own path, locally around it.

    nodes: per direction (odd); radius: half-width of the box in shares (default: `game_radius`). The game is solved
    with two nodes fewer first, and the difference of the objectives is reported as `difference_to_fewer_nodes`; when
    the finer box blows up, the coarser answer stands and the diagnostics say so. The solution is smooth and local,
    uniqueness is not claimed. `policy(t, Q [n, 3])` gives asks, bids and rate (five columns) near the path. Raises
    ValueError for games it does not cover and NoEquilibrium where the fields blow up, each in one sentence."""
    times = output_times(t, game.horizon)
    check_nodes(nodes)
    centre, lead, _, _ = open_loop_start(game)
    bounded, game = game, without_bounds(game)
    rounds, fields, coarse, why = 0, None, None, "none"
    for count in (nodes - 2, nodes) if nodes > 3 else (nodes,):
        try:
            fields, centre, more, moved = _settle(game, lead, game_box(game, count, radius), centre, tolerance)
            rounds += more
            coarse = fields if count < nodes else coarse
        except NoEquilibrium as error:
            why = str(error)
            if count == nodes and fields is None:
                raise
    assert fields is not None
    path = centre
    q = to_inventories(np.array([path(x)[0] for x in times]))
    slopes = np.array([by_inventories(fields.read(x, path(x)[0])[1]) for x in times])
    controls = [react(game, lead, x, slope[None]) for x, slope in zip(times, slopes, strict=True)]
    ask, bid, rate = (np.concatenate(parts) for parts in zip(*controls, strict=True))
    check_rates(bounded, times, rate)
    start = to_coordinates(game.start)
    value = fields.read(0.0, start)[0]
    diagnostics: dict[str, Any] = {
        "nodes": list(fields.grid.counts),
        "radius": fields.grid.radius,
        "rounds": rounds,
        "path_moved": moved,
        "difference_to_fewer_nodes": (
            None if coarse is None or coarse is fields else np.abs(value - coarse.read(0.0, start)[0])
        ),
        "other_box_failed": why,
    }
    players = [
        Player(name, "maker", float(value[i]), q[:, i], ask=ask[:, i], bid=bid[:, i], adjoint=slopes[:, i, i])
        for i, name in enumerate(game.names[:2])
    ]
    players.append(Player(game.names[2], "trader", float(value[2]), q[:, 2], rate=rate[:, 0], adjoint=slopes[:, 2, 2]))

    def policy(now: float, given: Array) -> Array:
        given = np.atleast_2d(np.asarray(given, dtype=float))
        slope = np.stack([by_inventories(fields.read(now, to_coordinates(row))[1]) for row in given])
        return np.concatenate(react(game, lead, now, slope), axis=1)

    checks = [*conditions_along(bounded, times, ask, bid, rate), *order(game, lead, ask, bid)]
    theorem = (
        "none: the paper's theorems are about open-loop equilibria; this is a smooth local solution of the coupled "
        "HJB equations"
    )
    return Solution("makers_traders", "feedback", theorem, checks, times, players, diagnostics, policy)


def _settle(
    game: MakersTraders, lead: int, grid: Box, centre: Path, tolerance: float
) -> tuple[Fields, Path, int, float]:
    """Solve for the values in a box around a path, follow the path they imply, and repeat around that path until it
    stays."""
    inventories = to_inventories(grid.radius * grid.nodes)

    def change(now: float, c: Array, values: Array) -> Array:
        slope = by_inventories(grid.gradient(values))
        q = to_inventories(c)
        ask, bid, rate = react(game, lead, now, slope)
        f, reward = outcome(game, lead, now, q, ask, bid, rate)
        return -(np.einsum("mj,mij->mi", f, slope) + reward)

    for rounds in range(1, 9):
        end = -game.terminal * (to_inventories(centre(game.horizon)[0]) + inventories) ** 2
        what = "the equation of the feedback equilibrium"
        fields = solve_fields(grid, centre, game.horizon, end, change, game.knots, tolerance, what)
        path, marks = follow(game, lead, fields, tolerance)
        moved = float(max(np.abs((path(x)[0] - centre(x)[0]) / grid.radius).max() for x in marks))
        if moved < 1e-2:
            return fields, path, rounds, moved
        centre = path
    if moved > 1.0:
        raise NoEquilibrium(
            f"the feedback equilibrium's path leaves its box by {moved:.2g} radii after {rounds} rounds; give a "
            "larger radius."
        )
    return fields, path, rounds, moved


def closed_loop_regret(
    game: MakersTraders, *, nodes: int = 7, radius: float | None = None, tolerance: float = 1e-8
) -> Array:
    """Gain [3] of each player's best reply when all others keep playing the open-loop equilibrium as a rule of the
    current inventories."""
    centre, lead, times, rates = open_loop_start(game)
    check_rates(game, times, rates)
    game = without_bounds(game)
    grid = game_box(game, nodes, radius)
    q_end = to_inventories(centre(game.horizon)[0]) + to_inventories(grid.radius * grid.nodes)
    value = -game.terminal * q_end**2
    end = np.concatenate([-2.0 * game.terminal * q_end, value, value], axis=1)

    def change(now: float, c: Array, fields: Array) -> Array:
        slope = by_inventories(grid.gradient(fields))
        q = to_inventories(c)
        profile = commit(game, lead, now, fields[:, :3])
        f, reward = outcome(game, lead, now, q, *profile)
        marginal, stay, best = slope[:, :3], slope[:, 3:6], slope[:, 6:]
        parts = [2.0 * game.penalty(np.array([now])) * q - np.einsum("mj,mij->mi", f, marginal)]
        parts.append(-(np.einsum("mj,mij->mi", f, stay) + reward))
        replies = np.empty_like(q)
        for i in range(3):
            controls = reply(game, lead, now, i, profile, best[:, i])
            drift, gained = outcome(game, lead, now, q, *controls)
            replies[:, i] = -(np.einsum("mj,mj->m", drift, best[:, i]) + gained[:, i])
        return np.concatenate([*parts, replies], axis=1)

    fields = solve_fields(
        grid, centre, game.horizon, end, change, game.knots, tolerance, "the equation of the best replies"
    )
    found = fields.read(0.0, to_coordinates(game.start))[0]
    return found[6:] - found[3:6]


def check_game(game: MakersTraders) -> None:
    """Raise ValueError unless the game is two makers with shares that clear, and one trader."""
    if (game.makers, game.traders) != (2, 1):
        raise ValueError(
            f"feedback equilibria cover 2 makers and 1 trader; found {game.makers} makers and {game.traders} traders."
        )
    if not game.share.clears:
        raise ValueError(
            "feedback equilibria need shares that sum to one: under the relative rule two makers who see inventories "
            "have no best reply (raising one's own ask multiplies the rival's fills without bound); "
            "use the logistic rule with sharpness 2 fill_decay."
        )


def leader(game: MakersTraders, ask: Array, bid: Array) -> int:
    """The maker whose quote the trader pays, the best one at the start of open-loop play [n, 2]; ValueError when both
    tie there."""
    quoted = (ask if game.direction[0] > 0 else bid)[0]
    if abs(quoted[0] - quoted[1]) < 1e-9 and not game.vwap:
        raise ValueError(
            f"both makers quote {quoted[0]:.6g} at the start, so the best quote has a kink on the path itself: "
            "give different inventories, or trader_price 'vwap'."
        )
    return int(np.argmin(quoted))


def without_bounds(game: MakersTraders) -> MakersTraders:
    """The game with quadratic costs extended smoothly to all rates, so that no kink cuts the box; `check_rates` tells
    whether that mattered."""
    return replace(game, min_rate=-np.inf, max_rate=np.inf) if isinstance(game.cost, QuadraticCost) else game


def check_rates(game: MakersTraders, t: Array, rate: Array) -> None:
    """Raise NoEquilibrium when a rate along the path [n, 1] leaves its bounds: the smooth local solution does not cover
    that."""
    low, high = game.bounds
    outside = np.maximum(low - rate, rate - high).max(axis=1)
    if outside.max() >= 0.0:
        at = int(np.argmax(outside))
        raise NoEquilibrium(
            f"the trader's rate {rate[at, 0]:.4g} at t = {t[at]:.4g} meets its bounds [{low[0]:g}, {high[0]:g}]: "
            "the smooth solution around the path does not cover truncated rates."
        )


def game_box(game: MakersTraders, nodes: int, radius: float | None) -> Box:
    """Box around the path: `nodes` in both differences, three (equal penalties) or as many in the common shift."""
    check_nodes(nodes)
    width = game_radius(game) if radius is None else float(radius)
    return box((nodes, nodes, 3 if game.homogeneous else nodes), np.full(3, width))


def check_nodes(nodes: int) -> None:
    """Raise ValueError unless the number of nodes is odd and at least 3."""
    if nodes < 3 or nodes % 2 == 0:
        raise ValueError(f"nodes: found {nodes}; an odd number of at least 3 is needed.")


def game_radius(game: MakersTraders) -> float:
    """Half-width of the box: the change of inventory that moves a marginal value by about three quarters of a markup,
    where quotes start to bend."""
    markup = float(game.share.markup(np.zeros((1, 2)))[0].mean())
    t = np.linspace(0.0, game.horizon, 101)
    steepness = float(2.0 * game.terminal.mean() + 2.0 * np.trapezoid(game.penalty(t).mean(axis=1), t))
    return 0.75 * markup / steepness if steepness > 0.0 else 1.0


def open_loop_start(game: MakersTraders) -> tuple[Path, int, Array, Array]:
    """Open-loop play of a game it covers: its path in coordinates, the leader, and times and rates [n], [n, 1] along
    it."""
    check_game(game)
    found = trajectory(game, np.linspace(0.0, game.horizon, 301), 1e-9)
    ask, bid, rate = game.controls(found.t, found.y)
    path = as_path(found.t, to_coordinates(found.q), to_coordinates(game.drift(found.t, found.y)[0]))
    return path, leader(game, ask, bid), found.t, rate


def react(game: MakersTraders, lead: int, now: float, slope: Array) -> tuple[Array, Array, Array]:
    """Feedback controls from the values' derivatives slope[m, i, j] = dV^i/dQ_j: asks [m, 2], bids [m, 2], rate [m,
    1]."""
    y = np.stack([slope[:, 0, 0] - slope[:, 0, 1], slope[:, 1, 1] - slope[:, 1, 0]], axis=1)
    both = stage_quotes(game.share, np.concatenate([y, -y]), game.max_distance)[0]
    ask, bid = both[: y.shape[0]], both[y.shape[0] :]
    return ask, bid, trader_rate(game, lead, now, ask, bid, slope[:, 2])


def commit(game: MakersTraders, lead: int, now: float, y: Array) -> tuple[Array, Array, Array]:
    """Open-loop controls at marginal values y [m, 3]."""
    both = stage_quotes(game.share, np.concatenate([y[:, :2], -y[:, :2]]), game.max_distance)[0]
    ask, bid = both[: y.shape[0]], both[y.shape[0] :]
    slope = np.concatenate([np.zeros_like(y[:, :2]), y[:, 2:]], axis=1)
    return ask, bid, trader_rate(game, lead, now, ask, bid, slope)


def reply(
    game: MakersTraders, lead: int, now: float, player: int, profile: tuple[Array, Array, Array], slope: Array
) -> tuple[Array, Array, Array]:
    """The profile with one player's controls replaced by its best ones, given its value's derivatives [m, 3]."""
    ask, bid, rate = profile
    if player == 2:
        return ask, bid, trader_rate(game, lead, now, ask, bid, slope)
    y = slope[:, player] - slope[:, 1 - player]
    return _best_quote(game, ask, player, y), _best_quote(game, bid, player, -y), rate


def _best_quote(game: MakersTraders, distance: Array, player: int, cost: Array) -> Array:
    """Quotes [m, 2] with one maker's replaced by its best reply to the other's, delta = cost + markup(delta)."""
    trial = distance.copy()
    if isinstance(game.share, Logistic):
        costs = distance.copy()
        costs[:, player] = cost
        trial[:, player] = game.share.best_reply(costs, distance)[:, player]
    else:
        for _ in range(60):
            markup, slope = game.share.markup(trial)
            step = (trial[:, player] - cost - markup[:, player]) / (1.0 - slope[:, player, player])
            trial[:, player] -= np.clip(step, -3.0 * markup[:, player], 3.0 * markup[:, player])
            if np.abs(step).max() < 1e-12 * (1.0 + np.abs(trial).max()):
                break
    trial[:, player] = np.clip(trial[:, player], -game.max_distance, game.max_distance)
    return trial


def trader_rate(game: MakersTraders, lead: int, now: float, ask: Array, bid: Array, slope: Array) -> Array:
    """Trader's rate [m, 1] at its value's derivatives [m, 3]: it counts what its trading does to the makers'
    inventories."""
    quoted = ask if game.direction[0] > 0 else bid
    share = game.share.shares(quoted)
    worth = slope[:, 2] - (share * slope[:, :2]).sum(axis=1) - game.direction[0] * _paid(game, lead, quoted)
    low, high = game.bounds
    return stage_rates(game.cost, np.full(worth.size, now), worth[:, None], low, high)[0]


def _paid(game: MakersTraders, lead: int, quoted: Array) -> Array:
    return (game.share.shares(quoted) * quoted).sum(axis=1) if game.vwap else quoted[:, lead]


def outcome(
    game: MakersTraders, lead: int, now: float, q: Array, ask: Array, bid: Array, rate: Array
) -> tuple[Array, Array]:
    """Drift [m, 3] of the inventories and running rewards [m, 3] at given controls."""
    t = np.full(q.shape[0], now)
    into_ask, into_bid = game.flows(t, rate)
    sold = into_ask[:, None] * game.share.shares(ask)
    bought = into_bid[:, None] * game.share.shares(bid)
    paid = (
        game.direction[0] * _paid(game, lead, ask if game.direction[0] > 0 else bid) * rate[:, 0]
        + game.cost.value(t, rate)[:, 0]
    )
    reward = np.concatenate([ask * sold + bid * bought, -paid[:, None]], axis=1) - game.penalty(t) * q**2
    return np.concatenate([bought - sold, rate], axis=1), reward


def follow(game: MakersTraders, lead: int, fields: Fields, tolerance: float) -> tuple[Path, Array]:
    """The path that feedback play takes from the start, and the times at which it is stored."""
    times = np.union1d(np.linspace(0.0, game.horizon, 101), game.knots)

    def slope(now: float, c: Array) -> Array:
        derivative = by_inventories(fields.read(now, c)[1])[None]
        ask, bid, rate = react(game, lead, now, derivative)
        return to_coordinates(outcome(game, lead, now, to_inventories(c)[None], ask, bid, rate)[0][0])

    start = to_coordinates(game.start)
    found = solve_ivp(slope, (0.0, game.horizon), start, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=times)
    c = found.y.T
    speed = np.stack([slope(now, row) for now, row in zip(times, c, strict=True)])
    return as_path(times, c, speed), times


def order(game: MakersTraders, lead: int, ask: Array, bid: Array) -> list[Condition]:
    """By how much the quote that the trader pays is the best one along a path [n, 2]; no condition where it pays the
    average."""
    if game.vwap:
        return []
    quoted = ask if game.direction[0] > 0 else bid
    least = float((quoted[:, 1 - lead] - quoted[:, lead]).min())
    return [Condition("the best quote stays with one maker", least >= 0.0, least, "least lead >= 0")]
