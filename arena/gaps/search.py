"""Lower bounds of best responses by search: learned responders, shifts of a seat's own actions, scripted acts.

The best candidate is chosen on one set of games and judged on another, fresh one, paired game by game with the profile
itself, so its interval needs no correction for the choice.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.learned import player
from arena.game import Game
from arena.gaps.profile import Job, Profile, Search, SeatGain
from arena.gaps.shifts import best_affine, best_constant, shifted, shifts_of
from arena.gaps.swaps import best_swaps, swapped
from arena.layout import Choice
from arena.markets.market import Act, Market, Role
from arena.rollout import play, seeds_of

SEARCH, CHOICE, JUDGEMENT, SHIFT = 11, 12, 13, 1000
"""Streams of game seeds: constants, choosing a candidate, judging it, and the generations of the affine search."""
POPULATION = 32
CLOSE = 0.05
"""A scripted act is shifted too when it earns within this share of what the seat's own act earns."""


def applies(market: Market, profile: Profile) -> bool:
    """Always: anything can be searched."""
    return True


def gains(market: Market, profile: Profile, search: Search) -> list[SeatGain]:
    """Lower bounds: per seat the best of learned responders, shifts of its own actions, and scripted acts.

    Candidates are found once for seats that are alike (`Role.alike`, same label) and every one of them is tried in each
    of these seats, so each seat chooses among all that its equals found.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for role in market.roles:
        for seat in role.agents:
            groups.setdefault((role.name, profile.labels[seat] if role.alike else seat), []).append(seat)
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
            se, half = half_width(difference, search.confidence)
            out[seat] = SeatGain(seat, gain, se, gain - half, gain + half, "lower bound", best, difference, scores)
    return [out[seat] for role in market.roles for seat in role.agents]


Make = Callable[[Act], Act]
"""A deviation: from a seat's own act to another one."""


def _candidates(market: Market, profile: Profile, seats: Sequence[str], search: Search) -> dict[str, Make]:
    """Deviations by name for seats that are alike, searched from the first of them."""
    seat = seats[0]
    role = next(role for role in market.roles if seat in role.agents)
    game = Game(market, POPULATION * search.shift_games)
    seeds = seeds_of(search.seed, game.batch, SEARCH)
    if search.shifts:
        find = _swaps if isinstance(role.action, Choice) else _shifts
        out = find(game, profile, seat, role, search, seeds)
    else:
        out = {"its own act": lambda act: act, **_scripted(search, seat)}
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


def _shifts(
    game: Game, profile: Profile, seat: str, role: Role, search: Search, seeds: NDArray[np.uint64]
) -> dict[str, Make]:
    """For an action in numbers: shifts of the seat's own act, scripted acts, and shifts of the good ones."""
    reach = search.reach[role.name] if search.reach is not None else np.full(role.action.size, 0.1)
    shifts = shifts_of(role, reach)
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
    for name, act in search.scripted.get(seat, {}).items():
        out[name] = _instead(act)
        value = float(play(game, {**profile.acts, seat: act}, seeds).returns_of(seat).mean())
        if value > own - CLOSE * abs(own):
            out[f"affine shift of {name}"] = _instead(shifted(act, shifts, affine(act, None)))
    return out


def _swaps(
    game: Game, profile: Profile, seat: str, role: Role, search: Search, seeds: NDArray[np.uint64]
) -> dict[str, Make]:
    """For a choice: the best swaps of the seat's own act, and scripted acts."""
    found = best_swaps(game, profile.acts, seat, role, seeds[: search.shift_games])
    out: dict[str, Make] = {name: partial(swapped, role=role, instead=j, where=i) for name, (j, i) in found.items()}
    return out | _scripted(search, seat)


def _scripted(search: Search, seat: str) -> dict[str, Make]:
    return {name: _instead(act) for name, act in search.scripted.get(seat, {}).items()}


def _shift(shifts: Any, coefficients: np.ndarray) -> Make:
    return lambda act: shifted(act, shifts, coefficients)


def _instead(other: Act) -> Make:
    return lambda act: other


def half_width(differences: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Standard error of the mean of independent games, and the half-width of its Student t interval."""
    se = float(differences.std(ddof=1) / np.sqrt(differences.size)) if differences.size > 1 else np.nan
    return se, float(stats.t.ppf(0.5 + 0.5 * confidence, differences.size - 1)) * se if differences.size > 1 else np.nan
