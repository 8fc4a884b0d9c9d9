"""jobs x backend -> records, stored one by one.

Everything that is limited in time or output is limited here, once for all backends: a backend
only starts, reads and ends processes.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from runner import contract
from runner.backends import Backend, PrepareError, Running
from runner.contract import Listener, Progress, Transcript
from runner.model import (
    BuildLimits,
    Environment,
    EnvironmentFacts,
    Image,
    Job,
    Launch,
    Limits,
    MemoryUse,
    Outcome,
    Record,
    Sampling,
    Status,
)
from runner.plan import Skip, identity
from runner.store import SCHEMA, now
from runner.telemetry import cgroup
from runner.telemetry.sampler import INTERVAL_S, MemorySampler
from runner.verdict import Ended, judge

_EVIDENCE_LINES = 20
_DRAIN_S = 10.0
_LOOK_S = 0.25
_SLOW_INTERVAL_S = 1.0


class Observer(Protocol):
    """What wants to know how the work goes: the live view. Called from several threads."""

    def building(self, image: str, line: str) -> None:
        """One line of an image's build."""

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        """An image is ready, or why it is not."""

    def launched(self, job: Job, number: int, total: int) -> None:
        """A job starts: the `number`-th of `total`."""

    def progressed(self, what: Progress | str) -> None:
        """A phase began or ended, or a step was done."""

    def recorded(self, record: Record, number: int, total: int) -> None:
        """A job's record is stored."""


Prepared = Mapping[str, Environment | PrepareError]


def prepare_all(
    images: Sequence[Image],
    backend: Backend,
    limits: BuildLimits,
    parallel: int,
    observer: Observer,
) -> dict[str, Environment | PrepareError]:
    """Make images ready, `parallel` at once; one that fails does not stop the others.

    On an interrupt the builds under way are ended at their next line, and it is raised again.
    """
    cancelled = threading.Event()

    def prepare(image: Image) -> Environment | PrepareError:
        def say(line: str) -> None:
            if cancelled.is_set():
                raise PrepareError(Status.KILLED, "interrupted by the user")
            observer.building(image.name, line)

        started = time.monotonic()
        try:
            say("waiting for a place among the builds" if parallel < len(images) else "starting")
            made: Environment | PrepareError = backend.prepare(image, limits, say)
        except PrepareError as error:
            made = error
        problem = made if isinstance(made, PrepareError) else None
        observer.built(image.name, problem, time.monotonic() - started)
        return made

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = {pool.submit(prepare, image): image.name for image in images}
        try:
            left = set(futures)
            while left:
                _, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
        except KeyboardInterrupt:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return {name: future.result() for future, name in futures.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What all jobs of a run share.

    Attributes:
        log_path: job id and number to the file that takes its log.
        store: takes each record before the next job starts.
        data_file: real data for the scripts, or None.
    """

    backend: Backend
    images: Mapping[str, Image]
    fingerprint: str
    log_path: Callable[[str, int], Path]
    store: Callable[[Record], None]
    observer: Observer
    data_file: Path | None = None


def measure(jobs: Sequence[Job], prepared: Prepared, setting: Setting) -> None:
    """Launch jobs one after another; each leaves a record, whatever happens to it.

    Raises:
        KeyboardInterrupt: the user interrupted; the job at hand was ended and recorded.
    """
    for number, job in enumerate(jobs, start=1):
        environment = prepared[job.cell.image]
        if isinstance(environment, PrepareError):
            record = _unprepared(job, environment, setting.backend.name)
            interrupted = False
        else:
            setting.observer.launched(job, number, len(jobs))
            record, interrupted = _one(job, environment, setting, number)
        setting.store(record)
        setting.observer.recorded(record, number, len(jobs))
        if interrupted:
            raise KeyboardInterrupt


def skipped(skip: Skip, sampling: Sampling, limits: Limits, backend: str) -> Record:
    """Return the record of a cell that a rule leaves out."""
    return Record(
        schema=SCHEMA,
        job=f"{skip.cell.label.replace('/', '_')}.0",
        cell=skip.cell,
        launch=0,
        backend=backend,
        status=Status.SKIPPED,
        reason=skip.reason,
        started_at=now(),
        wall_s=0.0,
        sampling=sampling,
        limits=limits,
        cores=(),
        seed=0,
    )


def _blank(job: Job, backend: str, status: Status, reason: str) -> Record:
    return Record(
        schema=SCHEMA,
        job=job.id,
        cell=job.cell,
        launch=job.launch,
        backend=backend,
        status=status,
        reason=reason,
        started_at=now(),
        wall_s=0.0,
        sampling=job.sampling,
        limits=job.limits,
        cores=job.cores,
        seed=job.seed,
    )


def _unprepared(job: Job, problem: PrepareError, backend: str) -> Record:
    blank = _blank(job, backend, problem.status, problem.reason)
    return replace(blank, evidence=problem.evidence)


def _one(job: Job, environment: Environment, setting: Setting, number: int) -> tuple[Record, bool]:
    """Launch one job and return its record, and whether the user interrupted it."""
    image = setting.images[job.cell.image]
    launch = Launch(
        id=f"{job.id}-{time.time_ns():x}",
        environment=environment,
        variables=contract.variables(job),
        limits=job.limits,
        cores=job.cores,
        data_file=setting.data_file,
    )
    log_path = setting.log_path(job.id, number)
    blank = _blank(job, setting.backend.name, Status.OK, "")
    with log_path.open("wb") as log:
        watched = watch(launch, setting.backend, log, setting.observer.progressed)
    verdict = judge(job, image, watched.said, watched.outcome, watched.ended)
    said = watched.said
    record = replace(
        blank,
        status=verdict.status,
        reason=verdict.reason,
        wall_s=watched.ended.wall_s,
        identity=identity(job, environment, setting.backend.name, setting.fingerprint),
        evidence="" if verdict.status is Status.OK else tail(log_path),
        environment=EnvironmentFacts(
            digest=environment.digest,
            lock_sha256=environment.lock_sha256,
            scripts_sha256=environment.scripts_sha256,
            base=environment.base,
            facts=environment.facts,
        ),
        command=watched.command,
        variables=launch.variables,
        outcome=watched.outcome,
        hello=said.hello,
        phases=said.phases,
        samples=said.samples,
        losses=tuple(loss if math.isfinite(loss) else None for loss in said.losses),
        checks=verdict.checks,
        memory=watched.memory,
        cpu_s=watched.cpu_s,
        log=f"{log_path.parent.name}/{log_path.name}",
    )
    return record, watched.ended.cause == "interrupted"


def tail(path: Path, lines: int = _EVIDENCE_LINES) -> str:
    """Return the last lines of a log."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 16384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """All that was seen of one launch from outside."""

    said: Transcript
    outcome: Outcome
    ended: Ended
    command: tuple[str, ...]
    memory: MemoryUse | None
    cpu_s: float | None


def watch(
    launch: Launch,
    backend: Backend,
    log: BinaryIO,
    heard: Callable[[Progress | str], None] = lambda _: None,
) -> Watched:
    """Start a process, read it to its end within its limits, and end its whole tree.

    Standard error goes to `log`; standard output is the contract's. An interrupt by the user
    ends the job and is told in ``ended``, not raised.
    """
    started = time.monotonic()
    running = backend.start(launch)
    listener = Listener()
    with contextlib.ExitStack() as opened:
        sampler = _sampler(running, launch, opened)
        sampler.start()
        try:
            cause = _listen(running, launch, listener, log, sampler, heard, started)
        except KeyboardInterrupt:
            cause = "interrupted"
        if cause:
            running.stop()
            _drain(running, listener, log)
        sampler.stop()
    outcome = running.finish()
    said = listener.transcript()
    return Watched(
        said=said,
        outcome=outcome,
        ended=Ended(cause=cause, wall_s=time.monotonic() - started),
        command=running.command,
        memory=sampler.result(
            kernel_peak_bytes=outcome.memory_peak_bytes,
            allocator_peak_bytes=said.allocator_peak_bytes,
        ),
        cpu_s=sampler.cpu_s,
    )


def _sampler(running: Running, launch: Launch, opened: contextlib.ExitStack) -> MemorySampler:
    """Return what reads the job's memory: its control group, or slower means where none is seen."""
    group = running.cgroup
    if group is None:
        return MemorySampler(
            running.poll_memory,
            running.memory_method,
            interval_s=_SLOW_INTERVAL_S,
            job_cores=launch.cores,
        )
    reader = opened.enter_context(cgroup.Reader(group))
    return MemorySampler(
        reader.memory,
        cgroup.method(group),
        read_cpu_s=reader.cpu_s,
        interval_s=INTERVAL_S,
        job_cores=launch.cores,
    )


def _listen(
    running: Running,
    launch: Launch,
    listener: Listener,
    log: BinaryIO,
    sampler: MemorySampler,
    heard: Callable[[Progress | str], None],
    started: float,
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
            if what == "begin measure":
                sampler.begin()
            elif what == "end measure":
                sampler.end()
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
