"""The limit order book: parameters of the flow, of the book and of the seats, and what they must satisfy.

Money is in ticks, positions in lots, time in seconds. The flow's numbers are in `flow_settings`, the names of all
columns in `columns`, the rules in `matching` and `kernel`; `market` puts them together.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT
from arena.markets.book.flow_settings import Flow
from arena.markets.market import Clock

Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Amount = Annotated[float, Field(ge=-1e9, le=1e9)]
GRID = 1000
"""Decisions stand on whole milliseconds."""


class Geometric(BaseModel):
    """Queues that open with 1, 2, ... orders, geometrically distributed."""

    model_config = STRICT
    kind: Literal["geometric"] = "geometric"
    mean: float = Field(default=10.0, ge=1, le=512, description="mean number of orders")


class Depth(BaseModel):
    """The book at the start and how it is refilled; two levels a side, one tick apart, orders of one lot."""

    model_config = STRICT
    tick: Positive = Field(default=0.01, description="size of a tick, currency: for prices that people read")
    bid: int = Field(default=9_999, ge=100, le=10**9, description="best bid at the start, ticks")
    ask: int = Field(default=10_000, ge=101, le=10**9, description="best ask at the start, ticks")
    queues: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        default=(10, 10), description="orders in the first and in the second level at the start, each side"
    )
    refill: Annotated[int, Field(ge=1)] | Geometric = Field(
        default=10, description="orders in a new second level: a number, or {kind: geometric, mean: 10}"
    )
    room: int = Field(
        default=512, ge=2, le=4096, description="orders that a queue has room for; others are turned away"
    )


class Fees(BaseModel):
    """What trading costs besides the price; below 0 it is a rebate."""

    model_config = STRICT
    maker: Amount = Field(default=0.0, description="ticks per lot that a resting order trades")
    taker: Amount = Field(default=0.0, description="ticks per lot that a market order trades")
    message: NonNegative = Field(default=0.0, description="ticks per order that is posted or cancelled")
    liquidation: NonNegative = Field(
        default=1e-4, le=1, description="share of the value of what is held at the end; 1e-4 is 1 basis point"
    )


class Observe(BaseModel):
    """What seats see besides the clock and their own position; each may be switched off to learn what it is worth."""

    model_config = STRICT
    spread: bool = Field(default=True, description="the spread, ticks")
    position: bool = Field(default=True, description="orders ahead of the own best one, as a share of the queue")
    intensities: bool = Field(default=True, description="the twelve intensities at the time of the decision")
    history: bool = Field(default=False, description="ages of the last five events of each type, at most 10 s")
    cash: bool = Field(default=False, description="own cash since the start, ticks")
    places: int = Field(
        default=0, ge=0, le=16, exclude_if=lambda asked: not asked,  # older scenarios keep their hash
        description="own orders a side whose places are seen, and the second levels with them; 0: neither",
    )  # fmt: skip


Excites = Literal["all", "trades", "none"]


class Shaping(BaseModel):
    """Bonuses that are no money, and what is taken off them: they teach to quote, and stand outside P&L and judging."""

    model_config = STRICT
    acting: NonNegative = Field(default=0.0, description="ticks per decision that changes the book")
    quoting: NonNegative = Field(
        default=0.0, description="ticks per decision after which both first levels hold an own order"
    )
    holding: NonNegative = Field(
        default=0.0,
        exclude_if=lambda holding: holding == 0.0,  # so that no scenario written before it has another hash
        description="ticks per lot^2 held and decision that are taken off",
    )


class Makers(BaseModel):
    """Who quotes: how many, what they may do, what inventory costs them."""

    model_config = STRICT
    count: int = Field(default=1, ge=0, le=16, description="number of makers")
    actions: Literal["all", "top"] = Field(
        default="top", description="all: the twelve events; top: post and cancel in the first levels only"
    )
    cap: int | None = Field(default=25, ge=1, le=10**6, description="largest position, lots; none: no bound")
    running_penalty: NonNegative = Field(default=0.005, description="eta: ticks per lot^2 and second")
    penalty: Literal["integral", "left"] = Field(
        default="integral", description="eta times the integral of Y^2, or eta Y^2 dt with Y at the decision"
    )
    terminal_penalty: NonNegative = Field(default=0.0, description="kappa: ticks per lot^2 held at the end")
    shaping: Shaping = Shaping()
    excites: Excites = Field(default="all", description="which own orders excite the flow")


class Executor(BaseModel):
    """Who works a parent order that a client was promised the mid at arrival for."""

    model_config = STRICT
    side: Literal["buy", "sell", "coin"] = Field(default="buy", description="coin: drawn for each game")
    size: int = Field(default=20, ge=1, le=10**6, description="lots to trade until the horizon")
    running_penalty: NonNegative = Field(default=0.0, description="ticks per lot^2 and second on what is left")
    terminal_penalty: NonNegative = Field(default=1.0, description="ticks per lot^2 that is left at the end")
    excites: Excites = Field(default="all", description="which own orders excite the flow")


class BookSettings(BaseModel):
    """Parameters of the limit order book. M makers and N executors share one book with the background flow."""

    model_config = STRICT
    model: Literal["book"] = "book"
    clock: Clock = Clock(unit="second", units_per_year=252 * 6.5 * 3600, horizon=300, steps=3000)
    flow: Flow = Field(default=Flow(preset="hawkes_exp"), description="who comes besides the seats")
    depth: Depth = Depth()
    fees: Fees = Fees()
    makers: Makers = Makers()
    executors: tuple[Executor, ...] = Field(default=(), max_length=16, description="one entry a seat")
    observe: Observe = Field(default=Observe(), description="what everybody sees")
    turns: Literal["random", "fixed"] = Field(
        default="random", description="who acts first in a decision: drawn each time, or always in the order of seats"
    )
    warm_up: float = Field(default=30.0, ge=0, le=3600, description="seconds of flow before the seats come")

    @model_validator(mode="after")
    def _check(self) -> "BookSettings":
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def maker_names(self) -> tuple[str, ...]:
        """`mm_0`, `mm_1`, ..."""
        return tuple(f"mm_{m}" for m in range(self.makers.count))

    @property
    def executor_names(self) -> tuple[str, ...]:
        """`trader_0`, ..."""
        return tuple(f"trader_{j}" for j in range(len(self.executors)))

    @property
    def slots(self) -> int:
        """Orders of all seats that a queue can hold at most: caps bound them, and so does its room."""
        caps = [2 * (self.makers.cap or self.depth.room)] * self.makers.count
        return min(self.depth.room, sum(caps) + sum(one.size for one in self.executors))


def _problems(market: BookSettings) -> Iterator[str]:
    """Everything that is impossible across fields, one sentence each."""
    depth, clock = market.depth, market.clock
    if depth.ask <= depth.bid:
        yield f"depth.ask: found {depth.ask} with a bid of {depth.bid}; allowed is above the bid"
    if (most := max(*depth.queues, depth.refill if isinstance(depth.refill, int) else 1)) > depth.room:
        yield f"depth.room: found {depth.room} with queues of {most} orders; allowed is at least that"
    if not market.makers.count and not market.executors:
        yield "makers.count: found 0 and no executors; allowed is at least one seat"
    exact = clock.dt * GRID
    if abs(exact - round(exact)) > 1e-9 * max(exact, 1.0) or exact < 0.5:
        yield (
            f"clock.horizon: found {clock.horizon:g} with {clock.steps} steps, a decision every {clock.dt:g} seconds; "
            "allowed is a whole number of milliseconds"
        )
