"""One run from its request to its records: reads, plans, prepares, measures, stores."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import (
    abreast,
    cifar10,
    execute,
    gpus,
    plan,
    preflight,
    published,
    reproduce,
    stopping,
    store,
)
from runner.backends import Backend, PrepareError, connect
from runner.config import load_images, load_matrix, sampling_problem, wheel_folders
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
    Tolerance,
)
from runner.telemetry import host, nvml, peak

ANYTHING = Tolerance(
    others_share=None,
    steal_share=None,
    stall_share=None,
    swapped_bytes=None,
    frequency_share=None,
    throttled=False,
    shared_gpu=False,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asked of ``runner matrix``.

    Attributes:
        resume: folder of the run to go on with, ``latest``, or None for a new run.
        launches: fresh processes a cell, whatever precision they come to, or None for the
            profile's.
        command: the command line as typed, kept in run.json.
        keep_disturbed: let a disturbed job count; its record has the figures all the same.
        gpus: those that jobs on GPUs may have, by index, UUID or model; none means all.
        each: of a published suite, a cell for each defect alone, too.
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
    keep_disturbed: bool = False
    gpus: tuple[str, ...] = ()
    each: bool = False


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
        """Every job that is certain, in launch order; a precision may ask for more."""
        return self.rounds_of(self.plan.cells, range(self.sampling.launches))

    def rounds_of(self, cells: Sequence[Cell], rounds: range) -> tuple[Job, ...]:
        """Return the launches of `cells` with the numbers in `rounds`, in launch order."""
        return plan.jobs(
            cells,
            sampling=self.sampling,
            limits=self.suite.limits,
            cores=self.cores,
            seed=self.matrix.seed,
            order_seed=self.matrix.order_seed,
            rounds=rounds,
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
    if request.keep_disturbed:
        matrix = replace(matrix, tolerance=ANYTHING)
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
    suite = matrix.suites[suite_name]
    sampling = suite.profiles.get(profile, matrix.profiles[profile])
    sampling = _sampling(sampling, suite, request.launches)
    if problem := sampling_problem(sampling):
        where = f"{request.matrix.name}, suite {suite_name!r}, profile {profile!r}"
        raise ConfigurationError(where, [problem])
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
        plan=_selected(
            expand(suite, images, root, each=request.each),
            request.only,
            is_published=bool(suite.published),
        ),
        # a job on a GPU gets its cores together with the GPU
        cores=() if suite.device == "cuda" else choose_cores(suite.limits.cores),
        data_file=data_file,
    )


def expand(
    suite: Suite, images: Mapping[str, Image], root: Path, *, each: bool = False
) -> plan.Plan:
    """Return a suite's cells: its own, or those of the published document that it names.

    Args:
        each: of a document, with a cell for each defect alone.

    Raises:
        ConfigurationError: something in the document is wrong.
    """
    if not suite.published:
        return plan.expand(suite, images)
    folder = root / "results" / "published" / suite.published
    return reproduce.expand(published.load_document(folder), suite, images, each=each)


def _sampling(profile: Sampling, suite: Suite, launches: int | None) -> Sampling:
    """Return the profile with what the suite and the command line put in its place."""
    if launches is not None:
        return replace(profile, launches=launches, precision=None)
    return replace(
        profile,
        precision=suite.precision or profile.precision,
        max_launches=suite.max_launches or profile.max_launches,
        budget_s=suite.budget_s or profile.budget_s,
    )


def _selected(everything: plan.Plan, only: Sequence[str], *, is_published: bool) -> plan.Plan:
    """Return what `only` leaves; of a published table, the reasons alone are an answer too."""
    cells = tuple(cell for cell in everything.cells if plan.selected(cell, only))
    skips = tuple(skip for skip in everything.skips if plan.selected(skip.cell, only))
    if not cells and not (is_published and skips):
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
        fingerprint = host.fingerprint(read_host())
        field = find_gpus(planned) if planned.suite.device == "cuda" else None
        refused = {} if field is None else field.refused
        cells = [cell for cell in planned.plan.cells if cell.label not in refused]
        needed = sorted({cell.image for cell in cells})
        prepared = execute.prepare_all(
            [planned.images[name] for name in needed],
            backend,
            planned.matrix.build,
            planned.matrix.build_parallel,
            observer,
        )
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
        todo = _remaining(planned.jobs, identities, old)
        measure = execute.measure
        if field is not None:
            measure = functools.partial(abreast.measure, field=field)
        measure(todo, prepared, setting, repeats=repeats)
        if planned.sampling.precision is not None:
            for jobs in _further(planned, identities, taken):
                before = len(taken) - len(old)
                measure(jobs, prepared, setting, before=before, repeats=repeats)
    finally:
        writer.close()
    return writer.folder


def find_gpus(planned: Planned) -> abreast.Field:
    """Return the GPUs that a run may have, and the cells that cannot be measured on them.

    Raises:
        ConfigurationError: a GPU that was asked for is not there, or cores are too few.
    """
    library = nvml.connect()
    chosen = () if library is None else gpus.select(gpus.read(library), planned.request.gpus)
    facts = tuple(gpu.facts for gpu in chosen)
    refused = {}
    for cell in planned.plan.cells:
        count = int(cell.parameters.get("gpus", 1))
        image = planned.images[cell.image]
        found = preflight.refuse(image, cell.workload, facts, count, cell.parameters)
        if found is not None:
            refused[cell.label] = PrepareError(found.status, found.reason)
    return abreast.Field(
        pool=gpus.Pool(gpus.share_cores(chosen, planned.suite.limits.cores)),
        locks=gpus.lock_folder(os.environ),
        users=lambda uuid: () if library is None else gpus.users(library, uuid),
        refused=refused,
    )


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
        peak=peak.measure(planned.cores),
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


def is_whole(cells: Sequence[Cell], records: Sequence[Record]) -> bool:
    """Tell whether every cell that was to be measured has a number."""
    good = {record.cell.label for record in records if record.status is Status.OK}
    left_out = {record.cell.label for record in records if record.status is Status.SKIPPED}
    return all(cell.label in good or cell.label in left_out for cell in cells)
