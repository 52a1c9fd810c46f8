"""What learning impulses costs: python benchmarks/book_training.py [--iterations 15] [--batch 1024].

Prints the median time of a training iteration of `book_maker` (64 games, 100 decisions of each), wall clock and CPU of
this process, the memory of the games that go on, and the CPU time of a judged decision of a learned policy in a large
batch, by part. CPU times are told because a shared machine stretches the wall clock.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import torch

from agents.learned import player
from arena.game import Game
from arena.rollout import seeds_of
from arena.scenario import load
from arena.training.ppo import configure
from arena.training.session import ray_session, trainer


def main() -> None:
    """Train some iterations, then play."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1024)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    scenario = load("book_maker")
    wall, cpu = [], []
    with tempfile.TemporaryDirectory() as folder, ray_session(0, None, dashboard=False):
        config = configure(scenario, workers=0, league_folder=Path(folder) / "league")
        with trainer(config.build_algo()) as algorithm:
            for _ in range(chosen.iterations + 1):
                started = time.perf_counter(), time.process_time()
                algorithm.train()
                wall.append(time.perf_counter() - started[0])
                cpu.append(time.process_time() - started[1])
            kept = sum(one.pause.nbytes for one in algorithm.underway.values())
            weights = algorithm.learner_weights()["maker"]
    rows = scenario.training.games * scenario.decisions
    print(
        f"iteration of {rows} decisions: {statistics.median(wall[1:]):.2f} s, of CPU {statistics.median(cpu[1:]):.2f}; "
        f"the first, with {scenario.training.games} games brought out of phase and compilation, {wall[0]:.1f} s"
    )
    print(f"games that go on: {kept / 2**20:.2f} MiB, {kept / scenario.training.games / 1024:.1f} KiB a game")
    game, act = Game(scenario.market, chosen.batch), player(weights)
    observation = game.reset(seeds_of(1, chosen.batch))["maker"]
    spent = dict.fromkeys(("noise", "policy", "book"), 0.0)
    for t in range(70):
        now = [time.process_time()]
        noise = game.noise()["maker"]
        now.append(time.process_time())
        game.action["maker"][:, 0] = act(observation[:, 0], noise[:, 0])
        now.append(time.process_time())
        game.advance()
        now.append(time.process_time())
        if t >= 20:
            for name, before, after in zip(spent, now, now[1:], strict=False):
                spent[name] += (after - before) / 50 / chosen.batch * 1e6
    parts = ", ".join(f"{name} {value:.2f}" for name, value in spent.items())
    print(f"judged decision in a batch of {chosen.batch}: {sum(spent.values()):.2f} µs of CPU ({parts})")


if __name__ == "__main__":
    main()
