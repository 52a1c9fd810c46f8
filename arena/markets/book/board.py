"""The book as it stands in a game: both levels of both sides, whose orders rest where, and what everybody holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.game import Game


class Board:
    """Draws the first game of a batch; holds no state of its own."""

    def __init__(self, game: Game, title: str):
        self.game, self.title = game, title

    def _now(self, name: str) -> NDArray[np.float64]:
        return self.game.view(name)[0]

    def _levels(self) -> list[tuple[str, float, float, float]]:
        """Side, price, orders and seats' orders of the four levels, the highest price first."""
        best, queue, own = self._now("best"), self._now("queue"), self._now("own_orders")
        rows = [("ask", best[1] + 1, 1, 1), ("ask", best[1], 1, 0), ("bid", best[0], 0, 0), ("bid", best[0] - 1, 0, 1)]
        return [(side, price, queue[s, level], own[s, level]) for side, price, s, level in rows]

    def text(self) -> str:
        """A line per level and seat."""
        market: Any = self.game.market
        clock, step = market.clock, self.game.step_index
        left = clock.horizon * (1 - step / clock.steps)
        lines = [f"{self.title}  step {step}/{clock.steps}  {left:.4g} {clock.unit}s left  tick {market.depth.tick:g}"]
        for side, price, orders, own in self._levels():
            lines.append(
                f"  {side}  {price:>9.0f}  {orders:>4.0f} orders" + (f", {own:.0f} of the seats" if own else "")
            )
        for role in market.roles:
            for i, seat in enumerate(role.agents):
                inventory, cash = self._now(f"{role.name}_inventory")[i], self._now(f"{role.name}_cash")[i]
                bids, asks = self._now(f"{role.name}_resting")[i]
                lines.append(
                    f"{seat}: {inventory:+.0f} lots, {cash:+.1f} ticks, {bids:.0f} bids and {asks:.0f} asks rest"
                )
        return "\n".join(lines)

    def picture(self) -> NDArray[np.uint8]:
        """The levels as bars, uint8 [480, 800, 3]; the seats' orders darker."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.8), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        for side, price, orders, own in self._levels():
            axes.bar(price, orders, color="#56B4E9" if side == "bid" else "#E69F00")
            axes.bar(price, own, color="#0072B2" if side == "bid" else "#D55E00")
        axes.set_xlabel("price (ticks)")
        axes.set_ylabel("orders (the seats' darker)")
        figure.suptitle(self.text().splitlines()[0], fontsize=10)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
