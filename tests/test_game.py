"""Games in lock-step: bitwise independence of the batch, live views, the clock, and a golden playthrough.

The golden file is text, one line per quantity. After a change that is meant to move numbers, write it anew with
`ARENA_WRITE_GOLDEN=1 python -m pytest tests/test_game.py -k golden` and look at the difference before committing it.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.rollout import seeds_of

pytestmark = pytest.mark.anywhere

GOLDEN = Path(__file__).parent / "golden" / "dealer.txt"
CHAIN = [
    {"name": "C95", "right": "call", "strike": 95, "expiry": 63},
    {"name": "C100", "right": "call", "strike": 100, "expiry": 63},
    {"name": "C105", "right": "call", "strike": 105, "expiry": 63},
    {"name": "P100", "right": "put", "strike": 100, "expiry": 63},
]
SHIPPED = {
    "clock": {"steps": 100},
    "products": CHAIN,
    "makers": {"risk": {"kind": "vega", "terminal_penalty": 5e-4}},
    "executors": [
        {"product": "C100", "size": 30, "rate": [0, 120], "temporary_impact": 0.002, "running_penalty": 0.01,
         "terminal_penalty": 0.2},
    ],
}  # fmt: skip
EVERYTHING = {
    "clock": {"steps": 6},
    "products": CHAIN[:2],
    "underlying": {"volatility": {"model": "log_ar1", "mean": 0.3, "shock": 0.2}},
    "mark": {"shock_loading": 0.2, "impact": 0.01},
    "flow": {
        "rule": {"kind": "soft_best", "fill_decay": 3, "sharpness": 17}, "arrival_rate": 150, "informed_share": 0.3,
        "lot": 0.1, "intensity": {"model": "log_ou", "reversion": 2, "volatility": 1.5},
    },
    "fees": {"maker": -0.001, "taker": 0.003},
    "makers": {
        "count": 3, "inventory_limit": 5, "min_distance": 0.01, "hedging": {"kind": "agent", "cost": 0.001},
        "initial_inventory": {"mean": 0, "spread": 2}, "observe": {"rivals": "inventory"},
    },
    "executors": [
        {"product": "C100", "size": {"mean": 9, "spread": 3}, "rate": [0, 120], "cross_impact": 0.3,
         "temporary_impact": 0.01},
        {"product": "C95", "side": "sell", "size": 4, "rate": [0, 60], "price": "best", "running_penalty": 0.1},
    ],
}  # fmt: skip
FLUID = {**EVERYTHING, "flow": {**EVERYTHING["flow"], "orders": "fluid", "rule": {"kind": "logit", "fill_decay": 3}}}


def market_of(plain):
    return DealerMarket.model_validate(plain)


def actions_of(market, seeds, step):
    """Random actions that depend on the game's seed and the step only, by role [B, seats, K]."""
    out = {}
    for role in market.roles:
        shape = len(role.agents), role.action.size
        streams = [np.random.default_rng([int(seed), step, len(role.name)]) for seed in seeds]
        out[role.name] = np.array([stream.uniform(-1.1, 1.1, shape) for stream in streams])
    return out


def run(market, seeds, steps=None):
    """State, observations, rewards and noise of every step, games first: a list of arrays [B, ...]."""
    game, kept = Game(market, len(seeds)), []
    game.reset(seeds)
    for t in range(steps or game.steps):
        noise = [view.copy() for view in game.noise().values()]
        game.step(actions_of(market, seeds, t))
        kept += [game.state.T.copy(), *(view.copy() for view in game.observation.values()), *noise]
        kept += [view.copy() for view in game.reward.values()]
    return kept


@pytest.mark.parametrize("plain", [EVERYTHING, FLUID], ids=["poisson", "fluid"])
def test_a_game_is_bitwise_the_same_in_any_batch_and_any_place(plain):
    market, seeds = market_of(plain), seeds_of(11, 1024)
    many = run(market, seeds)
    for games in (1, 3, 7, 64, 264):  # 264: a whole block of the kernels and a small one
        for kept, one in zip(many, run(market, seeds[:games]), strict=True):
            np.testing.assert_array_equal(kept[:games], one)
    chosen = np.array([1023, 256, 255, 7, 8, 512, 0, 3, 900])
    for kept, one in zip(many, run(market, seeds[chosen]), strict=True):
        np.testing.assert_array_equal(kept[chosen], one)
    assert np.unique(many[0][:, 0]).size == 1024  # the spots: games differ


def test_shipped_kind_of_market_is_bitwise_the_same_in_any_batch():
    market, seeds = market_of(SHIPPED), seeds_of(5, 300)
    many = run(market, seeds, steps=15)
    for first, last in ((290, 293), (0, 1), (17, 24), (30, 294)):
        for kept, one in zip(many, run(market, seeds[first:last], steps=15), strict=True):
            np.testing.assert_array_equal(kept[first:last], one)


def test_a_game_depends_on_its_own_actions_only():
    market, seeds = market_of(EVERYTHING), seeds_of(2, 20)
    states = []
    for others in (0.9, -0.9):
        game = Game(market, 20)
        game.reset(seeds)
        while not game.done:
            actions = actions_of(market, seeds, game.step_index)
            for view in actions.values():
                view[1:] = others
            game.step(actions)
        states.append(game.state.copy())
    np.testing.assert_array_equal(states[0][:, 0], states[1][:, 0])
    assert np.any(states[0][:, 1] != states[1][:, 1])


def test_a_game_can_be_played_again_and_two_games_do_not_share():
    market, seeds = market_of(EVERYTHING), seeds_of(3, 5)
    first = run(market, seeds)
    game, other = Game(market, 5), Game(market_of(FLUID), 5)
    for repeat in range(2):
        game.reset(seeds)
        other.reset(seeds_of(99, 5))
        kept = []
        for t in range(game.steps):
            other.advance()
            noise = [view.copy() for view in game.noise().values()]
            game.step(actions_of(market, seeds, t))
            kept += [game.state.T.copy(), *(view.copy() for view in game.observation.values()), *noise]
            kept += [view.copy() for view in game.reward.values()]
        for one, two in zip(first, kept, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=f"repeat {repeat}")


def test_step_and_advance_are_the_same():
    market, seeds = market_of(SHIPPED), seeds_of(1, 4)
    one, two = Game(market, 4), Game(market, 4)
    one.reset(seeds)
    two.reset(seeds)
    actions = actions_of(market, seeds, 0)
    rewards = one.step(actions)
    for name, view in two.action.items():
        view[...] = actions[name]
    for name, view in two.advance().items():
        np.testing.assert_array_equal(view, rewards[name])
    assert rewards is one.reward
    assert {name: view.dtype for name, view in rewards.items()} == {"maker": np.float64, "executor": np.float64}


def test_shapes_and_live_views():
    game = Game(market_of(SHIPPED), 6)
    observation = game.reset(seeds_of(1, 6))
    assert observation is game.observation
    sizes = {name: role.observation.size for name, role in game.roles.items()}
    assert {name: view.shape for name, view in observation.items()} == {
        "maker": (6, 2, sizes["maker"]), "executor": (6, 1, sizes["executor"]),
    }  # fmt: skip
    assert game.action["maker"].shape == (6, 2, 8)
    assert game.view("maker_inventory").shape == (6, 2, 4)
    assert game.view("distance").shape == (6, 2, 4, 2)
    assert game.view("spot").shape == (6,)
    assert np.shares_memory(game.view("mid"), game.state)
    before = observation["maker"][:, 0, 0].copy()
    game.advance()
    assert np.all(observation["maker"][:, 0, 0] < before)  # time left, in the same memory


def test_clock_and_end():
    game = Game(market_of(EVERYTHING), 2)
    game.reset(seeds_of(1, 2))
    for step in range(game.steps):
        assert (game.step_index, game.done) == (step, False)
        np.testing.assert_allclose(game.observation["maker"][..., 0], 1 - step / 6, atol=1e-7)
        game.advance()
    assert game.done
    assert not game.observation["maker"][..., 0].any()
    with pytest.raises(RuntimeError, match="over after 6 steps; call reset"):
        game.advance()
    game.reset(seeds_of(1, 2))
    assert game.step_index == 0


def test_rewards_add_up_to_wealth_less_penalties():
    game = Game(market_of({**SHIPPED, "clock": {"steps": 10}}), 50)
    game.reset(seeds_of(1, 50))
    total = np.zeros((50, 2))
    while not game.done:
        total += game.advance()["maker"]
    wealth = game.view("maker_cash") + (game.view("maker_inventory") * game.view("mid")[:, None]).sum(-1)
    penalties = game.view("running_penalty") + game.view("terminal_penalty")
    np.testing.assert_allclose(total, wealth - penalties, atol=1e-9)
    assert penalties.max() > 0


def test_wrong_arguments_are_named():
    market = market_of(SHIPPED)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        Game(market, 0)
    game = Game(market, 3)
    with pytest.raises(ValueError, match=r"needs 3 seeds, found an array of shape \(2,\)"):
        game.reset(seeds_of(1, 2))
    game.reset(seeds_of(1, 3))
    with pytest.raises(KeyError, match="executor"):
        game.step({"maker": game.action["maker"]})


def test_noise_is_a_standard_normal_of_the_games_counter():
    market, seeds = market_of(SHIPPED), seeds_of(7, 5000)
    game = Game(market, 5000)
    game.reset(seeds)
    first = game.noise()["maker"].copy()
    np.testing.assert_array_equal(game.noise()["maker"], first)  # asking twice changes nothing
    game.advance()
    later = game.noise()["maker"].copy()
    for one in (first, later):
        assert abs(one.mean()) * np.sqrt(one.size) < 4.42
        assert abs(one.var() - 1) < 4.42 * np.sqrt(2 / one.size)
    assert abs(np.corrcoef(first.ravel(), later.ravel())[0, 1]) * np.sqrt(first.size) < 4.42
    columns = np.concatenate([first.reshape(5000, -1), game.noise()["executor"].reshape(5000, -1)], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() * np.sqrt(5000) < 5.3  # 136 pairs, 1e-5 in all


def golden_lines():
    """A few steps of the shipped kind of market with fixed actions, as lines of `step name game values`."""
    market, lines = market_of(SHIPPED), []
    game = Game(market, 2)
    game.reset(np.array([1, 2], np.uint64))
    for step in range(6):
        wave = np.sin(np.arange(game.action["maker"].size) + step).reshape(game.action["maker"].shape)
        game.action["maker"][...] = 0.3 * wave - 0.5 * (np.arange(8) % 2 == 0)
        game.action["executor"][...] = 1.0
        game.advance()
        for name in ("spot", "mid", "maker_inventory", "maker_cash", "remaining", "executor_cash", "noise_cash",
                     "running_penalty", "reward_maker", "reward_executor", "arrived"):  # fmt: skip
            for g in range(2):
                values = " ".join(f"{x:.10g}" for x in np.ravel(game.view(name)[g]))
                lines.append(f"{step} {name} {g} {values}")
    return lines


def test_golden_playthrough():
    lines = golden_lines()
    if os.environ.get("ARENA_WRITE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert [line.split()[:3] for line in lines] == [line.split()[:3] for line in kept]
    for line, old in zip(lines, kept, strict=True):
        got, want = (np.array(text.split()[3:], float) for text in (line, old))
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-9, err_msg=line)
