"""The parts of the report's page: a run folder as read, sections with their figures and tables, numbers in words."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from arena.markets.catalogue import DEFAULT, packages, part_named
from arena.pages import charts
from arena.pages.charts import Series, number
from arena.runs.estimates import Estimate
from arena.runs.record import Record, read_records
from arena.runs.run_folder import METRICS, PROVENANCE, SCENARIO, RunFolder

Cell = str | tuple[str, str]  # text, or text and background colour


class Figure(NamedTuple):
    """A drawing and the sentence that says how to read it."""

    svg: str
    caption: str


class Table(NamedTuple):
    """Rows of cells under a head; the first column names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass
class Section:
    """One heading of the page: a lead sentence, then figures and tables; `missing` stands where there is nothing."""

    title: str
    lead: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: str = ""
    data: Any = None


@dataclass(frozen=True)
class Reproduction:
    """The page of a paper run again: what it is about, what was found, how, and its sections."""

    title: str
    headline: str
    notes: Sequence[str]
    tiles: Sequence[dict[str, str]]
    method: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footer: str = "Curves are exact solutions unless a caption says that they were simulated."


@dataclass
class Run:
    """A run folder as read: what is absent is None or empty, what could not be read is a sentence in `troubles`."""

    folder: Path
    scenario: dict[str, Any] = field(default_factory=dict)
    scenario_text: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    iterations: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    payoff: dict[str, Any] | None = None
    ratings: dict[str, Any] | None = None
    curves: dict[str, Any] | None = None
    theory: dict[str, Any] | None = None
    records: dict[str, Record] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    @property
    def confidence(self) -> float:
        """Confidence of every interval on the page."""
        settings = self.scenario.get("evaluation")
        value = settings.get("confidence") if isinstance(settings, dict) else None
        return value if isinstance(value, float) and 0.5 < value < 1.0 else 0.99

    @property
    def percent(self) -> str:
        """The confidence in words."""
        return f"{100 * self.confidence:g} %"

    @property
    def model(self) -> str:
        """The market's name, from the scenario or from the games; where neither can be read, that of the usual one."""
        market = self.scenario.get("market")
        told = [
            market.get("model") if isinstance(market, dict) else None,
            *(one.model for one in self.records.values()),
        ]
        return next((one for one in told if isinstance(one, str) and one in packages()), DEFAULT)

    @property
    def unit(self) -> str:
        """How rewards are written: as the market's kit says, else in the unit of their field."""
        final = next(iter(self.records.values()), None)
        known = final.layout.field(final.seats[0].rows.reward).unit if final is not None and final.seats else ""
        return part_named(self.model, "UNIT", known)

    @property
    def per_game(self) -> str:
        """The unit of what is earned in a game."""
        return f"{self.unit} per game".strip()

    def amount(self, value: float, digits: int = 3) -> str:
        """A number with the unit of rewards."""
        return f"{number(value, digits)} {self.unit}".strip()

    def money(self, value: float) -> str:
        """An amount as the headline writes it: a currency's sign stands before it."""
        return money(value) if self.unit == "$" else self.amount(value)

    def of(self, name: str, per: str = "") -> str:
        """A quantity and its unit, for the head of a column."""
        unit = f"{self.unit} {per}".strip()
        return f"{name}, {unit}" if unit else name

    @property
    def final(self) -> Record | None:
        """The final profile's games."""
        return self.records.get("final")


def read(folder: str | Path) -> Run:
    """Read a run folder; raises FileNotFoundError if it does not exist, and NotADirectoryError if it is a file."""
    run = Run(Path(folder))
    if not run.folder.exists():
        raise FileNotFoundError(f"{folder}: no such run folder; allowed is runs/<scenario>/<time>-<seed>")
    if not run.folder.is_dir():
        raise NotADirectoryError(f"{folder}: found a file; allowed is a run folder, runs/<scenario>/<time>-<seed>")
    lines = RunFolder(run.folder).lines
    run.iterations = lines(METRICS)
    run.gaps = [line for line in lines("nash_gap.jsonl") if "nashconv" in line and _seats_are_dicts(line)]
    run.provenance = _json(run, PROVENANCE) or {}
    run.payoff, run.ratings, run.curves, run.theory = (
        _json(run, f"{name}.json") for name in ("payoff", "ratings", "curves", "theory")
    )
    try:
        run.scenario_text = (run.folder / SCENARIO).read_text(encoding="utf-8")
        found = YAML(typ="safe", pure=True).load(run.scenario_text)
        run.scenario = found if isinstance(found, dict) else {}
    except FileNotFoundError:
        run.troubles.append(f"{SCENARIO} is missing.")
    except (OSError, UnicodeDecodeError, YAMLError) as trouble:
        run.troubles.append(f"{SCENARIO} could not be read ({type(trouble).__name__}).")
    try:
        run.records = read_records(run.folder / "episodes")
    except ValueError as trouble:
        run.troubles.append(f"{trouble}.")
    return run


def _seats_are_dicts(line: dict[str, Any]) -> bool:
    seats = line.get("seats", [])
    return isinstance(seats, list) and all(isinstance(seat, dict) and "seat" in seat for seat in seats)


def _json(run: Run, name: str) -> dict[str, Any] | None:
    try:
        found = json.loads((run.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as trouble:
        run.troubles.append(f"{name} could not be read ({type(trouble).__name__}).")
        return None
    if not isinstance(found, dict):
        run.troubles.append(f"{name} holds a {type(found).__name__} where an object is expected.")
        return None
    return found


def rendered(template: str, **facts: Any) -> str:
    """A page from one of the templates beside this module."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("arena.pages", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.tests["words"] = lambda cell: sum(c.isalpha() for c in cell) > 0.6 * len(cell)
    environment.filters["whole"] = lambda text: re.sub(r" (?=[%$](?!\w))", "\N{NO-BREAK SPACE}", text)  # no lone units
    return environment.get_template(template).render(**facts)


def spell(e: Estimate) -> str:
    """`0.0123 (0.011 to 0.0136)`: an estimate and its interval with as many digits as the interval justifies."""
    if not math.isfinite(e.mean):
        return "–"
    width = 0.5 * (e.high - e.low)
    if not (math.isfinite(width) and width > 0.0):
        return number(e.mean)
    size = math.floor(math.log10(width))
    places = max(0, -size + (width < 4.0 * 10.0**size))  # two digits of the half-width if it starts with 1, 2 or 3
    if places > 8:
        return f"{number(e.mean)} ({between(e.low, e.high)})"
    mean, low, high = (f"{v + 0.0:,.{places}f}".replace("-", "−") for v in (e.mean, e.low, e.high))
    return f"{mean} ({low} to {high})"


def between(low: float | None, high: float | None) -> str:
    """An interval in words."""
    return f"{number(np.nan if low is None else low)} to {number(np.nan if high is None else high)}"


def chance(p: float) -> str:
    """A p-value."""
    return "–" if not math.isfinite(p) else "< 0.0001" if p < 1e-4 else number(p, 2)


def money(value: float) -> str:
    """An amount with the dollar sign."""
    return ("−$" if value < 0.0 else "$") + number(abs(value))


def signed(value: float) -> str:
    """A number that always shows its sign."""
    return ("+" if value > 0.0 else "") + number(value)


def percent(e: Estimate) -> str:
    """A share in words."""
    return f"{100 * e.mean:.1f} %" if math.isfinite(e.mean) else "–"


def coloured(value: float, largest: float) -> tuple[str, str]:
    """A signed table cell with its background."""
    if abs(value) < 5e-10 * max(largest, 1.0):
        return "0", "#ffffff"
    return signed(value), charts.shade(value, largest)


def column(lines: Iterable[dict[str, Any]], key: str) -> np.ndarray:
    """One key of many JSON lines as floats, NaN where it is absent."""
    values = (line.get(key) for line in lines)
    return np.array([float(v) if isinstance(v, int | float) else np.nan for v in values])


def panels(source: dict[str, Any], unit: str = "$") -> list[Figure]:
    """The figures of a curves.json or theory.json: `panels` of {title, x_label, y_label, x, series, caption}.

    A series is {name, y} and optionally {low, high, x, style}.
    """
    figures = []
    for panel in source.get("panels", []):
        series = [
            Series(s["name"], s["y"], s.get("low"), s.get("high"), s.get("style"), s.get("x")) for s in panel["series"]
        ]
        svg = charts.lines(
            panel["x"],
            series,
            title=panel["title"],
            x_label=panel.get("x_label", ""),
            y_label=panel.get("y_label", unit),
            zero=panel.get("zero", False),
        )
        figures.append(Figure(svg, panel.get("caption", "")))
    return figures
