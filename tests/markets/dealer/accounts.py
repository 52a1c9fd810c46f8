"""The accounts of the dealer market replayed in plain numpy, and a chain to play them on.

Nothing here uses the kernels' own ledger. The numbering I1 .. I12 is that of the model's list of identities
(docs/model.md).
"""

import numpy as np

from arena.markets.dealer.flow import intensity_and_share

CHAIN = [
    {"name": "C95", "right": "call", "strike": 95, "expiry": 63},
    {"name": "P100", "right": "put", "strike": 100, "expiry": 40, "implied_volatility": 0.25},
]
BUYER = {"product": "C95", "side": "buy", "size": 30, "rate": [0, 600], "temporary_impact": 0.002}


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
    gain, cost, shares, bought = (np.zeros_like(cash) for _ in range(4))
    sold = np.zeros_like(cash)  # at the end, at the last spot
    if makers.hedging.kind == "perfect":
        gain = -(q1 * (new["price"] - old["price"])[:, :, None]).sum(-1)
        cash = cash + gain
        same(hedge1, -(q1 * new["delta"][:, :, None]).sum(-1))
    elif makers.hedging.kind in ("costly", "agent", "band"):
        named = dict(zip(market.roles[0].action.names, np.moveaxis(physical, -1, 0), strict=True))
        hedging, width = makers.hedging, named.get("hedge_width", 0.0)
        middle = named.get("hedge_offset", named.get("hedge_centre", 0.0)) - (q1 * old["delta"][:, :, None]).sum(-1)
        held = np.clip(hedge0, middle - width, middle + width)
        bought = held - hedge0
        if hedging.kind == "band" and hedging.unwind:
            sold[-1] = held[-1]
        same(hedge1, held - sold)
        shares = bought - sold
        cost = hedging.cost * (spot0 * np.abs(bought) + spot1 * np.abs(sold))
        gain = held * (spot1 - spot0)
        cash = cash - bought * spot0 + sold * spot1 - cost
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
    earned, unwound = edge + marked + gain - cost - fees, getattr(makers.hedging, "cost", 0.0) * spot1 * np.abs(sold)
    varied = 0.5 * makers.variation_aversion * ((earned + unwound) ** 2 + unwound**2)
    if makers.variation_aversion > 0:
        same(change["variation_penalty"], varied)
    same(trace.reward["maker"], earned - due - terminal - varied)
    total = wealth1[-1] - wealth0[0] - due.sum(0) - terminal.sum(0) - varied.sum(0)
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
    swaps = -gain if makers.hedging.kind == "perfect" else bought * spot0 - sold * spot1
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
    if makers.hedging.kind in ("costly", "agent", "band"):
        same(new["maker_hedge"].sum(-1) + new["venue_hedge"], 0)
    same((contracts * new["mid"]).sum(-1), 0)  # whatever the mark did, options move no wealth in total

    # the mark moves by the takers' signed volume
    same(new["mid"], new["price"] + new["shock"])
    if not np.any(market.loading()):
        same(change["shock"], -market.mark.impact * (q1 - q0).sum(2))
    return fill
