"""A market without makers: everybody trades at the mid and moves it, the execution game of Guo & Jin, section 2.

Arguments of the kernels: see `tables`.
"""

from numba import njit

from arena.markets.dealer.columns import (
    ARRIVED,
    DIRECTION,
    EXECUTOR_CASH,
    EXECUTOR_FEE,
    EXECUTOR_FILL,
    EXECUTOR_INVENTORY,
    EXECUTOR_PENALTY,
    EXECUTOR_SPREAD_COST,
    EXECUTORS,
    FEE_CASH,
    FLOW_FACTOR,
    MID,
    NOISE_CASH,
    NOISE_INVENTORY,
    PRODUCTS,
    RANDOM_FLOW,
    REMAINING,
    REWARD_EXECUTOR,
)
from arena.markets.dealer.moves import NEXT_SHOCK, next_row
from arena.markets.dealer.tables import DT, IMPACT, ORDERS_AT, PRODUCT, TAKER_FEE_RATE
from arena.markets.parts.special import FAST, exp


@njit(fastmath=FAST, error_model="numpy")
def trade_at_mid(size, number, at, executor, table, state, nxt, rate, push, i, step, lo, hi):
    """Trades of product i without makers: everybody trades at the mid, which moves linearly with the signed volume.

    Fluid orders pay its mean over the step, mid + impact volume / 2 (Guo & Jin, section 2, in steps); the other side is
    everybody else, the noise account. What is left to trade has become dearer by impact * volume: that is charged with
    the penalties. `push` [W] is scratch.
    """
    n, traders = size[PRODUCTS], size[EXECUTORS]
    factor, mid, shock = state[at[FLOW_FACTOR], lo:hi], state[at[MID] + i, lo:hi], nxt[next_row(NEXT_SHOCK, n, i)]
    noise, noise_cash = state[at[NOISE_INVENTORY] + i, lo:hi], state[at[NOISE_CASH], lo:hi]
    fees, taker_fee, dt = state[at[FEE_CASH], lo:hi], number[TAKER_FEE_RATE], number[DT]
    for g in range(push.shape[0]):
        push[g] = 0.0
    for side in range(2):
        expected, arrived = table[step, size[ORDERS_AT] + 2 * i + side], state[at[ARRIVED] + 2 * i + side, lo:hi]
        for g in range(push.shape[0]):
            lots = expected * exp(factor[g]) if size[RANDOM_FLOW] else expected
            arrived[g] += lots
            push[g] += (2.0 * side - 1.0) * lots
    for j in range(traders):
        if int(executor[j, PRODUCT]) == i:
            own, direction = rate[j], state[at[DIRECTION] + j, lo:hi]
            for g in range(push.shape[0]):
                push[g] += own[g] * direction[g] * dt
    for g in range(push.shape[0]):
        push[g] *= number[IMPACT]
        shock[g] += push[g]
    for j in range(traders):
        if int(executor[j, PRODUCT]) != i:
            continue
        own, direction, got = rate[j], state[at[DIRECTION] + j, lo:hi], state[at[EXECUTOR_FILL] + j, lo:hi]
        held, remaining = state[at[EXECUTOR_INVENTORY] + j, lo:hi], state[at[REMAINING] + j, lo:hi]
        cash, reward = state[at[EXECUTOR_CASH] + j, lo:hi], state[at[REWARD_EXECUTOR] + j, lo:hi]
        cost, penalty = state[at[EXECUTOR_SPREAD_COST] + j, lo:hi], state[at[EXECUTOR_PENALTY] + j, lo:hi]
        fee = state[at[EXECUTOR_FEE] + j, lo:hi]
        for g in range(push.shape[0]):
            lots = own[g] * direction[g] * dt
            got[g] += own[g] * dt
            held[g] += lots
            remaining[g] -= lots
            noise[g] -= lots
        for g in range(push.shape[0]):
            lots = own[g] * direction[g] * dt
            above, paid, dearer = 0.5 * push[g] * lots, taker_fee * abs(lots), remaining[g] * push[g]
            cash[g] -= lots * mid[g] + above + paid
            noise_cash[g] += lots * mid[g] + above
            cost[g] += above
            penalty[g] += dearer
            reward[g] -= above + paid + dearer
            fees[g] += paid
            fee[g] += paid
