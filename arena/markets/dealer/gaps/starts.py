"""From which starts and in which flavour games are judged whose best responses can be computed.

A start is where and when a game begins. The headline is the mean over drawn starts where a scenario draws them, else
the one start; `views` add the nominal start (the means of the draws), the sub-games that begin later along the nominal
path, and both flavours: `closed loop`, opponents react, and `open loop`, opponents' paths are replayed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from arena.game import Game
from arena.gaps.profile import Search, SeatGain
from arena.markets.dealer.gaps.gradient_response import CLOSED, FLAVOURS, Players, StartStates, follow
from arena.markets.dealer.gaps.twin import FluidGame, State
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import Start
from arena.rollout import seeds_of

STARTS = 41
"""Stream of game seeds: the drawn starts."""
DRAWN, LATER = 32, 20
"""How many starts are drawn, and at most how many sub-games are looked at."""
Views = Mapping[str, tuple[float, float]]
Gains = Callable[[StartStates, str], NDArray[np.float64]]
"""Gains [starts, seats] from some starts in a flavour."""
NOMINAL, MEAN, SUBGAMES = "nominal start", "drawn starts", "sub-games"


def drawn(market: DealerMarket) -> bool:
    """Whether games begin differently: inventories, sizes or sides of orders are drawn."""
    start = market.makers.initial_inventory
    spread = [start.spread] if isinstance(start, Start) else []
    spread += [one.size.spread for one in market.executors if isinstance(one.size, Start)]
    return any(spread) or any(one.side == "coin" for one in market.executors)


def start_is_known(market: DealerMarket) -> bool:
    """Whether who deviates knows where a game began: all begin alike, or everybody sees all inventories."""
    seen = (market.makers.observe.rivals, market.executors_observe.rivals if market.executors else "inventory")
    return not drawn(market) or seen == ("inventory", "inventory")


def judged(
    game: FluidGame, players: Players, search: Search, engine: str, own: Gains, reference: Gains
) -> list[SeatGain]:
    """Gains of all seats from every kind of start; `own` and `reference` are the profile's and the naive profile's."""
    begin = {NOMINAL: at_zero(nominal(game))}
    if drawn(game.market):
        starting = Game(game.market, DRAWN)
        starting.reset(seeds_of(search.seed, DRAWN, STARTS))
        begin[MEAN] = at_zero(game.read(starting.state))
    headline = list(begin)[-1]
    if not search.views:
        gains = own(begin[headline], CLOSED)
        return seat_gains(game.seats, gains, search.confidence, [{} for _ in game.seats], engine)
    begin[SUBGAMES] = later(follow(game, players, begin[NOMINAL]).states)
    together, parts = joined(list(begin.values())), np.cumsum([0, *(len(one) for one in begin.values())])
    where = {name: slice(parts[i], parts[i + 1]) for i, name in enumerate(begin)}
    views: list[dict[str, tuple[float, float]]] = [{} for _ in game.seats]
    found = {}
    for flavour in FLAVOURS:
        found[flavour], known = own(together, flavour), reference(together, flavour)
        for name, rows in where.items():
            for seat, view in enumerate(views):
                view[f"{flavour}, {name}"] = (
                    float(found[flavour][rows, seat].mean()),
                    float(known[rows, seat].mean()),
                )
    return seat_gains(game.seats, found[CLOSED][where[headline]], search.confidence, views, engine)


def seat_gains(
    seats: Sequence[str],
    gains: NDArray[np.float64],
    confidence: float,
    views: Sequence[Views],
    engine: str,
    error: NDArray[np.float64] | None = None,
) -> list[SeatGain]:
    """One answer per seat from gains [starts, seats]; the interval is that of the mean over starts, plus the error."""
    out, count = [], len(gains)
    for i, seat in enumerate(seats):
        own = gains[:, i]
        se = float(own.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
        half = float(stats.t.ppf(0.5 + 0.5 * confidence, count - 1)) * se if count > 1 else 0.0
        half += 0.0 if error is None else float(error[i])
        mean, sampled = float(own.mean()), own if count > 1 else None
        low, high = mean - half, mean + half
        out.append(SeatGain(seat, mean, se, low, high, "exact", engine, differences=sampled, views=views[i]))
    return out


def nominal(game: FluidGame) -> State:
    """The start without its draws: mean inventories and orders; a coin falls on buying."""
    market = game.market
    sign = {"buy": 1.0, "sell": -1.0, "coin": 1.0}
    orders = [sign[one.side] * lots for one, lots in zip(market.executors, market.mean_orders(), strict=True)]
    return game.start(np.reshape(market.mean_inventories(), (1, -1)), np.reshape(orders, (1, -1)))


def at_zero(state: State) -> StartStates:
    """Games that begin with the clock."""
    return StartStates(state, torch.zeros(len(state.remaining), dtype=torch.long))


def later(states: Sequence[State]) -> StartStates:
    """Sub-games that begin on a path after its first step, at most `LATER`, spread evenly."""
    steps = np.unique(np.linspace(1, len(states) - 1, LATER).round().astype(int)) if len(states) > 1 else [0]
    parts = [states[k] for k in steps]
    return StartStates(State(*(torch.cat(rows) for rows in zip(*parts, strict=True))), torch.as_tensor(steps))


def joined(starts: Sequence[StartStates]) -> StartStates:
    """Several sets of starts as one."""
    states = [one.state for one in starts]
    whole = State(*(torch.cat(rows) for rows in zip(*states, strict=True)))
    return StartStates(whole, torch.cat([one.first for one in starts]))
