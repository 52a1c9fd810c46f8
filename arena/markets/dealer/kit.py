"""What the dealer market offers above its rules; see `arena.markets.catalogue.Kit`.

A scenario's players are checked by this module, so that it stays light: what plays, solves or draws is imported by the
function that needs it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

from agents.executors import TWAP, AlmgrenChriss, Executor
from agents.hedged import Band
from agents.makers import AvellanedaStoikov, ConstantSpread, Maker, naive_profile
from agents.optimal_makers import HJBMaker, MPEMaker
from arena.markets.catalogue import Engine
from arena.markets.dealer.board import Board
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.prior import prior
from arena.markets.dealer.roles import EXECUTOR, MAKER
from arena.markets.market import Act
from arena.rollout import Rollout

if TYPE_CHECKING:
    from arena.runs.record import Record

__all__ = ["SEATS", "board", "naive", "prior"]

SEATS = {"maker": get_args(get_args(Maker)[0]), "executor": get_args(get_args(Executor)[0])}
naive, board = naive_profile, Board
SCHEDULES: dict[str, Any] = {one.kind: one for one in (TWAP(), AlmgrenChriss())}
"""Scripted executors that learned ones are played and compared with."""
COSTS = ("executor",)
"""Executors' rewards are costs with the other sign: what a player saves is a share of them."""
SAVING, OPTIMUM = 0.05, 0.97
"""What learned seats must reach: the trader's saving, and a lone maker's share of the way from a constant spread to the
optimum."""


def _fluid(market: DealerMarket) -> bool:
    return market.flow.orders == "fluid"


def _random(market: DealerMarket) -> bool:
    return market.flow.orders == "poisson"


ENGINES = (
    Engine("lattice", "arena.markets.dealer.gaps.lattice"),
    Engine("riccati", "arena.markets.dealer.gaps.riccati", _fluid),
    Engine("gradient", "arena.markets.dealer.gaps.gradient", _fluid),
    Engine("hjb", "arena.markets.dealer.gaps.hjb", _fluid),
    Engine("own inventory", "arena.markets.dealer.gaps.own_inventory", _random),
    Engine("dynamic programming", "arena.markets.dealer.gaps.poisson", _random),
)
"""`hjb` covers nothing that `gradient` does not; it is there to be named."""
ANSWERERS = ("arena.markets.dealer.theory.equilibrium", "arena.markets.dealer.theory.quoting")
"""Imported when somebody asks: scipy alone takes half a second."""


def _optimal(market: DealerMarket) -> MPEMaker | HJBMaker:
    return MPEMaker() if market.makers.count > 1 else HJBMaker()


def _in_a_band(market: DealerMarket) -> dict[str, HJBMaker]:
    """Where one maker hedges in a band: the quotes of a perfect hedge with the band that learning starts from."""
    hedging = market.makers.hedging
    if hedging.kind != "band" or market.makers.count > 1:
        return {}
    width = hedging.width[0] + 0.25 * (hedging.width[1] - hedging.width[0])
    return {"hjb_as_if_hedged": HJBMaker(as_if_hedged=True, hedge=Band(width=width))}


def baselines(market: DealerMarket) -> dict[str, dict[str, Any]]:
    """Scripted entrants of tournament and search: role -> name -> recipe."""
    optimal = _optimal(market)
    makers = {
        "constant_spread": ConstantSpread(),
        "monopoly_spread": ConstantSpread(half_spread="inverse_decay"),
        "avellaneda_stoikov": AvellanedaStoikov(),
        optimal.kind: optimal,
        **_in_a_band(market),
    }
    return {"maker": makers, "executor": SCHEDULES}


def rivals(market: DealerMarket, seat: str, others: Mapping[str, Act]) -> dict[str, Any]:
    """What comparisons put in a seat, by name; Avellaneda-Stoikov quotes are tuned against these others."""
    if seat in market.executor_names:
        return SCHEDULES
    found: list[Any] = [ConstantSpread(), _optimal(market)]
    with suppress(ValueError):  # its inventory is hidden
        found.insert(0, tuned(market, seat, others=others))
    return {one.kind: one for one in found} | _in_a_band(market)


def tuned(
    market: DealerMarket, seat: str, recipe: AvellanedaStoikov | None = None, others: Mapping[str, Act] | None = None
) -> AvellanedaStoikov:
    """The recipe with the risk aversion and fill decay that earn a seat most; raises ValueError where it cannot sit."""
    from arena.markets.dealer.measures.tuning import tune_avellaneda_stoikov

    return tune_avellaneda_stoikov(market, seat, others, recipe)


def targets(pairs: Sequence[Any], confidence: float) -> list[tuple[str, float, float]]:
    """Targets of learned seats as (words, worse end of the interval, bound); `pairs` are `arena.judge.Pair`."""
    from arena.runs.estimates import ratio

    out = []
    seats: dict[str, dict[str, Any]] = {}
    for one in pairs:
        seats.setdefault(one.seat, {})[one.other] = one
        if one.other in ("avellaneda_stoikov", "almgren_chriss"):
            low = one.row["low"]
            out.append((f"{one.seat} over {one.other} in its seat, lower bound, $ per game", low, 0.0))
        if one.other == "twap":
            words = f"{one.seat}: share of twap's cost and penalties saved, lower bound"
            out.append((words, one.row["saving"]["low"], SAVING))
    for seat, against in seats.items():
        if "hjb_maker" in against:
            flat, best = against["constant_spread"], against["hjb_maker"]
            share = ratio(flat.ours - flat.theirs, best.theirs - flat.theirs, confidence)
            words = f"{seat}: share of the way from a constant spread to the optimum, lower bound"
            out.append((words, share.low, OPTIMUM))
    return out


def keep(market: DealerMarket, final: Rollout, acts: Mapping[str, Mapping[str, Act]]) -> dict[str, Any]:
    """Quotes of the final makers and of their rivals, in the market states of the final games: curves.json."""
    from arena.markets.dealer.measures.curves import quote_curves

    product = market.executors[0].product if market.executors else None
    return quote_curves(market, final, acts.get("maker", {}), product)


def responder(market: DealerMarket) -> dict[str, float]:
    """Training settings of best responders that differ here: where orders arrive at random few games, large steps."""
    return {"learning_rate": 6e-3, "gae_lambda": 0.9} if _random(market) else {}


def beside(
    market: DealerMarket, acts: Mapping[str, Act], measured: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any] | None:
    """What was learned beside what theory says: theory.json."""
    from arena.markets.dealer.theory.beside import against_theory

    return against_theory(market, acts, measured, seed)


def value(market: DealerMarket, acts: Mapping[str, Act], seat: str) -> float | None:
    """What a seat earns exactly when these act; none where the state is more than time and inventories."""
    if not _random(market):
        return None
    from arena.markets.dealer.gaps import lattice

    return lattice.value(market, acts, seat)


def equilibrium(market: DealerMarket) -> dict[str, Any] | None:
    """The profile that theory calls the equilibrium: the solved quotes, where makers alone play."""
    if market.executor_names:
        return None
    return dict.fromkeys(market.maker_names, _optimal(market))


FACTS = ("products", "traded", "hedging")


def facts(market: DealerMarket) -> dict[str, Any]:
    """What a record carries besides: products, the one that each executor works, and how makers hedge.

    Shares held count as wealth unless the hedge is a swap (`perfect`).
    """
    products = market.product_names
    traded = tuple(products.index(one.product) for one in market.executors)
    return {"products": products, "traded": traded, "hedging": market.makers.hedging.kind}


def from_version_1(told: Mapping[str, Any]) -> dict[str, Any]:
    """What version 1 of the parquet files told, in the words of the present one."""
    old = dict(told)
    roles = (("maker", old.pop("makers"), MAKER), ("executor", old.pop("executors"), EXECUTOR))
    seats = [{"role": role, "agents": agents, "rows": rows._asdict()} for role, agents, rows in roles if agents]
    return {"model": "dealer", "seats": seats, "facts": {key: old.pop(key) for key in FACTS}, **old}


# --- the report -------------------------------------------------------------------------------------------------------

LABELS = {
    "edge_noise": "spread from noise", "edge_executor": "spread from executors", "inventory_pnl": "inventory",
    "hedge_pnl": "hedge", "hedge_cost": "hedge cost", "maker_fee": "fees", "executor_inventory_pnl": "inventory",
    "executor_spread_cost": "spread", "executor_impact_cost": "impact", "executor_fee": "fees",
}  # fmt: skip
"""Sources of P&L as people call them.

Maker:    pnl = spread (noise) + spread (executors) + inventory + hedge - hedge cost - fees
Executor: pnl = inventory - spread - impact - fees
with pnl = change of cash + inventory . mid + hedge . spot (identity I3).
"""
OUTSIDE = ("noise traders",)
UNIT, NAIVE = "$", "naive quotes"
SECTIONS = ("quotes", "paths", "attribution", "transfers", "versus", "spreads", "markouts", "execution")


def wealth(record: "Record") -> dict[str, Any]:
    """Cash plus the book at mid since the start, [T + 1, B] per seat."""
    from arena.markets.dealer.measures import accounts

    return accounts.wealth(record)


def objective(record: "Record") -> dict[str, Any]:
    """P&L less penalties, [B] per seat; an executor's leaves out the marks of what it holds."""
    from arena.markets.dealer.measures import accounts

    return accounts.objective(record)


def transfers(record: "Record") -> tuple[tuple[str, ...], Any]:
    """Who paid whom: accounts, and what each received from each, net, [accounts, accounts, B]."""
    from arena.markets.dealer.measures import accounts

    return accounts.transfers(record)
