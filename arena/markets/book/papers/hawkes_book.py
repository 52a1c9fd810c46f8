"""Tables 2 and 3 of arXiv 2510.26438 run again, with honest errors: a page, and the same tables for the docs.

Everything here is computed from the row files; playing and training is `arena.reproduce`'s. Table 1, deep Galerkin, is
another matter and reported with the solver of the quasi-variational inequality.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from arena.markets.book.papers import power
from arena.markets.book.papers.row_files import FULL, RowFile, RowFileError, read
from arena.markets.book.papers.rows import FEES, KERNELS, ROWS, Row
from arena.markets.book.papers.statements import STATEMENTS, Verdict, minus, spelled
from arena.markets.book.papers.summaries import classes, mean, summary
from arena.pages import charts
from arena.pages.charts import Series
from arena.pages.page import Figure, Reproduction, Section, Table

FOLDER = Path(__file__).resolve().parents[4] / "docs" / "results" / "hawkes_book"
"""The row files that the repository keeps."""
NOTHING = "No row has been played yet."
PARTS = {
    "2": "Table 2", "3": "Table 3: removed from what is seen", "text": "Section 4 as printed", "besides": "Besides",
}  # fmt: skip
SOURCES = ("arena.markets.book.market", "arena.markets.book.measures.many", "agents.book_makers", "agents.learned")
"""What a row's numbers rest on, with all that these modules import: the market's rules, what measures, the players."""
PAIRS = (
    ("exponential, power law", "standard_exp", "standard_pl"),
    ("power law without history, with", "no_history_pl", "standard_pl"),
    ("η = 10, η = 100", "standard_exp", "eta_100_exp"),
    ("learned, probabilistic agent; exponential", "standard_exp", "probabilistic_exp"),
    ("learned, probabilistic agent; power law", "standard_pl", "probabilistic_pl"),
    ("1 bp, 2 bp; exponential", "standard_exp", "fee_2_exp"),
)  # fmt: skip
"""Rows of the paper's tables that it compares."""
JUDGES = ("arena.markets.book.papers.measured",)
"""And this, without what it imports."""


def _one_policy() -> str:
    """Whether the printed fees can be one policy's."""
    one, two, four = (_number(name) for name in ("standard_exp", "fee_2_exp", "fee_4_exp"))
    fixed = minus(f"{power.at_fee(one, two, 4):.0f}")
    return (
        f"A fixed policy with {one} at 1 bp and {two} at 2 bp would have {fixed} at 4 bp; {minus(four)} is printed, so "
        "policies were trained for each fee."
    )


def _power() -> str:
    """What it takes to tell the paper's two standard rows apart."""
    a, b = _number("standard_exp"), _number("standard_pl")
    return (
        f"{a} and {b} are told apart at 95 % by {power.games_to_tell(a, b)} games of each; over {power.PAPER_GAMES} "
        f"games the first is known to ± {power.half_width(a, power.PAPER_GAMES):.1f}."
    )


def _number(name: str) -> float:
    """A row's printed Sharpe ratio."""
    printed = ROWS[name].printed
    assert isinstance(printed, float)
    return printed


def files_in(folder: Path) -> tuple[dict[str, RowFile], list[str]]:
    """The rows that have been played, and a sentence for each file that cannot be read."""
    found: dict[str, RowFile] = {}
    troubles = []
    for name in ROWS:
        try:
            file = read(folder, name)
        except RowFileError as error:
            troubles.append(str(error))
            continue
        if file is not None:
            found[name] = file
    return found, troubles


def reproduction(say: Callable[[str], None], folder: Path = FOLDER) -> Reproduction:
    """The page from the row files of a folder; `say` hears what came out in sum."""
    files, troubles = files_in(folder)
    verdicts = [one.verdict(files) for one in STATEMENTS]
    held = {word: sum(one.word == word for one in verdicts) for word in ("holds", "does not hold", "cannot be told")}
    run = sum(held.values())
    blind = sum(one.paper_tells is False for one in verdicts)
    printed = sum(one.paper_tells is not None for one in verdicts)
    headline = (
        f"Of {len(STATEMENTS)} statements {run} have been run: {held['holds']} hold, {held['does not hold']} do not, "
        f"{held['cannot be told']} cannot be told. {blind} of the {printed} that print numbers cannot be told by the "
        f"paper's own sample, if it has {power.PAPER_GAMES} games."
    )
    sections = [
        Section(one.caption, figures=_curves(part, files), tables=[one] if one.rows else [],
                missing="" if one.rows else NOTHING, data=[list(row) for row in one.rows])
        for part, one in tables(files).items()
    ]  # fmt: skip
    told = [one._asdict() for one in verdicts]
    sections.append(Section("What the paper says", tables=[statements(verdicts)], data=told))
    sections.append(Section("How many games it takes", f"{_power()} {_one_policy()}", tables=[powers()]))
    say(headline)
    say(_power())
    return Reproduction(
        "Hawkes market making, arXiv 2510.26438: tables 2 and 3 run again", headline,
        [*troubles, "Table 1 (deep Galerkin) is reported with the solver of the quasi-variational inequality."],
        [{"name": word, "value": str(count), "note": "statements"} for word, count in held.items()],
        "Sharpe ratios are annualised and have 95 % intervals over training seeds and games.",
        [("rows", f"{len(files)} of {len(ROWS)}"), ("games of a row", f"{sum(FULL.values())} over {len(FULL)} seeds")],
        sections, footer="Every number was played; bars and ± are 95 % intervals.",
    )  # fmt: skip


def tables(files: Mapping[str, RowFile]) -> dict[str, Table]:
    """By part of the paper the rows that have been played."""
    fees = [f"{1e4 * fee:g} bp" for fee in FEES]
    head = ("row", "kernel", "printed", "here", "s.e. over games", "over seeds", *fees, "mean |Y|", "fills",
            "one-sided", "det_share", "push, ticks", "class", "seeds, games")  # fmt: skip
    out = {}
    for part, caption in PARTS.items():
        rows = [_cells(row, files[row.name]) for row in ROWS.values() if row.table == part and row.name in files]
        out[part] = Table(caption, head, rows)
    return out


def _cells(row: Row, file: RowFile) -> tuple[str, ...]:
    own = summary(file, row.fee)
    curve = [summary(file, fee) for fee in FEES]
    seeds = own.over_seeds if own else None
    numbers = (f"{mean(file, name):.2f}" for name in ("held", "fills", "one_sided", "determined", "push"))
    printed = "–" if row.printed is None else minus(row.printed)
    told = ", ".join(f"{name} {count}/{len(file.seeds)}" for name, count in classes(file).items())
    return (
        row.what, KERNELS[row.kernel], printed, spelled(own) if own else "–", f"{own.over_games:.1f}" if own else "–",
        "–" if seeds is None else f"{seeds:.1f}", *(minus(f"{one.sharpe:.1f}") if one else "–" for one in curve),
        *map(minus, numbers), told, f"{len(file.seeds)}, {sum(one.games for one in file.seeds)}",
    )  # fmt: skip


def statements(verdicts: Sequence[Verdict]) -> Table:
    """Every statement with its verdict."""
    tells = {True: "yes", False: "no", None: "–"}
    rows = [
        (one.words, one.printed, tells[found.paper_tells], found.word, found.why)
        for one, found in zip(STATEMENTS, verdicts, strict=True)
    ]
    own = f"could its own sample tell ({power.PAPER_GAMES} games)?"
    return Table("What the paper says", ("statement", "printed", own, "here", "because"), rows)


def powers() -> Table:
    """Games of each player that tell the paper's pairs of numbers apart."""
    rows = []
    for name, one, other in PAIRS:
        a, b = _number(one), _number(other)
        even, likely, half = (
            power.games_to_tell(a, b), power.games_to_tell(a, b, power=0.8), power.half_width(a, power.PAPER_GAMES),
        )  # fmt: skip
        rows.append((name, f"{a:.2f}, {b:.2f}", str(even), str(likely), f"{half:.1f}"))
    head = ("pair", "Sharpe ratios", "games of each, even chance", "games of each, 4 in 5 chances",
            f"± of the first over {power.PAPER_GAMES} games")  # fmt: skip
    return Table("Games that tell two Sharpe ratios apart at 95 %", head, rows)


def markdown(part: str, folder: Path = FOLDER) -> str:
    """`tables`, `statements` or `power` for docs/results; raises KeyError for another part."""
    files, troubles = files_in(folder)
    if part == "power":
        return _grid(powers())
    if part == "statements":
        return _grid(statements([one.verdict(files) for one in STATEMENTS]))
    if part != "tables":
        raise KeyError(f"part: found {part!r}; allowed are tables, statements, power")
    found = [one for one in tables(files).values() if one.rows]
    text = "\n".join(f"### {one.caption}\n\n{_grid(one)}" for one in found) or f"{NOTHING}\n"
    return text + "".join(f"\n{trouble}.\n" for trouble in troubles)


def _grid(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _curves(part: str, files: Mapping[str, RowFile]) -> list[Figure]:
    """Sharpe ratio by fee of the rows of a part, at most six to a drawing, with their intervals as bars."""
    rows = [row for row in ROWS.values() if row.table == part and row.name in files and row.fee == FEES[1]]
    series = []
    for row in rows:
        found = [summary(files[row.name], fee) for fee in FEES]
        if all(found):
            y = np.array([one.sharpe for one in found if one])
            half = np.array([one.half for one in found if one])
            series.append(Series(f"{row.what}, {KERNELS[row.kernel]}", y, y - half, y + half))
    points = [1e4 * fee for fee in FEES]
    title, caption = f"{PARTS[part]}: Sharpe ratio by fee", "One policy, judged at five fees; bars are 95 % intervals."
    return [
        Figure(charts.lines(points, series[i : i + 6], title=title, zero=True, whiskers=True,
                            x_label="fee on what is held at the end (bp)", y_label="annualised Sharpe ratio"), caption)
        for i in range(0, len(series), 6)
    ]  # fmt: skip
