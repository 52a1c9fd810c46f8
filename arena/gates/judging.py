"""Judging a phase: every check of its gate on the weights of every seed, and the verdict in a sentence."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from arena.gaps.nash_gap import SEARCH, engines
from arena.gates.bench import Bench, digest_of
from arena.gates.checks import recipes_of
from arena.gates.gate import CheckResult, SeedResult
from arena.gates.settings import Curriculum, Rung, judged_seat
from arena.gates.statistics import Bound
from arena.judge import final_networks
from arena.markets.catalogue import kit_of, packages
from arena.named import recipe_of
from arena.runs.run_folder import RunFolder
from arena.scenario import Scenario

Say = Callable[[str], None]


class Judged(NamedTuple):
    """What was found: the checks, the verdict, and the digests of the weights in the order of the seeds."""

    checks: tuple[CheckResult, ...]
    passed: bool
    verdict: str
    weights: tuple[str, ...]


def judge_phase(
    curriculum: Curriculum, rung: Rung, runs: Mapping[int, RunFolder], root: Path, say: Say = lambda _: None,
    schemes: Mapping[str, tuple[Scenario, RunFolder]] | None = None,
) -> Judged:  # fmt: skip
    """Judge the runs of all seeds; raises GateError or SnapshotError with a sentence where that is not possible.

    `schemes` are runs of the same market that were trained otherwise: their exploitability is marked beside the seeds'.
    A check passes when enough seeds hold it and, where it has a floor, the worst seed is above that.
    """
    needed = curriculum.needed(list(runs))
    benches: dict[int, dict[str, Bench]] = {}
    found: dict[int, list[SeedResult]] = {i: [] for i in range(len(rung.phase.checks))}
    digests: list[str] = []
    told: dict[int, dict[str, Any]] = {}
    marks: dict[int, dict[str, float]] = {}
    for seed, run in runs.items():
        networks = final_networks(run.path, rung.scenario)
        digests.append(digest_of(networks))
        for i, check in enumerate(rung.phase.checks):
            seat = check.seat or judged_seat(rung.scenario)
            known = benches.setdefault(seed, {})
            if seat not in known:
                known[seat] = Bench(rung.seeded(seed), networks, seat, rung.phase.games, run.path)
            bench = known[seat]
            bound = check.measure(bench)
            found[i].append(_result(check, seed, run.path, root, digests[-1], bound, bench))
            if i not in told:  # the first seed's games: the players beside it are the same for all seeds
                told[i], marks[i] = check.told(bench), check.marks(bench)
                if check.kind == "exploitability":
                    for name, (scenario, other) in (schemes or {}).items():
                        theirs = final_networks(other.path, scenario)
                        there = Bench(scenario, theirs, seat, rung.phase.games, other.path)
                        marks[i][name] = check.measure(there).value
            say(f"{rung.name}, seed {seed}: {check.kind} {spell(check, bound)}, asked {asked(check)}")
        benches.pop(seed)  # its games fill hundreds of megabytes
    checks = tuple(
        _over_seeds(check, tuple(found[i]), needed, told[i], marks[i]) for i, check in enumerate(rung.phase.checks)
    )
    passed = all(one.passed for one in checks)
    wanted = checks if passed else [one for one in checks if not one.passed]
    verdict = f"{'passed' if passed else 'failed'}: {'; '.join(one.sentence for one in wanted)}"
    return Judged(checks, passed, verdict, tuple(digests))


def roots_of(rung: Rung) -> tuple[str, ...]:
    """The modules that a phase is made of: its market's rules, its players and references, the exact engines."""
    market = rung.scenario.market
    roles = {seat: role.name for role in market.roles for seat in role.agents}
    players: list[Any] = [*rung.scenario.players.values(), *kit_of(market).naive(market).values()]
    for check in rung.phase.checks:
        role = roles[check.seat or judged_seat(rung.scenario)]
        players += [recipe_of(market, role, settings) for _, settings in recipes_of(check)]
    modules = {f"{packages()[market.model]}.market", "arena.rollout", "agents.learned"}
    modules |= {engine.module for engine in engines(market) if engine is not SEARCH and engine.when(market)}
    return tuple(sorted(modules | {type(one).__module__ for one in players}))


def spell(check: Any, found: Bound) -> str:
    """A number with the bound at which it is judged."""
    if found.exact:
        return f"{_short(found.value)} (exact)"
    return f"{_short(found.value)} (99 % bound {_short(check.worse(found))})"


def _short(value: float) -> str:
    """Four digits, without zeros at the end."""
    return f"{value + 0.0:.4g}".replace("-", "−")


def asked(check: Any) -> str:
    """What a check asks."""
    return f"{check.sign} {_short(check.threshold)}"


def _result(check: Any, seed: int, run: Path, root: Path, digest: str, bound: Bound, bench: Bench) -> SeedResult:
    shown = str(run.relative_to(root)) if run.is_relative_to(root) else str(run)
    stretch = None if check.stretch is None else check.holds(bound, check.stretch)
    return SeedResult(
        seed=seed, run=shown, weights_sha256=digest, value=bound.value, low=bound.low, high=bound.high, n=bound.games,
        exact=bound.exact, holds=check.holds(bound), stretch_holds=stretch,
        beside=None if bound.exact else bench.beside(),
    )  # fmt: skip


def _over_seeds(
    check: Any, results: tuple[SeedResult, ...], needed: int, told: dict[str, Any], marks: dict[str, float]
) -> CheckResult:
    held = sum(one.holds for one in results)
    worst = min((check.worse(one.bound) for one in results), default=0.0)
    above = check.floor is None or worst > check.floor
    stretch = None if check.stretch is None else sum(bool(one.stretch_holds) for one in results) >= needed
    bounds = [check.worse(one.bound) for one in results]
    middle = sorted(one.value for one in results)[len(results) // 2]
    ends = f"{_short(min(bounds))} to {_short(max(bounds))}" if len(bounds) > 1 else _short(bounds[0])
    kind = "" if all(one.exact for one in results) else "bounds "
    held_by = f"in {held} of {len(results)} seeds"
    sentence = f"{check.kind.replace('_', ' ')} {_short(middle)} ({kind}{ends}) {asked(check)} {held_by}"
    if not above:
        sentence += f", and the worst seed is not above {_short(check.floor)}"
    elif held < needed:
        sentence += f", {needed} are needed"
    return CheckResult(
        kind=check.kind, asked=check.model_dump(mode="json", exclude_defaults=True), threshold=check.threshold,
        sign=check.sign, stretch=check.stretch, floor=check.floor, per_seed=results,
        passed=held >= needed and above, stretch_passed=stretch, sentence=sentence, told=told, marks=marks,
    )  # fmt: skip
