"""``runner images check``: whether an image may join, from its files to a row of the table.

Static rules, then a build, the contract's conformance, and one launch of each workload that
the image claims. The first stage that fails ends it, since the later ones rest on it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import conform, plan, session, store
from runner.backends import PrepareError
from runner.config import load_images, load_matrix
from runner.execute import Observer
from runner.images import static
from runner.model import BuildLimits, Image, Matrix, Record, Status
from runner.report import table
from runner.request import Request, plan_request
from runner.session import Connected
from runner.workloads import WORKLOADS

# Relative. Weights and the first batch are the same everywhere, so that only rounding differs,
# and in a network with dropout its mask.
FIRST_LOSS_TOLERANCE = 1e-3
FIRST_LOSS_TOLERANCE_DROPOUT = 0.05

_EVIDENCE_LINES = 12

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage and what it found wrong; nothing where it passed."""

    name: str
    found: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The outcome for one image: its stages, and the rows that it would add."""

    image: str
    stages: tuple[Stage, ...]
    rows: tuple[table.Table, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every stage was reached and found nothing."""
        return not any(stage.found for stage in self.stages)

    def text(self) -> str:
        """Return the verdict, with a line a stage and a line a problem below it."""
        verdict = "accepted" if self.passed else "not accepted"
        lines = [f"{self.image}: {verdict}"]
        for stage in self.stages:
            lines.append(f"  {stage.name}: {'broken' if stage.found else 'ok'}")
            lines += [f"    {problem}" for problem in stage.found]
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where and with what images are checked.

    Attributes:
        results: where the launches' records go, and those of other images are looked for.
    """

    root: Path
    connected: Connected
    wheels: tuple[Path, ...]
    results: Path
    observer: Observer
    command: tuple[str, ...]


def check(name: str, setting: Setting, say: Say) -> Finding:
    """Take one image through every stage; `say` is told of each that begins.

    Raises:
        ConfigurationError: there is no such image.
    """
    _, wrong = static.check(setting.root, [name])
    stages = [Stage(name="rules", found=wrong)]
    rows: list[table.Table] = []
    if not wrong:
        image = load_images(setting.root)[name]
        for make in (_built, _conforming):
            if not stages[-1].found:
                stages.append(make(image, setting, say))
        for workload in () if stages[-1].found else image.workloads:
            say(f"one launch of {workload}")
            found, made = _measured(image, workload, setting)
            stages.append(Stage(name=workload, found=tuple(found)))
            rows += made
    return Finding(image=name, stages=tuple(stages), rows=tuple(rows))


def _built(image: Image, setting: Setting, say: Say) -> Stage:
    say("build")
    try:
        setting.connected.backend.prepare(image, BuildLimits(), lambda _: None)
    except PrepareError as error:
        evidence = (f"log: {line}" for line in error.evidence.splitlines()[-_EVIDENCE_LINES:])
        return Stage(name="build", found=(f"{error.status}: {error.reason}", *evidence))
    return Stage(name="build", found=())


def _conforming(image: Image, setting: Setting, say: Say) -> Stage:
    say("conformance to the contract")
    report = conform.test_image(image, setting.connected.backend)
    breaches = [f"{case}: {breach}" for case, breaches in report.found for breach in breaches]
    return Stage(name="conformance", found=tuple(breaches))


def _measured(image: Image, workload: str, setting: Setting) -> tuple[list[str], list[table.Table]]:
    """Launch one cell once; return what is wrong with its record, and its row."""
    path = setting.root / "matrix.yaml"
    images = load_images(setting.root)
    suite = suite_of(image, workload, load_matrix(path, images), images)
    if suite is None:
        return [f"no suite of {path.name} has a cell {image.name}/{workload}"], []
    request = Request(
        matrix=path,
        suite=suite,
        profile=None,
        only=(f"{image.name}/{workload}",),
        launches=1,
        resume=None,
        cifar10=None,
        results=setting.results,
        backend=setting.connected.backend.name,
        wheels=setting.wheels,
        command=setting.command,
        keep_disturbed=True,  # what else this machine does is not the image's fault
    )
    before = list(known_records(setting.results))
    planned = plan_request(request)
    folder = session.carry_out(planned, setting.connected, setting.observer)
    records = store.load_records(folder)
    found = [
        line for record in records for line in (*_failure(record), *loss_problems(record, before))
    ]
    return found, [table.build(store.load_run(folder), records)]


def _failure(record: Record) -> list[str]:
    return [] if record.status is Status.OK else [f"{record.status}: {record.reason}"]


def suite_of(
    image: Image, workload: str, matrix: Matrix, images: Mapping[str, Image]
) -> str | None:
    """Return the first suite, on processors where the image can, that has the plain cell of an
    image and a workload.
    """
    device = "cpu" if "cpu" in image.devices else "cuda"
    for suite in matrix.suites.values():
        if suite.device != device or suite.published:
            continue
        cells = plan.expand(suite, images).cells
        if any(cell.label == f"{image.name}/{workload}" for cell in cells):
            return suite.name
    return None


def known_records(results: Path) -> Iterator[Record]:
    """Return the records of every run below `results` and of the committed reference."""
    for folder in (*store.runs(results / "reference"), *store.runs(results)):
        yield from store.load_records(folder)


def loss_problems(record: Record, others: Sequence[Record]) -> list[str]:
    """Return what is wrong with a record's first loss, held to other images' of the same cell.

    Those were trained from the same weights on the same batch. Nothing is wrong where there is
    no other record.
    """
    like = {
        other.cell.image: other.losses[0]
        for other in others
        if other.status in (Status.OK, Status.DISTURBED)  # others' work changes no loss
        and other.cell.image != record.cell.image
        and other.cell.workload == record.cell.workload
        and other.cell.parameters == record.cell.parameters
        and other.seed == record.seed
        and other.hello is not None
        and record.hello is not None
        and other.hello.data == record.hello.data
        and other.losses
        and other.losses[0] is not None
    }
    values = [value for value in like.values() if value is not None]
    if not values or not record.losses or record.losses[0] is None:
        return []
    middle = statistics.median(values)
    has_dropout = WORKLOADS[record.cell.workload].dropout
    tolerance = FIRST_LOSS_TOLERANCE_DROPOUT if has_dropout else FIRST_LOSS_TOLERANCE
    if abs(record.losses[0] - middle) <= tolerance * abs(middle):
        return []
    names = ", ".join(sorted(like))
    return [
        f"the first loss is {record.losses[0]:.6g}, and {middle:.6g} in {names}: the same weights "
        f"and batch must agree within {tolerance:.2%}"
    ]
