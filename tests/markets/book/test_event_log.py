"""The market's own events, one by one, against what is known of them: compensators, counts, how long a queue lasts."""

import numpy as np
import pytest
from scipy.stats import kstest

from arena.markets.book.event_log import background_log
from arena.markets.book.events import POST_INSIDE, TYPES
from arena.markets.book.market import Market
from arena.markets.book.presets import PRESETS
from arena.markets.book.tables import in_spread_factor
from arena.markets.book.theory.flow import process_of
from arena.solvers.hawkes import queues
from arena.solvers.hawkes.events import Events, observed
from arena.solvers.hawkes.likelihood import log_likelihood
from arena.solvers.hawkes.moments import count_covariance
from arena.solvers.hawkes.process import exponential
from arena.solvers.hawkes.residuals import rescaled

INSIDE = (POST_INSIDE, TYPES - 1 - POST_INSIDE)
SIGNED = {
    "base": [1, 1, 3, 3, 1, 0.5],
    "same": [[-0.8 if i == j else 0.3 if i == (j + 1) % 6 else 0.0 for j in range(6)] for i in range(6)],
}


def quiet(flow: dict, **depth: object) -> Market:
    """A market from an empty past; the log has no seats."""
    return Market.model_validate({"flow": flow, "warm_up": 0, "depth": depth})


def heard(market: Market, seconds: float) -> Events:
    """A path of the book, with the factor that the spread just before each event gives to in-spread orders."""
    log = background_log(market, 5, seconds)
    factor = in_spread_factor(market)[log.spreads.astype(int)]
    return observed(log.times, log.types, TYPES, seconds, factor=factor, modulated=INSIDE)


@pytest.mark.parametrize(
    ("flow", "seconds"),
    [({"preset": "hawkes_exp"}, 3000.0), ({"preset": "hawkes_pl"}, 300.0), (SIGNED, 600.0)],
    ids=["exponential", "power law", "inhibition"],
)
def test_on_its_own_clock_every_type_is_a_poisson_process(flow: dict, seconds: float) -> None:
    """Time rescaling on the coupled path; twelve tests of level .001/12 each, so one in a thousand samples fails."""
    market = quiet(flow)
    tests = rescaled(log_likelihood(process_of(market), heard(market, seconds)).passed)
    assert min(one.p for one in tests) > 0.001 / TYPES
    assert min(one.gaps for one in tests) > 60
    assert sum(one.gaps for one in tests) > 8_000


def test_a_kernel_wrong_by_a_fifth_is_noticed() -> None:
    market = quiet({"preset": "hawkes_exp"})
    wrong = exponential(market.flow.rates, 0.8 * market.flow.excitation, 5.0)
    tests = rescaled(log_likelihood(wrong, heard(market, 3000.0)).passed)
    assert min(one.p for one in tests) < 1e-4


def test_counts_spread_as_the_closed_form_says() -> None:
    """All 144 covariances over .1, 1 and 10 s, by means over 50 stretches of 1 000 s.

    Without in-spread orders the process is linear. Bounds of 5.5 standard errors (49 degrees of freedom): one sample in
    two thousand has any of the 432 beyond.
    """
    plain = {**PRESETS["hawkes_exp"], "base": [*PRESETS["hawkes_exp"]["base"][:5], 0.0]}
    for block in ("same", "cross"):
        plain[block] = [[0.0] * 6 if i == POST_INSIDE else list(row) for i, row in enumerate(plain[block])]
    market, stretch, count = quiet(plain), 1000.0, 50
    log = background_log(market, 6, 20.0 + stretch * count)
    process = exponential(market.flow.rates, market.flow.excitation, 5.0)
    for tau in (0.1, 1.0, 10.0):
        windows = round(stretch / tau)
        cell = np.floor((log.times - 20.0) / tau).astype(int)
        good = (cell >= 0) & (cell < count * windows)
        counts = np.bincount(cell[good] * TYPES + log.types[good], minlength=count * windows * TYPES)
        parts = counts.reshape(count, windows, TYPES)
        mean = counts.reshape(-1, TYPES).mean(axis=0)
        found = np.einsum("bwi,bwj->bij", parts - mean, parts - mean) / windows
        error = found.std(axis=0, ddof=1) / np.sqrt(count)
        known = count_covariance(process, tau)
        away = np.abs(found.mean(axis=0) - known) / np.maximum(error, 1e-12)
        assert away.max() < 5.5, (tau, away)
        told = np.array([i for i in range(TYPES) if i not in INSIDE])
        share = np.diag(error)[told] / np.diag(known)[told]
        assert share.max() < 0.04, (tau, share)  # so a variance that is off by a fifth is seen


def test_a_queue_lasts_as_long_as_a_walk_to_zero() -> None:
    """Orders come at 1 a second and go at 1.5, one queue of 8 after another: mean 16, variance 160, and the whole law.

    Bounds of 4.5 standard errors and a level of 1e-4: two samples in ten thousand fail.
    """
    market = quiet({"base": [0, 0, 1, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]}, queues=(8, 8), refill=8)
    log = background_log(market, 7, 64_000.0)
    emptied = log.times[:-1][np.diff(log.spreads) == 1.0]
    lasted = np.diff(emptied, prepend=0.0)
    known = queues.first_passage(8, 1.0, 1.5)
    assert (known.mean, known.variance) == (16.0, 160.0)
    assert len(lasted) > 3_500
    assert abs(lasted.mean() - 16.0) < 4.5 * np.sqrt(160.0 / len(lasted))
    fourth = np.mean((lasted - lasted.mean()) ** 4)
    assert abs(lasted.var() - 160.0) < 4.5 * np.sqrt((fourth - 160.0**2) / len(lasted))
    assert kstest(lasted, lambda t: 1.0 - queues.survival(8, 1.0, 1.5, t)).pvalue > 1e-4


def test_a_log_is_a_function_of_its_seed_and_its_beginning_does_not_know_its_length() -> None:
    market = quiet({"preset": "hawkes_exp"})
    long, short, other = (background_log(market, *told) for told in ((5, 400.0), (5, 100.0), (6, 100.0)))
    count = len(short.times)
    assert len(long.times) > 4096 > count  # more than the room that was made at first
    for name in EventLogFields:
        np.testing.assert_array_equal(getattr(long, name)[:count], getattr(short, name))
    assert len(other.times) != count
    assert (np.diff(long.times) > 0.0).all()
    assert set(np.unique(long.types)) == set(range(TYPES))
    assert (long.spreads[np.isin(long.types, INSIDE)] >= 2.0).all()


EventLogFields = ("times", "types", "spreads")


@pytest.mark.parametrize("seconds", [0.0, -1.0, np.inf, np.nan])
def test_a_log_without_a_length_is_a_sentence(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"seconds: found (0|-1|inf|nan); allowed are positive numbers"):
        background_log(quiet({"preset": "poisson"}), 1, seconds)
