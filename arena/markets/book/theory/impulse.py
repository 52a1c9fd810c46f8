"""The optimum of a small book as an answer: its value, and what is done where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.markets.book.events import NAMES
from arena.markets.book.market import Market
from arena.markets.book.problems.impulse_problem import optimum
from arena.solvers.impulse.states import State, orders
from arena.solvers.impulse.value_iteration import Optimum
from arena.theory import Listing, Panel

NOTHING = "nothing"


@dataclass(frozen=True)
class Impulses:
    """The optimum of a book with a table."""

    found: Optimum

    def headline(self) -> str:
        """Which problem, how large, which method."""
        problem = self.found.chain.problem
        return (
            f"impulse control of one maker, {problem.steps} decisions, {len(self.found.chain.codes)} states; "
            "theorem: backward induction is optimal on a finite chain (Puterman 1994, theorem 4.3.2)"
        )

    def _flat(self) -> State:
        return self.found.chain.states

    def _values(self) -> tuple[Array, Array]:
        """Worth before the first decision of a flat book without own orders, by spread: spreads, means over queues."""
        state = self._flat()
        empty = (state.inventory == 0) & (orders(state.ask) == 0) & (orders(state.bid) == 0)
        spreads = np.unique(state.spread[empty])
        return spreads, np.array([self.found.first[empty & (state.spread == s)].mean() for s in spreads])

    def _shares(self) -> dict[str, list[float]]:
        """By position, the share of all states in which an impulse is best at the first decision."""
        state, first = self._flat(), self.found.policy[0]
        held = np.unique(state.inventory)
        names = {action: NAMES[action] for action in self.found.chain.problem.actions} | {-1: NOTHING}
        return {
            name: [float((first[state.inventory == y] == action).mean()) for y in held]
            for action, name in names.items()
        }  # fmt: skip

    def tables(self) -> Sequence[Listing]:
        """What the game is worth, and the impulses by position."""
        spreads, worth = self._values()
        rows = [(f"{s}", f"{w:.4f}") for s, w in zip(spreads, worth, strict=True)]
        held, shares = np.unique(self._flat().inventory), self._shares()
        by_held = [
            (f"{y}", *(f"{100 * one[i]:.1f}" for one in shares.values())) for i, y in enumerate(held)
        ]  # fmt: skip
        return [
            Listing("Value, ticks a game", ("when", "value"), [
                ("at the start, before the warm-up", f"{self.found.value:.5f}"),
            ]),
            Listing("Value with nothing held and no own order, mean over queues", ("spread, ticks", "value"), rows),
            Listing("Best impulse at the first decision, % of all states", ("lots held", *shares), by_held),
        ]  # fmt: skip

    def panels(self) -> Sequence[Panel]:
        """The impulses by position."""
        held = np.unique(self._flat().inventory).astype(float).tolist()
        return [Panel("Best impulse at the first decision", "lots held", "share of all states", held, self._shares())]

    def to_dict(self) -> dict[str, Any]:
        """{model, value, states, horizon, impulses by position}."""
        problem = self.found.chain.problem
        return {
            "model": "book", "value": self.found.value, "states": len(self.found.chain.codes),
            "decisions": problem.steps, "inventory": np.unique(self._flat().inventory).tolist(),
            "impulses": self._shares(),
        }  # fmt: skip


def answer(market: Market, information: str) -> Impulses | str:
    """The optimum of a small book, or one sentence why it has no table; a maker alone needs no information."""
    try:
        found = optimum(market)
    except ValueError as error:
        return str(error)
    return Impulses(found)
