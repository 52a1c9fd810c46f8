"""Two option makers compete for one flow (`soft_best`): best response, equilibrium, old against new, cartel.

Each maker sees both inventories. With V(t, own, rival), per side the own-fill change a and rival-fill change b of V,

    V_t - phi/2 own^2 + sum over bid, ask [ lambda_1 (delta_1 + a) + lambda_2 b ] = 0,    V(T) = -c own^2,   |q| <= Q

where delta_1 is given (evaluate), maximises the bracket (best response), or both makers' distances do so at once
(Markov perfect equilibrium, unique per side while b k <= 1). A policy is a table `distance [N+1, own, rival, 2]` at
times k T / N with inf for a withdrawn side; between rows it is interpolated (`hold="linear"`) or kept
(`hold="step"`, as a market in N steps does; the last row is then not used). Both makers have the same problem;
column 0 = bid, 1 = ask.

Arguments of the kernels, n = 2Q+1 inventories:

    value, distance       [N+1, n, n] and [N+1, n, n, 2]: V, whose last row is given, and the quotes to fill in
    v, out, shown         [n, n], [n, n] and [n, n, 2]: V at one time, its slope in time to go, the quotes
    penalty               [n, n]: the running penalty
    mode                  0 given, 1 best response, 2 equilibrium, 3 cartel
    own, rival            [N+1, n, n, 2]: the tables that are given; each side's own inventory comes first
    own_a, own_b, share   two rows of `own`, and how far between them this time is; rival_a, rival_b likewise
    width, per_row, step  time between two rows, Runge-Kutta steps in it, whether quotes are kept between rows
    rate, decay, kappa    A and k [2], bid and ask; the sharpness
    low, high             bounds of a distance
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.quoting.maker import both_sides, check_flow
from arena.solvers.quoting.soft_best import cartel_kernel, equilibrium_kernel, flow_kernel, respond_kernel

Hold = Literal["linear", "step"]

_GIVEN, _RESPOND, _EQUILIBRIUM, _CARTEL = 0, 1, 2, 3
_MOST = 50_000_000
"""States that a sweep may visit, some microseconds each for an equilibrium: about a minute."""


@dataclass(frozen=True)
class Duel:
    """Two equal makers; arrival_rate A and fill_decay k are (bid, ask) pairs or one number, sharpness kappa >= k.

    Raises ValueError, a sentence, for an ill-posed game; so do the functions below where its equation is too stiff.
    """

    arrival_rate: float | tuple[float, float]
    fill_decay: float | tuple[float, float]
    sharpness: float
    horizon: float
    inventory_limit: int
    terminal_cost: float = 0.0
    running_penalty: float = 0.0
    min_distance: float = 0.0
    max_distance: float = math.inf

    def __post_init__(self) -> None:
        check_flow(self.arrival_rate, self.fill_decay, self.horizon, self.inventory_limit)
        if not (math.isfinite(self.sharpness) and self.sharpness >= both_sides(self.fill_decay).max()):
            raise ValueError(f"sharpness {self.sharpness} must be finite and at least fill_decay {self.fill_decay}")
        for name in ("terminal_cost", "running_penalty"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be finite and at least 0, found {getattr(self, name)}")
        if not (math.isfinite(self.min_distance) and self.min_distance < self.max_distance):
            raise ValueError(
                f"min_distance {self.min_distance} must be finite and below max_distance {self.max_distance}"
            )


class DuelTable(NamedTuple):
    """One maker's value and distances at times k T / N, over (own inventory, rival's inventory) in -Q..Q."""

    times: Array  # [N+1]
    inventory: NDArray[np.int64]  # [2Q+1]
    value: Array  # [N+1, 2Q+1, 2Q+1]
    distance: Array  # [N+1, 2Q+1, 2Q+1, 2]

    @property
    def start(self) -> float:
        """Value at time 0 with both inventories 0."""
        middle = self.inventory.size // 2
        return float(self.value[0, middle, middle])


class ResponsePath(NamedTuple):
    """Iterated best response: round r plays the table that answered round r - 1 against itself."""

    exploitability: list[float]  # gain of one maker from deviating, when both play round r's table
    value: list[float]  # of that self-play, per maker
    last: DuelTable  # the final best response


def evaluate(duel: Duel, own: Array, rival: Array, *, hold: Hold = "linear") -> DuelTable:
    """Value of playing table `own` against table `rival` (each indexed by its player's own inventory first).

    Raises ValueError when a table has the wrong shape or a distance is nan or outside [min_distance, max_distance].
    """
    check_policy(duel, own)
    check_policy(duel, rival)
    if own.shape != rival.shape:
        raise ValueError(f"the two tables have {own.shape[0]} and {rival.shape[0]} rows of time; they must be as many")
    return _sweep(duel, _GIVEN, own, rival, hold)


def best_response(duel: Duel, rival: Array, *, hold: Hold = "linear") -> DuelTable:
    """The highest value any policy of (t, own, rival) can earn against table `rival`, and the distances that earn it.

    The answer moves continuously in time even where `rival` is held. Raises ValueError as `evaluate` does.
    """
    check_policy(duel, rival)
    return _sweep(duel, _RESPOND, rival, rival, hold)


def equilibrium(duel: Duel, steps: int = 200) -> DuelTable:
    """The symmetric Markov perfect equilibrium, both distances chosen at once in every state.

    Raises ValueError where a rival's fill is worth more than 1/k: uniqueness fails there and no answer is given.

    Competition costs both makers, and neither gains by leaving it:

    >>> duel = Duel(arrival_rate=20.0, fill_decay=2.0, sharpness=6.0, horizon=1.0, inventory_limit=2)
    >>> found = equilibrium(duel, steps=10)
    >>> round(found.start, 2), round(joint_profit(duel, steps=10).start / 2, 2)
    (3.01, 3.46)
    >>> best_response(duel, found.distance).start - found.start < 1e-3
    True
    """
    found = _sweep(duel, _EQUILIBRIUM, *_nothing(duel, steps), "linear")
    if not np.isfinite(found.value).all():
        raise ValueError(
            "a rival's fill is worth more than 1 / fill_decay in some state: the equilibrium may not be unique"
        )
    return found


def joint_profit(duel: Duel, steps: int = 200) -> DuelTable:
    """A cartel that maximises the sum of both values: `value` is that sum, `distance` one member's quotes."""
    return _sweep(duel, _CARTEL, *_nothing(duel, steps), "linear")


def iterated_best_response(duel: Duel, start: Array, rounds: int, *, hold: Hold = "linear") -> ResponsePath:
    """Old against new from the table `start`: replace both makers by the best response, `rounds` times, and measure.

    exploitability = value of the best response - value of the self-play, at time 0 and inventories 0. Raises
    ValueError without a round, and as `evaluate` does.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, found {rounds}")
    exploitability, value, current = [], [], start
    for _ in range(rounds):
        answer = best_response(duel, current, hold=hold)
        value.append(evaluate(duel, current, current, hold=hold).start)
        exploitability.append(answer.start - value[-1])
        current = answer.distance
    return ResponsePath(exploitability, value, answer)


def time_policy(duel: Duel, distance: Array) -> Array:
    """Spread a one-maker table [N+1, 2Q+1, 2] over the rival's inventories and withdraw the sides at the bounds.

    Distances are clipped to the duel's range. Raises ValueError for a wrong number of inventories.
    """
    n = 2 * duel.inventory_limit + 1
    if distance.ndim != 3 or distance.shape[1:] != (n, 2):
        raise ValueError(f"a one-maker table must be [rows, {n}, 2] for inventory_limit {duel.inventory_limit}, "
                         f"found {list(distance.shape)}")  # fmt: skip
    live = np.where(np.isinf(distance), np.inf, np.clip(distance, duel.min_distance, duel.max_distance))
    table = np.repeat(live[:, :, None, :], n, axis=2)
    table[:, -1, :, 0] = np.inf
    table[:, 0, :, 1] = np.inf
    return table


def check_policy(duel: Duel, table: Array) -> None:
    """Raises ValueError unless `table` is [N+1, 2Q+1, 2Q+1, 2], in range, and withdrawn at the bound."""
    n = 2 * duel.inventory_limit + 1
    if table.ndim != 4 or table.shape[0] < 2 or table.shape[1:] != (n, n, 2):
        raise ValueError(f"a policy must be [N+1 >= 2, {n}, {n}, 2], found {list(table.shape)}")
    live = table[~np.isposinf(table)]
    if not ((live >= duel.min_distance) & (live <= duel.max_distance)).all():
        wrong = live[~((live >= duel.min_distance) & (live <= duel.max_distance))][0]
        raise ValueError(f"distances must be inf or in [{duel.min_distance:g}, {duel.max_distance:g}], found {wrong:g}")
    if np.isfinite(table[:, -1, :, 0]).any() or np.isfinite(table[:, 0, :, 1]).any():
        raise ValueError(
            "the bid at inventory +Q and the ask at -Q must be withdrawn (inf): the fill would break the bound"
        )


def _nothing(duel: Duel, steps: int) -> tuple[Array, Array]:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, found {steps}")
    n = 2 * duel.inventory_limit + 1
    empty = np.empty((steps + 1, n, n, 0))
    return empty, empty


def _sweep(duel: Duel, mode: int, own: Array, rival: Array, hold: Hold) -> DuelTable:
    steps, n = own.shape[0] - 1, 2 * duel.inventory_limit + 1
    inventory = np.arange(-duel.inventory_limit, duel.inventory_limit + 1)
    value, distance = np.empty((steps + 1, n, n)), np.full((steps + 1, n, n, 2), np.inf)
    q = inventory[:, None].astype(float)
    value[-1] = -duel.terminal_cost * (q**2 + (q.T**2 if mode == _CARTEL else 0.0))
    penalty = 0.5 * duel.running_penalty * (q**2 + (q.T**2 if mode == _CARTEL else 0.0)) + np.zeros((n, n))
    rates, decays = both_sides(duel.arrival_rate), both_sides(duel.fill_decay)
    lowest = max(duel.min_distance, min([0.0, *(float(table.min()) for table in (own, rival) if table.size)]))
    while True:
        per_row = _fine_steps(duel, lowest, steps)
        _backward(value, distance, penalty, duel.horizon / steps, per_row, mode, np.ascontiguousarray(own),
                  np.ascontiguousarray(rival), hold == "step", rates, decays, float(duel.sharpness),
                  float(duel.min_distance), float(duel.max_distance))  # fmt: skip
        quoted = float(np.nanmin(distance))
        if lowest <= max(quoted, duel.min_distance):
            return DuelTable(np.linspace(0.0, duel.horizon, steps + 1), inventory, value, distance)
        lowest = max(duel.min_distance, quoted - 1.0 / float(decays.max()))  # faster trades than the steps were for


def _fine_steps(duel: Duel, lowest: float, steps: int) -> int:
    """Runge-Kutta steps between two rows that are stable while no quote is below `lowest`.

    Raises ValueError where the sweep would visit more than _MOST states.
    """
    rates, decays = both_sides(duel.arrival_rate), both_sides(duel.fill_decay)
    fastest = float((rates * np.exp(np.minimum(-decays * lowest, 700.0))).sum())
    # quotes react to values at kappa, which stiffens the equation beyond the intensities themselves
    fine = fastest * duel.horizon * (1.0 + duel.sharpness / float(decays.min())) / (3.0 * steps)
    visited = max(fine, 1.0) * steps * (2 * duel.inventory_limit + 1) ** 2
    if visited > _MOST:
        raise ValueError(
            f"the duel is too stiff: quotes down to {lowest:g} trade {fastest:.3g} times per unit of time; its sweep "
            f"would visit {visited:.2g} states, allowed {_MOST:.0e}: raise min_distance or lower inventory_limit"
        )
    return max(1, math.ceil(fine))


@njit(cache=True, error_model="numpy")
def _slope(v, out, shown, penalty, mode, own_a, own_b, rival_a, rival_b, share, rate, decay, kappa, low, high):
    """dV/dtau [own, rival] and, in `shown`, the own distances; tables are (1 - share) * row a + share * row b (own_a,
    own_b, rival_a, rival_b)."""
    n = v.shape[0]
    for i in range(n):
        for j in range(n):
            total = -penalty[i, j]
            for side in range(2):
                move = 1 - 2 * side
                mine, theirs = 0 <= i + move < n, 0 <= j + move < n
                a = v[i + move, j] - v[i, j] if mine else 0.0
                b = v[i, j + move] - v[i, j] if theirs else 0.0
                own, rival, k = math.inf, math.inf, decay[side]
                if mode == 0 or mode == 1:
                    if theirs:
                        first, second = rival_a[j, i, side], rival_b[j, i, side]
                        rival = first if first == second else (1.0 - share) * first + share * second
                    if mode == 1 and mine:
                        own = respond_kernel(rival, a, b, low, high, k, kappa)
                    elif mine:
                        first, second = own_a[i, j, side], own_b[i, j, side]
                        own = first if first == second else (1.0 - share) * first + share * second
                elif mine and theirs and mode == 2:
                    a2, b2 = v[j + move, i] - v[j, i], v[j, i + move] - v[j, i]
                    own, rival = equilibrium_kernel(a, b, a2, b2, low, high, k, kappa)
                elif mine and theirs:
                    own, rival = cartel_kernel(a, b, low, high, k, kappa)
                elif mine:
                    own = min(max(1.0 / k - a, low), high)
                elif theirs:
                    a2 = b if mode == 3 else v[j + move, i] - v[j, i]
                    rival = min(max(1.0 / k - a2, low), high)
                shown[i, j, side] = own
                fills, rival_fills = flow_kernel(own, rival, rate[side], k, kappa)
                if not fills <= 0.0:  # where there is no equilibrium these are nan, and so is the value
                    total += fills * (own + a)
                if not rival_fills <= 0.0:
                    total += rival_fills * (b + (rival if mode == 3 else 0.0))
            out[i, j] = total


@njit(cache=True, error_model="numpy")
def _backward(value, distance, penalty, width, per_row, mode, own, rival, step, rate, decay, kappa, low, high):
    """Fills `value` and `distance` from their last row on, by classical Runge-Kutta."""
    rows, n = value.shape[0] - 1, value.shape[1]
    work, v, trial = np.empty((4, n, n)), value[rows].copy(), np.empty((n, n))
    shown, dt = np.empty((n, n, 2)), width / per_row
    last = rows - 1 if step else rows
    _slope(v, work[0], distance[rows], penalty, mode, own[last], own[last], rival[last], rival[last], 0.0, rate, decay,
           kappa, low, high)  # fmt: skip
    for row in range(rows - 1, -1, -1):
        above = row if step else row + 1
        for fine in range(per_row - 1, -1, -1):
            for stage in range(4):
                back = (0.0, 0.5, 0.5, 1.0)[stage]
                if stage == 0:
                    trial[:] = v
                else:
                    trial[:] = v + back * dt * work[stage - 1]
                share = (fine + 1.0 - back) / per_row
                _slope(trial, work[stage], shown, penalty, mode, own[row], own[above], rival[row], rival[above], share,
                       rate, decay, kappa, low, high)  # fmt: skip
            v += dt / 6.0 * (work[0] + 2.0 * work[1] + 2.0 * work[2] + work[3])
        value[row] = v
        _slope(v, work[0], distance[row], penalty, mode, own[row], own[row], rival[row], rival[row], 0.0, rate, decay,
               kappa, low, high)  # fmt: skip
