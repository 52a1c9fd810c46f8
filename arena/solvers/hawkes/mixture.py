"""A power law as a mixture of exponentials: what a kernel must be for its past to fit into a few numbers.

The Lomax density h(t) = (b - 1) c (1 + c t)^-b, exponent b > 1, scale c, has the survival function

    S(t) = (1 + c t)^-(b - 1) = E e^{-U c t},   U ~ Gamma(b - 1, 1)

(Bernstein's theorem with its measure). A handful of log-spaced rates with non-negative weights comes close to it on all
of [0, horizon]. The weights sum to one, so that a kernel's integral is kept exactly.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from arena.layout import Array

TOLERANCE = 0.005
"""Largest error of a survival function, as a probability."""
HORIZON = 100.0
"""Seconds over which it holds; a game's later half hardly remembers more."""
MOST = 32
SLOWEST = 0.006
"""The slowest rate of `grid`, 1/s."""
_POINTS, _FINE = 200, 1200  # of a survival function that a mixture is fitted to
_UNIT_MASS = 1e4  # how much heavier the sum of the weights counts than a point of the curve


class Mixture(NamedTuple):
    """Survival functions sum_k weights[k] e^{-rates[k] t} and the largest error among them, a probability."""

    rates: Array  # [K], per unit of time, rising
    weights: Array  # [K, *shape of the exponents], each sums to one over k
    error: float


def survival(exponent: ArrayLike, scale: ArrayLike, t: ArrayLike) -> Array:
    """(1 + c t)^-(b - 1): the share of a power-law kernel that is still to come after t."""
    return np.asarray((1.0 + np.asarray(scale) * np.asarray(t)) ** (1.0 - np.asarray(exponent)), dtype=float)


def power_law(
    exponent: ArrayLike, scale: ArrayLike, horizon: float = HORIZON, tolerance: float = TOLERANCE
) -> Mixture:
    """The fewest exponentials, with rates common to all kernels given, that hold the tolerance on [0, horizon].

    `exponent` b > 1 and `scale` c > 0 (per unit of time) are numbers or arrays of one shape.
    Raises ValueError where they are not, and where 32 exponentials do not hold the tolerance.
    """
    b, c = np.broadcast_arrays(np.asarray(exponent, dtype=float), np.asarray(scale, dtype=float))
    check(b, c, horizon, tolerance)
    pairs, which = np.unique(np.stack([b.ravel(), c.ravel()]), axis=1, return_inverse=True)
    best: Mixture | None = None
    # Once every survival function is below half the tolerance, any mixture that has died out is close enough.
    faded = np.expm1(np.minimum(math.log(tolerance / 2.0) / (1.0 - pairs[0]), 300.0)) / pairs[1]
    seen = np.minimum(horizon, faded)
    for count in range(3, MOST + 1):
        for slowest in (0.03, 0.15, 0.3, 0.6, 1.2):
            for fastest in (1.5, 3.0, 6.0):
                rates = np.geomspace(slowest / seen.max(), fastest * pairs[1].max(), count)
                found = weigh(pairs[0], pairs[1], rates, horizon)
                if best is None or found.error < best.error:
                    best = found
        if best is not None and best.error <= tolerance:
            used = best.weights.any(axis=1)
            return Mixture(best.rates[used], best.weights[used][:, which.ravel()].reshape(-1, *b.shape), best.error)
    raise ValueError(f"power law: {MOST} exponentials leave an error of {best.error if best else 1:.4f}; "
                     f"allowed are {tolerance:g}, so give a shorter horizon than {horizon:g}")  # fmt: skip


def grid(scale: float, count: int) -> Array:
    """So many rates for a power law of this scale, 1/s: log-spaced from 0.006 to twice the scale."""
    return np.geomspace(SLOWEST, 2.0 * scale, count)


@cache
def weights(exponent: float, scale: float, rates: tuple[float, ...]) -> tuple[float, ...]:
    """Weights [K] of exponentials with these rates, of sum 1, for a market that is to play the same games everywhere.

    They are rounded to nine decimals, so that no linear-algebra library decides the bits of a game.
    """
    out = np.round(_weights(exponent, scale, np.array(rates), HORIZON, _FINE), 9)
    out[np.argmax(out)] += 1.0 - out.sum()
    return tuple(out.tolist())


def error(exponent: float, scale: float, rates: tuple[float, ...]) -> float:
    """By how much the survival function of such a mixture misses the power law's on [0, 100 s] at most."""
    return _error(exponent, scale, np.array(rates), np.array(weights(exponent, scale, rates)), HORIZON, _FINE)


def weigh(exponent: Array, scale: Array, rates: Array, horizon: float) -> Mixture:
    """The best non-negative weights [K, n] of given rates [K] for power laws of exponents and scales [n]."""
    found, worst = np.empty((rates.size, exponent.size)), 0.0
    for j, (b, c) in enumerate(zip(exponent, scale, strict=True)):
        found[:, j] = _weights(b, c, rates, horizon, _POINTS)
        worst = max(worst, _error(b, c, rates, found[:, j], horizon, _POINTS))
    return Mixture(rates, found, worst)


def _weights(b: float, c: float, rates: Array, horizon: float, points: int) -> Array:
    """Non-negative least squares with sum 1 (Lawson & Hanson 1974)."""
    from scipy.optimize import nnls  # scipy takes half a second, and a market without power laws does not need it

    t = _times(c, horizon, points)
    curves = np.vstack([np.exp(-np.outer(t, rates)), np.full(rates.size, _UNIT_MASS)])
    found, _ = nnls(curves, np.append(survival(b, c, t), _UNIT_MASS))
    return np.asarray(found / found.sum())


def _error(b: float, c: float, rates: Array, weights: Array, horizon: float, points: int) -> float:
    t = _times(c, horizon, points)
    return float(np.abs(np.exp(-np.outer(t, rates)) @ weights - survival(b, c, t)).max())


def _times(c: float, horizon: float, points: int) -> Array:
    return np.append(0.0, np.geomspace(1e-3 / c, max(horizon, 1.0 / c), points))


def check(b: Array, c: Array, horizon: float, tolerance: float) -> None:
    """Raises ValueError, a sentence, for an exponent, scale, horizon or tolerance out of range."""
    if not (np.isfinite(b).all() and (b > 1.0).all()):
        raise ValueError(f"power law: found an exponent of {b.min():g}; allowed are numbers above 1")
    if not (np.isfinite(c).all() and (c > 0.0).all()):
        raise ValueError(f"power law: found a scale of {c.min():g}; allowed are positive numbers")
    if not (0.0 < horizon < np.inf and 0.0 < tolerance < 1.0):
        raise ValueError(f"power law: found a horizon of {horizon:g} and a tolerance of {tolerance:g}; "
                         "allowed are a positive horizon and a tolerance between 0 and 1")  # fmt: skip
