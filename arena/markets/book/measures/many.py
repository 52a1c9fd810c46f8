"""One seat over many games without their paths: P&L, Sharpe by fee, positions, manipulation, and two players compared.

Games are played in large batches and only sums are kept, so that tens of thousands of 3 000 decisions fit in memory and
cost microseconds a decision. Players compared on one seed meet the same background flow as long as they act alike.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from arena.game import Game
from arena.layout import Array
from arena.markets.book.market import Market
from arena.markets.book.measures.manipulation import verdict
from arena.markets.book.measures.trading import SECONDS, WEALTH, Sharpe
from arena.markets.market import Act
from arena.rollout import seeds_of

BATCH = 1024
"""Games at a time."""


class Many(NamedTuple):
    """What one seat did in n games of T decisions; money in ticks, positions in lots.

    Per game [n]: `pnl` less all fees but that on what is held at the end, `value` |Y_T| mid_T, `size` mean |Y|, `total`
    sum of Y, `moved` mid_T - mid_0, `filled` lots of resting orders by side [n, 2], `sent` posts and cancels. Over all
    games: `path` mean Y at each decision [T] and `square` mean Y^2.
    """

    pnl: Array
    value: Array
    size: Array
    total: Array
    moved: Array
    filled: Array
    sent: Array
    path: Array
    square: float
    horizon: float
    tick: float

    def logs(self, fee: float) -> Array:
        """log(V_T/V_0) [n] with V_0 = 2000 $, where what is held at the end costs `fee` of its value."""
        money = (self.pnl - fee * self.value) * self.tick / WEALTH
        return np.asarray(np.log1p(np.maximum(money, -1.0 + 1e-12)))

    def sharpe(self, fee: float) -> Sharpe:
        """The annualised Sharpe ratio, as `trading.sharpe` has it."""
        logs, annual = self.logs(fee), self.annual
        ratio = annual * float(logs.mean() / logs.std(ddof=1))
        money = self.pnl - fee * self.value
        error = float(np.sqrt((annual**2 + 0.5 * ratio**2) / logs.size))
        return Sharpe(fee, ratio, error, float(money.mean()), float(money.std(ddof=1)), logs.size)

    @property
    def annual(self) -> float:
        """Square root of games in a year."""
        return float(np.sqrt(SECONDS / self.horizon))

    @property
    def one_sided(self) -> float:
        """Mean over games of |sum Y|/sum |Y|."""
        steps = len(self.path)
        held = self.size * steps
        return float(np.divide(np.abs(self.total), held, out=np.zeros_like(held), where=held > 0.0).mean())

    @property
    def determined(self) -> float:
        """Mean over time of (mean over games of Y)^2 over the mean of Y^2."""
        return float(np.square(self.path).mean() / self.square) if self.square > 0.0 else 0.0

    @property
    def push(self) -> float:
        """Mean over games of the mid's move towards the position, ticks."""
        return float((self.moved * np.sign(self.total)).mean())

    @property
    def verdict(self) -> str:
        """The detector's class."""
        return verdict(self.determined, self.one_sided, self.push)


def play_many(
    market: Market, acts: Mapping[str, Act], seat: str, games: int, seed: int, batch: int = BATCH,
    heard: Callable[[int], None] = lambda played: None,
) -> Many:  # fmt: skip
    """Plays `games` games of everybody's acts and says what one seat did; game g depends on seed and g alone.

    After each batch `heard` is told how many games are over.
    """
    role = next(role for role in market.roles if seat in role.agents)
    place, seeds, steps = role.agents.index(seat), seeds_of(seed, games), market.clock.steps
    kept: list[list[Array]] = []
    path, square = np.zeros(steps), 0.0
    for first in range(0, games, batch):
        some = seeds[first : first + batch]
        game = Game(market, len(some))
        observation = game.reset(some)
        held = game.view(f"{role.name}_inventory")[:, place]
        start = game.view("mid").copy()
        total, size = np.zeros(len(some)), np.zeros(len(some))
        for t in range(steps):
            noise = game.noise()
            for name, one in game.roles.items():
                for i, agent in enumerate(one.agents):
                    game.action[name][:, i] = acts[agent](observation[name][:, i], noise[name][:, i])
            game.advance()
            total += held
            size += np.abs(held)
            path[t] += held.sum()
            square += float(held @ held)

        def last(name: str, game: Game = game) -> Array:
            return game.view(f"{role.name}_{name}")[:, place].copy()

        value = np.abs(held) * game.view("mid")
        fee = last("fee") - market.fees.liquidation * value
        pnl = last("captured") + last("crossed") + last("mark") - fee
        sent = last("posted") + last("cancelled")
        kept.append([pnl, value, size / steps, total, game.view("mid") - start, last("filled"), sent])
        heard(first + len(some))
    pnl, value, size, total, moved, filled, sent = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    spread, horizon, tick = square / games / steps, market.clock.horizon, market.depth.tick
    return Many(pnl, value, size, total, moved, filled, sent, path / games, spread, horizon, tick)


def better_by(ours: Many, theirs: Many, fee: float) -> tuple[float, float]:
    """How much larger one player's annualised Sharpe ratio is than another's on the same games, and its standard error.

    The ratio m/s has the influence z - (m/s)(z^2 - 1)/2 with z = (x - m)/s (Memmel 2003); the error is that of the mean
    difference of two players' influences over paired games.
    """
    ratios, influences = [], []
    for one in (ours, theirs):
        x = one.logs(fee)
        z = (x - x.mean()) / x.std(ddof=1)
        ratios.append(float(x.mean() / x.std(ddof=1)))
        influences.append(z - 0.5 * ratios[-1] * (z * z - 1.0))
    apart = influences[0] - influences[1]
    return ours.annual * (ratios[0] - ratios[1]), ours.annual * float(apart.std(ddof=1) / np.sqrt(apart.size))
