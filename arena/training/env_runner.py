"""The RLlib environment runner: whole blocks of games in lock-step, one forward pass per trained role and step.

An *order* names everything that a batch depends on: iteration, weights, line-ups, members. Block b of iteration i has
the same seeds wherever it is played, so the batch is the same for any number of workers, and a block that a dead
worker left behind is simply played by another one.
"""

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED, NUM_ENV_STEPS_SAMPLED_LIFETIME

from agents.network import Weights
from arena.game import Game
from arena.scenario import Scenario
from arena.training.block import NEW, Lineup, Segment, block_seeds, play_block
from arena.training.learner import Sample, action_space, fingerprint, observation_space
from arena.training.seats import learner_names, learning_seats, scripted_acts


@dataclass(frozen=True)
class Order:
    """What to play: learners' weights, and for each block its seeds and its line-ups by role.

    `members` holds weights, or a reference to them, of every member that a line-up names. `segments` say for each block
    which part of its games is played; without them it is the whole.
    """

    iteration: int
    learners: Mapping[str, Weights]
    fingerprint: str
    seeds: Sequence[np.ndarray]
    lineups: Sequence[Mapping[str, Lineup]]
    members: Mapping[str, Any] = field(default_factory=dict)
    member_fingerprints: Mapping[str, str] = field(default_factory=dict)
    segments: Sequence[Segment] = ()


class Failure:
    """An error inside a runner, on its way to the driver as a value (RLlib would swallow an exception and restart)."""

    def __init__(self, error: BaseException):
        self.sentence = f"{type(error).__name__}: {error}"
        self.text = "".join(traceback.format_exception(error))


class BatchedEnvRunner(EnvRunner, Checkpointable):
    """Plays blocks of one scenario's games; holds the modules of the trained roles and the members it was sent."""

    def __init__(self, *, config: Any, **kwargs: Any):
        super().__init__(config=config, **kwargs)
        self.scenario = Scenario.model_validate_json(self.config.env_config["scenario"])
        self.seats = learning_seats(self.scenario)
        self.roles = {role.name: role for role in self.scenario.market.roles}
        self.scripted = scripted_acts(self.scenario)
        self.judged = self.scenario.judged.market
        self.games: dict[tuple[int, bool], Game] = {}
        self.num_env_steps_sampled_lifetime: int = 0
        self.members: dict[str, Weights] = {}
        self.order: Order | None = None
        self.make_module()

    def game_of(self, batch: int, judged: bool) -> Game:
        """The game of a batch size, with bonuses for learners or as it is judged, made when it is first played."""
        key = (batch, judged and self.judged is not self.scenario.market)
        if key not in self.games:
            self.games[key] = Game(self.judged if key[1] else self.scenario.market, batch)
        return self.games[key]

    def make_module(self) -> None:
        """The modules of the trained roles, with whatever weights they start from."""
        self.module = self.config.get_multi_rl_module_spec(spaces=self.get_spaces(), inference_only=False).build()

    def get_spaces(self) -> dict[str, Any]:
        """Observation and action space of every trained role and, by agent, of the environment."""
        by_role = {name: (observation_space(role), action_space(role)) for name, role in self.roles.items()}
        agents = {agent: by_role[name] for name, role in self.roles.items() for agent in role.agents}
        whole = tuple(gym.spaces.Dict({agent: pair[i] for agent, pair in agents.items()}) for i in (0, 1))
        own = {name: by_role[name.removesuffix("_exploiter")] for name in learner_names(self.scenario)}
        return {INPUT_ENV_SPACES: whole, INPUT_ENV_SINGLE_SPACES: whole, **own}

    def weights(self) -> dict[str, dict[str, np.ndarray]]:
        """The weights this runner holds, by role."""
        return {name: self.module[name].network.weights() for name in sorted(self.module.keys())}

    def play(self, order: Order, blocks: Sequence[int]) -> list[Sample]:
        """Play some blocks of an order.

        Raises RuntimeError when the weights or members held differ from those the order names.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the same arithmetic in every process
        try:
            self._take(order)
            self.order = replace(order, members=dict(self.members))
            return [self._play_block(order, block) for block in blocks]
        finally:
            torch.set_num_threads(threads)

    def _take(self, order: Order) -> None:
        for name, weights in order.learners.items():
            self.module[name].network.load(weights)
        if fingerprint({name: self.module[name].network.weights() for name in order.learners}) != order.fingerprint:
            raise RuntimeError("runner: its weights differ from the learner's after they were sent")
        held = {name: weights for name, weights in self.members.items() if name in order.members}
        for name, given in order.members.items():
            wanted = order.member_fingerprints[name]
            if name not in held or fingerprint({name: held[name]}) != wanted:
                held[name] = fetch(given)
            if fingerprint({name: held[name]}) != wanted:
                raise RuntimeError(f"runner: league member {name} differs from the league's copy")
        self.members = held

    def _play_block(self, order: Order, block: int) -> Sample:
        started = time.perf_counter()
        seeds, lineups = order.seeds[block], order.lineups[block]
        game = self.game_of(len(seeds), judged=not order.learners)
        members = {role: [self.members[name] for name in lineup.members] for role, lineup in lineups.items()}
        part = order.segments[block] if order.segments else Segment(None, 0, game.steps)
        played = play_block(game, seeds, self.seats, order.learners, lineups, members, self.scripted, part)
        steps = part.steps * game.batch
        if played.tracks:  # games that only judge are not training samples
            self.num_env_steps_sampled_lifetime += steps
            self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
            self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum", with_throughput=True)
            self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=steps)
        return Sample(block, order.iteration, steps, played, order.fingerprint, time.perf_counter() - started)

    def sample(self, **_: Any) -> list[Sample]:
        """Play this runner's share of the last order; before there was one, iteration 0 with all seats new."""
        if self.order is None:
            training, learners = self.scenario.training, self.weights()
            learners = {name: weights for name, weights in learners.items() if name in self.seats}
            blocks = range(training.games // training.block)
            lineups = {role: Lineup(np.full((len(seats), 1), NEW)) for role, seats in self.seats.items()}
            seeds = [block_seeds(training.seed, 0, block, training.block) for block in blocks]
            self.order = Order(0, learners, fingerprint(learners), seeds, [lineups for _ in blocks])
        workers = max(self.num_workers or 0, 1)
        mine = range(max((self.worker_index or 0) - 1, 0), len(self.order.lineups), workers)
        return self.play(self.order, mine)

    def get_metrics(self) -> Any:
        """What was sampled since the last call."""
        return self.metrics.reduce()

    def assert_healthy(self) -> None:
        """Checks that the constructor came to its end."""
        assert self.module is not None

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The modules' weights and the number of steps played."""
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over weights and counters."""
        if COMPONENT_RL_MODULE in state:
            self.module.set_state(fetch(state[COMPONENT_RL_MODULE]))
        self.num_env_steps_sampled_lifetime = state.get(
            NUM_ENV_STEPS_SAMPLED_LIFETIME, self.num_env_steps_sampled_lifetime
        )

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """How RLlib would make this runner again."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """The modules."""
        return [(COMPONENT_RL_MODULE, self.module)]

    def stop(self) -> None:
        """Let go of the games' memory."""
        self.games.clear()


def play_or_report(runner: BatchedEnvRunner, order: Order, blocks: Sequence[int]) -> list[Sample] | Failure:
    """`runner.play`, with an error handed back as a value."""
    try:
        return runner.play(order if isinstance(order, Order) else fetch(order), blocks)
    except Exception as error:
        return Failure(error)


def fetch(value: Any) -> Any:
    """An object, or what a reference to it points at."""
    import ray

    return ray.get(value) if isinstance(value, ray.ObjectRef) else value
