"""What scripted makers earn in the book: python benchmarks/book_strategies.py [--games 1024] [--only two_sided].

For each maker and flow the annualised Sharpe ratio at five fees with its standard error, mean |Y|, fills and P&L, and
the distance from published-size numbers of the same combinations in joint standard errors (140.2/sqrt(n) each).
"""

import argparse
import time
from typing import Any

import numpy as np

from agents.book_makers import Probabilistic, RandomOrders, TwoSided
from arena.game import Game
from arena.markets.book.market import Market
from arena.markets.book.measures import trading
from arena.rollout import play, seeds_of

FEES = (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
Expected = tuple[float, float, float, float, float]
COMBINATIONS: tuple[tuple[str, Any, str, Expected, int], ...] = (
    ("two-sided cap 1", TwoSided(cap=1), "hawkes_exp", (-37, -47, -57, -75, -104), 6000),
    ("two-sided cap 3", TwoSided(cap=3), "hawkes_exp", (43.5, 30.6, 17.8, -7.1, -52), 6000),
    ("probabilistic, ratio", Probabilistic(), "hawkes_exp", (22.6, 11.6, 1.0, -18, -48), 1024),
    ("probabilistic, argmax", Probabilistic(rule="argmax"), "hawkes_exp", (59.7, 43.2, 27.2, -2.5, -50), 1024),
    ("random orders", RandomOrders(), "hawkes_exp", (96.8, 61.5, 29.6, -21, -81), 1024),
    ("probabilistic, ratio", Probabilistic(), "hawkes_pl", (28.2, 16.2, 4.8, -16, -47), 1024),
    ("two-sided cap 3", TwoSided(cap=3), "hawkes_pl", (46.4, 34.2, 22.2, -0.9, -42), 1024),
    ("two-sided cap 1", TwoSided(cap=1), "hawkes_exp_benign", (94, 83, 72, 49, 8), 1024),
    ("two-sided cap 3", TwoSided(cap=3), "hawkes_exp_benign", (137, 123, 108, 78, 24), 1024),
    ("two-sided cap 1", TwoSided(cap=1), "poisson", (508, 493, 476, 435, 343), 6000),
    ("two-sided cap 1", TwoSided(cap=1), "mo_only", (176, 162, 148, 119, 64), 1024),
    ("two-sided cap 1", TwoSided(cap=1), "aapl_src", (778, 769, 759, 734, 668), 1024),
)
"""Maker, flow, annualised Sharpe ratios by fee that an independent implementation of the same rules measured, and the
number of its games."""


def market_of(preset: str) -> Market:
    """One maker with all options in a named flow; 300 s, a decision every 0.1 s."""
    plain = {"flow": {"preset": preset}, "makers": {"actions": "all", "cap": 10_000, "running_penalty": 0.0}}
    return Market.model_validate(plain)


def measure(
    recipe: Any, preset: str, games: int, seed: int, batch: int = 256
) -> tuple[list[trading.Sharpe], dict[str, float]]:
    """Sharpe ratios by fee over all games, and means of what else is told."""
    market = market_of(preset)
    money, told = [], []
    for first in range(0, games, batch):
        count = min(batch, games - first)
        game = Game(market, count)
        act = recipe.sit(market, "mm_0")
        played = play(game, {"mm_0": act}, seeds_of(seed + first, count))
        y = np.abs(played.last("maker_inventory")[:, 0])
        pnl = sum(played.last(f"maker_{name}")[:, 0] for name in ("captured", "crossed", "mark"))
        money.append(np.stack([pnl, y * played.last("mid")]))
        told.append([y.mean(), played.last("maker_filled").sum() / count, played.last("mid").std(ddof=1)])
    pnl, value = np.concatenate(money, axis=1)
    annual = np.sqrt(trading.SECONDS / market.clock.horizon)
    out = []
    for fee in FEES:
        logs = np.log1p((pnl - fee * value) * market.depth.tick / trading.WEALTH)
        ratio = annual * logs.mean() / logs.std(ddof=1)
        error = np.sqrt((annual**2 + 0.5 * ratio**2) / games)
        net = (pnl - fee * value) * market.depth.tick
        out.append(trading.Sharpe(fee, ratio, error, net.mean(), net.std(ddof=1), games))
    return out, dict(zip(("end |Y|", "fills", "sd of mid"), np.mean(told, axis=0), strict=True))


def main() -> None:
    """Play the combinations and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--games", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="words of the maker's name or the flow's")
    chosen = parser.parse_args()
    for name, recipe, preset, expected, theirs in COMBINATIONS:
        if chosen.only not in f"{name} {preset}":
            continue
        started = time.process_time()
        found, told = measure(recipe, preset, chosen.games, chosen.seed)
        away = [
            (one.value - e) / np.hypot(one.se, one.se * np.sqrt(one.games / theirs))
            for one, e in zip(found, expected, strict=True)
        ]
        cells = "  ".join(
            f"{one.value:7.1f} ({e:g}, {z:+.1f})" for one, e, z in zip(found, expected, away, strict=True)
        )
        means = ", ".join(f"{key} {value:.2f}" for key, value in told.items())
        print(
            f"{name:22s} {preset:18s} {cells}  se {found[1].se:.1f}, P&L {found[1].mean:.3f} ± {found[1].sd:.3f} $, "
            f"{means}, n {chosen.games}, {time.process_time() - started:.0f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
