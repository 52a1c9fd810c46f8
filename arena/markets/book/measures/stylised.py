"""What the book itself looks like: spread, queues, rates, how the mid moves, and what each event does to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from arena.layout import Array
from arena.markets.book.events import NAMES
from arena.runs.record import Record


def spreads(record: Record, most: int = 4) -> Array:
    """Share of decisions with a spread of 1, 2, ... ticks; the last entry holds all wider ones."""
    spread = record["best"][..., 1] - record["best"][..., 0]
    counts = np.bincount(np.minimum(spread, most).astype(int).ravel(), minlength=most + 1)
    return np.asarray(counts[1:] / counts.sum())


def queues(record: Record) -> Array:
    """Mean number of orders [2, 2]: bid and ask, top and deep."""
    return np.asarray(record["queue"].mean(axis=(0, 1)).reshape(2, 2))


def rates(record: Record) -> tuple[Array, Array]:
    """Background events per second by type [12], and their standard errors over games."""
    per_game = record.total("events") / record.times[-1]
    return per_game.mean(axis=0), per_game.std(axis=0, ddof=1) / np.sqrt(record.games)


def dispersion(record: Record) -> Array:
    """Variance over mean of the counts per decision by type [12]: 1 for a Poisson process, more in clusters."""
    counts = np.diff(record["events"], axis=0)
    return np.asarray(counts.var(axis=(0, 1)) / np.maximum(counts.mean(axis=(0, 1)), 1e-12))


def waits(record: Record) -> tuple[Array, Array, Array]:
    """Times between events by type [12], to the grid of decisions: mean in s, s.d. over mean, and that of independence.

    Gaps between decisions in which an event came, inside one game. If decisions were independent, with the share p of
    them that had one, gaps would be geometric: sqrt(1 - p). More is clustering. nan where no event came twice.
    """
    happened = np.diff(record["events"], axis=0) > 0.0
    out = np.full((3, len(NAMES)), np.nan)
    for i in range(len(NAMES)):
        game, step = np.nonzero(happened[:, :, i].T)
        gaps = np.diff(step)[np.diff(game) == 0]
        if gaps.size:
            out[:, i] = gaps.mean() * record.step, gaps.std() / gaps.mean(), np.sqrt(1.0 - happened[:, :, i].mean())
    return out[0], out[1], out[2]


def signature(record: Record, steps: Sequence[int]) -> Array:
    """Variance of the mid's moves over so many decisions, per second (signature plot), ticks^2."""
    mid = record["mid"]
    return np.array([np.square(mid[h:] - mid[:-h]).mean() / (h * record.step) for h in steps])


def responses(record: Record, steps: Sequence[int]) -> Array:
    """Mean move of the mid over so many decisions from one in which an event of a type came, ticks [12, steps]."""
    counts, mid = np.diff(record["events"], axis=0), record["mid"]
    out = np.zeros((len(NAMES), len(steps)))
    for k, h in enumerate(steps):
        moves = mid[h:] - mid[:-h]
        here = counts[: len(moves)]
        out[:, k] = (here * moves[..., None]).sum(axis=(0, 1)) / np.maximum(here.sum(axis=(0, 1)), 1.0)
    return out


def card(record: Record) -> dict[str, Any]:
    """All of it, for report.json."""
    found, errors = rates(record)
    mean, variation, independent = waits(record)
    return {
        "spread": spreads(record).tolist(), "queue": queues(record).tolist(), "rate": found.tolist(),
        "rate_se": errors.tolist(), "dispersion": dispersion(record).tolist(),
        "wait": mean.tolist(), "wait_variation": variation.tolist(), "wait_independent": independent.tolist(),
        "mid_sd": float(record["mid"][-1].std(ddof=1)),
    }  # fmt: skip
