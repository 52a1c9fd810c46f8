"""Reading what players wrote: a number of an action is in [-1, 1], and what is not is counted."""

from numba import njit

from arena.markets.parts.ledger import SAFE


@njit(fastmath=SAFE, error_model="numpy")
def read_action(action, clipped, out):
    """Clips one action column to [-1, 1] (not a number becomes 0) and counts the games where it had to."""
    for g in range(out.shape[0]):
        a = action[g]
        inside = (a >= -1.0) & (a <= 1.0)
        clipped[g] += 0.0 if inside else 1.0
        out[g] = a if inside else (1.0 if a > 1.0 else (-1.0 if a < -1.0 else 0.0))
