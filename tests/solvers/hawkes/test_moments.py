"""Stationary rates and covariances: one and two dimensions by hand, limits, and simulated counts; queues by recursion.
"""

import numpy as np
import pytest
from scipy.linalg import expm

from arena.solvers.hawkes import moments, queues
from arena.solvers.hawkes.process import Hawkes, by_pair, exponential, power_laws
from tests.solvers.hawkes.simulated import clusters

BASE, BRANCHING = [0.5, 0.3], [[0.3, 0.2], [0.1, 0.4]]


def test_one_type_has_the_closed_form_of_textbooks():
    n, rate, base = 0.6, 2.0, 0.5
    process = exponential([base], [[n]], rate)
    mean, kappa, gamma = base / (1 - n), 1 / (1 - n), rate * (1 - n)
    for tau in (0.1, 1.0, 10.0):
        wanted = mean * (tau * kappa**2 + (1 - kappa**2) * (1 - np.exp(-gamma * tau)) / gamma)
        assert moments.count_covariance(process, tau)[0, 0] == pytest.approx(wanted, rel=1e-12)
    assert moments.rates(process) == pytest.approx([mean])
    assert moments.ancestry(process) == pytest.approx(n)


def test_two_types_solve_their_linear_system():
    process = exponential(BASE, BRANCHING, 2.0)
    rates = moments.rates(process)
    assert rates[0] == pytest.approx(0.5 + 0.3 * rates[0] + 0.2 * rates[1])
    assert rates[1] == pytest.approx(0.3 + 0.1 * rates[0] + 0.4 * rates[1])
    assert process.radius == pytest.approx(0.5)  # (0.7 + sqrt(0.09))/2


def test_covariances_of_all_kernels_agree_where_they_are_the_same_process():
    one = exponential(BASE, BRANCHING, 2.0)
    split = Hawkes(BASE, [np.multiply(0.3, BRANCHING), np.multiply(0.7, BRANCHING)], [2.0, 2.0])
    pairs = by_pair(BASE, BRANCHING, np.full((2, 2), 2.0))
    for tau in (0.2, 3.0):
        wanted = moments.count_covariance(one, tau)
        assert moments.count_covariance(split, tau) == pytest.approx(wanted, rel=1e-9)
        assert moments.count_covariance(pairs, tau) == pytest.approx(wanted, rel=1e-9)
        assert wanted == pytest.approx(wanted.T)


@pytest.mark.parametrize("process", [
    exponential(BASE, BRANCHING, 2.0),
    by_pair(BASE, BRANCHING, [[1.0, 3.0], [2.0, 9.0]]),
    power_laws(BASE, BRANCHING, 2.5, 5.0),
], ids=["one rate", "by pair", "power law"])  # fmt: skip
def test_counts_tend_to_poisson_s_over_short_times_and_to_the_long_run(process):
    short = moments.count_covariance(process, 1e-5) / 1e-5
    assert short == pytest.approx(np.diag(moments.rates(process)), abs=1e-3)
    long = moments.count_covariance(process, 1e5) / 1e5
    assert long == pytest.approx(moments.long_run_covariance(process), rel=1e-3)


def test_simulated_counts_have_these_means_and_covariances():
    """4 000 windows of 5: each of 5 numbers within 4 standard errors, wrong once in 3 000 samples; the seed is fixed.
    """
    process, n, tau = by_pair(BASE, BRANCHING, [[1.0, 3.0], [2.0, 9.0]]), 4_000, 5.0
    t, kind = clusters(process, (n + 4) * tau, np.random.default_rng(7))
    counts = np.array([np.histogram(t[kind == i], n, (4 * tau, (n + 4) * tau))[0] for i in (0, 1)])
    mean, spread = tau * moments.rates(process), moments.count_covariance(process, tau)
    error = np.sqrt(np.diag(moments.long_run_covariance(process)) * tau / n)
    assert (np.abs(counts.mean(axis=1) - mean) < 4 * error).all()
    centred = counts - mean[:, None]
    for i, j in ((0, 0), (0, 1), (1, 1)):
        product = (centred[i] * centred[j]).reshape(100, -1).mean(axis=1)  # blocks: neighbouring windows are correlated
        assert abs(product.mean() - spread[i, j]) < 4 * product.std(ddof=1) / 10


@pytest.mark.parametrize(
    ("process", "sentence"),
    [
        (exponential([1.0], [[1.0]], 1.0), "spectral radius 1.000: on average every event causes as many or more"),
        (exponential([1.0], [[-0.1]], 1.0), "found kernels below zero; allowed are non-negative ones"),
    ],
)
def test_where_there_are_no_moments_a_sentence_says_why(process, sentence):
    with pytest.raises(ValueError, match=sentence):
        moments.rates(process)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([-1.0], [[[0.1]]], [1.0]), "found a base rate of -1"),
        (([1.0], [[[0.1]]], [0.0]), "found a decay rate of 0"),
        (([1.0], [[0.1]], [1.0]), "found shapes"),
        (([1.0], [[[np.nan]]], [1.0]), "found a branching that is no number"),
    ],
)
def test_a_process_that_cannot_be_is_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Hawkes(*arguments)


def test_inhibition_does_not_make_a_process_unstable():
    assert not exponential([1.0, 1.0], [[0.5, -3.0], [-3.0, 0.5]], 1.0).unstable()


# ------------------------------------------------------------------------------------------------------------- queues


def test_the_first_passage_of_a_queue_is_feller_s():
    assert queues.first_passage(8, 1.0, 1.5) == (1.0, 16.0, pytest.approx(160.0))
    assert queues.first_passage(3, 2.0, 1.0) == (0.125, np.inf, np.inf)
    assert queues.first_passage(3, 1.0, 1.0) == (1.0, np.inf, np.inf)
    assert queues.first_passage(3, 0.0, 0.0).certain == 0.0


@pytest.mark.parametrize(("queue", "adds", "removals"), [(1, 1.0, 1.5), (8, 1.0, 1.5), (3, 0.0, 2.0), (4, 1.5, 1.0)])
def test_the_survival_of_a_queue_solves_its_master_equation(queue, adds, removals):
    size, times = 120, np.array([0.5, 2.0, 10.0, 30.0])
    chain = np.zeros((size, size))
    for n in range(1, size - 1):
        chain[n, n + 1], chain[n, n - 1], chain[n, n] = adds, removals, -(adds + removals)
    wanted = [1.0 - expm(chain * t)[queue, 0] for t in times]
    assert queues.survival(queue, adds, removals, times) == pytest.approx(wanted, abs=2e-5)


def test_the_survival_of_a_queue_has_the_mean_of_its_first_passage():
    times = np.linspace(0.0, 400.0, 4_001)
    assert np.trapezoid(queues.survival(8, 1.0, 1.5, times), times) == pytest.approx(16.0, abs=2e-3)


def test_a_queue_that_cannot_be_is_a_sentence():
    with pytest.raises(ValueError, match="found 0 orders; allowed are 1 and more"):
        queues.first_passage(0, 1.0, 1.0)
    with pytest.raises(ValueError, match="found rates -1 and 1"):
        queues.survival(1, -1.0, 1.0, np.ones(1))
