from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from runner.model import Limits, Outcome, Scalar, Status
from runner.verdict import Ended, Verdict, judge
from tests.makers import event, good_lines, heard, make_cell, make_image, make_job

FINE = Outcome(exit_code=0, signal=None, oom_kills=0)
BY_ITSELF = Ended(cause="", wall_s=3.0)


def verdict(
    lines: list[bytes] | None = None,
    outcome: Outcome = FINE,
    cause: str = "",
    **parameters: Scalar,
) -> Verdict:
    job = make_job(
        make_cell("torch-1.0", "cifar10-cnn", "", **parameters),
        limits=Limits(timeout_s=60, silence_s=20),
    )
    said = heard(good_lines() if lines is None else lines)
    return judge(job, make_image(), said, outcome, Ended(cause=cause, wall_s=3.0))


def test_a_good_job_is_ok_with_every_check_shown() -> None:
    found = verdict()

    assert (found.status, found.reason) == (Status.OK, "")
    assert [check.name for check in found.checks] == [
        "contract",
        "framework_version",
        "device",
        "threads",
        "parameters",
        "output_shape",
        "loss_finite",
        "loss_falls",
    ]
    assert all(check.passed for check in found.checks)


@pytest.mark.parametrize(
    ("outcome", "cause", "status", "reason"),
    [
        (Outcome(exit_code=None, signal=9, oom_kills=1), "", Status.OOM_HOST, "by the kernel"),
        (Outcome(exit_code=None, signal=9, oom_kills=0), "memory", Status.OOM_HOST, "the runner"),
        (Outcome(exit_code=None, signal=9, oom_kills=0), "", Status.KILLED, "SIGKILL"),
        (Outcome(exit_code=None, signal=9), "timeout", Status.TIMEOUT, "not done after 60 s"),
        (Outcome(exit_code=None, signal=15), "silent", Status.SILENT, "no output for 20 s"),
        (Outcome(exit_code=None, signal=15), "interrupted", Status.KILLED, "by the user"),
        (Outcome(exit_code=None, signal=signal.SIGABRT), "", Status.CRASHED, "SIGABRT"),
        (Outcome(exit_code=None, signal=signal.SIGSEGV), "", Status.CRASHED, "SIGSEGV"),
        (Outcome(exit_code=3, signal=None), "", Status.CRASHED, "exit status 3 without hello"),
        (Outcome(exit_code=0, signal=None), "", Status.BAD_OUTPUT, "exit status 0 without hello"),
    ],
)
def test_an_end_without_a_result_has_its_own_status(
    outcome: Outcome, cause: str, status: Status, reason: str
) -> None:
    found = verdict(lines=[], outcome=outcome, cause=cause)

    assert found.status is status
    assert reason in found.reason


def test_a_child_that_the_kernel_ended_for_memory_voids_a_result() -> None:
    found = verdict(outcome=Outcome(exit_code=0, signal=None, oom_kills=2))

    assert found.status is Status.OOM_HOST


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("unsupported", Status.UNSUPPORTED),
        ("out-of-memory", Status.OOM_HOST),
        ("contract", Status.BAD_OUTPUT),
        ("exception", Status.CRASHED),
    ],
)
def test_what_the_script_says_is_the_reason(kind: str, status: Status) -> None:
    lines = [event("error", 1.0, kind=kind, message="in its own words")]

    found = verdict(lines=lines, outcome=Outcome(exit_code=1, signal=None))

    assert found.status is status
    assert "in its own words" in found.reason


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("parameters", 1_250_857, "parameters: expected 1250858, found 1250857"),
        ("parameters", None, "parameters: expected 1250858, found nothing"),
        ("output_shape", [128, 9], "output_shape: expected [128, 10], found [128, 9]"),
        ("losses", [2.3, "nan", 2.1, 2.0], "the first not finite at step 1"),
        ("losses", [2.3, 2.2], "loss_finite: expected 4 finite losses, found 2 losses of 4"),
        ("losses", [2.0, 2.1, 2.2, 2.3], "loss_falls"),
        ("losses", [2.0, 2.0, 2.0, 2.0], "loss_falls"),
        ("losses", [], "loss_falls"),
    ],
)
def test_a_failed_check_voids_the_time(name: str, value: object, words: str) -> None:
    found = verdict(good_lines(**{name: value}))

    assert found.status is Status.CHECK_FAILED
    assert words in found.reason


def test_threads_other_than_asked_for_void_the_time() -> None:
    lines = [line.replace(b'"threads": 2', b'"threads": 1') for line in good_lines()]

    assert "threads: expected 2, found 1 (torch" in verdict(lines).reason


@pytest.mark.parametrize(
    ("said", "passes"), [("1.0", True), ("1.0+cpu", True), ("1.0.post2", True), ("1.01", False)]
)
def test_a_build_of_the_release_is_the_release(said: str, passes: bool) -> None:
    lines = [
        line.replace(b'"framework_version": "1.0"', f'"framework_version": "{said}"'.encode())
        for line in good_lines()
    ]

    assert (verdict(lines).status is Status.OK) is passes


def test_a_compiler_that_was_ignored_is_unsupported_never_a_number() -> None:
    ignored = verdict(good_lines(compiled=0), compiler="xla")
    silent = verdict(good_lines(), compiler="xla")
    honest = verdict(good_lines(compiled=2), compiler="xla")

    assert ignored.status is silent.status is Status.UNSUPPORTED
    assert "xla was asked for" in ignored.reason
    assert honest.status is Status.OK


def test_noise_on_the_contract_is_bad_output() -> None:
    found = verdict([b"Using Theano backend.\n", *good_lines()])

    assert found.status is Status.BAD_OUTPUT
    assert "Using Theano backend." in found.reason


def test_a_result_with_another_exit_status_is_bad_output() -> None:
    found = verdict(outcome=Outcome(exit_code=1, signal=None))

    assert found.status is Status.BAD_OUTPUT


def series(name: str, count: int) -> bytes:
    return event(
        "samples",
        2.15,
        name=name,
        items=128,
        synchronised="implicit",
        first_s=1.0,
        warmup_s=[],
        measured_s=[0.25] * (count - 1),
    )


def told(*samples: bytes, **checks: object) -> list[bytes]:
    """Return a good job's events with other samples, and with checks taken out where None."""
    kept = [line for line in good_lines(**checks) if b'"samples"' not in line]
    gone = [name for name, value in checks.items() if value is None]
    kept = [line for line in kept if not any(f'"name": "{n}"'.encode() in line for n in gone)]
    return [*kept[:-1], *samples, kept[-1]]


def held(lines: list[bytes], given: dict[str, Scalar], protocol: str = "fair") -> Verdict:
    cell = replace(make_cell("torch-1.0", "cifar10-cnn", "", **given), protocol=protocol)
    return judge(make_job(cell), make_image(), heard(lines), FINE, BY_ITSELF)


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def held_as_published(lines: list[bytes], given: dict[str, Scalar]) -> Verdict:
    return held(lines, given, "as-published")


def test_a_part_has_no_loss_and_is_held_to_its_output_and_gradients() -> None:
    lines = told(series("backward", 3), losses=None, finite=True, gradients=[10, 10])

    assert held(lines, {"part": "backward"}).status is Status.OK
    assert failed(held(lines[:-1] + lines[-1:], {"part": "forward"})) == []
    some = told(series("backward", 3), losses=None, finite=True, gradients=[9, 10])
    assert failed(held(some, {"part": "backward"})) == ["gradients"]
    assert failed(held_as_published(some, {"part": "backward"})) == []
    silent = told(series("backward", 3), losses=None)
    assert failed(held(silent, {"part": "backward"})) == ["finite", "gradients"]


def test_as_published_no_loss_is_asked_to_fall_but_to_be_finite() -> None:
    rising = [2.0, 2.1, 2.2, 2.3]

    assert failed(held(good_lines(losses=rising), {})) == ["loss_falls"]
    assert failed(held_as_published(good_lines(losses=rising), {})) == []
    assert failed(held_as_published(good_lines(losses=[2.0, "nan", 2.0, 2.0]), {})) == [
        "loss_finite"
    ]


EPOCHS: dict[str, Scalar] = {"images": 300, "epochs": 2, "batch": 128}


def test_epochs_are_held_to_their_number_and_to_what_they_came_to() -> None:
    checks: dict[str, object] = {
        "losses": [2.3, 2.2, 2.1, 2.0, 1.9, 1.8],
        "epoch_steps": 3,
        "epoch_images": 300,
        "accuracy": 0.25,
        "loss": 1.9,
    }

    found = held(told(series("step", 6), **checks), EPOCHS)

    assert found.status is Status.OK
    assert {"epoch_steps", "epoch_images", "steps", "accuracy", "loss"} <= {
        check.name for check in found.checks
    }
    short = told(series("step", 5), **{**checks, "losses": [2.3, 2.2, 2.1, 2.0, 1.9]})
    assert failed(held(short, EPOCHS)) == ["steps"]
    wrong = told(series("step", 6), **{**checks, "accuracy": 25.0})
    assert failed(held(wrong, EPOCHS)) == ["accuracy"]


def test_a_dropped_remainder_and_validations_are_counted() -> None:
    checks: dict[str, object] = {
        "losses": [2.3, 2.2, 2.1, 2.0],
        "epoch_steps": 2,
        "epoch_images": 256,
        "accuracy": 0.25,
        "loss": 1.9,
    }
    asked: dict[str, Scalar] = {**EPOCHS, "drop_remainder": True, "validation": "training-images"}

    whole = told(series("step", 4), series("validation", 2), **checks)
    without = told(series("step", 4), **checks)

    assert failed(held_as_published(whole, asked)) == []
    assert failed(held_as_published(without, asked)) == ["validations"]
