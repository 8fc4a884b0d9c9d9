"""What every plot is made of: panels with rows of data, and the names of those rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.report.source import Source
from runner.report.table import Row

_LABEL_WIDTH = 40
Rows = list[dict[str, str | int | float | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One pair of axes with its data."""

    title: str
    rows: Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of plot.

    Attributes:
        caption: what is drawn, in a sentence or two; stands above its panels.
        absent: why there may be none.
    """

    title: str
    caption: str
    absent: str
    panels: Callable[[Source], list[Panel]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The table's rows of one workload, with names that tell them apart.

    Attributes:
        title: the workload, and what all variants of it have in common.
        labels: a row's image and, on lines below it, what of its variant others do not share.
    """

    title: str
    rows: tuple[Row, ...]
    labels: tuple[str, ...]


def groups(source: Source) -> list[Group]:
    """Return the table's rows a workload, both in the table's order."""
    found: dict[str, list[Row]] = {}
    for row in source.table.rows:
        found.setdefault(row.cell.workload, []).append(row)
    return [_group(workload, rows) for workload, rows in found.items()]


def _group(workload: str, rows: Sequence[Row]) -> Group:
    parts = [[part for part in row.cell.variant.split(",") if part] for row in rows]
    common = set(parts[0]).intersection(*parts[1:]) if len(rows) > 1 else set()
    own = [_lines([part for part in each if part not in common]) for each in parts]
    return Group(
        title=", ".join([workload, *(part for part in parts[0] if part in common)]),
        rows=tuple(rows),
        labels=tuple(
            "\n".join((row.cell.image, *variant)) for row, variant in zip(rows, own, strict=True)
        ),
    )


def _lines(parts: Sequence[str]) -> list[str]:
    """Join a variant's parts to lines that fit beside a plot."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < _LABEL_WIDTH:
            lines[-1] += f",{part}"
        else:
            lines.append(part)
    return lines


def images_per_s(row: Row) -> tuple[float | None, float | None, float | None]:
    """Return a row's images a second and their interval; None where there is none."""
    speed, times = row.numbers["images_per_s"], row.estimate
    if speed is None or times is None or times.low is None or times.high is None:
        return speed, None, None
    return speed, speed * times.value / times.high, speed * times.value / times.low
