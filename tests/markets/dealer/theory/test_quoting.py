"""What theory says about the shipped quoting scenarios: numbers of option_making sections 2, 6, 8 and 9."""

import json
import re

import numpy as np
import pytest

from agents.makers import ConstantSpread, HJBMaker, MPEMaker
from arena import theory
from arena.markets.dealer.theory.beside import against_theory
from arena.markets.dealer.theory.quoting import QuotingAnswer, quotes_beside
from arena.markets.dealer.theory.quoting import answer as optimal_quotes
from arena.scenario import load


def test_one_maker() -> None:
    answer = optimal_quotes(load("fang_xu_single").market)
    assert isinstance(answer, QuotingAnswer)
    (one,) = answer.products
    value = {name: number for name, number in one.numbers.items() if name.startswith("value")}
    # option_making, sections 2 and 8 (3A); the constant's 6.7799 is in continuous time, first order in dt away
    assert list(value.values()) == [pytest.approx(7.229403599, rel=1e-6), pytest.approx(7.22658, abs=5e-6),
                                    pytest.approx(6.7799, abs=0.12 / 100)]  # fmt: skip
    assert one.numbers["expected spread earned"] - one.numbers["expected terminal penalty"] == pytest.approx(
        7.2294, abs=1e-4
    )
    start, late = one.distance[0, [15, 20, 25], 1], one.distance[60, [15, 20, 25], 1]  # section 6, figures 2-3 (ask)
    np.testing.assert_allclose(start, [0.10694, 0.10063, 0.09432], atol=2e-5)  # there with a limit of 60 lots
    np.testing.assert_allclose(late, [0.11560, 0.10142, 0.08722], atol=1e-4)
    np.testing.assert_allclose(one.std[[20, 40, 55, 80, 100]], [3.45, 4.30, 4.45, 3.91, 2.38], atol=0.01)  # figure 6
    assert np.abs(one.mean).max() < 1e-12


def test_two_options_are_two_problems() -> None:
    answer = optimal_quotes(load("fang_xu_pair").market)
    first, second = answer.products
    (single,) = optimal_quotes(load("fang_xu_single").market).products
    np.testing.assert_array_equal(first.distance, single.distance)
    late = second.distance[60, second.inventory.size // 2]
    np.testing.assert_allclose(late, 0.100969, atol=5e-6)  # section 6, figures 7-8
    spread = [one.distance[0, 20].sum() for one in (first, second)]
    assert spread[0] > spread[1] > 0.2  # equal flow: the dearer option is quoted wider (section 5, erratum 30)
    assert "All products" in answer.tables()[-1].title


def test_the_duel() -> None:
    (one,) = optimal_quotes(load("option_duel").market).products
    numbers = list(one.numbers.values())
    assert numbers[0] == pytest.approx(2.359987, rel=1e-6)
    assert numbers[1] == pytest.approx(2.35481, abs=1e-5)
    assert numbers[2] == pytest.approx(0.00016, abs=1e-5)
    assert numbers[7] == pytest.approx(1 / 30)
    np.testing.assert_allclose(one.distance[0, [12, 15], 1], [0.03404, 0.03171], atol=5e-6)  # section 9, ask


def test_an_answer_can_be_printed_drawn_and_stored() -> None:
    answer = theory.answer(load("fang_xu_single").market)
    assert isinstance(answer, QuotingAnswer)
    for table in answer.tables():
        assert all(len(row) == len(table.head) for row in table.rows)
    bids, asks = answer.tables()[1:]
    assert (asks.rows[0][:2], bids.rows[-1][:2]) == (("-20", "–"), ("20", "–"))  # a fill would break the limit
    assert (bids.rows[4][1], asks.rows[4][1]) == ("0.10063", "0.10063")
    for panel in answer.panels():
        assert all(len(line) == len(panel.x) and np.isfinite(line).all() for line in panel.lines.values())
    stored = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert stored["products"][0]["distance"][0][0][1] is None


@pytest.mark.parametrize("name", ["two_mm_one_trader", "toxic_flow"])
def test_no_answer_is_a_sentence(name: str) -> None:
    assert optimal_quotes(load(name).market).startswith(
        "no optimal quotes are known for this market: market.products: found 4"
    )


@pytest.mark.parametrize(("name", "recipe"), [("fang_xu_pair", HJBMaker()), ("option_duel", MPEMaker())])
def test_learned_quotes_are_laid_over_the_exact_ones(name: str, recipe: object) -> None:
    """A player of the theory lies on its curves; a constant distance does not."""
    scenario = load(name)
    told = optimal_quotes(scenario.market)
    acts = {seat: recipe.sit(scenario.market, seat) for seat in scenario.market.maker_names}  # type: ignore[attr-defined]
    beside = quotes_beside(scenario.market, acts, told)
    assert float(re.search(r"average ([\d.e+-]+) %", beside["sentence"])[1]) < 1e-3  # float32 actions
    assert len(beside["panels"]) == 4 * len(told.products)
    for panel in beside["panels"]:
        curves = {one["name"]: np.array(one["y"]) for one in panel["series"]}
        assert set(curves) == {"bid, learned", "ask, learned", "bid, theory", "ask, theory"}
        for side in ("bid", "ask"):
            assert len(panel["x"]) == len(curves[f"{side}, theory"])
            np.testing.assert_allclose(curves[f"{side}, learned"], curves[f"{side}, theory"], atol=1e-6)
    flat = {seat: ConstantSpread().sit(scenario.market, seat) for seat in acts}
    away = re.search(r"average ([\d.]+) %", quotes_beside(scenario.market, flat, told)["sentence"])[1]
    assert float(away) > 5.0


def test_the_run_folder_gets_them_where_makers_see_time_and_inventories_alone() -> None:
    scenario = load("fang_xu_single")
    acts = {"mm_0": HJBMaker().sit(scenario.market, "mm_0")}
    stored = against_theory(scenario.market, acts, [], seed=1)
    assert "mm_0's quotes are on average" in stored["sentence"]
    wide = load("fang_xu_single", ["market.makers.observe={rivals: none}"])
    seen = against_theory(wide.market, {"mm_0": HJBMaker().sit(wide.market, "mm_0")}, [], seed=1)
    assert "learned" not in json.dumps(seen["panels"])
