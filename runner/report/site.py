"""A site over many runs, from their records alone: static pages that need no server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from runner.model import Record, Run
from runner.published import Document
from runner.report import site_pages, site_works
from runner.report.html import PageError, copy_run, run_html
from runner.report.listing_page import Listing, listing_html
from runner.report.page import page
from runner.report.panels import KINDS
from runner.report.pictures import vega_script, vega_specification
from runner.report.source import Release, slug, source
from runner.report.summary import RunSummary, summary

Load = Callable[[Path], tuple[Run, Sequence[Record]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a site is made of.

    Attributes:
        load: reads a run's folder; raises RunnerError where it is damaged.
    """

    folders: tuple[Path, ...]
    load: Load
    releases: Mapping[str, Release]
    documents: tuple[Document, ...]
    target: Path


def build(plan: Plan) -> int:
    """Write the whole site and return the number of its pages.

    Raises:
        PageError: two runs have the same name, or a file cannot be written.
        RunnerError: a run cannot be read.
    """
    names = [slug(folder.name) for folder in plan.folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{', '.join(twice)}: two runs of one name cannot have one page"
        raise PageError(msg)
    try:
        _write_assets(plan.target)
        runs = sorted(_write_runs(plan), key=lambda run: (run.started_at, run.id))
        pages = dict(_pages(plan, runs))
        for path, listing in pages.items():
            _write(plan.target / path, listing_html(listing))
    except OSError as error:
        msg = f"{error.filename or plan.target}: cannot be written: {error.strerror}"
        raise PageError(msg) from None
    return len(pages) + len(runs)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace")


def _write_assets(target: Path) -> None:
    """Write what every page shares: Vega, and each chart once."""
    _write(target / "assets" / "vega.js", vega_script())
    charts = {kind: vega_specification(kind) for kind in (*KINDS, "history")}
    _write(target / "assets" / "charts.js", f"window.specifications = {json.dumps(charts)};\n")


def _write_runs(plan: Plan) -> Iterable[RunSummary]:
    """Write every run's page, on all cores; runs do not depend on each other."""
    work = partial(_write_run, plan.load, plan.releases, plan.target)
    workers = min(len(os.sched_getaffinity(0)), len(plan.folders))
    if workers < 2 or len(plan.folders) < 8:
        return [work(folder) for folder in plan.folders]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(work, plan.folders, chunksize=4))


def _write_run(
    load: Load, releases: Mapping[str, Release], target: Path, folder: Path
) -> RunSummary:
    run, records = load(folder)
    made = source(run, records, releases)
    kept = summary(made)
    own = (target / kept.page).parent
    own.mkdir(parents=True, exist_ok=True)
    copy_run(made, folder, own)
    _write(target / kept.page, run_html(page(made, folder), embedded=False))
    return kept


def _pages(plan: Plan, runs: Sequence[RunSummary]) -> Iterable[tuple[str, Listing]]:
    successions = list(_successions(runs))
    yield "index.html", site_pages.index(runs, {run.id for _, run in successions})
    for earlier, run in successions:
        yield site_pages.against_path(run), site_pages.against(run, earlier)
    for path, seen in site_pages.by_cell(runs).items():
        yield path, site_pages.history(seen)
    images = site_pages.by_image(runs)
    yield "images.html", site_pages.images_index(images, plan.releases)
    for image, seen in images.items():
        made = site_pages.image_page(image, seen, plan.releases.get(image))
        yield site_pages.image_path(image), made
    works = site_works.by_work(runs)
    yield "works.html", site_works.works_index(works)
    for path, places in works.items():
        yield path, site_works.work_page(places, plan.releases)
    yield "published.html", site_works.published_index(plan.documents)
    for document in plan.documents:
        yield site_works.published_path(document), site_works.published_page(document)


def _successions(runs: Sequence[RunSummary]) -> Iterable[tuple[RunSummary, RunSummary]]:
    """Yield each run with the one before it of the same suite, machine and backend."""
    kinds: dict[tuple[str, str], list[RunSummary]] = {}
    for run in runs:
        kinds.setdefault((run.suite, run.where), []).append(run)
    for same in kinds.values():
        yield from pairwise(same)
