"""Time rescaling: on the clock of its own compensator every type of a Hawkes process is a Poisson process of rate 1.

(Papangelou 1972; Ogata, JASA 83 (1988).) The integrals of an intensity between its own events are then independent,
exponential with mean 1. Tested by Kolmogorov and Smirnov's statistic, type by type, and by the correlation of
neighbours. With parameters that were fitted to the same events the test is too friendly; a bad fit fails all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import kstest, norm

from arena.layout import Array


class Rescaled(NamedTuple):
    """One type: gaps, their mean (1 if rates are right), KS distance, p-values of distribution and of neighbours."""

    gaps: int
    mean: float
    distance: float
    p: float
    p_neighbours: float


FEWEST = 8
"""Gaps below which nothing is tested."""


def rescaled(passed: Sequence[Array]) -> list[Rescaled]:
    """Tests of each type's gaps, `passed` of a `Likelihood` (the stretch after the last event is left out)."""
    return [_one(gaps[:-1]) for gaps in passed]


def quantiles(gaps: Array, points: int = 60) -> tuple[Array, Array]:
    """Expected and observed quantiles of gaps, [points] each: on the diagonal where the model fits."""
    level = (np.arange(points) + 0.5) / points
    return -np.log1p(-level), np.quantile(gaps, level) if gaps.size else np.full(points, math.nan)


def _one(gaps: Array) -> Rescaled:
    if gaps.size < FEWEST:
        return Rescaled(gaps.size, float(gaps.mean()) if gaps.size else math.nan, math.nan, math.nan, math.nan)
    test = kstest(gaps, "expon")
    rank = np.exp(-gaps)  # uniform if the gaps are exponential; bounded, so that no single gap decides
    neighbours = float(np.corrcoef(rank[:-1], rank[1:])[0, 1])
    p_neighbours = float(2.0 * norm.sf(abs(neighbours) * math.sqrt(gaps.size - 1)))
    return Rescaled(gaps.size, float(gaps.mean()), float(test.statistic), float(test.pvalue), p_neighbours)
