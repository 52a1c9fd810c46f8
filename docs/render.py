"""Render docs/results/claims.yaml into docs/results.md and the pages of docs/results/: make results.

A page is plain Markdown. What stands between `<!-- render: WHAT -->` and `<!-- end -->` belongs to this script: on
docs/results.md `claims` (the count and the misses) and `groups` (the tables); on a page of docs/results/ `head` (title,
command, claims) and `table NAME`. Everything else is written by hand. claims.yaml explains its own words at its top.
`rows PART` on the page of a paper of `arena.reproduce` is computed from the files of its rows.
"""

import importlib
import math
import re
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

HERE = Path(__file__).parent
MARKED = re.compile(r"(<!-- render: ([\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TARGETS = ("at_most", "at_least", "above", "between", "below")
HEAD = ("claim", "target", "measured", "command", "seeds", "verdict")

Tree = dict[str, Any]


class Claim(NamedTuple):
    """One row of the tables: what stands in each cell, and whether target and stretch hold (None: there is none)."""

    page: str
    cells: tuple[str, ...]
    holds: bool | None
    stretch: bool | None


def number(text: str) -> float:
    """The value of a number as it is printed; spaces group thousands."""
    return float(text.replace(" ", ""))


def printed(text: str) -> str:
    """A number with a true minus sign; other text unchanged."""
    return re.sub(r"^-(?=[\d.])", "−", text)


def decimals(texts: list[str]) -> int:
    """The most digits behind the point of any of the numbers."""
    return max(len(text.partition(".")[2]) for text in texts)


def error_of_mean(values: list[float]) -> float:
    """Standard error of the mean of independent values."""
    return statistics.stdev(values) / math.sqrt(len(values))


def column_of(table: Tree, name: str) -> tuple[list[str], str]:
    """The cells of a column and its unit; a heading is `name` or `name, unit`."""
    parts = [heading.rpartition(", ") for heading in table["columns"]]
    found = [i for i, (own, _, last) in enumerate(parts) if name == (own or last)]
    if len(found) != 1:
        raise ValueError(f"claims.yaml: {len(found)} columns {name!r}; found {'; '.join(table['columns'])}")
    return [row[found[0]] for row in table["rows"]], parts[found[0]][2] if parts[found[0]][0] else ""


def numbers_of(claim: Tree, tables: Tree) -> tuple[list[str], str, list[str]]:
    """The numbers of a claim as printed, their unit, and the seed of each (empty where seeds play no role)."""
    if "values" in claim:
        return claim["values"], claim.get("unit", ""), []
    kind = next(kind for kind in ("column", "ratios", "errors") if kind in claim)
    table, *names = claim[kind]
    columns = [column_of(tables[table], name) for name in names]
    if kind == "column":
        seeded = "seed" in tables[table]["columns"]
        return *columns[0], column_of(tables[table], "seed")[0] if seeded else []
    values = [[number(text) for text in texts] for texts, _ in columns]
    if kind == "ratios":
        falls = [f"{a / b:.1f}" for row in zip(*values, strict=True) for a, b in pairwise(row)]
        return falls, claim.get("unit", ""), []
    exact = values[2] if len(values) > 2 else [0.0] * len(values[0])
    return [f"{(m - x) / e:.1f}" for m, e, x in zip(*values[:2], exact, strict=True)], "", []


def meets(kind: str, bound: Any, value: float) -> bool:
    """Whether a value meets a target of one kind."""
    if kind == "between":
        return number(bound[0]) <= value <= number(bound[1])
    return {"at_most": value <= number(bound), "at_least": value >= number(bound), "above": value > number(bound)}[kind]


def target_text(kind: str, bound: Any, unit: str) -> str:
    """A target as a reader sees it."""
    tail = f" {unit}" if unit else ""
    if kind == "below":
        return f"less than the {bound}"
    if kind == "between" and bound[0] == f"-{bound[1]}":
        return f"within ± {bound[1]}{tail}"
    if kind == "between":
        return f"{printed(bound[0])} to {printed(bound[1])}{tail}"
    return f"{ {'at_most': '≤', 'at_least': '≥', 'above': '>'}[kind] } {printed(bound)}{tail}"


def measured_text(texts: list[str], unit: str, seeds: list[str]) -> str:
    """One number; mean and standard error over seeds with the range; or the range."""
    values, tail = [number(text) for text in texts], f" {unit}" if unit else ""
    low, high = (printed(texts[values.index(end)]) for end in (min(values), max(values)))
    if len(set(values)) == 1:
        return f"{low}{tail}"
    if len(set(seeds)) == len(texts) >= 3:
        digits = decimals(texts)
        mean = printed(f"{statistics.mean(values):.{digits}f}")
        return f"{mean} ± {error_of_mean(values):.{digits}f}{tail}, {low} to {high}"
    return f"{low} to {high}{tail}"


def verdict(kind: str, bound: Any, claim: Tree, tables: Tree) -> tuple[bool, str]:
    """Whether a target holds, and the mark with the number of seeds that meet it."""
    texts, _, seeds = numbers_of(claim, tables)
    if "judged" in claim:
        texts, _ = column_of(tables[claim["column"][0]], claim["judged"])
    values = [number(text) for text in texts]
    if kind == "below":
        others = [number(text) for text in column_of(tables[claim["column"][0]], bound)[0]]
        met = [value < other for value, other in zip(values, others, strict=True)]
    else:
        met = [meets(kind, bound, value) for value in values]
    if not seeds:
        return all(met), "✔" if all(met) else "✘"
    good = sum(all(ok for ok, own in zip(met, seeds, strict=True) if own == seed) for seed in set(seeds))
    holds = good >= int(claim.get("in", len(set(seeds))))
    return holds, f"{'✔' if holds else '✘'} {good} of {len(set(seeds))}"


def code(command: str) -> str:
    """A command in code type; other words as they are."""
    return f"`{command}`" if command.startswith(("python ", "make ")) else command


def claim_of(page: Tree, claim: Tree) -> Claim:
    """One claim of claims.yaml, computed."""
    tables = page.get("tables", {})
    texts, unit, seeds = numbers_of(claim, tables)
    target, mark, holds, stretch = "–", "–", None, None
    kind = next((kind for kind in TARGETS if kind in claim), None)
    if kind:
        target = target_text(kind, claim[kind], unit)
        holds, mark = verdict(kind, claim[kind], claim, tables)
        if "in" in claim:
            target += f" in {claim['in']} of {len(set(seeds))} seeds"
        if "stretch" in claim:
            stretch, harder = verdict(kind, claim["stretch"], claim, tables)
            target += f"; stretch {target_text(kind, claim['stretch'], unit)}"
            mark += f"; stretch {harder}"
    measured = measured_text(texts, unit, seeds)
    if "judged" in claim:  # the ends that the verdict looks at, not the values themselves
        ends = column_of(tables[claim["column"][0]], claim["judged"])[0]
        measured = f"{measured.partition(',')[0]}, {claim['judged']} {measured_text(ends, '', [])}"
    command, own = claim.get("command", page["command"]), claim.get("seeds", page["seeds"])
    words = re.sub(r"^([^:]+): ", r"**\1**: ", claim["claim"])  # what is claimed in bold, how it is counted after it
    cells = (words, target, measured, code(command), own, mark)
    return Claim(page["page"], cells, holds, stretch)


def row(cells: tuple[str, ...] | list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"


def grid(head: tuple[str, ...] | list[str], rows: list[tuple[str, ...]], right: list[bool] | None = None) -> str:
    """A Markdown table; the columns named by `right` are set to the right."""
    rules = ["---:" if own else "---" for own in right or [False] * len(head)]
    return row(head) + f"|{'|'.join(rules)}|\n" + "".join(map(row, rows))


def table_text(table: Tree) -> str:
    """A table of claims.yaml, numbers to the right; `mean` adds the mean and its standard error."""
    rows = [tuple(printed(cell) for cell in cells) for cells in table["rows"]]
    numeric = [all(re.fullmatch(r"[−–\d. e-]+", cell) for cell in column) for column in zip(*rows, strict=True)]
    text = grid(table["columns"], rows, numeric)
    if "mean" not in table:
        return text
    last = ["mean ± standard error"]
    for texts in list(zip(*table["rows"], strict=True))[1:]:
        values, digits = [number(text) for text in texts], decimals(list(texts))
        last.append(f"{printed(f'{statistics.mean(values):.{digits}f}')} ± {error_of_mean(values):.{digits}f}")
    return text + row(last)


def claims_of(groups: list[Tree]) -> Iterator[Claim]:
    """All claims in their order."""
    for group in groups:
        for page in group["pages"]:
            yield from (claim_of(page, claim) for claim in page["claims"])


def summary(groups: list[Tree]) -> str:
    """How many targets and stretch goals hold, and which do not."""
    claims = list(claims_of(groups))
    asked = [claim for claim in claims if claim.holds is not None]
    missed = [claim for claim in asked if not claim.holds]
    harder = [claim.stretch for claim in claims if claim.stretch is not None]
    text = (
        f"**{len(asked)} claims have a target: {len(asked) - len(missed)} hold (✔), {len(missed)} do not (✘).** "
        f"{sum(harder)} of {len(harder)} stretch goals, harder bounds beside a target, are reached. "
        f"{len(claims) - len(asked)} further measurements have no target (–).\n\n"
        "The claims that do not hold:\n\n"
    )
    head = ("page", "claim", "target", "measured", "verdict")
    return text + grid(head, [(link(one.page), *one.cells[:3], one.cells[-1]) for one in missed])


def link(page: str) -> str:
    """A page of docs/results/ as docs/results.md links to it."""
    return f"[{page}](results/{page}.md)"


def tables_of(groups: list[Tree]) -> str:
    """The tables of all claims, one per group."""
    parts = []
    for group in groups:
        rows, above = [], ("", "")
        for one in claims_of([group]):
            claim, target, measured, command, *rest = one.cells
            again = "the same" if (one.page, command) == above else command
            rows.append((link(one.page), claim, target, measured, again, *rest))
            above = (one.page, command)
        parts.append(f"## {group['group']}\n\n" + grid(("page", *HEAD), rows))
    return "\n".join(parts)


def head_of(page: Tree) -> str:
    """Title and claims of a page."""
    title = f"# {page['title']}\n\nOne of the pages behind [the claims](../results.md).\n\n    {page['command']}\n\n"
    if not page["claims"]:
        return title
    own = code(page["command"])
    rows = [claim_of(page, claim).cells for claim in page["claims"]]
    return title + grid(HEAD, [tuple("above" if cell == own else cell for cell in cells) for cells in rows])


def read() -> list[Tree]:
    """The groups of claims.yaml, every scalar as text."""
    return YAML(typ="base", pure=True).load((HERE / "results" / "claims.yaml").read_text(encoding="utf-8"))["groups"]


def rendered(path: Path, groups: list[Tree]) -> str:
    """A page with its marked parts written anew."""
    pages = {page["page"]: page for group in groups for page in group["pages"]}

    def part(match: re.Match[str]) -> str:
        what, _, name = match[2].partition(" ")
        if what == "rows":
            papers = importlib.import_module("arena.reproduce").PAPERS
            text = importlib.import_module(papers[path.stem]).markdown(name)
        elif what == "table":
            text = table_text(pages[path.stem]["tables"][name])
        else:
            text = {"claims": lambda: summary(groups), "groups": lambda: tables_of(groups),
                    "head": lambda: head_of(pages[path.stem])}[what]()  # fmt: skip
        return f"{match[1]}\n{text}\n{match[3]}"

    return MARKED.sub(part, path.read_text(encoding="utf-8"))


def pages_of(groups: list[Tree]) -> list[Path]:
    """The files that have rendered parts."""
    names = [page["page"] for group in groups for page in group["pages"]]
    return [HERE / "results.md", *(HERE / "results" / f"{name}.md" for name in names)]


def main() -> None:
    """Write all pages anew."""
    groups = read()
    for path in pages_of(groups):
        path.write_text(rendered(path, groups), encoding="utf-8")


if __name__ == "__main__":
    main()
