"""The data of the plots of what a launch took beside its time: cold start, memory, the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runner.model import GpuUse, MemoryUse, Record
from runner.report.panel import Panel, Rows, groups
from runner.report.source import Source

_MIB = 1024**2
_WARM = ("warm-up", "measure")

Quantities = Callable[[Record], Iterator[tuple[str, str, float]]]


def phases(source: Source) -> list[Panel]:
    """Cold-start phases of each cell, one panel a workload."""
    panels = []
    for group in groups(source):
        rows: Rows = [
            {"label": label, "order": order, "phase": name, "place": place, "seconds": seconds}
            for order, (row, label) in enumerate(zip(group.rows, group.labels, strict=True))
            for place, (name, seconds) in enumerate(row.phases_s.items())
            if name not in _WARM
        ]
        if rows:
            panels.append(Panel(title=group.title, rows=rows))
    return panels


def memory(source: Source) -> list[Panel]:
    """Memory of each launch, one panel a workload."""
    return _dots(source, _memory_quantities)


def gpu(source: Source) -> list[Panel]:
    """What was read of each launch's GPU, one panel a workload and quantity."""
    return _dots(source, _gpu_quantities)


def _dots(source: Source, quantities: Quantities) -> list[Panel]:
    found: dict[str, Rows] = {}
    for group in groups(source):
        for order, (row, label) in enumerate(zip(group.rows, group.labels, strict=True)):
            for record in source.records.get(row.cell.label, ()):
                for panel, quantity, value in quantities(record):
                    found.setdefault(f"{group.title}: {panel}", []).append(
                        {
                            "label": label,
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
            yield "memory, MiB", quantity, value / _MIB


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
