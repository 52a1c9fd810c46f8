"""A small scenario for the training tests: two products, ten steps, tiny networks; everything else as shipped."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from agents.network import Network
from arena.scenario import Scenario, load
from arena.training.block import NEW, Lineup
from arena.training.prior import priors

SMALL = (
    "market.clock.steps=10",
    "market.products=["
    "{name: C100, right: call, strike: 100, expiry: 63}, {name: P100, right: put, strike: 100, expiry: 63}]",
    "training.games=32",
    "training.block=16",
    "training.hidden=[8, 8]",
    "training.epochs=2",
    "training.minibatch=128",
    "training.iterations=4",
    "training.checkpoint_every=2",
    "league.slots=4",
    "league.promotion={every: 2, games: 64}",
    "evaluation.gap_every=0",
)


@pytest.fixture(scope="session")
def small() -> Scenario:
    return load("two_mm_one_trader", SMALL)


@pytest.fixture(scope="session")
def networks(small: Scenario) -> Any:
    """networks(role, seed, spread): weights of a role's network whose output is not zero."""
    frames = priors(small.market)

    def make(role: str, seed: int, spread: float = 0.5) -> dict[str, np.ndarray]:
        spec = next(one for one in small.market.roles if one.name == role)
        weights = Network(spec.observation, frames[role], hidden=(8, 8), seed=seed).weights()
        last = weights["policy.4.weight"]
        slopes = 0.05 * np.random.default_rng(seed).normal(size=weights["linear"].shape)
        return weights | {
            "policy.4.weight": (spread * 100.0 * last).astype(np.float32),
            "linear": slopes.astype(np.float32),
        }

    return make


def wait_for(what: str, done: Callable[[], bool], seconds: float = 600.0) -> None:
    """Ask until it is so; fails with what was waited for."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


def all_new(seats: dict[str, Sequence[int]], groups: int = 1) -> dict[str, Lineup]:
    """Line-ups in which every learning seat is new."""
    return {role: Lineup(np.full((len(own), groups), NEW)) for role, own in seats.items()}
