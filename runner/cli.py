"""The command line: the only place that prints and exits.

Exit status: 0 all is well; 1 some cell has no number, a check failed, or --fail-on hit; 2 bad
configuration or command line, or a comparison that was refused; 3 nothing selected; 4 the
backend is unavailable; 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner import image_commands, published_commands, report_commands, trust_commands
from runner.errors import RunnerError
from runner.launching import launch, request_of, say

if TYPE_CHECKING:
    from rich.console import Console

    from runner.request import Planned

EXIT_OK, EXIT_INCOMPLETE, EXIT_INTERRUPTED = 0, 1, 130


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(
        prog="runner",
        description="Measure deep-learning framework releases, each in its own pinned environment.",
        epilog=__doc__.split("\n\n")[1] if __doc__ else None,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _matrix_parser(commands.add_parser("matrix", help="measure the cells of a suite"))
    report_commands.add_commands(commands)
    published_commands.add_commands(commands, _backend_arguments)
    images = commands.add_parser("images", help="list, make, lock, check, prove and keep images")
    _images_parser(images)
    check = commands.add_parser("check", help="hold all images and the matrix to their rules")
    image_commands.add_root(check)
    trust_commands.add_commands(commands)
    return top


def _matrix_parser(matrix: argparse.ArgumentParser) -> None:
    matrix.add_argument("matrix", type=Path, metavar="MATRIX", help="such as matrix.yaml")
    matrix.add_argument("--suite", help="default: the matrix's default suite")
    matrix.add_argument("--profile", help="default: the matrix's default profile")
    matrix.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cells that match image/workload, such as 'tensorflow-*/vgg16*'; repeatable",
    )
    matrix.add_argument("--launches", type=int, metavar="N", help="no more and no fewer")
    matrix.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    matrix.add_argument(
        "--resume",
        nargs="?",
        const=Path("latest"),
        type=Path,
        metavar="RUN",
        help="go on with a run (default: the latest); what is done is known by its identity",
    )
    matrix.add_argument(
        "--keep-disturbed", action="store_true", help="count jobs that others disturbed, too"
    )
    matrix.add_argument(
        "--gpu",
        action="append",
        default=[],
        metavar="GPU",
        help="for suites on GPUs: an index, a UUID or a model; repeatable; default: all",
    )
    matrix.add_argument("--cifar10", type=Path, metavar="FILE", help="real CIFAR-10 images")
    matrix.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept"
    )
    _backend_arguments(matrix)


def _images_parser(images: argparse.ArgumentParser) -> None:
    verbs = images.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="what there is, and where it was verified")
    listing.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    conform = verbs.add_parser("conform", help="test an image against the contract")
    conform.add_argument("names", nargs="+", metavar="NAME", help="images; globs are taken")
    conform.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    _backend_arguments(conform)
    image_commands.add_verbs(verbs, _backend_arguments)


def _backend_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        choices=("auto", "docker", "process"),
        default="auto",
        help="auto: docker where an engine answers, else process",
    )
    command.add_argument(
        "--wheels",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="one more folder of wheels, held to the locks' hashes (also: pip's find-links)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command and return the exit status; called by the console script."""
    signal.signal(signal.SIGTERM, _interrupt)
    asked = parser().parse_args(arguments)
    from rich.console import Console

    console, errors = Console(), Console(stderr=True)
    actions: dict[str, Callable[[argparse.Namespace, Console], int]] = {
        "matrix": _matrix,
        **report_commands.ACTIONS,
        **published_commands.ACTIONS,
        "images": _images,
        "check": image_commands.check_all,
        **trust_commands.ACTIONS,
    }
    try:
        return actions[asked.command](asked, console)
    except RunnerError as error:
        errors.print(f"runner: {error}", markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    except KeyboardInterrupt:
        errors.print("runner: interrupted; --resume goes on from here", markup=False)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read standard output has seen enough; nothing more can be told there.
        sys.stderr.close()
        return EXIT_OK


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - signal's own signature
    raise KeyboardInterrupt


def _matrix(asked: argparse.Namespace, console: Console) -> int:
    from runner.request import plan_request

    planned = plan_request(request_of(asked))
    if asked.dry_run:
        return _show_plan(planned, console)
    return report_commands.show_run(launch(planned, asked, console), console)


def _show_plan(planned: Planned, console: Console) -> int:
    jobs = planned.jobs
    for number, job in enumerate(jobs, start=1):
        say(console, f"{number:4d}  {job.cell.label}  launch {job.launch + 1}")
    for skip in planned.plan.skips:
        say(console, f"   -  {skip.cell.label}  skipped: {skip.reason}")
    images = {cell.image for cell in planned.plan.cells}
    say(
        console,
        f"{len(planned.plan.cells)} cells of {len(images)} images, {len(jobs)} jobs, "
        f"{len(planned.plan.skips)} skipped; profile {planned.profile}",
    )
    return EXIT_OK


def _images(asked: argparse.Namespace, console: Console) -> int:
    if asked.verb in image_commands.ACTIONS:
        return image_commands.ACTIONS[asked.verb](asked, console)
    if asked.verb == "conform":
        return _conform(asked, console)
    from runner.config import load_images

    images = load_images(asked.root.resolve())
    from runner.report.listing import image_table

    console.print(image_table(list(images.values())))
    return EXIT_OK


def _conform(asked: argparse.Namespace, console: Console) -> int:
    from runner import conform, session

    root = asked.root.resolve()
    connected = session.connect_backend(asked.backend, root, asked.wheels)
    say(console, f"backend {connected.backend.name}: {connected.reason}")
    failed = 0
    for report in conform.conform(asked.names, root, connected.backend):
        say(console, report.text())
        failed += not report.passed
    return EXIT_INCOMPLETE if failed else EXIT_OK


if __name__ == "__main__":
    raise SystemExit(main())
