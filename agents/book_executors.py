"""Scripted executors of the limit order book: equal slices by market orders, patient slices, and everything at once.

As in `book_makers`: a recipe's act sees one batch and keeps no state; one impulse a decision.
"""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from agents.book_makers import Absent, Eye
from arena.layout import STRICT, Array
from arena.markets.book.market import Market
from arena.markets.market import Act


def _role(market: Market) -> Any:
    return market.roles[-1]


def _behind(eye: Eye, seen: Array, size: int, horizon: float) -> Array:
    """Lots by which an order is behind its straight schedule, size x share of the time gone less what is done."""
    gone = 1.0 - eye.column(seen, "time_left") / horizon
    return size * gone - (size - eye.column(seen, "to_trade"))


class MarketTWAP(BaseModel):
    """Equal slices: a market order whenever the order is behind its straight schedule."""

    model_config = STRICT
    kind: Literal["market_twap"] = "market_twap"

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        eye = Eye(_role(market), {})
        size, horizon = market.executors[market.executor_names.index(seat)].size, market.clock.horizon
        ahead = market.clock.dt * size / horizon  # a slice is due in the step that completes it

        def act(seen: Array, noise: Array) -> Array:
            return eye.choose(seen, (_behind(eye, seen, size, horizon) + ahead >= 1.0 - 1e-6, "market"))

        return act


class PatientTWAP(BaseModel):
    """Passive first: an order at the best price, and a market order once the schedule is `patience` lots ahead.

    A market order needs a lot that does not rest; where all that is left rests, a resting order is cancelled first. In
    the last seconds everything that is left goes by market orders.
    """

    model_config = STRICT
    kind: Literal["patient_twap"] = "patient_twap"
    patience: float = Field(default=1.0, ge=0, description="lots behind the schedule before paying the spread")

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        eye, own = Eye(_role(market), {}), self
        size, horizon, dt = (
            market.executors[market.executor_names.index(seat)].size,
            market.clock.horizon,
            market.clock.dt,
        )

        def act(seen: Array, noise: Array) -> Array:
            late = eye.column(seen, "time_left") < (2.5 * eye.column(seen, "to_trade") + 0.5) * dt
            behind = late | (_behind(eye, seen, size, horizon) > own.patience)
            stuck = behind & ~eye.may(seen, "market")
            resting = eye.column(seen, "top", 0) + eye.column(seen, "top", 1) > 0
            due = _behind(eye, seen, size, horizon) > 0.0
            return eye.choose(seen, (behind, "market"), (stuck, "cancel"), (due & ~resting, "post"))

        return act


class AtOnce(BaseModel):
    """A market order in each decision until the order is done."""

    model_config = STRICT
    kind: Literal["at_once"] = "at_once"

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        eye = Eye(_role(market), {})
        return lambda seen, noise: eye.choose(seen, (np.ones(len(seen), bool), "market"))


EXECUTORS = (MarketTWAP, PatientTWAP, AtOnce, Absent)
"""The scripted executors a scenario may name."""
