"""Settings whose class is found by a name in the file: the market by its `model`, each player by its `kind`.

`Scenario` annotates two fields with these. What may stand there is open: it is read off the catalogue and the market's
kit when a scenario is checked. Mistakes keep their place below the field, so that `arena.mistakes` finds the line.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Protocol, Union, get_args

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)  # fmt: skip
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, PydanticKnownError, core_schema

from agents.learned import Learned, Snapshot
from arena.markets import catalogue
from arena.markets.market import Act, Market
from arena.mistakes import did_you_mean, show

EVERYWHERE = (Learned, Snapshot)
"""Players that fit every seat of every market."""
_PYDANTICS_OWN = frozenset(get_args(core_schema.ErrorType))


class Recipe(Protocol):
    """A player as plain data: a frozen settings class that a market's kit lists under the roles that it fits.

    It may have `misfits(market) -> list of sentences`, "field: found ...; allowed is ...", which loading asks.
    """

    @property
    def kind(self) -> str:
        """Its name in a scenario."""
        ...

    def sit(self, market: Any, seat: str) -> Act:
        """The act with which it plays a seat; raises ValueError where it cannot."""
        ...

    def model_dump_json(self) -> str:
        """Its settings as JSON."""
        ...


class _Named:
    """A field whose class is only known from its content: checked and written by functions, described by a schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(self.write, info_arg=True)
        return core_schema.with_info_plain_validator_function(self.read, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(self.described())

    def read(self, value: Any, info: ValidationInfo) -> Any:
        """The field's value from what stands in a file; raises pydantic's ValidationError."""
        raise NotImplementedError

    def write(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """The plain data that `read` gives the value back from."""
        raise NotImplementedError

    def described(self) -> CoreSchema:
        """What may stand there, for the JSON schema."""
        raise NotImplementedError


class ByModel(_Named):
    """A market, of the class that the catalogue has under its `model`; a market that names none is a dealer's."""

    def read(self, value: Any, info: ValidationInfo) -> Market:
        """The market; raises PydanticKnownError or ValidationError for what is no mapping, names no known model or is
        refused by its class."""
        known = catalogue.packages()
        model = value.get("model", catalogue.DEFAULT) if isinstance(value, dict) else getattr(value, "model", None)
        if not isinstance(value, dict | BaseModel) or model is None:
            raise PydanticKnownError("model_type", {"class_name": "Market"})
        if not isinstance(model, str) or model not in known:
            names = [f"'{name}'" for name in sorted(known)]
            expected = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
            wrong = InitErrorDetails(type="literal_error", loc=("model",), input=model, ctx={"expected": expected})
            raise ValidationError.from_exception_data("Market", [wrong])
        return _checked(TypeAdapter(catalogue.market_of(model)), value, info)

    def write(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """Every setting, `model` among them."""
        return value.model_dump(mode=info.mode)

    def described(self) -> CoreSchema:
        """Any of the markets that are known now."""
        known = {model: TypeAdapter(catalogue.market_of(model)).core_schema for model in sorted(catalogue.packages())}
        return core_schema.tagged_union_schema(known, discriminator="model")


class BySeat(_Named):
    """A player per seat, of a class that the market's kit lists for the seat's role; a seat left out learns."""

    def read(self, value: Any, info: ValidationInfo) -> dict[str, Recipe]:
        """Players of all seats, in the market's order; where the market itself is wrong, those that are given.

        Raises PydanticKnownError for what is no mapping, ValidationError for players that do not fit their seats.
        """
        if not isinstance(value, dict):
            raise PydanticKnownError("dict_type")
        market: Market | None = info.data.get("market")
        roles = {seat: role.name for role in market.roles for seat in role.agents} if market else dict.fromkeys(value)
        found: dict[str, Any] = {}
        wrong: list[InitErrorDetails] = []
        misplaced: list[str] = []
        for seat, player in value.items():
            if seat not in roles:
                misplaced.append(f"{seat}: no such seat; allowed are {', '.join(roles)}{did_you_mean(seat, roles)}")
                continue
            fitting = _fitting(market, roles[seat]) if market else _everybody()
            kind = player.get("kind") if isinstance(player, dict) else getattr(player, "kind", None)
            if isinstance(kind, str) and kind not in _kinds(fitting) and kind in _kinds(_everybody()):
                words = f"found {kind!r}, which is not for {roles[seat]}s; allowed are {', '.join(_kinds(fitting))}"
                misplaced.append(f"{seat}.kind: {words}")
                continue
            try:
                found[seat] = _checked(_choice(fitting), player, info)
            except ValidationError as error:
                wrong += [_below(seat, one) for one in error.errors(include_url=False)]
                continue
            if market and hasattr(found[seat], "misfits"):
                misplaced += [f"{seat}.{line}" for line in found[seat].misfits(market)]
        if misplaced:
            sentences = {"error": ValueError("\n".join(misplaced))}
            wrong.append(InitErrorDetails(type="value_error", input=value, ctx=sentences))
        if wrong:
            raise ValidationError.from_exception_data("players", wrong)
        return {seat: found.get(seat, Learned()) for seat in roles} if market else found

    def write(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        """Every setting of every seat's player."""
        return {seat: player.model_dump(mode=info.mode) for seat, player in value.items()}

    def described(self) -> CoreSchema:
        """Any seat, and any player of the markets that are known now."""
        return core_schema.dict_schema(core_schema.str_schema(), _choice(_everybody()).core_schema)


def _checked(adapter: TypeAdapter[Any], value: Any, info: ValidationInfo) -> Any:
    """A value by its class; what came as JSON is held to JSON's own types, as the rest of the scenario is."""
    if info.mode == "json":
        return adapter.validate_json(json.dumps(value), strict=True)
    return adapter.validate_python(value)


def recipe_of(market: Market, role: str, settings: Mapping[str, Any]) -> Recipe:
    """A player of a role from plain data, `{kind: ..., ...}`.

    Raises ValueError for a kind that does not fit the role, wrong settings, or what the player says of this market.
    """
    fitting = _fitting(market, role)
    if settings.get("kind") not in _kinds(fitting):
        raise ValueError(f"kind: found {settings.get('kind')!r}; allowed for {role}s are {', '.join(_kinds(fitting))}")
    try:
        found: Recipe = _choice(fitting).validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'][1:]))}: found {show(one['input'])}; {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise ValueError("\n".join(lines)) from None
    if hasattr(found, "misfits") and (wrong := found.misfits(market)):
        raise ValueError("\n".join(wrong))
    return found


def _fitting(market: Market, role: str | None) -> tuple[type, ...]:
    """The classes of players that fit a role."""
    return (*catalogue.kit_of(market).SEATS.get(role or "", ()), *EVERYWHERE)


def _everybody() -> tuple[type, ...]:
    """The classes of all players of all markets that are known now."""
    seats = [catalogue.kit_named(model).SEATS for model in catalogue.packages()]
    return (*dict.fromkeys(one for roles in seats for classes in roles.values() for one in classes), *EVERYWHERE)


@lru_cache(maxsize=64)
def _choice(classes: tuple[type, ...]) -> TypeAdapter[Any]:
    """One of these classes, by its `kind`."""
    union: Any = Annotated[Union[classes], Field(discriminator="kind")]  # noqa: UP007
    return TypeAdapter(union)


def _kinds(classes: Iterable[Any]) -> list[str]:
    return [one.model_fields["kind"].default for one in classes]


def _below(seat: str, error: Mapping[str, Any]) -> InitErrorDetails:
    """A mistake of one player as one of all players."""
    kind: Any = error["type"]
    if kind not in _PYDANTICS_OWN:
        kind = PydanticCustomError(kind, error["msg"])
    return InitErrorDetails(type=kind, loc=(seat, *error["loc"]), input=error["input"], ctx=error.get("ctx", {}))
