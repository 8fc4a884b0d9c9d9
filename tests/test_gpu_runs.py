"""Whole runs on a real GPU: what a suite asks of GPUs, what is refused or told before anything is
built, and other programs on the GPU before and during a job.

Skipped where no NVIDIA driver answers. Runs one small network of an image for GPUs, through the
command line; each backend as in test_gpu_faults:

    pytest -s tests/test_gpu_runs.py -k process
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runner import gpus, store
from runner.backends import connect
from runner.model import Record, Status
from runner.telemetry import nvml
from tests.needs import skipping_where_it_is_not

ROOT = Path(__file__).parents[1]
IMAGE = "pytorch-2.11.0"
LIBRARY = nvml.connect()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no NVIDIA driver answers")
GIB = 1024**3

MATRIX = """\
schema: 1
default_suite: tiny
default_profile: quick
limits: {{timeout_s: 200, silence_s: 100, memory_gib: 16, processes: 4096, cores: 2}}
disturbance: {{others_percent: null, steal_percent: null, stall_percent: null, swapped_mib: null,
  frequency_percent: null, throttled: false, repeats: {repeats}}}
profiles:
  quick: {{launches: 1, warmup_steps: 2, measure_steps: {steps}, measure_limit_s: 20}}
suites:
  tiny:
    title: a small network
    device: cuda
    images: ["*"]
    workloads:
      cifar10-cnn: {{}}
{gpu}"""

# Holds a context on the GPU that it sees, without any framework, until its standard input closes.
GUEST = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context = ctypes.c_void_p()
assert cuda.cuInit(0) == 0 and cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0) == 0
print("there", flush=True)
sys.stdin.read()
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project with one image for GPUs, and the GPU that it runs on."""

    root: Path
    backend: str
    gpu: gpus.Gpu

    @property
    def architecture(self) -> str:
        return (self.gpu.facts.compute_capability or "").replace(".", "")

    @property
    def memory_gib(self) -> int:
        return (self.gpu.facts.memory_bytes or 0) // GIB

    def ask(self, gpu: str = "", *, steps: int = 5, repeats: int = 0) -> None:
        asked = f"    gpu: {gpu}\n" if gpu else ""
        text = MATRIX.format(gpu=asked, steps=steps, repeats=repeats)
        (self.root / "matrix.yaml").write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        path = self.root / "images" / IMAGE / "image.yaml"
        text = path.read_text(encoding="utf-8")
        [line] = [line for line in text.splitlines() if line.startswith(f"{old}:")]
        path.write_text(text.replace(line, f"{old}: {new}"), encoding="utf-8")

    def command(self, results: str = "results") -> list[str]:
        return [
            *(sys.executable, "-m", "runner.cli", "matrix", str(self.root / "matrix.yaml")),
            *("--backend", self.backend, "--gpu", self.gpu.uuid),
            *("--results", str(self.root / results)),
        ]

    def begin(self, results: str = "results") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(results), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def records(self, results: str = "results") -> list[Record]:
        [folder] = (self.root / results).iterdir()
        return store.load_records(folder)

    def run(self) -> tuple[str, Record]:
        """Return what the program said, and the one record."""
        said, _ = self.begin().communicate()
        print(said)
        [record] = self.records()
        return said, record


@pytest.fixture(params=["process", "docker"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    assert LIBRARY is not None
    with skipping_where_it_is_not(request.param):
        connect(request.param, ROOT, ())
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "images" / IMAGE, tmp_path / "images" / IMAGE)
    made = Project(root=tmp_path, backend=request.param, gpu=gpus.read(LIBRARY)[0])
    made.ask()
    return made


@contextlib.contextmanager
def guest(uuid: str) -> Iterator[int]:
    """Have another program on a GPU; its pid."""
    held = subprocess.Popen(
        [sys.executable, "-c", GUEST],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"there\n"
        yield held.pid
        held.communicate()


def test_a_gpu_that_has_what_the_suite_asks_for_is_taken(project: Project) -> None:
    asked = f"{{memory_gib: {project.memory_gib}, architectures: [sm_{project.architecture}]}}"
    project.ask(asked, steps=2000)

    _, record = project.run()

    assert record.status is Status.OK, record.reason
    assert record.gpu is not None
    assert record.gpu.uuid == project.gpu.uuid
    assert record.gpu.others == 0
    assert "sampling" in {memory.method for memory in record.gpu.memory}


def test_more_memory_than_the_gpu_has_is_refused_with_what_it_has(project: Project) -> None:
    project.ask(f"{{memory_gib: {project.memory_gib + 1}}}")

    _, record = project.run()

    assert record.status is Status.UNSUPPORTED_DEVICE
    assert f"asks for a GPU with {project.memory_gib + 1} GiB of memory" in record.reason
    assert f"found {project.gpu.facts.name} with {project.memory_gib}." in record.reason
    assert record.environment is None


def test_another_architecture_is_refused_with_the_gpus_own(project: Project) -> None:
    project.ask("{architectures: [sm_10]}")

    _, record = project.run()

    assert record.status is Status.UNSUPPORTED_DEVICE
    assert "asks for a GPU with sm_10" in record.reason
    assert f"sm_{project.architecture}" in record.reason
    assert record.environment is None


def test_a_driver_older_than_the_image_needs_is_told_with_both_versions(project: Project) -> None:
    project.change("minimum_driver", '"999"')

    _, record = project.run()

    assert record.status is Status.DRIVER_TOO_OLD
    assert "needs driver 999 or newer" in record.reason
    assert f"{project.gpu.facts.name} has driver {project.gpu.facts.driver}" in record.reason
    assert record.environment is None


def test_what_the_driver_must_compile_is_told_before_building_and_recorded(
    project: Project,
) -> None:
    project.change("gpu_architectures", "[sm_75, compute_75]")

    said, record = project.run()

    words = f"{IMAGE} has no machine code for {project.gpu.facts.name}, sm_{project.architecture}"
    assert words in said
    assert said.index(words) < said.index("launched")
    assert record.status is Status.OK, record.reason
    assert record.environment is not None
    assert record.environment.facts["just_in_time"].startswith(words)


def test_another_program_on_the_gpu_is_seen_before_a_job(project: Project) -> None:
    with guest(project.gpu.uuid) as pid:
        _, record = project.run()

    assert record.status is Status.DISTURBED
    assert f"before it began, process {pid} computed on {project.gpu.uuid}" in record.reason


def test_another_program_that_comes_while_a_job_measures_is_seen(project: Project) -> None:
    assert LIBRARY is not None
    project.ask(steps=20000)
    with project.begin() as running:
        while not gpus.users(LIBRARY, project.gpu.uuid):
            assert running.poll() is None
            time.sleep(0.1)
        with guest(project.gpu.uuid):
            said, _ = running.communicate()
    [record] = project.records()
    print(said)

    assert record.status is Status.DISTURBED
    assert "1 other process computed on the GPU" in record.reason


def test_two_runners_take_turns_on_one_gpu(project: Project) -> None:
    project.ask(repeats=2)
    both = [project.begin(name) for name in ("one", "other")]
    said = [running.communicate()[0] for running in both]
    last = [project.records(name)[-1] for name in ("one", "other")]
    print(*said)

    assert any(f"waiting for another runner's job on {project.gpu.uuid}" in words for words in said)
    assert [record.status for record in last] == [Status.OK, Status.OK]
    first, second = sorted(last, key=lambda record: record.started_at)
    ended = datetime.fromisoformat(first.started_at) + timedelta(seconds=first.wall_s - 1)
    assert datetime.fromisoformat(second.started_at) >= ended
