"""What the runner adds to a job: against a bare `docker run --rm`, and a bare `python script`.

    python -m benchmarks.overhead [--jobs 50] [--backend docker|process]

One matrix of cells that do nothing, measured in blocks that alternate with a shell loop over
the very commands that the records hold: same image, same options, same process. The figure
is wall time a job: all that the runner does between two jobs counts, its fsync too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from runner import execute, session, store
from runner.backends import PrepareError
from runner.model import Record, Status
from runner.request import plan_request
from runner.view import PlainView
from tests.makers import make_project, make_request

BLOCKS = 5
NOOP_SCRIPT = """\
import bench


def train(job):
    with job.phase("import"):
        pass
    job.hello(
        framework="torch", framework_version="1.0", libraries={},
        threads=job.settings.threads, threads_source="as told", data="none",
    )
    with job.phase("build"):
        losses = iter(range(1000, 0, -1))
    import os

    batch = int(os.environ["RUNNER_PARAMETER_BATCH"])
    job.steps(lambda number: next(losses), [(1,)], items=batch, read_loss=float)
    job.check("parameters", 1250858)
    job.check("output_shape", [batch, 10])


if __name__ == "__main__":
    bench.main(train)
"""


class Silent(PlainView):
    """Tells of failures only, and ends the benchmark at the first."""

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        if problem is not None:
            super().built(image, problem, seconds)
            sys.exit(1)

    def recorded(self, record: Record, number: int, total: int) -> None:
        if record.status is not Status.OK:
            super().recorded(record, number, total)
            sys.exit(record.evidence)


@contextlib.contextmanager
def project(jobs: int) -> Iterator[Path]:
    """Yield a project with one image that does nothing and a suite of `jobs` cells of it."""
    with tempfile.TemporaryDirectory() as name:
        root = make_project(Path(name), NOOP_SCRIPT)
        matrix = root / "matrix.yaml"
        axis = f"    axes:\n      batch: {list(range(1, jobs + 1))}\n"
        text = matrix.read_text(encoding="utf-8").replace("launches: 2", "launches: 1")
        # The bare process is pinned to no core, so that the job must not be either.
        text = text.replace("cores: 1", f"cores: {len(os.sched_getaffinity(0))}")
        matrix.write_text(text + axis, encoding="utf-8")
        yield root


def measure(backend: str, jobs: int) -> None:
    """Print seconds a job of both, block by block, and the ratio of their medians."""
    with project(jobs) as root:
        asked = replace(make_request(root), backend=backend, command=("benchmarks.overhead",))
        planned = plan_request(asked)
        connected = session.connect_backend(backend, planned.root, ())
        prepared = execute.prepare_all(
            list(planned.images.values()),
            connected.backend,
            planned.matrix.build,
            1,
            Silent(Console()),
        )
        writer = store.Writer(root / "results" / "run", session.describe(planned, connected))
        records: list[Record] = []

        def keep(record: Record) -> None:
            writer.append(record)
            records.append(record)

        setting = execute.Setting(
            backend=connected.backend,
            images=planned.images,
            fingerprint="",
            log_path=writer.log_path,
            store=keep,
            observer=Silent(Console()),
        )
        ours, bare = [], []
        size = jobs // BLOCKS
        for block in range(BLOCKS):
            part = planned.jobs[block * size : (block + 1) * size]
            started = time.perf_counter()
            execute.measure(part, prepared, setting)
            ours.append((time.perf_counter() - started) / size)
            bare.append(_bare(backend, records[-size:]) / size)
        writer.close()
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"{backend}: {BLOCKS * size} jobs, blocks of {size} that alternate; seconds a job")
    print(f"  runner  {'  '.join(f'{value:.3f}' for value in ours)}")
    print(f"  bare    {'  '.join(f'{value:.3f}' for value in bare)}")
    print(f"  ratio of the medians {ratio:.2f}\n")


def _bare(backend: str, records: Sequence[Record]) -> float:
    """Return the seconds of a shell loop over the commands of `records`."""
    lines = []
    for record in records:
        words = list(record.command)
        if backend == "process":
            told = [f"{name}={value}" for name, value in record.variables.items()]
            words = ["env", "-i", f"PATH={os.environ['PATH']}", *told, *words]
        lines.append(f"{shlex.join(words)} >/dev/null 2>&1 || exit 1")
    script = "\n".join(lines)
    started = time.perf_counter()
    subprocess.run(["sh", "-c", script], check=True)
    return time.perf_counter() - started


def help_seconds() -> None:
    """Print the wall time of `runner --help`, the median of 11."""
    command = [sys.executable, "-m", "runner.cli", "--help"]
    times = []
    for _ in range(11):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    print(f"runner --help: {statistics.median(times):.3f} s, the median of {len(times)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--backend", choices=("docker", "process"), action="append")
    asked = parser.parse_args()
    for backend in asked.backend or ("docker", "process"):
        measure(backend, asked.jobs)
    help_seconds()


if __name__ == "__main__":
    main()
