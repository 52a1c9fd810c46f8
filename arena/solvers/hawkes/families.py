"""Kernel shapes that a fit knows: what few numbers describe all kernels, and the exponentials that they become.

A family turns its parameters (logarithms, so that nothing is bounded) into decay rates and the weight of each, and
pulls a gradient by rates and weights back to its parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.hawkes.mixture import weigh

REACH = 2e4
"""Time, on the scale 1/c of a power law, over which a fit's mixture follows it."""


class Expanded(NamedTuple):
    """Exponentials of a shape: rates [R], weight of each [R] in its kernel, and the kernel [R] it belongs to."""

    rates: Array
    weights: Array
    kernel: NDArray[np.int64]


class Family(Protocol):
    """A shape of kernels with few parameters, common to all pairs."""

    @property
    def kernels(self) -> int:
        """Branching matrices that go with it, K."""
        ...

    def names(self) -> tuple[str, ...]:
        """What its parameters are called."""
        ...

    def start(self, rate: float) -> Array:
        """Parameters [D] to start from, near one typical rate."""
        ...

    def expand(self, shape: Array) -> Expanded:
        """The exponentials of parameters [D]."""
        ...

    def pull(self, shape: Array, by_rates: Array, by_weights: Array) -> Array:
        """The gradient by parameters [D] of something whose gradient by rates and weights [R] is given."""
        ...

    def told(self, shape: Array) -> Array:
        """The parameters as people state them, [D]."""
        ...

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """How far each parameter may go, [D] pairs."""
        ...


@dataclass(frozen=True)
class Exponentials:
    """K exponentials with rates common to all pairs, h_k = b_k e^{-b_k t}; parameters ln b_k."""

    kernels: int = 1

    def names(self) -> tuple[str, ...]:
        """One rate per kernel."""
        return ("rate",) if self.kernels == 1 else tuple(f"rate_{k}" for k in range(self.kernels))

    def start(self, rate: float) -> Array:
        """Rates a factor of 15 apart around a typical one."""
        return np.asarray(math.log(rate) + math.log(15.0) * (np.arange(self.kernels) - (self.kernels - 1) / 2))

    def expand(self, shape: Array) -> Expanded:
        """The rates themselves."""
        return Expanded(np.exp(shape), np.ones(self.kernels), np.arange(self.kernels))

    def pull(self, shape: Array, by_rates: Array, by_weights: Array) -> Array:
        """d/d ln b = b d/db."""
        return np.asarray(np.exp(shape) * by_rates)

    def told(self, shape: Array) -> Array:
        """The rates."""
        return np.asarray(np.exp(shape))

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """From once in ten million units of time to ten million times in one."""
        return ((-16.0, 16.0),) * self.kernels


@dataclass(frozen=True)
class Mixed:
    """One sum of K exponentials for all pairs, h = sum_k w_k b_k e^{-b_k t}; parameters ln b_k and ln(w_k/w_0), k > 0.
    """

    count: int = 2
    kernels: int = 1

    def names(self) -> tuple[str, ...]:
        """Rates, and the weights but for the first."""
        return (*(f"rate_{k}" for k in range(self.count)), *(f"weight_{k}" for k in range(1, self.count)))

    def start(self, rate: float) -> Array:
        """Rates a factor of 15 apart around a typical one, with equal weights."""
        return np.concatenate([Exponentials(self.count).start(rate), np.zeros(self.count - 1)])

    def expand(self, shape: Array) -> Expanded:
        """Rates, and weights of sum 1."""
        return Expanded(np.exp(shape[: self.count]), self._weights(shape), np.zeros(self.count, dtype=np.int64))

    def pull(self, shape: Array, by_rates: Array, by_weights: Array) -> Array:
        """d/d ln b = b d/db, and the gradient of a softmax."""
        weights = self._weights(shape)
        by_logits = weights * (by_weights - weights @ by_weights)
        return np.concatenate([np.exp(shape[: self.count]) * by_rates, by_logits[1:]])

    def told(self, shape: Array) -> Array:
        """Rates and weights."""
        return np.concatenate([np.exp(shape[: self.count]), self._weights(shape)[1:]])

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Rates as for one; a weight may be a ten-thousandth of another."""
        return (*Exponentials(self.count).bounds(), *(((-9.0, 9.0),) * (self.count - 1)))

    def _weights(self, shape: Array) -> Array:
        odds = np.exp(np.concatenate([[0.0], shape[self.count :]]))
        return np.asarray(odds / odds.sum())


@dataclass(frozen=True)
class PowerLaws:
    """One power law for all pairs, h = (b - 1) c (1 + c t)^-b; parameters ln(b - 1) and ln c.

    It becomes a mixture with fixed nodes u on the scale of c, whose weights follow the exponent smoothly. Between
    exponents of 1.5 and 3 the survival function is off by at most 0.005 (a test says so).
    """

    kernels: int = 1
    nodes: Array = field(default_factory=lambda: np.geomspace(1e-4, 6.0, 11))

    def names(self) -> tuple[str, ...]:
        """Exponent and scale."""
        return "exponent", "scale"

    def start(self, rate: float) -> Array:
        """An exponent of 1.7 and a scale near the typical rate."""
        return np.array([math.log(0.7), math.log(rate)])

    def expand(self, shape: Array) -> Expanded:
        """Rates c u with the exponent's weights."""
        one = np.zeros(self.nodes.size, dtype=np.int64)
        return Expanded(math.exp(shape[1]) * self.nodes, self._weights(shape[0]), one)

    def pull(self, shape: Array, by_rates: Array, by_weights: Array) -> Array:
        """Weights are differenced in the exponent; rates are proportional to the scale."""
        step = 1e-3
        slope = (self._weights(shape[0] + step) - self._weights(shape[0] - step)) / (2.0 * step)
        return np.array([by_weights @ slope, by_rates @ (math.exp(shape[1]) * self.nodes)])

    def told(self, shape: Array) -> Array:
        """Exponent and scale."""
        return np.array([1.0 + math.exp(shape[0]), math.exp(shape[1])])

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Exponents from 1.2 to 5: beyond, a power law is nearly a constant or an exponential."""
        return (math.log(0.2), math.log(4.0)), (-16.0, 16.0)

    def _weights(self, log_excess: float) -> Array:
        exponent = np.array([1.0 + math.exp(log_excess)])
        return weigh(exponent, np.ones(1), self.nodes, REACH).weights[:, 0]
