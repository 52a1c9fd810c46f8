"""Invented data for the tests of metrics and report: a small consistent market and a run folder made from it.

Nothing here is a result.  The market is a few lines of NumPy whose books balance by construction: two makers, one
trader, two products, perfect hedges as a swap with the venue.
"""

import json
from pathlib import Path

import numpy as np

from arena.metrics import Record, write_record

MAKERS, EXECUTORS, PRODUCTS = ("mm_0", "mm_1"), ("trader_0",), ("C100", "P100")
SCENARIO = """\
schema_version: 1
name: invented_game
description: invented numbers for a test of the page
market:
  model: dealer
  flow: {rule: {kind: soft_best, fill_decay: 10, sharpness: 50}}
  makers: {count: 2}
evaluation: {confidence: 0.99}
"""


def record(games: int = 64, steps: int = 20, seed: int = 1, trader: str = "learned", thrift: float = 1.0) -> Record:
    """Play the invented market; `thrift` scales the trader's impact so that line-ups differ."""
    rng = np.random.default_rng(seed)
    m, n, dt = len(MAKERS), len(PRODUCTS), 1.0 / steps
    shapes = {
        "spot": (), "mid": (n,), "delta": (n,), "maker_inventory": (m, n), "maker_cash": (m,), "maker_hedge": (m,),
        "remaining": (1,), "executor_inventory": (1,), "executor_cash": (1,), "noise_inventory": (n,), "noise_cash": (),
        "venue_cash": (), "fee_cash": (), "impact_cash": (), "edge_noise": (m,), "edge_executor": (m, 1),
        "inventory_pnl": (m,), "hedge_pnl": (m,), "hedge_cost": (m,), "maker_fee": (m,), "running_penalty": (m,),
        "terminal_penalty": (m,), "executor_spread_cost": (1,), "executor_impact_cost": (1,), "executor_fee": (1,),
        "executor_penalty": (1,), "executor_inventory_pnl": (1,), "distance": (m, n, 2), "fill": (m, n, 2),
        "arrived": (n, 2), "unfilled_noise": (n, 2),
    }  # fmt: skip
    v = {name: np.zeros((steps + 1, games, *shape)) for name, shape in shapes.items()}
    v["spot"][0], v["mid"][0], v["delta"][:] = 100.0, 4.0, [0.5, -0.5]
    v["remaining"][0] = rng.choice([-10.0, 10.0], size=(games, 1))
    skew = np.array([-1.0, 1.0])  # long: bid farther, ask nearer
    for t in range(steps):
        now = {name: array[t] for name, array in v.items()}
        new = {name: array.copy() for name, array in now.items()}
        lean = -0.004 * now["maker_inventory"][..., None] * skew
        new["distance"] = np.maximum(0.05 + lean + 0.004 * rng.standard_normal((games, m, n, 2)), 0.0)
        arrived = rng.poisson(2.0, size=(games, n, 2)).astype(float)
        first = rng.binomial(arrived.astype(int), 0.55 if seed % 2 else 0.5).astype(float)
        noise = np.stack([first, rng.binomial((arrived - first).astype(int), 0.9)], axis=1).astype(float)
        rate = np.clip(now["remaining"][:, 0], -0.6, 0.6) * min(1.0, 0.5 + t * dt)
        work = np.zeros((games, m, n, 2))
        work[:, :, 0, 1], work[:, :, 0, 0] = np.maximum(rate, 0)[:, None] / 2, np.maximum(-rate, 0)[:, None] / 2
        new["fill"] = noise + work
        signed = (noise + work) * [1.0, -1.0]  # bids buy, asks sell
        edge = (new["distance"] * noise).sum(axis=(2, 3))
        taken = (new["distance"] * work).sum(axis=(2, 3))
        fee, impact = 0.001 * new["fill"].sum(axis=(2, 3)), thrift * 0.02 * rate**2
        new["maker_inventory"] = now["maker_inventory"] + signed.sum(axis=-1)
        paid = (signed.sum(axis=-1) * now["mid"][:, None]).sum(axis=-1)
        move = 0.13 * rng.standard_normal((games, 1))
        shock = 0.02 * rng.standard_normal((games, n)) - 0.002 * signed.sum(axis=(1, 3))
        change = now["delta"] * move + shock
        hedge = -(new["maker_inventory"] * (now["delta"] * move)[:, None]).sum(axis=-1)
        new["maker_cash"] = now["maker_cash"] - paid + edge + taken - fee + hedge
        new["edge_noise"], new["edge_executor"] = now["edge_noise"] + edge, now["edge_executor"] + taken[..., None]
        new["maker_fee"], new["hedge_pnl"] = now["maker_fee"] + fee, now["hedge_pnl"] + hedge
        new["inventory_pnl"] = now["inventory_pnl"] + (new["maker_inventory"] * change[:, None]).sum(axis=-1)
        new["running_penalty"] = now["running_penalty"] + 0.001 * np.square(new["maker_inventory"]).sum(axis=-1)
        held, cost = now["executor_inventory"][:, 0] + rate, taken.sum(axis=1)
        new["executor_inventory"][:, 0], new["remaining"][:, 0] = held, now["remaining"][:, 0] - rate
        new["executor_cash"][:, 0] = now["executor_cash"][:, 0] - rate * now["mid"][:, 0] - cost - impact
        new["executor_spread_cost"][:, 0] = now["executor_spread_cost"][:, 0] + cost
        new["executor_impact_cost"][:, 0] = now["executor_impact_cost"][:, 0] + impact
        new["executor_inventory_pnl"][:, 0] = now["executor_inventory_pnl"][:, 0] + held * change[:, 0]
        bought = -noise.sum(axis=1) * [1.0, -1.0]
        new["noise_inventory"] = now["noise_inventory"] + bought.sum(axis=-1)
        new["noise_cash"] = now["noise_cash"] - (bought.sum(axis=-1) * now["mid"]).sum(axis=-1) - edge.sum(axis=1)
        new["fee_cash"], new["impact_cash"] = now["fee_cash"] + fee.sum(axis=1), now["impact_cash"] + impact
        new["venue_cash"] = now["venue_cash"] - hedge.sum(axis=1)
        new["arrived"] = now["arrived"] + arrived
        new["unfilled_noise"] = now["unfilled_noise"] + arrived - noise.sum(axis=1)
        new["mid"], new["spot"] = now["mid"] + change, now["spot"] + move[:, 0]
        for name, array in v.items():
            array[t + 1] = new[name]
    v["terminal_penalty"][-1] = 0.01 * np.square(v["maker_inventory"][-1]).sum(axis=-1)
    v["executor_penalty"][-1] = 0.2 * np.square(v["remaining"][-1])
    players = {"mm_0": "learned", "mm_1": "learned", "trader_0": trader}
    line_up = "final" if trader == "learned" else trader
    return Record(v, MAKERS, EXECUTORS, PRODUCTS, (0,), dt, "day", players, line_up)


def run_folder(folder: Path, seed: int = 1, iterations: int = 60) -> Path:
    """Write a whole invented run into `folder`."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.resolved.yaml").write_text(SCENARIO)
    told = {
        "argv": ["python", "-m", "arena.selfplay", "scenarios/invented_game.yaml", "--seed", str(seed)], "seed": seed,
        "git": "0123abc", "started": "2026-01-02T03:04:05Z", "scenario_hash": "ab" * 32, "run_version": 1,
        "versions": {"python": "3.11.2", "numpy": "2.4.6", "ray": "2.60.0", "torch": "2.13.0"},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(told))
    lines = []
    for i in range(1, iterations + 1):
        line = {"iteration": i, "wall_s": 3.1 * i, "agent_steps": 76_800 * i, "agent_steps_per_s": 61_000 + i,
                "league_size": 2 + i // 10, "alarms": ["critic of maker: explained variance ≤ 0"] if 3 <= i <= 5 else []}
        for role, end in (("maker", 6.0), ("executor", -4.0)):
            done = 1.0 - np.exp(-i / 12)
            line |= {f"return/{role}": end - 5 * (1 - done) + 0.2 * rng.standard_normal(),
                     f"gain/{role}": 2 * (1 - done) + 0.05 * rng.standard_normal(), f"gain_se/{role}": 0.05,
                     f"explained_variance/{role}": 0.9 * done - 0.05, f"entropy/{role}": 1.4 - 2 * done,
                     f"std/{role}": 0.5 - 0.4 * done, f"kl/{role}": 0.01 + 0.002 * rng.random()}
        lines.append(json.dumps(line))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    gaps = []
    for i in range(0, iterations + 1, 10):
        gain = {"mm_0": 1.6 * np.exp(-i / 12) + 0.02, "mm_1": 1.5 * np.exp(-i / 12) + 0.03, "trader_0": 0.5 * np.exp(-i / 9)}
        seats = [{"seat": s, "gain": g, "se": 0.02, "low": g - 0.052, "high": g + 0.052, "kind": "lower bound",
                  "engine": "fresh responder 2 of 3"} for s, g in gain.items()]
        total = sum(gain.values())
        gaps.append({"iteration": i, "seats": seats, "nashconv": total, "low": total - 0.09, "high": total + 0.09,
                     "naive_nashconv": 3.8, "relative": total / 3.8, "relative_high": (total + 0.09) / 3.8})
    (folder / "nash_gap.jsonl").write_text("\n".join(map(json.dumps, gaps)) + '\n{"iteration": 70, "nashc')
    inventory = np.arange(-15, 16)
    slope = np.outer([1, -1], inventory)
    panels = [{
        "title": "Ask and bid of C100 against inventory", "x_label": "own inventory (lots)", "x": inventory.tolist(),
        "y_label": "distance from the mid, $", "caption": "At the middle of the game, everything else at its usual value.",
        "series": [
            {"name": "learned ask", "y": (0.05 - 0.004 * slope[0]).tolist(), "style": 0},
            {"name": "learned bid", "y": (0.05 - 0.004 * slope[1]).tolist(), "style": 1},
            {"name": "Avellaneda–Stoikov ask", "y": (0.08 - 0.002 * slope[0]).tolist(), "style": 2},
            {"name": "Avellaneda–Stoikov bid", "y": (0.08 - 0.002 * slope[1]).tolist(), "style": 3},
        ],
    }]  # fmt: skip
    (folder / "curves.json").write_text(json.dumps({"panels": panels}))
    for player, thrift, s in (("learned", 1.0, seed), ("twap", 1.6, seed), ("almgren_chriss", 1.2, seed)):
        write_record(record(seed=s, trader=player, thrift=thrift), folder / "episodes")
    return folder
