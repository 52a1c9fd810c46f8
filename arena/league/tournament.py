"""Everybody against everybody: the pay-off tensor of a role-asymmetric game, meta-strategies, alpha-rank and ratings.

The tensor has one axis per seat, [s_1, ..., s_N], seats of a role choosing from the same list of entrants. All profiles
play the same game seeds (common random numbers). Where the seats of a role are alike an unordered line-up is
played once: each seed twice, with the seats swapped in between, and the two seatings are averaged. Many profiles share
one `Game`: its games are cut into slots, and an entrant acts once per step for all its games in a seat.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.game import Game
from arena.league.ratings import Comparisons, plackett_luce
from arena.markets.catalogue import part
from arena.markets.market import Act, Market, Role
from arena.rollout import play, seeds_of
from arena.solvers.finite.alpha_rank import alpha_rank
from arena.solvers.finite.matrix_game import MatrixGame, correlated_equilibrium, nash_conv, zero_sum_nash, zero_sum_view

STREAM = 21
"""Stream of the tournament's game seeds."""
MEMBERS, LARGEST = 10, 600
"""Entrants per role and profiles played at most; the lists of entrants are cut from the end to stay below."""
BATCH = 4096
SEATS = 2
"""Seats per role that become axes of the tensor; further ones are played by the role's first entrant."""
REPLICATES, RATED_SEEDS = 100, 64

Entrant = Act | Mapping[str, Act]
"""An act that plays every seat of its role, or an act per seat where seats differ and the player knows which is its."""
Entrants = Mapping[str, Mapping[str, Entrant]]
"""Role -> name -> entrant, the most important first; the first one is the incumbent."""


@dataclass(frozen=True)
class PayoffTensor:
    """Mean return and standard error per seat and profile, [N, s_1, ..., s_N], over `games` games each.

    `samples[profile] [seeds, N]` are returns of the distinct profiles that were played, averaged over seatings.
    """

    agents: tuple[str, ...]
    roles: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]
    mean: NDArray[np.float64]
    se: NDArray[np.float64]
    games: int
    samples: Mapping[tuple[int, ...], NDArray[np.float64]]

    @property
    def game(self) -> MatrixGame:
        """The finite game of the means."""
        return MatrixGame(self.mean, self.roles)


def pay_offs(market: Market, entrants: Entrants, *, games: int, seed: int) -> PayoffTensor:
    """Plays every profile of the entrants on the same seeds.

    Raises ValueError when a role has no entrant. Lists are cut to `MEMBERS` and to `LARGEST` profiles.
    """
    axes = [(role.name, agent) for role in market.roles for agent in role.agents[:SEATS]]
    for role in market.roles:
        if not entrants.get(role.name):
            raise ValueError(f"tournament: nobody enters as {role.name}; every role needs an entrant")
    swaps = {role.name: role.alike and len(role.agents) > 1 for role in market.roles}
    first = {role.name: list(entrants[role.name])[:MEMBERS] for role in market.roles}
    lists = _shortened(first, [r for r, _ in axes], swaps)
    sizes = [len(lists[role]) for role, _ in axes]
    profiles = sorted({_sorted(p, axes, swaps) for p in itertools.product(*(range(s) for s in sizes))})
    seeds = seeds_of(seed, max(games // 2, 1) if any(swaps.values()) else games, STREAM)
    bench = {
        agent: in_seat(entrants[role.name][lists[role.name][0]], agent)
        for role in market.roles
        for agent in role.agents[SEATS:]
    }
    seatings = _seatings(axes, swaps)
    tables = []
    for seating in seatings:
        seats = [[p[seating[i]] for i in range(len(axes))] for p in profiles]
        returns = _play_all(market, axes, lists, entrants, seats, seeds, bench)  # [profiles, seeds, N]
        back = np.empty_like(returns)
        back[:, :, list(seating)] = returns
        tables.append(back)
    samples = np.mean(tables, axis=0)
    kept = {p: samples[i] for i, p in enumerate(profiles)}
    mean, se = np.empty((len(axes), *sizes)), np.empty((len(axes), *sizes))
    for p in itertools.product(*(range(s) for s in sizes)):
        known, order = _sorted(p, axes, swaps), _order(p, axes, swaps)
        values = kept[known]
        for i, place in enumerate(order):
            alike = (
                [j for j in order if axes[j][0] == axes[place][0] and known[j] == known[place]]
                if swaps[axes[i][0]]
                else [place]
            )
            x = values[:, alike].mean(axis=1)
            mean[(i, *p)] = x.mean()
            se[(i, *p)] = x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
    roles = tuple(role for role, _ in axes)
    names = {role: tuple(members) for role, members in lists.items()}
    return PayoffTensor(tuple(a for _, a in axes), roles, names, mean, se, len(seeds) * len(seatings), kept)


def _shortened(lists: dict[str, list[str]], roles: Sequence[str], swaps: Mapping[str, bool]) -> dict[str, list[str]]:
    """The lists, cut from the end of the longest until few enough distinct profiles are left."""

    def count() -> int:
        out = 1
        for role in dict.fromkeys(roles):
            m, seats = len(lists[role]), roles.count(role)
            out *= m * (m + 1) // 2 if swaps[role] and seats == 2 else m**seats
        return out

    while count() > LARGEST:
        longest = max(lists, key=lambda role: len(lists[role]))
        lists[longest].pop()
    return lists


def _order(profile: Sequence[int], axes: Sequence[tuple[str, str]], swaps: Mapping[str, bool]) -> tuple[int, ...]:
    """order[i]: the axis of the sorted profile at which seat i's entrant sits."""
    order = list(range(len(axes)))
    for role in dict.fromkeys(r for r, _ in axes):
        own = [i for i, (r, _) in enumerate(axes) if r == role]
        if swaps[role]:
            ranked = sorted(own, key=lambda i: profile[i])
            for place, i in zip(own, ranked, strict=True):
                order[i] = place
    return tuple(order)


def _sorted(profile: Sequence[int], axes: Sequence[tuple[str, str]], swaps: Mapping[str, bool]) -> tuple[int, ...]:
    """The representative of a line-up: entrants in rising order within seats that are alike."""
    out = [0] * len(profile)
    for i, place in enumerate(_order(profile, axes, swaps)):
        out[place] = profile[i]
    return tuple(out)


def _seatings(axes: Sequence[tuple[str, str]], swaps: Mapping[str, bool]) -> list[tuple[int, ...]]:
    """Ways to seat a line-up: as it is, and with all pairs of seats that are alike swapped."""
    swapped = list(range(len(axes)))
    for role in dict.fromkeys(r for r, _ in axes):
        own = [i for i, (r, _) in enumerate(axes) if r == role]
        if swaps[role] and len(own) == SEATS:
            swapped[own[0]], swapped[own[1]] = own[1], own[0]
    return list(dict.fromkeys([tuple(range(len(axes))), tuple(swapped)]))


def _play_all(
    market: Market, axes: Sequence[tuple[str, str]], lists: Mapping[str, Sequence[str]], entrants: Entrants,
    profiles: Sequence[Sequence[int]], seeds: NDArray[np.uint64], bench: Mapping[str, Act],
) -> NDArray[np.float64]:  # fmt: skip
    """Returns [profiles, seeds, N] of profiles given per seat; slots of one game are dealt to many profiles."""
    slots = max(1, min(len(profiles), BATCH // len(seeds)))
    game = Game(market, slots * len(seeds))
    out = np.empty((len(profiles), len(seeds), len(axes)))
    for start in range(0, len(profiles), slots):
        block = list(profiles[start : start + slots])
        padded = block + [block[-1]] * (slots - len(block))
        players = dict(bench)
        for i, (role, agent) in enumerate(axes):
            players[agent] = _shared([in_seat(entrants[role][lists[role][p[i]]], agent) for p in padded], len(seeds))
        rollout = play(game, players, np.tile(seeds, slots))
        for i, (_, agent) in enumerate(axes):
            out[start : start + len(block), :, i] = rollout.returns_of(agent).reshape(slots, -1)[: len(block)]
    return out


def in_seat(entrant: Entrant, agent: str) -> Act:
    """The act with which an entrant plays a seat."""
    return entrant[agent] if isinstance(entrant, Mapping) else entrant


def _shared(acts: Sequence[Act], width: int) -> Act:
    """One act for a seat whose slots of `width` games are played by different entrants; each acts once per step."""
    rows: dict[int, list[np.ndarray]] = {}
    for slot, one in enumerate(acts):
        rows.setdefault(id(one), []).append(np.arange(slot * width, (slot + 1) * width))
    groups = [(next(a for a in acts if id(a) == key), np.concatenate(parts)) for key, parts in rows.items()]
    if len(groups) == 1:
        return acts[0]

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        out = np.empty((len(observation), noise.shape[1]))
        for one, where in groups:
            out[where] = one(observation[where], noise[where])
        return out

    return act


def seated(market: Market, role: Role, recipe: Any) -> Entrant:
    """A recipe as an entrant of a role: one act where all seats are alike, else one that knows each seat's terms.

    Raises ValueError where it cannot sit.
    """
    return recipe.sit(market, role.agents[0]) if role.alike else {a: recipe.sit(market, a) for a in role.agents}


def baselines(market: Market) -> dict[str, dict[str, Entrant]]:
    """The scripted entrants of each role that the market's kit names, those that can sit in this market."""
    recipes = recipes_of(market)
    out: dict[str, dict[str, Entrant]] = {}
    for role in market.roles:
        own = out.setdefault(role.name, {})
        for name, recipe in recipes.get(role.name, {}).items():
            with contextlib.suppress(ValueError):  # it needs columns that this market hides
                own[name] = seated(market, role, recipe)
    return out


def recipes_of(market: Market) -> Mapping[str, Mapping[str, Any]]:
    """Role -> name -> recipe of the market's scripted players; none where its kit names none."""
    listed: Callable[[Market], Mapping[str, Mapping[str, Any]]] = part(market, "baselines", lambda _: {})
    return listed(market)


def meta(tensor: PayoffTensor) -> dict[str, Any]:
    """What the tensor says about who should play: CCE and CE, alpha-rank, and Nash of the zero-sum view, role by role.

    The zero-sum view of two makers pays half their difference: who earns more than whom, another question than who
    should play what; it stands under that name.
    """
    game, members = tensor.game, tensor.members

    def named(mixtures: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
        return {
            role: {n: float(x) for n, x in zip(members[role], mass, strict=True)} for role, mass in mixtures.items()
        }

    cce = correlated_equilibrium(game, "cce", "gini")
    out: dict[str, Any] = {
        "cce": named(cce.mixtures),
        "cce_payoffs": dict(zip(tensor.agents, cce.payoffs.tolist(), strict=True)),
    }
    if game.payoffs.size <= 20_000:
        out["ce"] = named(correlated_equilibrium(game, "ce", "gini").mixtures)
    out["cce_nashconv"] = nash_conv(game, cce.mixtures)
    out["alpha_rank"] = named(alpha_rank(game).mixtures)
    for role in dict.fromkeys(tensor.roles):
        seats = game.seats_of(role)
        if len(seats) > 1:
            found = zero_sum_nash(zero_sum_view(game, seats[0], seats[1]))
            mass = dict(zip(members[role], found.row.tolist(), strict=True))
            out.setdefault("zero_sum_view", {})[role] = {"mixture": mass, "value": found.value}
    return out


def rate_all(
    market: Market, entrants: Entrants, tensor: PayoffTensor, *, seed: int, confidence: float
) -> dict[str, list[dict[str, Any]]]:
    """Plackett-Luce ratings of all entrants of each role, also of those outside the tensor.

    Compared are, game by game on common seeds, the members of the tensor in the same seat against the same others, for
    every choice of others that has the incumbent in the other roles, and all entrants against the incumbents. Where
    the seats of a role are alike the first one stands for all of them; else the comparisons of all its seats count.
    """
    axes = list(zip(tensor.roles, tensor.agents, strict=True))
    swaps = {role.name: role.alike and tensor.roles.count(role.name) > 1 for role in market.roles}
    out = {}
    for role in dict.fromkeys(tensor.roles):
        names = list(entrants[role])
        if len(names) < 2:
            continue
        own_seats = [i for i, r in enumerate(tensor.roles) if r == role]
        rows: list[tuple[Sequence[str], np.ndarray]] = []
        for seat in own_seats[:1] if swaps[role] else own_seats:
            for other in range(len(tensor.members[role]) if len(own_seats) > 1 else 1):
                scores = []
                for own in range(len(tensor.members[role])):
                    profile = tuple(own if i == seat else other if r == role else 0 for i, (r, _) in enumerate(axes))
                    place = _order(profile, axes, swaps)[seat]
                    scores.append(tensor.samples[_sorted(profile, axes, swaps)][:RATED_SEEDS, place])
                if len(scores) > 1:
                    rows.append((tensor.members[role], np.stack(scores, axis=1)))
            if any(name not in tensor.members[role] for name in names):
                found = _against_incumbents(market, entrants, tensor.agents[seat], names, seed)
                rows.append((names, found))
        out[role] = _rated(rows, confidence, seed)
    return out


def _against_incumbents(
    market: Market, entrants: Entrants, agent: str, names: Sequence[str], seed: int
) -> NDArray[np.float64]:
    """Returns [seeds, names] of one seat, incumbents elsewhere."""
    axes = [(r.name, one) for r in market.roles for one in r.agents]
    lists = {r.name: list(entrants[r.name]) for r in market.roles}
    seat = next(i for i, (_, one) in enumerate(axes) if one == agent)
    profiles = [[n if i == seat else 0 for i in range(len(axes))] for n in range(len(names))]
    returns = _play_all(market, axes, lists, entrants, profiles, seeds_of(seed, RATED_SEEDS, STREAM), {})
    return returns[:, :, seat].T


def _rated(rows: Comparisons, confidence: float, seed: int) -> list[dict[str, Any]]:
    return list(plackett_luce(rows, replicates=REPLICATES, confidence=confidence, seed=seed))


def files(tensor: PayoffTensor) -> dict[str, Any]:
    """payoff.json: axes, members by role, means and standard errors [N, s_1, ..., s_N], games, meta-strategies."""
    return {
        "schema_version": 1, "roles": list(tensor.roles), "agents": list(tensor.agents),
        "members": {role: list(names) for role, names in tensor.members.items()}, "games": tensor.games,
        "mean": tensor.mean.tolist(), "se": tensor.se.tolist(), "meta": meta(tensor),
    }  # fmt: skip
