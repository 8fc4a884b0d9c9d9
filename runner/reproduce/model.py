"""What comes of making a published document again, as frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runner.model import Cell, Run, Suite
from runner.published import Document, PublishedTable
from runner.reproduce.cells import Box
from runner.reproduce.values import Values
from runner.stats.agreement import RankCorrelation
from runner.stats.compare import Comparison
from runner.stats.estimate import Estimate


class Outcome(StrEnum):
    """What is to be said of a published number."""

    ABSOLUTE = "absolute reproduced"
    SHAPE = "shape reproduced"
    DIFFERS = "shape differs"
    AMBIGUOUS = "ambiguous"
    REFERENCE = "reference"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One number of a published table, made again under one protocol.

    Attributes:
        cell: None where nothing is launched for it.
        launches: one value a launch, in the document's unit; empty where there is none.
        here: their median with its interval.
        there: the printed ratio to the table's reference; None where a side is absent.
        ratio: the same here, with its interval.
        missing: the status in place of a value, such as ``unsupported``; empty where there is one.
        reason: why there is no value, or why it is not comparable.
    """

    box: Box
    protocol: str
    cell: Cell | None
    launches: Values = ()
    here: Estimate | None = None
    there: float | None = None
    ratio: Comparison | None = None
    outcome: Outcome = Outcome.NOT_COMPARABLE
    missing: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """Rank correlation of all numbers of one metric in a table; `numbers` it has in print."""

    metric: str
    numbers: int
    found: RankCorrelation


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """A published table made again under one protocol."""

    table: PublishedTable
    protocol: str
    found: tuple[Found, ...]
    ranks: tuple[Ranks, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """What the original's ways did to a number, as factors; None where a side has no value.

    Attributes:
        switches: with the original's estimator on both: as published over fair work.
        each: defect to the same, of the fair work with what that defect alone changes.
        estimator: on the fair launches: the original's estimator over the fair one.
    """

    box: Box
    switches: Comparison | None
    estimator: Comparison | None
    each: Mapping[str, Comparison] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """A whole document made again.

    Attributes:
        tables: protocol by protocol, in the document's order.
        worths: of each number that has a value under some protocol.
    """

    document: Document
    suite: Suite
    run: Run
    margin: float
    tables: tuple[Again, ...]
    worths: tuple[Worth, ...]
