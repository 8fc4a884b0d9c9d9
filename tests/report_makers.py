"""A run on disk as a real one would be, for what is rendered of it: many steps, logs, failures."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

from runner import store
from runner.config import load_matrix
from runner.model import (
    Base,
    Cell,
    Check,
    EnvironmentFacts,
    GpuMemory,
    GpuUse,
    MemoryUse,
    Outcome,
    Phase,
    Record,
    Samples,
    Status,
)
from runner.published import load_document
from runner.report.source import Release, Source, source
from runner.reproduce import boxes
from tests.makers import make_cell, make_record, make_run

ROOT = Path(__file__).parent.parent
# image: framework, version, release date, images a second
IMAGES = {
    "keras-1.2.2-theano-0.9.0": ("keras", "1.2.2", "2017-02-20", 20.0),
    "tensorflow-1.0.0": ("tensorflow", "1.0.0", "2017-02-15", 60.0),
    "tensorflow-1.13.1": ("tensorflow", "1.13.1", "2019-02-27", 100.0),
    "pytorch-1.0.1": ("pytorch", "1.0.1", "2019-02-07", 90.0),
    "tensorflow-2.21.0": ("tensorflow", "2.21.0", "2026-03-01", 180.0),
    "pytorch-2.13.0": ("pytorch", "2.13.0", "2026-07-01", 260.0),
}
RELEASES = {
    image: Release(framework=framework, version=version, date=date)
    for image, (framework, version, date, _) in IMAGES.items()
}
HOSTILE = (
    "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=2>\"'&{{7*7}}\u202e"
)


def trained(
    cell: Cell, launch: int, speed: float, random_: random.Random, gpu: bool = False
) -> Record:
    """Return the record of a launch that went well at `speed` images a second."""
    base = 128 / speed * math.exp(random_.gauss(0, 0.015))
    warm = tuple(base * (1 + 0.5 * math.exp(-i)) for i in range(5))
    steps = tuple(
        base * (1 + 0.2 * math.exp(-i / 3)) * math.exp(random_.gauss(0, 0.015)) for i in range(40)
    )
    ends = (1.2, 1.5, 2.2, 2.2 + base * 6)
    names = ("import", "data", "build", "first-step")
    phases = tuple(
        Phase(name=name, start_s=start, end_s=end)
        for name, start, end in zip(names, (0.0, *ends), ends, strict=False)
    )
    use = GpuUse(
        uuid="GPU-1",
        memory=(GpuMemory(peak_bytes=2**30, method="accounting"),),
        power_w=300.0,
        clock_hz=1.7e9,
    )
    return make_record(
        cell,
        launch,
        backend="docker",
        started_at=f"2026-01-01T00:{launch:02d}:00+00:00",
        samples=(
            Samples(
                name="train_step",
                items=128,
                synchronised="implicit",
                first_s=base * 6,
                warmup_s=warm,
                measured_s=steps,
            ),
        ),
        phases=phases,
        log=f"logs/{launch:04d}-{cell.image}.log",
        memory=MemoryUse(
            peak_bytes=300 * 2**20 + launch * 2**20,
            average_bytes=250 * 2**20,
            readings=30,
            interval_s=0.1,
            method="cgroup v2 memory.stat anon",
            kernel_peak_bytes=500 * 2**20,
        ),
        gpu=use if gpu else None,
        environment=EnvironmentFacts(
            digest="sha256:" + "ab" * 32,
            lock_sha256="cd" * 32,
            scripts_sha256="ef" * 32,
            base=Base(reference="python:3.11@sha256:" + "01" * 32),
        ),
        command=("docker", "run", "--network=none", cell.image),
        checks=(Check(name="parameters", value="1250858", expected="1250858", passed=True),),
    )


def write_run(folder: Path, seed: int = 1, **changes: object) -> Path:
    """Write a run of six images that went well and two that did not."""
    random_ = random.Random(seed)
    cells = [make_cell(image) for image in IMAGES]
    failed, ended = make_cell("mxnet-0.9.0"), make_cell("cntk-2.0")
    fields: dict[str, object] = {"id": folder.name, "backend": "docker", **changes}
    writer = store.Writer(folder, make_run((*cells, failed, ended), **fields))
    for launch in range(3):
        for cell in cells:
            record = trained(cell, launch, IMAGES[cell.image][3], random_, gpu=True)
            writer.append(record)
            (folder / record.log).write_text(f"INFO {cell.image}: a warning & more\n")
    failure = make_record(failed, 0, backend="docker", samples=(), phases=(), log="")
    writer.append(replace(failure, status=Status.BUILD_FAILED, reason="no such wheel"))
    writer.append(
        replace(
            make_record(ended, 0, backend="docker", samples=(), phases=(), log=""),
            status=Status.OOM_HOST,
            reason="the kernel ended it at 8 GiB",
            evidence="Killed",
            outcome=Outcome(exit_code=None, signal=9, oom_kills=1),
        )
    )
    writer.close()
    return folder


def write_hostile_run(folder: Path) -> Path:
    """Write a run whose every text tries to be markup."""
    bad = make_cell(f"evil{HOSTILE}", variant=HOSTILE)
    good = make_cell("pytorch-1.0.1", variant=HOSTILE)
    run = make_run(
        (bad, good),
        id=folder.name,
        backend="docker",
        title=HOSTILE,
        host={"cpu_model": HOSTILE, HOSTILE: HOSTILE},
        matrix_text=HOSTILE,
        command=("runner", HOSTILE),
        profile=HOSTILE,
    )
    writer = store.Writer(folder, run)
    record = trained(good, 0, 90.0, random.Random(1))
    log = "logs/0000-evil.log"
    (folder / log).write_bytes(HOSTILE.encode() + b"\x00\x1b[31m\xff\n")
    writer.append(
        replace(record, log=log, command=(HOSTILE,), variables={HOSTILE: HOSTILE}, evidence=HOSTILE)
    )
    writer.append(
        make_record(
            bad,
            0,
            backend="docker",
            status=Status.CRASHED,
            reason=HOSTILE,
            evidence=HOSTILE,
            samples=(),
            log="../../../../../etc/passwd",
        )
    )
    writer.close()
    return folder


def load(folder: Path) -> Source:
    return source(store.load_run(folder), store.load_records(folder), RELEASES)


def write_published_run(folder: Path, name: str = "vgg16-xla") -> Path:
    """Write a run of a suite made from a published document, every seventh cell left out."""
    matrix = load_matrix(ROOT / "matrix.yaml", [path.name for path in ROOT.glob("images/*")])
    suite = matrix.suites[name]
    document = load_document(ROOT / "results" / "published" / suite.published)
    cells = {c.label: c for box in boxes(document, suite) for c in box.cells.values()}
    random_ = random.Random(1)
    made = make_run(tuple(cells.values()), id=folder.name, suite=name, backend="docker")
    writer = store.Writer(folder, made)
    for number, cell in enumerate(cells.values()):
        for launch in range(3 if number % 7 != 6 else 0):
            writer.append(replace(trained(cell, launch, 20 + 3 * number, random_), log=""))
    writer.close()
    return folder
