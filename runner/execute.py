"""Jobs x backend -> records, stored one by one."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from runner import contract
from runner.backends import Backend, PrepareError
from runner.contract import Progress
from runner.errors import RunnerError
from runner.model import (
    BuildLimits,
    Environment,
    EnvironmentFacts,
    Image,
    Job,
    Launch,
    Limits,
    Record,
    Sampling,
    Status,
    Tolerance,
)
from runner.plan import Skip, identity
from runner.store import SCHEMA, now
from runner.telemetry.disturbance import excesses
from runner.verdict import Verdict, judge
from runner.watching import Watched, watch

_EVIDENCE_LINES = 20

# What ends a run once the record of the job at hand is stored; None lets it go on.
Stop = KeyboardInterrupt | RunnerError | None


class Observer(Protocol):
    """What wants to know how the work goes: the live view. Called from several threads."""

    def building(self, image: str, line: str) -> None:
        """One line of an image's build."""

    def told(self, words: str) -> None:
        """What the user should know beforehand, or waits for."""

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        """An image is ready, or why it is not."""

    def planned(self, jobs: Sequence[Job], earlier: Sequence[Record]) -> None:
        """These jobs are to be launched, in a run that has these records already."""

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
        tolerance: what disturbs a job too much for it to count.
        root: stands for ``/`` where the machine's load is read.
        cancelled: set where the user interrupted jobs that are under way in other threads.
    """

    backend: Backend
    images: Mapping[str, Image]
    fingerprint: str
    log_path: Callable[[str, int], Path]
    store: Callable[[Record], None]
    observer: Observer
    data_file: Path | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    root: Path = Path("/")
    cancelled: threading.Event = field(default_factory=threading.Event)


def measure(
    jobs: Sequence[Job],
    prepared: Prepared,
    setting: Setting,
    *,
    before: int = 0,
    repeats: Counter[str] | None = None,
) -> None:
    """Launch jobs one after another; each leaves a record, whatever happens to it.

    A disturbed job is launched again after the others, within its cell's budget of repeats.

    Args:
        before: jobs of this run that were launched by earlier calls; numbers go on from it.
        repeats: repeats so far by the cell's label, counted on by this call.

    Raises:
        KeyboardInterrupt: the user interrupted; the job at hand was ended and recorded.
        RunnerError: the backend failed; the job at hand was recorded.
    """
    waiting = deque(jobs)
    repeated = Counter() if repeats is None else repeats
    number = before
    while waiting:
        job = waiting.popleft()
        number += 1
        total = number + len(waiting)
        environment = prepared[job.cell.image]
        stop: Stop = None
        if isinstance(environment, PrepareError):
            record = unprepared(job, environment, setting.backend.name)
        else:
            setting.observer.launched(job, number, total)
            record, stop = launch_one(job, environment, setting, number)
        setting.store(record)
        label = job.cell.label
        if record.status is Status.DISTURBED and repeated[label] < setting.tolerance.repeats:
            repeated[label] += 1
            waiting.append(job)
            total += 1
        setting.observer.recorded(record, number, total)
        if stop is not None:
            raise stop


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


def unprepared(job: Job, problem: PrepareError, backend: str) -> Record:
    blank = _blank(job, backend, problem.status, problem.reason)
    return replace(blank, evidence=problem.evidence)


def _begun(job: Job, launch: Launch, log_path: Path, setting: Setting) -> Record:
    """Return what is known before a job starts of its record: killed, if it gets no further."""
    environment, backend = launch.environment, setting.backend.name
    return replace(
        _blank(job, backend, Status.KILLED, ""),
        identity=identity(job, environment, backend, setting.fingerprint),
        environment=EnvironmentFacts(
            digest=environment.digest,
            lock_sha256=environment.lock_sha256,
            scripts_sha256=environment.scripts_sha256,
            base=environment.base,
            facts=environment.facts,
        ),
        variables=launch.variables,
        log=f"{log_path.parent.name}/{log_path.name}",
    )


def launch_one(
    job: Job, environment: Environment, setting: Setting, number: int
) -> tuple[Record, Stop]:
    """Launch one job; return its record, and what ends the run once that is stored.

    A backend that fails ends it: it would fail the jobs after this one, too, and each of them is
    launched when the run is gone on with.
    """
    image = setting.images[job.cell.image]
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(job.gpus)} if job.gpus else {}
    launch = Launch(
        id=f"{job.id}-{time.time_ns():x}",
        environment=environment,
        variables=contract.variables(job) | visible,
        limits=job.limits,
        cores=job.cores,
        data_file=setting.data_file,
        gpus=job.gpus,
    )
    log_path = setting.log_path(job.id, number)
    begun = _begun(job, launch, log_path, setting)
    started = time.monotonic()
    try:
        with log_path.open("wb") as log:
            watched = watch(
                launch,
                setting.backend,
                log,
                setting.observer.progressed,
                setting.root,
                cancelled=setting.cancelled.is_set,
            )
    except RunnerError as error:
        wall_s = time.monotonic() - started
        return replace(begun, reason=str(error), wall_s=wall_s, evidence=tail(log_path)), error
    verdict = judge(job, image, watched.said, watched.outcome, watched.ended)
    if verdict.status is Status.OK:
        verdict = _undisturbed(verdict, watched, setting.tolerance)
    said = watched.said
    record = replace(
        begun,
        status=verdict.status,
        reason=verdict.reason,
        wall_s=watched.ended.wall_s,
        evidence="" if verdict.status is Status.OK else tail(log_path),
        command=watched.command,
        outcome=watched.outcome,
        hello=said.hello,
        phases=said.phases,
        samples=said.samples,
        losses=tuple(loss if math.isfinite(loss) else None for loss in said.losses),
        checks=verdict.checks,
        memory=watched.memory,
        cpu_s=watched.cpu_s,
        load=watched.load,
        gpu=watched.gpu,
        communication=said.communication,
    )
    return record, KeyboardInterrupt() if watched.ended.cause == "interrupted" else None


def _undisturbed(verdict: Verdict, watched: Watched, tolerance: Tolerance) -> Verdict:
    """Return the verdict on a job that went well, given what else happened meanwhile."""
    found = excesses(watched.load, watched.gpu, tolerance)
    if not found:
        return verdict
    reason = f"while it measured, {'; '.join(found)}"
    return replace(verdict, status=Status.DISTURBED, reason=reason)


def tail(path: Path, lines: int = _EVIDENCE_LINES) -> str:
    """Return the last lines of a log."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 16384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])
