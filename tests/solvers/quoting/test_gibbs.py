"""The exploratory quote: identities of its gain, limits, conventions and sampling (option_making section 3)."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from arena.solvers.quoting import gibbs

SIDE = {"rate": 100.0, "decay": 10.0, "low": 0.0, "high": 0.8}
GAPS = np.linspace(-0.4, 0.4, 41)


def test_the_gain_against_adaptive_quadrature():
    for d in (-0.3, 0.0, 0.25):
        peak = 100 * math.exp(-1 + 10 * d) / 10 if d < 0.1 else 100 * d
        mass = quad(lambda e, d=d, top=peak: math.exp((100 * math.exp(-10 * e) * (e + d) - top) / 0.2), 0, 0.8,
                    points=[max(0.1 - d, 0)], epsabs=1e-13, epsrel=1e-12, limit=400)[0]  # fmt: skip
        found = gibbs.moments(d, temperature=0.2, entropy="lebesgue", **SIDE)
        assert float(found.gain) == pytest.approx(peak + 0.2 * math.log(mass), abs=1e-9)


def test_slope_of_the_gain_is_the_intensity_and_gain_splits():
    h = 1e-5
    ahead, behind = (gibbs.moments(GAPS + s, temperature=0.1, **SIDE).gain for s in (h, -h))
    here = gibbs.moments(GAPS, temperature=0.1, **SIDE)
    np.testing.assert_allclose((ahead - behind) / (2 * h), here.intensity, rtol=1e-6)
    np.testing.assert_allclose(here.gain, here.reward + GAPS * here.intensity + 0.1 * here.entropy, atol=1e-11)


def test_entropy_conventions_differ_by_the_log_of_the_range():
    one, two = (gibbs.moments(GAPS, temperature=0.1, entropy=e, **SIDE) for e in ("uniform", "lebesgue"))
    np.testing.assert_allclose(two.gain - one.gain, 0.1 * math.log(0.8), atol=1e-13)
    assert (one.entropy <= 0).all()


def test_small_temperatures_reach_the_plain_gain_from_below():
    plain = np.array([gibbs.gain_kernel(d, 0, 100.0, 10.0, 0.0, 0.8, *gibbs.NO_TABLE) for d in GAPS])
    gaps = [plain - gibbs.moments(GAPS, temperature=t, **SIDE).gain for t in (0.1, 0.03, 0.01)]
    assert (gaps[0] > gaps[1]).all()
    assert (gaps[1] > gaps[2]).all()
    assert (gaps[2] > 0).all()
    inner = (GAPS > -0.05) & (GAPS < 0.05)  # Laplace's expansion, section 3
    intensity = 100 * np.exp(-1 + 10 * GAPS[inner])
    laplace = 0.005 * np.log(2 * math.pi * 0.01 / (10 * intensity)) - 0.01 * math.log(0.8)
    np.testing.assert_allclose(-gaps[2][inner], laplace, rtol=2e-3)
    width = gibbs.moments(0.0, temperature=0.01, **SIDE)
    assert float(width.std) == pytest.approx(math.sqrt(0.01 * math.e / 1000), rel=0.02)
    assert float(width.mode) == 0.1


def test_the_table_interpolates_gain_and_slope():
    for temperature in (0.02, 0.2):
        table = gibbs.gain_table(0.5, np.full(2, 100.0), np.full(2, 10.0), 0.0, 0.8, temperature)
        points = np.random.default_rng(0).uniform(-0.5, 0.5, 200)
        exact = gibbs.moments(points, temperature=temperature, **SIDE)
        found = [gibbs.gain_kernel(d, 1, 0, 0, 0, 0, *table) for d in points]
        slopes = [gibbs.intensity_kernel(d, 1, 0, 0, 0, 0, *table) for d in points]
        np.testing.assert_allclose(found, exact.gain, atol=1e-8)
        np.testing.assert_allclose(slopes, exact.intensity, atol=1e-4)
        assert math.isnan(gibbs.gain_kernel(0.6, 0, 0, 0, 0, 0, *table))


def test_plain_kernels_with_and_without_clamps():
    assert gibbs.gain_kernel(0.02, 0, 100.0, 10.0, -math.inf, math.inf, *gibbs.NO_TABLE) == pytest.approx(
        10 * math.exp(-1 + 0.2), rel=1e-14
    )
    for d, eps in ((0.3, 0.0), (-0.9, 0.8), (0.02, 0.08)):
        assert gibbs.gain_kernel(d, 0, 100.0, 10.0, 0.0, 0.8, *gibbs.NO_TABLE) == pytest.approx(
            100 * math.exp(-10 * eps) * (eps + d), rel=1e-13
        )
        assert gibbs.intensity_kernel(d, 0, 100.0, 10.0, 0.0, 0.8, *gibbs.NO_TABLE) == pytest.approx(
            100 * math.exp(-10 * eps), rel=1e-13
        )


def test_samples_follow_the_density():
    draws = gibbs.sample(np.random.default_rng(2).random(200_000), 0.03, temperature=0.2, **SIDE)
    exact = gibbs.moments(0.03, temperature=0.2, **SIDE)
    assert abs(draws.mean() - float(exact.mean)) < 4 * float(exact.std) / math.sqrt(draws.size)  # wrong with prob. 6e-5
    assert draws.std() == pytest.approx(float(exact.std), rel=0.02)
    for share in (0.05, 0.5, 0.95):
        point = float(gibbs.sample(share, 0.03, temperature=0.2, **SIDE))
        below = quad(lambda e: float(gibbs.density(e, 0.03, temperature=0.2, **SIDE)), 0, point, limit=200)[0]
        assert below == pytest.approx(share, abs=1e-4)  # linear inside a cell of 1/1024 of the range


def test_refusals():
    with pytest.raises(
        ValueError, match=r"^temperature 0\.1 needs finite min_distance < max_distance, found \[0, inf\]"
    ):
        gibbs.moments(0.0, 100.0, 10.0, 0.0, math.inf, 0.1)
    with pytest.raises(ValueError, match=r"^temperature must be positive for a Gibbs density, found 0$"):
        gibbs.moments(0.0, temperature=0.0, **SIDE)
    with pytest.raises(ValueError, match=r"^temperature must be finite and at least 0, found -1$"):
        gibbs.sample(0.5, 0.0, temperature=-1.0, **SIDE)
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^temperature must be finite and at least 0, found (nan|inf)$"):
            gibbs.moments(0.0, temperature=wrong, **SIDE)
