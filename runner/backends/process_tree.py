"""The processes of a job, seen through /proc: which ones are its own, what they hold, their end.

A process is named by its pid and its start time together, since pids come round again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARK = "RUNNER_JOB_ID"

_PAUSE_S = 0.01
_FORCE_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process that cannot be mistaken: `started` is in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stat:
    """What of /proc/PID/stat is used here (proc(5))."""

    process: Process
    state: str
    parent: int
    session: int
    threads: int


def parse_stat(text: str) -> Stat:
    """Parse /proc/PID/stat, whose second field may itself hold spaces and brackets."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return Stat(
        process=Process(pid=int(pid), started=int(fields[19])),
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        threads=int(fields[17]),
    )


def stat(pid: int) -> Stat | None:
    """Return the process that has `pid` now, or None where none lives."""
    try:
        found = parse_stat((PROC / str(pid) / "stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return None if dead(found) else found


def dead(entry: Stat) -> bool:
    """Tell whether only the exit status is left; a main thread may end before the others do."""
    return entry.state in ("Z", "X") and entry.threads <= 1


def alive(process: Process) -> bool:
    """Tell whether the very process is there and no zombie."""
    found = stat(process.pid)
    return found is not None and found.process == process


def snapshot() -> dict[int, Stat]:
    """Return every living process by pid."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return {pid: found for pid in pids if (found := stat(pid)) is not None}


def marked(job_id: str) -> set[Process]:
    """Return the processes that were started with `job_id` in their environment.

    Another user's environment cannot be read, and is not looked for.
    """
    wanted = f"{MARK}={job_id}".encode()
    found = set()
    for pid, entry in snapshot().items():
        with contextlib.suppress(OSError):
            if wanted in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(entry.process)
    return found


class Tree:
    """A job's processes where no cgroup holds them together.

    Whoever was once seen below the root or in its session stays a member, so that a daemon
    that left both is still known if it was seen before.
    """

    def __init__(self, root: Process, job_id: str) -> None:
        self._root = root
        self._job_id = job_id
        self._known = {root}
        self._lock = threading.Lock()

    def members(self) -> dict[int, Stat]:
        """Return the living members by pid; cheap enough to be asked several times a second."""
        with self._lock:
            return self._members()

    def known(self) -> frozenset[int]:
        """Return the pids of those who lived when last looked for; /proc is not read."""
        with self._lock:
            return frozenset(process.pid for process in self._known)

    def _members(self) -> dict[int, Stat]:
        everyone = snapshot()
        first = everyone.get(self._root.pid)
        # another process with the root's pid has come: its session is not the job's
        session = self._root.pid if first is None or first.process == self._root else None
        inside = {
            pid
            for pid, entry in everyone.items()
            if entry.process in self._known or entry.session == session
        }
        children: dict[int, list[int]] = {}
        for pid, entry in everyone.items():
            children.setdefault(entry.parent, []).append(pid)
        unseen = list(inside)
        while unseen:
            new = [pid for pid in children.get(unseen.pop(), ()) if pid not in inside]
            inside.update(new)
            unseen.extend(new)
        self._known = {everyone[pid].process for pid in inside}
        return {pid: everyone[pid] for pid in inside}

    def find(self) -> set[Process]:
        """Return the living members, also those that only the environment gives away."""
        found = marked(self._job_id)
        with self._lock:
            self._known |= found
            return {entry.process for entry in self._members().values()}


def held_bytes(pids: Iterable[int]) -> int:
    """Return the sum of anonymous and shared memory, in bytes, over processes.

    A page that several processes share is counted once in each: exact shares (PSS) would make
    the kernel walk the job's page tables while it is being timed.
    """
    return sum(_held_bytes(pid) for pid in pids)


def _held_bytes(pid: int) -> int:
    try:
        return parse_held((PROC / str(pid) / "status").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def parse_held(text: str) -> int:
    """Return RssAnon + RssShmem, in bytes, of /proc/PID/status; 0 for a process at its end."""
    lines = (line.split() for line in text.splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words[0] in ("RssAnon:", "RssShmem:"))


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to each process that is still the one that was named."""
    for process in processes:
        if alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def end(
    find: Callable[[], set[Process]], grace_s: float, force: Callable[[], None] | None = None
) -> set[Process]:
    """End all that `find` returns: asked by SIGTERM, after `grace_s` forced by SIGKILL.

    Args:
        find: returns who is left; asked again until nobody is, so that a process that is
            started meanwhile does not slip through.
        grace_s: seconds between the two; with 0 nobody is asked.
        force: what the kernel offers to end all at once; None where it offers nothing.

    Returns:
        Who is still there 10 seconds after force: stuck in the kernel.
    """
    left = find()
    if grace_s > 0:
        send(left, signal.SIGTERM)
        left = _wait(find, left, grace_s)
    if left and force is not None:
        force()
    deadline = time.monotonic() + _FORCE_S
    while left and time.monotonic() < deadline:
        send(left, signal.SIGKILL)
        time.sleep(_PAUSE_S)
        left = find()
    return left


def _wait(find: Callable[[], set[Process]], left: set[Process], limit_s: float) -> set[Process]:
    deadline = time.monotonic() + limit_s
    while left and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
        if not any(map(alive, left)):  # cheaper than a search of the whole machine
            left = find()
    return left
