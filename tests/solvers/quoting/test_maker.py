"""One maker's (t, q) problem: published-spec values, closed forms, symmetries, convergence and refusals.

Expected numbers without another source are those of option_making sections 0-6 (default configuration FX1).
"""

import math
import re

import numpy as np
import pytest

from arena.solvers.options.closed_form import bessel, matrix_exponential
from arena.solvers.options.option_model import OptionModel, StepFunction, cross_moments, profile
from arena.solvers.quoting import gibbs
from arena.solvers.quoting import maker as quoting
from arena.solvers.quoting.maker import Maker, blind_maker, solve

DAILY = 0.2 / math.sqrt(252)
ATM = OptionModel(spot=100, strike=100, expiry=63, vol=DAILY)
FLOW = {"arrival_rate": 100.0, "fill_decay": 10.0, "inventory_limit": 20}


def start(maker: Maker, steps: int = 50) -> float:
    return float(solve(maker, steps).value[0, maker.inventory_limit])


def unclamped(**changes) -> Maker:
    return Maker(**{**FLOW, "horizon": 1.0, "terminal_cost": 0.008, "min_distance": -math.inf, **changes})


# ------------------------------------------------------------------------------------------- the option and its moments


def test_price_and_second_moment_of_the_default_option():
    assert float(ATM.price(0, 100)) == pytest.approx(3.98776, abs=5e-6)
    assert ATM.second_moment(1.0) == pytest.approx(16.333901, abs=5e-7)


def test_second_moment_counts_the_shock_as_a_variance():
    shocked = OptionModel(100, 100, 63, DAILY, shock_loading=0.3)
    assert shocked.second_moment(2.0) - ATM.second_moment(2.0) == pytest.approx(0.09 * 2, rel=1e-12)


def test_second_moment_agrees_with_simulation():
    z = np.random.default_rng(1).standard_normal(400_000)
    squares = ATM.price(1.0, 100 * np.exp(DAILY * z - 0.5 * DAILY**2)) ** 2
    assert abs(squares.mean() - ATM.second_moment(1.0)) < 4 * squares.std() / math.sqrt(z.size)  # wrong with prob. 6e-5


def test_profiles_integrate_exactly():
    curve = profile(([0, 1, 3], [0.1, 0.2, 0.4]))
    assert float(curve.integral(0.5, 4.0)) == pytest.approx(0.05 + 0.4 + 0.4)
    assert float(curve.integral(0.5, 4.0, power=2)) == pytest.approx(0.005 + 0.08 + 0.16)
    np.testing.assert_array_equal(curve.at([0, 0.99, 1, 2.9, 3, 100]), [0.1, 0.1, 0.2, 0.2, 0.4, 0.4])


def test_a_profile_with_the_same_variance_is_the_same_problem():
    wavy = StepFunction((0.0, 0.25, 0.5, 1.0), (0.5 * DAILY, math.sqrt(1.75) * DAILY, DAILY, DAILY))
    varying = OptionModel(100, 100, 63, wavy)
    assert varying.second_moment(1.0) == pytest.approx(ATM.second_moment(1.0), rel=1e-12)
    assert start(blind_maker(varying, 5e-4, 1.0, **FLOW)) == pytest.approx(7.229403599, abs=1e-8)


def test_hedged_drift_vanishes_at_the_pricing_volatility_only():
    assert float(ATM.hedged_drift(0.3, 101.0)) == 0.0
    wrong = OptionModel(100, 100, 63, vol=1.5 * DAILY, implied=DAILY)
    h = 1e-3
    curvature = (wrong.price(0.3, 101 + h) - 2 * wrong.price(0.3, 101.0) + wrong.price(0.3, 101 - h)) / h**2
    decay = (wrong.price(0.3 + h, 101.0) - wrong.price(0.3 - h, 101.0)) / (2 * h)
    assert float(wrong.hedged_drift(0.3, 101.0)) == pytest.approx(
        float(decay + 0.5 * (1.5 * DAILY * 101) ** 2 * curvature), rel=1e-4
    )


def test_cross_moments_have_the_single_moments_on_the_diagonal():
    pair = [ATM, OptionModel(100, 105, 63, DAILY)]
    moments = cross_moments(pair, 1.0)
    np.testing.assert_allclose(np.diag(moments), [o.second_moment(1.0) for o in pair], rtol=1e-13)
    assert moments[0, 1] < math.sqrt(moments[0, 0] * moments[1, 1])


# ----------------------------------------------------------------------------------------------------------- the values


@pytest.mark.parametrize(("option", "penalty", "horizon", "rate", "expected"), [
    (ATM, 5e-4, 1.0, 100.0, 7.229403599),
    (ATM, 5e-3, 1.0, 100.0, 7.107764934),
    (ATM, 5e-4, 5.0, 40.0, 14.548614),
    (OptionModel(100, 100, 63, DAILY, shock_loading=0.3), 5e-4, 1.0, 100.0, 7.229149680),
])  # fmt: skip
def test_blind_values(option, penalty, horizon, rate, expected):
    found = start(blind_maker(option, penalty, horizon, **{**FLOW, "arrival_rate": rate}))
    assert found == pytest.approx(expected, abs=5e-7 if expected > 10 else 1e-8)


def test_value_with_the_price_frozen():
    cost = 5e-4 * float(ATM.price(0, 100)) ** 2
    assert start(Maker(horizon=1.0, terminal_cost=cost, **FLOW)) == pytest.approx(7.230639530, abs=1e-8)


def test_gibbs_value():
    maker = blind_maker(ATM, 5e-4, 1.0, max_distance=0.8, temperature=0.2, entropy="lebesgue", **FLOW)
    assert start(maker) == pytest.approx(6.1081154, abs=5e-8)


def test_no_penalty_no_skew_and_the_textbook_value():
    table = solve(Maker(horizon=1.0, arrival_rate=(80.0, 60.0), fill_decay=(10.0, 5.0), inventory_limit=150), steps=10)
    centre = slice(140, 161)  # the bound is too far away to be felt
    np.testing.assert_allclose(table.distance[:, centre, 0], 0.1, atol=1e-9)
    np.testing.assert_allclose(table.distance[:, centre, 1], 0.2, atol=1e-9)
    expected = (1.0 - table.times) * (80 / (10 * math.e) + 60 / (5 * math.e))
    np.testing.assert_allclose(table.value[:, 150], expected, rtol=1e-9)


def test_quotes_of_figures_two_to_five():
    table = solve(blind_maker(ATM, 5e-4, 1.0, **{**FLOW, "inventory_limit": 60}), steps=10)
    np.testing.assert_allclose(table.distance[0, [55, 60, 65], 1], [0.10694, 0.10063, 0.09432], atol=5e-6)
    np.testing.assert_allclose(table.distance[6, [55, 60, 65], 1], [0.11560, 0.10142, 0.08722], atol=5e-6)
    slopes = (table.distance[[0, 6, 10], 65, 1] - table.distance[[0, 6, 10], 55, 1]) / 10
    np.testing.assert_allclose(slopes, [-0.00126, -0.00284, -0.01633], atol=1e-5)  # printed: -.00285 (rounded)
    long = solve(blind_maker(ATM, 2e-5, 1.0, **{**FLOW, "inventory_limit": 150}), steps=10)
    np.testing.assert_allclose(long.distance[[0, 10], 250], [[0.1439, 0.0565], [0.1657, 0.0350]], atol=1e-4)
    heavy = solve(blind_maker(ATM, 5e-4, 1.0, **{**FLOW, "inventory_limit": 150}), steps=10)
    assert (heavy.distance[:, 250, 1] == 0).all()
    np.testing.assert_allclose(heavy.distance[[0, 10], 250, 0], [0.264, 1.742], atol=5e-4)


@pytest.mark.parametrize(("strike", "bound", "spread", "later"), [
    (100, 10, 0.20207, None), (105, 10, 0.20205, None), (105, 15, None, 0.100969),
])  # fmt: skip
def test_quotes_at_zero_inventory_of_two_strikes(strike, bound, spread, later):
    # errata 30 and figures 7-8; the printed digits belong to these bounds (the specification does not name them)
    maker = blind_maker(OptionModel(100, strike, 63, DAILY), 5e-4, 1.0, **{**FLOW, "inventory_limit": bound})
    table = solve(maker, steps=5)
    if spread is not None:
        assert table.distance[0, bound].sum() == pytest.approx(spread, abs=5e-6)
    if later is not None:
        np.testing.assert_allclose(table.distance[3, bound], later, atol=5e-7)


# ----------------------------------------------------------------------------------------------- closed forms and order


def test_matrix_exponential_and_runge_kutta_agree():
    for maker in (unclamped(), unclamped(running_penalty=0.02), unclamped(arrival_rate=(90.0, 120.0), drift=0.01)):
        table = solve(maker, steps=4)
        np.testing.assert_allclose(table.value, matrix_exponential(maker, 1.0 - table.times), atol=2e-9)


def test_bessel_sum_is_the_matrix_exponential_with_a_far_bound():
    maker = unclamped(inventory_limit=120)
    values = matrix_exponential(maker, 1.0)
    np.testing.assert_allclose(values[110:131], bessel(np.arange(-10, 11), 1.0, 100, 10, 0.008), atol=1e-12)


def test_long_horizons_do_not_overflow():
    assert np.isfinite(matrix_exponential(unclamped(), 1e4)).all()


def test_runge_kutta_is_of_fourth_order():
    exact = matrix_exponential(unclamped(terminal_cost=0.008), 1.0)[20]
    errors = []
    for steps in (200, 400):
        maker = unclamped(terminal_cost=0.008)
        value = np.empty((2, 41))
        value[-1] = -0.008 * maker.inventory.astype(float) ** 2
        quoting._backward(value, 1.0 / steps, steps, maker.rates, maker.decays, -math.inf, math.inf, 0.0,
                          np.zeros(steps), *gibbs.NO_TABLE)  # fmt: skip
        errors.append(abs(value[0, 20] - exact))
    assert 3.5 < math.log2(errors[0] / errors[1]) < 4.6


def test_swapping_sides_mirrors_the_quotes():
    for extra in ({}, {"temperature": 0.1, "max_distance": 0.8}):
        one = Maker(horizon=1.0, terminal_cost=0.01, inventory_limit=15, arrival_rate=(80.0, 120.0), fill_decay=(9.0,
        12.0),
                    drift=0.02, **extra)  # fmt: skip
        two = Maker(horizon=1.0, terminal_cost=0.01, inventory_limit=15, arrival_rate=(120.0, 80.0),
        fill_decay=(12.0, 9.0),
                    drift=-0.02, **extra)  # fmt: skip
        first, second = solve(one, 5), solve(two, 5)
        np.testing.assert_allclose(first.value, second.value[:, ::-1], atol=1e-12)
        np.testing.assert_allclose(first.distance, second.distance[:, ::-1, ::-1], atol=1e-12)


def test_a_closer_floor_or_a_cap_can_only_cost():
    free, floored = start(unclamped()), start(unclamped(min_distance=0.0))
    capped = start(unclamped(min_distance=0.0, max_distance=0.1))
    assert free > floored > capped


def test_bounds_withdraw_one_side():
    table = solve(unclamped(min_distance=0.0), 3)
    assert np.isinf(table.distance[:, -1, 0]).all()
    assert np.isinf(table.distance[:, 0, 1]).all()
    assert np.isfinite(table.distance[:, 1:-1]).all()


@pytest.mark.parametrize(("changes", "message"), [
    ({"temperature": 0.1}, "temperature 0.1 needs finite min_distance < max_distance, found [0, inf]: on an "
                           "unbounded range the Gibbs density cannot be normalised"),
    ({"inventory_limit": None}, "inventory_limit must be a whole number of at least 1 lot, found None"),
    ({"arrival_rate": -1.0}, "arrival_rate must be finite and at least 0, found -1.0"),
    ({"fill_decay": (10.0, 0.0)}, "fill_decay must be positive, found (10.0, 0.0)"),
    ({"horizon": 0.0}, "horizon must be positive, found 0.0"),
    ({"terminal_cost": math.nan}, "terminal_cost must be finite and at least 0, found nan"),
    ({"min_distance": 1.0, "max_distance": 0.5}, "min_distance 1.0 must be below max_distance 0.5"),
])  # fmt: skip
def test_ill_posed_makers_get_a_sentence(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Maker(**{**FLOW, "horizon": 1.0, **changes})


def test_other_refusals():
    with pytest.raises(ValueError, match=r"^horizon 63 must end before the option's expiry 63$"):
        blind_maker(ATM, 5e-4, 63.0, **FLOW)
    with pytest.raises(ValueError, match="use the matrix exponential"):
        solve(unclamped(terminal_cost=0.1))
    with pytest.raises(ValueError, match="needs min_distance = -inf"):
        matrix_exponential(Maker(horizon=1.0, **FLOW), 1.0)
    with pytest.raises(ValueError, match="must start at 0 and increase"):
        profile(([0, 0], [1, 2]))
    with pytest.raises(ValueError, match=r"^vol must be at least 0, found -0\.1$"):
        OptionModel(100, 100, 63, -0.1)
