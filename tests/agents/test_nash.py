"""Players of an equilibrium earn what the solvers say, and nobody does better by leaving it.

Statistical test: two-sided error rate 1e-5 per number (z = 4.42), fixed seeds.
"""

import numpy as np
import pytest

from agents.executors import TWAP
from agents.makers import ConstantSpread
from agents.nash import NashExecutor, NashMaker, NashTrader
from arena.game import Game
from arena.markets.dealer.problems.solved_games import solve
from arena.rollout import play, seeds_of
from arena.scenario import load

FIXED = ["market.makers.initial_inventory=[4, 1]", "market.executors.0.size=10"]
"""logistic_duel without drawn inventories: case L1."""


def nash(market, information="open_loop"):
    trader = NashTrader if market.makers.count else NashExecutor
    acts = {seat: NashMaker(information=information).sit(market, seat) for seat in market.maker_names}
    return acts | {seat: trader(information=information).sit(market, seat) for seat in market.executor_names}


def returns(market, acts, games=2, seed=1):
    rollout = play(Game(market, games), acts, seeds_of(seed, games))
    return np.concatenate([rollout.returns[role.name] for role in market.roles], axis=1)


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [("acas", [], 4e-4), ("mean_field", [], 4e-4), ("logistic_duel", FIXED, 4e-4), ("execution_game", [], 3.5e-3)],
)
def test_paths_earn_the_solvers_objectives_up_to_the_square_of_the_step(name, changes, error):
    off = []
    for steps in (20, 40):
        market = load(name, [*changes, f"market.clock.steps={steps}"]).market
        earned = returns(market, nash(market))[0]
        off.append(np.abs(earned - solve(market).objectives[: earned.size]))
    assert np.all(off[1] < 0.3 * off[0])  # a quarter, and the next order
    assert off[1].max() < error


def test_feedback_players_of_the_duel_earn_the_feedback_objectives():
    market = load("logistic_duel", [*FIXED, "market.clock.steps=40"]).market
    earned = returns(market, nash(market, "feedback"))[0]
    found = solve(market, "feedback")
    np.testing.assert_allclose(earned, found.objectives, atol=3e-4)
    np.testing.assert_allclose(found.objectives, [13.392, 10.932, -37.075], atol=1e-3)  # spec 10.3
    assert np.all(earned < solve(market).objectives)  # seeing each other costs all three


def test_feedback_executors_play_the_exact_equilibrium_of_the_steps():
    market = load("execution_game").market
    base = returns(market, nash(market, "feedback"))[0]
    np.testing.assert_allclose(base, [-21.39017388, -3.21957956], atol=1e-6)  # discrete_feedback_nash(..., "exact")
    acts = nash(market, "feedback")
    for seat in market.executor_names:
        own = acts[seat]
        for move in (-0.02, 0.02):
            shifted = {**acts, seat: lambda seen, noise, own=own, move=move: own(seen, noise) + move}
            gain = returns(market, shifted)[0] - base
            assert gain[market.executor_names.index(seat)] < -1e-3


@pytest.mark.parametrize("move", [-0.03, 0.03])
@pytest.mark.parametrize(
    ("name", "seat"), [("acas", "mm_0"), ("acas", "trader_0"), ("logistic_duel_time_only", "mm_1")]
)
def test_leaving_the_path_costs(name, seat, move):
    market = load(name).market
    acts, seats = nash(market), [*market.maker_names, *market.executor_names]
    own, base = acts[seat], returns(market, acts)[0]
    moved = returns(market, {**acts, seat: lambda seen, noise: own(seen, noise) + move})[0]
    assert moved[seats.index(seat)] < base[seats.index(seat)] - 1e-3


def test_the_noise_factors_equilibrium_earns_its_expectation():
    """300 games of 20 steps; the step's bias is below 0.02, the standard error of the first maker's mean is 0.06."""
    market = load("noise_factor", ["market.clock.steps=20"]).market
    earned = returns(market, nash(market), games=300)
    error = 4.42 * earned.std(axis=0, ddof=1) / np.sqrt(300)
    assert np.all(np.abs(earned.mean(axis=0) - solve(market).objectives) < error)
    assert earned.std(axis=0).min() > 0.1


def test_any_line_up_can_hold_one_and_drawn_starts_too():
    market = load("logistic_duel").market
    for information in ("open_loop", "feedback"):
        one = nash(market, information)["mm_0"]
        others = {"mm_1": ConstantSpread().sit(market, "mm_1"), "trader_0": TWAP().sit(market, "trader_0")}
        earned = returns(market, {"mm_0": one, **others}, games=16)
        assert np.isfinite(earned).all()
    # far from the path a feedback player still plays something sane: the edge of the box
    role = market.role("maker")
    seen = np.tile(role.observation.centre.astype(np.float32), (2, 1))
    seen[1, role.observation.slice("inventory")] = 1e4
    action = nash(market, "feedback")["mm_0"](seen, np.zeros((2, 2)))
    assert np.all(np.abs(action) <= 1.0)


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("name", "information"),
    [("logistic_duel", "feedback"), ("execution_game", "feedback"), ("noise_factor", "open_loop")],
)
def test_a_reacting_players_action_does_not_depend_on_its_neighbours(name, information):
    market = load(name).market
    acts = nash(market, information)
    for role in market.roles:
        layout = role.observation
        rows = np.random.default_rng(6).normal(size=(40, layout.size))
        seen = (layout.centre + layout.scale * rows).astype(np.float32)
        seen[:, layout.slice("time_left")] = 0.5  # rows of one step are worked out together
        for agent in role.agents:
            whole = acts[agent](seen, np.zeros((40, role.action.size)))
            assert np.ptp(whole, axis=0).max() > 0.01
            for mine in (slice(0, 1), slice(7, 9), slice(20, 37)):
                noise = np.zeros((mine.stop - mine.start, role.action.size))
                np.testing.assert_array_equal(acts[agent](seen[mine], noise), whole[mine])


@pytest.mark.parametrize(
    ("name", "changes", "player", "sentence"),
    [
        ("two_mm_one_trader", [], NashMaker(), "^nash_maker: no equilibrium is known for this market: it quotes C95"),
        ("execution_game", [], NashTrader(), "^nash_trader needs makers to trade with"),
        ("logistic_duel", [], NashExecutor(), "^nash_executor needs a market without makers"),
        ("noise_factor", ["market.makers.observe.rivals=none"], NashMaker(), "^nash_maker needs to see all"),
        ("logistic_duel_time_only", [], NashMaker(information="feedback"), "own: true, rivals: inventory"),
        ("execution_game", ["market.executors_observe.rivals=none"], NashExecutor(information="feedback"),
         "^nash_executor needs to see all inventories: market.executors_observe must be own: true, rivals: inventory"),
    ],
)  # fmt: skip
def test_who_cannot_sit_says_why(name, changes, player, sentence):
    market = load(name, changes).market
    seat = market.maker_names[0] if player.kind == "nash_maker" else market.executor_names[0]
    with pytest.raises(ValueError, match=sentence):
        player.sit(market, seat)
