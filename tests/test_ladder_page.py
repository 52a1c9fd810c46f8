"""The page of a ladder, on invented rungs of every state: whole, offline, and no wider than a phone."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from arena.pages import ladder
from arena.pages.ladder import rail, write
from tests.test_report import BROWSER, Page, browse


def results(value: float, width: float, bound: float, count: int = 5, below: bool = False) -> list[dict]:
    out = []
    for seed in range(count):
        here = value + 0.001 * seed
        holds = here + width <= bound if below else here - width >= bound
        out.append({"seed": seed, "value": here, "low": here - width, "high": here + width, "exact": width == 0.0,
                    "holds": holds, "n": 0 if width == 0.0 else 1000})  # fmt: skip
    return out


def check(kind: str, threshold: float, per_seed: list[dict], sign: str = "≥", **more: object) -> dict:
    held = all(one["holds"] for one in per_seed)
    words = {"kind": kind, "asked": {"kind": kind}, "threshold": threshold, "sign": sign, "stretch": None, "told": {}}
    return words | {"per_seed": per_seed, "passed": held, "stretch_passed": None, "marks": {}} | more


def row(name: str, state: str, *checks: dict, sentence: str = "", attempts: int = 1) -> dict:
    past = [{"utc": "2026-01-02T03:04:05+00:00", "seeds": [0, 1], "verdict": "failed: <b>score</b> .7"}] * attempts
    return {
        "name": name, "question": f"Can it {name}?", "scenario": f"a_{name}", "state": state, "words": state,
        "sentence": sentence, "seeds": [0, 1], "trained": [0], "checks": list(checks), "attempts": past,
        "planned": [{"kind": "score", "asked": "≥ 0.5"}], "started_from": {}, "judged": "", "seconds": 61.0,
        "reports": {0: "/runs/a/0/report.html", 1: "/runs/a/1/report.html"},
    }  # fmt: skip


GOOD = check(
    "score", 0.975, results(0.985, 0.004, 0.975), stretch=0.99, marks={"Whalley–Wilmott x 8": 0.9645, "one width": 0.3},
    asked={"base": {"kind": "delta_hedge"}, "reference": {"kind": "dp_hedger"}},
    told={"base": {"mean": -0.45, "se": 0.002, "exact": False},
          "reference": {"mean": -0.37, "se": 0.0, "exact": True}},
)  # fmt: skip
ROWS = [
    row("hedge", "passed", GOOD, check("deviation", 1.01, results(1.002, 0.001, 1.01, below=True), "≤")),
    row("pay", "failed", check("score", 0.98, results(0.97, 0.003, 0.98)), sentence="score .97", attempts=2),
    row("flow", "stale", GOOD, sentence="stale (source hash 12ab is not 34cd of today)"),
    row("train", "training", attempts=0),
    row("wait", "open", attempts=0),
    row("later", "closed", sentence="closed: gate train is missing", attempts=0),
    row("break", "damaged", sentence="damaged (its sha256 does not match its content)"),
    row("duel", "passed", check("value", 0.03, results(1.01, 0.0, 0.9), "within 1 ±")),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ladder"), "toys", "A ladder.", ROWS)


def test_every_rung_stands_there_with_its_state_from_the_ground_up(page: Path) -> None:
    seen = Page(page.read_text(encoding="utf-8"))
    assert "Phases passed: 2 of 8; next: pay" in seen.text
    names = [one["name"] for one in ROWS]
    assert re.findall(r"\d · (\w+)", seen.text) == names[::-1]
    for one in ROWS:
        assert one["question"] in seen.text
        assert one["sentence"] in seen.text
    assert "5 of 5 seeds ✓" in seen.text
    assert "2 attempts judged" in seen.text
    assert "base delta_hedge −0.45 ± 0.0020; reference dp_hedger −0.37" in seen.text
    assert seen.tags.count("svg") == sum(len(one["checks"]) for one in ROWS)
    assert not re.search(r"\bnan\b|\binf\b|None|Traceback", seen.text)
    told = json.loads((page.parent / "ladder.json").read_text())
    assert [one["name"] for one in told["phases"]] == names
    assert told["phases"][0]["checks"][0]["per_seed"][4]["low"] == pytest.approx(0.985)


def test_it_fetches_nothing_and_escapes_what_it_is_told(page: Path) -> None:
    html, seen = page.read_text(encoding="utf-8"), Page(page.read_text(encoding="utf-8"))
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert not {"script", "img", "link"} & set(seen.tags)
    assert "&lt;b&gt;score&lt;/b&gt;" in html
    links = [value for name, value in seen.attributes if name == "href"]
    assert all(link.startswith(("#", "../")) for link in links)
    assert write(page.parent, "toys", "A ladder.", ROWS).read_text(encoding="utf-8") == html


def test_dots_gate_and_marks_stand_where_their_numbers_say() -> None:
    svg = rail(GOOD)
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
    assert len(dots) == 5
    assert dots == sorted(dots)
    steps = [b - a for a, b in pairwise(dots)]
    assert max(steps) - min(steps) < 0.2
    gate, stretch = (float(x) for x in re.findall(r'<path d="M([\d.]+) 6\.0V', svg))
    assert (dots[0] - gate) / (stretch - gate) == pytest.approx((0.985 - 0.975) / 0.015, abs=0.01)
    assert "Whalley–Wilmott x 8 0.9645" in svg
    assert "← base 0, one width 0.3" in svg
    failed = rail(check("score", 0.98, results(0.97, 0.003, 0.98)))
    assert failed.count('fill="#fff" stroke=') == 5  # hollow: the gate is not held
    endless = rail(
        check("deviation", 1.01, [{**results(1.0, 0.0, 1.01)[0], "high": float("inf"), "exact": False}], "≤")
    )
    assert "inf" not in endless
    assert set(ladder.SIGNS) == set(ladder.COLOURS)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_draws_it_on_desk_and_phone(page: Path, tmp_path: Path) -> None:
    told = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    tell = "<script>onload = () => parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
    (tmp_path / "copy.html").write_text(told.replace("</body>", tell + "</body>"), encoding="utf-8")
    hear = "<script>onmessage = e => {document.title = 'width ' + e.data}</script>"
    (tmp_path / "frame.html").write_text(f"{hear}<iframe width=390 height=800 src=copy.html></iframe>")
    address = (tmp_path / "frame.html").as_uri()
    found: subprocess.CompletedProcess = browse(tmp_path, "--virtual-time-budget=5000", "--dump-dom", address)
    assert int(re.search(r"<title>width (\d+)", found.stdout).group(1)) <= 390
