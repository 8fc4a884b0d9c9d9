"""Did the images of a run compute the same thing? Parameters, shapes and losses side by side.

All scripts start from the same weights and see the same data, so that losses can be held
against each other: the first step's, and that after some updates. Pure functions.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runner import cells
from runner.model import Cell, Record
from runner.workloads import WORKLOADS


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far a loss may be from the median over the images, as a share of the first loss's.

    Attributes:
        first: before any update: rounding, and masks where there is dropout.
        later: after so many `updates`, which let small differences grow.
    """

    first: float
    later: float
    updates: int


# float32 sums in another order differ in the seventh digit (seen: 1e-6 after five updates of
# vgg16); the masks of one batch move its loss by a percent
EXACT = Tolerance(first=1e-4, later=1e-3, updates=5)
# Seen on ten images of cifar10-cnn: within 12 % after three updates, and up to 42 % after five,
# where RMSprop's first steps swing.
LOOSE = Tolerance(first=0.05, later=0.2, updates=3)
# Half a unit in the last place of what a product's factors are rounded to. Seen on resnet50 in
# bfloat16: 0.12 % between two images on an H100.
_ROUNDING = {"tf32": 2**-11, "bfloat16": 2**-8}
# On a GPU sums are added in an order of chance. Seen on an H100: three launches of one image, in
# float32, with the same first loss, were 0.9 % apart after five updates of resnet50.
_LATER_ON_A_GPU = 0.02
# A loss that rises again by this share of the first is of a training that magnifies rounding
# errors. Seen on vgg16 with batch normalisation at two images: 9.1, 2.7, 95 to 99, 5.8 to 8.5.
_RISE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What the images of one workload came to.

    Attributes:
        agrees: whether everything is within the tolerance.
        text: the same in words, with figures, and who is outside.
    """

    workload: str
    agrees: bool
    text: str


def check(records: Sequence[Record]) -> tuple[Agreement, ...]:
    """Hold the images of each workload, with the same parameters, against each other."""
    groups: dict[tuple[object, ...], dict[str, Record]] = {}
    for own in cells.by_cell(records).values():
        for record in cells.good(cells.current(own))[:1]:
            groups.setdefault(_work(record), {}).setdefault(_name(record), record)
    return tuple(_agreement(found) for found in groups.values() if len(found) > 1)


def _work(record: Record) -> tuple[object, ...]:
    """Return what must be the same for losses to be: a compiler changes speed alone."""
    parameters = sorted(
        (name, value) for name, value in record.cell.parameters.items() if name != "compiler"
    )
    data = record.hello.data if record.hello is not None else ""
    return (record.cell.workload, *parameters, record.seed, data)


def _name(record: Record) -> str:
    return "/".join(filter(None, (record.cell.image, record.cell.variant)))


def _agreement(found: dict[str, Record]) -> Agreement:
    first = next(iter(found.values()))
    workload = WORKLOADS[first.cell.workload]
    tolerance = _tolerance(first.cell)
    parts = [*_equal(found), _losses("first loss", found, 0, tolerance.first)]
    if not workload.dropout and (jump := _jump(found, tolerance.updates)):
        parts.append(_Part(agrees=True, text=f"{jump}, so that later losses say nothing"))
    else:
        name = f"loss after {tolerance.updates} updates"
        parts.append(_losses(name, found, tolerance.updates, tolerance.later))
    told = "; ".join(part.text for part in parts if part.text)
    why = ", each framework with dropout masks of its own" if workload.dropout else ""
    precision = first.cell.parameters.get("precision", "float32")
    size = f"batch {first.cell.parameters.get('batch')}"
    work = size if precision == "float32" else f"{size}, {precision}"
    agrees = all(part.agrees for part in parts)
    verdict = "agree" if agrees else "DISAGREE"
    images = len({record.cell.image for record in found.values()})
    who = f"{images} images"
    if images < len(found):
        who = f"{len(found)} cells of {images} image{'s' * (images > 1)}"
    return Agreement(
        workload=workload.name,
        agrees=agrees,
        text=f"{who} {verdict} on {workload.name}, {work}{why}: {told}",
    )


def _tolerance(cell: Cell) -> Tolerance:
    if WORKLOADS[cell.workload].dropout:
        return LOOSE
    first = max(EXACT.first, _ROUNDING.get(str(cell.parameters.get("precision")), 0.0))
    later = EXACT.later if cell.device == "cpu" else _LATER_ON_A_GPU
    return replace(EXACT, first=first, later=max(first, later))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    agrees: bool
    text: str


def _equal(found: dict[str, Record]) -> Iterator[_Part]:
    """Hold parameter counts and output shapes against each other."""
    for name, shown in (("parameters", "parameters"), ("output_shape", "output")):
        values: dict[str, list[str]] = {}
        for image, record in found.items():
            value = next((c.value for c in record.checks if c.name == name), "not told")
            values.setdefault(value, []).append(image)
        agrees = len(values) == 1
        listed = "; ".join(f"{value} of {', '.join(names)}" for value, names in values.items())
        yield _Part(agrees=agrees, text=f"{shown} {next(iter(values)) if agrees else listed}")


def _jump(found: dict[str, Record], updates: int) -> str:
    """Tell of a loss that rises again within the first updates; empty where none does."""
    for image, record in found.items():
        losses = [loss for loss in record.losses[: updates + 1] if loss is not None]
        for before, after in itertools.pairwise(losses):
            if after - before > _RISE * abs(losses[0]):
                return f"the loss jumps ({image}: {before:.3g}, then {after:.3g})"
    return ""


def _losses(name: str, found: dict[str, Record], step: int, most: float) -> _Part:
    scale = abs(statistics.median(_at(0, found).values() or (0.0,)))
    losses = _at(step, found)
    if len(losses) < 2:
        return _Part(agrees=True, text="")
    middle = statistics.median(losses.values())
    outside = {image: loss for image, loss in losses.items() if abs(loss - middle) > most * scale}
    told = f"{name} {min(losses.values()):.5g} to {max(losses.values()):.5g}"
    allowed = f"within {most:.2%} of the {'median' if step == 0 else 'first'}"
    if not outside:
        return _Part(agrees=True, text=f"{told}, {allowed}")
    who = ", ".join(f"{image} has {loss:.5g}" for image, loss in outside.items())
    return _Part(agrees=False, text=f"{told}, not {allowed} around {middle:.5g}: {who}")


def _at(step: int, found: dict[str, Record]) -> dict[str, float]:
    """Return each image's loss at a step, where it has one."""
    return {
        image: loss
        for image, record in found.items()
        if len(record.losses) > step and (loss := record.losses[step]) is not None
    }
