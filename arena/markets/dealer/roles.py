"""Who plays in the dealer market: makers if there are any, then executors if there are any."""

from arena.markets.dealer import columns
from arena.markets.dealer.settings import DealerSettings
from arena.markets.market import Role


def roles(market: DealerSettings) -> tuple[Role, ...]:
    """The roles in the order of the kernels."""
    out = []
    if market.makers.count:
        quotes = columns.maker_observation(market), columns.maker_action(market)
        out.append(Role("maker", market.maker_names, *quotes))
    if market.executors:
        rates = columns.executor_observation(market), columns.executor_action(market)
        out.append(Role("executor", market.executor_names, *rates))
    return tuple(out)
