"""What the hedging market offers above its rules; see `arena.markets.catalogue.Kit`."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_args

from agents.hedgers import DeltaHedge, DPHedger, Hedger, TunedBand, WhalleyWilmott, naive_profile
from arena.markets.catalogue import Engine
from arena.markets.hedging.market import HedgingMarket
from arena.markets.hedging.prior import prior
from arena.markets.market import Act

__all__ = ["SEATS", "naive", "prior"]

SEATS = {"hedger": get_args(get_args(Hedger)[0])}
naive = naive_profile
ENGINES = (Engine("hedging dp", "arena.markets.hedging.gaps.table", lambda market: market.only is not None),)
ANSWERERS = ("arena.markets.hedging.theory.band",)
GRADIENT = "arena.markets.hedging.gradient"


def no_pathwise(market: HedgingMarket) -> str | None:
    """Why gradients cannot go through the band, or nothing: what is seen must not depend on what was done."""
    if market.observe.hedge:
        return "what is seen must not depend on the band; set market.observe.hedge to false"
    return None


def baselines(market: HedgingMarket) -> dict[str, dict[str, Any]]:
    """Scripted entrants of tournament and search: role -> name -> recipe."""
    found: list[Any] = [DeltaHedge()]
    band = WhalleyWilmott(multiplier=4.0)
    if market.hedge.width[1] > market.hedge.width[0] and market.hedge.cost > 0:
        with suppress(ValueError):  # the range of the width may be too narrow for it
            band.sit(market, market.roles[0].agents[0])
            found.append(band)
    if market.only is not None:
        found.append(DPHedger())
    return {"hedger": {one.kind: one for one in found}}


def rivals(market: HedgingMarket, seat: str, others: Mapping[str, Act]) -> dict[str, Any]:
    """What comparisons put in the seat, by name: the naive hedge, the tuned band, the optimum where it is known."""
    found = baselines(market)["hedger"]
    if "whalley_wilmott" in found:
        with suppress(ValueError):
            tuned = TunedBand()
            tuned.sit(market, seat)
            found = {name: one for name, one in found.items() if name != "whalley_wilmott"} | {tuned.kind: tuned}
    return found


LABELS = {
    "edge": "edge of orders", "mark_pnl": "book", "hedge_pnl": "shares", "hedge_cost": "hedge cost",
    "variation_penalty": "penalty for variation",
}  # fmt: skip
"""Sources of P&L as people call them: pnl = edge + book + shares - hedge cost = change of cash + book + shares."""
UNIT, NAIVE = "$", "the Black-Scholes hedge"
