"""Markdown pages of what is published: a list, and a suite in the shape of its original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.errors import RunnerError
from runner.published.asking import all_numbers, numbers, unknown
from runner.published.model import Document, PublishedNumber, PublishedTable, Revision
from runner.published.text import grid, settings, source_line


def list_page(documents: Sequence[Document]) -> str:
    """Return a Markdown table of what is published: one line a suite, and the sums."""
    header = ("suite", "document", "date", "tables", "numbers", "absent", "elsewhere", "defects")
    rows: list[tuple[str, ...]] = []
    for document in documents:
        cells = all_numbers(document)
        own = [cell for cell in cells if cell.revision is None]
        rows.append(
            (
                document.suite,
                f"{document.source.repository}@{document.source.commit[:7]}",
                document.source.date,
                str(len(document.tables)),
                str(sum(cell.value is not None for cell in own)),
                str(sum(cell.value is None for cell in own)),
                str(sum(c.value is not None for c in cells if c.revision is not None)),
                str(len(document.defects)),
            )
        )
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(3, len(header))]
    rows.append(("all", "", "", *sums))
    note = (
        "numbers: cells with a number in the document itself, settings and logs included; "
        "absent: cells that it leaves without one; elsewhere: numbers of its other revisions."
    )
    return f"{grid(header, rows)}\n\n{note}\n"


def suite_page(document: Document, revision: str | None = None) -> str:
    """Return the results of a suite in the shape of the original, then what is known of them.

    Args:
        document: from `find`.
        revision: id of another revision to show in place of the document itself.

    Raises:
        RunnerError: there is no such revision.
    """
    by_id = {each.id: each for each in document.revisions}
    if revision is not None and revision not in by_id:
        raise RunnerError(unknown(f"revision of {document.suite}", revision, by_id))
    chosen = by_id[revision] if revision is not None else None
    source, tables = (chosen or document).source, (chosen or document).tables
    parts = [f"# {document.title}", source_line(source)]
    parts += [chosen.what if chosen else document.protocol]
    for table in tables:
        if table.kind == "results":
            parts += _table_part(document, table, chosen)
    if chosen is None and by_id:
        lines = [f"- `{each.id}` ({each.relation}): {each.what}" for each in by_id.values()]
        parts += ["## Other revisions", "\n".join(lines)]
    if chosen is None and document.not_found:
        parts += ["## Looked for, not found", "\n".join(f"- {each}" for each in document.not_found)]
    return "\n\n".join(parts) + "\n"


def _table_part(
    document: Document, table: PublishedTable, revision: Revision | None
) -> Iterator[str]:
    cells = numbers(document, table, revision)
    hidden = " (commented out in the original: no reader sees it)" if table.commented_out else ""
    yield f"## {table.title}{hidden}"
    shown = [
        tuple(cell.replace("__", "**") for cell in row) for row in table.rows
    ]  # the original's bold, in the form that every Markdown reader knows
    yield grid(table.columns, shown)
    lines = [f"- {line}" for line in _shared_lines(cells)]
    lines += [f"- {line}" for line in _reproduction_lines(table, cells)]
    lines += [f"- {line}" for line in _note_lines(cells)]
    if lines:
        yield "\n".join(lines)
    ids = dict.fromkeys(each for cell in cells for each in cell.defects)
    by_id = {defect.id: defect for defect in document.defects}
    if ids:
        yield "Defects that touch it:\n\n" + "\n".join(
            f"- `{each}`: {by_id[each].what}" for each in ids
        )


def _shared_lines(cells: Sequence[PublishedNumber]) -> Iterator[str]:
    """Say a fact once where all cells agree, else each of its values with its count."""
    for name in ("metric", "unit", "better", "estimator", "hardware", "batch", "reference"):
        values: dict[str, int] = {}
        for cell in cells:
            value = cell.unit if name == "unit" else getattr(cell.facts, name)
            if value is not None:
                values[str(value)] = values.get(str(value), 0) + 1
        if len(values) == 1:
            yield f"{name}: {next(iter(values))}"
        elif values:
            yield f"{name}: " + "; ".join(f"{each} ({n} cells)" for each, n in values.items())


def _reproduction_lines(table: PublishedTable, cells: Sequence[PublishedNumber]) -> Iterator[str]:
    """Say which images and which workloads reproduce the table, each with what it is for."""
    images: dict[str, dict[str, None]] = {}
    workloads: dict[str, dict[str, None]] = {}
    rows_are_subjects = table.subjects == "rows"
    for cell in cells:
        facts = cell.facts
        if facts.image is not None:
            instead = f" (stands in for {facts.stands_in_for})" if facts.stands_in_for else ""
            subject = cell.row if rows_are_subjects else cell.column
            images.setdefault(f"{facts.image}{instead}", {})[subject] = None
        if facts.workload is not None:
            work = " ".join([facts.workload, *settings(facts.parameters)])
            workloads.setdefault(work, {})[cell.row] = None
    yield from (f"image {image}: {', '.join(users)}" for image, users in images.items())
    yield from (f"workload {work}: {', '.join(users)}" for work, users in workloads.items())


def _note_lines(cells: Sequence[PublishedNumber]) -> Iterator[str]:
    notes: dict[str, list[str]] = {}
    for cell in cells:
        if cell.facts.note is not None:
            notes.setdefault(cell.facts.note, []).append(f"{cell.row}, {cell.column}")
    for note, places in notes.items():
        yield f"note: {'; '.join(places)}: {note}"
