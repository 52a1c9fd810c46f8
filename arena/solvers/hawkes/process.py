"""A mutually exciting process with exponential kernels: every event may raise, or lower, the rate of every type.

    lambda_i(t) = F_i(t) max(0, base_i + sum over past events (u, j) and k of G_kij b_kij e^{-b_kij (t - u)})

G_kij is the mean number of events of type i that an event of type j causes by kernel k, F_i a given factor (a
spread's). With rates b_k common to all pairs the past fits into K numbers a type (a mixture, a power law as in
`mixture`); with rates of their own, into one number a pair. Hawkes, Biometrika 58 (1971); Bacry, Mastromatteo & Muzy,
Market Microstructure and Liquidity 1 (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from arena.layout import Array
from arena.solvers.hawkes.mixture import HORIZON, TOLERANCE, power_law


@dataclass(frozen=True)
class Hawkes:
    """Base rates [M], branching [K, M, M] (row: what is excited), decay rates [K], or [K, M, M] for rates by pair.

    Rates are per unit of time. Raises ValueError, a sentence, for shapes that do not fit and numbers out of range.
    """

    base: Array
    branching: Array
    rates: Array

    def __post_init__(self) -> None:
        for name in ("base", "branching", "rates"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=float))
        m, k = self.base.size, len(self.rates) if self.rates.ndim else 0
        if self.base.shape != (m,) or m == 0 or k == 0 or self.branching.shape != (k, m, m) \
                or self.rates.shape not in ((k,), (k, m, m)):  # fmt: skip
            found = f"base {self.base.shape}, branching {self.branching.shape}, rates {self.rates.shape}"
            raise ValueError(f"hawkes: found shapes {found}; allowed are [M], [K, M, M], and [K] or [K, M, M]")
        if not (np.isfinite(self.base).all() and (self.base >= 0.0).all()):
            raise ValueError(f"hawkes: found a base rate of {self.base.min():g}; allowed are numbers from 0 on")
        if not (np.isfinite(self.rates).all() and (self.rates > 0.0).all()):
            raise ValueError(f"hawkes: found a decay rate of {self.rates.min():g}; allowed are positive numbers")
        if not np.isfinite(self.branching).all():
            raise ValueError("hawkes: found a branching that is no number; allowed are finite numbers")

    @property
    def types(self) -> int:
        """Number of event types, M."""
        return self.base.size

    @cached_property
    def total(self) -> Array:
        """Integrals of the kernels, [M, M]: direct offspring of type i of one event of type j."""
        return np.asarray(self.branching.sum(axis=0))

    @property
    def signed(self) -> bool:
        """Whether an event lowers some rate, so that the bound at zero is part of the model."""
        return bool((self.branching < 0.0).any())

    @property
    def radius(self) -> float:
        """Spectral radius of the positive part of the branching; below one the process is stable."""
        return spectral_radius(np.maximum(self.branching, 0.0).sum(axis=0))

    def unstable(self) -> str:
        """Why the process explodes, in a sentence, or an empty string where it does not.

        Kernels below zero only remove events, so a positive part that is stable is enough (Brémaud & Massoulié 1996).
        """
        if self.radius < 1.0:
            return ""
        return (f"the branching matrix has spectral radius {self.radius:.3f}: on average every event causes as many "
                "or more, and the number of events explodes; allowed are radii below 1")  # fmt: skip


def exponential(base: ArrayLike, branching: ArrayLike, rate: float) -> Hawkes:
    """One decay rate for all pairs: kernels G_ij b e^{-b t}, branching [M, M]."""
    return Hawkes(np.asarray(base), np.asarray(branching, dtype=float)[None], np.array([rate], dtype=float))


def by_pair(base: ArrayLike, branching: ArrayLike, rates: ArrayLike) -> Hawkes:
    """A decay rate for every pair: kernels G_ij b_ij e^{-b_ij t}, both [M, M]."""
    return Hawkes(np.asarray(base), np.asarray(branching, float)[None], np.asarray(rates, float)[None])


def power_laws(
    base: ArrayLike,
    branching: ArrayLike,
    exponent: ArrayLike,
    scale: ArrayLike,
    horizon: float = HORIZON,
    tolerance: float = TOLERANCE,
) -> Hawkes:
    """Kernels G_ij (b - 1) c (1 + c t)^-b as mixtures of exponentials whose survival is off by at most the tolerance.

    Exponent b and scale c are numbers or [M, M]. Raises ValueError where the mixture cannot hold it.
    """
    g = np.asarray(branching, dtype=float)
    mixed = power_law(exponent, scale, horizon, tolerance)
    weights = mixed.weights if mixed.weights.ndim == 3 else mixed.weights.reshape(-1, 1, 1)
    return Hawkes(np.asarray(base), weights * g, mixed.rates)


def spectral_radius(matrix: Array) -> float:
    """The largest modulus of an eigenvalue of a square matrix."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())
