"""Half-spreads of M identical makers without inventory risk: static Nash and joint profit, for every rule of flow.

Each maker earns lambda_m(delta) * delta per side. A rule whose equilibrium or joint optimum does not exist (no maker
ever wants to stop widening) gives inf. k = fill_decay, kappa = sharpness.
"""

import math

from scipy.optimize import brentq
from scipy.special import wrightomega


def soft_best_nash(makers: int, fill_decay: float, sharpness: float) -> float:
    """1 / (kappa (1 - 1/M) + k/M): own log-intensity falls at kappa (1 - s) + k s with the share s = 1/M."""
    _check(makers, fill_decay=fill_decay, sharpness=sharpness)
    return 1.0 / (sharpness * (1.0 - 1.0 / makers) + fill_decay / makers)


def soft_best_joint(fill_decay: float) -> float:
    """1/k: together the makers are a monopolist with intensity A e^{-k delta}."""
    _check(1, fill_decay=fill_decay)
    return 1.0 / fill_decay


def logit_nash(makers: int, fill_decay: float, outside: float) -> float:
    """delta = 1 / (k (1 - s)), s = e^{-k delta} / (w0 + M e^{-k delta}); the one root of an increasing function."""
    if makers == 1:
        return logit_joint(1, fill_decay, outside)
    _check(makers, fill_decay=fill_decay, outside=outside)

    def excess(y: float) -> float:  # y = k delta
        weight = math.exp(-y)
        return y - (outside + makers * weight) / (outside + (makers - 1) * weight)

    most = min(1.0 + 1.0 / outside, makers / (makers - 1))  # s < 1/(1 + w0) and s < 1/M
    return float(brentq(excess, 1.0, most, xtol=1e-15)) / fill_decay


def logit_joint(makers: int, fill_decay: float, outside: float) -> float:
    """delta = (1 + W(M / (e w0))) / k, with Lambert's W: the root of k delta = 1 + (M/w0) e^{-k delta}."""
    _check(makers, fill_decay=fill_decay, outside=outside)
    return (1.0 + float(wrightomega(math.log(makers) - 1.0 - math.log(outside)))) / fill_decay  # omega(x) = W(e^x)


def logistic_nash(makers: int, sharpness: float) -> float:
    """1 / (c (1 - 1/M)) for shares softmax(-c delta) of inelastic flow; inf for a monopolist."""
    _check(makers, sharpness=sharpness)
    return math.inf if makers == 1 else 1.0 / (sharpness * (1.0 - 1.0 / makers))


def logistic_joint() -> float:
    """inf: the flow trades at any price."""
    return math.inf


def relative_nash(makers: int, fill_decay: float) -> float:
    """1/k for any M >= 2 if lambda = A exp(-k (delta_m - best rival)): rivals do not narrow it; inf for one maker."""
    _check(makers, fill_decay=fill_decay)
    return math.inf if makers == 1 else 1.0 / fill_decay


def relative_joint() -> float:
    """inf: a common shift of all quotes loses no flow."""
    return math.inf


def _check(makers: int, **positive: float) -> None:
    if makers != int(makers) or makers < 1:
        raise ValueError(f"makers must be a whole number of at least 1, found {makers}")
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive, found {value}")
