"""T_i: what each of the twelve events of the background makes of a state, with every outcome and its probability.

A background cancel takes one of the background orders uniformly, so where own orders stand among them it matters
between which: K own orders leave K + 1 gaps, and the outcome is the gap. This is the Bernoulli jump that the paper's
(34) prints as a share n/q. An empty first level is replaced by the second, behind which a new one is drawn.
"""

from collections.abc import Iterator
from typing import Any

from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import (
    CANCEL_TOP,
    MARKET,
    NONE,
    POST_DEEP,
    POST_INSIDE,
    POST_TOP,
    Branch,
    Side,
    State,
    chosen,
    kind_of,
    moved,
    own,
    pick,
    side_of,
)


def transitions(problem: Problem, state: State, event: int) -> list[Branch]:
    """All outcomes of a background event; an event without effect leaves the state as it is."""
    kind, z = kind_of(event), side_of(event)
    if kind in (POST_TOP, POST_DEEP):
        return [Branch(1.0, state.put(z, posted(problem, state.side(z), kind)), 0.0 * state.inventory)]
    if kind == POST_INSIDE:
        return [improved(state, z, None)]
    if kind == MARKET:
        return list(_hit(problem, state, z))
    return list(_cancelled(problem, state, z, kind == CANCEL_TOP))


def posted(problem: Problem, side: Side, kind: int) -> Side:
    """A background order joins the end of a level; turned away where there is no room."""
    if kind == POST_TOP:
        fits = side.top < problem.room
        return Side(side.top + fits, side.deep, moved(side.places, 1, lambda place: fits & (place >= side.top)))
    return side._replace(deep=side.deep + (side.deep < problem.room))


def improved(state: State, z: int, place: Any) -> Branch:
    """An order comes one tick inside: the old first level is the second, what stood there is dropped.

    The newcomer is the background's (`place` None), or own and then stands at place 0. Nothing happens at a spread of
    one tick.
    """
    side = state.side(z)
    free = state.spread >= 2
    kept = tuple(pick(one < side.top, one + 1, NONE) for one in side.places)
    places = kept if place is None else (0 * side.top, *kept[:-1])
    after = State(state.inventory, state.spread - 1, state.ask, state.bid).put(
        z, Side(1 + 0 * side.top, side.top, places)
    )
    return Branch(1.0, chosen(free, after, state), -0.5 * z * state.inventory * free)


def settled(problem: Problem, state: State, z: int, filled: Any) -> Iterator[Branch]:
    """After an order has left: empty levels are replaced, the mid moves, and Y P with it; once per size of a refill.

    `filled` is what the removal itself gained.
    """
    side = state.side(z)
    gone, thin = side.top == 0, side.deep == 0
    wider = gone & (state.spread < problem.widest)
    gain = filled + 0.5 * z * state.inventory * wider
    for size, probability in problem.refill:
        top = pick(gone, side.deep, side.top)
        deep = pick(gone | thin, size, side.deep)
        after = state._replace(spread=state.spread + wider).put(z, Side(top, deep, side.places))
        yield Branch(probability, after, gain)


def _hit(problem: Problem, state: State, z: int) -> Iterator[Branch]:
    """A market order takes the front of the first level, at half a spread from the mid."""
    side = state.side(z)
    mine = side.places[0] == 0
    ahead = moved(side.places, -1, lambda place: place > 0)
    places = tuple(
        pick(mine, behind, here) for here, behind in zip(ahead, (*ahead[1:], NONE + 0 * ahead[0]), strict=True)
    )
    after = state._replace(inventory=state.inventory - z * mine).put(z, Side(side.top - 1, side.deep, places))
    yield from settled(problem, after, z, (0.5 * state.spread - problem.fee_maker) * mine)


def _cancelled(problem: Problem, state: State, z: int, first: bool) -> Iterator[Branch]:
    """A background order leaves a level, by the gap between own orders in which it stood."""
    side = state.side(z)
    low, high = (0 * side.top, side.top) if first else (side.top, side.top + side.deep)
    others = high - low - own(side, low, high)
    nobody = others == 0
    for gap in range(problem.places + 1):
        below = low - 1 if gap == 0 else side.places[gap - 1]
        above = high if gap == problem.places else side.places[gap]
        below, above = pick(below < low, low - 1, below), pick(above > high, high, above)
        size = above - below - 1
        share = pick(size > 0, size, 0) / pick(nobody, 1, others)
        probability = pick(nobody, 1.0, share) if gap == 0 else share
        behind = tuple(one - 1 * (one < NONE) if i >= gap else one for i, one in enumerate(side.places))
        left = Side(side.top - int(first), side.deep - int(not first), behind)
        for one in settled(problem, state.put(z, left), z, 0.0 * state.inventory):
            yield Branch(probability * one.probability, chosen(nobody, state, one.state), pick(nobody, 0.0, one.gain))
