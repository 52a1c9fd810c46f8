"""Any order-by-order file, by a map of its columns: the book is built up again from the orders, and classified.

    time, id, side, price, action    needed
    size                             what is left of the order after the row (missing: every order has one lot)

An order that crosses and shrinks is a market order: whatever rests on the other side and shrinks at the same time is
filled by it. One that crosses and goes whole was turned away (post-only). One that crosses and stays tells that what it
crosses was gone before, as happens to orders of a snapshot whose end the recording missed. Rows that share the first
time are the book at the start; very many that share the last are the end of the recording.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from arena.layout import Array
from arena.markets.book.calibration import levels
from arena.markets.book.calibration.log import Columns, Log, LogError, in_order, read_table, seconds
from arena.markets.book.events import ASK, BID

KNOWN = ("time", "id", "side", "price", "action", "size")
NEW, CHANGE, GONE, TRADE = range(4)
ACTIONS = {
    "new": NEW, "created": NEW, "create": NEW, "add": NEW, "insert": NEW, "submit": NEW, "placed": NEW, "open": NEW,
    "changed": CHANGE, "change": CHANGE, "modify": CHANGE, "update": CHANGE, "amend": CHANGE, "reduce": CHANGE,
    "deleted": GONE, "delete": GONE, "cancel": GONE, "cancelled": GONE, "canceled": GONE, "remove": GONE, "done": GONE,
    "trade": TRADE, "fill": TRADE, "filled": TRADE, "execute": TRADE, "executed": TRADE, "match": TRADE,
}  # fmt: skip
SIDES = {
    "bid": BID, "buy": BID, "b": BID, "1": BID,
    "ask": ASK, "sell": ASK, "s": ASK, "a": ASK, "offer": ASK, "-1": ASK,
}  # fmt: skip
MANY = 100
"""Rows at the last time that are taken for the end of the recording."""
CROSSED = 0.01
"""Share of events at a crossed book from which a file is refused."""


def read(path: str, columns: str = "", tick: float | None = None) -> Log:
    """The log of an order-by-order file.

    Raises LogError for missing columns, words that are not known, times that go back, prices off the tick, and a book
    that is crossed for more than 1 % of the events.
    """
    table = Columns.told(columns, KNOWN).take(read_table(path), path, KNOWN[:-1])
    times = seconds(table["time"], path)
    in_order(times, path)
    action, side = _words(table["action"], ACTIONS, "action", path), _words(table["side"], SIDES, "side", path)
    price = table["price"].to_numpy(dtype=float)
    size = table["size"].to_numpy(dtype=float) if "size" in table else np.where(action == GONE, 0.0, 1.0)
    step = tick or _tick(price)
    ticks = np.round(price / step)
    if (off := np.abs(price / step - ticks) > 1e-4).any():
        n = int(np.argmax(off))
        raise LogError(f"{path}: row {n + 2}: found a price of {price[n]:g}, no multiple of the tick {step:g}; "
                       "allowed is --tick SIZE")  # fmt: skip
    last = times.size if (times == times[-1]).sum() <= MANY else int(np.searchsorted(times, times[-1]))
    told = _Book(size[action == GONE])
    for row in zip(times[:last].tolist(), table["id"][:last].tolist(), side[:last].tolist(), ticks[:last].tolist(),
                   size[:last].tolist(), action[:last].tolist(), strict=True):  # fmt: skip
        told.row(*row)
    return told.log(path, step, times, last)


class _Order:
    """An order that is known: where it rests, how much is left, whether it came to trade at once."""

    __slots__ = ("crosses", "price", "side", "size")

    def __init__(self, side: int, price: int, size: float, crosses: bool):
        self.side, self.price, self.size, self.crosses = side, price, size, crosses


class _Book:
    """Orders by name on price levels; every row may add an event."""

    def __init__(self, left_at_the_end: Array):
        self.levels, self.orders, self.count = levels.Levels(), dict[Hashable, _Order](), dict[tuple[int, int], int]()
        self.takers: list[_Order] = []
        self.now = -np.inf
        self.first: float | None = None
        self.traded = [-np.inf, -np.inf]  # when a queue was last met by a market order
        self.empty_is_filled = bool((left_at_the_end > 0.0).any())  # else deletions never say what was left
        self.events: list[tuple[float, int, float]] = []
        self.behind = self.unknown = self.crossed = self.ghosts = 0
        self.price: float | None = None

    def row(self, time: float, name: Hashable, side: int, price: float, size: float, action: int) -> None:
        """One line of the file."""
        if time > self.now:
            self._settle()
            self.first = time if self.first is None else self.first
            self.now = time
        if action == NEW:
            self._post(name, side, int(price), size)
            return
        order = self.orders.get(name)
        if order is None:
            self.unknown += 1
            return
        filled = action == TRADE or self.traded[order.side] == time or (
            action == GONE and size == 0.0 and self.empty_is_filled
        )  # fmt: skip
        if order.crosses:  # its trades are those of the queue that it meets; gone without one, it was turned away
            if size < order.size - 1e-12 or action == TRADE:
                self._trade(1 - order.side)
            order.size = size
            if action == GONE:
                del self.orders[name]
                self.takers.remove(order)
            return
        if filled:
            self._trade(order.side)
        if action == CHANGE and int(price) != order.price and not filled:
            self._leave(name, order, order.size, False)
            self._post(name, order.side, int(price), size)
            return
        self._leave(name, order, order.size if action == GONE else order.size - size, filled)

    def _post(self, name: Hashable, side: int, price: int, size: float) -> None:
        other = self.levels.best(1 - side)
        crosses = self.now != self.first and (price >= other if side == BID else price <= other)
        order = self.orders[name] = _Order(side, price, size, crosses)
        if crosses:
            self.takers.append(order)
            return
        self._event(levels.posted(side, price, self.levels.best(side), self.levels.second(side)))
        self._rest(order)

    def _trade(self, side: int) -> None:
        """A market order meets a queue: one event, however many orders it fills."""
        if self.traded[side] != self.now:
            self._event(levels.executed(side))
            self.traded[side] = self.now

    def _rest(self, order: _Order) -> None:
        key = order.side, order.price
        self.count[key] = self.count.get(key, 0) + 1
        self.levels.add(order.side, order.price, order.size)

    def _leave(self, name: Hashable, order: _Order, size: float, filled: bool) -> None:
        """An order shrinks by a size, or goes."""
        if not filled and size > 0.0:
            here = self.levels.best(order.side), self.levels.second(order.side)
            self._event(levels.cancelled(order.side, order.price, *here))
        gone = size >= order.size - 1e-12
        key = order.side, order.price
        self.count[key] -= gone
        self.levels.remove(order.side, order.price, size, self.count[key] == 0)
        order.size -= size
        if gone:
            del self.orders[name]

    def _settle(self) -> None:
        """Time goes on: what came to trade and is still there rests from now on; what it crosses was long gone."""
        for order in self.takers:
            order.crosses = False
            beyond = [
                (name, other) for name, other in self.orders.items()
                if other.side != order.side and not other.crosses
                and (other.price <= order.price if order.side == BID else other.price >= order.price)
            ]  # fmt: skip
            for name, other in beyond:
                self._leave(name, other, other.size, True)
            self.ghosts += len(beyond)
            self._rest(order)
        self.takers.clear()

    def _event(self, kind: int) -> None:
        if self.now == self.first:
            return
        if kind == levels.NONE:
            self.behind += 1
            return
        bid, ask = self.levels.best(BID), self.levels.best(ASK)
        if bid >= ask:
            self.crossed += 1
        if self.price is None:
            self.price = 0.5 * (bid + ask)
        self.events.append((self.now, kind, float(max(ask - bid, 1))))

    def log(self, path: str, tick: float, times: Array, last: int) -> Log:
        """The events so far. Raises LogError for a book that was crossed too often."""
        if self.crossed > CROSSED * max(len(self.events), 1):
            found = f"found a bid at or above the ask at {self.crossed} of {len(self.events)} events, a crossed book"
            raise LogError(f"{path}: {found}; allowed is 1 % (are sides and prices in the right columns?)")
        known = (
            (self.behind, "rows behind the second price left out"),
            (self.unknown, "rows of orders that were never posted"),
            (self.ghosts, "orders that others were posted through, taken for gone"),
            (self.crossed, "events at a crossed book"),
            (times.size - last, "rows at the last time, the recording's end"),
            (int((times == times[0]).sum()), "rows at the first time, the book at the start"),
        )  # fmt: skip
        told = np.array(self.events, dtype=float).reshape(-1, 3)
        return Log(path, told[:, 0], told[:, 1].astype(np.int64), np.ones(len(told), dtype=np.bool_), told[:, 2], tick,
                   None if self.price is None else self.price * tick,
                   tuple(f"{count} {words}" for count, words in known if count))  # fmt: skip


def _words(column: pd.Series, known: dict[str, int], what: str, path: str) -> np.ndarray:
    """A column of words as our numbers. Raises LogError for one that is not known."""
    plain = column.astype(str).str.strip().str.lower()
    found = plain.map(known)
    if found.isna().any():
        n = int(np.argmax(found.isna()))
        raise LogError(f"{path}: row {n + 2}: found {what} '{column.iloc[n]}'; allowed are {', '.join(known)}")
    return found.to_numpy(dtype=np.int64)


def _tick(prices: Array) -> float:
    """The smallest distance of prices near the median."""
    near = np.unique(prices[np.abs(prices - np.median(prices)) < 0.05 * abs(np.median(prices)) + 1e-9])
    gaps = np.diff(near)
    gaps = gaps[gaps > 1e-9]
    return float(f"{gaps.min():.6g}") if gaps.size else 1.0
