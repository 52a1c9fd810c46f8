"""Gamma: what an own order makes of a state, when it is allowed, and what it gains at once.

The twelve impulses are the twelve events with the maker as their owner. Right are the corrected sides of the paper's
(35) to (53): after its only order has gone a side has none, a level that empties is drawn anew, a market order on the
ask buys.
"""

from typing import Any

from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import (
    ASK,
    CANCEL_DEEP,
    CANCEL_TOP,
    MARKET,
    NONE,
    POST_INSIDE,
    POST_TOP,
    Branch,
    Side,
    State,
    kind_of,
    moved,
    orders,
    own,
    pick,
    side_of,
)
from arena.solvers.impulse.transitions import improved, settled


def allowed(problem: Problem, state: State, action: int) -> Any:
    """Where an impulse can be made and changes the book, bool [n].

    No own order to cancel; no room inside the spread or in the queue; the front order is own; the position could pass
    the cap if all own orders there filled; or a side has as many own orders as are kept track of.
    """
    kind, z = kind_of(action), side_of(action)
    side = state.side(z)
    if kind == CANCEL_TOP:
        return own(side, 0, side.top) > 0
    if kind == CANCEL_DEEP:
        return own(side, side.top, NONE) > 0
    buys = (z == ASK) == (kind == MARKET)
    waiting = orders(state.bid if buys else state.ask)
    bounded = (state.inventory if buys else -state.inventory) + waiting + 1 <= problem.cap
    if kind == MARKET:
        return bounded & (side.places[0] != 0)
    few = bounded & (orders(side) < problem.places)
    if kind == POST_INSIDE:
        return bounded & (state.spread >= 2) & (own(side, 0, side.top) < problem.places)
    return few & ((side.top if kind == POST_TOP else side.deep) < problem.room)


def intervene(problem: Problem, state: State, action: int) -> list[Branch]:
    """Outcomes of an impulse where it is allowed; elsewhere what is returned means nothing."""
    kind, z = kind_of(action), side_of(action)
    side = state.side(z)
    nothing = 0.0 * state.inventory
    if kind == POST_INSIDE:
        one = improved(state, z, place=0)
        return [one._replace(gain=one.gain - problem.fee_message)]
    if kind in (CANCEL_TOP, CANCEL_DEEP):
        left = _withdrawn(side, kind == CANCEL_TOP)
        return list(settled(problem, state.put(z, left), z, nothing - problem.fee_message))
    if kind == MARKET:
        left = Side(side.top - 1, side.deep, moved(side.places, -1, lambda place: place > 0))
        after = state._replace(inventory=state.inventory + z).put(z, left)
        return list(settled(problem, after, z, nothing - 0.5 * state.spread - problem.fee_taker))
    first = kind == POST_TOP
    end = side.top if first else side.top + side.deep
    behind = moved(side.places, 1, lambda place: place >= end)
    new = Side(side.top + int(first), side.deep + int(not first), _inserted(behind, end))
    return [Branch(1.0, state.put(z, new), nothing - problem.fee_message)]


def _inserted(places: tuple[Any, ...], place: Any) -> tuple[Any, ...]:
    """Sorted places with one more among them; the last of them must be free."""
    out = []
    for i, here in enumerate(places):
        before = places[i - 1] if i else place - 1
        out.append(pick(here < place, here, pick(before < place, place, before)))
    return tuple(out)


def _withdrawn(side: Side, first: bool) -> Side:
    """The frontmost own order of a level is cancelled; who stood behind it moves up."""
    low = 0 * side.top if first else side.top
    gone, out = low < 0, []
    for i, here in enumerate(side.places):
        behind = side.places[i + 1] if i + 1 < len(side.places) else NONE + 0 * here
        gone = gone | (here >= low)
        out.append(pick(gone, behind - 1 * (behind < NONE), here))
    return Side(side.top - int(first), side.deep - int(not first), tuple(out))
