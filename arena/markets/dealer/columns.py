"""Names of all columns of the dealer market (state, observations, actions) and the kernel that writes observations.

The constants are positions of field names in the state layout: `at[MID]` is the first row of `mid`. Layout and kernel
list the observation columns in the same order; the two functions stand next to each other for that reason.

Arguments of the kernels: see `tables`, and

    out                   float32 [columns of all seats, >= B]: where the observations are written
    low, high             float32 [columns of all seats]: their bounds
    column, c             the column that is written next; a kernel returns the one after its last
    row                   [W]: what is written, or scratch for it
    time_left             clock units until the end of the game
"""

import numpy as np
from numba import njit

from arena.layout import Field, Layout
from arena.markets.dealer.flow import ABSENT
from arena.markets.dealer.pricing import initial_greeks
from arena.markets.dealer.seats import Observe, band_of
from arena.markets.dealer.settings import DealerSettings
from arena.markets.parts.special import FAST

# fmt: off
(SPOT, LOG_SPOT, LOG_VOLATILITY, FLOW_FACTOR, PRICE, SHOCK, MID, DELTA, GAMMA, VEGA,
 MAKER_INVENTORY, MAKER_CASH, MAKER_HEDGE, REMAINING, EXECUTOR_INVENTORY, EXECUTOR_CASH, DIRECTION,
 NOISE_INVENTORY, NOISE_CASH, VENUE_HEDGE, VENUE_CASH, FEE_CASH, IMPACT_CASH, LEAK_CASH,
 EDGE_NOISE, EDGE_EXECUTOR, INVENTORY_PNL, HEDGE_PNL, HEDGE_COST, MAKER_FEE, RUNNING_PENALTY, TERMINAL_PENALTY,
 INITIAL_WEALTH, EXECUTOR_SPREAD_COST, EXECUTOR_IMPACT_COST, EXECUTOR_FEE, EXECUTOR_PENALTY, EXECUTOR_INVENTORY_PNL,
 DISTANCE, FILL, EXECUTOR_FILL, SURPRISE, EXECUTOR_SURPRISE, ARRIVED, UNFILLED_NOISE, UNFILLED_EXECUTOR,
 CLIPPED_ACTION, REWARD_MAKER, REWARD_EXECUTOR, INITIAL_INVENTORY, VARIATION_PENALTY) = range(51)
(PRODUCTS, MAKERS, EXECUTORS, HAS_OPTIONS, RANDOM_VOLATILITY, RANDOM_FLOW, MAKER_OWN, MAKER_RIVALS, EXECUTOR_OWN,
 EXECUTOR_RIVALS) = range(10)
"""What `observe` must know of a market: the first entries of `size`; `tables` names the others."""
# fmt: on

SIDES = ("bid", "ask")
NOTHING, QUOTES, INVENTORY = range(3)
RIVALS = {"none": NOTHING, "quotes": QUOTES, "inventory": INVENTORY}
EVERYTHING, START, PRICELESS = 2, 4, 8
"""What a role sees of itself: 1 its inventory, 2 also its last fills and quotes; 4 more: what it held at the start;
8 more: neither prices nor greeks."""
_FAR = 1e6
"""Bound of columns that have no natural one; observations are clipped there so that boxes are finite."""


def state(market: DealerSettings) -> Layout:
    """Rows of the state array [R, B]; quantities that grow are cumulative since the start of the game."""
    makers, traders, names = market.maker_names, market.executor_names, market.product_names
    n, m, j = len(names), len(makers), len(traders)
    two = tuple(f"{name},{side}" for name in names for side in SIDES)
    pairs = tuple(f"{maker},{trader}" for maker in makers for trader in traders)
    books = tuple(f"{maker},{name}" for maker in makers for name in names)
    quotes = tuple(f"{maker},{label}" for maker in makers for label in two)
    varies = market.makers.variation_aversion > 0

    def per_maker(name: str) -> Field:
        return Field(name, (m,), makers, "currency")

    def per_trader(name: str, unit: str = "currency") -> Field:
        return Field(name, (j,), traders, unit)

    return Layout(
        [
            Field("spot", unit="currency"),
            Field("log_spot"),
            Field("log_volatility"),
            Field("flow_factor", unit="log multiplier"),
            *(Field(name, (n,), names, "currency") for name in ("price", "shock", "mid")),
            Field("delta", (n,), names, "shares/lot"),
            Field("gamma", (n,), names, "shares/lot/currency"),
            Field("vega", (n,), names, "currency per 1.00 vol"),
            Field("maker_inventory", (m, n), books, "lots"),
            per_maker("maker_cash"),
            Field("maker_hedge", (m,), makers, "shares"),
            per_trader("remaining", "lots, > 0 to buy"),
            per_trader("executor_inventory", "lots"),
            per_trader("executor_cash"),
            per_trader("direction", "+1 buy, -1 sell"),
            Field("noise_inventory", (n,), names, "lots"),
            Field("noise_cash", unit="currency"),
            Field("venue_hedge", unit="shares"),
            *(Field(name, unit="currency") for name in ("venue_cash", "fee_cash", "impact_cash", "leak_cash")),
            per_maker("edge_noise"),
            Field("edge_executor", (m, j), pairs, "currency"),
            *(per_maker(name) for name in ("inventory_pnl", "hedge_pnl", "hedge_cost", "maker_fee")),
            *(per_maker(name) for name in ("running_penalty", "terminal_penalty", "initial_wealth")),
            *(per_trader(f"executor_{name}") for name in ("spread_cost", "impact_cost", "fee", "penalty")),
            per_trader("executor_inventory_pnl"),
            Field("distance", (m, n, 2), quotes, "currency"),
            Field("fill", (m, n, 2), quotes, "lots in the last step"),
            per_trader("executor_fill", "lots in the last step"),
            Field("surprise", (m, n, 2), quotes, "noise orders of the last step less their mean, lots"),
            per_trader("executor_surprise", "own orders of the last step less their mean, lots"),
            Field("arrived", (n, 2), two, "lots"),
            Field("unfilled_noise", (n, 2), two, "lots"),
            per_trader("unfilled_executor", "lots"),
            Field("clipped_action", (2,), ("maker", "executor"), "components"),
            per_maker("reward_maker"),
            per_trader("reward_executor"),
            Field("initial_inventory", (m, n), books, "lots"),
            Field("variation_penalty", (m if varies else 0,), makers if varies else (), "currency"),
        ]
    )


def own_code(seen: Observe) -> int:
    """What a role sees of itself, as the kernel's code."""
    return seen.own * (1 + seen.last) + START * seen.start + PRICELESS * (not seen.prices)


def first_rows(layout: Layout) -> np.ndarray:
    """First row of each field, in the order of the constants above."""
    return np.array([layout.slice(field.name).start for field in layout], dtype=np.int64)


def maker_action(market: DealerSettings) -> Layout:
    """(half_spread, skew) per product and, where it hedges, an offset from the delta-neutral shares or a band."""
    makers, fields = market.makers, []
    for name in market.product_names:
        for kind, (low, high) in (("half_spread", makers.half_spread), ("skew", makers.skew)):
            fields.append(Field(f"{kind}[{name}]", unit="currency", low=low, high=high))
    names = ("hedge_offset" if makers.hedging.kind == "agent" else "hedge_centre", "hedge_width")
    for name, (low, high) in zip(names, band_of(makers.hedging), strict=True):
        if low < high:
            fields.append(Field(name, unit="shares", low=low, high=high))
    return Layout(fields)


def executor_action(market: DealerSettings) -> Layout:
    """The rate towards the target; bounds are the widest of all seats, each seat is clipped to its own."""
    low = min(executor.rate[0] for executor in market.executors)
    high = max(executor.rate[1] for executor in market.executors)
    return Layout([Field("rate", unit=f"lots/{market.clock.unit}", low=low, high=high)])


def has_options(market: DealerSettings) -> bool:
    """Whether greeks and moneyness mean anything."""
    return any(product.right != "asset" for product in market.products)


def _common(market: DealerSettings) -> list[Field]:
    clock = market.clock
    fields = [Field("time_left", (), (), clock.unit, 0.0, clock.horizon, clock.horizon / 2, clock.horizon / 3.5)]
    step = market.underlying.volatility.step(1.0)
    if step is not None:
        spread = max(step.shock / np.sqrt(1 - step.persistence**2), 1e-3)
        fields.append(Field("log_volatility", (), (), "ln(annual vol)", -_FAR, _FAR, step.mean, spread))
    if market.flow.intensity.model == "log_ou":
        intensity = market.flow.intensity
        spread = max(intensity.volatility / np.sqrt(2 * intensity.reversion), 1e-3)
        fields.append(Field("flow_factor", (), (), "log multiplier", -_FAR, _FAR, 0.0, spread))
    return fields


def _inventory_scale(market: DealerSettings) -> float:
    """A typical inventory in lots: a quarter of the limit, or what one side of the noise brings in a game."""
    limit = market.makers.inventory_limit if market.makers.count else None
    flow = float(market.arrival_rates().mean()) * market.clock.horizon
    size = largest_order(market)
    return max(limit / 4.0 if limit else max(np.sqrt(flow * market.flow.lot), size / 2.0), market.flow.lot)


def largest_order(market: DealerSettings) -> float:
    """The largest parent order that can be drawn, lots; 0 without executors."""
    sizes = [one.size for one in market.executors]
    return max((s if isinstance(s, float) else float(np.max(np.abs(s.mean))) + s.spread for s in sizes), default=0.0)


def _distance_scale(market: DealerSettings) -> float:
    return 1.0 / market.flow.rule.numbers()[0]


def maker_observation(market: DealerSettings) -> Layout:
    """What a maker sees, in the order in which `observe` writes it."""
    makers, names = market.makers, market.product_names
    n, limit, reach = len(names), makers.inventory_limit or _FAR, makers.max_distance
    two = tuple(f"{name},{side}" for name in names for side in SIDES)
    lots, pitch = _inventory_scale(market), _distance_scale(market)
    fields = _common(market)
    greeks = has_options(market) and makers.observe.prices
    if greeks:
        price, delta, gamma, vega, spot_sd = initial_greeks(market)
        spot = market.underlying.spot
        fields += [
            Field("mid", (n,), names, "currency", -_FAR, _FAR, price, np.maximum(abs(delta) * spot_sd, 1e-3 * spot)),
            Field("moneyness", (n,), names, "ln(spot/strike)", -_FAR, _FAR, 0.0, 0.05),
            Field("vega", (n,), names, "currency per 1.00 vol", -_FAR, _FAR, vega, np.maximum(0.2 * vega, 1e-3)),
        ]
    if makers.observe.start:
        fields.append(Field("initial_inventory", (n,), names, "lots", -limit, limit, 0.0, lots))
    if makers.observe.own:
        fields.append(Field("inventory", (n,), names, "lots", -limit, limit, 0.0, lots))
        if greeks:
            for name, unit, greek, least in (
                ("hedge", "shares", abs(delta), 1e-3),
                ("net_delta", "shares", abs(delta), 1e-3),
                ("net_gamma", "shares/currency", gamma, 1e-6),
                ("net_vega", "currency per 1.00 vol", vega, 1e-3),
            ):
                typical = max(lots * float(np.sqrt(n) * np.mean(greek)), least)
                fields.append(Field(name, (), (), unit, -_FAR, _FAR, 0.0, typical))
        if makers.observe.last:
            fields.append(Field("distance", (n, 2), two, "currency", makers.min_distance, reach, pitch / 2, pitch))
            fields.append(Field("fill", (n, 2), two, "lots", 0.0, _FAR, 0.0, market.flow.lot))
    return Layout(fields + _rivals(market, makers.observe, n * 2, two, "best_rival_distance", makers.count - 1))


def executor_observation(market: DealerSettings) -> Layout:
    """What an executor sees, in the order in which `observe` writes it."""
    size = largest_order(market)
    low, high = min(e.rate[0] for e in market.executors), max(e.rate[1] for e in market.executors)
    fields = _common(market)
    if market.executors_observe.start:
        fields.append(Field("initial_remaining", (), (), "lots, > 0 to buy", -_FAR, _FAR, 0.0, size / 2))
    if market.executors_observe.own:
        fields += [
            Field("remaining", (), (), "lots, > 0 to buy", -_FAR, _FAR, 0.0, size / 2),
            Field("to_trade", (), (), "lots left in the direction of the order", -_FAR, _FAR, size / 2, size / 3.5),
            Field("pace", (), (), f"lots/{market.clock.unit}", low, high, (low + high) / 2, (high - low) / 3.5),
        ]
        if market.executors_observe.last:
            fields.append(Field("executor_fill", (), (), "lots", -_FAR, _FAR, 0.0, market.flow.lot))
    return Layout(fields + _rivals(market, market.executors_observe, 2, SIDES, "best_distance", market.makers.count))


def _rivals(
    market: DealerSettings, observe_: Observe, size: int, labels: tuple[str, ...], name: str, others: int
) -> list[Field]:
    """Columns about the other seats: best distances, or every inventory (makers', then executors' remaining)."""
    if observe_.rivals == "quotes" and others > 0:
        pitch = _distance_scale(market)
        low, high = market.makers.min_distance, market.makers.max_distance
        fields = [Field(name, (size,), labels, "currency", low, high, pitch / 2, pitch)]
        if name == "best_distance":
            fields.append(Field("near_distance", (), (), "currency", low, high, pitch / 2, pitch))
        return fields
    if observe_.rivals == "inventory":
        lots, n, traders = _inventory_scale(market), market.n, len(market.executors)
        if name == "best_distance":
            traders -= 1
            n = 1
        fields = [Field("maker_inventory", (others, n), (), "lots", -_FAR, _FAR, 0.0, lots)] if others else []
        if traders:
            fields.append(Field("trader_remaining", (traders,), (), "lots, > 0 to buy", -_FAR, _FAR, 0.0, lots))
        return fields
    return []


@njit(fastmath=FAST, error_model="numpy")
def _put(out, column, row, lo, hi, low, high):
    """Writes one observation column, clipped to its bounds, as float32."""
    target = out[column, lo:hi]
    least, most = low[column], high[column]
    for g in range(row.shape[0]):
        target[g] = min(max(row[g], least), most)
    return column + 1


@njit(error_model="numpy")
def _put_rows(out, column, state, first, count, lo, hi, low, high):
    """Writes `count` rows of the state, from row `first` on."""
    for r in range(first, first + count):
        column = _put(out, column, state[r, lo:hi], lo, hi, low, high)
    return column


@njit(fastmath=FAST, error_model="numpy")
def _net(total, state, inventory, greek, n, lo, hi):
    """total = sum_i inventory_i greek_i."""
    for g in range(total.shape[0]):
        total[g] = 0.0
    for i in range(n):
        q, x = state[inventory + i, lo:hi], state[greek + i, lo:hi]
        for g in range(total.shape[0]):
            total[g] += q[g] * x[g]


@njit(fastmath=FAST, error_model="numpy")
def _best(total, state, first, stride, skip, makers, lo, hi):
    """total = least distance over the makers but `skip`."""
    for g in range(total.shape[0]):
        total[g] = ABSENT
    for m in range(makers):
        if m != skip:
            row = state[first + m * stride, lo:hi]
            for g in range(total.shape[0]):
                total[g] = min(total[g], row[g])


@njit(error_model="numpy")
def _observe_common(out, c, at, state, time_left, random_volatility, random_flow, row, lo, hi, low, high):
    """Writes what everybody sees: the time left, and the log-volatility and the noise factor where they are random
    (random_volatility, random_flow)."""
    for g in range(row.shape[0]):
        row[g] = time_left
    c = _put(out, c, row, lo, hi, low, high)
    if random_volatility:
        c = _put(out, c, state[at[LOG_VOLATILITY], lo:hi], lo, hi, low, high)
    if random_flow:
        c = _put(out, c, state[at[FLOW_FACTOR], lo:hi], lo, hi, low, high)
    return c


@njit(fastmath=FAST, error_model="numpy")
def observe(size, at, state, out, low, high, log_strike, product_of, time_left, row, lo, hi):
    """Writes the observations of all seats; log_strike [n] is the products', product_of [N] the executors' product."""
    n, makers, traders = size[PRODUCTS], size[MAKERS], size[EXECUTORS]
    options, random_volatility, random_flow = size[HAS_OPTIONS], size[RANDOM_VOLATILITY], size[RANDOM_FLOW]
    own, rivals = size[MAKER_OWN], size[MAKER_RIVALS]
    trader_own, trader_rivals = size[EXECUTOR_OWN], size[EXECUTOR_RIVALS]
    options = options and own < PRICELESS
    start, trader_start = own % PRICELESS >= START, trader_own % PRICELESS >= START
    own, trader_own = own % START, trader_own % START
    c = 0
    for m in range(makers):
        c = _observe_common(out, c, at, state, time_left, random_volatility, random_flow, row, lo, hi, low, high)
        inventory = at[MAKER_INVENTORY] + m * n
        if options:
            c = _put_rows(out, c, state, at[MID], n, lo, hi, low, high)
            log_spot = state[at[LOG_SPOT], lo:hi]
            for i in range(n):
                for g in range(row.shape[0]):
                    row[g] = log_spot[g] - log_strike[i]
                c = _put(out, c, row, lo, hi, low, high)
            c = _put_rows(out, c, state, at[VEGA], n, lo, hi, low, high)
        if start:
            c = _put_rows(out, c, state, at[INITIAL_INVENTORY] + m * n, n, lo, hi, low, high)
        if own:
            c = _put_rows(out, c, state, inventory, n, lo, hi, low, high)
            if options:
                hedge = state[at[MAKER_HEDGE] + m, lo:hi]
                c = _put(out, c, hedge, lo, hi, low, high)
                _net(row, state, inventory, at[DELTA], n, lo, hi)
                for g in range(row.shape[0]):
                    row[g] += hedge[g]
                c = _put(out, c, row, lo, hi, low, high)
                _net(row, state, inventory, at[GAMMA], n, lo, hi)
                c = _put(out, c, row, lo, hi, low, high)
                _net(row, state, inventory, at[VEGA], n, lo, hi)
                c = _put(out, c, row, lo, hi, low, high)
            if own == EVERYTHING:
                c = _put_rows(out, c, state, at[DISTANCE] + m * 2 * n, 2 * n, lo, hi, low, high)
                c = _put_rows(out, c, state, at[FILL] + m * 2 * n, 2 * n, lo, hi, low, high)
        if rivals == QUOTES and makers > 1:
            for r in range(2 * n):
                _best(row, state, at[DISTANCE] + r, 2 * n, m, makers, lo, hi)
                c = _put(out, c, row, lo, hi, low, high)
        elif rivals == INVENTORY:
            for other in range(makers):
                if other != m:
                    c = _put_rows(out, c, state, at[MAKER_INVENTORY] + other * n, n, lo, hi, low, high)
            c = _put_rows(out, c, state, at[REMAINING], traders, lo, hi, low, high)
    for j in range(traders):
        c = _observe_common(out, c, at, state, time_left, random_volatility, random_flow, row, lo, hi, low, high)
        direction, product = state[at[DIRECTION] + j, lo:hi], product_of[j]
        if trader_start:
            left, bought = state[at[REMAINING] + j, lo:hi], state[at[EXECUTOR_INVENTORY] + j, lo:hi]
            for g in range(row.shape[0]):
                row[g] = left[g] + bought[g]
            c = _put(out, c, row, lo, hi, low, high)
        if trader_own:
            remaining = state[at[REMAINING] + j, lo:hi]
            c = _put(out, c, remaining, lo, hi, low, high)
            for g in range(row.shape[0]):
                row[g] = remaining[g] * direction[g]
            c = _put(out, c, row, lo, hi, low, high)
            # the rate that would just finish in time; nobody acts on it once no time is left
            inverse = 1.0 / time_left if time_left > 0.0 else 0.0
            for g in range(row.shape[0]):
                row[g] *= inverse
            c = _put(out, c, row, lo, hi, low, high)
            if trader_own == EVERYTHING:
                c = _put(out, c, state[at[EXECUTOR_FILL] + j, lo:hi], lo, hi, low, high)
        if trader_rivals == QUOTES and makers > 0:
            for side in range(2):
                _best(row, state, at[DISTANCE] + 2 * product + side, 2 * n, -1, makers, lo, hi)
                c = _put(out, c, row, lo, hi, low, high)
            bid, ask = out[c - 2, lo:hi], out[c - 1, lo:hi]
            for g in range(row.shape[0]):
                row[g] = ask[g] if direction[g] > 0.0 else bid[g]
            c = _put(out, c, row, lo, hi, low, high)
        elif trader_rivals == INVENTORY:
            for m in range(makers):
                c = _put_rows(out, c, state, at[MAKER_INVENTORY] + m * n + product, 1, lo, hi, low, high)
            for other in range(traders):
                if other != j:
                    c = _put_rows(out, c, state, at[REMAINING] + other, 1, lo, hi, low, high)
    return c
