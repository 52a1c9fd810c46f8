"""Scripted execution traders: equal slices, Almgren-Chriss, and everything at once.

A recipe is plain data from a scenario; `sit` reads the market once and returns `act(observation [batch, D],
noise [batch, K]) -> action [batch, K]` in [-1, 1]. Acts keep no state between calls.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from agents.nash import NashExecutor, NashTrader
from arena.layout import STRICT, Layout
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act
from arena.markets.parts.over_time import steady


class TWAP(BaseModel):
    """What is left, over the time that is left; a seat that does not see what is left takes the mean order instead."""

    model_config = STRICT
    kind: Literal["twap"] = "twap"

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat."""
        layout = market.role("executor").numbers
        if "to_trade" in market.role("executor").observation:
            return _feedback(self.kind, market, lambda left, time_left: left / time_left)
        order = market.mean_orders()[market.executor_names.index(seat)]
        constant = _unit(layout, np.full((1, 1), order / market.clock.horizon))
        return lambda observation, noise: np.broadcast_to(constant, (len(observation), 1))


class AlmgrenChriss(BaseModel):
    """The optimal rate for the seat's own costs when every lot costs the same `half_spread` d.

    min over v of int_0^T (eta v^2 + phi x^2 + d v) dt + A x_T^2, x' = -v, with eta, phi, A the executor's temporary
    impact, running and terminal penalty. The value less d x is a x^2 + b x + c with, tau being the time left,

        a' = phi - a^2/eta, a(0) = A;   b' = -a b/eta, b(0) = -d;   v = (2 a x + b)/(2 eta)
        a = s (A + s tanh z)/(s + A tanh z),  b = -d s/(s cosh z + A sinh z),  s = sqrt(phi eta),  z = tau sqrt(phi/eta)

    A to infinity: v = x k coth(k tau), k = sqrt(phi/eta) (Almgren & Chriss 2001); phi = 0: v = x/(tau + eta/A).
    Derived here because the order need not be finished. Other executors and the makers' reactions are left out.
    """

    model_config = STRICT
    kind: Literal["almgren_chriss"] = "almgren_chriss"
    half_spread: float = Field(default=0.0, ge=0, description="cost of a lot besides impact, currency")

    def rate(self, left: np.ndarray, time_left: np.ndarray, eta: float, phi: float, terminal: float) -> np.ndarray:
        """v of the class's equations, lots per clock unit; `left` x and `time_left` tau broadcast."""
        if phi > 0:
            s, z = np.sqrt(phi * eta), np.asarray(time_left) * np.sqrt(phi / eta)
            tanh, decay = np.tanh(z), np.exp(-z)
            a = s * (terminal + s * tanh) / (s + terminal * tanh)
            b = -self.half_spread * 2.0 * s * decay / (s * (1 + decay**2) + terminal * (1 - decay**2))
        else:
            growth = 1.0 + terminal * np.asarray(time_left) / eta
            a, b = terminal / growth, -self.half_spread / growth
        return np.maximum((2.0 * a * left + b) / (2.0 * eta), 0.0)

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where trading has no temporary impact (then at once is optimal)."""
        own = market.executors[market.executor_names.index(seat)]
        eta, phi, terminal = steady(own.temporary_impact), steady(own.running_penalty), own.terminal_penalty
        if eta is None or phi is None:
            raise ValueError(f"almgren_chriss needs a temporary_impact and a running_penalty that stay, at {seat}")
        if eta <= 0:
            raise ValueError(
                f"almgren_chriss needs a temporary_impact above 0 at {seat}; 'immediate' is optimal without"
            )
        return _feedback(self.kind, market, lambda left, time_left: self.rate(left, time_left, eta, phi, terminal))


class Immediate(BaseModel):
    """As fast as the market allows until the order is done."""

    model_config = STRICT
    kind: Literal["immediate"] = "immediate"

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat."""
        dt = market.clock.dt
        return _feedback(self.kind, market, lambda left, time_left: left / dt)


def _feedback(kind: str, market: DealerMarket, rate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Act:
    """An act whose rate depends on what is left to trade (in the order's direction) and on the time left."""
    role = market.role("executor")
    if "to_trade" not in role.observation:
        raise ValueError(f"{kind} needs to see what is left: market.executors_observe.own must be true")
    left, time_left = role.observation.slice("to_trade"), role.observation.slice("time_left")
    least_time, layout = market.clock.dt, role.numbers

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        lots = np.maximum(observation[:, left].astype(float), 0.0)
        time = np.maximum(observation[:, time_left].astype(float), least_time)
        return _unit(layout, rate(lots, time))

    return act


def _unit(layout: Layout, rate: np.ndarray) -> np.ndarray:
    return np.clip(layout.to_unit(rate), -1.0, 1.0)


Executor = Annotated[TWAP | AlmgrenChriss | Immediate | NashTrader | NashExecutor, Field(discriminator="kind")]
"""The scripted executors a scenario may name."""
