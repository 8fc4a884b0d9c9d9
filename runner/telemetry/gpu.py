"""A job's GPU while it measures, sampled on the host: memory, energy, clocks, who else is there.

Inside a container the driver shows no process but its own container's; processes are told
apart here, where their numbers are the host's, by the job's own.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterable, Mapping

from runner.model import Cgroup, GpuMemory, GpuUse
from runner.telemetry import nvml
from runner.telemetry.nvml import Gpu, Reading
from runner.telemetry.sampler import keep_off, paced

INTERVAL_S = 0.1
ENERGY_CAVEAT = (
    "of the GPU's own counter, fed by its power sensor, which on A100 and H100 sees 25 % of the "
    "time (arXiv 2312.02741): stretches of seconds with an even load average it out, short ones "
    "may be far off"
)


def gpu_watcher(
    variables: Mapping[str, str],
    read_pids: Callable[[], frozenset[int] | None],
    job_cores: tuple[int, ...],
) -> GpuWatcher | None:
    """Return what looks at the GPUs of a job with these variables; None for a job without one."""
    if not variables.get("RUNNER_DEVICE", "").startswith("cuda"):
        return None
    library = nvml.connect()
    if library is None:
        return None
    which = variables.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    first, *more = (nvml.gpu(library, name) for name in which)
    if first is None:
        return None
    peers = tuple(gpu for gpu in more if gpu is not None)
    return GpuWatcher(first, read_pids, job_cores, peers)


def job_pids(group: Cgroup) -> frozenset[int]:
    """Return the processes of a job's control group and those below."""
    found: set[int] = set()
    try:
        for path in (group.memory / "cgroup.procs", *group.memory.glob("**/cgroup.procs")):
            found.update(map(int, path.read_text().split()))
    except OSError:  # it has gone
        return frozenset(found)
    return frozenset(found)


class GpuWatcher:
    """Takes readings of a job's GPU in a thread of its own, and its counters at the edges.

    Of a job with several, the first is read; who else computes is looked for on all.

    Order of calls as for ``MemorySampler``.
    """

    def __init__(
        self,
        gpu: Gpu,
        read_pids: Callable[[], frozenset[int] | None],
        job_cores: tuple[int, ...] = (),
        peers: tuple[Gpu, ...] = (),
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Keep how to tell the job's processes: `read_pids` returns them, None if unknown."""
        self._gpu = gpu
        self._read_pids = read_pids
        self._job_cores = job_cores
        self._peers = peers
        self._interval_s = interval_s
        self._readings: list[Reading] = []
        self._on_peers: set[int] = set()
        self._job: set[int] = set()
        self._knows_job = True
        self._energy_j: list[float | None] = []
        self._accounted: list[int | None] = []
        self._measuring = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._take, name="gpu-watcher", daemon=True)

    def start(self) -> None:
        """Begin to take readings."""
        self._thread.start()

    def begin(self) -> None:
        """Mark that the job begins to measure; a second mark takes the place of the first."""
        self._energy_j = [self._gpu.energy_j()]
        self._readings.clear()
        self._on_peers.clear()
        self._measuring.set()

    def end(self) -> None:
        """Mark that the job has measured; the driver forgets a process soon after its end."""
        self._measuring.clear()
        self._energy_j.append(self._gpu.energy_j())
        if not self._readings:  # it was over between two: the job still holds its memory
            self._read()
        self._accounted = [self._gpu.accounted_bytes(pid) for pid in sorted(self._job)]

    def stop(self) -> None:
        """Take no more readings."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def result(self, allocator_peak_bytes: int | None = None) -> GpuUse | None:
        """Return the GPU between the marks; None where one of them is missing.

        Args:
            allocator_peak_bytes: the framework's own word, where it gave one.
        """
        if len(self._energy_j) < 2:
            return None
        before, after = self._energy_j[0], self._energy_j[-1]
        known = [value for value in self._accounted if value is not None]
        return gpu_use(
            self._gpu,
            tuple(self._readings),
            frozenset(self._job) if self._knows_job else None,
            on_peers=frozenset(self._on_peers),
            energy_j=None if before is None or after is None else after - before,
            accounted_bytes=sum(known) if known else None,
            allocator_peak_bytes=allocator_peak_bytes,
            interval_s=self._interval_s,
        )

    def _take(self) -> None:
        keep_off(self._job_cores)
        for _ in paced(self._stopping, self._interval_s):
            pids = self._read_pids()
            self._knows_job = self._knows_job and pids is not None
            self._job.update(pids or ())
            if self._measuring.is_set():
                self._read()

    def _read(self) -> None:
        self._readings.append(self._gpu.read())
        for peer in self._peers:
            self._on_peers.update(found.pid for found in peer.processes() or ())


def gpu_use(
    gpu: Gpu,
    readings: tuple[Reading, ...],
    job: frozenset[int] | None,
    *,
    on_peers: frozenset[int] = frozenset(),
    energy_j: float | None,
    accounted_bytes: int | None,
    allocator_peak_bytes: int | None,
    interval_s: float,
) -> GpuUse:
    """Reduce readings to what a record keeps.

    Args:
        job: the job's processes; None where they cannot be told from others.
        on_peers: processes that were seen on the job's further GPUs.
        accounted_bytes: of the driver's accounting, over the job's processes.
    """
    facts = gpu.facts
    sampled = _sampled_bytes(readings, job)
    memory = [
        GpuMemory(peak_bytes=size, method=method, interval_s=interval)
        for size, method, interval in (
            (accounted_bytes, "accounting", None),
            (sampled, "sampling", interval_s),
            (allocator_peak_bytes, "allocator", None),
        )
        if size is not None
    ]
    return GpuUse(
        uuid=facts.uuid,
        memory=tuple(memory),
        energy_j=energy_j,
        energy_caveat="" if energy_j is None else ENERGY_CAVEAT,
        clock_hz=_mean(reading.clock_hz for reading in readings),
        nominal_hz=facts.default_sm_clock_hz or facts.highest_sm_clock_hz,
        throttle_reasons=tuple(sorted({name for reading in readings for name in reading.reasons})),
        power_w=_mean(reading.power_w for reading in readings),
        temperature_c=_mean(reading.temperature_c for reading in readings),
        utilisation_share=_mean(reading.utilisation_share for reading in readings),
        others=_others(readings, on_peers, job),
        readings=len(readings),
        interval_s=interval_s,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _sampled_bytes(readings: tuple[Reading, ...], job: frozenset[int] | None) -> int | None:
    """Return the most that the job's processes held together at any reading."""
    if job is None:
        return None
    sums = [
        sum(process.memory_bytes or 0 for process in reading.processes if process.pid in job)
        for reading in readings
        if reading.processes is not None
    ]
    return max(sums, default=None) or None


def _others(
    readings: tuple[Reading, ...], on_peers: frozenset[int], job: frozenset[int] | None
) -> int | None:
    """Count who else computed; None where the job itself was not seen, as in another namespace."""
    seen = {process.pid for reading in readings for process in reading.processes or ()}
    if job is None or seen.isdisjoint(job):
        return None
    return len((seen | on_peers) - job)
