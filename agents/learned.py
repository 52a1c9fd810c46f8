"""Learned players: the seat that trains, and a frozen league member that sits like any other agent.

A member is played from its arrays without torch, which is not needed to watch, judge or play it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

from arena.layout import STRICT, Choice
from arena.league import snapshot
from arena.markets.market import Act, Market
from arena.solvers import perceptron

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
    """The act of a network: its mean action in [-1, 1] units, with `explore` a sample made from the noise given; a
    network that chooses plays its own probabilities, for mixed play is its policy.

    act(observation [batch, D], noise [batch, K]) -> float32 [batch, K]; one row does not depend on the others: all
    arithmetic is elementwise or `arena.solvers.perceptron`'s.
    """
    network = perceptron.pack([weights])
    centre, inverse_scale = weights["centre"][:, None], (1.0 / weights["scale"])[:, None]
    only = np.zeros(1, np.int64)
    head = _choosing(network, weights) if "choice" in weights else _moving(weights, explore)

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        seen = np.empty((len(centre), len(observation)), np.float32)
        np.subtract(observation.T, centre, out=seen)
        seen *= inverse_scale
        np.clip(seen, -LIMIT, LIMIT, out=seen)
        outputs = np.empty((network.sizes[-1], 1, len(observation)), np.float32)
        perceptron.forward(*network, only, only, seen[:, None], outputs)
        return head(outputs, seen, noise)

    return act


Finish = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""outputs [O, 1, batch], standardised observations [D, batch], noise [batch, K] -> actions [batch, K]."""


def _moving(weights: Mapping[str, np.ndarray], explore: bool) -> Finish:
    """Numbers: an offset to the baseline."""
    baseline, reach, std = weights["baseline"], weights["reach"], np.exp(weights["log_std"])

    def finish(outputs: np.ndarray, seen: np.ndarray, noise: np.ndarray) -> np.ndarray:
        u = outputs[:, 0].T
        if explore:
            u += std * noise
        u *= reach
        u += baseline
        return u

    return finish


def _choosing(network: perceptron.Perceptrons, weights: Mapping[str, np.ndarray]) -> Finish:
    """A choice: the option that the game's own uniform number draws."""
    first, last, idle = (int(x) for x in weights["choice"])
    gated = bool(network.sizes[-1] > last - first)

    def finish(outputs: np.ndarray, seen: np.ndarray, noise: np.ndarray) -> np.ndarray:
        chosen = np.empty((1, len(noise)), np.float32)
        uniform = np.ascontiguousarray(noise.T, dtype=np.float64)
        perceptron.choose(outputs, seen[first:last, None], uniform, idle, gated, chosen)
        return chosen.T

    return finish


def columns_of(weights: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """How many columns a network sees, and how many numbers or options its action has."""
    seen, choice = len(weights["centre"]), weights.get("choice")
    return seen, len(weights["baseline"]) if choice is None else int(choice[1] - choice[0])


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
        shape, wanted = columns_of(found.weights), (role.observation.size, len(role.action))
        if shape != wanted or ("choice" in found.weights) != isinstance(role.action, Choice):
            kind = "options" if isinstance(role.action, Choice) else "action columns"
            raise ValueError(
                f"players.{seat}: {found.name} sees {shape[0]} and moves {shape[1]} columns; "
                f"this seat has {wanted[0]} observation and {wanted[1]} {kind}"
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
