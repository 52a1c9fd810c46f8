"""What every market has in common: a clock, roles with named columns, and rules without arrays."""

from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT, Layout


class Clock(BaseModel):
    """Trading time: `steps` equal decisions until the horizon. Rates and penalties are per `unit`."""

    model_config = STRICT
    unit: str = Field(default="day", description="name of the clock unit, for people")
    units_per_year: float = Field(default=252, gt=0, description="clock units in a year (volatility is annual)")
    horizon: float = Field(default=1, gt=0, description="end of the game, clock units")
    steps: int = Field(default=100, ge=1, le=100_000, description="decisions per game")

    @property
    def dt(self) -> float:
        """Length of a step in clock units."""
        return self.horizon / self.steps

    @property
    def years(self) -> float:
        """Length of a clock unit in years."""
        return 1.0 / self.units_per_year


class Observe(BaseModel):
    """What a role sees besides the time left and the market itself."""

    model_config = STRICT
    own: bool = Field(default=True, description="own inventory, last fills and (makers) own last quotes")
    last: bool = Field(default=True, description="whether `own` includes the last fills and quotes, which add no state")
    start: bool = Field(default=False, description="own inventory at the start of the game")
    prices: bool = Field(
        default=True, description="makers, options: mids, moneyness, and greeks of each and of the book"
    )
    rivals: Literal["inventory", "quotes", "none"] = Field(
        default="quotes",
        description="inventory: all other seats' inventories; quotes: best rival last distances; none",
    )

    @model_validator(mode="after")
    def _check(self) -> "Observe":
        if not self.own and self.rivals != "none":
            raise ValueError(
                f"rivals: found '{self.rivals}'; own: false hides all but time and start, allowed is 'none'"
            )
        return self


class Role(NamedTuple):
    """Seats that share spaces: who they are, what they see, what they do.

    `action` holds physical bounds; on the wire an action is in [-1, 1] and `action.from_unit` maps it. Seats are
    `alike` when no parameter differs from seat to seat: relabelling them permutes the outcome, no more.
    """

    name: str
    agents: tuple[str, ...]
    observation: Layout
    action: Layout
    alike: bool = True


class Market(Protocol):
    """Parameters and rules of a market; no arrays of games, no randomness of its own."""

    @property
    def clock(self) -> Clock:
        """The game's clock."""
        ...

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who plays, in the order of the kernels."""
        ...

    @property
    def state(self) -> Layout:
        """The rows of the state array [R, B]."""
        ...
