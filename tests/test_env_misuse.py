"""Wrong input to the PettingZoo and Gymnasium views is answered in a sentence."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arena.env import ArenaEnv, parallel_env, single_agent
from arena.scenario import load

SHORT = load("two_mm_one_trader", ["market.clock.steps=12"])


def started() -> tuple[ArenaEnv, dict[str, Any]]:
    world = parallel_env(SHORT)
    world.reset(seed=1)
    return world, {agent: np.zeros(world.action_space(agent).shape, np.float32) for agent in world.agents}


@pytest.mark.parametrize(
    ("agent", "column", "value", "sentence"),
    [
        ("mm_0", 0, np.nan, r"action of mm_0, column 0 \(half_spread\[C95\]\): found nan; allowed is -1 to 1"),
        ("mm_1", 3, 1.5, r"action of mm_1, column 3 \(skew\[C100\]\): found 1.5; allowed is -1 to 1"),
        ("trader_0", 0, -np.inf, r"action of trader_0, column 0 \(rate\): found -inf; allowed is -1 to 1"),
    ],
)
def test_an_action_out_of_range_names_agent_column_value_and_bounds(
    agent: str, column: int, value: float, sentence: str
) -> None:
    world, actions = started()
    good = {name: action.copy() for name, action in actions.items()}
    actions[agent][column] = value
    with pytest.raises(ValueError, match=sentence):
        world.step(actions)
    assert len(world.step(good)[0]) == 3  # nothing was played; the game goes on


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.pop("mm_1"), "actions: found no action of mm_1; allowed is one for each of mm_0, mm_1, trader_0"),
        (lambda a: a.update(mm_2=a["mm_0"]), r"actions: found an action of 'mm_2' \(did you mean 'mm_1'\?\)"),
        (lambda a: a.update(mm_0=a["mm_0"][:3]), r"action of mm_0: found an array of shape \(3,\); allowed is \(8,\)"),
        (lambda a: a.update(mm_0=0.0), r"action of mm_0: found an array of shape \(\); allowed is \(8,\)"),
        (lambda a: a.update(mm_0="buy"), r"action of mm_0: found 'buy'; allowed are 8 numbers"),
        (lambda a: a.update(mm_0=None), r"action of mm_0: found "),
    ],
)
def test_actions_of_the_wrong_kind_are_refused(change: Any, sentence: str) -> None:
    world, actions = started()
    change(actions)
    with pytest.raises(ValueError, match=sentence):
        world.step(actions)


def test_misuse_is_answered_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="render_mode: found 'webm'; allowed are None, human, ansi, rgb_array"):
        parallel_env(SHORT, render_mode="webm")
    with pytest.raises(ValueError, match=r"seat: found 'mm_2'; allowed are mm_0, mm_1, trader_0 \(did you mean"):
        single_agent(SHORT, "mm_2")
    with pytest.raises(KeyError, match="no agent 'mm_9'; there are mm_0, mm_1, trader_0"):
        parallel_env(SHORT).action_space("mm_9")
    fresh = parallel_env(SHORT)
    with pytest.raises(ValueError, match=r"the game is over \(or was not started\)"):
        fresh.step({"mm_0": np.zeros(8)})


WORLD = parallel_env(SHORT)


@settings(max_examples=60)
@given(
    row=hnp.arrays(
        np.float64, 17, elements=st.floats(width=64) | st.floats(-1, 1) | st.sampled_from([-1.0, 1.0, 1 + 1e-12])
    )
)
def test_any_numbers_are_played_or_refused(row: np.ndarray) -> None:
    WORLD.reset(seed=0)
    actions = {"mm_0": row[:8], "mm_1": row[8:16], "trader_0": row[16:]}
    if np.all(np.abs(row) <= 1):
        _, rewards, *_ = WORLD.step(actions)
        assert np.isfinite(list(rewards.values())).all()
    else:
        with pytest.raises(ValueError, match="allowed is -1 to 1"):
            WORLD.step(actions)
