"""Pages of machines: what each measured, and the same cells on two of them, never unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.model import Status
from runner.report.listing_page import Box, Head, Listing, Section, count, number
from runner.report.page import Fact
from runner.report.site_pages import Seen, cell_path, ratio_boxes
from runner.report.source import slug
from runner.report.summary import RunSummary
from runner.stats.compare import compare_all


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A machine and a backend: numbers of two places are never joined.

    Attributes:
        runs: oldest first.
        latest: the page of a cell's history to its latest measurement here with a number.
    """

    where: str
    runs: tuple[RunSummary, ...]
    latest: Mapping[str, Seen]

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"machines/{slug(self.where)}.html"


def places(runs: Iterable[RunSummary]) -> list[Place]:
    """Gather runs, oldest first, by where they were made."""
    found: dict[str, list[RunSummary]] = {}
    for run in runs:
        found.setdefault(run.where, []).append(run)
    return [
        Place(
            where=where,
            runs=tuple(own),
            latest={
                cell_path(cell): (run, cell)
                for run in own
                for cell in run.cells
                if cell.status is Status.OK
            },
        )
        for where, own in sorted(found.items())
    ]


def machines_index(found: Sequence[Place]) -> Listing:
    """List every machine and backend."""
    rows = tuple(
        (
            Box(text=place.where, link=place.path),
            Box(text=place.runs[-1].machine),
            Box(text=place.runs[-1].backend),
            Box(text=place.runs[-1].fingerprint),
            count(len(place.runs)),
            count(len(place.latest)),
            Box(text=place.runs[-1].id, link=place.runs[-1].page),
        )
        for place in found
    )
    heads = (
        *(Head(title=title) for title in ("machine and backend", "processor", "backend")),
        Head(title="fingerprint"),
        Head(title="runs", number=True),
        Head(title="cells measured", number=True),
        Head(title="latest run"),
    )
    intro = (
        "Numbers of two machines, or of two backends on one, are never joined in a line or a "
        "ratio without saying so. A machine's page holds it against each other one."
    )
    section = Section(title="Machines", heads=heads, rows=rows)
    return Listing(title="Machines against each other", intro=intro, root="", sections=(section,))


def machine_page(place: Place, others: Sequence[Place]) -> Listing:
    """Show a machine's runs, and its cells against the same cells on each other machine."""
    facts = (
        Fact(name="processor", text=place.runs[-1].machine),
        Fact(name="backend", text=place.runs[-1].backend),
        Fact(name="fingerprint", text=place.runs[-1].fingerprint),
    )
    intro = (
        "Ratios here are of two machines or backends: the latest number of each, of the same "
        "image, work and parameters. They say nothing of frameworks."
    )
    sections = (*_against_each(place, others), _runs(place))
    return Listing(title=place.where, intro=intro, root="../", sections=sections, facts=facts)


def _against_each(place: Place, others: Sequence[Place]) -> Iterator[Section]:
    heads = (
        Head(title="cell"),
        *(
            Head(title=title, number=True)
            for title in ("here (ms)", "there (ms)", "there / here", "from", "to")
        ),
        Head(title="verdict on there"),
    )
    for other in others:
        both = [path for path in place.latest if path in other.latest]
        if other is place or not both:
            continue
        pairs = [(place.latest[path][1], other.latest[path][1]) for path in both]
        found = compare_all(
            [([[m] for m in a.medians_s], [[m] for m in b.medians_s]) for a, b in pairs]
        )
        rows = tuple(
            (
                Box(text=here.cell.label, link=path),
                number(here.median_ms),
                number(there.median_ms),
                *ratio_boxes(one),
            )
            for path, (here, there), one in zip(both, pairs, found, strict=True)
        )
        note = (
            f"There is {other.where}. Ratios of step times: under 1, there is faster. Verdicts "
            "hold together at 95 % (Holm); same means within 2 %."
        )
        yield Section(title=f"Against {other.where}", note=note, heads=heads, rows=rows)


def _runs(place: Place) -> Section:
    rows = tuple(
        (
            Box(text=run.id, link=run.page),
            Box(text=run.suite),
            Box(text=run.started_at),
            count(sum(cell.status is Status.OK for cell in run.cells)),
            count(len(run.cells)),
        )
        for run in reversed(place.runs)
    )
    heads = (
        *(Head(title=title) for title in ("run", "suite", "started")),
        *(Head(title=title, number=True) for title in ("measured", "cells")),
    )
    return Section(title="Its runs", heads=heads, rows=rows)
