"""What everybody sees at a decision: one row a seat, as `columns.observation` names it.

Arguments of the kernels: see `tables`; `seen` is one game's observation, all seats one after another.
"""

import numpy as np
from numba import njit

from arena.markets.book.columns import (
    AGES,
    AHEAD,
    BEST,
    CASH,
    CLOCK,
    INTENSITY,
    INVENTORY,
    OLDEST,
    OWNER,
    PLACE,
    QUEUE,
    RESTING,
    TOP,
)
from arena.markets.book.events import ASK, BID, RULE, TYPES
from arena.markets.book.matching import allowed, executor_event
from arena.markets.book.queues import double, single, slot
from arena.markets.parts.special import log


@njit(**RULE)
def look_up(own, terms):
    """Where everybody's orders stand: how many are ahead of a seat's best one, and how many it has in the first level.

    A seat without an order on a side has both queues ahead.
    """
    for seat in range(terms.seats):
        for side in range(2):
            own[double(terms, AHEAD, seat, side)] = own[QUEUE + 2 * side] + own[QUEUE + 2 * side + 1]
            own[double(terms, TOP, seat, side)] = 0.0
    for side in range(2):
        for level in range(2):
            queue = 2 * side + level
            ahead = own[QUEUE + 2 * side] if level else 0.0
            for i in range(int(own[RESTING + queue])):
                at = slot(terms, queue, i)
                seat = int(own[at + OWNER]) - 1
                best = double(terms, AHEAD, seat, side)
                own[best] = min(own[best], ahead + own[at + PLACE])
                if level == 0:
                    own[double(terms, TOP, seat, side)] += 1.0


@njit(**RULE)
def _see_places(own, terms, seat, seen, at):
    """Second levels, and places of the first own orders of each side over both levels; returns what comes next.

    Where there are fewer orders, all of the side stands ahead.
    """
    for side in range(2):
        top, deep = own[QUEUE + 2 * side], own[QUEUE + 2 * side + 1]
        seen[at + side] = deep
        first, count = at + 2 + side * terms.see_places, 0
        for i in range(terms.see_places):
            seen[first + i] = top + deep
        for level in range(2):
            queue = 2 * side + level
            for i in range(int(own[RESTING + queue])):
                order = slot(terms, queue, i)
                if own[order + OWNER] == seat + 1 and count < terms.see_places:
                    seen[first + count] = own[order + PLACE] + level * top
                    count += 1
    return at + 2 + 2 * terms.see_places


@njit(**RULE)
def option_event(own, terms, option, seat, choice):
    """The event that an option means to a seat now; -1 for nothing, and for what is no option."""
    maker = seat < terms.makers
    options = terms.maker_options - 1 if maker else 3
    if not (choice >= 0.0 and choice < options) or choice != np.floor(choice):
        return -1
    event = option[0 if maker else 1, int(choice)]
    return event if maker else executor_event(own, terms, event, seat)


@njit(**RULE)
def observe(own, terms, seats, option, step, seen):
    """Writes the rows of all seats; `step` is the decision that comes next."""
    look_up(own, terms)
    at, told = 0, -1  # logarithms of intensities are taken once: `told` is where the first seat has them
    for seat in range(terms.seats):
        maker = seat < terms.makers
        first = at
        inventory = own[single(terms, INVENTORY, seat)]
        seen[at] = terms.dt * (terms.steps - step)
        if maker:
            seen[at + 1] = inventory
            at += 2
        else:
            seen[at + 1] = abs(inventory)
            seen[at + 2] = -1.0 if inventory > 0.0 else 1.0 if inventory < 0.0 else 0.0
            at += 3
        if terms.see_cash:
            seen[at] = own[single(terms, CASH, seat)]
            at += 1
        if terms.see_spread:
            seen[at] = own[BEST + ASK] - own[BEST + BID]
            at += 1
        for side in range(2):
            if terms.see_position:
                seen[at + side] = min(own[double(terms, AHEAD, seat, side)] / own[QUEUE + 2 * side], 1.0)
        at += 2 if terms.see_position else 0
        for side in range(2):
            seen[at + side] = own[double(terms, TOP, seat, side)]
            seen[at + 2 + side] = own[QUEUE + 2 * side]
        at += 4
        if terms.see_places > 0:
            at = _see_places(own, terms, seat, seen, at)
        if terms.see_intensity:
            if told < 0:
                for i in range(TYPES):
                    seen[at + i] = log(1.0 + own[INTENSITY + i])
                told = at
            else:
                for i in range(TYPES):
                    seen[at + i] = seen[told + i]
            at += TYPES
        if terms.see_history:
            for i in range(TYPES * AGES):
                seen[at + i] = min(own[CLOCK] - own[terms.at_history + i], OLDEST)
            at += TYPES * AGES
        options = terms.maker_options if maker else 4
        for i in range(options - 1):
            event = option_event(own, terms, option, seat, float(i))
            seen[at + i] = 1.0 if allowed(own, terms, seats, event, seat) else 0.0
        seen[at + options - 1] = 1.0
        at = first + (terms.maker_columns if maker else terms.executor_columns)
