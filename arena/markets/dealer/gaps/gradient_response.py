"""Best responses by gradient through the market without chance, opponents' policies inside: exact gains of fluid games.

Everything but one seat being fixed, the game is the optimal control problem

    max over u_0 … u_{T−1} of J_i(u; start),     actions a_t = sin(w u_t) in [−1, 1]

whose gradient is one backward pass through the T steps and the others' reactions. All problems (seats, starts, first
guesses) are rows of one batch; L-BFGS works on each row alone. The game is deterministic, so the best sequence is the
best policy of whoever knows the start. Two flavours: `closed loop`, the others' policies keep reacting, and `open
loop`, their actions are replayed as they were on the profile's own path.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from arena.layout import Array
from arena.markets.dealer.columns import largest_order
from arena.markets.dealer.gaps.twin import ActPolicy, FluidGame, NetworkPolicy, State
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act

CLOSED, OPEN = "closed loop", "open loop"
FLAVOURS = (CLOSED, OPEN)
INSIDE = 0.999
"""First guesses are kept this far inside the range of an action, where the sine still has a slope."""
MEMORY, ROUNDS, HALVINGS = 12, 300, 25
FLAT = 2e-5
"""A row is finished when no component of its gradient (currency per natural unit of an action) is larger."""
PATIENCE, STILL = 12, 1e-9
"""So is a row whose last PATIENCE rounds raised its value by less than this share: networks with kinks have no flat."""
ACCEPT = 1e-4


class Trajectory(NamedTuple):
    """What a profile does from some starts: states before each step, actions [R, T, seats, K] by role, returns."""

    states: list[State]
    actions: dict[str, torch.Tensor]
    returns: torch.Tensor  # [R, seats], from each row's own first step


@dataclass(frozen=True)
class StartStates:
    """Where games begin: states and each row's first step [R]."""

    state: State
    first: torch.Tensor

    def __len__(self) -> int:
        return len(self.first)


class Players:
    """A profile as differentiable policies; seats that share a network are evaluated at once."""

    def __init__(self, market: DealerMarket, acts: Mapping[str, Act], weights: Mapping[str, Any]):
        self.teams: dict[str, list[tuple[Any, list[int]]]] = {}
        for role in market.roles:
            teams: dict[int, tuple[Any, list[int]]] = {}
            for seat, agent in enumerate(role.agents):
                network = weights.get(agent)
                key = id(acts[agent]) if network is None else id(network)
                if key not in teams:
                    scripted = ActPolicy(acts[agent], role.action.size, role.observation.scale)
                    teams[key] = (scripted if network is None else NetworkPolicy(network), [])
                teams[key][1].append(seat)
            self.teams[role.name] = list(teams.values())

    def act(self, observation: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Actions [R, seats, K] by role."""
        out = {}
        for role, seen in observation.items():
            moves: dict[int, torch.Tensor] = {}
            for policy, seats in self.teams[role]:
                flat = policy(seen[:, seats].reshape(-1, seen.shape[2]))
                moves |= dict(zip(seats, flat.view(len(seen), len(seats), -1).unbind(1), strict=True))
            out[role] = torch.stack([moves[seat] for seat in range(seen.shape[1])], dim=1)
        return out


def follow(game: FluidGame, players: Players, starts: StartStates) -> Trajectory:
    """Play the profile from some starts."""
    state, total = starts.state, torch.zeros((len(starts), len(game.seats)), dtype=torch.float64)
    states, actions = [], []
    with torch.no_grad():
        for t in range(game.steps):
            states.append(state)
            actions.append(players.act(game.observe(state, t)))
            state, total = _advance(game, state, actions[-1], starts.first, t, total)
    return Trajectory(states, {role: torch.stack([one[role] for one in actions], dim=1) for role in actions[0]}, total)


def _advance(
    game: FluidGame, state: State, action: Mapping[str, torch.Tensor], first: torch.Tensor, t: int, total: torch.Tensor
) -> tuple[State, torch.Tensor]:
    """One step of the rows that have begun; the others wait."""
    after, reward = game.step(state, action, t)
    if t >= int(first.max()):
        return after, total + reward
    begun = first <= t
    total = torch.where(begun[:, None], total + reward, total)
    shaped = [begun.view(-1, *[1] * (part.ndim - 1)) for part in after]
    return State(*(torch.where(m, new, old) for m, new, old in zip(shaped, after, state, strict=True))), total


class Problems:
    """Rows (seat, start, flavour) to be solved: the value of a seat's controls and its gradient."""

    def __init__(self, game: FluidGame, players: Players, starts: StartStates, path: Trajectory, flavour: str):
        self.game, self.players, self.path, self.flavour = game, players, path, flavour
        seats, count = len(game.seats), len(starts)
        self.seat = torch.arange(seats).repeat_interleave(count)
        self.start = torch.arange(count).repeat(seats)
        self.state, self.first = starts.state.rows(self.start), starts.first[self.start]
        self.columns = max(role.action.size for role in game.layouts.values())
        self.width = torch.stack([self._natural(seat) for seat in range(seats)])
        self.staying = path.returns[self.start, self.seat].numpy()

    def _natural(self, seat: int) -> torch.Tensor:
        """Natural unit of each action column as a share of half its range: 1/sharpness, or a quarter of the order."""
        market, maker = self.game.market, seat < self.game.makers
        layout = market.role("maker" if maker else "executor").numbers
        unit = 1.0 / market.flow.rule.numbers()[0] if maker else largest_order(market) / (4.0 * self.game.horizon)
        out = torch.ones(self.columns, dtype=torch.float64)
        out[: layout.size] = torch.as_tensor(2.0 * unit / (layout.high - layout.low))
        return out

    def controls(self, action: Mapping[str, torch.Tensor]) -> Array:
        """Controls [rows, T·K] whose actions are each row's own seat's in `action` [starts, T, seats, K]."""
        out = torch.zeros((len(self.seat), self.game.steps, self.columns), dtype=torch.float64)
        for row, (seat, start) in enumerate(zip(self.seat.tolist(), self.start.tolist(), strict=True)):
            role, k = ("maker", seat) if seat < self.game.makers else ("executor", seat - self.game.makers)
            own = action[role][start, :, k]
            out[row, :, : own.shape[1]] = torch.arcsin(own.clamp(-INSIDE, INSIDE))
        return (out / self.width[self.seat][:, None]).flatten(1).numpy()

    def value(self, rows: NDArray[np.int64], controls: Array) -> tuple[Array, Array]:
        """Values [n] of controls [n, T·K] in some rows, and their gradients [n, T·K]."""
        index = torch.as_tensor(rows)
        seat, start = self.seat[index], self.start[index]
        u = torch.tensor(controls.reshape(len(rows), self.game.steps, self.columns), requires_grad=True)
        own = torch.sin(u * self.width[seat][:, None])
        state, first = self.state.rows(index), self.first[index]
        total = torch.zeros((len(rows), len(self.game.seats)), dtype=torch.float64)
        offset = {"maker": 0, "executor": self.game.makers}
        mine = {
            role: (seat[:, None] == offset[role] + torch.arange(len(spec.agents)))[:, :, None]
            for role, spec in self.game.layouts.items()
        }
        for t in range(int(first.min()), self.game.steps):
            if self.flavour == OPEN:
                others = {role: moves[start, t] for role, moves in self.path.actions.items()}
            else:
                others = self.players.act(self.game.observe(state, t))
            action = {
                role: torch.where(mine[role], own[:, t, None, : moves.shape[2]], moves)
                for role, moves in others.items()
            }
            state, total = _advance(self.game, state, action, first, t, total)
        gained = total[torch.arange(len(rows)), seat]
        (gradient,) = torch.autograd.grad(gained.sum(), u)
        return gained.detach().numpy(), gradient.flatten(1).numpy()


def ascend(value: Callable[[NDArray[np.int64], Array], tuple[Array, Array]], start: Array) -> tuple[Array, Array]:
    """Climb from `start` [R, n] in every row alone: values [R] and points [R, n] where it rises no more.

    L-BFGS (Nocedal & Wright 2006, algorithm 7.4) with backtracking; rows that are done leave the batch.
    """
    x = start.copy()
    best, slope = value(np.arange(len(x)), x)
    s, y = np.zeros((MEMORY, *x.shape)), np.zeros((MEMORY, *x.shape))
    earlier = np.full((PATIENCE, len(x)), -np.inf)
    live = np.flatnonzero(np.abs(slope).max(axis=1) > FLAT)
    for count in range(ROUNDS):
        if not len(live):
            break
        direction = _direction(slope[live], s[:, live], y[:, live], count)
        step, rise = np.ones(len(live)), (direction * slope[live]).sum(axis=1)
        moved = np.zeros(len(live), bool)
        for _ in range(HALVINGS):
            trying = np.flatnonzero(~moved)
            if not len(trying):
                break
            rows = live[trying]
            there = x[rows] + step[trying, None] * direction[trying]
            found, tilt = value(rows, there)
            good = found >= best[rows] + ACCEPT * step[trying] * rise[trying]
            took, at = rows[good], count % MEMORY
            s[at, took], y[at, took] = there[good] - x[took], slope[took] - tilt[good]
            x[took], best[took], slope[took] = there[good], found[good], tilt[good]
            moved[trying[good]] = True
            step[trying[~good]] *= 0.3
        rising = best - earlier[count % PATIENCE] > STILL * (1.0 + np.abs(best))
        earlier[count % PATIENCE] = best
        live = live[moved & rising[live] & (np.abs(slope[live]).max(axis=1) > FLAT)]
    return best, x


def _direction(slope: Array, s: Array, y: Array, count: int) -> Array:
    """The quasi-Newton step [R, n] of each row from its last moves s and losses of slope y [MEMORY, R, n]."""
    order = [k % MEMORY for k in range(max(0, count - MEMORY), count)]
    curvature = np.einsum("mrn,mrn->mr", s, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(curvature > 1e-14, 1.0 / curvature, 0.0)
    q, alpha = slope.copy(), np.zeros(curvature.shape)
    for k in reversed(order):
        alpha[k] = weight[k] * np.einsum("rn,rn->r", s[k], q)
        q -= alpha[k][:, None] * y[k]
    last = order[-1] if order else 0
    size = np.einsum("rn,rn->r", y[last], y[last])
    known = (weight[last] > 0.0) & (size > 0.0)
    scale = np.where(known, curvature[last] / np.where(known, size, 1.0), 1.0 / np.maximum(1.0, np.abs(q).max(axis=1)))
    q *= scale[:, None]
    for k in order:
        beta = weight[k] * np.einsum("rn,rn->r", y[k], q)
        q += (alpha[k] - beta)[:, None] * s[k]
    uphill = (q * slope).sum(axis=1) > 0.0
    return np.where(uphill[:, None], q, slope / np.maximum(1.0, np.abs(slope).max(axis=1))[:, None])


def best_gains(
    game: FluidGame,
    players: Players,
    starts: StartStates,
    flavour: str = CLOSED,
    guesses: Sequence[Mapping[str, torch.Tensor]] = (),
) -> Array:
    """Gain [starts, seats] of each seat's best response, the best of all first guesses.

    The profile's own actions are the first guess; `guesses` are further ones, actions [starts, T, seats, K] by role.
    """
    path = follow(game, players, starts)
    problems = Problems(game, players, starts, path, flavour)
    found = [ascend(problems.value, problems.controls(one))[0] for one in (path.actions, *guesses)]
    gains = np.maximum(np.max(found, axis=0) - problems.staying, 0.0)
    return gains.reshape(len(game.seats), len(starts)).T
