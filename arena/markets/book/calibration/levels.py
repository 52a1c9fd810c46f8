"""Which of the twelve types a message is, by the book that it met; the same for every source of messages.

The market knows two levels a side. In a real book they are the best two prices with orders, wherever they lie:

    posted inside the spread          LO IS
    posted at the best price          LO T        cancelled there     CO T
    posted at or before the second    LO D        cancelled there     CO D
    further behind                    none of the twelve
    executed                          MO, one for all executions that one incoming order causes
"""

from __future__ import annotations

from bisect import bisect_left, insort

from arena.markets.book.events import (
    ASK,
    BID,
    CANCEL_DEEP,
    CANCEL_TOP,
    MARKET,
    POST_DEEP,
    POST_INSIDE,
    POST_TOP,
    event_of,
)

NONE = -1
"""Not one of the twelve."""
FAR = 1 << 60
_type = event_of.py_func  # the compiled one is for kernels


def posted(side: int, price: int, best: int, second: int) -> int:
    """The type of an order posted at a price in ticks, by its side's best two prices before."""
    ahead = -1 if side == BID else 1  # from the market outward
    rank = ahead * (price - best)
    if rank < 0:
        return _type(POST_INSIDE, side)
    if rank == 0:
        return _type(POST_TOP, side)
    return _type(POST_DEEP, side) if ahead * (price - second) <= 0 else NONE


def cancelled(side: int, price: int, best: int, second: int) -> int:
    """The type of an order, or a part of it, that leaves a price."""
    if price == best:
        return _type(CANCEL_TOP, side)
    return _type(CANCEL_DEEP, side) if price == second else NONE


def executed(side: int) -> int:
    """The market order that a queue of a side meets."""
    return _type(MARKET, side)


class Levels:
    """Prices with orders on both sides, in ticks, and how much stands at each; sides 0 bid, 1 ask."""

    def __init__(self) -> None:
        self.size: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self._outward: tuple[list[int], list[int]] = ([], [])  # rising; bids with the other sign: the best stands first

    def best(self, side: int) -> int:
        """The best price, far away where the side is empty."""
        return self._at(side, 0)

    def second(self, side: int) -> int:
        """The second-best price, infinitely far where there is none."""
        return self._at(side, 1)

    def add(self, side: int, price: int, size: float) -> None:
        """More at a price."""
        if price not in self.size[side]:
            insort(self._outward[side], price if side == ASK else -price)
            self.size[side][price] = 0.0
        self.size[side][price] += size

    def remove(self, side: int, price: int, size: float, last: bool) -> None:
        """Less at a price; `last` if no order is left there."""
        self.size[side][price] -= size
        if last:
            del self.size[side][price]
            outward = self._outward[side]
            del outward[bisect_left(outward, price if side == ASK else -price)]

    def _at(self, side: int, place: int) -> int:
        outward = self._outward[side]
        found = outward[place] if place < len(outward) else FAR
        return found if side == ASK else -found
