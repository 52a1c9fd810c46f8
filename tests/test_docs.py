"""README and docs say what is true: links, files and names exist, commands parse, YAML loads, code runs."""

import ast
import importlib.util
import io
import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from arena.gates.settings import Curriculum
from arena.scenario import Scenario, load, loads, packaged

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("arena", "agents", "scenarios", "curricula", "tests", "docs", "benchmarks", "examples", "monitoring")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = (
    "arena.selfplay", "arena.evaluate", "arena.report", "arena.solve", "arena.calibrate", "arena.reproduce",
    "arena.curriculum",
)  # fmt: skip


def text_of(page: Path) -> str:
    """A page without its comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def prose_of(page: Path) -> str:
    return FENCE.sub("", text_of(page))


def blocks(language: str) -> list[Any]:
    """The fenced blocks of a language on all pages, named by page and number."""
    found = []
    for page in PAGES:
        own = [body for kind, body in FENCE.findall(text_of(page)) if kind == language]
        found += [pytest.param(body, id=f"{page.stem}-{i}") for i, body in enumerate(own)]
    return found


def anchors(page: Path) -> set[str]:
    """What a link may point at within a page: headings in lower case, words joined by hyphens, and named places."""
    heads = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    places = set(re.findall(r'<a id="([^"]+)"></a>', prose_of(page)))
    return places | {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `python -m ...` and `make ...` on all pages, as words; line ends and comments are cut off."""
    for page in PAGES:
        text = text_of(page)
        spans = [body for kind, body in FENCE.findall(text) if kind == "sh"]
        spans += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
        spans += re.findall(r"^    (\S.*)$", FENCE.sub("", text), re.MULTILINE)
        for line in "\n".join(spans).splitlines():
            for part in re.split(r"&&|;", line):
                found = re.search(r"(?:python3?|\.venv/bin/python) -m \S+.*|^(?:\w+=\S+ )*make(?: .*|$)", part.strip())
                if found:
                    yield page.name, shlex.split(found[0], comments=True)


PYTHON = sorted({(page, tuple(words[2:])) for page, words in shell_lines() if "python" in words[0]})
MAKE = sorted({(page, tuple(words)) for page, words in shell_lines() if "make" in words})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name} links to {link}, which does not exist"
            assert not anchor or anchor in anchors(target), f"{page.name} links to {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`([\w./-]+)`", prose_of(page)):
        if name.split("/")[0] in FOLDERS and "/" in name:
            assert (ROOT / name).exists(), f"{page.name} names {name}, which does not exist"
        elif re.fullmatch(r"[\w/]+\.py", name):
            assert len(files_called(name)) == 1, f"{page.name} names {name}; found {files_called(name)}, allowed is one"


def files_called(name: str) -> list[Path]:
    """The source files whose path ends like this: `quoting/price.py` names one of them."""
    return [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if f"/{path}".endswith(f"/{name}")]


def test_the_rooms_list_every_module_and_no_other() -> None:
    """The drawing of the house: a line `folder/  module module …` for every folder, indented as it lies."""
    rooms = next(body for _, body in FENCE.findall(text_of(ROOT / "docs" / "design.md")) if body.startswith("arena/"))
    named, stack = set(), []
    for line in rooms.splitlines():
        found = re.match(r"( *)([\w/]+)/ +(.*)", line)
        if found:
            depth = len(found[1]) // 2
            stack = [*stack[:depth], found[2]]
            line = found[3]
        named |= {"/".join([*stack, word]) + ".py" for word in re.findall(r"[A-Za-z_]\w*", line.split("  #")[0])}
    there = {
        str(path.relative_to(ROOT))
        for folder in ("arena", "agents")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    missing, gone = sorted(there - named), sorted(named - there)
    assert not missing, f"docs/design.md: add {', '.join(missing)} to the rooms"
    assert not gone, f"docs/design.md: {', '.join(gone)} left the house"


def table_rows(page: Path) -> Iterator[list[str]]:
    for line in prose_of(page).splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("model*.md")), ids=lambda page: page.stem)
def test_names_stand_in_the_files_beside_them(page: Path) -> None:
    """Tables `equation | name | file`: every name is defined or used in one of the row's files."""
    checked = 0
    for _, names, where in (row for row in table_rows(page) if len(row) == 3):
        files = re.findall(r"`([\w/]+\.py)`", where)
        if not files or "tests/" in where:
            continue
        code = "\n".join(path.read_text(encoding="utf-8") for name in files for path in files_called(name))
        for name in re.findall(r"`([A-Za-z_][\w.]*)", names):
            last = name.split(".")[-1]
            assert re.search(rf"\b{last}\b", code), f"{page.name}: {name} is not in {', '.join(files)}"
            checked += 1
    assert checked >= 20


def test_every_column_of_the_dealer_market_is_in_the_tables() -> None:
    words = set(re.findall(r"`(\w+)`", prose_of(ROOT / "docs" / "model.md")))
    for market in (load(name).market for name in packaged()):
        if market.model != "dealer":
            continue
        layouts = [market.state, *(one for role in market.roles for one in (role.observation, role.action))]
        fields = {field.name.split("[")[0] for layout in layouts for field in layout}
        assert fields <= words, f"docs/model.md: no row for {sorted(fields - words)}"


def test_every_column_of_the_hedging_market_is_on_its_page() -> None:
    words = set(re.findall(r"`(\w+)`", prose_of(ROOT / "docs" / "model_hedging.md")))
    markets = [load(name).market for name in packaged() if name.startswith("hedging")]
    assert len(markets) == 4
    for market in markets:
        layouts = [market.state, *(one for role in market.roles for one in (role.observation, role.action))]
        fields = {field.name for layout in layouts for field in layout}
        assert fields <= words, f"docs/model_hedging.md: no word for {sorted(fields - words)}"


def test_every_flow_rule_hedge_and_risk_is_in_the_tables() -> None:
    schema = load("two_mm_one_trader").market.model_json_schema()["$defs"]
    kinds = {one["properties"]["kind"]["const"] for one in schema.values() if "kind" in one.get("properties", {})}
    words = set(re.findall(r"`(\w+)`", prose_of(ROOT / "docs" / "model.md")))
    assert len(kinds) >= 14
    assert kinds <= words, f"docs/model.md: no row for {sorted(kinds - words)}"


def settings_of(words: tuple[str, ...]) -> list[str]:
    return [word for option, word in pairwise(words) if option == "--set"]


@pytest.mark.parametrize(("page", "words"), PYTHON, ids=lambda x: " ".join(x)[:60] if isinstance(x, tuple) else x)
def test_commands_parse(page: str, words: tuple[str, ...]) -> None:
    """Our own commands: options exist, values have the right type, the scenario and its changes load."""
    module, *arguments = words
    if not module.startswith(("arena", "agents")):
        assert importlib.util.find_spec(module) is not None
        return
    assert module in COMMANDS, f"{page}: python -m {module} is no command"
    if any("SCENARIO" in word for word in arguments):  # how to call it, not a call
        return
    app = typer.Typer(add_completion=False)
    app.command()(importlib.import_module(module).main)
    context = typer.main.get_command(app).make_context(module, list(arguments))
    target = context.params.get("scenario") or next(iter(context.params.get("targets") or ()), "")
    if target and not str(target).startswith("runs/") and target != "RUN":
        changed = load(ROOT / target if "/" in target else target, settings_of(words))
        learning = any(player.kind == "learned" for player in changed.players.values())
        fits = module == "arena.solve" or learning == (module == "arena.selfplay")
        assert fits, f"{page}: {' '.join(words)} would be refused"


@pytest.mark.parametrize(("page", "words"), MAKE, ids=lambda x: " ".join(x)[:60] if isinstance(x, tuple) else x)
def test_make_knows_its_targets(page: str, words: tuple[str, ...]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    wanted = {word for word in words if "=" not in word} - {"make"}
    assert wanted <= targets, f"{page}: {' '.join(words)}; there are {', '.join(sorted(targets))}"


def merged(base: Any, change: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(change, dict)) or "kind" in change:
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_is_a_scenario_or_a_part_of_one(text: str) -> None:
    tree = YAML(typ="safe", pure=True).load(text)
    if "schema_version" in tree:
        assert loads(text).name == tree["name"]
        return
    if "phases" in tree:
        assert Curriculum.model_validate_json(json.dumps(tree), strict=True).name == tree["name"]
        return
    assert set(tree) <= set(Scenario.model_fields)
    shipped = (ROOT / "scenarios" / "two_mm_one_trader.yaml").read_text(encoding="utf-8")
    whole = merged(YAML(typ="safe", pure=True).load(shipped), tree)
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(whole, out)
    assert loads(out.getvalue()).market.maker_names == ("mm_0", "mm_1")


@pytest.mark.parametrize("code", blocks("python"))
def test_code_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for node in ast.walk(ast.parse(code)):
        names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        if "stable_baselines3" in names:
            pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "page", "exec"), space)
    assert not any(tmp_path.iterdir()), "an example on a page must leave nothing behind"


def test_the_executor_that_the_docs_add_plays_as_it_says() -> None:
    """The recipe of docs/adding.md: lots done are rate times time, up to Poisson noise (error rate 1e-5)."""
    from agents.makers import naive_profile
    from arena.game import Game
    from arena.rollout import play, seeds_of

    code = next(block.values[0] for block in blocks("python") if "class Patient" in block.values[0])
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "page", "exec"), space)
    market = load("two_mm_one_trader").market
    players = {seat: recipe.sit(market, seat) for seat, recipe in naive_profile(market).items()}
    players["trader_0"], games = space["Patient"](rate=8).sit(market, "trader_0"), 400
    played = play(Game(market, games), players, seeds_of(3, games))
    done = 30.0 - abs(played.last("remaining")[:, 0])
    assert abs(done.mean() - 8.0) < 4.42 * (8.0 / games) ** 0.5


def test_the_readme_explains_every_section_of_the_report() -> None:
    names = ("pages/judging.py", "pages/games.py", "markets/dealer/sections.py")
    pages = [ROOT / "arena" / name for name in names]
    code = "".join(page.read_text(encoding="utf-8") for page in pages)
    titles = set(re.findall(r'Section\(\s*"([^"]+)"', code))
    explained = {row[0] for row in table_rows(ROOT / "README.md")}
    assert len(titles) >= 13
    assert titles <= explained, f"README.md: no row for {sorted(titles - explained)}"
