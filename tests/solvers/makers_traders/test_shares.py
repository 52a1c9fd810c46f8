import numpy as np
import pytest

from arena.solvers.makers_traders.costs import GeneralCost, QuadraticCost, cost_conditions, stage_rates, trading_cost
from arena.solvers.makers_traders.shares import GeneralShare, Logistic, Relative, stage_quotes

pytestmark = pytest.mark.anywhere


def logistic_by_hand(sharpness):
    def value(d):
        weight = np.exp(-sharpness * d)
        return weight / weight.sum(axis=1, keepdims=True)

    def first(d):
        s = value(d)
        return sharpness * (s[:, :, None] * s[:, None, :] - s[:, :, None] * np.eye(d.shape[1]))

    def second(d):
        return -sharpness * (1.0 - 2.0 * value(d))[:, :, None] * first(d)

    return GeneralShare(value, first, second, clears=True)


RULES = {
    "exponential": Relative(1.3),
    "intensity": Relative(intensity=(lambda x: 1 / (1 + np.exp(x)), lambda x: -np.exp(x) / (1 + np.exp(x)) ** 2,
                                     lambda x: np.exp(x) * (np.exp(x) - 1) / (1 + np.exp(x)) ** 3)),
    "logistic": Logistic(0.8, (0.0, 0.5, -0.3)),
    "general": logistic_by_hand(0.8),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_derivatives_agree_with_differences(rule):
    d = np.random.default_rng(1).normal(size=(20, 3))
    for k in range(3):
        step = 1e-6 * np.eye(3)[k]
        slope = (rule.shares(d + step) - rule.shares(d - step)) / 2e-6
        np.testing.assert_allclose(rule.gradient(d)[:, :, k], slope, atol=2e-8)
        own = np.diagonal(rule.gradient(d + step) - rule.gradient(d - step), axis1=1, axis2=2) / 2e-6
        np.testing.assert_allclose(rule.curvature(d)[:, :, k], own, atol=2e-8)
        markup = (rule.markup(d + step)[0] - rule.markup(d - step)[0]) / 2e-6
        np.testing.assert_allclose(rule.markup(d)[1][:, :, k], markup, atol=1e-6)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_no_maker_gains_by_another_quote_in_the_stage_game(rule):
    """Brute force: at the stage quotes the Hamiltonian share * (distance - cost) has its maximum over a fine grid of
    own distances."""
    cost = np.array([[0.4, -0.7, 0.1]])
    quotes, _ = stage_quotes(rule, cost)
    for maker in range(3):
        trial = np.repeat(quotes, 4001, axis=0)
        trial[:, maker] = quotes[0, maker] + np.linspace(-3.0, 3.0, 4001)
        worth = rule.shares(trial)[:, maker] * (trial[:, maker] - cost[0, maker])
        assert abs(trial[np.argmax(worth), maker] - quotes[0, maker]) < 2e-3


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_quotes_inside_a_cap_are_the_capped_equilibrium(rule):
    cost = np.array([[0.4, -0.7, 0.1], [5.0, -5.0, 0.0]])
    cap = 1.1
    quotes, _ = stage_quotes(rule, cost, cap)
    assert np.abs(quotes).max() <= cap
    for maker in range(3):
        trial = np.repeat(quotes, 2201, axis=0).reshape(2, 2201, 3)
        trial[:, :, maker] = np.linspace(-cap, cap, 2201)
        worth = rule.shares(trial.reshape(-1, 3))[:, maker].reshape(2, -1) * (trial[:, :, maker] - cost[:, [maker]])
        best = trial[0, np.argmax(worth, axis=1), maker]
        np.testing.assert_allclose(best, quotes[:, maker], atol=1.1e-3)


def test_stage_derivatives_agree_with_differences():
    cost = np.random.default_rng(2).normal(size=(10, 3))
    for rule in RULES.values():
        _, slope = stage_quotes(rule, cost)
        for k in range(3):
            step = 1e-6 * np.eye(3)[k]
            numeric = (stage_quotes(rule, cost + step)[0] - stage_quotes(rule, cost - step)[0]) / 2e-6
            np.testing.assert_allclose(slope[:, :, k], numeric, atol=1e-7)


def test_quotes_far_apart_still_converge():
    """Marginal values 1000 markups apart: the best maker stays just below its rival (logistic, sharpness 1)."""
    quotes, _ = stage_quotes(Logistic(1.0), np.array([[-1000.0, 0.0]]))
    np.testing.assert_allclose(quotes[0] - np.array([-1000.0, 0.0]), Logistic(1.0).markup(quotes)[0][0], rtol=1e-12)
    assert -10.0 < quotes[0, 0] < quotes[0, 1]


def test_two_logistic_makers_by_one_scalar_equation_are_the_general_solution():
    """A huge cap switches the scalar shortcut off without binding."""
    cost = np.random.default_rng(11).normal(size=(50, 2)) * 5.0
    rule = Logistic(0.8, (0.3, -0.4))
    for one, other in zip(stage_quotes(rule, cost), stage_quotes(rule, cost, 1e9), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "cap"),
    [(Logistic(1.3, (0.0, 0.2)), np.inf), (Logistic(1.0), 4.0), (Logistic(1.3, (0.0, 0.2, -0.1)), np.inf)],
)
def test_quotes_of_one_row_do_not_depend_on_how_long_others_take(rule, cap):
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(40, 3)), 30.0 * rng.normal(size=(40, 3))
    value = np.concatenate([near, far])[:, : max(2, len(rule.offsets))]
    whole = stage_quotes(rule, value, cap)
    for row in range(len(value)):
        for alone, together in zip(stage_quotes(rule, value[row : row + 1], cap), whole, strict=True):
            np.testing.assert_array_equal(alone[0], together[row])


def test_symmetric_makers_quote_m_over_c_times_m_minus_one():
    """Guo & Jin section 5: half-spread M/(c(M-1))."""
    for makers in (2, 3, 7):
        np.testing.assert_allclose(
            stage_quotes(Logistic(2.0), np.zeros((1, makers)))[0], makers / (2.0 * (makers - 1)), rtol=1e-14
        )


def test_normalised_best_quote_rule_is_the_logistic_with_twice_the_decay():
    """Lambda_1/(Lambda_1 + Lambda_2), Lambda = exp(-gamma x), is the logistic with c = 2 gamma (section 5, remark)."""
    d = np.random.default_rng(3).normal(size=(30, 2))
    relative = Relative(0.7).shares(d)
    np.testing.assert_allclose(Logistic(1.4).shares(d), relative / relative.sum(axis=1, keepdims=True), rtol=1e-13)


def test_conditions_of_the_classes_are_reported_with_numbers():
    d = np.random.default_rng(4).normal(size=(30, 3))
    gap = next(entry for entry in Logistic(1.5).conditions(d) if "(38)" in entry.name)
    assert gap.holds
    assert gap.value == pytest.approx(1.0, abs=1e-12)  # the left side of (38) is exactly one for the logistic
    assert all(entry.holds for entry in Relative(2.0).conditions(d))
    wrong = Relative(
        intensity=(
            lambda x: 1 / (1 + x**2),
            lambda x: -2 * x / (1 + x**2) ** 2,
            lambda x: (6 * x**2 - 2) / (1 + x**2) ** 3,
        )
    )
    failed = {entry.name for entry in wrong.conditions(d) if not entry.holds}
    assert "Definition 3.4: intensity decreasing" in failed
    lying = GeneralShare(
        lambda d: np.exp(-d),
        lambda d: -2 * np.exp(-d)[:, :, None] * np.eye(3),
        lambda d: np.exp(-d)[:, :, None] * np.eye(3),
    )
    assert any(not entry.holds and "differences" in entry.name for entry in lying.conditions(d))


def test_rates_are_the_best_ones_against_the_others():
    """Brute force on a grid of own rates, quadratic with cross impact and a quartic cost, inside and at the bounds."""
    quadratic = trading_cost(0.3, 1.5)
    quartic = GeneralCost(
        lambda t, v: v**2 + v**4,
        lambda t, v: 2 * v + 4 * v**3,
        lambda t, v: (2 + 12 * v**2)[:, :, None] * np.eye(v.shape[1]),
    )
    low, high = np.array([0.0, 0.0, -3.0]), np.array([3.0, 3.0, 0.0])
    worth = np.array([[2.0, 0.5, -1.0], [0.2, 8.0, 0.3]])
    t = np.array([0.0, 0.5])
    for cost in (quadratic, quartic):
        rate, slope = stage_rates(cost, t, worth, low, high)
        for trader in range(3):
            trial = np.repeat(rate[:, None], 3001, axis=1)
            trial[:, :, trader] = np.linspace(low[trader], high[trader], 3001)
            paid = np.stack([cost.value(np.full(3001, 0.0), trial[row])[:, trader] for row in range(2)])
            best = np.argmax(worth[:, [trader]] * trial[:, :, trader] - paid, axis=1)
            np.testing.assert_allclose(trial[0, best, trader], rate[:, trader], atol=1.1e-3)
            step = 1e-6 * np.eye(3)[trader]
            numeric = (
                stage_rates(cost, t, worth + step, low, high)[0] - stage_rates(cost, t, worth - step, low, high)[0]
            )
            np.testing.assert_allclose(slope[:, :, trader], numeric / 2e-6, atol=1e-7)


def test_cost_condition_says_when_cross_impact_is_too_large():
    rate = np.ones((1, 3))
    assert all(entry.holds for entry in cost_conditions(trading_cost(0.2, 1.9), np.zeros(1), rate))
    steep = QuadraticCost(trading_cost(0.2, 0.0).temporary_impact, 2.5)
    assert [entry.value for entry in cost_conditions(steep, np.zeros(1), rate)][1] == pytest.approx(0.2 * (2.0 - 2.5))
    with pytest.raises(ValueError, match=r"cross_impact: found 2\.5"):
        trading_cost(0.2, 2.5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Relative(0.0), "fill_decay: found 0.0"),
        (lambda: Relative(np.inf), "fill_decay: found inf; it must be a finite number above 0"),
        (lambda: Relative(intensity=(np.exp,)), "intensity: found 1 functions; give Lambda and its first two"),
        (lambda: Logistic(-1.0), "sharpness: found -1.0"),
        (lambda: Logistic(1.0, (0.0, np.nan)), r"offsets: found \(0.0, nan\); they must be finite"),
        (lambda: stage_quotes(Relative(1.0), np.zeros((1, 1))), "needs at least 2"),
        (lambda: stage_quotes(Logistic(1.0), np.zeros((1, 1))), "needs at least 2"),
        (lambda: Logistic(1.0, (0.0, 1.0)).shares(np.zeros((1, 3))), "2 for 3 makers"),
    ],
)
def test_bad_rules_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
