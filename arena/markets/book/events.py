"""The twelve events of a limit order book, in the order of every 12-vector: six of the ask side, then the bid's.

LO posts an order, CO cancels one, MO trades with the front of a queue; T is the first level of a side (top), D the
second (deep), IS inside the spread. The queue that is hit names a market order: MO_a buys, MO_b sells.
"""

from typing import Any

from numba import njit

NAMES = (
    "LO_a_D", "CO_a_D", "LO_a_T", "CO_a_T", "MO_a", "LO_a_IS",
    "LO_b_IS", "MO_b", "CO_b_T", "LO_b_T", "CO_b_D", "LO_b_D",
)  # fmt: skip
TYPES = len(NAMES)
BID, ASK = 0, 1
"""Sides, as everywhere here: what has a side axis holds the bid first."""
POST_DEEP, CANCEL_DEEP, POST_TOP, CANCEL_TOP, MARKET, POST_INSIDE = range(6)
"""What an event does, whatever its side: the first six events name the ask side's, the last six mirror them."""
RULE: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
SMALL: dict[str, Any] = {**RULE, "forceinline": True}


@njit(**SMALL)
def kind_of(event):
    """What an event does: one of the six kinds."""
    return min(event, TYPES - 1 - event)


@njit(**SMALL)
def side_of(event):
    """Whose queue it changes."""
    return ASK if event < 6 else BID


@njit(**SMALL)
def event_of(kind, side):
    """The event of a kind on a side."""
    return kind if side == ASK else TYPES - 1 - kind
