"""The page of a reproduced paper: what each figure must say (option_making section 6), and that it opens offline.

And the paper whose numbers are rows: what is missing is trained and played, what is there is used again.
"""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from arena import reproduce
from arena.markets.book.papers import row_files, rows

RUN = CliRunner()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    folder = tmp_path_factory.mktemp("reproduced")
    heard: list[str] = []
    path = reproduce.write("fang_xu", folder, heard.append)
    assert path == folder / "fang_xu.html"
    assert [re.search(r"[1-8].*?:", words)[0] for words in heard] == ["1:", "2 and 3:", "4 and 5:", "6:", "7 and 8:"]
    return path.read_text(encoding="utf-8"), json.loads((folder / "fang_xu.json").read_text(encoding="utf-8"))


def claims(numbers: dict, section: int) -> list[tuple[bool, bool]]:
    return [(one["correct"], one["labels"]) for one in numbers[f"figures {section}"]["claims"]]


def test_every_figure_has_its_verdict(page: tuple[str, dict]) -> None:
    _, numbers = page
    assert claims(numbers, 0) == [(True, True)] * 2
    assert claims(numbers, 1) == [(False, True), (False, True), (True, True), (True, False)]
    assert claims(numbers, 2) == [(False, True)] * 2
    assert claims(numbers, 3) == [(False, False), (False, False), (True, True)]
    assert claims(numbers, 4) == [(True, True), (False, False), (False, False)]


def test_the_curves_are_the_specification_s(page: tuple[str, dict]) -> None:
    _, numbers = page
    flat, bent, late, paths, pair = (numbers[f"figures {i}"] for i in range(5))
    assert flat["ask, start"] == pytest.approx([0.1] * 41, abs=1e-6)
    assert [bent["ask, start"][20 + q] for q in (-5, 0, 5)] == pytest.approx([0.10694, 0.10063, 0.09432], abs=5e-6)
    assert [bent["ask, later"][20 + q] for q in (-5, 0, 5)] == pytest.approx([0.11560, 0.10142, 0.08722], abs=5e-6)
    assert (late["ask"][0], late["bid"][0]) == pytest.approx((0.0565, 0.1439), abs=1e-4)
    assert max(abs(x) for x in paths["mean"]) < 1e-12
    assert [paths["std"][k] for k in (20, 40, 80, 100)] == pytest.approx([3.45, 4.30, 3.91, 2.38], abs=0.01)
    assert pair["C105 ask"] == pytest.approx([0.100969] * 21, abs=5e-7)


def test_the_page_stands_alone(page: tuple[str, dict]) -> None:
    html, _ = page
    assert html.count("<svg") == 16
    assert not re.search(r"(src|href)=\"(?!#)", html)  # nothing is fetched
    assert "python -m arena.reproduce fang_xu" in html
    assert "cannot happen" in html


def test_a_paper_that_is_not_there_is_a_sentence() -> None:
    app = typer.Typer()
    app.command()(reproduce.main)
    told = RUN.invoke(app, ["guo_jin"])
    assert told.exit_code == 2
    assert "paper: found 'guo_jin'; allowed are fang_xu, hawkes_book" in told.output


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(reproduce, "write", refuse)
    app = typer.Typer()
    app.command()(reproduce.main)
    told = RUN.invoke(app, ["fang_xu", "--out", str(tmp_path)])
    assert told.exit_code == 2
    assert "allowed is a folder that can be written" in told.output


# --- rows -------------------------------------------------------------------------------------------------------------

TINY = (
    "market.clock={unit: second, horizon: 2, steps: 20}", "market.warm_up=0", "market.observe.history=false",
    "training.iterations=1", "training.games=4", "training.block=4", "training.segment=10", "training.hidden=[4]",
    "training.minibatch=40", "training.epochs=1", "evaluation.games=2", "evaluation.tournament_games=2",
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Games of two seconds, four of them a seed, two seeds."""
    monkeypatch.setattr(rows, "JUDGING", (*rows.JUDGING, *TINY))
    monkeypatch.setattr(row_files, "FULL", {0: 4, 1: 4})
    monkeypatch.setattr(row_files, "QUICK", {0: 2})


def told(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(reproduce.main)
    done = RUN.invoke(app, list(words))
    return done.exit_code, done.output


def hawkes(folder: Path, *words: str) -> tuple[int, str]:
    where = ("--files", str(folder / "files"), "--runs", str(folder / "runs"), "--out", str(folder / "out"))
    return told("hawkes_book", *where, "--cores", "1", "--workers", "0", *words)


def test_rows_are_played_once_and_continue_from_their_files(tiny: None, tmp_path: Path) -> None:
    """A quick row, the whole one after it, and nothing to do the third time; then a source moves, then a byte."""
    code, text = hawkes(tmp_path, "--rows", "two_sided_exp", "--quick")
    assert code == 0, text
    path = tmp_path / "files" / "two_sided_exp.json"
    quick = json.loads(path.read_text())["seeds"]
    assert [(one["seed"], one["games"]) for one in quick] == [(0, 2)]
    assert "is begun: 0 of 2 seeds; to do: 0, 1" in hawkes(tmp_path, "--rows", "two_sided_exp", "--status")[1]
    assert hawkes(tmp_path, "--rows", "two_sided_exp,two_sided_pl")[0] == 0
    whole = path.read_bytes()
    assert [(one["seed"], one["games"]) for one in json.loads(whole)["seeds"]] == [(0, 4), (1, 4)]
    again = hawkes(tmp_path, "--rows", "two_sided_exp")[1]
    assert "is finished: 8 games of 2 seed(s)" in again
    assert "of 4 games" not in again
    assert path.read_bytes() == whole
    assert "two-sided quotes" in (tmp_path / "out" / "hawkes_book.html").read_text()
    assert "31.54 and 28.81 are told apart at 95 % by 20733 games of each" in again
    file = row_files.read(path.parent, "two_sided_exp")
    assert file is not None
    row_files.write(path.parent, file.model_copy(update={"sources_sha256": "older"}))
    assert "is stale (sources hash older.. is not" in hawkes(tmp_path, "--rows", "two_sided_exp", "--status")[1]
    assert hawkes(tmp_path, "--rows", "two_sided_exp")[0] == 0
    assert json.loads(path.read_text())["seeds"] == json.loads(whole)["seeds"]  # the same games, bit by bit
    path.write_text(path.read_text().replace('"fills": ', '"fills": 1'))
    code, text = hawkes(tmp_path, "--rows", "two_sided_exp")
    assert code == 2
    assert "two_sided_exp.json is damaged: its sha256 does not match its content; allowed is the file" in text


def test_what_rows_cannot_do_is_a_sentence(tmp_path: Path) -> None:
    code, text = hawkes(tmp_path, "--rows", "standard")
    assert code == 2
    assert "--rows: found 'standard'; allowed are standard_exp, standard_pl" in text
    code, text = told("fang_xu", "--quick")
    assert code == 2
    assert "fang_xu: it has no rows; --rows, --quick, --status and --files are for hawkes_book" in text
    assert "row no_spread_pl is not played yet" in hawkes(tmp_path, "--status")[1]


@pytest.mark.ray
def test_a_row_that_learns_is_trained_where_it_is_missing(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = hawkes(tmp_path, "--rows", "standard_exp", "--quick")
    assert code == 0, text
    file = row_files.read(tmp_path / "files", "standard_exp")
    assert file is not None
    assert file.seeds[0].weights_sha256 is not None
    (run,) = (tmp_path / "runs" / "hawkes_book" / "standard_exp" / "book_maker").iterdir()
    before = (run / "metrics.jsonl").stat().st_mtime_ns
    (tmp_path / "files" / "standard_exp.json").unlink()
    assert hawkes(tmp_path, "--rows", "standard_exp", "--quick")[0] == 0  # from the finished run
    again = row_files.read(tmp_path / "files", "standard_exp")
    assert again is not None
    assert again.seeds == file.seeds
    assert (run / "metrics.jsonl").stat().st_mtime_ns == before
    (tmp_path / "files" / "standard_exp.json").unlink()
    (run / "row.json").write_text('{"sources_sha256": "older"}')  # a run of other rules is no run of this row
    monkeypatch.setattr("arena.selfplay.train", lambda *_: False)  # stopped by Ctrl-C
    code, text = hawkes(tmp_path, "--rows", "standard_exp", "--quick")
    assert code == 1
    assert "stopped; the same command continues" in text
    assert len(list(run.parent.iterdir())) == 2
