"""Does self-play leave the equilibrium it starts in: python benchmarks/from_equilibrium.py [--iterations N] [--seed N].

The networks of `logistic_duel` are regressed on the feedback equilibrium of theory (states that its play visits from
drawn starts, with noisy actions), then the critics learn alone, then all by self-play. Printed before and after: the
closed-loop gap, exact, as a share of the naive profile's from the nominal start, over drawn starts and over sub-games,
and the pay-offs from the nominal start beside theory's. Exploration is narrow, for a game with noisy rivals has another
equilibrium; and batches are large, for narrow exploration shows little of the slope in each game.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.network import Network
from arena.game import Game
from arena.judge import measure_gap, profile_of
from arena.markets.dealer.gaps.gradient_response import Players, follow
from arena.markets.dealer.gaps.starts import at_zero, nominal
from arena.markets.dealer.gaps.twin import FluidGame
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import makers_traders_of
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.scenario import Scenario, load
from arena.solvers.makers_traders.feedback import feedback_nash
from arena.solvers.makers_traders.stage import leader, outcome
from arena.training.ppo import configure
from arena.training.prior import priors
from arena.training.session import ray_session, trainer

STD = 0.02
"""Exploration in output units of the networks: .04 $ of a quote, .3 lots a day of the rate."""
GAMES, JITTER, STEPS, BATCH = 512, 0.05, 4000, 1024
"""Games that show the regression its states, noise of their actions in [-1, 1] units, and the regression's effort."""


def equilibrium_acts(market: DealerMarket) -> tuple[dict[str, Act], np.ndarray]:
    """The feedback equilibrium in the market's seats, held in every step as it is in its middle, and its objectives."""
    game, half = makers_traders_of(market), 0.5 * market.clock.dt
    found = feedback_nash(game, nodes=9, radius=3.0)
    first = found.policy(0.0, game.start[None])
    lead = leader(game, first[:, :2], first[:, 2:4])
    makers, traders, horizon = market.role("maker"), market.role("executor"), market.clock.horizon

    def controls(left: np.ndarray, q: np.ndarray) -> np.ndarray:
        out = np.empty((len(q), 5))
        for one in np.unique(left):
            now, here = horizon - one, q[left == one]
            ask, bid, rate = np.split(found.policy(now, here), [2, 4], axis=1)
            moved, _ = outcome(game, lead, now, here, ask, bid, rate)
            out[left == one] = found.policy(now + half, here + half * moved)
        return out

    def maker(observation: np.ndarray, noise: np.ndarray, seat: int) -> np.ndarray:
        left, own, rival, remaining = (observation[:, k].astype(float) for k in range(4))
        pair = [own, rival] if seat == 0 else [rival, own]
        quoted = controls(left, np.stack([*pair, -remaining], axis=1))
        ask, bid = quoted[:, seat], quoted[:, 2 + seat]
        return makers.action.to_unit(np.stack([0.5 * (ask + bid), 0.5 * (ask - bid)], axis=1))

    def trader(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        names = ("maker_inventory", "remaining", "time_left")
        q, remaining, left = (observation[:, traders.observation.slice(name)].astype(float) for name in names)
        return traders.action.to_unit(controls(left[:, 0], np.hstack([q, -remaining]))[:, 4:])

    acts = {seat: partial(maker, seat=k) for k, seat in enumerate(market.maker_names)}
    return acts | {market.executor_names[0]: trader}, found.objectives


def noisy(act: Act) -> Act:
    """An act whose actions are blurred, so that play visits the neighbourhood of its path."""
    return lambda observation, noise: act(observation, noise) + JITTER * noise


def regressed(scenario: Scenario, acts: Mapping[str, Act], seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Networks by role that play what the acts play, by least squares."""
    market, training = scenario.market, scenario.training
    around = {seat: noisy(act) for seat, act in acts.items()}
    seen = play(Game(market, GAMES), around, seeds_of(seed, GAMES, 7), trace=True)
    assert seen.observations is not None
    out = {}
    for role in market.roles:
        prior = priors(market)[role.name]
        baseline, reach = prior
        start = training.initial_std
        network = Network(role.observation, prior, training.hidden, training.activation, start, seed)
        rows = np.concatenate([seen.observations[role.name][:, :, k] for k in range(len(role.agents))], axis=1)
        right = [
            acts[seat](one.reshape(-1, role.observation.size), np.zeros(1))
            for seat, one in zip(role.agents, np.split(rows, len(role.agents), axis=1), strict=True)
        ]
        x = [one.reshape(-1, role.observation.size) for one in np.split(rows, len(role.agents), axis=1)]
        inputs = network.standardise(torch.tensor(np.concatenate(x)))
        wanted = torch.tensor((np.concatenate(right) - baseline) / reach, dtype=torch.float32)
        own = [p for name, p in network.named_parameters() if name == "linear" or name.startswith("policy")]
        optimizer, generator = torch.optim.Adam(own, lr=3e-3), torch.Generator().manual_seed(seed)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
        for _ in range(STEPS):
            some = torch.randint(len(inputs), (BATCH,), generator=generator)
            loss = (network.outputs(inputs[some]) - wanted[some]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        out[role.name] = network.weights()
    return out


def describe(scenario: Scenario, networks: Mapping[str, Any], theory: np.ndarray, name: str) -> None:
    """One paragraph: the gap's shares and the pay-offs."""
    profile = profile_of(scenario, networks)
    gap, game = measure_gap(scenario, profile, quick=True), FluidGame(scenario.market)
    paid = follow(game, Players(scenario.market, profile.acts, profile.weights), at_zero(nominal(game))).returns[0]
    shares = {view: one["relative"] for view, one in gap.views().items() if view.startswith("closed")}
    print(f"{name}: " + ", ".join(f"{view} {100 * share:.4f} %" for view, share in shares.items()))
    print(
        "  pay-offs", np.round(paid.numpy(), 4), "off theory's by", np.round(100 * (paid.numpy() / theory - 1), 2), "%"
    )


def put(learner: Any, networks: Mapping[str, Mapping[str, np.ndarray]], critics: bool) -> None:
    """Give the learner's policies these weights, and the critics theirs if they are worth keeping."""
    for name, weights in networks.items():
        network = learner.module[name].unwrapped().network
        own = {key: value for key, value in weights.items() if key != "log_std" and (critics or key[:5] != "value")}
        network.load(network.weights() | own)


def trained(scenario: Scenario, networks: Mapping[str, Any], *, only_critics: bool) -> dict[str, Any]:
    """Self-play from these networks; with `only_critics` the policies are put back after every iteration."""
    with tempfile.TemporaryDirectory() as folder:
        config = configure(scenario, league_folder=Path(folder))
        with trainer(config.build_algo()) as algorithm:
            algorithm.learner_group.foreach_learner(partial(put, networks=networks, critics=not only_critics))
            while algorithm.iteration < scenario.training.iterations:
                algorithm.train()
                if only_critics:
                    algorithm.learner_group.foreach_learner(partial(put, networks=networks, critics=False))
            return algorithm.learner_weights() if only_critics else algorithm.profile_weights()


def main() -> None:
    """Regress, let the critics learn, describe, train, describe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="change a setting: training.learning_rate=1e-4")
    given = parser.parse_args()
    torch.set_num_threads(1)

    def scenario(**changes: float) -> Scenario:
        own = {"seed": given.seed, "games": 512, "minibatch": 5120, "initial_std": STD, "final_std": STD, **changes}
        return load("logistic_duel", [*(f"training.{name}={value}" for name, value in own.items()), *given.set])

    first, second = scenario(iterations=100), scenario(iterations=given.iterations, learning_rate=1e-4)
    started = time.perf_counter()
    acts, theory = equilibrium_acts(first.market)
    networks = regressed(first, acts, given.seed)
    describe(first, networks, theory, f"regressed ({time.perf_counter() - started:.0f} s)")
    with ray_session(0, None, False):
        networks = trained(first, networks, only_critics=True)
        started = time.perf_counter()
        learned = trained(second, networks, only_critics=False)
    spent = time.perf_counter() - started
    describe(second, learned, theory, f"trained on ({given.iterations} iterations, {spent:.0f} s)")


if __name__ == "__main__":
    main()
