"""Exact gains of the duel with random orders, by dynamic programming: the engine over poisson_response.py."""

import numpy as np

from arena.gaps.profile import Profile, Search, SeatGain, naive_acts
from arena.markets.dealer.gaps import poisson_response
from arena.markets.dealer.gaps.gradient_response import CLOSED
from arena.markets.dealer.gaps.poisson_response import DEGREE, PoissonDuel
from arena.markets.dealer.gaps.starts import MEAN, NOMINAL, STARTS, SUBGAMES, drawn, seat_gains, start_is_known
from arena.markets.dealer.market import DealerMarket
from arena.rollout import seeds_of

PATHS = 1024
"""Games that show where random play goes, and whose starts are judged."""


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether gains by dynamic programming on all inventories are exact: the duel, and the deviator sees the state."""
    return poisson_response.applies(market) and start_is_known(market)


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Exact gains of all seats with random orders; the interval holds the draw of starts and the numerical error."""
    seeds = seeds_of(search.seed, PATHS, STARTS)
    duel = PoissonDuel(market, profile.acts, seeds)
    values = duel.values()
    starts = duel.starts if drawn(market) else duel.starts[:1]
    gains, coarse = duel.gains(starts, 0, values), duel.gains(starts, 0, duel.values(DEGREE - 1), DEGREE - 1)
    error = np.abs((gains - coarse).mean(axis=0))
    views: list[dict[str, tuple[float, float]]] = [{} for _ in error]
    if search.views:
        naive = PoissonDuel(market, naive_acts(market).acts, seeds)
        known = naive.values()
        path = duel.centre[1:-1]
        begin = {NOMINAL: [(0, duel.nominal)], MEAN: [(0, starts)]}
        begin[SUBGAMES] = [(t + 1, path[t : t + 1]) for t in range(len(path))]
        for name, where in begin.items():
            both = [
                np.concatenate([one.gains(x, t, field) for t, x in where]).mean(axis=0)
                for one, field in ((duel, values), (naive, known))
            ]
            for view, own, reference in zip(views, *both, strict=True):
                view[f"{CLOSED}, {name}"] = (float(own), float(reference))
    return seat_gains(duel.game.seats, gains, search.confidence, views, "dynamic programming", error)
