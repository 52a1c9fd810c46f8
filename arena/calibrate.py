"""python -m arena.calibrate hawkes EVENTS.csv: the parameters of a market's flow from recorded events.

Reads an event log of our own, a LOBSTER message and book pair (--lobster), or any order-by-order file by a map of its
columns (--columns); fits by maximum likelihood, prints estimates with standard errors and tests of fit, and writes a
scenario (--out), JSON (--json) and a picture (--plot).
Exit codes: 0 fine, 1 the fit gives no market, 2 bad usage or file.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from arena.solve import PICTURES

MODELS = {"hawkes": "book"}
"""What can be fitted, and the market whose kit says how."""
KERNELS = ("exponential", "exponentials", "power_law")


def main(
    model: Annotated[str, typer.Argument(help="hawkes: the mutually exciting flow of a limit order book")],
    events: Annotated[str | None, typer.Argument(help="a CSV file, packed or not")] = None,
    lobster: Annotated[
        tuple[str, str] | None, typer.Option(metavar="MESSAGES BOOK", help="a pair of LOBSTER files instead")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="which columns say what: time=timestamp,side=direction,...")
    ] = "",
    kernel: Annotated[str, typer.Option(help="exponential, exponentials or power_law")] = "exponential",
    count: Annotated[int, typer.Option(min=2, max=8, help="exponentials of the kernel `exponentials`")] = 2,
    signed: Annotated[bool, typer.Option("--signed", help="events may also lower rates")] = False,
    mirror: Annotated[bool, typer.Option("--mirror", help="asks and bids share their numbers")] = False,
    tick: Annotated[float | None, typer.Option(help="size of a tick in the file's currency")] = None,
    first: Annotated[float, typer.Option("--from", min=0, help="seconds after the first event to leave out")] = 0.0,
    last: Annotated[float, typer.Option("--until", help="seconds after the first event to end at")] = float("inf"),
    silence: Annotated[float, typer.Option(min=0, help="longest time without an event, seconds")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="write a scenario, a .yaml file")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="write all numbers")] = None,
    plot: Annotated[Path | None, typer.Option(help="draw the fit, into a .png, .svg or .pdf file")] = None,
) -> None:
    """Fit a market's flow to recorded events."""
    raise typer.Exit(
        _guarded(
            model, events, lobster, columns, kernel, count, signed, mirror, tick, first, last, silence, out, json_, plot
        )
    )


def _guarded(
    model: str, events: str | None, lobster: tuple[str, str] | None, columns: str, kernel: str, count: int, signed:
    bool, mirror: bool, tick: float | None, first: float, last: float, silence: float, out: Path | None, json_: Path |
    None, plot: Path | None,
) -> int:  # fmt: skip
    """Everything behind the command line; returns the exit code."""
    wrong = _usage(model, events, lobster, kernel, out, plot)
    if wrong:
        return _refuse(wrong)
    from importlib import import_module

    from arena.markets.catalogue import part_named

    room = import_module(part_named(MODELS[model], "CALIBRATION", ""))
    try:
        log = room.open_log(events, lobster, columns, tick).cut(first, last).checked(silence).apart()
        _tell(f"{log.source}: {log.times.size} events in {log.times[-1] - log.times[0]:.1f} s")
        found = room.calibrate(log, kernel, count, signed, mirror, _tell)
    except room.LogError as error:
        return _refuse(str(error))
    from arena.solve import draw, show

    show(found)
    try:
        if json_ is not None:
            _write_json(found.to_dict(), json_)
        if plot is not None:
            draw(found, plot)
        if out is not None:
            _write_scenario(found.scenario(out.stem), out)
    except room.LogError as error:
        return _refuse(str(error), 1)
    except OSError as error:
        return _refuse(f"{error.filename}: cannot be written ({error.strerror or error}); allowed is a writable file")
    return 0


def _usage(model: str, events: str | None, lobster: tuple[str, str] | None, kernel: str, out: Path | None,
           plot: Path | None) -> str:  # fmt: skip
    """What is wrong with the arguments, before anything is read."""
    if model not in MODELS:
        return f"found {model!r}; allowed are {', '.join(MODELS)}"
    if (events is None) == (lobster is None):
        found = "no file" if events is None else "a file and --lobster"
        return f"found {found}; allowed is EVENTS.csv, or --lobster MESSAGES BOOK"
    if kernel not in KERNELS:
        return f"--kernel: found {kernel!r}; allowed are {', '.join(KERNELS)}"
    if out is not None and out.suffix != ".yaml":
        return f"--out: found {out}; allowed is a file that ends in .yaml"
    if plot is not None and plot.suffix not in PICTURES:
        return f"--plot: found {plot}; allowed are files that end in {', '.join(PICTURES)}"
    return ""


def _write_json(told: dict[str, Any], path: Path) -> None:
    import json

    path.write_text(json.dumps(told, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def _write_scenario(told: dict[str, Any], path: Path) -> None:
    """A scenario that the house reads back; flow style where it is a list of numbers."""
    import io

    from ruamel.yaml import YAML

    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.default_flow_style = None
    yaml.width = 140
    yaml.dump(told, text)
    path.write_text(text.getvalue(), encoding="utf-8")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _refuse(sentence: str, code: int = 2) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    typer.run(main)
