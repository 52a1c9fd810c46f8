"""Where compiled kernels are kept, and what makes one stale: any change of a module that its source can reach.

Numba compiles a kernel anew only when the kernel's own file changes. A kernel takes constants and helpers from other
files, so here its stamp is a hash of all modules that its file imports, directly or through others, at their top level:
editing one market leaves the compiled kernels of another, and editing a page or a gap engine leaves all of them.

The package registers this with numba as soon as numba is imported; nothing else calls it.
"""

import ast
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = "arena-kernels"
KEPT = 8
"""Versions of a kernel that are kept, the last used ones: branches, and running processes with another source."""


def folders() -> list[Path]:
    """Folders that may hold kernels: the user's choice, else beside the source, else a private temporary one."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return [Path(given)]
    user = os.getuid() if hasattr(os, "getuid") else 0
    shared = Path(tempfile.gettempdir()) / f"option-arena-{user}"
    # Cached kernels are pickles: whoever can write them runs code here, so a folder that is not ours is not used.
    safe = not shared.exists() or (shared.stat().st_uid == user and not shared.stat().st_mode & 0o022)
    return [HERE / "__pycache__", *([shared] if safe else [])]


@cache
def reached(path: Path, roots: tuple[Path, ...]) -> frozenset[Path]:
    """The file and all below the `roots` (folders of packages) that it imports at its top level, through others too."""
    found, waiting = {path}, [path]
    while waiting:
        new = set(_imported(waiting.pop(), roots)) - found
        found |= new
        waiting += new
    return frozenset(found)


@cache
def _imported(path: Path, roots: tuple[Path, ...]) -> tuple[Path, ...]:
    tree = ast.parse(path.read_bytes())
    files = (_file_of(name, roots) for statement in _at_top(tree.body) for name in modules_named(statement))
    return tuple(dict.fromkeys(file for file in files if file is not None))


def _at_top(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import: not those of functions or for type checkers, whose imports no kernel sees."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With) and "TYPE_CHECKING" not in ast.dump(statement)[:80]:
            for part in ("body", "orelse", "finalbody"):
                yield from _at_top(getattr(statement, part, []))


def modules_named(node: ast.AST) -> Iterator[str]:
    """Dotted names in an import that may be modules: b of `from a import b` is one, or something in a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(name: str, roots: tuple[Path, ...]) -> Path | None:
    top, *rest = name.split(".")
    for root in roots:
        if root.name == top:
            path = root.joinpath(*rest)
            files = (path.with_suffix(".py"), path / "__init__.py") if rest else ()
            return next((file for file in files if file.is_file()), None)
    return None


@cache
def stamp(path: Path, roots: tuple[Path, ...]) -> str:
    """Hash of all that a file reaches, by path and content."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(reached(path, roots)):
        root = next(root for root in (*roots, file.parent) if file.is_relative_to(root))
        digest.update(file.relative_to(root.parent).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


class Kept:
    """Numba's locator of one function's compiled forms: its folder, its stamp, and a name that holds both apart."""

    def __init__(self, function: Callable[..., Any], file: str, folder: Path, stamp: str):
        self._py_file, self._lineno = file, function.__code__.co_firstlineno
        self._folder, self._stamp = folder, stamp

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "Kept | None":
        """The locator of a kernel that is ours or whose file reaches ours; None for any other function of a process."""
        path, top = Path(file).resolve(), function.__module__.split(".")[0]
        above = next((one for one in path.parents if one.name == top), path.parent)
        roots = tuple(dict.fromkeys((HERE, HERE.parent / "agents", above)))
        if not path.is_file() or not any(one.is_relative_to(HERE) for one in reached(path, roots)):
            return None
        for folder in folders():
            kept = cls(function, file, folder / FOLDER / function.__module__, stamp(path, roots))
            with contextlib.suppress(OSError):
                kept.ensure_cache_path()
                kept._sweep(f"{path.stem}.{function.__qualname__}".replace("<", "").replace(">", ""))
                return kept
        return None

    def ensure_cache_path(self) -> None:
        """Make the folder; raises OSError where nothing can be written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=self._folder).close()

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """What has to be equal for a compiled form to hold."""
        return self._stamp

    def get_disambiguator(self) -> str:
        """What names files of one version of a function."""
        return f"{self._lineno}-{self._stamp}"

    def _sweep(self, name: str) -> None:
        """Delete all but the last used versions of a function; whoever still runs one has it in memory."""
        indices = list(self._folder.glob(f"{name}-*.nbi"))
        for index in indices:
            if self._stamp in index.name:
                os.utime(index)
        for index in sorted(indices, key=os.path.getmtime)[:-KEPT]:
            for file in self._folder.glob(f"{index.name.removesuffix('.nbi')}.*"):
                file.unlink(missing_ok=True)


def register(caching: Any) -> None:
    """Put the locator before those of `numba.core.caching`, for this process alone.

    Numba's own way, an environment variable, would reach child processes of other environments, which fail without us.
    """
    caching.CacheImpl._locator_classes = [Kept, *caching.CacheImpl._locator_classes]
