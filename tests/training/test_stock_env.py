"""The adapter for stock RLlib: order, endings, rendering, and one training iteration with RLlib's own runner."""

from typing import Any

import numpy as np
import pytest

from arena.env import parallel_env
from arena.scenario import Scenario, load
from arena.training.stock_env import StockEnv

SHORT = load("two_mm_one_trader", ["market.clock.steps=8"])
ROLES = {"mm": "maker", "trader": "executor", "hedger": "hedger"}


def test_transitions_are_those_of_the_env() -> None:
    stock, ours, rng = StockEnv({"scenario": SHORT}), parallel_env(SHORT), np.random.default_rng(0)
    first, _ = stock.reset(seed=4)
    wanted, _ = ours.reset(seed=4)
    assert list(first) == stock.agents == ours.possible_agents
    while ours.agents:
        actions = {agent: rng.uniform(-1, 1, ours.action_space(agent).shape) for agent in ours.agents}
        observations, rewards, terminated, truncated, _ = stock.step(actions)
        wanted, wanted_rewards, ended, _, _ = ours.step(actions)
        for agent in ours.possible_agents:
            np.testing.assert_array_equal(observations[agent], wanted[agent])
        assert rewards == wanted_rewards
        assert terminated == {**ended, "__all__": not ours.agents}
        assert truncated == {**dict.fromkeys(ended, False), "__all__": False}
        assert stock.agents == ours.agents
    assert terminated["__all__"]


class EndsApart:
    """A world in which one agent is terminated in the step that truncates the others."""

    agents: list[str] = []  # noqa: RUF012  (what remains after the last step)

    def __init__(self, returned: dict[str, Any], endings: tuple[dict[str, bool], dict[str, bool]]):
        self.returned, self.endings = returned, endings

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        return self.returned, dict.fromkeys(self.returned, 0.0), *self.endings, self.returned


@pytest.mark.parametrize(
    ("terminated", "truncated", "cut"),
    [
        ({"a_0": True, "a_1": False}, {"a_0": False, "a_1": True}, False),
        ({"a_0": False, "a_1": False}, {"a_0": True, "a_1": True}, True),
        ({"a_0": True, "a_1": True}, {"a_0": False, "a_1": False}, False),
    ],
)
def test_an_episode_is_over_when_nobody_is_left(terminated: dict, truncated: dict, cut: bool) -> None:
    stock = StockEnv({"scenario": SHORT})
    kept = {"a_0": np.zeros(1), "a_1": np.zeros(1)}
    stock.env = EndsApart(kept, (terminated, truncated))  # type: ignore[assignment]
    before = dict(terminated), dict(truncated)
    _, _, ended, stopped, infos = stock.step({})
    assert (ended["__all__"], stopped["__all__"]) == (not cut, cut)
    assert (terminated, truncated) == before  # the dicts of the env are its own
    assert "__all__" not in infos


def test_rendering_clipping_and_bad_configurations() -> None:
    stock = StockEnv({"scenario": SHORT, "render_mode": "ansi"})
    stock.reset(seed=1)
    assert str(stock.render()).startswith("two_mm_one_trader  step 0/8")
    actions = {agent: np.full(space.shape, 3.0, np.float32) for agent, space in stock.action_spaces.items()}
    stock.step(actions)
    np.testing.assert_allclose(stock.env.table.sent, 1.0)
    assert actions["mm_0"][0] == 3.0
    with pytest.raises(ValueError, match="found nan"):
        stock.step({agent: action * np.nan for agent, action in actions.items()})
    with pytest.raises(ValueError, match="env_config: found sceanrio; allowed are render_mode, scenario"):
        StockEnv({"sceanrio": SHORT})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("scenario", "policies"),
    [(SHORT, {"maker", "executor"}), (load("hedging_flow", ["market.clock={horizon: 4, steps: 8}"]), {"hedger"})],
    ids=["dealer", "hedging"],
)
def test_stock_rllib_trains_on_it(scenario: Scenario, policies: set[str]) -> None:
    from ray.rllib.algorithms.ppo import PPOConfig

    config = (
        PPOConfig()
        .environment(StockEnv, env_config={"scenario": scenario})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=2)
        .training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
        .multi_agent(
            policies=policies,
            policy_mapping_fn=lambda agent, episode, **_: ROLES[agent.rstrip("_0123456789")],
        )
    )
    algorithm = config.build_algo()
    try:
        result = algorithm.train()
    finally:
        algorithm.stop()
    assert result["env_runners"]["num_env_steps_sampled"] >= 64
    assert result["env_runners"]["episode_len_mean"] == scenario.market.clock.steps
    for policy in policies:
        assert np.isfinite(result["learners"][policy]["total_loss"])
