"""A run as asv's result files, version 2: null for what failed, NaN for what was left out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from runner.model import Record, Status
from runner.report.source import Source
from runner.report.table import Row

_COLUMNS = (
    "result",
    "params",
    "version",
    "started_at",
    "duration",
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
    "stats_q_75",
    "stats_number",
    "stats_repeat",
    "samples",
)


def asv(source: Source) -> dict[str, bytes]:
    """Return asv's result files by path: an image is a revision, a workload a benchmark.

    asv keeps a point a commit. A framework release takes the commit's place: its hash is that of
    the image's name, its date the release's (or the run's, where no release date is known).
    """
    run = source.run
    machine = f"{run.backend}-{run.fingerprint}"
    facts = {
        "arch": "",
        "cpu": str(run.host.get("cpu_model") or ""),
        "machine": machine,
        "num_cpu": str(run.host.get("logical_cores") or ""),
        "os": str(run.host.get("kernel") or ""),
        "ram": str(run.host.get("memory_bytes") or ""),
    }
    files = {f"{machine}/machine.json": _encoded({**facts, "version": 1})}
    names = sorted({_name(row) for row in source.table.rows})
    files["benchmarks.json"] = _encoded(
        {**{name: _benchmark(name) for name in names}, "version": 2}
    )
    by_image: dict[str, list[Row]] = {}
    for row in source.table.rows:
        by_image.setdefault(row.cell.image, []).append(row)
    for image, rows in by_image.items():
        commit = hashlib.sha1(image.encode(), usedforsecurity=False).hexdigest()
        path = f"{machine}/{commit[:8]}-{run.backend}.json"
        text = json.dumps(_results(source, image, commit, facts, rows), indent=1)
        files[path] = (text + "\n").encode()
    return files


def _name(row: Row) -> str:
    return ".".join(filter(None, (row.cell.workload, row.cell.variant)))


def _benchmark(name: str) -> dict[str, object]:
    return {
        "code": "",
        "name": name,
        "param_names": [],
        "params": [],
        "timeout": 0,
        "type": "time",
        "unit": "seconds",
        "version": hashlib.sha256(name.encode()).hexdigest(),
    }


def _results(
    source: Source, image: str, commit: str, machine: dict[str, str], rows: Iterable[Row]
) -> dict[str, object]:
    release = source.releases.get(image)
    day = release.date if release else source.run.started_at
    return {
        "version": 2,
        "commit_hash": commit,
        "env_name": source.run.backend,
        "date": _milliseconds(day),
        "params": machine,
        "python": "",
        "requirements": {} if release is None else {release.framework: release.version},
        "env_vars": {},
        "result_columns": list(_COLUMNS),
        "results": {_name(row): _row(row) for row in rows},
        "durations": {},
    }


def _row(row: Row) -> list[Any]:
    version = hashlib.sha256(_name(row).encode()).hexdigest()
    times, started, spent = row.estimate, _started(row.used), sum(r.wall_s for r in row.used)
    if times is None:
        nothing = math.nan if row.status is Status.SKIPPED else None
        return [[nothing], [], version, started, None]
    assert row.steady is not None
    quartiles = {item.percent: item.value for item in times.percentiles}
    ends = [times.low, times.high, quartiles.get(25.0), quartiles.get(75.0)]
    every = [seconds for part in row.steady.parts for seconds in part]
    counts = [[1], [times.samples], [every]]
    return [[times.value], [], version, started, spent, *([end] for end in ends), *counts]


def _started(records: Iterable[Record]) -> int | None:
    return min((_milliseconds(record.started_at) for record in records), default=None)


def _milliseconds(moment: str) -> int:
    found = datetime.fromisoformat(moment)
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _encoded(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
