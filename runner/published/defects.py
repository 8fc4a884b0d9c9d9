"""The page of what is wrong with the published numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runner.published.asking import find_table, row_names, touched
from runner.published.model import WAYS, Defect, Document, Evidence, Touch
from runner.published.text import grid, settings, source_line

_SAID_OF_EFFECT = {
    "up": "the printed number is too high",
    "down": "the printed number is too low",
    "unknown": "which way it pushes is not known",
    "none": "the number stands, what is said of it does not",
}

_SAID_OF_WAY = {
    "by the estimator": "through the original's estimator",
    "by the protocol": "through the protocol as-published alone",
    "by itself": "by themselves, under both protocols",
    "not brought back": "do not, and say why",
    "nothing to bring back": "are about labels, descriptions and sums, where there is nothing to",
}


def defects_page(documents: Sequence[Document]) -> str:
    """Return every known defect as Markdown: first what recurs, then suite by suite."""
    count = sum(len(document.defects) for document in documents)
    parts = [
        "# What is wrong with the published numbers",
        f"{count} defects in {len(documents)} documents. Each says what is wrong, where it can "
        "be seen, which cells it touches, which way it pushes them, and the workload parameter "
        "that brings it back under the protocol `as-published`, or why there is none.",
        _sums(documents),
        _kinds_grid(documents),
        *_recurring_part(documents),
        "## Without a parameter",
        _without_parameter(documents),
    ]
    for document in documents:
        parts += [f"## {document.suite}", source_line(document.source)]
        parts += [_defect_part(document, defect) for defect in document.defects]
    return "\n\n".join(parts) + "\n"


def _sums(documents: Sequence[Document]) -> str:
    """Count which way the numbers are pushed, and what comes back when they are made again."""
    every = [defect for document in documents for defect in document.defects]
    effects = Counter(str(defect.effect) for defect in every)
    lines = [f"- {effects[effect]} {effect}: {said}" for effect, said in _SAID_OF_EFFECT.items()]
    back = sum(bool(defect.parameters) for defect in every)
    ways = Counter(defect.way for defect in every)
    said = ", ".join(f"{ways[way]} {words}" for way, words in _SAID_OF_WAY.items())
    return "\n".join([*lines, f"- made again: {back} come back through a parameter, {said}"])


def _without_parameter(documents: Sequence[Document]) -> str:
    """List the defects that no parameter brings back, way by way, each with how or why not."""
    rows = [
        (document.suite, defect.id, defect.effect, defect.way, defect.reason)
        for way in WAYS
        for document in documents
        for defect in document.defects
        if defect.way == way
    ]
    return grid(("suite", "no parameter for", "effect", "comes back", "how, or why not"), rows)


def _kinds_grid(documents: Sequence[Document]) -> str:
    kinds = sorted({defect.kind for document in documents for defect in document.defects})
    rows = []
    for kind in kinds:
        counts = [sum(defect.kind == kind for defect in each.defects) for each in documents]
        rows.append((kind, *(str(n or "") for n in counts), str(sum(counts))))
    return grid(("kind", *(each.suite for each in documents), "all"), rows)


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
        lines += ["- reproduce with: " + ", ".join(f"`{s}`" for s in settings(defect.parameters))]
    if defect.otherwise:
        lines += [f"- no parameter: {defect.otherwise}"]
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
