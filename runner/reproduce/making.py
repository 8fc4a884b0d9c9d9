"""A published document and a run -> its tables again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.model import Record, Run, Suite
from runner.published import Document
from runner.reproduce.cells import PROTOCOLS, boxes
from runner.reproduce.judging import judged, ranks
from runner.reproduce.model import Again, Reproduction
from runner.reproduce.source import Source, with_values
from runner.reproduce.worth import worths

# Published numbers move by 7 to 10 % from one reading to the next (see the defects single-launch
# and rows-of-different-days); a ratio of two moves by half as much again, and hardware differs.
MARGIN = 0.25


def reproduce(
    document: Document,
    suite: Suite,
    run: Run,
    records: Sequence[Record],
    *,
    protocols: Sequence[str] = PROTOCOLS,
    margin: float = MARGIN,
) -> Reproduction:
    """Hold a run against the document that its suite is made from.

    Args:
        suite: as the matrix has it now; a cell that the run lacks is told, not guessed.
        margin: how far a ratio may be from the published one to count as reproduced.
    """
    everything = boxes(document, suite)
    source = Source.of(run, records)
    tables = []
    for protocol in protocols:
        found = with_values(everything, protocol, source)
        for table in {box.table.id: box.table for box in everything}.values():
            made = judged([each for each in found if each.box.table is table], run, margin)
            tables.append(Again(table=table, protocol=protocol, found=made, ranks=ranks(made)))
    return Reproduction(
        document=document,
        suite=suite,
        run=run,
        margin=margin,
        tables=tuple(tables),
        worths=worths(everything, source, margin),
    )
