"""Names of all columns of the hedging market: state, observation and action.

The constants are rows of the state array [R, B]. The first ones hold one number a game each; the contracts follow,
field by field, a row for each slot: `slot_row(PRICE, S, j)` is the price in slot j out of S.
"""

import numpy as np
from numba import njit

from arena.layout import Field, Layout
from arena.markets.hedging.settings import HedgingSettings
from arena.markets.hedging.volatility import random_step, stationary
from arena.markets.parts.special import INLINE
from arena.solvers.options.black_scholes import greeks

# fmt: off
(SPOT, LOG_SPOT, LOG_VOLATILITY, HEDGE, HEDGER_CASH, CUSTOMER_CASH, VENUE_CASH, FEE_CASH, VENUE_HEDGE,
 CUSTOMER_CONTRACTS, LIVE, NET_DELTA, NET_GAMMA, NET_VEGA, EDGE, MARK_PNL, HEDGE_PNL, HEDGE_COST, VARIATION_PENALTY,
 SETTLED, BORN, EXPIRED, TURNED_AWAY, TRADED, REBALANCES, CLIPPED_ACTION, REWARD, INITIAL_WEALTH, BORN_EDGE,
 SURPRISE) = range(30)
"""Rows of one number a game."""
SURPRISES = ("hedged_move", "curvature", "spot_move", "square", "volatility")
FIRST_SLOT = SURPRISE + len(SURPRISES)
STRIKE, LOG_STRIKE, PUT, LEFT, QUANTITY, PRICE, DELTA, GAMMA, VEGA, SLOT_FIELDS = range(10)
"""Fields of a slot: `put` is 1 for a put, `left` counts steps, `quantity` is 0 where the slot is free."""
# fmt: on
_FAR = 1e6
"""Bound of columns that have no natural one; observations are clipped there so that boxes are finite."""
SEAT = ("hedger_0",)


@njit(**INLINE)
def slot_row(field, slots, j):
    """The row of a field of slot j out of `slots`."""
    return FIRST_SLOT + field * slots + j


def state(market: HedgingSettings) -> Layout:
    """Rows of the state array [R, B]; quantities that grow are cumulative since the start of the game."""
    slots, money, count = market.book.slots, "currency", "contracts"

    def own(name: str, unit: str = money) -> Field:
        return Field(name, (1,), SEAT, unit)

    return Layout(
        [
            Field("spot", unit=money),
            Field("log_spot"),
            Field("log_volatility"),
            own("hedge", "shares"),
            own("hedger_cash"),
            *(Field(name, unit=money) for name in ("customer_cash", "venue_cash", "fee_cash")),
            Field("venue_hedge", unit="shares"),
            Field("customer_contracts", unit=count),
            own("live", count),
            own("net_delta", "shares"),
            own("net_gamma", "shares/currency"),
            own("net_vega", "currency per 1.00 vol"),
            *(own(name) for name in ("edge", "mark_pnl", "hedge_pnl", "hedge_cost", "variation_penalty", "settled")),
            *(own(name, count) for name in ("born", "expired", "turned_away")),
            own("traded", "shares in the last step"),
            own("rebalances", "steps with a trade"),
            Field("clipped_action", unit="components"),
            *(own(name) for name in ("reward_hedger", "initial_wealth", "born_edge")),
            Field("surprise", (1, len(SURPRISES)), SURPRISES, "of the last step, mean zero whatever was done"),
            *(
                Field(name, (slots,), unit=unit)
                for name, unit in (
                    ("strike", money), ("log_strike", ""), ("put", ""), ("left", "steps"), ("quantity", count),
                    ("price", money), ("delta", "shares"), ("gamma", "shares/currency"),
                    ("vega", "currency per 1.00 vol"),
                )
            ),
        ]
    )  # fmt: skip


def action(market: HedgingSettings) -> Layout:
    """Centre and width of the band; what has no range is no column."""
    both = (("centre", market.hedge.centre), ("width", market.hedge.width))
    return Layout([Field(name, unit="shares", low=low, high=high) for name, (low, high) in both if low < high])


def observation(market: HedgingSettings) -> Layout:
    """What the hedger sees, in the order in which `observe` writes it."""
    clock, seen = market.clock, market.observe
    fields = [Field("time_left", (), (), clock.unit, 0.0, clock.horizon, clock.horizon / 2, clock.horizon / 3.5)]
    contracts, delta, gamma, vega, sd = typical(market)
    step = random_step(market)
    if step is not None:
        spread = max(stationary(step), 1e-3)
        fields.append(Field("log_volatility", (), (), "ln(annual vol)", -_FAR, _FAR, step.mean, spread))
        fields.append(Field("effective_volatility", (), (), "annual", 0.0, _FAR, np.exp(step.mean), spread / 5))
    fields.append(Field("moneyness", (), (), "ln(spot/strike)", -_FAR, _FAR, 0.0, max(sd / 1.5, 1e-6)))
    fields.append(Field("standard_moneyness", (), (), "standard deviations", -_FAR, _FAR, 0.0, 1.0))
    if market.arrivals or len(market.book.start) > 1:
        fields.append(Field("live", (), (), "contracts", 0.0, market.book.slots, contracts / 2, max(contracts / 3, 1)))
    root = np.sqrt(max(contracts, 1.0))
    if seen.greeks:
        if market.only is not None:
            held = np.sign(market.only.quantity) * (-1.0 if market.only.right == "put" else 1.0)
            centre = held * 0.5 * abs(market.only.quantity)
        else:
            centre = 0.0
        fields += [
            Field("net_delta", (), (), "shares", -_FAR, _FAR, centre, 0.5 * delta * root),
            Field("net_gamma", (), (), "shares/currency", -_FAR, _FAR, 0.0, gamma * root),
            Field("net_vega", (), (), "currency per 1.00 vol", -_FAR, _FAR, 0.0, vega * root),
            Field("band_width", (), (), "shares", 0.0, _FAR, 0.0, max(typical_band(market), 1e-6)),
        ]
        labels = tuple(f"{edge:g}+" for edge in seen.buckets)
        parts = max(root / np.sqrt(max(len(labels), 1)), 1.0)
        if labels:
            fields += [
                Field("delta", (len(labels),), labels, "shares", -_FAR, _FAR, 0.0, 0.5 * delta * parts),
                Field("gamma", (len(labels),), labels, "shares/currency", -_FAR, _FAR, 0.0, gamma * parts),
            ]
    if seen.hedge:
        fields += [
            Field("hedge", (), (), "shares", -_FAR, _FAR, 0.0, 0.5 * delta * root),
            Field("excess", (), (), "shares", -_FAR, _FAR, 0.0, 0.1 * delta * root),
        ]
    return Layout(fields)


def typical(market: HedgingSettings) -> tuple[float, float, float, float, float]:
    """Scales of columns: contracts alive, their size in shares, an at-the-money gamma and vega of that size halfway to
    expiry, and the standard deviation of ln S over a typical life."""
    sizes = [abs(one.quantity) for one in market.book.start]
    contracts = len(sizes) + market.mean_live()
    size = float(np.mean(sizes)) if sizes else 1.0
    terms = [one.expiry for one in market.book.start] + list(market.arrivals.expiries if market.arrivals else ())
    life = float(np.mean(terms))
    variance = market.underlying.volatility.variance(np.zeros(1), np.full(1, life), market.clock.years)
    sd, spot, tau = float(np.sqrt(variance[0])), market.underlying.spot, life * market.clock.years
    g = greeks(spot, spot, tau / 2, max(sd, 1e-6) / np.sqrt(tau))
    return contracts, size, size * float(g.gamma), size * float(g.vega), sd


def typical_band(market: HedgingSettings) -> float:
    """Half-width of the band of Whalley & Wilmott 1997 at a typical gamma: (1.5 c S gamma^2/kappa)^(1/3), shares."""
    contracts, _, gamma, _, _ = typical(market)
    gamma *= np.sqrt(max(contracts, 1.0))
    cost, aversion = market.hedge.cost, market.risk.variation_aversion
    return float(np.cbrt(1.5 * cost * market.underlying.spot * gamma**2 / aversion)) if aversion > 0 else 0.0
