"""How many games it takes to tell two Sharpe ratios apart, and what a given number of games can tell.

Of n independent games of T seconds an annualised Sharpe ratio SR = A r, A = sqrt(252·6.5·3600/T), with the ratio r of
one game, has the standard error

    A sqrt((1 + r^2/2)/n)

for normal returns (Lo 2002, eq. 8). Two players who are judged on games of their own differ by more than the noise at
confidence c when |SR_a - SR_b| >= z sqrt(se_a^2 + se_b^2), z being the normal quantile of (1 + c)/2.
"""

import math
from statistics import NormalDist

from arena.markets.book.measures.trading import SECONDS

HORIZON = 300.0
"""Seconds of a game in the paper."""
PAPER_GAMES = 60
"""Test games that the paper is taken to have: it says "several episodes" and prints no number; it trains for sixty."""
CONFIDENCE = 0.95


def annual(horizon: float = HORIZON) -> float:
    """A, the square root of the number of games in a year; 140.2 for 300 s."""
    return math.sqrt(SECONDS / horizon)


def error(sharpe: float, games: float, horizon: float = HORIZON) -> float:
    """Standard error of an annualised Sharpe ratio over n games."""
    return annual(horizon) * math.sqrt((1.0 + 0.5 * (sharpe / annual(horizon)) ** 2) / games)


def half_width(sharpe: float, games: float, confidence: float = CONFIDENCE, horizon: float = HORIZON) -> float:
    """Half of a Sharpe ratio's confidence interval over n games."""
    return quantile(confidence) * error(sharpe, games, horizon)


def quantile(confidence: float) -> float:
    """Normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + 0.5 * confidence)


def games_to_tell(
    a: float, b: float, confidence: float = CONFIDENCE, power: float = 0.5, horizon: float = HORIZON
) -> int:
    """Games of each of two players after which a difference of a - b is seen with this chance (`power`).

    n = (z_c + z_p)^2 A^2 (2 + (r_a^2 + r_b^2)/2)/(a - b)^2. With a power of one half the expected difference just
    reaches the edge of the interval. Raises ValueError where a and b are equal.
    """
    if a == b:
        raise ValueError(f"Sharpe ratios: found {a:g} twice; allowed are two that differ")
    both = error(a, 1, horizon) ** 2 + error(b, 1, horizon) ** 2
    return math.ceil((quantile(confidence) + NormalDist().inv_cdf(power)) ** 2 * both / (a - b) ** 2)


def told_apart(a: float, b: float, games: float, confidence: float = CONFIDENCE, horizon: float = HORIZON) -> bool:
    """Whether n games of each player tell two Sharpe ratios apart."""
    joint = math.hypot(error(a, games, horizon), error(b, games, horizon))
    return abs(a - b) >= quantile(confidence) * joint


def has_sign(a: float, games: float, confidence: float = CONFIDENCE, horizon: float = HORIZON) -> bool:
    """Whether n games tell a Sharpe ratio from zero."""
    return abs(a) >= half_width(a, games, confidence, horizon)


def at_fee(one: float, two: float, points: float) -> float:
    """The Sharpe ratio of a fixed policy at a fee of so many basis points, from those at 1 and 2 bp.

    A fee on what is held at the end takes its part of the mean and, to first order, nothing of the deviation.
    """
    return one + (points - 1.0) * (two - one)
