"""What is measured over played games: by hand where a game can be written down, and the report's sections at all."""

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
from arena.markets.book.measures import manipulation, stylised, trading
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
