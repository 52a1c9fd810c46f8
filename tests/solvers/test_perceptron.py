"""Networks played from their arrays: the value, and that every bit of it is the row's own."""

from itertools import pairwise

import numpy as np
import pytest
from numba import njit

from arena.solvers import perceptron
from arena.solvers.perceptron import forward, pack

pytestmark = pytest.mark.anywhere

F = np.float32


def network(sizes: tuple[int, ...], seed: int, relu: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {"relu": np.array([relu]), "linear": (0.3 * rng.normal(size=(sizes[-1], sizes[0]))).astype(F)}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        weights[f"policy.{2 * i}.weight"] = (rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(F)
        weights[f"policy.{2 * i}.bias"] = (0.2 * rng.normal(size=outputs)).astype(F)
    return weights


def played(networks: list[dict[str, np.ndarray]], who: list[int], where: list[int], seen: np.ndarray) -> np.ndarray:
    packed = pack(networks)
    out = np.full((packed.sizes[-1], len(who), seen.shape[2]), np.nan, F)
    forward(*packed, np.array(who), np.array(where), seen, out)
    return out


def rounded_tanh(x: np.ndarray) -> np.ndarray:
    """The kernel's tanh by numpy's elementwise arithmetic, each operation rounded once."""
    size = np.minimum(np.abs(x), F(9.25))
    n = np.rint((size * F(2 * 1.4426950408889634)).astype(np.float64)).astype(F)
    r = (size + size) - n * F(np.log(2.0))
    p = np.full_like(r, F(1 / 5040))
    for factorial in (720, 120, 24, 6, 2):
        p = p * r + F(1 / factorial)
    p = r + (r * r) * p
    power = np.exp2(n.astype(np.float64)).astype(F)  # exact
    e = power * p + (power - F(1))
    return np.copysign(e / (e + F(2)), x)


def by_hand(weights: dict[str, np.ndarray], seen: np.ndarray) -> np.ndarray:
    """u [K, W] of x [D, W] as the equations say, one rounded multiplication and addition after the other."""
    x, layers = seen, perceptron.linear_layers(weights)
    for i, (weight, bias) in enumerate(layers):
        y = np.repeat(bias[:, None], seen.shape[1], axis=1)
        for k in range(weight.shape[1]):
            y = y + weight[:, k, None] * x[k]
        if i < len(layers) - 1:
            x = np.maximum(y, F(0)) if weights["relu"] else rounded_tanh(y)
    for k in range(len(seen)):
        y = y + weights["linear"][:, k, None] * seen[k]
    assert y.dtype == F
    return y


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("sizes", [(45, 64, 64, 8), (7, 5, 1), (4, 3, 9, 33, 5), (6, 2)])
def test_every_operation_is_rounded_once_and_in_order(sizes: tuple[int, ...], relu: bool) -> None:
    # numpy's elementwise arithmetic is exactly rounded on every machine; a fused or re-ordered sum would differ
    weights = network(sizes, 1, relu)
    seen = (3.0 * np.random.default_rng(2).normal(size=(sizes[0], 1, 100))).astype(F)
    assert np.array_equal(played([weights], [0], [0], seen)[:, 0], by_hand(weights, seen[:, 0]))


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    weights = network((9, 40, 17, 3), 3)
    seen = np.random.default_rng(4).normal(size=(9, 1, 80)).astype(F)
    whole = played([weights], [0], [0], seen)
    for width in range(1, 70):
        for first in (0, 3, 10):
            part = np.ascontiguousarray(seen[:, :, first : first + width])
            assert np.array_equal(played([weights], [0], [0], part), whole[:, :, first : first + width])


def test_cells_are_played_by_their_own_network_and_others_are_left_alone() -> None:
    networks = [network((5, 8, 2), seed) for seed in range(3)]
    seen = np.random.default_rng(5).normal(size=(5, 4, 6)).astype(F)
    got = played(networks, [2, 0, 2], [3, 1, 0], seen)
    for cell, (who, where) in enumerate([(2, 3), (0, 1), (2, 0)]):
        assert np.array_equal(got[:, cell], by_hand(networks[who], seen[:, where]))


def test_tanh_is_accurate_odd_and_bounded() -> None:
    x = np.concatenate([np.linspace(-12, 12, 400_001), np.geomspace(1e-30, 1, 100_000), [0.0, np.inf]]).astype(F)

    @njit
    def all_of(x: np.ndarray, y: np.ndarray) -> None:
        for i in range(x.size):
            y[i] = perceptron.tanh(x[i])

    y, mirrored = np.empty_like(x), np.empty_like(x)
    all_of(x, y)
    all_of(-x, mirrored)
    exact = np.tanh(x.astype(np.float64))
    assert np.all(np.abs(y - exact) <= 2.2 * np.spacing(np.abs(exact).astype(F)))
    assert np.array_equal(mirrored, -y)
    assert np.abs(y).max() == 1.0


def test_unlike_networks_are_refused() -> None:
    one = network((5, 8, 2), 0)
    for other in (network((5, 9, 2), 0), network((5, 8, 2), 0, relu=True)):
        with pytest.raises(ValueError, match="must share layers and nonlinearity"):
            pack([one, other])
