"""How long the quoting solvers take: python benchmarks/quoting_solvers.py (one core, medians of three, compiled
before)."""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np

from arena.solvers.options.closed_form import avellaneda_stoikov, matrix_exponential
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.duel import Duel, best_response, equilibrium, iterated_best_response, time_policy
from arena.solvers.quoting.iteration import iterate, uniform_start
from arena.solvers.quoting.maker import Maker, blind_maker, solve
from arena.solvers.quoting.price import solve_with_price
from arena.solvers.quoting.sampled import Sampling, learn
from arena.solvers.quoting.two_options import separable_penalty, solve_pair, vega_risk
from arena.solvers.quoting.vega import VegaBook, solve_vega


def main() -> None:
    """Print one line per solver: what, seconds, and the issue's limit where it sets one."""
    option = OptionModel(100, 100, 63, 0.2 / math.sqrt(252))
    other = OptionModel(100, 105, 63, 0.2 / math.sqrt(252))
    flow = {"arrival_rate": 100.0, "fill_decay": 10.0, "inventory_limit": 20}
    single = blind_maker(option, 5e-4, 1.0, **flow)
    gibbs = blind_maker(option, 5e-4, 1.0, temperature=0.1, max_distance=0.8, **flow)
    free = blind_maker(option, 5e-4, 1.0, min_distance=-math.inf, **flow)
    flat = Maker(100.0, 10.0, 1.0, 20)
    costs = separable_penalty([option, other], 5e-4, 1.0)
    risk = vega_risk([option.vega() / math.sqrt(252), other.vega() / math.sqrt(252)], 0.5, 0.01)
    book = VegaBook((20.0, 18.0, 15.0, 9.0), ((100.0, 100.0),) * 4, ((10.0, 10.0),) * 4, 1.0, 400.0, 0.5)
    duel = Duel(100.0, 10.0, 50.0, 1.0, 12, terminal_cost=single.terminal_cost)
    left = 1.0 - np.linspace(0, 1, 101)[:, None]
    rule = time_policy(duel, avellaneda_stoikov(np.arange(-12, 13)[None], left, 10.0, 1.0, 0.01))

    jobs: list[tuple[str, Callable[[], object], float | None]] = [
        ("single option, |q| <= 20", lambda: solve(single), 0.1),
        ("single option, Gibbs", lambda: solve(gibbs), 0.1),
        ("matrix exponential, one time", lambda: matrix_exponential(free, 1.0), None),
        ("single option seeing the price", lambda: solve_with_price(option, flat, 5e-4), None),
        ("pair, separable, |q| <= 20", lambda: solve_pair((flat, flat), costs), 2.0),
        ("pair, vega risk, |q| <= 20", lambda: solve_pair((flat, flat), costs, risk), 2.0),
        ("four options by their vega", lambda: solve_vega(book, 0.01), None),
        ("duel best response, |q| <= 12", lambda: best_response(duel, rule), 1.0),
        ("duel equilibrium, |q| <= 12", lambda: equilibrium(duel, 200), 20.0),
        ("six rounds of old against new", lambda: iterated_best_response(duel, rule, 6), None),
        ("six rounds of policy iteration", lambda: iterate(gibbs, uniform_start(gibbs), 6), None),
        ("Algorithm 1 from sampled paths, a seed", lambda: learn(gibbs, Sampling(), 0), 120.0),
    ]
    for name, job, limit in jobs:
        job()
        taken = []
        for _ in range(3 if limit != 120.0 else 1):
            start = time.process_time()
            job()
            taken.append(time.process_time() - start)
        allowed = "" if limit is None else f"   limit {limit:g} s"
        print(f"{name:42s}{statistics.median(taken):9.3f} s{allowed}")


if __name__ == "__main__":
    main()
