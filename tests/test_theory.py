"""What theory says beside a run, in a market whose kit says nothing better."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from arena.markets import catalogue
from arena.theory import Panel, answer, beside
from tests.third_market import kit
from tests.third_market.market import Market

catalogue.add("toy", "tests.third_market")
MEASURED = [
    {"iteration": 1, "nashconv": 0.5, "seats": [{"kind": "lower bound"}]},
    {"iteration": 9, "nashconv": 0.25, "seats": [{"kind": "exact"}],
     "search": {"nashconv": 0.2, "low": 0.1, "high": 0.3}},
]  # fmt: skip


def said(market: Any, information: str) -> Any:
    """An answerer that knows one kind of information only."""
    if information == "open_loop":
        return "the toy has no open loop"
    panel = Panel("Posting", "step", "share", [0.0, 1.0], {"theory": [1.0, 0.5]})
    return SimpleNamespace(headline=lambda: "always post", panels=lambda: [panel], tables=list)


def test_a_kit_without_answers_leaves_no_file() -> None:
    assert beside(Market(), {}, MEASURED, 0) is None
    assert answer(Market()) == "theory has no answer for a market of model 'toy'"


def test_an_answer_stands_beside_the_exact_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toy_theory", SimpleNamespace(answer=said))
    monkeypatch.setattr(kit, "ANSWERERS", ("toy_theory",), raising=False)
    told = beside(Market(), {}, MEASURED, 0)
    assert told is not None
    assert told["sentence"] == "always post."  # of the first information that has an answer
    assert told["gap"] == [{"iteration": 9, "exact": 0.25, "learned": 0.2, "learned_low": 0.1, "learned_high": 0.3}]
    (panel,) = told["panels"]
    assert panel["title"] == "Posting"
    assert told["tables"] == []
