"""A run's records, asked for by what a cell computes, and the numbers that they give. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from runner import cells
from runner.model import Cell, Record, Run
from runner.reproduce.cells import Box, work_of
from runner.reproduce.model import Found
from runner.reproduce.values import NoValue, Values, difference, values
from runner.stats.estimate import estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The records of a run, to be asked for by what a cell computes."""

    known: Mapping[Hashable, str]
    records: Mapping[str, Sequence[Record]]

    @classmethod
    def of(cls, run: Run, records: Sequence[Record]) -> Source:
        own = {label: cells.current(found) for label, found in cells.by_cell(records).items()}
        return cls(known={work_of(cell): cell.label for cell in run.cells}, records=own)

    def good(self, cell: Cell) -> list[Record]:
        return cells.good(self.of_cell(cell))

    def of_cell(self, cell: Cell) -> Sequence[Record]:
        return self.records.get(self.known.get(work_of(cell), ""), ())

    def lack(self, cell: Cell) -> tuple[str, str]:
        """Return the status in place of a number, and its reason."""
        if work_of(cell) not in self.known:
            return "not in this run", f"the run has no cell {cell.label} with these parameters"
        status, reason = cells.why(self.of_cell(cell))
        return str(status), reason


def with_values(everything: Sequence[Box], protocol: str, source: Source) -> list[Found]:
    """Return each box with what its cell under a protocol came to, or why there is nothing."""
    found = []
    for box in everything:
        cell = box.cells.get(protocol)
        plain = Found(box=box, protocol=protocol, cell=cell, reason=box.reason)
        if cell is None:
            found.append(replace(plain, missing="not measured"))
            continue
        launches, missing, reason = values_of(
            box, everything, source, work=protocol, estimator=protocol
        )
        if not launches:
            found.append(replace(plain, missing=missing, reason=reason))
            continue
        here = estimate([[value] for value in launches])
        found.append(replace(plain, launches=launches, here=here))
    return found


def values_of(
    box: Box, everything: Sequence[Box], source: Source, *, work: str, estimator: str
) -> tuple[Values, str, str]:
    """Return a value a launch, or the status and the reason in place of them.

    Args:
        everything: all boxes of the document, for what is made from several of them.
        work, estimator: the protocols of the cell, and of what is made of its times.
    """
    cell = box.cells[work]
    records = source.good(cell)
    if not records:
        return ((), *source.lack(cell))
    facts, unit = box.number.facts, box.number.unit
    is_fair = estimator == "fair"
    try:
        if facts.statistic == "difference_of_minima" and not is_fair:
            whole, part = (
                _beside(box, everything, metric, work, source)
                for metric in ("forward_backward_time", "forward_time")
            )
            found = difference(whole, part, unit)
        else:
            found = values(facts, unit, records, is_fair=is_fair)
        if min(found) <= 0:
            return (), "no ratio", f"a value of {min(found):g} has no ratio to another"
    except NoValue as error:
        return (), "not measured", str(error)
    return found, "", ""


def values_alone(box: Box, defect: str, source: Source) -> Values:
    """Return a value a launch of the work with one defect, by the original's estimator; none
    where it was not launched, or where several works make the number.
    """
    facts, unit = box.number.facts, box.number.unit
    records = source.good(box.singles[defect])
    if not records or facts.statistic == "difference_of_minima":
        return ()
    try:
        found = values(facts, unit, records, is_fair=False)
    except NoValue:
        return ()
    return found if min(found) > 0 else ()


def _beside(
    box: Box, everything: Sequence[Box], metric: str, work: str, source: Source
) -> list[Record]:
    """Return the records of another number of the same row."""
    for other in everything:
        number = other.number
        same_row = (number.table, number.row) == (box.number.table, box.number.row)
        if same_row and number.facts.metric == metric and work in other.cells:
            return source.good(other.cells[work])
    return []
