"""What a file of events comes down to: times, the twelve types, who sent them, and the spread that they met.

Readers (`own_log`, `lobster`, `orders`) make one each; what they had to leave out or to decide stands in its notes.
What would make a fit wrong unnoticed (times that go back, silences, crossed prices) is refused in a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from arena.layout import Array
from arena.markets.book.events import NAMES, TYPES
from arena.mistakes import did_you_mean
from arena.solvers.hawkes.events import Events, observed

IN_SPREAD = (NAMES.index("LO_a_IS"), NAMES.index("LO_b_IS"))
RISING = "allowed are times that never go back (sort the file, or name another column of times)"
SILENCE = 60.0
"""Seconds without an event from which a file is taken for one with a hole."""


class LogError(ValueError):
    """A file that cannot be calibrated from, in one sentence."""


@dataclass(frozen=True)
class Log:
    """Events in the order of a file; seconds on any clock, spreads in ticks."""

    source: str
    times: Array  # [N], rising
    types: NDArray[np.int64]  # [N], 0..11
    own: NDArray[np.bool_]  # [N]: the background's; others only excite
    spread: Array | None  # [N]: just before each event, ticks
    tick: float | None  # in the file's currency
    price: float | None  # the first mid, in the file's currency
    notes: tuple[str, ...] = ()

    def cut(self, first: float, last: float) -> Log:
        """The events from `first` to `last` seconds after the log's beginning."""
        clock = self.times - self.times[0] if self.times.size else self.times
        keep = (clock >= first) & (clock <= last)
        spread = None if self.spread is None else self.spread[keep]
        return replace(self, times=self.times[keep], types=self.types[keep], own=self.own[keep], spread=spread)

    def checked(self, silence: float = SILENCE) -> Log:
        """The log itself, if it has events, no hole, and no order inside a spread that has no inside.

        Raises LogError otherwise.
        """
        if self.times.size < 2:
            raise LogError(f"{self.source}: found {self.times.size} events of the twelve types; allowed are 2 and more")
        gaps = np.diff(self.times)
        if gaps.min() < 0.0:
            n = int(np.argmin(gaps)) + 1
            found = f"found time {self.times[n]:.6f} after {self.times[n - 1]:.6f}"
            raise LogError(f"{self.source}: event {n + 1}: {found}; {RISING}")
        if gaps.max() > silence:
            n = int(np.argmax(gaps))
            found = f"found {gaps[n]:.1f} s without an event, {self.times[n] - self.times[0]:.1f} s after the first"
            allowed = f"allowed are {silence:g} s (--silence), or a part of the file (--from, --until)"
            raise LogError(f"{self.source}: {found}; {allowed}")
        if self.spread is None:
            return self
        stale = np.isin(self.types, IN_SPREAD) & (self.spread < 2.0)
        if not stale.any():
            return self
        note = f"{int(stale.sum())} orders inside a spread of one tick left out"
        return replace(self, times=self.times[~stale], types=self.types[~stale], own=self.own[~stale],
                       spread=self.spread[~stale], notes=(*self.notes, note))  # fmt: skip

    def apart(self) -> Log:
        """The log with equal times spread evenly over a tick of the file's clock, in their order."""
        same = np.diff(self.times) <= 0.0
        if not same.any():
            return self
        unit = resolution(self.times - np.floor(self.times[0]))
        first = np.concatenate([[True], ~same])
        start = np.flatnonzero(first)
        size = np.diff(np.append(start, self.times.size))
        place = np.arange(self.times.size) - np.repeat(start, size)
        moved = self.times + unit * place / np.repeat(size, size)
        share = float(np.repeat(size > 1, size).mean())
        note = f"{100 * share:.1f} % of the events share their time with others; spread over the clock's {unit:g} s"
        return replace(self, times=moved, notes=(*self.notes, note))

    def mean_spread(self) -> float:
        """The spread's average over time, ticks; 1 where it is not known."""
        if self.spread is None:
            return 1.0
        gaps = np.diff(self.times)
        return float((gaps * self.spread[1:]).sum() / gaps.sum())

    def events(self) -> Events:
        """The log for a fit, the clock at 0 with the first event, which only excites."""
        clock = self.times - self.times[0]
        own = self.own.copy()
        own[0] = False
        if self.spread is None:
            return observed(clock, self.types, TYPES, clock[-1], own=own)
        return observed(
            clock, self.types, TYPES, clock[-1], own=own, factor=(self.spread >= 2.0).astype(float),
            log_slope=np.log(np.maximum(self.spread, 1.0) / self.mean_spread()), modulated=IN_SPREAD,
        )  # fmt: skip


class Columns(NamedTuple):
    """Which columns of a file say what, as given by a user: `time=timestamp,side=direction`."""

    names: dict[str, str]

    @classmethod
    def told(cls, text: str, known: tuple[str, ...]) -> Columns:
        """Read the map; what is not named is called as we call it. Raises LogError for a word that is none of ours."""
        names = {name: name for name in known}
        for part in filter(None, (one.strip() for one in text.split(","))):
            ours, equals, theirs = part.partition("=")
            if not equals or ours not in known or not theirs:
                hint = did_you_mean(ours, known)
                allowed = ", ".join(f"{one}=NAME" for one in known)
                raise LogError(f"--columns: found {part!r}; allowed are {allowed}{hint}")
            names[ours] = theirs
        return cls(names)

    def take(self, table: pd.DataFrame, source: str, needed: tuple[str, ...]) -> pd.DataFrame:
        """The file's columns under our names. Raises LogError where one that is needed is missing."""
        there = {ours: theirs for ours, theirs in self.names.items() if theirs in table.columns}
        for ours in needed:
            if ours not in there:
                hint = did_you_mean(self.names[ours], list(table.columns))
                found = f"found columns {', '.join(map(str, table.columns))}, none called '{self.names[ours]}'{hint}"
                raise LogError(f"{source}: {found}; allowed is --columns {ours}=NAME for what holds the {ours}")
        return table[list(there.values())].set_axis(list(there), axis=1)


def read_table(path: str, **how: object) -> pd.DataFrame:
    """A CSV file, packed or not. Raises LogError where there is none or it cannot be read."""
    try:
        return pd.read_csv(path, **how)  # type: ignore[call-overload]
    except FileNotFoundError:
        raise LogError(f"{path}: no such file; allowed is a CSV file of events") from None
    except (OSError, ValueError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise LogError(f"{path}: cannot be read as CSV: {first}; allowed is one event a line") from None


def seconds(column: pd.Series, source: str) -> Array:
    """Times in seconds from seconds, milli-, micro- or nanoseconds since 1970, seconds of a day, or dates.

    Raises LogError where they are neither numbers nor dates.
    """
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy()
        if pd.isna(values).any():
            raise LogError(f"{source}: row {int(np.argmax(pd.isna(values))) + 2}: found no time; allowed is a number")
        size = float(np.abs(values).max(initial=0))
        unit = next((unit for least, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)) if size > least), 1.0)
        start = values[0] if unit > 1.0 and values.size else 0  # integers are exact where floats since 1970 are not
        return np.asarray((values - start) / unit, dtype=float)
    dates = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if dates.isna().any():
        n = int(np.argmax(dates.isna()))
        raise LogError(f"{source}: row {n + 2}: found time {column.iloc[n]!r}; allowed are numbers or dates like "
                       "2026-05-02T02:36:20.506")  # fmt: skip
    return np.asarray((dates - dates.iloc[0]).dt.total_seconds(), dtype=float)


def in_order(times: Array, source: str) -> None:
    """Raises LogError for the first row whose time is before that of the row above."""
    back = np.diff(times) < 0.0
    if back.any():
        n = int(np.argmax(back)) + 1
        found = f"found time {times[n]:.6f} after {times[n - 1]:.6f}, and {int(back.sum())} such rows"
        raise LogError(f"{source}: row {n + 2}: {found}; {RISING}")


def resolution(times: Array) -> float:
    """The clock's tick: the coarsest of 1, .1, ... seconds whose multiples all times are, down to a nanosecond."""
    for digits in range(10):
        scaled = times * 10.0**digits
        if np.abs(scaled - np.round(scaled)).max(initial=0.0) < 1e-3:
            return float(10.0**-digits)
    return 1e-9
