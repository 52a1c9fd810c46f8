"""Market makers that play what quoting theory says: the table of a solved problem, looked up by step and inventory.

The problem is read off the market (`dealer.problems.quoting_problem`), in which a maker's reward separates into one
problem per product. Where the market is no such problem, sitting down fails with a sentence. A table is solved once per
market and kept; a quote holds for a whole step, as everybody's does.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agents.hedged import Hedged
from arena.layout import Array
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import PerfectHedge
from arena.markets.market import Act

Positive = Annotated[float, Field(gt=0)]


class HJBMaker(Hedged):
    """The optimum of one maker, from its Hamilton-Jacobi-Bellman equation (Fang & Xu 2025 with temperature 0).

        v_t - phi/2 q^2 + H_b(v(q+1) - v(q)) + H_a(v(q-1) - v(q)) = 0,   v(T, q) = -c q^2,   eps* = 1/k - change of v

    Rivals are ignored: with M makers under `soft_best` it quotes as if each had its own A/M of the flow (kappa = k).
    """

    kind: Literal["hjb_maker"] = "hjb_maker"
    as_if_hedged: bool = Field(
        default=False,
        exclude_if=lambda asked: not asked,  # so that no scenario written before it has another hash
        description="quote as if the hedge were perfect and variation free, outside the theory; else such markets "
        "are refused",
    )

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the market is not a sum of one-maker problems."""
        _needs(market, self.kind, "inventory")
        table = _optimum(_as_if_hedged(market) if self.as_if_hedged else market, seat, 0.0, "uniform")[1]
        act = _table_act(market, lambda step, own, rival: table[step[:, None], own, np.arange(market.n)])
        return self.hedged(market, act)


class GibbsMaker(Hedged):
    """The exploratory policy of Fang & Xu 2025: distances drawn from f ~ exp(A e^{-k eps}(eps + d)/gamma) or its mode.

    A draw is made for every step and side (in continuous time it is one for every potential fill). It uses the action
    noise of the seat, so that games repeat; the mode is the quote that the solved value calls best.
    """

    kind: Literal["gibbs_maker"] = "gibbs_maker"
    temperature: Positive = Field(default=0.2, description="gamma, weight of the entropy, currency per clock unit")
    entropy: Literal["uniform", "lebesgue"] = Field(
        default="uniform", description="measured against the uniform density on the range, or in currency"
    )
    explore: bool = Field(default=True, description="draw the distances; false: quote the mode")

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the market is not a sum of one-maker problems."""
        _needs(market, self.kind, "inventory")
        value, mode = _optimum(market, seat, self.temperature, self.entropy)
        if not self.explore:
            best = _table_act(market, lambda step, own, rival: mode[step[:, None], own, np.arange(market.n)])
            return self.hedged(market, best)
        from scipy.special import ndtr

        from arena.markets.dealer.problems.quoting_problem import maker_problem
        from arena.solvers.quoting.gibbs import sample

        makers = [maker_problem(market, seat, i, temperature=self.temperature) for i in range(market.n)]
        role, limit = market.roles[0], makers[0].inventory_limit

        def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
            step, own, _ = _where(market, observation)
            uniform = ndtr(np.asarray(noise, dtype=float)[:, : 2 * market.n]).reshape(len(observation), market.n, 2)
            distance = np.empty_like(uniform)
            for i, maker in enumerate(makers):
                for side, move in enumerate((1, -1)):
                    after = np.clip(own[:, i] + move, 0, 2 * limit)  # at the bound the side is withdrawn anyway
                    d = value[step, after, i] - value[step, own[:, i], i]
                    order = np.argsort(d, kind="stable")  # equal states share one distribution function
                    distance[order, i, side] = sample(
                        uniform[order, i, side], d[order], maker.rates[side], maker.decays[side], maker.min_distance,
                        maker.max_distance, self.temperature,
                    )  # fmt: skip
            return _as_quotes(market, distance)

        assert role.action.size >= 2 * market.n
        return self.hedged(market, act)


class MPEMaker(Hedged):
    """One maker of the duel's Markov perfect equilibrium: distances of time, own and the rival's inventory."""

    kind: Literal["mpe_maker"] = "mpe_maker"

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError where the market is no duel of two equal makers in one product."""
        _needs(market, self.kind, "inventory", "maker_inventory")
        table = _equilibrium(market)
        act = _table_act(market, lambda step, own, rival: table[step, own[:, 0], rival[:, 0]][:, None])
        return self.hedged(market, act)


@lru_cache(maxsize=16)
def _optimum(
    market: DealerMarket, seat: str, temperature: float, entropy: Literal["uniform", "lebesgue"]
) -> tuple[Array, Array]:
    """Value [N, 2Q+1, n] and best distances [N, 2Q+1, n, 2] at the start of each step."""
    from dataclasses import replace

    from arena.markets.dealer.problems.quoting_problem import maker_problem
    from arena.solvers.quoting.maker import solve

    values, distances = [], []
    for product in range(market.n):
        maker = replace(maker_problem(market, seat, product, temperature=temperature), entropy=entropy)
        found = solve(maker, market.clock.steps)
        values.append(found.value[:-1])
        distances.append(found.distance[:-1])
    return np.stack(values, axis=-1), np.stack(distances, axis=2)


@lru_cache(maxsize=16)
def _equilibrium(market: DealerMarket) -> Array:
    """Equilibrium distances [N, 2Q+1, 2Q+1, 2] at the start of each step."""
    from arena.markets.dealer.problems.quoting_problem import duel_problem
    from arena.solvers.quoting.duel import equilibrium

    first = market.maker_names[0]
    duel = duel_problem(market, first)
    if any(duel_problem(market, seat) != duel for seat in market.maker_names):
        raise ValueError("market.makers.risk: found penalties that differ; allowed is a duel of two equal makers")
    return equilibrium(duel, market.clock.steps).distance[:-1]


def _as_if_hedged(market: DealerMarket) -> DealerMarket:
    """The same market with a perfect hedge and no price on variation: what quoting theory knows of it."""
    makers = market.makers.model_copy(update={"hedging": PerfectHedge(), "variation_aversion": 0.0})
    return DealerMarket(**{name: getattr(market, name) for name in DealerMarket.model_fields} | {"makers": makers})


def _needs(market: DealerMarket, kind: str, *columns: str) -> None:
    for name in columns:
        if name not in market.roles[0].observation:
            where = "own must not be false" if name == "inventory" else "rivals must be inventory"
            raise ValueError(f"{kind} needs to see {name}: market.makers.observe.{where}")


def _where(market: DealerMarket, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step [batch], own inventories and rivals' [batch, n] as positions in a table."""
    layout, clock = market.roles[0].observation, market.clock
    assert market.makers.inventory_limit is not None
    limit = int(market.makers.inventory_limit)
    left = observation[:, layout.slice("time_left")][:, 0].astype(float)
    step = np.clip(np.rint((clock.horizon - left) / clock.dt), 0, clock.steps - 1).astype(int)
    own, rival = (
        np.clip(np.rint(observation[:, layout.slice(name)]), -limit, limit).astype(int) + limit
        if name in layout
        else np.empty((len(observation), 0), int)
        for name in ("inventory", "maker_inventory")
    )
    return step, own, rival


def _table_act(market: DealerMarket, distances: Callable[[np.ndarray, np.ndarray, np.ndarray], Array]) -> Act:
    """An act that looks distances(step, own, rival) [batch, n, 2] up."""

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return _as_quotes(market, distances(*_where(market, observation)))

    return act


def _as_quotes(market: DealerMarket, distance: Array) -> np.ndarray:
    """Distances [batch, n, 2] as an action; a withdrawn side (inf) shows the other side's, for the market drops it."""
    bid, ask = distance[..., 0], distance[..., 1]
    bid, ask = np.where(np.isinf(bid), ask, bid), np.where(np.isinf(ask), bid, ask)
    return as_action(market, 0.5 * (ask + bid), 0.5 * (ask - bid))


def as_action(market: DealerMarket, half: np.ndarray, skew: np.ndarray) -> np.ndarray:
    """Half-spreads and skews [batch, n] as an action [batch, K] in [-1, 1]; no shares beside the neutral ones."""
    layout = market.roles[0].numbers
    physical = np.zeros((len(half), layout.size))
    physical[:, 0 : 2 * market.n : 2] = half
    physical[:, 1 : 2 * market.n : 2] = skew
    return np.clip(layout.to_unit(physical), -1.0, 1.0)
