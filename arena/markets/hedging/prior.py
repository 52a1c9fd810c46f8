"""Where a hedger's learning starts, and how far one unit of a network's output moves its band."""

import numpy as np

from arena.layout import Array
from arena.markets.hedging.market import HedgingMarket

WIDTH, REACH = 0.25, 0.25
"""A fresh network's width, as a share of its range; one unit of output moves a column by this in [-1, 1] units."""


def prior(market: HedgingMarket) -> dict[str, tuple[Array, Array]]:
    """Baseline and reach of the action in [-1, 1] units, each [K]: the middle of the range of centres (no offset where
    they are around the delta), a quarter of the range of widths.

    Where the centre is an offset from nothing, a fresh network thus holds the same shares at all prices.
    """
    action = market.roles[0].numbers
    neutral = {"centre": 0.0 if market.hedge.around == "delta" else 0.5 * sum(market.hedge.centre)}
    neutral["width"] = market.hedge.width[0] + WIDTH * (market.hedge.width[1] - market.hedge.width[0])
    baseline = np.clip(action.to_unit(np.array([neutral[name] for name in action.names])), -1.0, 1.0)
    return {"hedger": (baseline, np.full(action.size, REACH))}
