"""Who meets whom: probabilities over a role's members, and draws that are a pure function of seed and iteration."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT


class Pool(NamedTuple):
    """One role's members as matchmaking sees them; P entries each, oldest first."""

    names: tuple[str, ...]
    exploiter: np.ndarray  # bool [P]
    advantage: np.ndarray  # [P] chance that the learner gains against this member; 0.5 where nothing is known
    meta: np.ndarray | None  # [P] mixture of the pay-off tensor's equilibrium; None before the first tournament


class Latest(BaseModel):
    """Always the newest member that is no exploiter."""

    model_config = STRICT
    kind: Literal["latest"] = Field("latest", description="newest member")

    def probabilities(self, pool: Pool) -> np.ndarray:
        """All mass on the newest main member, [P]."""
        return np.eye(len(pool.names))[np.flatnonzero(~pool.exploiter)[-1]]


class Uniform(BaseModel):
    """Every member alike, exploiters included."""

    model_config = STRICT
    kind: Literal["uniform"] = Field("uniform", description="all members, old and new")

    def probabilities(self, pool: Pool) -> np.ndarray:
        """1/P each, [P]."""
        return np.full(len(pool.names), 1 / len(pool.names))


class Prioritised(BaseModel):
    """Prioritised fictitious self-play (Vinyals et al. 2019) on gains instead of wins.

    With p_j the chance that the learner's paired gain is positive when member j sits elsewhere (normal approximation
    from the recorded gains): weight (1 - p_j)^power for `hard`, p_j (1 - p_j) for `even`, normalised; then a share
    `floor` is spread over all members, so that nobody is forgotten.
    """

    model_config = STRICT
    kind: Literal["prioritised"] = Field("prioritised", description="members the learner gains least against")
    curve: Literal["hard", "even"] = Field("hard", description="hard: the strongest opponents; even: equal ones")
    power: float = Field(2.0, gt=0, description="exponent of the hard curve (dimensionless)")
    floor: float = Field(0.1, ge=0, le=1, description="share of games spread evenly over all members")

    def probabilities(self, pool: Pool) -> np.ndarray:
        """Mass by gain, [P]."""
        p = pool.advantage
        weight = (1 - p) ** self.power if self.curve == "hard" else p * (1 - p)
        total = weight.sum()
        even = np.full(len(p), 1 / len(p))
        return self.floor * even + (1 - self.floor) * (weight / total if total > 0 else even)


class MetaStrategy(BaseModel):
    """The role's mixture at the equilibrium (CCE) of the current pay-off tensor; uniform before the first one."""

    model_config = STRICT
    kind: Literal["meta_strategy"] = Field("meta_strategy", description="mixture of the tournament's equilibrium (CCE)")

    def probabilities(self, pool: Pool) -> np.ndarray:
        """The equilibrium's mass, 0 for members outside the tensor, [P]."""
        return Uniform().probabilities(pool) if pool.meta is None else pool.meta


Simple = Annotated[Latest | Uniform | Prioritised | MetaStrategy, Field(discriminator="kind")]


class Part(BaseModel):
    """One ingredient of a mixture."""

    model_config = STRICT
    weight: float = Field(gt=0, description="share of this part before normalisation (dimensionless)")
    of: Simple = Field(description="how this share of opponents is chosen")


class Mixture(BaseModel):
    """A weighted mixture of other rules; weights are normalised."""

    model_config = STRICT
    kind: Literal["mixture"] = Field("mixture", description="several rules at once")
    parts: tuple[Part, ...] = Field(min_length=1, description="rules and their shares")

    @model_validator(mode="after")
    def _kinds_differ(self) -> Self:
        kinds = [part.of.kind for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"parts: found {kinds}; allowed is each kind once")
        return self

    def probabilities(self, pool: Pool) -> np.ndarray:
        """Weighted mean of the parts' masses, [P]."""
        weights = np.array([part.weight for part in self.parts])
        return weights / weights.sum() @ np.stack([part.of.probabilities(pool) for part in self.parts])


Matchmaking = Annotated[Latest | Uniform | Prioritised | MetaStrategy | Mixture, Field(discriminator="kind")]


def follows_payoffs(rule: Matchmaking) -> bool:
    """Whether a rule draws from the equilibrium of the pay-off tensor, which then must be played now and again."""
    parts = [part.of for part in rule.parts] if isinstance(rule, Mixture) else [rule]
    return any(isinstance(one, MetaStrategy) for one in parts)


def raw(seed: int, purpose: str, iteration: int, count: int) -> np.ndarray:
    """uint64 [count] that depend on the arguments only (Philox 4x64 keyed by a hash of seed and purpose)."""
    key = np.frombuffer(hashlib.blake2b(f"{seed}|{purpose}".encode(), digest_size=16).digest(), dtype=np.uint64)
    return np.random.Philox(key=key, counter=np.array([0, iteration, 0, 0], dtype=np.uint64)).random_raw(count)


def draw(probabilities: np.ndarray, count: int, seed: int, purpose: str, iteration: int) -> np.ndarray:
    """Indices [count] by systematic sampling in random order.

    Index j comes floor or ceil(count p_j) times, p_j count on average, so a rule's shares hold within each draw and
    not only in the long run; the order is shuffled so that slots of different roles pair up at random.
    """
    bits = raw(seed, purpose, iteration, count + 1)
    offset = (bits[0] >> np.uint64(11)) * 2.0**-53
    edges = np.cumsum(probabilities)
    chosen = np.searchsorted(edges / edges[-1], (np.arange(count) + offset) / count, side="right")
    return np.minimum(chosen, np.flatnonzero(probabilities)[-1])[np.argsort(bits[1:], kind="stable")]
