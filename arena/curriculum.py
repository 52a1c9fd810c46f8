"""python -m arena.curriculum [FILE]: climb a ladder of phases; each must pass its gate before the next one opens.

A plain loop: train what is missing by `arena.selfplay`, judge it, write the gate and the page, go on or stop. Repeating
the command continues where it stopped, also after a kill: runs are found by scenario and seed, gates by phase.
Exit codes: 0 all that was asked has passed, 1 a run failed or was stopped, 2 bad usage, or a phase is closed, stale or
damaged where that cannot be mended here, 3 a gate has failed. There is no way to force a gate.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from arena.gates.gate import Gate
    from arena.gates.ladder import Ladder
    from arena.gates.settings import Rung
    from arena.runs.run_folder import RunFolder

# Before torch and Ray are imported anywhere: idle threads must not spin on cores that others need.
for _name, _value in (("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal"),
                      ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")):  # fmt: skip
    os.environ.setdefault(_name, _value)

DEFAULT = "option_market_maker"
FAILED = 3


class Stop(Exception):
    """The climb ends here: a sentence for the terminal and the exit code."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


def main(
    file: Annotated[str, typer.Argument(help="a curriculum file, or the name of a shipped one")] = DEFAULT,
    status: Annotated[
        bool, typer.Option("--status", help="say where the ladder stands, write its page, and stop")
    ] = False,
    phase: Annotated[str, typer.Option(help="only this phase; those before it must have passed")] = "",
    seeds: Annotated[str, typer.Option(help="training seeds in place of the file's, e.g. 0 or 5-9")] = "",
    out: Annotated[Path, typer.Option(help="folder of run folders; the ladder is OUT/curriculum/NAME")] = Path("runs"),
    workers: Annotated[int, typer.Option(min=0, help="Ray environment runners; 0: play in this process")] = 0,
    judge_only: Annotated[bool, typer.Option("--judge-only", help="judge what is trained, train nothing")] = False,
) -> None:
    """Train and judge the phases of a curriculum in order; stop at the first gate that fails."""
    from arena.selfplay import numbers_of

    asked = numbers_of(seeds) if seeds else []
    raise typer.Exit(_guarded(file, status, phase, asked, out, workers, judge_only))


def _guarded(
    file: str, status: bool, phase: str, seeds: Sequence[int], out: Path, workers: int, judge_only: bool
) -> int:
    """Everything behind the command line; returns the exit code."""
    from arena.gates import settings
    from arena.gates.ladder import Ladder
    from arena.mistakes import ScenarioError
    from arena.runs.run_folder import RunFolder, RunFolderError

    try:
        curriculum, rungs, found = settings.load(file)
        ladder = Ladder(curriculum, rungs, found, out.absolute())
        wanted = [ladder.rung(phase)] if phase else list(rungs)
    except ScenarioError as error:
        return _refuse(str(error))
    except KeyError as error:
        return _refuse(str(error.args[0]))
    if status:
        show(ladder, seeds)
        with contextlib.suppress(OSError):
            _page(ladder, seeds)
        return 0
    try:
        with RunFolder(ladder.path).lock("climbing"):
            for rung in wanted:
                climb(ladder, rung, seeds, workers, judge_only)
    except Stop as end:
        return _refuse(str(end), end.code)
    except RunFolderError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return _refuse("stopped; the same command continues", 1)
    print(f"{ladder.path / 'ladder.html'}")
    return 0


def climb(ladder: "Ladder", rung: "Rung", seeds: Sequence[int], workers: int, judge_only: bool) -> None:
    """Bring one phase to a passed gate; raises Stop with a sentence and an exit code where that is not possible."""
    here = ladder.standing(rung, seeds)
    if here.state == "closed":
        raise Stop(here.reason, 2)
    if here.state == "damaged":
        raise Stop(f"gate {rung.name} is {here.reason}; restore {ladder.path}/gates/{rung.name}.json, or judge anew "
                   "after moving it away", 2)  # fmt: skip
    if here.state == "passed":
        _say(f"{rung.name}: {here.reason}")
        return
    chosen = ladder.seeds_of(rung, seeds)
    if why := ladder.picked(rung, chosen):
        raise Stop(why, 2)
    failed = here.gate if here.state == "failed" else None
    anew = failed is not None and set(failed.seeds) == set(chosen)
    if failed is not None and anew and (judge_only or not failed.older_sources):
        raise Stop(_failed(ladder, failed), FAILED)
    if here.state == "stale":
        _say(f"{rung.name}: {here.reason}; it is judged anew")
    while True:
        runs = _trained(ladder, rung, chosen, ladder.sources(rung) if anew else "", workers, judge_only)
        gate = judge(ladder, rung, runs)
        _say(f"{rung.name}: {gate.verdict}")
        if gate.passed:
            return
        if judge_only or anew or not gate.older_sources:
            raise Stop(_failed(ladder, gate), FAILED)
        anew = True
        _say(f"{rung.name}: its weights were trained with other sources; they are trained anew")


def _failed(ladder: "Ladder", gate: "Gate") -> str:
    from arena.gates.ladder import numbers

    first = max(max(one.seeds) for one in gate.attempts) + 1
    fresh = numbers(range(first, first + len(ladder.curriculum.seeds)))
    return (
        f"phase {gate.phase} has {gate.verdict} (attempt {len(gate.attempts)}). "
        f"The next phase stays closed; change the scenario, or train other seeds: --phase {gate.phase} --seeds {fresh}"
    )


def _trained(
    ladder: "Ladder", rung: "Rung", seeds: Sequence[int], source: str, workers: int, judge_only: bool
) -> "dict[int, RunFolder]":
    """The finished runs of all seeds, trained where they are missing; raises Stop where one does not end."""
    from arena.gates.bench import GateError
    from arena.gates.ladder import numbers
    from arena.gates.starts import run_to_train
    from arena.runs.run_folder import RunFolder, RunFolderError
    from arena.selfplay import train

    def to(run: RunFolder, until: int | None) -> bool:
        done = train(run, rung.seeded(seed), workers, None, False, 1, until)
        return done or (until is not None and run.status().get("iteration", 0) >= until)

    runs: dict[int, RunFolder] = {}
    try:
        runs = ladder.trained(rung, seeds, source)
        missing = [seed for seed in seeds if seed not in runs]
        if missing and judge_only:
            what = f"seed{'s' if len(missing) > 1 else ''} {numbers(missing)} of phase {rung.name}"
            raise Stop(f"--judge-only: {what} are not trained; allowed are phases whose runs are finished", 2)
        for seed in missing:
            place = f"{[one.name for one in ladder.rungs].index(rung.name) + 1} of {len(ladder.rungs)}"
            _say(f"phase {rung.name} ({place}): training seed {seed}, {len(runs)} of {len(seeds)} seeds are done")
            run: RunFolder | None = None
            try:
                run = run_to_train(ladder, rung, seed, source, to)
                if run is None or not to(run, None):
                    raise Stop("stopped; the same command continues", 1)
            except (Stop, GateError, RunFolderError, KeyboardInterrupt):
                raise
            except Exception as error:
                where = ladder.path if run is None else run.path
                with contextlib.suppress(OSError):
                    RunFolder(where).write_text("error.txt", traceback.format_exc())
                told = f"{type(error).__name__}: {error} (details in error.txt)"
                raise Stop(f"{where}: the run failed: {told}", 1) from None
            runs[seed] = run
            _page(ladder, seeds)
    except (GateError, ValueError) as error:
        raise Stop(str(error), 2) from None
    return {seed: runs[seed] for seed in seeds}


def judge(ladder: "Ladder", rung: "Rung", runs: "dict[int, RunFolder]") -> "Gate":
    """Judge a phase on its runs and write its gate; raises Stop where it cannot be judged."""
    from datetime import UTC, datetime
    from importlib import metadata

    from arena.gates import gate as gates
    from arena.gates.bench import GateError
    from arena.gates.gate import Attempt, Gate
    from arena.gates.judging import judge_phase, roots_of
    from arena.gates.ladder import phase_file
    from arena.league.snapshot import SnapshotError
    from arena.runs.run_folder import git_state

    source, now = ladder.sources(rung), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        found = judge_phase(ladder.curriculum, rung, runs, ladder.out, _say, ladder.schemes(rung))
    except (GateError, SnapshotError) as error:
        raise Stop(f"phase {rung.name} cannot be judged: {error}", 2) from None
    past = gates.attempts(ladder.path, rung.name)
    attempt = Attempt(
        seeds=tuple(runs), passed=found.passed, verdict=found.verdict, phase_sha256=rung.hash,
        scenario_hash=rung.scenario.hash, source_sha256=source, weights_sha256=found.weights, utc=now,
    )  # fmt: skip
    about = {seed: phase_file(run) for seed, run in runs.items()}
    version = None
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("option-arena")
    gate = gates.seal(Gate(
        curriculum=ladder.curriculum.name, file=ladder.file, phase=rung.name, passed=found.passed,
        whole=len(runs) >= len(ladder.curriculum.seeds), verdict=found.verdict, seeds=tuple(runs),
        needed=ladder.curriculum.needed(list(runs)), checks=found.checks, scenario_hash=rung.scenario.hash,
        phase_sha256=rung.hash, source_sha256=source, sources=roots_of(rung),
        older_sources=tuple(seed for seed, one in about.items() if one.get("source_sha256", source) != source),
        opened_by=ladder.opened_by(rung), attempts=(*past, attempt),
        started_from={str(seed): one["started_from"] for seed, one in about.items() if one.get("started_from")},
        option_arena=version, git=git_state(), utc=now,
    ))  # fmt: skip
    gates.write(ladder.path, gate)
    _page(ladder, gate.seeds)
    return gate


def show(ladder: "Ladder", seeds: Sequence[int] = ()) -> None:
    """Print where the ladder stands: a row a phase, in 80 columns."""
    from rich.console import Console
    from rich.table import Table

    from arena.pages.ladder import COLOURS

    rows = ladder.rows(seeds)
    passed = sum(row["state"] == "passed" for row in rows)
    following = next((row["name"] for row in rows if row["state"] != "passed"), "")
    table = Table(title=f"{ladder.curriculum.name}: {passed} of {len(rows)} phases passed"
                  + (f"; next: {following}" if following else ""), title_justify="left", expand=False)  # fmt: skip
    for head, wide in (("phase", None), ("state", None), ("why", 48)):
        table.add_column(head, width=wide, overflow="fold")
    for row in rows:
        table.add_row(row["name"], f"[{COLOURS[row['state']]}]{row['words']}[/]", row["sentence"])
    Console().print(table)


def _page(ladder: "Ladder", seeds: Sequence[int] = ()) -> None:
    from arena.pages.ladder import write

    write(ladder.path, ladder.curriculum.name, ladder.curriculum.description, ladder.rows(seeds))


def _say(text: str) -> None:
    print(text, flush=True)


def _refuse(sentence: str, code: int = 2) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    typer.run(main)
