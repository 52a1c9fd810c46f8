"""Best responses in the duel with random orders: dynamic programming on all three inventories.

Two makers with logistic shares, one trader, policies of time and inventories x = (q_1, q_2, r), r what the trader has
left. In a step of length h with orders of lot eta the numbers of orders are independent Poisson numbers: noise to each
ask and bid, the trader's to each maker (thinning), with means fixed by the controls at the step's start. So, exactly,

    V_i(t, x) = reward rate h + E W_i(x + jumps),    W_i = V_i(t+h, .) - phi_i h/2 x_i'^2   (and -A_i x_i'^2 at the end)
    d/d mean_j  E W(x + jumps) = E [W(x + jumps + jump_j) - W(x + jumps)]

and the first-order conditions of the player who replies are those of Guo & Jin's stage game (section 5) with expected
differences in place of derivatives:

    ask_i = -D + 1/(c (1 - share_i)),   D = E[W(.. sold by i) - W(.. sold by the rival)]/eta
    rate = (E dW/eta - paid)/(2 beta)

Values are polynomials of total degree d around the path that the profile takes, fitted on nodes; expectations are those
of a two-point Gauss-Charlier rule per Poisson number (exact for cubics in each). The answer's error is measured by
solving with degree d - 1 too.
"""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from arena.game import Game
from arena.layout import Array
from arena.markets.dealer.gaps.twin import FluidGame, State, moves, one_quiet_asset
from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act
from arena.rollout import play

DEGREE, NODES, REACH, LEAST = 4, 7, 2.5, 1.0
"""Degree of the values, nodes per inventory, reach of the nodes in scales, and the least scale in lots."""
ROUNDS = 3
"""Rounds of the stage problem: expected differences, then controls; each gains about two digits, on a flat top."""
SEEN = {
    "time_left", "inventory", "maker_inventory", "trader_remaining", "remaining", "to_trade", "pace",
    "initial_inventory", "initial_remaining",
}  # fmt: skip


def applies(market: DealerMarket) -> bool:
    """Whether a market is this duel, and its players see nothing but time and inventories."""
    own = market.executors
    return (
        market.flow.orders == "poisson"
        and market.flow.rule.kind == "logistic"
        and market.makers.count == 2
        and len(own) == 1
        and one_quiet_asset(market)
        and market.makers.inventory_limit is None
        and not moves(market)
        and own[0].side != "coin"
        and not own[0].stop_at_target
        and own[0].temporary_impact not in (0, 0.0)
        and all(field.name in SEEN for role in market.roles for field in role.observation)
    )


class Polynomials:
    """Polynomials of total degree d in z = (x - centre)/scale, as coefficients [K, n]."""

    def __init__(self, degree: int):
        self.powers = np.array([p for p in product(range(degree + 1), repeat=3) if sum(p) <= degree])
        self.degree = degree
        line = REACH * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
        self.nodes = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        weight = np.exp(-0.25 * (self.nodes**2).sum(axis=1))
        basis = self.basis(self.nodes)
        self._fit = np.linalg.pinv(basis * weight[:, None]) * weight

    def basis(self, z: Array) -> Array:
        """Monomials [..., K] at points [..., 3]."""
        powers = np.stack([z**k for k in range(self.degree + 1)], axis=-1)
        a, b, c = self.powers.T
        out: Array = powers[..., 0, a] * powers[..., 1, b] * powers[..., 2, c]
        return out

    def fit(self, values: Array) -> Array:
        """Coefficients [K, n] of values at the nodes [nodes, n], near the centre most faithful."""
        return self._fit @ values

    def shift(self, by: Array) -> Array:
        """The matrix [K, K] that turns the coefficients of p(z) into those of p(z + by)."""
        moved = np.linalg.lstsq(self.basis(self.nodes), self.basis(self.nodes + by), rcond=None)[0]
        return np.asarray(moved, np.float64)


class Field(NamedTuple):
    """Polynomials around a centre: coefficients [K, n]."""

    coefficients: Array
    centre: Array
    scale: Array


class Controls(NamedTuple):
    """What the players do at m points: distances [m, 2] by maker, the trader's rate [m]."""

    ask: Array
    bid: Array
    rate: Array


class PoissonDuel:
    """One market and profile: values of staying and of replying by backward induction."""

    def __init__(self, market: DealerMarket, acts: Mapping[str, Act], seeds: NDArray[np.uint64]):
        self.market, self.acts, self.game = market, acts, FluidGame(market)
        rule, trader, self.lot = market.flow.rule, market.executors[0], market.flow.lot
        self.sharpness, self.offset = rule.numbers()[0], self.game.offset.numpy()
        self.way = 1.0 if trader.side == "buy" else -1.0
        self.best, self.bounds = trader.price == "best", trader.rate
        result = play(Game(market, len(seeds)), acts, seeds, trace=True)
        q, r = result.path("maker_inventory")[:, :, :, 0], result.path("remaining")
        where = np.concatenate([q, r], axis=2)
        self.starts = where[0]
        self.centre, self.scale = where.mean(axis=1), LEAST + where.std(axis=1)
        self.nominal = _nominal(market, self.way)
        sold = -self.way * self.lot
        self.jumps = self.lot * np.array([[-1, 0, 0], [0, -1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], float)
        self.jumps[4], self.jumps[5] = [sold, 0, sold], [0, sold, sold]

    def values(self, degree: int = DEGREE) -> tuple[list[Field], list[Field]]:
        """Fields at every step, T + 1 each: everybody's value of staying [K, 3] and of replying best [K, 3]."""
        basis, steps = Polynomials(degree), self.game.steps
        nothing = np.zeros((len(basis.powers), 3))
        stay = [Field(nothing, self.centre[steps], self.scale[steps])]
        best = [Field(nothing, self.centre[steps], self.scale[steps])]
        for t in range(steps - 1, -1, -1):
            x = self.centre[t] + self.scale[t] * basis.nodes
            played = self._play(x, t)
            kept, tried = (self._next(basis, one[-1], t) for one in (stay, best))
            staying = self._reward(x, played, t) + self._expect(basis, kept, x, self._means(played, t))
            replying = np.empty_like(staying)
            for seat in range(3):
                replying[:, seat] = self._reply(basis, tried, x, played, seat, t)
            stay.append(Field(basis.fit(staying), self.centre[t], self.scale[t]))
            best.append(Field(basis.fit(replying), self.centre[t], self.scale[t]))
        return stay[::-1], best[::-1]

    def gains(self, x: Array, t: int, values: tuple[list[Field], list[Field]], degree: int = DEGREE) -> Array:
        """Best reply's gain [m, 3] from points x [m, 3] at step t."""
        basis = Polynomials(degree)
        stay, best = (field[t] for field in values)
        at = basis.basis((x - stay.centre) / stay.scale)
        return np.maximum(at @ (best.coefficients - stay.coefficients), 0.0)

    def staying(self, x: Array, values: tuple[list[Field], list[Field]], degree: int = DEGREE) -> Array:
        """Everybody's value [m, 3] of the profile from starts x [m, 3]."""
        field = values[0][0]
        return Polynomials(degree).basis((x - field.centre) / field.scale) @ field.coefficients

    # --- one step -----------------------------------------------------------------------------------------------------

    def _play(self, x: Array, t: int) -> Controls:
        """The profile's controls at points x: its acts, asked with the observations that the market would show."""
        q, r = torch.tensor(x[:, :2]), torch.tensor(x[:, 2:])
        first = self.starts.mean(axis=0)
        held, order = torch.tensor(first[:2]).expand_as(q), torch.tensor(first[2:]).expand_as(r)
        none = torch.zeros((len(x), 2, 2), dtype=torch.float64)
        state = State(q, r, torch.full_like(r, self.way), held, order, none, none, torch.zeros_like(r))
        seen = {role: one.numpy() for role, one in self.game.observe(state, t).items()}
        actions = {}
        for role in self.market.roles:
            layout, own = role.numbers, seen[role.name].astype(np.float32)
            noise = np.zeros((len(x), layout.size))
            moved = [self.acts[seat](own[:, k], noise) for k, seat in enumerate(role.agents)]
            actions[role.name] = np.stack([layout.from_unit(np.clip(one, -1.0, 1.0)) for one in moved], axis=1)
        half, skew = actions["maker"][:, :, 0], actions["maker"][:, :, 1]
        bid, ask = self.market.makers.distances(half, skew)
        rate = np.clip(actions["executor"][:, 0, 0], *self.bounds)
        return Controls(ask, bid, rate)

    def _share(self, distance: Array) -> Array:
        weight = np.exp(self.offset - self.sharpness * (distance - distance.min(axis=1, keepdims=True)))
        return weight / weight.sum(axis=1, keepdims=True)

    def _means(self, played: Controls, t: int) -> Array:
        """Mean numbers of orders [m, 6] in step t: noise to asks, to bids, the trader's to each maker."""
        ask, bid = self._share(played.ask), self._share(played.bid)
        noise = self.game.noise[t].numpy() / self.lot
        order = (played.rate * self.game.dt / self.lot)[:, None] * (ask if self.way > 0 else bid)
        return np.concatenate([noise[1] * ask, noise[0] * bid, order], axis=1)

    def _paid(self, played: Controls) -> Array:
        """What the trader pays per lot [m]."""
        quoted = played.ask if self.way > 0 else played.bid
        return quoted.min(axis=1) if self.best else (self._share(quoted) * quoted).sum(axis=1)

    def _reward(self, x: Array, played: Controls, t: int) -> Array:
        """Expected rewards [m, 3] of step t but for penalties on where it ends."""
        mean, dt, game = self._means(played, t), self.game.dt, self.game
        into = played.ask if self.way > 0 else played.bid
        earned = self.lot * (played.ask * mean[:, 0:2] + played.bid * mean[:, 2:4] + into * mean[:, 4:6])
        held = 0.5 * dt * game.running[t].numpy() * x[:, :2] ** 2
        cost = dt * played.rate * (self._paid(played) + float(game.impact[t]) * played.rate)
        due = cost + 0.5 * dt * float(game.x_running[t]) * x[:, 2] ** 2
        return np.concatenate([earned - held, -due[:, None]], axis=1)

    def _next(self, basis: Polynomials, after: Field, t: int) -> Field:
        """W [K, 3]: values after step t less the penalties on where it ends."""
        game = self.game
        weight = 0.5 * game.dt * torch.cat([game.running[t], game.x_running[t]]).numpy()
        if t + 1 == game.steps:
            weight = weight + torch.cat([game.terminal, game.x_terminal]).numpy()
        x = after.centre + after.scale * basis.nodes
        values = basis.basis(basis.nodes) @ after.coefficients - weight * x**2
        return Field(basis.fit(values), after.centre, after.scale)

    def _expect(self, basis: Polynomials, field: Field, x: Array, mean: Array) -> Array:
        """E of polynomials [K, n] after independent Poisson(mean [m, 6]) numbers of jumps from x [m, 3]: [m, n]."""
        root = np.sqrt(4.0 * mean + 1.0)
        count = np.stack([mean + 0.5 - 0.5 * root, mean + 0.5 + 0.5 * root], axis=2)
        upper = (mean - count[:, :, 0]) / root
        weight = np.stack([1.0 - upper, upper], axis=2)
        out = np.zeros((len(x), field.coefficients.shape[1]))
        for choice in product((0, 1), repeat=4):
            # the trader's two numbers are taken together, so that a block of points is large enough for the library
            where, share = x.copy(), np.ones(len(x))
            for j, k in enumerate(choice):
                where += count[:, j, k, None] * self.jumps[j]
                share = share * weight[:, j, k]
            for k, n in product((0, 1), repeat=2):
                there = where + count[:, 4, k, None] * self.jumps[4] + count[:, 5, n, None] * self.jumps[5]
                part = basis.basis((there - field.centre) / field.scale) @ field.coefficients
                out += (share * weight[:, 4, k] * weight[:, 5, n])[:, None] * part
        return out

    def _reply(self, basis: Polynomials, after: Field, x: Array, played: Controls, seat: int, t: int) -> Array:
        """One player's value [m] of its best controls now and later, the others playing the profile."""
        own = after.coefficients[:, seat : seat + 1]
        moved = [own] + [basis.shift(jump / after.scale) @ own for jump in self.jumps]
        several = Field(np.concatenate(moved, axis=1), after.centre, after.scale)
        now = played
        for _ in range(ROUNDS):
            expected = self._expect(basis, several, x, self._means(now, t))
            worth = (expected[:, 1:] - expected[:, :1]) / self.lot
            now = self._best(now, worth, seat, t)
        expected = self._expect(basis, Field(own, after.centre, after.scale), x, self._means(now, t))[:, 0]
        return self._reward(x, now, t)[:, seat] + expected

    def _best(self, now: Controls, worth: Array, seat: int, t: int) -> Controls:
        """The stage problem's answer for one player, given what a lot more is worth by kind of order [m, 6]."""
        noise, dt = self.game.noise[t].numpy(), self.game.dt
        if seat == 2:
            share = self._share(now.ask if self.way > 0 else now.bid)
            gain = (share * worth[:, 4:6]).sum(axis=1) - self._paid(now)
            return now._replace(rate=np.clip(gain / (2.0 * float(self.game.impact[t])), *self.bounds))
        order = now.rate * dt
        flow = [
            noise[0] + (order if self.way < 0 else 0.0 * order),
            noise[1] + (order if self.way > 0 else 0.0 * order),
        ]
        rival, out = 1 - seat, []
        for side, distance in ((1, now.ask), (0, now.bid)):
            first = 0 if side == 1 else 2
            value = noise[side] * (worth[:, first + seat] - worth[:, first + rival])
            if (side == 1) == (self.way > 0):
                value = value + order * (worth[:, 4 + seat] - worth[:, 4 + rival])
            value = value / np.maximum(flow[side], 1e-12)
            out.append(self._quote(distance, -value, seat))
        makers, (ask, bid) = self.market.makers, out
        half = np.clip(0.5 * (ask[:, seat] + bid[:, seat]), *makers.half_spread)
        skew = np.clip(0.5 * (ask[:, seat] - bid[:, seat]), *makers.skew)
        bid[:, seat], ask[:, seat] = makers.distances(half, skew)
        return now._replace(ask=ask, bid=bid)

    def _quote(self, distance: Array, cost: Array, seat: int) -> Array:
        """Distances [m, 2] with one maker's replaced by the root of d = cost + 1/(c (1 - share(d)))."""
        trial, c = distance.copy(), self.sharpness
        for _ in range(50):
            share = self._share(trial)[:, seat]
            off = trial[:, seat] - cost - 1.0 / (c * (1.0 - share))
            step = off * (1.0 - share)  # the slope is 1 + share/(1 - share)
            trial[:, seat] -= step
            if np.abs(step).max() < 1e-12 * (1.0 + np.abs(trial).max()):
                break
        return trial


def _nominal(market: DealerMarket, way: float) -> Array:
    """The start [1, 3] with draws replaced by their means."""
    return np.array([[*market.mean_inventories(), way * market.mean_orders()[0]]])
