"""Who sits where in an iteration, and the paired games of a look."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.learned import player
from arena.game import Game
from arena.league.league import League
from arena.league.settings import LeagueSettings
from arena.league.snapshot import Member
from arena.rollout import play
from arena.scenario import Scenario
from arena.training.block import EXPLOITER, NEW, Played, play_block
from arena.training.learner import Sample
from arena.training.lineups import deal, draw_slots, group_count
from arena.training.trial import CANDIDATE, Trial

SEATS = {"maker": [0, 1], "executor": [0]}
AGENTS = ("mm_0", "mm_1", "trader_0")


@pytest.fixture
def league(tmp_path: Path, small: Scenario, networks: Any) -> League:
    return fill(League(tmp_path, small.league, {"maker": 2, "executor": 1}, scenario_hash="x", seed=3), networks)


def fill(league: League, networks: Any) -> League:
    for i in range(3):
        for role in SEATS:
            league.add(Member(f"{role}-{i:05d}", role, i, "x", networks(role, 10 + i)))
    return league


@pytest.mark.parametrize("iteration", range(6))
@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_every_role_learns_in_every_iteration(league: League, iteration: int, count: int) -> None:
    slots = draw_slots(league, SEATS, iteration, count)
    assert len(slots) == count
    for role, seats in SEATS.items():
        assert any(NEW in slot[role] for slot in slots)
        assert all(len(slot[role]) == len(seats) for slot in slots)
    assert slots == draw_slots(league, SEATS, iteration, count)


def test_new_meets_old_in_half_of_the_slots_with_seats_swapped(league: League) -> None:
    slots = draw_slots(league, SEATS, 0, 16)
    together = [slot for slot in slots if slot["maker"] == [NEW, NEW]]
    apart = [slot for slot in slots if slot["maker"] != [NEW, NEW]]
    assert len(together) == len(apart) == 8
    assert all(slot["executor"] == [NEW] for slot in together)
    assert sorted(slot["maker"].index(NEW) for slot in apart) == [0] * 4 + [1] * 4
    assert sum(slot["executor"] == [NEW] for slot in apart) == 4
    old = [one for slot in apart for one in slot["maker"] if one != NEW]
    assert set(old) <= set(league.members("maker"))
    assert old.count(league.latest("maker")) >= 5  # three quarters of the draws, and a share of the rest


def test_new_may_meet_old_in_every_slot(league: League) -> None:
    """`together: 0`: every slot has one new maker, its seat swapped between slots, and the trader every other pair."""
    slots = draw_slots(league, SEATS, 0, 16, 0.0)
    assert [slot["maker"].index(NEW) for slot in slots] == [0, 1] * 8
    assert all(slot["maker"].count(NEW) == 1 for slot in slots)
    assert sum(slot["executor"] == [NEW] for slot in slots) == 8


def test_an_exploiter_meets_the_newest_members_only(tmp_path: Path, networks: Any) -> None:
    settings = LeagueSettings.model_validate({"slots": 8, "exploiters": {"maker": {"games_share": 0.25}}})
    league = fill(League(tmp_path, settings, {"maker": 2, "executor": 1}, scenario_hash="x", seed=3), networks)
    slots = draw_slots(league, SEATS, 0, 8)
    exploiting = [slot for slot in slots if EXPLOITER in slot["maker"]]
    assert len(exploiting) == 2
    assert [slot["maker"].index(EXPLOITER) for slot in exploiting] == [0, 1]
    for slot in exploiting:
        assert {one for names in slot.values() for one in names} == {EXPLOITER, "maker-00002", "executor-00002"}
    with pytest.raises(ValueError, match=r"league\.exploiters: they take 1 of 1 line-ups"):
        draw_slots(league, SEATS, 0, 1)


def test_who_is_new_in_a_slot_takes_turns_from_iteration_to_iteration(league: League) -> None:
    """With one slot in which new meets old its seat is another one every time, and so is a lone trader's turn."""
    slots = [draw_slots(league, SEATS, iteration, 2)[-1] for iteration in range(4)]
    assert [slot["maker"].index(NEW) for slot in slots] == [0, 1, 0, 1]
    assert sum(slot["executor"] == [NEW] for slot in slots) == 2


def test_slots_are_dealt_to_blocks_evenly(league: League) -> None:
    assert group_count(16, 4, 64) == 4
    assert group_count(16, 4, 16) == 2  # groups of at least 8 games
    assert group_count(16, 1, 12) == 1
    slots = draw_slots(league, SEATS, 2, 16)
    blocks = deal(slots, 4)
    for block, lineups in enumerate(blocks):
        for role, lineup in lineups.items():
            for group in range(4):
                names = [lineup.members[i] if i >= 0 else i for i in lineup.cells[:, group]]
                assert names == slots[block + 4 * group][role]


def played(trial: Trial, small: Scenario, league: League) -> list[Sample]:
    """The trial's blocks, played here."""
    out = []
    for block, (seeds, lineups) in enumerate(zip(trial.order.seeds, trial.order.lineups, strict=True)):
        members = {role: [trial.order.members[name] for name in one.members] for role, one in lineups.items()}
        got: Played = play_block(Game(small.market, len(seeds)), seeds, SEATS, {}, lineups, members, {})
        out.append(Sample(block, 0, 0, got, "", 0.0))
    return out


def test_a_candidate_that_is_the_incumbent_gains_exactly_nothing(small: Scenario, league: League) -> None:
    for role in SEATS:
        trial = Trial(league, SEATS, role, league.weights(league.latest(role)), 4)
        outcome = trial.outcome(played(trial, small, league))
        assert outcome.new.shape == (64, len(SEATS[role]))
        assert np.array_equal(outcome.new, outcome.old)
        assert outcome.volume.shape == outcome.new.shape


def test_a_look_compares_seat_by_seat_with_the_same_others(small: Scenario, league: League, networks: Any) -> None:
    trial = Trial(league, SEATS, "maker", networks("maker", 99), 4)
    outcome = trial.outcome(played(trial, small, league))
    assert np.abs(outcome.new - outcome.old).min() > 0.0
    assert len(outcome.met) == 8
    assert outcome.groups is not None
    assert sorted(set(outcome.groups)) == list(range(len(outcome.met)))
    assert all(np.sum(outcome.groups == g) == 64 // len(outcome.met) for g in range(len(outcome.met)))
    first = league.promotion_seeds("maker", 4)
    assert np.array_equal(np.concatenate(trial.order.seeds[: trial.blocks]), first)
    other = Trial(league, SEATS, "maker", networks("maker", 99), 6)
    assert not np.array_equal(np.concatenate(other.order.seeds[: other.blocks]), first)  # fresh games at every look


def test_the_volume_of_a_look_is_the_candidate_s(small: Scenario, league: League, networks: Any) -> None:
    """The passivity guard judges it: one who never trades is seen, however much its incumbent traded."""
    idle = dict(networks("executor", 99))
    idle["policy.4.bias"] = np.full_like(idle["policy.4.bias"], -1e3)  # the least rate of the range, which is 0
    trial = Trial(league, SEATS, "executor", idle, 4)
    samples = played(trial, small, league)
    sits = [CANDIDATE in one["executor"].members for one in trial.order.lineups]
    lots = [float(sample.played.volume["executor"].sum()) for sample in samples]
    assert all((traded == 0.0) == new for traded, new in zip(lots, sits, strict=True))
    outcome = trial.outcome(samples)
    assert not outcome.volume.any()
    about = Member("executor-00004", "executor", 4, "x", idle)
    assert league.consider(about, *outcome).passive
    busy = Trial(league, SEATS, "executor", networks("executor", 99), 4)
    assert busy.outcome(played(busy, small, league)).volume.mean() > 1.0


def test_a_look_among_todays_learners_seats_them_elsewhere(small: Scenario, tmp_path: Path, networks: Any) -> None:
    promotion = small.league.promotion.model_copy(update={"together": 1.0})
    settings = small.league.model_copy(update={"promotion": promotion})
    league = fill(League(tmp_path, settings, {"maker": 2, "executor": 1}, scenario_hash="x", seed=3), networks)
    learners = {"maker": networks("maker", 99), "executor": networks("executor", 98)}
    trial = Trial(league, SEATS, "maker", learners["maker"], 4, learners=learners)
    outcome = trial.outcome(played(trial, small, league))
    assert outcome.groups is None
    assert not outcome.met
    acts = {agent: player(learners["maker" if agent.startswith("mm_") else "executor"]) for agent in AGENTS}
    old = {**acts, "mm_1": player(league.weights("maker-00002"))}
    seeds = league.promotion_seeds("maker", 4)
    for got, line in ((outcome.new, acts), (outcome.old, old)):
        again = play(Game(small.market, len(seeds)), line, seeds).returns_of("mm_1")
        np.testing.assert_allclose(got[:, 1], again, atol=1e-3)
