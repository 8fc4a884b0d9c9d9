"""The data of the plots of steps: every launch's, in the order taken."""

from __future__ import annotations

from dataclasses import dataclass

from runner.report.panel import Panel, Rows
from runner.report.source import Source
from runner.report.table import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The steps of one launch.

    Attributes:
        launch: counted from 1.
        warm: how many of `ms` are warm-up steps.
        start: index into `ms` of the first steady step; None where there is no steady state.
        ms: milliseconds of each step after the cold one, to six digits.
    """

    launch: int
    warm: int
    start: int | None
    ms: tuple[float, ...]


def launch_series(row: Row) -> tuple[Series, ...]:
    """Return the steps of each launch that a row's numbers are made of."""
    if row.steady is None:
        return ()
    made = []
    for record, part in zip(row.used, row.steady.parts, strict=True):
        samples = record.samples[0]
        warm = len(samples.warmup_s)
        start = warm + len(samples.measured_s) - len(part)
        made.append(
            Series(
                launch=record.launch + 1,
                warm=warm,
                start=start if row.steady.steady else None,
                ms=tuple(
                    float(f"{seconds * 1e3:.6g}")
                    for seconds in (*samples.warmup_s, *samples.measured_s)
                ),
            )
        )
    return tuple(made)


def steps(source: Source) -> list[Panel]:
    """Every launch's steps, one panel a cell."""
    panels = []
    for row in source.table.rows:
        rows = steps_of(row)
        if rows:
            panels.append(Panel(title=row.cell.label, rows=rows))
    return panels


def steps_of(row: Row) -> Rows:
    """Return a cell's steps in the order taken, launch by launch, and where each is steady.

    The cold first step is left out: it is a result of its own, and would flatten the rest.
    """
    rows: Rows = []
    for series in launch_series(row):
        start = series.start
        for number, ms in enumerate(series.ms):
            kind = "warm-up" if number < series.warm else "measured"
            steady = start is not None and number >= start
            rows.append(
                {
                    "launch": series.launch,
                    "step": number,
                    "ms": ms,
                    "kind": "steady" if steady else kind,
                    "start": number if number == start else None,
                }
            )
    return rows
