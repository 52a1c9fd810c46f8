"""A stretch of observed events, ready for the likelihood: times, types, what counts, a factor on intensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arena.layout import Array

NOTHING = -1
"""The type of an instant at which nothing happens but a factor may change."""


@dataclass(frozen=True)
class Events:
    """Events of M types on [start, end], and what came before the start, which excites but is not explained.

    times [N] rise (equal times keep their order), types [N] in 0..M-1 or NOTHING, counted [N] says which events the
    intensities explain; the others only excite (an agent's orders, the past). Of `modulated` types the intensity
    between event n - 1 and event n is multiplied by factor[n], [N + 1]; `log_slope` [N + 1] is the derivative of its
    logarithm by a parameter of the factor. Times are in one unit throughout, the unit of 1/rate. Use `observed` to make
    one.
    """

    times: Array
    types: NDArray[np.int64]
    counted: NDArray[np.bool_]
    window: Array  # [N + 1]: 1 inside [start, end], 0 before
    factor: Array
    log_slope: Array
    modulated: NDArray[np.bool_]
    start: float
    end: float

    @property
    def kinds(self) -> int:
        """Number of event types, M."""
        return self.modulated.size

    @property
    def length(self) -> float:
        """Time from start to end."""
        return self.end - self.start

    def counts(self) -> NDArray[np.int64]:
        """Counted events by type, [M]."""
        return np.bincount(self.types[self.counted], minlength=self.kinds)

    def factors_of(self, kind: int) -> tuple[Array, Array]:
        """The factor between events, [N + 1], of one type's intensity, and its derivative by the factor's parameter."""
        if not self.modulated[kind]:
            return self.window, np.zeros_like(self.window)
        factor = self.window * self.factor
        return factor, factor * self.log_slope


def observed(
    times: ArrayLike,
    types: ArrayLike,
    kinds: int,
    end: float,
    start: float | None = None,
    own: ArrayLike | None = None,
    factor: ArrayLike | None = None,
    log_slope: ArrayLike | None = None,
    modulated: Sequence[int] = (),
) -> Events:
    """Events of `kinds` types up to `end`; those before `start` (default: 0) and those where `own` is false only
    excite.

    `factor` [N] multiplies the intensity of the modulated types just before each event, and so since the event before;
    after the last event it stays. Raises ValueError, a sentence, for unsorted times, unknown types and shapes that
    differ.
    """
    t, kind = np.asarray(times, dtype=float), np.asarray(types, dtype=np.int64)
    counted = np.ones(t.size, dtype=bool) if own is None else np.asarray(own, dtype=bool)
    scale = np.ones(t.size) if factor is None else np.asarray(factor, dtype=float)
    logs = np.zeros(t.size) if log_slope is None else np.asarray(log_slope, dtype=float)
    if t.ndim != 1 or not t.shape == kind.shape == counted.shape == scale.shape == logs.shape:
        found = f"{t.shape} times, {kind.shape} types, {counted.shape} flags and {scale.shape} factors"
        raise ValueError(f"events: found {found}; allowed is one of each an event")
    begin = 0.0 if start is None else float(start)
    if not (np.isfinite(t).all() and np.isfinite(end) and begin < end):
        raise ValueError(f"events: found a window from {begin:g} to {end:g}; allowed are finite times, first to last")
    if (np.diff(t) < 0.0).any():
        n = int(np.argmax(np.diff(t) < 0.0)) + 1
        raise ValueError(f"events: found time {t[n]:g} after {t[n - 1]:g} (event {n}); allowed are times that rise")
    if t.size and (kind.min() < NOTHING or kind.max() >= kinds):
        raise ValueError(f"events: found types {kind.min()} to {kind.max()}; allowed are 0 to {kinds - 1}")
    if t.size and t[-1] > end:
        raise ValueError(f"events: found an event at {t[-1]:g}; allowed are times up to the end, {end:g}")
    if not (np.isfinite(scale).all() and (scale >= 0.0).all()):
        raise ValueError("events: found a factor that is negative or no number; allowed are numbers from 0 on")
    after_scale, after_logs = (scale[-1], logs[-1]) if t.size else (1.0, 0.0)
    scale, logs = np.append(scale, after_scale), np.append(logs, after_logs)
    at = int(np.searchsorted(t, begin, side="left"))
    counted = counted & (t >= begin)
    if at:  # the window opens between two events: an instant where nothing happens
        t, kind, counted = np.insert(t, at, begin), np.insert(kind, at, NOTHING), np.insert(counted, at, False)
        scale, logs = np.insert(scale, at, scale[at]), np.insert(logs, at, logs[at])
    window = np.ones(t.size + 1)
    window[: at + 1 if at else 0] = 0.0
    mask = np.zeros(kinds, dtype=bool)
    mask[list(modulated)] = True
    return Events(t, kind, counted, window, scale, logs, mask, begin, float(end))
