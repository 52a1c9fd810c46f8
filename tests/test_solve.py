"""python -m arena.solve: tables, JSON and pictures of what theory knows, and sentences where it knows nothing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from arena import solve, theory
from arena.scenario import load
from arena.solve import _guarded

SOLVED = ["acas", "execution_game", "logistic_duel", "logistic_duel_poisson", "logistic_duel_time_only", "mean_field",
          "noise_factor"]  # fmt: skip


def printed(capsys, *arguments):
    code = _guarded(*arguments)
    caught = capsys.readouterr()
    return code, caught.out, caught.err


@pytest.mark.parametrize(
    ("name", "information"),
    [*((name, "open_loop") for name in SOLVED), ("logistic_duel", "feedback"), ("execution_game", "feedback")],
)
def test_json_holds_the_equilibrium(capsys, name, information):
    code, out, err = printed(capsys, name, information, True, None, [])
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"model", "information", "theorem", "conditions", "t", "players", "diagnostics"}
    assert found["information"] == information
    assert all(set(one) == {"name", "holds", "value", "needs"} for one in found["conditions"])
    assert all(isinstance(one["holds"], bool) for one in found["conditions"])
    market = load(name).market
    seats = [*market.maker_names, *market.executor_names]
    assert [player["name"] for player in found["players"]][: len(seats)] == seats
    assert found["t"] == pytest.approx(np.linspace(0, 1, 101))
    for player in found["players"]:
        controls = ("ask", "bid") if player["role"] == "maker" else ("rate",)
        assert np.isfinite(player["objective"])
        for key in ("inventory", *controls):
            assert len(player[key]) == 101
            assert np.isfinite(player[key]).all()
    failing = [one["name"] for one in found["conditions"] if one["name"].startswith("market") and not one["holds"]]
    assert not failing  # shipped ranges hold the equilibrium


def test_tables_and_pictures(capsys, tmp_path):
    for suffix in solve.PICTURES:
        code, out, _ = printed(capsys, "execution_game", "open_loop", False, tmp_path / f"paths{suffix}", [])
        assert code == 0
        assert (tmp_path / f"paths{suffix}").stat().st_size > 2000
    for words in ("execution, open loop Nash equilibrium; theorem: Theorem 2.7 (2)", "trader_0", "-21.3797", "28.7435",
                  "Conditions"):  # fmt: skip
        assert words in out
    changed = printed(capsys, "execution_game", "open_loop", False, None, ["market.mark.impact=0"])
    assert "Theorem 2.7 (1)" in changed[1]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("two_mm_one_trader", "open_loop", False, None, []), 1, "no equilibrium is known for this market: it quotes"),
        (("toxic_flow", "open_loop", True, None, []), 1, "no equilibrium is known"),
        (("nowhere", "open_loop", False, None, []), 2, "nowhere: no such file; allowed is a YAML file"),
        (("acas", "closed_loop", False, None, []), 2, "--information: found 'closed_loop'; allowed are open_loop, "),
        (("acas", "open_loop", False, "x.txt", []), 2, "--plot: found x.txt; allowed are files that end in .png"),
        (("acas", "open_loop", False, "/nowhere/at/all.png", []), 2, "cannot be written"),
        (("acas", "feedback", False, None, []), 1, "the solver finds no feedback equilibrium"),
        (("acas", "open_loop", False, None, ["market.flow.arrival_rate={noise_buy: sin(x)}"]), 2, "found 'x' in the"),
    ],
)  # fmt: skip
def test_no_answer_is_a_sentence_and_an_exit_code(capsys, arguments, code, sentence):
    name, information, as_json, plot, changes = arguments
    found = printed(capsys, name, information, as_json, Path(plot) if plot else None, changes)
    assert found[0] == code
    assert found[1] == ""
    assert sentence in found[2]
    assert "Traceback" not in found[2]


def test_expressions_tables_and_numbers_mean_the_same_coefficient(capsys):
    def objectives(value):
        changes = [f"market.flow.arrival_rate.noise_buy={value}"]
        found = json.loads(printed(capsys, "acas", "open_loop", True, None, changes)[1])
        return [player["objective"] for player in found["players"]]

    np.testing.assert_allclose(objectives('"3 + 0*t"'), objectives("3"), rtol=1e-8)
    np.testing.assert_allclose(objectives('"2 + 2*t"'), objectives("{t: [0, 1], value: [2, 4]}"), rtol=1e-7)
    assert objectives('"2 + 2*t"')[0] != pytest.approx(objectives("3")[0], abs=1e-3)


def test_the_command_line_is_read_and_answers_quickly():
    result = CliRunner().invoke(typer_app(), ["execution_game", "--information", "feedback", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["information"] == "feedback"
    program = (
        "import resource, runpy, sys\nsys.argv = ['arena.solve', '--help']\n"
        "try:\n    runpy.run_module('arena.solve', run_name='__main__')\nexcept SystemExit:\n    pass\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\nprint('took', used.ru_utime + used.ru_stime)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Print what theory says" in run.stdout
    assert float(run.stdout.split("took")[1]) < 1.0  # processor time


def typer_app():
    import typer

    app = typer.Typer()
    app.command()(solve.main)
    return app


def test_an_unknown_information_is_an_error_of_the_caller():
    with pytest.raises(ValueError, match="information: found 'both'; allowed are open_loop, feedback"):
        theory.answer(load("acas").market, "both")


@pytest.mark.parametrize(
    ("name", "information", "note"),
    [
        ("logistic_duel", "open_loop", "players of this scenario see inventories"),
        ("logistic_duel", "feedback", ""),
        ("logistic_duel_time_only", "open_loop", ""),
        ("logistic_duel_time_only", "feedback", "players of this scenario see no inventory"),
        ("noise_factor", "open_loop", ""),
    ],
)
def test_the_headline_says_where_players_would_end_up_elsewhere(name, information, note):
    lines = theory.answer(load(name).market, information).headline().splitlines()
    assert len(lines) == 1 + bool(note)
    assert lines[-1].startswith(note)
