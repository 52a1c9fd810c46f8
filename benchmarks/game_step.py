"""What a game step costs: python benchmarks/game_step.py [--repeats 7].

Three ratios, each measured side by side in one process on one thread (CPU time, medians):

1. the shipped scenario at B = 1024 against the arithmetic floor of the same counts: the same numbers of counter-based
   uniforms, polynomial exponentials and normal distribution functions, and nothing else;
2. the Avellaneda-Stoikov model (one maker, one asset) through `Game.step` against a hand-vectorised NumPy step that
   writes the same observations, at B = 10 000 and B = 10; both must earn the closed-form mean profit;
3. one game through PettingZoo, steps per second.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from arena.env import parallel_env
from arena.game import Game
from arena.markets.dealer.market import DealerMarket
from arena.markets.parts import draws
from arena.markets.parts.special import FAST, exp, normal_cdf_and_density
from arena.rollout import seeds_of
from arena.scenario import load

NUMPY_CALL_US, NUMPY_STEP_NS = 10.5, 23.0
"""The yardstick on the machine where the targets were set; a slower one would not count."""


def nanoseconds(work: Callable[[], object], calls: int, repeats: int) -> float:
    """Median CPU nanoseconds of one call of `work`."""
    work()
    times = []
    for _ in range(repeats):
        started = time.thread_time_ns()
        for _ in range(calls):
            work()
        times.append((time.thread_time_ns() - started) / calls)
    return statistics.median(times)


def game_call(game: Game, seeds: np.ndarray) -> Callable[[], object]:
    """A call that plays one step and starts again at the end; actions are those in the buffers."""
    actions = {name: view.copy(order="K") for name, view in game.action.items()}  # games last, as policies here write

    def step() -> None:
        if game.done:
            game.reset(seeds)
        game.step(actions)

    game.reset(seeds)
    return step


@njit(fastmath=FAST, error_model="numpy")
def _floor(seeds, uniforms, exponentials, cdfs, out):
    """The arithmetic of one step of every game: so many uniforms, exponentials and distribution functions."""
    for k in range(uniforms):
        key = draws.key(1, 0, k)
        for g in range(out.shape[0]):
            out[g] += draws.uniform(seeds[g], key)
    for _ in range(exponentials):
        for g in range(out.shape[0]):
            out[g] += exp(-out[g])
    for _ in range(cdfs):
        for g in range(out.shape[0]):
            cdf, _density = normal_cdf_and_density(out[g])
            out[g] += cdf


def floor_call(market: DealerMarket, batch: int) -> Callable[[], object]:
    """The arithmetic floor of `market` at `batch` games: what no implementation of these rules can leave out.

    Per game: two uniforms for the spot, one per quote, two per executor; exponentials: one for the spot, per quote its
    share and its Poisson mass, per side the common factor; two distribution functions per option.
    """
    quotes = 2 * market.n * market.makers.count
    uniforms = 2 + quotes + 2 * len(market.executors)
    exponentials = 1 + 2 * quotes + 2 * market.n + len(market.executors)
    seeds, out = seeds_of(0, batch), np.zeros(batch)
    return lambda: _floor(seeds, uniforms, exponentials, 2 * market.n, out)


class NumpyStep:
    """The Avellaneda-Stoikov model by hand in NumPy: preallocated arrays, in-place arithmetic, one generator.

    Mid S' = S + loading sqrt(dt) z; Poisson fills of intensity A exp(-k distance) per side; cash and inventory;
    profit; five observation columns in float32.
    """

    def __init__(self, market: DealerMarket, batch: int, distance: float):
        clock, flow = market.clock, market.flow
        self.rng, self.batch = np.random.Generator(np.random.SFC64(0)), batch
        self.deviation = float(market.loading()[0, 0, 0] * np.sqrt(clock.dt))
        self.rate = float(market.arrival_rates()[0, 0, 0] * clock.dt)
        self.decay, self.dt = flow.rule.numbers()[0], clock.dt
        self.mid, self.cash, self.inventory = np.full(batch, market.underlying.spot), np.zeros(batch), np.zeros(batch)
        self.distance = np.full((2, batch), distance)
        self.fills, self.work, self.uniform = np.empty((2, batch)), np.empty((2, batch)), np.empty((2, batch))
        self.profit, self.observation = np.empty(batch), np.empty((5, batch), np.float32)
        self.time_left = clock.horizon

    def step(self) -> None:
        """One step of all games. A fill is one lot with the exact probability of at least one arrival."""
        work, fills = self.work, self.fills
        np.multiply(self.distance, -self.decay, out=work)
        np.exp(work, out=work)
        work *= -self.rate
        np.expm1(work, out=work)
        np.negative(work, out=work)
        self.rng.random(out=self.uniform)
        np.less(self.uniform, work, out=fills)
        np.multiply(fills, self.distance, out=work)
        np.add(work[0], work[1], out=self.profit)
        net = np.subtract(fills[0], fills[1], out=work[0])
        self.inventory += net
        net *= self.mid
        self.cash += self.profit
        self.cash -= net
        move = self.rng.standard_normal(out=work[1])
        move *= self.deviation
        self.mid += move
        move *= self.inventory
        self.profit += move
        self.time_left -= self.dt
        self.observation[0] = self.time_left
        self.observation[1] = self.inventory
        self.observation[2] = self.mid
        self.observation[3:] = fills


def stoikov(limit: float | None = None) -> DealerMarket:
    """The shipped Avellaneda-Stoikov market, without a bound on inventory."""
    market = load("avellaneda_stoikov").market
    return market.model_copy(update={"makers": market.makers.model_copy(update={"inventory_limit": limit})})


def mean_profit(market: DealerMarket, distance: float, games: int) -> tuple[float, float, float]:
    """Mean profit of a constant distance in the game, its standard error, and 2 T A exp(-k d) d."""
    game, role = Game(market, games), market.roles[0]
    game.reset(seeds_of(7, games))
    game.action["maker"][:, 0] = role.action.to_unit(np.array([distance, 0.0]))
    while not game.done:
        game.advance()
    profit = (game.view("edge_noise") + game.view("inventory_pnl"))[:, 0]
    rate = float(market.arrival_rates()[0, 0, 0])
    exact = 2 * market.clock.horizon * rate * np.exp(-market.flow.rule.numbers()[0] * distance) * distance
    return float(profit.mean()), float(profit.std(ddof=1) / np.sqrt(games)), float(exact)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=7, help="repetitions of each measurement (median)")
    repeats = parser.parse_args().repeats

    market = load("two_mm_one_trader").market
    step = nanoseconds(game_call(Game(market, 1024), seeds_of(1, 1024)), 100, repeats) / 1024
    floor = nanoseconds(floor_call(market, 1024), 100, repeats) / 1024
    print(f"shipped scenario, B = 1024: {step:.0f} ns per game step (target 200, stretch 100)")
    print(f"  arithmetic floor {floor:.0f} ns: ratio {step / floor:.2f}")

    model, distance = stoikov(), 1.0
    mean, error, exact = mean_profit(model, distance, 20_000)
    earned = f"mean profit {mean:.3f} +- {error:.3f}, closed form {exact:.3f}"
    print(f"Avellaneda-Stoikov, constant distance {distance}: {earned}")
    for batch, target in ((10_000, 4), (10, 3)):
        calls = max(20, 200_000 // batch)
        ours = nanoseconds(game_call(Game(model, batch), seeds_of(1, batch)), calls, repeats)
        theirs = nanoseconds(NumpyStep(model, batch, distance).step, calls, repeats)
        print(
            f"  B = {batch}: Game.step {ours / batch:.1f} ns per env-step ({ours / 1000:.1f} us a call), "
            f"NumPy {theirs / batch:.1f} ns ({theirs / 1000:.1f} us): {theirs / ours:.1f} times (target {target})"
        )
    print(f"  the NumPy yardstick took {NUMPY_STEP_NS} ns and {NUMPY_CALL_US} us where the targets were set")

    env = parallel_env("two_mm_one_trader")
    env.reset(seed=0)
    actions = {agent: np.zeros(env.action_space(agent).shape, np.float32) for agent in env.possible_agents}

    def play() -> None:
        if not env.agents:
            env.reset()
        env.step(actions)

    print(f"one game through PettingZoo: {1e9 / nanoseconds(play, 2000, repeats):.0f} env-steps/s (target 15 000)")


if __name__ == "__main__":
    main()
