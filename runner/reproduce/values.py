"""Records -> the number that stands in a published table, one a launch, in the document's unit.

As published, an original's own estimator makes it, defects included; under `fair`, the median of
the steady steps does. Pure functions.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from runner import cells
from runner.model import Record, Samples
from runner.published import Facts
from runner.stats.as_published import AS_PUBLISHED, epochs, lengthened, minimum

TIMES = (
    "runtime",
    "step_time",
    "forward_time",
    "backward_time",
    "forward_backward_time",
    "inference_time",
)
# As the documents use them: what they call MB is bytes by 1024 twice.
_IN_UNIT = {"s": 1.0, "ms": 1e3, "MB": 1 / 1024**2}

Values = tuple[float, ...]


class NoValue(Exception):
    """A metric cannot be had from the records; the message says why."""


def values(facts: Facts, unit: str | None, records: Sequence[Record], *, is_fair: bool) -> Values:
    """Return one value a launch.

    Args:
        records: of a cell, all of which ended ``ok``, in the order of launching.

    Raises:
        NoValue: the metric is not in these records.
    """
    metric = facts.metric or ""
    scale = _IN_UNIT.get(unit or "", 1.0)
    if metric in TIMES:
        seconds = _fair_seconds(records) if is_fair else _own_seconds(facts, records)
        if metric == "runtime" and is_fair and facts.steps is not None:
            seconds = tuple(facts.steps * each for each in seconds)
        return tuple(scale * each for each in seconds)
    if metric not in OTHERS:
        msg = f"no launch gives the metric {metric!r}"
        raise NoValue(msg)
    found = OTHERS[metric](facts, records, is_fair)
    return tuple(scale * each for each in found)


def difference(whole: Sequence[Record], part: Sequence[Record], unit: str | None) -> Values:
    """Return the least time of `whole` less that of `part`, launch by launch: a backward pass as
    003's Flux rows have it.

    Raises:
        NoValue: there is no pair of launches, or nothing is left.
    """
    pairs = zip(whole, part, strict=False)
    left = [minimum(one.samples[0]) - minimum(other.samples[0]) for one, other in pairs]
    if not left or min(left) <= 0:
        msg = "the least whole time is not above the least forward time"
        raise NoValue(msg)
    return tuple(_IN_UNIT.get(unit or "", 1.0) * each for each in left)


def _fair_seconds(records: Sequence[Record]) -> Values:
    return tuple(statistics.median(part) for part in cells.steady_parts(records).parts)


def _own_seconds(facts: Facts, records: Sequence[Record]) -> Values:
    estimator = AS_PUBLISHED[facts.statistic or "mean"]
    steps = facts.steps or 0
    return tuple(estimator(lengthened(record.samples[0], steps)) for record in records)


def _rate(facts: Facts, records: Sequence[Record], is_fair: bool) -> Values:
    if "epochs" in records[0].cell.parameters:
        counted = _checked(records, "epoch_images")
        if not is_fair and facts.images_counted is not None:
            counted = (float(facts.images_counted),) * len(records)
        seconds = _epoch(facts, records, is_fair)
        return tuple(images / each for images, each in zip(counted, seconds, strict=True))
    seconds = _fair_seconds(records) if is_fair else _own_seconds(facts, records)
    items = records[0].samples[0].items
    return tuple(items / each for each in seconds)


def _epoch(facts: Facts, records: Sequence[Record], is_fair: bool) -> Values:
    estimator = AS_PUBLISHED["median" if is_fair else facts.statistic or "mean"]
    return tuple(estimator(each) for each in _epochs(records))


def _epochs(records: Sequence[Record]) -> list[Samples]:
    found = []
    for record, steps in zip(records, _checked(records, "epoch_steps"), strict=True):
        validation = next((each for each in record.samples if each.name == "validation"), None)
        counts = record.cell.parameters.get("validation_in_timer", False)
        try:
            found.append(epochs(record.samples[0], int(steps), validation if counts else None))
        except ValueError as error:
            raise NoValue(str(error)) from None
    return found


def _checked(records: Sequence[Record], name: str) -> Values:
    """Return a number that each launch told as a check."""
    told = [next((c.value for c in r.checks if c.name == name), "nan") for r in records]
    found = tuple(float(value) for value in told)
    if not all(map(math.isfinite, found)):
        msg = f"a launch did not tell its {name}"
        raise NoValue(msg)
    return found


def _learned(name: str) -> Callable[[Facts, Sequence[Record], bool], Values]:
    def found(facts: Facts, records: Sequence[Record], is_fair: bool) -> Values:  # noqa: ARG001
        data = records[0].hello.data if records[0].hello is not None else ""
        if "generated" in data:
            msg = f"it trained on {data}; --cifar10 FILE gives the original's images"
            raise NoValue(msg)
        return _checked(records, name)

    return found


def _memory(which: str) -> Callable[[Facts, Sequence[Record], bool], Values]:
    def found(facts: Facts, records: Sequence[Record], is_fair: bool) -> Values:  # noqa: ARG001
        seen = [record.memory for record in records if record.memory is not None]
        if len(seen) < len(records):
            msg = "memory was not seen"
            raise NoValue(msg)
        return tuple(float(getattr(use, which)) for use in seen)

    return found


def _gpu_memory(facts: Facts, records: Sequence[Record], is_fair: bool) -> Values:  # noqa: ARG001
    peaks = [
        record.gpu.memory[0].peak_bytes for record in records if record.gpu and record.gpu.memory
    ]
    if len(peaks) < len(records):
        msg = "the driver did not say how much GPU memory a job had"
        raise NoValue(msg)
    return tuple(float(each) for each in peaks)


OTHERS: dict[str, Callable[[Facts, Sequence[Record], bool], Values]] = {
    "images_per_second": _rate,
    "epoch_time": _epoch,
    "accuracy": _learned("accuracy"),
    "loss": _learned("loss"),
    "cpu_memory_peak": _memory("peak_bytes"),
    "cpu_memory_mean": _memory("average_bytes"),
    "gpu_memory_peak": _gpu_memory,
}
