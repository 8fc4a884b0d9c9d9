"""What the kernel counts for a container, where the engine is on this machine.

The counters go with the container: once it has ended they can no longer be read, not even
through a descriptor that was opened before (ENODEV). So they are read while it lives.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from runner.model import Cgroup

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """What was last read; None where nothing counts, or nothing was read in time.

    Attributes:
        oom_kills: processes that the kernel ended for this container's memory.
        process_limit_hits: forks that it refused.
        memory_peak_bytes: high-water mark of charged memory.
    """

    oom_kills: int | None = None
    process_limit_hits: int | None = None
    memory_peak_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The folders of a container's control groups; one and the same on version 2."""

    cgroup: Cgroup
    pids: Path


def groups(cgroup_text: str, container: str, root: Path = _ROOT) -> Groups | None:
    """Return a container's folders, or None where it is not the one of `cgroup_text`.

    The name of the container is looked for, since its pid may be another machine's. Drivers:
    cgroupfs has ``/docker/ID``, systemd ``/system.slice/docker-ID.scope``, Podman
    ``/machine.slice/libpod-ID.scope/container``, whose limits are at the scope.

    Args:
        cgroup_text: /proc/PID/cgroup of its first process.
        root: where control groups are mounted.
    """
    paths: dict[str, str] = {}
    for line in cgroup_text.splitlines():
        _, controllers, path = line.split(":", 2)
        before, found, after = path.partition(container)
        if found:
            inside = before + found + after.partition("/")[0]
            paths.update(dict.fromkeys(controllers.split(","), inside.lstrip("/")))
    if {"memory", "cpuacct", "pids"} <= paths.keys():
        folders = {name: root / name / paths[name] for name in ("memory", "cpuacct", "pids")}
        made = Cgroup(version=1, memory=folders["memory"], cpu=folders["cpuacct"])
        return Groups(cgroup=made, pids=folders["pids"])
    if "" in paths:
        folder = root / paths[""]
        return Groups(cgroup=Cgroup(version=2, memory=folder, cpu=folder), pids=folder)
    return None


class Meter:
    """Reads the counters through descriptors that stay open, which is cheap."""

    def __init__(self, groups: Groups) -> None:
        """Open the files.

        Raises:
            OSError: the container has gone.
        """
        memory, first = groups.cgroup.memory, groups.cgroup.version == 1
        self._oom = os.open(
            memory / ("memory.oom_control" if first else "memory.events"), os.O_RDONLY
        )
        self._peak = self._hits = -1
        # Linux before 5.19 has no memory.peak; the pids controller may be off.
        with contextlib.suppress(FileNotFoundError):
            self._peak = os.open(
                memory / ("memory.max_usage_in_bytes" if first else "memory.peak"), os.O_RDONLY
            )
        with contextlib.suppress(FileNotFoundError):
            self._hits = os.open(groups.pids / "pids.events", os.O_RDONLY)
        self._last = Counters()

    def read(self) -> Counters:
        """Return the counters now, or as they were last seen."""
        with contextlib.suppress(OSError):
            self._last = Counters(
                oom_kills=_keyed(_text(self._oom), "oom_kill"),
                process_limit_hits=_keyed(_text(self._hits), "max"),
                memory_peak_bytes=None if self._peak < 0 else int(_text(self._peak)),
            )
        return self._last

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._oom, self._peak, self._hits):
            if descriptor >= 0:
                os.close(descriptor)


def _text(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode() if descriptor >= 0 else ""


def _keyed(text: str, key: str) -> int | None:
    """Return a value of lines ``key value``; None where there is no such line."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return None
