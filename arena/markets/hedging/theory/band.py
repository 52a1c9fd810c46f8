"""The optimal band of one contract, as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.hedgers import DeltaHedge
from arena.markets.hedging.gaps.table import edges_of_act
from arena.markets.hedging.market import HedgingMarket
from arena.markets.hedging.problems.contract import optimum, problem
from arena.markets.hedging.volatility import random_step
from arena.solvers.hedging import Bands, between, evaluate
from arena.theory import Listing, Panel

MONEYNESS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Spots over the strike at which a table shows the band."""


@dataclass(frozen=True)
class OptimalBand:
    """The optimum of a market, and what Black-Scholes earns on the same grid."""

    market: HedgingMarket
    bands: Bands
    black_scholes: float

    def headline(self) -> str:
        """Which problem, which method."""
        return (
            "one contract hedged in discrete time: the optimal band by dynamic programming; "
            "theorem: the optimum under proportional costs holds inside a band (Davis, Panas & Zariphopoulou 1993)"
        )

    def _edges(self, k: int, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        only, step = self.market.only, random_step(self.market)
        assert only is not None
        x = np.log(only.strike * ratio)
        y = np.full_like(x, step.mean if step else 0.0)
        low, high = (between(self.bands.grid, table[k], x, y) for table in (self.bands.low, self.bands.high))
        return low, high

    def _instants(self) -> list[int]:
        steps = self.market.clock.steps
        return sorted({0, steps // 2, steps - 1})

    def tables(self) -> Sequence[Listing]:
        """Values, and the band at three instants."""
        values = [("optimal band", f"{self.bands.value:.5f}"), ("Black-Scholes hedge", f"{self.black_scholes:.5f}")]
        out = [Listing("Value, $ per game", ("hedge", "value"), values)]
        for k in self._instants():
            low, high = self._edges(k, np.array(MONEYNESS))
            rows = [(f"{m:g}", f"{a:.4f}", f"{b:.4f}") for m, a, b in zip(MONEYNESS, low, high, strict=True)]
            time = f"{k * self.market.clock.dt:g} {self.market.clock.unit}s"
            out.append(Listing(f"Band after {time}, shares", ("spot over strike", "lower edge", "upper edge"), rows))
        return out

    def panels(self) -> Sequence[Panel]:
        """The band over the spot, at the start and halfway."""
        ratio, out = np.linspace(0.85, 1.15, 61), []
        for k in self._instants()[:2]:
            low, high = self._edges(k, ratio)
            title = f"Band after {k * self.market.clock.dt:g} {self.market.clock.unit}s"
            lines = {"lower edge": low.tolist(), "upper edge": high.tolist()}
            out.append(Panel(title, "spot over strike", "shares", ratio.tolist(), lines))
        return out

    def to_dict(self) -> dict[str, Any]:
        """{value, black_scholes, moneyness, bands: {instant: {low, high}}}."""
        bands = {}
        for k in self._instants():
            low, high = self._edges(k, np.array(MONEYNESS))
            bands[str(k)] = {"low": low.tolist(), "high": high.tolist()}
        told = {"value": self.bands.value, "black_scholes": self.black_scholes, "moneyness": list(MONEYNESS)}
        return {"model": "hedging", **told, "bands": bands}


def answer(market: HedgingMarket, information: str = "open_loop") -> OptimalBand | str:
    """The optimal band, or one sentence why it is not known; one player alone needs no information about others."""
    try:
        one = problem(market)
    except ValueError as error:
        return str(error)
    act = DeltaHedge().sit(market, market.roles[0].agents[0])
    bands = optimum(market)
    return OptimalBand(market, bands, evaluate(one, edges_of_act(market, act), bands.grid))
