"""What the user asked for -> a plan that can be carried out, or every problem with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import cifar10, plan, published, reproduce
from runner.config import load_images, load_matrix, sampling_problem
from runner.documents import hint
from runner.errors import ConfigurationError, NothingSelected
from runner.images import variants
from runner.model import Cell, Image, Job, Matrix, Sampling, Suite, Tolerance

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
        images=variants.on(images, suite.device),
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
