"""docs/glossary.md: sorted, one line a word, each word explained once, and each module is there and uses the word."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r'^\| <a id="([^"]+)"></a>([^|]+) \| ([^|]+) \| `([\w/]+\.py)` \|$')
LINES = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
TABLE = [line for line in LINES if line.startswith("|")][2:]
ROWS = [match.groups() for match in map(ROW.match, TABLE) if match]


def test_every_line_of_the_table_is_a_word_a_meaning_and_a_module() -> None:
    assert len(ROWS) == len(TABLE) >= 60, [line for line in TABLE if not ROW.match(line)]


def test_words_are_sorted_and_stand_once() -> None:
    words = [word.lower() for _, word, _, _ in ROWS]
    assert words == sorted(set(words))


def test_a_link_to_a_word_is_its_name() -> None:
    for place, word, _, _ in ROWS:
        assert place == word.lower().replace(" ", "-")


@pytest.mark.parametrize(("word", "module"), [(word, module) for _, word, _, module in ROWS], ids=lambda text: text)
def test_the_module_is_there_and_uses_the_word(word: str, module: str) -> None:
    path = ROOT / module
    assert path.exists(), f"docs/glossary.md: {word} names {module}, which does not exist"
    written = re.sub(r"y$", "(y|ies)", re.sub(r"[ -]", "[ _-]?", word))
    assert re.search(written, path.read_text(encoding="utf-8"), re.IGNORECASE), f"{module} does not use the word {word}"


def test_no_other_page_explains_a_word_of_the_glossary() -> None:
    """Tables `word | meaning` stand on the glossary's page alone."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        if page.name != "glossary.md":
            assert not re.search(r"^\| *(?:word|term) *\|", page.read_text(encoding="utf-8"), re.MULTILINE), page.name
