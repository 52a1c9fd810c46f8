"""One PPO update of one network: the clipped surrogate, the value loss and the minibatch loop.

Used alike by the RLlib learner and by the best responders of the Nash gap. With ρ = π(u|x)/π_old(u|x),

    L = −mean min(ρ A, clip(ρ, 1 − c, 1 + c) A) + w mean (v(x) − G)² − e H          (Schulman et al. 2017, eq. 7 and 9)

where A is the normalised advantage, G the standardised return and H = Σ log σ + const the entropy of the policy.
"""

import math
from typing import NamedTuple, Protocol

import torch

from agents.network import Network


class Batch(NamedTuple):
    """Decisions of one role, ready to learn from; N rows in time-major order."""

    observations: torch.Tensor  # [N, D] standardised
    actions: torch.Tensor  # [N, K] in units of the network, not clipped
    logp: torch.Tensor  # [N] of those actions when they were drawn
    advantages: torch.Tensor  # [N] mean 0, sd 1
    targets: torch.Tensor  # [N] standardised returns
    explained_variance: float  # of the critic, before the update
    luck: float  # share of the one-step errors that surprises accounted for, and that was taken out


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


def log_probability(actions: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """log N(u; m, σ²) summed over the K columns, [N], without its constant (it cancels in every ratio)."""
    z = (actions - mean) * torch.exp(-log_std)
    return -0.5 * (z * z).sum(-1) - log_std.sum()


def update(
    network: Network,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: UpdateSettings,
    generator: torch.Generator,
) -> dict[str, float]:
    """`epochs` passes over a batch in random minibatches of nearly equal size; returns what the last pass saw.

    All rows are used in every pass, so that roles with different numbers of rows get equal numbers of passes.
    Steps whose gradient is not finite are skipped and counted in `skipped`.
    """
    rows = batch.advantages.shape[0]
    pieces = math.ceil(rows / settings.minibatch)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    least_log_std = math.log(settings.final_std)
    seen: dict[str, float] = dict.fromkeys(("policy_loss", "value_loss", "kl", "clip_fraction"), 0.0)
    skipped = 0
    for epoch in range(settings.epochs):
        for rows_now in torch.randperm(rows, generator=generator).tensor_split(pieces):
            x, u = batch.observations[rows_now], batch.actions[rows_now]
            advantage = batch.advantages[rows_now]
            log_ratio = log_probability(u, network.mean(x), network.log_std) - batch.logp[rows_now]
            ratio = torch.exp(log_ratio)
            clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
            policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
            value_loss = (network.values(x) - batch.targets[rows_now]).square().mean()
            loss = policy_loss + settings.value_weight * value_loss - settings.entropy * network.log_std.sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip, foreach=True)
            if not math.isfinite(norm.item()):
                skipped += 1
                continue
            optimizer.step()
            with torch.no_grad():
                network.log_std.clamp_(min=least_log_std)
                if epoch == settings.epochs - 1:
                    share = rows_now.shape[0] / rows
                    seen["policy_loss"] += share * policy_loss.item()
                    seen["value_loss"] += share * value_loss.item()
                    seen["kl"] += share * (ratio - 1.0 - log_ratio).mean().item()
                    seen["clip_fraction"] += share * ((ratio - 1.0).abs() > settings.clip).float().mean().item()
    log_std = network.log_std.detach()
    return seen | {
        "explained_variance": batch.explained_variance,
        "luck": batch.luck,
        "entropy": float(log_std.sum()) + 0.5 * math.log(2.0 * math.pi * math.e) * log_std.shape[0],
        "std": float(log_std.exp().mean()),
        "rows": float(rows),
        "skipped": float(skipped),
    }
