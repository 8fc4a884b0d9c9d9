"""Memory and processor time of a job as the kernel accounts for them in its control group.

Sources: Documentation/admin-guide/cgroup-v1/{memory,cpuacct,pids}.rst and cgroup-v2.rst of the
Linux kernel. Figures in memory.stat may lag behind by some pages for each processor.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from runner.model import Cgroup, MemoryReading

_LARGEST_FILE = 65536
_NANOSECONDS = 1e9
_MICROSECONDS = 1e6

# version -> (file of the statistics, keys that add up to anonymous memory, file of the total)
_MEMORY = {
    1: ("memory.stat", (b"total_rss", b"total_shmem"), "memory.usage_in_bytes"),
    2: ("memory.stat", (b"anon", b"shmem"), "memory.current"),
}
_CPU = {1: "cpuacct.usage", 2: "cpu.stat"}


def parse_keyed(data: bytes) -> dict[bytes, int]:
    """Parse lines of ``key value``, the kernel's flat keyed format."""
    pairs = (line.split() for line in data.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def parse_memory(version: int, stat: bytes, total: bytes) -> MemoryReading:
    """Parse what `Reader.memory` reads.

    Shared memory (tmpfs included) is in neither version's ``rss`` or ``anon``, and is the job's
    own all the same; the oldest kernels of version 1 do not tell it from page cache.

    Raises:
        ValueError: the statistics have no figure for anonymous memory.
    """
    values = parse_keyed(stat)
    anonymous, shared = _MEMORY[version][1]
    if anonymous not in values:
        msg = f"memory.stat of cgroup v{version} without {anonymous.decode()}"
        raise ValueError(msg)
    return MemoryReading(
        anonymous_bytes=values[anonymous] + values.get(shared, 0), total_bytes=int(total)
    )


def parse_cpu_s(version: int, data: bytes) -> float:
    """Return processor seconds, over all cores, from cpuacct.usage or cpu.stat.

    Raises:
        ValueError: it has no such figure.
    """
    if version == 1:
        return int(data) / _NANOSECONDS
    values = parse_keyed(data)
    if b"usage_usec" not in values:
        msg = "cpu.stat without usage_usec"
        raise ValueError(msg)
    return values[b"usage_usec"] / _MICROSECONDS


def method(group: Cgroup) -> str:
    """Return what `Reader.memory` reads, in words."""
    file, keys, _ = _MEMORY[group.version]
    return f"cgroup v{group.version} {file} {' + '.join(key.decode() for key in keys)}"


class Reader:
    """Reads a job's group many times over descriptors that stay open.

    A group that has gone reads as None: jobs end while they are looked at.
    """

    def __init__(self, group: Cgroup) -> None:
        self._group = group
        stat, _, total = _MEMORY[group.version]
        self._stat = _open(group.memory / stat)
        self._total = _open(group.memory / total)
        self._cpu = _open(group.cpu / _CPU[group.version])

    def memory(self) -> MemoryReading | None:
        """Return memory in use now."""
        stat, total = _read(self._stat), _read(self._total)
        if stat is None or total is None:
            return None
        with contextlib.suppress(ValueError):
            return parse_memory(self._group.version, stat, total)
        return None

    def cpu_s(self) -> float | None:
        """Return processor seconds used since the group was made."""
        data = _read(self._cpu)
        if data is None:
            return None
        with contextlib.suppress(ValueError):
            return parse_cpu_s(self._group.version, data)
        return None

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        for descriptor in (self._stat, self._total, self._cpu):
            if descriptor is not None:
                os.close(descriptor)
        self._stat = self._total = self._cpu = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _read(descriptor: int | None) -> bytes | None:
    if descriptor is None:
        return None
    with contextlib.suppress(OSError):  # ENODEV once the group has been removed
        return os.pread(descriptor, _LARGEST_FILE, 0)
    return None
