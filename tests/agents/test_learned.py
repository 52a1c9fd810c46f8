"""Networks and the acts made of their frozen weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.learned import Learned, Snapshot, player
from agents.network import Network
from arena.league import snapshot
from arena.scenario import Scenario, load
from arena.training.prior import priors

pytestmark = pytest.mark.anywhere


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load("two_mm_one_trader")


def fresh(scenario: Scenario, role: int = 0, **changes: Any) -> Network:
    spec = scenario.market.roles[role]
    return Network(spec.observation, priors(scenario.market)[spec.name], **{"seed": 3, **changes})


def observations(scenario: Scenario, role: int, rows: int) -> np.ndarray:
    layout = scenario.market.roles[role].observation
    draws = np.random.default_rng(1).normal(size=(rows, layout.size))
    return (layout.centre + layout.scale * draws).astype(np.float32)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("role", [0, 1])
def test_an_act_is_the_networks_mean_action(scenario: Scenario, role: int, activation: str) -> None:
    network = fresh(scenario, role, activation=activation)
    with torch.no_grad():
        network.policy[-1].weight *= 50.0
        network.linear += 0.1 * torch.randn(network.linear.shape, generator=torch.Generator().manual_seed(2))
        seen = observations(scenario, role, 40)
        mean = network.baseline + network.reach * network.outputs(network.standardise(torch.from_numpy(seen)))
    noise = np.ones((40, len(network.baseline)))
    act = player(network.weights())(seen, noise)
    assert act.shape == mean.shape
    assert np.allclose(act, mean.numpy(), atol=2e-6)
    assert np.std(act, axis=0).min() > 1e-3  # it does depend on what is seen
    explored = player(network.weights(), explore=True)(seen, noise)
    assert np.allclose(explored - act, (network.reach * network.log_std.exp()).detach().numpy(), atol=2e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 33])
def test_a_row_does_not_depend_on_the_batch(scenario: Scenario, rows: int) -> None:
    act, seen = player(fresh(scenario).weights()), observations(scenario, 0, 256)
    whole = act(seen, np.zeros((256, 1)))
    for first in (0, 5, 100):
        mine = slice(first, first + rows)
        assert np.array_equal(act(seen[mine], np.zeros((rows, 1))), whole[mine])


def test_before_learning_a_seat_plays_the_naive_baseline(scenario: Scenario) -> None:
    seen = observations(scenario, 0, 64)
    physical = scenario.market.roles[0].action.from_unit(player(fresh(scenario).weights())(seen, np.zeros((64, 8))))
    half_spread, skew = physical[:, 0::2], physical[:, 1::2]
    # static Nash of soft_best, M = 2, k = 10, kappa = 50: 1/30 (docs/model.md); the fresh output is 1 % of orthogonal
    assert np.allclose(half_spread, 1.0 / 30.0, atol=0.004)
    assert np.allclose(skew, 0.0, atol=0.004)


def test_weights_go_through_files_unchanged(scenario: Scenario, tmp_path: Path) -> None:
    network = fresh(scenario, seed=5)
    league = tmp_path / "league"
    for iteration, name in enumerate(("maker-00000", "maker-00010")):
        weights = network.weights() if iteration else fresh(scenario).weights()
        snapshot.write(league, snapshot.Member(name, "maker", 10 * iteration, scenario.hash, weights))
    seen = observations(scenario, 0, 20)
    newest = Snapshot(path=str(tmp_path)).sit(scenario.market, "mm_1")
    assert np.array_equal(newest(seen, np.zeros((20, 8))), player(network.weights())(seen, np.zeros((20, 8))))
    other = fresh(scenario, seed=9)
    other.load(snapshot.read(league, "maker-00010").weights)
    assert all(np.array_equal(other.weights()[key], value) for key, value in network.weights().items())


def test_a_seat_refuses_what_cannot_play_it(scenario: Scenario, tmp_path: Path) -> None:
    market = scenario.market
    with pytest.raises(ValueError, match=r"players\.mm_0: this seat learns"):
        Learned().sit(market, "mm_0")
    with pytest.raises(ValueError, match="no league member of role maker"):
        Snapshot(path=str(tmp_path)).sit(market, "mm_0")
    trader = snapshot.Member("executor-00000", "executor", 0, scenario.hash, fresh(scenario, 1).weights())
    snapshot.write(tmp_path, trader)
    wrong_role = r"players\.mm_0\.member: executor-00000 is a executor; allowed is .* role maker"
    with pytest.raises(ValueError, match=wrong_role):
        Snapshot(path=str(tmp_path), member="executor-00000").sit(market, "mm_0")
    small = load("two_mm_one_trader", ["market.products=[{name: C100, right: call, strike: 100, expiry: 63}]"])
    snapshot.write(tmp_path, snapshot.Member("maker-00000", "maker", 0, scenario.hash, fresh(scenario).weights()))
    with pytest.raises(ValueError, match=r"maker-00000 sees 45 and moves 8 columns; this seat has"):
        Snapshot(path=str(tmp_path), member="maker-00000").sit(small.market, "mm_0")
