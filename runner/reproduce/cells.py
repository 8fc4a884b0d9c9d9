"""The rows of a published table -> what is launched to make each of their numbers again. Pure.

A number that cannot be made here has a reason in place of a cell. Where nothing that the original
did differently is a parameter of the workload, one cell serves both protocols: the work is the
same, and only the estimator, which is the host's, is not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.model import Cell, Image, Scalar, Suite
from runner.plan import Plan, Skip
from runner.published import Document, PublishedNumber, PublishedTable, numbers
from runner.workloads import WORKLOADS

PROTOCOLS = ("as-published", "fair")
# Nothing of a processor's work goes on after a call returns.
_OF_GPUS_ONLY = ("synchronise",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One number of a published table, and the cells that make it again.

    Attributes:
        cells: protocol to cell; the same one where the work is the same. Empty: `reason` says why.
        switches: of the cell as published, those that a defect of its row brings back.
        singles: defect to the cell of the fair work with what that defect alone changes.
        remark: what is otherwise than in the document, such as the batch.
    """

    table: PublishedTable
    number: PublishedNumber
    cells: Mapping[str, Cell]
    switches: Mapping[str, Scalar]
    singles: Mapping[str, Cell] = field(default_factory=dict)
    reason: str = ""
    remark: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Table, row and column."""
        return self.table.id, self.number.row, self.number.column

    @property
    def reference(self) -> tuple[str, str, str]:
        """The place of what this number is a ratio to, by the document."""
        name = self.number.facts.reference or ""
        if self.table.subjects == "rows":
            return self.table.id, name, self.number.column
        return self.table.id, self.number.row, name


def expand(
    document: Document, suite: Suite, images: Mapping[str, Image], *, each: bool = False
) -> Plan:
    """Return the cells of a published suite, in the order of the document's tables.

    Args:
        each: with a cell for each defect alone.
    """
    found: dict[str, Cell] = {}
    for box in boxes(document, suite):
        own = [box.cells[protocol] for protocol in PROTOCOLS[::-1] if protocol in box.cells]
        for cell in (*own, *(box.singles.values() if each else ())):
            found.setdefault(cell.label, cell)
    kept, skips = [], []
    for cell in found.values():
        reason = _left_out(cell, images)
        if reason:
            skips.append(Skip(cell=cell, reason=reason))
        else:
            kept.append(cell)
    return Plan(cells=tuple(kept), skips=tuple(skips))


def _left_out(cell: Cell, images: Mapping[str, Image]) -> str:
    if cell.image not in images:
        return f"there is no image {cell.image} yet"
    if cell.workload not in images[cell.image].workloads:
        return f"{cell.image} does not claim the workload {cell.workload}"
    return ""


def boxes(document: Document, suite: Suite) -> tuple[Box, ...]:
    """Return every number of the tables that a reader of the document sees, in their order."""
    found = [
        box
        for table in document.tables
        if table.kind == "results" and not table.commented_out
        for box in _boxes_of(document, table, suite)
    ]
    return _named(found)


def _boxes_of(document: Document, table: PublishedTable, suite: Suite) -> Iterator[Box]:
    asked = numbers(document, table)
    defects: dict[object, dict[str, Mapping[str, Scalar]]] = {}
    for number in asked:
        # One launch of an original filled all boxes of a subject: what is wrong with it touches
        # the launch, whichever of its numbers shows it.
        own = defects.setdefault(_launch_of(number), {})
        own |= {d.id: d.parameters for d in document.defects if d.id in number.defects}
    for number in asked:
        yield _box(table, number, defects[_launch_of(number)], suite)


def _launch_of(number: PublishedNumber) -> object:
    facts = number.facts
    return (facts.image, facts.workload, facts.batch, tuple(sorted(facts.parameters.items())))


def _box(
    table: PublishedTable,
    number: PublishedNumber,
    defects: Mapping[str, Mapping[str, Scalar]],
    suite: Suite,
) -> Box:
    empty = Box(table=table, number=number, cells={}, switches={})
    reason = _not_here(number, suite)
    facts = number.facts
    image, workload, batch = facts.image, facts.workload, facts.batch
    if reason or image is None or workload is None or batch is None:
        return replace(empty, reason=reason or "the registry does not say how to make it")
    taken = min(batch, suite.batches.get(workload, batch))
    maker = suite.stand_ins.get(image, image)
    changed = [f"{maker} in place of {image}"] if maker != image else []
    changed += [f"batch {taken} in place of {batch}"] if taken != batch else []

    def cell(protocol: str, changes: Mapping[str, Scalar]) -> Cell:
        given = {"batch": taken, **facts.parameters, **changes}
        return Cell(
            suite=suite.name,
            image=maker,
            workload=workload,
            protocol=protocol,
            parameters=WORKLOADS[workload].settled(given),
            device=suite.device,
        )

    fair = cell("fair", {})
    alone = {name: _here(changes, suite) for name, changes in defects.items()}
    singles = {name: cell("as-published", changes) for name, changes in alone.items()}
    singles = {name: one for name, one in singles.items() if one.parameters != fair.parameters}
    switches = {name: v for one in singles for name, v in alone[one].items()}
    return replace(
        empty,
        cells={"fair": fair, "as-published": cell("as-published", switches) if singles else fair},
        switches=switches,
        singles=singles,
        remark="; ".join(changed),
    )


def _here(changes: Mapping[str, Scalar], suite: Suite) -> dict[str, Scalar]:
    on_gpu = suite.device == "cuda"
    return {name: v for name, v in changes.items() if on_gpu or name not in _OF_GPUS_ONLY}


def _not_here(number: PublishedNumber, suite: Suite) -> str:
    facts = number.facts
    if number.number is None:
        return "the document gives no number"
    if suite.device == "cuda" and facts.device == "cpu":
        return "a number of a processor, and this suite measures on a GPU"
    if suite.device == "cpu" and facts.metric == "gpu_memory_peak":
        return "this suite measures on a processor, which has no GPU memory"
    gpus = int(facts.parameters.get("gpus", 1))
    if suite.device == "cpu" and gpus > 1:
        return f"asks for {gpus} GPUs, and this suite measures on a processor"
    return ""


def _named(found: Sequence[Box]) -> tuple[Box, ...]:
    """Give every cell the variant that tells it from the others of its image and workload."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for box in found:
        for cell in box.cells.values():
            groups.setdefault((cell.image, cell.workload, cell.protocol), []).append(cell)
    varied = {key: _varied(cells) for key, cells in groups.items()}

    def named(cell: Cell, alone: str = "") -> Cell:
        protocol = "fair" if alone else cell.protocol
        names = varied[cell.image, cell.workload, protocol]
        parts = [alone and f"only={alone}", "as-published" if protocol != "fair" else ""]
        parts += [f"{name}={_text(_value(cell, name))}" for name in names]
        return replace(cell, variant=",".join(filter(None, parts)))

    whole = [
        replace(box, cells={protocol: named(cell) for protocol, cell in box.cells.items()})
        for box in found
    ]
    known = {work_of(cell): cell for box in whole for cell in box.cells.values()}
    return tuple(
        replace(
            box,
            singles={
                defect: known.setdefault(work_of(cell), named(cell, defect))
                for defect, cell in box.singles.items()
            },
        )
        for box in whole
    )


def work_of(cell: Cell) -> Hashable:
    """Return what two cells have in common that do the same work, whatever they are called."""
    given = tuple(sorted(cell.parameters.items()))
    return (cell.image, cell.workload, cell.protocol, cell.device, given)


def _varied(cells: Sequence[Cell]) -> list[str]:
    names = dict.fromkeys(name for cell in cells for name in cell.parameters)
    return [name for name in names if len({_text(_value(cell, name)) for cell in cells}) > 1]


def _value(cell: Cell, name: str) -> Scalar:
    known = {each.name: each.default for each in WORKLOADS[cell.workload].parameters}
    return cell.parameters.get(name, known[name])


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
