"""Where a ladder stands: for every phase closed, open, passed, failed, stale or damaged, and why, in one sentence.

Nothing is stored but gates and runs, so that a ladder is where its files say it is, whenever a process was killed.

    closed    a gate before it is missing, failed, stale or damaged
    open      every gate before it has passed, and it has none
    stale     its gate was judged on another scenario, other checks, other sources, or above another gate
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arena.gates import gate as gates
from arena.gates.gate import DamagedError, Gate
from arena.gates.judging import asked, roots_of
from arena.gates.settings import Curriculum, Rung, load
from arena.gates.sources import source_sha256
from arena.mistakes import ScenarioError
from arena.runs.run_folder import METRICS, PROVENANCE, RunFolder, RunFolderError
from arena.scenario import Scenario

State = Literal["closed", "open", "training", "passed", "failed", "stale", "damaged"]
PHASE_FILE = "phase.json"
"""What the runner leaves in a run folder: for which phase it was trained, by which sources, and from where."""


@dataclass(frozen=True)
class Standing:
    """A phase's state, the reason in words that can follow `gate NAME is`, and its gate where there is one."""

    state: State
    reason: str
    gate: Gate | None = None
    moved: str = ""  # of a stale gate: what changed, scenario | checks | sources | ladder


class Ladder:
    """The files of one curriculum below `out`."""

    def __init__(self, curriculum: Curriculum, rungs: Sequence[Rung], file: str, out: Path):
        self.curriculum, self.rungs, self.file, self.out = curriculum, tuple(rungs), file, out
        self.path = out / "curriculum" / curriculum.name
        self._sources: dict[tuple[str, ...], str] = {}
        self._read: dict[Path, str] = {}

    def rung(self, name: str) -> Rung:
        """A phase by its name; raises KeyError with a sentence."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise KeyError(f"--phase: found '{name}'; allowed are {', '.join(one.name for one in self.rungs)}")

    def before(self, rung: Rung) -> tuple[Rung, ...]:
        """The phases below one."""
        return self.rungs[: [one.name for one in self.rungs].index(rung.name)]

    def opened_by(self, rung: Rung) -> tuple[str, ...]:
        """Hashes of the gate files below a phase."""
        return tuple(gates.file_sha256(self.path, one.name) for one in self.before(rung))

    def sources(self, rung: Rung) -> str:
        """The hash of the sources that a phase is made of now."""
        roots = roots_of(rung)
        if roots not in self._sources:
            self._sources[roots] = source_sha256(roots)
        return self._sources[roots]

    def own(self, rung: Rung) -> Standing:
        """How a phase's own gate stands, whatever is below it."""
        try:
            gate = gates.read(self.path, rung.name)
        except DamagedError as error:
            return Standing("damaged", f"damaged ({str(error).split(': ')[-1]})")
        if gate is None:
            return Standing("open", "missing")
        why = [
            ("scenario", "scenario hash", gate.scenario_hash, rung.scenario.hash),
            ("checks", "hash of its checks", gate.phase_sha256, rung.hash),
            ("sources", "source hash", gate.source_sha256, self.sources(rung)),
        ]
        for moved, words, then, now in why:
            if then != now:
                return Standing("stale", f"stale ({words} {then[:8]}.. is not {now[:8]}.. of today)", gate, moved)
        for below, then, now in zip(self.before(rung), gate.opened_by, self.opened_by(rung), strict=True):
            if then != now:
                return Standing("stale", f"stale (gate {below.name} was judged anew after it)", gate, "ladder")
        if not gate.passed:
            again = f"run: python -m arena.curriculum --phase {rung.name}"
            return Standing("failed", f"failed ({gate.verdict.removeprefix('failed: ')}; {again})", gate)
        return Standing("passed", gate.verdict, gate)

    def standing(self, rung: Rung, seeds: Sequence[int] = ()) -> Standing:
        """How a phase stands: as its own gate does, unless one below it keeps it closed.

        With `seeds` a gate has passed, for itself and for those above it, only if it was judged on all of these.
        Without, it must have been judged on as many as the curriculum names.
        """
        for below in self.before(rung):
            here = self._enough(below, self.own(below), seeds)
            if here.state != "passed":
                return Standing("closed", f"phase {rung.name} is closed: gate {below.name} is {here.reason}", here.gate)
        return self._enough(rung, self.own(rung), seeds)

    def _enough(self, rung: Rung, here: Standing, seeds: Sequence[int]) -> Standing:
        if here.state == "passed" and here.gate is not None:
            of = f"of {len(self.curriculum.seeds)} seeds"
            if seeds and not set(seeds) <= set(here.gate.seeds):
                return Standing("open", f"passed with seeds {numbers(here.gate.seeds)} only", here.gate)
            if not seeds and not here.gate.whole:
                return Standing("open", f"passed with {len(here.gate.seeds)} {of} only", here.gate)
        return here

    def rows(self, seeds: Sequence[int] = ()) -> list[dict[str, Any]]:
        """All phases for people, from the first: state, a sentence, the gate's numbers, runs and what they cost."""
        return [self._row(rung, seeds) for rung in self.rungs]

    def _row(self, rung: Rung, seeds: Sequence[int]) -> dict[str, Any]:
        here, own = self.standing(rung, seeds), self.own(rung)
        chosen = self.seeds_of(rung, seeds)
        runs: dict[int, RunFolder] = {}
        with contextlib.suppress(ValueError):  # a seed that has nothing to start from has no run either
            found = {seed: self.run_of(rung, seed) for seed in chosen}
            runs = {seed: one[0] for seed, one in found.items() if one is not None}
        done = [seed for seed, run in runs.items() if run.status().get("finished")]
        state = "training" if here.state == "open" and runs else here.state
        sentence = here.reason.removeprefix("passed: ").removeprefix(f"phase {rung.name} is ")
        if here.state == "open":
            sentence = "" if here.reason == "missing" else here.reason
        elif here.state == "failed" and here.gate is not None:
            sentence = here.gate.verdict.removeprefix("failed: ")
        lines = [run.lines(METRICS)[-1:] for run in runs.values()]
        gate = own.gate
        return {
            "name": rung.name, "question": rung.phase.question, "scenario": rung.scenario.name, "state": state,
            "words": f"training {len(done)}/{len(chosen)}" if state == "training" else state, "sentence": sentence,
            "seeds": list(chosen), "trained": done, "checks": [one.model_dump() for one in gate.checks] if gate else [],
            "planned": [{"kind": one.kind, "asked": asked(one)} for one in rung.phase.checks],
            "attempts": [one.model_dump() for one in gates.attempts(self.path, rung.name)],
            "started_from": gate.started_from if gate else {}, "judged": gate.utc if gate else "",
            "seconds": sum(line[0].get("wall_s", 0.0) for line in lines if line),
            "agent_steps": max((line[0].get("agent_steps", 0) for line in lines if line), default=0),
            "reports": {seed: str(run.path / "report.html") for seed, run in runs.items()},
        }  # fmt: skip

    # --- runs ---------------------------------------------------------------------------------------------------------

    def source_of(self, rung: Rung, seed: int) -> dict[str, Any]:
        """The phase, run and weights that a seed of a phase starts from; empty where it starts fresh.

        Raises ValueError with a sentence when that phase was not judged on this seed.
        """
        start = rung.phase.start
        if isinstance(start, str):
            return {}
        gate = gates.read(self.path, start.source)
        for one in gate.checks[0].per_seed if gate is not None else ():
            if one.seed == seed:
                return {"phase": start.source, "run": one.run, "weights_sha256": one.weights_sha256}
        judged = numbers(gate.seeds) if gate is not None else "none"
        raise ValueError(
            f"phase {rung.name}: seed {seed} starts from that of phase {start.source}, which was judged on seeds "
            f"{judged}; allowed are these"
        )

    def run_of(
        self, rung: Rung, seed: int, source: str = "", carried: bool | None = None
    ) -> tuple[RunFolder, dict[str, Any]] | None:
        """The newest run of a phase's scenario and seed that starts where the phase says, and its phase file.

        With `source` only runs that were trained with these sources, or by somebody who did not say with which; with
        `carried` only those that start, or do not start, from another phase's weights. Raises what `source_of` does.
        """
        wanted, scenario = self.source_of(rung, seed), rung.seeded(seed)
        for path in sorted((self.out / scenario.name).glob(f"*-{seed}*"), reverse=True):
            run, about = RunFolder(path), phase_file(RunFolder(path))
            begun = about.get("started_from") or {}
            if begun_as(run) != scenario.hash or bool(begun) != bool(wanted) or about.get("dropped"):
                continue
            if {key: begun.get(key) for key in wanted} != wanted or source not in (
                "",
                about.get("source_sha256", source),
            ):
                continue
            if (carried is None or begun.get("carried") == carried) and self._whole(path, scenario):
                return run, about
        return None

    def _whole(self, path: Path, scenario: Scenario) -> bool:
        """Whether a run folder can be read and is of this very scenario; each is read once, for YAML is slow."""
        if path not in self._read:
            with contextlib.suppress(RunFolderError):
                self._read[path] = RunFolder.open(path)[1].hash
        return self._read.get(path) == scenario.hash

    def schemes(self, rung: Rung) -> dict[str, tuple[Scenario, RunFolder]]:
        """The newest finished run of every scenario that a phase is shown beside, by its name and what it played."""
        found = {}
        for name, scenario in rung.schemes.items():
            for path in sorted((self.out / scenario.name).glob("*"), reverse=True):
                run, seed = RunFolder(path), path.name.rpartition("-")[2]
                seeded = Rung(phase=rung.phase, scenario=scenario).seeded(int(seed)) if seed.isdigit() else scenario
                if begun_as(run) == seeded.hash and run.status().get("finished") and self._whole(path, seeded):
                    steps = (run.lines(METRICS)[-1:] or [{}])[0].get("agent_steps", 0)
                    found[f"{name}, {steps / 1e6:.1f} M agent-steps"] = seeded, run
                    break
        return found

    def trained(self, rung: Rung, seeds: Sequence[int], source: str = "") -> dict[int, RunFolder]:
        """The finished runs of a phase by seed."""
        found = {seed: self.run_of(rung, seed, source) for seed in seeds}
        return {seed: one[0] for seed, one in found.items() if one is not None and one[0].status().get("finished")}

    def seeds_of(self, rung: Rung, wanted: Sequence[int] = ()) -> tuple[int, ...]:
        """Seeds to train and judge: those asked for, else those that a whole gate was judged on, else the file's."""
        if wanted:
            return tuple(wanted)
        gate = self.own(rung).gate
        return gate.seeds if gate is not None and gate.whole else self.curriculum.seeds

    def picked(self, rung: Rung, seeds: Sequence[int]) -> str:
        """Why these seeds may not be judged, one sentence: they are a choice among seeds that failed. Empty if not.

        After a failed attempt of the same phase its seeds are judged all together or not at all.
        """
        for number, past in enumerate(gates.attempts(self.path, rung.name), start=1):
            both = set(seeds) & set(past.seeds)
            if not past.passed and past.phase_sha256 == rung.hash and both and not set(past.seeds) <= set(seeds):
                fresh = max(*past.seeds, *self.curriculum.seeds) + 1
                return (
                    f"--seeds: found {numbers(seeds)}, a choice among the seeds {numbers(past.seeds)} of "
                    f"attempt {number}, which failed; allowed are all of these, or none of them, such as "
                    f"{fresh}-{fresh + len(self.curriculum.seeds) - 1}"
                )
        return ""


def refusal(path: Path) -> str:
    """Why a gate file does not vouch for what comes after it, one sentence; empty where it has passed and stands.

    It is held against its curriculum, its scenario and the sources of today, and against the gates below it.
    """
    folder, phase = path.parent.parent, path.stem
    try:
        gate = gates.read(folder, phase)
    except DamagedError as error:
        return str(error)
    if gate is None or path != folder / "gates" / f"{phase}.json":
        return f"{path}: no such gate; allowed is OUT/curriculum/NAME/gates/PHASE.json"
    try:
        curriculum, rungs, file = load(gate.file)
        ladder = Ladder(curriculum, rungs, file, folder.parent.parent)
        ladder.path = folder
        here = ladder.standing(ladder.rung(phase))
    except ScenarioError as error:
        return str(error)
    except KeyError:
        return f"{path}: the curriculum {gate.file} has no phase {phase} any more"
    return "" if here.state == "passed" else here.reason if here.state == "closed" else f"gate {phase} is {here.reason}"


def begun_as(run: RunFolder) -> str:
    """The hash of the scenario that a run was begun with, by its provenance; empty where that cannot be read."""
    try:
        return str(json.loads((run.path / PROVENANCE).read_text(encoding="utf-8"))["scenario_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def phase_file(run: RunFolder) -> dict[str, Any]:
    """What the runner left in a run folder; empty where it was trained by itself."""
    try:
        found = json.loads((run.path / PHASE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def numbers(seeds: Sequence[int]) -> str:
    """`0-4` or `0, 2, 5`: seeds as a person writes them."""
    seeds = sorted(seeds)
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))
