"""Names, bounds and units of flat vectors: one `Layout` describes an observation, an action or a market's state.

Everything that crosses a border between rooms (kernel to network, network to kernel, game to report) is a flat
vector whose columns are named here once. Nobody indexes by a literal number.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict

Array = NDArray[np.float64]
"""The house's numbers: double precision, of any shape."""

STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
"""The one configuration of every settings class: immutable, unknown keys refused, numbers finite."""


class Field(NamedTuple):
    """A named group of columns that share unit, bounds and scale.

    `shape` is the group's shape per game, `()` for a single column; `labels` names its columns in C order.
    `centre` and `scale` standardise a column for a network: (x - centre) / scale is of order one.
    """

    name: str
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    centre: ArrayLike = 0.0
    scale: ArrayLike = 1.0

    @property
    def size(self) -> int:
        """Number of columns."""
        return int(np.prod(self.shape, dtype=int))


class Choice:
    """An action that is one of K named options; on the wire a single column that holds its index.

    `idle` is what a choice becomes that is not allowed now or is no index at all; a market counts these.
    Raises ValueError for fewer than two options, names that repeat, or an idle option that is none of them.
    """

    size = 1
    names = ("choice",)

    def __init__(self, options: Sequence[str], idle: int = 0):
        self.options, self.idle = tuple(options), idle
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise ValueError(f"choice: found options {self.options}; allowed are two or more different names")
        if not 0 <= idle < len(self.options):
            raise ValueError(f"choice: found idle = {idle}; allowed are 0 to {len(self.options) - 1}")

    def __len__(self) -> int:
        return len(self.options)


class Layout:
    """The columns of a flat vector, in order.

    Sizes: D columns. `low`, `high`, `centre`, `scale` are float64 [D]; `names` and `units` have D entries.
    Raises ValueError for a name that repeats and for labels that are not one per column.
    """

    def __init__(self, fields: Sequence[Field]):
        self.fields = tuple(fields)
        self._slices: dict[str, slice] = {}
        start = 0
        for field in self.fields:
            if field.name in self._slices:
                raise ValueError(f"layout: field '{field.name}' appears twice")
            if field.labels and len(field.labels) != field.size:
                found = f"{field.size} columns and {len(field.labels)} labels"
                raise ValueError(f"layout: field '{field.name}' has {found}")
            self._slices[field.name] = slice(start, start + field.size)
            start += field.size
        self.size = start

    def __len__(self) -> int:
        return self.size

    def __contains__(self, name: object) -> bool:
        return name in self._slices

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def slice(self, name: str) -> slice:
        """The columns of a field; raises KeyError naming the fields that exist."""
        try:
            return self._slices[name]
        except KeyError:
            raise KeyError(f"no field '{name}'; there are {', '.join(self._slices)}") from None

    def field(self, name: str) -> Field:
        """The field of that name."""
        self.slice(name)
        return next(field for field in self.fields if field.name == name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, `inventory[C95]` or plain `time_left`."""
        out: list[str] = []
        for field in self.fields:
            labels = field.labels or (tuple(str(i) for i in range(field.size)) if field.shape else ())
            out += [f"{field.name}[{label}]" for label in labels] or [field.name] * field.size
        return tuple(out)

    @cached_property
    def shown(self) -> "Layout":
        """The columns that people see: without fields whose name begins with `_`."""
        return Layout([field for field in self.fields if not field.name.startswith("_")])

    @cached_property
    def shown_columns(self) -> NDArray[np.intp]:
        """Which columns these are."""
        return np.flatnonzero([not name.startswith("_") for name in self.names])

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Unit of each column."""
        return tuple(field.unit for field in self.fields for _ in range(field.size))

    def _column(self, attribute: str) -> np.ndarray:
        parts = [np.broadcast_to(np.asarray(getattr(f, attribute), dtype=float), f.size) for f in self.fields]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower bound of each column [D]."""
        return self._column("low")

    @cached_property
    def high(self) -> np.ndarray:
        """Upper bound of each column [D]."""
        return self._column("high")

    @cached_property
    def centre(self) -> np.ndarray:
        """Typical value of each column [D]."""
        return self._column("centre")

    @cached_property
    def scale(self) -> np.ndarray:
        """Typical spread of each column [D]."""
        return self._column("scale")

    def from_unit(self, unit: np.ndarray) -> np.ndarray:
        """Physical values of columns given in [-1, 1]: low + (1 + u)(high - low)/2, shape [..., D]."""
        return self.low + (np.asarray(unit) + 1.0) * (0.5 * (self.high - self.low))

    def to_unit(self, physical: np.ndarray) -> np.ndarray:
        """Inverse of `from_unit`; a column whose bounds coincide maps to 0."""
        width = np.where(self.high > self.low, self.high - self.low, np.inf)
        return np.where(np.isinf(width), 0.0, 2.0 * (np.asarray(physical) - self.low) / width - 1.0)
