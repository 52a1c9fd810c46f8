"""The control problem of one maker in a limit order book: flow, rules, terms of trade and what is maximised.

    J = E[ X_T + Y_T P_T - kappa Y_T^2 - fee |Y_T| P_T - eta int Y^2 dt ],   impulses psi in A
    V = X + Y P + W,   so W(T) = -kappa Y^2 - fee |Y| P_0: all that is learned or tabulated is W

The fee at the end is taken at the mid of the start: that a game's own mid differs by some ticks of ten thousand is
left out, for then prices would be part of the state.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.solvers.impulse.states import MARKET, POST_INSIDE, TYPES, State, kind_of


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that the generator and the interventions need; money in ticks, time in seconds.

    `base` mu [12] 1/s; `jump` [12, 12]: what event j adds to intensity i, alpha_ij = G_ij beta, 1/s; `decay` beta 1/s,
    one for all. `refill`: (orders in a new second level, probability). `widest`: spreads beyond are cut off there.
    """

    base: Array
    jump: Array
    decay: float
    spread_power: float
    spread_mean: float
    room: int
    refill: tuple[tuple[int, float], ...]
    actions: tuple[int, ...]
    cap: int
    places: int  # own orders a side that are kept track of; more are not allowed
    eta: float
    kappa: float
    liquidation: float  # ticks a lot that is held at the end
    fee_maker: float
    fee_taker: float
    fee_message: float
    excites: str  # which own orders excite: all, trades, none
    horizon: float
    dt: float
    warm_up: float  # seconds of flow before the first decision
    spread: int  # before the warm-up, ticks
    top: int  # orders in a first and in a second level, likewise
    deep: int
    widest: int = 1 << 20

    @property
    def poisson(self) -> bool:
        """Whether nothing excites anything, so that no intensity is part of the state."""
        return not self.jump.any()

    @property
    def steps(self) -> int:
        """Decisions on the grid."""
        return round(self.horizon / self.dt)

    def factor(self, event: int, spread: Any) -> Any:
        """F_i(s): (s/mean)^power of in-spread orders where s >= 2, and 0 below; 1 for all others."""
        if kind_of(event) != POST_INSIDE:
            return 1.0
        return (spread / self.spread_mean) ** self.spread_power * (spread >= 2)

    def own_jump(self, action: int) -> Array:
        """What an own order adds to the intensities, [12]."""
        loud = self.excites == "all" or (self.excites == "trades" and kind_of(action) == MARKET)
        return self.jump[:, action] * loud

    def at_end(self, state: State) -> Any:
        """W(T) = -kappa Y^2 - fee |Y| P_0."""
        y = state.inventory
        return -self.kappa * y * y - self.liquidation * abs(y)

    def running(self, state: State) -> Any:
        """eta Y^2, ticks per second."""
        return self.eta * (state.inventory * state.inventory)

    @property
    def stationary(self) -> Array:
        """(I - G)^-1 mu [12], 1/s: rates of the flow at the mean spread."""
        norm = self.jump / self.decay
        return np.asarray(np.linalg.solve(np.eye(TYPES) - norm, self.base))
