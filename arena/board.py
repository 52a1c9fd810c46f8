"""What stands in a game right now, as text or as a picture: a table of the state by name, for any market.

A market with a drawing of its own names it as `board` in its kit.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arena.game import Game

LINES = 40
"""Quantities shown at most; a state may have hundreds."""


class Board(Protocol):
    """Draws the first game of a batch; holds no state of its own."""

    def text(self) -> str:
        """One line per quantity."""
        ...

    def picture(self) -> NDArray[np.uint8]:
        """The same as uint8 [H, W, 3]."""
        ...


class StateBoard:
    """The state's quantities by name with their values and unit; names that begin with `_` are left out."""

    def __init__(self, game: Game, title: str):
        self.game, self.title = game, title

    def text(self) -> str:
        """A headline and one line per quantity."""
        clock, step = self.game.market.clock, self.game.step_index
        left = clock.horizon * (1.0 - step / clock.steps)
        lines = [f"{self.title}  step {step}/{clock.steps}  {left:.3g} {clock.unit} left"]
        fields = [field for field in self.game.market.state if not field.name.startswith("_") and field.size]
        width = max(len(field.name) for field in fields)
        for field in fields[:LINES]:
            values = "  ".join(f"{value + 0.0:.6g}" for value in self.game.view(field.name)[0].ravel())
            lines.append(f"{field.name:>{width}}  {values}  {field.unit}".rstrip())
        if len(fields) > LINES:
            lines.append(f"{len(fields) - LINES} more quantities are not shown")
        return "\n".join(lines)

    def picture(self) -> NDArray[np.uint8]:
        """The text as a picture."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        lines = self.text().splitlines()
        figure = Figure(figsize=(8.0, 0.6 + 0.2 * len(lines)), dpi=100)
        canvas = FigureCanvasAgg(figure)
        figure.text(0.03, 0.97, "\n".join(line[:100] for line in lines), family="monospace", fontsize=9, va="top")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
