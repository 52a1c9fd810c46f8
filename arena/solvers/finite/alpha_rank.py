"""Alpha-rank: which profiles of a finite game an evolutionary process spends its time in (Omidshafiei et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.linalg import solve_triangular
from scipy.sparse.csgraph import connected_components

from arena.solvers.finite.matrix_game import MatrixGame, role_mixtures


@dataclass(frozen=True)
class AlphaRank:
    """Long-run mass of each profile: `profiles [s_1, ..., s_N]`, per role `mixtures`, number of sink components."""

    profiles: np.ndarray
    mixtures: dict[str, np.ndarray]
    sinks: int


def alpha_rank(game: MatrixGame, alpha: float = math.inf, population: int = 50) -> AlphaRank:
    """Alpha-rank of the profiles: stationary mass of the mutation-fixation chain (Omidshafiei et al. 2019).

    From a profile one seat switches to another of its strategies at rate
    rho(d) = (1 - e^{-alpha d}) / (1 - e^{-alpha d population}), 1/population at d = 0, d the seat's own gain
    (alpha in 1/pay-off unit); the limit alpha -> inf is 1 for d > 0, 1/population for d = 0 and 0 for d < 0.
    Rates are formed without overflow, and the stationary distribution is found by elimination without subtractions
    (Grassmann, Taksar & Heyman 1985), so that nearly decomposable chains lose no digits.
    Mass lies on the sink components of the graph of positive rates. With one sink the answer is unique. With several
    (the usual case at alpha = inf; at finite alpha only when rates underflow) each sink weighs the chance of ending
    in it from a uniform start, our convention. 50 x 50 (2 500 profiles) takes less than a second.
    Raises ValueError unless alpha > 0 and population >= 2.
    """
    if not alpha > 0 or population < 2:
        raise ValueError(f"alpha {alpha}, population {population}; allowed: alpha > 0 (inf included), population >= 2")
    rates = _switching_rates(game, alpha, population)
    count, label = connected_components(rates, directed=True, connection="strong")
    edges = rates.tocoo()
    leaving = np.zeros(count, dtype=bool)
    leaving[label[edges.row[label[edges.row] != label[edges.col]]]] = True
    sinks = np.flatnonzero(~leaving)
    weights = _absorption(rates, label, sinks) if len(sinks) > 1 else np.ones(1)
    mass = np.zeros(rates.shape[0])
    for sink, weight in zip(sinks, weights, strict=True):
        states = np.flatnonzero(label == sink)
        mass[states] = weight * _stationary(rates[states][:, states].toarray())
    joint = mass.reshape(game.shape)
    return AlphaRank(joint, role_mixtures(game, joint), len(sinks))


def _switching_rates(game: MatrixGame, alpha: float, population: int) -> sparse.csr_array:
    """Positive rates [P, P] of one seat switching its strategy; P sum (s_i - 1) entries at most."""
    index = np.arange(int(np.prod(game.shape))).reshape(game.shape)
    sources, targets, values = [], [], []
    for seat, size in enumerate(game.shape):
        own = np.moveaxis(game.payoffs[seat], seat, 0).reshape(size, -1)
        lines = np.moveaxis(index, seat, 0).reshape(size, -1)
        with np.errstate(under="ignore"):
            rho = _fixation(own[None] - own[:, None], alpha, population)  # [from, to, others]
        rho[np.arange(size), np.arange(size)] = 0
        positive = np.nonzero(rho)
        sources.append(lines[positive[0], positive[2]])
        targets.append(lines[positive[1], positive[2]])
        values.append(rho[positive])
    place = (np.concatenate(sources), np.concatenate(targets))
    return sparse.csr_array((np.concatenate(values), place), shape=(index.size, index.size))


def _fixation(gain: np.ndarray, alpha: float, population: int) -> np.ndarray:
    """Chance that one mutant with this advantage takes over a population (Fermi's process), any alpha in (0, inf]."""
    if math.isinf(alpha):
        return np.where(gain > 0, 1.0, np.where(gain < 0, 0.0, 1 / population))
    x = np.minimum(alpha * np.abs(gain), 1e300 / population)
    tiny = x * population < 1e-8  # (1-e^-x)/(1-e^-mx) = (1/m)(1 + (m-1)x/2 + ...)
    safe = np.where(tiny, 1.0, x)
    up = np.where(tiny, 1 / population, np.expm1(-safe) / np.expm1(-population * safe))
    return np.where(gain >= 0, up, up * np.exp(-(population - 1) * x))


def _absorption(rates: sparse.csr_array, label: np.ndarray, sinks: np.ndarray) -> np.ndarray:
    """Chance of ending in each sink from a uniform start, [sinks].

    The chain that restarts uniformly at rate one from every sink (each lumped into one state) spends in each sink a
    share of time proportional to its entries, so the same subtraction-free elimination applies.
    """
    transient = np.flatnonzero(~np.isin(label, sinks))
    members = [np.flatnonzero(label == sink) for sink in sinks]
    k, out = len(sinks), rates[transient]
    lumped = np.empty((k + len(transient), k + len(transient)))
    lumped[:k] = np.array([len(m) for m in members] + [1] * len(transient)) / len(label)
    lumped[k:, k:] = out[:, transient].toarray()
    for column, states in enumerate(members):
        lumped[k:, column] = out[:, states].sum(axis=1)
    share = _stationary(lumped)[:k]
    return share / share.sum()


def _stationary(rates: np.ndarray, block: int = 128) -> np.ndarray:
    """Stationary distribution of an irreducible chain from its off-diagonal rates [n, n] (diagonal ignored).

    State k is removed by a_ij += a_ik a_kj / sum_{j<k} a_kj, k = n-1 ... 1; only sums and products of non-negative
    numbers occur, hence no cancellation. Blocks of states are removed together: the recursion runs on a small square
    plus one column of row sums, and triangular solves and one matrix product carry it to the rest.
    """
    a = np.array(rates, dtype=float)
    n = len(a)
    for high in range(n, 1, -block):
        low = max(high - block, 1)
        inner = np.column_stack([a[low:high, :low].sum(axis=1), a[low:high, low:high]])
        size = high - low
        leave = np.empty(size)
        for k in range(size - 1, -1, -1):
            # A sum that underflowed to zero marks a state that is never left: give it all the mass it can hold.
            leave[k] = max(inner[k, : k + 1].sum(), 1e-300)
            inner[:k, : k + 1] += (inner[:k, k + 1] / leave[k])[:, None] * inner[k, : k + 1]
        square = inner[:, 1:]
        rows_out = np.eye(size) - np.triu(square, 1) / leave
        a[low:high, :low] = solve_triangular(rows_out, a[low:high, :low], unit_diagonal=True)
        columns_in = np.diag(leave) - np.tril(square, -1)
        a[:low, low:high] = solve_triangular(columns_in, a[:low, low:high].T, trans="T", lower=True).T
        a[low:high, low:high] = np.triu(square / leave, 1)
        a[:low, :low] += a[:low, low:high] @ a[low:high, :low]
    mass = np.zeros(n)
    mass[0] = 1.0
    for k in range(1, n):
        mass[k] = mass[:k] @ a[:k, k]
        if mass[k] > 1e100:
            mass[: k + 1] /= mass[k]
    return mass / mass.sum()
