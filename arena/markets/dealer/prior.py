"""Where a maker's and an executor's learning starts, and how far one unit of a network's output moves an action."""

from collections.abc import Mapping

import numpy as np

from agents.makers import naive_profile
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act, Role

FIRST_WIDTH = -0.5
"""Where the width of a hedging band starts, in [-1, 1]: at a quarter of its range."""


def prior(market: DealerMarket) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Baseline and reach of each role's action in [-1, 1] units, each [K].

    The baseline is what the naive profile does at the start of a game, averaged over seats and a few games. The reach
    is that magnitude again: a network output of 1 moves a half-spread or a skew by about one naive half-spread
    (1/fill_decay) and a rate by two naive rates; columns of another kind reach a quarter of their range. A band's width
    starts at a quarter of its range: the naive maker has none, and who learns from 0 pays for every trade on the way.
    """
    game = Game(market, 8)
    observation = game.reset(np.arange(8, dtype=np.uint64))
    noise = game.noise()
    acts = {agent: recipe.sit(market, agent) for agent, recipe in naive_profile(market).items()}
    return {role.name: _of_role(role, observation[role.name], noise[role.name], acts) for role in market.roles}


def _of_role(
    role: Role, observation: np.ndarray, noise: np.ndarray, acts: Mapping[str, Act]
) -> tuple[np.ndarray, np.ndarray]:
    moves = [acts[agent](observation[:, seat], 0.0 * noise[:, seat]) for seat, agent in enumerate(role.agents)]
    baseline = np.clip(np.mean(moves, axis=(0, 1)), -1.0, 1.0)
    groups = [name.split("[")[0] for name in role.numbers.names]
    baseline[[i for i, name in enumerate(groups) if name == "hedge_width"]] = FIRST_WIDTH
    size = np.abs(role.numbers.from_unit(baseline))
    pitch = {group: float(np.mean([size[i] for i, one in enumerate(groups) if one == group])) for group in set(groups)}
    pitch["skew"] = pitch.get("half_spread", 0.0)
    if "rate" in pitch:  # narrower taught the trader half as fast (docs/notes/two_mm_one_trader.md)
        pitch["rate"] *= 2.0
    width = np.asarray(role.numbers.high) - np.asarray(role.numbers.low)
    reach = np.array(
        [2.0 * pitch[group] / span if span > 0 else 0.0 for group, span in zip(groups, width, strict=True)]
    )
    return baseline, np.where(reach > 0, np.minimum(reach, 1.0), np.where(width > 0, 0.25, 0.0))
