"""Best responses on one's own inventory against the programme on all inventories, the games, and printed gains."""

import numpy as np
import pytest

from agents.makers import ConstantSpread
from agents.nash import NashMaker, NashTrader
from arena.game import Game
from arena.gaps.nash_gap import nash_gap
from arena.gaps.profile import Profile, Search, naive_acts
from arena.markets.dealer.gaps import own_inventory
from arena.markets.dealer.gaps.own_inventory import _expected, schedule
from arena.markets.dealer.gaps.poisson_response import PoissonDuel
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.theory.beside import nominal_market
from arena.rollout import play, seeds_of
from arena.scenario import load

DUEL = nominal_market(load("logistic_duel_poisson").market)


def paths(market: DealerMarket):
    acts = {seat: NashMaker().sit(market, seat) for seat in market.maker_names}
    return acts | {seat: NashTrader().sit(market, seat) for seat in market.executor_names}


def test_two_programmes_agree_and_so_does_the_print() -> None:
    """At the open-loop equilibrium: the reference, section 10.5, prints .288 and .250 for lots of 1/4, fine steps."""
    profile = Profile(paths(DUEL), dict.fromkeys(DUEL.maker_names + DUEL.executor_names, "paths"))
    gap = nash_gap(DUEL, profile, Search())
    assert {seat.engine for seat in gap.seats} == {"own inventory"}
    found = np.array([seat.gain for seat in gap.seats])
    duel = PoissonDuel(DUEL, profile.acts, seeds_of(5, 256))
    smooth = duel.gains(duel.nominal, 0, duel.values(6), 6)[0]  # 2.2, 1.6, 1.4 % off for the trader, degrees 4 to 6
    np.testing.assert_allclose(smooth, found, rtol=0.02)
    np.testing.assert_allclose(found[:2], [0.288, 0.250], rtol=0.05)  # 20 steps take 4 % off


def test_the_sum_over_orders_is_the_expectation() -> None:
    values = np.arange(-41.0, 42.0)[None] ** 2  # E (b - a)^2 = variance + square of the mean difference
    found = _expected(values[:, 1:-1], np.array([0.7]), np.array([1.9]))
    assert found[0] == pytest.approx(0.7 + 1.9 + 1.2**2, rel=1e-12)


def test_without_risk_the_best_reply_is_known() -> None:
    """No penalties: a maker's stage is static, d = 1/(c (1 - share)) against rivals at 2, in every step."""
    tree = DUEL.model_dump(mode="json")
    tree["makers"]["risk"] = {"kind": "quadratic", "running_penalty": 0.0, "terminal_penalty": 0.0}
    tree["executors"] = []
    market = DealerMarket.model_validate(tree)
    acts = {seat: ConstantSpread(half_spread=3.0).sit(market, seat) for seat in market.maker_names}
    assert own_inventory.applies(market, Profile(acts, {}))
    found = own_inventory.responses(market, acts)
    distance = np.linspace(1.0, 4.0, 30_001)
    best = (distance / (1.0 + np.exp(distance - 3.0))).max()
    for gain in found.values():
        assert gain == pytest.approx((3.0 + 2.0) * (best - 1.5), rel=1e-7)


def test_the_schedule_is_what_the_games_show() -> None:
    acts = paths(DUEL)
    plan = schedule(DUEL, acts)
    result = play(Game(DUEL, 8), acts, seeds_of(1, 8), trace=True)
    np.testing.assert_allclose(plan.bid, result.path("distance")[1:, 3, :, 0, 0], atol=1e-6)
    np.testing.assert_allclose(plan.ask, result.path("distance")[1:, 3, :, 0, 1], atol=1e-6)


def test_who_reacts_is_not_covered() -> None:
    naive = naive_acts(DUEL).acts  # TWAP looks at what is left
    assert not own_inventory.applies(DUEL, Profile(naive, {}))
    assert not own_inventory.applies(load("logistic_duel_poisson").market, Profile(paths(DUEL), {}))  # starts are drawn
    assert not own_inventory.applies(load("logistic_duel_time_only").market, Profile(paths(DUEL), {}))
