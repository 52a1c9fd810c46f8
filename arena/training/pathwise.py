"""Learning along the gradient of what is earned, where what a player does can be differentiated through its games.

A market whose prices do not depend on its players offers that: its kit names a module, `GRADIENT`, whose
`record(market, seeds)` plays games and remembers what a score needs. One step of Adam follows the score's gradient.
"""

import math
from importlib import import_module
from typing import Protocol

import numpy as np
import torch

from agents.network import Network
from arena.markets.catalogue import part
from arena.markets.market import Market


class Paths(Protocol):
    """Games as a market remembers them; `seen` are the observations, [T, B, D]."""

    @property
    def seen(self) -> torch.Tensor: ...

    def score(self, network: Network) -> tuple[torch.Tensor, torch.Tensor]:
        """J of each game [B] under a network's mean action, and the part of it that the gradient follows, [B]."""
        ...


def record(market: Market, seeds: np.ndarray) -> Paths:
    """Plays games from their seeds, uint64 [B]; raises TypeError for a market without a gradient, ValueError where its
    settings leave none."""
    module = part(market, "GRADIENT", "")
    if not module:
        raise TypeError(f"pathwise: found a market of model {market.model}; allowed are those whose kit has a GRADIENT")
    paths: Paths = import_module(module).record(market, seeds)
    return paths


def update(network: Network, optimizer: torch.optim.Optimizer, paths: Paths, gradient_clip: float) -> dict[str, float]:
    """One step of a network along the gradient of J; returns statistics. A gradient that is not finite is skipped."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    whole, followed = paths.score(network)
    loss = -followed.mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], gradient_clip)
    finite = math.isfinite(norm.item())
    if finite:
        optimizer.step()
    return {
        "policy_loss": -float(whole.detach().mean()),
        "explained_variance": math.nan,  # there is no critic
        "rows": float(paths.seen.shape[0] * paths.seen.shape[1]),
        "skipped": 0.0 if finite else 1.0,
    }
