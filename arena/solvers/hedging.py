"""The optimal band for one option hedged in discrete time at a proportional cost, by dynamic programming.

A holder of q options of price P(k, S, y) trades to h shares at the spot S, at a fee f = c S |h - h-|, then spot and
volatility move. With g = q dP + h dS and the penalty kappa/2 (g - f)^2 on each change of wealth,

    V_k(S, y, h-) = max_h  A_k(h) - f - kappa/2 f^2 + kappa f E[g],    A_k(h) = E[g - kappa/2 g^2 + V_{k+1}(S', y', h)]
    V_N(S, y, h)  = -a - kappa/2 a^2,   a = c S |h| where shares are sold at the end, else 0

The optimum holds inside a band and trades to its edge outside (Davis, Panas & Zariphopoulou 1993). Backwards over a
grid of ln S, ln sigma and h; V linear between the nodes of ln S and h, expectations of it exact, those of prices by
Gauss-Hermite quadrature. Where volatility is not random the grid has one node in ln sigma.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import ndtr

from arena.layout import Array

Mark = Callable[[int, Array, Array], Array]
"""mark(k, spot, y): the price at instant k, arrays of one shape; a payoff at expiry, 0 afterwards."""
Edges = Callable[[int, Array, Array, Array], tuple[Array, Array]]
"""edges(k, spot, y, h): lower and upper edge of a band, arrays of the shape of the four broadcast."""
Expectation = Callable[[int, Array], Array]


class Problem(NamedTuple):
    """One contract to be hedged: currency, shares, steps; y is ln(annual volatility).

    `deviation` [steps] is that of ln S in each step where volatility is not random; else `volatility` has mean,
    persistence, shock, correlation and initial deviation of y per step, and `root` the square root of a step in years.
    `mark` as above; `life` the steps to expiry; `holdings` the range of h.
    """

    spot: float
    steps: int
    quantity: float
    life: int
    cost: float
    aversion: float
    unwind: bool
    mark: Mark
    deviation: Array
    volatility: Sequence[float] | None
    root: float
    holdings: tuple[float, float]


class Grid(NamedTuple):
    """Nodes: ln S [X], y [Y] (one where it is not random), h [H]; and of the quadrature, (z, z') [Q] with weights."""

    x: Array
    y: Array
    h: Array
    z: Array
    other: Array
    weight: Array


class Bands(NamedTuple):
    """The optimum: its value at the start, and the band's edges at each decision, [steps, X, Y]."""

    value: float
    low: Array
    high: Array
    grid: Grid


def grid_of(problem: Problem, nodes: tuple[int, int, int] | None = None) -> Grid:
    """The default grid: 301 x 201 nodes of ln S and h; with random volatility 141 x 17 x 91 of ln S, y and h."""
    vol = problem.volatility
    if vol is None:
        count = nodes or (301, 1, 201)
        spread = 5.5 * np.sqrt(float(np.sum(problem.deviation**2)))
        z, weight = _normal(21)
        y, other = np.zeros(1), np.zeros(21)
    else:
        count = nodes or (141, 17, 91)
        mean, persistence, shock = vol[:3]
        long_run = shock / np.sqrt(1.0 - persistence**2)
        y = np.linspace(mean - 3.5 * long_run, mean + 3.5 * long_run, count[1])
        spread = 4.5 * np.exp(mean + 0.5 * long_run) * problem.root * np.sqrt(problem.steps)
        (first, a), (second, b) = _normal(9), _normal(5)
        z, other = (part.ravel() for part in np.meshgrid(first, second, indexing="ij"))
        weight = np.outer(a, b).ravel()
    x = np.log(problem.spot) + np.linspace(-1.0, 1.0, count[0]) * max(spread, 1e-6)
    return Grid(x, y, np.linspace(*problem.holdings, count[2]), z, other, weight)


def _normal(points: int) -> tuple[Array, Array]:
    """Nodes and weights of the expectation over a standard normal."""
    z, weight = np.polynomial.hermite_e.hermegauss(points)
    return z, weight / weight.sum()


def solve(problem: Problem, grid: Grid | None = None) -> Bands:
    """The optimal band and its value; about two seconds on the default grid."""
    grid = grid or grid_of(problem)
    shape = (problem.steps, len(grid.x), len(grid.y))
    low, high = np.empty(shape), np.empty(shape)
    value, mean_of = _end(problem, grid), _mean_of(problem, grid)
    for k in reversed(range(problem.steps)):
        ahead, moments = mean_of(k, value), _moments(problem, grid, k)
        fee = problem.cost * np.exp(grid.x)
        value = _improve(ahead, moments, fee, problem.quantity, problem.aversion, grid.h, low[k], high[k])
    return Bands(_at_start(problem, grid, value), low, high, grid)


def evaluate(problem: Problem, edges: Edges, grid: Grid | None = None) -> float:
    """The value at the start of another band, by the same quadrature on the same grid."""
    grid = grid or grid_of(problem)
    spot, y = np.exp(grid.x)[:, None, None], grid.y[None, :, None]
    value, mean_of = _end(problem, grid), _mean_of(problem, grid)
    for k in reversed(range(problem.steps)):
        ahead, moments = mean_of(k, value), _moments(problem, grid, k)
        low, high = (np.broadcast_to(edge, ahead.shape) for edge in edges(k, spot, y, grid.h[None, None, :]))
        target = np.clip(np.minimum(np.maximum(grid.h, low), high), grid.h[0], grid.h[-1])
        value = _follow(ahead, moments, problem, grid, target)
    return _at_start(problem, grid, value)


def _end(problem: Problem, grid: Grid) -> Array:
    """V_N [X, Y, H]."""
    paid = problem.cost * np.exp(grid.x)[:, None, None] * np.abs(grid.h) * problem.unwind
    return np.ascontiguousarray(np.broadcast_to(-paid - 0.5 * problem.aversion * paid**2, (*_size(grid), len(grid.h))))


def _size(grid: Grid) -> tuple[int, int]:
    return len(grid.x), len(grid.y)


def _mean_of(problem: Problem, grid: Grid) -> Expectation:
    """E[V_{k+1}] [X, Y, H] as a function of k and V_{k+1}, which is linear between nodes of x, cubic in y, flat beyond.

    Given the volatility's shock ln S moves normally, and the expectation of what is linear between nodes is exact.
    V has a kink where the shares held are those that are wanted: 21 nodes of quadrature are wrong by 4 % of E|z| there.
    """
    if problem.volatility is None:
        moves = {sd: _transition(grid.x, -0.5 * sd**2, sd) for sd in set(problem.deviation.tolist())}
        return lambda k, value: (moves[float(problem.deviation[k])] @ value[:, 0])[:, None]
    mean, persistence, shock, rho, _ = problem.volatility
    shocks, weight = _normal(7)
    share = _cubic(grid.y, mean + persistence * (grid.y[:, None] - mean) + shock * shocks)  # [Y, Q, Y]
    given = [
        np.hstack([w * _transition(grid.x, sd * rho * u - 0.5 * sd**2, sd * np.sqrt(1.0 - rho**2))
                   for u, w in zip(shocks, weight, strict=True)])
        for sd in np.exp(grid.y) * problem.root
    ]  # fmt: skip

    def expect(k: int, value: Array) -> Array:
        by_volatility = np.ascontiguousarray(value.swapaxes(0, 1)).reshape(len(grid.y), -1)
        after = [(part @ by_volatility).reshape(-1, len(grid.h)) for part in share]  # each [Q X, H]
        return np.stack([move @ part for move, part in zip(given, after, strict=True)], axis=1)

    return expect


def _transition(x: Array, drift: float, sd: float) -> Array:
    """Matrix [X, X] of expectations after a normal move, of what is linear between equally spaced nodes, flat beyond.

    A hat function is a second difference of (u - a)^+, u the move in steps of the nodes, whose expectation is known.
    """
    step, nodes = x[1] - x[0], len(x)
    mean, spread = drift / step, max(sd / step, 1e-9)
    reach = int(np.ceil(abs(mean) + 9.0 * spread)) + 1
    away = mean - np.arange(-reach - 1, reach + 2)
    calls = spread * np.exp(-0.5 * (away / spread) ** 2) / np.sqrt(2.0 * np.pi) + away * ndtr(away / spread)
    out = np.zeros((nodes, nodes))
    rows = np.arange(nodes)[:, None]
    np.add.at(out, (rows, np.clip(rows + np.arange(-reach, reach + 1), 0, nodes - 1)), np.diff(calls, 2))
    return out


def _cubic(nodes: Array, at: Array) -> Array:
    """Weights [.., Y] of the cubic through the four nodes around each point, flat beyond the nodes.

    Linear in y would cost 2 % of the value on 17 nodes: V is curved there.
    """
    place = np.clip((at - nodes[0]) / (nodes[1] - nodes[0]), 0.0, len(nodes) - 1.0)
    first = np.clip(place.astype(int) - 1, 0, len(nodes) - 4)
    v, out = place - first, np.zeros((*at.shape, len(nodes)))
    parts = (-(v - 1) * (v - 2) * (v - 3) / 6, v * (v - 2) * (v - 3) / 2, -v * (v - 1) * (v - 3) / 2,
             v * (v - 1) * (v - 2) / 6)  # fmt: skip
    for d, part in enumerate(parts):
        np.put_along_axis(out, (first + d)[..., None], part[..., None], -1)
    return out


def _moments(problem: Problem, grid: Grid, k: int) -> Array:
    """E of dP, dS, dP^2, dP dS, dS^2 over a step [X, Y, 5], by quadrature: they are smooth."""
    x, y, z = grid.x[:, None, None], grid.y[None, :, None], grid.z[None, None, :]
    if problem.volatility is None:
        sd, after = np.full((1, 1, 1), problem.deviation[k]), y
    else:
        mean, persistence, shock, rho, _ = problem.volatility
        sd = np.exp(y) * problem.root
        after = mean + persistence * (y - mean) + shock * (rho * z + np.sqrt(1.0 - rho**2) * grid.other)
    moved = x + sd * z - 0.5 * sd**2
    moved, after = (np.broadcast_to(one, (*_size(grid), len(grid.z))) for one in (moved, after))
    now, then = np.exp(grid.x)[:, None] + 0.0 * grid.y, np.exp(moved)
    d_spot = then - now[..., None]
    d_price = np.zeros_like(d_spot)
    if k < problem.life:
        here = problem.mark(k, now, np.broadcast_to(grid.y, now.shape))
        d_price = problem.mark(k + 1, then, after) - here[..., None]
    powers = (d_price, d_spot, d_price**2, d_price * d_spot, d_spot**2)
    return np.stack([part @ grid.weight for part in powers], axis=-1)


@njit(cache=True, error_model="numpy")
def _improve(ahead, moments, fee, quantity, aversion, h, low, high):
    """V_k [X, Y, H] by the best target for every holding; writes the edges low, high [X, Y].

    ahead [X, Y, H] is E[V_{k+1}]; moments [X, Y, 5] as in `_expect`; fee [X] per share; h [H].
    """
    xs, ys, hs = ahead.shape
    out = np.empty_like(ahead)
    keep, mean = np.empty(hs), np.empty(hs)
    step = h[1] - h[0]
    for i in range(xs):
        for j in range(ys):
            first, spot, square, cross, curve = moments[i, j]
            for m in range(hs):
                mean[m] = quantity * first + h[m] * spot
                risk = quantity * quantity * square + 2.0 * quantity * h[m] * cross + h[m] * h[m] * curve
                keep[m] = mean[m] - 0.5 * aversion * risk + ahead[i, j, m]
            for n in range(hs):
                best = -np.inf
                for m in range(hs):
                    f = fee[i] * abs(h[m] - h[n])
                    best = max(best, keep[m] - f - 0.5 * aversion * f * f + aversion * f * mean[m])
                out[i, j, n] = best
            for edge in range(2):
                n = 0 if edge == 0 else hs - 1
                best, at = -np.inf, 0
                for m in range(hs):
                    f = fee[i] * abs(h[m] - h[n])
                    gain = keep[m] - f - 0.5 * aversion * f * f + aversion * f * mean[m]
                    if gain > best:
                        best, at = gain, m
                where = h[at]
                if 0 < at < hs - 1:  # the top of the parabola through three nodes
                    a, b = 0.0, 0.0
                    for side in (-1, 1):
                        m = at + side
                        f = fee[i] * abs(h[m] - h[n])
                        gain = keep[m] - f - 0.5 * aversion * f * f + aversion * f * mean[m] - best
                        a += gain
                        b += side * gain
                    if a < 0.0:
                        where -= step * b / (2.0 * a)
                if edge == 0:
                    low[i, j] = where
                else:
                    high[i, j] = max(where, low[i, j])
    return out


def _follow(ahead: Array, moments: Array, problem: Problem, grid: Grid, target: Array) -> Array:
    """V_k [X, Y, H] where every holding trades to its target [X, Y, H]; E[V_{k+1}] is linear between the nodes."""
    h, q = grid.h, problem.quantity
    place = (target - h[0]) / (h[1] - h[0])
    index = np.clip(place.astype(int), 0, len(h) - 2)
    share = place - index
    later = (1 - share) * np.take_along_axis(ahead, index, 2) + share * np.take_along_axis(ahead, index + 1, 2)
    first, spot, square, cross, curve = (moments[..., i, None] for i in range(5))
    mean = q * first + target * spot
    risk = q * q * square + 2.0 * q * target * cross + target**2 * curve
    fee = problem.cost * np.exp(grid.x)[:, None, None] * np.abs(target - h)
    kappa = problem.aversion
    return np.asarray(mean - 0.5 * kappa * risk + later - fee - 0.5 * kappa * fee**2 + kappa * fee * mean)


def _at_start(problem: Problem, grid: Grid, value: Array) -> float:
    """The value of no shares at the first spot, mean over the first volatility."""
    x = np.log(problem.spot)
    at_spot = np.array([[np.interp(x, grid.x, one) for one in side.T] for side in value.swapaxes(0, 1)])
    by_volatility = np.array([np.interp(0.0, grid.h, one) for one in at_spot])
    if problem.volatility is None:
        return float(by_volatility[0])
    z, weight = _normal(15)
    return float(weight @ np.interp(problem.volatility[0] + problem.volatility[4] * z, grid.y, by_volatility))


def edges_of(bands: Bands) -> Edges:
    """The optimal band as a function, bilinear between the nodes of its grid."""
    grid = bands.grid

    def edges(k: int, spot: Array, y: Array, h: Array) -> tuple[Array, Array]:
        return tuple(between(grid, table[k], np.log(spot), y) for table in (bands.low, bands.high))  # type: ignore

    return edges


def between(grid: Grid, table: Array, x: Array, y: Array) -> Array:
    """A table [X, Y] at points (x, y), bilinear, constant beyond the nodes."""
    u = np.clip((x - grid.x[0]) / (grid.x[1] - grid.x[0]), 0.0, len(grid.x) - 1.000001)
    i = u.astype(int)
    u = u - i
    if len(grid.y) == 1:
        return np.asarray((1 - u) * table[i, 0] + u * table[i + 1, 0] + 0.0 * y)
    v = np.clip((y - grid.y[0]) / (grid.y[1] - grid.y[0]), 0.0, len(grid.y) - 1.000001)
    j = v.astype(int)
    v = v - j
    lower = (1 - u) * table[i, j] + u * table[i + 1, j]
    return np.asarray((1 - v) * lower + v * ((1 - u) * table[i, j + 1] + u * table[i + 1, j + 1]))
