"""Observations: names, order, bounds, and every value recomputed by name from the state.

Layout and kernel list the columns separately; these tests are what keeps them in the same order.
"""

import itertools

import numpy as np
import pytest

from arena.game import Game
from arena.rollout import seeds_of

CHAIN = [
    {"name": "C95", "right": "call", "strike": 95, "expiry": 63},
    {"name": "P100", "right": "put", "strike": 100, "expiry": 40},
]
ASSETS = [{"name": "S", "right": "asset"}, {"name": "R", "right": "asset"}]
VOLATILITY = {"model": "log_ar1", "mean": 0.2, "shock": 0.2}
INTENSITY = {"model": "log_ou", "reversion": 2, "volatility": 1}
EXECUTORS = [
    {"product": "C95", "side": "coin", "size": {"mean": 20, "spread": 5}, "rate": [0, 200]},
    {"product": "P100", "side": "sell", "size": 9, "rate": [0, 100]},
    {"product": "P100", "side": "buy", "size": 14, "rate": [10, 100]},
]


def recomputed(game, role, seat):
    """Columns of one seat by name, from the named rows of the state."""
    market, n = game.market, game.market.n
    left = market.clock.horizon - game.step_index * market.clock.dt
    out = {"time_left": np.full((game.batch, 1), left)}
    for name in ("log_volatility", "flow_factor"):
        out[name] = game.view(name)[:, None]
    inventory, distance, fill = (game.view(name) for name in ("maker_inventory", "distance", "fill"))
    remaining = game.view("remaining")
    if role == "maker":
        q = inventory[:, seat]
        strikes = np.array([product.strike or 1.0 for product in market.products])
        rivals = np.delete(distance, seat, axis=1)
        hedge = game.view("maker_hedge")[:, seat, None]
        out |= {
            "mid": game.view("mid"),
            "moneyness": np.log(game.view("spot")[:, None] / strikes),
            "vega": game.view("vega"),
            "inventory": q,
            "hedge": hedge,
            "net_delta": (q * game.view("delta")).sum(1, keepdims=True) + hedge,
            "net_gamma": (q * game.view("gamma")).sum(1, keepdims=True),
            "net_vega": (q * game.view("vega")).sum(1, keepdims=True),
            "distance": distance[:, seat].reshape(-1, 2 * n),
            "fill": fill[:, seat].reshape(-1, 2 * n),
            "best_rival_distance": rivals.min(1).reshape(-1, 2 * n) if rivals.size else None,
            "maker_inventory": np.delete(inventory, seat, axis=1).reshape(game.batch, -1),
            "trader_remaining": remaining,
        }
    else:
        i = market.product_names.index(market.executors[seat].product)
        way = game.view("direction")[:, seat, None]
        best = distance[:, :, i].min(1)
        out |= {
            "remaining": remaining[:, seat, None],
            "to_trade": remaining[:, seat, None] * way,
            "pace": remaining[:, seat, None] * way / left if left > 0 else 0.0 * way,
            "executor_fill": game.view("executor_fill")[:, seat, None],
            "best_distance": best,
            "near_distance": np.where(way > 0, best[:, 1:], best[:, :1]),
            "maker_inventory": inventory[:, :, i],
            "trader_remaining": np.delete(remaining, seat, axis=1),
        }
    return out


def check(game):
    for name, role in game.roles.items():
        layout = role.observation
        for seat in range(len(role.agents)):
            want = recomputed(game, name, seat)
            seen = game.observation[name][:, seat]
            assert seen.dtype == np.float32
            assert seen.shape == (game.batch, layout.size)
            for field in layout:
                bound = slice(*layout.slice(field.name).indices(layout.size))
                values = np.clip(want[field.name], layout.low[bound], layout.high[bound])
                np.testing.assert_allclose(
                    seen[:, bound], values, rtol=2e-6, atol=2e-6, err_msg=f"{name} {seat} {field.name}"
                )
                assert field.size == values.shape[1]


def play_through(market):
    game = Game(market, 12)
    game.reset(seeds_of(4, 12))
    rng = np.random.default_rng(0)
    check(game)
    while not game.done:
        game.step({name: rng.uniform(-1, 1, view.shape) for name, view in game.action.items()})
        check(game)
    return game


@pytest.mark.parametrize(
    ("maker", "trader"),
    list(itertools.product(["inventory", "quotes", "none", "nothing"], ["inventory", "quotes", "none"])),
)
def test_options_seen_with_every_setting(tools, maker, trader):
    observe = {"own": False, "rivals": "none"} if maker == "nothing" else {"rivals": maker}
    market = tools.build(
        clock={"steps": 5, "horizon": 2},
        products=CHAIN,
        underlying={"volatility": VOLATILITY},
        flow={"intensity": INTENSITY},
        mark={"shock_loading": 0.2},
        makers={"count": 3, "inventory_limit": 3, "observe": observe},
        executors=EXECUTORS,
        executors_observe={"rivals": trader},
    )
    game = play_through(market)
    makers, traders = ({field.name for field in role.observation} for role in market.roles)
    assert ("maker_inventory" in makers) == (maker == "inventory") == ("trader_remaining" in makers)
    assert ("best_rival_distance" in makers) == (maker == "quotes")
    assert ("inventory" in makers) == (maker != "nothing")
    assert ("maker_inventory" in traders) == (trader == "inventory") == ("trader_remaining" in traders)
    assert ("near_distance" in traders) == (trader == "quotes")
    assert np.abs(game.view("maker_inventory")).max() > 0


def test_theory_s_observation_is_time_and_inventories(tools):
    """Neither prices nor greeks, no last quotes and fills: what is left is what the full one shows."""
    parts = {"clock": {"steps": 5}, "products": CHAIN, "executors": EXECUTORS}
    bare = {"last": False, "prices": False, "rivals": "inventory"}
    market = tools.build(**parts, makers={"observe": bare}, executors_observe=bare)
    play_through(market)
    makers, traders = ([field.name for field in role.observation] for role in market.roles)
    assert makers == ["time_left", "inventory", "maker_inventory", "trader_remaining"]
    assert traders == ["time_left", "remaining", "to_trade", "pace", "maker_inventory", "trader_remaining"]
    alone = tools.build(**parts, makers={"observe": {**bare, "rivals": "none"}})
    assert [field.name for field in alone.roles[0].observation] == ["time_left", "inventory"]


@pytest.mark.parametrize("hedging", ["perfect", "costly", "agent", "none"])
def test_every_hedge_is_seen(tools, hedging):
    market = tools.build(products=CHAIN, makers={"hedging": {"kind": hedging}})
    game = play_through(market)
    net = game.observation["maker"][:, :, market.roles[0].observation.slice("net_delta")]
    if hedging == "perfect":
        np.testing.assert_allclose(net, 0, atol=1e-6)
    else:
        assert np.abs(net).max() > 1e-3


@pytest.mark.parametrize("rivals", ["inventory", "quotes", "none"])
def test_assets_have_no_greeks(tools, rivals):
    market = tools.build(products=ASSETS, makers={"count": 1, "observe": {"rivals": rivals}},
                         executors=[{"product": "R", "size": 3, "rate": [0, 20]}],
                         executors_observe={"own": False, "rivals": "none"})  # fmt: skip
    play_through(market)
    names = {field.name for field in market.roles[0].observation}
    assert names == {"time_left", "inventory", "distance", "fill"} | (
        {"trader_remaining"} if rivals == "inventory" else set()
    )
    assert market.roles[1].observation.names == ("time_left",)


def test_names_units_and_order_of_the_columns(tools):
    market = tools.build(executors=[{"product": "C100", "size": 3, "rate": [0, 20]}])
    maker, trader = (role.observation for role in market.roles)
    assert maker.names == (
        "time_left", "mid[C100]", "moneyness[C100]", "vega[C100]", "inventory[C100]", "hedge", "net_delta", "net_gamma",
        "net_vega", "distance[C100,bid]", "distance[C100,ask]", "fill[C100,bid]", "fill[C100,ask]",
        "best_rival_distance[C100,bid]", "best_rival_distance[C100,ask]",
    )  # fmt: skip
    assert trader.names == (
        "time_left", "remaining", "to_trade", "pace", "executor_fill", "best_distance[bid]", "best_distance[ask]",
        "near_distance",
    )  # fmt: skip
    assert [role.action.names for role in market.roles] == [("half_spread[C100]", "skew[C100]"), ("rate",)]
    for role in market.roles:
        for layout in (role.observation, role.action):
            assert np.isfinite(layout.low).all()
            assert np.isfinite(layout.high).all()
            assert np.all(layout.low < layout.high)
            assert np.all(layout.scale > 0)
            assert all(layout.units)
    assert [role.agents for role in market.roles] == [("mm_0", "mm_1"), ("trader_0",)]


def test_columns_are_scaled_to_order_one(tools):
    market = tools.build(clock={"steps": 100}, products=CHAIN, executors=EXECUTORS[:1])
    game = Game(market, 400)
    game.reset(seeds_of(1, 400))
    rows = {name: [] for name in game.roles}
    act = tools.constant(market, 0.06, rate=20.0)
    while not game.done:
        act(game.step_index, game)
        game.advance()
        for name, seen in game.observation.items():
            layout = game.roles[name].observation
            rows[name].append((seen[:, 0] - layout.centre) / layout.scale)
    for values in rows.values():
        size = np.sqrt((np.array(values) ** 2).mean((0, 1)))
        assert size.max() < 8
