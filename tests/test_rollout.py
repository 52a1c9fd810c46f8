"""Playing whole games and keeping what happened; seeds as a pure function."""

import numpy as np
import pytest

from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.rollout import play, seeds_of

pytestmark = pytest.mark.anywhere

MARKET = DealerMarket.model_validate(
    {
        "clock": {"steps": 7},
        "products": [{"name": "C", "right": "call", "strike": 100, "expiry": 63}],
        "executors": [{"product": "C", "size": 9, "rate": [0, 60]}],
    }
)
GAMES = 5


def steady(level):
    return lambda observation, noise: np.full_like(noise, level)


def players():
    return {"mm_0": steady(-0.5), "mm_1": steady(0.1), "trader_0": steady(1.0)}


def test_shapes_and_returns():
    result = play(Game(MARKET, GAMES), players(), seeds_of(1, GAMES))
    assert result.agents == {"maker": ("mm_0", "mm_1"), "executor": ("trader_0",)}
    assert result.rewards["maker"].shape == (7, GAMES, 2)
    assert result.rewards["executor"].shape == (7, GAMES, 1)
    np.testing.assert_array_equal(result.returns["maker"], result.rewards["maker"].sum(0))
    np.testing.assert_array_equal(result.returns_of("mm_1"), result.returns["maker"][:, 1])
    np.testing.assert_array_equal(result.returns_of("trader_0"), result.returns["executor"][:, 0])
    assert result.last("maker_inventory").shape == (GAMES, 2, 1)
    with pytest.raises(KeyError, match="no agent 'mm_2'; there are mm_0, mm_1, trader_0"):
        result.returns_of("mm_2")
    with pytest.raises(ValueError, match="trace=True"):
        result.path("mid")
    with pytest.raises(KeyError, match="no field 'nothing'"):
        result.last("nothing")


def test_trace_holds_what_was_seen_done_and_paid():
    seen = []

    def watch(observation, noise):
        seen.append((observation.copy(), noise.copy()))
        return np.tanh(noise)

    result = play(Game(MARKET, GAMES), {**players(), "mm_1": watch}, seeds_of(1, GAMES), trace=True)
    assert result.state.shape == (8, MARKET.state.size, GAMES)
    assert len(seen) == 7
    for t, (observation, noise) in enumerate(seen):
        np.testing.assert_array_equal(result.observations["maker"][t, :, 1], observation)
        np.testing.assert_array_equal(result.actions["maker"][t, :, 1], np.tanh(noise))
    assert np.all(result.actions["maker"][:, :, 0] == -0.5)
    np.testing.assert_array_equal(result.path("reward_maker")[1:], result.rewards["maker"])
    np.testing.assert_array_equal(result.path("mid")[-1], result.last("mid"))
    assert np.all(result.path("spot")[0] == 100)
    time = result.observations["executor"][:, :, 0, 0]
    np.testing.assert_allclose(time, np.broadcast_to(1 - np.arange(7)[:, None] / 7, time.shape), atol=1e-7)


def test_a_rollout_is_a_copy_and_play_can_be_repeated():
    game = Game(MARKET, GAMES)
    first = play(game, players(), seeds_of(1, GAMES), trace=True)
    kept = first.final.copy(), first.rewards["maker"].copy(), first.observations["maker"].copy()
    play(game, players(), seeds_of(2, GAMES))
    for got, want in zip((first.final, first.rewards["maker"], first.observations["maker"]), kept, strict=True):
        np.testing.assert_array_equal(got, want)
    again = play(game, players(), seeds_of(1, GAMES), trace=True)
    np.testing.assert_array_equal(again.state, first.state)
    untraced = play(game, players(), seeds_of(1, GAMES))
    np.testing.assert_array_equal(untraced.final, first.final)


def test_every_seat_must_be_played():
    with pytest.raises(KeyError, match="nobody plays mm_1, trader_0"):
        play(Game(MARKET, GAMES), {"mm_0": steady(0.0)}, seeds_of(1, GAMES))


def test_seeds_are_a_pure_function_with_separate_streams():
    seeds = seeds_of(5, 1000)
    assert seeds.dtype == np.uint64
    np.testing.assert_array_equal(seeds_of(5, 10), seeds[:10])  # more games do not change the first ones
    everything = np.concatenate([seeds_of(seed, 1000, stream) for seed in range(10) for stream in range(10)])
    assert np.unique(everything).size == everything.size
    assert seeds_of(2**64 - 1, 3).size == 3  # any 64-bit seed
