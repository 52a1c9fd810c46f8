"""A place where option market makers and execution traders learn by playing one another.

The package exports nothing; its modules are the interface.  Importing it does three small things, in milliseconds:

* it tells numba, as soon as that is imported, where our compiled kernels are kept and what they are made of
  (`arena.kernels`: numba alone looks at a kernel's own file, so an edited helper would leave a stale kernel behind);
* it makes sure that the top-level package `agents` is ours;
* it registers every packaged scenario as `OptionArena/<Scenario>-v0` with PettingZoo and Gymnasium, as soon as these
  are imported (string entry points; neither library nor `arena.env` is imported here).
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__: list[str] = []

_HERE = Path(__file__).resolve().parent
_WORDS = {"mm": "MM"}  # words of a scenario's file name that are not simply capitalised in its id


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


def _keep_kernels(caching: ModuleType) -> None:
    from arena.kernels import register

    register(caching)


_check_agents()
_AfterImport(
    {
        "pettingzoo": _register_with_pettingzoo,
        "gymnasium": _register_with_gymnasium,
        "numba.core.caching": _keep_kernels,
    }
)
