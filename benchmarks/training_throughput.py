"""Whole training iterations: our batched runner against stock RLlib on the same game, side by side in one process tree.

    python benchmarks/training_throughput.py [--rounds 3] [--games 256]

Both train the shipped scenario with 64 x 64 networks, 4 epochs, minibatches of 4096, all three seats learning, the same
games per iteration and one remote runner each (`--workers 0`: both in the driver). Stock RLlib is MultiAgentEnvRunner
with 16 vectorised environments through `arena.training.stock_env.StockEnv`. Printed are medians over rounds, taken in
turn, of agent-steps per second (one decision of one seat) and their ratio. Line-ups: all seats new, as in stock RLlib;
the second line is the scenario as shipped, with its league's line-ups and promotion games. The last lines time one
forward pass of all frozen cells of 256 games against 1 and against 16 different members.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import pairwise

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig

from arena.scenario import Scenario, load
from arena.training.frozen import Stack
from arena.training.ppo import configure
from arena.training.session import ray_session, trainer
from arena.training.stock_env import StockEnv

EPOCHS, MINIBATCH, HIDDEN = 4, 4096, [64, 64]
NEVER = 1_000_000


def ours(scenario: Scenario, workers: int, folder: str) -> Algorithm:
    """The batched runner and our learner."""
    return configure(scenario, workers=workers, league_folder=folder).build_algo()


def stock(name: str, games: int, steps: int, workers: int) -> Algorithm:
    """RLlib's own multi-agent runner, connectors and learner on the same game."""
    rows = games * steps
    config = (
        PPOConfig()
        .environment(StockEnv, env_config={"scenario": name})
        .env_runners(num_env_runners=workers, num_envs_per_env_runner=16, rollout_fragment_length="auto")
        .multi_agent(
            policies={"maker", "executor"},
            policy_mapping_fn=lambda agent, *_, **__: "maker" if agent.startswith("mm") else "executor",
        )
        .rl_module(model_config={"fcnet_hiddens": HIDDEN, "fcnet_activation": "tanh", "vf_share_layers": False})
        .training(
            train_batch_size_per_learner=rows,
            minibatch_size=min(MINIBATCH, rows),
            num_epochs=EPOCHS,
            lr=1e-3,
            gamma=1.0,
            lambda_=0.95,
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .debugging(seed=0, log_level="ERROR")
    )
    return config.build_algo()


def seconds(algorithm: Algorithm) -> float:
    """Duration of one iteration."""
    started = time.perf_counter()
    algorithm.train()
    return time.perf_counter() - started


def opponents(members: int, games: int = 256, cells: int = 16, repeats: int = 300) -> float:
    """Median seconds of one forward pass of `cells` frozen cells against that many members."""
    rng = np.random.default_rng(0)
    sizes = [45, *HIDDEN, 8]
    flat = {
        "centre": np.zeros(45),
        "scale": np.ones(45),
        "relu": np.array([False]),
        "baseline": np.zeros(8),
        "reach": np.ones(8),
        "linear": np.zeros((8, 45)),
    }
    weights = []
    for _ in range(members):
        layers = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            layers[f"policy.{2 * i}.weight"] = rng.normal(size=(fan_out, fan_in)) / np.sqrt(fan_in)
            layers[f"policy.{2 * i}.bias"] = np.zeros(fan_out)
        weights.append(
            {name: value.astype(np.float32) if name != "relu" else value for name, value in (flat | layers).items()}
        )
    stack = Stack(weights, [cell % members for cell in range(cells)])
    seen, where = rng.normal(size=(sizes[0], cells, games // cells)).astype(np.float32), np.arange(cells)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        stack.act(seen, where)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print one table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--games", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    name = "two_mm_one_trader"
    changes = ["training.games={}", "training.epochs={}", "training.minibatch={}", "training.hidden={}"]
    changes = [text.format(x) for text, x in zip(changes, (given.games, EPOCHS, MINIBATCH, HIDDEN), strict=True)]
    league = load(name, changes)
    plain = load(name, [*changes, "league.slots=1", f"league.promotion.every={NEVER}"])
    steps, agents = league.market.clock.steps, sum(len(role.agents) for role in league.market.roles)
    with ray_session(2 * given.workers, None, False), tempfile.TemporaryDirectory() as folder:
        rows = {
            "all seats new": (ours(plain, given.workers, f"{folder}/plain"), given.games),
            "league line-ups": (ours(league, given.workers, f"{folder}/league"), given.games),
            "stock RLlib, 16 envs": (stock(name, given.games, steps, given.workers), given.games),
        }
        rates: dict[str, list[float]] = {label: [] for label in rows}
        for round_ in range(given.rounds + 1):
            for label, (algorithm, games) in rows.items():
                rate = games * steps * agents / seconds(algorithm)
                if round_:  # the first round compiles and warms up
                    rates[label].append(rate)
        for algorithm, _ in rows.values():
            with trainer(algorithm):
                pass
    medians = {label: statistics.median(values) for label, values in rates.items()}
    base = medians["stock RLlib, 16 envs"]
    print(f"{'iterations with':24s} {'agent-steps/s':>14s} {'ratio':>7s}")
    for label, value in medians.items():
        print(f"{label:24s} {value:14,.0f} {value / base:7.1f}")
    torch.set_num_threads(1)
    one, many = opponents(1), opponents(16)
    print(f"frozen forward pass, 1 member: {1e6 * one:.0f} us; 16 members: {1e6 * many:.0f} us; ratio {many / one:.2f}")
    print(json.dumps({"rates": medians, "rounds": given.rounds, "workers": given.workers, "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
