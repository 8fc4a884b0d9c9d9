"""What others do, written anew from their sources, to stand beside ours in the same run."""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from benchmarks.coverage.series import Array, Booleans


def pooled_t(launches: Array, level: float = 0.95) -> tuple[float, float]:
    """Mean of all steps with Student's t, as if every step were independent."""
    pooled = launches.ravel()
    half = float(special.stdtrit(pooled.size - 1, 0.5 + level / 2)) * pooled.std(ddof=1)
    half /= math.sqrt(pooled.size)
    return float(pooled.mean() - half), float(pooled.mean() + half)


def pooled_order(launches: Array, level: float = 0.95) -> tuple[float, float]:
    """asv's interval (asv/statistics.py, quantile_ci): order statistics of all steps."""
    pooled = np.sort(launches.ravel())
    below = special.bdtr(np.arange(pooled.size), pooled.size, 0.5)
    low = int(np.searchsorted(below, (1 - level) / 2, side="right"))
    return float(pooled[max(low - 1, 0)]), float(pooled[min(pooled.size - low, pooled.size - 1)])


def asv_differs(a: Array, b: Array) -> Booleans:
    """asv's is_different: Mann-Whitney over all steps, p < 0.002; a, b (cells, steps)."""
    return np.asarray(stats.mannwhitneyu(a, b, axis=1, method="asymptotic").pvalue < 0.002)


def pyperf_differs(a: Array, b: Array) -> Booleans:
    """pyperf's is_significant: Student's t over all values, two-sided at 95 %."""
    return np.asarray(stats.ttest_ind(a, b, axis=1).pvalue < 0.05)


def drop_first(steps: Array, count: int = 5) -> int | None:
    """The custom: the first 5 steps are warm-up."""
    del steps
    return count


def keep_all(steps: Array) -> int | None:
    """The naive: every step counts."""
    del steps
    return 0


def mser5(steps: Array) -> int | None:
    """MSER-5: cut where the standard error of the rest is least; none if past one half.

    Source: White, Cobb and Spratt, Proceedings of the Winter Simulation Conference (2000)
    755-760.
    """
    batches = steps[: len(steps) // 5 * 5].reshape(-1, 5).mean(axis=1)
    if len(batches) < 4:
        return None
    errors = [batches[i:].var() / (len(batches) - i) for i in range(len(batches) - 2)]
    best = int(np.argmin(errors))
    return None if best > len(batches) / 2 else 5 * best


def pyperf_rule(steps: Array) -> int | None:
    """pyperf's calibration of warm-ups (pyperf/_worker.py): the first cut after which two
    windows of 20 agree in mean, quartiles and deviation; it needs 41 values.
    """
    for start in range(1, len(steps) - 39):
        one, two = steps[start : start + 20], steps[start + 20 : start + 40]
        if _agree(one, two):
            return start
    return None


def _agree(one: Array, two: Array) -> bool:
    first, third = np.percentile(np.concatenate([one[1:], two]), (25, 75))
    if one[0] > third + 1.5 * (third - first):
        return False
    quartiles = np.percentile(one, (25, 75)) / np.percentile(two, (25, 75)) - 1
    mean = one.mean() / two.mean() - 1
    spread = _deviation(one) / _deviation(two) - 1
    return bool(-0.5 <= mean <= 0.1 and abs(spread) <= 0.1 and np.all(abs(quartiles) <= 0.05))


def _deviation(steps: Array) -> float:
    return float(np.median(np.abs(steps - np.median(steps))))
