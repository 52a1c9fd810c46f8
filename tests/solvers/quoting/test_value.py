"""What policies earn in continuous time and in Poisson steps; policy iteration (option_making sections 0, 3, 4, 6,
8)."""

import math
from dataclasses import replace

import numpy as np
import pytest

from arena.solvers.options.closed_form import avellaneda_stoikov
from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.iteration import constant_start, improve, iterate, uniform_start
from arena.solvers.quoting.maker import Maker, blind_maker, solve
from arena.solvers.quoting.value import inventory_law, rates_of, spread_income, value_in_steps, value_of

ATM = OptionModel(100, 100, 63, 0.2 / math.sqrt(252))
FX1 = blind_maker(ATM, 5e-4, 1.0, arrival_rate=100.0, fill_decay=10.0, inventory_limit=20)


def withdrawn(distance: np.ndarray) -> np.ndarray:
    distance[:, -1, 0] = distance[:, 0, 1] = np.inf
    return distance


def constant(distance: float, rows: int = 101) -> np.ndarray:
    return withdrawn(np.full((rows, 41, 2), distance))


def test_anchors_of_phase_3a():
    table = solve(FX1, 100)
    assert value_in_steps(FX1, table.distance)[0, 20] == pytest.approx(7.22658, abs=5e-6)
    assert value_of(FX1, constant(0.1))[0, 20] == pytest.approx(6.7799, abs=5e-5)
    left = 1 - table.times[:, None]
    rule = withdrawn(np.maximum(avellaneda_stoikov(FX1.inventory[None], left, 10.0, 1.0, 0.01), 0.0))
    assert value_of(FX1, rule)[0, 20] == pytest.approx(7.083, abs=5e-4)


def test_the_optimal_table_earns_the_optimal_value_and_nothing_earns_more():
    table = solve(FX1, 400)
    np.testing.assert_allclose(value_of(FX1, table.distance), table.value, atol=3e-5)
    for change in (0.01, -0.01):
        other = withdrawn(np.maximum(table.distance + change, 0.0))
        assert (value_of(FX1, other)[:-1] < table.value[:-1]).all()


def test_steps_converge_to_continuous_time_at_first_order():
    exact = solve(FX1, 1).value[0, 20]
    errors = [exact - value_in_steps(FX1, solve(FX1, n).distance)[0, 20] for n in (50, 100, 200)]
    assert 0.9 < math.log2(errors[0] / errors[1]) < 1.1
    assert 0.9 < math.log2(errors[1] / errors[2]) < 1.1


def test_constant_quotes_have_no_bias_in_dt():
    free = Maker(100.0, 10.0, 1.0, 60, terminal_cost=FX1.terminal_cost)  # a bound that is never reached
    for eps, rows in ((0.1, 6), (0.07, 26)):
        flow = 100 * math.exp(-10 * eps)
        expected = 2 * flow * eps - 2 * free.terminal_cost * flow  # section 9's closed form
        table = np.full((rows, 121, 2), eps)
        assert value_in_steps(free, withdrawn(table))[0, 60] == pytest.approx(expected, rel=1e-7)


def test_steps_agree_with_simulation():
    maker = replace(FX1, inventory_limit=3, running_penalty=0.3, drift=0.05)
    table = solve(maker, 25).distance
    rng, paths = np.random.default_rng(8), 100_000
    q, earned = np.zeros(paths, int), np.zeros(paths)
    for k in range(25):
        bid, ask = table[k, q + 3].T
        bought = np.minimum(rng.poisson(4 * np.exp(-10 * bid)), 3 - q)
        sold = np.minimum(rng.poisson(4 * np.exp(-10 * ask)), 3 + q)
        earned += bought * np.where(bought > 0, bid, 0) + sold * np.where(sold > 0, ask, 0)
        q = q + bought - sold
        earned += (0.05 * q - 0.15 * q**2) / 25
    earned -= maker.terminal_cost * q**2
    error = earned.std() / math.sqrt(paths)
    assert abs(earned.mean() - value_in_steps(maker, table)[0, 3]) < 3.5 * error  # wrong with probability 5e-4


def test_the_law_of_the_inventory():
    law = inventory_law(FX1, solve(FX1, 100).distance)
    np.testing.assert_allclose(law.std[[0, 20, 40, 55, 80, 100]], [0, 3.45, 4.30, 4.45, 3.91, 2.38], atol=0.006)
    assert np.abs(law.mean).max() < 1e-12
    np.testing.assert_allclose(law.probability.sum(axis=1), 1, atol=1e-12)
    drifted = replace(FX1, drift=0.00822)  # erratum 4's misprint, the paper's figure 6
    mean = inventory_law(drifted, solve(drifted, 100).distance).mean
    np.testing.assert_allclose(mean[[0, 55, 100]], [0, 0.87, 0.23], atol=0.005)
    lopsided = replace(FX1, arrival_rate=(110.0, 100.0))
    assert (np.diff(inventory_law(lopsided, solve(lopsided, 100).distance).mean) > 0).all()


def test_spread_less_penalty_is_the_value():
    table = solve(FX1, 400)
    law = inventory_law(FX1, table.distance, start=4)
    penalty = FX1.terminal_cost * float(law.probability[-1] @ FX1.inventory.astype(float) ** 2)
    assert spread_income(FX1, table.distance, start=4) - penalty == pytest.approx(table.value[0, 24], abs=2e-4)


def test_held_rows_are_the_limit_of_dense_ones():
    coarse = solve(FX1, 10).distance
    dense = np.repeat(coarse[:-1], 100, axis=0)
    held = value_of(FX1, coarse, hold="step")[0]
    np.testing.assert_allclose(value_of(FX1, np.concatenate([dense, dense[-1:]]))[0], held, atol=2e-4)
    assert (held < solve(FX1, 10).value[0]).all()


# ------------------------------------------------------------------------------------------------------- improvement


def test_policy_iteration_climbs_to_the_gibbs_value():
    maker = replace(FX1, temperature=0.2, max_distance=0.8, entropy="lebesgue")
    found, exact = iterate(maker, uniform_start(maker), 6, steps=20), solve(maker, 20)
    np.testing.assert_allclose(found.value[:6, 0, 20], [2.1991, 5.9349, 6.0559, 6.1010, 6.10801, 6.1081154], atol=5e-5)
    assert np.diff(found.value, axis=0).min() > -1e-12
    errors = np.abs(found.value - exact.value).max(axis=(1, 2))
    np.testing.assert_allclose(errors[:5], [6.0, 0.80, 0.23, 0.022, 2.1e-4], rtol=0.02)
    assert errors[5] < 4e-8
    assert errors[4] < errors[3] ** 2  # Newton's rate


def test_policy_iteration_without_entropy():
    found, exact = iterate(FX1, constant_start(FX1, 0.1), 6, steps=20), solve(FX1, 20)
    assert found.value[0, 0, 20] == pytest.approx(6.7799, abs=5e-5)
    assert np.diff(found.value, axis=0).min() > -1e-12
    np.testing.assert_allclose(found.value[-1], exact.value, atol=1e-9)


@pytest.mark.parametrize(("temperature", "expected"), [(0.05, 7.1787), (0.1, 7.1266), (0.2, 7.0173), (0.5, 6.6050)])
def test_what_exploring_costs_in_money(temperature, expected):
    maker = replace(FX1, temperature=temperature, max_distance=0.8)
    table = solve(maker, 100)
    assert value_of(maker, improve(maker, table.value, plain=True))[0, 20] == pytest.approx(expected, abs=1e-4)


def test_an_improvement_of_the_optimum_is_the_optimum():
    maker = replace(FX1, temperature=0.1, max_distance=0.8)
    table = solve(maker, 400)
    np.testing.assert_allclose(value_of(maker, improve(maker, table.value)), table.value, atol=5e-5)
    rates, quoted = improve(FX1, solve(FX1, 5).value), rates_of(FX1, solve(FX1, 5).distance)
    np.testing.assert_allclose(rates.intensity, quoted.intensity, rtol=1e-12)
    np.testing.assert_allclose(rates.reward, quoted.reward, rtol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match=r"^a policy must be \[N\+1 >= 2, 41, 2\], found \[3, 5, 2\]$"):
        value_of(FX1, np.zeros((3, 5, 2)))
    with pytest.raises(ValueError, match="must be withdrawn"):
        value_in_steps(FX1, np.zeros((3, 41, 2)))
    with pytest.raises(ValueError, match=r"^start must be within the inventory limit 20, found 21$"):
        inventory_law(FX1, constant(0.1), start=21)
    with pytest.raises(ValueError, match=r"^a uniform start needs a finite range of distances, found \[0, inf\]$"):
        uniform_start(FX1)
    with pytest.raises(ValueError, match="entropy -inf"):
        constant_start(replace(FX1, temperature=0.1, max_distance=0.8), 0.1)
