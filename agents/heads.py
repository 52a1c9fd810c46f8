"""From a policy network's outputs to actions on the wire: a head for each kind of action.

With outputs o(x) [O] of the standardised observation x and the game's own noise ε [K], a number of its own for each
column of the action (a standard normal; for a choice a uniform on (0, 1)), a head says

    what is played         sample         the action on the wire, and the same in the head's own units
    how likely that was    log_probability
    how open it still is   entropy

`Gaussian`     u = o + σ ε, action = baseline + reach · u in [-1, 1] units;  own units u [K]
`Categorical`  P(k) = softmax of o over the options that are allowed;  own units the index [1]
`Gated`        d = sigmoid(o_0) is the chance to act at all, P(idle) = 1 - d, P(k) = d · softmax over the other allowed
               options; its entropy is H(d) + d · H(which)

An option that is not allowed has probability 0; where none is, `idle` is played. `agents.learned.player` plays the same
heads without torch. A head is a view on a network's tensors, made anew whenever it is asked for.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import logsigmoid

FAR = -1e9
"""Logarithm of the probability of an option that is not allowed."""


class Numbers(NamedTuple):
    """Where learning starts for an action in numbers, [K] each in [-1, 1] units: the baseline and one unit of reach."""

    baseline: np.ndarray
    reach: np.ndarray


class Options(NamedTuple):
    """Where learning starts for a choice: probabilities [K] where all is allowed, and the observation's columns
    `first` to `last` - 1 that say what is allowed; `gated` asks for a head that decides first whether to act."""

    probabilities: np.ndarray
    first: int
    last: int
    idle: int = 0
    gated: bool = False

    def outputs(self) -> np.ndarray:
        """The network outputs that mean these probabilities."""
        p = np.asarray(self.probabilities, dtype=float)
        if not self.gated:
            return np.log(p)
        others = np.where(np.arange(len(p)) == self.idle, 1.0, p / (1.0 - p[self.idle]))
        return np.concatenate([[math.log(1.0 / p[self.idle] - 1.0)], np.log(others)])


Prior = Numbers | Options


class Gaussian:
    """Numbers: the action is an offset to a baseline, `log_std` [K] is not of the state."""

    def __init__(self, baseline: torch.Tensor, reach: torch.Tensor, log_std: torch.Tensor):
        self.baseline, self.reach, self.log_std = baseline, reach, log_std

    @cached_property
    def _columns(self) -> tuple[torch.Tensor, ...]:
        return self.baseline[:, None], self.reach[:, None], self.log_std.exp()[:, None], self.log_std.sum()

    def sample(
        self, outputs: torch.Tensor, seen: torch.Tensor, noise: torch.Tensor, logp: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions on the wire and in own units, both [K, C], of outputs [O, C] and noise [K, C]; writes `logp` [C].

        `seen` [D, C] are the standardised observations.
        """
        baseline, reach, std, log_volume = self._columns
        u = torch.addcmul(outputs, std, noise)
        torch.sub((noise * noise).sum(0).mul_(-0.5), log_volume, out=logp)
        return torch.addcmul(baseline, reach, u), u

    def log_probability(self, own: torch.Tensor, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """log N(u; o, σ²) summed over the K columns, [N], without its constant (it cancels in every ratio)."""
        z = (own - outputs) * torch.exp(-self.log_std)
        return -0.5 * (z * z).sum(-1) - self.log_std.sum()

    def entropy(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Mean over the rows, without its constant: Σ log σ."""
        return self.log_std.sum()

    def distribution(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Means and log standard deviations of the actions in [-1, 1] units, [N, 2 K]: what RLlib calls its inputs."""
        mean = self.baseline + self.reach * outputs
        log_std = (self.log_std.exp() * self.reach).clamp(min=1e-6).log()
        return torch.cat([mean, log_std.expand_as(mean)], dim=-1)

    def settle(self, least_std: float) -> None:
        """Keep the standard deviation from falling below its bound; called after every gradient step."""
        self.log_std.clamp_(min=math.log(least_std))

    def statistics(self, outputs: torch.Tensor, seen: torch.Tensor) -> dict[str, float]:
        """Entropy and mean standard deviation."""
        log_std = self.log_std.detach()
        entropy = float(log_std.sum()) + 0.5 * math.log(2.0 * math.pi * math.e) * log_std.shape[0]
        return {"entropy": entropy, "std": float(log_std.exp().mean())}


class Categorical:
    """A choice among the options that are allowed; `columns` [3]: first and last column of the mask, and idle."""

    def __init__(self, columns: torch.Tensor):
        first, last, self.idle = (int(x) for x in columns)
        self.mask = slice(first, last)

    def masses(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Logarithms of the probabilities of all options, [N, K], of outputs [N, O] and observations [N, D]."""
        return torch.log_softmax(torch.where(self._allowed(seen), outputs, FAR), -1)

    def _allowed(self, seen: torch.Tensor) -> torch.Tensor:
        allowed = seen[:, self.mask] > 0.5
        allowed[:, self.idle] |= ~allowed.any(-1)
        return allowed

    def sample(
        self, outputs: torch.Tensor, seen: torch.Tensor, noise: torch.Tensor, logp: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The options drawn by the uniforms `noise` [1, C], as indices [1, C], once for the wire and once as own units.

        The option is the first whose cumulated probability reaches the uniform number.
        """
        masses = self.masses(outputs.T, seen.T)
        allowed = masses > 0.5 * FAR
        last = allowed.shape[1] - 1 - allowed.flip(1).to(torch.int8).argmax(1)  # rounding must not lead beyond it
        index = torch.minimum((masses.exp().cumsum(1) < noise.T).sum(1), last)
        logp.copy_(masses.gather(1, index[:, None])[:, 0])
        own = index.to(outputs.dtype)[None]
        return own, own

    def log_probability(self, own: torch.Tensor, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """log P of the options that were played, [N], of own units [N, 1]."""
        return self.masses(outputs, seen).gather(1, own.long())[:, 0]

    def entropy(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of -Σ P log P; 0 where one option alone is allowed."""
        masses = self.masses(outputs, seen)
        return -(masses.exp() * masses).sum(-1).mean()

    def distribution(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Logarithms of the probabilities [N, K]: what RLlib calls the inputs of a categorical distribution."""
        return self.masses(outputs, seen)

    def settle(self, least_std: float) -> None:
        """Nothing: a choice explores by its own probabilities."""

    def statistics(self, outputs: torch.Tensor, seen: torch.Tensor) -> dict[str, float]:
        """The mean entropy."""
        return {"entropy": float(self.entropy(outputs, seen))}


class Gated(Categorical):
    """A choice that decides first whether to act, then which option; its outputs are 1 + K."""

    def masses(self, outputs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Logarithms of P(idle) = 1 - d and P(k) = d · softmax_k over the other options that are allowed, [N, K]."""
        allowed = self._allowed(seen)
        may_rest = allowed[:, self.idle].clone()
        allowed[:, self.idle] = False
        may_act = allowed.any(-1)
        which = torch.log_softmax(torch.where(allowed, outputs[:, 1:], FAR), -1)
        act = torch.where(may_rest, logsigmoid(outputs[:, 0]), torch.zeros_like(outputs[:, 0]))
        rest = torch.where(may_act, logsigmoid(-outputs[:, 0]), torch.zeros_like(outputs[:, 0]))
        rest = torch.where(may_rest, rest, torch.full_like(rest, FAR))
        out = torch.where(allowed, which + act[:, None], torch.full_like(which, FAR))
        return torch.cat([out[:, : self.idle], rest[:, None], out[:, self.idle + 1 :]], dim=1)


Head = Gaussian | Categorical | Gated


def head_of(weights: Mapping[str, Any], outputs: int) -> Head:
    """The head that arrays or tensors by name describe, of a network with that many outputs."""

    def tensor(name: str) -> torch.Tensor:
        return weights[name] if isinstance(weights[name], torch.Tensor) else torch.tensor(weights[name])

    if "choice" not in weights:
        return Gaussian(tensor("baseline"), tensor("reach"), tensor("log_std"))
    first, last, _ = (int(x) for x in weights["choice"])
    return (Gated if outputs > last - first else Categorical)(tensor("choice"))
