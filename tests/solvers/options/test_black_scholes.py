"""Prices, greeks and implied volatility against QuantLib, finite differences, the Black-Scholes equation and parity."""

import math
import re

import numpy as np
import pytest

from arena.solvers.options import black_scholes as bs

RNG = np.random.default_rng(4)
SPOT, STRIKE = RNG.uniform(60, 160, 400), RNG.uniform(60, 160, 400)
TAU, VOL = RNG.uniform(0.02, 3, 400), RNG.uniform(0.05, 0.8, 400)
RATE, DIVIDEND = RNG.uniform(-0.03, 0.1, 400), RNG.uniform(0, 0.08, 400)
CALL = RNG.random(400) < 0.5


def all_greeks():
    return bs.greeks(SPOT, STRIKE, TAU, VOL, rate=RATE, dividend=DIVIDEND, call=CALL)


def test_the_default_option_has_the_specified_price():
    assert bs.price(100, 100, 63 / 252, 0.2) == pytest.approx(3.98776, abs=5e-6)  # option_making section 0


def test_agrees_with_quantlib():
    ql = pytest.importorskip("QuantLib")
    ours = all_greeks()
    for i in range(SPOT.size):
        forward, discount = SPOT[i] * math.exp((RATE[i] - DIVIDEND[i]) * TAU[i]), math.exp(-RATE[i] * TAU[i])
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if CALL[i] else ql.Option.Put, STRIKE[i])
        theirs = ql.BlackCalculator(payoff, forward, VOL[i] * math.sqrt(TAU[i]), discount)
        expected = (
            theirs.value(),
            theirs.delta(SPOT[i]),
            theirs.gamma(SPOT[i]),
            theirs.vega(TAU[i]),
            theirs.theta(SPOT[i], TAU[i]),
            theirs.rho(TAU[i]),
            theirs.dividendRho(TAU[i]),
        )
        found = [field[i] for field in ours[:7]]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_greeks_are_the_derivatives_of_the_price():
    def value(spot=0.0, vol=0.0, tau=0.0, rate=0.0, dividend=0.0):
        return bs.price(
            SPOT + spot, STRIKE, TAU + tau, VOL + vol, rate=RATE + rate, dividend=DIVIDEND + dividend, call=CALL
        )

    ours, h = all_greeks(), 1e-5
    np.testing.assert_allclose(ours.delta, (value(spot=h) - value(spot=-h)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(ours.vega, (value(vol=h) - value(vol=-h)) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(ours.theta, -(value(tau=h) - value(tau=-h)) / (2 * h), atol=1e-4)
    np.testing.assert_allclose(ours.rho, (value(rate=h) - value(rate=-h)) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(ours.dividend_rho, (value(dividend=h) - value(dividend=-h)) / (2 * h), atol=1e-5)

    def other(field, spot=0.0, vol=0.0):
        return getattr(bs.greeks(SPOT + spot, STRIKE, TAU, VOL + vol, rate=RATE, dividend=DIVIDEND, call=CALL), field)

    np.testing.assert_allclose(ours.gamma, (other("delta", spot=h) - other("delta", spot=-h)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(ours.vanna, (other("delta", vol=h) - other("delta", vol=-h)) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(ours.vanna, (other("vega", spot=h) - other("vega", spot=-h)) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(
        ours.volga, (other("vega", vol=h) - other("vega", vol=-h)) / (2 * h), rtol=1e-5, atol=1e-5
    )


def test_satisfies_the_black_scholes_equation():
    g = all_greeks()
    residual = g.theta + 0.5 * VOL**2 * SPOT**2 * g.gamma + (RATE - DIVIDEND) * SPOT * g.delta - RATE * g.price
    assert np.abs(residual).max() < 2e-13  # a few roundings of terms of size 30
    at_zero_rates = bs.greeks(SPOT, STRIKE, TAU, VOL)
    assert np.abs(at_zero_rates.theta + 0.5 * VOL**2 * SPOT**2 * at_zero_rates.gamma).max() < 2e-14


def test_put_call_parity_and_homogeneity():
    call = bs.price(SPOT, STRIKE, TAU, VOL, rate=RATE, dividend=DIVIDEND)
    put = bs.price(SPOT, STRIKE, TAU, VOL, rate=RATE, dividend=DIVIDEND, call=False)
    np.testing.assert_allclose(call - put, SPOT * np.exp(-DIVIDEND * TAU) - STRIKE * np.exp(-RATE * TAU), atol=1e-12)
    np.testing.assert_allclose(
        bs.price(3 * SPOT, 3 * STRIKE, TAU, VOL), 3 * bs.price(SPOT, STRIKE, TAU, VOL), rtol=1e-13, atol=1e-13
    )


def test_total_variance_form_and_kernels_are_the_same_prices():
    np.testing.assert_allclose(
        bs.variance_price(SPOT, STRIKE, VOL**2 * TAU, call=CALL),
        bs.price(SPOT, STRIKE, TAU, VOL, call=CALL),
        rtol=1e-14,
    )
    days = bs.price(SPOT, STRIKE, TAU * 252, VOL / math.sqrt(252), call=CALL)
    np.testing.assert_allclose(days, bs.price(SPOT, STRIKE, TAU, VOL, call=CALL), rtol=1e-11, atol=1e-13)
    g = bs.greeks(SPOT, STRIKE, TAU, VOL, call=CALL)
    for i in range(50):
        sign = 1.0 if CALL[i] else -1.0
        kernel = bs.price_delta_gamma_vega_kernel(SPOT[i], STRIKE[i], VOL[i], TAU[i], sign)
        np.testing.assert_allclose(kernel, [g.price[i], g.delta[i], g.gamma[i], g.vega[i]], rtol=1e-11, atol=1e-13)
        assert bs.greeks_kernel.py_func(SPOT[i], STRIKE[i], TAU[i], VOL[i], 0.0, 0.0, sign) == pytest.approx(
            bs.greeks_kernel(SPOT[i], STRIKE[i], TAU[i], VOL[i], 0.0, 0.0, sign), rel=1e-14
        )


def test_zero_variance_is_the_intrinsic_value():
    np.testing.assert_array_equal(bs.price([90, 100, 110], 100, 0.0, 0.2), [0, 0, 10])
    np.testing.assert_array_equal(bs.price([90, 100, 110], 100, 1.0, 0.0, call=False), [10, 0, 0])
    assert bs.price_delta_gamma_vega_kernel(110.0, 100.0, 0.2, 0.0, 1.0) == (10.0, 1.0, 0.0, 0.0)
    assert bs.price_delta_gamma_vega_kernel(90.0, 100.0, 0.2, 0.0, -1.0) == (10.0, -1.0, 0.0, 0.0)


def test_implied_volatility_is_recovered_to_1e_12():
    rng = np.random.default_rng(7)
    spot, strike, tau, vol = (
        rng.uniform(lo, hi, 200_000) for lo, hi in ((50, 200), (50, 200), (0.003, 5), (0.02, 1.5))
    )
    call = strike > spot  # out of the money: the price carries the volatility to full relative precision
    prices = bs.price(spot, strike, tau, vol, call=call)
    kept = prices > 1e-8
    error = bs.implied_vol(prices, spot, strike, tau, call=call)[kept] - vol[kept]
    assert kept.sum() > 100_000
    assert np.abs(error).max() < 1e-12


def test_implied_volatility_in_the_money_and_with_rates():
    prices = bs.price(SPOT, STRIKE, TAU, VOL, rate=RATE, dividend=DIVIDEND, call=CALL)
    vega = all_greeks().vega
    kept = vega > 1e-6  # below, the time value drowns in the rounding of the price
    found = bs.implied_vol(prices, SPOT, STRIKE, TAU, rate=RATE, dividend=DIVIDEND, call=CALL)
    assert kept.sum() > 350
    assert (np.abs(found - VOL) * vega < 1e-13 * SPOT)[kept].all()
    assert np.abs(found - VOL)[vega > 1].max() < 1e-11
    np.testing.assert_allclose(bs.implied_variance(bs.variance_price(100, 110, 0.04), 100, 110), 0.04, rtol=1e-13)


def test_implied_volatility_of_impossible_prices():
    found = bs.implied_vol([-1.0, 9.9, 10.0, 110.0], 110.0, 100.0, 1.0)
    np.testing.assert_array_equal(found, [math.nan, math.nan, 0.0, math.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bs.price(-1, 100, 1, 0.2), "spot must be positive, found -1"),
        (lambda: bs.price(100, [100, 0], 1, 0.2), "strike must be positive, found 0"),
        (lambda: bs.price(100, 100, -0.5, 0.2), "tau must be at least 0, found -0.5"),
        (lambda: bs.price(100, 100, 1, math.nan), "vol must be finite, found nan"),
        (lambda: bs.greeks(100, 100, 0, 0.2), "tau must be positive for greeks, found 0"),
        (lambda: bs.implied_vol(5, 100, 100, 0), "tau must be positive for an implied volatility, found 0"),
        (lambda: bs.variance_price(100, 100, -1), "variance must be at least 0, found -1"),
    ],
)
def test_bad_arguments_get_a_sentence(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
