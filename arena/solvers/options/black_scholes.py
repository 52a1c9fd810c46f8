"""European options on a lognormal underlying: price, greeks, implied volatility.

    F = S e^{(r-q) tau},  w = sigma^2 tau,  d1 = ln(F/K)/sqrt(w) + sqrt(w)/2,  d2 = d1 - sqrt(w)
    price = s e^{-r tau} [ F N(s d1) - K N(s d2) ],   s = +1 call, -1 put
                                                                        (Black & Scholes 1973; Merton 1973; Black 1976)

Greeks are raw: vega per 1.00 of volatility, theta per unit of time, nothing divided by 100 or 365. Any unit of time
may be used as long as volatility, rates and times share it. Functions on arrays broadcast; the `*_kernel` functions are
scalar and compiled, for use inside other kernels, and hold the arithmetic of both forms.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from arena.layout import Array

_ROOT_HALF = math.sqrt(0.5)
_INV_ROOT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


class Greeks(NamedTuple):
    """Price and raw sensitivities, each of the broadcast shape of the inputs.

    delta dV/dS, gamma d2V/dS2, vega dV/dsigma, theta dV/dt = -dV/dtau, rho dV/dr, dividend_rho dV/dq,
    vanna d2V/dS dsigma, volga d2V/dsigma2.
    """

    price: Array
    delta: Array
    gamma: Array
    vega: Array
    theta: Array
    rho: Array
    dividend_rho: Array
    vanna: Array
    volga: Array


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    *,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
    call: ArrayLike = True,
) -> Array:
    """Price European calls (`call` true) or puts; tau or vol may be zero (discounted intrinsic value).

    Raises ValueError naming the argument that is not finite, not positive (spot, strike) or negative (tau, vol).

    >>> price(100.0, [90.0, 100.0, 110.0], tau=0.25, vol=0.2).round(4)
    array([10.7124,  3.9878,  0.9539])
    """
    spot, strike, tau, vol, rate, dividend, sign = _checked(spot, strike, tau, vol, rate, dividend, call)
    forward = spot * np.exp((rate - dividend) * tau)
    return np.exp(-rate * tau) * _black(forward, strike, vol * vol * tau, sign)


def variance_price(forward: ArrayLike, strike: ArrayLike, variance: ArrayLike, *, call: ArrayLike = True) -> Array:
    """Undiscounted price from the forward and the total variance w = int sigma_u^2 du to expiry.

    Raises ValueError naming the argument that is not finite, not positive (forward, strike) or negative (variance).
    """
    forward, strike, variance = finite(forward=forward, strike=strike, variance=variance)
    require(forward > 0, "forward", forward, "positive")
    require(strike > 0, "strike", strike, "positive")
    require(variance >= 0, "variance", variance, "at least 0")
    forward, strike, variance, sign = np.broadcast_arrays(
        forward, strike, variance, np.where(np.asarray(call, bool), 1.0, -1.0)
    )
    return _black(forward, strike, variance, sign)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    *,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
    call: ArrayLike = True,
) -> Greeks:
    """Price and all first and second order sensitivities up to vanna and volga.

    Raises ValueError as `price` does, and where tau or vol is zero: gamma and vanna have no limit at the money there.
    """
    arguments = _checked(spot, strike, tau, vol, rate, dividend, call)
    require(arguments[2] > 0, "tau", arguments[2], "positive for greeks")
    require(arguments[3] > 0, "vol", arguments[3], "positive for greeks")
    out = np.empty((9, arguments[0].size))
    _greeks_loop(_rows(*arguments), out)
    return Greeks(*out.reshape((9, *arguments[0].shape)))


def implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    *,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
    call: ArrayLike = True,
) -> Array:
    """The volatility at which `price` is the model price, by safeguarded Newton on its logarithm out of the money.

    A price in the money is first moved out of it by put-call parity; what parity loses (1e-16 price / vega) stays lost.
    Prices outside [intrinsic, upper bound) have no volatility and give nan; a price at the intrinsic value gives 0.
    Raises ValueError naming the argument that is not finite or not positive.
    """
    spot, strike, tau, target, rate, dividend, sign = _checked(
        spot, strike, tau, price, rate, dividend, call, vol_name="price", low=-np.inf
    )
    require(tau > 0, "tau", tau, "positive for an implied volatility")
    forward = spot * np.exp((rate - dividend) * tau)
    root = np.empty(spot.size)
    _implied_loop(_rows(target * np.exp(rate * tau), forward, strike, sign), root)
    return root.reshape(spot.shape) / np.sqrt(tau)


def implied_variance(price: ArrayLike, forward: ArrayLike, strike: ArrayLike, *, call: ArrayLike = True) -> Array:
    """Total variance at which `variance_price` is the undiscounted `price` (nan and errors as in `implied_vol`)."""
    return implied_vol(price, forward, strike, 1.0, call=call) ** 2


# ----------------------------------------------------------------------------------------------------- scalar kernels


@njit(cache=True, error_model="numpy")
def normal_cdf(x: float) -> float:
    """Standard normal distribution function, full relative accuracy in the lower tail."""
    return 0.5 * math.erfc(-x * _ROOT_HALF)


@njit(cache=True, error_model="numpy")
def normal_pdf(x: float) -> float:
    """Standard normal density."""
    return _INV_ROOT_TWO_PI * math.exp(-0.5 * x * x)


@njit(cache=True, error_model="numpy")
def black_kernel(forward: float, strike: float, variance: float, sign: float) -> float:
    """Undiscounted price of one option from its total variance; sign +1 call, -1 put; intrinsic at variance 0."""
    if variance <= 0.0:
        return max(sign * (forward - strike), 0.0)
    deviation = math.sqrt(variance)
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    return sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - deviation)))


@njit(cache=True, error_model="numpy")
def price_delta_gamma_vega_kernel(
    spot: float, strike: float, vol: float, tau: float, sign: float
) -> tuple[float, float, float, float]:
    """Price, delta, gamma and vega of one option at zero rates; at tau or vol 0 the intrinsic value and slope."""
    deviation = vol * math.sqrt(tau)
    if deviation <= 0.0:
        moneyness = sign * (spot - strike)
        return max(moneyness, 0.0), sign * (1.0 if moneyness > 0.0 else 0.5 if moneyness == 0.0 else 0.0), 0.0, 0.0
    d1 = math.log(spot / strike) / deviation + 0.5 * deviation
    upper, density = normal_cdf(sign * d1), normal_pdf(d1)
    value = sign * (spot * upper - strike * normal_cdf(sign * (d1 - deviation)))
    return value, sign * upper, density / (spot * deviation), spot * density * math.sqrt(tau)


@njit(cache=True, error_model="numpy")
def greeks_kernel(
    spot: float,
    strike: float,
    tau: float,
    vol: float,
    rate: float,
    dividend: float,
    sign: float,
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """The nine fields of `Greeks` of one option, tau > 0 and vol > 0."""
    root = math.sqrt(tau)
    deviation = vol * root
    d1 = (math.log(spot / strike) + (rate - dividend) * tau) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    carry, discount = math.exp(-dividend * tau), math.exp(-rate * tau)
    asset, cash = carry * spot * normal_cdf(sign * d1), discount * strike * normal_cdf(sign * d2)
    density = carry * normal_pdf(d1)
    vega = spot * density * root
    return (
        sign * (asset - cash),
        sign * asset / spot,
        density / (spot * deviation),
        vega,
        -0.5 * vega * vol / tau + sign * (dividend * asset - rate * cash),
        sign * tau * cash,
        -sign * tau * asset,
        -density * d2 / vol,
        vega * d1 * d2 / vol,
    )


@njit(cache=True, error_model="numpy")
def implied_deviation_kernel(target: float, forward: float, strike: float, sign: float) -> float:
    """sqrt(total variance) of one option from its undiscounted price; nan outside the no-arbitrage bounds.

    ln(price) of an out-of-the-money option increases in sqrt(w): a bracket kept around the iterates makes Newton safe.
    """
    intrinsic = max(sign * (forward - strike), 0.0)
    if not (target >= intrinsic and target < (forward if sign > 0.0 else strike)):
        return math.nan
    if intrinsic > 0.0:  # put-call parity moves the price out of the money
        target, sign = target - intrinsic, -sign
    if target <= 0.0:
        return 0.0
    moneyness = abs(math.log(forward / strike))
    deviation = max(math.sqrt(2.0 * moneyness), target / (0.4 * math.sqrt(forward * strike)))
    goal, low, high = math.log(target), 0.0, math.inf
    for _ in range(100):
        value = black_kernel(forward, strike, deviation * deviation, sign)
        if value < target:
            low = deviation
        else:
            high = deviation
        step = math.inf
        if value > 0.0:
            slope = forward * normal_pdf(math.log(forward / strike) / deviation + 0.5 * deviation) / value
            step = (goal - math.log(value)) / slope if slope > 0.0 else math.inf
        following = deviation + step
        if not low < following < high:
            following = 2.0 * deviation if high == math.inf else 0.5 * (low + high)
        if abs(following - deviation) <= 4e-16 * deviation:
            return following
        deviation = following
    return deviation


@njit(cache=True, error_model="numpy")
def _black_loop(rows, out):
    for i in range(out.size):
        out[i] = black_kernel(rows[0, i], rows[1, i], rows[2, i], rows[3, i])


@njit(cache=True, error_model="numpy")
def _greeks_loop(rows, out):
    for i in range(out.shape[1]):
        nine = greeks_kernel(rows[0, i], rows[1, i], rows[2, i], rows[3, i], rows[4, i], rows[5, i], rows[6, i])
        for j in range(9):
            out[j, i] = nine[j]


@njit(cache=True, error_model="numpy")
def _implied_loop(rows, out):
    for i in range(out.size):
        out[i] = implied_deviation_kernel(rows[0, i], rows[1, i], rows[2, i], rows[3, i])


# ------------------------------------------------------------------------------------------------------------- checks


def _black(forward: Array, strike: Array, variance: Array, sign: Array) -> Array:
    out = np.empty(forward.size)
    _black_loop(_rows(forward, strike, variance, sign), out)
    return out.reshape(forward.shape)


def _rows(*arrays: Array) -> Array:
    return np.stack([array.ravel() for array in arrays])


def _checked(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    call: ArrayLike,
    vol_name: str = "vol",
    low: float = 0.0,
) -> list[Array]:
    spot, strike, tau, vol, rate, dividend = finite(
        **{"spot": spot, "strike": strike, "tau": tau, vol_name: vol, "rate": rate, "dividend": dividend}
    )
    require(spot > 0, "spot", spot, "positive")
    require(strike > 0, "strike", strike, "positive")
    require(tau >= 0, "tau", tau, "at least 0")
    require(vol >= low, vol_name, vol, "at least 0")
    return list(
        np.broadcast_arrays(spot, strike, tau, vol, rate, dividend, np.where(np.asarray(call, bool), 1.0, -1.0))
    )


def finite(**arguments: ArrayLike) -> list[Array]:
    """The arguments as arrays; raises ValueError naming one that is not finite."""
    arrays = [np.asarray(value, dtype=np.float64) for value in arguments.values()]
    for name, array in zip(arguments, arrays, strict=True):
        require(np.isfinite(array), name, array, "finite")
    return arrays


def require(fine: NDArray[np.bool_], name: str, found: Array, allowed: str) -> None:
    """Raises ValueError with the first value of `found` that is not `fine`."""
    if not np.all(fine):
        raise ValueError(f"{name} must be {allowed}, found {np.ravel(found)[~np.ravel(fine)][0]:g}")
