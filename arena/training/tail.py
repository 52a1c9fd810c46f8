"""The mean of a run's last weights: noise of the last steps cancels, and what is judged is the mean.

Polyak & Juditsky 1992: averaged iterates converge faster than the last one where gradients are noisy. In self-play the
mean also damps the circling of learners around each other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.network import Weights


class Tail:
    """Sums of the weights of several networks by name; buffers that are no numbers are those of the newest weights."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, dict[str, np.ndarray]] = {}

    def add(self, weights: Mapping[str, Weights]) -> None:
        """Take one iteration's weights into the mean."""
        self.count += 1
        for name, network in weights.items():
            sums = self._sums.setdefault(name, {})
            for key, values in network.items():
                if np.issubdtype(values.dtype, np.floating):
                    sums[key] = sums.get(key, 0.0) + values.astype(np.float64)

    def mean(self, newest: Mapping[str, Weights]) -> dict[str, dict[str, np.ndarray]]:
        """The mean of what was added and of the newest weights; the newest alone where nothing was added."""
        out = {}
        for name, network in newest.items():
            sums = self._sums.get(name, {})
            out[name] = {
                key: ((sums[key] + values) / (self.count + 1)).astype(values.dtype) if key in sums else values
                for key, values in network.items()
            }
        return out

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"count": self.count, "sums": self._sums}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue a saved mean."""
        self.count, self._sums = state["count"], {name: dict(sums) for name, sums in state["sums"].items()}
