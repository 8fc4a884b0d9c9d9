"""The data of each plot, from records alone: a plot is panels, a panel a list of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from runner.model import GpuUse, MemoryUse, Record, Status
from runner.report.source import Source
from runner.report.table import Row

Rows = list[dict[str, str | int | float | None]]
_MIB = 1024**2
_WARM = ("warm-up", "measure")


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One pair of axes with its data."""

    title: str
    rows: Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of plot.

    Attributes:
        caption: what is drawn, in a sentence or two; stands below it.
        absent: why there may be none.
    """

    title: str
    caption: str
    absent: str
    panels: Callable[[Source], list[Panel]]


def images_per_s(row: Row) -> tuple[float | None, float | None, float | None]:
    """Return a row's images a second and their interval; None where there is none."""
    speed, times = row.numbers["images_per_s"], row.estimate
    if speed is None or times is None or times.low is None or times.high is None:
        return speed, None, None
    return speed, speed * times.value / times.high, speed * times.value / times.low


def by_workload(source: Source) -> dict[str, list[Row]]:
    """Return the table's rows a workload, both in the table's order."""
    found: dict[str, list[Row]] = {}
    for row in source.table.rows:
        found.setdefault(row.cell.workload, []).append(row)
    return found


def short_label(row: Row) -> str:
    """Return a row's name where its workload is known: image and variant."""
    return f"{row.cell.image} {row.cell.variant}".strip()


def bars(source: Source) -> list[Panel]:
    """Speed of each cell, one panel a workload."""
    panels = []
    for workload, table_rows in by_workload(source).items():
        rows: Rows = []
        for order, row in enumerate(table_rows):
            speed, low, high = images_per_s(row)
            rows.append(
                {
                    "label": short_label(row),
                    "order": order,
                    "speed": speed,
                    "low": low,
                    "high": high,
                    "median_ms": row.numbers["median_ms"],
                    "launches": f"{row.launches} of {row.asked}",
                    "status": str(row.status),
                    "shown": "" if row.status is Status.OK else str(row.status),
                }
            )
        panels.append(Panel(title=workload, rows=rows))
    return panels


def decade(source: Source) -> list[Panel]:
    """Release date against speed, one panel a workload and variant."""
    found: dict[str, Rows] = {}
    for row in source.table.rows:
        release = source.releases.get(row.cell.image)
        speed, low, high = images_per_s(row)
        if release is None or speed is None:
            continue
        title = " ".join(filter(None, (row.cell.workload, row.cell.variant)))
        found.setdefault(title, []).append(
            {
                "image": row.cell.image,
                "framework": release.framework,
                "version": release.version,
                "above": release.version.split("+")[0],
                "below": "",
                "date": release.date,
                "released": release.date,
                "speed": speed,
                "low": low,
                "high": high,
                "launches": f"{row.launches} of {row.asked}",
            }
        )
    for rows in found.values():
        part_names(rows)
    return [Panel(title=title, rows=rows) for title, rows in found.items()]


def part_names(rows: Rows) -> None:
    """Put a version below its point where another point would stand in its name."""
    if not rows:
        return
    days = [date.fromisoformat(str(row["date"])).toordinal() for row in rows]
    speeds = [float(row["speed"] or 0) for row in rows]
    wide, high = (max(days) - min(days)) * 0.08, max(speeds) * 0.12
    for number, row in enumerate(rows):
        if any(
            abs(day - days[number]) <= wide and 0 < speed - speeds[number] < high
            for day, speed in zip(days, speeds, strict=True)
        ):
            row["above"], row["below"] = "", row["above"]


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


def phases(source: Source) -> list[Panel]:
    """Cold-start phases of each cell, one panel a workload."""
    panels = []
    for workload, table_rows in by_workload(source).items():
        rows: Rows = [
            {
                "label": short_label(row),
                "order": order,
                "phase": name,
                "place": place,
                "seconds": seconds,
            }
            for order, row in enumerate(table_rows)
            for place, (name, seconds) in enumerate((row.phases_s or {}).items())
            if name not in _WARM
        ]
        if rows:
            panels.append(Panel(title=workload, rows=rows))
    return panels


def memory(source: Source) -> list[Panel]:
    """Memory of each launch, one panel a workload."""
    return _dots(source, _memory_quantities)


def gpu(source: Source) -> list[Panel]:
    """What was read of each launch's GPU, one panel a workload and quantity."""
    return _dots(source, _gpu_quantities)


Quantities = Callable[[Record], Iterator[tuple[str, str, float]]]


def _dots(source: Source, quantities: Quantities) -> list[Panel]:
    found: dict[str, Rows] = {}
    for workload, table_rows in by_workload(source).items():
        for order, row in enumerate(table_rows):
            for record in source.records.get(row.cell.label, ()):
                for panel, quantity, value in quantities(record):
                    found.setdefault(f"{workload}: {panel}", []).append(
                        {
                            "label": short_label(row),
                            "order": order,
                            "launch": record.launch + 1,
                            "quantity": quantity,
                            "value": value,
                        }
                    )
    return [Panel(title=title, rows=rows) for title, rows in found.items()]


def _memory_quantities(record: Record) -> Iterator[tuple[str, str, float]]:
    use: MemoryUse | None = record.memory
    if use is None:
        return
    known = {
        "peak while measuring": use.peak_bytes,
        "average while measuring": use.average_bytes,
        "kernel's peak, page cache included": use.kernel_peak_bytes,
        "framework allocator's peak": use.allocator_peak_bytes,
    }
    for quantity, value in known.items():
        if value is not None:
            yield "MiB", quantity, value / _MIB


def _gpu_quantities(record: Record) -> Iterator[tuple[str, str, float]]:
    use: GpuUse | None = record.gpu
    if use is None:
        return
    for peak in use.memory:
        yield "GPU memory, MiB", f"peak by {peak.method}", peak.peak_bytes / _MIB
    known = (
        ("SM clock, MHz", "mean", use.clock_hz, 1e-6),
        ("SM clock, MHz", "nominal", use.nominal_hz, 1e-6),
        ("power, W", "mean", use.power_w, 1.0),
        ("energy, J", "while measuring", use.energy_j, 1.0),
        ("temperature, °C", "mean", use.temperature_c, 1.0),
        ("utilisation, %", "mean", use.utilisation_share, 100.0),
    )
    for panel, quantity, value, scale in known:
        if value is not None:
            yield panel, quantity, value * scale


KINDS: dict[str, Kind] = {
    "bars": Kind(
        title="Speed of each cell",
        caption="Images a second at the median step; the line is the interval over launches. "
        "A cell without a number shows its status.",
        absent="the run has no cells",
        panels=bars,
    ),
    "decade": Kind(
        title="A decade of releases",
        caption="Release date against speed, one line a framework, the release beside its point. "
        "Only releases on one machine, one backend and one workload share a picture.",
        absent="no cell has both a number and a release date (images/ gives the dates)",
        panels=decade,
    ),
    "phases": Kind(
        title="Cold start",
        caption="Median seconds of each phase over the launches, from the script's start to the "
        "end of its first step.",
        absent="no record has phases",
        panels=phases,
    ),
    "memory": Kind(
        title="Memory",
        caption="One mark a launch, seen from outside the job. Records keep the peak and the "
        "average of the readings, not each reading.",
        absent="no record has memory readings",
        panels=memory,
    ),
    "gpu": Kind(
        title="GPU",
        caption="What the driver said of the GPU while each launch measured.",
        absent="no record has readings of a GPU",
        panels=gpu,
    ),
    "steps": Kind(
        title="Every step",
        caption="Each launch's steps in the order taken; the dashed rule is where its steady part "
        "was found to begin. The cold first step is not drawn.",
        absent="no cell has a number",
        panels=steps,
    ),
}
