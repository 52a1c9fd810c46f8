"""Algorithm 1 repaired (LSTD from sampled paths, residual network) and as printed (naive): option_making section 4."""

import math

import numpy as np
import pytest
from scipy.sparse import bmat
from scipy.sparse.linalg import spsolve

from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.iteration import improve
from arena.solvers.quoting.maker import blind_maker, solve
from arena.solvers.quoting.network import fit
from arena.solvers.quoting.sampled import Sampling, learn
from arena.solvers.quoting.value import value_in_steps, value_of

ATM = OptionModel(100, 100, 63, 0.2 / math.sqrt(252))
FLOW = {"arrival_rate": 100.0, "fill_decay": 10.0, "inventory_limit": 20}
PLAIN = blind_maker(ATM, 5e-4, 1.0, **FLOW)
GIBBS = blind_maker(ATM, 5e-4, 1.0, temperature=0.1, max_distance=0.8, **FLOW)


def money(value: np.ndarray) -> float:
    """What the Gibbs policy of a critic earns, without the entropy bonus, exactly."""
    return float(value_of(GIBBS, improve(GIBBS, value, plain=True))[0, 20])


def slope(value: np.ndarray) -> float:
    return float(value[60, 26] - value[60, 20]) / 6


EXACT = solve(GIBBS, 100).value


def test_exact_targets():
    assert money(EXACT) == pytest.approx(7.1266, abs=5e-5)
    assert 6 * slope(EXACT) == pytest.approx(-0.0511, abs=5e-5)  # the specification prints the difference over six lots


@pytest.mark.slow
def test_sampled_paths_alone_learn_value_and_slope():
    critics = [learn(GIBBS, Sampling(), seed).value for seed in range(2)]
    assert min(money(v) for v in critics) > (1 - 0.003) * money(EXACT)
    ratios = np.array([slope(v) / slope(EXACT) for v in critics])
    assert (np.abs(ratios - 1) < 0.30).all()
    assert abs(ratios.mean() - 1) < 0.15


def test_one_seed_learns_and_repeats_bit_for_bit():
    short = Sampling(rounds=4, averaged=1, paths=8000)
    first, again = learn(GIBBS, short, 0), learn(GIBBS, short, 0)
    np.testing.assert_array_equal(first.value, again.value)
    assert money(first.value) > 0.995 * money(EXACT)
    assert first.history.shape == (4, 15)
    np.testing.assert_array_equal(first.value[-1], -GIBBS.terminal_cost * GIBBS.inventory.astype(float) ** 2)


def test_the_printed_loss_learns_the_level_and_loses_the_slope():
    nine = {"rounds": 10, "paths": 8000, "time_powers": 3}  # the specification's nine features
    naive, repaired = (learn(GIBBS, Sampling(**nine, loss=loss), 0).value for loss in ("naive", "lstd"))
    for critic in (naive, repaired):
        assert critic[0, 20] == pytest.approx(EXACT[0, 20], rel=0.03)
    assert slope(naive) > 0 > slope(repaired)  # the naive critic wants more inventory
    assert slope(repaired) == pytest.approx(slope(EXACT), rel=0.3)
    assert money(repaired) > money(naive)


def test_the_printed_loss_is_wrong_with_a_table_and_infinite_data():
    """The exact minimiser of E sum (r + V' - V)^2 over all tables, quotes constant at 1/k, 100 Poisson steps, q_0 =
    0."""
    steps, n, flow = 100, 41, math.exp(-1)
    mass = np.array([flow**j * math.exp(-flow) / math.factorial(j) for j in range(15)])
    move, reward = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        rooms = (n - 1 - i, i)
        capped = [np.append(mass[:room], 1 - mass[:room].sum()) if room < 15 else mass for room in rooms]
        for up, p in enumerate(capped[0]):
            for down, r in enumerate(capped[1]):
                move[i, i + up - down] += p * r
                reward[i, i + up - down] += p * r * 0.1 * (up + down)
    terminal = -PLAIN.terminal_cost * PLAIN.inventory.astype(float) ** 2
    seen = np.zeros((steps, n))
    seen[0, 20] = 1
    for k in range(1, steps):
        seen[k] = seen[k - 1] @ move
    blocks, load = [[None] * steps for _ in range(steps)], np.zeros((steps, n))
    for k in range(steps):
        blocks[k][k] = np.diag(seen[k] * (2 if k else 1) + 1e-14)
        load[k] = seen[k] * reward.sum(1) + (seen[k] * (move @ terminal) if k == steps - 1 else 0)
        if k + 1 < steps:
            blocks[k][k + 1] = -seen[k][:, None] * move
        if k:
            blocks[k][k - 1] = -(seen[k - 1][:, None] * move).T
            load[k] -= seen[k - 1] @ reward
    naive = spsolve(bmat(blocks).tocsc(), load.ravel()).reshape(steps, n)
    table = np.full((steps + 1, n, 2), 0.1)
    table[:, -1, 0] = table[:, 0, 1] = np.inf
    true = value_in_steps(PLAIN, table)
    assert naive[0, 20] == pytest.approx(true[0, 20], abs=1e-7)  # a check of the value sees nothing
    assert true[60, 26] - true[60, 20] == pytest.approx(-0.2907, abs=5e-5)
    assert naive[60, 26] - naive[60, 20] == pytest.approx(-0.0214, abs=5e-5)  # fourteen times too flat


def test_residual_network():
    found = fit(PLAIN, 0, iterations=120)
    exact = solve(PLAIN, 100)
    assert found.table.value[0, 20] == pytest.approx(exact.value[0, 20], rel=3e-3)
    assert value_of(PLAIN, found.table.distance)[0, 20] == pytest.approx(exact.value[0, 20], rel=1e-3)
    assert found.residual < 0.3


@pytest.mark.slow
def test_residual_network_with_entropy():
    found = fit(GIBBS, 0, iterations=300)
    assert found.residual < 0.1
    assert found.table.value[0, 20] == pytest.approx(EXACT[0, 20], rel=3e-3)
    assert money(found.table.value) == pytest.approx(money(EXACT), rel=1e-3)
    assert slope(found.table.value) == pytest.approx(slope(EXACT), rel=0.3)


def test_refusals():
    with pytest.raises(ValueError, match=r"^Algorithm 1 explores: temperature must be positive, found 0$"):
        learn(PLAIN, Sampling(), 0)
    with pytest.raises(ValueError, match=r"^start_range must be in \[0, 20\], found 21$"):
        learn(GIBBS, Sampling(start_range=21), 0)
    with pytest.raises(ValueError, match=r"^averaged 4 must not exceed rounds 2$"):
        Sampling(rounds=2)
    with pytest.raises(ValueError, match=r"^loss must be lstd or naive, found 'mse'$"):
        Sampling(loss="mse")
