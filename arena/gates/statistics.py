"""One-sided bounds of ratios over paired games: blocks of games are resampled, and a quantile is read off.

Everything here is a pure function of arrays of games. A ratio such as

    G = (J - J_base) / (J_reference - J_base)

has no simple law, but its three means come from the same games, so that most of their noise is common. The bootstrap
(Efron & Tibshirani 1993, chapter 13) keeps that: a resample draws whole blocks of games, with all columns of a game
together. Blocks instead of games make it cheap; games are independent, so nothing is lost.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from arena.layout import Array

BLOCKS, RESAMPLES = 500, 2000
ERROR = 0.01
"""Chance that a one-sided bound is on the wrong side."""


class Bound(NamedTuple):
    """A number with its one-sided 99 % bounds; of an exact number all three are the same and no game was played."""

    value: float
    low: float
    high: float
    games: int = 0

    @property
    def exact(self) -> bool:
        """Whether it is known without sampling."""
        return self.games == 0


def certain(value: float) -> Bound:
    """A number that is known exactly."""
    return Bound(value, value, value)


def bounded(columns: Sequence[Array], statistic: Callable[[Array], Array], seed: int) -> Bound:
    """A statistic of the means of several columns [games], which are paired game by game, with its bounds.

    `statistic` maps means [..., columns] to numbers [...]. The same columns and seed give the same bounds.
    Raises ValueError for fewer than two games or columns of unlike lengths.
    """
    games = np.stack([np.asarray(one, dtype=float) for one in columns], axis=1)
    if len(games) < 2:
        raise ValueError(f"games: found {len(games)}; allowed are 2 or more")
    starts = np.unique(np.linspace(0, len(games), min(BLOCKS, len(games)) + 1).astype(int))[:-1]
    sums = np.add.reduceat(games, starts, axis=0)
    sizes = np.diff(np.append(starts, len(games))).astype(float)
    count = len(starts)
    picked = np.random.Generator(np.random.Philox(seed)).integers(count, size=(RESAMPLES, count))
    flat = (picked + count * np.arange(RESAMPLES)[:, None]).ravel()
    drawn = np.bincount(flat, minlength=RESAMPLES * count).reshape(RESAMPLES, count)  # how often each block
    means = (drawn @ sums) / (drawn @ sizes)[:, None]
    low, high = np.quantile(statistic(means), [ERROR, 1.0 - ERROR])
    return Bound(float(statistic(games.mean(axis=0))), float(low), float(high), len(games))


def share_of_the_way(means: Array) -> Array:
    """G of means [..., 3] of a player, its base and its reference: 0 where it is the base, 1 where the reference."""
    ours, base, reference = np.moveaxis(means, -1, 0)
    return (ours - base) / (reference - base)


def deviation_ratio(means: Array) -> Array:
    """Standard deviation over another, of means [..., 4] of x, x squared, y and y squared."""
    x, x2, y, y2 = np.moveaxis(means, -1, 0)
    return np.sqrt((x2 - x * x) / (y2 - y * y))


def ratio(means: Array) -> Array:
    """The first over the second, of means [..., 2]."""
    return means[..., 0] / means[..., 1]


def difference(means: Array) -> Array:
    """The first less the second, of means [..., 2]."""
    return means[..., 0] - means[..., 1]
