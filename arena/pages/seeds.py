"""What the report says about several runs together: every run in a table, bands over seeds, paired tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from arena.pages import charts
from arena.pages import games as played
from arena.pages.charts import Series, number
from arena.pages.page import Figure, Run, Section, Table, between, chance, column, signed, spell
from arena.runs import accounts, estimates

GAP = ("nashconv", "low", "high", "relative", "relative_high")


def headline(runs: Sequence[Run]) -> dict[str, Any]:
    """How far from equilibrium the runs end, in one sentence."""
    names = ", ".join(sorted({str(run.scenario.get("name", run.folder.parent.name)) for run in runs}))
    ends = 100.0 * np.concatenate([column(run.gaps[-1:], "relative_high") for run in runs])
    ends = ends[np.isfinite(ends)]
    out: dict[str, Any] = {"notes": [], "tiles": [], "winner": "", "relative_high": ends / 100.0}
    if not ends.size:
        return {**out, "sentence": f"{len(runs)} runs of {names}; none has a measured Nash gap."}
    words = f"Upper ends of each run's {runs[0].percent} interval; {ends.size} of {len(runs)} runs were judged."
    out["notes"] = [words]
    middle, worst = number(float(np.median(ends)), 2), number(float(ends.max()), 2)
    words = f"the Nash gap ends at {middle} % of the naive profile's or less in the median run, {worst} % in the worst"
    return {**out, "sentence": f"{len(runs)} runs of {names}: {words}."}


def every_run(runs: Sequence[Run]) -> Section:
    """One row per run: its last Nash gap and the seats' P&L."""
    out = Section("Every run", data=[])
    rows = []
    for run in runs:
        value, low, high, relative, upper = (float(column(run.gaps[-1:] or [{}], key)[0]) for key in GAP)
        parts = accounts.attribution(run.final) if run.final is not None else {}
        pnl = {seat: estimates.estimate(p["pnl"], run.confidence) for seat, p in parts.items()}
        seed = str(run.provenance.get("seed", "–"))
        share = [number(100.0 * relative, 2), number(100.0 * upper, 2)]
        earned = "; ".join(f"{seat} {signed(e.mean)}" for seat, e in pnl.items()) or "–"
        rows.append([run.folder.name, seed, number(value), between(low, high), *share, earned])
        gap = dict(zip(GAP, (value, low, high, relative, upper), strict=True))
        out.data.append({"run": run.folder.name, "seed": seed, **gap, "pnl": {s: e._asdict() for s, e in pnl.items()}})
    gaps = np.array([row["nashconv"] for row in out.data])
    gaps = gaps[np.isfinite(gaps)]
    if gaps.size > 1:
        e = estimates.estimate(gaps, runs[0].confidence)
        out.lead = (
            f"Mean gap {number(e.mean)} ± {number(e.se, 2)} {runs[0].per_game} (standard error over {gaps.size} runs)."
        )
    interval, of = f"{runs[0].percent} interval", runs[0].of
    head = ["run", "seed", of("NashConv"), interval, "% of naive", "upper bound, %", of("P&L", "per game")]
    out.tables.append(Table("Each row is judged on its own evaluation games.", head, rows))
    return out


def bands(runs: Sequence[Run]) -> Section:
    """Nash gap and returns against iteration over all runs."""
    out = Section("Over all seeds", "Line: mean over runs; band: smallest to largest run.")
    out.figures += _band("Nash gap", [run.gaps for run in runs], ["nashconv"], runs[0].per_game)
    returns = sorted({key for run in runs for line in run.iterations for key in line if key.startswith("return/")})
    out.figures += _band("Return", [run.iterations for run in runs], returns, runs[0].per_game)
    if not out.figures:
        out.missing = "The runs left neither training curves nor Nash gaps."
    return out


def _band(title: str, logs: Sequence[list[dict[str, Any]]], keys: Sequence[str], unit: str) -> list[Figure]:
    logs = [[line for line in log if isinstance(line.get("iteration"), int)] for log in logs]
    logs = [log for log in logs if log]
    grid = np.array(sorted({line["iteration"] for log in logs for line in log}))
    curves = []
    for key in keys if logs else ():
        paths = [np.interp(grid, column(log, "iteration"), column(log, key), right=np.nan) for log in logs]
        name = key.split("/")[-1]
        curves.append(Series(name, np.mean(paths, axis=0), np.min(paths, axis=0), np.max(paths, axis=0)))
    if not curves:
        return []
    svg = charts.lines(grid, curves, title=title, x_label="iteration", y_label=unit, zero=True)
    return [Figure(svg, "Ends with the shortest run; between measurements the curves are straight.")]


def paired(runs: Sequence[Run]) -> Section:
    """Final players against baselines in the same seat, per run and over runs."""
    tests = [(run, test) for run in runs for test in played.comparisons(run)]
    out = Section("Paired tests", data=[{"run": run.folder.name, **test.data} for run, test in tests])
    if not tests:
        out.missing = "No line-up but the final one was played, so there is nothing to pair."
        return out
    out.lead = "Objective per game of the final player less that of a baseline in the same seat, on the same seeds."
    rows = sorted([test.name, run.folder.name, spell(test.difference), chance(test.p)] for run, test in tests)
    words = f"In brackets: {runs[0].percent} intervals over games."
    out.tables.append(Table(words, ["seat", "run", runs[0].of("difference"), "p"], rows))
    over = []
    for name in sorted({test.name for _, test in tests}):
        means = np.array([test.difference.mean for _, test in tests if test.name == name])
        if means.size > 1:
            e = estimates.estimate(means, runs[0].confidence)
            over.append([name, spell(e), f"{int((means > 0.0).sum())} of {means.size}"])
    if over:
        words = f"{runs[0].percent} t interval over the runs' means."
        out.tables.append(Table(words, ["seat", runs[0].of("mean difference"), "runs above zero"], over))
    return out
