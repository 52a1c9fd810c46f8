"""One YAML file is one game: the market, who sits where, how the learning seats train and how they are judged.

`load` reads, checks and freezes a file; whatever is wrong with it comes back at once as a `ScenarioError` whose
lines read `file:line:column: field: what was found; what is allowed`. `dump` writes the resolved scenario, every
default included, and loads back to an equal one.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from arena.layout import STRICT
from arena.league.promotion import EveryRound
from arena.league.settings import LeagueSettings
from arena.markets.catalogue import part
from arena.markets.market import Market
from arena.mistakes import Document, ScenarioError, did_you_mean, override, read, sentences, show
from arena.named import ByModel, BySeat, Recipe

__all__ = [
    "EvaluationSettings",
    "Scenario",
    "ScenarioError",
    "TrainingSettings",
    "dump",
    "json_schema",
    "load",
    "loads",
    "packaged",
]

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
"""The shipped scenarios, beside the package in the repository as in an installed wheel."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class PastReturns(BaseModel):
    """Imitate decisions of the past that earned more than is expected now: -mean 1{R > V} log pi(a|s)."""

    model_config = STRICT
    kind: Literal["past_returns"] = "past_returns"
    weight: Positive = Field(0.1, description="weight of the imitation loss")
    memory: Count = Field(20_000, description="decisions of the past that are kept")


class BestWindow(BaseModel):
    """Imitate, in every game, the contiguous decisions that earned most together: -mean log pi(a|s)."""

    model_config = STRICT
    kind: Literal["best_window"] = "best_window"
    weight: Positive = Field(0.1, description="weight of the imitation loss")
    memory: Count = Field(20_000, description="decisions of the past that are kept")
    shortest: Count = Field(10, description="decisions that a window has at least")


class TrainingSettings(BaseModel):
    """How the learning seats train: new against old, `games` games an iteration."""

    model_config = STRICT

    method: Literal["ppo", "pathwise"] = Field(
        "ppo",
        exclude_if=lambda method: method == "ppo",  # so that no scenario written before it has another hash
        description="ppo: policy gradients of played games; pathwise: gradients through a hedger's band "
        "(markets that allow it)",
    )
    iterations: Count = Field(150, description="iterations of one run")
    games: Count = Field(256, description="games per iteration, whatever the number of workers")
    block: Count = Field(
        64, description="games per fixed block; a worker plays whole blocks, so results do not depend on workers"
    )
    segment: int = Field(
        0,
        ge=0,
        exclude_if=lambda segment: segment == 0,  # so that no scenario written before it has another hash
        description="decisions of every game that an iteration plays, games go on in the next; 0: whole games",
    )
    self_imitation: Annotated[PastReturns | BestWindow, Field(discriminator="kind")] | None = Field(
        None,
        exclude_if=lambda imitation: imitation is None,
        description="also imitate what has gone well: past_returns or best_window; none: do not",
    )
    epochs: Count = Field(4, description="passes over an iteration's decisions")
    minibatch: Count = Field(4096, description="decisions per gradient step")
    learning_rate: Positive = Field(1e-3, description="Adam step size at the start")
    schedule: Literal["linear", "constant", "cosine"] = Field(
        "linear", description="linear, cosine: the step size falls to 0 at the last iteration"
    )
    clip: Positive = Field(0.2, description="clip range of the probability ratio")
    gradient_clip: Positive = Field(0.5, description="largest gradient norm")
    value_weight: Positive = Field(0.5, description="weight of the value loss")
    entropy: float = Field(0.0, ge=0, description="weight of the entropy bonus")
    discount: float = Field(1.0, gt=0, le=1, description="discount per step; 1 because games are finite")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantage estimation")
    control_variate: bool = Field(
        True, description="take the luck of arrivals (orders less their mean) out of the advantages"
    )
    hidden: tuple[Count, ...] = Field(
        (64, 64), min_length=1, description="units of each hidden layer, policy and value alike"
    )
    activation: Literal["tanh", "relu"] = Field("tanh", description="nonlinearity of the hidden layers")
    initial_std: Positive = Field(
        0.5, description="standard deviation of exploration at the start, in output units of the network"
    )
    final_std: Positive = Field(0.05, description="its lower bound, or its end if it is scheduled; in the same units")
    exploration: Literal["learned", "scheduled"] = Field(
        "learned",
        description="learned: the standard deviation follows its own gradient; "
        "scheduled: it falls by a constant ratio an iteration from initial_std to final_std",
    )
    policy: dict[str, Literal["gaussian", "categorical", "gated"]] = Field(
        default_factory=dict,
        exclude_if=lambda named: not named,  # so that no scenario written before it has another hash
        description="kind of policy by role where it is not the usual one of its action: numbers are gaussian, "
        "choices categorical; gated decides first whether to act, then how",
    )
    together: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of games in which all learning seats are new; new meets old in the rest; "
        "0 where a role has two learning seats",
    )
    average_tail: float = Field(
        0.0, ge=0, lt=1, description="share of the iterations, the last ones, whose mean weights are judged; 0: none"
    )
    seed: int = Field(0, ge=0, description="seed of games, networks and exploration")
    checkpoint_every: Count = Field(10, description="iterations between checkpoints")

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        if self.games % self.block:
            raise ValueError(f"block: found {self.block}; allowed is a divisor of games = {self.games}")
        return self

    def __hash__(self) -> int:
        """Of all settings; `policy` is a mapping, which has no hash of its own."""
        return hash(self.model_dump_json())


class EvaluationSettings(BaseModel):
    """How a profile is judged: tournament, gain of a best response per seat, and final games."""

    model_config = STRICT

    games: Count = Field(4096, description="paired games per estimate")
    gap_every: int = Field(25, ge=0, description="iterations between Nash-gap estimates; 0: only at the end")
    search: Literal["full", "shifts", "none"] = Field(
        "full",
        exclude_if=lambda search: search == "full",  # so that no scenario written before it has another hash
        description="where a seat's best response is searched for: among scripted players (none), shifts or swaps of "
        "its own actions too (shifts), and learned responders too (full)",
    )
    responders: Count = Field(3, description="fresh best responders per seat")
    warm_responders: int = Field(
        2, ge=0, description="best responders per seat that start from the profile's own weights"
    )
    responder_iterations: Count = Field(80, description="training iterations of one responder")
    responder_games: Count = Field(128, description="games per iteration of one responder")
    confidence: float = Field(0.99, gt=0.5, lt=1, description="confidence of every interval")
    members: int = Field(10, ge=2, le=10, description="league members per role in the pay-off tensor")
    tournament_games: Count = Field(128, description="games per cell of the pay-off tensor")
    seed: int = Field(1_000_003, ge=0, description="seed of evaluation games, apart from training's")


def _as_it_is(market: Market) -> Market:
    return market


def _unknown(market: Market) -> str:
    return "this market has no gradient through what its players do"


class Scenario(BaseModel):
    """A frozen, checked scenario; see `load`."""

    model_config = STRICT

    schema_version: Literal[1] = Field(1, description="version of this file format")
    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", max_length=60, description="name of runs and of the registered environment"
    )
    description: str = Field("", description="what this game is for")
    market: Annotated[Market, ByModel()] = Field(description="the rules of trading; `model` names the market")
    players: Annotated[dict[str, Recipe], BySeat()] = Field(
        default_factory=dict, validate_default=True, description="who sits where; a seat left out learns"
    )
    training: TrainingSettings = TrainingSettings()
    league: LeagueSettings = LeagueSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _new_meets_old(self) -> Self:
        learning = [sum(self.players[seat].kind == "learned" for seat in role.agents) for role in self.market.roles]
        if self.training.together == 0 and max(learning) == 1:
            found = "found 0, where no role has two learning seats and new would meet no old"
            raise ValueError(f"training.together: {found}; allowed is above 0")
        return self

    @model_validator(mode="after")
    def _segments(self) -> Self:
        segment, steps = self.training.segment, self.market.clock.steps
        if segment and segment < steps and steps % segment:
            raise ValueError(f"training.segment: found {segment}; allowed is a divisor of market.clock.steps = {steps}")
        if 0 < segment < steps:
            if self.training.method == "pathwise":
                raise ValueError(f"training.segment: found {segment} with method pathwise; allowed is 0, whole games")
            if isinstance(self.league.promotion, EveryRound):
                found = f"found {segment} where every round replaces old, and line-ups last for a game"
                raise ValueError(f"training.segment: {found}; allowed is 0, whole games")
            lucky = [role.name for role in self.market.roles if role.rows.luck]
            if self.training.control_variate and lucky:
                found = f"found true with segments of {segment} decisions, whose luck is not told apart"
                raise ValueError(f"training.control_variate: {found}; allowed is false")
        return self

    @property
    def decisions(self) -> int:
        """Decisions of a game that one iteration of training plays."""
        steps = self.market.clock.steps
        return min(self.training.segment or steps, steps)

    @property
    def judged(self) -> "Scenario":
        """This scenario as all judging plays it: without what only helps learners, such as bonuses."""
        market = part(self.market, "judged", _as_it_is)(self.market)
        return self if market is self.market else self.model_copy(update={"market": market})

    @model_validator(mode="after")
    def _learnable(self) -> Self:
        if self.training.method == "pathwise" and self.training.self_imitation is not None:
            raise ValueError("training.self_imitation: found it with method pathwise; allowed is method ppo")
        if self.training.method == "pathwise" and (why := part(self.market, "no_pathwise", _unknown)(self.market)):
            raise ValueError(f"training.method: found pathwise; allowed is ppo: {why}")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of everything that can change a number: all but name and description, in canonical JSON."""
        text = json.dumps(
            self.model_dump(mode="json", exclude={"name", "description"}), sort_keys=True, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()


def load(path_or_name: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario from a file, or a shipped one by its name; `overrides` are `dotted.key=value`, checked alike.

    Raises ScenarioError with every mistake of the file.
    """
    path = _find(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScenarioError([f"{path}: byte {error.start} is not UTF-8; allowed is UTF-8 text"]) from None
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read ({error.strerror}); allowed is a readable file"]) from None
    return _check(read(text, str(path)), overrides)


def loads(text: str, overrides: Sequence[str] = (), source: str = "<text>") -> Scenario:
    """Read a scenario from YAML text, named `source` in mistakes; raises ScenarioError with all of them."""
    return _check(read(text, source), overrides)


def _check(document: Document, overrides: Sequence[str]) -> Scenario:
    if document.places and not isinstance(document.tree, dict):
        document.mistakes.append(
            f"{document.places[()].value}: scenario: found {show(document.tree)}; allowed is a mapping"
        )
    if not isinstance(document.tree, dict):
        raise ScenarioError(document.mistakes)
    for text in overrides:
        override(document, text)
    try:
        # As JSON, because strict JSON is what a file means: '2' and true are no numbers, a list is a tuple, 1 is 1.0.
        scenario = Scenario.model_validate_json(json.dumps(document.tree), strict=True)
    except ValidationError as error:
        raise ScenarioError([*document.mistakes, *sentences(document, error, Scenario)]) from None
    if document.mistakes:
        raise ScenarioError(document.mistakes)
    return scenario


def _find(path_or_name: str | Path) -> Path:
    path = Path(path_or_name)
    if path.is_file():
        return path
    shipped = packaged()
    if str(path_or_name) in shipped:
        return FOLDER / f"{path_or_name}.yaml"
    if path.is_dir():
        raise ScenarioError([f"{path}: is a folder; allowed is a YAML file, or one of {', '.join(shipped)}"])
    hint = did_you_mean(path.stem, shipped)
    raise ScenarioError([f"{path}: no such file; allowed is a YAML file, or one of {', '.join(shipped)}{hint}"])


def packaged() -> list[str]:
    """Names of the shipped scenarios."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def dump(scenario: Scenario) -> str:
    """The resolved scenario as YAML, every default included; `loads(dump(s)) == s`."""
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = io.StringIO()
    yaml.dump(scenario.model_dump(mode="json"), out)
    return out.getvalue()


def json_schema() -> dict[str, Any]:
    """JSON schema of a scenario file, for editors and for checks outside Python."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
