"""python -m arena.reproduce PAPER [--out DIR]: a paper's figures drawn anew, with a verdict for each, on one page.

Nothing is fetched and nothing is learned: every curve is the exact solution of the paper's model, or of the market that
plays it. The page is self-contained; beside it lie the numbers as JSON. To add a paper, write a module that builds its
`Reproduction` and name it in `PAPERS`. Exit codes: 0 fine, 2 bad usage.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

PAPERS = {"fang_xu": "arena.markets.dealer.papers.fang_xu"}
"""Paper -> the module whose `reproduction(say)` builds its page."""


def write(paper: str, out: str | Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Write <paper>.html and <paper>.json into `out` and return the page's path; `say` hears of each figure.

    Raises KeyError for a paper that is not in `PAPERS`.
    """
    module = import_module(PAPERS[paper])
    from arena.report import write_page

    made = module.reproduction(say)
    sections = {f"figures {i}": section for i, section in enumerate(made.sections)}
    return write_page(
        Path(out), paper, sections,
        title=made.title, headline={"sentence": made.headline, "notes": made.notes, "winner": "", "tiles": made.tiles},
        alarms=[], calm=made.method,
        reproduce={"command": f"python -m arena.reproduce {paper}", "facts": made.facts, "scenario": ""},
        footer="Curves are exact solutions unless a caption says that they were simulated.",
    )  # fmt: skip


def main(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help=f"one of: {', '.join(PAPERS)}")],
    out: Annotated[Path, typer.Option(help="folder that the page is written into")] = Path("reproductions"),
) -> None:
    """Draw a paper's figures anew and say of each one what holds."""
    if paper not in PAPERS:
        typer.echo(f"paper: found {paper!r}; allowed are {', '.join(PAPERS)}", err=True)
        raise typer.Exit(2)
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {what}", file=sys.stderr, flush=True)

    try:
        print(write(paper, out, say))
    except OSError as trouble:
        typer.echo(f"--out: {trouble}; allowed is a folder that can be written", err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
