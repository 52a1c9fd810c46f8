"""Where a phase's learning starts: a new run folder, fresh or with carried weights, and which of both goes on.

`phase.json` in a run folder says for which phase it was made, by which sources, and from whose weights it starts:

    {curriculum, phase, source_sha256, started_from: {phase, run, weights_sha256, carried, verdict?}, dropped?}

Where a phase starts from another one only if that `helps`, both starts train for a tenth of the iterations and then
play each other's games; the better one goes on, the other is dropped. Each step leaves a file, so that a killed runner
finds out where it was.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arena.game import Game
from arena.gates.bench import CHUNK, GateError, digest_of
from arena.gates.ladder import PHASE_FILE, Ladder, phase_file
from arena.gates.settings import CarriedStart, Rung
from arena.judge import LEARNED, final_networks, profile_of
from arena.league import snapshot
from arena.rollout import play, seeds_of
from arena.runs.estimates import estimate
from arena.runs.run_folder import START, RunFolder
from arena.scenario import Scenario
from arena.training.carry import CarryError, carried

HELPS = 42
"""Stream of the games in which a carried and a fresh start are compared."""
SHARE = 10
"""The first of so many parts of the iterations is what both starts train."""

Train = Callable[[RunFolder, int | None], bool]
"""Trains a run to an iteration, or to its end; whether it came there."""


def begin(ladder: Ladder, rung: Rung, seed: int, carry: bool) -> RunFolder:
    """A new run folder of a phase; with `carry` its start is the weights of the phase that it starts from.

    Raises GateError where these cannot be carried, RunFolderError where no folder can be made.
    """
    scenario, source = rung.seeded(seed), ladder.source_of(rung, seed)
    weights = _carried(ladder, rung, scenario, source) if carry else {}
    run = RunFolder.create(ladder.out, scenario, sys.argv)
    for role, network in weights.items():
        snapshot.write(run.path / START, snapshot.Member(role, role, 0, scenario.hash, network))
    about = {"curriculum": ladder.curriculum.name, "phase": rung.name, "source_sha256": ladder.sources(rung)}
    run.write_json(PHASE_FILE, about | {"started_from": source and source | {"carried": carry}})
    return run


def _carried(ladder: Ladder, rung: Rung, scenario: Scenario, source: Mapping[str, Any]) -> dict[str, Any]:
    start, path = rung.phase.start, ladder.out / source["run"]
    assert isinstance(start, CarriedStart)
    before = ladder.rung(start.source).scenario
    try:
        networks = final_networks(path, before)
        if digest_of(networks) != source["weights_sha256"]:
            raise GateError(f"phase {rung.name}: {path} holds other weights than those that were judged; restore them")
        return carried(before, networks, scenario, start.rename)
    except (CarryError, snapshot.SnapshotError) as error:
        raise GateError(f"phase {rung.name} cannot start from phase {start.source}: {error}") from None


def run_to_train(ladder: Ladder, rung: Rung, seed: int, source: str, train: Train) -> RunFolder | None:
    """The run of a phase and seed that is to be trained to its end, begun if need be; none where training was stopped.

    With `source` runs of other sources do not count. Raises GateError, RunFolderError.
    """
    start = rung.phase.start
    if not isinstance(start, CarriedStart) or start.when == "always":
        found = ladder.run_of(rung, seed, source)
        return found[0] if found else begin(ladder, rung, seed, carry=isinstance(start, CarriedStart))
    both = {carry: ladder.run_of(rung, seed, source, carry) for carry in (True, False)}
    for carry, one in both.items():
        if one is not None and "verdict" in one[1].get("started_from", {}):
            _drop(both[not carry])
            return one[0]
    runs = {carry: one[0] if one else begin(ladder, rung, seed, carry) for carry, one in both.items()}
    part = max(1, rung.scenario.training.iterations // SHARE)
    for run in runs.values():
        if run.status().get("iteration", 0) < part and not train(run, part):
            return None
    verdict = compared(rung.seeded(seed), runs[True].path, runs[False].path, rung.phase.games) | {"iteration": part}
    winner = runs[verdict["difference"] > 0.0]
    about = phase_file(winner)
    winner.write_json(PHASE_FILE, about | {"started_from": about["started_from"] | {"verdict": verdict}})
    other = runs[verdict["difference"] <= 0.0]
    _drop((other, phase_file(other)))
    return winner


def _drop(one: tuple[RunFolder, dict[str, Any]] | None) -> None:
    if one is not None:
        one[0].write_json(PHASE_FILE, one[1] | {"dropped": True})


def compared(scenario: Scenario, first: Path, second: Path, games: int) -> dict[str, Any]:
    """What the first run's weights earn more than the second's, seat by seat among the other's, on the same games.

    Summed over the seats that learn: with one of them it is the plain difference of both.
    """
    networks = [final_networks(path, scenario) for path in (first, second)]
    a, b = (profile_of(scenario, one) for one in networks)
    moved = sum(int(digest_of(one)[:12], 16) for one in networks)
    seeds = seeds_of(scenario.evaluation.seed + moved, games, HELPS)
    total = np.zeros(games)
    for start in range(0, games, CHUNK):
        some = seeds[start : start + CHUNK]
        game = Game(scenario.market, len(some))
        for seat in (seat for seat, label in a.labels.items() if label == LEARNED):
            for sign, own, others in ((1.0, a, b), (-1.0, b, a)):
                played = play(game, {**others.acts, seat: own.acts[seat]}, some)
                total[start : start + len(some)] += sign * played.returns_of(seat)
    found = estimate(total)
    return {"difference": found.mean, "se": found.se, "games": games}
