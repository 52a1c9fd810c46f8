"""What the report says about the final games: quotes, paths, P&L, transfers, spreads, markouts, execution.

One function per section, from the played games to sentences, figures and tables.  A section whose games were not saved
carries a sentence in their place.
"""

from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from arena.markets.dealer import accounts as metrics
from arena.markets.dealer.flow import FlowRule
from arena.pages import charts
from arena.pages.charts import Series, number
from arena.pages.page import Cell, Figure, Run, Section, Table, between, chance, coloured, panels, percent, spell
from arena.runs import estimates
from arena.runs.estimates import Estimate
from arena.runs.record import Record


def quotes(run: Run) -> Section | None:
    """Learned quotes against inventory and time, over the baselines' curves."""
    if _nobody_quotes(run):
        return None
    out = Section("What the makers learned to quote", data=run.curves)
    if not run.curves or not run.curves.get("panels"):
        out.missing = "No quote curves were saved in this run."
        return out
    out.lead = run.curves.get("sentence", "") or (
        "Distance of each quote from the mid. A maker that manages its inventory quotes a nearer ask and a farther bid "
        "when it is long, and the reverse when it is short."
    )
    out.figures = panels(run.curves)
    return out


def paths(run: Run) -> Section:
    """Inventory and P&L fans over time."""
    out = Section("Inventory and P&L over the game")
    record = run.final
    if record is None:
        return _no_games(out)
    out.lead = (
        f"{record.games:,} games of the final profile. Shaded bands hold 98 %, 80 % and 50 % of the games; "
        "the line is the median."
    )
    ways = [(f"P&L of {seat}", "$", path) for seat, path in metrics.wealth(record).items()]
    for m, seat in enumerate(record.makers):
        ways.append((f"Total inventory of {seat}", "lots", record["maker_inventory"][:, :, m].sum(axis=-1)))
    for i, seat in enumerate(record.executors):
        done = np.abs(record["remaining"][:, :, i])
        ways.append((f"Still to trade: {seat}", "lots", done))
    for title, unit, path in ways:
        q = estimates.quantiles(path)
        fan = [(q[0], q[6]), (q[1], q[5]), (q[2], q[4])]
        svg = charts.lines(
            record.times,
            [Series("median", q[3])],
            title=title,
            x_label=f"time ({record.unit}s)",
            y_label=unit,
            zero=True,
            fan=fan,
        )
        out.figures.append(
            Figure(
                svg,
                f"At the end: median {number(q[3, -1])} {unit}; 98 % of games within {between(q[0, -1], q[6, -1])}.",
            )
        )
    return out


def attribution(run: Run) -> Section:
    """Where each seat's P&L came from; the rows add up exactly."""
    out = Section("Where the money came from")
    record = run.final
    if record is None:
        return _no_games(out)
    parts = metrics.attribution(record)
    gap_of = {
        seat: float(np.abs(sum(v for k, v in p.items() if k not in ("pnl", "penalties")) - p["pnl"]).max())
        for seat, p in parts.items()
    }
    out.lead = (
        "P&L per game by source. The sources are booked trade by trade and the total comes from the cash and position "
        f"accounts; they agree to {number(max(gap_of.values()), 1)} $ in every game. Penalties shape behaviour "
        "but are not money. Filled bars add, hollow bars subtract; each starts where the one above ended."
    )
    rows: list[list[Cell]] = []
    for seat, p in parts.items():
        steps = [(name, float(v.mean())) for name, v in p.items() if name not in ("pnl", "penalties")]
        steps = [(name, v) for name, v in steps if v != 0.0] or steps[:1]
        svg = charts.waterfall(steps, ("P&L", float(p["pnl"].mean())), title=seat, unit="$ per game")
        out.figures.append(Figure(svg, ""))
        ratio = estimates.sharpe(p["pnl"], run.confidence)
        total, fine = (estimates.estimate(p[k], run.confidence) for k in ("pnl", "penalties"))
        tail = np.sort(p["pnl"])[: max(1, record.games // 20)].mean()
        rows.append(
            [seat, spell(total), number(float(p["pnl"].std(ddof=1))), spell(ratio), number(float(tail)), spell(fine)]
        )
    words = (
        "Sharpe is the mean over the standard deviation of P&L per game, not annualised. "
        "Worst 5 %: mean of the worst twentieth of games."
    )
    head = ["seat", "P&L, $ per game", "s.d.", "Sharpe per game", "worst 5 %, $", "penalties, $"]
    out.tables.append(Table(f"{words} In brackets: {run.percent} intervals.", head, rows))
    out.data = {
        seat: {
            **{k: estimates.estimate(v, run.confidence)._asdict() for k, v in p.items()},
            "largest_error": gap_of[seat],
            "sharpe": estimates.sharpe(p["pnl"], run.confidence)._asdict(),
        }
        for seat, p in parts.items()
    }
    return out


def transfers(run: Run) -> Section:
    """Who paid whom."""
    out = Section("Who paid whom")
    record = run.final
    if record is None:
        return _no_games(out)
    accounts, w = metrics.transfers(record)
    mean = w.mean(axis=-1)
    used = [i for i in range(len(accounts)) if np.abs(w[i]).max() > 1e-9]
    largest = float(np.abs(mean).max())
    rows: list[list[Cell]] = []
    for i in used:
        cells: list[Cell] = [accounts[i]]
        cells += [("·", "#ffffff") if i == j else coloured(mean[i, j], largest) for j in used]
        rows.append([*cells, coloured(float(mean[i].sum()), largest)])
    error = float(np.abs(w.sum(axis=(0, 1))).max())
    out.lead = (
        "What each row received from each column, net, in $ per game. "
        f"All entries of a game add up to zero (largest error {number(error, 1)} $)."
    )
    words = (
        "“Price moves” clears the marks of open positions: what one holder gains another loses, so that row adds up to "
        f"{number(float(mean[-1].sum()), 1)} $. The last column is the account's P&L."
    )
    out.tables.append(Table(words, ["received by ↓ from →", *(accounts[j] for j in used), "sum"], rows))
    out.data = {"accounts": accounts, "mean": mean.tolist(), "largest_error": error}
    return out


class Comparison(NamedTuple):
    """Objective of the final player less that of another one in the same seat, on the same seeds."""

    seat: str
    player: str
    other: str
    difference: Estimate
    p: float

    @property
    def name(self) -> str:
        """What is compared, in words."""
        return f"{self.seat}: {self.player} − {self.other}"

    @property
    def data(self) -> dict[str, Any]:
        """The numbers, for report.json."""
        return {**self._asdict(), "difference": self.difference._asdict()}


def comparisons(run: Run) -> list[Comparison]:
    """Each line-up of a run against the final one, in every seat where they differ."""
    final, out = run.final, []
    if final is None:
        return []
    ours = metrics.objective(final)
    for other in run.records.values():
        changed = [seat for seat in other.players if _replaced(other, final, seat)]
        theirs = metrics.objective(other) if changed else {}
        for seat in changed:
            test = estimates.paired(ours[seat], theirs[seat], run.confidence)
            out.append(Comparison(seat, final.players.get(seat, "final"), other.players[seat], *test))
    return out


def versus(run: Run) -> Section:
    """The final players against baselines in the same seat."""
    tests = comparisons(run)
    out = Section("Against baselines in the same seat", data=[test.data for test in tests])
    if not tests:
        out.missing = "No line-up but the final one was played, so there is nothing to compare."
        return out
    drawn = [(test.name, test.difference.mean, test.difference.low, test.difference.high) for test in tests]
    svg = charts.intervals(drawn, title="Objective gained over the baseline", x_label="$ per game", zero=True)
    out.figures.append(Figure(svg, f"Right of zero the final player is better; bars are {run.percent} intervals."))
    cells = [[test.name, spell(test.difference), chance(test.p)] for test in tests]
    words = "The others stay as they are and the seeds are the same, so the luck of the draw cancels."
    out.tables.append(Table(words, ["seat", f"difference, $ per game ({run.percent})", "p"], cells))
    out.lead = "Objective (P&L less penalties) of the final player less that of a baseline put in its seat."
    return out


def spreads(run: Run) -> Section | None:
    """Quoted and effective spreads, fill ratios, inventory risk and the competition index."""
    if _nobody_quotes(run):
        return None
    out = Section("Spreads, fills and inventory risk")
    record = run.final
    if record is None:
        return _no_games(out)
    quoted = metrics.spreads(record, run.confidence)
    risk = {(r["maker"], r["product"]): r for r in metrics.inventory_risk(record)}
    rows: list[list[Cell]] = []
    for r in quoted:
        q = risk[r["maker"], r["product"]]
        rows.append(
            [
                f"{r['maker']} · {r['product']}",
                spell(r["quoted"]),
                spell(r["effective"]),
                number(r["lots"].mean),
                number(q["sd"]),
                number(q["size_q95"]),
                number(q["largest"]),
            ]
        )
    head = [
        "maker · product",
        "quoted half-spread, $",
        "effective, $",
        "lots per game",
        "sd of q",
        "95 % of |q|",
        "largest |q|",
    ]
    words = (
        "Quoted: mean half-spread shown. Effective: distance from the mid per lot filled; "
        "below quoted when fills come to the nearer side."
    )
    out.tables.append(Table(words, head, rows))
    ratios = metrics.fill_ratios(record, run.confidence)
    share = "; ".join(f"{name} {percent(e)}" for name, e in ratios.items())
    place = _competition(run)
    out.lead = f"Share filled: {share}. {_competition_sentence(place)}"
    out.data = {
        "spreads": [{k: v._asdict() if isinstance(v, Estimate) else v for k, v in r.items()} for r in quoted],
        "inventory": list(risk.values()),
        "fill_ratio": {k: v._asdict() for k, v in ratios.items()},
        "competition": {k: v._asdict() if isinstance(v, Estimate) else v for k, v in place.items()},
    }
    return out


def markouts(run: Run) -> Section | None:
    """P&L per lot after the fill, by horizon."""
    if _nobody_quotes(run):
        return None
    out = Section("What a fill is worth later")
    record = run.final
    if record is None:
        return _no_games(out)
    last = len(record.times) - 1
    horizons = sorted({h for h in (0, 1, 2, 5, 10, 20, 50, 100) if h < last} | {last})
    rows = metrics.markouts(record, horizons, run.confidence)
    lines = []
    for maker in record.makers:
        own = [r for r in rows if r["maker"] == maker]
        values = [r["markout"] for r in own]
        lines.append(Series(maker, [v.mean for v in values], [v.low for v in values], [v.high for v in values]))
    x = [h * record.step for h in horizons]
    svg = charts.lines(
        x,
        lines,
        title="Markout per lot, delta-hedged",
        x_label=f"time after the fill ({record.unit}s)",
        y_label="$ per lot",
        zero=True,
        whiskers=True,
    )
    words = (
        f"Above zero is good for the maker. Bars are {run.percent} intervals over games; "
        "fills late in the game are marked at its end."
    )
    out.figures.append(Figure(svg, words))
    out.lead = (
        "Spread earned at the fill (time 0) and what is left of it later. A line that falls means that prices move "
        "against the maker after it trades (adverse selection)."
    )
    out.data = [{**r, "markout": r["markout"]._asdict()} for r in rows]
    return out


def execution(run: Run) -> Section | None:
    """Cost of executing the parent order: the final trader and its baselines on the same seeds."""
    record = run.final
    if record is not None and not record.executors:
        return None
    out = Section("Cost of executing the parent order", data=[])
    if record is None:
        return _no_games(out)
    out.lead = (
        "Implementation shortfall is what the order cost against the mid at its arrival; > 0 is a cost. Luck with the "
        "price averages out, trading cost (spread, impact, fees) is what the trader controls."
    )
    rows: list[list[Cell]] = []
    for i, seat in enumerate(record.executors):
        line_ups = [record, *(r for r in run.records.values() if _replaced(r, record, seat))]
        costs = [metrics.shortfall(r, seat) for r in line_ups]
        names = [r.players.get(seat, r.line_up) for r in line_ups]
        spent = []
        for name, cost in zip(names, costs, strict=True):
            e = {key: estimates.estimate(value, run.confidence) for key, value in cost.items()}
            spent.append((name, e["cost"].mean, e["cost"].low, e["cost"].high))
            less, p = estimates.paired(costs[0]["cost"], cost["cost"], run.confidence)
            parts = [spell(e[key]) for key in ("shortfall", "bps", "trading", "penalty")]
            rows.append([f"{seat} · {name}", *parts, "–" if cost is costs[0] else spell(less)])
            numbers = {key: value._asdict() for key, value in e.items()}
            out.data.append({"seat": seat, "player": name, **numbers, "final_less_this": {**less._asdict(), "p": p}})
        left = [np.abs(r["remaining"][:, :, i]).mean(axis=1) for r in line_ups]
        schedule = charts.lines(
            record.times, [Series(name, y) for name, y in zip(names, left, strict=True)], title=f"Schedule of {seat}",
            x_label=f"time ({record.unit}s)", y_label="lots still to trade (mean)", zero=True,
        )  # fmt: skip
        out.figures.append(Figure(schedule, "A straight line trades evenly; a curve that falls early trades early."))
        title = f"Trading cost + penalties of {seat}"
        words = f"Lower is better. Bars: {run.percent} interval of each mean; the table pairs games, which is sharper."
        out.figures.append(Figure(charts.intervals(spent, title=title, x_label="$ per game"), words))
        if len(line_ups) == 1:
            out.lead += f" No other line-up was played for {seat}, so there is nothing to compare it with."
    last = f"final less this: trading cost + penalties, $ ({run.percent})"
    head = ["trader", "shortfall, $", "bps of arrival value", "trading cost, $", "penalties, $", last]
    words = "The last column pairs games on the same seeds; below zero the final trader is cheaper."
    out.tables.append(Table(words, head, rows))
    return out


def _nobody_quotes(run: Run) -> bool:
    """Whether the games were played without makers."""
    return run.final is not None and not run.final.makers


def _replaced(other: Record, final: Record, seat: str) -> bool:
    """Whether a line-up differs from the final one in this seat and can be paired with it."""
    return other.players.get(seat) != final.players.get(seat) and other.games == final.games


def _competition(run: Run) -> dict[str, Any]:
    half = metrics.calm_half_spread(run.records["final"], run.confidence)
    try:
        rule = TypeAdapter(FlowRule).validate_python(run.scenario["market"]["flow"]["rule"])
    except (KeyError, TypeError, ValidationError):
        return {"half_spread": half, "index": None, "why": "not known: the scenario's flow rule could not be read"}
    return metrics.competition(half, *metrics.static_half_spreads(rule, len(run.records["final"].makers)))


def _competition_sentence(place: dict[str, Any]) -> str:
    half = spell(place["half_spread"])
    if place["index"] is None:
        return f"Makers near flat quote a half-spread of {half} $ (fill-weighted); competition index: {place['why']}."
    return (
        f"Makers near flat quote a half-spread of {half} $ (fill-weighted): competition index {spell(place['index'])}, "
        f"where 0 is the static Nash value {number(place['nash'])} $ and 1 the joint-profit value "
        f"{number(place['joint'])} $."
    )


def _no_games(section: Section) -> Section:
    section.missing = "No games of the final profile were saved (episodes/), so there is nothing to show here."
    return section
