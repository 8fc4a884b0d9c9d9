from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.model import Cgroup, MemoryReading
from runner.telemetry import cgroup
from tests.host_trees import unpack
from tests.needs import lack

V1 = "sys/fs/cgroup/{}/session-1/runner-job"
V2 = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/runner-job"


@pytest.fixture
def first(tmp_path: Path) -> Cgroup:
    root = unpack("virtual-machine", tmp_path)
    return Cgroup(version=1, memory=root / V1.format("memory"), cpu=root / V1.format("cpuacct"))


@pytest.fixture
def second(tmp_path: Path) -> Cgroup:
    root = unpack("debian-cgroup-v2", tmp_path)
    return Cgroup(version=2, memory=root / V2, cpu=root / V2)


@pytest.fixture
def here() -> Iterator[Cgroup]:
    """A group that this very kernel made, with a page of this process's in it at most."""
    folder = Path("/sys/fs/cgroup/memory") / f"runner-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        lack("cgroup", f"no cgroup v1 that may be written: {error.strerror}")
    yield Cgroup(version=1, memory=folder, cpu=Path("/sys/fs/cgroup/cpuacct"))
    if folder.exists():
        folder.rmdir()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_version_1_adds_shared_memory_to_rss(first: Cgroup) -> None:
    with cgroup.Reader(first) as reader:
        assert reader.memory() == MemoryReading(
            anonymous_bytes=31776768 + 10485760, total_bytes=42897408
        )
        assert reader.cpu_s() == pytest.approx(0.062627117)


def test_version_2_adds_shared_memory_to_anon(second: Cgroup) -> None:
    with cgroup.Reader(second) as reader:
        assert reader.memory() == MemoryReading(
            anonymous_bytes=31776768 + 10485760, total_bytes=48418816
        )
        assert reader.cpu_s() == pytest.approx(1.50421)


def test_method_names_what_is_read(first: Cgroup, second: Cgroup) -> None:
    assert cgroup.method(first) == "cgroup v1 memory.stat total_rss + total_shmem"
    assert cgroup.method(second) == "cgroup v2 memory.stat anon + shmem"


def test_a_kernel_without_shared_memory_in_the_statistics() -> None:
    reading = cgroup.parse_memory(1, b"cache 4096\ntotal_rss 8192\n", b"12288\n")
    assert reading == MemoryReading(anonymous_bytes=8192, total_bytes=12288)


def test_statistics_without_the_figure_are_refused() -> None:
    with pytest.raises(ValueError, match="cgroup v2 without anon"):
        cgroup.parse_memory(2, b"total_rss 8192\n", b"12288\n")
    with pytest.raises(ValueError, match="usage_usec"):
        cgroup.parse_cpu_s(2, b"nr_periods 0\n")


def test_a_figure_is_read_anew_each_time(first: Cgroup) -> None:
    with cgroup.Reader(first) as reader:
        reader.memory()
        (first.memory / "memory.usage_in_bytes").write_text("4096\n")
        assert reader.memory() == MemoryReading(
            anonymous_bytes=31776768 + 10485760, total_bytes=4096
        )


def test_a_group_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    gone = Cgroup(version=2, memory=tmp_path / "gone", cpu=tmp_path / "gone")
    with cgroup.Reader(gone) as reader:
        assert reader.memory() is None
        assert reader.cpu_s() is None


def test_a_group_that_is_removed_under_the_reader_reads_as_nothing(here: Cgroup) -> None:
    with cgroup.Reader(here) as reader:
        assert reader.memory() == MemoryReading(anonymous_bytes=0, total_bytes=0)
        assert (reader.cpu_s() or 0) > 0
        here.memory.rmdir()
        assert reader.memory() is None


def test_descriptors_are_closed(first: Cgroup) -> None:
    before = open_descriptors()
    reader = cgroup.Reader(first)
    assert open_descriptors() == before + 3
    reader.close()
    reader.close()
    assert open_descriptors() == before
    assert reader.memory() is None
