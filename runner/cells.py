"""A run's records cell by cell, and what of them counts. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.model import Cell, GpuMemory, Record, Status
from runner.stats.steady import SteadyParts, find_all_steady_parts


def by_cell(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each cell, by its label, oldest first."""
    found: dict[str, list[Record]] = {}
    # Records of a cell mostly share it (see ``store``), and a label takes time to put together.
    lists: dict[int, list[Record]] = {}
    for record in records:
        own = lists.get(id(record.cell))
        if own is None:
            own = lists[id(record.cell)] = found.setdefault(record.cell.label, [])
        own.append(record)
    return found


def is_whole(cells: Iterable[Cell], records: Mapping[str, Sequence[Record]]) -> bool:
    """Tell whether every cell that was to be measured has a number; records by its label."""
    settled = (Status.OK, Status.SKIPPED)
    return all(
        any(record.status in settled for record in records.get(cell.label, ())) for cell in cells
    )


def current(records: Sequence[Record]) -> list[Record]:
    """Return a cell's records of its latest identity: an edited script's are another result."""
    known = [record.identity for record in records if record.identity is not None]
    return [record for record in records if not known or record.identity in (None, known[-1])]


def good(records: Iterable[Record]) -> list[Record]:
    """Return those that ended ``ok``: they alone give numbers."""
    return [record for record in records if record.status is Status.OK]


def steady_parts(records: Sequence[Record]) -> SteadyParts:
    """Return the steady part of the launches of a cell, all of which ended ``ok``."""
    return all_steady_parts([records])[0]


def all_steady_parts(cells: Sequence[Sequence[Record]]) -> list[SteadyParts]:
    """Return the steady parts of many cells, as ``steady_parts`` does for one, but together."""
    return find_all_steady_parts(
        [[record.samples[0].measured_s for record in records] for records in cells]
    )


def why(records: Sequence[Record]) -> tuple[Status, str]:
    """Return the commonest failure of a cell, the latest of equals, and its reason."""
    if not records:
        return Status.KILLED, "not measured: the run ended before its turn"
    statuses = [record.status for record in records]
    latest = max(records, key=lambda record: (statuses.count(record.status), record.started_at))
    return latest.status, latest.reason


def gpu_memory(records: Sequence[Record]) -> list[GpuMemory]:
    """Return the peaks of GPU memory of some launches, by one way for all: that which says most."""
    known = [peak for record in records if record.gpu is not None for peak in record.gpu.memory]
    for method in ("sampling", "accounting", "allocator"):
        if found := [peak for peak in known if peak.method == method]:
            return found
    return []
