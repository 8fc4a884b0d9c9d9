"""What the process backend writes down of each job, so that a later runner can end what a dead
one left behind. One small file a job, removed when the job is finished.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

import msgspec

from runner.backends.process_tree import Process, alive, stat


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A runner: where it lives, and which process it is there.

    Attributes:
        node: the machine's name, since the cache may lie on a shared file system.
        pid_namespace: pids of another namespace (a container) say nothing here.
    """

    node: str
    boot_id: str
    pid_namespace: str
    process: Process


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """A job and all that was made for it.

    Attributes:
        process: None until it has started.
        folder: holds its HOME and TMPDIR.
        cgroups: folders of its control group; empty where it has none.
    """

    id: str
    owner: Owner
    folder: str
    cgroups: tuple[str, ...]
    process: Process | None = None

    def started(self, process: Process) -> JobState:
        """Return the state with the job's process in it."""
        return replace(self, process=process)


class Owned(Enum):
    """Whether a job's owner still looks after it."""

    ALIVE = auto()  # or not to be known from here: hands off
    DEAD = auto()
    BEFORE_BOOT = auto()  # processes and control groups went with the boot, folders stayed


def this_owner() -> Owner:
    """Return the process that runs this."""
    found = stat(os.getpid())
    assert found is not None
    return Owner(
        node=platform.node(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        pid_namespace=str(Path("/proc/self/ns/pid").readlink()),
        process=found.process,
    )


def owned(state: JobState, here: Owner) -> Owned:
    """Tell whether the owner of `state` lives, as far as the process `here` can see."""
    owner = state.owner
    if owner.node != here.node:
        return Owned.ALIVE
    if owner.boot_id != here.boot_id:
        return Owned.BEFORE_BOOT
    if owner.pid_namespace != here.pid_namespace or alive(owner.process):
        return Owned.ALIVE
    return Owned.DEAD


def write(path: Path, state: JobState) -> None:
    """Write the whole file at once."""
    staged = path.with_suffix(".new")
    staged.write_bytes(msgspec.json.encode(state))
    staged.replace(path)


def read(path: Path) -> JobState | None:
    """Read a state; None where it has gone, or is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=JobState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
