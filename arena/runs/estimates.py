"""Numbers over independent games with their intervals: means, ratios, Sharpe ratios, paired differences, quantiles."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean over games with its standard error and confidence interval."""

    mean: float
    se: float
    low: float
    high: float
    games: int


def estimate(values: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Mean of independent games [B] with its Student t interval."""
    x = np.asarray(values, dtype=float)
    mean, se = float(x.mean()), float(x.std(ddof=1) / np.sqrt(x.size)) if x.size > 1 else np.nan
    half = stats.t.ppf(0.5 + 0.5 * confidence, x.size - 1) * se if x.size > 1 else np.nan
    return Estimate(mean, se, mean - half, mean + half, x.size)


def ratio(numerator: np.ndarray, denominator: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Sum over games of `numerator` [B] per sum of `denominator` [B], with the interval of the ratio estimator.

    Linearisation: se = sqrt(B/(B - 1) sum_b (a_b - r d_b)^2) / sum_b d_b (Cochran 1977, section 6.4); games are the
    independent units, so fills within one game may depend on each other.  NaN where nothing was traded.
    """
    a, d = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    if d.sum() == 0.0 or a.size < 2:
        return Estimate(np.nan, np.nan, np.nan, np.nan, a.size)
    r = float(a.sum() / d.sum())
    se = float(np.sqrt(a.size / (a.size - 1) * np.square(a - r * d).sum()) / abs(d.sum()))
    half = stats.t.ppf(0.5 + 0.5 * confidence, a.size - 1) * se
    return Estimate(r, se, r - half, r + half, a.size)


def sharpe(pnl: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Sharpe ratio per episode: mean/sd of P&L [B] (ddof 1, risk-free 0), not annualised.

    Interval: var(SR) = (1 - g SR + (k - 1) SR^2/4) / B with skewness g and kurtosis k, valid for P&L that is not
    normal (Mertens 2002; Opdyke 2007, eq. 6).
    """
    x = np.asarray(pnl, dtype=float)
    sd = x.std(ddof=1) if x.size > 1 else 0.0
    if sd <= 1e-12 * max(1.0, np.abs(x).max()):
        return Estimate(np.nan, np.nan, np.nan, np.nan, x.size)
    value = float(x.mean() / sd)
    skew, kurtosis = stats.skew(x), stats.kurtosis(x, fisher=False)
    se = float(np.sqrt(max(1.0 - skew * value + 0.25 * (kurtosis - 1.0) * value**2, 0.0) / x.size))
    half = stats.norm.ppf(0.5 + 0.5 * confidence) * se
    return Estimate(value, se, value - half, value + half, x.size)


def paired(a: np.ndarray, b: np.ndarray, confidence: float = 0.99) -> tuple[Estimate, float]:
    """Mean of a - b over games [B] on the same seeds with its t interval, and the two-sided p-value of its being 0."""
    difference = estimate(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), confidence)
    if difference.se > 0.0:
        return difference, float(2.0 * stats.t.sf(abs(difference.mean) / difference.se, difference.games - 1))
    return difference, np.nan if np.isnan(difference.se) else float(difference.mean == 0.0)


def quantiles(paths: np.ndarray, levels: Sequence[float] = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)) -> np.ndarray:
    """Quantiles over games of paths [T + 1, B] at every instant, [levels, T + 1]."""
    return np.quantile(paths, levels, axis=1)
