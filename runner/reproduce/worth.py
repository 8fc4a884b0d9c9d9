"""What each number owes to the ways of its original: to its work, and to its estimator. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.reproduce.cells import Box
from runner.reproduce.judging import apart
from runner.reproduce.model import Worth
from runner.reproduce.source import Source, values_alone, values_of
from runner.reproduce.values import Values
from runner.stats.compare import compare_all

# name: the protocol of the work, and of the estimator.
_SIDES = {
    "fair": ("fair", "fair"),
    "own estimator": ("fair", "as-published"),
    "as published": ("as-published", "as-published"),
}
_SWITCHES, _ESTIMATOR = "the switches together", "the estimator"


def worths(everything: Sequence[Box], source: Source, margin: float) -> tuple[Worth, ...]:
    """Say what switches, estimator and each defect of an original did, number by number."""
    kept = [box for box in everything if box.cells]
    pairs = {
        (index, name): (apart(base), apart(other))
        for index, box in enumerate(kept)
        for name, (base, other) in _pairs(box, everything, source).items()
        if base and other
    }
    compared = dict(zip(pairs, compare_all(list(pairs.values()), margin=margin), strict=True))
    return tuple(
        Worth(
            box=box,
            switches=compared.get((index, _SWITCHES)),
            estimator=compared.get((index, _ESTIMATOR)),
            each={
                defect: found
                for defect in box.singles
                if (found := compared.get((index, defect))) is not None
            },
        )
        for index, box in enumerate(kept)
    )


def _pairs(box: Box, everything: Sequence[Box], source: Source) -> dict[str, tuple[Values, Values]]:
    """Return what is held against what, the base first."""
    side = {
        name: values_of(box, everything, source, work=work, estimator=estimator)[0]
        for name, (work, estimator) in _SIDES.items()
    }
    base = side["own estimator"]
    pairs = {_ESTIMATOR: (side["fair"], base)}
    if box.switches:
        pairs[_SWITCHES] = (base, side["as published"])
    return pairs | {defect: (base, values_alone(box, defect, source)) for defect in box.singles}
