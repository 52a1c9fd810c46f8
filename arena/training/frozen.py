"""Frozen opponents side by side: any number of league members act in four batched matrix products.

Games of a block are cut into groups of equal size; a *cell* is one seat in one group and is played by one member.
The weights of each cell's member are stacked, so a forward pass costs the same for one member and for many.
"""

from collections.abc import Sequence

import numpy as np
import torch

from agents.network import Weights


def linear_layers(weights: Weights) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight [out, in] and bias [out] of each linear layer of the policy, first to last."""
    indices = sorted({int(name.split(".")[1]) for name in weights if name.startswith("policy.")})
    return [(weights[f"policy.{i}.weight"], weights[f"policy.{i}.bias"]) for i in indices]


def activate_(hidden: torch.Tensor, relu: bool) -> torch.Tensor:
    """The networks' nonlinearity, in place."""
    return hidden.relu_() if relu else hidden.tanh_()


class Stack:
    """Policies of C cells, one member each; all members of a role share one architecture.

    Raises ValueError when members differ in layers, nonlinearity or standardisation.
    """

    def __init__(self, members: Sequence[Weights], cells: Sequence[int]):
        first = members[cells[0]]
        for index in set(cells):
            same = all(np.array_equal(members[index][name], first[name]) for name in ("centre", "scale", "relu"))
            if not same or {n: w.shape for n, w in members[index].items()} != {n: w.shape for n, w in first.items()}:
                raise ValueError("league: members of a role must share layers, activation and standardisation")
        layers = [linear_layers(members[index]) for index in cells]
        depth = len(layers[0])
        self.layers = [
            (
                torch.from_numpy(np.stack([one[i][0] for one in layers])),  # [C, out, in]
                torch.from_numpy(np.stack([one[i][1] for one in layers]))[:, :, None],  # [C, out, 1]
            )
            for i in range(depth)
        ]
        self.linear = torch.from_numpy(np.stack([members[index]["linear"] for index in cells]))
        self.relu = bool(first["relu"])
        self.baseline = torch.from_numpy(np.stack([members[index]["baseline"] for index in cells]))[:, :, None]
        self.reach = torch.from_numpy(np.stack([members[index]["reach"] for index in cells]))[:, :, None]

    def act(self, standardised: torch.Tensor) -> torch.Tensor:
        """Mean actions in [-1, 1] units, [C, K, games], from observations [C, D, games]."""
        x = standardised
        for weight, bias in self.layers[:-1]:
            x = activate_(torch.baddbmm(bias, weight, x), self.relu)
        weight, bias = self.layers[-1]
        u = torch.baddbmm(torch.baddbmm(bias, weight, x), self.linear, standardised)
        return self.baseline + self.reach * u
