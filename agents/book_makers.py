"""Scripted makers of the limit order book: two-sided quotes, who reads the flow, random orders, and who does nothing.

A recipe is plain data from a scenario; `sit` reads the market once and returns `act(observation [batch, D],
noise [batch, 1]) -> option [batch, 1]`. One impulse a decision; acts keep no state between calls.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from arena.layout import STRICT, Array
from arena.markets.book.events import NAMES
from arena.markets.book.market import Market
from arena.markets.market import Act

Mask = NDArray[np.bool_]


class Eye:
    """One batch of observations by name, and what may be done now.

    Raises ValueError naming the setting that hides a field.
    """

    def __init__(self, role: Any, needs: Mapping[str, str]):
        for field, setting in needs.items():
            if field not in role.observation:
                raise ValueError(f"market.observe.{setting}: found false; allowed is true for who needs to see it")
        self.layout, self.options, self.idle = role.observation, role.action.options, role.action.idle

    def column(self, seen: Array, name: str, i: int = 0) -> Array:
        """A column of a field, [batch], as doubles."""
        return np.asarray(seen[:, self.layout.slice(name).start + i], dtype=float)

    def may(self, seen: Array, option: str) -> Mask:
        """Whether an option is allowed, bool [batch]; never where the role has none of that name."""
        if option not in self.options:
            return np.zeros(len(seen), bool)
        return np.asarray(self.column(seen, "allowed", self.options.index(option)) > 0.5)

    def choose(self, seen: Array, *rules: tuple[Mask, str]) -> Array:
        """The option of the first rule (where, option) that holds and is allowed; else nothing. [batch, 1]."""
        out = np.full((len(seen), 1), float(self.idle))
        for where, option in reversed(rules):
            if option in self.options:
                out[np.asarray(where) & self.may(seen, option), 0] = self.options.index(option)
        return out


class TwoSided(BaseModel):
    """Quotes at both best prices up to a cap c.

    Looks at the sides in random order. A side without an own order at its top: post there if that cannot pass the cap
    (ask: Y > -c, bid: Y < c). A side at the cap with an own order at its top: cancel it. The first that applies
    is done.
    """

    model_config = STRICT
    kind: Literal["two_sided"] = "two_sided"
    cap: int = Field(default=3, ge=1, description="lots at which a side is no longer quoted")

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        eye, cap = Eye(market.roles[0], {}), self.cap

        def act(seen: Array, noise: Array) -> Array:
            held = eye.column(seen, "inventory")
            bid, ask = (eye.column(seen, "top", side) > 0 for side in (0, 1))
            ask_rules = [(~ask & (held > -cap), "LO_a_T"), (ask & (held <= -cap), "CO_a_T")]
            bid_rules = [(~bid & (held < cap), "LO_b_T"), (bid & (held >= cap), "CO_b_T")]
            ask_first = eye.choose(seen, *ask_rules, *bid_rules)
            return np.where(noise < 0.5, ask_first, eye.choose(seen, *bid_rules, *ask_rules))

        return act


class Probabilistic(BaseModel):
    """Trades ahead of the next market order, as far as the intensities tell its side.

    Beyond the threshold: a market order back. Buy pressure (rho = lambda(MO_a)/(lambda(MO_a) + lambda(MO_b)) > 1/2 +
    delta; `argmax`: the likeliest of the twelve events is MO_a): an ask at the top is cancelled unless it sells a long
    position, else a bid is posted; mirrored. Neutral: by skew k = (n_a - n_b)/((q_a + q_b)/2) of the queue positions,
    then one order on each side. A restricted maker has no market or in-spread orders; those rules then do not apply.
    A cap is a mask of orders: a bid is not posted where what is held and its bids in the first level reach it, nor an
    ask on the other side, whichever rule asks for it. Orders that were pushed into the second level are not seen; the
    market's own cap counts them.
    """

    model_config = STRICT
    kind: Literal["probabilistic"] = "probabilistic"
    rule: Literal["ratio", "argmax"] = Field(default="ratio", description="how pressure is told")
    delta: float = Field(default=0.1, ge=0, lt=0.5, description="distance of the ratio from one half")
    threshold: int = Field(default=10, ge=1, description="lots beyond which a market order goes back")
    cap: int | None = Field(
        default=None,
        ge=1,
        exclude_if=lambda cap: cap is None,  # so that no scenario written before it has another hash
        description="lots that posted orders may not pass; none: the market's",
    )

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat; raises ValueError where the intensities or the queue positions are hidden."""
        needs = {"intensity": "intensities", "ahead": "position", "spread": "spread"}
        eye, own = Eye(market.roles[0], needs), self
        buy, sell = NAMES.index("MO_a"), NAMES.index("MO_b")

        def pressure(seen: Array) -> tuple[Mask, Mask]:
            rates = np.stack([np.expm1(eye.column(seen, "intensity", i)) for i in range(len(NAMES))])
            if own.rule == "argmax":
                likeliest = rates.argmax(axis=0)
                return likeliest == buy, likeliest == sell
            total = rates[buy] + rates[sell]
            ratio = np.divide(rates[buy], total, out=np.full_like(total, 0.5), where=total > 0)
            return ratio > 0.5 + own.delta, ratio < 0.5 - own.delta

        most = np.inf if own.cap is None else float(own.cap)

        def act(seen: Array, noise: Array) -> Array:
            held, spread = eye.column(seen, "inventory"), eye.column(seen, "spread")
            bid, ask = (eye.column(seen, "top", side) > 0 for side in (0, 1))
            queue = [eye.column(seen, "queue", side) for side in (0, 1)]
            ahead = [eye.column(seen, "ahead", side) * queue[side] for side in (0, 1)]
            skew = (ahead[1] - ahead[0]) / (0.5 * (queue[0] + queue[1]))
            up, down = pressure(seen)
            calm, coin = ~(up | down), noise[:, 0] < 0.5
            none = ~bid & ~ask
            buys, sells = held + eye.column(seen, "top", 0) < most, eye.column(seen, "top", 1) - held < most
            high, low = calm & (skew > 0.5), calm & (skew < -0.5)
            return eye.choose(
                seen,
                (held > own.threshold, "MO_b"),
                (held < -own.threshold, "MO_a"),
                (up & ask & (held <= 0), "CO_a_T"),
                (up & ~bid & buys, "LO_b_T"),
                (down & bid & (held >= 0), "CO_b_T"),
                (down & ~ask & sells, "LO_a_T"),
                (high & (spread >= 2) & (held > 0) & sells, "LO_a_IS"),
                (high & ~ask & sells, "LO_a_T"),
                (low & (spread >= 2) & (held < 0) & buys, "LO_b_IS"),
                (low & ~bid & buys, "LO_b_T"),
                (calm & none & ((held > 0) | ((held == 0) & coin)) & sells, "LO_a_T"),
                (calm & none & ((held < 0) | ((held == 0) & ~coin)) & buys, "LO_b_T"),
                (calm & bid & ~ask & sells, "LO_a_T"),
                (calm & ask & ~bid & buys, "LO_b_T"),
            )

        return act


class RandomOrders(BaseModel):
    """Posts and cancels at the first levels at random: any allowed one of the four, alike."""

    model_config = STRICT
    kind: Literal["random_orders"] = "random_orders"

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        eye = Eye(market.roles[0], {})
        names = ("LO_a_T", "CO_a_T", "CO_b_T", "LO_b_T")
        options = np.array([eye.options.index(name) for name in names])

        def act(seen: Array, noise: Array) -> Array:
            may = np.stack([eye.may(seen, name) for name in names], axis=1)
            count = may.sum(axis=1)
            rank = np.minimum(np.floor(noise[:, 0] * count), count - 1)
            chosen = (may.cumsum(axis=1) > rank[:, None]).argmax(axis=1)
            return np.where(count > 0, options[chosen], eye.idle)[:, None].astype(float)

        return act


class Absent(BaseModel):
    """Never does anything."""

    model_config = STRICT
    kind: Literal["absent"] = "absent"

    def sit(self, market: Market, seat: str) -> Act:
        """Act of one seat."""
        role = next(role for role in market.roles if seat in role.agents)
        idle = float(role.action.idle)  # type: ignore[union-attr]
        return lambda seen, noise: np.full((len(seen), 1), idle)


MAKERS = (TwoSided, Probabilistic, RandomOrders, Absent)
"""The scripted makers a scenario may name."""
