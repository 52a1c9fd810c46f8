"""Where learning starts: carried weights in a run folder, and the choice between a carried and a fresh start."""

import json

import pytest

from arena.gates.bench import digest_of
from arena.gates.ladder import PHASE_FILE, phase_file
from arena.judge import final_networks
from arena.league import snapshot
from arena.runs.run_folder import START, RunFolder

CARRY = "    start: {from: post, when: WHEN}\n    set: ["


def test_a_phase_starts_from_the_weights_of_the_same_seed(place, trainer) -> None:
    place.change("    set: [", CARRY.replace("WHEN", "always"))
    assert place.climb()[0] == 0
    ladder = place.ladder()
    for seed in (0, 1, 2):
        run, about = ladder.run_of(ladder.rung("cheap"), seed)
        source = about["started_from"]
        assert source["phase"] == "post"
        assert source["carried"] is True
        before = final_networks(place.path / "runs" / source["run"], ladder.rung("post").scenario)
        assert digest_of(before) == source["weights_sha256"]
        start = snapshot.read(run.path / START, "poster").weights
        assert (start["policy.0.weight"] == before["poster"]["policy.0.weight"]).all()
        assert f"-{seed}" in source["run"]
    told = json.loads(place.gate("cheap").read_text())
    assert told["started_from"]["0"]["phase"] == "post"


def test_other_weights_below_are_another_start(place, trainer) -> None:
    place.change("    set: [", CARRY.replace("WHEN", "always"))
    place.climb()
    trainer.trained.clear()
    place.change(
        "scenario: toy.yaml\n    games: 500", "scenario: toy.yaml\n    set: [training.epochs=3]\n    games: 500"
    )
    trainer.default = 0.9
    assert place.climb()[0] == 0
    assert len(trainer.trained) == 6  # both phases: what cheap started from has changed


def test_a_start_that_helps_goes_on_and_the_other_is_dropped(place, trainer) -> None:
    """The stand-in trainer makes carried starts worse by .3: the fresh ones go on."""
    place.change("    set: [", CARRY.replace("WHEN", "helps"))
    assert place.climb()[0] == 0
    ladder = place.ladder()
    for seed in (0, 1, 2):
        run, about = ladder.run_of(ladder.rung("cheap"), seed)
        verdict = about["started_from"]["verdict"]
        assert about["started_from"]["carried"] is False
        assert verdict["difference"] < -4.4 * verdict["se"]
        assert verdict["iteration"] == 1
        assert not (run.path / START).exists()
        assert run.status()["finished"]
    dropped = [phase_file(RunFolder(path)) for path in (place.path / "runs" / "toy").iterdir()]
    assert sum(bool(one.get("dropped")) for one in dropped) == 3
    assert [until for _, seed, until in trainer.trained if seed == 0] == [None, 1, 1, None]
    assert "carried less fresh after 1 iterations" in (place.gate("cheap").parents[1] / "ladder.html").read_text()


@pytest.mark.parametrize("kill", [1, 2, 3, 4])
def test_a_kill_between_any_two_steps_changes_nothing(place, trainer, kill: int) -> None:
    place.change("seeds: [0, 1, 2]\npass_seeds: 2", "seeds: [0]\npass_seeds: 1")
    place.change("    set: [", CARRY.replace("WHEN", "helps"))

    class Killed(BaseException):
        pass

    def stop(run: RunFolder) -> None:
        if len(trainer.trained) == kill - 1:
            trainer.trained.append(("killed", 0, None))
            raise Killed

    trainer.before = stop
    with pytest.raises(Killed):
        place.climb()
    (place.gate("post").parents[1] / "running.pid").unlink(missing_ok=True)
    trainer.before = lambda run: None
    assert place.climb()[0] == 0
    ladder = place.ladder()
    assert phase_file(ladder.run_of(ladder.rung("cheap"), 0)[0])["started_from"]["carried"] is False
    assert len(trainer.trained) == 5  # four trainings and the one that was killed
    assert len(list((place.path / "runs" / "toy").iterdir())) == 3


def test_a_loser_that_a_kill_left_undropped_is_dropped(place, trainer) -> None:
    place.change("seeds: [0, 1, 2]\npass_seeds: 2", "seeds: [0]\npass_seeds: 1")
    place.change("    set: [", CARRY.replace("WHEN", "helps"))
    place.climb()
    for path in (place.path / "runs" / "toy").iterdir():
        run, about = RunFolder(path), phase_file(RunFolder(path))
        if about.pop("dropped", None):
            run.write_json(PHASE_FILE, about)
            loser = path
        elif about["phase"] == "cheap":
            run.write_json("status.json", {"iteration": 1, "finished": False})
    place.gate("cheap").unlink()
    trainer.trained.clear()
    assert place.climb()[0] == 0
    assert [until for _, _, until in trainer.trained] == [None]
    assert phase_file(RunFolder(loser))["dropped"]


def test_a_renamed_column_in_a_carried_network_ends_in_a_sentence(place, trainer, monkeypatch) -> None:
    import arena.training.carry as carry

    monkeypatch.setattr(carry, "_renamed", lambda name, rename: {"posted": "shown"}.get(name, name))
    place.change("    set: [", CARRY.replace("WHEN", "always"))
    code, told = place.climb()
    assert code == 2
    assert "phase cheap cannot start from phase post: posted was seen before and is not now" in told
    assert not (place.path / "runs" / "curriculum" / "toys" / "gates" / "cheap.json").exists()


def test_a_seed_without_a_start_and_weights_that_were_changed(place, trainer) -> None:
    place.change("    set: [", CARRY.replace("WHEN", "always"))
    assert place.climb("--phase", "post")[0] == 0
    code, told = place.climb("--phase", "cheap", "--seeds", "7")
    assert code == 2
    assert "phase cheap is closed: gate post is passed with seeds 0-2 only" in told
    ladder = place.ladder()
    with pytest.raises(ValueError, match="seed 7 starts from that of phase post, which was judged on seeds 0-2"):
        ladder.source_of(ladder.rung("cheap"), 7)
    run, _ = ladder.run_of(ladder.rung("post"), 0)
    for path in (run.path / "profile").iterdir():
        path.unlink()
    from tests.gates.conftest import finish

    finish(run, ladder.rung("post").seeded(0), 0.2)
    code, told = place.climb("--phase", "cheap")
    assert code == 2
    assert "holds other weights than those that were judged; restore them" in told
