"""What else happened on a job's cores while it measured: others, stolen time, waiting for
memory, swapping, clocks and throttling. From /proc and /sys, outside the job.

Counters are read at both edges of the measuring; clocks, which have none, once a second.
Sources: proc(5); Documentation/accounting/psi.rst; Documentation/admin-guide/pm/cpufreq.rst;
arch/x86/kernel/cpu/mce/therm_throt.c of the kernel.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.model import Load
from runner.telemetry.cgroup import parse_keyed
from runner.telemetry.sampler import keep_off, paced

INTERVAL_S = 1.0
# A tick is 10 ms on most kernels, and each core's figure may be one off at both edges.
SHORTEST_S = 1.0
_CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreTimes:
    """Seconds since boot that one core was idle (waiting for input and output too), and stolen."""

    idle_s: float
    steal_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """The counters at one moment; a figure that the kernel does not give is None.

    Attributes:
        time_s: of the monotonic clock.
        job_s, own_s: processor seconds of the job, and of this process.
        swapped_pages: to and from swap since boot.
        stalled_s: in which some process waited for memory, since boot.
        throttle_events: of the job's cores and their packages, since boot.
    """

    time_s: float
    job_s: float | None
    own_s: float
    cores: dict[int, CoreTimes]
    swapped_pages: int | None
    stalled_s: float | None
    throttle_events: int | None


def parse_cores(stat: str, ticks_per_s: int) -> dict[int, CoreTimes]:
    """Parse the lines of /proc/stat that stand for one core each."""
    found = {}
    for line in stat.splitlines():
        name, *words = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and len(words) >= 8:
            idle, waiting, steal = int(words[3]), int(words[4]), int(words[7])
            found[int(name[3:])] = CoreTimes(
                idle_s=(idle + waiting) / ticks_per_s, steal_s=steal / ticks_per_s
            )
    return found


def parse_stalled_s(pressure: str) -> float | None:
    """Return the total of the line ``some`` of a pressure file; None where there is none."""
    for line in pressure.splitlines():
        kind, *pairs = line.split()
        if kind == "some":
            values = dict(pair.partition("=")[::2] for pair in pairs)
            return int(values["total"]) / 1e6
    return None


def read_edge(root: Path, cores: tuple[int, ...], job_s: float | None) -> Edge:
    """Read every counter below `root`."""
    times = parse_cores(_text(root / "proc/stat"), os.sysconf("SC_CLK_TCK"))
    swapped = parse_keyed(_text(root / "proc/vmstat").encode())
    return Edge(
        time_s=time.monotonic(),
        job_s=job_s,
        own_s=time.process_time(),
        cores={core: times[core] for core in cores if core in times},
        swapped_pages=swapped[b"pswpin"] + swapped[b"pswpout"] if b"pswpin" in swapped else None,
        stalled_s=parse_stalled_s(_text(root / "proc/pressure/memory")),
        throttle_events=_throttle_events(root, cores),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _throttle_events(root: Path, cores: tuple[int, ...]) -> int | None:
    """Add up the cores' own events, and of each package's, which every core of it repeats."""
    own: list[int] = []
    packages: dict[str, int] = {}
    for core in cores:
        folder = root / _CPUS / f"cpu{core}"
        if text := _text(folder / "thermal_throttle/core_throttle_count").strip():
            own.append(int(text))
        if text := _text(folder / "thermal_throttle/package_throttle_count").strip():
            packages[_text(folder / "topology/physical_package_id").strip()] = int(text)
    return sum(own) + sum(packages.values()) if own or packages else None


def read_clock_hz(root: Path, cores: tuple[int, ...]) -> float | None:
    """Return the mean clock of `cores` now; None where the kernel does not show it."""
    return _mean_hz(root, cores, "scaling_cur_freq")


def read_nominal_hz(root: Path, cores: tuple[int, ...]) -> float | None:
    """Return the clock that the processor is sold with; only some drivers know it."""
    return _mean_hz(root, cores, "base_frequency")


def _mean_hz(root: Path, cores: tuple[int, ...], name: str) -> float | None:
    texts = [_text(root / _CPUS / f"cpu{core}/cpufreq" / name).strip() for core in cores]
    values = [int(text) * 1000 for text in texts if text.isdecimal()]
    return statistics.fmean(values) if values else None


def load(
    begin: Edge, end: Edge, clocks_hz: tuple[float, ...] = (), nominal_hz: float | None = None
) -> Load:
    """Reduce the counters at both edges, and the clocks read between them, to what is kept.

    Busy is what was not idle: the kernel counts idle time exactly, and user and system time by
    ticks. What was stolen is not the others' too; where the kernel leaves it in the job's own
    time, the others come out smaller by it, and never below 0.
    """
    window_s = end.time_s - begin.time_s
    cores = sorted(begin.cores.keys() & end.cores.keys())
    long_enough = bool(cores) and window_s >= SHORTEST_S
    idle_s = sum(end.cores[core].idle_s - begin.cores[core].idle_s for core in cores)
    stolen_s = sum(end.cores[core].steal_s - begin.cores[core].steal_s for core in cores)
    job_s = _growth(begin.job_s, end.job_s)
    whole_s = window_s * len(cores)
    others_share = None
    if long_enough and job_s is not None:
        others_s = whole_s - idle_s - stolen_s - job_s - (end.own_s - begin.own_s)
        others_share = max(0.0, others_s / whole_s)
    stalled_s = _growth(begin.stalled_s, end.stalled_s)
    swapped = _growth(begin.swapped_pages, end.swapped_pages)
    events = _growth(begin.throttle_events, end.throttle_events)
    return Load(
        window_s=window_s,
        others_share=others_share,
        steal_share=stolen_s / whole_s if long_enough else None,
        stall_share=None if stalled_s is None or not long_enough else stalled_s / window_s,
        swapped_bytes=None if swapped is None else int(swapped) * os.sysconf("SC_PAGE_SIZE"),
        frequency_hz=statistics.fmean(clocks_hz) if clocks_hz else None,
        throttle_events=None if events is None else int(events),
        nominal_hz=nominal_hz,
        readings=len(clocks_hz),
    )


def _growth(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


class LoadWatcher:
    """Reads the counters at the edges of the measuring, and the clocks meanwhile.

    Order of calls as for ``MemorySampler``: ``start``, ``begin`` and ``end``, ``stop``,
    ``result``. Nothing that happens to the job raises here.
    """

    def __init__(
        self,
        job_cores: tuple[int, ...],
        read_job_s: Callable[[], float | None],
        *,
        root: Path = Path("/"),
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Keep where to read.

        Args:
            read_job_s: returns the job's processor seconds so far, or None.
            root: stands for ``/``, which tests replace.
        """
        self._cores = job_cores
        self._read_job_s = read_job_s
        self._root = root
        self._interval_s = interval_s
        self._edges: list[Edge] = []
        self._clocks: list[float] = []
        self._measuring = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._take, name="load-watcher", daemon=True)
        self._nominal_hz = read_nominal_hz(root, job_cores)

    def start(self) -> None:
        """Begin to look at the clocks, where the kernel shows them; else no thread is needed."""
        if read_clock_hz(self._root, self._cores) is not None:
            self._thread.start()

    def begin(self) -> None:
        """Mark that the job begins to measure; a second mark takes the place of the first."""
        self._edges = [self._edge()]
        self._clocks.clear()
        self._measuring.set()

    def end(self) -> None:
        """Mark that the job has measured."""
        self._measuring.clear()
        self._edges.append(self._edge())

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def result(self) -> Load | None:
        """Return what happened between the marks; None where one of them is missing."""
        if len(self._edges) < 2:
            return None
        return load(
            self._edges[0], self._edges[-1], tuple(self._clocks), nominal_hz=self._nominal_hz
        )

    def _edge(self) -> Edge:
        return read_edge(self._root, self._cores, self._read_job_s())

    def _take(self) -> None:
        keep_off(self._cores)
        for _ in paced(self._stopping, self._interval_s):
            clock = read_clock_hz(self._root, self._cores)
            if clock is not None and self._measuring.is_set():
                self._clocks.append(clock)
