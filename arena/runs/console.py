"""What a person sees while a run trains: one row per iteration, live in a terminal, plain lines elsewhere."""

import math
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

ROWS = 12
"""Iterations shown at once in a terminal."""


class Watch:
    """Shows iterations as they finish; `roles` are the trained ones."""

    def __init__(self, title: str, roles: list[str], iterations: int, console: Console | None = None):
        self.console = console or Console(stderr=False, highlight=False)
        self.title, self.roles, self.iterations = title, roles, iterations
        self.rows: deque[Mapping[str, Any]] = deque(maxlen=ROWS)
        self.notes: deque[str] = deque(maxlen=4)
        self.gap = math.nan
        self.told: set[str] = set()  # causes of alarms: each is said once, the report counts them
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self) -> "Watch":
        if self.live is not None:
            self.live.start()
        else:
            self.console.print(f"{self.title}: {self.iterations} iterations", soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, line: Mapping[str, Any], left: float) -> None:
        """One finished iteration; `left` is the estimated time to the end, seconds."""
        self.rows.append({**line, "left": left, "gap": self.gap})
        if self.live is not None:
            self._draw()
            return
        parts = [
            f"{line['iteration']:>5}/{self.iterations}",
            f"left {clock(left)}",
            f"{thousands(line.get('agent_steps_per_s'))} agent-steps/s",
        ]
        parts += [f"{role} {figure(line.get(f'return/{role}'))}{_gain(line, role)}" for role in self.roles]
        parts += [f"gap {percent(self.gap)}", f"league {line.get('league_size', 0)}"]
        self.console.print("  ".join(parts), soft_wrap=True)
        alarms = {re.sub(r"[\d.]+", "#", alarm): alarm for alarm in line.get("alarms", ())}
        for cause in [one for one in alarms if one not in self.told]:
            self.console.print(f"      alarm: {alarms[cause]}", soft_wrap=True)
        self.told |= alarms.keys()

    def note(self, text: str) -> None:
        """Something that happened between iterations."""
        self.notes.append(text)
        if self.live is not None:
            self._draw()
        else:
            self.console.print(f"      {text}", soft_wrap=True)

    def _draw(self) -> None:
        table = Table(title=self.title, title_justify="left", expand=False)
        for name in (
            "iteration",
            "left",
            "agent-steps/s",
            *(f"return {role}" for role in self.roles),
            *(f"new − old {role}" for role in self.roles),
            "Nash gap",
            "league",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(
                f"{row['iteration']}/{self.iterations}", clock(row["left"]), thousands(row.get("agent_steps_per_s")),
                *(figure(row.get(f"return/{role}")) for role in self.roles),
                *(_gain(row, role).strip() or "–" for role in self.roles),
                percent(row["gap"]), str(row.get("league_size", 0)),
            )  # fmt: skip
        alarms = self.rows[-1].get("alarms", ()) if self.rows else ()
        lines = [Text(note, style="dim") for note in self.notes] + [
            Text(f"alarm: {alarm}", style="bold red") for alarm in alarms
        ]
        assert self.live is not None
        self.live.update(Group(table, *lines), refresh=True)


def clock(seconds: float) -> str:
    """m:ss, or h:mm:ss."""
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def figure(value: Any) -> str:
    """A number of money, four significant digits; – for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4g}"


def thousands(value: Any) -> str:
    """A rate with thin separators; – for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.0f}"


def percent(value: float) -> str:
    """A share; – for none."""
    return "–" if not math.isfinite(value) else f"{100 * value:.1f} %"


def _gain(line: Mapping[str, Any], role: str) -> str:
    gain, error = line.get(f"gain/{role}"), line.get(f"gain_se/{role}")
    return "" if gain is None or error is None else f" {gain:+.3g} ± {error:.2g}"
