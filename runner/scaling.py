"""What more GPUs bring: the rate of data-parallel training on 1, 2, ... GPUs. Pure functions.

The batch of each GPU is the same, so that perfect scaling leaves the time of a step as it is
(weak scaling); efficiency is the rate on n GPUs over n times the rate on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from runner import cells
from runner.model import Cell, Record, Run, Scalar
from runner.stats.compare import Launches, compare
from runner.stats.estimate import estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Communicated:
    """What working together costs a cell; medians over launches of each launch's median.

    Attributes:
        reduced_bytes: of the gradients that a step sums over all GPUs.
        exposed_communication_s: step_s less that of the same step without summing; what is not
            hidden behind computing, the wait for the slowest GPU included. Noise may take it
            below 0.
        all_reduce_s: in which all-reduce kernels ran in a step, hidden or not, the wait of the
            first GPU for the others included; None where nothing told.
        all_reduce_bandwidth_bytes_per_s: of the gradients over all_reduce_s, by the same rule
            as the link's.
        link_bandwidth_bytes_per_s: of a large all-reduce by itself in the same job; both are
            NCCL's bus bandwidth, 2 (n - 1) / n * bytes / seconds, which a ring of n GPUs asks
            of its slowest link (NVIDIA/nccl-tests, doc/PERFORMANCE.md).
    """

    step_s: float
    reduced_bytes: int
    exposed_communication_s: float
    all_reduce_s: float | None
    all_reduce_bandwidth_bytes_per_s: float | None
    link_bandwidth_bytes_per_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaled:
    """A cell that trains on several GPUs, held to the same work on one.

    Attributes:
        rate: items a second of all GPUs together; None where there is no number.
        efficiency: rate over `gpus` times the rate on one GPU; 1 is perfect.
        low, high: 95 % interval of the efficiency; None with one launch on a side.
        missing: why there is no efficiency; empty where there is one.
        communication: None where it was not told.
    """

    cell: Cell
    gpus: int
    rate: float | None
    efficiency: float | None
    low: float | None
    high: float | None
    missing: str
    communication: Communicated | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    launches: Launches
    items: int
    why: str
    communication: Communicated | None = None


def rows(run: Run, records: Sequence[Record]) -> tuple[Scaled, ...]:
    """Return every cell whose work is measured on several numbers of GPUs, fewest first."""
    found = cells.by_cell(records)
    work: dict[tuple[Scalar, ...], list[Cell]] = {}
    for cell in run.cells:
        others = sorted(item for item in cell.parameters.items() if item[0] != "gpus")
        key = (cell.image, cell.workload, cell.protocol, *(str(item) for item in others))
        work.setdefault(key, []).append(cell)
    made: list[Scaled] = []
    for same in work.values():
        if len(same) == 1:
            continue
        ordered = sorted(same, key=_gpus)
        measured = [_measured(found.get(cell.label, [])) for cell in ordered]
        alone = measured[0] if _gpus(ordered[0]) == 1 else None
        made += [_scaled(cell, one, alone) for cell, one in zip(ordered, measured, strict=True)]
    return tuple(made)


def _gpus(cell: Cell) -> int:
    return int(cell.parameters.get("gpus", 1))


def _measured(records: Sequence[Record]) -> _Measured:
    current = cells.current(records)
    good = cells.good(current)
    if not good:
        status, reason = cells.why(current)
        return _Measured(launches=(), items=0, why=f"{status}: {reason}")
    return _Measured(
        launches=cells.steady_parts(good).parts,
        items=good[0].samples[0].items,
        why="",
        communication=communicated(good),
    )


def communicated(records: Sequence[Record]) -> Communicated | None:
    """Return what working together cost a cell's good launches; None where none told."""
    told = [(record, each) for record in records if (each := record.communication) is not None]
    if not told:
        return None
    count = _gpus(told[0][0].cell)
    step_s = median(median(record.samples[0].measured_s) for record, _ in told)
    exposed = [median(record.samples[0].measured_s) - median(each.alone_s) for record, each in told]
    reducing = [median(each.all_reduce_s) for _, each in told if each.all_reduce_s]
    all_reduce_s = median(reducing) if reducing else None
    reduced_bytes = told[0][1].reduced_bytes
    link = [_bus(count, each.probe_bytes, median(each.probe_s)) for _, each in told]
    return Communicated(
        step_s=step_s,
        reduced_bytes=reduced_bytes,
        exposed_communication_s=median(exposed),
        all_reduce_s=all_reduce_s,
        all_reduce_bandwidth_bytes_per_s=(
            None if all_reduce_s is None else _bus(count, reduced_bytes, all_reduce_s)
        ),
        link_bandwidth_bytes_per_s=median(link),
    )


def _bus(gpus: int, size_bytes: int, seconds: float) -> float:
    return 2 * (gpus - 1) / gpus * size_bytes / seconds


def _scaled(cell: Cell, one: _Measured, alone: _Measured | None) -> Scaled:
    count = _gpus(cell)
    plain = Scaled(
        cell=cell,
        gpus=count,
        rate=one.items / estimate(one.launches).value if one.launches else None,
        efficiency=None,
        low=None,
        high=None,
        missing=one.why,
        communication=one.communication,
    )
    if not one.launches:
        return plain
    if alone is None or not alone.launches:
        why = "not measured" if alone is None else alone.why
        return replace(plain, missing=f"no number on one GPU: {why}")
    if count == 1:
        return plain
    # equal shares of work: the time of a step by the items of each GPU
    share = one.items / alone.items / count
    found = compare(alone.launches, one.launches)
    return replace(
        plain,
        efficiency=share * found.base_value / found.value,
        low=None if found.high is None else share / found.high,
        high=None if found.low is None else share / found.low,
    )
