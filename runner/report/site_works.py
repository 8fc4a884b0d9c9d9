"""Pages that hold frameworks against each other, and the published numbers with their defects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runner.model import Status
from runner.published import Document, numbers
from runner.report.listing_page import Box, Head, Listing, Section, count, number
from runner.report.page import Fact
from runner.report.panels import Rows, part_names
from runner.report.source import Release, slug
from runner.report.summary import CellSummary, RunSummary

Seen = tuple[RunSummary, CellSummary]


def work_name(cell: CellSummary) -> str:
    """Name a piece of work and its variant for people."""
    own = cell.cell
    return " ".join(filter(None, (own.workload, own.variant, own.protocol, own.device)))


def work_path(cell: CellSummary) -> str:
    """Return where the images that did the same work are held against each other."""
    return f"works/{slug(work_name(cell))}-{cell.work_hash}.html"


def by_work(runs: Iterable[RunSummary]) -> dict[str, dict[str, dict[str, Seen]]]:
    """Return page -> machine and backend -> image -> its latest measurement of that work."""
    found: dict[str, dict[str, dict[str, Seen]]] = {}
    for run in runs:
        for cell in run.cells:
            where = found.setdefault(work_path(cell), {}).setdefault(run.where, {})
            known = where.get(cell.cell.image)
            if known is None or cell.status is Status.OK or known[1].status is not Status.OK:
                where[cell.cell.image] = (run, cell)
    return found


def works_index(found: Mapping[str, Mapping[str, Mapping[str, Seen]]]) -> Listing:
    """List every piece of work."""
    rows = []
    for path, places in found.items():
        _, first = next(iter(next(iter(places.values())).values()))
        given = ", ".join(f"{name}={value}" for name, value in first.cell.parameters.items())
        images = {image for place in places.values() for image in place}
        rows.append(
            (
                Box(text=work_name(first), link=path),
                Box(text=given or "none"),
                count(len(images)),
                count(len(places)),
            )
        )
    heads = (
        Head(title="work"),
        Head(title="parameters"),
        Head(title="images", number=True),
        Head(title="machines and backends", number=True),
    )
    section = Section(title="Work", heads=heads, rows=tuple(rows))
    intro = "Images that did the same work, with the same parameters, side by side."
    return Listing(title="Frameworks against each other", intro=intro, root="", sections=(section,))


def work_page(places: Mapping[str, Mapping[str, Seen]], releases: Mapping[str, Release]) -> Listing:
    """Show the latest number of every image for one piece of work, a section a machine."""
    _, first = next(iter(next(iter(places.values())).values()))
    sections = tuple(
        _work_section(where, images, releases) for where, images in sorted(places.items())
    )
    given = ", ".join(f"{name}={value}" for name, value in first.cell.parameters.items())
    return Listing(
        title=work_name(first),
        intro="The latest number of each image. Machines and backends stand apart: a ratio of "
        "numbers from two of them is not of the frameworks.",
        root="../",
        sections=sections,
        facts=(Fact(name="parameters", text=given or "none"),),
    )


def _work_section(
    where: str, images: Mapping[str, Seen], releases: Mapping[str, Release]
) -> Section:
    points: Rows = []
    for image, (_, cell) in images.items():
        release = releases.get(image)
        if release is not None and cell.speed is not None:
            points.append(
                {
                    "image": image,
                    "framework": release.framework,
                    "version": release.version,
                    "above": release.version.split("+")[0],
                    "below": "",
                    "date": release.date,
                    "released": release.date,
                    "speed": cell.speed,
                    "low": cell.low,
                    "high": cell.high,
                    "launches": str(cell.launches),
                }
            )
    part_names(points)
    kind = "decade" if points else "bars"
    if not points:
        points = _bars(images)
    heads = (
        Head(title="image"),
        Head(title="released"),
        Head(title="median step (ms)", number=True),
        Head(title="images/s", number=True),
        Head(title="status"),
        Head(title="run"),
    )
    rows = tuple(
        (
            Box(text=image, link=f"images/{slug(image)}.html"),
            Box(text=releases[image].date if image in releases else "-"),
            number(cell.median_ms),
            number(cell.speed),
            Box(text=str(cell.status)),
            Box(text=run.id, link=f"{run.page}#{cell.anchor}"),
        )
        for image, (run, cell) in images.items()
    )
    return Section(
        title=where,
        kind=kind,
        points=points,
        heads=heads,
        rows=rows,
    )


def _bars(images: Mapping[str, Seen]) -> Rows:
    """Return bars for images whose release dates nobody knows."""
    return [
        {
            "label": image,
            "order": order,
            "speed": cell.speed,
            "low": cell.low,
            "high": cell.high,
            "median_ms": cell.median_ms,
            "launches": str(cell.launches),
            "status": str(cell.status),
            "shown": "" if cell.status is Status.OK else str(cell.status),
        }
        for order, (image, (_, cell)) in enumerate(images.items())
    ]


def published_path(document: Document) -> str:
    """Return where a published benchmark's page is."""
    return f"published/{slug(document.suite)}.html"


def published_index(documents: Sequence[Document]) -> Listing:
    """List the published benchmarks."""
    heads = (
        Head(title="suite"),
        Head(title="title"),
        Head(title="date"),
        Head(title="tables", number=True),
        Head(title="defects", number=True),
    )
    rows = tuple(
        (
            Box(text=document.suite, link=published_path(document)),
            Box(text=document.title),
            Box(text=document.source.date),
            count(len(document.tables)),
            count(len(document.defects)),
        )
        for document in documents
    )
    section = Section(title="Published benchmarks", heads=heads, rows=rows)
    intro = "Other people's numbers, digit for digit, with what is known to be wrong with them."
    return Listing(title="Published numbers", intro=intro, root="", sections=(section,))


def published_page(document: Document) -> Listing:
    """Show a published benchmark: its tables as printed, its defects and what they touch."""
    sections = []
    for table in document.tables:
        if table.kind != "results":
            continue
        touched = {
            (cell.row, cell.column): cell.defects
            for cell in numbers(document, table)
            if cell.defects
        }
        named = sorted({name for names in touched.values() for name in names})
        note = f"Touched by the defects {', '.join(named)}." if named else ""
        sections.append(
            Section(
                title=table.title,
                note=note,
                heads=tuple(Head(title=column) for column in table.columns),
                rows=tuple(tuple(Box(text=box) for box in row) for row in table.rows if any(row)),
            )
        )
    heads = tuple(Head(title=title) for title in ("defect", "what", "effect", "evidence"))
    rows = tuple(
        (
            Box(text=defect.id),
            Box(text=defect.what),
            Box(text=defect.effect),
            Box(text="; ".join(evidence.shows for evidence in defect.evidence)),
        )
        for defect in document.defects
    )
    sections.append(Section(title="Defects", heads=heads, rows=rows))
    source = document.source
    facts = (
        Fact(name="source", text=f"{source.repository}, {source.path} at {source.commit}"),
        Fact(name="date", text=source.date),
        Fact(name="protocol", text=document.protocol),
    )
    return Listing(
        title=document.title,
        intro=f"The published benchmark that the suite {document.suite} reproduces.",
        root="../",
        sections=tuple(sections),
        facts=facts,
    )
