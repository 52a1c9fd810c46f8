"""Log-likelihood of a Hawkes process and its exact gradient; intensities and compensators by the way.

    log L = sum_i [ sum over own events log lambda_i(t_n) - integral of lambda_i from start to end ]

One pass a row, O(events x types x kernels) together. For power laws without the mixture see `power_law`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arena.layout import Array
from arena.solvers.hawkes.events import Events
from arena.solvers.hawkes.process import Hawkes
from arena.solvers.hawkes.recursion import intensities, row_likelihood


class States(NamedTuple):
    """The numbers R_s that one row of a process keeps: source and decay rate of each; `rates` rise."""

    source: NDArray[np.int64]  # [S]
    rate_of: NDArray[np.int64]  # [S]
    rates: Array  # [R]
    coef: Array  # [S]


class Row(NamedTuple):
    """What one pass over the events says about one row: log-likelihood, gradient, curvature, compensators."""

    value: float
    by_base: float
    by_coef: Array  # [S]
    by_rate: Array  # [R]
    by_shape: float
    curve: Array  # [S + 1, S + 1], of the rectified integral
    passed: Array  # [n + 1]: integral of lambda up to each own event since the one before, and after the last


class Likelihood(NamedTuple):
    """Log-likelihood and its gradient, in the shapes of a process; `by_shape` is that of the factor's parameter."""

    value: float
    by_base: Array  # [M]
    by_branching: Array  # [K, M, M]
    by_rates: Array  # as the process has them
    by_shape: float
    passed: tuple[Array, ...]  # a compensator per type


def states_of(process: Hawkes, target: int) -> States:
    """The states of one row, kernel after kernel, S = K M."""
    k, m = len(process.rates), process.types
    source = np.tile(np.arange(m), k)
    wide = process.rates if process.rates.ndim == 1 else process.rates[:, target].ravel()
    order = np.argsort(wide, kind="stable")
    place = np.argsort(order)
    rate_of = np.repeat(place, m) if process.rates.ndim == 1 else place
    return States(source, rate_of, wide[order], np.ascontiguousarray(process.branching[:, target].ravel()))


def row(events: Events, target: int, base: float, states: States, curved: bool = False) -> Row:
    """One row's log-likelihood with everything that a fit and a test of fit need."""
    s = states.source.size
    by_coef, by_rate = np.zeros(s), np.zeros(states.rates.size)
    curve = np.zeros((s + 1, s + 1) if curved else (0, 0))
    passed = np.zeros(int((events.counted & (events.types == target)).sum()) + 1)
    factor, by_factor = events.factors_of(target)
    value, by_base, by_shape = row_likelihood(
        events.times, events.types, events.counted, events.start, events.end, factor, by_factor, target,
        states.source, states.rate_of, states.rates, float(base), states.coef, by_coef, by_rate, curve, curved, passed,
    )  # fmt: skip
    return Row(value, by_base, by_coef, by_rate, by_shape, curve, passed)


def log_likelihood(process: Hawkes, events: Events) -> Likelihood:
    """Value and exact gradient, rows one after another; -inf where an event has intensity zero.

    Raises ValueError where process and events differ in the number of types.
    """
    if events.kinds != process.types:
        raise ValueError(f"hawkes: found {events.kinds} types of events; allowed are the process's {process.types}")
    k, m = len(process.rates), process.types
    by_base, by_branching, by_rates = np.empty(m), np.empty((k, m, m)), np.zeros_like(process.rates)
    value = by_shape = 0.0
    passed = []
    for i in range(m):
        states = states_of(process, i)
        found = row(events, i, process.base[i], states)
        value, by_base[i], by_shape = value + found.value, found.by_base, by_shape + found.by_shape
        by_branching[:, i] = found.by_coef.reshape(k, m)
        if process.rates.ndim == 1:
            by_rates += found.by_rate[states.rate_of[::m]]
        else:
            by_rates[:, i] = found.by_rate[states.rate_of].reshape(k, m)
        passed.append(found.passed)
    return Likelihood(value, by_base, by_branching, by_rates, by_shape, tuple(passed))


def intensity(process: Hawkes, events: Events, at: ArrayLike) -> Array:
    """Intensities just before each of the rising instants `at` [n], rectified, without factors: [n, M]."""
    when = np.asarray(at, dtype=float)
    out = np.empty((when.size, process.types))
    for i in range(process.types):
        states, column = states_of(process, i), np.empty(when.size)
        intensities(events.times, events.types, states.source, states.rate_of, states.rates, process.base[i],
                    states.coef, when, column)  # fmt: skip
        out[:, i] = np.maximum(column, 0.0)
    return out
