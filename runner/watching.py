"""One launch from its start to its end: read within its limits, and looked at from outside.

Everything that is limited in time or output is limited here, once for all backends: a backend
only starts, reads and ends processes.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from runner.backends import Backend, Running
from runner.contract import Listener, Progress, Transcript
from runner.model import GpuUse, Launch, Load, MemoryUse, Outcome
from runner.telemetry import cgroup
from runner.telemetry.gpu import GpuWatcher, gpu_watcher, job_pids
from runner.telemetry.load import LoadWatcher
from runner.telemetry.sampler import INTERVAL_S, MemorySampler
from runner.verdict import Ended

_DRAIN_S = 10.0
_LOOK_S = 0.25
_SLOW_INTERVAL_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """All that was seen of one launch from outside."""

    said: Transcript
    outcome: Outcome
    ended: Ended
    command: tuple[str, ...]
    memory: MemoryUse | None = None
    cpu_s: float | None = None
    load: Load | None = None
    gpu: GpuUse | None = None


class Watcher(Protocol):
    """What looks at a job from outside while it measures."""

    def start(self) -> None:
        """Begin to look."""

    def begin(self) -> None:
        """The job begins to measure."""

    def end(self) -> None:
        """The job has measured."""

    def stop(self) -> None:
        """Look no more."""


def watch(
    launch: Launch,
    backend: Backend,
    log: BinaryIO,
    heard: Callable[[Progress | str], None] = lambda _: None,
    root: Path = Path("/"),
    *,
    looking: bool = True,
    cancelled: Callable[[], bool] = lambda: False,
) -> Watched:
    """Start a process, read it to its end within its limits, and end its whole tree.

    Standard error goes to `log`; standard output is the contract's. An interrupt by the user
    ends the job and is told in ``ended``, not raised.

    Args:
        root: stands for ``/`` where the machine's load is read.
        looking: False: read to its end, but not looked at from outside; there are no figures
            then. For finding out what the looking costs (`benchmarks/perturbation`).
        cancelled: tells, from another thread, that the user interrupted.
    """
    started = time.monotonic()
    with _interrupts_put_off() as interrupts:
        running = backend.start(launch)
    listener = Listener()
    watchers: _Watchers | None = None
    told: tuple[Watcher, ...] = ()
    with contextlib.ExitStack() as opened:
        try:
            if interrupts:
                raise KeyboardInterrupt
            if looking:
                watchers = _watchers(running, launch, opened, root)
                told = watchers.all
            for watcher in told:
                watcher.start()
                opened.callback(watcher.stop)
            cause = _listen(running, launch, listener, log, told, heard, started, cancelled)
        except KeyboardInterrupt:
            cause = "interrupted"
        if cause:
            running.stop()
            _drain(running, listener, log)
    outcome = running.finish()
    said = listener.transcript()
    seen = Watched(
        said=said,
        outcome=outcome,
        ended=Ended(cause=cause, wall_s=time.monotonic() - started),
        command=running.command,
    )
    return seen if watchers is None else _with_figures(seen, watchers)


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[list[int]]:
    """Collect the signals that would interrupt: half-way through a start nobody could end it.

    Python handlers and no signal mask, which the job would inherit.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda got, _: caught.append(got))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _with_figures(seen: Watched, watchers: _Watchers) -> Watched:
    allocator = seen.said.allocator_peak_bytes
    return replace(
        seen,
        memory=watchers.memory.result(
            kernel_peak_bytes=seen.outcome.memory_peak_bytes, allocator_peak_bytes=allocator
        ),
        cpu_s=watchers.memory.cpu_s,
        load=watchers.load.result(),
        gpu=None if watchers.gpu is None else watchers.gpu.result(allocator),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watchers:
    memory: MemorySampler
    load: LoadWatcher
    gpu: GpuWatcher | None

    @property
    def all(self) -> tuple[Watcher, ...]:
        """In the order in which they are told; memory last, nearest to the measuring."""
        last = (self.memory,)
        return (self.load, *last) if self.gpu is None else (self.load, self.gpu, *last)


def _watchers(
    running: Running, launch: Launch, opened: contextlib.ExitStack, root: Path
) -> _Watchers:
    reader = None
    if running.cgroup is not None:
        reader = opened.enter_context(cgroup.Reader(running.cgroup))
    read_cpu_s = (lambda: None) if reader is None else reader.cpu_s
    return _Watchers(
        memory=_sampler(running, reader, launch),
        load=LoadWatcher(launch.cores, read_cpu_s, root=root),
        gpu=gpu_watcher(launch.variables, _pids_of(running), launch.cores),
    )


def _pids_of(running: Running) -> Callable[[], frozenset[int] | None]:
    """Return what tells the job's processes from others."""
    group = running.cgroup
    return running.poll_pids if group is None else lambda: job_pids(group)


def _sampler(running: Running, reader: cgroup.Reader | None, launch: Launch) -> MemorySampler:
    """Return what reads the job's memory: its control group, or slower means where none is seen."""
    if reader is None or running.cgroup is None:
        return MemorySampler(
            running.poll_memory,
            running.memory_method,
            interval_s=_SLOW_INTERVAL_S,
            job_cores=launch.cores,
        )
    return MemorySampler(
        reader.memory,
        cgroup.method(running.cgroup),
        read_cpu_s=reader.cpu_s,
        interval_s=INTERVAL_S,
        job_cores=launch.cores,
    )


def _listen(
    running: Running,
    launch: Launch,
    listener: Listener,
    log: BinaryIO,
    watchers: Sequence[Watcher],
    heard: Callable[[Progress | str], None],
    started: float,
    cancelled: Callable[[], bool],
) -> str:
    """Read until the end of both streams; return why it must be ended, or nothing."""
    limits = launch.limits
    last_output = started
    while True:
        moment = time.monotonic()
        if moment - started > limits.timeout_s:
            return "timeout"
        if moment - last_output > limits.silence_s:
            return "silent"
        if cancelled():
            return "interrupted"
        try:
            output = running.read(_LOOK_S)
        except EOFError:
            return ""
        if output is None:
            continue
        last_output = time.monotonic()
        if output.stream == "stderr":
            log.write(output.data)
            continue
        for what in listener.feed(output.data):
            for watcher in watchers:
                if what == "begin measure":
                    watcher.begin()
                elif what == "end measure":
                    watcher.end()
            heard(what)


def _drain(running: Running, listener: Listener, log: BinaryIO) -> None:
    """Take what the pipes of an ended job still hold, for a bounded time."""
    until = time.monotonic() + _DRAIN_S
    while time.monotonic() < until:
        try:
            output = running.read(_LOOK_S)
        except EOFError:
            return
        if output is not None and output.stream == "stderr":
            log.write(output.data)
        elif output is not None:
            listener.feed(output.data)
