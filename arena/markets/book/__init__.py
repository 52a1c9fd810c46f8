"""A limit order book with a mutually exciting background flow, makers and executors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def replay(
    start: Any | Mapping[str, Any],
    events: Iterable[Sequence[Any]],
    seed: int = 0,
    refill: int = 10,
    owners: int = 0,
    room: int = 512,
) -> list[Any]:
    """Play a list of events through the book's rules; a `replaying.BookState` after each event.

    `start` is a `BookState` or a mapping with its `bid`, `ask` (ticks) and `queues`, ((bid top, bid deep), (ask top,
    ask deep)), owners from the front: 0 the background, 1 to 16 seats. An event is (type, owner), the type by name or
    by its number; then optionally which background order a cancel takes, by how many of its kind stand ahead of it, and
    how many orders a new level has: (type, owner, pick, refill). What is not told is drawn from `seed`; a new level has
    `refill` orders. An event without effect leaves the book as it is (`effect` is False). States have accounts for
    `owners` seats, or as many as there are in the events. Raises ValueError for what is no book or no event.
    """
    from arena.markets.book.replaying import play_events  # loads the kernels

    return play_events(start, events, seed, refill, owners, room)
