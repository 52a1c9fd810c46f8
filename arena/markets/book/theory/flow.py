"""What theory says about a book's flow: rates, branching, how counts spread, and how long queues last.

The background alone, as if the spread were always its mean: the factor of in-spread orders is then 1 and the process is
linear, Lambda = (I - G)^-1 base. In the book the factor moves with the spread, cancels meet empty queues and agents'
orders excite, so simulated rates differ; these are the reference that a simulation without a book must meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.markets.book.events import CANCEL_DEEP, CANCEL_TOP, MARKET, NAMES, POST_DEEP, POST_TOP, TYPES
from arena.markets.book.market import Market
from arena.solvers.hawkes import moments, queues
from arena.solvers.hawkes.process import Hawkes, by_pair
from arena.theory import Listing, Panel

WINDOWS = (0.1, 1.0, 10.0)
"""Seconds over which counts are spread in the table."""
LONGEST, POINTS = 60.0, 121


@dataclass(frozen=True)
class Flow:
    """Rates [12] and count covariances of a flow, and the first passage of its queues by side and level."""

    process: Hawkes
    rates: Array
    covariances: tuple[Array, ...]  # by WINDOWS, [12, 12] each
    orders: tuple[int, int]  # in the first and second level at the start
    passages: tuple[queues.FirstPassage, queues.FirstPassage]  # of the first and second level, one side

    def headline(self) -> str:
        """Size and memory of the flow in a sentence."""
        share = moments.ancestry(self.process)
        return (f"Hawkes flow of {self.rates.sum():.3f} events/s at the mean spread; spectral radius "
                f"{self.process.radius:.3f}, {100 * share:.1f} % of the events caused by others; theorem: Hawkes 1971, "
                "Lambda = (I - G)^-1 base")  # fmt: skip

    def tables(self) -> Sequence[Listing]:
        """Rates and the spread of counts by type, and how long queues last."""
        rows = []
        for i, name in enumerate(NAMES):
            over = [f"{cov[i, i] / (tau * self.rates[i]) if self.rates[i] else np.nan:.4f}"
                    for cov, tau in zip(self.covariances, WINDOWS, strict=True)]  # fmt: skip
            rows.append((name, f"{self.process.base[i]:.4f}", f"{self.rates[i]:.4f}", *over))
        heads = [f"{tau:g} s" for tau in WINDOWS]
        lasting = []
        for level, count, one in zip(("first", "second"), self.orders, self.passages, strict=True):
            lasting.append((level, f"{count}", f"{one.certain:.4f}", f"{one.mean:.3f}", f"{one.variance:.2f}"))
        return [
            Listing("Rates per second, and variance of counts over their mean (1: Poisson)",
                    ("type", "base", "rate", *heads), rows),
            Listing("Until a queue is first empty, if orders came independently at these rates",
                    ("level", "orders", "probability", "mean, s", "variance, s^2"), lasting),
        ]  # fmt: skip

    def panels(self) -> Sequence[Panel]:
        """Rates by type, and the survival of the queues."""
        times = np.linspace(0.0, LONGEST, POINTS)
        lines = {
            level: queues.survival(count, *_turnover(self.rates, place), times).tolist()
            for place, (level, count) in enumerate(zip(("first level", "second level"), self.orders, strict=True))
        }
        places = [float(i) for i in range(TYPES)]
        told = {"base": self.process.base.tolist(), "rate": self.rates.tolist()}
        return [
            Panel("Rates by type, in the order of the table", "type", "events per second", places, told),
            Panel("Queues that were never empty, independent orders", "time (s)", "probability", times.tolist(), lines),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "model": "book", "types": list(NAMES), "base": self.process.base.tolist(), "rates": self.rates.tolist(),
            "spectral_radius": self.process.radius, "branching_ratio": moments.ancestry(self.process),
            "matrix": self.process.total.tolist(),
            "count_covariance": {f"{tau:g}": cov.tolist() for cov, tau in zip(self.covariances, WINDOWS, strict=True)},
            "first_passage": [
                {"orders": count, "certain": one.certain, **({"mean": one.mean, "variance": one.variance}
                 if np.isfinite(one.mean) else {"mean": None, "variance": None})}
                for count, one in zip(self.orders, self.passages, strict=True)
            ],
        }  # fmt: skip


def answer(market: Market, information: str) -> Flow | str:
    """Rates and moments of a book's background flow, or why there are none; the information of players does not matter.
    """
    process = process_of(market)
    if process.signed:
        return "some events lower rates: intensities are cut at zero, and no rate is known in closed form"
    rates = moments.rates(process)
    first, second = market.depth.queues
    passages = (queues.first_passage(first, *_turnover(rates, 0)), queues.first_passage(second, *_turnover(rates, 1)))
    covariances = tuple(moments.count_covariance(process, tau) for tau in WINDOWS)
    return Flow(process, rates, covariances, (first, second), passages)


def process_of(market: Market) -> Hawkes:
    """The background flow at the mean spread, with the exponentials that the market plays."""
    parts = market.flow.components()
    rate = parts.rate  # [K, 12]
    if parts.common:
        return Hawkes(market.flow.rates, parts.jump.transpose(1, 2, 0) / rate[:, :1, None], rate[:, 0])
    return by_pair(market.flow.rates, (parts.jump.sum(axis=1) / rate).T, rate.T)  # component k is what event k started


def _turnover(rates: Array, level: int) -> tuple[float, float]:
    """Adds and removals per second of a side's first (0) or second (1) level; in-spread orders are left out."""
    if level:
        return float(rates[POST_DEEP]), float(rates[CANCEL_DEEP])
    return float(rates[POST_TOP]), float(rates[CANCEL_TOP] + rates[MARKET])
