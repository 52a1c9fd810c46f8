"""The book as one maker sees it, in the coordinates of its control problem: small integers, one array each.

Prices are left out: the problem does not change when all of them move, so position, spread and queues are enough. A
place is the number of orders ahead of an own order over both levels of its side; the frontmost K own orders of a side
are kept in order, and `NONE` stands where there are fewer. The paper keeps one (K = 1), and so do the networks.

Every function of this room takes arrays of numpy or of torch alike, of one shape [n]: arithmetic is all it needs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

NONE = 1 << 14
"""The place of an order that does not exist: behind everybody."""
TYPES = 12
POST_DEEP, CANCEL_DEEP, POST_TOP, CANCEL_TOP, MARKET, POST_INSIDE = range(6)
"""Kinds of events; the first six of the twelve are the ask's, the last six mirror them: i and 11 - i."""
ASK, BID = 1, -1
"""Sides by the direction in which their prices leave the middle, the paper's z."""


class Side(NamedTuple):
    """One side: orders in the first and in the second level, and places of own orders, ascending."""

    top: Any
    deep: Any
    places: tuple[Any, ...]


class State(NamedTuple):
    """Position in lots, spread in ticks, and both sides."""

    inventory: Any
    spread: Any
    ask: Side
    bid: Side

    def side(self, z: int) -> Side:
        """The ask (1) or the bid (-1)."""
        return self.ask if z == ASK else self.bid

    def put(self, z: int, side: Side) -> "State":
        """The same with another ask (1) or bid (-1)."""
        return self._replace(ask=side) if z == ASK else self._replace(bid=side)


class Branch(NamedTuple):
    """One outcome: its probability, the state after it, and what X + Y mid gained by it, ticks."""

    probability: Any
    state: State
    gain: Any


def kind_of(event: int) -> int:
    """What an event does: one of the six kinds."""
    return min(event, TYPES - 1 - event)


def side_of(event: int) -> int:
    """Whose queue it changes: 1 the ask's, -1 the bid's."""
    return ASK if event < TYPES // 2 else BID


def pick(where: Any, yes: Any, no: Any) -> Any:
    """`yes` where a mask holds, `no` elsewhere."""
    return no + (yes - no) * where


def chosen(where: Any, yes: State, no: State) -> State:
    """One state where a mask holds, another elsewhere."""
    return unflat([pick(where, a, b) for a, b in zip(flat(yes), flat(no), strict=True)])


def flat(state: State) -> list[Any]:
    """The state as columns: Y, s, then of ask and bid the two queues and the K places."""
    ask, bid = state.ask, state.bid
    return [state.inventory, state.spread, ask.top, ask.deep, *ask.places, bid.top, bid.deep, *bid.places]


def unflat(columns: Any) -> State:
    """The state of columns [6 + 2K] in the order of `flat`."""
    half = (len(columns) - 2) // 2
    sides = (columns[2 : 2 + half], columns[2 + half :])
    ask, bid = (Side(one[0], one[1], tuple(one[2:])) for one in sides)
    return State(columns[0], columns[1], ask, bid)


def mirrored(state: State) -> State:
    """The same book seen from the other side: asks are bids, and what was held is owed."""
    return State(-state.inventory, state.spread, state.bid, state.ask)


def own(side: Side, low: Any, high: Any) -> Any:
    """How many own orders stand at places in [low, high)."""
    return sum(((place >= low) & (place < high)) * 1 for place in side.places)


def orders(side: Side) -> Any:
    """How many own orders stand on a side."""
    return own(side, 0, NONE)


def moved(places: tuple[Any, ...], by: int, where: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Places with `by` added where a test of the place holds; `NONE` stays."""
    return tuple(place + by * (where(place) & (place < NONE)) for place in places)
