"""How long the meta-game solvers take: python benchmarks/matrix_games.py [--repeats 5].

Random general-sum games (seed 0), medians of wall time in one process; `exact` is what is left to gain at the answer
(CE, CCE, zero-sum) or the error of the balance equations (alpha-rank), relative to the range of pay-offs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from arena.solvers.finite.alpha_rank import _switching_rates, alpha_rank
from arena.solvers.finite.matrix_game import MatrixGame, correlated_equilibrium, zero_sum_nash, zero_sum_view


def game(*shape: int, roles: tuple[str, ...]) -> MatrixGame:
    """A random game whose seats of one role are exchangeable."""
    payoffs = np.random.default_rng(0).normal(size=(len(shape), *shape))
    return MatrixGame(payoffs, roles).symmetrised()


def balance_error(played: MatrixGame, alpha: float, mass: np.ndarray) -> float:
    """Largest imbalance of flow in and out of a profile, relative to the total flow."""
    rates = _switching_rates(played, alpha, 50)
    into, out = rates.T @ mass.ravel(), mass.ravel() * np.asarray(rates.sum(axis=1)).ravel()
    return float(np.abs(into - out).max() / max(out.sum(), 1e-300))


def rows() -> list[tuple[str, Callable[[], float]]]:
    """What is timed: a label and a call that returns its exactness."""
    duel = game(50, 50, roles=("maker", "trader"))
    league = game(10, 10, 10, roles=("maker", "maker", "trader"))
    four = game(8, 8, 8, 8, roles=("maker", "maker", "trader", "trader"))

    def rank(played: MatrixGame, alpha: float) -> float:
        return balance_error(played, alpha, alpha_rank(played, alpha).profiles)

    def correlated(played: MatrixGame, concept: str, selection: str) -> float:
        found = correlated_equilibrium(played, concept, selection)  # type: ignore[arg-type]
        return float(found.gains.max() / np.ptp(played.payoffs))

    def minimax(played: MatrixGame) -> float:
        view = zero_sum_view(played, 0, 1)
        found = zero_sum_nash(view)
        return float(((view @ found.column).max() - (found.row @ view).min()) / np.ptp(view))

    return [
        ("alpha-rank 50x50, alpha 1", lambda: rank(duel, 1.0)),
        ("alpha-rank 50x50, alpha 100", lambda: rank(duel, 100.0)),
        ("alpha-rank 50x50, alpha inf", lambda: rank(duel, np.inf)),
        ("zero-sum view 50x50, LP", lambda: minimax(duel)),
        ("CCE 50x50, gini", lambda: correlated(duel, "cce", "gini")),
        ("CCE 10x10x10, gini", lambda: correlated(league, "cce", "gini")),
        ("CCE 10x10x10, welfare", lambda: correlated(league, "cce", "welfare")),
        ("CE 10x10x10, gini", lambda: correlated(league, "ce", "gini")),
        ("CE 10x10x10, welfare", lambda: correlated(league, "ce", "welfare")),
        ("CE 8x8x8x8, gini", lambda: correlated(four, "ce", "gini")),
    ]


def main() -> None:
    """Time every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=5, help="timed calls per row, after one that is not timed")
    repeats = parser.parse_args().repeats
    print(f"{'solver':32} {'median s':>9} {'min s':>9} {'exact':>9}")
    for label, call in rows():
        exact, seconds = call(), []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        print(f"{label:32} {statistics.median(seconds):9.4f} {min(seconds):9.4f} {exact:9.1e}")


if __name__ == "__main__":
    main()
