"""Power laws as mixtures: the stated error holds on a grid of its own, integrals are kept, bad numbers are sentences.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.solvers.hawkes.families import REACH, PowerLaws
from arena.solvers.hawkes.mixture import TOLERANCE, power_law, survival


def worst(exponent, scale, rates, weights, horizon):
    t = np.concatenate([[0.0], np.geomspace(1e-5 / scale, horizon, 20_000)])
    return np.abs(np.exp(-np.outer(t, rates)) @ weights - survival(exponent, scale, t)).max()


@settings(max_examples=25)
@given(st.floats(1.15, 4.0), st.floats(0.01, 2e4))
def test_the_survival_function_is_within_the_tolerance(exponent, scale):
    mixed = power_law(exponent, scale)
    assert worst(exponent, scale, mixed.rates, mixed.weights, 100.0) <= 1.02 * TOLERANCE
    assert (mixed.weights >= 0.0).all()
    assert mixed.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(mixed.rates) <= 16


def test_the_default_power_law_needs_few_rates():
    mixed = power_law(1.7, 20.0)
    assert len(mixed.rates) <= 8
    assert mixed.error == pytest.approx(worst(1.7, 20.0, mixed.rates, mixed.weights, 100.0), rel=0.01)


def test_many_power_laws_share_their_rates():
    exponent, scale = np.array([[1.7, 1.9], [2.0, 1.7]]), np.array([[900.0, 4e3], [1.2e4, 1e4]])
    mixed = power_law(exponent, scale)
    assert mixed.weights.shape == (len(mixed.rates), 2, 2)
    for i, j in np.ndindex(2, 2):
        found = worst(exponent[i, j], scale[i, j], mixed.rates, mixed.weights[:, i, j], 100.0)
        assert found <= 1.02 * TOLERANCE


@pytest.mark.parametrize("exponent", [1.5, 1.7, 2.0, 2.5, 3.0])
def test_a_fit_s_nodes_follow_every_exponent_that_it_states(exponent):
    shape = PowerLaws().expand(np.log([exponent - 1.0, 20.0]))
    assert worst(exponent, 20.0, shape.rates, shape.weights, REACH / 20.0) <= TOLERANCE


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1.0, 1.0), "found an exponent of 1; allowed are numbers above 1"),
        ((1.7, 0.0), "found a scale of 0; allowed are positive numbers"),
        ((1.7, 1.0, -1.0), "found a horizon of -1"),
        ((1.0001, 1e9, 1e9, 1e-7), "32 exponentials leave an error of"),
    ],
)
def test_what_cannot_be_mixed_is_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        power_law(*arguments)
