"""The YAML reader and the wording of mistakes, on a small model that has every kind of choice a scenario has."""

import pickle
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from arena.layout import STRICT
from arena.mistakes import ScenarioError, override, read, sentences


class Square(BaseModel):
    model_config = STRICT
    kind: Literal["square"]
    side: float = Field(gt=0)


class Circle(BaseModel):
    model_config = STRICT
    kind: Literal["circle"]
    radius: int


class Curve(BaseModel):
    model_config = STRICT
    t: tuple[float, ...]
    value: tuple[float, ...]


class Drawing(BaseModel):
    model_config = STRICT
    paper: Literal["a4", "a5"]
    shape: Annotated[Square | Circle, Field(discriminator="kind")]
    shade: float | tuple[float, ...] | Curve = 0.0
    more: tuple[Square, ...] = ()
    notes: dict[str, float] = {}

    @model_validator(mode="after")
    def _check(self) -> "Drawing":
        if self.shade == 3.0:
            raise ValueError(
                "shade: found 3; allowed is another\nmore[0].side: found it; allowed is wider\nplain sentence"
            )
        return self


def mistakes(text: str, *overrides: str) -> list[str]:
    document = read(text, "f.yaml")
    for one in overrides:
        override(document, one)
    try:
        Drawing.model_validate(document.tree)
    except ValidationError as error:
        return [*document.mistakes, *sentences(document, error, Drawing)]
    return document.mistakes


GOOD = "paper: a4\nshape: {kind: square, side: 1}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, []),
        (
            "paper: a6\nshape: {kind: square, side: 1}\n",
            ["f.yaml:1:8: paper: found 'a6'; allowed is 'a4' or 'a5'"],
        ),
        ("shape: {kind: square, side: 1}\n", ["f.yaml:1:1: paper: missing; it must be given"]),
        (
            "paper: a4\nshape: {kind: sqare}\n",
            ["f.yaml:2:15: shape.kind: found 'sqare'; allowed is 'square', 'circle' (did you mean 'square'?)"],
        ),
        (
            "paper: a4\nshape: {side: 1}\n",
            ["f.yaml:2:8: shape: found a mapping; allowed is a mapping that names its 'kind'"],
        ),
        (
            "paper: a4\nshape: {kind: circle, radus: 1}\n",
            [
                "f.yaml:2:8: shape.radius: missing; it must be given",
                "f.yaml:2:23: shape.radus: unknown key; allowed are kind, radius (did you mean 'radius'?)",
            ],
        ),
        (
            "paper: a4\nshape: {kind: square, side: -1}\n",
            ["f.yaml:2:29: shape.side: found -1; allowed is greater than 0"],
        ),
        (
            "paper: a4\nshape: {kind: square, side: .inf}\n",
            ["f.yaml:2:29: shape.side: found inf; allowed is a finite number"],
        ),
        (
            "paper: a4\nshape: {kind: square, side: .nan}\n",
            ["f.yaml:2:29: shape.side: found nan; allowed is a finite number"],
        ),
        (
            "paper: a4\nshape: {kind: circle, radius: 1.5}\n",
            ["f.yaml:2:31: shape.radius: found 1.5; allowed is a whole number"],
        ),
        (
            GOOD + "shade: dark\n",
            ["f.yaml:3:8: shade: found 'dark'; allowed is a number, or a list, or a mapping with the keys t, value"],
        ),
        (GOOD + "shade: [1, x]\n", ["f.yaml:3:12: shade[1]: found 'x'; allowed is a number"]),
        (GOOD + "shade: {t: [1], vale: [2]}\n", [
            "f.yaml:3:8: shade.value: missing; it must be given",
            "f.yaml:3:17: shade.vale: unknown key; allowed are t, value (did you mean 'value'?)",
        ]),
        (GOOD + "more:\n  - {kind: square, side: 1}\n  - 4\n", [
            "f.yaml:5:5: more[1]: found 4; allowed is a mapping with the keys kind, side",
        ]),
        (GOOD + "notes: {x: a}\n", ["f.yaml:3:12: notes.x: found 'a'; allowed is a number"]),
        (GOOD + "papr: 1\npaper: a5\n", [
            "f.yaml:4:1: paper: duplicate key, first given at 1:1; allowed is one entry per key",
            "f.yaml:3:1: papr: unknown key; allowed are paper, shape, shade, more, notes (did you mean 'paper'?)",
        ]),
        (GOOD + "shade: 3\nmore: [{kind: square, side: 1}]\n", [
            "f.yaml:3:8: shade: found 3; allowed is another",
            "f.yaml:4:29: more[0].side: found it; allowed is wider",
            "f.yaml:1:1: scenario: plain sentence",
        ]),
    ],
)  # fmt: skip
def test_every_kind_of_mistake_has_its_place_and_its_remedy(text: str, expected: list[str]) -> None:
    assert mistakes(text) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("shape.side=2", []),
        ("shape={kind: circle, radius: 2}", []),
        ("notes.depth=1e-3", []),
        ("shape.side=-2", ["--set shape.side=-2: shape.side: found -2; allowed is greater than 0"]),
        ("sape.side=2", ["--set sape.side=2: sape: unknown key; allowed are paper, shape, shade, more, notes"
                         " (did you mean 'shape'?)"]),
        ("paper", ["--set paper: no 'key=value'; allowed is a dotted key, '=' and a YAML value"]),
        ("paper.x=1", ["--set paper.x=1: paper: 'a4' has no keys; allowed is a path to an existing mapping or list"]),
        ("more.3.side=1", ["--set more.3.side=1: more.3: no such entry; allowed are 0 to 0"]),
        ("more[0].side=0", ["--set more[0].side=0: more[0].side: found 0; allowed is greater than 0"]),
        ("shade=[1, {", ["--set shade=[1, {:1:6: broken YAML: while parsing a flow node expected the node content, but"
                         " found '<stream end>'; allowed is one YAML 1.2 document"]),
    ],
)  # fmt: skip
def test_overrides_are_checked_like_the_file(change: str, expected: list[str]) -> None:
    assert mistakes(GOOD + "more: [{kind: square, side: 1}]\n", change) == expected


def test_an_override_is_yaml_1_2() -> None:
    document = read(GOOD, "f.yaml")
    for text in ("shape.side=1e-3", "notes.a=on", "shade=[1, 2]"):
        override(document, text)
    assert document.tree["shape"]["side"] == 0.001  # YAML 1.1 reads a string here
    assert document.tree["notes"]["a"] == "on"  # and a truth value here
    assert document.tree["shade"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: [1\nb: 2", "f:2:2", "broken YAML"),
        ("", "f:1:1", "the file is empty"),
        ("--- 1\n--- 2", "f:2:1", "expected a single document"),
        ("a: *b", "f:1:4", "undefined alias"),
        ("&a [*a]", "f:1:1", "too deep or too large"),
        ("[" * 2000, "f:1:41", "nested too deeply"),
        ("a: \x01", "f", "broken YAML"),
        ("a: !python/object 3", "f:1:4", "cannot be read as"),
        ("a: 2001-99-99", "f:1:4", "cannot be read as"),
        ("x: " + "9" * 5000, "f:1:4", "cannot be read as"),
        ("? [a]\n: 3", "f:1:3", "a key that is not a word"),
        ("x" * 1_000_001, "f", "1000001 characters"),
    ],
)
def test_broken_text_is_one_sentence_with_its_place(text: str, place: str, words: str) -> None:
    found = read(text, "f").mistakes
    assert len(found) == 1
    assert found[0].startswith(place + ": ")
    assert words in found[0]


def test_many_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]  # 10^12 entries
    assert any("too large" in mistake for mistake in read("\n".join(lines), "f").mistakes)


def test_the_error_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(ScenarioError(["one", "two"])))
    assert error.mistakes == ("one", "two")
    assert str(error) == "one\ntwo"
