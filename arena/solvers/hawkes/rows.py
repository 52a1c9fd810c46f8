"""Rows of a Hawkes process that share their parameters, and their likelihood at given kernel shapes.

At fixed shapes the log-likelihood of a row is concave in base and branching: log of a linear function, less the
integral of the larger of a linear function and zero. Rows that mirror one another (an ask's and a bid's) are one set of
parameters seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.hawkes.concave import Second, maximise
from arena.solvers.hawkes.events import Events
from arena.solvers.hawkes.families import Expanded
from arena.solvers.hawkes.likelihood import Row, States, row
from arena.solvers.hawkes.recursion import features

TINY = 1e-100
"""Intensities below do not count as positive: their inverse squares would overflow."""
DEEPEST = -10.0
"""The lowest branching of a signed fit: an event that silences a type for good has no maximum of likelihood."""


@dataclass(frozen=True)
class Rows:
    """Targets that share one base and one row of branching; columns [targets, M] say which type each source plays."""

    targets: tuple[int, ...]
    columns: NDArray[np.int64]

    @property
    def types(self) -> int:
        """Number of sources, M."""
        return self.columns.shape[1]


class At(NamedTuple):
    """Log-likelihood of rows at parameters, with gradients by parameters, rates, weights and the factor's own."""

    value: float
    slope: Array  # [1 + K M]
    curve: Array  # [1 + K M, 1 + K M], of minus the log-likelihood
    by_rates: Array  # [R]
    by_weights: Array  # [R]
    by_factor: float
    passed: tuple[Array, ...]


def rows_of(types: int, mirror: NDArray[np.int64] | None) -> list[Rows]:
    """Every row alone, or pairs i and mirror[i] together, where type j plays mirror[j]."""
    plain = np.arange(types)
    if mirror is None:
        return [Rows((i,), plain[None]) for i in range(types)]
    together = [(i, int(mirror[i])) for i in range(types) if i <= mirror[i]]
    return [
        Rows((i,), plain[None]) if i == j else Rows((i, j), np.stack([plain, mirror])) for i, j in together
    ]  # fmt: skip


class Prepared:
    """Rows at fixed shapes: features are made once, then base and branching are sought."""

    def __init__(self, rows: Rows, events: Events, shape: Expanded):
        self.rows, self.events, self.shape = rows, events, shape
        m, r = rows.types, shape.rates.size
        order = np.argsort(shape.rates, kind="stable")
        self.place = np.argsort(order)  # of a rate among the rising ones
        self.sorted = shape.rates[order]
        self.rate_of = np.repeat(self.place, m).astype(np.int64)
        self.weight = np.repeat(shape.weights, m)
        self.parameter = (shape.kernel[:, None] * m + np.arange(m)).ravel()  # [R M]: which branching a state belongs to
        self.size = 1 + (int(shape.kernel.max()) + 1) * m
        blocks, self.integral = [], np.zeros(self.size)
        for target, columns in zip(rows.targets, rows.columns, strict=True):
            own = int((events.counted & (events.types == target)).sum())
            x = np.zeros((own, self.size))
            features(events.times, events.types, events.counted, events.start, events.end, events.factors_of(target)[0],
                     target, np.tile(columns, r), self.rate_of, self.parameter + 1, self.sorted, self.weight, x,
                     self.integral)  # fmt: skip
            blocks.append(x)
        self.x = np.concatenate(blocks)

    def best(self, start: Array | None, signed: bool) -> tuple[Array, bool]:
        """Base and branching [1 + K M] that maximise the likelihood, and whether they were reached.

        A type that never occurs gets zeros.
        """
        if not len(self.x):
            return np.zeros(self.size), True
        low = np.zeros(self.size)
        level = len(self.x) / max(self.integral[0], 1e-300)
        first = np.concatenate([[0.7 * level], np.full(self.size - 1, 0.3 / self.size)])
        begin = first if start is None else np.maximum(start, 0.02 * first)
        begin[1:][self.integral[1:] <= 0.0] = 0.0
        found = maximise(self.linear, begin, low)
        if not signed:
            return found
        low[1:] = np.where(self.integral[1:] > 0.0, DEEPEST, 0.0)
        return maximise(self.rectified, found[0] if start is None else self._inside(start, found[0]), low)

    def linear(self, theta: Array) -> Second:
        """Value, gradient and curvature where no intensity can be negative."""
        intensity = self.x @ theta
        if not (intensity > TINY).all():
            return -np.inf, np.zeros_like(theta), np.eye(theta.size)
        scaled = self.x / intensity[:, None]
        value = float(np.log(intensity).sum() - self.integral @ theta)
        return value, scaled.sum(axis=0) - self.integral, scaled.T @ scaled

    def rectified(self, theta: Array) -> Second:
        """The same for any signs: the integral is taken where the intensity is positive."""
        intensity = self.x @ theta
        if not (intensity > TINY).all():
            return -np.inf, np.zeros_like(theta), np.eye(theta.size)
        found = self.at(theta)
        return found.value, found.slope, found.curve

    def at(self, theta: Array) -> At:
        """Everything about the likelihood at parameters [1 + K M]."""
        m, r = self.rows.types, self.shape.rates.size
        slope, coef = np.zeros(self.size), self.weight * theta[1:][self.parameter]
        signed = bool((theta < 0.0).any())
        scaled = self.x / np.maximum(self.x @ theta, 1e-300)[:, None]
        curve = scaled.T @ scaled
        by_rates, by_weights, value, by_factor, passed = np.zeros(r), np.zeros(r), 0.0, 0.0, []
        for target, columns in zip(self.rows.targets, self.rows.columns, strict=True):
            states = States(np.tile(columns, r), self.rate_of, self.sorted, coef)
            one = row(self.events, target, theta[0], states, signed)
            value, by_factor = value + one.value, by_factor + one.by_shape
            slope[0] += one.by_base
            slope[1:] += np.bincount(self.parameter, self.weight * one.by_coef, self.size - 1)
            by_rates += one.by_rate[self.place]
            by_weights += (one.by_coef * theta[1:][self.parameter]).reshape(r, m).sum(axis=1)
            if signed:
                curve -= self._gather(one)
            passed.append(one.passed)
        return At(value, slope, curve, by_rates, by_weights, by_factor, tuple(passed))

    def _gather(self, one: Row) -> Array:
        """A curvature by states as one by parameters."""
        spread = np.zeros((self.size, self.weight.size + 1))
        spread[0, 0] = 1.0
        spread[self.parameter + 1, np.arange(self.weight.size) + 1] = self.weight
        return np.asarray(spread @ one.curve @ spread.T)

    def _inside(self, start: Array, safe: Array) -> Array:
        """The point nearest to `start`, on the way from `safe`, where all own events have positive intensity."""
        share = 1.0
        while share > 1e-6 and not (self.x @ (safe + share * (start - safe)) > 0.0).all():
            share *= 0.5
        return safe + share * (start - safe) if share > 1e-6 else safe
