import math

import numpy as np
import pytest

from arena.solvers.coefficients import coefficient, knots_of, per_player, require

TIMES = np.array([0.0, 0.25, 0.9])


def test_number_table_expression_and_function_agree_on_a_line():
    for given in (
        "2 + 3*t",
        {"t": [0.0, 1.0], "value": [2.0, 5.0]},
        lambda t: 2 + 3 * t,
        lambda t: 2.0 + 3.0 * float(t),
    ):
        np.testing.assert_allclose(coefficient(given)(TIMES), 2.0 + 3.0 * TIMES, rtol=1e-15)


def test_expression_knows_the_five_functions_pi_and_powers():
    value = coefficient("sin(pi*t)**2 + cos(t) - exp(-t)/sqrt(1+t) + log(2+t)")(TIMES)
    by_hand = [
        math.sin(math.pi * t) ** 2 + math.cos(t) - math.exp(-t) / math.sqrt(1 + t) + math.log(2 + t) for t in TIMES
    ]
    np.testing.assert_allclose(value, by_hand, rtol=1e-14)


def test_function_of_one_time_with_a_jump_is_evaluated_time_by_time():
    assert coefficient(lambda t: 1.0 if t < 0.5 else 2.0)(TIMES).tolist() == [1.0, 1.0, 2.0]
    assert coefficient(lambda t: math.sin(t))(TIMES)[1] == math.sin(0.25)
    assert coefficient(lambda t: 7)(TIMES).tolist() == [7.0, 7.0, 7.0]


def test_constants_are_recognised_and_tables_keep_their_kinks():
    assert coefficient("2*3").constant == 6.0
    assert coefficient("t").constant is None
    assert coefficient({"t": [0, 1], "value": [4, 4]}).constant == 4.0
    table = coefficient({"t": [0.0, 0.3, 1.0], "value": [1.0, 2.0, 0.0]})
    assert knots_of([table], 1.0).tolist() == [0.3]
    assert coefficient({"t": [0.2, 0.4], "value": [1.0, 2.0]})(np.array([0.0, 1.0])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "t.real",
        "open(t)",
        "[1, 2]",
        "lambda: 1",
        "x + 1",
        "1 if t else 2",
        "sin(1, 2)",
        "'a'",
        "t <",
        "True",
    ],
)
def test_expression_evaluates_arithmetic_only(text):
    with pytest.raises(ValueError, match=r"noise_buy: found .* allowed are numbers"):
        coefficient(text, "noise_buy")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"t": [0, 1]}, "exactly the two lists"),
        ({"t": [0, 1], "value": [1]}, "2 times and 1 values"),
        ({"t": [0, 0], "value": [1, 2]}, "must increase"),
        ({"t": [0, 1], "value": [1, math.inf]}, "not finite"),
        (math.nan, "must be finite"),
        (None, "allowed are a number"),
        ("1 + " * 200 + "1", "found an expression of 801 characters; allowed are 500"),
        ("1" + "0" * 400, "a number that is not finite"),
        ("min(t)", "min with 1 arguments instead of two"),
    ],
)
def test_malformed_coefficients_end_in_one_sentence(given, says):
    with pytest.raises(ValueError, match=says):
        coefficient(given, "beta")


def test_deep_and_wide_expressions_are_read():
    assert coefficient("+".join(["1"] * 250)).constant == 250.0
    assert coefficient("(" * 100 + "2" + ")" * 100).constant == 2.0
    np.testing.assert_allclose(coefficient("max(0, 1 - 2*t, t)")(np.array([0.0, 0.4, 1.0])), [1.0, 0.4, 1.0])


def test_bounds_and_player_lists_are_checked():
    with pytest.raises(ValueError, match=r"beta: found -1 at t = 1; it must be above 0"):
        require(coefficient("1 - 2*t"), 1.0, "beta", least=0.0, strict=True)
    with pytest.raises(ValueError, match="3 values for 2 players"):
        per_player([1, 2, 3], 2, "phi")
    assert [entry.constant for entry in per_player([1, 2], 2, "phi")] == [1.0, 2.0]
