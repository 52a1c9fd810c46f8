"""The dealer market's parameters as the plain arrays its kernels read, and the names of what stands in them.

Arguments of the kernels, the same in every module of this market; n products, M makers, N executors, B games:

    whole, real, bounds   all parameters, as `Packed`
    size, number, at      sizes and switches, scalars, first state rows: `Tables`, by the names below
    product, maker        the parameters of each product and of each maker: `Tables`
    executor, table       those of each executor, and what a decision or step has of its own: `Tables`
    seeds                 uint64 [B or W]: the games' seeds, mixed by `draws.mix_seeds`
    state                 float64 [R, >= B]: rows by the names in `columns`, `state[at[MID] + i]` is product i's mid
    action, observation   float64 and float32 [columns of all seats, >= B], makers before executors
    step                  the index of the decision, from 0
    lo, hi                the block: games lo to hi - 1; W = hi - lo, and a row is a slice [W] of an array
    i, m, j               index of a product, of a maker, of an executor
    side                  0: bids are hit, 1: asks are lifted
    nxt                   [`moves.next_rows`, W]: spot, prices, greeks and shocks at the end of the step
    rate                  [N, W]: how fast the executors trade towards their targets, lots per clock unit
    work                  scratch rows [.., W]; the kernel says how many and what they hold
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from arena.markets.dealer import columns
from arena.markets.dealer.flow import offsets_of
from arena.markets.dealer.pricing import remaining_deviation, times
from arena.markets.dealer.roles import roles
from arena.markets.dealer.seats import AgentHedge, BandHedge, CostlyHedge, QuadraticRisk, Start, band_of
from arena.markets.dealer.settings import DealerSettings, naive_half_spread
from arena.markets.parts.over_time import means

# fmt: off
(RULE, FLUID, HEDGE, HAS_SHOCK, HAS_IMPACT, HAS_INFORMED, HAS_VEGA_RISK, HAS_LOADING_RISK, HAS_QUADRATIC, STEPS,
 DEVIATION_AT, ROOT_YEARS_AT, ORDERS_AT, LOADING_AT, RUNNING_AT, TEMPORARY_AT, EXECUTOR_RUNNING_AT, IMPACT_AT,
 TABLE_NUMBERS, CENTRE_MOVES, WIDTH_MOVES, UNWINDS, HAS_VARIATION, SIZES) = range(10, 34)
"""Entries of `size` after those that `columns` names; those in _AT are first columns of the parts of a table row, whose
column 0 is the spot's deviation."""
(DT, LOT, LIMIT, MIN_DISTANCE, MAX_DISTANCE, RULE_FIRST, RULE_SECOND, INFORMED, IMPACT, MAKER_FEE_RATE, TAKER_FEE_RATE,
 HEDGE_RATE, PSI_EACH, PSI_ALL, LOADING_AVERSION, VEGA_AVERSION, VOL_MEAN, VOL_PERSISTENCE, VOL_SHOCK,
 VOL_CORRELATION, VOL_START, FLOW_PERSISTENCE, FLOW_SHOCK, FLOW_START, SPOT_START, HALF_LOW, HALF_WIDTH,
 SKEW_LOW, SKEW_WIDTH, RATE_LOW, RATE_WIDTH, YEARS_PER_STEP, START_DISTANCE,
 CENTRE_MIDDLE, CENTRE_REACH, WIDTH_MIDDLE, WIDTH_REACH, VARIATION_AVERSION, NUMBERS) = range(39)
"""Entries of `number`."""
SIGN, STRIKE, LOG_STRIKE, PRODUCT_NUMBERS = range(4)
"""Columns of `product`."""
MAKER_RUNNING, MAKER_TERMINAL, OFFSET, START_MEAN, START_SPREAD, MAKER_NUMBERS = range(6)
"""Columns of `maker`."""
(PRODUCT, OWN_RATE_LOW, OWN_RATE_HIGH, TEMPORARY, CROSS, RUNNING, TERMINAL, PAYS_BEST, STOPS, SIDE, SIZE_MEAN,
 SIZE_SPREAD, EXECUTOR_NUMBERS) = range(13)
"""Columns of `executor`."""
# fmt: on
NO_HEDGE, PERFECT, SHARES = range(3)
"""Values of `size[HEDGE]`; shares are held in a band, see `columns.band_ranges`."""
HEDGES = {"none": NO_HEDGE, "perfect": PERFECT, "costly": SHARES, "agent": SHARES, "band": SHARES}
NO_LIMIT = 1e15


class Tables(NamedTuple):
    """Parameters of one market as arrays, in the order in which the kernels take them.

    size int64 [SIZES]: sizes, switches, first columns in the table; number float64 [NUMBERS]: scalars; at int64: first
    state row of each field; product [n, 3]: sign (+1 call, -1 put, 0 asset), strike, ln strike; maker [M, 5]: running
    and terminal quadratic penalty, offset, initial inventory mean and spread; executor [N, 12]; table [T+1, ...] per
    decision: standard deviation of the log-spot step, then per product the standard deviation left to expiry, the
    square root of the time to expiry in years, the expected noise orders [n, 2] and the shock loading [n, n] of the
    step; then what may change with time, means over the step: makers' running penalties [M], executors' temporary
    impacts and running penalties [N, N], the mark's impact. `advance` puts these into maker, executor and number,
    where the first step's stand.
    low, high float32: bounds of the observation columns of all seats.
    """

    size: np.ndarray
    number: np.ndarray
    at: np.ndarray
    product: np.ndarray
    maker: np.ndarray
    executor: np.ndarray
    table: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Packed(NamedTuple):
    """`Tables` in three flat arrays: a call of a compiled kernel pays for every array it is handed.

    whole int64: size, then at; real float64: number, product, maker, executor, table, each in C order;
    bounds float32 [2, D]: low and high.
    """

    whole: np.ndarray
    real: np.ndarray
    bounds: np.ndarray


@lru_cache(maxsize=64)
def packed(market: DealerSettings) -> Packed:
    """A market's parameters as the three arrays that `begin` and `advance` take."""
    t = tables(market)
    return Packed(
        whole=np.concatenate([t.size, t.at]),
        real=np.concatenate([part.ravel() for part in (t.number, t.product, t.maker, t.executor, t.table)]),
        bounds=np.stack([t.low, t.high]),
    )


@lru_cache(maxsize=64)
def tables(market: DealerSettings) -> Tables:
    """Packs a market's parameters; cached, for markets are immutable."""
    seated = roles(market)
    parts = _table(market)
    low = [role.observation.low for role in seated for _ in role.agents]
    high = [role.observation.high for role in seated for _ in role.agents]
    return Tables(
        size=_size(market, np.cumsum([part.shape[1] for part in parts])),
        number=_number(market),
        at=columns.first_rows(columns.state(market)),
        product=_product(market),
        maker=_maker(market),
        executor=_executor(market),
        table=np.ascontiguousarray(np.hstack(parts)),
        low=np.concatenate(low).astype(np.float32),
        high=np.concatenate(high).astype(np.float32),
    )


def _size(market: DealerSettings, ends: np.ndarray) -> np.ndarray:
    makers, flow, risk = market.makers, market.flow, market.makers.risk
    return np.array(
        [
            market.n,
            makers.count,
            len(market.executors),
            columns.has_options(market),
            market.underlying.volatility.model == "log_ar1",
            flow.intensity.model == "log_ou",
            columns.own_code(makers.observe),
            columns.RIVALS[makers.observe.rivals],
            columns.own_code(market.executors_observe),
            columns.RIVALS[market.executors_observe.rivals],
            flow.rule.code,
            flow.orders == "fluid",
            HEDGES[makers.hedging.kind],
            bool(np.any(market.loading())),
            bool(np.any(_changing(market)[:, -1])),
            flow.informed_share > 0,
            risk.kind == "vega" and risk.risk_aversion * risk.vega_noise > 0,
            risk.kind == "running" and risk.risk_aversion > 0,
            risk.kind == "quadratic",
            market.clock.steps,
            *ends,
            *(low < high for low, high in band_of(makers.hedging)),
            isinstance(makers.hedging, BandHedge) and makers.hedging.unwind,
            makers.variation_aversion > 0,
        ],
        dtype=np.int64,
    )


def _number(market: DealerSettings) -> np.ndarray:
    makers, flow, clock = market.makers, market.flow, market.clock
    risk, hedging, intensity = makers.risk, makers.hedging, flow.intensity
    vol = market.underlying.volatility.step(clock.dt)
    psi = 0.0 if isinstance(risk, QuadraticRisk) else risk.terminal_penalty
    decay = np.exp(-intensity.reversion * clock.dt) if intensity.model == "log_ou" else 0.0
    spread = intensity.volatility / np.sqrt(2 * intensity.reversion) if intensity.model == "log_ou" else 0.0
    rate = columns.executor_action(market) if market.executors else None
    first, second = flow.rule.numbers()
    return np.array(
        [
            clock.dt,
            flow.lot,
            makers.inventory_limit or NO_LIMIT,
            makers.min_distance,
            makers.max_distance,
            first,
            second,
            flow.informed_share,
            _changing(market)[0, -1],
            market.fees.maker,
            market.fees.taker,
            hedging.cost if isinstance(hedging, CostlyHedge | AgentHedge | BandHedge) else 0.0,
            0.0 if risk.kind == "portfolio" else psi,
            psi if risk.kind == "portfolio" else 0.0,
            risk.risk_aversion if risk.kind == "running" else 0.0,
            risk.risk_aversion * risk.vega_noise**2 if risk.kind == "vega" else 0.0,
            *((vol.mean, vol.persistence, vol.shock, vol.correlation, vol.initial_spread) if vol else (0.0,) * 5),
            decay,
            spread * np.sqrt(1 - decay**2),
            intensity.initial if intensity.model == "log_ou" else 0.0,
            market.underlying.spot,
            makers.half_spread[0],
            makers.half_spread[1] - makers.half_spread[0],
            makers.skew[0],
            makers.skew[1] - makers.skew[0],
            rate.low[0] if rate else 0.0,
            rate.high[0] - rate.low[0] if rate else 0.0,
            clock.dt * clock.years,
            # what everybody last quoted before the game, as far as anybody can tell
            naive_half_spread(market) if makers.count else 0.0,
            *(end for low, high in band_of(makers.hedging) for end in (0.5 * (low + high), 0.5 * (high - low))),
            makers.variation_aversion,
        ],
        dtype=float,
    )


def _product(market: DealerSettings) -> np.ndarray:
    sign = {"call": 1.0, "put": -1.0, "asset": 0.0}
    rows = [(sign[p.right], p.strike or 0.0, np.log(p.strike) if p.strike else 0.0) for p in market.products]
    return np.array(rows, dtype=float)


def _maker(market: DealerSettings) -> np.ndarray:
    makers, risk, count = market.makers, market.makers.risk, market.makers.count
    start = makers.initial_inventory
    mean, spread = (start.mean, start.spread) if isinstance(start, Start) else (start, 0.0)
    terminal = risk.terminal_penalty if isinstance(risk, QuadraticRisk) else 0.0
    rows = [
        _changing(market)[0, :count],
        terminal,
        offsets_of(market.flow.rule, count),
        mean,
        spread,
    ]
    columns_ = [np.broadcast_to(np.asarray(row, dtype=float), count) for row in rows]
    return np.ascontiguousarray(np.stack(columns_, axis=1))


def _executor(market: DealerSettings) -> np.ndarray:
    side = {"buy": 1.0, "sell": -1.0, "coin": 0.0}
    rows = []
    first, makers, traders = _changing(market)[0], market.makers.count, len(market.executors)
    for j, e in enumerate(market.executors):
        mean = e.size.mean if isinstance(e.size, Start) else e.size
        rows.append(
            (
                market.product_names.index(e.product),
                *e.rate,
                first[makers + j],
                e.cross_impact,
                first[makers + traders + j],
                e.terminal_penalty,
                e.price == "best",
                e.stop_at_target,
                side[e.side],
                mean[j] if isinstance(mean, tuple) else mean,
                e.size.spread if isinstance(e.size, Start) else 0.0,
            )
        )
    return np.array(rows, dtype=float).reshape(len(rows), EXECUTOR_NUMBERS)


def _table(market: DealerSettings) -> list[np.ndarray]:
    """The parts of the table, each [T+1, columns], in the order of the names in _AT; they end where the next begins."""
    clock, n, steps = market.clock, market.n, market.clock.steps
    instants = times(market)
    spot = np.zeros((steps + 1, 1))
    spot[:-1, 0] = np.sqrt(market.underlying.volatility.variance(instants[:-1], instants[1:], clock.years))
    expiry = np.array([p.expiry if p.expiry is not None else np.nan for p in market.products])
    years = np.nan_to_num((expiry[None, :] - instants[:, None]) * clock.years)
    flow = np.zeros((steps + 1, 2 * n))
    flow[:-1] = market.arrival_rates().reshape(steps, 2 * n) * clock.dt
    loading = np.zeros((steps + 1, n * n))
    loading[:-1] = market.loading().reshape(steps, n * n) * np.sqrt(clock.dt)
    changing = np.zeros((steps + 1, _changing(market).shape[1]))
    changing[:-1] = _changing(market)
    makers, traders = market.makers.count, len(market.executors)
    each = np.split(changing, [makers, makers + traders, makers + 2 * traders], axis=1)
    return [spot, remaining_deviation(market), np.sqrt(years), flow, loading, *each]


def _changing(market: DealerSettings) -> np.ndarray:
    """Means over each step of what may change with time [T, M + 2 N + 1], in the order that `Tables` names."""
    makers, clock = market.makers, market.clock
    running = makers.risk.running_penalty if isinstance(makers.risk, QuadraticRisk) else 0.0
    values = [*(running if isinstance(running, tuple) else [running] * makers.count)]
    values += [executor.temporary_impact for executor in market.executors]
    values += [executor.running_penalty for executor in market.executors]
    return np.stack([means(value, clock.horizon, clock.steps) for value in [*values, market.mark.impact]], axis=1)
