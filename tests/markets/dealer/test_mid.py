"""A market without makers: the execution game of Guo & Jin, section 2, in steps.

Expected numbers: the solver of the discrete game (itself tested against the spec's printed values), and the objective
-sum h v (mean price) + S_T Q_T - penalties written out here.
"""

import numpy as np
import pytest

from arena.markets.dealer.measures import accounts as metrics
from arena.runs.accounts import attribution
from arena.runs.record import record
from arena.solvers.execution.game import execution_game
from arena.solvers.execution.steps import discrete_feedback_nash

SELLER = {
    "product": "stock", "side": "sell", "rate": [-90, 90], "temporary_impact": 0.05, "cross_impact": 1.0,
    "running_penalty": 0.4, "terminal_penalty": 4.0, "stop_at_target": False,
}  # fmt: skip
NOISE = {"noise_sell": 4.0, "noise_buy": {"t": [0, 1], "value": [0, 20]}}


def market_of(tools, *executors, steps=80, impact=0.1, rate=0.0, **parts):
    plain = {
        "clock": {"steps": steps},
        "underlying": {"spot": 100, "volatility": {"model": "constant", "value": 0}},
        "products": [{"name": "stock", "right": "asset"}],
        "mark": {"impact": impact},
        "flow": {"orders": "fluid", "arrival_rate": rate},
        "makers": {"count": 0},
        "executors": executors,
        "executors_observe": {"rivals": "inventory"},
    }
    return tools.build(**{**plain, **parts})


def e2(tools, **parts):
    """Case E2: two sellers of 10 and 2, phi 0.4, A 4, alpha 0.2 and beta 0.1 shared by both."""
    return market_of(tools, {**SELLER, "size": 10}, {**SELLER, "size": 2}, **parts)


def test_the_solvers_feedback_earns_the_solvers_values_in_play(tools):
    market, steps = e2(tools), 80
    game = execution_game(
        [10, 2], horizon=1, temporary_impact=0.1, permanent_impact=0.2, running_penalty=0.4, terminal_penalty=4
    )
    nash = discrete_feedback_nash(game, steps, "exact")

    def act(k, table):
        state = [*-table.view("remaining")[0], table.view("mid")[0, 0] - 100.0, 1.0]
        rate = nash.gain[k] @ np.array(state)
        table.action["executor"][...] = market.role("executor").action.to_unit(-rate[:, None])

    trace = tools.play(market, 3, act)
    np.testing.assert_allclose(trace.reward["executor"].sum(0), np.tile(nash.objectives, (3, 1)), rtol=1e-12)
    np.testing.assert_allclose(-trace["remaining"][:, 0], nash.inventory, atol=1e-11)
    np.testing.assert_allclose(nash.objectives, [-21.3897, -3.2192], atol=1e-3)  # spec 10.3, continuous time


def test_any_rates_earn_the_written_out_objective(tools):
    # three traders, one of whom buys; noise moves the mid too; rates of either sign
    q0, steps, impact = np.array([6.0, 3.0, -4.0]), 25, 0.08
    beta, phi, terminal, cross = np.array([0.05, 0.1, 0.2]), np.array([0.3, 0.1, 0.2]), np.array([4.0, 2.0, 1.0]), 0.7
    seats = [
        {**SELLER, "side": "sell" if q > 0 else "buy", "size": abs(q), "temporary_impact": b, "cross_impact": cross,
         "running_penalty": p, "terminal_penalty": a}
        for q, b, p, a in zip(q0, beta, phi, terminal, strict=True)
    ]  # fmt: skip
    market = market_of(tools, *seats, steps=steps, impact=impact, rate=NOISE)
    rates = np.random.default_rng(3).uniform(-40, 40, (steps, 3))
    way = -np.sign(q0)

    def act(k, table):
        table.action["executor"][...] = market.role("executor").action.to_unit((rates[k] * way)[:, None])

    trace = tools.play(market, 2, act)
    h, price, q, earned = 1 / steps, 0.0, q0.copy(), np.zeros(3)
    for k, v in enumerate(rates):
        net = 20 * (k + 0.5) * h - 4.0
        move = impact * h * (v.sum() + net)
        others = (v.sum() - v) / 2
        new = q + h * v
        earned -= h * v * (price + move / 2 + beta * (v + cross * others))
        earned -= phi * h * (q * q + q * new + new * new) / 3
        price, q = price + move, new
    earned += price * q - terminal * q * q
    np.testing.assert_allclose(trace.reward["executor"].sum(0)[0], earned, rtol=1e-10)
    np.testing.assert_allclose(trace["mid"][-1, :, 0] - 100, price, rtol=1e-12)
    np.testing.assert_allclose(-trace["remaining"][-1, 0], q, rtol=1e-12)


def test_accounts_close_and_attribution_adds_up(tools):
    market = e2(tools, steps=20, rate=NOISE, fees={"taker": 0.01}, mark={"impact": 0.1, "shock_loading": 0.5})
    drawn = np.random.default_rng(4).uniform(-1, 1, (20, 50, 2, 1))

    def act(k, table):
        table.action["executor"][...] = drawn[k]

    trace = tools.play(market, 50, act)
    contracts = trace["executor_inventory"].sum(2) + trace["noise_inventory"][..., 0]
    np.testing.assert_allclose(contracts, 0, atol=1e-12)
    pots = ("noise_cash", "fee_cash", "impact_cash")
    everything = trace["executor_cash"].sum(2) + sum(trace[pot] for pot in pots)
    np.testing.assert_allclose(everything, 0, atol=1e-8)
    assert not trace["leak_cash"].any()
    assert trace["fee_cash"][-1].min() > 0
    played = record(market, trace.state, {})
    for seat, parts in attribution(played).items():
        made = parts["inventory"] + parts["spread"] + parts["impact"] + parts["fees"]
        np.testing.assert_allclose(made, parts["pnl"], atol=1e-9, err_msg=seat)
    objective = np.stack(list(metrics.objective(played).values()), axis=-1)
    np.testing.assert_allclose(objective, trace.reward["executor"].sum(0), atol=1e-8)
    accounts, paid = metrics.transfers(played)
    assert accounts[:2] == ("trader_0", "trader_1")
    np.testing.assert_allclose(paid[-1].sum(0), 0, atol=1e-8)  # marks cancel: contracts are in zero supply


def test_the_martingale_part_of_the_mid_stays_out_of_the_reward(tools):
    still, moving = (e2(tools, steps=10, mark={"impact": 0.1, "shock_loading": loading}) for loading in (0.0, 3.0))
    a, b = tools.play(still, 20), tools.play(moving, 20)
    assert np.abs(a["mid"] - b["mid"]).max() > 1
    np.testing.assert_allclose(a.reward["executor"], b.reward["executor"], rtol=1e-12)


@pytest.mark.parametrize("rivals", ["none", "quotes", "inventory"])
def test_traders_see_themselves_and_each_other(tools, rivals):
    market = e2(tools, executors_observe={"rivals": rivals})
    (role,) = market.roles
    names = {name.split("[")[0] for name in role.observation.names}
    assert ("trader_remaining" in names) == (rivals == "inventory")
    assert not names & {"best_distance", "maker_inventory"}
    trace = tools.play(market, 2)
    assert np.isfinite(trace.state).all()


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"executors": []}, r"makers\.count: found 0 and no executors; allowed is at least 1"),
        ({"flow": {"arrival_rate": 1}}, r"flow\.orders: found 'poisson'; allowed is 'fluid'"),
        ({"flow": {"orders": "fluid", "informed_share": 0.2}}, r"flow\.informed_share: found 0\.2; allowed is 0"),
        ({"makers": {"count": 2}}, r"executors\[1\]\.rate: found -90; allowed is at least 0 where makers quote"),
        ({"executors": [{**SELLER, "size": 1, "cross_impact": 2.5}] * 4},
         r"executors\[3\]\.cross_impact: found 2\.5; allowed is below 2, or 3 \(every rate counts alike\)"),
    ],
)  # fmt: skip
def test_what_such_a_market_cannot_be(tools, parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        e2(tools, **parts)


def test_everybodys_impact_alike_is_allowed_for_many_traders(tools):
    market = market_of(tools, *[{**SELLER, "size": 1, "cross_impact": 3}] * 4)
    assert len(market.executors) == 4
