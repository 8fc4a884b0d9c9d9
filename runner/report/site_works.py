"""Pages that hold frameworks against each other: images that did the same work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from runner.model import Status
from runner.report.listing_page import Box, Head, Listing, Section, count, number
from runner.report.page import Fact
from runner.report.panels import Rows, part_names
from runner.report.site_pages import Seen, ratio_boxes
from runner.report.source import Release, slug
from runner.report.summary import CellSummary, RunSummary
from runner.stats.compare import compare_all


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
                    "defects": "; ".join(release.defects) or "none",
                    "speed": cell.speed,
                    "low": cell.low,
                    "high": cell.high,
                    "launches": str(cell.launches),
                }
            )
    # A line of dates needs two of them.
    kind = "decade" if len({point["date"] for point in points}) > 1 else "bars"
    if kind == "bars":
        points = _bars(images)
    else:
        part_names(points)
    heads = (
        *(Head(title=title) for title in ("image", "framework", "released")),
        *(
            Head(title=title, number=True)
            for title in ("median step (ms)", "images/s", "time / fastest", "from", "to")
        ),
        *(Head(title=title) for title in ("verdict", "status", "run")),
    )
    fastest, ratios = _over_fastest(images)
    rows = tuple(
        (
            Box(text=image, link=f"images/{slug(image)}.html"),
            Box(text=releases[image].framework if image in releases else "-"),
            Box(text=releases[image].date if image in releases else "-"),
            number(cell.median_ms),
            number(cell.speed),
            *ratios.get(image, _NO_RATIO),
            Box(text=str(cell.status)),
            Box(text=run.id, link=f"{run.page}#{cell.anchor}"),
        )
        for image, (run, cell) in images.items()
    )
    note = (
        f"Ratios of step times to the fastest, {fastest}: over 1 is slower. Verdicts hold together "
        "at 95 % (Holm); same means within 2 %."
    )
    return Section(
        title=where, note=note if ratios else "", kind=kind, points=points, heads=heads, rows=rows
    )


_NO_RATIO = (*[Box(text="-")] * 3, Box(text="-"))


def _over_fastest(images: Mapping[str, Seen]) -> tuple[str, dict[str, tuple[Box, ...]]]:
    """Return the fastest image, and each other one's boxes of its ratio to that."""
    medians = {
        image: [[median] for median in cell.medians_s]
        for image, (_, cell) in images.items()
        if cell.medians_s
    }
    if not medians:
        return "", {}
    fastest = min(medians, key=lambda image: images[image][1].median_ms or math.inf)
    others = [image for image in medians if image != fastest]
    found = compare_all([(medians[fastest], medians[image]) for image in others])
    boxes = {image: ratio_boxes(one) for image, one in zip(others, found, strict=True)}
    itself = (number(1.0), *[Box(text="-")] * 2, Box(text="the fastest"))
    return fastest, {fastest: itself, **boxes}


def _bars(images: Mapping[str, Seen]) -> Rows:
    """Return bars for images that are of one date, or of dates that nobody knows."""
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
