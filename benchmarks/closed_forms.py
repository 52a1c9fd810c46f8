"""The market against values known without it: python benchmarks/closed_forms.py [--games 50000].

Mean and standard error over fixed seeds beside the exact value: in closed form without a bound on inventory, else by
backward induction on the lattice of inventories, in the market's own steps.
"""

import argparse
from collections.abc import Mapping

import numpy as np

from agents.makers import AvellanedaStoikov, ConstantSpread
from agents.optimal_makers import HJBMaker
from arena.game import Game
from arena.markets.dealer.gaps.lattice import responses
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.scenario import load

SECOND_MOMENT = 16.333901
"""E[P_T^2] of the call of fang_xu_single, by quadrature of the Black-Scholes price."""


def show(name: str, market: DealerMarket, acts: Mapping[str, Act], games: int, exact: float | None = None) -> None:
    """Play one profile and print one row a seat."""
    earned = play(Game(market, games), acts, seeds_of(1, games)).returns["maker"]
    for i, seat in enumerate(market.maker_names):
        value = responses(market, acts)[seat].value if exact is None else exact
        error = earned[:, i].std(ddof=1) / np.sqrt(games)
        distance = (earned[:, i].mean() - value) / error
        print(f"{name}, {seat}: {earned[:, i].mean():.4f} +- {error:.4f}, exact {value:.4f} ({distance:+.1f} errors)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--games", type=int, default=50_000)
    games = parser.parse_args().games

    market = load("fang_xu_single").market
    flat = {"mm_0": ConstantSpread(half_spread=0.1).sit(market, "mm_0")}
    show("one maker, constant 1/k, |q| <= 20", market, flat, games)
    makers = market.makers.model_copy(update={"inventory_limit": None})
    free = DealerMarket.model_validate(market.model_copy(update={"makers": makers}).model_dump())
    fills = 100.0 * np.exp(-1.0)
    exact = 2.0 * fills * (0.1 - 5e-4 * SECOND_MOMENT)
    unbounded = {"mm_0": ConstantSpread(half_spread=0.1).sit(free, "mm_0")}
    show("the same without a bound", free, unbounded, games, exact)
    show("one maker, optimal quotes", market, {"mm_0": HJBMaker().sit(market, "mm_0")}, games)
    duel = load("option_duel").market
    recipe = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01, fill_decay=10.0)
    show("two Avellaneda-Stoikov makers", duel, {seat: recipe.sit(duel, seat) for seat in duel.maker_names}, games)


if __name__ == "__main__":
    main()
