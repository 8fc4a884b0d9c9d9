"""A site over many runs: how long it takes to make, and to open in headless Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks import scale_data
from runner import published, report_commands, store
from runner.report import site

ROOT = Path(__file__).resolve().parent.parent
LIMIT_BUILD_S = 60.0
LIMIT_OPEN_S = 2.0
OPENED = 3
# The first of each kind by name; a kind that the site lacks is an error.
KINDS = {
    "every run": "index.html",
    "one run": "runs/*/index.html",
    "run against run": "compare.html",
    "one cell's history": "cells/*.html",
    "one image": "images/*.html",
    "every image": "images.html",
    "frameworks": "works/*.html",
    "a published benchmark": "published/*.html",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A page: its size, and seconds until its first table is painted, the slowest of three."""

    kind: str
    file: str
    mib: float
    first_table_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteCost:
    """What a site took; CPU seconds are over all processes that made it."""

    runs: int
    pages: int
    mib: float
    build_wall_s: float
    build_cpu_s: float
    opened: tuple[Opened, ...]


def measure(runs: int, folder: Path | None) -> SiteCost:
    """Make a site over so many runs, open a page of each kind, and print what both took."""
    with _folder(folder) as base:
        results, target = base / "results", base / "site"
        shutil.rmtree(target, ignore_errors=True)
        if not results.is_dir():
            scale_data.write_runs(results, runs)
        plan = site.Plan(
            folders=tuple(store.runs(results)),
            load=report_commands.load_run,
            releases=scale_data.releases(),
            documents=published.load(ROOT / "results" / "published"),
            target=target,
        )
        wall, cpu = time.perf_counter(), _cpu_s()
        pages = site.build(plan)
        wall, cpu = time.perf_counter() - wall, _cpu_s() - cpu
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        print(
            f"{len(plan.folders)} runs of {scale_data.CELLS_A_RUN} cells: {pages} pages, "
            f"{size / 2**20:.0f} MiB in {wall:.1f} s on the wall (wanted: {LIMIT_BUILD_S:g}), "
            f"{cpu:.1f} s of CPU",
            flush=True,
        )
        return SiteCost(
            runs=len(plan.folders),
            pages=pages,
            mib=size / 2**20,
            build_wall_s=wall,
            build_cpu_s=cpu,
            opened=tuple(_open_all(target)),
        )


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _cpu_s() -> float:
    """Return CPU seconds of this process and of those of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _open_all(target: Path) -> Iterator[Opened]:
    print(f"until the first table is painted, the slowest of {OPENED} (wanted: {LIMIT_OPEN_S:g} s)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for kind, pattern in KINDS.items():
            path = min(target.glob(pattern))
            one = Opened(
                kind=kind,
                file=str(path.relative_to(target)),
                mib=path.stat().st_size / 2**20,
                first_table_s=max(_first_table_s(browser, path) for _ in range(OPENED)),
            )
            print(f"{one.first_table_s:6.2f} s {one.mib:7.2f} MiB  {kind}: {one.file}", flush=True)
            yield one
        browser.close()


def _first_table_s(browser: Browser, path: Path) -> float:
    """Open a page in a context of its own, so that nothing of it is cached."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit")
    page.locator("table tbody tr").first.wait_for(state="visible")
    page.evaluate("new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))")
    taken = time.perf_counter() - started
    context.close()
    return taken
