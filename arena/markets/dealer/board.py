"""The quote board: what stands in a game right now, as text or as a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.game import Game
from arena.markets.dealer.flow import ABSENT
from arena.markets.dealer.market import DealerMarket

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Okabe and Ito's palette, which stays apart without colour vision; makers take them in turn."""


class Board:
    """Draws the first game of a batch; holds no state of its own."""

    def __init__(self, game: Game, title: str):
        assert isinstance(game.market, DealerMarket)
        self.game, self.market, self.title = game, game.market, title

    def _now(self, name: str) -> NDArray[np.float64]:
        return self.game.view(name)[0]

    def _headline(self) -> str:
        clock, step = self.market.clock, self.game.step_index
        left = clock.horizon * (1 - step / clock.steps)
        return f"{self.title}  step {step}/{clock.steps}  {left:.3g} {clock.unit} left  spot {self._now('spot'):.2f}"

    def _trader_lines(self) -> list[str]:
        remaining, done = self._now("remaining"), self._now("executor_fill")
        lines = []
        for j, (name, trader) in enumerate(zip(self.market.executor_names, self.market.executors, strict=True)):
            side = "buy" if self._now("direction")[j] > 0 else "sell"
            lines.append(f"{name}: {abs(remaining[j]):g} {trader.product} left to {side}, {done[j]:g} in the last step")
        return lines

    def text(self) -> str:
        """Quotes, inventories, last fills and what the traders still have to do, one line per product and seat."""
        mid, distance = self._now("mid"), self._now("distance")
        inventory, fill = self._now("maker_inventory"), self._now("fill")
        lines = [self._headline()]
        if self.market.makers.count:
            lines.append(f"{'':>10} {'':>9}  bid / ask, inventory (bought / sold in the last step)")
        lines.append(f"{'product':>10} {'mid':>9}  " + "  ".join(f"{name:^34}" for name in self.market.maker_names))
        for i, name in enumerate(self.market.product_names):
            cells = []
            for m in range(self.market.makers.count):
                bid, ask = (_price(mid[i], d, sign) for d, sign in zip(distance[m, i], (-1, 1), strict=True))
                filled = f"({fill[m, i, 0]:g}/{fill[m, i, 1]:g})"
                cells.append(f"{bid:>9} / {ask:<9}{inventory[m, i] + 0.0:>6.4g} {filled:<7}")
            lines.append(f"{name:>10} {mid[i]:>9.4f}  " + "  ".join(cells))
        return "\n".join([*lines, *self._trader_lines()])

    def picture(self) -> NDArray[np.uint8]:
        """The same as uint8 [480, 800, 3]: distances of the quotes from the mid, and inventories."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.8), dpi=100)
        canvas = FigureCanvasAgg(figure)
        quotes, books = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        self._draw_quotes(quotes)
        self._draw_inventories(books)
        figure.suptitle(self._headline(), fontsize=10)
        figure.text(0.5, 0.015, "   ".join(self._trader_lines()), ha="center", fontsize=8)
        figure.subplots_adjust(left=0.16, right=0.97, top=0.84, bottom=0.17, wspace=0.06)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _draw_quotes(self, axes: Any) -> None:
        mid, distance, makers = self._now("mid"), self._now("distance"), self.market.makers
        for m, (name, y) in enumerate(self._rows()):
            for side, sign in ((0, -1), (1, 1)):
                shown = distance[m, :, side] < ABSENT / 2
                label = name if side == 0 else None
                x = np.clip(sign * distance[m, shown, side], -makers.max_distance, makers.max_distance)
                axes.scatter(x, y[shown], marker=(">", "<")[side], color=COLOURS[m % 8], label=label, s=40)
        axes.axvline(0.0, color="0.5", linewidth=0.8)
        axes.set_xlim(-1.05 * makers.max_distance, 1.05 * makers.max_distance)
        labels = [f"{name}  {price:.3f}" for name, price in zip(self.market.product_names, mid, strict=True)]
        axes.set_yticks(range(self.market.n), labels, fontsize=8)
        axes.set_ylim(self.market.n - 0.5, -0.5)
        axes.set_xlabel("distance from the mid (bid left, ask right)", fontsize=8)
        if makers.count:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=8, frameon=False)
        axes.tick_params(labelsize=8)

    def _draw_inventories(self, axes: Any) -> None:
        inventory = self._now("maker_inventory")
        height = 0.8 / max(self.market.makers.count, 1)
        for m, (_, y) in enumerate(self._rows()):
            axes.barh(y, inventory[m], height=0.9 * height, color=COLOURS[m % 8])
        reach = self.market.makers.inventory_limit or max(1.0, float(np.abs(inventory).max(initial=0.0)))
        axes.set_xlim(-1.05 * reach, 1.05 * reach)
        axes.axvline(0.0, color="0.5", linewidth=0.8)
        axes.set_xlabel("inventory (lots)", fontsize=8)
        axes.tick_params(labelsize=8)

    def _rows(self) -> list[tuple[str, NDArray[np.float64]]]:
        """Each maker's name and its height [n] within the rows of the products."""
        count = self.market.makers.count
        shifts = (np.arange(count) - 0.5 * (count - 1)) * 0.8 / max(count, 1)
        return [
            (name, np.arange(self.market.n) + shift)
            for name, shift in zip(self.market.maker_names, shifts, strict=True)
        ]


def _price(mid: float, distance: float, sign: int) -> str:
    return f"{mid + sign * distance:.4f}" if distance < ABSENT / 2 else "-"
