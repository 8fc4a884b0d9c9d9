from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable

import pytest

from runner.model import MemoryReading, MemoryUse
from runner.telemetry.sampler import MemorySampler, Sample, Window, memory_use, spare_cores

BEFORE, INSIDE, AFTER = 5.0, 15.0, 25.0
WINDOW = Window(begin_s=10.0, end_s=20.0)


def sample(time_s: float, size: int) -> Sample:
    return Sample(time_s=time_s, reading=MemoryReading(anonymous_bytes=size))


def reduce(*samples: Sample) -> MemoryUse | None:
    return memory_use(samples, WINDOW, interval_s=0.1, method="test")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


def test_only_what_falls_into_the_window_counts() -> None:
    use = reduce(sample(BEFORE, 900), sample(INSIDE, 10), sample(16.0, 21), sample(AFTER, 900))
    assert use == MemoryUse(
        peak_bytes=21, average_bytes=16, readings=2, interval_s=0.1, method="test"
    )


def test_the_edges_belong_to_the_window() -> None:
    use = reduce(sample(10.0, 1), sample(20.0, 3))
    assert use is not None
    assert (use.readings, use.peak_bytes) == (2, 3)


@pytest.mark.parametrize(("before_s", "after_s", "expected"), [(9.5, 21.0, 1), (8.0, 20.5, 2)])
def test_without_a_reading_inside_the_nearest_stands_for_it(
    before_s: float, after_s: float, expected: int
) -> None:
    use = reduce(sample(before_s, 1), sample(after_s, 2))
    assert use is not None
    assert (use.readings, use.peak_bytes, use.average_bytes) == (0, expected, expected)


def test_without_any_reading_there_is_no_figure() -> None:
    assert reduce() is None


def test_sampler_reads_at_its_pace_and_between_its_marks() -> None:
    taken: list[int] = []
    cpu = iter([2.0, 5.5])

    def read() -> MemoryReading:
        taken.append(len(taken))
        return MemoryReading(anonymous_bytes=len(taken))

    sampler = MemorySampler(read, "test", read_cpu_s=lambda: next(cpu), interval_s=0.01)
    sampler.start()
    wait_for(lambda: len(taken) >= 3)
    sampler.begin()
    first = len(taken)
    wait_for(lambda: len(taken) >= first + 5)
    sampler.end()
    last = len(taken)
    wait_for(lambda: len(taken) >= last + 3)
    sampler.stop()

    use = sampler.result(kernel_peak_bytes=7, allocator_peak_bytes=8)
    assert use is not None
    assert first < use.peak_bytes <= last + 1
    assert 4 <= use.readings <= last - first + 1
    assert (use.kernel_peak_bytes, use.allocator_peak_bytes) == (7, 8)
    assert (use.interval_s, use.method) == (0.01, "test")
    assert sampler.cpu_s == pytest.approx(3.5)


def test_slow_readings_do_not_pile_up() -> None:
    times: list[float] = []

    def read() -> MemoryReading:
        times.append(time.monotonic())
        time.sleep(0.03)
        return MemoryReading(anonymous_bytes=1)

    sampler = MemorySampler(read, "test", interval_s=0.01)
    sampler.start()
    wait_for(lambda: len(times) >= 4)
    sampler.stop()
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 0.03


def test_a_job_that_has_gone_leaves_its_last_readings() -> None:
    readings = [MemoryReading(anonymous_bytes=5), None, None]
    done = threading.Event()

    def read() -> MemoryReading | None:
        if not readings:
            done.set()
            return None
        return readings.pop(0)

    sampler = MemorySampler(read, "test", interval_s=0.001)
    sampler.begin()
    sampler.start()
    assert done.wait(30)
    sampler.stop()
    use = sampler.result()
    assert use is not None
    assert (use.peak_bytes, use.readings) == (5, 1)
    assert sampler.cpu_s is None


def test_a_job_that_never_measured_has_no_figure() -> None:
    sampler = MemorySampler(lambda: MemoryReading(anonymous_bytes=1), "test")
    sampler.start()
    sampler.end()
    sampler.stop()
    assert sampler.result() is None
    assert sampler.cpu_s is None


def test_stop_without_start_is_harmless() -> None:
    sampler = MemorySampler(lambda: None, "test")
    sampler.stop()
    assert sampler.result() is None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_thread_keeps_off_the_job_s_cores() -> None:
    job, *others = sorted(os.sched_getaffinity(0))
    seen: list[set[int]] = []

    def read() -> MemoryReading:
        seen.append(os.sched_getaffinity(0))
        return MemoryReading(anonymous_bytes=1)

    sampler = MemorySampler(read, "test", interval_s=0.001, job_cores=(job,))
    sampler.start()
    wait_for(lambda: bool(seen))
    sampler.stop()
    assert seen[0] == set(others)
    assert os.sched_getaffinity(0) == {job, *others}


def test_no_core_is_spare_where_the_job_has_all() -> None:
    assert spare_cores(tuple(os.sched_getaffinity(0))) == frozenset()
