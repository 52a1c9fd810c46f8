"""The page of a curriculum: one rung a phase, from the ground up, each with its numbers on an axis beside its gate.

`ladder.html` is one file that opens offline; `ladder.json` holds every number of it. Both are written anew after every
seed and every verdict.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from arena.pages.charts import COLOURS as PALETTE
from arena.pages.charts import FONT, INK, MUTED, number, ticks
from arena.pages.page import rendered
from arena.runs.console import clock
from arena.runs.run_folder import RunFolder, plain

Row = Mapping[str, Any]
"""What `arena.gates.ladder.Ladder.rows` says about a phase."""
COLOURS = {
    "passed": "#00795c", "failed": "#b3261e", "stale": "#8a6d00", "damaged": "#b3261e", "training": "#0072b2",
    "open": "#0072b2", "closed": "#6b7785",
}  # fmt: skip
"""A state's colour; its word stands beside it always."""
SIGNS = {"passed": "✓", "failed": "✗", "stale": "↻", "damaged": "!", "training": "…", "open": "○", "closed": "–"}
KINDS = {
    "score": "share of the way from the base to the reference",
    "share": "share of what the reference earns",
    "over": "earned more than the other player",
    "deviation": "standard deviation of P&L over the base's",
    "exploitability": "gain of a best response over the equilibrium's value",
    "value": "earned over what the equilibrium earns",
    "against": "earned against the opponent over what the equilibrium's player earns",
    "newest_over_pool": "newest policy less its league's members",
}
"""What each kind of check measures, for the axis."""
WIDTH, LEFT, RIGHT, ROW = 440.0, 12.0, 428.0, 13.0
"""Drawing units: of the whole axis, its ends, and the height of a seed."""


def write(folder: Path, name: str, description: str, rows: Sequence[Row]) -> Path:
    """Write ladder.html and ladder.json into a ladder's folder; returns the page's path."""
    passed = [row["name"] for row in rows if row["state"] == "passed"]
    following = next((row["name"] for row in rows if row["state"] != "passed"), "")
    headline = f"Phases passed: {len(passed)} of {len(rows)}" + (f"; next: {following}" if following else "")
    page = {
        "time": clock(sum(row["seconds"] for row in rows)),
        "title": name, "headline": headline, "description": description, "command": "python -m arena.curriculum",
        "rungs": [_rung(i, row, folder) for i, row in enumerate(rows, start=1)][::-1],
    }  # fmt: skip
    target = RunFolder(folder)
    numbers = {"schema_version": 1, "name": name, "headline": headline, "phases": list(rows)}
    target.write_text("ladder.json", json.dumps(plain(numbers), indent=1, allow_nan=False) + "\n")
    target.write_text("ladder.html", rendered("ladder.html.j2", page=page))
    return folder / "ladder.html"


def _rung(place: int, row: Row, folder: Path) -> dict[str, Any]:
    checks = [{**_words(check), "svg": rail(check)} for check in row["checks"]]
    reports = [
        {"seed": seed, "href": _link(path, folder), "done": seed in row["trained"]}
        for seed, path in sorted(row["reports"].items())
    ]
    return {
        **{key: row[key] for key in ("name", "question", "scenario", "state", "words", "sentence", "planned")},
        "place": place, "colour": COLOURS[row["state"]], "sign": SIGNS[row["state"]], "checks": checks,
        "reports": reports, "time": clock(row["seconds"]) if row["seconds"] else "", "attempts": row["attempts"],
        "played": f"{row['agent_steps'] / 1e6:.1f} M agent-steps a seed" if row.get("agent_steps") else "",
        "old": row["state"] in ("closed", "stale", "damaged", "training", "open") and bool(checks),
        "started": _started(row["started_from"]),
    }  # fmt: skip


def _words(check: Mapping[str, Any]) -> dict[str, Any]:
    """A check's title, its baseline's earnings, and its result in words."""
    told = check["told"]
    ends = [
        f"{name} {_who(check['asked'].get(name))} {_money(told[name])}"
        for name in ("base", "reference")
        if name in told
    ]
    held = sum(one["holds"] for one in check["per_seed"])
    words = f"{check['kind'].replace('_', ' ')} {check['sign']} {_plain(check['threshold'])}"
    where = f" in {check['asked']['steps']} steps" if "steps" in check["asked"] else ""
    return {
        "title": words, "measures": KINDS[check["kind"]] + where, "ends": "; ".join(ends), "passed": check["passed"],
        "held": f"{held} of {len(check['per_seed'])} seeds", "stretch": check["stretch_passed"],
    }  # fmt: skip


def _who(player: Any) -> str:
    return str(player.get("kind", "")) if isinstance(player, dict) else str(player).replace("_", " ")


def _money(told: Mapping[str, Any]) -> str:
    return _plain(told["mean"]) + ("" if told["exact"] else f" ± {number(told['se'], 2)}")


def _started(started: Mapping[str, Any]) -> list[str]:
    """Where each seed's learning started, in words."""
    out = []
    for seed, one in started.items():
        verdict = one.get("verdict")
        words = f"seed {seed}: " + (f"from {one['phase']}" if one.get("carried") else "fresh")
        if verdict:
            found = f"{number(verdict['difference'])} ± {number(verdict['se'], 2)}"
            words += f" (carried less fresh after {verdict['iteration']} iterations: {found})"
        out.append(words)
    return out


def _link(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


# --- the axis ---------------------------------------------------------------------------------------------------------


def rail(check: Mapping[str, Any]) -> str:
    """The seeds of a check on an axis: a dot and its one-sided bounds each, the gate and the stretch as lines.

    Players beside them are ticks; what lies outside the axis is named at its end.
    """
    seeds, lines = check["per_seed"], _lines(check)
    points = [x for one in seeds for x in (one["value"], one["low"], one["high"]) if math.isfinite(x)]
    low, high = _span([*points, *(at for at, _, _ in lines)], [*check["marks"].values(), *_ends(check)])
    marks = sorted((value, name) for name, value in check["marks"].items())
    inside = [one for one in marks if low <= one[0] <= high]
    top = 18.0
    bottom = top + ROW * len(seeds) + 6.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(max((value - low) / (high - low), 0.0), 1.0)

    first, last = _good(check)
    start, end = x(max(first, low)), x(min(last, high))
    parts = [f'<rect x="{start:.1f}" y="{top:.1f}" width="{max(end - start, 0.0):.1f}" height="{bottom - top:.1f}" '
             f'fill="{COLOURS["passed"]}" fill-opacity=".08"/>',
             f'<path d="M{LEFT} {bottom:.1f}H{RIGHT}" stroke="{MUTED}"/>']  # fmt: skip
    for value in ticks(low, high, 5):
        parts += [_tick(x(value), bottom), _text(x(value), bottom + 16.0, _plain(value), "middle")]
    parts += [_line(x(at), words, style, top, bottom) for at, words, style in lines if low <= at <= high]
    for i, one in enumerate(seeds):
        parts.append(_dot(one, x, top + ROW * (i + 0.6)))
    floor = bottom + 18.0
    for value, name in inside:
        floor += 14.0
        side = "start" if x(value) < 0.5 * WIDTH else "end"
        parts.append(
            f'<path d="M{x(value):.1f} {bottom - 4:.1f}V{floor - 3:.1f}" stroke="{MUTED}" stroke-dasharray="1 2"/>'
        )
        parts.append(_text(x(value) + (5.0 if side == "start" else -5.0), floor, f"{name} {_plain(value)}", side))
    beyond = [(value, name) for value, name in (*marks, *zip(_ends(check), ("base", "reference"), strict=False))
              if not low <= value <= high]  # fmt: skip
    for left, anchor, at in ((True, "start", LEFT), (False, "end", RIGHT)):
        names = [f"{name} {_plain(value)}" for value, name in sorted(beyond) if (value < low) == left]
        if names:
            floor += 15.0
            arrow = f"← {', '.join(names)}" if left else f"{', '.join(names)} →"
            parts.append(_text(at, floor, arrow, anchor))
    title = f"{check['kind']} of {len(seeds)} seeds, gate {check['sign']} {_plain(check['threshold'])}"
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {floor + 6:.0f}" role="img" aria-label="{escape(title)}" fill="none" '
        f'font-family="inherit" font-size="{FONT:g}">{"".join(parts)}</svg>'
    )


def _ends(check: Mapping[str, Any]) -> tuple[float, ...]:
    """Where base and reference are: of a score at 0 and 1."""
    return (0.0, 1.0) if check["kind"] == "score" else ()


def _lines(check: Mapping[str, Any]) -> list[tuple[float, str, str]]:
    """Gate and stretch as lines: place, word, dash."""
    bounds = [(check["threshold"], "gate", "")]
    if check["stretch"] is not None:
        bounds.append((check["stretch"], "stretch", "4 3"))
    if check["kind"] != "value":
        return bounds
    return [(1.0 + sign * near, words, dash) for near, words, dash in bounds for sign in (-1.0, 1.0)]


def _good(check: Mapping[str, Any]) -> tuple[float, float]:
    """Between which numbers the gate is held."""
    asked = check["threshold"]
    if check["kind"] == "value":
        return 1.0 - asked, 1.0 + asked
    return (-math.inf, asked) if check["sign"] == "≤" else (asked, math.inf)


def _span(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """The axis: all seeds and lines with some air, and what else lies near them."""
    low, high = min(values), max(values)
    width = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    near = [one for one in others if low - 1.5 * width <= one <= high + 1.5 * width]
    low, high = min(low, *near, low), max(high, *near, high)
    air = 0.07 * max(high - low, width)
    return low - air, high + air


def _dot(one: Mapping[str, Any], x: Any, y: float) -> str:
    colour = PALETTE[0] if one["holds"] else PALETTE[1]
    low, high = (v if math.isfinite(v) else one["value"] for v in (one["low"], one["high"]))
    bar = (
        "" if one["exact"] else f'<path d="M{x(low):.1f} {y:.1f}H{x(high):.1f}" stroke="{colour}" stroke-width="1.6"/>'
    )
    face = f'fill="{colour}"' if one["holds"] else f'fill="#fff" stroke="{colour}" stroke-width="2"'
    words = f"seed {one['seed']}: {_plain(one['value'])}" + (
        "" if one["exact"] else f", {_plain(low)} to {_plain(high)}"
    )
    return f'<g><title>{escape(words)}</title>{bar}<circle cx="{x(one["value"]):.1f}" cy="{y:.1f}" r="4" {face}/></g>'


def _line(at: float, words: str, dash: str, top: float, bottom: float) -> str:
    side = "start" if at < 0.8 * WIDTH else "end"
    shift = 4.0 if side == "start" else -4.0
    return (
        f'<path d="M{at:.1f} {top - 12:.1f}V{bottom:.1f}" stroke="{INK}" stroke-width="1.4" stroke-dasharray="{dash}"/>'
        + _text(at + shift, top - 4.0, words, side, INK)
    )


def _tick(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}v4" stroke="{MUTED}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = MUTED) -> str:
    halo = ' paint-order="stroke" stroke="#fff" stroke-width="3"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{halo}>{escape(words)}</text>'


def _plain(value: float) -> str:
    """Four digits, without zeros at the end."""
    return f"{value + 0.0:.4g}".replace("-", "−") if abs(value) < 1e4 else number(value)
