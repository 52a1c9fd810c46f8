import math

import numpy as np
import pytest
from scipy.optimize import minimize

from arena.league.ratings import Rating, _penalised, plackett_luce, rate, table

NAMES = ["a", "b", "c", "d", "e"]
TRUTH = np.array([1.0, 0.5, 0.0, -0.5, -1.0])


def games(rng: np.random.Generator, count: int, k: int = 5) -> np.ndarray:
    """Scores [count, k] whose ranks follow Plackett-Luce with log-worths TRUTH (Gumbel noise; Yellott 1977)."""
    return TRUTH[:k] + rng.gumbel(size=(count, k))


def test_live_ratings_order_members_and_shrink_uncertainty():
    scores = games(np.random.default_rng(0), 300)
    early, late = rate({}, NAMES, scores[:30]), rate({}, NAMES, scores)
    mus = [late[name].mu for name in NAMES]
    assert mus == sorted(mus, reverse=True)
    assert all(late[name].sigma < early[name].sigma < Rating().sigma for name in NAMES)
    assert [late[name].games for name in NAMES] == [300] * 5


def test_live_ratings_are_deterministic_pure_and_touch_no_global_state():
    scores = games(np.random.default_rng(1), 20, 2)
    before = {"a": Rating(30, 2, 5)}
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the point is that it stays untouched
    assert rate(before, ["a", "b"], scores) == rate(before, ["a", "b"], scores)
    assert before == {"a": Rating(30, 2, 5)}
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    halves = rate(rate(before, ["a", "b"], scores[:7]), ["a", "b"], scores[7:])
    assert halves == rate(before, ["a", "b"], scores)


def test_ties_keep_equal_members_equal():
    after = rate({}, ["a", "b"], np.zeros((10, 2)))
    assert after["a"].mu == pytest.approx(after["b"].mu)
    assert after["a"].sigma < 25 / 3


def test_one_game_is_weng_and_lins_update():
    # Weng & Lin 2011, algorithm 4, two fresh members: c^2 = 2 (sigma^2 + beta^2), p = 1/2, gamma = sigma / c.
    variance, beta = (25 / 3) ** 2, 25 / 6
    c = math.sqrt(2 * (variance + beta**2))
    shift, shrink = variance / c / 2, 1 - math.sqrt(variance) / c * variance / c**2 / 4
    after = rate({}, ["a", "b"], np.array([[1.0, 0.0]]))
    assert after["a"].mu == pytest.approx(25 + shift, rel=1e-9)
    assert after["b"].mu == pytest.approx(25 - shift, rel=1e-9)
    assert after["a"].sigma == pytest.approx(math.sqrt(variance * shrink), rel=1e-9)


def test_intervals_and_table():
    low, high = Rating(10, 2).interval(0.95)
    assert (low, high) == (pytest.approx(10 - 1.959964 * 2, abs=1e-5), pytest.approx(10 + 1.959964 * 2, abs=1e-5))
    rows = table({"x": Rating(1), "y": Rating(2), "w": Rating(2)})
    assert [row["member"] for row in rows] == ["w", "y", "x"]
    assert set(rows[0]) == {"member", "rating", "sigma", "low", "high", "games"}


def test_pairwise_maximum_likelihood_is_the_log_odds():
    # 30 wins of 40: the Bradley-Terry estimate is log(30/10), split evenly around zero.
    scores = np.zeros((40, 2))
    scores[:30, 0] = 1
    scores[30:, 1] = 1
    rows = plackett_luce([(["a", "b"], scores)], replicates=0, prior=1e-9)
    assert rows[0]["rating"] == pytest.approx(math.log(3) / 2, abs=1e-5)
    assert rows[1]["rating"] == pytest.approx(-math.log(3) / 2, abs=1e-5)
    scores[:20] = 0  # ties count half for either side: 10 + 10 wins against 10 + 10
    tied = plackett_luce([(["a", "b"], scores)], replicates=0, prior=1e-9)
    assert tied[0]["rating"] == pytest.approx(0, abs=1e-6)


def test_ranking_maximum_likelihood_has_zero_score():
    # At the maximum, wins of i equal the sum over its stages of e^{r_i} / sum e^{r_j} (Hunter 2004, section 5).
    scores = games(np.random.default_rng(2), 200)
    rows = {row["member"]: row["rating"] for row in plackett_luce([(NAMES, scores)], replicates=0, prior=1e-9)}
    worth = np.exp([rows[name] for name in NAMES])
    balance = np.zeros(5)
    for order in np.argsort(-scores, axis=1):
        for place in range(4):
            rest = order[place:]
            balance[rest] -= worth[rest] / worth[rest].sum()
            balance[order[place]] += 1
    np.testing.assert_allclose(balance, 0, atol=1e-3)  # in wins, out of about 160 each; the fit stops at 1e-6


def test_intervals_cover_the_truth_as_often_as_they_say():
    # Two members, difference 1/2 in log-worth, 40 data sets at 90 %: binomial sd 4.7 %, so 3 sd below is 76 %.
    rng = np.random.default_rng(3)
    covered = []
    for seed in range(40):
        rows = plackett_luce([(["a", "b"], games(rng, 80, 2))], replicates=60, confidence=0.9, seed=seed)
        best = next(row for row in rows if row["member"] == "a")
        covered.append(float(best["low"]) <= (TRUTH[0] - TRUTH[1]) / 2 <= float(best["high"]))
    assert 0.76 <= np.mean(covered) <= 0.99


def test_common_seeds_are_drawn_together():
    # Two opponents are beaten or not on the same games; drawing rows together keeps that dependence, which shows in
    # the spread of the member that played both blocks: it doubles the variance of an average instead of halving it.
    luck = np.random.default_rng(4).normal(size=(200, 1))
    one = np.hstack([luck, np.zeros((200, 1))])
    together = {r["member"]: r for r in plackett_luce([(["a", "b"], one), (["a", "c"], one)], seed=0)}
    apart = {r["member"]: r for r in plackett_luce([(["a", "b"], one), (["a", "c"], one[:-1])], seed=0)}
    assert together["a"]["sigma"] > 1.2 * apart["a"]["sigma"]


def test_the_report_is_deterministic_and_finite_for_a_member_that_never_lost():
    scores = np.tile([2.0, 1.0, 0.0], (30, 1))
    first = plackett_luce([(["x", "y", "z"], scores)], replicates=20, seed=5)
    assert first == plackett_luce([(["x", "y", "z"], scores)], replicates=20, seed=5)
    assert [row["member"] for row in first] == ["x", "y", "z"]
    assert all(math.isfinite(float(row[key])) for row in first for key in ("rating", "low", "high"))
    noisy = [(NAMES, games(np.random.default_rng(6), 30))]
    assert plackett_luce(noisy, replicates=20, seed=5) != plackett_luce(noisy, replicates=20, seed=6)


@pytest.mark.parametrize(
    ("members", "scores", "message"),
    [
        (["a", "a"], np.zeros((3, 2)), "different members"),
        (["a"], np.zeros((3, 1)), "different members"),
        (["a", "b"], np.zeros((3, 3)), "shape"),
        (["a", "b"], np.full((3, 2), np.nan), "NaN"),
    ],
)
def test_bad_comparisons_are_refused(members, scores, message):
    with pytest.raises(ValueError, match=message):
        rate({}, members, scores)
    with pytest.raises(ValueError, match=message):
        plackett_luce([(members, scores)])


def test_members_that_all_games_order_alike_are_rated_too():
    """I-LSR finds no finite worths there; the answer is the maximum of the likelihood with a normal prior."""
    names, places = [f"m{i:02d}" for i in range(13)], np.arange(13.0)
    certain = plackett_luce([(names, np.tile(places, (32, 1)))], replicates=20)
    assert [row["member"] for row in certain] == names[::-1]
    assert all(row["low"] == row["rating"] == row["high"] for row in certain)  # every draw is the same

    def loss(r, precision=0.01):  # of 32 games in which 12 wins, then 11, ...
        left = np.cumsum(np.exp(r))
        return 32 * np.log(left / np.exp(r)).sum() + 0.5 * precision * (r @ r)

    best = np.array([row["rating"] for row in certain])[::-1]
    assert best.sum() == pytest.approx(0.0, abs=1e-9)
    for i in range(13):
        for step in (-0.05, 0.05):
            assert loss(best + step * (np.arange(13) == i)) > loss(best)


def test_strengths_with_a_prior_fit_rankings_of_any_length():
    """Against a general optimiser; ties within `plackett_luce` come as two rankings each."""
    rng = np.random.default_rng(1)
    rankings = [tuple(rng.permutation(5)[:k].tolist()) for k in (2, 3, 5, 4) for _ in range(6)]

    def loss(r):
        return sum(
            np.log(np.exp(r[list(one[i:])]).sum()) - r[one[i]] for one in rankings for i in range(len(one))
        ) + 0.025 * (r @ r)

    expected = minimize(loss, np.zeros(5), tol=1e-12).x
    np.testing.assert_allclose(_penalised(rankings, 5, 0.05), expected - expected.mean(), atol=1e-5)
