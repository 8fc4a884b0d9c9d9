"""Ways to launch jobs. A backend is one module; this is what it must offer, and the list of them.

Order of calls: ``connect`` once, then ``sweep``, then ``prepare`` for each image (several at
once, from threads), then ``start`` for one job after another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runner.model import (
    BuildLimits,
    Cgroup,
    Environment,
    Image,
    Launch,
    MemoryReading,
    Outcome,
    Output,
    Status,
)


class PrepareError(Exception):
    """An image could not be made ready.

    Attributes:
        status: ``build-failed``, ``base-unavailable`` or ``unavailable``.
        reason: one sentence: what was found, what was expected, what to do.
        evidence: the last lines of the build's log.
    """

    def __init__(self, status: Status, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.evidence = evidence


class Running(Protocol):
    """A job under way. Made by ``Backend.start``; ``finish`` must be called exactly once."""

    @property
    def cgroup(self) -> Cgroup | None:
        """Where the kernel accounts for it, or None where that cannot be seen from here."""

    @property
    def command(self) -> tuple[str, ...]:
        """What was started, as argv: enough to repeat it by hand."""

    def read(self, timeout_s: float) -> Output | None:
        """Return the next piece of output, or None after `timeout_s` without one.

        Raises:
            EOFError: both streams are closed: the job has ended.
        """

    def poll_memory(self) -> MemoryReading | None:
        """Read memory by slower means where there is no cgroup to be seen; else None."""

    def poll_pids(self) -> frozenset[int] | None:
        """Return its processes on this machine where there is no cgroup to be seen; else None."""

    @property
    def memory_method(self) -> str:
        """How ``poll_memory`` reads, in words."""

    def stop(self) -> None:
        """End the whole process tree now: asked, then forced after a short grace."""

    def finish(self) -> Outcome:
        """Wait for the end, end whatever is left of the tree, clean up, say how it ended."""


class Backend(Protocol):
    """A way to launch jobs."""

    name: str

    def describe(self) -> dict[str, str]:
        """Facts of the engine or the host's tools, for run.json: versions, socket, driver."""

    def no_way_to_gpus(self) -> str:
        """Say why no job gets a GPU here, and what to do; empty where they do."""

    def sweep(self) -> list[str]:
        """End and remove what a dead runner left behind; say each in a sentence.

        Only what carries our label, and whose owner is no longer alive, is touched.
        """

    def prepare(self, image: Image, limits: BuildLimits, say: Callable[[str], None]) -> Environment:
        """Make `image` ready; `say` takes each line of progress. Thread-safe.

        Raises:
            PrepareError: it could not be made ready.
        """

    def start(self, launch: Launch) -> Running:
        """Start one process in an environment, hardened and limited as `launch` says."""


class BackendModule(Protocol):
    """As PEP 544 has it, `self` is ignored when the protocol is applied to a module."""

    def connect(self, root: Path, wheel_folders: tuple[Path, ...]) -> Backend:
        """Reach the engine, or find the tools.

        Args:
            root: the project's folder, holding images/ and scripts/.
            wheel_folders: more folders that may serve wheels; the lock's hashes still hold.

        Raises:
            runner.errors.BackendUnavailable: it does not answer; the message says what to do.
        """


def connect(name: str, root: Path, wheel_folders: tuple[Path, ...]) -> Backend:
    """Reach a backend by its name. Modules are imported here, since each imports this one.

    Raises:
        runner.errors.BackendUnavailable: it does not answer.
    """
    from runner.backends import docker, process

    modules: dict[str, BackendModule] = {"docker": docker, "process": process}
    return modules[name].connect(root, wheel_folders)
