"""Docstrings keep what they promise: who raises says so, kernels explain their arguments, examples give what they show.

Also the wording of errors: one sentence that says where, what was found and what is allowed, without a full stop, so
that it can stand in another one.
"""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("arena", "agents")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
EXITS = {"Exit", "BadParameter", "SystemExit"}
"""What ends a command; its sentence goes to the terminal, not to a caller."""
MANY = 8
"""Arguments that a kernel may have without a word about each."""
EXAMPLES = (
    "arena.solvers.execution.solve",
    "arena.solvers.finite.matrix_game",
    "arena.solvers.makers_traders.open_loop",
    "arena.solvers.options.black_scholes",
    "arena.solvers.quoting.duel",
    "arena.solvers.quoting.maker",
)
"""The front door of each room of solvers: a reader can paste its first lines."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(
    body: list[ast.stmt], owner: ast.ClassDef | None = None
) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    """All functions at module level and methods of its public classes, each with its class."""
    for node in body:
        if isinstance(node, Function):
            yield node, owner
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, node)


def raised(function: Function) -> set[str]:
    """The errors that a function makes and raises itself, helpers within it included; in small letters: by a helper."""
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = [ast.unparse(call.func).split(".") for call in calls]
    return {next((part for part in name if part[0].isupper()), name[-1]) for name in names} - EXITS


def silent(tree: ast.Module) -> list[str]:
    """Public functions, methods and constructors that raise an error which their docstring does not name."""
    found = []
    for function, owner in functions(tree.body):
        making = owner is not None and function.name in ("__init__", "__post_init__")
        told = ast.get_docstring(owner if owner is not None and making else function) or ""
        kinds = raised(function)
        unsaid = {kind for kind in kinds if kind[0].isupper() and kind not in told}
        if kinds and (making or not function.name.startswith("_")) and (unsaid or "raises" not in told.lower()):
            name = f"{owner.name}.{function.name}" if owner else function.name
            found.append(f"line {function.lineno}: {name} raises {', '.join(sorted(kinds))}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_who_raises_says_so(module: str) -> None:
    assert not silent(TREES[module]), f"{module}: not in the docstring (write `Raises <Error> ...`)"


def last_words(sentence: ast.expr) -> str:
    """The end of the text of a message that is written out where it is raised."""
    if isinstance(sentence, ast.JoinedStr):
        return last_words(sentence.values[-1])
    return sentence.value if isinstance(sentence, ast.Constant) and isinstance(sentence.value, str) else ""


@pytest.mark.parametrize("module", MODULES)
def test_an_error_ends_without_a_full_stop(module: str) -> None:
    calls = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call) and node.args]
    errors = [call for call in calls if re.search(r"(Error|NoEquilibrium|NotCovered|Why)$", ast.unparse(call.func))]
    wrong = [call.lineno for call in errors if re.search(r"[^.]\.$", last_words(call.args[0]))]
    assert not wrong, f"{module}: lines {wrong}"


def table_of(module: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The arguments in a module docstring's table, and in those of the neighbours that its head names.

    The head is a line that begins with `Arguments of the kernels`; rows are indented, `names, by commas   meaning`.
    """
    told = ast.get_docstring(TREES[module]) or ""
    table = re.search(r"^Arguments of the kernels(.*(?:\n\S.*)*)\n*((?:(?: {4,}.*)?\n?)*)", told, re.MULTILINE)
    if not table:
        return set()
    rows = re.findall(r"^ {4}(\w+(?:, \w+)*) {2,}\S", table[2] + "\n", re.MULTILINE)
    names = {name for row in rows for name in row.split(", ")}
    for neighbour in re.findall(r"`(\w+)`", table[1]):
        other = f"{module.rpartition('.')[0]}.{neighbour}"
        if other in MODULES and other not in seen:
            names |= table_of(other, seen | {module})
    return names


def unexplained(module: str) -> list[str]:
    """Kernels with many arguments, and those that neither their docstring nor their module's table explains."""
    found, known = [], table_of(module)
    for function, _ in functions(TREES[module].body):
        names = [argument.arg for argument in function.args.args]
        if len(names) > MANY and any("njit" in ast.unparse(mark) for mark in function.decorator_list):
            own = set(re.findall(r"\w+", ast.get_docstring(function) or ""))
            if missing := [name for name in names if name not in known | own]:
                found.append(f"line {function.lineno}: {function.name}: {', '.join(missing)}")
    return found


@pytest.mark.parametrize("module", [module for module, path in MODULES.items() if "njit" in path.read_text("utf-8")])
def test_kernels_with_many_arguments_explain_them(module: str) -> None:
    assert not unexplained(module), f"{module}: add rows to `Arguments of the kernels` or to the kernel's docstring"


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_give_what_they_show(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0, f"{module} has no example"
    assert not found.failed, "see the differences above"
