"""The rules of the book: what each of the twelve events does, and what it means for the accounts.

Two levels a side, one tick apart, orders of one lot. After every event each level holds an order, the ask is above the
bid, and the cash and the lots of all accounts, the background's included, add up to zero.

Arguments of the kernels: see `tables`; besides these
    event, owner     what happens, and who does it: 0 background, else a seat's number from 1 on
    pick, draw       uniforms: which background order is cancelled, and how many orders a new level has
    now              time since the seats came, s
"""

import numpy as np
from numba import njit

from arena.markets.book.columns import (
    BEST,
    CANCELLED,
    CAPTURED,
    CASH,
    CROSSED,
    FEE,
    INTEGRAL,
    INVENTORY,
    LOTS,
    MARK,
    MID,
    OTHER_CASH,
    OTHER_LOTS,
    OWN,
    POSTED,
    POSTED_AT,
    QUEUE,
    RESTING,
    SINCE,
    TAKEN,
    WAITED,
)
from arena.markets.book.events import (
    ASK,
    BID,
    CANCEL_DEEP,
    CANCEL_TOP,
    MARKET,
    POST_DEEP,
    POST_INSIDE,
    POST_TOP,
    RULE,
    SMALL,
    event_of,
    kind_of,
    side_of,
)
from arena.markets.book.queues import (
    append,
    deplete,
    double,
    drop,
    first_of,
    front,
    move_list,
    note_fill,
    refill,
    single,
    slot,
    take_background,
    take_listed,
)


@njit(**SMALL)
def _book(own, terms, seat, now, price, lots, edge_field):
    """One lot for one seat: cash, inventory, what it earned against the mid, and how long the old position stood."""
    inventory = own[single(terms, INVENTORY, seat)]
    own[single(terms, INTEGRAL, seat)] += inventory * inventory * (now - own[single(terms, SINCE, seat)])
    own[single(terms, SINCE, seat)] = now
    own[single(terms, INVENTORY, seat)] = inventory + lots
    own[single(terms, CASH, seat)] -= lots * price
    own[single(terms, edge_field, seat)] += lots * (own[MID] - price)
    own[single(terms, LOTS, seat)] += 1.0


@njit(**RULE)
def _trade(own, terms, side, taker, now):
    """The front order of a first level trades at its price; the level may be empty afterwards."""
    queue = 2 * side
    price, maker = own[BEST + side], front(own, terms, queue)
    bought = 1.0 if side == ASK else -1.0  # by the taker
    if maker > 0:
        seat = maker - 1
        own[single(terms, WAITED, seat)] += now - own[slot(terms, queue, 0) + POSTED_AT]
        take_listed(own, terms, queue, 0)
        _book(own, terms, seat, now, price, -bought, CAPTURED)
        own[single(terms, FEE, seat)] += terms.fee_maker
        note_fill(own, terms, seat, side)
    else:
        take_background(own, terms, queue, 0.0)
        own[OTHER_CASH] += bought * price
        own[OTHER_LOTS] -= bought
    if taker > 0:
        _book(own, terms, taker - 1, now, price, bought, CROSSED)
        own[single(terms, FEE, taker - 1)] += terms.fee_taker
        own[single(terms, TAKEN, taker - 1)] += 1.0
    else:
        own[OTHER_CASH] -= bought * price
        own[OTHER_LOTS] += bought


@njit(**RULE)
def _cancel(own, terms, queue, owner, pick):
    """A seat's frontmost order, or a background order drawn uniformly, leaves; 0 where there is none."""
    if owner > 0:
        i = first_of(own, terms, queue, owner)
        if i < 0:
            return 0
        take_listed(own, terms, queue, i)
        own[single(terms, CANCELLED, owner - 1)] += 1.0
        return 1
    others = own[QUEUE + queue] - own[RESTING + queue]
    if others <= 0.0:
        return 0
    take_background(own, terms, queue, min(np.floor(pick * others), others - 1.0))
    return 1


@njit(**RULE)
def _mark(own, terms, mid):
    """The mid moves, and with it what everybody's position is worth."""
    for seat in range(terms.seats):
        own[single(terms, MARK, seat)] += own[single(terms, INVENTORY, seat)] * (mid - own[MID])
    own[MID] = mid


@njit(**RULE)
def happen(own, terms, event, owner, pick, draw, now):
    """One event; 1 if it changed the book, 0 where it has no effect."""
    kind, side = kind_of(event), side_of(event)
    top, deep = 2 * side, 2 * side + 1
    outward = 1.0 if side == ASK else -1.0
    done = 1
    if kind == POST_TOP:
        done = append(own, terms, top, owner, now)
    elif kind == POST_DEEP:
        done = append(own, terms, deep, owner, now)
    elif kind == POST_INSIDE:
        if own[BEST + ASK] - own[BEST + BID] < 2.0:
            return 0
        drop(own, terms, deep)
        move_list(own, terms, top, deep)
        own[QUEUE + top] = 0.0
        own[BEST + side] -= outward
        done = append(own, terms, top, owner, now)
    elif kind == CANCEL_TOP:
        done = _cancel(own, terms, top, owner, pick)
    elif kind == CANCEL_DEEP:
        done = _cancel(own, terms, deep, owner, pick)
        if own[QUEUE + deep] == 0.0:
            refill(own, terms, side, draw)
    else:
        if owner > 0 and front(own, terms, top) == owner:
            return 0
        _trade(own, terms, side, owner, now)
    if own[QUEUE + top] == 0.0:
        deplete(own, terms, side, draw)
    if done == 1 and owner > 0 and kind != MARKET:
        own[single(terms, FEE, owner - 1)] += terms.fee_message
        if kind in (POST_TOP, POST_DEEP, POST_INSIDE):
            own[single(terms, POSTED, owner - 1)] += 1.0
    mid = 0.5 * (own[BEST + BID] + own[BEST + ASK])
    if mid != own[MID]:
        _mark(own, terms, mid)
    return done


@njit(**RULE)
def allowed(own, terms, seats, event, seat):
    """Whether a seat may do this now: its own orders, the room inside the spread, whose order is first, and its bounds.

    A maker's position may not pass its cap whatever fills; an executor may not trade more than is left.
    """
    kind, side = kind_of(event), side_of(event)
    owner, own_terms = seat + 1, seats[seat]
    if kind in (CANCEL_TOP, CANCEL_DEEP):
        return first_of(own, terms, 2 * side + (1 if kind == CANCEL_DEEP else 0), owner) >= 0
    if kind == POST_INSIDE and own[BEST + ASK] - own[BEST + BID] < 2.0:
        return False
    if kind == MARKET and front(own, terms, 2 * side) == owner:
        return False
    # what a fill would do to the position: a market order on the ask side buys, a limit order there sells
    buys = (side == ASK) == (kind == MARKET)
    inventory = own[single(terms, INVENTORY, seat)]
    waiting = own[double(terms, OWN, seat, BID if buys else ASK)]
    if own_terms.parent > 0.0:
        return (inventory < 0.0) == buys and abs(inventory) - waiting >= 1.0
    if own_terms.cap < 0.0:
        return True
    return (inventory if buys else -inventory) + waiting + 1.0 <= own_terms.cap


@njit(**RULE)
def executor_event(own, terms, event, seat):
    """An executor's option, written for a buyer, in the direction of its order; a cancel finds its order at any level.

    What an executor owes stands in its inventory: below zero it still has to buy.
    """
    buys = own[single(terms, INVENTORY, seat)] < 0.0
    if kind_of(event) == CANCEL_TOP:
        side = BID if own[double(terms, OWN, seat, BID)] > 0.0 else ASK
        deep = first_of(own, terms, 2 * side, seat + 1) < 0
        return event_of(CANCEL_DEEP if deep else CANCEL_TOP, side)
    return event if buys else 11 - event
