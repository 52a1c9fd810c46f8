"""The PettingZoo and Gymnasium views: their libraries' own tests, and that they are the batched game, bitwise."""

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium.spaces import Discrete
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test

from agents.executors import TWAP
from agents.makers import ConstantSpread
from arena.env import ArenaEnv, env, parallel_env, raw_env, single_agent
from arena.game import Game
from arena.rollout import seeds_of
from arena.scenario import Scenario, load, packaged

SHORT = load("two_mm_one_trader", ["market.clock.steps=12"])


def short(name: str, steps: int) -> Scenario:
    """A shipped scenario that ends after that many of its own steps."""
    clock = load(name).market.clock
    return load(name, [f"market.clock.steps={steps}", f"market.clock.horizon={steps * clock.dt}"])


def draw_actions(world: ArenaEnv, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random numbers, and random choices among what is allowed now."""
    out = {}
    for agent in world.possible_agents:
        if agent in world.table.masks:
            out[agent] = rng.choice(np.flatnonzero(world.table.mask(agent)))
        else:
            out[agent] = rng.uniform(-1, 1, world.action_space(agent).shape).astype(np.float32)
    return out


def episode(world: ArenaEnv, seed: int | None, policy_seed: int = 0) -> list[Any]:
    """Everything that one episode with random actions hands out."""
    rng, out = np.random.default_rng(policy_seed), [world.reset(seed=seed)]
    while world.agents:
        out.append(world.step(draw_actions(world, rng)))
    return out


def assert_same(left: Any, right: Any) -> None:
    """Bitwise equality of nested tuples, lists, dicts, arrays and numbers."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert list(left) == list(right)
        left, right = list(left.values()), list(right.values())
    if isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(left, right)
        assert getattr(left, "dtype", None) == getattr(right, "dtype", None)


# PettingZoo's and Gymnasium's own tests


@pytest.mark.parametrize("name", packaged())
def test_pettingzoo_parallel_and_aec_tests_pass_without_a_warning(name: str) -> None:
    scenario = short(name, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*different")  # makers and traders see and do different things
        # who chooses sees a dict, for there is a mask beside the observation
        warnings.filterwarnings("ignore", message="Observation (space for each agent|is not a NumPy array)")
        parallel_api_test(parallel_env(scenario), num_cycles=40)
        parallel_seed_test(lambda: parallel_env(scenario), num_cycles=10)
        api_test(env(scenario), num_cycles=40)
        seed_test(lambda: raw_env(scenario), num_cycles=10)


def test_pettingzoo_render_test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    render_test(lambda render_mode: env(SHORT, render_mode))
    assert "two_mm_one_trader  step 0/12" in capsys.readouterr().out  # human: printed


@pytest.mark.parametrize("seat", ["mm_0", "trader_0"])
def test_gymnasium_check_passes(seat: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(single_agent(SHORT, seat), skip_render_check=True)


@pytest.mark.parametrize(
    ("name", "seat", "others"), [("two_mm_one_trader", "mm_0", {"trader_0": TWAP()}), ("hedging_flow", "hedger_0", {})]
)
def test_stable_baselines_checks_and_trains(name: str, seat: str, others: dict[str, Any]) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as sb3_check

    world = single_agent(short(name, 12), seat, others=others)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check(world, skip_render_check=True)
    model = sb3.PPO("MlpPolicy", world, n_steps=64, batch_size=32, n_epochs=1, seed=1, device="cpu")
    before = copy.deepcopy(model.policy.state_dict())
    model.learn(128)
    assert model.num_timesteps == 128
    assert any((before[name] != values).any() for name, values in model.policy.state_dict().items())


def test_registered_ids_make_the_same_games() -> None:
    import arena  # noqa: F401  (registers the ids)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = pettingzoo.make("parallel", "OptionArena/TwoMMOneTrader-v0")
        seat = gymnasium.make("OptionArena/TwoMMOneTrader-v0")
    ours = parallel_env("two_mm_one_trader")
    assert_same(made.reset(seed=4), ours.reset(seed=4))
    np.testing.assert_array_equal(seat.reset(seed=4)[0], ours.reset(seed=4)[0]["mm_0"])


# The env is the batched game


@pytest.mark.parametrize("batch", [1, 3, 7, 1024])
def test_the_env_is_the_batched_game_bitwise(batch: int) -> None:
    """Same game number, same actions: observations and rewards of every step are equal in a batch of any size."""
    world = parallel_env("two_mm_one_trader")
    observations, _ = world.reset(seed=batch)
    game, mine = Game(world.scenario.market, batch), batch - 1
    seeds = seeds_of(7, batch)
    seeds[mine] = world.game_seed
    game.reset(seeds)
    rng = np.random.default_rng(batch)
    while world.agents:
        for name, role in game.roles.items():
            for seat, agent in enumerate(role.agents):
                np.testing.assert_array_equal(observations[agent], game.observation[name][mine, seat])
        row = draw_actions(world, rng)
        everybody = {name: rng.uniform(-1, 1, view.shape) for name, view in game.action.items()}
        for name, role in game.roles.items():
            for seat, agent in enumerate(role.agents):
                everybody[name][mine, seat] = row[agent]
        game.step(everybody)
        observations, rewards, *_ = world.step(row)
        for name, role in game.roles.items():
            for seat, agent in enumerate(role.agents):
                assert rewards[agent] == game.reward[name][mine, seat]
    assert game.done
    state = np.clip(game.state[:, mine], -1e9, 1e9).astype(np.float32)
    np.testing.assert_array_equal(world.state()[1:], state)


def test_a_seat_is_the_same_game_with_the_others_played() -> None:
    world = parallel_env(SHORT)
    others = {"mm_1": ConstantSpread(half_spread=0.05), "trader_0": TWAP()}
    acts = {agent: recipe.sit(SHORT.market, agent) for agent, recipe in others.items()}
    seat = single_agent(SHORT, "mm_0", others={**others, "trader_0": acts["trader_0"]})  # a recipe, and a plain act
    rng = np.random.default_rng(2)
    for seed in (5, None):
        seen, _ = world.reset(seed=seed)
        own, _ = seat.reset(seed=seed)
        done = False
        while not done:
            np.testing.assert_array_equal(own, seen["mm_0"])
            action = draw_actions(world, rng)
            for agent, act in acts.items():
                action[agent] = act(seen[agent][None], np.zeros((1, len(action[agent]))))[0]
            seen, rewards, *_, infos = world.step(action)
            own, reward, done, cut, info = seat.step(action["mm_0"])
            assert reward == rewards["mm_0"]
            assert_same(info, infos["mm_0"])
            assert not cut
        assert not world.agents
        with pytest.raises(RuntimeError, match="the game is over or was not started"):
            seat.step(action["mm_0"])


def test_seats_that_nobody_gave_play_the_scenario_or_the_naive_profile() -> None:
    scripted = load(
        "two_mm_one_trader",
        ["market.clock.steps=5", "players={mm_1: {kind: constant_spread, half_spread: 0.2}}"],
    )
    seat = single_agent(scripted, "mm_0")
    seat.reset(seed=1)
    seat.step(np.zeros(8, np.float32))
    np.testing.assert_allclose(seat.table.game.view("distance")[0, 1], 0.2)
    half = single_agent(scripted, "trader_0")
    half.reset(seed=1)
    half.step(np.zeros(1, np.float32))
    np.testing.assert_allclose(half.table.game.view("distance")[0, 0], 1 / 30)  # static Nash of the flow rule


# Seeds


def test_a_seed_fixes_whole_episodes_and_the_stream_after_it() -> None:
    """PettingZoo's seed test stops after one step; this one plays three games to the end."""
    one, other = parallel_env(SHORT), parallel_env(SHORT)
    np.random.seed(1)  # noqa: NPY002  (a global generator must not matter)
    first = [episode(one, seed) for seed in (123, None, None)]
    np.random.seed(2)  # noqa: NPY002
    other.reset()
    second = [episode(other, seed) for seed in (123, None, None)]
    assert_same(first, second)
    games = [np.concatenate([step[0]["mm_0"] for step in game]) for game in first]
    assert not np.array_equal(games[0], games[1])
    assert not np.array_equal(games[1], games[2])
    assert not np.array_equal(games[0], np.concatenate([step[0]["mm_0"] for step in episode(one, 124)]))
    assert_same(episode(one, 0), episode(other, 0))  # 0 is a seed like any other


def test_unseeded_envs_play_different_games() -> None:
    numbers = set()
    for _ in range(3):
        world = parallel_env(SHORT)
        world.reset()
        numbers.add(world.game_seed)
    assert len(numbers) == 3


def test_a_game_is_called_by_its_number() -> None:
    world, other = parallel_env(SHORT), parallel_env(SHORT)
    observations, _ = world.reset(seed=9)
    again, _ = other.reset(options={"game_seed": world.game_seed})
    assert_same(observations, again)


# What an episode looks like


@pytest.mark.parametrize("name", packaged())
def test_an_episode_ends_for_all_at_the_horizon_and_stays_within_its_spaces(name: str) -> None:
    world = parallel_env(short(name, 6))
    history = episode(world, 3)
    assert len(history) == 7
    for step in history:
        for agent, observation in step[0].items():
            assert world.observation_space(agent).contains(observation)
    for _, rewards, terminated, truncated, infos in history[1:]:
        assert list(rewards) == list(terminated) == list(truncated) == list(infos) == world.possible_agents
        assert not any(truncated.values())
    assert [any(step[2].values()) for step in history[1:]] == [False] * 5 + [True]
    assert all(history[-1][2].values())
    assert world.agents == []
    assert world.step({}) == ({}, {}, {}, {}, {})
    for agent in world.possible_agents:
        seen, done = world.observation_space(agent), world.action_space(agent)
        if isinstance(done, Discrete):
            assert done.n == len(world.table.roles[agent].action)
            seen = done = seen["observation"]
        for space in (seen, done):
            assert space.dtype == np.float32
            assert np.isfinite([space.low, space.high]).all()
        assert world.observation_space(agent) is world.observation_space(agent)
        assert world.action_space(agent) is world.action_space(agent)


def test_what_was_handed_out_is_never_changed() -> None:
    world = parallel_env(SHORT)
    kept = world.reset(seed=1)
    copied = copy.deepcopy(kept)
    rng = np.random.default_rng(0)
    actions = draw_actions(world, rng)
    sent = copy.deepcopy(actions)
    step = world.step(actions)
    step_copied = copy.deepcopy(step)
    world.step(draw_actions(world, rng))
    assert_same(kept, copied)
    assert_same(step, step_copied)
    assert_same(actions, sent)


def test_profit_and_rewards_add_up() -> None:
    """pnl is the change of cash and book at mid; rewards are pnl less penalties (option_making section 9, I9)."""
    world = parallel_env(SHORT)
    history = episode(world, 21)
    game = world.table.game
    for seat, agent in enumerate(("mm_0", "mm_1")):
        info = history[-1][4][agent]
        book = float(info["inventory"] @ game.view("mid")[0])
        assert info["pnl"] == pytest.approx(info["cash"] + book, abs=1e-9)
        penalty = game.view("running_penalty")[0, seat] + game.view("terminal_penalty")[0, seat]
        total = sum(step[1][agent] for step in history[1:])
        assert total == pytest.approx(info["pnl"] - penalty, abs=1e-9)
        filled = sum(step[4][agent]["fills"] for step in history[1:])
        np.testing.assert_allclose(info["inventory"], filled[:, 0] - filled[:, 1])
    trader = history[-1][4]["trader_0"]
    assert trader["pnl"] == pytest.approx(trader["cash"] + trader["inventory"] * game.view("mid")[0, 1], abs=1e-9)
    assert abs(trader["inventory"] + trader["remaining"]) == 30
    assert sum(step[4]["trader_0"]["fills"] for step in history[1:]) == abs(trader["inventory"])


def test_columns_are_named_and_actions_have_units() -> None:
    world = parallel_env("two_mm_one_trader")
    observations, _ = world.reset(seed=2)
    for agent in world.possible_agents:
        fields = world.observation_fields(agent)
        assert len(fields) == world.observation_space(agent).shape[0]
        assert len({field.name for field in fields}) == len(fields)
        np.testing.assert_array_equal(np.float32([field.low for field in fields]), world.observation_space(agent).low)
        assert len(world.action_fields(agent)) == world.action_space(agent).shape[0]
    seen = dict(zip([field.name for field in world.observation_fields("mm_0")], observations["mm_0"], strict=True))
    assert seen["time_left"] == 1
    assert seen["mid[C100]"] == pytest.approx(3.98776, abs=1e-5)  # option_making, section 0
    assert [field.name for field in world.state_fields()][:2] == ["time_left", "spot"]
    state = dict(zip([field.name for field in world.state_fields()], world.state(), strict=True))
    assert (state["time_left"], state["spot"], state["mid[C100]"]) == (1, 100, seen["mid[C100]"])
    assert world.state_space.contains(world.state())
    assert [tuple(field) for field in world.action_fields("trader_0")] == [("rate", "lots/day", 0.0, 120.0)]


def test_the_physical_map_and_its_inverse() -> None:
    world = parallel_env("two_mm_one_trader")
    np.testing.assert_allclose(world.to_physical("trader_0", np.array([-1, 0, 1])[:, None])[:, 0], [0, 60, 120])
    np.testing.assert_allclose(world.to_physical("mm_0", np.zeros(8)), [0.2, 0] * 4)
    unit = np.random.default_rng(0).uniform(-1, 1, 8).astype(np.float32)
    back = world.to_unit("mm_0", world.to_physical("mm_0", unit))
    np.testing.assert_allclose(back, unit, atol=1e-6)
    assert back.dtype == np.float32
    world.reset(seed=1)
    actions = {agent: np.zeros(world.action_space(agent).shape, np.float32) for agent in world.agents}
    actions["mm_0"] = world.to_unit("mm_0", [0.1, 0.02] * 4)
    world.step(actions)
    np.testing.assert_allclose(world.table.game.view("distance")[0, 0], [[0.08, 0.12]] * 4, atol=1e-7)


# Pickles, rendering, speed


@pytest.mark.parametrize("played", [None, 0, 5, 12])
def test_a_pickle_goes_on_where_it_was(played: int | None) -> None:
    world, rng = parallel_env(SHORT), np.random.default_rng(1)
    if played is not None:
        world.reset(seed=31)
        for _ in range(played):
            world.step(draw_actions(world, rng))
    other = pickle.loads(pickle.dumps(world))
    twin = copy.deepcopy(world)
    assert other.agents == world.agents
    if played is not None:
        np.testing.assert_array_equal(other.state(), world.state())
    while world.agents:
        actions = draw_actions(world, rng)
        steps = [one.step(actions) for one in (world, other, twin)]
        assert_same(steps[0], steps[1])
        assert_same(steps[0], steps[2])
    if played is not None:
        assert_same(episode(world, None), episode(other, None))  # and so does the stream of games


def test_a_seat_can_be_pickled() -> None:
    seat = single_agent(SHORT, "trader_0")
    seat.reset(seed=3)
    seat.step(np.zeros(1, np.float32))
    other = pickle.loads(pickle.dumps(seat))
    assert_same(seat.step(np.ones(1, np.float32)), other.step(np.ones(1, np.float32)))


def test_closing_twice_is_fine() -> None:
    for world in (parallel_env(SHORT), single_agent(SHORT)):
        world.reset(seed=1)
        world.close()
        world.close()
