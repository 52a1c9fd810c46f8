"""The list of mutants stays in step with the source: every one of them changes its file, and its tests are there."""

import subprocess
import sys

import pytest

from tests.mutants import LEAST, PAGE, ROOT, Mutant, Outcome, mutants, page

MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.claim)
def test_every_mutant_changes_its_file_and_names_tests_that_are_there(mutant: Mutant) -> None:
    assert not mutant.mistakes()


def test_there_are_enough_and_each_breaks_another_claim() -> None:
    assert len({mutant.claim for mutant in MUTANTS}) == len(MUTANTS) >= 40
    places = {(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}
    assert len(places) == len(MUTANTS)


def test_an_entry_that_has_rotted_is_told_in_one_sentence_each() -> None:
    entry = Mutant("arena/gaps/nash_gap.py", "claim", "no such line", "else", ("tests/test_mutants.py::test_nothing",))
    first, second = entry.mistakes()
    assert first.endswith("claim: found the old text 0 times; allowed is once: no such line")
    assert second.endswith("claim: no such test: tests/test_mutants.py::test_nothing")
    assert entry._replace(file="arena/nowhere.py").mistakes() == [
        "tests/mutants.toml: arena/nowhere.py: claim: no such file"
    ]


def test_the_table_is_that_of_this_list_and_enough_are_killed() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert all(f"| {mutant.claim} | `{mutant.file}` |" in text for mutant in MUTANTS)
    assert text.count("**nobody**") <= (1 - LEAST) * len(MUTANTS)
    told = page([Outcome(mutant, "" if i else "tests/test_x.py::test_y", 1.0) for i, mutant in enumerate(MUTANTS)])
    assert f"1 of {len(MUTANTS)} are noticed" in told
    assert told.count("**nobody**") == len(MUTANTS) - 1
    assert told.count("\n|") == text.count("\n|")


def test_unknown_words_are_refused_in_a_sentence() -> None:
    command = [sys.executable, str(ROOT / "tests" / "mutants.py"), "nosuchword"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (found.returncode, found.stderr) == (2, "no mutant has any of these words: nosuchword\n")
