"""Two makers and one trader at given values: what they do, what it earns, and when the collocation around a path covers
them.

The equations stand in feedback.py. Controls at m nodes: asks [m, 2], bids [m, 2], rate [m, 1]; derivatives slope[m, i,
j] = dV^i/dQ_j."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.makers_traders.costs import QuadraticCost, stage_rates
from arena.solvers.makers_traders.game import MakersTraders
from arena.solvers.makers_traders.open_loop import trajectory
from arena.solvers.makers_traders.shares import Logistic, stage_quotes
from arena.solvers.makers_traders.tube import Box, Curve, as_curve, box, to_coordinates
from arena.solvers.solution import Condition


def check_game(game: MakersTraders) -> None:
    """Raises ValueError unless the game is two makers with shares that clear, and one trader."""
    if (game.makers, game.traders) != (2, 1):
        raise ValueError(
            f"feedback equilibria cover 2 makers and 1 trader; found {game.makers} makers and {game.traders} traders"
        )
    if not game.share.clears:
        raise ValueError(
            "feedback equilibria need shares that sum to one: under the relative rule two makers who see inventories "
            "have no best reply (raising one's own ask multiplies the rival's fills without bound); "
            "use the logistic rule with sharpness 2 fill_decay"
        )


def leader(game: MakersTraders, ask: Array, bid: Array) -> int:
    """The maker whose quote the trader pays, the best one at the start of open-loop play [n, 2]; raises ValueError when
    both tie there."""
    quoted = (ask if game.direction[0] > 0 else bid)[0]
    if abs(quoted[0] - quoted[1]) < 1e-9 and not game.vwap:
        raise ValueError(
            f"both makers quote {quoted[0]:.6g} at the start, so the best quote has a kink on the path itself: "
            "give different inventories, or trader_price 'vwap'"
        )
    return int(np.argmin(quoted))


def without_bounds(game: MakersTraders) -> MakersTraders:
    """The game with quadratic costs extended smoothly to all rates, so that no kink cuts the box; `check_rates` tells
    whether that mattered."""
    return replace(game, min_rate=-np.inf, max_rate=np.inf) if isinstance(game.cost, QuadraticCost) else game


def check_rates(game: MakersTraders, t: Array, rate: Array) -> None:
    """Raises NoEquilibrium when a rate along the path [n, 1] leaves its bounds: the smooth local solution does not
    cover that."""
    low, high = game.bounds
    outside = np.maximum(low - rate, rate - high).max(axis=1)
    if outside.max() >= 0.0:
        at = int(np.argmax(outside))
        raise NoEquilibrium(
            f"the trader's rate {rate[at, 0]:.4g} at t = {t[at]:.4g} meets its bounds [{low[0]:g}, {high[0]:g}]: "
            "the smooth solution around the path does not cover truncated rates"
        )


def game_box(game: MakersTraders, nodes: int, radius: float | None) -> Box:
    """Box around the path: `nodes` in both differences, three (equal penalties) or as many in the common shift."""
    check_nodes(nodes)
    width = game_radius(game) if radius is None else float(radius)
    return box((nodes, nodes, 3 if game.homogeneous else nodes), np.full(3, width))


def check_nodes(nodes: int) -> None:
    """Raises ValueError unless the number of nodes is odd and at least 3."""
    if nodes < 3 or nodes % 2 == 0:
        raise ValueError(f"nodes: found {nodes}; an odd number of at least 3 is needed")


def game_radius(game: MakersTraders) -> float:
    """Half-width of the box: the change of inventory that moves a marginal value by about three quarters of a markup,
    where quotes start to bend."""
    markup = float(game.share.markup(np.zeros((1, 2)))[0].mean())
    t = np.linspace(0.0, game.horizon, 101)
    steepness = float(2.0 * game.terminal.mean() + 2.0 * np.trapezoid(game.penalty(t).mean(axis=1), t))
    return 0.75 * markup / steepness if steepness > 0.0 else 1.0


def open_loop_start(game: MakersTraders) -> tuple[Curve, int, Array, Array]:
    """Open-loop play of a game it covers: its path in coordinates, the leader, and times and rates [n], [n, 1] along
    it."""
    check_game(game)
    found = trajectory(game, np.linspace(0.0, game.horizon, 301), 1e-9)
    ask, bid, rate = game.controls(found.t, found.y)
    path = as_curve(found.t, to_coordinates(found.q), to_coordinates(game.drift(found.t, found.y)[0]))
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


def order(game: MakersTraders, lead: int, ask: Array, bid: Array) -> list[Condition]:
    """By how much the quote that the trader pays is the best one along a path [n, 2]; no condition where it pays the
    average."""
    if game.vwap:
        return []
    quoted = ask if game.direction[0] > 0 else bid
    least = float((quoted[:, 1 - lead] - quoted[:, lead]).min())
    return [Condition("the best quote stays with one maker", least >= 0.0, least, "least lead >= 0")]
