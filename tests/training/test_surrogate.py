"""The PPO update of one network."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.network import Network
from arena.scenario import Scenario
from arena.training.prior import priors
from arena.training.surrogate import Batch, make_optimizer, update

SETTINGS = SimpleNamespace(
    epochs=1, minibatch=64, clip=0.2, value_weight=0.5, entropy=0.0, gradient_clip=1e9, final_std=0.05
)


def network_of(scenario: Scenario, role: str, weights: Any = None) -> Network:
    spec = next(one for one in scenario.market.roles if one.name == role)
    network = Network(spec.observation, priors(scenario.market)[role], hidden=(8, 8), seed=1)
    if weights is not None:
        network.load(weights)
    return network


def batch_of(network: Network, rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, len(network.centre), generator=generator)
    with torch.no_grad():
        mean, std = network.outputs(x), network.log_std.exp()
        actions = mean + std * torch.randn(mean.shape, generator=generator)
        logp = network.head.log_probability(actions, mean, x)
    advantages, targets = torch.randn(2, rows, generator=generator)
    return Batch(x, actions, logp, advantages, targets, 0.0, 0.0)


def likelihood(network: Network, batch: Batch) -> torch.Tensor:
    outputs = network.outputs(batch.observations)
    return network.head.log_probability(batch.actions, outputs, batch.observations)


def test_the_first_step_follows_the_policy_gradient(small: Scenario) -> None:
    network = network_of(small, "executor")
    batch = batch_of(network, 64)
    expected = [
        torch.autograd.grad(
            -(batch.advantages * likelihood(network, batch)).mean(),
            [*network.policy.parameters(), network.linear, network.log_std],
        )
    ]
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in [*network.policy.parameters(), network.linear, network.log_std]]
    update(network, optimizer, batch, SETTINGS, torch.Generator().manual_seed(0))
    after = [*network.policy.parameters(), network.linear, network.log_std]
    for old, new, gradient in zip(before, after, expected[0], strict=True):
        assert torch.allclose((old - new) / 1e-3, gradient, atol=2e-3)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [(0.5, 1.0, -0.5, True), (2.0, 1.0, -1.2, False), (0.5, -1.0, 0.8, False), (2.0, -1.0, 2.0, True)],
)
def test_the_objective_is_the_smaller_of_the_ratio_s_and_the_clipped_ratio_s(
    small: Scenario, ratio: float, advantage: float, loss: float, moves: bool
) -> None:
    """min(ρ A, clip(ρ, .8, 1.2) A) by hand: a policy that has left the range is pulled back and never pushed on."""
    network = network_of(small, "executor")
    batch = batch_of(network, 32)
    old = batch.logp - float(np.log(ratio))
    batch = batch._replace(logp=old, advantages=torch.full((32,), advantage))
    settings = SimpleNamespace(**{**vars(SETTINGS), "value_weight": 0.0})
    before = network.weights()
    seen = update(network, make_optimizer(network, 1e-3), batch, settings, torch.Generator())
    assert np.isclose(seen["policy_loss"], loss, rtol=1e-5)
    assert any(not np.array_equal(before[key], value) for key, value in network.weights().items()) == moves


def test_a_good_action_becomes_likelier_and_the_critic_learns(small: Scenario) -> None:
    network = network_of(small, "executor")
    batch = batch_of(network, 512)
    first = batch._replace(advantages=(batch.actions[:, 0] > 0).float() * 2 - 1, targets=batch.observations[:, 0])
    settings = SimpleNamespace(**{**vars(SETTINGS), "epochs": 25})
    optimizer = make_optimizer(network, 3e-3)
    seen = update(network, optimizer, first, settings, torch.Generator().manual_seed(0))
    assert network.outputs(batch.observations).mean() > 0.05
    assert seen["value_loss"] < 0.5  # the target's variance is 1
    assert 0.0 < seen["kl"] < 0.5
    assert seen["clip_fraction"] > 0.0


def test_entropy_is_rewarded_and_the_gradient_s_norm_is_bounded(small: Scenario) -> None:
    network = network_of(small, "executor")
    batch = batch_of(network, 64)
    before = torch.cat([p.detach().clone().ravel() for p in network.parameters()])
    idle = batch._replace(advantages=torch.zeros(64))
    settings = SimpleNamespace(**{**vars(SETTINGS), "value_weight": 0.0, "entropy": 0.5, "gradient_clip": 0.1})
    first = network.log_std.detach().clone()
    update(network, torch.optim.SGD(network.parameters(), lr=1.0), idle, settings, torch.Generator())
    moved = torch.cat([p.detach().ravel() for p in network.parameters()]) - before
    assert (network.log_std > first).all()
    assert torch.isclose(moved.norm(), torch.tensor(0.1), rtol=1e-4)  # the gradient of the entropy alone is larger


def test_every_row_is_used_once_per_pass_in_pieces_of_equal_size(small: Scenario, monkeypatch: Any) -> None:
    network, sizes = network_of(small, "executor"), []
    values = network.values
    monkeypatch.setattr(network, "values", lambda x: sizes.append(len(x)) or values(x))
    settings = SimpleNamespace(**{**vars(SETTINGS), "epochs": 3})
    seen = update(network, make_optimizer(network, 1e-3), batch_of(network, 100), settings, torch.Generator())
    assert sizes == [50, 50] * 3
    assert seen["rows"] == 100


@pytest.mark.anywhere
def test_the_same_generator_gives_the_same_weights_bitwise(small: Scenario) -> None:
    results = []
    for _ in range(2):
        network = network_of(small, "maker")
        update(
            network, make_optimizer(network, 1e-3), batch_of(network, 200), SETTINGS, torch.Generator().manual_seed(4)
        )
        results.append(network.weights())
    assert all(np.array_equal(results[0][key], results[1][key]) for key in results[0])


def test_steps_that_are_not_finite_are_skipped_and_counted(small: Scenario) -> None:
    network = network_of(small, "executor")
    before, batch = network.weights(), batch_of(network, 64)
    broken = batch._replace(advantages=torch.full((64,), torch.inf))
    seen = update(network, make_optimizer(network, 1e-3), broken, SETTINGS, torch.Generator())
    assert seen["skipped"] == 1
    assert all(np.array_equal(before[key], value) for key, value in network.weights().items())


def test_exploration_does_not_fall_below_its_bound(small: Scenario) -> None:
    network = network_of(small, "executor")
    with torch.no_grad():
        network.log_std.fill_(-9.0)
    seen = update(network, make_optimizer(network, 1e-3), batch_of(network, 64), SETTINGS, torch.Generator())
    assert np.isclose(seen["std"], 0.05)


def test_a_gate_and_what_lies_behind_it_learn_from_one_loss() -> None:
    """Option 1 pays where a column is above 0, nothing where it is below: the gate opens there and chooses it there."""
    from agents.heads import Options
    from arena.layout import Field, Layout

    layout = Layout([Field("x", low=-9, high=9), Field("allowed", (4,), low=0, high=1)])
    network = Network(layout, Options(np.array([0.05, 0.05, 0.05, 0.85]), 1, 5, idle=3, gated=True), (8,), seed=2)
    generator, optimizer = torch.Generator().manual_seed(1), make_optimizer(network, 2e-2)
    for _ in range(30):
        x = torch.cat([torch.randn(512, 1, generator=generator), torch.ones(512, 4)], dim=1)
        x[:, 1] = 0.0  # option 0 is never allowed
        noise, logp = torch.rand(1, 512, generator=generator), torch.empty(512)
        with torch.no_grad():
            _, own = network.head.sample(network.outputs(x).T, x.T, noise, logp)
        paid = torch.where(x[:, 0] > 0, own[0] == 1, own[0] == 3).float()
        batch = Batch(x, own.T, logp, (paid - paid.mean()) / paid.std().clamp(min=1e-3), torch.zeros(512), 0.0, 0.0)
        update(network, optimizer, batch, SETTINGS, generator)
    seen = torch.tensor([[1.0, 0, 1, 1, 1], [-1.0, 0, 1, 1, 1]])
    p = network.head.distribution(network.outputs(seen), seen).exp().detach()
    assert p[0, 1] > 0.9
    assert p[1, 3] > 0.9
    assert (p[:, 0] == 0.0).all()
