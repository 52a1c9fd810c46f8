"""Played games on record: the state at every instant by name, in memory and in the parquet files of a run folder."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.layout import Field, Layout
from arena.markets.catalogue import DEFAULT, part, part_named
from arena.markets.market import Market, Rows

VERSION = 2
"""Format of the parquet files. Version 1 knew the dealer market alone, whose kit still reads it."""


class Seats(NamedTuple):
    """The seats of a role, and which fields of the state are theirs."""

    role: str
    agents: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True)
class Record:
    """The states of B games at all T + 1 instants, [T + 1, R, B] with rows named by `layout`, and what the rows mean.

    `model` is the market's, `step` is dt in clock units (`unit`). `facts` are what this market's accounts need besides.
    `players` says who sat where ({"p_0": "learned"}) and `line_up` names that; line-ups of one run share their seeds.
    """

    state: NDArray[np.float64]
    layout: Layout
    model: str
    seats: tuple[Seats, ...]
    step: float
    unit: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    players: Mapping[str, str] = field(default_factory=dict)
    line_up: str = "final"

    def agents(self, role: str) -> tuple[str, ...]:
        """The seats of a role, in order; none where nobody has it."""
        return next((one.agents for one in self.seats if one.role == role), ())

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A named quantity over time, [T + 1, B, ...]: `record["maker_inventory"]` is [T + 1, B, M, n]."""
        rows = self.state[:, self.layout.slice(name)]
        return np.moveaxis(rows.reshape(len(rows), *self.layout.field(name).shape, self.games), -1, 1)

    def total(self, name: str) -> NDArray[np.float64]:
        """Growth of a cumulative quantity over the game, [B, ...]."""
        path = self[name]
        return path[-1] - path[0]

    @property
    def games(self) -> int:
        """Number of games B."""
        return int(self.state.shape[-1])

    @property
    def times(self) -> NDArray[np.float64]:
        """The T + 1 instants in clock units."""
        return np.arange(len(self.state), dtype=np.float64) * self.step


_WRITTEN = ("model", "step", "unit", "facts", "players", "line_up")


def record(market: Market, state: NDArray[np.float64], players: Mapping[str, str], line_up: str = "final") -> Record:
    """The games of a rollout with its trace: `record(game.market, rollout.state, {seat: who sat there})`."""
    seats = tuple(Seats(role.name, role.agents, role.rows._replace(told=())) for role in market.roles)
    facts: Callable[[Market], dict[str, Any]] = part(market, "facts", lambda _: {})
    clock = market.clock
    return Record(
        state, market.state.shown, market.model, seats, clock.dt, clock.unit, facts(market), dict(players), line_up
    )


def write_record(games: Record, folder: Path) -> Path:
    """Write games as `part-<line_up>.parquet`: a row per instant and game, a named column per quantity.

    The file appears whole or not at all; line-ups of an earlier evaluation with other names stay.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    instants, rows, count = games.state.shape
    columns: dict[str, NDArray[Any]] = {
        "instant": np.repeat(np.arange(instants, dtype=np.int32), count),
        "game": np.tile(np.arange(count, dtype=np.int32), instants),
    }
    columns |= dict(zip(games.layout.names, games.state.transpose(1, 0, 2).reshape(rows, -1), strict=True))
    facts: dict[str, Any] = {key: getattr(games, key) for key in _WRITTEN}
    facts["seats"] = [{"role": one.role, "agents": one.agents, "rows": one.rows._asdict()} for one in games.seats]
    fields = [{"name": f.name, "shape": f.shape, "labels": f.labels, "unit": f.unit} for f in games.layout]
    text = json.dumps({"schema_version": VERSION, **facts, "fields": fields})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{games.line_up}.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata({"arena": text}), f"{path}.next", compression="zstd")
    os.replace(f"{path}.next", path)
    return path


def read_records(folder: Path) -> dict[str, Record]:
    """The line-ups that `write_record` left in a folder; raises ValueError naming a file that is not one of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = {}
    for path in sorted(folder.glob("part-*.parquet")):
        try:
            table = pq.read_table(path)
            facts = json.loads(table.schema.metadata[b"arena"])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as trouble:
            raise ValueError(f"{path}: not a file of played games ({type(trouble).__name__})") from None
        version = facts.pop("schema_version")
        if version == 1:
            upgrade: Callable[[dict[str, Any]], dict[str, Any]] = part_named(DEFAULT, "from_version_1", dict)
            facts = upgrade(facts)
        elif version != VERSION:
            raise ValueError(f"{path}: written by another version of the program")
        fields = [Field(f["name"], tuple(f["shape"]), tuple(f["labels"]), f["unit"]) for f in facts.pop("fields")]
        layout = Layout(fields)
        games = int(table["game"][-1].as_py()) + 1
        columns = [table[name].to_numpy().reshape(-1, games) for name in layout.names]
        facts["facts"] = {key: tuple(one) if isinstance(one, list) else one for key, one in facts["facts"].items()}
        facts["seats"] = tuple(_seats(**one) for one in facts["seats"])
        records[facts["line_up"]] = Record(np.stack(columns, axis=1), layout, **facts)
    return records


def _seats(role: str, agents: Sequence[str], rows: Mapping[str, Any]) -> Seats:
    fields: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in rows.items()}
    return Seats(role, tuple(agents), Rows(**fields))
