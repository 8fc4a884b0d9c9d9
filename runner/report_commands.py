"""``runner report``, ``plot`` and ``site``: options, and what each does."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigurationError, RunnerError
from runner.launching import say

if TYPE_CHECKING:
    from rich.console import Console

    from runner.model import Record, Run, Suite
    from runner.published import Document
    from runner.report.reproduced import Reproduced
    from runner.report.source import Release, Source

OK, INCOMPLETE = 0, 1
TEXTS = ("markdown", "csv", "json")
EXPORTS = (
    *("latex", "parquet", "pyperf", "bencher", "github-smaller", "github-bigger"),
    "openmetrics",
)
FOLDERS = ("asv",)
FORMATS = ("table", *TEXTS, *EXPORTS, *FOLDERS)
PLOTS = ("bars", "decade", "phases", "memory", "gpu", "steps", "published")

# Holds itself, and is frozen: what is in it is not freed one by one as the process ends.
_KEPT: list[object] = []

Action = Callable[[argparse.Namespace, "Console"], int]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module to the command line."""
    report = commands.add_parser("report", help="render a finished run as a table or a page")
    _add_run(report)
    report.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="what to write; all but 'table' are for machines or other documents",
    )
    report.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: standard output"
    )
    report.add_argument("--html", type=Path, metavar="DIR", help="make a page in DIR instead")
    plot = commands.add_parser("plot", help="draw a picture of a run as SVG or PNG")
    _add_run(plot)
    plot.add_argument(
        "--kind",
        choices=PLOTS,
        required=True,
        help="what to draw; every panel of it in one picture",
    )
    plot.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a name that ends in .svg or .png",
    )
    site = commands.add_parser("site", help="make a site over every run of a folder")
    site.add_argument("results", type=Path, metavar="DIR", help="such as results/reference")
    site.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the pages go"
    )
    _add_root(site)


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or 'latest'")
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where 'latest' looks for runs",
    )
    _add_root(command)


def _add_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the project's folder, whose images/ gives release dates (default: here)",
    )


def report(asked: argparse.Namespace, console: Console) -> int:
    """Render a run; the status says whether every cell of it has a number."""
    from runner.store import find_run

    folder = find_run(asked.run, asked.results)
    if asked.html is not None:
        return _html(asked, folder, console)
    if asked.format == "table" and asked.output is None:
        return show_run(folder, console)
    # A table has no dates, and to read every image's facts takes longer than a small table.
    dated = asked.format not in ("table", *TEXTS)
    made, whole = _load(folder, asked.root if dated else None, for_table=not dated)
    if asked.format in FOLDERS:
        _write_folder(asked, made)
    else:
        _write(asked, _rendered(asked.format, made))
    return whole


def _rendered(form: str, made: Source) -> bytes:
    if form == "table":
        form = "markdown"
    if form in TEXTS:
        from runner.report import formats

        return formats.FORMATS[form](made.table).encode()
    from runner.report import exports

    return exports.EXPORTS[form](made)


def _write(asked: argparse.Namespace, data: bytes) -> None:
    if asked.output is None:
        if asked.format == "parquet" and sys.stdout.isatty():
            msg = "parquet is no text for a terminal; name a file with --output"
            raise RunnerError(msg)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    _write_file(asked.output, data)


def _write_folder(asked: argparse.Namespace, made: Source) -> None:
    from runner.report import exports

    if asked.output is None:
        msg = f"{asked.format} is a folder of files; name it with --output"
        raise RunnerError(msg)
    for name, data in exports.FOLDERS[asked.format](made).items():
        _write_file(asked.output / name, data)


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise RunnerError(msg) from None


def _load(folder: Path, root: Path | None, *, for_table: bool = False) -> tuple[Source, int]:
    from runner import cells, store
    from runner.report.source import source

    # All of it stays to the end: the collector need not look through it, now or ever.
    gc.disable()
    try:
        run, records = store.load_run(folder), store.load_records(folder, for_table=for_table)
        made = source(run, records, {} if root is None else releases(root))
        _KEPT.append((_KEPT, made))
    finally:
        gc.freeze()
        gc.enable()
    return made, OK if cells.is_whole(made.run.cells, made.records) else INCOMPLETE


def releases(root: Path) -> Mapping[str, Release]:
    """Return the release dates that images/ gives; none where there is no such folder.

    Rendering needs no image: a folder that is being edited costs its dates, not the report.
    """
    from runner.config import load_images
    from runner.report.source import releases_of

    try:
        return releases_of(load_images(root.resolve()))
    except ConfigurationError:
        return {}


def show_run(folder: Path, console: Console) -> int:
    """Print a run as a table with its remarks."""
    from runner.report import formats

    made, whole = _load(folder, Path(), for_table=True)
    console.print()
    console.print(formats.rich_table(made.table, console.width))
    if console.is_terminal:
        from runner.report.terminal import plots

        plain = not (console.encoding or "").lower().startswith("utf")
        for line in plots(made, min(console.width, 100), plain=plain):
            console.print(line, markup=False, highlight=False, no_wrap=True, overflow="crop")
        console.print()
    for line in (*formats.notes(made.table), *made.table.remarks):
        _say(console, f"- {line}")
    for line in formats.scaling(made.table).splitlines():
        _say(console, line)
    _say(console, f"run: {folder}")
    return whole


def _say(console: Console, text: str) -> None:
    from runner.report.logs import readable

    say(console, readable(text))


def _html(asked: argparse.Namespace, folder: Path, console: Console) -> int:
    from runner.report import html

    made, whole = _load(folder, asked.root)
    published = _published(made, asked.root)
    _say(console, f"page: {html.write_report(made, folder, asked.html, published)}")
    return whole


def _published(made: Source, root: Path) -> Reproduced:
    """Hold a run against the published document that its suite is made from, if it is."""
    from runner.report.reproduced import absent, reproduced
    from runner.reproduce import reproduce

    name, root = made.run.suite, root.resolve()
    try:
        suite = _suites(root).get(name)
        if suite is None or not suite.published:
            return absent(f"The suite {name} is made from no published document.")
        document = _document(root / "results" / "published" / suite.published)
    except ConfigurationError as error:
        # Rendering needs no project: what is missing or being edited costs this section only.
        return absent(f"Not compared with published numbers: {error}")
    records = [record for own in made.records.values() for record in own]
    return reproduced(reproduce(document, suite, made.run, records))


@cache
def _suites(root: Path) -> Mapping[str, Suite]:
    """Return the matrix's suites: a site asks for them run by run."""
    from runner.config import load_matrix

    images = [path.parent.name for path in root.glob("images/*/image.yaml")]
    return load_matrix(root / "matrix.yaml", images).suites


@cache
def _document(folder: Path) -> Document:
    from runner.published import load_document

    return load_document(folder)


def plot(asked: argparse.Namespace, console: Console) -> int:
    """Draw one picture of a run."""
    from runner.report import pictures
    from runner.store import find_run

    made, _ = _load(find_run(asked.run, asked.results), asked.root)
    if asked.kind == "published":
        drawn = _published_plot(made, asked.root)
    else:
        drawn = pictures.lite_specification(made, asked.kind)
    pictures.write(drawn, asked.output)
    _say(console, f"picture: {asked.output}")
    return OK


def _published_plot(made: Source, root: Path) -> dict[str, Any]:
    from runner.report import pictures

    held = _published(made, root)
    panels = [panel for grid in held.grids for panel in grid.panels]
    if not panels:
        why = "no number has a ratio here" if held.grids else held.lines[0]
        msg = f"run {made.run.id}: no published plot: {why}"
        raise pictures.PlotError(msg)
    return pictures.specification("published", panels, held.lines[0])


def site(asked: argparse.Namespace, console: Console) -> int:
    """Make a site over many runs."""
    from runner import published, store
    from runner.report import site as sites

    folders = store.runs(asked.results)
    if not folders:
        msg = f"{asked.results}: no run in it; a run's folder holds run.json"
        raise RunnerError(msg)
    documents = asked.root / "results" / "published"
    plan = sites.Plan(
        folders=tuple(folders),
        load=load_run,
        releases=releases(asked.root),
        documents=published.load(documents) if documents.is_dir() else (),
        target=asked.output,
        held=partial(_published, root=asked.root),
    )
    pages = sites.build(plan)
    _say(console, f"site: {asked.output / 'index.html'}, {len(folders)} runs, {pages} pages")
    return OK


def load_run(folder: Path) -> tuple[Run, list[Record]]:
    """Read a run with its records; raises StoreError where it is damaged."""
    from runner import store

    return store.load_run(folder), store.load_records(folder)


ACTIONS: dict[str, Action] = {"report": report, "plot": plot, "site": site}
