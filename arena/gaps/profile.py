"""Who plays which seat, and what is asked and answered about a seat's best response."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.markets.catalogue import kit_of
from arena.markets.market import Act, Market

Kind = Literal["exact", "lower bound"]
Weights = Mapping[str, np.ndarray]


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
    """What an engine may spend; without `train` no responder learns, without `shifts` a seat's own act is not moved."""

    games: int = 4096  # fresh paired games of the judgement
    choice_games: int = 1024  # games on which the best candidate is chosen
    fresh: int = 3  # learned responders per seat from scratch
    warm: int = 2  # learned responders per seat from the profile's own weights
    generations: int = 40  # of the affine search
    shift_games: int = 64  # games per candidate and generation of the affine search
    confidence: float = 0.99
    seed: int = 1_000_003
    shifts: bool = True  # look among shifts or swaps of a seat's own actions
    train: Train | None = None
    scripted: Mapping[str, Mapping[str, Act]] = field(default_factory=dict)  # acts to try, by seat and name
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


def naive_acts(market: Market) -> Profile:
    """The profile that gaps are relative to: the naive one of the market's kit."""
    recipes = kit_of(market).naive(market)
    acts = {seat: recipe.sit(market, seat) for seat, recipe in recipes.items()}
    return Profile(acts, {seat: recipe.kind for seat, recipe in recipes.items()})


def certain(gains: Mapping[str, float], engine: str) -> list[SeatGain]:
    """Gains without any error, by seat."""
    return [SeatGain(seat, gain, 0.0, gain, gain, "exact", engine) for seat, gain in gains.items()]
