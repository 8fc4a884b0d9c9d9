"""What a script said, held to what the host expects of its work. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from runner.contract import VERSION, Transcript
from runner.model import Check, Image, Job, Scalar
from runner.workloads import WORKLOADS


def checks_of(job: Job, image: Image, said: Transcript) -> tuple[Check, ...]:
    """Return every check of a finished job, those that passed too.

    A number that the script did not give is a failed check, never one left out.
    """
    assert said.hello is not None
    workload = WORKLOADS[job.cell.workload]
    given = job.cell.parameters
    hello, threads = said.hello, len(job.cores)
    reported = "not reported" if hello.threads is None else str(hello.threads)
    return (
        _equal("contract", hello.contract, VERSION),
        _equal("framework_version", _release(hello.framework_version, image), _pinned(image)),
        _equal("device", hello.device.split(":")[0], job.cell.device),
        Check(
            name="threads",
            value=f"{reported} ({hello.threads_source})",
            expected=str(threads),
            passed=hello.threads in (None, threads),
        ),
        _equal(
            "parameters",
            said.checks.get("parameters"),
            workload.expected_parameters(given, image.framework),
        ),
        _equal(
            "output_shape", said.checks.get("output_shape"), list(workload.expected_output(given))
        ),
        *_work_checks(given, said, is_fair=job.cell.protocol == "fair"),
        *_asked_checks(given, said),
    )


def _work_checks(given: Mapping[str, Scalar], said: Transcript, *, is_fair: bool) -> list[Check]:
    """Losses of whole steps; of a part alone, its output and its gradients.

    An original may have trained on zeros, or never zeroed its gradients: as published, no loss
    is asked to fall, and no gradient to be other than zero.
    """
    part = str(given.get("part", "step"))
    if part != "step":
        checks = [_equal("finite", said.checks.get("finite"), True)]
        return checks + ([_gradients(said)] if is_fair and "backward" in part else [])
    checks = [_losses_are_finite(said)]
    if is_fair:
        checks.append(_losses_fall(said))
    return checks + (list(_epoch_checks(given, said)) if given.get("epochs") else [])


def _asked_checks(given: Mapping[str, Scalar], said: Transcript) -> Iterator[Check]:
    gpus = given.get("gpus", 1)
    if gpus != 1:
        yield _equal("ranks", said.checks.get("ranks"), gpus)
    if given.get("compiler", "default") != "default":
        compiled = said.checks.get("compiled", 0)
        passed = isinstance(compiled, int) and compiled > 0
        yield Check(name="compiled", value=str(compiled), expected="1 or more", passed=passed)


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


def _gradients(said: Transcript) -> Check:
    """Every trained array has a gradient that is finite and not all zero."""
    found = said.checks.get("gradients")
    counts = found if isinstance(found, list) and len(found) == 2 else [0, 0]
    return Check(
        name="gradients",
        value="nothing" if found is None else str(found),
        expected="finite and not zero in every trained array",
        passed=0 < counts[0] == counts[1],
    )


def _losses_are_finite(said: Transcript) -> Check:
    losses, taken = said.losses, _steps(said)
    finite = all(math.isfinite(loss) for loss in losses) and len(losses) == taken
    found = f"{len(losses)} losses of {taken} steps"
    if losses and not all(math.isfinite(loss) for loss in losses):
        found += f", the first not finite at step {_first_not_finite(losses)}"
    return Check(name="loss_finite", value=found, expected=f"{taken} finite losses", passed=finite)


def _losses_fall(said: Transcript) -> Check:
    quarter = max(1, len(said.losses) // 4)
    first, last = _mean(said.losses[:quarter]), _mean(said.losses[-quarter:])
    return Check(
        name="loss_falls",
        value=f"{first:.4g} to {last:.4g}",
        expected="the mean of the last quarter below that of the first",
        passed=last < first,
    )


def _epoch_checks(given: Mapping[str, Scalar], said: Transcript) -> Iterator[Check]:
    """The epochs that were asked for, all of them, and what they came to."""
    images, batch, epochs = (int(given[name]) for name in ("images", "batch", "epochs"))
    steps = images // batch if given.get("drop_remainder") else -(-images // batch)
    yield _equal("epoch_steps", said.checks.get("epoch_steps"), steps)
    yield _equal("epoch_images", said.checks.get("epoch_images"), min(images, steps * batch))
    yield _equal("steps", _steps(said), steps * epochs)
    if given.get("validation", "none") != "none":
        own = [each for each in said.samples if each.name == "validation"]
        yield _equal("validations", sum(1 + len(each.measured_s) for each in own), epochs)
    for name, most in (("accuracy", 1.0), ("loss", math.inf)):
        value = said.checks.get(name)
        passed = isinstance(value, int | float) and 0 <= value <= most and math.isfinite(value)
        expected = "from 0 to 1" if most == 1 else "finite, 0 or more"
        found = "nothing" if value is None else str(value)
        yield Check(name=name, value=found, expected=expected, passed=passed)


def _steps(said: Transcript) -> int:
    """Return how many steps were done; the first series is of steps, whatever else was timed."""
    return sum(1 + len(each.warmup_s) + len(each.measured_s) for each in said.samples[:1])


def _first_not_finite(losses: tuple[float, ...]) -> int:
    return next(index for index, loss in enumerate(losses) if not math.isfinite(loss))


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else math.nan
