"""A run's folder survives kills, keeps what is there, and says what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arena.runs.run_folder import CHECKPOINTS, METRICS, PROVENANCE, SCENARIO, RunFolder, RunFolderError, plain
from arena.scenario import Scenario, load


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load("two_mm_one_trader")


@pytest.fixture
def run(tmp_path: Path, scenario: Scenario) -> RunFolder:
    return RunFolder.create(tmp_path, scenario, ["selfplay", "two_mm_one_trader"])


def fill(name: str, text: str):
    def save(folder: str) -> None:
        (Path(folder) / "deep").mkdir(parents=True)
        (Path(folder) / "deep" / name).write_text(text)

    return save


def test_a_new_run_says_where_it_comes_from(run: RunFolder, scenario: Scenario) -> None:
    about = json.loads((run.path / PROVENANCE).read_text())
    assert about["scenario_hash"] == scenario.hash
    assert about["seed"] == scenario.training.seed
    assert about["argv"] == ["selfplay", "two_mm_one_trader"]
    assert about["versions"]["numpy"] == np.__version__
    again, stored = RunFolder.open(run.path)
    assert stored == scenario
    assert again.path == run.path


def test_two_runs_in_one_second_do_not_share_a_folder(tmp_path: Path, scenario: Scenario) -> None:
    paths = {RunFolder.create(tmp_path, scenario, []).path for _ in range(3)}
    assert len(paths) == 3


def test_a_kill_during_a_save_leaves_the_last_checkpoint(run: RunFolder) -> None:
    assert run.checkpoint() is None
    run.save_checkpoint(fill("state", "one"))

    def dies(folder: str) -> None:
        fill("state", "half")(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.save_checkpoint(dies)
    kept = run.checkpoint()
    assert kept is not None
    assert (kept / "deep" / "state").read_text() == "one"
    run.save_checkpoint(fill("state", "two"))
    last = run.path / CHECKPOINTS / "last"
    assert (last / "deep" / "state").read_text() == "two"
    last.rename(last.with_name("before"))  # as after a kill between the two renames
    found = run.checkpoint()
    assert found is not None
    assert (found / "deep" / "state").read_text() == "two"
    assert sorted(path.name for path in last.parent.iterdir()) == ["before"]


@pytest.mark.parametrize("damage", ["change", "lose", "add"])
def test_a_damaged_checkpoint_is_refused(run: RunFolder, damage: str) -> None:
    run.save_checkpoint(fill("state", "one"))
    deep = run.path / CHECKPOINTS / "last" / "deep"
    if damage == "change":
        (deep / "state").write_text("onf")
    elif damage == "lose":
        (deep / "state").unlink()
    else:
        (deep / "other").write_text("")
    with pytest.raises(RunFolderError, match="the checkpoint is damaged"):
        run.checkpoint()


def test_lines_cut_short_or_newer_than_the_checkpoint_are_dropped(run: RunFolder) -> None:
    for iteration in range(1, 6):
        run.add_line(METRICS, {"iteration": iteration, "value": float("nan") if iteration == 2 else 1.5})
    with (run.path / METRICS).open("a") as file:
        file.write('{"iteration": 6, "val')
    assert [line["iteration"] for line in run.lines(METRICS)] == [1, 2, 3, 4, 5]
    run.drop_lines_after(METRICS, 3)
    assert run.lines(METRICS)[1] == {"iteration": 2, "value": None}
    run.add_line(METRICS, {"iteration": 4})
    assert [line["iteration"] for line in run.lines(METRICS)] == [1, 2, 3, 4]
    run.drop_lines_after("absent.jsonl", 3)


def test_folders_that_are_no_run_of_ours_are_refused(run: RunFolder, tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(RunFolderError) as found:
            RunFolder.open(path)
        return str(found.value)

    assert "no such run folder" in refusal(tmp_path / "nowhere")
    about = json.loads((run.path / PROVENANCE).read_text())
    text = (run.path / SCENARIO).read_text()
    (run.path / SCENARIO).write_text(text.replace("spot: 100", "spot: 101"))
    assert "was changed after the run began" in refusal(run.path)
    (run.path / SCENARIO).write_text("name: [")
    assert "broken YAML" in refusal(run.path)
    (run.path / SCENARIO).write_text(text)
    (run.path / PROVENANCE).write_text(json.dumps(about | {"run_version": 99}))
    assert "version 99; this program reads version 1" in refusal(run.path)
    (run.path / PROVENANCE).write_text("{")
    assert "provenance.json cannot be read" in refusal(run.path)
    (run.path / PROVENANCE).unlink()
    assert "provenance.json is missing" in refusal(run.path)


def test_one_process_trains_in_a_folder_at_a_time(run: RunFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (run.path / "running.pid").write_text(str(other.pid))
        with pytest.raises(RunFolderError, match=f"process {other.pid} is training here"), run.lock():
            pass
        other.communicate(b"\n")
    with run.lock():  # the other one is gone
        assert (run.path / "running.pid").read_text() == str(os.getpid())
    assert not (run.path / "running.pid").exists()


def test_an_unwritable_place_is_one_sentence(tmp_path: Path, scenario: Scenario) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RunFolderError, match="cannot make a run folder"):
        RunFolder.create(tmp_path / "file", scenario, [])
    assert (tmp_path / "file").read_text() == "kept"


def test_plain_is_json_without_surprises() -> None:
    value = {"a": np.array([1.0, np.inf]), "b": (np.int64(3), np.float32(0.5)), 4: float("nan")}
    assert plain(value) == {"a": [1.0, None], "b": [3, 0.5], "4": None}
