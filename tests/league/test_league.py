import json

import numpy as np
import pytest

from arena.league.league import GainRecord, League
from arena.league.matchmaking import Latest, MetaStrategy, Prioritised, Uniform
from arena.league.ratings import Rating
from arena.league.settings import ExploiterSettings, LeagueSettings
from arena.league.snapshot import Member, SnapshotError, digest
from arena.solvers.finite.matrix_game import MatrixGame

SEATS = {"maker": 2, "executor": 1}
VOLUME = np.full((64, 2), 20.0)


def weights(value: float, size: int = 10) -> dict[str, np.ndarray]:
    return {"policy.0.weight": np.full((size, size), value, np.float32), "log_std": np.full(2, value, np.float32)}


def snap(role: str, iteration: int, value: float | None = None, size: int = 10, **changes) -> Member:
    value = float(iteration) if value is None else value
    given = {"name": f"{role}-{iteration:06d}", "role": role, "iteration": iteration, "scenario_hash": "abc"}
    return Member(**{**given, "weights": weights(value, size), **changes})


def make(folder, settings: LeagueSettings | None = None, **changes) -> League:
    given = {"scenario_hash": "abc", "seed": 5}
    return League(folder, settings or LeagueSettings(), SEATS, **{**given, **changes})


def filled(folder, makers: int = 4, settings: LeagueSettings | None = None) -> League:
    league = make(folder, settings)
    for i in range(makers):
        league.add(snap("maker", 10 * i))
    league.add(snap("executor", 0))
    return league


def paired(mean: float, games: int = 64, seats: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    old = rng.normal(0, 50, (games, seats))
    return old + mean + rng.normal(0, 1, (games, seats)), old


# --- members and files ------------------------------------------------------------------------------------------------


def test_members_are_kept_by_role_oldest_first(tmp_path):
    league = filled(tmp_path)
    league.add(snap("maker", 99, is_exploiter=True))
    assert league.members("maker") == ["maker-000000", "maker-000010", "maker-000020", "maker-000030", "maker-000099"]
    assert league.latest("maker") == "maker-000030"  # an exploiter is nobody's incumbent
    assert len(league) == 6
    assert digest(league.weights("maker-000020")) == digest(weights(20.0))
    empty = make(tmp_path / "empty")
    for call, name in ((league.members, "broker"), (league.record, "nobody"), (empty.latest, "maker")):
        with pytest.raises(ValueError, match=f"league has no .*{name}"):
            call(name)
    with pytest.raises(ValueError, match="allowed: maker, executor"):
        league.add(snap("broker", 0))
    with pytest.raises(ValueError, match="no member 'ghost'"):
        league.add(snap("maker", 100, parent="ghost"))


def test_memory_is_capped_while_hundreds_of_members_stay_on_disk(tmp_path):
    one = sum(a.nbytes for a in weights(0, 64).values())
    league = make(tmp_path, LeagueSettings(resident_megabytes=10.5 * one / 1e6))
    for i in range(200):
        league.add(snap("maker", i, size=64))
    league.add(snap("executor", 0))
    for i in [*range(200), *range(0, 200, 7)]:
        assert league.weights(f"maker-{i:06d}")["log_std"][0] == i
        assert league.resident_bytes <= 10.5 * one
    first = league.weights("maker-000196")
    assert league.weights("maker-000196") is first  # from memory
    assert len(league.draw("maker", 3)) == 16


def test_a_cap_below_one_member_still_serves_it(tmp_path):
    league = filled(tmp_path, settings=LeagueSettings(resident_megabytes=1e-6))
    assert league.weights("maker-000010")["log_std"][0] == 10
    assert league.weights("maker-000020")["log_std"][0] == 20


def test_damaged_weights_are_noticed_when_loaded(tmp_path):
    league = filled(tmp_path)
    path = tmp_path / "maker-000010.npz"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SnapshotError, match=r"maker-000010\.npz: damaged member"):
        league.weights("maker-000010")
    assert league.weights("maker-000020")["log_std"][0] == 20


def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path):
    filled(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for other in (make(tmp_path, seed=6), make(tmp_path, scenario_hash="other")):
        with pytest.raises(SnapshotError, match="belongs to another run"):
            other.add(snap("maker", 0))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = make(tmp_path)  # this run, killed before its first checkpoint, starts over
    assert again.add(snap("maker", 0)) == "maker-000000"


def test_a_member_left_by_a_killed_run_is_not_overwritten(tmp_path):
    league = filled(tmp_path)
    state = league.state_dict()
    assert league.add(snap("maker", 40, value=1.0)) == "maker-000040"
    resumed = make(tmp_path)
    resumed.load_state(state)
    assert "maker-000040" not in resumed.members("maker")
    assert resumed.add(snap("maker", 40, value=2.0)) == "maker-000040-2"
    assert resumed.weights("maker-000040-2")["log_std"][0] == 2
    replay = make(tmp_path)
    replay.load_state(state)
    assert replay.add(snap("maker", 40, value=1.0)) == "maker-000040"  # bit for bit the same member


# --- draws ------------------------------------------------------------------------------------------------------------


def test_draws_follow_the_rule_and_repeat(tmp_path):
    league = filled(tmp_path)
    assert set(league.draw("maker", 1, rule=Latest())) == {"maker-000030"}
    uniform = league.draw("maker", 1, 16, rule=Uniform())
    assert sorted(uniform) == sorted(league.members("maker") * 4)
    assert uniform == league.draw("maker", 1, 16, rule=Uniform())
    assert uniform != league.draw("maker", 2, 16, rule=Uniform())
    assert uniform != league.draw("maker", 1, 16, rule=Uniform(), purpose="promotion")
    default = league.draw("maker", 0)
    assert default.count("maker-000030") >= 12  # three quarters of 16 slots, and its part of the rest
    seeds = league.promotion_seeds("maker", 4)
    assert seeds.dtype == np.uint64
    assert len(np.unique(np.concatenate([seeds, league.promotion_seeds("maker", 5)]))) == 2 * len(seeds)


def test_prioritised_opponents_are_those_the_learner_gains_least_against(tmp_path):
    league = filled(tmp_path, makers=3)
    rng = np.random.default_rng(1)
    easy, hard = rng.normal(2, 1, 100), rng.normal(-2, 1, 100)
    league.record_gains("maker", [(["maker-000000", "executor-000000"], easy), (["maker-000010"], hard)])
    chances = league.probabilities("maker", Prioritised(floor=0.0))
    # Gains of +-2 sd: p = 0.977 and 0.023, the unknown member 0.5; weights (1 - p)^2.
    assert chances["maker-000010"] == pytest.approx(0.977**2 / (0.977**2 + 0.5**2 + 0.023**2), abs=0.03)
    assert chances["maker-000000"] < 0.01
    # The executor's learner has met nobody yet: uniform.
    assert list(league.probabilities("maker", Prioritised(), against="executor").values()) == pytest.approx([1 / 3] * 3)


def test_old_gains_fade():
    record = GainRecord()
    assert record.advantage == 0.5
    record.add(np.full(10, -1.0))
    assert record.advantage == 0.0
    record.add(np.full(10, 1.0))
    assert record.advantage == pytest.approx(0.5)
    record.weight *= 0.0
    record.add(np.array([1.0, 3.0]))
    assert record.advantage == pytest.approx(0.9772, abs=1e-4)  # mean 2, sd 1: Phi(2)


def test_gains_of_earlier_looks_count_less(tmp_path):
    """The learner they were measured for has moved on: once beaten and once not, the later look weighs more."""
    league = filled(tmp_path, makers=3)
    for sign in (1.0, -1.0):
        league.record_gains("maker", [(["maker-000000"], np.full(10, sign)), (["maker-000010"], np.full(10, -sign))])
    chances = league.probabilities("maker", Prioritised(floor=0.0))
    assert chances["maker-000000"] > chances["maker-000020"] > chances["maker-000010"]  # 20: nobody met it


def test_meta_strategy_is_the_equilibrium_of_the_current_tensor(tmp_path):
    league = filled(tmp_path, makers=3)
    league.add(snap("executor", 10))
    assert list(league.probabilities("maker", MetaStrategy()).values()) == pytest.approx([1 / 3] * 3)
    # Matching pennies between two of three makers and two executors; the third maker is strictly dominated.
    pennies = np.array([[1.0, -1], [-1, 1], [-9, -9]])
    game = MatrixGame(np.stack([pennies, -pennies]), ("maker", "executor"))
    names = {"maker": ["maker-000000", "maker-000020", "maker-000010"], "executor": league.members("executor")}
    found = league.set_payoffs(game, names)
    assert found["maker"] == pytest.approx({"maker-000000": 0.5, "maker-000020": 0.5, "maker-000010": 0}, abs=1e-6)
    assert league.probabilities("maker", MetaStrategy())["maker-000010"] == pytest.approx(0, abs=1e-6)
    drawn = league.draw("executor", 0, 4, rule=MetaStrategy())
    assert sorted(drawn) == ["executor-000000"] * 2 + ["executor-000010"] * 2
    with pytest.raises(ValueError, match="3 strategies but 2 names"):
        league.set_payoffs(game, {**names, "maker": names["maker"][:2]})


def test_baselines_in_the_tensor_are_not_drawn(tmp_path):
    league = filled(tmp_path, makers=1)
    game = MatrixGame(np.zeros((2, 2, 1)), ("maker", "executor"))
    found = league.set_payoffs(game, {"maker": ["maker-000000", "naive"], "executor": ["executor-000000"]})
    assert found["maker"]["naive"] == pytest.approx(0.5)
    assert league.probabilities("maker", MetaStrategy()) == {"maker-000000": pytest.approx(1.0)}


# --- promotion --------------------------------------------------------------------------------------------------------


def test_a_better_candidate_becomes_the_incumbent_and_is_rated(tmp_path):
    league = filled(tmp_path)
    new, old = paired(1.0)
    decision = league.consider(snap("maker", 35), new, old, VOLUME)
    assert decision.promoted
    assert decision.gain == pytest.approx(1.0, abs=5 * decision.se)
    assert league.latest("maker") == "maker-000035"
    assert league.record("maker-000035").parent == "maker-000030"
    ratings = league.ratings["maker"]
    assert ratings["maker-000035"].mu > ratings["maker-000030"].mu
    assert ratings["maker-000035"].games == 64


def test_looks_are_counted_until_a_promotion(tmp_path):
    league = filled(tmp_path)
    same = paired(0.0, seed=3)
    looks = [league.consider(snap("maker", 40 + i), *same, VOLUME).look for i in range(3)]
    assert looks == [1, 2, 3]
    assert league.consider(snap("executor", 40), *paired(0, seats=1, seed=4), VOLUME).look == 1  # roles count apart
    decision = league.consider(snap("maker", 50), *paired(5.0), VOLUME)
    assert (decision.promoted, decision.look) == (True, 4)
    assert decision.level == pytest.approx(0.05 / 20)
    assert league.consider(snap("maker", 60), *same, VOLUME).look == 1
    assert league.members("maker")[-1] == "maker-000050"


def test_a_passive_candidate_is_flagged_and_stays_out(tmp_path):
    league = filled(tmp_path)
    decision = league.consider(snap("maker", 35), *paired(5.0), np.zeros((64, 2)))
    assert decision.passive
    assert not decision.promoted
    assert league.latest("maker") == "maker-000030"


def test_line_ups_feed_the_priorities(tmp_path):
    league = filled(tmp_path, makers=2)
    groups = np.repeat(np.arange(8), 8)
    met = [["maker-000000"], ["maker-000010"]] * 4
    new, old = paired(0.0)
    new += np.where(groups % 2 == 0, 3.0, -3.0)[:, None]
    league.consider(snap("maker", 20), new, old, VOLUME, groups, met)
    chances = league.probabilities("maker", Prioritised())
    assert chances["maker-000010"] > 0.9
    with pytest.raises(ValueError, match="line-ups"):
        league.consider(snap("maker", 20), new, old, VOLUME, groups, met[:4])
    with pytest.raises(ValueError, match="line-ups"):
        league.consider(snap("maker", 20), new, old, VOLUME, None, met)


def test_exploiters_join_beside_the_main_line_and_restart(tmp_path):
    settings = LeagueSettings(exploiters={"maker": ExploiterSettings(patience=2)})
    league = filled(tmp_path, settings=settings)
    assert not league.exploiter_restarts("maker")
    attempt = {"is_exploiter": True, "name": "maker-x000040"}
    for restart in (False, True, False):
        league.consider(snap("maker", 40, **attempt), *paired(0.0, seed=3), VOLUME)
        assert league.exploiter_restarts("maker") is restart
    main_looks = league.consider(snap("maker", 41), *paired(0.0, seed=3), VOLUME).look
    assert main_looks == 1
    assert league.consider(snap("maker", 40, **attempt), *paired(5.0), VOLUME).promoted
    assert league.exploiter_restarts("maker")
    assert league.latest("maker") == "maker-000030"
    assert league.members("maker")[-1] == "maker-x000040"
    assert "maker-x000040" in league.draw("maker", 0, 16, rule=Uniform())


def test_ratings_compare_members_of_one_role(tmp_path):
    league = filled(tmp_path)
    league.update_ratings("maker", ["maker-000000", "maker-000030"], np.tile([0.0, 1.0], (20, 1)))
    assert league.ratings["maker"]["maker-000030"].mu > 25 > league.ratings["maker"]["maker-000000"].mu
    with pytest.raises(ValueError, match="one role"):
        league.update_ratings("maker", ["maker-000000", "executor-000000"], np.zeros((2, 2)))
    league.add(snap("maker", 50, parent="maker-000030"))
    assert league.ratings["maker"]["maker-000050"] == Rating(mu=league.ratings["maker"]["maker-000030"].mu)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def busy(league: League) -> League:
    groups = np.repeat(np.arange(8), 8)
    met = [[league.members("maker")[g % 3], "executor-000000"] for g in range(8)]
    league.consider(snap("maker", 35), *paired(1.0), VOLUME, groups, met)
    league.consider(snap("maker", 45), *paired(0.0, seed=3), VOLUME, groups, met)
    game = MatrixGame(np.random.default_rng(0).normal(size=(2, 5, 1)), ("maker", "executor"))
    league.set_payoffs(game, {role: league.members(role) for role in SEATS})
    return league


def step(league: League, iteration: int) -> list:
    """What a run would see next."""
    decision = league.consider(snap("maker", iteration), *paired(0.8, seed=iteration), VOLUME)
    draws = [league.draw(role, iteration) for role in SEATS] + [league.draw("maker", iteration, rule=MetaStrategy())]
    seeds = league.promotion_seeds("maker", iteration).tolist()
    return [decision, draws, league.ratings, seeds, league.members("maker")]


def test_a_resumed_league_continues_exactly_as_the_uninterrupted_one(tmp_path):
    league = busy(filled(tmp_path / "a"))
    state = json.loads(json.dumps(league.state_dict()["plain"]))  # as a checkpoint file would bring it back
    resumed = make(tmp_path / "a")
    resumed.load_state({"plain": state, "arrays": league.state_dict()["arrays"]})
    assert resumed.state_dict()["plain"] == league.state_dict()["plain"]
    np.testing.assert_array_equal(resumed.payoffs.payoffs, league.payoffs.payoffs)
    for iteration in (55, 65):
        assert step(resumed, iteration) == step(league, iteration)


def test_a_state_with_weights_moves_to_another_folder(tmp_path):
    league = busy(filled(tmp_path / "a"))
    moved = make(tmp_path / "b")
    with pytest.raises(SnapshotError, match="no readable member"):
        moved.load_state(league.state_dict())
    moved.load_state(league.state_dict(include_weights=True))
    assert digest(moved.weights("maker-000020")) == digest(weights(20.0))
    assert json.loads((tmp_path / "b" / "league.json").read_text()) == moved.state_dict()["plain"]


def test_a_state_is_a_copy(tmp_path):
    league = busy(filled(tmp_path))
    state = league.state_dict()
    before = json.dumps(state["plain"])
    step(league, 70)
    assert json.dumps(state["plain"]) == before


def test_states_that_do_not_fit_are_refused(tmp_path):
    state = busy(filled(tmp_path)).state_dict()
    for key, value in (("version", 0), ("scenario_hash", "other"), ("seats", {"maker": 3})):
        with pytest.raises(SnapshotError, match=f"found {key}"):
            make(tmp_path).load_state({**state, "plain": {**state["plain"], key: value}})
    path = tmp_path / "maker-000020.npz"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(SnapshotError, match=r"maker-000020\.npz: damaged"):
        make(tmp_path).load_state(state)


# --- every round ------------------------------------------------------------------------------------------------------


EVERY_ROUND = LeagueSettings.model_validate({"promotion": {"kind": "every_round"}, "matchmaking": {"kind": "latest"}})


def test_each_round_replaces_old_in_memory_and_only_the_frozen_stay(tmp_path):
    league = filled(tmp_path, 1, EVERY_ROUND)
    for iteration in range(1, 5):
        league.succeed(snap("maker", iteration), freeze=iteration == 3)
        name = f"maker-{iteration:06d}"
        assert league.latest("maker") == name
        assert set(league.draw("maker", iteration)) == {name}
        assert digest(league.weights(name)) == digest(weights(float(iteration)))
    assert league.members("maker") == ["maker-000000", "maker-000003", "maker-000004"]
    assert sorted(path.name for path in tmp_path.glob("maker-*.npz")) == ["maker-000000.npz", "maker-000003.npz"]
    league.succeed(snap("maker", 3), freeze=True)  # what is frozen already is not stored twice
    assert league.members("maker") == ["maker-000000", "maker-000003"]
    assert league.latest("executor") == "executor-000000"
    for judging in (lambda: league.promotion_seeds("maker", 1), lambda: EVERY_ROUND.test):
        with pytest.raises(ValueError, match="found every_round; allowed is test where a candidate is judged"):
            judging()


def test_old_in_memory_survives_a_checkpoint(tmp_path):
    league = filled(tmp_path, 1, EVERY_ROUND)
    league.succeed(snap("maker", 7), freeze=False)
    state = league.state_dict()
    assert state["plain"] == json.loads(json.dumps(state["plain"]))
    league.succeed(snap("maker", 8), freeze=False)
    resumed = make(tmp_path, EVERY_ROUND)
    resumed.load_state(state)
    assert resumed.latest("maker") == "maker-000007"
    assert digest(resumed.weights("maker-000007")) == digest(weights(7.0))
    assert resumed.state_dict()["plain"] == state["plain"]
    assert "in_memory" not in filled(tmp_path / "tested").state_dict()["plain"]


def test_exploiters_of_unknown_roles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="exploiters"):
        make(tmp_path, LeagueSettings(exploiters={"broker": ExploiterSettings()}))
