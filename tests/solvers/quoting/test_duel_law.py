"""The law of both inventories: mass, mirror, the value it implies, and the single maker as a limit."""

import numpy as np
import pytest

from arena.solvers.quoting.duel import Duel, equilibrium, evaluate, time_policy
from arena.solvers.quoting.duel_law import law
from arena.solvers.quoting.maker import Maker, solve
from arena.solvers.quoting.value import inventory_law

DUEL = Duel(100.0, 10.0, 50.0, 1.0, 12, terminal_cost=5e-4 * 16.333901, max_distance=0.8)


def test_the_law_implies_the_value_of_the_linear_equation() -> None:
    """Income less penalties is what `evaluate` gives, for unequal policies and starts, with a running penalty."""
    duel = Duel((60.0, 90.0), (10.0, 8.0), 30.0, 0.5, 4, terminal_cost=0.02, running_penalty=0.3, max_distance=0.8)
    first = equilibrium(duel, 40).distance
    second = time_policy(duel, np.full((41, 9, 2), 0.07))
    found = law(duel, first, second, (1, -2))
    np.testing.assert_allclose(found.probability.sum(axis=(1, 2)), 1.0, atol=1e-12)
    value = found.income - found.terminal_penalty - found.running_penalty
    # the penalty is a trapezoid over 40 rows, between which the tables are interpolated
    assert value == pytest.approx(evaluate(duel, first, second).value[0, 5, 2], abs=2e-4)
    assert found.mean[0] == 1.0


def test_the_symmetric_equilibrium_holds_no_inventory_on_average() -> None:
    table = equilibrium(DUEL, 100)
    found = law(DUEL, table.distance, table.distance)
    assert np.abs(found.mean).max() < 1e-10
    np.testing.assert_allclose(found.probability, found.probability.transpose(0, 2, 1), atol=1e-12)
    np.testing.assert_allclose(found.probability, found.probability[:, ::-1, ::-1], atol=1e-12)
    assert found.income - found.terminal_penalty == pytest.approx(table.start, abs=2e-4)  # rows are interpolated
    assert found.std[0] == 0.0
    assert 1.0 < found.std.max() < 12.0


def test_equal_decays_are_single_makers_with_half_the_flow() -> None:
    duel = Duel(100.0, 10.0, 10.0, 1.0, 6, terminal_cost=0.01)
    alone = Maker(50.0, 10.0, 1.0, 6, terminal_cost=0.01)
    table = solve(alone, 50).distance
    both = time_policy(duel, table)
    found, single = law(duel, both, both), inventory_law(alone, table)
    np.testing.assert_allclose(found.probability.sum(axis=2), single.probability, atol=1e-5)
    np.testing.assert_allclose(found.std, single.std, atol=1e-4)


def test_a_start_beyond_the_limit_is_a_sentence() -> None:
    table = time_policy(DUEL, np.full((3, 25, 2), 0.05))
    with pytest.raises(ValueError, match="start must be within the inventory limit 12"):
        law(DUEL, table, table, (13, 0))
