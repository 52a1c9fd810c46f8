"""The book's rules: every row of the table by hand, the same rules written plainly, what must hold whatever comes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.markets.book import replay
from arena.markets.book.events import NAMES
from arena.markets.book.replaying import BookState
from tests.markets.book.plain_book import PlainBook

MIRROR = {"a": "b", "b": "a"}


def book(ask: tuple = ((0, 0), (0, 0, 0)), bid: tuple = ((0, 0), (0, 0, 0)), spread: int = 1) -> dict[str, Any]:
    """A start with a best bid of 1000."""
    return {"bid": 1000, "ask": 1000 + spread, "queues": (bid, ask)}


def mirrored(start: dict[str, Any], events: list[tuple]) -> tuple[dict[str, Any], list[tuple]]:
    """The same story with bid and ask exchanged; prices are mirrored at 1000."""
    bid, ask = start["queues"]
    flipped = [(f"{e[0][:3]}{MIRROR[e[0][3]]}{e[0][4:]}", *e[1:]) for e in events]
    return {"bid": 2000 - start["ask"], "ask": 2000 - start["bid"], "queues": (ask, bid)}, flipped


def after(start: dict[str, Any], *events: tuple) -> BookState:
    """The last state; the mirror image of the story must end in the mirror image of the book."""
    last = replay(start, events, refill=4)[-1]
    other = replay(*mirrored(start, list(events)), refill=4)[-1]
    assert (other.bid, other.ask, other.queues) == (2000 - last.ask, 2000 - last.bid, last.queues[::-1])
    assert other.inventory == tuple(-lots for lots in last.inventory)
    assert other.effect == last.effect
    return last


# One row of the table each; the ask side, and by `after` the bid side too


@pytest.mark.parametrize("owner", [0, 1, 2])
def test_a_limit_order_joins_the_end_of_its_level(owner: int) -> None:
    top = after(book(), ("LO_a_T", owner))
    assert top.queues[1] == ((0, 0, owner), (0, 0, 0))
    assert (top.bid, top.ask, top.effect) == (1000, 1001, True)
    assert after(book(), ("LO_a_D", owner)).queues[1] == ((0, 0), (0, 0, 0, owner))


@pytest.mark.parametrize("owner", [0, 1])
def test_an_order_inside_the_spread_is_alone_and_pushes_the_second_level_out(owner: int) -> None:
    last = after(book(ask=((0, 2), (1, 0)), spread=3), ("LO_a_IS", owner))
    assert (last.ask, last.queues[1]) == (1002, ((owner,), (0, 2)))  # the orders of the old second level are gone
    assert last.queues[0] == ((0, 0), (0, 0, 0))


def test_there_is_no_room_inside_a_spread_of_one() -> None:
    last = after(book(spread=1), ("LO_a_IS", 1))
    assert not last.effect
    assert (last.ask, last.queues[1]) == (1001, ((0, 0), (0, 0, 0)))


def test_a_seat_cancels_its_frontmost_order_and_those_behind_move_up() -> None:
    last = after(book(ask=((0, 1, 0, 1, 2), (0,))), ("CO_a_T", 1))
    assert last.queues[1] == ((0, 0, 1, 2), (0,))
    assert after(book(ask=((0,), (2, 0, 1, 1))), ("CO_a_D", 1)).queues[1] == ((0,), (2, 0, 1))


@pytest.mark.parametrize(("pick", "left"), [(0, (1, 0, 0)), (1, (0, 1, 0)), (2, (0, 1, 0))])
def test_a_background_cancel_takes_a_background_order(pick: int, left: tuple) -> None:
    assert after(book(ask=((0, 1, 0, 0), (0,))), ("CO_a_T", 0, pick)).queues[1] == (left, (0,))


def test_a_background_cancel_is_drawn_uniformly() -> None:
    """Of four background orders around a seat's the two ahead are hit half the time; z < 4.42: error rate 1e-5."""
    cycles = 1000
    again = [
        ("LO_a_T", 0),
        ("CO_a_T", 1),
        ("CO_a_T", 0, 0),
        ("CO_a_T", 0, 0),
        ("LO_a_T", 1),
        ("LO_a_T", 0),
        ("LO_a_T", 0),
    ]
    states = replay(book(ask=((0, 0, 1, 0, 0), (0,))), [("CO_a_T", 0), *again] * cycles, seed=3)
    assert {one.queues[1][0] for one in states[7::8]} == {(0, 0, 1, 0, 0)}
    ahead = sum(one.queues[1][0].index(1) == 1 for one in states[::8])
    assert abs(ahead - cycles / 2) < 4.42 * (cycles / 4) ** 0.5


@pytest.mark.parametrize(("event", "ask"), [("CO_a_T", ((1, 1), (0,))), ("CO_a_D", ((0,), (1,)))])
def test_a_cancel_without_such_an_order_has_no_effect(event: str, ask: tuple) -> None:
    for owner in (0, 2):
        last = after(book(ask=ask), (event, owner))
        assert not last.effect
        assert last.queues[1] == ask


def test_a_cancel_may_empty_the_first_level_or_the_second() -> None:
    first = after(book(ask=((1,), (0, 2))), ("CO_a_T", 1))
    assert (first.ask, first.queues[1]) == (1002, ((0, 2), (0, 0, 0, 0)))  # depleted: the second becomes the first
    second = after(book(ask=((0,), (1,))), ("CO_a_D", 1, None, 7))
    assert (second.ask, second.queues[1]) == (1001, ((0,), (0,) * 7))


@pytest.mark.parametrize(("maker", "taker"), [(0, 0), (0, 1), (1, 0), (1, 2)])
def test_a_market_order_trades_with_the_front_at_its_price(maker: int, taker: int) -> None:
    last = replay(book(ask=((maker, 0), (0,))), [("MO_a", taker)], owners=2)[0]
    cash, lots = [0.0] * 3, [0.0] * 3
    cash[maker], lots[maker] = cash[maker] + 1001, lots[maker] - 1
    cash[taker], lots[taker] = cash[taker] - 1001, lots[taker] + 1
    assert (last.cash, last.inventory) == (tuple(cash), tuple(lots))
    assert last.queues[1] == ((0,), (0,))
    sold = replay(book(bid=((maker, 0), (0,))), [("MO_b", taker)], owners=2)[0]  # at the bid of 1000: MO_b sells
    assert sold.inventory == tuple(-x for x in lots)
    assert sold.cash[taker] == (0.0 if maker == taker else 1000.0)


def test_a_market_order_may_empty_the_first_level() -> None:
    last = after(book(ask=((2,), (1, 0))), ("MO_a", 1))
    assert (last.ask, last.queues[1]) == (1002, ((1, 0), (0,) * 4))


def test_nobody_trades_with_oneself() -> None:
    last = after(book(ask=((1, 0), (0,))), ("MO_a", 1))
    assert not last.effect
    assert last.queues[1] == ((1, 0), (0,))
    assert last.inventory == (0.0, 0.0)


def test_time_priority_over_all_owners() -> None:
    events = [("LO_a_T", 1), ("LO_a_T", 2), ("MO_a", 0), ("MO_a", 0), ("MO_a", 0)]
    states = replay(book(), events, owners=2)
    assert [one.inventory for one in states[2:]] == [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, -1.0, 0.0)]
    assert states[-1].queues[1] == ((2,), (0, 0, 0))


def test_an_order_without_room_is_turned_away() -> None:
    last = replay(book(), [("LO_a_T", 1), ("LO_a_T", 0)], room=3, refill=3)
    assert last[0].queues[1][0] == (0, 0, 1)
    assert last[1].queues[1][0] == (0, 0, 1)
    assert not last[1].effect


@pytest.mark.parametrize(
    ("start", "event", "sentence"),
    [
        (
            {"bid": 1002, "ask": 1001, "queues": (((0,), (0,)), ((0,), (0,)))},
            ("MO_a", 0),
            "start: found crossed prices",
        ),
        (book(ask=((), (0,))), ("MO_a", 0), "an empty level"),
        (book(), ("MO_x", 0), r"events\[0\]: found 'MO_x'; allowed are LO_a_D"),
        (book(), (12, 0), r"events\[0\]: found type 12"),
        (book(), ("MO_a", 17), "allowed are 0 to 11 and 0 to 16"),
    ],
)
def test_what_is_no_book_or_no_event_is_refused(start: dict[str, Any], event: tuple, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replay(start, [event])


# The rules written plainly


def random_story(seed: int, count: int, seats: int = 3) -> list[tuple]:
    """Events of all types and owners in proportions that keep queues short, so that levels empty often."""
    rng = np.random.default_rng(seed)
    chances = np.array([1.0, 1.2, 1.3, 2.4, 1.8, 0.8, 0.8, 1.8, 2.4, 1.3, 1.2, 1.0])
    types = rng.choice(12, count, p=chances / chances.sum())
    owners = rng.integers(0, seats + 1, count)
    return [(int(t), int(o), None, int(r)) for t, o, r in zip(types, owners, rng.integers(1, 5, count), strict=True)]


def picked(start: dict[str, Any], events: list[tuple], seed: int) -> list[tuple[PlainBook, bool, tuple]]:
    """The plain book after each event, with background cancels drawn here, as the compiled rules are told."""
    rng = np.random.default_rng(seed)
    plain = PlainBook(start["bid"], start["ask"], [[list(level) for level in side] for side in start["queues"]])
    out = []
    for event, owner, _, refill in events:
        side, deep = int(event < 6), event in (1, 10)
        others = plain.queues[side][deep].count(0)
        rank = int(rng.integers(0, max(others, 1)))
        done = plain.happen(event, owner, (rank + 0.5) / max(others, 1), refill)
        queues = tuple(tuple(map(tuple, levels)) for levels in plain.queues)
        out.append((event, owner, rank, refill, plain.bid, plain.ask, queues, dict(plain.cash), dict(plain.lots), done))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_the_rules_written_plainly_give_the_same_book(seed: int) -> None:
    start = book(spread=2)
    told = picked(start, random_story(seed, 5000), seed + 100)
    states = replay(start, [one[:4] for one in told], owners=3)
    for (*_, bid, ask, queues, cash, lots, done), got in zip(told, states, strict=True):
        assert (got.bid, got.ask, got.queues, got.effect) == (bid, ask, queues, done)
        assert got.cash == tuple(cash.get(owner, 0) for owner in range(4))
        assert got.inventory == tuple(lots.get(owner, 0) for owner in range(4))
    assert sum(not one[-1] for one in told) > 200  # many had no effect
    assert np.count_nonzero(np.diff([one.ask for one in states])) > 200  # levels were emptied and filled inside


SCRIPT = """
import hashlib
from tests.markets.book.test_matching import book, random_story
from arena.markets.book import replay
states = replay(book(spread=2), random_story(9, 20_000), seed=5, owners=3, room=64)
print(hashlib.sha256(repr(states).encode()).hexdigest(), states[-1].ask)
"""


def test_compiled_is_interpreted_over_twenty_thousand_events() -> None:
    root = Path(__file__).parents[3]
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": flag, "PYTHONPATH": str(root)},
        ).stdout
        for flag in ("0", "1")
    }  # fmt: skip
    assert len(outputs) == 1
    assert json.loads(outputs.pop().split()[1]) != 1002  # the price moved


# What must hold whatever comes

stories = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), st.none(), st.integers(1, 3)), max_size=60)


@settings(max_examples=80)
@given(stories)
def test_nothing_is_lost_and_the_book_stays_a_book(events: list[tuple]) -> None:
    resting = [0, 0, 0, 0]
    before = BookState(1000, 1002, (((0, 0), (0,)), ((0, 0), (0,))), (0.0,) * 4, (0.0,) * 4)
    for event, now in zip(
        events, replay(book(spread=2, ask=((0, 0), (0,)), bid=((0, 0), (0,))), events, owners=3), strict=True
    ):
        assert now.ask > now.bid
        assert all(len(level) >= 1 for side in now.queues for level in side)
        assert sum(now.cash) == sum(now.inventory) == 0.0
        resting = [sum(level.count(o) for side in now.queues for level in side) for o in range(4)]
        if not now.effect:
            assert now[:5] == before[:5]
        elif NAMES[event[0]].startswith("LO") and event[1] and "IS" not in NAMES[event[0]]:
            told = sum(level.count(event[1]) for side in before.queues for level in side)
            assert resting[event[1]] == told + 1
        before = now


@settings(max_examples=60)
@given(stories)
def test_the_mirror_image_of_a_story_is_the_mirror_image(events: list[tuple]) -> None:
    start = book(spread=2, ask=((0, 0), (0,)), bid=((0, 0), (0,)))
    one = replay(start, events, owners=3)
    other = replay({**start, "bid": 998, "ask": 1000}, [(11 - t, *rest) for t, *rest in events], owners=3)
    for left, right in zip(one, other, strict=True):
        assert (right.bid, right.ask, right.queues) == (2000 - left.ask, 2000 - left.bid, left.queues[::-1])
        assert right.inventory == tuple(-x for x in left.inventory)


@settings(max_examples=40)
@given(stories, st.integers(-500, 10**6))
def test_a_story_does_not_know_where_prices_are(events: list[tuple], ticks: int) -> None:
    start = book(spread=2, ask=((0, 0), (0,)), bid=((0, 0), (0,)))
    one = replay(start, events, owners=3)
    other = replay({**start, "bid": 1000 + ticks, "ask": 1002 + ticks}, events, owners=3)
    for left, right in zip(one, other, strict=True):
        assert (right.bid - left.bid, right.ask - left.ask) == (ticks, ticks)
        assert (right.queues, right.inventory) == (left.queues, left.inventory)
        assert all(r == x - ticks * lots for r, x, lots in zip(right.cash, left.cash, left.inventory, strict=True))
