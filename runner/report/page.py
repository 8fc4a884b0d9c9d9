"""A run as what its page shows: cells with their boxes, launches with where each came from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from runner.model import Record, Run, Status
from runner.report import words
from runner.report.formats import scaling, shown
from runner.report.logs import Log, Logs
from runner.report.machine import cpu_name, gpu_names
from runner.report.parts import Part, parts
from runner.report.reproduced import Reproduced
from runner.report.source import Source, anchor
from runner.report.table import Column, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One box of the table: what is shown, and the number it is sorted by (None: no number)."""

    text: str
    value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A name and what it is, both for people."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchView:
    """One launch of a cell: its record in words."""

    record: Record
    title: str
    facts: tuple[Fact, ...]
    command: str
    log: Log


@dataclass(frozen=True, kw_only=True, slots=True)
class CellView:
    """One cell: its row, and what its page section says.

    Attributes:
        repeat: the command that measures this cell again.
        meaning: what its status means.
    """

    row: Row
    anchor: str
    boxes: tuple[Box, ...]
    facts: tuple[Fact, ...]
    repeat: str
    meaning: str
    launches: tuple[LaunchView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """All that a run's page shows, but for its plots.

    Attributes:
        published: the published document that the run makes again, or why there is none; None
            where nobody looked.
        scaling: what more GPUs bring.
    """

    source: Source
    columns: tuple[Column, ...]
    cells: tuple[CellView, ...]
    facts: tuple[Fact, ...]
    launching: tuple[Fact, ...]
    machine: tuple[Fact, ...]
    has_workloads: bool
    has_variants: bool
    published: Reproduced | None = None
    scaling: tuple[Part, ...] = ()


def page(source: Source, folder: Path | None, published: Reproduced | None = None) -> Page:
    """Make a run's page; `folder` is the run's own, for its logs, or None to leave them out."""
    logs = Logs.of(folder)
    columns = source.table.columns
    cells = tuple(_cell(source, row, columns, logs) for row in source.table.rows)
    return Page(
        source=source,
        columns=columns,
        cells=cells,
        facts=tuple(_run_facts(source)),
        launching=tuple(_launching(source.run)),
        machine=tuple(_machine(source.run)),
        has_workloads=len({row.cell.workload for row in source.table.rows}) > 1,
        has_variants=any(row.cell.variant for row in source.table.rows),
        published=published,
        scaling=tuple(part for part in parts(scaling(source.table), {}) if part.kind == "table"),
    )


def _run_facts(source: Source) -> Iterator[Fact]:
    run, rows = source.run, source.table.rows
    measured = sum(row.status is Status.OK for row in rows)
    yield Fact(name="measured", text=f"{measured} of {len(rows)} cells have a number")
    yield Fact(name="started", text=run.started_at)
    yield Fact(name="machine", text=", ".join([cpu_name(run), *gpu_names(run)]))
    how = words.BACKENDS.get(run.backend, "")
    yield Fact(name="backend", text=f"{run.backend}: {how}" if how else run.backend)
    times = run.sampling.launches
    yield Fact(
        name="sampling",
        text=f"profile {run.profile}: {times} launch{'' if times == 1 else 'es'} of "
        f"{run.sampling.warmup_steps} warm-up and {run.sampling.measure_steps} measured steps",
    )
    for protocol in sorted({cell.protocol for cell in run.cells}):
        yield Fact(name="protocol", text=f"{protocol}: {words.PROTOCOLS.get(protocol, '')}")


def _launching(run: Run) -> Iterator[Fact]:
    yield Fact(name="command", text=shlex.join(run.command))
    yield Fact(name="backend chosen because", text=run.backend_reason)
    yield Fact(name="matrix", text=f"SHA-256 {run.matrix_sha256}")
    yield Fact(name="order of jobs", text=f"rounds shuffled by the seed {run.order_seed}")


def _machine(run: Run) -> Iterator[Fact]:
    yield Fact(name="fingerprint", text=run.fingerprint)
    for kind, facts in (("", run.host), ("engine: ", run.engine)):
        for name, value in facts.items():
            shown_value = "not said by the kernel" if value is None else _flat(value)
            yield Fact(name=f"{kind}{name.replace('_', ' ')}", text=shown_value)


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return str(value)


def _cell(source: Source, row: Row, columns: Sequence[Column], logs: Logs) -> CellView:
    cell = row.cell
    boxes = tuple(Box(text=shown(row, column), value=row.numbers[column.key]) for column in columns)
    records = source.records.get(cell.label, ())
    return CellView(
        row=row,
        anchor=anchor(cell),
        boxes=boxes,
        facts=tuple(_cell_facts(source, row, records)),
        repeat=repeat_command(source.run, row),
        meaning=words.STATUSES[row.status],
        launches=tuple(_launch(record, logs) for record in records),
    )


def repeat_command(run: Run, row: Row) -> str:
    """Return the command that measures a cell again, in the project's folder of that day."""
    return shlex.join(
        [
            *("runner", "matrix", "matrix.yaml", "--suite", run.suite, "--profile", run.profile),
            *("--backend", run.backend, "--only", row.cell.label),
        ]
    )


def _cell_facts(source: Source, row: Row, records: Sequence[Record]) -> Iterator[Fact]:
    cell = row.cell
    release = source.releases.get(cell.image)
    if release is not None:
        released = f"{release.framework} {release.version}, released {release.date}"
        yield Fact(name="release", text=released)
        yield from (Fact(name="known defect", text=defect) for defect in release.defects)
    yield Fact(name="protocol", text=cell.protocol)
    yield Fact(name="device", text=cell.device)
    given = ", ".join(f"{name}={value}" for name, value in cell.parameters.items())
    yield Fact(name="parameters", text=given or "none")
    if row.estimate is not None:
        yield Fact(name="interval", text=row.estimate.method)
        yield Fact(name="outliers", text=f"{len(row.estimate.outliers)} steps, none dropped")
    if row.steady is not None:
        yield Fact(name="steady state", text=row.steady.together.reason)
    yield from _provenance(records)


def _provenance(records: Sequence[Record]) -> Iterator[Fact]:
    """Yield what made the numbers; a launch made otherwise than another is seen at once."""
    found: dict[str, list[str]] = {}

    def add(name: str, text: str) -> None:
        if text not in found.setdefault(name, []):
            found[name].append(text)

    for record in records:
        add("identity", record.identity or "none: no environment was made")
        made = record.environment
        if made is None:
            continue
        add("image digest", made.digest)
        add("lock (SHA-256)", made.lock_sha256)
        add("scripts (SHA-256)", made.scripts_sha256)
        if made.base is not None:
            add("base image", made.base.reference)
            if made.base.substituted_by is not None:
                add("base substituted by", made.base.substituted_by)
        for name, value in made.facts.items():
            add(name.replace("_", " "), value)
        if record.hello is not None:
            hello = record.hello
            says = f"{hello.framework} {hello.framework_version}, {hello.language} "
            add("the framework says", f"{says}{hello.language_version}")
            libraries = ", ".join(f"{name} {v}" for name, v in hello.libraries.items())
            add("libraries", libraries or "none named")
            threads = "not said" if hello.threads is None else hello.threads
            add("threads", f"{threads} ({hello.threads_source})")
            add("data", hello.data or "not said")
    for name, texts in found.items():
        for text in texts:
            yield Fact(name=name, text=text)


# Launches of a cell have one command, and to quote it takes longer than all else of them.
_quoted = lru_cache(maxsize=1024)(shlex.join)


def _launch(record: Record, logs: Logs) -> LaunchView:
    return LaunchView(
        record=record,
        title=f"launch {record.launch + 1}: {record.status}, {record.started_at}",
        facts=tuple(_launch_facts(record)),
        command=_quoted(record.command),
        log=logs.read(record),
    )


def _launch_facts(record: Record) -> Iterator[Fact]:
    if record.reason:
        yield Fact(name="reason", text=record.reason)
    yield Fact(name="in all", text=f"{record.wall_s:.1f} s on cores {_flat(record.cores)}")
    if record.cpu_s is not None:
        yield Fact(name="processor time while measuring", text=f"{record.cpu_s:.2f} s")
    if record.memory is not None:
        use = record.memory
        yield Fact(name="memory read by", text=f"{use.method}, {use.readings} readings")
    for check in record.checks:
        verdict = "passed" if check.passed else f"failed, expected {check.expected}"
        yield Fact(name=f"check {check.name}", text=f"{check.value}: {verdict}")
    if record.outcome is not None and record.outcome.signal is not None:
        yield Fact(name="ended by signal", text=str(record.outcome.signal))
    elif record.outcome is not None:
        yield Fact(name="exit status", text=str(record.outcome.exit_code))
    yield from _variables(tuple(record.variables.items()))


@lru_cache(maxsize=1024)
def _variables(given: tuple[tuple[str, str], ...]) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, text=value) for name, value in sorted(given))
