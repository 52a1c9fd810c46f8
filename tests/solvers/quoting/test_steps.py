"""One maker's optimum in a market of steps: against tables played in it, by order in dt, and by hand for one step."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from arena.solvers.quoting.maker import Maker, solve
from arena.solvers.quoting.steps import _best, _sweep, _worth, solve_in_steps
from arena.solvers.quoting.value import value_in_steps

FX1 = Maker(100.0, 10.0, 1.0, 20, terminal_cost=5e-4 * 16.333901, max_distance=0.8)  # option_making, section 0


def test_the_optimum_is_worth_its_own_table_and_more_than_any_other() -> None:
    found = solve_in_steps(FX1, 100)
    np.testing.assert_allclose(value_in_steps(FX1, found.distance), found.value, atol=1e-10)
    table = solve(FX1, 100).distance
    assert value_in_steps(FX1, table)[0, 20] == pytest.approx(7.22658, abs=5e-6)  # option_making, section 8 (3A)
    assert 0 < found.value[0, 20] - value_in_steps(FX1, table)[0, 20] < 2e-5
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = np.clip(found.distance + 0.01 * rng.standard_normal(found.distance.shape), 0.0, 0.8)
        other = np.where(np.isinf(found.distance), np.inf, other)
        assert (value_in_steps(FX1, other) <= found.value + 1e-12).all()


def test_it_tends_to_continuous_time_at_first_order() -> None:
    exact = solve(FX1, 1).value[0, 20]
    scaled = [(exact - solve_in_steps(FX1, n).value[0, 20]) * n for n in (50, 100, 200)]
    assert scaled[0] == pytest.approx(0.287, abs=2e-3)
    assert np.ptp(scaled) < 0.03 * scaled[0]
    assert abs(scaled[2] - scaled[1]) < 0.6 * abs(scaled[1] - scaled[0])


def test_one_step_against_a_direct_maximisation() -> None:
    """E of the step written out with Poisson weights, maximised by Nelder-Mead; asymmetric sides, drift and penalty."""
    maker = Maker((30.0, 45.0), (9.0, 12.0), 0.1, 3, terminal_cost=0.03, running_penalty=0.4, drift=0.2)
    found = solve_in_steps(maker, 1)

    def expected(eps: np.ndarray, q: int) -> float:
        rooms = (3 - q, 3 + q)
        laws = []
        for side in (0, 1):
            mean = maker.rates[side] * math.exp(-maker.decays[side] * eps[side]) * 0.1
            law = [math.exp(-mean) * mean**i / math.factorial(i) for i in range(rooms[side])]
            laws.append([*law, 1.0 - sum(law)])
        total = 0.0
        for bought, p in enumerate(laws[0]):
            for sold, r in enumerate(laws[1]):
                after = q + bought - sold
                kept = 0.2 * 0.1 * after - 0.5 * 0.4 * 0.1 * after**2 - 0.03 * after**2
                total += p * r * (eps[0] * bought + eps[1] * sold + kept)
        return total

    for q in (-2, 0, 1):
        best = minimize(lambda e, q=q: -expected(np.maximum(e, 0.0), q), found.distance[0, q + 3] + 0.02,
                        method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})  # fmt: skip
        assert found.value[0, q + 3] == pytest.approx(-best.fun, abs=1e-9)
        np.testing.assert_allclose(found.distance[0, q + 3], np.maximum(best.x, 0.0), atol=2e-5)


def test_sides_mirror_and_bounds_hold() -> None:
    there = solve_in_steps(Maker((30.0, 45.0), (9.0, 12.0), 1.0, 4, terminal_cost=0.02, max_distance=0.3), 20)
    back = solve_in_steps(Maker((45.0, 30.0), (12.0, 9.0), 1.0, 4, terminal_cost=0.02, max_distance=0.3), 20)
    np.testing.assert_allclose(there.value, back.value[:, ::-1], atol=1e-10)
    np.testing.assert_allclose(there.distance, back.distance[:, ::-1, ::-1], atol=1e-5)
    assert np.isinf(there.distance[:, -1, 0]).all()
    assert np.isinf(there.distance[:, 0, 1]).all()
    live = there.distance[np.isfinite(there.distance)]
    assert live.min() >= 0.0
    assert live.max() <= 0.3


def test_the_kernel_is_the_code() -> None:
    maker, q = Maker(20.0, 8.0, 0.2, 2, terminal_cost=0.05), np.arange(-2, 3.0)
    found = solve_in_steps(maker, 2)
    value, distance = np.empty((3, 5)), np.full((3, 5, 2), np.inf)
    value[-1] = -0.05 * q**2
    names = {"_best": _best, "_worth": _worth}
    plain = _sweep.py_func
    saved = {name: plain.__globals__[name] for name in names}
    try:
        plain.__globals__.update({name: kernel.py_func for name, kernel in names.items()})
        plain(value, distance, 0.1, maker.rates, maker.decays, np.zeros((2, 5)), 0.0, math.inf)
    finally:
        plain.__globals__.update(saved)
    np.testing.assert_allclose(value, found.value, atol=1e-12)
    np.testing.assert_allclose(distance[:-1], found.distance[:-1], atol=1e-7)


@pytest.mark.parametrize(
    ("maker", "steps", "sentence"),
    [
        (FX1, 0, "steps must be at least 1"),
        (Maker(1.0, 1.0, 1.0, 2, temperature=0.1, max_distance=1.0), 5, "temperature must be 0"),
        (Maker(1.0, 1.0, 1.0, 2, min_distance=-math.inf), 5, "min_distance must be finite"),
    ],
)
def test_ill_posed_input_is_a_sentence(maker: Maker, steps: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        solve_in_steps(maker, steps)
