"""A market that the house has never seen: its file is read, checked and written like any other's."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field, ValidationError

from agents.makers import ConstantSpread
from arena.layout import STRICT, Layout
from arena.layout import Field as Column
from arena.markets import catalogue
from arena.markets.market import Clock, Role, Rows
from arena.mistakes import ScenarioError
from arena.scenario import Scenario, dump, json_schema, load, loads

MODELS = ", ".join(f"'{name}'" for name in sorted(catalogue.BUILT_IN))
TEXT = """schema_version: 1
name: well
market:
  model: well
  clock: {steps: 3}
  depths: [1, 2.5]
players:
  a: {kind: bucket, litres: 2}
"""


class Well(BaseModel):
    """Two who draw water."""

    model_config = STRICT
    model: Literal["well"] = "well"
    clock: Clock = Clock()
    depths: tuple[float, ...] = Field((1.0,), description="metres")

    @property
    def roles(self) -> tuple[Role, ...]:
        """Drawers."""
        seen = Layout([Column("time_left")])
        return (Role("drawer", ("a", "b"), seen, Layout([Column("speed", (), (), "", 0.0, 1.0)]), Rows("drawn", ())),)


class Bucket(BaseModel):
    """Draws so much a step."""

    model_config = STRICT
    kind: Literal["bucket"] = "bucket"
    litres: float = Field(1.0, gt=0)

    def misfits(self, market: Well) -> list[str]:
        """Deep wells need small buckets."""
        most = 10.0 / max(market.depths)
        return [f"litres: found {self.litres:g}; allowed is {most:g} or less"] if self.litres > most else []

    def sit(self, market: Well, seat: str) -> object:
        """Not needed here."""
        return lambda observation, noise: np.full((len(observation), 1), self.litres)


@pytest.fixture(autouse=True)
def well(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    market, kit = ModuleType("a_well.market"), ModuleType("a_well.kit")
    market.Market = Well  # type: ignore[attr-defined]
    kit.SEATS = {"drawer": (Bucket,)}  # type: ignore[attr-defined]
    for name, module in {"a_well": ModuleType("a_well"), "a_well.market": market, "a_well.kit": kit}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(catalogue, "_added", {})
    catalogue.add("well", "a_well")
    return


def test_it_loads_and_what_is_resolved_loads_back() -> None:
    scenario = loads(TEXT)
    assert scenario.market == Well(clock=Clock(steps=3), depths=(1.0, 2.5))
    assert scenario.players["a"] == Bucket(litres=2.0)
    assert scenario.players["b"].kind == "learned"
    assert loads(dump(scenario)) == scenario == Scenario.model_validate_json(scenario.model_dump_json())
    assert loads(dump(scenario)).hash == scenario.hash != loads(TEXT.replace("2.5", "2.25")).hash
    assert Scenario.model_validate(scenario.model_dump()) == scenario
    assert Scenario(name="well", market=Well()).market == Well()


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("depths", "dephts"), 6, "market.dephts: unknown key; allowed are model, clock, depths (did you mean"),
        (("[1, 2.5]", "[1, '2']"), 6, "market.depths[1]: found '2'; allowed is a number"),
        (("steps: 3", "steps: 0"), 5, "market.clock.steps: found 0; allowed is 1 or more"),
        (("model: well", "model: wel"), 4, f"market.model: found 'wel'; allowed is {MODELS} or 'well' (did you mean"),
        (("litres: 2", "litres: 0"), 8, "players.a.litres: found 0; allowed is greater than 0"),
        (("litres: 2", "litres: 5"), 8, "players.a.litres: found 5; allowed is 4 or less"),
        (("litres: 2", "liters: 2"), 8, "players.a.liters: unknown key; allowed are kind, litres (did you mean"),
        (("bucket", "twap"), 8, "players.a.kind: found 'twap', which is not for drawers; allowed are bucket, learned,"),
        (("bucket", "buckt"), 8, "players.a.kind: found 'buckt'; allowed is 'bucket', 'learned', 'snapshot' (did you"),
        (("  a:", "  c:"), 8, "players.c: no such seat; allowed are a, b"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_on_their_line(change: tuple[str, str], line: int, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        loads(TEXT.replace(*change), source="f")
    (mistake,) = refused.value.mistakes
    where, sentence = mistake.split(": ", 1)
    assert where.split(":")[:2] == ["f", str(line)]
    assert sentence.startswith(words)


def test_mistakes_of_several_seats_and_of_the_market_come_at_once() -> None:
    wrong = TEXT.replace("steps: 3", "steps: 0").replace("litres: 2}", "litres: 0}\n  b: {kind: buckt}")
    with pytest.raises(ScenarioError) as refused:
        loads(wrong)
    paths = [mistake.split(": ")[1] for mistake in refused.value.mistakes]
    assert paths == ["market.clock.steps", "players.a.litres", "players.b.kind"]


def test_a_dealer_is_told_its_own_players() -> None:
    with pytest.raises(ScenarioError, match=r"found 'bucket', which is not for makers; allowed are constant_spread, "):
        load("two_mm_one_trader", ["players.mm_0={kind: bucket}"])
    with pytest.raises(ValidationError, match="is not for drawers"):
        Scenario(name="well", market=Well(), players={"a": ConstantSpread()})


def test_the_schema_lists_every_market_and_every_player() -> None:
    schema = json_schema()
    assert {one["$ref"] for one in schema["properties"]["market"]["oneOf"]} == {
        *(f"#/$defs/{catalogue.market_of(name).__name__}" for name in catalogue.BUILT_IN), "#/$defs/Well"
    }  # fmt: skip
    players = schema["properties"]["players"]["additionalProperties"]["discriminator"]["mapping"]
    assert {"bucket", "constant_spread", "twap", "learned", "snapshot"} <= set(players)
    assert "description" in schema["properties"]["market"]


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match=r"'dealer' is arena.markets.dealer"):
        catalogue.add("dealer", "a_well")
    with pytest.raises(
        ValueError,
        match=rf"found 'wells'; allowed are {', '.join(sorted(catalogue.BUILT_IN))}, well; did you mean 'well'\?",
    ):
        catalogue.market_of("wells")
