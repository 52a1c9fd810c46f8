"""Executors: their orders, where these go, what they cost, and when they stop.

Statistical tests: two-sided error rate 1e-5 each (z = 4.42), fixed seeds.
"""

import numpy as np
import pytest
from scipy import stats

SILENT = {"arrival_rate": 0}
BUYER = {"product": "C100", "side": "buy", "size": 1000, "rate": [0, 4000]}
FREE = {"inventory_limit": None, "risk": {"kind": "separable"}}


def market_of(tools, *executors, flow=None, makers=None, **parts):
    return tools.build(flow={**SILENT, **(flow or {})}, makers={**FREE, **(makers or {})}, executors=executors, **parts)


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_signs_of_a_parent_order(tools, side, sign):
    market = market_of(tools, {**BUYER, "side": side, "size": 30})
    trace = tools.play(market, 200, tools.constant(market, 0.05, rate=100.0))
    assert np.all(trace["remaining"][0] == 30 * sign)
    assert np.all(trace["direction"] == sign)
    np.testing.assert_allclose(trace["executor_inventory"] + trace["remaining"], 30 * sign)
    assert np.all(trace["executor_inventory"][-1] * sign > 0)
    assert np.all(sign * trace["maker_inventory"][-1].sum((1, 2)) < 0)
    assert not trace["fill"][1:, ..., 0 if sign > 0 else 1].any()


def test_coin_is_fair_and_belongs_to_the_seed(tools):
    market = market_of(tools, {**BUYER, "side": "coin"}, {**BUYER, "side": "coin"})
    way = tools.play(market, 20_000)["direction"][0]
    assert set(np.unique(way)) == {-1.0, 1.0}
    for j in range(2):
        assert abs(tools.z_score(way[:, j], 0.0)) < tools.z
    assert abs(np.corrcoef(way.T)[0, 1]) * np.sqrt(20_000) < tools.z


def test_size_is_drawn_per_game_in_whole_lots(tools):
    market = market_of(tools, {**BUYER, "size": {"mean": 30, "spread": 5}})
    size = tools.play(market, 20_000)["remaining"][0, :, 0]
    assert np.all(size == np.round(size))
    assert (size.min(), size.max()) == (25, 35)
    assert stats.chisquare(np.bincount(size.astype(int) - 25)).pvalue > 1e-5  # all eleven are as likely
    assert abs(tools.z_score(size, 30.0)) < tools.z


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("lot", [1.0, 0.1])
def test_never_beyond_the_parent_order(tools, orders, lot):
    buyer = {**BUYER, "side": "coin", "size": 7, "rate": [0, 400]}
    market = market_of(tools, buyer, flow={"orders": orders, "lot": lot})
    trace = tools.play(market, 300, tools.constant(market, 0.05, rate=45.0 * lot + 20))
    left = trace["remaining"] * trace["direction"]
    assert left.min() > -1e-9
    assert np.mean(left[-1] < 1e-6) > 0.9
    fast = tools.play(market, 100, tools.constant(market, 0.05, rate=400.0))
    np.testing.assert_allclose(fast["remaining"][-1], 0, atol=1e-9)
    done = np.abs(fast["remaining"][:-1]) < 1e-9
    assert not fast["executor_fill"][1:][done].any()


def test_an_executor_that_need_not_stop_goes_on(tools):
    market = market_of(tools, {**BUYER, "size": 7, "stop_at_target": False}, flow={"orders": "fluid"})
    trace = tools.play(market, 4, tools.constant(market, 0.05, rate=100.0))
    np.testing.assert_allclose(trace["remaining"][-1], 7 - 100)


def test_orders_are_poisson_and_shares_are_the_softmax_of_the_distances(tools):
    half = np.array([0.05, 0.06, 0.09])
    market = market_of(tools, BUYER, makers={"count": 3})
    trace = tools.play(market, 4000, tools.constant(market, half, rate=60.0))
    count = trace["executor_fill"][1:, :, 0].ravel()  # 6 expected per step
    assert abs(tools.z_score(count, 6.0)) < tools.z
    assert abs(count.var() / 6.0 - 1) < tools.z * np.sqrt((2 + 1 / 6) / count.size)
    observed = np.bincount(count.astype(int), minlength=25)[:20]
    expected = stats.poisson.pmf(np.arange(20), 6.0)
    assert stats.chisquare(observed, expected / expected.sum() * observed.sum()).pvalue > 1e-5
    taken = trace["fill"][1:, :, :, 0, 1].sum((0, 1))
    share = np.exp(-50 * half) / np.exp(-50 * half).sum()
    assert stats.chisquare(taken, share * taken.sum()).pvalue > 1e-5
    assert not trace["unfilled_executor"].any()


@pytest.mark.parametrize(("rule", "weight"), [
    ({"kind": "exponential", "fill_decay": 20}, np.exp(-20 * np.array([0.05, 0.1]))),
    ({"kind": "logit", "fill_decay": 20}, np.exp(-20 * np.array([0.05, 0.1]))),
    ({"kind": "logistic", "sharpness": 20, "offsets": [0, 1.5]}, np.exp(-20 * np.array([0.05, 0.1]) + [0, 1.5])),
    ({"kind": "soft_best", "fill_decay": 20, "sharpness": 40}, np.exp(-40 * np.array([0.05, 0.1]))),
])  # fmt: skip
def test_fluid_orders_are_split_by_the_rules_shares(tools, rule, weight):
    market = market_of(tools, BUYER, flow={"orders": "fluid", "rule": rule})
    trace = tools.play(market, 3, tools.constant(market, [0.05, 0.1], rate=60.0))
    want = np.broadcast_to(6.0 * weight / weight.sum(), (3, 2))
    np.testing.assert_allclose(trace["fill"][1, :, :, 0, 1], want, rtol=1e-13)


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
def test_what_nobody_can_fill_is_counted_and_stays(tools, orders):
    market = market_of(tools, {**BUYER, "size": 40}, flow={"orders": orders}, makers={"inventory_limit": 8, "count": 2})
    trace = tools.play(market, 200, tools.constant(market, 0.05, rate=400.0))
    assert trace["maker_inventory"].min() >= -8
    np.testing.assert_allclose(trace["maker_inventory"][-1].sum((1, 2)), -16)  # both full
    np.testing.assert_allclose(trace["remaining"][-1], 40 - 16)
    assert trace["unfilled_executor"][-1].min() > 0
    assert np.all(trace["distance"][-1, ..., 1] == 1e6)  # and both have withdrawn their asks
    assert not trace["executor_fill"][-1].any()


def test_rate_is_clipped_to_the_seats_own_range(tools):
    narrow, wide = {**BUYER, "rate": [10, 50]}, {**BUYER, "rate": [0, 200]}
    market = market_of(tools, narrow, wide, flow={"orders": "fluid"})
    fast = tools.play(market, 2, tools.constant(market, 0.05, rate=200.0))["executor_fill"][1]
    slow = tools.play(market, 2, tools.constant(market, 0.05, rate=0.0))["executor_fill"][1]
    np.testing.assert_allclose(fast[0], [5.0, 20.0], rtol=1e-12)
    np.testing.assert_allclose(slow[0], [1.0, 0.0], rtol=1e-12)


def test_impact_cost_with_cross_impact(tools):
    # beta v_j (v_j + omega mean_{l != j} v_l) dt with signed rates: a seller makes a buyer's trading cheaper
    ways = ["buy", "sell", "buy"]
    pairs = zip(ways, (2, 3, 0), strict=True)
    seats = [{**BUYER, "side": way, "temporary_impact": b, "cross_impact": 0.5} for way, b in pairs]
    market = market_of(tools, *seats)
    rates = np.array([10.0, 20.0, 30.0])
    layout = market.roles[1].action

    def act(step, game):
        game.action["executor"][...] = layout.to_unit(rates[:, None])

    trace = tools.play(market, 5, act)
    v = rates * [1, -1, 1]
    mean = (v.sum() - v) / 2
    want = np.array([2, 3, 0]) * v * (v + 0.5 * mean)  # per unit of time, whole horizon 1
    np.testing.assert_allclose(trace["executor_impact_cost"][-1], np.broadcast_to(want, (5, 3)), rtol=1e-11)
    np.testing.assert_allclose(trace["impact_cash"][-1], want.sum(), rtol=1e-11)


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
def test_penalties_on_what_is_left(tools, orders):
    seat = {**BUYER, "size": 20, "running_penalty": 0.3, "terminal_penalty": 0.7}
    market = market_of(tools, seat, flow={"orders": orders})
    trace = tools.play(market, 20, tools.constant(market, 0.05, rate=12.0))
    left = trace["remaining"][:, :, 0]
    if orders == "fluid":
        assert left[-1] == pytest.approx(8.0)
        exact = (20**3 - 8**3) / 3 / 12  # int_0^1 (20 - 12 t)^2 dt
        np.testing.assert_allclose(trace["executor_penalty"][-1, :, 0], 0.3 * exact + 0.7 * 64, rtol=1e-12)
    else:
        mean = ((left[:-1] ** 2 + left[1:] ** 2) / 2).sum(0) / 10
        np.testing.assert_allclose(trace["executor_penalty"][-1, :, 0], 0.3 * mean + 0.7 * left[-1] ** 2, rtol=1e-12)
        assert left[-1].std() > 0


@pytest.mark.parametrize("price", ["vwap", "best"])
def test_price_paid_and_where_the_difference_goes(tools, price):
    market = market_of(tools, {**BUYER, "price": price}, fees={"maker": 0.001, "taker": 0.004})
    trace = tools.play(market, 50, tools.constant(market, [0.05, 0.08], rate=100.0))
    lots = trace["fill"][1:, :, :, 0, 1].sum(0)
    quoted = (lots * [0.05, 0.08]).sum(1)
    paid = quoted if price == "vwap" else 0.05 * lots.sum(1)
    np.testing.assert_allclose(trace["executor_spread_cost"][-1, :, 0], paid, rtol=1e-12)
    np.testing.assert_allclose(trace["edge_executor"][-1, :, :, 0].sum(1), quoted, rtol=1e-12)
    np.testing.assert_allclose(trace["leak_cash"][-1], paid - quoted, atol=1e-12)
    assert (np.abs(trace["leak_cash"][-1]).max() > 0.01) == (price == "best")
    np.testing.assert_allclose(trace["executor_fee"][-1, :, 0], 0.004 * lots.sum(1), rtol=1e-12)
    np.testing.assert_allclose(trace.reward["executor"].sum(0)[:, 0], -paid - 0.004 * lots.sum(1), rtol=1e-12)


def test_executors_and_noise_compete_for_the_same_quotes(tools):
    # the maker with the better ask gets both the noise and the executor's orders: flow is endogenous
    market = market_of(tools, BUYER, flow={"arrival_rate": 50})
    trace = tools.play(market, 500, tools.constant(market, [0.03, 0.06], rate=50.0))
    by_trader, by_noise = trace["edge_executor"][-1, :, :, 0], trace["edge_noise"][-1]
    assert np.all(by_trader.mean(0) > 0)
    assert tools.z_score(by_trader[:, 0] - by_trader[:, 1], 0.0) > tools.z
    assert tools.z_score(by_noise[:, 0] - by_noise[:, 1], 0.0) > tools.z
