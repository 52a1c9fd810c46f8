"""Makers who quote and traders who execute, in open-loop Nash equilibrium (Guo & Jin, Theorems 3.9 and 5.4, without
inventory noise).

Inventories Q and marginal values Y of M makers and K traders (makers first) solve, with a~ = a + sum_buyers v and b~ =
b - sum_sellers v,

    maker   Q' = -a~ zeta^i(ask) + b~ zeta^i(bid)       Y' = 2 phi Q ,  Y_T = -2 A Q_T
    trader  Q' = v^i                                    Y' = 2 phi Q ,  Y_T = -2 A Q_T

where asks, bids and rates are the one-shot Nash equilibrium at Y (shares.py, costs.py). ask and bid are distances from
the reference price, a = noise_buy hits asks, b = noise_sell hits bids (shares / time). Objectives leave out the
constant P_0 q_0:

    maker   J = int (ask a~ zeta(ask) + bid b~ zeta(bid) - phi Q^2) dt - A Q_T^2
    trader  J = -int (price v + lambda(v) + phi Q^2) dt - A Q_T^2 ,  price = min_j ask_j (buyer), -min_j bid_j (seller)

Players commit to paths: the solution is an open-loop equilibrium; feedback.py has the equilibrium of players who react
to inventories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium, Trajectory, solve_trajectory
from arena.solvers.makers_traders.costs import cost_conditions
from arena.solvers.makers_traders.game import MakersTraders, makers_traders
from arena.solvers.makers_traders.shares import Relative
from arena.solvers.solution import Condition, Player, Solution

__all__ = ["MakersTraders", "NoEquilibrium", "makers_traders", "solve_makers_traders"]


def solve_makers_traders(
    game: MakersTraders, t: Sequence[float] | Array | None = None, tolerance: float = 1e-11
) -> Solution:
    """Open-loop Nash equilibrium of makers and traders (Theorems 3.9 and 5.4): quotes, rates, inventories and
    objectives over time.

    t: output times in [0, horizon] (default 101 equal steps); tolerance: summed local error relative to the solution's
    size. Raises NoEquilibrium (a ValueError) in one sentence when there is no convergence.

    Two makers sell to one buyer of five shares, who buys at a steady rate and not all of them:

    >>> from arena.solvers.makers_traders.shares import Logistic
    >>> game = makers_traders([0.0, 0.0], [-5.0], horizon=1.0, share=Logistic(2.0), noise_buy=1.0, noise_sell=1.0,
    ...                       temporary_impact=0.1, terminal_penalty=1.0)
    >>> maker, _, buyer = solve_makers_traders(game, t=[0.0, 1.0]).players
    >>> maker.ask.round(4), buyer.rate.round(4)
    (array([3.8125, 3.8125]), array([2.8125, 2.8125]))
    """
    times = output_times(t, game.horizon)
    found = trajectory(game, times, tolerance)
    return describe(game, found, times, "makers_traders")


def trajectory(game: MakersTraders, times: Array, tolerance: float = 1e-11) -> Trajectory:
    """Solve the forward-backward system of a game on a mesh that includes the given times; raises NoEquilibrium where
    none is found."""
    try:
        return solve_trajectory(
            game.drift, game.reward, game.start, game.penalty, game.terminal, game.mesh(times), tolerance
        )
    except NoEquilibrium:
        raise
    except ValueError as error:
        raise NoEquilibrium(str(error)) from error


def output_times(t: Sequence[float] | Array | None, horizon: float) -> Array:
    """Requested times; 101 equally spaced ones by default. Raises ValueError unless they increase in [0, horizon]."""
    if t is None:
        return np.linspace(0.0, horizon, 101)
    times = np.asarray(t, dtype=float)
    if times.ndim != 1 or times.size == 0 or np.any(np.diff(times) <= 0.0) or times[0] < 0.0 or times[-1] > horizon:
        raise ValueError(f"t: the output times must increase and lie between 0 and the horizon {horizon:g}")
    return times


def describe(game: MakersTraders, found: Trajectory, times: Array, model: str, theorem: str | None = None) -> Solution:
    """Dress a trajectory as a Solution: players, conditions checked along it, diagnostics."""
    m = game.makers
    q, y = found.at(times)
    ask, bid, rate = game.controls(times, y)
    all_ask, all_bid, all_rate = game.controls(found.t, found.y)
    conditions = conditions_along(game, found.t, all_ask, all_bid, all_rate)
    players = [
        Player(name, "maker", float(found.objective[i]), q[:, i], ask=ask[:, i], bid=bid[:, i], adjoint=y[:, i])
        for i, name in enumerate(game.names[:m])
    ]
    players += [
        Player(name, "trader", float(found.objective[m + i]), q[:, m + i], rate=rate[:, i], adjoint=y[:, m + i])
        for i, name in enumerate(game.names[m:])
    ]
    into_ask, into_bid = game.flows(found.t, all_rate)
    share_ask, share_bid = game.share.shares(all_ask), game.share.shares(all_bid)
    diagnostics: dict[str, Any] = {
        "cells": found.t.size - 1,
        "local_error": found.error,
        "newton_steps": found.newton_steps,
        "continuation_steps": found.continuation_steps,
        "refinements": found.refinements,
        "greatest_distance": float(max(np.abs(all_ask).max(), np.abs(all_bid).max())),
        "clearing_defect": float(
            np.max(np.abs(into_ask * (share_ask.sum(axis=1) - 1.0)) + np.abs(into_bid * (share_bid.sum(axis=1) - 1.0)))
        ),
        "cash_leak": float(
            np.max(into_ask * ((share_ask * all_ask).sum(axis=1) - share_ask.sum(axis=1) * all_ask.min(axis=1)))
        ),
    }
    if game.traders:
        diagnostics["least_rate"] = float(np.abs(all_rate).min())
        low, high = game.bounds
        diagnostics["truncated_share_of_time"] = float(np.mean(np.any((all_rate <= low) | (all_rate >= high), axis=1)))
    return Solution(model, "open_loop", theorem or _theorem(game, conditions), conditions, times, players, diagnostics)


def conditions_along(game: MakersTraders, t: Array, ask: Array, bid: Array, rate: Array) -> list[Condition]:
    """The conditions of Definitions 3.2, 3.4 and 5.1 and of the truncations, checked along a path."""
    into_ask, into_bid = game.flows(t, rate)
    least_flow = float(min(into_ask.min(), into_bid.min()))
    conditions = [
        Condition("at least two makers", game.makers >= 2, float(game.makers), ">= 2"),
        *game.share.conditions(np.concatenate([ask, bid])),
        *cost_conditions(game.cost, t, rate),
        Condition("flow into quotes is not negative", least_flow >= 0.0, least_flow, ">= 0"),
    ]
    if np.isfinite(game.max_distance):
        widest = float(max(np.abs(ask).max(), np.abs(bid).max()))
        conditions.append(
            Condition("quotes inside max_distance", widest < game.max_distance, widest, f"< {game.max_distance:g}")
        )
    if game.traders:
        least, most = float((rate * game.direction).min()), float((rate * game.direction).max())
        conditions.append(Condition("rates above min_rate", least > game.min_rate, least, f"> {game.min_rate:g}"))
        if np.isfinite(game.max_rate):
            conditions.append(Condition("rates below max_rate", most < game.max_rate, most, f"< {game.max_rate:g}"))
    return conditions


def _theorem(game: MakersTraders, conditions: list[Condition]) -> str:
    optional = ("rates above", "rates below", "quotes inside")
    broken = [entry.name for entry in conditions if not entry.holds and not entry.name.startswith(optional)]
    if broken:
        return f"none: not satisfied along the solution: {'; '.join(broken)}"
    if game.vwap:
        return "none: the paper's traders pay the best quote; the stage conditions hold with trader_price vwap too"
    if isinstance(game.share, Relative):
        return (
            "Theorem 3.9 (open-loop Nash); existence and uniqueness by Theorem 3.10 only for a small horizon, "
            "otherwise by this computation"
        )
    return (
        "Theorem 5.4 (open-loop Nash, at zero inventory noise); Theorem 5.5's uniqueness needs noise, existence is by "
        "this computation"
    )
