"""A given list of events played through the book's rules, with every state: for tests, and for real event files.

Arguments of the kernels: see `tables`; besides these
    events           type and owner [N, 2]
    picks, refills   per event [N]: how many background orders stand ahead of the cancelled one (-1: drawn), and how
                     many orders a new level has (-1: the book's own)
    mixed            the seed of what is drawn
    first            how many events came before
    states           what the book was after each event [N, R]
    done             whether the event had an effect [N]
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from arena.markets.book.columns import (
    BEST,
    CASH,
    INVENTORY,
    MID,
    OTHER_CASH,
    OTHER_LOTS,
    OWN,
    OWNER,
    PLACE,
    QUEUE,
    RESTING,
)
from arena.markets.book.events import ASK, BID, NAMES, TYPES, side_of
from arena.markets.book.market import Market
from arena.markets.book.matching import happen
from arena.markets.book.queues import double, single, slot
from arena.markets.book.settings import Depth, Fees, Makers
from arena.markets.book.tables import packed
from arena.markets.parts import draws

REPLAY = 36
"""Source of randomness of what a replay is not told."""
CHUNK = 500


def _plain(kernel: Any) -> Any:
    return getattr(kernel, "py_func", kernel)


_single, _double, _slot = _plain(single), _plain(double), _plain(slot)
"""Places as plain functions: the compiled ones are for kernels alone."""


class BookState(NamedTuple):
    """The whole book: best prices in ticks, owners in each queue from the front (0 background), accounts by owner.

    `queues` are ((bid top, bid deep), (ask top, ask deep)); `effect` says whether the last event changed anything.
    """

    bid: int
    ask: int
    queues: tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]
    cash: tuple[float, ...] = ()
    inventory: tuple[float, ...] = ()
    effect: bool = True


@njit(cache=True, error_model="numpy")
def _play(table, own, events, picks, refills, mixed, first, states, done):
    terms = table[0]
    usual = terms.refill
    place = draws.place(mixed, draws.key(REPLAY, 0, 0))
    for n in range(events.shape[0]):
        event, owner = events[n, 0], events[n, 1]
        index = np.uint64(2 * (first + n))
        pick = draws.counted(place, index)
        if picks[n] >= 0.0:
            kind = min(event, TYPES - 1 - event)
            queue = 2 * side_of(event) + (1 if kind < 2 else 0)
            pick = (picks[n] + 0.5) / max(own[QUEUE + queue] - own[RESTING + queue], 1.0)
        terms.refill = int(refills[n]) if refills[n] >= 0.0 else usual
        done[n] = happen(own, terms, event, owner, pick, draws.counted(place, index + np.uint64(1)), float(first + n))
        states[n] = own
    terms.refill = usual


def play_events(
    start: BookState | Mapping[str, Any],
    events: Iterable[Sequence[Any]],
    seed: int = 0,
    refill: int = 10,
    owners: int = 0,
    room: int = 512,
) -> list[BookState]:
    """The state after each event; see `arena.markets.book.replay`, which raises ValueError as told there."""
    first = start if isinstance(start, BookState) else BookState(**start)
    told = [_event(n, one) for n, one in enumerate(events)]
    standing = [owner for side in first.queues for level in side for owner in level]
    count = max([owners, 1, *standing, *(one[1] for one in told)])
    if first.ask <= first.bid or not all(len(level) for side in first.queues for level in side):
        raise ValueError(
            "start: found crossed prices or an empty level; allowed is an ask above the bid and orders in each"
        )
    market = Market(
        depth=Depth(bid=first.bid, ask=first.ask, queues=(1, 1), refill=refill, room=room),
        makers=Makers(count=min(count, 16), cap=None), fees=Fees(liquidation=0.0),
    )  # fmt: skip
    if count > 16:
        raise ValueError(f"events: found owner {count}; allowed are 0 for the background to 16")
    table = packed(market)[0]
    own = np.zeros(market.state.size)
    _lay_out(own, table[0], first)
    whole = np.array([one[:2] for one in told], np.int64).reshape(-1, 2)
    picks, refills = (np.array([one[i] for one in told], float) for i in (2, 3))
    out: list[BookState] = []
    for at in range(0, len(told), CHUNK):
        part = slice(at, at + CHUNK)
        states, done = np.empty((len(whole[part]), own.size)), np.zeros(len(whole[part]), np.int64)
        _play(table, own, whole[part], picks[part], refills[part], np.uint64(seed), at, states, done)
        out += [_state(row, table[0], bool(effect)) for row, effect in zip(states, done, strict=True)]
    return out


def _event(n: int, told: Sequence[Any]) -> tuple[int, int, float, float]:
    """Type, owner, pick and refill; -1 for what is not told."""
    event, owner, *rest = told
    if isinstance(event, str):
        if event not in NAMES:
            raise ValueError(f"events[{n}]: found '{event}'; allowed are {', '.join(NAMES)}")
        event = NAMES.index(event)
    if not 0 <= int(event) < TYPES or not 0 <= int(owner) <= 16:
        raise ValueError(f"events[{n}]: found type {event} and owner {owner}; allowed are 0 to 11 and 0 to 16")
    pick, refill = (*(float(-1 if one is None else one) for one in rest), -1.0, -1.0)[:2]
    return int(event), int(owner), pick, refill


def _lay_out(own: np.ndarray, terms: Any, first: BookState) -> None:
    own[BEST + BID], own[BEST + ASK] = first.bid, first.ask
    own[MID] = 0.5 * (first.bid + first.ask)
    for side in (BID, ASK):
        for level in (0, 1):
            queue, owners = 2 * side + level, first.queues[side][level]
            own[QUEUE + queue] = len(owners)
            listed = [(place, owner) for place, owner in enumerate(owners) if owner]
            own[RESTING + queue] = len(listed)
            for i, (place, owner) in enumerate(listed):
                at = _slot(terms, queue, i)
                own[at + PLACE], own[at + OWNER] = place, owner
                own[_double(terms, OWN, owner - 1, side)] += 1
    for owner, cash in enumerate(first.cash):
        own[OTHER_CASH if owner == 0 else _single(terms, CASH, owner - 1)] = cash
    for owner, lots in enumerate(first.inventory):
        own[OTHER_LOTS if owner == 0 else _single(terms, INVENTORY, owner - 1)] = lots


def _state(own: np.ndarray, terms: Any, effect: bool) -> BookState:
    queues = []
    for queue in range(4):
        owners = [0] * int(own[QUEUE + queue])
        for i in range(int(own[RESTING + queue])):
            at = _slot(terms, queue, i)
            owners[int(own[at + PLACE])] = int(own[at + OWNER])
        queues.append(tuple(owners))
    seats = range(terms.seats)
    own_cash = (own[_single(terms, CASH, seat)] for seat in seats)
    own_lots = (own[_single(terms, INVENTORY, seat)] for seat in seats)
    return BookState(
        int(own[BEST + BID]), int(own[BEST + ASK]), ((queues[0], queues[1]), (queues[2], queues[3])),
        (float(own[OTHER_CASH]), *map(float, own_cash)), (float(own[OTHER_LOTS]), *map(float, own_lots)), effect,
    )  # fmt: skip
