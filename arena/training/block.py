"""One block of games played once: policies that learn explore and are recorded, frozen ones and scripted agents act.

Everything is games-last in memory, as in the game itself: an observation is [D, cells, games of a cell], so one matrix
product serves all games of a policy. What a block yields depends on its seeds, weights and line-up alone: not on the
worker that plays it. Long games may be played a segment at a time: then it depends on where they were paused too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from agents.heads import head_of
from agents.learned import LIMIT
from agents.network import Weights
from arena.game import Game, Pause
from arena.markets.market import Act
from arena.solvers.perceptron import linear_layers
from arena.training.frozen import Stack

NEW, EXPLOITER = -1, -2
"""In a line-up: this cell is played by the role's learning policy, or by its exploiter."""
LEARNERS = {NEW: "", EXPLOITER: "_exploiter"}
"""What a learner's name adds to its role's: the modules are `maker` and, if switched on, `maker_exploiter`."""

GAMES = 1
"""Key of the training games' seeds, apart from every other use of a run's seed."""


def block_seeds(seed: int, iteration: int, block: int, games: int) -> np.ndarray:
    """Seeds of the games of one block, uint64 [games]: a hash of run seed, iteration and block alone."""
    return np.random.SeedSequence([seed, GAMES, iteration, block]).generate_state(games, np.uint64)


class Track(NamedTuple):
    """What one learner saw, did and earned; C columns are (seat, game) pairs."""

    observations: np.ndarray  # float32 [T, D, C], standardised
    actions: np.ndarray  # float32 [T, K, C], in the head's own units, not clipped
    rewards: np.ndarray  # float32 [T, C]
    logp: np.ndarray  # float32 [T, C], log-probability of the actions, without its constant for numbers
    surprises: np.ndarray  # float32 [T, S, C], orders less their mean
    held: np.ndarray  # int [H], rows of the observations that say what the seat holds
    ahead: np.ndarray | None = None  # float32 [D, C], what it saw after the last of them, where the game goes on
    first: int = 0  # decisions of the game before these
    left: int = 0  # decisions of the game after these


class Lineup(NamedTuple):
    """Who plays the learning seats of a role in each group of games; groups divide a block evenly.

    `cells[seat, group]` is NEW, EXPLOITER, or an index into `members`.
    """

    cells: np.ndarray  # int [learning seats, groups]
    members: tuple[str, ...] = ()


class Played(NamedTuple):
    """A finished block: tracks by learner, and by role every seat's total reward and traded lots."""

    tracks: dict[str, Track]
    returns: dict[str, np.ndarray]  # float64 [B, seats]
    volume: dict[str, np.ndarray]  # float64 [B, seats], lots
    clipped: float  # share of action components outside their range, or of choices that were not allowed
    pause: Pause | None = None  # where the games stand if they are not over


class Segment(NamedTuple):
    """Which part of its games a block plays: from a pause or the start, some decisions unrecorded, some recorded."""

    pause: Pause | None
    skip: int
    steps: int


class _Learner:
    """One policy that explores, its cells, and its record of the block."""

    def __init__(
        self, weights: Weights, cells: np.ndarray, steps: int, width: int, columns: int, surprises: int,
        held: np.ndarray,
    ):  # fmt: skip
        self.cells = torch.from_numpy(cells)
        self.layers = [(torch.tensor(w), torch.tensor(b)[:, None]) for w, b in linear_layers(weights)]
        self.linear, self.relu = torch.tensor(weights["linear"]), bool(weights["relu"])
        self.head = head_of(weights, len(self.linear))
        games = len(cells) * width
        self.observations = torch.empty((steps, len(weights["centre"]), games))
        self.actions = torch.empty((steps, columns, games))
        self.logp = torch.empty((steps, games))
        self.rewards = np.empty((steps, games), np.float32)
        self.surprises, self.held = np.empty((steps, surprises, games), np.float32), held

    def act(self, t: int, seen: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Record step t and return actions [K, own cells, width]; `seen` and `noise` are [D or K, all cells, width]."""
        own = x = self.observations[t]
        shape = (-1, len(self.cells), seen.shape[2])
        torch.index_select(seen, 1, self.cells, out=own.view(shape))
        for weight, bias in self.layers[:-1]:
            x = torch.addmm(bias, weight, x)
            x = x.relu_() if self.relu else x.tanh_()
        weight, bias = self.layers[-1]
        z = noise.index_select(1, self.cells).flatten(1)
        outputs = torch.addmm(torch.addmm(bias, weight, x), self.linear, own)
        moves, self.actions[t] = self.head.sample(outputs, own, z, self.logp[t])
        return moves.view(shape)

    def track(self) -> Track:
        seen, done, logp = self.observations.numpy(), self.actions.numpy(), self.logp.numpy()
        return Track(seen, done, self.rewards, logp, self.surprises, self.held)

    def look_ahead(self, seen: torch.Tensor) -> np.ndarray:
        """Own columns [D, C] of standardised observations [D, all cells, width]."""
        return seen.index_select(1, self.cells).flatten(1).numpy()


class _Team:
    """The learning seats of one role during one block."""

    def __init__(
        self, game: Game, role: str, seats: Sequence[int], learners: Mapping[str, Weights], lineup: Lineup,
        members: Sequence[Weights], steps: int,
    ):  # fmt: skip
        spec = game.roles[role]
        self.seats = slice(None) if list(seats) == list(range(len(spec.agents))) else list(seats)
        self.width = game.batch // lineup.cells.shape[1]
        flat = lineup.cells.reshape(-1)
        luck = game.view(spec.rows.luck) if spec.rows.luck else np.zeros((game.batch, len(spec.agents), 0))
        self.luck = luck.reshape(*luck.shape[:2], math.prod(luck.shape[2:]))
        names = [name for name in spec.hints.worth if name in spec.observation]
        held = np.array([row for name in names for row in np.r_[spec.observation.slice(name)]], dtype=np.int64)
        own = steps, self.width, spec.action.size, self.luck.shape[2], held
        self.learners = {
            role + ending: _Learner(learners[role + ending], np.flatnonzero(flat == code), *own)
            for code, ending in LEARNERS.items()
            if (flat == code).any()
        }
        old = flat[flat >= 0]
        self.old = np.flatnonzero(flat >= 0)
        self.stack = Stack(members, old.tolist()) if len(old) else None
        frame = next(iter(members)) if not self.learners else learners[next(iter(self.learners))]
        self.centre = np.asarray(frame["centre"])[:, None, None]
        self.inverse_scale = (1.0 / np.asarray(frame["scale"]))[:, None, None]
        self.standardised = np.empty((spec.observation.size, len(seats), game.batch), np.float32)
        self.seen = torch.from_numpy(self.standardised).view(spec.observation.size, flat.size, self.width)
        self.moves = torch.empty((spec.action.size, flat.size, self.width))

    def step(self, t: int, observation: np.ndarray, noise: np.ndarray, action: np.ndarray) -> None:
        """Look, record, and write the actions of all cells into the game's own buffer; arrays are [B, seats, D | K]."""
        self._look(observation)
        if self.learners:
            drawn = torch.from_numpy(self._of_cells(noise, np.float32))
            for learner in self.learners.values():
                self.moves.index_copy_(1, learner.cells, learner.act(t, self.seen, drawn))
        if self.stack is not None:
            uniforms = None if self.stack.choice is None else self._of_cells(noise, np.float64)
            moves = self.stack.act(self.seen.numpy(), self.old, uniforms)
            self.moves.index_copy_(1, torch.from_numpy(self.old), torch.from_numpy(moves))
        out = action.transpose(2, 1, 0)
        out[:, self.seats] = self.moves.view(len(out), -1, out.shape[2]).numpy()

    def _look(self, observation: np.ndarray) -> None:
        np.subtract(observation.transpose(2, 1, 0)[:, self.seats], self.centre, out=self.standardised)
        self.standardised *= self.inverse_scale
        np.clip(self.standardised, -LIMIT, LIMIT, out=self.standardised)

    def tracks(self, observation: np.ndarray, first: int, left: int) -> dict[str, Track]:
        """What the learners did in decisions `first` and on; `left` more come, the next at `observation`."""
        if left:
            self._look(observation)
        out = {}
        for name, learner in self.learners.items():
            ahead = learner.look_ahead(self.seen) if left else None
            out[name] = learner.track()._replace(ahead=ahead, first=first, left=left)
        return out

    def _of_cells(self, noise: np.ndarray, dtype: type) -> np.ndarray:
        """Noise [B, seats, K] of the learning seats as [K, cells, width]."""
        return np.ascontiguousarray(noise.transpose(2, 1, 0)[:, self.seats], dtype).reshape(self.moves.shape)

    def reward(self, t: int, reward: np.ndarray) -> None:
        """Record the learners' rewards and luck of step t; `reward` is [B, seats]."""
        cells = np.ascontiguousarray(reward.T[self.seats]).reshape(-1, self.width)
        luck = np.ascontiguousarray(self.luck.transpose(2, 1, 0)[:, self.seats])
        luck = luck.reshape(len(luck), *cells.shape)
        for learner in self.learners.values():
            own = learner.cells.numpy()
            learner.rewards[t] = cells[own].ravel()
            learner.surprises[t] = luck[:, own].reshape(learner.surprises[t].shape)


def play_block(
    game: Game,
    seeds: np.ndarray,
    seats: Mapping[str, Sequence[int]],
    learners: Mapping[str, Weights],
    lineups: Mapping[str, Lineup],
    members: Mapping[str, Sequence[Weights]],
    scripted: Mapping[str, Act],
    segment: Segment | None = None,
) -> Played:
    """Play `seeds` [B] to the end, or a segment of those games; `seats` are the learning seats of each role.

    `learners` are weights by learner; `lineups` and `members` (the weights that a line-up names) are by role;
    `scripted` acts play the other agents. Returns and volume count what was recorded.
    """
    part = segment or Segment(None, 0, game.steps)
    if part.pause is None:
        game.reset(seeds)
    else:
        game.resume(part.pause)
    others = [
        (role, spec.agents.index(agent), scripted[agent])
        for role, spec in game.roles.items()
        for agent in spec.agents
        if agent in scripted
    ]
    with torch.inference_mode():
        if part.skip:
            _play(game, _teams(game, seats, learners, lineups, members, part.skip), others, part.skip)
        teams = _teams(game, seats, learners, lineups, members, part.steps)
        return _play(game, teams, others, part.steps)


def _teams(
    game: Game, seats: Mapping[str, Sequence[int]], learners: Mapping[str, Weights], lineups: Mapping[str, Lineup],
    members: Mapping[str, Sequence[Weights]], steps: int,
) -> dict[str, _Team]:  # fmt: skip
    return {
        role: _Team(game, role, own, learners, lineups[role], members.get(role, ()), steps)
        for role, own in seats.items()
    }


def _play(game: Game, teams: Mapping[str, _Team], others: Sequence[tuple[str, int, Act]], steps: int) -> Played:
    """So many decisions on from where the games stand."""
    returns = {role: np.zeros((game.batch, len(spec.agents))) for role, spec in game.roles.items()}
    volume = {role: np.zeros_like(total) for role, total in returns.items()}
    traded = {role: game.view(spec.rows.traded) for role, spec in game.roles.items() if spec.rows.traded}
    first, before = game.step_index, float(game.view("clipped_action").sum())
    for t in range(steps):
        noise = game.noise()
        for role, team in teams.items():
            team.step(t, game.observation[role], noise[role], game.action[role])
        for role, seat, act in others:
            game.action[role][:, seat] = act(game.observation[role][:, seat], noise[role][:, seat])
        game.advance()
        for role, team in teams.items():
            team.reward(t, game.reward[role])
        for role, total in returns.items():
            total += game.reward[role]
        for role, lots in traded.items():
            size = np.abs(lots)
            volume[role] += size.sum(axis=tuple(range(2, size.ndim)))
    left = game.steps - game.step_index
    tracks: dict[str, Track] = {}
    for role, team in teams.items():
        tracks |= team.tracks(game.observation[role], first, left)
    components = sum(view.size for view in game.action.values()) * steps
    clipped = (float(game.view("clipped_action").sum()) - before) / components
    return Played(tracks, returns, volume, clipped, game.pause() if left else None)
