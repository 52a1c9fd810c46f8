"""The exact optimum of a small book: against games of the market itself, against all deviations, and its clocks."""

import numpy as np
import pytest

from agents.impulse_makers import ImpulseMaker
from arena.game import Game
from arena.markets.book.market import Market
from arena.markets.book.problems import impulse_problem
from arena.rollout import play, seeds_of
from arena.solvers.impulse import value_iteration as vi
from arena.solvers.impulse.states import flat

PLAIN = {
    "clock": {"horizon": 3, "steps": 30},
    "flow": {"base": (1.0, 0.5, 1.2, 0.6, 0.8, 2.0)},
    "depth": {"queues": (2, 2), "refill": 2, "room": 2},
    "makers": {"cap": 1, "running_penalty": 0.05, "terminal_penalty": 0.1},
    "fees": {"message": 0.01, "liquidation": 0.0},
    "observe": {"places": 2},
    "warm_up": 1.0,
}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.model_validate(PLAIN)


@pytest.fixture(scope="module")
def found(market: Market) -> vi.Optimum:
    return impulse_problem.optimum(market)


def test_the_value_is_what_the_market_pays(market: Market, found: vi.Optimum) -> None:
    # error rate: |z| > 4 comes once in 16 000 seeds
    game = Game(market, 4000)
    paid = play(game, {"mm_0": ImpulseMaker().sit(market, "mm_0")}, seeds_of(7, 4000)).returns_of("mm_0")
    assert abs(paid.mean() - found.value) < 4.0 * paid.std(ddof=1) / np.sqrt(len(paid))
    assert paid.std(ddof=1) / np.sqrt(len(paid)) < 0.1 * found.value  # and that says something
    assert game.view("clipped_action").sum() == 0
    assert game.view("maker_missed").sum() == 0


def test_all_that_is_seen_is_a_state(market: Market, found: vi.Optimum) -> None:
    game = Game(market, 200)
    act = ImpulseMaker().sit(market, "mm_0")
    seen = play(game, {"mm_0": act}, seeds_of(3, 200), trace=True).observations
    assert seen is not None
    state = impulse_problem.seen_state(market, seen["maker"].reshape(-1, seen["maker"].shape[-1]))
    at = found.chain.at(state)
    assert (at >= 0).all()
    assert len(np.unique(at)) > 200
    assert all(np.array_equal(a, b[at]) for a, b in zip(flat(state), flat(found.chain.states), strict=True))


def test_no_deviation_gains(found: vi.Optimum) -> None:
    chain = found.chain
    assert vi.evaluate(chain, found.policy) == pytest.approx(found.first, abs=1e-12)
    rng, steps = np.random.default_rng(0), chain.problem.steps
    losses = 0
    for action in (*chain.problem.actions, vi.IDLE):  # one impulse in place of another, at one decision, everywhere
        other = found.policy.copy()
        other[int(rng.integers(steps))] = action
        worth = vi.evaluate(chain, other)
        assert (worth <= found.first + 1e-12).all()
        losses += (worth < found.first - 1e-9).sum()
    assert losses > 0


def test_decisions_by_a_clock_are_worth_more_the_faster_it_is(found: vi.Optimum) -> None:
    chain = found.chain
    worth = [vi.at_start(chain, vi.clocked(chain, clock)) for clock in (0.0, 2.0, 10.0)]
    assert worth[0] == pytest.approx(0.0, abs=1e-9)  # nobody who never acts has an order
    assert worth[0] < worth[1] < worth[2]


def test_waiting_for_two_steps_is_waiting_twice(found: vi.Optimum) -> None:
    chain = found.chain
    value = np.random.default_rng(1).normal(size=len(chain.codes))
    assert vi.expected(chain, np.ones(len(value)), 0.7) == pytest.approx(1.0, abs=1e-11)
    once = vi.earned(chain, 0.4) + vi.expected(chain, value, 0.4)
    half = vi.earned(chain, 0.2) + vi.expected(chain, value, 0.2)
    assert vi.earned(chain, 0.2) + vi.expected(chain, half, 0.2) == pytest.approx(once, abs=1e-10)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"depth": {"room": 64}}, r"^market\.depth\.room: found 64 orders a level; allowed is up to 3"),
        ({"flow": {"preset": "hawkes_exp"}}, r"^market\.flow: found excitation; allowed is none"),
        ({"flow": {"preset": "hawkes_pl"}}, r"^market\.flow: found 8 rates; allowed is excitation that fades at one"),
        ({"makers": {"count": 2}}, r"^market\.makers\.count: found 2 makers and 0 executors; allowed is one maker"),
        ({"makers": {"penalty": "left"}}, r"^market\.makers\.penalty: found left; allowed is integral"),
        ({"makers": {"shaping": {"acting": 1.0}}}, r"^market\.makers\.shaping: found bonuses; allowed is none"),
        ({"observe": {"places": 1}}, r"^market\.observe\.places: found 1; allowed is at least 2"),
    ],
)
def test_who_has_no_table_says_so(changed: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ImpulseMaker().sit(Market.model_validate(PLAIN | changed), "mm_0")
