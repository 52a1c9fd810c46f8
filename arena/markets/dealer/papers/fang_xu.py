"""Figures 1-8 of Fang & Xu 2025, drawn anew from exact solutions, each with what it claims and what the model says.

Every figure is drawn twice: under the correct economics (an ask fill lowers the inventory) and under the paper's sign
convention (dQ = dN+ - dN-, its ask fill raises it), which is the same model with bid and ask exchanged. A claim of the
paper is checked on the numbers of both drawings. The paper gives no parameters: those of the default configuration are
used, with its "t = 60" read as 0.6 of the horizon, so the figures are compared by shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agents.optimal_makers import HJBMaker
from arena.game import Game
from arena.layout import Array
from arena.pages import charts
from arena.pages.charts import Series
from arena.pages.page import Figure, Reproduction, Section, Table
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.maker import Maker, QuoteTable, blind_maker, solve
from arena.solvers.quoting.two_options import separable_penalty, solve_pair, vega_risk
from arena.solvers.quoting.value import inventory_law

VOL = 0.2 / 252**0.5
"""Volatility per root of a day."""
OPTIONS = tuple(OptionModel(100.0, strike, 63.0, VOL) for strike in (100.0, 105.0))
RATE, DECAY = 100.0, 10.0
"""Orders a day and side, and how fast they fall away with the distance, per $."""
PENALTY, LATE = 5e-4, 0.6
SHOWN = 20
"""Inventories -20 .. 20 are drawn; the limit is far beyond, so that the curves are those of a model without one."""
PATHS = 400
"""Simulated paths of figure 6: "hundreds", as the paper says."""
MISPRINT, LEAN = 0.00822, 1.1
"""Drift in $/lot/day that the misprinted hedged return adds (sigma^2 S^2/2 missing), and bid flow over ask flow."""
RISK_AVERSION, VOL_NOISE = 0.5, 0.01
"""Of the vega risk that does couple two options."""
CURVES = ("correct economics", "the paper's labels")


@dataclass(frozen=True)
class Claim:
    """What the paper says of a figure, and whether it holds under the correct economics and under its own labels."""

    words: str
    correct: bool
    labels: bool


@dataclass(frozen=True)
class Redrawn:
    """One figure (or pair of figures) of the paper: drawings, claims checked, and why."""

    title: str
    verdict: str
    figures: Sequence[Figure]
    claims: Sequence[Claim]
    data: dict[str, object] = field(default_factory=dict)

    def section(self) -> Section:
        """As a section of the page."""
        rows = [(claim.words, _yes(claim.correct), _yes(claim.labels)) for claim in self.claims]
        table = Table("", ("what the paper says", *CURVES), rows)
        data = {**self.data, "claims": [vars(claim) for claim in self.claims]}
        return Section(self.title, self.verdict, list(self.figures), [table], data=data)


def _yes(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def reproduction(say: Callable[[str], None]) -> Reproduction:
    """Figures 1-8 in order; `say` hears of each one as it is drawn."""
    redrawn = []
    for make in (figure_1, figures_2_and_3, figures_4_and_5, figure_6, figures_7_and_8):
        redrawn.append(make())
        say(redrawn[-1].title)
    claims = [claim for one in redrawn for claim in one.claims]
    tiles = [
        {"name": f"statements that hold, {name}", "value": f"{sum(held)} of {len(claims)}", "note": ""}
        for name, held in (
            (CURVES[0], [claim.correct for claim in claims]),
            (CURVES[1], [claim.labels for claim in claims]),
            ("one or the other", [claim.correct or claim.labels for claim in claims]),
        )
    ]
    never = sum(not (claim.correct or claim.labels) for claim in claims)
    return Reproduction(
        "Fang & Xu 2025: option market making as an exploratory control problem, figures 1 to 8",
        f"Most curves can be had, but with bid and ask exchanged; {never} of {len(claims)} statements about the "
        "figures cannot happen in the paper's own model.",
        [
            "The paper lets inventory rise when its ask is hit. That is the same model with the two names exchanged: "
            "values agree, every curve is mirrored."
        ],
        tiles,
        "The paper prints no parameters, so shapes are compared, not numbers.",
        [("spot, strikes", "100; 100 and 105"), ("volatility", "20 % a year, 252 days"), ("expiry", "63 days"),
         ("horizon", "1 day; t = 60 is read as 0.6"), ("flow", "100 lots a day and side, fill decay 10 per $"),
         ("terminal penalty", "5e-4 per $ (2e-5 in figures 4 and 5)")],
        [one.section() for one in redrawn],
    )  # fmt: skip


# --- figures ----------------------------------------------------------------------------------------------------------


def figure_1() -> Redrawn:
    """Quotes without a terminal penalty: flat."""
    table = _solved(0.0, 100)
    curves, data = _against_inventory(table)
    flat = float(max(np.ptp(values) for values in data.values()))
    same = max(float(np.abs(data[f"{side}, start"] - data[f"{side}, later"]).max()) for side in ("bid", "ask"))
    claims = [
        Claim("quotes do not depend on inventory", flat < 1e-6, flat < 1e-6),
        Claim("they are the same at t = 0 and t = 60", same < 1e-6, same < 1e-6),
    ]
    level = float(data["ask, start"].mean())
    return Redrawn(
        "Figure 1: no terminal penalty",
        f"Agrees. Both distances are 1/k = {level:.4f} everywhere: without a penalty inventory has no price. This "
        "needs an inventory limit far outside the picture; near a limit quotes bend. The exchange of bid and ask "
        "changes nothing.",
        curves("Figure 1"), claims, _plain(data),
    )  # fmt: skip


def figures_2_and_3() -> Redrawn:
    """Quotes against inventory with a terminal penalty."""
    table = _solved(PENALTY, 60)
    curves, data = _against_inventory(table)
    bid, ask = (np.diff(data[f"{side}, start"]) for side in ("bid", "ask"))
    steeper = bool(np.abs(np.diff(data["ask, later"])).min() > np.abs(ask).max())
    claims = [
        Claim("the bid spread narrows as inventory rises (figure 2)", bool((bid < 0).all()), bool((ask < 0).all())),
        Claim("the ask spread widens as inventory rises (figure 3)", bool((ask > 0).all()), bool((bid > 0).all())),
        Claim("both curves are steeper at t = 60 than at t = 0", steeper, steeper),
        Claim("the ask price falls as inventory rises (opening words)", bool((ask < 0).all()), bool((bid < 0).all())),
    ]  # fmt: skip
    middle = SHOWN
    return Redrawn(
        "Figures 2 and 3: quotes against inventory",
        "The shape agrees only under the paper's labels. A maker who is long wants to sell: its ask comes down "
        f"(distance {data['ask, start'][middle - 5]:.4f} at −5 lots, {data['ask, start'][middle + 5]:.4f} at +5) and "
        "its bid goes away from the mid. The paper's curves are the same ones with the names exchanged, because its "
        "inventory rises with an ask fill; its text then contradicts its own opening sentence. That the curves "
        "steepen towards the end is right.",
        curves("Figures 2 and 3"), claims, _plain(data),
    )  # fmt: skip


def figures_4_and_5() -> Redrawn:
    """Quotes over time at a fixed inventory of 100 lots."""
    table = _solved(2e-5, 150)
    heavy = _solved(PENALTY, 150)
    at = table.inventory.tolist().index(100)
    times = table.times[:-1]
    bid, ask = table.distance[:-1, at, 0], table.distance[:-1, at, 1]
    falls, rises = bool((np.diff(bid) < 0).all()), bool((np.diff(ask) > 0).all())
    mirrored = bool((np.diff(ask) < 0).all()), bool((np.diff(bid) > 0).all())
    claims = [
        Claim("holding 100 lots, the bid spread decreases towards the end (figure 4)", falls, mirrored[0]),
        Claim("holding 100 lots, the ask spread increases towards the end (figure 5)", rises, mirrored[1]),
    ]
    drawn = []
    for name, (one, other) in zip(CURVES, ((bid, ask), (ask, bid)), strict=True):
        svg = charts.lines(times, [Series("bid", one), Series("ask", other)], title=f"Figures 4 and 5, {name}",
                           x_label="time (days)", y_label="distance from the mid ($)", zero=True)  # fmt: skip
        drawn.append(Figure(svg, "Inventory fixed at 100 lots, limit 150, penalty 2e-5 per $."))
    clamped = bool((heavy.distance[:, at, 1] == 0).all())
    return Redrawn(
        "Figures 4 and 5: quotes over time at 100 lots",
        f"The shape agrees only under the paper's labels: long 100 lots, the ask comes in from {ask[0]:.4f} to "
        f"{ask[-1]:.4f} and the bid moves out from {bid[0]:.4f} to {bid[-1]:.4f}. The paper's own sentence, that a "
        "higher ask price makes selling more likely, has the sign of demand wrong. The penalty is small here on "
        f"purpose: at 5e-4 the ask would be at the mid {'all day' if clamped else 'for part of the day'}, for 100 "
        "lots then cost more than any spread earns.",
        drawn, claims, {"time": times.tolist(), "bid": bid.tolist(), "ask": ask.tolist()},
    )  # fmt: skip


def figure_6() -> Redrawn:
    """The inventory over time: exact law, simulated paths, and two ways to the paper's picture."""
    maker = _maker(PENALTY, 20)
    table = solve(maker, 100)
    law = inventory_law(maker, table.distance)
    market: Any = load("fang_xu_single").market
    game = Game(market, PATHS)
    act = HJBMaker().sit(market, market.maker_names[0])
    paths = play(game, {market.maker_names[0]: act}, seeds_of(6, PATHS), trace=True).path("maker_inventory")[:, :, 0, 0]
    drifting = replace(maker, drift=MISPRINT)
    wrong = inventory_law(drifting, solve(drifting, 100).distance)
    leaning = replace(maker, arrival_rate=(LEAN * maker.rates[0], float(maker.rates[1])))
    lean = inventory_law(leaning, solve(leaning, 100).distance)
    half = law.times.size // 2
    rises = float(law.mean[half]) > 1e-6
    later = bool(law.std[-1] < law.std.max() and 0 < int(law.std.argmax()) < law.std.size - 1)
    claims = [
        Claim("on average the maker accumulates inventory in the first half", rises, rises),
        Claim("the average declines in the second half", rises, rises),
        Claim("the inventory's spread shrinks towards the end, because of the penalty", later, later),
    ]
    x_label = "time (days)"
    simulated = [
        Series("mean of the paths", paths.mean(axis=1), *_band(paths)),
        Series("exact mean", law.mean),
        Series("exact standard deviation", law.std),
    ]
    tried = [Series("misprinted drift", wrong.mean), Series(f"{100 * (LEAN - 1):.0f} % more bids hit", lean.mean),
             Series("as it should be", law.mean)]  # fmt: skip
    drawn = [
        Figure(charts.lines(law.times, simulated, title="Figure 6: inventory", x_label=x_label, y_label="lots"),
               f"{PATHS} games in the market; the band is two standard errors of their mean."),
        Figure(charts.lines(law.times, tried, title="Mean inventory if one is off", x_label=x_label, y_label="lots"),
               "Feeding the drift of the misprinted hedged return gives the paper's shape; asymmetric flow does not."),
    ]  # fmt: skip
    return Redrawn(
        "Figure 6: inventory paths",
        "The hump of the mean cannot happen: flow, penalty and policy are symmetric, so the mean inventory is 0 at "
        f"all times (largest {np.abs(law.mean).max():.0e}), whichever side is called ask. What does rise and fall is "
        f"the standard deviation, to {law.std.max():.2f} lots at {law.times[law.std.argmax()]:.2f} days and "
        f"{law.std[-1]:.2f} at the end. A mean like the paper's appears when its misprinted hedged return is used, "
        f"which hands out {MISPRINT} $ per lot and day: up to {wrong.mean.max():.2f} at "
        f"{wrong.times[wrong.mean.argmax()]:.2f}, then {wrong.mean[-1]:.2f} at the end (our inference about its "
        "origin).",
        drawn, claims, {"time": law.times.tolist(), "mean": law.mean.tolist(), "std": law.std.tolist()},
    )  # fmt: skip


def figures_7_and_8() -> Redrawn:
    """Two options: the quotes of both against the inventory of the first."""
    one = Maker(RATE, DECAY, horizon=1.0, inventory_limit=15)
    vegas = [option.vega() / 252**0.5 for option in OPTIONS]  # volatility per root of a year, as desks quote it
    separable = separable_penalty(OPTIONS, PENALTY, 1.0)
    alone = solve_pair((one, one), separable, steps=5)
    joint = solve_pair((one, one), separable, vega_risk(vegas, RISK_AVERSION, VOL_NOISE), steps=5)
    reach, empty, row = slice(5, 26), 15, 3  # -10 .. 10 lots of the first option, none of the second, t = 0.6
    lots = alone.inventories[0][reach].astype(float)
    names = ("C100", "C105")

    def curves(table: object, side: int) -> list[Array]:
        return [table.distance[row, reach, empty, option, side] for option in (0, 1)]  # type: ignore[attr-defined]

    own = bool(np.abs(np.diff(curves(alone, 1)[0])).min() > 1e-4)
    moved = [float(np.ptp(curves(table, 1)[1])) for table in (alone, joint)]
    wide = [float(alone.distance[row, empty, empty, option].sum()) for option in (0, 1)]
    claims = [
        Claim("the first option's inventory moves its own spreads", own, own),
        Claim("it also moves the second option's spreads", moved[0] > 1e-6, moved[0] > 1e-6),
        Claim("the out-of-the-money option has the wider spread", wide[1] > wide[0], wide[1] > wide[0]),
    ]
    drawn = []
    for words, table in (("separable risk", alone), ("vega risk", joint)):
        for name, side in zip(CURVES, (1, 0), strict=True):
            for label, column in (("Figure 7, bid", 1 - side), ("Figure 8, ask", side)):
                drawn.append(_two(lots, names, curves(table, column), f"{label}: {words}", name))
    return Redrawn(
        "Figures 7 and 8: two options",
        "The second option's reaction cannot happen: rewards, penalties and controls of the paper's model are sums "
        f"over the options, so the value is too, and the C105 quotes stay at {curves(alone, 1)[1][0]:.6f} whatever "
        f"the C100 inventory (they move by {moved[0]:.0e}). Its curves must be an artefact of the approximation. A "
        "risk that the options share does couple them: with a running penalty on the book's vega they move by "
        f"{moved[1]:.4f}. With equal flow the option that is further out is not quoted wider but, being worth less, "
        f"slightly tighter ({wide[1]:.5f} against {wide[0]:.5f}).",
        drawn, claims, {"lots": lots.tolist(), "C105 ask": curves(alone, 1)[1].tolist()},
    )  # fmt: skip


# --- their parts ------------------------------------------------------------------------------------------------------


def _maker(penalty: float, limit: int) -> Maker:
    return blind_maker(OPTIONS[0], penalty, 1.0, arrival_rate=RATE, fill_decay=DECAY, inventory_limit=limit)


def _solved(penalty: float, limit: int) -> QuoteTable:
    return solve(_maker(penalty, limit), 50)


def _against_inventory(table: QuoteTable) -> tuple[Callable[[str], list[Figure]], dict[str, Array]]:
    """Quotes at the start and later over the inventories that are shown; drawings of them by title, and the numbers."""
    middle, later = table.inventory.size // 2, round(LATE * (table.times.size - 1))
    reach = slice(middle - SHOWN, middle + SHOWN + 1)
    lots = table.inventory[reach].astype(float)
    data = {
        f"{side}, {when}": table.distance[k, reach, column]
        for side, column in (("bid", 0), ("ask", 1))
        for when, k in (("start", 0), ("later", later))
    }

    def drawn(title: str) -> list[Figure]:
        out = []
        for name, exchange in zip(CURVES, (("bid", "ask"), ("ask", "bid")), strict=True):
            series = [
                Series(f"{label}, t = {0 if when == 'start' else 60}", data[f"{source}, {when}"])
                for label, source in zip(("bid", "ask"), exchange, strict=True)
                for when in ("start", "later")
            ]
            svg = charts.lines(lots, series, title=f"{title}, {name}", x_label="inventory (lots)",
                               y_label="distance from the mid ($)", zero=True)  # fmt: skip
            out.append(Figure(svg, "Distances of both quotes at the start and at 0.6 of the day."))
        return out

    return drawn, data


def _two(lots: Array, names: Sequence[str], curves: Sequence[Array], title: str, label: str) -> Figure:
    series = [Series(name, curve) for name, curve in zip(names, curves, strict=True)]
    svg = charts.lines(lots, series, title=f"{title}, {label}", x_label="inventory of C100 (lots)",
                       y_label="distance from the mid ($)")  # fmt: skip
    return Figure(svg, "At 0.6 of the day, no C105 on the book.")


def _band(paths: Array) -> tuple[Array, Array]:
    """Two standard errors around the mean of paths [T+1, paths]."""
    mean, error = paths.mean(axis=1), paths.std(axis=1, ddof=1) / paths.shape[1] ** 0.5
    return mean - 2 * error, mean + 2 * error


def _plain(data: dict[str, Array]) -> dict[str, object]:
    return {name: values.tolist() for name, values in data.items()}
