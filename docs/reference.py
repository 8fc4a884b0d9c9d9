"""Pages made from the code whenever the site is built, so that none can fall behind it."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import reference_files  # beside this file, where MkDocs looks for what a hook imports
from reference_files import cell, sentence

from runner import cli, model
from runner.report import words

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages; called by MkDocs."""
    from mkdocs.structure.files import File

    pages = {
        "cli.md": cli_page(),
        "schema.md": schema_page(),
        "files.md": reference_files.files_page(),
        "workloads.md": reference_files.workloads_page(),
    }
    for name, text in (schemas() | reference_files.schemas()).items():
        pages[f"schemas/{name}.schema.json"] = text
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


# ------------------------------------------------------------------------------- command line


def cli_page() -> str:
    """Return every command with its arguments, as argparse knows them."""
    top = cli.parser()
    parts = ["# Command line", str(top.description), "", *_exit_statuses()]
    for name, command in _commands(top, "runner"):
        parts += ["", f"## {name}", "", sentence(command.description or ""), ""]
        parts += ["```", _usage(command, name), "```", "", *_arguments(command)]
    return "\n".join(parts) + "\n"


def _exit_statuses() -> list[str]:
    found = re.search(r"Exit status: (.+?)\.\s*$", cli.__doc__ or "", re.DOTALL)
    if found is None:
        msg = "runner/cli.py's docstring no longer states the exit statuses"
        raise ValueError(msg)
    lines = ["| exit status | meaning |", "|---|---|"]
    for item in " ".join(found[1].split()).split(";"):
        number, meaning = item.strip().split(" ", 1)
        lines.append(f"| {number} | {meaning} |")
    return lines


def _commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that does something, with its help as its description."""
    for action in parser._actions:  # argparse offers no other way to ask
        if not isinstance(action, argparse._SubParsersAction):
            continue
        told = {choice.dest: choice.help for choice in action._choices_actions}
        for word, command in action.choices.items():
            command.description = command.description or told.get(word) or ""
            below = list(_commands(command, f"{name} {word}"))
            yield from below or [(f"{name} {word}", command)]


def _usage(command: argparse.ArgumentParser, name: str) -> str:
    named = [a for a in command._actions if not a.option_strings]
    return " ".join([name, *(_placeholder(action) for action in named), "[OPTIONS]"])


def _placeholder(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return f"{metavar} ..." if action.nargs in ("+", "*") else metavar


def _arguments(command: argparse.ArgumentParser) -> list[str]:
    lines = ["| argument | what | default |", "|---|---|---|"]
    for action in command._actions:
        if isinstance(action, argparse._HelpAction) or action.help is argparse.SUPPRESS:
            continue
        takes = action.nargs != 0
        shown = ", ".join(f"`{option}`" for option in action.option_strings)
        value = f"`{cell(_placeholder(action))}`" if takes else ""
        choices = f" One of {', '.join(map(str, action.choices))}." if action.choices else ""
        default = "" if action.default in (None, [], False, "") else f"`{action.default}`"
        text = sentence(action.help or "").replace("%%", "%") + choices
        lines.append(f"| {' '.join(filter(None, (shown, value)))} | {cell(text)} | {default} |")
    return lines


# ------------------------------------------------------------------------------------ records


def schemas() -> dict[str, str]:
    """Return the JSON Schema of a record and of a run, as the store reads them."""
    return {
        name: json.dumps(msgspec.json.schema(kind, schema_hook=_anything), indent=2) + "\n"
        for name, kind in (("record", model.Record), ("run", model.Run))
    }


def _anything(kind: type) -> dict[str, Any]:
    """Say of a host's facts what can be said: they are whatever JSON holds."""
    if kind is object:
        return {"description": "any value"}
    raise NotImplementedError


def schema_page() -> str:
    """Return every type that a record or a run is made of, with what its docstring says."""
    parts = [
        "# Records",
        "A run is a folder: `run.json` says what was asked for and on what machine, "
        "`records.jsonl` has one line a job, `logs/` what each job wrote. The same as JSON Schema: "
        "[a record](schemas/record.schema.json), [a run](schemas/run.schema.json).",
        "",
        "## Statuses",
        "",
        "| status | meaning |",
        "|---|---|",
        *(f"| `{status}` | {meaning} |" for status, meaning in words.STATUSES.items()),
    ]
    for kind in _kinds(model.Record, model.Run):
        parts += ["", f"## {kind.__name__}", "", _summary(kind), ""]
        parts += ["| field | type | meaning |", "|---|---|---|"]
        told = _attributes(kind)
        for one in fields(kind):
            meaning = cell(told.get(one.name, ""))
            parts.append(f"| `{one.name}` | {_type(str(one.type))} | {meaning} |")
    return "\n".join(parts) + "\n"


def _type(name: str) -> str:
    """Return a type as code, a link to its section where it has one."""
    text = f"`{name.replace('|', 'or')}`"
    known = [
        word for word in re.findall(r"[A-Z]\w+", name) if is_dataclass(getattr(model, word, 0))
    ]
    return f"[{text}](#{known[0].lower()})" if known else text


def _kinds(*roots: type[Any]) -> list[type[Any]]:
    """Return the roots and every dataclass that they are made of, each once."""
    found: list[type[Any]] = []
    todo = list(roots)
    while todo:
        kind = todo.pop(0)
        if kind in found:
            continue
        found.append(kind)
        for one in fields(kind):
            names = re.findall(r"[A-Z]\w+", str(one.type))
            known = (getattr(model, name, None) for name in names)
            todo += [other for other in known if is_dataclass(other) and isinstance(other, type)]
    return found


def _summary(kind: type[Any]) -> str:
    text = inspect.getdoc(kind) or ""
    return " ".join(text.split("Attributes:")[0].split()).replace("``", "`")


def _attributes(kind: type[Any]) -> dict[str, str]:
    """Return what a docstring says of each attribute; names that share a line share the text."""
    text = inspect.getdoc(kind) or ""
    if "Attributes:" not in text:
        return {}
    told: dict[str, str] = {}
    names: list[str] = []
    for line in text.split("Attributes:")[1].splitlines():
        head = re.match(r" {4}([a-z]\w*(?:, [a-z]\w*)*): (.*)", line)
        if head:
            names = head[1].split(", ")
            told.update(dict.fromkeys(names, head[2]))
        elif line.strip():
            told.update({name: f"{told[name]} {line.strip()}" for name in names})
    return {name: text.replace("``", "`") for name, text in told.items()}
