"""Scripted hedgers against numbers by hand, and the kernels against the same code interpreted."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from agents.hedgers import DeltaHedge, Leland, MinimumVariance, WhalleyWilmott, tuned
from arena.game import Game
from arena.markets.hedging import kit
from arena.markets.hedging.market import HedgingMarket
from arena.markets.hedging.volatility import deviation, random_step
from arena.rollout import seeds_of
from arena.solvers.options.black_scholes import variance_price
from tests.markets.hedging.worlds import BUSY, CALL, RANDOM, build

COST = {"cost": 0.001, "centre": [-0.25, 0.25], "width": [0, 0.3]}


def asked(market, recipe):
    """Middle and half-width of the band in shares that a recipe asks for at the start."""
    game = Game(market, 1)
    game.reset(seeds_of(0, 1))
    action = recipe.sit(market, "hedger_0")(game.observation["hedger"][:, 0], np.zeros((1, 2)))
    centre, width = market.roles[0].numbers.from_unit(action)[0]
    return centre - game.view("net_delta")[0, 0], width


@pytest.mark.parametrize(
    ("recipe", "quantity", "middle", "width"),
    [
        # S = K = 100, 63 of 252 days, 20 %: d1 = 0.05, delta 0.519939, gamma 0.3984439/10 = 0.0398444
        (DeltaHedge(), -1, 0.519939, 0.0),
        # 0.04 (1 + 0.797885 * 2 * 0.001/0.0125988) = 0.0450664: volatility 0.212288, d1 = 0.0530721, delta 0.521163
        (Leland(), -1, 0.521163, 0.0),
        # what is owned is hedged at 0.04 (1 - 0.126660): volatility 0.186906, d1 = 0.0467265
        (Leland(), 1, -0.518634, 0.0),
        # (1.5 * 0.001 * 100 * 0.0398444^2)^(1/3) = 0.061983; two contracts: gamma twice, the band 2^(2/3) as wide
        (WhalleyWilmott(), -1, 0.519939, 0.061983),
        (WhalleyWilmott(), 2, -1.039878, 0.098392),
        (WhalleyWilmott(multiplier=8), -1, 0.519939, 0.0309915),
    ],
    ids=["Black-Scholes", "Leland owes", "Leland owns", "Whalley-Wilmott", "two contracts", "multiplier"],
)
def test_a_single_hedger_plays_its_formula(recipe, quantity, middle, width):
    market = build(book={"start": [CALL | {"quantity": quantity}]}, hedge=COST)
    assert asked(market, recipe) == pytest.approx((middle, width), abs=2e-6)


def test_the_minimum_variance_hedge_is_the_regression_of_the_price_on_the_spot():
    # over one step, to first order; the slope of 200 000 draws has an error of 4e-4, the leverage is 0.06
    market = build(underlying={"volatility": RANDOM}, hedge=COST)
    step, root = random_step(market), np.sqrt(1 / 252)
    rng = np.random.default_rng(0)
    z, other = rng.standard_normal((2, 200_000))
    spot = 100 * np.exp(0.2 * root * z - 0.02 / 252)
    y = np.full(len(z), np.log(0.2))
    after = step.mean + step.persistence * (y - step.mean) + step.shock * (-0.7 * z + np.sqrt(0.51) * other)
    price = variance_price(spot, 100.0, deviation(market, 1, 62, after) ** 2)
    slope = np.cov(price, spot)[0, 1] / spot.var(ddof=1)

    game = Game(market, 1)
    game.reset(seeds_of(0, 1))
    seen = game.observation["hedger"][:, 0].copy()
    layout = market.roles[0].observation
    seen[:, layout.slice("log_volatility")] = np.log(0.2)
    centre = market.roles[0].numbers.from_unit(MinimumVariance().sit(market, "hedger_0")(seen, np.zeros((1, 2))))[0, 0]
    delta = ndtr(0.5 * deviation(market, 0, 63, np.log(0.2)))
    assert delta + centre == pytest.approx(slope, abs=3e-3)
    assert centre < -0.03


def test_a_band_that_the_action_cannot_be_as_wide_as_is_refused():
    # halfway to expiry at the strike: gamma 0.0563 (d1 = 0.0354), (0.15 * 0.0563^2)^(1/3) = 0.0781; four times: 0.0492
    market = build(hedge=COST | {"width": [0, 0.06]})
    told = "market.hedge.width: found [0.0, 0.06]; allowed is a range up to 0.0781 or more"
    with pytest.raises(ValueError, match=re.escape(told)):
        WhalleyWilmott().sit(market, "hedger_0")
    WhalleyWilmott(multiplier=4).sit(market, "hedger_0")
    assert tuned(market, games=8) > 2.0
    kinds = [kit.baselines(build(hedge=COST | {"width": [0, width]}))["hedger"] for width in (0.06, 0.04)]
    assert ["whalley_wilmott" in one for one in kinds] == [True, False]


SCRIPT = """
import json, sys
import numpy as np
from arena.game import Game
from arena.markets.hedging.market import HedgingMarket
from arena.rollout import seeds_of

def tiny_game(plain):
    game = Game(HedgingMarket.model_validate(plain), 3)
    game.reset(seeds_of(3, 3))
    rng, out = np.random.default_rng(0), []
    while not game.done:
        game.step({"hedger": rng.uniform(-1.2, 1.2, game.action["hedger"].shape)})
        out.append([game.state.tolist(), game.observation["hedger"].tolist()])
    return out
"""
TINY = {**BUSY, "clock": {"horizon": 5, "steps": 10}, "underlying": {"volatility": RANDOM}}
TINY["book"] = {"start": [{"strike": 100, "expiry": 1, "quantity": -2}], "slots": 13,
                "arrivals": {**BUSY["book"]["arrivals"]}}  # fmt: skip


def test_kernels_agree_with_the_same_code_interpreted():
    here: dict = {}
    exec(SCRIPT, here)
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(root)])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + "print(json.dumps(tiny_game(json.loads(sys.argv[1]))))",
         json.dumps(TINY)],
        capture_output=True, text=True, env=environment, cwd=root, check=True,
    )  # fmt: skip
    market, compiled = HedgingMarket.model_validate(TINY), here["tiny_game"](TINY)
    for one, other in zip(compiled, json.loads(run.stdout), strict=True):
        np.testing.assert_allclose(np.array(one[0]), np.array(other[0]), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(np.array(one[1]), np.array(other[1]), rtol=1e-6, atol=1e-6)
    last = {name: np.array(compiled[-1][0])[market.state.slice(name)].sum() for name in ("born", "expired")}
    assert last["born"] > last["expired"] > 3
