import numpy as np
import pytest

from arena.solvers.collocation import NoEquilibrium
from arena.solvers.makers_traders.acas import acas_game, no_truncation_bound, solve_acas
from arena.solvers.makers_traders.open_loop import makers_traders, solve_makers_traders
from arena.solvers.makers_traders.shares import Logistic, Relative

BASE = {
    "horizon": 1.0,
    "fill_decay": 1.0,
    "running_penalty": 0.1,
    "terminal_penalty": 0.5,
    "temporary_impact": 0.2,
    "noise_buy": 3.0,
    "noise_sell": 2.0,
}
QUIET = {**BASE, "running_penalty": 0.0, "noise_buy": 0.0, "noise_sell": 0.0}


def same(one, other, tolerance=1e-9):
    np.testing.assert_allclose(one.objectives, other.objectives, rtol=tolerance)
    for key in ("inventory", "adjoint", "ask", "bid", "rate"):
        np.testing.assert_allclose(one.stack(key), other.stack(key), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("makers", "change"),
    [
        ([4, 1], {}),
        ([1, 4], {}),
        (
            [2, -1],
            {
                "temporary_impact": "0.2 + 0.2*t",
                "noise_buy": {"t": [0, 0.4, 1], "value": [1, 5, 0]},
                "running_penalty": "0.1*t",
            },
        ),
        ([4, 1], {"min_rate": 4.0}),
    ],
)
def test_reduced_system_is_the_full_one(makers, change):
    game = acas_game(makers, -10, **{**BASE, **change})
    same(solve_acas(game, method="system"), solve_makers_traders(game), 1e-8)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"noise_buy": "3 + t", "noise_sell": {"t": [0, 0.3, 1], "value": [1, 2, 3]}, "temporary_impact": "0.2 + 0.3*t"},
    ],
)
def test_without_running_penalty_marginal_values_are_constant_and_algebraic(change):
    """Theorem 4.3: two algebraic equations; A3 has ask 4.440224, 4.551843 and v 3.971269 throughout."""
    game = acas_game([1, 0], -10, **{**QUIET, **change})
    found = solve_acas(game)
    assert found.diagnostics["method"] == "algebraic"
    same(found, solve_acas(game, method="system"))
    assert np.ptp(found.stack("adjoint"), axis=1).max() == 0.0
    if not change:
        np.testing.assert_allclose(found.stack("ask")[:, 50], [4.440224, 4.551843], rtol=1e-6)
        np.testing.assert_allclose(found.players[2].rate, 3.971269, rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{}, {"running_penalty": 0.0}, {"noise_buy": 0.0, "noise_sell": 4.0, "horizon": 0.7}]
)
def test_equal_makers_have_a_closed_form(change):
    """cosh and sinh; A2: ask 5.285739, v 5.821307, J 21.49121 and -48.35124."""
    game = acas_game([1, 1], -10, **{**BASE, **change})
    found = solve_acas(game)
    assert found.diagnostics["method"] == "closed"
    same(found, solve_acas(game, method="system"))
    if not change:
        assert found.players[0].ask[0] == pytest.approx(5.285739, rel=1e-6)
        assert found.players[2].rate[0] == pytest.approx(5.821307, rel=1e-6)
        np.testing.assert_allclose(found.objectives, [21.49121, 21.49121, -48.35124], rtol=1e-6)


def test_bound_of_theorem_4_3_lies_below_the_rate():
    """A3: the bound is 2.428, the rate 3.971."""
    game = acas_game([1, 0], -10, **QUIET)
    assert no_truncation_bound(game, np.zeros(1))[0] == pytest.approx(2.428, abs=5e-4)
    entry = solve_acas(game).condition("Theorem 4.3: bound (26) on the rate")
    assert entry.holds
    assert entry.value == pytest.approx(3.971 - 2.428, abs=1e-3)
    assert solve_acas(game).theorem.startswith("Theorem 4.3")
    with pytest.raises(ValueError, match=r"bound \(26\) needs q1 - qe"):
        no_truncation_bound(acas_game([0, 0], -0.5, **QUIET), np.zeros(1))


def test_conditions_of_section_4_hold_along_the_solution():
    found = solve_acas(acas_game([4, 1], -10, **BASE))
    names = ["order of inventories kept", "order of marginal values kept", "a-posteriori: rate above min_rate"]
    names += ["(24): off-diagonal entries", "(24): column sums", "Theorem 4.2: Riccati solution bounded along the path"]
    for name in names:
        assert found.condition(name).holds
    assert found.theorem.startswith("Theorem 4.1")


def test_riccati_solution_without_penalty_has_its_closed_form():
    """Theorem 4.3: R(0) = -2A [I + 2A int G]^{-1}; G is constant for A3, entries are not positive."""
    game = acas_game([1, 0], -10, **QUIET)
    found = solve_acas(game)
    y2 = found.players[0].adjoint[0] - found.players[1].adjoint[0]
    v = found.players[2].rate[0]
    up, down = np.exp(-y2), np.exp(y2)
    g = np.array([[v * (up + down), -(up - down) / 0.4], [-v * up, (1 + up) / 0.4]])
    np.testing.assert_allclose(found.diagnostics["riccati_at_0"], -np.linalg.inv(np.eye(2) + g), rtol=1e-9)
    assert found.condition("Theorem 4.3: Riccati entries").holds


def test_a_small_order_meets_min_rate_and_is_reported():
    game = acas_game([4, 1], -0.2, **BASE)
    found = solve_acas(game)
    assert not found.condition("a-posteriori: rate above min_rate").holds
    with pytest.raises(NoEquilibrium, match="meets min_rate"):
        solve_acas(acas_game([1, 1], -0.5, **BASE), method="closed")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: acas_game([1, 2, 3], -1, **BASE), "found 3 makers"),
        (lambda: acas_game([1, 2], 1, **BASE), "one buyer"),
        (lambda: solve_acas(acas_game([4, 1], -10, **BASE), method="closed"), "needs equal maker inventories"),
        (lambda: solve_acas(acas_game([4, 1], -10, **BASE), method="algebraic"), "needs running_penalty 0"),
        (lambda: solve_acas(acas_game([4, 1], -10, **BASE), method="magic"), "method: found 'magic'"),
        (lambda: solve_acas(makers_traders([4, 1], [-10], horizon=1.0, share=Logistic(1.0))), "exponential best-quote"),
        (lambda: solve_acas(makers_traders([4, 1], [10], horizon=1.0, share=Relative(1.0))), "2 makers and 1 buyer"),
    ],
)
def test_other_games_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
