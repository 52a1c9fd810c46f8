"""Fit deep Galerkin networks to the book's inequality and play them: python benchmarks/deep_galerkin.py CASE.

Prints a line of JSON: residuals on held-out states, and of the policy in the market the Sharpe ratio at 1 basis point
with its standard error, mean |Y| over time, reward, fills, and the three numbers that tell pump and dump.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import torch

from arena.game import Game
from arena.layout import Array
from arena.markets.book.market import Market
from arena.markets.book.measures.trading import SECONDS, WEALTH
from arena.markets.book.problems.impulse_problem import problem, seen_intensities, seen_state
from arena.rollout import seeds_of
from arena.solvers.impulse import galerkin
from arena.solvers.impulse.states import flat, unflat

CAP = 10
SMALL = {
    "clock": {"horizon": 20, "steps": 200}, "flow": {"base": (1.0, 0.5, 1.2, 0.6, 0.8, 2.0)},
    "depth": {"queues": (2, 2), "refill": 2, "room": 2}, "warm_up": 10.0,
    "makers": {"actions": "top", "cap": 3, "running_penalty": 0.005}, "observe": {"places": 4},
}  # fmt: skip
DEEP = {"depth": 10, "width": 50}
CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    # flow, actions, form, training
    "small": ("small", "top", "exact", {"width": 64, "batch": 4096, "law": "visited"}),
    "poisson": ("poisson", "top", "exact", {}),
    "poisson_all": ("poisson", "all", "exact", {}),
    "poisson_paper": ("poisson", "all", "alternating", {"act": "relu", "norm": True, "law": "drawn"}),
    "orders": ("mo_only", "top", "exact", DEEP),
    "orders_all": ("mo_only", "all", "exact", DEEP),
    "orders_paper": ("mo_only", "all", "alternating", {**DEEP, "act": "relu", "norm": True, "law": "drawn"}),
    "full": ("hawkes_exp", "top", "exact", DEEP),
    "full_all": ("hawkes_exp", "all", "exact", DEEP),
}


def market_of(flow: str, actions: str, eta: float) -> Market:
    """The market of a case; one own order a side is kept track of."""
    if flow == "small":
        return Market.model_validate(SMALL)
    return Market.model_validate({
        "flow": {"preset": flow}, "observe": {"places": 1},
        "makers": {"actions": actions, "cap": CAP, "running_penalty": eta},
    })  # fmt: skip


def act_of(fit: galerkin.Fit, market: Market, device: str) -> Any:
    """The policy of a fit as an act."""
    known, layout = galerkin.constants(fit.problem, device), market.roles[0].observation
    options = np.array([*range(12), 0])
    for i, event in enumerate(fit.problem.actions):
        options[event] = i
    options[-1] = len(fit.problem.actions)
    base = torch.tensor(fit.problem.base, dtype=torch.float32, device=device)

    def act(seen: Array, noise: Array) -> Array:
        seen = np.asarray(seen)
        state, left = tensors(market, seen, device)
        excitation = torch.tensor(np.asarray(seen_intensities(market, seen)), dtype=torch.float32, device=device) - base
        chosen = galerkin.impulses(fit, known, state, excitation, left).cpu().numpy()
        return options[chosen][:, None].astype(float)

    assert "allowed" in layout
    return act


def tensors(market: Market, seen: Array, device: str) -> tuple[Any, torch.Tensor]:
    """States and times left of observations, on a device."""
    columns = torch.tensor(np.stack(flat(seen_state(market, seen))), device=device)
    return unflat(list(columns)), torch.tensor(np.array(seen[:, 0]), dtype=torch.float32, device=device)


def played(fit: galerkin.Fit, market: Market, games: int, batch: int, device: str, seed: int) -> dict[str, Any]:
    """What the policy does in the market."""
    act, out = act_of(fit, market, device), []
    for first in range(0, games, batch):
        game = Game(market, batch)
        seen = game.reset(seeds_of(seed + first, batch))
        state, left = tensors(market, np.array(seen["maker"][:, 0]), device)
        known = galerkin.constants(fit.problem, device)
        start = torch.zeros(batch, 12, device=device)
        worth = galerkin.worth_of(fit, known, state, start, left).cpu().numpy()
        held, sums, total = np.zeros(batch), np.zeros(batch), np.zeros(batch)
        path = np.empty((game.steps, 2))
        opened, acted = game.view("mid").copy(), 0.0
        for t in range(game.steps):
            game.action["maker"][:, 0] = act(np.array(seen["maker"][:, 0]), np.zeros((batch, 1)))
            acted += float((game.action["maker"][:, 0] != market.roles[0].action.idle).mean()) / game.steps
            total += game.advance()["maker"][:, 0]
            seen = game.observation
            y = game.view("maker_inventory")[:, 0]
            held, sums = held + np.abs(y), sums + y
            path[t] = y.mean(), (y**2).mean()
        y, mid = game.view("maker_inventory")[:, 0], game.view("mid")
        gain = sum(game.view(f"maker_{name}")[:, 0] for name in ("captured", "crossed", "mark"))
        fees = game.view("maker_fee")[:, 0]
        push = (mid - opened) * np.sign(sums)
        count = {
            name: game.view(f"maker_{name}")[:, 0] for name in ("captured", "mark", "posted", "cancelled", "taken")
        }
        fills = game.view("maker_filled")[:, 0].sum(axis=-1)
        out.append({
            "reward": total, "pnl": gain - fees, "worth": worth, "held": held / game.steps,
            "one": np.abs(sums) / np.maximum(held, 1e-9),
            "push": push, "fills": fills, "end": np.abs(y), "path": path, "acted": np.full(1, acted), **count,
            "clipped": game.view("clipped_action"), "missed": game.view("maker_missed")[:, 0],
        })  # fmt: skip
    rows = {name: np.concatenate([one[name] for one in out]) for name in out[0] if name != "path"}
    path = np.mean([one["path"] for one in out], axis=0)
    logs = np.log1p(np.maximum(rows["pnl"] * market.depth.tick / WEALTH, -1 + 1e-12))
    annual = np.sqrt(SECONDS / market.clock.horizon)
    sharpe = annual * logs.mean() / logs.std(ddof=1)
    told = {
        name: [float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0]
        for name, x in rows.items()
    }
    return {
        "games": len(logs), "sharpe": float(sharpe),
        "sharpe_se": float(np.sqrt((annual**2 + 0.5 * sharpe**2) / len(logs))),
        "determined": float((path[:, 0] ** 2).mean() / max(path[:, 1].mean(), 1e-12)), **told,
    }  # fmt: skip


def main() -> None:
    """Fit one case and play it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--iterations", type=int, default=10**9)
    parser.add_argument("--states", type=int, default=1 << 18)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--games", type=int, default=4096)
    parser.add_argument("--eta", type=float, default=0.005)
    parser.add_argument("--clock", type=float, default=10.0)
    parser.add_argument("--law", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="")
    chosen = parser.parse_args()
    flow, actions, form, told = CASES[chosen.case]
    market = market_of(flow, actions, chosen.eta)
    small = flow == "small"
    one = problem(market, places=4 if small else 1, widest=6 if small else None)
    cycle = {
        "iterations": min(chosen.iterations, 120_000),
        "seconds": chosen.seconds,
        "states": chosen.states,
        "batch": chosen.batch,
    }
    how = galerkin.Training(**{**told, **cycle, "clock": chosen.clock, **({"law": chosen.law} if chosen.law else {})})
    started = time.monotonic()
    if form == "exact":
        fit = galerkin.fit_exact(one, how, chosen.seed, chosen.device, told=lambda line: print(line, flush=True))
    else:
        frozen = 50 if flow != "poisson" else 0
        fit = galerkin.fit_alternating(
            one, how, chosen.seed, chosen.device, frozen=frozen, told=lambda line: print(line, flush=True)
        )
    spent = time.monotonic() - started
    line = {"case": chosen.case, "seed": chosen.seed, "eta": chosen.eta, "seconds": spent, "held_out": fit.held_out,
            "on_policy": fit.on_policy,
            "iterations": fit.history[-1][0], "history": fit.history[:: max(len(fit.history) // 20, 1)]}  # fmt: skip
    print(json.dumps(line), flush=True)
    line["played"] = played(fit, market, chosen.games, min(chosen.games, 4096), chosen.device, 1_000_000)
    line["all_seconds"] = time.monotonic() - started
    print(json.dumps(line), flush=True)
    if chosen.out:
        with open(f"{chosen.out}/{chosen.case}_{chosen.seed}.json", "w", encoding="utf-8") as file:
            json.dump(line, file)


if __name__ == "__main__":
    main()
