"""What a script said + how its process ended -> status, reason and checks. Pure functions."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from typing import Any

from runner.contract import VERSION, Transcript
from runner.model import Check, Image, Job, Outcome, Status
from runner.workloads import WORKLOADS


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What the host itself did to a job, or saw of it.

    Attributes:
        cause: ``timeout``, ``silent``, ``memory``, ``interrupted``, or empty: it ended by itself.
        wall_s: seconds from start to end.
    """

    cause: str
    wall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A job's status with its reason (empty for ok) and the checks it was held to."""

    status: Status
    reason: str
    checks: tuple[Check, ...] = ()


def judge(job: Job, image: Image, said: Transcript, outcome: Outcome, ended: Ended) -> Verdict:
    """Return how a job ended. The first thing that explains the rest is the reason."""
    stopped = _stopped(job, outcome, ended)
    if stopped is not None:
        return stopped
    if said.error is not None and not said.problems:
        return _error(said, outcome)
    if outcome.signal is not None:
        return Verdict(status=Status.CRASHED, reason=f"ended by {_signal_name(outcome.signal)}")
    if said.problems:
        more = f" (and {len(said.problems) - 1} more)" if len(said.problems) > 1 else ""
        return Verdict(status=Status.BAD_OUTPUT, reason=said.problems[0] + more)
    if not said.finished or said.hello is None or not said.samples:
        missing = [
            name
            for name, there in (
                ("hello", said.hello),
                ("samples", said.samples),
                ("result", said.finished),
            )
            if not there
        ]
        reason = f"exit status {outcome.exit_code} without {', '.join(missing)}"
        status = Status.CRASHED if outcome.exit_code else Status.BAD_OUTPUT
        return Verdict(status=status, reason=reason)
    if outcome.exit_code != 0:
        reason = f"exit status {outcome.exit_code} after a result"
        return Verdict(status=Status.BAD_OUTPUT, reason=reason)
    return _checked(job, image, said)


def _stopped(job: Job, outcome: Outcome, ended: Ended) -> Verdict | None:
    limits = job.limits
    if outcome.oom_kills or ended.cause == "memory":
        gib = limits.memory_bytes / 1024**3
        by = "the kernel" if outcome.oom_kills else "the runner"
        return Verdict(
            status=Status.OOM_HOST, reason=f"ended by {by} at its memory limit of {gib:g} GiB"
        )
    match ended.cause:
        case "timeout":
            reason = f"not done after {limits.timeout_s:g} s"
            return Verdict(status=Status.TIMEOUT, reason=reason)
        case "silent":
            reason = f"no output for {limits.silence_s:g} s"
            return Verdict(status=Status.SILENT, reason=reason)
        case "interrupted":
            return Verdict(status=Status.KILLED, reason="interrupted by the user")
        case _:
            pass
    if outcome.signal == signal.SIGKILL:
        reason = "ended by SIGKILL, and not by the kernel for memory"
        if outcome.process_limit_hits:
            reason = f"ended at its limit of {limits.processes} processes"
        return Verdict(status=Status.KILLED, reason=reason)
    return None


def _error(said: Transcript, outcome: Outcome) -> Verdict:
    assert said.error is not None
    kind, message = said.error.kind, said.error.message
    if outcome.process_limit_hits:
        message += f" (the limit of processes refused {outcome.process_limit_hits} forks)"
    match kind:
        case "unsupported":
            return Verdict(status=Status.UNSUPPORTED, reason=message)
        case "out-of-memory":
            cuda = said.hello is not None and said.hello.device.startswith("cuda")
            return Verdict(status=Status.OOM_GPU if cuda else Status.OOM_HOST, reason=message)
        case "contract":
            return Verdict(status=Status.BAD_OUTPUT, reason=message)
        case _:
            return Verdict(status=Status.CRASHED, reason=message)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _checked(job: Job, image: Image, said: Transcript) -> Verdict:
    asked = job.cell.parameters.get("compiler", "default")
    checks = checks_of(job, image, said)
    compiled = next((check for check in checks if check.name == "compiled"), None)
    if compiled is not None and not compiled.passed:
        reason = (
            f"{asked} was asked for, and {image.framework} {image.framework_version} "
            f"ran {compiled.value} compiled clusters: it ignored the switch"
        )
        return Verdict(status=Status.UNSUPPORTED, reason=reason, checks=checks)
    failed = [check for check in checks if not check.passed]
    if failed:
        said_of = "; ".join(
            f"{check.name}: expected {check.expected}, found {check.value}" for check in failed
        )
        return Verdict(status=Status.CHECK_FAILED, reason=said_of, checks=checks)
    return Verdict(status=Status.OK, reason="", checks=checks)


def checks_of(job: Job, image: Image, said: Transcript) -> tuple[Check, ...]:
    """Return every check of a finished job, those that passed too.

    A number that the script did not give is a failed check, never one left out.
    """
    assert said.hello is not None
    workload = WORKLOADS[job.cell.workload]
    batch = job.cell.parameters["batch"]
    hello, threads = said.hello, len(job.cores)
    reported = "not reported" if hello.threads is None else str(hello.threads)
    checks = [
        _equal("contract", hello.contract, VERSION),
        _equal("framework_version", _release(hello.framework_version, image), _pinned(image)),
        _equal("device", hello.device.split(":")[0], job.cell.device),
        Check(
            name="threads",
            value=f"{reported} ({hello.threads_source})",
            expected=str(threads),
            passed=hello.threads in (None, threads),
        ),
        _equal("parameters", said.checks.get("parameters"), workload.parameter_count),
        _equal("output_shape", said.checks.get("output_shape"), [batch, workload.classes]),
        *_loss_checks(said),
    ]
    gpus = job.cell.parameters.get("gpus", 1)
    if gpus != 1:
        checks.append(_equal("ranks", said.checks.get("ranks"), gpus))
    if job.cell.parameters.get("compiler", "default") != "default":
        compiled = said.checks.get("compiled", 0)
        passed = isinstance(compiled, int) and compiled > 0
        checks.append(
            Check(name="compiled", value=str(compiled), expected="1 or more", passed=passed)
        )
    return tuple(checks)


def _pinned(image: Image) -> str:
    return image.framework_version


def _release(version: str, image: Image) -> str:
    """Return the version without its build: 2.13.0+cpu and 1.0.1.post2 are builds of theirs."""
    pinned = image.framework_version
    rest = version.removeprefix(pinned)
    return pinned if version.startswith(pinned) and (not rest or rest[0] in "+.") else version


def _equal(name: str, value: Any, expected: Any) -> Check:  # noqa: ANN401 - plain JSON
    found = "nothing" if value is None else str(value)
    return Check(name=name, value=found, expected=str(expected), passed=value == expected)


def _loss_checks(said: Transcript) -> list[Check]:
    losses, taken = said.losses, _steps(said)
    finite = all(math.isfinite(loss) for loss in losses) and len(losses) == taken
    found = f"{len(losses)} losses of {taken} steps"
    if losses and not all(math.isfinite(loss) for loss in losses):
        found += f", the first not finite at step {_first_not_finite(losses)}"
    expected = f"{taken} finite losses"
    quarter = max(1, len(losses) // 4)
    first, last = _mean(losses[:quarter]), _mean(losses[-quarter:])
    return [
        Check(name="loss_finite", value=found, expected=expected, passed=finite),
        Check(
            name="loss_falls",
            value=f"{first:.4g} to {last:.4g}",
            expected="the mean of the last quarter below that of the first",
            passed=last < first,
        ),
    ]


def _steps(said: Transcript) -> int:
    return sum(1 + len(item.warmup_s) + len(item.measured_s) for item in said.samples)


def _first_not_finite(losses: tuple[float, ...]) -> int:
    return next(index for index, loss in enumerate(losses) if not math.isfinite(loss))


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else math.nan
