"""A hedging market of one contract as the problem that `arena.solvers.hedging` solves."""

from functools import lru_cache

import numpy as np

from arena.layout import Array
from arena.markets.hedging.settings import HedgingSettings
from arena.markets.hedging.volatility import cumulated, deviation, random_step
from arena.solvers.hedging import Bands, Problem, solve
from arena.solvers.options.black_scholes import variance_price

PAD = 0.1
"""How far beyond 0 and all of the contract's shares holdings are searched, as a share of the contract."""


def problem(market: HedgingSettings) -> Problem:
    """The market's contract as a problem; raises ValueError where there are several, or orders."""
    only = market.only
    if only is None:
        found = f"{len(market.book.start)} contracts at the start" + (" and arrivals" if market.arrivals else "")
        raise ValueError(f"market.book: found {found}; allowed is one contract and no arrivals: others have no table")
    life, call = market.steps_of(only.expiry), only.right == "call"

    def mark(k: int, spot: Array, y: Array) -> Array:
        if k > life:
            return np.zeros_like(spot)
        return variance_price(spot, only.strike, deviation(market, k, life - k, y) ** 2, call=call)

    step, total = random_step(market), cumulated(market)
    ends, pad = market.holdings, PAD * abs(only.quantity)
    return Problem(
        spot=market.underlying.spot,
        steps=market.clock.steps,
        quantity=only.quantity,
        life=life,
        cost=market.hedge.cost,
        aversion=market.risk.variation_aversion,
        unwind=market.hedge.unwind,
        mark=mark,
        deviation=np.sqrt(np.maximum(np.diff(total[: market.clock.steps + 1]), 0.0)),
        volatility=step,
        root=float(np.sqrt(market.clock.dt * market.clock.years)),
        holdings=(ends[0] - pad, ends[1] + pad),
    )


@lru_cache(maxsize=16)
def optimum(market: HedgingSettings) -> Bands:
    """The optimal band of a market of one contract; raises ValueError for others."""
    return solve(problem(market))
