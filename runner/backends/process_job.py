"""One job of the process backend: its processes, its output, its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import struct
import subprocess
import termios
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from runner.backends import job_state, process_tree
from runner.backends.job_cgroup import JobCgroup
from runner.backends.job_state import JobState
from runner.errors import RunnerError
from runner.model import Cgroup, Limits, MemoryReading, Outcome, Output

GRACE_S = 2.0

_WATCH_INTERVAL_S = 0.1
_CHUNK = 65536
# Joins the groups before the job's own program is loaded, so that all of it is counted. dash
# does this in a millisecond; preexec_fn would run Python after a fork of a threaded process.
# `0` is the writing process itself, whatever pid namespace it is in.
_STUB = (
    'ulimit -c 0; while [ "$1" != -- ]; do echo 0 >"$1" || '
    '{ echo "cannot join $1" >&2; exit 126; }; shift; done; shift; '
    'unset PWD OLDPWD SHLVL; exec "$@"'
)


def stub(command: tuple[str, ...], entrances: tuple[Path, ...]) -> tuple[str, ...]:
    """Return argv that joins control groups, asks to die with the runner, becomes `command`.

    Without util-linux' setpriv a job outlives a runner that is killed, until the next sweep.
    """
    bind = (setpriv, "--pdeathsig", "KILL", "--") if (setpriv := shutil.which("setpriv")) else ()
    return ("/bin/sh", "-c", _STUB, "sh", *map(str, entrances), "--", *bind, *command)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """All that a job is started with.

    Attributes:
        variables: the whole environment.
        state: is written to `state_path` again once the process is there.
    """

    command: tuple[str, ...]
    variables: dict[str, str]
    cores: tuple[int, ...]
    limits: Limits
    state: JobState
    state_path: Path


class ProcessJob:
    """A process tree under way (``runner.backends.Running``)."""

    def __init__(self, start: Start, group: JobCgroup | None) -> None:
        """Start it.

        Raises:
            RunnerError: it could not be started; what was made for it is the caller's to remove.
        """
        self._start = start
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | ValueError | None = None
        self._started = threading.Event()
        self._done = threading.Event()
        self._pending: deque[Output] = deque()
        self._over = False
        self._broken_memory = 0
        self._broken_processes = 0
        self._ended, self._ending = os.pipe()
        # The kernel sends the parent-death signal when the *thread* that forked ends, hence one
        # that stays. Its affinity is the job's from the first instruction on.
        self._waiter = threading.Thread(target=self._supervise, name="job", daemon=True)
        self._waiter.start()
        self._started.wait()
        if self._process is None:
            raise self._refusal(self._failure)
        self._selector: selectors.BaseSelector = self._select(self._process)
        try:
            self._tree: process_tree.Tree = self._follow(self._process.pid)
        except OSError as error:
            self._process.kill()
            self._selector.close()
            raise self._refusal(error) from None
        self._watcher: threading.Thread | None = None
        if group is None:
            self._watcher = threading.Thread(target=self._watch, name="job-limits", daemon=True)
            self._watcher.start()

    def _supervise(self) -> None:
        """Start the process, wait for its end, wake whoever reads. Runs in a thread."""
        try:
            self._process = self._spawn()
        except (OSError, ValueError) as error:  # a null byte in a variable is a ValueError
            self._failure = error
        finally:
            self._started.set()
        if self._process is not None:
            self._process.wait()
        self._done.set()
        os.close(self._ending)

    def _refusal(self, cause: Exception | None) -> RunnerError:
        """Close what is open and return the error that says why nothing was started."""
        self._waiter.join()
        os.close(self._ended)
        self._close_streams()
        return RunnerError(f"{self._start.command[0]}: the job could not be started: {cause}")

    def _close_streams(self) -> None:
        if self._process is not None:
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        start = self._start
        if start.cores:
            os.sched_setaffinity(0, start.cores)
            got = os.sched_getaffinity(0)
            if got != set(start.cores):
                wanted = ",".join(map(str, start.cores))
                msg = f"of the cores {wanted} this host gives only {sorted(got)}"
                raise OSError(msg)
        return subprocess.Popen(
            stub(start.command, self._group.entrances if self._group else ()),
            env=start.variables,
            cwd=start.variables["HOME"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def _select(self, process: subprocess.Popen[bytes]) -> selectors.BaseSelector:
        selector = selectors.DefaultSelector()
        selector.register(self._ended, selectors.EVENT_READ, None)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, name)
        return selector

    def _follow(self, pid: int) -> process_tree.Tree:
        """Write down who the process is."""
        found = process_tree.stat(pid)
        root = process_tree.Process(pid=pid, started=0) if found is None else found.process
        job_state.write(self._start.state_path, self._start.state.started(root))
        return process_tree.Tree(root, self._start.state.id)

    @property
    def cgroup(self) -> Cgroup | None:
        """Where the kernel accounts for the job, or None where limits are kept by polling."""
        return None if self._group is None else self._group.public

    @property
    def command(self) -> tuple[str, ...]:
        """The job's own program; the stub before it is left out."""
        return self._start.command

    @property
    def memory_method(self) -> str:
        """How ``poll_memory`` reads, in words."""
        return "sum of RssAnon and RssShmem of /proc/PID/status over the process tree"

    def poll_memory(self) -> MemoryReading | None:
        """Add up what each process of the tree holds; None where there is a control group."""
        if self._group is not None:
            return None
        members = self._tree.members()
        held = process_tree.held_bytes(members)
        return MemoryReading(anonymous_bytes=held) if members else None

    def poll_pids(self) -> frozenset[int] | None:
        """Return the processes of the tree as last seen; None where there is a control group."""
        return self._tree.known() if self._group is None else None

    def read(self, timeout_s: float) -> Output | None:
        """Return the next piece of output, or None after `timeout_s` seconds without one.

        The job has ended when its first process has, even if a daemon that it left behind
        still holds a stream.

        Raises:
            EOFError: it has ended, and all that it wrote has been returned.
        """
        deadline = time.monotonic() + timeout_s
        while not self._pending:
            if self._over:
                raise EOFError
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            if any(key.data is None for key, _ in ready):
                self._drain()
                continue
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if data:
                    self._pending.append(Output(stream=key.data, data=data))
                else:
                    self._selector.unregister(key.fileobj)
        return self._pending.popleft()

    def _drain(self) -> None:
        """Take what the streams hold at the end of the first process, and no more."""
        for key in list(self._selector.get_map().values()):
            if key.data is None:
                continue
            waiting = fcntl.ioctl(key.fd, termios.FIONREAD, bytes(4))
            left = struct.unpack("i", waiting)[0]
            while left > 0 and (data := os.read(key.fd, left)):
                self._pending.append(Output(stream=key.data, data=data))
                left -= len(data)
        self._over = True

    def stop(self) -> None:
        """End the whole process tree now: SIGTERM, and after 2 seconds SIGKILL."""
        if self._group is None:
            process_tree.end(self._tree.find, GRACE_S)
        else:
            process_tree.end(self._group.processes, GRACE_S, self._group.kill)

    def finish(self) -> Outcome:
        """Wait for the end, end whatever is left of the tree, clean up, say how it ended.

        Output that was not read is dropped.
        """
        with contextlib.suppress(EOFError):
            while True:
                self.read(1.0)
        self._waiter.join()
        self.stop()
        if self._watcher is not None:
            self._watcher.join()
        outcome = self._outcome()
        self._close()
        return outcome

    def _outcome(self) -> Outcome:
        assert self._process is not None
        status = self._process.returncode
        exit_code, signal = (status, None) if status >= 0 else (None, -status)
        group = self._group
        if group is None:
            return Outcome(
                exit_code=exit_code,
                signal=signal,
                oom_kills=self._broken_memory,
                process_limit_hits=self._broken_processes,
            )
        return Outcome(
            exit_code=exit_code,
            signal=signal,
            oom_kills=group.oom_kills(),
            process_limit_hits=group.process_limit_hits(),
            memory_peak_bytes=group.memory_peak_bytes(),
        )

    def _close(self) -> None:
        self._selector.close()
        os.close(self._ended)
        self._close_streams()
        shutil.rmtree(self._start.state.folder, ignore_errors=True)
        if self._group is None or self._group.remove():
            # what could not be removed stays written down, for a later sweep
            self._start.state_path.unlink(missing_ok=True)

    def _watch(self) -> None:
        """Keep memory and processes within limits where nothing else does. Runs in a thread."""
        limits = self._start.limits
        while not self._done.wait(_WATCH_INTERVAL_S):
            members = self._tree.members()
            if process_tree.held_bytes(members) > limits.memory_bytes:
                self._broken_memory += 1
            elif sum(entry.threads for entry in members.values()) > limits.processes:
                self._broken_processes += 1
            if self._broken_memory or self._broken_processes:
                process_tree.end(self._tree.find, 0.0)
                return
