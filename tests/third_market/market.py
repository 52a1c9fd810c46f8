"""A poster shows a lot or takes it back; a taker and noise traders hit it while it shows."""

from functools import cached_property
from typing import Literal

import numpy as np
from numba import njit
from pydantic import BaseModel
from pydantic import Field as Setting

from arena.layout import STRICT, Choice, Field, Layout
from arena.markets.market import Clock, Hints, Role, Rows, Rules
from arena.markets.parts import draws

WAIT, POST, CANCEL = range(3)
STATE = (
    "posted", "earned", "held", "paid", "lots", "taken", "bought", "penalty", "reward_poster", "reward_taker",
    "noise_cash", "clipped_action",
)  # fmt: skip
POSTED, EARNED, HELD, PAID, LOTS, TAKEN, BOUGHT, PENALTY, POSTER, TAKER, NOISE, CLIPPED = range(len(STATE))
HIT = 32  # a source of randomness; from 32 on they are a market's own


class Market(BaseModel):
    """The poster earns `spread` per lot that is hit and pays `holding` a step while one shows."""

    model_config = STRICT
    model: Literal["toy"] = "toy"
    clock: Clock = Clock(steps=20)
    spread: float = Setting(1.0, ge=0, description="points per lot")
    holding: float = Setting(0.2, ge=0, description="points per step")
    noise: float = Setting(0.3, ge=0, le=1, description="chance that a noise trader hits a lot that shows")
    target: float = Setting(5.0, ge=0, description="lots that the taker wants")

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """One poster, who chooses, and one taker, whose action is a number."""
        left = Field("time_left", unit=self.clock.unit, low=0, high=self.clock.horizon, centre=0.5, scale=0.3)
        posted = Field("posted", unit="lots", low=0, high=1, centre=0.5, scale=0.5)
        allowed = Field("allowed", (3,), ("wait", "post", "cancel"), low=0, high=1)
        bought = Field("bought", unit="lots", low=0, high=self.clock.steps, centre=2.5, scale=1.5)
        choice, rate = Choice(allowed.labels, idle=WAIT), Layout([Field("rate", unit="chance", low=0, high=1)])
        poster = Rows("reward_poster", gains=("earned",), costs=("held",), traded="lots", told=(("posted", "posted"),))
        taker = Rows("reward_taker", gains=(), costs=("paid",), penalties=("penalty",), traded="taken")
        hints = Hints(shifts=("posted", "bought"))
        return (
            Role("poster", ("p_0",), Layout([left, posted, allowed]), choice, poster),
            Role("taker", ("t_0",), Layout([left, posted, bought]), rate, taker, hints),
        )

    @cached_property
    def state(self) -> Layout:
        """One value per seat, but for the noise traders' cash and the choices that were not allowed."""
        return Layout([Field(name, (1,) if i < NOISE else (), unit="points") for i, name in enumerate(STATE)])

    def rules(self) -> Rules:
        """Two kernels and the numbers that they read."""
        numbers = np.array([self.spread, self.holding, self.noise, self.target, self.clock.steps, self.clock.dt])
        words = "toy: game {1}, step {2}: cash of all accounts adds up to {3:g}; it must be 0"
        return Rules(begin, advance, (numbers,), lambda *found: words.format(*found))


@njit(error_model="numpy")
def _observe(state, out, left):
    for g in range(state.shape[1]):
        posted = state[POSTED, g]
        out[0, g], out[1, g], out[2, g], out[3, g], out[4, g] = left, posted, 1.0, 1.0 - posted, posted
        out[5, g], out[6, g], out[7, g] = left, posted, state[BOUGHT, g]


@njit(error_model="numpy")
def begin(numbers, seeds, state, observation):
    """Nothing shows, nobody has anything."""
    state[:] = 0.0
    _observe(state, observation, numbers[4] * numbers[5])


@njit(error_model="numpy")
def advance(numbers, seeds, step, state, action, observation, failure):
    """The poster's choice, then the taker's and the noise traders' hits; -1, or 0 where cash came from nowhere."""
    spread, holding, noise, target, steps, dt = numbers
    for g in range(seeds.shape[0]):
        now, posted = action[0, g], state[POSTED, g]
        allowed = now == WAIT or (now == POST and posted == 0.0) or (now == CANCEL and posted == 1.0)
        state[CLIPPED, g] += 0.0 if allowed else 1.0
        if allowed and now != WAIT:
            posted = 1.0 if now == POST else 0.0
        rate = 0.5 * (1.0 + min(max(action[1, g], -1.0), 1.0))
        taken = posted if draws.uniform(seeds[g], draws.key(HIT, step, 0)) < rate else 0.0
        hit = posted if draws.uniform(seeds[g], draws.key(HIT, step, 1)) < noise else taken
        short = target - state[BOUGHT, g] - taken
        due, cost = short * short if step + 1 == int(steps) else 0.0, holding * posted
        state[EARNED, g], state[HELD, g] = state[EARNED, g] + hit * spread, state[HELD, g] + cost
        state[PAID, g] += taken * spread
        state[NOISE, g] += cost - (hit - taken) * spread
        state[POSTED, g], state[LOTS, g], state[TAKEN, g] = posted - hit, hit, taken
        state[BOUGHT, g], state[PENALTY, g] = state[BOUGHT, g] + taken, state[PENALTY, g] + due
        state[POSTER, g], state[TAKER, g] = hit * spread - cost, -taken * spread - due
        total = state[EARNED, g] - state[HELD, g] - state[PAID, g] + state[NOISE, g]
        if abs(total) > 1e-9:
            failure[0], failure[1] = g, total
            return 0
    _observe(state, observation, dt * (steps - step - 1.0))
    return -1
