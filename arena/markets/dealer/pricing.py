"""Prices and greeks of a market's products before anything is played, and the volatility they are marked at."""

import numpy as np

from arena.markets.dealer.settings import DealerSettings
from arena.solvers.options.black_scholes import greeks


def times(market: DealerSettings) -> np.ndarray:
    """The T + 1 instants of a game, clock units."""
    return np.linspace(0.0, market.clock.horizon, market.clock.steps + 1)


def remaining_deviation(market: DealerSettings) -> np.ndarray:
    """Standard deviation of ln S left to expiry at which each product is marked, [T+1, n] (0 for an asset)."""
    instants, out = times(market), np.zeros((market.clock.steps + 1, market.n))
    for i, product in enumerate(market.products):
        if product.expiry is None:
            continue
        if product.implied_volatility is not None:
            variance = product.implied_volatility**2 * market.clock.years * (product.expiry - instants)
        else:
            ends = np.full_like(instants, product.expiry)
            variance = market.underlying.volatility.variance(instants, ends, market.clock.years)
        out[:, i] = np.sqrt(variance)
    return out


def initial_greeks(market: DealerSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Price, delta, gamma and vega of each product at time 0 [n], and the spot's standard deviation over the game."""
    spot, years = market.underlying.spot, market.clock.years
    deviation = remaining_deviation(market)[0]
    rows = []
    for product, sd in zip(market.products, deviation, strict=True):
        if product.right == "asset":
            rows.append((spot, 1.0, 0.0, 0.0))
            continue
        assert product.expiry is not None  # checked by Product
        assert product.strike is not None
        tau = product.expiry * years
        # the kernels' floor: without any volatility an option is its intrinsic value
        g = greeks(spot, product.strike, tau, max(sd, 1e-9) / np.sqrt(tau), call=product.right == "call")
        rows.append((float(g.price), float(g.delta), float(g.gamma), float(g.vega)))
    price, delta, gamma, vega = np.array(rows, dtype=float).T
    variance = market.underlying.volatility.variance(np.zeros(1), np.full(1, market.clock.horizon), years)
    return price, delta, gamma, vega, float(spot * np.sqrt(variance[0]))
