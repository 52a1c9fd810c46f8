"""Swaps: the simplest ways to leave a profile for a seat that chooses, and the ones that swap regret is made of.

A seat that plays option a(o) plays instead

    i -> j       j wherever it would play i, if j is allowed there     K (K - 1) of them, K options
    always j     j wherever it is allowed                              K

so a gain of the best swap is a lower bound of the best response's, and where none gains the seat has no swap regret
among its options (Blum & Mansour 2007): a gap of 0 then says something. Every candidate plays the same game seeds, many
side by side in one `Game`.
"""

from collections.abc import Mapping

import numpy as np

from arena.game import Game
from arena.layout import Choice
from arena.markets.market import Act, Role
from arena.rollout import play, side_by_side

KEPT = 4
"""Swaps that go on to the games on which a search chooses."""


def swapped(act: Act, role: Role, instead: int, where: int | None = None) -> Act:
    """The act that plays option `instead` where it is allowed and `where` would be played, or everywhere if none."""
    allowed = role.observation.slice("allowed").start + instead

    def moved(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        out = np.array(act(observation, noise), dtype=np.float64)
        free = observation[:, allowed] > 0.5
        out[free if where is None else free & (out[:, 0] == where), 0] = instead
        return out

    return moved


def swaps_of(role: Role) -> dict[str, tuple[int, int | None]]:
    """All swaps of a role that chooses: name -> (instead, where)."""
    assert isinstance(role.action, Choice)
    options = role.action.options
    pairs = {f"{one} → {other}": (j, i) for i, one in enumerate(options) for j, other in enumerate(options) if i != j}
    return pairs | {f"always {name}": (j, None) for j, name in enumerate(options)}


def best_swaps(
    game: Game, acts: Mapping[str, Act], seat: str, role: Role, seeds: np.ndarray
) -> dict[str, tuple[int, int | None]]:
    """The `KEPT` swaps that earn most on the same `seeds` [n]; many of them are played in one batch of `game`."""
    names, width = swaps_of(role), len(seeds)
    slots = game.batch // width
    value: dict[str, float] = {}
    order = list(names)
    for start in range(0, len(order), slots):
        block = order[start : start + slots]
        moved = [swapped(acts[seat], role, *names[name]) for name in block]
        played = play(game, {**acts, seat: side_by_side([*moved, *moved[:1] * (slots - len(block))], width)},
                      np.resize(np.tile(seeds, slots), game.batch))  # fmt: skip
        means = played.returns_of(seat)[: slots * width].reshape(slots, width).mean(axis=1)
        value |= dict(zip(block, means.tolist(), strict=False))
    best = sorted(order, key=lambda name: -value[name])[:KEPT]
    return {name: names[name] for name in best}
