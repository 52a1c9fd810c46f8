"""What theory says about a scenario: the first answerer that covers it, or the sentences why none does.

An answerer is a module with `answer(scenario, information)`, where information is what players know ('open_loop': the
clock, and so paths; 'feedback': all inventories). It returns an `Answer`, or one sentence why it does not cover the
scenario. `ANSWERERS` lists them, best first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from arena.scenario import Scenario


class Table(NamedTuple):
    """A table of an answer: cells are text, numbers already rounded and in the units that the head names."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Panel(NamedTuple):
    """A drawing of an answer: lines y [n] by name against x [n]; labels carry the units."""

    title: str
    x_label: str
    y_label: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]


class Answer(Protocol):
    """What an answerer found, ready to be printed, drawn and stored."""

    def headline(self) -> str:
        """One sentence: which model, which equilibrium, which theorem covers it."""
        ...

    def tables(self) -> Sequence[Table]:
        """What `arena.solve` prints."""
        ...

    def panels(self) -> Sequence[Panel]:
        """What `arena.solve --plot` and the report draw."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: what `arena.solve --json` prints."""
        ...


ANSWERERS = ("arena.markets.dealer.theory.equilibrium", "arena.markets.dealer.theory.quoting")
"""Modules, best first. They are imported when somebody asks: scipy alone takes half a second."""
INFORMATION = ("open_loop", "feedback")


def answer(scenario: Scenario, information: str = "open_loop") -> Answer | str:
    """The first answer among `ANSWERERS`, or their sentences, one a line, why there is none.

    Raises ValueError for an information that does not exist.
    """
    if information not in INFORMATION:
        raise ValueError(f"information: found {information!r}; allowed are {', '.join(INFORMATION)}")
    why = []
    for answerer in ANSWERERS:
        found: Answer | str = import_module(answerer).answer(scenario, information)
        if not isinstance(found, str):
            return found
        why.append(found)
    return "\n".join(dict.fromkeys(why))
