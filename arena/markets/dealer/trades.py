"""Trades of the dealer market: from orders to fills, from fills to cash.

Every trade is written on both sides: maker and taker, cash and contracts.

Arguments of the kernels: see `tables`, and

    intensity             [M, W]: each maker's factor on the arrival rate, from the flow rule
    share                 [2, M, W]: the part of an order that goes to each maker, by side
    filled                [M, W]: lots that the makers filled of one executor's orders
    volume                [W]: signed lots that takers have bought in this step
    offset                [M]: the makers' offsets in the flow rule
"""

import numpy as np
from numba import njit

from arena.markets.dealer.columns import (
    ARRIVED,
    DIRECTION,
    DISTANCE,
    EDGE_EXECUTOR,
    EDGE_NOISE,
    EXECUTOR_CASH,
    EXECUTOR_FEE,
    EXECUTOR_FILL,
    EXECUTOR_INVENTORY,
    EXECUTOR_SPREAD_COST,
    EXECUTOR_SURPRISE,
    EXECUTORS,
    FEE_CASH,
    FILL,
    FLOW_FACTOR,
    LEAK_CASH,
    MAKER_CASH,
    MAKER_FEE,
    MAKER_INVENTORY,
    MAKERS,
    MID,
    NOISE_CASH,
    NOISE_INVENTORY,
    PRODUCTS,
    RANDOM_FLOW,
    REMAINING,
    REWARD_EXECUTOR,
    REWARD_MAKER,
    SURPRISE,
    UNFILLED_EXECUTOR,
    UNFILLED_NOISE,
)
from arena.markets.dealer.flow import EXPONENTIAL, RELATIVE, flow, independent
from arena.markets.dealer.mid import trade_at_mid
from arena.markets.dealer.moves import NEXT_PRICE, NEXT_SHOCK, next_row
from arena.markets.dealer.tables import (
    DT,
    FLUID,
    HAS_IMPACT,
    HAS_INFORMED,
    IMPACT,
    INFORMED,
    LIMIT,
    LOT,
    MAKER_FEE_RATE,
    ORDERS_AT,
    PAYS_BEST,
    PRODUCT,
    RULE,
    RULE_FIRST,
    RULE_SECOND,
    STOPS,
    TAKER_FEE_RATE,
)
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, INLINE, exp

_CAP = 1e12


@njit(**INLINE)
def work_rows(makers):
    """How many scratch rows `trade` needs for M makers: 4 M for quotes, M for fills and 9 more."""
    return 5 * makers + 9


@njit(fastmath=FAST, error_model="numpy")
def _noise(size, number, at, table, seeds, state, nxt, i, side, intensity, work, step, lo, hi):
    """Noise orders of product i that reach each maker on one side: `fill` rows of the state. `work` [4, W]."""
    n, makers = size[PRODUCTS], size[MAKERS]
    mean, count, mass, total = work[0], work[1], work[2], work[3]
    expected = table[step, size[ORDERS_AT] + 2 * i + side]
    arrived, unfilled = state[at[ARRIVED] + 2 * i + side, lo:hi], state[at[UNFILLED_NOISE] + 2 * i + side, lo:hi]
    factor, lot, way = state[at[FLOW_FACTOR], lo:hi], number[LOT], 2.0 * side - 1.0
    new, shock = nxt[next_row(NEXT_PRICE, n, i)], nxt[next_row(NEXT_SHOCK, n, i)]
    mid = state[at[MID] + i, lo:hi]
    for m in range(makers):
        rate = intensity[m]
        for g in range(mean.shape[0]):
            mean[g] = expected * rate[g]
        if size[RANDOM_FLOW]:
            for g in range(mean.shape[0]):
                mean[g] *= exp(factor[g])
        if size[HAS_INFORMED]:
            for g in range(mean.shape[0]):
                gap = new[g] + shock[g] - mid[g]
                lean = 1.0 if gap > 0.0 else (-1.0 if gap < 0.0 else 0.0)
                mean[g] *= 1.0 + number[INFORMED] * way * lean
        room = state[at[MAKER_INVENTORY] + m * n + i, lo:hi]
        fill = state[at[FILL] + (m * n + i) * 2 + side, lo:hi]
        if size[FLUID]:
            for g in range(mean.shape[0]):
                most = max(number[LIMIT] + way * room[g], 0.0)
                filled = min(mean[g], most)
                arrived[g] += mean[g]
                unfilled[g] += mean[g] - filled
                fill[g] = filled
        else:
            inverse = 1.0 / lot
            for g in range(mean.shape[0]):
                mean[g] = min(mean[g] * inverse, 500.0)
            drawn = draws.key(draws.NOISE, step, (i * 2 + side) * makers + m)
            draws.poisson_row(seeds, drawn, mean, count, mass, total)
            surprise = state[at[SURPRISE] + (m * n + i) * 2 + side, lo:hi]
            for g in range(mean.shape[0]):
                surprise[g] = (count[g] - mean[g]) * lot
            for g in range(mean.shape[0]):
                most = np.floor(min(max((number[LIMIT] + way * room[g]) * inverse, 0.0), _CAP) + 1e-9)
                filled = min(count[g], most)
                arrived[g] += count[g] * lot
                unfilled[g] += (count[g] - filled) * lot
                fill[g] = filled * lot


@njit(fastmath=FAST, error_model="numpy")
def _settle_noise(size, number, at, state, volume, work, i, lo, hi):
    """Books the noise fills of product i: cash, contracts, edge, fees; adds signed taker volume to `volume`.

    work [2, W] is scratch. Short loops: one long loop over so many rows would not vectorise.
    """
    n, makers = size[PRODUCTS], size[MAKERS]
    earned, net = work[0], work[1]
    mid, noise_cash = state[at[MID] + i, lo:hi], state[at[NOISE_CASH], lo:hi]
    noise, fees = state[at[NOISE_INVENTORY] + i, lo:hi], state[at[FEE_CASH], lo:hi]
    maker_fee, taker_fee = number[MAKER_FEE_RATE], number[TAKER_FEE_RATE]
    for m in range(makers):
        r = (m * n + i) * 2
        bid, ask = state[at[FILL] + r, lo:hi], state[at[FILL] + r + 1, lo:hi]
        low, high = state[at[DISTANCE] + r, lo:hi], state[at[DISTANCE] + r + 1, lo:hi]
        q, cash = state[at[MAKER_INVENTORY] + m * n + i, lo:hi], state[at[MAKER_CASH] + m, lo:hi]
        edge, reward = state[at[EDGE_NOISE] + m, lo:hi], state[at[REWARD_MAKER] + m, lo:hi]
        paid = state[at[MAKER_FEE] + m, lo:hi]
        for g in range(mid.shape[0]):
            earned[g] = bid[g] * low[g] + ask[g] * high[g]
            net[g] = bid[g] - ask[g]
        for g in range(mid.shape[0]):
            q[g] += net[g]
            noise[g] -= net[g]
            volume[g] -= net[g]
        for g in range(mid.shape[0]):
            change = earned[g] - net[g] * mid[g]
            cash[g] += change
            noise_cash[g] -= change
            edge[g] += earned[g]
            reward[g] += earned[g]
        if maker_fee != 0.0 or taker_fee != 0.0:
            for g in range(mid.shape[0]):
                traded = bid[g] + ask[g]
                cash[g] -= maker_fee * traded
                noise_cash[g] -= taker_fee * traded
                fees[g] += (maker_fee + taker_fee) * traded
                paid[g] += maker_fee * traded
                reward[g] -= maker_fee * traded


@njit(fastmath=FAST, error_model="numpy")
def _settle_executor(size, number, at, executor, state, volume, work, j, i, filled, lo, hi):
    """Books what executor j traded with each maker, filled [M, W] lots on the side of its order.

    work [6, W]: the best distance on that side, scratch, and (row 5) the executor's lots per lot that makers filled: 1
    but under the fluid relative rule, which does not clear; the noise takes the difference, at the mid and without a
    fee. Nobody fills at an absent quote, whose 0 lots cost 0.
    """
    n, makers, traders = size[PRODUCTS], size[MAKERS], size[EXECUTORS]
    mid, direction = state[at[MID] + i, lo:hi], state[at[DIRECTION] + j, lo:hi]
    own_cash, own = state[at[EXECUTOR_CASH] + j, lo:hi], state[at[EXECUTOR_INVENTORY] + j, lo:hi]
    remaining, got = state[at[REMAINING] + j, lo:hi], state[at[EXECUTOR_FILL] + j, lo:hi]
    spread_cost, fee = state[at[EXECUTOR_SPREAD_COST] + j, lo:hi], state[at[EXECUTOR_FEE] + j, lo:hi]
    reward, fees, leak = state[at[REWARD_EXECUTOR] + j, lo:hi], state[at[FEE_CASH], lo:hi], state[at[LEAK_CASH], lo:hi]
    maker_fee, taker_fee = number[MAKER_FEE_RATE], number[TAKER_FEE_RATE]
    pays_best, best = executor[j, PAYS_BEST] > 0.0, work[0]
    earned, cost, signed = work[1], work[2], work[3]
    clears = not (size[FLUID] and size[RULE] == RELATIVE)
    for m in range(makers):
        r = (m * n + i) * 2
        low, high = state[at[DISTANCE] + r, lo:hi], state[at[DISTANCE] + r + 1, lo:hi]
        bid, ask = state[at[FILL] + r, lo:hi], state[at[FILL] + r + 1, lo:hi]
        q, cash = state[at[MAKER_INVENTORY] + m * n + i, lo:hi], state[at[MAKER_CASH] + m, lo:hi]
        edge = state[at[EDGE_EXECUTOR] + m * traders + j, lo:hi]
        paid, gain = state[at[MAKER_FEE] + m, lo:hi], state[at[REWARD_MAKER] + m, lo:hi]
        lots = filled[m]
        mine = lots
        # several short loops: one long loop over so many rows would not vectorise
        for g in range(mid.shape[0]):
            quoted = high[g] if direction[g] > 0.0 else low[g]
            earned[g] = lots[g] * quoted
            cost[g] = lots[g] * best[g] if pays_best else earned[g]
            signed[g] = lots[g] * direction[g]
        if not clears:
            mine = work[4]
            _uncleared(state, at, lots, work[5], direction, cost, mid, mine, i, lo, hi)
        for g in range(mid.shape[0]):
            ask[g] += max(signed[g], 0.0)
            bid[g] += max(-signed[g], 0.0)
            q[g] -= signed[g]
            volume[g] += signed[g]
        for g in range(mid.shape[0]):
            cash[g] += signed[g] * mid[g] + earned[g] - maker_fee * lots[g]
            signed[g] = mine[g] * direction[g]
        for g in range(mid.shape[0]):
            own_cash[g] -= signed[g] * mid[g] + cost[g] + taker_fee * mine[g]
            leak[g] += cost[g] - earned[g]
        for g in range(mid.shape[0]):
            own[g] += signed[g]
            remaining[g] -= signed[g]
            got[g] += mine[g]
        for g in range(mid.shape[0]):
            edge[g] += earned[g]
            gain[g] += earned[g] - maker_fee * lots[g]
            spread_cost[g] += cost[g]
            reward[g] -= cost[g] + taker_fee * mine[g]
        if maker_fee != 0.0 or taker_fee != 0.0:
            for g in range(mid.shape[0]):
                fees[g] += maker_fee * lots[g] + taker_fee * mine[g]
                paid[g] += maker_fee * lots[g]
                fee[g] += taker_fee * mine[g]


@njit(fastmath=FAST, error_model="numpy")
def _uncleared(state, at, lots, scale, direction, cost, mid, mine, i, lo, hi):
    """The executor's part of one maker's fill where shares do not add up to one; the noise takes the difference.

    lots [W] filled at the `mid`, `scale` and `direction` of the executor; `mine` is written, `cost` scaled.
    """
    noise, noise_cash = state[at[NOISE_INVENTORY] + i, lo:hi], state[at[NOISE_CASH], lo:hi]
    for g in range(mid.shape[0]):
        mine[g] = lots[g] * scale[g]
        cost[g] *= scale[g]
        excess = (lots[g] - mine[g]) * direction[g]
        noise[g] += excess
        noise_cash[g] -= excess * mid[g]


@njit(fastmath=FAST, error_model="numpy")
def _route(size, number, at, executor, seeds, state, share, rate, filled, work, j, i, step, lo, hi):
    """Executor j's orders of this step to the makers of product i: filled [M, W]. share [2, M, W] by side.

    Fluid: rate * dt times the shares, which add up to one but under the relative rule (`work[5]`: one over their sum).
    Poisson: a count of orders, each going to maker m with probability share_m. A maker whose inventory limit is reached
    fills no more; what nobody fills stays with the executor. `work` [6, W].
    """
    n, makers = size[PRODUCTS], size[MAKERS]
    direction, remaining = state[at[DIRECTION] + j, lo:hi], state[at[REMAINING] + j, lo:hi]
    unfilled = state[at[UNFILLED_EXECUTOR] + j, lo:hi]
    mean, count, mass, total, live = work[0], work[1], work[2], work[3], work[4]
    dt, lot, limit = number[DT], number[LOT], number[LIMIT]
    for m in range(makers):
        filled[m][:] = 0.0
    if size[FLUID]:
        scale = work[5]
        for g in range(mean.shape[0]):
            unfilled[g] += rate[g] * dt
            scale[g] = 1.0
        if size[RULE] == RELATIVE:
            _inverse_sum(share, direction, scale)
        for m in range(makers):
            out, to_bid, to_ask = filled[m], share[0, m], share[1, m]
            q = state[at[MAKER_INVENTORY] + m * n + i, lo:hi]
            for g in range(mean.shape[0]):
                part = to_ask[g] if direction[g] > 0.0 else to_bid[g]
                most = max(limit + direction[g] * q[g], 0.0)
                out[g] = min(rate[g] * dt * part, most)
                unfilled[g] -= out[g] * scale[g]
        return
    inverse = 1.0 / lot
    for g in range(mean.shape[0]):
        mean[g] = min(rate[g] * dt * inverse, 500.0)
    draws.poisson_row(seeds, draws.key(draws.EXECUTION, step, j), mean, count, mass, total)
    surprise = state[at[EXECUTOR_SURPRISE] + j, lo:hi]
    for g in range(mean.shape[0]):
        surprise[g] = (count[g] - mean[g]) * lot
    if executor[j, STOPS] > 0.0:
        for g in range(mean.shape[0]):
            count[g] = min(count[g], np.floor(max(remaining[g] * direction[g] * inverse, 0.0) + 1e-9))
    order = 0
    waiting = 1
    while waiting != 0:
        waiting = 0
        k = draws.key(draws.ROUTING, step, j * 65536 + order)
        order += 1
        for g in range(mean.shape[0]):
            live[g] = 1.0 if count[g] > 0.5 else 0.0
            total[g] = draws.uniform(seeds[g], k)
            unfilled[g] += live[g] * lot
            count[g] -= live[g]
            waiting |= count[g] > 0.5
        for m in range(makers):
            out, to_bid, to_ask = filled[m], share[0, m], share[1, m]
            q = state[at[MAKER_INVENTORY] + m * n + i, lo:hi]
            for g in range(mean.shape[0]):
                part = to_ask[g] if direction[g] > 0.0 else to_bid[g]
                # the order goes to the first maker whose cumulated share exceeds the uniform number
                chosen = 1.0 if (total[g] < part) & (live[g] > 0.0) else 0.0
                total[g] = 2.0 if chosen > 0.0 else total[g] - part
                most = limit + direction[g] * q[g] - out[g]
                take = chosen * lot if most >= lot * (1.0 - 1e-9) else 0.0
                out[g] += take
                unfilled[g] -= take


@njit(fastmath=FAST, error_model="numpy")
def _inverse_sum(share, direction, scale):
    """One over the sum of the shares [2, M, W] on the side of the order; 0 where nobody quotes."""
    for g in range(scale.shape[0]):
        scale[g] = 0.0
    for m in range(share.shape[1]):
        to_bid, to_ask = share[0, m], share[1, m]
        for g in range(scale.shape[0]):
            scale[g] += to_ask[g] if direction[g] > 0.0 else to_bid[g]
    for g in range(scale.shape[0]):
        scale[g] = 1.0 / scale[g] if scale[g] > 0.0 else 0.0


@njit(fastmath=FAST, error_model="numpy")
def trade(size, number, at, executor, offset, table, seeds, state, nxt, rate, work, step, lo, hi):
    """All trades of a step: noise first, then the executors, product by product; then the mark impact.

    work [`work_rows`, W]: intensities, shares of both sides and distances of the makers, their fills of an executor's
    orders, the best distance of each side, the takers' signed volume, and six rows of scratch.
    """
    n, makers, traders = size[PRODUCTS], size[MAKERS], size[EXECUTORS]
    intensity, share = work[0:makers], work[makers : 3 * makers]
    distance, filled = work[3 * makers : 4 * makers], work[4 * makers : 5 * makers]
    best, volume = work[5 * makers : 5 * makers + 2], work[5 * makers + 2]
    scratch = work[5 * makers + 3 : 5 * makers + 9]
    shares = share.reshape((2, makers, share.shape[1]))
    for j in range(traders):
        state[at[EXECUTOR_FILL] + j, lo:hi] = 0.0
    for i in range(n):
        if makers == 0:
            trade_at_mid(size, number, at, executor, table, state, nxt, rate, volume, i, step, lo, hi)
            continue
        for side in range(2):
            for m in range(makers):
                distance[m] = state[at[DISTANCE] + (m * n + i) * 2 + side, lo:hi]
            if size[RULE] == EXPONENTIAL and traders == 0:  # nobody needs the shares
                independent(number[RULE_FIRST], distance, intensity)
            else:
                first, second, side_best, total = number[RULE_FIRST], number[RULE_SECOND], best[side], scratch[5]
                flow(size[RULE], first, second, offset, distance, intensity, shares[side], side_best, total)
                if size[RULE] == RELATIVE and size[FLUID]:  # each maker gets its own part of every order
                    shares[side][:] = intensity
            _noise(size, number, at, table, seeds, state, nxt, i, side, intensity, scratch, step, lo, hi)
        volume[:] = 0.0
        _settle_noise(size, number, at, state, volume, scratch, i, lo, hi)
        for j in range(traders):
            if int(executor[j, PRODUCT]) == i:
                _route(size, number, at, executor, seeds, state, shares, rate[j], filled, scratch, j, i, step, lo, hi)
                direction = state[at[DIRECTION] + j, lo:hi]
                cheapest, bid, ask = scratch[0], best[0], best[1]
                for g in range(cheapest.shape[0]):
                    cheapest[g] = ask[g] if direction[g] > 0.0 else bid[g]
                _settle_executor(size, number, at, executor, state, volume, scratch, j, i, filled, lo, hi)
        if size[HAS_IMPACT]:
            shock = nxt[next_row(NEXT_SHOCK, n, i)]
            for g in range(shock.shape[0]):
                shock[g] += number[IMPACT] * volume[g]
