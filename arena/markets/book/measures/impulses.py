"""What a maker chooses: its impulses over position and queue imbalance, and the moments of a game at which it acted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arena.layout import Array, Choice
from arena.markets.book.columns import NOTHING
from arena.markets.book.market import Market
from arena.markets.book.measures.trading import place
from arena.rollout import Rollout
from arena.runs.record import Record

IMBALANCES = 7
"""Classes of (bids - asks)/(bids + asks) in the first levels, equally wide on [-1, 1]."""
POSITIONS = 11
"""Classes of positions at most, equally wide and mirrored around 0."""


def policy_map(market: Market, games: Rollout) -> dict[str, Any]:
    """How often each option was chosen, by maker, class of position and class of queue imbalance; for curves.json.

    `counts` [positions, imbalances, options]; `positions` are the lots at the classes' edges. Raises ValueError for a
    rollout without a trace.
    """
    if games.observations is None or games.actions is None:
        raise ValueError("a policy map needs a rollout with its trace; play(..., trace=True)")
    out: dict[str, Any] = {}
    for role in market.roles:
        if role.name != "maker" or not isinstance(role.action, Choice):
            continue
        seen, done = games.observations[role.name], games.actions[role.name]
        held = seen[..., role.observation.slice("inventory").start]
        bids, asks = np.moveaxis(seen[..., role.observation.slice("queue")], -1, 0).astype(float)
        imbalance = (bids - asks) / np.maximum(bids + asks, 1.0)
        column = np.clip(((imbalance + 1.0) * 0.5 * IMBALANCES).astype(int), 0, IMBALANCES - 1)
        largest = int(np.abs(held).max())
        wide = 2 * (-(-(2 * largest + 1) // POSITIONS) // 2) + 1  # odd, so that 0 stands in the middle of its class
        beyond = max(0, -(-(largest - wide // 2) // wide))
        row = np.floor((held + wide * (beyond + 0.5)) / wide).astype(int)
        edges = [wide * (i - beyond) - wide // 2 for i in range(2 * beyond + 2)]
        for i, seat in enumerate(role.agents):
            counts = np.zeros((2 * beyond + 1, IMBALANCES, len(role.action.options)), int)
            np.add.at(counts, (row[..., i], column[..., i], done[..., i, 0].astype(int)), 1)
            out[seat] = {"positions": edges, "options": list(role.action.options), "counts": counts.tolist()}
    return out


def chosen(counts: Array, options: list[str]) -> tuple[Array, Array, Array]:
    """Of counts [..., options]: the impulse chosen most (-1: none), the share of decisions with one, and visits."""
    acts = np.array(counts)
    visits = acts.sum(axis=-1)
    acts[..., options.index(NOTHING)] = 0
    some = acts.sum(axis=-1)
    share = np.divide(some, visits, out=np.zeros(visits.shape), where=visits > 0)
    return np.where(some > 0, acts.argmax(axis=-1), -1), share, visits


def moments(record: Record, seat: str, count: int, game: int = 0) -> list[tuple[int, str]]:
    """`count` instants of a game after which something of a maker's was posted, cancelled, pushed out or traded.

    They follow one another, from the last before the first trade in the second third of the game on, each with what
    happened, in words.
    """
    role, i = place(record, seat)
    grown: Mapping[str, Array] = {
        name: np.diff(record[f"{role}_{name}"][:, game, i], axis=0)
        for name in ("posted", "cancelled", "dropped", "filled")
    }
    bought, sold = grown["filled"][:, 0], grown["filled"][:, 1]
    said = [
        (grown["posted"], "posts an order"), (grown["cancelled"], "cancels an order"),
        (grown["dropped"], "is pushed out"), (bought, "buys a lot"), (sold, "sells a lot"),
    ]  # fmt: skip
    when = np.flatnonzero(sum(np.abs(change) for change, _ in said) > 0)
    if not len(when):
        return []
    trades = np.flatnonzero((bought + sold > 0) & (np.arange(len(bought)) >= len(bought) // 3))
    start = max(int(np.searchsorted(when, trades[0])) - 1, 0) if len(trades) else 0
    start = max(min(start, len(when) - count), 0)
    return [
        (int(t) + 1, ", ".join(words for change, words in said if change[t] > 0)) for t in when[start : start + count]
    ]
