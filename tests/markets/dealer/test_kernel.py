"""The option dealer market as a whole: published values, limits, symmetries, and settings that are refused.

Statistical tests have a two-sided error rate of 1e-5 each (z = 4.42) and fixed seeds. FX1 is the model's default
configuration: one maker, one call at the money, arrival rate 100 a day and side, k = 10, psi = 5e-4, |q| <= 20.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.makers import AvellanedaStoikov
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.maker import blind_maker, solve

SECOND_MOMENT = 16.333901  # E[P_T^2] of the call of FX1
C = 5e-4 * SECOND_MOMENT
EXPONENTIAL = {"kind": "exponential", "fill_decay": 10}
WIDE = {"half_spread": [0, 1], "skew": [-1, 1], "max_distance": 2.0}
GAMES = 20_000


def fx1(tools, count=1, limit=20, rule=EXPONENTIAL, rate=100.0):
    return tools.build(
        clock={"steps": 100},
        flow={"rule": rule, "arrival_rate": rate},
        makers={
            "count": count, "inventory_limit": limit, **WIDE,
            "risk": {"kind": "separable", "terminal_penalty": 5e-4},
        },
    )  # fmt: skip


def returns(market, players, games=GAMES, seed=1):
    """Sum of rewards [games, M]."""
    return play(Game(market, games), players, seeds_of(seed, games)).returns["maker"]


def always(market, half):
    action = market.roles[0].action.to_unit(np.array([half, 0.0] * market.n))
    return lambda observation, noise: np.broadcast_to(action, (len(observation), action.size))


# --------------------------------------------------------------------------------------------------- known values


def test_constant_quotes_without_a_bound_earn_the_closed_form(tools):
    # J = 2 T A e^{-k eps} eps - 2 c T A e^{-k eps}: fills are Poisson, so there is no error from the steps
    market = fx1(tools, limit=None)
    fills = 100 * np.exp(-1.0)
    assert abs(tools.z_score(returns(market, {"mm_0": always(market, 0.1)}), 2 * fills * (0.1 - C))) < tools.z


def test_constant_quotes_with_the_bound(tools):
    market = fx1(tools)
    assert abs(tools.z_score(returns(market, {"mm_0": always(market, 0.1)}), 6.7799)) < tools.z


def test_optimal_quotes_earn_their_value_in_the_market(tools):
    # the table that is optimal in continuous time, held over 100 steps: 7.2266 (7.2294 without steps)
    market = fx1(tools)
    option = OptionModel(spot=100, strike=100, expiry=63, vol=0.2 / np.sqrt(252))
    maker = blind_maker(option, 5e-4, 1.0, arrival_rate=100.0, fill_decay=10.0, inventory_limit=20)
    table = solve(maker, steps=100).distance
    table = np.where(np.isfinite(table), table, 0.1)  # the market itself withdraws these sides
    layout = market.roles[0]
    column = layout.observation.slice("inventory").start

    def act(observation, noise):
        step = round((1.0 - float(observation[0, 0])) * 100)
        bid, ask = table[step][np.round(observation[:, column]).astype(int) + 20].T
        return layout.action.to_unit(np.stack([(bid + ask) / 2, (ask - bid) / 2], -1))

    earned = returns(market, {"mm_0": act}, games=2 * GAMES)
    assert abs(tools.z_score(earned, 7.2266)) < tools.z
    naive = returns(market, {"mm_0": always(market, 0.1)}, games=2 * GAMES)
    assert tools.z_score(earned - naive, 0.0) > tools.z  # paired: same seeds


def test_two_avellaneda_stoikov_makers(tools):
    # gamma = 1, gs2 = 0.01, |q| <= 12, soft_best kappa = 50: 3.541 each
    market = fx1(tools, count=2, limit=12, rule={"kind": "soft_best", "fill_decay": 10, "sharpness": 50})
    recipe = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01, fill_decay=10.0)
    earned = returns(market, {seat: recipe.sit(market, seat) for seat in market.maker_names})
    for seat in range(2):
        assert abs(tools.z_score(earned[:, seat], 3.541)) < tools.z
    assert abs(tools.z_score(earned[:, 0] - earned[:, 1], 0.0)) < tools.z


def test_soft_best_with_kappa_equal_k_is_two_makers_with_half_the_flow(tools):
    pair = fx1(tools, count=2, limit=None, rule={"kind": "soft_best", "fill_decay": 10, "sharpness": 10})
    fills = 50 * np.exp(-1.0)
    earned = returns(pair, {"mm_0": always(pair, 0.1), "mm_1": always(pair, 0.03)})
    assert abs(tools.z_score(earned[:, 0], 2 * fills * (0.1 - C))) < tools.z  # whatever the rival quotes
    fills = 50 * np.exp(-0.3)
    assert abs(tools.z_score(earned[:, 1], 2 * fills * (0.03 - C))) < tools.z


# -------------------------------------------------------------------------------------------------- fluid reference


GUO_JIN = {
    "products": [{"name": "stock", "right": "asset"}],
    "underlying": {"volatility": {"model": "constant", "value": 0}},
    "clock": {"steps": 20},
}


def fluid_game(steps, quotes, rates, inventories, target, share, buy, sell, penalty):
    """The step of the fluid game in plain numpy: quotes [T, M, 2] (bid, ask), the buyer's rates [T]."""
    h, (phi, terminal, beta) = 1.0 / steps, penalty
    q, left = np.array(inventories, float), float(target)
    maker, trader = np.zeros(q.size), 0.0
    for t in range(steps):
        bid, ask = quotes[t, :, 0], quotes[t, :, 1]
        v = rates[t]
        sold, bought = h * (buy + v) * share(ask), h * sell * share(bid)
        new, rest = q - sold + bought, left - h * v
        maker += ask * sold + bid * bought - phi * h * (q * q + q * new + new * new) / 3
        trader -= h * v * ask.min() + h * beta * v * v + phi * h * (left**2 + left * rest + rest**2) / 3
        q, left = new, rest
    return q, left, maker - terminal * q * q, trader - terminal * left * left


@pytest.mark.parametrize("rule", ["logistic", "relative"])
def test_fluid_step_of_guo_and_jin(tools, rule):
    rng = np.random.default_rng(5)
    steps, phi, terminal, beta = 20, 0.1, 0.5, 0.2
    buyer = {
        "product": "stock", "side": "buy", "size": 10, "rate": [0, 40], "temporary_impact": beta,
        "running_penalty": phi, "terminal_penalty": terminal, "price": "best", "stop_at_target": False,
    }  # fmt: skip
    decay = {"kind": rule, "sharpness" if rule == "logistic" else "fill_decay": 1.0}
    market = tools.build(
        **GUO_JIN,
        flow={"rule": decay, "orders": "fluid", "arrival_rate": {"noise_sell": 2, "noise_buy": 3}},
        makers={
            "count": 2, "inventory_limit": None, "half_spread": [-4, 8], "skew": [-6, 6], "min_distance": -20,
            "max_distance": 20, "initial_inventory": [4, 1], "hedging": {"kind": "none"}, "observe": {"rivals": "none"},
            "risk": {"kind": "quadratic", "running_penalty": phi, "terminal_penalty": terminal},
        },
        executors=[buyer],
    )  # fmt: skip
    half, skew = rng.uniform(0.5, 3, (steps, 2)), rng.uniform(-2, 2, (steps, 2))
    rates = rng.uniform(0, 12, steps)

    def act(t, game):
        game.action["maker"][...] = market.roles[0].action.to_unit(np.stack([half[t], skew[t]], -1))
        game.action["executor"][...] = market.roles[1].action.to_unit(rates[t])

    def share(d):
        if rule == "logistic":
            return np.exp(-d) / np.exp(-d).sum()
        return np.exp(-(d - d[::-1]))

    trace = tools.play(market, 2, act)
    quotes = np.stack([half - skew, half + skew], -1)
    want = fluid_game(steps, quotes, rates, [4, 1], 10.0, share, 3.0, 2.0, (phi, terminal, beta))
    np.testing.assert_allclose(trace["maker_inventory"][-1, 0, :, 0], want[0], rtol=1e-12)
    np.testing.assert_allclose(trace.reward["maker"].sum(0)[0], want[2], rtol=1e-12)
    np.testing.assert_allclose(trace["remaining"][-1, 0, 0], want[1], rtol=1e-12)
    np.testing.assert_allclose(trace.reward["executor"].sum(0)[0, 0], want[3], rtol=1e-12)
    defect = trace["maker_inventory"].sum((2, 3)) - trace["remaining"].sum(2)
    defect = defect[-1] - defect[0] + 1.0  # besides the noise imbalance of one lot
    assert (np.abs(defect).max() < 1e-9) == (rule == "logistic")  # 'relative' does not clear, and it shows


# ------------------------------------------------------------------------------------------------ who gets the flow


def test_somebody_trades_and_a_better_quote_gets_more(tools):
    market = tools.build(clock={"steps": 100}, makers={"count": 3, "inventory_limit": None})
    trace = tools.play(market, 2000, tools.constant(market, half=[0.03, 0.05, 0.05]))
    fills = trace["fill"][1:].sum((0, 3, 4))  # [B, M]
    assert fills.sum() > 2000 * 50
    assert tools.z_score(fills[:, 0] - fills[:, 1], 0.0) > tools.z
    assert abs(tools.z_score(fills[:, 1] - fills[:, 2], 0.0)) < tools.z  # equal quotes, equal means
    weight = np.exp(-50 * np.array([0.03, 0.05, 0.05]))
    expected = 200 * weight / weight.sum() * weight.mean() ** 0.2
    for m in range(3):
        assert abs(tools.z_score(fills[:, m], expected[m])) < tools.z


def test_relabelling_makers_permutes_the_outcome(tools):
    order, half, skew = [2, 0, 1], np.array([0.05, 0.08, 0.1]), np.array([0.02, 0.0, -0.03])
    market = tools.build(flow={"orders": "fluid"}, makers={"count": 3})
    one = tools.play(market, 3, tools.constant(market, half, skew))
    other = tools.play(market, 3, tools.constant(market, half[order], skew[order]))
    for name in ("maker_inventory", "maker_cash", "running_penalty"):
        np.testing.assert_allclose(other[name], one[name][:, :, order], rtol=1e-12, atol=1e-12)


def test_sides_are_what_they_are_called(tools):
    buying = tools.build(flow={"arrival_rate": {"noise_buy": 100}})  # noise buying hits asks: makers go short
    trace = tools.play(buying, 50, tools.constant(buying, 0.02))
    assert trace["maker_inventory"][-1].max() <= 0
    assert trace["noise_inventory"][-1].min() > 0
    assert not trace["fill"][..., 0].any()
    raised = tools.build(makers={"inventory_limit": None})
    trace = tools.play(raised, 50, tools.constant(raised, 0.05, 0.04))  # skew > 0 moves both prices up
    np.testing.assert_allclose(trace["distance"][1:, ..., 0], 0.01)
    np.testing.assert_allclose(trace["distance"][1:, ..., 1], 0.09)
    assert trace["maker_inventory"][-1].mean() > 3


@pytest.mark.parametrize(
    "rate",
    [100, [70, 30], [[70, 30], [20, 10]], {"noise_sell": 70, "noise_buy": 30}],
)
def test_arrivals_have_the_stated_rate(tools, rate):
    second = {"name": "P90", "right": "put", "strike": 90, "expiry": 10}
    market = tools.build(products=[tools.call, second], flow={"arrival_rate": rate, "rule": EXPONENTIAL, "lot": 0.5})
    arrived = tools.play(market, 4000, tools.constant(market, 0.05))["arrived"][-1]  # [B, n, 2]
    named = [[rate["noise_sell"], rate["noise_buy"]]] if isinstance(rate, dict) else rate
    expected = np.broadcast_to(np.array(named, float), (2, 2)) * 2 * np.exp(-0.5)  # two makers who do not compete
    for i in range(2):
        for side in range(2):
            assert abs(tools.z_score(arrived[:, i, side], expected[i, side])) < tools.z
            count = arrived[:, i, side] / 0.5
            assert abs(count.var() / count.mean() - 1) < tools.z * np.sqrt(2 / 4000) * 1.1  # Poisson: variance = mean


def test_arrival_profile_is_averaged_exactly(tools):
    ramp = {"t": [0.25, 0.75], "value": [0, 80]}
    market = tools.build(clock={"steps": 3}, flow={"arrival_rate": {"noise_sell": ramp, "noise_buy": 5}})
    fine = np.interp((np.arange(300_000) + 0.5) / 300_000, ramp["t"], ramp["value"]).reshape(3, -1).mean(1)
    np.testing.assert_allclose(market.arrival_rates()[:, 0, 0], fine, rtol=1e-7)
    assert np.all(market.arrival_rates()[:, 0, 1] == 5)
    scaled = tools.build(clock={"steps": 3}, flow={"arrival_rate": 2, "intensity": {"model": "profile", **ramp}})
    np.testing.assert_allclose(scaled.arrival_rates()[:, 0, 1], 2 * fine, rtol=1e-7)
    played = tools.play(market, 4000, tools.constant(market, 0.0))["arrived"][:, :, 0, 0]
    for step in range(3):
        if fine[step] > 0:
            assert abs(tools.z_score(played[step + 1] - played[step], fine[step] / 3)) < tools.z


def test_noise_factor_multiplies_the_flow(tools):
    market = tools.build(
        clock={"steps": 50},
        flow={"intensity": {"model": "log_ou", "reversion": 3, "volatility": 1.2, "initial": 0.8}},
        makers={"inventory_limit": None},
    )
    trace = tools.play(market, 4000, tools.constant(market, 0.0))
    y = trace["flow_factor"]
    assert np.all(y[0] == 0.8)
    times = np.linspace(0, 1, 51)
    for step in (1, 10, 50):
        mean, var = 0.8 * np.exp(-3 * times[step]), 1.2**2 / 6 * (1 - np.exp(-6 * times[step]))
        assert abs(tools.z_score(y[step], mean)) < tools.z
        assert abs(y[step].var() / var - 1) < tools.z * np.sqrt(2 / 4000)
    step_arrivals = np.diff(trace["arrived"][:, :, 0, 1], axis=0) - 2 * np.exp(y[:-1])  # A dt e^y, whoever fills it
    assert abs(tools.z_score(step_arrivals.sum(0), 0.0)) < tools.z


# ---------------------------------------------------------------------------------------------- informed flow, impact


def test_informed_flow_costs_makers_and_uninformed_flow_does_not(tools):
    def markout(informed):
        market = tools.build(
            mark={"shock_loading": 0.5}, flow={"informed_share": informed}, makers={"inventory_limit": None}
        )
        trace = tools.play(market, 2000, tools.constant(market, 0.05))
        bought = (trace["fill"][1:, :, :, 0, 0] - trace["fill"][1:, :, :, 0, 1]).sum(2)
        return (bought * np.diff(trace["mid"][:, :, 0], axis=0)).sum(0)

    assert abs(tools.z_score(markout(0.0), 0.0)) < tools.z
    third, all_ = markout(0.3), markout(1.0)
    assert tools.z_score(third, 0.0) < -tools.z
    # E[fills lean * |move|]: both makers at 0.05 let e^{-0.5} of 100 a day and side pass, 10 steps; per step
    # 2 * 10 e^{-0.5} informed lots times E|N(0, 0.5^2 / 10 + delta^2 sigma^2 dt)|
    sigma = 0.52 * 100 * 0.2 / np.sqrt(252)
    move = np.sqrt(2 / np.pi) * np.sqrt((0.25 + sigma**2) / 10)
    assert third.mean() == pytest.approx(-10 * 2 * 10 * np.exp(-0.5) * 0.3 * move, rel=0.05)
    assert all_.mean() / third.mean() == pytest.approx(1 / 0.3, rel=0.05)


def test_impact_moves_the_mid_by_the_takers_signed_volume(tools):
    buyer = {"product": "C100", "side": "buy", "size": 9, "rate": [0, 300]}
    market = tools.build(mark={"impact": 0.02}, executors=[buyer])
    trace = tools.play(market, 30, tools.constant(market, 0.05, rate=100.0))
    taken = trace["noise_inventory"][..., 0] + trace["executor_inventory"].sum(-1)
    np.testing.assert_allclose(trace["shock"][..., 0], 0.02 * taken, atol=1e-12)
    assert np.abs(trace["shock"]).max() > 0.02
    np.testing.assert_allclose(trace["mid"], trace["price"] + trace["shock"], rtol=1e-14)


def test_price_path_belongs_to_the_seed_unless_there_is_impact(tools):
    def path(impact, half):
        market = tools.build(
            mark={"impact": impact, "shock_loading": 0.1},
            underlying={"volatility": {"model": "log_ar1", "mean": 0.2}},
            flow={"intensity": {"model": "log_ou", "reversion": 2, "volatility": 1}},
        )
        trace = tools.play(market, 20, tools.constant(market, half))
        return [trace[name].copy() for name in ("spot", "log_volatility", "mid", "flow_factor")]

    for one, other in zip(path(0.0, 0.01), path(0.0, 0.2), strict=True):
        np.testing.assert_array_equal(one, other)
    calm, busy = path(0.05, 0.2), path(0.05, 0.01)
    np.testing.assert_array_equal(calm[0], busy[0])  # the impact is on the mark, not on the underlying
    assert np.mean(np.abs(calm[2] - busy[2])[-1] > 0.04) > 0.5  # a lot moves it by 0.05


def test_shocks_have_the_stated_covariance(tools):
    names = [{"name": f"C{k}", "right": "call", "strike": k, "expiry": 63} for k in (95, 100)]
    loading = np.array([[0.3, 0.0], [-0.2, 0.1]])
    market = tools.build(products=names, mark={"shock_loading": loading.tolist()}, flow={"arrival_rate": 0})
    shock = tools.play(market, 20_000)["shock"][-1]
    want = loading @ loading.T  # horizon 1
    np.testing.assert_allclose(np.cov(shock.T), want, atol=tools.z * want.max() * np.sqrt(2 / 20_000))
    profile = {"t": [0.0, 1.0], "value": [0.0, 0.3]}
    market = tools.build(products=names, mark={"shock_loading": profile}, flow={"arrival_rate": 0})
    np.testing.assert_allclose((market.loading()[:, 0, 0] ** 2).mean(), 0.03, rtol=1e-12)  # int (0.3 t)^2 dt
    assert not market.loading()[:, 0, 1].any()


# ---------------------------------------------------------------------------------------------------- starting states


def test_initial_inventories_per_seat_and_drawn(tools):
    market = tools.build(makers={"initial_inventory": [3, -4]}, flow={"arrival_rate": 0})
    trace = tools.play(market, 4)
    assert np.all(trace["maker_inventory"][:, :, :, 0] == [3, -4])
    assert np.all(trace["noise_inventory"][0] == 1)
    drawn = tools.build(makers={"initial_inventory": {"mean": [2, -1], "spread": 3}}, flow={"arrival_rate": 0})
    first = tools.play(drawn, 5000)["maker_inventory"][0, :, :, 0]
    assert np.all(first == np.round(first))
    np.testing.assert_array_equal(first.min(0), [-1, -4])
    np.testing.assert_array_equal(first.max(0), [5, 2])
    for m, mean in enumerate((2, -1)):
        assert abs(tools.z_score(first[:, m], mean)) < tools.z
    assert abs(np.corrcoef(first.T)[0, 1]) * np.sqrt(5000) < tools.z


# ------------------------------------------------------------------------------------- compiled against interpreted


TINY = {
    "clock": {"steps": 2},
    "products": [
        {"name": "C100", "right": "call", "strike": 100, "expiry": 5},
        {"name": "P90", "right": "put", "strike": 90, "expiry": 9, "implied_volatility": 0.3},
    ],
    "underlying": {"volatility": {"model": "log_ar1", "mean": 0.2}},
    "mark": {"shock_loading": 0.1, "impact": 0.01},
    "flow": {"intensity": {"model": "log_ou", "reversion": 2, "volatility": 1}, "informed_share": 0.2},
    "fees": {"maker": 0.001, "taker": 0.002},
    "makers": {"hedging": {"kind": "agent", "cost": 0.001}, "observe": {"rivals": "inventory"}},
    "executors": [{"product": "C100", "size": 20, "rate": [0, 60], "temporary_impact": 0.01, "running_penalty": 0.1}],
}
SCRIPT = """
import json, sys
import numpy as np
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.rollout import seeds_of

def tiny_game(plain):
    game = Game(DealerMarket.model_validate(plain), 2)
    game.reset(seeds_of(3, 2))
    rng, out = np.random.default_rng(0), []
    while not game.done:
        game.step({name: rng.uniform(-1.2, 1.2, view.shape) for name, view in game.action.items()})
        out.append([game.state.tolist(), *(view.tolist() for view in game.observation.values())])
    return out
"""


def test_kernels_agree_with_the_same_code_interpreted():
    here: dict = {}
    exec(SCRIPT, here)
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(root)])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + "print(json.dumps(tiny_game(json.loads(sys.argv[1]))))",
         json.dumps(TINY)],
        capture_output=True, text=True, env=environment, cwd=root, check=True,
    )  # fmt: skip
    for compiled, interpreted in zip(here["tiny_game"](TINY), json.loads(run.stdout), strict=True):
        np.testing.assert_allclose(np.array(compiled[0]), np.array(interpreted[0]), rtol=1e-10, atol=1e-10)
        for role in (1, 2):
            np.testing.assert_allclose(np.array(compiled[role]), np.array(interpreted[role]), rtol=1e-6, atol=1e-6)
