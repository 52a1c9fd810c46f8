"""Line-ups: in which games the learning seats of a role are played by new, by old, or by an exploiter.

The slots of an iteration are cut into three kinds, every slot the same number of games:

    together    all learning seats new: simultaneous self-play
    new-old     each role has one new seat and old ones elsewhere; the new seat rotates, so that seats are swapped
                between games; a role with a single seat is new in every other pair of such slots
    exploiter   a role's exploiter in one seat, the newest member in all others

Old seats are drawn by the league's matchmaking. Everything is a function of league, seed and iteration.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.league.league import League
from arena.training.block import EXPLOITER, NEW, Lineup

Slot = dict[str, list[str | int]]
"""Who sits in each learning seat of each role: NEW, EXPLOITER or a member's name."""


def group_count(slots: int, blocks: int, games: int, least: int = 8) -> int:
    """Groups per block: as near to `slots` line-ups in all as groups of equal size, at least `least` games, allow."""
    wanted = -(-slots // blocks)
    return max(g for g in range(1, wanted + 1) if games % g == 0 and (games // g >= least or g == 1))


def draw_slots(
    league: League, seats: Mapping[str, Sequence[int]], iteration: int, count: int, share: float = 0.5
) -> list[Slot]:
    """The `count` slots of one iteration, in the order in which blocks take them.

    `share` of them, exploiters' apart and at least one unless it is 0, have all learning seats new. Raises ValueError
    when exploiters would leave no slot to the main learners.
    """
    taken = {role: max(1, round(one.games_share * count)) for role, one in league.settings.exploiters.items()}
    rest = count - sum(taken.values())
    if rest < 1:
        raise ValueError(f"league.exploiters: they take {count - rest} of {count} line-ups; allowed is less than all")
    exploiting = [_exploiter_slot(league, seats, role, i) for role, times in taken.items() for i in range(times)]
    together = max(1, round(share * rest)) if share > 0 else 0
    drawn = {
        (role, position): league.draw(role, iteration, rest - together, purpose=f"train seat {position}")
        for role, own in seats.items()
        for position in range(len(own))
        if rest > together
    }
    slots: list[Slot] = [{role: [NEW] * len(own) for role, own in seats.items()} for _ in range(together)]
    for i in range(rest - together):
        slot: Slot = {}
        for role, own in seats.items():
            turn = (i + iteration) % len(own) if len(own) > 1 else (i + iteration) // 2 % 2
            slot[role] = [NEW if position == turn else drawn[role, position][i] for position in range(len(own))]
        slots.append(slot)
    return exploiting + slots


def _exploiter_slot(league: League, seats: Mapping[str, Sequence[int]], role: str, i: int) -> Slot:
    slot: Slot = {one: [league.latest(one)] * len(own) for one, own in seats.items()}
    slot[role][i % len(seats[role])] = EXPLOITER
    return slot


def deal(slots: Sequence[Slot], blocks: int) -> list[dict[str, Lineup]]:
    """Slots dealt to blocks in turn, equally many each: line-ups by role for each block."""
    return [_pack(slots[block::blocks]) for block in range(blocks)]


def _pack(slots: Sequence[Slot]) -> dict[str, Lineup]:
    """The slots of one block, one group each, as cells."""
    out = {}
    for role in slots[0]:
        members = sorted({one for slot in slots for one in slot[role] if isinstance(one, str)})
        index = {name: i for i, name in enumerate(members)}
        cells = [[index[one] if isinstance(one, str) else one for one in slot[role]] for slot in slots]
        out[role] = Lineup(np.array(cells, dtype=np.int64).T, tuple(members))
    return out
