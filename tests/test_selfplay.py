"""The command line of self-play: quick answers, whole runs, kills and resumes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from arena.scenario import load
from arena.selfplay import numbers_of
from tests.training.conftest import SMALL

ROOT = Path(__file__).parent.parent
JUDGING = (
    "evaluation={games: 64, search: none, members: 2, tournament_games: 16, gap_every: 0}",
)
SETTINGS = [word for change in (*SMALL[:-1], *JUDGING) for word in ("--set", change)]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "arena.selfplay", *words]


def selfplay(*words: str, timeout: float = 900.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read a run's output up to a line with these words; fails when the run ends before."""
    assert process.stdout is not None
    if not any(words in line for line in process.stdout):
        raise AssertionError(f"waited for a line with {words}; the run ended with exit code {process.wait()}")


def run_of(out: Path) -> Path:
    (run,) = (out / "two_mm_one_trader").iterdir()
    return run


def numbers(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what depends on the clock."""
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    clock = {"wall_s", "seconds", "agent_steps_per_s"}
    return [{key: value for key, value in line.items() if key not in clock} for line in lines]


def weights_of(run: Path, role: str) -> dict[str, np.ndarray]:
    (path,) = (run / "profile").glob(f"{role}-*.npz")
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def same_end(first: Path, second: Path) -> bool:
    """Whether two runs logged the same numbers and ended with the same weights, in every bit."""
    for role in ("maker", "executor"):
        mine, theirs = weights_of(first, role), weights_of(second, role)
        if any(not np.array_equal(mine[key], theirs[key]) for key in mine):
            return False
    return numbers(first) == numbers(second)


def test_help_and_bad_scenarios_answer_without_loading_what_is_slow() -> None:
    heavy = "('torch', 'ray', 'numba', 'arena.scenario')"
    probe = f"import sys; import arena.selfplay; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"  # what would make it slow is not even imported
    assert "self-play" in selfplay("--help").stdout
    wrong = selfplay("two_mm_one_tradr")
    assert wrong.returncode == 2
    assert "did you mean 'two_mm_one_trader'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "name a scenario"),
        (("two_mm_one_trader", "--resume", "runs"), "leave scenario"),
        (("two_mm_one_trader", "--seed", "1", "--seeds", "0-2"), "not both"),
        (("two_mm_one_trader", "--seeds", "x"), "ranges such as 0-4"),
        (("two_mm_one_trader", "--set", "training.gmes=3"), "training.gmes"),
        (("two_mm_one_trader", "--workers", "-1"), "workers"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(words: Sequence[str], sentence: str, capsys: Any) -> None:
    from typer.testing import CliRunner

    from arena.selfplay import main

    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.replace("│", " ").split())


def test_seed_lists() -> None:
    assert numbers_of("0-4") == [0, 1, 2, 3, 4]
    assert numbers_of("3,5-6,3") == [3, 5, 6]
    for wrong in ("", "a", "4-2"):
        with pytest.raises(typer.BadParameter):
            numbers_of(wrong)


def test_dry_run_prints_the_resolved_scenario_and_makes_nothing(tmp_path: Path) -> None:
    done = selfplay("two_mm_one_trader", "--dry-run", "--seed", "7", "--out", str(tmp_path))
    assert done.returncode == 0
    assert "seed: 7" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_resumed_or_written(tmp_path: Path) -> None:
    assert "no such run folder" in selfplay("--resume", str(tmp_path / "nowhere")).stderr
    empty = selfplay("--resume", str(tmp_path))
    assert empty.returncode == 2
    assert "scenario.resolved.yaml is missing" in empty.stderr
    (tmp_path / "file").write_text("")
    taken = selfplay("two_mm_one_trader", "--out", str(tmp_path / "file"))
    assert taken.returncode == 2
    assert "cannot make a run folder" in taken.stderr
    scripted = [
        "--set",
        "players={mm_0: {kind: constant_spread}, mm_1: {kind: constant_spread}, trader_0: {kind: twap}}",
    ]
    nobody = selfplay("two_mm_one_trader", "--out", str(tmp_path), *scripted)
    assert nobody.returncode == 2
    assert "no seat learns" in nobody.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_a_whole_run_leaves_everything_and_a_killed_one_catches_up_with_it_bitwise(tmp_path: Path) -> None:
    whole = selfplay("two_mm_one_trader", *SETTINGS, "--workers", "0", "--out", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    run = run_of(tmp_path / "whole")
    for name in (
        *(
            "scenario.resolved.yaml",
            "provenance.json",
            "metrics.jsonl",
            "nash_gap.jsonl",
            "payoff.json",
            "ratings.json",
        ),
        *("status.json", "report.html", "report.json", "league/league.json", "checkpoints/last/manifest.json"),
    ):
        assert (run / name).is_file(), name
    assert list((run / "tb").iterdir())
    assert load(run / "scenario.resolved.yaml") == load("two_mm_one_trader", [*SMALL[:-1], *JUDGING])
    assert [line["iteration"] for line in numbers(run)] == [1, 2, 3, 4]
    assert "Traceback" not in whole.stderr + whole.stdout
    assert len(whole.stdout.splitlines()) < 40

    out = tmp_path / "killed"
    with subprocess.Popen(
        command("two_mm_one_trader", *SETTINGS, "--workers", "0", "--out", str(out)), cwd=ROOT,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        wait_for_line(process, "3/4")  # after the checkpoint of iteration 2
        os.killpg(process.pid, signal.SIGKILL)
    killed = run_of(out)
    assert not (killed / "status.json").exists()
    again = selfplay("--resume", str(killed), "--workers", "0")
    assert again.returncode == 0, again.stderr
    assert same_end(run, killed)

    (killed / "checkpoints" / "last" / "algorithm_state.pkl").write_bytes(b"broken")
    (killed / "report.html").unlink()
    broken = selfplay("--resume", str(killed), "--workers", "0")
    assert broken.returncode == 2
    assert "the checkpoint is damaged" in broken.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_ctrl_c_finishes_the_iteration_and_writes_the_report(tmp_path: Path) -> None:
    words = command("two_mm_one_trader", *SETTINGS, "--workers", "1", "--iterations", "500", "--out", str(tmp_path))
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_line(process, "/500")
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=900)
    assert process.returncode == 0, complaints
    run = run_of(tmp_path)
    status = json.loads((run / "status.json").read_text())
    assert status == {"iteration": len(numbers(run)), "finished": False}
    assert 0 < status["iteration"] < 500
    assert (run / "report.html").is_file()
    assert "report.html" in rest
    assert "continue with" in complaints
    assert "Traceback" not in rest + complaints
