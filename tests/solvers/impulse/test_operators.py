"""Transitions, interventions and the generator against the market's own rules, played event by event."""

from typing import Any

import numpy as np
import pytest

from arena.markets.book import replay
from arena.markets.book.market import Market
from arena.markets.book.problems.impulse_problem import problem
from arena.markets.book.replaying import BookState
from arena.solvers.impulse.generator import generator, interventions
from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import NONE, TYPES, State, flat, mirrored, unflat
from arena.solvers.impulse.transitions import transitions

ROOM, REFILL, PLACES, CAP = 5, 3, 3, 4


def the_problem(**changes: Any) -> Problem:
    told: dict[str, Any] = {
        "depth": {"room": ROOM, "refill": REFILL, "queues": (3, 3)},
        "makers": {"actions": "all", "cap": CAP, "running_penalty": 0.25, "terminal_penalty": 0.5},
        "fees": {"maker": 0.125, "taker": 0.25, "message": 0.0625},
        "flow": {"preset": "poisson"},
    }
    return problem(Market.model_validate(told | changes), PLACES)


def random_books(count: int, seed: int = 0) -> list[BookState]:
    """Books with at most `PLACES` own orders a side, as owners."""
    rng, out = np.random.default_rng(seed), []
    while len(out) < count:
        lengths = rng.integers(1, ROOM + 1, (2, 2))
        queues = tuple(tuple(tuple((rng.random(n) < 0.3).astype(int).tolist()) for n in side) for side in lengths)
        if all(sum(map(sum, side)) <= PLACES for side in queues):
            y, bid = int(rng.integers(-3, 4)), 1000
            out.append(BookState(bid, bid + int(rng.integers(1, 4)), queues, (0.0, 0.0), (float(-y), float(y))))
    return out


def as_state(books: list[BookState]) -> State:
    """What the solver makes of books."""
    rows = []
    for book in books:
        row = [int(book.inventory[1]), book.ask - book.bid]
        for top, deep in (book.queues[1], book.queues[0]):
            places = [i for i, owner in enumerate((*top, *deep)) if owner == 1][:PLACES]
            row += [len(top), len(deep), *places, *[NONE] * (PLACES - len(places))]
        rows.append(row)
    return unflat(list(np.array(rows).T))


def key(state: State, i: int) -> tuple[int, ...]:
    return tuple(int(np.broadcast_to(column, state.inventory.shape)[i]) for column in flat(state))


def worth(book: BookState) -> float:
    return book.cash[1] + book.inventory[1] * 0.5 * (book.bid + book.ask)


@pytest.fixture(scope="module")
def books() -> list[BookState]:
    return random_books(40)


@pytest.mark.parametrize("event", range(TYPES))
def test_outcomes_of_an_event_are_those_of_the_market(event: int, books: list[BookState]) -> None:
    one, state = the_problem(fees={}), as_state(books)
    branches = transitions(one, state, event)
    moved = 0
    for i, book in enumerate(books):
        found: dict[Any, float] = {}
        for branch in branches:
            p = float(np.broadcast_to(branch.probability, len(books))[i])
            if p > 0:
                at = (key(branch.state, i), round(float(branch.gain[i]), 9))
                found[at] = found.get(at, 0.0) + p
        side, first = book.queues[1 if event < 6 else 0], min(event, 11 - event) == 3
        others = side[0 if first else 1].count(0) if min(event, 11 - event) in (1, 3) else 0
        expected: dict[Any, float] = {}
        for pick in range(max(others, 1)):
            after = replay(book, [(event, 0, pick, REFILL)], refill=REFILL, room=ROOM)[-1]
            at = (key(as_state([after]), 0), round(worth(after) - worth(book), 9))
            expected[at] = expected.get(at, 0.0) + 1.0 / max(others, 1)
            moved += after.effect
        assert found.keys() == expected.keys()
        assert all(abs(found[at] - expected[at]) < 1e-12 for at in found)
    assert moved > 5  # the event did something in these books


@pytest.mark.parametrize("action", range(TYPES))
def test_an_intervention_is_what_the_market_makes_of_an_own_order(action: int, books: list[BookState]) -> None:
    one, state = the_problem(fees={}), as_state(books)
    may, branches = allowed(one, state, action), intervene(one, state, action)
    assert len(branches) == 1
    assert may.any()
    for i, book in enumerate(books):
        after = replay(book, [(action, 1, None, REFILL)], refill=REFILL, room=ROOM)[-1]
        buys = (action < 6) == (min(action, 11 - action) == 4)
        own = sum(map(sum, book.queues[0 if buys else 1]))
        held = book.inventory[1] if buys else -book.inventory[1]
        capped = min(action, 11 - action) not in (1, 3) and held + own + 1 > CAP
        kept = sum(map(sum, after.queues[1 if action < 6 else 0])) <= PLACES
        assert bool(may[i]) == (after.effect and not capped and kept)
        if may[i]:
            assert key(branches[0].state, i) == key(as_state([after]), 0)
            assert float(branches[0].gain[i]) == worth(after) - worth(book)


def test_fees_are_paid_where_the_market_charges_them() -> None:
    free, dear, state = the_problem(fees={}), the_problem(), as_state(random_books(40))
    for action in range(TYPES):
        paid = intervene(free, state, action)[0].gain - intervene(dear, state, action)[0].gain
        assert np.allclose(paid, 0.25 if action in (4, 7) else 0.0625)
    for event in (4, 7):
        front = state.side(1 if event < 6 else -1).places[0] == 0
        paid = transitions(free, state, event)[0].gain - transitions(dear, state, event)[0].gain
        assert front.any()
        assert np.allclose(paid, 0.125 * front)


def test_the_generator_of_hand_made_functions() -> None:
    # Y = 0, spread 2, the only own order first of two asks, three orders in every other level
    row = [0, 2, 2, 3, 0, NONE, NONE, 3, 3, NONE, NONE, NONE]
    state, one = unflat([np.array([x]) for x in row]), the_problem(fees={})
    rate = np.arange(1.0, 13.0)
    inside = (2 / 1.01) ** 0.941
    hits = generator(one, lambda s, event: 0.0 * s.inventory, state, rate)
    assert hits == pytest.approx(rate[4] * 1.0)  # half the spread of two ticks; the level stays, so the mid does
    position = generator(one, lambda s, event: 1.0 * s.inventory, state, rate)
    assert position == pytest.approx(rate[4] * (1.0 - 1.0))  # + 1 tick, - 1 lot
    queue = generator(one, lambda s, event: 1.0 * s.ask.top, state, rate)
    # LO_T +1, CO_T -1, MO -1 (and its tick), IS: 2 -> 1
    assert queue == pytest.approx(rate[2] - rate[3] - rate[4] + rate[4] - inside * rate[5])
    place = generator(one, lambda s, event: 1.0 * s.ask.places[0] * (s.ask.places[0] < NONE), state, rate)
    assert place == pytest.approx(rate[4] + inside * rate[5])  # a tick at the fill; one is ahead after an order inside


def test_a_cancel_ahead_is_a_jump_with_its_chance() -> None:
    row = [0, 1, 5, 3, 3, NONE, NONE, 3, 3, NONE, NONE, NONE]  # three ahead, one behind
    state, one = unflat([np.array([x]) for x in row]), the_problem(fees={})
    rate = np.zeros(12)
    rate[3] = 1.0
    for power in (1, 2):  # a jump and not a drift: the square tells
        found = generator(one, lambda s, event, k=power: (1.0 * s.ask.places[0]) ** k, state, rate)
        assert found == pytest.approx(0.75 * (2.0**power - 3.0**power))


def test_refills_are_averaged_over_their_law() -> None:
    one = the_problem(depth={"room": 4, "refill": {"kind": "geometric", "mean": 2.0}, "queues": (1, 1)}, fees={})
    assert sum(p for _, p in one.refill) == pytest.approx(1.0)
    assert one.refill == ((1, 0.5), (2, 0.25), (3, 0.125), (4, 0.125))
    state = unflat([np.array([x]) for x in [1, 1, 1, 2, NONE, NONE, NONE, 3, 3, NONE, NONE, NONE]])
    rate = np.zeros(12)
    rate[3] = 2.0
    found = generator(one, lambda s, event: 1.0 * s.ask.deep, state, rate)
    assert found == pytest.approx(2.0 * (1.875 - 2.0 + 0.5))  # the one lot held gains half a tick with the mid


def test_both_sides_are_mirror_images() -> None:
    one, state = the_problem(), as_state(random_books(200, seed=1))
    rate = np.random.default_rng(2).uniform(0.5, 2.0, 12)
    weights = np.random.default_rng(3).uniform(0.5, 2.0, 12)

    def value(s: State, event: int | None) -> Any:
        return sum(w * np.minimum(np.abs(c), 9) for w, c in zip(weights, flat(s), strict=True))

    def other(s: State, event: int | None) -> Any:
        return value(mirrored(s), event)

    assert generator(one, other, mirrored(state), rate[::-1]) == pytest.approx(generator(one, value, state, rate))
    here = {a: np.where(may, x, 0.0) for a, may, x in interventions(one, value, state)}
    there = {11 - a: np.where(may, x, 0.0) for a, may, x in interventions(one, other, mirrored(state))}
    assert all(here[a] == pytest.approx(there[a]) for a in here)


def test_torch_and_numpy_give_the_same() -> None:
    import torch

    one, state = the_problem(), as_state(random_books(60, seed=4))
    tensors = unflat([torch.tensor(column) for column in flat(state)])
    for event in range(TYPES):
        pairs = [
            *zip(transitions(one, state, event), transitions(one, tensors, event), strict=True),
            *zip(intervene(one, state, event), intervene(one, tensors, event), strict=True),
        ]
        for a, b in pairs:
            assert np.allclose(a.gain, b.gain)
            assert np.allclose(a.probability, b.probability)
            assert all(np.array_equal(x, y) for x, y in zip(flat(a.state), flat(b.state), strict=True))
        assert np.array_equal(allowed(one, state, event), allowed(one, tensors, event))
