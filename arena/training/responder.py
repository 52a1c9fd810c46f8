"""A best response by learning: one seat trains against fixed others, without Ray, in seconds.

The same network, block player, batch and PPO update as self-play. Its gain is a lower bound of the best response's.
"""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch

from agents.heads import Gaussian
from agents.network import Network, Weights
from arena.game import Game
from arena.markets.market import Act, Market
from arena.training.block import NEW, Lineup, play_block
from arena.training.connector import make_batch
from arena.training.prior import priors
from arena.training.surrogate import UpdateSettings, make_optimizer, update


class LearningSettings(UpdateSettings, Protocol):
    """What a learner reads of the training settings."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def schedule(self) -> str: ...
    @property
    def discount(self) -> float: ...
    @property
    def gae_lambda(self) -> float: ...
    @property
    def control_variate(self) -> bool: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def initial_std(self) -> float: ...
    @property
    def exploration(self) -> str: ...
    @property
    def policy(self) -> Mapping[str, str]: ...


def learning_rate(settings: LearningSettings, iteration: int, iterations: int) -> float:
    """The step size of iteration 0, 1, … of a run: constant, or falling to 0 after the last on a line or a cosine."""
    left = 1.0 if settings.schedule == "constant" else max(0.0, 1.0 - iteration / iterations)
    if settings.schedule == "cosine":
        left = 0.5 * (1.0 - math.cos(math.pi * left))
    return settings.learning_rate * left


def set_exploration(network: Network, settings: LearningSettings, iteration: int, iterations: int) -> None:
    """Give a network the standard deviation of iteration 0, 1, … of a run, if it follows a schedule.

    It falls geometrically: a policy moves by a share of its own exploration in one update, so it must stay wide until
    the mean has arrived; the gradient of the standard deviation knows nothing of that and narrows it early.
    """
    if settings.exploration == "scheduled" and isinstance(head := network.head, Gaussian):
        done = min(1.0, iteration / iterations)
        with torch.no_grad():
            head.log_std.fill_(math.log(settings.initial_std ** (1.0 - done) * settings.final_std**done))


def train_responder(
    market: Market,
    seat: str,
    opponents: Mapping[str, Act],
    settings: LearningSettings,
    *,
    iterations: int,
    games: int,
    seed: int,
    initial: Weights | None = None,
    watch: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, np.ndarray]:
    """Learn to play `seat` against `opponents` (an act for every other agent) and return the weights.

    `initial` warm-starts policy and critic, with learned exploration set back to `initial_std` / 2 where it is smaller.
    `watch(iteration, statistics)` is called after every iteration. Raises ValueError for an unknown or missing seat.
    """
    role = next((role for role in market.roles if seat in role.agents), None)
    if role is None:
        raise ValueError(
            f"responder: no seat '{seat}'; there are {', '.join(a for r in market.roles for a in r.agents)}"
        )
    missing = [agent for one in market.roles for agent in one.agents if agent not in opponents and agent != seat]
    if missing:
        raise ValueError(f"responder: nobody plays {', '.join(missing)}; every other seat needs an act")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = Network(
            role.observation,
            priors(market, settings.policy)[role.name],
            settings.hidden,
            settings.activation,
            settings.initial_std,
            seed,
        )
        if initial is not None:
            network.load(initial)
            with torch.no_grad():
                network.head.settle(0.5 * settings.initial_std)
        optimizer = make_optimizer(network, settings.learning_rate)
        game = Game(market, games)
        seats = {role.name: [role.agents.index(seat)]}
        lineup = {role.name: Lineup(np.full((1, 1), NEW))}
        others = {agent: act for agent, act in opponents.items() if agent != seat}
        generator = torch.Generator().manual_seed(seed)
        for iteration in range(iterations):
            set_exploration(network, settings, iteration, iterations)
            seeds = np.random.SeedSequence([seed, iteration]).generate_state(games, np.uint64)
            played = play_block(game, seeds, seats, {role.name: network.weights()}, lineup, {}, others)
            tracks = [played.tracks[role.name]]
            batch = make_batch(tracks, network, settings.discount, settings.gae_lambda, settings.control_variate)
            optimizer.param_groups[0]["lr"] = learning_rate(settings, iteration, iterations)
            seen = update(network, optimizer, batch, settings, generator)
            if watch is not None:
                watch(iteration, seen | {"return": float(played.returns[role.name][:, seats[role.name][0]].mean())})
        return network.weights()
    finally:
        torch.set_num_threads(threads)
