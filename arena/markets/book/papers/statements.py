"""What the paper says of its tables, and whether it holds here: pure functions of rows with their errors.

A statement is of one of three kinds: one row's Sharpe ratio is above another's, a row's is above or below zero, or the
detector gives a row's players a class. It
    holds, does not hold    where a 95 % interval lies on one side, or four of five seeds agree
    cannot be told          where it does not, or where fewer than three seeds have learned
    is not run              where a row is missing
Intervals of differences take rows as independent; that they play the same games makes them a little too wide. Apart
from what holds here stands whether the paper's own sample could tell, had its numbers come from `PAPER_GAMES` games.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from arena.markets.book.measures.manipulation import CLASSES
from arena.markets.book.papers import power
from arena.markets.book.papers.row_files import RowFile
from arena.markets.book.papers.rows import ROWS, Row
from arena.markets.book.papers.summaries import FEWEST_SEEDS, Summary, classes, summary

Word = Literal["holds", "does not hold", "cannot be told", "is not run"]
MOST = 0.8
"""Share of the seeds that must be of a class: four of five."""


class Verdict(NamedTuple):
    """A word, the numbers behind it, and whether the paper's own sample could tell; none where it prints no number."""

    word: Word
    why: str
    paper_tells: bool | None


@dataclass(frozen=True)
class Above:
    """The Sharpe ratio of one row is above that of another, each at its own fee."""

    words: str
    rows: tuple[str, str]

    @property
    def printed(self) -> str:
        """The paper's numbers."""
        return ", ".join(minus(ROWS[name].printed) for name in self.rows)

    def verdict(self, files: Mapping[str, RowFile]) -> Verdict:
        """What the rows say of it."""
        a, b = (ROWS[name].printed for name in self.rows)
        told = power.told_apart(a, b, power.PAPER_GAMES) if isinstance(a, float) and isinstance(b, float) else None
        found, why = _summaries(self.rows, files)
        if found is None:
            return Verdict(*why, told)
        one, other = found
        gap, half = one.sharpe - other.sharpe, math.hypot(one.half, other.half)
        return Verdict(_sign(gap, half), minus(f"{gap:+.1f} ± {half:.1f}"), told)


@dataclass(frozen=True)
class Signed:
    """A row's Sharpe ratio is above zero, or below."""

    words: str
    row: str
    sign: Literal[1, -1]

    @property
    def printed(self) -> str:
        """The paper's number."""
        return minus(ROWS[self.row].printed)

    def verdict(self, files: Mapping[str, RowFile]) -> Verdict:
        """What the row says of it."""
        printed = ROWS[self.row].printed
        told = power.has_sign(printed, power.PAPER_GAMES) if isinstance(printed, float) else None
        found, why = _summaries((self.row,), files)
        if found is None:
            return Verdict(*why, told)
        return Verdict(_sign(self.sign * found[0].sharpe, found[0].half), spelled(found[0]), told)


@dataclass(frozen=True)
class Called:
    """The detector gives a row's players this class."""

    words: str
    row: str
    name: str

    @property
    def printed(self) -> str:
        """What the paper prints."""
        return minus(ROWS[self.row].printed)

    def verdict(self, files: Mapping[str, RowFile]) -> Verdict:
        """What the row says of it; a share of its seeds that is neither most nor few tells nothing."""
        if self.row not in files:
            return Verdict("is not run", f"{self.row} is missing", None)
        file = files[self.row]
        counts, seeds = classes(file), len(file.seeds)
        why = ", ".join(f"{name} in {count} of {seeds}" for name, count in counts.items())
        if why_not := _few(ROWS[self.row], seeds):
            return Verdict("cannot be told", f"{why}; {why_not}", None)
        share = counts.get(self.name, 0) / seeds
        word: Word = "holds" if share >= MOST else "does not hold" if share <= 1.0 - MOST + 1e-12 else "cannot be told"
        return Verdict(word, why, None)


Statement = Above | Signed | Called


def spelled(one: Summary) -> str:
    """A Sharpe ratio with half its 95 % interval."""
    return minus(f"{one.sharpe:.1f} ± {one.half:.1f}")


def minus(value: object) -> str:
    """A number with a true minus sign."""
    return str(value).replace("-", "−")


def _sign(value: float, half: float) -> Word:
    """The word for `value` being above zero."""
    return "cannot be told" if abs(value) <= half else "holds" if value > 0.0 else "does not hold"


def _few(row: Row, seeds: int) -> str:
    return f"{seeds} training seed(s), {FEWEST_SEEDS} are needed" if row.learns and seeds < FEWEST_SEEDS else ""


def _summaries(
    names: tuple[str, ...], files: Mapping[str, RowFile]
) -> tuple[list[Summary] | None, tuple[Word, str]]:
    """Sharpe ratios of rows at their own fees; or none, the word and the reason."""
    out: list[Summary] = []
    for name in names:
        if name not in files:
            return None, ("is not run", f"{name} is missing")
        one = summary(files[name], ROWS[name].fee)
        if one is None:
            return None, ("cannot be told", f"a seed of {name} never traded: it has no Sharpe ratio")
        if why_not := _few(ROWS[name], one.seeds):
            return None, ("cannot be told", f"{name}: {why_not}")
        out.append(one)
    return out, ("cannot be told", "")


def _statements() -> tuple[Statement, ...]:
    maker, _, pump = CLASSES
    out: list[Statement] = [
        Called("The standard policy makes a market (section 4.6)", "standard_exp", maker),
        Signed("The standard policy has a Sharpe ratio above 0, exponential", "standard_exp", 1),
        Signed("The same, power law", "standard_pl", 1),
        Above("The exponential kernel beats the power law", ("standard_exp", "standard_pl")),
        Called("Without self-imitation: pump and dump", "no_imitation_exp", pump),
        Above("Learning beats the probabilistic agent, exponential",
              ("standard_exp", "probabilistic_exp")),
        Above("The same, power law", ("standard_pl", "probabilistic_pl")),
        Called("η = 0.1: pump and dump", "eta_tenth_exp", pump),
        Called("η = 1: pump and dump", "eta_1_exp", pump),
        Above("η = 10 does better than η = 100", ("standard_exp", "eta_100_exp")),
    ]  # fmt: skip
    for kernel, name in (("exp", "exponential"), ("pl", "power law")):
        rows = {points: f"fee_{points}_{kernel}" for points in (2, 4, 8)}
        out.append(Signed(f"At 2 bp it still earns, {name}", rows[2], 1))
        out += [Signed(f"At {n} bp it loses, {name}", rows[n], -1) for n in (4, 8)]
    out += [
        Called("Without history: pump and dump, exponential", "no_history_exp", pump),
        Above("Without history it does better, power law", ("no_history_pl", "standard_pl")),
        Signed("Without intensities it loses, exponential", "no_intensities_exp", -1),
        Signed("The same, power law", "no_intensities_pl", -1),
        Called("Without the spread: pump and dump, exponential", "no_spread_exp", pump),
        Above("Without the spread it does worse, power law", ("standard_pl", "no_spread_pl")),
        Called("Without queue positions: pump and dump, exponential", "no_position_exp", pump),
        Called("The same, power law", "no_position_pl", pump),
    ]
    return tuple(out)


STATEMENTS = _statements()
"""What the paper says in tables 2 and 3 and in sections 4.6 and 4.7, in its order."""
