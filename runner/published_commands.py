"""``runner published`` and ``runner reproduce``: options, and what each does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigurationError
from runner.launching import launch, request_of, say

if TYPE_CHECKING:
    from rich.console import Console

    from runner.model import Suite
    from runner.published import Document
    from runner.reproduce import Reproduction
    from runner.reproduce_text import Choice
    from runner.request import Planned

OK, INCOMPLETE = 0, 1
FORMATS = ("text", "markdown", "json")
DEFECTS = "defects"

Action = Callable[[argparse.Namespace, "Console"], int]


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    backend_arguments: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands of this module to the command line."""
    published = commands.add_parser("published", help="numbers that others published")
    published.add_argument(
        "suite",
        nargs="?",
        metavar="SUITE",
        help="show its tables; 'defects': all that is wrong with them; default: list the suites",
    )
    published.add_argument("--revision", metavar="ID", help="the numbers at another commit")
    _add_root(published)
    reproduce = commands.add_parser("reproduce", help="make a published table again")
    reproduce.add_argument("suite", metavar="SUITE", help="one that 'runner published' lists")
    reproduce.add_argument(
        "--protocol",
        action="append",
        default=[],
        metavar="NAME",
        help="as-published or fair; repeatable; default: one below the other",
    )
    reproduce.add_argument("--profile", help="such as quick or full, the original's steps")
    reproduce.add_argument(
        "--run", type=Path, metavar="RUN", help="a finished run's folder, or 'latest'"
    )
    reproduce.add_argument(
        "--resume",
        nargs="?",
        const=Path("latest"),
        type=Path,
        metavar="RUN",
        help="go on with a run (default: the latest)",
    )
    reproduce.add_argument(
        "--each", action="store_true", help="launch each defect alone too, to see its worth"
    )
    reproduce.add_argument("--launches", type=int, metavar="N", help="no more and no fewer")
    for name, what in (
        ("only", "launch only cells that match image/workload"),
        ("row", "show, and launch, only this row of the document and its reference"),
        ("metric", "show, and launch, only this metric"),
    ):
        reproduce.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=what
        )
    reproduce.add_argument(
        "--margin", default="25%", help="what counts as the same ratio (default: 25%%)"
    )
    reproduce.add_argument(
        "--keep-disturbed", action="store_true", help="count jobs that others disturbed, too"
    )
    reproduce.add_argument("--format", choices=FORMATS, default="text", help="of what is printed")
    reproduce.add_argument("--cifar10", type=Path, metavar="FILE", help="real CIFAR-10 images")
    reproduce.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept"
    )
    reproduce.add_argument(
        "--gpu", action="append", default=[], metavar="GPU", help="for suites on GPUs; default: all"
    )
    reproduce.add_argument(
        "--matrix", type=Path, default=Path("matrix.yaml"), metavar="MATRIX", help="with the suites"
    )
    backend_arguments(reproduce)


def _add_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="the project's folder"
    )


def _published(asked: argparse.Namespace, console: Console) -> int:
    """Print what is published as a page: drawn on a terminal, Markdown elsewhere."""
    from runner import published

    documents = published.load(_folder(asked.root))
    if asked.suite is None:
        page = published.list_page(documents)
    elif asked.suite == DEFECTS:
        page = published.defects_page(documents)
    else:
        names = [each.suite for each in documents]
        _known("published", [("suite", [asked.suite], [*names, DEFECTS])])
        page = published.suite_page(published.find(documents, asked.suite), asked.revision)
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(page))
    else:
        console.file.write(page)
    return OK


def _folder(root: Path) -> Path:
    folder = root.resolve() / "results" / "published"
    if not folder.is_dir():
        problem = "no such folder; name the project's with --root"
        raise ConfigurationError(str(folder), [problem])
    return folder


def _known(source: str, asked: Sequence[tuple[str, Sequence[str], Collection[str]]]) -> None:
    """Hold names to those that there are.

    Raises:
        ConfigurationError: any is unknown; all of them at once, each with what there is.
    """
    problems = [
        f"no {kind} {name!r}; {_near(name, known)}"
        for kind, names, known in asked
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigurationError(source, problems)


def _near(name: str, known: Collection[str]) -> str:
    from runner.documents import hint

    near, every = hint(name, known), hint("", known)
    return every if near == every else f"{near} {every.capitalize()}"


def _reproduce(asked: argparse.Namespace, console: Console) -> int:
    from runner import cells, store
    from runner.reproduce import PROTOCOLS, reproduce

    suite, document, choice, margin = _asked(asked)
    protocols = [name for name in PROTOCOLS if name in (asked.protocol or PROTOCOLS)]
    if asked.run is not None:
        folder = store.find_run(asked.run, asked.results)
    else:
        folder = _launch(asked, document, choice, protocols, _aside(asked, console))
    run, records = store.load_run(folder), store.load_records(folder)
    if run.suite != suite.name:
        problem = f"it is a run of suite {run.suite!r}, not of {suite.name!r}"
        raise ConfigurationError(str(folder), [problem])
    made = reproduce(document, suite, run, records, protocols=protocols, margin=margin)
    if asked.format == "text":
        _show(made, choice, console)
        say(console, f"run: {folder}")
    else:
        console.file.write(_rendered(asked.format, made, choice))
    return OK if cells.is_whole(run.cells, cells.by_cell(records)) else INCOMPLETE


def _aside(asked: argparse.Namespace, console: Console) -> Console:
    """Return where to tell of the launching: not where machines read the answer."""
    from rich.console import Console as RichConsole

    return console if asked.format == "text" else RichConsole(stderr=True)


def _asked(asked: argparse.Namespace) -> tuple[Suite, Document, Choice, float]:
    """Return suite, document, what is to be shown, and the margin, all of them checked."""
    from runner import published
    from runner.config import load_images, load_matrix, share
    from runner.reproduce import PROTOCOLS, boxes
    from runner.reproduce_text import Choice

    root = asked.matrix.resolve().parent
    matrix = load_matrix(asked.matrix, load_images(root))
    suites = {name: suite for name, suite in matrix.suites.items() if suite.published}
    _known("reproduce", [("suite", [asked.suite], suites)])
    suite = suites[asked.suite]
    document = published.load_document(_folder(root) / suite.published)
    every = [box.number for box in boxes(document, suite)]
    metrics = {number.facts.metric or "" for number in every}
    profiles = [] if asked.profile is None else [asked.profile]
    _known(
        "reproduce",
        [
            ("protocol", asked.protocol, PROTOCOLS),
            ("profile", profiles, matrix.profiles),
            ("metric", asked.metric, metrics),
            ("row", asked.row, {number.row for number in every}),
        ],
    )
    margin = share(asked.margin)
    if margin is None:
        problem = f"--margin {asked.margin}: expected a share such as 25% or 0.25"
        raise ConfigurationError(asked.suite, [problem])
    return suite, document, Choice(rows=asked.row, metrics=asked.metric), margin


def _launch(
    asked: argparse.Namespace,
    document: Document,
    choice: Choice,
    protocols: Collection[str],
    console: Console,
) -> Path:
    """Launch what the chosen numbers need, and return the run's folder."""
    from runner.request import plan_request

    request = request_of(asked, each=asked.each)
    return launch(_narrowed(plan_request(request), document, choice, protocols), asked, console)


def _narrowed(
    planned: Planned, document: Document, choice: Choice, protocols: Collection[str]
) -> Planned:
    """Leave out the cells that no chosen number needs, nor one that such a number is a ratio to."""
    from runner.plan import Plan
    from runner.reproduce import boxes

    every = boxes(document, planned.suite)
    places = {place for box in every if choice.has(box) for place in (box.place, box.reference)}
    needed = [box for box in every if box.place in places]
    labels = {box.cells[name].label for box in needed for name in protocols if name in box.cells}
    labels |= {cell.label for box in needed if choice.has(box) for cell in box.singles.values()}
    kept = Plan(
        cells=tuple(cell for cell in planned.plan.cells if cell.label in labels),
        skips=tuple(skip for skip in planned.plan.skips if skip.cell.label in labels),
    )
    return replace(planned, plan=kept)


def _rendered(form: str, made: Reproduction, choice: Choice) -> str:
    if form == "json":
        from runner.reproduce_json import as_json

        return as_json(made, choice)
    from runner.reproduce_text import markdown

    return markdown(made, choice)


def _show(made: Reproduction, choice: Choice, console: Console) -> None:
    """Print the answer: tables where the terminal is wide enough for their words, else lists."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from runner.reproduce_text import sections

    for section in sections(made, choice):
        console.print()
        console.print(section.heading, style="bold", markup=False, highlight=False)
        for line in section.lines:
            say(console, f"- {line}")
        grid = section.grid
        if grid is None:
            continue
        if grid.narrowest > console.width:
            for line in grid.lines():
                console.print(line, markup=False, highlight=False)
            continue
        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in grid.head:
            drawn.add_column(escape(name), overflow="fold")
        for row in grid.rows:
            drawn.add_row(*map(escape, row))
        console.print(drawn)


ACTIONS: dict[str, Action] = {"published": _published, "reproduce": _reproduce}
