"""The power law itself, without a mixture: log-likelihood and exact gradient by a sum over all pairs, O(events^2).

    lambda_i(t) = base_i + sum over past events (u, j) of G_ij (b - 1) c (1 + c (t - u))^-b

For checks and short samples: 10 000 events take about a second. Kernels may be negative only where the intensity stays
positive; rectified power laws are the mixture's (`process.power_laws`).

Arguments of the kernels besides those of `recursion`:

    g, b, c           [M]: branching, exponents and scales of one row
    d_g, d_b, d_c     [M]: the gradient by them, added to
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from arena.layout import Array
from arena.solvers.hawkes.events import Events
from arena.solvers.hawkes.mixture import check


class PowerLaw(NamedTuple):
    """Log-likelihood and gradient by base [M], branching, exponents, scales [M, M], and the factor's parameter."""

    value: float
    by_base: Array
    by_branching: Array
    by_exponent: Array
    by_scale: Array
    by_shape: float


@njit(cache=True, error_model="numpy")
def _row(times, types, counted, begin, end, factor, by_factor, target, base, g, b, c, d_g, d_b, d_c):
    """One row: value, and the gradient by base and the factor's parameter."""
    value = d_base = d_shape = 0.0
    slope_b, slope_c, share = np.empty(g.size), np.empty(g.size), np.empty(g.size)
    now = min(begin, times[0]) if times.size else begin
    for n in range(times.size + 1):
        until = times[n] if n < times.size else end
        f = factor[n]
        area = base * (until - now)
        d_base -= f * (until - now)
        for m in range(n):
            j = types[m]
            if j < 0:
                continue
            near, far = 1.0 + c[j] * (now - times[m]), 1.0 + c[j] * (until - times[m])
            s_near, s_far = near ** (1.0 - b[j]), far ** (1.0 - b[j])
            area += g[j] * (s_near - s_far)
            d_g[j] -= f * (s_near - s_far)
            d_b[j] -= f * g[j] * (s_far * math.log(far) - s_near * math.log(near))
            scaled = (1.0 - b[j]) * ((now - times[m]) * s_near / near - (until - times[m]) * s_far / far)
            d_c[j] -= f * g[j] * scaled
        value -= f * area
        d_shape -= by_factor[n] * area
        now = until
        if n == times.size or not counted[n] or types[n] != target:
            continue
        rate = base
        share[:] = 0.0
        slope_b[:] = 0.0
        slope_c[:] = 0.0
        for m in range(n):
            j = types[m]
            if j < 0:
                continue
            u = until - times[m]
            far = 1.0 + c[j] * u
            h = (b[j] - 1.0) * c[j] * far ** (-b[j])
            rate += g[j] * h
            share[j] += h
            slope_b[j] += g[j] * h * (1.0 / (b[j] - 1.0) - math.log(far))
            slope_c[j] += g[j] * h * (1.0 / c[j] - b[j] * u / far)
        if not (rate > 0.0 and f > 0.0):
            return -math.inf, d_base, d_shape
        value += math.log(f * rate)
        d_base += 1.0 / rate
        d_shape += by_factor[n] / f
        for j in range(g.size):
            d_g[j] += share[j] / rate
            d_b[j] += slope_b[j] / rate
            d_c[j] += slope_c[j] / rate
    return value, d_base, d_shape


def log_likelihood(
    base: ArrayLike, branching: ArrayLike, exponent: ArrayLike, scale: ArrayLike, events: Events
) -> PowerLaw:
    """Value and exact gradient; exponent > 1 and scale > 0 are numbers or [M, M]; -inf if an intensity is not positive.

    Raises ValueError for an exponent or scale out of range.
    """
    mu, g = np.asarray(base, dtype=float), np.asarray(branching, dtype=float)
    b = np.broadcast_to(np.asarray(exponent, dtype=float), g.shape).copy()
    c = np.broadcast_to(np.asarray(scale, dtype=float), g.shape).copy()
    check(b, c, 1.0, 0.5)
    d_base, d_g, d_b, d_c = np.zeros_like(mu), np.zeros_like(g), np.zeros_like(g), np.zeros_like(g)
    value = by_shape = 0.0
    for i in range(mu.size):
        factor, by_factor = events.factors_of(i)
        one, d_base[i], shape = _row(
            events.times, events.types, events.counted, events.start, events.end, factor, by_factor,
            i, mu[i], g[i], b[i], c[i], d_g[i], d_b[i], d_c[i],
        )  # fmt: skip
        value, by_shape = value + one, by_shape + shape
    return PowerLaw(value, d_base, d_g, d_b, d_c, by_shape)
