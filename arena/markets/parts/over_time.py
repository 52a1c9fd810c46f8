"""Coefficients of a scenario: a number, a table over time, or an expression of t.

An expression is arithmetic of `t` in clock units, such as "3 + 2*sin(2*pi*t)" (`arena.solvers.coefficients` lists what
it may hold; nothing else is evaluated). The market plays the mean over each step.
"""

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator

from arena.markets.parts.underlying import NonNegative, TimeTable
from arena.solvers.coefficients import Coefficient, coefficient, require

_points, _weights = np.polynomial.legendre.leggauss(5)
POINTS, WEIGHTS = (_points + 1.0) / 2.0, _weights / 2.0
"""Five Gauss points on [0, 1]: the mean over a step is exact for polynomials of degree 9."""


def _parsed(text: str) -> str:
    try:
        coefficient(text)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("coefficient: ")) from None
    return text


Expression = Annotated[str, AfterValidator(_parsed)]
OverTime = NonNegative | TimeTable | Expression
"""What a scenario may give for a coefficient that must not be negative."""


def as_coefficient(value: float | TimeTable | str) -> Coefficient:
    """The value as a function of time, for solvers."""
    return coefficient({"t": value.t, "value": value.value} if isinstance(value, TimeTable) else value)


def steady(value: float | TimeTable | str) -> float | None:
    """The value if it never changes."""
    return as_coefficient(value).constant


def means(value: float | TimeTable | str, horizon: float, steps: int) -> np.ndarray:
    """Mean over each of `steps` equal steps [T]; exact for tables, by five Gauss points for expressions."""
    edges = np.linspace(0.0, horizon, steps + 1)
    if isinstance(value, TimeTable):
        return np.broadcast_to(value.mean(edges[:-1], edges[1:]), steps)
    if isinstance(value, str):
        times = edges[:-1, None] + np.diff(edges)[:, None] * POINTS
        return as_coefficient(value)(times.ravel()).reshape(times.shape) @ WEIGHTS
    return np.full(steps, value)


def misfit(value: Any, horizon: float) -> str | None:
    """What is wrong with a coefficient on [0, horizon], or none: `found ...; allowed is ...`."""
    if isinstance(value, float):
        return None  # numbers are checked where they are read
    try:
        require(as_coefficient(value), horizon, "", least=0.0)
    except ValueError as error:
        return str(error).removeprefix(": ").replace("; it must be", "; allowed is")
    return None
