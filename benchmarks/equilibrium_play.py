"""Equilibria in play: what they earn in the market, and what anybody could still gain in the market's own steps.

`python benchmarks/equilibrium_play.py` prints, for 20, 40 and 80 steps, the largest distance between what a seat earns
and what the solver says, and NashConv of the paths, opponents' paths replayed, inside the market's discretisation.
"""

from __future__ import annotations

import numpy as np

from agents.nash import NashExecutor, NashMaker, NashTrader
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import execution_game_of, makers_traders_of, solve
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.solvers.execution import steps as execution_steps
from arena.solvers.makers_traders import deviations
from arena.solvers.solution import Solution

L1 = ["market.makers.initial_inventory=[4, 1]", "market.executors.0.size=10"]
CASES = (
    ("acas", [], "open_loop"),
    ("mean_field", [], "open_loop"),
    ("logistic_duel", L1, "open_loop"),
    ("logistic_duel", L1, "feedback"),
    ("execution_game", [], "open_loop"),
    ("execution_game", [], "feedback"),
)


def earned(market: DealerMarket, information: str) -> np.ndarray:
    """Return of every seat when all play the equilibrium [M + N]; these games are deterministic."""
    trader = NashTrader if market.makers.count else NashExecutor
    acts = {seat: NashMaker(information=information).sit(market, seat) for seat in market.maker_names}
    acts |= {seat: trader(information=information).sit(market, seat) for seat in market.executor_names}
    rollout = play(Game(market, 1), acts, seeds_of(1, 1))
    return np.concatenate([rollout.returns[role.name][0] for role in market.roles])


def nashconv(market: DealerMarket, path: Solution) -> float:
    """Sum over seats of the gain of the best other path, everybody else's path replayed."""
    rate = path.stack("rate")[: len(market.executors)].T
    if not market.makers.count:
        return float(execution_steps.open_loop_gains(execution_game_of(market), rate).sum())
    profile = deviations.Profile(path.stack("ask").T, path.stack("bid").T, rate)
    return float(deviations.open_loop_gains(makers_traders_of(market), profile).sum())


def main() -> None:
    """Print one line per case and number of steps."""
    print(f"{'scenario':<16}{'players':<12}{'steps':>6}{'largest distance':>19}{'NashConv of paths':>20}")
    for name, changes, information in CASES:
        for steps in (20, 40, 80):
            market = load(name, [*changes, f"market.clock.steps={steps}"]).market
            found, path = solve(market, information), solve(market, information, midpoints=True)
            assert isinstance(found, Solution)
            assert isinstance(path, Solution)
            got = earned(market, information)
            off = float(np.abs(got - found.objectives[: got.size]).max())
            gap = f"{nashconv(market, path):.2e}" if information == "open_loop" else "–"
            print(f"{name:<16}{information:<12}{steps:>6}{off:>19.2e}{gap:>20}")


if __name__ == "__main__":
    main()
