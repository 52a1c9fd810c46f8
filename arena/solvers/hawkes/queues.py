"""A queue that grows by one at rate `adds` and shrinks by one at rate `removals`: how long until it is empty.

The first passage of a birth-death walk (Feller, An Introduction to Probability Theory I, XIV): with removals m above
adds l the time to empty q orders has mean q/(m - l) and variance q (m + l)/(m - l)^3; with m < l it may never end.
Exact for Poisson flow; for excited flow the rates are stationary averages and the numbers are an orientation.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ive

from arena.layout import Array


class FirstPassage(NamedTuple):
    """How long a queue lasts: the probability that it ends; mean and variance of the time, inf if it may not."""

    certain: float
    mean: float
    variance: float


def first_passage(queue: int, adds: float, removals: float) -> FirstPassage:
    """The time until a queue of that many orders is empty, in units of 1/rate.

    Raises ValueError for a queue below 1 and rates that are negative.
    """
    _check(queue, adds, removals)
    if removals > adds:
        drift = removals - adds
        return FirstPassage(1.0, queue / drift, queue * (removals + adds) / drift**3)
    certain = 1.0 if 0.0 < removals == adds else (removals / adds) ** queue if adds else 0.0
    return FirstPassage(certain, math.inf, math.inf)


def survival(queue: int, adds: float, removals: float, times: Array) -> Array:
    """Probability that the queue has not been empty until each time, the same shape.

    The density is (q/t) (m/l)^{q/2} I_q(2 t sqrt(l m)) e^{-(l + m) t}; it is integrated on a fine grid of the time.
    Raises ValueError as `first_passage` does.
    """
    _check(queue, adds, removals)
    times = np.asarray(times, dtype=float)
    last = float(times.max(initial=0.0))
    if last <= 0.0 or removals == 0.0:
        return np.ones_like(times)
    grid = np.linspace(0.0, last, 20_001)
    t = grid[1:]
    if adds == 0.0:  # a sum of exponential times
        log = queue * math.log(removals) + (queue - 1) * np.log(t) - removals * t - math.lgamma(queue)
        density = np.exp(log)
    else:
        x = 2.0 * t * math.sqrt(adds * removals)
        density = queue / t * (removals / adds) ** (queue / 2) * ive(queue, x) * np.exp(x - (adds + removals) * t)
    start = removals if queue == 1 else 0.0
    steps = 0.5 * np.diff(grid) * (density + np.concatenate([[start], density[:-1]]))
    gone = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(1.0 - np.interp(times, grid, gone))


def _check(queue: int, adds: float, removals: float) -> None:
    if queue < 1:
        raise ValueError(f"queue: found {queue} orders; allowed are 1 and more")
    if not (0.0 <= adds < math.inf and 0.0 <= removals < math.inf):
        raise ValueError(f"queue: found rates {adds:g} and {removals:g}; allowed are numbers from 0 on")
