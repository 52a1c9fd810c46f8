"""Around the training loop: a Ray session, the numbers of an iteration, alarms, and gauges for a metrics endpoint."""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.util.metrics import Gauge

from arena.training.ppo import LEAGUE, SelfPlayPPO, role_of

OBJECT_STORE = 200 * 2**20
"""Bytes of shared memory: one iteration's blocks and the members on their way, with room to spare."""
ATTEMPTS = 5
"""How often a Ray of our own is started before the run gives up."""
STUCK = 15
"""Iterations in a row without a critic that explains anything before it is an alarm."""
CLIPPED = 0.1
"""Share of action components outside their range that is an alarm."""
LOSSES = ("explained_variance", "luck", "entropy", "kl", "clip_fraction", "std", "policy_loss", "value_loss", "rows")
"""What is kept of a learner's statistics, by learner."""


def start_ray(**options: Any) -> None:
    """`ray.init`, tried again where Ray gives up: it allows a node 30 s to start, and a loaded machine may need more.

    Raises what Ray raises when ATTEMPTS have failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(**options)
            return
        except Exception:  # Ray's "timed out during startup" is a bare Exception
            ray.shutdown()
            if attempt == ATTEMPTS:
                raise


@contextlib.contextmanager
def ray_session(workers: int, address: str | None, dashboard: bool) -> Iterator[None]:
    """A quiet Ray of our own with a small object store, or a connection to the cluster at `address`."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        ray.init(address=address, **quiet)
    else:
        start_ray(
            num_cpus=max(workers + 1, os.cpu_count() or 1),
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=OBJECT_STORE,
            **quiet,
        )
    logging.getLogger("ray.rllib").setLevel("ERROR")
    logging.getLogger("ray._common").setLevel("ERROR")
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def trainer(algorithm: SelfPlayPPO) -> Iterator[SelfPlayPPO]:
    """The algorithm, stopped at the end; the empty folders that RLlib makes in the user's home are removed."""
    folder = Path(algorithm.logdir)
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
    try:
        yield algorithm
    finally:
        algorithm.stop()


def line_of(result: Mapping[str, Any], agents: int, seconds: float) -> dict[str, Any]:
    """One iteration's numbers under the flat keys of metrics.jsonl; what RLlib did not report is left out.

    `agents` counts all seats: an agent-step is one decision of one seat. `seconds` is the iteration's duration.
    """
    sampled, learners, league = (result.get(key) or {} for key in (ENV_RUNNER_RESULTS, LEARNER_RESULTS, LEAGUE))
    line: dict[str, Any] = {"iteration": int(result["training_iteration"])}
    lifetime = sampled.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, math.nan)
    line["agent_steps"] = lifetime * agents
    for role, value in (sampled.get("return") or {}).items():
        line[f"return/{role}"] = value
    for name, statistics in learners.items():
        if isinstance(statistics, Mapping) and "explained_variance" in statistics:
            line |= {f"{key}/{name}": statistics[key] for key in LOSSES if key in statistics}
            line["lr"] = statistics.get("lr", math.nan)
            line["skipped_steps"] = line.get("skipped_steps", 0) + statistics.get("skipped", 0)
    for key in ("gain", "gain_se", "passive"):
        line |= {f"{key}/{name}": value for name, value in (league.get(key) or {}).items()}
    line["league_size"] = league.get("size", math.nan)
    line["clipped_actions"] = sampled.get("clipped_actions", math.nan)
    line |= {f"traded/{role}": lots for role, lots in (sampled.get("volume") or {}).items()}
    line["seconds"] = seconds
    whole = {"league_size", "iteration", "agent_steps"}
    clean = {key: float(value) for key, value in line.items() if math.isfinite(value)}
    return {key: int(value) if key in whole else value for key, value in clean.items()}


def alarms(history: Sequence[Mapping[str, Any]], learners: Sequence[str]) -> list[str]:
    """What is wrong with the newest of these iterations, one sentence each."""
    line, found = history[-1], []
    for name in learners:
        losses = {f"value_loss/{name}", f"policy_loss/{name}"}  # who learns without a critic has the second alone
        if f"return/{role_of(name)}" not in line or not losses & line.keys():
            found.append(f"{name}: no numbers in this iteration; nothing was played or learned, or they are not finite")
            continue
        critic = f"explained_variance/{name}"
        recent = [one[critic] for one in history[-STUCK:] if critic in one]
        if len(recent) == STUCK and max(recent) <= 0.0:
            found.append(
                f"{name}: the critic explained nothing in {STUCK} iterations (explained variance at most 0): harmless "
                "where training.gae_lambda is 1 and all games start alike, else try a smaller training.learning_rate"
            )
        if line.get(f"passive/{name}", 0.0) > 0.0:
            found.append(f"{name}: passive, it trades less than league.promotion.minimum_volume and is not promoted")
        if line.get(f"rows/{name}", 1.0) <= 0.0:
            found.append(f"{name}: an empty batch")
    if line.get("skipped_steps", 0.0) > 0.0:
        found.append(f"{line['skipped_steps']:.0f} gradient steps were not finite and were skipped")
    if line.get("clipped_actions", 0.0) > CLIPPED:
        found.append(f"{100 * line['clipped_actions']:.0f} % of action components were outside their range and clipped")
    return found


class Gauges:
    """The run's headline numbers at Ray's metrics endpoint, where an installed `ray[default]` serves them."""

    def __init__(self, scenario: str):
        self.tags = {"scenario": scenario}
        sentences = {
            "arena_nash_gap": "NashConv of the current profile, currency per game",
            "arena_league_size": "members of the league",
            "arena_agent_steps_per_second": "decisions of all seats per second, whole iterations",
        }
        self.gauges = {name: Gauge(name, description=text, tag_keys=("scenario",)) for name, text in sentences.items()}
        self.rating = Gauge("arena_rating", description="live rating of a member", tag_keys=("scenario", "member"))

    def show(self, line: Mapping[str, Any]) -> None:
        """An iteration's numbers."""
        for key, name in (("league_size", "arena_league_size"), ("agent_steps_per_s", "arena_agent_steps_per_second")):
            if key in line:
                self.gauges[name].set(line[key], tags=self.tags)

    def show_gap(self, nashconv: float) -> None:
        """A measured gap."""
        if math.isfinite(nashconv):
            self.gauges["arena_nash_gap"].set(nashconv, tags=self.tags)

    def show_ratings(self, ratings: Mapping[str, Mapping[str, Any]], newest: int = 10) -> None:
        """Live ratings by role and member; the newest of each role only, for every series costs."""
        for of_role in ratings.values():
            for member, rating in list(of_role.items())[-newest:]:
                self.rating.set(rating.mu, tags=self.tags | {"member": member})
