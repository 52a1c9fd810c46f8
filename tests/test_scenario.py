"""Scenario files: the shipped ones load, every mistake is a sentence, and what is resolved loads back."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agents.makers import ConstantSpread, naive_profile
from arena.game import Game
from arena.markets import catalogue
from arena.rollout import play, seeds_of
from arena.scenario import FOLDER, Scenario, ScenarioError, dump, json_schema, load, loads, packaged

TWO = FOLDER / "two_mm_one_trader.yaml"
HASHES = {
    "acas": "f8df26378b3e4e5e771b2dcbbd3992a368b70680ae96a934ffcabb678ce3f3ec",
    "avellaneda_stoikov": "7a4974c9aed0a9268f3351f10bc169c1e658c68da50447a3a39a180029a5e244",
    "book_aapl": "1c4dcb8c45ac3aa69578a2a9540c03bcdbc6e54e6e45b3236a3c39a2e744a160",
    "book_maker": "d2c4862446c3418ce51560815c9316474ef014752d9f7c8485c1e0a14b38645e",
    "book_maker_power_law": "b6dae0aafc8a3791f229a52bb1f378bbbbd9aaa0ec76d86154098b3f4270ba74",
    "book_maker_small_eta": "68786cc884e3bc2a1c55b7e8fcbe53e9a715cbba7b37e2bda42ab8d38eef4ae6",
    "book_market_orders_only": "5c35fb64cd0d043e508687b4a373663b7d5d7a54e2046911a63e92b1b45e7577",
    "book_poisson": "f2e4976d6415a5845a774b16c09c51c88fcba5503796947b28c68d12ea270c2e",
    "book_small": "de6663d9bfc820a0521555c1372bdcfe24183ef086e06bc60a2646dc51635bfb",
    "book_two_makers": "b534c40339a181f737cbcfedb98c7b87c6367e94ffbbaaf53cba293b4ba4ca11",
    "book_two_makers_one_trader": "cea63e52901cb297cc18f4e4b0c06264751367b1e5131cfde2baf8ee5ee91d38",
    "execution_game": "41f0a9fcada9035bb23117fa2288baf4f7025f5033e6840a0b961e8fcada4978",
    "fang_xu_hedged": "ca52a7f228e78bd35fe0367a1e11c9c3b37c6ced1fdb0a9e7c50a1d9a05968a7",
    "fang_xu_pair": "61cbd4245b720ccf6b6bf3b938de52419cdeddc6d78bfdb6856e6135e09cb807",
    "fang_xu_single": "9331733694cc962ca373823699cecc41b4b4fcdb297f5762ffbf14b85d5435d4",
    "hedging_cost": "de3db195f7728042231d7d906c2078891a5ed7965a66603200f0916005c2f9fe",
    "hedging_flow": "ebe67ee7ffa7e0b95f94533f2113e222b11cf661297103dd60561a9197fcbffb",
    "hedging_frictionless": "896f0b193e27cc9e56fa6c11c9c3c47582464fbed73b3f6e948249886ebfbe62",
    "hedging_volatility": "7994d3e165662e32e949fff3a7401b9d65fb7ee610ab5567802d4a63143e2752",
    "logistic_duel": "102aa4416f8ea3ed5fd69a8a473eb17a4d49ba27fa4e3e837ea02f09c0375fe3",
    "logistic_duel_poisson": "dfb0481cb2695b2bc01e6a1af408de51d87f32f305eeb371d77bad905256192c",
    "logistic_duel_time_only": "83e4907345798ad4b5324150fe211c8a6408fafeaaafc9581d558ef767abb56e",
    "mean_field": "5f61e8845dd0dabf9f76795d07965818e3516aad80fe0f2428675c44726b6b48",
    "noise_factor": "aea535883b1fdf09cfa028420a99d85210e8ce3106a7ad9fdd133212bd5530a2",
    "option_duel": "fb151ba8a78535d1e40f0f608a34ae71f3ae3489ac1ecefaa40fcecb877b808a",
    "option_duel_against_as": "c172a958e4fbaece66deb60ea4a97ac394a71b127e3d53935f0792cad4964ada",
    "option_duel_literal": "d8b02ba9d7922b536b811aab4e445a1bb150edbc4881718deb3ce36a9e3a0e80",
    "toxic_flow": "2826ff83d3d2b6915563e0a40b600eab19896cd7e558a71e9a43e1e0e0f6eea5",
    "two_mm_one_trader": "cf31d03480a9f317aeb59874b50f1a61955108aa3077cc46fc9cd78838295841",
}
"""What a run folder keeps and is checked against when it is opened again: no release may change one unsaid."""


@pytest.fixture(autouse=True, scope="module")
def _shipped_markets_alone() -> Iterator[None]:
    """Sentences list the markets that are known; other tests make theirs known to the same process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_added", {})
        yield


def tree_of(path: Path) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", packaged())
def test_shipped_scenarios_load_by_name_and_are_named_after_their_file(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert scenario.description
    assert scenario == load(FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("name", packaged())
def test_a_resolved_scenario_loads_back_equal_and_with_the_same_hash(name: str) -> None:
    scenario = load(name)
    assert loads(dump(scenario)) == scenario
    assert loads(dump(scenario)).hash == scenario.hash
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


def test_the_hashes_of_the_shipped_scenarios_stay() -> None:
    assert {name: load(name).hash for name in packaged()} == HASHES


def test_the_shipped_game_is_the_one_that_is_promised() -> None:
    market = load("two_mm_one_trader").market
    assert [(p.right, p.strike, p.expiry) for p in market.products] == [
        ("call", 95, 63), ("call", 100, 63), ("call", 105, 63), ("put", 100, 63),
    ]  # fmt: skip
    assert (market.underlying.spot, market.underlying.volatility.value) == (100, 0.2)
    assert (market.clock.horizon, market.clock.steps) == (1, 100)
    assert (market.flow.arrival_rate, market.flow.orders, market.flow.lot) == (100, "poisson", 1)
    assert (market.flow.rule.kind, *market.flow.rule.numbers()) == ("soft_best", 10, 50)
    makers, trader = market.makers, market.executors[0]
    assert (makers.count, makers.inventory_limit, makers.min_distance, makers.max_distance) == (2, 20, 0, 0.8)
    assert makers.risk.model_dump() == {
        "kind": "vega", "risk_aversion": 0.5, "vega_noise": 0.01, "terminal_penalty": 5e-4,
    }  # fmt: skip
    assert (makers.hedging.kind, makers.observe.rivals) == ("perfect", "quotes")
    assert (trader.product, trader.side, trader.size) == ("C100", "coin", 30)
    assert (trader.temporary_impact, trader.running_penalty, trader.terminal_penalty) == (0.002, 0.01, 0.2)


def test_seats_that_are_left_out_learn() -> None:
    scenario = load("two_mm_one_trader", ["players={mm_1: {kind: avellaneda_stoikov, risk_aversion: 0.3}}"])
    assert {seat: player.kind for seat, player in scenario.players.items()} == {
        "mm_0": "learned", "mm_1": "avellaneda_stoikov", "trader_0": "learned",
    }  # fmt: skip
    tree = tree_of(TWO)
    del tree["players"]
    assert loads(json.dumps(tree)) == load("two_mm_one_trader")


def test_the_hash_sees_numbers_and_not_words() -> None:
    scenario = load("two_mm_one_trader")
    assert load("two_mm_one_trader", ["name=other", "description=other"]).hash == scenario.hash
    changes = [
        "market.fees.maker=0.01",
        "training.seed=1",
        "players.mm_0={kind: constant_spread}",
        "evaluation.games=64",
    ]
    hashes = {load("two_mm_one_trader", [change]).hash for change in changes}
    assert len(hashes | {scenario.hash}) == 1 + len(changes)


IMPOSSIBLE = {
    "market.underlying.volatility.value=-0.2": "market.underlying.volatility.value: found -0.2; allowed is 0 or more",
    "market.underlying.spot=0": "market.underlying.spot: found 0; allowed is greater than 0",
    "market.underlying.spot=.nan": "market.underlying.spot: found nan; allowed is a finite number",
    "market.underlying.spot=.inf": "market.underlying.spot: found inf; allowed is a finite number",
    "market.underlying.spot='100'": "market.underlying.spot: found '100'; allowed is a number",
    "market.fees.maker=true": "market.fees.maker: found true; allowed is a number",
    "market.clock.steps=0": "market.clock.steps: found 0; allowed is 1 or more",
    "market.clock.steps=10.5": "market.clock.steps: found 10.5; allowed is a whole number",
    "market.products.0.expiry=0.5": "market.products[0].expiry: found 0.5; allowed is after the horizon 1",
    "market.products.2.name=C95": "market.products[2].name: 'C95' appears 2 times; names must differ",
    "market.products.2.right=cal": "market.products[2].right: found 'cal'; allowed is 'call', 'put' or 'asset'"
    " (did you mean 'call'?)",
    "market.products=[]": "market.products: found a list of 0; allowed is at least 1 entries",
    "market.makers.count=-1": "market.makers.count: found -1; allowed is 0 or more",
    "market.makers.cuont=2": "market.makers.cuont: unknown key; allowed are count, inventory_limit, half_spread, skew,"
    " min_distance, max_distance, initial_inventory, hedging, risk, variation_aversion, observe"
    " (did you mean 'count'?)",
    "market.makers.half_spread=[0.4, 0]": "market.makers.half_spread: found [0.4, 0];"
    " allowed is [low, high] with low < high",
    "market.makers.skew=[1]": "market.makers.skew[1]: missing; it must be given",
    "market.makers.min_distance=1": "market.makers.min_distance: found 1; allowed is below max_distance 0.8",
    "market.executors.0.product=C110": "market.executors[0].product: 'C110' is not quoted;"
    " allowed are C95, C100, C105, P100",
    "market.executors.0.rate=[120, 0]": "market.executors[0].rate: found [120, 0];"
    " allowed is [low, high] with low < high",
    "market.executors.0.size=-30": "market.executors[0].size: found -30;"
    " allowed is greater than 0, or a mapping with the keys mean, spread",
    "market.flow.rule.sharpness=5": "market.flow.rule.sharpness: found 5; allowed is fill_decay 10 or more",
    "market.flow.rule.kind=softbest": "market.flow.rule.kind: found 'softbest'; allowed is 'exponential', 'soft_best',"
    " 'logit', 'logistic', 'relative' (did you mean 'soft_best'?)",
    "market.flow.arrival_rate=[1, -1]": "market.flow.arrival_rate[1]: found -1; allowed is 0 or more",
    "market.flow.intensity={model: profile, t: [0, 0], value: [1, 2]}": "market.flow.intensity.t: found times that do"
    " not increase; allowed are increasing ones",
    "market.makers.initial_inventory=[1, 2, 3]": "market.makers.initial_inventory: found 3 entries;"
    " allowed is one for each of 2 makers",
    "players.mm_0={kind: twap}": "players.mm_0.kind: found 'twap', which is not for makers; allowed are"
    " constant_spread, avellaneda_stoikov, gueant_lehalle, hjb_maker, gibbs_maker, mpe_maker, nash_maker, learned,"
    " snapshot",
    "players.trader_0={kind: constant_spread}": "players.trader_0.kind: found 'constant_spread', which is not for"
    " executors; allowed are twap, almgren_chriss, immediate, nash_trader, nash_executor, learned, snapshot",
    "players.trader_1={kind: twap}": "players.trader_1: no such seat; allowed are mm_0, mm_1, trader_0"
    " (did you mean 'trader_0'?)",
    "players.mm_0={kind: constant_spread, half_spread: 0.5}": "players.mm_0.half_spread: found 0.5;"
    " allowed is 0 to 0.4, as market.makers.half_spread says",
    "training.block=60": "training.block: found 60; allowed is a divisor of games = 512",
    "training.discount=1.5": "training.discount: found 1.5; allowed is 1 or less",
    "training.hidden=[]": "training.hidden: found a list of 0; allowed is at least 1 entries",
    "evaluation.confidence=1": "evaluation.confidence: found 1; allowed is less than 1",
    "market.model=deler": "market.model: found 'deler'; allowed is 'book', 'dealer' or 'hedging'"
    " (did you mean 'dealer'?)",
    "market=3": "market: found 3; allowed is a mapping with the keys model, clock, flow, depth, fees,"
    " makers, executors, observe, turns, warm_up, underlying, products, mark, executors_observe, book,"
    " hedge, risk",
    "players=3": "players: found 3; allowed is a mapping",
    "players.mm_0.kind=twapp": "players.mm_0.kind: found 'twapp'; allowed is 'constant_spread', 'avellaneda_stoikov',"
    " 'gueant_lehalle', 'hjb_maker', 'gibbs_maker', 'mpe_maker', 'nash_maker', 'learned', 'snapshot'",
    "schema_version=2": "schema_version: found 2; allowed is 1",
    "name=Two Makers": "name: found 'Two Makers'; allowed is text of the form ^[a-z][a-z0-9_]*$",
}


@pytest.mark.parametrize("change", IMPOSSIBLE)
def test_an_impossible_value_is_refused_in_one_sentence(change: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load("two_mm_one_trader", [change])
    assert refused.value.mistakes == (f"--set {change}: {IMPOSSIBLE[change]}",)


def test_all_mistakes_come_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = TWO.read_text(encoding="utf-8")
    for good, bad in {
        "value: 0.20": "value: -0.20",
        "count: 2": "coutn: 2",
        "strike: 105, expiry: 63": "strike: 105, expiry: 0.5",
        "mm_1: {kind: learned}": "mm_1: {kind: lerned}",
        "schema_version: 1": "schema_version: 1\nschema_version: 1",
    }.items():
        assert good in text
        text = text.replace(good, bad)
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as refused:
        load(path)
    lines = text.splitlines()
    wanted = ("schema_version", "market.underlying.volatility.value", "market.makers.coutn", "players.mm_1.kind")
    assert [mistake.split(": ")[1] for mistake in refused.value.mistakes] == list(wanted)
    for mistake in refused.value.mistakes:
        file, line, column = mistake.split(": ")[0].rsplit(":", 2)
        assert file == str(path)
        assert lines[int(line) - 1][int(column) - 1 :].startswith(("schema_version", "-0.20", "coutn", "lerned"))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("two_mm_one_tradr", "no such file; allowed is a YAML file, or one of acas, avellaneda_stoikov"),
        ("two_mm_one_tradr", "(did you mean 'two_mm_one_trader'?)"),
        ("absent/two_mm_one_trader.yaml", "no such file"),
        (".", "is a folder"),
        ("latin.yaml", "is not UTF-8"),
        ("empty.yaml", "the file is empty"),
        ("list.yaml", "list.yaml:1:1: scenario: found a list of 2; allowed is a mapping"),
    ],
)
def test_a_file_that_is_none_is_refused(what: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.yaml").write_bytes("name: d\u00e9j\u00e0".encode("latin-1"))
    Path("empty.yaml").write_text("", encoding="utf-8")
    Path("list.yaml").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ScenarioError) as refused:
        load(what)
    assert len(refused.value.mistakes) == 1
    assert words in refused.value.mistakes[0]


def test_a_bad_scenario_loads_none_of_the_libraries_that_take_seconds() -> None:
    program = (
        "import sys\n"
        "from arena.scenario import ScenarioError, load\n"
        "try:\n    load('two_mm_one_trader', ['market.makers.count=-1'])\n"
        "except ScenarioError as error:\n    print(error)\n"
        "print(*(name for name in ('torch', 'ray', 'matplotlib', 'pandas', 'pyarrow') if name in sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    sentence, loaded = run.stdout.splitlines()
    assert sentence.endswith("market.makers.count: found -1; allowed is 0 or more")
    assert loaded == ""


def test_the_json_schema_knows_every_key_and_accepts_no_other() -> None:
    schema = json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(Scenario.model_fields)
    assert schema["additionalProperties"] is False
    described = [
        name for name, rule in schema["$defs"]["TrainingSettings"]["properties"].items() if rule.get("description")
    ]
    assert set(described) == set(schema["$defs"]["TrainingSettings"]["properties"])


def test_toxic_flow_moves_the_mid_against_the_makers_and_widens_their_best_common_quote() -> None:
    """What the mid does to a lot after its fill, and the half-spread at which two makers who quote it earn most."""
    grid, games, best, markout = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14), 400, {}, {}
    for name in ("two_mm_one_trader", "toxic_flow"):
        market = load(name).market
        game, seeds = Game(market, games), seeds_of(3, games)
        rivals = {agent: recipe.sit(market, agent) for agent, recipe in naive_profile(market).items()}
        naive = play(game, rivals, seeds, trace=True)
        lots = naive.path("fill").sum(axis=(0, 3, 4))
        markout[name] = naive.last("inventory_pnl").sum() / lots.sum()
        returns = []
        for half in grid:
            seats = {agent: ConstantSpread(half_spread=half).sit(market, agent) for agent in market.maker_names}
            rivals |= {"mm_1": seats["mm_1"]}
            returns.append(play(game, {**rivals, "mm_0": seats["mm_0"]}, seeds).returns_of("mm_0").mean())
        best[name] = grid[int(np.argmax(returns))]
    assert abs(markout["two_mm_one_trader"]) < 0.005  # there the mid is a martingale whatever the flow does
    # impact alone costs 0.005 a lot; the informed half knows the sign of a move whose shock part has deviation 0.06
    assert -0.08 < markout["toxic_flow"] < -0.02
    assert best["toxic_flow"] > best["two_mm_one_trader"]


# Random files: whatever is put in place of any part of a good file, `loads` answers with a scenario or with sentences.

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e308, -1e308, 5e-324, 10**400, float("nan"), float("inf"), 2**63, ""]),
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path] * bool(path) + [place for key, child in below for place in places(child, (*path, key))]


TREES = {name: tree_of(FOLDER / f"{name}.yaml") for name in packaged()}


@settings(max_examples=60)
@given(data=st.data())
def test_any_change_of_a_file_gives_a_scenario_or_sentences(data: st.DataObject) -> None:
    tree = json.loads(json.dumps(TREES[data.draw(st.sampled_from(sorted(TREES)))]))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(tree)))
        node = tree
        for step in path:
            node = node[step]
        action = data.draw(st.sampled_from(["replace", "delete", "add"]))
        if action == "replace":
            node[last] = data.draw(values)
        elif action == "delete":
            del node[last]
        elif isinstance(node, dict):
            node[data.draw(st.text(max_size=5))] = data.draw(values)
        else:
            node.append(data.draw(values))
    answer_is_a_scenario_or_sentences(json.dumps(tree))  # JSON is YAML; NaN and Infinity arrive as words


@settings(max_examples=80)
@given(text=st.text(max_size=80) | st.text(alphabet="{}[]:,-#&*!|>'\"%@`?~ \n\tab01.", max_size=60))
def test_any_text_gives_sentences(text: str) -> None:
    answer_is_a_scenario_or_sentences(text)


@settings(max_examples=30)
@given(key=st.sampled_from([".".join(map(str, place)) for place in places(TREES["two_mm_one_trader"])]), value=values)
def test_any_override_gives_a_scenario_or_sentences(key: str, value: Any) -> None:
    answer_is_a_scenario_or_sentences(TWO.read_text(encoding="utf-8"), f"{key}={json.dumps(value)}")


def answer_is_a_scenario_or_sentences(text: str, *overrides: str) -> None:
    try:
        scenario, mistakes = loads(text, overrides, source="f"), None
    except ScenarioError as error:
        scenario, mistakes = None, error.mistakes
    if scenario is not None:
        assert loads(dump(scenario)) == scenario
    else:
        assert mistakes
        assert all(mistake.startswith(("f:", "--set ")) for mistake in mistakes)


def test_new_that_would_meet_nobody_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"together: found 0, where no role has two learning seats.*above 0"):
        load("fang_xu_single", ["training.together=0"])
    with pytest.raises(ScenarioError, match=r"training\.together: found 0"):
        load("option_duel", ["training.together=0", "players.mm_1={kind: constant_spread}"])
    assert load("option_duel", ["training.together=0"]).training.together == 0


def test_a_promotion_is_the_test_unless_it_is_named() -> None:
    plain, named = (
        load("option_duel", [f"league.promotion={one}"]) for one in ("{every: 3}", "{kind: test, every: 3}")
    )
    assert plain == named
    assert plain.hash == named.hash
    assert loads(dump(plain)) == plain
    literal = load("option_duel_literal")
    assert literal.league.promotion.kind == "every_round"
    assert loads(dump(literal)) == literal
    for wrong, sentence in (
        ("{kind: never}", r"promotion\.kind: found 'never'; allowed is 'test', 'every_round'"),
        ("{evry: 3}", r"promotion\.evry: unknown key; allowed are .*did you mean 'every'"),
        ("{every: 0}", r"promotion\.every: found 0; allowed is 1 or more"),
        ("{kind: every_round, every: 3}", r"promotion\.every: unknown key; allowed are kind"),
    ):
        with pytest.raises(ScenarioError, match=sentence):
            load("option_duel", [f"league.promotion={wrong}"])
    with pytest.raises(ScenarioError, match=r"exploiters: found maker; allowed is none where every round replaces old"):
        load("option_duel_literal", ["league.exploiters={maker: {}}"])
