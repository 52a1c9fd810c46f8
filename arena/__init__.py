"""A place where option market makers and execution traders learn by playing one another.

The package exports nothing; its modules are the interface.  Importing it does three small things, in milliseconds:

* it names numba's kernel cache after the source it was compiled from (numba renews a kernel only when the kernel's own
  file changes, so an edited helper in another file would leave a stale kernel behind);
* it makes sure that the top-level package `agents` is ours;
* it registers every packaged scenario as `OptionArena/<Scenario>-v0` with PettingZoo and Gymnasium, as soon as these
  are imported (string entry points; neither library nor `arena.env` is imported here).
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__: list[str] = []

_HERE = Path(__file__).resolve().parent
_CACHE_PREFIX = "arena-kernels-"
_KERNEL_ROOMS = ("markets", "solvers")  # a test keeps compiled kernels out of all other rooms
_ABOVE = {"kit", "prior", "accounts", "curves", "board", "sections", "problems", "theory", "gaps", "papers"}
_CACHES_KEPT = 8  # the last opened ones: branches and running processes that still use another version of the source
_WORDS = {"mm": "MM"}  # words of a scenario's file name that are not simply capitalised in its id


def _source_hash() -> str:
    """Hash the path and content of every module in the rooms that hold kernels."""
    digest = hashlib.blake2b(digest_size=8)
    for room in _KERNEL_ROOMS:
        for path in sorted((_HERE / room).rglob("*.py")):
            if room == "markets" and _ABOVE & {part.removesuffix(".py") for part in path.relative_to(_HERE).parts[2:]}:
                continue  # above a market's rules nothing is compiled: editing a page must not cost a compilation
            digest.update(path.relative_to(_HERE).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_rooms() -> list[Path]:
    """Folders that may hold kernel caches: the user's choice, else beside the source, else a private temporary one."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        # A child process inherits the name that its parent set below.
        return [Path(given).parent if Path(given).name.startswith(_CACHE_PREFIX) else Path(given)]
    user = os.getuid() if hasattr(os, "getuid") else 0
    shared = Path(tempfile.gettempdir()) / f"option-arena-{user}"
    # Cached kernels are pickles: whoever can write them runs code here, so a folder that is not ours is not used.
    safe = not shared.exists() or (shared.stat().st_uid == user and not shared.stat().st_mode & 0o022)
    return [_HERE / "__pycache__", *([shared] if safe else [])]


def _name_kernel_cache() -> None:
    name = _CACHE_PREFIX + _source_hash()
    for room in _cache_rooms():
        cache = room / name
        try:
            fresh = not cache.is_dir()
            room.mkdir(mode=0o700, parents=True, exist_ok=True)
            cache.mkdir(mode=0o755, exist_ok=True)
            os.utime(cache)
        except OSError:
            continue
        if not os.access(cache, os.W_OK):
            continue
        if fresh:
            _sweep(room)
        os.environ["NUMBA_CACHE_DIR"] = str(cache)
        if "numba" in sys.modules:  # numba has read the environment already
            sys.modules["numba"].config.reload_config()
        return


def _sweep(room: Path) -> None:
    """Delete the caches of older source versions; numba makes a folder again if a process still wants to save there."""
    with contextlib.suppress(OSError):  # another process may be sweeping too
        for cache in sorted(room.glob(_CACHE_PREFIX + "*"), key=os.path.getmtime)[:-_CACHES_KEPT]:
            shutil.rmtree(cache, ignore_errors=True)


def _check_agents() -> None:
    """Raise ImportError unless the package `agents` that Python finds is the one that came with this package.

    Under `python -m arena...` the sentence is printed and the process ends with exit code 2, without a traceback.
    """
    ours = _HERE.parent / "agents" / "__init__.py"
    spec = importlib.util.find_spec("agents")
    found = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
    if found == ours and "option-arena" in ours.read_text(encoding="utf-8")[:200]:
        return
    if found == ours:
        trouble = f"another project's package `agents` has overwritten {ours}; install in an environment of its own"
    elif spec is None:
        trouble = f"its package `agents` is missing; expected {ours.parent}; install option-arena again"
    else:
        place = found or list(spec.submodule_search_locations or [])
        trouble = (
            f"another package named `agents` hides ours: found {place}, expected {ours}; "
            "run from another folder, take it off PYTHONPATH, or install in an environment of its own"
        )
    if sys.argv[:1] == ["-m"]:  # so it stands while `python -m` looks for its module
        print(f"option-arena: {trouble}", file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(f"option-arena: {trouble}")


def _scenario_ids() -> dict[str, str]:
    """Map the id of every packaged scenario to its name: OptionArena/TwoMMOneTrader-v0 -> two_mm_one_trader."""
    names = sorted(path.stem for path in (_HERE.parent / "scenarios").glob("*.yaml"))
    titles = {name: "".join(_WORDS.get(word, word.capitalize()) for word in name.split("_")) for name in names}
    return {f"OptionArena/{title}-v0": name for name, title in titles.items()}


def _register_with_pettingzoo(pettingzoo: ModuleType) -> None:
    for env_id, name in _scenario_ids().items():
        pettingzoo.register("parallel", env_id, entry_point="arena.env:parallel_env", kwargs={"scenario": name})


def _register_with_gymnasium(gymnasium: ModuleType) -> None:
    for env_id, name in _scenario_ids().items():
        gymnasium.register(env_id, entry_point="arena.env:single_agent", kwargs={"scenario": name})


class _AfterImport:
    """Runs a function once on each of the named modules: now if it is imported already, else right after its import."""

    def __init__(self, waiting: dict[str, Callable[[ModuleType], None]]) -> None:
        self.waiting = waiting
        sys.meta_path.insert(0, self)
        for name in list(waiting):
            if name in sys.modules:
                waiting.pop(name)(sys.modules[name])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_run(module: ModuleType) -> None:
                load(module)
                if module.__name__ in self.waiting:  # not twice, should the module be loaded again
                    self.waiting.pop(module.__name__)(module)

            spec.loader.exec_module = load_and_run  # type: ignore[method-assign]
        return spec


_check_agents()
_name_kernel_cache()
_AfterImport({"pettingzoo": _register_with_pettingzoo, "gymnasium": _register_with_gymnasium})
