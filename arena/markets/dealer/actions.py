"""From actions to quotes and rates: what the makers show and how fast the executors trade in this step.

Arguments of the kernels: see `tables`.
"""

from numba import njit

from arena.markets.dealer.columns import (
    CLIPPED_ACTION,
    DIRECTION,
    DISTANCE,
    EXECUTOR_CASH,
    EXECUTOR_IMPACT_COST,
    EXECUTORS,
    IMPACT_CASH,
    MAKER_INVENTORY,
    MAKERS,
    PRODUCTS,
    REMAINING,
    REWARD_EXECUTOR,
)
from arena.markets.dealer.flow import ABSENT
from arena.markets.dealer.tables import (
    CENTRE_MOVES,
    CROSS,
    DT,
    FLUID,
    HALF_LOW,
    HALF_WIDTH,
    LIMIT,
    LOT,
    MAX_DISTANCE,
    MIN_DISTANCE,
    OWN_RATE_HIGH,
    OWN_RATE_LOW,
    RATE_LOW,
    RATE_WIDTH,
    SKEW_LOW,
    SKEW_WIDTH,
    STOPS,
    TEMPORARY,
    WIDTH_MOVES,
)
from arena.markets.parts.actions import read_action
from arena.markets.parts.special import FAST


@njit(fastmath=FAST, error_model="numpy")
def quote(size, number, at, state, action, work, lo, hi):
    """Distances from the actions (half_spread, skew): bid = half - skew, ask = half + skew, clipped; `ABSENT` where a
    fill would break the inventory limit. `work` [2, W]."""
    n, makers = size[PRODUCTS], size[MAKERS]
    clipped = state[at[CLIPPED_ACTION], lo:hi]
    lot = number[LOT] * (1.0 - 1e-9)
    if size[FLUID]:
        lot = 1e-12
    least, most, limit = number[MIN_DISTANCE], number[MAX_DISTANCE], number[LIMIT]
    k = 0
    for m in range(makers):
        for i in range(n):
            read_action(action[k, lo:hi], clipped, work[0])
            read_action(action[k + 1, lo:hi], clipped, work[1])
            k += 2
            half, skew = work[0], work[1]
            r = at[DISTANCE] + (m * n + i) * 2
            bid, ask = state[r, lo:hi], state[r + 1, lo:hi]
            q = state[at[MAKER_INVENTORY] + m * n + i, lo:hi]
            for g in range(bid.shape[0]):
                h = number[HALF_LOW] + (half[g] + 1.0) * (0.5 * number[HALF_WIDTH])
                s = number[SKEW_LOW] + (skew[g] + 1.0) * (0.5 * number[SKEW_WIDTH])
                below = min(max(h - s, least), most)
                above = min(max(h + s, least), most)
                bid[g] = below if q[g] + lot <= limit else ABSENT
                ask[g] = above if q[g] - lot >= -limit else ABSENT
        k += size[CENTRE_MOVES] + size[WIDTH_MOVES]  # the band of the hedge, read by `hedge.read_band`


@njit(fastmath=FAST, error_model="numpy")
def executor_rates(size, number, at, executor, state, action, rate, lo, hi):
    """Rates towards the target into rate [N, W], clipped to each seat's range, zero where nothing is left; charges the
    temporary impact temporary v_j (v_j + cross mean_{l != j} v_l) dt, v signed."""
    traders, first = size[EXECUTORS], action.shape[0] - size[EXECUTORS]
    clipped = state[at[CLIPPED_ACTION] + 1, lo:hi]
    for j in range(traders):
        read_action(action[first + j, lo:hi], clipped, rate[j])
        own, remaining, direction = rate[j], state[at[REMAINING] + j, lo:hi], state[at[DIRECTION] + j, lo:hi]
        stops = executor[j, STOPS] > 0.0
        for g in range(own.shape[0]):
            v = number[RATE_LOW] + (own[g] + 1.0) * (0.5 * number[RATE_WIDTH])
            v = min(max(v, executor[j, OWN_RATE_LOW]), executor[j, OWN_RATE_HIGH])
            left = remaining[g] * direction[g]
            own[g] = (v if left > 1e-12 else 0.0) if stops else v
        if stops and size[FLUID]:
            for g in range(own.shape[0]):
                own[g] = min(own[g], remaining[g] * direction[g] / number[DT])
    for j in range(traders):
        direction, own = state[at[DIRECTION] + j, lo:hi], rate[j]
        cost, cash = state[at[EXECUTOR_IMPACT_COST] + j, lo:hi], state[at[EXECUTOR_CASH] + j, lo:hi]
        sink, reward = state[at[IMPACT_CASH], lo:hi], state[at[REWARD_EXECUTOR] + j, lo:hi]
        weight = executor[j, TEMPORARY] * number[DT]
        for g in range(own.shape[0]):
            paid = weight * own[g] * own[g]
            cost[g] += paid
            cash[g] -= paid
            sink[g] += paid
            reward[g] -= paid
        if executor[j, CROSS] > 0.0 and traders > 1:
            for other in range(traders):
                if other != j:
                    theirs, way = rate[other], state[at[DIRECTION] + other, lo:hi]
                    cross = weight * executor[j, CROSS] / (traders - 1)
                    for g in range(own.shape[0]):
                        paid = cross * own[g] * direction[g] * theirs[g] * way[g]
                        cost[g] += paid
                        cash[g] -= paid
                        sink[g] += paid
                        reward[g] -= paid
