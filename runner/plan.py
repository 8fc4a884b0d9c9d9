"""Model + selection + what is already done -> jobs, in launch order. Pure functions."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.model import Cell, Environment, Image, Inclusion, Job, Limits, Sampling, Scalar, Suite
from runner.stats.order import order
from runner.workloads import WORKLOADS


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """A cell that a rule leaves out, and why; it keeps its place in the table."""

    cell: Cell
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The cells of a suite in the order of its table: those to measure, those left out."""

    cells: tuple[Cell, ...]
    skips: tuple[Skip, ...]


def expand(suite: Suite, images: Mapping[str, Image]) -> Plan:
    """Return a suite's cells: product of images, workloads and axes, and what it includes.

    A cell whose image does not claim the workload is skipped, and so is an excluded one.
    """
    names = [name for name in _matching(suite.images, images) if _is_for(images[name], suite)]
    ordered = sorted(names, key=lambda name: (images[name].released, name))
    cells: dict[tuple[object, ...], Cell] = {}
    for workload, fixed in suite.workloads.items():
        for name in ordered:
            for values in itertools.product(*suite.axes.values()):
                varied = dict(zip(suite.axes, values, strict=True))
                cell = _cell(suite, name, workload, {**fixed, **varied}, varied)
                cells.setdefault(_key(cell), cell)
    for more in suite.include:
        for cell in _included(suite, more, images):
            cells.setdefault(_key(cell), cell)
    kept: list[Cell] = []
    skips: list[Skip] = []
    for cell in cells.values():
        reason = _left_out(suite, cell, images[cell.image])
        if reason is None:
            kept.append(cell)
        else:
            skips.append(Skip(cell=cell, reason=reason))
    return Plan(cells=tuple(kept), skips=tuple(skips))


def _matching(patterns: Sequence[str], images: Mapping[str, Image]) -> list[str]:
    """Return the images that a glob names and none with a ``!`` before it takes away."""
    taken = [name for name in images if any(fnmatch.fnmatch(name, p) for p in patterns)]
    away = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return [name for name in taken if not any(fnmatch.fnmatch(name, p) for p in away)]


def _is_for(image: Image, suite: Suite) -> bool:
    """A glob of a suite on processors means no image for GPUs alone; the other way round, what
    cannot be done on a GPU is a result, which ``preflight`` gives.
    """
    return suite.device != "cpu" or "cpu" in image.devices


def _included(suite: Suite, more: Inclusion, images: Mapping[str, Image]) -> Iterable[Cell]:
    fixed = suite.workloads.get(more.workload, {})
    for name in _matching(more.images, images):
        yield _cell(suite, name, more.workload, {**fixed, **more.parameters}, more.parameters)


def _cell(
    suite: Suite,
    image: str,
    workload: str,
    parameters: Mapping[str, Scalar],
    varied: Mapping[str, Scalar],
) -> Cell:
    return Cell(
        suite=suite.name,
        image=image,
        workload=workload,
        protocol=suite.protocol,
        parameters=WORKLOADS[workload].settled(parameters),
        device=suite.device,
        variant=",".join(f"{name}={value}" for name, value in varied.items()),
    )


def _key(cell: Cell) -> tuple[object, ...]:
    return (cell.image, cell.workload, *sorted(cell.parameters.items()))


def _left_out(suite: Suite, cell: Cell, image: Image) -> str | None:
    for rule in suite.exclude:
        if (
            fnmatch.fnmatch(cell.image, rule.image)
            and fnmatch.fnmatch(cell.workload, rule.workload)
            and all(cell.parameters.get(key) == value for key, value in rule.parameters.items())
        ):
            return rule.reason
    if cell.workload not in image.workloads:
        return f"{image.name} does not claim the workload {cell.workload}"
    return None


def selected(cell: Cell, only: Sequence[str]) -> bool:
    """Tell whether a cell matches any of the globs, or there are none.

    A glob is held against ``image/workload/variant``, ``image/workload`` and ``image``.
    """
    names = (cell.label, f"{cell.image}/{cell.workload}", cell.image)
    return not only or any(fnmatch.fnmatch(name, glob) for name in names for glob in only)


def jobs(
    cells: Sequence[Cell],
    *,
    sampling: Sampling,
    limits: Limits,
    cores: tuple[int, ...],
    seed: int,
    order_seed: int,
    rounds: range | None = None,
) -> tuple[Job, ...]:
    """Return every launch of every cell, in launch order: shuffled rounds from `order_seed`.

    Args:
        rounds: only these; None is as many as `sampling` has launches.
    """
    wanted = range(sampling.launches) if rounds is None else rounds
    return tuple(
        Job(
            id=f"{cell.label.replace('/', '_')}.{launch}",
            cell=cell,
            launch=launch,
            sampling=sampling,
            limits=limits,
            cores=cores,
            seed=seed,
        )
        for cell, launch in order(cells, wanted.stop, order_seed)
        if launch in wanted
    )


def remaining(
    planned: Sequence[Job], identities: Mapping[str, str], done: Iterable[str]
) -> tuple[Job, ...]:
    """Return the jobs still to launch, given what is done.

    Args:
        planned: all jobs, in launch order.
        identities: job id to the identity that its record will have.
        done: identity of each finished record, once a record.
    """
    left = Counter(done)
    todo: list[Job] = []
    for job in planned:
        identity = identities[job.id]
        if left[identity] > 0:
            left[identity] -= 1
        else:
            todo.append(job)
    return tuple(todo)


def identity(job: Job, environment: Environment, backend: str, fingerprint: str) -> str:
    """Return the hash of all that must agree for two results to be the same result.

    Resume goes by it, never by a name: a changed lock, script, parameter, limit or host makes
    another result. The launch's number is left out: launches of a cell are interchangeable.
    """
    agreed = (
        environment.digest,
        environment.scripts_sha256,
        job.cell.workload,
        job.cell.protocol,
        job.cell.device,
        sorted(job.cell.parameters.items()),
        dataclasses.asdict(job.limits),
        # which cores and which of like GPUs a GPU's job got is chance; how many, the limits say
        job.cores if job.cell.device == "cpu" else None,
        job.seed,
        (job.sampling.warmup_steps, job.sampling.measure_steps, job.sampling.measure_limit_s),
        backend,
        fingerprint,
    )
    text = json.dumps(agreed, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
