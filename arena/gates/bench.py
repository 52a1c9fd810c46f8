"""The bench on which a check compares players: one seat of one trained profile, on games that nobody can choose.

The games come from a stream of the evaluation's seed, moved by a digest of the weights that are judged: the same
weights meet the same games and get the same verdict whenever they are judged, new weights meet new games. So a verdict
cannot be rolled again, and weights cannot be picked for their games.

Where the market knows what every player of a comparison earns (`value` in its kit), no game is played.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from agents.learned import player
from arena.game import Game
from arena.gaps.nash_gap import SEARCH, engines
from arena.gaps.profile import Profile, Search, SeatGain
from arena.gates import statistics
from arena.gates.statistics import Bound, certain
from arena.judge import LEARNED, members_of, profile_of
from arena.layout import Array
from arena.league import snapshot
from arena.markets.catalogue import part
from arena.markets.market import Act, Market
from arena.named import recipe_of
from arena.rollout import play, seeds_of
from arena.scenario import Scenario

GATES = 41
"""Stream of the game seeds of gates."""
CHUNK = 4096
"""Games played at once."""
OURS, BEST = "", "best_response"
"""Handles of the trained player and of the best response to its others; other players' are their settings as JSON."""

Acts = Mapping[str, Act]
Value = Callable[[Market, Acts, str], float | None]
Equilibrium = Callable[[Market], Mapping[str, Any] | None]
Statistic = Callable[[Array], Array]


class GateError(ValueError):
    """What keeps a gate from being judged, in one sentence."""


def digest_of(networks: Mapping[str, Mapping[str, Array]]) -> str:
    """SHA-256 of the weights of all roles."""
    parts = [f"{role}|{snapshot.digest(networks[role])}" for role in sorted(networks)]
    return snapshot.digest({"": np.frombuffer("\n".join(parts).encode(), np.uint8)})


class Bench:
    """One seat of a trained profile. Players in that seat are named by a handle; the others stay as they are."""

    def __init__(
        self, scenario: Scenario, networks: Mapping[str, Mapping[str, Array]], seat: str, games: int, run: Path | None
    ):
        self.scenario, self.networks, self.seat, self.games, self.run = scenario, networks, seat, games, run
        self.market: Market = scenario.market
        self.role = next(role for role in self.market.roles if seat in role.agents)
        self.profile: Profile = profile_of(scenario, networks)
        self.seed = scenario.evaluation.seed + int(digest_of(networks)[:12], 16)
        self._acts: dict[str, Acts] = {OURS: self.profile.acts}
        self._values: dict[tuple[str, str], float | None] = {}
        self._played: dict[str, tuple[dict[str, Array], Array]] = {}
        self._elsewhere: dict[int, Bench] = {}

    # --- who plays ----------------------------------------------------------------------------------------------------

    def sit(self, settings: Mapping[str, Any]) -> str:
        """The handle of a player in the judged seat; raises GateError where it cannot sit."""
        handle = json.dumps(settings, sort_keys=True)
        if handle not in self._acts:
            self._acts[handle] = {**self.profile.acts, self.seat: self.act(settings, self.seat)}
        return handle

    def act(self, settings: Mapping[str, Any], seat: str) -> Act:
        """A player from its settings; raises GateError where it cannot sit."""
        role = next(role.name for role in self.market.roles if seat in role.agents)
        try:
            return recipe_of(self.market, role, settings).sit(self.market, seat)
        except ValueError as error:
            raise GateError(f"{settings.get('kind')} cannot sit in {seat}: {error}") from None

    def reference(self, settings: Mapping[str, Any] | str) -> str:
        """The handle of a reference: a player's, or the best response's."""
        return BEST if isinstance(settings, str) else self.sit(settings)

    def others(self, settings: Mapping[str, Any]) -> Acts:
        """A player in every other seat that learns; raises GateError where there is none."""
        seats = [seat for seat, label in self.profile.labels.items() if label == LEARNED and seat != self.seat]
        if not seats:
            raise GateError(f"{self.scenario.name}: no seat but {self.seat} learns, so there is nobody to replace")
        return {seat: self.act(settings, seat) for seat in seats}

    def at_steps(self, steps: int | None) -> "Bench":
        """The same weights in the market with another number of steps; raises GateError where they do not fit."""
        if steps is None:
            return self
        if steps not in self._elsewhere:
            told = self.market.model_dump()  # type: ignore[attr-defined]
            told["clock"] |= {"steps": steps}
            try:
                market = type(self.market).model_validate(told)  # type: ignore[attr-defined]
                there = self.scenario.model_copy(update={"market": market})
                self._elsewhere[steps] = Bench(there, self.networks, self.seat, self.games, self.run)
            except ValidationError as error:
                raise GateError(f"steps: found {steps}; the market says: {error.errors()[0]['msg']}") from None
            except ValueError as error:
                raise GateError(f"steps: found {steps}; {error}") from None
        return self._elsewhere[steps]

    # --- what they earn -----------------------------------------------------------------------------------------------

    def bounded(self, handles: Sequence[str], statistic: Statistic, seats: Sequence[str] = ()) -> Bound:
        """A statistic of what players earn, exact where all of them are known; each in the judged seat, or in `seats`.

        Raises GateError for the best response where it is not exact.
        """
        at = list(seats) or [self.seat] * len(handles)
        known = [
            self.best if handle == BEST else self._value(handle, seat) for handle, seat in zip(handles, at, strict=True)
        ]
        if all(value is not None for value in known):
            return certain(float(statistic(np.array(known, dtype=float))))
        if BEST in handles:
            raise GateError(f"best_response: {self.market.model} does not know what these players earn exactly")
        return self.resampled([self.earned(one, seat) for one, seat in zip(handles, at, strict=True)], statistic)

    def resampled(self, columns: Sequence[Array], statistic: Statistic) -> Bound:
        """A statistic of columns of this bench's games."""
        return statistics.bounded(columns, statistic, self.seed)

    def earned(self, handle: str, seat: str = "") -> Array:
        """Sum of a seat's rewards in every game, [games]."""
        return self._play(handle)[0][seat or self.seat]

    def profit(self, handle: str) -> Array:
        """Change of the judged seat's wealth in every game, [games]: gains less costs, penalties outside."""
        return self._play(handle)[1]

    def estimate(self, handle: str) -> dict[str, Any]:
        """What a player earns in the judged seat: mean, standard error, and whether it is exact."""
        value = self.best if handle == BEST else self._value(handle, self.seat)
        if value is not None:
            return {"mean": value, "se": 0.0, "exact": True}
        x = self.earned(handle)
        return {"mean": float(x.mean()), "se": float(x.std(ddof=1) / np.sqrt(x.size)), "exact": False}

    def _value(self, handle: str, seat: str) -> float | None:
        """What a seat earns exactly; none where the market does not know it."""
        if (handle, seat) not in self._values:
            known: Value = part(self.market, "value", lambda market, acts, seat: None)
            self._values[handle, seat] = known(self.market, self._acts[handle], seat)
        return self._values[handle, seat]

    def _play(self, handle: str) -> tuple[dict[str, Array], Array]:
        if handle not in self._played:
            rows, at = self.role.rows, self.role.agents.index(self.seat)
            seeds, earned, profit = seeds_of(self.seed, self.games, GATES), [], []
            game = Game(self.market, min(CHUNK, self.games))
            for start in range(0, self.games, CHUNK):
                some = seeds[start : start + CHUNK]
                game = game if len(some) == game.batch else Game(self.market, len(some))
                played = play(game, self._acts[handle], some)
                earned.append({seat: played.returns_of(seat) for seat in self._acts[handle]})
                signed = [(1.0, name) for name in rows.gains] + [(-1.0, name) for name in rows.costs]
                parts = [sign * played.last(name)[:, at].reshape(len(some), -1).sum(axis=1) for sign, name in signed]
                profit.append(np.sum(parts, axis=0))
            seats = {seat: np.concatenate([one[seat] for one in earned]) for seat in earned[0]}
            self._played[handle] = seats, np.concatenate(profit)
        return self._played[handle]

    def named(self, handle: str, acts: Acts) -> str:
        """A handle for a whole profile."""
        self._acts.setdefault(handle, acts)
        return handle

    # --- what theory knows --------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> float | None:
        """What the best response to the others earns; none where it is not exact."""
        value = self._value(OURS, self.seat)
        return None if value is None else value + self.gain().gain

    def gain(self) -> SeatGain:
        """Gain of the judged seat's best response by an exact engine; raises GateError where none covers the market."""
        if self._gain is None:
            raise GateError(
                f"{self.scenario.name}: no exact engine covers this profile; a search bounds a gain from below only"
            )
        return self._gain

    @cached_property
    def _gain(self) -> SeatGain | None:
        for engine in engines(self.market):
            if engine is not SEARCH and engine.applies(self.market, self.profile):
                search = Search(seed=self.scenario.evaluation.seed, views=False)
                return next(one for one in engine.gains(self.market, self.profile, search) if one.seat == self.seat)
        return None

    def beside(self) -> dict[str, Any] | None:
        """The best response's gain by an exact engine, told beside what was sampled; none where none applies."""
        one = self._gain
        return None if one is None else {"engine": one.engine, "gain": one.gain, "low": one.low, "high": one.high}

    @cached_property
    def _equilibrium(self) -> Acts:
        known: Equilibrium = part(self.market, "equilibrium", lambda market: None)
        recipes = known(self.market)
        if recipes is None:
            raise GateError(f"{self.scenario.name}: theory names no equilibrium of this market")
        try:
            return {seat: recipe.sit(self.market, seat) for seat, recipe in recipes.items()}
        except ValueError as error:
            raise GateError(f"{self.scenario.name}: the equilibrium's players cannot sit: {error}") from None

    def equilibrium(self) -> Acts:
        """The acts of the equilibrium that theory names; raises GateError where it names none."""
        return self._equilibrium

    def equilibrium_value(self) -> float:
        """What the judged seat earns in the equilibrium: exact, or the mean of this bench's games."""
        return float(self.estimate(self.named("equilibrium", self.equilibrium()))["mean"])

    def over_equilibrium(self, handle: str, acts: Acts, best: Acts) -> Bound:
        """What the judged seat earns in one profile over what it does in another."""
        return self.bounded(
            [self.named(f"{handle}, ours", acts), self.named(f"{handle}, equilibrium", best)], statistics.ratio
        )

    def newest_over_pool(self, count: int) -> Bound:
        """The trained player against `count` members of its league, less what members earn among themselves.

        Members sit in the other seats that learn. Raises GateError where the league has fewer than two.
        """
        folder = self.run / "league" if self.run is not None else Path()
        stored = [one for one in members_of(folder, self.role.name) if not one.is_exploiter]
        if len(stored) < 2:
            raise GateError(f"{folder}: {len(stored)} members of role {self.role.name}; allowed are two or more")
        spaced = np.unique(np.linspace(0, len(stored) - 1, count).round().astype(int))
        pool = [player(snapshot.read(folder, stored[i].name).weights) for i in spaced]
        rest = [s for s in self.role.agents if self.profile.labels[s] == LEARNED and s != self.seat]
        met = pool if rest else pool[:1]

        def profile(own: Act, other: Act) -> Acts:
            return {**self.profile.acts, self.seat: own, **dict.fromkeys(rest, other)}

        ours = self.profile.acts[self.seat]
        handles = [self.named(f"pool {i}", profile(ours, other)) for i, other in enumerate(met)]
        handles += [
            self.named(f"pool {i} {j}", profile(own, other))
            for i, own in enumerate(pool)
            for j, other in enumerate(met)
        ]
        new = len(met)
        return self.bounded(handles, lambda means: means[..., :new].mean(axis=-1) - means[..., new:].mean(axis=-1))
