"""Names, units and places of all columns: the state of a game, what seats see and what they choose from.

The state of a game is one piece of memory. Its first part has the same places in every market, so that the book's
rules read them by constants; then come the flow's components, the seats and their resting orders. A queue is its length
and the seats' orders in it, each with its place (orders ahead of it): background orders have no names, so nothing else
need be known of them, and an event costs the same in a queue of ten and of two hundred.
"""

from collections.abc import Iterator

import numpy as np

from arena.layout import Choice, Field, Layout
from arena.markets.book.events import NAMES, TYPES
from arena.markets.book.settings import BookSettings

SIDES, LEVELS = ("bid", "ask"), ("top", "deep")
QUEUES = 4
BEST, QUEUE, RESTING, MID, TURNED_AWAY, CLOCK, OTHER_CASH, OTHER_LOTS, CLIPPED, EVENTS, INTENSITY, COMPONENTS = (
    np.cumsum((0, 2, QUEUES, QUEUES, 1, 1, 1, 1, 1, 1, TYPES, TYPES)).tolist()
)
"""Places of the first fields: best prices [bid, ask], orders in each queue [side, level], the seats' among them, mid,
orders without room, time since the seats came, accounts of everybody else, clipped choices, background events and
intensities [12]; from `COMPONENTS` on the flow's components [K, 12]."""
SINGLE = (
    "cash", "inventory", "captured", "crossed", "mark", "fee", "running_penalty", "terminal_penalty", "shaping",
    "reward", "lots", "taken", "posted", "cancelled", "dropped", "missed", "waited", "turn", "_integral", "_since",
    "_before",
)  # fmt: skip
(
    CASH, INVENTORY, CAPTURED, CROSSED, MARK, FEE, RUNNING, TERMINAL, SHAPING, REWARD, LOTS, TAKEN, POSTED, CANCELLED,
    DROPPED, MISSED, WAITED, TURN, INTEGRAL, SINCE, BEFORE,
) = range(len(SINGLE))  # fmt: skip
"""Fields with a number per seat, makers first."""
DOUBLE = ("filled", "resting", "ahead", "top")
FILLED, OWN, AHEAD, TOP = range(len(DOUBLE))
"""Fields with a number per seat and side: lots that resting orders bought and sold, orders in the book, orders ahead of
the best of them, and how many stand in the first level."""
UNITS = {
    "inventory": "lots", "lots": "lots", "taken": "lots", "filled": "lots", "waited": "seconds", "resting": "orders",
    "ahead": "orders", "top": "orders", "posted": "orders", "cancelled": "orders", "dropped": "orders",
    "missed": "choices", "turn": "", "_integral": "lots^2 seconds", "_since": "seconds",
}  # fmt: skip
PLACE, OWNER, POSTED_AT = range(3)
SLOT = 3
"""What is known of a seat's order: orders ahead of it in its queue, whose it is, and when it was posted."""
AGES, OLDEST = 5, 10.0
"""Ages of that many last events of each type are seen, up to so many seconds."""
NOTHING = "nothing"
RESTRICTED = ("LO_a_T", "CO_a_T", "CO_b_T", "LO_b_T")
EXECUTOR_OPTIONS = ("market", "post", "cancel", NOTHING)
ROLES = ("maker", "executor")
HISTORY, SEATS, SLOTS = range(3)


def places(market: BookSettings) -> np.ndarray:
    """Where the later parts of the state begin: past events, seats, resting orders."""
    layout = state(market)
    first = [layout.slice(name).start for name in ("_history", _first(market), "_orders")]
    return np.array(first, dtype=np.int64)


def _first(market: BookSettings) -> str:
    return f"{ROLES[0] if market.makers.count else ROLES[1]}_{SINGLE[0]}"


def state(market: BookSettings) -> Layout:
    """The rows of the state array; K components of the flow, M makers, N executors, S places for their orders."""
    components = len(market.flow.components().rate)
    queues = tuple(f"{side},{level}" for side in SIDES for level in LEVELS)
    head = [
        Field("best", (2,), SIDES, "ticks"),
        Field("queue", (2, 2), queues, "orders"),
        Field("own_orders", (2, 2), queues, "orders"),
        Field("mid", unit="ticks"),
        Field("turned_away", unit="orders"),
        Field("time", unit="seconds"),
        Field("other_cash", unit="ticks"),
        Field("other_lots", unit="lots"),
        Field("clipped_action", unit="choices"),
        Field("events", (TYPES,), NAMES, "events"),
        Field("intensity", (TYPES,), NAMES, "1/second"),
        Field("_components", (components, TYPES), unit="1/second"),
        Field("_history", (TYPES, AGES), unit="seconds"),
    ]
    orders = Field("_orders", (2, 2, market.slots, SLOT))
    return Layout([*head, *_of_seats(market), orders])


def _of_seats(market: BookSettings) -> Iterator[Field]:
    counts = list(zip(ROLES, (market.maker_names, market.executor_names), strict=True))
    for name in SINGLE:
        for role, names in counts:
            if names:
                hidden = "_" if name.startswith("_") else ""
                yield Field(f"{hidden}{role}_{name.lstrip('_')}", (len(names),), names, UNITS.get(name, "ticks"))
    for name in DOUBLE:
        for role, names in counts:
            if names:
                labels = tuple(f"{seat},{side}" for seat in names for side in SIDES)
                yield Field(f"{role}_{name}", (len(names), 2), labels, UNITS[name])


def maker_choice(market: BookSettings) -> Choice:
    """What a maker chooses from; nothing stands last."""
    options = NAMES if market.makers.actions == "all" else RESTRICTED
    return Choice((*options, NOTHING), idle=len(options))


def executor_choice() -> Choice:
    """What an executor chooses from, always in the direction of its order."""
    return Choice(EXECUTOR_OPTIONS, idle=len(EXECUTOR_OPTIONS) - 1)


def observation(market: BookSettings, role: str) -> Layout:
    """What a seat sees: the clock, its own position, the book as far as it is shown, and what it may do now."""
    clock, seen, far = market.clock, market.observe, 1e6
    maker = role == ROLES[0]
    fields = [
        Field(
            "time_left", unit=clock.unit, low=0, high=clock.horizon, centre=clock.horizon / 2, scale=clock.horizon / 3.5
        )
    ]
    if maker:
        reach = float(market.makers.cap or 25)
        fields.append(Field("inventory", unit="lots", low=-far, high=far, scale=max(reach / 3, 1.0)))
    else:
        size = max(one.size for one in market.executors)
        fields.append(Field("to_trade", unit="lots", low=0, high=far, centre=size / 2, scale=max(size / 3, 1.0)))
        fields.append(Field("direction", low=-1, high=1))
    if seen.cash:
        fields.append(Field("cash", unit="ticks", low=-1e12, high=1e12, scale=1e5))
    if seen.spread:
        fields.append(Field("spread", unit="ticks", low=0, high=far, centre=1.3, scale=0.6))
    if seen.position:
        fields.append(Field("ahead", (2,), SIDES, "share", 0, 1, 0.7, 0.4))
    fields.append(Field("top", (2,), SIDES, "orders", 0, far, 0.5, 0.7))
    fields.append(Field("queue", (2,), SIDES, "orders", 0, far, 8.0, 4.0))
    if seen.places:
        fields.append(Field("deep", (2,), SIDES, "orders", 0, far, 8.0, 4.0))
        labels = tuple(f"{side},{i}" for side in SIDES for i in range(seen.places))
        fields.append(Field("place", (2, seen.places), labels, "orders", 0, far, 8.0, 8.0))
    if seen.intensities:
        typical = np.log1p(_typical(market))
        fields.append(Field("intensity", (TYPES,), NAMES, "log 1 + 1/second", 0, 50, typical, 0.4))
    if seen.history:
        labels = tuple(f"{name},{i}" for name in NAMES for i in range(AGES))
        fields.append(Field("age", (TYPES, AGES), labels, "seconds", 0, OLDEST, 1.0, 1.5))
    options = (maker_choice(market) if maker else executor_choice()).options
    return Layout([*fields, Field("allowed", (len(options),), options, low=0, high=1)])


def _typical(market: BookSettings) -> np.ndarray:
    """Rates of the process alone where nothing inhibits, else its base rates: what an intensity is like."""
    norm = np.maximum(market.flow.excitation, 0.0)
    return np.linalg.solve(np.eye(TYPES) - norm, market.flow.rates)
