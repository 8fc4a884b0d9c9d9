"""results/published/ -> documents: read, held to the schema, every problem of one at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner.documents import read
from runner.errors import ConfigurationError, RunnerError
from runner.published.asking import all_tables, row_labels, row_names, touched, unknown
from runner.published.model import WAYS, Defect, Document, PublishedTable

SCHEMA = "published.schema.json"


def load(folder: Path) -> tuple[Document, ...]:
    """Read every document under results/published, in the order of the originals' file names.

    Raises:
        ConfigurationError: a file is missing, is not YAML, or says what cannot be; all problems
            of one document at once.
    """
    documents = [load_document(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    return tuple(sorted(documents, key=lambda document: document.file))


def load_document(folder: Path) -> Document:
    """Read one document: document.yaml, revisions.yaml and defects.yaml of `folder`.

    Raises:
        ConfigurationError: as for `load`.
    """
    parts: dict[str, Any] = {}
    problems: list[str] = []
    for name in ("document", "revisions", "defects"):
        file = f"{name}.yaml"
        try:
            parts[name] = read(folder / file, file, SCHEMA).data
        except ConfigurationError as error:
            problems += [f"{file}: {problem}" for problem in error.problems]
    if not problems:
        rest = {name: parts[name] for name in ("revisions", "defects")}
        document = msgspec.convert({**parts["document"], "suite": folder.name, **rest}, Document)
        problems = _problems(document)
        if not problems:
            return document
    raise ConfigurationError(folder.name, problems)


def _problems(document: Document) -> list[str]:
    """What the schema cannot say: names that must exist, rows as wide as their header."""
    problems = []
    for revision, table in all_tables(document):
        place = f"revisions.yaml: {revision.id}" if revision else "document.yaml"
        found = [*_row_problems(table), *_name_problems(table)]
        problems += [f"{place}: table {table.id}: {problem}" for problem in found]
    for defect in document.defects:
        problems += [f"defects.yaml: {defect.id}: {each}" for each in _way_problems(defect)]
    return problems or list(_touch_problems(document))


def _way_problems(defect: Defect) -> Iterator[str]:
    """Hold a defect to saying how it comes back: by parameters, or otherwise, and not by both."""
    if bool(defect.parameters) == bool(defect.otherwise):
        found = "both" if defect.parameters else "neither"
        yield f"found {found} of parameters and otherwise, expected one of them"
    if defect.otherwise and (defect.way not in WAYS or not defect.reason):
        known = "', '".join(WAYS)
        yield f"otherwise: {defect.otherwise!r}; expected one of '{known}', a semicolon, and more"


def _touch_problems(document: Document) -> Iterator[str]:
    for defect in document.defects:
        for touch in defect.touches:
            try:
                cells = touched(document, touch)
            except RunnerError as error:
                yield f"defects.yaml: {defect.id}: {error}"
            else:
                if touch.recomputed is not None and len(cells) != 1:
                    yield f"defects.yaml: {defect.id}: recomputed is for one cell, not {len(cells)}"


def _row_problems(table: PublishedTable) -> Iterator[str]:
    for row in table.rows:
        if len(row) != len(table.columns):
            yield f"row {list(row)} has {len(row)} cells, the header {len(table.columns)}"


def _name_problems(table: PublishedTable) -> Iterator[str]:
    if missing := set(table.name_columns) - set(table.columns):
        yield f"name_columns: no column {sorted(missing)}; there are {list(table.columns)}"
        return
    names = row_names(table)
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        yield f"rows of one name: {repeated}"
    known = {*table.columns, *names, *(label for row in row_labels(table) for label in row)}
    for label in table.labels:
        if label not in known:
            yield unknown("labels: row, column or label", label, known)
    for override in table.overrides:
        if override.row not in known or override.column not in table.columns:
            yield f"overrides: no cell {override.row!r} in column {override.column!r}"
    subjects = names if table.subjects == "rows" else table.columns
    for facts in (table.shared, *table.labels.values()):
        if facts.reference is not None and facts.reference not in subjects:
            yield unknown("reference", facts.reference, subjects)
