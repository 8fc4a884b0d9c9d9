"""One run from its plan to its records: prepares, measures, stores."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import (
    abreast,
    execute,
    plan,
    stopping,
    store,
)
from runner.backends import Backend, PrepareError, connect
from runner.config import wheel_folders
from runner.errors import BackendUnavailable, ConfigurationError
from runner.model import (
    Environment,
    Job,
    Record,
    Run,
    Status,
)
from runner.request import Planned
from runner.store import find_run
from runner.telemetry import host, nvml, peak


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """The backend that was taken, and why it."""

    backend: Backend
    reason: str


def connect_backend(name: str, root: Path, wheels: Sequence[Path]) -> Connected:
    """Reach the backend that was asked for; ``auto`` takes docker where an engine answers.

    Raises:
        BackendUnavailable: it does not answer.
    """
    folders = (*wheels, *wheel_folders(os.environ, Path.home()))
    if name != "auto":
        return Connected(backend=connect(name, root, folders), reason="asked for by --backend")
    try:
        return Connected(backend=connect("docker", root, folders), reason="an engine answers")
    except BackendUnavailable as error:
        reason = f"no container engine answers ({error})"
        return Connected(backend=connect("process", root, folders), reason=reason)


def carry_out(planned: Planned, connected: Connected, observer: execute.Observer) -> Path:
    """Prepare images, launch every job that is not done, and return the run's folder.

    Raises:
        KeyboardInterrupt: interrupted; all that ended is stored, nothing is left running.
        BackendUnavailable: the backend failed amid the work; all that ended is stored.
    """
    backend = connected.backend
    writer, old = _writer(planned, connected)
    try:
        fingerprint = host.fingerprint(read_host())
        field = _field(planned, backend)
        refused = {} if field is None else field.refused
        cells = [cell for cell in planned.plan.cells if cell.label not in refused]
        needed = sorted({cell.image for cell in cells})
        compiled = {} if field is None else field.compiled
        for words in sorted(compiled[name] for name in needed if name in compiled):
            observer.told(words)
        prepared = execute.prepare_all(
            [planned.images[name] for name in needed],
            backend,
            planned.matrix.build,
            planned.matrix.build_parallel,
            observer,
        )
        prepared = {name: noted(made, compiled.get(name)) for name, made in prepared.items()}
        _store_skips(planned, old, writer, backend.name)
        taken = list(old)

        def keep(record: Record) -> None:
            writer.append(record)
            taken.append(record)

        setting = execute.Setting(
            backend=backend,
            images=planned.images,
            fingerprint=fingerprint,
            log_path=_numbered(writer, len(old)),
            store=keep,
            observer=observer,
            data_file=planned.data_file,
            tolerance=planned.matrix.tolerance,
        )
        repeats: Counter[str] = Counter()
        identities = _identities(planned, prepared, backend.name, fingerprint)
        problems = _problems(planned, prepared, refused)
        todo = _untold(_remaining(planned.jobs, identities, old), problems, old)
        measure = execute.measure
        if field is not None:
            measure = functools.partial(abreast.measure, field=field)
        observer.planned(todo, old)
        measure(todo, prepared, setting, repeats=repeats)
        if planned.sampling.precision is not None:
            for jobs in _further(planned, identities, taken):
                before = len(taken) - len(old)
                observer.planned(jobs, old)
                measure(jobs, prepared, setting, before=before, repeats=repeats)
    except BackendUnavailable as error:
        msg = f"{error}\nwhat has ended is kept; --resume {writer.folder} goes on from there"
        raise BackendUnavailable(msg) from error
    finally:
        writer.close()
    return writer.folder


def _field(planned: Planned, backend: Backend) -> abreast.Field | None:
    """Return the GPUs of a suite that measures on GPUs."""
    if planned.suite.device != "cuda":
        return None
    cells, asked = planned.plan.cells, planned.request.gpus
    return abreast.find(planned.suite, cells, planned.images, asked, backend.no_way_to_gpus())


def noted(made: Environment | PrepareError, words: str | None) -> Environment | PrepareError:
    """Return an environment whose records say what the driver compiles in it, in `words`."""
    if words is None or isinstance(made, PrepareError):
        return made
    return dataclasses.replace(made, facts={**made.facts, "just_in_time": words})


def _further(
    planned: Planned, identities: Mapping[str, str], taken: Sequence[Record]
) -> Iterator[tuple[Job, ...]]:
    """Yield shuffled rounds over the cells whose precision and budget ask for another launch.

    Args:
        taken: the run's records, which grow between two rounds.
    """
    most = planned.sampling.max_launches + planned.matrix.tolerance.repeats
    while True:
        own = {
            cell.label: [
                record
                for record in taken
                if record.cell.label == cell.label and record.identity == identities.get(cell.label)
            ]
            for cell in planned.plan.cells
        }
        wanting = [
            cell
            for cell in planned.plan.cells
            if 0 < len(own[cell.label]) < most
            and stopping.decide(own[cell.label], planned.sampling).more
        ]
        if not wanting:
            return
        launched = [record.launch + 1 for records in own.values() for record in records]
        launch = max(planned.sampling.launches, *launched)
        yield planned.rounds_of(wanting, range(launch, launch + 1))


def _numbered(writer: store.Writer, already: int) -> Callable[[str, int], Path]:
    """Return what numbers the logs of a run on and on, however many times it was gone on with."""
    numbers = itertools.count(already + 1)
    return lambda job_id, _: writer.log_path(job_id, next(numbers))


def _writer(planned: Planned, connected: Connected) -> tuple[store.Writer, list[Record]]:
    """Open a new run's folder, or that of the run to go on with and its records."""
    request = planned.request
    if request.resume is None:
        run = describe(planned, connected)
        return store.Writer(request.results / run.id, run), []
    folder = find_run(request.resume, request.results)
    run = store.load_run(folder)
    problems = [
        f"was made with {what} {before!r}, and {now!r} is asked for now; start a new run"
        for what, before, now in (
            ("suite", run.suite, planned.suite.name),
            ("backend", run.backend, connected.backend.name),
        )
        if before != now
    ]
    if problems:
        raise ConfigurationError(str(folder), problems)
    writer = store.Writer(folder, run)
    return writer, store.load_records(folder)


def read_host() -> host.HostFacts:
    """Return the facts of this machine and of its GPUs, where a driver answers."""
    library = nvml.connect()
    return host.read(Path("/"), () if library is None else nvml.facts(library))


def describe(planned: Planned, connected: Connected) -> Run:
    """Return run.json's contents for a run that starts now."""
    facts = read_host()
    text = planned.matrix.text
    skipped = [skip.cell for skip in planned.plan.skips]
    backend = connected.backend
    return Run(
        schema=store.SCHEMA,
        id=store.new_run_id(planned.suite.name, backend.name),
        suite=planned.suite.name,
        title=planned.suite.title,
        profile=planned.profile,
        sampling=planned.sampling,
        backend=backend.name,
        backend_reason=connected.reason,
        started_at=store.now(),
        command=planned.request.command,
        matrix_sha256=hashlib.sha256(text.encode()).hexdigest(),
        matrix_text=text,
        order_seed=planned.matrix.order_seed,
        only=planned.request.only,
        cells=(*planned.plan.cells, *skipped),
        fingerprint=host.fingerprint(facts),
        host=dataclasses.asdict(facts),
        engine=backend.describe(),
        peak=peak.measure(planned.cores) if planned.suite.device == "cpu" else None,
    )


def _store_skips(
    planned: Planned, old: Sequence[Record], writer: store.Writer, backend: str
) -> None:
    known = {record.cell.label for record in old if record.status is Status.SKIPPED}
    for skip in planned.plan.skips:
        if skip.cell.label not in known:
            record = execute.skipped(skip, planned.sampling, planned.suite.limits, backend)
            writer.append(record)


def _identities(
    planned: Planned, prepared: execute.Prepared, backend: str, fingerprint: str
) -> dict[str, str]:
    """Return what each cell's records will have as their identity, by the cell's label."""
    return {
        job.cell.label: plan.identity(job, made, backend, fingerprint)
        for job in planned.rounds_of(planned.plan.cells, range(1))
        if isinstance(made := prepared.get(job.cell.image), Environment)
    }


def _remaining(
    jobs: Sequence[Job], identities: Mapping[str, str], old: Sequence[Record]
) -> tuple[Job, ...]:
    done = [
        record.identity
        for record in old
        if record.identity is not None and record.status not in stopping.REPEATED
    ]
    return plan.remaining(jobs, {job.id: identities.get(job.cell.label, "") for job in jobs}, done)


def _problems(
    planned: Planned, prepared: execute.Prepared, refused: Mapping[str, PrepareError]
) -> dict[str, PrepareError]:
    """Return why a cell cannot be launched, by its label; those that can are not in it."""
    found = dict(refused)
    for cell in planned.plan.cells:
        made = prepared.get(cell.image)
        if isinstance(made, PrepareError):
            found.setdefault(cell.label, made)
    return found


def _untold(
    jobs: Sequence[Job], problems: Mapping[str, PrepareError], old: Sequence[Record]
) -> tuple[Job, ...]:
    """Leave out jobs that cannot be launched for the reason that the run has of them already."""
    last = {record.job: (record.status, record.reason) for record in old}
    return tuple(
        job
        for job in jobs
        if (problem := problems.get(job.cell.label)) is None
        or last.get(job.id) != (problem.status, problem.reason)
    )
