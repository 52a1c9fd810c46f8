"""Play whole games and keep what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arena.game import Game
from arena.layout import Layout
from arena.markets.market import Act
from arena.markets.parts import draws


@dataclass(frozen=True)
class Rollout:
    """What B games of T steps looked like; of the state, the rows that are shown.

    rewards[role] float64 [T, B, seats]. With `trace`: state float64 [T+1, R, B] (rows named by `layout`), and
    observations[role] float32 [T, B, seats, D], actions[role] float64 [T, B, seats, K].
    """

    agents: dict[str, tuple[str, ...]]
    rewards: dict[str, NDArray[np.float64]]
    layout: Layout
    final: NDArray[np.float64]
    state: NDArray[np.float64] | None = None
    observations: dict[str, NDArray[np.float32]] | None = None
    actions: dict[str, NDArray[np.float64]] | None = None

    @property
    def returns(self) -> dict[str, NDArray[np.float64]]:
        """Sum of rewards per game, [B, seats] by role."""
        return {role: rewards.sum(axis=0) for role, rewards in self.rewards.items()}

    def returns_of(self, agent: str) -> NDArray[np.float64]:
        """Sum of one seat's rewards per game, [B]; raises KeyError for an agent that did not play."""
        for role, agents in self.agents.items():
            if agent in agents:
                return self.rewards[role][:, :, agents.index(agent)].sum(axis=0)
        raise KeyError(f"no agent '{agent}'; there are {', '.join(a for names in self.agents.values() for a in names)}")

    def last(self, name: str) -> NDArray[np.float64]:
        """A named quantity at the end of every game, [B, ...]."""
        return _named(self.layout, self.final, name)

    def path(self, name: str) -> NDArray[np.float64]:
        """A named quantity over time, [T+1, B, ...]; raises ValueError without `trace`."""
        if self.state is None:
            raise ValueError("this rollout kept no trace; play(..., trace=True)")
        return np.stack([_named(self.layout, state, name) for state in self.state])


def _named(layout: Layout, state: NDArray, name: str) -> NDArray:
    rows = state[layout.slice(name)]
    return np.moveaxis(rows.reshape(*layout.field(name).shape, state.shape[-1]), -1, 0)


def play(game: Game, players: Mapping[str, Act], seeds: NDArray[np.uint64], *, trace: bool = False) -> Rollout:
    """Plays the games of `seeds` uint64 [B] to the end with one agent per seat.

    Raises KeyError naming the seats that nobody plays.
    """
    absent = [agent for role in game.roles.values() for agent in role.agents if agent not in players]
    if absent:
        raise KeyError(f"nobody plays {', '.join(absent)}")
    observation = game.reset(seeds)
    rewards = {name: np.empty((game.steps, *view.shape)) for name, view in game.reward.items()}
    layout, rows = game.market.state.shown, game.market.state.shown_columns
    state = np.empty((game.steps + 1, len(rows), game.batch)) if trace else None
    seen = {k: np.empty((game.steps, *v.shape), np.float32) for k, v in observation.items()} if trace else None
    done = {k: np.empty((game.steps, *v.shape)) for k, v in game.action.items()} if trace else None
    for t in range(game.steps):
        noise = game.noise()
        for name, role in game.roles.items():
            for seat, agent in enumerate(role.agents):
                game.action[name][:, seat] = players[agent](observation[name][:, seat], noise[name][:, seat])
        if state is not None and seen is not None and done is not None:
            np.take(game.state, rows, axis=0, out=state[t], mode="clip")  # straight there; "raise" would buffer
            for name in game.roles:
                seen[name][t], done[name][t] = observation[name], game.action[name]
        for name, reward in game.advance().items():
            rewards[name][t] = reward
    if state is not None:
        np.take(game.state, rows, axis=0, out=state[-1], mode="clip")
    return Rollout(
        agents={name: role.agents for name, role in game.roles.items()},
        rewards=rewards,
        layout=layout,
        final=game.state[rows],
        state=state,
        observations=seen,
        actions=done,
    )


def side_by_side(acts: Sequence[Act], width: int) -> Act:
    """One act for a seat whose runs of `width` games are played by different acts; each acts once per step."""
    rows: dict[int, list[np.ndarray]] = {}
    for slot, one in enumerate(acts):
        rows.setdefault(id(one), []).append(np.arange(slot * width, (slot + 1) * width))
    groups = [(next(a for a in acts if id(a) == key), np.concatenate(parts)) for key, parts in rows.items()]
    if len(groups) == 1:
        return acts[0]

    def act(observation: NDArray, noise: NDArray) -> NDArray:
        out = np.empty((len(observation), noise.shape[1]))
        for one, where in groups:
            out[where] = one(observation[where], noise[where])
        return out

    return act


def seeds_of(seed: int, count: int, stream: int = 0) -> NDArray[np.uint64]:
    """`count` game seeds of a named stream, a pure function of (seed, stream): common random numbers."""
    signed = (seed + 2**63) % 2**64 - 2**63  # any integer, as the 64-bit one that the kernel takes
    base = np.arange(count, dtype=np.uint64) + np.uint64(draws.key(signed, stream, 0))
    out = np.empty_like(base)
    draws.mix_seeds(base, out)
    return out
