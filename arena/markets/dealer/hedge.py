"""How makers hedge their deltas and what that earns and costs: kernels of the dealer market.

`perfect` is a swap with the venue. Otherwise shares are held in a band: `costly` and `agent` of width 0, `band` of the
width that the maker chooses. The penalty on the variation of P&L stands here, for it is what a hedge is bought against.

Arguments of the kernels: see `tables`, and

    middle, width         [W]: a band of shares; its middle is given less the delta-neutral holding
    spot                  [W]: the price at which shares trade
    traded, paid          [W]: what was bought in one trade, and its fee
"""

from numba import njit

from arena.markets.dealer.columns import (
    CLIPPED_ACTION,
    DELTA,
    FEE_CASH,
    HEDGE_COST,
    HEDGE_PNL,
    INVENTORY_PNL,
    MAKER_CASH,
    MAKER_HEDGE,
    MAKER_INVENTORY,
    MID,
    PRICE,
    PRODUCTS,
    REWARD_MAKER,
    SPOT,
    VARIATION_PENALTY,
    VENUE_CASH,
    VENUE_HEDGE,
)
from arena.markets.dealer.moves import NEXT_DELTA, NEXT_PRICE, NEXT_SHOCK, NEXT_SPOT, next_row
from arena.markets.dealer.tables import (
    CENTRE_MIDDLE,
    CENTRE_MOVES,
    CENTRE_REACH,
    HAS_VARIATION,
    HEDGE,
    HEDGE_RATE,
    PERFECT,
    SHARES,
    VARIATION_AVERSION,
    WIDTH_MIDDLE,
    WIDTH_MOVES,
    WIDTH_REACH,
)
from arena.markets.parts.actions import read_action
from arena.markets.parts.band import rebalance
from arena.markets.parts.special import FAST


@njit(fastmath=FAST, error_model="numpy")
def read_band(size, number, at, state, action, middle, width, m, lo, hi):
    """Writes the band that maker m wants: its middle less the delta-neutral holding, and its width, shares [W]."""
    clipped = state[at[CLIPPED_ACTION], lo:hi]
    columns = 2 * size[PRODUCTS] + size[CENTRE_MOVES] + size[WIDTH_MOVES]
    last = (m + 1) * columns - 1
    for g in range(middle.shape[0]):
        middle[g] = 0.0
        width[g] = 0.0
    if size[CENTRE_MOVES]:
        read_action(action[last - size[WIDTH_MOVES], lo:hi], clipped, middle)
    if size[WIDTH_MOVES]:
        read_action(action[last, lo:hi], clipped, width)
    for g in range(middle.shape[0]):
        middle[g] = number[CENTRE_MIDDLE] + middle[g] * number[CENTRE_REACH]
        width[g] = number[WIDTH_MIDDLE] + width[g] * number[WIDTH_REACH]


@njit(fastmath=FAST, error_model="numpy")
def hedge_and_mark(size, number, at, state, nxt, middle, width, work, m, lo, hi):
    """Hedges maker m's deltas over the move and marks its book; `work` [2, W] is scratch.

    perfect: the venue pays -sum_i q_i (p_i(t+dt, S') - p_i(t, S)). Shares: h trades at S to the nearest edge of its
    band -sum_i q_i delta_i + middle -+ width [W], and earns h (S' - S); `middle` is overwritten.
    """
    n = size[PRODUCTS]
    book = at[MAKER_INVENTORY] + m * n
    cash, venue = state[at[MAKER_CASH] + m, lo:hi], state[at[VENUE_CASH], lo:hi]
    reward = state[at[REWARD_MAKER] + m, lo:hi]
    hedge, pnl = state[at[MAKER_HEDGE] + m, lo:hi], state[at[HEDGE_PNL] + m, lo:hi]
    mark = state[at[INVENTORY_PNL] + m, lo:hi]
    for i in range(n):
        q, old, shock = state[book + i, lo:hi], state[at[MID] + i, lo:hi], nxt[next_row(NEXT_SHOCK, n, i)]
        new = nxt[next_row(NEXT_PRICE, n, i)]
        for g in range(mark.shape[0]):
            moved = q[g] * (new[g] + shock[g] - old[g])
            mark[g] += moved
            reward[g] += moved
    if size[HEDGE] == PERFECT:
        gain, target = work[0], work[1]
        for g in range(gain.shape[0]):
            gain[g] = 0.0
            target[g] = 0.0
        for i in range(n):
            q, old, new = state[book + i, lo:hi], state[at[PRICE] + i, lo:hi], nxt[next_row(NEXT_PRICE, n, i)]
            delta = nxt[next_row(NEXT_DELTA, n, i)]
            for g in range(gain.shape[0]):
                gain[g] -= q[g] * (new[g] - old[g])
                target[g] -= q[g] * delta[g]
        for g in range(gain.shape[0]):
            cash[g] += gain[g]
            venue[g] -= gain[g]
            pnl[g] += gain[g]
            reward[g] += gain[g]
            hedge[g] = target[g]
    elif size[HEDGE] == SHARES:
        traded, paid = work[0], work[1]
        spot, s1 = state[at[SPOT], lo:hi], nxt[NEXT_SPOT]
        for i in range(n):
            q, delta = state[book + i, lo:hi], state[at[DELTA] + i, lo:hi]
            for g in range(middle.shape[0]):
                middle[g] -= q[g] * delta[g]
        _trade(number, at, state, middle, width, spot, traded, paid, m, lo, hi)
        for g in range(hedge.shape[0]):
            earned = hedge[g] * (s1[g] - spot[g])
            pnl[g] += earned
            reward[g] += earned - paid[g]


@njit(error_model="numpy")
def _trade(number, at, state, middle, width, spot, traded, paid, m, lo, hi):
    """Maker m's shares to the nearest edge of a band, at `spot` [W]; writes what was bought and its fee."""
    hedge, cash, cost = state[at[MAKER_HEDGE] + m, lo:hi], state[at[MAKER_CASH] + m, lo:hi], at[HEDGE_COST] + m
    venue_hedge, venue_cash, fees = state[at[VENUE_HEDGE], lo:hi], state[at[VENUE_CASH], lo:hi], at[FEE_CASH]
    rebalance(
        middle, width, spot, number[HEDGE_RATE], hedge, cash, venue_hedge, venue_cash, state[fees, lo:hi],
        state[cost, lo:hi], traded, paid,
    )  # fmt: skip


@njit(fastmath=FAST, error_model="numpy")
def charge_variation(number, at, state, m, lo, hi):
    """Charges maker m kappa/2 dX^2, dX this step's P&L, which is what its reward holds before any penalty."""
    reward, penalty = state[at[REWARD_MAKER] + m, lo:hi], state[at[VARIATION_PENALTY] + m, lo:hi]
    half = 0.5 * number[VARIATION_AVERSION]
    for g in range(reward.shape[0]):
        due = half * reward[g] * reward[g]
        penalty[g] += due
        reward[g] -= due


@njit(fastmath=FAST, error_model="numpy")
def unwind(size, number, at, state, nxt, work, m, lo, hi):
    """Sells what maker m holds at the last spot, a step of its own: its fee a costs a + kappa/2 a^2; `work` [4, W]."""
    traded, paid, middle, width = work[0], work[1], work[2], work[3]
    reward = state[at[REWARD_MAKER] + m, lo:hi]
    for g in range(middle.shape[0]):
        middle[g] = 0.0
        width[g] = 0.0
    _trade(number, at, state, middle, width, nxt[NEXT_SPOT], traded, paid, m, lo, hi)
    for g in range(reward.shape[0]):
        reward[g] -= paid[g]
    if size[HAS_VARIATION]:
        penalty, half = state[at[VARIATION_PENALTY] + m, lo:hi], 0.5 * number[VARIATION_AVERSION]
        for g in range(reward.shape[0]):
            due = half * paid[g] * paid[g]
            penalty[g] += due
            reward[g] -= due
