"""Metrics on books small enough to check by hand, and on games at random actions whose identities must close."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import optimize, stats

from arena.game import Game
from arena.layout import Field, Layout
from arena.markets.dealer.flow import ABSENT, FlowRule, intensity_and_share
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.measures import accounts as metrics
from arena.markets.dealer.roles import MAKER
from arena.runs import estimates
from arena.runs.accounts import attribution, leaks
from arena.runs.record import Record, Seats, read_records, record, write_record

MARKET = {
    "clock": {"steps": 12},
    "products": [
        {"name": "C100", "right": "call", "strike": 100, "expiry": 63},
        {"name": "P95", "right": "put", "strike": 95, "expiry": 63},
    ],
    "mark": {"shock_loading": 0.05, "impact": 0.001},
    "flow": {"rule": {"kind": "soft_best", "fill_decay": 10, "sharpness": 50}},
    "fees": {"maker": 0.001, "taker": 0.002},
    "makers": {"inventory_limit": 6},
    "executors": [
        {"product": "P95", "size": 20, "rate": [0, 60], "temporary_impact": 0.002, "running_penalty": 0.01,
         "terminal_penalty": 0.2, "price": "best"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=["perfect", "costly"])
def games(request: pytest.FixtureRequest) -> Record:
    """200 games at random actions with everything on: fees, impacts, shocks, inventory limits, best-price execution."""
    hedging = {"kind": "perfect"} if request.param == "perfect" else {"kind": "costly", "cost": 1e-4}
    market = DealerMarket.model_validate({**MARKET, "makers": {**MARKET["makers"], "hedging": hedging}})
    game, rng = Game(market, 200), np.random.default_rng(3)
    game.reset(np.arange(200, dtype=np.uint64))
    trace = [game.state.copy()]
    while not game.done:
        game.step({role: rng.normal(-0.6, 0.2, view.shape) for role, view in game.action.items()})
        trace.append(game.state.copy())
    return record(market, np.array(trace), {"mm_0": "noise", "mm_1": "noise", "trader_0": "noise"})


def one_trade() -> Record:
    """One maker buys 2 lots at 4.00 - 0.10 from a noise trader in step 2; the mid goes 4.00, 4.00, 3.90, 3.80.

    The spot moves by -0.1 a step from instant 1 on and delta is 0.5, so half of each move of the mid is delta.
    """
    shapes = {
        "mid": (1,),
        "spot": (),
        "delta": (1,),
        "maker_inventory": (1, 1),
        "distance": (1, 1, 2),
        "fill": (1, 1, 2),
    }
    state = np.array([
        [4.0, 100.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
        [4.0, 100.0, 0.5, 0.0, 0.2, 0.3, 0.0, 0.0],
        [3.9, 99.9, 0.5, 2.0, 0.1, 0.3, 2.0, 0.0],
        [3.8, 99.8, 0.5, 2.0, 0.1, ABSENT, 0.0, 0.0],
    ])  # fmt: skip
    twice = np.repeat(state[:, :, None], 2, axis=2)  # the same game twice, so that intervals exist
    layout = Layout([Field(name, shape) for name, shape in shapes.items()])
    facts = {"products": ("C100",), "traded": (), "hedging": "perfect"}
    return Record(twice, layout, "dealer", (Seats("maker", ("mm_0",), MAKER),), 0.25, "day", facts)


def test_attribution_adds_up_to_the_accounts_in_every_game(games: Record) -> None:
    for parts in attribution(games).values():
        total = sum(value for name, value in parts.items() if name not in ("pnl", "penalties"))
        np.testing.assert_allclose(total, parts["pnl"], atol=1e-12)
        assert np.abs(parts["pnl"]).max() > 0.1


def test_attribution_sees_a_missing_source(games: Record) -> None:
    wrong = games.state.copy()
    wrong[-1, games.layout.slice("hedge_pnl")] += 0.01
    parts = attribution(replace(games, state=wrong))["mm_0"]
    gap = sum(value for name, value in parts.items() if name not in ("pnl", "penalties")) - parts["pnl"]
    np.testing.assert_allclose(gap, 0.01, atol=1e-12)
    assert leaks(games) == {}
    assert leaks(replace(games, state=wrong)) == {seat: pytest.approx(0.01) for seat in games.agents("maker")}


def test_objective_is_the_sum_of_rewards(games: Record) -> None:
    rewards = np.concatenate([games["reward_maker"][1:].sum(axis=0), games["reward_executor"][1:].sum(axis=0)], axis=1)
    np.testing.assert_allclose(np.stack(list(metrics.objective(games).values()), axis=1), rewards, atol=1e-10)


def test_fills_times_distances_are_the_edges(games: Record) -> None:
    edge = (games["fill"][1:] * np.where(games["fill"][1:] > 0, games["distance"][1:], 0.0)).sum(axis=(0, 3, 4))
    booked = games.total("edge_noise") + games.total("edge_executor").sum(axis=-1)
    np.testing.assert_allclose(edge, booked, atol=1e-12)
    rows = metrics.spreads(games)
    per_maker = sum(r["effective"].mean * r["lots"].mean for r in rows if r["maker"] == "mm_0")
    assert per_maker == pytest.approx(booked[:, 0].mean())


def test_wealth_ends_at_the_pnl(games: Record) -> None:
    parts = attribution(games)
    for seat, path in metrics.wealth(games).items():
        assert not path[0].any()
        np.testing.assert_allclose(path[-1], parts[seat]["pnl"], atol=1e-12)


def test_transfers_are_antisymmetric_and_give_everybodys_pnl(games: Record) -> None:
    accounts, w = metrics.transfers(games)
    np.testing.assert_allclose(w, -w.swapaxes(0, 1), atol=1e-12)
    np.testing.assert_allclose(w.sum(axis=(0, 1)), 0.0, atol=1e-10)
    for seat, parts in attribution(games).items():
        np.testing.assert_allclose(w[accounts.index(seat)].sum(axis=0), parts["pnl"], atol=1e-12)
    np.testing.assert_allclose(w[accounts.index("fees")].sum(axis=0), games.total("fee_cash"), atol=1e-12)
    shares = (games["venue_hedge"] * games["spot"])[-1]
    np.testing.assert_allclose(
        w[accounts.index("hedge venue")].sum(axis=0), games.total("venue_cash") + shares, atol=1e-10
    )
    np.testing.assert_allclose(w[accounts.index("impact")].sum(axis=0), games.total("impact_cash"), atol=1e-12)
    np.testing.assert_allclose(w[accounts.index("leak")].sum(axis=0), games.total("leak_cash"), atol=1e-12)
    np.testing.assert_allclose(w[accounts.index("price moves")].sum(axis=0), 0.0, atol=1e-10)  # net supply is zero
    assert all(np.abs(w[i]).max() > 1e-3 for i in range(len(accounts)))


def test_estimate_is_the_t_interval_of_scipy() -> None:
    x = np.random.default_rng(1).normal(2.0, 3.0, 40)
    e = estimates.estimate(x, 0.95)
    low, high = stats.t.interval(0.95, 39, x.mean(), stats.sem(x))
    assert (e.low, e.high, e.games) == (pytest.approx(low), pytest.approx(high), 40)


def test_sharpe_of_a_known_sample_and_its_interval_against_the_bootstrap() -> None:
    assert estimates.sharpe(np.array([1.0, 2.0, 3.0])).mean == pytest.approx(2.0)  # mean 2, sd 1 with ddof 1
    x = np.random.default_rng(2).gamma(4.0, 1.0, 2000)  # skewed, so the normal formula would be off
    e = estimates.sharpe(x, 0.95)
    boot = stats.bootstrap(
        (x,), lambda s, axis: s.mean(axis) / s.std(axis, ddof=1), confidence_level=0.95, n_resamples=2000,
        rng=np.random.default_rng(3), vectorized=True,
    )  # fmt: skip
    assert e.se == pytest.approx(boot.standard_error, rel=0.08)  # the bootstrap's own error is 1/sqrt(2 * 2000) = 1.6 %
    assert np.isnan(estimates.sharpe(np.ones(5)).mean)


def test_ratio_interval_against_the_bootstrap_and_by_hand() -> None:
    two = estimates.ratio(np.array([1.0, 5.0]), np.array([1.0, 2.0]))  # residuals -1 and 1
    assert (two.mean, two.se) == (pytest.approx(2.0), pytest.approx(np.sqrt(2.0 / (2 - 1) * 2.0) / 3.0))
    rng = np.random.default_rng(4)
    d = rng.poisson(20, 1500).astype(float)
    a = 0.05 * d + 0.2 * rng.standard_normal(1500) * np.sqrt(d)
    e = estimates.ratio(a, d)
    boot = stats.bootstrap(
        (a, d), lambda p, q, axis: p.sum(axis) / q.sum(axis), paired=True, n_resamples=2000,
        rng=np.random.default_rng(5), vectorized=True,
    )  # fmt: skip
    assert e.se == pytest.approx(boot.standard_error, rel=0.08)
    assert np.isnan(estimates.ratio(np.zeros(3), np.zeros(3)).mean)


def test_paired_uses_the_pairing() -> None:
    luck = np.random.default_rng(6).normal(0.0, 10.0, 100)
    difference, p = estimates.paired(luck + 0.1 + 0.01 * np.arange(100) / 100, luck)
    assert difference.low > 0.1
    assert p < 1e-10
    other = np.random.default_rng(7).normal(0.0, 10.0, 100)
    assert estimates.paired(luck, other)[1] == pytest.approx(stats.ttest_rel(luck, other).pvalue)
    assert estimates.paired(luck, luck)[1] == 1.0


def test_markouts_of_one_trade_by_hand() -> None:
    # Bought at 3.90. Mid less delta hedge at horizons 0, 1, 2: 4.00, 3.90 + 0.05, 3.80 + 0.10.
    rows = metrics.markouts(one_trade(), [0, 1, 2, 9])
    assert [row["markout"].mean for row in rows] == pytest.approx([0.10, 0.05, 0.00, 0.00], abs=1e-12)
    assert [row["horizon"] for row in rows] == [0.0, 0.25, 0.5, 2.25]


def test_spreads_by_hand() -> None:
    row = metrics.spreads(one_trade())[0]
    assert row["quoted"].mean == pytest.approx((0.2 + 0.3 + 0.1 + 0.3 + 0.1) / 5)  # the withdrawn ask does not count
    assert row["effective"].mean == pytest.approx(0.1)
    assert row["lots"].mean == 2.0
    calm = metrics.calm_half_spread(one_trade())
    assert calm.mean == pytest.approx(0.2)  # (0.1 + 0.3)/2, quoted at inventory 0
    for held, expected in ((2.0, 0.25), (3.0, 0.2)):  # two more lots at (0.1 + 0.5)/2: counted up to 2 lots held
        more = one_trade()
        more.state[2, more.layout.slice("maker_inventory")] = held
        more.state[3, more.layout.slice("distance")] = [[0.1], [0.5]]
        more.state[3, more.layout.slice("fill")] = [[2.0], [0.0]]
        assert metrics.calm_half_spread(more).mean == pytest.approx(expected)


def test_fill_ratio_and_inventory_risk(games: Record) -> None:
    ratios = metrics.fill_ratios(games)
    arrived, missed = games["arrived"][-1].sum(), games["unfilled_noise"][-1].sum()
    assert 0.3 < ratios["noise orders"].mean < 1.0
    assert ratios["noise orders"].mean == pytest.approx(1.0 - missed / arrived)
    start, end = np.abs(games["remaining"][0]).sum(), np.abs(games["remaining"][-1]).sum()
    assert ratios["trader_0"].mean == pytest.approx(1.0 - end / start)
    row = metrics.inventory_risk(games)[0]
    q = games["maker_inventory"][:, :, 0, 0]
    assert row["largest"] == np.abs(q).max()
    assert row["sd"] == pytest.approx(q.std(ddof=1))


def test_shortfall_is_perolds(games: Record) -> None:
    cost = metrics.shortfall(games, "trader_0")
    mid, filled = games["mid"][:, :, 1], np.diff(games["executor_inventory"][:, :, 0], axis=0)
    paid = -np.diff(games["executor_cash"][:, :, 0], axis=0)
    expected = (paid - filled * mid[0]).sum(axis=0) + games["remaining"][-1, :, 0] * (mid[-1] - mid[0])
    np.testing.assert_allclose(cost["shortfall"], expected, atol=1e-12)
    drift = games["remaining"][:-1, :, 0] * np.diff(mid, axis=0) - filled * np.diff(mid, axis=0)
    np.testing.assert_allclose(
        cost["price_move"], drift.sum(axis=0), atol=1e-12
    )  # what was unfilled when the mid moved
    np.testing.assert_allclose(cost["bps"], 1e4 * expected / (20.0 * mid[0]))
    np.testing.assert_allclose(cost["cost"], -metrics.objective(games)["trader_0"], atol=1e-12)


RULES = [
    {"kind": "soft_best", "fill_decay": 10.0, "sharpness": 50.0},
    {"kind": "logit", "fill_decay": 10.0, "outside": 0.5},
    {"kind": "logistic", "sharpness": 12.0},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["kind"])
@pytest.mark.parametrize("makers", [2, 3])
def test_static_half_spreads_maximise_what_they_say(rule: dict, makers: int) -> None:
    chosen = TypeAdapter(FlowRule).validate_python(rule)
    nash, joint = metrics.static_half_spreads(chosen, makers)

    def profit(own: float, others: float) -> float:
        return own * intensity_and_share(chosen, np.array([own, *[others] * (makers - 1)]))[0][0]

    best = optimize.minimize_scalar(
        lambda d: -profit(d, nash), bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}
    )
    assert best.x == pytest.approx(nash, abs=1e-6)
    if np.isfinite(joint):
        best = optimize.minimize_scalar(
            lambda d: -profit(d, d), bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}
        )
        assert best.x == pytest.approx(joint, abs=1e-6)


def test_soft_best_values_of_the_two_maker_game() -> None:
    chosen = TypeAdapter(FlowRule).validate_python(RULES[0])
    assert metrics.static_half_spreads(chosen, 2) == (pytest.approx(1 / 30), pytest.approx(0.1))
    assert metrics.static_half_spreads(chosen, 3)[0] == pytest.approx(0.027273, abs=5e-7)


def test_competition_index_and_when_there_is_none() -> None:
    half = estimates.Estimate(0.05, 0.001, 0.048, 0.052, 100)
    place = metrics.competition(half, 1 / 30, 0.1)
    assert place["index"].mean == pytest.approx(0.25)
    assert (place["index"].low, place["index"].high) == (pytest.approx(0.22), pytest.approx(0.28))
    for nash, joint in ((0.1, 0.1), (0.1, np.inf), (np.inf, np.inf)):
        place = metrics.competition(half, nash, joint)
        assert place["index"] is None
        assert "not defined for this rule" in place["why"]
    alone = TypeAdapter(FlowRule).validate_python({"kind": "exponential", "fill_decay": 10.0})
    assert metrics.competition(half, *metrics.static_half_spreads(alone, 2))["index"] is None


def test_records_survive_the_file_bit_for_bit(games: Record, tmp_path) -> None:
    write_record(games, tmp_path)
    back = read_records(tmp_path)["final"]
    assert back.players == games.players
    assert (back.seats, back.facts, back.layout.names) == (games.seats, games.facts, games.layout.names)
    np.testing.assert_array_equal(back.state, games.state)
    assert "maker_inventory[mm_0,P95]" in back.layout.names
    (tmp_path / "part-broken.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ValueError, match=r"part-broken.parquet: not a file of played games"):
        read_records(tmp_path)
