"""What a verdict rests on, as a hash: the files that a phase's market, players and references are made of.

A file counts when a root imports it, at any depth, inside functions too. Roots are the market's rules, the modules of
the recipes that sit in it, the exact engines that answered, and what judges. Kits, reports and other markets are no
part of it: editing a page, or another game, leaves every verdict as it is.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from arena.kernels import modules_named
from arena.markets.catalogue import packages

OURS = ("arena", "agents")
JUDGES = ("arena.gates.checks", "arena.gates.bench", "arena.gates.statistics")
"""What judges is hashed alone, without what it imports: that is plumbing."""


def source_sha256(roots: Iterable[str], judges: Iterable[str] = JUDGES) -> str:
    """SHA-256 of the names and bytes of all source files that the root modules are made of, and of what judges."""
    digest = hashlib.sha256()
    for name, path in sorted((closure(roots) | {one: path for one in judges if (path := _file(one))}).items()):
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def closure(roots: Iterable[str]) -> dict[str, Path]:
    """Module -> file, of the roots and of everything of this project or of a market's package that they import."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or name in found or name.endswith(".kit"):
            continue
        found[name] = path
        waiting += _imported(path, path.stat().st_mtime_ns)
    return found


@lru_cache(maxsize=1024)
def _imported(path: Path, changed: int) -> tuple[str, ...]:
    """What a file imports that may be a module of ours; `changed` makes an edited file another question."""
    return tuple(name for node in ast.walk(ast.parse(path.read_bytes())) for name in modules_named(node))


def _file(module: str) -> Path | None:
    """The file of a module of ours; none for a library, or for a name that is no module. Nothing is imported for it."""
    for package in (*packages().values(), *OURS):
        if module == package or module.startswith(f"{package}."):
            for folder in _folders(package):
                path = folder.joinpath(*module.removeprefix(package).split(".")[1:])
                for file in (path.with_suffix(".py"), path / "__init__.py"):
                    if file.is_file():
                        return file
    return None


@lru_cache(maxsize=64)
def _folders(package: str) -> tuple[Path, ...]:
    found = find_spec(package)
    return tuple(Path(one) for one in (found.submodule_search_locations or ())) if found else ()
