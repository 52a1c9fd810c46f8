"""The dynamic programme of the duel with random orders, against the market itself and against theory's limits."""

import numpy as np
import pytest

from arena.game import Game
from arena.gaps.nash_gap import engines, nash_gap
from arena.gaps.profile import Profile, Search, naive_acts
from arena.markets.dealer.gaps.poisson_response import Field, PoissonDuel, Polynomials, applies
from arena.markets.dealer.gaps.starts import STARTS
from arena.markets.dealer.market import DealerMarket
from arena.rollout import play, seeds_of
from arena.scenario import load

DUEL = load("logistic_duel_poisson").market


def changed(**changes) -> DealerMarket:
    tree = DUEL.model_dump(mode="json")
    for key, value in changes.items():
        tree[key] = {**tree[key], **value} if isinstance(tree[key], dict) else value
    return DealerMarket.model_validate(tree)


def smooth_acts(market: DealerMarket):
    """Quotes and rates affine in all inventories; nothing is clipped where the game goes."""
    makers, traders = market.role("maker").action, market.role("executor").action

    def maker(observation, noise):
        own, rival, left = np.asarray(observation, dtype=float)[:, 1:4].T
        return makers.to_unit(np.stack([2.0 + 0.02 * own, -0.2 * own - 0.1 * rival + 0.15 * left], axis=1))

    def trader(observation, noise):
        seen = np.asarray(observation, dtype=float)
        return traders.to_unit((2.0 + 0.7 * seen[:, 1] + 0.1 * seen[:, 4] + 0.1 * seen[:, 5])[:, None])

    return {"mm_0": maker, "mm_1": maker, "trader_0": trader}


def test_polynomials_fit_and_shift_exactly() -> None:
    basis = Polynomials(4)
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(len(basis.powers), 2))
    np.testing.assert_allclose(basis.fit(basis.basis(basis.nodes) @ coefficients), coefficients, atol=1e-9)
    by, z = np.array([0.3, -0.2, 0.1]), rng.normal(size=(5, 3))
    moved = basis.shift(by) @ coefficients
    np.testing.assert_allclose(basis.basis(z) @ moved, basis.basis(z + by) @ coefficients, atol=1e-8)


def test_expectations_over_orders_are_exact_for_cubics() -> None:
    """E of q1 + q1 N and of N^3 for Poisson numbers, against factorial moments."""
    duel = PoissonDuel(DUEL, naive_acts(DUEL).acts, seeds_of(1, 64))
    basis, x = Polynomials(3), np.array([[1.0, -2.0, 5.0]])
    mean = np.array([[0.3, 0.4, 0.2, 0.1, 1.5, 0.7]])
    field = Field(np.eye(len(basis.powers)), np.zeros(3), np.ones(3))
    found = duel._expect(basis, field, x, mean)[0]
    rng = np.random.default_rng(2)
    drawn = x + rng.poisson(mean, size=(400_000, 6)) @ duel.jumps
    expected = basis.basis(drawn)
    error = 5.0 * expected.std(axis=0) / np.sqrt(len(drawn))  # 20 numbers, 5 standard errors: once in 80 000
    assert (np.abs(found - expected.mean(axis=0)) <= error + 1e-9).all()


def test_no_quote_beats_a_makers_reply_where_the_rivals_inventory_is_worth_something() -> None:
    """One step, values that fall in the own and rise steeply in the rival's inventory, against a grid of quotes."""
    duel = PoissonDuel(DUEL, naive_acts(DUEL).acts, seeds_of(1, 64))
    basis, x, seat = Polynomials(3), np.array([[3.0, -2.0, 5.0]]), 0
    worth = {(1, 0, 0): -0.1, (0, 1, 0): 0.6, (2, 0, 0): -0.01, (1, 1, 0): 0.02}
    coefficients = np.array([[worth.get(tuple(power), 0.0)] * 3 for power in basis.powers.tolist()])
    after, played = Field(coefficients, np.zeros(3), np.ones(3)), duel._play(x, 0)
    found = duel._reply(basis, after, x, played, seat, 0)
    makers = DUEL.makers
    half, skew = np.meshgrid(np.linspace(*makers.half_spread, 201), np.linspace(*makers.skew, 201))
    several = np.repeat(x, half.size, axis=0)
    trial = duel._play(several, 0)
    trial.bid[:, seat], trial.ask[:, seat] = makers.distances(half.ravel(), skew.ravel())
    means = duel._means(trial, 0)
    value = duel._reward(several, trial, 0)[:, seat] + duel._expect(basis, after, several, means)[:, seat]
    assert value.max() <= found[0] + 1e-6
    assert value.max() == pytest.approx(found[0], abs=5e-3)  # the grid is as fine as that


def test_the_value_of_staying_is_what_the_games_pay() -> None:
    acts = smooth_acts(DUEL)
    seeds = seeds_of(11, 8192)
    result = play(Game(DUEL, len(seeds)), acts, seeds)
    earned = np.concatenate([result.returns["maker"], result.returns["executor"]], axis=1)
    duel = PoissonDuel(DUEL, acts, seeds[:1024])
    values = duel.values(4)
    start = Game(DUEL, len(seeds))
    start.reset(seeds)
    x = np.concatenate([start.view("maker_inventory")[:, :, 0], start.view("remaining")], axis=1)
    difference = earned - duel.staying(x, values, 4)
    se = difference.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    assert (np.abs(difference.mean(axis=0)) < 4.5 * se + 2e-3).all()  # three normal tails: once in 50 000
    assert (se < 0.05).all()


@pytest.mark.slow
def test_small_orders_lead_to_the_fluid_gap() -> None:
    """From lots of 1/4 and 1/8 the gains extrapolate to those of the fluid market, engine against engine."""
    start = {"makers": {"initial_inventory": [4.0, 1.0]}}
    trader = {**DUEL.model_dump(mode="json")["executors"][0], "size": 10.0}

    def programmed(lot):
        market = changed(**start, executors=[trader], flow={"lot": lot})
        duel = PoissonDuel(market, smooth_acts(market), seeds_of(3, 256))
        return duel.gains(duel.nominal, 0, duel.values(4), 4)[0]

    fluid = changed(**start, executors=[trader], flow={"orders": "fluid"})
    exact = nash_gap(fluid, Profile(smooth_acts(fluid), naive_acts(fluid).labels), Search(views=False))
    assert exact.seats[0].engine == "gradient"
    limit = 2.0 * programmed(0.125) - programmed(0.25)
    np.testing.assert_allclose(limit, [seat.gain for seat in exact.seats], rtol=0.02, atol=0.01)


def test_only_the_duel_of_inventories_is_covered() -> None:
    assert applies(DUEL)
    assert not applies(load("logistic_duel").market)
    assert not applies(changed(makers={"observe": {"own": True, "last": True, "rivals": "inventory"}}))
    assert not applies(changed(makers={"inventory_limit": 20.0}))
    covering = [engine.name for engine in engines(DUEL) if engine.applies(DUEL, naive_acts(DUEL))]
    assert covering == ["dynamic programming", "search"]


def test_the_views_hold_the_naive_profile_at_the_same_starts() -> None:
    gap = nash_gap(DUEL, naive_acts(DUEL), Search())
    for view in gap.views().values():
        assert view["relative"] == pytest.approx(1.0)
    assert list(gap.views()) == [f"closed loop, {one}" for one in ("nominal start", "drawn starts", "sub-games")]
    assert gap.nashconv == pytest.approx(22.3, rel=0.05)  # the fluid market's 22.26 at its 32 starts
    assert gap.low < gap.nashconv < gap.high


def test_from_one_start_the_interval_is_the_change_from_a_lower_degree() -> None:
    trader = {**DUEL.model_dump(mode="json")["executors"][0], "size": 10.0}
    market = changed(clock={"steps": 3}, makers={"initial_inventory": [4.0, 1.0]}, executors=[trader])
    gap = nash_gap(market, naive_acts(market), Search(views=False), engine="dynamic programming")
    duel = PoissonDuel(market, naive_acts(market).acts, seeds_of(Search().seed, 1024, STARTS))
    fine, rough = (duel.gains(duel.nominal, 0, duel.values(degree), degree)[0] for degree in (4, 3))
    np.testing.assert_allclose([seat.gain for seat in gap.seats], fine, rtol=1e-9)
    np.testing.assert_allclose([seat.high - seat.gain for seat in gap.seats], np.abs(fine - rough), rtol=1e-6)
    assert [seat.se for seat in gap.seats] == [0.0] * 3
    assert np.abs(fine - rough).max() > 1e-6
