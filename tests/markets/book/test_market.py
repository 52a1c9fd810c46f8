"""The market around the book: accounts, masks, turns, penalties, what is seen, bitwise the same games everywhere."""

from typing import Any

import numpy as np
import pytest

from agents.book_executors import AtOnce, MarketTWAP, PatientTWAP
from agents.book_makers import Absent, Probabilistic, RandomOrders, TwoSided
from arena.game import Game
from arena.markets.book import kit
from arena.markets.book.events import NAMES
from arena.markets.book.market import Market
from arena.rollout import Rollout, play, seeds_of
from arena.scenario import load

Z = 4.42
"""Standard errors: a two-sided error rate of 1e-5 per comparison; seeds are fixed."""


def build(**parts: Any) -> Market:
    """One maker with all options, 20 seconds in 200 decisions; `parts` replace whole sections."""
    plain: dict[str, Any] = {"clock": {"unit": "second", "horizon": 20, "steps": 200}, "makers": {"actions": "all"}}
    return Market.model_validate({**plain, **parts})


TWO_AND_ONE = {
    "makers": {"count": 2, "actions": "all", "cap": 6, "running_penalty": 0.1, "terminal_penalty": 0.5},
    "executors": ({"side": "coin", "size": 8, "running_penalty": 0.05},),
    "fees": {"maker": -0.1, "taker": 0.3, "message": 0.01},
}


def random_act(role: Any) -> Any:
    """Any allowed option, alike: plays everything there is."""
    mask = role.observation.slice("allowed")

    def act(seen: np.ndarray, noise: np.ndarray) -> np.ndarray:
        may = seen[:, mask] > 0.5
        rank = np.floor(noise[:, 0] * may.sum(axis=1))
        return (may.cumsum(axis=1) > rank[:, None]).argmax(axis=1)[:, None].astype(float)

    return act


def played(market: Market, games: int = 64, seed: int = 1, **players: Any) -> Rollout:
    """Games with recipes by seat; who is not named plays at random."""
    acts = {seat: random_act(role) for role in market.roles for seat in role.agents}
    acts |= {seat: recipe.sit(market, seat) for seat, recipe in players.items()}
    return play(Game(market, games), acts, seeds_of(seed, games), trace=True)


@pytest.fixture(scope="module")
def crowd() -> Rollout:
    """Two makers and a trader who do anything that they may."""
    return played(build(**TWO_AND_ONE))


# Accounts


def test_cash_lots_and_attribution_are_exact(crowd: Rollout) -> None:
    cash = crowd.path("other_cash") + crowd.path("maker_cash").sum(-1) + crowd.path("executor_cash").sum(-1)
    lots = crowd.path("other_lots") + crowd.path("maker_inventory").sum(-1) + crowd.path("executor_inventory").sum(-1)
    assert (cash == 0.0).all()
    assert (lots == 0.0).all()
    for role in ("maker", "executor"):
        wealth = crowd.path(f"{role}_cash") + crowd.path(f"{role}_inventory") * crowd.path("mid")[..., None]
        told = sum(crowd.path(f"{role}_{name}") for name in ("captured", "crossed", "mark"))
        assert (wealth == told).all()
        assert np.abs(wealth[-1]).mean() > 0.5
    assert crowd.last("maker_captured").sum() > 0 > crowd.last("maker_crossed").sum()


def test_rewards_add_up_to_gains_less_costs_and_penalties(crowd: Rollout) -> None:
    for i, role in enumerate(("maker", "executor")):
        rows = build(**TWO_AND_ONE).roles[i].rows
        total = sum(crowd.last(name) for name in rows.gains)
        total = total - sum(crowd.last(name) for name in (*rows.costs, *rows.penalties))
        np.testing.assert_allclose(crowd.returns[role], total, atol=1e-9)


def test_fees_are_counted_by_lots_and_messages(crowd: Rollout) -> None:
    for role in ("maker", "executor"):
        fee = -0.1 * crowd.last(f"{role}_filled").sum(-1) + 0.3 * crowd.last(f"{role}_taken")
        fee += 0.01 * (crowd.last(f"{role}_posted") + crowd.last(f"{role}_cancelled"))
        fee += 1e-4 * np.abs(crowd.last(f"{role}_inventory")) * crowd.last("mid")[:, None]
        np.testing.assert_allclose(crowd.last(f"{role}_fee"), fee, atol=1e-9)


def test_the_left_penalty_is_that_of_positions_at_decisions() -> None:
    market = build(makers={"actions": "all", "cap": 6, "running_penalty": 2.0, "penalty": "left"})
    games = played(market)
    at_decisions = np.square(games.path("maker_inventory")[:-1]).sum(axis=0) * 0.1 * 2.0
    np.testing.assert_allclose(games.last("maker_running_penalty"), at_decisions, rtol=1e-12)


def test_the_integral_is_between_its_left_and_right_sums_where_a_position_moves_once_a_step() -> None:
    market = build(makers={"actions": "all", "cap": 1, "running_penalty": 1.0})
    games = played(market, mm_0=TwoSided(cap=1))
    squares = np.square(games.path("maker_inventory"))
    once = np.abs(np.diff(squares, axis=0)) + 0.0
    grown = np.diff(games.path("maker_running_penalty"), axis=0)
    still = (once == 0) & (games.path("maker_lots")[1:] == 0)
    np.testing.assert_allclose(grown[still], 0.1 * squares[:-1][still], atol=1e-12)
    moved = once == 1
    assert ((grown[moved] >= -1e-12) & (grown[moved] <= 0.1 + 1e-12)).all()
    assert 0.02 < grown[moved].mean() < 0.08  # somewhere within the step
    assert moved.sum() > 100


def test_bonuses_are_outside_pnl() -> None:
    market = build(makers={"actions": "top", "running_penalty": 0.0, "shaping": {"acting": 3, "quoting": 5}})
    games = played(market, mm_0=TwoSided())
    acts = games.last("maker_posted") + games.last("maker_cancelled")
    both = -games.last("maker_shaping") - 3 * acts
    assert (both % 5 == 0).all()
    assert 0.3 < both.mean() / 5 / 200 < 1.0  # most of the time it stands on both sides
    pnl = games.last("maker_captured") + games.last("maker_mark") - games.last("maker_fee")
    np.testing.assert_allclose(games.returns["maker"], pnl - games.last("maker_shaping"), atol=1e-9)


# Choices


def test_what_is_allowed_is_never_clipped_and_seldom_missed(crowd: Rollout) -> None:
    assert (crowd.last("clipped_action") == 0).all()
    missed = crowd.last("maker_missed").sum() + crowd.last("executor_missed").sum()
    acted = sum(
        crowd.last(f"{role}_{name}").sum()
        for role in ("maker", "executor")
        for name in ("posted", "cancelled", "taken")
    )
    assert 0 < missed < 0.02 * acted  # who came first in a step has made another's choice impossible


def test_positions_stay_within_caps_and_orders(crowd: Rollout) -> None:
    held = np.abs(crowd.path("maker_inventory"))
    assert held.max() == 6
    assert (crowd.path("maker_inventory") + crowd.path("maker_resting")[..., 0]).max() <= 6
    left = crowd.path("executor_inventory")[..., 0]
    assert set(left[0]) == {-8.0, 8.0}  # a coin decides
    assert (np.diff(np.abs(left), axis=0) <= 0).all()  # nobody trades more than was ordered
    assert (left * left[0] >= 0).all()


def test_what_holding_takes_off_bonuses_is_counted_after_everybody_has_acted_and_outside_pnl() -> None:
    market = build(makers={"actions": "top", "running_penalty": 0.0, "shaping": {"holding": 0.5}})
    games = played(market, mm_0=TwoSided())  # no order of its own trades at once, so it still holds what it held
    held = games.path("maker_inventory")[:-1]
    np.testing.assert_allclose(games.last("maker_shaping"), 0.5 * np.square(held).sum(axis=0), rtol=1e-12)
    assert games.last("maker_shaping").mean() > 10


def test_bonuses_are_left_out_of_judging_and_the_games_stay_the_same() -> None:
    market = build(makers={"actions": "top", "shaping": {"acting": 3, "quoting": 5, "holding": 0.5}})
    judged = kit.judged(market)
    assert judged == build(makers={"actions": "top"})
    assert kit.judged(judged) is judged
    ours, theirs = (played(one, mm_0=TwoSided()) for one in (market, judged))
    assert np.array_equal(ours.path("maker_cash"), theirs.path("maker_cash"))
    assert (theirs.last("maker_shaping") == 0.0).all()
    told = theirs.returns["maker"] - ours.last("maker_shaping")
    np.testing.assert_allclose(ours.returns["maker"], told, atol=1e-9)
    scenario = load("book_maker", ["market.makers.shaping={quoting: 5}"])
    assert scenario.judged.market == kit.judged(scenario.market)
    once = scenario.judged
    assert once.judged is once


def test_a_probabilistic_maker_takes_a_cap_as_a_mask_of_its_orders() -> None:
    market = build(makers={"actions": "top", "cap": 25})
    free, capped = (played(market, mm_0=Probabilistic(threshold=25, cap=cap)) for cap in (None, 1))
    held = [np.abs(games.path("maker_inventory")) for games in (free, capped)]
    posted = [np.diff(games.path("maker_posted")[..., 0], axis=0) > 0 for games in (free, capped)]
    bids = [np.diff(games.path("maker_resting")[..., 0, 0], axis=0) > 0 for games in (free, capped)]
    long = [games.path("maker_inventory")[:-1, :, 0] >= 1 for games in (free, capped)]
    assert held[0].max() >= 3
    assert (posted[0] & bids[0] & long[0]).any()  # without a cap it adds to what it holds
    assert not (posted[1] & bids[1] & long[1]).any()
    assert (held[1] > 1).mean() < 0.25 * (held[0] > 1).mean()  # orders that were pushed into the second level may trade


@pytest.mark.parametrize("choice", [13.0, -1.0, 2.5, np.nan, 0.0 + NAMES.index("CO_a_T"), 0.0 + NAMES.index("LO_a_IS")])
def test_what_is_not_allowed_is_counted_and_does_nothing(choice: float) -> None:
    market = build(warm_up=0)  # a spread of one, and no own order
    game, other = Game(market, 2), Game(market, 2)
    for one, action in ((game, choice), (other, 12.0)):
        one.reset(seeds_of(1, 2))
        one.action["maker"][...] = action
        one.advance()
    assert (game.view("clipped_action") == 1).all()
    assert (other.view("clipped_action") == 0).all()
    same = np.delete(game.state, market.state.slice("clipped_action").start, axis=0)
    assert np.array_equal(same, np.delete(other.state, market.state.slice("clipped_action").start, axis=0))


def test_turns_are_drawn_alike() -> None:
    turns = played(build(**TWO_AND_ONE)).path("maker_turn")[1:]
    first = (turns[..., 0] == 0).sum()
    count = turns[..., 0].size
    assert abs(first - count / 3) < Z * (count * 2 / 9) ** 0.5
    fixed = played(build(**TWO_AND_ONE, turns="fixed"), games=2).path("maker_turn")[1:]
    assert (fixed == [0.0, 1.0]).all()


def test_own_orders_excite_as_far_as_the_setting_says() -> None:
    rates = {}
    for mode in ("all", "trades", "none"):
        market = build(makers={"actions": "all", "excites": mode})
        game = Game(market, 1)
        game.reset(seeds_of(4, 1))
        rates[mode] = []
        for choice in (NAMES.index("LO_a_T"), NAMES.index("MO_b")):
            before = game.view("_components")[0].copy()
            game.action["maker"][...] = choice
            game.advance()
            rates[mode].append((before, game.view("_components")[0].copy()))
    jump = build().flow.components().jump[:, 0]
    for mode, effect in (("all", (1, 1)), ("trades", (0, 1))):
        # the first decision has the same background events whatever the mode, so the difference is the own order's
        moved = rates[mode][0][1] - rates["none"][0][1]
        if effect[0]:
            assert moved.max() > 0.2
        else:
            np.testing.assert_array_equal(moved, 0.0)
    assert jump[NAMES.index("LO_a_T")].max() > 0


# What is seen


def test_the_observation_is_the_state_by_name() -> None:
    market = build(
        **{
            **TWO_AND_ONE,
            "makers": {"count": 2, "actions": "all", "cap": 6},
            "observe": {"history": True, "cash": True},
        }
    )
    game = Game(market, 32)
    game.reset(seeds_of(3, 32))
    acts = [random_act(role) for role in market.roles]
    for _ in range(60):
        for i, role in enumerate(market.roles):
            for seat in range(len(role.agents)):
                noise = game.noise()[role.name][:, seat]
                game.action[role.name][:, seat] = acts[i](game.observation[role.name][:, seat], noise)
        game.advance()
    best, queue = game.view("best"), game.view("queue")
    for i, role in enumerate(market.roles):
        for seat in range(len(role.agents)):
            seen = {
                f.name: game.observation[role.name][:, seat][:, role.observation.slice(f.name)]
                for f in role.observation
            }
            name = role.name
            np.testing.assert_allclose(seen["time_left"][:, 0], 14.0, rtol=1e-6)
            np.testing.assert_array_equal(seen["spread"][:, 0], best[:, 1] - best[:, 0])
            np.testing.assert_array_equal(seen["queue"], queue[:, :, 0])
            np.testing.assert_array_equal(seen["cash"][:, 0], game.view(f"{name}_cash")[:, seat].astype(np.float32))
            share = np.minimum(game.view(f"{name}_ahead")[:, seat] / queue[:, :, 0], 1.0)
            np.testing.assert_allclose(seen["ahead"], share, rtol=1e-6)
            np.testing.assert_allclose(seen["intensity"], np.log1p(game.view("intensity")), rtol=1e-6)
            ages = np.clip(6.0 - game.view("_history"), 0.0, 10.0)
            np.testing.assert_allclose(seen["age"], ages.reshape(32, -1), rtol=1e-6, atol=1e-6)
            assert (np.diff(ages, axis=-1) >= 0).all()
            held = game.view(f"{name}_inventory")[:, seat]
            np.testing.assert_array_equal(
                seen["inventory" if i == 0 else "to_trade"][:, 0], held if i == 0 else np.abs(held)
            )


def test_queue_positions_are_those_of_the_listed_orders() -> None:
    """A lone order posted into a quiet book: it waits behind what was there, and moves up as that is traded."""
    market = build(flow={"base": [0, 0, 0, 0, 1e-9, 0]}, warm_up=0)
    game = Game(market, 1)
    game.reset(seeds_of(1, 1))
    for choice, ahead, top in (
        ("LO_a_T", 10.0, 1.0),
        ("LO_a_T", 10.0, 2.0),
        ("MO_a", 9.0, 2.0),
        ("CO_a_T", 10.0 - 1 + 0, 1.0),
    ):
        game.action["maker"][...] = NAMES.index(choice)
        game.advance()
        assert game.view("maker_top")[0, 0, 1] == top
        assert game.view("maker_ahead")[0, 0, 1] == (ahead if choice != "CO_a_T" else 9.0)
    assert game.view("maker_inventory")[0, 0] == 1.0
    assert game.view("maker_cash")[0, 0] == -10_000.0


@pytest.mark.parametrize("name", ["spread", "position", "intensities"])
def test_what_is_switched_off_is_not_seen(name: str) -> None:
    field = {"spread": "spread", "position": "ahead", "intensities": "intensity"}[name]
    market = build(observe={name: False})
    assert field not in market.roles[0].observation
    games = played(market, games=8, mm_0=TwoSided())
    assert games.last("maker_filled").sum() > 10
    with pytest.raises(ValueError, match=rf"market.observe.{name}: found false"):
        Probabilistic().sit(market, "mm_0")


# The same games everywhere


@pytest.mark.parametrize("batch", [1, 7])
def test_a_game_is_bitwise_its_own_in_any_batch(batch: int, crowd: Rollout) -> None:
    """Games are played one after the other, in no vector: what holds on one processor holds on all, at half a minute's
    compilation less for each set of kernels."""
    market = build(**TWO_AND_ONE)
    acts = {seat: random_act(role) for role in market.roles for seat in role.agents}
    part = play(Game(market, batch), acts, seeds_of(1, 64)[20 : 20 + batch], trace=True)
    assert np.array_equal(part.state, crowd.state[..., 20 : 20 + batch])
    assert np.array_equal(part.observations["maker"], crowd.observations["maker"][:, 20 : 20 + batch])


def test_games_differ_by_seed(crowd: Rollout) -> None:
    assert len(np.unique(crowd.last("events").sum(-1))) > 30


def test_a_game_fits_into_64_kilobytes() -> None:
    market = build(**TWO_AND_ONE, depth={"room": 512})
    assert market.state.size * 8 < 64_000
    crowded = build(makers={"count": 8, "cap": None}, executors=())
    assert crowded.state.size * 8 < 64_000


# Players


def test_executors_finish_their_orders_as_they_say() -> None:
    market = build(makers={"count": 0}, executors=({"side": "buy", "size": 10},) * 3)
    games = played(market, trader_0=AtOnce(), trader_1=MarketTWAP(), trader_2=PatientTWAP())
    left = -games.path("executor_inventory")
    assert (left[-1, :, :2] == 0).all()
    assert (left[12, :, 0] == 0).all()  # at once: a lot in each decision, but for what others made impossible
    np.testing.assert_array_equal(left[100, :, 1], 5.0)  # half the time, half the order
    assert left[-1, :, 2].mean() < 0.2
    assert games.last("executor_filled")[:, 2].sum() > 0.3 * 10 * 64  # lots that did not pay the spread
    paid = -(games.last("executor_captured") + games.last("executor_crossed")).mean(axis=0)
    assert paid[2] < paid[1]  # patience saves the spread


def test_makers_do_as_they_say() -> None:
    market = build(makers={"count": 1, "actions": "all", "cap": 25})
    held = {}
    for recipe in (
        TwoSided(cap=1),
        TwoSided(cap=3),
        Probabilistic(),
        Probabilistic(rule="argmax"),
        RandomOrders(),
        Absent(),
    ):
        games = played(market, mm_0=recipe)
        # an order that slipped to the second level and another at the top may both fill
        held[recipe.kind, getattr(recipe, "cap", 0)] = np.quantile(np.abs(games.path("maker_inventory")), 0.97)
        assert (games.last("maker_posted").mean() > 10) == (recipe.kind != "absent")
    assert held["absent", 0] == 0
    assert held["two_sided", 1] == 1
    assert held["two_sided", 3] == 3
