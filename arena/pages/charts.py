"""Figures of the report: plain functions from numbers to an SVG string.

Every figure is drawn for a column about 420 units wide, so that its text stays legible on a phone.  Series differ by
dash and marker as well as by colour (Okabe & Ito 2008, safe for colour-blind readers), so that a figure survives a
black-and-white printer.  The same numbers give the same bytes: nothing depends on a clock, a random id or a font file.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

INK, MUTED, GRID = "#1b2733", "#566573", "#e3e8ee"
COLOURS = ("#0072b2", "#d55e00", "#00795c", "#8e4585", "#8a6d00", "#3a3a3a")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
WIDTH, HEIGHT = 420.0, 264.0
FONT = 12.0
_ADVANCE = 0.6  # mean width of a character in units of the font size, for layout only


class Series(NamedTuple):
    """One curve: `y` [n] with an optional interval `low`, `high` [n]; `style` picks colour, dash and marker."""

    name: str
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    style: int | None = None
    x: ArrayLike | None = None


class _Frame:
    """The plotting rectangle of one figure: data to page coordinates, axes, and the parts drawn so far."""

    def __init__(self, box: tuple[float, float, float, float], x: tuple[float, float], y: tuple[float, float]):
        self.left, self.top, self.right, self.bottom = box
        self.x_range, self.y_range = x, y
        self.log = False
        self.parts: list[str] = []

    def at_x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def at_y(self, value: float) -> float:
        low, high = self.y_range
        if self.log:
            value = math.log10(max(value, 10.0**low))
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1.0) -> None:
        self.parts.append(
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "start",
        colour: str = MUTED,
        size: float = FONT,
        extra: str = "",
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size:g}"{extra}>'
            f"{escape(words)}</text>"
        )


def number(value: float, digits: int = 3) -> str:
    """A number for people: `digits` significant digits, a true minus sign, thousands apart, rarely an exponent."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -5 or size > 8:
        text = f"{value:.{max(digits - 1, 0)}e}"
    else:
        text = f"{value:,.{max(digits - 1 - size, 0)}f}"
    return text.replace("-", "−")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that lie in [low, high]."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def lines(
    x: ArrayLike,
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
    zero: bool = False,
    whiskers: bool = False,
    log: bool = False,
    fan: Sequence[tuple[ArrayLike, ArrayLike]] = (),
) -> str:
    """Curves over a common x [n], each with its interval as a band (or as bars with `whiskers`).

    `marks` are labelled horizontal lines, `zero` keeps y = 0 in view, `fan` are quantile bands drawn beneath,
    widest first.  Values that are not finite are left out; on a `log` axis so are values <= 0, and bars that reach
    below the axis end at its floor.
    """
    grid = np.asarray(x, dtype=float)
    shown = [(np.asarray(one.x, dtype=float) if one.x is not None else grid, one) for one in series]
    heights = [
        np.asarray(v, dtype=float).ravel() for one in series for v in (one.y, one.low, one.high) if v is not None
    ]
    heights += [np.asarray(v, dtype=float).ravel() for band in fan for v in band]
    heights += [np.array([m for m, _ in marks] + [0.0] * zero)]
    values = np.concatenate(heights)
    if log:
        values = np.log10(values[np.isfinite(values) & (values > 0.0)])
    y_range, x_range = _span(values, 0.06), _span(np.concatenate([g for g, _ in shown] or [grid]), 0.0)
    if y_range is None or x_range is None:
        return _empty(title)
    legend, legend_height = _legend([one for _, one in shown]) if len(shown) > 1 else ("", 0.0)
    top = 44.0 + legend_height
    labels = _decades(y_range) if log else _tick_labels(y_range)
    left = max(max(len(text) for _, text in labels) * FONT * _ADVANCE + 10.0, 30.0)
    frame = _Frame((left, top, WIDTH - 14.0, HEIGHT + legend_height - 38.0), x_range, y_range)
    frame.log = log
    _axes(frame, labels, x_label, y_label)
    for value, words in marks:
        height = frame.at_y(value)
        frame.parts.append(
            f'<path d="M{frame.left:.1f} {height:.1f}H{frame.right:.1f}" stroke="{INK}" stroke-dasharray="3 3"/>'
        )
        frame.text(frame.right, height - 4.0, words, "end", INK, 11.0, _HALO)
    for i, (low, high) in enumerate(fan):
        frame.parts.append(_band(frame, grid, low, high, COLOURS[0], 0.16 + 0.14 * i))
    for i, (own, one) in enumerate(shown):
        style = one.style if one.style is not None else i
        frame.parts.append(_curve(frame, own, one, style, whiskers, len(shown) > 1 or whiskers))
    return drawing(title, HEIGHT + legend_height, legend, frame.parts)


def waterfall(steps: Sequence[tuple[str, float]], total: tuple[str, float], *, title: str, unit: str) -> str:
    """How `steps` add up to `total`: one row each, a bar from the running sum to the next, the number beside it."""
    sums = np.concatenate([[0.0], np.cumsum([value for _, value in steps])])
    span = _span(np.append(sums, total[1]), 0.02)
    if span is None:
        return _empty(title)
    row, names = 25.0, [*(name for name, _ in steps), total[0]]
    left = max(len(name) for name in names) * FONT * _ADVANCE + 14.0
    height = 40.0 + row * len(names) + 14.0
    frame = _Frame((left, 36.0, WIDTH - 66.0, 36.0 + row * len(names)), span, (0.0, 1.0))
    frame.line(frame.at_x(0.0), frame.top - 2.0, frame.at_x(0.0), frame.bottom + 2.0, MUTED)
    for i, (name, value) in enumerate([*steps, total]):
        last = i == len(steps)
        start, end = (0.0, value) if last else (sums[i], sums[i + 1])
        y, x = frame.top + row * i + 4.0, min(frame.at_x(start), frame.at_x(end))
        width = max(abs(frame.at_x(end) - frame.at_x(start)), 1.0)
        colour = INK if last else COLOURS[0] if value >= 0.0 else COLOURS[1]
        if last:
            frame.line(6.0, y - 4.0, WIDTH - 4.0, y - 4.0, MUTED)
        hollow = f'fill="{colour}"' if value >= 0.0 else f'fill="#fff" stroke="{colour}" stroke-width="2"'
        frame.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{row - 9.0:.1f}" {hollow}/>')
        weight = ' font-weight="600"' if last else ""
        frame.text(left - 8.0, y + 12.5, name, "end", INK, FONT, weight)
        signed = number(value) if value < 0.0 or value == 0.0 else "+" + number(value)
        frame.text(WIDTH - 4.0, y + 12.5, signed, "end", INK, FONT, weight)
    return drawing(f"{title} ({unit})", height, "", frame.parts)


def intervals(rows: Sequence[tuple[str, float, float, float]], *, title: str, x_label: str, zero: bool = False) -> str:
    """One row per item: a dot at its value and a bar over its interval (name, value, low, high)."""
    values = np.array([value for _, *three in rows for value in three] + [0.0] * zero, dtype=float)
    span = _span(values, 0.03)
    if span is None:
        return _empty(title)
    names = max(len(name) for name, *_ in rows) * FONT * _ADVANCE + 16.0
    above = names > 0.45 * WIDTH  # long names stand over their bars instead of beside them
    row, left = (40.0, 20.0) if above else (24.0, names)
    bottom = 40.0 + row * len(rows)
    frame = _Frame((left, 36.0, WIDTH - 16.0, bottom), span, (0.0, 1.0))
    for value, words in _tick_labels(span, 4):
        frame.line(frame.at_x(value), frame.top, frame.at_x(value), bottom, MUTED if zero and value == 0.0 else GRID)
        frame.text(frame.at_x(value), bottom + 15.0, words, "middle")
    for i, (name, value, low, high) in enumerate(rows):
        y = frame.top + row * (i + (0.72 if above else 0.5))
        if above:
            frame.text(2.0, y - 11.0, name, "start", INK, FONT, _HALO)
        else:
            frame.text(left - 10.0, y + 4.0, name, "end", INK)
        if math.isfinite(low) and math.isfinite(high):
            frame.line(frame.at_x(low), y, frame.at_x(high), y, COLOURS[0], 2.0)
            for edge in (low, high):
                frame.line(frame.at_x(edge), y - 4.0, frame.at_x(edge), y + 4.0, COLOURS[0], 2.0)
        if math.isfinite(value):
            frame.parts.append(f'<circle cx="{frame.at_x(value):.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[0]}"/>')
    frame.text((left + WIDTH - 16.0) / 2.0, bottom + 32.0, x_label, "middle")
    return drawing(title, bottom + 40.0, "", frame.parts)


def shade(value: float, largest: float) -> str:
    """Background of a signed table cell: blue above zero, orange below, white at zero; dark text stays legible."""
    if not math.isfinite(value) or largest <= 0.0:
        return "#ffffff"
    weight = min(abs(value) / largest, 1.0) * 0.62
    target = (90, 170, 225) if value > 0.0 else (240, 160, 80)
    return "#" + "".join(f"{round(255 + (c - 255) * weight):02x}" for c in target)


_HALO = ' paint-order="stroke" stroke="#fff" stroke-width="4"'


def _span(values: np.ndarray, margin: float) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        pad = 0.5 * abs(low) or 1.0
        return low - pad, high + pad
    return low - margin * (high - low), high + margin * (high - low)


def _tick_labels(span: tuple[float, float], count: int = 5) -> list[tuple[float, str]]:
    at = ticks(*span, count)
    step = at[1] - at[0] if len(at) > 1 else abs(at[0]) or 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals == 0 or abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += step < 5.0 and abs(step - round(step)) > 1e-9
    if decimals > 6:
        return [(value, number(value, 2)) for value in at]
    return [(value, f"{value + 0.0:,.{decimals}f}".replace("-", "−")) for value in at]


def _decades(span: tuple[float, float]) -> list[tuple[float, str]]:
    powers = range(math.floor(span[0]), math.ceil(span[1]) + 1)
    multiples = (1.0, 2.0, 5.0) if span[1] - span[0] < 2.5 else (1.0,)
    at = [m * 10.0**p for p in powers for m in multiples]
    return [(v, number(v, 1)) for v in at if span[0] <= math.log10(v) <= span[1]]


def _axes(frame: _Frame, labels: list[tuple[float, str]], x_label: str, y_label: str) -> None:
    for value, words in labels:
        frame.line(frame.left, frame.at_y(value), frame.right, frame.at_y(value), "#9aa6b2" if value == 0.0 else GRID)
        frame.text(frame.left - 6.0, frame.at_y(value) + 4.0, words, "end")
    for value, words in _tick_labels(frame.x_range):
        frame.line(frame.at_x(value), frame.bottom, frame.at_x(value), frame.bottom + 4.0, MUTED)
        frame.text(frame.at_x(value), frame.bottom + 17.0, words, "middle")
    frame.line(frame.left, frame.bottom, frame.right, frame.bottom, MUTED)
    frame.text((frame.left + frame.right) / 2.0, frame.bottom + 33.0, x_label, "middle")
    frame.text(2.0, frame.top - 10.0, y_label)


def _legend(series: Sequence[Series]) -> tuple[str, float]:
    parts, x, y = [], 2.0, 37.0
    for i, one in enumerate(series):
        style = one.style if one.style is not None else i
        width = 46.0 + len(one.name) * FONT * _ADVANCE
        if x > 2.0 and x + width > WIDTH:
            x, y = 2.0, y + 17.0
        colour, dash = COLOURS[style % len(COLOURS)], DASHES[style % len(DASHES)]
        parts.append(
            f'<path d="M{x:.1f} {y - 4:.1f}h26" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        parts.append(_marker(x + 13.0, y - 4.0, style))
        parts.append(f'<text x="{x + 31:.1f}" y="{y:.1f}" fill="{INK}" font-size="{FONT:g}">{escape(one.name)}</text>')
        x += width
    return "".join(parts), y - 37.0 + 19.0


def _marker(x: float, y: float, style: int) -> str:
    colour = COLOURS[style % len(COLOURS)]
    hollow = f'fill="#fff" stroke="{colour}" stroke-width="1.8"'
    shape = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}"/>',
        f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" {hollow}/>',
        f'<path d="M{x:.1f} {y - 4.2:.1f}l4 7h-8z" fill="{colour}"/>',
        f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 4.5-4.5 4.5-4.5-4.5z" {hollow}/>',
        f'<path d="M{x - 3.2:.1f} {y - 3.2:.1f}l6.4 6.4m0-6.4l-6.4 6.4" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" {hollow}/>',
    )
    return shape[style % len(shape)]


def _curve(frame: _Frame, x: np.ndarray, one: Series, style: int, whiskers: bool, dots: bool) -> str:
    y = np.asarray(one.y, dtype=float)
    colour, dash = COLOURS[style % len(COLOURS)], DASHES[style % len(DASHES)]
    parts = []
    if one.low is not None and one.high is not None:
        if whiskers:
            low, high = np.asarray(one.low, dtype=float), np.asarray(one.high, dtype=float)
            for at, bottom, top in zip(x, low, high, strict=True):
                if math.isfinite(bottom) and math.isfinite(top):
                    px, py, qy = frame.at_x(at), frame.at_y(bottom), frame.at_y(top)
                    path = f"M{px:.1f} {py:.1f}V{qy:.1f}M{px - 3:.1f} {py:.1f}h6M{px - 3:.1f} {qy:.1f}h6"
                    parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="1.3"/>')
        else:
            parts.append(_band(frame, x, one.low, one.high, colour, 0.17))
    good = np.isfinite(x) & np.isfinite(y) & (y > 0.0 if frame.log else True)
    path, pen = "", "M"
    for ok, px, py in zip(good, x, y, strict=True):
        path += f"{pen}{frame.at_x(px):.1f} {frame.at_y(py):.1f}" if ok else ""
        pen = "L" if ok else "M"
    parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>')
    marked = np.flatnonzero(good) if dots else np.zeros(0, dtype=int)
    every = max(1, math.ceil(len(marked) / 9))
    parts.extend(_marker(frame.at_x(x[i]), frame.at_y(y[i]), style) for i in marked[(style % every) :: every])
    return "".join(parts)


def _band(frame: _Frame, x: np.ndarray, low: ArrayLike, high: ArrayLike, colour: str, opacity: float) -> str:
    bottom, top = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(bottom) & np.isfinite(top))
    if good.size < 2:
        return ""
    there = "L".join(f"{frame.at_x(x[i]):.1f} {frame.at_y(top[i]):.1f}" for i in good)
    back = "L".join(f"{frame.at_x(x[i]):.1f} {frame.at_y(bottom[i]):.1f}" for i in good[::-1])
    return f'<path d="M{there}L{back}Z" fill="{colour}" fill-opacity="{opacity:.2f}"/>'


def _empty(title: str) -> str:
    note = f'<text x="{WIDTH / 2:.0f}" y="70" text-anchor="middle" fill="{MUTED}">no finite values to draw</text>'
    return drawing(title, 100.0, note, [])


def drawing(title: str, height: float, legend: str, parts: Sequence[str]) -> str:
    """One figure of the common width: its title, and under it what was drawn."""
    heading = f'<text x="2" y="16" fill="{INK}" font-size="14" font-weight="600">{escape(title)}</text>'
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}" fill="none" '
        f'font-family="inherit" font-size="{FONT:g}">{heading}{legend}{"".join(parts)}</svg>'
    )
