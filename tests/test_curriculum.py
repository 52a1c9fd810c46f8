"""The command on real runs: two phases of a toy trained, judged, carried over; and a kill in the middle of training."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.learned import player
from arena.league import snapshot
from tests.gates.conftest import TOY

ROOT = Path(__file__).parent.parent
COMMAND = """
import sys, typer
from arena.markets import catalogue
catalogue.add("toy", "tests.third_market")
from arena.curriculum import main
typer.run(main)
"""
CHECK = "{kind: score, base: {kind: steady}, reference: {kind: steady, action: 1}, at_least: 0.2}"
LADDER = f"""\
name: toys
seeds: [0]
pass_seeds: 1
phases:
  - {{name: post, scenario: toy.yaml, games: 500, checks: [{CHECK}]}}
  - name: cheap
    scenario: toy.yaml
    set: [market.holding=0.1, training.iterations=2]
    games: 500
    start: {{from: post}}
    checks: [{CHECK}]
"""
FAST = "learning_rate: 2.0e-2, games: 64, block: 32"


def place(path: Path) -> Path:
    (path / "toy.yaml").write_text(TOY.replace("games: 32, block: 16", FAST, 1))
    (path / "ladder.yaml").write_text(LADDER)
    return path


def words(path: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, str(path / "ladder.yaml"), "--out", str(path / "runs"), *more]


def gate(path: Path, phase: str) -> dict:
    return json.loads((path / "runs" / "curriculum" / "toys" / "gates" / f"{phase}.json").read_text())


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = place(tmp_path_factory.mktemp("climbed"))
    done = subprocess.run(words(path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("ladder.html")
    return path


def test_help_and_a_wrong_file_answer_without_loading_what_is_slow() -> None:
    probe = "import sys; import arena.curriculum; print([m for m in ('torch', 'ray', 'numba') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    command = [sys.executable, "-m", "arena.curriculum", "option_market_makr"]
    wrong = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "did you mean 'option_market_maker'?" in wrong.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_ladder_is_climbed_by_real_training_and_the_second_phase_goes_on_from_the_first(climbed: Path) -> None:
    first, second = gate(climbed, "post"), gate(climbed, "cheap")
    assert first["passed"]
    assert second["passed"]
    run = climbed / "runs" / second["checks"][0]["per_seed"][0]["run"]
    before = climbed / "runs" / first["checks"][0]["per_seed"][0]["run"]
    start, end = snapshot.read(run / "start", "poster"), snapshot.read(before / "profile", "poster-00010")
    assert all(
        (start.weights[key] == end.weights[key]).all() for key in ("policy.2.weight", "linear", "policy.0.weight")
    )
    opened = snapshot.read(run / "league", "poster-00000").weights
    assert snapshot.digest(opened) == snapshot.digest(start.weights)  # training did begin there
    assert player(opened)
    assert (run / "report.html").is_file()
    page = (climbed / "runs" / "curriculum" / "toys" / "ladder.html").read_text()
    assert "Phases passed: 2 of 2" in page
    assert f'href="../../{run.parent.name}/{run.name}/report.html"' in page


@pytest.mark.ray
@pytest.mark.slow
def test_killed_while_it_trains_it_ends_where_the_other_one_did(climbed: Path, tmp_path: Path) -> None:
    """Kill -9 after the fifth iteration, when the newest checkpoint is that of the fourth; the gate is the same."""
    path = place(tmp_path)
    process = subprocess.Popen(
        words(path, "--phase", "post"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert any(line.lstrip().startswith("5/10") for line in process.stdout)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (run,) = (path / "runs" / "toy").iterdir()
    assert not (run / "profile").exists()
    done = subprocess.run(words(path, "--phase", "post"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 5/10" in done.stdout
    assert " 4/10" not in done.stdout
    assert list((path / "runs" / "toy").iterdir()) == [run]
    mine, other = (gate(one, "post")["checks"][0]["per_seed"][0] for one in (path, climbed))
    assert {**mine, "run": ""} == {**other, "run": ""}  # the same weights, games and bounds, in every bit
