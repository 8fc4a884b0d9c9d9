"""What is shown while a run goes on: a live picture on a terminal, plain lines elsewhere.

Both are observers of execute.py; the console is the caller's, and nothing else is written to.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from runner.backends import PrepareError
from runner.contract import Progress
from runner.execute import Observer
from runner.model import Job, Record, Status
from runner.report.formats import significant
from runner.report.logs import readable
from runner.report.terminal import bar

_BAR = 20
_FAILURES = 3
# the label, which no cell has, of jobs that nobody planned: those of cells that were disturbed
_UNPLANNED = ""


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
    """Return the live picture for a terminal, plain lines for a file, a pipe or a dumb terminal."""
    moves = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console) if moves else PlainView(console)


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


def left_s(taken: Sequence[tuple[str, float]], waiting: Mapping[str, int]) -> float | None:
    """Estimate the seconds that the jobs still to end will take; None while nobody knows.

    A job is taken to last as long as its cell's launches did on average, and where its cell had
    none, as long as the average cell's.

    Args:
        taken: a job that ended: its cell's label and its wall seconds.
        waiting: {cell's label: jobs that have not ended, those under way among them}.
    """
    by_cell: dict[str, list[float]] = {}
    for label, seconds in taken:
        by_cell.setdefault(label, []).append(seconds)
    means = {label: sum(values) / len(values) for label, values in by_cell.items()}
    if not sum(means.values()):
        return None
    average = sum(means.values()) / len(means)
    return sum(count * means.get(label, average) for label, count in waiting.items())


class Tally:
    """What is known of a run while it goes on. Not safe to share: the views lock.

    Attributes:
        jobs: under way, by id, with the clock at their start.
        failed: cell's label to the status and reason of its last launch that did not go well.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._clock, self._now = clock, now
        self._begun: float | None = None
        self._last = 0.0
        self._earlier: list[tuple[str, float]] = []
        self._spent: list[tuple[str, float]] = []
        self._waiting: Counter[str] = Counter()
        self.jobs: dict[str, tuple[Job, float]] = {}
        self.total = 0
        self.ended: Counter[Status] = Counter()
        self.failed: dict[str, str] = {}

    @property
    def done(self) -> int:
        """Jobs that have ended."""
        return len(self._spent)

    def planned(self, jobs: Sequence[Job], earlier: Sequence[Record]) -> None:
        """Count jobs as waiting, and learn from records how long their cells take."""
        self._waiting.update(job.cell.label for job in jobs)
        self._earlier = [
            (record.cell.label, record.wall_s)
            for record in earlier
            if record.status is not Status.KILLED
        ]

    def launched(self, job: Job, total: int) -> None:
        """Count a job as under way."""
        moment = self._clock()
        self._begun = moment if self._begun is None else self._begun
        self.jobs[job.id] = (job, moment)
        self.total = total

    def recorded(self, record: Record, total: int) -> None:
        """Count a job as ended."""
        self.jobs.pop(record.job, None)
        self._last = self._clock()
        self._spent.append((record.cell.label, record.wall_s))
        self._waiting -= Counter([record.cell.label])
        self.ended[record.status] += 1
        self.total = total
        if record.status is Status.OK:
            self.failed.pop(record.cell.label, None)
        else:
            self.failed[record.cell.label] = one_line(record)

    def since_s(self, job: Job) -> float:
        """Return for how long a job has been under way."""
        return self._clock() - self.jobs[job.id][1]

    def counts(self) -> str:
        """Return how jobs ended: ``10 ok, 2 crashed``."""
        return ", ".join(f"{count} {status}" for status, count in self.ended.items())

    def rest(self) -> str:
        """Return how long it will still take and until when; empty where nobody knows, or none."""
        jobs_left = self.total - self.done
        known = sum(self._waiting.values())
        waiting = {**self._waiting, _UNPLANNED: max(0, jobs_left - known)}
        expected = left_s([*self._earlier, *self._spent], waiting)
        if expected is None or jobs_left <= 0:
            return ""
        expected *= self._pace()
        left = expected - (self._clock() - self._last)
        if left < 1:
            return "nearly done" if jobs_left == 1 else "longer than expected"
        until = (self._now() + timedelta(seconds=left)).strftime("%H:%M")
        return f"about {duration(left)} left, until {until}"

    def _pace(self) -> float:
        """Return how long a job's second lasts: less than one where jobs go on side by side, more
        where something is done between them.
        """
        spent = sum(seconds for _, seconds in self._spent)
        if not spent or self._begun is None:
            return 1.0
        return (self._last - self._begun) / spent


class PlainView:
    """One line an event, for logs: no colour, no cursor movement."""

    def __init__(self, console: Console, tally: Tally | None = None) -> None:
        self._console = console
        self._tally = tally or Tally()
        self._lock = threading.Lock()
        self._begun: set[str] = set()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _say(self, text: str) -> None:
        self._console.print(readable(text), markup=False, highlight=False, soft_wrap=True)

    def building(self, image: str, line: str) -> None:  # noqa: ARG002 - the live picture's
        """Tell when a build begins; its own lines are for the live picture."""
        with self._lock:
            if image not in self._begun:
                self._begun.add(image)
                self._say(f"image {image}: being made ready")

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        verdict = "ready" if problem is None else f"{problem.status}: {problem}"
        with self._lock:
            self._say(f"image {image}: {verdict} ({duration(seconds)})")
            if problem is not None and problem.evidence:
                self._say("\n".join(f"    {line}" for line in problem.evidence.splitlines()))

    def told(self, words: str) -> None:
        with self._lock:
            self._say(words)

    def planned(self, jobs: Sequence[Job], earlier: Sequence[Record]) -> None:
        with self._lock:
            self._tally.planned(jobs, earlier)

    def launched(self, job: Job, number: int, total: int) -> None:
        with self._lock:
            self._tally.launched(job, total)
            self._say(f"[{number}/{total}] {_name(job)}: launched")

    def progressed(self, what: Progress | str) -> None:
        """Steps are for the live picture."""

    def recorded(self, record: Record, number: int, total: int) -> None:
        with self._lock:
            self._tally.recorded(record, total)
            label = f"{record.cell.label} launch {record.launch + 1}"
            known = (one_line(record), self._tally.counts(), self._tally.rest())
            self._say(f"[{number}/{total}] {label}: {'; '.join(filter(None, known))}")


class LiveView:
    """Builds, the jobs at hand with their steps, what has failed and why, what is left."""

    def __init__(self, console: Console, tally: Tally | None = None) -> None:
        self._console = console
        self._tally = tally or Tally()
        self._lock = threading.Lock()
        self._builds: dict[str, str] = {}
        self._phase = ""
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tally.jobs.clear()
        self._live.stop()

    def building(self, image: str, line: str) -> None:
        with self._lock:
            self._builds[image] = line.strip()

    def built(self, image: str, problem: PrepareError | None, seconds: float) -> None:
        with self._lock:
            self._builds.pop(image, None)
        why = "" if problem is None else escape(readable(str(problem)))
        verdict = "ready" if problem is None else f"[yellow]{problem.status}[/]: {why}"
        self._console.print(f"image {escape(image)}: {verdict} ({duration(seconds)})")

    def told(self, words: str) -> None:
        self._console.print(escape(readable(words)))

    def planned(self, jobs: Sequence[Job], earlier: Sequence[Record]) -> None:
        with self._lock:
            self._tally.planned(jobs, earlier)

    def launched(self, job: Job, number: int, total: int) -> None:  # noqa: ARG002 - counted here
        with self._lock:
            self._builds.pop(job.cell.image, None)
            self._tally.launched(job, total)
            self._phase = "starting"

    def progressed(self, what: Progress | str) -> None:
        with self._lock:
            if isinstance(what, Progress):
                self._phase = f"{what.phase} {what.done}/{what.total}"
            elif what.startswith("begin "):
                self._phase = what.removeprefix("begin ")

    def recorded(self, record: Record, number: int, total: int) -> None:
        with self._lock:
            self._tally.recorded(record, total)
        style = "green" if record.status is Status.OK else "yellow"
        label = f"{record.cell.label} launch {record.launch + 1}"
        text = escape(readable(one_line(record)))
        self._console.print(f"[dim]{number}/{total}[/] {escape(label)}: [{style}]{text}[/]")

    def _render(self) -> RenderableType:
        with self._lock:
            lines = [_line("building ", f"{name}: {said}") for name, said in self._builds.items()]
            if self._tally.total:
                lines += self._work()
            return Group(*lines)

    def _work(self) -> list[Text]:
        tally = self._tally
        plain = self._console.encoding != "utf-8"
        drawn = bar(tally.done / tally.total, _BAR, plain=plain) if tally.done else ""
        known = (f"{tally.done}/{tally.total} jobs", tally.rest(), tally.counts())
        lines = [_line(f"{drawn:{'-' if plain else '╌'}<{_BAR}} ", ", ".join(filter(None, known)))]
        # The contract's events do not say whose they are: of several jobs, only the time is known.
        alone = len(tally.jobs) == 1
        for job, _ in tally.jobs.values():
            phase = f"{self._phase}, " if alone else ""
            name = f"{self._short(job.cell.label)} launch {job.launch + 1}"
            lines.append(_line("now ", f"{name}: {phase}{duration(tally.since_s(job))}"))
        shown = list(tally.failed.items())[-_FAILURES:]
        more = len(tally.failed) - len(shown)
        lines += [_line("not ok ", f"{self._short(at)}: {why}", "yellow") for at, why in shown]
        return [*lines, *([_line("", f"and {more} more cells not ok", "yellow")] if more else [])]

    def _short(self, label: str) -> str:
        """Cut a long label in its middle: what tells cells apart is at both ends."""
        room = max(20, self._console.width // 2)
        half = room // 2 - 1
        return label if len(label) <= room else f"{label[:half]}..{label[-half:]}"


def _name(job: Job) -> str:
    return f"{job.cell.label} launch {job.launch + 1}"


def _line(head: str, text: str, style: str = "") -> Text:
    """Return one line that is cut, never wrapped, where the terminal ends."""
    plain = " ".join(readable(text).split())
    return Text.assemble((head, "dim"), (plain, style), no_wrap=True, overflow="ellipsis")
