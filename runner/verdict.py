"""What a script said + how its process ended -> status, reason and checks. Pure functions."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from runner.checks import checks_of
from runner.contract import Transcript
from runner.model import Check, Image, Job, Outcome, Status


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
