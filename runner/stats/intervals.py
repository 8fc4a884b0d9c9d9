"""Intervals for the median over launches, from the launch medians; a cell a row."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import special

from runner.stats.rows import Array

LARGEST_EXPONENT = 700.0
FROM_LEVELS = ", their spread widened to what changes of level within launches make"

Interval = tuple[float | None, float | None]


def median_interval(
    medians: Array, level: float = 0.95, spread: float = 0.0
) -> tuple[float | None, float | None, str]:
    """Return low, high and the method for one cell, as ``median_intervals`` does for many."""
    (ends,), (method,) = median_intervals(medians[None], level, np.array([spread]))
    return *ends, method


def median_intervals(
    medians: Array, level: float = 0.95, spreads: Array | None = None
) -> tuple[list[Interval], list[str]]:
    """Interval for the median over launches of each cell, from launch medians (cells, launches).

    One launch: none. Few launches: Student's t on the logarithms, which holds where launch
    medians are about lognormal, and is wide since it must be: no distribution-free interval
    exists (with n launches none can exceed level 1 - 2^(1-n)). From the number of launches
    on where one exists (6 at 95 %): order statistics, interpolated to the level, which assume
    nothing of the distribution but that launches are independent.

    A few launches whose steps change level may all end up on one, and their medians then agree
    by chance. So what goes into t is the spread of the medians, or the one that changes of level
    within the launches make (``SteadyParts.level_spread``) where that is larger.

    Args:
        medians: of each launch of each cell, positive.
        level: nominal level of the intervals.
        spreads: of each cell, the least standard deviation of the logarithms to reckon with.

    Returns:
        low and high of each cell (None where there is none), and the method of each in words.

    Source: Student (1908); Hettmansperger and Sheather, "Confidence intervals based on
    interpolated order statistics", Statistics & Probability Letters 4 (1986) 75-79. The choice
    between them is that of benchmarks/coverage.py.
    """
    n = medians.shape[1]
    if n < 2:
        why = "no interval: one launch says nothing of the spread between launches"
        return [(None, None)] * len(medians), [why] * len(medians)
    depth, weight = _order_statistics(n, level)
    if depth == 0:
        logs = np.log(medians)
        centres = logs.mean(axis=1).tolist()
        seen = logs.std(axis=1, ddof=1)
        least = np.zeros(len(medians)) if spreads is None else spreads
        halves = t_quantile(n - 1, level) * np.maximum(seen, least) / math.sqrt(n)
        # The mean of logarithms is not the median; with these n the interval holds both.
        ends: list[Interval] = [
            (power_of_e(centre - half), power_of_e(centre + half))
            for centre, half in zip(centres, halves.tolist(), strict=True)
        ]
        plain = f"Student's t on the logarithms of {n} launch medians"
        return ends, [plain + FROM_LEVELS if wider else plain for wider in (least > seen).tolist()]
    ordered = np.sort(medians, axis=1)
    low = (1 - weight) * ordered[:, depth - 1] + weight * ordered[:, depth]
    high = (1 - weight) * ordered[:, n - depth] + weight * ordered[:, n - depth - 1]
    ends = list(zip(low.tolist(), high.tolist(), strict=True))
    return ends, [f"interpolated order statistics of {n} launch medians"] * len(medians)


def t_quantile(freedom: float, level: float) -> float:
    """Return the two-sided critical value of Student's t at `level`."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


def power_of_e(exponent: float) -> float:
    """Return e^exponent, finite: two launches far apart have an interval beyond all numbers."""
    return math.exp(min(exponent, LARGEST_EXPONENT))


@lru_cache(maxsize=1024)
def _order_statistics(n: int, level: float) -> tuple[int, float]:
    """Depth d (from 1) of the outer pair, and the weight of the pair inside it; (0, 0) if none.

    The pair (d, n + 1 - d) holds the median with probability 1 - 2 P(B <= d - 1), B binomial
    with n trials of one half. Weights: Hettmansperger and Sheather (1986), equation for lambda.
    """
    if not 0.5 < level < 1:
        msg = f"level {level!r}: expected a number between 0.5 and 1, such as 0.95"
        raise ValueError(msg)

    def held(depth: int) -> float:
        return 1 - 2 * float(special.bdtr(depth - 1, n, 0.5))

    depth = 0
    while depth < n // 2 and held(depth + 1) >= level:
        depth += 1
    if depth == 0 or depth == n // 2:
        return depth, 0.0
    share = (held(depth) - level) / (held(depth) - held(depth + 1))
    return depth, (n - depth) * share / (depth + (n - 2 * depth) * share)


def drift_p(medians: Array) -> list[float | None]:
    """Two-sided p of Mann's test for trend of each cell's launch medians (cells, launches).

    Normal approximation with continuity correction; None with fewer than 6 launches.

    Source: Mann, Econometrica 13 (1945) 245-259; Kendall, Rank Correlation Methods (1948).
    """
    n = medians.shape[1]
    if n < 6:
        return [None] * len(medians)
    earlier, later = np.triu_indices(n, 1)
    scores = np.sum(np.sign(medians[:, later] - medians[:, earlier]), axis=1).tolist()
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return [math.erfc(max(abs(score) - 1, 0) / deviation / math.sqrt(2)) for score in scores]
