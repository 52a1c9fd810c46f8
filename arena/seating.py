"""One game, seen by agent: spaces, checked actions, and copies of everything that is handed out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import logger
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Space
from numpy.typing import NDArray

from arena.board import Board, StateBoard
from arena.game import Game
from arena.layout import Choice, Layout
from arena.markets.catalogue import part
from arena.markets.market import Market, Role
from arena.scenario import Scenario, load

RENDER_MODES = ("human", "ansi", "rgb_array")
FAR = np.float32(1e9)
"""Bound of the columns of `state()`, which have no natural one."""


class Seating:
    """A game with B = 1 and the agents that sit at it; `seed` is the number of the game that is played.

    Raises ValueError for an unknown render mode.
    """

    def __init__(self, scenario: Scenario | str | Path, render_mode: str | None):
        if render_mode not in (None, *RENDER_MODES):
            raise ValueError(f"render_mode: found {render_mode!r}; allowed are None, {', '.join(RENDER_MODES)}")
        self.scenario = scenario if isinstance(scenario, Scenario) else load(scenario)
        self.market: Market = self.scenario.market
        self.game = Game(self.market, 1)
        self.render_mode = render_mode
        self.agents = [agent for role in self.game.roles.values() for agent in role.agents]
        self.roles: dict[str, Role] = {a: role for role in self.game.roles.values() for a in role.agents}
        self.seats = {a: (role.name, i) for role in self.game.roles.values() for i, a in enumerate(role.agents)}
        self.spaces = {agent: spaces_of(role) for agent, role in self.roles.items()}
        sizes = [self.roles[agent].action.size for agent in self.agents]
        ends = np.cumsum(sizes)
        self.sent = np.zeros(int(ends[-1]))  # the actions of all agents, one after another
        self.slices = {a: self.sent[end - size : end] for a, end, size in zip(self.agents, ends, sizes, strict=True)}
        self.bounds = {agent: _wire(self.roles[agent].action) for agent in self.agents}
        self.least, self.most = (np.concatenate([b[i] for b in self.bounds.values()]) for i in (0, 1))
        self.whole = np.array([a for a, agent in enumerate(self._columns()) if self.choice(agent)], dtype=int)
        self.inputs = [(self.game.action[r][0, i], self.slices[a]) for a, (r, i) in self.seats.items()]
        self.views = [(a, self.game.observation[r][0, i]) for a, (r, i) in self.seats.items()]
        self.masks = {a: self.roles[a].observation.slice("allowed") for a in self.agents if self.choice(a)}
        self.rewards = [(a, self.game.reward[r], i) for a, (r, i) in self.seats.items()]
        self.info_of = {agent: Info(self.market, self.roles[agent], agent) for agent in self.agents}
        self.shown = self.market.state.shown_columns
        self.history = np.zeros((self.game.steps, len(self.sent)))  # what a pickle plays again
        self.seed, self.live = np.uint64(0), False
        self.stream = np.random.default_rng()
        self.board: Board | None = None

    def reset(self, seed: int | None, options: Mapping[str, Any] | None) -> None:
        """Start the next game of the stream, of a new stream, or the one that `options` names."""
        if seed is not None:
            self.stream = np.random.default_rng(seed)
        drawn = self.stream.integers(0, 2**64, dtype=np.uint64)
        self.open(np.uint64((options or {}).get("game_seed", drawn)))

    def open(self, seed: np.uint64) -> None:
        """Start one game."""
        self.seed = seed
        self.game.reset(np.array([seed], dtype=np.uint64))
        self.live = True

    def _columns(self) -> list[str]:
        return [agent for agent in self.agents for _ in range(self.roles[agent].action.size)]

    def choice(self, agent: str) -> Choice | None:
        """The options of an agent that chooses."""
        action = self.roles[agent].action
        return action if isinstance(action, Choice) else None

    def act(self, agent: str, action: Any) -> None:
        """Put one agent's action into the row of all actions; raises ValueError for a wrong shape or type."""
        target, choice = self.slices[agent], self.choice(agent)
        try:
            array = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            allowed = f"{len(target)} numbers" if choice is None else _options(choice)
            raise ValueError(f"action of {agent}: found {action!r}; allowed are {allowed}") from None
        if choice is not None and array.size == 1:
            array = array.reshape(1)
        if array.shape != target.shape:
            allowed = f"is {target.shape}" if choice is None else f"are {_options(choice)}"
            raise ValueError(f"action of {agent}: found an array of shape {array.shape}; allowed {allowed}")
        target[:] = array

    def advance(self) -> None:
        """Check all actions at once and play the step; raises ValueError, or RuntimeError when no game is on."""
        if not self.live:
            raise RuntimeError("the game is over or was not started; allowed is reset()")
        inside = ((self.sent >= self.least) & (self.sent <= self.most)).all()  # a number that is none fails this too
        if not inside or (self.whole.size and (self.sent[self.whole] % 1.0).any()):
            self.refuse()
        self.history[self.game.step_index] = self.sent
        for target, source in self.inputs:
            target[:] = source
        self.game.advance()
        self.live = not self.game.done

    def refuse(self) -> None:
        """Raises ValueError about the first action that is outside its range, or no option."""
        for agent, action in self.slices.items():
            low, high = self.bounds[agent]
            choice = self.choice(agent)
            good = (action >= low) & (action <= high) & ((choice is None) | (action == np.floor(action)))
            if not good.all():
                column = int(np.flatnonzero(~good)[0])
                if choice is not None:
                    raise ValueError(f"action of {agent}: found {action[0]:g}; allowed are {_options(choice)}")
                name = self.roles[agent].action.names[column]
                raise ValueError(
                    f"action of {agent}, column {column} ({name}): found {action[column]:g}; allowed is -1 to 1"
                )

    def observations(self) -> dict[str, Any]:
        """Copies, by agent; an agent that chooses gets a dict with its `action_mask` int8 [K] beside."""
        return {agent: self.seen(agent, view) for agent, view in self.views}

    def seen(self, agent: str, view: NDArray[np.float32]) -> Any:
        """One agent's observation as it is handed out."""
        at = self.masks.get(agent)
        return view.copy() if at is None else {"observation": view.copy(), "action_mask": view[at].astype(np.int8)}

    def mask(self, agent: str) -> NDArray[np.bool_]:
        """Which options an agent may choose now, [K]."""
        role, i = self.seats[agent]
        return self.game.observation[role][0, i][self.masks[agent]] > 0.5

    def infos(self) -> dict[str, dict[str, Any]]:
        """What happened so far, by agent; arrays are slices of one copy of the state."""
        row = self.game.state[:, 0].copy()
        return {agent: info(row) for agent, info in self.info_of.items()}

    def state(self) -> NDArray[np.float32]:
        """Time left and every row of the market's state that is shown, clipped to +-FAR."""
        left = self.market.clock.horizon * (1.0 - self.game.step_index / self.game.steps)
        return np.clip(np.concatenate([[left], self.game.state[self.shown, 0]]), -FAR, FAR).astype(np.float32)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The market's board in the env's render mode: printed, as text, or as a picture uint8 [H, W, 3]."""
        if self.render_mode is None:
            logger.warn(f"render() needs a render_mode; allowed are {', '.join(RENDER_MODES)}")
            return None
        self.board = self.board or part(self.market, "board", StateBoard)(self.game, self.scenario.name)
        if self.render_mode == "human":
            print(self.board.text(), end="\n\n")
            return None
        return self.board.text() if self.render_mode == "ansi" else self.board.picture()

    def kept(self) -> dict[str, Any]:
        """What a pickle needs: the game's number and its actions, to be played again; and the stream of games."""
        played = self.history[: self.game.step_index].copy()
        return {
            "seed": self.seed,
            "started": self.live or self.game.step_index > 0,
            "played": played,
            "stream": self.stream,
        }

    def recall(self, kept: dict[str, Any]) -> None:
        """Play the kept game up to the same step, bitwise."""
        self.stream = kept["stream"]
        if kept["started"]:
            self.open(kept["seed"])
        for actions in kept["played"]:
            self.sent[:] = actions
            self.advance()


class Info:
    """What one agent is told besides its observation: its P&L, and the entries that its role's rows name."""

    def __init__(self, market: Market, role: Role, agent: str):
        self.signs = np.zeros(market.state.size)
        for names, sign in ((role.rows.gains, 1.0), (role.rows.costs, -1.0)):
            for name in names:
                self.signs[rows_of(market.state, name, role.agents.index(agent))] = sign
        self.told = [
            (key, rows_of(market.state, name, role.agents.index(agent)), market.state.field(name).shape[1:])
            for key, name in role.rows.told
        ]

    def __call__(self, row: NDArray[np.float64]) -> dict[str, Any]:
        """`pnl` is the change of wealth, without penalties; an entry with one value per seat is a plain number."""
        info: dict[str, Any] = {"pnl": float(self.signs.dot(row))}
        for key, at, shape in self.told:
            info[key] = row[at].reshape(shape) if shape else float(row[at.start])
        return info


def rows_of(layout: Layout, name: str, seat: int) -> slice:
    """The rows of a field [seats, ...] that are one seat's."""
    field, start = layout.field(name), layout.slice(name).start
    size = int(np.prod(field.shape[1:], dtype=int))
    return slice(start + seat * size, start + (seat + 1) * size)


def spaces_of(role: Role) -> tuple[Space, Space]:
    """Observation and action space of a role: finite boxes of float32; for a choice a dict with a mask, Discrete."""
    low, high = role.observation.low.astype(np.float32), role.observation.high.astype(np.float32)
    box = Box(low, high, dtype=np.float32)
    if isinstance(role.action, Choice):
        options = len(role.action)
        return Dict({"observation": box, "action_mask": MultiBinary(options)}), Discrete(options)
    return box, Box(-1.0, 1.0, (role.action.size,), dtype=np.float32)


def _wire(action: Layout | Choice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the largest number of each column on the wire."""
    if isinstance(action, Choice):
        return np.zeros(1), np.array([len(action) - 1.0])
    return -np.ones(action.size), np.ones(action.size)


def _options(choice: Choice) -> str:
    return ", ".join(f"{i} ({name})" for i, name in enumerate(choice.options))
