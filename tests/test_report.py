"""The report page on an invented run folder: complete, offline, tolerant of missing parts, and drawn by a real browser.

The games are real games at random actions; everything else in the folder is invented here, and nothing is a result.
"""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from arena import report
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.pages import charts
from arena.pages.charts import Series
from arena.runs.record import record, write_record
from arena.scenario import dump, loads

SCENARIO = """
schema_version: 1
name: invented_game
market:
  clock: {steps: 20}
  products:
    - {name: C100, right: call, strike: 100, expiry: 63}
    - {name: P95, right: put, strike: 95, expiry: 63}
  flow: {rule: {kind: soft_best, fill_decay: 10, sharpness: 50}}
  executors:
    - {product: C100, size: 30, rate: [0, 120], temporary_impact: .002, running_penalty: .01, terminal_penalty: .2}
"""
PARTS = ["scenario.resolved.yaml", "provenance.json", "metrics.jsonl", "nash_gap.jsonl", "payoff.json", "ratings.json",
         "curves.json", "theory.json", "episodes"]  # fmt: skip
VOID = {"meta", "path", "rect", "circle", "br"}


def games(market: DealerMarket, trader: str, eagerness: float) -> None:
    """Sixty-four games on common seeds; the trader's mean action is all that differs between line-ups."""
    game, rng = Game(market, 64), np.random.default_rng(5)
    game.reset(np.arange(64, dtype=np.uint64))
    trace = [game.state.copy()]
    while not game.done:
        maker = rng.normal(-0.6, 0.1, game.action["maker"].shape)
        game.step({"maker": maker, "executor": np.full(game.action["executor"].shape, eagerness)})
        trace.append(game.state.copy())
    players = {"mm_0": "learned", "mm_1": "learned", "trader_0": trader}
    return record(market, np.array(trace), players, "final" if trader == "learned" else trader)


def panel(title: str, x_label: str, y_label: str, x: np.ndarray, curves: dict[str, np.ndarray]) -> dict:
    series = [{"name": name, "y": y.tolist()} for name, y in curves.items()]
    words = {"title": title, "x_label": x_label, "y_label": y_label, "caption": "Invented."}
    return {**words, "x": x.tolist(), "series": series}


def invent(folder: Path, seed: int = 1, iterations: int = 60) -> Path:
    """Write a whole run folder."""
    rng, scenario = np.random.default_rng(seed), loads(SCENARIO)
    folder.mkdir(parents=True)
    for trader, eagerness in (("learned", -0.2), ("twap", -0.5), ("almgren_chriss", -0.4)):
        write_record(games(scenario.market, trader, eagerness), folder / "episodes")
    (folder / "scenario.resolved.yaml").write_text(dump(scenario))
    told = {
        "argv": ["python", "-m", "arena.selfplay", "scenarios/invented_game.yaml", "--seed", str(seed)], "seed": seed,
        "git": {"commit": "0123abc" * 5, "changed": False}, "started": "2026-01-02T03:04:05+00:00",
        "scenario_hash": scenario.hash, "run_version": 1, "versions": {"python": "3.11.2", "numpy": "2.4.6"},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(told))
    lines = []
    for i in range(1, iterations + 1):
        done = 1.0 - np.exp(-i / 12)
        line = {
            "iteration": i,
            "wall_s": 3.1 * i,
            "agent_steps": 76_800 * i,
            "agent_steps_per_s": 61_000.0,
            "league_size": 2 + i // 10,
            "alarms": ["critic of maker: explained variance ≤ 0"] if 3 <= i <= 5 else [],
        }
        for role, end in (("maker", 6.0), ("executor", -4.0)):
            line |= {f"return/{role}": end - 5 * (1 - done) + 0.2 * rng.standard_normal(), f"gain_se/{role}": 0.05,
                     f"gain/{role}": 2 * (1 - done) + 0.05 * rng.standard_normal(), f"std/{role}": 0.5 - 0.4 * done,
                     f"explained_variance/{role}": 0.9 * done - 0.05, f"entropy/{role}": 1.4 - 2 * done,
                     f"kl/{role}": 0.01 + 0.002 * rng.random()}  # fmt: skip
        lines.append(line)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    gaps = []
    for i in range(0, iterations + 1, 10):
        gain = {
            "mm_0": 1.6 * np.exp(-i / 12) + 0.02,
            "mm_1": 1.5 * np.exp(-i / 12) + 0.03,
            "trader_0": 0.5 * np.exp(-i / 9),
        }
        seats = [{"seat": s, "gain": g, "se": 0.02, "low": g - 0.052, "high": g + 0.052, "kind": "lower bound",
                  "engine": "fresh responder 2 of 3"} for s, g in gain.items()]  # fmt: skip
        total = sum(gain.values())
        share = {"naive_nashconv": 3.8, "relative": total / 3.8, "relative_high": (total + 0.09) / 3.8}
        share |= {"nashconv": total, "low": total - 0.09, "high": total + 0.09}
        gaps.append({"iteration": i, "seats": seats, **share})
    # the last line is cut off, as a kill in the middle of a write leaves it
    (folder / "nash_gap.jsonl").write_text("".join(json.dumps(gap) + "\n" for gap in gaps) + '{"iteration": 70, "nashc')
    makers, traders = ["maker-6", "maker-3", "maker-0", "avellaneda_stoikov", "constant_spread"], ["executor-5", "twap"]
    mean = {"maker": rng.normal(2.0, 2.0, (5, 5, 2)), "executor": rng.normal(-5.0, 1.0, (5, 5, 2))}
    payoff = {
        "roles": ["maker", "maker", "executor"],
        "members": {"maker": makers, "executor": traders},
        "games": 512,
        "mean": {k: v.tolist() for k, v in mean.items()},
        "se": {k: np.full((5, 5, 2), 0.07).tolist() for k in mean},
    }
    (folder / "payoff.json").write_text(json.dumps(payoff))
    ratings = {
        role: [
            {"member": name, "rating": 2.0 - i, "sigma": 0.2, "low": 1.5 - i, "high": 2.5 - i, "games": 512}
            for i, name in enumerate(names)
        ]
        for role, names in (("maker", makers), ("executor", traders))
    }
    (folder / "ratings.json").write_text(json.dumps(ratings))
    q, t = np.arange(-15.0, 16.0), np.linspace(0.0, 1.0, 21)
    quotes = {
        "learned ask": 0.06 - 0.003 * q,
        "learned bid": 0.06 + 0.003 * q,
        "Avellaneda–Stoikov ask": 0.08 - 0.002 * q,
        "Avellaneda–Stoikov bid": 0.08 + 0.002 * q,
    }
    halves = {"learned": 0.05 + 0.01 * t, "Avellaneda–Stoikov": 0.07 - 0.01 * t}
    panels = [
        panel("Quotes of C100 against inventory", "own inventory (lots)", "distance from the mid, $", q, quotes),
        panel("Half-spread of C100 over time", "time (days)", "half-spread, $", t, halves),
    ]
    (folder / "curves.json").write_text(json.dumps({"panels": panels}))
    held = panel("Inventory of mm_0", "time (days)", "lots", t, {"learned": 1 - t, "equilibrium": 1 - 0.95 * t})
    held["series"][0] |= {"low": (0.9 - t).tolist(), "high": (1.1 - t).tolist()}
    lines = [
        {"iteration": i, "exact": 3 * f, "learned": 2.8 * f, "learned_low": 2.7 * f, "learned_high": 2.9 * f}
        for i in range(0, 61, 10)
        for f in [np.exp(-i / 12)]
    ]
    theory = {"sentence": "This game has a known equilibrium.", "panels": [held], "gap": lines}
    (folder / "theory.json").write_text(json.dumps(theory))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = invent(tmp_path_factory.mktemp("runs") / "invented_game" / "20260102T030405Z-1")
    report.write(folder)
    return folder


class Page(HTMLParser):
    """Checks nesting and keeps text, tags and every attribute."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_whole_and_says_the_headline(run: Path) -> None:
    page = page_of(run)
    last = json.loads((run / "nash_gap.jsonl").read_text().splitlines()[-2])
    assert f"Best responses gain ${charts.number(last['nashconv'])} per game in sum" in page.text
    assert "99 % interval" in page.text
    assert "a lower bound" in page.text
    for heading in ("How far from equilibrium", "Against theory", "Who beats whom", "Ratings",
                    "What the makers learned to quote", "Where the money came from", "Who paid whom",
                    "What a fill is worth later", "Cost of executing", "How the learning went",
                    "Reproduce it"):  # fmt: skip
        assert heading in page.text
    assert "explained variance ≤ 0 (3 times, iterations 3 to 5)" in page.text
    assert page.tags.count("svg") >= 24
    assert not re.search(r"\bnan\b|\binf\b|None|Traceback|unexpected form", page.text)


def test_the_page_fetches_nothing_and_is_small(run: Path) -> None:
    html = (run / "report.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 1_500_000
    assert "http" not in html.replace("http-equiv", "")
    names = {name for name, _ in page_of(run).attributes}
    assert not names & {"src", "srcset", "onload", "onclick"}
    assert all(value.startswith("#") for name, value in page_of(run).attributes if name == "href")
    assert "script" not in page_of(run).tags
    assert "url(" not in html


def test_the_same_folder_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    again = shutil.copytree(run, tmp_path / run.parent.name / run.name)
    (again / "report.html").unlink()
    report.write(again)
    assert (again / "report.html").read_bytes() == (run / "report.html").read_bytes()


def test_numbers_of_the_page_are_in_the_json(run: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    told = json.loads((run / "report.json").read_text(), parse_constant=refuse)
    assert told["schema_version"] == 1
    assert told["headline"]["kind"] == "lower bound"
    assert told["attribution"]["mm_0"]["largest_error"] < 1e-9
    assert abs(np.sum(told["transfers"]["mean"])) < 1e-9
    assert {row["other"] for row in told["versus"]} == {"twap", "almgren_chriss"}
    assert told["spreads"]["competition"]["nash"] == pytest.approx(1 / 30)
    kept = {row["player"]: row for row in told["execution"]}
    paired = kept["twap"]["final_less_this"]["mean"]
    assert paired == pytest.approx(kept["learned"]["cost"]["mean"] - kept["twap"]["cost"]["mean"])


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_gives_a_sentence(run: Path, part: str, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(folder / part) if part == "episodes" else (folder / part).unlink()
    report.write(folder)
    text = page_of(folder).text
    sentences = {
        "scenario.resolved.yaml": "scenario.resolved.yaml is missing", "provenance.json": "command was not recorded",
        "metrics.jsonl": "No training iterations were recorded", "nash_gap.jsonl": "No Nash gap was measured",
        "payoff.json": "No tournament was played", "ratings.json": "No ratings were computed",
        "curves.json": "No quote curves were saved", "episodes": "No games of the final profile were saved",
    }  # fmt: skip
    if part in sentences:
        assert sentences[part] in text
    else:
        assert "Against theory" not in text


@pytest.mark.parametrize("part", [name for name in PARTS if "." in name])
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00{[", b"[1, 2]", b'{"panels": [{}], "roles": 3, "maker": [{}]}'])
def test_a_damaged_part_never_stops_the_page(run: Path, part: str, damage: bytes, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("episodes"))
    (folder / part).write_bytes(damage)
    report.write(folder)
    assert "Reproduce it" in page_of(folder).text


def test_a_damaged_games_file_and_an_empty_folder(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "episodes" / "part-final.parquet").write_bytes(b"PAR1")
    report.write(folder)
    assert "part-final.parquet: not a file of played games" in page_of(folder).text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert page_of(report.write(empty).parent).tags.count("svg") == 0


def test_text_from_files_is_escaped(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("episodes"))
    (folder / "metrics.jsonl").write_text(json.dumps({"iteration": 1, "alarms": ["<script>alert(1)</script>"]}) + "\n")
    (folder / "ratings.json").write_text(json.dumps({"maker": [{"member": "<b>&", "rating": 1.0}]}))
    report.write(folder)
    assert not {"script", "b"} & set(page_of(folder).tags)


def test_several_runs_on_one_page(run: Path, tmp_path: Path) -> None:
    runs = [run, invent(tmp_path / "invented_game" / "20260102T030405Z-2", seed=2, iterations=50)]
    (tmp_path / "bare").mkdir()
    page = page_of(report.write_aggregate([*runs, tmp_path / "bare"], tmp_path / "all").parent)
    told = json.loads((tmp_path / "all" / "report.json").read_text())
    assert "3 runs of" in page.text
    assert [row["seed"] for row in told["every_run"]] == ["1", "2", "–"]
    assert len(told["paired"]) == 4
    assert "2 of 2" in page.text or "0 of 2" in page.text
    with pytest.raises(ValueError, match="no runs"):
        report.write_aggregate([], tmp_path / "none")


def test_the_command_answers_and_refuses(run: Path, tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    app = typer.Typer()
    app.command()(report.main)
    assert CliRunner().invoke(app, [str(run)]).stdout.strip().endswith("report.html")
    refused = CliRunner().invoke(app, [str(tmp_path / "nowhere")])
    assert refused.exit_code == 2
    assert "no such run folder" in refused.output


def test_ticks_are_round_and_inside() -> None:
    for low, high in ((0.0, 1.0), (-3.7, 12.2), (0.00012, 0.00019), (-1e6, 5e6)):
        at = charts.ticks(low, high)
        assert 2 <= len(at) <= 8
        assert all(low - 1e-12 <= value <= high + 1e-12 for value in at)


def test_a_curve_goes_where_the_numbers_say_and_skips_what_is_not_finite() -> None:
    svg = charts.lines([0, 1, 2, 3], [Series("a", [0.0, 1.0, np.nan, 1.0])], title="t", x_label="x", y_label="y")
    path = re.search(r'<path d="(M[^"]*)" fill="none"', svg).group(1)
    moves = re.findall(r"([ML])([\d.]+) ([\d.]+)", path)
    assert [pen for pen, *_ in moves] == ["M", "L", "M"]
    x, y = np.array([[float(a), float(b)] for _, a, b in moves]).T
    assert y[0] > y[1] == y[2]
    assert x[2] - x[0] == pytest.approx(3 * (x[1] - x[0]), abs=0.2)
    assert "no finite values" in charts.lines(
        [0, 1], [Series("a", [np.nan, np.inf])], title="t", x_label="x", y_label="y"
    )


def test_series_differ_without_colour() -> None:
    series = [Series(f"s{i}", [0.0, float(i)]) for i in range(6)]
    svg = charts.lines([0, 1], series, title="t", x_label="x", y_label="y")
    dashes = re.findall(r'stroke-width="2.2" stroke-dasharray="([^"]*)"', svg)
    assert len(set(dashes)) == 6


def test_numbers_for_people() -> None:
    shown = {0.0: "0", 1234.5: "1,234", -0.01234: "−0.0123", 1e-9: "1.00e−09", float("nan"): "–", 99.96: "100.0"}
    assert {value: charts.number(value) for value in shown if value == value} == {
        k: v for k, v in shown.items() if k == k
    }
    assert charts.number(float("nan")) == "–"
    assert charts.shade(0.0, 1.0) == "#ffffff"
    assert charts.shade(1.0, 1.0) != charts.shade(-1.0, 1.0)


BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def browse(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess:
    quiet = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    )
    return subprocess.run([BROWSER, *quiet, *arguments], capture_output=True, text=True, timeout=250, check=True)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_draws_it_on_desk_phone_and_paper(run: Path, tmp_path: Path) -> None:
    address = (run / "report.html").as_uri()
    dom = browse(tmp_path, "--dump-dom", address).stdout
    assert dom.count("<svg") == page_of(run).tags.count("svg")
    # On a phone the page itself must not scroll sideways: a copy tells a frame 390 wide how wide it needs to be.
    told = re.sub(r"<meta http-equiv[^>]*>", "", (run / "report.html").read_text(encoding="utf-8"))
    tell = "<script>onload = () => parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
    (tmp_path / "copy.html").write_text(told.replace("</body>", tell + "</body>"), encoding="utf-8")
    hear = "<script>onmessage = e => {document.title = 'width ' + e.data}</script>"
    (tmp_path / "frame.html").write_text(f"{hear}<iframe width=390 height=800 src=copy.html></iframe>")
    dom = browse(tmp_path, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "frame.html").as_uri()).stdout
    assert int(re.search(r"<title>width (\d+)", dom).group(1)) <= 390
    for name, size in (("desk", "1280,1600"), ("narrow", "500,1600")):
        picture = tmp_path / f"{name}.png"
        browse(tmp_path, f"--screenshot={picture}", f"--window-size={size}", "--hide-scrollbars", address)
        assert picture.stat().st_size > 40_000
    browse(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", address)
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
