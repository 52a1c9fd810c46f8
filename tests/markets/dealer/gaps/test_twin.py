"""The differentiable market against the compiled one: every step, every column, for every flow rule."""

import numpy as np
import pytest
import torch

from arena.game import Game
from arena.markets.dealer.gaps.twin import ActPolicy, FluidGame, NetworkPolicy, applies
from arena.markets.dealer.market import DealerMarket
from arena.rollout import seeds_of
from arena.scenario import load

DUEL = load("logistic_duel").market.model_dump(mode="json")
TRADER = DUEL["executors"][0]
RULES = {
    "logistic": {"kind": "logistic", "sharpness": 1.0, "offsets": [0.1, -0.2, 0.0]},
    "relative": {"kind": "relative", "fill_decay": 0.7},
    "soft_best": {"kind": "soft_best", "fill_decay": 0.5, "sharpness": 2.0},
    "logit": {"kind": "logit", "fill_decay": 0.5, "outside": 0.3},
    "exponential": {"kind": "exponential", "fill_decay": 0.5},
}


def market(rule: str, **changes) -> DealerMarket:
    """Three makers and three traders of both sides and both prices, who see everything there is."""
    sees = {"own": True, "last": True, "start": True, "rivals": "quotes"}
    makers = {**DUEL["makers"], "count": 3, "initial_inventory": {"mean": [4.0, 1.0, -2.0], "spread": 1.0}}
    makers["risk"] = {"kind": "quadratic", "running_penalty": [0.1, 0.2, 0.3], "terminal_penalty": 0.5}
    traders = [
        TRADER,
        {**TRADER, "side": "sell", "size": 1.0, "stop_at_target": True, "cross_impact": 0.5},
        {**TRADER, "side": "coin", "price": "vwap", "rate": [1.0, 20.0]},
    ]
    tree = {**DUEL, "flow": {**DUEL["flow"], "rule": RULES[rule]}, "makers": {**makers, "observe": sees}}
    tree |= {"executors": traders, "executors_observe": sees, **changes}
    return DealerMarket.model_validate(tree)


def inventories() -> DealerMarket:
    sees = {"own": True, "last": False, "rivals": "inventory"}
    one = market("logistic").model_dump(mode="json")
    return DealerMarket.model_validate({**one, "makers": {**one["makers"], "observe": sees}, "executors_observe": sees})


MARKETS = {rule: market(rule) for rule in RULES}
MARKETS |= {"inventories": inventories(), "execution_game": load("execution_game").market}


@pytest.mark.parametrize("name", MARKETS)
def test_it_is_the_game_step_for_step(name: str) -> None:
    one = MARKETS[name]
    assert applies(one)
    game, copy = Game(one, 8), FluidGame(one)
    game.reset(seeds_of(3, 8))
    state, rng = copy.read(game.state), np.random.default_rng(0)
    for t in range(game.steps):
        seen = copy.observe(state, t)
        for role, view in game.action.items():
            np.testing.assert_allclose(seen[role], game.observation[role], rtol=1e-6, atol=1e-6)  # float32 there
            view[...] = rng.uniform(-1.1, 1.1, view.shape)
        actions = {role: torch.tensor(np.array(view)) for role, view in game.action.items()}
        rewards = np.concatenate(list(game.advance().values()), axis=1)
        state, found = copy.step(state, actions, t)
        np.testing.assert_allclose(found, rewards, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(state.remaining, game.view("remaining"), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(state.inventory, game.view("maker_inventory")[:, :, 0], rtol=1e-10, atol=1e-10)


def test_chance_fees_and_options_are_not_covered() -> None:
    flow = {**DUEL["flow"], "rule": RULES["logistic"]}
    for changes in (
        {"flow": {**flow, "orders": "poisson"}},
        {"flow": {**flow, "intensity": {"model": "log_ou", "reversion": 1.0, "volatility": 0.1}}},
        {"mark": {"shock_loading": 0.1}},
        {"fees": {"maker": 0.01}},
        {"underlying": {"spot": 100, "volatility": {"model": "constant", "value": 0.2}}},
    ):
        assert not applies(market("logistic", **changes))
    assert not applies(load("two_mm_one_trader").market)


def test_a_scripted_act_is_differentiated_by_differences() -> None:
    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(observation[:, 0]) * observation[:, 1], observation[:, 1] ** 2], axis=1)

    x = torch.tensor([[0.3, 2.0], [-1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    moves = ActPolicy(act, 2, np.array([1.0, 2.0]))(x)
    (slope,) = torch.autograd.grad((moves * torch.tensor([1.0, 3.0])).sum(), x)
    a, b = x.detach().T
    np.testing.assert_allclose(slope, torch.stack([a.cos() * b, a.sin() + 6 * b], dim=1), rtol=1e-6)


def test_a_network_plays_what_its_player_plays() -> None:
    from agents.heads import Numbers
    from agents.learned import player
    from agents.network import Network

    role = MARKETS["inventories"].role("maker")
    prior = Numbers(np.array([0.1, -0.2]), np.array([0.3, 0.4]))
    weights = Network(role.observation, prior, seed=5).weights()
    weights["linear"] = np.random.default_rng(1).normal(size=weights["linear"].shape).astype(np.float32)
    rng = np.random.default_rng(2)
    seen = role.observation.centre + role.observation.scale * rng.normal(size=(20, role.observation.size))
    expected = player(weights)(seen.astype(np.float32), np.zeros((20, 2)))
    np.testing.assert_allclose(NetworkPolicy(weights)(torch.tensor(seen)), expected, rtol=1e-4, atol=1e-5)
