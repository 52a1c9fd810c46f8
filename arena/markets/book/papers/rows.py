"""Tables 2 and 3 of arXiv 2510.26438 as data: a row is a shipped scenario, what is changed in it, and what was printed.

The paper's money is in dollars, here it is in ticks of a cent: eta = 10 $ per lot^2 is 1 000 ticks. Its text prints the
penalty alone; the authors' code takes eta Y^2 off each decision, without the length of a step, and adds 10 eta for
acting and 20 eta for quoting both sides. Rows follow the code (`eta`), those called `printed_...` the text
(`as_printed`). All other rows are the standard one with one thing changed.
"""

from dataclasses import dataclass
from typing import Literal

from arena.scenario import Scenario, load

PUMP = "pump and dump"
"""What the paper prints in place of a Sharpe ratio, in the detector's words."""
Kernel = Literal["exp", "pl"]
KERNELS: dict[Kernel, str] = {"exp": "exponential", "pl": "power law"}
FEES = (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
"""Shares of the value of what is held at the end, at which every row is judged."""
STANDARD_FEE = 1e-4
TICKS = 100.0
"""Ticks of a dollar."""
BASE = "book_maker"
JUDGING = (
    "evaluation.search=none", "evaluation.games=16", "evaluation.tournament_games=16", "evaluation.members=2",
)  # fmt: skip
"""A run's own judging is kept short: a row is judged here."""


def eta(dollars: float) -> tuple[str, ...]:
    """The reward of the authors' code: per decision -eta Y^2, 10 eta for acting, 20 eta for quoting both sides."""
    ticks = TICKS * dollars
    bonuses = f"{{acting: {10 * ticks:g}, quoting: {20 * ticks:g}, holding: {ticks:g}}}"
    return "market.makers.running_penalty=0", f"market.makers.shaping={bonuses}"


def as_printed(dollars: float) -> tuple[str, ...]:
    """The reward of the text: -eta Y^2 dt with Y at the decision, and no bonuses."""
    return (
        f"market.makers.running_penalty={TICKS * dollars:g}",
        "market.makers.penalty=left",
        "market.makers.shaping={}",
    )


STANDARD = (
    "market.makers.cap=25", "market.observe.history=true", "training.self_imitation={kind: past_returns}", *eta(10.0),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row: where it stands in the paper, what is played, at which fee it is told, and what the paper prints."""

    name: str
    table: Literal["2", "3", "text", "besides"]
    what: str
    kernel: Kernel
    changes: tuple[str, ...] = ()
    printed: float | str | None = None
    fee: float = STANDARD_FEE

    def scenario(self, seed: int = 0) -> Scenario:
        """The scenario of a training seed."""
        flow = f"market.flow={{preset: hawkes_{self.kernel}}}"
        fee = f"market.fees.liquidation={self.fee:g}"
        return load(BASE, (*STANDARD, *JUDGING, flow, fee, *self.changes, f"training.seed={seed}"))

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return not any(change.startswith("players.") for change in self.changes)


def _scripted(player: str) -> tuple[str, ...]:
    return f"players.mm_0={player}", "market.makers.actions=all"


def _rows() -> tuple[Row, ...]:
    out = [
        Row("standard_exp", "2", "standard", "exp", (), 31.54),
        Row("standard_pl", "2", "standard", "pl", (), 28.81),
        Row("no_imitation_exp", "2", "no self-imitation", "exp", ("training.self_imitation=null",), PUMP),
        Row("probabilistic_exp", "2", "probabilistic agent", "exp", _scripted("{kind: probabilistic}"), 7.73),
        Row("probabilistic_pl", "2", "probabilistic agent", "pl", _scripted("{kind: probabilistic}"), 20.12),
        Row("eta_tenth_exp", "2", "η = 0.1", "exp", eta(0.1), PUMP),
        Row("eta_1_exp", "2", "η = 1", "exp", eta(1.0), PUMP),
        Row("eta_100_exp", "2", "η = 100", "exp", eta(100.0), 21.32),
    ]
    by_fee: dict[Kernel, tuple[float | None, ...]] = {
        "exp": (None, 3.02, -5.67, -19.48), "pl": (None, 2.40, -25.22, -107.08),
    }  # fmt: skip
    for kernel, printed in by_fee.items():
        for points, value in zip((0, 2, 4, 8), printed, strict=True):
            name, what = f"fee_{points}_{kernel}", f"trained and judged at {points} bp"
            out.append(Row(name, "2", what, kernel, (), value, points * 1e-4))
    removed: dict[str, tuple[float | str, ...]] = {
        "history": (PUMP, 30.85), "intensities": (-20.23, -51.21), "spread": (PUMP, 17.66), "position": (PUMP, PUMP),
    }  # fmt: skip
    for what, both in removed.items():
        change = (f"market.observe.{what}=false",)
        out += [
            Row(f"no_{what}_{kernel}", "3", f"without {what}", kernel, change, one)
            for kernel, one in zip(KERNELS, both, strict=True)
        ]
    for name, dollars in (("tenth", 0.1), ("1", 1.0), ("10", 10.0), ("100", 100.0)):
        what = f"η = {dollars:g} and no bonuses, as the text has it"
        out.append(Row(f"printed_{name}_exp", "text", what, "exp", as_printed(dollars)))
    for kernel in KERNELS:
        quoter = _scripted("{kind: two_sided, cap: 3}")
        out.append(Row(f"two_sided_{kernel}", "besides", "two-sided quotes, cap 3", kernel, quoter))
    return tuple(out)


ROWS = {row.name: row for row in _rows()}
"""By name, in the order of the paper's tables."""


def chosen(names: list[str]) -> list[Row]:
    """Rows by their names, all of them for none; raises KeyError with a sentence for a name that is no row's."""
    for name in names:
        if name not in ROWS:
            raise KeyError(f"--rows: found {name!r}; allowed are {', '.join(ROWS)}")
    return [row for name, row in ROWS.items() if name in names or not names]
