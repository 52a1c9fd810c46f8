"""The hedging market: options that one agent owes or owns, orders that bring new ones, and shares to hedge them.

The hedger quotes nothing and meets nobody: what it owns is given, by the book at the start and by orders that arrive
whatever it does. It decides how many shares to hold. This file holds the parameters and what they must satisfy; names
of all columns are in `columns`, the rules in `kernel`, equations in docs/model_hedging.md.

One step, for every game at once: the band is read; shares trade at the spot; spot and volatility move; the book is
marked anew and what expires settles in cash; rewards are paid; orders of the next step bring new contracts.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT
from arena.markets.market import Clock
from arena.markets.parts.underlying import Amount, NonNegative, Positive, Underlying

Range = tuple[Amount, Amount]
Chance = Annotated[float, Field(ge=0, le=1)]
Right = Literal["call", "put"]
LARGEST_MEAN = 500.0
"""Largest expected number of orders per step."""
MOST_SLOTS = 1024


class Contract(BaseModel):
    """A European option that the hedger owns from the start."""

    model_config = STRICT
    right: Right = Field(default="call", description="call or put")
    strike: Positive = Field(description="strike, currency")
    expiry: Positive = Field(description="time of expiry, clock units; at or before the horizon it settles in cash")
    quantity: Amount = Field(default=-1.0, description="contracts of one share each, > 0 long, < 0 short")


class Arrivals(BaseModel):
    """Orders of one contract each, by a Poisson process; strike, expiry, right and side are drawn evenly."""

    model_config = STRICT
    rate: Positive = Field(description="orders per clock unit")
    moneyness: tuple[Positive, ...] = Field(
        default=(1.0,), min_length=1, description="strike over spot at birth, before rounding"
    )
    strike_step: Positive = Field(default=1.0, description="strikes are rounded to whole multiples, currency")
    expiries: tuple[Positive, ...] = Field(min_length=1, description="times to expiry, clock units")
    rights: tuple[Right, ...] = Field(default=("call",), min_length=1, description="calls, puts or both")
    sell_share: Chance = Field(default=0.5, description="share of the orders in which the hedger sells")
    edge: NonNegative = Field(default=0.0, description="what an order pays the hedger beside the mark, currency")


class Book(BaseModel):
    """What the hedger owns and at what it is marked."""

    model_config = STRICT
    start: tuple[Contract, ...] = Field(default=(), description="contracts at time 0")
    arrivals: Arrivals | Literal["none"] = Field(default="none", description="orders that bring new contracts")
    slots: int = Field(default=1, ge=1, le=MOST_SLOTS, description="contracts alive at once; more are turned away")
    mark: Literal["effective", "long_run"] = Field(
        default="effective",
        description="variance at which it is marked: expected given today's volatility, or the stationary mean",
    )


class Hedge(BaseModel):
    """Shares that the hedger trades: at what cost, and what its action says."""

    model_config = STRICT
    cost: NonNegative = Field(default=0.0, description="fee per trade, fraction of the value traded (one way)")
    around: Literal["delta", "nothing"] = Field(
        default="delta", description="what the band's centre is an offset from: delta-neutral shares, or none"
    )
    centre: Range = Field(default=(-0.25, 0.25), description="range of the action, shares")
    width: tuple[NonNegative, NonNegative] = Field(
        default=(0.0, 0.3), description="range of the action, shares to either side of the centre"
    )
    unwind: bool = Field(default=True, description="shares are sold at the end, at the same cost")


class Risk(BaseModel):
    """What variation of wealth costs in the reward."""

    model_config = STRICT
    variation_aversion: NonNegative = Field(
        default=1.0, description="kappa: half of it times the squared change of wealth of each step, 1/currency"
    )


class Observe(BaseModel):
    """What the hedger sees besides time, volatility and moneyness."""

    model_config = STRICT
    greeks: bool = Field(default=True, description="the book's delta, gamma, vega, and the band they suggest")
    hedge: bool = Field(default=True, description="the shares held")
    buckets: tuple[NonNegative, ...] = Field(
        default=(), description="edges in time to expiry, clock units: delta and gamma of each bucket"
    )


class HedgingSettings(BaseModel):
    """Parameters of the hedging market. One seat, S slots for contracts."""

    model_config = STRICT
    model: Literal["hedging"] = "hedging"
    clock: Clock = Field(default=Clock(horizon=63, steps=63), description="trading time")
    underlying: Underlying = Field(default=Underlying(), description="spot and volatility")
    book: Book = Field(default=Book(start=(Contract(strike=100, expiry=63),)), description="what is to be hedged")
    hedge: Hedge = Field(default=Hedge(), description="shares")
    risk: Risk = Field(default=Risk(), description="penalty for variation")
    observe: Observe = Field(default=Observe(), description="what is seen")

    @model_validator(mode="after")
    def _check(self) -> "HedgingSettings":
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def arrivals(self) -> Arrivals | None:
        """Orders, if there are any."""
        return None if self.book.arrivals == "none" else self.book.arrivals

    @property
    def only(self) -> Contract | None:
        """The contract, where there is one and no orders come."""
        return self.book.start[0] if len(self.book.start) == 1 and self.arrivals is None else None

    @property
    def holdings(self) -> tuple[float, float]:
        """Least and most shares that hedge the only contract, exercised never or surely; (0, 0) for other books."""
        if self.only is None:
            return 0.0, 0.0
        full = self.only.quantity * (-1.0 if self.only.right == "call" else 1.0)
        return min(full, 0.0), max(full, 0.0)

    def steps_of(self, time: float) -> int:
        """Whole steps in a time."""
        return round(time / self.clock.dt)

    @property
    def longest(self) -> int:
        """Steps to expiry that a contract may have at most."""
        terms = [contract.expiry for contract in self.book.start]
        return max(self.steps_of(one) for one in [*terms, *(self.arrivals.expiries if self.arrivals else ())])

    def mean_live(self) -> float:
        """Contracts alive on average, at the end of a game that is long enough: rate times mean life."""
        return self.arrivals.rate * float(np.mean(self.arrivals.expiries)) if self.arrivals else 0.0


def _problems(market: HedgingSettings) -> Iterator[str]:
    book, hedge, dt = market.book, market.hedge, market.clock.dt
    if not book.start and market.arrivals is None:
        yield "book: found no contract and no arrivals; allowed are contracts in start, arrivals, or both"
        return
    terms = [(f"book.start[{i}].expiry", one.expiry) for i, one in enumerate(book.start)]
    if market.arrivals:
        terms += [(f"book.arrivals.expiries[{i}]", one) for i, one in enumerate(market.arrivals.expiries)]
    for where, expiry in terms:
        if round(expiry / dt) < 1 or abs(expiry / dt - round(expiry / dt)) > 1e-6:
            yield f"{where}: found {expiry:g}; allowed are whole multiples of a step, {dt:g} {market.clock.unit}"
        elif round(expiry / dt) > 100_000:
            yield f"{where}: found {expiry:g}; allowed are at most 100000 steps"
    for i, one in enumerate(book.start):
        if one.quantity == 0:
            yield f"book.start[{i}].quantity: found 0; allowed is any other number"
    needed = len(book.start)
    if market.arrivals:
        mean = market.mean_live()
        needed += int(np.ceil(min(mean + 8.0 * np.sqrt(mean), 1e9)))
        if market.arrivals.rate * dt > LARGEST_MEAN:
            least = f"at most {LARGEST_MEAN / dt:g}, {LARGEST_MEAN:g} a step"
            yield f"book.arrivals.rate: found {market.arrivals.rate:g}; allowed is {least}"
    if book.slots < needed:
        why = "the contracts at the start" + (
            ", the mean number alive and eight standard deviations" if needed > len(book.start) else ""
        )
        yield f"book.slots: found {book.slots}; allowed is {needed} or more: {why}"
    if hedge.centre[0] > hedge.centre[1]:
        yield f"hedge.centre: found {list(hedge.centre)}; allowed is [low, high] with low <= high"
    if hedge.width[0] > hedge.width[1]:
        yield f"hedge.width: found {list(hedge.width)}; allowed is [low, high] with low <= high"
    if hedge.centre[0] <= hedge.centre[1]:
        low, high = market.holdings if hedge.around == "nothing" else (0.0, 0.0)
        if hedge.centre[0] > low or hedge.centre[1] < high:
            holds = f"{low:g} to {high:g} shares" if low < high else "0 shares, no offset"
            allowed = f"allowed is a range that holds {holds}: the Black-Scholes hedge"
            yield f"hedge.centre: found {list(hedge.centre)}; {allowed}"
    if hedge.centre[0] == hedge.centre[1] and hedge.width[0] == hedge.width[1]:
        yield "hedge: found one centre and one width; allowed is a range for at least one of them"
    edges = market.observe.buckets
    if any(b <= a for a, b in pairwise(edges)):
        yield f"observe.buckets: found {list(edges)}; allowed are increasing edges"
