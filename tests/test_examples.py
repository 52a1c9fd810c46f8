"""The examples run and show what they promise."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_an_agent_of_ones_own_beats_the_naive_spread(capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLES / "own_agent.py"))
    gain = example["main"](games=200)
    assert gain > 2.0
    assert f"lean earns {gain:+.2f}" in capsys.readouterr().out
    role = example["maker"]
    observation = np.zeros((1, role.observation.size), np.float32)
    observation[:, role.observation.slice("inventory")] = [2, 0, -2, 4]
    quotes = role.action.from_unit(example["lean"](observation, np.zeros((1, role.action.size))))[0]
    np.testing.assert_allclose(quotes, [0.03, -0.01, 0.03, 0.0, 0.03, 0.01, 0.03, -0.02], atol=1e-12)


def test_a_masked_learner_never_picks_what_is_not_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sb3_contrib")
    found = runpy.run_path(str(EXAMPLES / "masked_ppo.py"))["main"](timesteps=200, games=2)
    assert found["clipped"] == 0.0
    assert 0.0 < found["acted"] <= 1.0
    assert "200 decisions learned" in capsys.readouterr().out
