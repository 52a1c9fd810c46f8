"""Exact gains in continuous time for two makers and one trader: the HJB equations of staying and of replying best.

The market holds an action for a whole step; here players look at the inventories all the time. So this is the limit of
the gradient engine's answer for small steps, by a method that shares nothing with it: collocation on a box that moves
with the profile's path (`policy_gains` in `arena.solvers.makers_traders.best_replies`). Policies have to be smooth.
"""

import numpy as np
import torch

from arena.gaps.profile import Profile, Search, SeatGain
from arena.layout import Array
from arena.markets.dealer.gaps import gradient as fluid_gap
from arena.markets.dealer.gaps.gradient_response import Players
from arena.markets.dealer.gaps.starts import nominal
from arena.markets.dealer.gaps.twin import FluidGame
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.solved_games import Why, makers_traders_of
from arena.solvers.makers_traders.best_replies import policy_gains

NODES, FEWER = 7, 5
"""Nodes of the box in each direction; the change from fewer is the error in the interval."""
LAST = 1e-6
"""Share of the horizon that is left when the clock is last looked at: `pace` divides by the time left."""


class SmoothPolicy:
    """A profile as policy(t, Q [m, 3]) -> [m, 5]: asks, bids, rate; between the market's steps as at them."""

    def __init__(self, market: DealerMarket, profile: Profile):
        self.game = FluidGame(market)
        self.players = Players(market, profile.acts, profile.weights)
        self.state = nominal(self.game)

    def __call__(self, now: float, q: Array) -> Array:
        held, left = torch.as_tensor(q[:, :2]), torch.as_tensor(-q[:, 2:])
        state = self.state.rows([0] * len(q))._replace(inventory=held, remaining=left)
        step = min(now, (1.0 - LAST) * self.game.horizon) / self.game.dt
        with torch.no_grad():
            action = self.players.act(self.game.observe(state, step))
            distance = self.game.distances(action["maker"]).numpy()
            rate = (self.game.rates(state, action["executor"]) * state.direction).numpy()
        return np.concatenate([distance[:, :, 1], distance[:, :, 0], rate], axis=1)


def applies(market: DealerMarket, profile: Profile) -> bool:
    """Whether the market is the duel of two makers with logistic shares and one trader, in fluid flow."""
    seats = (market.makers.count, len(market.executors))
    seen = market.makers.observe.last or market.executors_observe.last
    if seats != (2, 1) or market.flow.rule.kind != "logistic" or seen or not fluid_gap.applies(market, profile):
        return False
    try:
        makers_traders_of(market)
    except Why:
        return False
    return True


def gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Gains from the nominal start; raises NoEquilibrium where a reply's value is unbounded or the box too rough."""
    model, policy = makers_traders_of(market), SmoothPolicy(market, profile)
    fine, rough = (np.maximum(policy_gains(model, policy, nodes=n), 0.0) for n in (NODES, FEWER))
    error = np.abs(fine - rough)
    return [
        SeatGain(seat, gain, 0.0, gain - off, gain + off, "exact", "hjb, continuous time")
        for seat, gain, off in zip(policy.game.seats, fine.tolist(), error.tolist(), strict=True)
    ]
