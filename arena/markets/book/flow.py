"""The background flow: exact simulation of the twelve exciting processes by thinning (Ogata 1981).

Between events every component decays, so the sum of the positive parts bounds the total intensity from now on. A
candidate comes after an exponential time of that rate and is kept with the probability that the intensity then has of
the bound; kept or not, the bound starts anew from there. What waits beyond the end of the step is thrown away: an
exponential time has no memory.

Where nothing inhibits and each component has one rate (`plain`), a candidate needs no vectors: two sums a component,
one of them to be multiplied by the in-spread factor, say what the total is. The vectors fade at kept candidates.

Candidate k of a step takes the random numbers 4k (when), 4k + 1 (whether and which), 4k + 2 (which order is cancelled)
and 4k + 3 (how many orders a new level has).

Arguments of the kernels: see `tables`; besides these
    scratch          for intensities [12]
    sums             for what is carried of each component in a plain flow [K, 3]
    place            the 64 bits of `draws.place` for this game and step
    start, stop      times since the seats came, s
    log_rows         rows for time, event and the spread just before it [N, 3]; what has no row is not written down
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
from arena.markets.book.events import ASK, BID, POST_INSIDE, RULE, SMALL, TYPES
from arena.markets.book.matching import happen
from arena.markets.book.tables import SPREADS
from arena.markets.parts import draws
from arena.markets.parts.special import exp, log

PER_CANDIDATE = 4
FADED, OUTSIDE, INSIDE = range(3)


@njit(**SMALL)
def _inside(own, factor):
    """The factor of in-spread orders at this spread."""
    return factor[min(int(own[BEST + ASK] - own[BEST + BID]), SPREADS - 1)]


@njit(**RULE)
def intensities(own, terms, base, factor, out):
    """lambda_i = F_i max(0, mu_i + sum_k S_ki) into out [12]; returns their sum."""
    for i in range(TYPES):
        out[i] = base[i]
    for k in range(terms.components):
        at = COMPONENTS + k * TYPES
        for i in range(TYPES):
            out[i] += own[at + i]
    inside = _inside(own, factor)
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
    inside, total = _inside(own, factor), 0.0
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


@njit(**SMALL)
def _outer(values, at):
    """Sum of a 12-vector without the two in-spread orders."""
    ask = (values[at] + values[at + 1]) + (values[at + 2] + values[at + 3])
    bid = (values[at + 11] + values[at + 10]) + (values[at + 9] + values[at + 8])
    return (ask + bid) + (values[at + 4] + values[at + 7])


@njit(**SMALL)
def _inner(values, at):
    """Sum of the two in-spread orders."""
    return values[at + POST_INSIDE] + values[at + TYPES - 1 - POST_INSIDE]


@njit(**RULE)
def _sum_up(own, terms, sums):
    """What a plain flow carries of its components: how much each has faded since its vector did, and its two sums."""
    for k in range(terms.components):
        at = COMPONENTS + k * TYPES
        sums[k, FADED], sums[k, OUTSIDE], sums[k, INSIDE] = 1.0, _outer(own, at), _inner(own, at)


@njit(**RULE)
def _fade_sums(terms, rate, wait, sums):
    """Time passes for what is carried."""
    for k in range(terms.components):
        left = exp(-rate[k, 0] * wait)
        sums[k, FADED] *= left
        sums[k, OUTSIDE] *= left
        sums[k, INSIDE] *= left


@njit(**SMALL)
def _total(terms, outside, inside, factor, sums):
    """The total intensity from base rates and sums."""
    for k in range(terms.components):
        outside += sums[k, OUTSIDE]
        inside += sums[k, INSIDE]
    return outside + factor * inside


@njit(**RULE)
def _fade_vectors(own, terms, sums):
    """The vectors catch up with the sums."""
    for k in range(terms.components):
        left, at = sums[k, FADED], COMPONENTS + k * TYPES
        for i in range(TYPES):
            own[at + i] *= left
        sums[k, FADED] = 1.0


@njit(**SMALL)
def _pick(level, rates):
    """The event in whose part of the sum of all rates a level falls; sums by threes, so that none waits for eleven."""
    a, b, c = rates[0] + rates[1], rates[3] + rates[4], rates[6] + rates[7]
    first, second, third = a + rates[2], b + rates[5], c + rates[8]
    half = first + second
    most = half + third
    return (
        int(rates[0] <= level) + int(a <= level) + int(first <= level)
        + int(first + rates[3] <= level) + int(first + b <= level) + int(half <= level)
        + int(half + rates[6] <= level) + int(half + c <= level) + int(most <= level)
        + int(most + rates[9] <= level) + int(most + (rates[9] + rates[10]) <= level)
    )  # fmt: skip


@njit(**RULE)
def flow(own, terms, base, rate, jump, reach, factor, scratch, sums, place, start, stop, log_rows):
    """Plays the background's events between two times; returns how many there were."""
    now, count, index = start, 0, np.uint64(0)
    background = np.int64(0)  # a variable: a constant would make the compiler write the rules twice
    step, plain = np.uint64(PER_CANDIDATE), terms.plain
    outside, inside, widened = _outer(base, 0), _inner(base, 0), _inside(own, factor)
    if plain:
        _sum_up(own, terms, sums)
        total = _total(terms, outside, inside, widened, sums)
    else:
        total = intensities(own, terms, base, factor, scratch)
    while True:
        bound = total if plain else _bound(own, terms, base, factor)
        wait = -log(draws.counted(place, index)) / bound if bound > 0.0 else stop - start + 1.0
        if now + wait > stop:
            break
        now += wait
        if plain:
            _fade_sums(terms, rate, wait, sums)
            total = _total(terms, outside, inside, widened, sums)
        else:
            decay(own, terms, rate, wait)
            total = intensities(own, terms, base, factor, scratch)
        level = draws.counted(place, index + np.uint64(1)) * bound
        if level < total:
            if plain:
                _fade_vectors(own, terms, sums)
                intensities(own, terms, base, factor, scratch)
            event = _pick(level, scratch)
            if count < log_rows.shape[0]:
                log_rows[count, 0], log_rows[count, 1] = now, event
                log_rows[count, 2] = own[BEST + ASK] - own[BEST + BID]
            pick, draw = draws.counted(place, index + np.uint64(2)), draws.counted(place, index + np.uint64(3))
            happen(own, terms, event, background, pick, draw, now)
            excite(own, terms, jump, event, now)
            own[EVENTS + event] += 1.0
            count += 1
            if plain:
                widened = _inside(own, factor)
                for k in range(terms.components):
                    sums[k, OUTSIDE] += reach[event, k, 0]
                    sums[k, INSIDE] += reach[event, k, 1]
                total = _total(terms, outside, inside, widened, sums)
            else:
                total = intensities(own, terms, base, factor, scratch)
        index += step
    if plain:
        _fade_sums(terms, rate, stop - now, sums)
        _fade_vectors(own, terms, sums)
    else:
        decay(own, terms, rate, stop - now)
    return count


@njit(**RULE)
def note_intensities(own, terms, base, factor):
    """The intensities of this moment, for who looks."""
    intensities(own, terms, base, factor, own[INTENSITY : INTENSITY + TYPES])
