"""Coefficients of a scenario that change with time, and that the market plays their means over each step."""

import numpy as np
import pytest

from arena.markets.parts.over_time import as_coefficient, means, misfit, steady
from arena.markets.parts.underlying import TimeTable

ASSET = {
    "products": [{"name": "stock", "right": "asset"}],
    "underlying": {"volatility": {"model": "constant", "value": 0}},
}
SELLER = {"product": "stock", "side": "sell", "size": 4, "rate": [0, 8], "stop_at_target": False}


def test_means_are_those_of_the_function():
    table = TimeTable(t=(0.0, 0.5, 1.0), value=(0.0, 2.0, 2.0))
    np.testing.assert_allclose(means(table, 1.0, 2), [1.0, 2.0], rtol=1e-15)
    np.testing.assert_allclose(means("3*t**2 + exp(-t)", 2.0, 4).sum() / 2, 8.0 + 1 - np.exp(-2), rtol=1e-13)
    np.testing.assert_array_equal(means(0.7, 1.0, 3), [0.7, 0.7, 0.7])
    assert steady("2*3") == steady(6.0) == 6.0
    assert steady(table) is None
    np.testing.assert_allclose(as_coefficient("min(1, 2*t, 3)")(np.array([0.25, 0.75])), [0.5, 1.0])
    np.testing.assert_allclose(as_coefficient("max(t, 0.5)")(np.array([0.25, 0.75])), [0.5, 0.75])


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("t - 0.5", "found -0.5 at t = 0; allowed is at least 0"),
        ("1/t", "its value at t = 0 is not finite"),
        ("1 + t", None),
        (TimeTable(t=(0.0, 1.0), value=(1.0, -1.0)), "found -1 at t = 1; allowed is at least 0"),
    ],
)
def test_a_coefficient_below_zero_or_without_a_value_is_refused(value, wrong):
    assert misfit(value, 1.0) == wrong


def test_impact_penalties_and_noise_of_the_step_are_played(tools):
    steps, impact, cost, penalty = 8, "0.1 + 0.2*t", "0.05*exp(-t)", "0.3 + t**2"
    market = tools.build(
        **ASSET,
        clock={"steps": steps},
        mark={"impact": impact},
        flow={"orders": "fluid", "arrival_rate": {"noise_buy": "5*sin(3*t)", "noise_sell": "2*t"}},
        makers={"count": 0},
        executors=[{**SELLER, "temporary_impact": cost, "running_penalty": penalty}],
    )

    def act(step, game):
        game.action["executor"][...] = 0.25  # 5 lots per day

    trace = tools.play(market, 2, act)
    h = 1 / steps
    alpha, beta, phi = (means(text, 1.0, steps) for text in (impact, cost, penalty))
    net = means("5*sin(3*t)", 1.0, steps) - means("2*t", 1.0, steps)
    np.testing.assert_allclose(np.diff(trace["mid"][:, 0, 0]), alpha * h * (net - 5.0), rtol=1e-10)
    np.testing.assert_allclose(np.diff(trace["executor_impact_cost"][:, 0, 0]), beta * h * 25.0, rtol=1e-12)
    left = trace["remaining"][:, 0, 0]
    square = (left[:-1] ** 2 + left[:-1] * left[1:] + left[1:] ** 2) / 3
    dearer = left[1:] * np.diff(trace["mid"][:, 0, 0])
    np.testing.assert_allclose(np.diff(trace["executor_penalty"][:, 0, 0]), phi * h * square + dearer, rtol=1e-10)


def test_a_makers_penalty_over_time_is_played(tools):
    market = tools.build(
        **ASSET,
        clock={"steps": 4},
        flow={"orders": "fluid", "rule": {"kind": "logistic", "sharpness": 1}, "arrival_rate": 0},
        makers={
            "count": 2, "initial_inventory": [3, 1], "hedging": {"kind": "none"},
            "risk": {"kind": "quadratic", "running_penalty": ["4*t", {"t": [0, 1], "value": [1, 0]}]},
        },
    )  # fmt: skip
    due = np.diff(tools.play(market, 2)["running_penalty"][:, 0], axis=0)
    np.testing.assert_allclose(due[:, 0], 9 * 4 * np.array([0.125, 0.375, 0.625, 0.875]) / 4, rtol=1e-12)
    np.testing.assert_allclose(due[:, 1], (1 - np.array([0.125, 0.375, 0.625, 0.875])) / 4, rtol=1e-12)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"mark": {"impact": "0.1 - t"}}, r"mark\.impact: found -0\.9 at t = 1; allowed is at least 0"),
        ({"mark": {"impact": "open('x')"}}, r"found \"open\('x'\)\" in the expression .*; allowed are numbers"),
        ({"executors": [{**SELLER, "running_penalty": "__import__('os')"}]}, "in the expression"),
        ({"flow": {"orders": "fluid", "arrival_rate": {"noise_buy": "log(t)"}}},
         r"flow\.arrival_rate\.noise_buy: its value at t = 0 is not finite"),
    ],
)  # fmt: skip
def test_what_no_expression_may_be(tools, parts, sentence):
    plain = {"makers": {"count": 0}, "flow": {"orders": "fluid"}, "executors": [SELLER], **ASSET}
    with pytest.raises(ValueError, match=sentence):
        tools.build(**{**plain, **parts})
