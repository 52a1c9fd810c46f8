"""Scripted hedgers: Black & Scholes, and the bands that proportional costs ask for.

A recipe is plain data from a scenario; `sit` reads the market once and returns `act(observation [batch, D],
noise [batch, K]) -> action [batch, K]` in [-1, 1]. Acts keep no state between calls. All of them speak of a band
around the delta-neutral holding -net_delta: an offset and a width, shares.
"""

from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from arena.game import Game
from arena.layout import STRICT, Array
from arena.markets.hedging.columns import typical_band
from arena.markets.hedging.market import HedgingMarket
from arena.markets.hedging.problems.contract import optimum
from arena.markets.hedging.volatility import cumulated, deviation, log_effective, random_step
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.solvers.hedging import between
from arena.solvers.options.black_scholes import greeks

Positive = Annotated[float, Field(gt=0)]
MULTIPLIERS = tuple(0.5 * 2.0 ** (i / 2) for i in range(11))
"""The grid of the tuned band, 0.5 to 16."""
TUNING_STREAM, TUNING_BATCH = 23, 512
"""Seeds of the games that each multiplier plays, the same for all, and how many are played at a time."""


class Position(NamedTuple):
    """The book as the hedger sees it, arrays [batch]: greeks with the holder's sign, the spot, ln sigma, and the index
    of the decision; spot and y are 0 where the market does not tell them."""

    delta: Array
    gamma: Array
    vega: Array
    spot: Array
    y: Array
    k: Array


def position(market: HedgingMarket, observation: np.ndarray) -> Position:
    """Reads the book off an observation [batch, D]: a market of one contract tells it by time and moneyness alone."""
    layout, clock, only = market.roles[0].observation, market.clock, market.only

    def column(name: str) -> Array:
        if name not in layout:
            return np.zeros(len(observation))
        return observation[:, layout.slice(name).start].astype(float)

    k = np.clip(np.rint((clock.horizon - column("time_left")) / clock.dt), 0, clock.steps - 1).astype(int)
    y = column("log_volatility")
    if only is None:
        return Position(column("net_delta"), column("net_gamma"), column("net_vega"), np.zeros(len(y)), y, k)
    spot, life = only.strike * np.exp(column("moneyness")), market.steps_of(only.expiry)
    delta, gamma, vega = np.zeros((3, len(y)))
    for now in np.unique(k):
        rows, left = k == now, life - now
        if left > 0:
            tau = left * clock.dt * clock.years
            sd = np.maximum(deviation(market, int(now), left, y[rows]), 1e-9)
            g = greeks(spot[rows], only.strike, tau, sd / np.sqrt(tau), call=only.right == "call")
            delta[rows], gamma[rows], vega[rows] = g.delta, g.gamma, g.vega
    q = only.quantity
    return Position(q * delta, q * gamma, q * vega, spot, y, k)


def leverage(market: HedgingMarket, held: Position) -> Array:
    """Shares that hedge what the volatility moves with the spot, [batch]: net vega in y times dy/dS of one step.

    vega sigma_eff (d ln sigma_eff/dy) rho s/(S sigma sqrt(dt)), s the shock of y in a step; zero where the volatility
    is not random.
    """
    step, only = random_step(market), market.only
    if step is None or only is None or market.book.mark == "long_run":
        return np.zeros_like(held.delta)
    life, out = market.steps_of(only.expiry), np.zeros_like(held.delta)
    root = np.sqrt(market.clock.dt * market.clock.years)
    for now in np.unique(held.k):
        rows, left = held.k == now, int(life - now)
        if left > 0:
            value, slope = log_effective(step, held.y[rows], left)
            move = step.correlation * step.shock / (held.spot[rows] * np.exp(held.y[rows]) * root)
            out[rows] = held.vega[rows] * np.exp(value[left]) * slope[left] * move
    return out


def as_action(market: HedgingMarket, held: Position, offset: Array, width: Array) -> np.ndarray:
    """A band around the delta-neutral holding as an action [batch, K] in [-1, 1], clipped to the ranges."""
    numbers = market.roles[0].numbers
    centre = offset if market.hedge.around == "delta" else offset - held.delta
    parts = {"centre": centre, "width": width}
    physical = np.stack([np.broadcast_to(parts[name], held.delta.shape) for name in numbers.names], axis=-1)
    return np.clip(numbers.to_unit(physical), -1.0, 1.0)


def sees_the_book(market: HedgingMarket, kind: str) -> None:
    """Raises ValueError where the greeks of several contracts are hidden."""
    if market.only is None and not market.observe.greeks:
        raise ValueError(f"{kind} needs to see greeks: market.observe.greeks must be true")


def single(market: HedgingMarket, kind: str) -> None:
    """Raises ValueError where the book is not one contract."""
    if market.only is None:
        raise ValueError(f"market.book: found several contracts; allowed for {kind} is one contract and no arrivals")


class DeltaHedge(BaseModel):
    """Holds the Black-Scholes delta at all times (Black & Scholes 1973)."""

    model_config = STRICT
    kind: Literal["delta_hedge"] = "delta_hedge"
    volatility: Literal["mark", "long_run"] = Field(
        default="mark", description="at the volatility of the marks, or of the stationary mean of the variance"
    )

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where greeks are hidden, or `long_run` has several contracts."""
        if self.volatility == "long_run" and random_step(market) is not None and market.book.mark == "effective":
            single(market, "delta_hedge with volatility: long_run")
            return _shifted(market, cumulated(market), 1.0)
        sees_the_book(market, self.kind)
        return _banded(market)


class Leland(BaseModel):
    """The Black-Scholes delta at the volatility that pays for the costs, sigma^2 (1 +- sqrt(2/pi) 2 c/(sigma sqrt(dt)))
    (Leland 1985); + for what is owed, - for what is owned.
    """

    model_config = STRICT
    kind: Literal["leland"] = "leland"

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the book is not one contract."""
        single(market, self.kind)
        total, only = cumulated(market), market.only
        assert only is not None
        sd = np.sqrt(max(total[1] - total[0], 1e-18))
        more = np.sqrt(2.0 / np.pi) * 2.0 * market.hedge.cost / sd
        return _shifted(market, total, max(1.0 - np.sign(only.quantity) * more, 1e-2))


class MinimumVariance(BaseModel):
    """The delta, and what the volatility moves with the spot (leverage): the least variance of the next step."""

    model_config = STRICT
    kind: Literal["minimum_variance"] = "minimum_variance"

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the book is not one contract."""
        single(market, self.kind)
        return _banded(market, with_leverage=True)


class WhalleyWilmott(BaseModel):
    """A band of half-width (1.5 c S gamma^2/(kappa m))^(1/3) shares around the delta (Whalley & Wilmott 1997)."""

    model_config = STRICT
    kind: Literal["whalley_wilmott"] = "whalley_wilmott"
    multiplier: Positive = Field(default=1.0, description="m: narrows the band, 1 at small costs in continuous time")
    centre: Literal["mark", "minimum_variance"] = Field(
        default="mark", description="around the delta of the marks, or the one of least variance"
    )

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where greeks are hidden, least variance has several contracts, or the
        width has too narrow a range."""
        if self.centre == "minimum_variance":
            single(market, f"{self.kind} with centre: minimum_variance")
        sees_the_book(market, self.kind)
        if (needed := _width(market, self.multiplier)) > market.hedge.width[1]:
            found = f"market.hedge.width: found {list(market.hedge.width)}"
            why = f"{self.kind} with multiplier {self.multiplier:g} is as wide halfway to expiry"
            raise ValueError(f"{found}; allowed is a range up to {needed:.3g} or more: {why}")
        return _banded(market, with_leverage=self.centre == "minimum_variance", multiplier=self.multiplier)


def _width(market: HedgingMarket, multiplier: float) -> float:
    """How wide a Whalley-Wilmott band is halfway to expiry, in shares."""
    return typical_band(market) * multiplier ** (-1 / 3)


class TunedBand(BaseModel):
    """The band of Whalley & Wilmott whose multiplier earns most in this market, of a grid of eleven."""

    model_config = STRICT
    kind: Literal["tuned_band"] = "tuned_band"
    centre: Literal["mark", "minimum_variance"] = Field(default="mark", description="as of whalley_wilmott")
    games: int = Field(default=4096, ge=8, le=1_000_000, description="games that each multiplier plays")

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; plays the grid once per market; raises ValueError as whalley_wilmott does."""
        return WhalleyWilmott(multiplier=tuned(market, self.centre, self.games), centre=self.centre).sit(market, seat)


@lru_cache(maxsize=16)
def tuned(market: HedgingMarket, centre: Literal["mark", "minimum_variance"] = "mark", games: int = 4096) -> float:
    """The multiplier that earns most on the same games, of those whose band the action can be as wide as."""
    wide = [m for m in MULTIPLIERS if _width(market, m) <= market.hedge.width[1]] or MULTIPLIERS[-1:]
    seat, seeds = market.roles[0].agents[0], seeds_of(TUNING_STREAM, games)
    game = Game(market, min(TUNING_BATCH, games))
    parts = seeds[: games // game.batch * game.batch].reshape(-1, game.batch)
    score = []
    for multiplier in wide:
        act = WhalleyWilmott(multiplier=multiplier, centre=centre).sit(market, seat)
        score.append(np.mean([play(game, {seat: act}, part).returns_of(seat) for part in parts]))
    return wide[int(np.argmax(score))]


class DPHedger(BaseModel):
    """The optimal band of one contract, by dynamic programming (`arena.solvers.hedging`)."""

    model_config = STRICT
    kind: Literal["dp_hedger"] = "dp_hedger"

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the book is not one contract."""
        bands = optimum(market)

        def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
            held = position(market, observation)
            low, high = np.zeros((2, len(held.k)))
            for now in np.unique(held.k):
                rows = held.k == now
                at = np.log(held.spot[rows]), held.y[rows]
                low[rows], high[rows] = (between(bands.grid, table[now], *at) for table in (bands.low, bands.high))
            return as_action(market, held, 0.5 * (low + high) + held.delta, 0.5 * (high - low))

        return act


class NoHedge(BaseModel):
    """Trades as little as the ranges of the action let it: the widest band."""

    model_config = STRICT
    kind: Literal["no_hedge"] = "no_hedge"

    def sit(self, market: HedgingMarket, seat: str) -> Act:
        """Act of one seat."""
        numbers = market.roles[0].numbers
        goal = {"centre": 0.0, "width": market.hedge.width[1]}
        action = np.clip(numbers.to_unit(np.array([goal[name] for name in numbers.names])), -1.0, 1.0)
        return lambda observation, noise: np.broadcast_to(action, (len(observation), len(action)))


def _banded(market: HedgingMarket, with_leverage: bool = False, multiplier: float | None = None) -> Act:
    """A band around the delta or the delta of least variance; without a multiplier its width is 0."""
    layout, cost, aversion = market.roles[0].observation, market.hedge.cost, market.risk.variation_aversion
    shown = "band_width" in layout

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        held = position(market, observation)
        offset = -leverage(market, held) if with_leverage else np.zeros_like(held.delta)
        width = np.zeros_like(offset)
        if multiplier is not None and aversion > 0:
            if shown:
                width = observation[:, layout.slice("band_width").start] * np.cbrt(1.0 / multiplier)
            else:
                width = np.cbrt(1.5 * cost * held.spot * held.gamma**2 / (aversion * multiplier))
        return as_action(market, held, offset, width)

    return act


def _shifted(market: HedgingMarket, total: Array, factor: float) -> Act:
    """The delta of one contract at `factor` times the variance that is left in `total` [steps + longest + 1]."""
    only = market.only
    assert only is not None
    life, clock = market.steps_of(only.expiry), market.clock

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        held = position(market, observation)
        delta = np.zeros_like(held.delta)
        for now in np.unique(held.k):
            rows, tau = held.k == now, (life - now) * clock.dt * clock.years
            if tau > 0:
                vol = np.sqrt(max(factor * (total[life] - total[now]), 1e-18) / tau)
                delta[rows] = greeks(held.spot[rows], only.strike, tau, vol, call=only.right == "call").delta
        return as_action(market, held, held.delta - only.quantity * delta, np.zeros_like(delta))

    return act


Hedger = Annotated[
    DeltaHedge | Leland | MinimumVariance | WhalleyWilmott | TunedBand | DPHedger | NoHedge, Field(discriminator="kind")
]
"""The scripted hedgers a scenario may name."""


def naive_profile(market: HedgingMarket) -> dict[str, DeltaHedge]:
    """The hedger plays Black-Scholes."""
    return {market.roles[0].agents[0]: DeltaHedge()}
