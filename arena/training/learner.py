"""What RLlib trains: the actor-critic of a role as an RLModule, and the PPO learner that updates one per role.

The learner is RLlib's, with its modules, optimisers and checkpoints; only the loop over a batch is ours
(`surrogate.update`), because a stock update cycles a small module's batch until the largest one is through (unequal
numbers of passes) and pays milliseconds of bookkeeping per minibatch.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import ALL_MODULES
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.metrics import NUM_ENV_STEPS_TRAINED_LIFETIME, NUM_MODULE_STEPS_TRAINED_LIFETIME

from agents.heads import Prior
from agents.network import Network, Weights
from arena.layout import Choice
from arena.markets.market import Role
from arena.scenario import Scenario
from arena.training import pathwise
from arena.training.block import Played, Track, block_seeds
from arena.training.connector import make_batch
from arena.training.responder import learning_rate, set_exploration
from arena.training.self_imitation import Memory
from arena.training.surrogate import Batch, make_optimizer, update

MEMORIES = "memories"
"""Key of the past that is imitated in a learner's state."""


def _generator(seed: int, iteration: int, name: str) -> torch.Generator:
    """A generator of its own for each purpose of each update."""
    key = hashlib.blake2b(f"{seed}|{iteration}|{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(key))


class Sample:
    """One played block on its way to the driver and the learner; RLlib counts its environment steps by `len`."""

    __slots__ = ("block", "fingerprint", "iteration", "played", "seconds", "steps")

    def __init__(self, block: int, iteration: int, steps: int, played: Played, fingerprint: str, seconds: float):
        self.block, self.iteration, self.steps = block, iteration, steps
        self.played, self.fingerprint, self.seconds = played, fingerprint, seconds

    def __len__(self) -> int:
        return self.steps


def fingerprint(weights: Mapping[str, Weights]) -> str:
    """A hash of several networks' weights by name: equal exactly when every number is."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        for key in sorted(weights[name]):
            digest.update(f"{name}/{key}".encode())
            digest.update(np.ascontiguousarray(weights[name][key]).tobytes())
    return digest.hexdigest()


class PolicyModule(TorchRLModule, ValueFunctionAPI):
    """`agents.network.Network` as an RLModule: raw observations in, the inputs of its distribution out."""

    def setup(self) -> None:
        """Build the network that `model_config["network"]` describes."""
        self.network = Network(**self.model_config["network"])

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        seen = self.network.standardise(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self.network.head.distribution(self.network.outputs(seen), seen)}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """Standardised values of raw observations, [N]."""
        return self.network.values(self.network.standardise(batch[Columns.OBS]))


def module_spec(role: Role, prior: Prior, training: Any, seed: int) -> RLModuleSpec:
    """The module of one role; `prior` is where its learning starts."""
    return RLModuleSpec(
        module_class=PolicyModule,
        observation_space=observation_space(role),
        action_space=action_space(role),
        model_config={
            "network": {
                "observation": role.observation,
                "prior": prior,
                "hidden": tuple(training.hidden),
                "activation": training.activation,
                "initial_std": training.initial_std,
                "seed": seed,
            }
        },
    )


def observation_space(role: Role) -> gym.spaces.Box:
    """Finite float32 bounds of a role's observation."""
    largest = np.float32(1e9)
    low = np.clip(role.observation.low, -largest, largest).astype(np.float32)
    return gym.spaces.Box(low, np.clip(role.observation.high, -largest, largest).astype(np.float32))


def action_space(role: Role) -> gym.Space:
    """Numbers in [-1, 1], or the index of an option."""
    if isinstance(role.action, Choice):
        return gym.spaces.Discrete(len(role.action))
    return gym.spaces.Box(-1.0, 1.0, (role.action.size,), np.float32)


class SelfPlayLearner(PPOTorchLearner):
    """PPO on whole blocks: every role gets the same number of passes over its own decisions."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One Adam per role; the step size is set anew in every update."""
        network = self._network(module_id)
        optimizer = make_optimizer(network, config.lr)
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=list(network.parameters()), lr_or_lr_schedule=config.lr
        )

    def weights(self) -> dict[str, dict[str, np.ndarray]]:
        """The networks' weights by name."""
        return {name: self._network(name).weights() for name in sorted(self.module.keys())}

    def load(self, name: str, weights: Weights) -> None:
        """Give a network these weights; its optimiser's memory stays."""
        self._network(name).load(weights)

    def restart(self, name: str, seed: int) -> None:
        """Give a network fresh weights and its optimiser a fresh memory."""
        network = self._network(name)
        network.load(Network(**{**self.module[name].unwrapped().model_config["network"], "seed": seed}).weights())
        self.get_optimizer(name).state.clear()
        self._memories.pop(name, None)

    def update(
        self,
        *,
        episodes: list[Sample] | None = None,
        training_data: TrainingData | None = None,
        timesteps: Any = None,
        **_: Any,
    ) -> Any:
        """Learn from the blocks of one iteration; returns RLlib's metrics.

        Raises ValueError for an empty batch, RuntimeError for a block that was played with other weights than these.
        """
        if training_data is not None:
            training_data.solve_refs()
            episodes = training_data.episodes
        samples = sorted(episodes or [], key=lambda sample: sample.block)
        if not samples:
            raise ValueError("training: an empty batch; no block was played")
        now = fingerprint(self.weights())
        strange = [sample.block for sample in samples if sample.fingerprint != now]
        if strange:
            raise RuntimeError(f"training: blocks {strange} were played with other weights than the learner's")
        self.before_gradient_based_update(timesteps=timesteps or {})
        names = sorted(self.module.keys())
        with ThreadPoolExecutor(max_workers=len(names)) as threads:  # networks are independent: a core each
            done = list(threads.map(partial(self._learn, samples), names))
        for name, seen in zip(names, done, strict=True):
            self.metrics.log_dict(seen, key=name, window=1)
        counts = {
            NUM_MODULE_STEPS_TRAINED_LIFETIME: sum(int(seen["rows"]) for seen in done),
            NUM_ENV_STEPS_TRAINED_LIFETIME: sum(len(sample) for sample in samples),
        }
        for key, count in counts.items():
            self.metrics.log_value((ALL_MODULES, key), count, reduce="lifetime_sum", with_throughput=True)
        self.after_gradient_based_update(timesteps=timesteps or {})
        return self.metrics.reduce()

    def _learn(self, samples: list[Sample], name: str) -> dict[str, float]:
        """One network's share of an update, alone on its thread; a pure function of samples, weights and seed."""
        torch.set_num_threads(1)
        settings, iteration = self.config.learner_config_dict["training"], samples[0].iteration
        tracks = [sample.played.tracks[name] for sample in samples if name in sample.played.tracks]
        network, optimizer = self._network(name), self.get_optimizer(name)
        if settings.method == "pathwise":
            return self._learn_pathwise(network, optimizer, iteration, len(samples))
        batch = make_batch(tracks, network, settings.discount, settings.gae_lambda, settings.control_variate)
        step_size = learning_rate(settings, iteration, settings.iterations)
        optimizer.param_groups[0]["lr"] = step_size
        seen = update(
            network, optimizer, batch, settings, _generator(settings.seed, iteration, name),
            self._imitation(name, network, tracks, batch, settings, iteration),
        )  # fmt: skip
        set_exploration(network, settings, iteration + 1, settings.iterations)
        return seen | {"lr": step_size}

    def _imitation(
        self, name: str, network: Network, tracks: list[Track], batch: Batch, settings: Any, iteration: int
    ) -> Callable[[], torch.Tensor] | None:
        """The loss of self-imitation, if the settings ask for it, after the memory has taken in these tracks."""
        if settings.self_imitation is None:
            return None
        memory = self._memories.setdefault(name, Memory(settings.self_imitation))
        generator = _generator(settings.seed, iteration, f"{name}|imitation")
        memory.take_in(tracks, batch, generator)
        return partial(memory.loss, network, batch, settings.minibatch, generator)

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and what is remembered for self-imitation."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(MEMORIES, components, not_components):
            state[MEMORIES] = {name: memory.state_dict() for name, memory in self._memories.items()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        super().set_state(state)
        imitation = self.config.learner_config_dict["training"].self_imitation
        for name, kept in state.get(MEMORIES, {}).items():
            self._memories[name] = Memory.of(imitation, kept)

    @cached_property
    def _memories(self) -> dict[str, Memory]:
        return {}

    def _learn_pathwise(
        self, network: Network, optimizer: torch.optim.Optimizer, iteration: int, blocks: int
    ) -> dict[str, float]:
        """One step along the gradient through the band, on the games that were played."""
        settings = self._scenario.training
        optimizer.param_groups[0]["lr"] = step_size = learning_rate(settings, iteration, settings.iterations)
        seeds = [block_seeds(settings.seed, iteration, block, settings.block) for block in range(blocks)]
        paths = pathwise.record(self._scenario.market, np.concatenate(seeds))
        return pathwise.update(network, optimizer, paths, settings.gradient_clip) | {"lr": step_size}

    @cached_property
    def _scenario(self) -> Scenario:
        return Scenario.model_validate_json(self.config.env_config["scenario"])

    def _network(self, name: str) -> Network:
        return self.module[name].unwrapped().network
