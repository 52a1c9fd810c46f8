"""A market in one folder: tests/third_market is all of it, and the house plays, trains and judges it unchanged.

The toy: a poster (wait, post, cancel) earns 1 per lot that is hit and pays .2 a step while it shows; a taker (a rate in
[0, 1]) wants 5 lots. Against a rate of 1/2 always posting earns 20 (1/2 + 1/2 · .3 - .2) = 9.00 a game.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test, parallel_seed_test
from scipy import stats

from agents.heads import Options
from agents.learned import player
from agents.network import Network
from arena.env import parallel_env, single_agent
from arena.game import Game
from arena.gaps.profile import Search, naive_acts
from arena.gaps.search import gains
from arena.gaps.swaps import swapped
from arena.markets import catalogue
from arena.rollout import play, seeds_of
from arena.scenario import Scenario, ScenarioError, TrainingSettings, dump, json_schema, loads
from arena.training.frozen import Stack
from arena.training.prior import priors
from arena.training.responder import train_responder
from tests.third_market.kit import Steady
from tests.third_market.market import CANCEL, POST, WAIT, Market

catalogue.add("toy", "tests.third_market")
MARKET = Market()
BEST = 20 * (0.5 + 0.5 * 0.3 - 0.2)
YAML = """\
schema_version: 1
name: toy
market: {model: toy}
training: {iterations: 2, games: 32, block: 16, hidden: [8], epochs: 2, minibatch: 256, checkpoint_every: 2}
league: {slots: 2, promotion: {every: 2, games: 64}}
evaluation:
  {games: 256, search: shifts, tournament_games: 32, gap_every: 0, members: 3}
"""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return loads(YAML)


def acts(poster: float = POST, taker: float = 0.0) -> dict[str, Any]:
    return {"p_0": Steady(action=poster).sit(MARKET, "p_0"), "t_0": Steady(action=taker).sit(MARKET, "t_0")}


def test_it_is_small() -> None:
    lines = [line for path in (Path(__file__).parent / "third_market").glob("*.py") for line in path.open()]
    assert sum(bool(line.strip()) for line in lines) <= 120


# --- rules ------------------------------------------------------------------------------------------------------------


def test_always_posting_earns_what_the_formula_says_and_cash_is_kept() -> None:
    """z < 4.42: error rate 1e-5."""
    games = play(Game(MARKET, 4000), acts(), seeds_of(1, 4000), trace=True)
    earned = games.returns_of("p_0")
    assert abs(earned.mean() - BEST) < 4.42 * earned.std() / np.sqrt(4000)
    cash = games.path("earned")[..., 0] - games.path("held")[..., 0] - games.path("paid")[..., 0]
    np.testing.assert_allclose(cash + games.path("noise_cash"), 0.0, atol=1e-12)
    np.testing.assert_allclose(games.path("earned")[-1] - games.path("held")[-1], earned[:, None], atol=1e-12)
    spent = games.last("paid") + games.last("penalty")
    np.testing.assert_allclose(-spent, games.returns_of("t_0")[:, None], atol=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 600])
def test_a_game_is_bitwise_its_own_in_any_batch(batch: int) -> None:
    network = Network(MARKET.roles[0].observation, Options(np.full(3, 1 / 3), 2, 5), hidden=(8,), seed=3)
    mixed = {**acts(), "p_0": player(network.weights())}
    whole = play(Game(MARKET, 1000), mixed, seeds_of(2, 1000), trace=True)
    part = play(Game(MARKET, batch), mixed, seeds_of(2, 1000)[100 : 100 + batch], trace=True)
    assert np.array_equal(part.state, whole.state[..., 100 : 100 + batch])
    assert len(np.unique(whole.actions["poster"])) == 3  # mixed play: all options were drawn


SCRIPT = """
import json, sys, numpy as np
from tests.third_market.market import Market
rules, seeds = Market().rules(), np.arange(8, dtype=np.uint64)
state, seen = np.zeros((Market().state.size, 8)), np.zeros((8, 8), np.float32)
rules.begin(*rules.parameters, seeds, state, seen)
for step in range(20):
    action = np.stack([np.arange(8) % 3, np.linspace(-1, 1, 8)]).astype(float)
    assert rules.advance(*rules.parameters, seeds, step, state, action, seen, np.zeros(2)) == -1
print(json.dumps([state.tolist(), seen.tolist()]))
"""


def test_compiled_is_interpreted() -> None:
    root = Path(__file__).parents[1]
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": flag, "PYTHONPATH": str(root)},
        ).stdout
        for flag in ("0", "1")
    ]  # fmt: skip
    compiled, interpreted = map(json.loads, outputs)
    assert compiled == interpreted
    assert np.ptp(compiled[0]) > 1.0  # something was earned


# --- the scenario -----------------------------------------------------------------------------------------------------


def test_a_scenario_of_it_loads_and_comes_back(scenario: Scenario) -> None:
    assert loads(dump(scenario)) == scenario
    assert isinstance(scenario.market, Market)
    assert [player.kind for player in scenario.players.values()] == ["learned", "learned"]
    models = {one["properties"]["model"]["const"] for one in market_schemas(json_schema())}
    assert {"toy", "dealer"} <= models


def market_schemas(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = schema["properties"]["market"]["oneOf"]
    return [schema["$defs"][one["$ref"].split("/")[-1]] if "$ref" in one else one for one in found]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("{model: toy, spred: 2}", "<text>:3:22: market.spred: unknown key; .*did you mean 'spread'"),
        ("{model: toy, clock: {steps: 0}}", r"<text>:3:\d+: market.clock.steps: found 0; allowed is 1 or more"),
        ("{model: toi}", "market.model: found 'toi'; allowed is 'book', 'dealer', .* or 'toy' .did you mean 'toy'"),
        ("{model: toy}\nplayers: {p_0: {kind: twap}}", "kind: found 'twap'.*allowed are steady, learned, snapshot"),
        ("{model: toy}\nplayers: {mm_0: {kind: steady}}", "mm_0: no such seat; allowed are p_0, t_0"),
    ],
)
def test_its_mistakes_are_told_where_they_stand(change: str, sentence: str) -> None:
    with pytest.raises(ScenarioError) as told:
        loads(YAML.replace("{model: toy}", change))
    assert re.search(sentence, str(told.value)), told.value


# --- the environment --------------------------------------------------------------------------------------------------


def test_pettingzoos_own_tests(scenario: Scenario) -> None:
    parallel_api_test(parallel_env(scenario), num_cycles=60)
    parallel_seed_test(lambda: parallel_env(scenario), num_cycles=40)


def test_masked_actions_are_always_possible_and_others_count_and_do_nothing(scenario: Scenario) -> None:
    env, generator = parallel_env(scenario), np.random.default_rng(0)
    for game in range(500):
        seen, _ = env.reset(seed=game)
        while env.agents:
            choice = generator.choice(np.flatnonzero(seen["p_0"]["action_mask"]))
            seen, *_ = env.step({"p_0": choice, "t_0": generator.uniform(-1, 1, 1)})
        assert env.table.game.view("clipped_action")[0] == 0.0
    seen, _ = env.reset(seed=1)
    assert seen["p_0"]["action_mask"].tolist() == [1, 1, 0]
    seen, *_, infos = env.step({"p_0": CANCEL, "t_0": np.array([-1.0])})
    assert env.table.game.view("clipped_action")[0] == 1.0
    assert infos["p_0"] == {"pnl": 0.0, "posted": 0.0}


@pytest.mark.parametrize("action", ["post", np.nan, 7, 1.5, [0, 1]])
def test_what_is_no_option_ends_in_one_sentence(scenario: Scenario, action: Any) -> None:
    env = parallel_env(scenario)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action of p_0: found .*; allowed are 0 \(wait\), 1 \(post\), 2 \(cancel\)$"):
        env.step({"p_0": action, "t_0": np.zeros(1)})


def test_it_is_drawn_by_name_where_it_has_no_board_of_its_own(scenario: Scenario) -> None:
    env = parallel_env(scenario, render_mode="ansi")
    env.reset(seed=0)
    env.step({"p_0": POST, "t_0": np.array([-1.0])})
    text = env.render()
    assert text.startswith("toy  step 1/20  0.95 day left")
    assert "      held  0.2  points" in text
    env = parallel_env(scenario, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape[2] == 3


def test_one_seat_has_masks_for_maskable_learners(scenario: Scenario) -> None:
    env = single_agent(scenario, seat="p_0")
    seen, _ = env.reset(seed=0)
    assert env.action_space.n == 3
    assert env.observation_space.contains(seen)
    assert env.action_masks().tolist() == [True, True, False]
    env.step(POST)
    assert env.action_masks().tolist() in ([True, True, False], [True, False, True])
    with pytest.raises(TypeError, match="t_0 acts in numbers"):
        single_agent(scenario, seat="t_0").action_masks()


def test_the_noise_of_a_choice_is_uniform() -> None:
    """Kolmogorov-Smirnov of 20 000 numbers; error rate 1e-5."""
    game = Game(MARKET, 1000)
    game.reset(seeds_of(9, 1000))
    drawn = []
    for _ in range(20):
        noise = game.noise()
        drawn.append(noise["poster"].copy())
        assert stats.kstest(noise["taker"].ravel(), "norm").pvalue > 1e-5
        game.advance()
    assert stats.kstest(np.ravel(drawn), "uniform").pvalue > 1e-5


# --- learning ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taught() -> dict[str, np.ndarray]:
    settings = TrainingSettings(learning_rate=1e-2, hidden=(16,), minibatch=1280, epochs=3)
    return train_responder(MARKET, "p_0", acts(), settings, iterations=40, games=128, seed=1)


def test_a_responder_learns_to_post(taught: dict[str, np.ndarray]) -> None:
    """Within 3 % of the optimum of the same games: always posting on the same seeds."""
    seeds = seeds_of(5, 4000)
    learned = play(Game(MARKET, 4000), {**acts(), "p_0": player(taught)}, seeds)
    best = play(Game(MARKET, 4000), acts(), seeds)
    assert learned.last("clipped_action").sum() == 0
    assert learned.returns_of("p_0").mean() > 0.97 * best.returns_of("p_0").mean()


def test_a_frozen_member_is_its_player_bitwise_and_a_module_has_its_law(taught: dict[str, np.ndarray]) -> None:
    from arena.training.learner import module_spec

    role, games = MARKET.roles[0], Game(MARKET, 64)
    games.reset(seeds_of(3, 64))
    seen, noise = games.observation["poster"][:, 0], games.noise()["poster"][:, 0]
    alone = player(taught)(seen, noise)
    standardised = ((seen - taught["centre"]) * (1.0 / taught["scale"])).astype(np.float32)
    cells = standardised.T.reshape(5, 4, 16)
    stack = Stack([taught, taught], [1, 0, 0, 1])
    together = stack.act(cells, np.arange(4), np.ascontiguousarray(noise.T).reshape(1, 4, 16))
    assert np.array_equal(together.reshape(1, 64).T, alone)
    spec = module_spec(role, priors(MARKET)["poster"], TrainingSettings(hidden=(16,)), 1)
    module = spec.build()
    module.network.load(taught)
    assert spec.action_space.n == 3
    inputs = module._forward({"obs": torch.tensor(np.ascontiguousarray(seen))})["action_dist_inputs"].detach()
    assert (inputs[:, CANCEL] < -1e8).all()  # nothing shows yet
    assert torch.equal(inputs.exp().sum(1).round(decimals=5), torch.ones(64))


def test_the_best_swap_of_who_waits_is_to_post() -> None:
    """The gain is known by formula; 4.42 standard errors: error rate 1e-5."""
    search = Search(games=2048, choice_games=512, generations=4, shift_games=64)
    poster, taker = gains(MARKET, naive_acts(MARKET), search)
    assert poster.engine == "wait → post"
    assert poster.kind == "lower bound"
    assert abs(poster.gain - BEST) < 4.42 * poster.se
    assert taker.gain == 0.0  # nothing shows, nothing can be taken
    assert {"always post", "wait → post"} <= set(poster.candidates)


def test_a_swap_plays_an_option_only_where_it_is_allowed() -> None:
    seen = np.zeros((4, 5), np.float32)
    seen[:, 2:] = [[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 1]]  # wait, post, cancel
    played = np.array([[WAIT], [WAIT], [POST], [CANCEL]], float)
    role, noise = MARKET.roles[0], np.zeros((4, 1))
    always = swapped(lambda *_: played, role, POST)(seen, noise)
    assert always[:, 0].tolist() == [POST, WAIT, POST, CANCEL]
    instead = swapped(lambda *_: played, role, CANCEL, where=WAIT)(seen, noise)
    assert instead[:, 0].tolist() == [WAIT, CANCEL, POST, CANCEL]
    assert played[0, 0] == WAIT  # what was played is not written over


def test_at_the_optimum_nobody_gains() -> None:
    """The poster always posts; the taker buys four lots at once, for the fifth costs what it saves."""
    bought = MARKET.roles[1].observation.slice("bought").start
    profile = naive_acts(MARKET)
    best = {"p_0": acts()["p_0"], "t_0": lambda seen, _: np.where(seen[:, [bought]] < 4, 1.0, -1.0)}
    search = Search(games=2048, choice_games=512, generations=8, shift_games=64)
    found = gains(MARKET, replace(profile, acts=best), search)
    assert sum(max(seat.gain, 0.0) for seat in found) < 0.01 * BEST


# --- judged and shown -------------------------------------------------------------------------------------------------


COMMAND = """
import typer
from arena.markets import catalogue
from arena.selfplay import main
catalogue.add("toy", "tests.third_market")
typer.run(main)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two iterations of self-play with judging and report, as `python -m arena.selfplay toy.yaml` plays them."""
    out = tmp_path_factory.mktemp("toy")
    (out / "toy.yaml").write_text(YAML)
    words = [sys.executable, "-c", COMMAND, str(out / "toy.yaml"), "--workers", "0", "--out", str(out)]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (out / "toy").iterdir()
    return folder


@pytest.mark.ray
def test_a_run_of_it_leaves_a_whole_report_without_a_word_of_another_market(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert {"gap", "payoff", "ratings", "attribution", "versus"} <= report.keys()
    page = (run / "report.html").read_text()
    assert "over the game" in page  # the section of paths, which is drawn and has no numbers of its own
    text = re.sub(r"<(script|style|svg)[^>]*>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    for word in ("maker", "executor", "quote", "half-spread", r"\$"):
        assert not re.search(word, text), f"{word}: {re.search(f'.{{60}}{word}.{{60}}', text, re.DOTALL)}"
    assert "points" in text
    gap = json.loads((run / "nash_gap.jsonl").read_text().splitlines()[-1])
    assert {seat["kind"] for seat in gap["seats"]} == {"lower bound"}
    assert gap["naive_nashconv"] > 0.9 * BEST


@pytest.mark.ray
def test_a_member_of_a_run_sits_like_any_player(run: Path) -> None:
    from agents.learned import Snapshot

    act = Snapshot(path=str(run)).sit(MARKET, "p_0")
    games = play(Game(MARKET, 64), {**acts(), "p_0": act}, seeds_of(3, 64))
    assert games.last("clipped_action").sum() == 0
    with pytest.raises(ValueError, match="taker-00000 is a taker; allowed is a member of role poster"):
        Snapshot(path=str(run), member="taker-00000").sit(MARKET, "p_0")


# --- no leaks ---------------------------------------------------------------------------------------------------------

OF_THE_DEALER = re.compile(
    r"DealerMarket|maker_names|executor_names|\bmm_|\btrader_|half_spread|\bskew|\.executors\b|\.makers\b"
)
ITS_OWN = ("arena/markets/dealer/", "arena/solvers/", "agents/makers.py", "agents/executors.py")
ITS_OWN += ("agents/optimal_makers.py", "agents/nash.py", "agents/hedged.py", "arena/markets/book/", "agents/book_")
STATISTICS = ("arena/league/promotion.py", "arena/runs/estimates.py")  # the skewness of a sample


def test_no_line_of_the_house_knows_the_dealer() -> None:
    root, found = Path(__file__).parents[1], []
    for path in sorted([*root.glob("arena/**/*.py"), *root.glob("agents/*.py")]):
        name = str(path.relative_to(root))
        if not name.startswith(ITS_OWN + STATISTICS):
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            found += [f"{name}:{i}: {line.strip()}" for i, line in lines if OF_THE_DEALER.search(line)]
    assert not found, "\n".join(found)
