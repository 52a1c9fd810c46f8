"""One decision of the book: everybody acts on what all have seen, in an order that is drawn, then the flow goes on.

`begin` opens the games and lets the flow warm up, `advance` plays one step of all of them. A game is one piece of
memory and is played to the end of the step before the next one.

Arguments of the kernels: see `tables`; besides these
    state, observation, action, failure, step   as `arena.markets.market.Rules` has them
    mixed            mixed seed of this game
    turn, wanted     scratch [A]: who acts when, and the event that a seat asked for
"""

import numpy as np
from numba import njit

from arena.markets.book.columns import AGES as AGES_SEEN
from arena.markets.book.columns import (
    BEFORE,
    BEST,
    CAPTURED,
    CASH,
    CLIPPED,
    CLOCK,
    CROSSED,
    EVENTS,
    FEE,
    INTEGRAL,
    INVENTORY,
    LOTS,
    MARK,
    MID,
    MISSED,
    OLDEST,
    OTHER_CASH,
    OTHER_LOTS,
    QUEUE,
    REWARD,
    RUNNING,
    SHAPING,
    SINCE,
    TERMINAL,
    TOP,
    TURN,
)
from arena.markets.book.events import ASK, BID, MARKET, TYPES, kind_of
from arena.markets.book.flow import excite, flow, note_intensities
from arena.markets.book.ledger import check
from arena.markets.book.matching import allowed, happen
from arena.markets.book.queues import double, single
from arena.markets.book.watching import look_up, observe, option_event
from arena.markets.parts import draws

FLOW, WARMING, TURNS, OWN_EVENTS = 32, 33, 34, 35
"""Sources of randomness of this market."""


@njit(error_model="numpy")
def open_book(own, terms):
    """The book at its start: both levels of both sides full of background orders."""
    own[:] = 0.0
    own[BEST + BID], own[BEST + ASK] = terms.start_bid, terms.start_ask
    for side in range(2):
        own[QUEUE + 2 * side], own[QUEUE + 2 * side + 1] = terms.start_top, terms.start_deep
    own[MID] = 0.5 * (own[BEST + BID] + own[BEST + ASK])


@njit(error_model="numpy")
def _arrive(own, terms, seats, mixed):
    """The seats come: nobody holds anything, and executors owe their client a parent order at the mid of now."""
    for seat in range(terms.seats):
        if seats[seat].parent > 0.0:
            side = seats[seat].side
            if side == 0.0:
                side = 1.0 if draws.uniform(mixed, draws.key(draws.PARENT, 0, seat)) < 0.5 else -1.0
            lots = side * seats[seat].parent
            own[single(terms, INVENTORY, seat)] = -lots
            own[single(terms, CASH, seat)] = lots * own[MID]
            own[OTHER_LOTS] += lots
            own[OTHER_CASH] -= lots * own[MID]


@njit(cache=True, error_model="numpy")
def begin(table, base, rate, jump, reach, factor, seats, option, seeds, state, observation):
    """Opens all games: the book at its start, the flow's warm-up, and the first look of everybody."""
    terms, scratch, sums = table[0], np.empty(TYPES), np.empty((rate.shape[0], 3))
    games, seen, unheard = state.T, observation.T, np.empty((0, 3))
    for g in range(seeds.shape[0]):
        own = games[g]
        open_book(own, terms)
        for i in range(TYPES * AGES_SEEN):
            own[terms.at_history + i] = -terms.warm_up - OLDEST
        place = draws.place(seeds[g], draws.key(WARMING, 0, 0))
        flow(own, terms, base, rate, jump, reach, factor, scratch, sums, place, -terms.warm_up, 0.0, unheard)
        for i in range(TYPES):
            own[EVENTS + i] = 0.0
        _arrive(own, terms, seats, seeds[g])
        note_intensities(own, terms, base, factor)
        observe(own, terms, seats, option, 0, seen[g])


@njit(error_model="numpy")
def _draw_turns(terms, mixed, step, turn):
    """Who acts first: a permutation of the seats, drawn anew in each step (Fisher-Yates), or the order of the seats."""
    count = turn.shape[0]
    for i in range(count):
        turn[i] = i
    if terms.fixed_turns or count < 2:
        return
    place = draws.place(mixed, draws.key(TURNS, step, 0))
    for i in range(count - 1, 0, -1):
        j = int(draws.counted(place, np.uint64(i)) * (i + 1))
        turn[i], turn[j] = turn[j], turn[i]


@njit(error_model="numpy")
def _idle(terms, seat):
    """The option that is nothing, always the last."""
    return terms.maker_options - 1 if seat < terms.makers else 3


@njit(error_model="numpy")
def act(own, terms, jump, seats, option, mixed, step, action, turn, wanted):
    """Everybody's choice: read against what all have seen, then carried out in turn, and checked again there.

    `action` [A] is the wire, `turn` and `wanted` [A] are scratch. What was not allowed becomes nothing and is counted
    in `clipped_action`; what somebody else made impossible in the meantime is a seat's own `missed`. Neither excites.
    """
    now = step * terms.dt
    for seat in range(terms.seats):
        own[single(terms, LOTS, seat)] = 0.0
        event = option_event(own, terms, option, seat, action[seat])
        good = event >= 0 and allowed(own, terms, seats, event, seat)
        if not good and action[seat] != _idle(terms, seat):
            own[CLIPPED] += 1.0
        wanted[seat] = event if good else -1
    _draw_turns(terms, mixed, step, turn)
    place = draws.place(mixed, draws.key(OWN_EVENTS, step, 0))
    for rank in range(terms.seats):
        seat = turn[rank]
        own[single(terms, TURN, seat)] = rank
        event = wanted[seat]
        if event < 0:
            continue
        if seat >= terms.makers:  # an order may have moved to another level since it was seen
            event = option_event(own, terms, option, seat, action[seat])
        draw = draws.counted(place, np.uint64(seat))
        done = 0
        if allowed(own, terms, seats, event, seat):
            done = happen(own, terms, event, seat + 1, 0.0, draw, now)
        if done == 0:
            own[single(terms, MISSED, seat)] += 1.0
        else:
            own[single(terms, SHAPING, seat)] -= terms.bonus_acting if seat < terms.makers else 0.0
            mode = seats[seat].excites
            if mode == 2.0 or (mode == 1.0 and kind_of(event) == MARKET):
                excite(own, terms, jump, event, now)


@njit(error_model="numpy")
def _worth(own, terms, seat):
    """Gains less costs and penalties since the start."""
    return (
        own[single(terms, CAPTURED, seat)]
        + own[single(terms, CROSSED, seat)]
        + own[single(terms, MARK, seat)]
        - own[single(terms, FEE, seat)]
        - own[single(terms, RUNNING, seat)]
        - own[single(terms, TERMINAL, seat)]
        - own[single(terms, SHAPING, seat)]
    )


@njit(error_model="numpy")
def _settle(own, terms, seats, step):
    """Penalties of the step, those of the end, and everybody's reward: the change of what it is worth to them."""
    now = (step + 1) * terms.dt
    for seat in range(terms.seats):
        inventory = own[single(terms, INVENTORY, seat)]
        integral = own[single(terms, INTEGRAL, seat)] + inventory * inventory * (now - own[single(terms, SINCE, seat)])
        if seat >= terms.makers or not terms.left_penalty:
            own[single(terms, RUNNING, seat)] += seats[seat].eta * integral
        own[single(terms, INTEGRAL, seat)], own[single(terms, SINCE, seat)] = 0.0, now
        if step + 1 == terms.steps:
            own[single(terms, TERMINAL, seat)] += seats[seat].kappa * inventory * inventory
            own[single(terms, FEE, seat)] += terms.fee_liquidation * abs(inventory) * own[MID]
        worth = _worth(own, terms, seat)
        own[single(terms, REWARD, seat)] = worth - own[single(terms, BEFORE, seat)]
        own[single(terms, BEFORE, seat)] = worth


@njit(error_model="numpy")
def _left(own, terms, seats):
    """Running penalties of makers by the position at the decision, eta Y^2 dt, instead of the integral."""
    for seat in range(terms.makers):
        inventory = own[single(terms, INVENTORY, seat)]
        own[single(terms, RUNNING, seat)] += seats[seat].eta * inventory * inventory * terms.dt


@njit(error_model="numpy")
def _praise(own, terms):
    """Bonus of makers who stand in both first levels after everybody has acted, less what holding lots takes off."""
    if terms.malus_holding > 0.0:
        for seat in range(terms.makers):
            inventory = own[single(terms, INVENTORY, seat)]
            own[single(terms, SHAPING, seat)] += terms.malus_holding * inventory * inventory
    if terms.bonus_quoting > 0.0:
        look_up(own, terms)
        for seat in range(terms.makers):
            if own[double(terms, TOP, seat, BID)] > 0.0 and own[double(terms, TOP, seat, ASK)] > 0.0:
                own[single(terms, SHAPING, seat)] -= terms.bonus_quoting


@njit(cache=True, error_model="numpy")
def advance(table, base, rate, jump, reach, factor, seats, option, seeds, step, state, action, observation, failure):
    """Plays one step of all games; -1, or the code of an identity that does not hold (`failure`: game, residual)."""
    terms, scratch, sums = table[0], np.empty(TYPES), np.empty((rate.shape[0], 3))
    turn, wanted = np.zeros(terms.seats, np.int64), np.zeros(terms.seats, np.int64)
    games, acts, seen, unheard = state.T, action.T, observation.T, np.empty((0, 3))
    flow_key = draws.key(FLOW, step, 0)
    start, stop = step * terms.dt, (step + 1) * terms.dt
    for g in range(seeds.shape[0]):
        own = games[g]
        if terms.left_penalty:
            _left(own, terms, seats)
        act(own, terms, jump, seats, option, seeds[g], step, acts[g], turn, wanted)
        _praise(own, terms)
        place = draws.place(seeds[g], flow_key)
        flow(own, terms, base, rate, jump, reach, factor, scratch, sums, place, start, stop, unheard)
        own[CLOCK] = stop
        note_intensities(own, terms, base, factor)
        _settle(own, terms, seats, step)
        code = check(own, terms, failure)
        if code >= 0:
            failure[0] = g
            return code
        observe(own, terms, seats, option, step + 1, seen[g])
    return -1
