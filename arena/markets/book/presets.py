"""Named flows: base rates, excitation and kernels of shipped parameter sets, per second.

`same` and `cross` are blocks of one side, rows what is excited, columns what excites, kinds in the order LO_D, CO_D,
LO_T, CO_T, MO, IS: G = [[same, cross mirrored], [cross mirrored, same mirrored]] over the twelve events.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

_RATES = (1.3396, 2.2476, 6.606, 6.623, 0.5438, 2.0078)
"""Stationary rates of the default process, one side: what the Poisson presets arrive at."""


def _same(toxicity: float) -> tuple[tuple[float, ...], ...]:
    return (
        (0.23, 0.0, 0.0, 0.0, 0.0, 0.21),
        (0.19, 0.16, 0.17, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.58, 0.0, 0.0, 0.31),
        (0.0, 0.0, 0.27, 0.34, toxicity, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.27, 0.0),
        (0.09, 0.0, 0.0, 0.09, 0.0, 0.19),
    )


def _cross(refill: float, inside: float) -> tuple[tuple[float, ...], ...]:
    return (
        (0.0, 0.08, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.06),
        (0.0, 0.17, 0.0, 0.0, refill, 0.0),
        (0.06, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.05, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.12, 0.0, 0.0, inside, 0.0),
    )


def _only_market(value: float) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(value if i == j == 4 else 0.0 for j in range(6)) for i in range(6))


_BASE = (0.43, 0.39, 1.61, 2.24, 0.33, 0.56)
_TOXIC: dict[str, Any] = {"base": _BASE, "same": _same(0.50), "cross": _cross(0.30, 0.15)}
"""A market order is followed by cancels in its own queue, and by refills and in-spread orders on the other side."""
PRESETS: dict[str, dict[str, Any]] = {
    "hawkes_exp": {**_TOXIC, "kernel": {"kind": "exponential", "rate": 5.0}},
    "hawkes_pl": {**_TOXIC, "kernel": {"kind": "power_law", "exponent": 1.7, "scale": 20.0}},
    "hawkes_exp_fast": {**_TOXIC, "kernel": {"kind": "exponential", "rate": 2000.0}},
    "hawkes_exp_benign": {
        "base": (0.43, 0.39, 1.77, 2.48, 0.33, 0.64), "same": _same(0.05), "cross": _cross(0.0, 0.0),
        "kernel": {"kind": "exponential", "rate": 5.0},
    },
    "mo_only": {
        "base": (*_RATES[:4], 0.1631, _RATES[5]), "same": _only_market(0.60), "cross": _only_market(0.10),
        "kernel": {"kind": "exponential", "rate": 5.0},
    },
    "poisson": {"base": _RATES},
    "poisson_src": {"base": (1.33, 2.24, 7.90, 6.62, 0.54, 0.13)},
    "aapl_src": {"in_spread": {"power": 0.7479, "mean": 1.69}},
}  # fmt: skip


@cache
def aapl() -> dict[str, Any]:
    """The public calibration: `base` [12], and `pairs`, (source, target, norm, exponent, scale) of each kernel.

    A kernel alpha (1 + gamma t)^-beta is alpha/((beta - 1) gamma) times the Lomax density of exponent beta and scale
    gamma.
    """
    told = json.loads((Path(__file__).parent / "aapl.json").read_text(encoding="utf-8"))
    pairs = [(j, i, sign * a / ((b - 1.0) * g), b, g) for j, i, sign, a, b, g in told["rows"]]
    return {"base": tuple(told["base"]), "pairs": tuple(pairs)}
