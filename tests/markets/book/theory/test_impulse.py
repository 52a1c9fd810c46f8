"""The optimum of a small book as arena.solve tells it."""

import json

import pytest

from arena.markets.book.market import Market
from arena.markets.book.problems.impulse_problem import optimum
from arena.markets.book.theory.flow import Flow
from arena.markets.book.theory.impulse import answer
from arena.theory import answer as told
from tests.solvers.impulse.test_value_iteration import PLAIN


def test_a_small_book_is_answered_by_its_optimum() -> None:
    market = Market.model_validate(PLAIN)
    found = told(market)
    shown = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert shown["value"] == optimum(market).value > 0
    assert shown["inventory"] == [-1, 0, 1]
    for i in range(3):  # in every state something is best
        assert sum(share[i] for share in shown["impulses"].values()) == pytest.approx(1.0)
    for ask, bid in (("LO_a_T", "LO_b_T"), ("CO_a_T", "CO_b_T")):  # mirrored positions, mirrored impulses
        ends = [(shown["impulses"][ask][i], shown["impulses"][bid][2 - i]) for i in (0, 2)]
        assert all(one == pytest.approx(other) for one, other in ends)  # flat books have ties, the first side wins
    value, by_spread, by_held = found.tables()
    assert value.rows[0][1] == f"{shown['value']:.5f}"
    assert float(by_spread.rows[1][1]) > float(by_spread.rows[0][1])  # a wide spread is worth more
    assert len(by_held.rows) == 3
    assert len(found.panels()) == 1
    assert "30 decisions" in found.headline()


def test_a_large_book_says_why_and_is_answered_by_its_flow() -> None:
    market = Market.model_validate({"flow": {"preset": "poisson"}})
    assert answer(market, "open_loop") == (
        "market.depth.room: found 512 orders a level; allowed is up to 3: larger books have no table"
    )
    assert isinstance(told(market), Flow)
