"""The risk aversion with which Avellaneda-Stoikov quotes earn most in a market: a grid, played."""

from collections.abc import Mapping, Sequence

import numpy as np

from agents.makers import AvellanedaStoikov, naive_profile
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.settings import naive_half_spread
from arena.markets.market import Act
from arena.rollout import play, seeds_of

RISK_AVERSIONS = tuple(float(x) for x in np.geomspace(0.01, 30.0, 12))
"""The grid, in 1/currency, over which `tune_avellaneda_stoikov` searches."""
TUNING = 0xA5
"""Stream of its games, apart from those of training and evaluation."""


def tune_avellaneda_stoikov(
    market: DealerMarket,
    seat: str = "mm_0",
    others: Mapping[str, Act] | None = None,
    recipe: AvellanedaStoikov | None = None,
    risk_aversions: Sequence[float] = RISK_AVERSIONS,
    games: int = 256,
    seed: int = 0,
) -> AvellanedaStoikov:
    """The recipe with the best mean return of a seat over a grid, every cell on the same seeds; deterministic.

    Searched are the risk aversion and, unless the recipe fixes it, the fill decay: the rule's own k, and the inverse
    of the naive half-spread, which is the decay a maker would measure on its own fills among equal rivals.
    `others` are acts of the other seats; left out, they play the naive profile.
    """
    recipe = recipe or AvellanedaStoikov()
    role = next(role for role in market.roles if seat in role.agents)
    players = {agent: one.sit(market, agent) for agent, one in naive_profile(market).items()} | dict(others or {})
    seeds = seeds_of(seed, games, TUNING)
    own = 1.0 / max(naive_half_spread(market), 1e-6)
    decays = [recipe.fill_decay] if recipe.fill_decay else list(dict.fromkeys([market.flow.rule.numbers()[0], own]))
    cells = [
        recipe.model_copy(update={"risk_aversion": float(ra), "fill_decay": float(k)})
        for k in decays
        for ra in risk_aversions
    ]
    game, score = Game(market, games), []
    for cell in cells:
        result = play(game, {**players, seat: cell.sit(market, seat)}, seeds)
        score.append(float(result.returns[role.name][:, role.agents.index(seat)].mean()))
    return cells[int(np.argmax(score))]
