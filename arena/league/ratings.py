"""Ratings of league members within a role: openskill while training, Plackett-Luce with bootstrap for the report.

Both read *comparisons*: scores [games, k] of k members, each row one game on one seed (the same seat, the same others,
or two seats of one game), higher is better. Ratings use ranks only; pay-offs in $ come first. No global random state.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

Comparisons = Sequence[tuple[Sequence[str], np.ndarray]]


class Rating(NamedTuple):
    """A live rating: normal belief about a member's strength, openskill's scale (start 25, beta 25/6)."""

    mu: float = 25.0
    sigma: float = 25.0 / 3
    games: int = 0

    def interval(self, confidence: float = 0.99) -> tuple[float, float]:
        """Central credible interval of the belief."""
        reach = NormalDist().inv_cdf((1 + confidence) / 2) * self.sigma
        return self.mu - reach, self.mu + reach


def rate(ratings: Mapping[str, Rating], members: Sequence[str], scores: np.ndarray) -> dict[str, Rating]:
    """Ratings after these games, in their order (Weng & Lin 2011, Plackett-Luce model); unknown members start fresh.

    scores [games, k]; equal scores are ties. Members are frozen, so no uncertainty is added between games (tau = 0).
    Raises ValueError for repeated members, a wrong shape or non-finite scores.
    """
    from openskill.models import PlackettLuce

    scores = _checked(members, scores)
    model = PlackettLuce(tau=0.0)
    before = [ratings.get(name, Rating()) for name in members]
    teams = [[model.create_rating([r.mu, r.sigma])] for r in before]
    for row in scores:
        teams = model.rate(teams, scores=row.tolist())
    after = [Rating(t[0].mu, t[0].sigma, r.games + len(scores)) for t, r in zip(teams, before, strict=True)]
    return {**ratings, **dict(zip(members, after, strict=True))}


def table(ratings: Mapping[str, Rating], confidence: float = 0.99) -> list[dict[str, float | str]]:
    """Rows for the report, best first: member, rating, sigma, low, high, games."""
    rows: list[dict[str, float | str]] = []
    for name, r in sorted(ratings.items(), key=lambda item: (-item[1].mu, item[0])):
        low, high = r.interval(confidence)
        rows.append({"member": name, "rating": r.mu, "sigma": r.sigma, "low": low, "high": high, "games": r.games})
    return rows


def plackett_luce(
    comparisons: Comparisons, *, replicates: int = 200, confidence: float = 0.99, seed: int = 0, prior: float = 0.01
) -> list[dict[str, float | str]]:
    """Maximum-likelihood ratings of all members compared, with percentile bootstrap intervals; rows as in `table`.

    P(order) = product over places of e^{r_i} / (sum of e^{r_j} over those not yet placed) (Luce 1959; Plackett 1975),
    fitted by I-LSR (Maystre & Grossglauser 2015); ratings are log-worths with mean zero, +1 is odds of e : 1. A tie
    counts half for either order. `prior` > 0 regularises, so that a member that never lost has a finite rating. Where
    I-LSR finds none (all games, without chance, order many members alike) they are the maximum of the likelihood with
    a normal prior of precision `prior`.
    The bootstrap draws games (rows); comparisons with equally many rows are taken to be on common seeds, row by row,
    and are drawn together. Cost about replicates x rows x 0.05 ms. Raises ValueError as `rate` does.
    """
    blocks = [(list(members), _checked(members, scores)) for members, scores in comparisons]
    names = sorted({name for members, _ in blocks for name in members})
    if len(names) < 2:
        raise ValueError(f"ratings need at least two members, found {names}")
    position = {name: i for i, name in enumerate(names)}
    ties = any(len(set(row)) < len(row) for _, scores in blocks for row in scores.tolist())
    orders = [_orders(np.array([position[name] for name in members]), scores, ties) for members, scores in blocks]

    sizes = sorted({len(block) for block in orders})

    def rankings(chosen: Mapping[int, np.ndarray]) -> list[tuple[int, ...]]:
        rows = [row for block in orders for row in block[chosen[len(block)]].reshape(-1, block.shape[2]).tolist()]
        return list(map(tuple, rows))

    everything = rankings({size: np.arange(size) for size in sizes})
    start = _ilsr(everything, len(names), prior, None)
    best = _penalised(everything, len(names), prior) if start is None else start
    known: dict[frozenset[tuple[tuple[int, ...], int]], np.ndarray] = {}

    def fit(rankings: list[tuple[int, ...]]) -> np.ndarray:
        drawn = frozenset(Counter(rankings).items())  # without chance every draw is the same
        if drawn not in known:
            found = None if start is None else _ilsr(rankings, len(names), prior, start)
            known[drawn] = _penalised(rankings, len(names), prior) if found is None else found
        return known[drawn]

    generator = np.random.Generator(np.random.Philox(seed))
    drawn = [fit(rankings({size: generator.integers(size, size=size) for size in sizes})) for _ in range(replicates)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0) if replicates else (np.full(len(names), math.nan),) * 2
    spread = np.std(drawn, axis=0, ddof=1) if replicates > 1 else np.full(len(names), math.nan)
    games = {name: sum(len(scores) for members, scores in blocks if name in members) for name in names}
    columns = {"rating": best, "sigma": spread, "low": low, "high": high}
    return [
        {"member": names[i], **{key: float(values[i]) for key, values in columns.items()}, "games": games[names[i]]}
        for i in np.argsort(-best, kind="stable")
    ]


def _ilsr(rankings: Sequence[tuple[int, ...]], count: int, prior: float, start: np.ndarray | None) -> np.ndarray | None:
    """Strengths [count] by I-LSR, or None where worths run away."""
    import choix

    with np.errstate(all="ignore"), contextlib.suppress(RuntimeError):
        return choix.ilsr_rankings(count, rankings, alpha=prior, initial_params=start, max_iter=1000, tol=1e-6)
    return None


def _penalised(rankings: Sequence[tuple[int, ...]], count: int, precision: float) -> np.ndarray:
    """Strengths [count] of largest likelihood less precision/2 |r|^2, by Newton's method; rankings of any lengths."""
    strength = np.zeros(count)
    alike = [
        np.unique([one for one in rankings if len(one) == length], axis=0, return_counts=True)
        for length in sorted({len(ranking) for ranking in rankings})
    ]
    for _ in range(200):
        slope, curvature = -precision * strength, precision * np.eye(count)
        for placed, times in alike:
            length = placed.shape[1]
            left = np.triu(np.ones((length, length)))  # who is not yet placed at each place
            worth = np.exp(strength[placed] - strength[placed].max(axis=1, keepdims=True))[:, None] * left
            chance = np.zeros((len(placed), length, count))
            np.put_along_axis(chance, np.repeat(placed[:, None], length, 1), worth / worth.sum(2, keepdims=True), 2)
            flat, weight = chance.reshape(-1, count), np.repeat(times, length)
            slope += np.bincount(placed.ravel(), np.repeat(times, length), count) - weight @ flat
            curvature += np.diag(weight @ flat) - (flat * weight[:, None]).T @ flat
        step = np.linalg.solve(curvature, slope)
        strength += step * min(1.0, 2.0 / np.abs(step).max(initial=1e-300))
        if np.abs(step).max() < 1e-8:
            break
    return strength - strength.mean()


def _orders(members: np.ndarray, scores: np.ndarray, ties: bool) -> np.ndarray:
    """Rankings [games, 1 or 2, k], best first; with ties two, one breaking them forwards and one backwards."""
    backwards = np.arange(len(members))[::-1]
    first = members[np.argsort(-scores, axis=1, kind="stable")]
    if not ties:
        return first[:, None]
    second = members[backwards][np.argsort(-scores[:, ::-1], axis=1, kind="stable")]
    return np.stack([first, second], axis=1)


def _checked(members: Sequence[str], scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if len(set(members)) < max(len(members), 2) or scores.ndim != 2 or scores.shape[1] != len(members):
        found = f"scores of shape {scores.shape} for members {list(members)}"
        raise ValueError(f"{found}; allowed: [games, k] for k >= 2 different members")
    if not np.all(np.isfinite(scores)):
        raise ValueError("scores contain NaN or infinity")
    return scores
