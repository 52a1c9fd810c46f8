"""The catalogue of markets: finding one by the name that a scenario gives it, and what stands above its rules.

A market is a folder (a package). The house imports two modules of it by name:

    <package>.market    `Market`: settings, roles, state and rules, what is needed to play
    <package>.kit       everything above the rules (`Kit`), imported when somebody asks for it

Shipped markets are in `BUILT_IN`; a package that is installed besides names its own under the entry-point group
`option_arena.markets`, and a test or a notebook calls `add`. A name in a scenario never imports anything else.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata, util
from typing import Any, NamedTuple, Protocol, TypeVar

from arena.markets.market import Market

BUILT_IN = {"dealer": "arena.markets.dealer", "book": "arena.markets.book", "hedging": "arena.markets.hedging"}
DEFAULT = "dealer"
"""The model of a market whose settings name none."""
GROUP = "option_arena.markets"

_added: dict[str, str] = {}
Part = TypeVar("Part")


class Engine(NamedTuple):
    """A way to find best responses. Its module has

        applies(market, profile) -> bool       whether its answer holds for this market and profile
        gains(market, profile, search) -> one SeatGain per seat

    and is imported where `when(market)` holds, for most of them need torch.
    """

    name: str
    module: str
    when: Callable[[Any], bool] = lambda market: True

    def applies(self, market: Any, profile: Any) -> bool:
        """Whether it covers a market and a profile."""
        return self.when(market) and bool(import_module(self.module).applies(market, profile))

    def gains(self, market: Any, profile: Any, search: Any) -> Any:
        """The gain of each seat's best response."""
        return import_module(self.module).gains(market, profile, search)


class Kit(Protocol):
    """What a market offers above its rules: module-level names of its `kit`.

    Besides these two a kit may have the names below; the house has a default for each (`part`), which stands where the
    part is used.

    how players are made and found
    baselines(market)                  role -> name -> recipe: scripted entrants of tournament and search; default: none
    rivals(market, seat, others)       name -> recipe that comparisons put in a seat, tuned; default: its baselines
    prior(market)                      role -> where learning starts (`training.prior`); default: read off `naive`
    responder(market)                  training settings of best responders that differ here; default: none
    GRADIENT                           module whose `record(market, seeds)` plays games that can be differentiated
                                       through (`arena.training.pathwise`); default: none
    no_pathwise(market)                why `training.method: pathwise` cannot train here, or nothing; default: it cannot
    ENGINES                            exact engines of the Nash gap, best first; the search comes after them always

    how a run is judged
    judged(market)                     the market without what only helps learners, such as bonuses; default: as it is
    targets(pairs, confidence)         what learned seats must reach, besides the Nash gap's bound; default: nothing
    COSTS                              roles whose rewards are costs: comparisons say what share is saved; default: none
    ANSWERERS                          modules that answer `arena.solve`, best first; default: none
    value(market, acts, seat)          what a seat earns exactly when these play, or none; default: none
    equilibrium(market)                seat -> recipe: the profile that theory calls the equilibrium; default: none
    CALIBRATION                        module that `arena.calibrate` fits recorded events with; default: none
    beside(market, acts, lines, seed)  what theory.json holds; default: what theory draws, and the gap
    keep(market, final, acts)          what curves.json holds; default: no such file
    facts(market)                      what a record must carry to be read without the market; default: nothing

    how it is shown
    wealth(record)                     seat -> [T + 1, B] from the accounts alone; default: gains less costs
    objective(record)                  seat -> [B]; default: the sum of its rewards
    transfers(record)                  accounts, and who paid whom; default: the report has no such section
    OUTSIDE                            accounts of `transfers` that the headline ranks with the seats; default: none
    LABELS                             field of `Rows` -> what people call it; default: its name
    UNIT                               how rewards are written; default: the unit of their field
    NAIVE                              what the naive profile does, in words; default: "naive play"
    SECTIONS                           names of the report's sections about games, in order: functions of the market's
                                       module `sections`, or of `arena.pages.games`; default: those of every market
    board(game, title)                 what `render` draws; default: a table of the named state
    """

    SEATS: Mapping[str, tuple[type, ...]]
    """Role -> the recipes that a scenario may name in its seats; learned seats and snapshots fit everywhere."""

    def naive(self, market: Any) -> Mapping[str, Any]:
        """Seat -> recipe: the sane profile that gaps are relative to and that learning starts from."""
        ...


def add(model: str, package: str) -> None:
    """Make a market known to this process under a name; raises ValueError where the name is another market's."""
    if packages().get(model, package) != package:
        raise ValueError(f"market: '{model}' is {packages()[model]}; allowed is a name that is not taken")
    _added[model] = package


def packages() -> dict[str, str]:
    """The packages of all known markets by name."""
    return {**_installed(), **BUILT_IN, **_added}


@cache
def _installed() -> dict[str, str]:
    return {one.name: one.value for one in metadata.entry_points(group=GROUP)}


def market_of(model: str) -> type[Market]:
    """The class of a market; raises ValueError naming the markets there are."""
    known = packages()
    if model not in known:
        near = get_close_matches(model, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"found '{model}'; allowed are {', '.join(sorted(known))}{hint}")
    found: type[Market] = import_module(f"{known[model]}.market").Market
    return found


def kit_of(market: Market) -> Kit:
    """What a market offers above its rules."""
    return kit_named(market.model)


def kit_named(model: str) -> Kit:
    """What the markets of a model offer above their rules."""
    kit: Any = import_module(f"{packages()[model]}.kit")
    return kit


def part(market: Market, name: str, default: Part) -> Part:
    """A part of a market's kit that may be left out, or the house's default for it."""
    return part_named(market.model, name, default)


def part_named(model: str, name: str, default: Part) -> Part:
    """The same for the markets of a model."""
    found: Part = getattr(kit_named(model), name, default)
    return found


def section_named(model: str, name: str) -> Callable[[Any], Any] | None:
    """A market's own section of the report, from its module `sections`; none where it has none of that name."""
    package = packages()[model]
    found: Callable[[Any], Any] | None = None
    if util.find_spec(f"{package}.sections") is not None:
        found = getattr(import_module(f"{package}.sections"), name, None)
    return found
