"""python -m arena.evaluate RUN|SCENARIO ...: judge a run again, judge a scripted line-up, or compare several runs.

A run folder: tournament, ratings, Nash gap, comparisons, final games and report are made anew from what it stored.
A scenario whose seats are all scripted or snapshots is judged without training, in a new run folder.
Several run folders: those that were not judged yet are, then one page compares them all.
Exit codes: 0 fine, 1 judging failed, 2 bad usage, scenario or run folder.
"""

import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # before torch: idle threads must not spin on cores that others need
os.environ.setdefault("GOMP_SPINCOUNT", "0")


def main(
    targets: Annotated[
        list[str], typer.Argument(metavar="RUN|SCENARIO...", help="run folders, or one scenario file or shipped name")
    ],
    out: Annotated[Path, typer.Option(help="folder for what is not a run yet: line-ups and comparisons")] = Path(
        "runs"
    ),
    cores: Annotated[int | None, typer.Option(min=1, help="threads for best responders; default: all cores")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="with several runs: judge also those that were judged")
    ] = False,
    comparisons: Annotated[
        bool, typer.Option("--comparisons", help="runs: only the comparisons with baselines, and the report")
    ] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="change a setting: evaluation.games=1024")] = None,
) -> None:
    """Measure what a run or a line-up is worth: tournament, ratings, Nash gap, comparisons, report."""
    raise typer.Exit(_guarded(targets, out, cores or os.cpu_count() or 1, again, set_ or [], comparisons))


def _guarded(
    targets: list[str], out: Path, cores: int, again: bool, changes: list[str], comparisons: bool = False
) -> int:
    """Everything behind the command line; returns the exit code."""
    from arena.league.snapshot import SnapshotError
    from arena.mistakes import ScenarioError
    from arena.runs.run_folder import RunFolder, RunFolderError
    from arena.scenario import dump, load, loads

    try:
        if len(targets) == 1 and not Path(targets[0]).is_dir():
            scenario = load(targets[0], changes)
            learning = [seat for seat, one in scenario.players.items() if one.kind == "learned"]
            if learning:
                return _refuse(
                    f"{targets[0]}: players: {', '.join(learning)} learn; give a run folder, or name who plays with "
                    f"--set players.{learning[0]}.kind=..."
                )
            runs = [(RunFolder.create(out, scenario, sys.argv), scenario)]
        else:
            runs = []
            for target in targets:
                if not Path(target).is_dir():
                    return _refuse(f"{target}: no such run folder; several targets must all be run folders")
                run, stored = RunFolder.open(target)
                runs.append((run, loads(dump(stored), changes, source=target) if changes else stored))
    except (ScenarioError, RunFolderError) as error:
        return _refuse(str(error))
    for run, scenario in runs:
        if len(runs) > 1 and not (again or comparisons) and (run.path / "comparisons.json").is_file():
            continue
        try:
            _judge(run, scenario, cores, comparisons)
        except (SnapshotError, RunFolderError, ValueError) as error:
            return _refuse(str(error))
        except KeyboardInterrupt:
            return _refuse(f"{run.path}: stopped; what was there before is still there", 1)
        except Exception as error:
            with contextlib.suppress(OSError):
                run.write_text("error.txt", traceback.format_exc())
            return _refuse(f"{run.path}: judging failed: {type(error).__name__}: {error} (details in error.txt)", 1)
    if len(runs) > 1:
        return _compare([run.path for run, _ in runs], out)
    return 0


def _judge(run: Any, scenario: Any, cores: int, comparisons: bool) -> None:
    """Judge one run and write its report; progress to standard error, results to standard output."""
    from arena import report
    from arena.judge import compare_again, final_networks, judge, profile_of

    with run.lock():
        networks = final_networks(run.path, scenario)
        iteration = int(run.status().get("iteration", 0))
        profile = profile_of(scenario, networks)
        if comparisons:
            lines = spell_comparisons(compare_again(run, scenario, profile))
        else:
            lines = spell(judge(run, scenario, profile, iteration, cores=cores, say=_tell))
        page = report.write(run.path)
    for line in lines:
        print(line)
    print(page)


def spell(verdict: Any) -> list[str]:
    """A verdict as lines: gain per seat, NashConv, comparisons with baselines, targets."""
    gap, percent = verdict.gap, f"{100 * verdict.gap.confidence:g} %"
    lines = [
        f"{s.seat}: best response gains {s.gain:.4g} ({percent}: {s.low:.4g} to {s.high:.4g}; {s.kind}; {s.engine})"
        for s in gap.seats
    ]
    share = (
        f"; {100 * gap.relative:.3g} % of the naive profile's {gap.naive.nashconv:.4g}, "
        f"at most {100 * gap.relative_high:.3g} %"
        if gap.naive
        else ""
    )
    lines.append(f"NashConv {gap.nashconv:.4g} ({percent}: {gap.low:.4g} to {gap.high:.4g}){share}")
    return lines + spell_comparisons(verdict.comparisons)


def spell_comparisons(comparisons: Any) -> list[str]:
    """Comparisons with baselines and targets, as lines."""
    lines, percent = [], f"{100 * comparisons['confidence']:g} %"
    for row in comparisons["rows"]:
        saving = row.get("saving")
        saved = (
            f"; saves {100 * saving['mean']:.3g} % ({100 * saving['low']:.3g} to {100 * saving['high']:.3g})"
            if saving
            else ""
        )
        interval = f"{percent}: {row['low']:.4g} to {row['high']:.4g}"
        lines.append(f"{row['seat']} over {row['other']}: {row['mean']:.4g} ({interval}){saved}")
    for target in comparisons["targets"]:
        reached = "reached" if target["reached"] else "missed"
        lines.append(f"target {reached}: {target['name']}: {target['value']:.4g} (wanted: {target['bound']:g})")
    return lines


def _compare(folders: list[Path], out: Path) -> int:
    """One page over several runs, in out/compared/<first run's scenario>."""
    from arena import report

    try:
        page = report.write_aggregate(folders, out / "compared" / folders[0].parent.name)
    except OSError as error:
        return _refuse(f"{out}: cannot be written ({error.strerror or error}); allowed is a folder you can write to")
    print(page)
    return 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _refuse(sentence: str, code: int = 2) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    typer.run(main)
