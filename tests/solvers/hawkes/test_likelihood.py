"""Likelihood and compensators against sums and integrals written out, gradients against differences, signs included."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.solvers.hawkes import power_law
from arena.solvers.hawkes.events import Events, observed
from arena.solvers.hawkes.likelihood import intensity, log_likelihood
from arena.solvers.hawkes.positive import pieces, scratch
from arena.solvers.hawkes.process import Hawkes, by_pair, exponential, power_laws
from arena.solvers.hawkes.residuals import rescaled
from tests.solvers.hawkes.simulated import clusters, thinned

PROCESSES = {
    "one rate": exponential([0.5, 0.3], [[0.3, 0.2], [0.1, 0.4]], 2.0),
    "two rates": Hawkes([0.5, 0.3], [[[0.2, 0.1], [0.1, 0.2]], [[0.1, 0.1], [0.0, 0.2]]], [5.0, 0.7]),
    "by pair": by_pair([0.5, 0.3], [[0.3, 0.2], [0.1, 0.4]], [[1.0, 3.0], [2.0, 1.0]]),
    "signed": exponential([0.8, 0.5], [[0.3, -0.5], [0.4, -0.3]], 2.0),
    "signed, two rates": Hawkes([0.8, 0.5], [[[0.4, -0.5], [0.3, -0.6]], [[-0.2, 0.3], [-0.2, 0.3]]], [5.0, 0.7]),
    "signed, by pair": by_pair([0.8, 0.5], [[0.4, -0.8], [-0.4, 0.3]], [[1.0, 3.0], [2.0, 5.0]]),
}  # fmt: skip


def written_out(process: Hawkes, events: Events, at: float) -> np.ndarray:
    """Intensities at one instant, summed over the past."""
    k, m = len(process.rates), process.types
    rates = np.broadcast_to(process.rates[:, None, None] if process.rates.ndim == 1 else process.rates, (k, m, m))
    past = [(t, j) for t, j in zip(events.times, events.types, strict=True) if t < at and j >= 0]
    total = process.base.copy()
    for t, j in past:
        total += (process.branching[:, :, j] * rates[:, :, j] * np.exp(-rates[:, :, j] * (at - t))).sum(axis=0)
    return np.maximum(total, 0.0)


def integrated(process: Hawkes, events: Events, target: int) -> tuple[float, float]:
    """Log-likelihood of one row by the midpoint rule, and the integral alone."""
    factor, _ = events.factors_of(target)
    edges = np.concatenate([[min(events.start, events.times[0])], events.times, [events.end]])
    area = 0.0
    for n in range(edges.size - 1):
        x = np.linspace(edges[n], edges[n + 1], 2001)
        middle = 0.5 * (x[1:] + x[:-1])
        if edges[n + 1] > edges[n]:
            area += factor[n] * intensity(process, events, middle)[:, target].mean() * (edges[n + 1] - edges[n])
    own = (events.types == target) & events.counted
    rate = intensity(process, events, events.times[own])[:, target] * factor[:-1][own]
    return float(np.log(rate).sum() - area), area


def sample(process: Hawkes, seed: int) -> Events:
    """Twenty units of time with a past, events that only excite, and a factor on type 1."""
    rng = np.random.default_rng(seed)
    t, kind = thinned(process, 20.0, rng)
    factor = rng.uniform(0.3, 2.0, t.size)
    own = rng.uniform(size=t.size) < 0.8
    return observed(t, kind, 2, 20.0, start=3.0, own=own, factor=factor, log_slope=np.log(factor), modulated=[1])


@pytest.mark.parametrize("name", PROCESSES)
def test_intensities_are_sums_over_the_past(name):
    process, events = PROCESSES[name], sample(PROCESSES[name], 1)
    at = np.linspace(0.5, 19.5, 7)
    wanted = [written_out(process, events, float(t)) for t in at]
    assert intensity(process, events, at) == pytest.approx(np.array(wanted), rel=1e-12)


@pytest.mark.parametrize("name", PROCESSES)
def test_value_and_compensators_are_the_definition_s(name):
    process, events = PROCESSES[name], sample(PROCESSES[name], 2)
    found = log_likelihood(process, events)
    wanted = [integrated(process, events, i) for i in (0, 1)]
    assert found.value == pytest.approx(sum(value for value, _ in wanted), abs=1e-5)
    assert [gaps.sum() for gaps in found.passed] == pytest.approx([area for _, area in wanted], abs=1e-5)
    assert [gaps.size - 1 for gaps in found.passed] == events.counts().tolist()


@pytest.mark.parametrize("name", PROCESSES)
def test_the_gradient_is_that_of_the_value(name):
    process, events = PROCESSES[name], sample(PROCESSES[name], 3)
    found = log_likelihood(process, events)
    told = {"base": found.by_base, "branching": found.by_branching, "rates": found.by_rates}
    for field, slope in told.items():
        values = getattr(process, field)
        for at in np.ndindex(values.shape):
            step = 1e-5 * max(abs(values[at]), 0.1)
            moved = [values.copy(), values.copy()]
            moved[0][at] += step
            moved[1][at] -= step
            ends = [log_likelihood(replace(process, **{field: one}), events).value for one in moved]
            assert slope[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-6), (field, at)
    logs = np.append(events.log_slope[:-1], events.log_slope[-1])
    ends = [log_likelihood(process, replace(events, factor=np.exp((1 + s) * logs))).value for s in (1e-5, -1e-5)]
    assert found.by_shape == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_a_power_law_is_its_mixture_s_limit_and_has_an_exact_gradient():
    base, branching = [0.5, 0.3], [[0.3, 0.2], [0.1, 0.4]]
    t, kind = clusters(PROCESSES["one rate"], 15.0, np.random.default_rng(4))
    events = observed(t, kind, 2, 15.0)
    exact = power_law.log_likelihood(base, branching, 1.7, 20.0, events)
    mixed = log_likelihood(power_laws(base, branching, 1.7, 20.0, tolerance=2e-4), events)
    assert exact.value == pytest.approx(mixed.value, abs=0.01)
    assert exact.by_base == pytest.approx(mixed.by_base, rel=0.01)

    def value(b, g, exponent, scale):
        return power_law.log_likelihood(b, g, exponent, scale, events).value

    ones, step = np.ones((2, 2)), 1e-5
    point = [np.array(base), np.array(branching), 1.7 * ones, 20.0 * ones]
    for place, slope in enumerate((exact.by_base, exact.by_branching, exact.by_exponent, exact.by_scale)):
        for at in np.ndindex(slope.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = [one.copy() for one in point]
                moved[place][at] += sign * step
                ends.append(value(*moved))
            assert slope[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-6)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-2.0, 3.0), st.floats(-3.0, 3.0)), min_size=1, max_size=7), st.floats(0.05, 1.0),
       st.floats(-2.0, 1.5))  # fmt: skip
def test_pieces_are_where_a_sum_of_exponentials_is_positive(terms, constant, length):
    rates, length = np.sort(10.0 ** np.array([rate for rate, _ in terms])), 10.0**length
    c, b = np.array([constant, *(size for _, size in terms)]), np.concatenate([[0.0], rates])
    *work, left, right = scratch(len(terms))
    count = pieces(c, b, length, *work, left, right)
    u = np.concatenate([np.linspace(0.0, length, 4001)[1:], np.geomspace(1e-6 * length, length, 4001)])
    inside = ((u[:, None] >= left[:count]) & (u[:, None] <= right[:count])).any(axis=1)
    value = np.exp(-np.outer(u, b)) @ c
    clear = np.abs(value) > 1e-9 * np.abs(c).sum()
    assert (inside == (value > 0.0))[clear].all()


def test_time_rescaling_passes_the_true_process_and_fails_a_rate_that_is_wrong():
    """Six KS tests at .001/6: a true process fails once in a thousand samples; the seed is fixed."""
    for name in ("one rate", "signed, two rates"):
        process = PROCESSES[name]
        t, kind = thinned(process, 3000.0, np.random.default_rng(5))
        events = observed(t, kind, 2, 3000.0)
        assert min(one.p for one in rescaled(log_likelihood(process, events).passed)) > 0.001 / 6
        assert min(one.p_neighbours for one in rescaled(log_likelihood(process, events).passed)) > 0.001 / 6
    wrong = replace(PROCESSES["one rate"], branching=0.5 * PROCESSES["one rate"].branching)
    t, kind = clusters(PROCESSES["one rate"], 3000.0, np.random.default_rng(6))
    tests = rescaled(log_likelihood(wrong, observed(t, kind, 2, 3000.0)).passed)
    assert max(one.p for one in tests) < 1e-6
    assert min(one.mean for one in tests) < 0.9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([1.0, 0.5], [0, 0], 2, 3.0), r"found time 0.5 after 1 \(event 1\); allowed are times that rise"),
        (([1.0], [2], 2, 3.0), "found types 2 to 2; allowed are 0 to 1"),
        (([1.0], [0, 1], 2, 3.0), r"found \(1,\) times, \(2,\) types"),
        (([4.0], [0], 2, 3.0), "found an event at 4; allowed are times up to the end, 3"),
        (([1.0], [0], 2, -3.0), "found a window from 0 to -3"),
        (([1.0], [0], 2, 3.0, None, None, [-1.0]), "found a factor that is negative"),
    ],
)
def test_events_that_cannot_be_are_sentences(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        observed(*arguments)


def test_an_event_that_cannot_be_explained_has_no_likelihood():
    events = observed([1.0, 1.1], [0, 1], 2, 2.0)
    silent = exponential([1.0, 0.1], [[0.0, 0.0], [-1.0, 0.0]], 1.0)
    assert log_likelihood(silent, events).value == -np.inf
    with pytest.raises(ValueError, match="found 2 types of events; allowed are the process's 1"):
        log_likelihood(exponential([1.0], [[0.1]], 1.0), events)
