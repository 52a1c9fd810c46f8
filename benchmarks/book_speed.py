"""What the book costs: python benchmarks/book_speed.py [--repeats 5].

CPU time on one thread, medians: events per second without decisions (a step is 10 s), with two makers and their
observations on 0.1 s decisions, by number of makers, memory of a game, and `tick` on the same process where it is
installed.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np

from arena.game import Game
from arena.markets.book.market import Market
from arena.rollout import seeds_of

BATCH = 64
TICK = 1.56
"""Millions of events a second that `tick` 0.8 is known to simulate of this process; stated, not measured here."""


def market_of(preset: str, makers: int, steps: int, horizon: float = 100.0) -> Market:
    """A market in a named flow."""
    return Market.model_validate(
        {"flow": {"preset": preset}, "makers": {"count": makers, "actions": "top"},
         "clock": {"unit": "second", "horizon": horizon, "steps": steps}}
    )  # fmt: skip


def events_per_second(market: Market, repeats: int, acting: bool) -> float:
    """Median background events per CPU second of whole games; who acts plays the first allowed options in turn."""
    game, rates = Game(market, BATCH), []
    idle = float(market.roles[0].action.idle)  # type: ignore[union-attr]
    choices = np.random.default_rng(0).integers(0, 5, (64, BATCH, market.makers.count, 1)).astype(float)
    for repeat in range(repeats + 1):
        game.reset(seeds_of(repeat, BATCH))
        started = time.thread_time_ns()
        for step in range(game.steps):
            game.action["maker"][...] = choices[step % 64] if acting else idle
            game.advance()
        rates.append(game.view("events").sum() / (time.thread_time_ns() - started) * 1e9)
    return float(statistics.median(rates[1:]))


def tick_rate(preset: str) -> float | None:
    """Events per CPU second of `tick`'s exponential simulation with the same rates and kernels; none without it."""
    try:
        from tick.hawkes import SimuHawkesExpKernels  # type: ignore[import-not-found]
    except ImportError:
        return None
    flow: Any = market_of(preset, 1, 10).flow
    process = SimuHawkesExpKernels(
        flow.excitation, flow.kernel.rate, flow.rates, end_time=20_000, verbose=False, seed=1
    )
    started = time.thread_time_ns()
    process.simulate()
    return float(process.n_total_jumps / (time.thread_time_ns() - started) * 1e9)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for preset in ("hawkes_exp", "hawkes_exp_fast", "hawkes_pl", "poisson"):
        rate = events_per_second(market_of(preset, 1, 10), repeats, acting=False) / 1e6
        print(f"{preset}: book without decisions {rate:.2f} M events/s (target 5, stretch 10)")
    base = None
    for makers in (1, 2, 4, 8):
        rate = events_per_second(market_of("hawkes_exp", makers, 1000), repeats, acting=True) / 1e6
        base = base or rate
        size = market_of("hawkes_exp", makers, 1000).state.size * 8 / 1000
        print(
            f"{makers} makers acting every 0.1 s, B = {BATCH}: {rate:.2f} M events/s (two: 1.5), {size:.1f} kB a game"
        )
    ours = events_per_second(market_of("hawkes_exp", 1, 10), repeats, acting=False) / 1e6
    theirs = tick_rate("hawkes_exp")
    told = f"{theirs / 1e6:.2f} M events/s measured" if theirs else f"not installed; its stated {TICK} M events/s"
    print(f"tick: {told}: {ours / (theirs / 1e6 if theirs else TICK):.1f} times (the book included; target 8)")


if __name__ == "__main__":
    main()
