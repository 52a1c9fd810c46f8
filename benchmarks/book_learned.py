"""Learned makers of the book against scripted quoters of the same cap:

    python benchmarks/book_learned.py book_maker --seeds 0-4 --set market.makers.cap=3 --games 20000 --out rows.jsonl

Each seed trains what `python -m arena.selfplay` trains, without judging it, and then plays `--games` games that
training has not seen, the same ones as the scripted quoters. A line of `--out` holds one seed: Sharpe ratios by fee,
paired differences to each quoter at one basis point with their standard errors, positions, fills and the detector's
class. Seeds whose line is there are not trained again.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import numpy as np
import torch

from agents.book_makers import Probabilistic, TwoSided
from agents.learned import player
from arena.markets.book.measures.many import Many, better_by, play_many
from arena.scenario import Scenario, load
from arena.selfplay import numbers_of
from arena.training.ppo import configure
from arena.training.session import ray_session, trainer

FEES = (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
FEE = 1e-4
SEED = 4_000_037
"""Of the judged games, apart from training's and evaluation's."""


def quoters(scenario: Scenario) -> dict[str, Any]:
    """The scripted quoters with the market's cap."""
    cap = scenario.market.makers.cap  # type: ignore[attr-defined]
    both = {"two_sided": TwoSided(cap=cap), "probabilistic": Probabilistic(cap=cap)}
    return both | {"probabilistic_argmax": Probabilistic(rule="argmax", cap=cap)}


def told(games: Many) -> dict[str, Any]:
    """What a line says of a player."""
    return {
        "sharpe": {f"{1e4 * fee:g}": [round(x, 2) for x in games.sharpe(fee)[1:3]] for fee in FEES},
        "pnl": round(games.sharpe(FEE).mean, 3), "sd": round(games.sharpe(FEE).sd, 2),
        "size": round(float(games.size.mean()), 3), "filled": [round(x, 1) for x in games.filled.mean(axis=0)],
        "sent": round(float(games.sent.mean()), 1), "one_sided": round(games.one_sided, 3),
        "determined": round(games.determined, 3), "push": round(games.push, 2), "verdict": games.verdict,
    }  # fmt: skip


def train(scenario: Scenario) -> tuple[dict[str, np.ndarray], float]:
    """The weights that self-play ends with, and the seconds that its iterations took."""
    with tempfile.TemporaryDirectory() as folder:
        config = configure(scenario, workers=0, league_folder=Path(folder) / "league")
        with trainer(config.build_algo()) as algorithm:
            started = time.perf_counter()
            for _ in range(scenario.training.iterations):
                algorithm.train()
            return algorithm.profile_weights()["maker"], time.perf_counter() - started


def main() -> None:
    """Train and play the seeds that are missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("scenario")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--games", type=int, default=20_000)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line) for line in chosen.out.read_text().splitlines()] if chosen.out.is_file() else []
    scenarios = {
        seed: load(chosen.scenario, [*chosen.set, f"training.seed={seed}"]) for seed in numbers_of(chosen.seeds)
    }
    known = {(row["scenario_hash"], row["games"]) for row in done}
    missing = [one for one in scenarios.values() if (one.hash, chosen.games) not in known]
    if not missing:
        return
    with ray_session(0, None, dashboard=False):
        networks = {}
        for one in missing:
            networks[one.training.seed] = train(one)
            print(f"seed {one.training.seed}: trained in {networks[one.training.seed][1]:.0f} s", flush=True)
    market: Any = missing[0].judged.market  # of the book
    against = {}
    for name, recipe in quoters(missing[0]).items():
        against[name] = play_many(market, {"mm_0": recipe.sit(market, "mm_0")}, "mm_0", chosen.games, SEED)
        print(json.dumps({name: told(against[name])}), flush=True)
    for one in missing:
        weights, seconds = networks[one.training.seed]
        started = time.process_time()
        games = play_many(market, {"mm_0": player(weights)}, "mm_0", chosen.games, SEED)
        spent = (time.process_time() - started) / (chosen.games * market.clock.steps)
        row = {
            "scenario": one.name, "set": chosen.set, "seed": one.training.seed, "scenario_hash": one.hash,
            "games": chosen.games, "seconds": round(seconds), "microseconds_per_decision": round(1e6 * spent, 2),
            **told(games),
            "against": {
                name: {
                    "difference": [round(x, 2) for x in better_by(games, other, FEE)],
                    "size": round(float(games.size.mean() - other.size.mean()), 3), **told(other),
                }
                for name, other in against.items()
            },
        }  # fmt: skip
        with chosen.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps({key: row[key] for key in ("seed", "sharpe", "size", "verdict")}), flush=True)


if __name__ == "__main__":
    main()
