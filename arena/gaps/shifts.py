"""Constant and affine shifts of a seat's own actions: the simplest ways to leave a profile, and often the best ones.

A seat that plays a(o) [K] in [-1, 1] units plays instead, clipped to [-1, 1],

    a'(o)_k = a(o)_k + sum_f c[g(k), f] phi_f,k(o)

where g(k) is the kind of the column (its name before the bracket) and phi are 1, the time left, the standardised
observation columns that the role's hints name and that are about the whole market or about the column's own label
(`quote[C100]`, `inventory[C100]`), and each of these times the time left. Columns of a kind share coefficients, so
there are few: a constant moves all quotes of a maker, the inventory's coefficient leans them against what it holds.

The best constant is found on a grid; the affine shift by an evolution strategy with a step size per coefficient. Every
candidate plays the same game seeds, many candidates side by side in one `Game`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from arena.game import Game
from arena.layout import Field
from arena.markets.market import Act, Role
from arena.rollout import play

LIMIT = 4.0
"""Standardised columns are clipped to ±LIMIT: a shift is for common states, not for rare ones."""
CONSTANTS = (0.4, 0.2, 0.1, 0.05, 0.02, -0.02, -0.05, -0.1, -0.2, -0.4)
"""Constant shifts tried for every kind of column, as shares of the reach of a shift."""

Features = Callable[[np.ndarray], np.ndarray]


class Shifts(NamedTuple):
    """The shifts open to one role: kinds of columns, the kind of each column, and features.

    `features` maps observations [B, D] to phi [B, F, K]; F = 1 is the constant. `reach` [kinds] is one unit of a
    coefficient in action units: a typical size of that kind's naive action.
    """

    kinds: tuple[str, ...]
    kind_of: np.ndarray
    features: Features
    size: int
    reach: np.ndarray


def shifts_of(role: Role, reach: np.ndarray) -> Shifts:
    """The shifts of a role whose action columns have a typical size `reach` [K] in action units."""
    groups = [name.split("[")[0] for name in role.action.names]
    kinds = tuple(dict.fromkeys(groups))
    kind_of = np.array([kinds.index(group) for group in groups])
    layout = role.observation
    columns: list[tuple[int, ...]] = []  # [features][K]
    for field in layout:
        if field.name in role.hints.shifts:
            start = layout.slice(field.name).start
            columns += list(zip(*(_about(field, start, name) for name in role.action.names), strict=True))
    pick = np.array(columns, dtype=int).reshape(-1, len(groups))
    time = layout.slice("time_left").start
    centre, inverse = layout.centre.astype(np.float32), (1.0 / layout.scale).astype(np.float32)

    def features(observation: np.ndarray) -> np.ndarray:
        x = np.clip((observation - centre) * inverse, -LIMIT, LIMIT)
        left = np.broadcast_to(x[:, time, None, None], (len(x), 1, len(groups)))
        seen = x[:, pick]
        return np.concatenate([np.ones_like(left), left, seen, seen * left], axis=1)

    sizes = np.array([float(np.mean(reach[kind_of == g])) for g in range(len(kinds))])
    return Shifts(kinds, kind_of, features, 2 + 2 * len(pick), np.maximum(sizes, 1e-6))


def _about(field: Field, start: int, action: str) -> list[int]:
    """The columns of a field that an action column may depend on: its own product's, else all of them."""
    product = action.split("[")[1].rstrip("]") if "[" in action else None
    if field.labels and product is not None:
        own = [i for i, label in enumerate(field.labels) if label.split(",")[0] == product]
        return [start + i for i in (own or range(field.size))]
    return [start + i for i in range(field.size)]


def shifted(act: Act, shifts: Shifts, coefficients: np.ndarray) -> Act:
    """The act moved by a shift, coefficients [kinds, F], or [P, kinds, F] for P candidates that play B/P games each."""
    weights = np.asarray(coefficients, dtype=np.float32).reshape(-1, len(shifts.kinds), shifts.size)
    weights = (weights * shifts.reach[:, None].astype(np.float32))[:, shifts.kind_of]  # [P, K, F]

    def moved(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        phi = shifts.features(observation)
        phi = phi.reshape(len(weights), -1, *phi.shape[1:])  # [P, B/P, F, K]
        move = np.zeros_like(phi[:, :, 0])
        for f in range(shifts.size):  # feature after feature: a matrix product's last digits would be the batch's
            move += phi[:, :, f] * weights[:, None, :, f]
        return np.clip(act(observation, noise) + move.reshape(len(observation), -1), -1.0, 1.0)

    return moved


def best_constant(game: Game, acts: Mapping[str, Act], seat: str, shifts: Shifts, seeds: np.ndarray) -> np.ndarray:
    """Coefficients [kinds, F] of the best constant shift of one kind of column in `CONSTANTS`; 0 if none helps."""
    candidates = np.zeros((1 + len(shifts.kinds) * len(CONSTANTS), len(shifts.kinds), shifts.size))
    for g in range(len(shifts.kinds)):
        candidates[1 + g * len(CONSTANTS) : 1 + (g + 1) * len(CONSTANTS), g, 0] = CONSTANTS
    value = _values(game, acts, seat, shifts, candidates, seeds)
    return candidates[int(np.argmax(value))]


def best_affine(
    game: Game, acts: Mapping[str, Act], seat: str, shifts: Shifts, seeds: Callable[[int, int], np.ndarray],
    *, generations: int, population: int = 32, spread: float = 0.08, start: np.ndarray | None = None, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """Coefficients [kinds, F] of a good affine shift: separable CMA-ES (Ros & Hansen 2008) on common random numbers.

    `seeds(generation, games)` are the game seeds of a generation, the same for its `population` candidates, which share
    the `game.batch` games evenly. `spread` is the first standard deviation of a coefficient. Returns the final mean.
    """
    d = len(shifts.kinds) * shifts.size
    generator = np.random.Generator(np.random.Philox(seed))
    mean = np.zeros(d) if start is None else np.asarray(start, dtype=float).ravel().copy()
    parents = population // 2
    share = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    share /= share.sum()
    mass = 1.0 / np.square(share).sum()
    c_path, damping = (
        (mass + 2) / (d + mass + 5),
        1 + (mass + 2) / (d + mass + 5) + 2 * max(0.0, np.sqrt((mass - 1) / (d + 1)) - 1),
    )
    c_shape = (4 + mass / d) / (d + 4 + 2 * mass / d)
    learn = (d + 2) / 3  # separable: only d numbers of the covariance are learned
    rank_one = min(1.0, learn * 2 / ((d + 1.3) ** 2 + mass))
    rank_many = min(1.0 - rank_one, learn * 2 * (mass - 2 + 1 / mass) / ((d + 2) ** 2 + mass))
    expected = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d))
    sigma, variance = spread, np.ones(d)
    path, shape = np.zeros(d), np.zeros(d)
    for generation in range(generations):
        half = generator.standard_normal((population // 2, d))
        z = np.concatenate([half, -half])  # mirrored: the mean of a generation is its centre
        candidates = mean + sigma * np.sqrt(variance) * z
        games = game.batch // population
        value = _values(
            game, acts, seat, shifts, candidates.reshape(population, len(shifts.kinds), -1), seeds(generation, games)
        )
        best = np.argsort(-value, kind="stable")[:parents]
        step = share @ z[best]
        mean = mean + sigma * np.sqrt(variance) * step
        path = (1 - c_path) * path + np.sqrt(c_path * (2 - c_path) * mass) * step
        shape = (1 - c_shape) * shape + np.sqrt(c_shape * (2 - c_shape) * mass) * np.sqrt(variance) * step
        variance = (
            (1 - rank_one - rank_many) * variance + rank_one * shape**2 + rank_many * variance * (share @ z[best] ** 2)
        )
        sigma *= float(np.exp(np.clip(c_path / damping * (np.linalg.norm(path) / expected - 1), -0.5, 0.5)))
    return mean.reshape(len(shifts.kinds), shifts.size)


def _values(
    game: Game, acts: Mapping[str, Act], seat: str, shifts: Shifts, candidates: np.ndarray, seeds: np.ndarray
) -> np.ndarray:
    """Mean return of the seat under each candidate [P, kinds, F] on the same seeds, [P]; idle games are not counted."""
    games = min(len(seeds), game.batch // len(candidates))
    used = games * len(candidates)
    if used < game.batch:  # fill the batch with the first candidate; its extra games are dropped
        rest = game.batch - used
        chosen = np.concatenate([np.repeat(np.arange(len(candidates)), games), np.zeros(rest, int)])
        each = candidates[chosen]
        all_seeds = np.concatenate([np.tile(seeds[:games], len(candidates)), np.resize(seeds, rest)])
    else:
        each, all_seeds = candidates, np.tile(seeds[:games], len(candidates))
    role, position = next((name, r.agents.index(seat)) for name, r in game.roles.items() if seat in r.agents)
    result = play(game, {**acts, seat: shifted(acts[seat], shifts, each)}, all_seeds)
    return result.returns[role][:used, position].reshape(len(candidates), games).mean(axis=1)
