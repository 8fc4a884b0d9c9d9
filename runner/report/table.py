"""Records -> Table: a cell a row, each box a number or the status that says why there is none."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runner import agreement, cells, scaling
from runner.model import Cell, MemoryUse, Peak, Record, Run, Sampling, Status
from runner.report.machine import cpu_name, gpu_names
from runner.report.remarks import of_gpu_memory, of_left_out, of_records, of_speeds
from runner.scaling import Scaled
from runner.stats.estimate import Estimate, estimate_all, rate
from runner.stats.steady import Shape, SteadyParts
from runner.stopping import Decision, decide_all
from runner.workloads import WORKLOADS

_MIB = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of numbers.

    Attributes:
        key: name for machines, with its unit.
        title: name for people.
        digits: significant digits that people are shown; machines get them all.
        device: stands only in tables with jobs on it; None: in all.
    """

    key: str
    title: str
    digits: int = 3
    device: str | None = None


COLUMNS = (
    Column(key="median_ms", title="median step (ms)"),
    Column(key="interval_percent", title="95 % interval (±%)", digits=2),
    Column(key="images_per_s", title="images/s"),
    Column(key="between_launches_percent", title="spread between launches (%)", digits=2),
    Column(key="within_launch_percent", title="within (%)", digits=2),
    Column(key="cold_start_s", title="cold start (s)"),
    Column(key="memory_peak_mib", title="peak memory (MiB)", digits=4),
    Column(key="gpu_memory_peak_mib", title="GPU memory (MiB)", digits=4, device="cuda"),
    Column(key="gflops", title="GFLOP/s"),
    Column(key="peak_percent", title="of peak (%)", digits=2, device="cpu"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One cell of the suite.

    Attributes:
        status: ``ok`` where the numbers are there; else what stands in their place.
        reason: why, for a status other than ``ok``; empty otherwise.
        numbers: column key to value; None where a cell with numbers lacks this one, whose
            reason is then in ``missing`` under the same key.
        launches, asked: jobs that ended ``ok``, and jobs that were asked for.
        steady: where each of `used` becomes steady, launch by launch.
        used: the records that the numbers are made of.
    """

    cell: Cell
    status: Status
    reason: str
    numbers: dict[str, float | None]
    missing: dict[str, str]
    launches: int
    asked: int
    estimate: Estimate | None = None
    steady: SteadyParts | None = None
    used: tuple[Record, ...] = ()

    @property
    def phases_s(self) -> dict[str, float]:
        """Cold-start phase to the median of its seconds over the launches."""
        spent: defaultdict[str, list[float]] = defaultdict(list)
        for record in self.used:
            for phase in record.phases:
                spent[phase.name].append(phase.end_s - phase.start_s)
        return {name: statistics.median(values) for name, values in spent.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows in the suite's order, what stands above them, and the remarks below.

    Attributes:
        scaled: what more GPUs bring; empty where the run has one number of GPUs only.
    """

    title: str
    subtitle: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    scaled: tuple[Scaled, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that have a meaning for these rows."""
        devices = {None, *(row.cell.device for row in self.rows)}
        return tuple(column for column in COLUMNS if column.device in devices)


def build(run: Run, records: Sequence[Record]) -> Table:
    """Make the table of one run. Records of other backends are refused.

    Raises:
        ValueError: records of two backends: never both in one table.
    """
    return of_cells(run, cells.by_cell(records))


def of_cells(run: Run, records: Mapping[str, Sequence[Record]]) -> Table:
    """Make the table of one run, whose records stand by the label of their cell, as ``build``."""
    every = [record for found in records.values() for record in found]
    backends = sorted({record.backend for record in every} | {run.backend})
    if len(backends) > 1:
        msg = f"records of {' and '.join(backends)} cannot stand in one table"
        raise ValueError(msg)
    own = {label: cells.current(found) for label, found in records.items()}
    measured = [(cell, own.get(cell.label, [])) for cell in run.cells]
    counted = [record for found in own.values() for record in found]
    first = [record for found in own.values() for record in cells.good(found)[:1]]
    made = tuple(rows(measured, run.sampling, run.peak))
    return Table(
        title=f"{run.suite}: {run.title}",
        subtitle=(
            f"backend {run.backend}, profile {run.profile}: {_asked(run.sampling)} of "
            f"{run.sampling.measure_steps} steps; {_machine(run, counted)}"
        ),
        rows=made,
        remarks=(
            *of_records(counted),
            *of_gpu_memory(cells.gpu_memory(row.used) for row in made),
            *(found.text for found in agreement.check(first)),
            *of_speeds([row.numbers for row in made], run.peak),
            *of_left_out(len(every) - len(counted)),
        ),
        scaled=_scaled(run, counted),
    )


def _scaled(run: Run, records: Sequence[Record]) -> tuple[Scaled, ...]:
    counts = {cell.parameters.get("gpus", 1) for cell in run.cells}
    return scaling.rows(run, records) if len(counts) > 1 else ()


def _asked(sampling: Sampling) -> str:
    if sampling.precision is None:
        return f"{sampling.launches} launches"
    budget = "" if sampling.budget_s is None else f" or {sampling.budget_s:g} s a cell"
    return (
        f"{sampling.launches} to {sampling.max_launches} launches{budget}, for a precision of "
        f"{sampling.precision * 100:g} %,"
    )


def _machine(run: Run, records: Sequence[Record]) -> str:
    """Return the processor, the cores of a job where one was launched, and the GPUs of jobs."""
    cores = _cores(records)
    each = [f"{cores} cores a job"] if cores else []
    used = {record.gpu.uuid for record in records if record.gpu is not None}
    gpus = gpu_names(run, used) if any(cell.device != "cpu" for cell in run.cells) else []
    return ", ".join([cpu_name(run), *each, *gpus])


def _cores(records: Sequence[Record]) -> int:
    return max(map(len, {record.cores for record in records}), default=0)


def row(cell: Cell, records: Sequence[Record], sampling: Sampling, peak: Peak | None = None) -> Row:
    """Return a cell's row: numbers from its ``ok`` records, or the status of the others."""
    return rows([(cell, records)], sampling, peak)[0]


def rows(
    measured: Sequence[tuple[Cell, Sequence[Record]]], sampling: Sampling, peak: Peak | None = None
) -> list[Row]:
    """Return the rows of many cells, as ``row`` does for one; their steps are judged together."""
    good = [cells.good(records) for _, records in measured]
    known = [own for own in good if own]
    kept = cells.all_steady_parts(known)
    times = estimate_all([one.parts for one in kept], spreads=[one.level_spread for one in kept])
    numbered = iter(zip(kept, times, strict=True))
    decisions = decide_all([records for _, records in measured], sampling)
    made = []
    for (cell, records), own, decision in zip(measured, good, decisions, strict=True):
        if own:
            made.append(_measured(cell, records, own, decision, sampling, peak, *next(numbered)))
        else:
            made.append(_without_number(cell, records, decision))
    return made


def _without_number(cell: Cell, records: Sequence[Record], decision: Decision) -> Row:
    status, reason = cells.why(records)
    return Row(
        cell=cell,
        status=status,
        reason=reason,
        numbers=dict.fromkeys((column.key for column in COLUMNS), None),
        missing=dict.fromkeys((column.key for column in COLUMNS), str(status)),
        launches=0,
        asked=1 if status is Status.SKIPPED else decision.asked,
    )


def _measured(
    cell: Cell,
    records: Sequence[Record],
    good: Sequence[Record],
    decision: Decision,
    sampling: Sampling,
    peak: Peak | None,
    kept: SteadyParts,
    times: Estimate,
) -> Row:
    numbers, missing = _numbers(good, times, peak)
    reasons = (
        _precision(decision, sampling, times),
        _shortfall(records, good, decision),
        _unsteady(kept),
    )
    return Row(
        cell=cell,
        status=Status.OK,
        reason="; ".join(filter(None, reasons)),
        numbers=numbers,
        missing=missing,
        launches=len(good),
        asked=decision.asked,
        estimate=times,
        steady=kept,
        used=tuple(good),
    )


def _precision(decision: Decision, sampling: Sampling, times: Estimate) -> str:
    """Say whether a cell came to the precision that was asked for, and why it stopped there."""
    if sampling.precision is None:
        return ""
    width = times.relative_half_width
    if width is None:
        return f"precision {sampling.precision * 100:g} % not reached; {decision.reason}"
    verdict = "reached" if width <= sampling.precision else "not reached"
    return (
        f"precision {sampling.precision * 100:g} % {verdict}: ±{width * 100:.2g} %; "
        f"{decision.reason or f'{times.launches} launches'}"
    )


def _shortfall(records: Sequence[Record], good: Sequence[Record], decision: Decision) -> str:
    bad = [record for record in records if record.status is not Status.OK]
    if len(good) >= decision.asked or (not bad and decision.reason):
        return ""
    if not bad:
        return f"{len(good)} of {decision.asked} launches"
    last = bad[-1]
    return f"{len(good)} of {decision.asked} launches; one ended {last.status}: {last.reason}"


def _unsteady(kept: SteadyParts) -> str:
    """Say that a cell's steps never settle; series too short to tell are not accused of it."""
    unlike = [kept.together, *(kept.found[index] for index in kept.unsteady)]
    worst = next((found for found in unlike if found.start is None), None)
    if kept.steady or worst is None or worst.shape is Shape.TOO_SHORT:
        return ""
    return f"no steady state, all steps kept: {worst.reason}"


def _numbers(
    good: Sequence[Record], times: Estimate, peak: Peak | None
) -> tuple[dict[str, float | None], dict[str, str]]:
    images = rate(times, good[0].samples[0].items)
    numbers: dict[str, float | None] = {
        "median_ms": times.value * 1e3,
        "interval_percent": _percent(times.relative_half_width),
        "images_per_s": images.value,
        "between_launches_percent": _percent(times.between_cv),
        "within_launch_percent": _percent(times.within_cv),
        "cold_start_s": _median_of(good, cold_start_s),
        "memory_peak_mib": _memory(good),
        "gpu_memory_peak_mib": _gpu_memory(good),
        **_speeds(good[0].cell, images.value, peak),
    }
    why = {
        "interval_percent": "one launch",
        "between_launches_percent": "one launch",
        "within_launch_percent": "one step",
        "cold_start_s": "no phases",
        "memory_peak_mib": "not seen",
        "gpu_memory_peak_mib": "not seen",
        "gflops": "not counted",
        "peak_percent": "not measured",
    }
    return numbers, {key: why[key] for key, value in numbers.items() if value is None}


def _speeds(cell: Cell, images_per_s: float, peak: Peak | None) -> dict[str, float | None]:
    """Return operations a second, from the workload's stated number, and their share of peak."""
    whole = cell.parameters.get("part", "step") == "step"
    own = cell.parameters.get("architecture", "reference") != "reference"
    operations = 2 * WORKLOADS[cell.workload].multiply_adds if whole and not own else 0
    speed = operations * images_per_s if operations else None
    known = speed is not None and peak is not None and cell.device == "cpu"
    return {
        "gflops": None if speed is None else speed / 1e9,
        "peak_percent": speed / peak.flops * 100 if known and speed and peak else None,
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def cold_start_s(record: Record) -> float | None:
    """Return seconds from the script's start to the end of its first step; None if unknown."""
    ends = [phase.end_s for phase in record.phases if phase.name == "first-step"]
    return max(ends) if ends else None


def _memory(records: Sequence[Record]) -> float | None:
    uses: list[MemoryUse] = [r.memory for r in records if r.memory is not None]
    return statistics.median(use.peak_bytes for use in uses) / _MIB if uses else None


def _gpu_memory(records: Sequence[Record]) -> float | None:
    peaks = cells.gpu_memory(records)
    return statistics.median(peak.peak_bytes for peak in peaks) / _MIB if peaks else None


def _median_of(records: Sequence[Record], value: Callable[[Record], float | None]) -> float | None:
    known = [number for number in map(value, records) if number is not None]
    return statistics.median(known) if known else None
