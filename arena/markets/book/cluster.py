"""The same flow by its family tree: a second, independent way to simulate it, exact for power laws too.

A process without inhibition is a branching process (Hawkes & Oakes 1974): immigrants come at the base rates, and every
event has a Poisson number of children after delays drawn from the kernel. Nothing here knows intensities or bounds, so
agreement with `flow` checks both. Where in-spread orders are faster than usual, all are drawn at the fastest factor and
each is kept with the share f(spread)/f_max when its time comes.

Arguments of the kernels: see `tables`; besides these
    norm             G [12, 12], rows are excited
    decay, exponent  rate of an exponential kernel, or scale and exponent of a power law (exponent 0: exponential)
    fastest          the largest in-spread factor that is played, f_max
    stop             length of the game, s
    mixed            mixed seed of each game
    seen             one row per game: background events [12], decisions with a spread of 1, 2, 3 and more [4], last mid
"""

import heapq

import numpy as np
from numba import njit

from arena.layout import Array
from arena.markets.book.columns import BEST, MID
from arena.markets.book.events import ASK, BID, POST_INSIDE, TYPES
from arena.markets.book.flow_settings import Exponential, PowerLaw
from arena.markets.book.kernel import open_book
from arena.markets.book.market import Market
from arena.markets.book.matching import happen
from arena.markets.book.tables import SPREADS, packed
from arena.markets.parts import draws
from arena.markets.parts.special import exp, log

CLUSTER = 37
"""Source of randomness."""
WIDEST = 6
"""Spread up to which the factor is played in full; wider ones are rarer than one in 1e5 and count as this one."""
CELL = 0.1


@njit(error_model="numpy")
def _children(place, count, mean):
    """A Poisson number by its exponential waiting times; returns it and how many random numbers have been used."""
    number, level = 0, 0.0
    while True:
        level -= log(draws.counted(place, count))
        count += np.uint64(1)
        if level > mean:
            return number, count
        number += 1


@njit(cache=True, error_model="numpy")
def _simulate(table, base, factor, norm, decay, exponent, fastest, stop, mixed, own, seen):
    terms = table[0]
    warm = terms.warm_up
    scale = np.ones(TYPES)
    scale[POST_INSIDE] = scale[TYPES - 1 - POST_INSIDE] = fastest
    background = np.int64(0)
    for g in range(mixed.shape[0]):
        place, count = draws.place(mixed[g], draws.key(CLUSTER, 0, 0)), np.uint64(0)
        open_book(own, terms)
        waiting = [(stop + 1.0, 0)]
        for i in range(TYPES):  # immigrants
            now = -warm
            while base[i] > 0.0:
                now -= log(draws.counted(place, count)) / (base[i] * scale[i])
                count += np.uint64(1)
                if now >= stop:
                    break
                heapq.heappush(waiting, (now, i))
        cell = 0.0
        while True:
            now, event = heapq.heappop(waiting)
            while cell <= min(now, stop) and cell < stop:
                spread = int(own[BEST + ASK] - own[BEST + BID])
                seen[g, TYPES + min(spread, 4) - 1] += 1.0
                cell += CELL
            if now >= stop:
                break
            spread = min(int(own[BEST + ASK] - own[BEST + BID]), SPREADS - 1)
            if scale[event] != 1.0:
                kept = draws.counted(place, count) * fastest < factor[spread]
                count += np.uint64(1)
                if not kept:
                    continue
            pick, draw = draws.counted(place, count), draws.counted(place, count + np.uint64(1))
            count += np.uint64(2)
            happen(own, terms, event, background, pick, draw, now)
            if now >= 0.0:
                seen[g, event] += 1.0
            for i in range(TYPES):
                if norm[i, event] > 0.0:
                    born, count = _children(place, count, norm[i, event] * scale[i])
                    for _ in range(born):
                        u = draws.counted(place, count)
                        count += np.uint64(1)
                        delay = -log(u) / decay if exponent == 0.0 else (exp(-log(u) / (exponent - 1.0)) - 1.0) / decay
                        if now + delay < stop:
                            heapq.heappush(waiting, (now + delay, i))
        seen[g, TYPES + 4] = own[MID]


def simulate(market: Market, seeds: Array, stop: float) -> dict[str, Array]:
    """Games of the background alone by the family tree: events [B, 12], share of spreads 1, 2, 3, 4+ [B, 4], mid [B].

    `seeds` uint64 [B], `stop` in seconds. Raises ValueError for a flow with inhibition and for kernels that are neither
    one exponential nor one power law.
    """
    flow = market.flow.plain
    if (flow.excitation < 0.0).any():
        raise ValueError("flow: found inhibition, which no family tree has; allowed are kernels of 0 or more")
    kernel = flow.kernel
    if not isinstance(kernel, Exponential | PowerLaw):
        raise ValueError(f"flow.kernel: found '{kernel.kind}'; allowed are exponential and power_law")
    decay, exponent = (kernel.scale, kernel.exponent) if isinstance(kernel, PowerLaw) else (kernel.rate, 0.0)
    table, base, _, _, _, factor, *_ = packed(market)
    factor = np.minimum(factor, factor[WIDEST])
    mixed = np.empty(len(seeds), np.uint64)
    draws.mix_seeds(np.asarray(seeds, dtype=np.uint64), mixed)
    seen, own = np.zeros((len(seeds), TYPES + 5)), np.zeros(market.state.size)
    _simulate(table, base, factor, flow.excitation, decay, exponent, factor[WIDEST], stop, mixed, own, seen)
    spreads = seen[:, TYPES : TYPES + 4]
    return {"events": seen[:, :TYPES], "spreads": spreads / spreads.sum(axis=1, keepdims=True), "mid": seen[:, -1]}
