"""The step of the hedging market: known numbers, a path by hand, what is seen, and refusals."""

import numpy as np
import pytest

from arena.game import Game
from arena.markets.hedging.births import BIRTH
from arena.markets.hedging.volatility import deviation, log_effective, random_step, stationary
from arena.markets.parts import draws
from arena.rollout import seeds_of
from arena.scenario import ScenarioError, load
from arena.solvers.options.black_scholes import greeks
from tests.markets.hedging.worlds import BUSY, RANDOM, bands, build, play_bands, random_bands, row


@pytest.mark.parametrize(("steps", "deviation_"), [(63, 0.434855), (21, 0.740838), (252, 0.219950)])
def test_h10_the_black_scholes_hedge_leaves_what_quadrature_says(steps, deviation_):
    # the estimate of a standard deviation from n games has an error of about 0.9/sqrt(n) of it: fat tails; 4 errors
    market = build(clock={"horizon": 63, "steps": steps}, hedge={"cost": 0.0})
    games = 20_000
    game, _, _ = play_bands(market, games, seed=11)
    earned = game.view("mark_pnl")[:, 0] + game.view("hedge_pnl")[:, 0]
    assert earned.std() == pytest.approx(deviation_, rel=4 * 0.9 / np.sqrt(games))
    assert abs(earned.mean()) < 4 * deviation_ / np.sqrt(games)


def test_a_path_by_hand_with_a_birth_and_an_expiry_in_the_same_step():
    """One call expires after step 0 and the order of step 1 is born at the same instant; all of it recounted in plain
    Python from the market's own random numbers."""
    orders = {"rate": 1.0, "moneyness": [0.9, 1.1], "expiries": [1, 2], "rights": ["call", "put"], "edge": 0.05}
    market = build(
        clock={"horizon": 3, "steps": 3},
        book={"start": [{"strike": 99, "expiry": 1, "quantity": -2}], "arrivals": orders, "slots": 13},
        hedge={"cost": 0.002, "centre": [-1, 1], "width": [0, 1]},
        risk={"variation_aversion": 0.5},
    )
    seed = next(s for s in range(1000) if _births(s, 0) == 0 and _births(s, 1) == 1 and _births(s, 2) == 0)
    game = Game(market, 1)
    game.reset(np.array([seed], np.uint64))
    assert game.view("live")[0, 0] == 1
    dt = 1 / 252

    def price(spot, strike, days, put):
        g = greeks(spot, strike, days * dt, 0.2, call=not put)
        return float(g.price), float(g.delta)

    # step 0: delta hedge offset by 0.1 with a width of 0.2, from no shares
    p0, d0 = price(100.0, 99.0, 1, False)
    middle = 2 * d0 + 0.1
    h0 = middle - 0.2
    fee0 = 0.002 * 100 * h0
    bands(game, 0.1, 0.2)
    reward = float(game.advance()["hedger"][0, 0])
    z = _normal(seed, 0)
    s1 = 100 * np.exp(0.2 * np.sqrt(dt) * z - 0.02 * dt)
    paid = -2 * max(s1 - 99, 0.0)
    dw0 = paid + 2 * p0 + h0 * (s1 - 100) - fee0
    assert game.view("spot")[0] == pytest.approx(s1, rel=1e-12)
    assert game.view("hedge")[0, 0] == pytest.approx(h0, abs=1e-12)
    assert reward == pytest.approx(dw0 - 0.25 * dw0**2, abs=1e-10)
    assert (game.view("expired")[0, 0], game.view("born")[0, 0], game.view("live")[0, 0]) == (1, 2, 1)
    assert game.view("settled")[0, 0] == pytest.approx(paid, abs=1e-10)
    # the order of step 1, at S_1: its numbers from the uniforms; it stands in the slot that the expiry left
    u = [draws.uniform(_mixed(seed), _key(BIRTH, 1, i)) for i in (1, 2, 3)]
    strike = np.floor(s1 * (0.9, 1.1)[int(2 * u[0])] + 0.5)
    which = int(4 * u[1])
    days, put, sells = (1, 2)[which // 2], bool(which % 2), u[2] < 0.5
    q = -1.0 if sells else 1.0
    p1, d1 = price(s1, strike, days, put)
    slot = {name: game.view(name)[0, 0] for name in ("strike", "left", "put", "quantity", "price", "delta")}
    assert (slot["strike"], slot["left"], bool(slot["put"]), slot["quantity"]) == (strike, days, put, q)
    assert (slot["price"], slot["delta"]) == pytest.approx((p1, d1), abs=1e-11)
    cash = -h0 * 100 - fee0 + paid + 0.05 - q * p1
    assert game.view("hedger_cash")[0, 0] == pytest.approx(cash, abs=1e-10)
    # step 1: a plain target; the edge is in the reward and not in its square
    h1 = -q * d1
    fee1 = 0.002 * s1 * abs(h1 - h0)
    bands(game)
    reward = float(game.advance()["hedger"][0, 0])
    s2 = s1 * np.exp(0.2 * np.sqrt(dt) * _normal(seed, 1) - 0.02 * dt)
    payoff = max((strike - s2) if put else (s2 - strike), 0.0)
    p2, d2 = price(s2, strike, 1, put) if days == 2 else (payoff, 0.0)
    dw1 = q * (p2 - p1) + h1 * (s2 - s1) - fee1
    assert reward == pytest.approx(0.05 + dw1 - 0.25 * dw1**2, abs=1e-10)
    # step 2, the last: nothing is born after it, the shares are sold
    h2 = -q * d2 if days == 2 else 0.0
    bands(game)
    reward = float(game.advance()["hedger"][0, 0])
    s3 = s2 * np.exp(0.2 * np.sqrt(dt) * _normal(seed, 2) - 0.02 * dt)
    last = q * (max((strike - s3) if put else (s3 - strike), 0.0) - p2) if days == 2 else 0.0
    dw2 = last + h2 * (s3 - s2) - 0.002 * s2 * abs(h2 - h1)
    sold = 0.002 * s3 * abs(h2)
    assert reward == pytest.approx(dw2 - 0.25 * dw2**2 - sold - 0.25 * sold**2, abs=1e-10)
    assert (game.view("hedge")[0, 0], game.view("live")[0, 0]) == (0, 0)


def _key(source, step, index):
    return np.uint64(draws.key(source, step, index))


def _mixed(seed):
    out = np.zeros(1, np.uint64)
    draws.mix_seeds(np.array([seed], np.uint64), out)
    return out[0]


def _births(seed, step):
    u, count, total, mass = draws.uniform(_mixed(seed), _key(BIRTH, step, 0)), 0, np.exp(-1.0), np.exp(-1.0)
    while total < u:
        count += 1
        mass /= count
        total += mass
    return count


def _normal(seed, step):
    return draws.normal(_mixed(seed), _key(draws.SPOT, step, 0), _key(draws.SPOT, step, 1))


def test_a_contract_lives_exactly_its_steps_and_orders_are_what_they_should_be():
    market = build(**BUSY)
    _, states, _ = play_bands(market, 500)
    quantity, left = row(market, states, "quantity"), row(market, states, "left")
    newborn = (quantity[1:] != 0) & ((quantity[:-1] == 0) | (left[:-1] == 1))
    assert set(np.unique(left[1:][newborn])) == {2.0, 4.0, 10.0}  # 1, 2, 5 days at two steps a day
    born = row(market, states, "born")[-2]  # 20 steps of 0.25 orders
    assert abs(born.mean() - 5.0) < 4 * np.sqrt(5.0 / 500)
    sold = (quantity[1:][newborn] < 0).mean()
    assert abs(sold - 0.5) < 4 * 0.5 / np.sqrt(newborn.sum())
    spot, strike = np.broadcast_to(row(market, states, "spot")[1:, None], newborn.shape), row(market, states, "strike")
    asked = strike[1:][newborn] / spot[newborn]
    assert np.abs(asked[:, None] - np.array([0.9, 0.95, 1, 1.05, 1.1])).min(1).max() < 0.006  # half a dollar


def test_greeks_and_buckets_add_the_book_up():
    market = build(**BUSY, underlying={"volatility": RANDOM})
    game, _states, _ = play_bands(market, 40, random_bands())
    layout = market.roles[0].observation
    game = Game(market, 40)
    game.reset(seeds_of(1, 40))
    for _k in range(7):
        bands(game, 0.3)
        game.advance()
    q, left = game.view("quantity"), game.view("left")
    seen = {name: game.observation["hedger"][:, 0, layout.slice(name)] for name in
            ("net_delta", "net_gamma", "delta", "gamma", "live", "moneyness", "hedge", "excess")}  # fmt: skip
    for name in ("delta", "gamma"):
        values = q * game.view(name)
        np.testing.assert_allclose(seen[f"net_{name}"][:, 0], values.sum(1), atol=1e-6)
        days = left * 0.5
        for b, (low, high) in enumerate(((0, 1), (1, 3), (3, np.inf))):
            inside = (days >= low) & (days < high)
            np.testing.assert_allclose(seen[name][:, b], np.where(inside, values, 0).sum(1), atol=1e-6)
    nearest = np.where(q != 0, left, np.inf).argmin(1)
    expected = game.view("log_spot") - np.take_along_axis(game.view("log_strike"), nearest[:, None], 1)[:, 0]
    some = seen["live"][:, 0] > 0
    np.testing.assert_allclose(seen["moneyness"][some, 0], expected[some], atol=1e-6)
    np.testing.assert_allclose(seen["excess"], seen["hedge"] + seen["net_delta"], atol=1e-6)
    assert some.sum() > 20


def test_the_table_of_the_effective_volatility_is_the_sum_it_stands_for():
    market = build(underlying={"volatility": RANDOM})
    step = random_step(market)
    rng = np.random.default_rng(0)
    y = step.mean + 3 * stationary(step) * rng.uniform(-1, 1, 200)
    value, slope = log_effective(step, y, 63)
    for n in (1, 7, 63):
        by_table = deviation(market, 0, n, y) / np.sqrt(n / 252)
        np.testing.assert_allclose(by_table, np.exp(value[n]), rtol=1e-8)
        paths = sum(np.exp(2 * (step.mean + step.persistence**j * (y - step.mean)
                    + stationary(step) ** 2 * (1 - step.persistence ** (2 * j)))) for j in range(n)) / n  # fmt: skip
        np.testing.assert_allclose(np.exp(2 * value[n]), paths, rtol=1e-12)
    up = (log_effective(step, y + 1e-5, 9)[0] - log_effective(step, y - 1e-5, 9)[0]) / 2e-5
    np.testing.assert_allclose(up[9], slope[9], atol=1e-8)


def test_surprises_have_mean_zero_and_explain_the_reward():
    market = build(underlying={"volatility": RANDOM}, hedge={"cost": 0.001})
    _, states, rewards = play_bands(market, 4000, random_bands(2))
    luck = row(market, states, "surprise")[1:]  # [T, 5, B]
    means, errors = luck.mean((0, 2)), luck.mean(0).std(1) / np.sqrt(4000)
    assert np.all(np.abs(means) < 4.5 * errors)  # five at 4.5 errors: once in 30 000
    assert np.all(errors > 0)
    x, y = luck[20].T, rewards[20]
    x = np.column_stack([np.ones(len(x)), x])
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    assert left.var() < 0.7 * y.var()


REFUSED = {
    "market.book.start=[{strike: 100, expiry: 62.5}]": "market.book.start[0].expiry: found 62.5;"
    " allowed are whole multiples of a step, 1 day",
    "market.book.start=[]": "market.book: found no contract and no arrivals",
    "market.book.start=[{strike: 100, expiry: 63, quantity: 0}]": "market.book.start[0].quantity: found 0",
    "market.book.start=[{strike: 100, expiry: 63}, {strike: 90, expiry: 63}]": "market.book.slots: found 1;"
    " allowed is 2 or more",
    "market.book.arrivals={rate: 0.5, expiries: [10]}": "market.book.slots: found 1; allowed is 24 or more",
    "market.hedge.width=[0.3, 0]": "market.hedge.width: found [0.3, 0.0]; allowed is [low, high] with low <= high",
    "market.hedge={centre: [0, 0], width: [0, 0]}": "market.hedge: found one centre and one width",
    "market.hedge.centre=[0.05, 0.25]": "market.hedge.centre: found [0.05, 0.25];"
    " allowed is a range that holds 0 shares, no offset: the Black-Scholes hedge",
    "market.hedge={around: nothing, centre: [-0.2, 0.9], width: [0, 0.3]}": "market.hedge.centre: found [-0.2, 0.9];"
    " allowed is a range that holds 0 to 1 shares: the Black-Scholes hedge",
    "market.observe.buckets=[3, 1]": "market.observe.buckets: found [3.0, 1.0]; allowed are increasing edges",
    "market.observe.hedge=true": "training.method: found pathwise; allowed is ppo: what is seen must not depend",
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_played_is_refused_in_one_sentence(change):
    with pytest.raises(ScenarioError) as refused:
        load("hedging_cost", [change])
    assert len(refused.value.mistakes) == 1
    where, _, sentence = refused.value.mistakes[0].partition(": ")
    assert REFUSED[change] in f"{where}: {sentence}"


def test_other_markets_have_no_gradient():
    with pytest.raises(ScenarioError, match=r"training.method: found pathwise; allowed is ppo: this market has no"):
        load("option_duel", ["training.method=pathwise"])
