"""The quote board says what the state holds, as text and as a picture."""

import numpy as np
import pytest

from arena.env import parallel_env
from arena.markets.dealer.board import Board
from arena.scenario import load, packaged


def test_the_text_shows_quotes_inventories_fills_and_orders() -> None:
    world = parallel_env("two_mm_one_trader", render_mode="ansi")
    world.reset(seed=3)
    actions = {agent: world.to_unit(agent, [0.05, 0.01] * 4) for agent in ("mm_0", "mm_1")}
    world.step({**actions, "trader_0": world.to_unit("trader_0", [120.0])})
    game, text = world.table.game, world.render()
    assert isinstance(text, str)
    lines = text.splitlines()
    assert lines[0] == f"two_mm_one_trader  step 1/100  0.99 day left  spot {game.view('spot')[0]:.2f}"
    for i, name in enumerate(world.scenario.market.product_names):
        line = next(line for line in lines if line.strip().startswith(name))
        mid, inventory = game.view("mid")[0, i], game.view("maker_inventory")[0, :, i]
        bought, sold = game.view("fill")[0, :, i].T
        assert f"{mid:.4f}" in line
        assert line.count(f"{mid - 0.04:.4f} / {mid + 0.06:.4f}") == 2
        for m in range(2):
            assert f"{inventory[m]:g} ({bought[m]:g}/{sold[m]:g})" in line
    side = "buy" if game.view("direction")[0, 0] > 0 else "sell"
    left, done = abs(game.view("remaining")[0, 0]), game.view("executor_fill")[0, 0]
    assert lines[-1] == f"trader_0: {left:g} C100 left to {side}, {done:g} in the last step"


def test_a_withdrawn_quote_is_shown_as_absent() -> None:
    world = parallel_env(load("two_mm_one_trader", ["market.makers.inventory_limit=0.5"]), render_mode="ansi")
    world.reset(seed=1)
    world.step({agent: np.zeros(world.action_space(agent).shape, np.float32) for agent in world.agents})
    rows = [line for line in str(world.render()).splitlines() if line.strip().startswith(("C", "P"))]
    assert len(rows) == 4
    assert all(row.count("- / -") == 2 for row in rows)


@pytest.mark.parametrize("name", [name for name in packaged() if load(name).market.model == "dealer"])
def test_the_picture_changes_with_the_game(name: str) -> None:
    world = parallel_env(load(name, ["market.clock.steps=20"]))
    world.reset(seed=1)
    board = Board(world.table.game, name)
    first = board.picture()
    assert first.shape == (480, 800, 3)
    assert first.dtype == np.uint8
    for _ in range(3):
        world.step({agent: np.zeros(world.action_space(agent).shape, np.float32) for agent in world.agents})
    assert (board.picture() != first).any()
    np.testing.assert_array_equal(board.picture(), board.picture())
