"""One game, seen by agent: spaces, checked actions, and copies of everything that is handed out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import logger
from gymnasium.spaces import Box
from numpy.typing import NDArray

from arena.game import Game
from arena.layout import Layout
from arena.markets.dealer.board import Board
from arena.markets.market import Market, Role
from arena.scenario import Scenario, load

RENDER_MODES = ("human", "ansi", "rgb_array")
FAR = np.float32(1e9)
"""Bound of the columns of `state()`, which have no natural one."""


class Table:
    """A game with B = 1 and the agents that sit at it; `seed` is the number of the game that is played."""

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
        self.inputs = [(self.game.action[r][0, i], self.slices[a]) for a, (r, i) in self.seats.items()]
        self.views = [(a, self.game.observation[r][0, i]) for a, (r, i) in self.seats.items()]
        self.rewards = [(a, self.game.reward[r], i) for a, (r, i) in self.seats.items()]
        self.info_of = {agent: Info(self.market, self.roles[agent], agent) for agent in self.agents}
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

    def act(self, agent: str, action: Any) -> None:
        """Put one agent's action into the row of all actions; raises ValueError for a wrong shape or type."""
        target = self.slices[agent]
        try:
            array = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"action of {agent}: found {action!r}; allowed are {len(target)} numbers") from None
        if array.shape != target.shape:
            raise ValueError(f"action of {agent}: found an array of shape {array.shape}; allowed is {target.shape}")
        target[:] = array

    def advance(self) -> None:
        """Check all actions at once and play the step; raises ValueError, or RuntimeError when no game is on."""
        if not self.live:
            raise RuntimeError("the game is over or was not started; allowed is reset()")
        if not np.abs(self.sent).max() <= 1.0:  # a number that is none fails this too
            self.refuse()
        self.history[self.game.step_index] = self.sent
        for target, source in self.inputs:
            target[:] = source
        self.game.advance()
        self.live = not self.game.done

    def refuse(self) -> None:
        """Raise ValueError about the first action that is outside [-1, 1]."""
        for agent, action in self.slices.items():
            wrong = np.flatnonzero(~(np.abs(action) <= 1.0))
            if wrong.size:
                column = int(wrong[0])
                name = self.roles[agent].action.names[column]
                raise ValueError(
                    f"action of {agent}, column {column} ({name}): found {action[column]:g}; allowed is -1 to 1"
                )

    def observations(self) -> dict[str, NDArray[np.float32]]:
        """Copies, by agent."""
        return {agent: view.copy() for agent, view in self.views}

    def infos(self) -> dict[str, dict[str, Any]]:
        """What happened so far, by agent; arrays are slices of one copy of the state."""
        row = self.game.state[:, 0].copy()
        return {agent: info(row) for agent, info in self.info_of.items()}

    def state(self) -> NDArray[np.float32]:
        """Time left and every row of the market's state, clipped to +-FAR."""
        left = self.market.clock.horizon * (1.0 - self.game.step_index / self.game.steps)
        return np.clip(np.concatenate([[left], self.game.state[:, 0]]), -FAR, FAR).astype(np.float32)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The quote board in the env's render mode: printed, as text, or as a picture uint8 [H, W, 3]."""
        if self.render_mode is None:
            logger.warn(f"render() needs a render_mode; allowed are {', '.join(RENDER_MODES)}")
            return None
        self.board = self.board or Board(self.game, self.scenario.name)
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


def spaces_of(role: Role) -> tuple[Box, Box]:
    """Observation and action space of a role, float32 and finite."""
    low, high = role.observation.low.astype(np.float32), role.observation.high.astype(np.float32)
    return Box(low, high, dtype=np.float32), Box(-1.0, 1.0, (role.action.size,), dtype=np.float32)
