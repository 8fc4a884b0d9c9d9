"""A reproduction as words: the document's tables again, every number, what its ways were worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.published import row_labels, row_names
from runner.report.formats import significant
from runner.reproduce import Again, Box, Found, Outcome, Reproduction, Worth
from runner.stats.compare import Comparison

_SAID = {
    Outcome.ABSOLUTE: "reproduced, also absolutely",
    Outcome.SHAPE: "shape reproduced",
    Outcome.DIFFERS: "shape differs",
    Outcome.AMBIGUOUS: "ambiguous",
    Outcome.REFERENCE: "reference",
    Outcome.NOT_COMPARABLE: "not comparable",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which rows and metrics are shown one by one; empty: all of them."""

    rows: Collection[str] = ()
    metrics: Collection[str] = ()

    def has(self, box: Box) -> bool:
        """Tell whether a number is shown."""
        number = box.number
        return (not self.rows or number.row in self.rows) and (
            not self.metrics or number.facts.metric in self.metrics
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table of words."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def narrowest(self) -> int:
        """Return the columns of a terminal below which words would be cut in two."""
        columns = zip(self.head, *self.rows, strict=True)
        return sum(
            2 + max(len(word) for box in c for word in (box.split() or [""])) for c in columns
        )

    def lines(self) -> Iterator[str]:
        """Return the rows as a list: the first box, then a line for each other one."""
        for row in self.rows:
            yield f"* {row[0]}"
            yield from (
                f"    {name}: {box}" for name, box in zip(self.head[1:], row[1:], strict=True)
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading with lines and a grid below it; level 1 is the whole.

    Attributes:
        detail: what few will read to the end, and a page folds.
    """

    level: int
    heading: str
    lines: tuple[str, ...] = ()
    grid: Grid | None = None
    detail: bool = False


ALL = Choice()


def sections(made: Reproduction, choice: Choice = ALL) -> Iterator[Section]:
    """Return the whole answer: each protocol's tables, then what the defects were worth."""
    yield Section(level=1, heading=made.document.title, lines=tuple(_above(made)))
    for again in made.tables:
        own = [each for each in again.found if choice.has(each.box)]
        if not own:
            continue
        title = f"{again.table.title}: {again.protocol}"
        lines = (*_of_table(own), *_ranks(again))
        yield Section(level=2, heading=title, lines=lines, grid=_shape(again, choice))
        yield _number_by_number(title, own)
    worths = [each for each in made.worths if choice.has(each.box)]
    if worths:
        yield Section(
            level=2,
            heading="What the originals' ways were worth",
            lines=(
                "Factors on each number. Work: as published over fair, by the original's "
                "estimator on both: what the parameters did together. Each defect: the same of "
                "its parameters alone; --each launches them. Estimator: the original's over the "
                "fair one, both on the fair launches.",
            ),
            grid=_worth_grid(worths),
            detail=True,
        )


def _above(made: Reproduction) -> Iterator[str]:
    source, run = made.document.source, made.run
    yield f"{source.repository}, {source.path} at {source.commit[:12]} ({source.date})"
    machine = run.host.get("cpu_model") or "unknown CPU"
    yield (
        f"run {run.id}: backend {run.backend}, profile {run.profile}, {run.sampling.launches} "
        f"launches a cell; {machine}"
    )
    yield (
        "shape reproduced: the ratio to the table's reference, with its interval, lies within "
        f"{made.margin * 100:g} % of the published ratio; the verdicts of a table hold together "
        "at 95 % (Holm). Absolute values are compared on the published hardware only."
    )
    yield (
        "as-published: the original's work and estimator; where a launch has fewer steps than the "
        "original's, the mean of its measured steps stands for the others. fair: the same work for "
        "all, the median of the steady steps."
    )
    instead = {
        f"{facts.image} stands in for {facts.stands_in_for}": None
        for box in _boxes(made)
        if (facts := box.number.facts).stands_in_for and box.cells
    }
    yield from instead


def _boxes(made: Reproduction) -> list[Box]:
    first = made.tables[0].protocol if made.tables else ""
    return [each.box for again in made.tables if again.protocol == first for each in again.found]


def _of_table(found: Sequence[Found]) -> Iterator[str]:
    counts = Counter(_SAID[each.outcome] for each in found)
    said = "; ".join(f"{count} {said}" for said, count in counts.items())
    yield f"in each box: published / here (verdict); {said}"
    hardware = dict.fromkeys(each.box.number.facts.hardware for each in found)
    yield f"published on {'; '.join(filter(None, hardware))}"
    remarks = Counter(each.box.remark for each in found if each.box.remark)
    yield from (f"here {remark} ({count} numbers)" for remark, count in remarks.items())


def _ranks(again: Again) -> Iterator[str]:
    for ranks in again.ranks:
        found = ranks.found
        said = found.method
        if found.value is not None:
            ends = found.low is not None and found.high is not None
            between = f" ({found.low:.2f} to {found.high:.2f})" if ends else ""
            said = f"{found.value:.2f}{between}, {found.method}"
        yield f"rank correlation of {ranks.metric}, {found.rows} of {ranks.numbers} numbers: {said}"


def _shape(again: Again, choice: Choice) -> Grid:
    """Return the document's table in its shape and order, a verdict in every box; a label that
    the document leaves blank, since it is the one above, is filled in.
    """
    table = again.table
    places = {(each.box.number.row, each.box.number.column): each for each in again.found}
    rows = []
    for name, labels in zip(row_names(table), row_labels(table), strict=True):
        own = dict(zip(table.name_columns, labels, strict=False))
        boxes = [
            _box(places[name, column]) if (name, column) in places else own.get(column, name)
            for column in table.columns
        ]
        if name and (not choice.rows or name in choice.rows):
            rows.append(tuple(boxes))
    return Grid(head=tuple(column or "row" for column in table.columns), rows=tuple(rows))


def _box(found: Found) -> str:
    there = _plain(found.box.number.printed) or "(blank)"
    here = found.missing or (_value(found.here.value) if found.here else "")
    return f"{there} / {here} ({_SAID[found.outcome]})"


def _plain(printed: str) -> str:
    return printed.removeprefix("__").removesuffix("__")


def _value(value: float) -> str:
    return significant(value, 4)


_LONG = 60  # characters of a reason, above which several numbers share one
_HEAD = ("number", "published", "here", "ratio there", "ratio here (interval)", "verdict", "why")


def _number_by_number(title: str, found: Sequence[Found]) -> Section:
    """Return every number with its reason; a long one that several share is told once, above."""
    counts = Counter(each.reason for each in found if len(each.reason) > _LONG)
    shared = [reason for reason, count in counts.items() if count > 1]
    names = {reason: f"reason {place}" for place, reason in enumerate(shared, start=1)}
    return Section(
        level=3,
        heading=f"{title}, number by number",
        lines=tuple(f"{names[each]} ({counts[each]} numbers): {each}" for each in shared),
        grid=Grid(head=_HEAD, rows=tuple(_number(each, names) for each in found)),
        detail=True,
    )


def _number(found: Found, names: Mapping[str, str]) -> tuple[str, ...]:
    number = found.box.number
    here = found.missing
    if found.here is not None:
        here = f"{_value(found.here.value)}{_interval(found.here.low, found.here.high, 4)}"
    ratio = "-" if found.ratio is None else _factor(found.ratio)
    return (
        f"{number.row}, {number.column}",
        f"{_plain(number.printed) or '(blank)'}",
        here,
        "-" if found.there is None else significant(found.there, 3),
        "1" if found.outcome is Outcome.REFERENCE else ratio,
        _SAID[found.outcome],
        names.get(found.reason, found.reason) or "-",
    )


def _interval(low: float | None, high: float | None, digits: int = 3) -> str:
    if low is None or high is None:
        return " (one launch)"
    return f" ({significant(low, digits)} to {significant(high, digits)})"


def _factor(found: Comparison) -> str:
    return significant(found.ratio, 3) + _interval(found.low, found.high)


def _worth_grid(worths: Sequence[Worth]) -> Grid:
    rows = []
    for each in worths:
        number = each.box.number
        switches = ", ".join(f"{n}={str(v).lower()}" for n, v in each.box.switches.items())
        nothing = "nothing differs" if not switches else "no value"
        others = [name for name in number.defects if name not in each.box.singles]
        alone = [
            f"{name}: {_factor(each.each[name]) if name in each.each else 'no value'}"
            for name in each.box.singles
        ]
        rows.append(
            (
                f"{number.row}, {number.column}",
                switches or "none",
                nothing if each.switches is None else _factor(each.switches),
                "; ".join(alone) or "nothing differs",
                "no value" if each.estimator is None else _factor(each.estimator),
                ", ".join(others) or "none",
            )
        )
    head = (
        "number",
        "parameters as published",
        "work",
        "each defect",
        "estimator",
        "other defects",
    )
    return Grid(head=head, rows=tuple(rows))


def markdown(made: Reproduction, choice: Choice = ALL, *, level: int = 1) -> str:
    """Return the whole answer in Markdown, its details folded.

    Args:
        level: of the first heading.
    """
    parts = []
    for section in sections(made, choice):
        parts.append(f"{'#' * (level - 1 + section.level)} {_escape(section.heading)}")
        if section.lines:
            parts.append("\n".join(f"- {_escape(line)}" for line in section.lines))
        if section.grid is not None:
            rows = bars(section.grid.head, section.grid.rows)
            parts.append(_folded(rows, len(section.grid.rows)) if section.detail else rows)
    return "\n\n".join(parts) + "\n"


def bars(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(_bar(boxes) for boxes in (head, ("---",) * len(head), *rows))


def _folded(text: str, count: int) -> str:
    # The attribute is for Python-Markdown, which else takes what is inside for HTML.
    return f'<details markdown="1"><summary>{count} rows</summary>\n\n{text}\n\n</details>'


def _bar(boxes: Sequence[str]) -> str:
    return "| " + " | ".join(_escape(box) for box in boxes) + " |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
