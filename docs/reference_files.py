"""Pages on the files that people write and the work that they name; docs/reference.py adds them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files as resources
from statistics import mode
from typing import Any

from runner.parameters import Parameter
from runner.workloads import WORKLOADS

Schema = Mapping[str, Any]
FILES = {
    "matrix": "`matrix.yaml` says what is measured: suites of cells, and profiles that say how "
    "often.",
    "image": "`images/NAME/image.yaml` states what an image is, and whether it can run.",
}


def schemas() -> dict[str, str]:
    """Return the JSON Schemas that the program holds its files to."""
    return {name: json.dumps(schema(name), indent=2) for name in FILES}


def schema(name: str) -> Schema:
    """Return a JSON Schema that the program holds its files to."""
    text = resources("runner").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    loaded: Schema = json.loads(text)
    return loaded


# -------------------------------------------------------------------------------------- files


def files_page() -> str:
    """Return every key of the files that people write, with what its schema says."""
    parts = ["# Files", "What is wrong in a file is told all at once, with its line."]
    for name, what in FILES.items():
        whole = schema(name)
        link = f"[JSON Schema](schemas/{name}.schema.json)"
        parts += ["", f"## {name}.yaml", "", f"{what} {link}, for editors too.", ""]
        parts += ["| key | type | meaning |", "|---|---|---|", *_keys(whole, whole, "")]
        for part, inner in whole.get("$defs", {}).items():
            if "properties" in inner:
                parts += ["", f"### {name}.yaml: {part}", ""]
                about = inner.get("description", "")
                parts += [sentence(about), ""] if about else []
                parts += ["| key | type | meaning |", "|---|---|---|", *_keys(inner, whole, "")]
    return "\n".join(parts) + "\n"


def _keys(part: Schema, whole: Schema, above: str) -> Iterator[str]:
    """Yield a line a key; keys of a mapping that has no name of its own follow it."""
    required = part.get("required", ())
    for key, one in part["properties"].items():
        star = " (required)" if key in required else ""
        meaning = one.get("description") or _resolved(one, whole).get("description", "")
        yield f"| `{above}{key}`{star} | {_type(one, whole)} | {cell(meaning)} |"
        if "properties" in one:
            yield from _keys(one, whole, f"{above}{key}.")
        elif "properties" in one.get("items", {}):
            yield from _keys(one["items"], whole, f"{above}{key}[].")


def _resolved(one: Schema, whole: Schema) -> Schema:
    if "$ref" not in one:
        return one
    found = whole
    for name in one["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _type(one: Schema, whole: Schema) -> str:
    found = _resolved(one, whole)
    if "$ref" in one and "properties" in found:
        return f"`{one['$ref'].rpartition('/')[2]}`, below"
    if "enum" in found:
        return " or ".join(f"`{value}`" for value in found["enum"])
    if "const" in found:
        return f"`{found['const']}`"
    names = found.get("type", "")
    kind = " or ".join([names] if isinstance(names, str) else names)
    if "items" in found and "properties" not in found["items"]:
        return f"{kind} of {_type(found['items'], whole)}"
    values = found.get("additionalProperties")
    if isinstance(values, dict):
        return f"name to {_type(values, whole)}"
    return kind + _bounds(found)


def _bounds(found: Schema) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    told = [f"{word} {found[key]}" for key, word in words.items() if key in found]
    return f", {' '.join(told)}" if told else ""


# ---------------------------------------------------------------------------------- workloads


def workloads_page() -> str:
    """Return every workload with its parameters, as the host holds jobs to them."""
    every = {name: mode(found) for name, found in _found().items()}
    parts = [
        "# Workloads",
        "A workload is a named piece of work with parameters. A suite of `matrix.yaml` fixes some, "
        "varies others (`axes`), and leaves the rest at their defaults. What each computes is in "
        "`scripts/networks.py`; the counts here are stated apart from it, so that a slip is found.",
        "",
        "| workload | what | trainable numbers | its own defaults |",
        "|---|---|---|---|",
    ]
    for work in WORKLOADS.values():
        own = [
            f"`{one.name}={_value(one.default)}`"
            for one in work.parameters
            if one.default != every[one.name].default or one.name == "batch"
        ]
        count = f"{work.parameter_count:,}"
        parts.append(f"| `{work.name}` | {cell(work.title)} | {count} | {', '.join(own)} |")
    parts += ["", "## Parameters", "", "| parameter | default | values | what | of |"]
    parts.append("|---|---|---|---|---|")
    parts += [_parameter(one) for one in every.values()]
    return "\n".join(parts) + "\n"


def _found() -> dict[str, list[Parameter]]:
    """Return each parameter by its name, as each workload has it."""
    found: dict[str, list[Parameter]] = {}
    for work in WORKLOADS.values():
        for one in work.parameters:
            found.setdefault(one.name, []).append(one)
    return found


def _having(name: str) -> list[str]:
    return [work.name for work in WORKLOADS.values() if name in {p.name for p in work.parameters}]


def _parameter(one: Parameter) -> str:
    having = _having(one.name)
    of = ", ".join(f"`{name}`" for name in having)
    if having == _having("optimizer"):
        of = "networks"
    elif len(having) == len(WORKLOADS):
        of = "all"
    number = "a number above 0" if one.lowest is None else f"a number from {one.lowest:g}"
    values = " ".join(f"`{_value(value)}`" for value in one.choices)
    if not values:
        values = number if isinstance(one.default, int | float) else "text"
    what = f"{one.help} (`as-published` only)" if one.kind == "switch" else one.help
    return f"| `{one.name}` | `{_value(one.default)}` | {values} | {cell(what)} | {of} |"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --------------------------------------------------------------------------------------- text


def sentence(text: str) -> str:
    """Return a phrase with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}." if text and not text.endswith(".") else text


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table may hold it."""
    return text.replace("|", "\\|").replace("<", "&lt;")
