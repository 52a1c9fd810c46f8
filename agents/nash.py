"""Players of an equilibrium: makers and traders who play what theory says about their market, in any line-up.

The market is read as a solved game (`dealer.problems.solved_games`); where it is none, sitting down fails with the
sentence that says why. An open-loop player commits to the path that belongs to the mean start: the control in the
middle of each step, whatever happens. A feedback player reacts to all inventories; so does everybody where the noise
flow is random.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, Field

from agents.hedged import Hedged
from agents.optimal_makers import as_action
from arena.layout import STRICT, Array
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act

if TYPE_CHECKING:
    from arena.solvers.solution import Solution

Controls = Callable[[Array, Array], Array]
"""(step [batch], observation [batch, D]) -> asks [M], bids [M], rates [N] of everybody, [batch, 2 M + N]."""
Information = Literal["open_loop", "feedback"]


class NashMaker(Hedged):
    """One maker of the equilibrium of makers and traders (Guo & Jin 2025, Theorems 3.9 and 5.4).

    Feedback is the smooth local solution of the coupled HJB equations, for two makers with one trader.
    """

    kind: Literal["nash_maker"] = "nash_maker"
    information: Information = Field(
        default="open_loop", description="open_loop: the path from the mean start; feedback: reacts to all inventories"
    )

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError, with the reason, where the market has no such equilibrium."""
        controls = _controls(market, self.kind, self.information, seat)
        m, count = market.maker_names.index(seat), market.makers.count

        def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
            all_ = controls(_step(market, "maker", observation), observation)
            ask, bid = all_[:, m, None], all_[:, count + m, None]
            return as_action(market, 0.5 * (ask + bid), 0.5 * (ask - bid))

        return self.hedged(market, act)


class NashTrader(BaseModel):
    """One trader of the equilibrium of makers and traders; see `NashMaker`."""

    model_config = STRICT
    kind: Literal["nash_trader"] = "nash_trader"
    information: Information = Field(
        default="open_loop", description="open_loop: the path from the mean start; feedback: reacts to all inventories"
    )

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError, with the reason, where the market has no such equilibrium."""
        if not market.makers.count:
            raise ValueError("nash_trader needs makers to trade with; in a market without makers it is nash_executor")
        return _trading(market, self.kind, self.information, seat)


class NashExecutor(BaseModel):
    """One trader of the execution game (Guo & Jin 2025, section 2).

    Feedback is the exact Nash equilibrium of the market's own steps, from a backward sweep of linear systems.
    """

    model_config = STRICT
    kind: Literal["nash_executor"] = "nash_executor"
    information: Information = Field(
        default="open_loop", description="open_loop: the path from the mean start; feedback: reacts to all inventories"
    )

    def sit(self, market: DealerMarket, seat: str) -> Act:
        """Act of one seat; raises ValueError, with the reason, where the market is no execution game."""
        if market.makers.count:
            raise ValueError("nash_executor needs a market without makers; where makers quote it is nash_trader")
        return _trading(market, self.kind, self.information, seat)


def _trading(market: DealerMarket, kind: str, information: str, seat: str) -> Act:
    controls = _controls(market, kind, information, seat)
    j, layout = market.executor_names.index(seat), market.role("executor").numbers
    column, towards = 2 * market.makers.count + j, 1.0 if market.executors[j].side == "buy" else -1.0

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        rate = controls(_step(market, "executor", observation), observation)[:, column]
        return np.clip(layout.to_unit(towards * rate[:, None]), -1.0, 1.0)

    return act


def _controls(market: DealerMarket, kind: str, information: str, seat: str) -> Controls:
    """What everybody plays, seen from one seat."""
    if information == "feedback" and not market.makers.count:
        gain = _discrete_gain(market, kind)
        seen = _inventories(market, kind, seat)

        def linear(step: Array, observation: Array) -> Array:
            state = np.concatenate([seen(observation), np.ones((len(observation), 1))], axis=1)
            return np.asarray((gain[step] @ state[:, :, None])[:, :, 0])  # one product per row, of one shape

        return linear
    if information == "feedback" or market.flow.intensity.model == "log_ou":
        return _policy(market, kind, information, seat)
    found = _solved(market, kind, information)
    parts = [found.stack(name)[: market.makers.count] for name in ("ask", "bid") if market.makers.count]
    if market.executors:
        parts.append(found.stack("rate")[: len(market.executors)])
    table = np.concatenate(parts).T
    return lambda step, observation: table[step]


def _policy(market: DealerMarket, kind: str, information: str, seat: str) -> Controls:
    """The solver's policy in the middle of the step, at the inventories that its own controls lead to by then.

    Inventories further from the path than the box in which it was solved count as those on the box's edge.
    """
    from arena.markets.dealer.problems.solved_games import makers_traders_of
    from arena.solvers.makers_traders.tube import to_coordinates, to_inventories

    seen, role = _inventories(market, kind, seat), _role_of(market, seat)
    found = _solved(market, kind, information)
    game, policy, dt = makers_traders_of(market), found.policy, market.clock.dt
    assert policy is not None
    middle = to_coordinates(found.stack("inventory").T)
    reach = np.asarray(found.diagnostics["radius"], dtype=float)[:3].copy()
    if game.homogeneous:
        reach[2] = np.inf  # exact in a shift of all inventories
    layout = market.role(role).observation
    factor = layout.slice("flow_factor") if "flow_factor" in layout else None

    def act(step: Array, observation: Array) -> Array:
        held = seen(observation)
        out = np.empty((len(observation), 5))
        for k in np.unique(step):
            rows = step == k
            extra = observation[rows, factor].astype(float) if factor is not None else np.empty((rows.sum(), 0))
            scale = np.exp(extra[:, 0]) if factor is not None else 1.0

            def at(now: float, q: Array, k: int = k, extra: Array = extra) -> Array:
                away = np.clip(to_coordinates(q) - middle[k], -reach, reach)
                return policy(now, np.concatenate([to_inventories(middle[k] + away), extra], axis=1))

            start, now = held[rows], dt * np.array([k, k + 0.5])
            first = at(now[0], start)
            ask, bid, rate = first[:, :2], first[:, 2:4], first[:, 4:]
            buying = rate[:, 0] if game.direction[0] > 0 else 0.0
            selling = 0.0 if game.direction[0] > 0 else -rate[:, 0]
            into_ask, into_bid = (game.noise_buy.at(now[0]) * scale + buying,
                                  game.noise_sell.at(now[0]) * scale + selling)  # fmt: skip
            moved = into_bid * game.share.shares(bid).T - into_ask * game.share.shares(ask).T
            out[rows] = at(now[1], start + 0.5 * dt * np.concatenate([moved.T, rate], axis=1))
        return out

    return act


def _solved(market: DealerMarket, kind: str, information: str) -> "Solution":
    from arena.markets.dealer.problems.solved_games import solve  # scipy takes half a second: only who sits pays it

    found = solve(market, information, midpoints=True)
    if isinstance(found, str):
        raise ValueError(f"{kind}: {found}")
    return found


@lru_cache(maxsize=16)
def _discrete_gain(market: DealerMarket, kind: str) -> Array:
    """Rates of everybody per step on (inventories, 1): [T, N, N + 1]. The price moved so far drops out."""
    from arena.markets.dealer.problems.solved_games import Why, execution_game_of
    from arena.solvers.execution.steps import discrete_feedback_nash

    try:
        gain = discrete_feedback_nash(execution_game_of(market), market.clock.steps, "exact").gain
    except Why as why:
        raise ValueError(f"{kind}: no equilibrium is known for this market: {why}") from None
    except ValueError as error:
        raise ValueError(f"{kind}: the solver finds no feedback equilibrium: {error}") from None
    return np.delete(gain, -2, axis=2)


def _role_of(market: DealerMarket, seat: str) -> str:
    return "maker" if seat in market.maker_names else "executor"


def _inventories(market: DealerMarket, kind: str, seat: str) -> Callable[[Array], Array]:
    """From an observation of one seat to everybody's inventories [batch, M + N]; an order to buy counts as short."""
    role, makers, traders = _role_of(market, seat), market.makers.count, len(market.executors)
    layout = market.role(role).observation
    own = "inventory" if role == "maker" else "remaining"
    columns = {own: [*market.maker_names, *market.executor_names].index(seat)}
    where = [columns[own]]
    needed = [own]
    if makers > (role == "maker"):
        needed.append("maker_inventory")
        where += [m for m in range(makers) if m != columns[own]]
    if traders > (role == "executor"):
        needed.append("trader_remaining")
        where += [makers + j for j in range(traders) if makers + j != columns[own]]
    settings = "makers.observe" if role == "maker" else "executors_observe"
    for name in needed:
        if name not in layout:
            wanted = f"market.{settings} must be own: true, rivals: inventory"
            raise ValueError(f"{kind} needs to see all inventories: {wanted}")
    positions = np.concatenate([np.arange(layout.size)[layout.slice(name)] for name in needed])
    sign = np.array([1.0 if seat_ < makers else -1.0 for seat_ in where])
    order = np.argsort(where)

    def read(observation: Array) -> Array:
        return (observation[:, positions].astype(float) * sign)[:, order]

    return read


def _step(market: DealerMarket, role: str, observation: np.ndarray) -> Array:
    """The step that each row is about to play."""
    left = observation[:, market.role(role).observation.slice("time_left")][:, 0].astype(float)
    clock = market.clock
    return np.clip(np.rint((clock.horizon - left) / clock.dt), 0, clock.steps - 1).astype(int)
