"""What is shown while a run goes on, at a glance and in a log, and when it will be done."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console

from runner.backends import PrepareError
from runner.contract import Progress
from runner.model import Job, Record, Status
from runner.view import LiveView, PlainView, Tally, View, duration, left_s, view
from tests.makers import make_cell, make_record
from tests.report_makers import HOSTILE

CELLS = [make_cell(name) for name in ("tensorflow-1.0.0", "pytorch-2.13.0", "jax-0.10.2")]


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def tally(clock: Clock) -> Tally:
    return Tally(clock, lambda: datetime(2026, 1, 1, 12, 0))  # noqa: DTZ001 - as people's clocks


def job_of(record: Record) -> Job:
    return Job(
        id=record.job,
        cell=record.cell,
        launch=record.launch,
        seed=1,
        sampling=record.sampling,
        limits=record.limits,
        cores=(0, 1),
    )


def go_on(shown: View, clock: Clock, records: list[Record], total: int) -> None:
    for number, record in enumerate(records, start=1):
        shown.launched(job_of(record), number, total)
        clock.seconds += record.wall_s
        shown.recorded(record, number, total)


def crashed(reason: str = "exit status 1", launch: int = 0) -> Record:
    cell = make_cell("mxnet-0.9.0")
    return make_record(
        cell, launch, status=Status.CRASHED, reason=reason, samples=(), phases=(), wall_s=2.0
    )


def test_jobs_take_what_their_own_cells_took_and_new_cells_what_the_average_one_did() -> None:
    taken = [("a", 1.0), ("b", 100.0), ("c", 10.0), ("a", 3.0)]

    assert left_s([], {"a": 5}) is None
    assert left_s([("a", 0.0)], {"a": 5}) is None
    assert left_s(taken, {"a": 2, "b": 1}) == pytest.approx(2 * 2 + 100)
    assert left_s(taken, {"c": 1, "d": 2}) == pytest.approx(10 + 2 * (2 + 100 + 10) / 3)


def test_jobs_side_by_side_take_a_share_of_their_sum() -> None:
    clock = Clock()
    known = tally(clock)
    records = [make_record(CELLS[0], launch, wall_s=60.0) for launch in range(6)]
    known.planned([job_of(record) for record in records], ())
    for record in records[:2]:
        known.launched(job_of(record), 6)
    clock.seconds = 60
    for record in records[:2]:
        known.recorded(record, 6)

    assert known.rest() == "about 2 min 0 s left, until 12:02"


def test_a_run_that_is_gone_on_with_knows_how_long_its_cells_take() -> None:
    clock = Clock()
    known = tally(clock)
    quick, slow = (
        replace(make_record(cell, 0), wall_s=s)
        for cell, s in zip(CELLS[:2], (1.0, 99.0), strict=True)
    )
    stopped = replace(slow, status=Status.KILLED, wall_s=5.0)
    jobs = [job_of(record) for record in (quick, quick, slow)]
    known.planned(jobs, [quick, slow, stopped])
    known.launched(jobs[0], 3)
    clock.seconds = 1
    known.recorded(quick, 3)

    assert known.rest() == "about 1 min 40 s left, until 12:01"


def test_a_job_that_is_launched_again_is_taken_for_an_average_one() -> None:
    clock = Clock()
    known = tally(clock)
    record = make_record(CELLS[0], 0, status=Status.DISTURBED, wall_s=60.0)
    known.planned([job_of(record)], ())
    known.launched(job_of(record), 1)
    clock.seconds = 60
    known.recorded(record, 2)

    assert known.rest() == "about 1 min 0 s left, until 12:01"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (42, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (59.7, "1 min 0 s")],
)
def test_durations_are_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_rest_shrinks_with_the_clock_and_says_until_when() -> None:
    clock = Clock()
    known = tally(clock)
    record = make_record(CELLS[0], 0, wall_s=60.0)
    known.launched(job_of(record), 3)
    clock.seconds = 60
    known.recorded(record, 3)
    assert known.rest() == "about 2 min 0 s left, until 12:02"

    clock.seconds = 75
    assert known.rest() == "about 1 min 45 s left, until 12:01"
    clock.seconds = 600
    assert known.rest() == "longer than expected"
    for number in (1, 2):
        known.recorded(make_record(CELLS[number], 0, wall_s=60.0), 3)
    assert known.rest() == ""


def test_a_log_has_a_plain_line_an_event() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, width=80)
    reason = f"a very long reason {'x' * 200} with [bold]markup[/]"
    with PlainView(console, tally(clock)) as shown:
        shown.told("the driver compiles [bold]")
        shown.building("tensorflow-1.0.0", "Step 1")
        shown.building("tensorflow-1.0.0", "Step 2")
        shown.built("tensorflow-1.0.0", None, 63)
        problem = PrepareError(Status.BUILD_FAILED, "no such wheel", "line 1\nline 2")
        shown.built("mxnet-0.9.0", problem, 2)
        go_on(shown, clock, [make_record(CELLS[0], 0, wall_s=60.0), crashed(reason)], 4)

    first, *lines = out.getvalue().splitlines()
    assert "\x1b" not in out.getvalue()
    assert first == "the driver compiles [bold]"
    assert lines[0] == "image tensorflow-1.0.0: being made ready"
    assert lines[1] == "image tensorflow-1.0.0: ready (1 min 3 s)"
    assert lines[2] == "image mxnet-0.9.0: build-failed: no such wheel (2 s)"
    assert lines[3:5] == ["    line 1", "    line 2"]
    assert lines[5] == "[1/4] tensorflow-1.0.0/cifar10-cnn launch 1: launched"
    assert lines[6].startswith("[1/4] tensorflow-1.0.0/cifar10-cnn launch 1: ok, ")
    assert lines[6].endswith("; 1 ok; about 3 min 0 s left, until 12:03")
    assert reason in lines[8], "a reason stands in a log whole, on one line"
    assert "1 ok, 1 crashed" in lines[8]
    assert len(lines) == 9


def rendered(shown: LiveView, width: int, **options: object) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, **options).print(shown._render())  # type: ignore[arg-type]
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 40, 200])
def test_a_glance_shows_what_runs_what_failed_and_why(width: int) -> None:
    clock = Clock()
    shown = LiveView(Console(file=io.StringIO(), width=width, force_terminal=True), tally(clock))
    shown.building("jax-0.10.2", "Downloading " + "x" * 300)
    go_on(shown, clock, [make_record(CELLS[0], 0, wall_s=60.0), crashed("no\nsuch op")], 12)
    shown.launched(job_of(make_record(CELLS[1], 0)), 3, 12)
    clock.seconds += 5
    shown.progressed("begin measure")
    shown.progressed(Progress(phase="measure", done=12, total=20))

    lines = rendered(shown, width)

    assert max(map(len, lines)) <= width
    assert len(lines) == 4
    assert lines[0].startswith("building jax-0.10.2: Down")
    if width >= 80:
        assert "2/12 jobs, about 5 min 5 s left, until 12:05" in lines[1]
        assert lines[2] == "now pytorch-2.13.0/cifar10-cnn launch 1: measure 12/20, 5 s"
        assert lines[3] == "not ok mxnet-0.9.0/cifar10-cnn: crashed: no such op"
    if width >= 200:
        assert lines[1].endswith("1 ok, 1 crashed")


def test_a_long_label_leaves_room_for_what_goes_on() -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    shown = LiveView(console, tally(clock))
    cell = make_cell("pytorch-2.13.0", variant="precision=bfloat16,layout=channels_last,gpus=4")
    failed = replace(crashed("no kernel"), cell=cell)
    go_on(shown, clock, [failed], 3)
    shown.launched(job_of(make_record(cell, 1)), 2, 3)

    lines = rendered(shown, 80)

    assert lines[1] == "now pytorch-2.13.0/cifa..hannels_last,gpus=4 launch 2: starting, 0 s"
    assert lines[2] == "not ok pytorch-2.13.0/cifa..hannels_last,gpus=4: crashed: no kernel"


def test_jobs_on_several_gpus_are_all_there() -> None:
    clock = Clock()
    shown = LiveView(Console(file=io.StringIO(), force_terminal=True), tally(clock))
    records = [make_record(cell, 0) for cell in CELLS]
    for number, record in enumerate(records, start=1):
        shown.launched(job_of(record), number, 3)
        clock.seconds += 1
    shown.recorded(records[1], 2, 3)

    lines = rendered(shown, 80)

    assert lines[1] == "now tensorflow-1.0.0/cifar10-cnn launch 1: 3 s"
    assert lines[2] == "now jax-0.10.2/cifar10-cnn launch 1: 1 s"
    assert "1/3 jobs" in lines[0]


def test_many_failures_leave_the_screen_usable() -> None:
    clock = Clock()
    shown = LiveView(Console(file=io.StringIO(), force_terminal=True), tally(clock))
    failures = [
        make_record(make_cell(f"image-{number}"), 0, status=Status.CRASHED, reason="no", samples=())
        for number in range(10)
    ]
    go_on(shown, clock, failures, 20)

    lines = rendered(shown, 80)

    assert len(lines) == 5
    assert lines[-1] == "and 7 more cells not ok"
    assert "image-9" in lines[-2]


def test_a_cell_that_goes_well_after_all_is_no_failure() -> None:
    clock = Clock()
    known = tally(clock)
    known.recorded(crashed(), 3)
    assert list(known.failed) == ["mxnet-0.9.0/cifar10-cnn"]

    known.recorded(make_record(make_cell("mxnet-0.9.0"), 1), 3)

    assert known.failed == {}


COLOUR = re.compile(r"\x1b\[[0-9;]*[349][0-7]m")


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        out = io.StringIO()
        with LiveView(Console(file=out, force_terminal=True, color_system="truecolor")) as shown:
            go_on(shown, Clock(), [make_record(CELLS[0], 0), crashed()], 4)
        return out.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert COLOUR.search(told())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(told())
    assert "crashed" in told()


def test_a_hostile_reason_cannot_move_the_cursor_of_the_glance() -> None:
    shown = LiveView(Console(file=io.StringIO(), force_terminal=True), tally(Clock()))
    shown.building("x", "\x1b[2J\x07progress\r50 %")
    go_on(shown, Clock(), [crashed(f"\x1b[31m{HOSTILE}[red]\n")], 2)

    lines = rendered(shown, 200)

    assert not any(mark in "\n".join(lines) for mark in ("\x1b", "\x07", "\r"))
    assert "[red]" in lines[-1]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_hostile_reason_is_printed_as_text(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    with view(console) as shown:
        go_on(shown, Clock(), [crashed("\x1b]0;title\x07[red]")], 2)
        shown.built("x", PrepareError(Status.BUILD_FAILED, "\x1b]0;title\x07"), 1)

    assert "\x1b]0" not in out.getvalue()
    assert out.getvalue().count("␛]0;title␇") >= 2


MAKERS: list[tuple[Callable[[], Console], type]] = [
    (lambda: Console(file=io.StringIO(), force_terminal=True), LiveView),
    (lambda: Console(file=io.StringIO(), force_terminal=False), PlainView),
]


@pytest.mark.parametrize(("console", "kind"), MAKERS)
def test_only_a_terminal_gets_the_live_picture(
    console: Callable[[], Console], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(view(console()), kind)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view(console()), PlainView)
