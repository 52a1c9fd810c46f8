"""What a scenario may say of a book: mistakes end in sentences, and numbers are the preset that they spell out."""

from typing import Any

import numpy as np
import pytest

from tests.markets.book.test_market import build


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"flow": {"base": [1] * 6, "same": [[1.1 if i == j else 0 for j in range(6)] for i in range(6)]}},
            "spectral radius 1.1",
        ),
        ({"flow": {"base": [1, 1, 1, 1, 1, -1]}}, "greater than or equal to 0"),
        ({"flow": {"preset": "hawks"}}, "hawkes_exp"),
        ({"flow": {"base": [1] * 5}}, "found 5 entries; allowed are 6 rates"),
        ({"flow": {"preset": "poisson", "base": [1] * 6}}, "allowed is a preset, or numbers"),
        ({"flow": {"base": [1] * 6, "kernel": {"kind": "power_law", "rates": 4}}}, "miss the power law by"),
        ({"depth": {"tick": 0.0}}, "greater than 0"),
        ({"depth": {"ask": 9_999}}, "depth.ask: found 9999 with a bid of 9999"),
        ({"depth": {"room": 5}}, "depth.room: found 5 with queues of 10"),
        ({"makers": {"cap": 0}}, "greater than or equal to 1"),
        ({"makers": {"count": 0}}, "allowed is at least one seat"),
        (
            {"clock": {"horizon": 300.05, "steps": 3000}},
            "a decision every 0.100017 seconds; allowed is a whole number of",
        ),
    ],
)
def test_what_is_impossible_is_told(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(**change)


def test_a_flow_in_numbers_is_the_preset_that_it_spells_out() -> None:
    from arena.markets.book.presets import PRESETS

    named = build(flow={"preset": "hawkes_exp"}).flow
    spelled = build(flow=PRESETS["hawkes_exp"]).flow
    whole = build(flow={"base": spelled.rates.tolist(), "matrix": spelled.excitation.tolist()}).flow
    for one in (spelled, whole):
        np.testing.assert_array_equal(one.rates, named.rates)
        np.testing.assert_array_equal(one.components().jump, named.components().jump)
    assert build(flow={"preset": "aapl_src"}).flow.inside.power == 0.7479
