"""Scripted market makers: a constant spread, and the two closed-form quotes that every learner has to beat.

A recipe is plain data from a scenario; `sit` reads the market once and returns `act(observation [batch, D],
noise [batch, K]) -> action [batch, K]` in [-1, 1]. Acts keep no state between calls.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from agents.executors import TWAP
from agents.hedged import Hedged
from agents.nash import NashMaker
from agents.optimal_makers import GibbsMaker, HJBMaker, MPEMaker, as_action
from arena.markets.catalogue import kit_of
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.settings import inverse_decay, naive_half_spread
from arena.markets.market import Act, Role

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class ConstantSpread(Hedged):
    """The same half-spread and skew on every product at all times."""

    kind: Literal["constant_spread"] = "constant_spread"
    half_spread: float | Literal["naive", "inverse_decay"] = Field(
        default="naive", description="currency; naive: the rule's static Nash value if it has one, else 1/fill_decay"
    )
    skew: float = Field(default=0.0, description="currency, > 0 moves both prices up")

    def misfits(self, market: DealerMarket) -> list[str]:
        """The numbers that the market does not let a maker quote, one sentence each."""
        wrong = super().misfits(market)
        for name in ("half_spread", "skew"):
            value, (low, high) = getattr(self, name), getattr(market.makers, name)
            if not isinstance(value, str) and not low <= value <= high:
                wrong.append(f"{name}: found {value:g}; allowed is {low:g} to {high:g}, as market.makers.{name} says")
        return wrong

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the market does not allow the quote."""
        if wrong := self.misfits(market):
            raise ValueError("\n".join(wrong))
        named = {"naive": naive_half_spread, "inverse_decay": inverse_decay}
        half = named[self.half_spread](market) if isinstance(self.half_spread, str) else self.half_spread
        action = as_action(market, np.full((1, market.n), half), np.full((1, market.n), self.skew))

        def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
            return np.broadcast_to(action, (len(observation), action.shape[1]))

        return self.hedged(market, act)


class AvellanedaStoikov(Hedged):
    """Black-Scholes mid with the spread of Avellaneda & Stoikov 2008 per product.

        bid, ask distance = gs2 tau / 2 + ln(1 + ra/k)/ra  +- q gs2 tau,     gs2 = ra * variance rate of one hedged lot

    The variance rate is (vega_noise * vega_i)^2, plus that of the shocks and, where nothing is hedged, of the delta.
    The market clips distances, so quotes never cross the mid unless the scenario allows it.
    """

    kind: Literal["avellaneda_stoikov"] = "avellaneda_stoikov"
    risk_aversion: Positive | Literal["tuned"] = Field(
        default="tuned", description="ra, 1/currency; tuned: best of a grid in the same market against naive others"
    )
    vega_noise: NonNegative | None = Field(
        default=None, description="standard deviation of volatility per sqrt(unit); none: the market's own, else 0.01"
    )
    variance_rate: NonNegative | None = Field(
        default=None, description="currency^2/lot^2/unit, for every product; none: from vega, shocks and delta"
    )
    fill_decay: Positive | None = Field(default=None, description="k, 1/currency; none: the flow rule's")

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; a `tuned` recipe plays its grid once per market and seat."""
        if self.risk_aversion == "tuned":
            return _tuned(market, seat, self).sit(market, seat)
        from arena.solvers.options.closed_form import (
            avellaneda_stoikov,  # scipy takes half a second: only who sits pays it
        )

        aversion, decay = self.risk_aversion, self.fill_decay or market.flow.rule.numbers()[0]
        quotes = _quoting(
            self.kind, market, self.vega_noise, self.variance_rate,
            lambda q, time_left, variance: avellaneda_stoikov(q, time_left, decay, aversion, variance),
        )  # fmt: skip
        return self.hedged(market, quotes)


class GueantLehalle(Hedged):
    """Asymptotic quotes of Gueant, Lehalle & Fernandez-Tapia 2013: no dependence on the time left.

        bid, ask distance = ln(1 + ra/k)/ra + w/2 +- q w,   w = sqrt(variance ra/(2 k A) (1 + ra/k)^(1 + k/ra))

    A is one maker's part of the arrival rate, mean over time, products and sides; the variance rate is that of
    `AvellanedaStoikov`.
    """

    kind: Literal["gueant_lehalle"] = "gueant_lehalle"
    risk_aversion: Positive = Field(default=0.5, description="ra, 1/currency")
    vega_noise: NonNegative | None = Field(
        default=None, description="standard deviation of volatility per sqrt(unit); none: the market's own, else 0.01"
    )
    variance_rate: NonNegative | None = Field(
        default=None, description="currency^2/lot^2/unit, for every product; none: from vega, shocks and delta"
    )
    fill_decay: Positive | None = Field(default=None, description="k, 1/currency; none: the flow rule's")

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where no noise trader ever comes."""
        from arena.solvers.options.closed_form import glft_asymptotic

        decay = self.fill_decay or market.flow.rule.numbers()[0]
        rate = float(market.arrival_rates().mean()) / market.makers.count
        if rate <= 0:
            raise ValueError("gueant_lehalle needs noise flow: market.flow.arrival_rate is 0")
        quotes = _quoting(
            self.kind, market, self.vega_noise, self.variance_rate,
            lambda q, time_left, variance: glft_asymptotic(q, rate, decay, self.risk_aversion, variance),
        )  # fmt: skip
        return self.hedged(market, quotes)


def naive_profile(market: DealerMarket) -> dict[str, "ConstantSpread | TWAP"]:
    """The profile that every gap is measured against: naive constant spreads without skew, and TWAP."""
    makers = {seat: ConstantSpread() for seat in market.maker_names}
    return {**makers, **{seat: TWAP() for seat in market.executor_names}}


@lru_cache(maxsize=32)
def _tuned(market: DealerMarket, seat: str, recipe: AvellanedaStoikov) -> AvellanedaStoikov:
    kit: Any = kit_of(market)  # games are played by who stands above the rules, never by a recipe's own room
    found: AvellanedaStoikov = kit.tuned(market, seat, recipe)
    return found


def _quoting(
    kind: str,
    market: DealerMarket,
    vega_noise: float | None,
    variance_rate: float | None,
    distances: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Act:
    """An act that turns distances(q, time left, variance rate) [batch, n, 2] into (half-spread, skew) actions."""
    role = _maker(market)
    if "inventory" not in role.observation:
        raise ValueError(f"{kind} needs to see its inventory: market.makers.observe.own must be true")
    inventory, time_left = role.observation.slice("inventory"), role.observation.slice("time_left")
    vega = role.observation.slice("vega") if "vega" in role.observation else None
    noise_of_vol = getattr(market.makers.risk, "vega_noise", 0.01) if vega_noise is None else vega_noise
    steady = _steady_variance(market)
    if vega is None:  # the first vega stands for one that is not shown
        from arena.markets.dealer.pricing import initial_greeks

        steady = steady + np.square(noise_of_vol * initial_greeks(market)[3])

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        q, tau = observation[:, inventory].astype(float), np.maximum(observation[:, time_left].astype(float), 0.0)
        if variance_rate is not None:
            variance = np.full_like(q, variance_rate)
        else:
            variance = np.broadcast_to(steady, q.shape)
            if vega is not None:
                variance = variance + np.square(noise_of_vol * observation[:, vega].astype(float))
        distance = distances(q, tau, variance)
        bid, ask = distance[..., 0], distance[..., 1]
        return as_action(market, 0.5 * (ask + bid), 0.5 * (ask - bid))

    return act


def _steady_variance(market: DealerMarket) -> np.ndarray:
    """Variance rate of one lot besides a vega that is seen, currency^2/unit [n]: shocks, and an unhedged delta."""
    from arena.markets.dealer.pricing import initial_greeks

    loading = market.loading().mean(axis=0)
    variance = np.square(loading).sum(axis=1)
    if market.makers.hedging.kind == "none":
        delta, deviation = initial_greeks(market)[1], initial_greeks(market)[4]
        variance = variance + np.square(delta * deviation) / market.clock.horizon
    return variance


def _maker(market: DealerMarket) -> Role:
    return market.role("maker")


Maker = Annotated[
    ConstantSpread | AvellanedaStoikov | GueantLehalle | HJBMaker | GibbsMaker | MPEMaker | NashMaker,
    Field(discriminator="kind"),
]
"""The scripted makers a scenario may name."""
