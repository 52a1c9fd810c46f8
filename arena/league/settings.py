"""A league's settings: opponents in training, when new becomes old, exploiters, memory."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from arena.layout import STRICT
from arena.league.matchmaking import Latest, Matchmaking, Mixture, Part, Prioritised, Uniform, follows_payoffs
from arena.league.promotion import EveryRound, PromotionSettings


def _tested(value: Any) -> Any:
    """A promotion that names no kind is the test."""
    return {"kind": "test", **value} if isinstance(value, dict) else value


Promotion = Annotated[
    PromotionSettings | EveryRound,
    Field(discriminator="kind"),
    BeforeValidator(_tested, json_schema_input_type=PromotionSettings | EveryRound),
]


class ExploiterSettings(BaseModel):
    """A second learner of a role that trains against the newest member only and joins the league when it beats it."""

    model_config = STRICT
    games_share: float = Field(0.2, gt=0, lt=1, description="share of the role's training games it plays")
    patience: int = Field(10, ge=1, description="looks without success after which it restarts from fresh weights")


class LeagueSettings(BaseModel):
    """Opponents in training, promotion of candidates, exploiters and memory."""

    model_config = STRICT
    matchmaking: Matchmaking = Field(
        Mixture(parts=(Part(weight=0.75, of=Latest()), Part(weight=0.25, of=Prioritised()))),
        description="which frozen members the learners meet in training",
    )
    elsewhere: Matchmaking = Field(
        Mixture(parts=(Part(weight=0.5, of=Latest()), Part(weight=0.5, of=Uniform()))),
        description="league mixture in the other seats of promotion games",
    )
    slots: int = Field(16, ge=1, description="line-ups drawn at once; games are dealt to them evenly")
    promotion: Promotion = Field(PromotionSettings(), description="when new replaces old")
    exploiters: dict[str, ExploiterSettings] = Field(
        default_factory=dict, description="exploiters by role name; a role left out has none"
    )
    resident_megabytes: float = Field(256.0, gt=0, description="memory for frozen weights; the rest stays on disk (MB)")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.exploiters and isinstance(self.promotion, EveryRound):
            names = ", ".join(self.exploiters)
            raise ValueError(f"exploiters: found {names}; allowed is none where every round replaces old, untested")
        return self

    @property
    def test(self) -> PromotionSettings:
        """The test of candidates; raises ValueError where every round replaces old."""
        if isinstance(self.promotion, EveryRound):
            raise ValueError("league.promotion: found every_round; allowed is test where a candidate is judged")
        return self.promotion

    @property
    def follows_payoffs(self) -> bool:
        """Whether any rule draws from the equilibrium of the pay-off tensor."""
        return follows_payoffs(self.matchmaking) or follows_payoffs(self.elsewhere)
