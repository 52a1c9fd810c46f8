"""Accounts of the dealer market, recomputed from the trace in plain numpy: nothing here uses the kernels' own ledger.

The numbering I1 .. I12 is that of the model's list of identities (docs/model.md).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.markets.fills import intensity_and_share

CHAIN = [
    {"name": "C95", "right": "call", "strike": 95, "expiry": 63},
    {"name": "P100", "right": "put", "strike": 100, "expiry": 40, "implied_volatility": 0.25},
]
BUYER = {"product": "C95", "side": "buy", "size": 30, "rate": [0, 600], "temporary_impact": 0.002}
COIN = {
    "product": "P100", "side": "coin", "size": {"mean": 12, "spread": 4}, "rate": [0, 300], "temporary_impact": 0.001,
    "cross_impact": 0.8, "running_penalty": 0.01, "terminal_penalty": 0.2,
}  # fmt: skip


def recount(trace):
    """Replays every account of every step from fills, quotes and prices; asserts that the market booked the same."""
    market, makers, n = trace.market, trace.market.makers, trace.market.n
    dt, fluid, lot = market.clock.dt, market.flow.orders == "fluid", market.flow.lot
    limit = makers.inventory_limit or np.inf
    fee_m, fee_t = market.fees.maker, market.fees.taker
    names = [f.name for f in market.state]
    old = {name: trace[name][:-1] for name in names}
    new = {name: trace[name][1:] for name in names}
    change = {name: new[name] - old[name] for name in names}
    steps, games = old["spot"].shape

    def same(got, want, scale=1.0):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-9 * max(1.0, scale))

    # quotes follow the actions; a side is withdrawn where one more lot would break the limit
    u = np.nan_to_num(np.clip(trace.action["maker"], -1, 1), nan=0.0)
    physical = market.roles[0].action.from_unit(u)
    half, skew = physical[..., 0 : 2 * n : 2], physical[..., 1 : 2 * n : 2]
    wanted = np.clip(np.stack([half - skew, half + skew], -1), makers.min_distance, makers.max_distance)
    q0, q1, fill = old["maker_inventory"], new["maker_inventory"], new["fill"]
    one = 1e-12 if fluid else lot * (1 - 1e-9)
    open_ = np.stack([q0 + one <= limit, q0 - one >= -limit], -1)
    same(new["distance"], np.where(open_, wanted, 1e6))
    distance = np.where(open_, wanted, 0.0)
    assert not fill[~open_].any()
    assert fill.min() >= 0
    assert np.abs(q1).max() <= max(limit, np.abs(q0[0]).max()) + 1e-9  # I7

    # makers: every lot at mid -+ distance, fees, hedge                                                            I3
    mid0, mid1 = old["mid"][:, :, None], new["mid"][:, :, None]
    same(q1 - q0, fill[..., 0] - fill[..., 1])
    edge, fees = (fill * distance).sum((-1, -2)), fee_m * fill.sum((-1, -2))
    same(change["edge_noise"] + change["edge_executor"].sum(-1), edge)
    same(change["maker_fee"], fees)
    cash = -((q1 - q0) * mid0).sum(-1) + edge - fees
    hedge0, hedge1 = old["maker_hedge"], new["maker_hedge"]
    spot0, spot1 = old["spot"][..., None], new["spot"][..., None]
    gain, cost, shares = np.zeros_like(cash), np.zeros_like(cash), np.zeros_like(cash)
    if makers.hedging.kind == "perfect":
        gain = -(q1 * (new["price"] - old["price"])[:, :, None]).sum(-1)
        cash = cash + gain
        same(hedge1, -(q1 * new["delta"][:, :, None]).sum(-1))
    elif makers.hedging.kind in ("costly", "agent"):
        offset = physical[..., 2 * n] if makers.hedging.kind == "agent" else 0.0
        same(hedge1, -(q1 * old["delta"][:, :, None]).sum(-1) + offset)
        shares = hedge1 - hedge0
        cost = makers.hedging.cost * spot0 * np.abs(shares)
        gain = hedge1 * (spot1 - spot0)
        cash = cash - shares * spot0 - cost
    else:
        assert not hedge1.any()
    same(change["maker_cash"], cash, 1e3)
    same(change["hedge_pnl"], gain)
    same(change["hedge_cost"], cost)
    marked = (q1 * (mid1 - mid0)).sum(-1)
    same(change["inventory_pnl"], marked)
    held0, held1 = (0.0, 0.0) if makers.hedging.kind in ("perfect", "none") else (hedge0 * spot0, hedge1 * spot1)
    wealth0 = old["maker_cash"] + (q0 * mid0).sum(-1) + held0
    wealth1 = new["maker_cash"] + (q1 * mid1).sum(-1) + held1
    same(wealth1 - wealth0, edge + marked + gain - cost - fees, 1e3)

    # penalties stand outside P&L
    risk, due, terminal = makers.risk, np.zeros_like(cash), np.zeros_like(cash)

    def mean_square(x0, x1):
        return (x0 * x0 + x0 * x1 + x1 * x1) / 3 if fluid else (x0 * x0 + x1 * x1) / 2

    if risk.kind == "vega":
        vega = old["vega"][:, :, None]
        due = 0.5 * risk.risk_aversion * risk.vega_noise**2 * mean_square((q0 * vega).sum(-1), (q1 * vega).sum(-1)) * dt
    elif risk.kind == "running":
        factor = [mean_square(q0 @ row, q1 @ row).sum(-1) for row in market.loading()]
        due = 0.5 * risk.risk_aversion * dt * np.array([factor[t][t] for t in range(steps)])
    elif risk.kind == "quadratic":
        due = np.asarray(risk.running_penalty) * mean_square(q0, q1).sum(-1) * dt
    value = q1[-1] * new["mid"][-1][:, None]
    if risk.kind == "quadratic":
        terminal[-1] = np.asarray(risk.terminal_penalty) * (q1[-1] ** 2).sum(-1)
    elif risk.kind == "portfolio":
        terminal[-1] = risk.terminal_penalty * value.sum(-1) ** 2
    else:
        terminal[-1] = risk.terminal_penalty * (value**2).sum(-1)
    same(change["running_penalty"], due)
    same(change["terminal_penalty"], terminal)
    same(trace.reward["maker"], edge + marked + gain - cost - fees - due - terminal)
    total = wealth1[-1] - wealth0[0] - due.sum(0) - terminal.sum(0)
    same(trace.reward["maker"].sum(0), total, 1e4)  # I9

    # executors: what they traded with whom follows from the makers' edge
    way = old["direction"]
    traders = len(market.executors)
    by_executors = np.zeros_like(fill)
    leak, taker_fees, impact = (np.zeros((steps, games)) for _ in range(3))
    excess = np.zeros((steps, games, n))  # what makers filled beyond an executor's order, signed: fluid 'relative' only
    rates = np.zeros((steps, games, traders))
    for j, e in enumerate(market.executors):
        u = np.nan_to_num(np.clip(trace.action["executor"][:, :, j, 0], -1, 1), nan=0.0)
        low, high = market.roles[1].action.low[0], market.roles[1].action.high[0]
        rate = np.clip(low + (u + 1) * (high - low) / 2, *e.rate)
        left = old["remaining"][..., j] * way[..., j]
        if e.stop_at_target:
            rate = np.where(left > 1e-12, rate, 0.0)
            rate = np.minimum(rate, left / dt) if fluid else rate
        rates[..., j] = rate * way[..., j]
    for j, e in enumerate(market.executors):
        i = market.product_names.index(e.product)
        side = (way[..., j] > 0).astype(int)
        quote = np.take_along_axis(distance[:, :, :, i], side[:, :, None, None], -1)[..., 0]
        live = np.take_along_axis(open_[:, :, :, i], side[:, :, None, None], -1)[..., 0]
        best = np.where(live, quote, np.inf).min(-1)
        traded = np.divide(change["edge_executor"][..., j], quote, out=np.zeros_like(quote), where=quote != 0)
        mine = traded
        if fluid and market.flow.rule.kind == "relative":  # shares need not add up to 1, the order is for one
            parts = intensity_and_share(market.flow.rule, np.where(live, quote, np.inf))[0].sum(-1)
            mine = traded * np.divide(1.0, parts, out=np.zeros_like(parts), where=parts > 0)[..., None]
        excess[..., i] += way[..., j] * (traded - mine).sum(-1)
        same(mine.sum(-1), new["executor_fill"][..., j])
        assert traded.min() > -1e-9
        for m in range(makers.count):
            by_executors[:, :, m, i, 0] += np.where(side == 0, traded[:, :, m], 0.0)
            by_executors[:, :, m, i, 1] += np.where(side == 1, traded[:, :, m], 0.0)
        x = new["executor_fill"][..., j]
        paid = x * np.where(np.isfinite(best), best, 0.0) if e.price == "best" else (mine * quote).sum(-1)
        others = np.delete(rates, j, axis=-1)
        cross = e.cross_impact * others.mean(-1) if traders > 1 else 0.0
        due_impact = e.temporary_impact * rates[..., j] * (rates[..., j] + cross) * dt
        left0, left1 = old["remaining"][..., j], new["remaining"][..., j]
        penalty = e.running_penalty * mean_square(left0, left1) * dt
        penalty[-1] += e.terminal_penalty * left1[-1] ** 2
        same(change["executor_inventory"][..., j], way[..., j] * x)
        same(change["remaining"][..., j], -way[..., j] * x)
        same(change["executor_spread_cost"][..., j], paid)
        same(change["executor_impact_cost"][..., j], due_impact)
        same(change["executor_fee"][..., j], fee_t * x)
        same(change["executor_penalty"][..., j], penalty)
        same(change["executor_inventory_pnl"][..., j], new["executor_inventory"][..., j] * (mid1 - mid0)[:, :, 0, i])
        own_cash = -way[..., j] * x * old["mid"][..., i] - paid - due_impact - fee_t * x
        same(change["executor_cash"][..., j], own_cash, 1e3)
        same(trace.reward["executor"][:, :, j], -paid - due_impact - fee_t * x - penalty)
        leak += paid - (traded * quote).sum(-1)
        taker_fees, impact = taker_fees + fee_t * x, impact + due_impact
        if e.stop_at_target:
            assert (left1 * way[..., j]).min() >= -1e-9
        if not fluid:
            same(x / lot, np.round(x / lot))
        wanted_lots = change["unfilled_executor"][..., j] + x  # I5: an order fills once, or is counted as unfilled
        assert change["unfilled_executor"][..., j].min() > -1e-9
        if fluid:
            same(wanted_lots, np.abs(rates[..., j]) * dt)

    # noise: the other side of what is left                                                                        I5
    noise = fill - by_executors
    assert noise.min() > -1e-9
    same(change["arrived"] - change["unfilled_noise"], noise.sum(2))
    assert change["unfilled_noise"].min() > -1e-9
    prices = np.stack([mid0 - distance[..., 0], mid0 + distance[..., 1]], -1)
    noise_cash = (noise[..., 0] * prices[..., 0] - noise[..., 1] * prices[..., 1]).sum((-1, -2))
    noise_cash = noise_cash - (excess * old["mid"]).sum(-1)
    same(change["noise_cash"], noise_cash - fee_t * noise.sum((-1, -2, -3)), 1e3)
    same(change["noise_inventory"], (noise[..., 1] - noise[..., 0]).sum(2) + excess)
    taker_fees = taker_fees + fee_t * noise.sum((-1, -2, -3))
    same(change["fee_cash"], fees.sum(-1) + taker_fees + cost.sum(-1))
    swaps = -gain if makers.hedging.kind == "perfect" else shares * spot0
    same(change["venue_cash"], swaps.sum(-1), 1e3)
    same(change["venue_hedge"], -shares.sum(-1))
    same(change["leak_cash"], leak)
    same(change["impact_cash"], impact)

    # every trade has two sides                                                                               I1, I2, I4
    contracts = new["maker_inventory"].sum(2) + new["noise_inventory"]
    for j, e in enumerate(market.executors):
        contracts[:, :, market.product_names.index(e.product)] += new["executor_inventory"][..., j]
    same(contracts, 0)
    pots = ("noise_cash", "venue_cash", "fee_cash", "impact_cash", "leak_cash")
    everything = new["maker_cash"].sum(-1) + new["executor_cash"].sum(-1) + sum(new[pot] for pot in pots)
    same(everything, 0, 1e4)
    if makers.hedging.kind in ("costly", "agent"):
        same(new["maker_hedge"].sum(-1) + new["venue_hedge"], 0)
    same((contracts * new["mid"]).sum(-1), 0)  # whatever the mark did, options move no wealth in total

    # the mark moves by the takers' signed volume
    same(new["mid"], new["price"] + new["shock"])
    if not np.any(market.loading()):
        same(change["shock"], -market.mark.impact * (q1 - q0).sum(2))
    return fill


def random_act(seed, wild=False):
    rng = np.random.default_rng(seed)

    def act(step, game):
        for view in game.action.values():
            drawn = rng.uniform(-1, 1, view.shape)
            if wild:
                drawn = rng.choice([np.nan, np.inf, -np.inf, 1e300, -7.0, 0.3, -1.0, 1.0], view.shape)
            view[...] = drawn

    return act


MAKERS = {
    "count": 3, "inventory_limit": 8, "half_spread": [0.02, 0.3], "skew": [-0.1, 0.1], "min_distance": 0.01,
    "max_distance": 0.5,
}  # fmt: skip
HEDGINGS = {
    "none": {"kind": "none"},
    "perfect": {"kind": "perfect"},
    "costly": {"kind": "costly", "cost": 0.001},
    "agent": {"kind": "agent", "cost": 0.002, "range": 5},
}
RISKS = {
    "separable": {"kind": "separable", "terminal_penalty": 5e-4},
    "portfolio": {"kind": "portfolio", "terminal_penalty": 5e-4},
    "running": {"kind": "running", "risk_aversion": 0.5, "terminal_penalty": 1e-4},
    "vega": {"kind": "vega", "risk_aversion": 0.5, "vega_noise": 0.01, "terminal_penalty": 1e-4},
    "quadratic": {"kind": "quadratic", "running_penalty": [0.1, 0.2, 0.0], "terminal_penalty": [0.5, 0.0, 1.0]},
}


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("hedging", HEDGINGS)
def test_accounts_recounted_for_every_hedge(tools, orders, hedging):
    market = tools.build(
        products=CHAIN,
        fees={"maker": -0.002, "taker": 0.005},
        flow={"arrival_rate": 120, "orders": orders, "informed_share": 0.4, "lot": 0.5,
              "rule": {"kind": "soft_best", "fill_decay": 5, "sharpness": 20}},
        mark={"impact": 0.01, "shock_loading": 0.0},
        makers={**MAKERS, "hedging": HEDGINGS[hedging], "initial_inventory": [2, -1, 0]},
        executors=[{**BUYER, "price": "best"}, COIN],
    )  # fmt: skip
    fill = recount(tools.play(market, 60, random_act(1)))
    assert fill.sum() > 1000  # somebody trades, or nothing was tested


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("risk", RISKS)
def test_accounts_recounted_for_every_risk(tools, orders, risk):
    market = tools.build(
        products=CHAIN,
        flow={"arrival_rate": [[80, 60], [50, 90]], "orders": orders, "rule": {"kind": "logistic", "sharpness": 8}},
        mark={"shock_loading": [[0.2, 0.1], [0.0, 0.3]]},
        makers={**MAKERS, "risk": RISKS[risk], "inventory_limit": None, "initial_inventory": {"mean": 1, "spread": 3}},
        executors=[COIN, {**BUYER, "side": "sell", "stop_at_target": False}],
    )
    fill = recount(tools.play(market, 60, random_act(2)))
    assert fill.sum() > 1000


@pytest.mark.parametrize("orders", ["poisson", "fluid"])
@pytest.mark.parametrize("rule", ["exponential", "logit", "relative"])
def test_accounts_recounted_for_the_other_flow_rules(tools, rule, orders):
    market = tools.build(
        products=CHAIN,
        fees={"maker": -0.002, "taker": 0.005},
        flow={"arrival_rate": 80, "orders": orders, "rule": {"kind": rule, "fill_decay": 4}},
        makers={**MAKERS, "observe": {"rivals": "none"}},
        executors=[{**BUYER, "price": "best"}, COIN],
    )
    assert recount(tools.play(market, 60, random_act(3))).sum() > 1000


def test_wild_actions_are_clipped_counted_and_booked(tools):
    market = tools.build(products=CHAIN, makers=MAKERS, executors=[BUYER, COIN])
    trace = tools.play(market, 20, random_act(4, wild=True))
    recount(trace)
    for k, role in enumerate(("maker", "executor")):
        u = trace.action[role]
        outside = (~((u >= -1) & (u <= 1))).sum(axis=(2, 3)).cumsum(axis=0)
        np.testing.assert_array_equal(trace["clipped_action"][1:, :, k], outside)
        assert outside[-1].min() > 0


# ------------------------------------------------------------------------------------------------- random markets

share = st.floats(0.0, 1.0)


@st.composite
def markets(draw):
    """Plain data of a market within its documented ranges, odd corners included."""
    count, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    right = st.sampled_from(["call", "put", "asset"])
    products = []
    for i in range(n):
        one = {"name": f"x{i}", "right": draw(right)}
        if one["right"] != "asset":
            one |= {"strike": draw(st.floats(20, 400)), "expiry": draw(st.floats(1.001, 500))}
            if draw(st.booleans()):
                one["implied_volatility"] = draw(st.floats(1e-3, 3))
        products.append(one)
    rule = draw(
        st.one_of(
            st.builds(lambda k: {"kind": "exponential", "fill_decay": k}, st.floats(0.1, 60)),
            st.builds(lambda k, r: {"kind": "soft_best", "fill_decay": k, "sharpness": k * r}, st.floats(0.1, 60),
                      st.floats(1, 50)),
            st.builds(lambda k, w: {"kind": "logit", "fill_decay": k, "outside": w}, st.floats(0.1, 60),
                      st.floats(0, 3)),
            st.builds(lambda c: {"kind": "logistic", "sharpness": c}, st.floats(0.1, 500)),
            st.builds(lambda k: {"kind": "relative", "fill_decay": k}, st.floats(0.1, 20)),
        )
    )  # fmt: skip
    volatility = draw(
        st.sampled_from(
            [
                {"model": "constant", "value": 0.0},
                {"model": "constant", "value": 0.2},
                {"model": "constant", "value": 2.0},
                {"model": "profile", "t": [0.2, 0.7], "value": [0.0, 0.5]},
                {"model": "log_ar1", "mean": 0.3, "persistence": 0.5, "shock": 0.5},
            ]
        )
    )
    intensity = draw(
        st.sampled_from(
            [
                {"model": "constant"},
                {"model": "profile", "t": [0.0, 1.0], "value": [0.0, 2.0]},
                {"model": "log_ou", "reversion": 2.0, "volatility": 1.5, "initial": -0.5},
            ]
        )
    )
    low, lot = draw(st.sampled_from([-0.2, 0.0, 0.05])), draw(st.sampled_from([1, 0.1, 2.5]))
    steps = draw(st.sampled_from([1, 3, 6]))
    most = 450 * steps * lot  # lots per day for which Poisson flow is accepted
    executors = [
        {
            "product": draw(st.sampled_from(products))["name"],
            "side": draw(st.sampled_from(["buy", "sell", "coin"])),
            "size": draw(st.sampled_from([1, 7.5, 40, {"mean": 10, "spread": 10}])),
            "rate": [0, draw(st.sampled_from([0.02, 0.5, 5])) * most / 5],
            "temporary_impact": draw(share) * 0.01,
            "cross_impact": draw(share),
            "running_penalty": draw(share),
            "terminal_penalty": draw(share),
            "price": draw(st.sampled_from(["vwap", "best"])),
            "stop_at_target": draw(st.booleans()),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    rivals = st.sampled_from(["inventory", "quotes", "none"] if rule["kind"] != "relative" else ["quotes", "none"])
    return {
        "clock": {"steps": steps},
        "underlying": {"spot": draw(st.floats(1, 500)), "volatility": volatility},
        "products": products,
        "mark": {"impact": draw(st.sampled_from([0, 0.05])), "shock_loading": draw(st.sampled_from([0, 0.3]))},
        "flow": {
            "rule": rule, "arrival_rate": draw(share) * most / 2, "orders": draw(st.sampled_from(["poisson", "fluid"])),
            "lot": lot, "intensity": intensity, "informed_share": draw(share),
        },
        "fees": {"maker": draw(st.floats(-0.01, 0.01)), "taker": draw(st.floats(-0.01, 0.02))},
        "makers": {
            "count": count, "inventory_limit": draw(st.sampled_from([None, 0.5, 3, 20])), "min_distance": low,
            "half_spread": [0.0, 0.4], "skew": [-0.3, 0.3], "max_distance": 0.8,
            "hedging": HEDGINGS[draw(st.sampled_from(sorted(HEDGINGS)))],
            "risk": RISKS[draw(st.sampled_from(sorted(set(RISKS) - {"quadratic"})))],
            "observe": {"rivals": draw(rivals)},
        },
        "executors": executors,
        "executors_observe": {"rivals": draw(st.sampled_from(["inventory", "quotes", "none"]))},
    }  # fmt: skip


@settings(max_examples=120)
@given(plain=markets(), seed=st.integers(0, 2**32), wild=st.booleans())
def test_random_markets_and_actions_keep_the_books_and_stay_finite(tools, plain, seed, wild):
    market = tools.build(**plain)
    boxes = {role.name: (role.observation.low, role.observation.high) for role in market.roles}
    inner = random_act(seed, wild)

    def act(step, game):
        for name, (low, high) in boxes.items():
            seen = game.observation[name]
            assert np.isfinite(low).all()
            assert np.isfinite(high).all()
            assert np.isfinite(seen).all()
            assert np.all((seen >= low.astype(np.float32)) & (seen <= high.astype(np.float32)))
        inner(step, game)

    trace = tools.play(market, 5, act, seed=seed)
    assert np.isfinite(trace.state).all()
    if plain["makers"]["min_distance"] > 0:  # a distance of 0 hides who traded with whom
        recount(trace)
