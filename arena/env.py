"""One game for one researcher: the PettingZoo view of a scenario, and a Gymnasium view of one of its seats.

Both are a `Game` with B = 1. An episode's game is drawn from the stream that `reset(seed=...)` starts; its number is
`env.game_seed`, and the same number gives bitwise the same game anywhere else: in a batch, on a worker, or through
`reset(options={"game_seed": ...})`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Space
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

from arena.layout import Layout
from arena.markets.catalogue import kit_of
from arena.markets.market import Act, Role
from arena.mistakes import did_you_mean
from arena.scenario import Scenario
from arena.seating import FAR, RENDER_MODES, Seating

Observations = dict[str, NDArray[np.float32]]
Infos = dict[str, dict[str, Any]]


class Column(NamedTuple):
    """One column of an observation, an action or the state: its name, unit and bounds (of an action: physical)."""

    name: str
    unit: str
    low: float
    high: float


def parallel_env(scenario: Scenario | str | Path = "two_mm_one_trader", render_mode: str | None = None) -> "ArenaEnv":
    """The scenario as a PettingZoo ParallelEnv; `scenario` is a loaded one, a file, or a shipped scenario's name."""
    return ArenaEnv(scenario, render_mode)


def env(scenario: Scenario | str | Path = "two_mm_one_trader", render_mode: str | None = None) -> AECEnv:
    """The scenario as a PettingZoo AECEnv, agents one after another; their actions still take effect together."""
    return parallel_to_aec(parallel_env(scenario, render_mode))


raw_env = env


def single_agent(
    scenario: Scenario | str | Path = "two_mm_one_trader",
    seat: str = "",
    others: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> "SeatEnv":
    """One seat, the first if none is named, as a Gymnasium env; `others` are recipes or plain acts by agent.

    A seat that is in neither `others` nor scripted in the scenario plays the naive profile.
    """
    return SeatEnv(scenario, seat, others, render_mode)


def _columns(layout: Layout) -> list[Column]:
    rows = zip(layout.names, layout.units, layout.low.tolist(), layout.high.tolist(), strict=True)
    return [Column(*row) for row in rows]


class ArenaEnv(ParallelEnv):
    """A scenario as a PettingZoo ParallelEnv. All agents act at once; reaching the horizon terminates all of them.

    Observations are float32 with finite bounds. Actions in numbers are in [-1, 1] and map affinely onto the physical
    bounds that `action_fields(agent)` lists: physical = low + (1 + action)(high - low)/2 (`to_physical`, `to_unit`);
    these are the widest of a role, a seat's own are applied in the market. An agent that chooses has a Discrete action
    space, and its observation is a dict: `observation`, and `action_mask` int8 with 1 where an option is allowed; a
    choice that is not allowed counts and does nothing. Anything that is no action at all raises ValueError.
    """

    def __init__(self, scenario: Scenario | str | Path = "two_mm_one_trader", render_mode: str | None = None):
        self.table = Seating(scenario, render_mode)
        self.metadata = _metadata(self.table.scenario)
        self.render_mode = render_mode
        self.possible_agents = list(self.table.agents)
        self.agents: list[str] = []

    @property
    def scenario(self) -> Scenario:
        """The scenario that is played."""
        return self.table.scenario

    @property
    def game_seed(self) -> int:
        """The number of the game that is played: the same number gives the same game in any batch."""
        return int(self.table.seed)

    def observation_space(self, agent: str) -> Space:
        """The same object at each call."""
        return self._spaces(agent)[0]

    def action_space(self, agent: str) -> Space:
        """The same object at each call."""
        return self._spaces(agent)[1]

    @property
    def state_space(self) -> Box:
        """Space of `state()`."""
        return Box(-FAR, FAR, (len(self.table.shown) + 1,), dtype=np.float32)

    def observation_fields(self, agent: str) -> list[Column]:
        """Name, unit and bounds of each observation column."""
        return _columns(self._role(agent).observation)

    def action_fields(self, agent: str) -> list[Column]:
        """Name, unit and physical bounds of each action column."""
        return _columns(self._role(agent).numbers)

    def state_fields(self) -> list[Column]:
        """Name, unit and bounds of each column of `state()`."""
        clock, far = self.table.market.clock, float(FAR)
        rows = _columns(self.table.market.state.shown)
        return [Column("time_left", clock.unit, 0.0, clock.horizon), *(Column(c.name, c.unit, -far, far) for c in rows)]

    def to_physical(self, agent: str, action: NDArray) -> NDArray[np.float64]:
        """An action in [-1, 1] in the units of `action_fields(agent)`."""
        return self._role(agent).numbers.from_unit(action)

    def to_unit(self, agent: str, physical: NDArray) -> NDArray[np.float32]:
        """The action in [-1, 1] that means these physical values; the inverse of `to_physical`."""
        return self._role(agent).numbers.to_unit(physical).astype(np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Start a game: the next of the stream, or the first of a new stream if `seed` is given."""
        self.table.reset(seed, options)
        self.agents = list(self.possible_agents)
        return self.table.observations(), self.table.infos()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play one step; raises ValueError about an action that is missing, unknown or out of range."""
        table = self.table
        if not self.agents:
            if actions:
                raise ValueError("the game is over (or was not started); allowed is reset()")
            return {}, {}, {}, {}, {}
        if actions.keys() != table.slices.keys():
            self._refuse_agents(actions)
        for agent, action in actions.items():
            table.act(agent, action)
        table.advance()
        done = table.game.done
        agents = self.agents
        if done:
            self.agents = []
        return (
            table.observations(),
            {agent: float(view[0, i]) for agent, view, i in table.rewards},
            dict.fromkeys(agents, done),
            dict.fromkeys(agents, False),
            table.infos(),
        )

    def state(self) -> NDArray[np.float32]:
        """Time left and every row of the market's state, for centralised critics; columns as in `state_fields()`."""
        return self.table.state()

    def render(self) -> str | NDArray[np.uint8] | None:
        """The market's board: printed (`human`), as text (`ansi`) or as a picture uint8 [H, W, 3] (`rgb_array`)."""
        return self.table.render()

    def close(self) -> None:
        """Nothing is held open; may be called again."""

    def __getstate__(self) -> dict[str, Any]:
        """A pickle plays the game again: scenario, number and actions, no arrays of the market."""
        return {"arguments": (self.scenario, self.render_mode), "table": self.table.kept(), "agents": self.agents}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """Build anew and play up to the same step."""
        self.__init__(*kept["arguments"])  # type: ignore[misc]
        self.table.recall(kept["table"])
        self.agents = kept["agents"]

    def _role(self, agent: str) -> Role:
        try:
            return self.table.roles[agent]
        except KeyError:
            raise KeyError(f"no agent '{agent}'; there are {', '.join(self.possible_agents)}") from None

    def _spaces(self, agent: str) -> tuple[Space, Space]:
        self._role(agent)
        return self.table.spaces[agent]

    def _refuse_agents(self, actions: Mapping[str, Any]) -> None:
        known = self.possible_agents
        unknown = [f"'{agent}'{did_you_mean(str(agent), known)}" for agent in actions if agent not in known]
        missing = [agent for agent in known if agent not in actions]
        found = f"an action of {', '.join(unknown)}" if unknown else f"no action of {', '.join(missing)}"
        raise ValueError(f"actions: found {found}; allowed is one for each of {', '.join(known)}")


class SeatEnv(gymnasium.Env):
    """One seat of a scenario as a Gymnasium env; the other seats are played by given agents.

    The observation is the flat box even where the seat chooses: what is allowed stands in it, and in `action_masks()`.
    Raises ValueError for a seat that the scenario does not have.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path = "two_mm_one_trader",
        seat: str = "",
        others: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        self.table = Seating(scenario, render_mode)
        known, market = self.table.agents, self.table.market
        seat = seat or known[0]
        for agent in (seat, *(others or {})):
            if agent not in known:
                raise ValueError(f"seat: found '{agent}'; allowed are {', '.join(known)}{did_you_mean(agent, known)}")
        self.seat, self.render_mode, self.metadata = seat, render_mode, _metadata(self.table.scenario)
        self._arguments = (self.table.scenario, seat, others, render_mode)
        observed, self.action_space = self.table.spaces[seat]
        self.observation_space = observed["observation"] if isinstance(observed, Dict) else observed
        scripted = {a: p for a, p in self.table.scenario.players.items() if p.kind != "learned"}
        line_up = {**kit_of(market).naive(market), **scripted, **(others or {})}
        self._acts: list[tuple[str, Act, NDArray, NDArray]] = []
        noise = self.table.game.noise()
        for agent, (role, i) in self.table.seats.items():
            if agent != seat:
                player = line_up[agent]
                act = player.sit(market, agent) if hasattr(player, "sit") else player
                self._acts.append((agent, act, self.table.game.observation[role][:, i], noise[role][:, i]))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a game: the next of the stream, or the first of a new stream if `seed` is given."""
        super().reset(seed=seed)
        self.table.reset(seed, options)
        return self._seen()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Play one step; raises ValueError about an action out of range, RuntimeError after the end."""
        table = self.table
        table.act(self.seat, action)
        table.game.noise()
        for agent, act, observation, noise in self._acts:
            table.act(agent, np.clip(act(observation, noise)[0], *table.bounds[agent]))
        table.advance()
        role, i = table.seats[self.seat]
        observation, info = self._seen()
        return observation, float(table.game.reward[role][0, i]), table.game.done, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which options the seat may choose now, bool [K], as sb3-contrib's MaskablePPO asks for it.

        Raises TypeError for a seat whose action is in numbers.
        """
        if self.seat not in self.table.masks:
            raise TypeError(f"{self.seat} acts in numbers, which have no mask")
        return self.table.mask(self.seat)

    def render(self) -> str | NDArray[np.uint8] | None:  # type: ignore[override]
        """The market's board: printed (`human`), as text (`ansi`) or as a picture uint8 [H, W, 3] (`rgb_array`)."""
        return self.table.render()

    def __getstate__(self) -> dict[str, Any]:
        """A pickle plays the game again; `others` must be picklable themselves."""
        return {"arguments": self._arguments, "table": self.table.kept()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """Build anew and play up to the same step."""
        self.__init__(*kept["arguments"])  # type: ignore[misc]
        self.table.recall(kept["table"])

    def _seen(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        role, i = self.table.seats[self.seat]
        info = self.table.info_of[self.seat](self.table.game.state[:, 0].copy())
        return self.table.game.observation[role][0, i].copy(), info


def _metadata(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": f"{scenario.name}_v0",
        "render_modes": list(RENDER_MODES),
        "is_parallelizable": True,
        "render_fps": 10,
    }
