"""What the report says about judging: Nash gap, theory, tournament, ratings, training.

One function per section, from a run folder's files to sentences, figures and tables.  A section never raises because a
file is missing or short: it carries a sentence in its place.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arena.markets.catalogue import part_named
from arena.pages import charts
from arena.pages.charts import Series, number
from arena.pages.page import Cell, Figure, Run, Section, Table, between, column, panels
from arena.runs import accounts, estimates
from arena.runs.estimates import Estimate
from arena.runs.record import Record

MOST_ALARMS = 12  # sentences shown before "and n more"


def headline(run: Run) -> dict[str, Any]:
    """How far from equilibrium in one sentence, who wins, and the handful of numbers worth a large font."""
    tiles: list[dict[str, str]] = []
    notes: list[str] = []
    out: dict[str, Any] = {"tiles": tiles, "notes": notes, "winner": ""}
    out["sentence"] = "How far this run is from equilibrium has not been measured yet."
    if run.gaps:
        out |= _distance(run, tiles, notes)
    if run.final is not None:
        parts = accounts.attribution(run.final)
        earned = {seat: estimates.estimate(p["pnl"], run.confidence) for seat, p in parts.items()}
        outside = _outside(run, run.final)
        ranked = sorted({**earned, **outside}.items(), key=lambda item: -item[1].mean)
        (first, most), (last, least) = ranked[0], ranked[-1]
        words = f"{last.capitalize()} fare" if last in outside else f"{last} fares"
        best, worst = run.money(most.mean), run.money(least.mean)
        out["winner"] = f"{first} wins most: {best} per game in P&L. {words} worst: {worst}."
        for seat, e in earned.items():
            tiles.append(
                {"name": f"P&L of {seat} per game", "value": run.money(e.mean), "note": between(e.low, e.high)}
            )
        out["pnl"] = {seat: e._asdict() for seat, e in ranked}
    return out


def _outside(run: Run, final: Record) -> dict[str, Estimate]:
    """What accounts earn that are nobody's seat, those that the market's kit wants to see ranked."""
    names: tuple[str, ...] = part_named(run.model, "OUTSIDE", ())
    paid: Callable[[Record], tuple[Sequence[str], np.ndarray]] | None = part_named(run.model, "transfers", None)
    if paid is None or not names:
        return {}
    accounts, w = paid(final)
    return {name: estimates.estimate(w[list(accounts).index(name)].sum(axis=0), run.confidence) for name in names}


def _distance(run: Run, tiles: list[dict[str, str]], notes: list[str]) -> dict[str, Any]:
    last = run.gaps[-1]
    value, low, high, relative, upper = (
        float(column([last], key)[0]) for key in ("nashconv", "low", "high", "relative", "relative_high")
    )
    exact = is_exact(last)
    kind = "exact" if exact else "a lower bound"
    interval = f"{run.percent} interval {run.money(low)} to {run.money(high)}, {kind}" if high > low else kind
    share = (
        f", {number(100 * relative, 2)} % of their gain against {naive_play(run)}" if math.isfinite(relative) else ""
    )
    if value > 0.0:
        sentence = f"Best responses gain {run.money(value)} per game in sum ({interval}){share}."
    else:
        sentence = f"No best response gains anything: {run.money(value)} per game in sum ({interval})."
    if low <= 0.0:
        notes.append("The interval covers zero: no profitable deviation is established.")
    if exact:
        notes.append("Best responses were computed exactly, one seat deviating at a time.")
    else:
        notes.append(
            "Best responses were searched for, one seat deviating at a time; a better responder might find more."
        )
    note = between(low, high) if high > low else kind
    tiles.append({"name": "Nash gap per game", "value": run.money(value), "note": note})
    if math.isfinite(relative):
        note = f"at most {number(100 * upper, 2)} %" if math.isfinite(upper) else ""
        tiles.append({"name": "of the naive profile's gap", "value": f"{number(100 * relative, 2)} %", "note": note})
    facts = {"nashconv": value, "low": low, "high": high, "relative": relative, "relative_high": upper}
    return {"sentence": sentence, "kind": "exact" if exact else "lower bound", **facts}


def naive_play(run: Run) -> str:
    """What the naive profile does, in the market's words."""
    return part_named(run.model, "NAIVE", "naive play")


def gap(run: Run) -> Section:
    """Nash gap against iteration, absolute and relative to the naive profile."""
    out = Section("How far from equilibrium", data=run.gaps)
    if not run.gaps:
        out.missing = "No Nash gap was measured in this run; `python -m arena.evaluate RUN` measures it."
        return out
    out.lead = (
        "The gap (NashConv) is the sum over seats of what one seat could gain by a best response while the others "
        "stay. At an exact equilibrium it is zero."
    )
    x = [line.get("iteration", i) for i, line in enumerate(run.gaps)]
    y, low, high = (column(run.gaps, key) for key in ("nashconv", "low", "high"))
    note = f"Dots are estimates, bars their {run.percent} intervals; lower is better. {_kind_note(run.gaps[-1])}"
    if len(run.gaps) > 1 and not is_exact(run.gaps[-1]):
        note += " During training a shorter search looks for them; the full one at the end finds more."
    absolute = charts.lines(
        x,
        [Series("NashConv", y, low, high)],
        title="Nash gap during training",
        x_label="iteration",
        y_label=run.per_game,
        zero=True,
        whiskers=True,
    )
    out.figures.append(Figure(absolute, note))
    relative = 100.0 * column(run.gaps, "relative")
    if np.isfinite(relative).any():
        upper = 100.0 * column(run.gaps, "relative_high")
        floor = [100.0 * a / b if b else np.nan for a, b in zip(low, column(run.gaps, "naive_nashconv"), strict=True)]
        drawn = charts.lines(
            x,
            [Series("relative gap", relative, floor, upper)],
            title="Gap as a share of the naive profile's",
            x_label="iteration",
            y_label="% of naive (log scale)",
            whiskers=True,
            log=True,
        )
        naive = run.amount(float(column(run.gaps, "naive_nashconv")[-1]))
        play = f"constant {naive_play(run)}"
        words = f"100 % would be no better than {play}, whose gap by the same engine is {naive} per game."
        out.figures.append(Figure(drawn, f"{words} Estimates at or below zero cannot be drawn on this scale."))
    return out


def seats(run: Run) -> Section:
    """The last gap measurement, seat by seat."""
    out = Section("Who could still gain by deviating")
    last = run.gaps[-1].get("seats", []) if run.gaps else []
    if not last:
        out.missing = "No seat-by-seat gains were recorded."
        return out
    rows: list[list[Cell]] = [
        [
            s["seat"],
            number(s.get("gain", np.nan)),
            number(s.get("se", np.nan), 2),
            between(s.get("low"), s.get("high")),
            s.get("kind", "–"),
            s.get("engine", "–"),
        ]
        for s in last
    ]
    out.lead = "Gain of the best response found for each seat against the final profile, on seeds not used to find it."
    if is_exact(run.gaps[-1]):
        out.lead = "Gain of each seat's best response against the final profile; intervals hold the draw of the starts."
    if (column(last, "gain") < 0.0).any():
        out.lead += " A negative gain means that no responder beat the seat's own play; it is shown as measured."
    interval = f"{run.percent} interval"
    out.tables.append(
        Table(_kind_note(run.gaps[-1]), ["seat", run.of("gain", "per game"), "s.e.", interval, "kind", "engine"], rows)
    )
    rows_drawn = [(s["seat"], s.get("gain", np.nan), s.get("low", np.nan), s.get("high", np.nan)) for s in last]
    svg = charts.intervals(rows_drawn, title="Gain from a best response", x_label=run.per_game, zero=True)
    out.figures.append(Figure(svg, f"A bar that covers zero: no gain is established at {run.percent}."))
    out.data = last
    return out


def theory(run: Run) -> Section | None:
    """Learned play beside the exact answer, for runs whose scenario has one."""
    if run.theory is None:
        return None
    out = Section("Against theory", run.theory.get("sentence", ""), data=run.theory)
    out.figures += panels(run.theory, run.unit)
    out.tables += [Table(one["caption"], one["head"], one["rows"]) for one in run.theory.get("tables", [])]
    lines = run.theory.get("gap", [])
    if lines:
        x = [line.get("iteration", i) for i, line in enumerate(lines)]
        both = [Series("exact best response", column(lines, "exact"))]
        learned = column(lines, "learned")
        if np.isfinite(learned).any():
            both.append(
                Series("learned responder", learned, column(lines, "learned_low"), column(lines, "learned_high"))
            )
        svg = charts.lines(
            x,
            both,
            title="Exact gap and what a learned responder finds",
            x_label="iteration",
            y_label=run.per_game,
            whiskers=True,
            log=all(np.nanmin(column(lines, key)) > 0.0 for key in ("exact",)),
        )
        words = (
            "The learned responder can only find a lower bound; how far it falls short of the exact line is its error."
        )
        out.figures.append(Figure(svg, words))
    return out


def payoff(run: Run) -> Section:
    """The tournament between league members as coloured tables."""
    out = Section("Who beats whom", data=run.payoff)
    if not run.payoff:
        out.missing = "No tournament was played in this run."
        return out
    out.tables = list(_payoff_tables(run.payoff, run.per_game))
    out.lead = (
        "Mean reward of the row player per game when it meets the column players, ± one standard error, all cells on "
        "the same seeds. Blue is above zero and orange below; the sign is always printed."
    )
    return out


def ratings(run: Run) -> Section:
    """Ratings of league members with intervals."""
    out = Section("Ratings", data=run.ratings)
    groups = {role: rows for role, rows in (run.ratings or {}).items() if isinstance(rows, list) and rows}
    if not groups:
        out.missing = "No ratings were computed in this run."
        return out
    out.lead = (
        "One number per league member from all the games it played; only differences within a role mean anything."
    )
    for role, rows in groups.items():
        best = sorted(rows, key=lambda r: -r["rating"])[:12]
        drawn = [(r["member"], r["rating"], r.get("low", np.nan), r.get("high", np.nan)) for r in best]
        svg = charts.intervals(drawn, title=f"Rating of {role}s", x_label="rating (higher is better)")
        rest = f" The best 12 of {len(rows)} are shown." if len(rows) > 12 else ""
        out.figures.append(
            Figure(svg, f"Dot: rating; bar: {run.percent} interval. Bars that overlap are not told apart.{rest}")
        )
    return out


def training(run: Run) -> Section:
    """Training curves."""
    out = Section("How the learning went")
    if not run.iterations:
        out.missing = "No training iterations were recorded (this page judges a line-up that was not trained here)."
        return out
    x = column(run.iterations, "iteration")
    notes = {
        "return": (
            "Return",
            run.per_game,
            "Mean reward per seat, penalties included, against the opponents met in training.",
        ),
        "gain": ("Gain of new over old", run.per_game, "Above zero the new policy beats the one it was cloned from."),
        "explained_variance": (
            "Explained variance of the critic",
            "share",
            "Near 1 the critic predicts returns; stuck at or below 0 it learned nothing.",
        ),
        "entropy": ("Policy entropy", "nats", "Falls as the policy commits itself."),
        "std": (
            "Exploration",
            "s.d. in action units",
            "Standard deviation of the exploration noise on a scale from −1 to 1.",
        ),
        "kl": (
            "Size of policy updates",
            "KL, nats",
            "Kullback–Leibler divergence of one iteration; spikes mean unstable steps.",
        ),
    }
    for key, (title, unit, words) in notes.items():
        names = sorted({name for line in run.iterations for name in line if name.startswith(f"{key}/")})
        if not names:
            continue
        curves = []
        for name in names:
            y, role = column(run.iterations, name), name.split("/", 1)[1]
            se = column(run.iterations, f"{key}_se/{role}")
            band = (y - 2.0 * se, y + 2.0 * se) if np.isfinite(se).any() else (None, None)
            curves.append(Series(role, y, *band))
        svg = charts.lines(
            x, curves, title=title, x_label="iteration", y_label=unit, zero=key in ("explained_variance", "gain")
        )
        out.figures.append(Figure(svg, words + (" Band: ± 2 s.e." if curves[0].low is not None else "")))
    last = run.iterations[-1]
    steps, rate = last.get("agent_steps"), last.get("agent_steps_per_s")
    seconds = last.get("wall_s")
    facts = [f"{len(run.iterations)} iterations"]
    facts += [f"{steps:,.0f} agent-steps"] if steps else []
    facts += [f"{rate:,.0f} agent-steps per second at the end"] if rate else []
    facts += [f"{seconds:,.0f} s"] if seconds else []
    facts += [f"{last['league_size']:g} league members"] if last.get("league_size") else []
    out.lead = ", ".join(facts) + "."
    out.data = {"last": last}
    return out


def alarms(run: Run) -> list[str]:
    """What the run itself found suspicious, as sentences, the latest last; repeated alarms once with their count."""
    seen: dict[str, list[int]] = {}
    for i, line in enumerate(run.iterations):
        for alarm in line.get("alarms") or []:
            seen.setdefault(str(alarm), []).append(int(line.get("iteration", i)))
    out = list(run.troubles)
    for seat, error in (accounts.leaks(run.final) if run.final is not None else {}).items():
        missed = f"in some game they miss it by {run.amount(error)}"
        out.append(f"{seat}: gains less costs are not the change of its wealth; {missed}")
    for words, when in seen.items():
        times = f"iteration {when[0]}" if len(when) == 1 else f"{len(when)} times, iterations {when[0]} to {when[-1]}"
        out.append(f"{words} ({times})")
    rest = [f"and {len(out) - MOST_ALARMS} more in metrics.jsonl"] if len(out) > MOST_ALARMS else []
    return out[:MOST_ALARMS] + rest


def reproduce(run: Run) -> dict[str, Any]:
    """Command, versions, seed and scenario of a run, as far as they were recorded."""
    told = run.provenance
    argv = told.get("argv")
    if isinstance(argv, list) and argv and str(argv[0]).endswith(".py"):  # how `python -m` records itself
        argv = ["python", "-m", f"arena.{Path(argv[0]).stem}", *argv[1:]]
    facts = {"seed": told.get("seed"), "scenario hash": told.get("scenario_hash"), "started": told.get("started")}
    git = told.get("git")
    if isinstance(git, dict):
        changed = ", with uncommitted changes" if git.get("changed") else ""
        facts["source"] = f"commit {git.get('commit', '–')}{changed}"
    for name in ("versions", "machine"):
        if isinstance(told.get(name), dict):
            facts[name] = ", ".join(f"{key} {value}" for key, value in told[name].items())
    return {
        "command": shlex.join(map(str, argv)) if isinstance(argv, list) else str(argv or ""),
        "facts": [(name, str(value)) for name, value in facts.items() if value is not None],
        "scenario": run.scenario_text,
    }


def _payoff_tables(payoff: dict[str, Any], per_game: str) -> Iterable[Table]:
    """One table per role: rows are its members, columns the other members met, averaged over the remaining seats."""
    axes = list(payoff["roles"])
    means, errors = _by_role(payoff["mean"], axes), _by_role(payoff["se"], axes)
    for role in dict.fromkeys(axes):
        own = axes.index(role)
        met = next((i for i, name in enumerate(axes) if i != own and name == role), 0 if own else len(axes) - 1)
        rest = tuple(i for i in range(len(axes)) if i not in (own, met))
        mean, se = means[role].mean(axis=rest), errors[role].mean(axis=rest)
        if own > met:
            mean, se = mean.T, se.T
        names, columns = payoff["members"][role], payoff["members"][axes[met]]
        largest = float(np.nanmax(np.abs(mean)))
        rows: list[list[Cell]] = [
            [name, *((f"{number(m)} ± {number(e, 2)}", charts.shade(m, largest)) for m, e in zip(*cells, strict=True))]
            for name, *cells in zip(names, mean, se, strict=True)
        ]
        over = f", averaged over the {' and '.join(axes[i] for i in rest)} seat" if rest else ""
        head = [f"{role} ↓ meets {axes[met]} →", *(str(name) for name in columns)]
        yield Table(f"Reward of each {role} in the row, {per_game}{over}.", head, rows)


def _by_role(value: Any, axes: list[str]) -> dict[str, np.ndarray]:
    """Tensors [members of each seat] by role, from a dict of them or from one [seats, members of each seat]."""
    if isinstance(value, dict):
        return {role: np.asarray(tensor, dtype=float) for role, tensor in value.items()}
    tensor = np.asarray(value, dtype=float)
    return {role: tensor[axes.index(role)] for role in dict.fromkeys(axes)}


def is_exact(line: dict[str, Any]) -> bool:
    """Whether every seat of a gap measurement was judged by an exact engine."""
    return bool(line.get("seats")) and all(seat.get("kind") == "exact" for seat in line["seats"])


def _kind_note(line: dict[str, Any]) -> str:
    if is_exact(line):
        return "Best responses are computed exactly in the environment's own discretisation."
    return "Best responses were searched for, so each gain is a lower bound: a better responder might find more."
