"""Exact gains in fluid flow against printed values, against the HJB's best replies and against the search."""

import numpy as np
import pytest
from scipy import stats

from agents.nash import NashExecutor, NashMaker, NashTrader
from arena.gaps.nash_gap import engines, nash_gap
from arena.gaps.profile import Profile, Search, naive_acts
from arena.markets.dealer.gaps.gradient_response import CLOSED, OPEN, Players, ascend, best_gains
from arena.markets.dealer.gaps.starts import at_zero, nominal, seat_gains
from arena.markets.dealer.gaps.twin import FluidGame
from arena.markets.dealer.market import DealerMarket
from arena.scenario import load
from arena.solvers.makers_traders.best_replies import open_loop_rule, policy_gains
from arena.solvers.makers_traders.open_loop import makers_traders
from arena.solvers.makers_traders.shares import Logistic

DUEL = load("logistic_duel").market


def with_steps(market: DealerMarket, steps: int) -> DealerMarket:
    tree = market.model_dump(mode="json")
    return DealerMarket.model_validate({**tree, "clock": {**tree["clock"], "steps": steps}})


def theory():
    return makers_traders(
        [4, 1], [-10], horizon=1.0, share=Logistic(1.0), noise_buy=3.0, noise_sell=2.0, running_penalty=0.1,
        terminal_penalty=0.5, temporary_impact=0.2,
    )  # fmt: skip


def feedback_acts(market: DealerMarket, policy):
    """A policy(t, Q [m, 3]) -> asks, bids, rate as acts that look at the start of every step and hold."""
    horizon, makers, traders = market.clock.horizon, market.role("maker"), market.role("executor")

    def controls(time_left, q):
        out = np.empty((len(q), 5))
        for left in np.unique(time_left):
            out[time_left == left] = policy(horizon - left, q[time_left == left])
        return out

    def maker(seat):
        def act(observation, noise):
            left, own, other, remaining = np.asarray(observation, dtype=float).T
            q = np.stack([own, other, -remaining] if seat == 0 else [other, own, -remaining], axis=1)
            found = controls(np.round(left, 12), q)
            ask, bid = found[:, seat], found[:, 2 + seat]
            return makers.action.to_unit(np.stack([0.5 * (ask + bid), 0.5 * (ask - bid)], axis=1))

        return act

    def trader(observation, noise):
        seen = np.asarray(observation, dtype=float)
        q = np.stack([seen[:, 4], seen[:, 5], -seen[:, 1]], axis=1)
        return traders.action.to_unit(controls(np.round(seen[:, 0], 12), q)[:, 4:])

    return {"mm_0": maker(0), "mm_1": maker(1), "trader_0": trader}


def gains(market: DealerMarket, acts, flavour: str = CLOSED) -> np.ndarray:
    game = FluidGame(market)
    return best_gains(game, Players(market, acts, {}), at_zero(nominal(game)), flavour)[0]


def test_every_row_climbs_alone() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 12, 12))
    curvature, top = root @ root.transpose(0, 2, 1) + np.eye(12), rng.normal(size=(6, 12))

    def value(rows, x):
        away = x - top[rows]
        pull = np.einsum("rij,rj->ri", curvature[rows], away)
        return -0.5 * (away * pull).sum(axis=1), -pull

    best, found = ascend(value, np.zeros((6, 12)))
    np.testing.assert_allclose(found, top, atol=1e-4)
    np.testing.assert_allclose(best, 0.0, atol=1e-8)


@pytest.mark.parametrize(("scenario", "printed"), [("logistic_duel", 19.1), ("execution_game", 5.2)])
def test_the_naive_profiles_have_the_printed_gap(scenario: str, printed: float) -> None:
    """Guo-Jin reference, section 8.1, to the printed digits (and 20 steps for the duel)."""
    market = with_steps(load(scenario).market, 20)
    assert gains(market, naive_acts(market).acts).sum() == pytest.approx(printed, rel=0.012)


def seated(market: DealerMarket, information: str):
    trader = NashTrader if market.makers.count else NashExecutor
    acts = {seat: NashMaker(information=information).sit(market, seat) for seat in market.maker_names}
    return acts | {seat: trader(information=information).sit(market, seat) for seat in market.executor_names}


@pytest.mark.parametrize(
    ("scenario", "printed"),
    [("logistic_duel_time_only", {10: 3.9e-6, 20: 2.4e-7}), ("execution_game", {20: 3.4e-4, 40: 2.1e-5})],
)
def test_the_open_loop_equilibrium_has_no_open_loop_gap(scenario: str, printed: dict[int, float]) -> None:
    """Held at the middle of a step its gain is the discretisation printed in section 8.1, of fourth order."""
    market = load(scenario).market
    for steps, expected in printed.items():
        one = with_steps(market, steps)
        assert gains(one, seated(one, "open_loop"), OPEN).sum() == pytest.approx(expected, rel=0.05)
    coarse, fine = printed.values()
    assert coarse > 12.0 * fine


def test_feedback_equilibria_have_no_closed_loop_gap() -> None:
    """Exact in the execution game's own steps; in the duel that of continuous time, off by the 20 steps."""
    market = with_steps(load("execution_game").market, 20)
    assert gains(market, seated(market, "feedback")).sum() < 1e-8
    assert gains(market, seated(market, "feedback"), OPEN).sum() > 1e-4  # it is another game
    duel = gains(DUEL, seated(DUEL, "feedback")).sum()
    assert 0.0 < duel < 2e-4 * 19.1


def test_replies_to_the_open_loop_rule_gain_what_the_paper_game_says() -> None:
    """.486, .015, .294 at 20 steps (training reference, section 9); .4996, .0184, .2812 in the limit."""
    acts = feedback_acts(DUEL, open_loop_rule(theory()))
    np.testing.assert_allclose(gains(DUEL, acts), [0.486, 0.015, 0.294], atol=5e-4)


def test_replies_to_a_smooth_policy_converge_to_the_hjb_s() -> None:
    """An affine policy: gains at 10, 20 and 40 steps extrapolate to those of the collocation in the limit.

    Opponents look at the start of a step only, so the error is c h + d h^2.
    """

    def affine(now, q):
        skew = -0.3 * (1.0 + now) * q[:, :2] - 0.2 * q[:, 2:]
        rate = -q[:, 2] * (0.6 + 0.1 * now)
        return np.concatenate([2.0 + skew, 2.2 - skew, rate[:, None]], axis=1)

    limit = policy_gains(theory(), affine)
    ten, twenty, forty = (gains(with_steps(DUEL, n), feedback_acts(with_steps(DUEL, n), affine)) for n in (10, 20, 40))
    np.testing.assert_allclose((8 * forty - 6 * twenty + ten) / 3.0, limit, rtol=5e-4, atol=1e-4)
    acts = feedback_acts(DUEL, affine)
    engine = nash_gap(DUEL, Profile(acts, dict.fromkeys(acts, "affine")), Search(), engine="hjb")
    np.testing.assert_allclose([seat.gain for seat in engine.seats], limit, rtol=1e-6)
    assert engine.low < engine.nashconv < engine.high  # its numerical error
    assert engine.high - engine.low < 0.01 * engine.nashconv


def test_the_engine_is_chosen_where_it_applies_and_beats_the_search() -> None:
    market = load("logistic_duel_time_only").market
    profile = naive_acts(market)
    exact = nash_gap(market, profile, Search())
    assert [seat.kind for seat in exact.seats] == ["exact"] * 3
    assert exact.low == exact.high == exact.nashconv
    below = nash_gap(market, profile, Search(games=8, choice_games=8, generations=10), engine="search")
    for one, other in zip(exact.seats, below.seats, strict=True):
        assert other.kind == "lower bound"
        assert 0.3 * one.gain < other.gain <= one.gain + 1e-6
    assert exact.views()["open loop, nominal start"]["nashconv"] == pytest.approx(exact.nashconv)  # nobody can react
    other = load("two_mm_one_trader").market
    assert not any(engine.applies(other, naive_acts(other)) for engine in engines(other)[:-1])


def test_the_hjb_engine_says_where_it_cannot_answer() -> None:
    with pytest.raises(ValueError, match="kink on the path"):
        nash_gap(DUEL, naive_acts(DUEL), Search(), engine="hjb")  # both makers quote the same
    other = load("execution_game").market
    with pytest.raises(ValueError, match="does not cover"):
        nash_gap(other, naive_acts(other), Search(), engine="hjb")


def test_drawn_starts_need_eyes_for_an_exact_gap() -> None:
    tree = DUEL.model_dump(mode="json")
    blind = {"makers": {**tree["makers"], "observe": {"own": True, "last": False, "rivals": "none"}}}
    hidden = DealerMarket.model_validate({**tree, **blind})
    with pytest.raises(ValueError, match="does not cover"):
        nash_gap(hidden, naive_acts(hidden), Search(views=False), engine="gradient")
    gap = nash_gap(DUEL, naive_acts(DUEL), Search(views=False))
    assert gap.low < gap.nashconv < gap.high  # the draw of the starts is a sample
    assert len(gap.seats[0].differences) == 32


def test_the_interval_of_a_mean_over_starts_is_student_s_and_the_error_comes_on_top() -> None:
    gains, error = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]]), np.array([0.0, 0.25])
    one, two = seat_gains(("a", "b"), gains, 0.95, [{}, {}], "test", error)
    low, high = stats.t.interval(0.95, 2, gains[:, 0].mean(), stats.sem(gains[:, 0]))
    assert (one.low, one.high, one.se) == (pytest.approx(low), pytest.approx(high), stats.sem(gains[:, 0]))
    assert (two.low, two.gain, two.high) == (4.75, 5.0, 5.25)
    alone = seat_gains(("a",), gains[:1, :1], 0.95, [{}], "test")[0]
    assert (alone.low, alone.high, alone.differences) == (1.0, 1.0, None)  # one start is no sample


def test_an_unknown_engine_is_refused_in_a_sentence() -> None:
    profile = Profile({}, {})
    with pytest.raises(ValueError, match=r"allowed are .*gradient"):
        nash_gap(DUEL, profile, Search(), engine="magic")
    with pytest.raises(ValueError, match="does not cover"):
        nash_gap(load("two_mm_one_trader").market, profile, Search(), engine="gradient")
