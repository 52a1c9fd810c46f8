"""What the hedger sees: the kernel that writes observations, in the order of `columns.observation`.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.hedging.columns import (
    DELTA,
    GAMMA,
    HEDGE,
    LEFT,
    LIVE,
    LOG_SPOT,
    LOG_STRIKE,
    LOG_VOLATILITY,
    NET_DELTA,
    NET_GAMMA,
    NET_VEGA,
    QUANTITY,
    SPOT,
    slot_row,
)
from arena.markets.hedging.moves import LEAST, deviation, vacant
from arena.markets.hedging.tables import (
    BAND,
    BUCKETS,
    DT,
    GREEKS,
    NUMBERS,
    RANDOM_VOLATILITY,
    ROOT_YEARS,
    SHOW_HEDGE,
    SHOW_LIVE,
    SLOTS,
    STEPS,
)
from arena.markets.parts.special import FAST, exp, log


@njit(fastmath=FAST, error_model="numpy")
def _put(out, column, row, lo, hi, bounds):
    """Writes one column, clipped to its bounds, as float32; returns the next one."""
    target, least, most = out[column, lo:hi], bounds[0, column], bounds[1, column]
    for g in range(row.shape[0]):
        target[g] = min(max(row[g], least), most)
    return column + 1


@njit(fastmath=FAST, error_model="numpy")
def observe(size, number, ahead, effective, bounds, state, observation, instant, lo, hi, work):
    """Writes what is seen of the book at an instant (0 at the start); `work` [4 + 2 x buckets, W] is scratch."""
    near, strike, row, other = work[0], work[1], work[2], work[3]
    time_left = number[DT] * (size[STEPS] - instant)
    row[:] = time_left
    column = _put(observation, 0, row, lo, hi, bounds)
    _nearest(size, state, lo, hi, near, strike)
    y, log_spot = state[LOG_VOLATILITY, lo:hi], state[LOG_SPOT, lo:hi]
    for g in range(row.shape[0]):
        other[g] = deviation(size, number, ahead, effective, int(near[g]), y[g])
    if size[RANDOM_VOLATILITY]:
        column = _put(observation, column, y, lo, hi, bounds)
        for g in range(row.shape[0]):
            annual = other[g] / (number[ROOT_YEARS] * np.sqrt(max(near[g], 1.0)))
            row[g] = annual if near[g] > 0.0 else exp(y[g])
        column = _put(observation, column, row, lo, hi, bounds)
    for g in range(row.shape[0]):
        row[g] = log_spot[g] - strike[g] if near[g] > 0.0 else 0.0
        other[g] = row[g] / max(other[g], LEAST)
    column = _put(observation, column, row, lo, hi, bounds)
    column = _put(observation, column, other, lo, hi, bounds)
    if size[SHOW_LIVE]:
        column = _put(observation, column, state[LIVE, lo:hi], lo, hi, bounds)
    if size[GREEKS]:
        column = _greeks(size, number, bounds, state, observation, column, lo, hi, work)
    if size[SHOW_HEDGE]:
        hedge, delta = state[HEDGE, lo:hi], state[NET_DELTA, lo:hi]
        column = _put(observation, column, hedge, lo, hi, bounds)
        for g in range(row.shape[0]):
            row[g] = hedge[g] + delta[g]
        column = _put(observation, column, row, lo, hi, bounds)


@njit(fastmath=FAST, error_model="numpy")
def _nearest(size, state, lo, hi, near, strike):
    """Steps to expiry and ln K of the contract that expires first (the lowest slot of those), 0 where none is alive."""
    slots = size[SLOTS]
    near[:] = 0.0
    strike[:] = 0.0
    for j in range(slots):
        q = state[slot_row(QUANTITY, slots, j), lo:hi]
        if vacant(q):
            continue
        left, log_strike = state[slot_row(LEFT, slots, j), lo:hi], state[slot_row(LOG_STRIKE, slots, j), lo:hi]
        for g in range(near.shape[0]):
            first = (q[g] != 0.0) & ((near[g] == 0.0) | (left[g] < near[g]))
            near[g] = left[g] if first else near[g]
            strike[g] = log_strike[g] if first else strike[g]


@njit(fastmath=FAST, error_model="numpy")
def _greeks(size, number, bounds, state, observation, column, lo, hi, work):
    """The book's greeks, the band of Whalley & Wilmott (1.5 c S gamma^2/kappa)^(1/3), and delta and gamma by time to
    expiry; returns the next column."""
    slots, spot, gamma, row = size[SLOTS], state[SPOT, lo:hi], state[NET_GAMMA, lo:hi], work[2]
    column = _put(observation, column, state[NET_DELTA, lo:hi], lo, hi, bounds)
    column = _put(observation, column, gamma, lo, hi, bounds)
    column = _put(observation, column, state[NET_VEGA, lo:hi], lo, hi, bounds)
    for g in range(row.shape[0]):
        cube = number[BAND] * spot[g] * gamma[g] * gamma[g]
        row[g] = exp(log(max(cube, 1e-300)) * (1.0 / 3.0)) if cube > 0.0 else 0.0
    column = _put(observation, column, row, lo, hi, bounds)
    buckets = size[BUCKETS]
    if buckets == 0:
        return column
    parts = work[4:]
    for b in range(2 * buckets):
        parts[b][:] = 0.0
    for j in range(slots):
        q = state[slot_row(QUANTITY, slots, j), lo:hi]
        if vacant(q):
            continue
        left = state[slot_row(LEFT, slots, j), lo:hi]
        first, second = state[slot_row(DELTA, slots, j), lo:hi], state[slot_row(GAMMA, slots, j), lo:hi]
        row[:] = -1.0
        for b in range(buckets):
            least = number[NUMBERS + b]
            for g in range(row.shape[0]):
                row[g] += 1.0 if left[g] >= least else 0.0
        for g in range(row.shape[0]):
            b = int(row[g])
            if q[g] != 0.0 and b >= 0:
                parts[b, g] += q[g] * first[g]
                parts[buckets + b, g] += q[g] * second[g]
    for b in range(2 * buckets):
        column = _put(observation, column, parts[b], lo, hi, bounds)
    return column
