"""What came of published tables, a line each: how many numbers have the shape, in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from runner.reproduce import PROTOCOLS, Again, Outcome, Ranks, Reproduction
from runner.reproduce_text import bars

_HEAD = (
    *("suite", "table", "run", "protocol", "numbers", "reference", "shape reproduced"),
    *("differs", "ambiguous", "not comparable", "rank correlation (interval)"),
)
_COUNTED = (
    (Outcome.REFERENCE,),
    (Outcome.SHAPE, Outcome.ABSOLUTE),
    (Outcome.DIFFERS,),
    (Outcome.AMBIGUOUS,),
    (Outcome.NOT_COMPARABLE,),
)


def summary(
    runs: Iterable[Reproduction], protocols: Collection[str] = PROTOCOLS, *, empty: bool = True
) -> str:
    """Return a line a table of each run, in Markdown; a table has one for each protocol.

    Args:
        empty: False: leave out tables of which no number was made here.
    """
    rows = [
        _row(made, again)
        for made in runs
        for again in made.tables
        if again.protocol in protocols
        and (empty or any(found.outcome is not Outcome.NOT_COMPARABLE for found in again.found))
    ]
    return bars(_HEAD, rows)


def _row(made: Reproduction, again: Again) -> tuple[str, ...]:
    counts = Counter(found.outcome for found in again.found)
    return (
        made.suite.name,
        again.table.title,
        f"{made.run.backend}, {made.run.profile}",
        again.protocol,
        str(len(again.found)),
        *(str(sum(counts[outcome] for outcome in outcomes)) for outcomes in _COUNTED),
        "; ".join(_order(each) for each in again.ranks if each.found.value is not None) or "-",
    )


def _order(ranks: Ranks) -> str:
    name, found = ranks.metric.replace("_", " "), ranks.found
    if found.low is None or found.high is None:
        return f"{name}: {found.value:.2f} (no interval)"
    return f"{name}: {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
