"""Tests any image against the contract (docs/contract.md), by launching its own script.

Each case launches the script once; what it said is held to every rule that applies. A report
names each rule that was broken, and in which case.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import contract
from runner.backends import Backend, PrepareError
from runner.checks import checks_of
from runner.config import load_images
from runner.documents import hint
from runner.errors import ConfigurationError
from runner.model import BuildLimits, Cell, Environment, Image, Job, Launch, Limits, Sampling
from runner.request import choose_cores
from runner.watching import Watched, watch
from runner.workloads import WORKLOADS

NOISE = "noise that must not reach the contract"
_STEPS = Sampling(launches=1, warmup_steps=2, measure_steps=3, measure_limit_s=120.0)
_EVIDENCE_LINES = 8
# Two images a step, and a rate at which no network blows up on so few: what is tested is what
# a script says, not what a network learns.
_GENTLE = {"batch": 2, "learning_rate": 1e-5}
_LIMITS = Limits(timeout_s=600.0, silence_s=300.0, memory_bytes=8 * 1024**3, cores=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one launch showed: the transcript, how it ended, and the log's text."""

    job: Job
    image: Image
    watched: Watched
    log: str


Rule = Callable[[Seen], Iterator[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One launch: what is changed in its variables, and the rules that it must keep.

    Attributes:
        rules: each returns what is wrong, or nothing.
    """

    name: str
    workload: str
    variables: dict[str, str | None]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the cases of one image found: case name to the breaches, in order."""

    image: str
    found: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def passed(self) -> bool:
        """Whether no rule was broken."""
        return not any(breaches for _, breaches in self.found)

    def text(self) -> str:
        """Return a line a case, and a line a breach below it."""
        lines = [f"{self.image}: {'conforms' if self.passed else 'does not conform'}"]
        for name, breaches in self.found:
            lines.append(f"  {name}: {'ok' if not breaches else 'broken'}")
            lines += [f"    {breach}" for breach in breaches]
        return "\n".join(lines)


def conform(names: Sequence[str], root: Path, backend: Backend) -> Iterator[Report]:
    """Test each image that a glob of `names` matches.

    Raises:
        ConfigurationError: a name matches no image.
    """
    images = load_images(root)
    missing = [name for name in names if not fnmatch.filter(images, name)]
    if missing:
        problems = [f"no image {name!r}; {hint(name, images)}" for name in missing]
        source = "images/"
        raise ConfigurationError(source, problems)
    for image in images.values():
        if any(fnmatch.fnmatch(image.name, name) for name in names):
            yield test_image(image, backend)


def test_image(image: Image, backend: Backend) -> Report:
    """Make one image ready and launch every case."""
    try:
        environment = backend.prepare(image, BuildLimits(), lambda _: None)
    except PrepareError as error:
        breaches = (f"{error.status}: {error.reason}", *_end(error.evidence))
        return Report(image=image.name, found=(("prepare", breaches),))
    found = tuple(
        (case.name, tuple(_launch(case, image, environment, backend))) for case in cases(image)
    )
    return Report(image=image.name, found=found)


def cases(image: Image) -> tuple[Case, ...]:
    """Return the launches that an image is tested with: each workload, then what must fail."""
    first = image.workloads[0]
    measured = [
        Case(
            name=f"measures {workload}, its noise kept apart",
            workload=workload,
            variables={"RUNNER_NOISE": NOISE},
            rules=(_well_formed, _order, _counts, _checks, _noise, _exit(0)),
        )
        for workload in image.workloads
    ]
    refusals = (
        ("refuses an unknown workload", "RUNNER_WORKLOAD", "no-such-workload", "unsupported"),
        ("refuses an unknown compiler", "RUNNER_PARAMETER_COMPILER", "no-such", "unsupported"),
        ("refuses another contract", "RUNNER_CONTRACT", "999", "contract"),
        ("refuses a missing variable", "RUNNER_WORKLOAD", None, "contract"),
    )
    return tuple(measured) + tuple(
        Case(
            name=name,
            workload=first,
            variables={variable: value},
            rules=(_well_formed, _refuses(kind), _exit(1)),
        )
        for name, variable, value, kind in refusals
    )


def _launch(case: Case, image: Image, environment: Environment, backend: Backend) -> Iterator[str]:
    job = _job(case, image)
    told: dict[str, str | None] = {**contract.variables(job), **case.variables}
    launch = Launch(
        id=f"conform-{image.name}-{abs(hash(case.name)):x}",
        environment=environment,
        variables={name: value for name, value in told.items() if value is not None},
        limits=job.limits,
        cores=job.cores,
    )
    log = io.BytesIO()
    watched = watch(launch, backend, log)
    text = log.getvalue().decode("utf-8", "replace")
    seen = Seen(job=job, image=image, watched=watched, log=text)
    broken = [breach for rule in case.rules for breach in rule(seen)]
    yield from broken
    if broken:
        yield from _end(text)


def _end(log: str) -> Iterator[str]:
    return (f"log: {line}" for line in log.splitlines()[-_EVIDENCE_LINES:])


def _job(case: Case, image: Image) -> Job:
    parameters = WORKLOADS[case.workload].defaults()
    cell = Cell(
        suite="conformance",
        image=image.name,
        workload=case.workload,
        protocol="fair",
        parameters={**parameters, **{k: v for k, v in _GENTLE.items() if k in parameters}},
    )
    return Job(
        id="conformance",
        cell=cell,
        launch=0,
        sampling=_STEPS,
        limits=_LIMITS,
        cores=choose_cores(_LIMITS.cores),
    )


def _well_formed(seen: Seen) -> Iterator[str]:
    yield from seen.watched.said.problems
    if seen.watched.ended.cause:
        yield f"had to be ended: {seen.watched.ended.cause}"


def _order(seen: Seen) -> Iterator[str]:
    names = [phase.name for phase in seen.watched.said.phases]
    expected = [name for name in contract.PHASES if name in names]
    if names != expected:
        yield f"phases {names}, expected the order {expected}"
    needed = {"import", "build", "first-step", "warm-up", "measure"} - set(names)
    if needed:
        yield f"no phase {', '.join(sorted(needed))}"
    error = seen.watched.said.error
    if error is not None:
        yield f"ended with error {error.kind!r}: {error.message}"
    elif not seen.watched.said.finished:
        yield "no 'result' at the end"


def _counts(seen: Seen) -> Iterator[str]:
    for samples in seen.watched.said.samples:
        taken = (len(samples.warmup_s), len(samples.measured_s))
        asked = (seen.job.sampling.warmup_steps, seen.job.sampling.measure_steps)
        if taken != asked:
            yield f"samples {samples.name!r}: {taken} warm-up and measured steps, asked {asked}"
    if not seen.watched.said.samples:
        yield "no 'samples'"


def _checks(seen: Seen) -> Iterator[str]:
    if seen.watched.said.hello is None:
        yield "no 'hello'"
        return
    for check in checks_of(seen.job, seen.image, seen.watched.said):
        # A handful of steps at batch 2 need not learn; that they do is held in every real seen.job.
        if not check.passed and check.name != "loss_falls":
            yield f"check {check.name}: expected {check.expected}, found {check.value}"


def _noise(seen: Seen) -> Iterator[str]:
    if seen.log.count(NOISE) < 3:
        yield (
            f"RUNNER_NOISE: {seen.log.count(NOISE)} of 3 pieces (descriptor 1 twice, a child once) "
            "arrived in the log"
        )


def _refuses(kind: str) -> Rule:
    def rule(seen: Seen) -> Iterator[str]:
        error = seen.watched.said.error
        if error is None:
            yield f"no 'error'; expected one of kind {kind!r}"
        elif error.kind != kind:
            yield f"error of kind {error.kind!r}, expected {kind!r}: {error.message}"
        elif not error.message.strip():
            yield "an 'error' without a message"

    return rule


def _exit(status: int) -> Rule:
    def rule(seen: Seen) -> Iterator[str]:
        if seen.watched.outcome.exit_code != status:
            yield f"exit status {seen.watched.outcome.exit_code}, expected {status}"

    return rule
