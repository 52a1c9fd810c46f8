"""The answer of a solver: who plays what over time, what it is worth, which theorem covers it, and which conditions
hold.

Every solver of executions and of makers and traders returns one `Solution`; `Solution.to_dict()` is the JSON of
`arena.solve --json`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arena.layout import Array


@dataclass(frozen=True)
class Condition:
    """One condition of a theorem, checked: `value` is the number that decides it, `needs` says what it has to be."""

    name: str
    holds: bool
    value: float
    needs: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "holds": bool(self.holds), "value": _plain(self.value), "needs": self.needs}


@dataclass(frozen=True)
class Player:
    """One player's side of a solution; arrays are [n] along `Solution.t`. Makers have `ask` and `bid` (distances),
    traders have `rate`.

    `adjoint` is the marginal value of one more share, where the solver works with it.
    """

    name: str
    role: str
    objective: float
    inventory: Array
    rate: Array | None = None
    ask: Array | None = None
    bid: Array | None = None
    adjoint: Array | None = None

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"name": self.name, "role": self.role, "objective": _plain(self.objective)}
        for key in ("inventory", "rate", "ask", "bid", "adjoint"):
            values = getattr(self, key)
            if values is not None:
                plain[key] = _plain(values)
        return plain


@dataclass(frozen=True)
class Solution:
    """An equilibrium over time.

    `information` is 'open_loop' (everybody commits to a path) or 'feedback' (everybody reacts to all inventories);
    `theorem` names the result that covers the solution, or says that none does and why. `policy`, where given, maps (t,
    inventories [n, players]) to the controls [n, controls] of all players: makers' asks, makers' bids, then traders'
    rates (execution game: the rates)."""

    model: str
    information: str
    theorem: str
    conditions: list[Condition]
    t: Array
    players: list[Player]
    diagnostics: dict[str, Any] = field(default_factory=dict)
    policy: Callable[[float, Array], Array] | None = None

    @property
    def objectives(self) -> Array:
        return np.array([player.objective for player in self.players])

    def condition(self, name: str) -> Condition:
        """The condition of that name; raises KeyError, with the names there are, for another one."""
        for entry in self.conditions:
            if entry.name == name:
                return entry
        raise KeyError(f"no condition named {name!r}; there are {', '.join(entry.name for entry in self.conditions)}")

    def stack(self, key: str, role: str | None = None) -> Array:
        """One quantity (inventory, rate, ask, bid, adjoint) of all players that have it (of one role): [players, n]."""
        chosen = [player for player in self.players if role in (None, player.role)]
        return np.array([getattr(player, key) for player in chosen if getattr(player, key) is not None])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries: {model, information, theorem, conditions, t, players,
        diagnostics}."""
        return {
            "model": self.model,
            "information": self.information,
            "theorem": self.theorem,
            "conditions": [entry.to_dict() for entry in self.conditions],
            "t": _plain(self.t),
            "players": [player.to_dict() for player in self.players],
            "diagnostics": _plain(self.diagnostics),
        }


def _plain(value: Any) -> Any:
    """JSON without surprises: numpy becomes Python, a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
