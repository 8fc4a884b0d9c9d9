"""Small valid values of the model's types, for tests to change one field of."""

from __future__ import annotations

import json
from pathlib import Path

from runner.contract import Listener, Transcript
from runner.model import (
    Cell,
    Hello,
    Image,
    Job,
    Limits,
    Outcome,
    Phase,
    Record,
    Run,
    Samples,
    Sampling,
    Scalar,
    Status,
)
from runner.request import Request
from runner.workloads import WORKLOADS


def make_image(name: str = "torch-1.0", workloads: tuple[str, ...] = ("cifar10-cnn",)) -> Image:
    framework, version = name.rsplit("-", 1)
    return Image(
        name=name,
        folder=Path("images") / name,
        framework=framework,
        framework_version=version,
        released="2018-12-07",
        language="python",
        language_version="3.6",
        script="train_torch.py",
        workloads=workloads,
    )


def make_cell(
    image: str = "torch-1.0",
    workload: str = "cifar10-cnn",
    variant: str = "",
    **parameters: Scalar,
) -> Cell:
    return Cell(
        suite="decade",
        image=image,
        workload=workload,
        protocol="fair",
        parameters={**WORKLOADS[workload].defaults(), **parameters},
        variant=variant,
    )


def make_job(cell: Cell | None = None, launch: int = 0, limits: Limits | None = None) -> Job:
    cell = cell or make_cell()
    return Job(
        id=f"{cell.image}.{launch}",
        cell=cell,
        launch=launch,
        sampling=Sampling(launches=3, warmup_steps=1, measure_steps=2),
        limits=limits or Limits(),
        cores=(0, 1),
    )


def make_samples(*measured: float) -> Samples:
    return Samples(
        name="train_step",
        items=128,
        synchronised="implicit",
        first_s=1.0,
        warmup_s=(0.5,),
        measured_s=measured or (0.25, 0.26),
    )


def make_hello(**changes: object) -> Hello:
    fields: dict[str, object] = {
        "contract": 1,
        "framework": "torch",
        "framework_version": "1.0",
        "language": "python",
        "language_version": "3.6.15",
        "libraries": {"numpy": "1.16.4"},
        "device": "cpu",
        "threads": 2,
        "threads_source": "torch.get_num_threads",
        "data": "generated, seed 1",
    }
    return Hello(**{**fields, **changes})  # type: ignore[arg-type]


def make_record(cell: Cell | None = None, launch: int = 0, **changes: object) -> Record:
    cell = cell or make_cell()
    fields: dict[str, object] = {
        "schema": 1,
        "job": f"{cell.image}.{launch}",
        "cell": cell,
        "launch": launch,
        "backend": "process",
        "status": Status.OK,
        "reason": "",
        "started_at": "2026-01-01T00:00:00+00:00",
        "wall_s": 12.5,
        "sampling": Sampling(),
        "limits": Limits(),
        "cores": (0, 1),
        "seed": 1,
        "identity": "abc",
        "outcome": Outcome(exit_code=0, signal=None),
        "hello": make_hello(),
        "phases": (Phase(name="first-step", start_s=1.0, end_s=3.5),),
        "samples": (make_samples(),),
        "losses": (2.3, 2.2, 2.1, 2.0),
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def event(name: str, time_s: object, /, **fields: object) -> bytes:
    return json.dumps({"event": name, "time_s": time_s, **fields}).encode() + b"\n"


def good_lines(**changes: object) -> list[bytes]:
    """Return the events of a job that went well; `changes` replace a check's value."""
    checks: dict[str, object] = {
        "parameters": 1_250_858,
        "output_shape": [128, 10],
        "losses": [2.3, 2.2, 2.1, 2.0],
        **changes,
    }
    hello = make_hello()
    return [
        event("phase", 0.1, name="import", state="begin"),
        event("phase", 1.0, name="import", state="end"),
        event(
            "hello",
            1.0,
            contract=hello.contract,
            framework=hello.framework,
            framework_version=hello.framework_version,
            language=hello.language,
            language_version=hello.language_version,
            libraries=hello.libraries,
            device=hello.device,
            threads=hello.threads,
            threads_source=hello.threads_source,
            data=hello.data,
        ),
        event("phase", 1.1, name="measure", state="begin"),
        event("progress", 1.2, phase="measure", done=1, total=2),
        event("phase", 2.0, name="measure", state="end"),
        event(
            "samples",
            2.0,
            name="train_step",
            items=128,
            synchronised="implicit",
            first_s=1.0,
            warmup_s=[0.5],
            measured_s=[0.25, 0.26],
        ),
        *(event("check", 2.1, name=name, value=value) for name, value in checks.items()),
        event("result", 2.2),
    ]


def heard(lines: list[bytes]) -> Transcript:
    listener = Listener()
    listener.feed(b"".join(lines))
    return listener.transcript()


def make_run(cells: tuple[Cell, ...] = (), **changes: object) -> Run:
    fields: dict[str, object] = {
        "schema": 1,
        "id": "2026-01-01T00-00-00-decade-process",
        "suite": "decade",
        "title": "one small network",
        "profile": "quick",
        "sampling": Sampling(launches=3),
        "backend": "process",
        "backend_reason": "asked for by --backend",
        "started_at": "2026-01-01T00:00:00+00:00",
        "command": ("runner", "matrix", "matrix.yaml"),
        "matrix_sha256": "0" * 64,
        "matrix_text": "schema: 1\n",
        "order_seed": 1,
        "only": (),
        "cells": cells or (make_cell(),),
        "fingerprint": "f" * 16,
        "host": {"cpu_model": "Test CPU"},
        "engine": {"uv": "0.13"},
    }
    return Run(**{**fields, **changes})  # type: ignore[arg-type]


IMAGE_YAML = """\
framework: torch
framework_version: "1.0"
released: "2018-12-07"
language: python
language_version: "3.11"
script: train_tiny.py
base_licence: none, a test
workloads: [cifar10-cnn]
"""

MATRIX_YAML = """\
schema: 1
default_suite: tiny
default_profile: quick
limits: {timeout_s: 60, silence_s: 30, memory_gib: 1, processes: 64, cores: 1}
disturbance: {others_percent: null, steal_percent: null, stall_percent: null}
profiles:
  quick: {launches: 2, warmup_steps: 1, measure_steps: 3}
suites:
  tiny:
    title: a script without a framework
    images: ["*"]
    workloads:
      cifar10-cnn: {}
"""

# A job that goes well without a framework: what it says is the contract's, the work is a sleep.
TINY_SCRIPT = """\
import time

import bench


def train(job):
    with job.phase("import"):
        pass
    job.hello(
        framework="torch", framework_version="1.0", libraries={},
        threads=job.settings.threads, threads_source="as told", data="none",
    )
    with job.phase("data"):
        batches = [(1,)]
    with job.phase("build"):
        losses = iter(range(1000, 0, -1))

    def step(number):
        time.sleep(0.002)
        return next(losses)

    job.steps(step, batches, items=128, read_loss=float)
    job.check("parameters", 1250858)
    job.check("output_shape", [128, 10])
    job.check("optimizer", "none")


if __name__ == "__main__":
    bench.main(train)
"""


def make_project(
    root: Path, script: str = TINY_SCRIPT, images: tuple[str, ...] = ("torch-1.0",)
) -> Path:
    """Write a project with the real bench.py, one script, and images without packages."""
    scripts = root / "scripts"
    scripts.mkdir(parents=True)
    bench = Path(__file__).parent.parent / "scripts" / "bench.py"
    (scripts / "bench.py").write_text(bench.read_text(encoding="utf-8"), encoding="utf-8")
    (scripts / "train_tiny.py").write_text(script, encoding="utf-8")
    for name in images:
        folder = root / "images" / name
        folder.mkdir(parents=True)
        (folder / "image.yaml").write_text(IMAGE_YAML, encoding="utf-8")
        (folder / "requirements.lock").write_text("", encoding="utf-8")
        (folder / "Dockerfile").write_text(
            "ARG BASE=python:3.11-slim@sha256:0\n"
            "FROM ${BASE}\n"
            "COPY scripts/*.py /runner/\n"
            'CMD ["python", "/runner/train_tiny.py"]\n',
            encoding="utf-8",
        )
    (root / "matrix.yaml").write_text(MATRIX_YAML, encoding="utf-8")
    return root


def make_request(root: Path) -> Request:
    """Return what `runner matrix matrix.yaml` asks for in a project's folder."""
    return Request(
        matrix=root / "matrix.yaml",
        suite=None,
        profile=None,
        only=(),
        launches=None,
        resume=None,
        cifar10=None,
        results=root / "results",
        backend="process",
        wheels=(),
        command=(),
    )
