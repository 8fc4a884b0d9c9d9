"""A comparison as text for people and for machines: one function a format, listed in FORMATS."""

from __future__ import annotations

import csv as csv_module
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.compare import Compared, Row
from runner.report.formats import significant

if TYPE_CHECKING:
    from rich.table import Table as RichTable

HEAD = ("cell", "base (ms)", "other (ms)", "other / base", "interval", "verdict", "launches")


def title(compared: Compared) -> str:
    """Return which side is over which."""
    return f"{compared.other} over {compared.base}"


def subtitle(compared: Compared) -> str:
    """Return how to read the ratios."""
    tested = sum(row.compared is not None for row in compared.rows)
    return (
        f"ratios of step times, under 1 is faster; together the verdicts hold at "
        f"{compared.level:.0%}, corrected for {tested} cells (Holm); same: within "
        f"{compared.margin * 100:g} %"
    )


def notes(compared: Compared) -> list[str]:
    """Return what is missing and why, what differs, and how the intervals were made."""
    methods = {row.compared.method for row in compared.rows if row.compared is not None}
    return [
        *(f"{row.label}: {row.missing}" for row in compared.rows if row.missing),
        *(f"compared in spite of {difference}" for difference in compared.differences),
        *compared.remarks,
        *(f"intervals: {method}" for method in sorted(methods)),
    ]


def _boxes(row: Row) -> tuple[str, ...]:
    found, launches = row.compared, "/".join(map(str, row.launches))
    if found is None:
        return (row.label, *("-",) * 4, row.verdict, launches)
    interval = "none: one launch"
    if found.low is not None and found.high is not None:
        interval = f"{found.low:.4f} to {found.high:.4f}"
    return (
        row.label,
        significant(found.base_value * 1e3, 4),
        significant(found.value * 1e3, 4),
        f"{found.ratio:.4f}",
        interval,
        row.verdict,
        launches,
    )


def rich_table(compared: Compared) -> RichTable:
    """Return the comparison for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    made = RichTable(
        title=escape(title(compared)),
        caption=escape(subtitle(compared)),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in HEAD:
        made.add_column(
            name, justify="left" if name in ("cell", "verdict") else "right", overflow="fold"
        )
    styles = {"faster": "green", "slower": "red", "missing": "yellow"}
    for row in compared.rows:
        made.add_row(*map(escape, _boxes(row)), style=styles.get(row.verdict, ""))
    return made


def markdown(compared: Compared) -> str:
    """Return the comparison in Markdown, with its remarks."""
    lines = [f"**{_escape(title(compared))}**", "", _escape(subtitle(compared)), ""]
    lines += [_bar(HEAD), _bar((":---", *("---:",) * (len(HEAD) - 1)))]
    lines += [_bar(_boxes(row)) for row in compared.rows]
    below = [f"- {_escape(line)}" for line in notes(compared)]
    return "\n".join([*lines, "", *below]).rstrip() + "\n"


def _bar(boxes: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escape(box) for box in boxes) + " |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _flat(row: Row) -> dict[str, str | float | int | None]:
    """Return one row with full digits, for machines."""
    cell, found = row.base or row.other, row.compared
    assert cell is not None
    return {
        "workload": cell.workload,
        "variant": cell.variant,
        "base_image": row.base.image if row.base else "",
        "other_image": row.other.image if row.other else "",
        "verdict": row.verdict,
        "missing": row.missing,
        "base_ms": found.base_value * 1e3 if found else None,
        "other_ms": found.value * 1e3 if found else None,
        "ratio": found.ratio if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "level": found.level if found else None,
        "p": found.p if found else None,
        "base_launches": row.launches[0],
        "other_launches": row.launches[1],
        "method": found.method if found else "",
    }


def csv(compared: Compared) -> str:
    """Return comma-separated values with a header; a missing ratio is ``missing``."""
    text = io.StringIO()
    rows = [_flat(row) for row in compared.rows]
    writer = csv_module.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: row["verdict"] if v is None else v for k, v in row.items()})
    return text.getvalue()


def as_json(compared: Compared) -> str:
    """Return one JSON object: the sides, what differs, and the rows."""
    whole = {
        "base": compared.base,
        "other": compared.other,
        "level": compared.level,
        "margin": compared.margin,
        "differences": list(compared.differences),
        "remarks": list(compared.remarks),
        "rows": [_flat(row) for row in compared.rows],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Compared], str]] = {
    "markdown": markdown,
    "csv": csv,
    "json": as_json,
}
