"""Checking the books of a market: adding rows up, and what a sum that must be zero may be off."""

from numba import njit

SAFE = {"nsz", "arcp"}
"""Floating-point licence that allows for NaN and infinity: the ledger is where they must be noticed."""
TOLERANCE = 1e-9
"""How far a sum that must be zero may be from it, as a share of one plus the gross amounts."""


@njit(fastmath=SAFE, error_model="numpy")
def add(row, total, gross):
    """Adds a row to a total and its size to the gross amounts, all [W]."""
    for g in range(total.shape[0]):
        total[g] += row[g]
        gross[g] += abs(row[g])


@njit(fastmath=SAFE, error_model="numpy")
def broken(total, gross):
    """Whether any game's residual exceeds the tolerance (a residual that is not a finite number counts as broken)."""
    good = 1
    for g in range(total.shape[0]):
        # gross - gross is 0 unless an amount is infinite or not a number
        good &= abs(total[g]) + (gross[g] - gross[g]) <= TOLERANCE * (1.0 + gross[g])
    return good == 0


@njit(error_model="numpy")
def clear(work):
    """Sets the total and the gross amounts to zero, [2, W]."""
    work[0][:] = 0.0
    work[1][:] = 0.0
