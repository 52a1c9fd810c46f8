"""The shipped scenarios of the book: each trains, and scripted makers earn in them what they should."""

from typing import Any

import numpy as np
import pytest

from agents.book_makers import Probabilistic, TwoSided
from agents.learned import player
from arena.game import Game
from arena.gaps.profile import naive_acts
from arena.markets.book.market import Market
from arena.rollout import play, seeds_of
from arena.scenario import load, packaged
from arena.training.responder import train_responder

SHIPPED = [name for name in packaged() if name.startswith("book_")]
SHORT = ["market.clock.horizon=3", "market.clock.steps=30", "market.warm_up=2"]


def test_the_scenarios_are_there() -> None:
    assert {name.removeprefix("book_") for name in SHIPPED} == {
        "aapl", "maker", "maker_power_law", "maker_small_eta", "market_orders_only", "poisson", "small", "two_makers",
        "two_makers_one_trader",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_every_seat_trains_two_iterations_and_plays_what_is_allowed(name: str) -> None:
    scenario = load(name, [*SHORT, "training.hidden=[8]", "training.minibatch=256", "training.epochs=1"])
    market = scenario.market
    for role in market.roles:
        acts, seat = dict(naive_acts(market).acts), role.agents[0]
        weights = train_responder(market, seat, acts, scenario.training, iterations=2, games=16, seed=1)
        assert all(np.isfinite(value).all() for value in weights.values())
        played = play(Game(market, 16), {**acts, seat: player(weights)}, seeds_of(2, 16), trace=True)
        assert played.last("clipped_action").sum() == 0
        assert played.actions is not None
        assert len(np.unique(played.actions[role.name][:, :, 0])) > 1


@pytest.mark.parametrize(
    ("recipe", "preset", "known", "their_games"),
    [(TwoSided(cap=1), "poisson", 493.0, 6000), (Probabilistic(), "hawkes_exp", 11.6, 1024)],
    ids=["two_sided", "probabilistic"],
)
def test_scripted_makers_earn_what_an_independent_implementation_measured(
    recipe: Any, preset: str, known: float, their_games: int
) -> None:
    """Annualised Sharpe ratio of whole games at one basis point, within 4 joint standard errors (error rate 6e-5)."""
    games, annual = 96, np.sqrt(252 * 6.5 * 3600 / 300)
    market = Market.model_validate({"flow": {"preset": preset}, "makers": {"actions": "all", "cap": None}})
    played = play(Game(market, games), {"mm_0": recipe.sit(market, "mm_0")}, seeds_of(0, games))
    pnl = sum(played.last(f"maker_{name}") for name in ("captured", "crossed", "mark")) - played.last("maker_fee")
    ratio = annual * pnl.mean() / pnl.std(ddof=1)
    error = np.sqrt((annual**2 + ratio**2 / 2) * (1 / games + 1 / their_games))
    assert abs(ratio - known) < 4 * error, (ratio, known, error)
