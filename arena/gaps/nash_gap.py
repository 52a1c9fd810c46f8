"""How far a profile is from a Nash equilibrium: the gain of a best response per seat, and its sum, NashConv.

    gain_i = max over pi of J_i(pi, rest) - J_i(profile),     NashConv = sum over seats of max(gain_i, 0)

all inside the environment's own discretisation. Every number says what it is: `exact`, or a `lower bound` found by a
search. A search chooses its best candidate on one set of games and is judged on another, fresh one, paired game by
game with the profile itself, so its interval needs no correction for the choice. A searched gain can be negative and is
reported as such; in the sum it counts as 0, because staying is a response too, but its noise stays in the interval.

A market's kit lists its `ENGINES`, best first, and the search comes after them; the first one that applies to a market
and profile is used. Exact engines may add *views*: the same game's gap from other starts, in later sub-games, or
against replayed opponents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.gaps.profile import Profile, Search, SeatGain
from arena.gaps.search import half_width
from arena.markets.catalogue import Engine, part
from arena.markets.market import Market

SEARCH = Engine("search", "arena.gaps.search")


def engines(market: Market) -> tuple[Engine, ...]:
    """A market's exact engines, best first, and the search, which always applies."""
    exact: tuple[Engine, ...] = part(market, "ENGINES", ())
    return (*exact, SEARCH)


@dataclass(frozen=True)
class NashGap:
    """Gains per seat and NashConv with its interval, and the naive profile's by the same engine if that is known."""

    seats: tuple[SeatGain, ...]
    nashconv: float
    low: float
    high: float
    confidence: float
    naive: "NashGap | None" = None

    @property
    def relative(self) -> float:
        """NashConv as a share of the naive profile's; NaN where that is not known or not positive."""
        return self.nashconv / self.naive.nashconv if self.naive is not None and self.naive.nashconv > 0 else np.nan

    @property
    def relative_high(self) -> float:
        """Upper end of NashConv over the lower end of the naive profile's: an upper bound of the ratio."""
        return self.high / self.naive.low if self.naive is not None and self.naive.low > 0 else np.nan

    def views(self) -> dict[str, dict[str, Any]]:
        """By view: NashConv, the naive profile's at the same starts, their ratio, and the gain of each seat."""
        out: dict[str, dict[str, Any]] = {}
        for name in self.seats[0].views if self.seats else ():
            gains = {seat.seat: seat.views[name] for seat in self.seats}
            own, naive = (sum(gain[i] for gain in gains.values()) for i in (0, 1))
            relative = own / naive if naive > 0 else np.nan
            each = {seat: gain[0] for seat, gain in gains.items()}
            out[name] = {"nashconv": own, "naive_nashconv": naive, "relative": relative, "seats": each}
        return out

    def line(self, iteration: int) -> dict[str, Any]:
        """The line of nash_gap.jsonl."""
        rows = [
            {"seat": s.seat, "gain": s.gain, "se": s.se, "low": s.low, "high": s.high, "kind": s.kind,
             "engine": s.engine, "candidates": dict(s.candidates)}
            for s in self.seats
        ]  # fmt: skip
        total = {"nashconv": self.nashconv, "low": self.low, "high": self.high, "confidence": self.confidence}
        out = {"iteration": iteration, "seats": rows, **total}
        if views := self.views():
            out["views"] = views
        if self.naive is None:
            return out
        naive = {f"naive_{key}": getattr(self.naive, key) for key in ("nashconv", "low", "high")}
        engines = {s.seat: {"gain": s.gain, "engine": s.engine} for s in self.naive.seats}
        return out | naive | {"naive_seats": engines, "relative": self.relative, "relative_high": self.relative_high}


def nash_gap(
    market: Market, profile: Profile, search: Search, *, naive: NashGap | None = None, engine: str = ""
) -> NashGap:
    """Gains of all seats by the best engine that applies, or the named one; `naive` is the naive profile's by the same.

    Raises ValueError for a named engine that is not there or does not cover this market and profile.
    """
    known = engines(market)
    named = [one for one in known if engine in ("", one.name)]
    if not named:
        raise ValueError(f"engine: found {engine!r}; allowed are {', '.join(one.name for one in known)}")
    fitting = [one for one in named if one.applies(market, profile)]
    if not fitting:
        raise ValueError(
            f"engine: {engine!r} does not cover this market and profile; allowed is none, for one that does"
        )
    return total(fitting[0].gains(market, profile, search), search.confidence, naive)


def total(seats: Sequence[SeatGain], confidence: float, naive: NashGap | None = None) -> NashGap:
    """NashConv of seats' gains: sampled differences are added game by game, for all seats share their games.

    What a seat's interval holds beyond its own sampling error is numerical, and is added up.
    """
    value = sum(max(seat.gain, 0.0) for seat in seats)
    sampled = [seat.differences for seat in seats if seat.differences is not None]
    half = half_width(np.sum(sampled, axis=0), confidence)[1] if sampled else 0.0
    for seat in seats:
        own = 0.0 if seat.differences is None else half_width(seat.differences, confidence)[1]
        half += max(seat.high - seat.gain - own, 0.0)
    return NashGap(tuple(seats), value, value - half, value + half, confidence, naive)
