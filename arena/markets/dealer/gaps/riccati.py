"""Exact gains in the execution game where everybody's rate is affine in the inventories: discrete Riccati equations.

Between traders at the mid with quadratic costs each step is quadratic in X = (Q, S, 1) and the rates v. If the others
play v_k = K_k X, a best reply is affine too, values are X' V_k X / 2, and one sweep from the end gives them from every
state at every step (arena/solvers/execution/steps.py). Closed loop, K_k is read off the acts; open loop, where the
others' paths are replayed, every policy is affine: K_k X = v_k.
"""

import numpy as np
import torch

from arena.gaps.profile import Profile, Search, SeatGain, naive_acts
from arena.layout import Array
from arena.markets.dealer.columns import largest_order
from arena.markets.dealer.gaps import twin as fluid_game
from arena.markets.dealer.gaps.gradient_response import (
    CLOSED,
    OPEN,
    Players,
    StartStates,
    Trajectory,
    best_gains,
    follow,
)
from arena.markets.dealer.gaps.starts import at_zero, drawn, judged, nominal
from arena.markets.dealer.gaps.twin import FluidGame, State
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import Why, execution_game_of
from arena.solvers.collocation import NoEquilibrium
from arena.solvers.execution.steps import discrete_replies

AROUND, CHECKS, CLOSE = 1e-3, 4, 1e-6
"""Rates are read within this share of an order around the profile's path; they are affine if CHECKS further points
there and everything that a reply meets on its way confirm it, relative to CLOSE."""


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether the market is a linear-quadratic execution game from one start, and the profile affine."""
    if market.makers.count or not fluid_game.applies(market) or drawn(market):
        return False
    if any(one.stop_at_target for one in market.executors):
        return False
    try:
        known = LinearQuadratic(market, profile)
        known.gains(known.start, CLOSED)
    except (Why, NotCovered, NoEquilibrium):
        return False
    return True


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Exact gains of all traders; raises Why, NotCovered or NoEquilibrium where `applies` is false."""
    own, naive = LinearQuadratic(market, profile), LinearQuadratic(market, naive_acts(market))
    return judged(own.game, own.players, search, "riccati", own.gains_anywhere, naive.gains_anywhere)


class NotCovered(ValueError):
    """The profile is not affine where play goes, or a reply is no rate that its trader may trade at."""


class LinearQuadratic:
    """A profile in the execution game; raises NotCovered where its rates are not affine in the inventories."""

    def __init__(self, market: DealerMarket, profile: Profile):
        self.game, self.model = FluidGame(market), execution_game_of(market)
        self.players = Players(market, profile.acts, profile.weights)
        self.start = at_zero(nominal(self.game))
        self.gain = self._read(AROUND * largest_order(market))
        self.replies = discrete_replies(self.model, self.gain)

    def gains(self, starts: StartStates, flavour: str) -> Array:
        """Gain [starts, traders] of each trader's best reply; raises NotCovered."""
        path = follow(self.game, self.players, starts) if flavour == OPEN else None
        out = np.empty((len(starts), self.game.traders))
        for row, first in enumerate(starts.first.tolist()):
            x = np.concatenate([-starts.state.remaining[row].numpy(), [0.0, 1.0]])
            gain, found = self.gain, self.replies
            if path is not None:
                gain = self._replayed(path, row)
                found = discrete_replies(self.model, gain)
            self._check(gain, found.reply, x, first, flavour)
            out[row] = 0.5 * np.einsum("nij,i,j->n", found.best[first] - found.stay[first], x, x)
        return np.maximum(out, 0.0)

    def gains_anywhere(self, starts: StartStates, flavour: str) -> Array:
        """The same, by gradient where it is not covered: from where play went too far TWAP does not trade back."""
        try:
            return self.gains(starts, flavour)
        except NotCovered:
            return best_gains(self.game, self.players, starts, flavour)

    def _replayed(self, path: Trajectory, row: int) -> Array:
        """K [T, N, N+2] that repeats the rates of a path whatever the state."""
        out = np.zeros((self.game.steps, self.game.traders, self.game.traders + 2))
        for t, state in enumerate(path.states):
            out[t, :, -1] = self._signed(state.rows([row]), path.actions["executor"][row : row + 1, t])
        return out

    def _signed(self, state: State, action: torch.Tensor) -> Array:
        """Rates [R, N], > 0 to buy."""
        return (self.game.rates(state, action) * state.direction).numpy()

    def _played(self, inventory: Array, t: int, last: Array) -> Array:
        """The profile's rates [R, N], > 0 to buy, at inventories and after last trades [R, N]."""
        state = self.start.state.rows([0] * len(inventory))
        state = state._replace(remaining=torch.as_tensor(-inventory), executor_fill=torch.as_tensor(last))
        with torch.no_grad():
            return self._signed(state, self.players.act(self.game.observe(state, t))["executor"])

    def _read(self, reach: float) -> Array:
        """K [T, N, N+2] of the profile around its own path."""
        count, rng = self.game.traders, np.random.default_rng(0)
        away = reach * np.concatenate([np.zeros((1, count)), np.eye(count), rng.uniform(-1.0, 1.0, (CHECKS, count))])
        out = np.zeros((self.game.steps, count, count + 2))
        for t, state in enumerate(follow(self.game, self.players, self.start).states):
            points = away - state.remaining.numpy()
            rate = self._played(points, t, np.abs(away))  # the last trade is seen, and must not matter
            out[t, :, :count] = ((rate[1 : count + 1] - rate[0]) / reach).T
            out[t, :, -1] = rate[0] - out[t, :, :count] @ points[0]
            self._same(points @ out[t, :, :count].T + out[t, :, -1], rate, t)
        return out

    def _same(self, fitted: Array, rate: Array, t: int) -> None:
        if np.abs(fitted - rate).max(initial=0.0) > CLOSE * max(1.0, np.abs(rate).max()):
            raise NotCovered(f"rates in step {t} are not affine in the inventories")

    def _check(self, gain: Array, reply: Array, x: Array, first: int, flavour: str) -> None:
        """Follow each trader's reply from X at a step: are all rates allowed, and do the others play what was read?"""
        way = self.start.state.direction[0].numpy()
        for i in range(self.game.traders):
            now, others = x.copy(), np.delete(np.arange(self.game.traders), i)
            for k in range(first, self.game.steps):
                rate = gain[k] @ now
                if flavour == CLOSED:
                    q = now[None, : self.game.traders]
                    self._same(rate[others], self._played(q, k, 0.0 * q)[0, others], k)
                rate[i] = reply[k, i] @ now
                if not self.game.least[i] <= rate[i] * way[i] <= self.game.most[i]:
                    raise NotCovered(f"trader {i} replies at a rate of {rate[i]:.4g} in step {k}")
                now[: self.game.traders] += self.game.dt * rate  # nobody's rate depends on the level S of the price
