"""Heads: what is played, how likely it was and how open it is, against torch's own distributions and by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from agents.heads import Categorical, Gated, Gaussian, Head, Numbers, Options, head_of
from agents.network import Network
from arena.layout import Field, Layout
from arena.solvers import perceptron

OPTIONS, DRAWS = 5, 40_000
SEEN = Layout([Field("time_left", centre=0.5, scale=0.3), Field("allowed", (OPTIONS,), low=0.0, high=1.0)])
CHOICE = {"choice": np.array([1.0, 6.0, 2.0], np.float32)}


def head(gated: bool) -> Head:
    return head_of(CHOICE, OPTIONS + gated)


def rows(count: int, gated: bool, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [N, O] and observations [N, D]; the first row allows nothing, the second all, the third only option 4."""
    generator = np.random.default_rng(seed)
    outputs = generator.normal(scale=2.0, size=(count, OPTIONS + gated))
    allowed = generator.random((count, OPTIONS)) < 0.6
    allowed[0], allowed[1], allowed[2] = False, True, np.arange(OPTIONS) == 4
    seen = np.concatenate([generator.normal(size=(count, 1)), allowed], axis=1)
    return torch.tensor(outputs, dtype=torch.float32), torch.tensor(seen, dtype=torch.float32)


def by_hand(outputs: np.ndarray, seen: np.ndarray, gated: bool) -> np.ndarray:
    """The probabilities of one row, in float64, as the module says them."""
    allowed, idle = seen[1:] > 0.5, 2
    p = np.zeros(OPTIONS)
    if not allowed.any():
        p[idle] = 1.0
        return p
    if not gated:
        p[allowed] = np.exp(outputs[allowed] - outputs[allowed].max())
        return p / p.sum()
    others = allowed & (np.arange(OPTIONS) != idle)
    d = 1.0 / (1.0 + np.exp(-outputs[0])) if allowed[idle] and others.any() else float(others.any())
    weight = np.where(others, np.exp(outputs[1:]), 0.0)
    p = d * weight / weight.sum() if others.any() else p
    p[idle] = 1.0 - d
    return p


@pytest.mark.parametrize("gated", [False, True])
def test_probabilities_are_those_of_the_formula(gated: bool) -> None:
    outputs, seen = rows(200, gated)
    masses = head(gated).distribution(outputs, seen).exp().numpy()
    wanted = np.array([by_hand(o.astype(float), s, gated) for o, s in zip(outputs.numpy(), seen.numpy(), strict=True)])
    np.testing.assert_allclose(masses, wanted, atol=2e-6)
    assert (masses[wanted == 0.0] == 0.0).all()  # what is not allowed is impossible, not unlikely


@pytest.mark.parametrize("gated", [False, True])
def test_log_probability_and_entropy_are_torchs(gated: bool) -> None:
    outputs, seen = rows(200, gated)
    one = head(gated)
    law = torch.distributions.Categorical(probs=one.distribution(outputs, seen).exp())
    own = law.sample()[:, None].float()
    torch.testing.assert_close(one.log_probability(own, outputs, seen), law.log_prob(own[:, 0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.entropy(outputs, seen), law.entropy().mean(), atol=1e-5, rtol=1e-5)
    assert one.statistics(outputs, seen) == {"entropy": pytest.approx(float(law.entropy().mean()), abs=1e-5)}


def test_a_gates_entropy_is_that_of_the_gate_and_of_what_lies_behind_it() -> None:
    outputs, seen = rows(50, True)
    seen[:, 1:] = 1.0
    d = torch.sigmoid(outputs[:, 0])
    which = torch.distributions.Categorical(logits=outputs[:, 1:].index_select(1, torch.tensor([0, 1, 3, 4])))
    expected = torch.distributions.Bernoulli(d).entropy() + d * which.entropy()
    torch.testing.assert_close(head(True).entropy(outputs, seen), expected.mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
def test_gradients_are_finite_where_little_is_allowed(gated: bool) -> None:
    outputs, seen = rows(50, gated)
    outputs.requires_grad_()
    one = head(gated)
    own = one.distribution(outputs, seen).argmax(1, keepdim=True).float()
    (one.log_probability(own, outputs, seen).sum() + one.entropy(outputs, seen)).backward()
    assert torch.isfinite(outputs.grad).all()
    assert (outputs.grad[0] == 0.0).all()  # nothing was allowed: there was nothing to learn


@pytest.mark.parametrize("gated", [False, True])
def test_a_uniform_number_draws_every_option_as_often_as_its_probability(gated: bool) -> None:
    """A chi-square test of 40 000 draws in one state; error rate 1e-5."""
    outputs, seen = (part[5:6].expand(DRAWS, -1) for part in rows(9, gated))
    uniforms = torch.tensor(np.random.default_rng(4).random((1, DRAWS)), dtype=torch.float32)
    logp = torch.empty(DRAWS)
    wire, own = head(gated).sample(outputs.T, seen.T, uniforms, logp)
    p = head(gated).distribution(outputs[:1], seen[:1]).exp().numpy()[0].astype(float)
    counts = np.bincount(own[0].numpy().astype(int), minlength=OPTIONS)
    assert counts[p == 0.0].sum() == 0
    assert stats.chisquare(counts[p > 0], DRAWS * p[p > 0] / p.sum()).pvalue > 1e-5
    assert torch.equal(wire, own)
    torch.testing.assert_close(logp, head(gated).log_probability(own.T, outputs, seen))


@pytest.mark.parametrize("gated", [False, True])
def test_frozen_choices_follow_the_same_law_and_no_row_sees_another(gated: bool) -> None:
    outputs, seen = rows(3000, gated)
    uniform = np.random.default_rng(5).random((1, 3000))
    chosen = np.empty((1, 3000), np.float32)
    columns = np.ascontiguousarray(outputs.numpy().T)[:, None], np.ascontiguousarray(seen.numpy()[:, 1:].T)[:, None]
    perceptron.choose(*columns, uniform, 2, gated, chosen)
    by_torch, _ = head(gated).sample(outputs.T, seen.T, torch.tensor(uniform, dtype=torch.float32), torch.empty(3000))
    assert (chosen != by_torch.numpy()).mean() < 2e-3  # the last digit of a probability, once in a thousand draws
    for first, last in ((0, 1), (7, 15), (100, 1123)):
        part = np.empty((1, last - first), np.float32)
        pieces = [np.ascontiguousarray(one[:, :, first:last]) for one in columns]
        perceptron.choose(*pieces, uniform[:, first:last], 2, gated, part)
        assert np.array_equal(part, chosen[:, first:last])


def test_the_extremes_of_the_uniform_number_draw_an_allowed_option() -> None:
    for gated in (False, True):
        outputs, seen = rows(400, gated)
        columns = np.ascontiguousarray(outputs.numpy().T)[:, None], np.ascontiguousarray(seen.numpy()[:, 1:].T)[:, None]
        for extreme in (2.0**-53, 1.0 - 2.0**-53, 1.0):
            chosen = np.empty((1, 400), np.float32)
            perceptron.choose(*columns, np.full((1, 400), extreme), 2, gated, chosen)
            drawn, _ = head(gated).sample(outputs.T, seen.T, torch.full((1, 400), extreme), torch.empty(400))
            for played in (chosen[0], drawn[0].numpy()):
                mask = seen.numpy()[:, 1:] > 0.5
                nothing = ~mask.any(axis=1)
                assert (mask[np.arange(400), played.astype(int)] | nothing).all()
                assert (played[nothing] == 2).all()


@pytest.mark.parametrize("gated", [False, True])
def test_a_fresh_network_plays_its_prior(gated: bool) -> None:
    wanted = np.array([0.1, 0.2, 0.4, 0.05, 0.25])
    network = Network(SEEN, Options(wanted, 1, 6, idle=2, gated=gated), hidden=(8,), seed=1)
    x = torch.cat([torch.randn(30, 1, generator=torch.Generator().manual_seed(1)), torch.ones(30, OPTIONS)], dim=1)
    assert isinstance(network.head, Gated if gated else Categorical)
    with torch.no_grad():
        masses = network.head.distribution(network.outputs(x), x).exp().numpy()
    np.testing.assert_allclose(masses, np.broadcast_to(wanted, masses.shape), atol=0.03)  # the last layer is small
    other = Network(SEEN, Options(np.full(5, 0.2), 1, 6, idle=2, gated=gated), hidden=(8,), seed=2)
    other.load(network.weights())
    assert all(np.array_equal(other.weights()[name], value) for name, value in network.weights().items())


def test_numbers_are_gaussian() -> None:
    network = Network(SEEN, Numbers(np.array([0.1, -0.2]), np.array([0.5, 0.25])), hidden=(8,), initial_std=0.3, seed=1)
    one: Any = network.head
    assert isinstance(one, Gaussian)
    x, noise, logp = torch.randn(6, 7), torch.randn(2, 7), torch.empty(7)
    outputs = network.outputs(x.T).T
    with torch.no_grad():
        wire, own = one.sample(outputs, x, noise, logp)
    torch.testing.assert_close(own, outputs + 0.3 * noise)
    torch.testing.assert_close(wire, network.baseline[:, None] + network.reach[:, None] * own)
    law = torch.distributions.Normal(outputs.T, network.log_std.exp())
    constant = 2 * 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(logp, law.log_prob(own.T).sum(-1) + constant)
    torch.testing.assert_close(one.log_probability(own.T, outputs.T, x.T), logp)
