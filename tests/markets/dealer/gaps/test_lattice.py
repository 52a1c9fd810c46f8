"""The exact engine of the Nash gap: known gains, the market itself as a witness, and where it does not apply.

Expected numbers without another source are those of docs/results/quoting_theory.md: the duel in 100 steps, and the
monopoly's 6.77989 (constant 1/k) and 7.226588 (the optimum in 100 steps; its HJB table earns 7.226579).
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from agents.makers import AvellanedaStoikov, ConstantSpread, GibbsMaker, HJBMaker, MPEMaker
from arena.game import Game
from arena.gaps import search as search_gap
from arena.gaps.nash_gap import engines, nash_gap
from arena.gaps.profile import Profile, Search
from arena.markets.dealer.gaps.lattice import Response, follows_tables, obstacle, responses, tabulate
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.problems.quoting_problem import duel_problem
from arena.markets.market import Act
from arena.rollout import play, seeds_of
from arena.scenario import load
from arena.solvers.quoting.duel import equilibrium

AS = AvellanedaStoikov(risk_aversion=1.0, variance_rate=0.01)  # option_making, section 7: g = 1, g s^2 = 0.01
SINGLE, DUEL = load("fang_xu_single").market, load("option_duel").market


def changed(name: str, *changes: str) -> DealerMarket:
    return load(name, [f"market.{change}" for change in changes]).market


def acts(market: DealerMarket, recipe: object) -> dict[str, Act]:
    return {seat: recipe.sit(market, seat) for seat in market.maker_names}  # type: ignore[attr-defined]


def profile(market: DealerMarket, recipe: object) -> Profile:
    return Profile(acts(market, recipe), dict.fromkeys(market.maker_names, "all alike"))


def from_table(market: DealerMarket, table: np.ndarray) -> Act:
    """An act that plays a table [N, own, rival, 2]."""
    role, limit, clock = market.roles[0], int(market.makers.inventory_limit), market.clock
    at = [role.observation.slice(name).start for name in ("time_left", "inventory", "maker_inventory")]

    def act(observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        left, own, rival = observation[:, at].T
        step = np.rint((clock.horizon - left) / clock.dt).astype(int)
        bid, ask = table[step, own.astype(int) + limit, rival.astype(int) + limit].T
        bid, ask = np.where(np.isinf(bid), ask, bid), np.where(np.isinf(ask), bid, ask)
        return role.action.to_unit(np.stack([0.5 * (ask + bid), 0.5 * (ask - bid)], axis=1))

    return act


@pytest.fixture(scope="module")
def against_as() -> Response:
    """One Avellaneda-Stoikov maker against another, and its best response."""
    found = responses(DUEL, acts(DUEL, AS))
    assert found["mm_0"] is found["mm_1"]
    return found["mm_0"]


# ------------------------------------------------------------------------------------------------------- known answers


def test_the_monopolist_s_gains() -> None:
    found = responses(SINGLE, acts(SINGLE, ConstantSpread(half_spread="inverse_decay")))["mm_0"]
    assert found.value == pytest.approx(6.77989, abs=0.12 / 100)  # first order in dt: 6.78095
    assert found.best == pytest.approx(7.226588, abs=1e-6)
    table = responses(SINGLE, acts(SINGLE, HJBMaker()))["mm_0"]
    assert table.value == pytest.approx(7.226579, abs=1e-6)
    assert 0 <= table.gain < 2e-5


def test_the_duel_s_gains(against_as: Response) -> None:
    assert against_as.value == pytest.approx(3.53977, abs=1e-5)
    assert against_as.best == pytest.approx(4.96730, abs=1e-5)
    table = responses(DUEL, acts(DUEL, MPEMaker()))["mm_1"]
    assert table.value == pytest.approx(2.35481, abs=1e-5)
    assert table.gain == pytest.approx(0.00016, abs=1e-5)


@pytest.mark.parametrize("own", [True, False])
def test_the_market_agrees_with_both_values(own: bool, against_as: Response) -> None:
    """20 000 games, two-sided error rate 1e-5 (z = 4.42): the profile and the best response, played in the market."""
    players = acts(DUEL, AS)
    if not own:
        players["mm_0"] = from_table(DUEL, against_as.best_distance)
    result = play(Game(DUEL, 20_000), players, seeds_of(3, 20_000)).returns_of("mm_0")
    assert abs(result.mean() - (against_as.value if own else against_as.best)) < 4.42 * result.std() / np.sqrt(
        result.size
    )


def test_a_search_finds_no_more_than_the_exact_gain() -> None:
    market = changed("option_duel", "makers.inventory_limit=4", "clock.steps=25")
    players = profile(market, AS)
    exact = nash_gap(market, players, Search())
    assert [(seat.kind, seat.low, seat.high) for seat in exact.seats] == [
        ("exact", seat.gain, seat.gain) for seat in exact.seats
    ]
    assert exact.low == exact.high == exact.nashconv == sum(seat.gain for seat in exact.seats)
    found = search_gap.gains(market, players, Search(games=4096, choice_games=256, generations=10, fresh=0, warm=0))
    for one, other in zip(found, exact.seats, strict=True):
        assert 0.5 * other.gain < one.gain < other.gain + 4.42 * one.se


def test_seats_that_differ_are_answered_apart() -> None:
    """Starts and penalties that differ: exchanging the makers exchanges values and gains."""
    small = ("makers.inventory_limit=4", "clock.steps=10")

    def game(first: int, second: int) -> DealerMarket:
        pair, start = ([0.002, 0.02][first], [0.002, 0.02][second]), ([2, -1][first], [2, -1][second])
        risk = f"makers.risk={{kind: quadratic, terminal_penalty: [{pair[0]}, {pair[1]}]}}"
        return changed("option_duel", *small, risk, f"makers.initial_inventory=[{start[0]}, {start[1]}]")

    one, two = (responses(market, acts(market, AS)) for market in (game(0, 1), game(1, 0)))
    for seat, other in (("mm_0", "mm_1"), ("mm_1", "mm_0")):
        assert one[seat].value == pytest.approx(two[other].value, abs=1e-12)
        assert one[seat].best == pytest.approx(two[other].best, abs=1e-9)
    assert abs(one["mm_0"].best - one["mm_1"].best) > 0.01
    assert duel_problem(game(0, 1), "mm_1").terminal_cost == 0.02


def test_equal_decays_are_two_markets_of_half_the_flow() -> None:
    """kappa = k: independent makers with A/2 each, so the best response is the monopolist's."""
    split = changed("option_duel", "flow.rule.sharpness=10", "makers.inventory_limit=6", "clock.steps=20")
    alone = changed("fang_xu_single", "flow.arrival_rate=50", "makers.inventory_limit=6", "clock.steps=20")
    pair, single = responses(split, acts(split, AS))["mm_0"], responses(alone, acts(alone, AS))["mm_0"]
    assert pair.value == pytest.approx(single.value, abs=1e-10)
    assert pair.best == pytest.approx(single.best, abs=1e-8)
    np.testing.assert_allclose(pair.best_distance[:-1, :, 3], single.best_distance[:-1], atol=2e-5)


def test_one_maker_is_the_monopolist_whatever_the_sharpness() -> None:
    """M = 1: soft_best is A e^{-k d}, played and solved."""
    parts = ("makers.inventory_limit=6", "clock.steps=20")
    alone = changed("fang_xu_single", *parts)
    soft = changed("fang_xu_single", *parts, "flow.rule={kind: soft_best, fill_decay: 10, sharpness: 50}")
    one, two = (responses(market, acts(market, AS))["mm_0"] for market in (alone, soft))
    assert (one.value, one.best) == (two.value, two.best)
    games = [play(Game(market, 64), acts(market, AS), seeds_of(1, 64)).returns_of("mm_0") for market in (alone, soft)]
    np.testing.assert_allclose(games[0], games[1], atol=1e-9)


def test_exchanging_the_sides_mirrors_the_quotes() -> None:
    parts = ("makers.inventory_limit=6", "clock.steps=20")
    there = changed("fang_xu_single", *parts, "flow.arrival_rate=[120, 80]")
    back = changed("fang_xu_single", *parts, "flow.arrival_rate=[80, 120]")
    one, two = (responses(market, acts(market, HJBMaker()))["mm_0"] for market in (there, back))
    assert one.value == pytest.approx(two.value, abs=1e-9)
    np.testing.assert_allclose(one.distance, two.distance[:, ::-1, ::-1], atol=1e-7)  # float32 actions
    np.testing.assert_allclose(one.best_distance, two.best_distance[:, ::-1, ::-1], atol=1e-5)
    assert np.abs(one.distance[0, 6, 0] - one.distance[0, 6, 1]) > 1e-4
    drift = play(Game(there, 4000), acts(there, HJBMaker()), seeds_of(2, 4000)).last("maker_inventory")
    assert drift.mean() > 4.42 * drift.std() / np.sqrt(drift.size)  # more sellers than buyers: long on average


def test_the_market_s_values_tend_to_continuous_time_at_first_order() -> None:
    """The duel's equilibrium played in 10, 20 and 40 steps, |q| <= 4: (limit - value) N settles."""
    scaled = []
    for steps in (10, 20, 40):
        market = changed("option_duel", "makers.inventory_limit=4", f"clock.steps={steps}")
        limit = equilibrium(duel_problem(market, "mm_0"), 100).start
        scaled.append((limit - responses(market, acts(market, MPEMaker()))["mm_0"].value) * steps)
    assert scaled[2] > 0.1
    assert abs(scaled[2] - scaled[1]) < 0.6 * abs(scaled[1] - scaled[0])


def test_tables_are_what_the_market_quotes() -> None:
    """The distances in the state of played games are the table's at the inventories of the step before."""
    players = acts(DUEL, AS)
    table = tabulate(DUEL, players["mm_0"])
    games = play(Game(DUEL, 64), players, seeds_of(5, 64), trace=True)
    q, quoted = games.path("maker_inventory")[:, :, :, 0].astype(int) + 12, games.path("distance")[:, :, 0, 0]
    for t in range(0, 100, 9):
        wanted = table[t, q[t, :, 0], q[t, :, 1]]
        live = np.isfinite(wanted)
        np.testing.assert_allclose(quoted[t + 1][live], wanted[live], atol=1e-12)
    assert np.isinf(table[:, -1, :, 0]).all()
    assert np.isinf(table[:, 0, :, 1]).all()


# --------------------------------------------------------------------------------------------- where it does not apply


@pytest.mark.parametrize(
    ("market", "words"),
    [
        (load("two_mm_one_trader").market, "2 makers and 4 products"),
        (load("fang_xu_pair").market, "1 makers and 2 products"),
        (changed("fang_xu_single", "makers.observe={rivals: none}"), "makers see, or miss, distance, fill, hedge, mid"),
        (changed("option_duel", "makers.observe.rivals=none"), "maker_inventory"),
        (changed("option_duel", "makers.observe.rivals=quotes"), "best_rival_distance"),
        (changed("fang_xu_single", "makers.half_spread=[0, 0.4]"), "the actions do not reach"),
        (changed("fang_xu_single", "makers.initial_inventory={mean: 0, spread: 2}"), "drawn or broken"),
        (changed("fang_xu_single", "makers.initial_inventory=0.5"), "drawn or broken"),
        (changed("fang_xu_single", "makers.risk={kind: quadratic, running_penalty: 0.1}"), "a running penalty"),
        (changed("fang_xu_single", "makers.risk={kind: vega}"), "found vega"),
        (changed("fang_xu_single", "flow.rule={kind: logit, fill_decay: 10}"), "found logit"),
        (changed("fang_xu_single", "makers.hedging={kind: costly, cost: 0.001}"), "hedging: found costly"),
        (changed("fang_xu_single", "fees.maker=0.01"), "fees.maker"),
        (changed("fang_xu_single", "mark.impact=0.01"), "mark impact"),
        (changed("fang_xu_single", "flow.orders=fluid"), "found fluid orders"),
        (changed("fang_xu_single", "flow.lot=2"), "orders of 2"),
        (changed("fang_xu_single", "makers.inventory_limit=2.5"), "whole number of lots"),
    ],
)  # fmt: skip
def test_the_search_takes_what_theory_does_not_know(market: DealerMarket, words: str) -> None:
    assert words in obstacle(market)
    engine = next(e for e in engines(market) if e.applies(market, profile(market, ConstantSpread())))
    assert engine.name == "search"
    with pytest.raises(ValueError, match=re.escape(words)):
        responses(market, acts(market, ConstantSpread()))


def test_a_policy_that_draws_its_quotes_is_searched() -> None:
    drawn, mode = (acts(SINGLE, GibbsMaker(explore=explore)) for explore in (True, False))
    assert not obstacle(SINGLE)
    assert follows_tables(SINGLE, mode)
    assert not follows_tables(SINGLE, drawn)
    engine = next(e for e in engines(SINGLE) if e.applies(SINGLE, Profile(drawn, {"mm_0": "drawn"})))
    assert engine.name == "search"


def test_a_price_that_moves_changes_nothing() -> None:
    """Makers do not see it: the penalty's c = psi E[P_T^2] holds the whole of it, whatever the strike or the shocks."""
    for change in ("products.0.strike=105", "mark.shock_loading=0.5"):
        market = changed("fang_xu_single", change)
        found = responses(market, acts(market, HJBMaker()))["mm_0"]
        result = play(Game(market, 20_000), acts(market, HJBMaker()), seeds_of(7, 20_000)).returns_of("mm_0")
        assert abs(result.mean() - found.value) < 4.42 * result.std() / np.sqrt(result.size)  # error rate 1e-5
        assert 0 <= found.gain < 2e-5


# ------------------------------------------------------------------------------------------- the table of learned runs


def benchmark():
    path = Path(__file__).resolve().parents[4] / "benchmarks" / "learned_quoting.py"
    found = importlib.util.spec_from_file_location("learned_quoting", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_table_of_runs_knows_the_optimum_and_the_constant() -> None:
    measure = benchmark().alone
    best, flat = (one.sit(SINGLE, "mm_0") for one in (HJBMaker(), ConstantSpread(half_spread="inverse_decay")))
    assert measure(SINGLE, best)["G"] == pytest.approx(1.0)
    assert measure(SINGLE, flat)["G"] == pytest.approx(0.0, abs=1e-12)


def test_the_table_of_runs_knows_the_equilibrium() -> None:
    market = changed("option_duel", "makers.inventory_limit=4", "clock.steps=25")
    table, naive = (one.sit(market, "mm_0") for one in (MPEMaker(), ConstantSpread()))
    row = benchmark().duel(market, table, [table, naive])
    assert row["value / equilibrium's"] == row["against AS / equilibrium's"] == 1.0
    assert 0 <= row["share of the value"] < 0.03  # the table is of continuous time, the market has 25 steps
    other = benchmark().duel(market, naive, [table, naive])
    assert other["exploitability"] > 3 * row["exploitability"]
    assert row["newest less pool mean"] == pytest.approx(-other["newest less pool mean"])
