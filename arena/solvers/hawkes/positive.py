"""Where a sum of exponentials is positive: the pieces of time over which a rectified intensity counts.

    g(u) = c_0 + sum_k c_k e^{-b_k u} on [0, length],  0 < b_1 < b_2 < ...

Multiplying by e^{b u} and differentiating removes one term and moves no zero of the derivative. So the zeros of the
shorter sum, found first, split [0, length] into stretches on which the longer one is monotone (Rolle), with at most one
zero each, found by bisection and Newton's method. The pieces are exact, however many there are.
"""

import math

import numpy as np
from numba import njit

_STEPS = 100  # bisection alone needs 60


@njit(cache=True, error_model="numpy")
def value(c, b, first, u):
    """sum_{k >= first} c_k e^{-(b_k - b_first) u}."""
    total = c[first]
    for k in range(first + 1, c.size):
        total += c[k] * math.exp(-(b[k] - b[first]) * u)
    return total


@njit(cache=True, error_model="numpy")
def slope(c, b, first, u):
    """The derivative of `value` in u."""
    total = 0.0
    for k in range(first + 1, c.size):
        total -= c[k] * (b[k] - b[first]) * math.exp(-(b[k] - b[first]) * u)
    return total


@njit(cache=True, error_model="numpy")
def zero_between(c, b, first, left, right):
    """The zero of a monotone stretch whose ends have different signs: Newton's method, kept inside by bisection."""
    rising = value(c, b, first, right) > 0.0
    u = 0.5 * (left + right)
    for _ in range(_STEPS):
        g = value(c, b, first, u)
        if (g > 0.0) == rising:
            right = u
        else:
            left = u
        step = u - g / slope(c, b, first, u)
        nxt = step if left < step < right else 0.5 * (left + right)
        if abs(nxt - u) <= 1e-15 * u or right - left <= 1e-15 * right:
            return nxt
        u = nxt
    return u


@njit(cache=True, error_model="numpy")
def zeros(c, b, length, work, found, spare):
    """Zeros in (0, length), rising, into found [K]; returns how many.

    c, b [K + 1]: coefficients and rates, b[0] = 0 and rising; work [K + 1, K + 1] and spare [K] are scratch.
    """
    n = c.size
    for k in range(n):
        work[0, k] = c[k]
    for j in range(1, n):
        for k in range(j, n):
            work[j, k] = -(b[k] - b[j - 1]) * work[j - 1, k]
    count = 0
    for j in range(n - 2, -1, -1):
        row = work[j]
        fresh, left = 0, 0.0
        at_left = value(row, b, j, 0.0)
        for i in range(count + 1):
            right = found[i] if i < count else length
            at_right = value(row, b, j, right)
            if (at_left > 0.0) != (at_right > 0.0):
                spare[fresh] = zero_between(row, b, j, left, right)
                fresh += 1
            left, at_left = right, at_right
        count = fresh
        for i in range(count):
            found[i] = spare[i]
    return count


@njit(cache=True, error_model="numpy")
def pieces(c, b, length, work, found, spare, left, right):
    """The pieces [left, right] of [0, length] where g > 0, into arrays [K + 1]; returns how many, else as `zeros`."""
    low = high = c[0]
    for k in range(1, c.size):
        low += min(c[k], 0.0)
        high += max(c[k], 0.0)
    left[0], right[0] = 0.0, length
    if low >= 0.0:  # the negative terms only fade
        return 1
    if high <= 0.0:
        return 0
    count = zeros(c, b, length, work, found, spare)
    start, n = 0.0, 0
    for i in range(count + 1):
        end = found[i] if i < count else length
        if value(c, b, 0, 0.5 * (start + end)) > 0.0:
            left[n], right[n] = start, end
            n += 1
        start = end
    return n


def scratch(k: int) -> tuple[np.ndarray, ...]:
    """Arrays for `pieces` with K exponentials: work, found, spare, left, right."""
    return np.empty((k + 1, k + 1)), np.empty(k + 1), np.empty(k + 1), np.empty(k + 1), np.empty(k + 1)
