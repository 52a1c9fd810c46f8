"""What every scripted agent owes, in every shipped scenario."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from arena.game import Game
from arena.layout import Choice
from arena.markets.catalogue import kit_of
from arena.rollout import play, seeds_of
from arena.scenario import load, packaged


def recipes(classes: Sequence[Any]) -> list[Any]:
    """Each class with its defaults; what would be tuned gets a number, for speed."""
    numbers = {"risk_aversion": 0.5, "games": 16}
    return [one(**{name: numbers[name] for name in numbers if name in one.model_fields}) for one in classes]


CASES = [
    (name, agent, recipe)
    for name in packaged()
    for market in [load(name).market]
    for role in market.roles
    for agent in role.agents[:1]
    for recipe in recipes(kit_of(market).SEATS[role.name])
]


MAKERS_TRADERS = {
    "acas", "logistic_duel", "logistic_duel_poisson", "logistic_duel_time_only", "mean_field", "noise_factor",
}  # fmt: skip
ONE_CONTRACT = {"hedging_frictionless", "hedging_cost", "hedging_volatility"}
DUELS = {"option_duel", "option_duel_against_as", "option_duel_literal"}
KNOWN = {  # who plays the answer of a solved problem, and the shipped scenarios that are such problems
    "nash_maker": MAKERS_TRADERS,
    "nash_trader": MAKERS_TRADERS,
    "nash_executor": {"execution_game"},
    "hjb_maker": {"avellaneda_stoikov", "fang_xu_pair", "fang_xu_single", *DUELS},
    "gibbs_maker": {"avellaneda_stoikov", "fang_xu_pair", "fang_xu_single", *DUELS},
    "mpe_maker": DUELS,
    "impulse_maker": {"book_small"},
    **dict.fromkeys(("dp_hedger", "leland", "minimum_variance"), ONE_CONTRACT),
}


BLIND = ("constant_spread", "twap", "nash_maker", "nash_trader")
"""Who plays without seeing its own inventory (an equilibrium's path, by default)."""


def sits(name: str, recipe: Any) -> bool:
    """Whether a recipe has an answer in a shipped scenario."""
    return name in KNOWN.get(recipe.kind, {name})


@pytest.mark.parametrize(
    ("name", "agent", "recipe"), [case for case in CASES if not sits(case[0], case[2])],
    ids=lambda x: getattr(x, "kind", x),
)  # fmt: skip
def test_who_has_no_answer_says_so(name: str, agent: str, recipe: Any) -> None:
    sentence = r"^(market\.\w+|market: found|\w+ needs to see).*(allowed|must (not )?be)"
    if recipe.kind.startswith("nash"):
        sentence = r"^nash_\w+(: no equilibrium is known for this market: .*(solved|has no)| needs .*nash)"
    with pytest.raises(ValueError, match=sentence):
        recipe.sit(load(name).market, agent)


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("name", "agent", "recipe"),
    [case for case in CASES if sits(case[0], case[2])],
    ids=lambda x: getattr(x, "kind", x),
)
def test_acts_are_plain_functions_of_one_game(name: str, agent: str, recipe: Any) -> None:
    market = load(name).market
    role = next(role for role in market.roles if agent in role.agents)
    rng = np.random.default_rng(1)
    centre, scale = role.observation.centre, role.observation.scale
    seen = (centre + scale * rng.normal(size=(9, role.observation.size))).astype(np.float32)
    choice = isinstance(role.action, Choice)
    noise = rng.uniform(size=(9, 1)) if choice else rng.normal(size=(9, role.action.size))
    if choice:
        mask = role.observation.slice("allowed")
        seen[:, mask] = rng.integers(0, 2, size=(9, mask.stop - mask.start))
        seen[:, mask.start + role.action.idle] = 1.0
    needed = {"maker": "inventory", "executor": "to_trade"}.get(role.name, "time_left")
    if needed not in role.observation and recipe.kind not in BLIND:
        with pytest.raises(ValueError, match=r"observe\.own must be true"):  # what the market hides is said
            recipe.sit(market, agent)
        return
    if "games" in type(recipe).model_fields:  # it tunes itself by playing: here on few games
        recipe = recipe.model_copy(update={"games": 64})
    act = pickle.loads(pickle.dumps(recipe)).sit(market, agent)
    before = seen.copy()
    action = np.array(act(seen, noise))
    assert action.shape == (9, role.action.size)
    if choice:
        assert np.all(seen[np.arange(9), mask.start + action[:, 0].astype(int)] == 1.0)  # only what is allowed
        assert np.all(action == np.floor(action))
    else:
        assert np.all(np.abs(action) <= 1.0)  # and so finite
    np.testing.assert_array_equal(seen, before)
    np.testing.assert_array_equal(act(seen, noise), action)
    for row in range(9):  # neighbours and the size of the batch do not matter, nor does the memory layout
        np.testing.assert_array_equal(act(seen[row : row + 1], noise[row : row + 1])[0], action[row])
    np.testing.assert_array_equal(act(np.asfortranarray(seen), noise), action)


@pytest.mark.parametrize("name", packaged())
def test_somebody_trades(name: str) -> None:
    market = load(name).market
    players = {
        agent: recipes(kit_of(market).SEATS[role.name])[0].sit(market, agent)
        for role in market.roles
        for agent in role.agents
    }
    result = play(Game(market, 16), players, seeds_of(2, 16), trace=True)
    assert sum(np.abs(result.path(role.rows.traded)).sum() for role in market.roles) > 16
    if "remaining" in result.layout:
        assert np.all(np.abs(result.last("remaining")) < np.abs(result.path("remaining")[0]))
