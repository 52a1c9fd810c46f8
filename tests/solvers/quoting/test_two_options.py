"""Two options under separable and joint risk, and n options by their vega (option_making sections 1, 6 and 7)."""

import math

import numpy as np
import pytest

from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.maker import Maker, solve
from arena.solvers.quoting.two_options import (
    portfolio_penalty,
    rebalancing_risk,
    separable_penalty,
    solve_pair,
    vega_risk,
)
from arena.solvers.quoting.vega import Variance, VegaBook, aggregate_vega, solve_vega

DAILY = 0.2 / math.sqrt(252)
PAIR = [OptionModel(100, 100, 63, DAILY), OptionModel(100, 105, 63, DAILY)]
VEGAS = [option.vega() / math.sqrt(252) for option in PAIR]  # per 1.00 of annual volatility


@pytest.mark.parametrize("extra", [{}, {"temperature": 0.2, "max_distance": 0.8}])
def test_separable_risk_is_two_separate_problems(extra):
    maker, costs = Maker(100.0, 10.0, 1.0, 6, **extra), separable_penalty(PAIR, 5e-4, 1.0)
    joint = solve_pair((maker, maker), costs, steps=4)
    alone = [solve(Maker(100.0, 10.0, 1.0, 6, terminal_cost=costs[i, i], **extra), 4) for i in (0, 1)]
    np.testing.assert_allclose(joint.value, alone[0].value[:, :, None] + alone[1].value[:, None], atol=2e-8)
    for i in (0, 1):  # and the quotes of one do not depend on the inventory of the other: figures 7-8
        own = joint.distance[..., i, :] if i == 0 else joint.distance[..., i, :].transpose(0, 2, 1, 3)
        np.testing.assert_allclose(own[:, :, 0], alone[i].distance, atol=1e-7)
        assert (np.ptp(np.where(np.isinf(own), 0, own), axis=2) < 1e-7).all()


def test_vega_risk_couples_the_options():
    maker = Maker(100.0, 10.0, 1.0, 15)
    table = solve_pair((maker, maker), separable_penalty(PAIR, 5e-4, 1.0), vega_risk(VEGAS, 0.5, 0.01), steps=5)
    ask = table.distance[3, [10, 15, 20], 15, 1, 1]
    bid = table.distance[3, [20, 15, 10], 15, 1, 0]
    np.testing.assert_allclose(ask, [0.11376, 0.10217, 0.09058], atol=5e-6)
    np.testing.assert_allclose(bid, ask, atol=1e-9)


def test_portfolio_risk_charges_books_that_add_and_spares_those_that_offset():
    maker, moments = Maker(100.0, 10.0, 1.0, 6), portfolio_penalty(PAIR, 5e-3, 1.0)
    together = solve_pair((maker, maker), moments, steps=20)
    apart = solve_pair((maker, maker), np.diag(np.diag(moments)), steps=20)
    for risk, adds in ((together, True), (apart, False)):
        same, offsetting = risk.value[15, 9, 9], risk.value[15, 9, 3]  # a quarter of the horizon left
        assert same < offsetting - 0.01 if adds else same == pytest.approx(offsetting, abs=1e-9)
    assert together.value[0, 6, 6] > apart.value[0, 6, 6]  # one option hedges the other
    np.testing.assert_allclose(together.value, together.value[:, ::-1, ::-1], atol=1e-9)  # both sides are alike


def test_running_risk_on_one_option_is_its_running_penalty():
    maker = Maker(100.0, 10.0, 1.0, 6)
    joint = solve_pair((maker, maker), np.zeros((2, 2)), np.diag([0.05, 0.0]), steps=2)
    one, two = solve(Maker(100.0, 10.0, 1.0, 6, running_penalty=0.05), 2), solve(maker, 2)
    np.testing.assert_allclose(joint.value, one.value[:, :, None] + two.value[:, None], atol=2e-8)


def test_risk_matrices():
    np.testing.assert_allclose(vega_risk([10, 20], 0.5, 0.01), 0.5e-4 * np.array([[100, 200], [200, 400]]))
    risk = rebalancing_risk([0.04, 0.02], 0.5, 100.0, DAILY, 0.1)
    # variance of 1/2 Gamma S^2 ((dS/S)^2 - sigma^2 dt) is 1/2 Gamma^2 S^4 sigma^4 dt^2 per step of dt
    z = np.random.default_rng(0).standard_normal(400_000)
    noise = 0.5 * 0.04 * 100**2 * DAILY**2 * 0.1 * (z**2 - 1)
    assert risk[0, 0] == pytest.approx(0.5 * noise.var() / 0.1, rel=0.02)


def test_two_equal_vegas_are_one_state():
    # section 7's 7.201884 (two inventories) and 7.201890 (one vega): A = 50 a side and option, vega 19.92, |q| <= 20
    maker, vega = Maker(50.0, 10.0, 1.0, 20), 19.92
    joint = solve_pair((maker, maker), np.zeros((2, 2)), vega_risk([vega, vega], 0.5, 0.01), steps=1)
    assert joint.value[0, 20, 20] == pytest.approx(7.201884, abs=5e-7)
    flow = {"vega": (vega, vega), "arrival_rate": ((50.0, 50.0),) * 2, "fill_decay": ((10.0, 10.0),) * 2}
    book = VegaBook(**flow, horizon=1.0, vega_limit=20 * vega, risk_aversion=0.5)
    table = solve_vega(book, 0.01, steps=1, nodes=41)
    assert table.start == pytest.approx(7.201890, abs=5e-7)
    still = Variance(start=1.6e-4, speed=0.0, level=1.6e-4, xi=0.02, priced_speed=0.0, priced_level=1.6e-4)
    moving = solve_vega(book, still, steps=1, nodes=41, variance_nodes=5)
    assert moving.start == pytest.approx(table.start, abs=1e-7)  # xi / 2 is the volatility of volatility


def test_one_option_by_its_vega_is_the_running_penalty():
    book = VegaBook((20.0,), ((100.0, 80.0),), ((10.0, 12.0),), 1.0, 160.0, 0.5)
    single = solve(Maker((100.0, 80.0), (10.0, 12.0), 1.0, 8, running_penalty=0.5 * 0.01**2 * 400), 1)
    table = solve_vega(book, 0.01, steps=1, nodes=17)
    np.testing.assert_allclose(table.value[0, 0], single.value[0], atol=1e-7)
    np.testing.assert_allclose(table.distance[0, 0, :, 0], single.distance[0], atol=1e-6)


def test_a_finer_vega_grid_changes_little_with_unequal_vegas():
    book = VegaBook((20.0, 13.7, 6.1), ((60.0, 60.0),) * 3, ((10.0, 10.0),) * 3, 1.0, 200.0, 1.0)
    coarse, fine = (solve_vega(book, 0.02, steps=1, nodes=n).start for n in (201, 401))
    assert coarse == pytest.approx(fine, rel=2e-4)


def test_a_variance_premium_makes_the_maker_lean():
    flow = {"vega": (20.0,), "arrival_rate": ((60.0, 60.0),), "fill_decay": ((10.0, 10.0),)}
    book = VegaBook(**flow, horizon=1.0, vega_limit=160.0, risk_aversion=0.5)
    rising = Variance(start=0.04, speed=0.5, level=0.05, xi=0.02, priced_speed=0.5, priced_level=0.04)
    table = solve_vega(book, rising, steps=1, nodes=65, variance_nodes=11)
    bid, ask = table.distance[0, 5, 32, 0]
    assert bid < ask  # variance is expected to rise by more than it is priced for


def test_aggregate_vega_and_refusals():
    assert float(aggregate_vega([1, -2], [20, 5])) == 10.0
    maker = Maker(100.0, 10.0, 1.0, 3)
    with pytest.raises(ValueError, match=r"^terminal must be symmetric and positive semi-definite"):
        solve_pair((maker, maker), np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match=r"^both options need one horizon, found 1 and 2$"):
        solve_pair((maker, Maker(100.0, 10.0, 2.0, 3)), np.eye(2))
    with pytest.raises(ValueError, match=r"^vega_limit must be at least the largest vega 20, found 10$"):
        VegaBook((20.0,), ((60.0, 60.0),), ((10.0, 10.0),), 1.0, 10.0, 1.0)
