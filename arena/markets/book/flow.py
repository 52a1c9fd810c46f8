"""The background flow: exact simulation of the twelve exciting processes by thinning (Ogata 1981).

Between events every component decays, so the sum of the positive parts bounds the total intensity from now on. A
candidate comes after an exponential time of that rate and is kept with the probability that the intensity then has of
the bound; kept or not, the bound starts anew from there. What waits beyond the end of the step is thrown away: an
exponential time has no memory.

Candidate k of a step takes the random numbers 4k (when), 4k + 1 (whether and which), 4k + 2 (which order is cancelled)
and 4k + 3 (how many orders a new level has).

Arguments of the kernels: see `tables`; besides these
    scratch          for intensities [12]
    place            the 64 bits of `draws.place` for this game and step
    start, stop      times since the seats came, s
"""

import numpy as np
from numba import njit

from arena.markets.book.columns import (
    AGES,
    BEST,
    COMPONENTS,
    EVENTS,
    INTENSITY,
)
from arena.markets.book.events import ASK, BID, POST_INSIDE, RULE, TYPES
from arena.markets.book.matching import happen
from arena.markets.book.tables import SPREADS
from arena.markets.parts import draws
from arena.markets.parts.special import exp, log

PER_CANDIDATE = 4


@njit(**RULE)
def intensities(own, terms, base, factor, out):
    """lambda_i = F_i max(0, mu_i + sum_k S_ki) into out [12]; returns their sum."""
    spread = int(own[BEST + ASK] - own[BEST + BID])
    for i in range(TYPES):
        out[i] = base[i]
    for k in range(terms.components):
        at = COMPONENTS + k * TYPES
        for i in range(TYPES):
            out[i] += own[at + i]
    inside = factor[min(spread, SPREADS - 1)]
    out[POST_INSIDE] *= inside
    out[TYPES - 1 - POST_INSIDE] *= inside
    total = 0.0
    for i in range(TYPES):
        out[i] = max(out[i], 0.0)
        total += out[i]
    return total


@njit(**RULE)
def _bound(own, terms, base, factor):
    """The same sum with all negative components left out: no later intensity passes it before the next event."""
    spread = int(own[BEST + ASK] - own[BEST + BID])
    inside = factor[min(spread, SPREADS - 1)]
    total = 0.0
    for i in range(TYPES):
        value = base[i]
        for k in range(terms.components):
            value += max(own[COMPONENTS + k * TYPES + i], 0.0)
        total += value * (inside if i == POST_INSIDE or i == TYPES - 1 - POST_INSIDE else 1.0)
    return total


@njit(**RULE)
def decay(own, terms, rate, time):
    """All components fade for a while."""
    for k in range(terms.components):
        at = COMPONENTS + k * TYPES
        if terms.common:
            left = exp(-rate[k, 0] * time)
            for i in range(TYPES):
                own[at + i] *= left
        else:
            for i in range(TYPES):
                own[at + i] *= exp(-rate[k, i] * time)


@njit(**RULE)
def excite(own, terms, jump, event, now):
    """What an event adds to the components, and its time, if ages are seen."""
    for k in range(terms.components):
        at = COMPONENTS + k * TYPES
        for i in range(TYPES):
            own[at + i] += jump[event, k, i]
    if terms.see_history:
        at = terms.at_history + event * AGES
        for i in range(AGES - 1, 0, -1):
            own[at + i] = own[at + i - 1]
        own[at] = now


@njit(**RULE)
def flow(own, terms, base, rate, jump, factor, scratch, place, start, stop):
    """Plays the background's events between two times; returns how many there were."""
    now, count, index = start, 0, np.uint64(0)
    background = np.int64(0)  # a variable: a constant would make the compiler write the rules twice
    step = np.uint64(PER_CANDIDATE)
    total = intensities(own, terms, base, factor, scratch)
    while True:
        bound = _bound(own, terms, base, factor) if terms.signed else total
        wait = -log(draws.counted(place, index)) / bound if bound > 0.0 else stop - start + 1.0
        if now + wait > stop:
            decay(own, terms, rate, stop - now)
            return count
        now += wait
        decay(own, terms, rate, wait)
        total = intensities(own, terms, base, factor, scratch)
        level = draws.counted(place, index + np.uint64(1)) * bound
        if level < total:
            event, reached = 0, scratch[0]
            while reached <= level and event < TYPES - 1:
                event += 1
                reached += scratch[event]
            pick, draw = draws.counted(place, index + np.uint64(2)), draws.counted(place, index + np.uint64(3))
            happen(own, terms, event, background, pick, draw, now)
            excite(own, terms, jump, event, now)
            own[EVENTS + event] += 1.0
            count += 1
            total = intensities(own, terms, base, factor, scratch)
        index += step


@njit(**RULE)
def note_intensities(own, terms, base, factor):
    """The intensities of this moment, for who looks."""
    intensities(own, terms, base, factor, own[INTENSITY : INTENSITY + TYPES])
