"""Random numbers as a pure function of (game seed, source, step, index): no stream, no state.

u = mix(mix(seed) + key(source, step, index)), the finaliser of the splitmix64 generator (Steele, Lea & Flood 2014).
A game's randomness therefore depends on nothing but its own seed: not on the batch, not on the worker, not on what
the players do. Runs that differ only in quotes see the same prices and the same order uniforms.
"""

import numpy as np
from numba import njit

from arena.markets.parts.special import FAST, INLINE, cos_turns, exp, log

SPOT, VOLATILITY, SHOCK, FLOW, NOISE, EXECUTION, ROUTING, PARENT, START, ACTION, CHOICE = range(1, 12)
"""The sources of randomness of a game; each has its own key space. Up to 31 are the house's, from 32 on a market's."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_HALF_ULP = 2.0**-53


@njit(**INLINE)
def mix(z):
    """Scrambles 64 bits so that every input bit reaches every output bit."""
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@njit(error_model="numpy")
def key(source, step, index):
    """The 64-bit key of one draw of one step, to be added to a mixed game seed."""
    z = mix(np.uint64(source) * _GOLDEN + np.uint64(step))
    return mix(z + np.uint64(index) * _GOLDEN)


@njit(**INLINE)
def uniform(mixed_seed, draw_key):
    """A uniform number on the open interval (0, 1), 52 random bits."""
    bits = (mix(mixed_seed + draw_key) >> _S12) | _ONE_BITS
    return (np.uint64(bits).view(np.float64) - 1.0) + _HALF_ULP


@njit(**INLINE)
def place(mixed_seed, draw_key):
    """The 64 bits from which a game counts within one source and step: one mix a number instead of a key for each."""
    return mix(mixed_seed + draw_key)


@njit(**INLINE)
def counted(place, index):
    """The index-th uniform number on (0, 1) from a place, index uint64; no state: any may be asked for at any time."""
    bits = (mix(place + index * _GOLDEN) >> _S12) | _ONE_BITS
    return (np.uint64(bits).view(np.float64) - 1.0) + _HALF_ULP


@njit(**INLINE)
def normal(mixed_seed, first_key, second_key):
    """A standard normal number by the Box-Muller transform of two uniforms."""
    radius = np.sqrt(-2.0 * log(uniform(mixed_seed, first_key)))
    return radius * cos_turns(uniform(mixed_seed, second_key))


@njit(cache=True)
def mix_seeds(seeds, out):
    """Mixes the game seeds once at reset, uint64 [B] -> uint64 [B]: neighbouring seeds become unrelated."""
    for g in range(seeds.shape[0]):
        out[g] = mix(seeds[g] + _GOLDEN)


@njit(cache=True, fastmath=FAST, error_model="numpy")
def fill_normals(mixed, source, step, out):
    """Standard normals out[index, game], [K, B]; two rows share one Box-Muller pair of uniforms."""
    for i in range(0, out.shape[0], 2):
        first = key(source, step, i)
        second = key(source, step, i + 1)
        row = out[i]
        if i + 1 == out.shape[0]:
            for g in range(mixed.shape[0]):
                row[g] = normal(mixed[g], first, second)
        else:
            other = out[i + 1]
            for g in range(mixed.shape[0]):
                radius = np.sqrt(-2.0 * log(uniform(mixed[g], first)))
                turn = uniform(mixed[g], second)
                row[g] = radius * cos_turns(turn)
                other[g] = radius * cos_turns(turn - 0.25)


@njit(cache=True)
def fill_uniforms(mixed, source, step, rows, out):
    """Uniform numbers on (0, 1) in the given rows of out [K, B]; row i has a draw of its own."""
    for i in rows:
        draw = key(source, step, i)
        for g in range(mixed.shape[0]):
            out[i, g] = uniform(mixed[g], draw)


@njit(fastmath=FAST, error_model="numpy")
def poisson_row(mixed, draw_key, mean, count, mass, total):
    """Poisson counts from one uniform per game by inversion of the distribution function, all arrays [W].

    count = #{k >= 0 : F(k) < u}, the terms of F by the recursion p_{k+1} = p_k mean/(k+1). The first six terms stay in
    registers; beyond them the loop over k is outside, so that the loop over games vectorises, and ends once no game
    needs another term. A game's count does not depend on its neighbours. `mass`, `total` are scratch. Means up to 500.
    """
    unfinished = 0  # an integer `or` over the games: a floating maximum would not vectorise
    for g in range(mean.shape[0]):
        x = mean[g]
        p = exp(-x)
        f = p - uniform(mixed[g], draw_key)  # F(k) - u
        c = 1.0 if f < 0.0 else 0.0
        p *= x
        f += p
        c += 1.0 if f < 0.0 else 0.0
        p *= x * 0.5
        f += p
        c += 1.0 if f < 0.0 else 0.0
        p *= x * (1.0 / 3.0)
        f += p
        c += 1.0 if f < 0.0 else 0.0
        p *= x * 0.25
        f += p
        c += 1.0 if f < 0.0 else 0.0
        p *= x * 0.2
        f += p
        c += 1.0 if f < 0.0 else 0.0
        count[g] = c
        mass[g] = p
        total[g] = f
        unfinished |= f < 0.0
    k = 5.0
    while unfinished != 0:
        k += 1.0
        inverse = 1.0 / k
        unfinished = 0
        for g in range(mean.shape[0]):
            p = mass[g] * (mean[g] * inverse)
            f = total[g] + p
            mass[g] = p
            total[g] = f
            # past the mode a mass below 1e-17 no longer moves F: rounding must not keep the count growing
            more = (f < 0.0) & ((k <= mean[g]) | (p > 1e-17))
            count[g] += 1.0 if more else 0.0
            unfinished |= more
