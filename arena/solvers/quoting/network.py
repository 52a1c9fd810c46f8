"""A network that solves one maker's HJB by driving the exact generator's residual to zero: no sampled jumps, no
variance.

    V_theta(t, q) = -c q^2 + tau h0 (1 + N_theta(x)),    tau = T - t,   h0 = H_b(0) + H_a(0)
    x = tau/T, ln(1 + tau/T pace) / ln(1 + pace), q/Q, e^{|q| - Q},    pace = T c sum_s A_s k_s
    residual = -dV/dtau + q g - phi/2 q^2 + H_b(V(q+1) - V(q)) + H_a(V(q-1) - V(q)),    loss = mean residual^2

The second input stretches the fast decay of the terminal penalty, the fourth the layer at the inventory bound. The
terminal condition holds exactly; H is the Gibbs gain (its table) or the plain one. This is the model-based repair of
Fang & Xu's Algorithm 1: their sample version of the same square adds the variance of a transition
(`sampled`)."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from arena.solvers.options.option_model import profile
from arena.solvers.quoting.maker import Maker, QuoteTable, gains_table, quotes


class NetworkFit(NamedTuple):
    """The fitted table and the root mean square residual [currency / time] on the training grid."""

    table: QuoteTable
    residual: float


def fit(
    maker: Maker, seed: int, *, steps: int = 100, times: int = 40, width: int = 32, iterations: int = 400
) -> NetworkFit:
    """Fit by full-batch L-BFGS on `times` Chebyshev times x all inventories, in float64, deterministic given `seed`.

    Raises ValueError when a profile drift is given (the residual needs a smooth one) or iterations is below 1.
    """
    import torch  # heavy, and only this solver needs it

    if len(profile(maker.drift).values) > 1:
        raise ValueError("the residual network needs a constant drift")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, found {iterations}")
    generator = torch.Generator().manual_seed(seed)
    sizes, parameters = (4, width, width, 1), []
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = torch.randn((fan_in, fan_out), generator=generator, dtype=torch.float64) / math.sqrt(fan_in)
        parameters += [weight.requires_grad_(), torch.zeros(fan_out, dtype=torch.float64).requires_grad_()]

    q = torch.tensor(maker.inventory, dtype=torch.float64)
    edge = torch.exp(q.abs() - maker.inventory_limit)
    pace = max(float((maker.rates * maker.decays).sum()) * maker.terminal_cost * maker.horizon, 1e-3)
    gain = _gains(maker)
    level = float(gain(torch.zeros(1, dtype=torch.float64), 0) + gain(torch.zeros(1, dtype=torch.float64), 1))
    carry = q * float(profile(maker.drift).values[0]) - 0.5 * maker.running_penalty * q**2

    def value(tau: Any) -> Any:
        """V [times, 2Q+1] at times left tau [times, 1]."""
        shape = (tau.shape[0], q.shape[0])
        share = tau / maker.horizon
        early = torch.log1p(pace * share) / math.log1p(pace)
        columns = (share, early, q / maker.inventory_limit, edge)
        x = torch.stack([column.expand(shape) for column in columns], -1)
        for i in range(0, len(parameters), 2):
            x = x @ parameters[i] + parameters[i + 1]
            if i + 2 < len(parameters):
                x = torch.tanh(x)
        return -maker.terminal_cost * q**2 + tau * level * (1.0 + x[..., 0])

    knots = 0.5 - 0.5 * np.cos(math.pi * (np.arange(times) + 0.5) / times)
    tau = torch.tensor(maker.horizon * knots, dtype=torch.float64)[:, None]

    def residual() -> Any:
        moved: Any = torch.func.jvp(value, (tau,), (torch.ones_like(tau),))
        v, slope = moved
        gap = v[:, 1:] - v[:, :-1]
        bid = torch.nn.functional.pad(gain(gap, 0), (0, 1))
        ask = torch.nn.functional.pad(gain(-gap, 1), (1, 0))
        return bid + ask + carry - slope

    optimiser = torch.optim.LBFGS(parameters, max_iter=iterations, history_size=50, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-10, tolerance_change=1e-14)  # fmt: skip

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (residual() ** 2).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        rows = np.linspace(maker.horizon, 0.0, steps + 1)
        found = value(torch.tensor(rows, dtype=torch.float64)[:, None]).numpy()
        error = float((residual() ** 2).mean().sqrt())
    return NetworkFit(QuoteTable(maker.horizon - rows, maker.inventory, found, quotes(maker, found)), error)


def _gains(maker: Maker) -> Any:
    """H of one side as a differentiable function of a tensor of gaps; beyond its table the Gibbs gain goes on in a
    line."""
    import torch

    if maker.temperature == 0:

        def plain(d: Any, side: int) -> Any:
            rate, k = float(maker.rates[side]), float(maker.decays[side])
            eps = (1.0 / k - d).clamp(maker.min_distance, maker.max_distance)
            return rate * torch.exp(-k * eps) * (eps + d)

        return plain

    gap = maker.terminal_cost * (2 * maker.inventory_limit + 1)
    table, origin, pitch = gains_table(maker, gap + 8.0 / float(maker.decays.min()))
    nodes = torch.tensor(table)

    def gibbs(d: Any, side: int) -> Any:
        position = (d - origin) / pitch
        j = position.detach().clamp(0, nodes.shape[1] - 2).to(torch.int64)
        t = (position - j).clamp(0.0, 1.0)
        u = 1.0 - t
        low, high = nodes[side][j], nodes[side][j + 1]
        inside = (1.0 + 2.0 * t) * u * u * low[..., 0] + t * t * (3.0 - 2.0 * t) * high[..., 0]
        inside = inside + pitch * t * u * (u * low[..., 1] - t * high[..., 1])
        beyond = (position - nodes.shape[1] + 1).clamp(min=0.0) * high[..., 1] + position.clamp(max=0.0) * low[..., 1]
        return inside + pitch * beyond

    return gibbs
