"""How long the equilibrium solvers and the exact deviation engines take: `python benchmarks/equilibrium_solvers.py`.

Every line is the best of a few runs on one core, beside the time that the project allows where it states one; the naive
reference for three makers and three traders (a general boundary-value solver without derivatives) runs with
`--reference`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_bvp

from arena.solvers.execution import steps as execution_steps
from arena.solvers.execution.solve import closed_loop_regret as execution_regret
from arena.solvers.execution.solve import execution_game, open_loop_gain, solve_execution
from arena.solvers.makers_traders import deviations
from arena.solvers.makers_traders.acas import acas_game, solve_acas
from arena.solvers.makers_traders.approximation import approximation_game
from arena.solvers.makers_traders.best_replies import closed_loop_regret
from arena.solvers.makers_traders.feedback import feedback_nash
from arena.solvers.makers_traders.mean_field import mean_field
from arena.solvers.makers_traders.open_loop import MakersTraders, makers_traders, solve_makers_traders
from arena.solvers.makers_traders.shares import Logistic, Relative

FLOW = {"horizon": 1.0, "temporary_impact": 0.2, "noise_buy": 3.0, "noise_sell": 2.0}
BASE = {**FLOW, "running_penalty": 0.1, "terminal_penalty": 0.5}
VARYING = {**BASE, "noise_buy": "3 + 2*sin(5*t)", "temporary_impact": "0.2 + 0.1*t"}


def best_of(call: Callable[[], object], runs: int) -> float:
    """Shortest wall-clock time of a call in seconds."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def naive_reference(game: MakersTraders) -> None:
    """The same boundary-value problem for scipy's general solver, with differences for derivatives."""
    p = game.start.size

    def slope(t: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.vstack([game.drift(t, z[p:].T)[0].T, 2.0 * game.penalty(t).T * z[:p]])

    def ends(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.concatenate([first[:p] - game.start, last[p:] + 2.0 * game.terminal * last[:p]])

    t = np.linspace(0.0, game.horizon, 101)
    found = solve_makers_traders(game, t)
    guess = np.vstack([found.stack("inventory"), 0.9 * found.stack("adjoint")])
    solve_bvp(slope, ends, t, guess, tol=1e-10, max_nodes=20_000)


def main() -> None:
    """Print one line per solver."""
    acas = acas_game([4, 1], -10.0, fill_decay=1.0, **BASE)
    duel = makers_traders([4, 1], [-10], share=Logistic(1.0), **BASE)
    relative, logistic = (
        makers_traders([4, 1, -2], [-10, -6, 7], share=share, cross_impact=0.5, **VARYING)
        for share in (Relative(1.0), Logistic(1.0))
    )
    quadratic = {"running_penalty": 0.4, "terminal_penalty": 4.0, "permanent_impact": 0.2, "temporary_impact": 0.1}
    two, crowd = (execution_game(start, horizon=1.0, **quadratic) for start in ([10.0, 2.0], [10.0] * 10))
    profile = deviations.equilibrium_profile(duel, 40)
    rows: list[tuple[str, Callable[[], object], float | None]] = [
        ("ACAS, 2 makers + 1 trader", lambda: solve_acas(acas), 0.5),
        ("best quote, 2 makers + 1 trader", lambda: solve_makers_traders(acas), 0.5),
        ("logistic, 2 makers + 1 trader", lambda: solve_makers_traders(duel), 0.5),
        ("best quote, 3 makers + 3 traders", lambda: solve_makers_traders(relative), 5.0),
        ("logistic, 3 makers + 3 traders", lambda: solve_makers_traders(logistic), 5.0),
        ("mean field, 4 traders", lambda: mean_field([4, 1], [-8, -9, -11, -12], fill_decay=1.0, **BASE), None),
        ("feedback Nash, logistic duel", lambda: feedback_nash(duel), None),
        ("closed-loop regret, logistic duel", lambda: closed_loop_regret(duel), None),
        ("approximation game, epsilon 0.1", lambda: approximation_game(duel, 0.1), None),
        ("open-loop gains, logistic duel, 40 cells", lambda: deviations.open_loop_gains(duel, profile), None),
        ("execution, 2 traders, open loop", lambda: solve_execution(two), None),
        ("execution, 2 traders, feedback", lambda: solve_execution(two, information="feedback"), None),
        ("execution, 10 traders, feedback", lambda: solve_execution(crowd, information="feedback"), None),
        ("execution, 2 traders, closed-loop regret", lambda: execution_regret(two, open_loop_gain(two)[0]), None),
        ("execution, 2 traders, 40 steps, feedback", lambda: execution_steps.discrete_feedback_nash(two, 40), None),
        ("execution, 2 traders, 40 steps, open-loop gap", lambda: execution_steps.nashconv_open_loop(two, 40), None),
    ]
    if "--reference" in sys.argv[1:]:
        rows.append(("general solver, best quote, 3 + 3", lambda: naive_reference(relative), None))
    for name, call, allowed in rows:
        seconds = best_of(call, 1 if name.startswith("general") else 3)
        print(f"{name:48s} {seconds:8.3f} s" + (f"   allowed {allowed:g} s" if allowed else ""))


if __name__ == "__main__":
    main()
