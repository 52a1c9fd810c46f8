"""Returns, values, advantages and targets."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from arena.training.block import Track
from arena.training.connector import advantages, differences, luck, make_batch, returns_to_go

pytestmark = pytest.mark.anywhere

RNG = np.random.default_rng(5)


def track_of(rewards: np.ndarray, depth: int = 3) -> Track:
    steps, columns = rewards.shape
    seen = RNG.normal(size=(steps, depth, columns)).astype(np.float32)
    seen[:, 0] = np.arange(steps)[:, None]
    done, zero = np.zeros((steps, 2, columns), np.float32), np.zeros_like(rewards, np.float32)
    return Track(seen, done, rewards.astype(np.float32), zero, zero[:, None], np.arange(1))


class Critic:
    """A stand-in whose standardised values are a given function of the observation."""

    def __init__(self, of: Any):
        self.values = of


def test_returns_and_advantages_equal_their_definitions() -> None:
    rewards, values = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
    g, lam = 0.9, 0.7
    following = np.vstack([values[1:], np.zeros(4)])
    delta = rewards + g * following - values
    for t in range(6):
        weights = (g * lam) ** np.arange(6 - t)
        assert np.allclose(advantages(differences(rewards, values, g), g, lam)[t], weights @ delta[t:])
        assert np.allclose(returns_to_go(rewards, g)[t], g ** np.arange(6 - t) @ rewards[t:])


def test_with_lambda_one_the_target_is_the_standardised_return() -> None:
    rewards = RNG.normal(size=(5, 200)) * np.arange(5, 0, -1)[:, None] + 3.0
    critic = Critic(lambda x: torch.full((len(x),), 0.3))
    batch = make_batch([track_of(rewards[:, :120]), track_of(rewards[:, 120:])], critic, 1.0, 1.0)
    returns = returns_to_go(rewards, 1.0)
    expected = (returns - returns.mean(1, keepdims=True)) / returns.std(1, keepdims=True)
    assert np.allclose(batch.targets.view(5, 200).numpy(), expected, atol=1e-4)
    assert abs(float(batch.advantages.mean())) < 1e-6
    assert float(batch.advantages.std()) == pytest.approx(1.0, abs=1e-3)
    assert batch.explained_variance == pytest.approx(0.0, abs=1e-6)  # a constant explains nothing


def test_a_critic_that_knows_the_return_explains_everything_and_leaves_no_advantage_to_luck() -> None:
    last = RNG.normal(size=(1, 300))
    rewards = np.vstack([np.zeros((3, 300)), last])  # decided at the end, known from the start
    track = track_of(rewards)
    track.observations[:, 1] = (last - last.mean()) / last.std()
    batch = make_batch([track], Critic(lambda x: x[:, 1]), 1.0, 0.95)
    assert batch.explained_variance == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(batch.targets.numpy(), np.tile((last - last.mean()) / last.std(), (4, 1)).ravel(), atol=1e-4)


def test_rows_are_time_major_in_the_order_of_the_tracks() -> None:
    first, second = track_of(RNG.normal(size=(4, 2))), track_of(RNG.normal(size=(4, 3)))
    batch = make_batch([first, second], Critic(lambda x: torch.zeros(len(x))), 1.0, 0.95)
    joined = np.concatenate([first.observations, second.observations], axis=2)
    assert np.array_equal(batch.observations.numpy(), joined.transpose(0, 2, 1).reshape(20, 3))


def test_a_batch_lies_where_the_library_always_sums_alike() -> None:
    # MKL's product with one output differs in its last digits with where its input starts; NumPy's may start anywhere
    for columns in (1, 7, 64, 3000):
        batch = make_batch([track_of(RNG.normal(size=(4, columns)))], Critic(lambda x: x[:, 1]), 1.0, 0.95)
        for tensor in (batch.observations, batch.actions, batch.logp, batch.advantages, batch.targets):
            assert tensor.data_ptr() % 64 == 0


def test_an_empty_batch_and_rewards_that_are_not_finite_are_refused() -> None:
    critic = SimpleNamespace(values=lambda x: torch.zeros(len(x)))
    with pytest.raises(ValueError, match="empty batch"):
        make_batch([], critic, 1.0, 0.95)
    with pytest.raises(ValueError, match="not finite"):
        make_batch([track_of(np.full((2, 2), np.nan))], critic, 1.0, 0.95)


def test_luck_is_what_the_surprises_account_for() -> None:
    held, surprises = RNG.normal(size=(4, 1, 400)), RNG.poisson(0.5, size=(4, 2, 400)) - 0.5
    worth = np.stack([1.0 + 2.0 * held[:, 0], -0.5 * np.ones((4, 400))], axis=1)
    explained = (worth * surprises).sum(1)
    found = luck(explained, surprises.astype(np.float32), held.astype(np.float32))
    assert np.allclose(found, explained, atol=2e-3)
    assert not luck(explained, np.zeros((4, 2, 400), np.float32), held.astype(np.float32)).any()


def test_luck_of_one_half_of_the_games_is_judged_by_the_other_half_alone() -> None:
    held, surprises = RNG.normal(size=(3, 1, 40)).astype(np.float32), RNG.normal(size=(3, 1, 40)).astype(np.float32)
    before = RNG.normal(size=(3, 40))
    after = before.copy()
    after[:, 6] += 100.0
    found, changed = luck(before, surprises, held), luck(after, surprises, held)
    assert np.array_equal(found[:, ::2], changed[:, ::2])
    assert not np.allclose(found[:, 1::2], changed[:, 1::2])


def test_luck_is_taken_out_of_the_advantages_if_the_settings_say_so() -> None:
    surprises = RNG.poisson(0.5, size=(4, 400)) - 0.5
    skill = 0.1 * RNG.normal(size=(4, 400))
    track = track_of(skill + surprises)._replace(surprises=surprises[:, None].astype(np.float32))
    critic = Critic(lambda x: torch.zeros(len(x)))
    without, plain = (make_batch([track], critic, 1.0, 0.0, on) for on in (True, False))
    correlation = [np.corrcoef(batch.advantages.numpy(), skill.ravel())[0, 1] for batch in (without, plain)]
    assert correlation[0] > 0.95 > 0.3 > correlation[1]  # 0.1 of 0.71 in the plain one
    assert without.luck > 0.9
    assert plain.luck == 0.0


def test_a_segment_ends_in_the_value_of_what_comes_next() -> None:
    rewards, g, total = RNG.normal(size=(4, 50)) + 0.5, 0.9, 12
    ahead = RNG.normal(size=(3, 50)).astype(np.float32)
    on = track_of(rewards)._replace(ahead=ahead, first=4, left=4)
    over = track_of(rewards)._replace(first=8, left=0)
    batch = make_batch([on, over], Critic(lambda x: x[:, 1]), g, 1.0)
    assert batch.past is not None
    centre, spread = batch.past.scale
    after = np.concatenate([centre[8] + spread[8] * ahead[1].astype(float), np.zeros(50)])
    plain = returns_to_go(np.hstack([rewards, rewards]), g)
    for t in range(4):
        returns = plain[t] + g ** (4 - t) * after
        np.testing.assert_allclose(batch.past.returns[t], returns, rtol=1e-5, atol=1e-5)
        time = np.repeat([4 + t, 8 + t], 50)
        assert np.array_equal(batch.past.time[t], time)
        told = (returns - centre[time]) / spread[time]
        np.testing.assert_allclose(batch.targets.view(4, 100)[t].numpy(), told, rtol=1e-4, atol=1e-4)
    assert len(centre) == total


def test_returns_of_segments_are_standardised_as_sums_of_independent_rewards() -> None:
    """Standard errors of 40 000 rewards are .005 of the mean and, for the sums, about .02 of the standard deviation."""
    rewards, g, total = 3.0 + 2.0 * RNG.normal(size=(40, 1000)), 0.95, 400
    track = track_of(rewards)._replace(ahead=np.zeros((3, 1000), np.float32), first=100, left=total - 140)
    past = make_batch([track], Critic(lambda x: torch.zeros(len(x))), g, 0.95).past
    assert past is not None
    left = np.arange(total, 0, -1)
    np.testing.assert_allclose(past.scale.centre, 3.0 * (1 - g**left) / (1 - g), rtol=0.05)
    np.testing.assert_allclose(past.scale.spread, 2.0 * np.sqrt((1 - g ** (2 * left)) / (1 - g**2)), rtol=0.1)
