"""Networks in another market's frames: the same physical actions of the same physical numbers, and what is refused."""

import numpy as np
import pytest

from agents.heads import Numbers, Options
from agents.learned import player
from agents.network import Network
from arena.layout import Choice, Field, Layout
from arena.markets.market import Role, Rows
from arena.scenario import load
from arena.training.carry import CarryError, carried, carry

ROWS = Rows("reward", gains=("earned",))


def role(columns: list[Field], action: Layout | Choice, name: str = "hedger") -> Role:
    return Role(name, (f"{name}_0",), Layout(columns), action, ROWS)


def columns(*names: str, centre: float = 0.0, scale: float = 1.0) -> list[Field]:
    return [Field(name, centre=centre + 0.1 * i, scale=scale * (1 + i)) for i, name in enumerate(names)]


def lively(role: Role, prior: Numbers | Options, seed: int) -> dict[str, np.ndarray]:
    """A network whose every weight matters."""
    rng, weights = np.random.default_rng(seed), Network(role.observation, prior, (6, 5), seed=seed).weights()
    noisy = ("weight", "bias", "linear")
    return {
        key: values + rng.normal(0, 0.3, values.shape).astype(np.float32) if key.endswith(noisy) else values
        for key, values in weights.items()
    }


def band(low: float = -0.25, high: float = 0.25) -> Layout:
    return Layout([Field("centre", low=low, high=high), Field("width", low=0.0, high=0.3)])


def test_the_old_actions_are_played_where_both_see_the_same() -> None:
    """New centres, scales, order, action ranges, a new column and a new action: physical actions agree to 1e-6."""
    before = role(columns("time_left", "moneyness", "gamma"), band())
    wider = Layout([Field("skew", low=-1, high=1), Field("width", low=-0.1, high=0.9), Field("centre", low=-1, high=2)])
    now = role(columns("gamma", "vega", "moneyness", "time_left", centre=0.7, scale=2.5), wider)
    old = lively(before, Numbers(np.array([0.1, -0.5]), np.array([0.4, 0.2])), 1)
    fresh = lively(now, Numbers(np.array([0.3, 0.1, 0.2]), np.array([0.5, 0.25, 0.6])), 2)
    new = carry(old, before, fresh, now, initial_std=0.5)
    rng = np.random.default_rng(3)
    seen = rng.normal(0, 1, (200, 3)).astype(np.float32)
    shown = np.stack([seen[:, 2], rng.normal(0, 5, 200), seen[:, 1], seen[:, 0]], axis=1).astype(np.float32)
    nothing = np.zeros((200, 3))
    was = before.numbers.from_unit(player(old)(seen, nothing[:, :2]))
    plays = now.numbers.from_unit(player(new)(shown, nothing))
    assert np.ptp(was, axis=0).min() > 0.05  # actions differ from row to row
    np.testing.assert_allclose(plays[:, [2, 1]], was, atol=1e-6)
    np.testing.assert_allclose(player(new)(shown, nothing)[:, 0], 0.3, atol=1e-7)  # a new action plays its baseline
    np.testing.assert_allclose(np.exp(new["log_std"]), 0.25, rtol=1e-6)  # half of where exploration starts
    network = Network(now.observation, Numbers(np.zeros(3), np.ones(3)), (6, 5))
    network.load(new)  # names, shapes and types are a network's


def test_a_critic_keeps_what_it_sees_by_and_starts_its_output_anew() -> None:
    before, now = role(columns("a", "b"), band()), role(columns("b", "a", "c"), band())
    prior = Numbers(np.zeros(2), np.ones(2))
    old, fresh = lively(before, prior, 1), lively(now, prior, 2)
    new = carry(old, before, fresh, now, 0.5)
    assert np.array_equal(new["value.4.weight"], fresh["value.4.weight"])
    assert np.array_equal(new["value.2.weight"], old["value.2.weight"])
    assert not new["value.0.weight"][:, 2].any()


def test_a_column_that_is_gone_or_has_another_name_ends_in_a_sentence() -> None:
    before, prior = role(columns("time_left", "hedge"), band()), Numbers(np.zeros(2), np.ones(2))
    now = role(columns("time_left", "shares"), band())
    old, fresh = lively(before, prior, 1), lively(now, prior, 2)
    with pytest.raises(CarryError, match=r"^hedge was seen before and is not now; allowed is .* or start.rename$"):
        carry(old, before, fresh, now, 0.5)
    new = carry(old, before, fresh, now, 0.5, {"hedge": "shares"})
    assert np.array_equal(new["policy.0.weight"], old["policy.0.weight"])
    other = Layout([Field("hedge_centre", low=0, high=1), Field("width", low=0, high=0.3)])
    with pytest.raises(CarryError, match="centre was played before and is not now"):
        carry(old, before, lively(role(columns("time_left", "hedge"), other), prior, 2),
              role(columns("time_left", "hedge"), other), 0.5)  # fmt: skip
    short = Network(before.observation, prior, (6,)).weights()
    with pytest.raises(CarryError, match="hedger: the network it starts from has other layers"):
        carry(old, before, short, before, 0.5)


def test_labels_follow_a_renamed_field() -> None:
    before = role([Field("delta", (2,), ("a", "b"))], band())
    now = role([Field("sum", (2,), ("b", "a"))], band())
    prior = Numbers(np.zeros(2), np.ones(2))
    new = carry(lively(before, prior, 1), before, lively(now, prior, 2), now, 0.5, {"delta": "sum"})
    assert np.array_equal(new["policy.0.weight"], lively(before, prior, 1)["policy.0.weight"][:, ::-1])


def test_a_choice_is_carried_with_its_options_and_no_others() -> None:
    options, mask = Choice(("wait", "post")), Field("allowed", (2,), ("wait", "post"), low=0, high=1)
    before, now = role([*columns("a"), mask], options), role([mask, *columns("b", "a")], options)
    old = lively(before, Options(np.array([0.5, 0.5]), 1, 3), 1)
    fresh = lively(now, Options(np.array([0.5, 0.5]), 0, 2), 2)
    new = carry(old, before, fresh, now, 0.5)
    assert new["choice"].tolist() == [0, 2, 0]
    seen = np.array([[0.3, 1, 1], [-1.0, 1, 1], [2.0, 1, 0]], np.float32)
    shown = np.array([[1, 1, 9, 0.3], [1, 1, 9, -1.0], [1, 0, 9, 2.0]], np.float32)
    for uniform in np.linspace(0.05, 0.95, 10):
        noise = np.full((3, 1), uniform)
        assert np.array_equal(player(old)(seen, noise), player(new)(shown, noise))
    with pytest.raises(CarryError, match="found other options than before; allowed are wait, post"):
        carry(old, before, fresh, role([mask, *columns("a")], Choice(("wait", "take"))), 0.5)


def test_from_the_lone_maker_to_the_duel() -> None:
    """The duel shows the rival's inventory besides: the lone maker's network quotes there as it did."""
    small = ["training.hidden=[6, 5]", "training.activation=relu"]
    alone, duel = load("fang_xu_single", small), load("option_duel", small)
    one, two = alone.market.roles[0], duel.market.roles[0]
    prior = Numbers(np.full(2, -0.5), np.full(2, 0.3))
    old = lively(one, prior, 4)
    old["relu"] = np.array([True])
    new = carried(alone, {"maker": old}, duel)["maker"]
    rng = np.random.default_rng(5)
    known = np.stack([rng.uniform(0, 1, 50), rng.integers(-5, 6, 50)], axis=1).astype(np.float32)
    shown = np.zeros((50, 3), np.float32)
    for name in ("time_left", "inventory"):
        shown[:, two.observation.slice(name)] = known[:, one.observation.slice(name)]
    nothing = np.zeros((50, 2))
    np.testing.assert_allclose(
        two.numbers.from_unit(player(new)(shown, nothing)),
        one.numbers.from_unit(player(old)(known, nothing)),
        atol=1e-6,
    )
    with pytest.raises(CarryError, match="no role maker learned before; allowed are a, b"):
        carried(alone, {"a": old, "b": old}, duel)
