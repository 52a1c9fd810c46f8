"""Which share of the flow a maker gets at given quotes, and the quotes of the one-shot game between makers.

A share rule maps the distances of all makers to shares zeta^i(delta) of one side's flow, with its first derivatives and
the second derivatives that the stage game needs. Maker i with marginal value y^i of one share of inventory quotes (Guo
& Jin, stage conditions of sections 3 and 5)

    ask: delta^i = y^i - zeta^i / d_i zeta^i (delta) ,  bid: the same with -y^i ,  clipped to |delta| <= max_distance

Shapes: distances and shares [n, M]; gradient[n, i, k] = d zeta^i / d delta^k; curvature[n, i, k] = d^2 zeta^i / d
delta^i d delta^k. Distances are in price units from the reference price; fill_decay and sharpness in 1/price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import wrightomega

from arena.layout import Array
from arena.solvers.solution import Condition


class ShareRule(Protocol):
    """What the stage game asks of a share rule; `clears` says whether shares always sum to one."""

    @property
    def clears(self) -> bool: ...

    def shares(self, distance: Array) -> Array: ...

    def gradient(self, distance: Array) -> Array: ...

    def curvature(self, distance: Array) -> Array: ...

    def markup(self, distance: Array) -> tuple[Array, Array]:
        """-zeta^i / d_i zeta^i [n, M] and its derivatives by all distances [n, M, M]."""
        ...

    def conditions(self, distance: Array) -> list[Condition]:
        """The conditions of the rule's class, checked at the given distances [n, M]."""
        ...


@dataclass(frozen=True)
class Relative:
    """Share Lambda(delta^i - min_{j != i} delta^j) of the flow: competition against the best quote of the others
    (section 3).

    Lambda defaults to exp(-fill_decay x); another intensity is given by `intensity` = (Lambda, Lambda', Lambda''),
    functions of arrays. Shares do not sum to one: the market does not clear. Exponential: delta = 1/fill_decay + y
    whatever the others do. Raises ValueError for a fill decay that is not above 0, or without both derivatives."""

    fill_decay: float = 1.0
    intensity: tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[[Array], Array]] | None = None
    clears: bool = False

    def __post_init__(self) -> None:
        if self.intensity is None and not 0.0 < self.fill_decay < np.inf:
            raise ValueError(f"fill_decay: found {self.fill_decay}; it must be a finite number above 0")
        if self.intensity is not None and len(self.intensity) != 3:
            raise ValueError(
                f"intensity: found {len(self.intensity)} functions; give Lambda and its first two derivatives"
            )

    def _gap(self, distance: Array) -> tuple[Array, Array]:
        """Distance to the best rival [n, M] and the weights of the rivals that are best [n, M, M] (ties share)."""
        makers = distance.shape[1]
        if makers < 2:
            raise ValueError(
                f"the relative rule compares quotes with the best rival; found {makers} maker, it needs at least 2"
            )
        rivals = np.where(np.eye(makers, dtype=bool), np.inf, distance[:, None, :])
        best = rivals.min(axis=2)
        weight = (rivals == best[:, :, None]).astype(float)
        return distance - best, weight / weight.sum(axis=2, keepdims=True)

    def _lambda(self, x: Array, order: int) -> Array:
        if self.intensity is not None:
            return np.asarray(self.intensity[order](x), dtype=float)
        return (-self.fill_decay) ** order * np.exp(-self.fill_decay * x)

    def shares(self, distance: Array) -> Array:
        return self._lambda(self._gap(distance)[0], 0)

    def gradient(self, distance: Array) -> Array:
        gap, weight = self._gap(distance)
        return self._lambda(gap, 1)[:, :, None] * (np.eye(distance.shape[1]) - weight)

    def curvature(self, distance: Array) -> Array:
        gap, weight = self._gap(distance)
        return self._lambda(gap, 2)[:, :, None] * (np.eye(distance.shape[1]) - weight)

    def markup(self, distance: Array) -> tuple[Array, Array]:
        if self.intensity is None:
            makers = distance.shape[1]
            self._gap(distance[:1])
            return np.full(distance.shape, 1.0 / self.fill_decay), np.zeros((distance.shape[0], makers, makers))
        return _markup(self, distance)

    def conditions(self, distance: Array) -> list[Condition]:
        gap = self._gap(distance)[0]
        span = max(1.0, float(np.abs(gap).max()))
        x = np.linspace(-2.0 * span, 2.0 * span, 401)
        value, slope, second = self._lambda(x, 0), self._lambda(x, 1), self._lambda(x, 2)
        with np.errstate(all="ignore"):
            ratio = value * second / slope**2
            far = float(self._lambda(np.array([1e3 * span]), 0)[0] / self._lambda(np.array([0.0]), 0)[0])
        slopes_agree, fault = _derivatives_agree(lambda points: (self._lambda(points, 0), self._lambda(points, 1)), x)
        return [
            Condition(
                "Definition 3.4: intensity decreasing", bool(slope.max() < 0.0), float(slope.max()), "max slope < 0"
            ),
            Condition("Definition 3.4: intensity vanishes far away", far < 1e-2, far, "Lambda(far)/Lambda(0) near 0"),
            Condition(
                "Definition 3.4: curvature ratio", bool(ratio.max() <= 1.0 + 1e-9), float(ratio.max()), "max <= 1"
            ),
            Condition(
                "Definition 3.4: curvature ratio bounded below",
                bool(np.isfinite(ratio).all()),
                float(ratio.min()),
                "finite",
            ),
            Condition("given derivatives agree with differences", slopes_agree, fault, "relative fault < 1e-4"),
        ]


@dataclass(frozen=True)
class Logistic:
    """Share exp(-sharpness delta^i + o^i) / sum_k exp(-sharpness delta^k + o^k) of inelastic flow (section 5);
    clears. Raises ValueError for a sharpness that is not above 0 and for offsets that are not finite."""

    sharpness: float
    offsets: tuple[float, ...] = ()
    clears: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.sharpness < np.inf:
            raise ValueError(f"sharpness: found {self.sharpness}; it must be a finite number above 0")
        if not np.all(np.isfinite(self.offsets)):
            raise ValueError(f"offsets: found {self.offsets}; they must be finite numbers")

    def _weights(self, distance: Array) -> tuple[Array, Array]:
        """Shares and one minus shares, each to full relative accuracy [n, M]."""
        makers = distance.shape[1]
        if makers < 2:
            raise ValueError(
                f"the logistic rule shares inelastic flow between makers; found {makers} maker, it needs at least 2"
            )
        if self.offsets and len(self.offsets) != makers:
            raise ValueError(f"offsets: found {len(self.offsets)} for {makers} makers; give one per maker")
        logit = -self.sharpness * distance + (np.asarray(self.offsets) if self.offsets else 0.0)
        weight = np.exp(logit - logit.max(axis=1, keepdims=True))
        share = weight / weight.sum(axis=1, keepdims=True)
        others = np.where(np.eye(makers, dtype=bool), 0.0, share[:, None, :]).sum(axis=2)
        return share, others

    def shares(self, distance: Array) -> Array:
        return self._weights(distance)[0]

    def gradient(self, distance: Array) -> Array:
        share, others = self._weights(distance)
        result = self.sharpness * share[:, :, None] * share[:, None, :]
        index = np.arange(distance.shape[1])
        result[:, index, index] = -self.sharpness * share * others
        return result

    def curvature(self, distance: Array) -> Array:
        share, others = self._weights(distance)
        # d_i zeta^i = -c zeta^i (1 - zeta^i), differentiated by every delta^k
        return -self.sharpness * (others - share)[:, :, None] * self.gradient(distance)

    def markup(self, distance: Array) -> tuple[Array, Array]:
        share, others = self._weights(distance)
        slope = share[:, :, None] * share[:, None, :] / (others**2)[:, :, None]
        index = np.arange(distance.shape[1])
        slope[:, index, index] = -share / others
        return 1.0 / (self.sharpness * others), slope

    def best_reply(self, value: Array, distance: Array) -> Array:
        """Every maker's best distance [n, M] at marginal cost `value` when the others quote `distance`, in closed form.

        With S the rivals' weight, c delta - 1 - exp(-c delta + o)/S = c value, so delta = value + (1 + omega(o - 1 - c
        value - log S))/c with Wright's omega function."""
        logit = -self.sharpness * distance + (np.asarray(self.offsets) if self.offsets else 0.0)
        rivals = np.where(np.eye(distance.shape[1], dtype=bool), -np.inf, logit[:, None, :])
        top = rivals.max(axis=2)
        weight = top + np.log(np.exp(rivals - top[:, :, None]).sum(axis=2))
        own = np.asarray(self.offsets) if self.offsets else 0.0
        return value + (1.0 + wrightomega(own - 1.0 - self.sharpness * value - weight)) / self.sharpness

    def conditions(self, distance: Array) -> list[Condition]:
        return _class_conditions(self, distance)


@dataclass(frozen=True)
class GeneralShare:
    """Any smooth share functions, given with their derivatives (shapes in the module docstring), e.g. products
    Lambda^i(delta^i) G^i(others)."""

    value: Callable[[Array], Array]
    first: Callable[[Array], Array]
    second: Callable[[Array], Array]
    clears: bool = False

    def shares(self, distance: Array) -> Array:
        return np.asarray(self.value(distance), dtype=float)

    def gradient(self, distance: Array) -> Array:
        return np.asarray(self.first(distance), dtype=float)

    def curvature(self, distance: Array) -> Array:
        return np.asarray(self.second(distance), dtype=float)

    def markup(self, distance: Array) -> tuple[Array, Array]:
        return _markup(self, distance)

    def conditions(self, distance: Array) -> list[Condition]:
        makers = distance.shape[1]
        agree, fault = True, 0.0
        for k in range(makers):
            step = np.zeros(makers)
            step[k] = 1e-5
            numeric = (self.shares(distance + step) - self.shares(distance - step)) / 2e-5
            scale = 1e-8 + np.abs(numeric).max()
            fault = max(fault, float(np.abs(numeric - self.gradient(distance)[:, :, k]).max() / scale))
            diagonal = np.diagonal(self.gradient(distance + step), axis1=1, axis2=2)
            numeric = (diagonal - np.diagonal(self.gradient(distance - step), axis1=1, axis2=2)) / 2e-5
            scale = 1e-8 + np.abs(numeric).max()
            fault = max(fault, float(np.abs(numeric - self.curvature(distance)[:, :, k]).max() / scale))
            agree = fault < 1e-4
        agreement = Condition("given derivatives agree with differences", agree, fault, "relative fault < 1e-4")
        return [*_class_conditions(self, distance), agreement]


def _markup(rule: ShareRule, distance: Array) -> tuple[Array, Array]:
    share, slope, second = rule.shares(distance), rule.gradient(distance), rule.curvature(distance)
    own = np.diagonal(slope, axis1=1, axis2=2)
    markup = -share / own
    return markup, -(slope * own[:, :, None] - share[:, :, None] * second) / (own**2)[:, :, None]


def _class_conditions(rule: ShareRule, distance: Array) -> list[Condition]:
    """Definition 5.1 with inequality (38), at the given distances; the left side of (38) is the row gap of the stage
    Jacobian."""
    share, slope, second = rule.shares(distance), rule.gradient(distance), rule.curvature(distance)
    makers = distance.shape[1]
    own, own2 = np.diagonal(slope, axis1=1, axis2=2), np.diagonal(second, axis1=1, axis2=2)
    others = np.where(np.eye(makers, dtype=bool), np.inf, slope)
    cross = np.where(np.eye(makers, dtype=bool), 0.0, np.abs(own[:, :, None] * slope - share[:, :, None] * second)).sum(
        axis=2
    )
    gap = (2.0 * own**2 - share * own2 - cross) / own**2
    bend = float((2.0 - share * own2 / own**2).min())
    lowest_cross = float(others.min()) if makers > 1 else np.inf
    return [
        Condition("Definition 5.1: own share decreasing", bool(own.max() < 0.0), float(own.max()), "max own slope < 0"),
        Condition(
            "Definition 5.1: share grows with rivals' distances",
            lowest_cross >= -1e-12,
            lowest_cross,
            "min cross slope >= 0",
        ),
        Condition("Definition 5.1: own curvature", bend > 0.0, bend, "min of 2 - zeta zeta''/zeta'^2 > 0"),
        Condition("Definition 5.1: inequality (38)", bool(gap.min() > 1e-12), float(gap.min()), "min row gap > 0"),
    ]


def _derivatives_agree(function: Callable[[Array], tuple[Array, Array]], x: Array) -> tuple[bool, float]:
    numeric = (function(x + 1e-5)[0] - function(x - 1e-5)[0]) / 2e-5
    fault = float(np.max(np.abs(numeric - function(x)[1]) / (1e-8 + np.abs(numeric).max())))
    return fault < 1e-4, fault


def stage_quotes(rule: ShareRule, value: Array, max_distance: float = np.inf) -> tuple[Array, Array]:
    """Quotes of the one-shot game at marginal costs `value` [n, M] (ask: y, bid: -y), and their derivatives by them [n,
    M, M].

    Semismooth Newton on delta = clip(value + markup(delta)); raises ValueError when it does not converge (inequality
    (38) fails)."""
    makers = value.shape[1]
    eye = np.eye(makers)
    if isinstance(rule, Relative) and rule.intensity is None:
        raw = value + 1.0 / rule.fill_decay
        rule.markup(raw[:1])
        inside = (np.abs(raw) < max_distance).astype(float)
        return np.clip(raw, -max_distance, max_distance), inside[:, :, None] * eye
    if isinstance(rule, Logistic) and makers == 2 and np.isinf(max_distance):
        return _two_logistic_makers(rule, value)
    distance = np.clip(value + rule.markup(np.zeros_like(value))[0], -max_distance, max_distance)
    if isinstance(rule, Logistic):
        for _ in range(3):
            distance = np.clip(rule.best_reply(value, distance), -max_distance, max_distance)

    def fault(distance: Array) -> tuple[Array, Array, Array]:
        with np.errstate(all="ignore"):
            markup, slope = rule.markup(distance)
        raw = value + markup
        inside = (np.abs(raw) < max_distance).astype(float)
        return distance - np.clip(raw, -max_distance, max_distance), slope, inside

    gap, slope, inside = fault(distance)
    size = np.abs(gap).max(axis=1)
    for _ in range(100):
        jacobian = eye - inside[:, :, None] * slope
        step = -np.linalg.solve(jacobian, gap[:, :, None])[:, :, 0]
        fine = 1e-13 * (1.0 + np.abs(distance).max(axis=1))
        settled = (size <= fine) | (np.abs(step).max(axis=1) <= fine)
        if settled.all():
            slopes = np.asarray(np.linalg.solve(jacobian, inside[:, :, None] * eye), float)
            return distance + np.where(size[:, None] > 0.0, step, 0.0), slopes
        step[settled] = 0.0  # such a row waits for the others: its bits are its own
        length = np.ones((value.shape[0], 1))
        for _ in range(40):
            trial = distance + length * step
            trial_gap, trial_slope, trial_inside = fault(trial)
            trial_size = np.abs(trial_gap).max(axis=1)
            worse = ~(trial_size <= (1.0 - 0.1 * length[:, 0]) * size) & ~(np.abs(step).max(axis=1) <= 1e3 * fine)
            if not worse.any():
                break
            length[worse] /= 2.0
        distance, gap, slope, inside, size = trial, trial_gap, trial_slope, trial_inside, trial_size
    worst = int(np.argmax(size))
    raise ValueError(
        f"the quotes of the stage game do not converge at marginal values {np.array2string(value[worst], precision=4)} "
        f"(residual {size[worst]:.1e}); inequality (38) of the share rule fails there"
    )


def _two_logistic_makers(rule: Logistic, value: Array) -> tuple[Array, Array]:
    """Stage quotes of two logistic makers from one scalar equation in the log-odds u of the second's share.

    u + 2 sinh u = c (y1 - y2) - (o1 - o2), then delta1 = y1 + (1 + e^{-u})/c and delta2 = y2 + (1 + e^u)/c; Newton from
    above its root."""
    c = rule.sharpness
    tilt = rule.offsets[0] - rule.offsets[1] if rule.offsets else 0.0
    right = c * (value[:, 0] - value[:, 1]) - tilt
    u = np.arcsinh(right / 2.0)
    moving = np.ones(u.shape, bool)  # a root that is found stays, so that it does not depend on its neighbours
    for _ in range(50):
        step = (u + 2.0 * np.sinh(u) - right) / (1.0 + 2.0 * np.cosh(u))
        u = np.where(moving, u - step, u)
        moving &= np.abs(step) > 1e-9 * (1.0 + np.abs(u))
        if not moving.any():
            break
    odds = np.exp(u)
    rise = np.stack([1.0 / odds, odds], axis=1)
    pull = rise / (1.0 + rise.sum(axis=1, keepdims=True))
    slope = np.stack(
        [np.stack([1.0 - pull[:, 0], pull[:, 0]], axis=1), np.stack([pull[:, 1], 1.0 - pull[:, 1]], axis=1)], axis=1
    )
    return value + (1.0 + rise) / c, slope
