"""Learned players: the seat that trains, and a frozen league member that sits like any other agent.

A member is played from its arrays without torch, which is not needed to watch, judge or play it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

from arena.layout import STRICT
from arena.league import snapshot
from arena.markets.market import Market
from arena.solvers import perceptron

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
LIMIT = 10.0
"""Standardised observations are clipped to ±LIMIT, in training and in play."""


class Learned(BaseModel):
    """This seat learns; it is played by the policy that trains, or by the best member of a run when it is judged."""

    model_config = STRICT
    kind: Literal["learned"] = "learned"

    def sit(self, market: Market, seat: str) -> Act:
        """Raises ValueError: a learning seat has no fixed act."""
        raise ValueError(f"players.{seat}: this seat learns; give a snapshot or a scripted agent to play it")


def player(weights: Mapping[str, np.ndarray], explore: bool = False) -> Act:
    """The act of a network: its mean action in [-1, 1] units, or with `explore` a sample made from the noise given.

    act(observation [batch, D], noise [batch, K]) -> float32 [batch, K]; one row does not depend on the others: all
    arithmetic is elementwise or `arena.solvers.perceptron`'s.
    """
    network = perceptron.pack([weights])
    centre, inverse_scale = weights["centre"][:, None], (1.0 / weights["scale"])[:, None]
    baseline, reach = weights["baseline"], weights["reach"]
    std, only = np.exp(weights["log_std"]), np.zeros(1, np.int64)

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        seen = np.empty((len(centre), len(observation)), np.float32)
        np.subtract(observation.T, centre, out=seen)
        seen *= inverse_scale
        np.clip(seen, -LIMIT, LIMIT, out=seen)
        outputs = np.empty((len(baseline), 1, len(observation)), np.float32)
        perceptron.forward(*network, only, only, seen[:, None], outputs)
        u = outputs[:, 0].T
        if explore:
            u += std * noise
        u *= reach
        u += baseline
        return u

    return act


class Snapshot(BaseModel):
    """A member of a run's league, by run folder and name."""

    model_config = STRICT
    kind: Literal["snapshot"] = "snapshot"
    path: str = Field(description="run folder, or its league folder")
    member: str = Field("", description="name of the member; empty: the newest of the seat's role")
    explore: bool = Field(False, description="play with the exploration noise it trained with")

    def sit(self, market: Market, seat: str) -> Act:
        """Read the member's files; raises ValueError when they are missing, damaged, or of another role or shape."""
        role = next(role for role in market.roles if seat in role.agents)
        folder = Path(self.path) / "league" if (Path(self.path) / "league").is_dir() else Path(self.path)
        found = snapshot.read(folder, self.member or newest(folder, role.name))
        if found.role != role.name:
            raise ValueError(
                f"players.{seat}.member: {found.name} is a {found.role}; allowed is a member of role {role.name}"
            )
        shape = (len(found.weights["centre"]), len(found.weights["baseline"]))
        if shape != (role.observation.size, role.action.size):
            wanted = f"{role.observation.size} observation and {role.action.size} action columns"
            raise ValueError(
                f"players.{seat}: {found.name} sees {shape[0]} and moves {shape[1]} columns; this seat has {wanted}"
            )
        return player(found.weights, self.explore)


def newest(folder: Path, role: str) -> str:
    """Name of a role's newest member that is no exploiter; raises ValueError when the folder holds none."""
    records = [
        snapshot.read_record(folder, path.stem)
        for path in sorted(folder.glob("*.json"))
        if path.with_suffix(".npz").is_file()
    ]
    names = [(record.iteration, record.name) for record in records if record.role == role and not record.is_exploiter]
    if not names:
        raise ValueError(f"{folder}: no league member of role {role}; allowed is a run folder with trained members")
    return max(names)[1]
