"""What a step of the hedging market costs: python benchmarks/hedging_step.py [--repeats 7].

The three shipped worlds (a contract at constant volatility, one at moving volatility, a book of many) at B = 1024, on
one thread (CPU time, medians), each beside its arithmetic floor on the same machine: the uniforms, exponentials,
logarithms and normal distribution functions that its rules need, and nothing else.
"""

import argparse
from collections.abc import Callable

import numpy as np
from game_step import nanoseconds
from numba import njit

from arena.game import Game
from arena.markets.hedging.market import HedgingMarket
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, exp, log, normal_cdf_and_density
from arena.rollout import seeds_of
from arena.scenario import load

GAMES, CALLS = 1024, 126
TARGETS = {"hedging_cost": 80.0, "hedging_volatility": None, "hedging_flow": 1200.0}
"""Nanoseconds per game step that were asked for."""


def game_call(game: Game, seeds: np.ndarray) -> Callable[[], object]:
    """A call that plays one step, and opens new games after the last; the band is the one in the buffer, all zeros."""

    def step() -> None:
        if game.done:
            game.reset(seeds)
        game.advance()

    game.reset(seeds)
    return step


@njit(fastmath=FAST, error_model="numpy")
def _floor(seeds, uniforms, exponentials, logarithms, cdfs, out):
    """The arithmetic of one step of every game: so many uniforms, exponentials, logarithms, distribution functions.

    Each number is made of the last one, which stays near 0: no pass can be left out, none meets denormal numbers.
    """
    for k in range(uniforms):
        key = draws.key(1, 0, k)
        for g in range(out.shape[0]):
            out[g] += draws.uniform(seeds[g], key)
    for _ in range(exponentials):
        for g in range(out.shape[0]):
            out[g] = exp(-out[g])
    for _ in range(logarithms):
        for g in range(out.shape[0]):
            out[g] = log(1.0 + abs(out[g]))
    for _ in range(cdfs):
        for g in range(out.shape[0]):
            cdf, _density = normal_cdf_and_density(out[g])
            out[g] = cdf - 0.5


def floor_call(market: HedgingMarket, live: float) -> Callable[[], object]:
    """The arithmetic that no implementation of these rules can leave out, with `live` contracts a game.

    Per game: two uniforms and an exponential for the spot, an exponential and a logarithm for the band's width; with
    moving volatility two more uniforms, and exponentials for its step and for the volatility of the mark; per contract
    two distribution functions; with orders a uniform for their number.
    """
    moving = market.underlying.volatility.step(market.clock.dt) is not None
    uniforms = 2 + 2 * moving + (market.arrivals is not None)
    seeds, out = seeds_of(0, GAMES), np.zeros(GAMES)
    return lambda: _floor(seeds, uniforms, 2 + 2 * moving, 1, round(2 * live), out)


def mean_live(game: Game, seeds: np.ndarray) -> float:
    """Contracts alive, on average over steps and games."""
    game.reset(seeds)
    live = []
    while not game.done:
        live.append(game.view("live").mean())
        game.advance()
    return float(np.mean(live))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=7, help="repetitions of each measurement (median)")
    repeats = parser.parse_args().repeats
    for name, target in TARGETS.items():
        market, seeds = load(name).market, seeds_of(1, GAMES)
        game = Game(market, GAMES)
        live = mean_live(game, seeds)
        step = nanoseconds(game_call(game, seeds), CALLS, repeats) / GAMES
        floor = nanoseconds(floor_call(market, live), CALLS, repeats) / GAMES
        asked = f" (target {target:.0f})" if target else ""
        print(f"{name}, B = {GAMES}: {step:.0f} ns per game step{asked}, {live:.1f} contracts alive")
        print(f"  arithmetic floor {floor:.0f} ns: ratio {step / floor:.2f}")


if __name__ == "__main__":
    main()
