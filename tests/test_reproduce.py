"""The page of a reproduced paper: what each figure must say (option_making section 6), and that it opens offline."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arena import reproduce

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
    import typer

    app = typer.Typer()
    app.command()(reproduce.main)
    told = RUN.invoke(app, ["guo_jin"])
    assert told.exit_code == 2
    assert "paper: found 'guo_jin'; allowed are fang_xu" in told.output


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    def refuse(*_: object) -> Path:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(reproduce, "write", refuse)
    app = typer.Typer()
    app.command()(reproduce.main)
    told = RUN.invoke(app, ["fang_xu", "--out", str(tmp_path)])
    assert told.exit_code == 2
    assert "allowed is a folder that can be written" in told.output
