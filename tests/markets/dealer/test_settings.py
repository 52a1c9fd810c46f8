"""Settings of the option dealer market: what is refused, with its reason, and that every form plays."""

import numpy as np
import pytest
from pydantic import ValidationError

from arena.markets.dealer import columns

CODES = ("NOTHING", "QUOTES", "INVENTORY", "EVERYTHING", "START", "PRICELESS")  # what a role sees, not a row
SIZES = (
    "PRODUCTS", "MAKERS", "EXECUTORS", "HAS_OPTIONS", "RANDOM_VOLATILITY", "RANDOM_FLOW", "MAKER_OWN", "MAKER_RIVALS",
    "EXECUTOR_OWN", "EXECUTOR_RIVALS",
)  # fmt: skip


def test_constants_of_the_kernels_are_the_fields_of_the_state(tools):
    fields = [field.name for field in tools.build().state]
    constants = {
        name.lower(): value
        for name, value in vars(columns).items()
        if name.isupper() and type(value) is int and name not in CODES and name not in SIZES
    }
    assert {name: fields.index(name) for name in fields} == constants


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"products": []}, "at least 1 item"),
        ({"products": [{"name": "x", "right": "call", "strike": 100}]}, "expiry"),
        ({"products": [{"name": "x", "right": "asset", "strike": 100}]}, "strike"),
        ({"products": [{"name": "x", "right": "call", "strike": 100, "expiry": 1}]}, "after the horizon"),
        ({"products": [{"name": "x", "right": "asset"}] * 2}, "names must differ"),
        ({"products": [{"name": "two words", "right": "asset"}]}, "pattern"),
        ({"underlying": {"volatility": {"model": "constant", "value": -0.1}}}, "greater than or equal to 0"),
        ({"underlying": {"spot": float("inf")}}, "finite"),
        ({"underlying": {"spot": 1e300}}, "less than or equal to 1000000000"),
        ({"makers": {"max_distance": 1e300}}, "less than or equal to 1000000000"),
        ({"mark": {"shock_loading": [[1, 2]]}}, "1 x 1 matrix"),
        ({"flow": {"arrival_rate": [[1, 1], [2, 2]]}}, "arrival_rate"),
        ({"flow": {"arrival_rate": []}}, "arrival_rate"),
        ({"flow": {"arrival_rate": 1e6}}, "orders per step"),
        ({"flow": {"arrival_rate": {"noise_buy": -1}}}, "greater than or equal to 0"),
        ({"flow": {"arrival_rate": {"noise_buy": {"t": [0], "value": [-1]}}}}, "at least 0"),
        ({"flow": {"arrival_rate": {"noise_by": 1}}}, "Extra inputs"),
        ({"flow": {"informed_share": 1.1}}, "less than or equal to 1"),
        ({"flow": {"rule": {"kind": "soft_best", "fill_decay": 10, "sharpness": 5}}}, "sharpness"),
        ({"flow": {"rule": {"kind": "logistic", "sharpness": 1, "offsets": [1]}}}, "offsets"),
        ({"makers": {"count": 0}}, "found 0 and no executors; allowed is at least 1"),
        ({"makers": {"half_spread": [0.4, 0.4]}}, "half_spread"),
        ({"makers": {"min_distance": 1}}, "min_distance"),
        ({"makers": {"initial_inventory": [1, 2, 3]}}, "initial_inventory"),
        ({"makers": {"initial_inventory": 21}}, "inventory_limit"),
        ({"makers": {"initial_inventory": {"mean": 18, "spread": 5}}}, "inventory_limit"),
        ({"makers": {"risk": {"kind": "quadratic", "running_penalty": [1]}}}, "running_penalty"),
        ({"makers": {"observe": {"own": False}}}, "rivals: found 'quotes'"),
        ({"executors": [{"product": "C1", "size": 1, "rate": [0, 1]}]}, "not quoted"),
        ({"executors": [{"product": "C100", "size": 0, "rate": [0, 1]}]}, "greater than 0"),
        ({"executors": [{"product": "C100", "size": 1, "rate": [-1, 1]}]}, "at least 0"),
        ({"executors": [{"product": "C100", "size": 1, "rate": [1, 1]}]}, "low < high"),
        ({"executors": [{"product": "C100", "size": 1, "rate": [0, 6000]}]}, "orders per step"),
        ({"executors": [{"product": "C100", "size": {"mean": 1, "spread": 2}, "rate": [0, 1]}]}, "at least 0"),
        ({"executors": [{"product": "C100", "size": {"mean": [1, 2]}, "rate": [0, 1]}]}, "one for each"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_with_a_reason(tools, parts, sentence):
    with pytest.raises(ValidationError, match=sentence):
        tools.build(**parts)


def test_relative_is_refused_where_it_is_ill_posed(tools):
    rule = {"kind": "relative", "fill_decay": 1}
    with pytest.raises(ValidationError, match="ill-posed"):
        tools.build(flow={"rule": rule}, makers={"count": 2, "observe": {"rivals": "inventory"}})
    tools.build(flow={"rule": rule}, makers={"count": 2, "observe": {"rivals": "none"}})
    tools.build(flow={"rule": rule}, makers={"count": 3, "observe": {"rivals": "inventory"}})


def test_all_mistakes_come_at_once(tools):
    with pytest.raises(ValidationError) as caught:
        tools.build(
            products=[{**tools.call, "expiry": 0.5}],
            executors=[{"product": "nope", "size": 1, "rate": [0, 1]}],
            makers={"initial_inventory": 50},
        )
    text = str(caught.value)
    assert all(word in text for word in ("after the horizon", "nope", "inventory_limit"))


@pytest.mark.parametrize(
    "parts",
    [
        {"flow": {"arrival_rate": {"noise_sell": 2.0, "noise_buy": {"t": [0, 1], "value": [1, 2]}}}},
        {"mark": {"shock_loading": [[0.1]]}},
        {"underlying": {"volatility": {"model": "constant", "value": 0}}},
        {"makers": {"inventory_limit": None, "initial_inventory": {"mean": [1, 2], "spread": 1}}},
        {"executors": [{"product": "C100", "size": {"mean": [4, 5], "spread": 1}, "rate": [0, 9]}] * 2},
    ],
)  # fmt: skip
def test_every_form_of_settings_plays(tools, parts):
    market = tools.build(**parts)
    assert market == tools.build(**parts)
    assert hash(market) == hash(tools.build(**parts))
    assert np.isfinite(tools.play(market, 3).state).all()
