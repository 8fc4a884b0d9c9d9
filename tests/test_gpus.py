"""Which GPUs, with which cores, and one job a GPU: pure parts, real locks, a recorded H100."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from runner import abreast, gpus, plan, session, store
from runner.abreast import Field
from runner.backends import PrepareError
from runner.checks import checks_of
from runner.errors import ConfigurationError
from runner.gpus import Gpu, Pool, Slot
from runner.model import Environment, GpuNeeds, Job, Status, Suite
from runner.request import plan_request
from runner.telemetry import nvml
from runner.telemetry.host import GpuFacts
from runner.telemetry.nvml_session import Session

from .job_makers import make_backend, make_environment, make_observer, make_setting
from .makers import good_lines, heard, make_cell, make_image, make_job, make_project, make_request

BUSY = Path(__file__).parent / "recorded/nvml/h100-busy.jsonl"


def gpu(index: int, name: str = "NVIDIA H200", cores: tuple[int, ...] = tuple(range(16))) -> Gpu:
    return Gpu(index=index, facts=GpuFacts(name=name, uuid=f"GPU-{index}"), cores=cores)


def test_a_recorded_h100_is_read_with_the_cores_near_it() -> None:
    (found,) = gpus.read(Session(BUSY))

    assert found.index == 0
    assert found.facts.name == "NVIDIA H100 80GB HBM3"
    assert found.facts.compute_capability == "9.0"
    assert found.facts.accounting is False
    # its answer names cores 0 to 15; this machine has those of them that it has
    assert found.cores == tuple(core for core in sorted(os.sched_getaffinity(0)) if core < 16)


def test_a_recorded_h100_tells_who_computes_on_it() -> None:
    library = Session(BUSY)
    (found,) = gpus.read(library)

    seen = [gpus.users(library, found.uuid) for _ in range(31)]

    assert seen[:3] == [()] * 3
    assert seen[3:28] == [(f"process 5754 computed on {found.uuid}",)] * 25
    assert seen[28:] == [()] * 3


def test_a_recorded_h100_under_load_slows_down_for_its_power_cap() -> None:
    found = nvml.gpu(Session(BUSY), "0")
    assert found is not None

    readings = [found.read() for _ in range(28)][3:]

    assert all(reading.reasons == ("sw_power_cap",) for reading in readings)
    assert all((reading.clock_hz or 0) < 1.6e9 for reading in readings)
    assert all((reading.power_w or 0) > 500 for reading in readings)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [((), [0, 1, 2]), (("1",), [1]), (("GPU-2", "0"), [0, 2]), (("h100",), [2])],
)
def test_gpus_are_chosen_by_index_uuid_or_model(
    wanted: tuple[str, ...], expected: list[int]
) -> None:
    there = (gpu(0), gpu(1), gpu(2, "NVIDIA H100 80GB HBM3"))

    assert [found.index for found in gpus.select(there, wanted)] == expected


def test_a_gpu_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        gpus.select((gpu(0),), ("7", "A100"))

    assert "no GPU '7'" in str(caught.value)
    assert "no GPU 'A100'; there is 0: NVIDIA H200 GPU-0" in str(caught.value)


def test_cores_are_shared_near_each_gpu() -> None:
    near, far = tuple(range(8)), tuple(range(8, 16))
    there = (gpu(0, cores=far), gpu(1, cores=near), gpu(2, cores=far))

    slots = gpus.share_cores(there, 4)

    assert slots == (
        Slot(uuid="GPU-0", cores=(8, 9, 10, 11)),
        Slot(uuid="GPU-1", cores=(0, 1, 2, 3)),
        Slot(uuid="GPU-2", cores=(12, 13, 14, 15)),
    )


def test_a_processor_too_small_for_its_gpus_borrows_from_the_other() -> None:
    there = (gpu(0, cores=(0, 1)), gpu(1, cores=(0, 1)), gpu(2, cores=(2, 3, 4, 5)))

    slots = gpus.share_cores(there, 2)

    assert [slot.cores for slot in slots] == [(0, 1), (4, 5), (2, 3)]


def test_too_few_cores_are_told_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"8 for 2 GPUs, and this machine has 4"):
        gpus.share_cores((gpu(0, cores=(0, 1, 2, 3)), gpu(1, cores=(0, 1, 2, 3))), 4)


def test_another_process_that_holds_a_gpu_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "runner-gpu-GPU-1.lock"
    holder = subprocess.Popen(["flock", str(lock), "sleep", "1.5"])
    while not lock.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    said: list[str] = []
    before = time.monotonic()

    with gpus.held(("GPU-1",), tmp_path, said.append):
        waited = time.monotonic() - before

    holder.wait()
    assert waited > 0.5
    assert said == [f"waiting for another runner's job on GPU-1 (it holds {lock})"]


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from runner import gpus\n"
        "with gpus.held(('GPU-1',), Path(sys.argv[1]), print):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"

    holder.kill()
    holder.wait()
    holder.stdout.close()

    with gpus.held(("GPU-1",), tmp_path, lambda _: None):
        assert True


def test_waiting_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    with (
        gpus.held(("GPU-1",), tmp_path, lambda _: None),
        pytest.raises(InterruptedError),
        gpus.held(("GPU-1",), tmp_path, lambda _: None, lambda: True),
    ):
        pytest.fail("it was held twice")


def test_a_pool_gives_each_gpu_once_and_waits_for_as_many_as_a_job_needs() -> None:
    pool = Pool([Slot(uuid=f"GPU-{n}", cores=(n,)) for n in range(2)])
    order: list[str] = []

    def both() -> None:
        with pool.taken(2) as slots:
            order.append("both " + " ".join(slot.uuid for slot in slots))

    thread = threading.Thread(target=both)
    with pool.taken(1) as (first,), pool.taken(1) as (second,):
        assert {first.uuid, second.uuid} == {"GPU-0", "GPU-1"}
        thread.start()
        time.sleep(0.1)
        order.append("singles")
    thread.join(5)

    assert order == ["singles", "both GPU-0 GPU-1"]
    with pytest.raises(ValueError, match="3 of 2 GPUs"), pool.taken(3):
        pytest.fail("there are not so many")


def test_a_job_gets_the_gpus_of_its_slots_and_their_cores_together() -> None:
    slots = (Slot(uuid="GPU-1", cores=(4, 5)), Slot(uuid="GPU-0", cores=(0, 1)))

    placed = abreast.place(make_job(), slots)

    assert placed.gpus == ("GPU-1", "GPU-0")
    assert placed.cores == (0, 1, 4, 5)


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", ["torch-1.0"]), ("cuda", ["a-1", "torch-1.0"])]
)
def test_a_suite_on_processors_leaves_out_images_for_gpus_alone(
    device: str, expected: list[str]
) -> None:
    suite = Suite(
        name="tiny",
        title="",
        protocol="fair",
        images=("*",),
        workloads={"cifar10-cnn": {}},
        device=device,
    )
    images = {"torch-1.0": make_image(), "a-1": replace(make_image("a-1"), devices=("cuda",))}

    made = plan.expand(suite, images)

    assert [cell.image for cell in made.cells] == expected
    assert {cell.device for cell in made.cells} == {device}
    assert made.skips == ()


@pytest.mark.parametrize(
    ("needs", "size", "reason"),
    [
        (GpuNeeds(memory_bytes=79 * 1024**3, architectures=("sm_90",)), 1, ""),
        (GpuNeeds(architectures=("sm_80",)), 0, "asks for a GPU with sm_80; found NVIDIA H100"),
    ],
)
def test_a_suite_takes_the_gpus_that_fit_it(
    needs: GpuNeeds, size: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    planned = plan_request(make_request(root))
    suite = replace(planned.suite, device="cuda", gpu=needs)
    images = {name: replace(image, devices=("cuda",)) for name, image in planned.images.items()}
    monkeypatch.setattr(nvml, "connect", lambda: Session(BUSY))

    field = abreast.find(suite, planned.plan.cells, images, ())

    assert field.pool.size == size
    assert all(reason in problem.reason for problem in field.refused.values())
    assert bool(field.refused) == bool(reason)
    assert field.compiled == {}


def test_without_a_way_to_gpus_every_cell_says_so_and_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_request(make_request(make_project(tmp_path / "project")))
    [(name, image)] = planned.images.items()
    suite = replace(planned.suite, device="cuda")
    backend = make_backend()
    backend.no_way_to_gpus.return_value = "no GPU gets into a container here: CDI is off"
    monkeypatch.setattr(nvml, "connect", lambda: Session(BUSY))

    def reasons(devices: tuple[str, ...], results: Path) -> set[tuple[Status, str]]:
        asked = replace(
            planned,
            suite=suite,
            images={name: replace(image, devices=devices)},
            request=replace(planned.request, results=results),
        )
        connected = session.Connected(backend=backend, reason="asked for")
        folder = session.carry_out(asked, connected, make_observer())
        return {(record.status, record.reason) for record in store.load_records(folder)}

    device = Status.UNSUPPORTED_DEVICE
    said = "no GPU gets into a container here: CDI is off"
    assert reasons(("cuda",), tmp_path / "a") == {(device, said)}
    [(_, own)] = reasons(("cpu",), tmp_path / "b")
    assert own.startswith("torch-1.0 is for cpu only")
    backend.prepare.assert_not_called()
    backend.start.assert_not_called()


def test_what_the_driver_will_compile_is_told_beforehand_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_request(make_request(make_project(tmp_path / "project")))
    images = {
        name: replace(image, devices=("cuda",), gpu_architectures=("sm_80", "compute_80"))
        for name, image in planned.images.items()
    }
    monkeypatch.setattr(nvml, "connect", lambda: Session(BUSY))
    suite = replace(planned.suite, device="cuda")

    words = abreast.find(suite, planned.plan.cells, images, ()).compiled["torch-1.0"]

    assert words.startswith("torch-1.0 has no machine code for NVIDIA H100 80GB HBM3, sm_90")
    noted = session.noted(make_environment(), words)
    assert isinstance(noted, Environment)
    assert noted.facts["just_in_time"] == words
    problem = PrepareError(Status.BUILD_FAILED, "no")
    assert session.noted(problem, words) is problem


def test_the_result_of_a_job_is_the_same_on_another_like_gpu() -> None:
    cell = replace(make_cell(), device="cuda")
    one, other = (
        replace(make_job(cell), gpus=(uuid,), cores=cores)
        for uuid, cores in (("GPU-0", (0, 1)), ("GPU-1", (2, 3)))
    )

    identities = {plan.identity(job, make_environment(), "docker", "f") for job in (one, other)}

    assert len(identities) == 1


@pytest.mark.parametrize(("ranks", "passed"), [(2, True), (1, False), (None, False)])
def test_as_many_gpus_as_were_asked_for_must_have_added_up(ranks: int | None, passed: bool) -> None:
    said = {} if ranks is None else {"ranks": ranks}

    checks = checks_of(make_job(make_cell(gpus=2)), make_image(), heard(good_lines(**said)))

    (check,) = (check for check in checks if check.name == "ranks")
    assert check.passed is passed


def field(tmp_path: Path, users: tuple[str, ...], refused: dict[str, PrepareError]) -> Field:
    return Field(
        pool=Pool([Slot(uuid="GPU-0", cores=(0,))]),
        locks=tmp_path,
        users=lambda _: users,
        refused=refused,
    )


def jobs() -> list[Job]:
    return [make_job(make_cell(), launch) for launch in range(2)]


def test_a_refused_cell_leaves_its_records_and_launches_nothing(tmp_path: Path) -> None:
    setting, stored = make_setting()
    problem = PrepareError(Status.DRIVER_TOO_OLD, "driver 470")
    refused = {make_cell().label: problem}

    abreast.measure(jobs(), {}, setting, field(tmp_path, (), refused))

    assert [record.status for record in stored] == [Status.DRIVER_TOO_OLD] * 2
    assert stored[0].reason == "driver 470"


def test_a_gpu_in_use_by_another_disturbs_and_is_tried_again(tmp_path: Path) -> None:
    setting, stored = make_setting()
    used = ("process 7 computed on GPU-0",)
    prepared = {make_cell().image: make_environment()}

    abreast.measure(jobs()[:1], prepared, setting, field(tmp_path, used, {}))

    assert [record.status for record in stored] == [Status.DISTURBED] * 3
    assert stored[0].reason == "before it began, process 7 computed on GPU-0"
    assert stored[0].cores == (0,)


def test_that_a_gpu_is_waited_for_is_told(tmp_path: Path) -> None:
    setting, stored = make_setting()
    setting.cancelled.set()
    prepared = {make_cell().image: make_environment()}

    with gpus.held(("GPU-0",), tmp_path, lambda _: None):
        abreast.measure(jobs()[:1], prepared, setting, field(tmp_path, (), {}))

    told = cast("Mock", setting.observer.told)
    lock = tmp_path / "runner-gpu-GPU-0.lock"
    told.assert_called_once_with(f"waiting for another runner's job on GPU-0 (it holds {lock})")
    assert [record.reason for record in stored] == ["interrupted by the user"]
