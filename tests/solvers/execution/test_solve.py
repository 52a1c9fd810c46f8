"""The execution game against closed forms, printed values, and brute force."""

import json

import numpy as np
import pytest
from scipy.integrate import quad

from arena.solvers.collocation import NoEquilibrium
from arena.solvers.execution import riccati
from arena.solvers.execution import steps as discrete
from arena.solvers.execution.solve import (
    MeanRevertingFlow,
    almgren_chriss,
    closed_loop_regret,
    execution_game,
    feedback_gain,
    homogeneous_modes,
    open_loop_gain,
    solve_execution,
)

pytestmark = pytest.mark.anywhere

E1 = {"horizon": 1.0, "running_penalty": 0.5, "terminal_penalty": 5.0, "permanent_impact": 0.3, "temporary_impact": 0.2}
E2 = {"horizon": 1.0, "running_penalty": 0.4, "terminal_penalty": 4.0, "permanent_impact": 0.2, "temporary_impact": 0.1}
MIXED = {
    "horizon": 0.8,
    "running_penalty": [0.4, "0.3 + 0.2*t", 0.8],
    "terminal_penalty": [4.0, 3.0, 6.0],
    "permanent_impact": {"t": [0.0, 0.4, 0.8], "value": [0.2, 0.4, 0.1]},
    "temporary_impact": "0.1 + 0.05*t",
    "noise_buy": 3.0,
    "noise_sell": "2 + cos(3*t)",
}


def two():
    return execution_game([10.0, 2.0], **E2)


def mixed():
    return execution_game([10.0, 2.0, -5.0], **MIXED)


def test_one_trader_is_almgren_chriss():
    """E1 of the model: v_0 = -17.03141, Q(1/2) = 3.860297, J = -49.06281 (closed form)."""
    t = np.linspace(0.0, 1.0, 21)
    for information in ("open_loop", "feedback"):
        found = solve_execution(execution_game([10.0], **E1), t, information)
        path, rate = almgren_chriss(10.0, t=t, **E1)
        np.testing.assert_allclose(found.players[0].inventory, path, rtol=1e-9)
        np.testing.assert_allclose(found.players[0].rate, rate, rtol=1e-9)
        assert found.objectives[0] == pytest.approx(-49.06281, rel=1e-6)
    assert path[10] == pytest.approx(3.860297, rel=1e-6)
    assert rate[0] == pytest.approx(-17.03141, rel=1e-6)


def test_almgren_chriss_without_running_penalty_is_the_limit():
    t = np.linspace(0.0, 1.0, 5)
    flat = almgren_chriss(10.0, t=t, **{**E1, "running_penalty": 0.0})
    near = almgren_chriss(10.0, t=t, **{**E1, "running_penalty": 1e-9})
    np.testing.assert_allclose(flat, near, rtol=1e-7)


def test_two_traders_print_the_known_values():
    """E2: v_0 = (-28.74355, -3.742275), J = (-21.37969, -3.227528); feedback -21.3897, -3.2192."""
    found = solve_execution(two())
    np.testing.assert_allclose(found.stack("rate")[:, 0], [-28.74355, -3.742275], rtol=1e-6)
    np.testing.assert_allclose(found.objectives, [-21.37969, -3.227528], rtol=1e-6)
    np.testing.assert_allclose(
        solve_execution(two(), information="feedback").objectives, [-21.3897, -3.2192], atol=5e-5
    )
    assert found.theorem == "Theorem 2.7 (2)"


def test_ten_equal_traders():
    """Section 10.3: open loop -33.942 each, feedback -33.549, rates -36.55 and -35.29."""
    game = execution_game([10.0] * 10, **E2)
    for information, worth, rate in (("open_loop", -33.942, -36.55), ("feedback", -33.549, -35.29)):
        found = solve_execution(game, [0.0, 1.0], information)
        np.testing.assert_allclose(found.objectives, worth, atol=5e-4)
        np.testing.assert_allclose(found.stack("rate")[:, 0], rate, atol=5e-3)


def test_two_mode_structure_is_the_riccati_solution():
    t = np.linspace(0.0, 1.0, 11)
    game = execution_game([10.0, 2.0, -7.0], **E2)
    mean, difference, path = homogeneous_modes(game, t)
    np.testing.assert_allclose(solve_execution(game, t).stack("inventory").T, path, rtol=1e-8, atol=1e-9)
    riccati = open_loop_gain(game)[1](0.0)[:, :3]
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvalsh(riccati)), np.sort([mean[0], difference[0], difference[0]]), rtol=1e-10
    )
    assert homogeneous_modes(two(), np.zeros(1))[0][0] == pytest.approx(-0.506, abs=5e-4)  # erratum E4's eigenvalues
    assert homogeneous_modes(two(), np.zeros(1))[1][0] == pytest.approx(-0.256, abs=5e-4)
    with pytest.raises(ValueError, match="two-mode structure needs"):
        homogeneous_modes(mixed(), t)


def test_objectives_are_the_integrals_of_their_definition():
    """Brute force: the original objective with S = int alpha (sum v/N + net) along the solution's path, adaptively
    integrated."""
    game = mixed()
    t = np.linspace(0.0, 0.8, 1601)
    found = solve_execution(game, t)
    q, v = found.stack("inventory"), found.stack("rate")
    alpha, beta = game.permanent(t), game.temporary(t)
    net = game.noise_buy(t) - game.noise_sell(t)
    push = alpha * (v.mean(axis=0) + net)
    h = t[1] - t[0]
    price = np.concatenate([[0.0], np.cumsum((push[1:] + push[:-1]) / 2 * h)])
    paid = v * (price + beta * v.mean(axis=0))
    phi = np.stack([entry(t) for entry in game.running])
    by_hand = -np.trapezoid(paid + phi * q**2, t, axis=1) + price[-1] * q[:, -1] - game.terminal * q[:, -1] ** 2
    np.testing.assert_allclose(found.objectives, by_hand, rtol=5e-6)


@pytest.mark.parametrize("make", [two, mixed])
def test_no_path_gains_more_than_the_discretisation(make):
    """Section 8.1: NashConv falls by about 16 per halving (E2: 5.4e-3, 3.4e-4, 2.1e-5 at n = 10, 20, 40)."""
    game = make()
    gaps = [discrete.nashconv_open_loop(game, n) for n in (10, 20, 40)]
    assert gaps[0] / gaps[1] > 12.0
    assert gaps[1] / gaps[2] > 12.0
    if make is two:
        np.testing.assert_allclose(gaps, [5.4e-3, 3.4e-4, 2.1e-5], rtol=2e-2)
        assert discrete.nashconv_open_loop(game, 20, discrete.naive_rates(game, 20)) == pytest.approx(5.2, rel=1e-2)


def test_best_path_beats_random_paths_in_the_accounting():
    """Brute force: what the best path is worth is the same from any own path, and no random path is worth more."""
    game, steps = mixed(), 12
    rate = discrete.naive_rates(game, steps)
    best = replay(game, rate, "exact") + discrete.open_loop_gains(game, rate)
    generator = np.random.default_rng(5)
    for scale in (0.1, 1.0, 10.0):
        for i in range(3):
            other = rate.copy()
            other[:, i] += scale * generator.normal(size=steps)
            worth = replay(game, other, "exact")[i]
            assert worth < best[i]
            assert worth + discrete.open_loop_gains(game, other)[i] == pytest.approx(best[i], rel=1e-9)


def test_closed_loop_regrets():
    """Section 10.3: 8.2e-4, 2.3e-5 in E2, zero for one trader and at the feedback Nash."""
    np.testing.assert_allclose(closed_loop_regret(two(), open_loop_gain(two())[0]), [8.2e-4, 2.3e-5], rtol=1e-2)
    alone = execution_game([10.0], **E1)
    assert abs(closed_loop_regret(alone, open_loop_gain(alone)[0])[0]) < 1e-10
    for game in (two(), mixed()):
        assert np.abs(closed_loop_regret(game, feedback_gain(game)[0])).max() < 1e-9


@pytest.mark.slow
def test_closed_loop_regrets_of_ten_equal_traders():
    """Section 10.3: .032 each."""
    ten = execution_game([10.0] * 10, **E2)
    np.testing.assert_allclose(closed_loop_regret(ten, open_loop_gain(ten, 1e-7)[0], 1e-7), 0.032, atol=5e-4)


def test_discrete_feedback_nash_approaches_the_continuous_one():
    """Section 10.1: trader 1's J in E2 differs by -1.36, -.64, -.31, -.15 at h = 1/10 .. 1/80."""
    exact = solve_execution(two(), information="feedback").objectives
    off = [discrete.discrete_feedback_nash(two(), n).objectives[0] - exact[0] for n in (10, 20, 40, 80)]
    np.testing.assert_allclose(off, [-1.36, -0.64, -0.31, -0.15], atol=6e-3)
    finer = [np.abs(discrete.discrete_feedback_nash(two(), n, "exact").objectives - exact).max() for n in (40, 80)]
    assert finer[1] < finer[0] < 0.01


@pytest.mark.parametrize("accounting", ["euler", "exact"])
def test_discrete_nash_has_no_regret_and_is_played_as_valued(accounting):
    game = mixed()
    found = discrete.discrete_feedback_nash(game, 20, accounting)
    assert np.abs(discrete.discrete_regret(game, found.gain, accounting)).max() < 1e-10
    np.testing.assert_allclose(discrete.discrete_values(game, found.gain, accounting), found.objectives, rtol=1e-12)
    np.testing.assert_allclose(replay(game, found.rate, accounting), found.objectives, rtol=1e-10)


def replay(game, rate, accounting):
    """The environment's accounting, step by step."""
    steps, n = rate.shape
    h = game.horizon / steps
    price, q, total = 0.0, game.inventory.copy(), np.zeros(n)
    for k in range(steps):
        a, b = k * h, (k + 1) * h

        def mean(f, a=a, b=b):
            return (
                quad(lambda x: float(f(np.array([x]))[0]), a, b, epsabs=1e-13, points=[0.4] if a < 0.4 < b else None)[0]
                / h
            )

        alpha, beta = mean(game.permanent), mean(game.temporary)
        phi = np.array([mean(entry) for entry in game.running])
        shift = mean(lambda x: game.permanent(x) * (game.noise_buy(x) - game.noise_sell(x)))
        move = h * (alpha * rate[k].mean() + shift)
        at = price + (move / 2 if accounting == "exact" else 0.0)
        after = q + h * rate[k]
        held = q**2 if accounting == "euler" else (q**2 + q * after + after**2) / 3
        total -= h * rate[k] * (at + beta * rate[k].mean()) + phi * h * held
        price, q = price + move, after
    return total + price * q - game.terminal * q**2


def test_steps_of_the_discrete_game_match_its_accounting_for_any_rates():
    """15 steps: the table's kink falls inside the eighth, and step averages are exact all the same."""
    game = mixed()
    gain = np.zeros((15, 3, 5))
    gain[:, :, 4] = np.random.default_rng(6).normal(size=(15, 3))
    for accounting in ("euler", "exact"):
        values = discrete.discrete_values(game, gain, accounting)
        np.testing.assert_allclose(values, replay(game, gain[:, :, 4], accounting), rtol=1e-10)


def test_individual_and_cross_impact_has_its_own_first_order_condition():
    """Remark 2.1 (3); with omega = 0 and no permanent impact traders do not interact, so each is Almgren-Chriss with 'N
    = 1'."""
    alone = {**E2, "permanent_impact": 0.0}
    t = np.linspace(0.0, 1.0, 5)
    found = solve_execution(execution_game([10.0, 2.0], cross_impact=0.0, **alone), t)
    np.testing.assert_allclose(found.players[0].inventory, almgren_chriss(10.0, t=t, **alone)[0], rtol=1e-9)
    game = execution_game([10.0, 2.0, -5.0], cross_impact=0.7, **MIXED)
    gaps = [discrete.nashconv_open_loop(game, n) for n in (10, 20, 40)]
    assert gaps[0] / gaps[1] > 12.0
    assert gaps[1] / gaps[2] > 12.0
    assert solve_execution(game).theorem.startswith("Remark 2.1 (3)")


def test_a_flow_without_volatility_is_deterministic_noise():
    """n = 2 + (5 - 2) exp(-3 t) as a mean-reverting flow and as a function of time give the same equilibrium."""
    base = {**E2, "horizon": 0.7}
    start = [10.0, -2.0]
    noisy = execution_game(start, flow=MeanRevertingFlow(5.0, 2.0, 3.0, 0.0), **base)
    plain = execution_game(start, noise_buy="2 + 3*exp(-3*t)", **base)
    for information in ("open_loop", "feedback"):
        a, b = solve_execution(noisy, information=information), solve_execution(plain, information=information)
        np.testing.assert_allclose(a.stack("rate"), b.stack("rate"), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(a.objectives, b.objectives, rtol=1e-9)


def test_a_random_flow_moves_objectives_by_its_variance_only():
    """Linear-quadratic: paths keep their mean, objectives move linearly in volatility^2, and the feedback Nash stays
    without regret."""

    def worth(volatility, information="open_loop"):
        game = execution_game([10.0, -2.0], flow=MeanRevertingFlow(5.0, 2.0, 3.0, volatility), **E2)
        return solve_execution(game, information=information)

    still, small, large = worth(0.0), worth(1.0), worth(2.0)
    np.testing.assert_allclose(small.stack("rate"), still.stack("rate"), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        large.objectives - still.objectives, 4.0 * (small.objectives - still.objectives), rtol=1e-6
    )
    assert np.abs(small.objectives - still.objectives).min() > 1e-6
    game = execution_game([10.0, -2.0], flow=MeanRevertingFlow(5.0, 2.0, 3.0, 2.0), **E2)
    assert np.abs(closed_loop_regret(game, feedback_gain(game)[0])).max() < 1e-9


def simulated(game, policy, noise):
    """Objectives [paths, 2] with Euler steps of the flow; noise [paths, steps] are Brownian increments."""
    paths, steps = noise.shape
    h, flow = 1.0 / steps, game.flow
    q, w, n = np.tile(game.inventory, (paths, 1)), np.zeros(paths), np.full(paths, flow.initial)
    price, total = np.zeros(paths), np.zeros((paths, 2))
    for k in range(steps):
        v = policy((k + 0.5) * h, np.column_stack([q, w, n]))
        move = h * 0.2 * (v.mean(axis=1) + n)
        after = q + h * v
        paid = h * v * (price + move / 2 + 0.1 * v.mean(axis=1))[:, None]
        total -= paid + 0.4 * h * (q**2 + q * after + after**2) / 3
        price, w, q = price + move, w + h * 0.2 * n, after
        n = n + h * flow.reversion * (flow.mean - n) + flow.volatility * noise[:, k]
    return total + price[:, None] * q - 4.0 * q**2


@pytest.mark.slow
def test_expected_objective_under_a_random_flow_matches_simulation():
    """10000 antithetic pairs, fixed seed; the mean lies within four standard errors (chance of failing 6e-5 each).

    A step of 1/400 is biased by 0.008; the same paths at 1/100, 1/200 and 1/400 remove its first two orders, which
    leaves 2e-5 of an interval of 3e-4.
    """
    game = execution_game([10.0, -2.0], flow=MeanRevertingFlow(5.0, 2.0, 3.0, 4.0), **E2)
    found = solve_execution(game)
    pairs, steps = 10_000, 400
    noise = np.random.default_rng(7).normal(size=(pairs, steps)) / np.sqrt(steps)
    noise = np.concatenate([noise, -noise])
    path = np.zeros((2 * pairs, 2))
    for weight, times in ((1 / 3, 4), (-2.0, 2), (8 / 3, 1)):
        path += weight * simulated(game, found.policy, noise.reshape(2 * pairs, steps // times, times).sum(axis=2))
    pair = (path[:pairs] + path[pairs:]) / 2
    error = 4.0 * pair.std(axis=0, ddof=1) / np.sqrt(pairs)
    assert np.all(np.abs(pair.mean(axis=0) - found.objectives) < error)


def test_conditions_are_reported_and_choose_the_theorem():
    assert solve_execution(mixed()).theorem == "Theorem 2.10"
    assert (
        solve_execution(
            execution_game([1.0, 2.0], **{**E2, "permanent_impact": 0.0, "running_penalty": [0.1, 0.2]})
        ).theorem
        == "Theorem 2.7 (1)"
    )
    weak = solve_execution(execution_game([1.0, 2.0], **{**E2, "permanent_impact": 1.0}))
    entry = weak.condition("Assumption 2.4: concavity")
    assert not entry.holds
    assert entry.value == pytest.approx(4 * 2 * 0.1 * 0.4 - 1.0)
    assert weak.theorem.startswith("none: Assumption 2.4 fails")
    assert solve_execution(two(), information="feedback").theorem.startswith("none")


def test_policy_repeats_the_path_and_the_json_is_plain():
    found = solve_execution(mixed(), np.linspace(0.0, 0.8, 9))
    for k, now in enumerate(found.t):
        np.testing.assert_allclose(
            found.policy(now, found.stack("inventory")[:, k])[0], found.stack("rate")[:, k], rtol=1e-9
        )
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(plain) == ["model", "information", "theorem", "conditions", "t", "players", "diagnostics"]
    assert plain["players"][2]["rate"][0] == pytest.approx(found.players[2].rate[0])
    assert {"name", "holds", "value"} <= set(plain["conditions"][0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temporary_impact": 0.0}, "temporary_impact: found 0 at t = 0; it must be above 0"),
        ({"horizon": -1.0}, "horizon: found -1.0"),
        ({"running_penalty": [1.0]}, "1 values for 2 players"),
        ({"terminal_penalty": -1.0}, "terminal_penalty: found -1.0"),
        ({"cross_impact": 2.0}, "cross_impact: found 2.0"),
        ({"noise_buy": 1.0, "flow": MeanRevertingFlow(0, 0, 1, 1)}, "not both"),
        ({"flow": MeanRevertingFlow(0, 0, -1, 1)}, "found reversion -1"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(change, says):
    with pytest.raises(ValueError, match=says):
        execution_game([10.0, 2.0], **{**E2, **change})


@pytest.mark.parametrize("scale", [1e3, 1e7])
def test_shares_have_no_scale(scale):
    """Two shares or twenty million: the same paths, but for the unit."""
    small, large = (solve_execution(execution_game([-2.0 * x, x], **E2)) for x in (1.0, scale))
    for one, other in zip(small.players, large.players, strict=True):
        np.testing.assert_allclose(other.inventory / scale, one.inventory, atol=1e-7)
        assert other.objective / scale**2 == pytest.approx(one.objective, rel=1e-8)


def test_a_coefficient_that_is_singular_between_test_points_ends_in_a_sentence(monkeypatch):
    monkeypatch.setattr(riccati, "EVALUATIONS", 2000)
    game = execution_game([-2.0, 1.0], **{**E2, "running_penalty": "(t - 0.123456)**-2"})
    with pytest.raises(NoEquilibrium, match=r"is at t = 0\.1\d+ after 2000 evaluations: a coefficient is singular"):
        solve_execution(game)


def test_ill_posed_games_say_where_they_fail():
    with pytest.raises(NoEquilibrium, match=r"blows up near t = \d\.\d+ \(horizon 3"):
        solve_execution(
            execution_game(
                [1.0],
                **{**E2, "horizon": 3.0, "permanent_impact": 2.0, "running_penalty": 0.0, "terminal_penalty": 0.0},
            )
        )
    with pytest.raises(ValueError, match=r"^rate: found nan; allowed are finite numbers$"):
        discrete.nashconv_open_loop(execution_game([1.0], **E2), 2, np.array([[1.0], [np.nan]]))
    with pytest.raises(NoEquilibrium, match="unbounded"):
        discrete.nashconv_open_loop(
            execution_game([1.0], **{**E2, "permanent_impact": 4.0, "terminal_penalty": 0.0}), 10, np.zeros((10, 1))
        )
    with pytest.raises(ValueError, match="information: found 'closed'"):
        solve_execution(two(), information="closed")
