"""Who sits in the option dealer market and under what terms: makers with their hedge and risk, executors."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT
from arena.markets.parts.over_time import OverTime
from arena.markets.parts.underlying import Amount, NonNegative, Positive


class Observe(BaseModel):
    """What a role sees besides the time left and the market itself."""

    model_config = STRICT
    own: bool = Field(default=True, description="own inventory, last fills and (makers) own last quotes")
    last: bool = Field(default=True, description="whether `own` includes the last fills and quotes, which add no state")
    start: bool = Field(default=False, description="own inventory at the start of the game")
    prices: bool = Field(
        default=True, description="makers, options: mids, moneyness, and greeks of each and of the book"
    )
    rivals: Literal["inventory", "quotes", "none"] = Field(
        default="quotes",
        description="inventory: all other seats' inventories; quotes: best rival last distances; none",
    )

    @model_validator(mode="after")
    def _check(self) -> "Observe":
        if not self.own and self.rivals != "none":
            raise ValueError(
                f"rivals: found '{self.rivals}'; own: false hides all but time and start, allowed is 'none'"
            )
        return self


class Start(BaseModel):
    """A number drawn anew for each game and seat: uniform on mean -+ spread (whole lots in Poisson flow)."""

    model_config = STRICT
    mean: float | tuple[float, ...] = Field(default=0.0, description="one number, or one per seat, lots")
    spread: NonNegative = Field(default=0.0, description="half-width of the uniform draw, lots")


class PerfectHedge(BaseModel):
    """Each step the venue pays the maker -q (p(t+dt, S') - p(t, S)) at the model price: no residual stays."""

    model_config = STRICT
    kind: Literal["perfect"] = "perfect"


class CostlyHedge(BaseModel):
    """Shares -q delta are held from step to step, traded at S with a proportional cost; gamma and theta stay."""

    model_config = STRICT
    kind: Literal["costly"]
    cost: NonNegative = Field(default=0.0, description="proportional cost per trade, fraction of value")


class AgentHedge(BaseModel):
    """The maker chooses its shares: -q delta + offset, the offset an action in [-range, range]."""

    model_config = STRICT
    kind: Literal["agent"]
    cost: NonNegative = Field(default=0.0, description="proportional cost per trade, fraction of value")
    range: Positive = Field(default=20.0, description="largest offset from the delta-neutral holding, shares")


class BandHedge(BaseModel):
    """The maker holds shares in a band that it chooses: inside it nothing trades, outside to the nearest edge.

    The band is -q delta + centre -+ width; a range whose ends are equal fixes its number and leaves the action out.
    """

    model_config = STRICT
    kind: Literal["band"]
    cost: NonNegative = Field(default=0.0, description="proportional cost per trade, fraction of value")
    centre: tuple[Amount, Amount] = Field(
        default=(-1.0, 1.0), description="range of the action: middle of the band less the delta-neutral shares"
    )
    width: tuple[NonNegative, NonNegative] = Field(
        default=(0.0, 2.0), description="range of the action: from the middle of the band to its edges, shares"
    )
    unwind: bool = Field(default=True, description="what is held at the end is sold, at the same cost")

    @model_validator(mode="after")
    def _check(self) -> "BandHedge":
        wrong = [
            f"{name}: found [{low:g}, {high:g}]; allowed is [low, high] with low at most high"
            for name, (low, high) in (("centre", self.centre), ("width", self.width))
            if low > high
        ]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class NoHedge(BaseModel):
    """Nothing is hedged (an asset at a constant reference price, for instance)."""

    model_config = STRICT
    kind: Literal["none"]


Hedging = Annotated[PerfectHedge | CostlyHedge | AgentHedge | BandHedge | NoHedge, Field(discriminator="kind")]


def band_of(hedging: Hedging) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of a band's middle, less the delta-neutral holding, and of its width, shares.

    Every hedge in shares is a band: `costly` one of width 0 around the delta, `agent` one of width 0 that it moves.
    """
    if isinstance(hedging, BandHedge):
        return hedging.centre, hedging.width
    reach = hedging.range if isinstance(hedging, AgentHedge) else 0.0
    return (-reach, reach), (0.0, 0.0)


class SeparableRisk(BaseModel):
    """Terminal psi sum_i (P_i q_i)^2, the penalty of Fang & Xu."""

    model_config = STRICT
    kind: Literal["separable"]
    terminal_penalty: NonNegative = Field(default=0.0, description="psi, 1/currency")


class PortfolioRisk(BaseModel):
    """Terminal psi (sum_i P_i q_i)^2."""

    model_config = STRICT
    kind: Literal["portfolio"]
    terminal_penalty: NonNegative = Field(default=0.0, description="psi, 1/currency")


class RunningRisk(BaseModel):
    """Running (ra/2) |loading' q|^2, the variance rate of the shocks, and terminal psi sum_i (P_i q_i)^2."""

    model_config = STRICT
    kind: Literal["running"]
    risk_aversion: NonNegative = Field(description="ra, 1/currency")
    terminal_penalty: NonNegative = Field(default=0.0, description="psi, 1/currency")


class VegaRisk(BaseModel):
    """Running (ra/2) nu^2 (sum_i vega_i q_i)^2 and terminal psi sum_i (P_i q_i)^2."""

    model_config = STRICT
    kind: Literal["vega"]
    risk_aversion: NonNegative = Field(default=0.5, description="ra, 1/currency")
    vega_noise: NonNegative = Field(default=0.01, description="nu, standard deviation of volatility per sqrt(unit)")
    terminal_penalty: NonNegative = Field(default=0.0, description="psi, 1/currency")


class QuadraticRisk(BaseModel):
    """Running phi sum_i q_i^2 and terminal A sum_i q_i^2 (Guo & Jin), per maker if lists are given."""

    model_config = STRICT
    kind: Literal["quadratic"]
    running_penalty: OverTime | tuple[OverTime, ...] = Field(
        default=0.0, description="currency/lot^2/unit; a number, a table or an expression of t"
    )
    terminal_penalty: NonNegative | tuple[NonNegative, ...] = Field(default=0.0, description="currency/lot^2")


Risk = Annotated[SeparableRisk | PortfolioRisk | RunningRisk | VegaRisk | QuadraticRisk, Field(discriminator="kind")]


def _range(name: str, bounds: tuple[float, float]) -> str:
    """What is wrong with the bounds of an action, or nothing."""
    low, high = bounds
    return "" if low < high else f"{name}: found [{low:g}, {high:g}]; allowed is [low, high] with low < high"


class Makers(BaseModel):
    """The makers' role: how many, what they may quote, and what they pay for risk."""

    model_config = STRICT
    count: int = Field(default=2, ge=0, le=16, description="number of makers; 0: executors trade at the mid")
    inventory_limit: Positive | None = Field(default=20.0, description="largest |q| per product, lots; none: no limit")
    half_spread: tuple[Amount, Amount] = Field(default=(0.0, 0.4), description="range of the action, currency")
    skew: tuple[Amount, Amount] = Field(default=(-0.4, 0.4), description="range of the action, currency")
    min_distance: Amount = Field(default=0.0, description="distances are clipped here from below, currency")
    max_distance: Amount = Field(default=0.8, description="distances are clipped here from above, currency")
    initial_inventory: float | tuple[float, ...] | Start = Field(default=0.0, description="lots: one, per seat, a draw")
    hedging: Hedging = PerfectHedge()
    risk: Risk = VegaRisk(kind="vega")
    variation_aversion: NonNegative = Field(
        default=0.0,
        exclude_if=lambda aversion: aversion == 0,  # so that no market written before it has another hash
        description="kappa, 1/currency: each step costs kappa/2 times the square of its P&L, outside the P&L",
    )
    observe: Observe = Observe()

    @model_validator(mode="after")
    def _check(self) -> "Makers":
        wrong = [_range(name, getattr(self, name)) for name in ("half_spread", "skew")]
        if self.min_distance >= self.max_distance:
            found, most = f"found {self.min_distance:g}", f"{self.max_distance:g}"
            wrong.append(f"min_distance: {found}; allowed is below max_distance {most}")
        if any(wrong):
            raise ValueError("\n".join(line for line in wrong if line))
        return self

    def distances(
        self, half: NDArray[np.float64], skew: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bid and ask distances that half-spreads and skews of any shape mean, clipped as the market clips them."""
        least, most = self.min_distance, self.max_distance
        return np.clip(half - skew, least, most), np.clip(half + skew, least, most)


class ParentOrder(BaseModel):
    """A trader with a parent order in one product, who chooses a rate and pays for what is left."""

    model_config = STRICT
    product: str = Field(description="name of the product")
    side: Literal["buy", "sell", "coin"] = Field(default="coin", description="side of the parent order")
    size: Positive | Start = Field(description="lots, or drawn per game")
    rate: tuple[Amount, Amount] = Field(
        description="range of the action, lots per clock unit towards the target; below 0 only without makers"
    )
    temporary_impact: OverTime = Field(
        default=0.0, description="cost of rate^2, currency*unit/lot^2; a number, a table or an expression of t"
    )
    cross_impact: NonNegative = Field(
        default=0.0, description="weight of the others' mean rate in the cost: below 2, or N - 1 without makers"
    )
    running_penalty: OverTime = Field(
        default=0.0, description="currency/lot^2/unit on what is left; a number, a table or an expression of t"
    )
    terminal_penalty: NonNegative = Field(default=0.0, description="currency/lot^2 on what is left at the end")
    price: Literal["vwap", "best"] = Field(default="vwap", description="pays each maker's quote, or the best for all")
    stop_at_target: bool = Field(default=True, description="never trades beyond the parent order")

    @model_validator(mode="after")
    def _check(self) -> "ParentOrder":
        if wrong := _range("rate", self.rate):
            raise ValueError(wrong)
        return self
