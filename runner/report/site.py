"""A site over many runs, from their records alone: static pages that need no server."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.model import Record, Run
from runner.published import Document
from runner.report import site_compare, site_machines, site_pages, site_published, site_works
from runner.report.html import PageError, asset, copy_run, run_html, table_script
from runner.report.listing_page import Listing, listing_html
from runner.report.page import page
from runner.report.panels import KINDS
from runner.report.pictures import vega_script, vega_specification
from runner.report.reproduced import Reproduced
from runner.report.source import Release, Source, slug, source
from runner.report.summary import RunSummary, summary

Held = Callable[[Source], Reproduced]
Load = Callable[[Path], tuple[Run, Sequence[Record]]]
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a site is made of.

    Attributes:
        load: reads a run's folder; raises RunnerError where it is damaged.
        held: holds a run against the published document that its suite is made from; None
            where nobody looks. Both are sent to other processes.
    """

    folders: tuple[Path, ...]
    load: Load
    releases: Mapping[str, Release]
    documents: tuple[Document, ...]
    target: Path
    held: Held | None = None


def build(plan: Plan) -> int:
    """Write the whole site and return the number of its pages.

    Raises:
        PageError: two runs have the same name, or a file cannot be written.
        RunnerError: a run cannot be read.
    """
    _refuse_same(folder.name for folder in plan.folders)
    try:
        with _workers(len(plan.folders)) as each:
            write = partial(_write_run, plan.load, plan.held, plan.releases, plan.target)
            made = each(write, plan.folders)
            # Meanwhile: what every page shares takes seconds to make.
            _write_assets(plan.target)
            runs = sorted(made, key=lambda run: (run.started_at, run.id))
            _refuse_same(run.id for run in runs)
            listings = list(_listings(plan, runs))
            written = each(partial(_write_listing, plan.target), listings)
            texts = dict(_texts(plan, runs))
            for path, text in texts.items():
                _write(plan.target / path, text)
            all_written = sum(1 for _ in written)
    except OSError as error:
        msg = f"{error.filename or plan.target}: cannot be written: {error.strerror}"
        raise PageError(msg) from None
    return len(runs) + all_written + len(texts)


def _refuse_same(names: Iterable[str]) -> None:
    twice = sorted(name for name, times in Counter(map(slug, names)).items() if times > 1)
    if twice:
        msg = f"{', '.join(twice)}: two runs of one name cannot have one page"
        raise PageError(msg)


@contextmanager
def _workers(runs: int) -> Iterator[Each]:
    """Give a `map` over all cores; over one where there is little to do."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2 or runs < 8:
        yield map
        return
    with ProcessPoolExecutor(cores) as pool:
        yield partial(pool.map, chunksize=4)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace")


def _write_assets(target: Path) -> None:
    """Write what every page shares: Vega, each chart once, and what compares two runs."""
    _write(target / "assets" / "vega.js", vega_script())
    _write(target / "assets" / "tables.js", table_script())
    charts = {kind: vega_specification(kind) for kind in (*KINDS, "history")}
    _write(target / "assets" / "charts.js", f"window.specifications = {json.dumps(charts)};\n")
    _write(target / site_compare.SCRIPT, asset("compare.js"))


def _write_run(
    load: Load,
    held: Held | None,
    releases: Mapping[str, Release],
    target: Path,
    folder: Path,
) -> RunSummary:
    run, records = load(folder)
    made = source(run, records, releases)
    kept = summary(made)
    own = (target / kept.page).parent
    own.mkdir(parents=True, exist_ok=True)
    copy_run(made, folder, own)
    shown = page(made, folder, None if held is None else held(made))
    histories = {cell.anchor: site_pages.cell_path(cell) for cell in kept.cells}
    _write(target / kept.page, run_html(shown, embedded=False, histories=histories))
    _write(target / site_compare.data_path(kept), site_compare.run_data(kept))
    return kept


def _write_listing(target: Path, made: tuple[str, Listing]) -> None:
    path, listing = made
    _write(target / path, listing_html(listing))


def _listings(plan: Plan, runs: Sequence[RunSummary]) -> Iterator[tuple[str, Listing]]:
    yield "index.html", site_pages.index(runs)
    for path, seen in site_pages.by_cell(runs).items():
        yield path, site_pages.history(seen)
    images = site_pages.by_image(runs)
    yield "images.html", site_pages.images_index(images, plan.releases)
    for image, seen in images.items():
        made = site_pages.image_page(image, seen, plan.releases.get(image))
        yield site_pages.image_path(image), made
    works = site_works.by_work(runs)
    yield "works.html", site_works.works_index(works)
    for path, found in works.items():
        yield path, site_works.work_page(found, plan.releases)
    places = site_machines.places(runs)
    yield "machines.html", site_machines.machines_index(places)
    for place in places:
        yield place.path, site_machines.machine_page(place, places)


def _texts(plan: Plan, runs: Sequence[RunSummary]) -> Iterator[tuple[str, str]]:
    yield site_compare.PAGE, site_compare.compare_html(runs)
    yield from site_published.pages(plan.documents, runs)
