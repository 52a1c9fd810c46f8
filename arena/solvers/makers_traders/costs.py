"""What trading costs a trader beyond the quoted price, and the rates of the one-shot game between traders.

Trader i with the net marginal value w^i = y^i - ask (buyer) or y^i + bid (seller) trades at the rate where its marginal
cost meets it, d lambda^i / d v^i (v) = w^i, clipped to [low^i, high^i] (Guo & Jin, class Upsilon, Definition 3.2).
Shapes: rates [n, K]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arena.layout import Array
from arena.solvers.coefficients import Coefficient, coefficient
from arena.solvers.solution import Condition


class TradingCost(Protocol):
    """Costs lambda^i(t, v) [n, K] with marginal costs d_i lambda^i [n, K] and their derivatives hessian[n, i, k] = d_k
    d_i lambda^i."""

    def value(self, t: Array, rate: Array) -> Array: ...

    def marginal(self, t: Array, rate: Array) -> Array: ...

    def hessian(self, t: Array, rate: Array) -> Array: ...


@dataclass(frozen=True)
class QuadraticCost:
    """lambda^i = beta v^i (v^i + omega/(K-1) sum_{j != i} v^j), 0 <= omega < 2; beta in price x time / share."""

    temporary_impact: Coefficient
    cross_impact: float = 0.0

    def _matrix(self, count: int) -> Array:
        cross = self.cross_impact / (count - 1) if count > 1 else 0.0
        return np.full((count, count), cross) + (2.0 - cross) * np.eye(count)

    def value(self, t: Array, rate: Array) -> Array:
        others = self._matrix(rate.shape[1]) - 1.0 * np.eye(rate.shape[1])
        return self.temporary_impact(t)[:, None] * rate * (rate @ others.T)

    def marginal(self, t: Array, rate: Array) -> Array:
        return self.temporary_impact(t)[:, None] * (rate @ self._matrix(rate.shape[1]).T)

    def hessian(self, t: Array, rate: Array) -> Array:
        return self.temporary_impact(t)[:, None, None] * self._matrix(rate.shape[1])


@dataclass(frozen=True)
class GeneralCost:
    """Any costs with their derivatives, as functions of (t [n], v [n, K]); shapes as in TradingCost."""

    costs: Callable[[Array, Array], Array]
    first: Callable[[Array, Array], Array]
    second: Callable[[Array, Array], Array]

    def value(self, t: Array, rate: Array) -> Array:
        return np.asarray(self.costs(t, rate), dtype=float)

    def marginal(self, t: Array, rate: Array) -> Array:
        return np.asarray(self.first(t, rate), dtype=float)

    def hessian(self, t: Array, rate: Array) -> Array:
        return np.asarray(self.second(t, rate), dtype=float)


def trading_cost(temporary_impact: Any, cross_impact: float) -> TradingCost:
    """Read the cost of trading: a coefficient beta (with cross impact omega), or a ready TradingCost; raises ValueError
    outside 0 <= omega < 2."""
    if isinstance(temporary_impact, GeneralCost | QuadraticCost):
        return temporary_impact
    if not 0.0 <= cross_impact < 2.0:
        raise ValueError(f"cross_impact: found {cross_impact}; Definition 3.2 holds for 0 <= cross_impact < 2")
    return QuadraticCost(coefficient(temporary_impact, "temporary_impact"), float(cross_impact))


def stage_rates(cost: TradingCost, t: Array, worth: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Rates of the one-shot game at net marginal values `worth` [n, K], bounds low, high [K], and their derivatives by
    it [n, K, K].

    Semismooth Newton on v = clip(v - (marginal - worth) / own curvature); raises ValueError when it does not converge
    (Definition 3.2 fails)."""
    count = worth.shape[1]
    eye = np.eye(count)
    if count == 0:
        return worth, np.zeros((worth.shape[0], 0, 0))
    if isinstance(cost, QuadraticCost) and (count == 1 or cost.cross_impact == 0.0):
        alone = worth / (2.0 * cost.temporary_impact(t)[:, None])
        free = (alone > low) & (alone < high)
        return np.clip(alone, low, high), free[:, :, None] * eye / (2.0 * cost.temporary_impact(t)[:, None, None])
    rate = np.clip(np.zeros_like(worth), low, high)
    best, best_size = rate, np.full(worth.shape[0], np.inf)
    for _ in range(100):
        hessian = cost.hessian(t, rate)
        own = np.diagonal(hessian, axis1=1, axis2=2)
        target = rate - (cost.marginal(t, rate) - worth) / own
        free = (target > low) & (target < high)
        gap = rate - np.clip(target, low, high)
        size = np.abs(gap).max(axis=1)
        better = size < best_size
        best, best_size = np.where(better[:, None], rate, best), np.where(better, size, best_size)
        jacobian = np.where(free[:, :, None], hessian / own[:, :, None], eye)
        if np.all(size <= 1e-13 * (1.0 + np.abs(rate).max(axis=1))):
            return rate, np.linalg.solve(jacobian, np.where(free[:, :, None], eye / own[:, :, None], 0.0))
        step = np.linalg.solve(jacobian, gap[:, :, None])[:, :, 0]
        if not np.all(np.isfinite(step)):
            break
        rate = rate - step
    if np.all(best_size <= 1e-10 * (1.0 + np.abs(best).max(axis=1))):
        return rate, np.linalg.solve(jacobian, np.where(free[:, :, None], eye / own[:, :, None], 0.0))
    worst = int(np.argmax(best_size))
    raise ValueError(
        f"the rates of the stage game do not converge at t = {t[worst]:.4g} for net values "
        f"{np.array2string(worth[worst], precision=4)} (residual {best_size[worst]:.1e}); Definition 3.2 fails there"
    )


def cost_conditions(cost: TradingCost, t: Array, rate: Array) -> list[Condition]:
    """Definition 3.2 along given rates: own curvature bounded below, and above the sum of the cross curvatures."""
    if rate.shape[1] == 0:
        return []
    hessian = cost.hessian(t, rate)
    own = np.diagonal(hessian, axis1=1, axis2=2)
    cross = np.where(np.eye(rate.shape[1], dtype=bool), 0.0, np.abs(hessian)).sum(axis=2)
    return [
        Condition(
            "Definition 3.2: cost convex in the own rate",
            bool(own.min() > 0.0),
            float(own.min()),
            "min own curvature > 0",
        ),
        Condition(
            "Definition 3.2: own curvature dominates",
            bool((own - cross).min() > 0.0),
            float((own - cross).min()),
            "min gap > 0",
        ),
    ]
