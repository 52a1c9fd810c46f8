"""What a verdict rests on: the phase's own market, players and references, and nothing of another market's."""

from pathlib import Path

import pytest

from arena.gates import settings, sources
from arena.gates.judging import roots_of
from arena.gates.sources import closure, source_sha256
from arena.markets.catalogue import BUILT_IN, packages

ROOT = Path(__file__).parents[2]
_, RUNGS, _ = settings.load("option_market_maker")


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_a_phase_is_made_of_its_own_market_and_of_no_other(rung) -> None:
    found = closure(roots_of(rung))
    own = packages()[rung.scenario.market.model]
    assert {f"{own}.market", "arena.game", "arena.rollout", "arena.layout", "arena.markets.parts.draws"} <= set(found)
    others = [package for package in BUILT_IN.values() if package != own]
    assert not [name for name in found if name.startswith(tuple(f"{package}." for package in others))]
    assert not [name for name in found if name.endswith(".kit") or name.startswith(("arena.pages", "arena.training"))]


def test_references_and_their_solvers_count() -> None:
    by_name = {rung.name: closure(roots_of(rung)) for rung in RUNGS}
    assert {"agents.optimal_makers", "arena.solvers.quoting.steps", "arena.markets.dealer.gaps.lattice"} <= set(
        by_name["quotes"]
    )


def test_the_ladder_of_one_rung_has_the_phase_of_the_whole_one() -> None:
    _, (alone,), _ = settings.load("quoting")
    assert alone.hash == next(rung.hash for rung in RUNGS if rung.name == alone.name)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A market `own` of two modules, one of which it imports inside a function, and another market."""
    files = {
        "own/__init__.py": "",
        "own/market.py": "from own.parts import table\n\ndef play():\n    from own import late\n",
        "own/parts.py": "table = 1\n", "own/late.py": "", "own/kit.py": "import other.market\n",
        "other/__init__.py": "", "other/market.py": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "packages", lambda: {"own": "own", "other": "other"})
    sources._folders.cache_clear()
    return tmp_path


def test_a_hash_moves_with_what_is_imported_and_with_nothing_else(house: Path) -> None:
    assert set(closure(["own.market"])) == {"own", "own.market", "own.parts", "own.late"}
    first = source_sha256(["own.market"])
    assert source_sha256(["own.market"]) == first
    (house / "other" / "market.py").write_text("ANOTHER = 1\n")
    (house / "own" / "kit.py").write_text("PAGE = 1\n")
    assert source_sha256(["own.market"]) == first
    for name in ("parts", "late"):
        (house / "own" / f"{name}.py").write_text(f"table = '{name}'\n")
        assert source_sha256(["own.market"]) != first, name
        first = source_sha256(["own.market"])
