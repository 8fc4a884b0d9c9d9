"""How loading records and printing their table grows with their number.

    python -m benchmarks.report_scale [--most 100000]
    python -m benchmarks.report_scale --site 1000

Each size is measured in a fresh process, so that its peak of memory is its own: records of 20
steps each, ten launches a cell, decoded from a records.jsonl made for it, then made into a table
and printed as Markdown. `--site` makes a site over so many runs of 50 cells, three launches each.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from runner import report_commands, store
from runner.report import formats, site, table
from tests.makers import make_cell, make_record, make_run, make_samples

LAUNCHES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one size took: seconds, and the process's peak of memory before and after the table."""

    records: int
    file_mib: float
    load_s: float
    table_s: float
    load_mib: float
    peak_mib: float


def write(folder: Path, records: int) -> None:
    """Write a run of `records` launches that all went well."""
    drawn = random.Random(1)
    cells = [make_cell(f"torch-1.{number}") for number in range(records // LAUNCHES)]
    (folder / "run.json").write_bytes(msgspec.json.encode(make_run(tuple(cells))))
    with (folder / "records.jsonl").open("wb") as file:
        for launch in range(LAUNCHES):
            for cell in cells:
                steps = (0.1 * math.exp(drawn.gauss(0, 0.02)) for _ in range(20))
                losses = tuple(2.3 - 0.01 * step for step in range(26))
                record = make_record(cell, launch, samples=(make_samples(*steps),), losses=losses)
                file.write(msgspec.json.encode(record) + b"\n")


def measure(folder: Path) -> Cost:
    """Load a run and print its table, once, in this process."""
    started = time.perf_counter()
    run, records = store.load_run(folder), store.load_records(folder)
    loaded, load_mib = time.perf_counter(), peak_mib()
    text = formats.markdown(table.build(run, records))
    done = time.perf_counter()
    if text.count("\n") < len(run.cells):
        msg = f"{len(run.cells)} cells, and a table of {text.count(chr(10))} lines"
        raise AssertionError(msg)
    return Cost(
        records=len(records),
        file_mib=(folder / "records.jsonl").stat().st_size / 2**20,
        load_s=loaded - started,
        table_s=done - loaded,
        load_mib=load_mib,
        peak_mib=peak_mib(),
    )


def peak_mib() -> float:
    """Return the most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def costs(most: int) -> Iterator[Cost]:
    """Measure each size from 1,000 records on, a fresh process each."""
    sizes = [size for size in (1_000, 3_000, 10_000, 30_000, 100_000) if size <= most]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), size)
            command = [sys.executable, "-m", "benchmarks.report_scale", "--measure", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            yield Cost(**json.loads(done.stdout))


def write_runs(folder: Path, runs: int) -> None:
    """Write runs of 50 cells of 3 launches, a day apart, on two machines."""
    drawn = random.Random(1)
    cells = tuple(make_cell(f"torch-1.{number}") for number in range(50))
    for number in range(runs):
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
        own = folder / f"{day:%Y-%m-%d}-decade-process"
        own.mkdir()
        run = make_run(
            cells, id=own.name, started_at=day.isoformat(), fingerprint="ab"[number % 2] * 16
        )
        (own / "run.json").write_bytes(msgspec.json.encode(run))
        with (own / "records.jsonl").open("wb") as file:
            for launch in range(3):
                for cell in cells:
                    steps = (0.1 * math.exp(drawn.gauss(0, 0.02)) for _ in range(20))
                    record = make_record(cell, launch, samples=(make_samples(*steps),))
                    file.write(msgspec.json.encode(record) + b"\n")


def build_site(runs: int) -> None:
    """Make a site over so many runs, and print what it took."""
    with tempfile.TemporaryDirectory() as name:
        results, target = Path(name) / "results", Path(name) / "site"
        results.mkdir()
        write_runs(results, runs)
        plan = site.Plan(
            folders=tuple(store.runs(results)),
            load=report_commands.load_run,
            releases={},
            documents=(),
            target=target,
        )
        started = time.perf_counter()
        pages = site.build(plan)
        spent = time.perf_counter() - started
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{runs} runs of 50 cells: {pages} pages, {size / 2**20:.0f} MiB in {spent:.1f} s")


def main() -> None:
    """Print one line a size, and how the time grew with the number of records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100_000, metavar="RECORDS")
    parser.add_argument("--site", type=int, metavar="RUNS", help="measure a site instead")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        print(json.dumps(asdict(measure(asked.measure))))
        return
    if asked.site is not None:
        build_site(asked.site)
        return
    print("records   file MiB   load s   table s   us/record: load   table   peak MiB")
    found = []
    for cost in costs(asked.most):
        found.append(cost)
        each = 1e6 / cost.records
        print(
            f"{cost.records:7d} {cost.file_mib:10.1f} {cost.load_s:8.2f} {cost.table_s:9.2f} "
            f"{cost.load_s * each:17.1f} {cost.table_s * each:7.1f} {cost.peak_mib:10.0f}"
        )
    if len(found) > 1:
        first, last = found[0], found[-1]
        growth = math.log(last.load_s + last.table_s) - math.log(first.load_s + first.table_s)
        power = growth / math.log(last.records / first.records)
        print(f"time grows as the number of records to the power {power:.2f}")


if __name__ == "__main__":
    main()
