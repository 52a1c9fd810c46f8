"""What the report says about the games of the book: impulses, Sharpe by fee, fills, manipulation, slippage, one game.

One function per section, as in `arena.pages.games`.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from arena.layout import Array
from arena.markets.book.columns import NOTHING
from arena.markets.book.events import NAMES
from arena.markets.book.market import Market
from arena.markets.book.measures import impulses as counted
from arena.markets.book.measures import manipulation, stylised, trading
from arena.markets.book.measures.trading import held, place
from arena.markets.book.theory.flow import process_of
from arena.pages import charts, games
from arena.pages.charts import Series, number
from arena.pages.games import no_games
from arena.pages.page import Cell, Figure, Run, Section, Table, percent, spell
from arena.pages.tiles import Level, Tile, grid, strip
from arena.runs import estimates
from arena.runs.record import Record
from arena.solvers.hawkes import moments

FRAMES = 8
"""Moments of a game that are drawn one after another."""
FEWEST_VISITS = 30
"""Decisions in a cell of the map below which it says nothing."""
SIGNS = {"LO_a_T": "+a", "CO_a_T": "−a", "LO_b_T": "+b", "CO_b_T": "−b", "MO_a": "buy", "MO_b": "sell"}
WORDS = {
    "LO_a_T": "posts an ask", "CO_a_T": "cancels an ask", "LO_b_T": "posts a bid", "CO_b_T": "cancels a bid",
    "MO_a": "buys", "MO_b": "sells",
}  # fmt: skip
FEES = (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
"""Shares of the value of what is held at the end for which the Sharpe ratio is told."""
HORIZONS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds after a fill at which it is marked."""


def _seats(record: Record) -> list[str]:
    return [seat for one in record.seats for seat in one.agents]


def paths(run: Run) -> Section:
    """P&L and positions over time."""
    return games.paths(run, _holdings)


def _holdings(record: Record) -> Iterator[games.Way]:
    for seat in record.agents("maker"):
        yield f"Inventory of {seat}", "lots", held(record, seat)
    for seat in record.agents("executor"):
        yield f"Still to trade: {seat}", "lots", np.abs(held(record, seat))


def sharpes(run: Run) -> Section | None:
    """Annualised Sharpe ratios of makers by the fee on what they hold at the end."""
    record = run.final
    if record is not None and not record.agents("maker"):
        return None
    out = Section("Sharpe ratio by fee")
    if record is None:
        return no_games(out)
    rows: list[list[Cell]] = []
    told = {seat: [trading.sharpe(record, seat, fee) for fee in FEES] for seat in record.agents("maker")}
    for seat, found in told.items():
        rows += [
            [seat, f"{1e4 * one.fee:g}", f"{number(one.value)} ± {number(one.se)}", number(one.mean), number(one.sd)]
            for one in found
        ]
    basis = [1e4 * fee for fee in FEES]
    others = {
        f"{seat}: {one.players[seat]}": [trading.sharpe(one, seat, fee) for fee in FEES]
        for seat in told
        for one in run.records.values()
        if games.replaced(one, record, seat)
    }
    for seat in told:
        shown = {seat: told[seat]} | {name: found for name, found in others.items() if name.startswith(f"{seat}: ")}
        lines = [_curve(name, found) for name, found in shown.items()]
        svg = charts.lines(
            basis, lines, title=f"Sharpe ratio of {seat} by fee", x_label="fee on the last position, basis points",
            y_label="annualised", zero=True,
        )  # fmt: skip
        out.figures.append(Figure(svg, "Bands are two standard errors to either side; all played the same games."))
    annual = np.sqrt(trading.SECONDS / record.times[-1])
    out.lead = (
        f"Mean over standard deviation of log(V_T/V_0) per game, times √(year/T) = {annual:.4g}, V_0 = 2 000 $, over "
        f"{record.games} games; ± is one standard error. The fee is a share of the value of what is held at the end. "
        "One policy at several fees: nobody was trained anew."
    )
    head = ["seat", "fee, basis points", "annualised Sharpe ratio", "mean P&L, ticks", "s.d., ticks"]
    words = f"Policies closer than a few times {number(annual / np.sqrt(record.games))} cannot be told apart here."
    out.tables.append(Table(words, head, rows))
    out.data = {seat: [one._asdict() for one in found] for seat, found in told.items()}
    return out


def _curve(name: str, found: list[trading.Sharpe]) -> Series:
    """Ratios by fee with a band of two standard errors."""
    value, se = (np.array([getattr(one, field) for one in found]) for field in ("value", "se"))
    return Series(name, value, value - 2 * se, value + 2 * se)


def impulses(run: Run) -> Section | None:
    """Which impulse a maker chooses, over its position and the imbalance of the queues."""
    if run.final is not None and not run.final.agents("maker"):
        return None
    out = Section("Which impulse, where")
    found = (run.curves or {}).get("impulses")
    if not found:
        out.missing = "The run kept no choices (curves.json); arena.evaluate plays and keeps them."
        return out
    out.lead = (
        "The impulse that is chosen most often when there is one, by position and by (bids − asks)/(bids + asks) in "
        "the first levels, over all decisions of the final games. The number is the share of decisions with an "
        "impulse, in per cent; the darker, the more."
    )
    for seat, one in found.items():
        names = [name for name in one["options"] if name != NOTHING]
        which, share, visits = counted.chosen(np.array(one["counts"]), one["options"])
        rows = [_lots(low, high - 1) for low, high in pairwise(one["positions"])]
        tiles = [
            [
                Tile(None, 0.0, "") if visits[i, j] < FEWEST_VISITS else _tile(one["options"], which[i, j], share[i, j])
                for j in range(which.shape[1])
            ]
            for i in range(len(rows))
        ]
        edge = np.linspace(-1.0, 1.0, which.shape[1] + 1)
        columns = [number(float(x), 2) if abs(x) > 1e-9 else "0" for x in 0.5 * (edge[1:] + edge[:-1])]
        svg = grid(
            rows[::-1], columns, tiles[::-1], title=f"Impulses of {seat}", y_label="position, lots",
            x_label="asks outweigh ← queues → bids outweigh",
            key=[f"{SIGNS.get(name, name)}: {WORDS.get(name, name)}" for name in names],
        )  # fmt: skip
        out.figures.append(Figure(svg, f"Blank: visited in fewer than {FEWEST_VISITS} decisions."))
    out.data = found
    return out


def _lots(low: int, high: int) -> str:
    return _signed(low) if low == high else f"{_signed(low)} to {_signed(high)}"


def _signed(lots: float) -> str:
    """A position in whole lots with its sign."""
    return f"{lots:+.0f}".replace("-", "−") if lots else "0"


def _tile(options: list[str], which: int, share: float) -> Tile:
    if which < 0:
        return Tile(None, 0.0, "0")
    name = options[which]
    place = [one for one in options if one != NOTHING].index(name)
    return Tile(place, share / 0.5, f"{SIGNS.get(name, name)} {100 * share:.0f}")


def fills(run: Run) -> Section:
    """What became of orders, what a fill is worth later, and how much of the mid's moves is adverse selection."""
    out = Section("Orders, fills and what they are worth later")
    record = run.final
    if record is None:
        return no_games(out)
    steps = sorted({round(h / record.step) for h in HORIZONS if h < record.times[-1]})
    rows, lines, out.data = [], [], {}
    for seat in _seats(record):
        told = trading.fills(record, seat, run.confidence)
        worth = trading.markouts(record, seat, steps, run.confidence)
        lost = estimates.estimate(trading.adverse_selection(record, seat), run.confidence)
        names = ("posted", "cancelled", "dropped", "filled")
        cells = [seat, *(number(told[name].mean) for name in names), percent(told["share filled"])]
        rows.append([*cells, spell(told["seconds in the queue"]), number(told["taken"].mean), spell(lost)])
        lines.append(Series(seat, [v.mean for v in worth], [v.low for v in worth], [v.high for v in worth]))
        out.data[seat] = {
            "orders": {name: one._asdict() for name, one in told.items()}, "adverse_selection": lost._asdict(),
            "markout": {f"{h * record.step:g}": one._asdict() for h, one in zip(steps, worth, strict=True)},
        }  # fmt: skip
    head = [
        "seat", "posted", "cancelled", "pushed out", "filled", "share filled", "seconds in the queue", "market orders",
        "adverse selection, ticks",
    ]  # fmt: skip
    words = "Per game. Adverse selection: moves of the mid within 5 s of a fill times the lot; below zero they cost."
    out.tables.append(Table(words, head, rows))
    svg = charts.lines(
        [h * record.step for h in steps], lines, title="Markout per lot of a resting order",
        x_label="seconds after the fill", y_label="ticks per lot", zero=True, whiskers=True,
    )  # fmt: skip
    out.figures.append(Figure(svg, f"Time 0 is the spread captured. Bars are {run.percent} intervals over games."))
    return out


def manipulations(run: Run) -> Section | None:
    """Whether a maker makes a market or moves the price for its position."""
    record = run.final
    if record is not None and not record.agents("maker"):
        return None
    out = Section("Making a market, or moving it")
    if record is None:
        return no_games(out)
    found = {seat: manipulation.detect(record, seat) for seat in record.agents("maker")}
    few = f" It needs {manipulation.FEWEST} games." if record.games < manipulation.FEWEST else ""
    out.lead = " ".join(_sentence(seat, one) for seat, one in found.items()) + (
        f" Pump and dump: one-sided in more than {manipulation.ONE_SIDED:g}, the same path in every game to more than "
        f"{manipulation.DETERMINED:g}, and the mid moved more than {manipulation.PUSHED:g} ticks towards the position."
    ) + few  # fmt: skip
    rows: list[list[Cell]] = [
        [seat, one.verdict, *(number(x) for x in (one.one_sided, one.determined, one.push, one.messages, one.share))]
        for seat, one in found.items()
    ]
    head = ["seat", "class", "one-sidedness", "same path", "push, ticks", "orders and cancels per fill", "per event"]
    out.tables.append(Table("", head, rows))
    out.data = {seat: one._asdict() for seat, one in found.items()}
    return out


def _sentence(seat: str, one: manipulation.Manipulation) -> str:
    """The detector's verdict with the numbers that it rests on."""
    sided = f"in a game it is on one side to {percent_of(one.one_sided)}"
    path = f"games share {percent_of(one.determined)} of its path"
    towards = "towards" if one.push >= 0.0 else "away from"
    pushed = f"the mid moves {number(abs(one.push))} ticks {towards} its position"
    return f"{seat} plays like a {one.verdict}: {sided}, {path}, and {pushed}."


def percent_of(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.0f} %"


def execution(run: Run) -> Section | None:
    """What parent orders cost against the mid at arrival and against an even schedule."""
    record = run.final
    if record is not None and not record.agents("executor"):
        return None
    out = Section("Cost of parent orders", data={})
    if record is None:
        return no_games(out)
    rows: list[list[Cell]] = []
    for seat in record.agents("executor"):
        line_ups = [record, *(one for one in run.records.values() if games.replaced(one, record, seat))]
        for one in line_ups:
            cost = {key: estimates.estimate(v, run.confidence) for key, v in trading.slippage(one, seat).items()}
            name = one.players.get(seat, one.line_up)
            rows.append([f"{seat} · {name}", *(spell(cost[key]) for key in ("arrival", "schedule", "left"))])
            out.data[f"{seat} {name}"] = {key: value._asdict() for key, value in cost.items()}
    head = [
        "trader",
        "against the mid at arrival, ticks per lot",
        "against an even schedule, ticks per lot",
        "lots left",
    ]
    words = (
        "Above zero is a cost. The first counts moves of the mid, own impact included; the second leaves its drift out."
    )
    out.tables.append(Table(words, head, rows))
    return out


def one_game(run: Run) -> Section:
    """The first game: best prices and depth over time, trades, positions."""
    out = Section("One game")
    record = run.final
    if record is None:
        return no_games(out)
    bid, ask = record["best"][:, 0, 0], record["best"][:, 0, 1]
    svg = charts.lines(
        record.times, [Series("bid", bid), Series("ask", ask)], title="Best prices", x_label="seconds", y_label="ticks"
    )
    out.figures.append(Figure(svg, "The first of the final games."))
    depth = record["queue"][:, 0].reshape(-1, 2, 2)
    own = [
        Series(
            f"{seat}, resting", record[f"{place(record, seat)[0]}_resting"][:, 0, place(record, seat)[1]].sum(axis=-1)
        )
        for seat in _seats(record)
    ]
    lines = [Series("bid, top", depth[:, 0, 0]), Series("ask, top", depth[:, 1, 0]), *own]
    svg = charts.lines(record.times, lines, title="Orders", x_label="seconds", y_label="orders", zero=True)
    out.figures.append(Figure(svg, "Orders in the first levels, and those of the seats in both."))
    taken = [Series(name, record["events"][:, 0, NAMES.index(name)]) for name in ("MO_a", "MO_b")]
    passive = [
        Series(f"{seat}, filled", record[f"{role}_filled"][:, 0, i].sum(axis=-1))
        for seat, (role, i) in ((seat, place(record, seat)) for seat in _seats(record))
    ]
    svg = charts.lines(
        record.times, [*taken, *passive], title="Trades", x_label="seconds", y_label="lots so far", zero=True
    )
    out.figures.append(Figure(svg, "Market orders of the background, MO_a buys; lots of the seats' resting orders."))
    lots = [Series(seat, held(record, seat)[:, 0]) for seat in _seats(record)]
    svg = charts.lines(record.times, lots, title="Positions", x_label="seconds", y_label="lots", zero=True)
    out.figures.append(Figure(svg, "Below zero: sold, or still to buy."))
    for seat in record.agents("maker"):
        if frames := [_frame(record, seat, t, words) for t, words in counted.moments(record, seat, FRAMES)]:
            svg = strip(frames, title=f"{seat}, step by step")
            words = "Moments of that game one after another: both levels of both sides, orders of the seats darker."
            out.figures.append(Figure(svg, words))
    return out


def _frame(record: Record, seat: str, t: int, words: str) -> tuple[str, str, list[Level]]:
    """The book at an instant of the first game, and what a seat holds."""
    best = record["best"][t, 0]
    queue, own = (record[name][t, 0].reshape(2, 2) for name in ("queue", "own_orders"))
    lots = held(record, seat)[t, 0]
    levels = [
        Level(f"{best[side] + step:.0f}", queue[side, level] - own[side, level], own[side, level], 1 if side else 0)
        for side, level, step in ((1, 1, 1), (1, 0, 0), (0, 0, 0), (0, 1, -1))
    ]
    return f"{record.times[t]:.1f} s, holds {_signed(lots)}", words, levels


def _closed_forms(run: Run, tau: float) -> dict[str, Array]:
    """Rates [12] and variances over means of counts within tau [12] of the background; nan where there are none."""
    process = process_of(Market.model_validate(run.scenario["market"]))
    if process.signed:
        return {"rate": np.full(len(NAMES), np.nan), "over": np.full(len(NAMES), np.nan)}
    rates = moments.rates(process)
    spread = np.diag(moments.count_covariance(process, tau))
    return {"rate": rates, "over": spread / np.where(rates > 0.0, tau * rates, np.nan)}


def stylised_facts(run: Run) -> Section:
    """The book itself: spreads, queues, rates, clustering, signature plot, responses to events."""
    out = Section("The book")
    record = run.final
    if record is None:
        return no_games(out)
    out.data = stylised.card(record)
    share = ", ".join(f"{i + 1}{'+' if i == 3 else ''}: {100 * p:.1f} %" for i, p in enumerate(out.data["spread"]))
    out.lead = (
        f"Spread in ticks {share}. Mid at the end: s.d. {number(out.data['mid_sd'])} ticks. "
        "Counts per decision whose variance is above their mean come in clusters."
    )
    known = _closed_forms(run, record.step)
    out.data["closed"] = {name: values.tolist() for name, values in known.items()}
    measured = zip(*(out.data[name] for name in ("rate", "rate_se", "dispersion")), strict=True)
    rows: list[list[Cell]] = [
        [name, f"{number(rate)} ± {number(error)}", number(known["rate"][i]), number(over), number(known["over"][i])]
        for i, (name, (rate, error, over)) in enumerate(zip(NAMES, measured, strict=True))
    ]
    head = ["event", "per second", "closed form", "variance over mean of counts per decision", "closed form"]
    words = (
        "Background events. The closed forms are those of the flow alone at its mean spread (Λ = (I − G)⁻¹ base); the "
        "spread moves in-spread orders and whom they excite, and the seats' orders excite. None where events inhibit."
    )
    out.tables.append(Table(words, head, rows))
    gaps = zip(*(out.data[name] for name in ("wait", "wait_variation", "wait_independent")), strict=True)
    rows = [[name, *map(number, told)] for name, told in zip(NAMES, gaps, strict=True)]
    words = "Times between events, to the grid of decisions. More than independent decisions have: clusters."
    out.tables.append(Table(words, ["event", "mean, s", "s.d. over mean", "if independent"], rows))
    last = len(record.times) - 1
    steps = [h for h in (1, 2, 5, 10, 20, 50, 100, 200, 500) if h < last]
    seconds = [h * record.step for h in steps]
    curve = Series("variance per second", stylised.signature(record, steps))
    svg = charts.lines(
        seconds, [curve], title="Signature plot of the mid", x_label="seconds", y_label="ticks² per second", zero=True
    )
    out.figures.append(Figure(svg, "Falling: moves are taken back; rising: they go on."))
    moved = stylised.responses(record, steps)
    lines = [Series(NAMES[i], moved[i]) for i in range(6)]
    svg = charts.lines(
        seconds, lines, title="Response of the mid", x_label="seconds after the decision", y_label="ticks", zero=True
    )
    out.figures.append(Figure(svg, "Mean move of the mid after an event on the ask side; the bid side mirrors it."))
    return out
