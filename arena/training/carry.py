"""A trained network in another market: its columns found by name, its numbers moved to their new frames.

A network sees x = (o - centre) / scale and plays low + (baseline + reach u + 1)(high - low)/2, with frames of its own
market. Where another market shows the same columns in other frames, the same function of the same physical numbers is

    W' = W scale'/scale,   b' = b + W (centre' - centre)/scale         first layer and linear term, column by column
    baseline', reach'      those that give the old physical action     the output layer stays as it is

exactly, as long as no column reaches its limit. A column that is new gets weights of 0; a new action plays its own
baseline; what the network saw or played before and cannot any more is refused. The critic's first layers come along,
its output starts anew. Exploration goes back to half of where it starts, as for any warm start.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from agents.network import Network, Weights
from arena.layout import Array, Choice
from arena.markets.market import Role
from arena.scenario import Scenario
from arena.training.prior import priors
from arena.training.seats import learning_seats


class CarryError(ValueError):
    """Why a network cannot be carried, in one sentence."""


class _Columns(NamedTuple):
    """Old columns by their place among the new ones: new[here] is old[there]."""

    here: list[int]
    there: list[int]


def carry(
    old: Weights, seen: Role, fresh: Weights, sees: Role, initial_std: float, rename: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """The weights `old` of role `seen` as weights of role `sees`, whose untrained network is `fresh`.

    `rename` maps old names of columns, or of fields, to new ones. Raises CarryError for a column that is no longer seen
    or played, and for networks of unlike layers.
    """
    names = dict(rename or {})
    unlike = [key for key in fresh if key.startswith(("policy", "value")) and _inner(key, old, fresh)]
    if set(old) != set(fresh) or unlike or bool(old["relu"]) != bool(fresh["relu"]):
        raise CarryError(
            f"{sees.name}: the network it starts from has other layers; "
            "allowed are the same training.hidden and training.activation"
        )
    columns = _match(seen.observation.names, sees.observation.names, names, "seen")
    rows = _actions(seen, sees, names)
    out = {key: np.array(values) for key, values in old.items()}
    frame = (old["centre"], old["scale"], fresh["centre"], fresh["scale"])
    for tower in ("policy", "value"):
        first = f"{tower}.0"
        weight, shift = _moved(old[f"{first}.weight"], columns, *frame)
        out[f"{first}.weight"], out[f"{first}.bias"] = weight, old[f"{first}.bias"] + shift
    linear, shift = _moved(old["linear"], columns, *frame)
    last, judge = _last(old, "policy"), _last(old, "value")
    out["linear"] = _placed(linear, rows, fresh["linear"])
    for part in ("weight", "bias"):
        played = old[f"{last}.{part}"] + (shift if part == "bias" else 0.0)
        out[f"{last}.{part}"] = _placed(played, rows, fresh[f"{last}.{part}"])
        out[f"{judge}.{part}"] = np.array(fresh[f"{judge}.{part}"])
    out["centre"], out["scale"] = np.array(fresh["centre"]), np.array(fresh["scale"])
    if "choice" in fresh:
        out["choice"] = np.array(fresh["choice"])
    else:
        out |= _frames(old, seen, fresh, sees, rows)
        out["log_std"] = np.full_like(fresh["log_std"], np.log(0.5 * initial_std))
    return {key: np.asarray(values, dtype=fresh[key].dtype) for key, values in out.items()}


def carried(
    before: Scenario, networks: Mapping[str, Weights], now: Scenario, rename: Mapping[str, str] | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Starting weights of every role that learns, from the networks of another scenario, by role.

    A role starts from the one of its name, or from the only one there is. Raises CarryError where there is none.
    """
    out = {}
    starts, seats = priors(now.market, now.training.policy), learning_seats(now)
    roles = {role.name: role for role in before.market.roles}
    for role in (role for role in now.market.roles if role.name in seats):
        name = role.name if role.name in networks else next(iter(networks)) if len(networks) == 1 else ""
        if not name:
            raise CarryError(f"no role {role.name} learned before; allowed are {', '.join(networks)}")
        training = now.training
        fresh = Network(
            role.observation,
            starts[role.name],
            training.hidden,
            training.activation,
            training.initial_std,
            training.seed,
        )
        out[role.name] = carry(networks[name], roles[name], fresh.weights(), role, training.initial_std, rename)
    return out


def _last(weights: Weights, tower: str) -> str:
    """The name of a tower's output layer."""
    return f"{tower}.{max(int(key.split('.')[1]) for key in weights if key.startswith(f'{tower}.'))}"


def _inner(key: str, old: Weights, fresh: Weights) -> bool:
    """Whether a layer's hidden sizes differ; a first layer's columns and the policy's outputs may."""
    if key not in old:
        return True
    skip = slice(1 if key.startswith(_last(fresh, "policy")) else 0, 1 if key.endswith(".0.weight") else None)
    return old[key].shape[skip] != fresh[key].shape[skip]


def _match(old: tuple[str, ...], new: tuple[str, ...], rename: Mapping[str, str], verb: str) -> _Columns:
    """Where the old names stand among the new ones; raises CarryError for one that is gone."""
    called = [_renamed(name, rename) for name in old]
    gone = [name for name, now in zip(old, called, strict=True) if now not in new]
    if gone:
        were, are = ("was", "is") if len(gone) == 1 else ("were", "are")
        raise CarryError(
            f"{', '.join(gone)} {were} {verb} before and {are} not now; "
            "allowed is a market with the same columns and more, or start.rename"
        )
    return _Columns([new.index(now) for now in called], list(range(len(old))))


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    """A column's new name: its own, or that of its field with the same label."""
    field, bracket, label = name.partition("[")
    return rename.get(name, rename.get(field, field) + bracket + label)


def _actions(seen: Role, sees: Role, rename: Mapping[str, str]) -> _Columns:
    """Where the old action's numbers, or a choice's outputs, stand among the new ones; raises CarryError."""
    if isinstance(seen.action, Choice) or isinstance(sees.action, Choice):
        old, new = (getattr(one.action, "options", ()) for one in (seen, sees))
        if old != new or not old:
            raise CarryError(f"{sees.name}: found other options than before; allowed are {', '.join(old) or 'numbers'}")
        return _Columns([], [])
    return _match(seen.action.names, sees.action.names, rename, "played")


def _moved(
    weight: Array, columns: _Columns, centre: Array, scale: Array, here: Array, size: Array
) -> tuple[Array, Array]:
    """A matrix [N, old columns] on new columns, and what its bias gains: W s'/s and W (c' - c)/s."""
    w = weight.astype(float)[:, columns.there]
    c, s = centre.astype(float)[columns.there], scale.astype(float)[columns.there]
    out = np.zeros((len(w), len(here)))
    out[:, columns.here] = w * (size.astype(float)[columns.here] / s)
    return out, w @ ((here.astype(float)[columns.here] - c) / s)


def _placed(values: Array, rows: _Columns, fresh: Array) -> Array:
    """Rows of an output layer in their new places; a new action's are 0, so that it plays its baseline."""
    if not rows.here:
        return values
    out = np.zeros((len(fresh), *values.shape[1:]))
    out[rows.here] = values[rows.there]
    return out


def _frames(old: Weights, seen: Role, fresh: Weights, sees: Role, rows: _Columns) -> dict[str, Array]:
    """Baseline and reach in the new units of an action, so that the same outputs mean the same physical numbers."""
    there, here = seen.numbers, sees.numbers
    width = (there.high - there.low)[rows.there]
    new = (here.high - here.low)[rows.here]
    ratio = np.divide(width, new, out=np.zeros_like(new), where=new > 0)
    middle = 0.5 * (there.high + there.low)[rows.there] - 0.5 * (here.high + here.low)[rows.here]
    move = np.divide(2.0 * middle, new, out=np.zeros_like(new), where=new > 0)
    baseline, reach = fresh["baseline"].astype(float), fresh["reach"].astype(float)
    baseline[rows.here] = move + ratio * old["baseline"][rows.there]
    reach[rows.here] = ratio * old["reach"][rows.there]
    return {"baseline": baseline, "reach": reach}
