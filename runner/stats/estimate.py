"""Estimates over launches: a median with an honest interval, the spread, the outliers.

What is estimated is the median over launches of a launch's median. Steps of one process are
not independent of each other (they share its memory layout, its clocks, its neighbours), so
the launch medians are the observations, and every interval here is over launches.
Source: Kalibera and Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013);
Hoefler and Belli, "Scientific benchmarking of parallel computing systems" (SC 2015), rules 5-8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]
PERCENTS = (5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
FAR_OUT = 3.0
LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Percentile:
    """The value below which `percent` of all steps lie, in the unit of the samples."""

    percent: float
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlier:
    """A step far out of its launch: counted from zero, in the order measured. Never dropped."""

    launch: int
    step: int
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a cell's launches say.

    Attributes:
        value: median of the launch medians, in the unit of the samples.
        low, high: interval for that median over launches; None where there is none.
        level: the interval's nominal level, such as 0.95.
        launches, samples: how many of each it stands on.
        within_cv: root mean square of the launches' coefficients of variation (standard
            deviation / mean); None where no launch has two steps.
        between_cv: coefficient of variation of the launch medians; None with one launch. It
            holds what is left of the spread within a launch after taking its median.
        percentiles: over all steps; those that the number of steps can bear.
        outliers: steps beyond Tukey's outer fence of their launch.
        outlying_launches: launches whose median is beyond that fence; needs 5 launches.
        drift_p: chance of so strong a trend of the launch medians, in the order given, if there
            were none; small means that the launches are not independent and the interval does
            not hold. None with fewer than 6 launches.
        method: how the interval was made, or why there is none.
    """

    value: float
    low: float | None
    high: float | None
    level: float
    launches: int
    samples: int
    within_cv: float | None
    between_cv: float | None
    percentiles: tuple[Percentile, ...]
    outliers: tuple[Outlier, ...]
    outlying_launches: tuple[int, ...]
    drift_p: float | None
    method: str

    @property
    def relative_half_width(self) -> float | None:
        """The farther end of the interval from the value, as a fraction of the value."""
        if self.low is None or self.high is None:
            return None
        return max(self.high - self.value, self.value - self.low) / self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Items a second, and its interval where the time had one."""

    value: float
    low: float | None
    high: float | None


def estimate(launches: Sequence[Sequence[float]], level: float = 0.95) -> Estimate:
    """Estimate from the steps of each launch, in the order measured.

    Args:
        launches: one sequence of positive numbers (seconds, bytes) a launch; the part that is
            steady, where a steady state was looked for.
        level: nominal level of the interval, in (0.5, 1).

    Raises:
        ValueError: no launch, a launch without steps, a value that is not finite and > 0.
    """
    arrays = checked(launches)
    medians = launch_medians(arrays)
    low, high, method = median_interval(medians, level)
    pooled = np.concatenate(arrays)
    return Estimate(
        value=float(np.median(medians)),
        low=low,
        high=high,
        level=level,
        launches=len(arrays),
        samples=len(pooled),
        within_cv=_within_cv(arrays),
        between_cv=_cv(medians),
        percentiles=_percentiles(pooled),
        outliers=_outliers(arrays),
        outlying_launches=tuple(_far_out(medians)) if len(medians) >= 5 else (),
        drift_p=_drift_p(medians),
        method=method,
    )


def checked(launches: Sequence[Sequence[float]]) -> list[Array]:
    """Return the launches as arrays.

    Raises:
        ValueError: as for ``estimate``; the message names the launch and the step.
    """
    if len(launches) == 0:
        msg = "no launches: expected at least one, with the steps it measured"
        raise ValueError(msg)
    arrays = [np.asarray(steps, dtype=np.float64) for steps in launches]
    pooled = np.concatenate(arrays)
    if min(map(len, arrays)) > 0 and bool(np.all((pooled > 0) & (pooled < math.inf))):
        return arrays
    problems = []
    for number, steps in enumerate(arrays):
        if steps.size == 0:
            problems.append(f"launch {number} has no steps")
            continue
        bad = np.flatnonzero(~((steps > 0) & (steps < math.inf)))
        problems.extend(f"launch {number}, step {i}: {float(steps[i])!r}" for i in bad[:3])
    msg = f"samples must be finite and > 0: {'; '.join(problems)}"
    raise ValueError(msg)


def launch_medians(arrays: Sequence[Array]) -> Array:
    """Return one median a launch, shape (launches,)."""
    if len(set(map(len, arrays))) == 1:
        medians: Array = np.median(np.stack(arrays), axis=1)
        return medians
    return np.array([np.median(steps) for steps in arrays])


def median_interval(medians: Array, level: float = 0.95) -> tuple[float | None, float | None, str]:
    """Interval for the median over launches, from the launch medians.

    One launch: none. Few launches: Student's t on the logarithms, which holds where launch
    medians are about lognormal, and is wide since it must be: no distribution-free interval
    exists (with n launches none can exceed level 1 - 2^(1-n)). From the number of launches
    on where one exists (6 at 95 %): order statistics, interpolated to the level, which assume
    nothing of the distribution but that launches are independent.

    Returns:
        low, high (None where there is none) and the method in words.

    Source: Student (1908); Hettmansperger and Sheather, "Confidence intervals based on
    interpolated order statistics", Statistics & Probability Letters 4 (1986) 75-79. The choice
    between them is that of benchmarks/coverage.py.
    """
    n = len(medians)
    if n < 2:
        return None, None, "no interval: one launch says nothing of the spread between launches"
    depth, weight = _order_statistics(n, level)
    if depth == 0:
        logs = np.log(medians)
        centre = float(logs.mean())
        half = t_quantile(n - 1, level) * float(logs.std(ddof=1)) / math.sqrt(n)
        # The mean of logarithms is not the median; with these n the interval holds both.
        return (
            power_of_e(centre - half),
            power_of_e(centre + half),
            f"Student's t on the logarithms of {n} launch medians",
        )
    ordered = np.sort(medians)
    low = (1 - weight) * ordered[depth - 1] + weight * ordered[depth]
    high = (1 - weight) * ordered[n - depth] + weight * ordered[n - depth - 1]
    return float(low), float(high), f"interpolated order statistics of {n} launch medians"


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


def _drift_p(medians: Array) -> float | None:
    """Two-sided p of Mann's test for trend, normal approximation with continuity correction.

    Source: Mann, Econometrica 13 (1945) 245-259; Kendall, Rank Correlation Methods (1948).
    """
    n = len(medians)
    if n < 6:
        return None
    score = float(np.sum(np.triu(np.sign(medians[None] - medians[:, None]), 1)))
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return math.erfc(max(abs(score) - 1, 0) / deviation / math.sqrt(2))


def _cv(values: Array) -> float | None:
    return float(values.std(ddof=1) / values.mean()) if len(values) > 1 else None


def _within_cv(arrays: Sequence[Array]) -> float | None:
    spreads = [spread for spread in map(_cv, arrays) if spread is not None]
    return math.sqrt(sum(spread**2 for spread in spreads) / len(spreads)) if spreads else None


def _percentiles(pooled: Array) -> tuple[Percentile, ...]:
    """Those with at least one step expected beyond them: the 99th needs 100 steps.

    Source: Hyndman and Fan, The American Statistician 50 (1996), definition 7.
    """
    borne = [p for p in PERCENTS if len(pooled) * min(p, 100 - p) >= 100]
    values: Array = np.percentile(pooled, np.array(borne)) if borne else np.empty(0)
    return tuple(
        Percentile(percent=percent, value=float(value))
        for percent, value in zip(borne, values, strict=True)
    )


def _far_out(values: Array) -> list[int]:
    """Indices beyond Tukey's outer fences: 3 interquartile ranges outside the quartiles.

    Source: Tukey, Exploratory Data Analysis (1977), section 2D ("far out").
    """
    first, third = np.percentile(values, (25, 75))
    reach = FAR_OUT * (third - first)
    out = np.flatnonzero((values < first - reach) | (values > third + reach))
    return [int(index) for index in out]


def _outliers(arrays: Sequence[Array]) -> tuple[Outlier, ...]:
    return tuple(
        Outlier(launch=number, step=step, value=float(steps[step]))
        for number, steps in enumerate(arrays)
        if len(steps) >= 5
        for step in _far_out(steps)
    )


def rate(time: Estimate, items: int) -> Rate:
    """Return items a second: `items` a step over `time`, whose interval turns around."""
    return Rate(
        value=items / time.value,
        low=None if time.high is None else items / time.high,
        high=None if time.low is None else items / time.low,
    )


def harmonic_rate(rates: Sequence[float], items: Sequence[float] | None = None) -> float:
    """Average rates that each processed `items` (equally many if None): all items over all time.

    Raises:
        ValueError: no rates, one that is not finite and > 0, or as many items as rates not given.

    Source: Hoefler and Belli (SC 2015), rule 3: the harmonic mean for rates.
    """
    weights = [1.0] * len(rates) if items is None else list(items)
    bad = [value for value in (*rates, *weights) if not 0 < value < math.inf]
    if not rates or bad or len(weights) != len(rates):
        msg = f"expected rates and items, equally many, finite and > 0; got {rates!r}, {items!r}"
        raise ValueError(msg)
    return sum(weights) / sum(w / r for w, r in zip(weights, rates, strict=True))
