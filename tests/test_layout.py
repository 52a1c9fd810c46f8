"""Named columns: slices, names, bounds and the map between [-1, 1] and physical values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.layout import Field, Layout

LAYOUT = Layout(
    [
        Field("time", (), (), "day", 0.0, 1.0, 0.5, 0.3),
        Field("book", (2, 2), ("a,bid", "a,ask", "b,bid", "b,ask"), "lots", -5, 5, [1, 2, 3, 4], 2.0),
        Field("plain", (3,), (), "currency"),
        Field("empty", (0,)),
    ]
)


def test_columns_follow_the_fields():
    assert len(LAYOUT) == LAYOUT.size == 8
    assert LAYOUT.names == (
        "time", "book[a,bid]", "book[a,ask]", "book[b,bid]", "book[b,ask]", "plain[0]", "plain[1]", "plain[2]",
    )  # fmt: skip
    assert LAYOUT.units == ("day",) + ("lots",) * 4 + ("currency",) * 3
    assert LAYOUT.slice("book") == slice(1, 5)
    assert LAYOUT.slice("empty") == slice(8, 8)
    assert LAYOUT.field("book").shape == (2, 2)
    assert [field.name for field in LAYOUT] == ["time", "book", "plain", "empty"]
    assert "book" in LAYOUT
    assert "nothing" not in LAYOUT


def test_bounds_and_scales_are_per_column():
    np.testing.assert_array_equal(LAYOUT.low, [0, -5, -5, -5, -5, -np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(LAYOUT.high, [1, 5, 5, 5, 5, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(LAYOUT.centre, [0.5, 1, 2, 3, 4, 0, 0, 0])
    np.testing.assert_array_equal(LAYOUT.scale, [0.3, 2, 2, 2, 2, 1, 1, 1])


def test_mistakes_are_named():
    with pytest.raises(KeyError, match="no field 'nothing'; there are time, book, plain, empty"):
        LAYOUT.slice("nothing")
    with pytest.raises(KeyError, match="nothing"):
        LAYOUT.field("nothing")
    with pytest.raises(ValueError, match="'x' appears twice"):
        Layout([Field("x"), Field("x")])
    with pytest.raises(ValueError, match="2 columns and 1 labels"):
        Layout([Field("x", (2,), ("a",))])


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_unit_and_physical_values_are_inverse(low, width, unit):
    layout = Layout([Field("x", (3,), low=low, high=low + width)])
    physical = layout.from_unit(np.array(unit))
    tolerance = 1e-12 * (1 + abs(low) / width)
    assert physical.min() >= low - 1e-9
    assert physical.max() <= low + width + 1e-9
    np.testing.assert_allclose(layout.to_unit(physical), unit, atol=tolerance)
    np.testing.assert_allclose(layout.from_unit(np.array([-1, 0, 1.0])), [low, low + width / 2, low + width],
                               atol=1e-9)  # fmt: skip


def test_a_column_without_width_maps_to_zero():
    layout = Layout([Field("x", low=2.0, high=2.0), Field("y", low=0.0, high=4.0)])
    np.testing.assert_array_equal(layout.to_unit(np.array([2.0, 3.0])), [0.0, 0.5])
    np.testing.assert_array_equal(layout.from_unit(np.array([0.7, 0.5])), [2.0, 3.0])


def test_an_empty_layout():
    assert Layout([]).size == 0
    assert Layout([]).low.shape == (0,)
    assert Layout([]).names == ()
