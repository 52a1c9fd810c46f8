"""How prices move and what contracts are worth: kernels of the hedging market that do not look at actions.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.hedging.columns import (
    CUSTOMER_CASH,
    CUSTOMER_CONTRACTS,
    DELTA,
    EXPIRED,
    GAMMA,
    HEDGER_CASH,
    LEFT,
    LIVE,
    LOG_SPOT,
    LOG_STRIKE,
    LOG_VOLATILITY,
    NET_DELTA,
    NET_GAMMA,
    NET_VEGA,
    PRICE,
    PUT,
    QUANTITY,
    SETTLED,
    SPOT,
    STRIKE,
    VEGA,
    slot_row,
)
from arena.markets.hedging.tables import (
    EFFECTIVE,
    NODE_FIRST,
    NODE_STEP,
    RANDOM_VOLATILITY,
    ROOT_YEARS,
    SLOTS,
    STEPS,
    VOL_CORRELATION,
    VOL_MEAN,
    VOL_PERSISTENCE,
    VOL_SHOCK,
)
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, INLINE, exp, normal_cdf_and_density

LEAST = 1e-9
"""Least standard deviation of ln S to expiry: without any an option is its intrinsic value."""


@njit(fastmath=FAST, error_model="numpy")
def move(size, number, cumulated, seeds, state, step, lo, hi, shock):
    """Moves spot and volatility; `shock` [W] receives what the volatility's logarithm moved beyond its mean."""
    spot, log_spot, y = state[SPOT, lo:hi], state[LOG_SPOT, lo:hi], state[LOG_VOLATILITY, lo:hi]
    a, b = draws.key(draws.SPOT, step, 0), draws.key(draws.SPOT, step, 1)
    if size[RANDOM_VOLATILITY]:
        c, d = draws.key(draws.VOLATILITY, step, 0), draws.key(draws.VOLATILITY, step, 1)
        rho = number[VOL_CORRELATION]
        other = np.sqrt(1.0 - rho * rho)
        for g in range(spot.shape[0]):
            z = draws.normal(seeds[g], a, b)
            shock[g] = number[VOL_SHOCK] * (rho * z + other * draws.normal(seeds[g], c, d))
            sigma = exp(y[g]) * number[ROOT_YEARS]
            log_spot[g] += sigma * z - 0.5 * sigma * sigma
        for g in range(spot.shape[0]):
            y[g] = number[VOL_MEAN] + number[VOL_PERSISTENCE] * (y[g] - number[VOL_MEAN]) + shock[g]
            spot[g] = exp(log_spot[g])
        return
    variance = cumulated[step + 1] - cumulated[step]
    sd = np.sqrt(max(variance, 0.0))
    for g in range(spot.shape[0]):
        shock[g] = 0.0
    if sd > 0.0:
        for g in range(spot.shape[0]):
            log_spot[g] += sd * draws.normal(seeds[g], a, b) - 0.5 * sd * sd
            spot[g] = exp(log_spot[g])


@njit(fastmath=FAST, error_model="numpy")
def deviations(size, cumulated, instant):
    """Standard deviation of ln S over 0, 1, .. more steps at which contracts are marked at an instant, `ahead`.

    Empty where it is not a function of time alone.
    """
    ahead = np.empty(0 if size[EFFECTIVE] else cumulated.shape[0] - size[STEPS])
    for n in range(ahead.shape[0]):
        ahead[n] = np.sqrt(max(cumulated[instant + n] - cumulated[instant], 0.0))
    return ahead


@njit(**INLINE)
def deviation(size, number, ahead, effective, left, y):
    """Standard deviation of ln S over `left` more steps, at which contracts are marked; `ahead` as in `deviations`."""
    if size[EFFECTIVE]:
        nodes = effective.shape[1]
        place = (y - number[NODE_FIRST]) / number[NODE_STEP]
        place = min(max(place, 0.0), nodes - 1.000001)
        i = int(place)
        t = place - i
        row = effective[left]
        p, q = row[i, 0], row[i + 1, 0]
        m, n = row[i, 1] * number[NODE_STEP], row[i + 1, 1] * number[NODE_STEP]
        value = p + t * (m + t * (3.0 * (q - p) - 2.0 * m - n + t * (2.0 * (p - q) + m + n)))
        return exp(value) * number[ROOT_YEARS] * np.sqrt(float(left))
    return ahead[left]


@njit(**INLINE)
def worth(spot, log_spot, strike, log_strike, put, sd):
    """Price, delta and gamma by Black & Scholes without interest, and the density that vega is made of.

    d1 = (ln S - ln K)/sd + sd/2; the put follows by parity, C - P = S - K.
    """
    sd = max(sd, LEAST)
    inverse = 1.0 / sd
    d1 = (log_spot - log_strike) * inverse + 0.5 * sd
    first, density = normal_cdf_and_density(d1)
    second, _ = normal_cdf_and_density(d1 - sd)
    return spot * first - strike * second - put * (spot - strike), first - put, density * inverse / spot, density


@njit(**INLINE)
def vacant(quantity):
    """Whether a slot is free in all games of a block: then nothing is to be done for it."""
    some = 0
    for g in range(quantity.shape[0]):
        some |= quantity[g] != 0.0
    return some == 0


@njit(fastmath=FAST, error_model="numpy")
def remark(size, number, ahead, effective, state, lo, hi, moved, sd):
    """Marks the book after a move, into `moved` [W] what it gained; what expires settles in cash.

    `sd` [W] is scratch.
    """
    slots = size[SLOTS]
    spot, log_spot, y = state[SPOT, lo:hi], state[LOG_SPOT, lo:hi], state[LOG_VOLATILITY, lo:hi]
    root = number[ROOT_YEARS]
    for g in range(moved.shape[0]):
        moved[g] = 0.0
    for j in range(slots):
        quantity = state[slot_row(QUANTITY, slots, j), lo:hi]
        if vacant(quantity):
            continue
        left = state[slot_row(LEFT, slots, j), lo:hi]
        strike, log_strike = state[slot_row(STRIKE, slots, j), lo:hi], state[slot_row(LOG_STRIKE, slots, j), lo:hi]
        put, price = state[slot_row(PUT, slots, j), lo:hi], state[slot_row(PRICE, slots, j), lo:hi]
        delta, gamma = state[slot_row(DELTA, slots, j), lo:hi], state[slot_row(GAMMA, slots, j), lo:hi]
        vega = state[slot_row(VEGA, slots, j), lo:hi]
        expires = 0
        for g in range(moved.shape[0]):
            n = max(left[g] - 1.0, 0.0)
            left[g] = n
            sd[g] = deviation(size, number, ahead, effective, int(n), y[g])
            expires |= (n == 0.0) & (quantity[g] != 0.0)
        for g in range(moved.shape[0]):
            value, first, second, density = worth(spot[g], log_spot[g], strike[g], log_strike[g], put[g], sd[g])
            intrinsic = max((1.0 - 2.0 * put[g]) * (spot[g] - strike[g]), 0.0)
            value = intrinsic if left[g] == 0.0 else value
            moved[g] += quantity[g] * (value - price[g])
            live = 1.0 if quantity[g] != 0.0 else 0.0
            price[g] = live * value
            delta[g] = live * first
            gamma[g] = live * second
            vega[g] = live * spot[g] * density * root * np.sqrt(left[g])
        if expires != 0:
            _settle(state, slots, j, lo, hi)


@njit(error_model="numpy")
def _settle(state, slots, j, lo, hi):
    """Pays the payoff of what has expired in slot j and frees it; wealth stays, for the payoff is the last mark."""
    for g in range(lo, hi):
        q = state[slot_row(QUANTITY, slots, j), g]
        if q != 0.0 and state[slot_row(LEFT, slots, j), g] == 0.0:
            paid = q * state[slot_row(PRICE, slots, j), g]
            state[HEDGER_CASH, g] += paid
            state[CUSTOMER_CASH, g] -= paid
            state[SETTLED, g] += paid
            state[CUSTOMER_CONTRACTS, g] += q
            state[EXPIRED, g] += 1.0
            for field in (QUANTITY, PRICE, DELTA, GAMMA, VEGA):
                state[slot_row(field, slots, j), g] = 0.0


@njit(fastmath=FAST, error_model="numpy")
def survey(size, state, lo, hi):
    """Adds the book up: contracts alive and their delta, gamma and vega, with the holder's sign."""
    slots = size[SLOTS]
    live, delta = state[LIVE, lo:hi], state[NET_DELTA, lo:hi]
    gamma, vega = state[NET_GAMMA, lo:hi], state[NET_VEGA, lo:hi]
    for row in (live, delta, gamma, vega):
        row[:] = 0.0
    for j in range(slots):
        q = state[slot_row(QUANTITY, slots, j), lo:hi]
        if vacant(q):
            continue
        first, second = state[slot_row(DELTA, slots, j), lo:hi], state[slot_row(GAMMA, slots, j), lo:hi]
        third = state[slot_row(VEGA, slots, j), lo:hi]
        for g in range(live.shape[0]):
            live[g] += 1.0 if q[g] != 0.0 else 0.0
            delta[g] += q[g] * first[g]
            gamma[g] += q[g] * second[g]
            vega[g] += q[g] * third[g]
