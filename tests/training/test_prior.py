"""Where a network's action starts and how far one unit of its output moves it."""

import numpy as np

from agents.makers import naive_profile
from arena.game import Game
from arena.rollout import play
from arena.scenario import Scenario
from arena.training.prior import priors


def test_one_unit_moves_quotes_by_a_naive_half_spread_and_a_rate_by_two_naive_rates(small: Scenario) -> None:
    """In physical units; the naive profile plays half-spreads that fit the flow rule, TWAP's rate."""
    market = small.market
    acts = {seat: recipe.sit(market, seat) for seat, recipe in naive_profile(market).items()}
    games = play(Game(market, 8), acts, np.arange(8, dtype=np.uint64), trace=True)
    assert games.actions is not None
    for role in market.roles:
        baseline, reach = priors(market)[role.name]
        first = role.action.from_unit(games.actions[role.name][0]).mean(axis=(0, 1))
        np.testing.assert_allclose(role.action.from_unit(baseline), first, rtol=1e-5)
        moved = role.action.from_unit(baseline + reach) - role.action.from_unit(baseline)
        if role.name == "maker":
            np.testing.assert_allclose(moved, first[0], rtol=1e-5)  # every half-spread and every skew
        else:
            np.testing.assert_allclose(moved, 2.0 * first, rtol=1e-5)
