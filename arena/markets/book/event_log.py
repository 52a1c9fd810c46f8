"""Every background event of a game without seats, with its time: what calibration reads, and what checks the flow.

Arguments of the kernels: see `tables` and `flow`; besides these
    mixed            mixed seed of the game
    own              the game's state
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.markets.book.events import TYPES
from arena.markets.book.flow import flow
from arena.markets.book.kernel import FLOW, WARMING, open_book
from arena.markets.book.market import Market
from arena.markets.book.tables import packed
from arena.markets.parts import draws


class EventLog(NamedTuple):
    """Background events in their order: seconds after the warm-up, type 0 to 11, and the spread just before, ticks."""

    times: Array
    types: NDArray[np.int64]
    spreads: Array


@njit(cache=True, error_model="numpy")
def _listen(table, base, rate, jump, reach, factor, mixed, stop, own, log_rows):
    terms, scratch, sums = table[0], np.empty(TYPES), np.empty((rate.shape[0], 3))
    open_book(own, terms)
    warming, playing = draws.place(mixed, draws.key(WARMING, 0, 0)), draws.place(mixed, draws.key(FLOW, 0, 0))
    first, last = -terms.warm_up, 0.0
    flow(own, terms, base, rate, jump, reach, factor, scratch, sums, warming, first, last, np.empty((0, 3)))
    return flow(own, terms, base, rate, jump, reach, factor, scratch, sums, playing, last, stop, log_rows)


def background_log(market: Market, seed: int, seconds: float) -> EventLog:
    """The background's events of so many seconds, after the market's warm-up; the same for the same seed.

    Games of the market draw from their step and are other samples of the same law. Raises ValueError for a time that is
    not positive.
    """
    if not 0.0 < seconds < np.inf:
        raise ValueError(f"seconds: found {seconds:g}; allowed are positive numbers")
    table, base, rate, jump, reach, factor, *_ = packed(market)
    mixed = np.empty(1, np.uint64)
    draws.mix_seeds(np.array([seed], np.uint64), mixed)
    room = 4096
    while True:
        rows, own = np.empty((room, 3)), np.zeros(market.state.size)
        count = _listen(table, base, rate, jump, reach, factor, mixed[0], float(seconds), own, rows)
        if count <= room:
            return EventLog(rows[:count, 0], rows[:count, 1].astype(np.int64), rows[:count, 2])
        room = count  # what had no row was counted, and the same seed has the same events
