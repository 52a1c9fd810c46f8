"""What the toy offers above its rules: a recipe, and the profile that gaps are relative to."""

from typing import Literal

import numpy as np
from pydantic import BaseModel

from arena.layout import STRICT


class Steady(BaseModel):
    """Plays one action, an option (not allowed: it waits) or a rate in [-1, 1] units, at all times."""

    model_config = STRICT
    kind: Literal["steady"] = "steady"
    action: float = 0.0

    def sit(self, market, seat):
        """Act of one seat."""
        mask = market.roles[0].observation.slice("allowed").start + int(self.action)
        if seat in market.roles[0].agents:
            return lambda seen, _: np.where(seen[:, [mask]] > 0.5, self.action, 0.0)
        return lambda seen, _: np.full((len(seen), 1), self.action)


SEATS = {"poster": (Steady,), "taker": (Steady,)}


def naive(market):
    """The poster waits, the taker would take every second lot."""
    return {"p_0": Steady(), "t_0": Steady()}
