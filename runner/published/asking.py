"""Questions to a document: tables, rows, cells with their facts, what a defect touches. Pure.

A cell's facts are inherited, the innermost winning: document, revision, table, its column's label,
its row's labels, its row's whole name, then the cell itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from runner.errors import RunnerError
from runner.published.model import (
    Document,
    Facts,
    PublishedNumber,
    PublishedTable,
    Revision,
    Touch,
)

_CELL = re.compile(r"(?P<value>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+(?:/[A-Za-z]+)?)?")


def find(documents: Sequence[Document], suite: str) -> Document:
    """Return the document of a suite.

    Raises:
        RunnerError: there is none; the message says what there is.
    """
    for document in documents:
        if document.suite == suite:
            return document
    raise RunnerError(unknown("published suite", suite, [each.suite for each in documents]))


def find_table(document: Document, table: str, revision: str | None = None) -> PublishedTable:
    """Return a table by its id, of the document itself or of one of its revisions.

    Raises:
        RunnerError: no such revision or table; the message says what there is.
    """
    tables = document.tables
    if revision is not None:
        by_id = {each.id: each for each in document.revisions}
        if revision not in by_id:
            raise RunnerError(unknown(f"revision of {document.suite}", revision, by_id))
        tables = by_id[revision].tables
    for each in tables:
        if each.id == table:
            return each
    raise RunnerError(unknown(f"table of {document.suite}", table, [each.id for each in tables]))


def row_labels(table: PublishedTable) -> tuple[tuple[str, ...], ...]:
    """Return what names each row, blanks filled from above; () for a row that only separates."""
    columns = [table.columns.index(name) for name in table.name_columns]
    above = [""] * len(columns)
    labels: list[tuple[str, ...]] = []
    for row in table.rows:
        if not any(row):
            labels.append(())
            continue
        above = [row[column] or before for column, before in zip(columns, above, strict=True)]
        labels.append(tuple(above))
    return tuple(labels)


def row_names(table: PublishedTable) -> tuple[str, ...]:
    """Return each row's labels joined, such as ``VGG16 / Flux 0.6.8+``; "" for a separator."""
    return tuple(
        (" / ".join(filter(None, labels)) or f"(row {index})") if any(row) else ""
        for index, (row, labels) in enumerate(
            zip(table.rows, row_labels(table), strict=True), start=1
        )
    )


def touched(document: Document, touch: Touch) -> frozenset[tuple[str, str]]:
    """Return the (row, column) of every cell that `touch` means.

    Raises:
        RunnerError: it names a revision, table, row or column that is not there.
    """
    table = find_table(document, touch.table, touch.revision)
    names, labels = row_names(table), row_labels(table)
    data = [name for name in table.columns if name not in table.name_columns]
    for column in touch.columns:
        if column not in data:
            raise RunnerError(unknown(f"column of {table.id}", column, data))
    for row in touch.rows:
        if row not in names and not any(row in each for each in labels):
            raise RunnerError(unknown(f"row of {table.id}", row, filter(None, names)))
    rows = [
        name
        for name, of_row in zip(names, labels, strict=True)
        if name and (not touch.rows or {name, *of_row} & set(touch.rows))
    ]
    return frozenset((row, column) for row in rows for column in touch.columns or data)


def numbers(
    document: Document, table: PublishedTable, revision: Revision | None = None
) -> tuple[PublishedNumber, ...]:
    """Return every cell of a table that is not a name, row by row, with its inherited facts."""
    defects = _defects_by_cell(document, table.id, revision.id if revision else None)
    names, labels = row_names(table), row_labels(table)
    result = []
    for name, of_row, row in zip(names, labels, table.rows, strict=True):
        for column, printed in zip(table.columns, row, strict=True):
            if not name or column in table.name_columns:
                continue
            facts = _facts(document, revision, table, column, (*of_row, name))
            value, unit = _parse_cell(printed)
            result.append(
                PublishedNumber(
                    suite=document.suite,
                    revision=revision.id if revision else None,
                    table=table.id,
                    row=name,
                    column=column,
                    printed=printed,
                    value=value,
                    unit=unit or facts.unit,
                    emphasised=printed.startswith("__"),
                    facts=facts,
                    defects=defects.get((name, column), ()),
                )
            )
    return tuple(result)


def all_numbers(document: Document) -> tuple[PublishedNumber, ...]:
    """Return every cell of the document and of its other revisions, absent ones included."""
    return tuple(
        number
        for revision, table in all_tables(document)
        for number in numbers(document, table, revision)
    )


def all_tables(document: Document) -> Iterator[tuple[Revision | None, PublishedTable]]:
    yield from ((None, table) for table in document.tables)
    for revision in document.revisions:
        yield from ((revision, table) for table in revision.tables)


def _facts(
    document: Document,
    revision: Revision | None,
    table: PublishedTable,
    column: str,
    of_row: Sequence[str],
) -> Facts:
    scopes = [document.labels, table.labels]
    layers = [document.shared, table.shared]
    if revision is not None:
        outer = replace(document.shared, software_stated={}, software_found={})
        layers = [outer if revision.inherits else Facts(), revision.shared, table.shared]
        scopes = [document.labels if revision.inherits else {}, revision.labels, table.labels]
    layers += [scope[label] for label in (column, *of_row) for scope in scopes if label in scope]
    for override in table.overrides:
        if override.column == column and override.row in of_row:
            layers.append(override.facts)
    merged = Facts()
    for layer in layers:
        merged = _merge(merged, layer)
    return merged


def _merge(outer: Facts, inner: Facts) -> Facts:
    values: dict[str, Any] = {}
    for each in fields(Facts):
        before, after = getattr(outer, each.name), getattr(inner, each.name)
        if isinstance(before, dict):
            values[each.name] = {**before, **after}
        else:
            values[each.name] = before if after is None else after
    return Facts(**values)


def _parse_cell(printed: str) -> tuple[str | None, str | None]:
    """Split a cell into value and unit; a cell without a digit has no value."""
    plain = printed.removeprefix("__").removesuffix("__").strip()
    if not re.search(r"\d", plain):
        return None, None
    match = _CELL.fullmatch(plain)
    return (match["value"], match["unit"]) if match else (plain, None)


def _defects_by_cell(
    document: Document, table: str, revision: str | None
) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for defect in document.defects:
        cells = frozenset[tuple[str, str]]().union(
            *(
                touched(document, touch)
                for touch in defect.touches
                if (touch.table, touch.revision) == (table, revision)
            )
        )
        for cell in cells:
            found[cell] = (*found.get(cell, ()), defect.id)
    return found


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"no {kind} {name!r}{hint} There are: {', '.join(names)}"
