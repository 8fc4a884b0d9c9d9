"""Reading a job's memory from outside, at a steady pace, while it measures."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.model import MemoryReading, MemoryUse

INTERVAL_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A reading and when it was taken, in seconds of the monotonic clock."""

    time_s: float
    reading: MemoryReading


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The stretch in which a job measured, in seconds of the monotonic clock."""

    begin_s: float
    end_s: float


def memory_use(
    samples: tuple[Sample, ...],
    window: Window,
    *,
    interval_s: float,
    method: str,
    kernel_peak_bytes: int | None = None,
    allocator_peak_bytes: int | None = None,
) -> MemoryUse | None:
    """Reduce samples to what a record keeps; None where there is no sample at all.

    Where none fell inside the window, the nearest stands for it and ``readings`` is 0.
    """
    if not samples:
        return None
    inside = [s for s in samples if window.begin_s <= s.time_s <= window.end_s]
    used = inside or [min(samples, key=lambda s: _distance_s(s.time_s, window))]
    sizes = [sample.reading.anonymous_bytes for sample in used]
    return MemoryUse(
        peak_bytes=max(sizes),
        average_bytes=round(sum(sizes) / len(sizes)),
        readings=len(inside),
        interval_s=interval_s,
        method=method,
        kernel_peak_bytes=kernel_peak_bytes,
        allocator_peak_bytes=allocator_peak_bytes,
    )


def _distance_s(time_s: float, window: Window) -> float:
    return max(window.begin_s - time_s, time_s - window.end_s)


def spare_cores(job_cores: tuple[int, ...]) -> frozenset[int]:
    """Return the cores that this process may use and the job does not; empty if none is left."""
    return frozenset(os.sched_getaffinity(0)) - frozenset(job_cores)


def keep_off(job_cores: tuple[int, ...]) -> None:
    """Keep the calling thread off the job's cores, where there are others."""
    cores = spare_cores(job_cores)
    if cores and job_cores:
        with contextlib.suppress(OSError):  # a core may go offline
            os.sched_setaffinity(0, cores)


def paced(stopping: threading.Event, interval_s: float) -> Iterator[None]:
    """Yield once every `interval_s` until `stopping` is set.

    By the schedule and not after the work, so that slow readings do not stretch it; what was
    missed is not made up for.
    """
    due_s = time.monotonic()
    while not stopping.is_set():
        yield
        now_s = time.monotonic()
        due_s += interval_s
        if due_s <= now_s:
            due_s = now_s + interval_s
        stopping.wait(due_s - now_s)


class MemorySampler:
    """Takes readings in a thread of its own.

    Order of calls: ``start``, ``begin`` and ``end`` around the measuring, ``stop``, ``result``.
    Nothing that happens to the job raises here.
    """

    def __init__(
        self,
        read: Callable[[], MemoryReading | None],
        method: str,
        *,
        read_cpu_s: Callable[[], float | None] | None = None,
        interval_s: float = INTERVAL_S,
        job_cores: tuple[int, ...] = (),
    ) -> None:
        """Keep how to read.

        Args:
            read: returns memory in use now, or None where that cannot be told (any more).
            method: what `read` reads, in words.
            read_cpu_s: returns processor seconds so far; None where nothing counts them.
            job_cores: cores that the thread keeps off, where there are others.
        """
        self._read = read
        self._method = method
        self._read_cpu_s = read_cpu_s or _unknown
        self._interval_s = interval_s
        self._job_cores = job_cores
        self._samples: list[Sample] = []
        self._begin: tuple[float, float | None] | None = None
        self._end: tuple[float, float | None] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._take, name="memory-sampler", daemon=True)

    def start(self) -> None:
        """Begin to take readings."""
        self._thread.start()

    def begin(self) -> None:
        """Mark that the job begins to measure; a second mark takes the place of the first."""
        self._begin = (time.monotonic(), self._read_cpu_s())
        self._end = None

    def end(self) -> None:
        """Mark that the job has measured."""
        self._end = (time.monotonic(), self._read_cpu_s())

    def stop(self) -> None:
        """Take no more readings; call before what `read` reads from is closed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def cpu_s(self) -> float | None:
        """Processor seconds between the marks; None if unknown or a mark is missing."""
        before = None if self._begin is None else self._begin[1]
        after = None if self._end is None else self._end[1]
        return None if before is None or after is None else after - before

    def result(
        self, *, kernel_peak_bytes: int | None = None, allocator_peak_bytes: int | None = None
    ) -> MemoryUse | None:
        """Return memory between the marks; None where measuring never began or nothing was read.

        A job that ended before ``end`` was marked measured until its last reading.
        """
        if self._begin is None:
            return None
        samples = tuple(self._samples)
        last_s = samples[-1].time_s if samples else self._begin[0]
        end_s = max(last_s, self._begin[0]) if self._end is None else self._end[0]
        return memory_use(
            samples,
            Window(begin_s=self._begin[0], end_s=end_s),
            interval_s=self._interval_s,
            method=self._method,
            kernel_peak_bytes=kernel_peak_bytes,
            allocator_peak_bytes=allocator_peak_bytes,
        )

    def _take(self) -> None:
        keep_off(self._job_cores)
        for _ in paced(self._stopping, self._interval_s):
            reading = self._read()
            if reading is not None:
                self._samples.append(Sample(time_s=time.monotonic(), reading=reading))


def _unknown() -> None:
    return None
