"""Makers that play a solved impulse problem of the limit order book."""

from typing import Literal

import numpy as np
from pydantic import BaseModel

from arena.layout import STRICT, Array
from arena.markets.book.market import Market
from arena.markets.market import Act


class ImpulseMaker(BaseModel):
    """The optimum of a small book, from value iteration over all of its states: one impulse a decision, or none.

    It needs to see where its orders stand (`observe.places`, as many as it can have). States that the book cannot reach
    get no impulse.
    """

    model_config = STRICT
    kind: Literal["impulse_maker"] = "impulse_maker"

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat; raises ValueError where the book has no table, or hides what the table needs."""
        from arena.markets.book.problems.impulse_problem import optimum, problem, seen_state

        role, most, shown = market.roles[0], problem(market).places, market.observe.places
        found = optimum(market)
        if shown < most:
            raise ValueError(f"market.observe.places: found {shown}; allowed is at least {most}, all that a side holds")
        chain, steps, dt, horizon = found.chain, market.clock.steps, market.clock.dt, market.clock.horizon
        actions = chain.problem.actions
        idle = role.action.idle  # type: ignore[union-attr]
        options = np.full(max(actions) + 2, idle)  # the last place is that of -1
        options[list(actions)] = range(len(actions))

        def act(seen: Array, noise: Array) -> Array:
            step = np.clip(np.rint((horizon - np.asarray(seen[:, 0], dtype=float)) / dt), 0, steps - 1).astype(int)
            at = chain.at(seen_state(market, seen, most))
            option = options[np.where(at < 0, -1, found.policy[step, np.maximum(at, 0)])]
            may = np.asarray(seen)[np.arange(len(seen)), role.observation.slice("allowed").start + option] > 0.5
            return np.where(may, option, idle)[:, None].astype(float)

        return act


SOLVED = (ImpulseMaker,)
"""Makers that play what a solver found."""
