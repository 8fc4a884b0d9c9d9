"""Runs as long as anybody likes, their records as full as real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from runner.model import (
    Base,
    Cell,
    Check,
    EnvironmentFacts,
    Hello,
    Load,
    MemoryUse,
    Phase,
    Record,
    Samples,
)
from runner.report.source import Release
from tests.makers import make_cell, make_record, make_run

CELLS_A_RUN = 50
_PARTS = ("import", "data", "build", "first-step", "warm-up", "measure")
_CHECKS = ("contract", "framework_version", "device", "threads", "parameters", "output_shape")


def write_run(folder: Path, records: int, launches: int) -> None:
    """Write a run of `records` launches that all went well, `launches` of each cell."""
    drawn = random.Random(1)
    cells = [make_cell(f"torch-1.{number}") for number in range(max(1, records // launches))]
    (folder / "run.json").write_bytes(msgspec.json.encode(make_run(tuple(cells))))
    _write_records(folder, cells, launches, drawn)


def write_runs(folder: Path, runs: int) -> None:
    """Write runs of 50 cells of 3 launches, a day apart, on two machines in turn."""
    drawn = random.Random(1)
    cells = tuple(make_cell(f"torch-1.{number}") for number in range(CELLS_A_RUN))
    for number in range(runs):
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
        own = folder / f"{day:%Y-%m-%d}-decade-process"
        own.mkdir(parents=True)
        run = make_run(
            cells, id=own.name, started_at=day.isoformat(), fingerprint="ab"[number % 2] * 16
        )
        (own / "run.json").write_bytes(msgspec.json.encode(run))
        _write_records(own, cells, 3, drawn)


def releases() -> dict[str, Release]:
    """Return a release date for each image of ``write_runs``, a month apart."""
    first = datetime(2018, 1, 1, tzinfo=UTC)
    return {
        f"torch-1.{number}": Release(
            framework="torch",
            version=f"1.{number}",
            date=(first + timedelta(days=30 * number)).date().isoformat(),
        )
        for number in range(CELLS_A_RUN)
    }


def _write_records(
    folder: Path, cells: Sequence[Cell], launches: int, drawn: random.Random
) -> None:
    with (folder / "records.jsonl").open("wb") as file:
        for launch in range(launches):
            for cell in cells:
                file.write(msgspec.json.encode(full_record(cell, launch, drawn)) + b"\n")


def full_record(cell: Cell, launch: int, drawn: random.Random) -> Record:
    """Return a record with every part that a launch in a container leaves."""
    steps = tuple(0.1 * math.exp(drawn.gauss(0, 0.02)) for _ in range(26))
    variables = {f"RUNNER_PARAMETER_{number}": f"value-{number}" for number in range(18)}
    command = ("docker", "run", *(f"--option-{number}=some-value" for number in range(50)))
    checks = [
        Check(name=name, value="as it should be", expected="as it should be", passed=True)
        for name in _CHECKS
    ]
    fall = Check(name="loss_falls", value=f"{steps[0]} to 0.1", expected="falls", passed=True)
    return make_record(
        cell,
        launch,
        environment=EnvironmentFacts(
            digest="sha256:" + "ab" * 32,
            lock_sha256="cd" * 32,
            scripts_sha256="ef" * 32,
            base=Base(reference="python:3.11@sha256:" + "01" * 32),
            facts={"apt": "libopenblas-dev=0.3.21 " * 4},
        ),
        command=command,
        variables=variables,
        hello=Hello(
            contract=1,
            framework="torch",
            framework_version=cell.image.removeprefix("torch-"),
            language="python",
            language_version="3.6.15",
            libraries={"numpy": "1.16.4", "torch": "1.0"},
            device="cpu",
            threads=2,
            threads_source="torch.get_num_threads",
            data="2000 images generated from seed 1, in memory",
        ),
        phases=tuple(
            Phase(name=name, start_s=place + steps[place], end_s=place + 1 + steps[place])
            for place, name in enumerate(_PARTS)
        ),
        samples=(
            Samples(
                name="train_step",
                items=128,
                synchronised="implicit",
                first_s=10 * steps[0],
                warmup_s=steps[1:6],
                measured_s=steps[6:],
            ),
        ),
        losses=tuple(2.3 * math.exp(-place / 8) * (1 + step) for place, step in enumerate(steps)),
        checks=(*checks, fall),
        memory=MemoryUse(
            peak_bytes=258408448 + launch,
            average_bytes=231827520,
            readings=64,
            interval_s=0.1,
            method="cgroup v1 memory.stat total_rss + total_shmem",
            kernel_peak_bytes=456118272 + launch,
        ),
        load=Load(window_s=20 * steps[0], others_share=steps[1] / 10, steal_share=0.001),
        cpu_s=40 * steps[0],
        log=f"logs/{launch:04d}-{cell.image}.log",
    )
