"""The Nash gap's search on games whose answer is known, and the bookkeeping of its bounds.

Reference values: option_making section 8 (Avellaneda-Stoikov against itself 3.541, best response 4.9706; the HJB table
of the single maker is played in the market itself).
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from agents.makers import ConstantSpread
from agents.network import Network
from arena import judge
from arena.game import Game
from arena.gaps.nash_gap import NashGap, engines, nash_gap, total
from arena.gaps.profile import Profile, Search, SeatGain, naive_acts
from arena.gaps.shifts import best_affine, best_constant, shifted, shifts_of
from arena.markets.dealer.market import DealerMarket
from arena.rollout import play, seeds_of
from arena.scenario import Scenario, load
from arena.training.prior import priors, reaches

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "clock": {"steps": 20},
    "products": [
        {"name": "C100", "right": "call", "strike": 100, "expiry": 63},
        {"name": "P95", "right": "put", "strike": 95, "expiry": 63},
    ],
    "flow": {"rule": {"kind": "soft_best", "fill_decay": 10, "sharpness": 50}},
    "executors": [
        {"product": "C100", "size": 30, "rate": [0, 120], "temporary_impact": 0.002, "terminal_penalty": 0.2}
    ],
}


def calibration():
    found = importlib.util.spec_from_file_location("calibration", ROOT / "benchmarks" / "calibration.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def market() -> DealerMarket:
    return DealerMarket.model_validate(SMALL)


def gain(seat: str, values: list[float], kind: str = "lower bound") -> SeatGain:
    x = np.array(values)
    return SeatGain(seat, float(x.mean()), 0.0, 0.0, 0.0, kind, "test", x if kind != "exact" else None)


# ------------------------------------------------------------------------------------------------------------- shifts


def test_no_shift_changes_nothing_and_a_constant_moves_one_kind_of_column(market: DealerMarket) -> None:
    role, act = market.roles[0], ConstantSpread(half_spread=0.05).sit(market, "mm_0")
    shifts = shifts_of(role, np.full(role.action.size, 0.2))
    seen = Game(market, 8).reset(np.arange(8, dtype=np.uint64))["maker"][:, 0]
    noise = np.zeros((8, role.action.size))
    none = np.zeros((len(shifts.kinds), shifts.size))
    np.testing.assert_allclose(shifted(act, shifts, none)(seen, noise), act(seen, noise), atol=1e-7)
    wider = none.copy()
    wider[shifts.kinds.index("half_spread"), 0] = 0.5
    moved = role.action.from_unit(shifted(act, shifts, wider)(seen, noise)) - role.action.from_unit(act(seen, noise))
    np.testing.assert_allclose(moved[:, 0::2], 0.5 * 0.2 * 0.5 * 0.4, atol=1e-6)  # reach .2 of the range [0, .4], half
    np.testing.assert_allclose(moved[:, 1::2], 0.0, atol=1e-6)


def test_a_shift_of_one_product_s_quotes_looks_at_that_product_alone(market: DealerMarket) -> None:
    """The inventory in one product moves the skew of that product; the inventory in the other does not."""
    role = market.roles[0]
    shifts, layout = shifts_of(role, np.full(role.action.size, 0.2)), role.observation
    seen = np.tile(layout.centre.astype(np.float32), (3, 1))
    for row, name in enumerate(market.product_names):
        column = layout.names.index(f"inventory[{name}]")
        seen[1 + row, column] += layout.scale[column]
    features = shifts.features(seen)  # [3, F, K]: at rest, long the one, long the other
    for row, name in enumerate(market.product_names):
        moved = np.any(features[1 + row] != features[0], axis=0)
        np.testing.assert_array_equal(moved, [f"[{name}]" in column for column in role.action.names])


@pytest.mark.anywhere
def test_a_shifted_action_does_not_depend_on_the_rows_beside_it(market: DealerMarket) -> None:
    role, act = market.roles[0], ConstantSpread().sit(market, "mm_0")
    shifts, rng = shifts_of(role, np.full(role.action.size, 0.2)), np.random.default_rng(2)
    layout = role.observation
    seen = (layout.centre + layout.scale * rng.normal(size=(33, layout.size))).astype(np.float32)
    moved = shifted(act, shifts, 0.1 * rng.standard_normal((len(shifts.kinds), shifts.size)))
    whole = moved(seen, np.zeros((33, role.action.size)))
    for mine in (slice(0, 1), slice(4, 7), slice(9, 25)):
        np.testing.assert_array_equal(moved(seen[mine], np.zeros((1, role.action.size))), whole[mine])


@pytest.mark.anywhere
def test_candidates_side_by_side_play_as_they_would_alone(market: DealerMarket) -> None:
    role, acts = market.roles[0], naive_acts(market).acts
    shifts = shifts_of(role, np.full(role.action.size, 0.2))
    rng = np.random.default_rng(3)
    two = 0.2 * rng.standard_normal((2, len(shifts.kinds), shifts.size))
    seeds = seeds_of(1, 16)
    together = play(Game(market, 32), {**acts, "mm_0": shifted(acts["mm_0"], shifts, two)}, np.tile(seeds, 2))
    for p in (0, 1):
        alone = play(Game(market, 16), {**acts, "mm_0": shifted(acts["mm_0"], shifts, two[p])}, seeds)
        mine = together.returns_of("mm_0")[16 * p : 16 * p + 16]
        np.testing.assert_array_equal(mine, alone.returns_of("mm_0"))


def test_the_best_constant_finds_the_monopolist_half_spread() -> None:
    """Alone and without risk a maker quotes 1/k = 0.1: from 0.05 with a unit of 0.1 the largest step on the grid."""
    free = {"count": 1, "risk": {"kind": "quadratic"}, "hedging": {"kind": "perfect"}}
    alone = DealerMarket.model_validate(
        {**SMALL, "makers": free, "executors": [], "flow": {"rule": {"kind": "exponential", "fill_decay": 10}}}
    )
    act = ConstantSpread(half_spread=0.05).sit(alone, "mm_0")
    shifts = shifts_of(alone.roles[0], np.full(alone.roles[0].action.size, 0.5))
    found = best_constant(Game(alone, 2048), {"mm_0": act}, "mm_0", shifts, seeds_of(2, 2048))
    assert found[shifts.kinds.index("half_spread"), 0] == 0.4
    assert np.count_nonzero(found) == 1


@pytest.mark.anywhere
def test_the_affine_search_repeats_itself(market: DealerMarket) -> None:
    role, acts = market.roles[0], naive_acts(market).acts
    shifts, game = shifts_of(role, np.full(role.action.size, 0.2)), Game(market, 256)
    first, second = (
        best_affine(game, acts, "mm_0", shifts, lambda g, n: seeds_of(1, n, g), generations=2, population=32)
        for _ in (0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != 0.0)


# ------------------------------------------------------------------------------------------------------ known answers


@pytest.mark.parametrize("case", ["monopoly", "duel"])
def test_the_search_recovers_nine_tenths_of_a_known_gain(case: str) -> None:
    """Measured: 96 % and 98 %, standard error below 2 % of the gain: chance misses less than once in 500."""
    assert calibration().recovered(case, games=4096, generations=30) >= 0.90


def test_at_the_optimum_the_search_finds_next_to_nothing() -> None:
    """The HJB table is the best response; what is left is below 1 % of the gain from 1/k (0.447)."""
    module = calibration()
    single, start = module.monopoly()
    best = Profile({"mm_0": module.table_act(single)}, {"mm_0": "table"})
    gap = nash_gap(single, best, Search(games=4096, generations=15, reach=module_reach(single)))
    assert gap.seats[0].gain < 0.01 * 0.447
    known = module.reference(single, start, 8192, 5)
    assert known == pytest.approx(7.2266 - 6.7799, abs=0.03)  # 99 % of the paired difference's own error


def module_reach(market: DealerMarket) -> dict[str, np.ndarray]:
    return reaches(market)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "iterations"), [("monopoly", 40), ("duel", 20)])
def test_a_learned_responder_alone_finds_most_of_a_known_gain(case: str, iterations: int) -> None:
    """A far smaller budget than the engine's; measured 87 % (monopoly) and 91 % (duel)."""
    share, _ = calibration().learned(case, iterations=iterations, games=128, seed=0)
    assert share >= 0.75


# -------------------------------------------------------------------------------------------------------- bookkeeping


def test_seats_that_are_alike_share_candidates_and_gain_alike(market: DealerMarket) -> None:
    calls = []

    def train(jobs):
        calls.append([(job.seat, job.initial is not None) for job in jobs])
        return []

    profile = naive_acts(market)
    with pytest.raises(ValueError, match="zip"):  # three were asked for, none came
        nash_gap(market, profile, Search(games=64, choice_games=32, generations=1, shift_games=2, train=train))
    assert calls == [[("mm_0", False)] * 3]  # mm_1 has no search of its own
    gap = nash_gap(market, profile, Search(games=256, choice_games=64, generations=5, shift_games=8))
    by_seat = {seat.seat: seat for seat in gap.seats}
    assert list(by_seat) == ["mm_0", "mm_1", "trader_0"]
    assert set(by_seat["mm_0"].candidates) == set(by_seat["mm_1"].candidates) == {"constant shift", "affine shift"}
    one, two = by_seat["mm_0"], by_seat["mm_1"]
    assert abs(one.gain - two.gain) < 4 * np.hypot(one.se, two.se)  # 4 standard errors: less than once in 10 000
    assert all(seat.kind == "lower bound" for seat in gap.seats)


@pytest.mark.parametrize(
    ("search", "moved", "learned"), [("full", True, True), ("shifts", True, False), ("none", False, False)]
)
def test_evaluation_search_says_among_what_a_best_response_is_looked_for(
    market: DealerMarket, search: str, moved: bool, learned: bool
) -> None:
    scenario = Scenario(
        name="little",
        market=market,
        evaluation={"games": 16, "responder_iterations": 1, "search": search},
        training={"hidden": (8,)},
    )
    spent = judge._search(market, scenario.training, scenario.evaluation, quick=True, cores=1)
    spent = replace(spent, games=16, choice_games=16, generations=1, shift_games=2, fresh=1)
    gap = nash_gap(market, naive_acts(market), spent)
    for seat in gap.seats:
        assert ("affine shift" in seat.candidates) is moved
        assert ("fresh responder 1" in seat.candidates) is learned
        assert ("avellaneda_stoikov" in seat.candidates) is seat.seat.startswith("mm")
        assert moved or seat.candidates["its own act"] == 0.0


def test_a_scenario_that_leaves_the_search_alone_keeps_its_hash() -> None:
    assert "search" not in load("option_duel").evaluation.model_dump()
    assert (
        load("option_duel", ["evaluation.search=full"]).hash
        == load("option_duel").hash
        != load("option_duel", ["evaluation.search=none"]).hash
    )


def test_what_was_chosen_is_judged_on_games_that_no_choice_has_seen(
    market: DealerMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval rests on it: of many candidates the one with the best luck is chosen."""
    seen: dict[int, set[int]] = {}

    def noted(game, acts, seeds, **more):
        seen.setdefault(game.batch, set()).update(seeds.tolist())
        return play(game, acts, seeds, **more)

    monkeypatch.setattr("arena.gaps.search.play", noted)
    monkeypatch.setattr("arena.gaps.shifts.play", noted)
    profile = naive_acts(market)
    gap = nash_gap(market, profile, Search(games=40, choice_games=24, generations=2, shift_games=2))
    assert {batch: len(seeds) for batch, seeds in seen.items() if batch < 64} == {40: 40, 24: 24}
    assert len(seen) == 3  # the third are the games of the searches themselves
    judged, chosen = seen.pop(40), seen.pop(24)
    (searched,) = seen.values()
    assert not judged & (chosen | searched)
    assert not chosen & searched
    for seat in gap.seats:
        assert len(seat.differences) == 40
        assert seat.gain == pytest.approx(seat.differences.mean())


TRADER = SMALL["executors"][0]


@pytest.mark.parametrize(
    ("role", "change", "alike"),
    [
        ("maker", {}, True),
        ("maker", {"makers": {"risk": {"kind": "quadratic", "running_penalty": [0.1, 0.2]}}}, False),
        ("maker", {"makers": {"risk": {"kind": "quadratic", "terminal_penalty": [0.1, 0.2]}}}, False),
        ("maker", {"makers": {"risk": {"kind": "quadratic", "terminal_penalty": [0.1, 0.1]}}}, True),
        ("maker", {"makers": {"initial_inventory": [1.0, 2.0]}}, False),
        ("maker", {"makers": {"initial_inventory": {"mean": [1.0, 2.0], "spread": 1.0}}}, False),
        ("maker", {"makers": {"initial_inventory": {"mean": [1.0, 1.0], "spread": 1.0}}}, True),
        ("executor", {"executors": [TRADER, TRADER]}, True),
        ("executor", {"executors": [TRADER, {**TRADER, "temporary_impact": 0.003}]}, False),
        ("executor", {"executors": [{**TRADER, "size": {"mean": [10, 40]}}] * 2}, False),
        ("executor", {"executors": [{**TRADER, "size": {"mean": [10, 10]}}] * 2}, True),
        ("executor", {"executors": [{**TRADER, "size": {"mean": [30, 30], "spread": 5}}, TRADER]}, False),
    ],
)
def test_seats_are_alike_by_what_each_of_them_is_given(role: str, change: dict, alike: bool) -> None:
    market = DealerMarket.model_validate({**SMALL, **change})
    assert market.role(role).alike is alike


def test_seats_that_differ_share_no_candidates() -> None:
    """Sizes 10 and 40: each trader has a search of its own; the makers are alike and share one."""
    unlike = DealerMarket.model_validate({**SMALL, "executors": [{**TRADER, "size": {"mean": [10, 40]}}] * 2})
    searched = []

    def train(jobs):
        searched.extend(job.seat for job in jobs)
        known = priors(unlike)
        roles = [next(role for role in unlike.roles if job.seat in role.agents) for job in jobs]
        return [Network(role.observation, known[role.name], hidden=(8,), seed=1).weights() for role in roles]

    search = Search(games=32, choice_games=32, fresh=1, generations=1, shift_games=2, train=train)
    nash_gap(unlike, naive_acts(unlike), search)
    assert searched == ["mm_0", "trader_0", "trader_1"]


def test_nashconv_adds_gains_game_by_game() -> None:
    one, two = [0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]
    gap = total([gain("a", one), gain("b", two)], 0.99)
    assert gap.nashconv == pytest.approx(3.0)
    assert gap.high - gap.low == pytest.approx(0.0, abs=1e-12)  # luck cancels in every game
    exact = total([gain("a", one), gain("b", [2.0], "exact")], 0.99)
    assert exact.nashconv == pytest.approx(1.5 + 2.0)
    low, high = stats.t.interval(0.99, 3, exact.nashconv, stats.sem(one))
    assert (exact.low, exact.high) == (pytest.approx(low), pytest.approx(high))
    rough = SeatGain("b", 2.0, 0.0, 1.75, 2.25, "exact", "test")  # a numerical error adds to what is sampled
    assert total([gain("a", one), rough], 0.99).high == pytest.approx(high + 0.25)


def test_a_negative_gain_is_shown_and_counts_as_none() -> None:
    gap = total([gain("a", [-1.0, -2.0, -3.0]), gain("b", [1.0, 1.0, 1.0])], 0.95)
    assert gap.nashconv == pytest.approx(1.0)
    line = gap.line(7)
    assert line["seats"][0]["gain"] == pytest.approx(-2.0)
    assert line["high"] > 1.0 > line["low"]


def test_the_relative_bound_takes_the_worse_ends() -> None:
    naive = NashGap((), 10.0, 9.0, 11.0, 0.99)
    gap = NashGap((), 0.2, 0.1, 0.3, 0.99, naive)
    assert gap.relative == pytest.approx(0.02)
    assert gap.relative_high == pytest.approx(0.3 / 9.0)
    line = gap.line(3)
    assert (line["naive_nashconv"], line["relative_high"]) == (10.0, pytest.approx(0.3 / 9.0))
    assert np.isnan(NashGap((), 0.2, 0.1, 0.3, 0.99).relative)


def test_the_last_engine_always_applies(market: DealerMarket) -> None:
    assert engines(market)[-1].applies(market, naive_acts(market))
