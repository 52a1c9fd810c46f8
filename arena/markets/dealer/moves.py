"""How prices move and what positions are worth: kernels of the dealer market that do not look at quotes.

`nxt` is a scratch array whose first rows hold the next spot, log-spot, log-volatility and noise factor, then the next
price, delta, gamma, vega and shock of each product.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.dealer.columns import (
    DELTA,
    FILL,
    FLOW_FACTOR,
    GAMMA,
    HAS_OPTIONS,
    LOG_SPOT,
    LOG_VOLATILITY,
    MAKER_INVENTORY,
    MID,
    PRICE,
    PRODUCTS,
    RANDOM_FLOW,
    RANDOM_VOLATILITY,
    REWARD_MAKER,
    RUNNING_PENALTY,
    SHOCK,
    SPOT,
    TERMINAL_PENALTY,
    VEGA,
)
from arena.markets.dealer.tables import (
    DEVIATION_AT,
    DT,
    FLOW_PERSISTENCE,
    FLOW_SHOCK,
    FLUID,
    HAS_LOADING_RISK,
    HAS_QUADRATIC,
    HAS_SHOCK,
    HAS_VEGA_RISK,
    LOADING_AT,
    LOADING_AVERSION,
    LOG_STRIKE,
    MAKER_RUNNING,
    MAKER_TERMINAL,
    PSI_ALL,
    PSI_EACH,
    ROOT_YEARS_AT,
    SIGN,
    STEPS,
    STRIKE,
    VEGA_AVERSION,
    VOL_CORRELATION,
    VOL_MEAN,
    VOL_PERSISTENCE,
    VOL_SHOCK,
    YEARS_PER_STEP,
)
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, INLINE, exp, normal_cdf_and_density

NEXT_SPOT, NEXT_LOG_SPOT, NEXT_LOG_VOLATILITY, NEXT_FLOW, _NEXT_PRODUCT = range(5)
NEXT_PRICE, NEXT_DELTA, NEXT_GAMMA, NEXT_VEGA, NEXT_SHOCK, _SCRATCH = range(6)


@njit(**INLINE)
def next_row(kind, n, i):
    """The row of `nxt` that holds the price, delta, gamma, vega or shock (`kind`) of product i out of n."""
    return _NEXT_PRODUCT + kind * n + i


@njit(**INLINE)
def next_rows(n):
    """How many rows `nxt` has for n products; the last one is scratch."""
    return next_row(_SCRATCH, n, 1)


@njit(fastmath=FAST, error_model="numpy")
def price_products(size, product, table_row, spot, log_spot, out):
    """Price, delta, gamma, vega of every product into out [4 n, W]: rows price[n], delta[n], gamma[n], vega[n].

    Black-Scholes without interest, d1 = (ln S - ln K)/s + s/2 with s the standard deviation left to expiry. The put
    follows by parity, C - P = S - K.
    """
    n = size[PRODUCTS]
    for i in range(n):
        price, delta, gamma, vega = out[i], out[n + i], out[2 * n + i], out[3 * n + i]
        sign, strike, log_strike = product[i, SIGN], product[i, STRIKE], product[i, LOG_STRIKE]
        if sign == 0.0:
            for g in range(spot.shape[0]):
                price[g] = spot[g]
                delta[g] = 1.0
                gamma[g] = 0.0
                vega[g] = 0.0
            continue
        s = max(table_row[size[DEVIATION_AT] + i], 1e-9)
        root_years = table_row[size[ROOT_YEARS_AT] + i]
        inverse, half = 1.0 / s, 0.5 * s
        put_shift = 1.0 if sign < 0.0 else 0.0
        for g in range(spot.shape[0]):
            d1 = (log_spot[g] - log_strike) * inverse + half
            first, density = normal_cdf_and_density(d1)
            second, _ = normal_cdf_and_density(d1 - s)
            call = spot[g] * first - strike * second
            price[g] = call - put_shift * (spot[g] - strike)
            delta[g] = first - put_shift
            gamma[g] = density * inverse / spot[g]
            vega[g] = spot[g] * density * root_years


@njit(fastmath=FAST, error_model="numpy")
def move(size, number, at, product, table, seeds, state, nxt, step, lo, hi):
    """Draws the next spot, volatility, noise factor, shocks and prices into `nxt`; nothing here depends on players."""
    n = size[PRODUCTS]
    spot, log_spot = state[at[SPOT], lo:hi], state[at[LOG_SPOT], lo:hi]
    y, f = state[at[LOG_VOLATILITY], lo:hi], state[at[FLOW_FACTOR], lo:hi]
    s1, l1, y1, f1 = nxt[NEXT_SPOT], nxt[NEXT_LOG_SPOT], nxt[NEXT_LOG_VOLATILITY], nxt[NEXT_FLOW]
    a, b = draws.key(draws.SPOT, step, 0), draws.key(draws.SPOT, step, 1)
    sd = table[step, 0]
    if size[RANDOM_VOLATILITY]:
        c, d = draws.key(draws.VOLATILITY, step, 0), draws.key(draws.VOLATILITY, step, 1)
        rho = number[VOL_CORRELATION]
        other = np.sqrt(1.0 - rho * rho)
        root = np.sqrt(number[YEARS_PER_STEP])
        for g in range(spot.shape[0]):
            z = draws.normal(seeds[g], a, b)
            z2 = rho * z + other * draws.normal(seeds[g], c, d)
            sigma = exp(y[g]) * root
            l1[g] = log_spot[g] + sigma * z - 0.5 * sigma * sigma
            y1[g] = number[VOL_MEAN] + number[VOL_PERSISTENCE] * (y[g] - number[VOL_MEAN]) + number[VOL_SHOCK] * z2
            s1[g] = exp(l1[g])
    elif sd == 0.0:
        for g in range(spot.shape[0]):
            l1[g] = log_spot[g]
            s1[g] = spot[g]
            y1[g] = y[g]
    else:
        for g in range(spot.shape[0]):
            l1[g] = log_spot[g] + sd * draws.normal(seeds[g], a, b) - 0.5 * sd * sd
            s1[g] = exp(l1[g])
            y1[g] = y[g]
    if size[RANDOM_FLOW]:
        a, b = draws.key(draws.FLOW, step, 0), draws.key(draws.FLOW, step, 1)
        for g in range(spot.shape[0]):
            f1[g] = number[FLOW_PERSISTENCE] * f[g] + number[FLOW_SHOCK] * draws.normal(seeds[g], a, b)
    else:
        for g in range(spot.shape[0]):
            f1[g] = f[g]
    price_products(size, product, table[step + 1], s1, l1, nxt[_NEXT_PRODUCT : next_row(NEXT_SHOCK, n, 0)])
    for i in range(n):
        new, old = nxt[next_row(NEXT_SHOCK, n, i)], state[at[SHOCK] + i, lo:hi]
        for g in range(new.shape[0]):
            new[g] = old[g]
    if size[HAS_SHOCK]:
        for j in range(n):
            a, b = draws.key(draws.SHOCK, step, 2 * j), draws.key(draws.SHOCK, step, 2 * j + 1)
            z = nxt[next_row(_SCRATCH, n, 0)]
            for g in range(z.shape[0]):
                z[g] = draws.normal(seeds[g], a, b)
            for i in range(n):
                loading = table[step, size[LOADING_AT] + i * n + j]
                new = nxt[next_row(NEXT_SHOCK, n, i)]
                for g in range(z.shape[0]):
                    new[g] += loading * z[g]


@njit(fastmath=FAST, error_model="numpy")
def penalise(size, number, at, maker, table, state, nxt, work, m, step, lo, hi):
    """Charges maker m's running penalty of this step and, at the end, its terminal penalty; `work` [3, W] is scratch.

    The running penalty is a weight times the sum of the squares of linear forms sum_i c_i q_i of the book, mean over
    the step: of both ends in Poisson flow (exact for one fill at a uniform time), (x0^2 + x0 x1 + x1^2)/3 in fluid flow
    (exact for a linear path). Forms: the book's vega; or the loading of each shock; or each product's inventory.
    """
    n = size[PRODUCTS]
    book, fills = at[MAKER_INVENTORY] + m * n, at[FILL] + m * 2 * n
    before, after, due = work[0], work[1], work[2]
    forms, weight = 0, 0.0
    if size[HAS_VEGA_RISK]:
        forms, weight = 1, 0.5 * number[VEGA_AVERSION] * number[DT]
    elif size[HAS_LOADING_RISK]:
        forms, weight = n, 0.5 * number[LOADING_AVERSION]
    elif size[HAS_QUADRATIC]:
        forms, weight = n, maker[m, MAKER_RUNNING] * number[DT]
    for g in range(due.shape[0]):
        due[g] = 0.0
    for form in range(forms):
        for g in range(due.shape[0]):
            before[g] = 0.0
            after[g] = 0.0
        for i in range(n):
            q, bid, ask = state[book + i, lo:hi], state[fills + 2 * i, lo:hi], state[fills + 2 * i + 1, lo:hi]
            if size[HAS_VEGA_RISK]:
                vega = state[at[VEGA] + i, lo:hi]
                for g in range(due.shape[0]):
                    after[g] += q[g] * vega[g]
                    before[g] += (q[g] - bid[g] + ask[g]) * vega[g]
            elif size[HAS_LOADING_RISK] or i == form:
                factor = table[step, size[LOADING_AT] + i * n + form] if size[HAS_LOADING_RISK] else 1.0
                for g in range(due.shape[0]):
                    after[g] += q[g] * factor
                    before[g] += (q[g] - bid[g] + ask[g]) * factor
        _add_mean_square(size, weight, before, after, due)
    if forms > 0:
        reward, running = state[at[REWARD_MAKER] + m, lo:hi], state[at[RUNNING_PENALTY] + m, lo:hi]
        for g in range(due.shape[0]):
            running[g] += due[g]
            reward[g] -= due[g]
    if step + 1 == size[STEPS]:
        _penalise_end(size, number, at, maker, state, nxt, work, m, lo, hi)


@njit(fastmath=FAST, error_model="numpy")
def _add_mean_square(size, weight, before, after, due):
    """due += weight times the mean over the step of the square of what goes from `before` to `after`, all [W]."""
    if size[FLUID]:
        third = weight / 3.0
        for g in range(due.shape[0]):
            due[g] += third * (before[g] * before[g] + before[g] * after[g] + after[g] * after[g])
    else:
        half = weight * 0.5
        for g in range(due.shape[0]):
            due[g] += half * (before[g] * before[g] + after[g] * after[g])


@njit(fastmath=FAST, error_model="numpy")
def _penalise_end(size, number, at, maker, state, nxt, work, m, lo, hi):
    """Charges maker m's terminal penalty, of each product's value or inventory and of the book's value."""
    n = size[PRODUCTS]
    value, due = work[0], work[2]
    reward, terminal = state[at[REWARD_MAKER] + m, lo:hi], state[at[TERMINAL_PENALTY] + m, lo:hi]
    for g in range(due.shape[0]):
        due[g] = 0.0
        value[g] = 0.0
    for i in range(n):
        q = state[at[MAKER_INVENTORY] + m * n + i, lo:hi]
        price, shock = nxt[next_row(NEXT_PRICE, n, i)], nxt[next_row(NEXT_SHOCK, n, i)]
        for g in range(due.shape[0]):
            held = q[g] * (price[g] + shock[g])
            value[g] += held
            due[g] += number[PSI_EACH] * held * held + maker[m, MAKER_TERMINAL] * q[g] * q[g]
    for g in range(due.shape[0]):
        due[g] += number[PSI_ALL] * value[g] * value[g]
        terminal[g] += due[g]
        reward[g] -= due[g]


@njit(fastmath=FAST, error_model="numpy")
def adopt(size, at, state, nxt, lo, hi):
    """Makes the next spot, volatility, factor, prices, greeks and shocks the present ones."""
    n = size[PRODUCTS]
    for k in range(4):
        first = at[SPOT]
        if k == NEXT_LOG_SPOT:
            first = at[LOG_SPOT]
        elif k == NEXT_LOG_VOLATILITY:
            first = at[LOG_VOLATILITY]
        elif k == NEXT_FLOW:
            first = at[FLOW_FACTOR]
        state[first, lo:hi] = nxt[k]
    for i in range(n):
        state[at[PRICE] + i, lo:hi] = nxt[next_row(NEXT_PRICE, n, i)]
        if size[HAS_OPTIONS]:  # the greeks of an asset never change
            state[at[DELTA] + i, lo:hi] = nxt[next_row(NEXT_DELTA, n, i)]
            state[at[GAMMA] + i, lo:hi] = nxt[next_row(NEXT_GAMMA, n, i)]
            state[at[VEGA] + i, lo:hi] = nxt[next_row(NEXT_VEGA, n, i)]
        state[at[SHOCK] + i, lo:hi] = nxt[next_row(NEXT_SHOCK, n, i)]
        mid, price, shock = state[at[MID] + i, lo:hi], state[at[PRICE] + i, lo:hi], state[at[SHOCK] + i, lo:hi]
        for g in range(mid.shape[0]):
            mid[g] = price[g] + shock[g]
