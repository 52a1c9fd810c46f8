"""How prices move and what positions are worth: kernels of the dealer market that do not look at quotes.

All rows are slices of one block of games, [W]. `nxt` is a scratch array whose first rows hold the next spot, log-spot,
log-volatility and noise factor, then the next price, delta, gamma, vega and shock of each product.
"""

import numpy as np
from numba import njit

from arena.markets.dealer.columns import (
    DELTA,
    FEE_CASH,
    FILL,
    FLOW_FACTOR,
    GAMMA,
    HEDGE_COST,
    HEDGE_PNL,
    INVENTORY_PNL,
    LOG_SPOT,
    LOG_VOLATILITY,
    MAKER_CASH,
    MAKER_HEDGE,
    MAKER_INVENTORY,
    MID,
    PRICE,
    REWARD_MAKER,
    RUNNING_PENALTY,
    SHOCK,
    SPOT,
    TERMINAL_PENALTY,
    VEGA,
    VENUE_CASH,
    VENUE_HEDGE,
)
from arena.markets.dealer.tables import (
    COSTLY,
    DT,
    FLOW_PERSISTENCE,
    FLOW_SHOCK,
    FLUID,
    HAS_LOADING_RISK,
    HAS_QUADRATIC,
    HAS_SHOCK,
    HAS_VEGA_RISK,
    HEDGE,
    HEDGE_RATE,
    LOADING_AVERSION,
    PERFECT,
    PSI_ALL,
    PSI_EACH,
    STEPS,
    VEGA_AVERSION,
    VOL_CORRELATION,
    VOL_MEAN,
    VOL_PERSISTENCE,
    VOL_SHOCK,
    YEARS_PER_STEP,
)
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, exp, normal_cdf_and_density

NEXT_SPOT, NEXT_LOG_SPOT, NEXT_LOG_VOLATILITY, NEXT_FLOW, NEXT_PRODUCT = range(5)


@njit(fastmath=FAST, error_model="numpy")
def price_products(n, product, table_row, spot, log_spot, out):
    """Price, delta, gamma, vega of every product into out [4 n, W]: rows price[n], delta[n], gamma[n], vega[n].

    Black-Scholes without interest, d1 = (ln S - ln K)/s + s/2 with s the standard deviation left to expiry. The put
    follows by parity, C - P = S - K.
    """
    for i in range(n):
        price, delta, gamma, vega = out[i], out[n + i], out[2 * n + i], out[3 * n + i]
        sign, strike, log_strike = product[i, 0], product[i, 1], product[i, 2]
        if sign == 0.0:
            for g in range(spot.shape[0]):
                price[g] = spot[g]
                delta[g] = 1.0
                gamma[g] = 0.0
                vega[g] = 0.0
            continue
        s = max(table_row[1 + i], 1e-9)
        root_years = table_row[1 + n + i]
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
    n = size[0]
    spot, log_spot = state[at[SPOT], lo:hi], state[at[LOG_SPOT], lo:hi]
    y, f = state[at[LOG_VOLATILITY], lo:hi], state[at[FLOW_FACTOR], lo:hi]
    s1, l1, y1, f1 = nxt[NEXT_SPOT], nxt[NEXT_LOG_SPOT], nxt[NEXT_LOG_VOLATILITY], nxt[NEXT_FLOW]
    a, b = draws.key(draws.SPOT, step, 0), draws.key(draws.SPOT, step, 1)
    sd = table[step, 0]
    if size[4]:
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
    if size[5]:
        a, b = draws.key(draws.FLOW, step, 0), draws.key(draws.FLOW, step, 1)
        for g in range(spot.shape[0]):
            f1[g] = number[FLOW_PERSISTENCE] * f[g] + number[FLOW_SHOCK] * draws.normal(seeds[g], a, b)
    else:
        for g in range(spot.shape[0]):
            f1[g] = f[g]
    price_products(n, product, table[step + 1], s1, l1, nxt[NEXT_PRODUCT : NEXT_PRODUCT + 4 * n])
    for i in range(n):
        new, old = nxt[NEXT_PRODUCT + 4 * n + i], state[at[SHOCK] + i, lo:hi]
        for g in range(new.shape[0]):
            new[g] = old[g]
    if size[HAS_SHOCK]:
        for j in range(n):
            a, b = draws.key(draws.SHOCK, step, 2 * j), draws.key(draws.SHOCK, step, 2 * j + 1)
            z = nxt[NEXT_PRODUCT + 5 * n]
            for g in range(z.shape[0]):
                z[g] = draws.normal(seeds[g], a, b)
            for i in range(n):
                loading = table[step, 1 + 4 * n + i * n + j]
                new = nxt[NEXT_PRODUCT + 4 * n + i]
                for g in range(z.shape[0]):
                    new[g] += loading * z[g]


@njit(fastmath=FAST, error_model="numpy")
def hedge_and_mark(size, number, at, state, nxt, offset_action, work, m, lo, hi):
    """Hedges maker m's deltas over the move and marks its book; `work` [2, W] is scratch.

    perfect: the venue pays -sum_i q_i (p_i(t+dt, S') - p_i(t, S)). costly, agent: shares h trade at S, earn h (S' - S).
    """
    n = size[0]
    book = at[MAKER_INVENTORY] + m * n
    cash, venue = state[at[MAKER_CASH] + m, lo:hi], state[at[VENUE_CASH], lo:hi]
    reward = state[at[REWARD_MAKER] + m, lo:hi]
    hedge, pnl = state[at[MAKER_HEDGE] + m, lo:hi], state[at[HEDGE_PNL] + m, lo:hi]
    mark = state[at[INVENTORY_PNL] + m, lo:hi]
    gain, target = work[0], work[1]
    kind = size[HEDGE]
    for i in range(n):
        q, old, shock = state[book + i, lo:hi], state[at[MID] + i, lo:hi], nxt[NEXT_PRODUCT + 4 * n + i]
        new = nxt[NEXT_PRODUCT + i]
        for g in range(gain.shape[0]):
            moved = q[g] * (new[g] + shock[g] - old[g])
            mark[g] += moved
            reward[g] += moved
    if kind == PERFECT:
        for g in range(gain.shape[0]):
            gain[g] = 0.0
            target[g] = 0.0
        for i in range(n):
            q, old, new = state[book + i, lo:hi], state[at[PRICE] + i, lo:hi], nxt[NEXT_PRODUCT + i]
            delta = nxt[NEXT_PRODUCT + n + i]
            for g in range(gain.shape[0]):
                gain[g] -= q[g] * (new[g] - old[g])
                target[g] -= q[g] * delta[g]
        for g in range(gain.shape[0]):
            cash[g] += gain[g]
            venue[g] -= gain[g]
            pnl[g] += gain[g]
            reward[g] += gain[g]
            hedge[g] = target[g]
    elif kind >= COSTLY:
        spot, s1 = state[at[SPOT], lo:hi], nxt[NEXT_SPOT]
        shares, fees = state[at[VENUE_HEDGE], lo:hi], state[at[FEE_CASH], lo:hi]
        cost = state[at[HEDGE_COST] + m, lo:hi]
        for g in range(gain.shape[0]):
            target[g] = offset_action[g]
        for i in range(n):
            q, delta = state[book + i, lo:hi], state[at[DELTA] + i, lo:hi]
            for g in range(gain.shape[0]):
                target[g] -= q[g] * delta[g]
        for g in range(gain.shape[0]):
            traded = target[g] - hedge[g]
            paid = number[HEDGE_RATE] * spot[g] * abs(traded)
            earned = target[g] * (s1[g] - spot[g])
            cash[g] -= traded * spot[g] + paid
            venue[g] += traded * spot[g]
            shares[g] -= traded
            fees[g] += paid
            hedge[g] = target[g]
            cost[g] += paid
            pnl[g] += earned
            reward[g] += earned - paid


@njit(fastmath=FAST, error_model="numpy")
def penalise(size, number, at, maker, table, state, nxt, work, m, step, lo, hi):
    """Charges maker m's running penalty of this step and, at the end, its terminal penalty; `work` [3, W] is scratch.

    A quadratic form x' C x over the step is its mean of both ends in Poisson flow (exact for one fill at a uniform
    time) and (x0^2 + x0 x1 + x1^2)/3 in fluid flow (exact for a linear path).
    """
    n = size[0]
    book, fills = at[MAKER_INVENTORY] + m * n, at[FILL] + m * 2 * n
    before, after, due = work[0], work[1], work[2]
    reward, running = state[at[REWARD_MAKER] + m, lo:hi], state[at[RUNNING_PENALTY] + m, lo:hi]
    for g in range(due.shape[0]):
        due[g] = 0.0
    forms = 0
    if size[HAS_VEGA_RISK]:
        forms = 1
    if size[HAS_LOADING_RISK] or size[HAS_QUADRATIC]:
        forms = n
    for form in range(forms):
        for g in range(due.shape[0]):
            before[g] = 0.0
            after[g] = 0.0
        weight = 0.0
        for i in range(n):
            q, bid, ask = state[book + i, lo:hi], state[fills + 2 * i, lo:hi], state[fills + 2 * i + 1, lo:hi]
            if size[HAS_VEGA_RISK]:
                weight = 0.5 * number[VEGA_AVERSION] * number[DT]
                x = state[at[VEGA] + i, lo:hi]
                for g in range(due.shape[0]):
                    after[g] += q[g] * x[g]
                    before[g] += (q[g] - bid[g] + ask[g]) * x[g]
            elif size[HAS_LOADING_RISK]:
                weight = 0.5 * number[LOADING_AVERSION]
                loading = table[step, 1 + 4 * n + i * n + form]
                for g in range(due.shape[0]):
                    after[g] += q[g] * loading
                    before[g] += (q[g] - bid[g] + ask[g]) * loading
            elif i == form:
                weight = maker[m, 0] * number[DT]
                for g in range(due.shape[0]):
                    after[g] = q[g]
                    before[g] = q[g] - bid[g] + ask[g]
        if size[FLUID]:
            weight = weight / 3.0
            for g in range(due.shape[0]):
                due[g] += weight * (before[g] * before[g] + before[g] * after[g] + after[g] * after[g])
        else:
            weight = weight * 0.5
            for g in range(due.shape[0]):
                due[g] += weight * (before[g] * before[g] + after[g] * after[g])
    if forms > 0:
        for g in range(due.shape[0]):
            running[g] += due[g]
            reward[g] -= due[g]
    if step + 1 == size[STEPS]:
        terminal = state[at[TERMINAL_PENALTY] + m, lo:hi]
        for g in range(due.shape[0]):
            due[g] = 0.0
            before[g] = 0.0
        for i in range(n):
            q, price, shock = state[book + i, lo:hi], nxt[NEXT_PRODUCT + i], nxt[NEXT_PRODUCT + 4 * n + i]
            for g in range(due.shape[0]):
                value = q[g] * (price[g] + shock[g])
                before[g] += value
                due[g] += number[PSI_EACH] * value * value + maker[m, 1] * q[g] * q[g]
        for g in range(due.shape[0]):
            due[g] += number[PSI_ALL] * before[g] * before[g]
            terminal[g] += due[g]
            reward[g] -= due[g]


@njit(fastmath=FAST, error_model="numpy")
def adopt(size, at, state, nxt, lo, hi):
    """Makes the next spot, volatility, factor, prices, greeks and shocks the present ones."""
    n = size[0]
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
        state[at[PRICE] + i, lo:hi] = nxt[NEXT_PRODUCT + i]
        if size[3]:  # the greeks of an asset never change
            state[at[DELTA] + i, lo:hi] = nxt[NEXT_PRODUCT + n + i]
            state[at[GAMMA] + i, lo:hi] = nxt[NEXT_PRODUCT + 2 * n + i]
            state[at[VEGA] + i, lo:hi] = nxt[NEXT_PRODUCT + 3 * n + i]
        state[at[SHOCK] + i, lo:hi] = nxt[NEXT_PRODUCT + 4 * n + i]
        mid, price, shock = state[at[MID] + i, lo:hi], state[at[PRICE] + i, lo:hi], state[at[SHOCK] + i, lo:hi]
        for g in range(mid.shape[0]):
            mid[g] = price[g] + shock[g]
