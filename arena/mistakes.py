"""A user's YAML with the place of every key; each mistake is a sentence: where, what was found, what is allowed.

`read` keeps the tree and the marks apart, so that pydantic validates plain data and its errors are put back on a
line and column here. Nothing in this module knows what a scenario is.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KeyPath = tuple[str | int, ...]
MAX_CHARACTERS = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 40


class ScenarioError(ValueError):
    """Everything that is wrong with a scenario, one sentence per mistake in `mistakes`."""

    def __init__(self, mistakes: Sequence[str]):
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))

    def __reduce__(self) -> tuple[Any, ...]:
        return ScenarioError, (self.mistakes,)


class Place(NamedTuple):
    """Where an entry stands: its key (or, in a list, the item itself) and its value, as `file:line:column`."""

    key: str
    value: str


class Document(NamedTuple):
    """Plain data, the place of every path in it, and what is wrong with the text itself."""

    tree: Any
    places: dict[KeyPath, Place]
    mistakes: list[str]


def read(text: str, source: str) -> Document:
    """Parse YAML 1.2 and remember where everything stands; broken YAML gives a tree of None and one mistake."""
    yaml = YAML(typ="safe", pure=True)
    if len(text) > MAX_CHARACTERS:
        return Document(None, {}, [f"{source}: {len(text)} characters; allowed are {MAX_CHARACTERS}"])
    try:
        depth = 0
        for event in yaml.parse(text):  # not recursive: a text cannot exhaust the stack here
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                place = f"{source}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
                return Document(None, {}, [f"{place}: nested too deeply; allowed are {MAX_DEPTH} levels"])
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        found = " ".join(str(part).strip() for part in (error.context, error.problem) if part)
        return Document(None, {}, [f"{place}: broken YAML: {found}; allowed is one YAML 1.2 document"])
    except (YAMLError, ValueError) as error:
        found = str(error).splitlines()[0]
        return Document(None, {}, [f"{source}: broken YAML: {found}; allowed is one YAML 1.2 document"])
    if node is None:
        return Document(None, {}, [f"{source}:1:1: the file is empty; allowed is one YAML mapping"])
    reader = _Reader(yaml.constructor.construct_object, source)
    tree = reader.build(node, (), 0)
    return Document(None if reader.stopped else tree, reader.places, reader.mistakes)


class _Reader:
    """One pass over the node tree: data, places, duplicate keys and unreadable scalars."""

    def __init__(self, scalar: Callable[[Node], Any], source: str):
        self.scalar, self.source = scalar, source
        self.places: dict[KeyPath, Place] = {}
        self.mistakes: list[str] = []
        self.nodes, self.stopped = 0, False

    def place(self, node: Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def build(self, node: Node, path: KeyPath, depth: int) -> Any:
        self.places.setdefault(path, Place(self.place(node), self.place(node)))
        self.nodes += 1
        if self.stopped:
            return None
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:  # also what stops an alias that contains itself
            self.stopped = True
            self.mistakes.append(
                f"{self.place(node)}: too deep or too large; allowed are {MAX_DEPTH} levels and {MAX_NODES} entries"
            )
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        try:
            value = self.scalar(node)
        except (YAMLError, ValueError, OverflowError):
            value = node.value
            self.mistakes.append(
                f"{self.place(node)}: {show_path(path)}: {show(node.value)} cannot be read as {node.tag};"
                " allowed are numbers, words, true, false"
            )
        if isinstance(value, str) and not value.isascii():
            value = value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        return value if isinstance(value, (str, int, float, type(None))) else str(node.value)

    def mapping(self, node: MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str) or not key.isprintable() or not key:
                self.mistakes.append(
                    f"{self.place(key_node)}: {show_path(path)}: a key that is not a word; allowed are names"
                )
                continue
            child = (*path, key)
            if key in out:
                first = self.places[child].key.removeprefix(self.source + ":")
                self.mistakes.append(
                    f"{self.place(key_node)}: {show_path(child)}: duplicate key, first given at {first};"
                    " allowed is one entry per key"
                )
                continue
            self.places[child] = Place(self.place(key_node), self.place(value_node))
            out[key] = self.build(value_node, child, depth + 1)
        return out


def override(document: Document, text: str) -> None:
    """Put `a.b.0.c=value` into the document in place; what cannot be placed is added to its mistakes."""
    source = f"--set {text}"
    name, equals, value = text.partition("=")
    steps = name.strip().replace("[", ".").replace("]", "").split(".")
    if not equals or not all(steps):
        document.mistakes.append(f"{source}: no 'key=value'; allowed is a dotted key, '=' and a YAML value")
        return
    new = read(value, source) if value.strip() else Document(None, {}, [])
    if new.mistakes:
        document.mistakes.extend(new.mistakes)
        return
    node: Any = document.tree
    path: KeyPath = ()
    for step in steps[:-1]:
        key = _key(node, step)
        if isinstance(node, dict) and node.get(step) is None:
            node[step] = {}
        if key is None or not isinstance(node[key], (dict, list)):
            document.mistakes.append(_no_way(source, node, (*path, step), node[key] if key is not None else None))
            return
        node, path = node[key], (*path, key)
        document.places.setdefault(path, Place(source, source))
    key = _key(node, steps[-1])
    if key is None:
        document.mistakes.append(_no_way(source, node, (*path, steps[-1]), None))
        return
    node[key] = new.tree
    path = (*path, key)
    for old in [place for place in document.places if place[: len(path)] == path]:
        del document.places[old]
    document.places.update({(*path, *below): Place(source, source) for below in [(), *new.places]})


def _key(node: Any, step: str) -> str | int | None:
    if isinstance(node, list):
        return int(step) if step.isdecimal() and int(step) < len(node) else None
    return step if isinstance(node, dict) else None


def _no_way(source: str, node: Any, path: KeyPath, value: Any) -> str:
    if isinstance(node, list):
        return f"{source}: {show_path(path)}: no such entry; allowed are 0 to {len(node) - 1}"
    return f"{source}: {show_path(path)}: {show(value)} has no keys; allowed is a path to an existing mapping or list"


def sentences(document: Document, error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Pydantic's errors on this document, each as `file:line:column: field: what was found; what is allowed`."""
    schema = model.model_json_schema()
    found = [_Finding(document, schema, details) for details in error.errors(include_url=False)]
    lines = [sentence for finding in _one_branch_per_union(found) for sentence in finding.sentences()]
    return list(dict.fromkeys(lines))


class _Finding:
    """One pydantic error, put back on the document: the path of the data, and the union branches taken on the way."""

    def __init__(self, document: Document, schema: dict[str, Any], details: Any):
        self.document, self.schema = document, schema
        self.type, self.context = details["type"], details.get("ctx", {})
        self.message = details["msg"]
        node: Any = document.tree
        path: KeyPath = ()
        self.branches: list[tuple[KeyPath, str]] = []  # untagged unions only: a tag is already named by the data
        loc = details["loc"]
        for i, step in enumerate(loc):
            if _inside(node, step):
                node, path = node[step], (*path, step)
            elif i == len(loc) - 1 and self.type == "missing":
                path = (*path, step)
            elif not (isinstance(node, dict) and step in node.values()):
                self.branches.append((path, str(step)))
        self.node, self.path = node, path
        self.allowed = self._allowed()

    def _allowed(self) -> str:
        context = self.context
        words = {
            "greater_than": "greater than {gt}",
            "greater_than_equal": "{ge} or more",
            "less_than": "less than {lt}",
            "less_than_equal": "{le} or less",
            "multiple_of": "a multiple of {multiple_of}",
            "finite_number": "a finite number",
            "too_short": "at least {min_length} entries",
            "too_long": "at most {max_length} entries",
            "string_too_short": "at least {min_length} characters",
            "string_too_long": "at most {max_length} characters",
            "string_pattern_mismatch": "text of the form {pattern}",
            "literal_error": "{expected}",
            "union_tag_invalid": "{expected_tags}",
        }
        kinds = {"float": "a number", "int": "a whole number", "bool": "true or false", "string": "text",
                 "list": "a list", "tuple": "a list", "dict": "a mapping", "model": "a mapping"}  # fmt: skip
        if self.type in words:
            numbers = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
            return words[self.type].format(**numbers)
        if self.type == "missing":
            return "it must be given"
        if self.type == "union_tag_not_found":
            return f"a mapping that names its {context['discriminator']}"
        for name, word in kinds.items():
            if self.type.startswith(name + "_"):
                keys = _keys(self.schema, self.document.tree, self.path) if name == "model" else []
                return f"{word} with the keys {', '.join(keys)}" if keys else word
        return self.message

    def sentences(self) -> list[str]:
        if self.type in ("value_error", "assertion_error"):
            return [self._own_words(line) for line in _lines(self.context["error"])]
        path = self.path
        if self.type == "extra_forbidden":
            keys = _keys(self.schema, self.document.tree, path[:-1])
            allowed = f"allowed are {', '.join(keys)}{did_you_mean(str(path[-1]), keys)}"
            return [self._at(path, f"unknown key; {allowed}", key=True)]
        if self.type == "missing":
            return [self._at(path, "missing; it must be given", key=True)]
        node = self.node
        if self.type == "union_tag_invalid":
            path = (*path, self.context["discriminator"].strip("'"))
            node = node[path[-1]]
        hint = ""
        if self.type in ("literal_error", "union_tag_invalid") and isinstance(node, str):
            words = (self.context.get("expected") or self.context["expected_tags"]).replace(" or ", ", ").split(", ")
            hint = did_you_mean(node, [word.strip("'") for word in words])
        return [self._at(path, f"found {show(node)}; allowed is {self.allowed}{hint}")]

    def _own_words(self, line: str) -> str:
        """A validator's `field.below: sentence` points below the model it belongs to; a plain sentence at the model."""
        name, colon, rest = line.partition(": ")
        path, node = self.path, self.node
        for step in name.replace("[", ".").replace("]", "").split(".") if colon else ():
            key = _key(node, step)
            if key is None or not _inside(node, key):
                return self._at(path, line) if path == self.path else self._at(path, rest)
            node, path = node[key], (*path, key)
        return self._at(path, rest if colon else line)

    def _at(self, path: KeyPath, sentence: str, key: bool = False) -> str:
        places = self.document.places
        known = path
        while known not in places:
            known = known[:-1]
        place = places[known].key if key and known == path else places[known].value
        return f"{place}: {show_path(path)}: {sentence}"


def _lines(error: Exception) -> list[str]:
    """A validator's sentences, also of a model that it made itself."""
    if isinstance(error, ValidationError):
        return [details["msg"].removeprefix("Value error, ") for details in error.errors()]
    return str(error).splitlines() or [type(error).__name__]


def _one_branch_per_union(findings: list[_Finding]) -> list[_Finding]:
    """Of an untagged union keep the branch whose shape fits the data; if none does, one finding that lists them all."""
    unions: dict[KeyPath, dict[str, list[_Finding]]] = {}
    out = []
    for finding in findings:
        if finding.branches:
            at, branch = finding.branches[0]
            branches = unions.setdefault(at, {})
            if not branches:
                out.append(finding)
            branches.setdefault(branch, []).append(finding)
        else:
            out.append(finding)
    result: list[_Finding] = []
    for finding in out:
        if not finding.branches:
            result.append(finding)
            continue
        at = finding.branches[0][0]
        branches = unions[at]
        fits = {k: [len(one.path) > len(at) or one.type == "value_error" for one in v] for k, v in branches.items()}
        fitting = [branches[name] for name, shapes in fits.items() if all(shapes)]
        if fitting:
            best = min(fitting, key=len)
            for one in best:
                one.branches = one.branches[1:]
            result += _one_branch_per_union(best)
        else:
            first = next(one for group in branches.values() for one in group if one.path == at)
            words = [one.allowed for group in branches.values() for one in group if one.path == at]
            first.allowed = ", or ".join(dict.fromkeys(words))
            first.type, first.branches = "union", []
            result.append(first)
    return result


def _inside(node: Any, step: Any) -> bool:
    if isinstance(node, dict):
        return step in node
    return isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node)


def _keys(schema: dict[str, Any], tree: Any, path: KeyPath) -> list[str]:
    """The keys that a mapping at this path may have, read off the JSON schema."""
    level, node = _objects(schema, [schema], tree), tree
    for step in path:
        below = []
        for option in level:
            if isinstance(step, int):
                below += [option.get("items", {}), *option.get("prefixItems", [])[step : step + 1]]
            else:
                more = option.get("additionalProperties")
                below += [option.get("properties", {}).get(step) or (more if isinstance(more, dict) else {})]
        node = node[step] if _inside(node, step) else None
        level = _objects(schema, below, node)
    return list(dict.fromkeys(key for option in level for key in option.get("properties", {})))


def _objects(schema: dict[str, Any], options: Iterable[dict[str, Any]], node: Any) -> list[dict[str, Any]]:
    """References and unions resolved; where the data names its kind, only that kind."""
    out: list[dict[str, Any]] = []
    waiting = list(options)
    while waiting:
        option = waiting.pop(0)
        if "$ref" in option:
            waiting.append(schema["$defs"][option["$ref"].rsplit("/", 1)[1]])
        waiting += [branch for word in ("anyOf", "oneOf", "allOf") for branch in option.get(word, ())]
        if "properties" in option or "items" in option or "prefixItems" in option or "additionalProperties" in option:
            out.append(option)
    if isinstance(node, dict):
        named = [
            option
            for option in out
            if any(
                key in node and rule.get("const", option) == node[key]
                for key, rule in option.get("properties", {}).items()
            )
        ]
        return named or out
    return out


def show_path(path: KeyPath) -> str:
    """`market.products[1].strike`; the whole document is called 'scenario'."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "scenario"


def show(value: Any) -> str:
    """A value as a user wrote it, cut to a readable length."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
