"""Jobs on GPUs: as many at once as there are GPUs for, each with GPUs and cores of its own."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from runner import execute, gpus, preflight
from runner.backends import PrepareError
from runner.execute import Prepared, Setting, Stop
from runner.gpus import Pool, Slot
from runner.model import Cell, Environment, Image, Job, Record, Status, Suite
from runner.telemetry import nvml

_LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """The GPUs of a run.

    Attributes:
        locks: folder of the locks that other runners respect.
        users: GPU's UUID to the processes that compute on it now, in words.
        refused: cell's label to why it cannot be measured on these GPUs.
        compiled: image to what the driver will compile for these GPUs, in words.
    """

    pool: Pool
    locks: Path
    users: Callable[[str], tuple[str, ...]]
    refused: Mapping[str, PrepareError]
    compiled: Mapping[str, str] = dataclasses.field(default_factory=dict)


def find(
    suite: Suite,
    cells: Sequence[Cell],
    images: Mapping[str, Image],
    asked: Sequence[str],
    no_way: str = "",
) -> Field:
    """Return the GPUs that a run may have, and the cells that cannot be measured on them.

    Args:
        asked: GPUs by index, UUID or model; none means all.
        no_way: why the backend cannot hand a GPU on; empty where it can.

    Raises:
        ConfigurationError: a GPU that was asked for is not there, or cores are too few.
    """
    library = nvml.connect()
    chosen = () if library is None else gpus.select(gpus.read(library), asked)
    nothing = preflight.refuse_all(suite.gpu, tuple(gpu.facts for gpu in chosen))
    fitting = tuple(gpu for gpu in chosen if preflight.fits(suite.gpu, gpu.facts))
    facts = tuple(gpu.facts for gpu in fitting)
    passed_over = len(chosen) - len(fitting)
    barred = preflight.Refusal(status=Status.UNSUPPORTED_DEVICE, reason=no_way) if no_way else None
    refused = {}
    for cell in cells:
        count = int(cell.parameters.get("gpus", 1))
        image = images[cell.image]
        found = (
            nothing
            or preflight.refuse(image, cell.workload, facts, count, cell.parameters, passed_over)
            or barred
        )
        if found is not None:
            refused[cell.label] = PrepareError(found.status, found.reason)
    return Field(
        pool=gpus.Pool(gpus.share_cores(fitting, suite.limits.cores)),
        locks=gpus.lock_folder(os.environ),
        users=lambda uuid: () if library is None else gpus.users(library, uuid),
        refused=refused,
        compiled={
            name: words
            for name, image in images.items()
            if (words := preflight.just_in_time(image, facts))
        },
    )


def measure(
    jobs: Sequence[Job],
    prepared: Prepared,
    setting: Setting,
    field: Field,
    *,
    before: int = 0,
    repeats: Counter[str] | None = None,
) -> None:
    """Launch jobs on the GPUs of `field`, as ``execute.measure`` does one after another.

    Raises:
        KeyboardInterrupt: the user interrupted; the jobs at hand were ended and recorded.
        RunnerError: the backend failed; the jobs at hand were recorded, those that went on
            when they had ended.
    """
    waiting = deque(jobs)
    repeated = Counter() if repeats is None else repeats
    number = before
    stop: Stop = None
    under_way: dict[Future[tuple[Record, Stop]], tuple[Job, int]] = {}
    with ThreadPoolExecutor(max_workers=max(1, field.pool.size)) as workers:
        while waiting or under_way:
            while waiting and len(under_way) < max(1, field.pool.size):
                job, number = waiting.popleft(), number + 1
                total = number + len(waiting)
                made = field.refused.get(job.cell.label) or prepared[job.cell.image]
                future = workers.submit(_one, job, made, setting, field, number, total)
                under_way[future] = (job, number)
            try:
                ended, _ = wait(under_way, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt as interrupt:
                stop = interrupt
                setting.cancelled.set()
                waiting.clear()
                continue
            for future in ended:
                job, its_number = under_way.pop(future)
                record, problem = future.result()
                setting.store(record)
                if problem is not None:
                    stop = stop or problem
                    waiting.clear()
                label = job.cell.label
                allowed = repeated[label] < setting.tolerance.repeats and stop is None
                if record.status is Status.DISTURBED and allowed:
                    repeated[label] += 1
                    waiting.append(job)
                total = number + len(waiting)
                setting.observer.recorded(record, its_number, total)
    if stop is not None:
        raise stop


def _one(
    job: Job,
    made: Environment | PrepareError,
    setting: Setting,
    field: Field,
    number: int,
    total: int,
) -> tuple[Record, Stop]:
    """Wait for GPUs, hold them, and launch one job there."""
    backend = setting.backend.name
    if isinstance(made, PrepareError):
        return execute.unprepared(job, made, backend), None
    with field.pool.taken(int(job.cell.parameters.get("gpus", 1))) as slots:
        placed = place(job, slots)
        say, cancelled = setting.observer.told, setting.cancelled.is_set
        try:
            with gpus.held(placed.gpus, field.locks, say, cancelled):
                users = [words for uuid in placed.gpus for words in field.users(uuid)]
                if users and setting.tolerance.shared_gpu:
                    reason = f"before it began, {'; '.join(users)}"
                    problem = PrepareError(Status.DISTURBED, reason)
                    _pause(setting.cancelled)
                    return execute.unprepared(placed, problem, backend), None
                setting.observer.launched(placed, number, total)
                return execute.launch_one(placed, made, setting, number)
        except InterruptedError:
            problem = PrepareError(Status.KILLED, "interrupted by the user")
            return execute.unprepared(placed, problem, backend), None


def _pause(cancelled: threading.Event) -> None:
    """Give another's process a moment to end before the job is tried again."""
    cancelled.wait(_LOOK_S)


def place(job: Job, slots: Sequence[Slot]) -> Job:
    """Return a job with the GPUs of some slots, and their cores together."""
    cores = sorted(core for slot in slots for core in slot.cores)
    return replace(job, gpus=tuple(slot.uuid for slot in slots), cores=tuple(cores))
