import numpy as np
import pytest

from arena.solvers.makers_traders.acas import acas_game, solve_acas
from arena.solvers.makers_traders.mean_field import mean_field

BASE = {
    "horizon": 1.0,
    "fill_decay": 1.0,
    "running_penalty": 0.1,
    "terminal_penalty": 0.5,
    "temporary_impact": "0.2 + 0.1*t",
    "noise_buy": 3.0,
    "noise_sell": 2.0,
}
CROWD = [-8.0, -6.0, -12.0, -14.0]


def test_makers_play_the_equilibrium_against_the_mean():
    found = mean_field([4, 1], CROWD, **BASE)
    alone = solve_acas(acas_game([4, 1], -10.0, **BASE))
    np.testing.assert_allclose(found.objectives[:3], alone.objectives, rtol=1e-10)
    np.testing.assert_allclose(found.stack("ask"), alone.stack("ask"), rtol=1e-10)
    rate = found.stack("rate")
    np.testing.assert_allclose(rate[1:].mean(axis=0), rate[0], rtol=1e-11)


def test_small_traders_play_their_best_reply_to_the_price():
    """Brute force: the best piecewise constant rates against the price path, a quadratic programme solved exactly;
    errors fall fourfold."""
    off = []
    for n in (40, 80):
        h = 1.0 / n
        middle = (np.arange(n) + 0.5) * h
        found = mean_field([4, 1], CROWD, t=middle, **BASE)
        price = found.stack("ask").min(axis=0)
        below = np.tril(np.ones((n + 1, n)), -1) * h
        held = np.zeros((n + 1, n + 1))
        for k in range(n):
            held[k : k + 2, k : k + 2] += 0.1 * h / 6.0 * np.array([[2.0, 1.0], [1.0, 2.0]])
        held[n, n] += 0.5
        hessian = 2.0 * np.diag((0.2 + 0.1 * middle) * h) + 2.0 * below.T @ held @ below
        for j, start in enumerate(CROWD):
            linear = h * price + 2.0 * start * below.T @ held.sum(axis=1)
            best = -np.linalg.solve(hessian, linear)
            worth = -(linear @ best + 0.5 * best @ hessian @ best + start**2 * held.sum())
            player = found.players[3 + j]
            off.append((np.abs(best - player.rate).max(), abs(worth - player.objective)))
    coarse, fine = np.array(off[:4]), np.array(off[4:])
    assert np.all(fine < 0.3 * coarse)
    assert fine.max() < 2e-3


def test_the_representative_is_one_of_them():
    found = mean_field([4, 1], [-10.0, -10.0], **BASE)
    np.testing.assert_allclose(found.players[3].rate, found.players[2].rate, rtol=1e-12)
    assert found.players[3].objective == pytest.approx(found.players[2].objective, rel=1e-12)


def test_conditions_say_who_would_be_truncated():
    given = {**BASE, "running_penalty": 0.0, "noise_buy": 0.0, "noise_sell": 0.0, "temporary_impact": 0.2}
    mild = mean_field([1, 0], [-10.1, -9.9], **given)
    assert mild.theorem == "Proposition 4.5"
    assert mild.conditions[-3].value == pytest.approx(0.2 / 0.5 * mild.players[2].rate.min() - 0.1, rel=1e-9)
    wide = mean_field([1, 0], [-12.0, -8.0], **given)
    assert "(33) fails" in wide.theorem
    far = mean_field([1, 0], [-19.0, -1.0], **given)
    assert far.theorem.startswith("none: an individual rate falls to -")
    assert not far.condition("no individual rate below min_rate").holds


def test_a_sample_need_not_average_to_the_population():
    found = mean_field([4, 1], [-8.0, -9.0], mean_inventory=-10.0, **BASE)
    assert found.players[2].inventory[0] == -10.0
    assert not found.condition("mean of the individual rates is the representative's").holds


def test_what_is_no_population_or_no_share_is_refused():
    with pytest.raises(ValueError, match="finite numbers below 0"):
        mean_field([4, 1], [-10.0, np.nan], **BASE)
    with pytest.raises(ValueError, match="fill_decay: found nan; it must be a finite number above 0"):
        mean_field([4, 1], CROWD, **{**BASE, "fill_decay": np.nan})


def test_sellers_are_refused():
    with pytest.raises(ValueError, match="numbers below 0"):
        mean_field([4, 1], [-8.0, 2.0], **BASE)
