"""The flow of a book from its events: a Hawkes process by maximum likelihood, told as tables, drawings and a scenario.

    lambda_i = f_i(s) (base_i + sum_j int G_ij h(t - u) dN_j(u)),  f_i = (s/mean)^power for in-spread orders, else 1

h is one exponential, a sum of exponentials or a power law, common to all pairs; `solvers.hawkes.fit` says how it is
found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.markets.book.calibration import lobster as pair
from arena.markets.book.calibration import orders, own_log
from arena.markets.book.calibration.log import IN_SPREAD, Log, LogError, read_table
from arena.markets.book.events import NAMES, TYPES
from arena.solvers.hawkes import mixture
from arena.solvers.hawkes.families import Exponentials, Family, Mixed, PowerLaws
from arena.solvers.hawkes.fit import Estimates, Fit, fit
from arena.solvers.hawkes.moments import ancestry
from arena.solvers.hawkes.residuals import quantiles
from arena.theory import Listing, Panel

KERNELS: dict[str, Callable[[int], Family]] = {
    "exponential": lambda count: Exponentials(),
    "exponentials": Mixed,
    "power_law": lambda count: PowerLaws(),
}
STRONGEST = 24
"""Pairs that the table of excitations shows."""
MIRROR = np.arange(TYPES)[::-1].copy()
DIGITS = 6
MOST_POWER = 4.0
"""The largest power of the spread that a scenario knows."""


@dataclass(frozen=True)
class Calibrated:
    """A fit, with what the market's own words need."""

    log: Log
    kernel: str
    mirror: bool
    fit: Fit

    def headline(self) -> str:
        """What was fitted to what, and whether it is stable."""
        one, seconds = self.fit, self.log.times[-1] - self.log.times[0]
        shapes = ", ".join(f"{name} {value.value:.4g} +- {value.error:.2g}" for name, value in one.shape.items())
        caught = f"{one.events} events in {seconds:.0f} s, log-likelihood {one.log_likelihood:.1f}, AIC {one.aic:.1f}"
        stable = f"spectral radius {one.process.radius:.3f}"
        if not one.signed and one.process.radius < 1.0:
            stable += f", {100 * ancestry(one.process):.0f} % of the events caused by others"
        end = "" if one.converged else "; the search did not end at a maximum: take it as a first look"
        return f"{self.log.source}: Hawkes flow, kernel {self.kernel} ({shapes}); {caught}; {stable}{end}"

    def tables(self) -> list[Listing]:
        """Types with rates, bases and tests of fit; shapes; the strongest excitations."""
        seconds = self.log.times[-1] - self.log.times[0]
        counts = np.bincount(self.log.types, minlength=TYPES)
        base, rows = self.fit.base, []
        for i, name in enumerate(NAMES):
            test = self.fit.residuals[i]
            rows.append((name, f"{counts[i]}", f"{counts[i] / seconds:.4f}", *_four(base, i),
                         f"{test.distance:.3f}", _chance(test.p), _chance(test.p_neighbours)))  # fmt: skip
        types = Listing(
            "Types: rates and base rates per second; time rescaling (p: exponential, independent)",
            ("type", "events", "rate", "base", "s.e.", "95 % low", "high", "KS", "p", "p next"), rows,
        )  # fmt: skip
        shape = Listing("Kernel", ("parameter", "value", "s.e.", "95 % low", "high"),
                      [(name, *(f"{x:.4g}" for x in one)) for name, one in self.fit.shape.items()])  # fmt: skip
        matrix = Estimates(*(one[0] for one in self.fit.branching))
        order = np.argsort(-np.abs(matrix.value), axis=None)[:STRONGEST]
        pairs = [divmod(int(one), TYPES) for one in order]
        strongest = Listing(
            "Strongest excitations: events of the first type that one of the second causes",
            ("caused by", "value", "s.e.", "95 % low", "high"),
            [(f"{NAMES[i]} <- {NAMES[j]}", *_four(matrix, (i, j))) for i, j in pairs if matrix.value[i, j] != 0.0],
        )
        notes = Listing("Notes on the file", ("what",), [(note,) for note in self.log.notes])
        return [types, shape, strongest, *([notes] if self.log.notes else [])]

    def panels(self) -> list[Panel]:
        """Rescaled gaps against exponential ones, and what is left of a kernel over time."""
        lines, expected = {}, np.zeros(1)
        for i, name in enumerate(NAMES):
            gaps = self.fit.passed[i][:-1]
            if gaps.size >= 100:
                expected, lines[name] = quantiles(gaps)
        fits = {name: found.tolist() for name, found in lines.items()}
        if fits:
            fits["model"] = expected.tolist()
        process = self.fit.process
        times = np.geomspace(0.01 / process.rates.max(), 5.0 / process.rates.min(), 80)
        shares = self.shares()
        left = np.exp(-np.outer(times, process.rates)) @ shares
        return [
            Panel("Gaps on the process's own clock: on the diagonal where it fits", "expected quantile", "observed",
                  expected.tolist(), fits),
            Panel("What is left of an excitation", "log10 of the time (s)", "share", np.log10(times).tolist(),
                  {"kernel": left.tolist()}),
        ]  # fmt: skip

    def shares(self) -> Array:
        """The share of each exponential in the kernel, [R]."""
        totals = np.abs(self.fit.process.branching).sum(axis=(1, 2))
        return np.asarray(totals / max(totals.sum(), 1e-300))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: estimates with errors and intervals, tests, and what the file was like."""
        one, seconds = self.fit, float(self.log.times[-1] - self.log.times[0])
        counts = np.bincount(self.log.types, minlength=TYPES)
        fields = ("value", "error", "low", "high")
        return {
            "schema_version": 1, "source": self.log.source, "types": list(NAMES), "kernel": self.kernel,
            "signed": one.signed, "mirror": self.mirror, "seconds": seconds, "events": counts.tolist(),
            "rates": (counts / seconds).tolist(), "mean_spread": self.log.mean_spread(), "tick": self.log.tick,
            "base": {field: _plain(getattr(one.base, field)) for field in fields},
            "matrix": {field: _plain(getattr(one.branching, field)[0]) for field in fields},
            "shape": {
                name: {field: _number(getattr(value, field)) for field in fields} for name, value in one.shape.items()
            },
            "log_likelihood": one.log_likelihood, "aic": one.aic, "parameters": one.parameters,
            "spectral_radius": one.process.radius, "converged": one.converged,
            "rescaling": [
                {"gaps": test.gaps, "mean": _number(test.mean), "distance": _number(test.distance), "p":
                _number(test.p),
                 "p_neighbours": _number(test.p_neighbours)} for test in one.residuals
            ],
            "notes": list(self.log.notes),
        }  # fmt: skip

    def scenario(self, name: str) -> dict[str, Any]:
        """A scenario of the `book` market with this flow, one maker learning in it.

        Raises LogError for a process that explodes, which no market can play.
        """
        if why := self.fit.process.unstable():
            helps = "a longer file, --mirror or another kernel may help"
            raise LogError(f"{self.log.source}: no scenario: {why} ({helps})")
        flow: dict[str, Any] = {
            "base": _rounded(self.fit.base.value), "matrix": _rounded(self.fit.branching.value[0]),
            "kernel": self.played(),
        }  # fmt: skip
        power = self.fit.shape.get("spread_power")
        if power is not None:
            flow["in_spread"] = {"power": round(min(max(power.value, 0.0), MOST_POWER), DIGITS),
                                 "mean": round(self.log.mean_spread(), DIGITS)}  # fmt: skip
        else:
            flow["in_spread"] = {"power": 0.0, "mean": 1.0}
        depth: dict[str, Any] = {}
        if self.log.tick and self.log.price:
            middle, gap = round(self.log.price / self.log.tick), max(round(self.log.mean_spread()), 1)
            bid = max(middle - gap // 2, 100)
            depth = {"tick": self.log.tick, "bid": bid, "ask": bid + gap}
        market = {"model": "book", "flow": flow, **({"depth": depth} if depth else {})}
        about = f"Flow calibrated from {self.fit.events} events, kernel {self.kernel}."
        return {"schema_version": 1, "name": name, "description": about, "market": market,
                "players": {"mm_0": {"kind": "learned"}}}  # fmt: skip

    def played(self) -> dict[str, Any]:
        """The kernel in a scenario's words."""
        told = {name: one.value for name, one in self.fit.shape.items()}
        if self.kernel == "exponential":
            return {"kind": "exponential", "rate": round(told["rate"], DIGITS)}
        if self.kernel == "exponentials":
            rates = [told[name] for name in told if name.startswith("rate_")]
            weights = [round(told[name], DIGITS) for name in told if name.startswith("weight_")]
            return {"kind": "exponentials", "rates": [round(rate, DIGITS) for rate in rates],
                    "weights": [round(1.0 - sum(weights), DIGITS), *weights]}  # fmt: skip
        exponent, scale = round(told["exponent"], DIGITS), round(told["scale"], DIGITS)
        return {"kind": "power_law", "exponent": exponent, "scale": scale, "rates": _enough(exponent, scale)}


def calibrate(
    log: Log, kernel: str = "exponential", count: int = 2, signed: bool = False, mirror: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Calibrated:  # fmt: skip
    """Fit a kernel of KERNELS to a log that was checked; `mirror`: asks and bids share their numbers.

    Raises LogError where the file has too little to fit.
    """
    events = log.events()
    power = 0.5 if log.spread is not None and np.isin(log.types, IN_SPREAD).sum() >= 50 \
        and np.unique(log.spread[np.isin(log.types, IN_SPREAD)]).size > 1 else None  # fmt: skip
    try:
        found = fit(events, KERNELS[kernel](count), signed, MIRROR if mirror else None, power, say)
    except ValueError as error:
        raise LogError(f"{log.source}: {error}") from None
    return Calibrated(log, kernel, mirror, found)


def open_log(
    events: str | None, lobster: tuple[str, str] | None = None, columns: str = "", tick: float | None = None
) -> Log:
    """The log of a file; one with a column of events is our own, any other is read order by order.

    Raises LogError, a sentence, for what cannot be read.
    """
    if lobster is not None:
        return pair.read(*lobster, tick=tick or 0.01)
    path = str(events)
    own = "event=" in columns or "event" in read_table(path, nrows=0).columns
    return own_log.read(path, columns) if own else orders.read(path, columns, tick)


def _enough(exponent: float, scale: float) -> int:
    """How many exponentials the market's mixture needs."""
    for count in range(6, 33):
        if mixture.error(exponent, scale, tuple(mixture.grid(scale, count).tolist())) <= mixture.TOLERANCE:
            return count
    raise LogError(f"no scenario: the market has no mixture for a power law of exponent {exponent:g}, scale {scale:g}; "
                   "allowed is --kernel exponentials")  # fmt: skip


def _four(one: Estimates, at: Any) -> tuple[str, ...]:
    return tuple(f"{values[at]:.4f}" for values in one)


def _chance(p: float) -> str:
    return "-" if np.isnan(p) else f"{p:.3f}" if p >= 0.001 else "< .001"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _plain(values: Array) -> Any:
    return [_plain(one) if np.ndim(one) else _number(one) for one in values]


def _rounded(values: Array) -> Any:
    return [_rounded(one) if np.ndim(one) else round(float(one), DIGITS) for one in values]
