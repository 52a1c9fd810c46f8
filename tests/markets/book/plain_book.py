"""The book's rules once more, as plain lists of owners: what the compiled rules are compared with."""

from dataclasses import dataclass, field

KINDS = ("LO_D", "CO_D", "LO_T", "CO_T", "MO", "IS")
BID, ASK = 0, 1


@dataclass
class PlainBook:
    """`queues[side]` is [top, deep], each a list of owners from the front; owner 0 is the background."""

    bid: int
    ask: int
    queues: list
    cash: dict = field(default_factory=dict)
    lots: dict = field(default_factory=dict)

    def price(self, side: int) -> int:
        return self.ask if side == ASK else self.bid

    def move(self, side: int, ticks: int) -> None:
        if side == ASK:
            self.ask += ticks
        else:
            self.bid -= ticks

    def happen(self, event: int, owner: int, pick: float, refill: int) -> bool:
        """One event with `pick` in [0, 1) for a background cancel; whether it changed anything."""
        side, kind = (ASK, KINDS[event]) if event < 6 else (BID, KINDS[11 - event])
        levels = self.queues[side]
        done = True
        if kind == "LO_T":
            levels[0].append(owner)
        elif kind == "LO_D":
            levels[1].append(owner)
        elif kind == "IS":
            done = self.ask - self.bid >= 2
            if done:
                self.queues[side] = levels = [[owner], levels[0]]
                self.move(side, -1)
        elif kind in ("CO_T", "CO_D"):
            done = self.cancel(levels[kind == "CO_D"], owner, pick)
        else:
            done = owner == 0 or levels[0][0] != owner
            if done:
                self.trade(side, levels[0].pop(0), owner)
        if not levels[0]:
            self.move(side, 1)
            self.queues[side] = [levels[1], [0] * refill]
        elif not levels[1]:
            levels[1].extend([0] * refill)
        return done

    @staticmethod
    def cancel(level: list, owner: int, pick: float) -> bool:
        own = [i for i, one in enumerate(level) if one == owner]
        if not own:
            return False
        del level[own[0] if owner else own[int(pick * len(own))]]
        return True

    def trade(self, side: int, maker: int, taker: int) -> None:
        price, bought = self.price(side), 1 if side == ASK else -1
        for owner, lots in ((taker, bought), (maker, -bought)):
            self.cash[owner] = self.cash.get(owner, 0) - lots * price
            self.lots[owner] = self.lots.get(owner, 0) + lots
