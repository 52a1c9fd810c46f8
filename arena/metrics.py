"""What played games show: P&L and where it came from, risk, spreads, shortfall, markouts, and who paid whom.

Sizes: B games, T decisions, M makers, N executors, n products.  A metric is one number per game [B] wherever games can
be averaged, so that every mean comes with an interval over games and two line-ups on the same seeds can be paired.
Signs: inventory > 0 is long, a trade's sign is the taker's, costs and shortfalls > 0 are costs, markouts > 0 are good
for the maker.  Reward shaping and terminal penalties stand outside P&L.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

from arena.markets.fills import ABSENT, FlowRule

CALM = 2.0  # lots: the competition index looks at quotes of makers whose inventory in the product is at most this


class Estimate(NamedTuple):
    """A mean over games with its standard error and confidence interval."""

    mean: float
    se: float
    low: float
    high: float
    games: int


@dataclass(frozen=True)
class Record:
    """The state of B games at all T + 1 instants by name: `record["maker_inventory"]` is [T + 1, B, M, n].

    `traded[i]` is the product that executor i works, `step` is dt in clock units (`unit`).  `players` says who sat where
    ({"mm_0": "learned", "trader_0": "twap"}) and `line_up` names that; line-ups of one run share their seeds.
    """

    values: Mapping[str, np.ndarray]
    makers: tuple[str, ...]
    executors: tuple[str, ...]
    products: tuple[str, ...]
    traded: tuple[int, ...]
    step: float
    unit: str
    players: Mapping[str, str] = field(default_factory=dict)
    line_up: str = "final"

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def total(self, name: str) -> np.ndarray:
        """Growth of a cumulative quantity over the game, [B, ...]."""
        return self.values[name][-1] - self.values[name][0]

    @property
    def games(self) -> int:
        """Number of games B."""
        return int(self.values["mid"].shape[1])

    @property
    def times(self) -> np.ndarray:
        """The T + 1 instants in clock units."""
        return np.arange(self.values["mid"].shape[0]) * self.step


def estimate(values: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Mean of independent games [B] with its Student t interval."""
    x = np.asarray(values, dtype=float)
    mean, se = float(x.mean()), float(x.std(ddof=1) / np.sqrt(x.size)) if x.size > 1 else np.nan
    half = stats.t.ppf(0.5 + 0.5 * confidence, x.size - 1) * se if x.size > 1 else np.nan
    return Estimate(mean, se, mean - half, mean + half, x.size)


def ratio(numerator: np.ndarray, denominator: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Sum over games of `numerator` [B] per sum of `denominator` [B], with the interval of the ratio estimator.

    Linearisation: se = sqrt(B/(B - 1) sum_b (a_b - r d_b)^2) / sum_b d_b (Cochran 1977, section 6.4); games are the
    independent units, so fills within one game may depend on each other.  NaN where nothing was traded.
    """
    a, d = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    if d.sum() == 0.0 or a.size < 2:
        return Estimate(np.nan, np.nan, np.nan, np.nan, a.size)
    r = float(a.sum() / d.sum())
    se = float(np.sqrt(a.size / (a.size - 1) * np.square(a - r * d).sum()) / abs(d.sum()))
    half = stats.t.ppf(0.5 + 0.5 * confidence, a.size - 1) * se
    return Estimate(r, se, r - half, r + half, a.size)


def sharpe(pnl: np.ndarray, confidence: float = 0.99) -> Estimate:
    """Sharpe ratio per episode: mean/sd of P&L [B] (ddof 1, risk-free 0), not annualised.

    Interval: var(SR) = (1 - g SR + (k - 1) SR^2/4) / B with skewness g and kurtosis k, valid for P&L that is not
    normal (Mertens 2002; Opdyke 2007, eq. 6).
    """
    x = np.asarray(pnl, dtype=float)
    sd = x.std(ddof=1) if x.size > 1 else 0.0
    if sd <= 1e-12 * max(1.0, np.abs(x).max()):
        return Estimate(np.nan, np.nan, np.nan, np.nan, x.size)
    value = float(x.mean() / sd)
    skew, kurtosis = stats.skew(x), stats.kurtosis(x, fisher=False)
    se = float(np.sqrt(max(1.0 - skew * value + 0.25 * (kurtosis - 1.0) * value**2, 0.0) / x.size))
    half = stats.norm.ppf(0.5 + 0.5 * confidence) * se
    return Estimate(value, se, value - half, value + half, x.size)


def paired(a: np.ndarray, b: np.ndarray, confidence: float = 0.99) -> dict[str, float]:
    """Mean of a - b over games [B] on the same seeds, its t interval, and the two-sided p-value of no difference."""
    difference = estimate(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), confidence)
    if not difference.se > 0.0:
        p = 1.0 if difference.mean == 0.0 else 0.0 if difference.se == 0.0 else np.nan
    else:
        p = float(2.0 * stats.t.sf(abs(difference.mean) / difference.se, difference.games - 1))
    return {**difference._asdict(), "p": p}


def attribution(record: Record) -> dict[str, dict[str, np.ndarray]]:
    """P&L of every seat by source, [B] each; the sources add up to `pnl`, which comes from the accounts alone.

    Maker:    pnl = spread (noise) + spread (executors) + inventory + hedge - hedge cost - fees
    Executor: pnl = inventory - spread - impact - fees
    with pnl = change of cash + inventory . mid + hedge . spot (identity I3).  `penalties` are outside: the objective
    is pnl - penalties.
    """
    out = {}
    for m, seat in enumerate(record.makers):
        out[seat] = {
            "spread from noise": record.total("edge_noise")[:, m],
            "spread from executors": record.total("edge_executor")[:, m].sum(axis=-1),
            "inventory": record.total("inventory_pnl")[:, m],
            "hedge": record.total("hedge_pnl")[:, m],
            "hedge cost": -record.total("hedge_cost")[:, m],
            "fees": -record.total("maker_fee")[:, m],
            "pnl": _gain(_maker_wealth(record, m)),
            "penalties": record.total("running_penalty")[:, m] + record.total("terminal_penalty")[:, m],
        }
    for i, seat in enumerate(record.executors):
        out[seat] = {
            "inventory": record.total("executor_inventory_pnl")[:, i],
            "spread": -record.total("executor_spread_cost")[:, i],
            "impact": -record.total("executor_impact_cost")[:, i],
            "fees": -record.total("executor_fee")[:, i],
            "pnl": _gain(_executor_wealth(record, i)),
            "penalties": record.total("executor_penalty")[:, i],
        }
    return out


def wealth(record: Record) -> dict[str, np.ndarray]:
    """Cash plus the book at mid since the start, [T + 1, B] per seat."""
    paths = {seat: _maker_wealth(record, m) for m, seat in enumerate(record.makers)}
    paths |= {seat: _executor_wealth(record, i) for i, seat in enumerate(record.executors)}
    return {seat: path - path[0] for seat, path in paths.items()}


def objective(record: Record) -> dict[str, np.ndarray]:
    """What each seat maximises, [B]: P&L less penalties, the sum of its rewards."""
    return {seat: parts["pnl"] - parts["penalties"] for seat, parts in attribution(record).items()}


def transfers(record: Record) -> tuple[tuple[str, ...], np.ndarray]:
    """Who paid whom: the accounts and W [accounts, accounts, B], W[i, j] = what i received from j, net; W = -W'.

    A trade's spread edge goes from taker to maker, fees and impact to their accounts, hedge results between maker and
    venue.  The account `price moves` clears marks of open positions; options are in net zero supply, so its own row
    adds up to 0 (identity I4), and row sums are the P&L of each account.
    """
    accounts = (*record.makers, *record.executors, "noise traders", "hedge venue", "fees", "impact", "price moves")
    at = {name: i for i, name in enumerate(accounts)}
    w = np.zeros((len(accounts), len(accounts), record.games))

    def pay(payer: str, receiver: str, amount: np.ndarray) -> None:
        w[at[receiver], at[payer]] += amount
        w[at[payer], at[receiver]] -= amount

    for m, maker in enumerate(record.makers):
        pay("noise traders", maker, record.total("edge_noise")[:, m])
        for i, executor in enumerate(record.executors):
            pay(executor, maker, record.total("edge_executor")[:, m, i])
        pay("price moves", maker, record.total("inventory_pnl")[:, m])
        pay("hedge venue", maker, record.total("hedge_pnl")[:, m] - record.total("hedge_cost")[:, m])
        pay(maker, "fees", record.total("maker_fee")[:, m])
    for i, executor in enumerate(record.executors):
        pay("price moves", executor, record.total("executor_inventory_pnl")[:, i])
        pay(executor, "impact", record.total("executor_impact_cost")[:, i])
        pay(executor, "fees", record.total("executor_fee")[:, i])
    pay("noise traders", "fees", record.total("fee_cash") - w[at["fees"]].sum(axis=0))
    noise = record["noise_cash"] + (record["noise_inventory"] * record["mid"]).sum(axis=-1)
    pay("price moves", "noise traders", _gain(noise) - w[at["noise traders"]].sum(axis=0))
    return accounts, w


def spreads(record: Record, confidence: float = 0.99) -> list[dict[str, Any]]:
    """Quoted and effective half-spread per maker and product, and lots filled per game.

    Quoted: mean over time of the half-spread shown, sides at an inventory limit (no quote) left out.  Effective: distance from the mid at which lots were filled, per lot.
    """
    filled, shown = record["fill"][1:], record["distance"][1:]
    rows = []
    for m, maker in enumerate(record.makers):
        for p, product in enumerate(record.products):
            lots = filled[:, :, m, p].sum(axis=(0, -1))
            edge = (filled * shown)[:, :, m, p].sum(axis=(0, -1))
            there = shown[:, :, m, p] < ABSENT
            quoted = np.where(there, shown[:, :, m, p], 0.0).sum(axis=(0, -1)) / np.maximum(there.sum(axis=(0, -1)), 1)
            rows.append({
                "maker": maker, "product": product, "quoted": estimate(quoted, confidence),
                "effective": ratio(edge, lots, confidence), "lots": estimate(lots, confidence),
            })
    return rows


def fill_ratios(record: Record, confidence: float = 0.99) -> dict[str, Estimate]:
    """Share of what was wanted that traded: noise orders that arrived, and each executor's parent order."""
    arrived = record.total("arrived").sum(axis=(-2, -1))
    missed = record.total("unfilled_noise").sum(axis=(-2, -1))
    out = {"noise orders": ratio(arrived - missed, arrived, confidence)}
    for i, seat in enumerate(record.executors):
        start, left = record["remaining"][0, :, i], record["remaining"][-1, :, i]
        out[seat] = ratio(np.abs(start) - np.abs(left), np.abs(start), confidence)
    return out


def inventory_risk(record: Record) -> list[dict[str, Any]]:
    """Per maker and product: mean, standard deviation, mean |q|, largest |q| and 95 % quantile of |q| over time and games."""
    rows = []
    for m, maker in enumerate(record.makers):
        for p, product in enumerate(record.products):
            q = record["maker_inventory"][:, :, m, p].ravel()
            size = np.abs(q)
            rows.append({
                "maker": maker, "product": product, "mean": float(q.mean()), "sd": float(q.std(ddof=1)),
                "mean_size": float(size.mean()), "size_q95": float(np.quantile(size, 0.95)), "largest": float(size.max()),
            })
    return rows


def shortfall(record: Record, seat: str) -> dict[str, np.ndarray]:
    """Implementation shortfall of an executor in $ per game [B], > 0 is a cost (Perold 1988), and its parts.

    shortfall = -cash_T - x_T mid_0 + remaining_T (mid_T - mid_0): paper portfolio at the arrival mid less what was done.
    `price_move` is the part due to the drift of the mid, mean 0 where the mid is a martingale; `trading` is the rest
    (spread, impact, fees), the sharper estimate of the same mean.  `bps` is shortfall per arrival value of the parent
    order, `objective` is trading cost plus penalties less the inventory's P&L: minus the executor's return.
    """
    i = record.executors.index(seat)
    mid = record["mid"][:, :, record.traded[i]]
    cash, position = record.total("executor_cash")[:, i], record.total("executor_inventory")[:, i]
    parent, left = record["remaining"][0, :, i], record["remaining"][-1, :, i]
    total = -cash - position * mid[0] + left * (mid[-1] - mid[0])
    trading = sum(record.total(f"executor_{part}")[:, i] for part in ("spread_cost", "impact_cost", "fee"))
    penalty = record.total("executor_penalty")[:, i]
    value = np.abs(parent) * mid[0]
    return {
        "shortfall": total, "trading": trading, "price_move": total - trading, "penalty": penalty,
        "cost": trading + penalty, "bps": 1e4 * np.divide(total, value, out=np.zeros_like(total), where=value > 0.0),
        "objective": penalty - _gain(_executor_wealth(record, i)), "left": np.abs(left),
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
        for m, maker in enumerate(record.makers):
            value = ratio(gain[:, :, m].sum(axis=(0, 2, 3)), filled[:, :, m].sum(axis=(0, 2, 3)), confidence)
            rows.append({"maker": maker, "horizon": horizon * record.step, "steps": horizon, "markout": value})
    return rows


def calm_half_spread(record: Record, confidence: float = 0.99) -> Estimate:
    """Fill-weighted mean half-spread of makers whose inventory in the product is at most 2 lots, over all products."""
    filled, shown = record["fill"][1:], record["distance"][1:]
    calm = np.abs(record["maker_inventory"][:-1]) <= CALM
    lots = filled.sum(axis=-1) * calm  # [T, B, M, n]
    return ratio((lots * shown.mean(axis=-1)).sum(axis=(0, 2, 3)), lots.sum(axis=(0, 2, 3)), confidence)


def static_half_spreads(rule: FlowRule, makers: int) -> tuple[float, float]:
    """(symmetric Nash, joint-profit) half-spread of M makers on one side without inventory; inf where unbounded.

    Maximise d_m lambda_m(d) over d_m, resp. sum_m d lambda_m(d) over a common d (option_making section 9):
    exponential 1/k and 1/k; soft_best 1/(kappa (1 - 1/M) + k/M) and 1/k; logit 1/(k (1 - s)) and 1/(k (1 - M s)) with
    s = e^(-kd)/(w0 + M e^(-kd)); logistic 1/(c (1 - 1/M)) and inf (inelastic flow); relative 1/k and inf.
    """
    one = 1.0 / makers
    first, second = rule.numbers()
    if rule.kind == "exponential":
        return 1.0 / first, 1.0 / first
    if rule.kind == "soft_best":
        return 1.0 / (second * (1.0 - one) + first * one), 1.0 / first
    if rule.kind == "logit":
        return _logit_root(second, makers, 1) / first, _logit_root(second, makers, makers) / first
    if rule.kind == "logistic":
        return (1.0 / (first * (1.0 - one)) if makers > 1 else np.inf), np.inf
    return 1.0 / first, np.inf


def _logit_root(outside: float, makers: int, jointly: int) -> float:
    """x = k d with x (1 - jointly s(x)) = 1; inf where no outside option holds a joint price down."""
    if outside == 0.0 and jointly == makers:
        return np.inf

    def condition(x: float) -> float:
        return x * (1.0 - jointly / (outside * np.exp(x) + makers)) - 1.0

    high = 2.0
    while condition(high) < 0.0:
        high *= 2.0
    return float(optimize.brentq(condition, 1.0, high, xtol=1e-13))


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
    return {**out, "index": Estimate(place[0], half_spread.se * scale, min(place[1:]), max(place[1:]), half_spread.games)}


def quantiles(paths: np.ndarray, levels: Sequence[float] = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)) -> np.ndarray:
    """Quantiles over games of paths [T + 1, B] at every instant, [levels, T + 1]."""
    return np.quantile(paths, levels, axis=1)


def write_record(record: Record, folder: Path) -> Path:
    """Write games as `part-<line_up>.parquet`: a row per game and instant, a named column per quantity.

    The file appears whole or not at all; line-ups of an earlier evaluation with other names stay.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    instants, games = record["mid"].shape[:2]
    columns: dict[str, np.ndarray] = {
        "game": np.tile(np.arange(games, dtype=np.int32), instants),
        "instant": np.repeat(np.arange(instants, dtype=np.int32), games),
    }
    for name, array in record.values.items():
        flat = array.reshape(instants * games, -1)
        labels = [name] if array.ndim == 2 else [f"{name}[{','.join(map(str, i))}]" for i in np.ndindex(array.shape[2:])]
        columns |= dict(zip(labels, flat.T, strict=True))
    facts = {key: getattr(record, key) for key in ("makers", "executors", "products", "traded", "step", "unit", "players", "line_up")}
    facts |= {"schema_version": 1, "shapes": {name: array.shape[2:] for name, array in record.values.items()}}
    table = pa.table(columns).replace_schema_metadata({"arena": json.dumps(facts)})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{record.line_up}.parquet"
    pq.write_table(table, f"{path}.tmp", compression="zstd")
    os.replace(f"{path}.tmp", path)
    return path


def read_records(folder: Path) -> dict[str, Record]:
    """The line-ups that `write_record` left in a folder; raises ValueError naming a file that is not one of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = {}
    for path in sorted(folder.glob("part-*.parquet")):
        try:
            table = pq.read_table(path)
            facts = json.loads(table.schema.metadata[b"arena"])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as trouble:
            raise ValueError(f"{path}: not a file of played games ({type(trouble).__name__})") from None
        games = int(table["game"].to_numpy().max()) + 1
        values = {}
        for name, shape in facts["shapes"].items():
            labels = [f"{name}[{','.join(map(str, i))}]" for i in np.ndindex(*shape)] if shape else [name]
            values[name] = np.stack([table[label].to_numpy() for label in labels], axis=-1).reshape(-1, games, *shape)
        tuples = {key: tuple(facts[key]) for key in ("makers", "executors", "products", "traded")}
        record = Record(values, **tuples, **{key: facts[key] for key in ("step", "unit", "players", "line_up")})
        records[record.line_up] = record
    return records


def _gain(path: np.ndarray) -> np.ndarray:
    return path[-1] - path[0]


def _maker_wealth(record: Record, m: int) -> np.ndarray:
    book = (record["maker_inventory"][:, :, m] * record["mid"]).sum(axis=-1)
    return record["maker_cash"][:, :, m] + book + record["maker_hedge"][:, :, m] * record["spot"]


def _executor_wealth(record: Record, i: int) -> np.ndarray:
    return record["executor_cash"][:, :, i] + record["executor_inventory"][:, :, i] * record["mid"][:, :, record.traded[i]]
