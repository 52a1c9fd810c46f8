"""What every market has in common: a clock, roles with named columns and rows, and rules that play a step.

The house above a market knows it by the names declared here and by nothing else. A market that exists: `dealer`; the
whole of a small one is the toy of tests/third_market, explained in docs/adding.md.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from pydantic import BaseModel, Field

from arena.layout import STRICT, Choice, Layout

Act = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
"""A player that sits: act(observation [batch, D] float32, noise [batch, K] float64) -> action [batch, K] on the wire,
numbers in [-1, 1] or the index of an option."""


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


class Rows(NamedTuple):
    """Which fields of the state are a seat's money, volume and luck; each has the shape [seats] or [seats, ...].

    Over a game, gains less costs are the change of a seat's wealth. Penalties stand outside: they enter the reward, not
    the P&L. `told` are the entries of an agent's info besides its P&L, as (key, field).
    """

    reward: str  # of the last step
    gains: tuple[str, ...]  # cumulative
    costs: tuple[str, ...] = ()  # cumulative
    penalties: tuple[str, ...] = ()  # cumulative
    traded: str = ""  # lots traded in the last step
    luck: str = ""  # orders less their mean in the last step: zero in expectation whatever was done
    told: tuple[tuple[str, str], ...] = ()


class Hints(NamedTuple):
    """Which fields of the observation help a learner or a search; a name that this market does not show is ignored."""

    worth: tuple[str, ...] = ()  # what an unexpected order is worth depends on these (control variate)
    shifts: tuple[str, ...] = ()  # what a shifted action may depend on, besides `time_left`


class Role(NamedTuple):
    """Seats that share spaces: who they are, what they see, what they do, and what is known of them by name.

    `observation` has a field `time_left`. An `action` in numbers is a `Layout` with physical bounds; on the wire it is
    in [-1, 1] and `action.from_unit` maps it. An action that is a `Choice` is an index on the wire, and the observation
    then has a field `allowed`, 1 or 0 per option. Seats are `alike` when no parameter differs from seat to seat:
    relabelling them permutes the outcome, no more.
    """

    name: str
    agents: tuple[str, ...]
    observation: Layout
    action: Layout | Choice
    rows: Rows
    hints: Hints = Hints()
    alike: bool = True

    @property
    def numbers(self) -> Layout:
        """The columns of an action in numbers; raises TypeError where it is a choice."""
        if isinstance(self.action, Choice):
            raise TypeError(f"{self.name} chooses one of {', '.join(self.action.options)}; its action has no columns")
        return self.action


class Rules(NamedTuple):
    """How games are opened and played: two functions, usually compiled, and the plain arrays that they take first.

        begin(*parameters, seeds, state, observation)
        advance(*parameters, seeds, step, state, action, observation, failure) -> -1, or the code of a broken identity

    seeds uint64 [B] (mixed); state float64 [R, >= B]; action float64 and observation float32 [columns of all seats,
    >= B], roles and seats in order; failure float64 [2]: game and residual. `complaint(code, game, step, residual)` is
    the sentence of the LedgerError. `block` games are played at a time; larger batches get rows that share no cache
    lines. `games_last`: whether neighbouring games or the quantities of one game lie side by side in memory.
    """

    begin: Callable[..., None]
    advance: Callable[..., int]
    parameters: tuple[Any, ...]
    complaint: Callable[[int, int, int, float], str]
    block: int = 512
    games_last: bool = True


class Market(Protocol):
    """Parameters and rules of a market: a frozen settings class, hashable and picklable, without arrays of games."""

    @property
    def model(self) -> str:
        """Its name in a scenario."""
        ...

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
        """The rows of the state [R, B], `clipped_action` among them; names that begin with `_` are not shown."""
        ...

    def rules(self) -> Rules:
        """What `Game` plays with; the same object at each call."""
        ...

    def __hash__(self) -> int: ...
