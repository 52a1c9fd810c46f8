"""Two makers under soft_best: responses against grid search, published-spec values, reductions and convergence.

Expected numbers without another source are those of option_making sections 8 and 9 (FX1 flow, kappa = 50, |q| <= 12).
"""

import math

import numpy as np
import pytest

from arena.solvers.options.closed_form import avellaneda_stoikov
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting import soft_best
from arena.solvers.quoting.duel import (
    Duel,
    best_response,
    equilibrium,
    evaluate,
    iterated_best_response,
    joint_profit,
    time_policy,
)
from arena.solvers.quoting.maker import Maker, solve

COST = 5e-4 * OptionModel(100, 100, 63, 0.2 / math.sqrt(252)).second_moment(1.0)


def duel(**changes) -> Duel:
    base = {"arrival_rate": 100.0, "fill_decay": 10.0, "sharpness": 50.0, "horizon": 1.0, "inventory_limit": 12}
    return Duel(**{**base, "terminal_cost": COST, **changes})


def benchmark(game: Duel, steps: int) -> np.ndarray:
    """Section 7's Avellaneda-Stoikov maker: risk aversion 1/$, gs2 = .01, floored at 0."""
    q = np.arange(-game.inventory_limit, game.inventory_limit + 1)
    left = 1.0 - np.linspace(0, 1, steps + 1)
    return time_policy(game, avellaneda_stoikov(q[None], left[:, None], 10.0, 1.0, 0.01))


# ------------------------------------------------------------------------------------------------------------- one side


def test_flow_is_split_and_scaled():
    k, kappa = 10.0, 50.0
    own, rival = soft_best.flow_kernel(0.03, 0.03, 100.0, k, kappa)
    assert own == rival == pytest.approx(50 * math.exp(-0.3))  # equal quotes: A e^{-k delta} / M
    own, rival = soft_best.flow_kernel(0.03, 0.05, 100.0, k, kappa)
    assert own / rival == pytest.approx(math.exp(50 * 0.02))
    assert own + rival == pytest.approx(100 * (0.5 * (math.exp(-1.5) + math.exp(-2.5))) ** 0.2)
    assert soft_best.flow_kernel(0.03, math.inf, 100.0, k, kappa) == pytest.approx((100 * math.exp(-0.3) * 0.5**0.2, 0))
    assert soft_best.flow_kernel(math.inf, math.inf, 100.0, k, kappa) == (0.0, 0.0)


def test_an_infinite_sharpness_gives_all_to_the_best():
    own, rival = soft_best.flow_kernel(0.03, 0.031, 100.0, 10.0, 1e6)
    assert own == pytest.approx(100 * math.exp(-0.3), rel=1e-4)
    assert rival == 0.0
    assert soft_best.flow_kernel(0.03, 0.03, 100.0, 10.0, 1e6)[0] == pytest.approx(50 * math.exp(-0.3))


def test_equal_sharpness_and_decay_are_independent_makers():
    for rival in (0.0, 0.1, math.inf):
        assert soft_best.flow_kernel(0.04, rival, 100.0, 10.0, 10.0)[0] == pytest.approx(50 * math.exp(-0.4))


def test_the_response_beats_every_distance_of_a_fine_grid():
    rng, k, kappa = np.random.default_rng(3), 10.0, 50.0
    grid, two_humps = np.linspace(0, 1.5, 30_001), 0
    for _ in range(300):
        rival, a = rng.uniform(0, 0.3), rng.uniform(-0.3, 0.3)
        b = rng.choice([rng.uniform(-0.1, 0.1), rng.uniform(0.1, 2.0)])
        best = soft_best.respond_kernel(rival, a, b, 0.0, 1.5, k, kappa)
        weights = np.stack([np.exp(-kappa * grid), np.full(grid.size, math.exp(-kappa * rival))])
        total = (0.5 * weights.sum(0)) ** (k / kappa)
        worth = total * (weights[0] * (grid + a) + weights[1] * b) / weights.sum(0)
        own, other = soft_best.flow_kernel(best, rival, 1.0, k, kappa)
        assert own * (best + a) + other * b >= worth.max() - 1e-13
        assert own * (best + a) + other * b <= worth.max() + 1e-6
        two_humps += ((np.diff(np.sign(np.diff(worth))) < 0).sum() > 1).item()
    assert two_humps > 5  # the case that one Newton search would miss is among the draws


def test_equilibrium_distances_answer_each_other():
    rng = np.random.default_rng(5)
    for _ in range(200):
        a1, a2 = rng.uniform(-0.15, 0.15, 2)
        b1, b2 = rng.uniform(-0.2, 0.1, 2)
        d1, d2 = soft_best.equilibrium_kernel(a1, b1, a2, b2, 0.0, 0.5, 10.0, 50.0)
        assert d1 == pytest.approx(soft_best.respond_kernel(d2, a1, b1, 0.0, 0.5, 10.0, 50.0), abs=1e-11)
        assert d2 == pytest.approx(soft_best.respond_kernel(d1, a2, b2, 0.0, 0.5, 10.0, 50.0), abs=1e-11)
    assert soft_best.equilibrium_kernel(0, 0, 0, 0, 0, 1, 10.0, 50.0) == pytest.approx((1 / 30, 1 / 30), abs=1e-14)


def test_cartel_distances_beat_a_grid():
    rng, grid = np.random.default_rng(6), np.linspace(0, 0.6, 401)
    one, two = np.meshgrid(grid, grid, indexing="ij")
    for _ in range(20):
        a1, a2 = rng.uniform(-0.2, 0.25, 2)
        d1, d2 = soft_best.cartel_kernel(a1, a2, 0.0, 0.6, 10.0, 50.0)
        x, y = np.exp(-50 * one), np.exp(-50 * two)
        worth = (0.5 * (x + y)) ** 0.2 * (x * (one + a1) + y * (two + a2)) / (x + y)
        own, other = soft_best.flow_kernel(d1, d2, 1.0, 10.0, 50.0)
        assert own * (d1 + a1) + other * (d2 + a2) >= worth.max() - 1e-12


# ------------------------------------------------------------------------------------------------------------- the duel


def test_avellaneda_stoikov_and_its_best_response():
    game = duel()
    rule = benchmark(game, 100)
    answer = best_response(game, rule)
    assert evaluate(game, rule, rule).start == pytest.approx(3.541, abs=5e-4)
    assert answer.start == pytest.approx(4.9706, abs=5e-5)
    assert evaluate(game, answer.distance, rule).start == pytest.approx(answer.start, abs=2e-6)
    assert evaluate(game, rule, answer.distance).start == pytest.approx(1.382, abs=5e-4)


def test_markov_perfect_equilibrium():
    game = duel()
    found = equilibrium(game, steps=200)
    assert found.start == pytest.approx(2.35999, abs=5e-6)
    np.testing.assert_allclose(found.distance[0, [12, 15, 12], [12, 12, 15], 1], [0.03404, 0.03171, 0.03141], atol=5e-6)
    gain = best_response(game, found.distance).start - found.start
    assert 0 <= gain < 1e-4  # what interpolating the table in time costs: second order, see the next test
    # section 8 prints 3.937 without naming its steps; the continuous-time value is 3.9393
    assert evaluate(game, found.distance, benchmark(game, 200)).start == pytest.approx(3.9393, abs=5e-4)


def test_exploitability_of_the_tabulated_equilibrium_falls_at_second_order():
    game = duel(inventory_limit=4)
    gains = []
    for steps in (50, 100):
        table = equilibrium(game, steps)
        gains.append(best_response(game, table.distance).start - table.start)
    assert 1.7 < math.log2(gains[0] / gains[1]) < 2.3


def test_equal_sharpness_is_a_single_maker_with_half_the_flow():
    game = duel(sharpness=10.0)
    single = solve(Maker(50.0, 10.0, 1.0, 12, terminal_cost=COST), 10)
    found = equilibrium(game, 10)
    assert found.start == pytest.approx(3.5815966, abs=5e-8)
    np.testing.assert_allclose(found.value, np.repeat(single.value[:, :, None], 25, axis=2), atol=1e-6)
    wide = solve(Maker(50.0, 10.0, 1.0, 20, terminal_cost=COST), 10)
    assert wide.value[0, 20] == pytest.approx(3.5816815, abs=5e-8)


def test_old_against_new_converges_geometrically():
    game = duel(inventory_limit=10)
    path = iterated_best_response(game, benchmark(game, 100), 6)
    np.testing.assert_allclose(path.exploitability, [1.42, 0.45, 0.095, 0.015, 0.002, 0.0003], rtol=0.08)
    np.testing.assert_allclose(path.value[2:4], [2.83, 2.57], atol=0.005)
    falls = np.array(path.exploitability[1:]) / path.exploitability[:-1]
    assert (falls < 0.4).all()


def test_swapping_sides_mirrors_inventories_and_quotes():
    one = equilibrium(duel(inventory_limit=4, arrival_rate=(80.0, 120.0), fill_decay=(9.0, 12.0)), 20)
    two = equilibrium(duel(inventory_limit=4, arrival_rate=(120.0, 80.0), fill_decay=(12.0, 9.0)), 20)
    np.testing.assert_allclose(one.value, two.value[:, ::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(one.distance, two.distance[:, ::-1, ::-1, ::-1], atol=1e-9)


def test_a_cartel_earns_more_and_more_than_any_profile_played():
    game = duel(inventory_limit=5)
    cartel, nash = joint_profit(game, 50), equilibrium(game, 50)
    rule = benchmark(game, 50)
    assert cartel.start > 2 * evaluate(game, rule, rule).start > 2 * nash.start
    assert cartel.start == pytest.approx(2 * evaluate(game, cartel.distance, cartel.distance).start, abs=1e-4)
    np.testing.assert_allclose(cartel.value, cartel.value.transpose(0, 2, 1), atol=1e-12)


def test_a_held_table_is_the_limit_of_a_finely_interpolated_one():
    game = duel(inventory_limit=3)
    coarse = benchmark(game, 20)
    fine = np.repeat(coarse[:-1], 200, axis=0)
    fine = np.concatenate([fine, fine[-1:]])
    held = best_response(game, coarse, hold="step").start
    assert held == pytest.approx(best_response(game, fine).start, abs=2e-4)
    assert abs(held - best_response(game, coarse).start) > 1e-3


def test_against_a_passive_rival_the_response_is_a_monopolist():
    game = duel(inventory_limit=6)
    nobody = np.full((11, 13, 13, 2), np.inf)
    alone = solve(Maker(100 * 0.5**0.2, 10.0, 1.0, 6, terminal_cost=COST), 10)
    np.testing.assert_allclose(best_response(game, nobody).value[:, :, 6], alone.value, atol=1e-8)


def test_refusals():
    game = duel(inventory_limit=2)
    with pytest.raises(ValueError, match=r"^a policy must be \[N\+1 >= 2, 5, 5, 2\], found \[3, 5, 2\]$"):
        best_response(game, np.zeros((3, 5, 2)))
    with pytest.raises(ValueError, match=r"^distances must be inf or in \[0, inf\], found -1$"):
        best_response(game, np.full((3, 5, 5, 2), -1.0))
    with pytest.raises(ValueError, match="must be withdrawn"):
        evaluate(game, np.zeros((3, 5, 5, 2)), np.zeros((3, 5, 5, 2)))
    with pytest.raises(ValueError, match=r"^sharpness 5\.0 must be finite and at least fill_decay 10\.0$"):
        duel(sharpness=5.0)


@pytest.mark.parametrize("change", [{"terminal_cost": 0.05}, {"running_penalty": 5.0}])
def test_where_a_rival_s_fill_is_worth_more_than_a_monopolist_s_margin_no_equilibrium_is_given(change):
    """Without the sentence its side would bring nothing there: a value that is finite, and wrong."""
    game = Duel(100.0, 10.0, 50.0, 1.0, 5, **change)
    with pytest.raises(ValueError, match=r"^a rival's fill is worth more than 1 / fill_decay in some state"):
        equilibrium(game, steps=20)


def test_a_low_bound_that_nobody_quotes_costs_nothing_and_a_sweep_too_long_is_a_sentence():
    free, bound = (duel(inventory_limit=2, min_distance=low) for low in (-2.0, -0.2))
    found = equilibrium(free, 20)
    assert -0.2 < found.distance.min() < 0.0
    np.testing.assert_allclose(found.value, equilibrium(bound, 20).value, atol=1e-9)
    given = np.full((3, 5, 5, 2), -2.0)
    given[:, -1, :, 0] = given[:, 0, :, 1] = np.inf
    with pytest.raises(
        ValueError, match=r"^the duel is too stiff: quotes down to -2 trade 9\.7e\+10 times .* raise min_"
    ):
        evaluate(free, given, given)
