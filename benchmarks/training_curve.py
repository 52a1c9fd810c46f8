"""What a policy is worth while it trains: python benchmarks/training_curve.py SCENARIO [SEEDS [KEY=VALUE ...]].

Trains each seed as `arena.selfplay` does, in this process, and prints at a few iterations (of `fang_xu_hedged`, after
the last) what the learner has seen, decisions of new seats in millions, and what it is worth:

    duels                    exploitability of self-play as a share of the equilibrium's value, and its value; exact
    option_duel_against_as   value as a share of the best reply's, and agent less rival; exact
    fang_xu_hedged           G = (J - J_base)/(J_reference - J_base) on the same games, with its standard error; base:
                             Avellaneda-Stoikov quotes hedged at every step, reference: quotes as if hedged, band of .5
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from agents.hedged import Band
from agents.learned import player
from agents.makers import AvellanedaStoikov, HJBMaker
from agents.optimal_makers import MPEMaker
from arena.game import Game
from arena.markets.dealer.gaps.lattice import responses
from arena.rollout import play, seeds_of
from arena.scenario import Scenario, load
from arena.selfplay import numbers_of

LOOKS = (1, 16, 31, 61, 91, 120)
"""Iterations after which an exact measure is taken, and after the last one."""
GAMES, STREAM = 20_000, 43
"""Paired games of G, and the stream of their seeds."""


def hedged(scenario: Scenario, act: Any) -> str:
    """G of a maker's act and where its money went, on paired games."""
    market, seeds = scenario.market, seeds_of(scenario.evaluation.seed, GAMES, STREAM)
    base = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01)
    reference = HJBMaker(as_if_hedged=True, hedge=Band(width=0.5))
    game, played = Game(market, GAMES), {}
    for name, one in (("act", act), ("base", base.sit(market, "mm_0")), ("reference", reference.sit(market, "mm_0"))):
        played[name] = play(game, {"mm_0": one}, seeds)
    own, low, high = (one.returns_of("mm_0") for one in played.values())
    gain, span = own - low, high - low
    share = gain.mean() / span.mean()
    error = (gain - share * span).std(ddof=1) / np.sqrt(GAMES) / span.mean()
    parts = ("edge_noise", "hedge_cost", "variation_penalty", "terminal_penalty")
    where = ", ".join(f"{name} {played['act'].last(name).mean():.3f}" for name in parts)
    return f"G {share:.4f} +- {error:.4f}, J {own.mean():.4f}, base {low.mean():.4f}, ref {high.mean():.4f}; {where}"


def exact(scenario: Scenario, act: Any) -> str:
    """Exploitability or share of the best reply, by backward induction."""
    market, seats = scenario.market, scenario.market.maker_names
    acts = {seat: act if one.kind == "learned" else one.sit(market, seat) for seat, one in scenario.players.items()}
    found = responses(market, acts)
    own = found[seats[0]]
    if all(one.kind == "learned" for one in scenario.players.values()):
        equal = responses(market, dict.fromkeys(seats, MPEMaker().sit(market, seats[0])))[seats[0]].value
        return f"exploitability {100 * own.gain / equal:.3f} %, value / equilibrium's {own.value / equal:.4f}"
    rest = own.value - found[seats[1]].value
    return f"value {own.value:.5f}, of the best reply {own.value / (own.value + own.gain):.4f}, less rival {rest:.4f}"


def main(name: str, seeds: str = "0", *changes: str) -> None:
    """One line per seed and look."""
    from arena.training.ppo import configure
    from arena.training.session import ray_session, trainer

    measure = hedged if name == "fang_xu_hedged" else exact
    with ray_session(0, None, dashboard=False), tempfile.TemporaryDirectory() as folder:
        for seed in numbers_of(seeds):
            scenario = load(name, [*changes, f"training.seed={seed}"])
            training, rows = scenario.training, 0.0
            config = configure(scenario, workers=0, league_folder=Path(folder) / str(seed))
            with trainer(config.build_algo()) as algorithm:
                for done in range(1, training.iterations + 1):
                    rows += algorithm.train()["learners"]["maker"]["rows"]
                    if done == training.iterations or (done in LOOKS and measure is exact):
                        found = measure(scenario, player(algorithm.profile_weights()["maker"]))
                        print(f"seed {seed}, iteration {done}, {rows / 1e6:.2f} million: {found}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
