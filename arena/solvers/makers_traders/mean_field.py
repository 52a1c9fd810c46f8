"""Infinitely many traders facing two makers (Guo & Jin, Proposition 4.5).

The makers play the equilibrium against one representative trader with the mean inventory; every trader j, too small to
matter, trades against that price path p: v^j = (Y^j - p)/(2 beta) with Y^j = a Q^j + b, a' = 2 phi - a^2/(2 beta), a_T
= -2A (36). Everything is linear, so with psi' = a psi/(2 beta), psi_0 = 1, and d the distance of its inventory from the
mean,

    Q^j = Q + d psi ,  v^j = v + d a psi/(2 beta) ,  J^j = J + d Y_0 + d^2 a_0 / 2    (Q, v, Y, J of the representative)

and the mean of the individual rates is the representative rate. The formulas hold while nobody's rate meets min_rate;
(33) is sufficient for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.execution.riccati import integrate
from arena.solvers.makers_traders.acas import acas_game, solve_acas
from arena.solvers.makers_traders.costs import QuadraticCost
from arena.solvers.makers_traders.open_loop import output_times
from arena.solvers.solution import Condition, Player, Solution


def mean_field(
    maker_inventory: Sequence[float],
    trader_inventory: Sequence[float],
    *,
    horizon: float,
    fill_decay: float,
    temporary_impact: Any,
    terminal_penalty: float,
    running_penalty: Any = 0.0,
    noise_buy: Any = 0.0,
    noise_sell: Any = 0.0,
    min_rate: float = 0.0,
    mean_inventory: float | None = None,
    t: Sequence[float] | Array | None = None,
) -> Solution:
    """Mean-field equilibrium of buyers with the given (negative) inventories, sampled from a population with
    `mean_inventory` (default: their mean).

    Players: the two makers, the representative trader, then every given trader. Raises ValueError for sellers or
    bad parameters."""
    individuals = np.asarray(trader_inventory, dtype=float)
    if individuals.ndim != 1 or individuals.size == 0 or not np.all((individuals < 0.0) & np.isfinite(individuals)):
        raise ValueError("trader_inventory: give the buyers' inventories, a flat list of finite numbers below 0")
    mean = float(individuals.mean()) if mean_inventory is None else float(mean_inventory)
    game = acas_game(
        maker_inventory,
        mean,
        horizon=horizon,
        fill_decay=fill_decay,
        temporary_impact=temporary_impact,
        running_penalty=running_penalty,
        terminal_penalty=terminal_penalty,
        noise_buy=noise_buy,
        noise_sell=noise_sell,
        min_rate=min_rate,
    )
    times = output_times(t, game.horizon)
    fine = np.union1d(times, np.linspace(0.0, game.horizon, 401))
    solved = solve_acas(game, fine)
    representative = solved.players[2]
    assert isinstance(game.cost, QuadraticCost)
    assert representative.rate is not None
    assert representative.adjoint is not None
    impact, phi = game.cost.temporary_impact, game.running[0]
    slope, spread = _linear_reply(game.cost, phi, float(game.terminal[0]), game.horizon, game.mesh(fine), fine)
    distance = individuals - mean
    beta = impact(fine)
    inventory = representative.inventory[:, None] + distance * spread[:, None]
    rate = representative.rate[:, None] + distance * (slope * spread / (2.0 * beta))[:, None]
    worth = representative.adjoint[:, None] + distance * (slope * spread)[:, None]
    first = solved if fine[0] == 0.0 else solve_acas(game, np.array([0.0]))
    y0 = float(first.stack("adjoint", "trader")[0, 0])
    objective = representative.objective + distance * y0 + distance**2 * slope[0] / 2.0
    terminal = float(game.terminal[0])
    slack = (
        float((beta * (representative.rate - min_rate)).min() / terminal - distance.max()) if terminal > 0.0 else np.inf
    )
    least = float(rate.min())
    checks = [
        *solved.conditions,
        Condition(
            "(33): no trader is truncated (sufficient)",
            slack >= 0.0,
            slack,
            "min over time and traders of beta (v - min_rate)/A - (q_j - q) >= 0",
        ),
        Condition("no individual rate below min_rate", least >= min_rate, least, f">= {min_rate:g}"),
        Condition(
            "mean of the individual rates is the representative's",
            bool(abs(distance.mean()) <= 1e-12 * (1.0 + abs(mean))),
            float(distance.mean()),
            "mean inventory distance 0",
        ),
    ]
    keep = np.isin(fine, times)
    players = [_thin(player, keep) for player in solved.players[:2]]
    players.append(
        _thin(
            Player(
                "representative",
                "trader",
                representative.objective,
                representative.inventory,
                rate=representative.rate,
                adjoint=representative.adjoint,
            ),
            keep,
        )
    )
    players += [
        Player(
            f"trader_{j}", "trader", float(objective[j]), inventory[keep, j], rate=rate[keep, j], adjoint=worth[keep, j]
        )
        for j in range(individuals.size)
    ]
    return Solution("mean_field", "open_loop", _theorem(game, least, slack), checks, times, players, solved.diagnostics)


def _linear_reply(
    cost: QuadraticCost, phi: Any, terminal: float, horizon: float, mesh: Array, times: Array
) -> tuple[Array, Array]:
    """a and psi at the given times."""

    def back(t: float, a: Array) -> Array:
        now = np.array([t])
        return 2.0 * phi(now) - a**2 / (2.0 * cost.temporary_impact(now))

    knots = np.array([knot for entry in (phi, cost.temporary_impact) for knot in entry.knots if 0.0 < knot < horizon])
    a = integrate(
        back,
        horizon,
        0.0,
        np.array([-2.0 * terminal]),
        np.unique(knots),
        1e-12,
        "the Riccati equation (36) of the small trader",
    )

    def forward(t: float, log: Array) -> Array:
        return a(t) / (2.0 * cost.temporary_impact(np.array([t])))

    log = integrate(forward, 0.0, horizon, np.zeros(1), np.unique(knots), 1e-12, "the path of the small trader")
    return np.array([a(x)[0] for x in times]), np.exp([log(x)[0] for x in times])


def _thin(player: Player, keep: NDArray[np.bool_]) -> Player:
    """The same player at some of the times only."""
    kept = {
        key: getattr(player, key)[keep] for key in ("rate", "ask", "bid", "adjoint") if getattr(player, key) is not None
    }
    return replace(player, inventory=player.inventory[keep], **kept)


def _theorem(game: Any, least: float, slack: float) -> str:
    if least < game.min_rate:
        return (
            f"none: an individual rate falls to {least:.4g}, below min_rate {game.min_rate:g}, so the linear replies "
            "are not admissible"
        )
    if game.running[0].constant != 0.0:
        return (
            "Proposition 4.5's construction; the paper proves it without running penalty, here the rates were checked "
            "afterwards"
        )
    if slack < 0.0:
        return (
            f"Proposition 4.5's construction; its sufficient condition (33) fails by {-slack:.4g}, the rates were "
            "checked afterwards"
        )
    return "Proposition 4.5"
