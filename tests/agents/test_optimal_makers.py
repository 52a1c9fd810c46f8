"""Makers that play solved tables: against the tables, the Gibbs density's moments, and play in the market.

Expected numbers are those of option_making sections 2, 3, 6 and 9.
"""

import numpy as np
import pytest

from agents.optimal_makers import GibbsMaker, HJBMaker, MPEMaker
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.quoting_problem import maker_problem
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.solvers.quoting.gibbs import moments
from arena.solvers.quoting.maker import solve

SINGLE, PAIR, DUEL = (load(name).market for name in ("fang_xu_single", "fang_xu_pair", "option_duel"))


def quotes(market: DealerMarket, recipe: object, time_left: float, noise: np.ndarray | None = None, **books: object):
    """Distances [batch, n, 2] (bid, ask) that a recipe quotes in one state, for each row of noise."""
    role = market.roles[0]
    noise = np.zeros((1, role.action.size)) if noise is None else noise
    seen = np.zeros((len(noise), role.observation.size), np.float32)
    seen[:, role.observation.slice("time_left")] = time_left
    for name, lots in books.items():
        seen[:, role.observation.slice(name)] = lots
    physical = role.action.from_unit(recipe.sit(market, "mm_0")(seen, noise))  # type: ignore[attr-defined]
    half, skew = physical[:, 0 : 2 * market.n : 2], physical[:, 1 : 2 * market.n : 2]
    return np.stack([half - skew, half + skew], axis=-1)


def test_the_optimum_is_the_table_of_each_product() -> None:
    ask = [quotes(SINGLE, HJBMaker(), 1.0, inventory=q)[0, 0, 1] for q in (-5, 0, 5)]
    np.testing.assert_allclose(ask, [0.10694, 0.10063, 0.09432], atol=2e-5)  # there with a limit of 60 lots
    both = quotes(PAIR, HJBMaker(), 0.4, inventory=[5, 0])[0]
    np.testing.assert_allclose(both[0, 1], 0.08722, atol=1e-4)
    np.testing.assert_allclose(both[1], 0.100969, atol=5e-6)  # the other option does not care
    for step, q in ((0, 0), (37, 7), (99, -3)):
        table = solve(maker_problem(PAIR, "mm_0", 1), 100).distance[step, q + 20]
        np.testing.assert_allclose(quotes(PAIR, HJBMaker(), 1 - step / 100, inventory=[1, q])[0, 1], table, atol=1e-12)


@pytest.mark.parametrize("limit", [-20, 20])
def test_at_the_limit_the_live_side_is_still_the_table_s(limit: int) -> None:
    table = solve(maker_problem(SINGLE, "mm_0"), 100).distance[50, limit + 20]
    live = int(limit > 0)
    assert np.isinf(table[1 - live])
    assert quotes(SINGLE, HJBMaker(), 0.5, inventory=limit)[0, 0, live] == pytest.approx(table[live], abs=1e-12)


def test_the_equilibrium_answers_to_both_inventories() -> None:
    """option_making, section 9: ask(0, 0), ask(3, 0), ask(0, 3) at the start."""
    ask = [quotes(DUEL, MPEMaker(), 1.0, inventory=own, maker_inventory=rival)[0, 0, 1]
           for own, rival in ((0, 0), (3, 0), (0, 3))]  # fmt: skip
    np.testing.assert_allclose(ask, [0.03404, 0.03171, 0.03141], atol=5e-6)


def test_the_exploratory_policy_draws_from_its_density() -> None:
    """Mean and standard deviation of 4 000 draws against quadrature: 5 standard errors, error rate below 1e-5."""
    gamma, count = 0.2, 4000
    maker = maker_problem(SINGLE, "mm_0", temperature=gamma)
    value = solve(maker, 100).value[60]
    noise = np.random.default_rng(0).standard_normal((count, 2))
    drawn = quotes(SINGLE, GibbsMaker(temperature=gamma), 0.4, noise, inventory=4)[:, 0]
    for side, move in ((0, 1), (1, -1)):
        law = moments(value[24 + move] - value[24], 100.0, 10.0, 0.0, 0.8, gamma)
        assert abs(drawn[:, side].mean() - law.mean) < 5 * law.std / np.sqrt(count)
        assert abs(drawn[:, side].std() / law.std - 1) < 5 / np.sqrt(count)  # its tail is lighter than a normal one
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 5 / np.sqrt(count)  # the two sides are drawn apart
    again = quotes(SINGLE, GibbsMaker(temperature=gamma), 0.4, noise, inventory=4)[:, 0]
    np.testing.assert_array_equal(drawn, again)


def test_the_mode_is_the_best_quote_of_its_own_value() -> None:
    maker = maker_problem(SINGLE, "mm_0", temperature=0.2)
    value = solve(maker, 100).value[30]
    shown = quotes(SINGLE, GibbsMaker(temperature=0.2, explore=False), 0.7, inventory=-6)[0, 0]
    np.testing.assert_allclose(shown, [0.1 - (value[15] - value[14]), 0.1 - (value[13] - value[14])], atol=1e-9)
    cold = quotes(SINGLE, GibbsMaker(temperature=1e-4, explore=False), 0.7, inventory=-6)[0, 0]
    np.testing.assert_allclose(cold, quotes(SINGLE, HJBMaker(), 0.7, inventory=-6)[0, 0], atol=1e-4)


def test_exploring_costs_what_the_specification_measured() -> None:
    """Section 3: 2.9 % of the value at gamma = .2, 8.6 % at .5; 10 000 paired games, 5 standard errors."""
    game, seeds = Game(SINGLE, 10_000), seeds_of(4, 10_000)
    best = play(game, {"mm_0": HJBMaker().sit(SINGLE, "mm_0")}, seeds).returns_of("mm_0")
    for gamma, value in ((0.2, 7.0173), (0.5, 6.6050)):
        act = GibbsMaker(temperature=gamma).sit(SINGLE, "mm_0")
        loss = best - play(game, {"mm_0": act}, seeds).returns_of("mm_0")
        error = 5 * loss.std() / np.sqrt(loss.size) + 0.02  # a draw per step instead of one per potential fill: O(dt)
        assert abs(loss.mean() - (7.2294 - value)) < error


@pytest.mark.parametrize(
    ("name", "recipe", "sentence"),
    [
        ("two_mm_one_trader", HJBMaker(), "market.executors: found 1; allowed is none"),
        ("toxic_flow", GibbsMaker(), "allowed is flow that neither knows nor moves the mid"),
        ("fang_xu_single", MPEMaker(), "mpe_maker needs to see maker_inventory"),
        ("two_mm_one_trader", MPEMaker(), "mpe_maker needs to see maker_inventory"),
    ],
)
def test_no_answer_is_a_sentence(name: str, recipe: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        recipe.sit(load(name).market, "mm_0")  # type: ignore[attr-defined]


def test_a_duel_of_unequal_makers_has_no_table() -> None:
    risk = "market.makers.risk={kind: quadratic, terminal_penalty: [0.01, 0.02]}"
    with pytest.raises(ValueError, match="allowed is a duel of two equal makers"):
        MPEMaker().sit(load("option_duel", [risk]).market, "mm_0")


def test_who_cannot_see_its_inventory_cannot_play_a_table() -> None:
    hidden = load("fang_xu_single", ["market.makers.observe={own: false, rivals: none}"]).market
    with pytest.raises(ValueError, match="hjb_maker needs to see inventory"):
        HJBMaker().sit(hidden, "mm_0")


def test_outside_its_theory_the_optimum_quotes_only_when_it_is_asked_to_as_if_hedged() -> None:
    hedged = load("fang_xu_hedged").market
    with pytest.raises(ValueError, match=r"market\.makers\.hedging: found band; allowed is perfect"):
        HJBMaker().sit(hedged, "mm_0")
    averse = load("fang_xu_single", ["market.makers.variation_aversion=0.5"]).market
    with pytest.raises(ValueError, match=r"variation_aversion: found 0\.5; allowed is 0"):
        HJBMaker().sit(averse, "mm_0")
    perfect = load("fang_xu_single", ["market.mark.shock_loading=0.1"]).market  # what theory knows of it
    for left, lots in ((1.0, 0.0), (0.3, 6.0), (0.01, -3.0)):
        known = quotes(perfect, HJBMaker(), left, inventory=lots)
        np.testing.assert_allclose(quotes(hedged, HJBMaker(as_if_hedged=True), left, inventory=lots), known, atol=1e-12)
    assert "as_if_hedged" not in HJBMaker().model_dump()
