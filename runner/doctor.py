"""What on this machine will disturb a measurement or stand in its way, and what to do about it.

A check is a function from what is known of the machine to rows; a new one is one more line in
CHECKS. Nothing is changed: the remedies are for the user to choose.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner import preflight, session
from runner.backends import PrepareError, connect, docker, environments, job_cgroup
from runner.backends.job_cgroup import Hierarchy
from runner.errors import BackendUnavailable
from runner.images import health
from runner.images.health import Probes
from runner.model import Image
from runner.request import cache_folder, choose_cores
from runner.telemetry import disturbance, host
from runner.telemetry.host import Advice

if TYPE_CHECKING:
    from runner.backends.docker_gpus import Access
    from runner.backends.docker_trial import Trial

LOOK_S = 1.0
# an image of the heavier releases takes 2 to 4 GB, its environment outside as much again
LEAST_FREE_BYTES = 20 * 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One finding.

    Attributes:
        state: ``ok``; ``note``: numbers will be worse for it, or some cells have none;
            ``problem``: nothing can be measured that way, or what an image is made of is gone.
        remedy: what to do; empty where nothing needs to be done.
    """

    area: str
    state: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the checks look at.

    Attributes:
        cores: how many a job of the default limits has.
        job_cores: those that it would have; fewer where this process may use no more.
        others_cores: how many cores others keep busy now; None if it was not measured.
        probes: what is asked of the engine and of registries.
        instructions: that the processor has, as the kernel names them; empty: unknown.
    """

    root: Path
    images: Mapping[str, Image]
    wheels: tuple[Path, ...]
    results: Path
    facts: host.HostFacts
    cores: int
    job_cores: tuple[int, ...]
    others_cores: float | None
    probes: Probes
    instructions: frozenset[str] = frozenset()


Check = Callable[[Machine], Iterator[Row]]


def look(
    root: Path,
    images: Mapping[str, Image],
    wheels: tuple[Path, ...],
    results: Path,
    cores: int,
    probes: Probes,
) -> Machine:
    """Read this machine, and for a second how busy others keep it."""
    return Machine(
        root=root,
        images=images,
        wheels=wheels,
        results=results,
        facts=session.read_host(),
        cores=cores,
        job_cores=choose_cores(min(cores, len(os.sched_getaffinity(0)))),
        others_cores=_others(LOOK_S),
        probes=probes,
        instructions=_instructions(Path("/proc/cpuinfo")),
    )


def _instructions(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        word for line in lines if line.startswith("flags") for word in line.split()[2:]
    )


def _others(seconds: float) -> float | None:
    try:
        before, own, started = disturbance.busy_s(), time.process_time(), time.monotonic()
        time.sleep(seconds)
        return disturbance.others_cores(
            machine_s=disturbance.busy_s() - before,
            own_s=time.process_time() - own,
            wall_s=time.monotonic() - started,
        )
    except OSError:
        return None


def examine(machine: Machine) -> tuple[Row, ...]:
    """Return every row of every check, in the order of CHECKS; an image's own stand together."""
    areas = {_area(name) for name in machine.images}
    rows = [row for check in CHECKS.values() for row in check(machine)]
    return tuple(sorted(rows, key=lambda row: row.area if row.area in areas else ""))


def _area(image: str) -> str:
    return f"image {image}"


def _quiet(machine: Machine) -> Iterator[Row]:
    found = disturbance.disturbances(
        machine.facts, job_cores=machine.job_cores, others_cores=machine.others_cores
    )
    yield from (_note("machine", advice) for advice in found)
    if len(machine.job_cores) < machine.cores:
        yield Row(
            area="machine",
            state="problem",
            found=f"a job has {machine.cores} cores, and this process may use "
            f"{len(machine.job_cores)}",
            remedy="give it more, or set limits.cores lower in matrix.yaml",
        )
    elif not found:
        yield Row(area="machine", state="ok", found="nothing that is known to disturb")


def _note(area: str, advice: Advice) -> Row:
    return Row(area=area, state="note", found=advice.problem, remedy=advice.remedy)


def _engine(machine: Machine) -> Iterator[Row]:
    try:
        engine = connect("docker", machine.root, machine.wheels).describe()
    except BackendUnavailable as error:
        yield Row(
            area="engine",
            state="note",
            found=" ".join(str(error).split()),
            remedy="start an engine, or measure with --backend process",
        )
        return
    named = f"{engine.get('engine', 'engine')} {engine.get('version', '')}".strip()
    yield Row(area="engine", state="ok", found=f"{named} answers at {engine.get('socket', '')}")
    if unlimited := engine.get("not limited"):
        yield Row(
            area="engine",
            state="problem",
            found=f"its kernel cannot limit {unlimited}",
            remedy="boot with cgroup_enable=memory swapaccount=1, or use another machine",
        )


def _limits(machine: Machine) -> Iterator[Row]:  # noqa: ARG001 - every check takes the machine
    found = job_cgroup.find()
    if isinstance(found, Hierarchy):
        yield Row(
            area="process backend",
            state="ok",
            found=f"limits are kept by the kernel (cgroup v{found.version})",
        )
        return
    yield Row(
        area="process backend",
        state="note",
        found=f"no control groups of its own ({found}): memory is looked at ten times a second, "
        "and processor time of others cannot be told from the job's",
        remedy="start it as root, or in a delegated group: systemd-run --user --scope "
        "--property=Delegate=yes runner ...",
    )


def _interpreters(machine: Machine) -> Iterator[Row]:
    """Say for each image whether the process backend could make its environment here."""
    for image in machine.images.values():
        area = _area(image.name)
        try:
            recipe = environments.recipe(image, machine.wheels)
        except PrepareError as error:
            yield Row(
                area=area,
                state="note",
                found=f"not for the process backend: {error}",
                remedy="as it says, or --backend docker",
            )
            continue
        python = recipe.interpreter
        found = f"Python {python.version} ({python.found_by}): {python.path}"
        yield Row(area=area, state="ok", found=found)


def _sources(machine: Machine) -> Iterator[Row]:
    """Say for each image whether what it is made of can still be had."""
    for row in health.rows(list(machine.images.values()), machine.probes):
        yield Row(
            area=_area(row.image),
            state=row.state,
            found=f"{row.what}: {row.found}",
            remedy=row.remedy,
        )


def _processors(machine: Machine) -> Iterator[Row]:
    """Name the images whose binaries this processor or these GPUs cannot run."""
    for image in machine.images.values():
        lacking = sorted(set(image.cpu_instructions) - machine.instructions)
        if lacking and machine.instructions:
            yield Row(
                area=_area(image.name),
                state="note",
                found=f"its binaries need {', '.join(lacking)}, which this processor has not",
                remedy="measure it on another machine",
            )
        if "cpu" in image.devices:
            continue
        refusal = preflight.refuse(image, image.workloads[0], machine.facts.gpus, 1)
        if refusal is not None:
            yield Row(
                area=_area(image.name),
                state="note",
                found=f"{refusal.status}: {refusal.reason}",
                remedy="measure it on another machine, or a newer driver where that is told",
            )


def _disk(machine: Machine) -> Iterator[Row]:
    places = {"environments": cache_folder(), "results": machine.results.absolute()}
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.is_dir())
        free = shutil.disk_usage(there).free
        gib = f"{free / 1024**3:.0f} GiB free for {name} ({place})"
        if free < LEAST_FREE_BYTES and name == "environments":
            yield Row(
                area="disk",
                state="note",
                found=f"{gib}; all images together need about {LEAST_FREE_BYTES // 1024**3} GiB",
                remedy="free some, or set XDG_CACHE_HOME to a larger disk",
            )
        else:
            yield Row(area="disk", state="ok", found=gib)


def _gpus(machine: Machine) -> Iterator[Row]:
    if not machine.facts.gpus:
        yield Row(
            area="gpu",
            state="ok",
            found="no NVIDIA driver answers: cells on cuda will be unsupported-device",
        )
    for number, gpu in enumerate(machine.facts.gpus):
        area = f"gpu {number}"
        yield Row(area=area, state="ok", found=f"{gpu.name}, driver {gpu.driver}, CUDA {gpu.cuda}")
        yield from (_note(area, advice) for advice in disturbance.of_gpu(gpu, number))


def _gpu_containers(machine: Machine) -> Iterator[Row]:
    """Say how GPUs get into containers, and whether they did when it was tried."""
    if not machine.facts.gpus:
        return
    try:
        engine = docker.connect(machine.root, machine.wheels)
        way = engine.gpu_access()
        trial = engine.try_gpus([gpu.uuid for gpu in machine.facts.gpus]) if way.method else None
    except BackendUnavailable:
        return  # the engine's own row tells
    yield gpu_containers_row(way, trial)


def gpu_containers_row(way: Access, trial: Trial | None) -> Row:
    """Return the row of a way to GPUs, and of what came of trying it; None: it was not tried."""
    from runner.backends.docker_gpus import REMEDY

    area, found = "gpu containers", way.words
    if trial is None:
        return Row(area=area, state="note", found=found, remedy=REMEDY)
    if not trial.image:
        remedy = "run this again once an image is built: runner images build NAME"
        return Row(area=area, state="note", found=f"{found}; not tried", remedy=remedy)
    if trial.problem:
        return Row(
            area=area,
            state="problem",
            found=f"{found}, but not in a container of {trial.image}: {trial.problem}",
            remedy="mend the toolkit's settings (/etc/cdi, /etc/nvidia-container-runtime/"
            "config.toml) until a container that is started by hand sees the GPU",
        )
    got = f"a container of {trial.image} had {', '.join(trial.devices)}"
    return Row(area=area, state="ok", found=f"{found}; {got}")


CHECKS: dict[str, Check] = {
    "quiet": _quiet,
    "engine": _engine,
    "limits": _limits,
    "disk": _disk,
    "gpus": _gpus,
    "gpu containers": _gpu_containers,
    "interpreters": _interpreters,
    "processors": _processors,
    "sources": _sources,
}
