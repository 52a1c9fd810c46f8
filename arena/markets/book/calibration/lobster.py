"""LOBSTER's files of a day: messages, and the book after each (the layout that lobsterdata.com states).

    message   time (seconds after midnight), type, order, size, price (currency x 10 000), direction (1 buy, -1 sell)
    book      ask price, ask size, bid price, bid size of the best level, then of the next, one row a message

Types: 1 posted, 2 cancelled in part, 3 deleted, 4 executed, 5 hidden executed, 6 auction, 7 halt. The direction of an
execution is that of the resting order: 1 says that a bid was hit, which is our MO_b.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from arena.layout import Array
from arena.markets.book.calibration import levels
from arena.markets.book.calibration.log import Log, LogError, in_order, read_table
from arena.markets.book.events import ASK, BID

SCALE = 10_000
POSTED, PART, DELETED, EXECUTED, HIDDEN, AUCTION, HALT = range(1, 8)
DROPPED = {HIDDEN: "executions of hidden orders", AUCTION: "auction trades"}


def read(messages: str, book: str, tick: float = 0.01) -> Log:
    """The log of a message and book pair; prices become ticks of this size, in currency.

    Raises LogError for files that do not belong together, unsorted times, halts, crossed books and prices off the tick.
    """
    told = read_table(messages, header=None)
    state = read_table(book, header=None)
    if told.shape[1] < 6 or state.shape[1] < 8 or state.shape[1] % 4:
        found = f"found {told.shape[1]} columns of messages and {state.shape[1]} of the book"
        raise LogError(f"{messages}, {book}: {found}; allowed are 6 and a multiple of 4 from 8 on (two levels a side)")
    if len(told) != len(state):
        raise LogError(f"{messages}, {book}: found {len(told)} messages and {len(state)} rows of the book; "
                       "allowed is one row after each message")  # fmt: skip
    times = told[0].to_numpy(dtype=float)
    in_order(times, messages)
    kinds = told[1].to_numpy(dtype=np.int64)
    if (strange := ~np.isin(kinds, range(1, 8))).any():
        n = int(np.argmax(strange))
        raise LogError(f"{messages}: row {n + 1}: found message type {kinds[n]}; allowed are 1 to 7")
    if (kinds == HALT).any():
        n = int(np.argmax(kinds == HALT))
        found = f"found a trading halt at {times[n]:.3f} s"
        raise LogError(f"{messages}: row {n + 1}: {found}; allowed is a stretch without one: cut the files there")
    asks, bids = (_ticks(state, columns, tick, book) for columns in ((0, 4), (2, 6)))
    crossed = bids[:, 0] >= asks[:, 0]
    if crossed.any():
        n = int(np.argmax(crossed))
        found = f"found a bid of {bids[n, 0] * tick:g} at or above the ask of {asks[n, 0] * tick:g}, a crossed book"
        raise LogError(f"{book}: row {n + 1}: {found}, in {int(crossed.sum())} rows; allowed is a bid below the ask")
    prices, _ = _whole(told[4].to_numpy(dtype=float), tick)
    side = np.where(told[5].to_numpy() == 1, BID, ASK)
    return _classified(messages, times, kinds, side, prices, bids, asks, tick)


def _classified(source: str, times: Array, kinds: np.ndarray, side: np.ndarray, prices: np.ndarray,
                bids: np.ndarray, asks: np.ndarray, tick: float) -> Log:  # fmt: skip
    at, types, behind, last = [], [], 0, (-1.0, -1)
    for n in range(1, times.size):  # the first message makes the first book
        kind, where = int(kinds[n]), int(side[n])
        if kind in DROPPED:
            continue
        if kind == EXECUTED:
            if last != (times[n], where):  # one incoming order meets several resting ones at the same time
                at.append(n)
                types.append(levels.executed(where))
            last = (times[n], where)
            continue
        best, second = (asks if where == ASK else bids)[n - 1]
        found = (levels.posted if kind == POSTED else levels.cancelled)(where, int(prices[n]), int(best), int(second))
        if found == levels.NONE:
            behind += 1
            continue
        at.append(n)
        types.append(found)
    notes = [f"{behind} messages behind the second price left out"] if behind else []
    counts = {words: int((kinds == kind).sum()) for kind, words in DROPPED.items()}
    notes += [f"{count} {words} left out" for words, count in counts.items() if count]
    places = np.array(at, dtype=np.int64)
    spread = (asks[:, 0] - bids[:, 0])[places - 1].astype(float)
    own = np.ones(places.size, dtype=np.bool_)
    return Log(source, times[places], np.array(types, dtype=np.int64), own, spread, tick,
               0.5 * tick * float(asks[0, 0] + bids[0, 0]), tuple(notes))  # fmt: skip


def _ticks(state: pd.DataFrame, columns: tuple[int, int], tick: float, book: str) -> np.ndarray:
    """Prices of the best two levels in ticks, [N, 2]. Raises LogError for prices off the tick at the top."""
    prices, off = _whole(state[list(columns)].to_numpy(dtype=float), tick)
    if off[:, 0].any():
        n = int(np.argmax(off[:, 0]))
        found = f"found a price of {state[columns[0]][n] / SCALE:g}, no multiple of the tick {tick:g}"
        raise LogError(f"{book}: row {n + 1}: {found}; allowed is --tick SIZE")
    return prices


def _whole(prices: Array, tick: float) -> tuple[np.ndarray, np.ndarray]:
    scaled = prices / (SCALE * tick)
    whole = np.round(scaled)
    return whole.astype(np.int64), (np.abs(scaled - whole) > 1e-6) & (np.abs(prices) < 9e9)
