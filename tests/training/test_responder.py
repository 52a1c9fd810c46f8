"""A best response by learning: deterministic, and clearly better than what it starts from."""

from typing import Any

import numpy as np
import pytest

from agents.heads import Numbers
from agents.learned import player
from agents.makers import naive_profile
from agents.network import Network
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.scenario import Scenario
from arena.training.responder import learning_rate, set_exploration, train_responder


def opponents(scenario: Scenario) -> dict[str, Any]:
    return {agent: recipe.sit(scenario.market, agent) for agent, recipe in naive_profile(scenario.market).items()}


@pytest.mark.parametrize("seat", ["mm_1", "trader_0"])
def test_it_beats_naive_play(small: Scenario, seat: str) -> None:
    """Paired on 2 048 fresh games; the gain must exceed five standard errors (error rate below 1e-6)."""
    settings = small.training.model_copy(update={"learning_rate": 6e-3, "minibatch": 640, "hidden": (16, 16)})
    others = opponents(small)
    weights = train_responder(small.market, seat, others, settings, iterations=30, games=128, seed=1)
    game, seeds = Game(small.market, 2048), seeds_of(99, 2048)
    gain = play(game, {**others, seat: player(weights)}, seeds).returns_of(seat) - play(game, others, seeds).returns_of(
        seat
    )
    assert gain.mean() > 5.0 * gain.std() / np.sqrt(2048)


@pytest.mark.anywhere
def test_the_same_seed_gives_the_same_weights_and_a_warm_start_keeps_them(small: Scenario) -> None:
    def run(**more: Any) -> dict[str, np.ndarray]:
        given = {"iterations": 2, "games": 16, "seed": 4, **more}
        return train_responder(small.market, "mm_0", opponents(small), small.training, **given)

    first, second, other = run(), run(), run(seed=5)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert not np.array_equal(first["policy.0.weight"], other["policy.0.weight"])
    kept = run(initial=first, iterations=0)
    assert all(np.array_equal(kept[key], first[key]) for key in first if key != "log_std")


def test_seats_that_nobody_plays_or_that_do_not_exist_are_refused(small: Scenario) -> None:
    with pytest.raises(ValueError, match="no seat 'mm_7'; there are mm_0, mm_1, trader_0"):
        train_responder(small.market, "mm_7", {}, small.training, iterations=1, games=8, seed=0)
    with pytest.raises(ValueError, match="nobody plays mm_1, trader_0"):
        train_responder(small.market, "mm_0", {}, small.training, iterations=1, games=8, seed=0)


def test_step_sizes_fall_to_zero_after_the_last_iteration(small: Scenario) -> None:
    settings = small.training.model_copy(update={"learning_rate": 1e-3, "schedule": "linear"})
    assert [learning_rate(settings, i, 4) for i in range(5)] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4, 0.0])
    constant = settings.model_copy(update={"schedule": "constant"})
    assert learning_rate(constant, 3, 4) == 1e-3


def test_scheduled_exploration_falls_by_a_constant_ratio_and_learned_one_is_left_alone(small: Scenario) -> None:
    network = Network(small.market.roles[0].observation, Numbers(np.zeros(2), np.ones(2)), initial_std=0.3)
    given = {"initial_std": 0.8, "final_std": 0.05}
    set_exploration(network, small.training.model_copy(update=given), 1, 4)
    assert network.weights()["log_std"] == pytest.approx(np.log([0.3, 0.3]))
    scheduled = small.training.model_copy(update={**given, "exploration": "scheduled"})
    for i, std in enumerate([0.8, 0.4, 0.2, 0.1, 0.05, 0.05]):
        set_exploration(network, scheduled, i, 4)
        assert network.weights()["log_std"] == pytest.approx(np.log([std, std]))


def test_a_responder_ends_with_the_exploration_that_is_scheduled(small: Scenario) -> None:
    settings = small.training.model_copy(update={"exploration": "scheduled", "initial_std": 0.4, "final_std": 0.1})
    found = train_responder(small.market, "mm_0", opponents(small), settings, iterations=2, games=16, seed=4)
    assert np.exp(found["log_std"]) == pytest.approx(0.2, rel=0.05)  # of the last iteration, and its own update
