"""Exact gains of games without chance, by gradient through the market: the engine over gradient_response.py."""

from arena.gaps.profile import Profile, Search, SeatGain, naive_acts
from arena.markets.dealer.gaps import twin as fluid_game
from arena.markets.dealer.gaps.gradient_response import Players, best_gains
from arena.markets.dealer.gaps.starts import judged, start_is_known
from arena.markets.dealer.gaps.twin import FluidGame
from arena.markets.dealer.market import DealerMarket


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether gains through the fluid market are exact: no chance, and whoever deviates knows the start."""
    return fluid_game.applies(market) and start_is_known(market)


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Exact gains of all seats by gradient through the fluid market."""
    game, other = FluidGame(market), naive_acts(market)
    players, naive = (Players(market, one.acts, one.weights) for one in (profile, other))
    return judged(
        game, players, search, "gradient", lambda starts, flavour: best_gains(game, players, starts, flavour),
        lambda starts, flavour: best_gains(game, naive, starts, flavour),
    )  # fmt: skip
