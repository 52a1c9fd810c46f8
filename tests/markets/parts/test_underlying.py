"""Spot and volatility: exact variances, the martingale, the log-volatility's stationary law, Black-Scholes marks.

Statistical tests: two-sided error rate 1e-5 each (z = 4.42), fixed seeds.
"""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.integrate import quad

from arena.markets.dealer.pricing import initial_greeks
from arena.markets.parts.underlying import ConstantVolatility, LogAR1Volatility, TimeTable, VolatilityProfile
from arena.solvers.options.black_scholes import greeks

GAMES = 20_000
QUIET = {"flow": {"arrival_rate": 0}}


def test_profile_is_linear_inside_and_constant_outside():
    profile = TimeTable(t=(1, 2, 4), value=(3, 5, 1))
    np.testing.assert_allclose(profile.at(np.array([0, 1, 1.5, 2, 3, 4, 9])), [3, 3, 4, 5, 3, 1, 1])


@pytest.mark.parametrize("power", [1, 2])
def test_profile_means_are_exact(power):
    profile = TimeTable(t=(1, 2, 4), value=(3, 5, 1))
    for start, stop in ((0, 0.5), (0.3, 1.7), (0, 9), (2, 2), (2.5, 3.5)):
        got = profile.mean(np.array([start]), np.array([stop]), power)[0]
        if start == stop:
            want = profile.at(start) ** power
        else:
            inner = [t for t in (1, 2, 4) if start < t < stop]
            total = quad(lambda t: profile.at(t) ** power, start, stop, points=inner or None)[0]
            want = total / (stop - start)
        assert got == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("t", [(1.0, 1.0), (2.0, 1.0)])
def test_profiles_must_increase(t):
    with pytest.raises(ValidationError, match="increase"):
        TimeTable(t=t, value=(1, 1))
    with pytest.raises(ValidationError, match="2 entries; allowed is one for each of 1"):
        VolatilityProfile(model="profile", t=(0.0,), value=(0.1, 0.2))


def test_total_variances():
    assert ConstantVolatility(value=0.2).variance(1.0, 3.0, 1 / 252) == pytest.approx(0.04 * 2 / 252)
    profile = VolatilityProfile(model="profile", t=(0, 1), value=(0.1, 0.4))
    want = quad(lambda t: np.interp(t, (0, 1), (0.1, 0.4)) ** 2, 0, 5, points=[1])[0] / 252
    assert profile.variance(np.array([0.0]), np.array([5.0]), 1 / 252)[0] == pytest.approx(want, rel=1e-12)
    model = LogAR1Volatility(model="log_ar1", mean=0.2, persistence=0.9, shock=0.1)
    second_moment = 0.04 * np.exp(2 * 0.01 / (1 - 0.81))  # E exp(2 y), y normal
    assert model.variance(0.0, 2.0, 0.5) == pytest.approx(second_moment)


def test_log_volatility_step_composes():
    # two half steps are one step: phi^1/2 twice, and the variances add up
    model = LogAR1Volatility(model="log_ar1", mean=0.2, persistence=0.8, shock=0.3)
    one, half = model.step(1.0), model.step(0.5)
    assert half.persistence**2 == pytest.approx(one.persistence)
    assert half.shock**2 * (1 + half.persistence**2) == pytest.approx(one.shock**2)
    assert one.shock == pytest.approx(0.3)


@pytest.mark.parametrize(
    "volatility",
    [
        {"model": "constant", "value": 0.8},
        {"model": "profile", "t": [0, 0.5, 1], "value": [0.2, 1.0, 0.3]},
        {"model": "log_ar1", "mean": 0.8, "persistence": 0.5, "shock": 0.4},
    ],
    ids=lambda v: v["model"],
)
def test_spot_is_a_martingale_with_the_stated_variance(tools, volatility):
    market = tools.build(**QUIET, underlying={"spot": 50, "volatility": volatility})
    spot = tools.play(market, GAMES)["spot"]
    assert np.all(spot[0] == 50)
    for step in (1, 5, 10):
        assert abs(tools.z_score(spot[step], 50.0)) < tools.z
    returns = np.log(spot[1:] / spot[:-1])
    times = np.linspace(0, 1, 11)
    expected = market.underlying.volatility.variance(times[:-1], times[1:], 1 / 252)
    for step in range(10):
        squares = returns[step] ** 2
        centre = (squares**2).mean() / 12  # of the squared drift (V/2)^2, with E r^4 = 3 V^2
        assert abs(tools.z_score(squares, expected[step] + centre)) < tools.z
    if volatility["model"] != "log_ar1":
        standard = returns / np.sqrt(expected)[:, None] + 0.5 * np.sqrt(expected)[:, None]
        assert abs(tools.z_score(standard.ravel(), 0.0)) < tools.z
        assert abs(standard.var() - 1) < tools.z * np.sqrt(2 / standard.size)
        assert abs(np.corrcoef(standard[:-1].ravel(), standard[1:].ravel())[0, 1]) * np.sqrt(9 * GAMES) < tools.z


def test_log_volatility_is_stationary_and_leveraged(tools):
    volatility = {"model": "log_ar1", "mean": 0.25, "persistence": 0.9, "shock": 0.2, "correlation": -0.7}
    market = tools.build(clock={"horizon": 5, "steps": 20}, **QUIET, underlying={"volatility": volatility})
    trace = tools.play(market, GAMES)
    y, spot = trace["log_volatility"], trace["spot"]
    sd = 0.2 / np.sqrt(1 - 0.81)
    for step in (0, 1, 20):
        assert abs(tools.z_score(y[step], np.log(0.25))) < tools.z
        assert abs(y[step].var() / sd**2 - 1) < tools.z * np.sqrt(2 / GAMES)
    for lag in (1, 4, 20):
        expected = 0.9 ** (lag * 0.25)
        spread = (1 - expected**2) / np.sqrt(GAMES)
        assert abs(np.corrcoef(y[0], y[lag])[0, 1] - expected) < tools.z * spread
    step = np.sqrt(0.25 / 252)
    z1 = (np.log(spot[1:] / spot[:-1]) + 0.5 * (np.exp(y[:-1]) * step) ** 2) / (np.exp(y[:-1]) * step)
    z2 = y[1:] - np.log(0.25) - 0.9**0.25 * (y[:-1] - np.log(0.25))
    assert abs(tools.z_score(z1.ravel(), 0.0)) < tools.z
    assert abs(z1.var() - 1) < tools.z * np.sqrt(2 / z1.size)
    assert abs(np.corrcoef(z1.ravel(), z2.ravel())[0, 1] + 0.7) < tools.z * (1 - 0.49) / np.sqrt(z1.size)


def test_log_volatility_may_start_at_its_mean(tools):
    volatility = {"model": "log_ar1", "mean": 0.25, "start": "mean"}
    y = tools.play(tools.build(**QUIET, underlying={"volatility": volatility}), 50)["log_volatility"]
    assert np.all(y[0] == np.log(0.25))
    assert y[1].std() > 0


CHAIN = [
    {"name": "C95", "right": "call", "strike": 95, "expiry": 63},
    {"name": "P110", "right": "put", "strike": 110, "expiry": 2},
    {"name": "C100", "right": "call", "strike": 100, "expiry": 21, "implied_volatility": 0.35},
    {"name": "S", "right": "asset"},
]


@pytest.mark.parametrize("volatility", [{"model": "constant", "value": 0.2}, {"model": "profile", "t": [0, 40],
                                         "value": [0.2, 0.5]}], ids=lambda v: v["model"])  # fmt: skip
def test_marks_and_greeks_are_black_scholes(tools, volatility):
    market = tools.build(products=CHAIN, **QUIET, underlying={"volatility": volatility})
    trace = tools.play(market, 40)
    for t in (0, 1, 10):
        spot = trace["spot"][t]
        for i, product in enumerate(market.products):
            got = {name: trace[name][t][:, i] for name in ("price", "delta", "gamma", "vega")}
            if product.right == "asset":
                np.testing.assert_array_equal(got["price"], spot)
                assert np.all(got["delta"] == 1)
                assert not got["gamma"].any()
                continue
            tau = (product.expiry - t / 10) / 252
            if product.implied_volatility:
                vol = product.implied_volatility
            else:
                knees, levels = volatility.get("t", [0, 40]), np.broadcast_to(volatility["value"], 2)
                knots = [40.0] if t / 10 < 40 < product.expiry else None
                square = lambda u, *at: np.interp(u, *at) ** 2  # noqa: E731
                total = quad(square, t / 10, product.expiry, (knees, levels), points=knots)
                vol = np.sqrt(total[0] / (product.expiry - t / 10))
            want = greeks(spot, product.strike, tau, vol, call=product.right == "call")
            for name in got:
                np.testing.assert_allclose(got[name], getattr(want, name), rtol=1e-9, atol=1e-11)
    price, delta, gamma, vega, deviation = initial_greeks(market)
    np.testing.assert_allclose(price, trace["price"][0, 0], rtol=1e-10)
    np.testing.assert_allclose(delta, trace["delta"][0, 0], rtol=1e-10)
    np.testing.assert_allclose(vega, trace["vega"][0, 0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gamma, trace["gamma"][0, 0], rtol=1e-10, atol=1e-12)
    total = market.underlying.volatility.variance(np.zeros(1), np.ones(1), 1 / 252)[0]
    assert deviation == pytest.approx(100 * np.sqrt(total))


def test_without_volatility_nothing_moves(tools):
    market = tools.build(**QUIET, underlying={"volatility": {"model": "constant", "value": 0}})
    trace = tools.play(market, 3)
    np.testing.assert_allclose(trace["spot"], 100, rtol=1e-14)
    np.testing.assert_allclose(trace["mid"], 0, atol=1e-6)  # at the money, no time value
