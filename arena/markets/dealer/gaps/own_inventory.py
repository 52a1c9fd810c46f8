"""Best responses to opponents who follow the clock, with random orders: dynamic programming on one's own inventory.

Against quotes and rates that are functions of time a player's orders are Poisson numbers whose means depend on its
own controls, and nothing but its own inventory matters. On the lattice q_0 + eta k, with W the next value less the
penalties on where the step ends, N_a and N_b the orders at its ask and bid,

    V(t, q) = max over (ask, bid) of ask eta E N_a + bid eta E N_b - phi h/2 q^2 + E W(q - eta N_a + eta N_b)

exactly: sums over the numbers of orders, and Newton's method on the first-order conditions ask = -E dW/eta +
1/(c (1 - share)) (Guo & Jin's stage game, section 5, with differences in place of derivatives). A trader's rate solves
2 beta rate = E dW/eta - paid. Covered are logistic shares, any number of makers, at most one trader.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import poisson

from arena.game import Game
from arena.gaps.profile import Profile, Search, SeatGain, certain
from arena.layout import Array
from arena.markets.dealer.gaps.twin import FluidGame, moves, one_quiet_asset
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act

ORDERS = 40
"""Most orders of a kind that are counted in a step: with means of a few the rest is below 1e-20."""
TOLERANCE = 1e-11


class Schedule(NamedTuple):
    """What everybody does by the clock: distances [T, M] and the trader's rate [T], 0 without one."""

    ask: Array
    bid: Array
    rate: Array


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether everybody follows the clock in a market that is covered, from one start."""
    own = market.executors
    fine = (
        market.flow.orders == "poisson"
        and market.flow.rule.kind == "logistic"
        and market.makers.count > 1
        and len(own) <= 1
        and one_quiet_asset(market)
        and market.makers.inventory_limit is None
        and not moves(market)
        and all(not one.stop_at_target and one.side != "coin" for one in own)
        and all(isinstance(one.size, float) for one in own)
        and not hasattr(market.makers.initial_inventory, "spread")
        and market.flow.lot * ORDERS > 4.0 * market.clock.dt * (market.arrival_rates().max() + _most(market))
    )
    return fine and _blind(market, profile.acts)


def _most(market: DealerMarket) -> float:
    return max((one.rate[1] for one in market.executors), default=0.0)


def _blind(market: DealerMarket, acts: Mapping[str, Act]) -> bool:
    """Whether acts give the same answer whatever they see besides the time left and what they held at the start."""
    rng = np.random.default_rng(0)
    for role in market.roles:
        layout = role.observation
        fixed = [layout.slice(one.name) for one in layout if one.name in ("time_left",) or "initial" in one.name]
        seen = np.tile(layout.centre, (8, 1))
        moved = seen + 0.3 * layout.scale * rng.normal(size=seen.shape)
        for columns in fixed:
            moved[:, columns] = seen[:, columns]
        none = np.zeros((8, role.action.size))
        for seat in role.agents:
            first, second = (np.asarray(acts[seat](one.astype(np.float32), none)) for one in (seen, moved))
            if np.abs(first - second).max() > 1e-9:
                return False
    return True


def schedule(market: DealerMarket, acts: Mapping[str, Act]) -> Schedule:
    """The controls of every step, read off one game."""
    game = Game(market, 1)
    seen = game.reset(np.zeros(1, np.uint64))
    makers, rows = market.makers, []
    for _ in range(game.steps):
        controls: dict[str, list[Array]] = {"maker": [], "executor": []}
        for name, role in game.roles.items():
            for k, seat in enumerate(role.agents):
                action = np.clip(acts[seat](seen[name][:, k], np.zeros((1, role.action.size))), -1.0, 1.0)
                game.action[name][:, k] = action
                controls[name].append(role.numbers.from_unit(action)[0])
        half, skew = np.array(controls["maker"]).T
        rate = np.clip(controls["executor"][0], *market.executors[0].rate) if market.executors else np.zeros(1)
        bid, ask = makers.distances(half, skew)
        rows.append(np.concatenate([ask, bid, rate]))
        game.advance()
    table, count = np.array(rows), makers.count
    return Schedule(table[:, :count], table[:, count : 2 * count], table[:, -1])


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Exact gains of all seats."""
    return certain(responses(market, profile.acts), "own inventory")


def responses(market: DealerMarket, acts: Mapping[str, Act]) -> dict[str, float]:
    """The gain of each seat's best response from the market's start."""
    plan, game = schedule(market, acts), FluidGame(market)
    start, out = market.mean_inventories(), {}
    for m, seat in enumerate(market.maker_names):
        best, stay = (_maker(market, game, plan, m, start[m], free) for free in (True, False))
        out[seat] = best - stay
    for seat, one in zip(market.executor_names, market.executors, strict=True):
        assert isinstance(one.size, float)
        best, stay = (_trader(market, game, plan, one.size, free) for free in (True, False))
        out[seat] = best - stay
    return out


def _shares(game: FluidGame, sharpness: float, distance: Array) -> Array:
    weight = np.exp(game.offset.numpy() - sharpness * (distance - distance.min(axis=-1, keepdims=True)))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def _expected(after: Array, down: Array, up: Array) -> Array:
    """E of the values around each state [S, 2 ORDERS + 1] when `down` [S] and `up` [S] are the means of the moves."""
    n = np.arange(ORDERS + 1)
    falls, rises = poisson.pmf(n, down[:, None]), poisson.pmf(n, up[:, None])
    by = sliding_window_view(after, ORDERS + 1, axis=1)  # [S, ORDERS + 1, ORDERS + 1]: net of `falls`, then `rises`
    return np.asarray(np.einsum("sa,sb,sab->s", falls[:, ::-1], rises, by))


def _around(values: Array) -> Array:
    """Windows [S, 2 ORDERS + 1] of values on the inner S of S + 2 ORDERS + 2 states, one more state on each side."""
    return np.asarray(sliding_window_view(values, 2 * ORDERS + 1))


def _maker(market: DealerMarket, game: FluidGame, plan: Schedule, m: int, start: float, free: bool) -> float:
    """A maker's value at the start: of the best quotes, or of the plan's own."""
    lot, dt, c = market.flow.lot, game.dt, market.flow.rule.numbers()[0]
    way = 0.0 if not market.executors else (1.0 if market.executors[0].side == "buy" else -1.0)
    half = int(np.ceil(8.0 * game.horizon * (market.arrival_rates().max() + plan.rate.max()) ** 0.5 / lot**0.5)) + 40
    q = start + lot * np.arange(-half - ORDERS - 1, half + ORDERS + 2, dtype=np.float64)
    inner = q[ORDERS + 1 : -ORDERS - 1]
    value = np.zeros(len(q))
    for t in range(game.steps - 1, -1, -1):
        weight = 0.5 * dt * float(game.running[t, m]) + (float(game.terminal[m]) if t + 1 == game.steps else 0.0)
        after = value - weight * q**2
        here, below, above = _around(after[1:-1]), _around(after[:-2]), _around(after[2:])
        flow = game.noise[t].numpy() + dt * plan.rate[t] * np.array([way < 0, way > 0])
        ask, bid = np.tile(plan.ask[t], (len(inner), 1)), np.tile(plan.bid[t], (len(inner), 1))
        for _ in range(60 if free else 0):
            means = [flow[1] / lot * _shares(game, c, ask)[:, m], flow[0] / lot * _shares(game, c, bid)[:, m]]
            now = _expected(here, *means)
            worth = [(_expected(below, *means) - now) / lot, (_expected(above, *means) - now) / lot]
            moved = 0.0
            for distance, gain in ((ask, worth[0]), (bid, worth[1])):
                share = _shares(game, c, distance)[:, m]
                step = (distance[:, m] + gain - 1.0 / (c * (1.0 - share))) * (1.0 - share)
                distance[:, m] -= step
                moved = max(moved, float(np.abs(step).max()))
            if moved < TOLERANCE:
                break
        sold, bought = flow[1] * _shares(game, c, ask)[:, m], flow[0] * _shares(game, c, bid)[:, m]
        earned = ask[:, m] * sold + bid[:, m] * bought - 0.5 * dt * float(game.running[t, m]) * inner**2
        value = _extended(earned + _expected(here, sold / lot, bought / lot), q, inner)
    return float(value[len(q) // 2])


def _trader(market: DealerMarket, game: FluidGame, plan: Schedule, size: float, free: bool) -> float:
    """The trader's value at the start: of the best rates, or of the plan's own."""
    lot, dt, own = market.flow.lot, game.dt, market.executors[0]
    quoted = plan.ask if own.side == "buy" else plan.bid
    share = _shares(game, market.flow.rule.numbers()[0], quoted)
    paid = quoted.min(axis=1) if own.price == "best" else (share * quoted).sum(axis=1)
    half = int(np.ceil(2.0 * size / lot)) + 40
    left = size + lot * np.arange(-half - ORDERS - 1, half + ORDERS + 2, dtype=np.float64)
    inner = left[ORDERS + 1 : -ORDERS - 1]
    value, none = np.zeros(len(left)), np.zeros(len(inner))
    for t in range(game.steps - 1, -1, -1):
        weight = 0.5 * dt * float(game.x_running[t, 0]) + (float(game.x_terminal[0]) if t + 1 == game.steps else 0.0)
        after = value - weight * left**2
        here, below = _around(after[1:-1]), _around(after[:-2])
        impact, rate = float(game.impact[t, 0]), np.full(len(inner), plan.rate[t])
        for _ in range(60 if free else 0):
            mean = rate * dt / lot
            worth = (_expected(below, mean, none) - _expected(here, mean, none)) / lot
            new = np.clip((worth - paid[t]) / (2.0 * impact), *own.rate)
            moved, rate = float(np.abs(new - rate).max()), new
            if moved < TOLERANCE:
                break
        cost = dt * rate * (paid[t] + impact * rate) + 0.5 * dt * float(game.x_running[t, 0]) * inner**2
        value = _extended(_expected(here, rate * dt / lot, none) - cost, left, inner)
    return float(value[len(left) // 2])


def _extended(values: Array, outer: Array, inner: Array) -> Array:
    """Values on all states: outside the inner ones a parabola goes on through the last three."""
    ends: Sequence[Array] = [inner[:3], inner[-3:]]
    known: Sequence[Array] = [values[:3], values[-3:]]
    first, last = (np.polyval(np.polyfit(x - x[1], v, 2), outer - x[1]) for x, v in zip(ends, known, strict=True))
    out = np.where(outer < inner[0], first, last)
    out[ORDERS + 1 : -ORDERS - 1] = values
    return np.asarray(out)
