"""Who plays in the dealer market: makers if there are any, then executors if there are any."""

from typing import Any

from arena.markets.dealer import columns
from arena.markets.dealer.flow import offsets_of
from arena.markets.dealer.seats import Start
from arena.markets.dealer.settings import DealerSettings
from arena.markets.market import Role


def roles(market: DealerSettings) -> tuple[Role, ...]:
    """The roles in the order of the kernels."""
    out = []
    if market.makers.count:
        quotes = columns.maker_observation(market), columns.maker_action(market)
        out.append(Role("maker", market.maker_names, *quotes, alike=len(set(_makers_get(market))) == 1))
    if market.executors:
        rates = columns.executor_observation(market), columns.executor_action(market)
        out.append(Role("executor", market.executor_names, *rates, alike=len(set(_executors_get(market))) == 1))
    return tuple(out)


def _makers_get(market: DealerSettings) -> list[tuple[Any, ...]]:
    """What may differ from maker to maker: mean inventory at the start, offset of the flow rule, terms of the risk."""
    risk, offsets = market.makers.risk, offsets_of(market.flow.rule, market.makers.count)
    terms = [getattr(risk, name) for name in type(risk).model_fields]
    return [
        (start, float(offsets[m]), *(term[m] if isinstance(term, tuple) else term for term in terms))
        for m, start in enumerate(market.mean_inventories())
    ]


def _executors_get(market: DealerSettings) -> list[tuple[Any, ...]]:
    """What may differ from executor to executor: mean size of the parent order, its spread, and all other terms."""
    return [
        (size, one.size.spread if isinstance(one.size, Start) else 0.0, one.model_copy(update={"size": size}))
        for one, size in zip(market.executors, market.mean_orders(), strict=True)
    ]
