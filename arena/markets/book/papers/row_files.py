"""A row's file: numbers of its training seeds, what they rest on, and whether they still stand. No weights.

A file is written after each seed, so that a command that was stopped continues, also in a fresh clone. It is sealed by
a hash of its content, and names the hashes of the scenario and of the sources that its numbers rest on: market,
players and what measures. Rows are
    missing     nothing has been played
    begun       some seeds, or fewer games than asked for
    finished    all that is asked for
    stale       played in another scenario or by other sources
    damaged     not what was written
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arena.markets.book.papers.rows import Row
from arena.runs.run_folder import RunFolder, plain

VERSION = 1
SEEDS, GAMES = (0, 1, 2, 3, 4), 4000
"""Training seeds, and the test games that each of them plays: 20 000 in sum."""
FULL = dict.fromkeys(SEEDS, GAMES)
QUICK = {0: 2000}

State = Literal["missing", "begun", "finished", "stale", "damaged"]


class AtFee(BaseModel):
    """A Sharpe ratio at one fee, none where money never moved, and the P&L it is made of, in ticks a game."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fee: float
    sharpe: float | None
    se: float | None
    mean: float
    sd: float


class SeedNumbers(BaseModel):
    """What one training seed did in its test games; a scripted player has no weights, its seed chooses games alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    games: int = Field(ge=2)
    weights_sha256: str | None
    fees: tuple[AtFee, ...] = Field(min_length=1)
    held: float = Field(description="mean |Y| over time, lots")
    fills: float = Field(description="lots of resting orders that traded, a game")
    messages: float = Field(description="posts and cancels, a game")
    one_sided: float
    determined: float
    push: float
    verdict: str


class RowFile(BaseModel):
    """The file; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int = VERSION
    paper: str = "hawkes_book"
    row: str
    scenario_sha256: str
    sources_sha256: str
    seeds: tuple[SeedNumbers, ...] = Field(min_length=1)
    commit: str | None = None
    utc: str = ""
    sha256: str = ""

    def played(self, wanted: Mapping[int, int]) -> bool:
        """Whether every seed that is asked for has played as many games as asked for."""
        return not self.missing(wanted)

    def missing(self, wanted: Mapping[int, int]) -> list[int]:
        """Seeds that are asked for and have not played, or too few games."""
        games = {one.seed: one.games for one in self.seeds}
        return [seed for seed, count in wanted.items() if games.get(seed, 0) < count]


class Standing(NamedTuple):
    """How a row stands: its state, the reason in words that can follow `row NAME is`, and its file where it is read."""

    state: State
    reason: str
    file: RowFile | None = None


class RowFileError(ValueError):
    """A row file that is not what was written, in one sentence."""


def path_of(folder: Path, name: str) -> Path:
    """Where a row's file lies."""
    return folder / f"{name}.json"


def write(folder: Path, file: RowFile) -> None:
    """Seal a row's file and put it in its place in one step."""
    told = plain(file.model_dump(mode="json", exclude={"sha256"}))
    RunFolder(folder).write_json(path_of(folder, file.row).name, {**told, "sha256": _hash(told)})


def read(folder: Path, name: str) -> RowFile | None:
    """A row's file, or none; raises RowFileError with a sentence when it is not what was written."""
    path = path_of(folder, name)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.get("schema_version") != VERSION:
            raise RowFileError(f"its version is {told.get('schema_version')}; this program reads {VERSION}")
        if _hash(told) != told["sha256"]:
            raise RowFileError("its sha256 does not match its content")
        if told["row"] != name:
            raise RowFileError(f"it is the file of row {told['row']}")
        return RowFile.model_validate_json(json.dumps(told))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        words = str(error) if isinstance(error, RowFileError) else f"it cannot be read ({type(error).__name__})"
        raise RowFileError(f"{path} is damaged: {words}; allowed is the file that was written, or none") from None


def standing(folder: Path, row: Row, sources: str, wanted: Mapping[int, int]) -> Standing:
    """How a row stands for `wanted` games by seed, with these sources."""
    try:
        file = read(folder, row.name)
    except RowFileError as error:
        return Standing("damaged", f"damaged: {error}")
    if file is None:
        return Standing("missing", "not played yet")
    now = {"scenario": (file.scenario_sha256, row.scenario().hash), "sources": (file.sources_sha256, sources)}
    for what, (then, today) in now.items():
        if then != today:
            return Standing("stale", f"stale ({what} hash {then[:8]}.. is not {today[:8]}.. of today)", file)
    if missing := file.missing(wanted):
        words = ", ".join(map(str, missing))
        return Standing("begun", f"begun: {len(wanted) - len(missing)} of {len(wanted)} seeds; to do: {words}", file)
    games = sum(one.games for one in file.seeds)
    return Standing("finished", f"finished: {games} games of {len(file.seeds)} seed(s)", file)


def _hash(told: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in told.items() if key != "sha256"}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
