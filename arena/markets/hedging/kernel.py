"""One step of the hedging market for a batch of games: the order of events, in two kernels.

`begin` opens the games, `advance` plays one step of all of them. Games are worked through in blocks, so that the
contracts of a block stay in the cache.

Arguments of the kernels: see `tables`, and

    failure               float64 [2]: the game whose identity fails, and its residual
    before                [W]: the spot before the move
    variance              [W]: of S over the step, over S^2
"""

import numpy as np
from numba import njit

from arena.markets.hedging.births import arrive, place
from arena.markets.hedging.columns import (
    BORN_EDGE,
    CLIPPED_ACTION,
    FEE_CASH,
    HEDGE,
    HEDGE_COST,
    HEDGE_PNL,
    HEDGER_CASH,
    INITIAL_WEALTH,
    LOG_SPOT,
    LOG_VOLATILITY,
    MARK_PNL,
    NET_DELTA,
    NET_GAMMA,
    NET_VEGA,
    REBALANCES,
    REWARD,
    SPOT,
    SURPRISE,
    TRADED,
    VARIATION_PENALTY,
    VENUE_CASH,
    VENUE_HEDGE,
)
from arena.markets.hedging.ledger import CHECK_EVERY, check, wealth
from arena.markets.hedging.moves import deviations, move, remark, survey
from arena.markets.hedging.seen import observe
from arena.markets.hedging.tables import (
    AROUND_DELTA,
    ARRIVE,
    BUCKETS,
    CENTRE_LOW,
    CENTRE_WIDTH,
    COST,
    HALF_AVERSION,
    HAS_CENTRE,
    HAS_WIDTH,
    RANDOM_VOLATILITY,
    ROOT_YEARS,
    SPOT_START,
    STEPS,
    UNWIND,
    VOL_MEAN,
    VOL_START,
    WIDTH_LOW,
    WIDTH_WIDTH,
)
from arena.markets.parts import draws
from arena.markets.parts.actions import read_action
from arena.markets.parts.band import rebalance
from arena.markets.parts.special import FAST, exp, log

BLOCK = 128
"""Games per block: the rows of 64 slots, 1 kB each, stay in a second-level cache."""
_ROWS = 8


@njit(cache=True, error_model="numpy")
def begin(size, number, start, orders, cumulated, effective, bounds, seeds, state, observation):
    """Opens all games: state [R, B] zeroed, the book at the start placed and marked, the first orders born."""
    games = seeds.shape[0]
    state[:] = 0.0
    state[SPOT, :games] = number[SPOT_START]
    state[LOG_SPOT, :games] = log(number[SPOT_START])
    if size[RANDOM_VOLATILITY]:
        first, second = draws.key(draws.START, 0, 0), draws.key(draws.START, 0, 1)
        for g in range(games):
            state[LOG_VOLATILITY, g] = number[VOL_MEAN] + number[VOL_START] * draws.normal(seeds[g], first, second)
    work, ahead = np.empty((_ROWS + 2 * size[BUCKETS], min(BLOCK, games))), deviations(size, cumulated, 0)
    for lo in range(0, games, BLOCK):
        hi = min(lo + BLOCK, games)
        scratch = work[:, : hi - lo].copy()
        for i in range(start.shape[0]):
            strike, put, left, quantity = start[i]
            for g in range(lo, hi):
                place(size, number, ahead, effective, state, g, strike, put, int(left), quantity)
        total = scratch[0]
        total[:] = 0.0
        wealth(size, state, total, scratch[1], lo, hi)
        state[INITIAL_WEALTH, lo:hi] = total
        if size[ARRIVE]:
            arrive(size, number, orders, ahead, effective, seeds[lo:hi], state, 0, lo, hi, scratch)
        survey(size, state, lo, hi)
        observe(size, number, ahead, effective, bounds, state, observation, 0, lo, hi, scratch)


@njit(cache=True, error_model="numpy")
def advance(
    size, number, start, orders, cumulated, effective, bounds, seeds, step, state, action, observation, failure
):
    """Plays one step of every game; reads `action`, writes `state` and `observation`.

    Returns -1, or the code of the account whose identity failed (see `ledger.check`), with failure =
    (game, residual).
    """
    games = seeds.shape[0]
    width, code, last = min(BLOCK, games), -1, step + 1 == size[STEPS]
    work, ahead = np.empty((_ROWS + 2 * size[BUCKETS], width)), deviations(size, cumulated, step + 1)
    for lo in range(0, games, BLOCK):
        hi = min(lo + BLOCK, games)
        scratch = work if hi - lo == width else np.empty((work.shape[0], hi - lo))
        block_seeds = seeds[lo:hi]
        before, variance, shock, moved, traded, paid = (
            scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5],
        )  # fmt: skip
        _trade(size, number, state, action, lo, hi, traded, paid, scratch[6:8])
        _remember(size, number, cumulated, state, step, lo, hi, before, variance)
        move(size, number, cumulated, block_seeds, state, step, lo, hi, shock)
        _surprise(state, before, variance, shock, lo, hi)
        remark(size, number, ahead, effective, state, lo, hi, moved, scratch[6])
        _earn(number, state, before, moved, paid, lo, hi)
        if last and size[UNWIND]:
            _unwind(number, state, lo, hi, traded, paid, scratch[6:8])
        if size[ARRIVE] and not last:
            arrive(size, number, orders, ahead, effective, block_seeds, state, step + 1, lo, hi, scratch)
        survey(size, state, lo, hi)
        if (step + 1) % CHECK_EVERY == 0 or last:
            failed = check(size, state, scratch, lo, hi)
            if failed >= 0 and code < 0:
                code = failed
                worst = np.argmax(np.abs(scratch[0]) / (1.0 + scratch[1]))
                failure[0], failure[1] = lo + worst, scratch[0, worst]
        observe(size, number, ahead, effective, bounds, state, observation, step + 1, lo, hi, scratch)
    return code


@njit(fastmath=FAST, error_model="numpy")
def _trade(size, number, state, action, lo, hi, traded, paid, work):
    """Reads the band and trades to its nearest edge at the spot; shares `traded` and what was `paid` stay, [W]."""
    centre, width, clipped, column = work[0], work[1], state[CLIPPED_ACTION, lo:hi], 0
    centre[:] = number[CENTRE_LOW]
    width[:] = number[WIDTH_LOW]
    if size[HAS_CENTRE]:
        read_action(action[column, lo:hi], clipped, traded)
        column += 1
        for g in range(centre.shape[0]):
            centre[g] += (traded[g] + 1.0) * (0.5 * number[CENTRE_WIDTH])
    if size[HAS_WIDTH]:
        read_action(action[column, lo:hi], clipped, traded)
        for g in range(centre.shape[0]):
            width[g] += (traded[g] + 1.0) * (0.5 * number[WIDTH_WIDTH])
    if size[AROUND_DELTA]:
        delta = state[NET_DELTA, lo:hi]
        for g in range(centre.shape[0]):
            centre[g] -= delta[g]
    _rebalance(number, state, lo, hi, centre, width, traded, paid)
    volume, rebalances = state[TRADED, lo:hi], state[REBALANCES, lo:hi]
    for g in range(centre.shape[0]):
        volume[g] = abs(traded[g])
        rebalances[g] += 1.0 if traded[g] != 0.0 else 0.0


@njit(error_model="numpy")
def _rebalance(number, state, lo, hi, centre, width, traded, paid):
    """The hedger's and the venue's rows in a band trade."""
    rebalance(
        centre, width, state[SPOT, lo:hi], number[COST], state[HEDGE, lo:hi], state[HEDGER_CASH, lo:hi],
        state[VENUE_HEDGE, lo:hi], state[VENUE_CASH, lo:hi], state[FEE_CASH, lo:hi], state[HEDGE_COST, lo:hi],
        traded, paid,
    )  # fmt: skip


@njit(fastmath=FAST, error_model="numpy")
def _remember(size, number, cumulated, state, step, lo, hi, before, variance):
    """Spot before the move, and the variance of S over it as a share of S^2, e^(variance of ln S) - 1."""
    spot, y = state[SPOT, lo:hi], state[LOG_VOLATILITY, lo:hi]
    root, known = number[ROOT_YEARS], exp(cumulated[step + 1] - cumulated[step]) - 1.0
    if size[RANDOM_VOLATILITY]:
        for g in range(before.shape[0]):
            before[g] = spot[g]
            sigma = exp(y[g]) * root
            variance[g] = exp(sigma * sigma) - 1.0
        return
    for g in range(before.shape[0]):
        before[g] = spot[g]
        variance[g] = known


@njit(fastmath=FAST, error_model="numpy")
def _surprise(state, before, variance, shock, lo, hi):
    """What the move brought less its mean: zero in expectation whatever was done (`columns.SURPRISES`)."""
    spot, hedge, delta = state[SPOT, lo:hi], state[HEDGE, lo:hi], state[NET_DELTA, lo:hi]
    gamma, vega = state[NET_GAMMA, lo:hi], state[NET_VEGA, lo:hi]
    first, second, third = state[SURPRISE, lo:hi], state[SURPRISE + 1, lo:hi], state[SURPRISE + 2, lo:hi]
    fourth, fifth = state[SURPRISE + 3, lo:hi], state[SURPRISE + 4, lo:hi]
    for g in range(before.shape[0]):
        change = spot[g] - before[g]
        third[g] = change
        fourth[g] = change * change - before[g] * before[g] * variance[g]
    for g in range(before.shape[0]):
        first[g] = (hedge[g] + delta[g]) * third[g]
        second[g] = 0.5 * gamma[g] * fourth[g]
        fifth[g] = shock[g] * vega[g]


@njit(fastmath=FAST, error_model="numpy")
def _earn(number, state, before, moved, paid, lo, hi):
    """Money and reward of the step: dW = book + shares - fee, reward = edge + dW - kappa/2 dW^2."""
    spot, hedge = state[SPOT, lo:hi], state[HEDGE, lo:hi]
    mark, pnl = state[MARK_PNL, lo:hi], state[HEDGE_PNL, lo:hi]
    penalty, reward, edge = state[VARIATION_PENALTY, lo:hi], state[REWARD, lo:hi], state[BORN_EDGE, lo:hi]
    half = number[HALF_AVERSION]
    for g in range(before.shape[0]):
        earned = hedge[g] * (spot[g] - before[g])
        mark[g] += moved[g]
        pnl[g] += earned
        before[g] = moved[g] + earned - paid[g]
    for g in range(before.shape[0]):
        due = half * before[g] * before[g]
        penalty[g] += due
        reward[g] = edge[g] + before[g] - due


@njit(fastmath=FAST, error_model="numpy")
def _unwind(number, state, lo, hi, traded, paid, work):
    """Sells the shares at the last spot; their fee is a change of wealth of its own."""
    work[0][:] = 0.0
    work[1][:] = 0.0
    _rebalance(number, state, lo, hi, work[0], work[1], traded, paid)
    volume, penalty, reward = state[TRADED, lo:hi], state[VARIATION_PENALTY, lo:hi], state[REWARD, lo:hi]
    half = number[HALF_AVERSION]
    for g in range(traded.shape[0]):
        due = half * paid[g] * paid[g]
        volume[g] += abs(traded[g])
        penalty[g] += due
        reward[g] -= paid[g] + due
