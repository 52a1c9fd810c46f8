"""How good learned quotes are against exact answers, run by run: python benchmarks/learned_quoting.py RUN [RUN ...].

For runs of scenarios with an exact engine (`dealer.gaps.lattice`): the policies are read from the run folder,
tabulated, and valued by backward induction in the scenario's own steps, so nothing here has a sampling error.

    one maker    G = (J - J_const)/(J_HJB - J_const), constant distance 1/k and the HJB table played in the same steps
    duel         exploitability of the self-play profile (gain of one seat's best response), its value, and the value
                 against an Avellaneda-Stoikov maker (ra = 1, variance rate .01), each as a share of the equilibrium's;
                 and how the newest policy does against the run's members, less what members do on average
"""

import sys
from pathlib import Path

import numpy as np

from agents.learned import player
from agents.makers import AvellanedaStoikov, ConstantSpread
from agents.optimal_makers import HJBMaker, MPEMaker
from arena.judge import final_networks
from arena.league import snapshot
from arena.markets.dealer.gaps.lattice import responses, tabulate
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.quoting_problem import duel_problem
from arena.runs.run_folder import RunFolder
from arena.solvers.quoting.duel_steps import evaluate_in_steps

MEMBERS = 6
"""Members of the league that the newest policy is compared with: evenly spaced from the first to the newest."""
STEADY = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01)


def alone(market: DealerMarket, act: object) -> dict[str, float]:
    """G of a lone maker's act, and the values it is made of."""
    seat = market.maker_names[0]
    value = {
        name: responses(market, {seat: one})[seat].value
        for name, one in (
            ("learned", act),
            ("constant", ConstantSpread(half_spread="inverse_decay").sit(market, seat)),
            ("HJB", HJBMaker().sit(market, seat)),
        )
    }  # type: ignore[dict-item]
    return {**value, "G": (value["learned"] - value["constant"]) / (value["HJB"] - value["constant"])}


def duel(market: DealerMarket, act: object, members: list[object]) -> dict[str, float]:
    """Exploitability and values of a duel's act, as shares of the equilibrium's; the newest against the pool."""
    seats = market.maker_names
    game = duel_problem(market, seats[0])
    tables = {
        name: tabulate(market, one)  # type: ignore[arg-type]
        for name, one in (("own", act), ("MPE", MPEMaker().sit(market, seats[0])), ("AS", STEADY.sit(market, seats[0])))
    }
    pool = [tabulate(market, one) for one in members]  # type: ignore[arg-type]

    def worth(own: np.ndarray, rival: np.ndarray) -> float:
        return evaluate_in_steps(game, own, rival).start

    equilibrium, against = worth(tables["MPE"], tables["MPE"]), worth(tables["MPE"], tables["AS"])
    found = responses(market, dict.fromkeys(seats, act))[seats[0]]  # type: ignore[arg-type]
    newest = np.mean([worth(tables["own"], other) for other in pool])
    mean = np.mean([worth(one, other) for one in pool for other in pool])
    return {
        "equilibrium": equilibrium, "exploitability": found.gain, "share of the value": found.gain / equilibrium,
        "value": found.value, "value / equilibrium's": found.value / equilibrium,
        "against AS / equilibrium's": worth(tables["own"], tables["AS"]) / against,
        "newest less pool mean": float(newest - mean),
    }  # fmt: skip


def main(runs: list[str]) -> None:
    """Print one line per run, then mean ± standard error over the runs of each scenario."""
    if not runs:
        raise SystemExit(f"name at least one run folder\n\n{__doc__}")
    rows: dict[str, list[dict[str, float]]] = {}
    for path in runs:
        run, scenario = RunFolder.open(Path(path))
        act = player(final_networks(run.path, scenario)["maker"])
        if scenario.market.makers.count == 1:
            row = alone(scenario.market, act)
        else:
            names = sorted(one.stem for one in (run.path / "league").glob("maker-*.npz"))
            chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, MEMBERS).round().astype(int))]
            row = duel(scenario.market, act, [player(snapshot.read(run.path / "league", n).weights) for n in chosen])
        rows.setdefault(scenario.name, []).append(row)
        print(f"{run.path}: " + ", ".join(f"{name} {value:.5g}" for name, value in row.items()), flush=True)
    for scenario_name, found in rows.items():
        columns = {name: np.array([row[name] for row in found]) for name in found[0]}
        error = {name: x.std(ddof=1) / np.sqrt(x.size) if x.size > 1 else np.nan for name, x in columns.items()}
        means = ", ".join(f"{name} {x.mean():.5g} ± {error[name]:.2g}" for name, x in columns.items())
        print(f"{scenario_name}, mean of {len(found)}: {means}")


if __name__ == "__main__":
    main(sys.argv[1:])
