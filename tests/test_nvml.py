"""GPUs through NVML, played back: facts, readings, memory by three names, energy.

The session is made here from a stand-in for ``pynvml`` whose answers
follow NVML's documentation; a session that was recorded on a GPU has the same form.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.model import Cgroup, GpuMemory
from runner.telemetry import host, nvml
from runner.telemetry.gpu import ENERGY_CAVEAT, GpuWatcher, gpu_use, gpu_watcher, job_pids
from runner.telemetry.nvml import Gpu, Library, Process, Reading
from runner.telemetry.nvml_session import Recorder, Session

GIB = 1024**3
JOB, STRANGER = 4711, 815


class Handle(ctypes.Structure):
    """As NVML's: opaque."""


class Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Accounted(ctypes.Structure):
    _fields_ = (("gpuUtilization", ctypes.c_uint), ("maxMemoryUsage", ctypes.c_ulonglong))


class Running:
    """As the binding's own copy of a structure."""

    def __init__(self, pid: int, used: int | None) -> None:
        self.pid = pid
        self.usedGpuMemory = used


class FakeBinding:
    """A stand-in for ``pynvml`` on a machine with one GPU.

    It does not know MIG, and its clocks' reasons go by the name of before driver 535.
    """

    def __init__(self, *, accounting: bool = True, stranger: bool = False) -> None:
        self.NVMLError = nvml.binding().NVMLError
        self._energy_mj = itertools.count(1_000_000, 350_000)
        gpu = Handle()
        others = [Running(STRANGER, 2 * GIB)] if stranger else []
        self._answers: dict[str, Callable[..., object]] = {
            "Init": lambda: None,
            "SystemGetDriverVersion": lambda: b"525.105.17",
            "SystemGetCudaDriverVersion_v2": lambda: 12040,
            "DeviceGetCount": lambda: 1,
            "DeviceGetHandleByIndex": lambda index: {0: ctypes.pointer(gpu)}[index],
            "DeviceGetName": lambda _: "NVIDIA H100 80GB HBM3",
            "DeviceGetUUID": lambda _: "GPU-0123",
            "DeviceGetMemoryInfo": lambda _: Memory(80 * GIB, 79 * GIB, GIB),
            "DeviceGetCudaComputeCapability": lambda _: (9, 0),
            "DeviceGetEccMode": lambda _: [1, 1],
            "DeviceGetPersistenceMode": lambda _: 1,
            "DeviceGetAccountingMode": lambda _: int(accounting),
            "DeviceGetEnforcedPowerLimit": lambda _: 500_000,
            "DeviceGetPowerManagementDefaultLimit": lambda _: 700_000,
            "DeviceGetApplicationsClock": lambda _, kind: {1: 1980}[kind],
            "DeviceGetDefaultApplicationsClock": lambda _, kind: {1: 1980}[kind],
            "DeviceGetMaxClockInfo": lambda _, kind: {1: 1980, 2: 2619}[kind],
            "DeviceGetClockInfo": lambda _, kind: {1: 1755}[kind],
            "DeviceGetCurrentClocksThrottleReasons": lambda _: 0x4 | 0x40,
            "DeviceGetPowerUsage": lambda _: 350_000,
            "DeviceGetTemperature": lambda _, sensor: {0: 61}[sensor],
            "DeviceGetUtilizationRates": lambda _: Rates(97, 40),
            "DeviceGetComputeRunningProcesses": lambda _: [Running(JOB, 5 * GIB), *others],
            "DeviceGetTotalEnergyConsumption": lambda _: next(self._energy_mj),
            "DeviceGetAccountingStats": lambda _, pid: {JOB: Accounted(90, 6 * GIB)}[pid],
        }

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as pynvml's
        def call(*arguments: object) -> object:
            try:
                return self._answers[name.removeprefix("nvml")](*arguments)
            except KeyError:
                raise self.NVMLError(nvml.binding().NVML_ERROR_NOT_SUPPORTED) from None

        return call


def watched(library: Library, pids: frozenset[int] | None = frozenset({JOB})) -> GpuWatcher:
    """Watch a GPU over a few readings."""
    found = nvml.gpu(library, "0")
    assert found is not None
    return watched_by(GpuWatcher(found, lambda: pids, interval_s=0.002))


def watched_by(watcher: GpuWatcher) -> GpuWatcher:
    watcher.start()
    watcher.begin()
    deadline = time.monotonic() + 30
    while len(watcher._readings) < 3 and time.monotonic() < deadline:
        time.sleep(0.002)
    watcher.end()
    watcher.stop()
    return watcher


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Record the stand-in and play it back."""
    recorder = Recorder(FakeBinding())
    nvml.facts(recorder)
    watched(recorder)
    recorder.save(tmp_path / "session.jsonl")
    return Session(tmp_path / "session.jsonl")


def test_facts_are_read_and_what_is_not_supported_is_unknown(session: Session) -> None:
    [facts] = nvml.facts(session)

    assert (facts.name, facts.driver, facts.cuda) == ("NVIDIA H100 80GB HBM3", "525.105.17", "12.4")
    assert (facts.memory_bytes, facts.compute_capability) == (80 * GIB, "9.0")
    assert (facts.power_limit_w, facts.default_power_limit_w) == (500, 700)
    assert (facts.highest_sm_clock_hz, facts.highest_memory_clock_hz) == (1980e6, 2619e6)
    assert (facts.ecc, facts.persistence, facts.accounting, facts.mig) == (True, True, True, None)
    assert nvml.gpu(session, "3") is None


def test_a_session_that_is_played_back_gives_what_the_binding_gave(session: Session) -> None:
    live, played = watched(FakeBinding()).result(), watched(session).result()

    assert live is not None
    assert played is not None
    assert live.readings >= 3
    assert played.readings >= 3
    live, played = (
        dataclasses.replace(use, readings=0, utilisation_share=0.97) for use in (live, played)
    )
    assert live == played


def test_a_use_has_three_names_of_memory_and_energy_with_its_caveat(session: Session) -> None:
    use = watched(session).result(allocator_peak_bytes=3 * GIB)

    assert use is not None
    assert use.memory == (
        GpuMemory(peak_bytes=6 * GIB, method="accounting"),
        GpuMemory(peak_bytes=5 * GIB, method="sampling", interval_s=0.002),
        GpuMemory(peak_bytes=3 * GIB, method="allocator"),
    )
    assert use.energy_j == 350
    assert use.energy_caveat == ENERGY_CAVEAT
    assert "2312.02741" in use.energy_caveat
    assert (use.clock_hz, use.nominal_hz) == (1755e6, 1980e6)
    assert use.throttle_reasons == ("hw_thermal_slowdown", "sw_power_cap")
    assert (use.power_w, use.temperature_c) == (350, 61)
    assert use.utilisation_share == pytest.approx(0.97)
    assert use.others == 0
    assert use.readings >= 3


def test_without_accounting_the_peak_is_sampled_and_a_stranger_is_seen() -> None:
    use = watched(FakeBinding(accounting=False, stranger=True)).result()

    assert use is not None
    assert [memory.method for memory in use.memory] == ["sampling"]
    assert use.others == 1


def test_a_job_whose_processes_are_not_to_be_seen_leaves_them_unknown() -> None:
    use = watched(FakeBinding(), pids=None).result()

    assert use is not None
    assert (use.memory, use.others) == ((), None)


def test_a_driver_that_names_processes_by_other_numbers_tells_nothing_of_others() -> None:
    use = watched(FakeBinding(stranger=True), pids=frozenset({JOB + 1})).result()

    assert use is not None
    assert use.others is None


def test_a_job_that_measures_between_two_readings_is_read_at_its_end() -> None:
    watcher = GpuWatcher(Gpu(FakeBinding(), object()), lambda: frozenset({JOB}), interval_s=60)
    watcher.start()
    while not watcher._job:
        time.sleep(0.002)
    watcher.begin()
    watcher.end()
    watcher.stop()
    use = watcher.result()

    assert use is not None
    assert (use.readings, use.others) == (1, 0)
    assert "sampling" in {memory.method for memory in use.memory}


def test_strangers_are_looked_for_on_every_gpu_of_a_job() -> None:
    first, second = Gpu(FakeBinding(), object()), Gpu(FakeBinding(stranger=True), object())
    watcher = GpuWatcher(first, lambda: frozenset({JOB}), (), (second,), interval_s=0.002)

    use = watched_by(watcher).result()

    assert use is not None
    assert use.others == 1


def test_the_most_that_all_processes_of_a_job_held_at_once_counts() -> None:
    def reading(*held: tuple[int, int]) -> Reading:
        return Reading(
            clock_hz=None,
            reasons=(),
            power_w=None,
            temperature_c=None,
            utilisation_share=None,
            processes=tuple(Process(pid=pid, memory_bytes=size) for pid, size in held),
        )

    use = gpu_use(
        Gpu(FakeBinding(), object()),
        (reading((1, 10), (2, 20)), reading((1, 25), (3, 99))),
        frozenset({1, 2}),
        energy_j=None,
        accounted_bytes=None,
        allocator_peak_bytes=None,
        interval_s=0.1,
    )

    assert use.memory == (GpuMemory(peak_bytes=30, method="sampling", interval_s=0.1),)
    assert use.others == 1
    assert use.energy_caveat == ""


def unknown() -> None:
    """Tell nothing of a job's processes."""


def test_without_a_driver_there_is_nothing_to_watch() -> None:
    assert gpu_watcher({"RUNNER_DEVICE": "cpu"}, unknown, ()) is None
    if nvml.connect() is None:
        assert gpu_watcher({"RUNNER_DEVICE": "cuda"}, unknown, ()) is None


def test_a_job_on_cuda_is_watched_on_the_gpu_it_is_given(
    monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(nvml, "connect", lambda: session)

    assert gpu_watcher({"RUNNER_DEVICE": "cuda"}, unknown, ()) is not None
    elsewhere = {"RUNNER_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": "3"}
    assert gpu_watcher(elsewhere, unknown, ()) is None


def test_processes_of_a_job_are_those_of_its_group_and_below(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "inner" / "cgroup.procs").write_text("3\n")
    group = Cgroup(version=2, memory=tmp_path, cpu=tmp_path)

    assert job_pids(group) == frozenset({1, 2, 3})
    assert job_pids(Cgroup(version=2, memory=tmp_path / "gone", cpu=tmp_path)) == frozenset()


def test_two_gpus_of_a_kind_agree_and_another_limit_is_named(session: Session) -> None:
    [gpu] = nvml.facts(session)
    here = host.read(Path("/"), (gpu,))
    twin = host.read(Path("/"), (dataclasses.replace(gpu, uuid="GPU-9999"),))
    slow = host.read(Path("/"), (dataclasses.replace(gpu, power_limit_w=300.0),))

    assert host.fingerprint(here) == host.fingerprint(twin)
    assert host.differences(here, slow) == ("gpu0.power_limit_w: 500.0 and 300.0",)
    assert "gpu0.name: 'NVIDIA H100 80GB HBM3' and None" in host.differences(here, host.read())
    assert host.from_plain(dataclasses.asdict(here)) == here
