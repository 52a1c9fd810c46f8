"""Exact gains of best responses where the whole state is time and inventories: one option, one maker or a duel.

    gain_i = max over policies of (t, own, rival) of J_i  -  J_i(profile)

Any policy of these columns is a table: its act is asked at every step and inventory, with the observations the market
itself would show. The best response and the profile's value then come from backward induction in the market's own
Poisson steps (`solvers.quoting_steps`, `solvers.option_duel_steps`); nothing is sampled and nothing is interpolated.

Exact means exact for the game that the seats play. So the engine applies only where

* a maker sees time and inventories alone (`observe: {last: false, prices: false}`): then inventories are independent of
  the price, and the terminal penalty psi P^2 q^2 is c q^2 with c = psi E[P_T^2]. A seat that saw the price could
  condition on it; one that saw last quotes or fills could read a rival's state or memory from them. Those games are
  searched instead;
* acts ignore their noise: a policy that draws its quotes has another value than the table of its means;
* the actions reach every pair of distances that the market allows, so that a best response is a legal one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.game import Game
from arena.gaps.profile import Profile, Search, SeatGain, certain
from arena.layout import Array
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.quoting_problem import duel_problem, maker_problem
from arena.markets.dealer.seats import Start
from arena.markets.market import Act
from arena.solvers.quoting.duel_steps import best_response_in_steps, evaluate_in_steps
from arena.solvers.quoting.steps import solve_in_steps
from arena.solvers.quoting.value import value_in_steps


class Response(NamedTuple):
    """What a seat earns and could earn at best, and the tables that do so [N+1, own(, rival), 2], inf = withdrawn."""

    value: float
    best: float
    distance: Array
    best_distance: Array

    @property
    def gain(self) -> float:
        """What the best response adds."""
        return self.best - self.value


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether the market has no `obstacle` and every act is a table."""
    return not obstacle(market) and follows_tables(market, profile.acts)


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Exact gains of all seats."""
    found = responses(market, profile.acts)
    return certain({seat: one.gain for seat, one in found.items()}, "best response on the lattice")


def obstacle(market: DealerMarket) -> str:
    """Why this market's best responses are not known exactly, one sentence; empty where they are."""
    makers = market.makers
    if makers.count > 2 or market.n > 1:
        return f"{makers.count} makers and {market.n} products; known is one product with one maker or two"
    columns = {"time_left", "inventory"} | ({"maker_inventory"} if makers.count == 2 else set())
    if seen := {field.name for field in market.roles[0].observation} ^ columns:
        return f"makers see, or miss, {', '.join(sorted(seen))}; known is a policy of {', '.join(sorted(columns))}"
    if isinstance(makers.initial_inventory, Start) or any(q != round(q) for q in market.mean_inventories()):
        return "games start at drawn or broken inventories; known is a start at whole lots"
    low, high = makers.min_distance, makers.max_distance
    half, skew = makers.half_spread, makers.skew
    if half[0] > low or half[1] < high or min(-skew[0], skew[1]) < 0.5 * (high - low):
        return "the actions do not reach every distance between min_distance and max_distance"
    try:
        for seat in market.maker_names:
            problem = maker_problem(market, seat) if makers.count == 1 else duel_problem(market, seat)
            if problem.running_penalty != 0:
                return "a running penalty, which the market charges between two inventories of a step"
    except ValueError as error:
        return str(error)
    return ""


def follows_tables(market: DealerMarket, acts: Mapping[str, Act]) -> bool:
    """Whether every act ignores its noise, at all states of the lattice. For markets without an `obstacle`."""
    for seat in market.maker_names:
        seen = _observations(market)
        noise = np.random.Generator(np.random.Philox(0)).standard_normal((len(seen), market.roles[0].action.size))
        if not np.array_equal(acts[seat](seen, noise), acts[seat](seen, np.zeros_like(noise))):
            return False
    return True


def tabulate(market: DealerMarket, act: Act) -> Array:
    """The distances that an act quotes, [N+1, own(, rival), 2]; the last row is not played and repeats the one before.

    Clipped as the market clips them, and withdrawn (inf) where a fill would break the inventory limit. For markets
    without an `obstacle`.
    """
    makers, role, steps = market.makers, market.roles[0], market.clock.steps
    seen = _observations(market)
    wish = np.nan_to_num(np.asarray(act(seen, np.zeros((len(seen), role.action.size))), dtype=float))
    half, skew = role.numbers.from_unit(np.clip(wish, -1.0, 1.0)).T
    n = _inventories(market).size
    distance = np.stack(makers.distances(half, skew), axis=-1)
    table = distance.reshape(steps, *(n,) * makers.count, 2)
    table[:, -1, ..., 0] = np.inf
    table[:, 0, ..., 1] = np.inf
    return np.concatenate([table, table[-1:]])


def responses(market: DealerMarket, acts: Mapping[str, Act]) -> dict[str, Response]:
    """Values and best responses of all seats, by seat. Raises ValueError with the market's `obstacle`."""
    if why := obstacle(market):
        raise ValueError(why)
    tables = {seat: tabulate(market, acts[seat]) for seat in market.maker_names}
    if market.makers.count == 1:
        seat = market.maker_names[0]
        problem = maker_problem(market, seat)
        best = solve_in_steps(problem, market.clock.steps)
        at = _start(market, seat)
        value = float(value_in_steps(problem, tables[seat])[0][at])
        return {seat: Response(value, float(best.value[0][at]), tables[seat], best.distance)}
    out: dict[str, Response] = {}
    first, second = market.maker_names
    for seat, other in ((first, second), (second, first)):
        duel, at = duel_problem(market, seat), _start(market, seat)
        if (
            out
            and at == _start(market, first)
            and duel == duel_problem(market, first)
            and np.array_equal(tables[first], tables[second])
        ):
            out[seat] = out[first]  # the same question
            continue
        value = evaluate_in_steps(duel, tables[seat], tables[other]).value[0][at]
        answer = best_response_in_steps(duel, tables[other])
        out[seat] = Response(float(value), float(answer.value[0][at]), tables[seat], answer.distance)
    return out


def value(market: DealerMarket, acts: Mapping[str, Act], seat: str) -> float | None:
    """What a seat earns when these act, exactly; none where the market or an act is beyond the lattice."""
    if obstacle(market) or not follows_tables(market, acts):
        return None
    own, at = tabulate(market, acts[seat]), _start(market, seat)
    if market.makers.count == 1:
        return float(value_in_steps(maker_problem(market, seat), own)[0][at])
    (other,) = set(market.maker_names) - {seat}
    return float(evaluate_in_steps(duel_problem(market, seat), own, tabulate(market, acts[other])).value[0][at])


def _start(market: DealerMarket, seat: str) -> tuple[int, ...]:
    """The node that games start from, a seat's own inventory first."""
    nodes = tuple(int(q) + _inventories(market).size // 2 for q in market.mean_inventories())
    return nodes if seat == market.maker_names[0] else nodes[::-1]


def _observations(market: DealerMarket) -> NDArray[np.float32]:
    """What a maker sees at every step and inventory, [steps * own (* rival), D], time slowest."""
    layout, q = market.roles[0].observation, _inventories(market).astype(np.float32)
    game = Game(market, 1)
    game.reset(np.zeros(1, np.uint64))
    shown = [game.observation["maker"][0, 0, layout.slice("time_left")].copy()]
    for _ in range(market.clock.steps - 1):
        game.advance()
        shown.append(game.observation["maker"][0, 0, layout.slice("time_left")].copy())
    grid = np.meshgrid(np.concatenate(shown), *[q] * market.makers.count, indexing="ij")
    seen = np.empty((grid[0].size, layout.size), np.float32)
    for name, values in zip(("time_left", "inventory", "maker_inventory"), grid, strict=False):
        seen[:, layout.slice(name)] = values.reshape(-1, 1)
    return seen


def _inventories(market: DealerMarket) -> NDArray[np.int64]:
    assert market.makers.inventory_limit is not None
    return np.arange(-int(market.makers.inventory_limit), int(market.makers.inventory_limit) + 1)
