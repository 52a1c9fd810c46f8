"""Your own agent is a plain function: what it sees goes in, what it does comes out, for many games at once."""

import numpy as np

from agents.makers import naive_profile
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.scenario import load

market = load("two_mm_one_trader").market
maker = market.roles[0]  # its observation and action layouts know every column by name
inventory = maker.observation.slice("inventory")
half_spread = [name.startswith("half_spread") for name in maker.action.names]
skew = [name.startswith("skew") for name in maker.action.names]


def lean(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Quote 3 cents around the mid and move both prices half a cent per lot held: long wants to sell."""
    action = np.zeros((len(observation), maker.action.size))
    action[:, half_spread] = 0.03
    action[:, skew] = -0.005 * observation[:, inventory]
    return maker.action.to_unit(action)  # dollars to the range [-1, 1] that a game takes


def main(games: int = 1000) -> float:
    """Mean gain of `lean` over the naive constant spread in the first seat, on the same games."""
    others = {agent: recipe.sit(market, agent) for agent, recipe in naive_profile(market).items()}
    game, seeds = Game(market, games), seeds_of(1, games)
    gain = play(game, {**others, "mm_0": lean}, seeds).returns_of("mm_0") - play(game, others, seeds).returns_of("mm_0")
    print(f"lean earns {gain.mean():+.2f} +- {gain.std(ddof=1) / games**0.5:.2f} a game over the naive constant spread")
    return float(gain.mean())


if __name__ == "__main__":
    main()
