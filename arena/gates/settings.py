"""A curriculum as a file: phases in order, each with a scenario, where learning starts, and the checks of its gate.

    name: option_market_maker
    seeds: [0, 1, 2, 3, 4]
    pass_seeds: 4
    phases:
      - name: cost
        scenario: hedging_cost
        checks:
          - {kind: score, base: {kind: delta_hedge}, reference: {kind: dp_hedger}, at_least: 0.975, stretch: 0.99}

`load` checks the file, every scenario and every player that it names; mistakes come all at once, with their lines.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arena.gates.checks import Check, recipes_of
from arena.layout import STRICT
from arena.mistakes import Document, ScenarioError, did_you_mean, read, sentences, show_path
from arena.named import recipe_of
from arena.scenario import Scenario
from arena.scenario import load as load_scenario
from arena.training.seats import learning_seats

FOLDER = Path(__file__).resolve().parents[2] / "curricula"
"""The shipped curricula, beside the package in the repository as in an installed wheel."""
NAME = r"^[a-z][a-z0-9_]*$"


class CarriedStart(BaseModel):
    """Learning starts from the weights that another phase of the same seed ended with, column by column."""

    model_config = ConfigDict(**STRICT, populate_by_name=True)
    source: str = Field(alias="from", description="an earlier phase")
    when: Literal["always", "helps"] = Field(
        "always",
        description="helps: after a tenth of the iterations it is compared with a fresh start; the better goes on",
    )
    rename: dict[str, str] = Field(
        default_factory=dict, description="columns that have another name here: old name -> new name"
    )

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Phase(BaseModel):
    """One rung: what is trained, and what it must reach before the next one opens."""

    model_config = STRICT
    name: str = Field(pattern=NAME, max_length=40, description="name of the phase and of its gate file")
    question: str = Field("", description="what the phase asks, in one sentence, for people")
    scenario: str = Field(description="a scenario file, beside this file, or the name of a shipped one")
    set: tuple[str, ...] = Field((), description="changes of the scenario: training.iterations=150")
    games: int = Field(20_000, ge=100, description="games on which a check that has no exact answer is judged")
    start: Literal["fresh"] | CarriedStart = Field("fresh", description="fresh, or {from: PHASE, when: always | helps}")
    checks: tuple[Check, ...] = Field(min_length=1, description="all of them must hold")
    schemes: dict[str, str] = Field(
        default_factory=dict,
        description="name -> scenario of the same market, trained otherwise; its run is shown beside, not judged",
    )


class Curriculum(BaseModel):
    """Phases that each must pass their gate before the next one opens."""

    model_config = STRICT
    schema_version: Literal[1] = Field(1, description="version of this file format")
    name: str = Field(pattern=NAME, max_length=60, description="name of the folder of its gates")
    description: str = Field("", description="what it is for")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2, 3, 4), min_length=1, description="training seeds")
    pass_seeds: int = Field(4, ge=1, description="how many of the seeds must hold a check")
    phases: tuple[Phase, ...] = Field(min_length=1, description="in the order in which they open")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        wrong = []
        if len(set(self.seeds)) < len(self.seeds):
            wrong.append(f"seeds: found {list(self.seeds)}; allowed are different numbers")
        if self.pass_seeds > len(self.seeds):
            wrong.append(
                f"pass_seeds: found {self.pass_seeds}; allowed is at most the number of seeds, {len(self.seeds)}"
            )
        names = [phase.name for phase in self.phases]
        for i, phase in enumerate(self.phases):
            if phase.name in names[:i]:
                wrong.append(f"phases[{i}].name: found '{phase.name}' twice; allowed are different names")
            if isinstance(phase.start, CarriedStart) and phase.start.source not in names[:i]:
                allowed = f"allowed are phases before it: {', '.join(names[:i]) or 'none, this is the first'}"
                wrong.append(f"phases[{i}].start.from: found '{phase.start.source}'; {allowed}")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def needed(self, seeds: Sequence[int]) -> int:
        """How many of some seeds must hold a check: the same share as of the file's, rounded up."""
        return -(-self.pass_seeds * len(seeds) // len(self.seeds))


class Rung(BaseModel):
    """A phase with its scenario as loaded."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    phase: Phase
    scenario: Scenario
    schemes: dict[str, Scenario] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The phase's name."""
        return self.phase.name

    @property
    def hash(self) -> str:
        """SHA-256 of the scenario and of what is asked of it: another one is another question."""
        asked = self.phase.model_dump(mode="json", exclude={"question", "scenario", "set", "schemes"}, by_alias=True)
        text = json.dumps([self.scenario.hash, asked], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def seeded(self, seed: int) -> Scenario:
        """The scenario with a training seed."""
        training = self.scenario.training.model_copy(update={"seed": seed})
        return self.scenario.model_copy(update={"training": training})


def packaged() -> list[str]:
    """Names of the shipped curricula."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(path_or_name: str | Path) -> tuple[Curriculum, tuple[Rung, ...], str]:
    """Read a curriculum and all its scenarios; also returns what finds it again, a shipped name or the file's path.

    Raises ScenarioError with every mistake.
    """
    path = Path(path_or_name)
    if not path.is_file():
        if str(path_or_name) not in packaged():
            hint = did_you_mean(path.stem, packaged())
            allowed = f"allowed is a YAML file, or one of {', '.join(packaged())}{hint}"
            raise ScenarioError([f"{path}: no such file; {allowed}"])
        path = FOLDER / f"{path_or_name}.yaml"
    try:
        document = read(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{path}: cannot be read ({type(error).__name__}); allowed is UTF-8 text"]) from None
    try:
        curriculum = Curriculum.model_validate_json(json.dumps(document.tree), strict=True)
    except ValidationError as error:
        raise ScenarioError([*document.mistakes, *sentences(document, error, Curriculum)]) from None
    mistakes, rungs = list(document.mistakes), []
    for i, phase in enumerate(curriculum.phases):
        beside = path.parent / phase.scenario
        try:
            scenario = load_scenario(beside if beside.is_file() else phase.scenario, phase.set)
        except ScenarioError as error:
            mistakes += [_at(document, ("phases", i, "scenario"), line) for line in error.mistakes]
            continue
        mistakes += _misfits(document, i, phase, scenario)
        schemes = {}
        for name, other in phase.schemes.items():
            here = ("phases", i, "schemes", name)
            try:
                schemes[name] = load_scenario(path.parent / other if (path.parent / other).is_file() else other)
            except ScenarioError as error:
                mistakes += [_at(document, here, line) for line in error.mistakes]
                continue
            if schemes[name].market != scenario.market:
                found = f"found '{other}'; allowed is a scenario of the market of '{phase.scenario}'"
                mistakes.append(_at(document, here, found))
        rungs.append(Rung(phase=phase, scenario=scenario, schemes=schemes))
    if mistakes:
        raise ScenarioError(mistakes)
    shipped = path.resolve().parent == FOLDER
    return curriculum, tuple(rungs), path.stem if shipped else str(path.resolve())


def _misfits(document: Document, i: int, phase: Phase, scenario: Scenario) -> list[str]:
    """What is wrong with the players and seats that a phase's checks name, in its market."""
    if not learning_seats(scenario):
        return [_at(document, ("phases", i, "scenario"), "no seat learns; allowed is a scenario with kind: learned")]
    roles = {seat: role.name for role in scenario.market.roles for seat in role.agents}
    wrong = []
    for j, check in enumerate(phase.checks):
        here = ("phases", i, "checks", j)
        for name in ("seat", "rival"):
            seat = getattr(check, name, "")
            if seat and seat not in roles:
                wrong.append(_at(document, (*here, name), f"found '{seat}'; allowed are {', '.join(roles)}"))
        seat = check.seat if check.seat in roles else judged_seat(scenario)
        for key, settings in recipes_of(check):
            try:
                recipe_of(scenario.market, roles[seat], settings)
            except ValueError as error:
                wrong += [_at(document, (*here, *key), line) for line in str(error).splitlines()]
    return wrong


def judged_seat(scenario: Scenario) -> str:
    """The first seat that learns; raises ValueError where none does."""
    for role in scenario.market.roles:
        for seat in role.agents:
            if scenario.players[seat].kind == "learned":
                return seat
    raise ValueError(f"{scenario.name}: no seat learns")


def _at(document: Document, path: tuple[str | int, ...], sentence: str) -> str:
    """A sentence with the line of what it is about."""
    known = path
    while known not in document.places:
        known = known[:-1]
    return f"{document.places[known].value}: {show_path(path)}: {sentence}"
