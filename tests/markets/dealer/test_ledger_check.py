"""The ledger at run time: a corrupted account stops the game and is named; rounding is not an error."""

import numpy as np
import pytest

from arena.game import Game
from arena.markets.dealer.ledger import first_broken
from arena.markets.parts.accounts import LedgerError
from arena.rollout import seeds_of
from tests.markets.dealer.accounts import BUYER, CHAIN


def start(tools):
    makers = {"count": 3, "inventory_limit": 8, "hedging": {"kind": "costly", "cost": 0.001}}
    market = tools.build(products=CHAIN, makers=makers, executors=[BUYER])
    game = Game(market, 5)
    game.reset(seeds_of(1, 5))
    game.advance()
    return game


def play_on(game):
    while not game.done:
        game.advance()


@pytest.mark.parametrize(
    ("row", "index", "sentence"),
    [
        ("maker_cash", (3, 1), "cash over all accounts"),
        ("executor_cash", (3, 0), "cash over all accounts"),
        ("noise_cash", (3,), "cash over all accounts"),
        ("leak_cash", (3,), "cash over all accounts"),
        ("maker_inventory", (3, 1, 1), "contracts of P100"),
        ("executor_inventory", (3, 0), "contracts of C95"),
        ("venue_hedge", (3,), "shares over all accounts"),
        ("hedge_pnl", (3, 2), "wealth of mm_2"),
        ("edge_executor", (3, 1, 0), "wealth of mm_1"),
        ("maker_fee", (3, 0), "wealth of mm_0"),
    ],
)
@pytest.mark.parametrize("amount", [1e-3, -5.0, np.nan, np.inf])
def test_a_corrupted_account_stops_the_game_and_is_named(tools, row, index, sentence, amount):
    game = start(tools)
    game.view(row)[index] += amount
    if row == "maker_inventory" and not np.isfinite(amount):
        # infinity reaches the cash within the step, and cash is checked first; the edges of a band may swallow what is
        # not a number, and then the contracts themselves are named
        sentence = "cash over all accounts" if amount == np.inf else f"(cash over all accounts|{sentence})"
    with pytest.raises(LedgerError, match=rf"game 3, step 8 \(checked every 8\): {sentence}"):
        play_on(game)


def test_an_error_in_a_later_block_of_games_is_named_too(tools):
    game = Game(tools.build(), 1000)
    game.reset(seeds_of(1, 1000))
    game.view("noise_cash")[777] += 1.0
    with pytest.raises(LedgerError, match=r"game 777, step 8 .*: cash .* adds up to 1; it must be 0"):
        play_on(game)


def test_a_game_shorter_than_the_interval_is_checked_at_its_end(tools):
    game = Game(tools.build(clock={"steps": 3}), 2)
    game.reset(seeds_of(1, 2))
    game.view("noise_cash")[1] += 1.0
    with pytest.raises(LedgerError, match=r"game 1, step 3 "):
        play_on(game)


def test_rounding_is_not_an_error(tools):
    game = start(tools)
    game.view("noise_cash")[0] += 1e-12
    play_on(game)
    assert game.done


def test_first_broken_is_relative_to_the_gross_amount():
    assert first_broken(np.array([1e-3, 1.0, -0.5]), np.array([0.0, 1e6, 0.0])) == 2
