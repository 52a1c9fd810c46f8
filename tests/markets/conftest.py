"""How the tests of the dealer market build one, play it and read what happened."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.rollout import seeds_of

CALL = {"name": "C100", "right": "call", "strike": 100, "expiry": 63}


def build(**parts: Any) -> DealerMarket:
    """A market of one call and two makers, 10 steps; `parts` replace whole sections."""
    plain: dict[str, Any] = {"clock": {"steps": 10}, "products": [CALL]}
    return DealerMarket.model_validate({**plain, **parts})


class Trace:
    """What a played game looked like: trace["mid"] is [T+1, B, n], by the names of the state layout."""

    def __init__(self, market: DealerMarket, state: np.ndarray, action: dict, reward: dict):
        self.market, self.state, self.action, self.reward = market, state, action, reward

    def __getitem__(self, name: str) -> np.ndarray:
        layout = self.market.state
        rows = self.state[:, layout.slice(name)]
        steps, _, games = rows.shape
        return np.moveaxis(rows.reshape(steps, *layout.field(name).shape, games), -1, 1)


def play_actions(
    market: DealerMarket,
    games: int,
    act: Callable[[int, Game], None] | None = None,
    seed: int = 1,
    seeds: np.ndarray | None = None,
) -> Trace:
    """Plays whole games; `act(step, game)` writes into game.action (nothing written: the middle of every range)."""
    game = Game(market, games)
    game.reset(seeds_of(seed, games) if seeds is None else seeds)
    state = [game.state.copy()]
    action: dict[str, list] = {name: [] for name in game.roles}
    reward: dict[str, list] = {name: [] for name in game.roles}
    for view in game.action.values():
        view[...] = 0.0
    for t in range(game.steps):
        if act is not None:
            act(t, game)
        for name, view in game.action.items():
            action[name].append(view.copy())
        for name, view in game.advance().items():
            reward[name].append(view.copy())
        state.append(game.state.copy())
    return Trace(
        market,
        np.array(state),
        {name: np.array(rows) for name, rows in action.items()},
        {name: np.array(rows) for name, rows in reward.items()},
    )


def constant(market: DealerMarket, half: Any = 0.1, skew: Any = 0.0, rate: float = 0.0) -> Callable[[int, Game], None]:
    """An act: half-spread and skew, one number or one per maker [M], and a rate for every executor."""
    layout = market.roles[0].action
    physical = np.zeros((market.makers.count, layout.size))
    physical[:, 0 : 2 * market.n : 2] = np.broadcast_to(half, market.makers.count)[:, None]
    physical[:, 1 : 2 * market.n : 2] = np.broadcast_to(skew, market.makers.count)[:, None]
    makers = layout.to_unit(physical)

    def act(step: int, game: Game) -> None:
        game.action["maker"][...] = makers
        if "executor" in game.action:
            game.action["executor"][...] = market.roles[1].action.to_unit(np.array([rate]))

    return act


def z_score(sample: np.ndarray, expected: float) -> float:
    """Distance of a sample's mean from its expected value in standard errors."""
    return float((sample.mean() - expected) / (sample.std(ddof=1) / np.sqrt(sample.size)))


class Tools:
    """The functions above, for tests."""

    build = staticmethod(build)
    play = staticmethod(play_actions)
    constant = staticmethod(constant)
    z_score = staticmethod(z_score)
    call = CALL
    z = 4.42  # two-sided error rate 1e-5 per test; seeds are fixed, so a test that passed keeps passing


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
