"""Learned play beside theory: the equilibrium itself is at no distance, and every file the report needs is there."""

import json

import numpy as np
import pytest

from agents.nash import NashMaker, NashTrader
from arena.gaps.profile import naive_acts
from arena.markets.dealer.theory.beside import against_theory, nominal_market, played
from arena.scenario import dump, load, loads
from arena.theory import gap_lines

TIME_ONLY = load("logistic_duel_time_only")


def test_the_equilibrium_is_recognised_and_earns_what_theory_says() -> None:
    market = TIME_ONLY.market
    acts = {seat: NashMaker().sit(market, seat) for seat in market.maker_names}
    acts |= {seat: NashTrader().sit(market, seat) for seat in market.executor_names}
    found = against_theory(TIME_ONLY.market, acts, [], TIME_ONLY.evaluation.seed)
    assert "nearest to the open-loop equilibrium" in found["sentence"]
    for row in found["tables"][0]["rows"]:
        assert float(row[1]) == pytest.approx(float(row[2]), abs=2e-3)  # 20 steps against continuous time
    titles = [panel["title"] for panel in found["panels"]]
    assert titles == ["Asks", "Bids", "Makers' inventories", "Rates", "Traders' inventories"]
    asks = {series["name"]: np.array(series["y"]) for series in found["panels"][0]["series"]}
    assert np.abs(asks["mm_0, learned"] - asks["mm_0, open-loop equilibrium"]).max() < 2e-3
    assert np.abs(asks["mm_0, learned"] - asks["mm_0, feedback equilibrium"]).max() > 0.1
    assert json.loads(json.dumps(found)) == found


def test_draws_are_replaced_by_their_means() -> None:
    market = load("logistic_duel").market
    fixed = nominal_market(market)
    assert fixed.makers.initial_inventory == (4.0, 1.0)
    assert fixed.executors[0].size == 10.0
    naive = played(market, naive_acts(market).acts, seed=1)
    assert [path[0] for path in naive.inventory.values()] == [4.0, 1.0, -10.0]
    np.testing.assert_allclose(naive.controls["trader_0"]["rate"], 10.0, atol=1e-5)
    np.testing.assert_allclose(naive.controls["mm_1"]["bid"], 2.0, atol=1e-6)


def test_without_a_solved_game_there_is_nothing_to_compare() -> None:
    tree = dump(load("logistic_duel")).replace("side: buy", "side: coin")
    assert against_theory(loads(tree).market, {}, [], seed=1) is None


def test_the_gap_of_the_panel_is_the_exact_one_with_the_search_beside_it() -> None:
    exact, bound = {"seat": "mm_0", "kind": "exact"}, {"seat": "mm_0", "kind": "lower bound"}
    lines = [
        {"iteration": 1, "nashconv": 2.0, "seats": [exact]},
        {"iteration": 2, "nashconv": 1.0, "seats": [exact], "search": {"nashconv": 0.9, "low": 0.8, "high": 1.0}},
        {"iteration": 3, "nashconv": 0.5, "seats": [bound]},
    ]
    assert gap_lines(lines) == [
        {"iteration": 1, "exact": 2.0},
        {"iteration": 2, "exact": 1.0, "learned": 0.9, "learned_low": 0.8, "learned_high": 1.0},
    ]
