"""python -m arena.solve SCENARIO: what theory says about a scenario, before any training.

Prints the equilibrium or the optimal quotes as tables, as JSON (--json), or as a picture (--plot FILE).
Exit codes: 0 fine, 1 theory has no answer (a sentence says why), 2 bad usage or scenario.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from arena.theory import Answer

PICTURES = (".png", ".svg", ".pdf")


def main(
    scenario: Annotated[str, typer.Argument(help="a scenario file, or the name of a shipped one")],
    information: Annotated[
        str, typer.Option(help="open_loop: players commit to paths; feedback: they react to all inventories")
    ] = "open_loop",
    as_json: Annotated[bool, typer.Option("--json", help="print plain JSON instead of tables")] = False,
    plot: Annotated[Path | None, typer.Option(help="also draw it, into a .png, .svg or .pdf file")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="change a setting: market.clock.steps=40")] = None,
) -> None:
    """Print what theory says about a scenario, or why it says nothing."""
    raise typer.Exit(_guarded(scenario, information, as_json, plot, set_ or []))


def _guarded(scenario: str, information: str, as_json: bool, plot: Path | None, changes: list[str]) -> int:
    """Everything behind the command line; returns the exit code."""
    from arena.mistakes import ScenarioError
    from arena.scenario import load
    from arena.theory import INFORMATION, answer

    if information not in INFORMATION:
        return _refuse(f"--information: found {information!r}; allowed are {', '.join(INFORMATION)}")
    if plot is not None and plot.suffix not in PICTURES:
        return _refuse(f"--plot: found {plot}; allowed are files that end in {', '.join(PICTURES)}")
    try:
        wanted = load(scenario, changes)
    except ScenarioError as error:
        return _refuse(str(error))
    found = answer(wanted.market, information)
    if isinstance(found, str):
        return _refuse(f"{wanted.name}: {found}", 1)
    if plot is not None:
        try:
            draw(found, plot)
        except OSError as error:
            return _refuse(f"--plot: {plot} cannot be written ({error.strerror or error}); allowed is a writable file")
    if as_json:
        import json

        print(json.dumps(found.to_dict(), allow_nan=False))
    else:
        show(found)
    return 0


def show(found: "Answer") -> None:
    """Print the headline and every table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    console.print(found.headline(), highlight=False, markup=False)
    for one in found.tables():
        grid = Table(title=one.title, title_justify="left", title_style="bold")
        for i, head in enumerate(one.head):
            grid.add_column(head, justify="left" if i == 0 else "right", overflow="fold")
        for row in one.rows:
            grid.add_row(*row)
        console.print(grid)


def draw(found: "Answer", path: Path) -> None:
    """Draw every panel of an answer into one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = found.panels()
    figure = Figure(figsize=(8.0, 3.2 * max(len(panels), 1)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(max(len(panels), 1), squeeze=False)[:, 0], panels, strict=False):
        for name, values in panel.lines.items():
            axes.plot(panel.x, values, label=name)
        axes.set_title(panel.title, loc="left", fontsize=10)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        axes.axhline(0.0, color="0.7", linewidth=0.8)
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path)


def _refuse(sentence: str, code: int = 2) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    typer.run(main)
