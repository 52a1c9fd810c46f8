"""The promotion test's error rate is simulated with fixed seeds; each bound allows the binomial noise it states."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from arena.league.promotion import Bernstein, PromotionSettings, Student, decide, paired_gains, spending

STRETCHES, LOOKS = 1000, 25
BINOMIAL_3SE = 3 * math.sqrt(0.05 * 0.95 / STRETCHES)  # 2.1 %; one-sided chance of a wrong alarm about 0.1 %
TRADES = np.full(4, 10.0)


def null_gains(kind: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """Gains [n] of true mean exactly zero."""
    if kind == "normal":
        return rng.normal(size=n)
    if kind == "skewed":  # rare large losses, where the plain t-test promotes 11 % instead of 5 %
        return 1 - rng.exponential(size=n)
    return rng.standard_t(3, size=n)


def test_levels_of_all_looks_sum_to_the_error():
    levels = [spending(k, 0.05) for k in range(1, 10_001)]
    assert sum(levels) == pytest.approx(0.05 * (1 - 1 / 10_001), rel=1e-12)  # telescopes to error (1 - 1/(K+1))
    assert all(a > b > 0 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy"])
def test_candidates_without_gain_are_rarely_promoted_however_many_looks(kind):
    settings = PromotionSettings()
    rng = np.random.default_rng(20)
    false, naive = 0, 0
    for _ in range(STRETCHES):
        stretch = [null_gains(kind, rng, 256) for _ in range(LOOKS)]
        false += any(decide(g, TRADES, k, settings).promoted for k, g in enumerate(stretch, 1))
        naive += any(Student().lower(g, 0.05) > 0 for g in stretch)
    assert false / STRETCHES <= 0.05 + BINOMIAL_3SE
    # What the correction is for: 25 looks at 5 % each end in a false promotion most of the time (1 - 0.95^25 = 72 %).
    assert naive / STRETCHES > 0.5


def test_looking_again_at_the_same_growing_sample_is_covered_too():
    settings = PromotionSettings()
    rng = np.random.default_rng(21)
    false = 0
    for _ in range(STRETCHES):
        gains = rng.normal(size=LOOKS * 64)
        false += any(decide(gains[: 64 * k], TRADES, k, settings).promoted for k in range(1, LOOKS + 1))
    assert false / STRETCHES <= 0.05 + BINOMIAL_3SE


def test_false_promotions_of_a_whole_run_stay_below_error_times_stretches():
    settings = PromotionSettings()
    rng = np.random.default_rng(22)
    false, stretches = 0, 0
    for _ in range(300):  # runs in which every third candidate is truly better by 0.3 sd and the others are not
        look, stretches = 1, stretches + 1
        for t in range(30):
            better = t % 3 == 0
            promoted = decide(rng.normal(0.3 * better, 1, 256), TRADES, look, settings).promoted
            false += promoted and not better
            stretches += promoted
            look = 1 if promoted else look + 1
    assert stretches > 1000  # the good ones do get in
    assert false / stretches <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / stretches)


def test_a_real_gain_is_found_even_at_a_late_look():
    settings = PromotionSettings()
    rng = np.random.default_rng(23)
    for look, floor in ((1, 0.99), (20, 0.9)):
        # Power of the t-test: P(t > t_crit) with noncentrality 0.25 sqrt(400) = 5.
        critical = stats.t.isf(spending(look, 0.05), 399)
        power = stats.nct.sf(critical, 399, 5)
        assert power > floor
        hits = np.mean([decide(rng.normal(0.25, 1, 400), TRADES, look, settings).promoted for _ in range(400)])
        assert hits == pytest.approx(power, abs=3.5 * math.sqrt(power * (1 - power) / 400) + 1 / 400)


def test_student_bound_is_the_textbook_interval():
    gains = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    low = stats.ttest_1samp(gains, 0, alternative="greater").confidence_interval(0.975).low
    assert Student().lower(gains, 0.025) == pytest.approx(low, rel=1e-12)


def test_left_skew_lowers_the_bound_and_right_skew_does_not_raise_it():
    gains = np.random.default_rng(27).exponential(size=200)
    n, t = 200, stats.t.isf(0.001, 199)
    plain = [x.mean() - t * x.std(ddof=1) / math.sqrt(n) for x in (gains, -gains)]
    assert Student().lower(gains, 0.001) == pytest.approx(plain[0], rel=1e-12)
    assert Student().lower(-gains, 0.001) < plain[1]
    # Hall's transformation of the studentised mean at the bound is the quantile it was inverted from.
    g = stats.skew(-gains) * (199 / 200) ** 1.5  # third moment over the unbiased variance
    w = (-gains.mean() - Student().lower(-gains, 0.001)) / gains.std(ddof=1)
    assert math.sqrt(n) * (w + g * w**2 / 3 + g**2 * w**3 / 27 + g / (6 * n)) == pytest.approx(t, rel=1e-9)


def test_bernstein_bound_holds_for_rare_losses_that_fool_the_t_test():
    # Gain +0.02 but, once in 51 games, -1: true mean (50 * 0.02 - 1) / 51 = 0.
    rng = np.random.default_rng(24)
    draws = np.where(rng.random((4000, 40)) < 1 / 51, -1.0, 0.02)
    student = np.mean([Student().lower(g, 0.05) > 0 for g in draws])
    bernstein = np.mean([Bernstein(range=1).lower(g, 0.05) > 0 for g in draws])
    assert student > 0.3  # P(no loss in 40 games) = 45 %: a t-test is certain of a gain then
    assert bernstein <= 0.05
    # And it does conclude something: the bound tends to the mean.
    many = np.tile([0.4, 0.6], 50_000)
    assert 0.49 < Bernstein(range=1).lower(many, 0.05) < 0.5


def test_bernstein_formula_by_hand():
    gains = np.array([0.0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    v, log = 10 * 0.25 / 9, math.log(2 / 0.1)
    expected = 0.5 - math.sqrt(2 * v * log / 10) - 7 * 2 * log / (3 * 9)
    assert Bernstein(range=1).lower(gains, 0.1) == pytest.approx(expected, rel=1e-12)
    assert Bernstein(range=1).lower(gains * 100, 0.1) == pytest.approx(expected, rel=1e-12)  # clipped to [-1, 1]


def test_paired_gains_average_seats_and_line_ups():
    new, old = np.arange(32.0).reshape(16, 2), np.ones((16, 2))
    np.testing.assert_allclose(paired_gains(new, old), np.arange(16) * 2 + 0.5 - 1)
    groups = np.repeat(np.arange(8), 2)
    np.testing.assert_allclose(paired_gains(new, old, groups), np.arange(8) * 4 + 1.5 - 1)
    np.testing.assert_allclose(paired_gains(new, old, groups * 7 + 3), np.arange(8) * 4 + 1.5 - 1)


def test_pairing_is_what_makes_small_gains_visible():
    rng = np.random.default_rng(25)
    luck = rng.normal(0, 100, (512, 2))  # shared by both policies on the same seeds
    new, old = luck + 0.5 + rng.normal(0, 1, (512, 2)), luck + rng.normal(0, 1, (512, 2))
    assert decide(paired_gains(new, old), TRADES, 1, PromotionSettings()).promoted
    shuffled = paired_gains(new, np.roll(old, 1, axis=0))
    assert not decide(shuffled, TRADES, 1, PromotionSettings()).promoted


def test_passive_candidates_are_flagged_and_not_promoted():
    gains = np.full(20, 5.0) + np.arange(20) * 0.01
    idle = decide(gains, np.array([0.0, 1.5, 0.0, 0.5]), 1, PromotionSettings())
    assert idle.passive
    assert not idle.promoted
    assert idle.lower > 0
    assert "passive: trades 0.5 lots" in idle.sentence
    active = decide(gains, np.array([1.0, 1.5]), 1, PromotionSettings())
    assert (active.promoted, active.passive) == (True, False)


def test_minimum_gain_is_the_bar():
    gains = 1 + 0.01 * np.random.default_rng(26).normal(size=100)
    assert decide(gains, TRADES, 1, PromotionSettings(minimum_gain=0.9)).promoted
    assert not decide(gains, TRADES, 1, PromotionSettings(minimum_gain=1.0)).promoted
    assert decide(np.full(10, 0.5), TRADES, 1, PromotionSettings()).promoted  # no noise at all
    assert not decide(np.zeros(10), TRADES, 1, PromotionSettings()).promoted


@pytest.mark.parametrize(
    ("new", "old", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 1)), "shapes"),
        (np.zeros(9), np.zeros(9), "shapes"),
        (np.full((9, 1), np.nan), np.zeros((9, 1)), "9 of 9 paired pay-offs are not finite"),
        (np.zeros((7, 1)), np.zeros((7, 1)), "at least 8"),
    ],
)
def test_bad_pay_offs_are_refused(new, old, message):
    with pytest.raises(ValueError, match=message):
        paired_gains(new, old)
