"""Played games on record: the state at every instant by name, in memory and in the parquet files of a run folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.layout import Field, Layout
from arena.markets.dealer.market import DealerMarket

VERSION = 1
"""Format of the parquet files."""


@dataclass(frozen=True)
class Record:
    """The states of B games at all T + 1 instants, [T + 1, R, B] with rows named by `layout`, and what the rows mean.

    `traded[i]` is the product that executor i works, `step` is dt in clock units (`unit`).  `players` says who sat
    where ({"mm_0": "learned", "trader_0": "twap"}) and `line_up` names that; line-ups of one run share their seeds.
    `hedging` is the market's: shares held count as wealth unless the hedge is a swap (`perfect`).
    """

    state: NDArray[np.float64]
    layout: Layout
    makers: tuple[str, ...]
    executors: tuple[str, ...]
    products: tuple[str, ...]
    traded: tuple[int, ...]
    step: float
    unit: str
    hedging: str = "perfect"
    players: Mapping[str, str] = field(default_factory=dict)
    line_up: str = "final"

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


_FACTS = ("makers", "executors", "products", "traded", "step", "unit", "hedging", "players", "line_up")


def record(
    market: DealerMarket, state: NDArray[np.float64], players: Mapping[str, str], line_up: str = "final"
) -> Record:
    """The games of a rollout with its trace: `record(game.market, rollout.state, {"mm_0": "learned", ...})`."""
    traded = tuple(market.product_names.index(executor.product) for executor in market.executors)
    seats = market.maker_names, market.executor_names, market.product_names, traded
    clock = market.clock
    return Record(state, market.state, *seats, clock.dt, clock.unit, market.makers.hedging.kind, dict(players), line_up)


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
    facts: dict[str, Any] = {key: getattr(games, key) for key in _FACTS}
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
        if facts.pop("schema_version") != VERSION:
            raise ValueError(f"{path}: written by another version of the program")
        fields = [Field(f["name"], tuple(f["shape"]), tuple(f["labels"]), f["unit"]) for f in facts.pop("fields")]
        layout = Layout(fields)
        games = int(table["game"][-1].as_py()) + 1
        columns = [table[name].to_numpy().reshape(-1, games) for name in layout.names]
        facts |= {key: tuple(facts[key]) for key in ("makers", "executors", "products", "traded")}
        records[facts["line_up"]] = Record(np.stack(columns, axis=1), layout, **facts)
    return records
