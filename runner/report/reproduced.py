"""A published document and what a run makes of it, as a page shows them: numbers, verdicts, worth.

Everything here is made from a `Reproduction`; what is compared, and how, is decided there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.model import Cell
from runner.report.formats import significant
from runner.report.panel import Panel, Rows
from runner.report.source import anchor
from runner.reproduce import Again, Found, Outcome, Reproduction, Worth
from runner.stats.compare import Comparison

Anchors = Mapping[Hashable, str]
_TONE = {Outcome.ABSOLUTE: "good", Outcome.SHAPE: "good", Outcome.DIFFERS: "bad"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One box: `link` is the anchor of the cell that it comes from, `tone` good, bad or empty."""

    text: str
    link: str = ""
    tone: str = ""
    value: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's title, and whether it is sorted as numbers."""

    title: str
    number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table under a heading, with sentences above it; `panels` are its plot's."""

    id: str
    title: str
    lines: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Box, ...], ...]
    panels: tuple[Panel, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduced:
    """A document made again; without `grids`, `lines` say why there is none."""

    lines: tuple[str, ...]
    grids: tuple[Grid, ...] = ()


NUMBERS = (
    Column(title="number"),
    Column(title="published", number=True),
    Column(title="here", number=True),
    Column(title="ratio there", number=True),
    Column(title="ratio here", number=True),
    Column(title="verdict"),
    Column(title="why"),
)
WORTHS = (
    Column(title="number"),
    Column(title="defects"),
    Column(title="parameters as published"),
    Column(title="their worth", number=True),
    Column(title="the estimator's worth", number=True),
)


def absent(reason: str) -> Reproduced:
    """Return why there is nothing published to hold a run against."""
    return Reproduced(lines=(reason,))


def reproduced(made: Reproduction) -> Reproduced:
    """Return a reproduction's tables, protocol by protocol, and what the defects are worth."""
    anchors: Anchors = {_work(cell): anchor(cell) for cell in made.run.cells}
    grids = [_numbers(again, f"published-{i}", anchors) for i, again in enumerate(made.tables)]
    worths = [each for each in made.worths if each.switches or each.estimator]
    if worths:
        grids.append(_worth(worths, made, anchors))
    return Reproduced(lines=tuple(_above(made)), grids=tuple(grids))


def _work(cell: Cell) -> Hashable:
    given = tuple(sorted(cell.parameters.items()))
    return (cell.image, cell.workload, cell.protocol, cell.device, given)


def _above(made: Reproduction) -> Iterator[str]:
    source = made.document.source
    yield (
        f"{made.document.title}: {source.repository}, {source.path} at {source.commit[:12]} "
        f"({source.date})."
    )
    yield (
        "Numbers of unlike hardware are compared by the shape of their table: each one's ratio to "
        "the table's reference, there and here. The shape is reproduced where the ratio here, with "
        f"its interval, lies within {made.margin * 100:g} % of the published one."
    )
    outcomes = Counter(found.outcome for again in made.tables for found in again.found)
    yield "; ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) + "."


# ------------------------------------------------------------------------------------ numbers


def _numbers(again: Again, identity: str, anchors: Anchors) -> Grid:
    return Grid(
        id=identity,
        title=f"{again.table.title}: {again.protocol}",
        lines=tuple(_ranks(again)),
        columns=NUMBERS,
        rows=tuple(_number(found, anchors) for found in again.found),
        panels=_panels(again),
    )


def _ranks(again: Again) -> Iterator[str]:
    for ranks in again.ranks:
        found = ranks.found
        said = found.method
        if found.value is not None:
            within = ""
            if found.low is not None and found.high is not None:
                within = f" ({found.low:.2f} to {found.high:.2f})"
            said = f"{found.value:.2f}{within}, {found.method}"
        of = f"{found.rows} of {ranks.numbers} numbers"
        yield f"Rank correlation of {ranks.metric.replace('_', ' ')}, {of}: {said}."


def _number(found: Found, anchors: Anchors) -> tuple[Box, ...]:
    number = found.box.number
    here = Box(text=found.missing or "no value", tone="bad")
    if found.here is not None:
        text = significant(found.here.value, 4) + _interval(found.here.low, found.here.high)
        here = Box(text=f"{text} {number.unit or ''}".strip(), value=found.here.value)
    is_reference = found.outcome is Outcome.REFERENCE
    ratio = Box(text="1", value=1.0) if is_reference else _factor(found.ratio, "no ratio")
    link = "" if found.cell is None else anchors.get(_work(found.cell), "")
    printed = number.printed.strip("_") or "blank in the original"
    return (
        Box(text=_label(found, " / "), link=link),
        Box(text=printed, value=None if number.number is None else float(number.number)),
        here,
        Box(text="no ratio")
        if found.there is None
        else Box(text=significant(found.there, 3), value=found.there),
        ratio,
        Box(text=str(found.outcome), tone=_TONE.get(found.outcome, "")),
        Box(text="; ".join(filter(None, (found.reason, found.box.remark))) or "-"),
    )


def _label(found: Found, between: str) -> str:
    return f"{found.box.number.row}{between}{found.box.number.column}"


def _factor(found: Comparison | None, nothing: str) -> Box:
    if found is None:
        return Box(text=nothing)
    text = significant(found.ratio, 3) + _interval(found.low, found.high)
    return Box(text=text, value=found.ratio)


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return " (no interval)"
    return f" ({significant(low, 3)} to {significant(high, 3)})"


def _panels(again: Again) -> tuple[Panel, ...]:
    """Return each metric's ratios to the reference, there and here; none where none is here."""
    by_metric: dict[str, list[Found]] = {}
    for found in again.found:
        if found.there is not None:
            by_metric.setdefault(found.box.number.facts.metric or "", []).append(found)
    title = f"{again.table.title}, {again.protocol}"
    return tuple(
        Panel(title=f"{title}: {metric.replace('_', ' ')}", rows=_rows(own))
        for metric, own in by_metric.items()
        if any(found.ratio is not None for found in own)
    )


def _rows(own: Sequence[Found]) -> Rows:
    """Return a plot's rows, each named by what tells it from the others."""
    one_row = len({found.box.number.row for found in own}) == 1
    one_column = len({found.box.number.column for found in own}) == 1
    rows: Rows = []
    for order, found in enumerate(own):
        number, ratio = found.box.number, found.ratio
        is_reference = found.outcome is Outcome.REFERENCE
        label = number.column if one_row else number.row if one_column else _label(found, "\n")
        rows.append(
            {
                "label": label,
                "order": order,
                "there": found.there,
                "here": 1.0 if is_reference else ratio.ratio if ratio else None,
                "low": ratio.low if ratio else None,
                "high": ratio.high if ratio else None,
                "printed": number.printed.strip("_"),
                "verdict": str(found.outcome),
                "shown": "" if is_reference or ratio else found.missing or "no ratio",
            }
        )
    return rows


# -------------------------------------------------------------------------------------- worth


def _worth(worths: Sequence[Worth], made: Reproduction, anchors: Anchors) -> Grid:
    known = {defect.id: defect for defect in made.document.defects}
    touched = dict.fromkeys(name for each in worths for name in each.box.number.defects)
    return Grid(
        id="published-worth",
        title="What the defects are worth",
        lines=(
            "Factors on each number. Of the parameters: as published over fair work, with the "
            "original's estimator on both. Of the estimator: the original's over ours, both on the "
            "fair launches.",
            *(f"{name}: {known[name].what}" for name in touched if name in known),
        ),
        columns=WORTHS,
        rows=tuple(_worth_of(each, anchors) for each in worths),
    )


def _worth_of(each: Worth, anchors: Anchors) -> tuple[Box, ...]:
    number, switches = each.box.number, each.box.switches
    link = next((at for cell in each.box.cells.values() if (at := anchors.get(_work(cell)))), "")
    said = ", ".join(f"{name}={str(value).lower()}" for name, value in switches.items())
    return (
        Box(text=f"{number.row} / {number.column}", link=link),
        Box(text=", ".join(number.defects) or "none known"),
        Box(text=said or "none"),
        _factor(each.switches, "no value" if switches else "nothing differs"),
        _factor(each.estimator, "no value"),
    )
