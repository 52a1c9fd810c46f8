"""Times of the exact engines of the Nash gap: python benchmarks/exact_gap.py.

CPU seconds of one process for the gains of all seats: the headline alone (32 drawn starts, or the one start) and with
all views (both flavours, nominal start, sub-games, and the naive profile at the same starts). Two profiles: scripted
naive players, and untrained networks, which cost as much as trained ones to play and more to reply to.
"""

import time

import numpy as np
import torch

from agents.learned import player
from agents.network import Network
from arena.gaps.nash_gap import nash_gap
from arena.gaps.profile import Profile, Search, naive_acts
from arena.markets.dealer.market import DealerMarket
from arena.scenario import load
from arena.training.prior import priors

SCENARIOS = ("logistic_duel_time_only", "logistic_duel", "execution_game", "logistic_duel_poisson")


def untrained(market: DealerMarket) -> Profile:
    """Networks of the default size whose last layer is drawn at random, small."""
    frames, rng = priors(market), np.random.default_rng(0)
    acts, weights = {}, {}
    for role in market.roles:
        network = Network(role.observation, frames[role.name], seed=1).weights()
        network["linear"] = (0.1 * rng.normal(size=network["linear"].shape)).astype(np.float32)
        act = player(network)
        acts |= dict.fromkeys(role.agents, act)
        weights |= dict.fromkeys(role.agents, network)
    return Profile(acts, dict.fromkeys(acts, "learned"), weights)


def main() -> None:
    """Print one line per scenario, profile and extent."""
    torch.set_num_threads(1)
    for name in SCENARIOS:
        market = load(name).market
        for label, profile in (("naive", naive_acts(market)), ("networks", untrained(market))):
            for extent, search in (("headline", Search(views=False)), ("all views", Search())):
                started = time.process_time()
                gap = nash_gap(market, profile, search)
                spent = time.process_time() - started
                engine = gap.seats[0].engine
                print(
                    f"{name:25} {label:9} {extent:10} {engine:20} NashConv {gap.nashconv:9.4f} {spent:6.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
