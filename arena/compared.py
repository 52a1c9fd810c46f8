"""What the report says about several runs together: every run in a table, bands over seeds, paired tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from arena import charts, metrics, played
from arena.charts import Series, number
from arena.metrics import Estimate
from arena.page import Figure, Run, Section, Table, between, chance, column, signed, spell


def headline(runs: Sequence[Run]) -> dict[str, Any]:
    """How far from equilibrium the runs end, in one sentence."""
    names = ", ".join(sorted({str(run.scenario.get("name", run.folder.parent.name)) for run in runs}))
    upper = [100.0 * float(column(run.gaps[-1:], "relative_high")[0]) for run in runs if run.gaps]
    upper = [value for value in upper if np.isfinite(value)]
    if not upper:
        return {"sentence": f"{len(runs)} runs of {names}; none has a measured Nash gap.", "notes": [], "tiles": [], "winner": ""}
    sentence = (
        f"{len(runs)} runs of {names}: the Nash gap ends at most at {number(float(np.median(upper)), 2)} % of the naive "
        f"profile's in the median run and {number(max(upper), 2)} % in the worst."
    )
    note = f"Upper ends of each run's own {runs[0].percent} interval; {len(upper)} of {len(runs)} runs were judged."
    return {"sentence": sentence, "notes": [note], "tiles": [], "winner": "", "relative_high": upper}


def every_run(runs: Sequence[Run]) -> Section:
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


def bands(runs: Sequence[Run]) -> Section:
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


def paired(runs: Sequence[Run]) -> Section:
    section = Section("Paired tests", data=[])
    differences: dict[str, list[float]] = {}
    rows = []
    for run in runs:
        for test in played.comparisons(run):
            name = f"{test['seat']}: {test['player']} − {test['other']}"
            differences.setdefault(name, []).append(test["mean"])
            interval = spell(Estimate(*(test[k] for k in Estimate._fields)))
            rows.append([name, run.folder.name, interval, chance(test["p"])])
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


