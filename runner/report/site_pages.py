"""The pages over many runs: each a pure function of the runs' summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.model import Status
from runner.report.listing_page import Box, Head, Listing, Section, count, number
from runner.report.page import Fact
from runner.report.panels import Rows
from runner.report.site_compare import compare_link
from runner.report.source import Release, slug
from runner.report.summary import CellSummary, RunSummary
from runner.stats.compare import Comparison

Seen = tuple[RunSummary, CellSummary]


def index(runs: Sequence[RunSummary]) -> Listing:
    """List every run, newest first; `runs` are oldest first."""
    before = _before(runs)
    rows = tuple(
        (
            Box(text=run.id, link=run.page),
            Box(text=run.suite),
            Box(text=run.started_at),
            Box(text=run.where),
            count(sum(cell.status is Status.OK for cell in run.cells)),
            count(len(run.cells)),
            _compared(run, before.get(run.id)),
        )
        for run in reversed(runs)
    )
    heads = ("run", "suite", "started", "machine and backend", "measured", "cells", "compared")
    section = Section(title="Runs", heads=_heads(heads, numbers={"measured", "cells"}), rows=rows)
    intro = "Every run that this site was made from; each leads to its table, plots and records."
    return Listing(title="Measured runs", intro=intro, root="", sections=(section,))


def _before(runs: Sequence[RunSummary]) -> dict[str, RunSummary]:
    """Return, by id, the run before each one of the same suite, machine and backend."""
    latest: dict[tuple[str, str], RunSummary] = {}
    found = {}
    for run in runs:
        kind = (run.suite, run.where)
        if kind in latest:
            found[run.id] = latest[kind]
        latest[kind] = run
    return found


def _compared(run: RunSummary, before: RunSummary | None) -> Box:
    if before is None:
        return Box(text="first of its kind")
    return Box(text="with the run before", link=compare_link(before, run))


def _heads(titles: Iterable[str], numbers: Iterable[str]) -> tuple[Head, ...]:
    known = set(numbers)
    return tuple(Head(title=title, number=title in known) for title in titles)


def ratio_boxes(found: Comparison) -> tuple[Box, Box, Box, Box]:
    """Return ratio, the ends of its interval, and verdict."""
    return (
        number(found.ratio, 4),
        number(found.low, 4, "none"),
        number(found.high, 4, "none"),
        Box(text=str(found.verdict)),
    )


def cell_path(cell: CellSummary) -> str:
    """Return where a cell's history is; cells of other parameters have another."""
    return f"cells/{slug(cell.cell.label)}-{cell.work_hash}.html"


def by_cell(runs: Iterable[RunSummary]) -> dict[str, list[Seen]]:
    """Return every cell's measurements over the runs, oldest first, by its page."""
    found: dict[str, list[Seen]] = {}
    for run in runs:
        for cell in run.cells:
            found.setdefault(cell_path(cell), []).append((run, cell))
    return found


def history(seen: Sequence[Seen]) -> Listing:
    """Show a cell over time, each machine and backend apart."""
    cell = seen[0][1].cell
    points: Rows = [
        {
            "run": run.id,
            "where": run.where,
            "date": run.started_at,
            "speed": one.speed,
            "low": one.low,
            "high": one.high,
        }
        for run, one in seen
        if one.speed is not None
    ]
    heads = ("run", "started", "machine and backend", "median step (ms)", "images/s", "status")
    rows = tuple(
        (
            Box(text=run.id, link=f"{run.page}#{one.anchor}"),
            Box(text=run.started_at),
            Box(text=run.where),
            number(one.median_ms),
            number(one.speed),
            Box(text=f"{one.status}: {one.reason}" if one.reason else str(one.status)),
        )
        for run, one in reversed(seen)
    )
    sections = [
        Section(
            title="Every measurement",
            heads=_heads(heads, numbers={"median step (ms)", "images/s"}),
            rows=rows,
        )
    ]
    if points:
        note = "One line a machine and backend: numbers of two machines are never joined."
        sections.insert(0, Section(title="Speed", note=note, kind="history", points=points))
    given = ", ".join(f"{name}={value}" for name, value in cell.parameters.items())
    facts = (
        Fact(name="protocol", text=cell.protocol),
        Fact(name="device", text=cell.device),
        Fact(name="parameters", text=given or "none"),
    )
    intro = "One cell over every run that has it."
    return Listing(title=cell.label, intro=intro, root="../", sections=tuple(sections), facts=facts)


def image_path(image: str) -> str:
    """Return where an image's page is."""
    return f"images/{slug(image)}.html"


def images_index(found: Mapping[str, Sequence[Seen]], releases: Mapping[str, Release]) -> Listing:
    """List every image of every run."""
    rows = []
    for image, seen in sorted(found.items()):
        release = releases.get(image)
        measured = sum(cell.status is Status.OK for _, cell in seen)
        rows.append(
            (
                Box(text=image, link=image_path(image)),
                Box(text=release.framework if release else "-"),
                Box(text=release.version if release else "-"),
                Box(text=release.date if release else "-"),
                count(measured),
                count(len(seen)),
            )
        )
    heads = ("image", "framework", "version", "released", "measured", "asked for")
    section = Section(
        title="Images", heads=_heads(heads, numbers={"measured", "asked for"}), rows=tuple(rows)
    )
    intro = "A framework release each, and how often one of its cells came to a number."
    return Listing(title="Images", intro=intro, root="", sections=(section,))


def image_page(image: str, seen: Sequence[Seen], release: Release | None) -> Listing:
    """Show the latest of every cell of an image, each machine and backend apart."""
    latest: dict[tuple[str, str], Seen] = {}
    for run, cell in seen:
        latest[(cell_path(cell), run.where)] = (run, cell)
    heads = ("cell", "machine and backend", "median step (ms)", "images/s", "status", "latest run")
    rows = tuple(
        (
            Box(text=cell.cell.label, link=path),
            Box(text=where),
            number(cell.median_ms),
            number(cell.speed),
            Box(text=f"{cell.status}: {cell.reason}" if cell.reason else str(cell.status)),
            Box(text=run.id, link=f"{run.page}#{cell.anchor}"),
        )
        for (path, where), (run, cell) in latest.items()
    )
    facts: tuple[Fact, ...] = ()
    if release is not None:
        named = f"{release.framework} {release.version}, {release.date}"
        defects = (Fact(name="known defect", text=defect) for defect in release.defects)
        facts = (Fact(name="release", text=named), *defects)
    section = Section(
        title="Latest of every cell",
        heads=_heads(heads, numbers={"median step (ms)", "images/s"}),
        rows=rows,
    )
    intro = "A cell's name leads to its history, a run to where the number came from."
    return Listing(title=image, intro=intro, root="../", sections=(section,), facts=facts)


def by_image(runs: Iterable[RunSummary]) -> dict[str, list[Seen]]:
    """Return every image's measurements, oldest first."""
    found: dict[str, list[Seen]] = {}
    for run in runs:
        for cell in run.cells:
            found.setdefault(cell.cell.image, []).append((run, cell))
    return found
