"""Gradients through a hedger's band: deep hedging on the compiled game's own numbers (Buehler et al. 2019).

Prices, births and marks do not depend on what a hedger does, so along a path its reward is a function of its band:

    h_k = clip(h_{k-1}, m_k - w_k, m_k + w_k),  m_k = c_k - net delta_k (or c_k),   f_k = c S_k |h_k - h_{k-1}|
    dW_k = dM_k + h_k (S_{k+1} - S_k) - f_k,   a = c S_N |h_N|
    J = mean of sum_k dW_k - kappa/2 dW_k^2, less a + kappa/2 a^2 where shares are sold at the end

The game is played once for what it shows and what the market does; a network's mean action gives c and w. What
dM_k + h_k (S_{k+1} - S_k) adds to J itself has a mean that no policy changes, for S is a martingale: it is left out of
the gradient, which is less noisy for that. `arena.training.pathwise` follows it.
"""

from typing import NamedTuple

import numpy as np
import torch

from agents.heads import Gaussian
from agents.network import Network
from arena.game import Game
from arena.markets.hedging.market import HedgingMarket

BATCH = 512
"""Games that are played at a time."""


class Paths(NamedTuple):
    """What games show a hedger and do to it, float32; T steps, B games.

    seen [T, B, D] raw observations; spot [T + 1, B]; moved [T, B] what the book gained; delta [T, B] its net delta
    where the band is around it, else 0.
    """

    market: HedgingMarket
    seen: torch.Tensor
    spot: torch.Tensor
    moved: torch.Tensor
    delta: torch.Tensor

    def score(self, network: Network) -> tuple[torch.Tensor, torch.Tensor]:
        """J of each game [B] under a network's mean action, and the part of it that the gradient follows."""
        return score(*bands(network, self), self)


def record(market: HedgingMarket, seeds: np.ndarray) -> Paths:
    """Plays games from their seeds, uint64 [B], with any action; raises ValueError where the hedge is observed."""
    if market.observe.hedge:
        raise ValueError("market.observe.hedge: found true; allowed is false: what is seen must not depend on the band")
    steps, games = market.clock.steps, len(seeds)
    seen = np.empty((steps, games, market.roles[0].observation.size), np.float32)
    spot, moved, delta = np.empty((steps + 1, games)), np.empty((steps, games)), np.zeros((steps, games))
    for first in range(0, games, BATCH):
        part = slice(first, min(first + BATCH, games))
        game = Game(market, part.stop - part.start)
        game.reset(seeds[part])
        for k in range(steps):
            seen[k, part] = game.observation["hedger"][:, 0]
            spot[k, part], before = game.view("spot"), game.view("mark_pnl")[:, 0].copy()
            if market.hedge.around == "delta":
                delta[k, part] = game.view("net_delta")[:, 0]
            game.advance()
            moved[k, part] = game.view("mark_pnl")[:, 0] - before
        spot[steps, part] = game.view("spot")
    return Paths(market, *(torch.from_numpy(np.asarray(one, np.float32)) for one in (seen, spot, moved, delta)))


class _Inward(torch.autograd.Function):
    """Clips to [-1, 1]; beyond them only gradients pass that lead back inside, so that no action is stuck outside."""

    @staticmethod
    def forward(ctx, action):  # noqa: ANN205
        ctx.save_for_backward(action)
        return action.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx, gradient):  # noqa: ANN205
        (action,) = ctx.saved_tensors
        # the gradient is of the loss: a descent step moves against it
        outward = ((action > 1.0) & (gradient < 0.0)) | ((action < -1.0) & (gradient > 0.0))
        return torch.where(outward, torch.zeros_like(gradient), gradient)


def bands(network: Network, paths: Paths) -> tuple[torch.Tensor, torch.Tensor]:
    """Middle and half-width of the band that a network's mean action asks for, each [T, B], shares.

    Raises TypeError for a network that chooses.
    """
    head = network.head
    if not isinstance(head, Gaussian):
        raise TypeError("pathwise: the network chooses; allowed is an action in numbers")
    steps, games, columns = paths.seen.shape
    outputs = network.outputs(network.standardise(paths.seen.reshape(-1, columns)))
    action = _Inward.apply(head.baseline + head.reach * outputs).view(steps, games, -1)
    hedge, names = paths.market.hedge, paths.market.roles[0].numbers.names
    parts = []
    for name, (low, high) in (("centre", hedge.centre), ("width", hedge.width)):
        if name in names:
            parts.append(low + (action[..., names.index(name)] + 1.0) * (0.5 * (high - low)))
        else:
            parts.append(torch.full((steps, games), float(low)))
    return parts[0] - paths.delta, parts[1]


def score(middle: torch.Tensor, width: torch.Tensor, paths: Paths) -> tuple[torch.Tensor, torch.Tensor]:
    """J of each game [B], and the same less what has a mean that no band changes; both are the game's own numbers."""
    hedge, kappa = paths.market.hedge, paths.market.risk.variation_aversion
    low, high = middle - width, middle + width
    held = torch.zeros_like(middle[0])
    traded, holdings = [], []
    for k in range(len(middle)):
        target = torch.minimum(torch.maximum(held, low[k]), high[k])
        traded.append(target - held)
        holdings.append(held := target)
    fees = hedge.cost * paths.spot[:-1] * torch.stack(traded).abs()
    earned = paths.moved + torch.stack(holdings) * (paths.spot[1:] - paths.spot[:-1])
    last = hedge.cost * paths.spot[-1] * held.abs() if hedge.unwind else torch.zeros_like(held)
    due = 0.5 * kappa * ((earned - fees).square().sum(0) + last.square())
    paid = fees.sum(0) + last
    return earned.sum(0) - paid - due, -paid - due
