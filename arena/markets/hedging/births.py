"""New contracts: the book at the start, and the orders of a step.

Births do not depend on what the hedger does: number, strike, expiry, right and side are functions of the seed, the
step and the spot.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.hedging.columns import (
    BORN,
    BORN_EDGE,
    CUSTOMER_CASH,
    CUSTOMER_CONTRACTS,
    DELTA,
    EDGE,
    GAMMA,
    HEDGER_CASH,
    LEFT,
    LOG_SPOT,
    LOG_STRIKE,
    LOG_VOLATILITY,
    PRICE,
    PUT,
    QUANTITY,
    SPOT,
    STRIKE,
    TURNED_AWAY,
    VEGA,
    slot_row,
)
from arena.markets.hedging.moves import deviation, worth
from arena.markets.hedging.tables import (
    EXPIRIES,
    MONEYNESSES,
    ORDER_EDGE,
    ORDERS_PER_STEP,
    RIGHTS,
    ROOT_YEARS,
    SELL_SHARE,
    SLOTS,
    STRIKE_STEP,
)
from arena.markets.parts import draws
from arena.markets.parts.special import log

BIRTH = 32
"""The market's own source of randomness: index 0 is the number of orders, 3 j + 1 to 3 j + 3 the j-th one's strike,
expiry and right, side."""


@njit(error_model="numpy")
def place(size, number, ahead, effective, state, g, strike, put, left, quantity):
    """Puts a contract into the lowest free slot of game g and marks it; returns the slot, or -1 without a free one.

    strike [currency], put (1 or 0), left [steps], quantity [contracts, signed]; no money
    moves here.
    """
    slots = size[SLOTS]
    j = 0
    while j < slots and state[slot_row(QUANTITY, slots, j), g] != 0.0:
        j += 1
    if j == slots:
        return -1
    log_strike, spot = log(strike), state[SPOT, g]
    sd = deviation(size, number, ahead, effective, left, state[LOG_VOLATILITY, g])
    price, delta, gamma, density = worth(spot, state[LOG_SPOT, g], strike, log_strike, put, sd)
    state[slot_row(STRIKE, slots, j), g] = strike
    state[slot_row(LOG_STRIKE, slots, j), g] = log_strike
    state[slot_row(PUT, slots, j), g] = put
    state[slot_row(LEFT, slots, j), g] = left
    state[slot_row(QUANTITY, slots, j), g] = quantity
    state[slot_row(PRICE, slots, j), g] = price
    state[slot_row(DELTA, slots, j), g] = delta
    state[slot_row(GAMMA, slots, j), g] = gamma
    state[slot_row(VEGA, slots, j), g] = spot * density * number[ROOT_YEARS] * np.sqrt(float(left))
    state[CUSTOMER_CONTRACTS, g] -= quantity
    state[BORN, g] += 1.0
    return j


@njit(error_model="numpy")
def arrive(size, number, orders, ahead, effective, seeds, state, step, lo, hi, work):
    """The orders of a step, at its spot: the customer pays the mark, and the edge to either side; `work` [4, W]."""
    mean, count = work[0], work[1]
    mean[:] = number[ORDERS_PER_STEP]
    draws.poisson_row(seeds, draws.key(BIRTH, step, 0), mean, count, work[2], work[3])
    for g in range(lo, hi):
        state[BORN_EDGE, g] = 0.0
        seed = seeds[g - lo]
        for j in range(int(count[g - lo])):
            u = draws.uniform(seed, draws.key(BIRTH, step, 3 * j + 1))
            asked = state[SPOT, g] * orders[0, int(u * size[MONEYNESSES])]
            strike = max(np.floor(asked / number[STRIKE_STEP] + 0.5), 1.0) * number[STRIKE_STEP]
            u = draws.uniform(seed, draws.key(BIRTH, step, 3 * j + 2))
            which = int(u * (size[EXPIRIES] * size[RIGHTS]))
            left, put = int(orders[1, which // size[RIGHTS]]), orders[2, which % size[RIGHTS]]
            sells = draws.uniform(seed, draws.key(BIRTH, step, 3 * j + 3)) < number[SELL_SHARE]
            quantity = -1.0 if sells else 1.0
            slot = place(size, number, ahead, effective, state, g, strike, put, left, quantity)
            if slot < 0:
                state[TURNED_AWAY, g] += 1.0
                continue
            received = number[ORDER_EDGE] - quantity * state[slot_row(PRICE, size[SLOTS], slot), g]
            state[HEDGER_CASH, g] += received
            state[CUSTOMER_CASH, g] -= received
            state[EDGE, g] += number[ORDER_EDGE]
            state[BORN_EDGE, g] += number[ORDER_EDGE]
