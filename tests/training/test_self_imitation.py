"""Imitation of one's own past: windows, the loss by hand, what is remembered."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.network import Network
from arena.scenario import BestWindow, PastReturns, Scenario, ScenarioError, load
from arena.training.block import Track
from arena.training.connector import make_batch
from arena.training.prior import priors
from arena.training.self_imitation import ITERATIONS, Memory, best_window
from arena.training.surrogate import make_optimizer, update
from tests.training.conftest import SMALL
from tests.training.test_surrogate import SETTINGS, batch_of, network_of

RNG = np.random.default_rng(8)


def tracks_of(network: Network, steps: int = 6, columns: int = 20) -> list[Track]:
    rewards = RNG.normal(size=(steps, columns)).astype(np.float32)
    seen = RNG.normal(size=(steps, len(network.centre), columns)).astype(np.float32)
    done = RNG.normal(size=(steps, len(network.linear), columns)).astype(np.float32)
    return [Track(seen, done, rewards, rewards, rewards[:, None][:, :0], np.arange(1))]


@pytest.mark.parametrize("shortest", [1, 3, 9, 20])
def test_the_best_window_is_the_best_of_all(shortest: int) -> None:
    rewards = RNG.normal(size=(9, 40))
    first, last = best_window(rewards, shortest)
    least = min(shortest, 9)
    for c in range(40):
        sums = {(i, j): rewards[i : j + 1, c].sum() for i in range(9) for j in range(i + least - 1, 9)}
        assert (first[c], last[c]) == max(sums, key=lambda key: sums[key])
    assert (last - first + 1 >= least).all()


def test_the_loss_counts_decisions_that_earned_more_than_is_expected_now(small: Scenario) -> None:
    network = network_of(small, "executor")
    tracks = tracks_of(network)
    batch = make_batch(tracks, network, 0.9, 0.95)
    memory = Memory(PastReturns(weight=0.5, memory=100_000))
    memory.take_in(tracks, batch, torch.Generator().manual_seed(1))
    assert len(memory.rows["time"]) == 120
    loss = memory.loss(network, batch, 4000, torch.Generator().manual_seed(2))
    chosen = torch.randint(120, (4000,), generator=torch.Generator().manual_seed(2))
    x, own = memory.rows["observations"], memory.rows["actions"]
    expected = []
    assert batch.past is not None
    with torch.no_grad():
        likely, value = network.head.log_probability(own, network.outputs(x), x), network.values(x).numpy()
    for i in chosen.tolist():
        t = int(memory.rows["time"][i])
        v = batch.past.scale.centre[t] + batch.past.scale.spread[t] * float(value[i])
        expected.append(float(likely[i]) if float(memory.rows["returns"][i]) > v else 0.0)
    assert 0.2 < np.mean(np.array(expected) != 0.0) < 0.8
    assert loss.item() == pytest.approx(-0.5 * np.mean(expected), rel=1e-4)
    loss.backward()
    assert all(p.grad is None for p in network.value.parameters())  # the critic is asked, not taught
    assert network.linear.grad is not None


def test_windows_are_imitated_whatever_is_expected(small: Scenario) -> None:
    network = network_of(small, "executor")
    tracks = tracks_of(network)
    batch = make_batch(tracks, network, 0.9, 0.95)
    memory = Memory(BestWindow(weight=2.0, memory=100_000, shortest=2))
    memory.take_in(tracks, batch, torch.Generator().manual_seed(1))
    first, last = best_window(tracks[0].rewards, 2)
    assert len(memory.rows["time"]) == (last - first + 1).sum()
    lies = {tuple(tracks[0].observations[t, :, c]) for c in range(20) for t in range(first[c], last[c] + 1)}
    assert {tuple(row) for row in memory.rows["observations"].numpy()} == lies
    x, own = memory.rows["observations"], memory.rows["actions"]
    chosen = torch.randint(len(x), (500,), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        likely = network.head.log_probability(own, network.outputs(x), x)[chosen].mean()
    assert memory.loss(network, batch, 500, torch.Generator().manual_seed(3)).item() == pytest.approx(
        -2 * float(likely)
    )


def test_a_memory_takes_a_part_of_each_batch_forgets_the_oldest_and_is_saved(small: Scenario) -> None:
    network = network_of(small, "executor")
    settings = PastReturns(memory=60)
    memory, generator = Memory(settings), torch.Generator().manual_seed(1)
    seen = []
    for _ in range(ITERATIONS + 5):
        tracks = tracks_of(network)
        memory.take_in(tracks, make_batch(tracks, network, 0.9, 0.95), generator)
        seen.append({tuple(row) for row in memory.rows["observations"].numpy()})
    assert [len(one) for one in seen[:3]] == [3, 6, 9]
    assert len(seen[-1]) == 60
    assert not seen[4] & seen[-1]
    again = Memory.of(settings, memory.state_dict())
    batch = make_batch(tracks, network, 0.9, 0.95)
    losses = [float(one.loss(network, batch, 50, torch.Generator().manual_seed(4))) for one in (memory, again)]
    assert losses[0] == losses[1]


def test_imitation_makes_what_is_imitated_likelier(small: Scenario) -> None:
    network = network_of(small, "executor")
    batch = batch_of(network, 64)._replace(advantages=torch.zeros(64))
    x, own = batch.observations, batch.actions + 0.5

    def likely() -> torch.Tensor:
        return network.head.log_probability(own, network.outputs(x), x).mean()

    before = float(likely())
    settings: Any = SimpleNamespace(**{**vars(SETTINGS), "epochs": 20})
    update(network, make_optimizer(network, 1e-2), batch, settings, torch.Generator(), lambda: -likely())
    assert float(likely()) > before + 0.1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("training.self_imitation={kind: best}", "allowed is 'past_returns', 'best_window'"),
        ("training.self_imitation={kind: past_returns, weight: 0}", "weight: found 0; allowed is greater than 0"),
        ("training.self_imitation={kind: past_returns, shortest: 3}", "shortest: unknown key"),
        ("training.self_imitation={kind: best_window, shortest: 0}", "shortest: found 0"),
        ("training.segment=3", "training.segment: found 3; allowed is a divisor of market.clock.steps = 10"),
        ("training.segment=5", "found true with segments of 5 decisions"),
    ],
)
def test_bad_settings_are_a_sentence(change: str, sentence: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(sentence)):
        load("two_mm_one_trader", [*SMALL, change])


def test_settings_that_are_off_leave_a_scenario_as_it_was(small: Scenario) -> None:
    assert "self_imitation" not in small.model_dump_json()
    assert "segment" not in small.model_dump_json()
    assert small.decisions == 10
    longer = load("two_mm_one_trader", [*SMALL, "training.segment=30"])
    assert longer.decisions == 10  # games shorter than a segment are played whole


def test_an_untrained_gated_maker_acts_seldom_and_cancels_less_than_it_posts() -> None:
    scenario = load("book_maker")
    assert scenario.training.policy == {"maker": "gated"}
    role = scenario.market.roles[0]
    network = Network(role.observation, priors(scenario.market, scenario.training.policy)["maker"], (8,), seed=3)
    seen = torch.zeros(1, role.observation.size)
    seen[:, role.observation.slice("allowed")] = 1.0
    law = network.head.distribution(network.outputs(seen), seen)[0].exp().tolist()
    p = dict(zip(role.action.options, law, strict=True))  # type: ignore[union-attr]
    assert 0.1 < 1.0 - p["nothing"] < 0.2
    assert p["LO_a_T"] == pytest.approx(4 * p["CO_a_T"], rel=0.2)
    assert p["LO_b_T"] == pytest.approx(4 * p["CO_b_T"], rel=0.2)
