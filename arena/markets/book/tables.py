"""A market's parameters as plain arrays, the form that kernels take.

Arguments of the kernels (a seat's number is its owner's less 1):

    own              one game's state, named in `columns`
    table, terms     the market's numbers: an array of one record `TERMS`, and the record itself
    base             mu [12], 1/s
    rate             decay of the flow's components [K, 12], 1/s
    jump             what an event adds to them [12, K, 12]
    reach            and to their sums [12, K, 2]: over all but the in-spread orders, and over those
    factor           in-spread factor by spread in ticks
    seats            a record for each seat, `SEAT`
    option           event of a role's option [2, 13]; an executor's are those of a buyer
    seeds            mixed seed of each game
"""

import numpy as np
from numba import njit

from arena.layout import Array
from arena.markets.book import columns
from arena.markets.book.events import NAMES, POST_INSIDE, TYPES
from arena.markets.book.settings import BookSettings, Geometric
from arena.markets.parts.special import exp, log

WHOLE = (
    "makers", "seats", "components", "common", "plain", "room", "slots", "at_history", "at_seats", "at_slots",
    "refill", "steps", "fixed_turns", "left_penalty", "see_cash", "see_spread", "see_position", "see_intensity",
    "see_history", "see_places", "maker_columns", "executor_columns",
    "maker_options", "start_bid", "start_ask", "start_top", "start_deep",
)  # fmt: skip
REAL = (
    "dt", "warm_up", "refill_log", "fee_maker", "fee_taker", "fee_message", "fee_liquidation", "bonus_acting",
    "bonus_quoting", "malus_holding",
)  # fmt: skip
_fields = [*((name, np.int64) for name in WHOLE), *((name, np.float64) for name in REAL)]
TERMS = np.dtype((np.record, np.dtype(_fields, align=True)))
"""Numbers of the market, read by name. `common`: all targets of a component share its rate; `plain`: and nothing
inhibits; `refill` 0: geometric, with `refill_log` = ln(1 - 1/mean); places `at_...` are those of `columns.places`."""
_terms = ("excites", "cap", "eta", "kappa", "side", "parent")
SEAT = np.dtype((np.record, np.dtype([(name, np.float64) for name in _terms], align=True)))
"""Terms of a seat: which orders excite (0 none, 1 trades, 2 all), cap (-1: none), penalties; an executor's side (1
buys, -1 sells, 0 a coin decides) and the lots of its order (a maker's are 0)."""
SPREADS = 1024
"""Spreads for which the in-spread factor is tabulated; wider ones have the last one's."""

Packed = tuple[np.ndarray, Array, Array, Array, Array, Array, np.ndarray, np.ndarray]


@njit(cache=True)
def _powers(mean, power, out):
    for s in range(2, out.shape[0]):
        out[s] = exp(power * log(s / mean))


@njit(cache=True)
def _log(x):
    return log(x)


def in_spread_factor(market: BookSettings) -> Array:
    """f(spread) for spreads of 0, 1, 2, ... ticks, [1024]; by the house's own exp and log."""
    out = np.zeros(SPREADS)
    _powers(market.flow.inside.mean, market.flow.inside.power, out)
    return out


def packed(market: BookSettings) -> Packed:
    """The arrays of a market, in the order of the kernels' arguments."""
    flow, depth, makers, seen = market.flow.components(), market.depth, market.makers, market.observe
    at, seats = columns.places(market), makers.count + len(market.executors)
    signed = bool((flow.jump < 0).any())
    geometric = isinstance(depth.refill, Geometric)
    refill = 0 if geometric else int(depth.refill)  # type: ignore[arg-type]
    # ln(1 - 1/mean) by the house's own logarithm; a mean of 1 is a queue of one
    mean = depth.refill.mean if isinstance(depth.refill, Geometric) else 2.0
    fees, shaping, clock = market.fees, makers.shaping, market.clock
    whole = (
        makers.count, seats, len(flow.rate), int(flow.common), int(flow.common and not signed), depth.room,
        market.slots,
        *map(int, at), refill, clock.steps, int(market.turns == "fixed"), int(makers.penalty == "left"), int(seen.cash),
        int(seen.spread), int(seen.position), int(seen.intensities), int(seen.history), seen.places,
        columns.observation(market, "maker").size if makers.count else 0,
        columns.observation(market, "executor").size if market.executors else 0,
        len(columns.maker_choice(market)), depth.bid, depth.ask, *depth.queues,
    )  # fmt: skip
    real = (
        clock.dt, market.warm_up, float(_log(1.0 - 1.0 / mean)) if mean > 1.0 else -1e300, fees.maker, fees.taker,
        fees.message, fees.liquidation, shaping.acting, shaping.quoting, shaping.holding,
    )  # fmt: skip
    option = np.full((2, TYPES + 1), -1, np.int64)
    for i, name in enumerate(columns.maker_choice(market).options[:-1]):
        option[0, i] = NAMES.index(name)
    option[1, :3] = [NAMES.index(name) for name in ("MO_a", "LO_b_T", "CO_b_T")]
    inside = [POST_INSIDE, TYPES - 1 - POST_INSIDE]
    reach = np.stack([np.delete(flow.jump, inside, axis=2).sum(axis=2), flow.jump[:, :, inside].sum(axis=2)], axis=2)
    table = np.array([(*whole, *real)], TERMS)
    return table, market.flow.rates, flow.rate, flow.jump, reach, in_spread_factor(market), _seats(market), option


def _seats(market: BookSettings) -> np.ndarray:
    modes, makers = {"none": 0, "trades": 1, "all": 2}, market.makers
    cap = -1 if makers.cap is None else makers.cap
    rows = [
        (modes[makers.excites], cap, makers.running_penalty, makers.terminal_penalty, 0, 0) for _ in range(makers.count)
    ]
    sides = {"buy": 1, "sell": -1, "coin": 0}
    rows += [
        (modes[one.excites], -1, one.running_penalty, one.terminal_penalty, sides[one.side], one.size)
        for one in market.executors
    ]
    return np.array(rows, SEAT)
