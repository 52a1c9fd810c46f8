"""Does a seat make a market, or does it move the price for the position that it holds? A detector over played games."""

from typing import NamedTuple

import numpy as np

from arena.markets.book.measures.trading import filled, held, place
from arena.runs.record import Record

FEWEST = 100
"""Games that the classes need."""
ONE_SIDED, DETERMINED, PUSHED = 0.9, 0.5, 3.0
CLASSES = ("maker", "hoarder", "pump and dump")


class Manipulation(NamedTuple):
    """What the detector saw.

    `determined` (det_share): mean over time of (mean over games of Y)^2 over the mean of Y^2: 1 if every game has the
    same inventory path. `one_sided`: mean over games of |sum Y|/sum |Y|. `push`: mean over games of the mid's move in
    the direction of the position, ticks. `messages`: posts and cancels per lot that traded passively; `share`: own
    messages per event of the background.
    """

    verdict: str
    determined: float
    one_sided: float
    push: float
    messages: float
    share: float
    games: int


def detect(record: Record, seat: str) -> Manipulation:
    """The class of a seat's play: one-sided, determined and pushing is pump and dump; one-sided alone is a hoarder."""
    y, mid = held(record, seat), record["mid"]
    square = float(np.square(y).mean())
    determined = float(np.square(y.mean(axis=1)).mean() / square) if square > 0.0 else 0.0
    total, size = y.sum(axis=0), np.abs(y).sum(axis=0)
    sided = float(np.divide(np.abs(total), size, out=np.zeros_like(total), where=size > 0.0).mean())
    push = float(((mid[-1] - mid[0]) * np.sign(total)).mean())
    role, i = place(record, seat)
    sent = float(sum(record.total(f"{role}_{name}")[:, i].sum() for name in ("posted", "cancelled")))
    lots, events = float(filled(record, seat).sum()), float(record.total("events").sum())
    return Manipulation(
        verdict(determined, sided, push), determined, sided, push,
        sent / lots if lots else float("nan"), sent / events if events else float("nan"), record.games,
    )  # fmt: skip


def verdict(determined: float, one_sided: float, push: float) -> str:
    """The class from the three numbers."""
    if one_sided <= ONE_SIDED:
        return CLASSES[0]
    return CLASSES[2] if determined > DETERMINED and push > PUSHED else CLASSES[1]
