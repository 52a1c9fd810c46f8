"""Games that are played a segment at a time are the games that would have been played at once."""

from typing import Any

import numpy as np
import pytest

from arena.game import Game, Pause
from arena.scenario import Scenario
from arena.training.block import NEW, Lineup, Segment, play_block
from arena.training.segments import carried_on, deal_on
from tests.training.conftest import all_new

pytestmark = pytest.mark.anywhere

SEATS = {"maker": [0, 1], "executor": [0]}
SEEDS = np.arange(100, 116, dtype=np.uint64)


def test_segments_are_bitwise_the_whole_game_and_see_what_comes_next(small: Scenario, networks: Any) -> None:
    weights = {"maker": networks("maker", 1), "executor": networks("executor", 2)}
    game = Game(small.market, 16)
    whole = play_block(game, SEEDS, SEATS, weights, all_new(SEATS), {}, {})
    assert whole.pause is None
    first = play_block(game, SEEDS, SEATS, weights, all_new(SEATS), {}, {}, Segment(None, 2, 4))
    assert first.pause is not None
    assert first.pause.step == 6
    play_block(game, SEEDS + np.uint64(7), SEATS, weights, all_new(SEATS), {}, {})  # others play in between
    last = play_block(game, SEEDS, SEATS, weights, all_new(SEATS), {}, {}, Segment(first.pause, 0, 4))
    assert last.pause is None
    for name, track in whole.tracks.items():
        early, late = first.tracks[name], last.tracks[name]
        assert (early.first, early.left, late.first, late.left) == (2, 4, 6, 0)
        for field in ("observations", "actions", "rewards", "logp", "surprises"):
            told = np.concatenate([getattr(early, field), getattr(late, field)])
            assert np.array_equal(told, getattr(track, field)[2:]), (name, field)
        assert early.ahead is not None
        assert np.array_equal(early.ahead, track.observations[6])
        assert late.ahead is None
    for role in SEATS:  # what a segment earns, and trades, is its own
        told = first.returns[role] + last.returns[role]
        early = play_block(game, SEEDS, SEATS, weights, all_new(SEATS), {}, {}, Segment(None, 0, 2)).returns[role]
        np.testing.assert_allclose(told + early, whole.returns[role], atol=1e-9)


def test_a_pause_of_other_games_is_refused(small: Scenario) -> None:
    with pytest.raises(ValueError, match="resume needs a state of shape"):
        Game(small.market, 16).resume(Game(small.market, 32).pause())


def test_blocks_start_out_of_phase_and_keep_seeds_and_lineups_until_their_games_are_over() -> None:
    seeds = [np.full(8, b, np.uint64) for b in range(4)]
    lineups = [{"maker": Lineup(np.full((1, 1), NEW), (f"m{b}",))} for b in range(4)]
    start = deal_on({}, seeds, lineups, segment=10, steps=60, start=True)
    assert [one.skip for one in start.segments] == [0, 10, 30, 40]  # whole segments: 0, 1.5, 3, 4.5 rounded down
    assert all(one.steps == 10 and one.pause is None for one in start.segments)
    pause = Pause(10, np.zeros(8, np.uint64), np.zeros((1, 8)), np.zeros((1, 8), np.float32))
    underway = carried_on(start, {0: pause, 1: None, 2: pause, 3: pause})
    assert sorted(underway) == [0, 2, 3]
    fresh = [one + np.uint64(100) for one in seeds]
    other = [{"maker": Lineup(np.full((1, 1), NEW), (f"n{b}",))} for b in range(4)]
    then = deal_on(underway, fresh, other, segment=10, steps=60, start=False)
    assert [int(one[0]) for one in then.seeds] == [0, 101, 2, 3]
    assert [one["maker"].members[0] for one in then.lineups] == ["m0", "n1", "m2", "m3"]
    assert [one.skip for one in then.segments] == [0] * 4  # a game that is over is followed by a whole one
    assert [one.pause is None for one in then.segments] == [False, True, False, False]
