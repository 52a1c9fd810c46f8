"""A power law as a mixture of exponentials: what makes a long memory a few numbers that only decay.

The Lomax law has the survival function (1 + gamma t)^-(beta - 1), which is the Laplace transform of a gamma law: a
mixture of exp(-u gamma t) over u. A few rates on a logarithmic grid carry it; their weights are the non-negative least
squares fit with sum 1 (Lawson & Hanson 1974).
"""

from functools import cache

import numpy as np

from arena.layout import Array

LARGEST_ERROR = 0.005
"""By how much the survival function of a mixture may miss the power law's on [0, 100 s]."""
SLOWEST, LONGEST, POINTS = 0.006, 100.0, 1200


def survival(t: Array, exponent: float, scale: float) -> Array:
    """Share of a power law's effect that is still to come after t seconds."""
    return np.asarray((1.0 + scale * np.asarray(t)) ** (1.0 - exponent))


def grid(scale: float, count: int) -> Array:
    """Rates of a mixture, 1/s, from 0.006 to twice the scale."""
    return np.geomspace(SLOWEST, 2.0 * scale, count)


@cache
def weights(exponent: float, scale: float, rates: tuple[float, ...]) -> tuple[float, ...]:
    """Weights [K] of exponentials with these rates, non-negative and of sum 1."""
    from scipy.optimize import nnls  # scipy takes half a second, and only power laws need it

    t = _times(scale)
    ones, heavy = np.ones((1, len(rates))), 1e4
    left = np.vstack([np.exp(-np.outer(t, rates)), heavy * ones])
    found, _ = nnls(left, np.append(survival(t, exponent, scale), heavy))
    out = np.round(found / found.sum(), 9)  # so that no linear-algebra library decides the bits of a game
    out[np.argmax(out)] += 1.0 - out.sum()
    return tuple(out.tolist())


def error(exponent: float, scale: float, rates: tuple[float, ...]) -> float:
    """The largest difference of the two survival functions on [0, 100 s]."""
    t = _times(scale)
    mixed = np.exp(-np.outer(t, rates)) @ np.array(weights(exponent, scale, rates))
    return float(np.abs(mixed - survival(t, exponent, scale)).max())


def _times(scale: float) -> Array:
    return np.append(0.0, np.geomspace(1e-3 / scale, LONGEST, POINTS))
