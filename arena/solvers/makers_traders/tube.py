"""Partial differential equations for values and marginal values, solved by collocation on nodes that move with a path.

Two makers and one trader hold Q = (Q1, Q2, Qe); the coordinates are c = (Q1 - Q2, Qe - Q1, Q1[, L]) with L an optional
noise factor. Fields u(t, c) with u_t + drift . grad u + diffusion : hess u / 2 + source = 0 are polynomials on a small
box around a path: tensor Chebyshev-Lobatto nodes, exact derivatives of the interpolating polynomial, and the method of
lines backward from T (no boundary condition is needed: the path's own characteristics stay inside). With equal
penalties fields are exactly quadratic in a common shift of all inventories, so three nodes do in Q1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from arena.layout import Array
from arena.solvers.collocation import NoEquilibrium

MOST_STEPS = 6_000  # evaluations of the right-hand side; smooth solutions need a few hundred


@dataclass(frozen=True)
class Box:
    """Nodes of the box in units of its radii: `nodes` [m, dims] in [-1, 1], differentiation matrices per dimension
    [dims, m, m], radii [dims]."""

    counts: tuple[int, ...]
    radius: Array
    nodes: Array
    derivative: tuple[Array, ...]

    def gradient(self, fields: Array) -> Array:
        """Derivatives [m, fields, dims] of fields [m, fields] by the coordinates c."""
        shape = (*self.counts, fields.shape[1])
        whole = fields.reshape(shape)
        parts = []
        for axis, matrix in enumerate(self.derivative):
            turned = np.tensordot(matrix, whole, axes=(1, axis))
            parts.append(np.moveaxis(turned, 0, axis).reshape(fields.shape) / self.radius[axis])
        return np.stack(parts, axis=2)

    def hessian(self, fields: Array) -> Array:
        """Second derivatives [m, fields, dims, dims]."""
        first = self.gradient(fields)
        m, count, dims = first.shape
        return self.gradient(first.reshape(m, count * dims)).reshape(m, count, dims, dims)

    def weights(self, where: Array) -> Array:
        """Interpolation weights [..., m] at points [..., dims] in units of the radii: values there are weights @
        fields."""
        result = np.ones((*where.shape[:-1], 1))
        for axis, count in enumerate(self.counts):
            result = result[..., :, None] * _lagrange(count, where[..., axis])[..., None, :]
            result = result.reshape(*where.shape[:-1], -1)
        return result


def box(counts: tuple[int, ...], radius: Array) -> Box:
    """Tensor Chebyshev-Lobatto nodes with odd counts per dimension, so that the path itself is a node."""
    axes = [_axis(count) for count in counts]
    nodes = np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")], axis=1)
    return Box(counts, np.asarray(radius, dtype=float), nodes, tuple(_differentiation(count) for count in counts))


def _axis(count: int) -> Array:
    return -np.cos(np.pi * np.arange(count) / (count - 1)) if count > 1 else np.zeros(1)


def _barycentric(count: int) -> Array:
    weight = (-1.0) ** np.arange(count)
    weight[[0, -1]] *= 0.5
    return np.asarray(weight, float)


def _differentiation(count: int) -> Array:
    if count == 1:
        return np.zeros((1, 1))
    x, w = _axis(count), _barycentric(count)
    gap = x[:, None] - x[None, :] + np.eye(count)
    matrix = w[None, :] / w[:, None] / gap
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def _lagrange(count: int, x: Array) -> Array:
    """Values [..., count] of the Lagrange polynomials at points x [...]."""
    if count == 1:
        return np.ones((*x.shape, 1))
    gap = x[..., None] - _axis(count)
    terms = _barycentric(count) / np.where(gap == 0.0, 1.0, gap)
    return np.where((gap == 0.0).any(axis=-1, keepdims=True), gap == 0.0, terms / terms.sum(axis=-1, keepdims=True))


def to_inventories(c: Array) -> Array:
    """(Q1, Q2, Qe) [..., 3] from coordinates (Q1 - Q2, Qe - Q1, Q1, ...)."""
    return np.stack([c[..., 2], c[..., 2] - c[..., 0], c[..., 2] + c[..., 1]], axis=-1)


def to_coordinates(q: Array) -> Array:
    """Coordinates (Q1 - Q2, Qe - Q1, Q1) [..., 3] from inventories; linear, so it also maps drifts."""
    return np.stack([q[..., 0] - q[..., 1], q[..., 2] - q[..., 0], q[..., 0]], axis=-1)


def by_inventories(gradient: Array) -> Array:
    """Derivatives by (Q1, Q2, Qe) [..., 3] from derivatives by the coordinates [..., dims]."""
    x2, xe, shift = gradient[..., 0], gradient[..., 1], gradient[..., 2]
    return np.stack([x2 - xe + shift, -x2, xe], axis=-1)


Curve = Callable[[float], tuple[Array, Array]]
Change = Callable[[float, Array, Array], Array]


def as_curve(t: Array, c: Array, speed: Array) -> Curve:
    """A path through given points with given velocities."""
    spline = CubicHermiteSpline(t, c, speed)
    velocity = spline.derivative()
    return lambda now: (spline(now), velocity(now))


@dataclass(frozen=True)
class Fields:
    """Fields on the moving box: `at(t)` gives node values [m, fields], `centre(t)` the path's coordinates."""

    grid: Box
    centre: Curve
    dense: Callable[[float], Array]
    count: int

    def at(self, t: float) -> Array:
        return self.dense(t).reshape(-1, self.count)

    def read(self, t: float, c: Array) -> tuple[Array, Array]:
        """Values [..., fields] and gradients [..., fields, dims] at coordinates c [..., dims] near the path.

        One point's bits do not depend on the other points: each is a product of its own, of one shape.
        """
        values = self.at(t)
        weight = self.grid.weights((c - self.centre(t)[0]) / self.grid.radius)[..., None, :]
        gradient = self.grid.gradient(values)
        slopes = weight @ gradient.reshape(len(values), -1)
        return (weight @ values)[..., 0, :], slopes.reshape(*weight.shape[:-2], *gradient.shape[1:])


def solve_fields(
    grid: Box, centre: Curve, horizon: float, end: Array, change: Change, knots: Array, tolerance: float, what: str
) -> Fields:
    """Integrate node values backward from `end` [m, fields].

    change(t, c [m, dims], values [m, fields]) -> u_t at the nodes, at fixed c; the motion of the nodes is added here.
    centre(t) gives the path and its velocity. Raises NoEquilibrium, which names the time, when the
    fields blow up."""
    count = end.shape[1]
    most = 1e4 * (1.0 + float(np.abs(end).max()))
    used = 0

    def slope(t: float, flat: Array) -> Array:
        nonlocal used
        used += 1
        if not np.abs(flat).max() < most or used > MOST_STEPS:
            raise NoEquilibrium(
                f"{what} blows up near t = {t:.4g} in a box of {grid.counts} nodes and radius {grid.radius[0]:.3g}: "
                "there is no smooth solution "
                "that polynomials of this degree follow"
            )
        values = flat.reshape(-1, count)
        where, speed = centre(t)
        c = where + grid.radius * grid.nodes
        return (change(t, c, values) + grid.gradient(values) @ speed).ravel()

    marks = np.concatenate([[horizon], knots[::-1], [0.0]])
    pieces, state = [], end.ravel()
    for late, early in pairwise(marks):
        try:
            found = solve_ivp(
                slope, (late, early), state, method="DOP853", rtol=tolerance, atol=tolerance, dense_output=True
            )
        except NoEquilibrium:
            raise
        except ValueError as error:
            raise NoEquilibrium(f"{what} breaks down between t = {early:.4g} and t = {late:.4g}: {error}") from error
        if not found.success or not np.all(np.isfinite(found.y[:, -1])):
            raise NoEquilibrium(
                f"{what} blows up near t = {found.t[-1]:.5g}; the box around the path is left or there is no smooth "
                "solution"
            )
        pieces.append(found.sol)
        state = found.y[:, -1]
    edges = marks[::-1]
    ordered = pieces[::-1]

    def dense(t: float) -> Array:
        return ordered[min(max(int(np.searchsorted(edges, t, side="right")) - 1, 0), len(ordered) - 1)](t)

    return Fields(grid, centre, dense, count)
