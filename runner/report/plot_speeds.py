"""The data of the plots of speed: each cell's, and each release's over the years."""

from __future__ import annotations

from datetime import date

from runner.model import Status
from runner.report.panel import Panel, Rows, groups, images_per_s
from runner.report.source import Source


def bars(source: Source) -> list[Panel]:
    """Speed of each cell, one panel a workload."""
    panels = []
    for group in groups(source):
        rows: Rows = []
        for order, (row, label) in enumerate(zip(group.rows, group.labels, strict=True)):
            speed, low, high = images_per_s(row)
            rows.append(
                {
                    "label": label,
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
        panels.append(Panel(title=group.title, rows=rows))
    return panels


def decade(source: Source) -> list[Panel]:
    """Release date against speed, one panel a workload and variant of two releases or more."""
    found: dict[str, Rows] = {}
    for row in source.table.rows:
        release = source.releases.get(row.cell.image)
        speed, low, high = images_per_s(row)
        if release is None or speed is None:
            continue
        title = ", ".join(filter(None, (row.cell.workload, row.cell.variant)))
        found.setdefault(title, []).append(
            {
                "image": row.cell.image,
                "framework": release.framework,
                "version": release.version,
                "above": release.version.split("+")[0],
                "below": "",
                "date": release.date,
                "released": release.date,
                "defects": "; ".join(release.defects) or "none",
                "speed": speed,
                "low": low,
                "high": high,
                "launches": f"{row.launches} of {row.asked}",
            }
        )
    dated = {title: rows for title, rows in found.items() if len({r["date"] for r in rows}) > 1}
    for rows in dated.values():
        part_names(rows)
    return [Panel(title=title, rows=rows) for title, rows in dated.items()]


def part_names(rows: Rows) -> None:
    """Put a version below its point where another point would stand in its name."""
    if not rows:
        return
    days = [date.fromisoformat(str(row["date"])).toordinal() for row in rows]
    speeds = [float(row["speed"] or 0) for row in rows]
    tops = [float(row["high"] or row["speed"] or 0) for row in rows]
    wide, high = (max(days) - min(days)) * 0.08, max(tops) * 0.12
    for number, row in enumerate(rows):
        if any(
            abs(day - days[number]) <= wide and speeds[number] < speed < tops[number] + high
            for day, speed in zip(days, speeds, strict=True)
        ):
            row["above"], row["below"] = "", row["above"]
