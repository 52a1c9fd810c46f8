"""What taking the luck of arrivals out of the advantages is worth: python benchmarks/control_variate.py [--seeds 3].

The executor of the shipped scenario learns against two Avellaneda-Stoikov makers, with and without the control variate
of `arena.training.connector`, on the same games. Printed, mean and standard error over seeds: the paired difference to
Almgren-Chriss in $ a game, and the share of the squared one-step errors that was luck.
"""

import argparse

import numpy as np

from agents.executors import AlmgrenChriss
from agents.learned import player
from agents.makers import AvellanedaStoikov
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.training.responder import train_responder

SEAT = "trader_0"


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=75)
    parser.add_argument("--games", type=int, default=256, help="training games an iteration")
    parser.add_argument("--judged", type=int, default=8192, help="paired games of the comparison")
    chosen = parser.parse_args()

    scenario = load("two_mm_one_trader")
    market = scenario.market
    acts = {seat: AvellanedaStoikov().sit(market, seat) for seat in market.maker_names}
    game, seeds = Game(market, chosen.judged), seeds_of(7, chosen.judged)
    known = play(game, {**acts, SEAT: AlmgrenChriss().sit(market, SEAT)}, seeds).returns_of(SEAT)
    print(f"Almgren-Chriss earns {known.mean():.3f} a game; {chosen.iterations} iterations of {chosen.games} games")
    for control_variate in (True, False):
        settings = scenario.training.model_copy(update={"control_variate": control_variate})
        gains: list[float] = []
        luck: list[float] = []
        for seed in range(chosen.seeds):
            weights = train_responder(
                market, SEAT, acts, settings, iterations=chosen.iterations, games=chosen.games, seed=seed,
                watch=lambda _, seen, shares=luck: shares.append(seen["luck"]),
            )  # fmt: skip
            earned = play(game, {**acts, SEAT: player(weights)}, seeds).returns_of(SEAT)
            gains.append(float((earned - known).mean()))
        error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        label = "without luck" if control_variate else "as it comes"
        print(f"{label}: {np.mean(gains):+.4f} +- {error:.4f} over Almgren-Chriss, luck {np.mean(luck):.2f} of errors")


if __name__ == "__main__":
    main()
