"""What played games earned, in any market: wealth, its sources, and the objective, by the rows that a role names.

A market's kit may know better (`wealth`, `objective`); then what it says is checked against the rows.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add

import numpy as np

from arena.layout import Array
from arena.markets.catalogue import part_named
from arena.runs.record import Record

Measure = Callable[[Record], Mapping[str, Array]]
TOTALS = ("pnl", "penalties")
"""What `attribution` says besides the sources."""
CLOSE = 1e-6
"""Share of a seat's largest P&L by which its sources may miss it: rounding is a thousandth of that."""


def wealth(record: Record) -> Mapping[str, Array]:
    """What each seat has earned since the start, [T + 1, B]."""
    own: Measure = part_named(record.model, "wealth", _by_rows)
    return own(record)


def _by_rows(record: Record) -> dict[str, Array]:
    """Gains less costs since the start."""
    out = {}
    for one in record.seats:
        for i, seat in enumerate(one.agents):
            path = np.zeros((len(record.state), record.games))
            for sign, names in ((1.0, one.rows.gains), (-1.0, one.rows.costs)):
                for name in names:
                    path += sign * _of_seat(record[name], i, 2)
            out[seat] = path - path[0]
    return out


def _of_seat(values: Array, seat: int, axis: int) -> Array:
    """One seat's part of a quantity [..., seats, ...] whose seats stand on `axis`, summed over the axes behind it."""
    own = np.asarray(values.take(seat, axis=axis))
    return np.asarray(own.sum(axis=tuple(range(axis, own.ndim)))) if own.ndim > axis else own


def attribution(record: Record) -> dict[str, dict[str, Array]]:
    """P&L of every seat by source, [B] each; the sources add up to `pnl`, which is the change of its wealth.

    `penalties` are outside: the objective is pnl - penalties, unless a reward leaves something out.
    """
    labels: Mapping[str, str] = part_named(record.model, "LABELS", {})
    paths, out = wealth(record), {}
    for one in record.seats:
        for i, seat in enumerate(one.agents):
            parts: dict[str, Array] = {}
            for name in (*one.rows.gains, *one.rows.costs):
                value = _of_seat(record.total(name), i, 1)
                parts[labels.get(name, name.replace("_", " "))] = value if name in one.rows.gains else -value
            parts["pnl"] = paths[seat][-1] - paths[seat][0]
            fines = [_of_seat(record.total(name), i, 1) for name in one.rows.penalties]
            parts["penalties"] = reduce(add, fines) if fines else np.zeros(record.games)
            out[seat] = parts
    return out


def largest_errors(parts: Mapping[str, Mapping[str, Array]]) -> dict[str, float]:
    """By how much a seat's sources miss its P&L at most in any game."""
    none = np.zeros(1)
    return {
        seat: float(np.abs(sum((v for k, v in p.items() if k not in TOTALS), none) - p["pnl"]).max())
        for seat, p in parts.items()
    }


def leaks(record: Record) -> dict[str, float]:
    """The seats whose sources do not add up to their P&L, and by how much they miss it; empty where all is well."""
    parts = attribution(record)
    errors = largest_errors(parts)
    return {seat: e for seat, e in errors.items() if e > CLOSE * max(1.0, float(np.abs(parts[seat]["pnl"]).max()))}


def objective(record: Record) -> Mapping[str, Array]:
    """The sum of each seat's rewards, [B]."""
    own: Measure = part_named(record.model, "objective", _rewards)
    return own(record)


def _rewards(record: Record) -> dict[str, Array]:
    return {
        seat: _of_seat(record[one.rows.reward][1:], i, 2).sum(axis=0)
        for one in record.seats
        for i, seat in enumerate(one.agents)
    }
