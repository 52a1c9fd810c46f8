"""Stock RLlib on the limit order book: its own PPO, with the module of its examples that masks what is not allowed."""

from typing import Any

import gymnasium
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module import MultiRLModuleSpec, RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule

from arena.scenario import load
from arena.training.stock_env import StockEnv

# Ten seconds a game and two makers; leave the list out for the scenario as it is.
scenario = load("book_two_makers", ["market.clock.horizon=10", "market.clock.steps=100", "market.warm_up=5"])


class Masked(StockEnv):
    """The adapter with the names that RLlib's masking module asks for: `observations` and `action_mask`."""

    def __init__(self, config: dict[str, Any] | None = None):
        super().__init__(config)
        self.observation_spaces = {
            agent: gymnasium.spaces.Dict({"observations": space["observation"], "action_mask": space["action_mask"]})
            for agent, space in self.observation_spaces.items()
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start the next game."""
        seen, infos = super().reset(seed=seed, options=options)
        return _renamed(seen), infos

    def step(self, action_dict: dict[str, Any]) -> tuple[Any, ...]:
        """Play one step."""
        seen, *rest = super().step(action_dict)
        return _renamed(seen), *rest


def _renamed(seen: dict[str, Any]) -> dict[str, Any]:
    return {agent: {"observations": o["observation"], "action_mask": o["action_mask"]} for agent, o in seen.items()}


def main(iterations: int = 5, batch: int = 1000) -> dict[str, Any]:
    """Train one policy for both makers; the last result."""
    module = MultiRLModuleSpec(rl_module_specs={"maker": RLModuleSpec(module_class=ActionMaskingTorchRLModule)})
    config = (
        PPOConfig()
        .environment(Masked, env_config={"scenario": scenario})
        .env_runners(num_env_runners=0)
        .training(train_batch_size_per_learner=batch, minibatch_size=batch // 2, num_epochs=1)
        .multi_agent(policies={"maker"}, policy_mapping_fn=lambda agent, episode, **_: "maker")
        .rl_module(rl_module_spec=module)
    )
    algorithm = config.build_algo()
    try:
        for _ in range(iterations):
            result = algorithm.train()
            print(f"{result['env_runners']['num_env_steps_sampled_lifetime']:.0f} steps, "
                  f"return {result['env_runners']['episode_return_mean']:+.1f} ticks")  # fmt: skip
    finally:
        algorithm.stop()
    return result


if __name__ == "__main__":
    main()
