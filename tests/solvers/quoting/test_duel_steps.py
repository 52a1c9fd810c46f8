"""The duel inside a market of Poisson steps: simulation, optimality, limits (option_making sections 8 and 9)."""

import math

import numpy as np
import pytest

from arena.solvers.options.closed_form import avellaneda_stoikov
from arena.solvers.quoting.duel import Duel, best_response, equilibrium, evaluate, time_policy
from arena.solvers.quoting.duel_steps import best_response_in_steps, evaluate_in_steps
from arena.solvers.quoting.maker import Maker
from arena.solvers.quoting.value import value_in_steps

SMALL = Duel(100.0, 10.0, 50.0, 1.0, 3, terminal_cost=0.02, running_penalty=0.1)


def benchmark(game: Duel, steps: int) -> np.ndarray:
    q = np.arange(-game.inventory_limit, game.inventory_limit + 1)
    left = 1.0 - np.linspace(0, 1, steps + 1)
    return time_policy(game, avellaneda_stoikov(q[None], left[:, None], 10.0, 1.0, 0.01))


def test_the_value_is_what_simulation_earns():
    steps, games = 20, 100_000
    rng = np.random.default_rng(4)
    rival = benchmark(SMALL, steps)
    own = best_response_in_steps(SMALL, rival).distance
    q, earned = np.zeros((2, games), int), np.zeros(games)
    for k in range(steps):
        first, second = own[k, q[0] + 3, q[1] + 3], rival[k, q[1] + 3, q[0] + 3]
        weights = np.exp(-50 * np.stack([first, second]))  # [maker, game, side]
        total = np.maximum(weights.sum(0), 1e-300)  # both makers may have withdrawn
        flow = 100 / steps * weights / total * (0.5 * total) ** 0.2
        fills = rng.poisson(flow)
        bought, sold = np.minimum(fills[..., 0], 3 - q), np.minimum(fills[..., 1], 3 + q)
        earned += bought[0] * np.where(bought[0] > 0, first[:, 0], 0) + sold[0] * np.where(sold[0] > 0, first[:, 1], 0)
        q = q + bought - sold
        earned -= 0.05 / steps * q[0] ** 2
    earned -= 0.02 * q[0] ** 2
    error = earned.std() / math.sqrt(games)
    assert abs(earned.mean() - best_response_in_steps(SMALL, rival).start) < 3.5 * error  # wrong with prob. 5e-4


def test_the_response_earns_its_value_and_no_change_of_it_earns_more():
    rival, rng = benchmark(SMALL, 10), np.random.default_rng(1)
    answer = best_response_in_steps(SMALL, rival)
    assert evaluate_in_steps(SMALL, answer.distance, rival).start == pytest.approx(answer.start, abs=1e-12)
    for size in (0.003, 0.03):
        for _ in range(10):
            other = np.maximum(answer.distance + size * rng.standard_normal(answer.distance.shape), 0.0)
            assert (evaluate_in_steps(SMALL, other, rival).value <= answer.value + 1e-12).all()


def test_steps_tend_to_continuous_time_at_first_order():
    limit = best_response(SMALL, benchmark(SMALL, 400)).start
    errors = [limit - best_response_in_steps(SMALL, benchmark(SMALL, n)).start for n in (100, 200, 400)]
    assert 0.85 < math.log2(errors[0] / errors[1]) < 1.2
    assert 0.9 < math.log2(errors[1] / errors[2]) < 1.15


def test_equal_sharpness_is_one_maker_in_steps():
    game = Duel(100.0, 10.0, 10.0, 1.0, 4, terminal_cost=0.01)
    table = benchmark(game, 25)
    alone = value_in_steps(Maker(50.0, 10.0, 1.0, 4, terminal_cost=0.01), table[:, :, 4])
    np.testing.assert_allclose(evaluate_in_steps(game, table, table).value[:, :, 4], alone, atol=1e-10)


@pytest.mark.slow
def test_anchors_of_the_duel_in_a_hundred_steps():
    game = Duel(100.0, 10.0, 50.0, 1.0, 12, terminal_cost=0.00816695)
    rule = benchmark(game, 100)
    # section 8's anchors are those of continuous time; a hundred steps lie within .1 and .3 % of them
    assert evaluate_in_steps(game, rule, rule).start == pytest.approx(evaluate(game, rule, rule).start, rel=1e-3)
    assert best_response_in_steps(game, rule).start == pytest.approx(4.9706, rel=1e-3)
    nash = equilibrium(game, 100)
    play = evaluate_in_steps(game, nash.distance, nash.distance).start
    assert play == pytest.approx(2.35999, rel=3e-3)
    assert 0 < best_response_in_steps(game, nash.distance).start - play < 1e-3 * play


def test_refusals():
    with pytest.raises(ValueError, match=r"^a policy must be \[N\+1 >= 2, 7, 7, 2\], found \[3, 7, 2\]$"):
        best_response_in_steps(SMALL, np.zeros((3, 7, 2)))
