"""The estimators of the published tables, defects included: functions of one launch's samples.

What each original computes was read in its own script, named by its number and author.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from runner.model import Samples


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
    "sum": total,
    "median": median,
}
