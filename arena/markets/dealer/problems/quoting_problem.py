"""What a dealer market is to quoting theory: one maker's control problem per product, or the duel of two makers.

    E[reward] = E[ sum of fills * distance - phi/2 int q^2 dt - c q_T^2 ],     c = psi E[P_T^2]  or given

holds for policies that do not see the price: with a perfect hedge the mid's moves cancel, and inventory is independent
of the price. Against a policy that sees more, the same tables are a lower bound (docs/model_quoting.md).
"""

from collections.abc import Iterator

import numpy as np

from arena.markets.dealer.flow import Exponential, SoftBest
from arena.markets.dealer.market import DealerMarket
from arena.markets.parts.over_time import steady
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.duel import Duel
from arena.solvers.quoting.maker import Maker

Side = float | tuple[float, float]


def maker_problem(market: DealerMarket, seat: str, product: int = 0, *, temperature: float = 0.0) -> Maker:
    """The problem of one maker in one product, in clock units; rivals are taken to be independent, with A/M each.

    Raises ValueError, a sentence, where the market is no such problem.
    """
    flow = market.flow.rule
    if not isinstance(flow, Exponential | SoftBest):
        raise ValueError(f"market.flow.rule: found {flow.kind}; allowed are exponential and soft_best")
    _refuse(market)
    share = market.makers.count if isinstance(flow, SoftBest) else 1  # exponential makers do not share the flow
    rate = market.arrival_rates()[0, product] / share
    cost, running = _costs(market, seat, product)
    return Maker(
        arrival_rate=_side(rate), fill_decay=flow.fill_decay, horizon=market.clock.horizon,
        inventory_limit=_limit(market), terminal_cost=cost, running_penalty=running,
        min_distance=market.makers.min_distance, max_distance=market.makers.max_distance, temperature=temperature,
    )  # fmt: skip


def duel_problem(market: DealerMarket, seat: str) -> Duel:
    """The duel of two makers in one product, seen from a seat: its own penalties.

    Raises ValueError, a sentence, where the market is no such game.
    """
    flow = market.flow.rule
    if not isinstance(flow, SoftBest):
        raise ValueError(f"market.flow.rule: found {flow.kind}; allowed is soft_best")
    for where, found in (("makers.count", market.makers.count), ("products", market.n)):
        allowed = 2 if where == "makers.count" else 1
        if found != allowed:
            raise ValueError(f"market.{where}: found {found}; allowed is {allowed} in a duel")
    _refuse(market)
    cost, running = _costs(market, seat, 0)
    return Duel(
        arrival_rate=_side(market.arrival_rates()[0, 0]), fill_decay=flow.fill_decay, sharpness=flow.sharpness,
        horizon=market.clock.horizon, inventory_limit=_limit(market), terminal_cost=cost, running_penalty=running,
        min_distance=market.makers.min_distance, max_distance=market.makers.max_distance,
    )  # fmt: skip


def _refuse(market: DealerMarket) -> None:
    for sentence in _obstacles(market):
        raise ValueError(sentence)


def _obstacles(market: DealerMarket) -> Iterator[str]:
    """Everything in a market that quoting theory does not know, one sentence each."""
    flow, makers, rates = market.flow, market.makers, market.arrival_rates()
    if flow.orders != "poisson" or flow.lot != 1:
        yield f"market.flow: found {flow.orders} orders of {flow.lot:g}; allowed are poisson orders of one lot"
    if (rates != rates[0]).any() or flow.intensity.model == "log_ou":
        yield "market.flow: found an arrival rate that changes with time; allowed is a constant one"
    if flow.informed_share > 0 or steady(market.mark.impact) != 0:
        yield "market: found informed flow or mark impact; allowed is flow that neither knows nor moves the mid"
    if market.fees.maker != 0:
        yield f"market.fees.maker: found {market.fees.maker:g}; allowed is 0"
    if market.executors:
        yield f"market.executors: found {len(market.executors)}; allowed is none, quoting theory knows noise flow alone"
    if makers.inventory_limit is None or makers.inventory_limit != int(makers.inventory_limit):
        yield f"market.makers.inventory_limit: found {makers.inventory_limit}; allowed is a whole number of lots"
    asset = all(product.right == "asset" for product in market.products)
    if makers.hedging.kind != "perfect" and not (makers.hedging.kind == "none" and asset):
        yield f"market.makers.hedging: found {makers.hedging.kind}; allowed is perfect, or none for the asset itself"
    if makers.variation_aversion > 0:
        yield f"market.makers.variation_aversion: found {makers.variation_aversion:g}; allowed is 0"


def _limit(market: DealerMarket) -> int:
    assert market.makers.inventory_limit is not None
    return int(market.makers.inventory_limit)


def _side(rate: np.ndarray) -> Side:
    return float(rate[0]) if rate[0] == rate[1] else (float(rate[0]), float(rate[1]))


def _costs(market: DealerMarket, seat: str, product: int) -> tuple[float, float]:
    """(c, phi) of one maker in one product: currency/lot^2 and currency/lot^2/unit.

    The market charges a running penalty x'Cx without the half for `quadratic` risk; phi/2 q^2 has it. An asset that is
    not hedged is a martingale: it adds no mean to the reward.
    """
    risk = market.makers.risk
    if risk.kind == "quadratic":
        own = market.maker_names.index(seat)
        terminal, given = risk.terminal_penalty, risk.running_penalty
        phi = steady(given[own] if isinstance(given, tuple) else given)
        if phi is None:
            found = "found one that changes with time"
            raise ValueError(f"market.makers.risk.running_penalty: {found}; allowed is a constant")
        return terminal[own] if isinstance(terminal, tuple) else terminal, 2.0 * phi
    running = 0.0
    if risk.kind == "running":
        rate = np.einsum("tij,tkj->tik", market.loading(), market.loading())
        if (rate != rate[0]).any() or (rate[0] != np.diag(np.diag(rate[0]))).any():
            raise ValueError("market.mark.shock_loading: found one that couples products or changes with time; "
                             "allowed is a constant diagonal one under running risk")  # fmt: skip
        running = risk.risk_aversion * float(rate[0, product, product])
    elif risk.kind == "vega" and risk.risk_aversion * risk.vega_noise > 0:
        raise ValueError("market.makers.risk: found vega, which couples products; allowed are separable, quadratic, "
                         "running, and portfolio with one product")  # fmt: skip
    elif risk.kind == "portfolio" and market.n > 1:
        raise ValueError(f"market.makers.risk: found portfolio with {market.n} products; allowed is one product")
    return (risk.terminal_penalty * second_moment(market, product) if risk.terminal_penalty > 0 else 0.0), running


def second_moment(market: DealerMarket, product: int) -> float:
    """E[P_T^2] of one product's mid at the horizon, currency^2. Raises ValueError for a random volatility."""
    volatility, years, horizon = market.underlying.volatility, market.clock.years, market.clock.horizon
    if volatility.model == "log_ar1":
        raise ValueError(
            "market.underlying.volatility: found log_ar1; allowed is a volatility that is a function of time"
        )
    spot, one = market.underlying.spot, market.products[product]
    shock = float(np.square(market.loading()[:, product]).sum(axis=-1).mean()) * horizon
    realised = float(volatility.variance(np.zeros(()), np.asarray(horizon), years))
    if one.right == "asset":
        return spot**2 * float(np.exp(realised)) + shock
    assert one.strike is not None
    assert one.expiry is not None
    if one.implied_volatility is not None:
        implied = one.implied_volatility * np.sqrt(years)
    else:
        left = float(volatility.variance(np.asarray(horizon), np.asarray(one.expiry), years))
        implied = np.sqrt(left / (one.expiry - horizon))
    option = OptionModel(spot, one.strike, one.expiry, float(np.sqrt(realised / horizon)), float(implied),
                         call=one.right == "call")  # fmt: skip
    return option.second_moment(horizon) + shock
