"""Bounds of ratios: their error rate on games whose law is known, their pairing, their repeatability."""

import numpy as np
import pytest

from arena.gates.statistics import bounded, certain, deviation_ratio, difference, ratio, share_of_the_way


def games(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """A player, its base and its reference on common games: G = .8 exactly; fat tails, most of the noise common."""
    common = rng.standard_t(4, count)
    noise = rng.standard_t(4, (3, count))
    return [common + 0.5 * noise[0] + 0.8, common + 0.5 * noise[1], common + 0.5 * noise[2] + 1.0]


def test_a_one_sided_bound_is_wrong_once_in_a_hundred() -> None:
    """400 experiments of 1 000 games each. Of 1 % wrong bounds more than 12 of 400 are seen with chance 3e-4."""
    rng = np.random.default_rng(0)
    found = [bounded(games(rng, 1000), share_of_the_way, seed) for seed in range(400)]
    assert 0 < sum(one.low > 0.8 for one in found) <= 12
    assert 0 < sum(one.high < 0.8 for one in found) <= 12
    assert np.mean([one.value for one in found]) == pytest.approx(0.8, abs=0.005)


def test_who_only_reaches_the_threshold_hardly_ever_passes_four_seeds_of_five() -> None:
    """At G = threshold one seed passes with chance .01, four of five with 5e-8: no pass is seen in 40 tries of five."""
    rng = np.random.default_rng(1)
    passed = [sum(bounded(games(rng, 500), share_of_the_way, s).low >= 0.8 for s in range(5)) >= 4 for _ in range(40)]
    assert not any(passed)


def test_pairing_takes_common_noise_out() -> None:
    rng = np.random.default_rng(2)
    common = 10.0 * rng.standard_normal(5000)
    ours, theirs = common + 1.0 + 0.1 * rng.standard_normal(5000), common + 0.1 * rng.standard_normal(5000)
    found = bounded([ours, theirs], difference, 0)
    assert 0.99 < found.low < 1.0 < found.high < 1.01
    alone = bounded([ours, theirs[rng.permutation(5000)]], difference, 0)
    assert alone.high - alone.low > 50 * (found.high - found.low)


def test_the_same_games_give_the_same_bounds_and_blocks_hold_all_of_them() -> None:
    columns = games(np.random.default_rng(3), 1234)  # blocks of two and three games
    found = bounded(columns, share_of_the_way, 7)
    assert bounded(columns, share_of_the_way, 7) == found
    assert bounded(columns, share_of_the_way, 8).low != found.low
    means = [one.mean() for one in columns]
    assert found.value == pytest.approx((means[0] - means[1]) / (means[2] - means[1]))
    assert found.games == 1234
    assert not found.exact
    assert certain(0.5).exact
    with pytest.raises(ValueError, match="found 1; allowed are 2 or more"):
        bounded([np.ones(1)], ratio, 0)


def test_a_ratio_of_deviations() -> None:
    """Twice the spread is 2, whatever the means; bounds hold it."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(20_000)
    y = 3.0 + 2.0 * np.where(rng.random(20_000) < 0.5, x, rng.standard_normal(20_000))
    found = bounded([y, y * y, x, x * x], deviation_ratio, 0)
    assert found.low < 2.0 < found.high
    assert found.high - found.low < 0.06
