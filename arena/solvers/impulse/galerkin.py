"""Deep Galerkin: a network W is fitted to the quasi-variational inequality by the square of its residual.

    A = d_t W + L W - eta Y^2,   B = M W - W
    exact        (A + c B^+)^2: whether to act and how by enumeration, one network. c = 1/dt is a clock of decisions, and
                 c = infinity the inequality: the penalty method. Where W acts B > 0 there, so its policy can be read off
    alternating  the paper's (15) to (18): (1 - d) A + d B with networks d (act?) and u (which?) that go up this bracket
                 while W goes down its square, and the end of W a second square

A takes one pass through the network for all outcomes of all events, and one derivative along the drift, (1, beta (mu -
lambda)), by forward differentiation. Same seed, same machine, same threads: same weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arena.layout import Array
from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.networks import DGM, Loose, Shaped, clock, features
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.samples import Samples, drawn, prepared, visited
from arena.solvers.impulse.states import State, flat, unflat


@dataclass(frozen=True)
class Training:
    """How a network is fitted; `clock` is c, 1/s."""

    depth: int = 3
    width: int = 20
    act: str = "tanh"
    norm: bool = False
    iterations: int = 4000
    batch: int = 1024
    states: int = 1 << 16
    rate: float = 1e-3
    clock: float = 10.0
    law: str = "visited"  # or drawn
    seconds: float = math.inf  # stop then, whatever the iteration


@dataclass
class Fit:
    """A fitted W with the root mean square of its residual on states that it was not fitted to, ticks per second."""

    problem: Problem
    value: nn.Module
    training: Training
    history: list[tuple[int, float]] = field(default_factory=list)
    held_out: dict[str, float] = field(default_factory=dict)
    policy: nn.ModuleDict | None = None  # of the alternating form: its d and u


def _excited(problem: Problem, excitation: Tensor) -> Tensor:
    """What a network sees of intensities: ln(lambda/Lambda) of those that move, [n, E]."""
    which = np.flatnonzero(problem.jump.any(axis=1))
    base = torch.tensor(problem.base[which], dtype=torch.float32, device=excitation.device)
    usual = torch.tensor(problem.stationary[which], dtype=torch.float32, device=excitation.device)
    return torch.log((base + excitation[..., which].clamp_min(0.0)) / usual)


def terms(problem: Problem, value: nn.Module, one: Samples, left: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W [n], A [n], and of each impulse what it is worth and where it is allowed, [n, A]."""
    device = left.device
    jump = torch.tensor(problem.jump.T, dtype=torch.float32, device=device)  # by event
    own = torch.tensor(np.stack([problem.own_jump(a) for a in problem.actions]), dtype=torch.float32, device=device)

    def here(tau: Tensor, excitation: Tensor) -> Tensor:
        out: Tensor = value(one.end, one.x, tau, _excited(problem, excitation))
        return out

    moved: Any = torch.func.jvp(
        here, (left, one.excitation), (-torch.ones_like(left), -problem.decay * one.excitation)
    )
    w, drift = moved
    wide = left[:, None]
    e_event = one.excitation[:, None] + jump[one.event]
    after = value(one.end_event, one.x_event, wide.expand_as(one.end_event), _excited(problem, e_event))
    base = torch.tensor(problem.base, dtype=torch.float32, device=device)
    flow = (base + one.excitation)[:, one.event] * one.rate
    a = drift + (flow * (one.gain_event + after - w[:, None])).sum(dim=1) - one.running
    e_action = one.excitation[:, None] + own[one.action]
    acted = value(one.end_action, one.x_action, wide.expand_as(one.end_action), _excited(problem, e_action))
    worth = torch.zeros(len(w), len(problem.actions), device=device)
    worth = worth.index_add(1, one.action, one.chance * (one.gain_action + acted))
    return w, a, worth, one.may


def gap(w: Tensor, worth: Tensor, may: Tensor) -> Tensor:
    """B = M W - W [n]; far below zero where no impulse is allowed."""
    return worth.masked_fill(~may, -1e6).amax(dim=1) - w


def residual(problem: Problem, value: nn.Module, one: Samples, left: Tensor, clock: float) -> Tensor:
    """A + c B^+ [n], ticks per second."""
    w, a, worth, may = terms(problem, value, one, left)
    return a + clock * gap(w, worth, may).clamp_min(0.0)


def sampled(problem: Problem, how: Training, seed: int, device: str, count: int) -> Samples:
    """States of the law that the training names, prepared in pieces."""
    generator = torch.Generator(device).manual_seed(seed)
    state, excitation = (drawn if how.law == "drawn" else visited)(problem, count, generator)
    pieces = []
    for start in range(0, count, 1 << 16):
        rows = slice(start, start + (1 << 16))
        piece = unflat([column[rows] for column in flat(state)])
        pieces.append(prepared(problem, piece, excitation[rows]))
    fixed = {"event": pieces[0].event, "action": pieces[0].action}
    return Samples(**{
        name: fixed.get(name) if name in fixed else torch.cat([getattr(p, name) for p in pieces])
        for name in Samples._fields
    })  # fmt: skip


def times(problem: Problem, count: int, generator: torch.Generator) -> Tensor:
    """Times left: four fifths uniform, one fifth near the end, exponential with a mean of a fortieth of the game."""
    device = generator.device
    u = torch.rand(count, generator=generator, device=device)
    v = torch.rand(count, generator=generator, device=device).clamp_min(1e-6)
    near = (-torch.log(v) * problem.horizon / 40.0).clamp(max=problem.horizon)
    return torch.where(torch.rand(count, generator=generator, device=device) < 0.2, near, u * problem.horizon)


def _network(problem: Problem, how: Training, outputs: int, example: Samples, device: str) -> DGM:
    inputs = example.x.shape[-1] + 3 + int(problem.jump.any(axis=1).sum())
    return DGM(inputs, outputs, how.depth, how.width, how.act, how.norm).to(device)


def fit_exact(problem: Problem, how: Training, seed: int, device: str = "cpu", told: Callable[[str], None] | None = None) -> Fit:
    """One network, d and u by enumeration."""
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed + 1)
    known = sampled(problem, how, seed + 2, device, how.states)
    value = Shaped(problem, _network(problem, how, 1, known, device)).to(device)
    rest = [p for name, p in value.named_parameters() if name != "rate"]
    groups = [{"params": rest}, {"params": [value.rate], "lr": 10 * how.rate}]
    optimiser = torch.optim.Adam(groups, lr=how.rate)
    fit, started = Fit(problem, value, how), _now()
    for i in range(how.iterations):
        share = max(i / how.iterations, (_now() - started) / how.seconds)
        if share >= 1.0:
            break
        for group, top in zip(optimiser.param_groups, (how.rate, 10 * how.rate), strict=True):
            group["lr"] = top * max(0.5 * (1.0 + math.cos(math.pi * share)), 1e-3)
        rows = torch.randint(how.states, (how.batch,), generator=generator, device=device)
        left = times(problem, how.batch, generator)
        loss = (residual(problem, value, known.at(rows), left, how.clock) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(value.parameters(), 1.0)
        optimiser.step()
        if i % 200 == 0 or i == how.iterations - 1:
            fit.history.append((i, float(loss.detach().sqrt())))
            if told:
                told(f"{i} residual {fit.history[-1][1]:.4f} rate {float(value.rate):.4f}")
    fit.held_out = held_out(fit, seed + 3, device)
    return fit


def _now() -> float:
    import time

    return time.monotonic()


def fit_alternating(
    problem: Problem, how: Training, seed: int, device: str = "cpu", *, frozen: int = 0, epoch: int = 20,
    entropy: float = 0.01, told: Callable[[str], None] | None = None,
) -> Fit:  # fmt: skip
    """The paper's three networks; d stays as it is for the first `frozen` epochs of `epoch` updates."""
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed + 1)
    known = sampled(problem, how, seed + 2, device, how.states)
    value = Loose(problem, _network(problem, how, 1, known, device)).to(device)
    d, u = (_network(problem, how, n, known, device) for n in (1, len(problem.actions)))
    down = torch.optim.Adam(value.parameters(), lr=how.rate)
    up = {"d": torch.optim.Adam(d.parameters(), lr=how.rate), "u": torch.optim.Adam(u.parameters(), lr=how.rate)}
    fit, started = Fit(problem, value, how, policy=nn.ModuleDict({"d": d, "u": u})), _now()
    for i in range(how.iterations):
        if _now() - started > how.seconds:
            break
        rows = torch.randint(how.states, (how.batch,), generator=generator, device=device)
        left = times(problem, how.batch, generator)
        one = known.at(rows)
        seen = torch.cat((one.x, clock(left, problem.horizon), _excited(problem, one.excitation)), dim=-1)
        w, a, worth, may = terms(problem, value, one, left)
        act, some = d(seen)[:, 0], may.any(dim=1)
        p = torch.sigmoid(act) * some
        logits = u(seen).masked_fill(~may, -1e4)
        which = nn.functional.gumbel_softmax(logits, hard=True)
        bracket = (1.0 - p.detach()) * a + p.detach() * ((which.detach() * worth).sum(dim=1) - w)
        end = value(one.end, one.x, torch.zeros_like(left), _excited(problem, one.excitation)) - one.end
        loss = (bracket**2).mean() + (end**2).mean()
        down.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(value.parameters(), 1.0)
        down.step()
        b = (which * worth.detach()).sum(dim=1) - w.detach()
        signed = (1.0 - p) * a.detach() + p * b
        chances = torch.softmax(logits, dim=1)
        spread = nn.functional.binary_cross_entropy_with_logits(act, torch.sigmoid(act)).mean()
        spread = spread - (chances * torch.log(chances + 1e-9)).sum(dim=1).mean()
        goal = -(signed.mean() + entropy * spread)
        for one_up in up.values():
            one_up.zero_grad()
        goal.backward()
        for name, one_up in up.items():
            if name == "u" or i >= frozen * epoch:
                nn.utils.clip_grad_norm_(one_up.param_groups[0]["params"], 1.0)
                one_up.step()
        if i % 200 == 0 or i == how.iterations - 1:
            fit.history.append((i, float(loss.detach().sqrt())))
            if told:
                told(f"{i} loss {fit.history[-1][1]:.4f} acts {float(p.detach().mean()):.3f}")
    fit.held_out = held_out(fit, seed + 3, device)
    return fit


def held_out(fit: Fit, seed: int, device: str, count: int = 8192) -> dict[str, float]:
    """Root mean squares over other states: A + c B^+, the same with the laws of time, and of the end W(T) - W_T."""
    problem, value = fit.problem, fit.value
    one = sampled(problem, fit.training, seed, device, count)
    left = times(problem, count, torch.Generator(device).manual_seed(seed))
    w, a, worth, may = terms(problem, value, one, left)
    b = gap(w, worth, may)
    clock = fit.training.clock
    end = value(one.end, one.x, torch.zeros_like(left), _excited(problem, one.excitation)) - one.end
    found = {
        "residual": a + clock * b.clamp_min(0.0),
        "waiting": a[b <= 0], "inequality": torch.maximum(a, b), "end": end,
    }  # fmt: skip
    out = {name: float((x.detach() ** 2).mean().sqrt()) if len(x) else math.nan for name, x in found.items()}
    return out | {"bias": float(found["residual"].detach().mean()), "acts": float((b > 0).float().mean())}


@torch.no_grad()
def worth_of(fit: Fit, state: State, excitation: Tensor, left: Tensor) -> Tensor:
    """W [n] of states."""
    out: Tensor = fit.value(
        fit.problem.at_end(state).float(), features(fit.problem, state), left, _excited(fit.problem, excitation)
    )
    return out


@torch.no_grad()
def impulses(fit: Fit, state: State, excitation: Tensor, left: Tensor, *, mixed: Tensor | None = None) -> Tensor:
    """The impulse of each state, an event's number, -1 for none: argmax of E[gain + W] where it beats waiting.

    Of the alternating form: d acts where it says more than one half (with `mixed`, uniforms [n], at its odds), and u
    names the likeliest.
    """
    problem = fit.problem
    may = torch.stack([allowed(problem, state, a) for a in problem.actions], dim=1)
    numbers = torch.tensor(problem.actions, device=left.device)
    if fit.policy is not None:
        seen = torch.cat(
            (features(problem, state), clock(left, problem.horizon), _excited(problem, excitation)), dim=-1
        )
        p = torch.sigmoid(fit.policy["d"](seen)[:, 0])
        acts = (p > (0.5 if mixed is None else mixed)) & may.any(dim=1)
        best = fit.policy["u"](seen).masked_fill(~may, -1e4).argmax(dim=1)
        return torch.where(acts, numbers[best], -1)
    own = torch.tensor(np.stack([problem.own_jump(a) for a in problem.actions]), dtype=torch.float32, device=left.device)
    here = worth_of(fit, state, excitation, left)
    worth = []
    for k, action in enumerate(problem.actions):
        total = torch.zeros_like(here)
        for one in intervene(problem, state, action):
            total = total + one.probability * (one.gain + worth_of(fit, one.state, excitation + own[k], left))
        worth.append(total)
    found = torch.stack(worth, dim=1).masked_fill(~may, -1e6)
    best = found.argmax(dim=1)
    return torch.where(found.amax(dim=1) > here, numbers[best], -1)


def saved(fit: Fit) -> dict[str, Array]:
    """Weights by name, plain arrays."""
    return {name: p.detach().cpu().numpy() for name, p in fit.value.state_dict().items()}
