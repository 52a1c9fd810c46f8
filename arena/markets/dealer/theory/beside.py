"""What a run learned beside what theory says: the facts of theory.json, from which the report draws.

Learned play is one profile from the nominal start (draws replaced by their means), averaged over games where orders are
random. Controls hold over a step, so both are compared at the middle of the steps, inventories at their ends.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.game import Game
from arena.layout import Array
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import Start
from arena.markets.dealer.theory.quoting import QuotingAnswer, quotes_beside
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.theory import INFORMATION, answer, as_drawn, gap_lines, views

GAMES, STREAM = 512, 42
"""Games over which random play is averaged, and their stream of seeds; without chance one game says it all."""
SHORT = {"open_loop": "open-loop equilibrium", "feedback": "feedback equilibrium"}


class LearnedPlay(NamedTuple):
    """Mean play of a profile: by seat its return, its inventory at the ends of steps and its controls in each step."""

    returns: dict[str, float]
    inventory: dict[str, Array]
    controls: dict[str, dict[str, Array]]


def nominal_market(market: DealerMarket) -> DealerMarket:
    """The market with every drawn inventory and order replaced by its mean."""
    tree = market.model_dump(mode="json")
    if isinstance(market.makers.initial_inventory, Start):
        tree["makers"]["initial_inventory"] = market.makers.initial_inventory.mean
    for lots, executor in zip(market.mean_orders(), tree["executors"], strict=True):
        executor["size"] = lots
    return DealerMarket.model_validate(tree)


def played(market: DealerMarket, acts: Mapping[str, Act], seed: int) -> LearnedPlay:
    """Mean returns and paths of a profile from the nominal start of a one-asset market."""
    start, dt = nominal_market(market), market.clock.dt
    count = 1 if market.flow.orders == "fluid" else GAMES
    result = play(Game(start, count), acts, seeds_of(seed, count, STREAM), trace=True)
    inventory: dict[str, Array] = {}
    controls: dict[str, dict[str, Array]] = {}
    for m, seat in enumerate(market.maker_names):
        inventory[seat] = result.path("maker_inventory")[:, :, m, 0].mean(axis=1)
        quoted = result.path("distance")[1:, :, m, 0].mean(axis=1)
        controls[seat] = {"bid": quoted[:, 0], "ask": quoted[:, 1]}
    for j, seat in enumerate(market.executor_names):
        inventory[seat] = -result.path("remaining")[:, :, j].mean(axis=1)
        way = result.path("direction")[0, 0, j]
        controls[seat] = {"rate": way * result.path("executor_fill")[1:, :, j].mean(axis=1) / dt}
    return LearnedPlay({seat: float(result.returns_of(seat).mean()) for seat in acts}, inventory, controls)


def against_theory(
    market: DealerMarket, acts: Mapping[str, Act], measured: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any] | None:
    """What theory.json holds: sentence, panels, tables, and the gap over iterations; none where theory is silent.

    `measured` are the lines of nash_gap.jsonl, `seed` is the evaluation's.
    """
    found = {name: answer(market, name) for name in INFORMATION}
    known = {name: one for name, one in found.items() if not isinstance(one, str)}
    if not known:
        return None
    told = {name: one.to_dict() for name, one in known.items()}
    solved = {name: one for name, one in told.items() if "players" in one}
    out: dict[str, Any] = {"schema_version": 1, "gap": gap_lines(measured)}
    if not solved:
        first = next(iter(known.values()))
        if isinstance(first, QuotingAnswer) and (beside := quotes_beside(market, acts, first)):
            return {**out, **beside, "tables": views(measured)}
        return {**out, "sentence": f"{first.headline()}.", "panels": as_drawn(first), "tables": views(measured)}
    learned = played(market, acts, seed)
    far = {name: _distance(market, learned, one) for name, one in solved.items()}
    nearest = min(far, key=far.__getitem__)
    away = [f"{100 * far[name]:.3g} % from the {SHORT[name]}" for name in solved]
    sentence = (
        f"{known[nearest].headline()}. Play from the nominal start is nearest to the {SHORT[nearest]}: "
        f"quotes and rates are on average {' and '.join(away)}."
    )
    tables = [_pay_offs(learned, solved), *views(measured)]
    return {**out, "sentence": sentence, "panels": panels(market, learned, solved), "tables": tables}


def panels(market: DealerMarket, learned: LearnedPlay, solved: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Asks, bids, rates and inventories over time: learned, and each equilibrium that is known."""
    edges = np.linspace(0.0, market.clock.horizon, market.clock.steps + 1)
    middles, unit = 0.5 * (edges[:-1] + edges[1:]), market.clock.unit
    kinds = [
        ("ask", "Asks", "distance from the mid, $", market.maker_names),
        ("bid", "Bids", "distance from the mid, $", market.maker_names),
        ("inventory", "Makers' inventories", "lots", market.maker_names),
        ("rate", "Rates", f"lots per {unit}", market.executor_names),
        ("inventory", "Traders' inventories", "lots", market.executor_names),
    ]
    out = []
    for kind, title, y_label, seats in kinds:
        x = edges if kind == "inventory" else middles
        series: list[dict[str, Any]] = []
        for seat in seats:
            own = learned.inventory[seat] if kind == "inventory" else learned.controls[seat][kind]
            series.append({"name": f"{seat}, learned", "y": own.tolist()})
            for name, one in solved.items():
                if (path := _path(one, seat, kind, x)) is not None:
                    series.append({"name": f"{seat}, {SHORT[name]}", "y": path.tolist()})
        if series:
            caption = f"{title} from the nominal start: what was learned, and what theory plays."
            panel = {"title": title, "x_label": f"time ({unit}s)", "y_label": y_label, "x": x.tolist()}
            out.append({**panel, "series": series, "caption": caption})
    return out


def _path(told: Mapping[str, Any], seat: str, kind: str, x: NDArray[Any]) -> Array | None:
    """A player's path of an answer at times x, none where it has none."""
    player = next((one for one in told["players"] if one["name"] == seat), None)
    if player is None or player.get(kind) is None:
        return None
    return np.interp(x, told["t"], player[kind])


def _distance(market: DealerMarket, learned: LearnedPlay, told: Mapping[str, Any]) -> float:
    """Mean over seats and controls of |learned - theory| over time, as a share of theory's mean size."""
    middles = (np.arange(market.clock.steps) + 0.5) * market.clock.dt
    shares = []
    for seat, controls in learned.controls.items():
        for kind, own in controls.items():
            if (path := _path(told, seat, kind, middles)) is not None:
                shares.append(np.abs(own - path).mean() / max(float(np.abs(path).mean()), 1e-12))
    return float(np.mean(shares)) if shares else np.inf


def _pay_offs(learned: LearnedPlay, solved: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for seat, value in learned.returns.items():
        theory = [next((p["objective"] for p in one["players"] if p["name"] == seat), None) for one in solved.values()]
        rows.append([seat, f"{value:.4f}", *("–" if one is None else f"{one:.4f}" for one in theory)])
    head = ["seat", "learned", *(SHORT[name] for name in solved)]
    return {"caption": "Pay-offs from the nominal start, $ per game", "head": head, "rows": rows}
