"""What a row's player does in the test games of one seed.

All rows play the same games: game g of seed s has the same background flow in every row, as long as players act alike.
Bonuses of training are left out.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agents.learned import player
from arena.layout import Array
from arena.league import snapshot
from arena.markets.book.measures.many import play_many
from arena.markets.book.papers.row_files import AtFee, SeedNumbers
from arena.markets.book.papers.rows import FEES
from arena.scenario import Scenario

FIRST = 2_000_003
"""Evaluation seed of the test games of training seed 0; seed s has FIRST + s."""
SEAT = "mm_0"
IDLE = "idle"
"""Class of a player with less than a fill a game, whom the detector has nothing to say about."""


def measure(
    scenario: Scenario, seed: int, games: int, weights: Mapping[str, Array] | None,
    heard: Callable[[int], None] = lambda played: None,
) -> SeedNumbers:
    """Play one seed's test games, by a network or by the scenario's own player; `heard` is told how many are over."""
    market: Any = scenario.judged.market
    act = player(weights) if weights is not None else scenario.players[SEAT].sit(market, SEAT)
    with np.errstate(divide="ignore", invalid="ignore"):  # a player who never trades has no Sharpe ratio
        many = play_many(market, {SEAT: act}, SEAT, games, FIRST + seed, heard=heard)
        curve = [many.sharpe(fee) for fee in FEES]
    fees = [
        AtFee(fee=one.fee, sharpe=_finite(one.value), se=_finite(one.se), mean=one.mean, sd=one.sd) for one in curve
    ]
    fills = float(many.filled.sum() / games)
    return SeedNumbers(
        seed=seed, games=games, weights_sha256=None if weights is None else snapshot.digest(weights),
        fees=tuple(fees), held=float(many.size.mean()), fills=fills,
        messages=float(many.sent.mean()), one_sided=many.one_sided, determined=many.determined,
        push=many.push, verdict=many.verdict if fills >= 1.0 else IDLE,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
