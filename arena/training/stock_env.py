"""A scenario as a plain RLlib MultiAgentEnv, for those who want RLlib's own runners, connectors and algorithms.

    config.environment(StockEnv, env_config={"scenario": "two_mm_one_trader"}).multi_agent(...)

An episode ends when no agent is left (`__all__`), agents keep the order of `possible_agents`, the dicts of the
underlying env are never changed, and `render()` works. The shipped trainer does not use this: it is much slower.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from arena.env import Infos, Observations, parallel_env


class StockEnv(MultiAgentEnv):
    """RLlib's view of `arena.env.parallel_env`; `config` holds its arguments, `scenario` and `render_mode`.

    Numbers outside [-1, 1] are clipped (RLlib's Gaussian head produces them); what is not a number still raises. A seat
    that chooses has a Discrete space and sees its mask beside the observation, as in `arena.env.parallel_env`.
    Raises ValueError for another key in `config`.
    """

    def __init__(self, config: dict[str, Any] | None = None):
        super().__init__()
        known = {"scenario", "render_mode"}
        unknown = sorted(set(config or {}) - known)
        if unknown:
            raise ValueError(f"env_config: found {', '.join(unknown)}; allowed are {', '.join(sorted(known))}")
        self.env = parallel_env(**(config or {}))
        self.possible_agents = list(self.env.possible_agents)
        self.agents = list(self.possible_agents)
        self.observation_spaces = {agent: self.env.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: self.env.action_space(agent) for agent in self.possible_agents}
        self.render_mode, self.metadata = self.env.render_mode, self.env.metadata

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Start the next game, or the first of a new stream if `seed` is given."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        return observations, infos

    def step(
        self, action_dict: dict[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play one step; terminated and truncated carry `__all__`, true when no agent is left."""
        actions = {
            agent: np.clip(action, -1.0, 1.0) if isinstance(self.action_spaces.get(agent), Box) else action
            for agent, action in action_dict.items()
        }
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self.agents = list(self.env.agents)
        over = not self.agents
        cut = over and bool(truncated) and all(truncated.values())
        return (
            observations,
            rewards,
            {**terminated, "__all__": over and not cut},
            {**truncated, "__all__": cut},
            infos,
        )

    def render(self) -> Any:
        """The market's board in the env's render mode."""
        return self.env.render()

    def close(self) -> None:
        """Close the underlying env."""
        self.env.close()
