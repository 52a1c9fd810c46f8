"""Gradients through the band: the score is the game's own, and a step along them improves it."""

import numpy as np
import pytest
import torch

from agents.learned import player
from agents.network import Network
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.training import pathwise
from arena.training.prior import priors
from arena.training.surrogate import make_optimizer


def network_of(market, seed=0):
    return Network(market.roles[0].observation, priors(market)["hedger"], (8, 8), seed=seed)


@pytest.mark.parametrize("name", ["hedging_frictionless", "hedging_cost"])
def test_the_score_of_a_network_is_what_it_earns_in_the_game(name):
    market, seeds = load(name).market, seeds_of(3, 40)
    network = network_of(market)
    with torch.no_grad():
        network.policy[-1].weight.normal_(0.0, 2.0, generator=torch.Generator().manual_seed(1))
        paths = pathwise.record(market, seeds)
        score, _ = pathwise.score(*pathwise.bands(network, paths), paths)
    played = play(Game(market, 40), {"hedger_0": player(network.weights())}, seeds).returns_of("hedger_0")
    np.testing.assert_allclose(score, played, atol=2e-3 * np.abs(played).max())
    assert played.std() > 0.1


def test_steps_along_the_gradient_improve_it():
    market = load("hedging_cost").market
    network, paths = network_of(market), pathwise.record(market, seeds_of(4, 256))
    optimizer = make_optimizer(network, 1e-2)
    losses = [pathwise.update(network, optimizer, paths, 1.0)["policy_loss"] for _ in range(12)]
    assert losses[-1] < losses[0] - 0.02


def test_other_markets_and_observed_hedges_are_refused():
    with pytest.raises(TypeError, match="allowed is hedging"):
        pathwise.record(load("option_duel").market, seeds_of(0, 8))
    market = load("hedging_cost", ["market.observe.hedge=true", "training.method=ppo"]).market
    with pytest.raises(ValueError, match=r"market.observe.hedge: found true; allowed is false"):
        pathwise.record(market, seeds_of(0, 8))
