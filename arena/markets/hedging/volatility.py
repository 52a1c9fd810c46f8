"""The volatility at which a book is marked: the variance expected until expiry, given today's volatility.

    sigma_eff(y, n)^2 = 1/n sum_{j < n} E[exp(2 y_j) | y_0 = y]
    y_j ~ N(m + phi^j (y - m), s^2 (1 - phi^2j)/(1 - phi^2))

for y' = m + phi (y - m) + s z per step. Deterministic models need no such table: their variance is a function of time.
"""

from functools import lru_cache

import numpy as np

from arena.layout import Array
from arena.markets.hedging.settings import HedgingSettings
from arena.markets.parts.underlying import LogVolatilityStep

NODES = 129
"""Nodes of a table in y, over eight stationary standard deviations to either side of the mean."""
REACH = 8.0


def random_step(market: HedgingSettings) -> LogVolatilityStep | None:
    """The step of ln(volatility), where the volatility is random."""
    return market.underlying.volatility.step(market.clock.dt)


def stationary(step: LogVolatilityStep) -> float:
    """Standard deviation of ln(volatility) in the long run."""
    return float(step.shock / np.sqrt(1.0 - step.persistence**2))


def log_effective(step: LogVolatilityStep, y: Array, longest: int) -> tuple[Array, Array]:
    """ln sigma_eff and its derivative in y for 0, 1, ..., `longest` steps to expiry, each [longest + 1, len(y)].

    With no step to expiry it is ln sigma itself.
    """
    y = np.asarray(y, dtype=float)
    power = step.persistence ** np.arange(max(longest, 1))[:, None]
    variance = stationary(step) ** 2 * (1.0 - power**2)
    each = np.exp(2.0 * (step.mean + power * (y - step.mean) + variance))
    total, slope = np.cumsum(each, axis=0), np.cumsum(power * each, axis=0)
    count = np.arange(1, len(each) + 1)[:, None]
    value = np.concatenate([y[None], 0.5 * np.log(total / count)])
    slopes = np.concatenate([np.ones((1, len(y))), slope / total])
    return value[: longest + 1], slopes[: longest + 1]


@lru_cache(maxsize=64)
def table(market: HedgingSettings) -> tuple[float, float, Array]:
    """First node, distance of nodes, and (ln sigma_eff, slope) at the nodes, [longest + 1, NODES, 2].

    Cubic Hermite interpolation of it is good to 1e-9 relative. Empty where marks are functions of time alone.
    """
    step = random_step(market)
    if step is None or market.book.mark == "long_run":
        return 0.0, 1.0, np.zeros((0, NODES, 2))
    spread = REACH * max(stationary(step), 1e-6)
    nodes = np.linspace(step.mean - spread, step.mean + spread, NODES)
    values = np.stack(log_effective(step, nodes, market.longest), axis=-1)
    return float(nodes[0]), float(nodes[1] - nodes[0]), values


def cumulated(market: HedgingSettings) -> Array:
    """Variance of ln S from time 0 to each instant [steps + longest + 1] (its stationary mean if it is random)."""
    instants = np.arange(market.clock.steps + market.longest + 1) * market.clock.dt
    return np.asarray(market.underlying.volatility.variance(np.zeros_like(instants), instants, market.clock.years))


def deviation(market: HedgingSettings, k: int, left: int, y: Array | float = 0.0) -> Array:
    """Standard deviation of ln S until expiry at which a contract is marked at instant k, of the shape of y."""
    y = np.asarray(y, dtype=float)
    step = random_step(market)
    if step is None or market.book.mark == "long_run":
        total = cumulated(market)
        return np.full(y.shape, np.sqrt(max(total[k + left] - total[k], 0.0)))
    first, distance, nodes = table(market)
    place = np.clip((y - first) / distance, 0.0, NODES - 1.000001)
    i = place.astype(int)
    t = place - i
    p, q = nodes[left, i, 0], nodes[left, i + 1, 0]
    m, n = distance * nodes[left, i, 1], distance * nodes[left, i + 1, 1]
    value = p + t * (m + t * (3.0 * (q - p) - 2.0 * m - n + t * (2.0 * (p - q) + m + n)))
    return np.asarray(np.exp(value) * np.sqrt(left * market.clock.dt * market.clock.years))
