"""Forward-backward systems of inventories and marginal values, solved to ten digits by Gauss collocation with Newton's
method.

The system of every open-loop game between makers and traders is (Guo & Jin, eqs. 13-14, 18-19, 40-41 without noise)

    Q' = f(t, Y),   Q(0) = q,        Y' = 2 phi(t) Q,   Y(T) = -2 A Q(T)          (one Q and one Y per player, [p])

f may have kinks (best quotes cross, a rate meets its bound). Three Gauss stages a cell give order six at the mesh
points, which include every requested output time; cells whose defect, integrated with five Lobatto points, exceeds the
tolerance are split, so a kink ends up in a tiny cell. Each Newton step eliminates the stages cell by cell and solves
one banded system for the mesh values. When Newton fails from the given guess, the penalties are switched on gradually
(at zero penalty Y = 0 is the solution)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded

from arena.layout import Array

Drift = Callable[[Array, Array], tuple[Array, Array]]
Reward = Callable[[Array, Array, Array], Array]

_nodes3, _weights3 = np.polynomial.legendre.leggauss(3)
NODES, WEIGHTS = (_nodes3 + 1.0) / 2.0, _weights3 / 2.0
_powers = np.arange(1, 4)
_vandermonde = NODES[:, None] ** (_powers - 1)
STAGES = (NODES[:, None] ** _powers / _powers) @ np.linalg.inv(
    _vandermonde
)  # Runge-Kutta matrix of the Gauss method [3, 3]
_inner = np.sqrt(21.0) / 14.0
CHECKS = np.array(
    [1e-9, 0.5 - _inner, 0.5, 0.5 + _inner, 1.0 - 1e-9]
)  # Lobatto, so that no jump hides near a cell's ends
CHECK_WEIGHTS = np.array([1 / 20, 49 / 180, 16 / 45, 49 / 180, 1 / 20])
CHECK_STAGES = (CHECKS[:, None] ** _powers / _powers) @ np.linalg.inv(
    _vandermonde
)  # the same polynomial at the five check points [5, 3]
MOST_CELLS = 20_000


class NoEquilibrium(ValueError):
    """The system has no solution that the method could find, or its parameters are ill posed; the message says why,
    with numbers."""


@dataclass(frozen=True)
class Trajectory:
    """Solution on its mesh: `t` [n+1], `q`, `y` [n+1, p], `objective` [p] (running reward minus A Q_T^2), and how it
    was found."""

    t: Array
    q: Array
    y: Array
    objective: Array
    error: float
    newton_steps: int
    continuation_steps: int
    refinements: int

    def at(self, times: Array) -> tuple[Array, Array]:
        """Inventories and marginal values [m, p] at requested mesh points."""
        where = np.searchsorted(self.t, times)
        return self.q[where], self.y[where]


def solve_trajectory(
    drift: Drift,
    reward: Reward,
    start: Array,
    running: Callable[[Array], Array],
    terminal: Array,
    mesh: Array,
    tolerance: float = 1e-11,
) -> Trajectory:
    """Solve the forward-backward system and integrate every player's reward along it.

    drift(t [m], Y [m, p]) -> f [m, p] and df/dY [m, p, p]; reward(t, Q, Y) -> [m, p] includes the running penalty;
    start [p]; running(t) -> phi [m, p]; terminal A [p]; mesh: increasing times from 0 to T. Raises NoEquilibrium when
    Newton's method fails."""
    system = _System(drift, reward, np.asarray(start, float), running, np.asarray(terminal, float))
    z, k, steps, continuation = _solve_from_nothing(system, np.asarray(mesh, float))
    t = np.asarray(mesh, float)
    refinements = 0
    while True:
        error, gain = system.defect(t, z, k)
        scale = 1.0 + np.max(np.abs(z)) + np.max(np.abs(gain.sum(axis=0)))
        limit = tolerance * scale / 10.0
        split = error > limit
        small = np.diff(t) <= 1e-10 * (t[-1] - t[0])
        split &= ~small
        if not split.any() or float(error.sum()) <= limit:
            break
        if t.size + split.sum() > MOST_CELLS or refinements >= 60:
            raise NoEquilibrium(
                f"the solution is not resolved: {t.size - 1} cells leave a defect of {error.sum():.2e}, "
                f"{tolerance * scale:.1e} is allowed; "
                "a coefficient or a quote rule is too rough"
            )
        t, z = _split(t, z, k, split)
        try:
            z, k, more = _newton(system, t, z, 1.0)
        except NoEquilibrium as stall:
            raise NoEquilibrium(f"no equilibrium found: on a mesh of {t.size - 1} cells, {stall}") from None
        steps += more
        refinements += 1
    p = system.start.size
    objective = gain.sum(axis=0) - system.terminal * z[-1, :p] ** 2
    return Trajectory(t, z[:, :p], z[:, p:], objective, float(error.sum()), steps, continuation, refinements)


class _System:
    def __init__(
        self, drift: Drift, reward: Reward, start: Array, running: Callable[[Array], Array], terminal: Array
    ) -> None:
        self.drift, self.reward, self.start, self.running, self.terminal = drift, reward, start, running, terminal

    def slope(self, t: Array, z: Array, strength: float) -> tuple[Array, Array]:
        """Right-hand side [m, 2p] and its Jacobian [m, 2p, 2p]."""
        p = self.start.size
        f, df = self.drift(t, z[:, p:])
        penalty = 2.0 * strength * self.running(t)
        jacobian = np.zeros((t.size, 2 * p, 2 * p))
        jacobian[:, :p, p:] = df
        jacobian[:, p + np.arange(p), np.arange(p)] = penalty
        return np.concatenate([f, penalty * z[:, :p]], axis=1), jacobian

    def stage_states(self, t: Array, z: Array, k: Array, matrix: Array) -> Array:
        h = np.diff(t)
        return z[:-1, None] + h[:, None, None] * np.einsum("jl,nlc->njc", matrix, k)

    def residual(self, t: Array, z: Array, k: Array, strength: float) -> tuple[Array, Array, Array, Array]:
        """Stage defect [n,3,2p], mesh defect [n,2p], boundary defect [2p], stage Jacobians [n,3,2p,2p]."""
        p, h = self.start.size, np.diff(t)
        times = t[:-1, None] + h[:, None] * NODES
        states = self.stage_states(t, z, k, STAGES)
        slope, jacobian = self.slope(times.ravel(), states.reshape(-1, 2 * p), strength)
        stage = k - slope.reshape(k.shape)
        mesh = z[1:] - z[:-1] - h[:, None] * np.einsum("j,njc->nc", WEIGHTS, k)
        boundary = np.concatenate([z[0, :p] - self.start, z[-1, p:] + 2.0 * strength * self.terminal * z[-1, :p]])
        return stage, mesh, boundary, jacobian.reshape(h.size, 3, 2 * p, 2 * p)

    def defect(self, t: Array, z: Array, k: Array) -> tuple[Array, Array]:
        """Integral of the defect over each cell (the local error, order h^7) and each player's reward per cell [n,
        p]."""
        p, h = self.start.size, np.diff(t)
        n = h.size
        states = self.stage_states(t, z, k, STAGES).reshape(-1, 2 * p)
        times = (t[:-1, None] + h[:, None] * NODES).ravel()
        gain = h[:, None] * np.einsum(
            "j,njp->np", WEIGHTS, self.reward(times, states[:, :p], states[:, p:]).reshape(n, 3, p)
        )
        states = self.stage_states(t, z, k, CHECK_STAGES).reshape(-1, 2 * p)
        times = (t[:-1, None] + h[:, None] * CHECKS).ravel()
        finer = h[:, None] * np.einsum(
            "j,njp->np", CHECK_WEIGHTS, self.reward(times, states[:, :p], states[:, p:]).reshape(n, 5, p)
        )
        slope, _ = self.slope(times, states, 1.0)
        integral = h[:, None] * np.einsum("j,njc->nc", CHECK_WEIGHTS, slope.reshape(n, 5, 2 * p))
        step = h[:, None] * np.einsum("j,njc->nc", WEIGHTS, k)
        return np.abs(integral - step).max(axis=1) + np.abs(finer - gain).max(axis=1), gain


def _newton_step(
    system: _System, t: Array, residual: tuple[Array, Array, Array, Array], strength: float
) -> tuple[Array, Array]:
    stage, mesh, boundary, jacobian = residual
    p, h = system.start.size, np.diff(t)
    n, width = h.size, 2 * p
    matrix = -h[:, None, None, None, None] * np.einsum("jl,njcd->njcld", STAGES, jacobian)
    matrix = matrix.reshape(n, 3 * width, 3 * width)
    matrix[:, np.arange(3 * width), np.arange(3 * width)] += 1.0
    right = np.concatenate([-stage.reshape(n, 3 * width, 1), jacobian.reshape(n, 3 * width, width)], axis=2)
    solved = np.linalg.solve(matrix, right)
    known, linear = solved[:, :, 0].reshape(n, 3, width), solved[:, :, 1:].reshape(n, 3, width, width)
    across = -np.eye(width) - h[:, None, None] * np.einsum("j,njcd->ncd", WEIGHTS, linear)
    value = np.concatenate(
        [-boundary[:p], (-mesh + h[:, None] * np.einsum("j,njc->nc", WEIGHTS, known)).ravel(), -boundary[p:]]
    )
    reach = 3 * p - 1
    band = np.zeros((2 * reach + 1, (n + 1) * width))

    def put(rows: NDArray[np.intp], columns: NDArray[np.intp], values: Array) -> None:
        band[reach + rows - columns, columns] = values

    player = np.arange(p)
    put(player, player, np.ones(p))
    row = p + width * np.arange(n)[:, None, None] + np.arange(width)[None, :, None]
    column = width * np.arange(n)[:, None, None] + np.arange(width)[None, None, :]
    row, column = np.broadcast_arrays(row, column)
    put(row, column, across)
    put(
        row[:, np.arange(width), np.arange(width)],
        column[:, np.arange(width), np.arange(width)] + width,
        np.ones((n, width)),
    )
    put(p + width * n + player, width * n + p + player, np.ones(p))
    put(p + width * n + player, width * n + player, 2.0 * strength * system.terminal)
    dz = solve_banded((reach, reach), band, value, overwrite_ab=True, overwrite_b=True, check_finite=False).reshape(
        n + 1, width
    )
    return dz, known + np.einsum("njcd,nd->njc", linear, dz[:-1])


def _size(residual: tuple[Array, Array, Array, Array], h: Array) -> float:
    stage, mesh, boundary, _ = residual
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(h[:, None, None] * stage**2) + np.sum(mesh**2) + np.sum(boundary**2)
    return float(np.sqrt(total)) if np.isfinite(total) else np.inf


@np.errstate(over="ignore", invalid="ignore")
def _newton(system: _System, t: Array, z: Array, strength: float, most: int = 40) -> tuple[Array, Array, int]:
    """Damped Newton from mesh values; raises NoEquilibrium when it stalls."""
    h = np.diff(t)
    middle = (z[:-1] + z[1:]) / 2.0
    slope, _ = system.slope((t[:-1] + t[1:]) / 2.0, middle, strength)
    k = np.repeat(slope[:, None], 3, axis=1)
    residual = system.residual(t, z, k, strength)
    size = _size(residual, h)
    for step in range(1, most + 1):
        if not np.isfinite(size):
            raise NoEquilibrium(
                "the flow overflows: quotes are so far apart that an exponential share is beyond floating point"
            )
        try:
            dz, dk = _newton_step(system, t, residual, strength)
        except np.linalg.LinAlgError as error:
            raise NoEquilibrium("the linearised system is singular (a conjugate point inside the horizon)") from error
        length = 1.0
        while True:
            trial = system.residual(t, z + length * dz, k + length * dk, strength)
            trial_size = _size(trial, h)
            if (
                trial_size <= (1.0 - 0.25 * length) * size
                or length < 1e-3
                or trial_size < 1e-12 * (1.0 + np.abs(z).max())
            ):
                break
            length /= 2.0
        z, k, residual, size = z + length * dz, k + length * dk, trial, trial_size
        moved = np.max(np.abs(dz)) / (1.0 + np.max(np.abs(z)))
        if length == 1.0 and (moved < 1e-9 or size < 1e-13 * (1.0 + np.abs(z).max())):
            return z, k, step
    raise NoEquilibrium(f"Newton's method stalls at a residual of {size:.2e} after {most} steps")


def _solve_from_nothing(system: _System, t: Array) -> tuple[Array, Array, int, int]:
    """First solution on the given mesh: directly if Newton manages, else by switching the penalties on gradually."""
    p = system.start.size

    def guess(strength: float) -> Array:
        q = system.start[None] * (1.0 - strength * (t[:, None] - t[0]) / (t[-1] - t[0]))
        return np.concatenate(
            [q, np.broadcast_to(-2.0 * 0.25 * strength * system.terminal * system.start, q.shape)], axis=1
        )

    try:
        z, k, steps = _newton(system, t, guess(1.0), 1.0, most=15)
        return z, k, steps, 0
    except NoEquilibrium:
        pass
    reached, stride, total, count = 0.0, 0.25, 0, 0
    z = np.concatenate([np.tile(system.start, (t.size, 1)), np.zeros((t.size, p))], axis=1)
    before: tuple[float, Array] | None = None
    reason = ""
    while reached < 1.0:
        aim = min(1.0, reached + stride)
        start = z if before is None else z + (aim - reached) / (reached - before[0]) * (z - before[1])
        try:
            found, k, steps = _newton(system, t, start, aim, most=15)
        except NoEquilibrium as error:
            reason = str(error)
            stride /= 2.0
            if stride < 1e-4:
                raise NoEquilibrium(
                    f"no equilibrium found: with the penalties at {reached:.2%} of their size the continuation stops "
                    f"({reason})"
                ) from None
            continue
        before = (reached, z) if count else None
        reached, z, total, count, stride = aim, found, total + steps, count + 1, stride * 1.5
    return z, k, total, count


def _split(t: Array, z: Array, k: Array, split: Array) -> tuple[Array, Array]:
    """Cut the marked cells into four and read the collocation polynomial at the new mesh points."""
    cuts = np.array([0.25, 0.5, 0.75])
    reading = (cuts[:, None] ** _powers / _powers) @ np.linalg.inv(_vandermonde)
    h = np.diff(t)[split]
    times = (t[:-1][split][:, None] + h[:, None] * cuts).ravel()
    values = (z[:-1][split][:, None] + h[:, None, None] * np.einsum("jl,nlc->njc", reading, k[split])).reshape(
        -1, z.shape[1]
    )
    order = np.argsort(np.concatenate([t, times]), kind="stable")
    return np.concatenate([t, times])[order], np.concatenate([z, values])[order]
