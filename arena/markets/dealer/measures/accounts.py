"""What played games show: P&L and where it came from, risk, spreads, shortfall, markouts, and who paid whom.

Sizes: B games, T decisions, M makers, N executors, n products.  A metric is one number per game [B] wherever games can
be averaged, so that every mean comes with an interval over games and two line-ups on the same seeds can be paired.
Signs: inventory > 0 is long, a trade's sign is the taker's, costs and shortfalls > 0 are costs, markouts > 0 are good
for the maker.  Reward shaping and terminal penalties stand outside P&L.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from arena.markets.dealer.flow import ABSENT, FlowRule
from arena.runs.accounts import attribution
from arena.runs.estimates import Estimate, estimate, ratio
from arena.runs.record import Record
from arena.solvers.options import half_spreads

CALM = 2.0  # lots: the competition index looks at quotes of makers whose inventory in the product is at most this


def wealth(record: Record) -> dict[str, np.ndarray]:
    """Cash plus the book at mid since the start, [T + 1, B] per seat."""
    paths = {seat: _maker_wealth(record, m) for m, seat in enumerate(record.agents("maker"))}
    paths |= {seat: _executor_wealth(record, i) for i, seat in enumerate(record.agents("executor"))}
    return {seat: path - path[0] for seat, path in paths.items()}


def objective(record: Record) -> dict[str, np.ndarray]:
    """The sum of each seat's rewards, [B]: P&L less penalties; an executor's leaves out the marks of what it holds."""
    parts = attribution(record)
    left_out = {seat: parts[seat]["inventory"] for seat in record.agents("executor")}
    return {seat: p["pnl"] - p["penalties"] - left_out.get(seat, 0.0) for seat, p in parts.items()}


def transfers(record: Record) -> tuple[tuple[str, ...], np.ndarray]:
    """Who paid whom: the accounts and W [accounts, accounts, B], W[i, j] = what i received from j, net; W = -W'.

    A trade's spread edge goes from taker to maker, fees, hedge costs and impact to their accounts, hedge results
    between maker and venue; `leak` closes trades whose two sides have different prices (executors with `price: best`).
    `price moves` clears marks of open positions: options are in net zero supply, so its own row adds up to 0 (identity
    I4), and row sums are the P&L of each account.
    """
    accounts = (
        *record.agents("maker"),
        *record.agents("executor"),
        "noise traders",
        "hedge venue",
        "fees",
        "impact",
        "leak",
        "price moves",
    )
    at = {name: i for i, name in enumerate(accounts)}
    w = np.zeros((len(accounts), len(accounts), record.games))

    def pay(payer: str, receiver: str, amount: np.ndarray) -> None:
        w[at[receiver], at[payer]] += amount
        w[at[payer], at[receiver]] -= amount

    for m, maker in enumerate(record.agents("maker")):
        pay("noise traders", maker, record.total("edge_noise")[:, m])
        for i, executor in enumerate(record.agents("executor")):
            pay(executor, maker, record.total("edge_executor")[:, m, i])
        pay("price moves", maker, record.total("inventory_pnl")[:, m])
        pay("hedge venue", maker, record.total("hedge_pnl")[:, m])
        pay(maker, "fees", record.total("maker_fee")[:, m] + record.total("hedge_cost")[:, m])
    for i, executor in enumerate(record.agents("executor")):
        pay("price moves", executor, record.total("executor_inventory_pnl")[:, i])
        pay(executor, "impact", record.total("executor_impact_cost")[:, i])
        pay(executor, "fees", record.total("executor_fee")[:, i])
        received = record.total("edge_executor")[:, :, i].sum(axis=1)
        # without makers everybody else, the noise account, is the other side of an executor's trades
        rest = "leak" if record.agents("maker") else "noise traders"
        pay(executor, rest, record.total("executor_spread_cost")[:, i] - received)
    pay("noise traders", "fees", record.total("fee_cash") - w[at["fees"]].sum(axis=0))
    noise = record["noise_cash"] + (record["noise_inventory"] * record["mid"]).sum(axis=-1)
    pay("price moves", "noise traders", _gain(noise) - w[at["noise traders"]].sum(axis=0))
    return accounts, w


def spreads(record: Record, confidence: float = 0.99) -> list[dict[str, Any]]:
    """Quoted and effective half-spread per maker and product, and lots filled per game.

    Quoted: mean over time of the half-spread shown, sides at an inventory limit (no quote) left out.  Effective:
    distance from the mid at which lots were filled, per lot.
    """
    filled, shown = record["fill"][1:], record["distance"][1:]
    rows = []
    for m, maker in enumerate(record.agents("maker")):
        for p, product in enumerate(record.facts["products"]):
            lots = filled[:, :, m, p].sum(axis=(0, -1))
            edge = (filled * shown)[:, :, m, p].sum(axis=(0, -1))
            there = shown[:, :, m, p] < ABSENT
            quoted = np.where(there, shown[:, :, m, p], 0.0).sum(axis=(0, -1)) / np.maximum(there.sum(axis=(0, -1)), 1)
            rows.append(
                {
                    "maker": maker,
                    "product": product,
                    "quoted": estimate(quoted, confidence),
                    "effective": ratio(edge, lots, confidence),
                    "lots": estimate(lots, confidence),
                }
            )
    return rows


def fill_ratios(record: Record, confidence: float = 0.99) -> dict[str, Estimate]:
    """Share of what was wanted that traded: noise orders that accepted a quote, and each executor's parent order."""
    arrived = record.total("arrived").sum(axis=(-2, -1))
    missed = record.total("unfilled_noise").sum(axis=(-2, -1))
    out = {"noise orders": ratio(arrived - missed, arrived, confidence)}
    for i, seat in enumerate(record.agents("executor")):
        start, left = record["remaining"][0, :, i], record["remaining"][-1, :, i]
        out[seat] = ratio(np.abs(start) - np.abs(left), np.abs(start), confidence)
    return out


def inventory_risk(record: Record) -> list[dict[str, Any]]:
    """Per maker and product, over time and games: mean, standard deviation, and mean, 95 % quantile, largest |q|."""
    rows = []
    for m, maker in enumerate(record.agents("maker")):
        for p, product in enumerate(record.facts["products"]):
            q = record["maker_inventory"][:, :, m, p].ravel()
            size = np.abs(q)
            rows.append(
                {
                    "maker": maker,
                    "product": product,
                    "mean": float(q.mean()),
                    "sd": float(q.std(ddof=1)),
                    "mean_size": float(size.mean()),
                    "size_q95": float(np.quantile(size, 0.95)),
                    "largest": float(size.max()),
                }
            )
    return rows


def shortfall(record: Record, seat: str) -> dict[str, np.ndarray]:
    """Implementation shortfall of an executor in $ per game [B], > 0 is a cost (Perold 1988), and its parts.

    shortfall = -cash_T - x_T mid_0 + remaining_T (mid_T - mid_0): paper portfolio at the arrival mid less the real one.
    `price_move` is the part due to the drift of the mid, mean 0 where the mid is a martingale; `trading` is the rest
    (spread, impact, fees), the sharper estimate of the same mean.  `bps` is shortfall per arrival value of the parent
    order; `cost` is trading cost plus penalties, minus the executor's return.
    """
    i = record.agents("executor").index(seat)
    mid = record["mid"][:, :, record.facts["traded"][i]]
    cash, position = record.total("executor_cash")[:, i], record.total("executor_inventory")[:, i]
    parent, left = record["remaining"][0, :, i], record["remaining"][-1, :, i]
    total = -cash - position * mid[0] + left * (mid[-1] - mid[0])
    trading = sum(record.total(f"executor_{part}")[:, i] for part in ("spread_cost", "impact_cost", "fee"))
    penalty = record.total("executor_penalty")[:, i]
    value = np.abs(parent) * mid[0]
    return {
        "shortfall": total,
        "trading": trading,
        "price_move": total - trading,
        "penalty": penalty,
        "cost": trading + penalty,
        "bps": 1e4 * np.divide(total, value, out=np.zeros_like(total), where=value > 0.0),
        "left": np.abs(left),
    }


def markouts(record: Record, horizons: Sequence[int], confidence: float = 0.99) -> list[dict[str, Any]]:
    """Mean P&L per filled lot `horizon` steps after the fill, per maker; > 0 is good for the maker.

    markout(h) = distance + s (move of the mid from the quote to h steps later, less delta times the spot's move), with
    s = +1 for a bid fill and -1 for an ask fill; fills too late for the horizon are marked at the game's last mid.
    Horizon 0 is the spread earned; what is lost from there on is adverse selection.
    """
    filled, shown = record["fill"][1:], record["distance"][1:]
    mid, delta, spot = record["mid"], record["delta"], record["spot"]
    last, start = filled.shape[0], np.arange(filled.shape[0])
    sign = np.array([1.0, -1.0])
    rows = []
    for horizon in horizons:
        end = np.minimum(start + horizon, last)
        hedge = delta[start] * (spot[end] - spot[start])[..., None]
        move = mid[end] - mid[start] - hedge  # [T, B, n]
        gain = filled * (shown + sign * move[:, :, None, :, None])
        for m, maker in enumerate(record.agents("maker")):
            value = ratio(gain[:, :, m].sum(axis=(0, 2, 3)), filled[:, :, m].sum(axis=(0, 2, 3)), confidence)
            rows.append({"maker": maker, "horizon": horizon * record.step, "steps": horizon, "markout": value})
    return rows


def calm_half_spread(record: Record, confidence: float = 0.99) -> Estimate:
    """Fill-weighted mean half-spread of makers whose inventory in the product is at most 2 lots, over all products."""
    filled, shown = record["fill"][1:], record["distance"][1:]
    calm = (np.abs(record["maker_inventory"][:-1]) <= CALM) & (shown < ABSENT).all(axis=-1)
    lots = filled.sum(axis=-1) * calm  # [T, B, M, n]
    return ratio((lots * shown.mean(axis=-1)).sum(axis=(0, 2, 3)), lots.sum(axis=(0, 2, 3)), confidence)


def static_half_spreads(rule: FlowRule, makers: int) -> tuple[float, float]:
    """(symmetric Nash, joint-profit) half-spread of a flow rule's makers without inventory; inf where unbounded.

    The two coincide where makers do not compete; formulas in `arena.solvers.options.half_spreads`.
    """
    if rule.kind == "soft_best":
        k = rule.fill_decay
        return half_spreads.soft_best_nash(makers, k, rule.sharpness), half_spreads.soft_best_joint(k)
    if rule.kind == "logit" and rule.outside > 0.0:
        numbers = makers, rule.fill_decay, rule.outside
        return half_spreads.logit_nash(*numbers), half_spreads.logit_joint(*numbers)
    if rule.kind == "logit":  # without an outside option: shares of inelastic flow
        return half_spreads.logistic_nash(makers, rule.fill_decay), half_spreads.logistic_joint()
    if rule.kind == "logistic":
        return half_spreads.logistic_nash(makers, rule.sharpness), half_spreads.logistic_joint()
    if rule.kind == "relative":
        return half_spreads.relative_nash(makers, rule.fill_decay), half_spreads.relative_joint()
    return 1.0 / rule.fill_decay, 1.0 / rule.fill_decay


def competition(half_spread: Estimate, nash: float, joint: float) -> dict[str, Any]:
    """Where a half-spread lies between the static Nash value (index 0) and the joint-profit value (index 1).

    Where these are unbounded or coincide, `index` is None and `why` says so.
    """
    out: dict[str, Any] = {"half_spread": half_spread, "nash": nash, "joint": joint, "index": None, "why": ""}
    if not np.isfinite([nash, joint]).all():
        return {**out, "why": "not defined for this rule: joint profit has no bound"}
    if abs(joint - nash) <= 1e-9 * abs(joint):
        return {**out, "why": "not defined for this rule: static Nash and joint-profit half-spreads coincide"}
    place = [(value - nash) / (joint - nash) for value in (half_spread.mean, half_spread.low, half_spread.high)]
    scale = 1.0 / abs(joint - nash)
    return {
        **out,
        "index": Estimate(place[0], half_spread.se * scale, min(place[1:]), max(place[1:]), half_spread.games),
    }


def _gain(path: np.ndarray) -> np.ndarray:
    return path[-1] - path[0]


def _maker_wealth(record: Record, m: int) -> np.ndarray:
    book = record["maker_cash"][:, :, m] + (record["maker_inventory"][:, :, m] * record["mid"]).sum(axis=-1)
    return book if record.facts["hedging"] == "perfect" else book + record["maker_hedge"][:, :, m] * record["spot"]


def _executor_wealth(record: Record, i: int) -> np.ndarray:
    mid = record["mid"][:, :, record.facts["traded"][i]]
    return record["executor_cash"][:, :, i] + record["executor_inventory"][:, :, i] * mid
