"""Deep Galerkin: its residual against the operators, one training that repeats itself."""

import numpy as np
import pytest
import torch

from arena.markets.book.market import Market
from arena.markets.book.problems.impulse_problem import problem
from arena.solvers.impulse import galerkin
from arena.solvers.impulse.generator import generator, interventions
from arena.solvers.impulse.networks import DGM, Shaped, features
from arena.solvers.impulse.samples import drawn, prepared


def test_the_residual_is_made_of_the_operators() -> None:
    one = problem(Market.model_validate({"flow": {"preset": "mo_only"}, "makers": {"actions": "all", "cap": 5}}), 1)
    known = galerkin.constants(one, "cpu")
    state, excitation = drawn(one, 24, torch.Generator().manual_seed(0))
    value = Shaped(one, DGM(features(one, state).shape[1] + 5, 1, 2, 8)).double()
    excitation = excitation.double()
    left = torch.linspace(0.2, 250.0, 24, dtype=torch.float64)
    samples = prepared(one, state, excitation)
    samples = type(samples)(*(x.double() if x.is_floating_point() else x for x in samples))
    known = galerkin.Constants(*(x.double() if x.is_floating_point() else x for x in known))
    w, a, worth, may = galerkin.terms(one, known, value, samples, left)

    def at(s, event, tau=left, lam=excitation):  # by the definition, one call an outcome
        more = torch.tensor(one.jump[:, event]) if event is not None else 0.0
        return value(
            one.at_end(s).float().double(), features(one, s).double(), tau, galerkin._excited(known, lam + more)
        ).detach()

    step = 1e-5
    ahead, behind = (at(state, None, left - h, excitation * (1.0 - one.decay * h)) for h in (step, -step))
    drift = (ahead - behind) / (2.0 * step)
    expected = drift + generator(one, at, state, torch.tensor(one.base) + excitation) - one.running(state)
    assert torch.allclose(a.detach(), expected, atol=1e-5, rtol=1e-5)
    for k, (action, where, gain) in enumerate(interventions(one, at, state)):
        assert one.actions[k] == action
        assert torch.equal(where, may[:, k])
        assert torch.allclose(worth[:, k].detach(), gain, atol=1e-6)
    assert torch.allclose(w.detach(), at(state, None))


def test_the_end_is_built_in() -> None:
    one = problem(Market.model_validate({"flow": {"preset": "poisson"}, "makers": {"cap": 5}}), 1)
    state, _ = drawn(one, 16, torch.Generator().manual_seed(0))
    x = features(one, state)
    value = Shaped(one, DGM(x.shape[1] + 3, 1, 1, 4))
    end = one.at_end(state).float()
    assert torch.equal(value(end, x, torch.zeros(16), x[:, :0]), end)


@pytest.mark.parametrize("form", [galerkin.fit_exact, galerkin.fit_alternating])
def test_a_training_repeats_itself_and_lowers_its_loss(form) -> None:
    one = problem(Market.model_validate({"flow": {"preset": "poisson"}, "makers": {"cap": 3}}), 1)
    how = galerkin.Training(
        depth=1,
        width=8,
        iterations=12,
        batch=64,
        states=64,
        law="drawn",
        held_law="drawn",
        rate=1e-2,
        renewals=(),
        held=64,
    )
    first, second = form(one, how, 3), form(one, how, 3)
    for a, b in zip(first.value.parameters(), second.value.parameters(), strict=True):
        assert torch.equal(a, b)
    assert first.history[-1][1] < first.history[0][1]
    assert np.isfinite(list(first.held_out.values())).all()
