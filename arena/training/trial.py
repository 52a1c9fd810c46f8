"""Is new better than old? Paired games of a candidate and its incumbent, seat by seat, on the same seeds and others.

For each learning seat of the role the same whole games, without bonuses that only help learners, are played twice: once
with the candidate in the seat, once with the role's newest member. In a share `promotion.together` of the line-ups
today's learners sit in all other learning seats, in the rest the league's `elsewhere` mixture.
`League.consider` judges.

Where pay-offs hang on the others, members of old need not be met best by whoever is best today: makers who have learned
to compete lose against a rival who has not. Then only a look among today's learners lets a league grow.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agents.network import Weights
from arena.league.league import League
from arena.training.env_runner import Order
from arena.training.learner import Sample, fingerprint
from arena.training.lineups import Slot, deal, group_count

CANDIDATE = "candidate"
"""Name under which the policy on trial sits in line-ups; no member can have it, for theirs end in a number."""
LARGEST_BLOCK = 256
LEAST_UNITS = 8
"""Line-ups that a look needs to count them as its independent units; with fewer, every game is one."""


class Outcome(NamedTuple):
    """What `League.consider` takes: pay-offs [games, seats], lots traded, the line-up of each game, who sat in it."""

    new: np.ndarray
    old: np.ndarray
    volume: np.ndarray
    groups: np.ndarray | None
    met: list[list[str]]


class Trial:
    """The games of one look at one candidate of a role."""

    def __init__(
        self, league: League, seats: Mapping[str, Sequence[int]], role: str, candidate: Weights, iteration: int,
        *, exploiter: bool = False, learners: Mapping[str, Weights] | None = None,
    ):  # fmt: skip
        self.role, self.seats, incumbent = role, list(seats[role]), league.latest(role)
        seeds = league.promotion_seeds(role, iteration)
        self.games = len(seeds)
        block = max((d for d in range(8, LARGEST_BLOCK + 1) if self.games % d == 0), default=self.games)
        self.blocks = self.games // block
        self.groups = group_count(max(league.settings.slots, LEAST_UNITS), self.blocks, block, least=2)
        today = {_today(one): (learners or {})[one] for one in seats if league.settings.test.together > 0}
        self.others = _others(league, seats, role, iteration, self.blocks * self.groups, exploiter)
        self.together = all(name in today for slot in self.others for named in slot.values() for name in named)
        lineups = []
        for position in range(len(self.seats)):
            for player in (CANDIDATE, incumbent):
                lineups += deal([_with(slot, role, position, player) for slot in self.others], self.blocks)
        names = {name for block_lineups in lineups for one in block_lineups.values() for name in one.members}
        known = {CANDIDATE: candidate, **today}
        members = {name: known[name] if name in known else league.weights(name) for name in sorted(names)}
        self.order = Order(
            iteration=iteration,
            learners={},
            fingerprint=fingerprint({}),
            seeds=[part for _ in range(2 * len(self.seats)) for part in np.split(seeds, self.blocks)],
            lineups=lineups,
            members=members,
            member_fingerprints={name: fingerprint({name: weights}) for name, weights in members.items()},
        )

    def outcome(self, samples: Sequence[Sample]) -> Outcome:
        """Pay-offs and volumes from the played blocks of `order`, in its order."""
        payoff = np.empty((len(self.seats), 2, self.games))
        volume = np.empty((len(self.seats), self.games))
        for position, seat in enumerate(self.seats):
            for version in (0, 1):
                first = (2 * position + version) * self.blocks
                played = [sample.played for sample in samples[first : first + self.blocks]]
                payoff[position, version] = np.concatenate([one.returns[self.role][:, seat] for one in played])
                if version == 0:
                    volume[position] = np.concatenate([one.volume[self.role][:, seat] for one in played])
        if len(self.others) < LEAST_UNITS or self.together:
            return Outcome(payoff[:, 0].T, payoff[:, 1].T, volume.T, None, [])
        width = self.games // (self.blocks * self.groups)
        block, group = np.divmod(np.arange(self.games) // width, self.groups)
        met = [
            sorted({str(one) for names in slot.values() for one in names if not str(one).startswith(CANDIDATE)})
            for slot in self.others
        ]
        return Outcome(payoff[:, 0].T, payoff[:, 1].T, volume.T, block + self.blocks * group, met)


def _others(
    league: League, seats: Mapping[str, Sequence[int]], role: str, iteration: int, count: int, exploiter: bool
) -> list[Slot]:
    """Who sits around the seat on trial, for each line-up; an exploiter meets the newest members only."""
    if exploiter:
        return [{one: [league.latest(one)] * len(own) for one, own in seats.items()} for _ in range(count)]
    among = round(league.settings.test.together * count)  # the first line-ups; each has games of its own
    now: Slot = {one: [_today(one)] * len(own) for one, own in seats.items()}
    drawn = {
        (one, position): league.draw(
            one, iteration, count, rule=league.settings.elsewhere, against=role, purpose=f"look seat {position}"
        )
        for one, own in seats.items()
        for position in range(len(own))
    }
    old: list[Slot] = [
        {one: [drawn[one, p][i] for p in range(len(own))] for one, own in seats.items()} for i in range(among, count)
    ]
    return [now] * among + old


def _today(role: str) -> str:
    """The name under which a role's learner sits elsewhere."""
    return f"{CANDIDATE}-{role}"


def _with(slot: Slot, role: str, position: int, player: str) -> Slot:
    """The same line-up with another player in one seat of a role."""
    return {**slot, role: [player if p == position else one for p, one in enumerate(slot[role])]}
