"""Each kind of check against what is known: exact values of a short duel and of a lone maker, players of a toy."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from agents.network import Network
from arena.gates.bench import Bench, GateError
from arena.gates.checks import Check
from arena.gates.judging import judge_phase
from arena.gates.settings import Curriculum, Phase, Rung
from arena.league import snapshot
from arena.markets.dealer.gaps.lattice import responses
from arena.runs.run_folder import RunFolder
from arena.scenario import Scenario, load
from arena.training.prior import priors
from tests.gates.conftest import TOY, network

AS = {"kind": "avellaneda_stoikov", "risk_aversion": 1, "variance_rate": 0.01}
SHORT = ("market.clock.steps=4", "market.makers.inventory_limit=3", "market.flow.arrival_rate=8", "training.hidden=[8]")


def check(**settings: object) -> Check:
    return TypeAdapter(Check).validate_python(settings)


def maker(scenario: Scenario, seed: int = 1) -> dict[str, np.ndarray]:
    role = scenario.market.roles[0]
    weights = Network(role.observation, priors(scenario.market)["maker"], (8,), seed=seed).weights()
    return weights | {
        "linear": 0.05 * np.random.default_rng(seed).normal(size=weights["linear"].shape).astype(np.float32)
    }


@pytest.fixture(scope="module")
def duel() -> Bench:
    scenario = load("option_duel", SHORT)
    return Bench(scenario, {"maker": maker(scenario)}, "mm_0", 2000, None)


@pytest.fixture(scope="module")
def alone() -> Bench:
    scenario = load("fang_xu_single", SHORT)
    return Bench(scenario, {"maker": maker(scenario)}, "mm_0", 2000, None)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    path = tmp_path_factory.mktemp("toy") / "toy.yaml"
    path.write_text(TOY)
    scenario = load(path)
    return Bench(scenario, {"poster": network(scenario, 0.7)}, "p_0", 2000, None)


def test_exploitability_and_value_are_the_engines(duel: Bench) -> None:
    acts = duel.equilibrium()
    best = responses(duel.market, acts)["mm_0"].value
    own = responses(duel.market, duel.profile.acts)["mm_0"]
    found = check(kind="exploitability", at_most=0.01).measure(duel)
    assert found.exact
    assert found.value == found.low == found.high == pytest.approx(own.gain / best, rel=1e-12)
    found = check(kind="value", within=0.03).measure(duel)
    assert found.exact
    assert found.value == pytest.approx(own.value / best, rel=1e-12)


def test_against_an_opponent_the_equilibriums_player_counts_as_1(duel: Bench) -> None:
    rival, best = duel.act(AS, "mm_1"), duel.equilibrium()["mm_0"]
    ours, theirs = (responses(duel.market, {"mm_0": one, "mm_1": rival})["mm_0"].value for one in
                    (duel.profile.acts["mm_0"], best))  # fmt: skip
    found = check(kind="against", opponent=AS, at_least=0.97).measure(duel)
    assert found.exact
    assert found.value == pytest.approx(ours / theirs, rel=1e-12)


def test_over_a_rival_and_over_a_base(duel: Bench) -> None:
    assert check(kind="over", rival="mm_1", at_least=0).measure(duel).value == 0.0  # the same player in both seats
    ours, theirs = (responses(duel.market, {**duel.profile.acts, "mm_0": one})["mm_0"].value for one in
                    (duel.profile.acts["mm_0"], duel.act(AS, "mm_0")))  # fmt: skip
    found = check(kind="over", base=AS, at_least=0).measure(duel)
    assert found.value == pytest.approx(ours - theirs, rel=1e-9)
    with pytest.raises(ValueError, match="both or neither of rival and base"):
        check(kind="over", at_least=0)


def test_the_way_to_the_best_response_and_its_share(alone: Bench) -> None:
    """With one maker the best response is the optimum; the sampled score of the same players lies around the exact."""
    base = {"kind": "constant_spread", "half_spread": "inverse_decay"}
    own = responses(alone.market, alone.profile.acts)["mm_0"]
    low = responses(alone.market, {"mm_0": alone.act(base, "mm_0")})["mm_0"].value
    score = check(kind="score", base=base, reference="best_response", at_least=0.9, beside={"itself": base})
    found = score.measure(alone)
    assert found.exact
    assert found.value == pytest.approx((own.value - low) / (own.best - low), rel=1e-9)
    assert score.marks(alone) == {"itself": 0.0}
    assert score.told(alone)["reference"] == {"mean": pytest.approx(own.best), "se": 0.0, "exact": True}
    found = check(kind="share", reference="best_response", at_least=0.9).measure(alone)
    assert found.value == pytest.approx(own.value / own.best, rel=1e-12)
    noisy = {"kind": "gibbs_maker"}  # it draws its quotes: no table, no exact value
    found = check(kind="share", reference=noisy, at_least=0.9).measure(alone)
    assert not found.exact
    assert found.games == 2000
    with pytest.raises(GateError, match="does not know what these players earn exactly"):
        check(kind="score", base=noisy, reference="best_response", at_least=0.9).measure(alone)


def test_sampled_values_lie_around_the_exact_ones(duel: Bench) -> None:
    """4.42 standard errors: error rate 1e-5."""
    exact = responses(duel.market, duel.profile.acts)["mm_0"].value
    earned = duel.earned("")
    assert abs(earned.mean() - exact) < 4.42 * earned.std() / np.sqrt(earned.size)


def test_the_newest_policy_over_its_pool(tmp_path) -> None:
    scenario = load("option_duel", SHORT)
    for i in range(4):
        snapshot.write(tmp_path / "league", snapshot.Member(f"maker-{i:05d}", "maker", i, "0" * 64, maker(scenario, i)))
    bench = Bench(scenario, {"maker": maker(scenario, 3)}, "mm_0", 100, tmp_path)
    acts = [Bench(scenario, {"maker": maker(scenario, i)}, "mm_0", 2, None).profile.acts["mm_0"] for i in (0, 3)]
    worth = np.array([[responses(scenario.market, {"mm_0": a, "mm_1": b})["mm_0"].value for b in acts] for a in acts])
    found = check(kind="newest_over_pool", members=2, at_least=0).measure(bench)  # the first and the newest
    assert found.exact
    assert found.value == pytest.approx(worth[1].mean() - worth.mean(), rel=1e-9)
    empty = Bench(scenario, {"maker": maker(scenario, 3)}, "mm_0", 100, tmp_path / "nowhere")
    with pytest.raises(GateError, match="0 members of role maker; allowed are two or more"):
        check(kind="newest_over_pool", at_least=0).measure(empty)


def test_a_known_player_of_a_toy_scores_what_it_is(toy: Bench) -> None:
    """Waiting is 0 and always posting is 1 by definition; who posts with chance .7 is between."""
    post, wait = {"kind": "steady", "action": 1}, {"kind": "steady"}
    found = check(kind="score", base=wait, reference=post, at_least=0.5).measure(toy)
    assert 0.5 < found.low < found.value < found.high < 0.95
    assert check(kind="score", base=wait, reference=post, at_least=0.5).holds(found)
    assert not check(kind="score", base=wait, reference=post, at_least=0.95).holds(found)
    assert toy.earned(toy.sit(wait)).tolist() == [0.0] * 2000
    found = check(kind="share", reference=post, at_least=0.5).measure(toy)
    assert 0.5 < found.value < 0.95
    with pytest.raises(
        GateError, match=r"the reference is not better than the base: .* allowed is a difference above 0"
    ):
        check(kind="score", base=post, reference=post, at_least=0.5).measure(toy)
    with pytest.raises(GateError, match="the reference is not better than the base"):
        check(kind="score", base=post, reference=wait, at_least=0.5).measure(toy)
    with pytest.raises(GateError, match="the reference earns nothing"):
        check(kind="share", reference=wait, at_least=0.5).measure(toy)


def test_what_no_engine_knows_is_refused(toy: Bench) -> None:
    with pytest.raises(GateError, match="no exact engine covers this profile; a search bounds a gain from below only"):
        check(kind="exploitability", at_most=0.01).measure(toy)
    with pytest.raises(GateError, match="theory names no equilibrium"):
        check(kind="value", within=0.03).measure(toy)
    with pytest.raises(GateError, match="no seat but p_0 learns"):
        check(kind="against", opponent={"kind": "steady"}, at_least=0.97).measure(toy)


def test_an_equilibrium_outside_its_theory_is_refused_in_a_sentence() -> None:
    scenario = load("fang_xu_hedged")
    bench = Bench(scenario, {"maker": maker(scenario)}, "mm_0", 2, None)
    with pytest.raises(GateError, match=r"fang_xu_hedged: the equilibrium's players cannot sit: .*hedging"):
        check(kind="value", within=0.03).measure(bench)


def test_a_deviation_counts_only_where_the_mean_is_0_and_in_other_clocks_too(toy: Bench) -> None:
    """The toy's P&L has a mean that is not 0, so that its bound is infinite; the ratio itself is what it is."""
    asked = check(kind="deviation", base={"kind": "steady", "action": 1}, at_most=1.01)
    found = asked.measure(toy)
    assert found.high == np.inf
    assert not asked.holds(found)
    ours, base = toy.profit(""), toy.profit(toy.sit({"kind": "steady", "action": 1}))
    assert found.value == pytest.approx(ours.std() / base.std())
    np.testing.assert_allclose(ours, toy.earned(""), atol=1e-12)  # no penalties: gains less costs are the rewards
    there = toy.at_steps(40)
    assert there.market.clock.steps == 40
    assert there.profit("").mean() > 1.5 * ours.mean()
    assert toy.at_steps(40) is there
    with pytest.raises(GateError, match="steps: found -1"):
        toy.at_steps(-1)


def test_p_and_l_leaves_penalties_out() -> None:
    scenario = load("fang_xu_single", SHORT)
    bench = Bench(scenario, {"maker": maker(scenario)}, "mm_0", 200, None)
    assert (bench.profit("") >= bench.earned("") - 1e-12).all()
    assert (bench.profit("") - bench.earned("")).max() > 1e-4


@pytest.mark.parametrize(
    ("one", "value", "holds"),
    [
        ({"kind": "value", "within": 0.03}, (0.98, 0.971, 0.99), True),
        ({"kind": "value", "within": 0.03}, (0.98, 0.969, 0.99), False),
        ({"kind": "value", "within": 0.03}, (1.02, 1.01, 1.031), False),
        ({"kind": "exploitability", "at_most": 0.01}, (0.009, 0.008, 0.0101), False),
        ({"kind": "exploitability", "at_most": 0.01}, (0.009, 0.008, 0.01), True),
        ({"kind": "share", "reference": "best_response", "at_least": 0.98}, (0.99, 0.979, 1.0), False),
        ({"kind": "share", "reference": "best_response", "at_least": 0.98}, (0.99, 0.98, 1.0), True),
    ],
)
def test_a_number_is_judged_at_its_worse_bound(one: dict, value: tuple[float, ...], holds: bool) -> None:
    from arena.gates.statistics import Bound

    found = Bound(*value, 100)
    assert check(**one).holds(found) is holds
    assert check(**one).worse(found) in value[1:]


def test_a_scheme_that_trains_otherwise_is_marked_beside_the_seeds_by_its_exploitability(tmp_path: Path) -> None:
    ours, other = load("option_duel", SHORT), load("option_duel_literal", SHORT)
    runs = []
    for scenario, seed in ((ours, 1), (other, 2)):
        runs.append(RunFolder.create(tmp_path, scenario, ["test"]))
        member = snapshot.Member("maker-00120", "maker", 120, scenario.hash, maker(scenario, seed))
        snapshot.write(runs[-1].path / "profile", member)
    phase = Phase(name="duel", scenario="option_duel", checks=(check(kind="exploitability", at_most=9.0),))
    rung = Rung(phase=phase, scenario=ours, schemes={"literal": other})
    curriculum = Curriculum(name="one", seeds=(0,), pass_seeds=1, phases=(phase,))
    found = judge_phase(curriculum, rung, {0: runs[0]}, tmp_path, schemes={"literal": (other, runs[1])}).checks[0]
    values = [check(kind="exploitability", at_most=9.0).measure(Bench(s, {"maker": maker(s, n)}, "mm_0", 9, None)).value
              for s, n in ((ours, 1), (other, 2))]  # fmt: skip
    assert [found.per_seed[0].value, found.marks["literal"]] == pytest.approx(values, rel=1e-12)
    assert values[0] != values[1]
