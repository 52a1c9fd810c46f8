"""Equilibria, NashConv and alpha-rank of small games, against textbook answers, brute force and nashpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from arena.solvers.finite.alpha_rank import alpha_rank
from arena.solvers.finite.matrix_game import (
    MatrixGame,
    best_response_gains,
    coarse_gains,
    correlated_equilibrium,
    expected_payoffs,
    nash_conv,
    product,
    role_mixtures,
    seat_mixtures,
    swap_gains,
    zero_sum_nash,
    zero_sum_view,
)

pytestmark = pytest.mark.anywhere

ROCK_PAPER_SCISSORS = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
CHICKEN = MatrixGame(np.array([[[6.0, 2], [7, 0]], [[6, 7], [2, 0]]]), ("driver", "driver"))


def two_seats(a: np.ndarray, b: np.ndarray) -> MatrixGame:
    return MatrixGame(np.stack([a, b]), ("row", "column"))


def random_game(rng: np.random.Generator, shape: tuple[int, ...], roles: tuple[str, ...]) -> MatrixGame:
    return MatrixGame(rng.normal(size=(len(shape), *shape)), roles)


# --- mixtures and gains -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (3, 2, 2, 2)])
def test_gains_equal_brute_force_over_profiles(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    game = random_game(rng, shape, tuple("abcd"[: len(shape)]))
    joint = rng.dirichlet(np.ones(math.prod(shape))).reshape(shape)
    coarse, swap = np.zeros(len(shape)), np.zeros(len(shape))
    for i, size in enumerate(shape):

        def value(choice, seat=i):  # expected pay-off when a recommendation a is replaced by choice[a]
            return sum(
                joint[s] * game.payoffs[(seat, *s[:seat], choice[s[seat]], *s[seat + 1 :])]
                for s in itertools.product(*map(range, shape))
            )

        obey = value(list(range(size)))
        assert obey == pytest.approx(expected_payoffs(game, joint)[i], abs=1e-12)
        coarse[i] = max(value([b] * size) for b in range(size)) - obey
        swap[i] = max(value(c) for c in itertools.product(range(size), repeat=size)) - obey
    np.testing.assert_allclose(coarse_gains(game, joint), coarse, atol=1e-12)
    np.testing.assert_allclose(swap_gains(game, joint), swap, atol=1e-12)


def test_nash_conv_of_known_profiles() -> None:
    game = two_seats(ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS)
    assert nash_conv(game, [np.full(3, 1 / 3)] * 2) == pytest.approx(0, abs=1e-15)
    # Rock against rock: either seat gains 1 by paper.
    np.testing.assert_allclose(best_response_gains(game, [np.eye(3)[0]] * 2), [1, 1])
    # Chicken's mixed equilibrium: dare with chance 1/3 (6(1-p) + 2p = 7(1-p)).
    assert nash_conv(CHICKEN, {"driver": np.array([2 / 3, 1 / 3])}) == pytest.approx(0, abs=1e-12)
    assert nash_conv(CHICKEN, {"driver": np.array([0.5, 0.5])}) == pytest.approx(2 * 0.25)


def test_role_mixture_averages_exchangeable_seats() -> None:
    joint = np.zeros((2, 2))
    joint[0, 1] = 1
    np.testing.assert_allclose(role_mixtures(CHICKEN, joint)["driver"], [0.5, 0.5])
    vectors = seat_mixtures(CHICKEN, {"driver": np.array([0.25, 0.75])})
    np.testing.assert_allclose(product(vectors), np.outer([0.25, 0.75], [0.25, 0.75]))


def test_symmetrised_game_ignores_seat_labels_and_keeps_exact_games() -> None:
    rng = np.random.default_rng(3)
    game = random_game(rng, (3, 3, 3, 2), ("maker", "maker", "maker", "trader")).symmetrised()
    for a, b, c, e in itertools.product(range(3), range(3), range(3), range(2)):
        # Whoever plays a against rivals {b, c} earns the same in every maker seat.
        assert game.payoffs[0, a, b, c, e] == pytest.approx(game.payoffs[1, c, a, b, e], abs=1e-14)
        assert game.payoffs[0, a, b, c, e] == pytest.approx(game.payoffs[2, b, c, a, e], abs=1e-14)
        assert game.payoffs[3, a, b, c, e] == pytest.approx(game.payoffs[3, b, a, c, e], abs=1e-14)
    np.testing.assert_allclose(game.symmetrised().payoffs, game.payoffs, atol=1e-14)


@pytest.mark.parametrize(
    ("payoffs", "roles", "message"),
    [
        (np.zeros((2, 3, 3)), ("a",), "do not fit"),
        (np.zeros((2, 3, 2)), ("a", "a"), "share one list"),
        (np.full((1, 2), np.nan), ("a",), "NaN"),
        (np.zeros((1, 0)), ("a",), "empty axis"),
    ],
)
def test_malformed_games_are_refused(payoffs: np.ndarray, roles: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatrixGame(payoffs, roles)


@pytest.mark.parametrize("mixture", [[np.ones(2), np.ones(2) / 2], [np.ones(3) / 3] * 2, {"maker": np.ones(2) / 2}])
def test_malformed_mixtures_are_refused(mixture) -> None:
    with pytest.raises(ValueError, match="mixture"):
        nash_conv(CHICKEN, mixture)


# --- zero-sum view ----------------------------------------------------------------------------------------------------


def test_zero_sum_nash_of_a_textbook_game() -> None:
    # [[2, -1], [-1, 1]]: equalising x = 2/5, y = 2/5, value (2*1 - 1)/(2 + 1 + 1 + 1) = 1/5.
    found = zero_sum_nash(np.array([[2.0, -1], [-1, 1]]))
    np.testing.assert_allclose(found.row, [0.4, 0.6], atol=1e-12)
    np.testing.assert_allclose(found.column, [0.4, 0.6], atol=1e-12)
    assert found.value == pytest.approx(0.2, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (6, 3), (12, 12)])
def test_zero_sum_nash_leaves_nothing_to_gain(shape: tuple[int, int], scale: float) -> None:
    a = np.random.default_rng(11).normal(size=shape) * scale
    found = zero_sum_nash(a)
    assert (a @ found.column).max() == pytest.approx(found.value, abs=1e-9 * scale)
    assert (found.row @ a).min() == pytest.approx(found.value, abs=1e-9 * scale)


def test_zero_sum_nash_agrees_with_nashpy() -> None:
    nashpy = pytest.importorskip("nashpy")
    rng = np.random.default_rng(5)
    for _ in range(5):
        a = rng.normal(size=(4, 5))
        row, column = nashpy.Game(a).linear_program()
        found = zero_sum_nash(a)
        np.testing.assert_allclose(found.row, row, atol=1e-8)
        np.testing.assert_allclose(found.column, column, atol=1e-8)


def test_zero_sum_view_is_the_difference_of_two_seats() -> None:
    rng = np.random.default_rng(2)
    game = random_game(rng, (3, 2, 4), ("a", "b", "c"))
    y = np.array([0.3, 0.7])
    expected = np.einsum("ijk,j->ik", game.payoffs[0] - game.payoffs[2], y) / 2
    others = [np.ones(3) / 3, y, np.ones(4) / 4]
    np.testing.assert_allclose(zero_sum_view(game, 0, 2, others), expected)
    np.testing.assert_allclose(zero_sum_view(game, 2, 0, others), -expected.T)
    zero_sum = two_seats(ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS)
    np.testing.assert_allclose(zero_sum_view(zero_sum, 0, 1), ROCK_PAPER_SCISSORS)
    with pytest.raises(ValueError, match="two different seats"):
        zero_sum_view(game, 1, 1)


def test_two_seat_nash_equilibria_of_nashpy_have_no_gap_here() -> None:
    nashpy = pytest.importorskip("nashpy")
    rng = np.random.default_rng(8)
    for _ in range(4):
        a, b = rng.normal(size=(2, 3, 4))
        equilibria = list(nashpy.Game(a, b).vertex_enumeration())
        assert equilibria
        for x, y in equilibria:
            assert nash_conv(two_seats(a, b), [x, y]) < 1e-10


# --- CE and CCE -------------------------------------------------------------------------------------------------------


def test_chicken_best_correlated_equilibrium() -> None:
    # Aumann 1974's example: the largest welfare CE puts 1/2 on (6,6) and 1/4 on each of (2,7), (7,2): welfare 10.5.
    found = correlated_equilibrium(CHICKEN, "ce", "welfare")
    np.testing.assert_allclose(found.joint, [[0.5, 0.25], [0.25, 0.0]], atol=1e-7)
    assert found.payoffs.sum() == pytest.approx(10.5, abs=1e-6)


def test_dominance_and_matching_pennies_have_one_answer() -> None:
    prisoners = two_seats(np.array([[3.0, 0], [5, 1]]), np.array([[3.0, 5], [0, 1]]))
    pennies = two_seats(np.array([[1.0, -1], [-1, 1]]), np.array([[-1.0, 1], [1, -1]]))
    for concept, selection in itertools.product(("ce", "cce"), ("gini", "welfare")):
        defect = correlated_equilibrium(prisoners, concept, selection).joint
        np.testing.assert_allclose(defect, [[0, 0], [0, 1]], atol=1e-7)
        if concept == "ce":  # the unique CE of matching pennies is uniform; it also has non-uniform CCEs
            np.testing.assert_allclose(correlated_equilibrium(pennies, concept, selection).joint, 0.25, atol=1e-7)


@pytest.mark.parametrize("concept", ["ce", "cce"])
@pytest.mark.parametrize("selection", ["gini", "welfare"])
def test_equilibria_of_random_and_degenerate_games_leave_no_gain(concept, selection) -> None:
    rng = np.random.default_rng(4)
    for trial in range(40):
        shape = tuple(int(s) for s in rng.integers(1, 5, size=rng.integers(1, 5)))
        whole = rng.integers(-2, 3, (len(shape), *shape)).astype(float)  # many ties
        payoffs = rng.normal(size=(len(shape), *shape)) if trial % 2 else whole
        payoffs *= 10.0 ** rng.uniform(-6, 6)
        game = MatrixGame(payoffs, tuple("abcd"[: len(shape)]))
        found = correlated_equilibrium(game, concept, selection)
        gains = (swap_gains if concept == "ce" else coarse_gains)(game, found.joint)
        assert gains.max() <= 1e-6 * max(np.ptp(payoffs), 1e-300)
        assert found.joint.min() >= 0
        assert found.joint.sum() == pytest.approx(1, abs=1e-12)


def test_gini_selection_has_the_smallest_norm_of_all_equilibria() -> None:
    rng = np.random.default_rng(9)
    game = random_game(rng, (3, 3), ("a", "b"))
    best = correlated_equilibrium(game, "cce", "gini").joint
    rules = (("ce", "gini"), ("ce", "welfare"), ("cce", "welfare"))
    others = [correlated_equilibrium(game, concept, selection).joint for concept, selection in rules]
    for other in others:
        assert np.sum(best**2) <= np.sum(other**2) + 1e-9
        # Optimality on a convex set: moving towards any other equilibrium cannot shorten the vector.
        assert np.sum(best * (other - best)) >= -1e-8
    welfare = correlated_equilibrium(game, "cce", "welfare")
    assert welfare.payoffs.sum() >= max(expected_payoffs(game, j).sum() for j in [best, *others]) - 1e-7


def test_exchangeable_seats_get_the_same_mixture_without_being_told() -> None:
    rng = np.random.default_rng(6)
    game = random_game(rng, (4, 4, 3), ("maker", "maker", "trader")).symmetrised()
    joint = correlated_equilibrium(game, "cce", "gini").joint
    np.testing.assert_allclose(joint, joint.transpose(1, 0, 2), atol=1e-8)


def test_largest_tensor_of_the_tournament_is_solved() -> None:
    game = random_game(np.random.default_rng(1), (10, 10, 10), ("maker", "maker", "trader")).symmetrised()
    for concept in ("cce", "ce"):
        found = correlated_equilibrium(game, concept, "gini")
        assert found.gains.max() < 1e-9
        assert set(found.mixtures) == {"maker", "trader"}


# --- alpha-rank -------------------------------------------------------------------------------------------------------


def dense_alpha_rank(game: MatrixGame, alpha: float, population: int) -> np.ndarray:
    """The definition written out: the full transition matrix, its left null vector by least squares."""
    shape = game.shape
    profiles = list(itertools.product(*map(range, shape)))
    eta = 1 / sum(s - 1 for s in shape)
    c = np.zeros((len(profiles),) * 2)
    for i, s in enumerate(profiles):
        for seat, size in enumerate(shape):
            for b in range(size):
                if b != s[seat]:
                    t = (*s[:seat], b, *s[seat + 1 :])
                    x = alpha * (game.payoffs[(seat, *t)] - game.payoffs[(seat, *s)])
                    rho = 1 / population if x == 0 else (1 - math.exp(-x)) / (1 - math.exp(-population * x))
                    c[i, profiles.index(t)] = eta * rho
        c[i, i] = 1 - c[i].sum()
    stacked = np.vstack([c.T - np.eye(len(c)), np.ones(len(c))])
    return np.linalg.lstsq(stacked, np.append(np.zeros(len(c)), 1.0), rcond=None)[0].reshape(shape)


@pytest.mark.parametrize("shape", [(4,), (4, 4), (3, 2, 3)])
def test_alpha_rank_equals_its_definition(shape: tuple[int, ...]) -> None:
    game = random_game(np.random.default_rng(12), shape, tuple("abc"[: len(shape)]))
    for alpha, population in ((0.01, 50), (0.3, 10), (1.0, 4)):
        found = alpha_rank(game, alpha, population)
        np.testing.assert_allclose(found.profiles, dense_alpha_rank(game, alpha, population), atol=1e-9)
        assert found.sinks == 1


def test_alpha_rank_of_two_states_is_detailed_balance_far_beyond_double_precision() -> None:
    # Two strategies, one seat: mass ratio rho(+d)/rho(-d) = e^{alpha d (m-1)}; here e^{49 * 0.5 * 10} = e^245.
    game = MatrixGame(np.array([[0.0, 0.5]]), ("a",))
    found = alpha_rank(game, alpha=10.0, population=50).profiles
    assert math.log(found[1] / found[0]) == pytest.approx(245, rel=1e-12)


def test_alpha_rank_at_any_alpha_is_a_distribution_and_tends_to_the_limit() -> None:
    game = random_game(np.random.default_rng(13), (5, 4), ("a", "b"))
    limit = alpha_rank(game)
    for alpha in (1e-12, 1.0, 1e2, 1e6, 1e300):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            mass = alpha_rank(game, alpha).profiles
        assert mass.sum() == pytest.approx(1, abs=1e-12)
        assert mass.min() >= 0
    np.testing.assert_allclose(alpha_rank(game, 1e6).profiles, limit.profiles, atol=1e-9)
    np.testing.assert_allclose(alpha_rank(game, 1e-12).profiles, 1 / 20, atol=1e-9)


def test_alpha_rank_limit_follows_cycles_and_weighs_sinks() -> None:
    pennies = two_seats(np.array([[1.0, -1], [-1, 1]]), np.array([[-1.0, 1], [1, -1]]))
    np.testing.assert_allclose(alpha_rank(pennies).profiles, 0.25)  # the 4-cycle of best responses
    coordination = two_seats(np.diag([2.0, 1]), np.diag([2.0, 1]))
    found = alpha_rank(coordination)
    assert found.sinks == 2  # both pure equilibria are sinks; the off-diagonal profiles feed them equally
    np.testing.assert_allclose(found.profiles, np.diag([0.5, 0.5]))
    # A finite alpha sees the escape rates and prefers the better equilibrium.
    assert alpha_rank(coordination, 1.0).profiles[0, 0] > 0.999


def test_alpha_rank_elimination_in_blocks_equals_a_linear_solve() -> None:
    game = random_game(np.random.default_rng(14), (17, 18), ("a", "b"))  # 306 states: three blocks
    np.testing.assert_allclose(alpha_rank(game, 0.05).profiles, dense_alpha_rank(game, 0.05, 50), atol=1e-10)


def test_alpha_rank_refuses_nonsense() -> None:
    for alpha, population in ((0.0, 50), (-1.0, 50), (math.nan, 50), (1.0, 1)):
        with pytest.raises(ValueError, match="allowed"):
            alpha_rank(CHICKEN, alpha, population)


@pytest.mark.parametrize("alpha", [1.0, 50.0])
def test_alpha_rank_of_fifty_members_a_role_balances_every_profile(alpha: float) -> None:
    # 2 500 profiles; benchmarks/matrix_games.py times this. Flow out of a profile equals flow in.
    game = random_game(np.random.default_rng(15), (50, 50), ("maker", "trader"))
    found = alpha_rank(game, alpha)
    mass = found.profiles

    def rho(gain: np.ndarray) -> np.ndarray:
        x = np.where(gain == 0, 1e-12, alpha * gain)
        with np.errstate(over="ignore"):  # e^{+large} = inf in the denominator: the rate is zero
            return np.expm1(-x) / np.expm1(-50 * x)

    row, column = game.payoffs
    down = rho(row[None] - row[:, None])  # [from, to, j]
    across = rho(column[:, None, :] - column[:, :, None])  # [i, from, to]
    down[np.arange(50), np.arange(50)] = 0
    across[:, np.arange(50), np.arange(50)] = 0
    into = np.einsum("abj,aj->bj", down, mass) + np.einsum("iab,ia->ib", across, mass)
    out = mass * (down.sum(axis=1) + across.sum(axis=2))
    np.testing.assert_allclose(into, out, atol=1e-14)
    for role, axis in (("maker", 1), ("trader", 0)):
        np.testing.assert_allclose(found.mixtures[role], mass.sum(axis=axis))
