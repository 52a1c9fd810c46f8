"""Accounts of the dealer market under every hedge, risk and flow rule and on random markets, from the trace."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.markets.dealer.accounts import BUYER, CHAIN, recount

COIN = {
    "product": "P100", "side": "coin", "size": {"mean": 12, "spread": 4}, "rate": [0, 300], "temporary_impact": 0.001,
    "cross_impact": 0.8, "running_penalty": 0.01, "terminal_penalty": 0.2,
}  # fmt: skip


def random_act(seed, wild=False):
    rng = np.random.default_rng(seed)

    def act(step, game):
        for view in game.action.values():
            drawn = rng.uniform(-1, 1, view.shape)
            if wild:
                drawn = rng.choice([np.nan, np.inf, -np.inf, 1e300, -7.0, 0.3, -1.0, 1.0], view.shape)
            view[...] = drawn

    return act


MAKERS = {
    "count": 3, "inventory_limit": 8, "half_spread": [0.02, 0.3], "skew": [-0.1, 0.1], "min_distance": 0.01,
    "max_distance": 0.5,
}  # fmt: skip
HEDGINGS = {
    "none": {"kind": "none"},
    "perfect": {"kind": "perfect"},
    "costly": {"kind": "costly", "cost": 0.001},
    "agent": {"kind": "agent", "cost": 0.002, "range": 5},
    "band": {"kind": "band", "cost": 0.002, "centre": [-2, 3], "width": [0, 4]},
}
RISKS = {
    "separable": {"kind": "separable", "terminal_penalty": 5e-4},
    "portfolio": {"kind": "portfolio", "terminal_penalty": 5e-4},
    "running": {"kind": "running", "risk_aversion": 0.5, "terminal_penalty": 1e-4},
    "vega": {"kind": "vega", "risk_aversion": 0.5, "vega_noise": 0.01, "terminal_penalty": 1e-4},
    "quadratic": {"kind": "quadratic", "running_penalty": [0.1, 0.2, 0.0], "terminal_penalty": [0.5, 0.0, 1.0]},
}


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("hedging", HEDGINGS)
def test_accounts_recounted_for_every_hedge(tools, orders, hedging):
    market = tools.build(
        products=CHAIN,
        fees={"maker": -0.002, "taker": 0.005},
        flow={"arrival_rate": 120, "orders": orders, "informed_share": 0.4, "lot": 0.5,
              "rule": {"kind": "soft_best", "fill_decay": 5, "sharpness": 20}},
        mark={"impact": 0.01, "shock_loading": 0.0},
        makers={
            **MAKERS, "hedging": HEDGINGS[hedging], "initial_inventory": [2, -1, 0],
            "variation_aversion": 0.4 if hedging == "band" else 0,
        },
        executors=[{**BUYER, "price": "best"}, COIN],
    )  # fmt: skip
    fill = recount(tools.play(market, 60, random_act(1)))
    assert fill.sum() > 1000  # somebody trades, or nothing was tested


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("risk", RISKS)
def test_accounts_recounted_for_every_risk(tools, orders, risk):
    market = tools.build(
        products=CHAIN,
        flow={"arrival_rate": [[80, 60], [50, 90]], "orders": orders, "rule": {"kind": "logistic", "sharpness": 8}},
        mark={"shock_loading": [[0.2, 0.1], [0.0, 0.3]]},
        makers={**MAKERS, "risk": RISKS[risk], "inventory_limit": None, "initial_inventory": {"mean": 1, "spread": 3}},
        executors=[COIN, {**BUYER, "side": "sell", "stop_at_target": False}],
    )
    fill = recount(tools.play(market, 60, random_act(2)))
    assert fill.sum() > 1000


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("rule", ["exponential", "logit", "relative"])
def test_accounts_recounted_for_the_other_flow_rules(tools, rule, orders):
    market = tools.build(
        products=CHAIN,
        fees={"maker": -0.002, "taker": 0.005},
        flow={"arrival_rate": 80, "orders": orders, "rule": {"kind": rule, "fill_decay": 4}},
        makers={**MAKERS, "observe": {"rivals": "none"}},
        executors=[{**BUYER, "price": "best"}, COIN],
    )
    assert recount(tools.play(market, 60, random_act(3))).sum() > 1000


def test_wild_actions_are_clipped_counted_and_booked(tools):
    market = tools.build(products=CHAIN, makers=MAKERS, executors=[BUYER, COIN])
    trace = tools.play(market, 20, random_act(4, wild=True))
    recount(trace)
    for k, role in enumerate(("maker", "executor")):
        u = trace.action[role]
        outside = (~((u >= -1) & (u <= 1))).sum(axis=(2, 3)).cumsum(axis=0)
        np.testing.assert_array_equal(trace["clipped_action"][1:, :, k], outside)
        assert outside[-1].min() > 0


# ------------------------------------------------------------------------------------------------- random markets

share = st.floats(0.0, 1.0)


@st.composite
def markets(draw):
    """Plain data of a market within its documented ranges, odd corners included."""
    count, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    right = st.sampled_from(["call", "put", "asset"])
    products = []
    for i in range(n):
        one = {"name": f"x{i}", "right": draw(right)}
        if one["right"] != "asset":
            one |= {"strike": draw(st.floats(20, 400)), "expiry": draw(st.floats(1.001, 500))}
            if draw(st.booleans()):
                one["implied_volatility"] = draw(st.floats(1e-3, 3))
        products.append(one)
    rule = draw(
        st.one_of(
            st.builds(lambda k: {"kind": "exponential", "fill_decay": k}, st.floats(0.1, 60)),
            st.builds(lambda k, r: {"kind": "soft_best", "fill_decay": k, "sharpness": k * r}, st.floats(0.1, 60),
                      st.floats(1, 50)),
            st.builds(lambda k, w: {"kind": "logit", "fill_decay": k, "outside": w}, st.floats(0.1, 60),
                      st.floats(0, 3)),
            st.builds(lambda c: {"kind": "logistic", "sharpness": c}, st.floats(0.1, 500)),
            st.builds(lambda k: {"kind": "relative", "fill_decay": k}, st.floats(0.1, 20)),
        )
    )  # fmt: skip
    volatility = draw(
        st.sampled_from(
            [
                {"model": "constant", "value": 0.0},
                {"model": "constant", "value": 0.2},
                {"model": "constant", "value": 2.0},
                {"model": "profile", "t": [0.2, 0.7], "value": [0.0, 0.5]},
                {"model": "log_ar1", "mean": 0.3, "persistence": 0.5, "shock": 0.5},
            ]
        )
    )
    intensity = draw(
        st.sampled_from(
            [
                {"model": "constant"},
                {"model": "profile", "t": [0.0, 1.0], "value": [0.0, 2.0]},
                {"model": "log_ou", "reversion": 2.0, "volatility": 1.5, "initial": -0.5},
            ]
        )
    )
    low, lot = draw(st.sampled_from([-0.2, 0.0, 0.05])), draw(st.sampled_from([1, 0.1, 2.5]))
    steps = draw(st.sampled_from([1, 3, 6]))
    most = 450 * steps * lot  # lots per day for which Poisson flow is accepted
    executors = [
        {
            "product": draw(st.sampled_from(products))["name"],
            "side": draw(st.sampled_from(["buy", "sell", "coin"])),
            "size": draw(st.sampled_from([1, 7.5, 40, {"mean": 10, "spread": 10}])),
            "rate": [0, draw(st.sampled_from([0.02, 0.5, 5])) * most / 5],
            "temporary_impact": draw(share) * 0.01,
            "cross_impact": draw(share),
            "running_penalty": draw(share),
            "terminal_penalty": draw(share),
            "price": draw(st.sampled_from(["vwap", "best"])),
            "stop_at_target": draw(st.booleans()),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    rivals = st.sampled_from(["inventory", "quotes", "none"] if rule["kind"] != "relative" else ["quotes", "none"])
    return {
        "clock": {"steps": steps},
        "underlying": {"spot": draw(st.floats(1, 500)), "volatility": volatility},
        "products": products,
        "mark": {"impact": draw(st.sampled_from([0, 0.05])), "shock_loading": draw(st.sampled_from([0, 0.3]))},
        "flow": {
            "rule": rule, "arrival_rate": draw(share) * most / 2, "orders": draw(st.sampled_from(["poisson", "fluid"])),
            "lot": lot, "intensity": intensity, "informed_share": draw(share),
        },
        "fees": {"maker": draw(st.floats(-0.01, 0.01)), "taker": draw(st.floats(-0.01, 0.02))},
        "makers": {
            "count": count, "inventory_limit": draw(st.sampled_from([None, 0.5, 3, 20])), "min_distance": low,
            "half_spread": [0.0, 0.4], "skew": [-0.3, 0.3], "max_distance": 0.8,
            "hedging": HEDGINGS[draw(st.sampled_from(sorted(HEDGINGS)))],
            "risk": RISKS[draw(st.sampled_from(sorted(set(RISKS) - {"quadratic"})))],
            "observe": {"rivals": draw(rivals)},
        },
        "executors": executors,
        "executors_observe": {"rivals": draw(st.sampled_from(["inventory", "quotes", "none"]))},
    }  # fmt: skip


@settings(max_examples=120)
@given(plain=markets(), seed=st.integers(0, 2**32), wild=st.booleans())
def test_random_markets_and_actions_keep_the_books_and_stay_finite(tools, plain, seed, wild):
    market = tools.build(**plain)
    boxes = {role.name: (role.observation.low, role.observation.high) for role in market.roles}
    inner = random_act(seed, wild)

    def act(step, game):
        for name, (low, high) in boxes.items():
            seen = game.observation[name]
            assert np.isfinite(low).all()
            assert np.isfinite(high).all()
            assert np.isfinite(seen).all()
            assert np.all((seen >= low.astype(np.float32)) & (seen <= high.astype(np.float32)))
        inner(step, game)

    trace = tools.play(market, 5, act, seed=seed)
    assert np.isfinite(trace.state).all()
    if plain["makers"]["min_distance"] > 0:  # a distance of 0 hides who traded with whom
        recount(trace)
