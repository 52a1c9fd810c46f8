"""What one maker or trader gains by leaving a profile while everybody else's path stays as it is: the open-loop Nash
gap.

Time is cut into n cells of length h with constant controls; noise flows, costs and penalties are averaged over each
cell, and penalties are integrated exactly along the straight line between the inventories at its ends, so that the gap
of the continuous equilibrium falls like h^4:

    fill = h F zeta^i(delta) ,   Q' = Q - fill_ask + fill_bid (maker) ,   Q' = Q + h v (trader)
    maker:  sum ask fill_ask + bid fill_bid - phi h (Q^2 + Q Q' + Q'^2)/3 - A Q_T^2
    trader: sum -h (price v + lambda(v)) - phi h (Q^2 + Q Q' + Q'^2)/3 - A Q_T^2

with F = noise + strategic flow. A maker's problem is concave in its fills, a trader's in its rates; both are solved by
projected Newton steps, so the reply is the global one. NashConv is the sum of the gains over all players,
exploitability that sum over the number of players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.makers_traders.game import MakersTraders
from arena.solvers.makers_traders.open_loop import solve_makers_traders
from arena.solvers.makers_traders.shares import stage_quotes

_points, _weights = np.polynomial.legendre.leggauss(5)
POINTS, WEIGHTS = (_points + 1.0) / 2.0, _weights / 2.0


@dataclass(frozen=True)
class Profile:
    """Piecewise constant controls of everybody: ask, bid [n, M] (distances) and rate [n, K]."""

    ask: Array
    bid: Array
    rate: Array


@dataclass(frozen=True)
class Cells:
    """Gauss points of all cells, cut at kinks of the coefficients, so that cell averages are exact for tables: times,
    weights and cells [m]."""

    steps: int
    h: float
    times: Array
    weight: Array
    cell: NDArray[np.intp]

    def average(self, values: Array) -> Array:
        """Cell averages [steps, ...] of values [m, ...] at the Gauss points."""
        total = np.zeros((self.steps, *values.shape[1:]))
        np.add.at(total, self.cell, self.weight.reshape(-1, *[1] * (values.ndim - 1)) * values)
        return total / self.h


def cells(horizon: float, steps: int, knots: Array) -> Cells:
    """Cut [0, horizon] into `steps` equal cells and place five Gauss points on every piece between cell edges and
    knots."""
    h = horizon / steps
    edges = np.linspace(0.0, horizon, steps + 1)
    marks = np.unique(np.concatenate([edges, knots]))
    marks = marks[np.concatenate([[True], np.diff(marks) > 1e-12 * horizon])]
    width = np.diff(marks)
    times = (marks[:-1, None] + width[:, None] * POINTS).ravel()
    cell = np.clip((times / h).astype(np.intp), 0, steps - 1)
    return Cells(steps, h, times, (width[:, None] * WEIGHTS).ravel(), cell)


def equilibrium_profile(game: MakersTraders, steps: int) -> Profile:
    """The open-loop equilibrium sampled in the middle of each of `steps` cells."""
    middle = game.horizon * (np.arange(steps) + 0.5) / steps
    found = solve_makers_traders(game, t=middle)
    rate = found.stack("rate").T if game.traders else np.zeros((steps, 0))
    return Profile(found.stack("ask").T, found.stack("bid").T, rate)


def naive_profile(game: MakersTraders, steps: int) -> Profile:
    """Makers quote the static Nash distances at zero inventory (1/fill_decay, or M/(c(M-1))), traders trade -q_0/T
    throughout."""
    quotes = stage_quotes(game.share, np.zeros((1, game.makers)), game.max_distance)[0]
    low, high = game.bounds
    rate = np.clip(-game.trader_inventory / game.horizon, low, high)
    return Profile(np.repeat(quotes, steps, axis=0), np.repeat(quotes, steps, axis=0), np.tile(rate, (steps, 1)))


def play(game: MakersTraders, profile: Profile) -> tuple[Array, Array]:
    """Inventories [n+1, p] and objectives [p] of a profile in the cell-wise game."""
    n, m = profile.ask.shape[0], game.makers
    h = game.horizon / n
    into_ask, into_bid = _flows(game, profile)
    fill_ask = h * into_ask[:, None] * game.share.shares(profile.ask)
    fill_bid = h * into_bid[:, None] * game.share.shares(profile.bid)
    q = game.start + np.concatenate(
        [np.zeros((1, game.start.size)), np.cumsum(np.hstack([fill_bid - fill_ask, h * profile.rate]), axis=0)]
    )
    earned = (profile.ask * fill_ask + profile.bid * fill_bid).sum(axis=0)
    paid = h * (_prices(game, profile) * profile.rate + _cost(game, profile.rate)).sum(axis=0)
    penalty = np.array([q[:, i] @ _penalty_matrix(game, i, n) @ q[:, i] for i in range(m + game.traders)])
    return q, np.concatenate([earned, -paid]) - penalty


def best_response(game: MakersTraders, profile: Profile, player: int) -> tuple[float, Profile]:
    """Gain of a player's best path against everybody else's paths, and the profile with that path put in."""
    before = play(game, profile)[1][player]
    reply = (
        _maker_reply(game, profile, player)
        if player < game.makers
        else _trader_reply(game, profile, player - game.makers)
    )
    return float(play(game, reply)[1][player] - before), reply


def open_loop_gains(game: MakersTraders, profile: Profile) -> Array:
    """Gains of all players' best responses to a profile of paths [p]; their sum is NashConv.

    Raises ValueError for a quote or rate that is not finite."""
    for name, path in vars(profile).items():
        if not np.isfinite(path).all():
            raise ValueError(f"{name}: found {path[~np.isfinite(path)][0]:g}; allowed are finite numbers")
    return np.array([best_response(game, profile, player)[0] for player in range(game.start.size)])


def nashconv_open_loop(game: MakersTraders, steps: int, profile: Profile | None = None) -> float:
    """NashConv of a profile of paths (default: the equilibrium sampled at cell midpoints) in the game with that many
    cells."""
    return float(open_loop_gains(game, profile or equilibrium_profile(game, steps)).sum())


def _cells(game: MakersTraders, steps: int) -> Cells:
    return cells(game.horizon, steps, game.knots)


def _flows(game: MakersTraders, profile: Profile) -> tuple[Array, Array]:
    grid = _cells(game, profile.ask.shape[0])
    buying = game.direction > 0
    into_ask = grid.average(game.noise_buy(grid.times)) + profile.rate[:, buying].sum(axis=1)
    return into_ask, grid.average(game.noise_sell(grid.times)) - profile.rate[:, ~buying].sum(axis=1)


def _prices(game: MakersTraders, profile: Profile) -> Array:
    buy, sell, _, _ = game.price(profile.ask, profile.bid)
    return np.where(game.direction > 0, buy[:, None], -sell[:, None])


def _averaged(game: MakersTraders, rate: Array, what: str) -> Array:
    """Cell average of the traders' cost, marginal cost or curvature at constant rates."""
    grid = _cells(game, rate.shape[0])
    return grid.average(getattr(game.cost, what)(grid.times, rate[grid.cell]))


def _cost(game: MakersTraders, rate: Array) -> Array:
    return _averaged(game, rate, "value")


def _penalty_matrix(game: MakersTraders, player: int, steps: int) -> Array:
    grid = _cells(game, steps)
    return penalty_matrix(grid.average(game.running[player](grid.times)), game.terminal[player], game.horizon)


def penalty_matrix(phi: Array, terminal: float, horizon: float) -> Array:
    """P [n+1, n+1] with Q' P Q = sum_k phi_k h (Q_k^2 + Q_k Q_{k+1} + Q_{k+1}^2)/3 + A Q_n^2."""
    n = phi.size
    share = phi * horizon / n / 3.0
    matrix = np.zeros((n + 1, n + 1))
    k = np.arange(n)
    matrix[k, k] += share
    matrix[k + 1, k + 1] += share
    matrix[k, k + 1] += share / 2.0
    matrix[k + 1, k] += share / 2.0
    matrix[n, n] += terminal
    return matrix


def _put(array: Array, column: int, values: Array) -> Array:
    copy = array.copy()
    copy[:, column] = values
    return copy


def _maker_reply(game: MakersTraders, profile: Profile, i: int) -> Profile:
    """Best quotes of maker i, by Newton steps in its fills (concave), mapped back to distances."""
    n = profile.ask.shape[0]
    h = game.horizon / n
    flow = h * np.concatenate(_flows(game, profile))
    penalty = _penalty_matrix(game, i, n)
    below = np.tril(np.ones((n + 1, n)), -1)
    curved = 2.0 * below.T @ penalty @ below
    sign = np.concatenate([-np.ones(n), np.ones(n)])
    live = flow > 1e-14 * max(1.0, float(flow.max()))
    coupling = sign[:, None] * sign[None, :] * np.tile(curved, (2, 2))

    def evaluate(distance: Array) -> tuple[float, Array, Array, Array]:
        ask, bid = _put(profile.ask, i, distance[:n]), _put(profile.bid, i, distance[n:])
        both = np.concatenate([ask, bid])
        share = game.share.shares(both)[:, i]
        slope = game.share.gradient(both)[:, i, i]
        bend = game.share.curvature(both)[:, i, i]
        fill = flow * share
        q = game.start[i] + below @ (fill[n:] - fill[:n])
        value = float(distance @ fill - q @ penalty @ q)
        marginal = -2.0 * below.T @ (penalty @ q)
        gradient = distance + share / slope + sign * np.tile(marginal, 2)
        return value, gradient, slope, (2.0 - share * bend / slope**2) / slope

    distance = np.concatenate([profile.ask[:, i], profile.bid[:, i]])
    cap = game.max_distance
    value, gradient, slope, own = evaluate(distance)
    for _ in range(200):
        stuck = ((distance >= cap) & (gradient < 0.0)) | ((distance <= -cap) & (gradient > 0.0))
        free = live & ~stuck
        if not free.any() or np.abs(gradient[free]).max() < 1e-11 * (1.0 + np.abs(distance).max()):
            break
        hessian = np.diag(own[free] / flow[free]) - coupling[np.ix_(free, free)]
        step = np.zeros(2 * n)
        step[free] = np.linalg.solve(hessian, -gradient[free]) / (flow[free] * slope[free])
        length = min(
            1.0,
            3.0
            * float(np.min(np.abs(1.0 / np.where(slope == 0.0, 1.0, slope))))
            / max(1e-300, float(np.abs(step).max())),
        )
        while True:
            trial = np.clip(distance + length * step, -cap, cap)
            with np.errstate(over="ignore", invalid="ignore"):
                found = evaluate(trial)
            if found[0] >= value - 1e-13 * (1.0 + abs(value)) or length < 1e-10:
                break
            length /= 2.0
        distance, (value, gradient, slope, own) = trial, found
        if length < 1e-10:
            break
    return replace(profile, ask=_put(profile.ask, i, distance[:n]), bid=_put(profile.bid, i, distance[n:]))


def _trader_reply(game: MakersTraders, profile: Profile, k: int) -> Profile:
    """Best rates of trader k within its bounds, by projected Newton steps (concave)."""
    n = profile.rate.shape[0]
    h = game.horizon / n
    low, high = (bound[k] for bound in game.bounds)
    price = _prices(game, profile)[:, k]
    penalty = _penalty_matrix(game, game.makers + k, n)
    below = np.tril(np.ones((n + 1, n)), -1)
    curved = 2.0 * h * h * below.T @ penalty @ below

    def value(rate: Array) -> float:
        q = game.trader_inventory[k] + h * below @ rate
        return float(-h * (price @ rate + _cost(game, _put(profile.rate, k, rate))[:, k].sum()) - q @ penalty @ q)

    rate = np.clip(profile.rate[:, k], low, high)
    now = value(rate)
    for _ in range(200):
        full = _put(profile.rate, k, rate)
        q = game.trader_inventory[k] + h * below @ rate
        gradient = -h * (price + _averaged(game, full, "marginal")[:, k]) - 2.0 * h * below.T @ (penalty @ q)
        free = ~(((rate <= low) & (gradient < 0.0)) | ((rate >= high) & (gradient > 0.0)))
        if not free.any() or np.abs(gradient[free]).max() < 1e-12 * h * (1.0 + np.abs(rate).max()):
            break
        hessian = -np.diag(h * _averaged(game, full, "hessian")[:, k, k]) - curved
        step = np.zeros(n)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], -gradient[free])
        length = 1.0
        while True:
            trial = np.clip(rate + length * step, low, high)
            then = value(trial)
            if then >= now - 1e-13 * (1.0 + abs(now)) or length < 1e-10:
                break
            length /= 2.0
        rate, now = trial, then
        if length < 1e-10:
            break
    return replace(profile, rate=_put(profile.rate, k, rate))


def convergence(game: MakersTraders, steps: Sequence[int]) -> list[float]:
    """NashConv of the sampled equilibrium for each number of cells; it falls by about 16 whenever the number
    doubles."""
    return [nashconv_open_loop(game, n) for n in steps]
