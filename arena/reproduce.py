"""python -m arena.reproduce PAPER [--out DIR]: a paper's figures or tables made anew, with a verdict for each.

`fang_xu` is drawn from exact solutions in seconds. `hawkes_book` is a table of rows that must be trained and played:
what is missing is done, seed by seed, finished seeds and runs are used again, and the same command continues after a
stop. A row's numbers lie in a small file (docs/results/hawkes_book), from which it also continues in a fresh clone.
The page is self-contained; beside it lie the numbers as JSON. To add a paper, write a module that builds its
`Reproduction` and name it in `PAPERS`. Exit codes: 0 fine, 1 stopped or failed, 2 bad usage or a damaged file.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from arena.markets.book.papers.row_files import SeedNumbers
    from arena.markets.book.papers.rows import Row

PAPERS = {"fang_xu": "arena.markets.dealer.papers.fang_xu", "hawkes_book": "arena.markets.book.papers.hawkes_book"}
"""Paper -> the module whose `reproduction(say)` builds its page."""
WITH_ROWS = ("hawkes_book",)
"""Papers whose numbers are trained and played row by row."""
ROW_FILE = "row.json"
"""What is left in the folder of a row's run: by which sources it was trained."""

Say = Callable[[str], None]


class Stop(Exception):
    """The command ends here: a sentence for the terminal and the exit code."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


def write(paper: str, out: str | Path, say: Say = lambda _: None, **where: Any) -> Path:
    """Write <paper>.html and <paper>.json into `out` and return the page's path; `say` hears of each figure.

    `where` goes to the paper's `reproduction`. Raises KeyError for a paper that is not in `PAPERS`.
    """
    module = import_module(PAPERS[paper])
    from arena.report import write_page

    made = module.reproduction(say, **where)
    sections = {f"figures {i}": section for i, section in enumerate(made.sections)}
    return write_page(
        Path(out), paper, sections,
        title=made.title, headline={"sentence": made.headline, "notes": made.notes, "winner": "", "tiles": made.tiles},
        alarms=[], calm=made.method,
        reproduce={"command": f"python -m arena.reproduce {paper}", "facts": made.facts, "scenario": ""},
        footer=made.footer,
    )  # fmt: skip


class Rows:
    """The rows of a paper that are asked for: where their files lie, what is asked of each, and how it is come by."""

    def __init__(self, paper: str, names: list[str], quick: bool, files: Path | None, runs: Path, cores: int, say: Say):
        """Raises KeyError with a sentence for a name that is no row's."""
        from arena.gates.sources import source_sha256
        from arena.markets.book.papers import row_files, rows

        module = import_module(PAPERS[paper])
        self.rows = rows.chosen(names)
        self.wanted: Mapping[int, int] = row_files.QUICK if quick else row_files.FULL
        self.files, self.runs = files or module.FOLDER, runs / paper
        self.cores, self.say = cores, say
        self.sources = source_sha256(module.SOURCES, module.JUDGES)

    def show(self) -> None:
        """Print how every row stands."""
        for row in self.rows:
            self.say(f"row {row.name} is {self._standing(row).reason}")

    def _standing(self, row: "Row") -> Any:
        from arena.markets.book.papers.row_files import standing

        return standing(self.files, row, self.sources, self.wanted)

    def fill(self, workers: int) -> None:
        """Train and play what is missing, row by row; raises Stop with a sentence where that is not possible."""
        damaged = [one.reason for one in map(self._standing, self.rows) if one.state == "damaged"]
        if damaged:
            raise Stop(damaged[0].removeprefix("damaged: "), 2)
        for i, row in enumerate(self.rows):
            here = self._standing(row)
            self.say(f"row {row.name} ({i + 1} of {len(self.rows)}) is {here.reason}")
            if here.state == "finished":
                continue
            file = here.file if here.state == "begun" else None
            kept, due = (list(file.seeds), file.missing(self.wanted)) if file else ([], list(self.wanted))
            networks = {seed: self._trained(row, seed, workers) if row.learns else None for seed in due}
            for numbers in self._played(row, networks):
                kept = sorted([*(one for one in kept if one.seed != numbers.seed), numbers], key=lambda one: one.seed)
                self._keep(row, kept)

    def _trained(self, row: "Row", seed: int, workers: int) -> Mapping[str, Any]:
        """The weights of a row's training seed; a run of these sources is continued or used as it is."""
        import json

        from arena.judge import final_networks
        from arena.league.snapshot import SnapshotError
        from arena.runs.run_folder import RunFolder, RunFolderError
        from arena.selfplay import begun, train

        scenario = row.scenario(seed)
        try:
            found = begun(RunFolder, self.runs / row.name, scenario)
            run = found[0] if found else None
            mark = run.path / ROW_FILE if run else Path()
            if run is None or not mark.is_file() or json.loads(mark.read_text())["sources_sha256"] != self.sources:
                run = RunFolder.create(self.runs / row.name, scenario, sys.argv)
                run.write_json(ROW_FILE, {"row": row.name, "sources_sha256": self.sources})
            if not run.status().get("finished"):
                self.say(f"row {row.name}: training seed {seed}, {scenario.training.iterations} iterations, {run.path}")
                if not train(run, scenario, workers, None, False, 1):
                    raise Stop("stopped; the same command continues", 1)
            return final_networks(run.path, scenario)["maker"]
        except (RunFolderError, SnapshotError) as error:
            raise Stop(str(error), 1) from None

    def _played(self, row: "Row", networks: Mapping[int, Any]) -> "Iterator[SeedNumbers]":
        """The test games of seeds, a process each where there are cores."""
        from concurrent.futures import ProcessPoolExecutor, as_completed
        from multiprocessing import get_context

        jobs = [(row.name, seed, self.wanted[seed], weights) for seed, weights in networks.items()]
        if min(self.cores, len(jobs)) < 2:
            for job in jobs:
                yield _measured(*job)
            return
        with ProcessPoolExecutor(min(self.cores, len(jobs)), get_context("spawn")) as processes:
            for one in as_completed([processes.submit(_measured, *job) for job in jobs]):
                yield one.result()

    def _keep(self, row: "Row", seeds: "Sequence[SeedNumbers]") -> None:
        """Write a row's file."""
        from datetime import UTC, datetime

        from arena.markets.book.papers.row_files import RowFile, write
        from arena.runs.run_folder import git_state

        file = RowFile(
            row=row.name, scenario_sha256=row.scenario().hash, sources_sha256=self.sources, seeds=tuple(seeds),
            commit=(git_state() or {}).get("commit"), utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        write(self.files, file)
        newest = file.seeds[-1]
        self.say(f"row {row.name}: {len(seeds)} of {len(self.wanted)} seeds are kept, {newest.verdict}")


def _measured(name: str, seed: int, games: int, weights: Mapping[str, Any] | None) -> "SeedNumbers":
    """One seed's test games, in this process or another; says on the terminal how far it is."""
    from arena.markets.book.papers.measured import measure
    from arena.markets.book.papers.rows import ROWS

    started = time.perf_counter()

    def heard(played: int) -> None:
        words = f"row {name}, seed {seed}: {played} of {games} games, {time.perf_counter() - started:.0f} s"
        print(f"         {words}", file=sys.stderr, flush=True)

    return measure(ROWS[name].scenario(seed), seed, games, weights, heard)


def main(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help=f"one of: {', '.join(PAPERS)}")],
    out: Annotated[Path, typer.Option(help="folder that the page is written into")] = Path("reproductions"),
    rows: Annotated[list[str] | None, typer.Option(help="only these rows: --rows standard_exp,standard_pl")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="one training seed and 2 000 games a row")] = False,
    status: Annotated[bool, typer.Option("--status", help="say how the rows stand, and stop")] = False,
    files: Annotated[Path | None, typer.Option(help="folder of the row files; the repository's, if left out")] = None,
    runs: Annotated[Path, typer.Option(help="folder of run folders")] = Path("runs"),
    workers: Annotated[int, typer.Option(min=0, help="Ray environment runners; 0: play in this process")] = 1,
    cores: Annotated[int, typer.Option(min=1, help="processes that play test games")] = os.cpu_count() or 1,
) -> None:
    """Make a paper's figures or tables anew and say of each statement whether it holds."""
    if paper not in PAPERS:
        raise typer.Exit(_refuse(f"paper: found {paper!r}; allowed are {', '.join(PAPERS)}"))
    if paper not in WITH_ROWS and (rows or quick or status or files):
        words = ", ".join(WITH_ROWS)
        raise typer.Exit(_refuse(f"{paper}: it has no rows; --rows, --quick, --status and --files are for {words}"))
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {what}", file=sys.stderr, flush=True)

    try:
        where = {}
        if paper in WITH_ROWS:
            names = [name for one in rows or () for name in one.split(",") if name]
            table = Rows(paper, names, quick, files, runs.absolute(), cores, say)
            if status:
                table.show()
                return
            table.fill(workers)
            where = {"folder": table.files}
        print(write(paper, out, say, **where))
    except Stop as end:
        raise typer.Exit(_refuse(str(end), end.code)) from None
    except KeyError as error:
        raise typer.Exit(_refuse(str(error.args[0]))) from None
    except KeyboardInterrupt:
        raise typer.Exit(_refuse("stopped; the same command continues", 1)) from None
    except OSError as trouble:
        raise typer.Exit(_refuse(f"--out: {trouble}; allowed is a folder that can be written")) from None


def _refuse(sentence: str, code: int = 2) -> int:
    typer.echo(sentence, err=True)
    return code


if __name__ == "__main__":
    typer.run(main)
