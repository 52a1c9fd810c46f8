"""Vectorisable elementary functions against the maths library and scipy, at the accuracy their docstrings state."""

import math

import numpy as np
import pytest
import scipy.special as reference
from numba import njit

from arena.markets.parts import special

pytestmark = pytest.mark.anywhere


@njit
def _all(x, positive, turns, out):
    for i in range(x.shape[0]):
        out[0, i] = special.exp(x[i])
        out[1, i] = special.log(positive[i])
        out[2, i] = special.cos_turns(turns[i])
        out[3, i], out[4, i] = special.normal_cdf_and_density(x[i])


def evaluate(x=None, positive=None, turns=None):
    given = next(a for a in (x, positive, turns) if a is not None)
    fill = np.ones_like(given)
    out = np.empty((5, given.size))
    _all(fill if x is None else x, fill if positive is None else positive, fill if turns is None else turns, out)
    return out


def test_exp_is_accurate_to_two_units_in_the_last_place():
    x = np.concatenate([np.linspace(-708, 709, 40_001), np.linspace(-1, 1, 20_001), [0.0, -0.0, 1e-300]])
    got, want = evaluate(x=x)[0], np.exp(x)
    assert np.abs(got / want - 1).max() < 4.5e-16  # 2 ulp
    assert got[np.where(x == 0)[0]].tolist() == [1.0] * np.sum(x == 0)


def test_exp_saturates_outside_its_range():
    got = evaluate(x=np.array([-1e6, -708.0, 709.0, 1e6]))[0]
    assert got[0] == got[1] > 0
    assert got[3] == got[2] < np.inf


def test_log_is_accurate_near_one_and_far_away():
    rng = np.random.default_rng(0)
    near = 1 + np.linspace(-0.3, 0.4, 30_001)
    far = np.exp(rng.uniform(-690, 700, 30_000))
    assert np.abs(evaluate(positive=near)[1] - np.log(near)).max() < 3e-16
    assert np.abs(evaluate(positive=far)[1] / np.log(far) - 1).max() < 4.5e-16
    assert evaluate(positive=np.array([1.0]))[1, 0] == 0.0


def test_cosine_of_turns():
    u = np.concatenate([np.linspace(-0.25, 1.0, 40_001), np.linspace(-50, 50, 10_001)])
    want = np.cos(2 * np.pi * np.mod(u, 1.0))
    assert np.abs(evaluate(turns=u)[2] - want).max() < 1e-15
    exact = evaluate(turns=np.array([0.0, 0.25, 0.5, 0.75, 1.0]))[2]
    np.testing.assert_allclose(exact, [1, 0, -1, 0, 1], atol=4e-16)


def test_normal_distribution_and_density():
    x = np.concatenate([np.linspace(-12, 12, 48_001), [-40.0, 40.0, -7.07106781186547, 7.07106781186547]])
    cdf, density = evaluate(x=x)[3:]
    assert np.abs(cdf - reference.ndtr(x)).max() < 1e-14
    assert np.abs(density - np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)).max() < 1e-15
    assert cdf.min() >= 0
    assert cdf.max() <= 1


@pytest.mark.parametrize("x", [-3.0, -0.5, 0.0, 2.5])
def test_tails_add_up(x):
    assert evaluate(x=np.array([x]))[3, 0] + evaluate(x=np.array([-x]))[3, 0] == pytest.approx(1.0, abs=2e-15)
