"""Flow rules against their formulas in plain numpy, their limits, and quotes that are not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from arena.markets.dealer.flow import (
    ABSENT,
    Exponential,
    FlowRule,
    Logistic,
    Logit,
    Relative,
    SoftBest,
    intensity_and_share,
)

RULES = [
    Exponential(kind="exponential", fill_decay=10),
    SoftBest(kind="soft_best", fill_decay=10, sharpness=50),
    Logit(kind="logit", fill_decay=10, outside=0.7),
    Logistic(kind="logistic", sharpness=8, offsets=(0.3, -0.2, 0.1)),
    Logistic(kind="logistic", sharpness=8),
    Relative(kind="relative", fill_decay=6),
]


def formula(rule, distance):
    """Intensity factors and shares of one row of distances [M], straight from the table of the rules."""
    d, live = np.asarray(distance, float), np.asarray(distance, float) < ABSENT
    if not live.any():
        return np.zeros(d.size), np.zeros(d.size)

    def softmax(x):
        w = np.where(live, np.exp(np.where(live, x - x[live].max(), 0.0)), 0.0)
        return w / w.sum()

    e = np.where(live, np.exp(-getattr(rule, "fill_decay", 0.0) * np.where(live, d, 0.0)), 0.0)
    if rule.kind == "exponential":
        return e, softmax(-rule.fill_decay * d)
    if rule.kind == "soft_best":
        share = softmax(-rule.sharpness * d)
        mean = np.where(live, np.exp(-rule.sharpness * np.where(live, d, 0.0)), 0.0).mean()
        return share * mean ** (rule.fill_decay / rule.sharpness), share
    if rule.kind == "logit":
        return e / (rule.outside + e.sum()), softmax(-rule.fill_decay * d)
    if rule.kind == "logistic":
        share = softmax(-rule.sharpness * d + np.asarray(rule.offsets or np.zeros(d.size)))
        return share, share
    factor = np.zeros(d.size)
    for m in np.flatnonzero(live):
        others = [d[j] for j in np.flatnonzero(live) if j != m]
        factor[m] = np.exp(-rule.fill_decay * (d[m] - min(others))) if others else 1.0
    return factor, softmax(-rule.fill_decay * d)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@given(distance=st.lists(st.one_of(st.floats(-0.5, 1.5), st.just(np.inf)), min_size=3, max_size=3))
def test_rule_is_its_formula(rule, distance):
    intensity, share = intensity_and_share(rule, np.array(distance))
    want = formula(rule, distance)
    np.testing.assert_allclose(intensity, want[0], rtol=2e-13, atol=1e-290)
    np.testing.assert_allclose(share, want[1], rtol=2e-13, atol=1e-290)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_any_batch_shape_and_any_position_in_it(rule):
    distance = np.random.default_rng(3).uniform(0, 0.5, (4, 2, 3))
    intensity, share = intensity_and_share(rule, distance)
    assert intensity.shape == share.shape == distance.shape
    one = intensity_and_share(rule, distance[2, 1])
    np.testing.assert_allclose(intensity[2, 1], one[0], rtol=1e-15)
    np.testing.assert_allclose(share[2, 1], one[1], rtol=1e-15)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_absent_quotes_get_nothing(rule):
    intensity, share = intensity_and_share(rule, np.array([[0.1, np.inf, 0.2], [ABSENT] * 3, [np.inf, 0.1, np.inf]]))
    assert intensity[0, 1] == share[0, 1] == 0
    assert not intensity[1].any()
    assert not share[1].any()
    assert share[2].tolist() == [0, 1, 0]  # the only one alive takes every order that must trade
    assert share[0].sum() == pytest.approx(1, abs=1e-15)


def test_soft_best_with_kappa_equal_k_is_independent_makers_with_a_part_of_the_flow():
    d = np.random.default_rng(0).uniform(-0.1, 0.6, (50, 4))
    rule = SoftBest(kind="soft_best", fill_decay=10, sharpness=10)
    np.testing.assert_allclose(intensity_and_share(rule, d)[0], np.exp(-10 * d) / 4, rtol=1e-13)


def test_soft_best_with_a_huge_kappa_gives_all_to_the_best_and_splits_ties():
    rule = SoftBest(kind="soft_best", fill_decay=10, sharpness=1e5)
    intensity, share = intensity_and_share(rule, np.array([[0.1, 0.12, 0.13], [0.1, 0.1, 0.2]]))
    np.testing.assert_allclose(share, [[1, 0, 0], [0.5, 0.5, 0]], atol=1e-12)
    np.testing.assert_allclose(intensity[0], np.exp(-1.0) * np.array([1, 0, 0]), rtol=3e-4, atol=1e-12)
    np.testing.assert_allclose(intensity[1], np.exp(-1.0) * np.array([0.5, 0.5, 0]), rtol=3e-4, atol=1e-12)


def test_soft_best_reduces_to_one_maker_and_to_equal_quotes():
    rule = SoftBest(kind="soft_best", fill_decay=10, sharpness=50)
    assert intensity_and_share(rule, np.array([0.07]))[0][0] == pytest.approx(np.exp(-0.7), rel=1e-14)
    np.testing.assert_allclose(intensity_and_share(rule, np.full(3, 0.07))[0], np.exp(-0.7) / 3, rtol=1e-14)


def test_soft_best_elasticity():
    # d ln lambda_m / d delta_m = -(kappa (1 - s_m) + k s_m)
    rule, d, h = SoftBest(kind="soft_best", fill_decay=10, sharpness=50), np.array([0.05, 0.07]), 1e-6
    up, down = (intensity_and_share(rule, d + np.array([s * h, 0]))[0][0] for s in (1, -1))
    share = intensity_and_share(rule, d)[1][0]
    assert np.log(up / down) / (2 * h) == pytest.approx(-(50 * (1 - share) + 10 * share), rel=1e-7)


def test_logistic_clears_and_offsets_move_shares():
    d = np.random.default_rng(1).uniform(-2, 2, (100, 3))
    intensity, _ = intensity_and_share(RULES[3], d)
    np.testing.assert_allclose(intensity.sum(axis=1), 1, atol=1e-15)
    assert np.all(intensity_and_share(RULES[3], np.zeros(3))[0].argsort() == [1, 2, 0])


def test_relative_gives_the_whole_flow_to_each_of_tied_makers_and_compares_with_the_best_other():
    rule = RULES[5]
    np.testing.assert_allclose(intensity_and_share(rule, np.full(3, 0.2))[0], 1)
    got = intensity_and_share(rule, np.array([0.1, 0.2, 0.5]))[0]
    np.testing.assert_allclose(got, np.exp([0.6, -0.6, -2.4]), rtol=1e-14)
    shifted = intensity_and_share(rule, np.array([0.1, 0.2, 0.5]) + 7)[0]
    np.testing.assert_allclose(shifted, got, rtol=1e-12)  # a common shift loses no flow


def test_logit_has_an_outside_option_and_saturates():
    rule = RULES[2]
    assert intensity_and_share(rule, np.array([-100.0]))[0][0] == pytest.approx(1)
    assert intensity_and_share(rule, np.array([0.0, 0.0]))[0].sum() == pytest.approx(2 / 2.7)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_a_better_quote_attracts_more(rule):
    better = np.full((30, 3), 0.2)
    better[:, 1] = np.linspace(0.4, 0.0, 30)
    intensity, share = intensity_and_share(rule, better)
    assert np.all(np.diff(intensity[:, 1]) > 0)
    assert np.all(np.diff(share[:, 1]) > 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "soft_best", "fill_decay": 10, "sharpness": 0},
        {"kind": "exponential", "fill_decay": -1},
        {"kind": "exponential", "fill_decay": float("nan")},
        {"kind": "logit", "fill_decay": 10, "outside": -1},
        {"kind": "price_time"},
        {"kind": "logistic", "sharpness": 1, "surplus": 1},
    ],
)
def test_impossible_rules_are_refused(bad):
    with pytest.raises(ValidationError):
        TypeAdapter(FlowRule).validate_python(bad)
