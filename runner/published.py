"""Numbers that others published, digit for digit, with how they were made and what is wrong.

results/published/<suite>/ holds one document in three files: document.yaml (its tables in the
document's own order), revisions.yaml (the same numbers at other commits, on other cards) and
defects.yaml. Layout and rules: results/published/README.md; form: schemas/published.schema.json.

Everything here is pure but `load`. A cell's facts are inherited, the innermost winning: document,
revision, table, its column's label, its row's labels, its row's whole name, then the cell itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.documents import read
from runner.errors import ConfigurationError, RunnerError
from runner.model import Scalar

SCHEMA = "published.schema.json"

_CELL = re.compile(r"(?P<value>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+(?:/[A-Za-z]+)?)?")
_SAID_OF_EFFECT = {
    "up": "the printed number is too high",
    "down": "the printed number is too low",
    "unknown": "which way it pushes is not known",
    "none": "the number stands, what is said of it does not",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What holds for a cell or for many; whatever is None or empty is inherited.

    Attributes:
        better: which way is better, where a comparison makes sense.
        estimator: how the number was made from timings: mean, minimum, sum, maximum ...
        iterations: what the estimator saw, in words; documents rarely give a plain count.
        software_stated: name to version, as the document says.
        software_found: name to version, or bounds, as found in the original's repository.
        image, workload, parameters: what to launch to reproduce it; image is a name under images/.
        stands_in_for: what the image replaces, where the version itself cannot be had.
        reference: name of the row or column that this one is a ratio to.
    """

    metric: str | None = None
    unit: str | None = None
    better: Literal["larger", "smaller"] | None = None
    estimator: str | None = None
    hardware: str | None = None
    device: Literal["cpu", "cuda"] | None = None
    batch: int | None = None
    iterations: str | None = None
    software_stated: dict[str, str] = field(default_factory=dict)
    software_found: dict[str, str] = field(default_factory=dict)
    image: str | None = None
    stands_in_for: str | None = None
    workload: str | None = None
    parameters: dict[str, Scalar] = field(default_factory=dict)
    reference: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file of one commit; `sha256` of its bytes where the whole document is digitised."""

    repository: str
    commit: str
    path: str
    date: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """Facts of one cell, or of a column's cells in every row that has `row` among its labels."""

    row: str
    column: str
    facts: Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Checksum:
    """What a table must hold: cells with a number, cells without, and the SHA-256 of its text.

    The text is the header and the rows as printed, cells joined by tabs, lines by line feeds.
    """

    numbers: int
    absent: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """A table, a log or a list of settings, its cells exactly as printed.

    Attributes:
        kind: ``results``; ``log`` (epochs of an output listing); ``model``; ``settings`` (a
            table of the document); ``text`` (numbers of its prose, described in our words).
        name_columns: columns that name the row; blank means the same as above.
        subjects: whether the things compared are the rows or the columns.
        commented_out: the document holds it inside an HTML comment, so that no reader sees it.
    """

    id: str
    kind: Literal["results", "log", "model", "settings", "text"]
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    name_columns: tuple[str, ...]
    checksum: Checksum
    subjects: Literal["rows", "columns"] = "rows"
    commented_out: bool = False
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Other numbers than the document's own: an older or newer commit, another card.

    Attributes:
        inherits: whether the document's facts hold here too. Versions of software never do.
    """

    id: str
    relation: Literal["older", "newer", "other"]
    what: str
    source: Source
    tables: tuple[PublishedTable, ...]
    inherits: bool = True
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Where a reader can see a defect; `commit` and `file` are absent where only text says it."""

    shows: str
    repository: str | None = None
    commit: str | None = None
    file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Touch:
    """Cells of a table. A row goes by its name or by any label of it; empty means all.

    Attributes:
        revision: id of the revision that holds the table, or None for the document itself.
        recomputed: what the number should read, for slips of arithmetic; then one cell.
    """

    table: str
    revision: str | None = None
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    recomputed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """A known flaw of published numbers.

    Attributes:
        effect: which way the printed number is pushed: ``up``, ``down``, ``unknown``; ``none``
            where the number stands and only its label or its description is wrong.
        found_by: ``code`` (read in the benchmark), ``library`` (read in the library's source),
            ``history`` (of the repository), ``calculation`` or ``inference``.
        parameters: workload parameters that reproduce it; empty where none can.
    """

    id: str
    kind: str
    what: str
    effect: Literal["up", "down", "unknown", "none"]
    found_by: tuple[Literal["code", "library", "history", "calculation", "inference"], ...]
    evidence: tuple[Evidence, ...]
    touches: tuple[Touch, ...]
    parameters: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A published comparison; `suite` is also the name of the suite that reproduces it."""

    suite: str
    file: str
    title: str
    source: Source
    protocol: str
    tables: tuple[PublishedTable, ...]
    shared: Facts = Facts()
    labels: dict[str, Facts] = field(default_factory=dict)
    not_found: tuple[str, ...] = ()
    revisions: tuple[Revision, ...] = ()
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedNumber:
    """One cell with all that is known of it.

    Attributes:
        revision: None for the document itself.
        printed: the cell as the document has it, emphasis and unit included.
        value: its digits as printed, or None where the document gives no number.
        unit: as printed in the cell, else as its column or row says.
        defects: ids of the defects that touch it.
    """

    suite: str
    revision: str | None
    table: str
    row: str
    column: str
    printed: str
    value: str | None
    unit: str | None
    emphasised: bool
    facts: Facts
    defects: tuple[str, ...]

    @property
    def number(self) -> Decimal | None:
        """The exact value; None where it is absent, or not a single number (a shape, a version)."""
        plain = (self.value or "").replace(",", "")
        return Decimal(plain) if re.fullmatch(r"\d+(\.\d+)?", plain) else None


# ----------------------------------------------------------------------------------- loading


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
    for revision, table in _all_tables(document):
        place = f"revisions.yaml: {revision.id}" if revision else "document.yaml"
        found = [*_row_problems(table), *_name_problems(table)]
        problems += [f"{place}: table {table.id}: {problem}" for problem in found]
    return problems or list(_touch_problems(document))


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
            yield _unknown("labels: row, column or label", label, known)
    for override in table.overrides:
        if override.row not in known or override.column not in table.columns:
            yield f"overrides: no cell {override.row!r} in column {override.column!r}"
    subjects = names if table.subjects == "rows" else table.columns
    for facts in (table.shared, *table.labels.values()):
        if facts.reference is not None and facts.reference not in subjects:
            yield _unknown("reference", facts.reference, subjects)


# ----------------------------------------------------------------------------------- asking


def find(documents: Sequence[Document], suite: str) -> Document:
    """Return the document of a suite.

    Raises:
        RunnerError: there is none; the message says what there is.
    """
    for document in documents:
        if document.suite == suite:
            return document
    raise RunnerError(_unknown("published suite", suite, [each.suite for each in documents]))


def find_table(document: Document, table: str, revision: str | None = None) -> PublishedTable:
    """Return a table by its id, of the document itself or of one of its revisions.

    Raises:
        RunnerError: no such revision or table; the message says what there is.
    """
    tables = document.tables
    if revision is not None:
        by_id = {each.id: each for each in document.revisions}
        if revision not in by_id:
            raise RunnerError(_unknown(f"revision of {document.suite}", revision, by_id))
        tables = by_id[revision].tables
    for each in tables:
        if each.id == table:
            return each
    raise RunnerError(_unknown(f"table of {document.suite}", table, [each.id for each in tables]))


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
            raise RunnerError(_unknown(f"column of {table.id}", column, data))
    for row in touch.rows:
        if row not in names and not any(row in each for each in labels):
            raise RunnerError(_unknown(f"row of {table.id}", row, filter(None, names)))
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
        for revision, table in _all_tables(document)
        for number in numbers(document, table, revision)
    )


def parameters(
    document: Document, number: PublishedNumber, *, as_published: bool
) -> dict[str, Scalar]:
    """Return the workload parameters that reproduce a cell, its batch among them.

    With `as_published`, those that bring back its known defects are added.
    """
    facts = number.facts
    result: dict[str, Scalar] = {} if facts.batch is None else {"batch": facts.batch}
    result.update(facts.parameters)
    for defect in document.defects:
        if as_published and defect.id in number.defects:
            result.update(defect.parameters)
    return result


def _all_tables(document: Document) -> Iterator[tuple[Revision | None, PublishedTable]]:
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


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"no {kind} {name!r}{hint} There are: {', '.join(names)}"


# ------------------------------------------------------------------------------------ pages


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
    return f"{_grid(header, rows)}\n\n{note}\n"


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
        raise RunnerError(_unknown(f"revision of {document.suite}", revision, by_id))
    chosen = by_id[revision] if revision is not None else None
    source, tables = (chosen or document).source, (chosen or document).tables
    parts = [f"# {document.title}", _source_line(source)]
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


def _source_line(source: Source) -> str:
    return f"{source.repository}, {source.path} at {source.commit} ({source.date})"


def _table_part(
    document: Document, table: PublishedTable, revision: Revision | None
) -> Iterator[str]:
    cells = numbers(document, table, revision)
    hidden = " (commented out in the original: no reader sees it)" if table.commented_out else ""
    yield f"## {table.title}{hidden}"
    shown = [
        tuple(cell.replace("__", "**") for cell in row) for row in table.rows
    ]  # the original's bold, in the form that every Markdown reader knows
    yield _grid(table.columns, shown)
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
            work = " ".join([facts.workload, *_settings(facts.parameters)])
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


def _settings(values: dict[str, Scalar]) -> list[str]:
    return [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]


def defects_page(documents: Sequence[Document]) -> str:
    """Return every known defect as Markdown: first what recurs, then suite by suite."""
    count = sum(len(document.defects) for document in documents)
    parts = [
        "# What is wrong with the published numbers",
        f"{count} defects in {len(documents)} documents. Each says what is wrong, where it can "
        "be seen, which cells it touches, which way it pushes them, and the workload parameter "
        "that brings it back under the protocol `as-published`.",
        _kinds_grid(documents),
        *_recurring_part(documents),
    ]
    for document in documents:
        parts += [f"## {document.suite}", _source_line(document.source)]
        parts += [_defect_part(document, defect) for defect in document.defects]
    return "\n\n".join(parts) + "\n"


def _kinds_grid(documents: Sequence[Document]) -> str:
    kinds = sorted({defect.kind for document in documents for defect in document.defects})
    rows = []
    for kind in kinds:
        counts = [sum(defect.kind == kind for defect in each.defects) for each in documents]
        rows.append((kind, *(str(n or "") for n in counts), str(sum(counts))))
    return _grid(("kind", *(each.suite for each in documents), "all"), rows)


def _recurring_part(documents: Sequence[Document]) -> Iterator[str]:
    suites: dict[str, list[str]] = {}
    for document in documents:
        for defect in document.defects:
            suites.setdefault(defect.id, []).append(document.suite)
    lines = [f"- `{each}`: {', '.join(of)}" for each, of in suites.items() if len(of) > 1]
    if lines:
        yield "The same flaw in several documents:\n\n" + "\n".join(lines)


def _defect_part(document: Document, defect: Defect) -> str:
    lines = [f"### {defect.id}", "", defect.what, ""]
    lines += [f"- kind: {defect.kind}; found by {', '.join(defect.found_by)}"]
    lines += [f"- effect: {defect.effect} ({_SAID_OF_EFFECT[defect.effect]})"]
    lines += [f"- touches: {_touch_text(document, touch)}" for touch in defect.touches]
    lines += [f"- seen: {_evidence_text(evidence)}" for evidence in defect.evidence]
    if defect.parameters:
        lines += ["- reproduce with: " + ", ".join(f"`{s}`" for s in _settings(defect.parameters))]
    return "\n".join(lines)


def _touch_text(document: Document, touch: Touch) -> str:
    cells = len(touched(document, touch))
    place = f"{touch.table} of {touch.revision}" if touch.revision else touch.table
    where = ", ".join(touch.rows) or "all rows"
    columns = ", ".join(touch.columns) or "all columns"
    text = f"{place}: {where}; {columns} ({cells} cell{'' if cells == 1 else 's'})"
    if touch.recomputed is None:
        return text
    row, column = next(iter(touched(document, touch)))
    table = find_table(document, touch.table, touch.revision)
    printed = table.rows[row_names(table).index(row)][table.columns.index(column)]
    return f"{text}: printed {printed.strip('_')}, recomputed {touch.recomputed}"


def _evidence_text(evidence: Evidence) -> str:
    place = [evidence.repository, evidence.commit and evidence.commit[:12], evidence.file]
    where = " ".join(filter(None, place))
    return f"{evidence.shows} [{where}]" if where else evidence.shows


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
