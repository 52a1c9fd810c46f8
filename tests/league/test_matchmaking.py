import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from arena.league.matchmaking import (
    Latest,
    Matchmaking,
    MetaStrategy,
    Mixture,
    Part,
    Pool,
    Prioritised,
    Uniform,
    draw,
    raw,
)

POOL = Pool(("a", "b", "c", "x"), np.array([False, False, False, True]), np.array([0.9, 0.5, 0.1, 0.5]), None)
PARSE: TypeAdapter[Any] = TypeAdapter(Matchmaking)


def test_each_rule_gives_its_distribution():
    np.testing.assert_allclose(Latest().probabilities(POOL), [0, 0, 1, 0])  # x is newer but an exploiter
    np.testing.assert_allclose(Uniform().probabilities(POOL), 0.25)
    hard = np.array([0.1, 0.5, 0.9, 0.5]) ** 2
    np.testing.assert_allclose(Prioritised(floor=0).probabilities(POOL), hard / hard.sum())
    even = np.array([0.09, 0.25, 0.09, 0.25])
    np.testing.assert_allclose(Prioritised(curve="even", floor=0).probabilities(POOL), even / even.sum())
    np.testing.assert_allclose(Prioritised(floor=0.4).probabilities(POOL), 0.1 + 0.6 * hard / hard.sum())
    np.testing.assert_allclose(MetaStrategy().probabilities(POOL), 0.25)
    meta = np.array([0, 0.5, 0.5, 0])
    np.testing.assert_allclose(MetaStrategy().probabilities(POOL._replace(meta=meta)), meta)
    mixed = Mixture(parts=(Part(weight=3, of=Latest()), Part(weight=1, of=Uniform())))
    np.testing.assert_allclose(mixed.probabilities(POOL), [0.0625, 0.0625, 0.8125, 0.0625])


def test_prioritised_is_uniform_when_everybody_is_beaten_for_sure():
    beaten = POOL._replace(advantage=np.ones(4))
    np.testing.assert_allclose(Prioritised().probabilities(beaten), 0.25)


def test_yaml_mixtures_are_parsed_and_mistakes_refused():
    latest, uniform = {"weight": 0.5, "of": {"kind": "latest"}}, {"weight": 0.5, "of": {"kind": "uniform"}}
    parsed = PARSE.validate_python({"kind": "mixture", "parts": [latest, uniform]})
    assert parsed == Mixture(parts=(Part(weight=0.5, of=Latest()), Part(weight=0.5, of=Uniform())))
    for wrong in (
        {"kind": "newest"},
        {"kind": "latest", "weight": 1},
        {"kind": "mixture", "parts": []},
        {"kind": "mixture", "parts": [{**latest, "weight": 0}]},
        {"kind": "mixture", "parts": [latest, latest]},
        {"kind": "prioritised", "power": math.inf},
    ):
        with pytest.raises(ValidationError):
            PARSE.validate_python(wrong)


def test_draws_are_a_function_of_their_arguments_and_touch_no_global_state():
    p = np.array([0.2, 0.3, 0.5])
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the point is that it stays untouched
    first = draw(p, 16, seed=3, purpose="train|maker", iteration=7)
    np.testing.assert_array_equal(first, draw(p, 16, seed=3, purpose="train|maker", iteration=7))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    others = [(4, "train|maker", 7), (3, "train|executor", 7), (3, "train|maker", 8)]
    assert all(not np.array_equal(first, draw(p, 16, *other)) for other in others)


def test_a_draw_is_pinned_so_that_old_runs_can_be_resumed():
    # Recorded once from this implementation (Philox's bit stream is fixed by NumPy's stream policy).
    assert raw(0, "pin", 0, 2).tolist() == [7077300260057643686, 13664728823647971138]
    assert draw(np.array([0.25, 0.75]), 8, 0, "pin", 1).tolist() == [1, 1, 1, 1, 0, 1, 0, 1]


def test_every_draw_keeps_the_shares_and_the_order_is_random():
    p = np.array([0.1, 0.0, 0.65, 0.25])
    counts = np.zeros(4)
    firsts = []
    for iteration in range(2000):
        chosen = draw(p, 10, seed=1, purpose="t", iteration=iteration)
        count = np.bincount(chosen, minlength=4)
        assert np.all(count >= np.floor(10 * p + 1e-9) - 1e-9)
        assert np.all(count <= np.ceil(10 * p - 1e-9))
        counts += count
        firsts.append(chosen[0])
    # Means over 2000 draws: sd of a count below 0.5, so 5 standard errors are 0.056 (error rate about 3e-6 in all).
    np.testing.assert_allclose(counts / 2000, 10 * p, atol=0.056)
    share = np.bincount(firsts, minlength=4) / 2000
    np.testing.assert_allclose(share, p, atol=5 * 0.5 / math.sqrt(2000))


def test_a_single_certain_member_is_always_drawn():
    assert draw(np.array([0.0, 1.0, 0.0]), 64, 0, "t", 0).tolist() == [1] * 64
