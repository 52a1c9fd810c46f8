"""How the tests of the hedging market build one, play it and read what happened."""

from collections.abc import Callable
from typing import Any

import numpy as np

from arena.game import Game
from arena.markets.hedging.market import HedgingMarket
from arena.rollout import seeds_of

CALL = {"right": "call", "strike": 100, "expiry": 63, "quantity": -1}
RANDOM = {"model": "log_ar1", "mean": 0.2, "persistence": 0.97, "shock": 0.06, "correlation": -0.7}
ORDERS = {"rate": 0.5, "moneyness": [0.9, 0.95, 1, 1.05, 1.1], "expiries": [1, 2, 5], "rights": ["call", "put"]}
BUSY: dict[str, Any] = {
    "clock": {"horizon": 10, "steps": 20},
    "book": {"slots": 12, "arrivals": {**ORDERS, "edge": 0.05}},
    "hedge": {"cost": 0.002, "centre": [-1, 1], "width": [0, 1]},
    "observe": {"buckets": [0, 1, 3]},
}
"""A market in which contracts are born and expire within a game of 20 steps, with a fee and an edge."""


def build(**parts: Any) -> HedgingMarket:
    """A market of one short call over 63 days; `parts` replace whole sections."""
    return HedgingMarket.model_validate({"book": {"start": [CALL]}, **parts})


def bands(game: Game, centre: Any = 0.0, width: Any = 0.0) -> None:
    """Writes a band in shares into the game's action."""
    numbers = game.market.roles[0].numbers
    given = {"centre": centre, "width": width}
    for i, name in enumerate(numbers.names):
        low, high = numbers.low[i], numbers.high[i]
        game.action["hedger"][:, 0, i] = 2.0 * (np.asarray(given[name]) - low) / (high - low) - 1.0


def play_bands(
    market: HedgingMarket, games: int, act: Callable[[int, Game], None] | None = None, seed: int = 1
) -> tuple[Game, np.ndarray, np.ndarray]:
    """Plays whole games, by default the plain delta hedge; returns the game, states [T + 1, R, B], rewards [T, B]."""
    game = Game(market, games)
    game.reset(seeds_of(seed, games))
    states, rewards = [game.state.copy()], []
    for k in range(game.steps):
        (act or (lambda k, game: bands(game)))(k, game)
        rewards.append(game.advance()["hedger"][:, 0].copy())
        states.append(game.state.copy())
    return game, np.array(states), np.array(rewards)


def random_bands(seed: int = 0) -> Callable[[int, Game], None]:
    """Actions from a generator of their own."""
    rng = np.random.default_rng(seed)

    def act(k: int, game: Game) -> None:
        game.action["hedger"][...] = rng.uniform(-1, 1, game.action["hedger"].shape)

    return act


def row(market: HedgingMarket, states: np.ndarray, name: str) -> np.ndarray:
    """One field of states [T + 1, R, B]: [T + 1, B], or [T + 1, slots, B]."""
    field = market.state.field(name)
    out = states[:, market.state.slice(name)]
    return out if len(field.shape) and field.size > 1 else out[:, 0]
