"""Scripted executors against their equations, their limits, and the cost that theory gives them in a fluid market."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from agents.executors import TWAP, AlmgrenChriss, Immediate
from agents.makers import naive_profile
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.rollout import Rollout, play, seeds_of
from arena.scenario import load

TWO = load("two_mm_one_trader").market
ETA, PHI, TERMINAL = 0.002, 0.01, 0.2
EXECUTORS = (TWAP(), AlmgrenChriss(), Immediate())


def fluid(steps: int, half_spread: float = 0.0, **executor: float) -> DealerMarket:
    """A market where one maker stands still and takes everything, so that only the executor's own costs are left."""
    tree = TWO.model_dump(mode="json")
    tree["clock"]["steps"] = steps
    tree["flow"] |= {"orders": "fluid", "rule": {"kind": "exponential", "fill_decay": 10}}
    tree["makers"] |= {"count": 1, "inventory_limit": None, "min_distance": half_spread}
    tree["makers"]["observe"]["rivals"] = "none"
    tree["executors"][0] |= {"side": "buy", "rate": [0, 1000]} | executor
    return DealerMarket.model_validate(tree)


def trade(market: DealerMarket, recipe: object) -> Rollout:
    """One game of `recipe` against a maker at the least distance."""
    still = np.full((1, 2 * market.n), -1.0)
    still[:, 1::2] = 0.0
    act = recipe.sit(market, "trader_0")  # type: ignore[attr-defined]
    players = {"mm_0": lambda observation, noise: still, "trader_0": act}
    return play(Game(market, 1), players, seeds_of(1, 1), trace=True)


def test_twap_trades_equal_slices_and_finishes() -> None:
    left = trade(fluid(50), TWAP()).path("remaining")[:, 0, 0]
    np.testing.assert_allclose(left, np.linspace(30, 0, 51), atol=1e-4)  # observations are float32


def test_immediate_is_done_at_the_speed_limit() -> None:
    left = trade(fluid(50, rate=[0, 300]), Immediate()).path("remaining")[:, 0, 0]
    np.testing.assert_allclose(left[:6], [30, 24, 18, 12, 6, 0], atol=1e-4)


def test_almgren_chriss_solves_the_riccati_equations() -> None:
    d = 0.03
    times = np.linspace(0.0, 2.0, 41)

    def derivative(_: float, y: np.ndarray) -> list[float]:
        a, b = y
        return [PHI - a * a / ETA, -a * b / ETA]

    solved = solve_ivp(derivative, (0, 2), [TERMINAL, -d], t_eval=times, rtol=1e-11, atol=1e-13).y
    recipe = AlmgrenChriss(half_spread=d)
    for left in (3.0, 30.0):
        expected = np.maximum((2 * solved[0] * left + solved[1]) / (2 * ETA), 0)
        np.testing.assert_allclose(recipe.rate(left, times, ETA, PHI, TERMINAL), expected, rtol=1e-7)


def test_almgren_chriss_in_its_limits() -> None:
    recipe, tau = AlmgrenChriss(), np.array([0.05, 0.3, 1.0])
    k = math.sqrt(PHI / ETA)
    np.testing.assert_allclose(recipe.rate(30, tau, ETA, PHI, 1e9), 30 * k / np.tanh(k * tau), rtol=1e-6)
    np.testing.assert_allclose(recipe.rate(30, tau, ETA, 0.0, TERMINAL), 30 / (tau + ETA / TERMINAL), rtol=1e-12)
    np.testing.assert_allclose(recipe.rate(30, tau, ETA, 1e-12, TERMINAL), 30 / (tau + ETA / TERMINAL), rtol=1e-6)
    with_cost = AlmgrenChriss(half_spread=0.03)
    np.testing.assert_allclose(
        with_cost.rate(30, tau, ETA, 1e-12, TERMINAL), with_cost.rate(30, tau, ETA, 0.0, TERMINAL), rtol=1e-6
    )
    np.testing.assert_allclose(recipe.rate(30, 1e4, ETA, PHI, TERMINAL), 30 * k, rtol=1e-12)  # no overflow far away
    assert recipe.rate(30, tau, ETA, 0.0, 0.0).max() == 0  # nothing urges it
    assert (
        AlmgrenChriss(half_spread=1.0).rate(1.0, 0.5, ETA, PHI, TERMINAL) == 0
    )  # a lot left costs less than to buy it


@pytest.mark.parametrize("half_spread", [0.0, 0.05])
def test_almgren_chriss_costs_what_its_value_function_says(half_spread: float) -> None:
    market = fluid(2000, half_spread, temporary_impact=0.02, running_penalty=0.05, terminal_penalty=0.1)
    cost = -trade(market, AlmgrenChriss(half_spread=half_spread)).returns_of("trader_0")[0]
    eta, phi, terminal, x = 0.02, 0.05, 0.1, 30.0

    def derivative(_: float, y: np.ndarray) -> list[float]:
        a, b, _c = y
        return [phi - a * a / eta, -a * b / eta, -b * b / (4 * eta)]

    a, b, c = solve_ivp(derivative, (0, 1), [terminal, -half_spread, 0.0], rtol=1e-11, atol=1e-13).y[:, -1]
    assert cost == pytest.approx(a * x * x + (b + half_spread) * x + c, rel=2e-3)
    for other in (TWAP(), Immediate(), AlmgrenChriss(half_spread=0.5)):
        assert -trade(market, other).returns_of("trader_0")[0] > cost * 1.001


def test_almgren_chriss_beats_the_others_in_the_shipped_game() -> None:
    games = 500
    seats = {seat: one.sit(TWO, seat) for seat, one in naive_profile(TWO).items()}
    game, seeds = Game(TWO, games), seeds_of(5, games)
    returns = [
        play(game, {**seats, "trader_0": one.sit(TWO, "trader_0")}, seeds).returns_of("trader_0") for one in EXECUTORS
    ]
    for other in (returns[0], returns[2]):
        gain = returns[1] - other
        assert gain.mean() > 5 * gain.std(ddof=1) / math.sqrt(games)


def test_rates_follow_the_state_and_stay_within_the_market() -> None:
    role = TWO.roles[1]
    observation = np.zeros((4, role.observation.size), np.float32)
    observation[:, role.observation.slice("time_left")] = [[1.0], [0.5], [0.0], [0.5]]
    observation[:, role.observation.slice("to_trade")] = [[30], [30], [30], [0]]
    rates = [role.action.from_unit(one.sit(TWO, "trader_0")(observation, np.zeros((4, 1))))[:, 0] for one in EXECUTORS]
    np.testing.assert_allclose(rates[0], [30, 60, 120, 0], atol=1e-6)  # the range ends at 120
    k = math.sqrt(PHI / ETA)
    np.testing.assert_allclose(rates[1][[0, 3]], [30 * k / math.tanh(k), 0], rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(rates[2], [120, 120, 120, 0], atol=1e-6)


def test_what_an_executor_needs_is_said() -> None:
    with pytest.raises(ValueError, match="needs a temporary_impact above 0 at trader_0"):
        AlmgrenChriss().sit(fluid(10, temporary_impact=0.0), "trader_0")
    tree = TWO.model_dump(mode="json")
    tree["executors_observe"] = {"own": False, "rivals": "none"}
    blind = DealerMarket.model_validate(tree)
    for recipe in (AlmgrenChriss(), Immediate()):
        with pytest.raises(ValueError, match=r"executors_observe\.own must be true"):
            recipe.sit(blind, "trader_0")
    game = Game(blind, 4)
    rate = TWAP().sit(blind, "trader_0")(game.reset(np.arange(4, dtype=np.uint64))["executor"][:, 0], np.zeros((4, 1)))
    np.testing.assert_allclose(blind.roles[1].action.from_unit(rate), 30.0)  # lots of the order over one day
