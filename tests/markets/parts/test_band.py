"""The band: held inside, traded to the nearest edge outside, and every share and cent has two sides."""

import numpy as np
import pytest

from arena.markets.parts.band import rebalance

pytestmark = pytest.mark.anywhere
ROWS = ("middle", "width", "spot", "hedge", "cash", "venue_hedge", "venue_cash", "fee_cash", "cost", "traded", "paid")


def trade(rate, **given):
    games = len(given["middle"])
    rows = {name: np.array(given.get(name, np.zeros(games)), dtype=float) for name in ROWS}
    left = [rows[name] for name in ROWS[:3]]
    rebalance(*left, rate, *(rows[name] for name in ROWS[3:]))
    return rows


def test_inside_it_holds_and_outside_it_trades_to_the_nearest_edge():
    after = trade(
        0.01, middle=[0.5] * 5, width=[0.1] * 5, hedge=[0.45, 0.1, 0.9, 0.4, 0.6], spot=[100.0, 100, 50, 100, 100]
    )
    np.testing.assert_allclose(after["hedge"], [0.45, 0.4, 0.6, 0.4, 0.6])
    np.testing.assert_allclose(after["traded"], [0, 0.3, -0.3, 0, 0], atol=1e-15)
    np.testing.assert_allclose(after["paid"], [0, 0.3, 0.15, 0, 0], atol=1e-15)  # rate x spot x shares
    np.testing.assert_allclose(after["cash"], [0, -30.3, 14.85, 0, 0], atol=1e-12)
    np.testing.assert_allclose(after["cost"], after["paid"])


def test_a_width_of_zero_is_a_target_to_the_last_bit():
    middle = np.random.default_rng(0).normal(size=1000)
    after = trade(0.001, middle=middle, hedge=np.linspace(-3, 3, 1000), spot=np.full(1000, 100.0))
    assert np.array_equal(after["hedge"], middle)


def test_shares_and_cash_move_between_accounts():
    rng = np.random.default_rng(1)
    given = {name: rng.normal(size=999) for name in ROWS[:9]}
    given["width"] = np.abs(given["width"])
    after = trade(0.002, **given)
    shares = [sum(rows[name] for name in ("hedge", "venue_hedge")) for rows in (given, after)]
    cash = [sum(rows[name] for name in ("cash", "venue_cash", "fee_cash")) for rows in (given, after)]
    np.testing.assert_allclose(shares[1], shares[0], atol=1e-14)
    np.testing.assert_allclose(cash[1], cash[0], atol=1e-13)
    assert np.abs(after["cash"] - given["cash"]).max() > 0.1
