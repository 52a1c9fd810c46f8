"""Quotes with a formula: matrix exponential, Bessel sum, Avellaneda-Stoikov, Guéant-Lehalle-Fernandez-Tapia.

All are unclamped: a distance may be negative. Distances are arrays [..., 2] with column 0 = bid, 1 = ask. A
`variance_rate` is the variance per unit of time of what one lot in inventory gains or loses [currency^2/time]; for a
delta-hedged option it is the residual one, `vega_variance_rate`, not that of the option's price.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh_tridiagonal, expm
from scipy.special import ive

from arena.layout import Array
from arena.solvers.options.black_scholes import finite, require
from arena.solvers.options.option_model import profile
from arena.solvers.quoting.maker import Maker


def matrix_exponential(maker: Maker, time_left: ArrayLike) -> Array:
    """Value [..., 2Q+1] of the unclamped problem with k_b = k_a = k: u_q = exp(k v_q) is linear.

        du/dtau = M u,  M[q, q+1] = A_b/e,  M[q, q-1] = A_a/e,  M[q, q] = k (g q - phi/2 q^2),   v = ln(e^{tau M}
        u_T) / k

    Raises ValueError when the problem is clamped, exploratory, has a time-dependent drift or two different k, or a time
    is negative or not finite.
    """
    _at_least_zero(time_left=time_left)
    drift, k = profile(maker.drift), float(maker.decays[0])
    if maker.min_distance != -math.inf or maker.max_distance != math.inf or maker.temperature != 0:
        raise ValueError("the matrix exponential needs min_distance = -inf, max_distance = inf and temperature 0")
    if maker.decays[1] != k or len(drift.values) > 1:
        raise ValueError("the matrix exponential needs one fill decay for both sides and a constant drift")
    q = maker.inventory.astype(float)
    diagonal = k * (drift.values[0] * q - 0.5 * maker.running_penalty * q**2)
    bid, ask = maker.rates / math.e
    return _log_propagate(diagonal, bid, ask, -k * maker.terminal_cost * q**2, time_left) / k


def bessel(
    inventory: ArrayLike, time_left: float, arrival_rate: float, fill_decay: float, terminal_cost: float
) -> Array:
    """Value without an inventory bound, unclamped, equal sides:  e^{k v} = sum_j I_{|q-j|}(2 A tau / e) e^{-k c j^2}.

    Raises ValueError when a rate, decay or terminal_cost is not positive (without one v = 2 A tau / (k e), whatever q),
    or the time is negative or not finite.
    """
    _positive(arrival_rate=arrival_rate, fill_decay=fill_decay, terminal_cost=terminal_cost)
    _at_least_zero(time_left=time_left)
    q = np.asarray(inventory)
    far = math.ceil(math.sqrt(750.0 / (fill_decay * terminal_cost)))  # beyond, the weight underflows
    j = np.arange(-far, far + 1)
    z = 2.0 * arrival_rate * time_left / math.e
    total = (ive(np.abs(q[..., None] - j), z) * np.exp(-fill_decay * terminal_cost * j**2)).sum(axis=-1)
    return (np.log(total) + z) / fill_decay


def avellaneda_stoikov(
    inventory: ArrayLike, time_left: ArrayLike, fill_decay: float, risk_aversion: float, variance_rate: ArrayLike
) -> Array:
    """Distances [..., 2] of Avellaneda & Stoikov 2008 for a CARA maker: h + q gs2 tau (bid), h - q gs2 tau (ask).

        gs2 = risk_aversion * variance_rate,    h = gs2 tau / 2 + ln(1 + risk_aversion / k) / risk_aversion

    An expansion, not the optimum: far from the end its inventory slope is several times the exact one.
    inventory, time_left and variance_rate broadcast. Raises ValueError when fill_decay or risk_aversion is not
    positive, a time or variance is negative, or anything is not finite.
    """
    _positive(fill_decay=fill_decay, risk_aversion=risk_aversion)
    _at_least_zero(time_left=time_left, variance_rate=variance_rate)
    finite(inventory=inventory)
    slope = risk_aversion * np.asarray(variance_rate, dtype=np.float64) * np.asarray(time_left, dtype=np.float64)
    half, shift = 0.5 * slope + math.log1p(risk_aversion / fill_decay) / risk_aversion, slope * np.asarray(inventory)
    return np.stack(np.broadcast_arrays(half + shift, half - shift), axis=-1)


def vega_variance_rate(vega: ArrayLike, vol_of_vol: float) -> Array:
    """Variance rate (nu vega)^2 of a delta-hedged lot whose volatility moves by nu per root of time (std).

    Raises ValueError when nu is negative or anything is not finite."""
    _at_least_zero(vol_of_vol=vol_of_vol)
    finite(vega=vega)
    return np.square(vol_of_vol * np.asarray(vega, dtype=np.float64))


def glft(
    time_left: ArrayLike,
    inventory_limit: int,
    arrival_rate: float,
    fill_decay: float,
    risk_aversion: float,
    variance_rate: float,
    terminal_penalty: float = 0.0,
) -> tuple[Array, Array]:
    """Exact CARA quotes with |q| <= Q: theta [..., 2Q+1] and distances [..., 2Q+1, 2].

    Guéant, Lehalle & Fernandez-Tapia 2013:

        u = -exp(-gamma (x + q s + theta)),  v = e^{k theta},  -dv_q/dtau = alpha q^2 v_q - eta (v_{q-1} + v_{q+1})
        alpha = k gamma variance_rate / 2,  eta = A (1 + gamma/k)^{-(1 + k/gamma)},  v_q(T) = exp(-k l q^2)
        ask = ln(v_q / v_{q-1}) / k + ln(1 + gamma/k) / gamma,   bid = ln(v_q / v_{q+1}) / k + the same

    A withdrawn side has distance inf. Raises ValueError when a rate, decay or risk aversion is not positive, a time,
    variance or penalty is negative, or anything is not finite.
    """
    _positive(fill_decay=fill_decay, risk_aversion=risk_aversion, arrival_rate=arrival_rate)
    _at_least_zero(time_left=time_left, variance_rate=variance_rate, terminal_penalty=terminal_penalty)
    k, gamma = fill_decay, risk_aversion
    q = np.arange(-inventory_limit, inventory_limit + 1, dtype=np.float64)
    eta = arrival_rate * math.exp(-(1.0 + k / gamma) * math.log1p(gamma / k))
    theta = (
        _log_propagate(-0.5 * k * gamma * variance_rate * q**2, eta, eta, -k * terminal_penalty * q**2, time_left) / k
    )
    gap, base = np.diff(theta, axis=-1), math.log1p(gamma / k) / gamma
    distance = np.full((*theta.shape, 2), np.inf)
    distance[..., :-1, 0] = base - gap
    distance[..., 1:, 1] = base + gap
    return theta, distance


def glft_asymptotic(
    inventory: ArrayLike, arrival_rate: float, fill_decay: float, risk_aversion: float, variance_rate: ArrayLike
) -> Array:
    """Distances [..., 2] of `glft` far from the end and from the bound.

        bid = ln(1 + gamma/k) / gamma + (2q + 1)/2 w,   ask = ln(1 + gamma/k) / gamma - (2q - 1)/2 w
        w = sqrt( variance_rate gamma / (2 k A) (1 + gamma/k)^{1 + k/gamma} )

    Raises ValueError when a rate, decay or risk aversion is not positive, a variance is negative, or anything is not
    finite.
    """
    _positive(fill_decay=fill_decay, risk_aversion=risk_aversion, arrival_rate=arrival_rate)
    _at_least_zero(variance_rate=variance_rate)
    finite(inventory=inventory)
    k, gamma = fill_decay, risk_aversion
    growth = math.exp((1.0 + k / gamma) * math.log1p(gamma / k))
    width = np.sqrt(np.asarray(variance_rate, dtype=np.float64) * gamma / (2.0 * k * arrival_rate) * growth)
    base, q = math.log1p(gamma / k) / gamma, np.asarray(inventory, dtype=np.float64)
    return np.stack(np.broadcast_arrays(base + (q + 0.5) * width, base - (q - 0.5) * width), axis=-1)


def _log_propagate(diagonal: Array, up: float, down: float, log_terminal: Array, time_left: ArrayLike) -> Array:
    """ln(e^{tau M} e^{log_terminal}) [..., m] for tridiagonal M with constant off-diagonals up (q -> q+1) and down.

    M is shifted by its largest eigenvalue: a long horizon overflows otherwise.
    """
    m = diagonal.size
    coupling = np.full(m - 1, math.sqrt(up * down))
    top = eigh_tridiagonal(diagonal, coupling, eigvals_only=True, select="i", select_range=(m - 1, m - 1))[0]
    matrix = np.diag(diagonal - top) + np.diag(np.full(m - 1, up), 1) + np.diag(np.full(m - 1, down), -1)
    tau, largest = np.asarray(time_left, dtype=np.float64), float(log_terminal.max())
    terminal = np.exp(log_terminal - largest)
    rows = [np.log(expm(t * matrix) @ terminal) + t * top + largest for t in tau.ravel()]
    return np.stack(rows).reshape((*tau.shape, m))


def _positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive, found {value}")


def _at_least_zero(**arguments: ArrayLike) -> None:
    for name, found in zip(arguments, finite(**arguments), strict=True):
        require(found >= 0, name, found, "at least 0")
