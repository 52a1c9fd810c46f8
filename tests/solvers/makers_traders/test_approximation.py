"""The approximation game against its limits, printed values and the martingale property of marginal values."""

import numpy as np
import pytest

from arena.solvers.makers_traders.approximation import NoiseFactor, approximation_game
from arena.solvers.makers_traders.open_loop import makers_traders, solve_makers_traders
from arena.solvers.makers_traders.shares import Logistic, Relative

BASE = {
    "horizon": 1.0,
    "running_penalty": 0.1,
    "terminal_penalty": 0.5,
    "temporary_impact": 0.2,
    "noise_buy": 3.0,
    "noise_sell": 2.0,
}


def duel(**change):
    return makers_traders([4, 1], [-10], share=Logistic(1.0), **{**BASE, **change})


def test_without_noise_it_is_the_open_loop_equilibrium():
    t = np.linspace(0.0, 1.0, 11)
    found, exact = approximation_game(duel(), 0.0, t=t, nodes=7), solve_makers_traders(duel(), t)
    np.testing.assert_allclose(found.objectives, exact.objectives, rtol=1e-7)
    for key in ("ask", "bid", "rate", "inventory"):
        np.testing.assert_allclose(found.stack(key), exact.stack(key), rtol=1e-6, atol=1e-6)


def test_printed_marginal_values():
    """Section 5: Y1 at t = 0 in L1 is -0.0013469 at epsilon 0.1 and -0.0021522 at 0.3; the effect is of second
    order."""
    values = [approximation_game(duel(), eps, t=[0.0]).players[0].adjoint[0] for eps in (0.1, 0.3)]
    np.testing.assert_allclose(values, [-0.0013469, -0.0021522], atol=6e-8)
    still = solve_makers_traders(duel()).players[0].adjoint[0]
    assert (values[1] - still) / (values[0] - still) == pytest.approx(9.0, rel=1e-2)


def marginal_values(game, controls):
    """Y of all three from their controls: Y = ask - 1/(c(1 - share)), Y_e = 2 beta v + best ask."""
    ask, rate = controls[:, :2], controls[:, 4]
    makers = ask - 1.0 / (1.0 - game.share.shares(ask))
    return np.column_stack([makers, 0.4 * rate + ask.min(axis=1)])


@pytest.mark.parametrize("with_factor", [False, True])
def test_marginal_values_are_martingales_up_to_their_drift(with_factor):
    """E[Y(t + dt, Q + dQ[, L + dL])] = Y + 2 phi Q dt, by Gauss-Hermite quadrature over one short step, off the path
    too."""
    game, eps, dt, now = duel(), 0.3, 1e-3, 0.5
    factor = None
    if with_factor:
        factor = NoiseFactor(
            *(0.2, lambda t, x: -0.5 * np.tanh(x), lambda t, x: 0.5 + 0.0 * x),
            *(lambda t, x: 3.0 + np.tanh(x), lambda t, x: 2.0 - 0.5 * np.tanh(x)),
            nodes=7,
        )
    found = approximation_game(game, eps, factor, nodes=5 if with_factor else 7, t=[now], tolerance=1e-8)
    q = found.stack("inventory")[:, 0] + np.array([0.2, -0.1, 0.3])
    level = 0.25
    state = np.append(q, level) if with_factor else q
    controls = found.policy(now, state)
    ask, bid, rate = controls[:, :2], controls[:, 2:4], controls[0, 4]
    a, b = (3.0 + np.tanh(level), 2.0 - 0.5 * np.tanh(level)) if with_factor else (3.0, 2.0)
    drift = np.append(-(a + rate) * game.share.shares(ask)[0] + b * game.share.shares(bid)[0], rate)
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = np.stack(np.meshgrid(*[points] * state.size, indexing="ij"), axis=-1).reshape(-1, state.size)
    weight = np.prod(
        np.stack(np.meshgrid(*[weights / weights.sum()] * state.size, indexing="ij"), axis=-1).reshape(-1, state.size),
        axis=1,
    )
    after = np.concatenate([q + drift * dt + eps * np.sqrt(dt) * grid[:, :3]], axis=1)
    if with_factor:
        after = np.column_stack([after, level - 0.5 * np.tanh(level) * dt + 0.5 * np.sqrt(dt) * grid[:, 3]])
    expected = weight @ marginal_values(game, found.policy(now + dt, after))
    gained = (expected - marginal_values(game, controls)[0]) / dt
    np.testing.assert_allclose(gained, 0.2 * q, atol=5e-3)


def test_a_factor_without_volatility_is_time_dependent_noise():
    """L' = -L, L_0 = 1: noise_buy = 3 + L is 3 + exp(-t)."""
    factor = NoiseFactor(
        1.0,
        lambda t, x: -x,
        lambda t, x: 0.0 * x,
        lambda t, x: 3.0 + x,
        lambda t, x: 2.0 + 0.0 * x,
        radius=0.5,
        nodes=3,
    )
    t = np.linspace(0.0, 1.0, 6)
    found = approximation_game(duel(), 0.2, factor, t=t, nodes=7)
    plain = approximation_game(duel(noise_buy="3 + exp(-t)"), 0.2, t=t, nodes=7)
    np.testing.assert_allclose(found.objectives, plain.objectives, rtol=1e-7)
    np.testing.assert_allclose(found.stack("rate"), plain.stack("rate"), rtol=1e-6)
    assert found.theorem.startswith("none: not satisfied along the solution: Assumption 5.3: factor elliptic")
    assert plain.theorem.startswith("Theorem 5.4")


def test_random_flow_matters_in_the_second_order():
    def worth(volatility):
        flat = NoiseFactor(
            *(
                0.0,
                lambda t, x: 0.0 * x,
                lambda t, x: volatility + 0.0 * x,
                lambda t, x: 3.0 + np.tanh(x),
                lambda t, x: 2.0 + 0.0 * x,
            ),
            radius=0.6,
            nodes=5,
        )
        return approximation_game(duel(), 0.1, flat, t=[0.0], nodes=5, tolerance=1e-8).objectives

    still = approximation_game(duel(), 0.1, t=[0.0], nodes=5).objectives
    np.testing.assert_allclose((worth(0.2) - still) / (worth(0.1) - still), 4.0, rtol=0.05)


def test_expected_objectives_match_simulation():
    """100 antithetic pairs of 20 midpoint steps on the policy, fixed seed, eps 0.3: within four standard errors plus
    the step's bias."""
    game, eps = duel(), 0.3
    found = approximation_game(game, eps, nodes=5, t=[0.0], tolerance=1e-7)
    steps, pairs = 20, 100
    h = 1.0 / steps
    noise = np.random.default_rng(9).normal(size=(pairs, steps, 3))
    noise = eps * np.sqrt(h) * np.concatenate([noise, -noise])
    q, total = np.tile(game.start, (2 * pairs, 1)), np.zeros((2 * pairs, 3))

    def drift(t, q):
        c = found.policy(t, q)
        ask, bid, rate = c[:, :2], c[:, 2:4], c[:, 4:]
        now = np.full(len(q), t)
        a, b = game.flows(now, rate)
        f = np.column_stack([-a[:, None] * game.share.shares(ask) + b[:, None] * game.share.shares(bid), rate])
        return f, game.reward_at(now, q, ask, bid, rate)

    for k in range(steps):
        f, _ = drift(k * h, q)
        middle, reward = drift((k + 0.5) * h, q + h / 2 * f + noise[:, k] / 2)
        q = q + h * middle + noise[:, k]
        total += h * reward
    total -= game.terminal * q**2
    pair = (total[:pairs] + total[pairs:]) / 2
    error = 4.0 * pair.std(axis=0, ddof=1) / np.sqrt(pairs) + 5e-3
    assert np.all(np.abs(pair.mean(axis=0) - found.objectives) < error)
    assert np.all(error < 0.05)


def test_other_games_are_refused():
    with pytest.raises(ValueError, match=r"epsilon: found -0\.1"):
        approximation_game(duel(), -0.1)
    with pytest.raises(ValueError, match="shares that sum to one"):
        approximation_game(makers_traders([4, 1], [-10], share=Relative(1.0), **BASE), 0.1)
