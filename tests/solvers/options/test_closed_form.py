"""Avellaneda-Stoikov, Guéant-Lehalle-Fernandez-Tapia and static half-spreads: formulas, limits and grid search."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from arena.solvers.options import half_spreads
from arena.solvers.options.closed_form import (
    avellaneda_stoikov,
    bessel,
    glft,
    glft_asymptotic,
    matrix_exponential,
    vega_variance_rate,
)
from arena.solvers.quoting.maker import Maker

AS2008 = {
    "arrival_rate": 140.0,
    "fill_decay": 1.5,
    "risk_aversion": 0.1,
    "variance_rate": 4.0,
}  # option_making section 7


def test_avellaneda_stoikov_spread_and_skew():
    bid, ask = avellaneda_stoikov(3, 0.5, 1.5, 0.1, 4.0)
    assert bid + ask == pytest.approx(0.1 * 4 * 0.5 + 2 / 0.1 * math.log(1 + 0.1 / 1.5))  # their section 3.2
    assert 0.5 * (ask - bid) == pytest.approx(-3 * 0.1 * 4 * 0.5)
    at_end = avellaneda_stoikov(np.arange(-3, 4), 0.0, 10.0, 1.0, 0.01)
    np.testing.assert_allclose(at_end, math.log(1.1))


def test_vega_risk_enters_as_a_variance_rate():
    assert float(vega_variance_rate(20.0, 0.01)) == pytest.approx(0.04)
    two = avellaneda_stoikov(1, 1.0, 10.0, 0.5, vega_variance_rate([10.0, 20.0], 0.01))
    skew = 0.5 * (two[:, 1] - two[:, 0])
    np.testing.assert_allclose(skew, [-0.5 * 0.01, -0.5 * 0.04])  # gs2_i = ra nu^2 vega_i^2 per lot and unit of time


def test_glft_value_of_the_specification():
    theta, _ = glft(1.0, 30, **AS2008)
    assert theta[30] == pytest.approx(64.1334891548, abs=1e-9)


def test_glft_solves_the_cara_equation():
    limit, k, gamma, variance, rate = 6, 1.5, 0.1, 4.0, 140.0
    q = np.arange(-limit, limit + 1)

    def slope(
        _, theta
    ):  # d theta/dtau = -gamma/2 s^2 q^2 + sum_sides max_d A e^{-k d} (1 - e^{-gamma (d + gap)}) / gamma
        out = -0.5 * gamma * variance * q**2.0
        base = math.log1p(gamma / k) / gamma
        for step in (1, -1):
            gap = np.roll(theta, -step) - theta
            best = base - gap
            gain = rate * np.exp(-k * best) * (1 - np.exp(-gamma * (best + gap))) / gamma
            gain[-1 if step == 1 else 0] = 0
            out = out + gain
        return out

    path = solve_ivp(slope, (0, 1), np.zeros(q.size), rtol=1e-12, atol=1e-12, method="DOP853")
    np.testing.assert_allclose(glft(1.0, limit, **AS2008)[0], path.y[:, -1], atol=1e-9)


def test_glft_far_from_the_end_is_the_asymptotic_rule():
    _, distance = glft(1.0, 100, **AS2008)
    rule = glft_asymptotic(np.arange(-100, 101), **AS2008)
    assert np.abs(distance[100] - rule[100]).max() == pytest.approx(4e-4, abs=1e-4)  # option_making section 7
    assert np.abs(distance[[95, 105]] - rule[[95, 105]]).max() == pytest.approx(2e-3, abs=5e-4)


def test_avellaneda_stoikov_skews_far_more_than_the_exact_rule():
    _, distance = glft(1.0, 40, **AS2008)
    exact = distance[40, 1] - distance[41, 1]
    assert exact == pytest.approx(0.0524, abs=1e-4)
    expansion = np.diff(avellaneda_stoikov([0, 1], 1.0, 1.5, 0.1, 4.0)[:, 1])[0]
    assert expansion == pytest.approx(-0.4)


def test_glft_without_risk_aversion_is_the_risk_neutral_closed_form():
    maker = Maker(100.0, 10.0, 1.0, 20, terminal_cost=0.008, min_distance=-math.inf)
    theta, _ = glft(1.0, 20, 100.0, 10.0, 1e-7, 0.0, terminal_penalty=0.008)
    np.testing.assert_allclose(theta, matrix_exponential(maker, 1.0), atol=1e-6)


def profit(lam, delta):
    return lam(delta) * delta


@pytest.mark.parametrize(("makers", "expected"), [(2, 1 / 30), (3, 0.0272727272727)])
def test_soft_best_half_spreads_are_fixed_points(makers, expected):
    k, kappa = 10.0, 50.0
    nash = half_spreads.soft_best_nash(makers, k, kappa)

    def lam(delta):
        weights = np.exp(-kappa * np.array([delta] + [nash] * (makers - 1)))
        return weights[0] / weights.sum() * weights.mean() ** (k / kappa)

    best = minimize_scalar(lambda x: -profit(lam, x), bounds=(1e-4, 0.3), method="bounded", options={"xatol": 1e-10}).x
    assert nash == pytest.approx(expected, abs=1e-12)
    assert best == pytest.approx(nash, abs=1e-6)
    assert half_spreads.soft_best_joint(k) == 0.1
    assert half_spreads.soft_best_nash(makers, k, k) == pytest.approx(0.1)  # kappa = k: independent makers


@pytest.mark.parametrize("makers", [1, 2, 5])
def test_logit_half_spreads_are_best_answers(makers):
    k, outside = 10.0, 0.5
    nash, joint = half_spreads.logit_nash(makers, k, outside), half_spreads.logit_joint(makers, k, outside)

    def alone(delta):
        return math.exp(-k * delta) / (outside + math.exp(-k * delta) + (makers - 1) * math.exp(-k * nash))

    def together(delta):
        return makers * math.exp(-k * delta) / (outside + makers * math.exp(-k * delta))

    for lam, found in ((alone, nash), (together, joint)):
        best = minimize_scalar(
            lambda x, lam=lam: -profit(lam, x), bounds=(1e-3, 1), method="bounded", options={"xatol": 1e-10}
        )
        assert found == pytest.approx(best.x, abs=1e-6)
    assert joint == pytest.approx(nash) if makers == 1 else joint > nash


@pytest.mark.parametrize("outside", [2.3e-309, 1e-12, 1e9])
def test_logit_half_spreads_at_extreme_weights_of_not_trading(outside):
    alone = half_spreads.logit_nash(1, 1.0, outside)
    assert alone == half_spreads.logit_joint(1, 1.0, outside)
    assert math.log(alone - 1.0) + alone == pytest.approx(-math.log(outside), abs=1e-6)  # y = 1 + e^{-y} / w0
    assert half_spreads.logit_nash(2, 1.0, outside) == pytest.approx(2.0 if outside < 1.0 else 1.0, abs=1e-6)


def test_logistic_and_relative_half_spreads():
    nash = half_spreads.logistic_nash(3, 20.0)

    def share(delta):
        return 1 / (1 + 2 * math.exp(20 * (delta - nash)))

    best = minimize_scalar(lambda x: -profit(share, x), bounds=(1e-3, 1), method="bounded", options={"xatol": 1e-10}).x
    assert best == pytest.approx(nash, abs=1e-6)
    assert (
        half_spreads.logistic_nash(1, 20.0)
        == half_spreads.logistic_joint()
        == half_spreads.relative_joint()
        == math.inf
    )
    assert half_spreads.relative_nash(2, 10.0) == half_spreads.relative_nash(7, 10.0) == 0.1


def test_refusals():
    with pytest.raises(ValueError, match=r"^makers must be a whole number of at least 1, found 0$"):
        half_spreads.soft_best_nash(0, 10.0, 50.0)
    with pytest.raises(ValueError, match=r"^outside must be positive, found 0\.0$"):
        half_spreads.logit_nash(2, 10.0, 0.0)
    with pytest.raises(ValueError, match=r"^risk_aversion must be positive, found 0\.0$"):
        glft(1.0, 5, 100.0, 10.0, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"^variance_rate must be at least 0, found -1$"):
        avellaneda_stoikov(0.0, 1.0, 10.0, 1.0, -1.0)
    with pytest.raises(ValueError, match=r"^time_left must be at least 0, found -0\.5$"):
        avellaneda_stoikov(0.0, [1.0, -0.5], 10.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"^inventory must be finite, found nan$"):
        avellaneda_stoikov([0.0, math.nan], 1.0, 10.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"^variance_rate must be at least 0, found -1$"):
        glft_asymptotic(0.0, 100.0, 10.0, 1.0, -1.0)
    with pytest.raises(ValueError, match=r"^time_left must be at least 0, found -1$"):
        glft(-1.0, 5, 100.0, 10.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"^vol_of_vol must be at least 0, found -1$"):
        vega_variance_rate(1.0, -1.0)
    with pytest.raises(ValueError, match=r"^time_left must be at least 0, found -1$"):
        bessel(0, -1.0, 100.0, 10.0, 1e-3)
    with pytest.raises(ValueError, match=r"^terminal_cost must be positive, found nan$"):
        bessel(0, 1.0, 100.0, 10.0, math.nan)
