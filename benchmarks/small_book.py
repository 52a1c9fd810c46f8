"""The exact optimum of the small book played in the market: python benchmarks/small_book.py [--games 20000].

Prints the exact value, that of decisions by a clock of the same tempo and of its policy on the grid, and what the
optimum and two-sided quotes are paid, with standard errors.
"""

import argparse

import numpy as np

from agents.book_makers import TwoSided
from agents.impulse_makers import ImpulseMaker
from arena.game import Game
from arena.layout import Array
from arena.markets.book.problems.impulse_problem import optimum
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.solvers.impulse import value_iteration as vi

BATCH = 4000


def on_grid(chain: vi.Chain, clock: float) -> tuple[float, float]:
    """What decisions by a clock are worth, and what their policy is worth when it is asked at each decision."""
    problem = chain.problem
    value = np.asarray(problem.at_end(chain.states) + np.zeros(len(chain.codes)))
    policy = np.empty((problem.steps, len(value)), np.int8)
    for k in reversed(range(problem.steps)):
        value = vi.clocked(chain, clock, value, problem.dt)
        policy[k] = vi.best(chain, value)[1]
    return vi.at_start(chain, value), vi.at_start(chain, vi.evaluate(chain, policy))


def main() -> None:
    """Solve, play, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--games", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    market = load("book_small").market
    found = optimum(market)
    print(f"exact {found.value:.5f}; by a clock {{:.5f}}, its policy on the grid {{:.5f}}".format(
        *on_grid(found.chain, 1.0 / market.clock.dt)
    ))  # fmt: skip
    for name, recipe in (("optimum", ImpulseMaker()), ("two-sided", TwoSided())):
        act, paid = recipe.sit(market, "mm_0"), []
        for batch in range(-(-chosen.games // BATCH)):
            seeds = seeds_of(chosen.seed + batch, BATCH)
            paid.append(play(Game(market, BATCH), {"mm_0": act}, seeds).returns_of("mm_0"))
        told(name, np.concatenate(paid), found.value)


def told(name: str, paid: Array, value: float) -> None:
    """Mean, standard error and distance from the exact value."""
    error = paid.std(ddof=1) / np.sqrt(len(paid))
    print(f"{name}: {paid.mean():.5f} +- {error:.5f} over {len(paid)} games, z {(paid.mean() - value) / error:.2f}")


if __name__ == "__main__":
    main()
