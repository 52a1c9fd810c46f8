"""One PPO update of one network: the clipped surrogate, the value loss and the minibatch loop.

Used alike by the RLlib learner and by the best responders of the Nash gap. With ρ = π(u|x)/π_old(u|x),

    L = −mean min(ρ A, clip(ρ, 1 − c, 1 + c) A) + w mean (v(x) − G)² − e H          (Schulman et al. 2017, eq. 7 and 9)

where A is the normalised advantage, G the standardised return and H the entropy of the policy's head.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch

from agents.network import Network

STATISTICS = 4096
"""Decisions of a batch on which a head's entropy is reported."""


class Scale(NamedTuple):
    """Mean and standard deviation of the return to go at each decision of a game, [T]: V_t = centre + spread v."""

    centre: np.ndarray
    spread: np.ndarray


class Past(NamedTuple):
    """What was earned in a batch: returns to go [T, C], the decision of its game that each stands at, and their scale.

    Where a segment ends before its game the critic's value stands for the rest.
    """

    returns: np.ndarray
    time: np.ndarray
    scale: Scale


class Batch(NamedTuple):
    """Decisions of one role, ready to learn from; N rows in time-major order."""

    observations: torch.Tensor  # [N, D] standardised
    actions: torch.Tensor  # [N, K] in the head's own units, not clipped
    logp: torch.Tensor  # [N] of those actions when they were drawn
    advantages: torch.Tensor  # [N] mean 0, sd 1
    targets: torch.Tensor  # [N] standardised returns
    explained_variance: float  # of the critic, before the update
    luck: float  # share of the one-step errors that surprises accounted for, and that was taken out
    past: Past | None = None


class UpdateSettings(Protocol):
    """What `update` reads of the training settings."""

    @property
    def epochs(self) -> int: ...
    @property
    def minibatch(self) -> int: ...
    @property
    def clip(self) -> float: ...
    @property
    def value_weight(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def gradient_clip(self) -> float: ...
    @property
    def final_std(self) -> float: ...


def make_optimizer(network: Network, learning_rate: float) -> torch.optim.Adam:
    """Adam over all parameters of a network."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, eps=1e-7, fused=True)


def update(
    network: Network,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: UpdateSettings,
    generator: torch.Generator,
    imitation: Callable[[], torch.Tensor] | None = None,
) -> dict[str, float]:
    """`epochs` passes over a batch in random minibatches of nearly equal size; returns what the last pass saw.

    All rows are used in every pass, so that roles with different numbers of rows get equal numbers of passes.
    `imitation` is a loss of its own that joins that of every minibatch (`arena.training.self_imitation`). Steps whose
    gradient is not finite are skipped and counted in `skipped`.
    """
    rows = batch.advantages.shape[0]
    pieces = math.ceil(rows / settings.minibatch)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    seen: dict[str, float] = dict.fromkeys(("policy_loss", "value_loss", "kl", "clip_fraction"), 0.0)
    skipped = 0
    for epoch in range(settings.epochs):
        for rows_now in torch.randperm(rows, generator=generator).tensor_split(pieces):
            x, u = batch.observations[rows_now], batch.actions[rows_now]
            advantage = batch.advantages[rows_now]
            outputs, head = network.outputs(x), network.head
            log_ratio = head.log_probability(u, outputs, x) - batch.logp[rows_now]
            ratio = torch.exp(log_ratio)
            clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
            policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
            value_loss = (network.values(x) - batch.targets[rows_now]).square().mean()
            loss = policy_loss + settings.value_weight * value_loss - settings.entropy * head.entropy(outputs, x)
            if imitation is not None:
                loss = loss + imitation()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip, foreach=True)
            if not math.isfinite(norm.item()):
                skipped += 1
                continue
            optimizer.step()
            with torch.no_grad():
                head.settle(settings.final_std)
                if epoch == settings.epochs - 1:
                    share = rows_now.shape[0] / rows
                    seen["policy_loss"] += share * policy_loss.item()
                    seen["value_loss"] += share * value_loss.item()
                    seen["kl"] += share * (ratio - 1.0 - log_ratio).mean().item()
                    seen["clip_fraction"] += share * ((ratio - 1.0).abs() > settings.clip).float().mean().item()
    with torch.no_grad():
        x = batch.observations[:STATISTICS]
        about = network.head.statistics(network.outputs(x), x)
    return (
        seen
        | about
        | {
            "explained_variance": batch.explained_variance,
            "luck": batch.luck,
            "rows": float(rows),
            "skipped": float(skipped),
        }
    )
