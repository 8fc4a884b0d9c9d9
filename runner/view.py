"""What is shown while a run goes on: a live picture on a terminal, plain lines elsewhere.

Both are observers of execute.py; the console is the caller's, and nothing else is written to.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from runner.backends import PrepareError
from runner.contract import Progress
from runner.execute import Observer
from runner.model import Job, Record, Status
from runner.report.formats import significant


class View(Observer, Protocol):
    """An observer that is shown between entering and leaving it."""

    def __enter__(self) -> View: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def view(console: Console) -> View:
    """Return the live picture for a terminal, plain lines for a file or a pipe."""
    return LiveView(console) if console.is_terminal else PlainView(console)


def one_line(record: Record) -> str:
    """Return what a finished job comes to: its step and cold start, or why there is neither."""
    if record.status is not Status.OK:
        return f"{record.status}: {record.reason}"
    samples = record.samples[0]
    middle = sorted(samples.measured_s)[len(samples.measured_s) // 2]
    return f"ok, {significant(middle * 1e3, 3)} ms a step, {record.wall_s:.1f} s in all"


def duration(seconds: float) -> str:
    """Return seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class _Clock:
    """Estimates what is left from the wall time of the jobs that are done, cell by cell."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}

    def add(self, record: Record) -> None:
        self._spent.setdefault(record.cell.label, []).append(record.wall_s)

    def left_s(self, jobs_left: int) -> float | None:
        everything = [value for values in self._spent.values() for value in values]
        return jobs_left * sum(everything) / len(everything) if everything else None


class PlainView:
    """One line an event, for logs: no colour, no cursor movement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = _Clock()
        self._lock = threading.Lock()
        self._begun: set[str] = set()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _say(self, text: str) -> None:
        with self._lock:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def building(self, image: str, line: str) -> None:  # noqa: ARG002 - the live picture's
        """Tell when a build begins; its own lines are for the live picture."""
        if image not in self._begun:
            self._begun.add(image)
            self._say(f"image {image}: being made ready")

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        verdict = "ready" if problem is None else f"{problem.status}: {problem}"
        self._say(f"image {image}: {verdict} ({duration(seconds)})")
        if problem is not None and problem.evidence:
            self._say("\n".join(f"    {line}" for line in problem.evidence.splitlines()))

    def launched(self, job: Job, number: int, total: int) -> None:
        """A job is told when it ends."""

    def progressed(self, what: Progress | str) -> None:
        """Steps are for the live picture."""

    def recorded(self, record: Record, number: int, total: int) -> None:
        self._clock.add(record)
        left = self._clock.left_s(total - number)
        rest = f"; about {duration(left)} left" if left and number < total else ""
        label = f"{record.cell.label} launch {record.launch + 1}"
        self._say(f"[{number}/{total}] {label}: {one_line(record)}{rest}")


class LiveView:
    """Builds, the job at hand with its steps, what has ended and how, what is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = _Clock()
        self._lock = threading.Lock()
        self._builds: dict[str, str] = {}
        self._job: Job | None = None
        self._phase = ""
        self._steps = (0, 0)
        self._number, self._total = 0, 0
        self._started = time.monotonic()
        self._ended: Counter[Status] = Counter()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._job = None
        self._live.stop()

    def building(self, image: str, line: str) -> None:
        with self._lock:
            self._builds[image] = line.strip()

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        with self._lock:
            self._builds.pop(image, None)
        verdict = (
            "ready" if problem is None else f"[yellow]{problem.status}[/]: {escape(str(problem))}"
        )
        self._console.print(f"image {escape(image)}: {verdict} ({duration(seconds)})")

    def launched(self, job: Job, number: int, total: int) -> None:
        with self._lock:
            self._job, self._number, self._total = job, number, total
            self._phase, self._steps = "starting", (0, 0)
            self._started = time.monotonic()

    def progressed(self, what: Progress | str) -> None:
        with self._lock:
            if isinstance(what, Progress):
                self._phase, self._steps = what.phase, (what.done, what.total)
            elif what.startswith("begin "):
                self._phase, self._steps = what.removeprefix("begin "), (0, 0)

    def recorded(self, record: Record, number: int, total: int) -> None:
        with self._lock:
            self._clock.add(record)
            self._ended[record.status] += 1
            self._number, self._total, self._job = number, total, None
        style = "green" if record.status is Status.OK else "yellow"
        label = f"{record.cell.label} launch {record.launch + 1}"
        text = escape(one_line(record))
        self._console.print(f"[dim]{number}/{total}[/] {escape(label)}: [{style}]{text}[/]")

    def _render(self) -> RenderableType:
        with self._lock:
            parts: list[RenderableType] = []
            if self._builds:
                builds = Table.grid(padding=(0, 1))
                for name, line in self._builds.items():
                    builds.add_row(f"building {escape(name)}", f"[dim]{escape(line[-60:])}[/]")
                parts.append(builds)
            if self._total:
                parts.append(self._work())
            return Group(*parts)

    def _work(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        done = self._number - (self._job is not None)
        left = self._clock.left_s(self._total - done)
        rest = "" if left is None else f"about {duration(left)} left"
        counts = ", ".join(f"{count} {status}" for status, count in self._ended.items())
        bar = ProgressBar(total=self._total, completed=done, width=30)
        grid.add_row(bar, f"{done}/{self._total} jobs", rest, counts)
        if self._job is None:
            return grid
        steps = f"{self._steps[0]}/{self._steps[1]}" if self._steps[1] else ""
        spent = duration(time.monotonic() - self._started)
        job = (
            f"{self._job.cell.label} launch {self._job.launch + 1}: {self._phase} {steps} ({spent})"
        )
        return Group(grid, escape(job))
