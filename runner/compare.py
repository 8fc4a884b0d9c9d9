"""Two runs, or two images of one run, cell by cell: ratios of times, and whether they may be held
against each other.

Pure functions over what is stored; what the ratios mean is in ``stats/compare.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from runner import cells
from runner.documents import hint
from runner.errors import ConfigurationError, RunnerError
from runner.model import Cell, Record, Run, Status
from runner.stats.compare import Comparison, compare_all
from runner.telemetry import host


class ComparisonRefused(RunnerError):
    """The two sides were measured under conditions that differ; the message names each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A run and all its records, as the store gives them."""

    run: Run
    records: tuple[Record, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One cell of both sides.

    Attributes:
        base, other: None where a side does not have the cell at all.
        compared: None where a side has no number; `missing` then says which, and why.
        launches: that ended ``ok``, of the base and of the other.
    """

    label: str
    base: Cell | None
    other: Cell | None
    compared: Comparison | None
    missing: str
    launches: tuple[int, int]

    @property
    def verdict(self) -> str:
        """``faster``, ``slower``, ``same``, ``ambiguous``, or ``missing``."""
        return "missing" if self.compared is None else str(self.compared.verdict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Every cell of either side, in the order of the base; the ratio is other over base.

    Attributes:
        differences: in the conditions of the two sides; compared in spite of them.
        remarks: what differs too, and need not disturb.
    """

    base: str
    other: str
    rows: tuple[Row, ...]
    level: float
    margin: float
    differences: tuple[str, ...]
    remarks: tuple[str, ...]


def runs(
    base: Loaded, other: Loaded, *, margin: float, force: bool, level: float = 0.95
) -> Compared:
    """Compare two runs. Suite and protocol may differ: cells are matched by what they compute.

    Raises:
        ComparisonRefused: hosts, backends or limits differ, and `force` is not given.
    """
    sides = (base.run.id, other.run.id)
    pairs = _matched(base.run.cells, other.run.cells, _work)
    found = (*_conditions(base, other), *_limits(base, other, pairs))
    if found and not force:
        listed = "\n".join(f"  {line}" for line in found)
        msg = (
            f"{sides[0]} and {sides[1]} were measured under different conditions, so that a "
            f"ratio would not be of the images alone:\n{listed}\n"
            "--force compares them all the same, and says so"
        )
        raise ComparisonRefused(msg)
    return Compared(
        base=sides[0],
        other=sides[1],
        rows=_rows(pairs, base.records, other.records, margin, level),
        level=level,
        margin=margin,
        differences=found,
        remarks=tuple(_remarks(base.run, other.run)),
    )


def images(
    loaded: Loaded, base: str, other: str, *, margin: float, level: float = 0.95
) -> Compared:
    """Compare two images of one run, over the work that both have.

    Raises:
        ConfigurationError: the run has no such image, or they share no work.
    """
    have = sorted({cell.image for cell in loaded.run.cells})
    problems = [
        f"no image {name!r}; {hint(name, have)}" for name in (base, other) if name not in have
    ]
    own = {name: [c for c in loaded.run.cells if c.image == name] for name in (base, other)}
    pairs = _matched(own[base], own[other], _work_of_any_image)
    if not problems and not any(left and right for left, right in pairs):
        problems = [f"{base} and {other} have no cell with the same work"]
    if problems:
        raise ConfigurationError(loaded.run.id, problems)
    return Compared(
        base=base,
        other=other,
        rows=_rows(pairs, loaded.records, loaded.records, margin, level),
        level=level,
        margin=margin,
        differences=(),
        remarks=(f"both of run {loaded.run.id}",),
    )


def _work(cell: Cell) -> Hashable:
    return (cell.image, *_work_of_any_image(cell))


def _work_of_any_image(cell: Cell) -> tuple[Hashable, ...]:
    return (cell.workload, cell.device, *sorted(cell.parameters.items()))


Pairs = list[tuple[Cell | None, Cell | None]]


def _matched(base: Sequence[Cell], other: Sequence[Cell], key: Callable[[Cell], Hashable]) -> Pairs:
    left, right = ({key(cell): cell for cell in side} for side in (base, other))
    both = [*left, *(k for k in right if k not in left)]
    return [(left.get(k), right.get(k)) for k in both]


def _rows(
    pairs: Pairs,
    base: Sequence[Record],
    other: Sequence[Record],
    margin: float,
    level: float,
) -> tuple[Row, ...]:
    sides = [_Side.of(pair, cells.by_cell(base), cells.by_cell(other)) for pair in pairs]
    tested = [side for side in sides if side.base and side.other]
    compared = iter(
        compare_all(
            [(_launches(side.base), _launches(side.other)) for side in tested],
            level=level,
            margin=margin,
        )
    )
    return tuple(
        Row(
            label=side.label,
            base=pair[0],
            other=pair[1],
            compared=next(compared) if side.base and side.other else None,
            missing=side.missing,
            launches=(len(side.base), len(side.other)),
        )
        for pair, side in zip(pairs, sides, strict=True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """The ``ok`` records of a pair of cells, and why there are none."""

    label: str
    base: list[Record]
    other: list[Record]
    missing: str

    @classmethod
    def of(
        cls,
        pair: tuple[Cell | None, Cell | None],
        base: dict[str, list[Record]],
        other: dict[str, list[Record]],
    ) -> _Side:
        left, right = pair
        label = " ".join(dict.fromkeys(_label(cell, pair) for cell in pair if cell is not None))
        found = [_own(left, base), _own(right, other)]
        said = [
            f"{name}: {_lack(cell, records)}"
            for name, cell, records in zip(("base", "other"), pair, found, strict=True)
            if not cells.good(records)
        ]
        return cls(
            label=label,
            base=cells.good(found[0]),
            other=cells.good(found[1]),
            missing="; ".join(said),
        )


def _label(cell: Cell, pair: tuple[Cell | None, Cell | None]) -> str:
    """Return a cell's label, without its image where the two sides have two."""
    if len({side.image for side in pair if side is not None}) == 1:
        return cell.label
    return "/".join(filter(None, (cell.workload, cell.variant)))


def _own(cell: Cell | None, records: dict[str, list[Record]]) -> list[Record]:
    return [] if cell is None else cells.current(records.get(cell.label, []))


def _lack(cell: Cell | None, records: list[Record]) -> str:
    if cell is None:
        return "has no such cell"
    status, reason = cells.why(records)
    return f"{status}: {reason}" if status is not Status.OK else ""


def _launches(records: list[Record]) -> tuple[tuple[float, ...], ...]:
    return cells.steady_parts(records).parts


def _conditions(base: Loaded, other: Loaded) -> Iterator[str]:
    one, two = base.run, other.run
    if one.backend != two.backend:
        yield f"backend: {one.backend!r} and {two.backend!r}"
    facts = host.differences(host.from_plain(one.host), host.from_plain(two.host))
    yield from facts
    if one.fingerprint != two.fingerprint and not facts:
        yield f"host fingerprint: {one.fingerprint} and {two.fingerprint}"


def _limits(base: Loaded, other: Loaded, pairs: Pairs) -> list[str]:
    """Name each limit that differs between cells that both sides have, and the cores."""
    mine, theirs = cells.by_cell(base.records), cells.by_cell(other.records)
    found: dict[str, None] = {}
    for left, right in pairs:
        records = _own(left, mine)[-1:], _own(right, theirs)[-1:]
        for one, two in zip(*records, strict=False):
            if Status.SKIPPED in (one.status, two.status):
                continue
            values = (dataclasses.asdict(one.limits), dataclasses.asdict(two.limits))
            values[0]["core numbers"], values[1]["core numbers"] = one.cores, two.cores
            found |= dict.fromkeys(
                f"limit {name}: {value!r} and {values[1][name]!r}"
                for name, value in values[0].items()
                if value != values[1][name]
            )
    return list(found)


def _remarks(one: Run, two: Run) -> Iterator[str]:
    asked = (
        ("suite", one.suite, two.suite),
        ("protocol", _protocols(one), _protocols(two)),
        ("warm-up steps", one.sampling.warmup_steps, two.sampling.warmup_steps),
        ("measured steps", one.sampling.measure_steps, two.sampling.measure_steps),
    )
    for name, left, right in asked:
        if left != right:
            yield f"{name}: {left} and {right}"
    for name in sorted(one.engine.keys() | two.engine.keys()):
        left, right = one.engine.get(name, "unknown"), two.engine.get(name, "unknown")
        if left != right and one.backend == two.backend:
            yield f"engine's {name}: {left} and {right}"


def _protocols(run: Run) -> str:
    return ", ".join(sorted({cell.protocol for cell in run.cells}))
