"""What a stable Hawkes process does on average, without simulating it: rates, and covariances of counts.

Valid for kernels that are nowhere negative and factors that are 1: the intensity is then linear in the past,
X' = -b X plus a jump a_j at events of type j, lambda = base + P X, X of one number per kernel or pair.

    Lambda = (I - G)^-1 base                                        (Hawkes 1971)
    Cov N(0, tau) = D tau + C + C',  C = P (A^-1 tau - A^-2 (I - e^{-A tau})) (Sigma P' + a D),
    A = diag(b) - a P,   A Sigma + Sigma A' = a D a',   D = diag(Lambda)
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

from arena.layout import Array
from arena.solvers.hawkes.process import Hawkes


def rates(process: Hawkes) -> Array:
    """Stationary events per unit of time and type, Lambda [M].

    Raises ValueError for a process that explodes, and for one with inhibition: the bound at zero then shifts the rates.
    """
    _linear(process)
    return np.asarray(np.linalg.solve(np.eye(process.types) - process.total, process.base))


def ancestry(process: Hawkes) -> float:
    """The branching ratio of all types together: the share of events that others caused, 1 - sum(base)/sum(Lambda).

    Raises ValueError as `rates` does.
    """
    return float(1.0 - process.base.sum() / rates(process).sum())


def long_run_covariance(process: Hawkes) -> Array:
    """Covariance of counts per unit of time over a long time, (I - G)^-1 D (I - G)^-T [M, M].

    Raises ValueError as `rates` does.
    """
    response = np.linalg.inv(np.eye(process.types) - process.total)
    return np.asarray(response @ np.diag(rates(process)) @ response.T)


def count_covariance(process: Hawkes, tau: float) -> Array:
    """Covariance [M, M] of the numbers of events within a time tau of the stationary process.

    Raises ValueError as `rates` does, and for a tau that is not positive.
    """
    if not 0.0 < tau < np.inf:
        raise ValueError(f"count covariance: found a time of {tau:g}; allowed are positive numbers")
    mean = np.diag(rates(process))
    decay, jump, read = linear_state(process)
    drift = np.diag(decay) - jump @ read
    spread = solve_continuous_lyapunov(drift, jump @ mean @ jump.T)
    inverse = np.linalg.inv(drift)
    waited = inverse * tau - inverse @ inverse @ (np.eye(decay.size) - expm(-drift * tau))
    lagged = read @ waited @ (spread @ read.T + jump @ mean)
    return np.asarray(mean * tau + lagged + lagged.T)


def linear_state(process: Hawkes) -> tuple[Array, Array, Array]:
    """Decay rates [S], jumps [S, M] by type of event, and the sums [M, S] that make intensities of the state."""
    m, k = process.types, len(process.rates)
    if process.rates.ndim == 1:  # a number per kernel and excited type
        decay = np.repeat(process.rates, m)
        return decay, decay[:, None] * process.branching.reshape(k * m, m), np.tile(np.eye(m), k)
    decay = process.rates.ravel()  # a number per kernel and pair
    jump = (decay * process.branching.ravel())[:, None] * np.tile(np.eye(m), (k * m, 1))
    return decay, jump, np.tile(np.kron(np.eye(m), np.ones(m)), k)


def _linear(process: Hawkes) -> None:
    if process.signed:
        raise ValueError("hawkes: found kernels below zero; allowed are non-negative ones, because the bound of the "
                         "intensities at zero leaves no closed form")  # fmt: skip
    if process.unstable():
        raise ValueError(f"hawkes: {process.unstable()}")
