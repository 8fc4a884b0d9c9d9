"""One run from its request to its records: reads, plans, prepares, measures, stores."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import cifar10, execute, plan, store
from runner.backends import Backend, PrepareError, connect
from runner.config import load_images, load_matrix, wheel_folders
from runner.documents import hint
from runner.errors import BackendUnavailable, ConfigurationError, NothingSelected
from runner.model import (
    Cell,
    Environment,
    Image,
    Job,
    Matrix,
    Record,
    Run,
    Sampling,
    Status,
    Suite,
)
from runner.telemetry import host

# An interrupted, disturbed or unprepared job says nothing of its cell: it is launched again.
REPEATED = (
    Status.KILLED,
    Status.DISTURBED,
    Status.BUILD_FAILED,
    Status.BASE_UNAVAILABLE,
    Status.UNAVAILABLE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asked of ``runner matrix``.

    Attributes:
        resume: folder of the run to go on with, ``latest``, or None for a new run.
        launches: fresh processes a cell, or None for the profile's.
        command: the command line as typed, kept in run.json.
    """

    matrix: Path
    suite: str | None
    profile: str | None
    only: tuple[str, ...]
    launches: int | None
    resume: Path | None
    cifar10: Path | None
    results: Path
    backend: str
    wheels: tuple[Path, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A request, checked and expanded: nothing has been started yet."""

    request: Request
    root: Path
    images: Mapping[str, Image]
    matrix: Matrix
    suite: Suite
    profile: str
    sampling: Sampling
    plan: plan.Plan
    cores: tuple[int, ...]
    data_file: Path | None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job, in launch order."""
        return plan.jobs(
            self.plan.cells,
            sampling=self.sampling,
            limits=self.suite.limits,
            cores=self.cores,
            seed=self.matrix.seed,
            order_seed=self.matrix.order_seed,
        )


def plan_request(request: Request) -> Planned:
    """Check a request against matrix and images, and expand it.

    Raises:
        ConfigurationError: anything in it is unknown or wrong.
        NothingSelected: no cell is left.
    """
    root = request.matrix.resolve().parent
    images = load_images(root)
    matrix = load_matrix(request.matrix, images)
    suite_name = request.suite or matrix.default_suite
    profile = request.profile or matrix.default_profile
    problems = [
        f"no {kind} {name!r}; {hint(name, known)}"
        for kind, name, known in (
            ("suite", suite_name, matrix.suites),
            ("profile", profile, matrix.profiles),
        )
        if name not in known
    ]
    if request.launches is not None and request.launches < 1:
        problems.append(f"--launches {request.launches}: expected 1 or more")
    if problems:
        raise ConfigurationError(request.matrix.name, problems)
    suite, sampling = matrix.suites[suite_name], matrix.profiles[profile]
    if request.launches is not None:
        sampling = replace(sampling, launches=request.launches)
    data_file = None
    if request.cifar10 is not None:
        data_file = cifar10.verified(request.cifar10, cache_folder() / "data")
    return Planned(
        request=request,
        root=root,
        images=images,
        matrix=matrix,
        suite=suite,
        profile=profile,
        sampling=sampling,
        plan=_selected(plan.expand(suite, images), request.only),
        cores=choose_cores(suite.limits.cores),
        data_file=data_file,
    )


def _selected(everything: plan.Plan, only: Sequence[str]) -> plan.Plan:
    cells = tuple(cell for cell in everything.cells if plan.selected(cell, only))
    skips = tuple(skip for skip in everything.skips if plan.selected(skip.cell, only))
    if not cells:
        every = sorted({cell.label for cell in everything.cells})
        near = hint(only[0], every) if only else "every cell is excluded"
        msg = f"nothing selected: no cell matches {' or '.join(map(repr, only))}; {near}"
        raise NothingSelected(msg)
    return plan.Plan(cells=cells, skips=skips)


def choose_cores(wanted: int) -> tuple[int, ...]:
    """Return the first `wanted` cores that this process may use.

    Raises:
        ConfigurationError: there are fewer. Fewer cores would be another measurement.
    """
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < wanted:
        problem = f"limits.cores is {wanted}, and this machine has {len(mine)}; set it lower"
        raise ConfigurationError("matrix", [problem])  # noqa: EM101 - a source, not a message
    return tuple(mine[:wanted])


def cache_folder() -> Path:
    """Return where environments and data are kept between runs (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "runner"


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
    """
    backend = connected.backend
    writer, old = _writer(planned, connected)
    try:
        facts = host.read(Path("/"))
        fingerprint = host.fingerprint(facts)
        needed = sorted({cell.image for cell in planned.plan.cells})
        prepared = execute.prepare_all(
            [planned.images[name] for name in needed],
            backend,
            planned.matrix.build,
            planned.matrix.build_parallel,
            observer,
        )
        _store_skips(planned, old, writer, backend.name)
        setting = execute.Setting(
            backend=backend,
            images=planned.images,
            fingerprint=fingerprint,
            log_path=_numbered(writer, len(old)),
            store=writer.append,
            observer=observer,
            data_file=planned.data_file,
        )
        todo = _remaining(planned, prepared, backend.name, fingerprint, old)
        execute.measure(todo, prepared, setting)
    finally:
        writer.close()
    return writer.folder


def _numbered(writer: store.Writer, already: int) -> Callable[[str, int], Path]:
    return lambda job_id, number: writer.log_path(job_id, already + number)


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


def find_run(name: Path, results: Path) -> Path:
    """Return a run's folder by its path, its name below `results`, or ``latest``.

    Raises:
        ConfigurationError: there is no such run; the message lists what there is.
    """
    folders = store.runs(results)
    if str(name) == "latest" and folders:
        return folders[-1]
    for candidate in (name, results / name):
        if (candidate / "run.json").is_file():
            return candidate
    near = hint(name.name, [folder.name for folder in folders])
    raise ConfigurationError(str(name), [f"no run; {results}/ has: {near}"])


def describe(planned: Planned, connected: Connected) -> Run:
    """Return run.json's contents for a run that starts now."""
    facts = host.read(Path("/"))
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
    )


def _store_skips(
    planned: Planned, old: Sequence[Record], writer: store.Writer, backend: str
) -> None:
    known = {record.cell.label for record in old if record.status is Status.SKIPPED}
    for skip in planned.plan.skips:
        if skip.cell.label not in known:
            record = execute.skipped(skip, planned.sampling, planned.suite.limits, backend)
            writer.append(record)


def _remaining(
    planned: Planned,
    prepared: Mapping[str, Environment | PrepareError],
    backend: str,
    fingerprint: str,
    old: Sequence[Record],
) -> tuple[Job, ...]:
    identities = {}
    for job in planned.jobs:
        made = prepared[job.cell.image]
        identities[job.id] = ""
        if isinstance(made, Environment):
            identities[job.id] = plan.identity(job, made, backend, fingerprint)
    done = [
        record.identity
        for record in old
        if record.identity is not None and record.status not in REPEATED
    ]
    return plan.remaining(planned.jobs, identities, done)


def is_whole(cells: Sequence[Cell], records: Sequence[Record]) -> bool:
    """Tell whether every cell that was to be measured has a number."""
    good = {record.cell.label for record in records if record.status is Status.OK}
    left_out = {record.cell.label for record in records if record.status is Status.SKIPPED}
    return all(cell.label in good or cell.label in left_out for cell in cells)
