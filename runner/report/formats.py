"""A Table as text for people and for machines: one function a format, listed in FORMATS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.model import Status
from runner.report.logs import readable
from runner.report.table import Column, Row, Table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

LABELS = ("image", "workload", "variant")


def shown(row: Row, column: Column) -> str:
    """Return what a person sees in a box: a rounded number, or why there is none."""
    value = row.numbers[column.key]
    return row.missing[column.key] if value is None else significant(value, column.digits)


def significant(value: float, digits: int) -> str:
    """Round to significant digits, in plain notation: 0.0123, 1.23, 123, 12300."""
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"
    exponent = int(rounded[rounded.index("e") + 1 :])
    return f"{float(rounded):.{max(0, digits - 1 - exponent)}f}"


def notes(table: Table) -> list[str]:
    """Return a line for each reason why a row is not whole: the first such row, how many more."""
    labels: dict[str, list[str]] = {}
    for row in table.rows:
        if row.reason:
            said = row.reason if row.status is Status.OK else f"{row.status}: {row.reason}"
            labels.setdefault(said, []).append(row.cell.label)
    return [f"{_and_more(own)}: {said}" for said, own in labels.items()]


def _and_more(labels: Sequence[str]) -> str:
    more = len(labels) - 1
    return f"{labels[0]} and {more} more" if more else labels[0]


def _variants(table: Table) -> bool:
    return any(row.cell.variant for row in table.rows)


def _head(table: Table) -> list[str]:
    workloads = {row.cell.workload for row in table.rows}
    first = ["image"]
    first += ["workload"] if len(workloads) > 1 else []
    first += ["variant"] if _variants(table) else []
    return first


def _label(row: Row, head: list[str]) -> list[str]:
    labels = {"image": row.cell.image, "workload": row.cell.workload}
    return [labels.get(name, row.cell.variant or "-") for name in head]


def rich_table(table: Table, width: int) -> RichTable:
    """Return the table for a terminal: as many columns as fit in full, the minor ones left out."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    head = _head(table)
    labels = [[text.replace(",", ", ") for text in _label(row, head)] for row in table.rows]
    most = width // (1 + len(head))
    needs = [min(most, need) for need in _needs(labels, head)]
    counts = [f"{row.launches}/{row.asked}" for row in table.rows]
    room = width - _EDGES - sum(needs) - _GAP * len(head) - max(map(len, counts), default=1)
    boxes = {column: [shown(row, column) for row in table.rows] for column in table.columns}
    widths = {column: _width(_words(texts), column.title) for column, texts in boxes.items()}
    columns = _fitting(widths, room)
    spare = room - sum(widths[column] + _GAP for column in columns)
    needs = _narrowed(needs, -spare)
    # What is left goes to the last label: a variant may be long.
    longest = max((len(label[-1]) for label in labels), default=0)
    needs[-1] = max(needs[-1], min(longest, needs[-1] + spare))
    made = RichTable(
        title=escape(readable(table.title)),
        caption=escape(readable(table.subtitle)),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name, need in zip(head, needs, strict=True):
        made.add_column(name, width=need, overflow="fold")
    for column in columns:
        made.add_column(column.title, justify="right", width=widths[column])
    made.add_column("n", justify="right", no_wrap=True)
    for place, (row, label) in enumerate(zip(table.rows, labels, strict=True)):
        style = "" if row.status is Status.OK else "yellow"
        texts = [*label, *(boxes[column][place] for column in columns), counts[place]]
        made.add_row(*(escape(readable(text)) for text in texts), style=style)
    return made


_EDGES, _GAP = 2, 3
_FIRST = (
    "median_ms",
    "images_per_s",
    "interval_percent",
    "cold_start_s",
    "gpu_memory_peak_mib",
    "memory_peak_mib",
)


def _fitting(widths: Mapping[Column, int], room: int) -> list[Column]:
    """Return the columns that fit into `room` characters, the most important ones first taken."""
    ranks = {key: rank for rank, key in enumerate(_FIRST)}
    kept: list[Column] = []
    for column in sorted(widths, key=lambda column: ranks.get(column.key, len(ranks))):
        room -= widths[column] + _GAP
        if room < 0 and kept:
            break
        kept.append(column)
    return [column for column in widths if column in kept]


def _narrowed(widths: list[int], excess: int) -> list[int]:
    """Take what is too much, if anything is, from the widest, one character after another."""
    made = list(widths)
    for _ in range(min(excess, sum(made) - len(made))):
        made[made.index(max(made))] -= 1
    return made


def _needs(labels: list[list[str]], head: list[str]) -> list[int]:
    columns = zip(*labels, strict=True) if labels else ((),) * len(head)
    return [_width(_words(texts), name) for name, texts in zip(head, columns, strict=True)]


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in set(texts) for word in text.split()}


def _width(words: set[str], title: str) -> int:
    """Return how wide a column must be for the longest of its words to stand in one line."""
    return max(map(len, [*words, *title.split()]))


def markdown(table: Table) -> str:
    """Return the table in Markdown, with its remarks and the reasons of what is missing."""
    columns = table.columns
    head = [*_head(table), *(column.title for column in columns), "launches"]
    left = len(_head(table))
    lines = [f"**{_escape(table.title)}**", "", _escape(table.subtitle), ""]
    lines.append(_bar(head))
    lines.append(_bar([":---"] * left + ["---:"] * (len(head) - left)))
    for row in table.rows:
        boxes = [shown(row, column) for column in columns]
        lines.append(_bar([*_label(row, head[:left]), *boxes, f"{row.launches}/{row.asked}"]))
    below = [f"- {_escape(line)}" for line in (*notes(table), *table.remarks)]
    return "\n".join([*lines, "", *below]).rstrip() + f"\n{scaling(table)}"


def scaling(table: Table) -> str:
    """Return what more GPUs bring as tables in Markdown; nothing where a run cannot tell."""
    from runner.report import scaled  # which rounds as tables here do

    if not table.scaled:
        return ""
    return f"\n**What more GPUs bring**\n\n{scaled.markdown(table.scaled, {}, {})}"


def _bar(cells: list[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def frame(table: Table) -> pd.DataFrame:
    """Return the table as a pandas frame: one row a cell, full digits, status and reason."""
    import pandas as pd  # half a second to import, and needed by two formats only

    columns = table.columns
    return pd.DataFrame([_flat(row, columns) for row in table.rows])


def _flat(row: Row, columns: Iterable[Column]) -> dict[str, Any]:
    cell, times = row.cell, row.estimate
    return {
        "suite": cell.suite,
        "image": cell.image,
        "workload": cell.workload,
        "variant": cell.variant,
        "protocol": cell.protocol,
        "status": str(row.status),
        "reason": row.reason,
        "launches": row.launches,
        "asked": row.asked,
        **{column.key: row.numbers[column.key] for column in columns},
        "low_ms": None if times is None or times.low is None else times.low * 1e3,
        "high_ms": None if times is None or times.high is None else times.high * 1e3,
        "interval_method": "" if times is None else times.method,
        "outliers": None if times is None else len(times.outliers),
    }


def csv(table: Table) -> str:
    """Return comma-separated values with a header; a missing number is the reason or status."""
    made = frame(table).astype(object)
    for key in (column.key for column in table.columns):
        made[key] = [row.missing.get(key, row.numbers[key]) for row in table.rows]
    for column in made.columns:
        made[column] = made[column].where(made[column].notna(), made["status"])
    return str(made.to_csv(index=False, lineterminator="\n"))


def as_json(table: Table) -> str:
    """Return one JSON object: title, subtitle, remarks, rows with parameters and phases."""
    columns = table.columns
    rows = [
        _flat(row, columns) | {"parameters": row.cell.parameters, "phases_s": row.phases_s}
        for row in table.rows
    ]
    whole = {
        "title": table.title,
        "subtitle": table.subtitle,
        "remarks": list(table.remarks),
        "rows": rows,
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {"markdown": markdown, "csv": csv, "json": as_json}
