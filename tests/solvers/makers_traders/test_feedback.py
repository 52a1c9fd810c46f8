"""Feedback equilibria of two makers and one trader against printed values and brute force through a simulator."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize

from arena.solvers.collocation import NoEquilibrium
from arena.solvers.makers_traders import deviations
from arena.solvers.makers_traders.approximation import approximation_game
from arena.solvers.makers_traders.best_replies import closed_loop_regret, policy_gains
from arena.solvers.makers_traders.feedback import feedback_nash
from arena.solvers.makers_traders.open_loop import makers_traders, solve_makers_traders
from arena.solvers.makers_traders.shares import Logistic, Relative
from arena.solvers.makers_traders.tube import box

BASE = {
    "horizon": 1.0,
    "running_penalty": 0.1,
    "terminal_penalty": 0.5,
    "temporary_impact": 0.2,
    "noise_buy": 3.0,
    "noise_sell": 2.0,
}


def duel(sharpness=1.0):
    return makers_traders([4, 1], [-10], share=Logistic(sharpness), **BASE)


def test_box_differentiates_and_reads_polynomials_exactly():
    grid = box((5, 5, 3), np.array([0.7, 1.3, 2.0]))
    x, y, s = (grid.radius * grid.nodes).T
    fields = np.stack([x**4 * y**2 + s**2 * x, y**3 * s], axis=1)
    slope = grid.gradient(fields)
    np.testing.assert_allclose(
        slope[:, 0], np.stack([4 * x**3 * y**2 + s**2, 2 * x**4 * y, 2 * s * x], axis=1), atol=1e-11
    )
    np.testing.assert_allclose(grid.hessian(fields)[:, 1, 1, 2], 3 * y**2, atol=1e-11)
    where = np.array([0.3, -0.4, 0.9])
    a, b, c = where * grid.radius
    np.testing.assert_allclose(grid.weights(where) @ fields, [a**4 * b**2 + c**2 * a, b**3 * c], atol=1e-13)


def test_logistic_duel_has_the_printed_feedback_equilibrium():
    """Section 10.3, L1: J = 13.392, 10.932, -37.075 (+-1e-4); v 5.916; asks 2.879, 3.042; bids 1.148, .985."""
    found = feedback_nash(duel())
    np.testing.assert_allclose(found.objectives, [13.392, 10.932, -37.075], atol=6e-4)
    assert found.players[2].rate[0] == pytest.approx(5.916, abs=1e-3)
    np.testing.assert_allclose(found.stack("ask")[:, 0], [2.879, 3.042], atol=1e-3)
    np.testing.assert_allclose(found.stack("bid")[:, 0], [1.148, 0.985], atol=1e-3)
    assert found.information == "feedback"
    assert found.condition("the best quote stays with one maker").value > 0.0
    now, q = found.t[40], found.stack("inventory")[:, 40]
    np.testing.assert_allclose(
        found.policy(now, q)[0],
        [*found.stack("ask")[:, 40], *found.stack("bid")[:, 40], found.players[2].rate[40]],
        rtol=1e-9,
    )


def test_sharper_shares():
    """Section 10.3, L1c2: J = 9.549, 6.674, -32.752 (+-2e-3), v = 6.340; regrets .753, .040, .337."""
    found = feedback_nash(duel(2.0), tolerance=1e-7)
    np.testing.assert_allclose(found.objectives, [9.549, 6.674, -32.752], atol=2e-3)
    assert found.players[2].rate[0] == pytest.approx(6.340, abs=1e-3)
    np.testing.assert_allclose(closed_loop_regret(duel(2.0)), [0.753, 0.040, 0.337], atol=1e-3)


def test_closed_loop_regrets_of_the_open_loop_rule():
    """Acceptance test 12: L1 (.49961, .01840, .28118) within 1e-4."""
    np.testing.assert_allclose(closed_loop_regret(duel()), [0.49961, 0.01840, 0.28118], atol=1e-4)


def test_policy_gains_agree_with_the_regret_and_vanish_at_the_feedback_equilibrium():
    """The open-loop rule given as a policy has the printed regrets; nobody gains against the feedback equilibrium."""
    rule = approximation_game(duel(), 0.0, nodes=7).policy
    np.testing.assert_allclose(policy_gains(duel(), rule), [0.49961, 0.01840, 0.28118], atol=1e-4)
    gains = policy_gains(duel(), feedback_nash(duel()).policy)
    assert np.abs(gains).max() < 1e-4


def test_policy_gains_of_time_only_play_are_the_open_loop_ones():
    """Against opponents who do not react at all the gain is the unilateral deviation's: zero at the equilibrium, known
    when shifted."""
    t = np.linspace(0.0, 1.0, 401)
    found = solve_makers_traders(duel(), t)
    spline = CubicSpline(t, np.vstack([found.stack("ask"), found.stack("bid"), found.stack("rate")]).T)
    assert np.abs(policy_gains(duel(), lambda now, q: np.tile(spline(now), (len(q), 1)), nodes=7)).max() < 1e-5
    shift = np.array([0.05, 0.0, 0.0, 0.0, 0.0])
    gains = policy_gains(duel(), lambda now, q: np.tile(spline(now) + shift, (len(q), 1)))
    profile = deviations.equilibrium_profile(duel(), 80)
    profile.ask[:, 0] += 0.05
    np.testing.assert_allclose(gains, deviations.open_loop_gains(duel(), profile), rtol=1e-3, atol=1e-6)


def played(game, policy, player=None, own=None, cells=10):
    """Objectives when all follow `policy`, `player` instead its piecewise constant `own` controls [cells, 2 or 1];
    Runge-Kutta, adaptive."""
    q, total = game.start.copy(), np.zeros(3)
    h = game.horizon / cells

    for k in range(cells):

        def slope(t, z, k=k):
            ask1, ask2, bid1, bid2, v = policy(t, z[:3])[0]
            ask, bid, rate = np.array([[ask1, ask2]]), np.array([[bid1, bid2]]), np.array([[v]])
            if player in (0, 1):
                ask[0, player], bid[0, player] = own[k]
            elif player == 2:
                rate[0, 0] = own[k, 0]
            now = np.array([t])
            a, b = (flow[0] for flow in game.flows(now, rate))
            drift = [*(-a * game.share.shares(ask)[0] + b * game.share.shares(bid)[0]), rate[0, 0]]
            return np.concatenate([drift, game.reward_at(now, z[None, :3], ask, bid, rate)[0]])

        found = solve_ivp(slope, (k * h, (k + 1) * h), np.concatenate([q, total]), rtol=1e-5, atol=1e-6)
        q, total = found.y[:3, -1], found.y[3:, -1]
    return total - game.terminal * q**2


def test_values_are_what_feedback_play_earns_and_nobody_gains_by_simple_deviations():
    """Brute force: constant and cell-wise deviations of each player against reacting opponents lose."""
    game = duel()
    found = feedback_nash(game)
    earned = played(game, found.policy)
    np.testing.assert_allclose(earned, found.objectives, atol=2e-4)
    middle = found.t[5::10]
    at = np.searchsorted(found.t, middle)
    nodes = np.random.default_rng(8).normal(size=(2, 10, 2)) * 0.2
    for player in range(3):
        own = (
            found.stack("rate").T[at]
            if player == 2
            else np.column_stack([found.players[player].ask[at], found.players[player].bid[at]])
        )
        for change in (0.1, nodes[0, :, : own.shape[1]]):
            assert played(game, found.policy, player, own + change)[player] < earned[player] + 1e-3


@pytest.mark.slow
def test_a_best_response_through_the_simulator_gains_nothing():
    """The trader's rates on 4 cells by L-BFGS-B against the makers' feedback rules: below its value, and within 1 % of
    it."""
    game = duel()
    found = feedback_nash(game)
    start = found.players[2].rate[[12, 37, 62, 87]]
    best = minimize(
        lambda x: -played(game, found.policy, 2, x[:, None], cells=4)[2],
        start,
        method="L-BFGS-B",
        options={"maxiter": 15},
    )
    assert -best.fun < found.objectives[2] + 1e-3
    assert -best.fun == pytest.approx(found.objectives[2], rel=1e-2)


def test_heterogeneous_sellers_settle_and_nodes_agree():
    given = {**BASE, "running_penalty": [0.1, 0.15, 0.05], "terminal_penalty": [0.3, 0.4, 0.6], "noise_buy": "2 + t"}
    game = makers_traders([2, -1], [6], share=Logistic(1.0), **given)
    found = feedback_nash(game, nodes=5)
    assert np.all(found.diagnostics["difference_to_fewer_nodes"] < 0.02)
    assert found.players[2].rate.max() < 0.0
    assert np.all(closed_loop_regret(game, nodes=5) > 0.0)


def test_on_a_short_horizon_reactions_hardly_matter():
    """Inventories cannot move much in 0.05, so open-loop and feedback play nearly agree, and ten times better than on
    0.5."""
    off, regret = [], []
    for horizon in (0.5, 0.05):
        game = makers_traders([1, 0.5], [-2], share=Logistic(1.0), **{**BASE, "horizon": horizon})
        off.append(np.abs(feedback_nash(game, nodes=5).objectives - solve_makers_traders(game).objectives).max())
        regret.append(closed_loop_regret(game, nodes=5).max())
    assert off[1] < 0.1 * off[0]
    assert 0.0 < regret[1] < 0.1 * regret[0]


@pytest.mark.parametrize(
    ("makers", "traders", "share", "says"),
    [
        ([4, 1], [-10], Relative(1.0), "no best reply"),
        ([4, 1, 0], [-10], Logistic(1.0), "3 makers and 1 traders"),
        ([4, 1], [], Logistic(1.0), "2 makers and 0 traders"),
        ([1, 1], [-10], Logistic(1.0), "both makers quote"),
    ],
)
def test_games_it_does_not_cover_are_refused(makers, traders, share, says):
    game = makers_traders(makers, traders, share=share, **BASE)
    for solve in (feedback_nash, closed_loop_regret):
        with pytest.raises(ValueError, match=says):
            solve(game)


def test_truncated_rates_and_bad_boxes_are_refused():
    with pytest.raises(NoEquilibrium, match="meets its bounds"):
        closed_loop_regret(makers_traders([4, 1], [-0.2], share=Logistic(1.0), **BASE))
    with pytest.raises(ValueError, match="nodes: found 4"):
        feedback_nash(duel(), nodes=4)
