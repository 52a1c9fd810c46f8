"""Judging from the command line: a scripted line-up, stored policies, several runs, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agents.makers import ConstantSpread
from agents.network import Network
from arena.evaluate import _guarded, main
from arena.judge import compare, final_networks, profile_of
from arena.league import snapshot
from arena.league.snapshot import Member, SnapshotError
from arena.runs.run_folder import RunFolder
from arena.scenario import Scenario, loads

SCENARIO = """
schema_version: 1
name: little_game
market:
  clock: {steps: 8}
  products: [{name: C100, right: call, strike: 100, expiry: 63}]
  flow: {rule: {kind: soft_best, fill_decay: 10, sharpness: 50}}
  executors: [{product: C100, size: 5, rate: [0, 20], temporary_impact: .002, terminal_penalty: .2}]
evaluation:
  {games: 64, responders: 1, warm_responders: 1, responder_iterations: 1, responder_games: 16, tournament_games: 16}
training: {hidden: [8]}
"""
SCRIPTED = ["players.mm_0.kind=constant_spread", "players.mm_1.kind=avellaneda_stoikov", "players.trader_0.kind=twap"]
QUICK = "evaluation.search=none"
FILES = [
    "payoff.json",
    "ratings.json",
    "nash_gap.jsonl",
    "comparisons.json",
    "curves.json",
    "report.html",
    "report.json",
]


def trained(folder: Path, seed: int, *changes: str) -> tuple[RunFolder, Scenario]:
    """A run folder with policies that never trained, and a league of two makers and a trader."""
    from arena.training.prior import priors

    scenario = loads(SCENARIO, [f"training.seed={seed}", *changes])
    run = RunFolder.create(folder, scenario, ["test"])
    frames = priors(scenario.market)
    for role in scenario.market.roles:
        for i, place in enumerate(("league", "league", "profile")):
            network = Network(role.observation, frames[role.name], hidden=(8,), seed=100 * seed + i)
            weights = {k: np.array(v) for k, v in network.weights().items()}
            member = Member(f"{role.name}-{i:05d}", role.name, i, scenario.hash, weights)
            snapshot.write(run.path / place, member)
    return run, scenario


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run, _ = trained(tmp_path_factory.mktemp("runs"), 1)
    assert _guarded([str(run.path)], run.path.parent, 1, False, []) == 0
    return run


def test_a_run_is_judged_from_its_folder(judged: RunFolder) -> None:
    assert all((judged.path / name).is_file() for name in FILES)
    line = judged.lines("nash_gap.jsonl")[-1]
    assert [seat["seat"] for seat in line["seats"]] == ["mm_0", "mm_1", "trader_0"]
    tried = {"fresh responder 1", "warm responder 1", "constant shift", "affine shift"}
    assert tried < set(line["seats"][0]["candidates"])
    assert "almgren_chriss" in line["seats"][2]["candidates"]
    assert line["nashconv"] == pytest.approx(sum(max(seat["gain"], 0.0) for seat in line["seats"]))
    assert line["low"] <= line["nashconv"] <= line["high"]
    payoff = json.loads((judged.path / "payoff.json").read_text())
    assert payoff["members"]["maker"][:3] == ["final", "maker-00001", "maker-00000"]
    assert "avellaneda_stoikov" in payoff["members"]["maker"]
    told = json.loads((judged.path / "comparisons.json").read_text())
    rivals = {"mm_0": ("avellaneda_stoikov", "constant_spread"), "trader_0": ("twap", "almgren_chriss")}
    expected = {(seat, name) for seat, names in rivals.items() for name in names}
    assert {(row["seat"], row["other"]) for row in told["rows"]} == expected
    assert len(told["targets"]) >= 3
    parts = sorted(path.name for path in (judged.path / "episodes").iterdir())
    assert "part-final.parquet" in parts
    assert "part-trader_0-twap.parquet" in parts
    assert "No games of the final profile" not in (judged.path / "report.html").read_text()


def test_judging_again_gives_the_same_numbers(judged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (judged.path / name).read_bytes() for name in FILES[:5]}
    assert _guarded([str(judged.path)], judged.path.parent, 2, False, []) == 0  # two threads do not change them either
    assert {name: (judged.path / name).read_bytes() for name in FILES[:5]} == before
    assert "NashConv" in capsys.readouterr().out


def test_the_final_policies_come_from_profile_then_from_the_league(tmp_path: Path) -> None:
    run, scenario = trained(tmp_path, 2)
    stored = snapshot.read(run.path / "profile", "maker-00002").weights
    assert snapshot.digest(final_networks(run.path, scenario)["maker"]) == snapshot.digest(stored)
    for path in (run.path / "profile").iterdir():
        path.unlink()
    newest = snapshot.read(run.path / "league", "maker-00001").weights
    assert snapshot.digest(final_networks(run.path, scenario)["maker"]) == snapshot.digest(newest)
    for path in (run.path / "league").iterdir():
        path.unlink()
    with pytest.raises(SnapshotError, match="no trained maker"):
        final_networks(run.path, scenario)


def test_a_policy_of_another_market_is_refused(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, 5)
    other = loads(SCENARIO, ["market.makers.observe.rivals=none"])
    with pytest.raises(ValueError, match=r"maker: its policy sees \d+ and moves 2 columns; this market has \d+ and 2"):
        profile_of(other, final_networks(run.path, other))


def test_a_scripted_line_up_is_judged_without_training(tmp_path: Path) -> None:
    file = tmp_path / "little.yaml"
    file.write_text(SCENARIO)
    assert _guarded([str(file)], tmp_path / "runs", 1, False, [*SCRIPTED, QUICK]) == 0
    (folder,) = (tmp_path / "runs" / "little_game").iterdir()
    assert all((folder / name).is_file() for name in FILES)
    told = json.loads((folder / "comparisons.json").read_text())
    assert told["targets"] == []  # nobody learned, so there is nothing to reach
    makers = json.loads((folder / "payoff.json").read_text())["members"]["maker"]
    assert makers[:2] == ["constant_spread", "avellaneda_stoikov"]


def test_several_runs_make_one_page(judged: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, _ = trained(tmp_path, 3, QUICK)
    assert _guarded([str(judged.path), str(other.path)], tmp_path / "out", 1, False, []) == 0
    page = Path(capsys.readouterr().out.splitlines()[-1])
    assert page == tmp_path / "out" / "compared" / "little_game" / "report.html"
    assert other.path.name in page.read_text()


def test_comparisons_alone_keep_the_gap(judged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before, gaps = (judged.path / "comparisons.json").read_text(), (judged.path / "nash_gap.jsonl").read_text()
    (judged.path / "comparisons.json").unlink()
    assert _guarded([str(judged.path)], judged.path, 1, False, [], comparisons=True) == 0
    assert (judged.path / "comparisons.json").read_text() == before
    assert (judged.path / "nash_gap.jsonl").read_text() == gaps
    assert "over twap" in capsys.readouterr().out


def test_a_target_is_missed_where_only_the_mean_reaches_it(tmp_path: Path) -> None:
    """Each is judged at the worse end of its interval. Rivals are hardly worse, or worse by a noise of their own."""
    run, scenario = trained(tmp_path, 4)
    profile = profile_of(scenario, final_networks(run.path, scenario))
    close, flat = (ConstantSpread(half_spread=half).sit(scenario.market, "mm_0") for half in (0.033, 0.3))
    trader = profile.acts["trader_0"]
    makers = {"avellaneda_stoikov": close, "constant_spread": flat, "hjb_maker": close}
    traders = dict.fromkeys(("almgren_chriss", "twap"), lambda seen, noise: trader(seen, noise) + 0.8 * noise)
    others = {("mm_0", name): act for name, act in makers.items()}
    told = compare(scenario, profile, others | {("trader_0", name): act for name, act in traders.items()}, None)
    rows = {row["other"]: row for row in told["rows"]}
    targets = {one["name"].split(",")[0]: one for one in told["targets"]}
    assert len(targets) == 4
    for name, (seat, other, interval) in {
        "mm_0 over avellaneda_stoikov in its seat": ("mm_0", "avellaneda_stoikov", rows["avellaneda_stoikov"]),
        "trader_0 over almgren_chriss in its seat": ("trader_0", "almgren_chriss", rows["almgren_chriss"]),
        "trader_0: share of twap's cost and penalties saved": ("trader_0", "twap", rows["twap"]["saving"]),
    }.items():
        assert (rows[other]["seat"], targets[name]["reached"]) == (seat, False)
        assert targets[name]["value"] == interval["low"] < targets[name]["bound"] < interval["mean"]
    own = rows["hjb_maker"]["mean_player"]
    worst, best = (rows[name]["mean_other"] for name in ("constant_spread", "hjb_maker"))
    way = targets["mm_0: share of the way from a constant spread to the optimum"]
    assert 0.95 < way["value"] < (own - worst) / (best - worst)  # the lower end, not the share of the means


def test_the_gap_s_target_is_judged_by_its_upper_bound(tmp_path: Path) -> None:
    run, scenario = trained(tmp_path, 4)
    profile = profile_of(scenario, final_networks(run.path, scenario))
    same = {("mm_0", "avellaneda_stoikov"): profile.acts["mm_0"]}
    for high, reached in ((0.049, True), (0.051, False)):
        told = compare(scenario, profile, same, high)
        assert told["targets"][0]["reached"] is reached
        assert told["rows"][0]["mean"] == 0.0  # a policy against itself on the same games


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (["nowhere.yaml"], "no such file"),
        (["two_mm_one_trader"], "mm_0, mm_1, trader_0 learn"),
        (["nowhere", "elsewhere"], "no such run folder"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_sentence(
    targets: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _guarded(targets, tmp_path, 1, False, []) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_an_empty_folder_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _guarded([str(tmp_path)], tmp_path, 1, False, []) == 2
    assert "missing" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, arena.evaluate; print(sorted({'torch', 'ray', 'numba', 'scipy', 'pandas'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    import typer

    app = typer.Typer()
    app.command()(main)
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
