"""Where learning starts: the sane action that a network's output of 0 stands for, and how far one unit moves it."""

from collections.abc import Mapping

import numpy as np

from agents.heads import Numbers, Options, Prior
from arena.game import Game
from arena.layout import Choice
from arena.markets.catalogue import kit_of, part
from arena.markets.market import Market, Role
from arena.rollout import play, seeds_of

GAMES = 8
"""Games in which the naive profile shows what it does."""


def priors(market: Market, policy: Mapping[str, str] | None = None) -> dict[str, Prior]:
    """The prior of each role: the kit's, or what the naive profile does. `policy` may ask for `gated` choices by role.

    Numbers: the mean naive action at the start of a game as the baseline, and that magnitude again as the reach; a
    column that is 0 there reaches a quarter of its range. A choice: how often the naive profile plays each option, one
    play of each added so that none is impossible. Raises ValueError for a policy that a role's action does not allow.
    """
    asked = policy or {}
    names = [role.name for role in market.roles]
    for name in asked:
        if name not in names:
            raise ValueError(f"training.policy.{name}: no such role; allowed are {', '.join(names)}")
    known = part(market, "prior", _naive_prior)(market)
    return {role.name: _prior(role, known[role.name], asked.get(role.name, "")) for role in market.roles}


def reaches(market: Market) -> dict[str, np.ndarray]:
    """The typical size of an action by role, [K] in [-1, 1] units; roles that choose have none."""
    return {role: one.reach for role, one in priors(market).items() if isinstance(one, Numbers)}


def _prior(role: Role, known: object, policy: str) -> Prior:
    kinds = ("categorical", "gated") if isinstance(role.action, Choice) else ("gaussian",)
    if policy not in ("", *kinds):
        raise ValueError(f"training.policy.{role.name}: found '{policy}'; allowed for its action: {', '.join(kinds)}")
    if not isinstance(role.action, Choice):
        return Numbers(*known)  # type: ignore[misc]
    mask = role.observation.slice("allowed")
    return Options(np.asarray(known), mask.start, mask.stop, role.action.idle, policy == "gated")


def _naive_prior(market: Market) -> dict[str, object]:
    game = Game(market, GAMES)
    acts = {seat: recipe.sit(market, seat) for seat, recipe in kit_of(market).naive(market).items()}
    played = play(game, acts, seeds_of(0, GAMES), trace=True).actions
    assert played is not None
    out: dict[str, object] = {}
    for role in market.roles:
        done = played[role.name]
        if isinstance(role.action, Choice):
            counts = 1.0 + np.bincount(done.astype(int).ravel(), minlength=len(role.action))
            out[role.name] = counts / counts.sum()
            continue
        baseline = np.clip(done[0].mean(axis=(0, 1)), -1.0, 1.0)
        width = role.action.high - role.action.low
        size = np.abs(role.action.from_unit(baseline))
        reach = np.divide(2.0 * size, width, out=np.zeros_like(width), where=width > 0)
        out[role.name] = baseline, np.where(reach > 0, np.minimum(reach, 1.0), np.where(width > 0, 0.25, 0.0))
    return out
