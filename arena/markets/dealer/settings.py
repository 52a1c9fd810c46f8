"""The option dealer market: makers quote a chain, executors and noise traders trade against the quotes.

Without makers (`makers.count: 0`) executors trade at the mid and move it: the execution game.

This file holds the parameters and what they must satisfy; the seats' own are in `seats`, the names of all columns in
`columns`, the rules in `kernel`; `market` puts them together.

One step, for every game at once: the makers' quotes and the executors' rates are read; noise orders arrive and are
filled (Poisson counts or fluid amounts); executors' orders are routed among the same quotes; deltas are hedged; spot,
volatility, shocks and the noise factor move; positions are marked and rewards are paid.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT
from arena.markets.dealer.flow import FlowRule, SoftBest
from arena.markets.dealer.seats import Makers, Observe, ParentOrder, QuadraticRisk, Start
from arena.markets.market import Clock
from arena.markets.parts.over_time import OverTime, means, misfit
from arena.markets.parts.underlying import NonNegative, Positive, TimeTable, Underlying

Side = tuple[NonNegative, NonNegative]
LARGEST_MEAN = 500.0
"""Largest expected number of orders per step, side and product that Poisson flow accepts."""


class Product(BaseModel):
    """Something that is quoted: a European call or put, or the underlying asset itself."""

    model_config = STRICT
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", description="short name, unique in the chain")
    right: Literal["call", "put", "asset"] = Field(description="call, put, or the underlying itself")
    strike: Positive | None = Field(default=None, description="strike, currency (options)")
    expiry: Positive | None = Field(default=None, description="time of expiry, clock units from the start (options)")
    implied_volatility: Positive | None = Field(
        default=None, description="annual volatility at which it is marked; none: that of the underlying"
    )

    @model_validator(mode="after")
    def _check(self) -> "Product":
        if self.right == "asset":
            for name in ("strike", "expiry", "implied_volatility"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: found {getattr(self, name):g}; allowed is none for an asset")
        elif self.strike is None or self.expiry is None:
            name = "strike" if self.strike is None else "expiry"
            raise ValueError(f"{name}: missing; a {self.right} needs a strike and an expiry")
        return self


class Mark(BaseModel):
    """How the mid moves besides Black-Scholes: mid = price + xi, d xi = loading dW + impact * signed taker volume."""

    model_config = STRICT
    shock_loading: NonNegative | tuple[tuple[float, ...], ...] | TimeTable = Field(
        default=0.0, description="currency per sqrt(clock unit): diagonal value, n x n matrix, or diagonal profile"
    )
    impact: OverTime = Field(
        default=0.0,
        description="move of the mid per signed lot that takers trade, currency; a number, a table or an expression",
    )


class SteadyFlow(BaseModel):
    """Noise flow of constant intensity."""

    model_config = STRICT
    model: Literal["constant"] = "constant"


class FlowProfile(BaseModel):
    """Noise flow whose intensity is multiplied by a function of time."""

    model_config = STRICT
    model: Literal["profile"]
    t: tuple[float, ...] = Field(min_length=1, description="times, clock units, increasing")
    value: tuple[NonNegative, ...] = Field(min_length=1, description="multipliers at those times")

    @model_validator(mode="after")
    def _check(self) -> "FlowProfile":
        TimeTable(t=self.t, value=self.value)
        return self


class LogOUFlow(BaseModel):
    """Noise flow multiplied by exp(y), y a mean-reverting Gaussian factor of stationary mean 0, observed by all."""

    model_config = STRICT
    model: Literal["log_ou"]
    reversion: Positive = Field(description="speed of mean reversion, 1/clock unit")
    volatility: NonNegative = Field(description="volatility of y, 1/sqrt(clock unit)")
    initial: float = Field(default=0.0, description="y at time 0")


class NoiseRates(BaseModel):
    """Arrival rates named by what the noise traders do; each may change with time."""

    model_config = STRICT
    noise_sell: OverTime = Field(default=0.0, description="hits bids, lots per clock unit; may be an expression of t")
    noise_buy: OverTime = Field(default=0.0, description="hits asks, lots per clock unit; may be an expression of t")


class Flow(BaseModel):
    """Who comes to trade, how often, and to whom they go."""

    model_config = STRICT
    rule: FlowRule = Field(default=SoftBest(kind="soft_best", fill_decay=10, sharpness=50), description="flow rule")
    arrival_rate: NonNegative | Side | tuple[Side, ...] | NoiseRates = Field(
        default=100.0,
        description="lots per clock unit: one number, [bid, ask], one [bid, ask] per product, or "
        "{noise_sell, noise_buy} as numbers or profiles; noise selling hits bids, noise buying hits asks",
    )
    orders: Literal["poisson", "fluid"] = Field(default="poisson", description="random orders or a continuous stream")
    lot: Positive = Field(default=1.0, description="size of an order (Poisson flow)")
    intensity: Annotated[SteadyFlow | FlowProfile | LogOUFlow, Field(discriminator="model")] = SteadyFlow()
    informed_share: float = Field(
        default=0.0, ge=0, le=1, description="share of the noise flow whose side leans to the next move of the mid"
    )


class Fees(BaseModel):
    """Exchange fees per lot; positive = cost, negative = rebate."""

    model_config = STRICT
    maker: float = 0.0
    taker: float = 0.0


class DealerSettings(BaseModel):
    """Parameters of the option dealer market and what they must satisfy. n products, M makers, N executors."""

    model_config = STRICT
    model: Literal["dealer"] = "dealer"
    clock: Clock = Clock()
    underlying: Underlying = Underlying()
    products: tuple[Product, ...] = Field(min_length=1, max_length=64, description="what is quoted")
    mark: Mark = Mark()
    flow: Flow = Flow()
    fees: Fees = Fees()
    makers: Makers = Makers()
    executors: tuple[ParentOrder, ...] = Field(default=(), max_length=16, description="one entry a seat")
    executors_observe: Observe = Field(default=Observe(), description="what executors see")

    @model_validator(mode="after")
    def _check(self) -> "DealerSettings":
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def n(self) -> int:
        """Number of products."""
        return len(self.products)

    @property
    def product_names(self) -> tuple[str, ...]:
        """Names of the products."""
        return tuple(product.name for product in self.products)

    @property
    def maker_names(self) -> tuple[str, ...]:
        """`mm_0`, `mm_1`, ..."""
        return tuple(f"mm_{m}" for m in range(self.makers.count))

    @property
    def executor_names(self) -> tuple[str, ...]:
        """`trader_0`, ..."""
        return tuple(f"trader_{j}" for j in range(len(self.executors)))

    def mean_inventories(self) -> tuple[float, ...]:
        """Inventories that the makers start with, lots of each product, by maker; the centre where they are drawn."""
        start = self.makers.initial_inventory
        mean = start.mean if isinstance(start, Start) else start
        return mean if isinstance(mean, tuple) else (mean,) * self.makers.count

    def mean_orders(self) -> tuple[float, ...]:
        """Sizes of the parent orders, lots, by executor; the centre where they are drawn."""
        sizes = [one.size.mean if isinstance(one.size, Start) else one.size for one in self.executors]
        return tuple(size[j] if isinstance(size, tuple) else size for j, size in enumerate(sizes))

    def arrival_rates(self) -> np.ndarray:
        """Noise orders in lots per clock unit, mean over each step: [T, n, 2] (bid, ask)."""
        clock, rate = self.clock, self.flow.arrival_rate
        edges = np.linspace(0.0, clock.horizon, clock.steps + 1)
        if isinstance(rate, NoiseRates):
            columns = [means(one, clock.horizon, clock.steps) for one in (rate.noise_sell, rate.noise_buy)]
            base = np.repeat(np.stack(columns, axis=-1)[:, None, :], self.n, axis=1)
        else:
            value = np.asarray(rate, dtype=float)
            base = np.broadcast_to(np.broadcast_to(value, (self.n, 2)), (clock.steps, self.n, 2))
        if isinstance(self.flow.intensity, FlowProfile):
            profile = TimeTable(t=self.flow.intensity.t, value=self.flow.intensity.value)
            base = base * profile.mean(edges[:-1], edges[1:])[:, None, None]
        return np.ascontiguousarray(base, dtype=float)

    def loading(self) -> np.ndarray:
        """Shock loading per step, currency per sqrt(clock unit), root mean square over the step: [T, n, n]."""
        value, steps, n = self.mark.shock_loading, self.clock.steps, self.n
        if isinstance(value, TimeTable):
            edges = np.linspace(0.0, self.clock.horizon, steps + 1)
            return np.sqrt(value.mean(edges[:-1], edges[1:], power=2))[:, None, None] * np.eye(n)
        matrix = np.asarray(value, dtype=float)
        return np.broadcast_to(matrix if matrix.ndim == 2 else matrix * np.eye(n), (steps, n, n)).copy()


def _problems(market: DealerSettings) -> Iterator[str]:
    """Everything that is impossible across fields, one sentence each."""
    names, clock, flow, makers = market.product_names, market.clock, market.flow, market.makers
    if wrong := [f"{where}: {what}" for where, value in _over_time(market) if (what := misfit(value, clock.horizon))]:
        yield from wrong  # nothing below can be checked with rates or penalties that do not exist
        return
    for name in sorted({name for name in names if names.count(name) > 1}):
        last = len(names) - 1 - names[::-1].index(name)
        yield f"products[{last}].name: '{name}' appears {names.count(name)} times; names must differ"
    for i, product in enumerate(market.products):
        if product.expiry is not None and product.expiry <= clock.horizon:
            yield f"products[{i}].expiry: found {product.expiry:g}; allowed is after the horizon {clock.horizon:g}"
    for j, executor in enumerate(market.executors):
        if executor.product not in names:
            yield f"executors[{j}].product: '{executor.product}' is not quoted; allowed are {', '.join(names)}"
        if isinstance(executor.size, Start):
            least = np.min(executor.size.mean) - executor.size.spread
            if isinstance(executor.size.mean, tuple) and len(executor.size.mean) != len(market.executors):
                found = f"found {len(executor.size.mean)} entries"
                yield f"executors[{j}].size.mean: {found}; allowed is one for each of {len(market.executors)} executors"
            elif least < 0 or np.max(executor.size.mean) + executor.size.spread == 0:
                yield f"executors[{j}].size: found {least:g} lots as the least; allowed is at least 0 and not always 0"
        if makers.count and executor.rate[0] < 0:
            least = f"found {executor.rate[0]:g}; allowed is at least 0"
            yield f"executors[{j}].rate: {least} where makers quote: an order trades towards its target"
        cross, common = executor.cross_impact, 0 if makers.count else len(market.executors) - 1
        if cross >= 2 and cross != common:
            every = f", or {common} (every rate counts alike)" if common > 1 else ""
            yield f"executors[{j}].cross_impact: found {cross:g}; allowed is below 2{every}"
        most = executor.rate[1] * clock.dt / flow.lot
        if flow.orders == "poisson" and most > LARGEST_MEAN:
            yield (
                f"executors[{j}].rate: up to {most:.0f} orders per step, at most {LARGEST_MEAN:.0f} are allowed; "
                "take more steps, larger lots, fluid flow or a lower rate"
            )
    loading = market.mark.shock_loading
    if isinstance(loading, tuple) and (len(loading) != market.n or any(len(row) != market.n for row in loading)):
        shape = [len(row) for row in loading]
        yield f"mark.shock_loading: found rows of {shape} entries; allowed is a {market.n} x {market.n} matrix"
    if not makers.count:
        if not market.executors:
            yield "makers.count: found 0 and no executors; allowed is at least 1, or executors who trade at the mid"
        if flow.orders != "fluid":
            yield f"flow.orders: found '{flow.orders}'; allowed is 'fluid' in a market without makers"
        if flow.informed_share > 0:
            yield f"flow.informed_share: found {flow.informed_share:g}; allowed is 0 in a market without makers"
    rate = flow.arrival_rate
    if isinstance(rate, tuple) and (not rate or isinstance(rate[0], tuple)) and len(rate) != market.n:
        yield f"flow.arrival_rate: found {len(rate)} entries; allowed is one [bid, ask] for each of {market.n} products"
    elif flow.orders == "poisson":
        most = float(market.arrival_rates().max()) * clock.dt / flow.lot
        if most > LARGEST_MEAN:
            yield (
                f"flow.arrival_rate: {most:.0f} orders per step are expected, at most {LARGEST_MEAN:.0f} are allowed; "
                "take more steps, larger lots or fluid flow"
            )
    start = makers.initial_inventory
    first, spread = (start.mean, start.spread) if isinstance(start, Start) else (start, 0.0)
    most = float(np.max(np.abs(first))) + spread
    if makers.inventory_limit is not None and most > makers.inventory_limit:
        limit = makers.inventory_limit
        yield f"makers.initial_inventory: found {most:g} lots; allowed is up to inventory_limit {limit:g}"
    offsets = getattr(flow.rule, "offsets", ())
    if offsets and len(offsets) != makers.count:
        yield f"flow.rule.offsets: found {len(offsets)} entries; allowed is one for each of {makers.count} makers"
    per_seat: dict[str, object] = {"makers.initial_inventory": makers.initial_inventory}
    if isinstance(makers.initial_inventory, Start):
        per_seat = {"makers.initial_inventory.mean": makers.initial_inventory.mean}
    if isinstance(makers.risk, QuadraticRisk):
        per_seat["makers.risk.running_penalty"] = makers.risk.running_penalty
        per_seat["makers.risk.terminal_penalty"] = makers.risk.terminal_penalty
    for where, value in per_seat.items():
        if isinstance(value, tuple) and len(value) != makers.count:
            yield f"{where}: found {len(value)} entries; allowed is one for each of {makers.count} makers"
    if flow.rule.kind == "soft_best" and flow.rule.sharpness < flow.rule.fill_decay:
        least = flow.rule.fill_decay
        yield f"flow.rule.sharpness: found {flow.rule.sharpness:g}; allowed is fill_decay {least:g} or more"
    if flow.rule.kind == "relative" and makers.count == 2 and makers.observe.rivals == "inventory":
        yield (
            "flow.rule: 'relative' is ill-posed for two makers that see each other's inventories (raising one's own "
            "quote multiplies the rival's fills without bound); observe rivals: none, or take 'logistic' or 'soft_best'"
        )


def _over_time(market: DealerSettings) -> Iterator[tuple[str, float | TimeTable | str]]:
    """Everything that may be a function of time, with its place."""
    yield "mark.impact", market.mark.impact
    if isinstance(market.flow.arrival_rate, NoiseRates):
        yield "flow.arrival_rate.noise_sell", market.flow.arrival_rate.noise_sell
        yield "flow.arrival_rate.noise_buy", market.flow.arrival_rate.noise_buy
    if isinstance(market.makers.risk, QuadraticRisk):
        value, where = market.makers.risk.running_penalty, "makers.risk.running_penalty"
        if isinstance(value, tuple):
            yield from ((f"{where}[{m}]", one) for m, one in enumerate(value))
        else:
            yield where, value
    for j, executor in enumerate(market.executors):
        yield f"executors[{j}].temporary_impact", executor.temporary_impact
        yield f"executors[{j}].running_penalty", executor.running_penalty


def naive_half_spread(market: DealerSettings) -> float:
    """The rule's static Nash half-spread if it has one, else 1/fill_decay; within the market's ranges, currency."""
    from arena.solvers.options import half_spreads

    rule, makers = market.flow.rule, market.makers.count
    half = 1.0 / rule.numbers()[0]
    if rule.kind == "soft_best":
        half = half_spreads.soft_best_nash(makers, rule.fill_decay, rule.sharpness)
    elif rule.kind == "logit" and rule.outside > 0:
        half = half_spreads.logit_nash(makers, rule.fill_decay, rule.outside)
    elif rule.kind == "logistic" and makers > 1:
        half = half_spreads.logistic_nash(makers, rule.sharpness)
    return _allowed(market, half)


def inverse_decay(market: DealerSettings) -> float:
    """1/fill_decay within the market's ranges: what a monopolist without inventory risk quotes, currency."""
    return _allowed(market, 1.0 / market.flow.rule.numbers()[0])


def _allowed(market: DealerSettings, half: float) -> float:
    makers = market.makers
    low, high = max(makers.half_spread[0], makers.min_distance), min(makers.half_spread[1], makers.max_distance)
    return float(np.clip(half, low, max(low, high)))
