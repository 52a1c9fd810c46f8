"""What a run or a line-up is worth: tournament, ratings, Nash gap, final games, comparisons, in a run folder.

    payoff.json  ratings.json  nash_gap.jsonl  comparisons.json  curves.json  theory.json
    episodes/part-<line_up>.parquet

All games here come from named streams of the evaluation's seed; training never sees them. They are played without what
only helps learners (`Scenario.judged`), but for the games that are kept to be shown.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.learned import columns_of, player
from arena.game import Game
from arena.gaps.nash_gap import NashGap, nash_gap
from arena.gaps.profile import Job, Profile, Search, Train, Weights, naive_acts
from arena.league import snapshot, tournament
from arena.league.snapshot import SnapshotError
from arena.league.tournament import Entrant, PayoffTensor, in_seat, seated
from arena.markets.catalogue import part
from arena.markets.market import Act, Market, Role
from arena.rollout import Rollout, play, seeds_of
from arena.runs.estimates import paired, ratio
from arena.runs.record import record, write_record
from arena.runs.run_folder import RunFolder
from arena.scenario import EvaluationSettings, Scenario, TrainingSettings
from arena.theory import beside as in_theory

EPISODES = 256
"""Games of the final profile, and of each line-up beside it, that are kept for the report."""
PAIRED = 8
"""Comparisons with baselines play this many times `evaluation.games`: Almgren-Chriss is nearly optimal, and telling a
trader that is no worse from one that is takes many games."""
FINAL_GAMES, COMPARED_GAMES = 31, 32
"""Streams of game seeds: the kept games, and the comparisons with baselines."""
GAP = 0.05
"""What every run must reach: the gap's upper bound as a share of the naive profile's."""
RESPONDER = {"epochs": 2, "minibatch": 3200, "schedule": "linear"}
"""Training settings of best responders where they differ from self-play's (docs/judging.md); a kit may add to them."""
WARM_LEARNING_RATE = 1e-3
"""Step size of responders that start from the profile's own weights: they look for improvements nearby."""

LEARNED = "learned"
"""Label of the seats that the trained policies play."""

Say = Callable[[str], None]
Rivals = Callable[[Market, str, Mapping[str, Act]], Mapping[str, Any]]
Targets = Callable[[Sequence["Pair"], float], Sequence[tuple[str, float, float]]]
Keep = Callable[[Market, Rollout, Mapping[str, Mapping[str, Act]]], dict[str, Any]]
Beside = Callable[[Market, Mapping[str, Act], Sequence[Mapping[str, Any]], int], dict[str, Any] | None]


class Pair(NamedTuple):
    """A seat's player and a rival in its seat on the same seeds: rewards [games] each, and the row of comparisons."""

    seat: str
    other: str
    ours: np.ndarray
    theirs: np.ndarray
    row: dict[str, Any]


class Verdict(NamedTuple):
    """What was found: the Nash gap, the pay-off tensor and ratings, and comparisons with baselines."""

    gap: NashGap
    tensor: PayoffTensor
    ratings: dict[str, list[dict[str, Any]]]
    comparisons: dict[str, Any]


# --- who plays --------------------------------------------------------------------------------------------------------


def profile_of(scenario: Scenario, networks: Mapping[str, Weights]) -> Profile:
    """The profile of a scenario: learning seats play the network of their role, the others as the scenario says.

    Raises ValueError naming a seat that learns but has no network, or a network of other columns than its role's.
    """
    acts, labels, weights = {}, {}, {}
    learned = {role: player(network) for role, network in networks.items()}
    for role in scenario.market.roles:
        _fits(role, networks)
        for seat in role.agents:
            recipe = scenario.players[seat]
            if recipe.kind != "learned":
                acts[seat], labels[seat] = recipe.sit(scenario.market, seat), recipe.model_dump_json()
            elif role.name in learned:
                acts[seat], labels[seat], weights[seat] = learned[role.name], LEARNED, networks[role.name]
            else:
                raise ValueError(
                    f"players.{seat}: this seat learns and has no trained policy; judge a run, or name its player"
                )
    return Profile(acts, labels, weights)


def _fits(role: Role, networks: Mapping[str, Weights]) -> None:
    """Refuses a network that was trained for other columns than a role's."""
    if role.name in networks:
        found, wanted = columns_of(networks[role.name]), (role.observation.size, len(role.action))
        if found != wanted:
            raise ValueError(
                f"{role.name}: its policy sees {found[0]} and moves {found[1]} columns; "
                f"this market has {wanted[0]} and {wanted[1]}"
            )


def final_networks(folder: Path, scenario: Scenario) -> dict[str, Weights]:
    """The weights a run ended with, by role: the newest of profile/, else the league's newest main member.

    Raises SnapshotError when a role that learns has left none.
    """
    found = {}
    for role in scenario.market.roles:
        if any(scenario.players[seat].kind == "learned" for seat in role.agents):
            newest = members_of(folder / "profile", role.name) or [
                r for r in members_of(folder / "league", role.name) if not r.is_exploiter
            ]
            if not newest:
                raise SnapshotError(
                    f"{folder}: no trained {role.name} in profile/ or league/; allowed is a run that has trained"
                )
            where = "profile" if (folder / "profile" / f"{newest[-1].name}.npz").is_file() else "league"
            found[role.name] = snapshot.read(folder / where, newest[-1].name).weights
    return found


def entrants_of(scenario: Scenario, profile: Profile, league: Path | None) -> dict[str, dict[str, Entrant]]:
    """Who enters the tournament, by role, most important first: profile, newest, first, best, baselines, others."""
    out: dict[str, dict[str, Entrant]] = {}
    scripted = tournament.baselines(scenario.market)
    ratings = _live_ratings(league) if league is not None else {}
    for role in scenario.market.roles:
        own: dict[str, Entrant] = {}
        for seat in role.agents:
            name: str = "final" if profile.labels[seat] == LEARNED else scenario.players[seat].kind
            if name not in own:
                alone = name == "final" or role.alike
                own[name] = profile.acts[seat] if alone else seated(scenario.market, role, scenario.players[seat])
        stored = members_of(league, role.name) if league is not None else []
        names = [one.name for one in stored]
        rated = ratings.get(role.name, {})
        best = sorted((n for n in names if n in rated), key=lambda n: -rated[n])[:1]
        order = list(dict.fromkeys([*names[-1:], *names[:1], *best]))
        for name in order:
            own[name] = player(snapshot.read(league, name).weights)  # type: ignore[arg-type]
        own |= {name: act for name, act in scripted[role.name].items() if name not in own}
        for name in reversed(names):
            if name not in own:
                own[name] = player(snapshot.read(league, name).weights)  # type: ignore[arg-type]
        out[role.name] = own
    return out


def members_of(folder: Path, role: str) -> list[snapshot.MemberFile]:
    """A role's stored members, oldest first."""
    found = [
        snapshot.read_record(folder, path.stem) for path in folder.glob("*.json") if path.with_suffix(".npz").is_file()
    ]
    return sorted((one for one in found if one.role == role), key=lambda one: (one.iteration, one.name))


def _live_ratings(league: Path) -> dict[str, dict[str, float]]:
    try:
        index = json.loads((league / "league.json").read_text())["ratings"]
        return {role: {name: one[0] for name, one in table.items()} for role, table in index.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}


# --- the Nash gap -----------------------------------------------------------------------------------------------------


def measure_gap(scenario: Scenario, profile: Profile, *, quick: bool = False, cores: int = 1) -> NashGap:
    """The Nash gap of a profile by the best engine that applies, relative to the naive profile's by the same.

    `quick` is for use during training: shifts and one short responder per seat, fewer games.
    """
    scenario = scenario.judged
    naive = _naive_gap(scenario.market, scenario.training, scenario.evaluation, quick, cores)
    search = _search(scenario.market, scenario.training, scenario.evaluation, quick, cores)
    return nash_gap(scenario.market, profile, search, naive=naive)


def gap_line(
    scenario: Scenario, profile: Profile, iteration: int, *, quick: bool = False, cores: int = 1
) -> tuple[NashGap, dict[str, Any]]:
    """The Nash gap and its line of nash_gap.jsonl; beside an exact gap stands `search`, what the search finds there."""
    scenario = scenario.judged
    gap = measure_gap(scenario, profile, quick=quick, cores=cores)
    line = gap.line(iteration)
    if all(seat.kind == "exact" for seat in gap.seats):
        search = _search(scenario.market, scenario.training, scenario.evaluation, quick, cores)
        beside = nash_gap(scenario.market, profile, search, engine="search").line(iteration)
        line["search"] = {key: beside[key] for key in ("nashconv", "low", "high", "seats")}
    return gap, line


@lru_cache(maxsize=8)
def _naive_gap(
    market: Market, training: TrainingSettings, evaluation: EvaluationSettings, quick: bool, cores: int
) -> NashGap:
    search = replace(_search(market, training, evaluation, quick, cores), views=False)
    return nash_gap(market, naive_acts(market), search)


def _search(
    market: Market, training: TrainingSettings, evaluation: EvaluationSettings, quick: bool, cores: int
) -> Search:
    from arena.training.prior import reaches

    facts: dict[str, Any] = {"confidence": evaluation.confidence, "seed": evaluation.seed, "reach": reaches(market)}
    scripted = tournament.baselines(market)
    facts["scripted"] = {
        seat: {name: in_seat(one, seat) for name, one in scripted[role.name].items()}
        for role in market.roles
        for seat in role.agents
    }
    facts["shifts"] = evaluation.search != "none"
    if evaluation.search == "full":
        facts["train"] = trainer(market, training, evaluation, cores, share=0.25 if quick else 1.0)
    if quick:
        few: dict[str, Any] = {"choice_games": 256, "fresh": 0, "warm": 1, "generations": 12, "shift_games": 32}
        return Search(games=max(evaluation.games // 4, 2), **few, **facts)
    return Search(games=evaluation.games, fresh=evaluation.responders, warm=evaluation.warm_responders, **facts)


def trainer(
    market: Market, training: TrainingSettings, evaluation: EvaluationSettings, cores: int = 1, share: float = 1.0
) -> Train:
    """Trains best responders on `cores` threads, `share` of the evaluation's iterations each."""
    from arena.training.responder import train_responder

    here: Callable[[Market], dict[str, Any]] = part(market, "responder", lambda _: {})
    fresh = training.model_copy(update=RESPONDER | here(market))
    warm = fresh.model_copy(update={"learning_rate": WARM_LEARNING_RATE})
    iterations = max(1, round(share * evaluation.responder_iterations))

    def one(job: Job) -> Weights:
        settings = fresh if job.initial is None else warm
        return train_responder(
            market, job.seat, job.profile.acts, settings, iterations=iterations, games=evaluation.responder_games,
            seed=job.seed, initial=job.initial,
        )  # fmt: skip

    def train(jobs: Sequence[Job]) -> Sequence[Weights]:
        with ThreadPoolExecutor(max_workers=max(1, min(cores, len(jobs)))) as threads:
            return list(threads.map(one, jobs))

    return train


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(
    run: RunFolder, scenario: Scenario, profile: Profile, iteration: int, *, cores: int = 1, say: Say = lambda _: None
) -> Verdict:
    """Everything about a profile, written into the run folder, whose league/ enters the tournament if there is one."""
    market, evaluation = scenario.judged.market, scenario.evaluation
    started = time.perf_counter()

    def tell(what: str) -> None:
        nonlocal started
        before, started = started, time.perf_counter()
        say(f"{what} ({started - before:.0f} s)")

    league = run.path / "league"
    entrants = entrants_of(scenario, profile, league if league.is_dir() else None)
    shortened = {role: dict(list(own.items())[: evaluation.members]) for role, own in entrants.items()}
    tensor = tournament.pay_offs(market, shortened, games=evaluation.tournament_games, seed=evaluation.seed)
    ratings = tournament.rate_all(market, entrants, tensor, seed=evaluation.seed, confidence=evaluation.confidence)
    run.write_json("payoff.json", tournament.files(tensor))
    run.write_json("ratings.json", ratings)
    tell(f"tournament: {len(tensor.samples)} line-ups")
    gap, line = gap_line(scenario, profile, iteration, cores=cores)
    run.drop_lines_after("nash_gap.jsonl", iteration - 1)
    run.add_line("nash_gap.jsonl", line)
    tell(f"Nash gap: {gap.nashconv:.4g}, {100 * gap.relative:.3g} % of the naive profile's")
    others = _rivals(scenario, profile)
    comparisons = compare(scenario, profile, others, gap.relative_high)
    run.write_json("comparisons.json", comparisons)
    _final_games(run, scenario, profile, others)
    tell("final games and comparisons")
    beside: Beside = part(market, "beside", in_theory)
    if (theory := beside(market, profile.acts, run.lines("nash_gap.jsonl"), evaluation.seed)) is not None:
        run.write_json("theory.json", theory)
        tell("what theory says")
    return Verdict(gap, tensor, ratings, comparisons)


def compare_again(run: RunFolder, scenario: Scenario, profile: Profile) -> dict[str, Any]:
    """The comparisons with baselines alone, beside the Nash gap that the run folder already holds."""
    measured = run.lines("nash_gap.jsonl")
    gap = measured[-1].get("relative_high") if measured else None
    comparisons = compare(scenario, profile, _rivals(scenario, profile), gap)
    run.write_json("comparisons.json", comparisons)
    return comparisons


def _rivals(scenario: Scenario, profile: Profile) -> dict[tuple[str, str], Act]:
    """Rivals by (seat, name) for one seat of each role, a learning one if there is; tuned against these others."""
    market = scenario.market
    named: Rivals = part(market, "rivals", _untuned)
    out: dict[tuple[str, str], Act] = {}
    for role in market.roles:
        seat = next((s for s in role.agents if profile.labels[s] == LEARNED), role.agents[0])
        others = {agent: act for agent, act in profile.acts.items() if agent != seat}
        for name, recipe in named(market, seat, others).items():
            with contextlib.suppress(ValueError):  # it needs columns that this market hides, or terms it does not have
                out[seat, name] = recipe.sit(market, seat)
    return out


def _untuned(market: Market, seat: str, others: Mapping[str, Act]) -> Mapping[str, Any]:
    """The rivals of a seat where the kit names none: the scripted players of its role."""
    role = next(role.name for role in market.roles if seat in role.agents)
    return tournament.recipes_of(market).get(role, {})


def compare(
    scenario: Scenario, profile: Profile, others: Mapping[tuple[str, str], Act], gap: float | None
) -> dict[str, Any]:
    """Paired comparisons of the profile's seats with rivals in them, and which targets of self-play are reached.

    Where rewards are costs, `saving` is the share of the rival's cost (its reward with the other sign) that the
    profile's player saves. A target is reached when the interval's worse end reaches it. `gap` is the upper bound of
    the Nash gap as a share of the naive profile's, if it was measured.
    """
    market, evaluation = scenario.judged.market, scenario.evaluation
    game, games = Game(market, evaluation.games), PAIRED * evaluation.games
    seeds = np.split(seeds_of(evaluation.seed, games, COMPARED_GAMES), PAIRED)
    costs: tuple[str, ...] = part(market, "COSTS", ())
    paying = {seat for role in market.roles if role.name in costs for seat in role.agents}

    def returns(acts: Mapping[str, Act]) -> dict[str, np.ndarray]:
        rollouts = [play(game, acts, some) for some in seeds]
        return {seat: np.concatenate([one.returns_of(seat) for one in rollouts]) for seat in acts}

    base = returns(profile.acts)
    pairs: list[Pair] = []
    for (seat, name), act in others.items():
        ours, theirs = base[seat], returns({**profile.acts, seat: act})[seat]
        difference, p = paired(ours, theirs, evaluation.confidence)
        row = {"seat": seat, "player": profile.labels[seat], "other": name, **difference._asdict(), "p": p}
        row |= {"mean_player": float(ours.mean()), "mean_other": float(theirs.mean())}
        if seat in paying:
            row["saving"] = ratio(ours - theirs, -theirs, evaluation.confidence)._asdict()
        pairs.append(Pair(seat, name, ours, theirs, row))
    learned = {seat for seat, label in profile.labels.items() if label == LEARNED}
    targets: list[dict[str, Any]] = []
    if gap is not None and learned and np.isfinite(gap):
        targets.append(_target("Nash gap as a share of the naive profile's, upper bound", gap, GAP, True))
    wanted: Targets = part(market, "targets", lambda pairs, confidence: [])
    found = wanted([pair for pair in pairs if pair.seat in learned], evaluation.confidence)
    targets += [_target(*one) for one in found]
    about = {"schema_version": 1, "games": games, "confidence": evaluation.confidence}
    return {**about, "rows": [pair.row for pair in pairs], "targets": targets}


def _target(name: str, value: float, bound: float, below: bool = False) -> dict[str, Any]:
    """A target and whether it is reached: `value` is an end of an interval that must lie above (or below) `bound`."""
    reached = value <= bound if below else value >= bound
    return {"name": name, "value": value, "bound": bound, "below": below, "reached": bool(reached)}


def _final_games(run: RunFolder, scenario: Scenario, profile: Profile, others: Mapping[tuple[str, str], Act]) -> None:
    """Games of the profile and of each rival in it, on the same seeds, and what the kit keeps of them."""
    market, evaluation = scenario.market, scenario.evaluation
    count = min(EPISODES, evaluation.games)
    game, seeds = Game(market, count), seeds_of(evaluation.seed, count, FINAL_GAMES)
    names: dict[str, str] = {
        seat: LEARNED if label == LEARNED else scenario.players[seat].kind for seat, label in profile.labels.items()
    }
    final = play(game, profile.acts, seeds, trace=True)
    assert final.state is not None
    episodes = run.path / "episodes"
    for stale in episodes.glob("part-*.parquet"):
        stale.unlink()
    write_record(record(market, final.state, names), episodes)
    shown = {role.name: {names[s]: profile.acts[s] for s in reversed(role.agents)} for role in market.roles}
    roles = {seat: role.name for role in market.roles for seat in role.agents}
    for (seat, name), act in others.items():
        shown[roles[seat]].setdefault(name, act)
        played = play(game, {**profile.acts, seat: act}, seeds, trace=True)
        assert played.state is not None
        write_record(record(market, played.state, {**names, seat: name}, f"{seat}-{name}"), episodes)
    keep: Keep | None = part(market, "keep", None)
    if keep is not None:
        run.write_json("curves.json", keep(market, final, shown))
