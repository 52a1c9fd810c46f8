"""Equilibria of makers and traders and of executions, as answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import solve
from arena.solvers.solution import Solution
from arena.theory import Listing, Panel

ROWS = 6
"""Instants at which a table shows paths."""


@dataclass(frozen=True)
class Equilibrium:
    """A Nash equilibrium over time; `solution.players` are the market's seats in order (plus a representative).

    `note` says where players of this scenario would end up in another equilibrium, or is empty.
    """

    solution: Solution
    unit: str
    note: str = ""

    def headline(self) -> str:
        """Model, information and theorem in one line, and a note in the next where there is one."""
        one = self.solution
        line = f"{one.model}, {one.information.replace('_', ' ')} Nash equilibrium; theorem: {one.theorem}"
        return f"{line}\n{self.note}" if self.note else line

    def tables(self) -> Sequence[Listing]:
        """Objectives, paths at a few instants, conditions."""
        one = self.solution
        objectives = [(player.name, player.role, f"{player.objective:.6g}") for player in one.players]
        out = [Listing("Objectives, $ per game", ("player", "role", "objective"), objectives)]
        at = np.unique(np.linspace(0, one.t.size - 1, ROWS).round().astype(int))
        for player in one.players:
            paths = {"inventory": player.inventory, "ask": player.ask, "bid": player.bid, "rate": player.rate}
            shown = {name: path for name, path in paths.items() if path is not None}
            rows = [tuple(f"{x:.6g}" for x in (one.t[k], *(path[k] for path in shown.values()))) for k in at]
            out.append(Listing(f"{player.name} ({player.role})", (f"time, {self.unit}s", *shown), rows))
        checks = [
            (entry.name, "yes" if entry.holds else "no", f"{entry.value:.6g}", entry.needs) for entry in one.conditions
        ]
        out.append(Listing("Conditions", ("condition", "holds", "value", "needs"), checks))
        return out

    def panels(self) -> Sequence[Panel]:
        """Inventories, and quotes and rates where somebody has them, over time."""
        one, x_label = self.solution, f"time ({self.unit}s)"
        times = one.t.tolist()
        kinds = (
            ("Inventory", "lots", {"": "inventory"}),
            ("Distance of quotes from the mid", "$", {" ask": "ask", " bid": "bid"}),
            ("Trading rate", f"lots per {self.unit}", {"": "rate"}),
        )
        out = []
        for title, y_label, keys in kinds:
            lines = {
                f"{player.name}{suffix}": getattr(player, key).tolist()
                for player in one.players
                for suffix, key in keys.items()
                if getattr(player, key) is not None
            }
            if lines:
                out.append(Panel(title, x_label, y_label, times, lines))
        return out

    def to_dict(self) -> dict[str, Any]:
        """{model, information, theorem, conditions, t, players, diagnostics}."""
        return self.solution.to_dict()


def answer(market: DealerMarket, information: str = "open_loop") -> Equilibrium | str:
    """The Nash equilibrium of a market, or one sentence why theory knows none."""
    found = solve(market, information)
    if isinstance(found, str):
        return found
    return Equilibrium(found, market.clock.unit, _note(market, information))


def _note(market: DealerMarket, information: str) -> str:
    """What players of this market would learn, where it is not this equilibrium."""
    seats = [market.makers.observe] * bool(market.makers.count) + [market.executors_observe] * bool(market.executors)
    if market.flow.intensity.model == "log_ou":
        return ""
    if information == "open_loop" and any(one.rivals == "inventory" for one in seats):
        return "players of this scenario see inventories: if they react to them they play another game (feedback)"
    if information == "feedback" and not any(one.own for one in seats):
        return "players of this scenario see no inventory: what they can play are paths (open_loop)"
    return ""
