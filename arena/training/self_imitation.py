"""Self-imitation: a loss beside PPO's that repeats what has gone well in a learner's own past.

`past_returns`   L = −mean 1{R > V(x)} log π(a|x) over decisions drawn from a memory of the last iterations, with R the
                 discounted return that followed and V the critic of now: the loss of arXiv 2510.26438, eq. 24. Its
                 source, Oh et al. 2018, weighs decisions by R − V and fits V too; both are left out there, and here.
                 The mean is over all decisions drawn, worse ones count 0. Only π has a gradient.
`best_window`    L = −mean log π(a|x) over decisions drawn from the windows of the past that earned most: of every game
                 of a batch the contiguous decisions, not fewer than `shortest`, whose rewards sum to the most. This is
                 what the authors' published code does under the same name.

The loss is added with its weight to that of every minibatch, on as many decisions. Every iteration a memory takes in at
most a part of its room, drawn at random, and forgets what is oldest; it is saved with the learner. In segments a game's
window lies inside its segment, and R ends in the critic's value where the segment ended.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.network import Network
from arena.scenario import BestWindow, PastReturns
from arena.training.block import Track
from arena.training.surrogate import Batch

ITERATIONS = 20
"""A memory is full after so many iterations at the soonest."""


def best_window(rewards: np.ndarray, shortest: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last decision of the window of rewards [T, C] with the largest sum, [C] each; the earliest of equals.

    It has at least `shortest` decisions, or all T if that is fewer.
    """
    steps, columns = rewards.shape
    least = min(shortest, steps)
    total = np.concatenate([np.zeros((1, columns)), np.cumsum(rewards, axis=0, dtype=np.float64)])
    low, start = total[0].copy(), np.zeros(columns, np.int64)  # smallest sum before a window may start, and where
    best, first, last = np.full(columns, -np.inf), np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    for end in range(least, steps + 1):
        lower = total[end - least] < low
        low[lower], start[lower] = total[end - least][lower], end - least
        better = total[end] - low > best
        best[better], first[better], last[better] = (total[end] - low)[better], start[better], end - 1
    return first, last


class Memory:
    """Decisions of the past that one learner may imitate: rows [M] of observation, action, return and time."""

    def __init__(self, settings: PastReturns | BestWindow):
        self.settings = settings
        self.rows: dict[str, torch.Tensor] = {}

    @classmethod
    def of(cls, settings: PastReturns | BestWindow, state: Mapping[str, np.ndarray]) -> "Memory":
        """A memory as it was saved."""
        memory = cls(settings)
        memory.rows = {name: torch.tensor(values) for name, values in state.items()}
        return memory

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: values.numpy() for name, values in self.rows.items()}

    def take_in(self, tracks: Sequence[Track], batch: Batch, generator: torch.Generator) -> None:
        """Remember a part of a batch, which `make_batch` made of these tracks; the oldest are forgotten."""
        assert batch.past is not None  # make_batch tells it
        found = torch.from_numpy(np.flatnonzero(self._worth_it(tracks)))
        most = max(1, self.settings.memory // ITERATIONS)
        chosen = found[torch.randperm(len(found), generator=generator)[:most]]
        new = {
            "observations": batch.observations[chosen],
            "actions": batch.actions[chosen],
            "returns": torch.from_numpy(batch.past.returns.ravel())[chosen],
            "time": torch.from_numpy(batch.past.time.ravel())[chosen],
        }
        old = self.rows or {name: rows[:0] for name, rows in new.items()}
        self.rows = {name: torch.cat([old[name], rows])[-self.settings.memory :] for name, rows in new.items()}

    def _worth_it(self, tracks: Sequence[Track]) -> np.ndarray:
        """Which rows of a batch may be remembered, in its order (time-major)."""
        rewards = np.concatenate([track.rewards for track in tracks], axis=1)
        if isinstance(self.settings, PastReturns):
            return np.ones(rewards.size, bool)
        first, last = best_window(rewards, self.settings.shortest)
        t = np.arange(len(rewards))[:, None]
        return np.asarray((first <= t) & (t <= last)).ravel()

    def loss(self, network: Network, batch: Batch, count: int, generator: torch.Generator) -> torch.Tensor:
        """The weighted loss on `count` decisions drawn from the memory, a scalar."""
        assert batch.past is not None
        chosen = torch.randint(len(self.rows["time"]), (count,), generator=generator)
        x, own = self.rows["observations"][chosen], self.rows["actions"][chosen]
        likely = network.head.log_probability(own, network.outputs(x), x)
        if isinstance(self.settings, PastReturns):
            scale, time = batch.past.scale, self.rows["time"][chosen].numpy()
            earned = (self.rows["returns"][chosen].numpy() - scale.centre[time]) / scale.spread[time]
            with torch.no_grad():
                better = torch.from_numpy(earned).float() > network.values(x)
            likely = likely * better
        return -self.settings.weight * likely.mean()
