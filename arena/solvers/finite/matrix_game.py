"""Finite games given by their pay-offs: equilibria by linear and quadratic programmes, and NashConv.

One game, one shape: `payoffs [N, s_1, ..., s_N]` holds what each of N seats earns when seat i plays its strategy a_i.
Seats that carry the same role name choose from the same list of members and are exchangeable. The games measured here
are general-sum; every answer says which game it solves:

* CE and CCE are equilibria of the game itself, for any number of seats;
* `zero_sum_nash` answers the zero-sum *view* of two seats (who earns more than whom), which is another question;
* `alpha_rank` (its own module) ranks profiles by an evolutionary process, not by a fixed point of best responses.

A *joint* distribution is `[s_1, ..., s_N]`; a *mixture* is one vector per seat (or one per role name).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
import scipy.sparse as sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import linprog

Mixtures = Sequence[np.ndarray] | Mapping[str, np.ndarray]


@dataclass(frozen=True)
class MatrixGame:
    """A finite N-seat general-sum game: `payoffs [N, s_1, ..., s_N]` and the role name of each seat.

    Raises ValueError when the shapes disagree, a pay-off is not finite, or seats of one role differ in size.
    """

    payoffs: np.ndarray
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.payoffs.shape
        seats = len(self.roles)
        if seats == 0 or len(shape) != seats + 1 or shape[0] != seats or 0 in shape:
            raise ValueError(
                f"pay-offs of shape {shape} do not fit {seats} seats; allowed: [seats, s_1, ..., s_N], no empty axis"
            )
        if not np.all(np.isfinite(self.payoffs)):
            raise ValueError("pay-offs contain NaN or infinity; every profile must have been measured")
        for role in dict.fromkeys(self.roles):
            sizes = {shape[i + 1] for i in self.seats_of(role)}
            if len(sizes) > 1:
                raise ValueError(f"seats of role '{role}' have {sorted(sizes)} strategies; they must share one list")

    @property
    def shape(self) -> tuple[int, ...]:
        """Strategies per seat, (s_1, ..., s_N)."""
        return self.payoffs.shape[1:]

    def seats_of(self, role: str) -> list[int]:
        """Seats that carry this role name, in order."""
        return [i for i, name in enumerate(self.roles) if name == role]

    def symmetrised(self) -> MatrixGame:
        """The game averaged over all relabellings of the seats of each role (removes measurement noise).

        u_i(a) <- mean over permutations g of u_{g(i)}(a with its entries moved by g). An exactly exchangeable game
        is unchanged.
        """
        names = list(dict.fromkeys(self.roles))
        per_role = [itertools.permutations(self.seats_of(role)) for role in names]
        total, count = np.zeros_like(self.payoffs, dtype=float), 0
        for moves in itertools.product(*per_role):
            image = np.empty(len(self.roles), dtype=int)
            for role, moved in zip(names, moves, strict=True):
                image[self.seats_of(role)] = moved
            # Axis i of the transposed tensor is axis image[i] of the original: a_i moves to seat image[i].
            total += np.transpose(self.payoffs[image], (0, *(image + 1)))
            count += 1
        return MatrixGame(total / count, self.roles)


@dataclass(frozen=True)
class CorrelatedEquilibrium:
    """A joint distribution nobody wants to leave, its pay-offs and what deviating would give."""

    concept: Literal["ce", "cce"]
    selection: Literal["gini", "welfare"]
    joint: np.ndarray  # [s_1, ..., s_N]
    payoffs: np.ndarray  # [N] expected pay-off per seat
    gains: np.ndarray  # [N] best deviation gain per seat, <= tolerance
    mixtures: dict[str, np.ndarray]  # role -> [s], marginal over members averaged over the role's seats


@dataclass(frozen=True)
class ZeroSumNash:
    """Minimax strategies of a zero-sum matrix: `row [m]` maximises, `column [n]` minimises, `value` goes to the row."""

    row: np.ndarray
    column: np.ndarray
    value: float


# --- mixtures and deviation gains -------------------------------------------------------------------------------------


def seat_mixtures(game: MatrixGame, mixtures: Mixtures) -> list[np.ndarray]:
    """One checked probability vector per seat, from one per seat or one per role name.

    Raises ValueError when a vector has the wrong length, a negative entry or does not sum to one (1e-9).
    """
    if isinstance(mixtures, Mapping):
        missing = [role for role in dict.fromkeys(game.roles) if role not in mixtures]
        if missing:
            raise ValueError(f"no mixture for role {missing}; given: {sorted(mixtures)}")
        vectors = [np.asarray(mixtures[role], dtype=float) for role in game.roles]
    else:
        vectors = [np.asarray(x, dtype=float) for x in mixtures]
    if len(vectors) != len(game.roles):
        raise ValueError(f"{len(vectors)} mixtures for {len(game.roles)} seats; one per seat or one per role")
    for seat, (vector, size) in enumerate(zip(vectors, game.shape, strict=True)):
        if vector.shape != (size,) or np.any(vector < -1e-12) or not abs(vector.sum() - 1) < 1e-9:
            raise ValueError(f"mixture of seat {seat} must be {size} non-negative numbers with sum 1, found {vector}")
    return vectors


def product(mixtures: Sequence[np.ndarray]) -> np.ndarray:
    """Joint distribution of independent mixtures, one vector per seat -> [s_1, ..., s_N]."""
    return reduce(np.multiply.outer, mixtures)


def role_mixtures(game: MatrixGame, joint: np.ndarray) -> dict[str, np.ndarray]:
    """Mixture over members per role: the seats' marginals of a joint distribution, averaged over the role's seats."""
    marginals = [joint.sum(axis=tuple(j for j in range(joint.ndim) if j != i)) for i in range(joint.ndim)]
    return {role: np.mean([marginals[i] for i in game.seats_of(role)], axis=0) for role in dict.fromkeys(game.roles)}


def expected_payoffs(game: MatrixGame, joint: np.ndarray) -> np.ndarray:
    """Expected pay-off of every seat under a joint distribution, [N]."""
    return game.payoffs.reshape(len(game.roles), -1) @ joint.ravel()


def coarse_gains(game: MatrixGame, joint: np.ndarray) -> np.ndarray:
    """Gain of each seat's best fixed deviation decided before the draw: max_b E[u_i(b, s_-i)] - E[u_i(s)], [N]."""
    gains = np.empty(len(game.roles))
    for seat, current in enumerate(expected_payoffs(game, joint)):
        own_last = np.moveaxis(game.payoffs[seat], seat, -1)
        gains[seat] = np.max(np.tensordot(joint.sum(axis=seat), own_last, axes=len(game.roles) - 1)) - current
    return gains


def swap_gains(game: MatrixGame, joint: np.ndarray) -> np.ndarray:
    """Gain of each seat's best deviation after it is told its draw, [N].

    sum_a max_b sum_{s: s_i=a} mu(s) (u_i(b, s_-i) - u_i(s)).
    """
    gains = np.empty(len(game.roles))
    for seat, size in enumerate(game.shape):
        own = np.moveaxis(game.payoffs[seat], seat, 0).reshape(size, -1)
        table = np.moveaxis(joint, seat, 0).reshape(size, -1) @ own.T  # [told a, plays b]
        gains[seat] = np.sum(table.max(axis=1) - np.diagonal(table))
    return gains


def best_response_gains(game: MatrixGame, mixtures: Mixtures) -> np.ndarray:
    """Gain of each seat's best response to independent mixtures, [N], in pay-off units; >= 0 up to rounding."""
    return coarse_gains(game, product(seat_mixtures(game, mixtures)))


def nash_conv(game: MatrixGame, mixtures: Mixtures) -> float:
    """NashConv: the sum over seats of the gain of a best response among the game's own strategies."""
    return float(best_response_gains(game, mixtures).sum())


# --- equilibria by programme ------------------------------------------------------------------------------------------


def zero_sum_view(game: MatrixGame, row: int, column: int, others: Mixtures | None = None) -> np.ndarray:
    """The zero-sum view of two seats, (u_row - u_column)/2 as a matrix [s_row, s_column].

    All other seats play `others` (uniform when None). It equals u_row when the two seats' pay-offs already sum to
    zero; in a general-sum game it answers who earns more than whom, not who should play what.
    Raises ValueError unless `row` and `column` are two different seats.
    """
    seats = range(len(game.roles))
    if row == column or row not in seats or column not in seats:
        raise ValueError(f"seats {row} and {column}; allowed: two different seats of 0..{len(game.roles) - 1}")
    vectors = seat_mixtures(game, others if others is not None else [np.full(s, 1 / s) for s in game.shape])
    view = (game.payoffs[row] - game.payoffs[column]) / 2
    for seat in reversed(seats):
        if seat not in (row, column):
            view = np.tensordot(view, vectors[seat], axes=(seat, 0))
    return view if row < column else view.T


def zero_sum_nash(matrix: np.ndarray) -> ZeroSumNash:
    """Minimax pair of a zero-sum matrix [m, n] by one linear programme and its dual.

    max v s.t. x'A >= v, x in the simplex (von Neumann 1928); the column's strategy is the dual solution.
    Raises ValueError unless the matrix is finite and not empty, RuntimeError when the programme fails.

    >>> found = zero_sum_nash(np.array([[2.0, -1.0], [-1.0, 1.0]]))
    >>> found.row.round(6), found.column.round(6), round(found.value, 6)
    (array([0.4, 0.6]), array([0.4, 0.6]), 0.2)
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.all(np.isfinite(matrix)):
        raise ValueError(f"a zero-sum game is a finite matrix [m, n], found shape {matrix.shape}")
    m, n = matrix.shape
    scale = float(np.abs(matrix).max()) or 1.0
    found = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.column_stack([-matrix.T / scale, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
    )
    if not found.success:
        raise RuntimeError(f"linear programme of the zero-sum view failed: {found.message}")
    return ZeroSumNash(_simplex(found.x[:m]), _simplex(-found.ineqlin.marginals), float(found.x[-1] * scale))


def correlated_equilibrium(
    game: MatrixGame, concept: Literal["ce", "cce"] = "cce", selection: Literal["gini", "welfare"] = "gini"
) -> CorrelatedEquilibrium:
    """A correlated (`ce`) or coarse correlated (`cce`) equilibrium of the game, made unique by a selection rule.

    CCE (Moulin & Vial 1978): E[u_i(b, s_-i)] <= E[u_i(s)] for all seats i and strategies b.
    CE (Aumann 1974): the same conditionally on each recommendation a.
    `gini` takes the equilibrium with the largest Gini impurity 1 - |mu|^2 (Marris et al. 2021): unique, spread out,
    and therefore symmetric in exchangeable seats. `welfare` maximises the sum of pay-offs by linear programme and
    breaks ties by a second one that makes the largest mass as small as possible. Cost grows with the profiles P and
    the constraints (sum s_i for CCE, sum s_i(s_i - 1) for CE): 10 x 10 x 10 takes a fraction of a second.
    Raises RuntimeError when a programme fails or a deviation gain above 1e-6 of the pay-off range would be left,
    ValueError for another selection.
    """
    seats, profiles = len(game.roles), int(np.prod(game.shape))
    flat = game.payoffs.reshape(seats, profiles).astype(float)
    span = float(np.ptp(flat, axis=1).max()) or 1.0
    rows = _incentives(game, concept) / span  # rows @ mu <= 0
    if selection == "gini":
        joint = _project_ones_on_cone(rows)
    elif selection == "welfare":
        joint = _largest_welfare(rows, flat.sum(axis=0) / span)
    else:
        raise ValueError(f"selection '{selection}'; allowed: gini, welfare")
    joint = joint.reshape(game.shape)
    gains = (coarse_gains if concept == "cce" else swap_gains)(game, joint)
    if not gains.max() <= 1e-6 * span:
        left = f"a deviation gain of {gains.max():.3g}; pay-offs range over {span:.3g}"
        raise RuntimeError(f"the search for a {concept.upper()} ended with {left}")
    return CorrelatedEquilibrium(
        concept, selection, joint, expected_payoffs(game, joint), gains, role_mixtures(game, joint)
    )


def _incentives(game: MatrixGame, concept: str) -> sparse.csr_array:
    """Rows r with r @ mu <= 0 at every equilibrium of the concept, [constraints, P]."""
    index = np.indices(game.shape).reshape(len(game.roles), -1)  # strategy of each seat in each profile
    blocks = []
    for seat, size in enumerate(game.shape):
        moved = np.empty((size, index.shape[1]))
        for b in range(size):
            deviation = index.copy()
            deviation[seat] = b
            moved[b] = game.payoffs[seat][tuple(deviation)]
        gain = moved - game.payoffs[seat].ravel()  # [b, P]
        if concept == "cce":
            blocks.append(sparse.csr_array(gain))
        elif concept == "ce":
            told = index[seat] == np.arange(size)[:, None]
            blocks += [sparse.csr_array(np.delete(gain, a, axis=0) * told[a]) for a in range(size) if size > 1]
        else:
            raise ValueError(f"concept '{concept}'; allowed: ce, cce")
    return sparse.csr_array(sparse.vstack(blocks)) if blocks else sparse.csr_array((0, index.shape[1]))


def _largest_welfare(rows: sparse.csr_array, welfare: np.ndarray) -> np.ndarray:
    """max welfare @ mu s.t. rows @ mu <= 0, mu in the simplex; among the best, the smallest largest mass."""
    constraints, profiles = rows.shape
    simplex = {"A_eq": np.ones((1, profiles)), "b_eq": [1.0]}
    best = linprog(-welfare, A_ub=rows, b_ub=np.zeros(constraints), **simplex)
    if not best.success:
        raise RuntimeError(f"linear programme of largest welfare failed: {best.message}")
    above = sparse.vstack([sparse.eye_array(profiles), sparse.csr_array(-welfare[None]), rows])  # mu - t <= 0, ...
    ceiling = np.concatenate([-np.ones(profiles), np.zeros(1 + constraints)])
    spread = linprog(
        np.append(np.zeros(profiles), 1.0),
        A_ub=sparse.hstack([above, sparse.csr_array(ceiling[:, None])]),
        b_ub=np.concatenate([np.zeros(profiles), [best.fun + 1e-9], np.zeros(constraints)]),
        A_eq=np.append(np.ones(profiles), 0.0)[None],
        b_eq=[1.0],
    )
    return _simplex(spread.x[:profiles] if spread.success else best.x)


def _project_ones_on_cone(rows: sparse.csr_array, iterations: int = 100) -> np.ndarray:
    """Smallest-norm point of {x >= 0, rows @ x <= 0, sum x = 1}.

    That set is a slice of a cone C, and among unit vectors d of C both the projection of the vector 1 on C and the
    smallest-norm point of the slice maximise 1'd; so the answer is that projection, rescaled. Its dual is
    min |x - 1|^2 / 2 s.t. x >= 0, rows @ x <= 0, by Mehrotra's predictor-corrector (1992); one small dense system
    [constraints, constraints] per iteration.
    """
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    kept = norms > 1e-14
    a = rows.toarray()[kept] / norms[kept, None]
    m, n = a.shape
    x, z, s, y = np.ones(n), np.ones(n), np.ones(m), np.ones(m)  # x z -> 0, s y -> 0 where rows @ x + s = 0
    for _ in range(iterations):
        stationarity, feasibility = x - 1 + y @ a - z, a @ x + s
        mu = (x @ z + s @ y) / (n + m)
        if max(mu, np.abs(feasibility).max(initial=0.0), np.abs(stationarity).max()) < 1e-11:
            break
        d = 1 / (1 + z / x)
        schur = (a * d) @ a.T
        schur[np.diag_indices(m)] += s / y + 1e-14 * schur.max(initial=0.0)  # keeps Cholesky alive at dependent rows
        factor = cho_factor(schur) if m else None
        xz, sy = np.zeros(n), np.zeros(m)  # targets of the products: 0 for the predictor
        for corrector in (False, True):
            right = xz / x - z - stationarity
            dy = cho_solve(factor, feasibility + a @ (d * right) + sy / y - s) if m else np.zeros(0)
            dx = d * (right - dy @ a)
            dz, ds = xz / x - z - z / x * dx, sy / y - s - s / y * dy
            reach = _step_length((x, z, s, y), (dx, dz, ds, dy))
            if not corrector:
                after = ((x + reach * dx) @ (z + reach * dz) + (s + reach * ds) @ (y + reach * dy)) / (n + m)
                centre = mu * (after / mu) ** 3
                xz, sy = centre - dx * dz, centre - ds * dy
        reach *= 0.995  # stay inside
        x, z, s, y = x + reach * dx, z + reach * dz, s + reach * ds, y + reach * dy
    return _simplex(np.where(x < 1e-9, 0, x))


def _step_length(point: tuple[np.ndarray, ...], step: tuple[np.ndarray, ...]) -> float:
    """Largest step in [0, 1] that keeps every entry non-negative."""
    limits = [float((-v[dv < 0] / dv[dv < 0]).min(initial=1.0)) for v, dv in zip(point, step, strict=True)]
    return min(limits)


def _simplex(x: np.ndarray) -> np.ndarray:
    """Clip a solver's -1e-17 and rescale to sum one."""
    x = np.maximum(x, 0)
    return x / x.sum()
