"""Double-entry identities, checked in every game, every 8 steps and at the end.

Every trade, fee, hedge and leak moves cash and contracts between two accounts, so over all accounts cash adds up to
zero, and so do contracts and shares. Each maker's wealth (cash + book at mid + shares at spot) has moved by exactly
what its attribution says. Tolerance: 1e-9 of the gross amounts. All amounts are sums since the start, so what is wrong
once stays wrong until the next check; checking at every step would take a fifth of a game's time.

Arguments of the kernels: see `tables`.
"""

import numpy as np
from numba import njit

from arena.markets.dealer.columns import (
    EDGE_EXECUTOR,
    EDGE_NOISE,
    EXECUTOR_CASH,
    EXECUTOR_INVENTORY,
    EXECUTORS,
    FEE_CASH,
    HEDGE_COST,
    HEDGE_PNL,
    IMPACT_CASH,
    INITIAL_WEALTH,
    INVENTORY_PNL,
    LEAK_CASH,
    MAKER_CASH,
    MAKER_FEE,
    MAKER_HEDGE,
    MAKER_INVENTORY,
    MAKERS,
    MID,
    NOISE_CASH,
    NOISE_INVENTORY,
    PRODUCTS,
    SPOT,
    VENUE_CASH,
    VENUE_HEDGE,
)
from arena.markets.dealer.tables import HEDGE, PRODUCT, SHARES
from arena.markets.parts.ledger import SAFE, add, broken, clear

CHECK_EVERY = 8


@njit(fastmath=SAFE, error_model="numpy")
def check(size, at, executor, state, work, lo, hi):
    """-1 if all identities hold in games lo:hi, else the code of the first account that fails; `work` [2, W].

    Codes: 0 cash; 1 + i contracts of product i; 1 + n shares; 2 + n + m wealth of maker m. The residuals of the
    failing account stay in work[0].
    """
    n, makers, traders = size[PRODUCTS], size[MAKERS], size[EXECUTORS]
    total, gross = work[0], work[1]
    clear(work)
    for m in range(makers):
        add(state[at[MAKER_CASH] + m, lo:hi], total, gross)
    for j in range(traders):
        add(state[at[EXECUTOR_CASH] + j, lo:hi], total, gross)
    for account in (NOISE_CASH, VENUE_CASH, FEE_CASH, IMPACT_CASH, LEAK_CASH):
        add(state[at[account], lo:hi], total, gross)
    if broken(total, gross):
        return 0
    for i in range(n):
        clear(work)
        for m in range(makers):
            add(state[at[MAKER_INVENTORY] + m * n + i, lo:hi], total, gross)
        for j in range(traders):
            if int(executor[j, PRODUCT]) == i:
                add(state[at[EXECUTOR_INVENTORY] + j, lo:hi], total, gross)
        add(state[at[NOISE_INVENTORY] + i, lo:hi], total, gross)
        if broken(total, gross):
            return 1 + i
    if size[HEDGE] == SHARES:
        clear(work)
        for m in range(makers):
            add(state[at[MAKER_HEDGE] + m, lo:hi], total, gross)
        add(state[at[VENUE_HEDGE], lo:hi], total, gross)
        if broken(total, gross):
            return 1 + n
    for m in range(makers):
        clear(work)
        wealth(size, at, state, m, total, gross, lo, hi)
        for account, sign in (
            (EDGE_NOISE, -1.0),
            (INVENTORY_PNL, -1.0),
            (HEDGE_PNL, -1.0),
            (HEDGE_COST, 1.0),
            (MAKER_FEE, 1.0),
            (INITIAL_WEALTH, -1.0),
        ):
            row = state[at[account] + m, lo:hi]
            for g in range(total.shape[0]):
                total[g] += sign * row[g]
        for j in range(traders):
            row = state[at[EDGE_EXECUTOR] + m * traders + j, lo:hi]
            for g in range(total.shape[0]):
                total[g] -= row[g]
        if broken(total, gross):
            return 2 + n + m
    return -1


@njit(fastmath=SAFE, error_model="numpy")
def wealth(size, at, state, m, total, gross, lo, hi):
    """Adds maker m's cash + sum_i q_i mid_i (+ shares at spot unless the hedge is a swap) to `total`."""
    n = size[PRODUCTS]
    add(state[at[MAKER_CASH] + m, lo:hi], total, gross)
    for i in range(n):
        q, mid = state[at[MAKER_INVENTORY] + m * n + i, lo:hi], state[at[MID] + i, lo:hi]
        for g in range(total.shape[0]):
            value = q[g] * mid[g]
            total[g] += value
            gross[g] += abs(value)
    if size[HEDGE] == SHARES:
        h, spot = state[at[MAKER_HEDGE] + m, lo:hi], state[at[SPOT], lo:hi]
        for g in range(total.shape[0]):
            value = h[g] * spot[g]
            total[g] += value
            gross[g] += abs(value)


def message(
    code: int, game: int, step: int, residual: float, products: tuple[str, ...], makers: tuple[str, ...]
) -> str:
    """The sentence for a failed identity."""
    n = len(products)
    if code == 0:
        account, what = "cash", "over all accounts adds up to"
    elif code <= n:
        account, what = f"contracts of {products[code - 1]}", "over all accounts add up to"
    elif code == n + 1:
        account, what = "shares", "over all accounts add up to"
    else:
        account, what = f"wealth of {makers[code - 2 - n]}", "differs from its attribution by"
    seen = f"step {step} (checked every {CHECK_EVERY})"
    return f"ledger: game {game}, {seen}: {account} {what} {residual:.6g}; it must be 0"


def first_broken(residual: np.ndarray, gross: np.ndarray) -> int:
    """Index of the game with the largest relative residual."""
    return int(np.argmax(np.abs(residual) / (1.0 + gross)))
