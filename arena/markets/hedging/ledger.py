"""Double-entry identities of the hedging market, checked in every game, every 8 steps and at the end.

Cash adds up to zero over hedger, customers, venue and fees; shares over hedger and venue; contracts over hedger and
customers. What was born is alive or has expired. The hedger's wealth (cash + book at marks + shares at the spot) has
moved by exactly what its attribution says. Tolerance: 1e-9 of the gross amounts.

Arguments of the kernels: see `tables`.
"""

from numba import njit

from arena.markets.hedging.columns import (
    BORN,
    CUSTOMER_CASH,
    CUSTOMER_CONTRACTS,
    EDGE,
    EXPIRED,
    FEE_CASH,
    HEDGE,
    HEDGE_COST,
    HEDGE_PNL,
    HEDGER_CASH,
    INITIAL_WEALTH,
    LIVE,
    MARK_PNL,
    PRICE,
    QUANTITY,
    SPOT,
    VENUE_CASH,
    VENUE_HEDGE,
    slot_row,
)
from arena.markets.hedging.tables import SLOTS
from arena.markets.parts.ledger import SAFE, add, broken, clear

CHECK_EVERY = 8
CASH, SHARES, CONTRACTS, COUNTS, WEALTH = range(5)
"""Codes of the accounts that may fail."""
SENTENCES = (
    "cash over all accounts adds up to",
    "shares over all accounts add up to",
    "contracts over all accounts add up to",
    "contracts born less those alive and expired are",
    "wealth of hedger_0 differs from its attribution by",
)


@njit(fastmath=SAFE, error_model="numpy")
def check(size, state, work, lo, hi):
    """-1 if all identities hold in games lo:hi, else the code of the first that fails; its residuals stay in work[0],
    its gross amounts in work[1]."""
    slots, total, gross = size[SLOTS], work[0], work[1]
    clear(work)
    for account in (HEDGER_CASH, CUSTOMER_CASH, VENUE_CASH, FEE_CASH):
        add(state[account, lo:hi], total, gross)
    if broken(total, gross):
        return CASH
    clear(work)
    add(state[HEDGE, lo:hi], total, gross)
    add(state[VENUE_HEDGE, lo:hi], total, gross)
    if broken(total, gross):
        return SHARES
    clear(work)
    add(state[CUSTOMER_CONTRACTS, lo:hi], total, gross)
    for j in range(slots):
        add(state[slot_row(QUANTITY, slots, j), lo:hi], total, gross)
    if broken(total, gross):
        return CONTRACTS
    clear(work)
    add(state[BORN, lo:hi], total, gross)
    _subtract(state[EXPIRED, lo:hi], total)
    _subtract(state[LIVE, lo:hi], total)
    if broken(total, gross):
        return COUNTS
    clear(work)
    wealth(size, state, total, gross, lo, hi)
    for account in (EDGE, MARK_PNL, HEDGE_PNL, INITIAL_WEALTH):
        _subtract(state[account, lo:hi], total)
    cost = state[HEDGE_COST, lo:hi]
    for g in range(total.shape[0]):
        total[g] += cost[g]
    if broken(total, gross):
        return WEALTH
    return -1


@njit(fastmath=SAFE, error_model="numpy")
def _subtract(row, total):
    for g in range(total.shape[0]):
        total[g] -= row[g]


@njit(fastmath=SAFE, error_model="numpy")
def wealth(size, state, total, gross, lo, hi):
    """Adds the hedger's cash + sum_j q_j price_j + shares at the spot to `total`, both [W]."""
    slots = size[SLOTS]
    add(state[HEDGER_CASH, lo:hi], total, gross)
    for j in range(slots):
        q, price = state[slot_row(QUANTITY, slots, j), lo:hi], state[slot_row(PRICE, slots, j), lo:hi]
        for g in range(total.shape[0]):
            value = q[g] * price[g]
            total[g] += value
            gross[g] += abs(value)
    h, spot = state[HEDGE, lo:hi], state[SPOT, lo:hi]
    for g in range(total.shape[0]):
        value = h[g] * spot[g]
        total[g] += value
        gross[g] += abs(value)


def message(code: int, game: int, step: int, residual: float) -> str:
    """The sentence for a failed identity."""
    seen = f"step {step} (checked every {CHECK_EVERY})"
    return f"ledger: game {game}, {seen}: {SENTENCES[code]} {residual:.6g}; it must be 0"
