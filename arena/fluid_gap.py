"""Exact gains of games without chance, by gradient through the market: the engine over arena/fluid_response.py."""

from arena import fluid_game
from arena.exact_gap import judged, start_is_known
from arena.fluid_game import FluidGame
from arena.fluid_response import Players, best_gains
from arena.markets.dealer import DealerMarket
from arena.profile import Profile, Search, SeatGain, naive_acts


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
