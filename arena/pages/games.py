"""What the report says about the final games of any market: paths, P&L, transfers, comparisons.

One function per section, from the played games to sentences, figures and tables. A section whose games were not saved
carries a sentence in their place. A market's own sections stand in its folder (`sections`), and may be these with more
in them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from arena.markets.catalogue import part_named
from arena.pages import charts
from arena.pages.charts import Series, number
from arena.pages.page import Cell, Figure, Run, Section, Table, between, chance, coloured, spell
from arena.runs import accounts, estimates
from arena.runs.estimates import Estimate
from arena.runs.record import Record

SECTIONS = ("paths", "attribution", "transfers", "versus")
"""The sections of a market whose kit names none."""
Way = tuple[str, str, np.ndarray]
"""What is followed over time: title, unit, and a path per game [T + 1, B]."""


def paths(run: Run, more: Callable[[Record], Iterable[Way]] = lambda record: ()) -> Section:
    """P&L over time, and what `more` says, as fans over the games."""
    out = Section("Inventory and P&L over the game")
    record = run.final
    if record is None:
        return no_games(out)
    out.lead = (
        f"{record.games:,} games of the final profile. Shaded bands hold 98 %, 80 % and 50 % of the games; "
        "the line is the median."
    )
    ways = [(f"P&L of {seat}", run.unit, path) for seat, path in accounts.wealth(record).items()]
    for title, unit, path in [*ways, *more(record)]:
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
        median, spread = f"{number(q[3, -1])} {unit}".strip(), between(q[0, -1], q[6, -1])
        out.figures.append(Figure(svg, f"At the end: median {median}; 98 % of games within {spread}."))
    return out


def attribution(run: Run) -> Section:
    """Where each seat's P&L came from; the rows add up exactly."""
    out = Section("Where the money came from")
    record = run.final
    if record is None:
        return no_games(out)
    parts = accounts.attribution(record)
    gap_of = accounts.largest_errors(parts)
    out.lead = (
        "P&L per game by source. The sources are booked trade by trade and the total comes from the cash and position "
        f"accounts; they agree to {run.amount(max(gap_of.values()), 1)} in every game. Penalties shape behaviour "
        "but are not money. Filled bars add, hollow bars subtract; each starts where the one above ended."
    )
    rows: list[list[Cell]] = []
    for seat, p in parts.items():
        steps = [(name, float(v.mean())) for name, v in p.items() if name not in accounts.TOTALS]
        steps = [(name, v) for name, v in steps if v != 0.0] or steps[:1]
        svg = charts.waterfall(steps, ("P&L", float(p["pnl"].mean())), title=seat, unit=run.per_game)
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
    head = ["seat", run.of("P&L", "per game"), "s.d.", "Sharpe per game", run.of("worst 5 %"), run.of("penalties")]
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


def transfers(run: Run, words: Callable[[np.ndarray], str] = lambda mean: "") -> Section | None:
    """Who paid whom; `words` stand over the table, before those that every market needs."""
    paid: Callable[[Record], tuple[Sequence[str], np.ndarray]] | None = part_named(run.model, "transfers", None)
    if paid is None:
        return None
    out = Section("Who paid whom")
    record = run.final
    if record is None:
        return no_games(out)
    names, w = paid(record)
    mean = w.mean(axis=-1)
    used = [i for i in range(len(names)) if np.abs(w[i]).max() > 1e-9]
    largest = float(np.abs(mean).max())
    rows: list[list[Cell]] = []
    for i in used:
        cells: list[Cell] = [names[i]]
        cells += [("·", "#ffffff") if i == j else coloured(mean[i, j], largest) for j in used]
        rows.append([*cells, coloured(float(mean[i].sum()), largest)])
    error = float(np.abs(w.sum(axis=(0, 1))).max())
    out.lead = (
        f"What each row received from each column, net, in {run.per_game}. "
        f"All entries of a game add up to zero (largest error {run.amount(error, 1)})."
    )
    told = f"{words(mean)}The last column is the account's P&L."
    out.tables.append(Table(told, ["received by ↓ from →", *(names[j] for j in used), "sum"], rows))
    out.data = {"accounts": names, "mean": mean.tolist(), "largest_error": error}
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
    ours = accounts.objective(final)
    for other in run.records.values():
        changed = [seat for seat in other.players if replaced(other, final, seat)]
        theirs = accounts.objective(other) if changed else {}
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
    svg = charts.intervals(drawn, title="Objective gained over the baseline", x_label=run.per_game, zero=True)
    out.figures.append(Figure(svg, f"Right of zero the final player is better; bars are {run.percent} intervals."))
    cells = [[test.name, spell(test.difference), chance(test.p)] for test in tests]
    words = "The others stay as they are and the seeds are the same, so the luck of the draw cancels."
    out.tables.append(Table(words, ["seat", f"{run.of('difference', 'per game')} ({run.percent})", "p"], cells))
    out.lead = "Objective (P&L less penalties) of the final player less that of a baseline put in its seat."
    return out


def replaced(other: Record, final: Record, seat: str) -> bool:
    """Whether a line-up differs from the final one in this seat and can be paired with it."""
    return other.players.get(seat) != final.players.get(seat) and other.games == final.games


def no_games(section: Section) -> Section:
    """A section whose games were not saved."""
    section.missing = "No games of the final profile were saved (episodes/), so there is nothing to show here."
    return section
