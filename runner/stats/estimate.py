"""Estimates over launches: a median with an honest interval, the spread, the outliers.

What is estimated is the median over launches of a launch's median. Steps of one process are
not independent of each other (they share its memory layout, its clocks, its neighbours), so
the launch medians are the observations, and every interval here is over launches.
Source: Kalibera and Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013);
Hoefler and Belli, "Scientific benchmarking of parallel computing systems" (SC 2015), rules 5-8.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from runner.stats.intervals import (
    drift_p,
    median_interval,
    median_intervals,
    power_of_e,
    t_quantile,
)
from runner.stats.launches import checked, checked_all, launch_medians
from runner.stats.rows import (
    Array,
    Ragged,
    by_length,
    far_out,
    middles,
    portions,
    quantile,
)

__all__ = [
    "Array",
    "Estimate",
    "Outlier",
    "Percentile",
    "Rate",
    "checked",
    "checked_all",
    "estimate",
    "estimate_all",
    "harmonic_rate",
    "launch_medians",
    "median_interval",
    "power_of_e",
    "rate",
    "t_quantile",
]

PERCENTS = (5.0, 25.0, 50.0, 75.0, 95.0, 99.0)


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


def estimate(
    launches: Sequence[Sequence[float]], level: float = 0.95, spread: float = 0.0
) -> Estimate:
    """Estimate from the steps of each launch, in the order measured.

    Args:
        launches: one sequence of positive numbers (seconds, bytes) a launch; the part that is
            steady, where a steady state was looked for.
        level: nominal level of the interval, in (0.5, 1).
        spread: least standard deviation of the launch medians, as logarithms, to reckon with:
            ``SteadyParts.level_spread``, where a steady state was looked for.

    Raises:
        ValueError: no launch, a launch without steps, a value that is not finite and > 0.
    """
    return estimate_all([launches], level, [spread])[0]


def estimate_all(
    cells: Sequence[Sequence[Sequence[float]]],
    level: float = 0.95,
    spreads: Sequence[float] | None = None,
) -> list[Estimate]:
    """Estimate each cell from the steps of its launches, as ``estimate`` does for one.

    Raises:
        ValueError: as for ``estimate``, or as many cells as spreads not given.
    """
    least = np.zeros(len(cells)) if spreads is None else np.array(spreads, dtype=np.float64)
    if len(least) != len(cells):
        msg = f"{len(cells)} cells and {len(least)} spreads: expected equally many"
        raise ValueError(msg)
    series = checked_all(cells)
    counts = np.fromiter(map(len, cells), np.intp, len(cells))
    firsts = np.cumsum(counts) - counts
    each = _each_launch(series)
    steps = np.add.reduceat(series.lengths, firsts)
    pooled = Ragged(values=series.values, lengths=steps, starts=np.cumsum(steps) - steps)
    percentiles = _percentiles(pooled)
    found: dict[int, Estimate] = {}
    for count, places in by_length(counts):
        for own in portions(places, count * count):
            medians = each.medians[firsts[own, None] + np.arange(count)]
            told = _between(medians, level, least[own])
            for place, between in zip(own.tolist(), told, strict=True):
                launches = range(int(firsts[place]), int(firsts[place]) + count)
                found[place] = Estimate(
                    value=between.value,
                    low=between.low,
                    high=between.high,
                    level=level,
                    launches=count,
                    samples=int(steps[place]),
                    within_cv=_within_cv(each.cvs[launches.start : launches.stop]),
                    between_cv=between.cv,
                    percentiles=percentiles[place],
                    outliers=_outliers(each, launches),
                    outlying_launches=between.outlying,
                    drift_p=between.drift_p,
                    method=between.method,
                )
    return [found[place] for place in range(len(cells))]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Each:
    """Every launch of every cell, one after the other.

    Attributes:
        medians: shape (launches,).
        cvs: coefficient of variation; NaN where a launch has one step.
        outliers: launch to its outlying steps.
    """

    medians: Array
    cvs: Array
    outliers: dict[int, list[tuple[int, float]]]


def _each_launch(series: Ragged) -> _Each:
    medians = np.empty(len(series.lengths))
    cvs = np.full(len(series.lengths), np.nan)
    outliers: dict[int, list[tuple[int, float]]] = {}
    for n, places in by_length(series.lengths):
        for own in portions(places, n):
            rows = series.rows(own, n)
            ordered = np.sort(rows, axis=1)
            medians[own] = middles(ordered)
            if n > 1:
                cvs[own] = rows.std(axis=1, ddof=1) / rows.mean(axis=1)
            if n >= 5:
                for row, step in np.argwhere(far_out(rows, ordered)).tolist():
                    one = (step, float(rows[row, step]))
                    outliers.setdefault(int(own[row]), []).append(one)
    return _Each(medians=medians, cvs=cvs, outliers=outliers)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Between:
    """What the launch medians of a cell say; fields as in ``Estimate``."""

    value: float
    low: float | None
    high: float | None
    method: str
    cv: float | None
    outlying: tuple[int, ...]
    drift_p: float | None


def _between(medians: Array, level: float, spreads: Array) -> Iterator[_Between]:
    """Yield what each row of launch medians says, shape (cells, launches)."""
    count = medians.shape[1]
    ordered = np.sort(medians, axis=1)
    ends, methods = median_intervals(medians, level, spreads)
    cvs: list[float | None] = [None] * len(medians)
    if count > 1:
        cvs = (medians.std(axis=1, ddof=1) / medians.mean(axis=1)).tolist()
    out: dict[int, list[int]] = {}
    if count >= 5:
        for row, launch in np.argwhere(far_out(medians, ordered)).tolist():
            out.setdefault(row, []).append(launch)
    values = zip(middles(ordered).tolist(), ends, methods, cvs, drift_p(medians), strict=True)
    for row, (value, (low, high), method, cv, drift) in enumerate(values):
        yield _Between(
            value=value,
            low=low,
            high=high,
            method=method,
            cv=cv,
            outlying=tuple(out.get(row, ())),
            drift_p=drift,
        )


def _within_cv(cvs: Array) -> float | None:
    spreads = [spread for spread in cvs.tolist() if not math.isnan(spread)]
    return math.sqrt(sum(spread**2 for spread in spreads) / len(spreads)) if spreads else None


def _percentiles(pooled: Ragged) -> list[tuple[Percentile, ...]]:
    """Of each cell's steps, those with at least one expected beyond: the 99th needs 100 steps.

    Source: Hyndman and Fan, The American Statistician 50 (1996), definition 7.
    """
    found: list[tuple[Percentile, ...]] = [()] * len(pooled.lengths)
    for n, places in by_length(pooled.lengths):
        borne = [percent for percent in PERCENTS if n * min(percent, 100 - percent) >= 100]
        for own in portions(places, n) if borne else ():
            ordered = np.sort(pooled.rows(own, n), axis=1)
            values = np.column_stack([quantile(ordered, percent / 100) for percent in borne])
            for place, row in zip(own.tolist(), values.tolist(), strict=True):
                found[place] = tuple(
                    Percentile(percent=percent, value=value)
                    for percent, value in zip(borne, row, strict=True)
                )
    return found


def _outliers(each: _Each, launches: range) -> tuple[Outlier, ...]:
    return tuple(
        Outlier(launch=number, step=step, value=value)
        for number, launch in enumerate(launches)
        for step, value in each.outliers.get(launch, ())
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
