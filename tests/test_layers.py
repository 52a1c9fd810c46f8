"""Who may import whom: docs/design.md draws the rooms, this file keeps the doors shut.

A module's layer is that of its room. Rooms of a market are named alike in every market: `markets.*.kit` is the kit of
any of them, so a new market adds nothing here. Other names in a market's folder are part of its rules.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = (
    "arena arena.layout arena.kernels arena.solvers",
    "arena.markets arena.markets.market arena.markets.catalogue arena.markets.parts "
    "arena.league arena.league.snapshot arena.league.matchmaking arena.league.promotion arena.league.ratings",
    "markets.*.rules arena.league.league",
    "arena.game markets.*.problems",
    "arena.rollout agents",
    "arena.scenario arena.named arena.mistakes arena.board arena.seating",
    "arena.env arena.runs arena.gaps arena.theory arena.league.tournament",
    "markets.*.prior markets.*.gradient markets.*.measures markets.*.theory markets.*.gaps markets.*.calibration",
    "arena.pages markets.*.sections markets.*.board markets.*.papers",
    "markets.*.kit",  # the house finds it by name
    "arena.training",
    "arena.judge",
    "arena.gates",
    "arena.selfplay arena.curriculum arena.evaluate arena.report arena.solve arena.calibrate arena.reproduce",
)
LAYER = {room: index for index, rooms in enumerate(LAYERS) for room in rooms.split()}
ABOVE_THE_RULES = {room.removeprefix("markets.*.") for room in LAYER if room.startswith("markets.*.")}
# Who may import the heavy libraries: anywhere in the file, or only inside a function (paid for when it is called).
ENTRY_POINTS = {*LAYERS[-1].split(), "arena.judge"}
HEAVY = {
    "ray": ({"arena.training"}, ENTRY_POINTS),
    "torch": (
        {"arena.training", "markets.*.gaps", "markets.*.gradient", "agents.network", "agents.heads",
         *(f"arena.solvers.impulse.{name}" for name in ("networks", "samples", "galerkin"))},
        {"agents.learned", "arena.solvers", *ENTRY_POINTS},
    ),
}
FROM_SOLVERS = {
    f"arena.solvers.{name}"
    for name in ("options.black_scholes", "options.half_spreads", "coefficients", "hawkes.mixture")
}
"""All that a market's rules know of the solvers: prices, static half-spreads, coefficients of time, power laws."""
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("arena", "agents")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def room(module: str) -> str:
    """The name under which a module stands in LAYERS: its own, or that of the nearest folder above it."""
    parts = module.split(".")
    if parts[:2] == ["arena", "markets"] and len(parts) > 2 and ".".join(parts[:3]) not in LAYER:
        name = parts[3] if len(parts) > 3 else "rules"
        return f"markets.*.{name if name in ABOVE_THE_RULES else 'rules'}"
    while ".".join(parts) not in LAYER and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def layer(module: str) -> int:
    """The index of a module's layer; a module of `arena/` itself must be named."""
    own = room(module)
    named = module == "arena" if own == "arena" else own in LAYER
    assert named, f"{module} has no layer: add it to LAYERS in {Path(__file__).name} and to the rooms in the docs"
    return LAYER[own]


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
        if room(module) == "markets.*.rules" and room(name) == "arena.solvers":
            words = "prices, static half-spreads and coefficients of time, no other solver"
            assert name in FROM_SOLVERS, f"{module}:{line}: markets know {words}"
        always, inside = HEAVY.get(name.split(".")[0], ({room(module)}, set()))
        allowed = {module, room(module)} & (always | inside if lazy else always)
        assert allowed, f"{module}:{line} imports {name} {'at all' if lazy else 'outside a function'}"


def test_no_circles() -> None:
    # imports inside functions count: a circle that is hidden from Python is still one for the reader
    below = {module: {name for name, _, _ in imports(module) if name in MODULES} - {module} for module in MODULES}
    left = dict(below)
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    circles = {module: sorted(names & left.keys()) for module, names in left.items()}
    assert not circles, f"modules that import one another, or stand above such a circle: {circles}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_layer_and_is_read_in_one_sitting(module: str) -> None:
    layer(module)
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{module} has {lines} lines, the ceiling is 400: it tells more than one story"


def test_a_folder_is_seen_at_a_glance() -> None:
    folders = {path.parent for path in MODULES.values()}
    crowded = {str(f.relative_to(ROOT)): n for f in folders if (n := len(list(f.glob("*.py")))) > 20}
    assert not crowded, f"{crowded}: more than 20 modules"
