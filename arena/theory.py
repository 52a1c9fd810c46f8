"""What theory says about a scenario: the first answerer that covers it, or the sentences why none does.

An answerer is a function of a scenario and of what players know ('open_loop': the clock, and so paths; 'feedback': all
inventories). It returns an `Answer`, or one sentence why it does not cover the scenario. `ANSWERERS` lists them, best
first; to add one, write the function in a module of its own and put it into the tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


Answerer = Callable[[Scenario, str], "Answer | str"]
"""scenario, information -> the answer, or one sentence why it is not covered."""

INFORMATION = ("open_loop", "feedback")


def answer(scenario: Scenario, information: str = "open_loop") -> Answer | str:
    """The first answer among `ANSWERERS`, or their sentences, one a line, why there is none.

    Raises ValueError for an information that does not exist.
    """
    if information not in INFORMATION:
        raise ValueError(f"information: found {information!r}; allowed are {', '.join(INFORMATION)}")
    why = []
    for answerer in ANSWERERS:
        found = answerer(scenario, information)
        if not isinstance(found, str):
            return found
        why.append(found)
    return "\n".join(dict.fromkeys(why))


def _equilibrium(scenario: Scenario, information: str) -> Answer | str:
    from arena.theory_equilibrium import equilibrium  # scipy takes half a second: only who asks pays it

    return equilibrium(scenario, information)


def _quoting(scenario: Scenario, information: str) -> Answer | str:
    from arena.theory_quoting import optimal_quotes

    return optimal_quotes(scenario, information)


ANSWERERS: tuple[Answerer, ...] = (_equilibrium, _quoting)
"""Best first."""
