"""SelfPlayPPO: RLlib's PPO whose batch is whole blocks of games and whose opponents come from a league."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)

from agents.network import Weights
from arena.league.league import League
from arena.league.promotion import EveryRound
from arena.league.snapshot import Member
from arena.scenario import Scenario
from arena.training.block import EXPLOITER, LEARNERS, block_seeds
from arena.training.env_runner import BatchedEnvRunner, Failure, Order, play_or_report
from arena.training.learner import Sample, SelfPlayLearner, fingerprint, module_spec
from arena.training.lineups import deal, draw_slots, group_count
from arena.training.prior import priors
from arena.training.seats import learner_names, learning_seats
from arena.training.segments import Underway, carried_on, deal_on
from arena.training.tail import Tail
from arena.training.trial import Trial

LEAGUE, TAIL, UNDERWAY = "league", "tail", "underway"
"""Keys in checkpoints and results: the league, the mean of the last weights, and the games that go on."""


def configure(
    scenario: Scenario, *, workers: int = 0, learners: int = 0, league_folder: str | Path | None = None
) -> PPOConfig:
    """RLlib's configuration of a scenario, ready for `build_algo()` or a Tune search.

    Without `league_folder` members live in the algorithm's log folder and travel inside its checkpoints.
    Raises ValueError when no seat learns or when more than one learner is asked for.
    """
    training, market = scenario.training, scenario.market
    if not learning_seats(scenario):
        raise ValueError("players: no seat learns; training needs one with kind: learned")
    if learners > 1:
        raise ValueError(
            f"learners: found {learners}; allowed are 0 and 1, because a batch is not split among learners"
        )
    starts = priors(market, training.policy)
    roles = {role.name: role for role in market.roles}
    seats = {agent: role.name for role in market.roles for agent in role.agents}
    specs = {
        name: module_spec(roles[role_of(name)], starts[role_of(name)], training, training.seed * 1009 + position)
        for position, name in enumerate(learner_names(scenario))
    }
    decisions = training.games * scenario.decisions
    return (
        PPOConfig(algo_class=SelfPlayPPO)
        .framework("torch")
        .environment(
            env=f"OptionArena/{scenario.name}",
            env_config={"scenario": scenario.model_dump_json(), "league_folder": str(league_folder or "")},
            disable_env_checking=True,
        )
        .env_runners(
            env_runner_cls=BatchedEnvRunner,
            num_env_runners=workers,
            num_envs_per_env_runner=training.games,
            rollout_fragment_length="auto",
            merge_env_runner_states=False,
            broadcast_env_runner_states=False,
            sample_timeout_s=600.0,
        )
        .multi_agent(
            policies=set(specs), policies_to_train=sorted(specs), policy_mapping_fn=partial(_role_of_agent, seats)
        )
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=specs))
        .learners(
            learner_class=SelfPlayLearner,
            num_learners=learners,
            learner_config_dict={"training": training},
            add_default_connectors_to_learner_pipeline=False,
        )
        .training(
            train_batch_size_per_learner=decisions,
            minibatch_size=min(training.minibatch, decisions),
            num_epochs=training.epochs,
            lr=training.learning_rate,
            gamma=training.discount,
            lambda_=training.gae_lambda,
            clip_param=training.clip,
            grad_clip=training.gradient_clip,
            use_kl_loss=False,
        )
        .fault_tolerance(restart_failed_env_runners=True, env_runner_health_probe_timeout_s=5.0)
        .debugging(seed=training.seed, log_level="ERROR")
    )


def role_of(learner: str) -> str:
    """The role that a learner plays."""
    return learner.removesuffix(LEARNERS[EXPLOITER])


def _role_of_agent(roles: Mapping[str, str], agent: str, *_: Any, **__: Any) -> str:
    """The module that plays an agent of the PettingZoo view."""
    return roles[agent]


class SelfPlayPPO(PPO):
    """PPO of new against old; one `train()` is one iteration of the scenario's games.

    The stock training step is replaced in one point: sampling hands out blocks by number, so that the batch does not
    depend on which worker lives, and a block that a dead worker left behind is played by another one.
    """

    def setup(self, config: Any) -> None:
        """Build runners and learner, and the league with the untrained policies as its first members.

        Raises ValueError for a configuration that `configure` did not make or that asks for what is not supported.
        """
        given = self.config.env_config
        if "scenario" not in given:
            raise ValueError(
                "env_config: 'scenario' is missing; make the configuration with arena.training.ppo.configure"
            )
        if self.config.num_learners > 1:
            raise ValueError(
                f"num_learners: found {self.config.num_learners}; allowed are 0 and 1, a batch is not split"
            )
        if self.config.model_config.get("use_lstm"):
            raise ValueError("model_config: found use_lstm; allowed are networks without memory")
        self.scenario = Scenario.model_validate_json(given["scenario"])
        self.seats = learning_seats(self.scenario)
        self.notes: list[str] = []
        super().setup(config)
        self._carries_members = not given.get("league_folder")
        folder = Path(given.get("league_folder") or Path(self.logdir) / LEAGUE)
        sizes = {role: len(seats) for role, seats in self.seats.items()}
        self.league = League(
            folder, self.scenario.league, sizes, scenario_hash=self.scenario.hash, seed=self.scenario.training.seed
        )
        self.tail = Tail()
        self.underway: dict[int, Underway] = {}
        self._started = False

    def take_notes(self) -> list[str]:
        """What happened since the last call, in sentences."""
        notes, self.notes = self.notes, []
        return notes

    def learner_weights(self) -> dict[str, dict[str, np.ndarray]]:
        """The weights of everything that learns, straight from the learner."""
        return next(iter(self.learner_group.foreach_learner(_weights))).get()

    def start_from(self, weights: Mapping[str, Weights]) -> None:
        """Let learners go on from given weights, by name; for an algorithm that has not trained yet."""
        for name, network in weights.items():
            self.learner_group.foreach_learner(partial(_load, name=name, weights=network))

    def profile_weights(self) -> dict[str, dict[str, np.ndarray]]:
        """The weights that are judged: the mean over the run's tail once that has begun, else the newest."""
        return self.tail.mean(self.learner_weights())

    def training_step(self) -> None:
        """Play one iteration's blocks, learn from them and, when it is time, look whether new has become better."""
        weights = self.learner_weights()
        training = self.scenario.training
        if self.iteration > (1.0 - training.average_tail) * training.iterations:
            self.tail.add(weights)
        if not self._started:
            self._open_league(weights)
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            order = self._order(weights)
            samples = self._collect(order)
        self.underway = carried_on(order, {sample.block: sample.played.pause for sample in samples})
        self._log_samples(samples)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            steps = sum(len(sample) for sample in samples)
            results = self.learner_group.update(episodes=samples, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: steps})
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        done, promotion = self.iteration + 1, self.scenario.league.promotion
        if isinstance(promotion, EveryRound):
            for role in self.seats:
                freeze = self.iteration % training.checkpoint_every == 0
                self.league.succeed(self._snapshot(role, weights[role], self.iteration), freeze=freeze)
        elif done % promotion.every == 0 or done == training.iterations:
            with self.metrics.log_time((TIMERS, "look")):
                self._look(done)
        self.metrics.log_value((LEAGUE, "size"), len(self.league), window=1)

    def _open_league(self, weights: Mapping[str, Weights]) -> None:
        """The first members are the policies as they start, unless a checkpoint brought others."""
        for role in self.seats:
            if not self.league.members(role):
                self.league.add(self._snapshot(role, weights[role], self.iteration))
        self._started = True

    def _snapshot(self, learner: str, weights: Weights, iteration: int) -> Member:
        name = f"{learner.replace('_', '-')}-{iteration:05d}"
        exploiter = learner != role_of(learner)
        return Member(name, role_of(learner), iteration, self.scenario.hash, weights, is_exploiter=exploiter)

    def _order(self, weights: Mapping[str, Weights]) -> Order:
        training = self.scenario.training
        blocks = training.games // training.block
        count = blocks * group_count(self.scenario.league.slots, blocks, training.block)
        slots = draw_slots(self.league, self.seats, self.iteration, count, training.together)
        seeds = [block_seeds(training.seed, self.iteration, block, training.block) for block in range(blocks)]
        steps, start = self.scenario.market.clock.steps, self.iteration == 0
        dealt = deal_on(self.underway, seeds, deal(slots, blocks), self.scenario.decisions, steps, start)
        names = sorted({name for block in dealt.lineups for lineup in block.values() for name in lineup.members})
        members = {name: self.league.weights(name) for name in names}
        return Order(
            iteration=self.iteration,
            learners=weights,
            fingerprint=fingerprint(weights),
            seeds=dealt.seeds,
            lineups=dealt.lineups,
            members=members,
            member_fingerprints={name: fingerprint({name: members[name]}) for name in names},
            segments=dealt.segments,
        )

    def _collect(self, order: Order) -> list[Sample]:
        """All blocks of an order, in their order; a block that died with its runner is played again by another one."""
        group: EnvRunnerGroup = self.env_runner_group
        waiting = list(range(len(order.lineups)))
        done: dict[int, Sample] = {}
        reference = None
        while waiting:
            runners = group.healthy_env_runner_ids()
            if runners:
                reference = reference or ray.put(order)
                shares = [waiting[k :: len(runners)] for k in range(len(runners))]
                busy = [(runner, share) for runner, share in zip(runners, shares, strict=True) if share]
                answers = group.foreach_env_runner(
                    [partial(play_or_report, order=reference, blocks=share) for _, share in busy],
                    remote_worker_ids=[runner for runner, _ in busy],
                    local_env_runner=False,
                    timeout_seconds=self.config.sample_timeout_s,
                )
            else:  # no workers are wanted, or none lives: play here
                answers = [play_or_report(group.local_env_runner, order, waiting)]
            for answer in answers:
                if isinstance(answer, Failure):
                    raise RuntimeError(answer.sentence)
                done.update({sample.block: sample for sample in answer})
            waiting = [block for block in waiting if block not in done]
        return [done[block] for block in sorted(done)]

    def _log_samples(self, samples: list[Sample]) -> None:
        steps = sum(len(sample) for sample in samples)
        where = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        self.metrics.log_value(where, steps, reduce="lifetime_sum", with_throughput=True)
        games = self.scenario.market.clock.steps / self.scenario.decisions  # a segment's rate, told per game
        for role, seats in self.seats.items():
            returns = games * np.concatenate([sample.played.returns[role][:, seats] for sample in samples])
            self.metrics.log_value((ENV_RUNNER_RESULTS, "return", role), float(returns.mean()), window=1)
        for role in samples[0].played.volume:
            lots = games * np.mean([sample.played.volume[role].sum(axis=1).mean() for sample in samples])
            self.metrics.log_value((ENV_RUNNER_RESULTS, "volume", role), float(lots), window=1)
        clipped = float(np.mean([sample.played.clipped for sample in samples]))
        self.metrics.log_value((ENV_RUNNER_RESULTS, "clipped_actions"), clipped, window=1)

    def _look(self, done: int) -> None:
        """Put every learner on trial against its role's newest member."""
        weights = self.learner_weights()
        for learner in sorted(weights):
            role, exploiter = role_of(learner), learner != role_of(learner)
            trial = Trial(self.league, self.seats, role, weights[learner], done, exploiter=exploiter, learners=weights)
            outcome = trial.outcome(self._collect(trial.order))
            candidate = self._snapshot(learner, weights[learner], done)
            met = () if exploiter else outcome.met
            decision = self.league.consider(candidate, outcome.new, outcome.old, outcome.volume, outcome.groups, met)
            for key, value in (("gain", decision.gain), ("gain_se", decision.se), ("passive", float(decision.passive))):
                self.metrics.log_value((LEAGUE, key, learner), value, window=1)
            self.notes.append(f"{candidate.name}: {decision.sentence}")
            if exploiter and self.league.exploiter_restarts(role):
                seed = int(np.random.SeedSequence([self.scenario.training.seed, done]).generate_state(1)[0])
                self.learner_group.foreach_learner(partial(_restart, name=learner, seed=seed))

    def restore_env_runners(self, env_runner_group: EnvRunnerGroup) -> list[int]:
        """Welcome restarted runners; they need no state, because every order brings its weights."""
        return env_runner_group.probe_unhealthy_env_runners() or []

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and the league's; members' weights are included when they live in no run folder."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(LEAGUE, components, not_components):
            state[LEAGUE] = self.league.state_dict(include_weights=self._carries_members)
            state[TAIL] = self.tail.state_dict()
            state[UNDERWAY] = self.underway
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a saved state; raises SnapshotError when the league's members are damaged or another scenario's."""
        super().set_state(state)
        if LEAGUE in state:
            self.league.load_state(state[LEAGUE])
        if TAIL in state:
            self.tail.load_state(state[TAIL])
        self.underway = state.get(UNDERWAY, {})


def _weights(learner: SelfPlayLearner) -> dict[str, dict[str, np.ndarray]]:
    return learner.weights()


def _load(learner: SelfPlayLearner, name: str, weights: Weights) -> None:
    learner.load(name, weights)


def _restart(learner: SelfPlayLearner, name: str, seed: int) -> None:
    learner.restart(name, seed)
