"""The hedging market, put together: its settings, its role and the layout of its state."""

from functools import cached_property

from arena.layout import Layout
from arena.markets.hedging import columns
from arena.markets.hedging.settings import HedgingSettings
from arena.markets.market import Hints, Role, Rows, Rules

HEDGER = Rows(
    reward="reward_hedger",
    gains=("edge", "mark_pnl", "hedge_pnl"),
    costs=("hedge_cost",),
    penalties=("variation_penalty",),
    traded="traded",
    luck="surprise",
    told=(("cash", "hedger_cash"), ("hedge", "hedge"), ("live", "live"), ("net_delta", "net_delta")),
)
HINTS = Hints(worth=("net_delta", "excess"), shifts=("moneyness", "log_volatility", "net_delta", "net_gamma", "excess"))


class HedgingMarket(HedgingSettings):
    """Parameters and rules of the hedging market: one role, one seat."""

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The hedger."""
        return (Role("hedger", columns.SEAT, columns.observation(self), columns.action(self), HEDGER, HINTS),)

    @cached_property
    def state(self) -> Layout:
        """Rows of the state array [R, B]."""
        return columns.state(self)

    def rules(self) -> Rules:
        """The kernels and this market's parameters as arrays."""
        from arena.markets.hedging.kernel import BLOCK, advance, begin  # the kernels are loaded by who plays
        from arena.markets.hedging.ledger import message
        from arena.markets.hedging.tables import tables

        return Rules(begin, advance, tuple(tables(self)), message, BLOCK)


Market = HedgingMarket
"""The name under which the catalogue looks for a market."""
