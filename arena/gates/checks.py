"""What a gate checks: one class a kind. Each says what it measures on a `Bench`, and when a number is good enough.

    score               G = (J - J_base) / (J_reference - J_base), share of the way from a base to a reference
    share               J / J_reference
    over                J less that of a rival in the same game, or of another player in the same seat
    deviation           standard deviation of P&L over a base's, where means are 0; `steps` for another clock
    exploitability      gain of one seat's best response over the equilibrium's value
    value               J over the equilibrium's
    against             J over the equilibrium player's, both against the same opponent
    newest_over_pool    the newest policy against the league's members, less what these earn among themselves

J is the expected sum of a seat's rewards. Where the market knows it exactly no game is played; otherwise all players of
a check play the same games. A number is judged at its worse one-sided 99 % bound.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.gates.bench import OURS, Bench, GateError
from arena.gates.statistics import Bound, deviation_ratio, difference, ratio, share_of_the_way
from arena.layout import STRICT

RawRecipe = dict[str, Any]
"""A player as plain data, `{kind: ..., ...}`: the market's kit knows its class."""
SIGMAS = 3.0
"""Standard errors within which the mean of a hedged P&L must be 0."""


class _Check(BaseModel):
    """What all kinds have."""

    model_config = STRICT
    floor: ClassVar[float | None] = None
    """What the worst seed must stay above; none where nothing is asked of it alone."""
    seat: str = Field("", description="the seat that is judged; empty: the first that learns")

    def measure(self, bench: Bench) -> Bound:
        """The number, on a bench; raises GateError where it cannot be judged."""
        raise NotImplementedError

    def marks(self, bench: Bench) -> dict[str, float]:
        """The same number of scripted players, by name, for orientation."""
        return {}

    def told(self, bench: Bench) -> dict[str, Any]:
        """What else the gate file keeps: the base's and the reference's earnings."""
        return {}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class _AtLeast(_Check):
    sign: ClassVar[str] = "≥"
    at_least: float = Field(description="the lower bound must reach this")
    stretch: float | None = Field(None, description="a harder number, not needed to pass")

    @property
    def threshold(self) -> float:
        """What is asked."""
        return self.at_least

    def holds(self, found: Bound, bound: float | None = None) -> bool:
        """Whether the worse bound of a number reaches the threshold, or another one."""
        return found.low >= (self.at_least if bound is None else bound)

    def worse(self, found: Bound) -> float:
        """The bound at which it is judged."""
        return found.low


class _AtMost(_Check):
    sign: ClassVar[str] = "≤"
    at_most: float = Field(description="the upper bound must not exceed this")
    stretch: float | None = Field(None, description="a harder number, not needed to pass")

    @property
    def threshold(self) -> float:
        """What is asked."""
        return self.at_most

    def holds(self, found: Bound, bound: float | None = None) -> bool:
        """Whether the worse bound of a number stays below the threshold, or another one."""
        return found.high <= (self.at_most if bound is None else bound)

    def worse(self, found: Bound) -> float:
        """The bound at which it is judged."""
        return found.high


class _Above0(_AtLeast):
    floor: ClassVar[float | None] = 0.0


class Score(_Above0):
    """Share of the way from a base to a reference; the worst seed must be above the base."""

    kind: Literal["score"] = "score"
    base: RawRecipe = Field(description="who scores 0, in the judged seat")
    reference: RawRecipe | Literal["best_response"] = Field(description="who scores 1; best_response where it is exact")
    beside: dict[str, RawRecipe] = Field(default_factory=dict, description="players whose score is shown beside it")

    def measure(self, bench: Bench) -> Bound:
        """G; raises GateError where the reference is not better than the base."""
        players = [OURS, bench.sit(self.base), bench.reference(self.reference)]
        wider = bench.bounded(players[1:], difference)
        if wider.high >= 0.0:
            found = f"their difference is {-wider.value:.4g}, its lower bound {-wider.high:.4g}"
            raise GateError(f"the reference is not better than the base: {found}; allowed is a difference above 0")
        return bench.bounded(players, share_of_the_way)

    def marks(self, bench: Bench) -> dict[str, float]:
        """Scores of the players beside it."""
        ends = [bench.sit(self.base), bench.reference(self.reference)]
        return {
            name: bench.bounded([bench.sit(one), *ends], share_of_the_way).value for name, one in self.beside.items()
        }

    def told(self, bench: Bench) -> dict[str, Any]:
        """Means and standard errors of base and reference."""
        ends = {"base": bench.sit(self.base), "reference": bench.reference(self.reference)}
        return {name: bench.estimate(one) for name, one in ends.items()}


class Share(_Above0):
    """What the player earns over what a reference does in its seat."""

    kind: Literal["share"] = "share"
    reference: RawRecipe | Literal["best_response"] = Field(description="who earns 1; best_response where it is exact")

    def measure(self, bench: Bench) -> Bound:
        """J / J_reference; raises GateError where the reference does not earn more than 0."""
        reference = bench.reference(self.reference)
        if bench.bounded([reference], lambda means: means[..., 0]).low <= 0.0:
            raise GateError("the reference earns nothing; allowed is one whose earnings are above 0")
        return bench.bounded([OURS, reference], ratio)

    def told(self, bench: Bench) -> dict[str, Any]:
        """Mean and standard error of the reference."""
        return {"reference": bench.estimate(bench.reference(self.reference))}


class Over(_AtLeast):
    """What the player earns more than a rival in another seat of its games, or than a base in its own seat."""

    kind: Literal["over"] = "over"
    rival: str = Field("", description="the seat of the rival in the same games")
    base: RawRecipe | None = Field(None, description="another player in the judged seat")

    @model_validator(mode="after")
    def _one(self) -> "Over":
        if bool(self.rival) == (self.base is not None):
            raise ValueError("rival: found both or neither of rival and base; allowed is one of them")
        return self

    def measure(self, bench: Bench) -> Bound:
        """J less the other's."""
        if self.base is not None:
            return bench.bounded([OURS, bench.sit(self.base)], difference)
        return bench.bounded([OURS, OURS], difference, [bench.seat, self.rival])


class Deviation(_AtMost):
    """Standard deviation of P&L over a base's, which is asked to have mean 0 like the player's."""

    kind: Literal["deviation"] = "deviation"
    base: RawRecipe = Field(description="who has 1, in the judged seat")
    steps: int | None = Field(
        None, ge=1, description="decisions per game, in place of the scenario's; the same weights"
    )

    def measure(self, bench: Bench) -> Bound:
        """The ratio; infinite where the player's mean is not 0 within three standard errors."""
        there = bench.at_steps(self.steps)
        ours, base = there.profit(OURS), there.profit(there.sit(self.base))
        found = there.resampled([ours, ours * ours, base, base * base], deviation_ratio)
        if abs(ours.mean()) > SIGMAS * ours.std(ddof=1) / np.sqrt(ours.size):
            return found._replace(high=float("inf"))
        return found


class Exploitability(_AtMost):
    """Gain of the judged seat's best response, as a share of the equilibrium's value; exact engines only."""

    kind: Literal["exploitability"] = "exploitability"
    share_of: Literal["equilibrium"] = Field("equilibrium", description="the equilibrium's value of the seat")

    def measure(self, bench: Bench) -> Bound:
        """The gain over the value."""
        gain, value = bench.gain(), bench.equilibrium_value()
        return Bound(gain.gain / value, gain.low / value, gain.high / value)


class Value(_Check):
    """What the player earns in its own profile, over what the equilibrium does."""

    kind: Literal["value"] = "value"
    of: Literal["equilibrium"] = Field("equilibrium", description="the profile that theory calls the equilibrium")
    within: float = Field(gt=0, description="how far from 1 both bounds may be")
    stretch: float | None = Field(None, gt=0, description="a harder number, not needed to pass")
    sign: ClassVar[str] = "within 1 ±"

    @property
    def threshold(self) -> float:
        """What is asked."""
        return self.within

    def measure(self, bench: Bench) -> Bound:
        """The ratio."""
        return bench.over_equilibrium("self-play", bench.profile.acts, bench.equilibrium())

    def holds(self, found: Bound, bound: float | None = None) -> bool:
        """Whether both bounds are near 1."""
        near = self.within if bound is None else bound
        return 1.0 - near <= found.low and found.high <= 1.0 + near

    def worse(self, found: Bound) -> float:
        """The bound that is farther from 1."""
        return found.low if abs(found.low - 1.0) > abs(found.high - 1.0) else found.high


class Against(_Above0):
    """What the player earns against an opponent in all other learned seats, over what the equilibrium's player does."""

    kind: Literal["against"] = "against"
    opponent: RawRecipe = Field(description="who sits in the other learned seats")
    of: Literal["equilibrium"] = Field("equilibrium", description="whose earnings against it count as 1")

    def measure(self, bench: Bench) -> Bound:
        """The ratio."""
        others = bench.others(self.opponent)
        best = {bench.seat: bench.equilibrium()[bench.seat]}
        mixed = {**bench.profile.acts, **others}
        return bench.over_equilibrium(json.dumps(self.opponent, sort_keys=True), mixed, {**mixed, **best})


class NewestOverPool(_AtLeast):
    """The newest policy against members of the league, less what these earn against each other on average."""

    kind: Literal["newest_over_pool"] = "newest_over_pool"
    members: int = Field(6, ge=2, description="members, evenly spaced from the first to the newest")

    def measure(self, bench: Bench) -> Bound:
        """The difference of the two means."""
        return bench.newest_over_pool(self.members)


Check = Annotated[
    Score | Share | Over | Deviation | Exploitability | Value | Against | NewestOverPool, Field(discriminator="kind")
]


def recipes_of(check: Any) -> Iterator[tuple[tuple[str, ...], RawRecipe]]:
    """The players that a check names, each with its place in the check."""
    for name in ("base", "reference", "opponent"):
        one = getattr(check, name, None)
        if isinstance(one, dict):
            yield (name,), one
    for name, one in getattr(check, "beside", {}).items():
        yield ("beside", name), one
