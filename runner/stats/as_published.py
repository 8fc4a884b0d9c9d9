"""The estimators of the published tables, defects included: functions of one launch's samples.

What each original computes was read in its own script, named by its number and author.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from runner.model import Samples


def lengthened(samples: Samples, steps: int) -> Samples:
    """Return a launch of at least `steps` steps, the first included, as an original had them.

    The mean of the measured steps stands for each one that was not made, so that what a sum or
    a mean owes to the cold first step is what it owed in the original.
    """
    lacking = steps - len(every_step(samples))
    more = (mean(samples),) * max(0, lacking)
    return replace(samples, measured_s=(*samples.measured_s, *more))


def epochs(steps: Samples, an_epoch: int, validation: Samples | None) -> Samples:
    """Return a launch of epochs from one of steps, the first epoch as the first.

    Args:
        an_epoch: steps in an epoch.
        validation: one pass an epoch, where it counts to the epoch's time.

    Raises:
        ValueError: the steps are not whole epochs, two at the least, or the validations others.
    """
    every = every_step(steps)
    count = len(every) // an_epoch
    passes = (0.0,) * count if validation is None else every_step(validation)
    if count < 2 or len(every) != count * an_epoch or len(passes) != count:
        msg = f"{len(every)} steps and {len(passes)} validations are not epochs of {an_epoch} steps"
        raise ValueError(msg)
    sums = [
        math.fsum(every[number * an_epoch : (number + 1) * an_epoch]) + more
        for number, more in enumerate(passes)
    ]
    return replace(steps, name="epoch", first_s=sums[0], warmup_s=(), measured_s=tuple(sums[1:]))


def every_step(samples: Samples) -> tuple[float, ...]:
    """Return every step of a launch in order: the first, the warm-up, the measured ones."""
    return (samples.first_s, *samples.warmup_s, *samples.measured_s)


def mean(samples: Samples) -> float:
    """Mean of the measured steps: 001 tensorpack, 002 tdeboissiere, both after a warm-up."""
    return math.fsum(samples.measured_s) / len(samples.measured_s)


def mean_with_first(samples: Samples) -> float:
    """Mean of every step, the cold one included: 004 AloneGu."""
    steps = every_step(samples)
    return math.fsum(steps) / len(steps)


def mean_drop_index_1(samples: Samples) -> float:
    """Mean of every step but the second: 003 avik-pal's PyTorch rows, whose scripts test the
    index for 1 where they say they leave out the first, and so keep the cold one.
    """
    steps = every_step(samples)
    kept = (steps[0], *steps[2:])
    return math.fsum(kept) / len(kept)


def minimum(samples: Samples) -> float:
    """Least of the measured steps: 003 avik-pal's Flux rows (BenchmarkTools' ``@btime``)."""
    return min(samples.measured_s)


def last(samples: Samples) -> float:
    """The last step alone: 003 avik-pal's PyTorch "Inference", a stale reading of the clock."""
    return every_step(samples)[-1]


def total(samples: Samples) -> float:
    """Sum of every step, the cold one included: 000 TensorLayer's "Runtime"."""
    return math.fsum(every_step(samples))


def median(samples: Samples) -> float:
    """Median of the measured steps: one launch of the fair protocol."""
    return float(np.median(samples.measured_s))


AS_PUBLISHED: dict[str, Callable[[Samples], float]] = {
    "mean": mean,
    "mean_with_first": mean_with_first,
    "mean_drop_index_1": mean_drop_index_1,
    "minimum": minimum,
    "last": last,
    "sum": total,
    "median": median,
}
