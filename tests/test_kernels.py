"""Compiled kernels: what makes one stale, where they are kept, and how many versions of them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest

from arena import kernels
from arena.kernels import KEPT, Kept, reached, stamp
from arena.markets.parts import draws
from tests.third_market import market as toy

ROOT = Path(__file__).parent.parent
KERNEL = """\
from numba import njit

from arena.markets.{name}.helper import STEP


@njit(cache=True)
def kernel(x):
    return x + STEP


def page():
    from arena.page import TITLE

    return TITLE
"""
ASK = """\
import json
from arena.markets.one.kernel import kernel as one
from arena.markets.two.kernel import kernel as two
values = [one(0), two(0)]
print(json.dumps([values, [sum(k.stats.cache_misses.values()) for k in (one, two)]]))
"""


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def asked(folder: Path) -> list[list[int]]:
    """What two kernels answer, and whether each had to be compiled, in a new process."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    command, env = [sys.executable, "-c", ASK], {**clean, "PYTHONPATH": str(folder)}
    told: list[list[int]] = json.loads(
        subprocess.run(command, cwd="/", env=env, capture_output=True, check=True).stdout
    )
    return told


def test_a_kernel_is_compiled_anew_when_something_changed_that_it_can_reach_and_only_then(tmp_path: Path) -> None:
    for module in ("arena/__init__.py", "arena/kernels.py", "agents/__init__.py"):
        written(tmp_path / module, (ROOT / module).read_text())
    for name in ("one", "two"):
        written(tmp_path / "arena" / "markets" / name / "kernel.py", KERNEL.format(name=name))
        written(tmp_path / "arena" / "markets" / name / "helper.py", "from arena.constant import STEP\n")
    written(tmp_path / "arena" / "constant.py", "STEP = 1\n")
    written(tmp_path / "arena" / "page.py", "TITLE = 1\n")
    assert asked(tmp_path) == [[1, 1], [1, 1]]
    written(tmp_path / "arena" / "page.py", "TITLE = 2\n")  # read inside a function only
    assert asked(tmp_path) == [[1, 1], [0, 0]]
    written(tmp_path / "arena" / "markets" / "two" / "helper.py", "STEP = 5\n")  # one knows nothing of it
    assert asked(tmp_path) == [[1, 5], [0, 1]]
    written(tmp_path / "arena" / "constant.py", "STEP = 3\n")  # two files away
    assert asked(tmp_path) == [[3, 5], [1, 0]]
    written(tmp_path / "arena" / "constant.py", "STEP = 1\n")  # back on the other branch
    assert asked(tmp_path) == [[1, 5], [0, 0]]


def test_what_a_kernel_reaches() -> None:
    roots = (kernels.HERE,)
    files = reached(kernels.HERE / "markets" / "dealer" / "kernel.py", roots)
    names = {file.relative_to(kernels.HERE).as_posix() for file in files}
    assert {"markets/dealer/kernel.py", "markets/dealer/moves.py", "markets/parts/draws.py"} <= names
    assert {"solvers/options/black_scholes.py", "layout.py"} <= names  # through others
    assert not {name for name in names if "kit" in name or "gaps/" in name or "pages/" in name}
    assert not {name for name in names if name.startswith("markets/") and name.split("/")[1] not in ("dealer", "parts")
                and name.count("/") > 1}  # fmt: skip
    assert stamp(kernels.HERE / "layout.py", roots) != stamp(kernels.HERE / "game.py", roots)


def test_a_market_of_another_package_is_kept_by_what_it_reaches_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kept = Kept.from_function(toy.advance.py_func, toy.__file__)
    assert kept is not None
    assert Path(kept.get_cache_path()) == tmp_path / "arena-kernels" / "tests.third_market.market"
    assert Path(draws.__file__) in reached(Path(toy.__file__), (kernels.HERE, ROOT / "tests"))


def test_functions_of_others_are_left_to_numba() -> None:
    assert Kept.from_function(json.dumps, json.__file__) is None
    assert numba.core.caching.CacheImpl._locator_classes.count(Kept) == 1
    assert len(numba.core.caching.CacheImpl._locator_classes) > 1
    assert isinstance(draws.mix_seeds._cache._impl.locator, Kept)


def test_kernels_are_kept_beside_the_source_or_in_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernels, "HERE", tmp_path / "arena")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    beside, private = kernels.folders()
    assert beside == tmp_path / "arena" / "__pycache__"
    private.mkdir(mode=0o700)
    assert kernels.folders() == [beside, private]
    private.chmod(0o777)  # compiled kernels are pickles: what others can write to is not trusted
    assert kernels.folders() == [beside]


def test_where_the_source_cannot_be_written_the_next_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file, so that not even root can make a folder here")
    monkeypatch.setattr(kernels, "folders", lambda: [tmp_path / "taken", tmp_path / "free"])
    kept = Kept.from_function(draws.mix_seeds.py_func, draws.__file__)
    assert kept is not None
    assert Path(kept.get_cache_path()).is_relative_to(tmp_path / "free")
    assert Path(kept.get_cache_path()).stat().st_mode & 0o077 == 0
    monkeypatch.setattr(kernels, "folders", lambda: [tmp_path / "taken"])
    assert Kept.from_function(draws.mix_seeds.py_func, draws.__file__) is None


def test_old_versions_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kept = Kept.from_function(draws.mix_seeds.py_func, draws.__file__)
    assert kept is not None
    folder = Path(kept.get_cache_path())
    for number in range(12):
        for name in (f"draws.mix_seeds-5-{number:016x}.py311.nbi", f"draws.mix_seeds-5-{number:016x}.py311.1.nbc"):
            written(folder / name, "")
            os.utime(folder / name, (number, number))
    written(folder / "draws.other-5-0.py311.nbi", "")
    oldest = folder / f"draws.mix_seeds-{kept.get_disambiguator()}.py311.nbi"
    shutil.copy(folder / "draws.other-5-0.py311.nbi", oldest)
    os.utime(oldest, (0, 0))  # but it is the one that is used now
    Kept.from_function(draws.mix_seeds.py_func, draws.__file__)
    left = sorted(path.name for path in folder.glob("draws.mix_seeds*"))
    assert len([name for name in left if name.endswith(".nbi")]) == KEPT
    assert oldest.name in left
    assert [int(name.split("-")[2].split(".")[0], 16) for name in left if name.endswith(".nbc")] == list(range(5, 12))
    assert (folder / "draws.other-5-0.py311.nbi").exists()
