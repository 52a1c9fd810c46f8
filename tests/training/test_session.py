"""The numbers and alarms of an iteration."""

import math
from typing import Any

import pytest

from arena.training import session
from arena.training.session import ATTEMPTS, STUCK, alarms, line_of, start_ray

GOOD = {
    "iteration": 1,
    "return/maker": 1.0,
    "value_loss/maker": 0.1,
    "explained_variance/maker": 0.2,
    "rows/maker": 100.0,
    "clipped_actions": 0.01,
}


def result(**changes: Any) -> dict[str, Any]:
    """A training result as RLlib returns it, cut to what is read."""
    learner = {"explained_variance": 0.3, "value_loss": 0.2, "lr": 1e-3, "skipped": 0.0, "rows": 10.0, "num_params": 7}
    whole = {
        "training_iteration": 5,
        "env_runners": {"return": {"maker": 2.0}, "num_env_steps_sampled_lifetime": 500.0, "volume": {"maker": 600.0}},
        "learners": {"maker": learner, "__all_modules__": {"steps": 3}},
        "league": {"size": 3.0, "gain": {"maker": math.nan}},
    }
    return {**whole, **changes}


def test_a_line_has_flat_keys_and_only_finite_numbers() -> None:
    line = line_of(result(), agents=3, seconds=2.0)
    assert line["iteration"] == 5
    assert line["agent_steps"] == 1500
    assert line["return/maker"] == 2.0
    assert line["explained_variance/maker"] == 0.3
    assert line["league_size"] == 3
    assert line["traded/maker"] == 600.0
    assert "gain/maker" not in line  # no look in this iteration
    assert all(math.isfinite(value) for value in line.values())


def test_missing_parts_are_tolerated_and_are_an_alarm() -> None:
    line = line_of({"training_iteration": 6, "env_runners": {}, "learners": {}}, agents=3, seconds=2.0)
    assert line == {"iteration": 6, "seconds": 2.0}
    assert "no numbers in this iteration" in alarms([line], ["maker"])[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"passive/maker": 1.0}, "maker: passive"),
        ({"skipped_steps": 2.0}, "2 gradient steps were not finite"),
        ({"clipped_actions": 0.3}, "30 % of action components"),
        ({"rows/maker": 0.0}, "maker: an empty batch"),
    ],
)
def test_each_alarm(change: dict[str, float], sentence: str) -> None:
    assert alarms([GOOD], ["maker"]) == []
    (found,) = alarms([{**GOOD, **change}], ["maker"])
    assert sentence in found


def test_a_critic_that_explains_nothing_is_an_alarm_only_when_it_stays_so() -> None:
    dead = {**GOOD, "explained_variance/maker": -0.1}
    assert alarms([dead] * (STUCK - 1), ["maker"]) == []
    assert alarms([dead] * (STUCK - 1) + [GOOD], ["maker"]) == []
    (found,) = alarms([dead] * STUCK, ["maker"])
    assert "the critic explained nothing" in found


@pytest.mark.parametrize("failures", [0, 1, ATTEMPTS - 1, ATTEMPTS])
def test_ray_is_started_again_when_it_gives_up(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def init(**options: Any) -> None:
        calls.append(options)
        if len(calls) <= failures:
            raise Exception("The current node timed out during startup.")  # a bare Exception, as Ray's

    monkeypatch.setattr(session.ray, "init", init)
    if failures < ATTEMPTS:
        start_ray(num_cpus=2)
    else:
        with pytest.raises(Exception, match="timed out during startup"):
            start_ray(num_cpus=2)
    assert calls == [{"num_cpus": 2}] * min(failures + 1, ATTEMPTS)
