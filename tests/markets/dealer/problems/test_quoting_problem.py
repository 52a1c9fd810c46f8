"""A dealer market read as quoting theory's problem: constants by hand and from option_making section 0."""

import numpy as np
import pytest

from arena.markets.dealer.problems.quoting_problem import duel_problem, maker_problem, second_moment
from arena.scenario import load


def market(name: str, *changes: str):
    return load(name, [f"market.{change}" for change in changes]).market


def test_the_default_configuration() -> None:
    problem = maker_problem(load("fang_xu_single").market, "mm_0")
    assert problem.terminal_cost == pytest.approx(0.00816695, abs=1e-8)
    assert (problem.arrival_rate, problem.fill_decay, problem.horizon, problem.inventory_limit) == (100, 10, 1, 20)
    assert (problem.min_distance, problem.max_distance, problem.running_penalty) == (0.0, 0.8, 0.0)
    game = duel_problem(load("option_duel").market, "mm_1")
    assert game.terminal_cost == problem.terminal_cost
    assert (game.sharpness, game.inventory_limit) == (50, 12)


def test_second_moments() -> None:
    single = load("fang_xu_single").market
    assert second_moment(single, 0) == pytest.approx(16.333901, abs=1e-6)
    shocked = market("fang_xu_single", "mark.shock_loading=0.5", "clock.horizon=2")
    still = market("fang_xu_single", "clock.horizon=2")
    assert second_moment(shocked, 0) == pytest.approx(second_moment(still, 0) + 0.25 * 2)
    asset = market("avellaneda_stoikov", "underlying.volatility.value=0.2")
    assert second_moment(asset, 0) == pytest.approx(1e4 * np.exp(0.04 / 252) + 4)
    dearer = market("fang_xu_single", "products.0.implied_volatility=0.25")
    assert second_moment(dearer, 0) > 1.2 * second_moment(single, 0)
    same = market("fang_xu_single", "products.0.implied_volatility=0.2")
    assert second_moment(same, 0) == pytest.approx(second_moment(single, 0), rel=1e-12)


def test_penalties_become_the_solvers_constants() -> None:
    """phi/2 q^2 and c q^2: the market's quadratic risk has no half, running risk is (ra/2) |loading' q|^2."""
    risk = "makers.risk={kind: quadratic, running_penalty: [0.1, 0.3], terminal_penalty: [0.01, 0.02]}"
    duel = market("option_duel", risk)
    found = [duel_problem(duel, seat) for seat in ("mm_0", "mm_1")]
    assert [(one.terminal_cost, one.running_penalty) for one in found] == [(0.01, 0.2), (0.02, 0.6)]
    assert maker_problem(load("avellaneda_stoikov").market, "mm_0").running_penalty == pytest.approx(0.1 * 2**2)
    portfolio = market("fang_xu_single", "makers.risk.kind=portfolio")
    assert maker_problem(portfolio, "mm_0") == maker_problem(load("fang_xu_single").market, "mm_0")


def test_flow_is_shared_only_where_makers_share_it() -> None:
    assert maker_problem(load("option_duel").market, "mm_0").arrival_rate == 50
    apart = market("option_duel", "flow.rule={kind: exponential, fill_decay: 10}", "flow.arrival_rate=[80, 120]")
    assert maker_problem(apart, "mm_0").arrival_rate == (80, 120)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("fang_xu_single", "flow.rule={kind: logistic, sharpness: 5}", "found logistic; allowed are exponential"),
        ("fang_xu_single", "flow.arrival_rate={noise_buy: {t: [0, 1], value: [1, 2]}}", "changes with time"),
        ("fang_xu_single", "underlying.volatility={model: log_ar1, mean: 0.2}", "found log_ar1"),
        ("fang_xu_pair", "makers.risk={kind: vega}", "found vega, which couples products"),
        ("fang_xu_pair", "makers.risk.kind=portfolio", "found portfolio with 2 products"),
        ("fang_xu_single", "makers.inventory_limit=null", "inventory_limit: found None; allowed is a whole number"),
        ("fang_xu_single", "makers.hedging={kind: none}", "found none; allowed is perfect"),
        ("fang_xu_single", "makers.variation_aversion=0.5", "variation_aversion: found 0.5; allowed is 0"),
    ],
)
def test_what_theory_does_not_know_is_a_sentence(name: str, change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        maker_problem(market(name, change), "mm_0")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [("makers.count=3", "count: found 3"), ("flow.rule={kind: logit, fill_decay: 10}", "allowed is soft_best")],
)
def test_what_is_no_duel(change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        duel_problem(market("option_duel", change), "mm_0")
