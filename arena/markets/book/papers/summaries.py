"""A row's numbers over its training seeds, with both errors: over games, and over seeds."""

import math
from statistics import fmean, stdev
from typing import NamedTuple

from scipy import stats

from arena.markets.book.papers.power import CONFIDENCE, quantile
from arena.markets.book.papers.row_files import RowFile

FEWEST_SEEDS = 3
"""Training seeds below which nothing is said about learning: seeds may differ by more than all games can show."""


class Summary(NamedTuple):
    """A Sharpe ratio over seeds: their mean, its standard errors over games and over seeds, and half its interval.

    `over_games` is what would remain if all seeds had the same policy, `over_seeds` (none for one seed) holds both
    noises. The interval takes the larger of the two with Student's quantile for as many seeds.
    """

    sharpe: float
    over_games: float
    over_seeds: float | None
    half: float
    games: int
    seeds: int

    @property
    def se(self) -> float:
        """The larger of the two standard errors."""
        return max(self.over_games, self.over_seeds or 0.0)


def summary(file: RowFile, fee: float, confidence: float = CONFIDENCE) -> Summary | None:
    """A row's Sharpe ratio at a fee; none where a seed never traded or was not judged at that fee."""
    found = [one for numbers in file.seeds for one in numbers.fees if math.isclose(one.fee, fee, abs_tol=1e-12)]
    values = [one.sharpe for one in found if one.sharpe is not None]
    errors = [one.se for one in found if one.se is not None]
    count = len(file.seeds)
    if len(values) < count or len(errors) < count:
        return None
    games = math.sqrt(sum(error * error for error in errors)) / count
    seeds = stdev(values) / math.sqrt(count) if count > 1 else None
    t = float(stats.t.ppf(0.5 + 0.5 * confidence, count - 1)) if count > 1 else quantile(confidence)
    half = max(t * seeds, quantile(confidence) * games) if seeds is not None else t * games
    return Summary(fmean(values), games, seeds, half, sum(one.games for one in file.seeds), count)


def mean(file: RowFile, name: str) -> float:
    """Mean over seeds of one of the numbers of `SeedNumbers`."""
    return fmean(float(getattr(one, name)) for one in file.seeds)


def classes(file: RowFile) -> dict[str, int]:
    """In how many seeds the detector gave each class, the most frequent first."""
    told = [one.verdict for one in file.seeds]
    return dict(sorted(((name, told.count(name)) for name in set(told)), key=lambda pair: (-pair[1], pair[0])))
