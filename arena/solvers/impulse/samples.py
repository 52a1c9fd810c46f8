"""States on which a residual is driven to zero, and what can come after each of them, computed once.

Two laws. `drawn` is the paper's: Y rounded from N(0, 4), spreads and queues geometric, places uniform. `visited` are
states that the book passes through while orders are posted and cancelled at random, at all tempos: queues and places
then go together as they do in a game. Where a policy is known, three games of five follow it: a residual that is small
where nobody goes says little of a value. Intensities are those of the same games, or Pareto distributed beside `drawn`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.networks import features
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import CANCEL_DEEP, CANCEL_TOP, NONE, TYPES, State, flat, kind_of, unflat
from arena.solvers.impulse.transitions import transitions

FARTHEST = 25
"""Positions in which games of `visited` begin are no larger, lots."""
BURNT, THIN = 150, 6
"""Events before the first state of `visited` is kept, and between one that is kept and the next."""


class Samples(NamedTuple):
    """N states with B outcomes of events and C outcomes of impulses; `x` features [N, (B | C), F].

    `end` W_T; `rate` F_i times the outcome's probability, without lambda_i; `chance` the probability of an impulse's
    outcome; `may` where impulse a is allowed [N, A]; `event` [B] and `action` [C] say whose outcome a column is, an
    action by its place among the problem's. `excitation` lambda - mu [N, 12], 1/s.
    """

    x: Tensor
    end: Tensor
    running: Tensor
    excitation: Tensor
    x_event: Tensor
    end_event: Tensor
    rate: Tensor
    gain_event: Tensor
    event: Tensor
    x_action: Tensor
    end_action: Tensor
    chance: Tensor
    gain_action: Tensor
    action: Tensor
    may: Tensor

    def at(self, rows: Tensor) -> "Samples":
        """Some of the states."""
        fixed = ("event", "action")
        return Samples(**{k: v if k in fixed else v[rows] for k, v in self._asdict().items()})


def prepared(problem: Problem, state: State, excitation: Tensor) -> Samples:
    """States with all that can come after them."""
    device = excitation.device
    events = [
        (i, one._replace(probability=one.probability * problem.factor(i, state.spread)))
        for i in range(TYPES)
        for one in transitions(problem, state, i)
    ]
    actions = [(k, one) for k, a in enumerate(problem.actions) for one in intervene(problem, state, a)]
    may = torch.stack([allowed(problem, state, a) for a in problem.actions], dim=1)
    shape = state.inventory.shape

    def columns(pairs: list) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        ones = [one for _, one in pairs]
        wide = [torch.as_tensor(one.probability, dtype=torch.float32, device=device).expand(shape) for one in ones]
        return (
            torch.stack([features(problem, one.state) for one in ones], dim=1),
            torch.stack([problem.at_end(one.state).float() for one in ones], dim=1),
            torch.stack(wide, dim=1),
            torch.stack([one.gain.float() for one in ones], dim=1),
            torch.tensor([number for number, _ in pairs], device=device),
        )

    return Samples(
        features(problem, state), problem.at_end(state).float(), problem.running(state).float(), excitation,
        *columns(events), *columns(actions), may,
    )  # fmt: skip


def drawn(problem: Problem, count: int, generator: torch.Generator) -> tuple[State, Tensor]:
    """States and excitations by the paper's laws, within the problem's bounds."""
    device = generator.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device).clamp_(1e-6, 1 - 1e-6)

    def geometric(p: float, most: int) -> Tensor:
        return (1 + (torch.log(uniform()) / torch.log1p(torch.tensor(-p))).floor()).clamp(max=most).long()

    y = torch.randn(count, generator=generator, device=device).mul(2.0).round().long().clamp(-problem.cap, problem.cap)
    columns = [y, geometric(0.8, problem.widest)]
    for _ in range(2):
        top, deep = geometric(0.1, problem.room), geometric(0.05, problem.room)
        place = (uniform() * (top + deep + 1)).floor().long()
        none = torch.full_like(y, NONE)
        columns += [top, deep, torch.where(place < top + deep, place, none), *[none] * (problem.places - 1)]
    base = torch.tensor(problem.base, dtype=torch.float32, device=device)
    pareto = torch.stack([uniform() for _ in range(TYPES)], dim=1).pow(-1.0 / 3.0) - 1.0
    excited = torch.tensor(problem.jump.any(axis=1), device=device)
    return unflat(columns), base * pareto * excited


Policy = Callable[[State, Tensor, Tensor], Tensor]
"""policy(state, excitation [n, 12], time left [n]) -> an event's number, -1 for none, [n]."""


def visited(
    problem: Problem, count: int, generator: torch.Generator, policy: Policy | None = None, clock: float = 10.0,
    games: int = 4096,
) -> tuple[State, Tensor]:  # fmt: skip
    """States and excitations on the way of games that are played at random, some by a policy when a clock rings."""
    device = generator.device
    games = min(games, count)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*(shape or (games,)), generator=generator, device=device)

    cap = min(problem.cap, FARTHEST)
    far = (uniform() * (2 * cap + 1)).floor().long() - cap
    near = torch.randn(games, generator=generator, device=device).mul(2.0).round().long().clamp(-cap, cap)
    one, none = torch.ones_like(far), torch.full_like(far, NONE)
    side = [problem.top * one, problem.deep * one, *[none] * problem.places]
    state = unflat([torch.where(uniform() < 0.3, far, near), problem.spread * one, *side, *side])
    tempo = 10.0 ** (-2.0 + 1.7 * uniform())
    weight = torch.tensor(
        [0.1 if kind_of(a) in (CANCEL_TOP, CANCEL_DEEP) else 1.0 for a in problem.actions], device=device
    )
    follows, left = uniform() < (0.6 if policy else 0.0), uniform() * problem.horizon
    place = torch.full((TYPES + 1,), -1, device=device)
    place[list(problem.actions)] = torch.arange(len(problem.actions), device=device)
    base = torch.tensor(problem.base, dtype=torch.float32, device=device)
    jump = torch.tensor(problem.jump, dtype=torch.float32, device=device)
    kept: list[tuple[Tensor, Tensor]] = []
    excitation, waited = torch.zeros(games, TYPES, device=device), 0
    while len(kept) * games < count:
        rate = base + excitation
        outcomes = [(i, b) for i in range(TYPES) for b in transitions(problem, state, i)]
        flow = torch.stack([
            rate[:, i] * problem.factor(i, state.spread) * b.probability for i, b in outcomes
        ], dim=1)  # fmt: skip
        event = torch.tensor([i for i, _ in outcomes], device=device)
        picked = _drawn_column(flow, uniform())
        wait = -torch.log(uniform().clamp_min(1e-6)) / flow.sum(dim=1)
        excitation = (excitation * torch.exp(-problem.decay * wait)[:, None]) + jump.T[event[picked]]
        state = _taken([b.state for _, b in outcomes], picked)
        may = torch.stack([allowed(problem, state, a) for a in problem.actions], dim=1)
        acts = may.any(dim=1) & (uniform() < tempo)
        chosen = _drawn_column(torch.where(may, weight, 0.0) + 1e-9, uniform())
        if policy is not None:
            wanted = place[policy(state, excitation, left)]
            rings = uniform() < 1.0 - torch.exp(-clock * wait)
            acts = torch.where(follows, rings & (wanted >= 0), acts)
            chosen = torch.where(follows, wanted.clamp_min(0), chosen)
        after = _taken([intervene(problem, state, a)[0].state for a in problem.actions], chosen)
        state = unflat([torch.where(acts, a, b) for a, b in zip(flat(after), flat(state), strict=True)])
        waited += 1
        if waited >= BURNT and waited % THIN == 0:
            kept.append((torch.stack(flat(state)), excitation))
    columns = torch.cat([columns for columns, _ in kept], dim=1)[:, :count]
    return unflat(list(columns)), torch.cat([e for _, e in kept])[:count]


def _drawn_column(weight: Tensor, uniform: Tensor) -> Tensor:
    """A column of each row, with a probability in proportion to its weight."""
    level = weight.cumsum(dim=1)
    return (level <= uniform[:, None] * level[:, -1:]).sum(dim=1).clamp(max=weight.shape[1] - 1)


def _taken(states: list[State], which: Tensor) -> State:
    """Of each game the state of the column that was drawn."""
    wide = torch.stack([torch.stack([c.expand(which.shape) for c in flat(one)]) for one in states])
    return unflat(list(wide.gather(0, which.expand(1, wide.shape[1], -1))[0]))
