"""Tables of a paper run again: rows say what is changed, files notice what is edited, verdicts follow from errors."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arena.markets.book.measures.many import play_many
from arena.markets.book.papers import hawkes_book, measured, power, row_files, rows
from arena.markets.book.papers.measured import measure
from arena.markets.book.papers.row_files import AtFee, RowFile, RowFileError, SeedNumbers, standing
from arena.markets.book.papers.rows import FEES, ROWS
from arena.markets.book.papers.statements import STATEMENTS, Above, Called, Signed
from arena.markets.book.papers.summaries import classes, mean, summary

TINY = ("market.clock={unit: second, horizon: 2, steps: 20}", "market.warm_up=0", "training.segment=0")


def seed_of(seed: int, sharpe: float | None, se: float = 1.0, games: int = 4000, verdict: str = "maker") -> SeedNumbers:
    curve = tuple(AtFee(fee=fee, sharpe=sharpe, se=None if sharpe is None else se, mean=1.0, sd=2.0) for fee in FEES)
    return SeedNumbers(
        seed=seed, games=games, weights_sha256=None, fees=curve, held=1.5, fills=20.0, messages=90.0, one_sided=0.4,
        determined=0.1, push=-0.2, verdict=verdict,
    )  # fmt: skip


def file_of(name: str, *sharpes: float | None, se: float = 1.0, verdicts: tuple[str, ...] = ()) -> RowFile:
    told = verdicts or ("maker",) * len(sharpes)
    seeds = [seed_of(i, x, se, verdict=word) for i, (x, word) in enumerate(zip(sharpes, told, strict=True))]
    return RowFile(row=name, scenario_sha256=ROWS[name].scenario().hash, sources_sha256="now", seeds=tuple(seeds))


# --- power ------------------------------------------------------------------------------------------------------------


def test_the_standard_error_is_that_of_the_formula() -> None:
    assert power.annual(300.0) == pytest.approx(140.2, abs=0.01)  # sqrt(252 6.5 12), by hand
    assert power.error(31.54, 60) == pytest.approx(140.2 * math.sqrt((1 + 0.225**2 / 2) / 60), rel=1e-3)
    assert power.error(0.0, 18_900) * 1.96 == pytest.approx(2.0, abs=0.01)


def test_twenty_thousand_games_tell_the_paper_s_first_pair_apart_and_sixty_tell_nothing() -> None:
    by_hand = 1.96**2 * 140.2**2 * (2 + (0.22497**2 + 0.20549**2) / 2) / 2.73**2
    assert power.games_to_tell(31.54, 28.81) == pytest.approx(by_hand, rel=1e-3)
    assert by_hand == pytest.approx(20_730, abs=10)
    assert power.games_to_tell(31.54, 28.81, power=0.8) == pytest.approx(by_hand * (2.8016 / 1.96) ** 2, rel=1e-3)
    n = power.games_to_tell(31.54, 28.81)
    assert power.told_apart(31.54, 28.81, n)
    assert not power.told_apart(31.54, 28.81, n - 10)
    assert not power.told_apart(31.54, 7.73, power.PAPER_GAMES)
    assert (power.has_sign(31.54, 60), power.has_sign(-107.08, 60)) == (False, True)
    with pytest.raises(ValueError, match="found 3 twice; allowed are two that differ"):
        power.games_to_tell(3.0, 3.0)


def test_a_fixed_policy_cannot_have_the_printed_fees() -> None:
    assert power.at_fee(31.54, 3.02, 4) == pytest.approx(31.54 - 3 * 28.52)
    assert "would have −54 at 4 bp; −5.67 is printed" in hawkes_book._one_policy()


# --- rows -------------------------------------------------------------------------------------------------------------


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {key: value for name, below in tree.items() for key, value in flat(below, f"{path}.{name}").items()}
    return {path[1:]: tree}


SHAPING = "market.makers.shaping"
CHANGED: dict[str, dict[str, Any]] = {
    "standard_pl": {"market.flow.preset": "hawkes_pl"},
    "no_imitation_exp": {"training.self_imitation.kind": None},
    "eta_100_exp": {f"{SHAPING}.acting": 1e5, f"{SHAPING}.quoting": 2e5, f"{SHAPING}.holding": 1e4},
    "printed_tenth_exp": {
        "market.makers.running_penalty": 10.0, "market.makers.penalty": "left", f"{SHAPING}.acting": 0.0,
        f"{SHAPING}.quoting": 0.0, f"{SHAPING}.holding": None,
    },
    "fee_4_exp": {"market.fees.liquidation": 4e-4},
    "no_position_exp": {"market.observe.position": False},
    "probabilistic_exp": {"players.mm_0.kind": "probabilistic", "market.makers.actions": "all"},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_row_is_the_standard_one_with_what_it_says_changed(name: str) -> None:
    standard, own = (flat(ROWS[one].scenario().model_dump(mode="json")) for one in ("standard_exp", name))
    moved = {key: own.get(key) for key in standard if own.get(key) != standard[key]}
    ignored = {"training.self_imitation", "training.self_imitation.weight", "training.self_imitation.memory"}
    assert {key: value for key, value in moved.items() if key not in ignored} == CHANGED[name]


def test_the_standard_row_is_the_authors_code_in_ticks() -> None:
    scenario = ROWS["standard_exp"].scenario(3)
    makers = scenario.market.makers  # type: ignore[attr-defined]
    assert (makers.shaping.acting, makers.shaping.quoting, makers.shaping.holding) == (10_000.0, 20_000.0, 1000.0)
    assert (makers.running_penalty, makers.cap, makers.actions) == (0.0, 25, "top")
    assert scenario.market.fees.liquidation == 1e-4  # type: ignore[attr-defined]
    assert scenario.training.seed == 3
    assert scenario.training.self_imitation is not None


def test_the_tables_are_whole() -> None:
    assert sum(row.learns for row in ROWS.values()) == 26
    assert len(ROWS) == 30
    assert [row.name for row in rows.chosen(["no_spread_pl", "standard_exp"])] == ["standard_exp", "no_spread_pl"]
    with pytest.raises(KeyError, match="--rows: found 'standard'; allowed are standard_exp, standard_pl"):
        rows.chosen(["standard"])
    named = {one.row for one in STATEMENTS if not isinstance(one, Above)}
    named |= {name for one in STATEMENTS if isinstance(one, Above) for name in one.rows}
    printed = {row.name for row in ROWS.values() if row.printed is not None}
    assert named == printed  # every printed number is in a statement, and every statement has printed numbers


# --- what a player does -----------------------------------------------------------------------------------------------


def test_a_seed_s_numbers_are_those_of_its_games(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "JUDGING", (*rows.JUDGING, *TINY))
    scenario, heard = ROWS["two_sided_exp"].scenario(), []
    found = measure(scenario, 1, 16, None, heard.append)
    market = scenario.judged.market
    many = play_many(market, {"mm_0": scenario.players["mm_0"].sit(market, "mm_0")}, "mm_0", 16, measured.FIRST + 1)
    assert [(one.sharpe, one.se) for one in found.fees] == [(many.sharpe(f).value, many.sharpe(f).se) for f in FEES]
    assert (found.held, found.fills) == (many.size.mean(), many.filled.sum() / 16)
    assert heard == [16]
    idle = measure(scenario.model_copy(update={"players": {"mm_0": NOBODY}}), 0, 4, None)
    assert (idle.verdict, idle.fills, [one.sharpe for one in idle.fees]) == ("idle", 0.0, [None] * len(FEES))


class Nobody:
    def sit(self, market: Any, seat: str) -> Any:
        return lambda seen, noise: np.full((len(seen), 1), float(market.roles[0].action.idle))


NOBODY = Nobody()


def test_both_errors_of_a_mean_over_seeds() -> None:
    one = summary(file_of("standard_exp", 10.0, 20.0), 1e-4)
    assert one is not None
    assert (one.sharpe, one.games, one.seeds) == (15.0, 8000, 2)
    assert one.over_games == pytest.approx(math.sqrt(2) / 2)
    assert one.over_seeds == pytest.approx(5.0)
    assert one.half == pytest.approx(12.7062 * 5.0, rel=1e-4)  # Student, one degree of freedom
    alike = summary(file_of("standard_exp", 10.0, 10.0, 10.0, se=3.0), 1e-4)
    assert alike is not None
    assert (alike.se, alike.half) == (pytest.approx(3**0.5), pytest.approx(1.95996 * 3**0.5, rel=1e-4))
    assert summary(file_of("standard_exp", 10.0, None), 1e-4) is None
    assert summary(file_of("standard_exp", 10.0), 3e-4) is None
    assert mean(file_of("standard_exp", 10.0, 20.0), "push") == pytest.approx(-0.2)


# --- verdicts ---------------------------------------------------------------------------------------------------------

BETTER, WORSE = file_of("standard_exp", 30.0, 31.0, 32.0), file_of("standard_pl", 9.0, 10.0, 11.0)
PUMP = "pump and dump"


@pytest.mark.parametrize(
    ("statement", "files", "word"),
    [
        (Above("", ("standard_exp", "standard_pl")), [BETTER, WORSE], "holds"),
        (Above("", ("standard_pl", "standard_exp")), [BETTER, WORSE], "does not hold"),
        (Above("", ("standard_exp", "standard_pl")), [BETTER, file_of("standard_pl", 20.0, 30.0, 42.0)],
         "cannot be told"),
        (Above("", ("standard_exp", "standard_pl")), [BETTER, file_of("standard_pl", 9.0, 10.0)], "cannot be told"),
        (Above("", ("standard_exp", "probabilistic_exp")), [BETTER, file_of("probabilistic_exp", 9.0)], "holds"),
        (Above("", ("standard_exp", "standard_pl")), [BETTER], "is not run"),
        (Signed("", "standard_exp", 1), [BETTER], "holds"),
        (Signed("", "standard_exp", -1), [BETTER], "does not hold"),
        (Signed("", "standard_exp", 1), [file_of("standard_exp", -5.0, 6.0, 1.0)], "cannot be told"),
        (Signed("", "standard_exp", 1), [file_of("standard_exp", None, 6.0, 1.0)], "cannot be told"),
        (Signed("", "standard_exp", 1), [], "is not run"),
        (Called("", "standard_exp", PUMP), [file_of("standard_exp", *[1.0] * 5, verdicts=(PUMP,) * 4 + ("maker",))],
         "holds"),
        (Called("", "standard_exp", PUMP), [file_of("standard_exp", *[1.0] * 5, verdicts=("idle",) * 4 + (PUMP,))],
         "does not hold"),
        (Called("", "standard_exp", PUMP), [file_of("standard_exp", *[1.0] * 5, verdicts=(PUMP,) * 3 + ("idle",) * 2)],
         "cannot be told"),
        (Called("", "standard_exp", "maker"), [file_of("standard_exp", 1.0)], "cannot be told"),
        (Called("", "standard_exp", "maker"), [], "is not run"),
    ],
)  # fmt: skip
def test_a_verdict_follows_from_rows_and_errors(statement: Any, files: list[RowFile], word: str) -> None:
    found = statement.verdict({file.row: file for file in files})
    assert found.word == word
    assert found.why


def test_a_verdict_says_what_the_paper_s_own_sample_could_tell() -> None:
    tells = {one.words: one.verdict({}).paper_tells for one in STATEMENTS}
    assert tells["The exponential kernel beats the power law"] is False
    assert tells["At 8 bp it loses, power law"] is True
    assert tells["η = 1: pump and dump"] is None
    assert classes(file_of("standard_exp", 1.0, 1.0, 1.0, verdicts=("a", PUMP, PUMP))) == {PUMP: 2, "a": 1}


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_row_file_is_what_was_written_or_says_that_it_is_not(tmp_path: Path) -> None:
    row, file = ROWS["two_sided_exp"], file_of("two_sided_exp", 30.5)
    wanted = {0: 4000}
    assert standing(tmp_path, row, "now", wanted).state == "missing"
    row_files.write(tmp_path, file)
    back = row_files.read(tmp_path, row.name)
    assert back is not None
    assert back.seeds == file.seeds
    assert standing(tmp_path, row, "now", wanted).state == "finished"
    assert standing(tmp_path, row, "now", {0: 2000}).state == "finished"
    begun = standing(tmp_path, row, "now", {0: 4001, 1: 10})
    assert (begun.state, begun.reason) == ("begun", "begun: 0 of 2 seeds; to do: 0, 1")
    assert standing(tmp_path, row, "later", wanted)[:2] == (
        "stale", "stale (sources hash now.. is not later.. of today)",
    )  # fmt: skip
    row_files.write(tmp_path, file.model_copy(update={"scenario_sha256": "x"}))
    assert standing(tmp_path, row, "now", wanted).reason.startswith("stale (scenario hash x.. is not ")
    path = tmp_path / "two_sided_exp.json"
    path.write_text(path.read_text().replace("30.5", "99.5"))
    assert standing(tmp_path, row, "now", wanted).state == "damaged"
    with pytest.raises(RowFileError, match=r"two_sided_exp\.json is damaged: its sha256 does not match its content"):
        row_files.read(tmp_path, row.name)
    told = hawkes_book.markdown("tables", tmp_path)
    assert "99.5" not in told
    assert "is damaged" in told
    path.write_text("[]")
    with pytest.raises(RowFileError, match=r"it cannot be read \(AttributeError\)"):
        row_files.read(tmp_path, row.name)


def test_the_page_shows_what_has_been_played(tmp_path: Path) -> None:
    assert "No row has been played yet" in hawkes_book.markdown("tables", tmp_path)
    row_files.write(tmp_path, BETTER)
    table = hawkes_book.markdown("tables", tmp_path)
    assert "| standard | exponential | 31.54 | 31.0 ± 2.5 | 0.6 | 0.6 |" in table
    assert "maker 3/3 | 3, 12000 |" in table
    assert "No row" not in table
    assert "| holds | 31.0 ± 2.5 |" in hawkes_book.markdown("statements", tmp_path)
    assert "20733" in hawkes_book.markdown("power", tmp_path)
    with pytest.raises(KeyError, match="found 'page'; allowed are tables, statements, power"):
        hawkes_book.markdown("page", tmp_path)
    made = hawkes_book.reproduction(lambda _: None, tmp_path)
    assert made.headline.startswith(f"Of {len(STATEMENTS)} statements 2 have been run: 2 hold")
    assert len(made.sections[0].figures) == 1
    json.dumps([section.data for section in made.sections])
