"""One step of the option dealer market for a batch of games: the order of events, in two kernels.

`begin` opens the games, `advance` plays one step of all of them and `observe` (called by both) writes what everybody
sees. Games are worked through in blocks that stay in the processor's second-level cache.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.dealer import columns
from arena.markets.dealer.actions import executor_rates, quote
from arena.markets.dealer.columns import (
    DIRECTION,
    DISTANCE,
    EXECUTOR_INVENTORY,
    EXECUTOR_INVENTORY_PNL,
    EXECUTOR_PENALTY,
    EXECUTORS,
    FLOW_FACTOR,
    INITIAL_INVENTORY,
    INITIAL_WEALTH,
    LOG_SPOT,
    LOG_VOLATILITY,
    MAKER_HEDGE,
    MAKER_INVENTORY,
    MAKERS,
    MID,
    NOISE_INVENTORY,
    PRODUCTS,
    RANDOM_VOLATILITY,
    REMAINING,
    REWARD_EXECUTOR,
    REWARD_MAKER,
    SPOT,
)
from arena.markets.dealer.hedge import charge_variation, hedge_and_mark, read_band, unwind
from arena.markets.dealer.ledger import CHECK_EVERY, check, wealth
from arena.markets.dealer.moves import (
    NEXT_PRICE,
    NEXT_SHOCK,
    adopt,
    move,
    next_row,
    next_rows,
    penalise,
    price_products,
)
from arena.markets.dealer.tables import (
    DT,
    EXECUTOR_NUMBERS,
    EXECUTOR_RUNNING_AT,
    FLOW_START,
    FLUID,
    HAS_VARIATION,
    HEDGE,
    IMPACT,
    IMPACT_AT,
    LOG_STRIKE,
    LOT,
    MAKER_NUMBERS,
    MAKER_RUNNING,
    NUMBERS,
    OFFSET,
    PERFECT,
    PRODUCT,
    PRODUCT_NUMBERS,
    RUNNING,
    RUNNING_AT,
    SHARES,
    SIDE,
    SIZE_MEAN,
    SIZE_SPREAD,
    SIZES,
    SPOT_START,
    START_DISTANCE,
    START_MEAN,
    START_SPREAD,
    STEPS,
    TABLE_NUMBERS,
    TEMPORARY,
    TEMPORARY_AT,
    TERMINAL,
    UNWINDS,
    VOL_MEAN,
    VOL_START,
)
from arena.markets.dealer.trades import trade, work_rows
from arena.markets.parts import draws
from arena.markets.parts.special import FAST

BLOCK = 512
"""Games per block: about 130 rows of 4 kB stay in a 1 MB cache, and the cost of naming the rows is spread thin."""


@njit(fastmath=FAST, error_model="numpy")
def _draw(mean, spread, lot, fluid, seeds, key, out):
    """Uniform on mean -+ spread, on its whole lots unless the flow is fluid."""
    if fluid or spread == 0.0:
        for g in range(out.shape[0]):
            out[g] = mean + spread * (2.0 * draws.uniform(seeds[g], key) - 1.0)
        return
    first = np.ceil((mean - spread) / lot - 1e-9)
    count = max(np.floor((mean + spread) / lot + 1e-9) - first + 1.0, 1.0)
    for g in range(out.shape[0]):
        out[g] = (first + np.floor(count * draws.uniform(seeds[g], key))) * lot


@njit(error_model="numpy")
def _unpack(whole, real):
    """The arrays of `Tables` as views on the packed ones."""
    size, at = whole[:SIZES], whole[SIZES:]
    n, makers, traders = size[PRODUCTS], size[MAKERS], size[EXECUTORS]
    a = NUMBERS
    b = a + n * PRODUCT_NUMBERS
    c = b + makers * MAKER_NUMBERS
    d = c + traders * EXECUTOR_NUMBERS
    product = real[a:b].reshape((n, PRODUCT_NUMBERS))
    maker = real[b:c].reshape((makers, MAKER_NUMBERS))
    executor = real[c:d].reshape((traders, EXECUTOR_NUMBERS))
    table = real[d:].reshape((size[STEPS] + 1, size[TABLE_NUMBERS]))
    return size, real[:a], at, product, maker, executor, table


@njit(error_model="numpy")
def _in_step(size, number, maker, executor, table, step):
    """Copies of number, maker and executor with the values of this step."""
    number, maker, executor, row = number.copy(), maker.copy(), executor.copy(), table[step]
    for m in range(size[MAKERS]):
        maker[m, MAKER_RUNNING] = row[size[RUNNING_AT] + m]
    for j in range(size[EXECUTORS]):
        executor[j, TEMPORARY] = row[size[TEMPORARY_AT] + j]
        executor[j, RUNNING] = row[size[EXECUTOR_RUNNING_AT] + j]
    number[IMPACT] = row[size[IMPACT_AT]]
    return number, maker, executor


@njit(cache=True, error_model="numpy")
def begin(whole, real, bounds, seeds, state, observation):
    """Opens all games: state [R, B] zeroed and filled from the parameters and each game's own draws."""
    size, number, at, product, maker, executor, table = _unpack(whole, real)
    low, high = bounds[0], bounds[1]
    n, makers, traders, games = size[PRODUCTS], size[MAKERS], size[EXECUTORS], seeds.shape[0]
    state[:] = 0.0
    row, other = np.empty(games), np.empty(games)
    state[at[SPOT], :games] = number[SPOT_START]
    state[at[LOG_SPOT], :games] = np.log(number[SPOT_START])
    state[at[FLOW_FACTOR], :games] = number[FLOW_START]
    if size[RANDOM_VOLATILITY]:
        first, second = draws.key(draws.START, 0, 0), draws.key(draws.START, 0, 1)
        for g in range(games):
            state[at[LOG_VOLATILITY], g] = number[VOL_MEAN] + number[VOL_START] * draws.normal(seeds[g], first, second)
    prices = np.empty((4 * n, games))
    price_products(size, product, table[0], state[at[SPOT], :games], state[at[LOG_SPOT], :games], prices)
    for i in range(n):
        state[at[MID] + i, :games] = prices[i]
        for k, name in enumerate((columns.PRICE, columns.DELTA, columns.GAMMA, columns.VEGA)):
            state[at[name] + i, :games] = prices[k * n + i]
    for m in range(makers):
        for i in range(n):
            mean, spread, key = maker[m, START_MEAN], maker[m, START_SPREAD], draws.key(draws.START, 1, m * n + i)
            _draw(mean, spread, number[LOT], size[FLUID], seeds, key, row)
            state[at[MAKER_INVENTORY] + m * n + i, :games] = row
            state[at[INITIAL_INVENTORY] + m * n + i, :games] = row
            state[at[NOISE_INVENTORY] + i, :games] -= row
            for side in range(2):
                state[at[DISTANCE] + (m * n + i) * 2 + side, :games] = number[START_DISTANCE]
            if size[HEDGE] == PERFECT:
                state[at[MAKER_HEDGE] + m, :games] -= row * prices[n + i]
        row[:] = 0.0
        wealth(size, at, state, m, row, other, 0, games)
        state[at[INITIAL_WEALTH] + m, :games] = row
    for j in range(traders):
        mean, spread, key = executor[j, SIZE_MEAN], executor[j, SIZE_SPREAD], draws.key(draws.PARENT, 0, 2 * j)
        _draw(mean, spread, number[LOT], size[FLUID], seeds, key, row)
        coin = draws.key(draws.PARENT, 0, 2 * j + 1)
        for g in range(games):
            toss = 1.0 if draws.uniform(seeds[g], coin) < 0.5 else -1.0
            way = toss if executor[j, SIDE] == 0.0 else executor[j, SIDE]
            state[at[DIRECTION] + j, g] = way
            state[at[REMAINING] + j, g] = way * row[g]
    horizon = number[DT] * size[STEPS]
    log_strike, product_of = product[:, LOG_STRIKE].copy(), _products(executor)
    columns.observe(size, at, state, observation, low, high, log_strike, product_of, horizon, row, 0, games)


@njit(error_model="numpy")
def _products(executor):
    out = np.empty(executor.shape[0], np.int64)
    for j in range(executor.shape[0]):
        out[j] = int(executor[j, PRODUCT])
    return out


@njit(fastmath=FAST, error_model="numpy")
def _charge_executors(size, number, at, executor, state, before, nxt, step, lo, hi):
    """Running penalty on the remaining quantity (mean over the step), terminal penalty at the end, and the mark of what
    was bought (kept apart from the reward: it has mean zero and the paper leaves it out).

    before [N, W]: what was left to trade at the start of the step.
    """
    n = size[PRODUCTS]
    for j in range(size[EXECUTORS]):
        i = int(executor[j, PRODUCT])
        after, was = state[at[REMAINING] + j, lo:hi], before[j]
        penalty, reward = state[at[EXECUTOR_PENALTY] + j, lo:hi], state[at[REWARD_EXECUTOR] + j, lo:hi]
        held, gain = state[at[EXECUTOR_INVENTORY] + j, lo:hi], state[at[EXECUTOR_INVENTORY_PNL] + j, lo:hi]
        new, shock, old = nxt[next_row(NEXT_PRICE, n, i)], nxt[next_row(NEXT_SHOCK, n, i)], state[at[MID] + i, lo:hi]
        weight = executor[j, RUNNING] * number[DT]
        terminal = executor[j, TERMINAL] if step + 1 == size[STEPS] else 0.0
        cross = 1.0 / 3.0 if size[FLUID] else 0.0
        ends = 1.0 / 3.0 if size[FLUID] else 0.5
        for g in range(after.shape[0]):
            x, y = was[g], after[g]
            due = weight * (ends * (x * x + y * y) + cross * x * y) + terminal * y * y
            penalty[g] += due
            reward[g] -= due
            gain[g] += held[g] * (new[g] + shock[g] - old[g])


@njit(cache=True, error_model="numpy")
def advance(whole, real, bounds, seeds, step, state, action, observation, failure):
    """Plays one step of every game; reads `action`, writes `state` and `observation`.

    Returns -1, or the code of the account whose identity failed (see `ledger.check`), with failure =
    (game, residual).
    """
    size, number, at, product, maker, executor, table = _unpack(whole, real)
    number, maker, executor = _in_step(size, number, maker, executor, table, step)
    low, high = bounds[0], bounds[1]
    n, makers, traders, games = size[PRODUCTS], size[MAKERS], size[EXECUTORS], seeds.shape[0]
    width = min(BLOCK, games)
    a = work_rows(makers)
    b = a + next_rows(n)
    c = b + traders
    work = np.empty((c + traders, width))
    offset = maker[:, OFFSET].copy()
    log_strike, product_of = product[:, LOG_STRIKE].copy(), _products(executor)
    code = -1
    for lo in range(0, games, BLOCK):
        hi = min(lo + BLOCK, games)
        w = hi - lo
        scratch = work if w == width else np.empty((work.shape[0], w))
        trades, nxt, rate, before = scratch[:a], scratch[a:b], scratch[b:c], scratch[c:]
        block_seeds = seeds[lo:hi]
        for m in range(makers):
            state[at[REWARD_MAKER] + m, lo:hi] = 0.0
        for j in range(traders):
            state[at[REWARD_EXECUTOR] + j, lo:hi] = 0.0
            before[j] = state[at[REMAINING] + j, lo:hi]
        move(size, number, at, product, table, block_seeds, state, nxt, step, lo, hi)
        quote(size, number, at, state, action, trades, lo, hi)
        executor_rates(size, number, at, executor, state, action, rate, lo, hi)
        trade(size, number, at, executor, offset, table, block_seeds, state, nxt, rate, trades, step, lo, hi)
        for m in range(makers):
            if size[HEDGE] == SHARES:
                read_band(size, number, at, state, action, trades[2], trades[3], m, lo, hi)
            hedge_and_mark(size, number, at, state, nxt, trades[2], trades[3], trades, m, lo, hi)
            if size[HAS_VARIATION]:
                charge_variation(number, at, state, m, lo, hi)
            penalise(size, number, at, maker, table, state, nxt, trades, m, step, lo, hi)
            if size[UNWINDS] and step + 1 == size[STEPS]:
                unwind(size, number, at, state, nxt, trades, m, lo, hi)
        _charge_executors(size, number, at, executor, state, before, nxt, step, lo, hi)
        adopt(size, at, state, nxt, lo, hi)
        failed = -1
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == size[STEPS]:
            failed = check(size, at, executor, state, trades, lo, hi)
        if failed >= 0 and code < 0:
            code = failed
            worst = np.argmax(np.abs(trades[0]) / (1.0 + trades[1]))
            failure[0], failure[1] = lo + worst, trades[0, worst]
        left = number[DT] * (size[STEPS] - step - 1)
        columns.observe(size, at, state, observation, low, high, log_strike, product_of, left, trades[0], lo, hi)
    return code
