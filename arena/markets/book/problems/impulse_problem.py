"""A book with a lone maker as the impulse-control problem that `arena.solvers.impulse` solves, and what it sees of it.

The solver keeps track of a few own orders a side, and so does who plays its answer: `observe.places` shows them. The
paper keeps one.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from arena.layout import Array
from arena.markets.book import columns
from arena.markets.book.events import NAMES, TYPES
from arena.markets.book.settings import BookSettings, Geometric
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import NONE, State, unflat
from arena.solvers.impulse.value_iteration import Optimum, chain_of, solve

LEFT = 1e-9
"""Probability of the largest refills that is left out of a geometric law."""
NO_CAP = 1 << 12
LARGEST_ROOM, MOST_STATES, WIDEST = 3, 400_000, 6
"""What a table may cover: orders a level, states, and the spread in ticks at which it is cut off (two ticks more change
the value of `book_small` by 2e-6)."""


def problem(market: BookSettings, places: int | None = None, widest: int | None = None) -> Problem:
    """The control problem of the only maker; raises ValueError where the book is no such problem.

    `places`: own orders a side that are kept track of; none given: as many as the cap and the queues' room allow.
    """
    makers, depth, fees, flow = market.makers, market.depth, market.fees, market.flow
    if makers.count != 1 or market.executors:
        found = f"{makers.count} makers and {len(market.executors)} executors"
        raise ValueError(f"market.makers.count: found {found}; allowed is one maker alone: several are a game")
    if makers.penalty != "integral":
        raise ValueError("market.makers.penalty: found left; allowed is integral: the inequality is in continuous time")
    if makers.shaping.acting or makers.shaping.quoting:
        raise ValueError("market.makers.shaping: found bonuses; allowed is none: what is maximised is money")
    parts = flow.components()
    rates = np.unique(parts.rate[np.abs(parts.jump).sum(axis=0) > 0]) if parts.jump.any() else np.ones(1)
    if len(rates) > 1 or (parts.jump < 0).any():
        found = f"{len(rates)} rates" if len(rates) > 1 else "inhibition"
        raise ValueError(f"market.flow: found {found}; allowed is excitation that fades at one rate")
    cap = NO_CAP if makers.cap is None else makers.cap
    return Problem(
        base=flow.rates, jump=parts.jump.sum(axis=1).T, decay=float(rates[0]),
        spread_power=flow.inside.power, spread_mean=flow.inside.mean,
        room=depth.room, refill=_refills(depth.refill, depth.room),
        actions=tuple(NAMES.index(name) for name in columns.maker_choice(market).options[:-1]),
        cap=cap, places=places or min(2 * cap, 2 * depth.room),
        eta=makers.running_penalty, kappa=makers.terminal_penalty,
        liquidation=fees.liquidation * 0.5 * (depth.bid + depth.ask),
        fee_maker=fees.maker, fee_taker=fees.taker, fee_message=fees.message, excites=makers.excites,
        horizon=market.clock.horizon, dt=market.clock.dt, warm_up=market.warm_up, spread=depth.ask - depth.bid,
        top=depth.queues[0], deep=depth.queues[1], widest=widest or 1 << 20,
    )  # fmt: skip


@lru_cache(maxsize=4)
def optimum(market: BookSettings) -> Optimum:
    """The exact optimum of a small book without excitation; raises ValueError where there is no table.

    Every own order is kept track of, so nothing that the market allows is left out.
    """
    if market.depth.room > LARGEST_ROOM:
        found = f"found {market.depth.room} orders a level"
        raise ValueError(f"market.depth.room: {found}; allowed is up to {LARGEST_ROOM}: larger books have no table")
    return solve(chain_of(problem(market, widest=WIDEST), MOST_STATES))


def _refills(law: int | Geometric, room: int) -> tuple[tuple[int, float], ...]:
    """How many orders a new second level has: (number, probability)."""
    if isinstance(law, int):
        return ((law, 1.0),)
    stay = 1.0 - 1.0 / law.mean
    most = room if stay == 0.0 else min(room, 1 + int(np.log(LEFT) / np.log(stay)))
    mass = [(1.0 - stay) * stay ** (n - 1) for n in range(1, most)]
    return (*enumerate(mass, start=1), (most, 1.0 - sum(mass)))


def seen_state(market: BookSettings, seen: Array, places: int | None = None) -> State:
    """The solver's states, whole numbers [batch], of a maker's observations [batch, D]; `places` own orders a side,
    none given: all that are shown.

    Raises ValueError where the market does not show the places of own orders, or the spread.
    """
    layout, shown = market.roles[0].observation, market.observe  # type: ignore[attr-defined]
    for name, enough in (("places", shown.places > 0), ("spread", shown.spread)):
        if not enough:
            raise ValueError(f"market.observe.{name}: found {getattr(shown, name)}; allowed is that they are seen")

    def column(name: str, i: int = 0) -> Any:
        return np.rint(seen[:, layout.slice(name).start + i]).astype(np.int64)

    sides = []
    for side in (1, 0):  # the ask first
        top, deep = column("queue", side), column("deep", side)
        ahead = [column("place", side * shown.places + i) for i in range(places or shown.places)]
        sides += [top, deep, *(np.where(place >= top + deep, NONE, place) for place in ahead)]
    return unflat([column("inventory"), column("spread"), *sides])


def seen_intensities(market: BookSettings, seen: Array) -> Array:
    """Intensities without the spread's factor [batch, 12], 1/s, of observations; base rates where nothing excites.

    In-spread orders have no intensity at a spread of one tick; their excitation cannot be seen then and counts as its
    mean.
    """
    flow, layout = market.flow, market.roles[0].observation  # type: ignore[attr-defined]
    norm = flow.excitation
    if not norm.any():
        return np.broadcast_to(flow.rates, (len(seen), TYPES))
    out = np.expm1(np.asarray(seen[:, layout.slice("intensity")], dtype=float))
    spread = np.asarray(seen[:, layout.slice("spread").start], dtype=float)
    inside = [NAMES.index("LO_a_IS"), NAMES.index("LO_b_IS")]
    mean = np.linalg.solve(np.eye(TYPES) - norm, flow.rates)
    wide = spread >= 2
    factor = np.where(wide, (np.maximum(spread, 2) / flow.inside.mean) ** flow.inside.power, 1.0)
    for i in inside:
        out[:, i] = np.where(wide, out[:, i] / factor, mean[i])
    return np.maximum(out, flow.rates)
