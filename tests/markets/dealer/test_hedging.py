"""Hedging: what is left of a hedged book, its size and its mean, for each kind of hedge.

Statistical tests: two-sided error rate 1e-5 each (z = 4.42), fixed seeds.
"""

import numpy as np
import pytest

from agents.hedged import Band
from agents.makers import AvellanedaStoikov, HJBMaker
from arena.game import Game
from arena.rollout import play, seeds_of
from arena.runs.accounts import attribution
from arena.runs.record import record
from arena.scenario import ScenarioError, load

CHAIN = [
    {"name": "C100", "right": "call", "strike": 100, "expiry": 63},
    {"name": "P100", "right": "put", "strike": 100, "expiry": 63},
]
HELD = {"count": 1, "initial_inventory": 5, "risk": {"kind": "separable"}}


def holding(tools, hedging, steps=50, **parts):
    """A maker who holds 5 lots of each and never trades."""
    makers = {**HELD, "hedging": hedging}
    return tools.build(clock={"steps": steps}, products=CHAIN, flow={"arrival_rate": 0}, makers=makers, **parts)


def gains(trace):
    """Change of wealth over the game [B], from rewards (no penalty is charged here)."""
    return trace.reward["maker"].sum(0)[:, 0]


@pytest.mark.parametrize("volatility", [0.2, 0.5])
def test_perfect_hedge_leaves_nothing_whatever_the_realised_volatility(tools, volatility):
    chain = [{**product, "implied_volatility": 0.2} for product in CHAIN]
    market = holding(tools, {"kind": "perfect"}, underlying={"volatility": {"model": "constant", "value": volatility}})
    market = market.model_copy(update={"products": tools.build(products=chain).products})
    trace = tools.play(market, 500)
    assert np.abs(np.diff(trace["price"], axis=0)).max() > 0.05
    np.testing.assert_allclose(gains(trace), 0, atol=1e-11)


def test_perfect_hedge_makes_wealth_move_by_edge_and_shocks_only(tools):
    for loading in (0.0, 0.3):
        market = tools.build(
            products=CHAIN, mark={"shock_loading": loading}, makers={"risk": {"kind": "separable"}}, flow={"lot": 0.5}
        )
        trace = tools.play(market, 300, tools.constant(market, 0.05, 0.01))
        earned = trace["edge_noise"][-1]
        drift = trace.reward["maker"].sum(0) - earned
        carried = (trace["maker_inventory"][1:] * np.diff(trace["shock"], axis=0)[:, :, None]).sum((0, 3))
        np.testing.assert_allclose(drift, carried, atol=1e-10)
        assert (np.abs(carried).max() > 0.1) == (loading > 0)


@pytest.mark.parametrize("steps", [50, 200])
def test_hedging_in_steps_leaves_the_gamma_and_theta_residual(tools, steps):
    # each step leaves q/2 Gamma S^2 ((dS/S)^2 - sigma^2 dt): mean 0, variance (q Gamma S^2 sigma^2 dt)^2 / 2
    market = holding(tools, {"kind": "costly", "cost": 0}, steps)
    trace = tools.play(market, 8000)
    residual = gains(trace)
    assert abs(tools.z_score(residual, 0.0)) < tools.z
    dollar_gamma = (5 * trace["gamma"][:-1]).sum(-1) * trace["spot"][:-1] ** 2
    expected = (dollar_gamma**2).mean(1).sum() * (0.04 / 252 / steps) ** 2 / 2
    kurtosis = ((residual - residual.mean()) ** 4).mean() / residual.var() ** 2
    spread = np.sqrt((kurtosis - 1) / residual.size)
    assert abs(residual.var() / expected - 1) < tools.z * spread


def test_residual_is_the_squared_return_path_by_path(tools):
    market = holding(tools, {"kind": "costly", "cost": 0}, 200)
    trace = tools.play(market, 500)
    move = (np.diff(trace["spot"], axis=0) / trace["spot"][:-1]) ** 2 - 0.04 / 252 / 200
    dollar_gamma = (5 * trace["gamma"][:-1]).sum(-1) * trace["spot"][:-1] ** 2
    approximation = (0.5 * dollar_gamma * move).sum(0)
    left = gains(trace) - approximation
    assert left.std() < 0.03 * approximation.std()  # third order in dS: sqrt(dt) smaller


def test_wrong_implied_volatility_drifts(tools):
    # hedged at 0.3, realised 0.2: q/2 S^2 Gamma (sigma^2 - implied^2) T, gamma at the implied volatility
    chain = [{**product, "implied_volatility": 0.3} for product in CHAIN]
    market = holding(tools, {"kind": "costly", "cost": 0})
    market = market.model_copy(update={"products": tools.build(products=chain).products})
    trace = tools.play(market, 4000)
    rate = 0.5 * (5 * trace["gamma"][:-1]).sum(-1) * trace["spot"][:-1] ** 2 * (0.04 - 0.09) / 252
    difference = gains(trace) - rate.mean(0)
    assert rate.mean() < -0.05
    assert gains(trace).mean() == pytest.approx(rate.mean(), rel=0.01)
    assert abs(difference.mean()) < 0.01 * abs(rate.mean())


def test_hedge_cost_is_proportional_to_the_value_traded(tools):
    trace = tools.play(holding(tools, {"kind": "costly", "cost": 0.002}), 200)
    free = tools.play(holding(tools, {"kind": "costly", "cost": 0.0}), 200)
    np.testing.assert_array_equal(trace["maker_hedge"], free["maker_hedge"])
    traded = np.abs(np.diff(trace["maker_hedge"][:, :, 0], axis=0)) * trace["spot"][:-1]
    np.testing.assert_allclose(gains(free) - gains(trace), 0.002 * traded.sum(0), atol=1e-10)
    np.testing.assert_allclose(trace["hedge_cost"][-1, :, 0], 0.002 * traded.sum(0), rtol=1e-12)
    np.testing.assert_allclose(trace["fee_cash"][-1], trace["hedge_cost"][-1, :, 0], rtol=1e-12)


def test_agent_hedge_without_offset_is_the_costly_hedge(tools):
    agent = holding(tools, {"kind": "agent", "cost": 0.001, "range": 7})
    assert agent.roles[0].action.names[-1] == "hedge_offset"
    a = tools.play(agent, 50)
    b = tools.play(holding(tools, {"kind": "costly", "cost": 0.001}), 50)
    np.testing.assert_array_equal(a.state, b.state)
    np.testing.assert_array_equal(a.reward["maker"], b.reward["maker"])


def test_offset_is_held_on_top_of_the_delta_and_earns_the_spot(tools):
    agent = holding(tools, {"kind": "agent", "cost": 0.0, "range": 8})

    def act(step, game):
        game.action["maker"][..., -1] = 0.25  # two shares

    offset, neutral = tools.play(agent, 50, act), tools.play(agent, 50)
    np.testing.assert_allclose(offset["maker_hedge"][1:] - neutral["maker_hedge"][1:], 2.0, atol=1e-12)
    earned = 2 * (offset["spot"][-1] - offset["spot"][0])
    np.testing.assert_allclose(gains(offset) - gains(neutral), earned, atol=1e-10)


def test_nothing_hedged_bears_the_delta(tools):
    market = holding(tools, {"kind": "none"})
    trace = tools.play(market, 300)
    value = (trace["mid"] * 5).sum(-1)
    np.testing.assert_allclose(gains(trace), value[-1] - value[0], atol=1e-10)
    assert not trace["maker_hedge"].any()


def test_a_straddle_hedged_or_not_has_the_same_shares_of_put_and_call(tools):
    trace = tools.play(holding(tools, {"kind": "perfect"}), 20)
    expected = -5 * (trace["delta"][..., 0] + trace["delta"][..., 1])
    np.testing.assert_allclose(trace["maker_hedge"][..., 0], expected, atol=1e-12)
    np.testing.assert_allclose(trace["delta"][..., 0] - trace["delta"][..., 1], 1.0, atol=1e-13)


# ------------------------------------------------------------------------------------------------------------- bands


BAND = {"kind": "band", "cost": 0.002, "centre": [-6, 6], "width": [0, 0], "unwind": False}


def test_the_agents_hedge_is_a_band_of_width_zero(tools):
    rng = np.random.default_rng(3)
    offset = rng.uniform(-1, 1, (50, 40, 1))

    def act(step, game):
        game.action["maker"][..., -1] = offset[step]

    agent = tools.play(holding(tools, {"kind": "agent", "cost": 0.002, "range": 6}), 40, act)
    band = holding(tools, BAND)
    assert band.roles[0].action.names[-1] == "hedge_centre"  # a width that cannot vary is no action
    trace = tools.play(band, 40, act)
    np.testing.assert_array_equal(trace.state, agent.state)
    np.testing.assert_array_equal(trace.reward["maker"], agent.reward["maker"])
    assert np.ptp(trace["maker_hedge"]) > 5


def test_nothing_trades_inside_the_band_and_outside_it_only_to_the_nearest_edge(tools):
    market = holding(tools, {"kind": "band", "cost": 0.001, "centre": [-1, 1], "width": [0.5, 0.5], "unwind": True})
    trace = tools.play(market, 200)
    assert market.roles[0].action.names[-1] == "hedge_centre"  # played in its middle, 0
    neutral = -(5 * trace["delta"][:-1]).sum(-1)
    held = np.zeros(200)
    for t in range(50):
        held = np.clip(held, neutral[t] - 0.5, neutral[t] + 0.5)
        if t < 49:
            np.testing.assert_allclose(trace["maker_hedge"][t + 1, :, 0], held, atol=1e-12)
    traded = np.abs(np.diff(trace["maker_hedge"][:-1, :, 0], axis=0))
    assert 0.1 < (traded[1:] == 0).mean() < 0.99
    np.testing.assert_array_equal(trace["maker_hedge"][-1], 0.0)  # and what is left is sold
    last = 0.001 * np.abs(held) * trace["spot"][-1]
    paid = 0.001 * (traded * trace["spot"][:-2]).sum(0)
    step = 0.001 * np.abs(held - trace["maker_hedge"][-2, :, 0]) * trace["spot"][-2]
    np.testing.assert_allclose(trace["hedge_cost"][-1, :, 0], paid + step + last, rtol=1e-9)


@pytest.mark.parametrize("aversion", [0.5, 3.0])
def test_variation_costs_kappa_half_times_the_square_of_each_steps_profit(tools, aversion):
    makers = {"risk": {"kind": "separable", "terminal_penalty": 1e-3}, "initial_inventory": 2}
    hedge = {"kind": "band", "cost": 0.001, "unwind": True}
    plain, averse = (
        tools.build(products=CHAIN, makers={**makers, "hedging": hedge, "variation_aversion": kappa})
        for kappa in (0.0, aversion)
    )
    assert "variation_penalty" not in plain.roles[0].rows.penalties
    assert plain.state.slice("variation_penalty") == slice(plain.state.size, plain.state.size)
    free, dear = (tools.play(market, 30, tools.constant(market, 0.05)) for market in (plain, averse))
    for name in ("maker_cash", "maker_hedge", "hedge_cost", "edge_noise", "terminal_penalty"):
        np.testing.assert_array_equal(free[name], dear[name])
    due = np.diff(dear["variation_penalty"], axis=0)
    np.testing.assert_allclose(dear.reward["maker"], free.reward["maker"] - due, atol=1e-12)
    profit = free.reward["maker"][:-1]  # the last step unwinds besides: see the recount of accounts
    np.testing.assert_allclose(due[:-1], 0.5 * aversion * profit**2, rtol=1e-9, atol=1e-12)
    assert due[:-1].max() > 1e-3


def test_the_penalty_on_variation_stands_in_the_report_outside_the_profit(tools):
    market = load("fang_xu_hedged").market
    act = AvellanedaStoikov(risk_aversion=1, variance_rate=0.01, hedge=Band(width=0.5)).sit(market, "mm_0")
    played = play(Game(market, 32), {"mm_0": act}, seeds_of(1, 32), trace=True)
    parts = attribution(record(market, played.state, {"mm_0": "avellaneda_stoikov"}))["mm_0"]
    varied, terminal = played.last("variation_penalty")[:, 0], played.last("terminal_penalty")[:, 0]
    assert varied.min() > 0
    np.testing.assert_allclose(parts["penalties"], varied + terminal, rtol=1e-9)
    np.testing.assert_allclose(parts["pnl"] - parts["penalties"], played.returns_of("mm_0"), atol=1e-9)


@pytest.mark.parametrize(
    ("quotes", "width", "expected"),
    [  # measured with another simulator, 15 000 games each, +-.007
        (AvellanedaStoikov(risk_aversion=1, variance_rate=0.01), None, 6.163),
        (AvellanedaStoikov(risk_aversion=1, variance_rate=0.01), 0.5, 6.432),
        (HJBMaker(as_if_hedged=True), None, 6.318),
        (HJBMaker(as_if_hedged=True), 0.35, 6.547),
        (HJBMaker(as_if_hedged=True), 0.5, 6.573),
        (HJBMaker(as_if_hedged=True), 0.75, 6.573),
    ],
)
def test_a_hedged_maker_earns_what_an_independent_simulation_earned(quotes, width, expected):
    """4000 games here, so the difference has 1.24 of one sample's standard error; 4.4 of them: 1e-5 per case."""
    market = load("fang_xu_hedged").market
    recipe = quotes if width is None else quotes.model_copy(update={"hedge": Band(width=width)})
    earned = play(Game(market, 4000), {"mm_0": recipe.sit(market, "mm_0")}, seeds_of(21, 4000)).returns_of("mm_0")
    error = np.hypot(earned.std(ddof=1) / np.sqrt(4000), 0.007)
    assert abs(earned.mean() - expected) < 4.42 * error
    assert error < 0.02


def test_bands_that_cannot_be_are_sentences():
    with pytest.raises(ScenarioError, match=r"hedging(\.\w+)*\.width: found \[2, 1\]; allowed is \[low, high\]"):
        load("fang_xu_hedged", ["market.makers.hedging={kind: band, width: [2, 1]}"])
    with pytest.raises(ScenarioError, match=r"width\[?.?0?\]?: found -1; allowed is 0 or more"):
        load("fang_xu_hedged", ["market.makers.hedging={kind: band, width: [-1, 1]}"])
    with pytest.raises(ScenarioError, match=r"variation_aversion: found -1; allowed is 0 or more"):
        load("fang_xu_hedged", ["market.makers.variation_aversion=-1"])
