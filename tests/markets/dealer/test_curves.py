"""Quote curves against closed forms: flat for a constant spread, the inventory slope of Avellaneda and Stoikov."""

import numpy as np
import pytest

from agents.executors import TWAP
from agents.makers import AvellanedaStoikov, ConstantSpread
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.measures.curves import quote_curves
from arena.pages import charts
from arena.pages.page import panels
from arena.rollout import Rollout, play, seeds_of

MARKET = {
    "clock": {"steps": 20},
    "products": [
        {"name": "C100", "right": "call", "strike": 100, "expiry": 63},
        {"name": "P95", "right": "put", "strike": 95, "expiry": 63},
    ],
    "flow": {"rule": {"kind": "soft_best", "fill_decay": 10, "sharpness": 50}},
    "executors": [{"product": "C100", "size": 30, "rate": [0, 120], "temporary_impact": 0.002}],
}


@pytest.fixture(scope="module")
def played() -> tuple[DealerMarket, Rollout]:
    market = DealerMarket.model_validate(MARKET)
    maker, trader = ConstantSpread(half_spread=0.05), TWAP()
    seats = {"mm_0": maker, "mm_1": maker, "trader_0": trader}
    acts = {seat: recipe.sit(market, seat) for seat, recipe in seats.items()}
    return market, play(Game(market, 16), acts, seeds_of(1, 16), trace=True)


def test_a_constant_spread_is_flat(played: tuple[DealerMarket, Rollout]) -> None:
    market, games = played
    act = ConstantSpread(half_spread=0.05, skew=0.01).sit(market, "mm_0")
    against_inventory, against_time = quote_curves(market, games, {"constant": act})["panels"]
    ask, bid = against_inventory["series"]
    np.testing.assert_allclose(ask["y"], 0.06, atol=1e-12)
    np.testing.assert_allclose(bid["y"], 0.04, atol=1e-12)
    np.testing.assert_allclose(against_time["series"][0]["y"], 0.05, atol=1e-12)
    assert "low" not in ask  # nothing varies, so no band


def test_avellaneda_stoikov_has_its_slope_and_narrows_with_time(played: tuple[DealerMarket, Rollout]) -> None:
    market, games = played
    aversion, rate, decay = 0.5, 0.02, 10.0
    act = AvellanedaStoikov(risk_aversion=aversion, variance_rate=rate).sit(market, "mm_0")
    against_inventory, against_time = quote_curves(market, games, {"as": act}, "P95")["panels"]
    ask, bid = (np.array(curve["y"]) for curve in against_inventory["series"])
    q, tau = np.array(against_inventory["x"]), 0.5
    # Avellaneda & Stoikov 2008: half-spread ra s2 tau/2 + ln(1 + ra/k)/ra, shifted by q ra s2 tau
    half = aversion * rate * tau / 2 + np.log1p(aversion / decay) / aversion
    shift = q * aversion * rate * tau
    np.testing.assert_allclose(ask, np.clip(half - shift, 0.0, 0.8), atol=1e-6)
    np.testing.assert_allclose(bid, np.clip(half + shift, 0.0, 0.8), atol=1e-6)
    widths = np.array(against_time["series"][0]["y"])
    left = market.clock.horizon - np.array(against_time["x"])
    expected = aversion * rate * left / 2 + np.log1p(aversion / decay) / aversion
    np.testing.assert_allclose(widths, expected, atol=1e-6)


def test_the_report_draws_them_and_mistakes_are_told(played: tuple[DealerMarket, Rollout]) -> None:
    market, games = played
    curves = quote_curves(market, games, {"constant": ConstantSpread(half_spread=0.05).sit(market, "mm_0")})
    figures = panels(curves)
    assert len(figures) == 2
    assert all("no finite values" not in figure.svg and charts.INK in figure.svg for figure in figures)
    with pytest.raises(KeyError, match="no product 'C1'; there are C100, P95"):
        quote_curves(market, games, {}, "C1")
    with pytest.raises(ValueError, match="trace"):
        quote_curves(market, Rollout(games.agents, games.rewards, games.layout, games.final), {})
