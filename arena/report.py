"""python -m arena.report RUN: a run folder becomes one self-contained page, report.html, and its numbers, report.json.

Nothing is recomputed that the run did not leave behind, and nothing is fetched from anywhere: the page opens offline.
Missing or damaged parts of the folder give a sentence in their place.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jinja2 import Environment, PackageLoader, StrictUndefined
from ruamel.yaml import YAML, YAMLError

from arena import charts, judged, metrics, played
from arena.charts import Series, number
from arena.page import Figure, Run, Section, Table, between, column, signed, spell

SECTIONS: tuple[Callable[[Run], Section | None], ...] = (
    judged.gap,
    judged.seats,
    judged.theory,
    judged.payoff,
    judged.ratings,
    played.quotes,
    played.paths,
    played.attribution,
    played.transfers,
    played.versus,
    played.spreads,
    played.markouts,
    played.execution,
    judged.training,
)


def read(folder: str | Path) -> Run:
    """Read a run folder; raises FileNotFoundError if it does not exist, and NotADirectoryError if it is a file."""
    run = Run(Path(folder))
    if not run.folder.exists():
        raise FileNotFoundError(f"{folder}: no such run folder")
    if not run.folder.is_dir():
        raise NotADirectoryError(f"{folder}: found a file; allowed is a run folder, runs/<scenario>/<time>-<seed>")
    for name in ("provenance", "payoff", "ratings", "curves", "theory"):
        found = _json(run, f"{name}.json")
        if found is not None:
            setattr(run, name, found)
    run.iterations = _json_lines(run, "metrics.jsonl")
    run.gaps = [line for line in _json_lines(run, "nash_gap.jsonl") if "nashconv" in line]
    scenario = run.folder / "scenario.resolved.yaml"
    if scenario.is_file():
        try:
            run.scenario_text = scenario.read_text(encoding="utf-8")
            run.scenario = YAML(typ="safe", pure=True).load(run.scenario_text) or {}
        except (OSError, UnicodeDecodeError, YAMLError) as trouble:
            run.troubles.append(f"scenario.resolved.yaml could not be read ({type(trouble).__name__}).")
    else:
        run.troubles.append("scenario.resolved.yaml is missing.")
    try:
        run.records = metrics.read_records(run.folder / "episodes")
    except ValueError as trouble:
        run.troubles.append(f"{trouble}.")
    return run


def build(run: Run) -> dict[str, Any]:
    """Everything the page shows: title, headline, alarms, sections, and how to reproduce it."""
    made = [(make.__name__, make(run)) for make in SECTIONS]
    return {
        "title": f"{run.scenario.get('name', run.folder.name)} · {run.folder.name}",
        "headline": headline(run),
        "alarms": judged.alarms(run),
        "calm": "No alarms: nothing in this run looked wrong to the checks that ran during training.",
        "sections": [section for _, section in made if section is not None],
        "data": {name: section.data for name, section in made if section is not None and section.data is not None},
        "reproduce": _reproduce(run),
        "footer": "Every interval is over games; seats, signs and units are those of the scenario below.",
    }


def headline(run: Run) -> dict[str, Any]:
    """How far from equilibrium in one sentence, who wins, and the handful of numbers worth a large font."""
    tiles: list[dict[str, str]] = []
    notes: list[str] = []
    out: dict[str, Any] = {"tiles": tiles, "notes": notes, "sentence": "This run has not been judged yet: no Nash gap was measured."}
    if run.gaps:
        last = run.gaps[-1]
        value, low, high = (float(column([last], key)[0]) for key in ("nashconv", "low", "high"))
        exact = bool(last.get("seats")) and all(s.get("kind") == "exact" for s in last["seats"])
        relative, upper = (100.0 * float(column([last], key)[0]) for key in ("relative", "relative_high"))
        share = f", {number(relative, 2)} % of what the same search gains against naive quotes" if math.isfinite(relative) else ""
        gained = "gain" if exact else "could be found to gain"
        out["sentence"] = (
            f"By deviating alone, the seats together {gained} {number(value)} $ per game{share}."
            if value > 0.0
            else f"No seat could be found to gain by deviating alone ({number(value)} $ per game{share})."
        )
        kind = "exact" if exact else "a lower bound: best responses were searched for, a better responder might find more"
        bound = f"; relative upper bound {number(upper, 2)} %" if math.isfinite(upper) else ""
        notes.append(f"{run.percent} interval {between(low, high)} ${bound}. This gap (NashConv) is {kind}.")
        tiles.append({"name": "Nash gap (NashConv), $ per game", "value": number(value), "note": f"{between(low, high)}"})
        if math.isfinite(relative):
            note = f"upper bound {number(upper, 2)} %" if math.isfinite(upper) else ""
            tiles.append({"name": "relative to the naive profile", "value": f"{number(relative, 2)} %", "note": note})
        out |= {"nashconv": value, "low": low, "high": high, "kind": "exact" if exact else "lower bound", "relative": relative / 100}
    if run.final is not None:
        money = {seat: metrics.estimate(p["pnl"], run.confidence) for seat, p in metrics.attribution(run.final).items()}
        accounts, w = metrics.transfers(run.final)
        noise = metrics.estimate(w[accounts.index("noise traders")].sum(axis=0), run.confidence)
        ranked = sorted({**money, "noise traders": noise}.items(), key=lambda item: -item[1].mean)
        notes.append("P&L per game: " + ", ".join(f"{seat} {signed(e.mean)} $" for seat, e in ranked) + ".")
        tiles += [{"name": f"P&L of {s}, $ per game", "value": signed(e.mean), "note": between(e.low, e.high)} for s, e in money.items()]
        out["pnl"] = {seat: e._asdict() for seat, e in ranked}
    return out


def write(folder: str | Path) -> Path:
    """Write report.html and report.json into a run folder and return the page's path."""
    run = read(folder)
    return _write(build(run), run.folder)


def write_aggregate(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Write one page over several runs, normally the seeds of one scenario, into `out`: table, bands, paired tests."""
    runs = [read(folder) for folder in folders]
    if not runs:
        raise ValueError("no runs to aggregate")
    names = sorted({str(run.scenario.get("name", run.folder.parent.name)) for run in runs})
    sections = [_seed_table(runs), _bands(runs), _paired(runs)]
    ends = np.array([column(run.gaps[-1:], "relative_high")[0] if run.gaps else np.nan for run in runs])
    judged_runs = int(np.isfinite(ends).sum())
    sentence = f"{len(runs)} runs of {', '.join(names)}"
    if judged_runs:
        sentence += (
            f": the Nash gap ends at or below {number(100 * float(np.nanmedian(ends)), 2)} % of the naive profile's in the median "
            f"run and {number(100 * float(np.nanmax(ends)), 2)} % in the worst"
        )
    commands = "\n".join(_reproduce(run)["command"] for run in runs if _reproduce(run)["command"])
    page = {
        "title": f"{', '.join(names)} · {len(runs)} runs",
        "headline": {"sentence": f"{sentence}.", "notes": ["Upper bounds of each run's own interval."] if judged_runs else [], "tiles": []},
        "alarms": [f"{run.folder.name}: {words}" for run in runs for words in judged.alarms(run)],
        "calm": "No alarms in any run.",
        "sections": sections,
        "data": {"runs": [str(run.folder.name) for run in runs], **{s.title: s.data for s in sections}},
        "reproduce": {"command": commands, "facts": [], "scenario": runs[0].scenario_text},
        "footer": "Runs are independent; intervals within a run are over its games, spreads between runs are over seeds.",
    }
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    return _write(page, target)


def _seed_table(runs: Sequence[Run]) -> Section:
    section = Section("Every run", data=[])
    rows = []
    for run in runs:
        last = run.gaps[-1] if run.gaps else {}
        value, low, high, relative, upper = (column([last], k)[0] for k in ("nashconv", "low", "high", "relative", "relative_high"))
        money = {}
        if run.final is not None:
            money = {seat: metrics.estimate(p["pnl"], run.confidence) for seat, p in metrics.attribution(run.final).items()}
        seed = str(run.provenance.get("seed", "–"))
        rows.append([
            run.folder.name, seed, number(value), between(low, high), number(100 * relative, 2), number(100 * upper, 2),
            "; ".join(f"{seat} {signed(e.mean)}" for seat, e in money.items()) or "–",
        ])
        section.data.append({"run": run.folder.name, "seed": seed, **{k: last.get(k) for k in ("nashconv", "low", "high", "relative", "relative_high")},
                             "pnl": {seat: e._asdict() for seat, e in money.items()}})
    gaps = np.array([column([run.gaps[-1]], "nashconv")[0] for run in runs if run.gaps])
    if gaps.size > 1:
        e = metrics.estimate(gaps, runs[0].confidence)
        section.lead = f"Mean gap over seeds {number(e.mean)} ± {number(e.se, 2)} $ (one standard error, {gaps.size} seeds)."
    head = ["run", "seed", "NashConv, $", f"{runs[0].percent} interval", "% of naive", "upper bound, %", "P&L, $ per game"]
    section.tables.append(Table("Each row is judged on its own evaluation games.", head, rows))
    return section


def _bands(runs: Sequence[Run]) -> Section:
    section = Section("Over all seeds", "Line: mean over runs; band: smallest to largest run.")
    for title, source, keys, unit in (
        ("Nash gap", "gaps", ["nashconv"], "$ per game"),
        ("Return", "iterations", sorted({k for r in runs for line in r.iterations for k in line if k.startswith("return/")}), "$ per game"),
    ):
        curves, grid = [], np.array(sorted({line["iteration"] for run in runs for line in getattr(run, source) if "iteration" in line}))
        for key in keys:
            rows = [(column(getattr(r, source), "iteration"), column(getattr(r, source), key)) for r in runs if getattr(r, source)]
            stack = np.array([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in rows if len(x)])
            if stack.size:
                name = key.split("/")[-1]
                curves.append(Series(name, np.mean(stack, axis=0), np.min(stack, axis=0), np.max(stack, axis=0)))
        if curves:
            svg = charts.lines(grid, curves, title=title, x_label="iteration", y_label=unit, zero=source == "gaps")
            section.figures.append(Figure(svg, "Drawn where every run has been measured."))
    if not section.figures:
        section.missing = "The runs left neither training curves nor Nash gaps."
    return section


def _paired(runs: Sequence[Run]) -> Section:
    section = Section("Paired tests", data=[])
    differences: dict[str, list[float]] = {}
    rows = []
    for run in runs:
        for test in played.comparisons(run):
            name = f"{test['seat']}: {test['player']} − {test['other']}"
            differences.setdefault(name, []).append(test["mean"])
            interval = spell(metrics.Estimate(*(test[k] for k in metrics.Estimate._fields)))
            rows.append([name, run.folder.name, interval, number(test["p"], 2)])
            section.data.append({"run": run.folder.name, **test})
    if not rows:
        section.missing = "No line-up but the final one was played, so there is nothing to pair."
        return section
    section.lead = "Objective per game of the final player less that of another player in the same seat, on the same seeds."
    section.tables.append(Table(f"In brackets: {runs[0].percent} intervals over games.", ["seat", "run", "difference, $", "p"], sorted(rows)))
    over = [[name, spell(metrics.estimate(np.array(d), runs[0].confidence)), f"{sum(x > 0 for x in d)} of {len(d)}"]
            for name, d in sorted(differences.items()) if len(d) > 1]
    if over:
        section.tables.append(Table("Over seeds: t interval of the runs' means.", ["seat", "mean difference, $", "runs above zero"], over))
    return section


def _reproduce(run: Run) -> dict[str, Any]:
    told = run.provenance
    argv = told.get("argv")
    command = " ".join(argv) if isinstance(argv, list) else str(argv or "")
    versions = told.get("versions")
    facts = [(words, told[key]) for key, words in (
        ("seed", "seed"), ("scenario_hash", "scenario hash"), ("git", "git commit"), ("started", "started"), ("run_version", "run folder version"),
    ) if told.get(key) is not None]
    if isinstance(versions, dict):
        facts.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return {"command": command, "facts": [(name, str(value)) for name, value in facts], "scenario": run.scenario_text}


def _write(page: dict[str, Any], folder: Path) -> Path:
    environment = Environment(loader=PackageLoader("arena", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.tests["words"] = lambda cell: sum(c.isalpha() for c in cell) > 0.6 * len(cell)
    html = environment.get_template("report.html.j2").render(page=page)
    numbers = {"schema_version": 1, "title": page["title"], "headline": page["headline"], "alarms": page["alarms"], **page["data"]}
    for name, text in (("report.html", html), ("report.json", json.dumps(_plain(numbers), indent=1, allow_nan=False))):
        temporary = folder / f"{name}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / name)
    return folder / "report.html"


def _plain(value: Any) -> Any:
    """The same for JSON: arrays as lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(run: Run, name: str) -> Any:
    try:
        return json.loads((run.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as trouble:
        run.troubles.append(f"{name} could not be read ({type(trouble).__name__}).")
        return None


def _json_lines(run: Run, name: str) -> list[dict[str, Any]]:
    """All whole lines; a last line that was cut off when the run was killed is dropped, others that are bad are told."""
    path = run.folder / name
    if not path.is_file():
        return []
    out, bad = [], 0
    rows = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for i, row in enumerate(rows):
        try:
            line = json.loads(row)
            out.append(line) if isinstance(line, dict) else None
        except ValueError:
            bad += bool(row.strip()) and i < len(rows) - 1
    if bad:
        run.troubles.append(f"{name}: {bad} line{'s' if bad > 1 else ''} could not be read.")
    return out


def main(folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder, runs/<scenario>/<time>-<seed>")]) -> None:
    """Write report.html and report.json from what a run left in its folder."""
    try:
        print(write(folder))
    except OSError as trouble:
        typer.echo(str(trouble), err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
