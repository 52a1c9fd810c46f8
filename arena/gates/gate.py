"""A gate as a file: what a phase reached, on which weights, and everything that the verdict depends on, as hashes.

    <ladder>/gates/<phase>.json             the gate
    <ladder>/gates/<phase>.attempts.jsonl   every attempt once more, a line each: they outlive the gate

The file carries a SHA-256 over its own content, so an edited one is noticed, and the hashes of the gate files before
it, so a ladder is a chain: who changes a rung has all rungs above it judged anew. Attempts are added, never taken away.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arena.gates.statistics import Bound
from arena.runs.run_folder import RunFolder, plain

VERSION = 1


class SeedResult(BaseModel):
    """One seed's number: where it comes from, and its one-sided bounds; exact where no game was played."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    run: str
    weights_sha256: str
    value: float
    low: float
    high: float
    n: int
    exact: bool
    holds: bool
    stretch_holds: bool | None = None
    beside: dict[str, Any] | None = None

    @property
    def bound(self) -> Bound:
        """The number and its bounds."""
        return Bound(self.value, self.low, self.high, self.n)


class CheckResult(BaseModel):
    """One check over all seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str
    asked: dict[str, Any]
    threshold: float
    sign: str
    stretch: float | None
    floor: float | None
    per_seed: tuple[SeedResult, ...]
    passed: bool
    stretch_passed: bool | None
    sentence: str
    told: dict[str, Any] = Field(default_factory=dict)
    marks: dict[str, float] = Field(default_factory=dict)


class Attempt(BaseModel):
    """A judged attempt as it is remembered for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seeds: tuple[int, ...]
    passed: bool
    verdict: str
    phase_sha256: str
    scenario_hash: str
    source_sha256: str
    weights_sha256: tuple[str, ...]
    utc: str


class Gate(BaseModel):
    """The file; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int = VERSION
    curriculum: str
    file: str
    phase: str
    passed: bool
    whole: bool = Field(description="whether at least as many seeds were judged as the curriculum names")
    verdict: str
    seeds: tuple[int, ...]
    needed: int
    checks: tuple[CheckResult, ...]
    scenario_hash: str
    phase_sha256: str
    source_sha256: str
    sources: tuple[str, ...]
    older_sources: tuple[int, ...] = Field((), description="seeds whose weights were trained with other sources")
    opened_by: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    started_from: dict[str, Any] = Field(default_factory=dict)
    option_arena: str | None
    git: dict[str, Any] | None
    utc: str
    sha256: str = ""


class DamagedError(ValueError):
    """A gate file that is not what was written."""


def seal(gate: Gate) -> Gate:
    """The gate with the hash of its content."""
    return gate.model_copy(update={"sha256": _hash(plain(gate.model_dump(mode="json")))})


def write(ladder: Path, gate: Gate) -> None:
    """Replace a phase's gate in one step, and remember its newest attempts beside it."""
    folder = RunFolder(ladder)
    folder.write_json(_name(gate.phase), gate.model_dump(mode="json"))
    for one in gate.attempts[len(_remembered(ladder, gate.phase)) :]:
        folder.add_line(_attempts(gate.phase), one.model_dump(mode="json"))


def attempts(ladder: Path, phase: str) -> tuple[Attempt, ...]:
    """All judged attempts of a phase, the first first: also where its gate file was moved away or damaged."""
    known: tuple[Attempt, ...] = ()
    with contextlib.suppress(DamagedError):
        known = gate.attempts if (gate := read(ladder, phase)) else ()
    return max(_remembered(ladder, phase), known, key=len)


def _remembered(ladder: Path, phase: str) -> tuple[Attempt, ...]:
    lines = RunFolder(ladder).lines(_attempts(phase))
    return tuple(Attempt.model_validate_json(json.dumps(line)) for line in lines)


def read(ladder: Path, phase: str) -> Gate | None:
    """A phase's gate, or none; raises DamagedError with a sentence when the file is not what was written."""
    path = ladder / _name(phase)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.get("schema_version") != VERSION:
            raise DamagedError(f"its version is {told.get('schema_version')}; this program reads {VERSION}")
        if _hash(told) != told["sha256"]:
            raise DamagedError("its sha256 does not match its content")
        return Gate.model_validate_json(json.dumps(_finite(told)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        words = str(error) if isinstance(error, DamagedError) else f"it cannot be read ({type(error).__name__})"
        raise DamagedError(f"{path} is damaged: {words}") from None


def file_sha256(ladder: Path, phase: str) -> str:
    """SHA-256 of a gate file's bytes; empty where there is none."""
    path = ladder / _name(phase)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _attempts(phase: str) -> str:
    return f"gates/{phase}.attempts.jsonl"


def _name(phase: str) -> str:
    return f"gates/{phase}.json"


def _hash(told: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in told.items() if key != "sha256"}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(told: dict[str, Any]) -> dict[str, Any]:
    """Bounds that JSON cannot hold were written as null: no number was good enough there."""
    for check in told.get("checks", ()):
        for one in check["per_seed"]:
            one["low"] = float("-inf") if one["low"] is None else one["low"]
            one["high"] = float("inf") if one["high"] is None else one["high"]
    return told
