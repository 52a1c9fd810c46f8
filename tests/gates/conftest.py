"""A ladder of two phases in the toy market, climbed in milliseconds: training is replaced by weights that are given.

`skill` is the chance, in the network's prior, that the toy's poster posts: at 1 it earns what always posting does.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.heads import Options
from agents.network import Network
from arena import selfplay
from arena.gates import settings
from arena.gates.ladder import Ladder
from arena.league import snapshot
from arena.markets import catalogue
from arena.runs.run_folder import METRICS, START, STATUS, RunFolder
from arena.scenario import Scenario

catalogue.add("toy", "tests.third_market")

TOY = """\
schema_version: 1
name: toy
market: {model: toy}
players: {t_0: {kind: steady}}
training: {iterations: 10, games: 32, block: 16, hidden: [8], epochs: 2, minibatch: 320, together: 1.0,
           checkpoint_every: 2}
evaluation: {games: 64, search: none, gap_every: 0, tournament_games: 16, members: 2}
league: {promotion: {every: 4, games: 32}}
"""
POSTING = "{kind: score, base: {kind: steady}, reference: {kind: steady, action: 1}, at_least: 0.5, stretch: 0.9}"
LADDER = f"""\
schema_version: 1
name: toys
seeds: [0, 1, 2]
pass_seeds: 2
phases:
  - name: post
    question: Does it post?
    scenario: toy.yaml
    games: 500
    checks: [{POSTING}]
  - name: cheap
    scenario: toy.yaml
    set: [market.holding=0.1]
    games: 500
    checks: [{POSTING}]
"""


def network(scenario: Scenario, skill: float, seed: int = 0) -> dict[str, np.ndarray]:
    """A poster's network that posts with a chance near `skill` wherever it may."""
    chances = np.array([1.0 - skill, skill, 1e-6])
    return Network(
        scenario.market.roles[0].observation, Options(chances / chances.sum(), 2, 5), (8,), seed=seed
    ).weights()


def finish(run: RunFolder, scenario: Scenario, skill: float, iteration: int | None = None, seed: int = 0) -> None:
    """Leave in a run folder what training leaves there, as far as gates read it."""
    done, weights = iteration or scenario.training.iterations, network(scenario, skill, seed)
    member = snapshot.Member(f"poster-{done:05d}", "poster", done, scenario.hash, weights)
    snapshot.write(run.path / "profile", member)
    run.add_line(METRICS, {"iteration": done, "wall_s": 60.0})
    run.write_json(STATUS, {"iteration": done, "finished": done >= scenario.training.iterations})


class Trainer:
    """Stands for `selfplay.train`: skill by phase hash or by seed, and the runs that it was asked to train."""

    def __init__(self) -> None:
        self.skill: dict[int, float] = {}
        self.default = 0.95
        self.trained: list[tuple[str, int, int | None]] = []
        self.before: Callable[[RunFolder], None] = lambda run: None

    def __call__(self, run: RunFolder, scenario: Scenario, *rest: Any) -> bool:
        until = rest[-1]
        self.before(run)
        self.trained.append((run.path.name, scenario.training.seed, until))
        skill = self.skill.get(scenario.training.seed, self.default) - 0.3 * (run.path / START).is_dir()
        finish(run, scenario, skill, until, seed=scenario.training.seed)
        return until is None


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    fake = Trainer()
    monkeypatch.setattr(selfplay, "train", fake)
    return fake


class Place:
    """A folder with a toy scenario, a ladder file and a command to climb it."""

    def __init__(self, path: Path):
        self.path, self.file = path, path / "ladder.yaml"
        (path / "toy.yaml").write_text(TOY)
        self.file.write_text(LADDER)

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def ladder(self) -> Ladder:
        return Ladder(*settings.load(self.file), self.path / "runs")

    def gate(self, phase: str) -> Path:
        return self.path / "runs" / "curriculum" / "toys" / "gates" / f"{phase}.json"

    def states(self) -> Mapping[str, str]:
        return {row["name"]: row["state"] for row in self.ladder().rows()}

    def climb(self, *words: str) -> tuple[int, str]:
        """The exit code and all that was printed."""
        import typer
        from typer.testing import CliRunner

        from arena.curriculum import main

        app = typer.Typer()
        app.command()(main)
        done = CliRunner().invoke(app, [str(self.file), "--out", str(self.path / "runs"), *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
