"""One option whose price a maker quotes around: a martingale lognormal spot, a model price, and an independent shock.

    dS/S = sigma_t dW,   P_t = p(t, S_t) + xi_t,   d xi = Sigma_t dB       (Fang & Xu 2025, section 2, with the shock's
                                                                           covariance rate Sigma Sigma', not Sigma)
    p(t, S) = Black-Scholes at the total variance  w(t) = int_t^{expiry} implied_u^2 du,   zero rates
    g(t, S) = p_t + 1/2 sigma^2 S^2 p_SS = 1/2 S^2 Gamma (sigma^2 - implied^2)     what a perfect delta hedge leaves

g is zero when the implied and the realised volatility agree (the Black-Scholes equation). One unit of time throughout,
e.g. days; volatility and loading are per square root of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from arena.layout import Array
from arena.solvers.options import black_scholes


@dataclass(frozen=True)
class StepFunction:
    """A function of time constant between `times`: values[i] holds on [times[i], times[i+1]), the last for ever.

    Raises ValueError when times do not start at 0 and increase, or the lengths differ.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.values) or not self.values:
            raise ValueError(f"profile has {len(self.times)} times and {len(self.values)} values; they must be as many")
        if self.times[0] != 0 or any(b <= a for a, b in zip(self.times, self.times[1:], strict=False)):
            raise ValueError(f"profile times must start at 0 and increase, found {list(self.times)}")
        if not all(math.isfinite(v) for v in self.values):
            raise ValueError(f"profile values must be finite, found {list(self.values)}")

    def at(self, time: ArrayLike) -> Array:
        """Value at each time (right-continuous)."""
        return np.asarray(self.values)[np.searchsorted(self.times, time, side="right") - 1]

    def integral(self, start: ArrayLike, end: ArrayLike, power: int = 1) -> Array:
        """int_start^end value^power dt, exactly."""
        heights = np.asarray(self.values) ** power
        knots = np.concatenate([self.times, [self.times[-1] + 1.0]])
        area = np.concatenate([[0.0], np.cumsum(heights * np.diff(knots))])

        def upto(time: ArrayLike) -> Array:
            i = np.searchsorted(self.times, time, side="right") - 1
            return area[i] + heights[i] * (np.asarray(time) - knots[i])

        return upto(end) - upto(start)


def profile(value: "float | StepFunction | tuple[Sequence[float], Sequence[float]]") -> StepFunction:
    """A StepFunction from a constant, a (times, values) pair, or itself."""
    if isinstance(value, StepFunction):
        return value
    if isinstance(value, tuple):
        times, values = value
        return StepFunction(tuple(map(float, times)), tuple(map(float, values)))
    return StepFunction((0.0,), (float(value),))


@dataclass(frozen=True)
class OptionModel:
    """A European option in the market above; `vol` realised, `implied` for pricing and hedging (the same when None).

    Raises ValueError when spot, strike or expiry is not positive or a volatility is negative.
    """

    spot: float
    strike: float
    expiry: float
    vol: float | StepFunction
    implied: float | StepFunction | None = None
    shock_loading: float | StepFunction = 0.0
    call: bool = True

    def __post_init__(self) -> None:
        for name in ("spot", "strike", "expiry"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        for name, curve in (("vol", profile(self.vol)), ("implied", self.pricing_vol), ("shock_loading", self.loading)):
            if min(curve.values) < 0:
                raise ValueError(f"{name} must be at least 0, found {min(curve.values):g}")

    @property
    def realised_vol(self) -> StepFunction:
        """sigma_t."""
        return profile(self.vol)

    @property
    def pricing_vol(self) -> StepFunction:
        """The volatility that prices and hedges."""
        return profile(self.vol if self.implied is None else self.implied)

    @property
    def loading(self) -> StepFunction:
        """Sigma_t."""
        return profile(self.shock_loading)

    def price(self, time: float, spot: ArrayLike) -> Array:
        """p(t, S)."""
        self._before_expiry(time)
        variance = self.pricing_vol.integral(time, self.expiry, power=2)
        return black_scholes.variance_price(spot, self.strike, variance, call=self.call)

    def hedged_drift(self, time: float, spot: ArrayLike) -> Array:
        """g(t, S): the drift of one hedged lot, currency per unit of time."""
        self._before_expiry(time)
        gap = self.realised_vol.at(time) ** 2 - self.pricing_vol.at(time) ** 2
        if gap == 0:
            return np.zeros(np.shape(spot))
        remaining = self.expiry - time
        flat = math.sqrt(float(self.pricing_vol.integral(time, self.expiry, power=2)) / remaining)
        return (
            0.5 * np.square(spot) * black_scholes.greeks(spot, self.strike, remaining, flat, call=self.call).gamma * gap
        )

    def vega(self, time: float = 0.0) -> float:
        """dp/dvol at the current spot for a parallel relative move of the pricing volatility, per 1.00 of it."""
        self._before_expiry(time)
        remaining = self.expiry - time
        flat = math.sqrt(float(self.pricing_vol.integral(time, self.expiry, power=2)) / remaining)
        return float(black_scholes.greeks(self.spot, self.strike, remaining, flat, call=self.call).vega)

    def spot_nodes(self, time: float, count: int = 200) -> tuple[Array, Array]:
        """Gauss-Hermite nodes and weights of S_time: sum(weights * f(nodes)) = E f(S_time)."""
        z, weight = np.polynomial.hermite_e.hermegauss(count)
        variance = float(self.realised_vol.integral(0.0, time, power=2))
        return self.spot * np.exp(math.sqrt(variance) * z - 0.5 * variance), weight / weight.sum()

    def second_moment(self, horizon: float) -> float:
        """E[P_T^2] = E[p(T, S_T)^2] + int_0^T Sigma^2 dt (the first term by Gauss-Hermite quadrature)."""
        spots, weights = self.spot_nodes(horizon)
        shock = float(self.loading.integral(0.0, horizon, power=2))
        return float(weights @ self.price(horizon, spots) ** 2) + shock

    def mean_drift(self, time: float) -> float:
        """E[g(t, S_t)], all that a policy blind to the price needs of g."""
        spots, weights = self.spot_nodes(time)
        return float(weights @ self.hedged_drift(time, spots))

    def _before_expiry(self, time: float) -> None:
        if not 0 <= time < self.expiry:
            raise ValueError(
                f"time {time:g} is outside [0, expiry {self.expiry:g}); the horizon must end before the expiry"
            )


def cross_moments(options: Sequence[OptionModel], horizon: float) -> Array:
    """E[P_T P_T'] [n, n] of several options on one spot with independent shocks.

    Raises ValueError when the options disagree about the spot or its volatility.
    """
    first = options[0]
    if any(o.spot != first.spot or o.realised_vol != first.realised_vol for o in options):
        raise ValueError("options of one book must share spot and vol")
    spots, weights = first.spot_nodes(horizon)
    prices = np.stack([o.price(horizon, spots) for o in options])
    shocks = [float(o.loading.integral(0.0, horizon, power=2)) for o in options]
    return (prices * weights) @ prices.T + np.diag(shocks)
