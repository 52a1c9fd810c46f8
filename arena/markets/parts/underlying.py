"""The underlying: its spot and how its volatility moves.

Volatilities in a scenario are annual and decimal; `years` below is the length of a clock unit in years. Every model
answers the same two questions, so another one (Heston, say) is one class: what the total variance between two times
is (the expected one if it is random), and the numbers of its log-volatility step.
"""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT

LARGEST = 1e9
"""Numbers beyond this are mistakes: their squares and products would leave what a float can hold."""
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Amount = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class TimeTable(BaseModel):
    """A function of time, linear between its points and constant outside them."""

    model_config = STRICT
    t: tuple[float, ...] = Field(description="times, in clock units, increasing", min_length=1)
    value: tuple[float, ...] = Field(description="values at those times", min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "TimeTable":
        if len(self.t) != len(self.value):
            raise ValueError(f"value: found {len(self.value)} entries; allowed is one for each of {len(self.t)} times")
        if any(b <= a for a, b in zip(self.t, self.t[1:], strict=False)):
            raise ValueError("t: found times that do not increase; allowed are increasing ones")
        return self

    def at(self, t: float | np.ndarray) -> np.ndarray:
        """The value at time t (array of any shape)."""
        return np.asarray(np.interp(t, self.t, self.value))

    def mean(self, start: np.ndarray, stop: np.ndarray, power: int = 1) -> np.ndarray:
        """The exact mean of value^power between start and stop (power 1 or 2)."""
        knots = np.asarray(self.t)
        out = []
        for a, b in np.broadcast(start, stop):
            inner = np.concatenate([[a], knots[(knots > a) & (knots < b)], [b]])
            left, right = self.at(inner[:-1]), self.at(inner[1:])
            piece = (left + right) / 2 if power == 1 else (left**2 + left * right + right**2) / 3
            width = np.diff(inner)
            out.append(self.at(a) ** power if b == a else float(np.sum(piece * width) / (b - a)))
        return np.asarray(out, dtype=float).reshape(np.broadcast(start, stop).shape)


class LogVolatilityStep(NamedTuple):
    """One step of y = ln(volatility): y' = mean + persistence (y - mean) + shock z, z correlated with the spot's."""

    mean: float
    persistence: float
    shock: float
    correlation: float
    initial_spread: float


class ConstantVolatility(BaseModel):
    """Geometric Brownian motion, dS/S = sigma dW."""

    model_config = STRICT
    model: Literal["constant"] = "constant"
    value: NonNegative = Field(description="annual volatility, decimal")

    def variance(self, start: np.ndarray, stop: np.ndarray, years: float) -> np.ndarray:
        """Total variance between two times."""
        return self.value**2 * years * (np.asarray(stop) - start)

    def step(self, dt: float) -> LogVolatilityStep | None:
        """None: the volatility is not random."""
        return None


class VolatilityProfile(BaseModel):
    """A deterministic volatility sigma(t), its square integrated exactly between decisions."""

    model_config = STRICT
    model: Literal["profile"]
    t: tuple[float, ...] = Field(description="times, in clock units, increasing", min_length=1)
    value: tuple[NonNegative, ...] = Field(description="annual volatility at those times, decimal", min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "VolatilityProfile":
        TimeTable(t=self.t, value=self.value)
        return self

    def variance(self, start: np.ndarray, stop: np.ndarray, years: float) -> np.ndarray:
        """Total variance between two times."""
        start, stop = np.asarray(start, dtype=float), np.asarray(stop, dtype=float)
        return TimeTable(t=self.t, value=self.value).mean(start, stop, power=2) * years * (stop - start)

    def step(self, dt: float) -> LogVolatilityStep | None:
        """None: the volatility is not random."""
        return None


class LogAR1Volatility(BaseModel):
    """Autocorrelated log-volatility: y = ln sigma is an AR(1) (exact log-Ornstein-Uhlenbeck), S an exact martingale.

    y' = m + phi^dt (y - m) + s sqrt((1 - phi^2dt)/(1 - phi^2)) z2,  S' = S exp(-sigma^2 dt/2 + sigma sqrt(dt) z1),
    corr(z1, z2) = correlation. Persistence and shock are per clock unit.
    """

    model_config = STRICT
    model: Literal["log_ar1"]
    mean: Positive = Field(description="volatility at the mean of its logarithm, annual, decimal")
    persistence: float = Field(default=0.97, gt=0, lt=1, description="autocorrelation over one clock unit")
    shock: NonNegative = Field(default=0.06, description="standard deviation of the shock over one clock unit")
    correlation: float = Field(default=-0.7, ge=-1, le=1, description="correlation with the spot's shock")
    start: Literal["mean", "stationary"] = Field(default="stationary", description="first value: the mean or a draw")

    def variance(self, start: np.ndarray, stop: np.ndarray, years: float) -> np.ndarray:
        """Total variance between two times at the stationary mean of sigma^2."""
        stationary = self.shock**2 / (1 - self.persistence**2)
        return self.mean**2 * np.exp(2 * stationary) * years * (np.asarray(stop) - start)

    def step(self, dt: float) -> LogVolatilityStep | None:
        """The step of ln(volatility) over dt clock units."""
        persistence = self.persistence**dt
        stationary = self.shock / np.sqrt(1 - self.persistence**2)
        return LogVolatilityStep(
            mean=float(np.log(self.mean)),
            persistence=persistence,
            shock=float(stationary * np.sqrt(1 - persistence**2)),
            correlation=self.correlation,
            initial_spread=float(stationary) if self.start == "stationary" else 0.0,
        )


Volatility = Annotated[ConstantVolatility | VolatilityProfile | LogAR1Volatility, Field(discriminator="model")]
"""The volatility models a scenario may name."""


class Underlying(BaseModel):
    """One underlying: a martingale with spot S_0."""

    model_config = STRICT
    spot: Positive = Field(default=100.0, description="spot at time 0, currency")
    volatility: Volatility = Field(default=ConstantVolatility(value=0.2), description="how the volatility moves")
