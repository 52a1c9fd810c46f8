"""Climbing a ladder with invented weights: what opens, fails, is stale or damaged, and what is never allowed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from arena.gates import gate as gates
from arena.gates import ladder as ladders
from arena.gates.checks import Score
from arena.gates.gate import DamagedError
from arena.gates.statistics import Bound
from arena.mistakes import ScenarioError
from arena.runs.run_folder import METRICS, RunFolder
from tests.gates.conftest import TOY, finish


def test_a_ladder_is_climbed_once_and_then_stands(place, trainer) -> None:
    assert place.states() == {"post": "open", "cheap": "closed"}
    code, told = place.climb()
    assert code == 0, told
    assert "post: passed: score" in told
    assert len(trainer.trained) == 6
    assert place.states() == {"post": "passed", "cheap": "passed"}
    before = place.gate("post").read_bytes(), place.gate("cheap").read_bytes()
    assert place.climb()[0] == 0  # nothing is trained or judged a second time
    assert len(trainer.trained) == 6
    assert (place.gate("post").read_bytes(), place.gate("cheap").read_bytes()) == before
    page = json.loads((place.gate("post").parents[1] / "ladder.json").read_text())
    assert page["headline"] == "Phases passed: 2 of 2"
    assert page["phases"][0]["seconds"] == 180.0


def test_a_gate_file_holds_what_its_verdict_rests_on(place, trainer) -> None:
    trainer.skill = {1: 0.05}
    assert place.climb()[0] == 0
    told = json.loads(place.gate("cheap").read_text())
    rung = place.ladder().rung("cheap")
    assert told["scenario_hash"] == rung.scenario.hash
    assert told["opened_by"] == [gates.file_sha256(place.gate("post").parents[1], "post")]
    assert {"arena.rollout", "tests.third_market.market", "tests.third_market.kit"} <= set(told["sources"])
    (check,) = told["checks"]
    by_seed = {one["seed"]: one for one in check["per_seed"]}
    assert [one["holds"] for one in by_seed.values()] == [True, False, True]
    assert all(one["low"] < one["value"] < one["high"] and one["n"] == 500 for one in by_seed.values())
    assert len({one["weights_sha256"] for one in by_seed.values()}) == 3
    assert (place.path / "runs" / by_seed[0]["run"] / "profile").is_dir()
    assert check["told"]["reference"]["mean"] > check["told"]["base"]["mean"]
    assert told["verdict"].startswith("passed: score")
    assert told["verdict"].endswith("in 2 of 3 seeds")
    assert len(told["attempts"]) == 1


def test_a_gate_that_fails_ends_with_3_and_keeps_the_next_phase_closed(place, trainer) -> None:
    trainer.skill = {0: 0.05, 1: 0.1}
    code, told = place.climb()
    assert code == 3
    assert "phase post has failed: score" in told
    assert "1 of 3 seeds, 2 are needed" in told
    assert "--phase post --seeds 3-5" in told
    assert place.states() == {"post": "failed", "cheap": "closed"}
    trained = list(trainer.trained)
    assert place.climb()[0] == 3  # asked again, it is neither trained nor judged again
    assert trainer.trained == trained
    code, told = place.climb("--phase", "cheap")
    assert code == 2
    assert "phase cheap is closed: gate post is failed (score" in told
    assert "run: python -m arena.curriculum --phase post)" in told


def test_the_worst_seed_must_be_above_the_base(place, trainer, monkeypatch) -> None:
    lows = {0: 0.9, 1: 0.8, 2: 0.0}
    monkeypatch.setattr(Score, "measure", lambda self, bench: Bound(0.9, lows[bench.scenario.training.seed], 1.0, 500))
    code, told = place.climb("--phase", "post")
    assert code == 3
    assert "in 2 of 3 seeds, and the worst seed is not above 0" in told
    lows[2] = 1e-9
    place.gate("post").unlink()
    assert place.climb("--phase", "post")[0] == 0


# --- what a gate rests on ---------------------------------------------------------------------------------------------


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_gate_that_was_edited_by_hand_refuses(place, trainer) -> None:
    trainer.default = 0.1
    assert place.climb()[0] == 3
    edit(place.gate("post"), passed=True, verdict="passed: it is good enough")
    with pytest.raises(DamagedError, match="its sha256 does not match its content"):
        gates.read(place.gate("post").parents[1], "post")
    code, told = place.climb()
    assert code == 2
    assert "gate post is damaged (its sha256 does not match its content)" in told
    code, told = place.climb("--phase", "cheap")
    assert code == 2
    assert "phase cheap is closed: gate post is damaged" in told
    assert place.states() == {"post": "damaged", "cheap": "closed"}
    place.gate("post").write_text("{")
    assert "damaged (it cannot be read (JSONDecodeError))" in place.climb()[1]


def test_a_number_in_a_gate_cannot_be_changed_unseen(place, trainer) -> None:
    place.climb()
    text = place.gate("post").read_text()
    told = json.loads(text)
    told["checks"][0]["per_seed"][0]["low"] = 0.999
    place.gate("post").write_text(json.dumps(told))
    assert place.states()["post"] == "damaged"
    place.gate("post").write_text(text)
    assert place.states()["post"] == "passed"


def test_another_scenario_is_another_question_and_is_trained_anew(place, trainer) -> None:
    place.climb()
    trainer.trained.clear()
    place.change("set: [market.holding=0.1]", "set: [market.holding=0.15]")
    assert place.states() == {"post": "passed", "cheap": "stale"}
    code, told = place.climb()
    assert code == 0
    assert "stale (scenario hash" in told
    assert [seed for _, seed, _ in trainer.trained] == [0, 1, 2]


def test_other_checks_are_judged_anew_on_the_same_weights(place, trainer) -> None:
    place.climb()
    trainer.trained.clear()
    place.change("at_least: 0.5, stretch: 0.9}]\n  - name", "at_least: 0.6, stretch: 0.9}]\n  - name")
    assert place.states() == {"post": "stale", "cheap": "closed"}
    assert place.climb("--phase", "cheap")[0] == 2
    code, told = place.climb("--judge-only")
    assert code == 0, told
    assert "stale (hash of its checks" in told
    assert "stale (gate post was judged anew after it)" in told
    assert trainer.trained == []
    assert len(json.loads(place.gate("post").read_text())["attempts"]) == 2


def test_other_sources_have_the_weights_judged_anew_and_trained_only_if_these_fail(place, trainer, monkeypatch) -> None:
    place.climb()
    trainer.trained.clear()
    monkeypatch.setattr(ladders, "source_sha256", lambda roots: "1" * 64)
    assert place.states()["post"] == "stale"
    assert place.climb("--judge-only")[0] == 0
    assert trainer.trained == []
    told = json.loads(place.gate("post").read_text())
    assert told["older_sources"] == [0, 1, 2]
    assert told["source_sha256"] == "1" * 64
    monkeypatch.setattr(ladders, "source_sha256", lambda roots: "2" * 64)
    monkeypatch.setattr(Score, "measure", lambda self, bench: Bound(0.4, 0.3, 0.5, 500) if not trainer.trained else
                        Bound(0.9, 0.8, 1.0, 500))  # fmt: skip
    code, said = place.climb("--phase", "post", "--judge-only")
    assert code == 3
    assert trainer.trained == []
    code, said = place.climb("--phase", "post")  # as after a kill between the two: it goes on where it was
    assert code == 0, said
    assert [seed for _, seed, _ in trainer.trained] == [0, 1, 2]
    told = json.loads(place.gate("post").read_text())
    assert [one["passed"] for one in told["attempts"]] == [True, True, False, True]
    assert told["older_sources"] == []


# --- seeds and attempts -----------------------------------------------------------------------------------------------


def test_one_seed_climbs_for_itself_but_does_not_vouch_for_the_ladder(place, trainer) -> None:
    code, told = place.climb("--seeds", "0")
    assert code == 0, told
    assert "in 1 of 1 seeds" in told
    assert not json.loads(place.gate("post").read_text())["whole"]
    assert place.states() == {"post": "training", "cheap": "closed"}
    assert "passed with 1 of 3 seeds only" in ladders.refusal(place.gate("post"))
    assert place.climb("--seeds", "0")[0] == 0
    assert len(trainer.trained) == 2
    assert place.climb()[0] == 0  # the others are trained, all are judged
    assert sorted(seed for _, seed, _ in trainer.trained) == [0, 0, 1, 1, 2, 2]
    assert ladders.refusal(place.gate("post")) == ""


def test_after_a_failure_nobody_picks_the_seeds_that_were_good(place, trainer) -> None:
    trainer.skill = {0: 0.05, 1: 0.05}
    assert place.climb()[0] == 3
    for picked in ("2", "2-4", "0,2"):
        code, told = place.climb("--phase", "post", "--seeds", picked)
        assert code == 2, picked
        assert "a choice among the seeds 0-2 of attempt 1, which failed" in told
        assert "such as 3-5" in told
    assert place.climb("--phase", "post", "--seeds", "3-5")[0] == 0
    attempts = json.loads(place.gate("post").read_text())["attempts"]
    assert [(one["seeds"], one["passed"]) for one in attempts] == [([0, 1, 2], False), ([3, 4, 5], True)]
    trainer.skill = {}
    assert place.climb()[0] == 0  # the whole gate of other seeds stands
    page = (place.gate("post").parents[1] / "ladder.html").read_text()
    assert "2 attempts judged" in page
    assert "failed: score" in page


def test_all_seeds_of_a_failed_attempt_may_be_judged_among_more(place, trainer) -> None:
    trainer.skill = {0: 0.05, 1: 0.05}
    assert place.climb()[0] == 3
    code, told = place.climb("--phase", "post", "--seeds", "0-5")
    assert code == 0, told
    assert "in 4 of 6 seeds" in told  # the file's share of 2 of 3, as 4 of 6


def test_the_same_weights_get_the_same_verdict_and_new_ones_meet_new_games(place, trainer) -> None:
    place.climb("--phase", "post")
    first = json.loads(place.gate("post").read_text())["checks"][0]["per_seed"]
    place.gate("post").unlink()
    place.climb("--phase", "post")
    assert json.loads(place.gate("post").read_text())["checks"][0]["per_seed"] == first
    from arena.gates.bench import Bench
    from tests.gates.conftest import network

    scenario = place.ladder().rung("post").scenario
    benches = [Bench(scenario, {"poster": network(scenario, 0.9, seed)}, "p_0", 100, None) for seed in (0, 0, 1)]
    assert benches[0].seed == benches[1].seed != benches[2].seed


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_not_trained_is_not_judged(place, trainer) -> None:
    code, told = place.climb("--judge-only")
    assert code == 2
    assert "--judge-only: seeds 0-2 of phase post are not trained" in told
    assert place.climb("--phase", "past")[1].strip().endswith("--phase: found 'past'; allowed are post, cheap")


def test_a_base_equal_to_its_reference_refuses(place, trainer) -> None:
    place.change("reference: {kind: steady, action: 1}, at_least: 0.5, stretch: 0.9}]\n  - name",
                 "reference: {kind: steady}, at_least: 0.5, stretch: 0.9}]\n  - name")  # fmt: skip
    code, told = place.climb()
    assert code == 2
    assert "phase post cannot be judged: the reference is not better than the base" in told
    assert not place.gate("post").exists()


def test_a_second_runner_is_told_who_holds_the_ladder(place, trainer) -> None:
    folder = place.gate("post").parents[1]
    folder.mkdir(parents=True)
    (folder / "running.pid").write_text(str(os.getppid()))
    code, told = place.climb()
    assert code == 2
    assert f"process {os.getppid()} is climbing here; wait for it or stop it" in told
    (folder / "running.pid").write_text("4194304")  # nobody: beyond the largest process id
    assert place.climb()[0] == 0
    assert not (folder / "running.pid").exists()
    assert place.climb("--status")[0] == 0


def test_of_two_that_start_at_once_one_holds_the_lock(tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock("climbing"), pytest.MonkeyPatch.context() as patch:
        holder = os.getpid()
        patch.setattr(os, "getpid", lambda: holder + 1)
        with (
            pytest.raises(ValueError, match=f"process {holder} is climbing here"),
            RunFolder(tmp_path).lock("climbing"),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_gate_is_no_way_around_its_attempts(place, trainer) -> None:
    """Who moves a gate away starts over in the open: the runs are still there, and so are the verdicts on them."""
    trainer.skill = {0: 0.05, 1: 0.05}
    place.climb()
    shutil.move(place.gate("post"), place.path / "kept.json")
    trained = list(trainer.trained)
    code, told = place.climb("--phase", "post", "--seeds", "2")  # the one that was good
    assert (code, "seeds 0-2 of attempt 1, which failed" in told) == (2, True)
    assert place.climb()[0] == 3
    assert trainer.trained == trained
    kept, told = (json.loads(path.read_text())["attempts"] for path in (place.path / "kept.json", place.gate("post")))
    assert told[:1] == kept
    assert [one["passed"] for one in told] == [False, False]
    place.gate("post").write_text("{")
    code, told = place.climb("--phase", "post", "--seeds", "3-5")
    assert (code, "damaged" in told) == (2, True)
    place.gate("post").unlink()
    assert place.climb("--phase", "post", "--seeds", "3-5")[0] == 0
    assert len(json.loads(place.gate("post").read_text())["attempts"]) == 3


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("pass_seeds: 2", "pass_seeds: 4", "yaml:4:13: pass_seeds: found 4; allowed is at most the number of seeds"),
        ("name: cheap", "name: post", "phases[1].name: found 'post' twice; allowed are different names"),
        ("scenario: toy.yaml\n    set", "scenario: toi.yaml\n    set", "phases[1].scenario: toi.yaml: no such file"),
        ("market.holding=0.1", "market.holdin=0.1", "market.holdin: unknown key"),
        ("kind: steady, action: 1", "kind: stedy, action: 1", "found 'stedy'; allowed for posters are steady"),
        ("kind: steady, action: 1", "kind: steady, actoin: 1", "phases[0].checks[0].reference: actoin: found 1; Extra"),
        ("kind: score", "kind: scroe", "phases[0].checks[0].kind: found 'scroe'; allowed is"),
        ("    set: [", "    start: {from: later}\n    set: [", "found 'later'; allowed are phases before it: post"),
        ("at_least: 0.5", "seat: x_0, at_least: 0.5", "seat: found 'x_0'; allowed are p_0, t_0"),
        ("games: 500", "games: 5", "phases[0].games: found 5; allowed is 100 or more"),
    ],
)  # fmt: skip
def test_mistakes_in_the_file_are_sentences_with_their_line(place, old: str, new: str, sentence: str) -> None:
    place.change(old, new)
    code, told = place.climb("--status")
    assert code == 2
    assert sentence in told.replace("\n", " ") or sentence in told
    assert "ladder.yaml:" in told
    assert "Traceback" not in told


def test_there_is_no_way_to_force_a_gate() -> None:
    import inspect

    from arena.curriculum import main

    assert set(inspect.signature(main).parameters) == {
        "file", "status", "phase", "seeds", "out", "workers", "judge_only"
    }  # fmt: skip


# --- others ask -------------------------------------------------------------------------------------------------------


def test_selfplay_after_a_gate(place, trainer, capsys) -> None:
    import typer
    from typer.testing import CliRunner

    from arena.selfplay import main

    app = typer.Typer()
    app.command()(main)

    def after(path: Path) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["two_mm_one_trader", "--dry-run", "--after", str(path)])
        return done.exit_code, done.output

    code, told = after(place.gate("post"))
    assert code == 2
    assert "no such gate; allowed is OUT/curriculum/NAME/gates/PHASE.json" in told
    place.climb()
    assert after(place.gate("cheap"))[0] == 0
    place.change("at_least: 0.5", "at_least: 0.55")
    code, told = after(place.gate("cheap"))
    assert code == 2
    assert "phase cheap is closed: gate post is stale (hash of its checks" in told
    place.file.unlink()
    assert "no such file" in after(place.gate("cheap"))[1]


def test_a_page_and_its_numbers_are_written_after_every_seed(place, trainer) -> None:
    seen = []
    page = place.gate("post").parents[1] / "ladder.json"
    trainer.before = lambda run: seen.append(
        json.loads(page.read_text())["phases"][0]["words"] if page.exists() else ""
    )
    place.climb()
    assert seen[:3] == ["", "training 1/3", "training 2/3"]


def test_a_phase_is_shown_beside_the_newest_finished_run_of_another_scheme(place, trainer) -> None:
    (place.path / "twin.yaml").write_text(TOY.replace("name: toy", "name: twin").replace("games: 32", "games: 64"))
    before = "    scenario: toy.yaml\n    games: 500\n"
    place.change(before, f"{before}    schemes: {{alone: twin.yaml}}\n")
    ladder = place.ladder()
    assert ladder.schemes(ladder.rungs[0]) == {}
    twin = ladder.rungs[0].schemes["alone"]
    run = RunFolder.create(place.path / "runs", twin, ["test"])
    finish(run, twin, 0.5, iteration=4)
    assert ladder.schemes(ladder.rungs[0]) == {}
    finish(run, twin, 0.5)
    run.add_line(METRICS, {"iteration": 10, "agent_steps": 3_100_000})
    ((name, (scenario, path)),) = ladder.schemes(ladder.rungs[0]).items()
    assert (name, scenario.hash, path.path) == ("alone, 3.1 M agent-steps", twin.hash, run.path)
    place.change("schemes: {alone: twin.yaml}", "schemes: {alone: option_duel, gone: no_such}")
    with pytest.raises(ScenarioError) as refused:
        place.ladder()
    first, second = sorted(refused.value.mistakes)
    assert "phases[0].schemes.alone: found 'option_duel'; allowed is a scenario of the market of 'toy.yaml'" in first
    assert "phases[0].schemes.gone: no_such: no such file" in second


def test_the_terminal_needs_80_columns(place, trainer, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trainer.skill = {0: 0.05, 1: 0.1}
    place.climb()
    told = place.climb("--status")[1]
    assert max(map(len, told.splitlines())) <= 80
    assert "toys: 0 of 2 phases passed; next: post" in told
    assert "failed" in told
