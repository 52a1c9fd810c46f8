"""python -m arena.report RUN: a run folder becomes one self-contained page, report.html, and its numbers, report.json.

Nothing is played or trained here, and nothing is fetched from anywhere: the page shows what the run left behind and
opens offline.  Missing or damaged parts of the folder give a sentence in their place.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from arena.pages.page import Run, Section


def write(folder: str | Path) -> Path:
    """Write report.html and report.json into a run folder and return the page's path."""
    from arena.pages import judging as judged
    from arena.pages import page

    run = page.read(folder)
    makers = (judged.gap, judged.seats, judged.theory, judged.payoff, judged.ratings, *_of_games(run), judged.training)
    made = {make.__name__: _shown(make, run) for make in makers}
    sections = {name: section for name, section in made.items() if section is not None}
    return write_page(
        run.folder,
        "report",
        sections,
        title=f"{run.scenario.get('name', run.folder.parent.name)} · {run.folder.name}",
        headline=judged.headline(run),
        alarms=judged.alarms(run),
        calm="No alarms: nothing in this run looked wrong to the checks that ran during training.",
        reproduce=judged.reproduce(run),
        footer=f"Intervals are {run.percent} and over games unless a figure says otherwise.",
    )


def _of_games(run: "Run") -> "list[Callable[[Run], Section | None]]":
    """The sections about the final games that the market's kit names, its own where it has one of that name."""
    from arena.markets.catalogue import part_named, section_named
    from arena.pages import games

    names: tuple[str, ...] = part_named(run.model, "SECTIONS", games.SECTIONS)
    return [section_named(run.model, name) or getattr(games, name) for name in names]


def _shown(make: "Callable[[Run], Section | None]", run: "Run") -> "Section | None":
    """A section, or a sentence in its place if the file that it shows has another form than expected."""
    from arena.pages.page import Section

    try:
        return make(run)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as trouble:
        sentence = (
            f"What the run left for “{make.__name__}” has an unexpected form ({type(trouble).__name__}: {trouble})."
        )
        run.troubles.append(sentence)
        return Section(make.__name__.capitalize(), missing=sentence)


def write_aggregate(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Write one page over several runs, normally the seeds of one scenario, into `out`: table, bands, paired tests.

    Raises ValueError without a run.
    """
    from arena.pages import judging as judged
    from arena.pages import page
    from arena.pages import seeds as compared

    if not folders:
        raise ValueError("no runs to compare")
    runs = [page.read(folder) for folder in folders]
    names = ", ".join(sorted({str(run.scenario.get("name", run.folder.parent.name)) for run in runs}))
    told = [judged.reproduce(run) for run in runs]
    return write_page(
        Path(out),
        "report",
        {make.__name__: make(runs) for make in (compared.every_run, compared.bands, compared.paired)},
        title=f"{names} · {len(runs)} runs",
        headline=compared.headline(runs),
        alarms=[f"{run.folder.name}: {words}" for run in runs for words in judged.alarms(run)],
        calm="No alarms in any of these runs.",
        reproduce={**told[0], "command": "\n".join(one["command"] for one in told), "facts": []},
        footer="Runs are independent: intervals within a run are over its games, spreads between runs are over seeds.",
    )


def write_page(folder: Path, name: str, sections: dict[str, Any], **page: Any) -> Path:
    """Write <name>.html and its numbers, <name>.json, into a folder; `page` is what the template shows around them."""
    from arena.pages.page import rendered
    from arena.runs.run_folder import RunFolder, plain

    html = rendered("report.html.j2", page={**page, "sections": list(sections.values())})
    numbers = {key: page[key] for key in ("title", "headline", "alarms")}
    numbers |= {key: section.data for key, section in sections.items() if section.data is not None}
    target = RunFolder(folder)
    target.write_text(f"{name}.json", json.dumps(plain({"schema_version": 1, **numbers}), indent=1, allow_nan=False))
    target.write_text(f"{name}.html", html)
    return folder / f"{name}.html"


def main(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder: runs/<scenario>/<time>-<seed>")],
) -> None:
    """Write report.html and report.json from what a run left in its folder."""
    try:
        print(write(run))
    except OSError as trouble:
        typer.echo(str(trouble), err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
