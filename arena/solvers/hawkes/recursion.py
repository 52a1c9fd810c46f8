"""One pass over the events for one row of a Hawkes process: what excites one type, O(events x states).

    R_s(t) = sum over past events u of type source_s of e^{-b_s (t - u)},   Q_s = -dR_s/db_s
    lambda(t) = F max(0, base + sum_s coef_s b_s R_s(t)),   log L = sum_n log lambda(t_n) - integral of lambda

(Ozaki 1979). The likelihood is a sum over rows that share no base and no branching, so each row is fitted alone. Its
integral between two events is a sum of exponentials, taken over the pieces where the intensity is positive; the ends of
the pieces move with the parameters, but the intensity is zero there, so the gradient is exact without them.

Arguments of the kernels, N events, S states, K decay rates, P terms:

    times, types, counted   [N]: types -1 are instants at which only factors change
    begin, end              first and last instant of the window; the clock starts at the first time if it is earlier
    factor, by_factor       [N + 1]: F between events, and its derivative by the factor's parameter
    target                  the type whose row it is
    source, rate_of, term   [S]: what excites, which decay rate, which parameter it belongs to
    rates, weight           [K] decay rates, [S] the state's share in its parameter
    x, c                    [n, P + 1], [P + 1]: features at own events (first the base's 1), and integrals
    base, coef              parameters: the base rate, and [S] mean offspring of each state
    by_coef, by_rate        [S], [K]: gradients of log L, added to
    curve, curved           [S + 1, S + 1]: curvature of a rectified integral, added to if curved
    passed                  [n + 1]: integral of lambda from own event to own event, and after the last
"""

import math

import numpy as np
from numba import njit

from arena.solvers.hawkes.positive import pieces


@njit(cache=True, error_model="numpy")
def features(times, types, counted, begin, end, factor, target, source, rate_of, term, rates, weight, x, c):
    """Fill x and c such that, where it is positive, lambda/F = x theta at own events and its integral is c theta."""
    states = source.size
    r, e = np.zeros(states), np.empty(rates.size)
    now, own = min(begin, times[0]) if times.size else begin, 0
    for n in range(times.size + 1):
        until = times[n] if n < times.size else end
        dt, f = until - now, factor[n]
        now = until
        for k in range(rates.size):
            e[k] = math.exp(-rates[k] * dt)
        c[0] += f * dt
        for s in range(states):
            after = r[s] * e[rate_of[s]]
            c[term[s]] += f * weight[s] * (r[s] - after)
            r[s] = after
        if n == times.size:
            break
        if counted[n] and types[n] == target:
            row = x[own]
            row[0] = 1.0
            for s in range(states):
                row[term[s]] += weight[s] * rates[rate_of[s]] * r[s]
            own += 1
        for s in range(states):
            if source[s] == types[n]:
                r[s] += 1.0


@njit(cache=True, error_model="numpy")
def row_likelihood(
    times, types, counted, begin, end, factor, by_factor, target, source, rate_of, rates, base, coef,
    by_coef, by_rate, curve, curved, passed,
):  # fmt: skip
    """Log-likelihood of one row and its derivatives by base and factor's parameter: (value, by_base, by_shape).

    The row's intensity is rectified at zero; an event where it is zero makes the value -inf. `rates` must rise.
    """
    states, kinds = source.size, rates.size
    r, q, b, rate_moved = np.zeros(states), np.zeros(states), np.empty(states), np.zeros(states)
    sums, decay = np.empty(kinds + 1), np.zeros(kinds + 1)
    work, found, spare = np.empty((kinds + 1, kinds + 1)), np.empty(kinds + 1), np.empty(kinds + 1)
    left, right = np.empty(kinds + 1), np.empty(kinds + 1)
    e_left, e_right, edge = np.empty(kinds), np.empty(kinds), np.ones(states + 1)
    decay[1:] = rates
    rectified = False
    for s in range(states):
        b[s] = rates[rate_of[s]]
        rectified = rectified or coef[s] < 0.0
    value = by_base = by_shape = waited = 0.0
    now, own = min(begin, times[0]) if times.size else begin, 0
    for n in range(times.size + 1):
        until = times[n] if n < times.size else end
        dt, f = until - now, factor[n]
        now = until
        count, left[0], right[0] = 1, 0.0, dt
        if rectified:
            sums[0] = base
            sums[1:] = 0.0
            for s in range(states):
                sums[rate_of[s] + 1] += coef[s] * b[s] * r[s]
            count = pieces(sums, decay, dt, work, found, spare, left, right)
        area = 0.0
        for i in range(count):
            area += base * (right[i] - left[i])
            by_base -= f * (right[i] - left[i])
            for k in range(kinds):
                e_left[k] = math.exp(-rates[k] * left[i]) if left[i] > 0.0 else 1.0
                e_right[k] = math.exp(-rates[k] * right[i])
            for s in range(states):
                k = rate_of[s]
                gone = e_left[k] - e_right[k]
                area += coef[s] * r[s] * gone
                by_coef[s] -= f * r[s] * gone
                rate_moved[s] += f * coef[s] * (q[s] * gone - r[s] * (right[i] * e_right[k] - left[i] * e_left[k]))
            if curved:
                for u in (left[i], right[i]):
                    if 0.0 < u < dt:
                        slope = 0.0
                        for k in range(kinds):
                            slope += sums[k + 1] * rates[k] * math.exp(-rates[k] * u)
                        for s in range(states):
                            edge[s + 1] = b[s] * r[s] * math.exp(-b[s] * u)
                        for i_a in range(states + 1):
                            for i_b in range(states + 1):
                                curve[i_a, i_b] -= f * edge[i_a] * edge[i_b] / abs(slope)
        value -= f * area
        waited += f * area
        by_shape -= by_factor[n] * area
        if count != 1 or left[0] > 0.0 or right[0] < dt:
            for k in range(kinds):
                e_right[k] = math.exp(-rates[k] * dt)
        for s in range(states):
            e_s = e_right[rate_of[s]]
            q[s] = e_s * (q[s] + dt * r[s])
            r[s] *= e_s
        if n == times.size:
            passed[own] = waited
            break
        if counted[n] and types[n] == target:
            g = base
            for s in range(states):
                g += coef[s] * b[s] * r[s]
            if g > 0.0 and f > 0.0:
                value += math.log(f * g)
                by_base += 1.0 / g
                by_shape += by_factor[n] / f
                for s in range(states):
                    by_coef[s] += b[s] * r[s] / g
                    rate_moved[s] += coef[s] * (r[s] - b[s] * q[s]) / g
            else:
                value = -math.inf
            passed[own] = waited
            waited = 0.0
            own += 1
        for s in range(states):
            if source[s] == types[n]:
                r[s] += 1.0
    for s in range(states):
        by_rate[rate_of[s]] += rate_moved[s]
    return value, by_base, by_shape


@njit(cache=True, error_model="numpy")
def intensities(times, types, source, rate_of, rates, base, coef, at, out):
    """base + sum_s coef_s b_s R_s just before each of the rising instants `at` [n], into out [n]; not rectified."""
    r = np.zeros(source.size)
    now, n = times[0] if times.size else 0.0, 0
    for i in range(at.size):
        while n < times.size and times[n] < at[i]:
            for s in range(source.size):
                r[s] *= math.exp(-rates[rate_of[s]] * (times[n] - now))
                if source[s] == types[n]:
                    r[s] += 1.0
            now = times[n]
            n += 1
        out[i] = base
        for s in range(source.size):
            b = rates[rate_of[s]]
            if r[s] != 0.0:
                out[i] += coef[s] * b * r[s] * math.exp(-b * (at[i] - now))
