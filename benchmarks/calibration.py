"""How much of a known gain the Nash gap's search recovers: python benchmarks/calibration.py [--responders N].

Two games whose best response is known; makers see everything, so that the exact engine leaves them to the search. In
the first one maker quotes alone and starts from a constant distance 1/k; the answer is the table of the maker's HJB
equation, played in the same market. In the second a maker sits opposite an
Avellaneda-Stoikov maker; the answer is the best response to its table, by ODE in continuous time, values 3.541 for
Avellaneda-Stoikov against itself and 4.9706 for the best response. The reference gain of the first game is measured on
the judgement's own games, so it has no error of its own but the discretisation's. Two fluid games (`--exact`) whose
gains the exact engine knows come first: the makers and the trader of L1 and the traders of E2 against naive others.
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np

from agents.learned import player
from agents.makers import AvellanedaStoikov, ConstantSpread
from arena.game import Game
from arena.gaps.nash_gap import nash_gap
from arena.gaps.profile import Job, Profile, Search, naive_acts
from arena.gaps.search import JUDGEMENT
from arena.judge import trainer
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.theory.beside import nominal_market
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.scenario import EvaluationSettings, TrainingSettings, load
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.maker import blind_maker, solve
from arena.training.prior import reaches

DUEL = 4.9706 - 3.541
"""Gain of the best response to an Avellaneda-Stoikov maker, currency per game."""


def monopoly() -> tuple[DealerMarket, Profile]:
    """The default single-option market and a constant distance 1/k."""
    market = load("fang_xu_single", ["market.makers.observe={own: true, rivals: none}"]).market
    return market, Profile({"mm_0": ConstantSpread(half_spread="inverse_decay").sit(market, "mm_0")}, {"mm_0": "1/k"})


def duel() -> tuple[DealerMarket, Profile]:
    """The same option, two makers who see each other's inventory, both Avellaneda-Stoikov (gamma 1, gamma s^2 .01)."""
    makers = ("makers.count=2", "makers.inventory_limit=12", "makers.observe={own: true, rivals: inventory}")
    rule = "flow.rule={kind: soft_best, fill_decay: 10, sharpness: 50}"
    market = load("fang_xu_single", [f"market.{change}" for change in (*makers, rule)]).market
    recipe = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01)
    seats = market.maker_names
    return market, Profile({seat: recipe.sit(market, seat) for seat in seats}, dict.fromkeys(seats, recipe.kind))


def table_act(market: DealerMarket) -> Act:
    """The optimal quotes of a single maker, from its HJB equation, as an act."""
    product, makers, clock = market.products[0], market.makers, market.clock
    vol = float(market.underlying.volatility.value) / math.sqrt(clock.units_per_year)
    option = OptionModel(market.underlying.spot, product.strike, product.expiry, vol)
    decay, limit = market.flow.rule.numbers()[0], int(makers.inventory_limit)
    table = solve(
        blind_maker(
            option, makers.risk.terminal_penalty, clock.horizon, arrival_rate=market.flow.arrival_rate,
            fill_decay=decay, inventory_limit=limit, min_distance=makers.min_distance, max_distance=makers.max_distance,
        ),
        clock.steps,
    )  # fmt: skip
    distance = np.where(np.isfinite(table.distance), table.distance, makers.max_distance)
    middle = 0.5 * (distance[:-1] + distance[1:])  # a quote holds for a whole step
    role = market.roles[0]
    time_left, inventory = role.observation.slice("time_left"), role.observation.slice("inventory")

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        step = np.rint(clock.steps - observation[:, time_left][:, 0] / clock.dt).astype(int)
        q = np.rint(observation[:, inventory][:, 0]).astype(int) + limit
        bid, ask = middle[np.clip(step, 0, clock.steps - 1), q].T
        return np.clip(role.action.to_unit(np.stack([0.5 * (ask + bid), 0.5 * (ask - bid)], axis=1)), -1.0, 1.0)

    return act


def reference(market: DealerMarket, profile: Profile, games: int, seed: int) -> float:
    """Gain of the optimal table over the profile on the games of the judgement."""
    game, seeds = Game(market, games), seeds_of(seed, games, JUDGEMENT)
    best = play(game, {"mm_0": table_act(market)}, seeds).returns_of("mm_0")
    return float((best - play(game, profile.acts, seeds).returns_of("mm_0")).mean())


def recovered(case: str, games: int = 8192, generations: int = 40) -> float:
    """Share of the known gain of a case, `monopoly` or `duel`, that shifts alone recover."""
    market, profile = {"monopoly": monopoly, "duel": duel}[case]()
    search = Search(games=games, generations=generations, reach=reaches(market))
    gap = nash_gap(market, profile, search)
    known = reference(market, profile, games, search.seed) if case == "monopoly" else DUEL
    return gap.seats[0].gain / known


def learned(case: str, iterations: int, games: int, seed: int) -> tuple[float, float]:
    """Share of the known gain that one fresh learned responder recovers, and its CPU seconds."""
    market, profile = {"monopoly": monopoly, "duel": duel}[case]()
    evaluation = EvaluationSettings(responder_iterations=iterations, responder_games=games)
    started = time.process_time()
    (weights,) = trainer(market, TrainingSettings(), evaluation)([Job(profile, "mm_0", seed, None)])
    spent = time.process_time() - started
    game, seeds = Game(market, 8192), seeds_of(evaluation.seed, 8192, JUDGEMENT)
    before = play(game, profile.acts, seeds).returns_of("mm_0")
    after = play(game, {**profile.acts, "mm_0": player(weights)}, seeds).returns_of("mm_0")
    known = reference(market, profile, 8192, evaluation.seed) if case == "monopoly" else DUEL
    return float((after - before).mean()) / known, spent


def against_exact(scenario: str, iterations: int, games: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Per seat of a fluid scenario against naive others: the exact gain, and the shares that two searches recover.

    The searches are shifts alone and one fresh learned responder; all from the nominal start.
    """
    training = load(scenario).training
    market = nominal_market(load(scenario).market)
    profile, evaluation = naive_acts(market), EvaluationSettings(responder_iterations=iterations, responder_games=games)
    reach = reaches(market)
    exact = nash_gap(market, profile, Search(views=False))
    shifts = nash_gap(market, profile, Search(games=8, choice_games=8, shift_games=8, reach=reach), engine="search")
    jobs = [Job(profile, seat.seat, seed, None) for seat in exact.seats]
    game, seeds = Game(market, 8), seeds_of(evaluation.seed, 8, JUDGEMENT)
    before = play(game, profile.acts, seeds)
    out = {}
    for known, found, weights in zip(
        exact.seats, shifts.seats, trainer(market, training, evaluation)(jobs), strict=True
    ):
        after = play(game, {**profile.acts, known.seat: player(weights)}, seeds)
        gained = float((after.returns_of(known.seat) - before.returns_of(known.seat)).mean())
        out[known.seat] = (known.gain, found.gain / known.gain, gained / known.gain)
    return out


def main() -> None:
    """Print one line per case and engine part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responders", type=int, default=3, help="fresh learned responders per case")
    parser.add_argument("--iterations", type=int, default=EvaluationSettings().responder_iterations)
    parser.add_argument("--games", type=int, default=EvaluationSettings().responder_games)
    parser.add_argument("--exact", action="store_true", help="only the fluid games that the exact engine solves")
    given = parser.parse_args()
    for scenario in ("logistic_duel", "execution_game"):
        for seed in range(given.responders):
            for seat, (gain, shifts, one) in against_exact(scenario, given.iterations, given.games, seed).items():
                print(
                    f"{scenario:15} {seat:9} exact gain {gain:8.4f}   shifts {100 * shifts:6.1f} %   "
                    f"learned responder {seed} {100 * one:6.1f} %",
                    flush=True,
                )
    if given.exact:
        return
    cases: tuple[str, ...] = ("monopoly", "duel")
    for case in cases:
        share, spent = _timed(lambda case=case: recovered(case))
        print(f"{case:10} shifts               {100 * share:6.1f} % of the known gain   {spent:6.1f} CPU s", flush=True)
        for seed in range(given.responders):
            share, spent = learned(case, given.iterations, given.games, seed)
            print(
                f"{case:10} learned responder {seed}  {100 * share:6.1f} % of the known gain   {spent:6.1f} CPU s",
                flush=True,
            )


def _timed(work: Callable[[], float]) -> tuple[float, float]:
    started = time.process_time()
    return work(), time.process_time() - started


if __name__ == "__main__":
    main()
