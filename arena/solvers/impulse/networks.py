"""Deep Galerkin networks (Sirignano & Spiliopoulos 2018): layers with the gates of an LSTM, in torch.

    S = act(W x + b);   Z, G, R = act(U x + W S + b);   H = act(U x + W (S * R) + b);   S <- (1 - G) * H + Z * S

What enters are features of a state, of the time left and of the intensities (`features`, `clock`); what is learned is
W = V - X - Y mid, with the end built in:

    W = W_T(Y) + rho tau + (1 - e^{-tau/l}) N(tau, s, lambda),     tau = T - t, rho a learned number

A position that is worth its end and earns rho a second, and what the book of the moment adds to that.
"""

from typing import Any

import torch
from torch import Tensor, nn

from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import NONE, State

LAYER = 1.0
"""l: seconds before the end within which the book stops mattering."""


class Layer(nn.Module):
    """One layer with four gates; `norm` divides each output by its spread, which deep ReLU networks need."""

    def __init__(self, inputs: int, width: int, act: Any, norm: bool):
        super().__init__()
        self.given = nn.Linear(inputs, 4 * width)
        self.gates = nn.Linear(width, 3 * width, bias=False)
        self.last = nn.Linear(width, width, bias=False)
        self.act, self.width = act, width
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """The next S [n, width] of inputs x [n, inputs]."""
        given = self.given(x)
        z, g, r = self.act(given[..., : 3 * self.width] + self.gates(s)).chunk(3, dim=-1)
        h = self.act(given[..., 3 * self.width :] + self.last(s * r))
        out: Tensor = self.norm((1.0 - g) * h + z * s)
        return out


class DGM(nn.Module):
    """`depth` layers of `width` between a first and a last linear map, [n, inputs] -> [n, outputs]."""

    def __init__(self, inputs: int, outputs: int, depth: int, width: int, act: str = "tanh", norm: bool = False):
        super().__init__()
        kind = {"tanh": torch.tanh, "relu": torch.relu}[act]
        self.first, self.act = nn.Linear(inputs, width), kind
        self.layers = nn.ModuleList(Layer(inputs, width, kind, norm) for _ in range(depth))
        self.last = nn.Linear(width, outputs)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [n, outputs]."""
        s = self.act(self.first(x))
        for layer in self.layers:
            s = layer(x, s)
        out: Tensor = self.last(s)
        return out


class Shaped(nn.Module):
    """W of a problem: a network between the end that is known and a constant rate of earning."""

    def __init__(self, problem: Problem, net: nn.Module):
        super().__init__()
        self.net, self.horizon = net, problem.horizon
        self.rate = nn.Parameter(torch.zeros(()))

    def forward(self, end: Tensor, x: Tensor, left: Tensor, excited: Tensor) -> Tensor:
        """W [n] from W_T, features, time left and inputs of the intensities; see
        `samples.Samples`."""
        found = self.net(torch.cat((x, clock(left, self.horizon), excited), dim=-1))[..., 0]
        return end + self.rate * left + (1.0 - torch.exp(-left / LAYER)) * found


class Loose(nn.Module):
    """W by the network alone, as in the paper: its end is learned too."""

    def __init__(self, problem: Problem, net: nn.Module):
        super().__init__()
        self.net, self.horizon = net, problem.horizon

    def forward(self, end: Tensor, x: Tensor, left: Tensor, excited: Tensor) -> Tensor:
        """W [n]; the arguments are those of `Shaped`, whose W_T is not used."""
        out: Tensor = self.net(torch.cat((x, clock(left, self.horizon), excited), dim=-1))[..., 0]
        return out


def features(problem: Problem, state: State) -> Tensor:
    """What a network sees of states, [n, F]: the eight numbers of the book, on scales of order one."""
    y, s = state.inventory.float(), state.spread.float()
    reach = float(min(problem.cap, 6))
    out = [y / reach, (y / reach) ** 2, y.abs() / reach, s - 1.0, (s >= 2).float()]
    for side in (state.ask, state.bid):
        top, deep = side.top.float(), side.deep.float()
        out += [torch.log(top) / 2.0, 1.0 / top, torch.log(deep) / 2.0, 1.0 / deep]
        for place in side.places:
            there = (place < NONE).float()
            n = torch.where(place < NONE, place, 0).float()
            out += [there, there * torch.exp(-n / 3.0), there * torch.exp(-n), there * n / 10.0]
            out += [there * (n < top).float()]
    return torch.stack(out, dim=-1)


def clock(left: Tensor, horizon: float) -> Tensor:
    """What a network sees of the time left, [n, 3]: its share, and how near the end is in seconds and tens of them."""
    return torch.stack((left / horizon, torch.exp(-left), torch.exp(-left / 10.0)), dim=-1)
