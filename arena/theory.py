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


class Listing(NamedTuple):
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

    def tables(self) -> Sequence[Listing]:
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


def beside(
    market: Market, acts: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any] | None:
    """What theory.json holds where the kit says nothing better: theory's headline and drawings, and the gap.

    None where theory is silent. `measured` are the lines of nash_gap.jsonl; a kit's own `beside` also plays `acts`.
    """
    for information in INFORMATION:
        found = answer(market, information)
        if not isinstance(found, str):
            told = {"schema_version": 1, "gap": gap_lines(measured), "sentence": f"{found.headline()}."}
            return {**told, "panels": as_drawn(found), "tables": views(measured)}
    return None


def gap_lines(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Exact NashConv by iteration and, where it was measured beside it, what the search found."""
    out = []
    for line in measured:
        if line["seats"] and all(seat["kind"] == "exact" for seat in line["seats"]):
            one = {"iteration": line["iteration"], "exact": line["nashconv"]}
            if "search" in line:
                beside = line["search"]
                one |= {"learned": beside["nashconv"], "learned_low": beside["low"], "learned_high": beside["high"]}
            out.append(one)
    return out


def views(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The newest exact gap from other starts, in sub-games and against replayed opponents, as a table."""
    last = measured[-1].get("views", {}) if measured else {}
    if not last:
        return []
    rows = [
        [name, f"{one['nashconv']:.5f}", f"{one['naive_nashconv']:.3f}", f"{100 * one['relative']:.3f} %",
         ", ".join(f"{seat} {gain:.5f}" for seat, gain in one["seats"].items())]
        for name, one in last.items()
    ]  # fmt: skip
    head = ["opponents, starts", "NashConv, $ per game", "naive profile's", "share", "gain of each seat"]
    return [{"caption": "The exact gap from other starts, and against replayed paths", "head": head, "rows": rows}]


def as_drawn(told: Answer) -> list[dict[str, Any]]:
    """An answer's own panels."""
    return [
        {"title": p.title, "x_label": p.x_label, "y_label": p.y_label, "x": list(p.x),
         "series": [{"name": name, "y": list(y)} for name, y in p.lines.items()]}
        for p in told.panels()
    ]  # fmt: skip
