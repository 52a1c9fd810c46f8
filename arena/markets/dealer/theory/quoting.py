"""What quoting theory says about a scenario: optimal quotes by time and inventory, their value, and where they lead.

One maker: the Hamilton-Jacobi-Bellman optimum of each product. Two makers in one product under `soft_best`: the Markov
perfect equilibrium. Values are given in continuous time, as the papers have them, and in the scenario's own steps, as
its games are played. Both are exact for policies of time and inventories; a maker who also sees the price can earn a
little more (`solvers.quoting_pde`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.quoting_problem import duel_problem, maker_problem
from arena.markets.market import Act
from arena.solvers.options.half_spreads import soft_best_nash
from arena.solvers.quoting import duel as option_duel
from arena.solvers.quoting import duel_law as option_duel_law
from arena.solvers.quoting import maker as quoting
from arena.solvers.quoting import value as policy_value
from arena.solvers.quoting.duel_steps import best_response_in_steps, evaluate_in_steps
from arena.theory import Listing, Panel

ROWS, MOST = 6, 9
"""Instants and inventories of a table of quotes, at most."""
FLOW = 0.5
"""A drawing shows inventories up to this share of the limit: what lies beyond is hardly visited."""


@dataclass(frozen=True)
class Quoting:
    """Optimal quotes of one product, seen from one maker; `distance` [N+1, 2Q+1, 2] is at an empty rival's book."""

    product: str
    unit: str
    times: Array  # [N+1]
    inventory: NDArray[np.int64]  # [2Q+1]
    distance: Array  # [N+1, 2Q+1, 2], inf = withdrawn
    numbers: dict[str, float]  # by name with its unit, in the order to print
    mean: Array  # [N+1] of the inventory
    std: Array  # [N+1]

    def quotes(self) -> list[Listing]:
        """Bid and ask distances at a few instants and inventories, a table each."""
        at, q = self._instants(), self._lots()
        head = ("inventory, lots", *(f"{self.times[k]:.3g} {self.unit}s" for k in at))
        return [
            Listing(
                f"{self.product}: optimal {side} distances from the mid, $, at these times",
                head,
                [(f"{self.inventory[i]}", *(_spelled(self.distance[k, i, column]) for k in at)) for i in q],
            )
            for column, side in enumerate(("bid", "ask"))
        ]

    def panels(self) -> list[Panel]:
        """Quotes against inventory at the start and late, quotes against time, and the inventory's spread."""
        reach = np.abs(self.inventory) <= max(1, round(FLOW * self.inventory[-1]))
        lots, late = self.inventory[reach].astype(float).tolist(), round(0.6 * (self.times.size - 1))
        sides = (("bid", 0), ("ask", 1))
        lines = {
            f"{side}, {when}": self.distance[k, reach, column].tolist()
            for when, k in (("start", 0), (f"{self.times[late]:.2g} {self.unit}s", late))
            for side, column in sides
        }
        middle = self.inventory.size // 2
        flat = {side: self.distance[:-1, middle, column].tolist() for side, column in sides}
        x_label, y_label, times = f"time ({self.unit}s)", "distance from the mid ($)", self.times.tolist()
        return [
            Panel(f"{self.product}: quotes against inventory", "inventory (lots)", y_label, lots, lines),
            Panel(f"{self.product}: quotes over time, empty book", x_label, y_label, times[:-1], flat),
            Panel(f"{self.product}: inventory", x_label, "lots", times,
                  {"mean": self.mean.tolist(), "standard deviation": self.std.tolist()}),
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; a withdrawn side is null."""
        quotes = [[[None if np.isinf(x) else float(x) for x in row] for row in rows] for rows in self.distance]
        return {
            "product": self.product, "times": self.times.tolist(), "inventory": self.inventory.tolist(),
            "distance": quotes, "numbers": self.numbers, "inventory_mean": self.mean.tolist(),
            "inventory_std": self.std.tolist(),
        }  # fmt: skip

    def _instants(self) -> NDArray[np.int64]:
        return np.unique(np.linspace(0, self.times.size - 2, ROWS).round().astype(int))

    def _lots(self) -> NDArray[np.int64]:
        return np.unique(np.linspace(0, self.inventory.size - 1, min(MOST, self.inventory.size)).round().astype(int))


@dataclass(frozen=True)
class QuotingAnswer:
    """The optimum of one maker, product by product, or the duel's equilibrium."""

    sentence: str
    products: tuple[Quoting, ...]

    def headline(self) -> str:
        """One sentence: which problem, and the theorem that covers it."""
        return self.sentence

    def tables(self) -> Sequence[Listing]:
        """Per product its numbers and its quotes."""
        out = []
        for one in self.products:
            rows = [(name, f"{value:.6g}") for name, value in one.numbers.items()]
            out += [Listing(f"{one.product}: value and inventory, $ per game", ("what", "value"), rows), *one.quotes()]
        if len(self.products) > 1:
            total = {name: sum(one.numbers[name] for one in self.products) for name in self.products[0].numbers
                     if "inventory" not in name and "half-spread" not in name}  # fmt: skip
            out.append(Listing("All products: the sum", ("what", "value"), [(k, f"{v:.6g}") for k, v in total.items()]))
        return out

    def panels(self) -> Sequence[Panel]:
        """Drawings of every product."""
        return [panel for one in self.products for panel in one.panels()]

    def to_dict(self) -> dict[str, Any]:
        """{sentence, products}."""
        return {"sentence": self.sentence, "products": [one.to_dict() for one in self.products]}


def answer(market: DealerMarket, information: str = "feedback") -> QuotingAnswer | str:
    """The optimum or equilibrium of a market's makers, or one sentence why theory knows none.

    Quotes are functions of time and inventories whatever `information` says: theory has no open-loop form of them.
    """
    return _answer(market)


@lru_cache(maxsize=16)
def _answer(market: DealerMarket) -> QuotingAnswer | str:
    try:
        if market.makers.count == 1:
            products = tuple(_alone(market, i) for i in range(market.n))
            return QuotingAnswer(
                "one maker's optimal quotes by time and inventory, the same whatever the other products' inventories: "
                "Hamilton-Jacobi-Bellman equation, verification theorem (Fang & Xu 2025, corrected)",
                products,
            )
        if market.makers.count == 2:
            return QuotingAnswer(
                "two makers, Markov perfect equilibrium in time and both inventories: each side's game has one "
                "equilibrium while a rival's fill is worth less than 1/fill_decay",
                (_duel(market),),
            )
        why = f"market.makers.count: found {market.makers.count}; allowed is 1, or 2 in a duel"
    except ValueError as error:
        why = str(error)
    return f"no optimal quotes are known for this market: {why}"


def _alone(market: DealerMarket, product: int) -> Quoting:
    """The one-maker optimum of one product."""
    problem = maker_problem(market, market.maker_names[0], product)
    found = quoting.solve(problem, market.clock.steps)
    middle = problem.inventory_limit
    law = policy_value.inventory_law(problem, found.distance)
    income = policy_value.spread_income(problem, found.distance)
    square = law.probability @ np.square(problem.inventory, dtype=float)
    played = policy_value.value_in_steps(problem, found.distance)
    flat = np.clip(1.0 / problem.decays, problem.min_distance, problem.max_distance)
    naive = np.where(np.isinf(found.distance), np.inf, flat)
    steps = market.clock.steps
    numbers = {
        "value of the optimum, continuous time": float(found.value[0, middle]),
        f"value of these quotes in {steps} steps": float(played[0, middle]),
        f"value of the constant distance 1/fill_decay in {steps} steps": float(
            policy_value.value_in_steps(problem, naive)[0, middle]
        ),
        "expected spread earned": income,
        "expected terminal penalty": problem.terminal_cost * float(square[-1]),
        "expected running penalty": 0.5 * problem.running_penalty * float(np.trapezoid(square, law.times)),
        "inventory at the end, standard deviation, lots": float(law.std[-1]),
        "inventory, largest standard deviation on the way, lots": float(law.std.max()),
    }  # fmt: skip
    return Quoting(market.product_names[product], market.clock.unit, found.times, found.inventory, found.distance,
                   numbers, law.mean, law.std)  # fmt: skip


def _duel(market: DealerMarket) -> Quoting:
    """The duel's equilibrium, seen by one of the two equal makers."""
    duel, other = (duel_problem(market, seat) for seat in market.maker_names)
    if duel != other:
        raise ValueError("market.makers.risk: found penalties that differ; allowed is a duel of two equal makers")
    steps, middle = market.clock.steps, duel.inventory_limit
    found = option_duel.equilibrium(duel, steps)
    law = option_duel_law.law(duel, found.distance, found.distance)
    played = evaluate_in_steps(duel, found.distance, found.distance).start
    gain = best_response_in_steps(duel, found.distance).start - played
    decay = float(quoting.both_sides(duel.fill_decay)[0])
    numbers = {
        "value of the equilibrium to each maker, continuous time": found.start,
        f"value of these quotes in {steps} steps": played,
        f"gain of a best response to them in {steps} steps": gain,
        "value to each maker of joint profit": 0.5 * option_duel.joint_profit(duel, steps).start,
        "expected spread earned": law.income,
        "expected terminal penalty": law.terminal_penalty,
        "expected running penalty": law.running_penalty,
        "static Nash half-spread, no inventory": soft_best_nash(2, decay, duel.sharpness),
        "inventory at the end, standard deviation, lots": float(law.std[-1]),
        "inventory, largest standard deviation on the way, lots": float(law.std.max()),
    }  # fmt: skip
    return Quoting(market.product_names[0], market.clock.unit, found.times, found.inventory,
                   found.distance[:, :, middle], numbers, law.mean, law.std)  # fmt: skip


def quotes_beside(market: DealerMarket, acts: Mapping[str, Act], told: QuotingAnswer) -> dict[str, Any]:
    """Learned quotes over the optimal ones, of the first maker: {sentence, panels} of theory.json.

    A policy of time and inventories is asked in the states that are drawn, all other inventories being 0. Empty where
    makers see more, for then a quote has no one value in such a state.
    """
    role, seat = market.roles[0], market.maker_names[0]
    if not {field.name for field in role.observation} <= {"time_left", "inventory", "maker_inventory"}:
        return {}
    panels, far = [], []
    for i, one in enumerate(told.products):
        quoted = _quoted(market, acts[seat], i, one)
        live = np.isfinite(one.distance[:-1])
        weight = np.exp(-0.5 * np.square(one.inventory / np.maximum(one.std[:-1, None], 1.0)))[..., None] * live
        gap = np.abs(np.where(live, quoted - np.where(live, one.distance[:-1], 0.0), 0.0))
        far.append(float((weight * gap).sum() / (weight * np.where(live, one.distance[:-1], 0.0)).sum()))
        for panel in _over(one, quoted):
            caption = "What was learned, and what theory plays. Every other inventory is 0."
            panels.append({**panel, "y_label": "distance from the mid, $", "zero": True, "caption": caption})
    away = f"{100 * float(np.mean(far)):.3g} %"
    sentence = (
        f"{told.sentence}. {seat}'s quotes are on average {away} away from it, weighted by how often it is there."
    )
    return {"sentence": sentence[0].upper() + sentence[1:], "panels": panels}


def _quoted(market: DealerMarket, act: Act, product: int, one: Quoting) -> Array:
    """The distances [N, 2Q+1, 2] that an act quotes at the start of each step and each inventory of one product."""
    role, clock = market.roles[0], market.clock
    left, lots = np.meshgrid(clock.horizon - clock.dt * np.arange(clock.steps), one.inventory, indexing="ij")
    seen = np.zeros((left.size, role.observation.size), np.float32)
    seen[:, role.observation.slice("time_left")] = left.reshape(-1, 1)
    seen[:, role.observation.slice("inventory").start + product] = lots.ravel()
    action = role.numbers.from_unit(np.clip(act(seen, np.zeros((left.size, role.action.size))), -1.0, 1.0))
    half, skew = action[:, 2 * product], action[:, 2 * product + 1]
    return np.stack(market.makers.distances(half, skew), axis=-1).reshape(*left.shape, 2)


def _over(one: Quoting, quoted: Array) -> list[dict[str, Any]]:
    """Panels of learned over optimal quotes: against inventory at three instants, and over time with an empty book."""
    reach = np.abs(one.inventory) <= max(1, round(FLOW * one.inventory[-1]))
    steps, middle, sides = one.times.size - 1, one.inventory.size // 2, (("bid", 0), ("ask", 1))
    panels = []
    for k in (0, steps // 2, round(0.9 * steps)):
        series = [
            {"name": f"{side}, {who}", "y": table[k, reach, column].tolist(), "style": style}
            for style, (who, side, column, table) in enumerate(
                (who, side, column, table)
                for who, table in (("learned", quoted), ("theory", one.distance))
                for side, column in sides
            )
        ]
        when = f"at {one.times[k]:.2g} {one.unit}s" if k else "at the start"
        title = f"{one.product}: quotes against inventory {when}"
        panels.append(
            {"title": title, "x_label": "own inventory (lots)", "x": one.inventory[reach].tolist(), "series": series}
        )
    flat = [
        {"name": f"{side}, {who}", "y": table[:steps, middle, column].tolist()}
        for who, table in (("learned", quoted), ("theory", one.distance))
        for side, column in sides
    ]
    title = f"{one.product}: quotes over time, empty book"
    panels.append({"title": title, "x_label": f"time ({one.unit}s)", "x": one.times[:steps].tolist(), "series": flat})
    return panels


def _spelled(distance: float) -> str:
    """A distance, a withdrawn side as a dash."""
    return "–" if np.isinf(distance) else f"{distance:.5f}"
