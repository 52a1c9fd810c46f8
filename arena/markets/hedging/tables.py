"""The hedging market's parameters as the plain arrays its kernels read, and the names of what stands in them.

Arguments of the kernels, the same in every module of this market; S slots, B games:

    size, number          sizes and switches, int64 [SIZES]; scalars, float64 [NUMBERS]: by the names below
    start                 float64 [contracts at the start, 4]: strike, put, steps to expiry, quantity
    orders                float64 [3, longest list]: moneyness, steps to expiry, put of the orders
    cumulated             float64 [steps + longest life + 1]: variance of ln S from time 0 to each instant
    effective             float64 [longest life + 1, nodes, 2]: see `volatility.table`; empty: marks follow `cumulated`
    ahead                 float64 [longest life + 1]: see `moves.deviations`; empty where marks follow `effective`
    bounds                float32 [2, D]: of the observation's columns
    seeds                 uint64 [B or W]: the games' seeds, mixed by `draws.mix_seeds`
    state                 float64 [R, >= B]: rows by the names in `columns`
    action, observation   float64 [K, >= B], float32 [D, >= B]
    step                  the index of the decision, from 0
    lo, hi                the block: games lo to hi - 1; W = hi - lo, and a row is a slice [W] of an array
    work                  scratch rows [.., W]; the kernel says how many and what they hold
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from arena.layout import Array
from arena.markets.hedging import columns
from arena.markets.hedging.settings import HedgingSettings
from arena.markets.hedging.volatility import cumulated, random_step, table

# fmt: off
(SLOTS, STEPS, RANDOM_VOLATILITY, EFFECTIVE, AROUND_DELTA, HAS_CENTRE, HAS_WIDTH, UNWIND, ARRIVE, MONEYNESSES, EXPIRIES,
 RIGHTS, GREEKS, SHOW_HEDGE, SHOW_LIVE, BUCKETS, SIZES) = range(17)
"""Entries of `size`."""
(DT, ROOT_YEARS, SPOT_START, VOL_MEAN, VOL_PERSISTENCE, VOL_SHOCK, VOL_CORRELATION, VOL_START, COST, CENTRE_LOW,
 CENTRE_WIDTH, WIDTH_LOW, WIDTH_WIDTH, HALF_AVERSION, BAND, ORDERS_PER_STEP, STRIKE_STEP, SELL_SHARE, ORDER_EDGE,
 NODE_FIRST, NODE_STEP, NUMBERS) = range(22)
"""Entries of `number`; the edges of the buckets, in steps, follow."""
# fmt: on


class Tables(NamedTuple):
    """Parameters of one market as arrays, in the order in which the kernels take them."""

    size: np.ndarray
    number: Array
    start: Array
    orders: Array
    cumulated: Array
    effective: Array
    bounds: np.ndarray


@lru_cache(maxsize=64)
def tables(market: HedgingSettings) -> Tables:
    """Packs a market's parameters; cached, for markets are immutable."""
    book, hedge, clock, orders = market.book, market.hedge, market.clock, market.arrivals
    first, distance, effective = table(market)
    vol, aversion = random_step(market), market.risk.variation_aversion
    size = np.array(
        [
            book.slots,
            clock.steps,
            vol is not None,
            len(effective) > 0,
            hedge.around == "delta",
            hedge.centre[0] < hedge.centre[1],
            hedge.width[0] < hedge.width[1],
            hedge.unwind,
            orders is not None,
            len(orders.moneyness) if orders else 0,
            len(orders.expiries) if orders else 0,
            len(orders.rights) if orders else 0,
            market.observe.greeks,
            market.observe.hedge,
            orders is not None or len(book.start) > 1,
            len(market.observe.buckets) if market.observe.greeks else 0,
        ],
        dtype=np.int64,
    )
    number = np.array(
        [
            clock.dt,
            np.sqrt(clock.dt * clock.years),
            market.underlying.spot,
            *((vol.mean, vol.persistence, vol.shock, vol.correlation, vol.initial_spread) if vol else (0.0,) * 5),
            hedge.cost,
            hedge.centre[0],
            hedge.centre[1] - hedge.centre[0],
            hedge.width[0],
            hedge.width[1] - hedge.width[0],
            0.5 * aversion,
            1.5 * hedge.cost / aversion if aversion > 0 else 0.0,
            orders.rate * clock.dt if orders else 0.0,
            orders.strike_step if orders else 1.0,
            orders.sell_share if orders else 0.0,
            orders.edge if orders else 0.0,
            first,
            distance,
            *(edge / clock.dt for edge in market.observe.buckets),
        ]
    )
    lists: tuple[list[float], ...] = ([], [], [])
    if orders:
        terms = [float(market.steps_of(one)) for one in orders.expiries]
        lists = (list(orders.moneyness), terms, [float(one == "put") for one in orders.rights])
    longest = max(len(one) for one in lists)
    start = [(one.strike, float(one.right == "put"), market.steps_of(one.expiry), one.quantity) for one in book.start]
    seen = columns.observation(market)
    return Tables(
        size=size,
        number=number,
        start=np.array(start, dtype=float).reshape(len(start), 4),
        orders=np.array([one + [0.0] * (longest - len(one)) for one in lists], dtype=float).reshape(3, longest),
        cumulated=cumulated(market),
        effective=effective,
        bounds=np.stack([seen.low, seen.high]).astype(np.float32),
    )
