"""Who may import whom: docs/design.md draws the rooms, this file keeps the doors shut."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"arena", "arena.layout", "arena.solvers"},
    {"arena.snapshot", "arena.matchmaking", "arena.promotion", "arena.ratings"},  # parts of the league, no game
    {"arena.markets", "arena.league"},
    {"arena.game", "arena.solved_games"},
    {"arena.rollout", "arena.quoting_problem", "agents"},
    {"arena.scenario", "arena.mistakes", "arena.table", "arena.board"},  # one game, as a file and on a table
    {
        "arena.env",
        "arena.record",
        "arena.metrics",
        "arena.quotes",
        "arena.run_folder",
        "arena.fluid_game",
        "arena.fluid_response",
        "arena.poisson_response",
        "arena.own_inventory",
        "arena.exact_gap",
        "arena.fluid_gap",
        "arena.poisson_gap",
        "arena.riccati_gap",
        "arena.hjb_gap",
        "arena.search_gap",
        "arena.profile",
        "arena.shifts",
        "arena.lattice_gap",
        "arena.nash_gap",
        "arena.tournament",
        "arena.theory",
        "arena.theory_panel",
        "arena.theory_equilibrium",
        "arena.theory_quoting",
    },
    {
        "arena.charts",
        "arena.page",
        "arena.played",
        "arena.judged",
        "arena.compared",
        "arena.console",
        "arena.reproduce_fang_xu",
    },  # what a person sees
    {"arena.training"},
    {
        "arena.selfplay",
        "arena.evaluate",
        "arena.judge",
        "arena.report",
        "arena.solve",
        "arena.reproduce",
        "arena.curriculum",
    },
]
FOLDERS = {"arena.solvers", "arena.markets", "arena.training", "agents"}  # their modules share the folder's layer
ENTRY_POINTS = LAYERS[-1]
# Who may import the heavy libraries: anywhere in the file, or only inside a function (paid for when it is called).
EXACT = {
    f"arena.{name}"
    for name in (
        "fluid_game",
        "fluid_response",
        "poisson_response",
        "exact_gap",
        "fluid_gap",
        "poisson_gap",
        "riccati_gap",
        "hjb_gap",
    )
}
HEAVY = {
    "ray": ({"arena.training"}, ENTRY_POINTS),
    "torch": (
        {
            "arena.training",
            *EXACT,
            "agents.network",
        },
        {"agents.learned", "arena.solvers", *ENTRY_POINTS},
    ),
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("arena", "agents")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def room(module: str) -> str:
    """The name under which a module stands in LAYERS: its folder's where the folder is one room, else its own."""
    return next((folder for folder in FOLDERS if f"{module}.".startswith(f"{folder}.")), module)


def layer(module: str) -> int:
    """The index of a module's layer; a module without one fails."""
    found = [index for index, rooms in enumerate(LAYERS) if room(module) in rooms]
    assert found, f"{module} has no layer: add it to LAYERS in {Path(__file__).name} and to the rooms in the docs"
    return found[0]


def imports(module: str) -> Iterator[tuple[str, int, bool]]:
    """What a module imports: (name, line, whether inside a function)."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lazy = {id(child) for function in functions for child in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write absolute imports"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in below]
        else:
            continue
        yield from ((name, node.lineno, id(node) in lazy) for name in names)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    for name, line, lazy in imports(module):
        if name.split(".")[0] in ("arena", "agents"):
            assert layer(name) <= layer(module), f"{module}:{line} imports {name} from a higher layer"
        if room(module) == "arena.markets" and room(name) == "arena.solvers":
            known = ("arena.solvers.black_scholes", "arena.solvers.half_spreads", "arena.solvers.coefficients")
            words = "prices, static half-spreads and coefficients of time, no other solver"
            assert name in known, f"{module}:{line}: markets know {words}"
        always, inside = HEAVY.get(name.split(".")[0], ({room(module)}, set()))
        allowed = {module, room(module)} & (always | inside if lazy else always)
        assert allowed, f"{module}:{line} imports {name} {'at all' if lazy else 'outside a function'}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_layer_and_is_read_in_one_sitting(module: str) -> None:
    layer(module)
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{module} has {lines} lines, the ceiling is 400: it tells more than one story"
