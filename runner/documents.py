"""Reading YAML that people write: safely, held to a schema, every problem at once with its line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runner.errors import ConfigurationError

SCHEMAS = Path(__file__).parent / "schemas"

# libyaml's, ten times as fast, where PyYAML was built with it; both are safe.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Location = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A parsed file: plain data, and the line of each place in it."""

    path: str
    text: str
    data: Any
    lines: dict[Location, int]

    def problem(self, place: Location, message: str) -> str:
        """Return `message` with the place's line and path before it."""
        where = self.lines.get(place)
        named = _path(place)
        return f"line {where or '?'}: {named}: {message}" if named else f"line 1: {message}"


def hint(name: str, known: Collection[str]) -> str:
    """Return what to say after an unknown name: the nearest known one, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {', '.join(sorted(known))}" if known else "there is none"


def read(path: Path, shown: str, schema_name: str) -> Document:
    """Read a YAML file and hold it to schemas/`schema_name`.

    Raises:
        ConfigurationError: it cannot be read, is no YAML, or breaks the schema; each problem
            with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(shown, [f"cannot be read: {reason}"]) from None
    try:
        tree = yaml.compose(text, Loader=_LOADER)
        data = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ConfigurationError(shown, [_syntax(error)]) from None
    lines: dict[Location, int] = {}
    repeated = list(_walk(tree, (), lines)) if tree is not None else []
    document = Document(path=shown, text=text, data=data, lines=lines)
    problems = repeated + [
        document.problem(place, message) for place, message in _breaches(data, schema_name)
    ]
    if problems:
        raise ConfigurationError(shown, problems)
    return document


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f"line {mark.line + 1}: "
    return f"{where}not YAML: {getattr(error, 'problem', None) or error}"


def _walk(node: yaml.Node, place: Location, lines: dict[Location, int]) -> Iterator[str]:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                yield (
                    f"line {line}: {_path((*place, key.value))}: "
                    f"given twice, first in line {seen[key.value]}"
                )
            seen[key.value] = line
            yield from _walk(value, (*place, key.value), lines)
            lines[(*place, key.value)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*place, index), lines)


def _breaches(data: object, schema_name: str) -> Iterator[tuple[Location, str]]:
    import jsonschema  # takes 100 ms to import, and is needed only where YAML is read

    schema = json.loads((SCHEMAS / schema_name).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(data), key=lambda e: [str(p) for p in e.path]):
        place = tuple(error.absolute_path)
        instance: Any = error.instance
        rule: Any = error.validator_value
        match error.validator:
            case "additionalProperties":
                known = list(error.schema["properties"])
                for key in sorted(set(map(str, instance)) - set(known)):
                    yield (*place, key), f"unknown key; {hint(key, known)}"
            case "required":
                # the library repeats the error for each missing key; its message names the key
                yield place, f"{error.message.split(' ')[0]} is missing"
            case "enum":
                known = [str(value) for value in rule]
                yield place, f"{instance!r} is not known; {hint(str(instance), known)}"
            case "const":
                yield place, f"is {instance!r}; this version of runner reads {rule!r}"
            case "type":
                wanted = rule if isinstance(rule, str) else " or ".join(rule)
                yield place, f"expected {wanted}, found {_kind(instance)}"
            case _:
                yield place, error.message


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value), repr(value))


def _path(place: Location) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
