"""Gradients through the band: the score is the game's own, and a step along them improves it."""

import shutil

import numpy as np
import pytest
import torch

from agents.learned import player
from agents.network import Network
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.training import pathwise
from arena.training.learner import fingerprint
from arena.training.ppo import configure
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
        score, _ = paths.score(network)
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
    with pytest.raises(TypeError, match="found a market of model dealer; allowed are those whose kit has a GRADIENT"):
        pathwise.record(load("option_duel").market, seeds_of(0, 8))
    market = load("hedging_cost", ["market.observe.hedge=true", "training.method=ppo"]).market
    with pytest.raises(ValueError, match=r"market.observe.hedge: found true; allowed is false"):
        pathwise.record(market, seeds_of(0, 8))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_restored_run_continues_bitwise(tmp_path):
    changes = ["market.clock={horizon: 6, steps: 6}", "market.book.start=[{strike: 100, expiry: 6, quantity: -1}]",
               "training.games=32", "training.block=16", "training.hidden=[8, 8]", "training.iterations=4",
               "league.promotion={every: 2, games: 64}"]  # fmt: skip
    scenario, ends = load("hedging_cost", changes), []
    for name in ("whole", "restored"):
        algorithm = configure(scenario, league_folder=tmp_path / name).build_algo()
        if name == "whole":
            algorithm.train()
            algorithm.train()
            algorithm.save_to_path(str(tmp_path / "checkpoint"))
            shutil.copytree(tmp_path / "whole", tmp_path / "restored")
        else:
            algorithm.restore_from_path(str(tmp_path / "checkpoint"))
        results = [algorithm.train()["env_runners"]["return"] for _ in range(2)]
        ends.append((results, fingerprint(algorithm.learner_weights()), algorithm.league.members("hedger")))
        algorithm.stop()
    assert ends[0] == ends[1]
    assert ends[0][0][0] != ends[0][0][1]
