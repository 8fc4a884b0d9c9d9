"""A Table as text for people and for machines: one function a format, listed in FORMATS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runner.model import Status
from runner.report.table import COLUMNS, Column, Row, Table

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
    rounded = float(f"{value:.{digits}g}")
    exponent = int(f"{abs(rounded):e}".split("e")[1])
    return f"{rounded:.{max(0, digits - 1 - exponent)}f}"


def notes(table: Table) -> list[str]:
    """Return a line for each row that is not whole: its label, status and reason."""
    return [
        f"{row.cell.label}: {'' if row.status is Status.OK else row.status + ': '}{row.reason}"
        for row in table.rows
        if row.reason
    ]


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
    """Return the table for a terminal; below 100 columns the minor columns are left out."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    head = _head(table)
    columns = COLUMNS if width >= 100 else [c for c in COLUMNS if c.key in _MAJOR]
    made = RichTable(
        title=escape(table.title),
        caption=escape(table.subtitle),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in head:
        made.add_column(name, no_wrap=name == "image", overflow="fold")
    for column in columns:
        made.add_column(column.title, justify="right")
    made.add_column("n", justify="right")
    for row in table.rows:
        style = "" if row.status is Status.OK else "yellow"
        boxes = [shown(row, column) for column in columns]
        texts = [*_label(row, head), *boxes, f"{row.launches}/{row.asked}"]
        made.add_row(*(escape(text) for text in texts), style=style)
    return made


_MAJOR = ("median_ms", "images_per_s", "cold_start_s")


def markdown(table: Table) -> str:
    """Return the table in Markdown, with its remarks and the reasons of what is missing."""
    head = [*_head(table), *(column.title for column in COLUMNS), "launches"]
    left = len(_head(table))
    lines = [f"**{_escape(table.title)}**", "", _escape(table.subtitle), ""]
    lines.append(_bar(head))
    lines.append(_bar([":---"] * left + ["---:"] * (len(head) - left)))
    for row in table.rows:
        boxes = [shown(row, column) for column in COLUMNS]
        lines.append(_bar([*_label(row, head[:left]), *boxes, f"{row.launches}/{row.asked}"]))
    below = [f"- {_escape(line)}" for line in (*notes(table), *table.remarks)]
    return "\n".join([*lines, "", *below]).rstrip() + "\n"


def _bar(cells: list[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def frame(table: Table) -> pd.DataFrame:
    """Return the table as a pandas frame: one row a cell, full digits, status and reason."""
    import pandas as pd  # half a second to import, and needed by two formats only

    return pd.DataFrame([_flat(row) for row in table.rows])


def _flat(row: Row) -> dict[str, Any]:
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
        **row.numbers,
        "low_ms": None if times is None or times.low is None else times.low * 1e3,
        "high_ms": None if times is None or times.high is None else times.high * 1e3,
        "interval_method": "" if times is None else times.method,
        "outliers": None if times is None else len(times.outliers),
    }


def csv(table: Table) -> str:
    """Return comma-separated values with a header; a missing number is its status."""
    made = frame(table).astype(object)
    for column in made.columns:
        made[column] = made[column].where(made[column].notna(), made["status"])
    return str(made.to_csv(index=False, lineterminator="\n"))


def as_json(table: Table) -> str:
    """Return one JSON object: title, subtitle, remarks, rows with parameters and phases."""
    rows = [
        _flat(row) | {"parameters": row.cell.parameters, "phases_s": row.phases_s or {}}
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
