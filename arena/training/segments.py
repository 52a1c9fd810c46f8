"""Long games a segment at a time: an iteration plays some decisions of every game, the next one goes on from there.

A block keeps its seeds and its line-up until its games are over; new ones are dealt then. At the start of a run block b
of n plays the first b/n of its games unrecorded, so that blocks stand at different times of their games from then on:
a batch whose games all stood at one time would show a learner that time alone. Between iterations the driver holds the
games' state (`Pause`, 3 kB a game in the book), sends it with the order and saves it in checkpoints: a segment is the
same wherever it is played. Trials, tournaments and all judging play whole games.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from arena.game import Pause
from arena.training.block import Lineup, Segment


class Underway(NamedTuple):
    """A block whose games go on: seeds and line-ups that they began with, and where they stand."""

    seeds: np.ndarray
    lineups: Mapping[str, Lineup]
    pause: Pause


class Deal(NamedTuple):
    """What the blocks of an iteration play, one entry a block each."""

    seeds: list[np.ndarray]
    lineups: list[Mapping[str, Lineup]]
    segments: list[Segment]


def deal_on(
    underway: Mapping[int, Underway], seeds: Sequence[np.ndarray], lineups: Sequence[Mapping[str, Lineup]],
    segment: int, steps: int, start: bool,
) -> Deal:  # fmt: skip
    """Blocks that are under way go on, the others begin with these seeds and line-ups; `start`: out of phase.

    `segment` decisions of games of `steps` are played, which it divides.
    """
    out = Deal([], [], [])
    pieces, blocks = steps // segment, len(seeds)
    for block in range(blocks):
        now = underway.get(block)
        skip = segment * (block * pieces // blocks) if start and now is None else 0
        out.seeds.append(seeds[block] if now is None else now.seeds)
        out.lineups.append(lineups[block] if now is None else now.lineups)
        out.segments.append(Segment(None if now is None else now.pause, skip, segment))
    return out


class Dealt(Protocol):
    """What an order tells of its blocks."""

    @property
    def seeds(self) -> Sequence[np.ndarray]: ...
    @property
    def lineups(self) -> Sequence[Mapping[str, Lineup]]: ...


def carried_on(order: Dealt, pauses: Mapping[int, Pause | None]) -> dict[int, Underway]:
    """The blocks whose games are not over, from where they were paused."""
    return {
        block: Underway(order.seeds[block], order.lineups[block], pause)
        for block, pause in pauses.items()
        if pause is not None
    }
