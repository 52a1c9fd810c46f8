"""The game of makers who quote and traders who execute: its parameters, checked once, and what its rules imply at given
marginal values.

The equations stand in open_loop.py; this module knows the one-shot game between the players (quotes, rates and their
derivatives), the drift of all inventories and every player's running reward. Players are numbered makers first, then
traders; arrays are [n, M], [n, K] or [n, M + K]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.layout import Array
from arena.solvers.coefficients import Coefficient, coefficient, knots_of, per_player, require
from arena.solvers.makers_traders.costs import QuadraticCost, TradingCost, stage_rates, trading_cost
from arena.solvers.makers_traders.shares import GeneralShare, Logistic, ShareRule, stage_quotes


@dataclass(frozen=True)
class MakersTraders:
    """The game itself: initial inventories, coefficients and rules, checked once. Players are numbered makers first,
    then traders."""

    maker_inventory: Array
    trader_inventory: Array
    direction: Array
    horizon: float
    noise_buy: Coefficient
    noise_sell: Coefficient
    running: tuple[Coefficient, ...]
    terminal: Array
    cost: TradingCost
    share: ShareRule
    min_rate: float
    max_rate: float
    max_distance: float
    vwap: bool

    @property
    def makers(self) -> int:
        return self.maker_inventory.size

    @property
    def traders(self) -> int:
        return self.trader_inventory.size

    @property
    def start(self) -> Array:
        return np.concatenate([self.maker_inventory, self.trader_inventory])

    @property
    def names(self) -> list[str]:
        return [f"maker_{i}" for i in range(self.makers)] + [f"trader_{k}" for k in range(self.traders)]

    @property
    def homogeneous(self) -> bool:
        """Do all players have the same running and terminal penalties?"""
        same = all(entry is self.running[0] for entry in self.running) or (
            self.running[0].constant is not None
            and all(entry.constant == self.running[0].constant for entry in self.running)
        )
        return same and bool(np.all(self.terminal == self.terminal[0]))

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Least and greatest rate of each trader: buyers in [min_rate, max_rate], sellers in [-max_rate, -min_rate]."""
        buying = self.direction > 0
        return np.where(buying, self.min_rate, -self.max_rate), np.where(buying, self.max_rate, -self.min_rate)

    @property
    def knots(self) -> Array:
        """Kinks of all coefficients inside the horizon."""
        used = [self.noise_buy, self.noise_sell, *self.running]
        if isinstance(self.cost, QuadraticCost):
            used.append(self.cost.temporary_impact)
        return knots_of(used, self.horizon)

    def mesh(self, t: Array) -> Array:
        """The requested times, the kinks of all coefficients, and at least 48 cells."""
        marks = np.concatenate([t, np.linspace(0.0, self.horizon, 49), self.knots])
        marks = np.unique(marks)
        close = np.diff(marks) < 1e-12 * self.horizon
        asked = np.isin(marks, t)
        drop = np.zeros(marks.size, dtype=bool)
        drop[1:] = close & ~asked[1:]
        drop[:-1] |= close & asked[1:] & ~asked[:-1]
        return marks[~drop]

    def penalty(self, t: Array) -> Array:
        return np.stack([entry(t) for entry in self.running], axis=-1)

    def price(self, ask: Array, bid: Array) -> tuple[Array, Array, Array, Array]:
        """What one bought share costs above and one sold share yields below the reference [n] each, with weights on
        makers' quotes [n, M]."""
        prices, weights = [], []
        for distance in (ask, bid):
            if self.vwap:
                share = self.share.shares(distance)
                price = (share * distance).sum(axis=1)
                weight = share + np.einsum("ni,nik->nk", distance, self.share.gradient(distance))
            else:
                price = distance.min(axis=1)
                weight = (distance == price[:, None]).astype(float)
                weight /= weight.sum(axis=1, keepdims=True)
            prices.append(price)
            weights.append(weight)
        return prices[0], prices[1], weights[0], weights[1]

    def controls(self, t: Array, y: Array) -> tuple[Array, Array, Array]:
        """Asks [n, M], bids [n, M] and rates [n, K] of the one-shot game at marginal values y [n, M+K]."""
        ask, bid, rate, *_ = self._stage(t, y)
        return ask, bid, rate

    def _stage(self, t: Array, y: Array) -> tuple[Array, ...]:
        m, n = self.makers, t.size
        both, slope = stage_quotes(self.share, np.concatenate([y[:, :m], -y[:, :m]]), self.max_distance)
        ask, bid, dask, dbid = both[:n], both[n:], slope[:n], -slope[n:]
        buy, sell, wbuy, wsell = self.price(ask, bid)
        buying = self.direction > 0
        worth = y[:, m:] - np.where(buying, buy[:, None], -sell[:, None])
        low, high = self.bounds
        rate, dworth = stage_rates(self.cost, t, worth, low, high)
        toward = np.zeros((n, self.traders, m + self.traders))
        toward[:, np.arange(self.traders), m + np.arange(self.traders)] = 1.0
        dbuy, dsell = np.einsum("nk,nkj->nj", wbuy, dask), np.einsum("nk,nkj->nj", wsell, dbid)
        toward[:, :, :m] -= np.where(buying[None, :, None], dbuy[:, None], -dsell[:, None])
        return ask, bid, rate, dask, dbid, dworth @ toward

    def flows(self, t: Array, rate: Array) -> tuple[Array, Array]:
        """Total flow into asks and into bids [n]: noise plus buyers, noise plus sellers."""
        buying = self.direction > 0
        return self.noise_buy(t) + rate[:, buying].sum(axis=1), self.noise_sell(t) - rate[:, ~buying].sum(axis=1)

    def drift(self, t: Array, y: Array) -> tuple[Array, Array]:
        """Change of all inventories [n, p] and its derivative by the marginal values [n, p, p]."""
        m = self.makers
        ask, bid, rate, dask, dbid, drate = self._stage(t, y)
        buying = self.direction > 0
        into_ask, into_bid = self.flows(t, rate)
        share_ask, share_bid = self.share.shares(ask), self.share.shares(bid)
        f = np.concatenate([-into_ask[:, None] * share_ask + into_bid[:, None] * share_bid, rate], axis=1)
        jacobian = np.zeros((t.size, m + self.traders, m + self.traders))
        jacobian[:, :m, :m] = -into_ask[:, None, None] * (self.share.gradient(ask) @ dask)
        jacobian[:, :m, :m] += into_bid[:, None, None] * (self.share.gradient(bid) @ dbid)
        jacobian[:, :m] -= share_ask[:, :, None] * drate[:, buying].sum(axis=1)[:, None, :]
        jacobian[:, :m] -= share_bid[:, :, None] * drate[:, ~buying].sum(axis=1)[:, None, :]
        jacobian[:, m:] = drate
        return f, jacobian

    def reward(self, t: Array, q: Array, y: Array) -> Array:
        """Running reward of every player [n, p] on the equilibrium controls at y."""
        return self.reward_at(t, q, *self.controls(t, y))

    def reward_at(self, t: Array, q: Array, ask: Array, bid: Array, rate: Array) -> Array:
        """Running reward of every player [n, p] at given controls: quoted edge or cost of trading, minus phi Q^2."""
        into_ask, into_bid = self.flows(t, rate)
        edge = into_ask[:, None] * ask * self.share.shares(ask) + into_bid[:, None] * bid * self.share.shares(bid)
        buy, sell, _, _ = self.price(ask, bid)
        paid = np.where(self.direction > 0, buy[:, None], -sell[:, None]) * rate + self.cost.value(t, rate)
        return np.concatenate([edge, -paid], axis=1) - self.penalty(t) * q**2


def makers_traders(
    maker_inventory: Sequence[float],
    trader_inventory: Sequence[float] = (),
    *,
    horizon: float,
    share: ShareRule,
    noise_buy: Any = 0.0,
    noise_sell: Any = 0.0,
    running_penalty: Any = 0.0,
    terminal_penalty: Any = 0.0,
    temporary_impact: Any = 1.0,
    cross_impact: float = 0.0,
    min_rate: float = 0.0,
    max_rate: float = np.inf,
    max_distance: float = np.inf,
    trader_side: Sequence[str] | None = None,
    trader_price: str = "best",
) -> MakersTraders:
    """Read and check a game of makers and traders.

    Penalties are one value for all, or a list of M + K values, makers first; running penalties may depend on time. A
    trader with a negative inventory buys, with a positive one sells; `trader_side` ('buy' / 'sell' each) is needed only
    where it is zero. `trader_price` is 'best' (the paper: every share at the best quote) or 'vwap' (the average of the
    quotes, weighted with the shares; then cash clears). Raises ValueError, one sentence that names the parameter, what
    was found and what is allowed."""
    m, k = np.asarray(maker_inventory, dtype=float), np.asarray(trader_inventory, dtype=float)
    if m.ndim != 1 or k.ndim != 1 or not (np.isfinite(m).all() and np.isfinite(k).all()):
        raise ValueError("maker_inventory and trader_inventory must be flat lists of finite numbers")
    if m.size == 0:
        raise ValueError("maker_inventory: found no maker; somebody must quote")
    if m.size == 1 and not isinstance(share, GeneralShare):
        raise ValueError(
            f"maker_inventory: found 1 maker; the {type(share).__name__.lower()} rule compares quotes and needs at "
            "least 2"
        )
    if isinstance(share, Logistic) and share.offsets and len(share.offsets) != m.size:
        raise ValueError(f"offsets: found {len(share.offsets)} for {m.size} makers; give one per maker")
    if not (np.isfinite(horizon) and horizon > 0.0):
        raise ValueError(f"horizon: found {horizon}; it must be a finite number above 0")
    if not 0.0 <= min_rate <= max_rate:
        raise ValueError(f"min_rate, max_rate: found {min_rate} and {max_rate}; 0 <= min_rate <= max_rate is needed")
    if not max_distance > 0.0:
        raise ValueError(f"max_distance: found {max_distance}; it must be above 0")
    if trader_price not in ("best", "vwap"):
        raise ValueError(f"trader_price: found {trader_price!r}; allowed are 'best' and 'vwap'")
    direction = -np.sign(k)
    if trader_side is not None:
        if len(trader_side) != k.size or any(side not in ("buy", "sell") for side in trader_side):
            raise ValueError(
                f"trader_side: found {list(trader_side)}; give 'buy' or 'sell' for each of the {k.size} traders"
            )
        direction = np.array([1.0 if side == "buy" else -1.0 for side in trader_side])
    if np.any(direction == 0.0):
        raise ValueError(
            f"trader_inventory: trader {int(np.argmax(direction == 0.0))} starts with 0 shares; say in trader_side "
            "what it does"
        )
    buy, sell = coefficient(noise_buy, "noise_buy"), coefficient(noise_sell, "noise_sell")
    require(buy, horizon, "noise_buy", least=0.0)
    require(sell, horizon, "noise_sell", least=0.0)
    running = per_player(running_penalty, m.size + k.size, "running_penalty")
    for entry in dict.fromkeys(running):
        require(entry, horizon, "running_penalty", least=0.0)
    terminal = []
    for entry in per_player(terminal_penalty, m.size + k.size, "terminal_penalty"):
        value = entry.constant if entry.constant is not None else float(entry(np.array([horizon]))[0])
        if not value >= 0.0:
            raise ValueError(f"terminal_penalty: found {value}; it must be at least 0")
        terminal.append(value)
    cost = trading_cost(temporary_impact, cross_impact)
    if isinstance(cost, QuadraticCost):
        require(cost.temporary_impact, horizon, "temporary_impact", least=0.0, strict=True)
    return MakersTraders(
        m, k, direction, float(horizon), buy, sell, tuple(running), np.array(terminal), cost, share,
        float(min_rate), float(max_rate), float(max_distance), trader_price == "vwap",
    )  # fmt: skip
