"""Markets read as solved games: the market's own step against the solvers' step, and who is refused and why."""

import numpy as np
import pytest

from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import execution_game_of, makers_traders_of, population_of, solve
from arena.rollout import seeds_of
from arena.scenario import load
from arena.solvers.makers_traders import deviations
from arena.solvers.makers_traders.open_loop import solve_makers_traders

FLUID = {"arrival_rate": {"noise_buy": 3, "noise_sell": 2}, "orders": "fluid"}
RELATIVE, LOGISTIC = {"kind": "relative", "fill_decay": 1}, {"kind": "logistic", "sharpness": 1}
BUYER = {
    "product": "stock", "side": "buy", "size": 10, "rate": [0, 40], "temporary_impact": 0.2, "running_penalty": 0.1,
    "terminal_penalty": 0.5, "price": "best", "stop_at_target": False,
}  # fmt: skip
MAKERS = {
    "count": 2, "inventory_limit": None, "half_spread": [0, 8], "skew": [-8, 8], "min_distance": -20,
    "max_distance": 20, "initial_inventory": [4, 1], "hedging": {"kind": "none"}, "observe": {"rivals": "none"},
    "risk": {"kind": "quadratic", "running_penalty": 0.1, "terminal_penalty": 0.5},
}  # fmt: skip


def market_of(**parts) -> DealerMarket:
    plain = {
        "clock": {"steps": 20},
        "underlying": {"spot": 100, "volatility": {"model": "constant", "value": 0}},
        "products": [{"name": "stock", "right": "asset"}],
        "flow": {**FLUID, "rule": LOGISTIC},
        "makers": MAKERS,
        "executors": [BUYER],
        "executors_observe": {"rivals": "none"},
    }
    return DealerMarket.model_validate({**plain, **parts})


def crowd(rule, price):
    """Three makers, two buyers and a seller who differ in their penalties, everything changing with time, omega 0.5."""
    seat = {**BUYER, "temporary_impact": "0.2 + 0.1*t", "cross_impact": 0.5, "price": price}
    risk = {"kind": "quadratic", "running_penalty": [0.1, "0.2 + 0.1*t", 0.3], "terminal_penalty": [0.5, 0.6, 0.4]}
    table = {"t": [0, 0.5, 1], "value": [2, 1, 3]}
    return market_of(
        flow={"rule": rule, "orders": "fluid", "arrival_rate": {"noise_buy": "3 + 2*sin(5*t)", "noise_sell": table}},
        makers={**MAKERS, "count": 3, "initial_inventory": [4, 1, -2], "risk": risk},
        executors=[
            {**seat, "running_penalty": 0.1},
            {**seat, "size": 3, "running_penalty": table, "terminal_penalty": 2},
            {**seat, "side": "sell", "size": 5, "terminal_penalty": 3},
        ],
    )


MARKETS = {
    "A1": lambda: market_of(flow={**FLUID, "rule": RELATIVE}),
    "L1": market_of,
    "relative crowd": lambda: crowd(RELATIVE, "best"),
    "logistic crowd": lambda: crowd({"kind": "logistic", "sharpness": 1.5, "offsets": [0, 0.5, -0.5]}, "best"),
    "logistic crowd, vwap": lambda: crowd(LOGISTIC, "vwap"),
}


def played(market, ask, bid, rate):
    """Inventories [T+1, M+N] and returns [M+N] of one game under given distances [T, M] and signed rates [T, N]."""
    game = Game(market, 1)
    game.reset(seeds_of(1, 1))
    makers, traders = market.role("maker").action, market.role("executor").action
    towards = np.array([1.0 if one.side == "buy" else -1.0 for one in market.executors])
    held, total = [], 0.0
    for k in range(game.steps):
        held.append(np.concatenate([game.view("maker_inventory")[0, :, 0], -game.view("remaining")[0]]))
        quotes = np.stack([(ask[k] + bid[k]) / 2, (ask[k] - bid[k]) / 2], axis=-1)
        game.action["maker"][0] = makers.to_unit(quotes)
        game.action["executor"][0] = traders.to_unit((rate[k] * towards)[:, None])
        reward = game.advance()
        total = total + np.concatenate([reward["maker"][0], reward["executor"][0]])
    held.append(np.concatenate([game.view("maker_inventory")[0, :, 0], -game.view("remaining")[0]]))
    return np.array(held), total, game


@pytest.mark.parametrize("name", MARKETS)
def test_the_markets_step_is_the_solvers_step(name):
    market = MARKETS[name]()
    game, steps, rng = makers_traders_of(market), market.clock.steps, np.random.default_rng(5)
    ask, bid = rng.uniform(0.5, 4, (2, steps, game.makers))
    rate = rng.uniform(0.1, 9, (steps, game.traders)) * game.direction
    inventory, worth = deviations.play(game, deviations.Profile(ask, bid, rate))
    held, total, table = played(market, ask, bid, rate)
    np.testing.assert_allclose(held, inventory, atol=1e-9)
    np.testing.assert_allclose(total, worth, rtol=1e-9, atol=1e-9)
    bought = held[-1] - held[0]
    inflow = game.horizon * (market.arrival_rates()[:, 0, 0].mean() - market.arrival_rates()[:, 0, 1].mean())
    defect = bought.sum() - inflow
    assert (abs(defect) < 1e-9) == ("logistic" in market.flow.rule.kind)  # the relative rule does not clear
    np.testing.assert_allclose(table.view("noise_inventory")[0, 0] + held[-1].sum() - held[0, game.makers :].sum(), 0,
                               atol=1e-9)  # and what it leaves open stands on the noise account  # fmt: skip


def test_logistic_flow_clears_in_lots_too():
    market = market_of(flow={**FLUID, "rule": LOGISTIC, "orders": "poisson", "lot": 0.25})
    game = Game(market, 50)
    game.reset(seeds_of(3, 50))
    for view in game.action.values():
        view[...] = 0.1
    while not game.done:
        game.advance()
    makers, bought = game.view("maker_inventory")[:, :, 0], game.view("executor_inventory")
    arrived = game.view("arrived")[:, 0]
    assert arrived.min() > 0
    wanted = game.view("unfilled_executor") + bought
    assert wanted.min() >= 0
    np.testing.assert_allclose(makers.sum(1) - 5.0, arrived[:, 0] - arrived[:, 1] - bought[:, 0], atol=1e-9)


def test_the_printed_cases_are_found():
    """Section 9 of Guo & Jin's worked-out form: A1, L1, E2."""
    a1, l1, e2 = (solve(load(name).market) for name in ("acas", "logistic_duel", "execution_game"))
    np.testing.assert_allclose(a1.objectives, [28.45300, 17.70321, -44.23171], rtol=1e-6)
    np.testing.assert_allclose(a1.stack("ask")[:, 0], [4.144356, 4.443975], rtol=1e-6)
    np.testing.assert_allclose(l1.objectives, [14.51038, 11.11608, -36.21913], rtol=1e-6)
    np.testing.assert_allclose(e2.objectives, [-21.37969, -3.227528], rtol=1e-6)
    np.testing.assert_allclose(e2.stack("rate")[:, 0], [-28.74355, -3.742275], rtol=1e-6)
    assert [player.name for player in a1.players] == ["mm_0", "mm_1", "trader_0"]
    assert solve(load("noise_factor").market).theorem.startswith("Theorem 5.4 (open-loop Nash, at zero")
    assert l1.diagnostics["start"] == "the mean of the drawn inventories"


def test_many_traders_are_in_the_populations_equilibrium():
    """The finite game, solved as such, against Proposition 4.5 scaled: two routes to the same paths."""
    market = load("mean_field").market
    population, found = population_of(market), solve(market)
    np.testing.assert_allclose(population.inventory, [-13, -11, -10, -9, -7])
    direct = solve_makers_traders(makers_traders_of(market), found.t)
    np.testing.assert_allclose(found.objectives[:7], direct.objectives, rtol=1e-8)
    for name in ("ask", "bid", "inventory"):
        np.testing.assert_allclose(found.stack(name)[:2], direct.stack(name)[:2], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.stack("rate")[:5], direct.stack("rate"), rtol=1e-7)
    np.testing.assert_allclose(found.stack("rate")[:5].sum(0), found.stack("rate")[5], rtol=1e-9)
    assert found.model == "mean_field"
    uneven = market.executors[0].model_copy(update={"terminal_penalty": 9.0})
    assert population_of(market.model_copy(update={"executors": (uneven, *market.executors[1:])})) is None


def test_an_execution_game_keeps_its_parameters():
    seat = {**BUYER, "rate": [-40, 40], "temporary_impact": "0.1 + 0.1*t"}
    seats = [{**seat, "cross_impact": 2, "side": side, "size": 4} for side in ("buy", "sell", "buy")]
    parts = {"makers": {"count": 0}, "mark": {"impact": "0.2 - 0.1*t"}, "flow": FLUID}
    game, t = execution_game_of(market_of(**parts, executors=seats)), np.array([0.0, 0.5])
    np.testing.assert_array_equal(game.inventory, [-4, 4, -4])
    np.testing.assert_allclose(game.permanent(t), [0.6, 0.45])
    np.testing.assert_allclose(game.temporary(t), [0.3, 0.45])
    np.testing.assert_allclose([game.noise_buy.at(0.3), game.noise_sell.at(0.3)], [1.0, 2 / 3])
    assert game.cross_impact is None
    apart = execution_game_of(market_of(**parts, executors=[{**one, "cross_impact": 0.7} for one in seats]))
    assert apart.cross_impact == 0.7
    np.testing.assert_allclose(apart.temporary(t), [0.1, 0.15])


def test_ranges_that_the_path_leaves_are_conditions_that_fail():
    narrow = market_of(makers={**MAKERS, "skew": [-1, 1], "inventory_limit": 4.5}, executors=[{**BUYER, "size": 10}])
    found = solve(narrow)
    assert not found.condition("market: skews in their range").holds
    assert found.condition("market: half-spreads in their range").holds
    assert found.condition("market: inventories within the limit").holds
    stopping = solve(market_of(executors=[{**BUYER, "stop_at_target": True}]))
    assert stopping.condition("market: trader_0 stops at its target").holds


NONE = {"count": 0}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"products": [{"name": "stock", "right": "call", "strike": 100, "expiry": 63}]}, "it quotes stock"),
        ({"fees": {"taker": 0.1}}, "fees are 0 and 0.1"),
        ({"flow": {**FLUID, "rule": {"kind": "soft_best", "fill_decay": 1, "sharpness": 2}}}, "is 'soft_best'; solved"),
        ({"flow": {**FLUID, "rule": RELATIVE, "orders": "poisson"}}, "'relative' is solved in fluid flow"),
        ({"flow": {**FLUID, "rule": LOGISTIC, "informed_share": 0.1}}, "flow.informed_share is 0.1"),
        ({"mark": {"impact": 0.1}}, "mark.impact is 0.1"),
        ({"makers": {**MAKERS, "count": 1, "initial_inventory": 0}}, "it has one maker"),
        ({"makers": {**MAKERS, "risk": {"kind": "separable"}}}, "makers.risk is 'separable'"),
        ({"makers": {**MAKERS, "hedging": {"kind": "costly"}}}, "makers.hedging is 'costly'"),
        ({"makers": {**MAKERS, "variation_aversion": 0.5}}, "makers.variation_aversion is 0.5; solved is 0"),
        ({"executors": [{**BUYER, "side": "coin"}]}, "executors[0].side is 'coin'"),
        ({"executors": [{**BUYER, "temporary_impact": 0}]}, "executors[0].temporary_impact is 0"),
        ({"executors": [BUYER, {**BUYER, "temporary_impact": 1}]}, "executors differ in temporary_impact (0.2, 1.0)"),
        ({"flow": {**FLUID, "rule": RELATIVE}, "executors": [{**BUYER, "price": "vwap"}]}, "executors pay 'vwap'"),
        ({"flow": {**FLUID, "rule": LOGISTIC, "intensity": {"model": "log_ou", "reversion": 1, "volatility": 1}},
          "executors": [BUYER, BUYER]}, "its noise factor is random; solved are two makers with one trader"),
        ({"makers": NONE, "flow": {**FLUID, "intensity": {"model": "log_ou", "reversion": 1, "volatility": 1}}},
         "its noise factor is random and multiplies the flow"),
    ],
)  # fmt: skip
def test_a_market_without_a_known_equilibrium_is_told_why(parts, why):
    found = solve(market_of(**parts))
    assert isinstance(found, str)
    assert found.startswith("no equilibrium is known for this market: ")
    assert why in found
    assert "\n" not in found


def test_a_solvers_own_sentence_is_passed_on():
    found = solve(market_of(flow={**FLUID, "rule": RELATIVE}), "feedback")
    assert found.startswith("the solver finds no feedback equilibrium: feedback equilibria need shares that sum to one")
    assert "two makers with one trader" in solve(crowd(LOGISTIC, "best"), "feedback")
    poisson = solve(market_of(flow={**FLUID, "rule": LOGISTIC, "orders": "poisson", "lot": 0.25}))
    assert poisson.theorem.startswith("none: orders come in lots of 0.25; of the same game in fluid flow: Theorem 5.4")


def test_closed_forms_are_met_by_markets_with_few_players():
    """Section 9: E1 (Almgren-Chriss with permanent impact), M1 and M2 (makers alone), L3."""
    one = {**BUYER, "side": "sell", "rate": [-60, 60], "running_penalty": 0.5, "terminal_penalty": 5}
    quiet = {"makers": {"count": 0}, "mark": {"impact": 0.3}, "flow": {"orders": "fluid", "arrival_rate": 0}}
    e1 = solve(market_of(**quiet, executors=[one]))
    np.testing.assert_allclose(e1.objectives, [-49.06281], rtol=1e-6)
    np.testing.assert_allclose(e1.stack("inventory")[0, 50], 3.860297, rtol=1e-6)
    even = {"orders": "fluid", "arrival_rate": 3}
    flat = {**MAKERS, "initial_inventory": 0}
    m1 = solve(market_of(flow={**even, "rule": {**RELATIVE, "fill_decay": 2}}, makers=flat, executors=[]))
    np.testing.assert_allclose(m1.stack("ask"), 0.5, rtol=1e-9)
    np.testing.assert_allclose(m1.objectives, [3, 3], rtol=1e-9)
    m2 = solve(market_of(flow={**FLUID, "rule": RELATIVE}, makers={**MAKERS, "initial_inventory": 2}, executors=[]))
    np.testing.assert_allclose([m2.stack("ask")[0, 0], m2.stack("bid")[0, 0]], [-0.3, 2.3], rtol=1e-6)
    np.testing.assert_allclose(m2.objectives, [3.133333] * 2, rtol=1e-6)
    l3 = solve(market_of(flow={**even, "rule": {**LOGISTIC, "sharpness": 2}}, makers=flat, executors=[]))
    np.testing.assert_allclose(l3.stack("bid"), 1.0, rtol=1e-9)
    np.testing.assert_allclose(l3.objectives, [3, 3], rtol=1e-9)


def test_a_crowd_whose_coefficients_all_change_is_solved_and_clears():
    for rule in (RELATIVE, LOGISTIC):
        found = solve(crowd(rule, "best"))
        assert [len(found.stack(name)) for name in ("ask", "rate", "inventory")] == [3, 3, 6]
        assert (found.diagnostics["clearing_defect"] < 1e-9) == (rule is LOGISTIC)
        assert np.all(found.stack("rate")[:2] >= 0)
        assert np.all(found.stack("rate")[2] <= 0)
