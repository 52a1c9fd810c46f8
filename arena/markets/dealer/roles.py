"""Who plays in the dealer market: makers if there are any, then executors if there are any."""

from typing import Any

from arena.markets.dealer import columns
from arena.markets.dealer.flow import offsets_of
from arena.markets.dealer.seats import Start
from arena.markets.dealer.settings import DealerSettings
from arena.markets.market import Hints, Role, Rows

MAKER = Rows(
    reward="reward_maker",
    gains=("edge_noise", "edge_executor", "inventory_pnl", "hedge_pnl"),
    costs=("hedge_cost", "maker_fee"),
    penalties=("running_penalty", "terminal_penalty"),
    traded="fill",
    luck="surprise",
    told=(("cash", "maker_cash"), ("hedge", "maker_hedge"), ("inventory", "maker_inventory"), ("fills", "fill")),
)
EXECUTOR = Rows(
    reward="reward_executor",
    gains=("executor_inventory_pnl",),
    costs=("executor_spread_cost", "executor_impact_cost", "executor_fee"),
    penalties=("executor_penalty",),
    traded="executor_fill",
    luck="executor_surprise",
    told=(
        ("inventory", "executor_inventory"),
        ("remaining", "remaining"),
        ("fills", "executor_fill"),
        ("cash", "executor_cash"),
    ),
)
"""An executor's reward leaves the marks of what it holds out: their mean is zero where the mid is a martingale."""
SHIFTS = (
    "log_volatility", "flow_factor", "inventory", "net_vega", "net_delta", "hedge", "best_rival_distance",
    "maker_inventory", "to_trade", "pace", "trader_remaining", "best_distance",
)  # fmt: skip


def roles(market: DealerSettings) -> tuple[Role, ...]:
    """The roles in the order of the kernels."""
    out = []
    if market.makers.count:
        spaces = columns.maker_observation(market), columns.maker_action(market)
        hints, alike = Hints(("inventory", "net_vega"), SHIFTS), len(set(_makers_get(market))) == 1
        rows = MAKER
        if market.makers.variation_aversion > 0:
            rows = MAKER._replace(penalties=(*MAKER.penalties, "variation_penalty"))
        out.append(Role("maker", market.maker_names, *spaces, rows, hints, alike))
    if market.executors:
        spaces = columns.executor_observation(market), columns.executor_action(market)
        hints, alike = Hints(("to_trade", "pace"), SHIFTS), len(set(_executors_get(market))) == 1
        out.append(Role("executor", market.executor_names, *spaces, EXECUTOR, hints, alike))
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
