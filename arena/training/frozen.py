"""Frozen opponents side by side: any number of league members act in one pass.

Games of a block are cut into groups of equal size; a *cell* is one seat in one group and is played by one member.
A pass costs the same for one member and for many, and a game's actions are the bits that the member's own `player`
gives that game alone.
"""

from collections.abc import Sequence

import numpy as np

from agents.network import Weights
from arena.solvers import perceptron


class Stack:
    """The policies of C cells: cell c is played by `members[cells[c]]`; members of a role share one architecture.

    Raises ValueError when members differ in layers, nonlinearity, standardisation or the kind of action.
    """

    def __init__(self, members: Sequence[Weights], cells: Sequence[int]):
        used, self.who = np.unique(np.asarray(cells, np.int64), return_inverse=True)
        seated = [members[index] for index in used]
        first = seated[0]
        alike = [name for name in ("centre", "scale", "choice") if name in first]
        shapes = {tuple((name, w.shape) for name, w in sorted(one.items())) for one in seated}
        same = len(shapes) == 1 and all(np.array_equal(one[name], first[name]) for one in seated for name in alike)
        if not same or len({bool(one["relu"]) for one in seated}) > 1:
            raise ValueError("league: members of a role must share layers, activation and standardisation")
        self.networks = perceptron.pack(seated)
        self.choice = [int(x) for x in first["choice"]] if "choice" in first else None
        if self.choice is None:
            self.baseline, self.reach = (
                np.stack([seated[i][name] for i in self.who], axis=1)[:, :, None] for name in ("baseline", "reach")
            )

    def act(self, seen: np.ndarray, where: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """Actions on the wire, float32 [K, C, W], of the C cells that stand at `where` in standardised observations
        `seen`, float32 [D, all cells, W games of a cell]: means, or options drawn by `noise` float64 [1, all cells, W].
        """
        outputs = np.empty((self.networks.sizes[-1], len(self.who), seen.shape[2]), np.float32)
        perceptron.forward(*self.networks, self.who, where, seen, outputs)
        if self.choice is None:
            outputs *= self.reach
            outputs += self.baseline
            return outputs
        assert noise is not None  # every choice is drawn
        first, last, idle = self.choice
        chosen = np.empty((1, *outputs.shape[1:]), np.float32)
        gated = len(outputs) > last - first
        perceptron.choose(outputs, seen[first:last, where], noise[0, where], idle, gated, chosen[0])
        return chosen
