"""Identities of every game, checked after every step, exactly: all amounts are whole lots and half ticks.

Cash and lots of all accounts add up to zero; a seat's cash and position at the mid are what its sources say; each
level holds an order, the ask is above the bid, and the listed orders of the seats are those that they count.

Arguments of the kernels: see `tables`.
"""

from numba import njit

from arena.markets.book.columns import (
    BEST,
    CAPTURED,
    CASH,
    CROSSED,
    INVENTORY,
    MARK,
    MID,
    OTHER_CASH,
    OTHER_LOTS,
    OWN,
    QUEUE,
    RESTING,
)
from arena.markets.book.events import ASK, BID, RULE
from arena.markets.book.queues import double, single

LARGEST_EXACT = 2.0**52
"""Beyond it a float no longer counts in half ticks."""


@njit(**RULE)
def check(own, terms, failure):
    """-1 if all identities hold, else a code, with the residual in failure[1]: 0 cash, 1 lots, 2 the book, 3 + seat."""
    cash, lots, listed = own[OTHER_CASH], own[OTHER_LOTS], 0.0
    for seat in range(terms.seats):
        cash += own[single(terms, CASH, seat)]
        lots += own[single(terms, INVENTORY, seat)]
        listed += own[double(terms, OWN, seat, BID)] + own[double(terms, OWN, seat, ASK)]
    failure[1] = cash
    if not (cash == 0.0 and abs(own[OTHER_CASH]) < LARGEST_EXACT):
        return 0
    failure[1] = lots
    if lots != 0.0:
        return 1
    failure[1] = 1.0
    if not own[BEST + ASK] > own[BEST + BID]:
        return 2
    for queue in range(4):
        if not (own[QUEUE + queue] >= 1.0 and own[RESTING + queue] <= own[QUEUE + queue]):
            return 2
        listed -= own[RESTING + queue]
    if listed != 0.0:
        return 2
    for seat in range(terms.seats):
        wealth = own[single(terms, CASH, seat)] + own[single(terms, INVENTORY, seat)] * own[MID]
        told = own[single(terms, CAPTURED, seat)] + own[single(terms, CROSSED, seat)] + own[single(terms, MARK, seat)]
        failure[1] = wealth - told
        if wealth != told:
            return 3 + seat
    return -1


def message(code: int, game: int, step: int, residual: float, seats: tuple[str, ...]) -> str:
    """The sentence for a failed identity."""
    where = f"book: game {game}, step {step}"
    if code < 2:
        account = ("cash", "lots")[code]
        return f"{where}: {account} of all accounts add up to {residual:.6g}; it must be 0"
    if code == 2:
        return f"{where}: an empty level, crossed prices or a lost order; each level must hold an order below the next"
    return f"{where}: wealth of {seats[code - 3]} differs from its attribution by {residual:.6g}; it must be 0"
