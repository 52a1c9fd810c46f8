"""A game: B copies of one market played in lock-step, with named columns and a counter for a clock."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.layout import Choice
from arena.markets.market import Market, Role
from arena.markets.parts import draws
from arena.markets.parts.accounts import LedgerError

Views = dict[str, NDArray]
_LANES = 8
"""Batches are padded to a multiple of this, so that one game fills the same vector instructions as a thousand."""
_SKEW = 24
"""Unused columns after the games of a large batch: rows a power of two apart would share the same cache lines."""


class Pause(NamedTuple):
    """Games that stand still between two decisions: all that their future hangs on, padding included."""

    step: int
    seeds: NDArray[np.uint64]
    state: NDArray[np.float64]
    observation: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.seeds.nbytes + self.state.nbytes + self.observation.nbytes


class Game:
    """B games of one market in lock-step.

    `observation`, `action` and `reward` hold one view per role, [B, seats, D | K | -] (float32, float64, float64), onto
    buffers whose last axis in memory is the game: they change with the next step, so copy what you keep. You may write
    `action` in place and call `advance()` instead of `step(actions)`.

    A game depends on its own seed and its actions only: not on B, not on its neighbours (bitwise).
    Raises ValueError for a batch below 1.
    """

    def __init__(self, market: Market, batch: int):
        if batch < 1:
            raise ValueError(f"batch must be at least 1, found {batch}")
        self.market, self.batch, self.steps = market, batch, market.clock.steps
        self.roles: dict[str, Role] = {role.name: role for role in market.roles}
        self._rules = market.rules()
        width = -(-batch // _LANES) * _LANES
        stride = width + (_SKEW if width > self._rules.block else 0)
        order: Literal["C", "F"] = "C" if self._rules.games_last else "F"
        self._state = np.zeros((market.state.size, stride), order=order)
        self._seeds = np.zeros(width, np.uint64)
        self._failure = np.zeros(2)
        self._observation = np.zeros((self._columns("observation"), stride), np.float32, order)
        self._action = np.zeros((self._columns("action"), stride), order=order)
        self._noise = np.zeros_like(self._action)
        self.step_index = 0
        self.observation: Views = self._views(self._observation, "observation")
        self.action: Views = self._views(self._action, "action")
        self.reward: Views = {name: self.view(role.rows.reward) for name, role in self.roles.items()}
        self._noise_views = self._views(self._noise, "action")
        columns = [role.action for role in self.roles.values() for _ in role.agents for _ in range(role.action.size)]
        self._choices = np.flatnonzero([isinstance(action, Choice) for action in columns])

    def _columns(self, kind: str) -> int:
        return sum(getattr(role, kind).size * len(role.agents) for role in self.roles.values())

    def _views(self, buffer: NDArray, kind: str) -> Views:
        views, start = {}, 0
        for name, role in self.roles.items():
            seats, size = len(role.agents), getattr(role, kind).size
            block = buffer[start : start + seats * size, : self.batch].reshape(seats, size, self.batch)
            views[name] = block.transpose(2, 0, 1)
            start += seats * size
        return views

    @property
    def done(self) -> bool:
        """Whether the horizon is reached (no game ends before the others)."""
        return self.step_index >= self.steps

    @property
    def state(self) -> NDArray[np.float64]:
        """The whole state [R, B], rows named by `market.state`; a view."""
        return self._state[:, : self.batch]

    def view(self, name: str) -> NDArray[np.float64]:
        """One named quantity of every game, [B, ...]; a view."""
        shape = self.market.state.field(name).shape
        rows = self._state[self.market.state.slice(name), : self.batch]
        return np.moveaxis(rows.reshape(*shape, self.batch), -1, 0)

    def reset(self, seeds: NDArray[np.uint64]) -> Views:
        """Starts new games from their seeds, uint64 [B]; returns the first observations.

        Raises ValueError for seeds of another shape.
        """
        seeds = np.asarray(seeds, dtype=np.uint64)
        if seeds.shape != (self.batch,):
            raise ValueError(f"reset needs {self.batch} seeds, found an array of shape {seeds.shape}")
        padded = np.zeros_like(self._seeds)
        padded[: self.batch] = seeds
        draws.mix_seeds(padded, self._seeds)
        self.step_index = 0
        rules = self._rules
        rules.begin(*rules.parameters, self._seeds, self._state, self._observation)
        return self.observation

    def pause(self) -> Pause:
        """A copy of where the games stand, from which any game of this market and batch goes on."""
        return Pause(self.step_index, self._seeds.copy(), self._state.copy("A"), self._observation.copy("A"))

    def resume(self, pause: Pause) -> Views:
        """Goes on from a pause, bitwise as if there had been none; returns the observations.

        Raises ValueError for a pause of another market or batch.
        """
        if pause.state.shape != self._state.shape or pause.observation.shape != self._observation.shape:
            raise ValueError(f"resume needs a state of shape {self._state.shape}, found {pause.state.shape}")
        self.step_index = pause.step
        self._seeds[:], self._state[:], self._observation[:] = pause.seeds, pause.state, pause.observation
        return self.observation

    def step(self, actions: Views) -> Views:
        """Plays one step with actions [B, seats, K] by role, numbers in [-1, 1] or the index of an option.

        Returns the rewards. Numbers outside are clipped and what is not a number becomes 0; an option that is not
        allowed becomes idle. All are counted in the state's `clipped_action`. Raises LedgerError if a conservation law
        fails, RuntimeError after the end.
        """
        for name, view in self.action.items():
            view[...] = actions[name]
        return self.advance()

    def advance(self) -> Views:
        """Plays one step with the actions that stand in `self.action`; returns the rewards.

        Raises LedgerError if a conservation law fails, RuntimeError after the end.
        """
        if self.step_index >= self.steps:
            raise RuntimeError(f"the game is over after {self.steps} steps; call reset first")
        rules, buffers = self._rules, (self._state, self._action, self._observation, self._failure)
        code = rules.advance(*rules.parameters, self._seeds, self.step_index, *buffers)
        self.step_index += 1
        if code >= 0:
            game, residual = int(self._failure[0]), float(self._failure[1])
            raise LedgerError(rules.complaint(code, game, self.step_index, residual))
        return self.reward

    def noise(self) -> Views:
        """A random number for each column of an action in this step, [B, seats, K] by role, from each game's counter.

        Standard normals for numbers; for a choice a uniform on (0, 1), from which any distribution over its options
        can be drawn.
        """
        draws.fill_normals(self._seeds, draws.ACTION, self.step_index, self._noise)
        if len(self._choices):
            draws.fill_uniforms(self._seeds, draws.CHOICE, self.step_index, self._choices, self._noise)
        return self._noise_views
