"""The host's half of the contract: what a script is told, and what it says (docs/contract.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.model import Communication, Hello, Job, Phase, Samples, Scalar

VERSION = 1
PREFIX = "RUNNER_"
PHASES = ("import", "data", "build", "first-step", "warm-up", "measure")
ERROR_KINDS = ("contract", "unsupported", "out-of-memory", "exception")
_LONGEST_LINE = 16 * 1024**2


def variables(job: Job) -> dict[str, str]:
    """Return all that the script of `job` is told, as environment variables."""
    threads = str(len(job.cores))
    told = {
        "CONTRACT": str(VERSION),
        "WORKLOAD": job.cell.workload,
        "PROTOCOL": job.cell.protocol,
        "WARMUP_STEPS": str(job.sampling.warmup_steps),
        "MEASURE_STEPS": str(job.sampling.measure_steps),
        "MEASURE_LIMIT_S": repr(job.sampling.measure_limit_s),
        "SEED": str(job.seed),
        "DEVICE": job.cell.device,
        "THREADS": threads,
    }
    for name, value in job.cell.parameters.items():
        told[f"PARAMETER_{name.upper()}"] = _text(value)
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {PREFIX + name: value for name, value in told.items()} | dict.fromkeys(pools, threads)


def _text(value: Scalar) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptError:
    """What a script said instead of a result."""

    kind: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a phase is."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """All that a script said, parsed; ``problems`` names each breach of the contract."""

    hello: Hello | None = None
    phases: tuple[Phase, ...] = ()
    samples: tuple[Samples, ...] = ()
    checks: dict[str, Any] = field(default_factory=dict)
    allocator_peak_bytes: int | None = None
    communication: Communication | None = None
    error: ScriptError | None = None
    finished: bool = False
    problems: tuple[str, ...] = ()

    @property
    def losses(self) -> tuple[float, ...]:
        """Loss of every step, in order; not-a-number where the script said so."""
        value = self.checks.get("losses", [])
        return tuple(number(item) for item in value) if isinstance(value, list) else ()


def number(value: object) -> float:
    """Return a JSON number, or one that JSON lacks, written as a string, as a float.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        msg = f"expected a number, found {value!r}"
        raise ValueError(msg)
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        msg = f"expected a number, found {value!r}"
        raise ValueError(msg)
    return float(value)


class Listener:
    """Turns what arrives on a script's standard output into a transcript, line by line.

    ``feed`` returns the events that something else may act on at once: names of phases that
    begin or end, and progress. ``transcript`` may be asked for at any time.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._open: tuple[str, float] | None = None
        self._hello: Hello | None = None
        self._phases: list[Phase] = []
        self._samples: list[Samples] = []
        self._checks: dict[str, Any] = {}
        self._allocator: int | None = None
        self._communication: Communication | None = None
        self._error: ScriptError | None = None
        self._finished = False
        self._problems: list[str] = []
        self._last_time = 0.0

    def feed(self, data: bytes) -> list[Progress | str]:
        """Take the next bytes; return what they say at once.

        A phase's edge is the string ``begin NAME`` or ``end NAME``.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._problems.append(f"a line of over {_LONGEST_LINE} bytes")
            self._rest = b""
        said = [self._line(line) for line in lines if line.strip()]
        return [item for item in said if item is not None]

    def transcript(self) -> Transcript:
        """Return what was said so far; a torn last line is a problem of its own."""
        problems = list(self._problems)
        if self._rest.strip():
            problems.append(f"the last line is torn: {_short(self._rest)}")
        if self._open is not None and self._finished:
            problems.append(f"phase {self._open[0]!r} never ended")
        return Transcript(
            hello=self._hello,
            phases=tuple(self._phases),
            samples=tuple(self._samples),
            checks=dict(self._checks),
            allocator_peak_bytes=self._allocator,
            communication=self._communication,
            error=self._error,
            finished=self._finished,
            problems=tuple(problems),
        )

    def _line(self, line: bytes) -> Progress | str | None:
        try:
            event = json.loads(line)
            return self._event(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            detail = f"no field {error}" if isinstance(error, KeyError) else str(error)
            self._problems.append(f"not an event of the contract: {_short(line)}: {detail}")
            return None

    def _event(self, event: Mapping[str, Any]) -> Progress | str | None:
        name, time_s = event["event"], number(event["time_s"])
        if self._finished or self._error is not None:
            self._problems.append(f"{name!r} after the last event")
        if time_s < self._last_time:
            self._problems.append(f"{name!r}: time went back from {self._last_time} to {time_s}")
        self._last_time = time_s
        if name == "phase":
            return self._phase(event["name"], event["state"], time_s)
        if name == "progress":
            return Progress(
                phase=str(event["phase"]), done=int(event["done"]), total=int(event["total"])
            )
        self._fact(name, event)
        return None

    def _fact(self, name: str, event: Mapping[str, Any]) -> None:
        match name:
            case "hello":
                self._take_hello(event)
            case "samples":
                self._samples.append(_samples(event))
            case "check":
                self._checks[str(event["name"])] = event["value"]
            case "memory":
                self._allocator = int(event["allocator_peak_bytes"])
            case "communication":
                self._communication = _communication(event)
            case "result":
                self._finished = True
            case "error":
                self._error = ScriptError(kind=str(event["kind"]), message=str(event["message"]))
                if self._error.kind not in ERROR_KINDS:
                    self._problems.append(f"unknown kind of error {self._error.kind!r}")
            case _:
                self._problems.append(f"unknown event {name!r}")

    def _take_hello(self, event: Mapping[str, Any]) -> None:
        if self._hello is not None:
            self._problems.append("a second 'hello'")
        threads = event["threads"]
        self._hello = Hello(
            contract=int(event["contract"]),
            framework=str(event["framework"]),
            framework_version=str(event["framework_version"]),
            language=str(event["language"]),
            language_version=str(event["language_version"]),
            libraries={str(k): str(v) for k, v in event["libraries"].items()},
            device=str(event["device"]),
            threads=None if threads is None else int(threads),
            threads_source=str(event["threads_source"]),
            data=str(event["data"]),
        )

    def _phase(self, name: str, state: str, time_s: float) -> str:
        if name not in PHASES:
            self._problems.append(f"unknown phase {name!r}")
        if state == "begin":
            if self._open is not None:
                self._problems.append(f"phase {name!r} begins within {self._open[0]!r}")
            self._open = (name, time_s)
        elif state == "end" and self._open is not None and self._open[0] == name:
            self._phases.append(Phase(name=name, start_s=self._open[1], end_s=time_s))
            self._open = None
        else:
            self._problems.append(f"phase {name!r}: unexpected state {state!r}")
        return f"{state} {name}"


def _samples(event: Mapping[str, Any]) -> Samples:
    samples = Samples(
        name=str(event["name"]),
        items=int(event["items"]),
        synchronised=str(event["synchronised"]),
        first_s=number(event["first_s"]),
        warmup_s=tuple(number(value) for value in event["warmup_s"]),
        measured_s=tuple(number(value) for value in event["measured_s"]),
    )
    _hold_timings(samples.first_s, *samples.warmup_s, *samples.measured_s)
    return samples


def _communication(event: Mapping[str, Any]) -> Communication:
    told = Communication(
        reduced_bytes=int(event["reduced_bytes"]),
        alone_s=tuple(number(value) for value in event["alone_s"]),
        all_reduce_s=tuple(number(value) for value in event["all_reduce_s"]),
        probe_bytes=int(event["probe_bytes"]),
        probe_s=tuple(number(value) for value in event["probe_s"]),
    )
    _hold_timings(*told.alone_s, *told.all_reduce_s, *told.probe_s)
    if min(told.reduced_bytes, told.probe_bytes, len(told.alone_s), len(told.probe_s)) < 1:
        msg = "reduced_bytes, probe_bytes, alone_s and probe_s must all be above 0 or not empty"
        raise ValueError(msg)
    return told


def _hold_timings(*seconds: float) -> None:
    for value in seconds:
        if not (math.isfinite(value) and value > 0):
            msg = f"a timing must be finite and above 0 seconds, found {value!r}"
            raise ValueError(msg)


def _short(line: bytes, limit: int = 120) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= limit else text[:limit] + "...")
