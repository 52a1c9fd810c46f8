"""The hedge of a scripted maker: the band of shares that its recipe names, where the market lets makers choose one.

A recipe of quotes says nothing of shares. Without a `hedge` it holds the delta-neutral shares at every step (the middle
of the band 0, its width the least that the market allows), which is how Black-Scholes hedges.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from arena.layout import STRICT
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import BandHedge
from arena.markets.market import Act

NonNegative = Annotated[float, Field(ge=0)]


class Band(BaseModel):
    """The same band at all times: -q delta + centre -+ width; inside it nothing trades."""

    model_config = STRICT
    kind: Literal["band"] = "band"
    centre: float = Field(default=0.0, description="middle of the band less the delta-neutral holding, shares")
    width: NonNegative = Field(description="from the middle of the band to its edges, shares")

    def misfits(self, market: DealerMarket) -> list[str]:
        """What the market does not let a maker hold, one sentence each."""
        hedging = market.makers.hedging
        if not isinstance(hedging, BandHedge):
            return [f"hedge: found a band; allowed is none, for market.makers.hedging is {hedging.kind}"]
        return [
            f"hedge.{name}: found {value:g}; allowed is {low:g} to {high:g}, as market.makers.hedging.{name} says"
            for name in ("centre", "width")
            for value, (low, high) in ((getattr(self, name), getattr(hedging, name)),)
            if not low <= value <= high
        ]


class Hedged(BaseModel):
    """A maker's recipe that may carry a band."""

    model_config = STRICT
    hedge: Band | None = Field(
        default=None,
        exclude_if=lambda band: band is None,  # so that no scenario written before it has another hash
        description="shares held beside the quotes; none: the delta-neutral ones, rebalanced at every step",
    )

    def misfits(self, market: DealerMarket) -> list[str]:
        """What the market does not allow of its numbers, one sentence each."""
        return self.hedge.misfits(market) if self.hedge else []

    def hedged(self, market: DealerMarket, act: Act) -> Act:
        """The act with the recipe's band in its last columns; raises ValueError where the market does not allow it."""
        if self.hedge is None:
            return act
        if wrong := self.hedge.misfits(market):
            raise ValueError("\n".join(wrong))
        layout = market.roles[0].numbers
        wanted = {"hedge_centre": self.hedge.centre, "hedge_width": self.hedge.width}
        physical = np.array([wanted.get(name, 0.0) for name in layout.names])
        columns = [i for i, name in enumerate(layout.names) if name in wanted]
        shares = np.clip(layout.to_unit(physical), -1.0, 1.0)[columns]

        def both(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
            action = np.array(act(observation, noise))
            action[:, columns] = shares
            return action

        return both
