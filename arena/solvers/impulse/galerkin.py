"""Deep Galerkin: a network W is fitted to the quasi-variational inequality by the square of its residual.

    A = d_t W + L W - eta Y^2,   B = M W - W
    exact        (A + c B^+)^2: whether to act and how by enumeration, one network. c = 1/dt is a clock of decisions,
                 and c = infinity the inequality: the penalty method. B > 0 where to act, so the policy can be read off
    alternating  the paper's (15) to (18): (1 - d) A + d B with networks d (act?) and u (which?) that go up this bracket
                 while W goes down its square, and the end of W a second square

A takes one pass through the network for all outcomes of all events, and one derivative along the drift, (1, beta (mu -
lambda)), by forward differentiation. Same seed, same machine, same threads: same weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.networks import DGM, Loose, Shaped, clock, features
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.samples import Policy, Samples, drawn, prepared, visited
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
    renewals: tuple[float, ...] = (0.15, 0.35, 0.6, 0.8)  # shares of the training after which states are drawn anew
    held: int = 8192  # states on which the residual is told afterwards, and their law
    held_law: str = "visited"
    seconds: float = math.inf  # stop then, whatever the iteration


@dataclass
class Fit:
    """A fitted W with the root mean square of its residual on states that it was not fitted to, ticks per second."""

    problem: Problem
    value: nn.Module
    training: Training
    history: list[tuple[int, float]] = field(default_factory=list)
    held_out: dict[str, float] = field(default_factory=dict)
    on_policy: dict[str, float] = field(default_factory=dict)  # the same where three games of five follow its policy
    policy: nn.ModuleDict | None = None  # of the alternating form: its d and u


class Constants(NamedTuple):
    """A problem's numbers where its networks are: mu and Lambda of the intensities that move and their places, mu [12],
    what an event adds [12, 12] and what an own order adds [A, 12], rows by who excites."""

    base: Tensor
    usual: Tensor
    moving: Tensor
    all_base: Tensor
    jump: Tensor
    own: Tensor
    numbers: Tensor


def constants(problem: Problem, device: str) -> Constants:
    """The numbers of a problem on a device."""
    moving = np.flatnonzero(problem.jump.any(axis=1))
    own = np.stack([problem.own_jump(a) for a in problem.actions])
    real = [problem.base[moving], problem.stationary[moving], problem.base, problem.jump.T, own]
    base, usual, every, jump, mine = (torch.tensor(x, dtype=torch.float32, device=device) for x in real)
    whole = [torch.tensor(x, dtype=torch.long, device=device) for x in (moving, problem.actions)]
    return Constants(base, usual, whole[0], every, jump, mine, whole[1])


def _excited(known: Constants, excitation: Tensor) -> Tensor:
    """What a network sees of intensities: ln(lambda/Lambda) of those that move, [n, E]."""
    moving = excitation.index_select(-1, known.moving)
    return torch.log((known.base + moving.clamp_min(0.0)) / known.usual)


def terms(
    problem: Problem, known: Constants, value: nn.Module, one: Samples, left: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W [n], A [n], and of each impulse what it is worth and where it is allowed, [n, A]."""

    def here(tau: Tensor, excitation: Tensor) -> Tensor:
        out: Tensor = value(one.end, one.x, tau, _excited(known, excitation))
        return out

    moved: Any = torch.func.jvp(here, (left, one.excitation), (-torch.ones_like(left), -problem.decay * one.excitation))
    w, drift = moved
    wide, e = left[:, None], one.excitation[:, None]
    later = value(one.end_event, one.x_event, wide.expand_as(one.end_event), _excited(known, e + known.jump[one.event]))
    flow = (known.all_base + one.excitation).index_select(1, one.event) * one.rate
    a = drift + (flow * (one.gain_event + later - w[:, None])).sum(dim=1) - one.running
    acted = value(
        one.end_action, one.x_action, wide.expand_as(one.end_action), _excited(known, e + known.own[one.action])
    )
    worth = torch.zeros_like(one.may, dtype=acted.dtype)
    worth = worth.index_add(1, one.action, one.chance * (one.gain_action + acted))
    return w, a, worth, one.may


def gap(w: Tensor, worth: Tensor, may: Tensor) -> Tensor:
    """B = M W - W [n]; far below zero where no impulse is allowed."""
    return worth.masked_fill(~may, -1e6).amax(dim=1) - w


def residual(problem: Problem, known: Constants, value: nn.Module, one: Samples, left: Tensor, clock: float) -> Tensor:
    """A + c B^+ [n], ticks per second."""
    w, a, worth, may = terms(problem, known, value, one, left)
    return a + clock * gap(w, worth, may).clamp_min(0.0)


def sampled(
    problem: Problem, how: Training, seed: int, device: str, count: int, policy: Policy | None = None
) -> Samples:
    """States of the law that the training names, prepared in pieces."""
    generator = torch.Generator(device).manual_seed(seed)
    if how.law == "drawn":
        state, excitation = drawn(problem, count, generator)
    else:
        state, excitation = visited(problem, count, generator, policy, how.clock)
    pieces = []
    for start in range(0, count, 1 << 16):
        rows = slice(start, start + (1 << 16))
        piece = unflat([column[rows] for column in flat(state)])
        pieces.append(prepared(problem, piece, excitation[rows]))
    fixed = {"event": pieces[0].event, "action": pieces[0].action}
    return Samples(**{
        name: fixed[name] if name in fixed else torch.cat([getattr(p, name) for p in pieces])
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


Told = Callable[[str], None]


class _Course:
    """A training's batches and its end: by iterations or by seconds, whichever comes first."""

    def __init__(self, problem: Problem, how: Training, seed: int, device: str):
        torch.manual_seed(seed)
        self.problem, self.how, self.device = problem, how, device
        self.generator = torch.Generator(device).manual_seed(seed + 1)
        self.states = sampled(problem, how, seed + 2, device, how.states)
        self.rows = torch.zeros(how.batch, dtype=torch.long, device=device)
        self.left = torch.zeros(how.batch, device=device)
        self.started, self.done = time.monotonic(), 0

    def draw(self) -> None:
        """The next batch, in the same memory."""
        torch.randint(self.how.states, self.rows.shape, generator=self.generator, device=self.device, out=self.rows)
        self.left.copy_(times(self.problem, self.how.batch, self.generator))

    def renew(self, seed: int, policy: Policy) -> None:
        """Other states, three of five on the way of a policy, in the same memory."""
        fresh = sampled(self.problem, self.how, seed, self.device, self.how.states, policy)
        for old, new in zip(self.states, fresh, strict=True):
            old.copy_(new)

    def share(self) -> float:
        """How much of the training is over."""
        return max(self.done / self.how.iterations, (time.monotonic() - self.started) / self.how.seconds)

    def repeat(
        self, step: Callable[[], Tensor], told: Callable[[Tensor, int], None], before: Callable[[], None]
    ) -> None:
        """Takes steps until the end; on a GPU as one recorded graph, which spares the launches of its small kernels."""
        replay = step
        if self.device == "cuda":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.draw()
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = step()

            def replay() -> Tensor:
                graph.replay()
                return out

        while self.share() < 1.0:
            before()
            self.draw()
            loss = replay()
            if self.done % 500 == 0 or self.done == self.how.iterations - 1:
                told(loss, self.done)
            self.done += 1


def _adam(parameters: Any, rate: float, device: str) -> torch.optim.Adam:
    """Adam whose rate is a number in memory, so that a recorded step follows it."""
    return torch.optim.Adam(parameters, lr=torch.tensor(rate, device=device), capturable=device == "cuda")


def fit_exact(problem: Problem, how: Training, seed: int, device: str = "cpu", told: Told = lambda line: None) -> Fit:
    """One network, d and u by enumeration; Adam with a rate that falls by a cosine."""
    course, known = _Course(problem, how, seed, device), constants(problem, device)
    value = Shaped(problem, _network(problem, how, 1, course.states, device)).to(device)
    optimiser = _adam(value.parameters(), how.rate, device)
    fit = Fit(problem, value, how)

    def step() -> Tensor:
        found = residual(problem, known, value, course.states.at(course.rows), course.left, how.clock)
        loss = (found**2).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(value.parameters(), 1.0)
        optimiser.step()
        return loss.detach()

    def note(loss: Tensor, i: int) -> None:
        fit.history.append((i, float(loss.sqrt())))
        told(f"{i} residual {fit.history[-1][1]:.4f} rho {float(value.rate.detach()):.4f}")

    renewals = list(how.renewals)

    def policy(state: State, excitation: Tensor, left: Tensor) -> Tensor:
        return impulses(fit, known, state, excitation, left)

    def slower() -> None:
        if renewals and course.share() >= renewals[0]:
            renewals.pop(0)
            course.renew(seed + 100 + len(renewals), policy)
        for group in optimiser.param_groups:
            group["lr"].fill_(how.rate * max(0.5 * (1.0 + math.cos(math.pi * course.share())), 1e-3))

    course.repeat(step, note, slower)
    fit.held_out = held_out(fit, seed + 3, device)
    fit.on_policy = held_out(fit, seed + 4, device, policy=policy)
    return fit


def fit_alternating(
    problem: Problem, how: Training, seed: int, device: str = "cpu", *, frozen: int = 0, epoch: int = 20,
    entropy: float = 0.01, told: Told = lambda line: None,
) -> Fit:  # fmt: skip
    """The paper's three networks; d stays as it is for the first `frozen` epochs of `epoch` updates."""
    course, known = _Course(problem, how, seed, device), constants(problem, device)
    value = Loose(problem, _network(problem, how, 1, course.states, device)).to(device)
    d, u = (_network(problem, how, n, course.states, device) for n in (1, len(problem.actions)))
    down, up_d, up_u = (_adam(net.parameters(), how.rate, device) for net in (value, d, u))
    fit = Fit(problem, value, how, policy=nn.ModuleDict({"d": d, "u": u}))
    acts = torch.zeros((), device=device)

    def step() -> Tensor:
        one, left = course.states.at(course.rows), course.left
        excited = _excited(known, one.excitation)
        seen = torch.cat((one.x, clock(left, problem.horizon), excited), dim=-1)
        w, a, worth, may = terms(problem, known, value, one, left)
        odds, some = d(seen)[:, 0], may.any(dim=1)
        p = torch.sigmoid(odds) * some
        logits = u(seen).masked_fill(~may, -1e4)
        which = nn.functional.gumbel_softmax(logits, hard=True)
        bracket = (1.0 - p.detach()) * a + p.detach() * ((which.detach() * worth).sum(dim=1) - w)
        end = value(one.end, one.x, torch.zeros_like(left), excited) - one.end
        loss = (bracket**2).mean() + (end**2).mean()
        down.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(value.parameters(), 1.0)
        down.step()
        signed = (1.0 - p) * a.detach() + p * ((which * worth.detach()).sum(dim=1) - w.detach())
        chances = torch.softmax(logits, dim=1)
        spread = -(chances * torch.log(chances + 1e-9)).sum(dim=1).mean()
        q = torch.sigmoid(odds).clamp(1e-6, 1.0 - 1e-6)
        spread = spread - (q * torch.log(q) + (1.0 - q) * torch.log(1.0 - q)).mean()
        up_d.zero_grad()
        up_u.zero_grad()
        (-(signed.mean() + entropy * spread)).backward()
        for net, optimiser in ((d, up_d), (u, up_u)):
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
        acts.copy_(p.detach().mean())
        return loss.detach()

    def note(loss: Tensor, i: int) -> None:
        fit.history.append((i, float(loss.sqrt())))
        told(f"{i} loss {fit.history[-1][1]:.4f} acts {float(acts):.3f}")

    def thaw() -> None:
        for group in up_d.param_groups:
            group["lr"].fill_(how.rate if course.done >= frozen * epoch else 0.0)

    thaw()
    course.repeat(step, note, thaw)
    fit.held_out = held_out(fit, seed + 3, device)
    return fit


def held_out(fit: Fit, seed: int, device: str, policy: Policy | None = None) -> dict[str, float]:
    """Root mean squares over other states: A + c B^+ (and its mean), A where nothing is done, max(A, B), the end."""
    problem, value, known = fit.problem, fit.value, constants(fit.problem, device)
    count = fit.training.held
    one = sampled(problem, replace(fit.training, law=fit.training.held_law), seed, device, count, policy)
    left = times(problem, count, torch.Generator(device).manual_seed(seed))
    w, a, worth, may = terms(problem, known, value, one, left)
    b = gap(w, worth, may)
    end = value(one.end, one.x, torch.zeros_like(left), _excited(known, one.excitation)) - one.end
    whole = a + fit.training.clock * b.clamp_min(0.0)
    found = {"residual": whole, "waiting": a[b <= 0], "inequality": torch.maximum(a, b), "end": end}
    out = {name: float((x.detach() ** 2).mean().sqrt()) if len(x) else math.nan for name, x in found.items()}
    return out | {"mean": float(whole.detach().mean()), "acts": float((b > 0).float().mean())}


@torch.no_grad()
def worth_of(fit: Fit, known: Constants, state: State, excitation: Tensor, left: Tensor) -> Tensor:
    """W [n] of states."""
    end = fit.problem.at_end(state).float()
    out: Tensor = fit.value(end, features(fit.problem, state), left, _excited(known, excitation))
    return out


@torch.no_grad()
def impulses(fit: Fit, known: Constants, state: State, excitation: Tensor, left: Tensor) -> Tensor:
    """The impulse of each state, an event's number, -1 for none: argmax of E[gain + W] where it beats waiting.

    Of the alternating form: d acts where it says more than one half, and u names the likeliest.
    """
    problem = fit.problem
    may = torch.stack([allowed(problem, state, a) for a in problem.actions], dim=1)
    if fit.policy is not None:
        seen = torch.cat((features(problem, state), clock(left, problem.horizon), _excited(known, excitation)), dim=-1)
        acts = (fit.policy["d"](seen)[:, 0] > 0.0) & may.any(dim=1)
        best = fit.policy["u"](seen).masked_fill(~may, -1e4).argmax(dim=1)
        return torch.where(acts, known.numbers[best], -1)
    here = worth_of(fit, known, state, excitation, left)
    worth = []
    for k, action in enumerate(problem.actions):
        total = torch.zeros_like(here)
        for one in intervene(problem, state, action):
            ahead = worth_of(fit, known, one.state, excitation + known.own[k], left)
            total = total + one.probability * (one.gain + ahead)
        worth.append(total)
    found = torch.stack(worth, dim=1).masked_fill(~may, -1e6)
    return torch.where(found.amax(dim=1) > here, known.numbers[found.argmax(dim=1)], -1)
