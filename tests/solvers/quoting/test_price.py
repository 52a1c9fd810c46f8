"""Quotes that see the price, against published-spec values (option_making section 2, FX1) and against simulation."""

import math

import numpy as np
import pytest

from arena.solvers.options.option_model import OptionModel
from arena.solvers.quoting.maker import Maker, blind_maker, solve
from arena.solvers.quoting.price import solve_bachelier, solve_with_price

DAILY = 0.2 / math.sqrt(252)
ATM = OptionModel(100, 100, 63, DAILY)
MAKER = Maker(100.0, 10.0, 1.0, 20)
SMALL = Maker(20.0, 10.0, 1.0, 5)


def test_value_when_the_price_is_seen():
    table = solve_with_price(ATM, MAKER, 5e-4)
    assert table.start[20] == pytest.approx(7.231519025, rel=1e-6)
    assert table.start[20] > 7.229403599  # blindness costs .03 %
    ask = table.distance[12, :, 0, 25, 1]
    prices = ATM.price(0.6, table.spots)
    assert np.interp(3.13, prices, ask) == pytest.approx(0.0886, abs=5e-5)
    assert np.interp(4.93, prices, ask) == pytest.approx(0.0864, abs=1e-4)


@pytest.mark.parametrize(("maker", "penalty", "exact", "normal"), [
    (MAKER, 5e-4, None, 7.231526972),
    (MAKER, 5e-3, 7.110498699, 7.110510943),
    (Maker(40.0, 10.0, 5.0, 20), 5e-4, 14.560043, 14.560050),
])  # fmt: skip
def test_exact_and_bachelier_values(maker, penalty, exact, normal):
    assert solve_bachelier(ATM, maker, penalty).start[20] == pytest.approx(normal, rel=1e-6)
    if exact is not None:
        assert solve_with_price(ATM, maker, penalty, steps=1).start[20] == pytest.approx(exact, rel=1e-6)


def test_value_with_a_shock():
    shocked = OptionModel(100, 100, 63, DAILY, shock_loading=0.3)
    table = solve_with_price(shocked, MAKER, 5e-4, steps=1, splits=50, spot_nodes=21, shock_nodes=21)
    assert table.start[20] == pytest.approx(7.231703800, rel=1e-6)
    assert solve_bachelier(shocked, MAKER, 5e-4).start[20] == pytest.approx(7.231710741, rel=1e-6)


def test_splitting_is_of_second_order():
    exact, coarse, fine = (
        solve_with_price(ATM, SMALL, 5e-3, steps=1, splits=splits, spot_nodes=31).start[5] for splits in (512, 16, 32)
    )
    assert 1.8 < math.log2((coarse - exact) / (fine - exact)) < 2.2


def test_without_a_penalty_the_price_does_not_matter():
    seen = solve_with_price(ATM, SMALL, 0.0, steps=2, splits=10, spot_nodes=11)
    blind = solve(SMALL, 2)
    np.testing.assert_allclose(seen.value, np.broadcast_to(blind.value[:, None, None], seen.value.shape), atol=1e-8)


def test_entropy_and_the_price_together():
    noisy = Maker(100.0, 10.0, 1.0, 20, temperature=0.2, max_distance=0.8, entropy="lebesgue")
    seen = solve_with_price(ATM, noisy, 5e-4, steps=1, splits=50, spot_nodes=31).start[20]
    assert 0 < seen - 6.1081154 < 0.005  # the blind Gibbs value; seeing the price is worth about .002 at gamma = 0


def test_a_mispriced_volatility_is_a_drift_worth_having():
    wrong = OptionModel(100, 100, 63, vol=1.2 * DAILY, implied=DAILY)
    seen = solve_with_price(wrong, SMALL, 5e-3, steps=4, splits=40, spot_nodes=41)
    blind = solve(blind_maker(wrong, 5e-3, 1.0, arrival_rate=20.0, fill_decay=10.0, inventory_limit=5), 4)
    assert seen.start[5] >= blind.value[0, 5]
    assert seen.start[5] == pytest.approx(blind.value[0, 5], rel=3e-3)
    # realised above implied: gamma is worth more than its theta, so the maker leans long: narrow bid, wide ask
    bid, ask = seen.distance[0, 20, 0, 5]
    assert bid < ask
    fair = solve_with_price(ATM, SMALL, 5e-3, steps=4, splits=40, spot_nodes=41)
    assert seen.start[5] > fair.start[5]


def test_the_value_is_what_the_quotes_earn_in_simulation():
    """Cash, stock and option marked along 40 000 paths: hedged P&L less the penalty, mispriced volatility included."""
    option = OptionModel(100, 100, 63, vol=1.5 * DAILY, implied=DAILY)
    steps, paths, limit = 80, 40_000, 5
    table = solve_with_price(option, SMALL, 5e-3, steps=steps, splits=steps, spot_nodes=41)
    rng = np.random.default_rng(11)
    spot, q, cash, dt = np.full(paths, 100.0), np.zeros(paths, int), np.zeros(paths), 1.0 / steps
    price = option.price(0.0, spot)
    for k in range(steps):
        left = 63 - k * dt
        delta = 0.5 * (1 + np.vectorize(math.erf)((np.log(spot / 100) / DAILY / math.sqrt(left)
                                                   + 0.5 * DAILY * math.sqrt(left)) / math.sqrt(2)))  # fmt: skip
        node = np.clip(
            np.rint((np.log(spot) - math.log(table.spots[0])) / np.log(table.spots[1] / table.spots[0])), 0, 40
        )
        bid, ask = table.distance[k, node.astype(int), 0, q + limit].T
        bought = np.minimum(rng.poisson(20 * np.exp(-10 * bid) * dt), limit - q)
        sold = np.minimum(rng.poisson(20 * np.exp(-10 * ask) * dt), limit + q)
        cash += bought * np.where(bought > 0, bid, 0.0) + sold * np.where(sold > 0, ask, 0.0)
        q = q + bought - sold
        moved = spot * np.exp(1.5 * DAILY * math.sqrt(dt) * rng.standard_normal(paths) - 0.5 * (1.5 * DAILY) ** 2 * dt)
        later = option.price((k + 1) * dt, moved)
        cash += q * (later - price - delta * (moved - spot))
        spot, price = moved, later
    earned = cash - 5e-3 * (price * q) ** 2
    error = earned.std() / math.sqrt(paths)
    # 3.5 standard errors (wrong with prob. 5e-4) and the discretisation, about 20 * e^-1 * dt of the value
    assert abs(earned.mean() - table.start[limit]) < 3.5 * error + 0.004
    assert error < 0.006


def test_refusals():
    with pytest.raises(ValueError, match=r"^horizon 80 must end before the option's expiry 63$"):
        solve_with_price(ATM, Maker(100.0, 10.0, 80.0, 5), 5e-4)
    with pytest.raises(ValueError, match=r"^an axis needs an odd number of at least 5 nodes, found 20$"):
        solve_with_price(ATM, SMALL, 5e-4, spot_nodes=20)
