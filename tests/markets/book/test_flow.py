"""The flow: stationary rates by the closed form, two engines side by side, mixtures, per-pair rates, inhibition."""

import numpy as np
import pytest

from agents.book_makers import Absent
from arena.game import Game
from arena.markets.book.cluster import simulate
from arena.markets.book.market import Market
from arena.rollout import play, seeds_of
from arena.solvers.hawkes import mixture

Z = 4.8
"""Standard errors: an error rate of 2e-6 a comparison, 1e-4 in a test of fifty."""


def quiet(flow: dict, horizon: float = 60.0, warm_up: float = 20.0) -> Market:
    """A market in which nobody does anything."""
    clock = {"unit": "second", "horizon": horizon, "steps": int(horizon * 10)}
    return Market.model_validate({"flow": flow, "clock": clock, "warm_up": warm_up})


def played(market: Market, games: int) -> dict[str, np.ndarray]:
    """Events [B, 12], share of spreads [B, 4] and the last mid [B]."""
    act = Absent().sit(market, "mm_0")
    result = play(Game(market, games), {"mm_0": act}, seeds_of(1, games), trace=True)
    best = result.path("best")[:-1]
    spread = np.minimum(best[..., 1] - best[..., 0], 4)
    shares = np.stack([(spread == s).mean(axis=0) for s in (1, 2, 3, 4)], axis=-1)
    return {"events": result.last("events"), "spreads": shares, "mid": result.last("mid")}


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances of two means over games, in standard errors."""
    error = np.sqrt(one.var(axis=0, ddof=1) / len(one) + other.var(axis=0, ddof=1) / len(other))
    return np.abs(one.mean(axis=0) - other.mean(axis=0)) / np.maximum(error, 1e-12)


def test_stationary_rates_are_those_of_the_closed_form() -> None:
    """Without the spread's influence (no in-spread orders excite, or are excited) rates are (I - G)^-1 mu."""
    same = [
        [0.2, 0.1, 0, 0, 0, 0],
        [0, 0.3, 0, 0, 0.2, 0],
        [0, 0, 0.4, 0.1, 0, 0],
        [0, 0, 0.2, 0.3, 0.3, 0],
        [0, 0, 0, 0, 0.4, 0],
        [0] * 6,
    ]
    cross = [[0.1, 0, 0, 0, 0, 0], [0] * 6, [0, 0, 0, 0, 0.2, 0], [0] * 6, [0, 0, 0, 0, 0.1, 0], [0] * 6]
    market = quiet({"base": [1, 1, 2, 2, 0.5, 0], "same": same, "cross": cross}, warm_up=10)
    rates = np.linalg.solve(np.eye(12) - market.flow.excitation, market.flow.rates)
    events = played(market, 128)["events"] / 60.0
    away = np.abs(events.mean(axis=0) - rates) / np.maximum(events.std(axis=0, ddof=1) / 128**0.5, 1e-12)
    assert (away < Z).all(), away
    assert events.mean(axis=0)[5] == 0.0


@pytest.mark.parametrize("preset", ["hawkes_exp", "hawkes_pl", "poisson"])
def test_the_two_engines_agree(preset: str) -> None:
    market = quiet({"preset": preset})
    one, other = played(market, 192), simulate(market, seeds_of(2, 768), 60.0)
    for name in ("events", "spreads", "mid"):
        assert (alike(one[name], other[name]) < Z).all(), (name, alike(one[name], other[name]))
    ratio = one["mid"].var(ddof=1) / other["mid"].var(ddof=1)
    assert abs(np.log(ratio)) < Z * np.sqrt(2 / 192 + 2 / 768) * 1.5
    assert 0.7 < one["spreads"][:, 0].mean() < 0.9


def test_a_mixture_is_within_its_stated_error_of_the_power_law() -> None:
    rates = tuple(mixture.grid(20.0, 8).tolist())
    weights, t = np.array(mixture.weights(1.7, 20.0, rates)), np.append(0.0, np.geomspace(1e-5, 100.0, 20_001))
    gap = np.abs(np.exp(-np.outer(t, rates)) @ weights - (1 + 20 * t) ** -0.7)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0).all()
    assert gap.max() < 0.002 < mixture.TOLERANCE
    assert mixture.error(1.7, 20.0, rates) == pytest.approx(gap.max(), rel=0.01)


def test_per_pair_rates_that_are_all_alike_are_one_rate() -> None:
    """The engine with a component per source plays the very games of the engine with one, up to rounding."""
    from arena.markets.book.presets import PRESETS

    single = {**PRESETS["hawkes_exp"], "kernel": {"kind": "exponential", "rate": 5.0}}
    pairs = {**PRESETS["hawkes_exp"], "kernel": {"kind": "per_pair", "rates": [[5.0] * 12] * 12}}
    one, other = (played(quiet(flow, 10.0, 5.0), 16) for flow in (single, pairs))
    np.testing.assert_array_equal(one["events"], other["events"])
    np.testing.assert_array_equal(one["mid"], other["mid"])


def test_inhibition_lowers_rates_and_never_makes_them_negative() -> None:
    held = {"base": [2, 2, 4, 4, 1, 0.5], "same": [[-0.5 if i == j else 0.0 for j in range(6)] for i in range(6)]}
    free = {"base": [2, 2, 4, 4, 1, 0.5]}
    one, other = (played(quiet(flow, 30.0, 5.0), 64)["events"][:, :5].mean(axis=0) / 30 for flow in (held, free))
    # a linear answer would be mu/(1 + 1/2); the rectified process stays a little above it
    assert (one < 0.75 * other).all()
    assert (one > 0.95 * other / 1.5).all()


def test_what_no_family_tree_has_is_refused() -> None:
    with pytest.raises(ValueError, match="found inhibition"):
        simulate(quiet({"preset": "aapl_src"}), seeds_of(1, 2), 1.0)
