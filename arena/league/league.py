"""The league: everything that was ever promoted, who is "old", who meets whom, and when "new" becomes a member.

A `League` is bookkeeping in plain Python: it draws opponents, judges candidates from pay-offs that were played
elsewhere, keeps live ratings and the current pay-off tensor, and lives in one folder

    league/<member>.npz, <member>.json   frozen weights (see `snapshot`), at most `resident_megabytes` in memory
    league/league.json                   index for readers: the plain half of `state_dict`

Where every round replaces old (`promotion: {kind: every_round}`) the newest member of a role lives in memory between
the rounds that freeze it, and in checkpoints.

It holds no random state: every draw is a function of seed, iteration and purpose, so a resumed run draws what the
uninterrupted one would have drawn.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arena.league import matchmaking, snapshot
from arena.league.matchmaking import Matchmaking, Pool
from arena.league.promotion import Decision, decide, paired_gains
from arena.league.ratings import Rating, rate
from arena.league.settings import LeagueSettings
from arena.league.snapshot import Member, MemberFile, SnapshotError, SnapshotExistsError, Weights

if TYPE_CHECKING:
    from arena.solvers.finite.matrix_game import MatrixGame

STATE_VERSION = 1
_KEPT_PER_LOOK = 0.8  # weight that older gains keep at each look: the learner they were measured for has moved on


@dataclasses.dataclass
class GainRecord:
    """Decayed moments of the paired gains a role's learner made while one member sat elsewhere."""

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def add(self, gains: np.ndarray) -> None:
        """Fold in new gains [n]; the caller has decayed `weight`."""
        total = self.weight + len(gains)
        self.mean = (self.weight * self.mean + float(gains.sum())) / total
        self.square = (self.weight * self.square + float(np.square(gains).sum())) / total
        self.weight = total

    @property
    def advantage(self) -> float:
        """Chance of a positive gain, normal approximation; 0.5 when nothing is known or nothing ever differed."""
        variance = self.square - self.mean**2
        if self.weight == 0 or variance <= 1e-12 * self.square:
            return 0.5 + 0.5 * float(np.sign(self.mean))
        return 0.5 * math.erfc(-self.mean / math.sqrt(2 * variance))


class League:
    """Members per role in one folder; `seats` maps each role with members to its number of seats.

    Raises ValueError for settings that name an unknown role; members and files that are missing, damaged or another
    run's raise SnapshotError when they are touched.
    """

    def __init__(
        self, folder: Path, settings: LeagueSettings, seats: Mapping[str, int], *, scenario_hash: str, seed: int
    ) -> None:
        unknown = sorted(set(settings.exploiters) - set(seats))
        if unknown:
            raise ValueError(f"league.exploiters: found {unknown}; allowed are the learning roles {sorted(seats)}")
        self.folder, self.settings, self.seats = Path(folder), settings, dict(seats)
        self.scenario_hash, self.seed = scenario_hash, seed
        self.ratings: dict[str, dict[str, Rating]] = {role: {} for role in seats}
        self.payoffs: MatrixGame | None = None
        self.payoff_members: dict[str, list[str]] = {}
        self._records: dict[str, MemberFile] = {}
        self._meta: dict[str, dict[str, float]] = {}
        self._looks: dict[str, int] = {}
        self._gains: dict[str, dict[str, GainRecord]] = {role: {} for role in seats}
        self._resident: OrderedDict[str, Weights] = OrderedDict()
        self._in_memory: dict[str, Member] = {}

    # --- members ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._records)

    def record(self, name: str) -> MemberFile:
        """What is known about a member; raises ValueError when there is none of that name."""
        if name not in self._records:
            raise ValueError(f"league has no member '{name}'; it has {len(self._records)}: {', '.join(self._records)}")
        return self._records[name]

    def members(self, role: str) -> list[str]:
        """Names of a role's members, oldest first; raises ValueError for a role that is not in the league."""
        if role not in self.seats:
            raise ValueError(f"league has no role '{role}'; allowed: {', '.join(self.seats)}")
        frozen = [name for name, record in self._records.items() if record.role == role]
        return frozen + [one.name for one in self._in_memory.values() if one.role == role]

    def latest(self, role: str) -> str:
        """The incumbent: the newest member that is no exploiter; raises ValueError while a role has none."""
        main = [name for name in self.members(role) if not self._is_exploiter(name)]
        if not main:
            raise ValueError(f"league has no member of role '{role}' yet; add the initial one first")
        return main[-1]

    def add(self, new: Member) -> str:
        """Store a member and return its name; the first of a role should be the untrained policy.

        A file of that name that belongs to no member (left by a killed run) is kept: the member gets a suffix.
        A member that starts with a parent inherits the parent's rating with fresh uncertainty.
        Raises ValueError for a role that is not in the league.
        """
        if new.role not in self.seats:
            raise ValueError(f"member {new.name} is a {new.role}; allowed: {', '.join(self.seats)}")
        if new.parent is not None:
            self.record(new.parent)
        self._check_folder()
        attempt = 1
        while True:
            name = new.name if attempt == 1 else f"{new.name}-{attempt}"
            try:
                if name not in self._records:
                    record = snapshot.write(self.folder, dataclasses.replace(new, name=name))
                    break
            except SnapshotExistsError:
                pass
            attempt += 1
        self._records[name] = record
        parent = self.ratings[new.role].get(new.parent or "", Rating())
        self.ratings[new.role].setdefault(name, Rating(mu=parent.mu))
        self._write_index()
        return name

    def succeed(self, new: Member, *, freeze: bool) -> None:
        """Make `new` the latest of its role, untested; unless it is frozen it is forgotten with its successor."""
        self._in_memory.pop(new.role, None)
        if not freeze:
            self._in_memory[new.role] = new
        elif new.name not in self._records:
            self.add(new)

    def _is_exploiter(self, name: str) -> bool:
        return name in self._records and self._records[name].is_exploiter

    def weights(self, name: str) -> Weights:
        """A member's arrays, read-only; from memory or, hash-checked, from disk."""
        for member in self._in_memory.values():
            if member.name == name:
                return member.weights
        if name in self._resident:
            self._resident.move_to_end(name)
            return self._resident[name]
        stored = snapshot.read(self.folder, name, self.record(name).sha256)
        self._resident[name] = stored.weights
        cap = self.settings.resident_megabytes * 1e6
        while len(self._resident) > 1 and self.resident_bytes > cap:
            self._resident.popitem(last=False)
        return stored.weights

    @property
    def resident_bytes(self) -> int:
        """Bytes of frozen weights in memory."""
        return sum(array.nbytes for weights in self._resident.values() for array in weights.values())

    # --- who meets whom -----------------------------------------------------------------------------------------------

    def probabilities(
        self, role: str, rule: Matchmaking | None = None, *, against: str | None = None
    ) -> dict[str, float]:
        """Chance of each member of `role` to be met under a rule (default: `matchmaking`) by the learner of `against`.

        `against` (default: the same role) says whose recorded gains prioritise.
        """
        names = self.members(role)
        self.latest(role)
        gains = self._gains[against or role]
        meta = self._meta.get(role)
        pool = Pool(
            tuple(names),
            np.array([self._is_exploiter(name) for name in names]),
            np.array([gains.get(name, GainRecord()).advantage for name in names]),
            None if meta is None else np.array([meta.get(name, 0.0) for name in names]),
        )
        chances = (rule or self.settings.matchmaking).probabilities(pool)
        return dict(zip(names, chances.tolist(), strict=True))

    def draw(
        self,
        role: str,
        iteration: int,
        count: int | None = None,
        *,
        rule: Matchmaking | None = None,
        against: str | None = None,
        purpose: str = "train",
    ) -> list[str]:
        """Members of `role` for `count` (default: `slots`) line-ups, by systematic sampling in random order.

        The same arguments and league give the same draw. Use another `purpose` (for example the seat's name) for each
        independent draw of one iteration.
        """
        chances = self.probabilities(role, rule, against=against)
        label = f"{purpose}|{role}|{against or role}"
        indices = matchmaking.draw(
            np.array(list(chances.values())), count or self.settings.slots, self.seed, label, iteration
        )
        names = list(chances)
        return [names[i] for i in indices]

    def promotion_seeds(self, role: str, iteration: int) -> np.ndarray:
        """Fresh game seeds for a look, uint64 [promotion.games], never used in training."""
        return matchmaking.raw(self.seed, f"promotion games|{role}", iteration, self.settings.test.games)

    # --- when new becomes old -----------------------------------------------------------------------------------------

    def consider(
        self,
        candidate: Member,
        new: np.ndarray,
        old: np.ndarray,
        volume: np.ndarray,
        groups: np.ndarray | None = None,
        met: Sequence[Sequence[str]] = (),
    ) -> Decision:
        """Judge a candidate from paired games and, when it passes, add it.

        new, old [games, seats of the role]: pay-offs of the seat with the candidate, resp. `latest(role)`, in it; same
        seeds, `elsewhere` members in the other seats (for an exploiter: the newest). volume [...]: lots the candidate
        traded per game and seat. groups [games]: index of the line-up of each game; met[g]: members that sat
        elsewhere in line-up g (feeds prioritised matchmaking). Updates looks, gains and live ratings.
        Raises ValueError when `met` names line-ups that `groups` does not index.
        """
        role, incumbent = candidate.role, self.latest(candidate.role)
        gains = paired_gains(new, old, groups)
        if met and (groups is None or len(met) <= int(np.max(groups))):
            raise ValueError(f"{len(met)} line-ups are named; groups must index them")
        key = f"{role}/exploiter" if candidate.is_exploiter else role
        look = self._looks.get(key, 0) + 1
        decision = decide(gains, volume, look, self.settings.test)
        self._looks[key] = 0 if decision.promoted else look
        if met and not candidate.is_exploiter:
            each = np.mean(np.asarray(new) - np.asarray(old), axis=1)
            self.record_gains(role, [(names, each[np.asarray(groups) == g]) for g, names in enumerate(met)])
        if decision.promoted:
            parent = candidate.parent or incumbent
            name = self.add(dataclasses.replace(candidate, parent=parent, passive=decision.passive))
            scores = np.stack([np.mean(new, axis=1), np.mean(old, axis=1)], axis=1)
            self.update_ratings(role, [name, incumbent], scores)
        return decision

    def exploiter_restarts(self, role: str) -> bool:
        """Whether a role's exploiter starts afresh after its last look: it succeeded, or patience ran out."""
        looks = self._looks.get(f"{role}/exploiter")
        return looks is not None and looks % self.settings.exploiters[role].patience == 0

    def record_gains(self, role: str, gains: Sequence[tuple[Sequence[str], np.ndarray]]) -> None:
        """Remember paired gains of a role's learner: for each line-up the members elsewhere and the gains [n]."""
        table = self._gains[role]
        for entry in table.values():
            entry.weight *= _KEPT_PER_LOOK
        for names, values in gains:
            for name in dict.fromkeys(names):
                self.record(name)
                if len(values):
                    table.setdefault(name, GainRecord()).add(np.asarray(values, dtype=float))

    def update_ratings(self, role: str, members: Sequence[str], scores: np.ndarray) -> None:
        """Live ratings from comparable games: scores [games, k] of k members of the role, higher is better.

        Raises ValueError for a member of another role.
        """
        strangers = [name for name in members if self.record(name).role != role]
        if strangers:
            raise ValueError(f"{strangers} are no members of role '{role}'; ratings compare members of one role")
        self.ratings[role] = rate(self.ratings[role], members, scores)

    def set_payoffs(self, game: MatrixGame, members: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
        """Keep the current pay-off tensor and its meta-strategy: the CCE of largest Gini impurity, per role.

        game: pay-offs [N, s_1, ..., s_N] whose seats carry role names; members: role -> names in the tensor's order
        (names that are not in the league, such as scripted baselines, get no games). Returns role -> name -> mass.
        Raises ValueError when a seat has not as many names as strategies.
        """
        from arena.solvers.finite.matrix_game import correlated_equilibrium

        for seat, role in enumerate(game.roles):
            names = members.get(role, ())
            if len(names) != game.shape[seat]:
                raise ValueError(f"seat {seat} has {game.shape[seat]} strategies but {len(names)} names of {role}s")
        mixtures = correlated_equilibrium(game, "cce", "gini").mixtures
        found = {role: dict(zip(members[role], mass.tolist(), strict=True)) for role, mass in mixtures.items()}
        self.payoffs, self.payoff_members = game, {role: list(members[role]) for role in found}
        self._meta = {}
        for role, masses in found.items():
            own = {name: mass for name, mass in masses.items() if name in self._records}
            if role in self.seats and sum(own.values()) > 1e-9:
                self._meta[role] = {name: mass / sum(own.values()) for name, mass in own.items()}
        return found

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def state_dict(self, include_weights: bool = False) -> dict[str, Any]:
        """Everything but the settings: {"plain": JSON-able, "arrays": name -> array}.

        Weights stay in the folder unless asked for; a checkpoint that must move to another folder includes them.
        """
        plain = {
            "version": STATE_VERSION,
            "scenario_hash": self.scenario_hash,
            "seed": self.seed,
            "seats": self.seats,
            "members": [record.model_dump(mode="json") for record in self._records.values()],
            "looks": self._looks,
            "gains": {role: {name: dataclasses.asdict(g) for name, g in t.items()} for role, t in self._gains.items()},
            "ratings": {role: {name: list(r) for name, r in t.items()} for role, t in self.ratings.items()},
            "meta": self._meta,
            "payoff_roles": None if self.payoffs is None else list(self.payoffs.roles),
            "payoff_members": self.payoff_members,
        }
        arrays = {} if self.payoffs is None else {"payoffs": self.payoffs.payoffs.copy()}
        if self._in_memory:
            plain["in_memory"] = {role: [one.name, one.iteration] for role, one in self._in_memory.items()}
            for role, one in self._in_memory.items():
                arrays |= {f"old/{role}/{key}": np.array(value) for key, value in one.weights.items()}
        if include_weights:
            for name in self._records:
                arrays |= {f"weights/{name}/{key}": np.array(value) for key, value in self.weights(name).items()}
        return {"plain": json.loads(json.dumps(plain)), "arrays": arrays}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state and check that every member's files are what was stored.

        Members beyond the state (promoted after the checkpoint) stay on disk and leave the league.
        Raises SnapshotError for another version or scenario and for missing or damaged members.
        """
        plain, arrays = state["plain"], state["arrays"]
        for key, mine in (("version", STATE_VERSION), ("scenario_hash", self.scenario_hash), ("seats", self.seats)):
            if plain[key] != mine:
                raise SnapshotError(f"league state: found {key} {plain[key]}; allowed is this run's {mine}")
        records = {entry["name"]: MemberFile(**entry) for entry in plain["members"]}
        for name, record in records.items():
            prefix = f"weights/{name}/"
            carried = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            if carried:
                about = record.model_dump(exclude={"schema_version", "parameters", "sha256"})
                snapshot.write(self.folder, Member(weights=carried, **about))
            snapshot.read(self.folder, name, record.sha256)
        self._records, self.seed = records, plain["seed"]
        self._looks, self._meta = dict(plain["looks"]), {role: dict(m) for role, m in plain["meta"].items()}
        self._gains = {role: {n: GainRecord(**g) for n, g in t.items()} for role, t in plain["gains"].items()}
        self.ratings = {role: {n: Rating(*r) for n, r in t.items()} for role, t in plain["ratings"].items()}
        self.payoffs, self.payoff_members = None, {role: list(names) for role, names in plain["payoff_members"].items()}
        if plain["payoff_roles"] is not None:
            from arena.solvers.finite.matrix_game import MatrixGame

            self.payoffs = MatrixGame(np.array(arrays["payoffs"]), tuple(plain["payoff_roles"]))
        self._in_memory = {}
        for role, (name, iteration) in plain.get("in_memory", {}).items():
            start = f"old/{role}/"
            weights = {key.removeprefix(start): arrays[key] for key in arrays if key.startswith(start)}
            self._in_memory[role] = Member(name, role, iteration, self.scenario_hash, weights)
        self._resident.clear()
        self._write_index()

    def _check_folder(self) -> None:
        """Refuse a folder that holds the league of another run; this run's own may be there after a kill."""
        index = self.folder / "league.json"
        if self._records or not index.exists():
            return
        try:
            there = json.loads(index.read_bytes())
            same = (there["scenario_hash"], there["seed"]) == (self.scenario_hash, self.seed)
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise SnapshotError(f"{index} belongs to another run; resume that run or choose an empty folder")

    def _write_index(self) -> None:
        index = self.folder / "league.json"
        try:
            snapshot.replace(index, (json.dumps(self.state_dict()["plain"], indent=1) + "\n").encode())
        except OSError as trouble:
            raise SnapshotError(f"cannot write {index}: {trouble.strerror or trouble}") from None
