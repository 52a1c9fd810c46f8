"""The optimal band of one contract: known values, and no other band earns more on the same grid."""

import pytest

from agents.hedgers import DeltaHedge, WhalleyWilmott
from arena.markets.hedging.gaps.table import gain_on
from arena.markets.hedging.problems.contract import optimum, problem
from arena.scenario import load
from arena.solvers.hedging import edges_of, evaluate


def test_the_optimum_of_a_call_at_ten_basis_points():
    market = load("hedging_cost").market
    bands = optimum(market)
    assert bands.value == pytest.approx(-0.3761, abs=4e-4)
    assert evaluate(problem(market), edges_of(bands), bands.grid) == pytest.approx(bands.value, abs=5e-4)
    assert (bands.high >= bands.low).all()


def test_known_hedgers_lose_what_was_measured_in_games():
    # -0.4540 and -0.3785 played, of -0.3761; on this grid Black-Scholes gains 0.0726 instead of 0.0779
    market = load("hedging_cost").market
    gains = [gain_on(market, recipe.sit(market, "hedger_0")) for recipe in (DeltaHedge(), WhalleyWilmott(multiplier=8))]
    assert gains[0] == pytest.approx(0.0779, abs=6e-3)
    assert gains[1] == pytest.approx(0.0027, abs=2e-3)


def test_without_costs_black_scholes_is_the_optimum():
    market = load("hedging_frictionless").market
    assert abs(gain_on(market, DeltaHedge().sit(market, "hedger_0"))) < 1e-4
