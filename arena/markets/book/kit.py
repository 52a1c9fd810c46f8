"""What the limit order book offers above its rules; see `arena.markets.catalogue.Kit`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.book_executors import EXECUTORS, AtOnce, MarketTWAP, PatientTWAP
from agents.book_makers import MAKERS, Probabilistic, RandomOrders, TwoSided
from agents.impulse_makers import SOLVED
from arena.layout import Array, Choice
from arena.markets.book.board import Board
from arena.markets.book.market import Market
from arena.markets.book.measures.impulses import policy_map
from arena.markets.book.settings import Shaping
from arena.markets.market import Act
from arena.rollout import Rollout
from arena.runs.record import Record

SEATS = {"maker": (*MAKERS, *SOLVED), "executor": EXECUTORS}
COSTS = ("executor",)
"""An executor's reward is the cost of its order with the other sign: what it saves is a share of that."""
UNIT, NAIVE = "ticks", "two-sided quotes"
LABELS = {
    f"{role}_{name}": words
    for role in SEATS
    for name, words in (
        ("captured", "spread captured"), ("crossed", "spread paid"), ("mark", "moves of the mid"), ("fee", "fees"),
    )
}  # fmt: skip
"""Sources of P&L as people call them: pnl = captured + paid (< 0) + inventory times moves of the mid - fees."""
SECTIONS = (
    "paths", "one_game", "impulses", "attribution", "sharpes", "fills", "manipulations", "execution", "versus",
    "stylised_facts",
)  # fmt: skip
board = Board
ANSWERERS = ("arena.markets.book.theory.impulse", "arena.markets.book.theory.flow")
CALIBRATION = "arena.markets.book.calibration.hawkes"
ACTING = 0.15
"""Share of decisions in which an untrained maker acts: an order needs quiet to come to the front of its queue."""


def naive(market: Market) -> dict[str, Any]:
    """Two-sided quotes up to three lots, and equal slices by market orders."""
    makers = {seat: TwoSided() for seat in market.maker_names}
    return {**makers, **{seat: MarketTWAP() for seat in market.executor_names}}


def baselines(market: Market) -> dict[str, dict[str, Any]]:
    """Scripted entrants of tournament and search: role -> name -> recipe."""
    makers: dict[str, Any] = {"two_sided": TwoSided(), "one_lot": TwoSided(cap=1), "random_orders": RandomOrders()}
    seen = market.observe
    if seen.intensities and seen.position and seen.spread:
        makers["probabilistic"] = Probabilistic()
    return {"maker": makers, "executor": {one.kind: one for one in (MarketTWAP(), PatientTWAP(), AtOnce())}}


def prior(market: Market) -> dict[str, Array]:
    """Where learning starts: mostly nothing, posts rather than cancels, each alike."""
    return {role.name: _quiet(role.action) for role in market.roles if isinstance(role.action, Choice)}


def _quiet(choice: Choice) -> Array:
    weights = np.array([0.25 if name.startswith(("CO", "cancel")) else 1.0 for name in choice.options])
    weights[choice.idle] = 0.0
    out = ACTING * weights / weights.sum()
    out[choice.idle] = 1.0 - ACTING
    return out


def judged(market: Market) -> Market:
    """The book without bonuses: they are no money."""
    if market.makers.shaping == Shaping():
        return market
    makers = market.makers.model_copy(update={"shaping": Shaping()})
    settings = {name: getattr(market, name) for name in Market.model_fields}  # without what it has worked out
    return Market(**{**settings, "makers": makers})


def keep(market: Market, final: Rollout, acts: Mapping[str, Mapping[str, Act]]) -> dict[str, Any]:
    """Which impulses the makers of the final games chose, by position and queue imbalance: curves.json."""
    return {"impulses": policy_map(market, final)}


def objective(record: Record) -> dict[str, Array]:
    """What a seat's games are worth in judging, [B]: its rewards without bonuses."""
    return {
        seat: (record[one.rows.reward][1:] + np.diff(record[f"{one.role}_shaping"], axis=0))[:, :, i].sum(axis=0)
        for one in record.seats
        for i, seat in enumerate(one.agents)
    }


def facts(market: Market) -> dict[str, Any]:
    """What a record carries besides: the size of a tick in currency, and the fee on what is held at the end."""
    return {"tick": market.depth.tick, "liquidation": market.fees.liquidation}
