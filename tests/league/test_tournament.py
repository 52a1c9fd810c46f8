"""The pay-off tensor against games played one by one, its symmetry, meta-strategies and ratings."""

import numpy as np
import pytest

from agents.makers import ConstantSpread
from arena.game import Game
from arena.league import tournament
from arena.league.tournament import STREAM, baselines, files, in_seat, meta, pay_offs, rate_all
from arena.markets.dealer.market import DealerMarket
from arena.pages.judging import _payoff_tables
from arena.rollout import play, seeds_of

SMALL = {
    "clock": {"steps": 10},
    "products": [{"name": "C100", "right": "call", "strike": 100, "expiry": 63}],
    "flow": {"rule": {"kind": "soft_best", "fill_decay": 10, "sharpness": 50}},
    "executors": [{"product": "C100", "size": 10, "rate": [0, 40], "temporary_impact": 0.002, "terminal_penalty": 0.2}],
}
HALF_SPREADS = {"tight": 0.02, "middle": 0.05, "wide": 0.3}


@pytest.fixture(scope="module")
def market() -> DealerMarket:
    return DealerMarket.model_validate(SMALL)


@pytest.fixture(scope="module")
def entrants(market: DealerMarket):
    makers = {name: ConstantSpread(half_spread=half).sit(market, "mm_0") for name, half in HALF_SPREADS.items()}
    return {"maker": makers, "executor": baselines(market)["executor"]}


@pytest.fixture(scope="module")
def tensor(market: DealerMarket, entrants):
    return pay_offs(market, entrants, games=64, seed=5)


def test_makers_are_exchangeable_exactly(tensor) -> None:
    assert tensor.mean.shape == (3, 3, 3, 2)
    assert tensor.roles == ("maker", "maker", "executor")
    np.testing.assert_array_equal(tensor.mean[0], tensor.mean[1].swapaxes(0, 1))
    np.testing.assert_array_equal(tensor.mean[2], tensor.mean[2].swapaxes(0, 1))
    np.testing.assert_array_equal(tensor.game.symmetrised().payoffs, tensor.mean)
    assert len(tensor.samples) == 6 * 2  # unordered pairs of makers, times traders


def test_a_cell_is_the_mean_of_its_games_with_the_seats_swapped(market: DealerMarket, entrants, tensor) -> None:
    seeds = seeds_of(5, 32, STREAM)
    makers, trader = entrants["maker"], entrants["executor"]["twap"]
    there = play(Game(market, 32), {"mm_0": makers["wide"], "mm_1": makers["tight"], "trader_0": trader}, seeds)
    back = play(Game(market, 32), {"mm_0": makers["tight"], "mm_1": makers["wide"], "trader_0": trader}, seeds)
    wide = 0.5 * (there.returns_of("mm_0") + back.returns_of("mm_1"))
    assert tensor.games == 64
    assert tensor.mean[0, 2, 0, 0] == pytest.approx(wide.mean(), abs=1e-9)
    assert not wide.any()  # it trades with nobody, and its error is 0 too
    tight = 0.5 * (there.returns_of("mm_1") + back.returns_of("mm_0"))
    assert tensor.mean[1, 2, 0, 0] == pytest.approx(tight.mean(), abs=1e-9)
    assert tensor.se[1, 2, 0, 0] == pytest.approx(tight.std(ddof=1) / np.sqrt(32), abs=1e-9)
    assert tensor.se[0, 2, 0, 0] == 0.0
    both = 0.5 * (there.returns_of("trader_0") + back.returns_of("trader_0"))
    assert tensor.mean[2, 0, 2, 0] == pytest.approx(both.mean(), abs=1e-9)


def test_a_dominated_maker_gets_no_weight_and_the_lowest_rating(market: DealerMarket, entrants, tensor) -> None:
    """At sharpness 50 a maker that quotes 0.3 against 0.02 or 0.05 gets nothing, and two of them little."""
    found = meta(tensor)
    for concept in ("cce", "ce", "alpha_rank"):
        assert found[concept]["maker"]["wide"] < 0.01
        assert sum(found[concept]["maker"].values()) == pytest.approx(1.0)
    assert set(found["zero_sum_view"]) == {"maker"}  # one trader has nobody to be compared with
    assert found["zero_sum_view"]["maker"]["value"] == pytest.approx(0.0, abs=1e-9)
    rows = rate_all(market, entrants, tensor, seed=5, confidence=0.99)
    assert rows["maker"][-1]["member"] == "wide"
    assert all(row["low"] <= row["rating"] <= row["high"] for row in rows["maker"])


def test_members_outside_the_tensor_are_rated_too(market: DealerMarket, entrants) -> None:
    few = {"maker": dict(list(entrants["maker"].items())[:2]), "executor": entrants["executor"]}
    small = pay_offs(market, few, games=32, seed=5)
    assert small.members["maker"] == ("tight", "middle")
    rows = rate_all(market, entrants, small, seed=5, confidence=0.99)
    assert {row["member"] for row in rows["maker"]} == set(HALF_SPREADS)


def test_seats_that_differ_play_every_ordered_pair(entrants) -> None:
    risk = {"kind": "quadratic", "running_penalty": [0.0, 0.5]}
    other = DealerMarket.model_validate({**SMALL, "makers": {"risk": risk}})
    makers = {name: ConstantSpread(half_spread=half).sit(other, "mm_0") for name, half in HALF_SPREADS.items()}
    found = pay_offs(other, {"maker": makers, "executor": entrants["executor"]}, games=16, seed=5)
    assert len(found.samples) == 9 * 2
    assert found.mean[0, 0, 0, 0] > found.mean[1, 0, 0, 0]  # the same quotes, but the second maker pays for inventory


@pytest.fixture(scope="module")
def unlike() -> DealerMarket:
    """Two executors under one entry, which gives them 10 and 40 lots."""
    (entry,) = SMALL["executors"]
    terms = {**entry, "size": {"mean": [10, 40]}, "rate": [0, 120], "running_penalty": 0.01}
    return DealerMarket.model_validate({**SMALL, "executors": [terms, terms]})


def test_seats_that_differ_in_size_play_every_ordered_pair(unlike: DealerMarket) -> None:
    traders = baselines(unlike)["executor"]
    maker = {"middle": ConstantSpread(half_spread=0.05).sit(unlike, "mm_0")}
    tensor = pay_offs(unlike, {"maker": maker, "executor": traders}, games=32, seed=5)
    assert len(tensor.samples) == len(traders) ** 2  # nobody is swapped with somebody who works another order
    seeds = seeds_of(5, 16, STREAM)
    makers = dict.fromkeys(("mm_0", "mm_1"), maker["middle"])
    for i, first in enumerate(traders.values()):
        for j, second in enumerate(traders.values()):
            acts = {"trader_0": in_seat(first, "trader_0"), "trader_1": in_seat(second, "trader_1")}
            played = play(Game(unlike, 16), {**makers, **acts}, seeds)
            for seat, agent in ((2, "trader_0"), (3, "trader_1")):
                expected = played.returns_of(agent).mean()
                assert tensor.mean[seat, 0, 0, i, j] == pytest.approx(expected, abs=1e-9)
    assert (tensor.mean[2] > tensor.mean[3] + 1.0).all()  # 40 lots cost more than 10, whoever works them


def test_a_scripted_entrant_knows_the_terms_of_the_seat_it_takes(unlike: DealerMarket) -> None:
    (entry, _) = unlike.executors
    patient = entry.model_copy(update={"running_penalty": 0.0, "size": 10.0})
    market = unlike.model_copy(update={"executors": (patient, entry.model_copy(update={"size": 10.0}))})
    optimal = baselines(market)["executor"]["almgren_chriss"]
    rows = np.zeros((1, market.role("executor").observation.size), np.float32)
    layout = market.role("executor").observation
    rows[0, layout.slice("to_trade")], rows[0, layout.slice("time_left")] = 10.0, 1.0
    slow, fast = (in_seat(optimal, seat)(rows, np.zeros((1, 1)))[0, 0] for seat in market.executor_names)
    assert slow < fast  # only the second seat pays for what it has not traded yet


def test_ratings_count_every_seat_where_seats_differ(unlike: DealerMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    traders = baselines(unlike)["executor"]
    maker = {"middle": ConstantSpread(half_spread=0.05).sit(unlike, "mm_0")}
    tensor = pay_offs(unlike, {"maker": maker, "executor": traders}, games=32, seed=5)
    compared = []
    monkeypatch.setattr(tournament, "_rated", lambda rows, *_: compared.extend(rows))
    rate_all(unlike, {"maker": maker, "executor": traders}, tensor, seed=5, confidence=0.99)
    means = [scores.mean() for _, scores in compared]
    assert len(means) == 2 * len(traders)  # for each seat, one comparison for every choice in the other one
    assert max(means[len(traders) :]) < min(means[: len(traders)]) - 1.0  # the second seat's stand below: 40 lots


def test_long_lists_are_cut_to_a_payable_number_of_profiles(
    market: DealerMarket, entrants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tournament, "LARGEST", 6)
    found = pay_offs(market, entrants, games=8, seed=5)
    assert len(found.samples) <= 6
    assert found.members["maker"][0] == "tight"  # the incumbent stays
    assert len(found.members["executor"]) == 2


def test_a_role_without_entrants_is_refused(market: DealerMarket, entrants) -> None:
    with pytest.raises(ValueError, match="nobody enters as executor"):
        pay_offs(market, {"maker": entrants["maker"]}, games=8, seed=5)


def test_the_file_is_what_the_report_reads(tensor) -> None:
    tables = list(_payoff_tables(files(tensor), "$ per game"))
    assert len(tables) == 2
    assert [row[0] for row in tables[0].rows] == list(HALF_SPREADS)
