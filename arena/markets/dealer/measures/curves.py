"""What makers would quote: distances against their own inventory and against time, for the curves of the report.

A policy sees many columns.  To draw it against one of them, the market states that games really visited are kept and
only the maker's own book is set: q lots of one product, none of the others, and everything that follows from it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.markets.dealer.market import DealerMarket
from arena.markets.market import Act, Role
from arena.rollout import Rollout

POINTS = 21
"""Inventories and instants at which a curve is drawn."""


def quote_curves(
    market: DealerMarket, games: Rollout, makers: Mapping[str, Act], product: str | None = None
) -> dict[str, Any]:
    """The content of curves.json: quotes of each maker against its inventory (mid-game), half-spread against time.

    `games` is a rollout with its trace; its states are averaged over, with the band from their 5 % to 95 % quantile.
    Where nobody quotes there is no panel.
    `product` is the quoted product that is drawn, the first by default.  Raises KeyError for a product that is not
    quoted, and ValueError for a rollout without a trace.
    """
    if games.observations is None:
        raise ValueError("quote curves need a rollout with its trace; play(..., trace=True)")
    product = product or market.product_names[0]
    if product not in market.product_names:
        raise KeyError(f"no product '{product}'; there are {', '.join(market.product_names)}")
    if not market.makers.count:
        return {"product": product, "panels": []}
    role, steps = market.role("maker"), market.clock.steps
    when = np.unique(np.linspace(0, steps - 1, POINTS).round().astype(int))
    flat = {name: [_distances(market, role, games, act, product, t, 0.0) for t in when] for name, act in makers.items()}
    halves = {name: [0.5 * (bid + ask) for bid, ask in quotes] for name, quotes in flat.items()}
    panels = [
        _panel(
            f"Half-spread of {product} over time", f"time ({market.clock.unit}s)", when * market.clock.dt, halves,
            "With an empty book. Bands hold 90 % of the market states that the games visited.",
        )
    ]  # fmt: skip
    if "inventory" in role.observation:
        scale = role.observation.scale[role.observation.slice("inventory")]
        reach = market.makers.inventory_limit or 4.0 * float(scale[0])
        lots = np.unique(np.linspace(-reach, reach, POINTS).round())
        curves: dict[str, list[NDArray[np.float64]]] = {}
        for name, act in makers.items():
            quotes = [_distances(market, role, games, act, product, steps // 2, q) for q in lots]
            curves |= {f"{name} ask": [ask for _, ask in quotes], f"{name} bid": [bid for bid, _ in quotes]}
        title, words = f"Quotes of {product} against inventory", "At mid-game, with no other product on the book."
        panels.insert(0, _panel(title, f"own inventory of {product} (lots)", lots, curves, words))
    return {"product": product, "panels": panels}


def _panel(
    title: str, x_label: str, x: NDArray[Any], curves: Mapping[str, list[NDArray[np.float64]]], caption: str
) -> dict[str, Any]:
    series = []
    for name, values in curves.items():
        low, high = np.quantile(values, [0.05, 0.95], axis=1)
        band = {"low": low.tolist(), "high": high.tolist()} if (high - low).max() > 1e-6 else {}
        series.append({"name": name, "y": np.mean(values, axis=1).tolist(), **band})
    words = {"title": title, "x_label": x_label, "y_label": "distance from the mid, $", "caption": caption}
    return {**words, "x": x.tolist(), "zero": True, "series": series}


def _distances(
    market: DealerMarket, role: Role, games: Rollout, act: Act, product: str, t: int, lots: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bid and ask distance [B] that a maker would quote at step t with `lots` of the product on its book."""
    assert games.observations is not None
    assert games.state is not None
    state = games.state[t]
    seen = games.observations[role.name][t, :, 0].copy()
    i, columns = market.product_names.index(product), role.observation
    greek = {name: state[games.layout.slice(name)][i] * lots for name in ("delta", "gamma", "vega")}
    hedged = market.makers.hedging.kind != "none"
    own = {
        "hedge": -greek["delta"] if hedged else 0.0, "net_delta": 0.0 if hedged else greek["delta"],
        "net_gamma": greek["gamma"], "net_vega": greek["vega"],
    }  # fmt: skip
    for name, value in own.items():
        if name in columns:
            seen[:, columns.slice(name)] = np.reshape(value, (-1, 1))
    if "inventory" in columns:
        seen[:, columns.slice("inventory")] = 0.0
        seen[:, columns.slice("inventory").start + i] = lots
    noise = np.zeros((len(seen), role.action.size))
    action = role.numbers.from_unit(np.clip(act(seen, noise), -1.0, 1.0))
    half, skew = (action[:, role.numbers.slice(f"{name}[{product}]")][:, 0] for name in ("half_spread", "skew"))
    return market.makers.distances(half, skew)
