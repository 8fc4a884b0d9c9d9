"""What a site keeps of each run once its own page is written: small, and sent between processes."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Hashable
from dataclasses import dataclass

from runner.model import Cell, Status
from runner.report.panels import images_per_s
from runner.report.source import Source, anchor, slug
from runner.report.table import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class CellSummary:
    """One cell of one run.

    Attributes:
        speed, low, high: images a second and its interval; None where there is none.
        medians_s: seconds of each launch's median step, of its steady part.
    """

    cell: Cell
    anchor: str
    status: Status
    reason: str
    launches: int
    median_ms: float | None
    speed: float | None
    low: float | None
    high: float | None
    medians_s: tuple[float, ...]

    @property
    def work(self) -> Hashable:
        """Whatever must agree for two numbers to be of the same work, whichever the image."""
        cell = self.cell
        parameters = tuple(sorted(cell.parameters.items()))
        return (cell.workload, cell.protocol, cell.device, parameters)

    @property
    def work_hash(self) -> str:
        """Return a short name of the work, for files."""
        return hashlib.sha256(repr(self.work).encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run: where and when, and its cells."""

    id: str
    page: str
    suite: str
    title: str
    profile: str
    backend: str
    fingerprint: str
    machine: str
    started_at: str
    cells: tuple[CellSummary, ...]

    @property
    def where(self) -> str:
        """Name the machine and the way jobs were launched: numbers of two are never mixed."""
        return f"{self.machine} ({self.fingerprint[:8]}), {self.backend}"


def summary(source: Source) -> RunSummary:
    """Keep of a run what pages over many runs need."""
    run = source.run
    return RunSummary(
        id=run.id,
        page=f"runs/{slug(run.id)}/index.html",
        suite=run.suite,
        title=run.title,
        profile=run.profile,
        backend=run.backend,
        fingerprint=run.fingerprint,
        machine=str(run.host.get("cpu_model") or "unknown CPU"),
        started_at=run.started_at,
        cells=tuple(_cell(row) for row in source.table.rows),
    )


def _cell(row: Row) -> CellSummary:
    speed, low, high = images_per_s(row)
    parts = () if row.steady is None else row.steady.parts
    return CellSummary(
        cell=row.cell,
        anchor=anchor(row.cell),
        status=row.status,
        reason=row.reason,
        launches=row.launches,
        median_ms=row.numbers["median_ms"],
        speed=speed,
        low=low,
        high=high,
        medians_s=tuple(statistics.median(part) for part in parts),
    )
