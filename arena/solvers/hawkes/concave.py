"""The maximum of a concave function above lower bounds: Newton's method, projected (Bertsekas 1982)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arena.layout import Array

Second = tuple[float, Array, Array]
"""Value, gradient [P] and curvature [P, P] (of minus the function) at a point."""
ENOUGH = 1e-9
"""Rise that Newton's step still promises, at which it stops; a log-likelihood has the unit 1."""


def maximise(second: Callable[[Array], Second], start: Array, low: Array, most: int = 60) -> tuple[Array, bool]:
    """The maximum [P] with x >= low [P], and whether it was reached; `second` may give -inf outside its domain.

    Coordinates that sit at their bound and would go below it are held there; the others take a Newton step, halved
    until it rises. Raises ValueError for a start outside the domain.
    """
    x = np.maximum(start, low)
    value, slope, curve = second(x)
    if not np.isfinite(value):
        raise ValueError("maximise: found a start outside the domain; allowed are points where the function is finite")
    for _ in range(most):
        free = ~((x <= low) & (slope <= 0.0)) & (np.diag(curve) > 0.0)
        if not free.any():
            return x, True
        part = curve[np.ix_(free, free)]
        ridge = 1e-12 * np.diag(part).max() * np.eye(len(part))
        step = np.zeros_like(x)
        step[free] = np.linalg.solve(part + ridge, slope[free])
        if step @ slope < ENOUGH:
            return x, True
        length = 1.0
        while length > 1e-9:
            tried = np.maximum(x + length * step, low)
            found = second(tried)
            if found[0] >= value + 1e-4 * slope @ (tried - x) and np.isfinite(found[0]):
                break
            length *= 0.5
        else:
            return x, bool(step @ slope < 1e-4)
        x, (value, slope, curve) = tried, found
    return x, False
