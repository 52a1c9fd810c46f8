"""How far a profile is from a Nash equilibrium: the gain of a best response per seat, and its sum, NashConv.

    gain_i = max over pi of J_i(pi, rest) - J_i(profile),     NashConv = sum over seats of max(gain_i, 0)

all inside the environment's own discretisation. Every number says what it is: `exact`, or a `lower bound` found by a
search. A search chooses its best candidate on one set of games and is judged on another, fresh one, paired game by
game with the profile itself, so its interval needs no correction for the choice. A searched gain can be negative and is
reported as such; in the sum it counts as 0, because staying is a response too, but its noise stays in the interval.

Engines are plain functions in `ENGINES`, best first; the first one that applies to a market and profile is used. Exact
engines may add *views*: the same game's gap from other starts, in later sub-games, or against replayed opponents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.learned import player
from agents.makers import naive_profile
from arena import lattice_gap
from arena.game import Game
from arena.markets.dealer import DealerMarket
from arena.rollout import Act, play, seeds_of
from arena.shifts import best_affine, best_constant, shifted, shifts_of

Kind = Literal["exact", "lower bound"]
Weights = Mapping[str, np.ndarray]
SEARCH, CHOICE, JUDGEMENT, SHIFT = 11, 12, 13, 1000
"""Streams of game seeds: constants, choosing a candidate, judging it, and the generations of the affine search."""
POPULATION = 32
CLOSE = 0.05
"""A scripted act is shifted too when it earns within this share of what the seat's own act earns."""


@dataclass(frozen=True)
class Profile:
    """Who plays: an act per seat, a label per seat, and the networks of the seats that have one (for warm starts).

    Seats with the same label are taken to play the same way.
    """

    acts: Mapping[str, Act]
    labels: Mapping[str, str]
    weights: Mapping[str, Weights] = field(default_factory=dict)


class Job(NamedTuple):
    """One best responder to train: a seat of a profile, a seed, and weights to start from or none."""

    profile: Profile
    seat: str
    seed: int
    initial: Weights | None


Train = Callable[[Sequence[Job]], Sequence[Weights]]
"""Trains best responders, in the order asked for; how (and how many at once) is the caller's affair."""


@dataclass(frozen=True)
class Search:
    """What an engine may spend. `train` none: no learned responders, constant and affine shifts only."""

    games: int = 4096  # fresh paired games of the judgement
    choice_games: int = 1024  # games on which the best candidate is chosen
    fresh: int = 3  # learned responders per seat from scratch
    warm: int = 2  # learned responders per seat from the profile's own weights
    generations: int = 40  # of the affine search
    shift_games: int = 64  # games per candidate and generation of the affine search
    confidence: float = 0.99
    seed: int = 1_000_003
    train: Train | None = None
    scripted: Mapping[str, Mapping[str, Act]] = field(default_factory=dict)  # acts to try in a seat, by role and name
    reach: Mapping[str, np.ndarray] | None = None  # typical size of an action by role, [K]; none: a tenth of its range
    views: bool = True  # exact engines only: also the gap from other starts and against replayed opponents


@dataclass(frozen=True)
class SeatGain:
    """The gain of one seat's best response: mean, interval, and its paired differences [games] where it was sampled."""

    seat: str
    gain: float
    se: float
    low: float
    high: float
    kind: Kind
    engine: str
    differences: NDArray[np.float64] | None = None
    candidates: Mapping[str, float] = field(default_factory=dict)  # gain of every candidate on the choosing games
    views: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # by view: gain, the naive profile's there


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
    market: DealerMarket, profile: Profile, search: Search, *, naive: NashGap | None = None, engine: str = ""
) -> NashGap:
    """Gains of all seats by the best engine that applies, or the named one; `naive` is the naive profile's by the same.

    Raises ValueError for a named engine that is not there or does not cover this market and profile.
    """
    named = [one for one in ENGINES if engine in ("", one.name)]
    if not named:
        raise ValueError(f"engine: found {engine!r}; allowed are {', '.join(one.name for one in ENGINES)}")
    fitting = [one for one in named if one.applies(market, profile)]
    if not fitting:
        raise ValueError(
            f"engine: {engine!r} does not cover this market and profile; allowed is none, for one that does"
        )
    return total(fitting[0].gains(market, profile, search), search.confidence, naive)


def total(seats: Sequence[SeatGain], confidence: float, naive: NashGap | None = None) -> NashGap:
    """NashConv of seats' gains: sampled differences are added game by game, for all seats share their games."""
    value = sum(max(seat.gain, 0.0) for seat in seats)
    sampled = [seat.differences for seat in seats if seat.differences is not None]
    half = _half_width(np.sum(sampled, axis=0), confidence)[1] if sampled else 0.0
    return NashGap(tuple(seats), value, value - half, value + half, confidence, naive)


def naive_acts(market: DealerMarket) -> Profile:
    """The profile that gaps are relative to: naive constant half-spreads without skew, TWAP."""
    recipes = naive_profile(market)
    acts = {seat: recipe.sit(market, seat) for seat, recipe in recipes.items()}
    return Profile(acts, {seat: recipe.kind for seat, recipe in recipes.items()})


def exchangeable(market: DealerMarket, role: str) -> bool:
    """Whether the seats of a role are alike: no parameter differs from seat to seat."""
    if role == "executor":
        return len(set(market.executors)) <= 1
    per_seat = [
        getattr(market.flow.rule, "offsets", ()),
        *(getattr(market.makers.risk, name) for name in type(market.makers.risk).model_fields),
    ]
    start = market.makers.initial_inventory
    per_seat += [start, getattr(start, "mean", ())]
    return all(len(set(value)) <= 1 for value in per_seat if isinstance(value, tuple))


def search_gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """Lower bounds: per seat the best of learned responders, shifts of its own actions, and scripted acts.

    Candidates are found once for seats that are alike (exchangeable, same label) and every one of them is tried in each
    of these seats, so each seat chooses among all that its equals found.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for role in market.roles:
        same = exchangeable(market, role.name)
        for seat in role.agents:
            groups.setdefault((role.name, profile.labels[seat] if same else seat), []).append(seat)
    chooser, judge = Game(market, search.choice_games), Game(market, search.games)
    choice, fresh = (seeds_of(search.seed, g.batch, s) for g, s in ((chooser, CHOICE), (judge, JUDGEMENT)))
    now = {"choice": play(chooser, profile.acts, choice), "fresh": play(judge, profile.acts, fresh)}
    out: dict[str, SeatGain] = {}
    for seats in groups.values():
        candidates = _candidates(market, profile, seats, search)
        for seat in seats:
            moves = {name: make(profile.acts[seat]) for name, make in candidates.items()}
            scores = {
                name: float(
                    (
                        play(chooser, {**profile.acts, seat: act}, choice).returns_of(seat)
                        - now["choice"].returns_of(seat)
                    ).mean()
                )
                for name, act in moves.items()
            }
            best = max(scores, key=lambda name: scores[name])
            played = play(judge, {**profile.acts, seat: moves[best]}, fresh)
            difference = played.returns_of(seat) - now["fresh"].returns_of(seat)
            gain = float(difference.mean())
            se, half = _half_width(difference, search.confidence)
            out[seat] = SeatGain(seat, gain, se, gain - half, gain + half, "lower bound", best, difference, scores)
    return [out[seat] for role in market.roles for seat in role.agents]


Make = Callable[[Act], Act]
"""A deviation: from a seat's own act to another one."""


def _candidates(market: DealerMarket, profile: Profile, seats: Sequence[str], search: Search) -> dict[str, Make]:
    """Deviations by name for seats that are alike, searched from the first of them."""
    seat = seats[0]
    role = next(role for role in market.roles if seat in role.agents)
    reach = search.reach[role.name] if search.reach is not None else np.full(role.action.size, 0.1)
    shifts = shifts_of(role, reach)
    batch = POPULATION * search.shift_games
    game = Game(market, batch)
    seeds = seeds_of(search.seed, batch, SEARCH)
    out: dict[str, Make] = {}

    def affine(act: Act, start: np.ndarray | None) -> np.ndarray:
        return best_affine(
            game, {**profile.acts, seat: act}, seat, shifts, lambda g, n: seeds_of(search.seed, n, SHIFT + g),
            generations=search.generations, population=POPULATION, start=start, seed=search.seed,
        )  # fmt: skip

    constant = best_constant(game, profile.acts, seat, shifts, seeds)
    out["constant shift"] = _shift(shifts, constant)
    out["affine shift"] = _shift(shifts, affine(profile.acts[seat], constant))
    own = float(play(game, profile.acts, seeds).returns_of(seat).mean())
    for name, act in search.scripted.get(role.name, {}).items():
        out[name] = _instead(act)
        value = float(play(game, {**profile.acts, seat: act}, seeds).returns_of(seat).mean())
        if value > own - CLOSE * abs(own):
            out[f"affine shift of {name}"] = _instead(shifted(act, shifts, affine(act, None)))
    if search.train is None:
        return out
    network = profile.weights.get(seat)
    warm = search.warm if network is not None else 0
    names = [f"fresh responder {i + 1}" for i in range(search.fresh)] + [f"warm responder {i + 1}" for i in range(warm)]
    starts = [None] * search.fresh + [network] * warm
    jobs = [Job(profile, seat, search.seed + 7919 * i, start) for i, start in enumerate(starts)]
    for name, weights in zip(names, search.train(jobs), strict=True):
        out[name] = _instead(player(weights))
    return out


def _shift(shifts: Any, coefficients: np.ndarray) -> Make:
    return lambda act: shifted(act, shifts, coefficients)


def _instead(other: Act) -> Make:
    return lambda act: other


def _half_width(differences: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Standard error of the mean of independent games, and the half-width of its Student t interval."""
    se = float(differences.std(ddof=1) / np.sqrt(differences.size)) if differences.size > 1 else np.nan
    return se, float(stats.t.ppf(0.5 + 0.5 * confidence, differences.size - 1)) * se if differences.size > 1 else np.nan


class Engine(NamedTuple):
    """A way to find best responses: whether it applies, and the gains of all seats."""

    name: str
    applies: Callable[[DealerMarket, Profile], bool]
    gains: Callable[[DealerMarket, Profile, Search], Sequence[SeatGain]]


def _on_the_lattice(market: DealerMarket, profile: Profile) -> bool:
    return not lattice_gap.obstacle(market) and lattice_gap.follows_tables(market, profile.acts)


def _lattice_gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    found = lattice_gap.responses(market, profile.acts)
    return _certain({seat: one.gain for seat, one in found.items()}, "best response on the lattice")


def _certain(gains: Mapping[str, float], engine: str) -> list[SeatGain]:
    """Gains without any error, by seat."""
    return [SeatGain(seat, gain, 0.0, gain, gain, "exact", engine) for seat, gain in gains.items()]


def _random_logistic(market: DealerMarket) -> bool:
    """What both programmes for random orders need, asked first: it spares the others the import of torch."""
    return market.flow.orders == "poisson" and market.flow.rule.kind == "logistic"


def _fluid_applies(market: DealerMarket, profile: Profile) -> bool:
    if market.flow.orders != "fluid":  # spares the others the import of torch
        return False
    from arena import exact_gap

    return exact_gap.fluid_applies(market)


def _fluid_gains(market: DealerMarket, profile: Profile, search: Search) -> Sequence[SeatGain]:
    from arena import exact_gap

    return exact_gap.fluid_gains(market, profile, search)


def _by_the_clock(market: DealerMarket, profile: Profile) -> bool:
    if not _random_logistic(market):
        return False
    from arena import own_inventory

    return own_inventory.applies(market, profile.acts)


def _own_inventory_gains(market: DealerMarket, profile: Profile, search: Search) -> list[SeatGain]:
    from arena import own_inventory

    return _certain(own_inventory.gains(market, profile.acts), "own inventory")


def _poisson_applies(market: DealerMarket, profile: Profile) -> bool:
    if not _random_logistic(market):
        return False
    from arena import exact_gap

    return exact_gap.poisson_applies(market)


def _poisson_gains(market: DealerMarket, profile: Profile, search: Search) -> Sequence[SeatGain]:
    from arena import exact_gap

    return exact_gap.poisson_gains(market, profile, search)


ENGINES: tuple[Engine, ...] = (
    Engine("lattice", _on_the_lattice, _lattice_gains),
    Engine("gradient", _fluid_applies, _fluid_gains),
    Engine("own inventory", _by_the_clock, _own_inventory_gains),
    Engine("dynamic programming", _poisson_applies, _poisson_gains),
    Engine("search", lambda market, profile: True, search_gains),
)
"""Best first; the last one always applies."""
