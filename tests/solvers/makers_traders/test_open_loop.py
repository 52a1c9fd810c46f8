"""Open-loop equilibria of makers and traders against printed values, closed forms and brute force."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import simpson, solve_bvp
from scipy.optimize import minimize

from arena.solvers.makers_traders import deviations
from arena.solvers.makers_traders.costs import GeneralCost
from arena.solvers.makers_traders.open_loop import MakersTraders, NoEquilibrium, makers_traders, solve_makers_traders
from arena.solvers.makers_traders.shares import GeneralShare, Logistic, Relative

pytestmark = pytest.mark.anywhere

BASE = {
    "horizon": 1.0,
    "running_penalty": 0.1,
    "terminal_penalty": 0.5,
    "temporary_impact": 0.2,
    "noise_buy": 3.0,
    "noise_sell": 2.0,
}
QUIET = {**BASE, "running_penalty": 0.0, "noise_buy": 0.0, "noise_sell": 0.0}
EVEN = {**BASE, "noise_buy": 3.0, "noise_sell": 3.0}
MIXED = {
    **BASE,
    "noise_buy": "3 + 2*sin(5*t)",
    "noise_sell": {"t": [0.0, 0.5, 1.0], "value": [2.0, 1.0, 3.0]},
    "temporary_impact": "0.2 + 0.1*t",
    "running_penalty": [0.1, 0.2, 0.3, 0.1, "0.2 + 0.1*t", 0.05],
    "terminal_penalty": [0.5, 0.6, 0.4, 1.0, 2.0, 3.0],
    "cross_impact": 0.5,
}


def product_share(decay, slope):
    """zeta^i = exp(-decay delta^i) G^i, G^i = 1 + sigmoid of slope times the mean of the others' distances (Guo & Jin,
    Definition 5.1)."""

    def parts(d):
        m = d.shape[1]
        others = (d.sum(axis=1, keepdims=True) - d) / (m - 1)
        g = 1 / (1 + np.exp(-slope * others))
        return np.exp(-decay * d), 1 + g, slope * g * (1 - g) / (m - 1), m

    def value(d):
        own, rest, _, _ = parts(d)
        return own * rest

    def first(d):
        own, rest, bend, m = parts(d)
        eye = np.eye(m)
        return (own * bend)[:, :, None] * (1 - eye) - (decay * own * rest)[:, :, None] * eye

    def second(d):
        own, rest, bend, m = parts(d)
        eye = np.eye(m)
        return (-decay * own * bend)[:, :, None] * (1 - eye) + (decay**2 * own * rest)[:, :, None] * eye

    return GeneralShare(value, first, second)


QUARTIC = GeneralCost(
    lambda t, v: 0.2 * v**2 + 0.001 * v**4 + 0.05 * v * v.mean(axis=1, keepdims=True),
    lambda t, v: 0.4 * v + 0.004 * v**3 + 0.05 * (v.mean(axis=1, keepdims=True) + v / v.shape[1]),
    lambda t, v: (0.4 + 0.012 * v**2)[:, :, None] * np.eye(v.shape[1]) + 0.05 * (1 + np.eye(v.shape[1])) / v.shape[1],
)
CASES = {
    "best quote": makers_traders([4, 1], [-10], share=Relative(1.0), **BASE),
    "logistic": makers_traders([4, 1], [-10], share=Logistic(1.0), **BASE),
    "buyers and sellers": makers_traders([4, 1, -2], [-10, -6, 7], share=Logistic(1.3, (0.0, 0.2, -0.1)), **MIXED),
    "best quote of three": makers_traders([4, 1, -2], [-10, -6, 7], share=Relative(1.1), **MIXED),
    "product share": makers_traders([2, -1], [-5, 4], share=product_share(1.0, 0.8), **BASE),
    "quartic cost": makers_traders([2, -1], [-5, 4], share=Logistic(1.0), **{**BASE, "temporary_impact": QUARTIC}),
    "seller": makers_traders([-2, 1], [6], share=Relative(1.5), **BASE),
    "average price": makers_traders([4, 1], [-10], share=Logistic(1.0), trader_price="vwap", **BASE),
}


@pytest.mark.parametrize(
    ("makers", "traders", "share", "given", "ask", "bid", "rate", "worth"),
    [
        (
            [4, 1],
            [-10],
            Relative(1.0),
            BASE,
            [4.144356, 4.443975],
            None,
            6.885458,
            [28.45300, 17.70321, -44.23171],
        ),  # A1
        (
            [1, 1],
            [-10],
            Relative(1.0),
            BASE,
            [5.285739, 5.285739],
            None,
            5.821307,
            [21.49121, 21.49121, -48.35124],
        ),  # A2
        (
            [1, 0],
            [-10],
            Relative(1.0),
            QUIET,
            [4.440224, 4.551843],
            None,
            3.971269,
            [13.79802, 9.859636, -38.96032],
        ),  # A3
        (
            *([4, 1], [-10], Logistic(1.0), BASE),
            *([2.563453, 3.011146], [1.640347, 1.192653], 7.914369, [14.51038, 11.11608, -36.21913]),
        ),  # L1
        ([0, 0], [], Logistic(2.0), EVEN, [1.0, 1.0], [1.0, 1.0], None, [3.0, 3.0]),  # L3: M/(c(M-1))
        ([0, 0], [], Relative(2.0), EVEN, [0.5, 0.5], [0.5, 0.5], None, [3.0, 3.0]),  # M1: 1/gamma, (a+b)T/gamma
        ([2, 2], [], Relative(1.0), BASE, [-0.3, -0.3], [2.3, 2.3], None, [3.133333, 3.133333]),  # M2: Y_0 = -1.3
    ],
)
def test_printed_cases(makers, traders, share, given, ask, bid, rate, worth):
    """Reference cases of section 9 of the model."""
    found = solve_makers_traders(makers_traders(makers, traders, share=share, **given))
    np.testing.assert_allclose(found.stack("ask")[:, 0], ask, rtol=1e-6)
    if bid is not None:
        np.testing.assert_allclose(found.stack("bid")[:, 0], bid, rtol=1e-6)
    if rate is not None:
        assert found.players[2].rate[0] == pytest.approx(rate, rel=1e-6)
    np.testing.assert_allclose(found.objectives, worth, rtol=1e-6)


def test_another_boundary_value_solver_agrees():
    """scipy's solve_bvp on the equations (18)-(19) of A1, written out."""

    def slope(t, z):
        q, y = z[:3], z[3:]
        v = (y[2] - y[0] - 1.0) / 0.4
        near, far = np.exp(-(y[0] - y[1])), np.exp(y[0] - y[1])
        return np.vstack([-(3 + v) * near + 2 * far, -(3 + v) * far + 2 * near, v, 0.2 * q])

    def ends(first, last):
        return np.concatenate([first[:3] - [4, 1, -10], last[3:] + last[:3]])

    t = np.linspace(0, 1, 101)
    guess = np.vstack([np.outer([4, 1, -10], np.ones(101)), np.outer([1, 1, 8], np.ones(101))])
    other = solve_bvp(slope, ends, t, guess, tol=1e-10, max_nodes=20_000)
    assert other.success
    found = solve_makers_traders(CASES["best quote"], t)
    np.testing.assert_allclose(found.stack("inventory"), other.sol(t)[:3], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.stack("adjoint"), other.sol(t)[3:], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("game", CASES.values(), ids=CASES)
def test_no_player_gains_more_than_the_discretisation(game):
    """Brute-force unilateral deviations: NashConv falls by at least 12 per halving of the cells (pure O(h^4))."""
    gaps = deviations.convergence(game, [10, 20, 40])
    assert gaps[0] / gaps[1] > 12.0
    assert gaps[1] / gaps[2] > 12.0
    assert gaps[1] < 2e-4


def test_gaps_of_known_cases():
    """Section 8.1: A1 3.7e-5 and 2.4e-6, L1 3.9e-6 and 2.4e-7 at n = 10, 20; naive play 80.6 and 19.1."""
    for name, first, second, naive in (("best quote", 3.7e-5, 2.4e-6, 80.6), ("logistic", 3.9e-6, 2.4e-7, 19.1)):
        game = CASES[name]
        np.testing.assert_allclose(deviations.convergence(game, [10, 20]), [first, second], rtol=3e-2)
        start = deviations.naive_profile(game, 20)
        assert deviations.nashconv_open_loop(game, 20, start) == pytest.approx(naive, rel=1e-2)
        with pytest.raises(ValueError, match=r"^bid: found nan; allowed are finite numbers$"):
            deviations.nashconv_open_loop(game, 20, replace(start, bid=start.bid * np.nan))


def test_the_gap_has_power():
    """Section 8.1: maker 0's ask shifted by +0.05 leaves gains (0.11, 0.054, 0.0008) in A1 and (0.012, 0.0058, 0.0008)
    in L1."""
    for name, gains in (("best quote", [0.11, 0.054, 0.0008]), ("logistic", [0.012, 0.0058, 0.0008])):
        game = CASES[name]
        profile = deviations.equilibrium_profile(game, 40)
        profile.ask[:, 0] += 0.05
        np.testing.assert_allclose(deviations.open_loop_gains(game, profile), gains, rtol=0.07)


@pytest.mark.parametrize("name", ["buyers and sellers", "best quote of three", "quartic cost"])
def test_best_responses_match_a_general_optimiser(name):
    """L-BFGS-B on the piecewise constant controls of one player finds nothing better than the Newton reply, from naive
    play."""
    game, steps = CASES[name], 5
    profile = deviations.naive_profile(game, steps)
    before = deviations.play(game, profile)[1]
    for player in range(game.start.size):
        gain, reply = deviations.best_response(game, profile, player)

        def loss(x, player=player):
            ask, bid, rate = profile.ask.copy(), profile.bid.copy(), profile.rate.copy()
            if player < game.makers:
                ask[:, player], bid[:, player] = x[:steps], x[steps:]
            else:
                rate[:, player - game.makers] = x
            return -deviations.play(game, deviations.Profile(ask, bid, rate))[1][player]

        if player < game.makers:
            x0 = np.concatenate([profile.ask[:, player], profile.bid[:, player]])
            bounds = None
        else:
            x0 = profile.rate[:, player - game.makers]
            low, high = game.bounds
            bounds = [(low[player - game.makers], high[player - game.makers])] * steps
        other = minimize(
            loss, x0, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
        )
        assert -other.fun - before[player] <= gain + 1e-9
        assert -other.fun - before[player] == pytest.approx(gain, rel=1e-5, abs=1e-7)
        assert deviations.play(game, reply)[1][player] - before[player] == pytest.approx(gain)


def test_objectives_are_the_integrals_of_their_definition():
    """Simpson's rule along the printed paths, 600 steps."""
    t = np.linspace(0.0, 1.0, 601)
    for name in ("best quote of three", "buyers and sellers"):
        game = CASES[name]
        found = solve_makers_traders(game, t)
        ask, bid, v, q = (found.stack(key).T for key in ("ask", "bid", "rate", "inventory"))
        a = game.noise_buy(t) + v[:, :2].sum(axis=1)
        b = game.noise_sell(t) - v[:, 2]
        edge = a[:, None] * ask * game.share.shares(ask) + b[:, None] * bid * game.share.shares(bid)
        price = np.column_stack([ask.min(axis=1), ask.min(axis=1), -bid.min(axis=1)])
        impact = (0.2 + 0.1 * t)[:, None] * v * (v + 0.25 * (v.sum(axis=1, keepdims=True) - v))
        running = np.column_stack([edge, -price * v - impact]) - game.penalty(t) * q**2
        by_hand = simpson(running, x=t, axis=0) - game.terminal * q[-1] ** 2
        np.testing.assert_allclose(found.objectives, by_hand, rtol=1e-6)  # quotes cross: Simpson is of order two there


def test_logistic_shares_clear_the_market():
    """Sum of inventories = initial sum + int (b - a) dt: the defect is below 1e-9."""
    for name in ("logistic", "quartic cost"):
        game = CASES[name]
        found = solve_makers_traders(game)
        total = found.stack("inventory").sum(axis=0)
        np.testing.assert_allclose(total - total[0], -1.0 * found.t, atol=1e-9)
        assert found.diagnostics["clearing_defect"] < 1e-9
    game = CASES["buyers and sellers"]
    t = np.array([0.0, 1.0])
    total = solve_makers_traders(game, t).stack("inventory").sum(axis=0)
    bought = 3.0 + 2.0 * (1.0 - np.cos(5.0)) / 5.0
    assert total[1] - total[0] == pytest.approx(1.75 - bought, abs=1e-9)


def test_order_is_kept_and_noise_moves_quotes_as_it_should():
    """Acceptance tests 6, 7 and 13: Q1 >= Q2, Y1 <= Y2; more noise buying raises asks and lowers bids by the same
    amount."""
    calm, busy = (
        solve_makers_traders(makers_traders([4, 1], [-10], share=Relative(1.0), **{**BASE, "noise_buy": a}))
        for a in (3.0, 3.5)
    )
    for found in (calm, busy):
        q, y = found.stack("inventory"), found.stack("adjoint")
        assert np.all(q[0] >= q[1])
        assert np.all(y[0] <= y[1])
        np.testing.assert_allclose(found.stack("ask") + found.stack("bid"), 2.0, atol=1e-12)
    assert np.all(busy.stack("ask") > calm.stack("ask"))
    np.testing.assert_allclose(busy.stack("ask") - calm.stack("ask"), calm.stack("bid") - busy.stack("bid"), atol=1e-12)
    assert busy.players[2].rate[0] < calm.players[2].rate[0]


def test_truncations_bind_and_are_reported():
    game = makers_traders([4, 1], [-10], share=Relative(1.0), max_rate=5.0, max_distance=4.2, **BASE)
    found = solve_makers_traders(game)
    assert found.players[2].rate.max() <= 5.0
    assert np.abs(found.stack("ask")).max() <= 4.2
    assert not found.condition("rates below max_rate").holds
    assert not found.condition("quotes inside max_distance").holds
    assert max(deviations.open_loop_gains(game, deviations.equilibrium_profile(game, 80))) < 1e-3
    floor = makers_traders([4, 1], [-1], share=Relative(1.0), min_rate=0.5, **BASE)
    assert solve_makers_traders(floor).players[2].rate.min() == pytest.approx(0.5)
    assert not solve_makers_traders(floor).condition("rates above min_rate").holds


def test_kinks_of_tables_jumps_and_bounds_are_resolved():
    """A rate that meets its bound and a noise flow that jumps: the answer does not depend on the output mesh, to eight
    digits."""
    given = {**BASE, "noise_buy": lambda t: 3.0 if t < 0.37 else 9.0}
    game = makers_traders([4, 1, -2], [-10, -3, 5], share=Relative(1.0), cross_impact=0.5, **given)
    coarse = solve_makers_traders(game, [0.0, 1.0])
    fine = solve_makers_traders(game, np.linspace(0.0, 1.0, 213))
    assert fine.diagnostics["least_rate"] == 0.0
    np.testing.assert_allclose(coarse.objectives, fine.objectives, rtol=1e-8)
    np.testing.assert_allclose(coarse.stack("ask")[:, 0], fine.stack("ask")[:, 0], rtol=1e-8)


def test_general_rules_reduce_to_the_named_ones():
    """An intensity exp(-x) given with derivatives is the best-quote rule; its solution is Newton's, not the closed
    form's."""
    given = Relative(intensity=(lambda x: np.exp(-x), lambda x: -np.exp(-x), lambda x: np.exp(-x)))
    one = solve_makers_traders(CASES["best quote"])
    other = solve_makers_traders(makers_traders([4, 1], [-10], share=given, **BASE))
    np.testing.assert_allclose(one.objectives, other.objectives, rtol=1e-10)
    assert other.condition("Definition 3.4: curvature ratio").value == pytest.approx(1.0)


def test_large_games_and_strong_penalties_are_reached_by_continuation():
    """Penalties far from zero: Newton alone fails, switching the penalties on gradually does not."""
    strong = makers_traders(
        [30, -20], [-60], share=Logistic(1.0), **{**BASE, "terminal_penalty": 5.0, "running_penalty": 2.0}
    )
    assert max(deviations.open_loop_gains(strong, deviations.equilibrium_profile(strong, 80))) < 0.5
    best = makers_traders([9, 1], [-40], share=Relative(1.0), **{**BASE, "terminal_penalty": 2.0})
    found = solve_makers_traders(best)
    assert found.diagnostics["local_error"] < 1e-7


def test_three_makers_and_three_traders_take_little_work():
    """Measured: 15 Newton steps on at most 237 cells, well below a second; five seconds are allowed."""
    work = solve_makers_traders(CASES["best quote of three"]).diagnostics
    assert work["newton_steps"] <= 30
    assert work["cells"] <= 500
    assert work["continuation_steps"] == 0


def test_theorem_and_json():
    found = solve_makers_traders(CASES["buyers and sellers"])
    assert found.theorem.startswith("Theorem 5.4")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(plain) == ["model", "information", "theorem", "conditions", "t", "players", "diagnostics"]
    assert [player["role"] for player in plain["players"]] == ["maker"] * 3 + ["trader"] * 3
    assert len(plain["players"][0]["ask"]) == len(plain["t"]) == 101
    assert solve_makers_traders(CASES["best quote"]).theorem.startswith("Theorem 3.9")
    assert solve_makers_traders(CASES["average price"]).theorem.startswith(
        "none: the paper's traders pay the best quote"
    )
    rising = Relative(intensity=(lambda x: np.exp(-x) + 0.2, lambda x: -np.exp(-x), lambda x: np.exp(-x)))
    odd = solve_makers_traders(makers_traders([1, 0], [], share=rising, **BASE))
    assert odd.theorem.startswith("none: not satisfied along the solution: Definition 3.4")


def test_average_price_makes_cash_clear():
    """With trader_price 'vwap' traders pay what makers collect from them: the sum of all objectives has no leak
    left."""
    game = CASES["average price"]
    t = np.linspace(0.0, 1.0, 201)
    found = solve_makers_traders(game, t)
    ask, rate = found.stack("ask").T, found.players[2].rate
    quiet = {**BASE, "noise_buy": 0.0, "noise_sell": 0.0}
    alone = solve_makers_traders(makers_traders([4, 1], [-10], share=Logistic(1.0), trader_price="vwap", **quiet), t)
    v, q = alone.players[2].rate, alone.stack("inventory")
    total = simpson(-0.2 * v**2 - 0.1 * (q**2).sum(axis=0), x=t) - 0.5 * (q[:, -1] ** 2).sum()
    assert alone.objectives.sum() == pytest.approx(total, rel=1e-6)
    assert ask.shape == (201, 2)
    assert rate.min() > 0.0


@pytest.mark.parametrize(
    ("makers", "traders", "change", "says"),
    [
        ([], [-1], {}, "found no maker"),
        ([1], [-1], {}, "found 1 maker"),
        ([1, 2], [0], {}, "starts with 0 shares"),
        ([1, 2], [-1], {"noise_buy": "1 - 2*t"}, "noise_buy: found -1 at t = 1"),
        ([1, 2], [-1], {"temporary_impact": 0.0}, "temporary_impact: found 0"),
        ([1, 2], [-1], {"running_penalty": -0.1}, "running_penalty: found -0.1"),
        ([1, 2], [-1], {"terminal_penalty": [1, 2]}, "2 values for 3 players"),
        ([1, 2], [-1], {"cross_impact": 2.0}, "cross_impact: found 2.0"),
        ([1, 2], [-1], {"min_rate": 2.0, "max_rate": 1.0}, "min_rate, max_rate: found 2.0 and 1.0"),
        ([1, 2], [-1], {"max_distance": 0.0}, "max_distance: found 0.0"),
        ([1, 2], [-1], {"trader_price": "worst"}, "trader_price: found 'worst'"),
        ([1, 2], [-1], {"trader_side": ["up"]}, "trader_side: found"),
        ([1, 2], [-1], {"horizon": 0.0}, "horizon: found 0.0"),
        ([1, np.nan], [-1], {}, "finite numbers"),
        ([1, 2, 3], [-1], {"share": Logistic(1.0, (0.0, 1.0))}, "offsets: found 2 for 3 makers"),
    ],
)
def test_bad_games_are_refused_in_one_sentence(makers, traders, change, says):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        makers_traders(makers, traders, **{"share": Relative(1.0), **BASE, **change})


def test_output_times_are_checked():
    with pytest.raises(ValueError, match="output times must increase"):
        solve_makers_traders(CASES["logistic"], [0.5, 0.2])
    with pytest.raises(ValueError, match="output times must increase"):
        solve_makers_traders(CASES["logistic"], [0.5, 1.2])


def test_no_solution_is_a_sentence(monkeypatch):
    """With drifts 1 + Y^2, no running penalty and 2 A = T = 1, marginal values are constant and solve, at a share s of
    the penalties, y = -s (q + 1 + y^2): no real number does for s > 1 / (2 sqrt(q + 1)), 22.36 % at q = 4, whatever
    path Newton's method takes."""

    def drift(self, t, y):
        return 1.0 + y**2, 2.0 * y[:, :, None] * np.eye(y.shape[1])

    monkeypatch.setattr(MakersTraders, "drift", drift)
    with pytest.raises(NoEquilibrium, match=r"^no equilibrium found: with the penalties at 22\.3[56]% of"):
        solve_makers_traders(makers_traders([4, 1], [], share=Relative(1.0), **QUIET))
