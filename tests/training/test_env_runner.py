"""The RLlib runner without Ray: what it plays, holds and refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from arena.scenario import Scenario
from arena.training.block import NEW, Lineup
from arena.training.env_runner import BatchedEnvRunner, Failure, block_seeds, play_or_report
from arena.training.learner import fingerprint
from arena.training.ppo import configure

pytestmark = pytest.mark.anywhere


def runner(scenario: Scenario, index: int = 0, workers: int = 0) -> BatchedEnvRunner:
    return BatchedEnvRunner(config=configure(scenario, workers=workers), worker_index=index, num_workers=workers)


@pytest.fixture(scope="module")
def alone(small: Scenario) -> BatchedEnvRunner:
    return runner(small)


def same(first: Any, second: Any) -> bool:
    """Whether two samples are equal in every bit."""
    arrays = [
        [
            *sample.played.returns.values(),
            *sample.played.volume.values(),
            *(a for t in sample.played.tracks.values() for a in t),
        ]
        for sample in (first, second)
    ]
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


def test_two_workers_play_what_one_plays_bitwise(small: Scenario, alone: BatchedEnvRunner) -> None:
    whole = alone.sample()
    assert [sample.block for sample in whole] == [0, 1]
    assert sum(len(sample) for sample in whole) == 32 * 10
    for index in (1, 2):
        mine = runner(small, index, 2).sample()
        assert [sample.block for sample in mine] == [index - 1]
        assert same(mine[0], whole[index - 1])
        assert mine[0].fingerprint == whole[0].fingerprint


def test_seeds_belong_to_run_iteration_and_block() -> None:
    keys = [(s, i, b) for s in (0, 1) for i in (0, 1) for b in (0, 1)]
    drawn = [block_seeds(*key, 16) for key in keys]
    assert len({seed for one in drawn for seed in one.tolist()}) == 16 * len(keys)
    assert np.array_equal(block_seeds(0, 1, 1, 16), block_seeds(0, 1, 1, 16))


def test_it_plays_with_the_weights_that_were_sent_and_says_so(alone: BatchedEnvRunner, networks: Any) -> None:
    alone.sample()
    order = alone.order
    assert order is not None
    learners = {"maker": networks("maker", 5), "executor": networks("executor", 6)}
    sent = replace(order, learners=learners, fingerprint=fingerprint(learners))
    got = alone.play(sent, [1])
    assert got[0].fingerprint == fingerprint(alone.weights()) == fingerprint(learners)
    lie = play_or_report(alone, replace(sent, fingerprint="0"), [0])
    assert isinstance(lie, Failure)
    assert "its weights differ from the learner's" in lie.sentence


def test_members_are_replaced_when_their_name_means_another(alone: BatchedEnvRunner, networks: Any) -> None:
    alone.sample()
    order = alone.order
    assert order is not None
    cells = {"maker": Lineup(np.array([[NEW], [0]]), ("old",)), "executor": Lineup(np.array([[NEW]]))}
    results = []
    for seed in (7, 8, 7):
        old = {"old": networks("maker", seed)}
        lineups = [cells] * len(order.lineups)
        sent = replace(order, lineups=lineups, members=old, member_fingerprints={"old": fingerprint(old)})
        results += alone.play(sent, [0])
    assert same(results[0], results[2])
    assert not same(results[0], results[1])
    wrong = replace(sent, member_fingerprints={"old": "0"})
    failure = play_or_report(alone, wrong, [0])
    assert isinstance(failure, Failure)
    assert "league member old differs" in failure.sentence


def test_state_goes_from_runner_to_runner(small: Scenario, alone: BatchedEnvRunner, networks: Any) -> None:
    other = runner(small)
    alone.module["maker"].network.load(networks("maker", 33))
    other.set_state(alone.get_state())
    assert fingerprint(other.weights()) == fingerprint(alone.weights())
    assert set(alone.get_spaces()) >= {"maker", "executor"}
    alone.assert_healthy()
