"""What theory says about a market: the first answerer that covers it, or the sentences why none does.

An answerer is a module with `answer(market, information)`, where information is what players know ('open_loop': the
clock, and so paths; 'feedback': all inventories). It returns an `Answer`, or one sentence why it does not cover the
market. The market's kit lists them as `ANSWERERS`, best first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from arena.markets.catalogue import part
from arena.markets.market import Market


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


INFORMATION = ("open_loop", "feedback")


def answer(market: Market, information: str = "open_loop") -> Answer | str:
    """The first answer among a market's answerers, or their sentences, one a line, why there is none.

    Raises ValueError for an information that does not exist.
    """
    if information not in INFORMATION:
        raise ValueError(f"information: found {information!r}; allowed are {', '.join(INFORMATION)}")
    why = []
    answerers: Sequence[str] = part(market, "ANSWERERS", ())
    for answerer in answerers:
        found: Answer | str = import_module(answerer).answer(market, information)
        if not isinstance(found, str):
            return found
        why.append(found)
    return "\n".join(dict.fromkeys(why)) or f"theory has no answer for a market of model '{market.model}'"
