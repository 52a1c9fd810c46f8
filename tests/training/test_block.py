"""A block of games: what is recorded is what happened, whoever plays which cell."""

from typing import Any

import numpy as np
import pytest
import torch

from agents.learned import LIMIT, player
from agents.makers import naive_profile
from arena.game import Game
from arena.rollout import play
from arena.scenario import Scenario
from arena.training.block import EXPLOITER, NEW, Lineup, play_block
from arena.training.frozen import Stack
from tests.training.conftest import all_new

pytestmark = pytest.mark.anywhere

SEATS = {"maker": [0, 1], "executor": [0]}
SEEDS = np.arange(100, 132, dtype=np.uint64)


def acts(scenario: Scenario) -> dict[str, Any]:
    return {agent: recipe.sit(scenario.market, agent) for agent, recipe in naive_profile(scenario.market).items()}


def test_frozen_cells_play_as_their_members_would_alone(small: Scenario, networks: Any) -> None:
    makers, trader = [networks("maker", s) for s in (1, 2, 3)], networks("executor", 4)
    cells = np.array([[0, 1, 2, 0], [2, 2, 1, 1]])
    lineups = {"maker": Lineup(cells), "executor": Lineup(np.zeros((1, 4), int))}
    game = Game(small.market, 32)
    got = play_block(game, SEEDS, SEATS, {}, lineups, {"maker": makers, "executor": [trader]}, {})
    assert got.tracks == {}
    for group in range(4):
        mine = slice(8 * group, 8 * group + 8)
        players = {f"mm_{seat}": player(makers[cells[seat, group]]) for seat in (0, 1)} | {"trader_0": player(trader)}
        alone = play(Game(small.market, 8), players, SEEDS[mine])
        for role in SEATS:
            assert np.allclose(got.returns[role][mine], alone.returns[role], atol=1e-4), (role, group)


def test_a_learner_is_recorded_step_by_step(small: Scenario, networks: Any) -> None:
    weights = {"maker": networks("maker", 1), "executor": networks("executor", 2)}
    game = Game(small.market, 32)
    got = play_block(game, SEEDS, SEATS, weights, all_new(SEATS), {}, {})
    players = {f"mm_{seat}": player(weights["maker"], explore=True) for seat in (0, 1)}
    alone = play(
        Game(small.market, 32), players | {"trader_0": player(weights["executor"], explore=True)}, SEEDS, trace=True
    )
    for position, role in enumerate(SEATS):
        spec, track = small.market.roles[position], got.tracks[role]
        steps, seats = game.steps, len(SEATS[role])
        assert alone.observations is not None
        assert alone.actions is not None
        seen = (alone.observations[role] - spec.observation.centre) / spec.observation.scale
        expected = np.clip(seen, -LIMIT, LIMIT).transpose(0, 3, 2, 1).reshape(steps, -1, seats * 32)
        assert np.allclose(track.observations, expected, atol=1e-4)
        moved = weights[role]["baseline"][:, None] + weights[role]["reach"][:, None] * track.actions
        assert np.allclose(moved, alone.actions[role].transpose(0, 3, 2, 1).reshape(steps, -1, seats * 32), atol=1e-5)
        assert np.allclose(track.rewards, alone.rewards[role].transpose(0, 2, 1).reshape(steps, -1), atol=1e-5)
        assert np.allclose(got.returns[role], alone.returns[role], atol=1e-9)


def test_log_probability_is_the_gaussians(small: Scenario, networks: Any) -> None:
    weights = {"maker": networks("maker", 1), "executor": networks("executor", 2)}
    track = play_block(Game(small.market, 32), SEEDS, SEATS, weights, all_new(SEATS), {}, {}).tracks["maker"]
    from tests.training.test_surrogate import network_of  # the same weights as a torch module

    network = network_of(small, "maker", weights["maker"])
    rows = torch.from_numpy(track.observations.transpose(0, 2, 1).reshape(-1, track.observations.shape[1]))
    actions = torch.from_numpy(track.actions.transpose(0, 2, 1).reshape(len(rows), -1))
    with torch.no_grad():
        gaussian = torch.distributions.Normal(network.outputs(rows), network.log_std.exp()).log_prob(actions).sum(-1)
    constant = 0.5 * np.log(2 * np.pi) * actions.shape[1]
    assert np.allclose(track.logp.reshape(-1), gaussian.numpy() + constant, atol=1e-3)


def test_only_cells_that_learn_are_recorded_and_everyone_meets_the_right_others(small: Scenario, networks: Any) -> None:
    new, old = networks("maker", 1), networks("maker", 2)
    learners = {"maker": new, "maker_exploiter": networks("maker", 3), "executor": networks("executor", 4)}
    cells = np.array([[NEW, 0, EXPLOITER, NEW], [0, NEW, 0, NEW]])
    lineups = {"maker": Lineup(cells, ("old",)), "executor": Lineup(np.array([[NEW, 0, 0, NEW]]), ("x",))}
    members = {"maker": [old], "executor": [networks("executor", 5)]}
    game = Game(small.market, 32)
    got = play_block(game, SEEDS, SEATS, learners, lineups, members, {})
    columns = {name: track.rewards.shape[1] for name, track in got.tracks.items()}
    assert columns == {"maker": 4 * 8, "maker_exploiter": 8, "executor": 2 * 8}
    rewards = got.tracks["maker"].rewards.sum(axis=0).reshape(4, 8)
    own = [got.returns["maker"][8 * g : 8 * g + 8, seat] for seat, g in ((0, 0), (0, 3), (1, 1), (1, 3))]
    assert np.allclose(rewards, own, atol=1e-4)
    assert np.allclose(got.tracks["maker_exploiter"].rewards.sum(axis=0), got.returns["maker"][16:24, 0], atol=1e-4)


def test_scripted_agents_sit_in_any_lineup(small: Scenario, networks: Any) -> None:
    seats = {"maker": [1]}
    scripted = {agent: act for agent, act in acts(small).items() if agent != "mm_1"}
    weights = {"maker": networks("maker", 1)}
    got = play_block(Game(small.market, 32), SEEDS, seats, weights, all_new(seats), {}, scripted)
    alone = play(Game(small.market, 32), scripted | {"mm_1": player(weights["maker"], explore=True)}, SEEDS)
    assert np.allclose(got.returns["maker"], alone.returns["maker"], atol=1e-4)
    assert np.allclose(got.returns["executor"], alone.returns["executor"], atol=1e-4)
    assert list(got.tracks) == ["maker"]
    assert got.volume["maker"].min() >= 0.0
    assert got.volume["maker"].mean() > 1.0


def test_a_block_is_the_same_however_often_and_after_whatever_it_is_played(small: Scenario, networks: Any) -> None:
    weights = {"maker": networks("maker", 1), "executor": networks("executor", 2)}
    game, other = Game(small.market, 32), Game(small.market, 32)
    first = play_block(game, SEEDS, SEATS, weights, all_new(SEATS, 2), {}, {})
    play_block(other, SEEDS + np.uint64(7), SEATS, weights, all_new(SEATS), {}, {})
    again = play_block(other, SEEDS, SEATS, weights, all_new(SEATS, 2), {}, {})
    for role, track in first.tracks.items():
        for mine, theirs in zip(track, again.tracks[role], strict=True):
            assert np.array_equal(mine, theirs)


def test_members_that_do_not_fit_together_are_refused(small: Scenario, networks: Any) -> None:
    one, other = networks("maker", 1), networks("maker", 2)
    with pytest.raises(ValueError, match="share layers, activation and standardisation"):
        Stack([one, other | {"centre": other["centre"] + 1}], [0, 1])


@pytest.mark.parametrize("width", [1, 8, 13, 64])
def test_a_cell_of_a_stack_is_its_members_own_play_bitwise(small: Scenario, networks: Any, width: int) -> None:
    members = [networks("maker", seed) for seed in range(3)]
    layout = small.market.roles[0].observation
    draws = np.random.default_rng(0).normal(size=(layout.size, 4, width))
    raw = (layout.centre[:, None, None] + layout.scale[:, None, None] * draws).astype(np.float32)
    centre, inverse = members[0]["centre"][:, None, None], (1.0 / members[0]["scale"])[:, None, None]
    seen = np.clip((raw - centre) * inverse, -LIMIT, LIMIT)
    where, cells = np.array([3, 0, 1]), [2, 0, 2]  # the cell at 2 is not theirs
    moves = Stack(members, cells).act(seen, where)
    for cell, (place, member) in enumerate(zip(where, cells, strict=True)):
        alone = player(members[member])(raw[:, place].T, np.zeros((width, len(moves))))
        assert np.array_equal(moves[:, cell].T, alone)
