"""The limit order book, put together: its settings, its roles and the layout of its state."""

from functools import cached_property, partial

from arena.layout import Layout
from arena.markets.book import columns
from arena.markets.book.settings import BookSettings
from arena.markets.market import Hints, Role, Rows, Rules

SHIFTS = ("inventory", "to_trade", "spread")


def _rows(role: str) -> Rows:
    told = ("inventory", "cash", "lots", "resting", "missed")
    return Rows(
        reward=f"{role}_reward",
        gains=(f"{role}_captured", f"{role}_crossed", f"{role}_mark"),
        costs=(f"{role}_fee",),
        penalties=(f"{role}_running_penalty", f"{role}_terminal_penalty", f"{role}_shaping"),
        traded=f"{role}_lots",
        told=tuple((name, f"{role}_{name}") for name in told),
    )


class Market(BookSettings):
    """Parameters and rules of the limit order book. M makers, N executors and the background in one book."""

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Makers if there are any, then executors if there are any."""
        out = []
        if self.makers.count:
            seen, choice = columns.observation(self, "maker"), columns.maker_choice(self)
            out.append(Role("maker", self.maker_names, seen, choice, _rows("maker"), Hints(shifts=SHIFTS)))
        if self.executors:
            seen, choice = columns.observation(self, "executor"), columns.executor_choice()
            alike = len(set(self.executors)) == 1
            out.append(
                Role("executor", self.executor_names, seen, choice, _rows("executor"), Hints(shifts=SHIFTS), alike)
            )
        return tuple(out)

    @cached_property
    def state(self) -> Layout:
        """Rows of the state array [R, B]."""
        return columns.state(self)

    def rules(self) -> Rules:
        """The kernels and this market's parameters as arrays."""
        return self._rules

    @cached_property
    def _rules(self) -> Rules:
        from arena.markets.book.kernel import advance, begin  # the kernels are loaded by who plays
        from arena.markets.book.ledger import message
        from arena.markets.book.tables import packed

        complaint = partial(message, seats=(*self.maker_names, *self.executor_names))
        return Rules(begin, advance, packed(self), complaint, games_last=False)
