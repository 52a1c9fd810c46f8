"""python -m arena.selfplay SCENARIO: play, train, keep a league, measure the gap, write the report.

The whole run on one page: load -> run folder -> Ray -> iterations (checkpoint, gap, console) -> judge -> report.
Exit codes: 0 fine, 1 the run failed, 2 bad usage, scenario or run folder.
"""

import contextlib
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

# Before torch and Ray are imported anywhere: idle threads must not spin on cores that others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def train(
    run: Any, scenario: Any, workers: int, address: str | None, dashboard: bool, threads: int, until: int | None = None
) -> bool:
    """Train a run from its newest checkpoint, or from the start, and judge it; returns whether it came to its end.

    `run` is a RunFolder. Ctrl-C finishes the iteration, saves and judges what there is. With `until` it stops after
    that many iterations and keeps its weights, unjudged.
    """
    import torch

    from arena.runs.console import Watch
    from arena.runs.run_folder import GAPS, METRICS, STATUS, TensorBoard
    from arena.training.ppo import configure
    from arena.training.seats import learner_names
    from arena.training.session import Gauges, alarms, line_of, ray_session, trainer

    torch.set_num_threads(threads)
    training, every, cores = scenario.training, scenario.evaluation.gap_every, os.cpu_count() or 1
    agents = sum(len(role.agents) for role in scenario.market.roles)
    names, last = learner_names(scenario), run.checkpoint()
    end = min(training.iterations, until or training.iterations)
    with run.lock(), stopping() as stop, ray_session(workers, address, dashboard):
        if dashboard:
            print(
                "dashboard: http://127.0.0.1:8265, log in with the token that `ray get-auth-token` prints",
                file=sys.stderr,
            )
        config = configure(scenario, workers=workers, league_folder=run.path / "league")
        with trainer(config.build_algo()) as algorithm:
            if last is not None:
                restore(algorithm, last)
            else:
                start_from(algorithm, run)
            for name in (METRICS, GAPS):
                run.drop_lines_after(name, algorithm.iteration)
            history, spent = run.lines(METRICS), [0.0]
            board, gauges = TensorBoard(run), Gauges(scenario.name)
            title = f"{scenario.name}, seed {training.seed}, {run.path}"
            with Watch(title, [name for name in names if "exploiter" not in name], training.iterations) as watch:
                watch.gap = next(
                    (line["relative"] or math.nan for line in run.lines(GAPS)[-1:] if "relative" in line), math.nan
                )
                while algorithm.iteration < end and not stop:
                    started = time.perf_counter()
                    result = algorithm.train()
                    seconds, done = time.perf_counter() - started, algorithm.iteration
                    line = line_of(result, agents, seconds)
                    line["agent_steps_per_s"] = training.games * scenario.decisions * agents / seconds
                    line["wall_s"] = (history[-1].get("wall_s", 0.0) if history else 0.0) + seconds
                    line["alarms"] = alarms([*history, line], names)
                    history.append(line)
                    run.add_line(METRICS, line)
                    board.write(line)
                    gauges.show(line)
                    for note in algorithm.take_notes():
                        watch.note(note)
                    if every and done % every == 0 and done < training.iterations and not stop:
                        watch.gap = measure(run, scenario, algorithm, gauges, cores, watch.note)
                    if done % training.checkpoint_every == 0 or done == end or stop:
                        run.save_checkpoint(algorithm.save_to_path)
                    spent = [*[s for s in spent if s][-30:], time.perf_counter() - started]
                    watch.show(line, sum(spent) / len(spent) * (training.iterations - done))
                if end < training.iterations and not stop:
                    keep_profile(run, scenario, learned(algorithm), algorithm.iteration)
                else:
                    watch.gap = measure(run, scenario, algorithm, gauges, cores, watch.note, final=True)
            board.close()
            gauges.show_ratings(algorithm.league.ratings)
            finished = algorithm.iteration >= training.iterations
            run.write_json(STATUS, {"iteration": algorithm.iteration, "finished": finished})
    return finished


def restore(algorithm: Any, checkpoint: Path) -> None:
    """Continue from a checkpoint; raises RunFolderError with a sentence when it is damaged."""
    from arena.league.snapshot import SnapshotError
    from arena.runs.run_folder import RunFolderError

    try:
        algorithm.restore_from_path(str(checkpoint))
    except SnapshotError as error:
        raise RunFolderError(str(error)) from None
    except Exception as error:
        raise RunFolderError(
            f"{checkpoint}: the checkpoint cannot be read ({type(error).__name__}: {error})"
        ) from error


def start_from(algorithm: Any, run: Any) -> None:
    """Give the learners the weights in the run's folder `start`, where there is one."""
    from arena.league import snapshot
    from arena.runs.run_folder import START

    folder = run.path / START
    algorithm.start_from({path.stem: snapshot.read(folder, path.stem).weights for path in folder.glob("*.json")})


def learned(algorithm: Any) -> dict[str, Any]:
    """The weights that are judged, of the roles that learn."""
    return {role: weights for role, weights in algorithm.profile_weights().items() if role in algorithm.seats}


def keep_profile(run: Any, scenario: Any, networks: Any, iteration: int) -> None:
    """Store the final policies, promoted or not, beside the league: profile/<role>-<iteration>.npz."""
    from arena.league import snapshot

    for role, weights in networks.items():
        name = f"{role}-{iteration:05d}"
        with contextlib.suppress(snapshot.SnapshotExistsError):  # the same iteration judged again
            snapshot.write(run.path / "profile", snapshot.Member(name, role, iteration, scenario.hash, weights))


def measure(
    run: Any, scenario: Any, algorithm: Any, gauges: Any, cores: int, say: Any, *, final: bool = False
) -> float:
    """Measure how good the profile is now, with everything and a report at the end; returns the relative Nash gap."""
    from arena import judge, report
    from arena.league import tournament

    networks = learned(algorithm)
    profile, done = judge.profile_of(scenario, networks), algorithm.iteration
    if final:
        keep_profile(run, scenario, networks, done)
        gap = judge.judge(run, scenario, profile, done, cores=cores, say=say).gap
        report.write(run.path)
    else:
        gap, line = judge.gap_line(scenario, profile, done, quick=True, cores=cores)
        run.add_line("nash_gap.jsonl", line)
        if scenario.league.follows_payoffs:
            entrants = judge.entrants_of(scenario, profile, run.path / "league")
            games, seed = scenario.evaluation.tournament_games, scenario.evaluation.seed
            tensor = tournament.pay_offs(scenario.judged.market, entrants, games=games, seed=seed + done)
            algorithm.league.set_payoffs(tensor.game, tensor.members)
    gauges.show_gap(gap.nashconv)
    return gap.relative


@contextlib.contextmanager
def stopping() -> Iterator[list[int]]:
    """A list, empty until Ctrl-C or a termination signal asks to finish the iteration; a second one interrupts."""
    asked: list[int] = []

    def ask(number: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("finishing this iteration, then saving and reporting (again to stop at once)", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def numbers_of(text: str) -> list[int]:
    """`3` or `0-4` or `0,2,5-7` as numbers; raises typer.BadParameter."""
    out: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            out += range(int(first), int(last or first) + 1)
    except ValueError:
        raise typer.BadParameter(f"found {text!r}; allowed are numbers and ranges such as 0-4 or 0,2,5-7") from None
    if not out:
        raise typer.BadParameter(f"found {text!r}, an empty range; allowed are ranges such as 0-4")
    return list(dict.fromkeys(out))


def main(
    scenario: Annotated[str, typer.Argument(help="a scenario file, or the name of a shipped one")] = "",
    out: Annotated[Path, typer.Option(help="folder that run folders are made in")] = Path("runs"),
    iterations: Annotated[int | None, typer.Option(help="training iterations, in place of the scenario's")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of games, networks and exploration")] = None,
    seeds: Annotated[
        str, typer.Option(help="several runs, e.g. 0-4; repeat the command to continue what was not finished")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, help="Ray environment runners; 0: play in this process")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="threads of one network's arithmetic")] = 1,
    address: Annotated[str, typer.Option(help="join the Ray cluster at this address, e.g. auto")] = "",
    dashboard: Annotated[bool, typer.Option("--dashboard", help="start Ray's dashboard on 127.0.0.1:8265")] = False,
    resume: Annotated[Path | None, typer.Option(help="continue the run in this folder")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="change a setting: training.games=512")] = None,
    after: Annotated[Path | None, typer.Option(help="only if this gate of a curriculum has passed and stands")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check the scenario and stop")] = False,
) -> None:
    """Option makers and traders learn by self-play; the run measures how far they are from a Nash equilibrium."""
    if resume is not None and (scenario or seeds or seed is not None or iterations is not None or set_):
        raise typer.BadParameter(
            "--resume continues a run as it was begun; leave scenario, seeds, iterations and --set out"
        )
    if resume is None and not scenario:
        raise typer.BadParameter("name a scenario, or a run folder with --resume")
    if seeds and seed is not None:
        raise typer.BadParameter("give --seed or --seeds, not both")
    if after is not None:
        from arena.gates.ladder import refusal

        if why := refusal(after):
            raise typer.Exit(_refuse(why))
    raise typer.Exit(
        _guarded(
            scenario, out, iterations, seed, seeds, workers, threads, address, dashboard, resume, set_ or [], dry_run
        )
    )


def _guarded(
    scenario: str, out: Path, iterations: int | None, seed: int | None, seeds: str, workers: int, threads: int,
    address: str, dashboard: bool, resume: Path | None, changes: list[str], dry_run: bool,
) -> int:  # fmt: skip
    """Everything behind the command line; returns the exit code."""
    from arena.mistakes import ScenarioError
    from arena.runs.run_folder import RunFolder, RunFolderError
    from arena.scenario import dump, load

    if dashboard and not _installed("aiohttp"):
        return _refuse("--dashboard needs the extra: pip install 'option-arena[dashboard]'")
    changes = changes + ([f"training.iterations={iterations}"] if iterations is not None else [])
    try:
        if resume is not None:
            runs = [RunFolder.open(resume)]
        else:
            numbers = numbers_of(seeds) if seeds else [seed] if seed is not None else [None]
            wanted = [load(scenario, changes + ([f"training.seed={n}"] if n is not None else [])) for n in numbers]
            if dry_run:
                print(dump(wanted[0]), end="")
                return 0
            if not any(player.kind == "learned" for player in wanted[0].players.values()):
                return _refuse(
                    f"{scenario}: players: no seat learns; python -m arena.evaluate judges a line-up without training"
                )
            runs = [
                (begun(RunFolder, out, one) if seeds else None) or (RunFolder.create(out, one, sys.argv), one)
                for one in wanted
            ]
    except (ScenarioError, RunFolderError) as error:
        return _refuse(str(error))
    code = 0
    for run, one in runs:
        if run.status().get("finished") and (run.path / "report.html").is_file():
            print(f"{run.path / 'report.html'} (finished before)")
            continue
        try:
            finished = train(run, one, workers, address or None, dashboard, threads)
        except RunFolderError as error:
            return _refuse(str(error))
        except KeyboardInterrupt:
            return _refuse(f"stopped; continue with: python -m arena.selfplay --resume {run.path}", 1)
        except Exception as error:
            with contextlib.suppress(OSError):
                run.write_text("error.txt", traceback.format_exc())
            code = _refuse(f"{run.path}: the run failed: {type(error).__name__}: {error} (details in error.txt)", 1)
            continue
        print(f"{run.path / 'report.html'}")
        if not finished:
            print(f"continue with: python -m arena.selfplay --resume {run.path}", file=sys.stderr)
            break
    return code


def begun(folder: Any, out: Path, scenario: Any) -> tuple[Any, Any] | None:
    """The unfinished or finished run of this very scenario and seed under `out` that started fresh, or none."""
    from arena.runs.run_folder import START, RunFolderError

    for path in sorted((out / scenario.name).glob(f"*-{scenario.training.seed}"), reverse=True):
        with contextlib.suppress(RunFolderError):
            run, past = folder.open(path)
            if past.hash == scenario.hash and not (path / START).is_dir():
                return run, past
    return None


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _refuse(sentence: str, code: int = 2) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    typer.run(main)
