"""The optimal band of one contract: known values, and no other band earns more on the same grid."""

import numpy as np
import pytest
from scipy.special import ndtr

from agents.hedgers import DeltaHedge, WhalleyWilmott
from arena.markets.hedging.gaps.table import gain_on
from arena.markets.hedging.problems.contract import optimum, problem
from arena.scenario import load
from arena.solvers.hedging import _cubic, _transition, edges_of, evaluate


def test_the_optimum_of_a_call_at_ten_basis_points():
    market = load("hedging_cost").market
    bands = optimum(market)
    assert bands.value == pytest.approx(-0.3761, abs=4e-4)
    assert evaluate(problem(market), edges_of(bands), bands.grid) == pytest.approx(bands.value, abs=5e-4)
    assert (bands.high >= bands.low).all()


def test_known_hedgers_lose_what_was_measured_in_games():
    # -0.4540 and -0.3785 played, of -0.3762
    market = load("hedging_cost").market
    gains = [gain_on(market, recipe.sit(market, "hedger_0")) for recipe in (DeltaHedge(), WhalleyWilmott(multiplier=8))]
    assert gains[0] == pytest.approx(0.0779, abs=2.5e-3)
    assert gains[1] == pytest.approx(0.0027, abs=1.5e-3)


def test_the_expectation_of_what_is_linear_between_nodes_is_exact():
    x = np.linspace(-1.0, 1.0, 81)
    moves = _transition(x, 0.03, 0.1)
    np.testing.assert_allclose(moves.sum(1), 1.0, atol=1e-12)
    np.testing.assert_allclose((moves @ x)[30:50], x[30:50] + 0.03, atol=1e-12)
    mean = x[39] + 0.03  # E|N(mean, 0.1)|, the kink at a node
    folded = 0.1 * np.sqrt(2 / np.pi) * np.exp(-50 * mean**2) + mean * (1 - 2 * ndtr(-10 * mean))
    assert (moves @ np.abs(x))[39] == pytest.approx(folded, abs=1e-12)
    assert (moves @ x)[0] == pytest.approx(-1.0 + 0.1 * np.exp(-0.045) / np.sqrt(2 * np.pi) + 0.03 * ndtr(0.3))  # flat


def test_a_cubic_goes_through_its_nodes_and_through_cubics():
    nodes, at = np.linspace(0.0, 2.0, 9), np.array([[-0.5, 0.1], [1.13, 2.5]])
    share = _cubic(nodes, at)
    np.testing.assert_allclose(share @ nodes**3, np.clip(at, 0.0, 2.0) ** 3, atol=1e-12)


def test_without_costs_black_scholes_is_the_optimum():
    market = load("hedging_frictionless").market
    assert abs(gain_on(market, DeltaHedge().sit(market, "hedger_0"))) < 1e-4
