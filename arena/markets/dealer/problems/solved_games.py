"""Which solved game a market is: a dealer market read as the game of a solver, and the solver's answer in its seats.

Executors with `makers.count: 0` are the N-trader execution game; makers with fluid `relative` or `logistic` flow are
the game of makers and traders, with its special cases: one buyer and equal penalties (ACAS), a population of buyers
(mean field), a random noise factor (approximation game). Inventories drawn per game are read as their means. Where a
market is none of these, the answer is one sentence that says why.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import QuadraticRisk, Start
from arena.markets.dealer.settings import NoiseRates
from arena.markets.parts.over_time import as_coefficient, steady
from arena.solvers.coefficients import Coefficient, coefficient
from arena.solvers.execution.game import ExecutionGame, execution_game
from arena.solvers.makers_traders.game import MakersTraders, makers_traders
from arena.solvers.makers_traders.shares import Logistic, Relative, ShareRule
from arena.solvers.solution import Condition, Player, Solution

if TYPE_CHECKING:
    from arena.solvers.makers_traders.approximation import NoiseFactor


class Why(ValueError):
    """Why a market is not a solved game, in one sentence."""


@lru_cache(maxsize=16)
def solve(market: DealerMarket, information: str = "open_loop", midpoints: bool = False) -> Solution | str:
    """The Nash equilibrium of a market, players named as its seats, or one sentence why theory knows none.

    information: 'open_loop' or 'feedback'. Paths are given at 101 instants, or in the middle of each step of the clock
    (`midpoints`). Conditions about the market's own ranges are added to the solver's.
    """
    clock = market.clock
    times = clock.dt * (np.arange(clock.steps) + 0.5) if midpoints else np.linspace(0.0, clock.horizon, 101)
    try:
        if not market.makers.count:
            return _execution(market, information, times)
        return _making(market, information, times)
    except Why as why:
        return f"no equilibrium is known for this market: {why}"
    except ValueError as error:  # the solver's own sentence: ill-posed numbers, no convergence
        return f"the solver finds no {information.replace('_', '-')} equilibrium: {error}"


# --- the execution game -----------------------------------------------------------------------------------------------


def execution_game_of(market: DealerMarket) -> ExecutionGame:
    """The execution game that a market without makers plays; raises Why.

    alpha = N impact, noise flows over N, and the common beta = N temporary_impact where every rate counts alike.
    """
    if market.makers.count:
        raise Why("it has makers, who are no part of the execution game")
    _plain(market)
    count = len(market.executors)
    _alike(market, ("temporary_impact", "cross_impact"))
    one = market.executors[0]
    cross = None if count == 1 or one.cross_impact == count - 1 else one.cross_impact
    buy, sell = noise_rates(market)
    return execution_game(
        (-_orders(market)).tolist(),
        horizon=market.clock.horizon,
        permanent_impact=_scaled(market.mark.impact, count),
        temporary_impact=_scaled(one.temporary_impact, 1 if cross is not None else count),
        running_penalty=[_scaled(executor.running_penalty) for executor in market.executors],
        terminal_penalty=[executor.terminal_penalty for executor in market.executors],
        noise_buy=_scaled(buy, 1 / count),
        noise_sell=_scaled(sell, 1 / count),
        cross_impact=cross,
    )


def _execution(market: DealerMarket, information: str, times: np.ndarray) -> Solution:
    from arena.solvers.execution.solve import solve_execution

    found = solve_execution(execution_game_of(market), times, information)
    return _seated(market, found)


# --- makers and traders -----------------------------------------------------------------------------------------------


def makers_traders_of(market: DealerMarket) -> MakersTraders:
    """The game of makers and traders that a market plays; raises Why."""
    if not market.makers.count:
        raise Why("it has no makers")
    _plain(market)
    makers, flow, rule = market.makers, market.flow, market.flow.rule
    share: ShareRule
    if rule.kind == "relative":
        share = Relative(rule.fill_decay)
    elif rule.kind == "logistic":
        share = Logistic(rule.sharpness, tuple(rule.offsets))
    else:
        raise Why(f"flow.rule is '{rule.kind}'; solved are 'relative' and 'logistic'")
    if makers.count == 1:
        raise Why("it has one maker; shares compare the quotes of two or more")
    if flow.orders == "poisson" and rule.kind == "relative":
        raise Why("flow.orders is 'poisson', where an order goes to one maker; 'relative' is solved in fluid flow")
    if steady(market.mark.impact) != 0:
        raise Why(f"mark.impact is {market.mark.impact}; trades that move the mid are solved without makers only")
    if not isinstance(makers.risk, QuadraticRisk):
        raise Why(f"makers.risk is '{makers.risk.kind}'; solved is 'quadratic'")
    if makers.hedging.kind not in ("none", "perfect"):
        raise Why(f"makers.hedging is '{makers.hedging.kind}'; solved are 'none' and 'perfect'")
    if makers.variation_aversion > 0:
        raise Why(f"makers.variation_aversion is {makers.variation_aversion:g}; solved is 0")
    _alike(market, ("temporary_impact", "cross_impact", "rate", "price"))
    first = market.executors[0] if market.executors else None
    if first is not None and rule.kind == "relative" and first.price == "vwap":
        raise Why("executors pay 'vwap'; under 'relative' shares solved is price: best")
    given: dict[str, Any] = {}
    if first is not None:
        given = {"temporary_impact": _scaled(first.temporary_impact), "cross_impact": first.cross_impact,
                 "min_rate": first.rate[0], "max_rate": first.rate[1], "trader_price": first.price}  # fmt: skip
    orders = _orders(market)
    buy, sell = noise_rates(market)
    return makers_traders(
        list(market.mean_inventories()),
        (-orders).tolist(),
        horizon=market.clock.horizon,
        share=share,
        noise_buy=buy,
        noise_sell=sell,
        running_penalty=[
            *(_scaled(value) for value in _each(makers.risk.running_penalty, makers.count)),
            *(_scaled(executor.running_penalty) for executor in market.executors),
        ],
        terminal_penalty=[
            *_each(makers.risk.terminal_penalty, makers.count),
            *(executor.terminal_penalty for executor in market.executors),
        ],
        trader_side=["buy" if order > 0 else "sell" for order in orders],
        **given,
    )


def factor_of(market: DealerMarket) -> NoiseFactor | None:
    """The noise factor L of `intensity: {model: log_ou}`: dL = -reversion L dt + volatility dW, flows times exp(L)."""
    from arena.solvers.makers_traders.approximation import NoiseFactor

    intensity = market.flow.intensity
    if intensity.model != "log_ou":
        return None
    buy, sell = noise_rates(market)
    return NoiseFactor(
        intensity.initial,
        drift=lambda t, level: -intensity.reversion * level,
        volatility=lambda t, level: np.full_like(level, intensity.volatility),
        noise_buy=lambda t, level: buy.at(t) * np.exp(level),
        noise_sell=lambda t, level: sell.at(t) * np.exp(level),
    )


def _making(market: DealerMarket, information: str, times: np.ndarray) -> Solution:
    from arena.solvers.makers_traders.open_loop import solve_makers_traders

    game, factor = makers_traders_of(market), factor_of(market)
    duel = game.makers == 2 and game.traders == 1
    if factor is not None:
        if information == "feedback":
            raise Why("its noise factor is random; solved is the open-loop equilibrium")
        if not duel:
            raise Why("its noise factor is random; solved are two makers with one trader")
        from arena.solvers.makers_traders.approximation import approximation_game

        return _seated(market, approximation_game(game, 0.0, factor, times))
    if information == "feedback":
        if not duel:
            raise Why("feedback equilibria are solved for two makers with one trader")
        from arena.solvers.makers_traders.feedback import feedback_nash

        return _seated(market, feedback_nash(game, times))
    buyers = bool(np.all(game.direction > 0))
    if isinstance(game.share, Relative) and game.makers == 2 and buyers:
        if game.traders == 1 and game.homogeneous and game.max_rate > 0:
            from arena.solvers.makers_traders.acas import solve_acas

            return _seated(market, solve_acas(replace(game, max_rate=np.inf), times))
        population = population_of(market)
        if population is not None:
            return _mean_field(market, population, times)
    return _seated(market, solve_makers_traders(game, times))


class Population(NamedTuple):
    """n small buyers read as a population: inventories of one of them, and the penalties that all players share."""

    inventory: np.ndarray
    temporary_impact: Any
    running_penalty: Any
    terminal_penalty: float


def population_of(market: DealerMarket) -> Population | None:
    """n equal buyers of q_j / n lots with n times the impact and penalties are a population of buyers of q_j lots.

    Their rates add up to the population's mean rate, and each pays for its own as one of the population does, per n.
    None where the makers' penalties are not those of the population, or the buyers differ in more than their orders.
    """
    n, risk = len(market.executors), market.makers.risk
    if n < 2 or not isinstance(risk, QuadraticRisk):
        return None
    one = market.executors[0]
    steadily = [steady(one.running_penalty), *(steady(value) for value in _each(risk.running_penalty, 2))]
    if None in steadily:
        return None
    phi, terminal = float(steadily[0] or 0.0) / n, one.terminal_penalty / n
    same = {(e.running_penalty, e.terminal_penalty, e.cross_impact) for e in market.executors} == {
        (one.running_penalty, one.terminal_penalty, 0.0)
    }
    for given, wanted in ((steadily[1:], phi), (_each(risk.terminal_penalty, 2), terminal)):
        same &= all(abs(float(value or 0.0) - wanted) <= 1e-12 * max(1.0, abs(wanted)) for value in given)
    if not same:
        return None
    return Population(-_orders(market) * n, _scaled(one.temporary_impact, 1 / n), phi, terminal)


def _mean_field(market: DealerMarket, population: Population, times: np.ndarray) -> Solution:
    from arena.solvers.makers_traders.mean_field import mean_field

    buy, sell = noise_rates(market)
    rule, n = market.flow.rule, len(market.executors)
    assert rule.kind == "relative"
    found = mean_field(
        list(market.mean_inventories()),
        population.inventory.tolist(),
        horizon=market.clock.horizon,
        fill_decay=rule.fill_decay,
        temporary_impact=population.temporary_impact,
        running_penalty=population.running_penalty,
        terminal_penalty=population.terminal_penalty,
        noise_buy=buy,
        noise_sell=sell,
        min_rate=n * market.executors[0].rate[0],
        t=times,
    )
    small = [
        replace(player, objective=player.objective / n, inventory=player.inventory / n, rate=player.rate / n)
        for player in found.players[3:]
        if player.rate is not None
    ]
    # the representative stands for all of them: its inventory and rate are their sums
    return _seated(market, replace(found, players=[*found.players[:2], *small, found.players[2]]))


# --- what both games share --------------------------------------------------------------------------------------------


def noise_rates(market: DealerMarket) -> tuple[Coefficient, Coefficient]:
    """Noise buying and selling, lots per clock unit, but for a random factor."""
    rate, intensity = market.flow.arrival_rate, market.flow.intensity
    if isinstance(rate, NoiseRates):
        sides = [as_coefficient(rate.noise_buy), as_coefficient(rate.noise_sell)]
    else:
        bid, ask = np.broadcast_to(np.asarray(rate, dtype=float), (1, 2))[0]
        sides = [coefficient(ask), coefficient(bid)]
    if intensity.model != "profile":
        return sides[0], sides[1]
    factor = coefficient({"t": intensity.t, "value": intensity.value})

    def times(base: Coefficient) -> Coefficient:
        return Coefficient(lambda t: base(t) * factor(t), knots=(*base.knots, *factor.knots))

    return times(sides[0]), times(sides[1])


def _scaled(value: Any, factor: float = 1.0) -> Coefficient:
    """A setting of the market as a coefficient, times a number."""
    base = value if isinstance(value, Coefficient) else as_coefficient(value)
    if base.constant is not None:
        return coefficient(base.constant * factor)
    return Coefficient(lambda t: base(t) * factor, base.knots)


def _plain(market: DealerMarket) -> None:
    """What every solved game asks of a market: one asset, no fees, nobody informed, sides that are known."""
    if market.n != 1 or market.products[0].right != "asset":
        raise Why(f"it quotes {', '.join(market.product_names)}; solved is one asset without options")
    fees = market.fees
    if fees.maker or fees.taker:
        raise Why(f"fees are {fees.maker:g} and {fees.taker:g}; solved is trading without fees")
    if market.flow.informed_share > 0:
        raise Why(f"flow.informed_share is {market.flow.informed_share:g}; solved is noise that knows nothing")
    if not market.makers.count and market.flow.intensity.model == "log_ou":
        raise Why("its noise factor is random and multiplies the flow; solved is a flow that is known")
    for j, executor in enumerate(market.executors):
        if executor.side == "coin":
            raise Why(f"executors[{j}].side is 'coin'; solved are sides that everybody knows")
        if steady(executor.temporary_impact) == 0:
            raise Why(f"executors[{j}].temporary_impact is 0; solved is trading that costs something")


def _alike(market: DealerMarket, names: tuple[str, ...]) -> None:
    for name in names:
        found = [getattr(executor, name) for executor in market.executors]
        if len(set(found)) > 1:
            raise Why(f"executors differ in {name} ({', '.join(map(str, found))}); solved is one for all")


def _orders(market: DealerMarket) -> np.ndarray:
    """Mean parent orders in lots, > 0 to buy [N]."""
    towards = [1.0 if executor.side == "buy" else -1.0 for executor in market.executors]
    return np.array(towards) * market.mean_orders()


def _each(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value] * count


def _seated(market: DealerMarket, found: Solution) -> Solution:
    """The solution with the market's own names, and with what the market's ranges and draws mean for it."""
    seats = [*market.maker_names, *market.executor_names]
    players = [replace(player, name=seat) for player, seat in zip(found.players, seats, strict=False)]
    checks = [*found.conditions, *_inside(market, players)]
    theorem = found.theorem
    if market.flow.orders == "poisson":
        theorem = f"none: orders come in lots of {market.flow.lot:g}; of the same game in fluid flow: {theorem}"
    notes = dict(found.diagnostics)
    drawn = [market.makers.initial_inventory, *(executor.size for executor in market.executors)]
    if any(isinstance(one, Start) and one.spread > 0 for one in drawn):
        notes["start"] = "the mean of the drawn inventories"
    return replace(found, players=[*players, *found.players[len(seats) :]], conditions=checks, theorem=theorem,
                   diagnostics=notes)  # fmt: skip


def _inside(market: DealerMarket, players: list[Player]) -> list[Condition]:
    """Whether the market's ranges hold along the path: quotes, inventories, rates, and orders that stop at 0."""
    makers, out = market.makers, []

    def check(name: str, values: list[np.ndarray], low: float, high: float) -> None:
        if values:
            least, most = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
            worst = least if low - least > most - high else most
            slack = 1e-9 * (1.0 + abs(worst))
            inside = low - slack <= least and most <= high + slack
            out.append(Condition(f"market: {name}", inside, worst, f"within [{low:g}, {high:g}]"))

    asks = [(p.ask, p.bid) for p in players if p.ask is not None and p.bid is not None]
    check("half-spreads in their range", [0.5 * (ask + bid) for ask, bid in asks], *makers.half_spread)
    check("skews in their range", [0.5 * (ask - bid) for ask, bid in asks], *makers.skew)
    check("distances in their range", [x for pair in asks for x in pair], makers.min_distance, makers.max_distance)
    if makers.inventory_limit is not None:
        limit = makers.inventory_limit
        check("inventories within the limit", [p.inventory for p in players if p.ask is not None], -limit, limit)
    traders = players[makers.count :]
    for executor, player in zip(market.executors, traders, strict=True):
        towards = 1.0 if executor.side == "buy" else -1.0
        if player.rate is not None:
            check(f"rates of {player.name} in their range", [towards * player.rate], *executor.rate)
        if executor.stop_at_target:
            check(f"{player.name} stops at its target", [-towards * player.inventory], 0.0, np.inf)
    return out
