"""Numbers of seats over played games: Sharpe by fee, fills, markouts, adverse selection, slippage of parent orders.

Functions of a `Record` that give a number per game [B], or estimates with their errors. Money in ticks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arena.layout import Array
from arena.runs.estimates import Estimate, estimate, ratio
from arena.runs.record import Record

SECONDS = 252 * 6.5 * 3600.0
"""Trading time of a year, s."""
WEALTH = 2000.0
"""Wealth at the start of a game for the Sharpe ratio, currency; to first order it cancels."""


class Sharpe(NamedTuple):
    """An annualised Sharpe ratio, its standard error sqrt(A^2 + SR^2/2)/sqrt(n), and what it is made of, in ticks."""

    fee: float  # share of the value of what is held at the end
    value: float
    se: float
    mean: float
    sd: float
    games: int


def place(record: Record, seat: str) -> tuple[str, int]:
    """A seat's role and its number there; raises KeyError for a seat that did not play."""
    for one in record.seats:
        if seat in one.agents:
            return one.role, one.agents.index(seat)
    raise KeyError(f"no seat {seat!r}; there are {', '.join(a for one in record.seats for a in one.agents)}")


def held(record: Record, seat: str) -> Array:
    """Position over time [T + 1, B], lots; what an executor still owes has the other sign."""
    role, i = place(record, seat)
    return np.asarray(record[f"{role}_inventory"][:, :, i])


def pnl(record: Record, seat: str, fee: float) -> Array:
    """P&L per game [B] if what is held at the end cost this share of its value, instead of the market's own."""
    role, i = place(record, seat)
    total = sum(record.total(f"{role}_{name}")[:, i] for name in ("captured", "crossed", "mark"))
    value = np.abs(held(record, seat)[-1]) * record["mid"][-1]
    own = record.total(f"{role}_fee")[:, i] - record.facts["liquidation"] * value
    return np.asarray(total - own - fee * value)


def sharpe(record: Record, seat: str, fee: float) -> Sharpe:
    """A mean/sd of log(V_T/V_0) over games, A = sqrt(year/T), V_0 = 2000 $; its error is that of normal returns."""
    money = pnl(record, seat, fee)
    start = WEALTH / record.facts["tick"]
    logs = np.log1p(np.maximum(money / start, -1.0 + 1e-12))
    annual = float(np.sqrt(SECONDS / record.times[-1]))
    sd = float(logs.std(ddof=1)) if logs.size > 1 else np.nan
    value = annual * float(logs.mean()) / sd if sd > 0.0 else np.nan
    error = float(np.sqrt((annual**2 + 0.5 * value**2) / logs.size))
    return Sharpe(fee, value, error, float(money.mean()), float(money.std(ddof=1)), logs.size)


def filled(record: Record, seat: str) -> Array:
    """Lots of resting orders that traded in each step, [T, B, 2] (bid, ask)."""
    role, i = place(record, seat)
    return np.diff(record[f"{role}_filled"][:, :, i], axis=0)


def markouts(record: Record, seat: str, horizons: Sequence[int], confidence: float = 0.99) -> list[Estimate]:
    """Mean P&L per lot of a resting order `horizon` decisions after its fill; 0: the spread captured.

    The mid moves from the decision before the fill on; fills late in the game are marked at its end.
    """
    role, i = place(record, seat)
    lots = filled(record, seat)
    bought, count = lots[..., 0] - lots[..., 1], lots.sum(axis=-1).sum(axis=0)
    edge = record.total(f"{role}_captured")[:, i]
    return [ratio(edge + (bought * _moves(record, h)).sum(axis=0), count, confidence) for h in horizons]


def adverse_selection(record: Record, seat: str, seconds: float = 5.0) -> Array:
    """Part of the moves of the mid that came within `seconds` of a fill and against or for it, [B]; < 0 is a cost."""
    lots = filled(record, seat)
    steps = max(round(seconds / record.step), 1)
    return np.asarray(((lots[..., 0] - lots[..., 1]) * _moves(record, steps)).sum(axis=0))


def _moves(record: Record, steps: int) -> Array:
    """Move of the mid from each decision over so many steps, [T, B]."""
    mid = record["mid"]
    last = len(mid) - 1
    start = np.arange(last)
    return np.asarray(mid[np.minimum(start + steps, last)] - mid[start]) if steps else np.zeros_like(mid[1:])


def fills(record: Record, seat: str, confidence: float = 0.99) -> dict[str, Estimate]:
    """Orders per game and what became of them; share filled; seconds that a filled order had waited."""
    role, i = place(record, seat)
    count = {
        name: record.total(f"{role}_{name}")[:, i] for name in ("posted", "cancelled", "dropped", "taken", "waited")
    }
    traded = record.total(f"{role}_filled")[:, i].sum(axis=-1)
    out = {name: estimate(count[name], confidence) for name in ("posted", "cancelled", "dropped", "taken")}
    out["filled"] = estimate(traded, confidence)
    out["share filled"] = ratio(traded, count["posted"], confidence)
    out["seconds in the queue"] = ratio(count["waited"], traded, confidence)
    return out


def slippage(record: Record, seat: str) -> dict[str, Array]:
    """Cost of a parent order, ticks per lot [B], > 0 is a cost: against the mid at arrival, and against its mean.

    `arrival` is the implementation shortfall (Perold 1988) with what is left marked at the last mid; `schedule`
    compares with trading evenly at the mid of each decision; `left` are lots that were not traded.
    """
    role, i = place(record, seat)
    start = held(record, seat)[0]
    size, side = np.abs(start), -np.sign(start)
    own = sum(record.total(f"{role}_{name}")[:, i] for name in ("captured", "crossed", "mark"))
    cost = -(own - record.total(f"{role}_fee")[:, i]) / size
    mid = record["mid"]
    even = side * (mid[:-1].mean(axis=0) - mid[0])
    return {"arrival": cost, "schedule": cost - even, "left": np.abs(held(record, seat)[-1])}
