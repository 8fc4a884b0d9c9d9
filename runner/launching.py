"""What the commands that launch jobs share: their options as a request, and a run begun aloud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from rich.console import Console

    from runner.request import Planned, Request


def say(console: Console, text: str) -> None:
    """Print plain text: wrapped at words on a terminal, a line as it is elsewhere."""
    console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def request_of(asked: argparse.Namespace, *, each: bool = False) -> Request:
    """Return what the options ask for; `each`: every defect of a published suite alone too."""
    from runner.request import Request

    return Request(
        matrix=asked.matrix,
        suite=asked.suite,
        profile=asked.profile,
        only=tuple(asked.only),
        launches=asked.launches,
        resume=asked.resume,
        cifar10=asked.cifar10,
        results=asked.results,
        backend=asked.backend,
        wheels=tuple(asked.wheels),
        command=("runner", *sys.argv[1:]),
        keep_disturbed=asked.keep_disturbed,
        each=each,
        gpus=tuple(asked.gpu),
    )


def launch(planned: Planned, asked: argparse.Namespace, console: Console) -> Path:
    """Carry out a plan on the backend that the options ask for; return the run's folder.

    Raises:
        BackendUnavailable: it does not answer.
        KeyboardInterrupt: as for ``session.carry_out``.
    """
    from runner import session
    from runner.view import view

    connected = session.connect_backend(asked.backend, planned.root, asked.wheels)
    say(console, f"backend {connected.backend.name}: {connected.reason}")
    for sentence in connected.backend.sweep():
        say(console, sentence)
    counts = f"{len(planned.plan.cells)} cells, {len(planned.jobs)} jobs"
    say(console, f"suite {planned.suite.name}, profile {planned.profile}: {counts}")
    with view(console) as observer:
        return session.carry_out(planned, connected, observer)
