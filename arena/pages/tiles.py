"""Pictures made of tiles: a grid of choices over two quantities, and a book at several moments side by side.

Plain functions from numbers to an SVG string, like `arena.pages.charts`. What a colour says, a word says too.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from arena.pages.charts import COLOURS, FONT, GRID, INK, MUTED, WIDTH, drawing

HEAD = 44.0
LINE = 15.0


class Tile(NamedTuple):
    """One cell of a grid: the number of its colour (none: blank), how much of it [0, 1], and a word."""

    colour: int | None
    weight: float
    word: str


class Level(NamedTuple):
    """One price of a book: its name, orders of others and own ones, and the number of its colour."""

    name: str
    others: float
    own: float
    colour: int


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = MUTED, size: float = FONT) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}" font-size="{size:g}">{escape(words)}</text>'


def grid(
    rows: Sequence[str], columns: Sequence[str], tiles: Sequence[Sequence[Tile]], *, title: str, x_label: str,
    y_label: str, key: Sequence[str] = (),
) -> str:  # fmt: skip
    """Tiles [rows][columns], the first row on top; `key` names the colours."""
    parts, x, y = [], 2.0, HEAD - 8.0
    for i, name in enumerate(key):
        width = 24.0 + len(name) * FONT * 0.6
        if x > 2.0 and x + width > WIDTH:
            x, y = 2.0, y + LINE
        parts.append(f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(_text(x + 17.0, y, name, colour=INK))
        x += width
    top = y + 26.0
    left = max(len(name) for name in rows) * FONT * 0.6 + 10.0
    wide, high = (WIDTH - left - 4.0) / len(columns), 21.0
    parts.append(_text(2.0, top - 8.0, y_label))
    for i, (name, line) in enumerate(zip(rows, tiles, strict=True)):
        at = top + i * high
        parts.append(_text(left - 6.0, at + 15.0, name, "end"))
        for j, tile in enumerate(line):
            box = f'x="{left + j * wide + 0.5:.1f}" y="{at + 0.5:.1f}" width="{wide - 1:.1f}" height="{high - 1:.1f}"'
            blank = tile.colour is None
            fill = GRID if blank else COLOURS[(tile.colour or 0) % len(COLOURS)]
            opacity = 0.35 if blank else 0.12 + 0.5 * min(max(tile.weight, 0.0), 1.0)
            parts.append(f'<rect {box} fill="{fill}" fill-opacity="{opacity:.2f}"/>')
            parts.append(_text(left + (j + 0.5) * wide, at + 15.0, tile.word, "middle", INK, 11.0))
    bottom = top + len(rows) * high
    for j, name in enumerate(columns):
        parts.append(_text(left + (j + 0.5) * wide, bottom + 15.0, name, "middle"))
    parts.append(_text((left + WIDTH) / 2.0, bottom + 32.0, x_label, "middle"))
    return drawing(title, bottom + 40.0, "", parts)


def strip(frames: Sequence[tuple[str, str, Sequence[Level]]], *, title: str, across: int = 2) -> str:
    """A book at several moments, read like a page: heading, what happened, and its levels from the highest price."""
    parts: list[str] = []
    wide = WIDTH / across
    most = max((level.others + level.own for _, _, levels in frames for level in levels), default=1.0) or 1.0
    high = 42.0 + LINE * max((len(levels) for *_, levels in frames), default=0)
    for i, (heading, words, levels) in enumerate(frames):
        x, y = wide * (i % across), 40.0 + high * (i // across)
        parts += [_text(x + 2.0, y, heading, colour=INK), _text(x + 2.0, y + LINE, words)]
        name = max((len(level.name) for level in levels), default=0) * 11.0 * 0.6 + 8.0
        for k, level in enumerate(levels):
            at, unit = y + LINE * (k + 1) + 6.0, (wide - name - 66.0) / most
            colour = COLOURS[level.colour % len(COLOURS)]
            others, own = unit * level.others, unit * level.own
            parts.append(_text(x + name - 4.0, at + 10.0, level.name, "end", size=11.0))
            box = f'y="{at + 1:.1f}" height="{LINE - 4:.1f}" fill="{colour}"'
            parts.append(f'<rect x="{x + name:.1f}" width="{others:.1f}" {box} fill-opacity="0.3"/>')
            parts.append(f'<rect x="{x + name + others:.1f}" width="{own:.1f}" {box}/>')
            told = f"{level.others + level.own:.0f}" + (f", {level.own:.0f} own" if level.own else "")
            parts.append(_text(x + name + others + own + 3.0, at + 10.0, told, size=10.0))
    return drawing(title, 40.0 + high * -(-len(frames) // across), "", parts)
