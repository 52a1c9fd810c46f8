"""Two makers and one trader who react to all inventories: feedback Nash equilibrium.

Values V^i(t, Q1, Q2, Qe) solve, with f the drift of the inventories and r^i the running reward (both at the controls
below),

    -V^i_t = f . grad V^i + r^i ,     V^i(T) = -A^i Q_i^2
    maker i quotes the stage game (shares.py) at y^i = d_i V^i - d_j V^i   (j the other maker: it sells what i does not)
    the trader's net worth of a share is d_e V^e - zeta_1 d_1 V^e - zeta_2 d_2 V^e, minus the ask (buyer) / plus the bid

They are solved by collocation on a box that moves with the path (tube.py). The trader pays the quote of the maker who
is best at the start of open-loop play, as long as that lasts; the order along the path is a condition of the solution.

The relative rule is refused: with two makers who see inventories, raising one's own ask multiplies the rival's fills,
and the best reply is unbounded; the normalised rule, logistic with sharpness 2 fill_decay, is the well-posed game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.makers_traders.game import MakersTraders
from arena.solvers.makers_traders.open_loop import conditions_along, output_times
from arena.solvers.makers_traders.stage import (
    check_nodes,
    check_rates,
    game_box,
    open_loop_start,
    order,
    outcome,
    react,
    without_bounds,
)
from arena.solvers.makers_traders.tube import (
    Box,
    Curve,
    Fields,
    as_curve,
    by_inventories,
    solve_fields,
    to_coordinates,
    to_inventories,
)
from arena.solvers.solution import Player, Solution


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
        slope = by_inventories(fields.read(now, to_coordinates(given))[1])
        return np.concatenate(react(game, lead, now, slope), axis=1)

    checks = [*conditions_along(bounded, times, ask, bid, rate), *order(game, lead, ask, bid)]
    theorem = (
        "none: the paper's theorems are about open-loop equilibria; this is a smooth local solution of the coupled "
        "HJB equations"
    )
    return Solution("makers_traders", "feedback", theorem, checks, times, players, diagnostics, policy)


def _settle(
    game: MakersTraders, lead: int, grid: Box, centre: Curve, tolerance: float
) -> tuple[Fields, Curve, int, float]:
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
            "larger radius"
        )
    return fields, path, rounds, moved


def follow(game: MakersTraders, lead: int, fields: Fields, tolerance: float) -> tuple[Curve, Array]:
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
    return as_curve(times, c, speed), times
