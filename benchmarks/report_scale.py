"""How loading records and printing their table grows with their number, and a site with its runs.

    python -m benchmarks.report_scale [--most 100000] [--launches 10] [--json FILE]
    python -m benchmarks.report_scale --site 1000 [--folder DIR] [--json FILE]

Records are as long as real ones (some 6 KB): 20 steps, six phases, eight checks, the whole
command. Each size is measured in fresh processes: once the command itself, `runner report RUN
--format markdown`, from start to end as the kernel accounts for it, and once its two stages.

`--site` makes a site over so many runs of 50 cells, three launches each, on two machines, and
opens pages of it in headless Chromium: seconds until the first table is painted.

CPU seconds are over all cores; on a busy machine they say more than those on the wall.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import scale_data, scale_site
from runner import store
from runner.report import formats, table

LIMIT_S = 5.0
LIMIT_MIB = 1024.0
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one size took.

    Attributes:
        load_cpu_s, table_cpu_s: the two stages, in a process that does nothing else.
        command_cpu_s, command_wall_s, command_peak_mib: the whole command, start-up included.
    """

    records: int
    file_mib: float
    load_cpu_s: float
    table_cpu_s: float
    command_cpu_s: float
    command_wall_s: float
    command_peak_mib: float


def stages(folder: Path) -> dict[str, float]:
    """Load a run and print its table, once, in this process; return CPU seconds of each."""
    gc.disable()  # as the command does
    started = time.process_time()
    run, records = store.load_run(folder), store.load_records(folder, for_table=True)
    loaded = time.process_time()
    text = formats.markdown(table.build(run, records))
    done = time.process_time()
    if text.count("\n") < len(run.cells):
        msg = f"{len(run.cells)} cells, and a table of {text.count(chr(10))} lines"
        raise AssertionError(msg)
    return {"load_cpu_s": loaded - started, "table_cpu_s": done - loaded}


def cost(records: int, launches: int) -> Cost:
    """Write so many records, then measure the command and its stages, a fresh process each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scale_data.write_run(folder, records, launches)
        target = str(folder / "table.md")
        report = ("-m", "runner.cli", "report", name, "--format", "markdown", "-o", target)
        started = time.perf_counter()
        used = _usage_of(report)
        wall = time.perf_counter() - started
        split = subprocess.run(
            [sys.executable, "-m", "benchmarks.report_scale", "--stages", name],
            capture_output=True,
            text=True,
            check=True,
        )
        return Cost(
            records=records,
            file_mib=(folder / "records.jsonl").stat().st_size / 2**20,
            command_cpu_s=used.ru_utime + used.ru_stime,
            command_wall_s=wall,
            command_peak_mib=used.ru_maxrss / 1024,
            **json.loads(split.stdout),
        )


def _usage_of(arguments: Sequence[str]) -> resource.struct_rusage:
    """Run Python with these arguments and return what the kernel says it used."""
    child = subprocess.Popen([sys.executable, *arguments])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return used


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the power of the size that the cost grows as: a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def print_growth(found: Sequence[Cost]) -> None:
    """Print how time and memory grow, and the largest size against the limits."""
    sizes = [one.records for one in found]
    last = found[-1]
    if len(found) > 1:
        each = [one.load_cpu_s + one.table_cpu_s for one in found]
        slope, start = np.polyfit(sizes, [one.command_peak_mib for one in found], 1)
        print()
        print(f"time of both stages grows as records to the power {growth(sizes, each):.2f}")
        print(f"memory: {start:.0f} MiB + {slope * 1024:.1f} KiB a record")
    print(
        f"{last.records} records in {last.command_wall_s:.1f} s on the wall, "
        f"{last.command_cpu_s:.1f} s of CPU (wanted: {LIMIT_S:g}), "
        f"{last.command_peak_mib:.0f} MiB (wanted: {LIMIT_MIB:.0f})"
    )


def print_costs(most: int, launches: int) -> list[Cost]:
    """Print a line a size, then how they grow."""
    print("          file   CPU us a record    the whole command")
    print("records    MiB    load     table   CPU s  wall s  peak MiB")
    found = []
    for size in [size for size in SIZES if size <= most]:
        one = cost(size, launches)
        found.append(one)
        print(
            f"{size:7d} {one.file_mib:6.0f} {one.load_cpu_s * 1e6 / size:7.1f} "
            f"{one.table_cpu_s * 1e6 / size:9.1f} {one.command_cpu_s:7.2f} "
            f"{one.command_wall_s:7.2f} {one.command_peak_mib:9.0f}",
            flush=True,
        )
    print_growth(found)
    return found


def main() -> None:
    """Measure what is asked for, print it, and keep it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="RECORDS")
    parser.add_argument("--launches", type=int, default=10, help="records a cell")
    parser.add_argument("--site", type=int, metavar="RUNS", help="measure a site instead")
    parser.add_argument("--folder", type=Path, help="keep the site's runs and pages here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    parser.add_argument("--stages", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stages is not None:
        print(json.dumps(stages(asked.stages)))
        return
    figures: object
    if asked.site is not None:
        figures = asdict(scale_site.measure(asked.site, asked.folder))
    else:
        figures = [asdict(one) for one in print_costs(asked.most, asked.launches)]
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
