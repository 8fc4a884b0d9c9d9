"""GPU faults, each really provoked on a GPU: they are statuses, and nothing stays behind.

Skipped where no NVIDIA driver answers; each backend is skipped where it is not there. Where
RUNNER_REQUIRE names `gpu`, a backend that is not there fails. Launched alone, with what was said:

    pytest -s tests/test_gpu_faults.py -k docker
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner import gpus
from runner.backends import Backend, connect
from runner.backends.process import ProcessBackend
from runner.config import load_images
from runner.contract import variables
from runner.model import BuildLimits, Cell, Environment, Job, Launch, Limits, Sampling, Status
from runner.telemetry import nvml
from runner.verdict import Verdict, judge
from runner.watching import watch
from runner.workloads import WORKLOADS
from tests.needs import skipping_where_it_is_not

ROOT = Path(__file__).parents[1]
IMAGE = "pytorch-2.11.0"
LIBRARY = nvml.connect()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no NVIDIA driver answers")

BEGINNING = """
import os, subprocess, sys, time
sys.path[:0] = ["/runner", os.environ.get("SCRIPTS", "/runner")]
import bench

def begin(job):
    with job.phase("import"):
        import torch
    job.hello("pytorch", torch.__version__, {}, None, "none", "none", device="cuda: a GPU")
    torch.ones(1, device="cuda")
    return torch
"""

# An array that says to be of 16 TiB, from where one number is.
ILLEGAL = """
class Far:
    def __init__(self, one):
        self.__cuda_array_interface__ = {
            "shape": (1 << 42,), "typestr": "<f4", "data": (one.data_ptr(), False), "version": 2
        }

def train(job):
    torch = begin(job)
    one = torch.ones(1, device="cuda")
    with job.phase("build"):
        torch.as_tensor(Far(one), device="cuda").narrow(0, 1 << 41, 1).add_(1.0)
        torch.cuda.synchronize()
"""

BUSY = """
def queue(torch):
    one = torch.randn(8192, 8192, device="cuda")
    for _ in range(2000):
        one @ one

def train(job):
    torch = begin(job)
    queue(torch)
    os._exit(7)
"""

ENDLESS = """
def train(job):
    torch = begin(job)
    one = torch.randn(8192, 8192, device="cuda")
    while True:
        for _ in range(100):
            one @ one
        torch.cuda.synchronize()
"""

LEFT_BEHIND = """
CHILD = "import torch, time; torch.ones(1 << 28, device='cuda'); print('there', flush=True);" \\
    " time.sleep(600)"

def train(job):
    begin(job)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, start_new_session=True
    )
    child.stdout.readline()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    backend: Backend
    environment: Environment
    scripts: str
    gpu: gpus.Gpu


@pytest.fixture(scope="module", params=["process", "docker"])
def ground(request: pytest.FixtureRequest) -> Ground:
    assert LIBRARY is not None
    with skipping_where_it_is_not(request.param):
        backend = connect(request.param, ROOT, ())
        image = load_images(ROOT)[IMAGE]
        environment = backend.prepare(image, BuildLimits(), lambda line: None)
    scripts = ""
    if isinstance(backend, ProcessBackend):
        scripts = str(backend._cache.scripts / environment.scripts_sha256 / "scripts")
    gpu = gpus.read(LIBRARY)[0]
    return Ground(backend=backend, environment=environment, scripts=scripts, gpu=gpu)


def launch(
    ground: Ground, body: str | None, *, timeout_s: float = 120.0, batch: int = 8
) -> Verdict:
    workload = "resnet50"
    cell = Cell(
        suite="faults",
        image=IMAGE,
        workload=workload,
        protocol="fair",
        parameters={**WORKLOADS[workload].defaults(), "batch": batch},
        device="cuda",
    )
    limits = Limits(timeout_s=timeout_s, silence_s=100.0, memory_bytes=32 * 1024**3, processes=4096)
    job = Job(
        id="fault",
        cell=cell,
        launch=0,
        sampling=Sampling(launches=1, warmup_steps=1, measure_steps=5),
        limits=limits,
        cores=ground.gpu.cores[:4],
        gpus=(ground.gpu.uuid,),
    )
    command = None
    if body is not None:
        command = ("python", "-c", BEGINNING + body + "\nbench.main(train)\n")
    log = io.BytesIO()
    watched = watch(
        Launch(
            id=f"fault-{time.time_ns():x}",
            environment=ground.environment,
            variables={
                **variables(job),
                "CUDA_VISIBLE_DEVICES": ground.gpu.uuid,
                "SCRIPTS": ground.scripts,
            },
            limits=limits,
            cores=job.cores,
            command=command,
            gpus=job.gpus,
        ),
        ground.backend,
        log,
    )
    print(log.getvalue().decode("utf-8", "replace")[-2000:])
    return judge(job, ground.environment.image, watched.said, watched.outcome, watched.ended)


def left_on(ground: Ground) -> tuple[str, ...]:
    """Return who computes on the GPU, once the driver has had two seconds to clear up."""
    assert LIBRARY is not None
    until = time.monotonic() + 2.0
    while (found := gpus.users(LIBRARY, ground.gpu.uuid)) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_a_full_gpu_is_oom_gpu_with_what_was_asked_and_what_was_free(ground: Ground) -> None:
    # at 121 MB an image, as measured in float32 on an H100, it asks for 248 GB
    verdict = launch(ground, None, batch=2048)

    print(verdict)
    assert verdict.status is Status.OOM_GPU
    assert "Tried to allocate" in verdict.reason
    assert "is free" in verdict.reason
    assert left_on(ground) == ()


def test_an_illegal_access_is_crashed_in_the_drivers_words(ground: Ground) -> None:
    verdict = launch(ground, ILLEGAL)

    print(verdict)
    assert verdict.status is Status.CRASHED
    assert "illegal memory access" in verdict.reason
    assert left_on(ground) == ()


def test_a_job_that_ends_while_the_gpu_is_busy_leaves_it_free(ground: Ground) -> None:
    verdict = launch(ground, BUSY)

    print(verdict)
    assert verdict.status is Status.CRASHED
    assert "exit status 7" in verdict.reason
    assert left_on(ground) == ()


def test_a_job_that_must_be_ended_while_the_gpu_is_busy_leaves_it_free(ground: Ground) -> None:
    verdict = launch(ground, ENDLESS, timeout_s=15.0)

    print(verdict)
    assert verdict.status is Status.TIMEOUT
    assert left_on(ground) == ()


def test_a_process_left_behind_is_ended(ground: Ground) -> None:
    verdict = launch(ground, LEFT_BEHIND)

    print(verdict)
    assert verdict.status is Status.BAD_OUTPUT
    assert left_on(ground) == ()
