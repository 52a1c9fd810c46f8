"""Our own event log: one line an event, as the book's replay plays them.

    time     seconds, rising
    event    a name (LO_a_D, ...) or its number, 0 to 11
    owner    0 for the background, else an agent, whose orders excite and are not explained (may be missing: all 0)
    spread   ticks just before the event (may be missing: in-spread rates are then averages over spreads)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from arena.markets.book.calibration.log import Columns, Log, LogError, in_order, read_table, seconds
from arena.markets.book.events import NAMES, TYPES
from arena.mistakes import did_you_mean

KNOWN = ("time", "event", "owner", "spread")


def read(path: str, columns: str = "") -> Log:
    """A log of our own. Raises LogError for unknown columns and events, and for times that go back."""
    table = Columns.told(columns, KNOWN).take(read_table(path), path, ("time", "event"))
    times = seconds(table["time"], path)
    in_order(times, path)
    own = np.ones(times.size, dtype=bool) if "owner" not in table else (table["owner"] == 0).to_numpy()
    notes: tuple[str, ...] = ()
    spread = None
    if "spread" in table:
        spread = table["spread"].to_numpy(dtype=float)
        if not (spread >= 1.0).all():
            n = int(np.argmin(spread >= 1.0))
            raise LogError(f"{path}: row {n + 2}: found a spread of {spread[n]:g} ticks, a crossed book; "
                           "allowed are 1 and more")  # fmt: skip
    else:
        notes = ("no column of spreads: in-spread rates are averages over all spreads",)
    return Log(path, times, _types(table["event"], path), own, spread, None, None, notes)


def _types(column: pd.Series, path: str) -> np.ndarray:
    if pd.api.types.is_integer_dtype(column):
        types = column.to_numpy(dtype=np.int64)
        wrong = (types < 0) | (types >= TYPES)
    else:
        place = {name: i for i, name in enumerate(NAMES)} | {str(i): i for i in range(TYPES)}
        found = column.astype(str).str.strip().map(place)
        wrong = found.isna().to_numpy()
        types = found.fillna(0).to_numpy(dtype=np.int64)
    if wrong.any():
        n = int(np.argmax(wrong))
        told = str(column.iloc[n])
        hint = did_you_mean(told, NAMES)
        raise LogError(f"{path}: row {n + 2}: found event '{told}'; allowed are 0 to 11 or "
                       f"{', '.join(NAMES)}{hint}")  # fmt: skip
    return types
