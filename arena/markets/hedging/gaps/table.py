"""Exact gains in hedging markets of one contract: the optimal band's value less that of the band that is played.

Any act is a table of time, spot, volatility and shares held: it is asked at every node of the grid of
`arena.solvers.hedging`, with the observation that the market itself would show, and valued by the same quadrature. What
is exact up to is the grid: the interval of a gain reaches as far as it moves on a grid of half as many nodes.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from agents.hedgers import DPHedger, position
from arena.gaps.profile import Profile, Search, SeatGain
from arena.layout import Array
from arena.markets.hedging.market import HedgingMarket
from arena.markets.hedging.problems.contract import optimum, problem
from arena.markets.hedging.volatility import deviation, random_step
from arena.markets.market import Act
from arena.solvers.hedging import Edges, Grid, edges_of, evaluate, grid_of, solve

CLOSE = 5e-3
"""The optimum counts as within the ranges of the action where playing it loses no more than this share of its value."""


def applies(market: HedgingMarket, profile: Profile) -> bool:
    """Whether there is one contract, the action reaches its optimal band, and the act ignores its noise."""
    if market.only is None or not _reached(market):
        return False
    act, size = profile.acts[market.roles[0].agents[0]], market.roles[0].action.size
    spot = market.underlying.spot * np.exp(np.linspace(-0.1, 0.1, 9))
    seen = np.concatenate([observations(market, k, spot, _mean(market) + 0.0 * spot, 0.0 * spot) for k in (0, 5)
                           if k < market.clock.steps])  # fmt: skip
    noise = np.random.Generator(np.random.Philox(0)).standard_normal((len(seen), size))
    return bool(np.array_equal(act(seen, noise), act(seen, np.zeros_like(noise))))


def gains(market: HedgingMarket, profile: Profile, search: Search) -> list[SeatGain]:
    """The gain of the one seat."""
    seat = market.roles[0].agents[0]
    gain, coarse = (gain_on(market, profile.acts[seat], half=half) for half in (False, True))
    error = abs(gain - coarse)
    gain = max(gain, 0.0)
    return [SeatGain(seat, gain, 0.0, max(gain - error, 0.0), gain + error, "exact", "hedging dp")]


def gain_on(market: HedgingMarket, act: Act, half: bool = False) -> float:
    """What the optimal band earns more than an act, both valued on the same grid; `half` takes half of the nodes."""
    grid, best = _best(market, half)
    return best - evaluate(problem(market), edges_of_act(market, act), grid)


@lru_cache(maxsize=16)
def _best(market: HedgingMarket, half: bool) -> tuple[Grid, float]:
    """A grid and the value of playing its optimal band there."""
    one = problem(market)
    bands = optimum(market)
    if half:
        full = bands.grid
        nodes = [len(part) // 2 + 1 if len(part) > 1 else 1 for part in (full.x, full.y, full.h)]
        bands = solve(one, grid_of(one, (nodes[0], nodes[1], nodes[2])))
    return bands.grid, evaluate(one, edges_of(bands), bands.grid)


@lru_cache(maxsize=16)
def _reached(market: HedgingMarket) -> bool:
    grid, best = _best(market, half=True)
    played = evaluate(problem(market), edges_of_act(market, DPHedger().sit(market, market.roles[0].agents[0])), grid)
    return best - played <= CLOSE * abs(best)


def _mean(market: HedgingMarket) -> float:
    step = random_step(market)
    return step.mean if step else 0.0


def edges_of_act(market: HedgingMarket, act: Act) -> Edges:
    """The band that an act plays, as a function of instant, spot, y and shares."""
    numbers, hedge = market.roles[0].numbers, market.hedge

    def edges(k: int, spot: Array, y: Array, h: Array) -> tuple[Array, Array]:
        if not market.observe.hedge:
            h = h[..., :1]
        spot, y, h = np.broadcast_arrays(spot, y, h)
        seen = observations(market, k, spot.ravel(), y.ravel(), h.ravel())
        wish = np.nan_to_num(np.asarray(act(seen, np.zeros((len(seen), numbers.size))), dtype=float))
        said = dict(zip(numbers.names, numbers.from_unit(np.clip(wish, -1.0, 1.0)).T, strict=True))
        middle = said.get("centre", np.full(len(seen), hedge.centre[0]))
        width = said.get("width", np.full(len(seen), hedge.width[0]))
        if hedge.around == "delta":
            middle = middle - _greeks(market, k, seen, spot.ravel(), y.ravel())["net_delta"]
        return (middle - width).reshape(spot.shape), (middle + width).reshape(spot.shape)

    return edges


def observations(market: HedgingMarket, k: int, spot: Array, y: Array, h: Array) -> np.ndarray:
    """What the hedger would see at instant k at spots, ln sigma and holdings [N]: float32 [N, D].

    For markets of one contract, without buckets' columns beyond the one that the contract is in.
    """
    layout, only, clock = market.roles[0].observation, market.only, market.clock
    assert only is not None
    left = market.steps_of(only.expiry) - k
    out = np.zeros((len(spot), layout.size))
    sd = np.maximum(deviation(market, k, max(left, 0), y), 1e-9)
    values: dict[str, Any] = {"time_left": clock.horizon - k * clock.dt, "log_volatility": y}
    values["moneyness"] = np.log(spot / only.strike) if left > 0 else 0.0
    values["standard_moneyness"] = values["moneyness"] / sd
    annual = sd / np.sqrt(max(left, 1) * clock.dt * clock.years)
    values["effective_volatility"] = annual if left > 0 else np.exp(y)
    for name in ("time_left", "log_volatility", "moneyness"):
        if name in layout:
            out[:, layout.slice(name).start] = values[name]
    values |= _greeks(market, k, out, spot, y)
    cost, aversion = market.hedge.cost, market.risk.variation_aversion
    cube = 1.5 * cost / aversion * spot * values["net_gamma"] ** 2 if aversion > 0 else np.zeros(len(spot))
    values |= {"band_width": np.cbrt(cube), "hedge": h, "excess": h + values["net_delta"]}
    edges = np.array([*market.observe.buckets, np.inf]) / clock.dt
    for name in ("delta", "gamma"):
        if name in layout:
            inside = (left >= edges[:-1]) & (left < edges[1:])
            out[:, layout.slice(name)] = inside * np.asarray(values[f"net_{name}"])[:, None]
    for name, value in values.items():
        if name in layout:
            out[:, layout.slice(name).start] = value
    return np.clip(out, layout.low, layout.high).astype(np.float32)


def _greeks(market: HedgingMarket, k: int, seen: np.ndarray, spot: Array, y: Array) -> dict[str, Array]:
    """The contract's greeks with the holder's sign, [N]; `seen` tells time and moneyness."""
    held = position(market, seen)
    return {"net_delta": held.delta, "net_gamma": held.gamma, "net_vega": held.vega}
