"""SelfPlayPPO inside RLlib: the same batch for any number of workers, checkpoints, lost workers, refusals, Tune."""

import importlib.util
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.rllib.core.rl_module.rl_module import RLModule

from arena.scenario import Scenario, load
from arena.training.learner import fingerprint
from arena.training.ppo import SelfPlayPPO, configure
from tests.training.conftest import SMALL, wait_for

pytestmark = pytest.mark.ray


def build(scenario: Scenario, folder: Path, **more: Any) -> SelfPlayPPO:
    return configure(scenario, league_folder=folder / "league", **more).build_algo()


@pytest.fixture(scope="module")
def uninterrupted(
    small: Scenario, ray_cluster: None, tmp_path_factory: Any
) -> tuple[list[dict[str, Any]], str, list[str]]:
    """Results of three iterations without workers, the weights' fingerprint, and the league's members."""
    algorithm = build(small, tmp_path_factory.mktemp("whole"))
    results = [algorithm.train() for _ in range(3)]
    end = fingerprint(algorithm.learner_weights()), list(algorithm.league.members("maker"))
    algorithm.stop()
    return results, *end


def test_an_iteration_reports_what_a_person_wants_to_know(small: Scenario, uninterrupted: Any) -> None:
    results, _, members = uninterrupted
    assert members[0] == "maker-00000"
    for result in results:
        assert set(result["env_runners"]["return"]) == {"maker", "executor"}
        for role in ("maker", "executor"):
            seen = result["learners"][role]
            assert {"explained_variance", "kl", "entropy", "clip_fraction", "std", "lr"} <= set(seen)
            assert seen["rows"] > 0
    # 2 blocks of 16 games, 1 slot of 2 each: one with all new, one with one new maker and the trader new or old
    assert results[0]["learners"]["maker"]["rows"] == (2 + 1) * 16 * 10
    assert results[-1]["learners"]["maker"]["lr"] == pytest.approx(small.training.learning_rate * (1 - 2 / 4))
    assert results[1]["league"]["gain"]["maker"] == results[1]["league"]["gain"]["maker"]  # a look at iteration 2


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"learners": 1}])
def test_workers_and_a_remote_learner_change_nothing(
    small: Scenario, uninterrupted: Any, tmp_path: Path, options: dict[str, int]
) -> None:
    algorithm = build(small, tmp_path, **options)
    for result in uninterrupted[0]:
        got = algorithm.train()
        assert got["env_runners"]["return"] == result["env_runners"]["return"]
    assert fingerprint(algorithm.learner_weights()) == uninterrupted[1]
    assert algorithm.league.members("maker") == uninterrupted[2]
    algorithm.stop()


def test_a_restored_run_continues_bitwise(small: Scenario, uninterrupted: Any, tmp_path: Path) -> None:
    first = build(small, tmp_path)
    first.train()
    first.train()
    first.save_to_path(str(tmp_path / "checkpoint"))
    first.stop()
    second = build(small, tmp_path)
    second.restore_from_path(str(tmp_path / "checkpoint"))
    assert second.iteration == 2
    assert second.train()["env_runners"]["return"] == uninterrupted[0][2]["env_runners"]["return"]
    assert fingerprint(second.learner_weights()) == uninterrupted[1]
    assert second.league.members("maker") == uninterrupted[2]
    second.stop()


def test_what_is_judged_is_the_mean_of_the_tail_also_after_a_restart(small: Scenario, tmp_path: Path) -> None:
    averaging = small.model_copy(update={"training": small.training.model_copy(update={"average_tail": 0.5})})
    assert averaging.training.iterations == 4  # the tail is what iterations 3 and 4 leave behind
    whole = build(averaging, tmp_path)
    seen = []
    for done in range(1, 5):
        whole.train()
        seen.append(whole.learner_weights()["maker"]["policy.0.weight"])
        if done == 2:
            assert (whole.profile_weights()["maker"]["policy.0.weight"] == seen[-1]).all()
        if done == 3:
            whole.save_to_path(str(tmp_path / "checkpoint"))
    mean = whole.profile_weights()["maker"]["policy.0.weight"]
    np.testing.assert_allclose(mean, 0.5 * (seen[2] + seen[3]), rtol=1e-5, atol=1e-7)
    whole.stop()
    again = build(averaging, tmp_path)
    again.restore_from_path(str(tmp_path / "checkpoint"))
    again.train()
    np.testing.assert_array_equal(again.profile_weights()["maker"]["policy.0.weight"], mean)
    again.stop()


def test_segments_and_imitation_are_the_same_for_any_workers_and_go_on_after_a_restart(
    ray_cluster: None, tmp_path: Path
) -> None:
    """Four iterations of half a game here, against three by a worker, saved while games are under way, and one more."""
    changes = ["training.segment=5", "training.control_variate=false", "training.self_imitation={kind: past_returns}"]
    scenario = load("two_mm_one_trader", [*SMALL, *changes])
    whole = build(scenario, tmp_path / "whole")
    first = whole.train()
    assert first["learners"]["maker"]["rows"] == (2 + 1) * 16 * 5
    assert [whole.underway[block].pause.step for block in whole.underway] == [5]  # the other block began half-way
    for _ in range(3):
        last = whole.train()
    end = fingerprint(whole.learner_weights())
    whole.stop()
    begun = build(scenario, tmp_path, workers=1)
    begun.train()
    begun.train()
    begun.train()
    assert len(begun.underway) == 1
    begun.save_to_path(str(tmp_path / "checkpoint"))
    begun.stop()
    again = build(scenario, tmp_path)
    again.restore_from_path(str(tmp_path / "checkpoint"))
    assert again.train()["env_runners"]["return"] == last["env_runners"]["return"]
    assert fingerprint(again.learner_weights()) == end
    again.stop()


def test_exploration_follows_its_schedule_also_after_a_restart(small: Scenario, tmp_path: Path) -> None:
    given = {"exploration": "scheduled", "initial_std": 0.4, "final_std": 0.1, "iterations": 4}
    scenario = small.model_copy(update={"training": small.training.model_copy(update=given)})
    algorithm = build(scenario, tmp_path)
    algorithm.train()
    assert algorithm.learner_weights()["maker"]["log_std"] == pytest.approx(np.log(0.4 * 0.25**0.25))
    algorithm.save_to_path(str(tmp_path / "saved"))
    algorithm.stop()
    restored = build(scenario, tmp_path)
    restored.restore_from_path(str(tmp_path / "saved"))
    restored.train()
    for weights in restored.learner_weights().values():
        assert weights["log_std"] == pytest.approx(np.log(0.2))
    restored.stop()


def test_every_round_new_becomes_old_and_a_restart_knows_both(ray_cluster: None, tmp_path: Path) -> None:
    literal = [*SMALL, "training.together=0", "league.matchmaking={kind: latest}"]
    scenario = load("two_mm_one_trader", [*literal, "league.promotion={kind: every_round}"])
    whole, before = build(scenario, tmp_path / "whole"), []
    for iteration in range(4):
        before.append(whole.learner_weights())
        order = whole._order(before[-1]) if whole.league.members("maker") else None
        whole.train()
        if order is not None:  # old is what new was one iteration ago
            assert list(order.members) == [f"{role}-{iteration - 1:05d}" for role in ("executor", "maker")]
            old = {role: order.members[f"{role}-{iteration - 1:05d}"] for role in ("executor", "maker")}
            assert fingerprint(old) == fingerprint(before[iteration - 1])
        if iteration == 1:
            whole.save_to_path(str(tmp_path / "checkpoint"))
    assert whole.league.members("maker") == ["maker-00000", "maker-00002", "maker-00003"]  # frozen: every second
    end = fingerprint(whole.learner_weights())
    whole.stop()
    again = build(scenario, tmp_path / "whole")
    again.restore_from_path(str(tmp_path / "checkpoint"))
    again.train()
    again.train()
    assert fingerprint(again.learner_weights()) == end
    again.stop()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_batch_stays_the_same(
    small: Scenario, uninterrupted: Any, tmp_path: Path
) -> None:
    algorithm = build(small, tmp_path, workers=1)
    algorithm.train()
    (process,) = algorithm.env_runner_group.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)
    os.kill(process, signal.SIGKILL)
    for _ in range(2):
        result = algorithm.train()
    assert result["env_runners"]["return"] == uninterrupted[0][2]["env_runners"]["return"]
    assert fingerprint(algorithm.learner_weights()) == uninterrupted[1]
    group = algorithm.env_runner_group

    def replaced() -> bool:
        algorithm.restore_env_runners(group)  # as every iteration does before it plays
        return bool(group.healthy_env_runner_ids() == [1])

    wait_for("Ray to start another worker in the place of the killed one", replaced)
    algorithm.train()
    (another,) = group.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)
    assert another != process
    algorithm.stop()


def test_an_exploiter_learns_beside_the_main_policy(ray_cluster: None, tmp_path: Path) -> None:
    changes = [*SMALL, "league.slots=4", "league.exploiters={maker: {games_share: 0.25, patience: 1}}"]
    algorithm = build(load("two_mm_one_trader", changes), tmp_path)
    start = algorithm.learner_weights()
    assert sorted(start) == ["executor", "maker", "maker_exploiter"]
    for _ in range(2):
        result = algorithm.train()
    assert result["learners"]["maker_exploiter"]["rows"] == 16 // 2 * 10  # one of four slots
    assert "maker_exploiter" in result["league"]["gain"]
    now = algorithm.learner_weights()
    assert fingerprint({"x": now["maker_exploiter"]}) != fingerprint(
        {"x": start["maker_exploiter"]}
    )  # restarted afresh
    assert fingerprint({"x": now["maker"]}) != fingerprint({"x": start["maker"]})
    algorithm.stop()


def test_what_is_not_supported_is_refused_with_a_sentence(small: Scenario, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"learners: found 2; allowed are 0 and 1"):
        configure(small, learners=2)
    players = "players={mm_0: {kind: constant_spread}, mm_1: {kind: constant_spread}, trader_0: {kind: twap}}"
    with pytest.raises(ValueError, match="no seat learns"):
        configure(load("two_mm_one_trader", [players]))


def test_other_configurations_are_refused(small: Scenario, ray_cluster: None) -> None:
    with pytest.raises(ValueError, match=r"found use_lstm; allowed are networks without memory"):
        configure(small).rl_module(model_config={"use_lstm": True}).build_algo()
    bare = configure(small)
    bare.env_config = {}
    with pytest.raises(ValueError, match="'scenario' is missing"):
        bare.build_algo()


@pytest.mark.slow
def test_the_tune_example_trains_and_its_checkpoint_holds_the_league(ray_cluster: None, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "examples" / "tune.py"
    spec = importlib.util.spec_from_file_location("tune_example", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    results = example.main(list(SMALL), tmp_path)
    assert not results.errors
    assert len(results) == 2
    checkpoint = Path(results[0].checkpoint.path)
    again = SelfPlayPPO.from_checkpoint(str(checkpoint))
    assert again.iteration == 2
    assert len(again.league) == results[0].metrics["league"]["size"]
    assert again.league.weights("maker-00000")["centre"].shape == again.learner_weights()["maker"]["centre"].shape
    module = RLModule.from_checkpoint(checkpoint / "learner_group/learner/rl_module/maker")
    assert fingerprint({"x": module.network.weights()}) == fingerprint({"x": again.learner_weights()["maker"]})
    again.stop()
