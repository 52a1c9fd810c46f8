"""What the report says about the games of the dealer market: quotes, holdings, spreads, markouts, execution.

One function per section, as in `arena.pages.games`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from arena.markets.dealer.flow import FlowRule
from arena.markets.dealer.measures import accounts as metrics
from arena.pages import charts, games
from arena.pages.charts import Series, number
from arena.pages.games import no_games, replaced
from arena.pages.page import Cell, Figure, Run, Section, Table, panels, percent, spell
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
    return games.paths(run, _holdings)


def _holdings(record: Record) -> Iterator[games.Way]:
    """What makers hold, and what executors have still to trade."""
    for m, seat in enumerate(record.agents("maker")):
        yield f"Total inventory of {seat}", "lots", record["maker_inventory"][:, :, m].sum(axis=-1)
    for i, seat in enumerate(record.agents("executor")):
        yield f"Still to trade: {seat}", "lots", np.abs(record["remaining"][:, :, i])


def transfers(run: Run) -> Section | None:
    """Who paid whom."""
    return games.transfers(run, _price_moves)


def _price_moves(mean: np.ndarray) -> str:
    return (
        "“Price moves” clears the marks of open positions: what one holder gains another loses, so that row adds up to "
        f"{number(float(mean[-1].sum()), 1)} $. "
    )


def spreads(run: Run) -> Section | None:
    """Quoted and effective spreads, fill ratios, inventory risk and the competition index."""
    if _nobody_quotes(run):
        return None
    out = Section("Spreads, fills and inventory risk")
    record = run.final
    if record is None:
        return no_games(out)
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
        return no_games(out)
    last = len(record.times) - 1
    horizons = sorted({h for h in (0, 1, 2, 5, 10, 20, 50, 100) if h < last} | {last})
    rows = metrics.markouts(record, horizons, run.confidence)
    lines = []
    for maker in record.agents("maker"):
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
    if record is not None and not record.agents("executor"):
        return None
    out = Section("Cost of executing the parent order", data=[])
    if record is None:
        return no_games(out)
    out.lead = (
        "Implementation shortfall is what the order cost against the mid at its arrival; > 0 is a cost. Luck with the "
        "price averages out, trading cost (spread, impact, fees) is what the trader controls."
    )
    rows: list[list[Cell]] = []
    for i, seat in enumerate(record.agents("executor")):
        line_ups = [record, *(r for r in run.records.values() if replaced(r, record, seat))]
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
    return run.final is not None and not run.final.agents("maker")


def _competition(run: Run) -> dict[str, Any]:
    half = metrics.calm_half_spread(run.records["final"], run.confidence)
    try:
        rule = TypeAdapter(FlowRule).validate_python(run.scenario["market"]["flow"]["rule"])
    except (KeyError, TypeError, ValidationError):
        return {"half_spread": half, "index": None, "why": "not known: the scenario's flow rule could not be read"}
    return metrics.competition(half, *metrics.static_half_spreads(rule, len(run.records["final"].agents("maker"))))


def _competition_sentence(place: dict[str, Any]) -> str:
    half = spell(place["half_spread"])
    if place["index"] is None:
        return f"Makers near flat quote a half-spread of {half} $ (fill-weighted); competition index: {place['why']}."
    return (
        f"Makers near flat quote a half-spread of {half} $ (fill-weighted): competition index {spell(place['index'])}, "
        f"where 0 is the static Nash value {number(place['nash'])} $ and 1 the joint-profit value "
        f"{number(place['joint'])} $."
    )
