"""Counter-based random numbers: the generator itself, its distributions, and that nothing depends on neighbours.

Statistical tests reject at p < 1e-5 each (two-sided z beyond 4.42); seeds are fixed.
"""

import itertools

import numpy as np
import pytest
from numba import njit
from scipy import stats

from arena.markets.parts import draws

pytestmark = pytest.mark.anywhere

P = 1e-5
GAMES = 100_000
MASK = (1 << 64) - 1


@njit
def _uniforms(mixed, keys, out):
    for k in range(keys.shape[0]):
        for g in range(mixed.shape[0]):
            out[k, g] = draws.uniform(mixed[g], keys[k])


@njit
def _key_table(source, step, index):
    out = np.empty(source.shape[0], np.uint64)
    for k in range(source.shape[0]):
        out[k] = draws.key(source[k], step[k], index[k])
    return out


@njit
def _poisson(mixed, key, mean, count):
    mass, total = np.empty(mean.shape[0]), np.empty(mean.shape[0])
    draws.poisson_row(mixed, key, mean, count, mass, total)


def mixed_seeds(count, first=0):
    out = np.empty(count, np.uint64)
    draws.mix_seeds(np.arange(first, first + count, dtype=np.uint64), out)
    return out


def keys(*triples):
    table = np.array(triples, dtype=np.int64)
    return _key_table(table[:, 0], table[:, 1], table[:, 2])


def uniforms(mixed, table):
    out = np.empty((table.size, mixed.size))
    _uniforms(mixed, table, out)
    return out


def poisson(mixed, key, mean):
    count = np.empty(mixed.size)
    _poisson(mixed, key, np.broadcast_to(np.asarray(mean, float), mixed.shape).copy(), count)
    return count


def splitmix(z):
    """The finaliser in plain integers (Steele, Lea & Flood 2014, figure 16, variant 13)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_generator_is_the_documented_function():
    golden, source, step, index, seed = 0x9E3779B97F4A7C15, 5, 17, 3, 123456789
    key = splitmix((splitmix((source * golden + step) & MASK) + index * golden) & MASK)
    mixed = splitmix((seed + golden) & MASK)
    bits = splitmix((mixed + key) & MASK) >> 12
    got = uniforms(mixed_seeds(1, seed), keys((source, step, index)))[0, 0]
    assert got == bits * 2.0**-52 + 2.0**-53


def test_uniforms_are_uniform():
    table = keys(*[(source, step, index) for source in range(1, 11) for step in (0, 1, 99) for index in (0, 1)])
    values = uniforms(mixed_seeds(GAMES), table)
    assert values.min() > 0
    assert values.max() < 1
    worst = min(stats.kstest(row, "uniform").pvalue for row in values)
    assert worst > P / table.size
    counts = np.bincount((values.ravel() * 1000).astype(int), minlength=1000)
    assert stats.chisquare(counts).pvalue > P


def test_uniforms_of_different_keys_and_neighbouring_seeds_are_independent():
    close = [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0, 65536), (2, 1, 0), (7, 3, 65536), (7, 3, 0)]
    mixed = mixed_seeds(GAMES + 1)
    values = uniforms(mixed, keys(*close))
    pairs = [(a[:-1], b[:-1]) for a, b in itertools.combinations(values, 2)]
    pairs += [(row[:-1], row[1:]) for row in values]  # a game and its neighbour
    for a, b in pairs:
        cells = np.bincount((a * 16).astype(int) * 16 + (b * 16).astype(int), minlength=256)
        assert stats.chisquare(cells).pvalue > P / len(pairs)
        assert abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(a.size) < 5.5  # p = 4e-8 each


def test_keys_do_not_collide():
    triples = list(itertools.product(range(1, 11), range(200), range(50)))
    assert np.unique(keys(*triples)).size == len(triples)
    assert np.unique(mixed_seeds(1_000_000)).size == 1_000_000


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.3, 1.0, 3.0, 5.5, 6.5, 12.0, 47.0, 120.0, 480.0])
def test_poisson_counts_invert_the_distribution_function(mean):
    mixed, key = mixed_seeds(GAMES), keys((5, 3, 1))
    count = poisson(mixed, key[0], mean)
    u = uniforms(mixed, key)[0]
    if mean == 0:
        assert not count.any()
        return
    low, high = stats.poisson.ppf(np.clip(u - 1e-12, 1e-300, 1), mean), stats.poisson.ppf(u + 1e-12, mean)
    far = u < 1 - 1e-11
    assert np.all((low <= count) & (count <= high) | ~far)
    assert abs(count.mean() - mean) < 4.42 * np.sqrt(mean / GAMES)
    spread = np.sqrt((mean + 2 * mean**2) / GAMES)  # sd of a sample variance, fourth central moment m + 3 m^2
    assert abs(count.var() - mean) < 4.42 * spread
    edges = np.arange(count.max() + 1)
    expected = stats.poisson.pmf(edges, mean) * GAMES
    keep = expected >= 8
    observed = np.bincount(count.astype(int), minlength=edges.size)
    if keep.sum() < 2:
        return
    rest = [observed[~keep].sum()], [GAMES - expected[keep].sum()]
    observed, expected = np.append(observed[keep], rest[0]), np.append(expected[keep], rest[1])
    assert stats.chisquare(observed[expected > 5], expected[expected > 5] * observed[expected > 5].sum()
                           / expected[expected > 5].sum()).pvalue > P  # fmt: skip


def test_poisson_count_is_the_same_whoever_the_neighbours_are():
    mixed, key = mixed_seeds(64), keys((5, 0, 0))[0]
    quiet = np.full(64, 0.7)
    loud = quiet.copy()
    loud[1::2] = 400.0
    np.testing.assert_array_equal(poisson(mixed, key, loud)[::2], poisson(mixed, key, quiet)[::2])
    np.testing.assert_array_equal(poisson(mixed[:5], key, quiet[:5]), poisson(mixed, key, quiet)[:5])


def test_poisson_count_grows_with_the_mean():
    mixed, key = mixed_seeds(2000), keys((5, 1, 0))[0]
    counts = np.array([poisson(mixed, key, mean) for mean in (0.1, 0.5, 0.55, 2.0, 7.0, 7.1, 60.0)])
    assert np.all(np.diff(counts, axis=0) >= 0)  # one uniform, inverted: runs with other quotes stay coupled


def test_poisson_survives_the_largest_uniform_and_the_largest_mean():
    mixed = mixed_seeds(1_000_000)
    key = keys((5, 9, 9))
    top = np.argmax(uniforms(mixed, key)[0])
    count = poisson(mixed[top : top + 1], key[0], 500.0)
    assert 500 < count[0] < 650  # P(N >= 650) < 1e-10


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_normals_have_normal_moments(rows):
    mixed, out = mixed_seeds(200_000), np.empty((rows, 200_000))
    draws.fill_normals(mixed, draws.ACTION, 4, out)
    for row in out:
        assert stats.kstest(row, "norm").pvalue > P
        assert abs(row.mean()) * np.sqrt(row.size) < 4.42
        assert abs(row.var() - 1) < 4.42 * np.sqrt(2 / row.size)
        assert abs(stats.skew(row)) < 4.42 * np.sqrt(6 / row.size)
        assert abs(stats.kurtosis(row)) < 4.42 * np.sqrt(24 / row.size)
    if rows > 1:
        correlation = np.corrcoef(out) - np.eye(rows)
        assert np.abs(correlation).max() * np.sqrt(out.shape[1]) < 4.9  # ten pairs


def test_the_two_normals_of_a_pair_are_not_tied():
    out = np.empty((2, 200_000))
    draws.fill_normals(mixed_seeds(200_000), draws.ACTION, 0, out)
    angle = (np.arctan2(out[1], out[0]) / (2 * np.pi)) % 1.0
    assert stats.kstest(angle, "uniform").pvalue > P
    assert stats.kstest(0.5 * (out**2).sum(axis=0), "expon").pvalue > P


def test_normals_do_not_depend_on_the_batch():
    many, few = np.empty((3, 100)), np.empty((3, 7))
    draws.fill_normals(mixed_seeds(100), draws.ACTION, 2, many)
    draws.fill_normals(mixed_seeds(7), draws.ACTION, 2, few)
    np.testing.assert_allclose(few, many[:, :7], rtol=0, atol=1e-15)
