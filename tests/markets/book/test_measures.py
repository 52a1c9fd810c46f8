"""What is measured over played games: by hand where a game can be written down, and the report's sections at all."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.book_executors import MarketTWAP
from agents.book_makers import TwoSided
from arena.board import Board
from arena.game import Game
from arena.markets.book import kit, sections
from arena.markets.book.market import Market
from arena.markets.book.measures import impulses, manipulation, many, stylised, trading
from arena.pages.page import Run
from arena.rollout import play, seeds_of
from arena.runs import accounts
from arena.runs.record import Record, record

MARKET = Market.model_validate(
    {
        "clock": {"unit": "second", "horizon": 20, "steps": 200},
        "makers": {"count": 1},
        "executors": ({"side": "coin", "size": 6},),
    }
)


@pytest.fixture(scope="module")
def games() -> Record:
    acts = {"mm_0": TwoSided().sit(MARKET, "mm_0"), "trader_0": MarketTWAP().sit(MARKET, "trader_0")}
    played = play(Game(MARKET, 128), acts, seeds_of(1, 128), trace=True)
    assert played.state is not None
    return record(MARKET, played.state, {"mm_0": "two_sided", "trader_0": "market_twap"})


def written(**rows: Any) -> Record:
    """A record of zeros but for what is given, [T + 1, B, ...] each; two games of four steps."""
    layout = MARKET.state.shown
    state = np.zeros((5, layout.size, 2))
    for name, values in rows.items():
        state[:, layout.slice(name)] = np.moveaxis(np.broadcast_to(values, (5, 2, layout.field(name).size)), 1, 2)
    return record(MARKET, state, {"mm_0": "x", "trader_0": "y"})


def column(*values: float) -> np.ndarray:
    """The same path in both games, one value a seat."""
    return np.repeat(np.array(values, float)[:, None, None], 2, axis=1)


def test_the_sharpe_ratio_by_fee_is_that_of_the_formula(games: Record) -> None:
    for fee in (0.0, 1e-4, 8e-4):
        found = trading.sharpe(games, "mm_0", fee)
        y, mid = games["maker_inventory"][-1, :, 0], games["mid"][-1]
        value = games["maker_cash"][-1, :, 0] + y * mid - fee * np.abs(y) * mid  # in ticks of a cent
        logs = np.log((2000 + 0.01 * value) / 2000)
        annual = np.sqrt(252 * 6.5 * 3600 / 20)
        assert found.value == pytest.approx(annual * logs.mean() / logs.std(ddof=1), rel=1e-9)
        assert found.se == pytest.approx(np.sqrt((annual**2 + found.value**2 / 2) / 128), rel=1e-12)
    own = accounts.attribution(games)["mm_0"]["pnl"]
    np.testing.assert_allclose(trading.pnl(games, "mm_0", 1e-4), own, atol=1e-9)


def test_markouts_and_adverse_selection_by_hand() -> None:
    """One bid fills in the second step, 2 ticks below a mid of 10 that then falls by 3 and comes back by 1."""
    mid = np.repeat(np.array([10.0, 10, 7, 8, 8])[:, None, None], 2, axis=1)
    filled = np.zeros((5, 2, 2))
    filled[2:, :, 0] = 1
    lots = filled.reshape(5, 2, 2)
    games = written(mid=mid, maker_filled=lots, maker_captured=column(0, 0, 2, 2, 2))
    worth = [one.mean for one in trading.markouts(games, "mm_0", [0, 1, 2, 100])]
    assert worth == [2.0, -1.0, 0.0, 0.0]
    assert trading.adverse_selection(games, "mm_0", seconds=0.1).tolist() == [-3.0, -3.0]


def test_slippage_by_hand() -> None:
    """A buyer of 2 lots pays 10 and 12 above a mid at arrival of 9; the mid goes 9, 9, 11, 11, 11."""
    mid = np.repeat(np.array([9.0, 9, 11, 11, 11])[:, None, None], 2, axis=1)
    # crossed: 9 - 10 and 11 - 12; marks: one lot was still owed while the mid rose by 2
    games = written(
        mid=mid, executor_inventory=column(-2, -1, -1, 0, 0), executor_crossed=column(0, -1, -1, -2, -2),
        executor_mark=column(0, 0, -2, -2, -2),
    )  # fmt: skip
    cost = trading.slippage(games, "trader_0")
    assert cost["arrival"].tolist() == [2.0, 2.0]  # (10 - 9 + 12 - 9)/2
    assert cost["schedule"].tolist() == [1.0, 1.0]  # an even schedule's mid is 10
    assert cost["left"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("determined", "one_sided", "push", "verdict"),
    [
        (0.3, 0.5, 20, "maker"),
        (0.9, 0.9, 9, "maker"),
        (0.9, 0.95, 9, "pump and dump"),
        (0.4, 0.95, 9, "hoarder"),
        (0.9, 1, 2, "hoarder"),
    ],
)
def test_classes(determined: float, one_sided: float, push: float, verdict: str) -> None:
    assert manipulation.verdict(determined, one_sided, push) == verdict


def test_the_detector_by_hand() -> None:
    mid = np.repeat(np.array([9.0, 10, 11, 12, 14])[:, None, None], 2, axis=1)
    pump = manipulation.detect(written(mid=mid, maker_inventory=column(0, 1, 2, 3, 3)), "mm_0")
    assert (pump.determined, pump.one_sided, pump.push, pump.verdict) == (1.0, 1.0, 5.0, "pump and dump")
    opposite = column(0, 1, -1, 1, -1)
    opposite[:, 1] *= -1
    maker = manipulation.detect(written(mid=mid, maker_inventory=opposite), "mm_0")
    assert (maker.determined, maker.one_sided, maker.verdict) == (0.0, 0.0, "maker")


def test_times_between_events_by_hand() -> None:
    """Events in steps 1 and 4 of four, in both games: one gap of three steps each."""
    events = np.zeros((5, 2, 12))
    events[1:, :, 4], events[4:, :, 4] = 1, 2
    mean, variation, independent = stylised.waits(written(events=events))
    assert mean[4] == pytest.approx(3 * written().step)
    assert (variation[4], independent[4]) == (0.0, np.sqrt(0.5))
    assert np.isnan(mean[3])


def test_two_sided_quotes_are_a_makers(games: Record) -> None:
    found = manipulation.detect(games, "mm_0")
    assert found.verdict == "maker"
    assert found.determined < 0.2


def test_the_card_of_the_book(games: Record) -> None:
    told = stylised.card(games)
    assert sum(told["spread"]) == pytest.approx(1.0)
    assert 0.7 < told["spread"][0] < 0.97
    assert np.sum(told["rate"]) == pytest.approx(31, rel=0.1)
    assert min(told["dispersion"][:2]) > 1.0  # events come in clusters
    assert told["wait"][4] == pytest.approx(1 / 0.52, rel=0.15)  # a market order every two seconds
    assert told["wait_variation"][4] > 1.1 * told["wait_independent"][4]
    response = stylised.responses(games, [1, 20])
    assert response[4, 1] > 0.05 > -0.05 > response[7, 1]  # MO_a lifts the mid, MO_b lowers it


@pytest.mark.parametrize("name", kit.SECTIONS)
def test_every_section_of_the_report_is_made(name: str, games: Record) -> None:
    from arena.pages import games as common

    run = Run(Path(), scenario={"market": {"model": "book"}}, records={"final": games})
    section = getattr(sections, name, None) or getattr(common, name)
    made = section(run)
    assert made.lead or made.figures or made.tables or made.missing
    assert all("<svg" in figure.svg for figure in made.figures)
    assert "nan" not in "".join(figure.svg for figure in made.figures)
    bare = section(Run(Path(), scenario={"market": {"model": "book"}}))
    assert bare is None or bare.missing


def test_the_board_shows_levels_and_seats() -> None:
    game = Game(MARKET, 1)
    game.reset(seeds_of(1, 1))
    board: Board = kit.board(game, "book")
    text = board.text()
    assert text.count("orders") == 4
    assert "mm_0: +0 lots" in text
    assert board.picture().shape == (480, 800, 3)


def test_many_games_without_paths_tell_what_records_tell() -> None:
    acts = {"mm_0": TwoSided().sit(MARKET, "mm_0"), "trader_0": MarketTWAP().sit(MARKET, "trader_0")}
    found = many.play_many(MARKET, acts, "mm_0", 24, seed=5, batch=16)
    played = play(Game(MARKET, 24), acts, seeds_of(5, 24), trace=True)
    assert played.state is not None
    games = record(MARKET, played.state, {})
    for fee in (0.0, 2e-4):
        np.testing.assert_allclose(found.sharpe(fee), trading.sharpe(games, "mm_0", fee), rtol=1e-9)
    held = games["maker_inventory"][1:, :, 0]
    np.testing.assert_allclose(found.size, np.abs(held).mean(axis=0))
    np.testing.assert_allclose(found.path, held.mean(axis=1), atol=1e-12)
    assert found.square == pytest.approx(np.square(held).mean())
    np.testing.assert_array_equal(found.moved, games["mid"][-1] - games["mid"][0])
    np.testing.assert_array_equal(found.filled, games.total("maker_filled")[:, 0])
    told = manipulation.detect(games, "mm_0")
    assert (found.verdict, found.one_sided) == (told.verdict, pytest.approx(told.one_sided, abs=0.02))
    assert found.push == told.push


def test_a_paired_difference_of_sharpe_ratios_has_the_spread_that_it_says() -> None:
    """400 pairs of 500 correlated games: the mean error told is within 15 % of the spread (its own error is 3.5 %)."""
    generator, told, seen = np.random.default_rng(3), [], []
    blank = many.Many(*[np.zeros(500)] * 7, path=np.zeros(1), square=0.0, horizon=300.0, tick=0.01)
    for _ in range(400):
        both = generator.normal(size=500)
        ours = blank._replace(pnl=8.0 + 20.0 * (both + 0.5 * generator.normal(size=500)))
        theirs = blank._replace(pnl=2.0 + 10.0 * (both + 0.5 * generator.normal(size=500)))
        difference, error = many.better_by(ours, theirs, 1e-4)
        seen.append(difference)
        told.append(error)
    assert np.mean(told) == pytest.approx(np.std(seen), rel=0.15)
    expected = ours.annual * (8 / 20 - 2 / 10) / np.sqrt(1.25)
    assert abs(np.mean(seen) - expected) < 5 * np.mean(told) / 20 + 0.02 * expected


def test_a_policy_map_counts_every_choice_where_it_was_made() -> None:
    market = Market.model_validate({"clock": {"unit": "second", "horizon": 20, "steps": 200}, "makers": {"cap": 12}})
    act = TwoSided(cap=12).sit(market, "mm_0")
    played = play(Game(market, 16), {"mm_0": act}, seeds_of(3, 16), trace=True)
    found = impulses.policy_map(market, played)["mm_0"]
    counts, edges, options = np.array(found["counts"]), found["positions"], found["options"]
    assert played.observations is not None
    assert played.actions is not None
    seen, done = played.observations["maker"][:, :, 0], played.actions["maker"][:, :, 0, 0]
    layout = market.roles[0].observation
    held = seen[..., layout.slice("inventory").start]
    bids, asks = (seen[..., layout.slice("queue").start + i].astype(float) for i in (0, 1))
    assert edges[0] <= held.min()
    assert held.max() < edges[-1]
    assert edges[0] == 1 - edges[-1]  # classes are mirrored around 0
    for row, (low, high) in enumerate(pairwise(edges)):
        for column in range(impulses.IMBALANCES):
            at = -1.0 + 2.0 * column / impulses.IMBALANCES
            last = column == impulses.IMBALANCES - 1
            x = (bids - asks) / (bids + asks)
            there = (held >= low) & (held < high) & (x >= at - 1e-12) & ((x < at + 2.0 / impulses.IMBALANCES) | last)
            told = [int((done[there] == k).sum()) for k in range(len(options))]
            assert counts[row, column].tolist() == told
    assert counts.sum() == done.size
    which, share, visits = impulses.chosen(np.array([[[3, 1, 0, 0, 6], [0, 0, 0, 0, 5]]]), options)
    assert (which.tolist(), share.tolist(), visits.tolist()) == ([[0, -1]], [[0.4, 0.0]], [[10, 5]])


def test_the_map_names_the_impulse_and_the_share_of_decisions(games: Record) -> None:
    cell, still = [60, 0, 0, 20, 20], [0, 0, 0, 0, 20]
    counts = [[cell] * impulses.IMBALANCES, [still] * impulses.IMBALANCES]
    options = ["LO_a_T", "CO_a_T", "CO_b_T", "LO_b_T", "nothing"]
    curves = {"impulses": {"mm_0": {"positions": [-1, 0, 1], "options": options, "counts": counts}}}
    run = Run(Path(), scenario={"market": {"model": "book"}}, records={"final": games}, curves=curves)
    section = sections.impulses(run)
    assert section is not None
    (figure,) = section.figures
    assert figure.svg.count(">+a 80<") == impulses.IMBALANCES  # 60 of 100 are asks, 80 are impulses
    assert "+b" not in figure.svg.split("position, lots")[1]
    assert "−1<" in figure.svg
    assert "+a: posts an ask" in figure.svg


def test_moments_follow_one_another_and_say_what_happened() -> None:
    path = column(0, 1, 1, 2, 2)
    filled = np.zeros((5, 2, 2))
    filled[3:, :, 0] = 1
    games = written(maker_posted=path, maker_filled=filled, maker_cancelled=column(0, 0, 0, 0, 1))
    assert impulses.moments(games, "mm_0", 8) == [
        (1, "posts an order"), (3, "posts an order, buys a lot"), (4, "cancels an order"),
    ]  # fmt: skip
    assert impulses.moments(games, "mm_0", 2)[0] == (1, "posts an order")
    assert impulses.moments(written(), "mm_0", 8) == []


def test_bonuses_do_not_count_in_comparisons() -> None:
    games = written(maker_reward=column(0, 3, 3, 3, 3), maker_shaping=column(0, -2, -4, -6, -8))
    np.testing.assert_array_equal(kit.objective(games)["mm_0"], [4.0, 4.0])
