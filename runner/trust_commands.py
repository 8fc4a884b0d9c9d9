"""``runner compare``, ``runner doctor`` and ``runner selftest``: options, and what each does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigurationError, RunnerError
from runner.launching import say

if TYPE_CHECKING:
    from rich.console import Console

    from runner.compare import Compared

OK, FOUND = 0, 1
VERDICTS = ("slower", "faster", "ambiguous", "missing")
FORMATS = ("table", "markdown", "csv", "json")

Action = Callable[[argparse.Namespace, "Console"], int]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add every command of this module below ``runner``."""
    _add_compare(commands.add_parser("compare", help="two runs or images: ratios and verdicts"))
    doctor = commands.add_parser("doctor", help="what will disturb a measurement here")
    doctor.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    doctor.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept"
    )
    doctor.add_argument("--cores", type=int, default=2, metavar="N", help="that a job will have")
    doctor.add_argument(
        "--offline", action="store_true", help="ask no registry whether bases and wheels are there"
    )
    doctor.add_argument(
        "--archives", type=Path, metavar="DIR", help="where 'runner images archive' put its files"
    )
    doctor.add_argument(
        "--wheels",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="one more folder of wheels (also: pip's find-links)",
    )
    selftest = commands.add_parser("selftest", help="what the tool itself does to a measurement")
    tests = selftest.add_subparsers(dest="test", required=True, metavar="TEST")
    noise = tests.add_parser("noise", help="one cell inside and outside a container, interleaved")
    noise.add_argument("image", metavar="IMAGE", help="such as pytorch-2.13.0")
    noise.add_argument("--workload", help="default: the image's first")
    noise.add_argument("--launches", type=int, default=6, metavar="N", help="on each side")
    noise.add_argument("--cores", type=int, default=2, metavar="N", help="of a job; 2 by default")
    noise.add_argument("--root", type=Path, default=Path(), help="the project's folder")


def _add_compare(compare: argparse.ArgumentParser) -> None:
    compare.description = (
        "Other over base, cell by cell, with intervals that are corrected for the number of "
        "cells. Exit status: 1 where --fail-on hits, 2 where the two may not be compared."
    )
    compare.add_argument("base", type=Path, metavar="RUN", help="a run's folder, or 'latest'")
    compare.add_argument("other", type=Path, nargs="?", metavar="RUN", help="the run held to it")
    compare.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME",
        help="two of them, within one run: the base, then the other",
    )
    compare.add_argument(
        "--fail-on",
        action="append",
        default=[],
        choices=VERDICTS,
        help="exit with 1 where any cell is that; repeatable",
    )
    compare.add_argument("--margin", default="2%", help="what counts as the same (default: 2%%)")
    compare.add_argument("--force", action="store_true", help="in spite of different conditions")
    compare.add_argument("--format", choices=FORMATS, default="table", help="of what is printed")
    compare.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept"
    )


def _compare(asked: argparse.Namespace, console: Console) -> int:
    from runner.report import comparison

    found = _compared(asked)
    if asked.format != "table":
        console.file.write(comparison.FORMATS[asked.format](found))
    else:
        console.print(comparison.rich_table(found))
        for line in comparison.notes(found):
            say(console, f"- {line}")
    hit = any(row.verdict in asked.fail_on for row in found.rows)
    return FOUND if hit else OK


def _compared(asked: argparse.Namespace) -> Compared:
    from runner import compare, store
    from runner.config import share
    from runner.store import find_run

    margin = share(asked.margin)
    problems = []
    if margin is None:
        problems.append(f"--margin {asked.margin}: expected a share such as 2% or 0.02")
    if len(asked.image) not in (0, 2):
        problems.append(f"--image: expected none or two, found {len(asked.image)}")
    if (asked.other is None) != bool(asked.image):
        problems.append("expected two runs, or one run and --image twice")
    if problems or margin is None:
        source = "compare"
        raise ConfigurationError(source, problems)

    def loaded(name: Path) -> compare.Loaded:
        folder = find_run(name, asked.results)
        return compare.Loaded(run=store.load_run(folder), records=tuple(store.load_records(folder)))

    if asked.image:
        return compare.images(loaded(asked.base), *asked.image, margin=margin)
    return compare.runs(loaded(asked.base), loaded(asked.other), margin=margin, force=asked.force)


def _doctor(asked: argparse.Namespace, console: Console) -> int:
    import os

    from rich.markup import escape
    from rich.table import Table

    from runner import doctor
    from runner.config import load_images, wheel_folders
    from runner.images import health

    root = asked.root.resolve()
    wheels = (*asked.wheels, *wheel_folders(os.environ, Path.home()))
    probes = health.real_probes(root, wheels, asked.archives, is_offline=asked.offline)
    machine = doctor.look(root, load_images(root), wheels, asked.results, asked.cores, probes)
    rows = doctor.examine(machine)
    made = Table(box=None, pad_edge=False)
    for name in ("", "state", "found", "what to do"):
        made.add_column(name, overflow="fold")
    styles = {"problem": "red", "note": "yellow"}
    for row in rows:
        boxes = map(escape, (row.area, row.state, row.found, row.remedy))
        made.add_row(*boxes, style=styles.get(row.state, ""))
    console.print(made)
    return FOUND if any(row.state == "problem" for row in rows) else OK


def _selftest(asked: argparse.Namespace, console: Console) -> int:
    from runner import selftest, session
    from runner.backends import PrepareError
    from runner.config import load_images
    from runner.documents import hint

    root = asked.root.resolve()
    images = load_images(root)
    problems = []
    if asked.image not in images:
        problems.append(f"no image {asked.image!r}; {hint(asked.image, images)}")
    elif asked.workload not in (None, *images[asked.image].workloads):
        known = images[asked.image].workloads
        problems.append(f"no workload {asked.workload!r}; {hint(asked.workload, known)}")
    if asked.launches < 2:
        problems.append(f"--launches {asked.launches}: an interval needs 2 or more")
    if asked.cores < 1:
        problems.append(f"--cores {asked.cores}: a job needs 1 or more")
    if problems:
        source = "selftest noise"
        raise ConfigurationError(source, problems)
    image = images[asked.image]
    inside = session.connect_backend("docker", root, ()).backend
    outside = session.connect_backend("process", root, ()).backend
    try:
        found = selftest.noise(
            image,
            asked.workload or image.workloads[0],
            inside,
            outside,
            pairs=asked.launches,
            cores=asked.cores,
            say=lambda line: say(console, line),
        )
    except PrepareError as error:
        msg = f"{image.name}: {error.status}: {error}"
        raise RunnerError(msg) from None
    say(console, found.text())
    return OK


ACTIONS: dict[str, Action] = {"compare": _compare, "doctor": _doctor, "selftest": _selftest}
