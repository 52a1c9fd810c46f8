"""Queues with price-time priority: a length, and the seats' orders in it by their place.

A queue's orders are sorted by place, which is the number of orders ahead. Background orders are told apart by nothing,
so they are not listed: removing one moves up whoever stands behind it.

Arguments of the kernels: see `tables`; `queue` is 2 * side + level.
"""

import numpy as np
from numba import njit

from arena.markets.book.columns import (
    BEST,
    DROPPED,
    FILLED,
    OWNER,
    PLACE,
    POSTED_AT,
    QUEUE,
    RESTING,
    SINGLE,
    SLOT,
    TURNED_AWAY,
)
from arena.markets.book.columns import OWN as OWN_ORDERS
from arena.markets.book.events import ASK, RULE, SMALL
from arena.markets.parts.special import log

FIELDS = len(SINGLE)


@njit(**SMALL)
def single(terms, field, seat):
    """Place of a seat's terms."""
    return terms.at_seats + field * terms.seats + seat


@njit(**SMALL)
def double(terms, field, seat, side):
    """Place of a seat's number on a side."""
    return terms.at_seats + (FIELDS + 2 * field) * terms.seats + 2 * seat + side


@njit(**SMALL)
def slot(terms, queue, i):
    """Place of the i-th order that seats have in a queue."""
    return terms.at_slots + (queue * terms.slots + i) * SLOT


@njit(**RULE)
def append(own, terms, queue, owner, now):
    """An order joins the end; 0 where there is no room and it is turned away."""
    if own[QUEUE + queue] >= terms.room:
        own[TURNED_AWAY] += 1.0
        return 0
    if owner > 0:
        listed = int(own[RESTING + queue])
        if listed >= terms.slots:
            own[TURNED_AWAY] += 1.0
            return 0
        at = slot(terms, queue, listed)
        own[at + PLACE], own[at + OWNER], own[at + POSTED_AT] = own[QUEUE + queue], owner, now
        own[RESTING + queue] += 1.0
        own[double(terms, OWN_ORDERS, owner - 1, queue >> 1)] += 1.0
    own[QUEUE + queue] += 1.0
    return 1


@njit(**RULE)
def take_listed(own, terms, queue, i):
    """The i-th order of the seats leaves the queue; the others behind it move up."""
    listed = int(own[RESTING + queue])
    own[double(terms, OWN_ORDERS, int(own[slot(terms, queue, i) + OWNER]) - 1, queue >> 1)] -= 1.0
    for j in range(i, listed - 1):
        at, behind = slot(terms, queue, j), slot(terms, queue, j + 1)
        own[at + PLACE], own[at + OWNER], own[at + POSTED_AT] = own[behind] - 1.0, own[behind + 1], own[behind + 2]
    own[RESTING + queue] -= 1.0
    own[QUEUE + queue] -= 1.0


@njit(**RULE)
def take_background(own, terms, queue, rank):
    """The background order with `rank` others of its kind ahead leaves the queue."""
    place = float(rank)
    listed = int(own[RESTING + queue])
    for i in range(listed):
        at = slot(terms, queue, i)
        if own[at + PLACE] <= place:
            place += 1.0
        else:
            own[at + PLACE] -= 1.0
    own[QUEUE + queue] -= 1.0


@njit(**SMALL)
def front(own, terms, queue):
    """Whose order stands first: 0 background, else a seat's number from 1 on."""
    if own[RESTING + queue] > 0.0:
        at = slot(terms, queue, 0)
        if own[at + PLACE] == 0.0:
            return int(own[at + OWNER])
    return 0


@njit(**RULE)
def first_of(own, terms, queue, owner):
    """The frontmost order of a seat in a queue, by its number in the list; -1 if it has none."""
    for i in range(int(own[RESTING + queue])):
        if own[slot(terms, queue, i) + OWNER] == owner:
            return i
    return -1


@njit(**RULE)
def move_list(own, terms, source, target):
    """The orders of a queue become those of another; what stood there is gone."""
    listed = int(own[RESTING + source])
    first, other = slot(terms, source, 0), slot(terms, target, 0)
    for i in range(listed * SLOT):
        own[other + i] = own[first + i]
    own[QUEUE + target], own[RESTING + target] = own[QUEUE + source], own[RESTING + source]
    own[RESTING + source] = 0.0


@njit(**RULE)
def refill(own, terms, side, draw):
    """A new second level of background orders: a fixed number, or 1 + floor(ln U / ln(1 - 1/mean))."""
    count = float(terms.refill)
    if terms.refill == 0:
        count = min(1.0 + np.floor(log(draw) / terms.refill_log), float(terms.room))
    own[QUEUE + 2 * side + 1] = count
    own[RESTING + 2 * side + 1] = 0.0


@njit(**RULE)
def deplete(own, terms, side, draw):
    """The first level is empty: the second takes its place, and behind it the book is refilled."""
    own[BEST + side] += 1.0 if side == ASK else -1.0
    move_list(own, terms, 2 * side + 1, 2 * side)
    refill(own, terms, side, draw)


@njit(**RULE)
def drop(own, terms, queue):
    """All orders of the seats in a queue are cancelled by the book, and counted."""
    for i in range(int(own[RESTING + queue])):
        seat = int(own[slot(terms, queue, i) + OWNER]) - 1
        own[single(terms, DROPPED, seat)] += 1.0
        own[double(terms, OWN_ORDERS, seat, queue >> 1)] -= 1.0
    own[RESTING + queue] = 0.0


@njit(**SMALL)
def note_fill(own, terms, seat, side):
    """A resting order of a seat has traded."""
    own[double(terms, FILLED, seat, side)] += 1.0
