"""Maximum likelihood for a Hawkes process: base rates, branching and kernel shapes with standard errors.

At fixed shapes (rates, an exponent, the power of a spread) the likelihood is a sum over rows, each concave in its base
and branching (`rows`); the few shapes are sought outside, with the exact gradient that the envelope theorem leaves.
Standard errors are those of the observed information of all parameters together, minus the matrix of second derivatives
at the maximum (Ogata 1978: such estimates are asymptotically normal); that of shapes is differenced from the exact
gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from arena.layout import Array
from arena.solvers.hawkes.events import Events
from arena.solvers.hawkes.families import Family
from arena.solvers.hawkes.process import Hawkes
from arena.solvers.hawkes.residuals import Rescaled, rescaled
from arena.solvers.hawkes.rows import At, Prepared, Rows, rows_of

SAMPLE = 12_000
"""Events that a first, coarse fit looks at."""
STEP = 1e-3
"""Relative step of the differences in shapes."""
Z95 = 1.959963984540054


class Estimate(NamedTuple):
    """A number, its standard error (nan where the data do not say), and an interval of 95 %."""

    value: float
    error: float
    low: float
    high: float


class Estimates(NamedTuple):
    """Numbers as `Estimate`, arrays of one shape."""

    value: Array
    error: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Fit:
    """What a fit found; errors and intervals are nan where the data do not identify a number.

    Where bounds at zero hold some numbers, the others' estimates lean towards what those would have been; intervals are
    therefore put around the maximum without bounds, one step of Newton's method away, and then cut at zero.
    """

    base: Estimates  # [M]
    branching: Estimates  # [K, M, M]
    shape: dict[str, Estimate]  # rates, or exponent and scale; `spread_power` where it was fitted
    signed: bool
    process: Hawkes
    log_likelihood: float
    parameters: int
    events: int
    converged: bool
    residuals: tuple[Rescaled, ...]
    passed: tuple[Array, ...]  # compensators by type, as in `likelihood`

    @property
    def aic(self) -> float:
        """Akaike's criterion: smaller is better."""
        return 2.0 * self.parameters - 2.0 * self.log_likelihood


def fit(
    events: Events,
    family: Family,
    signed: bool = False,
    mirror: NDArray[np.int64] | None = None,
    power: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Fit a process to events; `power` is a first guess of the factor's own parameter, None where there is none to fit.

    With `signed` kernels may be negative; `mirror` [M] lets type i behave as type mirror[i]; the factor of modulated
    types is then e^{power log_slope} where it is positive. `say` hears about progress. Raises ValueError for fewer than
    ten counted events.
    """
    if int(events.counted.sum()) < 10:
        raise ValueError(f"fit: found {int(events.counted.sum())} events; allowed are 10 and more")
    search = _Search(rows_of(events.kinds, mirror), events, family, signed, power, say)
    shape = search.first_guess()
    shape, converged = search.improve(shape)
    return search.conclude(shape, converged)


class _Search:
    """The search over shapes; the best base and branching so far are where the next ones start."""

    def __init__(self, rows: list[Rows], events: Events, family: Family, signed: bool, power: float | None,
                 say: Callable[[str], None]):  # fmt: skip
        self.rows, self.events, self.family, self.signed, self.say = rows, events, family, signed, say
        self.power = power
        self.theta: list[Array | None] = [None] * len(rows)
        self.sure = True

    def first_guess(self) -> Array:
        """The likeliest of a few typical rates on the first events, then improved there."""
        if int(self.events.counted.sum()) > SAMPLE:
            head = _head(self.events, SAMPLE)
            inner = _Search(self.rows, head, self.family, self.signed, self.power, lambda line: None)
            shape = inner.first_guess()
            shape, _ = inner.improve(shape, rough=True)
            self.theta = list(inner.theta)
            self.say(f"first guess from {SAMPLE} events: {self.spelled(shape)}")
            return shape
        level = self.events.counted.sum() / self.events.length
        best, found = -math.inf, self.family.start(level)
        for rate in level * np.geomspace(0.03, 300.0, 7):
            shape = self._with_power(self.family.start(rate))
            self.theta = [None] * len(self.rows)
            value = -self.objective(shape)[0]
            if value > best:
                best, found, kept = value, shape, list(self.theta)
        self.theta = kept
        return found

    def improve(self, shape: Array, rough: bool = False) -> tuple[Array, bool]:
        """Shapes of the largest likelihood."""
        count = float(self.events.counted.sum())
        bounds = [*self.family.bounds(), *([] if self.power is None else [(-5.0, 5.0)])]

        def scaled(at: Array) -> tuple[float, Array]:
            value, slope = self.objective(at)
            self.say(f"{self.spelled(at)}: log-likelihood {-value:.2f}")
            return value / count, slope / count

        tolerance = {"ftol": 1e-7 if rough else 1e-12, "gtol": 1e-4 if rough else 1e-8, "maxiter": 20 if rough else 60}
        found = minimize(scaled, shape, jac=True, method="L-BFGS-B", bounds=bounds, options=tolerance)
        flat = float(np.abs(found.jac).max()) < 1e-5
        return np.asarray(found.x), bool(found.success or flat)

    def objective(self, shape: Array) -> tuple[float, Array]:
        """Minus the log-likelihood, maximised over all bases and branchings, and its gradient by shapes."""
        value, slope = 0.0, np.zeros_like(shape)
        self.sure = True
        for i, prepared in enumerate(self.prepared(shape)):
            best, sure = prepared.best(self.theta[i], self.signed)
            self.theta[i], self.sure = best, self.sure and sure
            found = prepared.at(best)
            value -= found.value
            slope -= self.by_shape(shape, found)
        return value, slope

    def prepared(self, shape: Array) -> Iterator[Prepared]:
        """Every set of rows at given shapes, one at a time: features are the large part of the memory."""
        count = len(self.family.bounds())
        expanded, events = self.family.expand(shape[:count]), self.events
        if self.power is not None:
            events = with_power(events, float(shape[-1]))
        return (Prepared(rows, events, expanded) for rows in self.rows)

    def by_shape(self, shape: Array, found: At) -> Array:
        """The gradient by shapes of one set of rows."""
        pulled = self.family.pull(shape[: len(self.family.bounds())], found.by_rates, found.by_weights)
        return pulled if self.power is None else np.append(pulled, found.by_factor)

    def conclude(self, shape: Array, converged: bool) -> Fit:
        """Estimates with their errors, and the test of fit."""
        self.say("standard errors")
        best = -self.objective(shape)[0]
        theta = [one for one in self.theta if one is not None]
        spread, known, score = self.information(shape, theta)
        errors, moved = np.full(known.size, np.nan), np.zeros(known.size)
        errors[known], moved[known] = np.sqrt(np.diag(spread)), np.nan_to_num(spread) @ score[known]
        count, m, kernels = len(self.family.bounds()), self.events.kinds, self.family.kernels
        base, branching = np.full((4, m), np.nan), np.full((4, kernels, m, m), np.nan)
        passed: list[Array] = [np.zeros(1)] * m
        at = 0
        for rows, values, prepared in zip(self.rows, theta, self.prepared(shape), strict=True):
            part = slice(at, at + values.size)
            low, high = (values + moved[part] + sign * Z95 * errors[part] for sign in (-1.0, 1.0))
            if not self.signed:
                low, high = np.maximum(low, 0.0), np.maximum(high, 0.0)
            told = np.stack([values, errors[part], low, high])
            for target, columns, gaps in zip(rows.targets, rows.columns, prepared.at(values).passed, strict=True):
                base[:, target], passed[target] = told[:, 0], gaps
                branching[:, :, target, columns] = told[:, 1:].reshape(4, kernels, m)
            at += values.size
        shapes = self.shapes(shape, errors[at:], moved[at:])
        expanded = self.family.expand(shape[:count])
        process = Hawkes(base[0], expanded.weights[:, None, None] * branching[0][expanded.kernel], expanded.rates)
        return Fit(Estimates(*base), Estimates(*branching), shapes, self.signed, process, best,
                   int(known.sum()), int(self.events.counted.sum()), converged and self.sure,
                   tuple(rescaled(passed)), tuple(passed))  # fmt: skip

    def information(self, shape: Array, theta: list[Array]) -> tuple[Array, NDArray[np.bool_], Array]:
        """The inverse of the observed information, [n, n], which parameters [all] it is about, and the score [all]."""
        sizes = [one.size for one in theta]
        total, d = sum(sizes) + shape.size, shape.size
        matrix, score = np.zeros((total, total)), np.zeros(total)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        for i, prepared in enumerate(self.prepared(shape)):
            found = prepared.at(theta[i])
            score[starts[i] : starts[i + 1]] = found.slope
            score[total - d :] += self.by_shape(shape, found)
            matrix[starts[i] : starts[i + 1], starts[i] : starts[i + 1]] = found.curve
        for k in range(d):
            for sign in (1.0, -1.0):
                moved = shape.copy()
                moved[k] += sign * STEP
                for i, prepared in enumerate(self.prepared(moved)):
                    found = prepared.at(theta[i])
                    matrix[starts[i] : starts[i + 1], total - d + k] -= sign * found.slope / (2.0 * STEP)
                    matrix[total - d :, total - d + k] -= sign * self.by_shape(moved, found) / (2.0 * STEP)
        matrix[total - d :, : total - d] = matrix[: total - d, total - d :].T
        matrix[total - d :, total - d :] = 0.5 * (matrix[total - d :, total - d :] + matrix[total - d :, total - d :].T)
        known = np.diag(matrix) > 0.0
        held = known & (np.concatenate([*theta, np.ones(d)]) == 0.0)
        spread, sure = inverse(matrix[np.ix_(known, known)])
        if not sure and held.any():
            # far from the maximum without bounds the function may bend the other way: what a bound holds is left out
            known = known & ~held
            spread, _ = inverse(matrix[np.ix_(known, known)])
        return spread, known, score

    def shapes(self, shape: Array, errors: Array, moved: Array) -> dict[str, Estimate]:
        """Shapes as people state them; intervals are those of their logarithms, so they stay in range."""
        count = len(self.family.bounds())

        def told(k: int, by: float) -> float:
            point = shape[:count].copy()
            point[k] += by
            return float(self.family.told(point)[k])

        out = {}
        for k, name in enumerate(self.family.names()):
            slope = (told(k, STEP) - told(k, -STEP)) / (2.0 * STEP)
            low, high = (told(k, moved[k] + sign * Z95 * errors[k]) for sign in (-1.0, 1.0))
            out[name] = Estimate(told(k, 0.0), float(slope * errors[k]), low, high)
        if self.power is not None:
            value, error, centre = float(shape[-1]), float(errors[-1]), float(shape[-1] + moved[-1])
            out["spread_power"] = Estimate(value, error, centre - Z95 * error, centre + Z95 * error)
        return out

    def spelled(self, shape: Array) -> str:
        """Shapes in words."""
        told = zip(self.family.names(), self.family.told(shape[: len(self.family.bounds())]), strict=True)
        words = [f"{name} {value:.4g}" for name, value in told]
        return ", ".join(words if self.power is None else [*words, f"spread power {shape[-1]:.3g}"])

    def _with_power(self, shape: Array) -> Array:
        return shape if self.power is None else np.append(shape, self.power)


def inverse(information: Array) -> tuple[Array, bool]:
    """Variances and covariances [n, n], and whether there are any: nan for what a direction without information moves.
    """
    scale = 1.0 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    inside = values > 1e-10 * values.max()
    spread = (vectors[:, inside] / values[inside]) @ vectors[:, inside].T * np.outer(scale, scale)
    lost = (np.abs(vectors[:, ~inside]) > 1e-3).any(axis=1)
    spread[lost, lost] = np.nan
    return spread, bool(inside.all())


def with_power(events: Events, power: float) -> Events:
    """The same events with the factor e^{power log_slope}, where it is positive."""
    return replace(events, factor=np.where(events.factor > 0.0, np.exp(power * events.log_slope), 0.0))


def _head(events: Events, count: int) -> Events:
    """The first counted events, up to the last of them."""
    last = int(np.flatnonzero(events.counted)[count - 1]) + 1
    return replace(
        events, times=events.times[:last], types=events.types[:last], counted=events.counted[:last],
        window=events.window[: last + 1], factor=events.factor[: last + 1], log_slope=events.log_slope[: last + 1],
        end=float(events.times[last - 1]),
    )  # fmt: skip
