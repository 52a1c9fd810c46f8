"""The Riccati engine against the gradient engine, which shares nothing with it but the market's numbers."""

import numpy as np
import pytest

from agents.learned import player
from agents.nash import NashExecutor
from agents.network import Network
from arena.gaps.nash_gap import NashGap, nash_gap
from arena.gaps.profile import Profile, Search, naive_acts
from arena.markets.dealer.market import DealerMarket
from arena.scenario import load
from arena.training.prior import priors

WIDE = [f"market.executors.{j}.rate=[-300, 300]" for j in range(2)]
GAME = load("execution_game", ["market.clock.steps=20", *WIDE]).market
SEARCH = Search()
SEEN = ("time_left", "to_trade", "trader_remaining")


def affine(market: DealerMarket, seed: int) -> Profile:
    """Rates linear in both inventories with random coefficients that drift with time."""
    rng, role = np.random.default_rng(seed), market.role("executor")
    action, columns = role.action, role.observation
    acts = {}
    for name in market.executor_names:
        own, other, drift = rng.uniform(1.0, 3.0), rng.uniform(-0.5, 0.5), rng.uniform(-1.0, 1.0)

        def act(observation: np.ndarray, noise: np.ndarray, k=(own, other, drift)) -> np.ndarray:
            left, mine, rival = (observation[:, columns.slice(name)][:, 0] for name in SEEN)
            return action.to_unit(((k[0] + k[2] * left) * mine - k[1] * rival)[:, None])

        acts[name] = act
    return Profile(acts, dict.fromkeys(acts, "affine"))


def nash(market: DealerMarket, information: str) -> Profile:
    acts = {name: NashExecutor(information=information).sit(market, name) for name in market.executor_names}
    return Profile(acts, dict.fromkeys(acts, "nash"))


def numbers(gap: NashGap) -> np.ndarray:
    return np.array([one["nashconv"] for one in gap.views().values()] + [seat.gain for seat in gap.seats])


@pytest.mark.parametrize(
    "profile",
    [naive_acts(GAME), nash(GAME, "feedback"), nash(GAME, "open_loop"), affine(GAME, 0), affine(GAME, 1)],
    ids=["naive", "feedback", "open loop", "affine 0", "affine 1"],
)
def test_it_is_chosen_for_affine_profiles_and_agrees_with_the_gradient_in_every_view(profile: Profile) -> None:
    found, other = nash_gap(GAME, profile, SEARCH), nash_gap(GAME, profile, SEARCH, engine="gradient")
    assert {seat.engine for seat in found.seats} == {"riccati"}
    assert {seat.kind for seat in found.seats} == {"exact"}
    assert list(found.views()) == list(other.views())
    np.testing.assert_allclose(numbers(found), numbers(other), rtol=1e-5, atol=2e-6)  # L-BFGS stops at a slope


def test_coefficients_of_time_and_noise_flow_agree_too() -> None:
    """The market's own averages over each step."""
    changes = [
        "market.mark.impact=0.1 + 0.05*t",
        "market.flow.arrival_rate={noise_buy: '2 + t', noise_sell: 1.5}",
        *(f"market.executors.{j}.running_penalty=0.4 + 0.2*sin(3*t)" for j in range(2)),
        *(f"market.executors.{j}.temporary_impact=0.05*exp(-0.5*t)" for j in range(2)),
    ]
    market = load("execution_game", ["market.clock.steps=20", *WIDE, *changes]).market
    profile = affine(market, 1)
    found, other = nash_gap(market, profile, SEARCH), nash_gap(market, profile, SEARCH, engine="gradient")
    assert {seat.engine for seat in found.seats} == {"riccati"}
    np.testing.assert_allclose(numbers(found), numbers(other), rtol=1e-5, atol=2e-6)


def test_the_feedback_equilibrium_has_no_gap_at_all() -> None:
    assert nash_gap(GAME, nash(GAME, "feedback"), SEARCH).nashconv < 1e-12


def test_networks_go_to_the_gradient() -> None:
    role = GAME.role("executor")
    weights = Network(role.observation, priors(GAME)["executor"], seed=1).weights()
    rng = np.random.default_rng(0)
    weights["policy.4.weight"] = rng.normal(size=weights["policy.4.weight"].shape).astype(np.float32)
    acts = dict.fromkeys(role.agents, player(weights))
    profile = Profile(acts, dict.fromkeys(acts, "learned"), dict.fromkeys(acts, weights))
    gap = nash_gap(GAME, profile, Search(views=False))
    assert {seat.engine for seat in gap.seats} == {"gradient"}


@pytest.mark.parametrize(
    "change",
    [
        "market.executors.0.rate=[-15, 15]",  # the reply would start faster
        "market.executors.1.stop_at_target=true",
        "market.executors.0.side=coin",
    ],
)
def test_it_does_not_answer_where_its_equations_do_not_hold(change: str) -> None:
    market = load("execution_game", ["market.clock.steps=20", change]).market
    with pytest.raises(ValueError, match="does not cover"):
        nash_gap(market, naive_acts(market), SEARCH, engine="riccati")
